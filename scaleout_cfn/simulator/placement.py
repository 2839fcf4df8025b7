"""Tasks on nodes. All tasks have one size, so a zone is a count of nodes for each number of tasks on them."""

from __future__ import annotations

from typing import Literal

from scaleout_cfn.simulator.rules import share_evenly

__all__ = ["Nodes"]


class Nodes:
    """The registered nodes and what they hold; `fill[zone][tasks]` is how many nodes hold so many.

    Every operation takes time by the places of a node, not by the number of tasks.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html
    """

    def __init__(self, zones: int, per_node: int, placement: Literal["spread", "binpack"]) -> None:
        self.per_node = per_node
        # binpack alone looks at nodes only: for it, the whole cluster is one zone.
        self.fill = [[0] * (per_node + 1) for _ in range(zones if placement == "spread" else 1)]
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
        for _ in range(count):
            min(self.fill, key=sum)[0] += 1
        self.count += count

    def place(self, count: int) -> int:
        """Put tasks on nodes: even over zones, then the fullest node that has room. Returns how many fitted."""
        if len(self.fill) == 1:
            shares = [min(count, self.room)]
        else:
            have = [sum(tasks * nodes for tasks, nodes in enumerate(zone)) for zone in self.fill]
            room = [sum(zone) * self.per_node - tasks for zone, tasks in zip(self.fill, have, strict=True)]
            shares = share_evenly(count, have, room)
        for zone, share in zip(self.fill, shares, strict=True):
            self._fill(zone, share)
        placed = sum(shares)
        self.tasks += placed
        return placed

    def free(self, count: int) -> None:
        """Take tasks away: from the fullest zone, and there from the node with the most left over."""
        if len(self.fill) == 1:
            shares = [count]
        else:
            have = [sum(tasks * nodes for tasks, nodes in enumerate(zone)) for zone in self.fill]
            # Taking from the fullest is giving to the emptiest, seen from above.
            top = max(have)
            shares = share_evenly(count, [top - tasks for tasks in have], have)
        for zone, share in zip(self.fill, shares, strict=True):
            left = share
            for tasks in range(1, self.per_node + 1):
                whole = min(zone[tasks], left // tasks)
                zone[tasks] -= whole
                zone[0] += whole
                left -= whole * tasks
                if left and left < tasks and zone[tasks]:
                    zone[tasks] -= 1
                    zone[tasks - left] += 1
                    left = 0
                if not left:
                    break
        self.tasks -= count

    def remove(self, count: int) -> int:
        """Take nodes away, the emptiest first, from the zone with the most. Returns the tasks that went with them."""
        lost = 0
        for _ in range(min(count, self.count)):
            zone = max(
                (zone for zone in self.fill if any(zone)),
                key=lambda zone: (-next(tasks for tasks, nodes in enumerate(zone) if nodes), sum(zone)),
            )
            tasks = next(tasks for tasks, nodes in enumerate(zone) if nodes)
            zone[tasks] -= 1
            lost += tasks
            self.count -= 1
        self.tasks -= lost
        return lost

    def _fill(self, zone: list[int], count: int) -> None:
        for tasks in range(self.per_node - 1, -1, -1):
            if not count:
                return
            space = self.per_node - tasks
            whole = min(zone[tasks], count // space)
            zone[tasks] -= whole
            zone[self.per_node] += whole
            count -= whole * space
            if count and count < space and zone[tasks]:
                zone[tasks] -= 1
                zone[tasks + count] += 1
                count = 0
