"""The load balancer: whom it lets in, where it leads, how it finds out who can serve."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import (
    CERTIFICATE,
    DOMAIN,
    Template,
    att,
    check_bucket,
    made,
    of_type,
    properties,
    ref,
    resource,
)

LISTENERS: dict[str, Any] = {
    "http": sc.Http(),
    "certificate": sc.Certificate(
        certificate_arn=CERTIFICATE, domain_name="shop.example.com", tls_policy="ELBSecurityPolicy-TLS13-1-3-2021-06"
    ),
    "domain": DOMAIN,
}
kinds = pytest.mark.parametrize("kind", LISTENERS)


def template(kind: str = "http", *, ipv6: bool = False, **settings: Any) -> Template:
    balancer = sc.NewLoadBalancer(listener=LISTENERS[kind], **settings)
    return made(load_balancer=balancer, network=sc.NewVpc(ipv6=ipv6))["load-balancer.yaml"]


def look(made: Template, title: str) -> dict[str, Any]:
    return properties({"load-balancer.yaml": made}, "load-balancer", title)


def attributes(made: Template, title: str, name: str) -> dict[str, Any]:
    return {item["Key"]: item["Value"] for item in look(made, title)[name]}


@kinds
@pytest.mark.parametrize("ipv6", [False, True])
def test_clients_reach_the_listeners_ports_and_no_others(kind: str, ipv6: bool) -> None:
    balancer = template(kind, ipv6=ipv6)
    opened = {
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule.get("CidrIp") or rule["CidrIpv6"])
        for rule in look(balancer, "SecurityGroup")["SecurityGroupIngress"]
    }
    listening = {listener["Port"] for listener in of_type(balancer, "ElasticLoadBalancingV2::Listener").values()}
    anywhere = {"0.0.0.0/0", "::/0"} if ipv6 else {"0.0.0.0/0"}
    assert opened == {("tcp", port, port, range_) for port in listening for range_ in anywhere}
    assert listening == ({80} if kind == "http" else {80, 443})
    assert look(balancer, "LoadBalancer")["IpAddressType"] == ("dualstack" if ipv6 else "ipv4")
    assert look(balancer, "LoadBalancer")["SecurityGroups"] == [ref("SecurityGroup")]


def test_the_balancer_leads_nowhere_by_itself() -> None:
    # A group without any rule would be given one to everywhere.
    (rule,) = look(template(), "SecurityGroup")["SecurityGroupEgress"]
    assert ipaddress.IPv4Network(rule["CidrIp"]).num_addresses == 1
    # A message that ICMP does not have, to an address that nobody has.
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("icmp", 252, 86)
    assert rule["CidrIp"] == "255.255.255.255/32"


@kinds
def test_what_clients_ask_for_comes_in_by_the_best_listener_there_is(kind: str) -> None:
    balancer = template(kind)
    # What no service claims is nobody's: each service has a rule of its own.
    page = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "No service answers here."}
    nobody = [{"Type": "fixed-response", "FixedResponseConfig": page}]
    main = look(balancer, "Listener")
    assert (main["LoadBalancerArn"], main["DefaultActions"]) == (ref("LoadBalancer"), nobody)
    if kind == "http":
        assert (main["Port"], main["Protocol"]) == (80, "HTTP")
        assert "RedirectListener" not in balancer["Resources"]
        return
    assert (main["Port"], main["Protocol"]) == (443, "HTTPS")
    certificate = CERTIFICATE if kind == "certificate" else ref("Certificate")
    assert main["Certificates"] == [{"CertificateArn": certificate}]
    assert main["SslPolicy"] == LISTENERS[kind].tls_policy
    plain = look(balancer, "RedirectListener")
    assert (plain["LoadBalancerArn"], plain["Port"], plain["Protocol"]) == (ref("LoadBalancer"), 80, "HTTP")
    (action,) = plain["DefaultActions"]
    assert action["Type"] == "redirect"
    assert action["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}


@kinds
def test_the_url_is_what_the_listener_answers_to(kind: str) -> None:
    name = att("LoadBalancer", "DNSName")
    assert (
        template(kind)["Outputs"]["Url"]["Value"]
        == {
            "http": {"Fn::Join": ["", ["http://", name]]},
            "certificate": "https://shop.example.com",
            "domain": "https://shop.example.com",
        }[kind]
    )


@kinds
@pytest.mark.parametrize("ipv6", [False, True])
def test_a_domain_has_a_certificate_of_its_zone_and_a_record_for_each_family(kind: str, ipv6: bool) -> None:
    balancer = template(kind, ipv6=ipv6)
    certificates = of_type(balancer, "CertificateManager::Certificate")
    records = of_type(balancer, "Route53::RecordSet")
    if kind != "domain":
        assert not certificates
        assert not records
        return
    assert certificates["Certificate"] == {
        "DomainName": "shop.example.com",
        "ValidationMethod": "DNS",
        "DomainValidationOptions": [{"DomainName": "shop.example.com", "HostedZoneId": "Z0123456789"}],
    }
    target = {
        "HostedZoneId": att("LoadBalancer", "CanonicalHostedZoneID"),
        "DNSName": att("LoadBalancer", "DNSName"),
    }
    assert {record["Type"] for record in records.values()} == ({"A", "AAAA"} if ipv6 else {"A"})
    for title, record in records.items():
        assert (record["HostedZoneId"], record["Name"]) == ("Z0123456789", "shop.example.com")
        assert {key: record["AliasTarget"][key] for key in target} == target
        assert title.endswith("Ipv6") == (record["Type"] == "AAAA")


def test_the_target_group_asks_what_the_config_asks() -> None:
    check = sc.HealthCheck(path="/alive", interval_s=31, timeout_s=7, healthy_count=4, unhealthy_count=6)
    group = properties(made(service=sc.WebService(health_check=check)), "web-foundation", "TargetGroup")
    assert {key: value for key, value in group.items() if key.startswith(("Health", "Unhealthy"))} == {
        "HealthCheckPath": "/alive",
        "HealthCheckIntervalSeconds": 31,
        "HealthCheckTimeoutSeconds": 7,
        "HealthyThresholdCount": 4,
        "UnhealthyThresholdCount": 6,
        "HealthCheckProtocol": "HTTP",
        # Under bridge each target has a port of its own.
        "HealthCheckPort": "traffic-port",
    }
    assert group["Matcher"] == {"HttpCode": "200"}
    assert (group["Protocol"], group["VpcId"]) == ("HTTP", ref("VpcId"))


def test_targets_are_instances_under_bridge_and_addresses_under_awsvpc() -> None:
    service = sc.WebService(container_port=9000)
    group = properties(made(service=service), "web-foundation", "TargetGroup")
    # A change of the port would replace the group, which never uses it: each target has one of its own.
    assert (group["TargetType"], group["Port"]) == ("instance", 80)
    service = sc.WebService(container_port=9000, network_mode="awsvpc")
    group = properties(made(service=service, scaling=sc.Scaling(max_tasks=9)), "web-foundation", "TargetGroup")
    assert (group["TargetType"], group["Port"]) == ("ip", 80)


@pytest.mark.parametrize("delay", [0, 17])
def test_a_target_that_leaves_may_finish_and_a_fresh_one_is_not_flooded(delay: int) -> None:
    group = properties(made(service=sc.WebService(deregistration_delay_s=delay)), "web-foundation", "TargetGroup")
    assert {item["Key"]: item["Value"] for item in group["TargetGroupAttributes"]} == {
        "deregistration_delay.timeout_seconds": str(delay),
        "load_balancing.algorithm.type": "least_outstanding_requests",
        "stickiness.enabled": "false",
    }


@pytest.mark.parametrize(("protection", "timeout"), [(False, 60), (True, 61)])
def test_the_balancer_has_what_is_asked_for_and_drops_invalid_headers(protection: bool, timeout: int) -> None:
    balancer = template(deletion_protection=protection, idle_timeout_s=timeout)
    assert attributes(balancer, "LoadBalancer", "LoadBalancerAttributes") == {
        "deletion_protection.enabled": str(protection).lower(),
        "idle_timeout.timeout_seconds": str(timeout),
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "routing.http2.enabled": "true",
        "access_logs.s3.enabled": "false",
    }


@pytest.mark.parametrize("scheme", ["internet-facing", "internal"])
def test_an_internal_balancer_lies_where_the_nodes_do(scheme: Any) -> None:
    templates = made(load_balancer=sc.NewLoadBalancer(scheme=scheme))
    balancer = properties(templates, "load-balancer", "LoadBalancer")
    assert (balancer["Type"], balancer["Scheme"], balancer["Subnets"]) == ("application", scheme, ref("Subnets"))
    wired = properties(templates, "root", "LoadBalancer")["Parameters"]["Subnets"]
    output = "NodeSubnets" if scheme == "internal" else "PublicSubnets"
    assert wired == att("Network", f"Outputs.{output}")


# --- access logs


def test_access_logs_have_a_private_bucket_that_outlives_the_stack() -> None:
    balancer = template(access_logs=True, access_logs_days=7)
    logs = attributes(balancer, "LoadBalancer", "LoadBalancerAttributes")
    assert logs["access_logs.s3.enabled"] == "true"
    assert logs["access_logs.s3.bucket"] == ref("AccessLogs")
    # The balancer is refused where it may not write yet.
    assert (
        resource({"load-balancer.yaml": balancer}, "load-balancer", "LoadBalancer")["DependsOn"] == "AccessLogsPolicy"
    )
    policy = look(balancer, "AccessLogsPolicy")
    assert policy["Bucket"] == ref("AccessLogs")
    assert att("AccessLogs", "Arn") in policy["PolicyDocument"]["Statement"][1]["Resource"]
    body = resource({"load-balancer.yaml": balancer}, "load-balancer", "AccessLogs")
    # What is left of a first creation that fails is empty, and would stand in the way.
    assert (body["DeletionPolicy"], body["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    check_bucket(body["Properties"], days=7)
    assert "AccessLogs" not in template()["Resources"]
