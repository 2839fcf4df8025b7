"""Containers beside that of a service: what they are given, in which order they start, and what they are part of."""

from __future__ import annotations

import json
from typing import Any

import pytest

import scaleout_cfn as sc
from scaleout_cfn.config.units import units
from stacks.helpers import CERTIFICATE, SECRET, made, properties, ref

AIR: dict[str, Any] = {"air": sc.FargateCapacity()}
BESIDE = "public.ecr.aws/docker/library/memcached:1.6"
TLS = sc.NewLoadBalancer(listener=sc.Certificate(certificate_arn=CERTIFICATE, domain_name="shop.example.com"))


def config(kind: type[Any] = sc.WebService, name: str = "web", **settings: Any) -> sc.Config:
    usual = {"cpu_units": 512, "memory_mib": 1024, "scaling": sc.Scaling(max_tasks=3)}
    return sc.Config(capacity=AIR, services={name: kind(**{**usual, **settings})})


def containers(of: sc.Config, name: str = "web") -> dict[str, dict[str, Any]]:
    """The containers of a service's task, by name."""
    definition = properties(made(of), f"{name}-service", "TaskDefinition")
    return {container["Name"]: container for container in definition["ContainerDefinitions"]}


def task_policies(of: sc.Config, name: str = "web") -> dict[str, list[dict[str, Any]]]:
    policies = properties(made(of), f"{name}-service", "TaskRole").get("Policies", [])
    return {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in policies}


def refusal(**settings: Any) -> str:
    with pytest.raises(sc.ConfigError) as raised:
        sc.compose(config(**settings))
    return str(raised.value)


def after(container: dict[str, Any]) -> dict[str, str]:
    return {entry["ContainerName"]: entry["Condition"] for entry in container.get("DependsOn", [])}


def test_a_sidecar_takes_its_part_of_the_task_and_what_is_left_is_the_service_s() -> None:
    one = config(sidecars={"cache": sc.ContainerSidecar(image_uri=BESIDE, cpu_units=100, memory_mib=300)})
    definition = properties(made(one), "web-service", "TaskDefinition")
    assert (definition["Cpu"], definition["Memory"]) == ("512", "1024")
    there = containers(one)
    assert (there["web"]["Cpu"], there["web"]["Memory"]) == (412, 724)
    assert (there["cache"]["Cpu"], there["cache"]["Memory"]) == (100, 300)
    (unit,) = units(one)
    assert (unit.own_cpu_units, unit.own_memory_mib) == (412, 724)
    assert (
        "services.web.memory_mib: got 1024, and its sidecars take 1024 of it, which leaves nothing to the service's"
        " container; raise it, or give them less"
    ) in refusal(sidecars={"cache": sc.ContainerSidecar(image_uri=BESIDE, memory_mib=1024)})


def test_a_sidecar_is_a_container_as_any_other_and_its_logs_are_the_service_s() -> None:
    sidecar = sc.ContainerSidecar(
        image_uri=BESIDE,
        essential=False,
        ports=(11211,),
        command=("-m", "64"),
        environment={"A": "1"},
        secrets={"KEY": SECRET},
        user="11211",
        tmpfs_mib={"/run": 8},
    )
    cache = containers(config(sidecars={"cache": sidecar}))["cache"]
    assert (cache["Image"], cache["Essential"], cache["Command"], cache["User"]) == (
        BESIDE,
        False,
        ["-m", "64"],
        "11211",
    )
    assert cache["PortMappings"] == [{"ContainerPort": 11211, "Protocol": "tcp"}]
    assert (cache["ReadonlyRootFilesystem"], cache["LinuxParameters"]["Capabilities"]) == (True, {"Drop": ["ALL"]})
    # By the prefix `logs` knows whose lines they are.
    assert cache["LogConfiguration"]["Options"]["awslogs-stream-prefix"] == "web"
    policies = properties(made(config(sidecars={"cache": sidecar})), "web-service", "ExecutionRole")["Policies"]
    reading = next(policy for policy in policies if policy["PolicyName"] == "read-secrets")
    assert reading["PolicyDocument"]["Statement"][0]["Resource"] == [SECRET]


def test_the_service_s_container_is_the_first_and_waits_for_those_that_have_to_end() -> None:
    there = containers(config(sidecars={"migrate": sc.InitSidecar(command=("migrate",))}))
    assert list(there) == ["web", "migrate"]
    assert after(there["web"]) == {"migrate": "SUCCESS"}
    assert there["migrate"]["Essential"] is False
    # The image is the service's where none is named.
    assert there["migrate"]["Image"] == there["web"]["Image"] == ref("ImageUri")


def test_order_is_as_written_by_the_service_s_own_name_also_in_what_stands_in_for_it() -> None:
    both: dict[str, Any] = {"nodes": sc.Ec2Capacity(max_nodes=6), "air": sc.FargateCapacity()}
    service = sc.WebService(
        capacity="nodes",
        cpu_units=512,
        memory_mib=1024,
        health_command=("/ok",),
        after={"first": "HEALTHY"},
        sidecars={
            "first": sc.ContainerSidecar(image_uri=BESIDE, health_command=("/ok",)),
            "last": sc.ContainerSidecar(image_uri=BESIDE, after={"web": "HEALTHY", "first": "START"}),
        },
        scaling=sc.Scaling(max_tasks=4),
        stand_in=sc.StandIn(capacity="air"),
    )
    files = sc.Config(capacity=both, services={"web": service})
    for name in ("web", "web-stand-in"):
        there = containers(files, name)
        assert list(there) == [name, "first", "last"]
        assert after(there[name]) == {"first": "HEALTHY"}
        assert after(there["last"]) == {name: "HEALTHY", "first": "START"}


@pytest.mark.parametrize("on_nodes", [False, True])
def test_sidecars_that_listen_share_the_task_s_address(on_nodes: bool) -> None:
    sidecars = {"cache": sc.ContainerSidecar(image_uri=BESIDE, ports=(11211,))}
    service = sc.WebService(cpu_units=512, memory_mib=1024, sidecars=sidecars, scaling=sc.Scaling(max_tasks=3))
    pools: dict[str, Any] = {"nodes": sc.Ec2Capacity()} if on_nodes else AIR
    definition = properties(made(sc.Config(capacity=pools, services={"web": service})), "web-service", "TaskDefinition")
    assert definition["NetworkMode"] == "awsvpc"


def test_what_cannot_be_is_refused_with_the_cure() -> None:
    def cache(**settings: Any) -> dict[str, Any]:
        return {"cache": sc.ContainerSidecar(image_uri=BESIDE, **settings)}

    for told, why in [
        (
            {"sidecars": cache(ports=(8080,))},
            "sidecars.cache: listens on 8080, as services.web.container_port does",
        ),
        (
            {"sidecars": {**cache(ports=(9, 10)), "other": sc.ContainerSidecar(image_uri=BESIDE, ports=(10,))}},
            "services.web.sidecars.other: listens on 10, as services.web.sidecars.cache does",
        ),
        ({"sidecars": cache(), "after": {"cache": "HEALTHY"}}, "services.web.after.cache: cache has no health_command"),
        ({"sidecars": cache(), "after": {"cache": "SUCCESS"}}, "services.web.after.cache: cache is essential"),
        (
            {"sidecars": cache(after={"web": "COMPLETE"})},
            "cache.after.web: web is essential, and the task ends",
        ),
        ({"after": {"cache": "START"}}, "services.web.after.cache: there is no such sidecar; there are none"),
        (
            {"sidecars": cache(after={"db": "START"})},
            "cache.after.db: there is no such container; there are cache",
        ),
        ({"sidecars": cache(after={"cache": "START"})}, "cache.after.cache: is the container itself; leave it out"),
        (
            {"sidecars": cache(after={"web": "START"}), "after": {"cache": "START"}},
            "is a circle, in which none can start: cache after web after cache; take one of them out",
        ),
        (
            {"sidecars": {"setup": sc.InitSidecar(after={"web": "START"})}},
            "is a circle, in which none can start: setup after web after setup",
        ),
        (
            {"sidecars": {"web": sc.InitSidecar()}},
            "sidecars.web: is the name of the service's own container",
        ),
        (
            {"sidecars": {"setup": sc.InitSidecar(registry_secret=SECRET)}},
            "registry_secret: the image is the service's",
        ),
        ({"sidecars": cache(log_driver="gelf")}, 'cache.log_driver: "gelf" is for EC2 nodes, and air is fargate'),
        ({"sidecars": cache(capabilities=("CHOWN",))}, "sidecars.cache.capabilities: CHOWN cannot be added on Fargate"),
        ({"sidecars": cache(tmpfs_mib={"/tmp": 64})}, "sidecars.cache.tmpfs_mib: 64 MiB in all, which must be less"),
    ]:
        assert why in refusal(**told), why
    bridge = sc.WebService(network_mode="bridge", cpu_units=512, memory_mib=1024, sidecars=cache(ports=(11211,)))
    with pytest.raises(sc.ConfigError, match="each container has a network of its own and nobody reaches cache"):
        sc.compose(sc.Config(services={"web": bridge}))
    closed = sc.NewVpc(egress="endpoints")
    for sidecars, why in [
        (cache(), "cache.image_uri: got public.ecr.aws/docker/library/memcached:1.6"),
        (
            {"traces": sc.OtelSidecar(image_uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/otel:1")},
            "traces: network",
        ),
    ]:
        with pytest.raises(sc.ConfigError, match=why):
            sc.compose(sc.Config(network=closed, capacity=AIR, services=config(sidecars=sidecars).services))


# --- ready-made


@pytest.mark.parametrize(
    ("settings", "options", "policy"),
    [
        (
            {},
            {
                "Name": "cloudwatch_logs",
                "region": ref("AWS::Region"),
                "log_group_name": ref("LogGroupName"),
                "log_stream_prefix": "web/",
                "log_key": "log",
            },
            ("write-logs", ["logs:CreateLogStream", "logs:PutLogEvents"]),
        ),
        (
            {"destination_arn": "arn:aws:firehose:eu-west-1:123456789012:deliverystream/shop"},
            {"Name": "kinesis_firehose", "delivery_stream": "shop", "region": ref("AWS::Region")},
            ("put-logs", ["firehose:PutRecordBatch"]),
        ),
        (
            {
                "destination_arn": "arn:aws:kinesis:eu-west-1:123456789012:stream/shop",
                "options": {"a": "b"},
            },
            {"Name": "kinesis_streams", "stream": "shop", "region": ref("AWS::Region"), "a": "b"},
            ("put-logs", ["kinesis:PutRecords"]),
        ),
        (
            {"destination_arn": "arn:aws:s3:::shop-logs"},
            {
                "Name": "s3",
                "bucket": "shop-logs",
                "total_file_size": "10M",
                "upload_timeout": "1m",
                "use_put_object": "On",
                "region": ref("AWS::Region"),
            },
            ("put-logs", ["s3:PutObject"]),
        ),
        ({"output": "datadog", "options": {"TLS": "on"}}, {"Name": "datadog", "TLS": "on"}, None),
    ],
)
def test_firelens_takes_the_container_s_logs_to_a_destination_that_its_role_may_write_to(
    settings: dict[str, Any], options: dict[str, Any], policy: tuple[str, list[str]] | None
) -> None:
    one = config(sidecars={"logs": sc.FireLensSidecar(secret_options={"apikey": SECRET}, **settings)})
    there = containers(one)
    assert there["logs"]["FirelensConfiguration"]["Type"] == "fluentbit"
    assert there["logs"]["LogConfiguration"]["LogDriver"] == "awslogs"
    assert there["web"]["LogConfiguration"] == {
        "LogDriver": "awsfirelens",
        "Options": options,
        "SecretOptions": [{"Name": "apikey", "ValueFrom": SECRET}],
    }
    assert after(there["web"]) == {"logs": "START"}
    allowed = {name: statement["Action"] for name, (statement,) in task_policies(one).items()}
    assert allowed == (dict([policy]) if policy else {})


def test_of_firelens_there_is_one_and_nothing_else_takes_the_logs() -> None:
    assert "logs takes the container's logs already" in refusal(
        sidecars={"logs": sc.FireLensSidecar(), "more": sc.FireLensSidecar()}
    )
    splunk = {"splunk-url": "https://splunk.example.com:8088"}
    assert "services.web.log_driver: got splunk, and logs is FireLens" in refusal(
        log_driver="splunk",
        log_options=splunk,
        log_secret_options={"splunk-token": SECRET},
        sidecars={"logs": sc.FireLensSidecar()},
    )
    stream = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/shop"
    assert "output: and destination_arn exclude each other" in refusal(
        sidecars={"logs": sc.FireLensSidecar(destination_arn=stream, output="http")}
    )
    for wrong, why in [("arn:aws:s3:::Shop", "its bucket is Shop"), ("arn:aws:sqs:eu-west-1:1:a", "it is of sqs")]:
        assert why in refusal(sidecars={"logs": sc.FireLensSidecar(destination_arn=wrong)})


def test_the_collector_brings_what_it_is_told_to_and_may_do_no_more() -> None:
    one = config(sidecars={"otel": sc.OtelSidecar()})
    there = containers(one)
    ((value,),) = [[entry["Value"] for entry in there["otel"]["Environment"]]]
    text, named = value["Fn::Sub"]
    told = json.loads(text)
    assert named == {"LogGroup": ref("LogGroupName")}
    assert told["exporters"]["awsemf"]["log_group_name"] == "${LogGroup}"
    assert {kind: pipeline["exporters"] for kind, pipeline in told["service"]["pipelines"].items()} == {
        "traces": ["awsxray"],
        "metrics": ["awsemf"],
    }
    # Nobody but the task's containers reaches it.
    assert {entry["endpoint"] for entry in told["receivers"]["otlp"]["protocols"].values()} == {
        "127.0.0.1:4317",
        "127.0.0.1:4318",
    }
    assert set(task_policies(one)) == {"send-traces", "write-logs"}
    assert there["otel"]["Essential"] is False
    assert set(task_policies(config(sidecars={"otel": sc.OtelSidecar(metrics=False)}))) == {"send-traces"}
    assert set(task_policies(config(sidecars={"otel": sc.OtelSidecar(traces=False)}))) == {"write-logs"}
    assert "is false, and so is metrics" in refusal(sidecars={"otel": sc.OtelSidecar(traces=False, metrics=False)})


@pytest.mark.parametrize("engine", ["nginx", "envoy"])
def test_what_is_sent_to_a_service_comes_to_the_proxy_in_front(engine: Any) -> None:
    one = config(sidecars={"front": sc.ProxySidecar(engine=engine, port=8765)})
    files = made(one)
    (balancer,) = properties(files, "web-service", "Service")["LoadBalancers"]
    assert (balancer["ContainerName"], balancer["ContainerPort"]) == ("front", 8765)
    let_in = properties(files, "web-foundation", "SecurityGroup")["SecurityGroupIngress"]
    assert [rule["FromPort"] for rule in let_in] == [8765]
    there = containers(one)
    assert there["front"]["PortMappings"] == [{"ContainerPort": 8765, "Protocol": "tcp"}]
    assert "PortMappings" not in there["web"]
    # It is stopped before the service's container, which still answers what it has taken on.
    assert after(there["front"]) == {"web": "START"}
    assert there["front"]["User"] == "101:101"
    told = json.dumps([there["front"]["Command"], there["front"].get("Environment")])
    assert "8080" in told and "8765" in told


def test_callers_of_an_internal_service_need_not_know_of_its_proxy() -> None:
    one = config(sc.InternalService, "api", sidecars={"front": sc.ProxySidecar()})
    there = containers(one, "api")
    assert there["front"]["PortMappings"] == [{"ContainerPort": 8000, "Protocol": "tcp", "Name": "api"}]
    (service,) = properties(made(one), "api-service", "Service")["ServiceConnectConfiguration"]["Services"]
    assert service["ClientAliases"] == [{"Port": 8080, "DnsName": "api"}]


def test_a_proxy_is_where_something_is_sent_and_speaks_what_the_service_does() -> None:
    with pytest.raises(sc.ConfigError, match="is a proxy, and nothing is sent to a worker"):
        sc.compose(config(sc.WorkerService, sidecars={"front": sc.ProxySidecar()}))
    grpc: dict[str, Any] = {"protocol": "grpc", "health_check": sc.HealthCheck(codes="0")}
    for engine, fits in (("nginx", False), ("envoy", True)):
        services = config(sidecars={"front": sc.ProxySidecar(engine=engine)}, **grpc).services  # type: ignore[arg-type]
        whole = sc.Config(load_balancer=TLS, capacity=AIR, services=services)
        if fits:
            assert "http2_protocol_options" in containers(whole)["front"]["Command"][1]
        else:
            with pytest.raises(sc.ConfigError, match='"nginx" is for protocol = "http1", and this is "grpc"'):
                sc.compose(whole)
