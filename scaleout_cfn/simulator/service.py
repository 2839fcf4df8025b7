"""One service under its traffic: the queue before its tasks, the metrics of it, and the policies that see these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.decide import Happening, ServicePolicies, Source
from scaleout_cfn.simulator.model import Delays, Load, Model
from scaleout_cfn.simulator.policies import firings
from scaleout_cfn.simulator.rules import Clock
from scaleout_cfn.simulator.tasks import State, Tasks
from scaleout_cfn.simulator.traffic import Traffic

__all__ = ["Metrics", "Service", "Trace", "first_tasks"]


FORECAST_EVERY_H = 6
"""https://docs.aws.amazon.com/autoscaling/application/userguide/aas-predictive-scaling-how-it-works.html"""


@dataclass
class Trace:
    """What one run leaves of a service: requests, backlog and drops for each second, changes of counts, events.

    Nodes are those of its pool, whoever else is on them.
    """

    requests: NDArray[np.float64]
    backlog: NDArray[np.float64]
    dropped: NDArray[np.float64]
    states: list[State] = field(default_factory=list)
    events: list[Happening] = field(default_factory=list)
    node_seconds: float = 0.0
    types: dict[str, float] = field(default_factory=dict)  # shares of these by instance type; none where there is one
    stopped_seconds: float = 0.0  # of nodes that stand by in a warm pool: they cost their volumes
    task_seconds: float = 0.0  # from the placement of a task until it has gone: what Fargate bills
    launches: int = 0
    work: list[tuple[int, float]] = field(default_factory=list)  # from a time on, so many tasks' worth of work a second


@dataclass
class Metrics:
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


def _items(values: NDArray[np.float64]) -> memoryview[float]:
    return values.data.cast("B").cast("d")


class Service:
    """A service at work. This is the inner loop, where each layer between costs: plain numbers, and no getters."""

    def __init__(self, model: Model, load: Load, traffic: Traffic) -> None:
        self.model, self.load = model, load
        requests = np.ascontiguousarray(traffic.requests, dtype=np.float64)  # whoever counts in whole numbers, too
        # A view: lists of floats are four times as large, and NumPy's own items slow. Copied once there are retries.
        self.arrivals = _items(requests)
        self.end = len(self.arrivals)
        self.started: datetime | None = traffic.start
        self.comes_again = False  # whether anybody has tried again
        self.speed = 1.0  # of its tasks, of what they do at best
        self.queue = self.served = self.arrived = self.running_s = self.ready_s = self.task_s = 0.0
        self.trace = Trace(requests, np.zeros(self.end), np.zeros(self.end))
        self.cpu = model.cpu_at_most(load)
        self.work = -1.0

    def first_tasks(self) -> int:
        """As many tasks as the policies would keep at the first minute's traffic."""
        seconds = min(60, self.end)
        return first_tasks(self.model, self.load, sum(self.arrivals[:seconds]) / max(1, seconds))

    def begin(self, clock: Clock, delays: Delays, tasks: Tasks) -> None:
        """From now on policies look."""
        self.clock, self.tasks = clock, tasks
        scaling = self.model.scaling
        tasks.least, tasks.most = scaling.min_tasks, scaling.max_tasks
        self.trace.states = tasks.states
        self.policies = ServicePolicies(scaling, delays, self.trace.events, self.model.by_minute, self.model.backlog)
        for source in sorted(self.policies.sources):
            every, first = (60, 40) if source.period == 30 else (source.period, source.period)
            clock.at(rules.next_tick(first, every, clock.phase.metrics + first), self._period_ends, Metrics(source))
        self.bounds, self.forecast = (scaling.min_tasks, scaling.max_tasks), 0
        for time, least, most in firings(scaling.schedules, self.end, self.started, self.bounds):
            clock.at(time, self._bounds_change, (least, most))
        predictive = scaling.predictive
        if predictive and predictive.mode == "forecast-and-scale":
            self.share = delays.forecast_share
            self.loads: list[float] = []
            self.before = self._counted(predictive.metric)
            since = self.started.minute * 60 + self.started.second if self.started else 0
            self.hour_zero = -since % 3600
            clock.at(self.hour_zero, self._hour_begins, 0)
        tasks.note()

    def finish(self) -> None:
        """After the run."""
        self.trace.task_seconds = self.task_s

    def rate(self, start: int) -> float:
        """Requests a second that its tasks work off from `start` on, until a count changes somewhere in the run."""
        tasks = self.tasks
        work: float = tasks.ready
        if tasks.fresh or tasks.cold or tasks.version:
            work = tasks.at_work()
        if self.cpu and work:
            # Of tasks that start or drain the others get nothing: each has its part of what all of them could do.
            work *= tasks.places.work(tasks, *self.cpu) / tasks.placed
        work *= self.speed
        if work != self.work:
            self.work = work
            self.trace.work.append((start, work))
        return work * self.load.task_rps

    def advance(self, start: int, until: int) -> None:
        """The fluid queue from `start` on: all tasks as one server of their joint rate, left at the timeout."""
        arrivals, tasks = self.arrivals, self.tasks
        passed = until - start
        self.running_s += tasks.running * passed
        self.ready_s += tasks.ready * passed
        self.task_s += tasks.placed * passed
        rate = self.rate(start)
        if not self.queue and max(come := arrivals[start:until]) <= rate:
            taken = sum(come)
            self.served += taken
            self.arrived += taken
            return
        queue, served, dropped = self.queue, self.served, self.trace.dropped
        backlog: list[float] = []
        # A message waits for as long as it takes: that its time in the queue may end is not simulated.
        limit = inf if self.model.backlog else rate * self.load.timeout_s
        retry, patience = self.load.retry_share, max(1, ceil(self.load.timeout_s))
        for second in range(start, until):
            more = arrivals[second]
            if rate:
                self.arrived += more  # without a target the balancer answers 503 by itself
            queue += more
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
                    if not self.comes_again:
                        self.comes_again = True
                        self.trace.requests = np.array(self.trace.requests)  # the traffic is others', too
                        self.arrivals = arrivals = _items(self.trace.requests)
                    arrivals[again] += lost * retry
            backlog.append(queue)
        self.trace.backlog[start:until] = backlog
        self.queue, self.served = queue, served

    def values(self, metrics: Metrics) -> Mapping[str, float]:
        """The points of a period that ends now, and begins anew; none where no task ran, so that alarms keep their
        state and nothing scales."""
        running, ready = self.running_s - metrics.running, self.ready_s - metrics.ready
        served, arrived = self.served - metrics.served, self.arrived - metrics.arrived
        metrics.served, metrics.arrived = self.served, self.arrived
        metrics.running, metrics.ready = self.running_s, self.ready_s
        of_queue = {}
        if backlog := self.model.backlog:
            tasks, kept = self.tasks.running, self.queue
            if backlog.in_work:
                kept += served / metrics.source.period * self.load.workers / self.load.task_rps
            of_queue = {
                "backlog": kept / max(1, tasks) if backlog.of == "task" else kept,
                "messages": self.queue,
                "stranded": 0.0 if tasks else self.queue,
            }
        if not running:
            return of_queue
        return {
            **of_queue,
            "cpu": served / self.load.task_rps / running * self.load.cpu_at_capacity,
            "memory": self.load.memory_percent,
            "requests": arrived * 60 / ready if ready else 0.0,
            "pulse": arrived / running,
        }

    def _period_ends(self, now: int, metrics: Metrics) -> None:
        """A metric period is over; its point is seen at the alarm's first look after the publication."""
        source = metrics.source
        if source.period == 30:
            self.clock.at(now + (20 if metrics.first_half else 40), self._period_ends, metrics)
            metrics.first_half = not metrics.first_half
        else:
            self.clock.at(now + source.period, self._period_ends, metrics)
        values = self.values(metrics)
        if values:
            # Below a minute an alarm looks every 10 s.
            look = rules.next_tick(now + source.lag, 60 if source.period >= 60 else 10, self.clock.phase.alarms)
            self.clock.at(look, self._points_seen, (source, values))

    def _points_seen(self, now: int, seen: tuple[Source, Mapping[str, float]]) -> None:
        for wanted, policy in self.policies.decide(now, *seen, self.tasks):
            # "Scale-in processes are turned off while deployments are in progress":
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
            if wanted < self.tasks.desired and self.tasks.version:
                continue
            self._set_desired(now, wanted, policy)

    def _bounds_change(self, now: int, bounds: tuple[int, int]) -> None:
        self.bounds = bounds
        self._bound(now, "schedule")

    def _bound(self, now: int, policy: str) -> None:
        """Keep the tasks within their bounds, of which a forecast raises the lower one."""
        tasks, predictive = self.tasks, self.model.scaling.predictive
        least, tasks.most = self.bounds
        if self.forecast and predictive:
            tasks.most = rules.most_by_forecast(tasks.most, self.forecast, predictive.above_max_percent)
        tasks.least = max(least, min(self.forecast, tasks.most))
        wanted = rules.within(tasks.least, tasks.desired, tasks.most)
        if wanted != tasks.desired:
            self._set_desired(now, wanted, policy)

    # Predictive scaling. Hours are those of the clock; what is known is what this traffic has shown.

    def _counted(self, metric: str) -> float:
        """The sum that a forecast's load metric goes by, so far: percent of all tasks, or requests a minute."""
        if metric == "requests":
            return self.arrived * 60
        if metric == "memory":
            return self.running_s * self.load.memory_percent
        return self.served / self.load.task_rps * self.load.cpu_at_capacity

    def _hour_begins(self, now: int, hour: int) -> None:
        predictive = self.model.scaling.predictive
        assert predictive is not None
        counted = self._counted(predictive.metric)
        if hour:
            self.loads.append((counted - self.before) / 3600)
        self.before = counted
        self.forecast = self._forecast(hour)
        self._bound(now, "forecast")
        following = now + 3600
        self.clock.at(following - predictive.buffer_s, self._hour_is_near, hour + 1)
        self.clock.at(following, self._hour_begins, hour + 1)

    def _hour_is_near(self, now: int, hour: int) -> None:
        self.forecast = max(self.forecast, self._forecast(hour))
        self._bound(now, "forecast")

    def _forecast(self, hour: int) -> int:
        """The tasks that an hour is forecast to need, by what was known at the last of the forecasts, one each 6 h."""
        predictive = self.model.scaling.predictive
        assert predictive is not None
        load = rules.forecast(self.loads[: len(self.loads) // FORECAST_EVERY_H * FORECAST_EVERY_H], hour)
        return 0 if load is None else ceil(load * self.share / predictive.target - 1e-9)

    def _set_desired(self, now: int, wanted: int, policy: str) -> None:
        self.trace.events.append(Happening(now, "tasks", policy, self.tasks.desired, wanted))
        self.tasks.desired = wanted
        self.tasks.reconcile(now)
