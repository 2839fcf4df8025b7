"""What services run on: a pool of nodes, which several may share and whose own loop moves it, or Fargate."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.decide import CapacityProvider, Happening, Lasting, NodeTracking
from scaleout_cfn.simulator.model import Delays, NodePool
from scaleout_cfn.simulator.placement import Asked, Held, first_nodes, right_sized, standing
from scaleout_cfn.simulator.rules import Clock
from scaleout_cfn.simulator.tasks import Tasks

__all__ = ["OnFargate", "Pool"]

_LOOK_S = 10  # between two looks at nodes that take each other's place


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

    def interrupt(self, now: int, tasks: Tasks, count: int) -> None:
        """Fargate Spot takes so many of a service's tasks back, with its notice."""
        doomed = tasks.doom(now, min(count, tasks.placed - tasks.doomed))
        tasks.clock.at(now + rules.SPOT_NOTICE_S, tasks.end, doomed)

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
        self.provider = self.tracking = None
        if facts.cpu_target is not None and not facts.managed:
            self.tracking = NodeTracking(facts, delays, facts.cpu_target)
        elif not facts.managed:
            self.provider = CapacityProvider(facts, delays)
        beside = standing(facts)
        self.nodes = first_nodes(facts, [*beside, *asked])
        self.nodes.random.seed(clock.phase.alarms)
        kinds = len(self.nodes.rooms)
        self.coming, self.going = [0] * kinds, [0] * kinds  # by kind: those that boot, and that have had their notice
        self.booting = self.preparing = self.standing_by = 0
        self.rolling = False
        self.provisions = False  # of Managed Instances: whether tasks have begun to wait in this second
        if self.warm:
            self.standing_by = rules.standing_by(self.warm.least, self.warm.prepared, self.nodes.count)
        self.kind_s = [0.0] * kinds
        self.stopped_s = 0.0
        self.launches = 0
        self.tenants: list[Tasks] = []
        self.queue: dict[Tasks, None] = {}  # who waits for places, in the order in which they began to
        self.told: list[list[Happening]] = []
        for each in beside:
            self.join(Tasks(clock, delays, self, None, 0), each.tasks)
        if self.provider:
            clock.at(rules.next_tick(0, 60, clock.phase.capacity), self.look)
        if facts.managed and facts.managed.scale_in_after_s != -1:
            after_s = facts.managed.scale_in_after_s
            self.idle, self.spare = [Lasting(delays.managed_idle_s if after_s is None else after_s) for _ in range(2)]
            clock.at(rules.next_tick(0, 60, clock.phase.capacity), self.optimise)

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

    @property
    def node_s(self) -> float:
        """Seconds of nodes, as they are billed."""
        return sum(self.kind_s)

    def shares(self) -> dict[str, float]:
        """Of these, by instance type."""
        if not self.facts.managed or not self.node_s:
            return {}
        types = [kind.instance_type for kind in self.facts.managed.kinds]
        return {type: each / self.node_s for type, each in zip(types, self.kind_s, strict=True) if each}

    def advance(self, passed: int) -> None:
        """So many seconds pass in which nothing changes."""
        kind_s, there = self.kind_s, self.nodes.of_kind
        if len(kind_s) == 1:
            kind_s[0] += (there[0] + self.booting + self.going[0] + self.preparing) * passed
        else:
            for kind, coming in enumerate(self.coming):
                kind_s[kind] += (there[kind] + coming + self.going[kind]) * passed
        if self.standing_by:
            if self.warm and self.warm.state == "running":
                kind_s[0] += self.standing_by * passed
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
            if self.facts.managed and not self.provisions:
                self.provisions = True
                self.clock.at(self.clock.now, self.provision)
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
            if not self.facts.managed:
                self._launch(now, gone, "replacement")
            self._reconcile(now)

    def regain_zone(self, now: int, zone: int) -> None:
        """New nodes come to the zone again."""
        self.nodes.lost_zones.discard(zone)

    def interrupt(self, now: int, gone: int) -> None:
        """Spot takes so many of the nodes back. They work on until the end of the notice, and are replaced at once, as
        their group has Capacity Rebalancing, by such as have to boot.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-spot.html
        """
        gone = min(gone, self.nodes.count)
        if not gone:
            return
        size, there = self.size, list(self.nodes.of_kind)
        lost = self.nodes.take(gone)
        self._say(now, "Spot interruption", size, self.size)
        if not self.facts.managed:
            self._launch(now, min(gone, max(0, self.facts.max_nodes - self.size)), "replacement")
        self._doom(now, there, lost, rules.SPOT_NOTICE_S)

    def _doom(self, now: int, there: list[int], lost: list[int], notice_s: int) -> None:
        """Nodes are no more among those that were there by kind, and with their tasks are gone after a notice."""
        gone = [had - has for had, has in zip(there, self.nodes.of_kind, strict=True)]
        self.going = [old + new for old, new in zip(self.going, gone, strict=True)]
        self.clock.at(now + notice_s, self._end, gone)
        for tasks, count in zip(self.tenants, lost, strict=True):
            self.clock.at(now + notice_s, tasks.end, tasks.doom(now, count))

    def _end(self, now: int, gone: list[int]) -> None:
        self.going = [had - each for had, each in zip(self.going, gone, strict=True)]

    def roll(self, now: int, name: str) -> None:
        """New nodes take the place of all that there are, some at a time, and `name` is what this is called. A group
        that has to keep as many in service as it has is larger by as many meanwhile, up to its maximum.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html
        """
        roll, old = self.facts.roll, self.nodes.count
        least = ceil(roll.in_service if roll.in_service >= 1 else roll.in_service * old)
        more = min(self.facts.max_nodes, least + min(roll.batch, old)) - self.size
        if roll.in_service >= 1 and more > 0:
            self._launch(now, more, "node roll")
        self.rolling = True
        self._roll_on(now, (old, least, name))

    def _roll_on(self, now: int, to_do: tuple[int, int, str]) -> None:
        """The next ones go once those before have been replaced. A node is drained first: it goes when ECS has started
        its tasks elsewhere.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instance-draining.html
        """
        left, least, name = to_do
        if not (self.booting or any(self.going)):
            if not left:
                self.rolling = False
                for events in self.told:
                    events.append(Happening(now, name, "over"))
                return
            count = max(1, min(self.facts.roll.batch, left, self.nodes.count - least))
            left -= count
            size, there = self.size, list(self.nodes.of_kind)
            lost = self.nodes.take(count)
            gone = [had - has for had, has in zip(there, self.nodes.of_kind, strict=True)]
            self.going = [old + new for old, new in zip(self.going, gone, strict=True)]
            self._say(now, "node roll", size, self.size)
            if not self.facts.managed:
                self._launch(now, count, "node roll")
            doomed = [tasks.doom(now, each) for tasks, each in zip(self.tenants, lost, strict=True)]
            self._emptied(now, (gone, doomed))
        self.clock.at(now + _LOOK_S, self._roll_on, (left, least, name))

    def _emptied(self, now: int, drained: tuple[list[int], list[int]]) -> None:
        gone, doomed = drained
        if any(tasks.waiting or tasks.cohorts for tasks in self.tenants):
            self.clock.at(now + _LOOK_S, self._emptied, drained)
            return
        self._end(now, gone)
        for tasks, count in zip(self.tenants, doomed, strict=True):
            tasks.end(now, count)

    # The nodes' loop.

    def look(self, now: int, _: None) -> None:
        """Once a minute ECS publishes the reservation; its alarms see it a little later."""
        assert self.provider is not None
        self.clock.at(now + 60, self.look)
        sizes = self.nodes.sizes
        waiting = [
            (tasks.waiting, each)
            for tasks in self.queue
            if tasks.waiting and (each := self.facts.room.holds(sizes[tasks.number]))
        ]
        wanted = self.provider.look(self.nodes, waiting)
        if wanted is not None:
            self.clock.at(now + self.delays.reservation_lag_s, self._act, wanted)

    def _act(self, now: int, wanted: int) -> None:
        assert self.provider is not None
        if self.rolling and self.facts.roll.alone:
            return
        change, again = self.provider.act(now, wanted, self.nodes, self.booting)
        if again is not None:
            self.clock.at(again, self._act, wanted)
        self.change(now, change, self.provider.name)

    def track(self, now: int, used: float) -> None:
        """A group that tracks its own CPU sees that tasks use so many CPU units."""
        assert self.tracking is not None
        if self.rolling and self.facts.roll.alone:
            return
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

    # Managed Instances: ECS sees the tasks that wait itself, and no alarm stands between.

    def provision(self, now: int, _: None) -> None:
        """Instances for all that wait, of the size that they need, beside those that boot already."""
        self.provisions = False
        waiting = [tasks.waiting for tasks in self.tenants]
        for kind, count in enumerate(right_sized(self.nodes, waiting, self.coming)):
            if count:
                self._launch(now, count, "Managed Instances", kind)

    def optimise(self, now: int, _: None) -> None:
        """Instances that have been idle for as long as is allowed are ended; of those that could be done without, as
        their tasks fit elsewhere, one at a time: its tasks are started there first. How often ECS looks and how many it
        moves at once is not published."""
        self.clock.at(now + 60, self.optimise)
        if idle := self.idle.look(now, self.nodes.empty):
            self._say(now, "idle", self.size, self.size - idle)
            self.idle.gone(idle)
            self.nodes.remove_empty(idle)
        movable = None if self.queue or self.booting or any(self.going) else self.nodes.movable()
        if self.spare.look(now, 1 if movable else 0) and movable:
            self.spare.gone(1)
            kind = movable[-1]
            if kind < 0:
                self.move(now, movable)
            else:
                self._start(now, 1, "Managed Instances", kind)
                self.clock.at(now + self.delays.managed_start_s, self.move, movable)

    def move(self, now: int, movable: tuple[int, Held, int]) -> None:
        """The tasks of an instance that could be done without are started elsewhere, on a smaller one of its zone where
        one was started for them, and it goes once they serve there."""
        zone, held, kind = movable
        notice_s = self.start_s + max(tasks.health_check_s or 0 for tasks in self.tenants)
        if kind >= 0:
            self.coming[kind] -= 1
            self.booting -= 1
            self.nodes.add(1, kind, zone)
            self._place_waiting(now, self.delays.image_pull_s)
            notice_s += self.delays.image_pull_s
        if held in self.nodes.zones[zone]:
            size, there = self.size, list(self.nodes.of_kind)
            lost = self.nodes.take_one(zone, held)
            self._say(now, "underused", size, self.size)
            self._doom(now, there, lost, notice_s)

    def _start(self, now: int, count: int, policy: str, kind: int) -> None:
        self._say(now, policy, self.size, self.size + count)
        self.coming[kind] += count
        self.booting += count
        self.launches += count

    def _launch(self, now: int, count: int, policy: str, kind: int = 0) -> None:
        self._start(now, count, policy, kind)
        ready = min(count, self.standing_by)
        if ready and self.warm:
            self.standing_by -= ready
            stopped = self.warm.state == "stopped"
            start_s = self.delays.stopped_start_s if stopped else self.delays.running_start_s
            self.clock.at(now + start_s, self._join, (kind, ready))
        if count > ready:
            delays = self.delays
            start_s = delays.managed_start_s if self.facts.managed else delays.node_launch_s + delays.node_join_s
            self.clock.at(now + start_s, self._join, (kind, count - ready))
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

    def _join(self, now: int, new: tuple[int, int]) -> None:
        kind, count = new
        self.coming[kind] -= count
        self.booting -= count
        self.nodes.add(count, kind)
        self._place_waiting(now, self.delays.image_pull_s)
        self._reconcile(now)

    def _say(self, now: int, policy: str, before: int, after: int) -> None:
        for events in self.told:
            events.append(Happening(now, "nodes", policy, before, after))
