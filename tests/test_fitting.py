"""What a composed set asks of its nodes is counted from its templates, whoever wrote it into them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from msgspec import Struct
from strategies import configs
from test_every_config import every_config
from troposphere import GetAtt, Ref, ecs

import scaleout_cfn as sc
from scaleout_cfn import capacity
from scaleout_cfn.config.units import title_of
from scaleout_cfn.fitting import misfits
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.values import CapacityProviderName, ClusterName

ONE_ROOM = "2048 CPU units and about 1694 MiB for tasks, 3 network interfaces"


def refusals(top: sc.Stack, *, nodes: object = None) -> list[str]:
    """What is said of a set, with another number of most nodes."""
    templates = sc.set_of(top)
    if nodes is not None:
        templates["capacity.yaml"]["Resources"]["NodesGroup"]["Properties"]["MaxSize"] = nodes
    return misfits(StackSet(templates))


def container(name: str = "agent", **sizes: Any) -> ecs.ContainerDefinition:
    return ecs.ContainerDefinition(name, Name=name, Image="agent", **sizes)


def containers(top: sc.Stack) -> list[Any]:
    return top.children["WebService"].template.resources["TaskDefinition"].ContainerDefinitions  # type: ignore[no-any-return]


class Nothing(Struct, frozen=True):
    """No outputs."""


def with_worker(container: ecs.ContainerDefinition, *providers: str, **service: Any) -> sc.Stack:
    """The default set, and beside it a worker of somebody's own."""

    def worker(stack: sc.Stack, config: sc.Config, *, cluster: ClusterName, provider: CapacityProviderName) -> Nothing:
        """A worker."""
        task = stack.add(ecs.TaskDefinition("Tasks", ContainerDefinitions=[container]))
        named = [provider if name == "ours" else name for name in providers]
        strategy = [ecs.CapacityProviderStrategyItem(CapacityProvider=name) for name in named]
        stack.add(
            ecs.Service(
                "Service",
                TaskDefinition=task.ref(),
                **{"Cluster": cluster, **service, **({"CapacityProviderStrategy": strategy} if strategy else {})},
            )
        )
        return Nothing()

    def root(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
        """With a worker."""
        web = sc.build(stack, config)
        provider = CapacityProviderName(GetAtt("Capacity", "Outputs.NodesCapacityProvider"))
        stack.nest("Worker", worker, config, cluster=web.cluster_name, provider=provider)
        return web

    return sc.compose(sc.Config(), root)


SMALL = container(Cpu=256, Memory=256)


# --- what was changed after composing


def test_a_sidecar_that_makes_a_task_too_large_for_a_node_is_refused_with_the_arithmetic() -> None:
    top = sc.compose()
    containers(top).append(container(Memory=1600))
    assert refusals(top) == [
        "web-service.yaml: WebService/Service: one task of 256 CPU units and 1856 MiB (web and agent together) does not"
        f" fit on t3.small ({ONE_ROOM}); give it less, or take larger types (capacity.NAME.instance_types)"
    ]
    with pytest.raises(sc.SetError, match="1856 MiB"):
        sc.render(top)


def test_a_sidecar_that_leaves_too_few_places_is_refused_with_the_arithmetic() -> None:
    top = sc.compose()
    containers(top).append(container(Memory=200, Cpu=16))
    assert refusals(top) == [
        "capacity.yaml: NodesGroup: 20 tasks of WebService/Service, each of 272 CPU units and 456 MiB (web and agent"
        f" together), with room for a deployment need 7 t3.small ({ONE_ROOM}); MaxSize is 5; raise it to 7"
        " (capacity.NAME.max_nodes), take larger types (capacity.NAME.instance_types), or ask for fewer or smaller"
        " tasks"
    ]


@pytest.mark.parametrize(
    ("sizes", "fits"),
    [
        ({"Memory": 64}, True),
        ({"Memory": 82}, True),  # 5 nodes hold 25 tasks of 338 MiB
        ({"Memory": 83}, False),
        ({"MemoryReservation": 64, "Memory": 1600}, True),  # the reservation is what counts
        ({"MemoryReservation": 1600, "Memory": 1700}, False),
        ({"Memory": Ref("AWS::NoValue")}, True),
        ({"Cpu": 153}, True),
        ({"Cpu": 154, "Memory": 4}, False),
        ({"Memory": 4, "PortMappings": [ecs.PortMapping(ContainerPort=53, HostPort=53)]}, False),
        ({"Memory": 4, "PortMappings": [ecs.PortMapping(ContainerPort=53, HostPort=0)]}, True),
    ],
)
def test_every_container_of_a_task_counts_by_what_it_reserves(sizes: dict[str, Any], fits: bool) -> None:
    top = sc.compose()
    containers(top).append(container(**sizes))
    assert (not refusals(top)) == fits


def test_the_size_of_a_task_itself_is_what_it_reserves() -> None:
    top = sc.compose()
    definition = top.children["WebService"].template.resources["TaskDefinition"]
    definition.Memory = "900"
    assert "900 MiB" in refusals(top)[0]
    definition.Memory = "300"
    containers(top)[0].Memory = 1600
    assert refusals(top) == []
    definition.Cpu = "1024"
    assert "1024 CPU units and 300 MiB" in refusals(top)[0]


def test_larger_nodes_given_after_composing_are_believed() -> None:
    top = sc.compose()
    containers(top).append(container(Memory=1600))
    group = top.children["Capacity"].template.resources["NodesGroup"]
    for override in group.MixedInstancesPolicy.LaunchTemplate.Overrides:
        override.InstanceType = "t3.2xlarge"
    assert refusals(top) == []


@pytest.mark.parametrize("unknown", ["type", "requirements", "weights", "size", "memory"])
def test_what_nobody_can_know_is_not_guessed(unknown: str) -> None:
    top = sc.compose()
    group = top.children["Capacity"].template.resources["NodesGroup"]
    (override,) = group.MixedInstancesPolicy.LaunchTemplate.Overrides
    nodes: object = 1
    assert refusals(top, nodes=nodes)
    if unknown == "type":
        override.InstanceType = "x99.huge"
    elif unknown == "requirements":
        del override.properties["InstanceType"]
    elif unknown == "weights":
        override.WeightedCapacity = "2"
    elif unknown == "size":
        nodes = {"Fn::GetAtt": ["Cluster", "Arn"]}
    else:
        del containers(top)[0].properties["Memory"], containers(top)[0].properties["Cpu"]
    assert refusals(top, nodes=nodes) == []


def test_without_overrides_the_launch_template_says_the_type() -> None:
    top = sc.compose()
    del (
        top.children["Capacity"]
        .template.resources["NodesGroup"]
        .MixedInstancesPolicy.LaunchTemplate.properties["Overrides"]
    )
    assert "need 4 t3.small" in refusals(top, nodes=1)[0]
    top.children["Capacity"].template.resources["NodesLaunchTemplate"].LaunchTemplateData.InstanceType = "t3.medium"
    assert "need 3 t3.medium" in refusals(top, nodes=1)[0]


def test_of_several_types_the_smallest_has_to_do() -> None:
    top = sc.compose(
        sc.Config(capacity={"nodes": sc.Ec2Capacity(instance_types=("t3.large", "t3.small"), max_nodes=4)})
    )
    assert "need 4 t3.small" in refusals(top, nodes=3)[0]


# --- services of one's own


def test_a_worker_on_the_same_nodes_is_counted() -> None:
    assert refusals(with_worker(SMALL, "ours", DesiredCount=8)) == []
    (refusal,) = refusals(with_worker(SMALL, "ours", DesiredCount=12))
    assert refusal.startswith(
        "capacity.yaml: NodesGroup: 20 tasks of WebService/Service, each of 256 CPU units and 256 MiB, and 12 tasks of"
        " Worker/Service, each of 256 CPU units and 256 MiB, with room for a deployment of one of them need 6"
        " t3.small ("
    )


@pytest.mark.parametrize(
    ("providers", "service", "counted"),
    [
        (["ours"], {}, True),
        ([], {}, True),  # by the cluster's own strategy
        ([], {"LaunchType": "EC2"}, True),
        ([], {"LaunchType": "FARGATE"}, False),
        (["FARGATE"], {}, False),
        (["ours", "FARGATE"], {}, False),
        ([], {"Cluster": "another"}, False),
    ],
)
def test_a_service_counts_where_it_runs(providers: list[str], service: dict[str, Any], counted: bool) -> None:
    assert bool(refusals(with_worker(SMALL, *providers, **service, DesiredCount=40))) == counted


def test_a_service_without_a_number_has_one_task() -> None:
    large = container(Memory=1600)
    assert "1 task of Worker/Service, each of 0 CPU units and 1600 MiB" in refusals(with_worker(large, "ours"))[0]
    assert refusals(with_worker(large, "ours", DesiredCount=0)) == []


def test_the_most_tasks_are_those_of_the_bounds_or_of_a_schedule() -> None:
    night = sc.Schedule(name="night", at="rate(1 day)", min_tasks=2, max_tasks=20)
    top = sc.compose(sc.Config(services={"web": sc.WebService(scaling=sc.Scaling(max_tasks=4, schedules=(night,)))}))
    assert "20 tasks of WebService/Service" in refusals(top, nodes=1)[0]


def without_tasks(top: sc.Stack) -> sc.Stack:
    """The same, with nothing to run by our own service."""
    top.children["WebService"].template.resources["ScalableTarget"].MaxCapacity = 0
    return top


def test_no_tasks_need_no_nodes() -> None:
    assert refusals(without_tasks(sc.compose()), nodes=0) == []


@pytest.mark.parametrize(
    ("deployment", "fits"),
    [({}, False), ({"MinimumHealthyPercent": 100}, False), ({"MinimumHealthyPercent": 99}, True)],
)
def test_a_deployment_that_may_stop_no_task_before_a_new_one_runs_needs_room_for_it(
    deployment: dict[str, Any], fits: bool
) -> None:
    """AWS's default, too: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html"""
    given = {"DeploymentConfiguration": ecs.DeploymentConfiguration(**deployment)} if deployment else {}
    top = without_tasks(with_worker(container(Memory=16), "ours", DesiredCount=105, **given))
    # 105 times 16 MiB is what one node has.
    assert (refusals(top, nodes=1) == []) == fits


def test_what_runs_on_every_node_takes_its_part_of_each() -> None:
    def daemon(memory: int) -> list[str]:
        return refusals(with_worker(container(Memory=memory), SchedulingStrategy="DAEMON"))

    assert daemon(100) == []
    assert re.search(r"NodesGroup: 20 tasks of WebService/Service, each of 256 .* need 6 t3\.small", daemon(500)[0])
    (refusal,) = daemon(1500)
    assert refusal.startswith(
        "web-service.yaml: WebService/Service: one task of 256 CPU units and 256 MiB does not fit on"
    )
    assert " beside those that run on every node; give it less" in refusal


def test_a_set_without_nodes_or_services_is_none_of_this() -> None:
    assert misfits(StackSet({"root.yaml": {"Resources": {}}})) == []


# --- the set as composed


@every_config
@given(config=configs())
def test_templates_ask_for_what_the_config_asks_for(config: sc.Config) -> None:
    top = sc.compose(config)
    templates = sc.set_of(top)
    assert misfits(StackSet(templates)) == []
    for name, pool in config.capacity.items():
        demands = [capacity.demand_of(unit) for unit in sc.units(config) if unit.pool_name == name]
        if not isinstance(pool, sc.Ec2Capacity) or not demands:
            continue
        kinds = map(capacity.instance_type, pool.instance_types)
        needed = max(capacity.nodes_needed(kind, demands) or 0 for kind in kinds)
        group = templates["capacity.yaml"]["Resources"][f"{title_of(name)}Group"]["Properties"]
        enough = group["MaxSize"]
        group["MaxSize"] = needed
        assert misfits(StackSet(templates)) == []
        group["MaxSize"] = str(needed - 1)
        (refusal,) = misfits(StackSet(templates))
        assert f"need {needed} " in refusal
        assert f"MaxSize is {needed - 1}; raise it to {needed} (capacity.NAME.max_nodes)" in refusal
        group["MaxSize"] = enough
