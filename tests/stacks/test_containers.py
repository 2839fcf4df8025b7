"""What a service's container is given, and what its target group is told: one key of the config each."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from stacks.helpers import CERTIFICATE, PINNED, made, properties

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


def test_managed_instances_take_no_labels_and_are_told_by_a_variable_who_is_reached() -> None:
    services: dict[str, Any] = {
        "web": sc.WebService(memory_mib=512, reaches=("api",)),
        "api": sc.InternalService(memory_mib=512),
    }
    config = sc.Config(network=sc.NewVpc(egress="single-nat"), capacity={"m": sc.ManagedCapacity()}, services=services)
    (only,) = properties(made(config), "web-service", "TaskDefinition")["ContainerDefinitions"]
    assert "DockerLabels" not in only
    assert [variable["Name"] for variable in only["Environment"]] == ["REACHES"]
    for changes in ({"labels": {"team": "shop"}}, {"environment": {"REACHES": "x"}}):
        web = msgspec.structs.replace(services["web"], **changes)
        with pytest.raises(sc.ConfigError, match=rf"services\.web\.{next(iter(changes))}: .*Managed Instances"):
            sc.compose(msgspec.structs.replace(config, services={**services, "web": web}))


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
    assert "the nearest: CHOWN" in refusal(capabilities=("CAP_CHOWN",))


def execution_role(**settings: Any) -> dict[str, Any]:
    files = made(sc.Config(services={"web": sc.WebService(**settings)}))
    policies = properties(files, "web-service", "ExecutionRole")["Policies"]
    return {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in policies}


def test_a_health_command_is_run_as_often_as_is_said_and_forgiven_at_the_start() -> None:
    told = container(
        health_command=("/ready",), health_interval_s=20, health_timeout_s=9, health_retries=2, health_start_s=120
    )["HealthCheck"]
    assert told == {"Command": ["CMD", "/ready"], "Interval": 20, "Timeout": 9, "Retries": 2, "StartPeriod": 120}
    assert "health_interval_s: got 4; allowed is 5 to 300 seconds" in refusal(health_interval_s=4)


def test_files_of_variables_are_read_from_s3_in_any_partition_and_nothing_else_is() -> None:
    files = ("arn:aws:s3:::shop/prod.env", "arn:aws:s3:::shop/more/prod.env")
    here = "arn:${AWS::Partition}:s3:::shop"
    assert container(environment_files=files)["EnvironmentFiles"] == [
        {"Type": "s3", "Value": {"Fn::Sub": f"{here}/prod.env"}},
        {"Type": "s3", "Value": {"Fn::Sub": f"{here}/more/prod.env"}},
    ]
    find, read = execution_role(environment_files=files)["read-environment-files"]
    assert (find["Action"], find["Resource"]) == (["s3:GetBucketLocation"], [{"Fn::Sub": here}])
    assert read["Action"] == ["s3:GetObject"]
    assert read["Resource"] == [{"Fn::Sub": f"{here}/more/prod.env"}, {"Fn::Sub": f"{here}/prod.env"}]
    assert "read-environment-files" not in execution_role()
    for wrong, why in [
        ("s3://shop/prod.env", "its ARN is wanted: arn:aws:s3:::shop/prod.env"),
        ("arn:aws:s3:::shop/prod.txt", "its key is prod.txt; a file of variables is one object whose key ends in .env"),
        ("arn:aws:s3:::shop/*.env", "its key is *.env"),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/a/b.env", "the ARN of an object in S3 is wanted"),
        ("arn:aws:s3:::Shop/prod.env", "its bucket is Shop: "),
    ]:
        assert f"services.web.environment_files[0]: got {wrong!r}; {why}" in refusal(environment_files=(wrong,))
    assert "a file is named twice" in refusal(environment_files=files[:1] * 2)


REGISTRY = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:registry-AbCdEf"


def test_a_private_registry_s_secret_is_read_for_its_image_and_for_whoever_runs_that() -> None:
    web = sc.WebService(image_uri="registry.example.com/team/web:1", registry_secret=REGISTRY)
    mailer = sc.WorkerService(image_of="web", scaling=sc.Scaling(max_tasks=2))
    files = made(sc.Config(services={"web": replace(web, scaling=sc.Scaling(max_tasks=9)), "mailer": mailer}))
    for name in ("web", "mailer"):
        (only,) = properties(files, f"{name}-service", "TaskDefinition")["ContainerDefinitions"]
        assert only["RepositoryCredentials"] == {"CredentialsParameter": REGISTRY}
        policies = properties(files, f"{name}-service", "ExecutionRole")["Policies"]
        (statement,) = next(
            policy["PolicyDocument"]["Statement"] for policy in policies if policy["PolicyName"] == "read-secrets"
        )
        assert (statement["Action"], statement["Resource"]) == (["secretsmanager:GetSecretValue"], [REGISTRY])
    assert "goes with the image of a private registry" in refusal(registry_secret=REGISTRY)
    in_ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1"
    assert f"{in_ecr} is in ECR" in refusal(image_uri=in_ecr, registry_secret=REGISTRY)
    assert "the secret is read whole; leave out :user::" in refusal(registry_secret=f"{REGISTRY}:user::")
    parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/registry"
    assert "credentials are a Secrets Manager secret" in refusal(registry_secret=parameter)


SPLUNK: dict[str, Any] = {
    "log_driver": "splunk",
    "log_options": {"splunk-url": "https://splunk.example.com:8088"},
    "log_secret_options": {"splunk-token": REGISTRY},
}


def test_logs_go_where_a_driver_of_ones_own_takes_them() -> None:
    assert container(**SPLUNK)["LogConfiguration"] == {
        "LogDriver": "splunk",
        "Options": {"splunk-url": "https://splunk.example.com:8088"},
        "SecretOptions": [{"Name": "splunk-token", "ValueFrom": REGISTRY}],
    }
    assert execution_role(**SPLUNK)["read-secrets"][0]["Resource"] == [REGISTRY]
    assert '"splunk" lacks splunk-token and splunk-url' in refusal(log_driver="splunk")
    assert "is a secret, and anybody" in refusal(
        log_driver="splunk", log_options={"splunk-url": "https://a.example:8088", "splunk-token": "x"}
    )
    assert 'are for a log_driver of your own, and "awslogs" has the set\'s' in refusal(log_options={"mode": "blocking"})


@pytest.mark.parametrize(("driver", "told"), [("json-file", False), ("gelf", True), ("splunk", True)])
def test_the_agent_of_the_nodes_is_told_of_drivers_that_it_does_not_know_by_itself(driver: str, told: bool) -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html"""
    service = sc.WebService(**(SPLUNK if driver == "splunk" else {"log_driver": driver}))
    template = properties(made(sc.Config(services={"web": service})), "capacity", "NodesLaunchTemplate")
    script, _ = template["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    line = f'ECS_AVAILABLE_LOGGING_DRIVERS=["awslogs", "{driver}", "json-file", "none", "syslog"]'
    if driver == "splunk":
        line = 'ECS_AVAILABLE_LOGGING_DRIVERS=["awslogs", "json-file", "none", "splunk", "syslog"]'
    assert (line in script.splitlines()) == told
    settings = script[: script.index("\nSETTINGS\n")]
    assert ("ECS_AVAILABLE_LOGGING_DRIVERS" in settings) == told


def test_the_agent_is_told_of_what_jobs_and_sidecars_log_by_and_managed_instances_of_jobs_with_gpus() -> None:
    beside = sc.ContainerSidecar(image_uri="public.ecr.aws/docker/library/memcached:1.6", log_driver="journald")
    config = sc.Config(
        services={"web": sc.WebService(sidecars={"cache": beside})}, jobs={"nightly": sc.Job(log_driver="gelf")}
    )
    template = properties(made(config), "capacity", "NodesLaunchTemplate")
    script, _ = template["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    assert 'DRIVERS=["awslogs", "gelf", "journald", "json-file", "none", "syslog"]' in script
    managed: dict[str, Any] = {"all": sc.ManagedCapacity()}
    files = made(sc.Config(capacity=managed, jobs={"nightly": sc.Job(gpus=2)}))
    launch = properties(files, "capacity", "AllCapacityProvider")["ManagedInstancesProvider"]["InstanceLaunchTemplate"]
    assert launch["InstanceRequirements"]["AcceleratorCount"] == {"Min": 2}


def test_fargate_takes_two_log_drivers_only() -> None:
    for driver in ("gelf", "journald"):
        with pytest.raises(sc.ConfigError, match=f'"{driver}" is for EC2 nodes, and air is fargate'):
            sc.compose(sc.Config(capacity=AIR, services={"web": sc.WebService(memory_mib=512, log_driver=driver)}))
    assert sc.compose(sc.Config(capacity=AIR, services={"web": sc.WebService(memory_mib=512, **SPLUNK)}))


def test_a_task_with_gpus_runs_on_nodes_that_have_them_and_their_drivers() -> None:
    service = sc.WebService(gpus=1, scaling=sc.Scaling(max_tasks=4))
    nodes = sc.Ec2Capacity(instance_types=("g6.xlarge",), max_nodes=5)
    files = made(sc.Config(capacity={"nodes": nodes}, services={"web": service}))
    (only,) = properties(files, "web-service", "TaskDefinition")["ContainerDefinitions"]
    assert only["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}]
    image = files["root.yaml"]["Parameters"]["NodesMachineImage"]["Default"]
    assert image == "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
    # One GPU a node, and one node more while a deployment starts one first.
    assert files["root.yaml"]["Parameters"]["WebScalingMaxTasks"]["MaxValue"] == 4
    managed = made(sc.Config(capacity={"all": sc.ManagedCapacity()}, services={"web": service}))
    launch = properties(managed, "capacity", "AllCapacityProvider")["ManagedInstancesProvider"]
    wanted = launch["InstanceLaunchTemplate"]["InstanceRequirements"]
    assert (wanted["AcceleratorTypes"], wanted["AcceleratorCount"]) == (["gpu"], {"Min": 1})


def test_gpus_that_a_pool_has_not_are_refused_with_what_has_them() -> None:
    with pytest.raises(sc.SetError) as raised:
        sc.compose(sc.Config(services={"web": sc.WebService(gpus=1)}))
    assert "does not fit on t3.small (0 GPUs)" in str(raised.value)
    assert 'capacity.nodes.instance_types = ["g4dn.xlarge"], or services.web.gpus = 0' in str(raised.value)
    with pytest.raises(sc.ConfigError, match="Fargate has none, and air is fargate"):
        sc.compose(sc.Config(capacity=AIR, services={"web": sc.WebService(memory_mib=512, gpus=1)}))
    arm: dict[str, Any] = {"nodes": sc.Ec2Capacity(architecture="arm64", instance_types=("g5g.xlarge",))}
    with pytest.raises(sc.ConfigError, match="is for x86_64, and nodes is arm64"):
        sc.compose(sc.Config(capacity=arm, services={"web": sc.WebService(gpus=1)}))
    pinned = sc.Ec2Capacity(instance_types=("g6.xlarge",), machine_image=PINNED)
    with pytest.raises(sc.ConfigError, match=r"capacity\.nodes\.machine_image: has no drivers for the GPUs"):
        sc.compose(sc.Config(capacity={"nodes": pinned}, services={"web": sc.WebService(gpus=1)}))


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
