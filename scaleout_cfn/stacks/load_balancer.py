"""The load balancer and its listeners, which answer 404 themselves: each web service brings a rule of its own."""

from __future__ import annotations

from msgspec import Struct
from troposphere import AWSObject, GetAtt, Join, certificatemanager, ec2, route53, s3
from troposphere import elasticloadbalancingv2 as elb
from troposphere.validators.route53 import AliasTarget

from scaleout_cfn.config import Config, Domain, Http, NewLoadBalancer
from scaleout_cfn.iam import receive_balancer_logs
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import error_share
from scaleout_cfn.stacks.buckets import expiring_bucket
from scaleout_cfn.values import (
    DnsName,
    HostedZoneId,
    ListenerArn,
    LoadBalancerName,
    SecurityGroupId,
    SubnetIds,
    Text,
    TopicArn,
    VpcId,
)

HTTP, HTTPS = 80, 443


class Outputs(Struct, frozen=True):
    security_group: SecurityGroupId
    load_balancer_name: LoadBalancerName
    listener: ListenerArn
    #: For alias records. Those of a balancer that is there already are its owner's.
    dns_name: DnsName | None
    canonical_zone: HostedZoneId | None
    url: Text


def build(stack: Stack, config: Config, *, vpc_id: VpcId, subnets: SubnetIds, topic: TopicArn) -> Outputs:
    settings = config.load_balancer
    assert isinstance(settings, NewLoadBalancer)
    secure = not isinstance(settings.listener, Http)
    group = stack.add(
        ec2.SecurityGroup(
            "SecurityGroup",
            GroupDescription="HTTP and HTTPS from clients; out only to the targets.",
            VpcId=vpc_id,
            SecurityGroupIngress=[
                _from_clients(port, ipv6)
                for port in ([HTTP, HTTPS] if secure else [HTTP])
                for ipv6 in _families(config)
            ],
            # A group without any egress rule is given one to everywhere. This one leads nowhere.
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    Description="Nowhere by default",
                    IpProtocol="icmp",
                    FromPort=252,
                    ToPort=86,
                    CidrIp="255.255.255.255/32",
                )
            ],
        )
    )
    attributes: dict[str, object] = {
        "deletion_protection.enabled": settings.deletion_protection,
        "idle_timeout.timeout_seconds": settings.idle_timeout_s,
        "routing.http.drop_invalid_header_fields.enabled": True,
        "routing.http2.enabled": True,
        "access_logs.s3.enabled": settings.access_logs,
    }
    balancer = elb.LoadBalancer(
        "LoadBalancer",
        Type="application",
        Scheme=settings.scheme,
        IpAddressType="dualstack" if config.network.ipv6 else "ipv4",
        Subnets=subnets,
        SecurityGroups=[group.ref()],
    )
    if settings.access_logs:
        bucket, policy = _log_bucket(stack, settings.access_logs_days)
        attributes["access_logs.s3.bucket"] = bucket.ref()
        balancer.DependsOn = policy.title
    balancer.LoadBalancerAttributes = [
        elb.LoadBalancerAttributes(Key=key, Value=_attribute(value)) for key, value in attributes.items()
    ]
    stack.add(balancer)
    nobody = elb.Action(
        Type="fixed-response",
        FixedResponseConfig=elb.FixedResponseConfig(
            StatusCode="404", ContentType="text/plain", MessageBody="No service answers here."
        ),
    )
    if isinstance(settings.listener, Http):
        listener = stack.add(
            elb.Listener(
                "Listener", LoadBalancerArn=balancer.ref(), Port=HTTP, Protocol="HTTP", DefaultActions=[nobody]
            )
        )
        url: object = Join("", ["http://", balancer.get_att("DNSName")])
    else:
        url = f"https://{settings.listener.domain_name}"
        if isinstance(settings.listener, Domain):
            certificate: object = _certificate(stack, settings.listener).ref()
            _alias_records(stack, config, settings.listener, balancer)
        else:
            certificate = settings.listener.certificate_arn
        listener = stack.add(
            elb.Listener(
                "Listener",
                LoadBalancerArn=balancer.ref(),
                Port=HTTPS,
                Protocol="HTTPS",
                Certificates=[elb.Certificate(CertificateArn=certificate)],
                SslPolicy=settings.listener.tls_policy,
                DefaultActions=[nobody],
            )
        )
        redirect = elb.RedirectConfig(Protocol="HTTPS", Port=str(HTTPS), StatusCode="HTTP_301")
        stack.add(
            elb.Listener(
                "RedirectListener",
                LoadBalancerArn=balancer.ref(),
                Port=HTTP,
                Protocol="HTTP",
                DefaultActions=[elb.Action(Type="redirect", RedirectConfig=redirect)],
            )
        )
    full_name = LoadBalancerName(balancer.get_att("LoadBalancerFullName"))
    error_share(
        stack,
        "LoadBalancerErrors",
        "HTTPCode_ELB_5XX_Count",
        "the load balancer itself",
        {"LoadBalancer": full_name},
        settings.error_percent,
        topic,
    )
    return Outputs(
        SecurityGroupId(group.ref()),
        full_name,
        ListenerArn(listener.ref()),
        DnsName(balancer.get_att("DNSName")),
        HostedZoneId(balancer.get_att("CanonicalHostedZoneID")),
        Text(url),
    )


def _families(config: Config) -> list[bool]:
    return [False, True] if config.network.ipv6 else [False]


def _from_clients(port: int, ipv6: bool) -> ec2.SecurityGroupRule:
    anywhere = {"CidrIpv6": "::/0"} if ipv6 else {"CidrIp": "0.0.0.0/0"}
    return ec2.SecurityGroupRule(
        Description=f"Clients on port {port}", IpProtocol="tcp", FromPort=port, ToPort=port, **anywhere
    )


def _attribute(value: object) -> object:
    """Attribute values are strings: true, false, 60."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


def _certificate(stack: Stack, domain: Domain) -> certificatemanager.Certificate:
    return stack.add(
        certificatemanager.Certificate(
            "Certificate",
            DomainName=domain.domain_name,
            ValidationMethod="DNS",
            DomainValidationOptions=[
                certificatemanager.DomainValidationOption(
                    DomainName=domain.domain_name, HostedZoneId=domain.hosted_zone_id
                )
            ],
        )
    )


def _alias_records(stack: Stack, config: Config, domain: Domain, balancer: AWSObject) -> None:
    for kind, ipv6 in zip(("A", "AAAA"), _families(config), strict=False):
        stack.add(
            route53.RecordSetType(
                "AliasRecordIpv6" if ipv6 else "AliasRecord",
                HostedZoneId=domain.hosted_zone_id,
                Name=domain.domain_name,
                Type=kind,
                AliasTarget=AliasTarget(
                    HostedZoneId=GetAtt(balancer, "CanonicalHostedZoneID"), DNSName=GetAtt(balancer, "DNSName")
                ),
            )
        )


def _log_bucket(stack: Stack, days: int) -> tuple[s3.Bucket, s3.BucketPolicy]:
    bucket = stack.add(expiring_bucket("AccessLogs", days, "RetainExceptOnCreate"))
    policy = stack.add(
        s3.BucketPolicy(
            "AccessLogsPolicy", Bucket=bucket.ref(), PolicyDocument=receive_balancer_logs(bucket.get_att("Arn"))
        )
    )
    return bucket, policy
