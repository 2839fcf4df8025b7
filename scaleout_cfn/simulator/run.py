"""One run: a traffic through the two loops, second by second.

Plain Python, for it measured best: a policy acts on single numbers, and between two events nothing is decided. While
nothing waits and no second brings more than the tasks can take, the time between two events is one subtraction of
running sums; otherwise each second is four operations on floats. NumPy works on the finished run (`results.py`).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.decide import CapacityProvider, Happening, NodeTracking, ServicePolicies, Source
from scaleout_cfn.simulator.model import Delays, Load, Model, NodePool
from scaleout_cfn.simulator.placement import Anywhere, Nodes
from scaleout_cfn.simulator.schedules import firings
from scaleout_cfn.simulator.traffic import Traffic

__all__ = ["PHASES", "Happening", "State", "Trace", "phases", "run"]

PHASES = 12
"""Alarm phases that a result is taken over."""
_LAUNCH_BATCHES = 10  # a minute's launches come in so many batches


class State(NamedTuple):
    """Counts from `time` (s) on. `size` is of the group: the nodes and those that boot."""

    time: int
    desired: int
    running: int
    ready: int
    waiting: int
    nodes: int
    size: int


@dataclass
class Trace:
    """What one run leaves: requests, backlog and drops for each second, every change of a count, every event."""

    requests: NDArray[np.float64]
    backlog: NDArray[np.float64]
    dropped: NDArray[np.float64]
    states: list[State] = field(default_factory=list)
    events: list[Happening] = field(default_factory=list)
    node_seconds: float = 0.0
    stopped_seconds: float = 0.0  # of nodes that stand by in a warm pool: they cost their volumes
    task_seconds: float = 0.0  # from the placement of a task until it has gone: what Fargate bills
    launches: int = 0


class Phase(NamedTuple):
    """Offsets in seconds of the grids that AWS runs on: metric periods, alarm looks, capacity looks, health checks."""

    metrics: int
    alarms: int
    capacity: int
    checks: int


def phases(count: int = PHASES) -> list[Phase]:
    """Evenly spread offsets of the metric periods; the other grids wander past them, so that no pair keeps step."""
    return [
        Phase(index * 60 // count, index * 37 % 60, (30 + index * 23) % 60, index * 7 % 60) for index in range(count)
    ]


@dataclass
class _Cohort:
    """Tasks that were placed together and do not serve yet."""

    count: int
    started: bool = False


@dataclass
class _Metrics:
    """A metric period that is being filled: the totals at its start.

    A period of 30 s is an alarm's over points of 20 s: two of them begin in the first half of a minute, one in the
    second.
    """

    source: Source
    first_half: bool = True
    served: float = 0.0
    arrived: float = 0.0
    running: float = 0.0
    ready: float = 0.0


def run(model: Model, load: Load, delays: Delays, traffic: Traffic, phase: Phase | None = None) -> Trace:
    """Simulate a traffic. Starts settled: as many tasks as the policies would keep at the first minute's traffic."""
    return _Run(model, load, delays, traffic, phase or phases(1)[0]).all()


def first_tasks(model: Model, load: Load, rps: float) -> int:
    """How many tasks the policies settle at for a steady traffic."""
    scaling = model.scaling
    need = [1.0 * scaling.min_tasks]
    if scaling.cpu.enabled:
        need.append(rps / load.task_rps * load.cpu_at_capacity / scaling.cpu.target)
    if scaling.requests.enabled:
        need.append(rps * 60 / scaling.requests.target)
    if scaling.pulse:
        need.append(rps / scaling.pulse.target_rps)
    if len(need) == 1:
        need.append(rps / load.task_rps)
    return rules.within(scaling.min_tasks, ceil(max(need) - 1e-9), scaling.max_tasks)


def _first_nodes(pool: NodePool, tasks: int) -> Nodes:
    """As many nodes as so many tasks and those of other services settle at; the others are on them."""
    needed = -(-(tasks + pool.taken) // pool.tasks_per_node)
    wanted = rules.wanted_nodes(needed, pool.scaling.target_capacity_percent)
    nodes = Nodes(pool.zones, pool.tasks_per_node, pool.placement)
    nodes.add(rules.within(pool.min_nodes, wanted, min(pool.max_nodes, rules.MOST_NODES)))
    nodes.place(pool.taken)
    return nodes


class _Run:
    """A run at work: all that changes is an attribute of this one object, and the policies look at it as it is.

    Some thirty of them, on purpose: this is the inner loop, where each layer between costs. Nothing in it refers back
    to the run, so that its lists go with the last name for it and wait for no garbage collector.
    """

    def __init__(self, model: Model, load: Load, delays: Delays, traffic: Traffic, phase: Phase) -> None:
        self.model, self.load, self.delays, self.phase = model, load, delays, phase
        self.arrivals: list[float] = traffic.requests.tolist()
        self.end = len(self.arrivals)
        self.started = traffic.start
        self.sums: list[float] = [0.0, *np.cumsum(traffic.requests).tolist()]
        self.disturbed_to = 0  # up to there retries have been added, and `sums` does not hold
        self.now = 0
        self.queue = self.served = self.arrived = self.running_s = self.ready_s = self.node_s = self.task_s = 0.0
        self.stopped_s = 0.0
        self.heap: list[tuple[int, int, Any, Any]] = []
        self.order = 0
        self.trace = Trace(traffic.requests, np.zeros(self.end), np.zeros(self.end))
        self.cohorts: list[_Cohort] = []
        self.least, self.most = model.scaling.min_tasks, model.scaling.max_tasks
        self.policies = ServicePolicies(model.scaling, delays, self.trace.events)
        pool = model.nodes
        target = pool.cpu_target if pool else None
        self.provider = CapacityProvider(pool, delays) if pool and target is None else None
        self.tracking = (
            NodeTracking(pool, model.task_cpu_units, delays, target) if pool and target is not None else None
        )
        self.start_s = delays.task_start_s if pool else delays.fargate_start_s
        self.booting = self.standing_by = self.preparing = 0
        self.warm = pool.warm if pool else None
        self.window = self.launched_in_window = 0
        self.launch_pending = False
        rps = self.sums[min(60, self.end)] / max(1, min(60, self.end))
        self.desired = self.running = self.ready = first_tasks(model, load, rps)
        self.waiting = 0
        self.nodes = _first_nodes(pool, self.ready) if pool else Anywhere()
        if self.warm:
            self.standing_by = rules.standing_by(self.warm.least, self.warm.prepared, self.nodes.count)
        self.taken = self.nodes.tasks
        placed = self.nodes.place(self.ready)
        self.waiting = self.ready - placed
        self.running = self.ready = placed
        self._note()

    def at(self, time: int, what: Any, argument: Any = None) -> None:
        if time < self.end:
            self.order += 1
            heapq.heappush(self.heap, (time, self.order, what, argument))

    def all(self) -> Trace:
        sources = self.policies.sources
        if self.tracking:
            sources.add(self.tracking.source)
        for source in sorted(sources):
            every, first = (60, 40) if source.period == 30 else (source.period, source.period)
            self.at(rules.next_tick(first, every, self.phase.metrics + first), self.period_ends, _Metrics(source))
        if self.provider:
            self.at(rules.next_tick(0, 60, self.phase.capacity), self.capacity_look)
        for time, least, most in firings(self.model.scaling.schedules, self.end, self.started):
            self.at(time, self.bounds_change, (least, most))
        heap = self.heap
        while heap:
            time, _, what, argument = heapq.heappop(heap)
            if time > self.now:
                self.advance(time)
            what(time, argument)
        self.advance(self.end)
        trace = self.trace
        if self.disturbed_to:
            trace.requests = np.array(self.arrivals)
        trace.node_seconds, trace.task_seconds = self.node_s, self.task_s
        trace.stopped_seconds = self.stopped_s
        return trace

    def advance(self, until: int) -> None:
        """The fluid queue from now on: all tasks as one server of their joint rate, clients leaving at the timeout."""
        start, arrivals = self.now, self.arrivals
        passed = until - start
        self.running_s += self.running * passed
        self.ready_s += self.ready * passed
        self.node_s += (self.nodes.count + self.booting + self.preparing) * passed
        if self.standing_by:
            if self.warm and self.warm.state == "running":
                self.node_s += self.standing_by * passed
            else:
                self.stopped_s += self.standing_by * passed
        self.task_s += (self.nodes.tasks - self.taken) * passed
        self.now = until
        rate = self.ready * self.load.task_rps
        if not self.queue and start >= self.disturbed_to and max(arrivals[start:until]) <= rate:
            taken = self.sums[until] - self.sums[start]
            self.served += taken
            self.arrived += taken
            return
        queue, served, dropped = self.queue, self.served, self.trace.dropped
        backlog: list[float] = []
        limit = rate * self.load.timeout_s
        retry, patience = self.load.retry_share, max(1, ceil(self.load.timeout_s))
        for second in range(start, until):
            come = arrivals[second]
            if rate:
                self.arrived += come  # without a target the balancer answers 503 by itself
            queue += come
            done = rate if queue > rate else queue
            queue -= done
            served += done
            if queue > limit:
                lost = queue - limit
                dropped[second] = lost
                queue = limit
                # The balancer's own answer comes at once, and a client's patience ends at the timeout.
                again = second + (patience if rate else 1)
                if retry and again < self.end:
                    arrivals[again] += lost * retry
                    self.disturbed_to = max(self.disturbed_to, again + 1)
            backlog.append(queue)
        self.trace.backlog[start:until] = backlog
        self.queue, self.served = queue, served

    # The service's loop.

    def period_ends(self, now: int, metrics: _Metrics) -> None:
        """A metric period is over; its point is seen at the alarm's first look after the publication."""
        source = metrics.source
        if source.period == 30:
            self.at(now + (20 if metrics.first_half else 40), self.period_ends, metrics)
            metrics.first_half = not metrics.first_half
        else:
            self.at(now + source.period, self.period_ends, metrics)
        running, ready = self.running_s - metrics.running, self.ready_s - metrics.ready
        served, arrived = self.served - metrics.served, self.arrived - metrics.arrived
        metrics.served, metrics.arrived = self.served, self.arrived
        metrics.running, metrics.ready = self.running_s, self.ready_s
        if not running:
            return  # no task, no point: an alarm keeps its state on missing data, and nothing scales
        values = {
            "cpu": served / self.load.task_rps / running * self.load.cpu_at_capacity,
            "memory": self.load.memory_percent,
            "requests": arrived * 60 / ready if ready else 0.0,
            "pulse": arrived / running,
        }
        # Below a minute an alarm looks every 10 s.
        every = 60 if source.period >= 60 else 10
        look = rules.next_tick(now + source.lag, every, self.phase.alarms)
        self.at(look, self.points_seen, (source, values))

    def points_seen(self, now: int, seen: tuple[Source, dict[str, float]]) -> None:
        source, values = seen
        for wanted, policy in self.policies.decide(now, source, values, self):
            self.set_desired(now, wanted, policy)
        if self.tracking and isinstance(self.nodes, Nodes) and source == self.tracking.source:
            change = self.tracking.act(now, values["cpu"], self.running, self.nodes, self.booting)
            if change > 0:
                self.launch(now, change, self.tracking.name)
            elif change:
                self.say(now, "nodes", self.tracking.name, self.nodes.count, self.nodes.count + change)
                self.lose(self.nodes.remove(-change))
                self.restock(now)
                self.reconcile(now)

    def bounds_change(self, now: int, bounds: tuple[int, int]) -> None:
        self.least, self.most = bounds
        wanted = rules.within(self.least, self.desired, self.most)
        if wanted != self.desired:
            self.set_desired(now, wanted, "schedule")

    def set_desired(self, now: int, wanted: int, policy: str) -> None:
        self.say(now, "tasks", policy, self.desired, wanted)
        self.desired = wanted
        self.reconcile(now)

    # ECS: tasks to nodes.

    def reconcile(self, now: int, _: Any = None) -> None:
        """Start or stop tasks until there are as many as desired."""
        have = self.running + self.waiting + sum(cohort.count for cohort in self.cohorts if not cohort.started)
        if have < self.desired:
            self.start(now, self.desired - have)
        elif have > self.desired:
            self.stop(now, have - self.desired)
        self._note()

    def start(self, now: int, count: int) -> None:
        batch = max(1, self.delays.launch_per_minute // _LAUNCH_BATCHES)
        window = now * _LAUNCH_BATCHES // 60
        if window != self.window:
            self.window, self.launched_in_window = window, 0
        allowed = min(count, batch - self.launched_in_window)
        if self.provider and isinstance(self.nodes, Nodes):
            allowed = min(allowed, self.nodes.room + self.delays.provisioning_quota - self.waiting)
        self.launched_in_window += max(0, allowed)
        if allowed > 0:
            self.waiting += allowed
            self.place(now)
        if count > allowed and not self.launch_pending:
            self.launch_pending = True
            self.at(-(-(window + 1) * 60 // _LAUNCH_BATCHES), self.start_more)

    def start_more(self, now: int, _: Any) -> None:
        self.launch_pending = False
        self.reconcile(now)

    def place(self, now: int, pull_s: int = 0) -> None:
        placed = self.nodes.place(self.waiting) if self.waiting else 0
        if placed:
            self.waiting -= placed
            cohort = _Cohort(placed)
            self.cohorts.append(cohort)
            self.at(now + pull_s + self.start_s, self.tasks_start, cohort)

    def tasks_start(self, now: int, cohort: _Cohort) -> None:
        cohort.started = True
        self.running += cohort.count
        every = self.model.health_check_interval_s
        self.at(now if every is None else rules.first_check(now, every, self.phase.checks), self.tasks_serve, cohort)
        self._note()

    def tasks_serve(self, now: int, cohort: _Cohort) -> None:
        self.cohorts.remove(cohort)
        self.ready += cohort.count
        self._note()

    def stop(self, now: int, count: int) -> None:
        """Tasks that wait go first, then those that start, then those that serve: these drain before they stop."""
        gone = min(count, self.waiting)
        self.waiting -= gone
        count -= gone
        for cohort in reversed(self.cohorts):
            gone = min(count, cohort.count)
            cohort.count -= gone
            count -= gone
            if cohort.started:
                self.running -= gone
            self.nodes.free(gone)
        gone = min(count, self.ready)
        if gone:
            self.ready -= gone
            self.running -= gone
            self.at(now + self.model.deregistration_delay_s + self.delays.stop_s, self.places_free, gone)

    def places_free(self, now: int, count: int) -> None:
        self.nodes.free(min(count, self.nodes.tasks))
        self.place(now)
        self._note()

    # The nodes' loop.

    def capacity_look(self, now: int, _: Any) -> None:
        """Once a minute ECS publishes the reservation; its alarms see it a little later."""
        assert self.provider is not None and isinstance(self.nodes, Nodes)
        self.at(now + 60, self.capacity_look)
        wanted = self.provider.look(self.nodes, self.waiting)
        if wanted is not None:
            self.at(now + self.delays.reservation_lag_s, self.group_acts, wanted)

    def group_acts(self, now: int, wanted: int) -> None:
        assert self.provider is not None and isinstance(self.nodes, Nodes)
        change, again = self.provider.act(now, wanted, self.nodes, self.booting)
        if again is not None:
            self.at(again, self.group_acts, wanted)
        if change > 0:
            self.launch(now, change, self.provider.name)
        elif change:
            size = self.nodes.count + self.booting
            self.say(now, "nodes", self.provider.name, size, size + change)
            self.nodes.remove(-change)
            self.restock(now)
            self._note()

    def launch(self, now: int, count: int, policy: str) -> None:
        size = self.nodes.count + self.booting
        self.say(now, "nodes", policy, size, size + count)
        self.booting += count
        self.trace.launches += count
        ready = min(count, self.standing_by)
        if ready and self.warm:
            self.standing_by -= ready
            stopped = self.warm.state == "stopped"
            start_s = self.delays.stopped_start_s if stopped else self.delays.running_start_s
            self.at(now + start_s, self.nodes_join, ready)
        if count > ready:
            self.at(now + self.delays.node_launch_s + self.delays.node_join_s, self.nodes_join, count - ready)
        self.restock(now)
        self._note()

    def restock(self, now: int) -> None:
        """The warm pool fills up by new nodes, or lets go of those that are too many; none comes back to it."""
        if not self.warm:
            return
        wanted = rules.standing_by(self.warm.least, self.warm.prepared, self.nodes.count + self.booting)
        missing = wanted - self.standing_by - self.preparing
        if missing > 0:
            self.preparing += missing
            self.at(now + self.delays.node_launch_s + self.delays.node_join_s, self.stands_by, missing)
        elif missing < 0:
            self.standing_by = max(0, self.standing_by + missing)

    def stands_by(self, now: int, count: int) -> None:
        self.preparing -= count
        self.standing_by += count
        self.restock(now)

    def nodes_join(self, now: int, count: int) -> None:
        assert isinstance(self.nodes, Nodes)
        self.booting -= count
        self.nodes.add(count)
        self.place(now, self.delays.image_pull_s)
        self._note()
        self.reconcile(now)

    def lose(self, tasks: int) -> None:
        """Tasks that went with their node: nobody drained it."""
        gone = min(tasks, self.ready)
        self.ready -= gone
        self.running -= gone
        for cohort in self.cohorts:
            more = min(tasks - gone, cohort.count)
            cohort.count -= more
            gone += more
            if cohort.started:
                self.running -= more

    def say(self, now: int, what: str, policy: str, before: int, after: int) -> None:
        self.trace.events.append(Happening(now, what, policy, before, after))

    def _note(self) -> None:
        nodes = self.nodes.count
        state = State(self.now, self.desired, self.running, self.ready, self.waiting, nodes, nodes + self.booting)
        states = self.trace.states
        if states and states[-1].time == self.now:
            states[-1] = state
        elif not states or states[-1][1:] != state[1:]:
            states.append(state)


def at_each_second(states: Sequence[State], field: str, length: int) -> NDArray[np.float64]:
    """A count of the states as one value a second."""
    times = [state.time for state in states] + [length]
    return np.repeat(np.array([float(getattr(state, field)) for state in states]), np.diff(times))
