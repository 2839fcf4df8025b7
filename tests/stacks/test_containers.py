"""What a service's container is given, and what its target group is told: one key of the config each."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from stacks.helpers import CERTIFICATE, made, properties

AIR: dict[str, Any] = {"air": sc.FargateCapacity()}
TLS = sc.NewLoadBalancer(listener=sc.Certificate(certificate_arn=CERTIFICATE, domain_name="shop.example.com"))


def container(**settings: Any) -> dict[str, Any]:
    files = made(sc.Config(services={"web": sc.WebService(**settings)}))
    (only,) = properties(files, "web-service", "TaskDefinition")["ContainerDefinitions"]
    return dict(only)


def target_group(load_balancer: Any = None, **settings: Any) -> dict[str, Any]:
    config = sc.Config(load_balancer=load_balancer or TLS, services={"web": sc.WebService(**settings)})
    group = dict(properties(made(config), "web-foundation", "TargetGroup"))
    group["Attributes"] = {entry["Key"]: entry["Value"] for entry in group.pop("TargetGroupAttributes")}
    return group


def refusal(**settings: Any) -> str:
    with pytest.raises(sc.ConfigError) as raised:
        sc.compose(sc.Config(services={"web": sc.WebService(**settings)}))
    return str(raised.value)


def test_a_container_has_what_its_section_says_and_nothing_else_of_it() -> None:
    told = container(
        entrypoint=("/bin/sh", "-c"),
        command=("serve",),
        user="10001:10001",
        working_directory="/srv/web",
        ulimits={"nofile": 65536, "core": -1},
        labels={"team": "shop"},
    )
    assert told["EntryPoint"] == ["/bin/sh", "-c"]
    assert told["Command"] == ["serve"]
    assert (told["User"], told["WorkingDirectory"]) == ("10001:10001", "/srv/web")
    assert told["Ulimits"] == [
        {"Name": "core", "SoftLimit": -1, "HardLimit": -1},
        {"Name": "nofile", "SoftLimit": 65536, "HardLimit": 65536},
    ]
    assert told["DockerLabels"] == {"team": "shop"}
    usual = container()
    assert not {"EntryPoint", "Command", "User", "WorkingDirectory", "Ulimits", "DockerLabels"} & usual.keys()


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((), {"Drop": ["ALL"]}),
        (("SETUID", "SETGID"), {"Drop": ["ALL"], "Add": ["SETGID", "SETUID"]}),
        (("DEFAULT", "SYS_PTRACE"), {"Add": ["SYS_PTRACE"]}),
        (("DEFAULT",), None),
    ],
)
def test_a_container_has_the_capabilities_that_are_named_and_no_others(named: Any, expected: Any) -> None:
    assert container(capabilities=named)["LinuxParameters"].get("Capabilities") == expected


def test_labels_of_ones_own_stand_beside_that_of_who_is_reached() -> None:
    services: dict[str, Any] = {
        "web": sc.WebService(memory_mib=512, reaches=("api",), labels={"team": "shop"}),
        "api": sc.InternalService(memory_mib=512),
    }
    (only,) = properties(made(sc.Config(capacity=AIR, services=services)), "web-service", "TaskDefinition")[
        "ContainerDefinitions"
    ]
    assert set(only["DockerLabels"]) == {"team", "reaches"}
    assert "reaches, which is the set's own" in refusal(labels={"reaches": "x"})


def test_a_target_group_speaks_what_the_tasks_do_and_knows_their_good_answers() -> None:
    usual = target_group()
    assert "ProtocolVersion" not in usual
    assert (usual["Matcher"], usual["HealthCheckPort"], usual["HealthCheckProtocol"]) == (
        {"HttpCode": "200"},
        "traffic-port",
        "HTTP",
    )
    grpc = target_group(protocol="grpc", health_check=sc.HealthCheck(codes="0,12"))
    assert (grpc["ProtocolVersion"], grpc["Matcher"]) == ("GRPC", {"GrpcCode": "0,12"})
    http2 = target_group(protocol="http2", health_check=sc.HealthCheck(codes="200-299", protocol="HTTPS"))
    assert (http2["ProtocolVersion"], http2["HealthCheckProtocol"]) == ("HTTP2", "HTTPS")


def test_a_new_task_is_sent_more_and_more_only_in_turns_with_the_others() -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html"""
    slow = target_group(slow_start_s=30)["Attributes"]
    assert slow["slow_start.duration_seconds"] == "30"
    assert slow["load_balancing.algorithm.type"] == "round_robin"
    assert target_group()["Attributes"]["load_balancing.algorithm.type"] == "least_outstanding_requests"


def test_a_client_stays_with_a_task_for_as_long_as_is_said() -> None:
    sticky = target_group(stickiness_s=3600)["Attributes"]
    assert sticky["stickiness.enabled"] == "true"
    assert (sticky["stickiness.type"], sticky["stickiness.lb_cookie.duration_seconds"]) == ("lb_cookie", "3600")
    assert target_group()["Attributes"]["stickiness.enabled"] == "false"


@pytest.mark.parametrize("port", [9090, 8080])
def test_the_balancer_reaches_the_port_of_the_health_check_beside_that_of_the_container(port: int) -> None:
    service = sc.WebService(network_mode="awsvpc", memory_mib=512, health_check=sc.HealthCheck(port=port))
    files = made(sc.Config(capacity=AIR, services={"web": service}))
    assert properties(files, "web-foundation", "TargetGroup")["HealthCheckPort"] == str(port)
    let_in = properties(files, "web-foundation", "SecurityGroup")["SecurityGroupIngress"]
    let_out = [
        body["Properties"]["FromPort"]
        for body in files["web-foundation.yaml"]["Resources"].values()
        if body["Type"] == "AWS::EC2::SecurityGroupEgress"
    ]
    assert {rule["FromPort"] for rule in let_in} == set(let_out) == {8080, port}
    assert len(let_in) == len(let_out)


def test_what_cannot_be_is_refused_with_the_cure() -> None:
    assert 'services.web.protocol: "grpc" is for listeners with TLS, and this one speaks HTTP' in refusal(
        protocol="grpc", health_check=sc.HealthCheck(codes="0")
    )
    assert "services.web.slow_start_s: got 29; allowed are 0 for none, and 30 to 900" in refusal(slow_start_s=29)
    assert "services.web.health_check.port: got 9000, and under bridge" in refusal(
        health_check=sc.HealthCheck(port=9000)
    )
    for codes in ("199", "500", "299-200", "200,20"):
        why = f"services.web.health_check.codes: got {codes.rpartition(',')[2]}"
        assert why in refusal(health_check=sc.HealthCheck(codes=codes))
    assert "as in 200 or 200-299,301" in refusal(health_check=sc.HealthCheck(codes="2xx"))
    assert "as 10001 or www-data:www-data" in refusal(user="www data")
    assert "a path that begins with a slash" in refusal(working_directory="srv")
    assert "core, cpu, data" in refusal(ulimits={"files": 3})
    assert 'allowed are "DEFAULT"' in refusal(capabilities=("CAP_CHOWN",))


def test_fargate_adds_one_capability_only() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html"""
    service = sc.WebService(memory_mib=512, capabilities=("SYS_PTRACE", "DEFAULT"))
    assert sc.compose(sc.Config(capacity=AIR, services={"web": service}))
    why = "services.web.capabilities: CHOWN cannot be added on Fargate"
    with pytest.raises(sc.ConfigError, match=re.escape(why)):
        sc.compose(sc.Config(capacity=AIR, services={"web": replace(service, capabilities=("CHOWN",))}))
    # Nor in what stands in for a service that is on nodes.
    on_nodes = replace(
        service,
        capacity="nodes",
        capabilities=("CHOWN",),
        scaling=sc.Scaling(max_tasks=6),
        stand_in=sc.StandIn(capacity="air"),
    )
    both: dict[str, Any] = {"nodes": sc.Ec2Capacity(), **AIR}
    with pytest.raises(sc.ConfigError, match=r"services\.web\.capabilities: for its stand-in: CHOWN cannot"):
        sc.compose(sc.Config(capacity=both, services={"web": on_nodes}))
