"""What services run on: a pool of nodes, which several may share and whose own loop moves it, or Fargate."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.clock import Clock
from scaleout_cfn.simulator.decide import CapacityProvider, Happening, NodeTracking
from scaleout_cfn.simulator.model import Delays, NodePool
from scaleout_cfn.simulator.placement import Asked, first_nodes, standing
from scaleout_cfn.simulator.tasks import Tasks

__all__ = ["OnFargate", "Pool"]


class OnFargate:
    """Always a place, and no nodes."""

    registered = size = 0

    def __init__(self, delays: Delays) -> None:
        self.start_s = delays.fargate_start_s

    def join(self, tasks: Tasks, desired: int) -> None:
        """A service that has had so many tasks for long."""
        tasks.settle(desired, desired)

    def admits(self, tasks: Tasks) -> int | None:
        """No limit."""
        return None

    def place(self, tasks: Tasks, count: int) -> int:
        """All of them."""
        return count

    def work(self, tasks: Tasks, own: float, most: float) -> float:
        """A quota: what each can do by itself."""
        return tasks.placed

    def free(self, now: int, tasks: Tasks, count: int) -> None:
        """Nobody waits for the place."""

    def interrupt(self, now: int, tasks: Tasks, share: float) -> None:
        """Fargate Spot takes a share of a service's tasks back, with its notice."""
        tasks.doom(now, ceil(share * tasks.placed), rules.SPOT_NOTICE_S)

    def lose_zone(self, now: int, tasks: Tasks, zones: int) -> None:
        """A zone's part of a service's tasks is gone at once, and is started anew in the others."""
        tasks.lose(tasks.placed // zones)
        tasks.reconcile(now)


class Pool:
    """Nodes at work: those that are registered, boot and stand by, and what brings and removes them.

    It begins with what some tasks settle at. What services ask for is placed first come first served, but what does not
    fit lets the next one pass.
    """

    def __init__(self, clock: Clock, facts: NodePool, delays: Delays, asked: Sequence[Asked]) -> None:
        self.clock, self.facts, self.delays, self.warm = clock, facts, delays, facts.warm
        self.start_s = delays.task_start_s
        self.provider = CapacityProvider(facts, delays) if facts.cpu_target is None else None
        self.tracking = None if facts.cpu_target is None else NodeTracking(facts, delays, facts.cpu_target)
        beside = standing(facts)
        self.nodes = first_nodes(facts, [*beside, *asked])
        self.booting = self.preparing = self.standing_by = self.doomed = 0
        if self.warm:
            self.standing_by = rules.standing_by(self.warm.least, self.warm.prepared, self.nodes.count)
        self.node_s = self.stopped_s = 0.0
        self.launches = 0
        self.tenants: list[Tasks] = []
        self.queue: dict[Tasks, None] = {}  # who waits for places, in the order in which they began to
        self.told: list[list[Happening]] = []
        for each in beside:
            self.join(Tasks(clock, delays, self, None, 0), each.tasks)
        if self.provider:
            clock.at(rules.next_tick(0, 60, clock.phase.capacity), self.look)

    def join(self, tasks: Tasks, desired: int) -> None:
        """The next of the services that were asked for, which has had so many tasks for long."""
        tasks.number = len(self.tenants)
        self.tenants.append(tasks)
        tasks.settle(desired, self.nodes.tasks[tasks.number])
        if tasks.waiting:
            self.queue[tasks] = None

    def leave(self) -> None:
        """After the run: nothing refers back, so that all of it goes with the last name for it."""
        self.tenants.clear()
        self.queue.clear()

    @property
    def registered(self) -> int:
        """Nodes that tasks may be on."""
        return self.nodes.count

    @property
    def size(self) -> int:
        """These and those that boot."""
        return self.nodes.count + self.booting

    def advance(self, passed: int) -> None:
        """So many seconds pass in which nothing changes."""
        self.node_s += (self.nodes.count + self.booting + self.preparing + self.doomed) * passed
        if self.standing_by:
            if self.warm and self.warm.state == "running":
                self.node_s += self.standing_by * passed
            else:
                self.stopped_s += self.standing_by * passed

    # Tasks on nodes.

    def admits(self, tasks: Tasks) -> int | None:
        """What has a place, and what may wait for one: ECS lets no more wait in a cluster."""
        if self.provider is None:
            return None
        waiting = sum(each.waiting for each in self.queue)
        return self.nodes.room_for(tasks.number) + self.delays.provisioning_quota - waiting

    def place(self, tasks: Tasks, count: int) -> int:
        """Take tasks in; returns how many have a place. The others wait for one, and are placed once there is."""
        placed = self.nodes.place(tasks.number, count)
        if placed < count:
            self.queue.setdefault(tasks)
        else:
            self.queue.pop(tasks, None)
        return placed

    def work(self, tasks: Tasks, own: float, most: float) -> float:
        """How many tasks' worth of work all that have a place could do, each by `own` CPU units and up to `most`."""
        return self.nodes.work(tasks.number, own, most)

    def free(self, now: int, tasks: Tasks, count: int) -> None:
        """So many tasks have gone: others may take their places, but on nodes that have had their notice."""
        on_nodes = min(count, self.nodes.tasks[tasks.number])
        tasks.doomed -= count - on_nodes
        self.nodes.free(tasks.number, on_nodes)
        self._place_waiting(now)

    def _place_waiting(self, now: int, pull_s: int = 0) -> None:
        for tasks in list(self.queue):
            tasks.place(now, pull_s)
            tasks.note()

    # What befalls the nodes.

    def lose_zone(self, now: int, zone: int) -> None:
        """A zone is gone at once with all its nodes, which are replaced in the others; no node comes to it."""
        self.nodes.lost_zones.add(zone)
        gone = self.nodes.nodes_in[zone]
        if gone:
            self._say(now, "zone lost", self.size, self.size - gone)
            for tasks, count in zip(self.tenants, self.nodes.take(gone, zone), strict=True):
                tasks.lose(count)
            self._launch(now, gone, "replacement")
            self._reconcile(now)

    def regain_zone(self, now: int, zone: int) -> None:
        """New nodes come to the zone again."""
        self.nodes.lost_zones.discard(zone)

    def interrupt(self, now: int, share: float) -> None:
        """Spot takes a share of the nodes back. They work on until the end of the notice, and are replaced at once, as
        their group has Capacity Rebalancing, by such as have to boot.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html
        """
        gone = ceil(share * self.nodes.count)
        if not gone:
            return
        size = self.size
        lost = self.nodes.take(gone)
        self.doomed += gone
        self._say(now, "Spot interruption", size, self.size)
        self.clock.at(now + rules.SPOT_NOTICE_S, self._end, gone)
        self._launch(now, min(gone, max(0, self.facts.max_nodes - self.size)), "replacement")
        for tasks, count in zip(self.tenants, lost, strict=True):
            tasks.doom(now, count, rules.SPOT_NOTICE_S)

    def _end(self, now: int, nodes: int) -> None:
        self.doomed -= nodes

    # The nodes' loop.

    def look(self, now: int, _: None) -> None:
        """Once a minute ECS publishes the reservation; its alarms see it a little later."""
        assert self.provider is not None
        self.clock.at(now + 60, self.look)
        sizes = self.nodes.sizes
        waiting = [
            (tasks.waiting, each)
            for tasks in self.queue
            if tasks.waiting and (each := self.nodes.room.holds(sizes[tasks.number]))
        ]
        wanted = self.provider.look(self.nodes, waiting)
        if wanted is not None:
            self.clock.at(now + self.delays.reservation_lag_s, self._act, wanted)

    def _act(self, now: int, wanted: int) -> None:
        assert self.provider is not None
        change, again = self.provider.act(now, wanted, self.nodes, self.booting)
        if again is not None:
            self.clock.at(again, self._act, wanted)
        self.change(now, change, self.provider.name)

    def track(self, now: int, used: float) -> None:
        """A group that tracks its own CPU sees that tasks use so many CPU units."""
        assert self.tracking is not None
        self.change(now, self.tracking.act(now, used, self.nodes, self.booting), self.tracking.name)

    def change(self, now: int, nodes: int, policy: str) -> None:
        """So many nodes more, or fewer: with what is still on them."""
        if nodes > 0:
            self._launch(now, nodes, policy)
        elif nodes:
            self._say(now, policy, self.size, self.size + nodes)
            lost = self.nodes.remove(-nodes)
            self._restock(now)
            for tasks, count in zip(self.tenants, lost, strict=True):
                if count:
                    tasks.lose(count)
            self._reconcile(now)

    def _reconcile(self, now: int) -> None:
        for tasks in self.tenants:
            tasks.reconcile(now)

    def _launch(self, now: int, count: int, policy: str) -> None:
        self._say(now, policy, self.size, self.size + count)
        self.booting += count
        self.launches += count
        ready = min(count, self.standing_by)
        if ready and self.warm:
            self.standing_by -= ready
            stopped = self.warm.state == "stopped"
            start_s = self.delays.stopped_start_s if stopped else self.delays.running_start_s
            self.clock.at(now + start_s, self._join, ready)
        if count > ready:
            self.clock.at(now + self.delays.node_launch_s + self.delays.node_join_s, self._join, count - ready)
        self._restock(now)
        for tasks in self.tenants:
            tasks.note()

    def _restock(self, now: int) -> None:
        """The warm pool fills up by new nodes, or lets go of those that are too many; none comes back to it."""
        if not self.warm:
            return
        wanted = rules.standing_by(self.warm.least, self.warm.prepared, self.size)
        missing = wanted - self.standing_by - self.preparing
        if missing > 0:
            self.preparing += missing
            self.clock.at(now + self.delays.node_launch_s + self.delays.node_join_s, self.stand_by, missing)
        elif missing < 0:
            self.standing_by = max(0, self.standing_by + missing)

    def stand_by(self, now: int, count: int) -> None:
        """So many nodes of the warm pool are prepared."""
        self.preparing -= count
        self.standing_by += count
        self._restock(now)

    def _join(self, now: int, count: int) -> None:
        self.booting -= count
        self.nodes.add(count)
        self._place_waiting(now, self.delays.image_pull_s)
        self._reconcile(now)

    def _say(self, now: int, policy: str, before: int, after: int) -> None:
        for events in self.told:
            events.append(Happening(now, "nodes", policy, before, after))
