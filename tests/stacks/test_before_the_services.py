"""What stands before the services: who may reach the load balancer, a web ACL, signing in, client certificates,
CloudFront."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

import scaleout_cfn as sc
from scaleout_cfn.config.balancer_conflicts import UNITS
from stacks.helpers import CERTIFICATE, DOMAIN, Templates, att, made, of_type, properties, ref, resource

replace = msgspec.structs.replace
CLOUDFRONT_LIST = "pl-3b927c52"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf"
OIDC = sc.Oidc(
    issuer="https://id.example.com",
    authorization_endpoint="https://id.example.com/authorize",
    token_endpoint="https://id.example.com/token",
    user_info_endpoint="https://id.example.com/me",
    client_id="shop",
    client_secret=SECRET,
)
COGNITO = sc.Cognito(
    user_pool_arn="arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI",
    client_id="3abc",
    domain="shop",
    otherwise="deny",
    session_s=60,
    scope="openid email",
)
FRONT = sc.CloudFront(
    aliases=("shop.example.com", "*.example.com"),
    certificate_arn=CERTIFICATE.replace("eu-west-1", "us-east-1"),
    hosted_zone_id="Z0123456789",
)


def balancer(listener: Any = DOMAIN, *, ipv6: bool = False, service: Any = None, **settings: Any) -> Templates:
    return made(
        load_balancer=sc.NewLoadBalancer(listener=listener, **settings),
        network=sc.NewVpc(ipv6=ipv6),
        service=service or sc.WebService(),
    )


def fronted(listener: Any = DOMAIN, front: sc.CloudFront = FRONT, **settings: Any) -> Templates:
    lists = {CLOUDFRONT_LIST: 55}
    return balancer(listener, scheme="internal", allowed_prefix_lists=lists, cloudfront=front, **settings)


def let_in(templates: Templates) -> set[tuple[int, str]]:
    rules = properties(templates, "load-balancer", "SecurityGroup")["SecurityGroupIngress"]
    sources = ("CidrIp", "CidrIpv6", "SourcePrefixListId")
    return {(rule["FromPort"], next(rule[source] for source in sources if source in rule)) for rule in rules}


# --- who may reach the load balancer


def test_only_the_ranges_that_are_named_are_let_in_and_to_every_port() -> None:
    named = balancer(allowed_cidrs=("192.0.2.0/24", "2001:db8::/32"), ipv6=True)
    assert let_in(named) == {(port, cidr) for port in (80, 443) for cidr in ("192.0.2.0/24", "2001:db8::/32")}


def test_a_prefix_list_is_let_in_to_the_port_that_serves_and_counts_once() -> None:
    # Twice CloudFront's would be more rules than a group may have.
    both = balancer(allowed_cidrs=("192.0.2.0/24",), allowed_prefix_lists={CLOUDFRONT_LIST: 55})
    assert let_in(both) == {(80, "192.0.2.0/24"), (443, "192.0.2.0/24"), (443, CLOUDFRONT_LIST)}
    assert "RedirectListener" in both["load-balancer.yaml"]["Resources"]
    alone = balancer(allowed_prefix_lists={CLOUDFRONT_LIST: 55})
    assert let_in(alone) == {(443, CLOUDFRONT_LIST)}
    # Nobody could reach it.
    assert "RedirectListener" not in alone["load-balancer.yaml"]["Resources"]
    assert let_in(balancer(sc.Http(), allowed_prefix_lists={CLOUDFRONT_LIST: 55})) == {(80, CLOUDFRONT_LIST)}


# --- the web ACL

#: Its ARN, made of its Ref: a GetAtt would have what takes it perhaps be replaced with each change of a rule.
WEB_ACL = {
    "Fn::Sub": [
        "arn:${AWS::Partition}:wafv2:${AWS::Region}:${AWS::AccountId}:regional/webacl/${Name}/${Id}",
        {name: {"Fn::Select": [at, {"Fn::Split": ["|", ref("WebAcl")]}]} for at, name in enumerate(("Name", "Id"))},
    ]
}


def rules(**settings: Any) -> list[dict[str, Any]]:
    acl = properties(balancer(waf=sc.NewWebAcl(**settings)), "firewall", "WebAcl")
    assert (acl["Scope"], acl["DefaultAction"]) == ("REGIONAL", {"Allow": {}})
    assert [rule["Priority"] for rule in acl["Rules"]] == sorted({rule["Priority"] for rule in acl["Rules"]})
    found: list[dict[str, Any]] = acl["Rules"]
    return found


def test_a_web_acl_counts_first_and_blocks_once_it_is_told_to() -> None:
    for mode, of_group, of_rate in (("count", "Count", "Count"), ("block", "None", "Block")):
        rate, *groups = rules(mode=mode)
        assert (rate["Name"], rate["Action"]) == ("RateLimit", {of_rate: {}})
        assert all(rule["OverrideAction"] == {of_group: {}} for rule in groups)
    assert sc.NewWebAcl().mode == "count"


def test_a_rule_that_is_a_false_alarm_counts_while_its_group_blocks() -> None:
    _, first, second, *_ = rules(mode="block", rule_groups=("SQLi", "Common"), counted_rules={"Common": ("A", "B")})
    assert "RuleActionOverrides" not in first["Statement"]["ManagedRuleGroupStatement"]
    assert second["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"] == [
        {"Name": name, "ActionToUse": {"Count": {}}} for name in ("A", "B")
    ]
    assert second["OverrideAction"] == {"None": {}}


def test_requests_are_limited_by_address_in_a_window_or_not_at_all() -> None:
    rate, *_ = rules(rate_limit=100, rate_window_s=60)
    assert rate["Statement"] == {
        "RateBasedStatement": {"Limit": 100, "EvaluationWindowSec": 60, "AggregateKeyType": "IP"}
    }
    assert [rule["Name"] for rule in rules(rate_limit=0, rule_groups=("SQLi",))] == ["SQLi"]


def test_rule_groups_are_aws_s_own_in_the_order_that_is_written() -> None:
    _, *groups = rules(rule_groups=tuple(UNITS))
    statements = [rule["Statement"]["ManagedRuleGroupStatement"] for rule in groups]
    assert all(statement["VendorName"] == "AWS" for statement in statements)
    names = [statement["Name"] for statement in statements]
    assert len(set(names)) == len(UNITS)
    assert all(name.startswith("AWSManagedRules") for name in names)
    assert [rule["Name"] for rule in groups] == list(UNITS)


def test_what_the_web_acl_logs_is_named_as_waf_wants_it_and_hides_who_somebody_is() -> None:
    templates = balancer(waf=sc.NewWebAcl())
    group = resource(templates, "firewall", "Logs")
    assert group["Properties"]["LogGroupName"] == {"Fn::Sub": "aws-waf-logs-${AWS::StackName}"}
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("Delete", "Delete")
    logging = properties(templates, "firewall", "Logging")
    assert logging["ResourceArn"] == WEB_ACL
    ((text, names),) = [destination["Fn::Sub"] for destination in logging["LogDestinationConfigs"]]
    # A log group's own Arn ends in :*, which WAF refuses.
    assert text.endswith(":log-group:${Logs}")
    assert names == {"Logs": ref("Logs")}
    ((hidden,),) = properties(templates, "firewall", "WebAcl")["DataProtectionConfig"].values()
    assert hidden == {
        "Action": "SUBSTITUTION",
        "Field": {"FieldType": "SINGLE_HEADER", "FieldKeys": ["authorization", "cookie"]},
    }
    silent = balancer(waf=sc.NewWebAcl(logs=False))["firewall.yaml"]["Resources"]
    assert set(silent) == {"WebAcl", "Association"}


def test_the_load_balancer_is_behind_the_web_acl_that_is_made_or_given() -> None:
    given = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/0a1b2c3d-1234-1234-1234-0123456789ab"
    for waf, web_acl in ((sc.NewWebAcl(), WEB_ACL), (sc.ExistingWebAcl(web_acl_arn=given), given)):
        association = properties(balancer(waf=waf), "firewall", "Association")
        assert association["WebACLArn"] == web_acl
        text, names = association["ResourceArn"]["Fn::Sub"]
        assert text.endswith(":loadbalancer/${Name}")
        assert names == {"Name": ref("LoadBalancerName")}
    existing = balancer(waf=sc.ExistingWebAcl(web_acl_arn=given))["firewall.yaml"]["Resources"]
    assert set(existing) == {"Association"}
    assert "firewall.yaml" not in balancer()


def test_nothing_needs_the_web_acl() -> None:
    root = balancer(waf=sc.NewWebAcl())["root.yaml"]
    others = {title: body for title, body in root["Resources"].items() if title != "Firewall"}
    # So that a change of its rules shows nothing else as perhaps replaced.
    assert "Firewall" not in str([others, root["Outputs"]])


# --- signing in


def actions(sign_in: Any, **service: Any) -> list[dict[str, Any]]:
    templates = balancer(service=sc.WebService(sign_in=sign_in, **service))
    found: list[dict[str, Any]] = properties(templates, "web-foundation", "Rule")["Actions"]
    return found


def test_users_sign_in_before_a_request_is_forwarded() -> None:
    first, last = actions(OIDC)
    assert (first["Type"], first["Order"], last["Type"], last["Order"]) == ("authenticate-oidc", 1, "forward", 2)
    config = first["AuthenticateOidcConfig"]
    assert (config["Issuer"], config["TokenEndpoint"]) == ("https://id.example.com", "https://id.example.com/token")
    assert (config["AuthorizationEndpoint"], config["UserInfoEndpoint"]) == (
        "https://id.example.com/authorize",
        "https://id.example.com/me",
    )
    assert (config["ClientId"], config["Scope"], config["OnUnauthenticatedRequest"]) == (
        "shop",
        "openid",
        "authenticate",
    )
    (alone,) = actions(None)
    assert "Order" not in alone
    first, _ = actions(COGNITO)
    config = first["AuthenticateCognitoConfig"]
    assert first["Type"] == "authenticate-cognito"
    assert (config["UserPoolArn"], config["UserPoolClientId"], config["UserPoolDomain"]) == (
        COGNITO.user_pool_arn,
        "3abc",
        "shop",
    )
    assert (config["Scope"], config["OnUnauthenticatedRequest"], config["SessionTimeout"]) == (
        "openid email",
        "deny",
        "60",
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (SECRET, f"{SECRET}:SecretString"),
        (f"{SECRET}:secret::", f"{SECRET}:SecretString:secret"),
        (f"{SECRET}:secret:AWSPREVIOUS:", f"{SECRET}:SecretString:secret:AWSPREVIOUS"),
        (f"{SECRET}:::v1", f"{SECRET}:SecretString:::v1"),
    ],
)
def test_the_client_s_secret_is_read_by_cloudformation_and_in_no_template(given: str, read: str) -> None:
    first, _ = actions(replace(OIDC, client_secret=given))
    assert first["AuthenticateOidcConfig"]["ClientSecret"] == f"{{{{resolve:secretsmanager:{read}}}}}"


def test_services_of_one_client_share_a_session_and_those_of_others_have_their_own() -> None:
    def cookie(**changes: Any) -> str:
        first, _ = actions(replace(OIDC, **changes))
        return str(first["AuthenticateOidcConfig"]["SessionCookieName"])

    assert cookie() == cookie(scope="openid email")
    assert len({cookie(), cookie(client_id="other"), cookie(issuer="https://other.example.com")}) == 3


def test_the_load_balancer_reaches_a_provider_where_users_sign_in() -> None:
    (rule,) = properties(balancer(service=sc.WebService(sign_in=OIDC)), "load-balancer", "SecurityGroup")[
        "SecurityGroupEgress"
    ]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == ("tcp", 443, 443, "0.0.0.0/0")


# --- client certificates


def test_clients_prove_who_they_are_by_a_trust_store_or_a_bundle() -> None:
    def of(clients: Any) -> Templates:
        return balancer(replace(DOMAIN, client_certificates=clients))

    given = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:truststore/clients/0a1b2c3d4e5f6071"
    listener = properties(of(sc.TrustStore(trust_store_arn=given, expired=True)), "load-balancer", "Listener")
    assert listener["MutualAuthentication"] == {
        "Mode": "verify",
        "TrustStoreArn": given,
        "IgnoreClientCertificateExpiry": True,
    }
    bundle = of(sc.CaBundle(bucket="authorities", key="ca.pem", version="v1"))
    assert properties(bundle, "load-balancer", "Listener")["MutualAuthentication"] == {
        "Mode": "verify",
        "TrustStoreArn": ref("TrustStore"),
        "IgnoreClientCertificateExpiry": False,
    }
    store = properties(bundle, "load-balancer", "TrustStore")
    assert (store["CaCertificatesBundleS3Bucket"], store["CaCertificatesBundleS3Key"]) == ("authorities", "ca.pem")
    assert store["CaCertificatesBundleS3ObjectVersion"] == "v1"
    newest = properties(of(sc.CaBundle(bucket="authorities", key="ca.pem")), "load-balancer", "TrustStore")
    assert "CaCertificatesBundleS3ObjectVersion" not in newest
    passed = properties(of(sc.AnyClient()), "load-balancer", "Listener")["MutualAuthentication"]
    assert passed == {"Mode": "passthrough"}
    assert "MutualAuthentication" not in properties(balancer(), "load-balancer", "Listener")


def test_a_trust_store_s_name_is_of_its_stack_alone() -> None:
    listener = replace(DOMAIN, client_certificates=sc.CaBundle(bucket="authorities", key="ca.pem"))
    ((_, (prefix, unique)),) = properties(balancer(listener), "load-balancer", "TrustStore")["Name"].values()
    # The last twelve digits of arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/12345678-1234-1234-1234-123456789012.
    assert unique == {
        "Fn::Select": [4, {"Fn::Split": ["-", {"Fn::Select": [2, {"Fn::Split": ["/", ref("AWS::StackId")]}]}]}]
    }
    # AWS takes 32 characters at most.
    assert len(f"{prefix}-") + 12 <= 32


# --- CloudFront


def test_cloudfront_is_let_in_by_the_one_port_and_comes_by_a_vpc_origin() -> None:
    for listener, port, title, protocol in (
        (DOMAIN, 443, "HttpsOrigin", "https-only"),
        (sc.Http(), 80, "HttpOrigin", "http-only"),
    ):
        templates = fronted(listener)
        assert let_in(templates) == {(port, CLOUDFRONT_LIST)}
        assert len(of_type(templates["load-balancer.yaml"], "ElasticLoadBalancingV2::Listener")) == 1
        way = properties(templates, "load-balancer", title)["VpcOriginEndpointConfig"]
        assert (way["Arn"], way["OriginProtocolPolicy"]) == (ref("LoadBalancer"), protocol)
        # Names are the account's, and both may be there for a while.
        assert way["Name"] == {"Fn::Sub": f"${{AWS::StackName}}-{protocol.removesuffix('-only')}"}
        config = properties(templates, "load-balancer", "Distribution")["DistributionConfig"]
        (origin,) = config["Origins"]
        assert origin["VpcOriginConfig"] == {"VpcOriginId": ref(title), "OriginReadTimeout": 60}
        # With TLS it has to be a name that the listener's certificate is for.
        assert origin["DomainName"] == ("shop.example.com" if port == 443 else att("LoadBalancer", "DNSName"))
        assert properties(templates, "root", "LoadBalancer")["Parameters"]["Subnets"] == att(
            "Network", "Outputs.NodeSubnets"
        )


@pytest.mark.parametrize(("idle", "waits"), [(1, 1), (120, 120), (121, 120)])
def test_cloudfront_waits_as_long_as_the_load_balancer_and_it_can(idle: int, waits: int) -> None:
    config = properties(fronted(idle_timeout_s=idle), "load-balancer", "Distribution")["DistributionConfig"]
    assert config["Origins"][0]["VpcOriginConfig"]["OriginReadTimeout"] == waits


def test_a_request_by_cloudfront_arrives_whole_and_is_answered_anew() -> None:
    config = properties(fronted(), "load-balancer", "Distribution")["DistributionConfig"]
    behaviour = config["DefaultCacheBehavior"]
    assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    # CachingDisabled and AllViewer.
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
    assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert behaviour["OriginRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"
    assert len(behaviour["AllowedMethods"]) == 7
    assert behaviour["Compress"] is True
    policies = set()
    for policy in get_args(sc.CloudFront.__annotations__["cache_policy"].__origin__):
        other = properties(fronted(sc.Http(), sc.CloudFront(cache_policy=policy)), "load-balancer", "Distribution")
        policies.add(other["DistributionConfig"]["DefaultCacheBehavior"]["CachePolicyId"])
    assert len(policies) == 3


def test_a_distribution_answers_to_its_aliases_by_their_certificate() -> None:
    web_acl = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/0a1b2c3d-1234-1234-1234-0123456789ab"
    config = properties(fronted(), "load-balancer", "Distribution")["DistributionConfig"]
    assert config["Aliases"] == ["shop.example.com", "*.example.com"]
    assert config["ViewerCertificate"] == {
        "AcmCertificateArn": FRONT.certificate_arn,
        "SslSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
    }
    assert "WebACLId" not in config
    own = fronted(sc.Http(), sc.CloudFront(web_acl_arn=web_acl))
    config = properties(own, "load-balancer", "Distribution")["DistributionConfig"]
    assert config["WebACLId"] == web_acl
    assert not {"Aliases", "ViewerCertificate"} & config.keys()


def outputs(templates: Templates) -> dict[str, Any]:
    return {name: output["Value"] for name, output in templates["load-balancer.yaml"]["Outputs"].items()}


def test_names_and_urls_lead_to_cloudfront_and_not_past_it() -> None:
    own_name = att("Distribution", "DomainName")
    for listener, front, url in (
        (DOMAIN, FRONT, "https://shop.example.com"),
        (sc.Http(), sc.CloudFront(), {"Fn::Join": ["", ["https://", own_name]]}),
    ):
        told = outputs(fronted(listener, front))
        assert (told["Url"], told["DnsName"], told["CanonicalZone"]) == (url, own_name, "Z2FDTNDATAQYW2")
    records = of_type(fronted(ipv6=True)["load-balancer.yaml"], "Route53::RecordSet")
    assert {(record["Name"], record["Type"]) for record in records.values()} == {
        (name, kind) for name in FRONT.aliases for kind in ("A", "AAAA")
    }
    assert all(
        record["AliasTarget"]["DNSName"] == own_name and record["AliasTarget"]["HostedZoneId"] == "Z2FDTNDATAQYW2"
        for record in records.values()
    )
    # The listener's own record stays the one that it is: another one of its name could not be made beside it.
    assert {"AliasRecord", "AliasRecordIpv6"} < set(records)
    assert all(title.endswith("Ipv6") == (record["Type"] == "AAAA") for title, record in records.items())


def test_another_alias_moves_no_record() -> None:
    def titles(*aliases: str) -> dict[str, str]:
        front = replace(FRONT, aliases=aliases)
        records = of_type(fronted(sc.Http(), front)["load-balancer.yaml"], "Route53::RecordSet")
        return {record["Name"]: title for title, record in records.items()}

    before = titles("shop.example.com", "*.example.com")
    assert before.items() < titles("api.example.com", "*.example.com", "shop.example.com").items()


def test_a_host_without_a_zone_of_its_own_has_its_record_by_the_alias() -> None:
    route = sc.Route(hosts=("api.example.com",), certificate_arn=CERTIFICATE)
    front = sc.CloudFront(
        aliases=("shop.example.com", "api.example.com"),
        certificate_arn=FRONT.certificate_arn,
        hosted_zone_id="Z0123456789",
    )
    records = of_type(
        fronted(front=front, service=sc.WebService(route=route))["load-balancer.yaml"], "Route53::RecordSet"
    )
    assert {record["Name"] for record in records.values()} == {"shop.example.com", "api.example.com"}


def test_a_host_of_a_service_has_its_record_once_and_at_cloudfront() -> None:
    route = sc.Route(hosts=("api.example.com",), hosted_zone_id="Z0123456789")
    front = sc.CloudFront(
        aliases=("shop.example.com", "api.example.com"),
        certificate_arn=FRONT.certificate_arn,
        hosted_zone_id="Z0123456789",
    )
    templates = fronted(front=front, service=sc.WebService(route=route))
    named = [
        record["Name"] for template in templates.values() for record in of_type(template, "Route53::RecordSet").values()
    ]
    assert sorted(named) == ["api.example.com", "shop.example.com"]
    wires = properties(templates, "root", "WebFoundation")["Parameters"]
    assert wires["LoadBalancerDnsName"] == att("LoadBalancer", "Outputs.DnsName")


def test_a_service_by_http_behind_cloudfront_is_reached_by_https() -> None:
    route = sc.Route(hosts=("api.example.com",))
    templates = fronted(sc.Http(), service=sc.WebService(route=route))
    assert templates["root.yaml"]["Outputs"]["WebUrl"]["Value"] == "https://api.example.com"
