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
