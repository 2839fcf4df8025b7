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

from scaleout_cfn.scaling import StepScaling, TargetTracking
from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.model import Delays, Model, Service
from scaleout_cfn.simulator.placement import Nodes
from scaleout_cfn.simulator.schedules import firings
from scaleout_cfn.simulator.traffic import Traffic

__all__ = ["PHASES", "Event", "State", "Trace", "phases", "run"]

PHASES = 12
"""Alarm phases that a result is taken over."""
_HIGH_POINTS = 3  # of 3: https://github.com/aws/containers-roadmap/issues/1208
_LAUNCH_BATCHES = 10  # a minute's launches come in so many batches
_INSTANCE_WARMUP_S = 300  # of a group that tracks its own CPU, by default


class State(NamedTuple):
    """Counts from `time` (s) on. `size` is of the group: the nodes and those that boot."""

    time: int
    desired: int
    running: int
    ready: int
    waiting: int
    nodes: int
    size: int


class Event(NamedTuple):
    """Something that happened at `time` (s): `what` to `policy`, from a count to another where counts changed."""

    time: int
    what: str
    policy: str
    before: int
    after: int


@dataclass
class Trace:
    """What one run leaves: requests, backlog and drops for each second, every change of a count, every event."""

    requests: NDArray[np.float64]
    backlog: NDArray[np.float64]
    dropped: NDArray[np.float64]
    states: list[State] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    node_seconds: float = 0.0
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


class _Source(NamedTuple):
    """Points of a metric as an alarm sees them: one each period, so many seconds after its end."""

    period: int
    lag: int


@dataclass
class _Tracker:
    """A target tracking policy at work: how many points in a row were high and low, and its last action."""

    name: str
    policy: TargetTracking
    source: _Source
    low_points: int
    high: int = 0
    low: int = 0
    value: float = 0.0
    out_at: int | None = None
    out_to: int = 0
    tried_at: int | None = None


@dataclass
class _Stepper:
    """A step policy at work: how many points in a row breached, when it last tried, and its last action."""

    policy: StepScaling
    source: _Source
    breaches: int = 0
    tried_at: int | None = None
    acted_at: int | None = None
    acted_to: int = 0


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

    source: _Source
    first_half: bool = True
    served: float = 0.0
    arrived: float = 0.0
    running: float = 0.0
    ready: float = 0.0


def _fine(model: Model, delays: Delays, period: int) -> _Source:
    """CPU and memory: an alarm of any period sees metrics of 20 s as early as they come."""
    return _Source(period, delays.metric_lag_20_s if model.scaling.high_resolution else delays.metric_lag_60_s)


def trackers(model: Model, delays: Delays) -> list[_Tracker]:
    """The target tracking policies of a model, with the points each looks at."""
    scaling = model.scaling
    own = _fine(model, delays, 20 if scaling.high_resolution else 60)
    # The balancer has no 20 s metrics.
    balancer = _Source(60, delays.metric_lag_60_s)
    found = []
    for name, policy, source in (
        ("cpu", scaling.cpu, own),
        ("memory", scaling.memory, own),
        ("requests", scaling.requests, balancer),
    ):
        if policy.enabled:
            found.append(_Tracker(name, policy, source, delays.low_minutes * 60 // source.period))
    return found


def run(model: Model, service: Service, delays: Delays, traffic: Traffic, phase: Phase | None = None) -> Trace:
    """Simulate a traffic. Starts settled: as many tasks as the policies would keep at the first minute's traffic."""
    return _Run(model, service, delays, traffic, phase or phases(1)[0]).all()


def first_tasks(model: Model, service: Service, rps: float) -> int:
    """How many tasks the policies settle at for a steady traffic."""
    scaling = model.scaling
    need = [1.0 * scaling.min_tasks]
    if scaling.cpu.enabled:
        need.append(rps / service.task_rps * service.cpu_at_capacity / scaling.cpu.target)
    if scaling.requests.enabled:
        need.append(rps * 60 / scaling.requests.target)
    if len(need) == 1:
        need.append(rps / service.task_rps)
    return rules.within(scaling.min_tasks, ceil(max(need) - 1e-9), scaling.max_tasks)


class _Run:
    def __init__(self, model: Model, service: Service, delays: Delays, traffic: Traffic, phase: Phase) -> None:
        self.model, self.service, self.delays, self.phase = model, service, delays, phase
        self.arrivals: list[float] = traffic.requests.tolist()
        self.end = len(self.arrivals)
        self.started = traffic.start
        self.sums: list[float] = [0.0, *np.cumsum(traffic.requests).tolist()]
        self.disturbed_to = 0  # up to there retries have been added, and `sums` does not hold
        self.now = 0
        self.queue = self.served = self.arrived = self.running_s = self.ready_s = self.node_s = 0.0
        self.heap: list[tuple[int, int, Any, Any]] = []
        self.order = 0
        self.trace = Trace(traffic.requests, np.zeros(self.end), np.zeros(self.end))
        self.cohorts: list[_Cohort] = []
        self.most_nodes = min(model.max_nodes, rules.MOST_NODES)
        self.least, self.most = model.scaling.min_tasks, model.scaling.max_tasks
        self.trackers = trackers(model, delays)
        self.in_at: int | None = None
        self.steppers = [
            _Stepper(policy, _fine(model, delays, policy.period_s)) for policy in model.scaling.step_policies
        ]
        self.node_source = _Source(60, delays.metric_lag_60_s)
        self.booting = 0
        self.launched_at = -1_000_000
        self.may_shrink_at = 0
        self.low_looks = 0
        self.window = self.launched_in_window = 0
        self.launch_pending = False
        self.node_high = self.node_low = 0
        rps = self.sums[min(60, self.end)] / max(1, min(60, self.end))
        self.desired = self.running = self.ready = first_tasks(model, service, rps)
        self.waiting = 0
        nodes = rules.wanted_nodes(-(-self.ready // model.tasks_per_node), model.scaling.nodes.target_capacity_percent)
        self.nodes = Nodes(model.zones, model.tasks_per_node, model.placement)
        self.nodes.add(rules.within(model.min_nodes, nodes, self.most_nodes))
        placed = self.nodes.place(self.ready)
        self.waiting = self.ready - placed
        self.running = self.ready = placed
        self._note()

    def at(self, time: int, what: Any, argument: Any = None) -> None:
        if time < self.end:
            self.order += 1
            heapq.heappush(self.heap, (time, self.order, what, argument))

    def all(self) -> Trace:
        sources = {tracker.source for tracker in self.trackers} | {stepper.source for stepper in self.steppers}
        if self.model.node_cpu_target is not None:
            sources.add(self.node_source)
        for source in sorted(sources):
            every, first = (60, 40) if source.period == 30 else (source.period, source.period)
            self.at(rules.next_tick(first, every, self.phase.metrics + first), self.period_ends, _Metrics(source))
        if self.model.node_cpu_target is None:
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
        trace.node_seconds = self.node_s
        return trace

    def advance(self, until: int) -> None:
        """The fluid queue from now on: all tasks as one server of their joint rate, clients leaving at the timeout."""
        start, arrivals = self.now, self.arrivals
        passed = until - start
        self.running_s += self.running * passed
        self.ready_s += self.ready * passed
        self.node_s += (self.nodes.count + self.booting) * passed
        self.now = until
        rate = self.ready * self.service.task_rps
        if not self.queue and start >= self.disturbed_to and max(arrivals[start:until]) <= rate:
            taken = self.sums[until] - self.sums[start]
            self.served += taken
            self.arrived += taken
            return
        queue, served, dropped = self.queue, self.served, self.trace.dropped
        backlog: list[float] = []
        limit = rate * self.service.timeout_s
        retry = self.service.retry_share
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
                if retry and second + 1 < self.end:
                    arrivals[second + 1] += lost * retry
                    self.disturbed_to = second + 2
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
            "cpu": served / self.service.task_rps / running * self.service.cpu_at_capacity,
            "memory": self.service.memory_percent,
            "requests": arrived * 60 / ready if ready else 0.0,
        }
        # Below a minute an alarm looks every 10 s.
        every = 60 if source.period >= 60 else 10
        look = rules.next_tick(now + source.lag, every, self.phase.alarms)
        self.at(look, self.points_seen, (source, values))

    def points_seen(self, now: int, seen: tuple[_Source, dict[str, float]]) -> None:
        source, values = seen
        for tracker in self.trackers:
            if tracker.source == source:
                self.judge(now, tracker, values[tracker.name])
        self.scale_out(now, source)
        self.scale_in(now)
        for stepper in self.steppers:
            if stepper.source == source:
                self.step(now, stepper, values[stepper.policy.metric])
        if self.model.node_cpu_target is not None and source == self.node_source:
            self.track_nodes(now, values["cpu"])

    def judge(self, now: int, tracker: _Tracker, value: float) -> None:
        target = tracker.policy.target
        tracker.value = value
        high, low = value > target, value < target * rules.LOW_SHARE
        was_high, was_low = tracker.high >= _HIGH_POINTS, tracker.low >= tracker.low_points
        tracker.high = tracker.high + 1 if high else 0
        tracker.low = tracker.low + 1 if low else 0
        if (tracker.high >= _HIGH_POINTS) != was_high:
            self.say(now, "alarm high " + ("off" if was_high else "on"), tracker.name)
        if (tracker.low >= tracker.low_points) != was_low:
            self.say(now, "alarm low " + ("off" if was_low else "on"), tracker.name)

    def scale_out(self, now: int, source: _Source) -> None:
        """Out if any policy asks for it. The actions of an alarm repeat once a minute while it is on."""
        for tracker in self.trackers:
            if tracker.source != source or tracker.high < _HIGH_POINTS:
                continue
            if tracker.high > _HIGH_POINTS and tracker.tried_at is not None and now - tracker.tried_at < 60:
                continue
            tracker.tried_at = now
            wanted = rules.tracked_count(self.running, tracker.value, tracker.policy.target)
            wanted = rules.within(self.least, wanted, self.most)
            if wanted > self.desired and rules.may_grow(
                now, tracker.out_at, tracker.policy.scale_out_cooldown_s, tracker.out_to, wanted
            ):
                tracker.out_at, tracker.out_to = now, wanted
                self.set_desired(now, wanted, tracker.name)

    def scale_in(self, now: int) -> None:
        """In only if every policy that may scale in agrees, and to the most that any of them wants."""
        able = [tracker for tracker in self.trackers if tracker.policy.scale_in]
        if not able or any(tracker.low < tracker.low_points for tracker in able):
            return
        if any(tracker.high >= _HIGH_POINTS for tracker in self.trackers) or self.running < self.desired:
            return
        if not all(rules.may_shrink(now, self.in_at, tracker.policy.scale_in_cooldown_s) for tracker in able):
            return
        share = self.delays.scale_in_share
        wanted = max(
            rules.tracked_count_in(self.running, tracker.value, tracker.policy.target, share) for tracker in able
        )
        wanted = rules.within(self.least, wanted, self.most)
        if wanted < self.desired:
            self.in_at = now
            self.set_desired(now, wanted, "+".join(tracker.name for tracker in able))

    def step(self, now: int, stepper: _Stepper, value: float) -> None:
        policy = stepper.policy
        step = rules.step_of(policy, value)
        was_on = stepper.breaches >= policy.periods
        stepper.breaches = stepper.breaches + 1 if step else 0
        is_on = stepper.breaches >= policy.periods
        if is_on != was_on:
            self.say(now, "alarm on" if is_on else "alarm off", policy.name)
        if not step or not is_on:
            return
        if was_on and stepper.tried_at is not None and now - stepper.tried_at < 60:
            return
        stepper.tried_at = now
        wanted = rules.within(self.least, rules.stepped_count(self.running, policy, step.adjustment), self.most)
        # What adds to the running tasks never takes away from the desired ones, which may be ahead already.
        if wanted >= self.running:
            allowed = wanted > self.desired and rules.may_grow(
                now, stepper.acted_at, policy.cooldown_s, stepper.acted_to, wanted
            )
        else:
            allowed = wanted < self.desired and rules.may_shrink(now, stepper.acted_at, policy.cooldown_s)
        if allowed:
            stepper.acted_at, stepper.acted_to = now, wanted
            self.set_desired(now, wanted, policy.name)

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
        if self.model.node_cpu_target is None:
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
            self.at(now + pull_s + self.delays.task_start_s, self.tasks_start, cohort)

    def tasks_start(self, now: int, cohort: _Cohort) -> None:
        cohort.started = True
        self.running += cohort.count
        healthy = rules.first_check(now, self.model.health_check_interval_s, self.phase.checks)
        self.at(max(healthy, now), self.tasks_serve, cohort)
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
        self.at(now + 60, self.capacity_look)
        nodes, waiting = self.nodes.count, self.waiting
        settings = self.model.scaling.nodes
        busy = nodes - self.nodes.empty
        needed = rules.nodes_needed(nodes, busy, waiting, self.model.tasks_per_node, settings)
        wanted = rules.wanted_nodes(needed, settings.target_capacity_percent)
        self.low_looks = self.low_looks + 1 if wanted < nodes and not waiting else 0
        if wanted > nodes or self.low_looks >= 15:
            self.at(now + self.delays.reservation_lag_s, self.group_acts, wanted)

    def group_acts(self, now: int, wanted: int) -> None:
        size = self.nodes.count + self.booting
        wanted = rules.within(self.model.min_nodes, wanted, self.most_nodes)
        if wanted > size:
            if now - self.launched_at >= self.model.scaling.nodes.warmup_s:
                self.launch(now, wanted - size, "capacity provider")
        elif self.low_looks >= 15:
            if self.may_shrink_at > now:
                if self.may_shrink_at < now + 60:  # before the next look
                    self.at(self.may_shrink_at, self.group_acts, wanted)
                return
            gone = rules.group_scale_in(self.nodes.count, wanted, self.nodes.empty, self.delays.node_scale_in_most)
            if gone:
                self.may_shrink_at = now + self.delays.scale_in_step_s(gone)
                self.say(now, "nodes", "capacity provider", size, size - gone)
                self.nodes.remove(gone)
                self._note()

    def launch(self, now: int, count: int, policy: str) -> None:
        size = self.nodes.count + self.booting
        self.say(now, "nodes", policy, size, size + count)
        self.launched_at = now
        self.booting += count
        self.trace.launches += count
        self.at(now + self.delays.node_launch_s + self.delays.node_join_s, self.nodes_join, count)
        self._note()

    def nodes_join(self, now: int, count: int) -> None:
        self.booting -= count
        self.nodes.add(count)
        self.place(now, self.delays.image_pull_s)
        self._note()
        self.reconcile(now)

    def track_nodes(self, now: int, task_cpu: float) -> None:
        """A group that tracks its instances' average CPU, and knows nothing of tasks."""
        target, nodes = self.model.node_cpu_target, self.nodes.count
        if target is None or not nodes:
            return
        used = task_cpu / 100 * self.running * self.model.task_cpu_units
        metric = 100 * used / (nodes * self.model.node_cpu_units)
        self.node_high = self.node_high + 1 if metric > target else 0
        self.node_low = self.node_low + 1 if metric < target * rules.LOW_SHARE else 0
        if now - self.launched_at < _INSTANCE_WARMUP_S:
            return
        if self.node_high >= _HIGH_POINTS:
            wanted = min(self.most_nodes, rules.tracked_count(nodes, metric, target))
            if wanted > nodes + self.booting:
                self.launch(now, wanted - nodes - self.booting, "node CPU")
        elif self.node_low >= self.delays.low_minutes:
            wanted = rules.tracked_count_in(nodes, metric, target, self.delays.scale_in_share)
            gone = nodes - max(self.model.min_nodes, wanted)
            if gone > 0:
                self.say(now, "nodes", "node CPU", nodes, nodes - gone)
                self.lose(self.nodes.remove(gone))
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

    def say(self, now: int, what: str, policy: str, before: int = 0, after: int = 0) -> None:
        self.trace.events.append(Event(now, what, policy, before, after))

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
