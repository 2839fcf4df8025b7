"""Capacity arithmetic, against a simulator that places tasks one by one and rolls them over as ECS does."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

import scaleout_cfn as sc
from scaleout_cfn import capacity
from scaleout_cfn.capacity import Demand, Problem, Supply, instance_type, most_tasks, problems, tasks_per_node

ROOT = Path(__file__).parent.parent

# 20 tasks of 256 CPU units and 256 MiB on 5 t2.micro, of the service that this package succeeds.
SEED_DEMAND = Demand(
    cpu_units=256,
    memory_mib=256,
    network_mode="bridge",
    min_tasks=1,
    max_tasks=20,
    minimum_healthy_percent=100,
    maximum_percent=200,
)
SEED_SUPPLY = Supply(instance_types=("t2.micro",), max_nodes=5, architecture="x86_64")


def codes(found: list[Problem]) -> set[str]:
    return {problem.code for problem in found}


# --- the seed's own numbers


def test_the_seeds_numbers_are_refused_with_the_arithmetic() -> None:
    (problem,) = problems(SEED_DEMAND, SEED_SUPPLY)
    assert problem.code == "too-few-nodes"
    assert problem.message == (
        "services.web.scaling.max_tasks: 20 tasks of 256 CPU units and 256 MiB, and one more during a deployment since"
        " deployment.minimum_healthy_percent = 100 lets none stop first, need 7 t2.micro, 3 a node by"
        " memory (1024 MiB, of which about 783 are for tasks); capacity.nodes.max_nodes is 5, room for 15"
    )
    assert problem.cures == (
        {"services.web.scaling.max_tasks": 14},
        {"capacity.nodes.max_nodes": 7},
        {"capacity.nodes.instance_types": ["t2.medium"]},
    )
    assert str(problem) == (
        f"{problem.message}:"
        " services.web.scaling.max_tasks = 14, or capacity.nodes.max_nodes = 7,"
        ' or capacity.nodes.instance_types = ["t2.medium"]'
    )


def test_a_deployment_that_may_stop_tasks_first_needs_no_room_beside_them() -> None:
    stops_first = replace(SEED_DEMAND, minimum_healthy_percent=50)
    (problem,) = problems(stops_first, SEED_SUPPLY)
    assert problem.cures == (
        {"services.web.scaling.max_tasks": 15},
        {"capacity.nodes.max_nodes": 7},
        {"capacity.nodes.instance_types": ["t2.small"]},
    )
    # Nothing is said of a place that no deployment takes.
    assert "20 tasks of 256 CPU units and 256 MiB need 7 t2.micro, 3 a node" in problem.message
    full = replace(stops_first, max_tasks=15)
    assert problems(full, SEED_SUPPLY) == []
    assert codes(problems(replace(full, minimum_healthy_percent=100), SEED_SUPPLY)) == {"too-few-nodes"}


def test_a_t2_micro_takes_three_of_the_seeds_tasks_by_memory() -> None:
    micro = instance_type("t2.micro")
    assert capacity.limits(micro, SEED_DEMAND) == {"CPU": 4, "memory": 3, "ports": 1000}
    assert tasks_per_node(micro, SEED_DEMAND) == 3
    assert capacity.binding_limit(micro, SEED_DEMAND) == "memory"


# --- each limit on its own


def test_awsvpc_gives_each_task_an_interface_beside_the_nodes_own() -> None:
    # AWS's example: a c5.large has three network interfaces, so it runs two tasks.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html
    demand = replace(SEED_DEMAND, network_mode="awsvpc")
    assert tasks_per_node(instance_type("c5.large"), demand) == 2
    assert capacity.binding_limit(instance_type("c5.large"), demand) == "network interfaces"


def test_a_static_host_port_is_free_once_a_node() -> None:
    assert tasks_per_node(instance_type("m5.large"), replace(SEED_DEMAND, host_port_static=True)) == 1


def test_mixed_types_count_as_the_one_that_holds_the_fewest() -> None:
    mixed = replace(SEED_SUPPLY, instance_types=("t2.medium", "t2.micro"))
    assert most_tasks(SEED_DEMAND, mixed) == most_tasks(SEED_DEMAND, SEED_SUPPLY) == 14


def test_a_task_larger_than_a_node_is_named_with_what_binds() -> None:
    (problem,) = problems(replace(SEED_DEMAND, memory_mib=900, max_tasks=3), SEED_SUPPLY)
    assert problem.code == "task-too-large"
    assert "does not fit on t2.micro (1024 MiB, of which about 783 are for tasks)" in problem.message
    assert problem.cures == ({"capacity.nodes.instance_types": ["t2.small"]}, {"services.web.memory_mib": 783})
    (problem,) = problems(replace(SEED_DEMAND, memory_mib=900, cpu_units=2000, max_tasks=3), SEED_SUPPLY)
    assert str(problem).endswith(", or services.web.cpu_units = 1024 and services.web.memory_mib = 783")


def test_a_larger_type_for_a_task_too_large_also_has_room_for_the_most_tasks() -> None:
    (problem,) = problems(replace(SEED_DEMAND, memory_mib=900), SEED_SUPPLY)
    assert problem.cures[0] == {"capacity.nodes.instance_types": ["t2.large"]}
    larger = replace(SEED_SUPPLY, instance_types=("t2.large",))
    assert problems(replace(SEED_DEMAND, memory_mib=900), larger) == []


def test_a_node_with_one_interface_has_none_for_awsvpc_tasks() -> None:
    demand = replace(SEED_DEMAND, network_mode="awsvpc")
    (problem,) = problems(demand, replace(SEED_SUPPLY, instance_types=("hpc6id.32xlarge",)))
    assert (problem.code, problem.cures) == ("task-too-large", ({"services.web.network_mode": "bridge"},))
    assert "(1 network interface, of which one is the node's own)" in problem.message


def test_types_of_another_architecture_are_named() -> None:
    (problem,) = problems(SEED_DEMAND, replace(SEED_SUPPLY, instance_types=("t3.small", "t4g.small")))
    assert problem.message == "capacity.nodes.instance_types: t4g.small is arm64, where architecture is x86_64"
    assert problem.cures == ({"capacity.nodes.instance_types": ["t3.small"]},)
    (problem,) = problems(SEED_DEMAND, replace(SEED_SUPPLY, instance_types=("t4g.small",)))
    assert problem.cures == ({"capacity.nodes.architecture": "arm64"}, {"capacity.nodes.instance_types": ["t3.small"]})


@pytest.mark.parametrize(
    ("tasks", "low", "high", "moves"),
    [
        (4, 50, 100, True),  # AWS: two of four may be stopped before two are started
        (2, 75, 100, False),  # AWS: 75 % of two, rounded up, is both
        (4, 100, 200, True),  # AWS: four may be started before four are stopped
        (1, 100, 150, False),  # 150 % of one, rounded down, is one
        (1, 50, 150, False),
        (2, 100, 150, True),
        (20, 100, 100, False),
    ],
)
def test_a_deployment_moves_only_where_rounding_leaves_it_a_task(tasks: int, low: int, high: int, moves: bool) -> None:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
    demand = replace(SEED_DEMAND, min_tasks=tasks, minimum_healthy_percent=low, maximum_percent=high)
    found = codes(problems(demand, replace(SEED_SUPPLY, max_nodes=50)))
    assert found == (set() if moves else {"deployment-cannot-move"})


def test_a_deployment_that_cannot_move_is_told_with_what_rounding_leaves() -> None:
    demand = replace(SEED_DEMAND, min_tasks=3, max_tasks=4, minimum_healthy_percent=70, maximum_percent=130)
    (problem,) = problems(demand, SEED_SUPPLY)
    assert problem.message == (
        "services.web.deployment: of 3 tasks, minimum_healthy_percent = 70 keeps 3 (rounded up) and"
        " maximum_percent = 130 allows 3 (rounded down), so that a deployment can neither stop a task nor start one"
    )
    # A third of three may start; of four, one may stop.
    assert problem.cures == ({"services.web.deployment.maximum_percent": 134}, {"services.web.scaling.min_tasks": 4})
    assert problems(replace(demand, max_tasks=3), SEED_SUPPLY)[0].cures == problem.cures[:1]
    # What stands in is as many as its section says, and as no bound of the service's does.
    (of_stand_in,) = problems(replace(demand, max_tasks=3, stands_in=True), SEED_SUPPLY)
    assert of_stand_in.cures == (problem.cures[0], {"services.web.stand_in.tasks": 4})


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("t2.micro", {"cpu_units": 512}, "2 a node by CPU (1024 CPU units)"),
        ("t2.micro", {}, "3 a node by memory (1024 MiB, of which about 783 are for tasks)"),
        ("m5.large", {"host_port_static": True}, "1 a node by ports (one static host port)"),
        (
            "c5.large",
            {"network_mode": "awsvpc"},
            "2 a node by network interfaces (3 network interfaces, of which one is the node's own)",
        ),
        (
            "m5.24xlarge",
            {"cpu_units": 1, "memory_mib": 4, "max_tasks": 5000},
            "1000 a node by ports (1000 on its Docker bridge)",
        ),
    ],
)
def test_the_limit_that_binds_is_named_with_what_a_node_has_of_it(name: str, changes: Any, why: str) -> None:
    (problem,) = problems(replace(SEED_DEMAND, **changes), replace(SEED_SUPPLY, instance_types=(name,), max_nodes=1))
    assert f"{name}, {why}; capacity.nodes.max_nodes is 1" in problem.message


def test_an_unknown_type_is_refused_with_the_nearest_and_the_cure() -> None:
    with pytest.raises(capacity.UnknownInstanceType, match=r"got t3\.smal, .*nearest: t3\.small"):
        instance_type("t3.smal")
    (problem,) = problems(SEED_DEMAND, replace(SEED_SUPPLY, instance_types=("t3.small", "t3.smal")))
    assert problem.code == "instance-type-unknown"
    assert problem.message.startswith("capacity.nodes.instance_types: got t3.smal")
    assert str(problem).endswith("does not run on them")
    assert "; use a type that is known, or add a newer one with scripts/refresh_instance_types.py of" in str(problem)


# --- the estimate of memory

# What Linux reports as its total, in MiB: the memory that ECS registers before ECS_RESERVED_MEMORY.
REGISTERED = {
    # AWS, Amazon Linux: https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html
    ("m4.large", 7985),
    # ECS on Amazon Linux 2: https://github.com/aws/amazon-ecs-ami/issues/597 (7821 before, 7817 after)
    ("m6i.large", 7817),
    # ECS on Amazon Linux 2: https://github.com/aws/amazon-ecs-agent/issues/3331 (`free -m`)
    ("inf1.xlarge", 7679),
    # ECS on Amazon Linux 2023: https://github.com/ASFHyP3/hyp3/pull/1900
    ("r6id.xlarge", 31517),
    ("r6id.4xlarge", 126722),
    # ECS, its release not told: https://github.com/misterfifi1/exo-lives-aws (local.tf)
    ("t3.medium", 3884),
    ("c5.large", 3704),
    ("c5.xlarge", 7624),
    ("c5.4xlarge", 31142),
    ("m5.large", 7680),
    ("m5.4xlarge", 62950),
    ("m5.24xlarge", 378652),
}

# Bytes lost between DescribeInstanceTypes and Linux's total, Amazon Linux 2, 2023, as measured by Karpenter's
# maintainers: the common types, and of each memory size the one that loses the most.
# https://github.com/aws/karpenter-provider-aws/blob/33450d8f82ded870ce65fbde3cec14dbb2c04f50/pkg/providers/instancetype/zz_generated.memory_overhead.go
LOST_BYTES = {
    ("t2.nano", 72990720),
    ("t3.nano", 92966912),
    ("t3a.nano", 90869760),
    ("t2.micro", 82165760),
    ("t3.micro", 108433408),
    ("t3a.micro", 104239104),
    ("t4g.micro", 107393024),
    ("t2.small", 100515840),
    ("t3.small", 137269248),
    ("t3a.small", 130977792),
    ("t4g.small", 206204928),
    ("c6g.medium", 218644480),
    ("c7g.medium", 218644480),
    ("c4.large", 132984832),
    ("t2.medium", 205082624),
    ("t3.medium", 264945664),
    ("t4g.medium", 268038144),
    ("c5.large", 453677056),
    ("c6a.large", 308985856),
    ("c6i.large", 285917184),
    ("c7g.large", 293154816),
    ("m6g.medium", 309780480),
    ("m7g.medium", 293036032),
    ("c5n.large", 478851072),
    ("t2.large", 278491136),
    ("t3.large", 382386176),
    ("t4g.large", 391708672),
    ("c5.xlarge", 586280960),
    ("c5d.xlarge", 645001216),
    ("c6i.xlarge", 424804352),
    ("m4.large", 278482944),
    ("m5.large", 585805824),
    ("m5a.large", 539660288),
    ("m6a.large", 470466560),
    ("m6g.large", 473333760),
    ("m6i.large", 424321024),
    ("m7g.large", 439844864),
    ("t2.xlarge", 425283584),
    ("t3.xlarge", 617746432),
    ("c5.2xlarge", 910217216),
    ("m5.xlarge", 909246464),
    ("m6i.xlarge", 703729664),
    ("r5.large", 732602368),
    ("r7g.large", 735313920),
    ("x2gd.medium", 636825600),
    ("c5.4xlarge", 1558085632),
    ("m5.2xlarge", 1203826688),
    ("m6a.2xlarge", 1440804864),
    ("r6a.xlarge", 1439838208),
    ("m5.4xlarge", 2849939456),
    ("r6a.2xlarge", 2732658688),
    ("c5.9xlarge", 3691565056),
    ("c5.12xlarge", 4097130496),
    ("m5.8xlarge", 5336875008),
    ("c5.18xlarge", 7053815808),
    ("m5d.12xlarge", 7922380800),
    ("r6a.48xlarge", 59844067328),
}


KNOWN_TOTALS = sorted(REGISTERED) + [
    (name, instance_type(name).memory_mib - math.ceil(lost / 2**20)) for name, lost in sorted(LOST_BYTES)
]


@pytest.mark.parametrize(("name", "total"), KNOWN_TOTALS)
def test_the_memory_estimate_is_below_every_published_figure_and_near_it(name: str, total: int) -> None:
    estimate = capacity.registered_memory_mib(instance_type(name).memory_mib) + capacity.RESERVED_MEMORY_MIB
    assert 0.92 * total <= estimate <= total


@pytest.mark.parametrize(("memory", "lost"), [(512, 100), (910, 101), (1024, 113), (4096, 451), (8192, 656)])
def test_a_node_loses_100_mib_at_least_11_percent_of_4_gib_and_5_of_the_rest(memory: int, lost: int) -> None:
    assert capacity.registered_memory_mib(memory) == memory - lost - capacity.RESERVED_MEMORY_MIB


# --- the arithmetic against a simulator


def place(nodes: list[dict[str, int]], demand: Demand) -> int | None:
    """Puts one task on the first node with room, and tells which."""
    task = {"cpu": demand.cpu_units, "memory": demand.memory_mib, "slots": 1}
    for index, node in enumerate(nodes):
        if all(node[key] >= task[key] for key in task):
            for key in task:
                node[key] -= task[key]
            return index
    return None


def release(nodes: list[dict[str, int]], index: int, demand: Demand) -> None:
    node = nodes[index]
    node["cpu"] += demand.cpu_units
    node["memory"] += demand.memory_mib
    node["slots"] += 1


def survives(types: Sequence[str], demand: Demand, desired: int) -> bool:
    """Whether so many tasks find a place on these nodes, and a deployment then replaces every one of them."""
    nodes = []
    for kind in map(instance_type, types):
        if demand.network_mode == "awsvpc":
            slots = kind.max_enis - 1
        else:
            slots = 1 if demand.host_port_static else 1000
        memory = capacity.registered_memory_mib(kind.memory_mib)
        nodes.append({"cpu": 1024 * kind.vcpus, "memory": memory, "slots": slots})
    old: list[int] = []
    for _ in range(desired):
        where = place(nodes, demand)
        if where is None:
            return False
        old.append(where)
    fewest = math.ceil(Fraction(desired * demand.minimum_healthy_percent, 100))
    most = math.floor(Fraction(desired * demand.maximum_percent, 100))
    new = 0
    while old or new < desired:
        where = place(nodes, demand) if new < desired and len(old) + new < most else None
        if where is not None:
            new += 1
        elif old and len(old) + new > fewest:
            release(nodes, old.pop(), demand)
        else:
            return False
    return True


KINDS = ("t2.micro", "t3.small", "t3.medium", "c7g.medium", "t4g.small", "m5.large", "hpc6id.32xlarge")
demands = st.builds(
    Demand,
    cpu_units=st.sampled_from((128, 250, 256, 512, 700, 1024, 2048, 4096)),
    memory_mib=st.integers(32, 6000) | st.integers(32, 300),
    network_mode=st.sampled_from(("bridge", "awsvpc")),
    min_tasks=st.integers(0, 6),
    max_tasks=st.integers(6, 30),
    minimum_healthy_percent=st.integers(0, 100) | st.just(100),
    maximum_percent=st.integers(100, 200),
    host_port_static=st.booleans(),
)
supplies = st.builds(
    Supply,
    instance_types=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True).map(tuple),
    max_nodes=st.integers(1, 12),
    architecture=st.sampled_from(("x86_64", "arm64")),
)


@given(demands, supplies, st.data())
def test_no_problem_is_found_exactly_where_tasks_placed_one_by_one_fit_and_roll_over(
    demand: Demand, supply: Supply, data: st.DataObject
) -> None:
    counts = range(max(1, demand.min_tasks), demand.max_tasks + 1)
    worst = [[name] * supply.max_nodes for name in supply.instance_types]
    fits = all(survives(nodes, demand, count) for nodes in worst for count in counts)
    found = codes(problems(demand, supply)) - {"architecture"}
    assert (not found) == fits
    if fits:
        mixed = data.draw(st.tuples(*[st.sampled_from(supply.instance_types)] * supply.max_nodes))
        assert survives(mixed, demand, demand.max_tasks)


def cured(demand: Demand, supply: Supply, changes: dict[str, Any]) -> tuple[Demand, Supply]:
    for key, value in changes.items():
        field: dict[str, Any] = {key.split(".")[-1]: tuple(value) if isinstance(value, list) else value}
        if key.startswith("capacity."):
            supply = replace(supply, **field)
        else:
            demand = replace(demand, **field)
    return demand, supply


@given(demands, supplies)
def test_each_way_of_a_cure_ends_its_problem_and_starts_no_other(demand: Demand, supply: Supply) -> None:
    before = problems(demand, supply)
    assume(before)
    for problem in before:
        for changes in problem.cures:
            changed = cured(demand, supply, changes)
            assert changed[0].min_tasks <= changed[0].max_tasks
            after = codes(problems(*changed))
            assert problem.code not in after
            # Where a task does not fit, the nodes cannot be counted; they may turn out too few once it does.
            hidden = {"too-few-nodes"} if "task-too-large" in codes(before) else set()
            assert after <= codes(before) | hidden


@given(demands, supplies)
def test_a_smaller_change_than_the_cure_would_not_do(demand: Demand, supply: Supply) -> None:
    smaller = {
        "services.web.scaling.max_tasks": 1,
        "services.web.scaling.min_tasks": -1,
        "capacity.nodes.max_nodes": -1,
        "services.web.cpu_units": 1,
        "services.web.memory_mib": 1,
        "services.web.deployment.maximum_percent": -1,
    }
    for problem in problems(demand, supply):
        for changes in problem.cures:
            for key in set(changes) & set(smaller):
                number = changes[key]
                assert isinstance(number, int)
                less = cured(demand, supply, {**changes, key: number + smaller[key]})
                assert problem.code in codes(problems(*less)), key


@given(demands, supplies)
def test_more_nodes_or_fewer_tasks_never_make_it_worse(demand: Demand, supply: Supply) -> None:
    now = codes(problems(demand, supply))
    assert codes(problems(demand, replace(supply, max_nodes=supply.max_nodes + 1))) <= now
    assert codes(problems(replace(demand, max_tasks=demand.max_tasks - 1, min_tasks=0), supply)) <= now | {
        "deployment-cannot-move"
    }
    assert most_tasks(demand, replace(supply, max_nodes=supply.max_nodes + 1)) >= most_tasks(demand, supply)


@given(demands, supplies)
def test_most_tasks_is_the_largest_maximum_that_has_room(demand: Demand, supply: Supply) -> None:
    most = most_tasks(demand, supply)
    assert most >= 0
    no_room = {"too-few-nodes", "task-too-large"}
    assert codes(problems(replace(demand, max_tasks=most + 1), supply)) & no_room
    if most:
        assert not codes(problems(replace(demand, max_tasks=most), supply)) & no_room


# --- several services on the same nodes


@given(demands, supplies)
def test_one_service_needs_as_many_nodes_as_its_tasks_and_deployment_fill(demand: Demand, supply: Supply) -> None:
    kind = instance_type(supply.instance_types[0])
    each = tasks_per_node(kind, demand)
    needed = capacity.nodes_needed(kind, [demand])
    if not each:
        assert needed is None
    else:
        one_more = math.ceil(demand.max_tasks * demand.minimum_healthy_percent / 100) == demand.max_tasks
        assert needed == math.ceil((demand.max_tasks + one_more) / each)


@given(st.lists(demands, min_size=2, max_size=4), supplies, st.lists(demands, max_size=1))
def test_several_services_fit_on_the_nodes_that_they_are_said_to_need_and_waste_little(
    several: list[Demand], supply: Supply, daemons: list[Demand]
) -> None:
    kind = instance_type(supply.instance_types[0])
    needed = capacity.nodes_needed(kind, several, daemons)
    alone = [capacity.nodes_needed(kind, [demand], daemons) for demand in several]
    if needed is None:
        assert None in alone
        return
    known = [nodes for nodes in alone if nodes is not None]
    assert len(known) == len(several)
    # One more where what one leaves of a node is taken by others, and its deployment finds no room on theirs.
    assert max(known) <= needed <= sum(known) + 1
    # No more than all of one resource, and of what is left none is large enough for half of the nodes to be empty.
    memory = capacity.registered_memory_mib(kind.memory_mib) - sum(daemon.memory_mib for daemon in daemons)
    assert sum(demand.max_tasks * demand.memory_mib for demand in several) <= needed * memory
    cpu = 1024 * kind.vcpus - sum(daemon.cpu_units for daemon in daemons)
    assert sum(demand.max_tasks * demand.cpu_units for demand in several) <= needed * cpu
    tasks = sum(demand.max_tasks for demand in several if demand.network_mode == "awsvpc")
    held = sum(daemon.network_mode == "awsvpc" for daemon in daemons)
    assert tasks <= needed * (kind.max_enis - 1 - held)
    assert capacity.nodes_needed(kind, several[::-1], daemons) is not None


def test_what_one_service_leaves_of_a_node_another_takes() -> None:
    medium = instance_type("t3.medium")  # 2048 CPU units, 3540 MiB for tasks
    large = replace(SEED_DEMAND, cpu_units=1536, max_tasks=3, minimum_healthy_percent=0)
    small = replace(SEED_DEMAND, cpu_units=512, max_tasks=3, minimum_healthy_percent=0)
    assert capacity.nodes_needed(medium, [small, large]) == 3
    assert capacity.nodes_needed(medium, [replace(small, max_tasks=4), large]) == 4
    # One more of each whose deployment may stop none first.
    assert capacity.nodes_needed(medium, [replace(small, minimum_healthy_percent=100), large]) == 4
    # A static port is one service's own: another's may be the same node's.
    pinned = replace(small, cpu_units=128, host_port_static=True)
    assert capacity.nodes_needed(medium, [pinned, pinned]) == capacity.nodes_needed(medium, [pinned], [pinned]) == 3
    # What runs on every node takes its part of each, and reserves nothing where it says nothing.
    assert capacity.nodes_needed(medium, [small], [replace(small, cpu_units=1024)]) == 2
    assert capacity.nodes_needed(medium, [large], [replace(small, cpu_units=1024)]) is None
    assert capacity.nodes_needed(medium, [replace(small, max_tasks=1)], [replace(small, memory_mib=9999)]) is None
    assert capacity.nodes_needed(medium, [replace(small, cpu_units=0, memory_mib=0, max_tasks=1000)]) == 1
    assert capacity.nodes_needed(medium, [replace(small, cpu_units=0, memory_mib=0, max_tasks=1001)]) == 2
    assert capacity.nodes_needed(medium, [replace(small, max_tasks=0)]) == 0


@given(st.lists(demands, min_size=2, max_size=4), supplies)
def test_any_one_of_several_services_can_be_deployed_on_the_nodes_that_they_are_said_to_need(
    several: list[Demand], supply: Supply
) -> None:
    """One node less than all of them need at once, a deployment of each included, may do: two are never deployed."""
    kind = instance_type(supply.instance_types[0])
    needed = capacity.nodes_needed(kind, several)
    calm = capacity.nodes_needed(kind, [replace(demand, minimum_healthy_percent=0) for demand in several])
    assume(needed is not None and calm is not None)
    assert needed is not None and calm is not None
    assert calm <= needed <= calm + 1


def shop(nodes: sc.Ec2Capacity | None = None, **services: Any) -> sc.Config:
    """Two web services and a worker on one pool, with changes of each."""
    kinds: dict[str, Any] = {"web": sc.WebService(), "api": sc.WebService(route=sc.Route(paths=("/api/*",)))}
    kinds["mailer"] = sc.WorkerService(image_of="web")
    for name, changes in services.items():
        kinds[name] = replace(kinds[name], **changes)
    return sc.Config(services=kinds, capacity={"nodes": nodes or sc.Ec2Capacity(max_nodes=11)})


FEW = sc.Scaling(max_tasks=4)


def test_services_that_fit_on_their_nodes_one_by_one_are_refused_where_they_do_not_together() -> None:
    """61 tasks of 256 MiB, six a node: each service alone would have room on five."""
    assert capacity.fitting_tasks(shop()) == {"api": 20, "mailer": 20, "web": 20}
    for name in ("web", "api", "mailer"):
        assert problems(capacity.demand_of(unit(name)), replace(SEED_SUPPLY, instance_types=("t3.small",))) == []
    with pytest.raises(sc.SetError) as error:
        capacity.fitting_tasks(shop(sc.Ec2Capacity(max_nodes=10)))
    assert str(error.value) == (
        "capacity.nodes.max_nodes: 20 tasks of api, each of 256 CPU units and 256 MiB, and 20 tasks of mailer, each of"
        " 256 CPU units and 256 MiB, and 20 tasks of web, each of 256 CPU units and 256 MiB, with room for a deployment"
        " of one of them need 11 t3.small; got 10: capacity.nodes.max_nodes = 11,"
        ' or capacity.nodes.instance_types = ["t3.medium"]'
    )
    assert capacity.fitting_tasks(shop(sc.Ec2Capacity(max_nodes=10, instance_types=("t3.medium",))))


@pytest.mark.parametrize("types", [("t3.medium", "t3.small"), ("t3.small", "t3.medium")])
def test_of_several_types_the_smallest_has_to_hold_all_services(types: tuple[str, str]) -> None:
    assert capacity.fitting_tasks(shop(sc.Ec2Capacity(max_nodes=11, instance_types=types)))
    with pytest.raises(sc.SetError, match=r"need 11 t3\.small; got 10"):
        capacity.fitting_tasks(shop(sc.Ec2Capacity(max_nodes=10, instance_types=types)))


def unit(name: str) -> sc.Unit:
    return next(unit for unit in sc.units(shop()) if unit.name == name)


def test_a_worker_that_makes_the_nodes_too_small_is_refused() -> None:
    alone = sc.Config(services={"web": sc.WebService()})
    assert capacity.fitting_tasks(alone)["web"] == 29
    beside: dict[str, Any] = {"web": sc.WebService(), "mailer": sc.WorkerService(image_of="web")}
    with pytest.raises(sc.SetError, match=r"20 tasks of mailer.* and 20 tasks of web.* need 7 t3\.small; got 5"):
        sc.compose(sc.Config(services=beside))


def test_a_task_that_fits_on_no_node_of_its_pool_is_refused_by_its_service_s_name() -> None:
    with pytest.raises(sc.SetError, match=r"services\.mailer: one task of 256 CPU units and 4000 MiB does not fit on"):
        capacity.fitting_tasks(shop(mailer={"memory_mib": 4000, "scaling": FEW}))


def test_the_console_asks_for_no_more_tasks_than_the_nodes_hold_beside_the_others() -> None:
    parameters = sc.compose(shop(api={"scaling": FEW})).template.parameters
    most = {title: parameters[title].MaxValue for title in parameters if title.endswith("ScalingMaxTasks")}
    assert most == {"ApiScalingMaxTasks": 4, "MailerScalingMaxTasks": 20, "WebScalingMaxTasks": 20}
    # On nodes of its own a service may have all that they hold, and on Fargate what the tunable says.
    own: dict[str, Any] = {"near": sc.Ec2Capacity(), "far": sc.FargateCapacity()}
    services: dict[str, Any] = {
        "web": sc.WebService(capacity="near"),
        "mailer": sc.WorkerService(capacity="far", memory_mib=512),
    }
    parameters = sc.compose(sc.Config(services=services, capacity=own)).template.parameters
    assert (parameters["WebScalingMaxTasks"].MaxValue, parameters["MailerScalingMaxTasks"].MaxValue) == (29, 5000)


def test_pools_are_counted_each_by_its_own_services() -> None:
    pools: dict[str, Any] = {
        "near": sc.Ec2Capacity(max_nodes=4),
        "arm": sc.Ec2Capacity(architecture="arm64", instance_types=("t4g.small",)),
    }
    services: dict[str, Any] = {"web": sc.WebService(capacity="near"), "mailer": sc.WorkerService(capacity="arm")}
    assert capacity.fitting_tasks(sc.Config(services=services, capacity=pools)) == {"web": 23, "mailer": 29}
    with pytest.raises(sc.SetError) as error:
        capacity.fitting_tasks(sc.Config(services=services, capacity={**pools, "arm": sc.Ec2Capacity(max_nodes=3)}))
    assert "capacity.arm.max_nodes is 3" in str(error.value)
    assert "near" not in str(error.value)


# --- the data file and the script that rewrites it


def script() -> Any:
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "scripts" / "refresh_instance_types.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kind(name: str, architecture: str = "x86_64", **network: Any) -> dict[str, Any]:
    """One type, in the shape of DescribeInstanceTypes."""
    return {
        "InstanceType": name,
        "ProcessorInfo": {"SupportedArchitectures": [architecture]},
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 2048},
        "NetworkInfo": {"MaximumNetworkInterfaces": 3, **network},
    }


class FakeEc2:
    """Answers DescribeInstanceTypes, two types a page."""

    def __init__(self, *kinds: dict[str, Any]) -> None:
        self.kinds = kinds

    def get_paginator(self, operation: str) -> FakeEc2:
        assert operation == "describe_instance_types"
        return self

    def paginate(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self.kinds), 2):
            yield {"InstanceTypes": list(self.kinds[start : start + 2])}


def test_the_data_file_is_what_the_script_writes_for_its_data() -> None:
    content = (ROOT / "scaleout_cfn" / "data" / "instance_types.json").read_text(encoding="utf-8")
    data = json.loads(content)
    types = {f"{family}.{size}": row for family, sizes in data["types"].items() for size, row in sizes.items()}
    assert script().text(types, as_of=data["as_of"], source=data["source"]) == content
    assert date.fromisoformat(data["as_of"]) and data["source"]


def test_the_data_file_has_figures_that_aws_documents() -> None:
    assert instance_type("t2.micro") == capacity.InstanceType("t2.micro", "x86_64", 1, 1024, 2)
    assert instance_type("c5.large") == capacity.InstanceType("c5.large", "x86_64", 2, 4096, 3)
    assert instance_type("t4g.small") == capacity.InstanceType("t4g.small", "arm64", 2, 2048, 3)
    assert instance_type("g6.12xlarge") == capacity.InstanceType("g6.12xlarge", "x86_64", 48, 196608, 8, gpus=4)


def test_refreshing_reads_every_page_and_leaves_out_what_cannot_be_a_node(tmp_path: Path) -> None:
    no_nodes = kind("a1.large", "arm64"), kind("mac2.metal", "arm64_mac")
    ec2 = FakeEc2(kind("t3.small"), *no_nodes, kind("m7g.large", "arm64"))
    file = tmp_path / "types.json"
    assert script().refresh(ec2, region="eu-central-1", as_of="2026-01-02", file=file) == 2
    assert file.read_text(encoding="utf-8") == (
        '{"as_of": "2026-01-02",\n'
        '"source": "EC2 DescribeInstanceTypes in eu-central-1",\n'
        '"types": {\n'
        '"m7g": {"large":[2,2048,3,"arm64"]},\n'
        '"t3": {"small":[2,2048,3,"x86_64"]}\n'
        "}}\n"
    )
    assert list(tmp_path.iterdir()) == [file]


def test_refreshing_counts_the_gpus_that_ecs_gives_to_tasks(tmp_path: Path) -> None:
    cards = [{"Manufacturer": "NVIDIA", "Count": 4}, {"Manufacturer": "AMD", "Count": 2}]
    ec2 = FakeEc2(
        {**kind("g6.12xlarge"), "GpuInfo": {"Gpus": cards}}, {**kind("g4ad.large"), "GpuInfo": {"Gpus": cards[1:]}}
    )
    file = tmp_path / "types.json"
    script().refresh(ec2, region="eu-central-1", as_of="2026-01-02", file=file)
    rows = json.loads(file.read_text(encoding="utf-8"))["types"]
    assert rows == {"g4ad": {"large": [2, 2048, 3, "x86_64"]}, "g6": {"12xlarge": [2, 2048, 3, "x86_64", 4]}}


def test_the_order_of_the_answer_does_not_change_the_file(tmp_path: Path) -> None:
    kinds = [kind("t3.small"), kind("c5.large"), kind("m5.large")]
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, order in zip(files, (kinds, kinds[::-1]), strict=True):
        script().refresh(FakeEc2(*order), region="us-east-1", as_of="2026-01-02", file=file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_of_several_network_cards_the_default_one_counts(tmp_path: Path) -> None:
    cards = [{"NetworkCardIndex": index, "MaximumNetworkInterfaces": 7 + index} for index in (0, 1)]
    many = kind("c6in.32xlarge", MaximumNetworkInterfaces=15, NetworkCards=cards, DefaultNetworkCardIndex=0)
    assert script().describe(FakeEc2(many)) == {"c6in.32xlarge": (2, 2048, 7, "x86_64")}


def test_an_empty_answer_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "types.json"
    file.write_text("before", encoding="utf-8")
    with pytest.raises(ValueError, match="no instance types in us-east-1"):
        script().refresh(FakeEc2(), region="us-east-1", as_of="2026-01-02", file=file)
    assert file.read_text(encoding="utf-8") == "before"


def test_refreshing_without_credentials_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert script().main(["--region", "us-east-1"]) == 2
    assert capsys.readouterr().err == "EC2 DescribeInstanceTypes in us-east-1: Unable to locate credentials\n"


@pytest.mark.parametrize("pool", [sc.FargateCapacity(), sc.ManagedCapacity()], ids=["fargate", "managed-instances"])
def test_a_deployment_that_cannot_move_is_refused_where_there_are_no_nodes_to_count_too(pool: Any) -> None:
    def of(tasks: int, maximum_percent: int) -> sc.Config:
        web = sc.WebService(
            memory_mib=512,
            scaling=sc.Scaling(min_tasks=tasks, max_tasks=4),
            deployment=sc.WebRolling(maximum_percent=maximum_percent),
        )
        return sc.Config(services={"web": web}, capacity={"pool": pool})

    assert capacity.fitting_tasks(of(1, 200)) == {"web": None}
    assert capacity.fitting_tasks(of(2, 150)) == {"web": None}
    with pytest.raises(sc.SetError, match="of 1 task, minimum_healthy_percent = 100 keeps 1"):
        capacity.fitting_tasks(of(1, 150))
