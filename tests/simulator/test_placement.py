"""Tasks on nodes: nothing is lost, zones stay even, nodes are filled one after the other, and hold what fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.simulator.model import Placement, Size, Standing
from scaleout_cfn.simulator.placement import Asked, Nodes, first_nodes, places, right_sized

from .sets import node_pool

actions = st.lists(
    st.tuples(st.sampled_from(["add", "place", "free", "remove"]), st.integers(0, 1), st.integers(0, 40)), max_size=40
)
sizes = st.builds(
    Size, st.integers(0, 4), st.integers(1, 5), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1), st.booleans()
)
ROOM = Size(8, 12, 5, 9, 3)


def alike(zones: int, per_node: int, placement: Placement = "spread") -> Nodes:
    """Nodes for one service."""
    return Nodes(zones, [Size(per_node, per_node)], [Size(1, 1)], [placement])


def fill(nodes: Nodes) -> list[list[int]]:
    """How many nodes hold no task, one, two ... of the only service, by zone."""
    most = nodes.rooms[0].cpu_units
    by_zone = [[0] * (most + 1) for _ in nodes.zones]
    for zone, held in zip(by_zone, nodes.zones, strict=True):
        for kind, many in held.items():
            zone[kind.counts[0]] += many
    return by_zone


@given(actions, st.integers(1, 4), sizes, sizes, st.sampled_from(["spread", "binpack"]), st.integers(0, 1))
def test_tasks_and_nodes_are_conserved_and_fit(
    steps: list[tuple[str, int, int]], zones: int, one: Size, other: Size, placement: Placement, spread: int
) -> None:
    placements: list[Placement] = [placement, placement]
    placements[spread] = "spread"
    nodes = Nodes(zones, [ROOM], [one, other], placements)
    for what, service, count in steps:
        tasks, number, room = list(nodes.tasks), nodes.count, nodes.room_for(service)
        if what == "add":
            nodes.add(count)
            assert nodes.count == number + count
        elif what == "place":
            assert nodes.place(service, count) == min(count, room)
            assert nodes.tasks[service] == tasks[service] + min(count, room)
        elif what == "free":
            nodes.free(service, min(count, tasks[service]))
        else:
            lost = nodes.remove(count)
            assert nodes.count == number - min(count, number)
            assert nodes.tasks == [had - gone for had, gone in zip(tasks, lost, strict=True)]
        assert [sum(zone.values()) for zone in nodes.zones] == nodes.nodes_in
        assert sum(nodes.nodes_in) == nodes.count
        for number, size in enumerate((one, other)):
            in_zones = [sum(held.counts[number] * many for held, many in zone.items()) for zone in nodes.zones]
            assert in_zones == nodes.tasks_in[number]
            assert sum(in_zones) == nodes.tasks[number]
            assert not size.apart or all(held.counts[number] <= 1 for zone in nodes.zones for held in zone)
        for zone in nodes.zones:
            assert all(many > 0 for many in zone.values())
            for held in zone:
                used = [
                    sum(count * size.parts[part] for count, size in zip(held.counts, (one, other), strict=True))
                    for part in range(len(ROOM.parts))
                ]
                assert all(part <= whole for part, whole in zip(used, ROOM.parts, strict=True))


def test_spread_keeps_zones_even_and_fills_nodes_within_a_zone() -> None:
    nodes = alike(2, 6)
    nodes.add(8)
    nodes.place(0, 12)
    assert nodes.tasks_in == [[6, 6]]
    assert nodes.empty == 6


def test_empty_nodes_go_first() -> None:
    nodes = alike(2, 6, "binpack")
    nodes.add(4)
    nodes.place(0, 7)
    assert nodes.remove(2) == [0]
    assert nodes.remove(1) == [1]


@given(actions, st.integers(1, 6))
def test_each_task_goes_to_the_fullest_node_with_room_and_leaves_the_emptiest(
    steps: list[tuple[str, int, int]], per_node: int
) -> None:
    """As ECS does it, one task after the other, in one zone."""
    nodes, each = alike(1, per_node), list[int]()
    for what, _, count in steps:
        if what == "add":
            nodes.add(count)
            each += [0] * count
        elif what == "place":
            nodes.place(0, count)
            for _ in range(min(count, len(each) * per_node - sum(each))):
                each[each.index(max(tasks for tasks in each if tasks < per_node))] += 1
        elif what == "free":
            gone = min(count, nodes.tasks[0])
            nodes.free(0, gone)
            for _ in range(gone):
                each[each.index(min(tasks for tasks in each if tasks))] -= 1
        else:
            lost = sum(sorted(each)[:count])
            assert nodes.remove(count) == [lost]
            each = sorted(each)[count:]
        assert fill(nodes) == [[each.count(tasks) for tasks in range(per_node + 1)]]
        assert (nodes.count, nodes.tasks) == (len(each), [sum(each)])
        assert (nodes.empty, nodes.room_for(0)) == (each.count(0), len(each) * per_node - sum(each))


def test_binpack_knows_no_zones() -> None:
    nodes = alike(3, 6, "binpack")
    nodes.add(6)
    assert nodes.place(0, 12) == 12
    assert sorted(nodes.tasks_in[0]) in ([0, 0, 12], [0, 6, 6])
    assert nodes.empty == 4


@given(st.integers(1, 4), st.integers(0, 30), st.integers(0, 60), st.integers(0, 60), st.integers(0, 30))
def test_zones_stay_as_even_as_they_can(zones: int, nodes: int, tasks: int, gone: int, fewer: int) -> None:
    spread = alike(zones, 4)
    spread.add(nodes)
    assert max(spread.nodes_in) - min(spread.nodes_in) <= 1
    placed = spread.place(0, min(tasks, min(spread.nodes_in) * zones * 4))
    assert max(spread.tasks_in[0]) - min(spread.tasks_in[0]) <= 1
    spread.free(0, min(gone, placed))
    assert max(spread.tasks_in[0]) - min(spread.tasks_in[0]) <= 1
    spread.free(0, spread.tasks[0])
    spread.remove(fewer)
    assert max(spread.nodes_in) - min(spread.nodes_in) <= 1
    assert spread.tasks_in == [[0] * zones]


def test_new_nodes_go_where_there_are_fewest_and_old_ones_from_where_there_are_most() -> None:
    nodes = alike(2, 4)
    nodes.add(3)
    assert nodes.nodes_in == [2, 1]
    nodes.add(1)
    assert nodes.nodes_in == [2, 2]
    nodes.place(0, 3)
    assert nodes.tasks_in == [[2, 1]]
    assert fill(nodes) == [[1, 0, 1, 0, 0], [1, 1, 0, 0, 0]]
    nodes.free(0, 1)
    assert nodes.tasks_in == [[1, 1]]
    assert nodes.remove(3) == [1]
    assert (nodes.count, nodes.tasks) == (1, [1])
    assert nodes.remove(9) == [1]
    assert (nodes.count, nodes.tasks, nodes.room_for(0)) == (0, [0], 0)
    assert nodes.place(0, 3) == 0


def test_what_is_large_in_memory_and_what_is_large_in_cpu_share_a_node() -> None:
    nodes = Nodes(1, [Size(2048, 4096)], [Size(1536, 512), Size(256, 3072)], ["spread", "spread"])
    nodes.add(2)
    assert (nodes.place(0, 2), nodes.place(1, 2)) == (2, 2)
    assert (nodes.room_for(0), nodes.room_for(1)) == (0, 0)


def test_of_nodes_with_room_the_one_with_the_least_memory_left_is_filled() -> None:
    nodes = Nodes(1, [Size(2048, 4096)], [Size(256, 1024), Size(256, 512)], ["spread", "spread"])
    nodes.add(2)
    nodes.place(0, 1)
    nodes.place(1, 6)
    assert {held.counts for held in nodes.zones[0]} == {(1, 6), (0, 0)}
    nodes.place(1, 1)
    assert {held.counts for held in nodes.zones[0]} == {(1, 6), (0, 1)}


@pytest.mark.parametrize(
    ("asked", "nodes"),
    [
        ([(Size(256, 512), 12)], 2),
        ([(Size(256, 512), 13)], 3),
        # Beside six tasks there is no room for the other one, beside three there is.
        ([(Size(256, 512), 6), (Size(1024, 1024), 1)], 2),
        ([(Size(256, 512), 3), (Size(1024, 1024), 1)], 1),
        # What fits on no node asks for none.
        ([(Size(256, 512), 3), (Size(4096, 1024), 5)], 1),
    ],
)
def test_a_run_begins_with_as_many_nodes_as_its_tasks_need(asked: list[tuple[Size, int]], nodes: int) -> None:
    made = first_nodes(node_pool(min_nodes=0), [Asked(size, "binpack", tasks) for size, tasks in asked])
    assert made.count == nodes


def test_the_most_tasks_are_what_the_most_nodes_hold_beside_those_that_stand_there() -> None:
    assert places(node_pool(), Size(256, 512)) == 60
    assert places(node_pool(standing=(Standing("api", 2, Size(1024, 1024)),)), Size(256, 512)) == 56
    assert places(node_pool(), Size(256, 512, apart=True)) == 10


@given(
    st.lists(st.tuples(sizes, st.integers(0, 60)), min_size=1, max_size=2),
    st.integers(1, 3),
    st.lists(st.integers(0, 4), max_size=3),
)
def test_managed_instances_are_as_many_and_as_large_as_what_waits_needs(
    asked: list[tuple[Size, int]], zones: int, booting: list[int]
) -> None:
    rooms = [Size(4, 6, 3, 4, 1), Size(8, 12, 5, 9, 1), Size(32, 48, 20, 40, 2)][: max(1, len(booting))]
    nodes = Nodes(zones, rooms, [size for size, _ in asked], ["spread"] * len(asked))
    started = right_sized(nodes, [count for _, count in asked], booting)
    for kind, count in enumerate([*booting, *([0] * len(started))][: len(started)]):
        nodes.add(count + started[kind], kind)
    for service, (size, count) in enumerate(asked):
        assert nodes.place(service, count) == (count if rooms[-1].holds(size) else 0)
    if not sum(count for size, count in asked if rooms[-1].holds(size)):
        assert not any(started)


def test_a_large_node_is_swapped_for_a_small_one_once_that_holds_its_tasks_and_not_across_zones() -> None:
    nodes = Nodes(2, [Size(2, 2), Size(8, 8)], [Size(1, 1)], ["spread"])
    nodes.add(2, 1)
    nodes.place(0, 6)
    assert nodes.movable() is None  # three tasks on each are more than a small node holds
    nodes.free(0, 2)
    zone, held, kind = nodes.movable() or (0, None, -2)
    assert (zone, kind) == (0, 0)
    assert held and nodes.take_one(zone, held) == [2]
    assert nodes.of_kind == [0, 1]


@pytest.mark.parametrize(("placement", "most"), [("instances", 2), ("random", 4), ("spread", 4)])
def test_without_a_strategy_tasks_go_anywhere_in_their_zone_and_over_instances_evenly(
    placement: Placement, most: int
) -> None:
    nodes = Nodes(2, [Size(4, 4)], [Size(1, 1)], [placement])
    nodes.add(8)
    nodes.place(0, 16)
    counts = [held.counts[0] for zone in nodes.zones for held, many in zone.items() for _ in range(many)]
    assert sum(counts) == 16
    assert max(counts) <= most
    assert nodes.tasks_in[0] == [8, 8]
    assert (nodes.empty == 4) == (placement == "spread")
    nodes.free(0, 10)
    assert nodes.tasks_in[0] == [3, 3]
    # At random, few nodes come to be empty; packed, all that can.
    assert (nodes.empty == 6) == (placement == "spread")
