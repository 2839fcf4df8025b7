"""Tasks on nodes: nothing is lost, zones stay even, nodes are filled one after the other, and hold what fits."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.simulator.model import Size, Standing
from scaleout_cfn.simulator.placement import Asked, Nodes, first_nodes, places

from .sets import node_pool

_Place = Literal["spread", "binpack"]
actions = st.lists(
    st.tuples(st.sampled_from(["add", "place", "free", "remove"]), st.integers(0, 1), st.integers(0, 40)), max_size=40
)
sizes = st.builds(
    Size, st.integers(0, 4), st.integers(1, 5), st.integers(0, 1), st.integers(0, 2), st.integers(0, 1), st.booleans()
)
ROOM = Size(8, 12, 5, 9, 3)


def alike(zones: int, per_node: int, placement: _Place = "spread") -> Nodes:
    """Nodes for one service."""
    return Nodes(zones, Size(per_node, per_node), [Size(1, 1)], [placement])


def fill(nodes: Nodes) -> list[list[int]]:
    """How many nodes hold no task, one, two ... of the only service, by zone."""
    most = nodes.room.cpu_units
    by_zone = [[0] * (most + 1) for _ in nodes.zones]
    for zone, held in zip(by_zone, nodes.zones, strict=True):
        for kind, many in held.items():
            zone[kind.counts[0]] += many
    return by_zone


@given(actions, st.integers(1, 4), sizes, sizes, st.sampled_from(["spread", "binpack"]), st.integers(0, 1))
def test_tasks_and_nodes_are_conserved_and_fit(
    steps: list[tuple[str, int, int]], zones: int, one: Size, other: Size, placement: _Place, spread: int
) -> None:
    placements: list[_Place] = [placement, placement]
    placements[spread] = "spread"
    nodes = Nodes(zones, ROOM, [one, other], placements)
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
    nodes = Nodes(1, Size(2048, 4096), [Size(1536, 512), Size(256, 3072)], ["spread", "spread"])
    nodes.add(2)
    assert (nodes.place(0, 2), nodes.place(1, 2)) == (2, 2)
    assert (nodes.room_for(0), nodes.room_for(1)) == (0, 0)


def test_of_nodes_with_room_the_one_with_the_least_memory_left_is_filled() -> None:
    nodes = Nodes(1, Size(2048, 4096), [Size(256, 1024), Size(256, 512)], ["spread", "spread"])
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
