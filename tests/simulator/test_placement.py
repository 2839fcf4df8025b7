"""Tasks on nodes: nothing is lost, zones stay even, nodes are filled one after the other."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.simulator.placement import Nodes

actions = st.lists(st.tuples(st.sampled_from(["add", "place", "free", "remove"]), st.integers(0, 40)), max_size=40)


@given(actions, st.integers(1, 4), st.integers(1, 12), st.sampled_from(["spread", "binpack"]))
def test_tasks_and_nodes_are_conserved(
    steps: list[tuple[str, int]], zones: int, per_node: int, placement: Literal["spread", "binpack"]
) -> None:
    nodes = Nodes(zones, per_node, placement)
    for what, count in steps:
        tasks, number = nodes.tasks, nodes.count
        if what == "add":
            nodes.add(count)
            assert nodes.count == number + count
        elif what == "place":
            room = nodes.room
            assert nodes.place(count) == min(count, room)
        elif what == "free":
            nodes.free(min(count, tasks))
        else:
            lost = nodes.remove(count)
            assert nodes.count == number - min(count, number)
            assert nodes.tasks == tasks - lost
        held = [sum(zone) for zone in nodes.fill]
        assert held == nodes.nodes_in
        assert sum(held) == nodes.count
        assert [sum(n * many for n, many in enumerate(zone)) for zone in nodes.fill] == nodes.tasks_in
        assert sum(nodes.tasks_in) == nodes.tasks
        assert all(many >= 0 for zone in nodes.fill for many in zone)


def test_spread_keeps_zones_even_and_fills_nodes_within_a_zone() -> None:
    nodes = Nodes(2, 6, "spread")
    nodes.add(8)
    nodes.place(12)
    assert nodes.tasks_in == [6, 6]
    assert nodes.empty == 6


def test_empty_nodes_go_first() -> None:
    nodes = Nodes(2, 6, "binpack")
    nodes.add(4)
    nodes.place(7)
    assert nodes.remove(2) == 0
    assert nodes.remove(1) == 1


@given(actions, st.integers(1, 6))
def test_each_task_goes_to_the_fullest_node_with_room_and_leaves_the_emptiest(
    steps: list[tuple[str, int]], per_node: int
) -> None:
    """As ECS does it, one task after the other, in one zone."""
    nodes, each = Nodes(1, per_node, "spread"), list[int]()
    for what, count in steps:
        if what == "add":
            nodes.add(count)
            each += [0] * count
        elif what == "place":
            nodes.place(count)
            for _ in range(min(count, len(each) * per_node - sum(each))):
                each[each.index(max(tasks for tasks in each if tasks < per_node))] += 1
        elif what == "free":
            gone = min(count, nodes.tasks)
            nodes.free(gone)
            for _ in range(gone):
                each[each.index(min(tasks for tasks in each if tasks))] -= 1
        else:
            lost = sum(sorted(each)[:count])
            assert nodes.remove(count) == lost
            each = sorted(each)[count:]
        assert nodes.fill == [[each.count(tasks) for tasks in range(per_node + 1)]]
        assert (nodes.count, nodes.tasks) == (len(each), sum(each))
        assert (nodes.empty, nodes.room) == (each.count(0), len(each) * per_node - sum(each))


def test_binpack_knows_no_zones_and_spread_one_a_zone() -> None:
    assert len(Nodes(3, 6, "binpack").fill) == 1
    assert len(Nodes(3, 6, "spread").fill) == 3


@given(st.integers(1, 4), st.integers(0, 30), st.integers(0, 60), st.integers(0, 60), st.integers(0, 30))
def test_zones_stay_as_even_as_they_can(zones: int, nodes: int, tasks: int, gone: int, fewer: int) -> None:
    spread = Nodes(zones, 4, "spread")
    spread.add(nodes)
    assert max(spread.nodes_in) - min(spread.nodes_in) <= 1
    placed = spread.place(min(tasks, min(spread.nodes_in) * zones * 4))
    assert max(spread.tasks_in) - min(spread.tasks_in) <= 1
    spread.free(min(gone, placed))
    assert max(spread.tasks_in) - min(spread.tasks_in) <= 1
    spread.free(spread.tasks)
    spread.remove(fewer)
    assert max(spread.nodes_in) - min(spread.nodes_in) <= 1
    assert spread.tasks_in == [0] * zones


def test_new_nodes_go_where_there_are_fewest_and_old_ones_from_where_there_are_most() -> None:
    nodes = Nodes(2, 4, "spread")
    nodes.add(3)
    assert nodes.nodes_in == [2, 1]
    nodes.add(1)
    assert nodes.nodes_in == [2, 2]
    nodes.place(3)
    assert nodes.tasks_in == [2, 1]
    assert nodes.fill == [[1, 0, 1, 0, 0], [1, 1, 0, 0, 0]]
    nodes.free(1)
    assert nodes.tasks_in == [1, 1]
    assert nodes.remove(3) == 1
    assert (nodes.count, nodes.tasks) == (1, 1)
    assert nodes.remove(9) == 1
    assert (nodes.count, nodes.tasks, nodes.room) == (0, 0, 0)
    assert nodes.place(3) == 0
