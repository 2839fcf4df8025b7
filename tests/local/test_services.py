"""Task definitions, services and the names they are reached by, in the emulator."""

from __future__ import annotations

from typing import Any

import pytest

from . import helpers, sets
from .ecs_sets import after, fargate, on, task
from .helpers import Account
from .test_capacity import BRIDGE, services_of, why_not

Record = dict[str, Any]


def on_fargate(**services: sets.Template) -> sets.Template:
    """A cluster with Fargate, the task definition `Task`, and services."""
    return {
        **fargate("FARGATE"),
        "Task": task(),
        **{name: after("Association", service) for name, service in services.items()},
    }


SOLD = [
    *((256, memory) for memory in (512, 1024, 2048)),
    *((512, memory * 1024) for memory in (1, 4)),
    *((1024, memory * 1024) for memory in (2, 8)),
    *((2048, memory * 1024) for memory in (4, 5, 16)),
    *((4096, memory * 1024) for memory in (8, 30)),
    *((8192, memory * 1024) for memory in (16, 20, 60)),
    *((16384, memory * 1024) for memory in (32, 40, 120)),
]
NOT_SOLD = [(256, 3072), (256, 256), (512, 512), (512, 1536), (1024, 9216), (8192, 18432), (16384, 36864), (333, 512)]


def registered(account: Account, **properties: Any) -> Record:
    container = {"name": "web", "image": "web:1", "memory": 128}
    wanted = {"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], **properties}
    answer = account.client("ecs").register_task_definition(containerDefinitions=[container], **wanted)
    return dict(answer["taskDefinition"])


@pytest.mark.parametrize(("cpu", "memory"), SOLD)
def test_a_size_that_fargate_sells_is_taken(cpu: int, memory: int, account: Account) -> None:
    assert "FARGATE" in registered(account, cpu=str(cpu), memory=str(memory))["compatibilities"]


@pytest.mark.parametrize(("cpu", "memory"), NOT_SOLD)
def test_a_size_that_fargate_does_not_sell_is_refused(cpu: int, memory: int, account: Account) -> None:
    refusal = helpers.refused(lambda: registered(account, cpu=str(cpu), memory=str(memory)))
    assert refusal.startswith(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")


def test_a_size_may_be_written_in_vcpu_and_gb(account: Account) -> None:
    assert registered(account, cpu=".25 vCPU", memory="0.5 GB")["status"] == "ACTIVE"
    assert helpers.refused(lambda: registered(account, cpu="1 vCPU", memory="1GB")).startswith("No Fargate")


UNLIMITED: Record = {"Name": "web", "Image": "web:1"}
IN_ECR: Record = {"Name": "web", "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"}
LOGGING: Record = {**UNLIMITED, "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "web"}}}


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"NetworkMode": "bridge"}, "only supports network mode"),
        ({"NetworkMode": None}, "only supports network mode"),
        ({"Cpu": None}, "requires that 'cpu' be defined at the task level"),
        ({"Memory": None}, "requires that 'memory' be defined at the task level"),
        ({"Cpu": "512"}, "No Fargate configuration exists for given values: 512 CPU, 512 memory"),
        ({"PlacementConstraints": [{"Type": "memberOf", "Expression": "x"}]}, "placement constraints"),
        ({"ContainerDefinitions": [IN_ECR]}, "execution role ARN to support ECR images"),
        ({"ContainerDefinitions": [LOGGING]}, "execution role ARN to support log driver awslogs"),
        ({"ContainerDefinitions": [{"Name": "web", "Image": "web:1", "Memory": 1024}]}, "is greater than for the task"),
        (
            {"RequiresCompatibilities": ["EC2"], "Memory": None, "ContainerDefinitions": [UNLIMITED]},
            "At least one of 'memory' or 'memoryReservation' must be specified",
        ),
        ({"RequiresCompatibilities": ["MANAGED_INSTANCES"], "NetworkMode": "bridge"}, "Managed Instances"),
    ],
)
def test_a_task_that_its_capacity_cannot_run_is_refused(properties: Record, words: str, account: Account) -> None:
    assert words in why_not(account, {"Task": task(**properties)})


def test_a_task_definition_is_shown_with_all_that_the_template_says(account: Account) -> None:
    container = {
        "Name": "web",
        "Image": "web:1",
        "Memory": "128",
        "Secrets": [{"Name": "KEY", "ValueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/key"}],
        "HealthCheck": {"Command": ["CMD", "true"], "Interval": "10"},
        "DockerLabels": {"Team": "web"},
        "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "Group"}},
        "PortMappings": [{"Name": "http", "ContainerPort": "8080", "AppProtocol": "http"}],
    }
    volume = {"Name": "data", "EFSVolumeConfiguration": {"FilesystemId": "fs-1", "TransitEncryption": "ENABLED"}}
    platform = {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
    template = task(
        ContainerDefinitions=[container],
        Volumes=[volume],
        RuntimePlatform=platform,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/execution",
        EphemeralStorage={"SizeInGiB": "30"},
    )
    arn = helpers.stands(account, {"Task": template}, {"It": {"Ref": "Task"}})["It"]
    shown = account.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    (web,) = shown["containerDefinitions"]
    assert (shown["cpu"], shown["memory"], web["memory"]) == ("256", "512", 128)
    assert web["secrets"][0]["valueFrom"].endswith(":parameter/key")
    assert (web["healthCheck"]["interval"], web["portMappings"][0]["containerPort"]) == (10, 8080)
    assert (web["dockerLabels"], web["logConfiguration"]["options"]) == ({"Team": "web"}, {"awslogs-group": "Group"})
    assert shown["volumes"][0]["efsVolumeConfiguration"]["fileSystemId"] == "fs-1"
    assert shown["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert shown["ephemeralStorage"] == {"sizeInGiB": 30}
    assert shown["compatibilities"] == ["EC2", "FARGATE", "MANAGED_INSTANCES"]


def test_services_of_one_cluster_come_and_go_without_touching_each_other(account: Account) -> None:
    helpers.stands(account, on_fargate(Web=on("FARGATE"), Api=on("FARGATE", DesiredCount="3")))
    before = services_of(account)
    assert {name: one["runningCount"] for name, one in before.items()} == {"demo-Web": 1, "demo-Api": 3}
    helpers.stands(account, on_fargate(Web=on("FARGATE"), Worker=on("FARGATE")))
    now = services_of(account)
    assert now.keys() == {"demo-Web", "demo-Worker"}
    assert now["demo-Web"]["deployments"] == before["demo-Web"]["deployments"]


def test_a_service_on_fargate_shows_where_and_how_it_runs(account: Account) -> None:
    web = on("FARGATE", PlatformVersion="LATEST", EnableExecuteCommand=True, PropagateTags="SERVICE")
    helpers.stands(account, on_fargate(Web=web))
    shown = services_of(account)["demo-Web"]
    (deployment,) = shown["deployments"]
    assert (shown["platformVersion"], shown["platformFamily"]) == ("LATEST", "Linux")
    assert (shown["enableExecuteCommand"], shown["propagateTags"]) == (True, "SERVICE")
    assert deployment["platformVersion"] == "1.4.0"
    assert deployment["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == ["subnet-1"]
    assert deployment["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}]


def test_a_new_task_definition_is_a_new_deployment_of_the_same_service(account: Account) -> None:
    first = helpers.stands(account, on_fargate(Web=on("FARGATE")), {"It": {"Ref": "Web"}, "Task": {"Ref": "Task"}})
    resources = on_fargate(Web=on("FARGATE"))
    resources["Task"] = task(Memory="1024")
    second = helpers.stands(account, resources, {"It": {"Ref": "Web"}, "Task": {"Ref": "Task"}})
    assert (second["It"], second["Task"]) == (first["It"], f"{first['Task'][:-1]}2")
    assert services_of(account)["demo-Web"]["taskDefinition"] == second["Task"]


def test_another_network_is_a_new_deployment_of_the_same_service(account: Account) -> None:
    arn = {"It": {"Ref": "Web"}}
    first = helpers.stands(account, on_fargate(Web=on("FARGATE")), arn)
    before = services_of(account)["demo-Web"]["deployments"][0]
    elsewhere = {"AwsvpcConfiguration": {"Subnets": ["subnet-2"]}}
    assert helpers.stands(account, on_fargate(Web=on("FARGATE", NetworkConfiguration=elsewhere)), arn) == first
    now = services_of(account)["demo-Web"]["deployments"][0]
    assert now["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == ["subnet-2"]
    assert now["id"] != before["id"]


def test_a_service_does_not_become_what_its_parts_cannot_be(account: Account) -> None:
    helpers.stands(account, on_fargate(Web=on("FARGATE")))
    bridge = {**on_fargate(Web=on("FARGATE")), "Task": BRIDGE}
    assert "Network Configuration is not valid for the given networkMode" in why_not(account, bridge)
    assert services_of(account)["demo-Web"]["taskDefinition"].endswith(":1")


def test_a_task_that_is_run_by_itself_fits_its_capacity_as_a_service_does(account: Account) -> None:
    helpers.stands(account, {**on_fargate(), "Bridge": BRIDGE})
    ecs = account.client("ecs")
    wanted = {
        "cluster": "demo-Cluster",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}],
        "taskDefinition": "demo-Task",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    }
    (run,) = ecs.run_task(**wanted)["tasks"]
    assert (run["launchType"], "containerInstanceArn" in run) == ("FARGATE", False)
    alone = {key: value for key, value in wanted.items() if key != "networkConfiguration"}
    assert "Network Configuration must be provided" in helpers.refused(lambda: ecs.run_task(**alone))
    bridge = {**alone, "taskDefinition": "demo-Bridge"}
    assert "does not support launch_type FARGATE" in helpers.refused(lambda: ecs.run_task(**bridge))
    other = {**wanted, "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]}
    assert "not associated with the cluster" in helpers.refused(lambda: ecs.run_task(**other))


def test_numbers_that_a_parameter_gives_as_text_are_counted_with(account: Account) -> None:
    helpers.stands(account, sets.service(DesiredCount="2", LaunchType="EC2"))
    helpers.stands(account, sets.service(DesiredCount="3", LaunchType="EC2"))
    assert services_of(account)["demo-Service"]["runningCount"] == 3


BALANCER = "AWS::ElasticLoadBalancingV2"


def balanced(target_type: str, *, listener: bool = True, container: str = "web", port: int = 8080) -> sets.Template:
    """A service on Fargate behind a balancer."""
    behind = [{"TargetGroupArn": {"Ref": "Targets"}, "ContainerName": container, "ContainerPort": port}]
    targets = {"Port": 80, "Protocol": "HTTP", "TargetType": target_type}
    forward = [{"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}]
    listening = {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": forward}
    resources = {
        **on_fargate(),
        "Balancer": {"Type": f"{BALANCER}::LoadBalancer"},
        "Targets": {"Type": f"{BALANCER}::TargetGroup", "Properties": targets},
        "Listener": {"Type": f"{BALANCER}::Listener", "Properties": listening},
        "Web": {**on("FARGATE", LoadBalancers=behind), "DependsOn": ["Association", "Listener"]},
    }
    if not listener:
        del resources["Listener"]
        resources["Web"]["DependsOn"] = ["Association"]
    return resources


def test_a_service_on_fargate_is_behind_a_balancer_by_address(account: Account) -> None:
    helpers.stands(account, balanced("ip"))
    assert services_of(account)["demo-Web"]["loadBalancers"][0]["containerPort"] == 8080


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (balanced("instance"), "has target type instance, which is incompatible with the awsvpc network mode"),
        (balanced("ip", listener=False), "does not have an associated load balancer"),
        (balanced("ip", container="other"), "The container other does not exist in the task definition"),
        (balanced("ip", port=80), "The container web did not have a container port 80 defined"),
        (on_fargate(Web=on("FARGATE", NetworkConfiguration=None)), "Network Configuration must be provided"),
        (
            {**on_fargate(Web=on(LaunchType="EC2")), "Task": BRIDGE},
            "Network Configuration is not valid for the given networkMode",
        ),
        (
            {**on_fargate(Web=on("FARGATE")), "Task": task(Cpu=None, RequiresCompatibilities=["EC2"])},
            "Task definition does not support launch_type FARGATE",
        ),
        (
            {**on_fargate(Web=on(LaunchType="EC2", PlatformVersion="1.4.0")), "Task": task()},
            "The platform version must be null when specifying an EC2 launch type",
        ),
        (
            on_fargate(Web=on("FARGATE", PlacementStrategies=[{"Type": "spread", "Field": "instanceId"}])),
            "Placement strategies are not supported with FARGATE",
        ),
        (
            on_fargate(Web=on("FARGATE", PlacementConstraints=[{"Type": "distinctInstance"}])),
            "Placement constraints are not supported with FARGATE",
        ),
    ],
)
def test_a_service_whose_parts_do_not_go_together_is_refused(
    resources: sets.Template, words: str, account: Account
) -> None:
    assert words in why_not(account, resources)


def connected(*offered: Record, namespace: Any = None) -> Record:
    return {
        "Enabled": True,
        "Namespace": namespace or {"Fn::GetAtt": ["Namespace", "Arn"]},
        "Services": list(offered),
    }


NAMESPACE: sets.Template = {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "shop"}}
HTTP: Record = {"PortName": "http", "DiscoveryName": "api", "ClientAliases": [{"Port": "80", "DnsName": "api"}]}


def in_cloud_map(account: Account) -> list[str]:
    return [one["Name"] for one in account.client("servicediscovery").list_services()["Services"]]


@pytest.mark.parametrize("by", ["name", "ARN"])
def test_a_service_offers_its_ports_by_name(by: str, account: Account) -> None:
    namespace = {"Fn::GetAtt": ["Namespace", "Arn"]} if by == "ARN" else "shop"
    api = on("FARGATE", ServiceConnectConfiguration=connected(HTTP, namespace=namespace))
    resources = {**on_fargate(), "Namespace": NAMESPACE, "Api": {**api, "DependsOn": ["Association", "Namespace"]}}
    made = helpers.stands(account, resources, {"Id": {"Ref": "Namespace"}, "Arn": {"Fn::GetAtt": ["Namespace", "Arn"]}})
    (deployment,) = services_of(account)["demo-Api"]["deployments"]
    (offered,) = deployment["serviceConnectConfiguration"]["services"]
    assert (offered["portName"], offered["clientAliases"]) == ("http", [{"port": 80, "dnsName": "api"}])
    assert [entry["discoveryName"] for entry in deployment["serviceConnectResources"]] == ["api"]
    assert in_cloud_map(account) == ["api"]
    cloud_map = account.client("servicediscovery")
    assert cloud_map.get_namespace(Id=made["Id"])["Namespace"]["Arn"] == made["Arn"]
    assert "associated services" in helpers.refused(lambda: cloud_map.delete_namespace(Id=made["Id"]))
    assert helpers.delete(account, helpers.described(account, "demo")["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert [left for left in helpers.leftovers(account) if "task" not in left] == []


def test_what_a_service_offers_changes_in_place(account: Account) -> None:
    def with_names(*offered: Record) -> sets.Template:
        api = on("FARGATE", ServiceConnectConfiguration=connected(*offered))
        return {**on_fargate(Api=api), "Namespace": NAMESPACE}

    arn = {"It": {"Ref": "Api"}}
    first = helpers.stands(account, with_names(HTTP), arn)
    assert helpers.stands(account, with_names({**HTTP, "DiscoveryName": "shop-api"}), arn) == first
    assert in_cloud_map(account) == ["shop-api"]
    assert helpers.stands(account, {**on_fargate(Api=on("FARGATE")), "Namespace": NAMESPACE}, arn) == first
    assert in_cloud_map(account) == []


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        ([{**HTTP, "PortName": "grpc"}], "portName(grpc) does not refer to any named PortMapping"),
        ([HTTP], "SC service is already used by arn:aws:servicediscovery:"),
    ],
)
def test_a_name_is_of_a_port_and_of_one_service_only(offered: list[Record], words: str, account: Account) -> None:
    first = on("FARGATE", ServiceConnectConfiguration=connected(HTTP))
    second = on("FARGATE", ServiceConnectConfiguration=connected(*offered))
    resources = {**on_fargate(First=first), "Namespace": NAMESPACE, "Second": after("First", second)}
    assert words in why_not(account, resources)


def test_a_namespace_that_is_not_there_is_refused(account: Account) -> None:
    api = on("FARGATE", ServiceConnectConfiguration=connected(HTTP, namespace="nowhere"))
    assert "Failed to retrieve namespace for nowhere" in why_not(account, on_fargate(Api=api))


def test_a_namespace_may_be_the_cluster_s(account: Account) -> None:
    config = {"Enabled": True, "Services": [HTTP]}
    resources = {**on_fargate(Api=on("FARGATE", ServiceConnectConfiguration=config)), "Namespace": NAMESPACE}
    defaults = {"Namespace": {"Fn::GetAtt": ["Namespace", "Arn"]}}
    resources["Cluster"] = {"Type": "AWS::ECS::Cluster", "Properties": {"ServiceConnectDefaults": defaults}}
    helpers.stands(account, resources)
    assert in_cloud_map(account) == ["api"]
