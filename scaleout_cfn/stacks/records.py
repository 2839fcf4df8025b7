"""Records that lead host names to the load balancer, or to what stands before it."""

from __future__ import annotations

from zlib import crc32

from troposphere import Ref, route53
from troposphere.validators.route53 import AliasTarget

from scaleout_cfn.config import Config, FailoverRouting, LatencyRouting
from scaleout_cfn.config.balancer_conflicts import routing_of
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import DnsName, HealthCheckId


def of_host(what: str, host: str) -> str:
    """The title of what there is for each host.

    Numbers would move with a host that is written in front, and a second record of a name is refused.
    """
    return f"{what}{crc32(host.encode()):08X}"


def alias_records(
    stack: Stack,
    config: Config,
    title: str,
    host: str,
    zone: str,
    target: AliasTarget,
    check: HealthCheckId | None = None,
) -> None:
    routing = routing_of(config)
    if routing is not None:
        title, shared = _shared(title, routing)
        if check is None:
            target = AliasTarget(HostedZoneId=target.HostedZoneId, DNSName=target.DNSName, EvaluateTargetHealth=True)
        else:
            shared["HealthCheckId"] = check
    for kind in ("A", "AAAA") if config.network.ipv6 else ("A",):
        record = route53.RecordSetType(
            f"{title}{'Ipv6' if kind == 'AAAA' else ''}",
            HostedZoneId=zone,
            Name=host,
            Type=kind,
            AliasTarget=target,
        )
        if routing is not None:
            for name, value in shared.items():
                setattr(record, name, value)
        stack.add(record)


def _shared(title: str, routing: LatencyRouting | FailoverRouting) -> tuple[str, dict[str, object]]:
    """Title and properties of a record that shares its name with those of other regions.

    What tells it from them is in its title: Route 53 cannot change it, and refuses to keep a simple record beside it.
    With a title of its own a record is made before the old one goes, and fails where that is in its way, so that no
    name is ever without one. https://docs.aws.amazon.com/Route53/latest/APIReference/API_ResourceRecordSet.html
    """
    if isinstance(routing, LatencyRouting):
        return f"Latency{title}", {"SetIdentifier": Ref("AWS::Region"), "Region": Ref("AWS::Region")}
    return f"{routing.role.title()}{title}", {"SetIdentifier": routing.role, "Failover": routing.role.upper()}


def health_check(stack: Stack, path: str, balancer: DnsName) -> HealthCheckId:
    """What Route 53 asks this region for, by the load balancer's own name: that of the domain leads to any region.

    The certificate is for another name, which a health checker does not mind: it asks again without a name.
    https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
    """
    check = route53.HealthCheck(
        "HealthCheck",
        HealthCheckConfig=route53.HealthCheckConfig(
            Type="HTTPS",
            FullyQualifiedDomainName=balancer,
            Port=443,
            ResourcePath=path,
            EnableSNI=True,
            RequestInterval=30,
            FailureThreshold=3,
        ),
    )
    return HealthCheckId(stack.add(check).ref())
