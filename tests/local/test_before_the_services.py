"""What stands before the services comes to a running set, is changed and goes again, on the emulator."""

from __future__ import annotations

from typing import Any

import msgspec
from one_service import one_service
from stacks.test_before_the_services import OIDC

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_rendered_sets import FRONT, IMAGE, brought, with_domain
from .test_routing import answer, asked, balancer, path, rule

replace = msgspec.structs.replace
DOMAIN = sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ")
PLAIN = one_service(registry=sc.Registry(empty_on_delete=True), load_balancer=sc.NewLoadBalancer(listener=DOMAIN))
IMAGES = {"WebImageUri": IMAGE + "1" * 64}


def test_a_web_acl_comes_changes_and_goes_and_nothing_else_with_it(account: Account) -> None:
    config = with_domain(account, PLAIN)

    def under(waf: Any) -> dict[str, str]:
        behind = replace(config, load_balancer=replace(config.load_balancer, waf=waf))
        return brought(account, behind, **IMAGES)

    under(None)
    waf = account.client("wafv2")
    (arn,) = [one["LoadBalancerArn"] for one in account.client("elbv2").describe_load_balancers()["LoadBalancers"]]
    assert all(path.startswith("Firewall") for path in under(sc.NewWebAcl()))
    acl = waf.get_web_acl_for_resource(ResourceArn=arn)["WebACL"]
    assert all("Count" in {**rule.get("Action", {}), **rule.get("OverrideAction", {})} for rule in acl["Rules"])
    (group,) = account.client("logs").describe_log_groups(logGroupNamePrefix="aws-waf-logs-web-Firewall-")["logGroups"]
    assert group["retentionInDays"] == 30
    plan = under(sc.NewWebAcl(mode="block", rate_limit=100))
    # In place, so that the load balancer is never without one.
    assert plan == {"Firewall": "False", "Firewall/WebAcl": "False"}
    blocking = waf.get_web_acl_for_resource(ResourceArn=arn)["WebACL"]
    assert blocking["ARN"] == acl["ARN"]
    assert blocking["Rules"][0]["Action"] == {"Block": {}}
    under(None)
    assert waf.list_web_acls(Scope="REGIONAL")["WebACLs"] == []
    assert account.client("logs").describe_log_groups(logGroupNamePrefix="aws-waf-logs-")["logGroups"] == []


def test_cloudfront_takes_over_a_name_that_led_to_the_load_balancer(account: Account) -> None:
    config = with_domain(account, PLAIN)
    assert isinstance(config.load_balancer, sc.NewLoadBalancer)
    listener = config.load_balancer.listener
    assert isinstance(listener, sc.Domain)

    def target() -> str:
        records = account.client("route53").list_resource_record_sets(HostedZoneId=listener.hosted_zone_id)
        (found,) = [one for one in records["ResourceRecordSets"] if one["Type"] == "A"]
        return str(found["AliasTarget"]["DNSName"])

    internal = replace(config.load_balancer, scheme="internal", allowed_prefix_lists={"pl-3b927c52": 55})
    brought(account, replace(config, load_balancer=internal), **IMAGES)
    assert ".elb." in target()
    brought(account, replace(config, load_balancer=replace(internal, cloudfront=FRONT)), **IMAGES)
    # One record, changed in place: a second one of its name would be refused.
    assert target().rstrip(".").endswith(".cloudfront.net")
    brought(account, replace(config, load_balancer=internal), **IMAGES)
    assert ".elb." in target()


def test_who_has_not_signed_in_is_sent_to_the_provider(account: Account) -> None:
    config = {
        "Issuer": OIDC.issuer,
        "AuthorizationEndpoint": OIDC.authorization_endpoint,
        "TokenEndpoint": OIDC.token_endpoint,
        "UserInfoEndpoint": OIDC.user_info_endpoint,
        "ClientId": OIDC.client_id,
        "ClientSecret": "stand-in",
    }
    signed = rule(1, path("/app"), action={"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config})
    signed["Properties"]["Actions"].append({**answer("the app"), "Order": 2})
    denied = rule(2, path("/api"), action={"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": config})
    denied["Properties"]["Actions"] = [
        {
            "Type": "authenticate-oidc",
            "Order": 1,
            "AuthenticateOidcConfig": {**config, "OnUnauthenticatedRequest": "deny"},
        },
        {**answer("the api"), "Order": 2},
    ]
    helpers.stands(account, balancer(App=signed, Api=denied))
    assert asked(account, "/app")[0] == 302
    assert asked(account, "/api")[0] == 401
