"""What excludes each other before the services is told by its key, with the cure, and its counterpart is allowed."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from stacks.helpers import CERTIFICATE, DOMAIN
from stacks.test_before_the_services import COGNITO, OIDC

import scaleout_cfn as sc
from scaleout_cfn.config.balancer import RuleGroup
from scaleout_cfn.config.conflicts import conflicts, remarks

replace = msgspec.structs.replace
LIST = {"pl-3b927c52": 55}
EXISTING = sc.ExistingLoadBalancer(
    load_balancer_arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shared/0a1b",
    listener_arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shared/0a1b/0c",
    security_group_id="sg-0123456789abcdef0",
    url="https://shared.example.com",
)
US_CERTIFICATE = CERTIFICATE.replace("eu-west-1", "us-east-1")
FRONT = sc.CloudFront(aliases=("shop.example.com",), certificate_arn=US_CERTIFICATE)
THERE = sc.ExistingVpc(vpc_id="vpc-0123456789abcdef0")


def balancer(*, network: Any = None, service: Any = None, region: str = "", **settings: Any) -> sc.Config:
    return sc.Config(
        region=region,
        network=network or sc.NewVpc(),
        load_balancer=sc.NewLoadBalancer(**settings),
        services={"web": service or sc.WebService()},
    )


def fronted(front: sc.CloudFront = FRONT, **settings: Any) -> sc.Config:
    usual: dict[str, Any] = {"scheme": "internal", "allowed_prefix_lists": LIST, "listener": DOMAIN}
    return balancer(cloudfront=front, **{**usual, **settings})


def signed_in(sign_in: Any = OIDC, **settings: Any) -> sc.Config:
    return balancer(service=sc.WebService(sign_in=sign_in), **{"listener": DOMAIN, **settings})


def shared(url: str) -> sc.Config:
    service = sc.WebService(sign_in=OIDC, route=sc.Route(paths=("/a",)))
    return sc.Config(network=THERE, load_balancer=replace(EXISTING, url=url), services={"web": service})


@pytest.mark.parametrize(
    ("allowed", "refused", "key"),
    [
        (
            balancer(allowed_cidrs=("192.0.2.0/24",)),
            balancer(allowed_cidrs=("192.0.2.0/24", "192.0.2.0/24")),
            "load_balancer.allowed_cidrs",
        ),
        (
            balancer(allowed_cidrs=("2001:db8::/32",), network=sc.NewVpc(ipv6=True)),
            balancer(allowed_cidrs=("2001:db8::/32",)),
            "load_balancer.allowed_cidrs",
        ),
        (
            balancer(waf=sc.NewWebAcl(rule_groups=("Common", "SQLi"))),
            balancer(waf=sc.NewWebAcl(rule_groups=("Common", "Common"))),
            "load_balancer.waf.rule_groups",
        ),
        (
            balancer(waf=sc.NewWebAcl(counted_rules={"Common": ("a", "b")})),
            balancer(waf=sc.NewWebAcl(counted_rules={"Common": ("a", "a")})),
            "load_balancer.waf.counted_rules.Common",
        ),
        (
            balancer(waf=sc.NewWebAcl(counted_rules={"Common": ("a",)})),
            balancer(waf=sc.NewWebAcl(counted_rules={"SQLi": ("a",)})),
            "load_balancer.waf.counted_rules.SQLi",
        ),
        (
            balancer(waf=sc.NewWebAcl(counted_rules={"Common": ("a",)})),
            balancer(waf=sc.NewWebAcl(counted_rules={"Common": ()})),
            "load_balancer.waf.counted_rules.Common",
        ),
        (
            balancer(waf=sc.NewWebAcl(rate_limit=10)),
            balancer(waf=sc.NewWebAcl(rate_limit=9)),
            "load_balancer.waf.rate_limit",
        ),
        (
            balancer(waf=sc.NewWebAcl(rate_limit=10, rule_groups=())),
            balancer(waf=sc.NewWebAcl(rate_limit=0, rule_groups=())),
            "load_balancer.waf",
        ),
        (fronted(), fronted(scheme="internet-facing"), "load_balancer.scheme"),
        (fronted(), fronted(allowed_prefix_lists={}), "load_balancer.allowed_prefix_lists"),
        (fronted(), fronted(network=sc.NewVpc(egress="public-subnets")), "network.egress"),
        (fronted(), fronted(waf=sc.NewWebAcl()), "load_balancer.waf"),
        (
            fronted(),
            fronted(listener=replace(DOMAIN, client_certificates=sc.AnyClient())),
            "load_balancer.listener.client_certificates",
        ),
        (
            fronted(sc.CloudFront(), listener=sc.Http(), region="eu-west-1"),
            fronted(sc.CloudFront(), listener=sc.Http(), region="us-gov-west-1"),
            "load_balancer.cloudfront",
        ),
        (fronted(), fronted(replace(FRONT, certificate_arn="")), "load_balancer.cloudfront.certificate_arn"),
        (
            fronted(sc.CloudFront(), listener=sc.Http()),
            fronted(sc.CloudFront(certificate_arn=US_CERTIFICATE), listener=sc.Http()),
            "load_balancer.cloudfront.certificate_arn",
        ),
        (
            fronted(sc.CloudFront(), listener=sc.Http()),
            fronted(sc.CloudFront(hosted_zone_id="Z1"), listener=sc.Http()),
            "load_balancer.cloudfront.hosted_zone_id",
        ),
        (
            fronted(replace(FRONT, aliases=("*.example.com",))),
            fronted(replace(FRONT, aliases=("*.shop.example.com",))),
            "load_balancer.cloudfront.aliases",
        ),
        (
            fronted(replace(FRONT, aliases=("shop.example.com", "a.example.com"))),
            fronted(replace(FRONT, aliases=("shop.example.com", "shop.example.com"))),
            "load_balancer.cloudfront.aliases",
        ),
        (
            fronted(service=sc.WebService(route=sc.Route(hosts=("shop.example.com",)))),
            fronted(service=sc.WebService(route=sc.Route(hosts=("a.example.com",), certificate_arn=CERTIFICATE))),
            "load_balancer.cloudfront.aliases",
        ),
        (
            fronted(service=sc.WebService(protocol="http2")),
            fronted(service=sc.WebService(protocol="grpc", health_check=sc.HealthCheck(codes="12"))),
            "services.web.protocol",
        ),
        (
            fronted(service=sc.WebService(sign_in=OIDC)),
            fronted(replace(FRONT, cache_policy="UseOriginCacheControlHeaders"), service=sc.WebService(sign_in=OIDC)),
            "load_balancer.cloudfront.cache_policy",
        ),
        (signed_in(), signed_in(listener=sc.Http()), "services.web.sign_in"),
        (signed_in(COGNITO), signed_in(COGNITO, listener=sc.Http()), "services.web.sign_in"),
        (
            signed_in(scheme="internal"),
            signed_in(scheme="internal", network=sc.NewVpc(egress="endpoints")),
            "network.egress",
        ),
        (
            signed_in(network=sc.NewVpc(egress="public-subnets")),
            signed_in(scheme="internal", network=sc.NewVpc(egress="public-subnets")),
            "network.egress",
        ),
        (shared("https://shared.example.com"), shared("http://shared.example.com"), "services.web.sign_in"),
    ],
)
def test_what_excludes_each_other_before_the_services_is_told(allowed: sc.Config, refused: sc.Config, key: str) -> None:
    assert [str(conflict) for conflict in conflicts(allowed)] == []
    assert [conflict.key for conflict in conflicts(refused)] == [key]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_cidrs", ("192.0.2.0/24",)),
        ("allowed_prefix_lists", LIST),
        ("waf", sc.NewWebAcl()),
        ("cloudfront", FRONT),
        ("maintenance", True),
    ],
)
def test_without_a_web_service_there_is_nothing_to_stand_before(name: str, value: Any) -> None:
    config = sc.Config(services={"mailer": sc.WorkerService()}, load_balancer=sc.NewLoadBalancer(**{name: value}))
    (conflict,) = conflicts(config)
    assert conflict.key == f"load_balancer.{name}"
    assert "no web service" in conflict.what


@pytest.mark.parametrize("section", ["waf", "cloudfront", "allowed_cidrs", "allowed_prefix_lists"])
def test_before_a_load_balancer_that_is_there_stands_what_its_owner_put_there(section: str, tmp_path: Any) -> None:
    path = tmp_path / "scaleout.toml"
    lines = [f'{name} = "{value}"' for name, value in msgspec.to_builtins(EXISTING).items()]
    path.write_text("\n".join(["[load_balancer]", *lines, f"{section} = {{}}"]), encoding="utf-8")
    with pytest.raises(sc.ConfigError) as refused:
        sc.load(path)
    (problem,) = refused.value.problems
    assert f"load_balancer.{section}" in problem
    assert 'it goes with kind = "new", and not with "existing"' in problem
    assert "that are there already, shared with others" in problem


ACCOUNT, OTHER = "123456789012", "210987654321"
UUID = "0a1b2c3d-1234-1234-1234-0123456789ab"


def placed(key: str, account: str, region: str) -> sc.Config:
    """A set of eu-west-1 that names one thing, by its key, of an account and region."""
    elb = f"arn:aws:elasticloadbalancing:{region}:{account}"
    config = {
        "load_balancer.waf.web_acl_arn": balancer(
            waf=sc.ExistingWebAcl(web_acl_arn=f"arn:aws:wafv2:{region}:{account}:regional/webacl/a/{UUID}")
        ),
        "load_balancer.listener.client_certificates.trust_store_arn": balancer(
            listener=replace(DOMAIN, client_certificates=sc.TrustStore(trust_store_arn=f"{elb}:truststore/a/0b"))
        ),
        "load_balancer.cloudfront.certificate_arn": fronted(
            replace(FRONT, certificate_arn=f"arn:aws:acm:us-east-1:{account}:certificate/{UUID}")
        ),
        "load_balancer.cloudfront.web_acl_arn": fronted(
            replace(FRONT, web_acl_arn=f"arn:aws:wafv2:us-east-1:{account}:global/webacl/a/{UUID}")
        ),
        "services.web.sign_in.client_secret": signed_in(
            replace(OIDC, client_secret=f"arn:aws:secretsmanager:{region}:{account}:secret:a-AbCdEf")
        ),
        "services.web.sign_in.user_pool_arn": signed_in(
            replace(COGNITO, user_pool_arn=f"arn:aws:cognito-idp:{region}:{account}:userpool/{region}_A")
        ),
    }[key]
    return replace(config, account_id=ACCOUNT, region="eu-west-1")


@pytest.mark.parametrize(
    ("key", "of_account", "of_region"),
    [
        ("load_balancer.waf.web_acl_arn", True, True),
        ("load_balancer.listener.client_certificates.trust_store_arn", False, True),
        ("load_balancer.cloudfront.certificate_arn", True, False),
        ("load_balancer.cloudfront.web_acl_arn", True, False),
        ("services.web.sign_in.client_secret", False, True),
        ("services.web.sign_in.user_pool_arn", False, False),
    ],
)
def test_what_is_named_is_of_the_account_and_region_that_aws_takes_it_from(
    key: str, of_account: bool, of_region: bool
) -> None:
    assert conflicts(placed(key, ACCOUNT, "eu-west-1")) == []
    for other, has_to_be in (((OTHER, "eu-west-1"), of_account), ((ACCOUNT, "us-east-2"), of_region)):
        assert [conflict.key for conflict in conflicts(placed(key, *other))] == [key] * has_to_be


def cidrs(number: int) -> tuple[str, ...]:
    return tuple(f"192.0.2.{last}/32" for last in range(number))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (balancer(listener=DOMAIN, allowed_cidrs=cidrs(30)), ""),
        (balancer(listener=DOMAIN, allowed_cidrs=cidrs(31)), "are 62 rules"),
        (balancer(allowed_cidrs=cidrs(60)), ""),
        (balancer(allowed_cidrs=cidrs(61)), "are 61 rules"),
        (balancer(allowed_cidrs=cidrs(5), allowed_prefix_lists=LIST), ""),
        (balancer(allowed_cidrs=cidrs(6), allowed_prefix_lists=LIST), "are 61 rules"),
        (balancer(allowed_prefix_lists={**LIST, "pl-0a1b2c3d": 6}), "are 61 rules"),
        # Each family by itself.
        (balancer(allowed_cidrs=(*cidrs(60), "2001:db8::/32"), network=sc.NewVpc(ipv6=True)), ""),
        (balancer(waf=sc.NewWebAcl(rule_groups=("Common", "SQLi", "Linux", "Windows", "KnownBadInputs"))), "1502 web"),
        (balancer(waf=sc.NewWebAcl(rule_groups=("Common", "SQLi", "Linux", "Windows", "PHP"))), ""),
        # All there are, and a rate limit.
        (balancer(waf=sc.NewWebAcl(rule_groups=get_args(RuleGroup))), "are 1977 web ACL capacity units"),
        (sc.Config(network=THERE, load_balancer=EXISTING), ""),
    ],
)
def test_what_an_account_does_not_begin_with_or_what_costs_more_is_remarked_on(config: sc.Config, told: str) -> None:
    said = [str(remark) for remark in remarks(config)]
    assert (told in said[0] and said[0].startswith("load_balancer.")) if told else said == []
