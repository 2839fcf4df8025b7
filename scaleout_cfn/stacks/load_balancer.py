"""The load balancer and its listeners, which answer 404 themselves: each web service brings a rule of its own."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Join, Ref, Select, Split, certificatemanager, cloudwatch, ec2, s3
from troposphere import elasticloadbalancingv2 as elb
from troposphere.validators.route53 import AliasTarget

from scaleout_cfn.config import (
    AnyClient,
    CaBundle,
    Config,
    Domain,
    GreenPort,
    Http,
    NewLoadBalancer,
    TrustStore,
    WebService,
)
from scaleout_cfn.config.units import units
from scaleout_cfn.iam import receive_balancer_logs
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import error_share
from scaleout_cfn.stacks.buckets import expiring_bucket
from scaleout_cfn.stacks.records import alias_records, health_check
from scaleout_cfn.values import (
    BucketName,
    DnsName,
    HealthCheckId,
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
    #: Those by which new versions are reached before requests move to them, by port.
    test_listener: dict[str, ListenerArn] = {}
    #: Of routes' hosts, whose records are in the services' foundations.
    health_check: HealthCheckId | None = None


def build(
    stack: Stack,
    config: Config,
    *,
    vpc_id: VpcId,
    subnets: SubnetIds,
    topic: TopicArn,
    bucket_logs: BucketName | None,
) -> Outputs:
    settings = config.load_balancer
    assert isinstance(settings, NewLoadBalancer)
    group = stack.add(
        ec2.SecurityGroup(
            "SecurityGroup",
            GroupDescription="HTTP and HTTPS from clients; out only to the targets.",
            VpcId=vpc_id,
            SecurityGroupIngress=_from_clients(config, settings),
            SecurityGroupEgress=[_to_provider() if _signs_in(config) else _to_nowhere()],
        )
    )
    attributes: dict[str, object] = {
        "deletion_protection.enabled": settings.deletion_protection,
        "idle_timeout.timeout_seconds": settings.idle_timeout_s,
        "routing.http.drop_invalid_header_fields.enabled": True,
        "routing.http2.enabled": True,
        "access_logs.s3.enabled": settings.access_logs,
    }
    if settings.zonal_shift != "off":
        # Cross-zone load balancing may stay on.
        # https://docs.aws.amazon.com/r53recovery/latest/dg/arc-zonal-shift.resource-types.app-load-balancers.html
        attributes["zonal_shift.config.enabled"] = True
    balancer = elb.LoadBalancer(
        "LoadBalancer",
        Type="application",
        Scheme=settings.scheme,
        IpAddressType="dualstack" if config.network.ipv6 else "ipv4",
        Subnets=subnets,
        SecurityGroups=[group.ref()],
    )
    if settings.access_logs:
        bucket, policy = _log_bucket(stack, settings.access_logs_days, bucket_logs)
        attributes["access_logs.s3.bucket"] = bucket.ref()
        balancer.DependsOn = policy.title
    balancer.LoadBalancerAttributes = [
        elb.LoadBalancerAttributes(Key=key, Value=_attribute(value)) for key, value in attributes.items()
    ]
    stack.add(balancer)
    dns_name = DnsName(balancer.get_att("DNSName"))
    zone = HostedZoneId(balancer.get_att("CanonicalHostedZoneID"))
    if isinstance(settings.listener, Http):
        url = Text(Join("", ["http://", dns_name]))
    else:
        url = Text(f"https://{settings.listener.domain_name}")
    if settings.cloudfront is not None:
        from scaleout_cfn.stacks.cloudfront import distribution  # here, for most sets have none

        dns_name, zone, url = distribution(stack, config, settings.cloudfront, balancer)
    check: HealthCheckId | None = None
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
    else:
        if isinstance(settings.listener, Domain):
            certificate: object = _certificate(stack, settings.listener).ref()
            target = AliasTarget(HostedZoneId=zone, DNSName=dns_name)
            domain = settings.listener
            if domain.routing is not None and domain.routing.health_path:
                check = health_check(stack, domain.routing.health_path, dns_name)
            alias_records(stack, config, "AliasRecord", domain.domain_name, domain.hosted_zone_id, target, check)
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
        if settings.listener.client_certificates is not None:
            listener.MutualAuthentication = _mutual_tls(stack, settings.listener.client_certificates)
        if HTTP in _ports(settings):
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
    tests = {}
    if ports := dict.fromkeys(port for port, _ in _testers(config)):
        from scaleout_cfn.stacks.shifting import add_test_listener  # here, for most sets have none

        tests = {f"port{port}": add_test_listener(stack, listener, port) for port in ports}
    full_name = LoadBalancerName(balancer.get_att("LoadBalancerFullName"))
    errors = error_share(
        stack,
        "LoadBalancerErrors",
        "HTTPCode_ELB_5XX_Count",
        "the load balancer itself",
        [{"LoadBalancer": full_name}],
        settings.error_percent,
        topic,
    )
    if config.night is not None:
        from scaleout_cfn.stacks.night import mute  # here, for most sets run at all times

        mute(stack, config.night)
    if settings.zonal_shift == "autoshift":
        shift_by_itself(stack, balancer, errors)
    return Outputs(
        SecurityGroupId(group.ref()),
        full_name,
        ListenerArn(listener.ref()),
        dns_name,
        zone,
        url,
        tests,
        check,
    )


def _families(config: Config) -> list[bool]:
    return [False, True] if config.network.ipv6 else [False]


def _ports(settings: NewLoadBalancer) -> list[int]:
    """The ports that clients come in by, that which serves last.

    What comes in by a prefix list alone, as CloudFront does, needs nobody to lead it to the other. And a list counts as
    all that it may hold: twice CloudFront's is more than a group may have.
    """
    if isinstance(settings.listener, Http):
        return [HTTP]
    return [HTTPS] if settings.allowed_prefix_lists and not settings.allowed_cidrs else [HTTP, HTTPS]


def _from_clients(config: Config, settings: NewLoadBalancer) -> list[ec2.SecurityGroupRule]:
    ports = _ports(settings)
    cidrs = list(settings.allowed_cidrs)
    if not cidrs and not settings.allowed_prefix_lists:
        cidrs = ["::/0" if ipv6 else "0.0.0.0/0" for ipv6 in _families(config)]
    sources = [(port, {"CidrIpv6" if ":" in cidr else "CidrIp": cidr}) for port in ports for cidr in cidrs]
    sources += [(port, {"CidrIpv6" if ":" in cidr else "CidrIp": cidr}) for port, cidr in _testers(config)]
    sources += [(ports[-1], {"SourcePrefixListId": name}) for name in sorted(settings.allowed_prefix_lists)]
    return [
        ec2.SecurityGroupRule(
            Description=f"Clients on port {port}", IpProtocol="tcp", FromPort=port, ToPort=port, **source
        )
        for port, source in sources
    ]


def _testers(config: Config) -> list[tuple[int, str]]:
    """Who may reach each port at which new versions are."""
    tests = {unit.test for unit in units(config) if isinstance(unit.test, GreenPort)}
    return sorted({(test.port, cidr) for test in tests for cidr in test.source_cidrs})


def _signs_in(config: Config) -> bool:
    return any(isinstance(service, WebService) and service.sign_in for service in config.services.values())


def _to_provider() -> ec2.SecurityGroupRule:
    """The load balancer asks a provider for tokens itself, by IPv4 only.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html
    """
    return ec2.SecurityGroupRule(
        Description="The provider that users sign in at",
        IpProtocol="tcp",
        FromPort=HTTPS,
        ToPort=HTTPS,
        CidrIp="0.0.0.0/0",
    )


def _to_nowhere() -> ec2.SecurityGroupRule:
    """A group without any egress rule is given one to everywhere. This one leads nowhere."""
    return ec2.SecurityGroupRule(
        Description="Nowhere by default", IpProtocol="icmp", FromPort=252, ToPort=86, CidrIp="255.255.255.255/32"
    )


def _mutual_tls(stack: Stack, clients: AnyClient | TrustStore | CaBundle) -> elb.MutualAuthentication:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/mutual-authentication.html"""
    if isinstance(clients, AnyClient):
        return elb.MutualAuthentication(Mode="passthrough")
    store: object
    if isinstance(clients, TrustStore):
        store = clients.trust_store_arn
    else:
        made = elb.TrustStore(
            "TrustStore",
            # A name is asked for, is the region's only one of 32 characters, and is never changed: the stack's own id
            # has what no other has.
            Name=Join("-", ["clients", Select(4, Split("-", Select(2, Split("/", Ref("AWS::StackId")))))]),
            CaCertificatesBundleS3Bucket=clients.bucket,
            CaCertificatesBundleS3Key=clients.key,
        )
        if clients.version:
            made.CaCertificatesBundleS3ObjectVersion = clients.version
        store = stack.add(made).ref()
    return elb.MutualAuthentication(Mode="verify", TrustStoreArn=store, IgnoreClientCertificateExpiry=clients.expired)


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


def _log_bucket(stack: Stack, days: int, logs: BucketName | None) -> tuple[s3.Bucket, s3.BucketPolicy]:
    bucket = stack.add(expiring_bucket("AccessLogs", days, "RetainExceptOnCreate", logs=logs))
    policy = stack.add(
        s3.BucketPolicy(
            "AccessLogsPolicy", Bucket=bucket.ref(), PolicyDocument=receive_balancer_logs(bucket.get_att("Arn"))
        )
    )
    return bucket, policy


def shift_by_itself(stack: Stack, balancer: elb.LoadBalancer, errors: cloudwatch.Alarm) -> None:
    """Let AWS shift the load balancer away from a zone. A practice run ends, and has failed, once `errors` fires.

    https://docs.aws.amazon.com/r53recovery/latest/dg/arc-zonal-autoshift.html
    """
    from troposphere import arczonalshift  # here, for most sets have none

    stack.add(
        arczonalshift.ZonalAutoshiftConfiguration(
            "Autoshift",
            ResourceIdentifier=balancer.ref(),
            ZonalAutoshiftStatus="ENABLED",
            PracticeRunConfiguration=arczonalshift.PracticeRunConfiguration(
                OutcomeAlarms=[arczonalshift.ControlCondition(Type="CLOUDWATCH", AlarmIdentifier=errors.get_att("Arn"))]
            ),
        )
    )
