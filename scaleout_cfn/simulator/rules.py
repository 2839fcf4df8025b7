"""The rules of the two scaling loops, each a small function with its source, and the clock that they go by.

Times are whole seconds. `service` is https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
and `cluster` is https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html where a docstring
names them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from math import ceil, floor
from typing import Any, NamedTuple

from scaleout_cfn.config.scaling import NodeScaling, StepAdjustment, StepScaling

PHASES = 12
"""Alarm phases that a result is taken over."""


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


class Clock:
    """Seconds from 0 to `end`, and what is to happen by time, in a second in the order in which it was asked for."""

    def __init__(self, end: int, phase: Phase) -> None:
        self.now, self.end, self.phase = 0, end, phase
        self.heap: list[tuple[int, int, Any, Any]] = []
        self.order = 0

    def at(self, time: int, what: Any, argument: Any = None) -> None:
        """Have `what` called with the time and the argument; never where that is after the end."""
        if time < self.end:
            self.order += 1
            heapq.heappush(self.heap, (time, self.order, what, argument))


MOST_NODES = 5000
"""Instances of a cluster, a quota that cannot be raised.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""
LOW_SHARE = 0.9
"""The low alarm of target tracking stands at this share of the target; from memory of made alarms, not documented."""
SPOT_NOTICE_S = 120
"""From the notice to the end of an instance or task on Spot.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html"""
MONTH_S = 30 * 86400
_FUZZ = 1e-9


def next_tick(time: int, every: int, offset: int = 0) -> int:
    """The first time of a grid at or after `time`: alarms look every minute, or every 10 s for periods below a minute.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
    """
    return time + (offset - time) % every


def within(low: int, count: int, high: int) -> int:
    """A count inside its bounds. Where they contradict each other the upper bound wins."""
    return min(max(count, low), high)


def tracked_count(running: int, metric: float, target: float) -> int:
    """Where target tracking scales out to: in proportion to the metric, rounded up, from the RUNNING count.

    service, "considerations": starting from what runs "prevents runaway" growth while tasks are being started.
    """
    return ceil(running * metric / target - _FUZZ)


def tracked_count_in(running: int, metric: float, target: float, share: float) -> int:
    """Where target tracking scales in to: "more gradually". The step is unpublished, so `share` of the way, 0 to 1.

    At least one task goes, and never more than the metric allows.
    """
    gap = running - tracked_count(running, metric, target)
    return running if gap <= 0 else running - max(1, floor(gap * share + _FUZZ))


def step_of(policy: StepScaling, metric: float) -> StepAdjustment | None:
    """The step in whose interval the metric lies; None where the threshold is not breached.

    Bounds are relative to the threshold; a lower bound belongs to its step, and the last step has no upper one.
    https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html
    """
    above = policy.when == "above"
    distance = metric - policy.threshold if above else policy.threshold - metric
    breached = None
    for step in policy.steps:
        if distance >= step.distance:
            breached = step
    return breached


def stepped_count(running: int, policy: StepScaling, adjustment: int) -> int:
    """Where an adjustment leads from so many running tasks.

    A percentage comes to a whole number of tasks towards zero, but one at least: 12.7 is 12, 0.67 is 1, -0.58 is -1
    and -6.67 is -6; then at least the minimum adjustment magnitude. No percentage of no task is more than none.
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-simple-step.html (Auto Scaling of EC2; taken to
    hold here) and
    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_StepScalingPolicyConfiguration.html
    """
    if policy.adjustment_type == "ExactCapacity":
        return adjustment
    change = adjustment
    if policy.adjustment_type == "PercentChangeInCapacity":
        product = abs(running * adjustment)
        size = max(product // 100, 1, policy.min_adjustment_magnitude) if product else 0
        change = size if adjustment > 0 else -size
    return max(0, running + change)


class ScaleOut(NamedTuple):
    """What a policy did at a time: from so many tasks to so many. Those of one cooldown are one."""

    at: int
    before: int
    to: int


def scaled_out(now: int, last: ScaleOut | None, cooldown_s: int, running: int, wanted: int) -> int:
    """Where a policy that asks for `wanted` from `running` tasks on leads.

    During the cooldown of its last scale-out what that one added is part of this one: after 2 more a step of 3 more
    adds 1, and what is not larger adds none. The example is of
    https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html#step-scaling-cooldown
    and target tracking has the same words.
    """
    if last is None or now - last.at >= cooldown_s:
        return wanted
    further = wanted - min(max(0, running - last.before), last.to - last.before)
    return further if further > last.to else 0


def may_shrink(now: int, since: int | None, cooldown_s: int) -> bool:
    """Whether a policy may scale in: its scale-in cooldown blocks it, which time ends, and a scale-out. service"""
    return since is None or now - since >= cooldown_s


def nodes_needed(nodes: int, busy: int, waiting: Sequence[tuple[int, int]], scaling: NodeScaling) -> int:
    """M of CapacityProviderReservation = M / N x 100: cluster, and API_ManagedScaling for the step sizes.

    `waiting` are tasks of a size that wait, and how many of these a node holds. With none: the nodes that run a task.
    With some: all nodes, and the least number more that would hold the size that needs most of them, kept within the
    step sizes (https://aws.amazon.com/blogs/containers/deep-dive-on-amazon-ecs-cluster-auto-scaling/). From zero nodes
    the metric is 200, so M counts 2: https://github.com/aws/containers-roadmap/issues/1716
    """
    if not waiting:
        return busy
    if not nodes:
        return 2
    more = max(ceil(tasks / per_node) for tasks, per_node in waiting)
    return nodes + within(scaling.min_step, more, scaling.max_step)


def wanted_nodes(needed: int, target_percent: int) -> int:
    """The group's size at which the reservation meets its target: ceil(M / target). cluster"""
    return ceil(needed * 100 / target_percent - _FUZZ)


def forecast(loads: Sequence[float], hour: int) -> float | None:
    """The load of an hour by those of the same hour of former days, of which `loads` are known, the oldest first: their
    mean, over two weeks at most, and from a day on. AWS's own model is not published, but what it looks at is.

    https://docs.aws.amazon.com/autoscaling/application/userguide/aas-predictive-scaling-how-it-works.html
    """
    if len(loads) < 24:
        return None
    former = [loads[before] for before in range(hour - 24, max(-1, hour - 14 * 24 - 1), -24) if before < len(loads)]
    return sum(former) / len(former) if former else None


def most_by_forecast(most: int, wanted: int, above_percent: int) -> int:
    """The most there may be where a forecast asks for so many: as it is, or with a buffer above the forecast in percent
    where that is more (-1 for none).

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredictiveScalingPolicyConfiguration.html
    """
    return most if above_percent < 0 else max(most, ceil(wanted * (100 + above_percent) / 100 - _FUZZ))


def work_of_node(tasks: int, own: float, most: float, left: float) -> float:
    """How many tasks' worth of work so many tasks of one node do, of which each needs `own` CPU units for it, and uses
    up to `most` where others leave so many of the node: a container's CPU is shares, and idle CPU is anybody's.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
    """
    return min(tasks * most, left) / own


def standing_by(least: int, prepared: int, size: int) -> int:
    """How many nodes a warm pool holds beside a group of so many: what is missing to the prepared ones, and no fewer
    than its least.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html#warm-pool-core-concepts
    """
    return max(least, prepared - size)


def group_scale_in(nodes: int, wanted: int, empty: int, most: float) -> int:
    """How many nodes one scale-in step removes: empty ones only, and at most a share of the group.

    The share is a half since September 2022, and was 5 % before:
    https://aws.amazon.com/blogs/containers/faster-scaling-in-for-amazon-ecs-cluster-auto-scaling/
    """
    return max(0, min(nodes - wanted, empty, max(1, floor(nodes * most))))


def failures_allowed(breaker: tuple[str, float], desired: int) -> float:
    """Failed tasks at which the circuit breaker takes a version back: a count, or a percentage of the desired tasks,
    which is at least 3 and at most 200 where it is bounded.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ThresholdConfiguration.html and
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeploymentCircuitBreaker.html
    """
    kind, value = breaker
    if kind == "COUNT":
        return value
    allowed = ceil(desired * value / 100 - _FUZZ)
    return within(3, allowed, 200) if kind == "BOUNDED_PERCENT" else max(1, allowed)


def first_check(ready: int, interval_s: int, offset: int) -> int:
    """When a new target becomes healthy: at its first check, if that passes.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    """
    return next_tick(ready, interval_s, offset % interval_s)


def share_evenly(count: int, tasks: Sequence[int], room: Sequence[int]) -> list[int]:
    """Spread placement: so many tasks over zones, each to the zone with the fewest, as far as there is room.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html
    """
    count = min(count, sum(room))
    if len(tasks) == 1:
        return [count]
    if len(tasks) == 2:  # by far the most common, and asked for at every start of a task
        first = min(max(0, (count + tasks[1] - tasks[0] + 1) // 2), count, room[0])
        first = max(first, count - room[1])
        return [first, count - first]
    zones = list(zip(tasks, room, strict=True))
    low = min(tasks)
    high = max(tasks) + count
    while low < high:  # the highest level to which all can be raised
        level = (low + high + 1) // 2
        need = 0
        for have, space in zones:
            if have < level:
                need += level - have if level - have < space else space
        low, high = (level, high) if need <= count else (low, level - 1)
    given = [min(max(0, low - have), space) for have, space in zones]
    left = count - sum(given)
    for index, (have, space) in enumerate(zones):
        if left and given[index] < space and have + given[index] == low:
            given[index] += 1
            left -= 1
    return given
