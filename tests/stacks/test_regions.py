"""Records that several regions share, and what excludes each other of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from one_service import one_service

import scaleout_cfn as sc
from scaleout_cfn.config.balancer_conflicts import KEY
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.file import load
from stacks.helpers import att, made, of_type, ref

ZONE = "Z0123456789"
LATENCY = sc.LatencyRouting()
PATH = f"{KEY}.health_path"


def balanced(routing: Any, **more: Any) -> sc.NewLoadBalancer:
    own = {name: more.pop(name) for name in ("tls_policy", "client_certificates") if name in more}
    listener = sc.Domain(domain_name="shop.example.com", hosted_zone_id=ZONE, routing=routing, **own)
    return sc.NewLoadBalancer(listener=listener, **more)


def records(routing: Any) -> dict[str, dict[str, Any]]:
    """Of the domain, and of a host of the service's route."""
    route = sc.Route(hosts=("a.example.com",), hosted_zone_id=ZONE)
    services = {"web": sc.WebService(), "api": sc.WebService(route=route, scaling=sc.Scaling(max_tasks=4))}
    services["web"] = sc.WebService(scaling=sc.Scaling(max_tasks=4))
    templates = made(sc.Config(load_balancer=balanced(routing), network=sc.NewVpc(ipv6=True), services=services))
    return {
        **of_type(templates["load-balancer.yaml"], "Route53::RecordSet"),
        **of_type(templates["api-foundation.yaml"], "Route53::RecordSet"),
    }


def test_records_of_a_latency_policy_are_told_by_their_region_and_answer_while_targets_are_healthy() -> None:
    made_ones = records(LATENCY)
    assert len(made_ones) == 4
    for title, record in made_ones.items():
        assert title.startswith("LatencyAliasRecord")
        assert (record["SetIdentifier"], record["Region"]) == (ref("AWS::Region"), ref("AWS::Region"))
        assert record["AliasTarget"]["EvaluateTargetHealth"] is True
        assert "HealthCheckId" not in record


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_records_of_a_failover_policy_are_told_by_their_role(role: Any) -> None:
    for title, record in records(sc.FailoverRouting(role=role)).items():
        assert title.startswith(f"{role.title()}AliasRecord")
        assert (record["SetIdentifier"], record["Failover"]) == (role, role.upper())
        assert "Region" not in record


def test_a_path_of_health_is_asked_for_by_the_load_balancer_s_own_name_and_decides_alone() -> None:
    routing = sc.LatencyRouting(health_path="/health")
    made_ones = records(routing)
    assert {str(record["HealthCheckId"]) for record in made_ones.values()} == {str(ref("HealthCheck"))}
    assert not any("EvaluateTargetHealth" in record["AliasTarget"] for record in made_ones.values())
    balancer = made(load_balancer=balanced(routing))["load-balancer.yaml"]
    (check,) = of_type(balancer, "Route53::HealthCheck").values()
    config = check["HealthCheckConfig"]
    assert (config["Type"], config["ResourcePath"], config["Port"]) == ("HTTPS", "/health", 443)
    assert config["FullyQualifiedDomainName"] == att("LoadBalancer", "DNSName")


def test_records_of_two_policies_have_no_logical_id_in_common() -> None:
    """CloudFormation makes the new ones before it deletes the old: Route 53 refuses, and no name is without one."""
    policies = [None, LATENCY, sc.FailoverRouting(role="primary"), sc.FailoverRouting(role="secondary")]
    titles = [title for policy in policies for title in records(policy)]
    assert len(titles) == len(set(titles)) == 16


FRONT = sc.CloudFront(aliases=("shop.example.com",), certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/c")


@pytest.mark.parametrize(
    ("balancer", "service", "key", "words"),
    [
        ({"cloudfront": FRONT}, {}, KEY, "a name belongs to one CloudFront distribution"),
        ({}, {"deployment": sc.WebBlueGreen()}, PATH, "has a target group without tasks"),
        ({"path": "/health", "scheme": "internal"}, {}, PATH, "which an internal load balancer does not answer"),
        (
            {"path": "/health", "allowed_cidrs": ("192.0.2.0/24",)},
            {},
            "load_balancer.allowed_prefix_lists",
            "route53-h",
        ),
        ({"path": "/health", "tls_policy": "ELBSecurityPolicy-TLS13-1-3-2021-06"}, {}, None, "takes TLS 1.3 alone"),
        (
            {"path": "/health", "client_certificates": sc.CaBundle(bucket="clients", key="ca.pem")},
            {},
            "load_balancer.listener.client_certificates",
            "Route 53 has none",
        ),
        ({"path": "/health"}, {"route": sc.Route(hosts=("shop.example.com",))}, PATH, "no route without hosts takes"),
        ({"path": "/health"}, {"route": sc.Route(paths=("/api/*",))}, PATH, "no route without hosts takes"),
    ],
)
def test_what_would_leave_a_region_unhealthy_is_refused(
    balancer: dict[str, Any], service: dict[str, Any], key: str | None, words: str
) -> None:
    routing = sc.LatencyRouting(health_path=balancer.pop("path", ""))
    config = one_service(load_balancer=balanced(routing, **balancer), service=sc.WebService(**service))
    found = {conflict.key: conflict.what for conflict in conflicts(config)}
    assert words in found[key or "load_balancer.listener.tls_policy"]


@pytest.mark.parametrize(
    ("balancer", "service"),
    [
        ({}, {}),
        ({"path": "/health"}, {"deployment": sc.WebBlueGreen()}),
        ({"path": "/api/health?deep=1"}, {"route": sc.Route(paths=("/api/*",))}),
        ({"path": "/health", "client_certificates": sc.AnyClient()}, {}),
        ({"scheme": "internal"}, {}),
    ],
)
def test_what_leaves_it_healthy_is_not(balancer: dict[str, Any], service: dict[str, Any]) -> None:
    routing = sc.LatencyRouting(health_path=balancer.pop("path", ""))
    config = one_service(load_balancer=balanced(routing, **balancer), service=sc.WebService(**service))
    assert not list(conflicts(config))


TWO = """\
[load_balancer.listener]
kind = "domain"
domain_name = "shop.example.com"
hosted_zone_id = "Z0123456789"

[environments.eu]
region = "eu-west-1"
{eu}

[environments.us]
region = "{region}"
{us}
"""
ROUTING = "load_balancer.listener.routing"


@pytest.mark.parametrize(
    ("eu", "us", "region", "words"),
    [
        ('{kind = "latency"}', '{kind = "latency"}', "us-east-1", ""),
        ('{kind = "latency"}', '{kind = "latency"}', "eu-west-1", "is of eu-west-1, as eu is for shop.example.com"),
        ('{kind = "failover", role = "primary"}', '{kind = "failover", role = "secondary"}', "us-east-1", ""),
        ('{kind = "failover", role = "primary"}', '{kind = "failover", role = "primary"}', "us-east-1", 'is "primary"'),
        (
            '{kind = "latency"}',
            '{kind = "failover", role = "primary"}',
            "us-east-1",
            "is another policy",
        ),
        ('{kind = "latency"}', "", "us-east-1", "is another policy"),
        ("", "", "us-east-1", ""),
    ],
)
def test_environments_share_a_name_only_as_route_53_lets_them(
    tmp_path: Path, eu: str, us: str, region: str, words: str
) -> None:
    lines = [f"{ROUTING} = {policy}" if policy else "" for policy in (eu, us)]
    (tmp_path / "two.toml").write_text(TWO.format(eu=lines[0], us=lines[1], region=region))
    if not words:
        load(tmp_path / "two.toml", environment="us")
        return
    for environment in (None, "eu", "us"):
        with pytest.raises(sc.ConfigError, match=words):
            load(tmp_path / "two.toml", environment=environment)
