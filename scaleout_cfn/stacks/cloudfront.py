"""CloudFront in front of an internal load balancer, by a VPC origin: part of the load balancer's stack."""

from __future__ import annotations

from typing import NamedTuple

from troposphere import Join, Sub, cloudfront
from troposphere import elasticloadbalancingv2 as elb
from troposphere.validators.route53 import AliasTarget

from scaleout_cfn.config import CloudFront, Config, Domain, Http, NewLoadBalancer, WebService
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.records import alias_records, of_host
from scaleout_cfn.values import DnsName, HostedZoneId, Text

#: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHE_POLICIES = {
    "CachingDisabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "UseOriginCacheControlHeaders": "83da9c7e-98b4-4e11-a168-04f0df8e2c65",
    "UseOriginCacheControlHeaders-QueryStrings": "4cc15a8a-d715-48a4-82b8-cc0b614638fe",
}
#: AllViewer: the listener's rules, the service, and a provider that users sign in at see what the client has sent,
#: host included.
#: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
#: The zone of every distribution.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-route53-recordset-aliastarget.html
ZONE = "Z2FDTNDATAQYW2"
#: https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_VpcOriginConfig.html
MOST_READ_S = 120
TLS_POLICY = "TLSv1.2_2021"


class Front(NamedTuple):
    """What clients and records of names find instead of the load balancer."""

    dns_name: DnsName
    zone: HostedZoneId
    url: Text


def distribution(stack: Stack, config: Config, front: CloudFront, balancer: elb.LoadBalancer) -> Front:
    """The distribution, its way to the load balancer, and records of its aliases.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
    """
    settings = config.load_balancer
    assert isinstance(settings, NewLoadBalancer)
    secure = not isinstance(settings.listener, Http)
    way = stack.add(
        cloudfront.VpcOrigin(
            # An origin that a distribution uses cannot be changed: with another protocol it is another.
            # https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_UpdateVpcOrigin.html
            "HttpsOrigin" if secure else "HttpOrigin",
            VpcOriginEndpointConfig=cloudfront.VpcOriginEndpointConfig(
                Name=Sub("${AWS::StackName}-https" if secure else "${AWS::StackName}-http"),
                Arn=balancer.ref(),
                OriginProtocolPolicy="https-only" if secure else "http-only",
                OriginSSLProtocols=["TLSv1.2"],
            ),
        )
    )
    made = stack.add(
        cloudfront.Distribution(
            "Distribution",
            DistributionConfig=cloudfront.DistributionConfig(
                Enabled=True,
                HttpVersion="http2and3",
                IPV6Enabled=config.network.ipv6,
                Origins=[
                    cloudfront.Origin(
                        Id="LoadBalancer",
                        # No address is looked up by it: it has to be a name that the listener's certificate is for.
                        DomainName=balancer.get_att("DNSName")
                        if isinstance(settings.listener, Http)
                        else settings.listener.domain_name,
                        VpcOriginConfig=cloudfront.VpcOriginConfig(
                            VpcOriginId=way.ref(), OriginReadTimeout=min(settings.idle_timeout_s, MOST_READ_S)
                        ),
                    )
                ],
                DefaultCacheBehavior=cloudfront.DefaultCacheBehavior(
                    TargetOriginId="LoadBalancer",
                    ViewerProtocolPolicy="redirect-to-https",
                    AllowedMethods=["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"],
                    CachePolicyId=CACHE_POLICIES[front.cache_policy],
                    OriginRequestPolicyId=ALL_VIEWER,
                    Compress=True,
                ),
            ),
        )
    )
    if front.aliases:
        made.DistributionConfig.Aliases = list(front.aliases)
        made.DistributionConfig.ViewerCertificate = cloudfront.ViewerCertificate(
            AcmCertificateArn=front.certificate_arn, SslSupportMethod="sni-only", MinimumProtocolVersion=TLS_POLICY
        )
    if front.web_acl_arn:
        made.DistributionConfig.WebACLId = front.web_acl_arn
    name = DnsName(made.get_att("DomainName"))
    if front.hosted_zone_id:
        _records(stack, config, front, name)
    alias = next((alias for alias in front.aliases if not alias.startswith("*")), "")
    return Front(name, HostedZoneId(ZONE), Text(f"https://{alias}" if alias else Join("", ["https://", name])))


def _records(stack: Stack, config: Config, front: CloudFront, name: DnsName) -> None:
    """Those of the aliases that neither the listener's domain nor a route makes."""
    settings = config.load_balancer
    assert isinstance(settings, NewLoadBalancer)
    made = {settings.listener.domain_name} if isinstance(settings.listener, Domain) else set()
    for service in config.services.values():
        if isinstance(service, WebService) and service.route.hosted_zone_id:
            made |= {*service.route.hosts}
    target = AliasTarget(HostedZoneId=ZONE, DNSName=name)
    for alias in front.aliases:
        if alias not in made:
            alias_records(stack, config, of_host("FrontRecord", alias), alias, front.hosted_zone_id, target)
