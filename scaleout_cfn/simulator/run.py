"""One run: traffics through the two loops of each service and of what they run on, second by second.

Plain Python, for it measured best: a policy acts on single numbers, and between two events nothing is decided. While
nothing waits and no second brings more than the tasks can take, the time between two events is one subtraction of
running sums; otherwise each second is four operations on floats. NumPy works on the finished run (`results.py`).

`service.py` is a service under its traffic, `tasks.py` what ECS does for it, `pool.py` what it runs on. They meet in
one heap of events, and between two of these all of them advance together: what a service's tasks can do
(`Service.rate`) may hang on any count of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop
from math import ceil
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.decide import Happening
from scaleout_cfn.simulator.model import Delays, Fargate, Load, Model, NodePool
from scaleout_cfn.simulator.placement import Asked
from scaleout_cfn.simulator.pool import OnFargate, Pool
from scaleout_cfn.simulator.rules import PHASES, Clock, Phase, phases
from scaleout_cfn.simulator.service import Metrics, Service, Trace, first_tasks
from scaleout_cfn.simulator.tasks import State, Tasks
from scaleout_cfn.simulator.traffic import Traffic

__all__ = [
    "PHASES",
    "Busy",
    "Event",
    "Happening",
    "State",
    "Trace",
    "World",
    "first_tasks",
    "phases",
    "run",
    "run_together",
]


class Busy(NamedTuple):
    """A service with a traffic of its own."""

    model: Model
    load: Load
    traffic: Traffic


class Event(NamedTuple):
    """Something that befalls a run at `time` (s): `does` is called with the world and the time."""

    time: int
    does: Callable[[World, int], None]


def run(
    model: Model,
    load: Load,
    delays: Delays,
    traffic: Traffic,
    phase: Phase | None = None,
    events: Sequence[Event] = (),
) -> Trace:
    """Simulate a traffic. Starts settled: as many tasks as the policies would keep at the first minute's traffic."""
    return run_together([Busy(model, load, traffic)], delays, phase, events)[0]


def run_together(
    services: Sequence[Busy], delays: Delays, phase: Phase | None = None, events: Sequence[Event] = ()
) -> list[Trace]:
    """Simulate services with a traffic each, all of one length. Those of one pool, by its name, share its nodes; what
    else stands there, without a traffic, is in their models' pools. All start settled."""
    return World(services, delays, phase or phases(1)[0], events).all()


class World:
    """A run at work: its clock, its services, and its pools by name. Events change it by their methods and its own."""

    def __init__(self, services: Sequence[Busy], delays: Delays, phase: Phase, events: Sequence[Event] = ()) -> None:
        self.end = len(services[0].traffic.requests)
        if any(len(busy.traffic.requests) != self.end for busy in services):
            raise ValueError("the traffics of services that run together have one length")
        self.clock = Clock(self.end, phase)
        self.services = [Service(*busy) for busy in services]
        first = [service.first_tasks() for service in self.services]
        asked: dict[str, list[Asked]] = {}
        shared: dict[str, NodePool] = {}
        for service, tasks in zip(self.services, first, strict=True):
            if nodes := service.model.nodes:
                shared.setdefault(nodes.name, nodes)
                asked.setdefault(nodes.name, []).append(Asked(service.model.task, service.model.placement, tasks))
        self.pools = {name: Pool(self.clock, nodes, delays, asked[name]) for name, nodes in shared.items()}
        self.fargate = fargate = OnFargate(delays)
        for service, desired in zip(self.services, first, strict=True):
            model = service.model
            pool = self.pools[model.nodes.name] if model.nodes else None
            tasks_of = Tasks(
                self.clock,
                delays,
                pool or fargate,
                model.health_check_interval_s,
                model.deregistration_delay_s,
                model.slow_start_s,
            )
            (pool or fargate).join(tasks_of, desired)
            if pool:
                pool.told.append(service.trace.events)
            service.begin(self.clock, delays, tasks_of)
        for name, pool in self.pools.items():
            if pool.tracking:
                metrics = [
                    (service, Metrics(pool.tracking.source))
                    for service in self.services
                    if service.model.nodes and service.model.nodes.name == name
                ]
                first_end = rules.next_tick(60, 60, phase.metrics + 60)
                self.clock.at(first_end, self._node_period_ends, (pool, metrics))
        self.random = Random(phase.alarms)
        self.until_reclaim: dict[int, float] = {}
        self.interruptions_a_s = delays.spot_interruptions / rules.MONTH_S
        if any(service.model.pool.spot_percent for service in self.services):
            self.clock.at(60, self._spot_minute)
        for event in events:
            self.clock.at(event.time, self._befall, event)

    # What may befall it.

    def lose_zone(self, now: int, zone: int, of: int) -> None:
        """A zone of so many is gone, with what ran in it; the rest goes on, and what is missing starts there."""
        for pool in self.pools.values():
            if zone < len(pool.nodes.zones):
                pool.lose_zone(now, zone)
        for service in self.services:
            if service.model.nodes is None:
                self.fargate.lose_zone(now, service.tasks, of)

    def regain_zone(self, now: int, zone: int) -> None:
        """New nodes come to a zone again."""
        for pool in self.pools.values():
            pool.regain_zone(now, zone)

    def interrupt_spot(self, now: int, share: float) -> None:
        """A Spot wave: a share of the capacity on Spot gets its notice."""
        for where, on_spot in self._on_spot():
            self._interrupt(now, where, ceil(share * on_spot))

    def _on_spot(self) -> list[tuple[Pool | Service, float]]:
        """How many nodes of each pool, and tasks of each service on Fargate, are on Spot: a share of those above the
        base."""
        on_spot: list[tuple[Pool | Service, float]] = []
        for pool in self.pools.values():
            above = max(0, pool.nodes.count - pool.facts.on_demand_base)
            on_spot.append((pool, pool.facts.spot_percent / 100 * above))
        for service in self.services:
            if isinstance(kind := service.model.pool, Fargate):
                above = max(0, service.tasks.placed - kind.on_demand_base)
                on_spot.append((service, kind.spot_percent / 100 * above))
        return on_spot

    def _interrupt(self, now: int, where: Pool | Service, count: int) -> None:
        if isinstance(where, Pool):
            where.interrupt(now, count)
        else:
            self.fargate.interrupt(now, where.tasks, count)

    def _spot_minute(self, now: int, _: None) -> None:
        """Interruptions by themselves, each at a time of its own: at random, and the same each time."""
        self.clock.at(now + 60, self._spot_minute)
        for number, (where, on_spot) in enumerate(self._on_spot()):
            left = self.until_reclaim.get(number) or self.random.expovariate(1.0)
            left -= 60 * on_spot * self.interruptions_a_s
            while left <= 0:
                self._interrupt(now, where, 1)
                left += self.random.expovariate(1.0)
            self.until_reclaim[number] = left

    def deploy(self, now: int, name: str, service: str = "", fails_after_s: int | None = None) -> None:
        """A service, or each, gets a new version, whose tasks fail so long after their start where that is given."""
        for each in self.services:
            if service in ("", each.model.service):
                each.tasks.deploy(now, each.model.rollout, fails_after_s, partial(_tell, each.trace.events, name))

    def roll_nodes(self, now: int, name: str) -> None:
        """All nodes are replaced by such as have a new machine image."""
        for pool in self.pools.values():
            pool.roll(now, name)

    def cool(self, share: float, for_s: int, service: str = "") -> None:
        """Tasks of a service, or of all, that begin to serve from now on do so at a share of what they do at best, for
        so many seconds each."""
        for each in self.services:
            if service in ("", each.model.service):
                each.tasks.cold_share, each.tasks.cold_s = share, for_s

    def set_speed(self, now: int, speed: float, service: str = "") -> None:
        """Tasks of a service, or of all, do so much of what they do at best: 0.5 is twice the service time."""
        for each in self.services:
            if service in ("", each.model.service):
                each.speed = speed

    def _befall(self, now: int, event: Event) -> None:
        event.does(self, now)

    def all(self) -> list[Trace]:
        clock, heap = self.clock, self.clock.heap
        while heap:
            time, _, what, argument = heappop(heap)
            if time > clock.now:
                self.advance(time)
            what(time, argument)
        self.advance(self.end)
        for service in self.services:
            service.finish()
            trace, nodes = service.trace, service.model.nodes
            if nodes:
                pool = self.pools[nodes.name]
                trace.node_seconds, trace.stopped_seconds, trace.launches = pool.node_s, pool.stopped_s, pool.launches
                trace.types = pool.shares()
        for pool in self.pools.values():
            pool.leave()
        return [service.trace for service in self.services]

    def advance(self, until: int) -> None:
        """Nothing happens until then but that requests come and are served."""
        start = self.clock.now
        for service in self.services:
            service.advance(start, until)
        for pool in self.pools.values():
            pool.advance(until - start)
        self.clock.now = until

    # A group that tracks its own CPU sees what all tasks on it use.

    def _node_period_ends(self, now: int, tracked: tuple[Pool, list[tuple[Service, Metrics]]]) -> None:
        pool, metrics = tracked
        assert pool.tracking is not None
        self.clock.at(now + 60, self._node_period_ends, tracked)
        seen = [(service, values["cpu"]) for service, each in metrics if (values := service.values(each))]
        if seen:
            look = rules.next_tick(now + pool.tracking.source.lag, 60, self.clock.phase.alarms)
            self.clock.at(look, self._node_point_seen, (pool, seen))

    def _node_point_seen(self, now: int, seen: tuple[Pool, list[tuple[Service, float]]]) -> None:
        pool, by_service = seen
        used = sum(cpu / 100 * service.tasks.running * service.model.task.cpu_units for service, cpu in by_service)
        pool.track(now, used)


def _tell(events: list[Happening], name: str, now: int, words: str) -> None:
    events.append(Happening(now, name, words))


def at_each_second(states: Sequence[State], field: str, length: int) -> NDArray[np.float64]:
    """A count of the states as one value a second."""
    times = [state.time for state in states] + [length]
    return np.repeat(np.array([float(getattr(state, field)) for state in states]), np.diff(times))
