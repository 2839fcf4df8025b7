"""From the scaling policies, alarms and schedules of templates to those of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn, cast
from zoneinfo import ZoneInfo

import msgspec

from scaleout_cfn.config.pulse import METRIC, NAMESPACE, LogPulse
from scaleout_cfn.config.scaling import Predictive, Scaling, Schedule, StepAdjustment, StepScaling, TargetTracking
from scaleout_cfn.errors import UsageError
from scaleout_cfn.schedules import Rate, parsed, problem_of_timezone
from scaleout_cfn.schedules import firings as fired
from scaleout_cfn.simulator.model import Backlog
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place
from scaleout_cfn.templates.together import ways_to_set
from scaleout_cfn.templates.values import as_number

_SUCH_AS = {"Cpu": 256, "InstanceType": "t3.small", "Memory": 512, "Schedule": "cron(0 8 * * ? *)", "TargetValue": 50}


def refuse(place: Place, what: str, way_out: str) -> NoReturn:
    """Raise UsageError: where, what there is, and what would do."""
    raise UsageError(f"{place.stack.file}: {place.logical_id}: {what}; that cannot be simulated: {way_out}")


def number(place: Place, *path: str, default: float | None = None) -> float:
    """A number at a path of properties. Raises UsageError where none is there that is known."""
    value = place.get(*path)
    if value is None and default is not None:
        return default
    found = as_number(value)
    if found is None:
        what = "missing" if value is None else "no number that is known before a deployment"
        refuse(place, f"{'.'.join(path)} is {what}", way_to_set(place, *path))
    return found


def whole(place: Place, *path: str, default: int | None = None) -> int:
    """The same as a whole number."""
    return int(number(place, *path, default=default))


def way_to_set(place: Place, *path: str) -> str:
    """How a value at a path of properties that is not known can be given."""
    node: Any = place.node
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    names = ways_to_set(place.stack, node)
    if not names:
        return f"write it into the template, as in {path[-1]}: {_SUCH_AS.get(path[-1], 2)}"
    return "give it by " + " or ".join(f"--parameter {name}=VALUE" for name in names[:3])


def plain(value: float) -> float:
    """60 for 60.0: equal, and the same in every text."""
    return int(value) if value == int(value) else value


_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_WAITING = "ApproximateNumberOfMessagesVisible"
_IN_WORK = "ApproximateNumberOfMessagesNotVisible"
_TRACKED = {
    "ECSServiceAverageCPUUtilization": "cpu",
    "ECSServiceAverageMemoryUtilization": "memory",
    "ALBRequestCountPerTarget": "requests",
}
_ADJUSTMENTS: dict[Any, Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]] = {
    "ChangeInCapacity": "ChangeInCapacity",
    "PercentChangeInCapacity": "PercentChangeInCapacity",
    "ExactCapacity": "ExactCapacity",
}
_METRICS: dict[Any, Literal["cpu", "memory", "pulse"]] = {
    ("AWS/ECS", "CPUUtilization"): "cpu",
    ("AWS/ECS", "MemoryUtilization"): "memory",
    (NAMESPACE, METRIC): "pulse",
}
# The same metrics as policies name them that have no predefined one.
_SAME = {
    ("AWS/ECS", "CPUUtilization"): "cpu",
    ("AWS/ECS", "MemoryUtilization"): "memory",
    ("AWS/ApplicationELB", "RequestCountPerTarget"): "requests",
}
_TO_SEE_THE_REST = "to see what the rest of the set does, take it out of a copy of the templates"


def policies_of(stacks: StackSet, target: Place) -> list[Place]:
    """The policies that name a scalable target, or what it scales."""
    return [
        policy
        for policy in stacks.of_type(_POLICY)
        if policy.get("ScalingTargetId") == target.symbol
        or (policy.get("ResourceId") is not None and policy.get("ResourceId") == target.get("ResourceId"))
    ]


def fixed_at(tasks: int) -> Scaling:
    """So many tasks whatever comes: what a service without a scalable target has."""
    unused = Scaling()
    return msgspec.structs.replace(
        unused, min_tasks=tasks, max_tasks=tasks, high_resolution=False, cpu=_off(unused.cpu)
    )


def scaling_of(stacks: StackSet, service: Place, target: Place) -> tuple[Scaling, tuple[str, ...], list[str]]:
    """What moves the tasks of a service, which metrics of 20 s are tracked by the minute, and what is left out.

    Raises UsageError for what is not simulated.
    """
    tracking: dict[str, TargetTracking] = {}
    steps: list[StepScaling] = []
    plain_ones: list[str] = []
    fast, pulse, predictive = False, None, None
    notes: list[str] = []
    for policy in policies_of(stacks, target):
        if _by_messages(policy) or _to_the_first(stacks, policy):
            continue  # `backlog_of`
        if policy.get("PolicyType") == "TargetTrackingScaling" or policy.get("PolicyType") is None:
            way = "TargetTrackingScalingPolicyConfiguration"
            metric = policy.get(way, "PredefinedMetricSpecification", "PredefinedMetricType")
            own = policy.inner(way, "CustomizedMetricSpecification")
            if (own.get("Namespace"), own.get("MetricName")) == (NAMESPACE, METRIC):
                pulse = LogPulse(
                    target_rps=plain(number(policy, way, "TargetValue")),
                    scale_out_cooldown_s=whole(policy, way, "ScaleOutCooldown", default=300),
                    scale_in_cooldown_s=whole(policy, way, "ScaleInCooldown", default=300),
                )
                continue
            base = metric.removesuffix("HighResolution") if isinstance(metric, str) else metric
            tracked = _TRACKED.get(base) or _SAME.get((own.get("Namespace"), own.get("MetricName")))
            if tracked is None:
                refuse(policy, f"it tracks {metric or _metric_of_its_own(own)}, not one of {', '.join(_TRACKED)}",
                       _TO_SEE_THE_REST)  # fmt: skip
            fast = fast or base != metric
            if base == metric and tracked != "requests":
                plain_ones.append(tracked)
            tracking[tracked] = TargetTracking(
                enabled=True,
                target=plain(number(policy, way, "TargetValue")),
                scale_out_cooldown_s=whole(policy, way, "ScaleOutCooldown", default=300),
                scale_in_cooldown_s=whole(policy, way, "ScaleInCooldown", default=300),
                scale_in=policy.get(way, "DisableScaleIn") not in (True, "true"),
            )
        elif policy.get("PolicyType") == "StepScaling":
            steps += _steps(stacks, policy, notes)
        elif policy.get("PolicyType") == "PredictiveScaling":
            predictive = _predictive(policy)
            if predictive.mode == "forecast-only":
                notes.append("Its predictive scaling only forecasts, and changes nothing.")
            else:
                notes.append(
                    "Its predictive scaling forecasts an hour as the mean of the same hour of former days of the"
                    " traffic, of one at least and 14 at most, and adds tasks by that: what AWS makes of them is not"
                    " published."
                )
        else:
            refuse(policy, f"it is of type {policy.get('PolicyType')}",
                   "services take TargetTrackingScaling, StepScaling and PredictiveScaling")  # fmt: skip
    least, most = whole(target, "MinCapacity"), whole(target, "MaxCapacity")
    if least > most:
        refuse(target, f"its MinCapacity, {least}, is above its MaxCapacity, {most}", "give a MaxCapacity as large")
    monitoring = service.each("Monitoring", "MetricConfigurations")
    fast = fast or any(item.number("ResolutionSeconds") == 20 for item in monitoring)
    # A policy that is not there keeps the numbers that a config has for it, unused.
    unused = Scaling()
    scaling = Scaling(
        min_tasks=least,
        max_tasks=most,
        high_resolution=fast,
        cpu=tracking.get("cpu", _off(unused.cpu)),
        memory=tracking.get("memory", _off(unused.memory)),
        requests=tracking.get("requests", _off(unused.requests)),
        pulse=pulse,
        predictive=predictive,
        step_policies=tuple(steps),
        schedules=tuple(_schedule(action) for action in target.each("ScheduledActions")),
    )
    return scaling, tuple(plain_ones) if fast else (), notes


_FORECAST: dict[Any, Literal["cpu", "memory", "requests"]] = {
    "ECSServiceCPUUtilization": "cpu",
    "ECSServiceMemoryUtilization": "memory",
    "ALBRequestCount": "requests",
}
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-applicationautoscaling-scalingpolicy-predictivescalingpredefinedmetricpair.html"""


def _predictive(policy: Place) -> Predictive:
    way = "PredictiveScalingPolicyConfiguration"
    first = next(iter(policy.each(way, "MetricSpecifications")), None)
    asked = first.get("PredefinedMetricPairSpecification", "PredefinedMetricType") if first else None
    metric = _FORECAST.get(asked)
    if first is None or metric is None:
        what = "it forecasts a metric of its own, not CPU, memory or the balancer's requests"
        refuse(policy, what, _TO_SEE_THE_REST)
    acts = policy.get(way, "Mode") == "ForecastAndScale"
    raises = policy.get(way, "MaxCapacityBreachBehavior") == "IncreaseMaxCapacity"
    return Predictive(
        mode="forecast-and-scale" if acts else "forecast-only",
        metric=metric,
        target=number(first, "TargetValue"),
        buffer_s=whole(policy, way, "SchedulingBufferTime", default=300),
        above_max_percent=whole(policy, way, "MaxCapacityBuffer", default=0) if raises else -1,
    )


def backlog_of(stacks: StackSet, target: Place) -> Backlog | None:
    """What keeps the messages of an SQS queue, by running tasks where metric math divides them, and the step to the
    first task; there, too, where steps alone go by them.

    https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
    """
    way, tracking, first = "TargetTrackingScalingPolicyConfiguration", None, None
    of: Literal["task", "queue"] = "task"
    in_work, by_steps = True, False
    for policy in policies_of(stacks, target):
        if _by_messages(policy):
            tracking = TargetTracking(
                enabled=True,
                target=plain(number(policy, way, "TargetValue")),
                scale_out_cooldown_s=whole(policy, way, "ScaleOutCooldown", default=300),
                scale_in_cooldown_s=whole(policy, way, "ScaleInCooldown", default=300),
                scale_in=policy.get(way, "DisableScaleIn") not in (True, "true"),
            )
            own = policy.inner(way, "CustomizedMetricSpecification")
            of = "task" if _divides(own.each("Metrics")) else "queue"
            in_work = _counts(own, _IN_WORK)
        elif _to_the_first(stacks, policy):
            first = whole(policy, "StepScalingPolicyConfiguration", "Cooldown", default=300)
        elif policy.get("PolicyType") == "StepScaling":
            by_steps = by_steps or any(_counts(alarm, _WAITING) for alarm in _alarms_on(stacks, policy))
    if tracking is None and not by_steps:
        return None
    return Backlog(tracking or TargetTracking(enabled=False, target=1), first, of, in_work)


def _by_messages(policy: Place) -> bool:
    """Whether it tracks the messages of a queue: all, or by something, which is taken to be the tasks that run."""
    return _counts(policy.inner("TargetTrackingScalingPolicyConfiguration", "CustomizedMetricSpecification"), _WAITING)


def _counts(asked: Place, name: str) -> bool:
    """Whether a metric, or one of metric math, is a number of messages of SQS."""
    queries = asked.each("Metrics")
    return any(
        metric.get("MetricName") == name for metric in (asked, *(q.inner("MetricStat", "Metric") for q in queries))
    )


def _divides(queries: Sequence[Place]) -> bool:
    return any("/" in str(query.get("Expression") or "") for query in queries)


def _to_the_first(stacks: StackSet, policy: Place) -> bool:
    """Whether a step adds a task where messages wait and none runs: an alarm of metric math at a threshold of 0."""
    return policy.get("PolicyType") == "StepScaling" and any(
        alarm.each("Metrics") and _counts(alarm, _WAITING) and alarm.number("Threshold") == 0
        for alarm in _alarms_on(stacks, policy)
    )


def _alarms_on(stacks: StackSet, policy: Place) -> list[Place]:
    return [
        alarm
        for alarm in stacks.of_type("AWS::CloudWatch::Alarm")
        if policy.symbol in [getattr(action, "bare", action) for action in alarm.items("AlarmActions") or []]
    ]


def _metric_of_its_own(own: Place) -> str:
    name = "/".join(part for part in (own.get("Namespace"), own.get("MetricName")) if isinstance(part, str))
    return f"a metric of its own ({name or 'made by metric math' if own.node else 'not known'})"


def _steps(stacks: StackSet, policy: Place, notes: list[str]) -> list[StepScaling]:
    """A step policy by the alarm that acts on it; none where none does, which is noted."""
    way = "StepScalingPolicyConfiguration"
    kind = policy.get(way, "AdjustmentType")
    if kind not in _ADJUSTMENTS:
        refuse(policy, f"its adjustments are {kind}", f"AWS takes {', '.join(_ADJUSTMENTS)}")
    watching = _alarms_on(stacks, policy)
    if not watching:
        notes.append(f"No alarm among the templates acts on {policy.logical_id}, so that it never does anything.")
        return []
    if len(watching) > 1:
        refuse(policy, f"{len(watching)} alarms act on it", "give each alarm a policy of its own")
    (alarm,) = watching
    above = str(alarm.get("ComparisonOperator")).startswith("Greater")
    bound = "MetricIntervalLowerBound" if above else "MetricIntervalUpperBound"
    steps = []
    for item in policy.each(way, "StepAdjustments"):
        adjustment = item.number("ScalingAdjustment")
        if adjustment is None:
            refuse(policy, "a step has no adjustment that is known before a deployment",
                   way_to_set(item, "ScalingAdjustment"))  # fmt: skip
        steps.append(StepAdjustment(distance=plain(abs(item.number(bound) or 0)), adjustment=int(adjustment)))
    periods = whole(alarm, "EvaluationPeriods")
    enough = whole(alarm, "DatapointsToAlarm", default=periods)
    if enough < periods:
        notes.append(f"{alarm.logical_id} acts on {enough} of {periods} periods: here on {enough} in a row.")
    return [
        StepScaling(
            name=policy.logical_id.removesuffix("Steps"),
            metric=_watched(alarm),
            when="above" if above else "below",
            threshold=plain(number(alarm, "Threshold")),
            # A config takes fewer periods than AWS does.
            period_s=cast(Any, _period(alarm)),
            periods=min(enough, periods),
            cooldown_s=whole(policy, way, "Cooldown", default=300),
            adjustment_type=_ADJUSTMENTS[kind],
            min_adjustment_magnitude=whole(policy, way, "MinAdjustmentMagnitude", default=1),
            steps=tuple(sorted(steps, key=lambda step: step.distance)),
        )
    ]


def _watched(alarm: Place) -> Any:
    if _counts(alarm, _WAITING):
        return "backlog" if _divides(alarm.each("Metrics")) else "messages"  # no config has these
    namespace, name = alarm.get("Namespace"), alarm.get("MetricName")
    metric = _METRICS.get((namespace, name))
    if metric is None:
        what = "metric math" if alarm.get("Metrics") is not None else f"{namespace}/{name}"
        refuse(alarm, f"it watches {what}, not CPU or memory of the service", _TO_SEE_THE_REST)
    return metric


def _period(alarm: Place) -> int:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html#API_PutMetricAlarm_RequestParameters"""
    periods = [query.number("MetricStat", "Period") for query in alarm.each("Metrics")]
    period = int(max(filter(None, periods), default=0)) or whole(alarm, "Period")
    if period not in (10, 20, 30) and (period < 60 or period % 60):
        refuse(alarm, f"its period is {period} s", "AWS takes 10, 20, 30 or a multiple of 60")
    return period


def _off(policy: TargetTracking) -> TargetTracking:
    return msgspec.structs.replace(policy, enabled=False)


def _schedule(action: Place) -> Schedule:
    """A scheduled action; a bound that it does not have stays as it is.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ScalableTargetAction.html
    """
    at = action.get("Schedule")
    if not isinstance(at, str):
        refuse(action, "Schedule is nothing that is known before a deployment", way_to_set(action, "Schedule"))
    return Schedule(
        name=str(action.get("ScheduledActionName")),
        at=at,
        timezone=str(action.get("Timezone") or "UTC"),
        min_tasks=whole(action, "ScalableTargetAction", "MinCapacity", default=KEEP),
        max_tasks=whole(action, "ScalableTargetAction", "MaxCapacity", default=KEEP),
    )


KEEP = -1
"""A bound of a schedule that leaves it as it is. A config's schedule has both; templates of others may have one."""


def firings(
    schedules: Sequence[Schedule], length_s: int, start: datetime | None, bounds: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Second, least and most tasks of every firing within a traffic that begins at `start` (with a zone; a Monday
    where the traffic has no date), with `bounds` before. Raises UsageError on a schedule that AWS would refuse."""
    start = start or datetime(2026, 1, 5, tzinfo=ZoneInfo("UTC"))
    fired_at = sorted(
        (second, schedule.min_tasks, schedule.max_tasks)
        for schedule in schedules
        for second in _seconds(schedule, length_s, start)
    )
    least, most = bounds
    found = []
    for second, low, high in fired_at:
        least, most = least if low == KEEP else low, most if high == KEEP else high
        found.append((second, least, most))
    return found


def _seconds(schedule: Schedule, length_s: int, start: datetime) -> list[int]:
    if problem := problem_of_timezone(schedule.timezone):
        raise UsageError(f"schedule {schedule.name}: timezone {schedule.timezone}: {problem}")
    zone = ZoneInfo(schedule.timezone)
    try:
        expression = parsed(schedule.at)
    except ValueError as error:
        raise UsageError(f"schedule {schedule.name}: {schedule.at}: {error}") from None
    if isinstance(expression, Rate):
        return list(range(expression.seconds, length_s, expression.seconds))
    end = start + timedelta(seconds=length_s)
    return [
        int((firing.time - start).total_seconds())
        for firing in fired(expression, zone, start, end)
        if firing.clocks != "skipped"
    ]
