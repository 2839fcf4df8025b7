"""Tasks on nodes. All tasks have one size, so a zone is a count of nodes for each number of tasks on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from scaleout_cfn.simulator.rules import share_evenly

__all__ = ["Anywhere", "Nodes"]


class Nodes:
    """The registered nodes and what they hold; `fill[zone][tasks]` is how many nodes hold so many.

    Every operation takes time by the places of a node, not by the number of tasks or nodes.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html
    """

    def __init__(self, zones: int, per_node: int, placement: Literal["spread", "binpack"]) -> None:
        self.per_node = per_node
        # binpack alone looks at nodes only: for it, the whole cluster is one zone.
        zones = zones if placement == "spread" else 1
        self.fill = [[0] * (per_node + 1) for _ in range(zones)]
        self.nodes_in = [0] * zones
        self.tasks_in = [0] * zones
        self.count = 0
        self.tasks = 0

    @property
    def room(self) -> int:
        """Places that are free."""
        return self.count * self.per_node - self.tasks

    @property
    def empty(self) -> int:
        """Nodes without a task."""
        return sum(zone[0] for zone in self.fill)

    def add(self, count: int) -> None:
        """New nodes go to the zone that has the fewest."""
        for zone, share in enumerate(share_evenly(count, self.nodes_in, [count] * len(self.fill))):
            self.fill[zone][0] += share
            self.nodes_in[zone] += share
        self.count += count

    def place(self, count: int) -> int:
        """Put tasks on nodes: even over zones, then the fullest node that has room. Returns how many fitted."""
        room = [nodes * self.per_node - tasks for nodes, tasks in zip(self.nodes_in, self.tasks_in, strict=True)]
        shares = share_evenly(count, self.tasks_in, room)
        for zone, share in enumerate(shares):
            if share:
                self.tasks_in[zone] += share
                self._fill(self.fill[zone], share)
        placed = sum(shares)
        self.tasks += placed
        return placed

    def free(self, count: int) -> None:
        """Take tasks away: from the fullest zone, and there from the node with the most room left."""
        for zone, share in enumerate(_from_the_top(count, self.tasks_in, self.tasks_in)):
            if share:
                self.tasks_in[zone] -= share
                self._empty(self.fill[zone], share)
        self.tasks -= count

    def remove(self, count: int) -> int:
        """Take nodes away, the emptiest first, evenly over zones. Returns how many tasks went with them."""
        lost = 0
        for tasks in range(self.per_node + 1):
            there = [zone[tasks] for zone in self.fill]
            taken = min(count, sum(there))
            for zone, share in enumerate(_from_the_top(taken, self.nodes_in, there)):
                self.fill[zone][tasks] -= share
                self.nodes_in[zone] -= share
                self.tasks_in[zone] -= share * tasks
            lost += taken * tasks
            self.count -= taken
            count -= taken
            if not count:
                break
        self.tasks -= lost
        return lost

    def _fill(self, zone: list[int], count: int) -> None:
        for tasks in range(self.per_node - 1, -1, -1):
            there = zone[tasks]
            if not there:
                continue
            space = self.per_node - tasks
            whole = min(there, count // space)
            zone[tasks] -= whole
            zone[self.per_node] += whole
            count -= whole * space
            if count and whole < there:
                zone[tasks] -= 1
                zone[tasks + count] += 1
                count = 0
            if not count:
                return

    def _empty(self, zone: list[int], count: int) -> None:
        for tasks in range(1, self.per_node + 1):
            there = zone[tasks]
            if not there:
                continue
            whole = min(there, count // tasks)
            zone[tasks] -= whole
            zone[0] += whole
            count -= whole * tasks
            if count and whole < there:
                zone[tasks] -= 1
                zone[tasks - count] += 1
                count = 0
            if not count:
                return


class Anywhere:
    """Fargate: there is always a place, and there are no nodes."""

    count = empty = 0

    def __init__(self) -> None:
        self.tasks = 0

    def place(self, count: int) -> int:
        self.tasks += count
        return count

    def free(self, count: int) -> None:
        self.tasks -= count


def _from_the_top(count: int, have: Sequence[int], most: Sequence[int]) -> list[int]:
    """Taking from the fullest is giving to the emptiest, seen from above."""
    top = max(have)
    return share_evenly(count, [top - number for number in have], most)
