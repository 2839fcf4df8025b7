"""The service: what a task gets, what it may do, and how a new version takes over."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from stacks.helpers import PARAMETER, SECRET, at, att, made, properties, ref


def container(service: sc.WebService | None = None, **sections: Any) -> dict[str, Any]:
    templates = made(service=service or sc.WebService(), **sections)
    (only,) = properties(templates, "web-service", "TaskDefinition")["ContainerDefinitions"]
    found: dict[str, Any] = only
    return found


def service(settings: sc.WebService | None = None, **sections: Any) -> dict[str, Any]:
    return properties(made(service=settings or sc.WebService(), **sections), "web-service", "Service")


# --- a task


def test_a_task_reserves_what_the_config_says_on_its_container() -> None:
    settings = sc.WebService(cpu_units=300, memory_mib=401, stop_timeout_s=44)
    only = container(settings, scaling=sc.Scaling(max_tasks=9))
    assert (only["Cpu"], only["Memory"], only["StopTimeout"]) == (300, 401, 44)
    definition = properties(made(), "web-service", "TaskDefinition")
    # On the task it would be a limit: idle CPU could not be used, and use would not go beyond 100 percent.
    assert not {"Cpu", "Memory"} & definition.keys()
    limited = properties(
        made(service=replace(settings, cpu_is="quota"), scaling=sc.Scaling(max_tasks=9)),
        "web-service",
        "TaskDefinition",
    )
    assert (limited["Cpu"], limited["ContainerDefinitions"][0]["Cpu"]) == ("300", 300)
    assert "Memory" not in limited
    assert only["Essential"] is True
    assert only["Image"] == ref("ImageUri")
    assert definition["RequiresCompatibilities"] == ["EC2"]
    # Of the stack's name, so that all revisions are one family and no other stack's.
    assert definition["Family"] == ref("AWS::StackName")


@pytest.mark.parametrize(
    ("pool", "kind"), [(sc.FargateCapacity(), "fargate"), (sc.ManagedCapacity(), "managed-instances")]
)
def test_a_task_of_a_size_of_its_own_shares_no_idle_cpu(pool: Any, kind: str) -> None:
    web = sc.WebService(cpu_is="quota", memory_mib=512)
    sc.compose(sc.Config(services={"web": web}, capacity={"air": pool}))
    with pytest.raises(
        sc.ConfigError, match=f'web.cpu_is: "share" is for EC2 nodes, and air is {kind}, .*leave it out'
    ):
        sc.compose(sc.Config(services={"web": replace(web, cpu_is="share")}, capacity={"air": pool}))


@pytest.mark.parametrize("mode", ["bridge", "awsvpc"])
def test_the_balancer_s_targets_are_the_container_s_port(mode: Any) -> None:
    settings = sc.WebService(network_mode=mode, container_port=9001)
    templates = made(service=settings, scaling=sc.Scaling(max_tasks=9))
    definition = properties(templates, "web-service", "TaskDefinition")
    assert definition["NetworkMode"] == mode
    (only,) = definition["ContainerDefinitions"]
    (mapping,) = only["PortMappings"]
    # Under bridge Docker gives a port; under awsvpc the task's address has its own.
    assert mapping == {"ContainerPort": 9001, "Protocol": "tcp", **({"HostPort": 0} if mode == "bridge" else {})}
    (target,) = properties(templates, "web-service", "Service")["LoadBalancers"]
    assert target == {
        "ContainerName": only["Name"],
        "ContainerPort": 9001,
        "TargetGroupArn": ref("TargetGroup"),
    }


@pytest.mark.parametrize("read_only", [False, True])
def test_a_container_writes_where_it_may_and_reaps_its_children(read_only: bool) -> None:
    only = container(sc.WebService(read_only=read_only, tmpfs_mib={"/tmp": 17, "/run": 5}))
    assert only["ReadonlyRootFilesystem"] is read_only
    assert only["LinuxParameters"]["InitProcessEnabled"] is True
    sizes = {entry["ContainerPath"]: entry["Size"] for entry in only["LinuxParameters"]["Tmpfs"]}
    assert sizes == {"/tmp": 17, "/run": 5}
    # What is written at run time is not run.
    assert all(
        {"noexec", "nosuid", "nodev"} <= set(entry["MountOptions"]) for entry in only["LinuxParameters"]["Tmpfs"]
    )
    assert "Tmpfs" not in container(sc.WebService(tmpfs_mib={}))["LinuxParameters"]


def test_logs_go_to_the_set_s_group_and_never_stop_a_container() -> None:
    logs = container()["LogConfiguration"]
    assert logs["LogDriver"] == "awslogs"
    options = logs["Options"]
    assert (options["awslogs-group"], options["awslogs-region"]) == (ref("LogGroupName"), ref("AWS::Region"))
    # ECS wants a prefix to name streams by task.
    assert options["awslogs-stream-prefix"] == container()["Name"]
    assert (options["mode"], options["max-buffer-size"]) == ("non-blocking", "16m")


def test_variables_and_secrets_are_sorted_by_name_and_no_others_are_there() -> None:
    only = container(sc.WebService(environment={"Z": "1", "A": "2"}, secrets={"Y": SECRET, "B": PARAMETER}))
    assert only["Environment"] == [{"Name": "A", "Value": "2"}, {"Name": "Z", "Value": "1"}]
    assert only["Secrets"] == [{"Name": "B", "ValueFrom": PARAMETER}, {"Name": "Y", "ValueFrom": SECRET}]
    assert not {"Environment", "Secrets", "HealthCheck"} & container().keys()


def test_a_container_s_own_health_is_asked_within_the_time_that_ecs_allows() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html"""
    check = container(sc.WebService(health_command=("python3", "-c", "ok")))["HealthCheck"]
    # Without a shell, for an image may have none.
    assert check["Command"] == ["CMD", "python3", "-c", "ok"]
    assert 5 <= check["Interval"] <= 300
    assert 2 <= check["Timeout"] < check["Interval"]
    assert 1 <= check["Retries"] <= 10
    assert 0 <= check["StartPeriod"] <= 300
    # What starts is left alone for as long as what hangs takes to be found out.
    assert check["StartPeriod"] == check["Interval"] * check["Retries"]


# --- what it may do


def test_the_agent_pulls_logs_and_reads_the_secrets_on_a_task_s_behalf() -> None:
    templates = made(service=sc.WebService(secrets={"Y": SECRET}))
    definition = properties(templates, "web-service", "TaskDefinition")
    assert definition["ExecutionRoleArn"] == att("ExecutionRole", "Arn")
    assert definition["TaskRoleArn"] == att("TaskRole", "Arn")
    by_name = {
        policy["PolicyName"]: policy["PolicyDocument"]["Statement"][-1]["Resource"]
        for policy in properties(templates, "web-service", "ExecutionRole")["Policies"]
    }
    assert by_name == {
        "pull-image": [ref("RepositoryArn")],
        "write-logs": [
            {
                "Fn::Sub": [
                    "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${LogGroup}:*",
                    {"LogGroup": ref("LogGroupName")},
                ]
            }
        ],
        "read-secrets": [SECRET],
    }
    names = [policy["PolicyName"] for policy in properties(made(), "web-service", "ExecutionRole")["Policies"]]
    assert "read-secrets" not in names
    for role in ("ExecutionRole", "TaskRole"):
        trust = properties(templates, "web-service", role)["AssumeRolePolicyDocument"]
        assert at(trust, "Statement.0.Principal") == {"Service": "ecs-tasks.amazonaws.com"}


def test_an_image_of_another_repository_may_be_pulled_where_the_config_says_so() -> None:
    other = "arn:aws:ecr:eu-west-1:123456789012:repository/team/*"
    pull, *_ = properties(made(service=sc.WebService(pull_from=(other,))), "web-service", "ExecutionRole")["Policies"]
    assert pull["PolicyName"] == "pull-image"
    reached = [statement["Resource"] for statement in pull["PolicyDocument"]["Statement"]]
    assert reached == [["*"], [ref("RepositoryArn")], [other]]


@pytest.mark.parametrize("wanted", [False, True])
def test_a_shell_in_a_task_needs_the_switch_and_the_channels(wanted: bool) -> None:
    templates = made(service=sc.WebService(exec=wanted, read_only=False))
    assert properties(templates, "web-service", "Service")["EnableExecuteCommand"] is wanted
    assert ("ssmmessages:OpenDataChannel" in str(properties(templates, "web-service", "TaskRole"))) == wanted


# --- who reaches it


def test_under_awsvpc_the_balancer_reaches_the_container_s_port_and_nothing_else() -> None:
    templates = made(service=sc.WebService(network_mode="awsvpc", container_port=9001), scaling=sc.Scaling(max_tasks=9))
    network = properties(templates, "web-service", "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    # Without an address of their own: the way out is that of the subnets.
    assert network == {"Subnets": ref("Subnets"), "SecurityGroups": [ref("SecurityGroup")]}
    group = properties(templates, "web-foundation", "SecurityGroup")
    assert group["VpcId"] == ref("VpcId")
    (inward,) = group["SecurityGroupIngress"]
    outward = properties(templates, "web-foundation", "LoadBalancerEgress")
    assert inward["SourceSecurityGroupId"] == ref("LoadBalancerSecurityGroup") == outward["GroupId"]
    assert outward["DestinationSecurityGroupId"] == ref("SecurityGroup")
    for rule in (inward, outward):
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 9001, 9001)
    # What a task may ask for is not limited here.
    assert "SecurityGroupEgress" not in group


def test_under_bridge_tasks_have_neither_a_group_nor_a_network_of_their_own() -> None:
    template = made()["web-service.yaml"]
    assert "NetworkConfiguration" not in template["Resources"]["Service"]["Properties"]
    ground = made()["web-foundation.yaml"]
    assert not {"SecurityGroup", "LoadBalancerEgress"} & ground["Resources"].keys()
    assert not {"Subnets", "SecurityGroup"} & template["Parameters"].keys()


# --- how it is run


def test_tasks_run_on_the_set_s_nodes_and_carry_its_tags() -> None:
    running = service()
    assert (running["Cluster"], running["TaskDefinition"]) == (ref("ClusterName"), ref("TaskDefinition"))
    (strategy,) = running["CapacityProviderStrategy"]
    assert strategy["CapacityProvider"] == ref("CapacityProvider")
    assert strategy["Weight"] > 0
    # Costs can be told apart by service only so.
    assert running["EnableECSManagedTags"] is True
    assert running["PropagateTags"] == "SERVICE"


@pytest.mark.parametrize("rebalancing", [False, True])
def test_tasks_are_spread_over_zones_first_and_then_fill_nodes(rebalancing: bool) -> None:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html: over zones, and first.
    running = service(sc.WebService(zone_rebalancing=rebalancing))
    assert running["AvailabilityZoneRebalancing"] == ("ENABLED" if rebalancing else "DISABLED")
    spread, fill = running["PlacementStrategies"]
    assert spread == {"Type": "spread", "Field": "attribute:ecs.availability-zone"}
    assert fill == {"Type": "binpack", "Field": "memory"}
    filling = service(sc.WebService(placement="binpack", zone_rebalancing=False))
    assert filling["PlacementStrategies"] == [fill]


def test_a_deployment_that_fails_is_taken_back() -> None:
    settings = sc.WebRolling(
        minimum_healthy_percent=51, maximum_percent=151, failure_threshold=7, health_check_grace_s=88
    )
    running = service(sc.WebService(deployment=settings))
    deployment = running["DeploymentConfiguration"]
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (51, 151)
    breaker = deployment["DeploymentCircuitBreaker"]
    assert (breaker["Enable"], breaker["Rollback"]) == (True, True)
    assert breaker["ThresholdConfiguration"] == {"Type": "COUNT", "Value": 7}
    # One task that comes up counts for more than those that did not before it.
    assert breaker["ResetOnHealthyTask"] is True
    assert running["HealthCheckGracePeriodSeconds"] == 88


def test_a_deployment_watches_alarms_on_what_clients_see_unless_it_shall_not() -> None:
    templates = made()
    alarms = properties(templates, "web-service", "Service")["DeploymentConfiguration"]["Alarms"]
    assert alarms == {
        "AlarmNames": ref("Alarms"),
        "Enable": True,
        "Rollback": True,
    }
    wires = properties(templates, "root", "WebService")["Parameters"]
    assert wires["Alarms"] == att("WebFoundation", "Outputs.Alarms")
    quiet = made(service=sc.WebService(deployment=sc.WebRolling(alarms=False)))
    assert "Alarms" not in properties(quiet, "web-service", "Service")["DeploymentConfiguration"]
    assert "Alarms" not in quiet["web-service.yaml"]["Parameters"]


ON, OFF = sc.TargetTracking(enabled=True), sc.TargetTracking()
BY_STEPS = sc.StepScaling(name="Up", metric="memory", threshold=80, steps=(sc.StepAdjustment(adjustment=1),))


@pytest.mark.parametrize(
    ("scaling", "metrics"),
    [
        (sc.Scaling(), ["CPUUtilization"]),
        (sc.Scaling(memory=ON), ["CPUUtilization", "MemoryUtilization"]),
        (sc.Scaling(cpu=OFF, step_policies=(BY_STEPS,)), ["MemoryUtilization"]),
        (sc.Scaling(cpu=OFF, requests=ON), []),
    ],
)
def test_no_metric_that_nothing_scales_by_is_paid_for_every_20_s(scaling: sc.Scaling, metrics: list[str]) -> None:
    monitoring = properties(made(scaling=scaling), "web-service", "Service").get("Monitoring", {})
    assert [name for item in monitoring.get("MetricConfigurations", []) for name in item["MetricNames"]] == metrics


@pytest.mark.parametrize("fast", [False, True])
def test_metrics_come_as_often_as_scaling_looks_at_them(fast: bool) -> None:
    templates = made(scaling=sc.Scaling(high_resolution=fast))
    running = properties(templates, "web-service", "Service")
    tracked = properties(templates, "web-service", "CpuTracking")
    metric = at(tracked, "TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification.PredefinedMetricType")
    assert metric.endswith("HighResolution") == fast
    assert ("Monitoring" in running) == fast
    if fast:
        (configuration,) = running["Monitoring"]["MetricConfigurations"]
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html
        assert configuration["ResolutionSeconds"] == 20
