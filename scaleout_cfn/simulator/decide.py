"""What the two loops decide: the states of their alarms, and what counts follow from them. `run.py` carries it out.

The service's policies see points of metrics and ask for a number of tasks; the capacity provider, or a group that
tracks its own CPU, sees instances and asks for more or fewer of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

from scaleout_cfn.config.scaling import Scaling, StepAdjustment, StepScaling, TargetTracking, pulse_tracking
from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.model import Backlog, Delays, NodePool
from scaleout_cfn.simulator.placement import Nodes

HIGH_POINTS = 3  # of 3: https://github.com/aws/containers-roadmap/issues/1208
_LOW_LOOKS = 15  # the low alarm of a capacity provider: https://github.com/aws/containers-roadmap/issues/638
_REPEAT_S = 60  # "Auto Scaling actions" of an alarm repeat once a minute while it is on (AlarmThatSendsEmail)
_INSTANCE_WARMUP_S = 300  # of a group that tracks its own CPU, by default
_LONG_AGO = -1_000_000


class Source(NamedTuple):
    """Points of a metric as an alarm sees them: one each period, so many seconds after its end."""

    period: int
    lag: int


class TaskCounts(Protocol):
    """The tasks as they are while policies look at them, and the bounds of their number."""

    running: int
    desired: int
    least: int
    most: int


class NodeCounts(Protocol):
    """Nodes that tasks may be on, and those of them that have none."""

    @property
    def count(self) -> int: ...

    @property
    def empty(self) -> int: ...


class Happening(NamedTuple):
    """Something that happened at `time` (s): `what` to `policy`, from a count to another where counts changed."""

    time: int
    what: str
    policy: str
    before: int = 0
    after: int = 0


@dataclass
class _Tracker:
    """A target tracking policy at work: how many points in a row were high and low, and its last action."""

    name: str
    policy: TargetTracking
    source: Source
    low_points: int
    high: int = 0
    low: int = 0
    value: float = 0.0
    out: rules.ScaleOut | None = None
    tried_at: int | None = None

    def judge(self, now: int, value: float, events: list[Happening]) -> None:
        target = self.policy.target
        self.value = value
        high, low = value > target, value < target * rules.LOW_SHARE
        was_high, was_low = self.high >= HIGH_POINTS, self.low >= self.low_points
        self.high = self.high + 1 if high else 0
        self.low = self.low + 1 if low else 0
        if (self.high >= HIGH_POINTS) != was_high:
            events.append(Happening(now, "alarm high " + ("off" if was_high else "on"), self.name))
        if (self.low >= self.low_points) != was_low:
            events.append(Happening(now, "alarm low " + ("off" if was_low else "on"), self.name))


@dataclass
class _Stepper:
    """A step policy at work: how many points in a row breached, when it last tried, and its last action."""

    policy: StepScaling
    source: Source
    breaches: int = 0
    #: The points that its periods are made of, where a period is of more than one.
    points: deque[float] = field(default_factory=deque)
    tried_at: int | None = None
    out: rules.ScaleOut | None = None
    in_at: int | None = None


class ServicePolicies:
    """The policies of a service, which move the number of its tasks. What their alarms do is noted in `events`.

    `by_minute` are metrics that come every 20 s, of which target tracking has the plain type: its alarms have points of
    a minute, as far as is known.
    """

    def __init__(
        self,
        scaling: Scaling,
        delays: Delays,
        events: list[Happening],
        by_minute: Collection[str] = (),
        backlog: Backlog | None = None,
    ) -> None:
        fast = scaling.high_resolution
        # CPU and memory: an alarm of any period sees metrics of 20 s as early as they come.
        lag = delays.metric_lag_20_s if fast else delays.metric_lag_60_s
        own, minutes = Source(20 if fast else 60, lag), Source(60, lag)
        tracked = [
            ("cpu", scaling.cpu, minutes if "cpu" in by_minute else own),
            ("memory", scaling.memory, minutes if "memory" in by_minute else own),
            # The balancer has no 20 s metrics.
            ("requests", scaling.requests, Source(60, delays.balancer_lag_s)),
        ]
        if scaling.pulse:
            tracked.append(("pulse", pulse_tracking(scaling.pulse), Source(60, delays.pulse_lag_s)))
        if backlog:
            tracked.append(("backlog", backlog.tracking, Source(60, delays.queue_lag_s)))
        self.trackers = [
            _Tracker(
                name,
                policy,
                source,
                (delays.fast_low_minutes if source.period < 60 else delays.low_minutes) * 60 // source.period,
            )
            for name, policy, source in tracked
            if policy.enabled
        ]
        self.able = [tracker for tracker in self.trackers if tracker.policy.scale_in]
        lags = {"pulse": delays.pulse_lag_s, "messages": delays.queue_lag_s, "backlog": delays.queue_lag_s}
        self.steppers = [
            _Stepper(policy, Source(_looked_at(policy, own.period), lags.get(policy.metric, lag)))
            for policy in scaling.step_policies
        ]
        if backlog and backlog.first_cooldown_s is not None:
            first = StepScaling(
                name="FirstTask",
                metric=cast(Any, "stranded"),  # no config has it
                threshold=1e-9,  # above 0
                cooldown_s=backlog.first_cooldown_s,
                steps=(StepAdjustment(adjustment=1),),
            )
            self.steppers.append(_Stepper(first, Source(60, delays.queue_lag_s)))
        self.share = delays.scale_in_share
        self.in_at: int | None = None
        self.events = events

    @property
    def sources(self) -> set[Source]:
        """What the alarms look at."""
        return {tracker.source for tracker in self.trackers} | {stepper.source for stepper in self.steppers}

    def decide(
        self, now: int, source: Source, values: Mapping[str, float], tasks: TaskCounts
    ) -> Iterator[tuple[int, str]]:
        """The numbers of tasks that are asked for on seeing a point, and by which policy.

        Each is to be carried out before the next is asked for: `tasks` is read anew.
        """
        high = False
        for tracker in self.trackers:
            if tracker.source == source and tracker.name in values:
                tracker.judge(now, values[tracker.name], self.events)
            high = high or tracker.high >= HIGH_POINTS
        # Most points move nothing, and there are thousands a day.
        if high:
            yield from self._out(now, source, tasks)
        elif self.able and all(tracker.low >= tracker.low_points for tracker in self.able):
            yield from self._in(now, tasks)
        for stepper in self.steppers:
            if stepper.source == source and stepper.policy.metric in values:
                yield from self._step(now, stepper, values[stepper.policy.metric], tasks)

    def _out(self, now: int, source: Source, tasks: TaskCounts) -> Iterator[tuple[int, str]]:
        """Out if any policy asks for it. The actions of an alarm repeat once a minute while it is on."""
        for tracker in self.trackers:
            if tracker.source != source or tracker.high < HIGH_POINTS:
                continue
            if tracker.high > HIGH_POINTS and tracker.tried_at is not None and now - tracker.tried_at < _REPEAT_S:
                continue
            tracker.tried_at = now
            wanted = rules.tracked_count(tasks.running, tracker.value, tracker.policy.target)
            if wanted := self._grown(now, tracker, tracker.policy.scale_out_cooldown_s, tasks, wanted, tasks.running):
                yield wanted, tracker.name

    def _grown(
        self, now: int, policy: _Tracker | _Stepper, cooldown_s: int, tasks: TaskCounts, wanted: int, running: int
    ) -> int:
        """How many tasks a policy brings that wants so many, from `running` on; 0 where it brings none.

        Any scale-out ends the cooldowns of scale-in: API_TargetTrackingScalingPolicyConfiguration, ScaleInCooldown.
        """
        wanted = rules.within(tasks.least, rules.scaled_out(now, policy.out, cooldown_s, running, wanted), tasks.most)
        if wanted <= tasks.desired:
            return 0
        going_on = policy.out and now - policy.out.at < cooldown_s
        policy.out = rules.ScaleOut(now, policy.out.before if policy.out and going_on else tasks.desired, wanted)
        self.in_at = None
        for stepper in self.steppers:
            stepper.in_at = None
        return wanted

    def _in(self, now: int, tasks: TaskCounts) -> Iterator[tuple[int, str]]:
        """In, where every policy that may scale in is low and none is high, and to the most that any of them wants.

        From what runs, as out: tasks that wait for a place that never comes block nothing. AWS holds scale-in back
        during deployments only:
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/troubleshoot-service-auto-scaling.html
        """
        if not all(rules.may_shrink(now, self.in_at, tracker.policy.scale_in_cooldown_s) for tracker in self.able):
            return
        wanted = max(
            rules.tracked_count_in(tasks.running, tracker.value, tracker.policy.target, self.share)
            for tracker in self.able
        )
        wanted = rules.within(tasks.least, wanted, tasks.most)
        if wanted < tasks.desired:
            self.in_at = now
            yield wanted, "+".join(tracker.name for tracker in self.able)

    def _step(self, now: int, stepper: _Stepper, value: float, tasks: TaskCounts) -> Iterator[tuple[int, str]]:
        policy = stepper.policy
        was_on = stepper.breaches >= policy.periods
        if policy.period_s > 60:
            step, stepper.breaches = _over_periods(stepper, value)
        else:
            step = rules.step_of(policy, value)
            stepper.breaches = stepper.breaches + 1 if step else 0
        is_on = stepper.breaches >= policy.periods
        if is_on != was_on:
            self.events.append(Happening(now, "alarm on" if is_on else "alarm off", policy.name))
        if not step or not is_on:
            return
        if was_on and stepper.tried_at is not None and now - stepper.tried_at < _REPEAT_S:
            return
        stepper.tried_at = now
        wanted = rules.stepped_count(tasks.running, policy, step.adjustment)
        # What adds to the running tasks never takes away from the desired ones, which may be ahead already.
        bounded = rules.within(tasks.least, wanted, tasks.most)
        if bounded >= tasks.running:
            running = 0 if policy.adjustment_type == "ExactCapacity" else tasks.running
            if wanted := self._grown(now, stepper, policy.cooldown_s, tasks, wanted, running):
                yield wanted, policy.name
        elif bounded < tasks.desired and rules.may_shrink(now, stepper.in_at, policy.cooldown_s):
            stepper.in_at = now
            yield bounded, policy.name


def _looked_at(policy: StepScaling, resolution: int) -> int:
    """How often an alarm gets a point: once a period, but of 10 and 20 s as often as its metric comes, and of several
    minutes every minute."""
    finest = {"pulse": 10, "cpu": resolution, "memory": resolution}.get(policy.metric, 60)
    return min(60, policy.period_s if policy.period_s >= 30 else max(policy.period_s, finest))


def _over_periods(stepper: _Stepper, value: float) -> tuple[StepAdjustment | None, int]:
    """The step of the last period, and how many periods in a row breached, where a period is of several minutes.

    It is looked at every minute, and the periods slide with that: the default of
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation-window.html
    """
    policy, points, minutes = stepper.policy, stepper.points, stepper.policy.period_s // 60
    points.append(value)
    if len(points) > minutes * policy.periods:
        points.popleft()
    newest_first = list(reversed(points))
    steps = [
        rules.step_of(policy, sum(newest_first[at : at + minutes]) / minutes)
        for at in range(0, len(points) - minutes + 1, minutes)
    ]
    breaches = next((index for index, step in enumerate(steps) if step is None), len(steps))
    return steps[0] if steps else None, breaches


class CapacityProvider:
    """Managed scaling: as many nodes as the tasks need."""

    name = "capacity provider"

    def __init__(self, pool: NodePool, delays: Delays) -> None:
        self.pool, self.delays, self.settings = pool, delays, pool.scaling
        self.most = min(pool.max_nodes, rules.MOST_NODES)
        self.launched_at = _LONG_AGO
        self.may_shrink_at = 0
        self.low_looks = 0

    def look(self, nodes: NodeCounts, waiting: Sequence[tuple[int, int]]) -> int | None:
        """Once a minute: the size that the reservation asks for; None while no alarm is on.

        `waiting` are tasks of a size that wait, and how many of these a node holds.
        """
        needed = rules.nodes_needed(nodes.count, nodes.count - nodes.empty, waiting, self.settings)
        target = self.settings.target_capacity_percent
        wanted = rules.wanted_nodes(needed, target)
        # The alarm is of the reservation, whether a node fewer would do or not:
        # https://github.com/aws/containers-roadmap/issues/900
        self.low_looks = self.low_looks + 1 if 100 * needed < target * nodes.count else 0
        return wanted if wanted > nodes.count or self.low_looks >= _LOW_LOOKS else None

    def act(self, now: int, wanted: int, nodes: NodeCounts, booting: int) -> tuple[int, int | None]:
        """Nodes to launch, or to remove when negative; and when to ask again where that is before the next look."""
        size = nodes.count + booting
        wanted = rules.within(self.pool.min_nodes, wanted, self.most)
        if wanted > size:
            if now - self.launched_at < self.settings.warmup_s:
                return 0, None
            self.launched_at = now
            return wanted - size, None
        if self.low_looks < _LOW_LOOKS:
            return 0, None
        if self.may_shrink_at > now:
            return 0, self.may_shrink_at if self.may_shrink_at < now + 60 else None
        gone = rules.group_scale_in(nodes.count, wanted, nodes.empty, self.delays.node_scale_in_most)
        if gone:
            self.may_shrink_at = now + self.delays.scale_in_step_s(gone)
        return -gone, None


class Lasting:
    """How many of something there have been all the time for so many seconds, as one who looks now and then sees it."""

    def __init__(self, after_s: int) -> None:
        self.after_s = after_s
        self.seen: deque[tuple[int, int]] = deque()

    def look(self, now: int, count: int) -> int:
        """So many are there now; returns how many have lasted."""
        self.seen.append((now, count))
        while len(self.seen) > 1 and self.seen[1][0] <= now - self.after_s:
            self.seen.popleft()
        return min(many for _, many in self.seen) if self.seen[0][0] <= now - self.after_s else 0

    def gone(self, count: int) -> None:
        """So many of those that have lasted are there no more."""
        self.seen = deque((time, max(0, many - count)) for time, many in self.seen)


class NodeTracking:
    """A group that tracks its instances' average CPU, and knows nothing of tasks."""

    name = "node CPU"

    def __init__(self, pool: NodePool, delays: Delays, target: float) -> None:
        self.pool, self.delays, self.target = pool, delays, target
        self.source = Source(60, delays.metric_lag_60_s)
        self.most = min(pool.max_nodes, rules.MOST_NODES)
        self.launched_at = _LONG_AGO
        self.high = self.low = 0

    def act(self, now: int, used: float, nodes: Nodes, booting: int) -> int:
        """Nodes to launch, or to remove when negative, where tasks use so many CPU units."""
        if not nodes.count:
            return 0
        metric = 100 * used / (nodes.count * self.pool.cpu_units)
        self.high = self.high + 1 if metric > self.target else 0
        self.low = self.low + 1 if metric < self.target * rules.LOW_SHARE else 0
        if now - self.launched_at < _INSTANCE_WARMUP_S:
            return 0
        if self.high >= HIGH_POINTS:
            more = min(self.most, rules.tracked_count(nodes.count, metric, self.target)) - nodes.count - booting
            if more > 0:
                self.launched_at = now
                return more
        elif self.low >= self.delays.low_minutes:
            wanted = rules.tracked_count_in(nodes.count, metric, self.target, self.delays.scale_in_share)
            return -max(0, nodes.count - max(self.pool.min_nodes, wanted))
        return 0
