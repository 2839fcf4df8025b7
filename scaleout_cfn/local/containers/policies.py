"""The policies that a service was deployed with, as the simulator's rules take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from scaleout_cfn.config.pulse import METRIC, LogPulse
from scaleout_cfn.config.scaling import Scaling, StepAdjustment, StepScaling, TargetTracking
from scaleout_cfn.simulator.model import Backlog

_TRACKED: Final = {
    "ECSServiceAverageCPUUtilization": "cpu",
    "ECSServiceAverageMemoryUtilization": "memory",
    "ALBRequestCountPerTarget": "requests",
    METRIC: "pulse",
}
_STEPPED: Final[Mapping[str, Literal["cpu", "memory", "pulse"]]] = {
    "CPUUtilization": "cpu",
    "MemoryUtilization": "memory",
    METRIC: "pulse",
}


_PERIODS_S: Final[tuple[Literal[10, 30, 60], ...]] = (60, 30, 10)


@dataclass(frozen=True)
class Policies:
    """What moves a service: its policies, and those of a queue with its name, where it has one."""

    scaling: Scaling
    backlog: Backlog | None = None
    queue: str = ""


def policies_of(policies: Iterable[Mapping[str, Any]], alarms: Iterable[Mapping[str, Any]]) -> Policies:
    """The policies of a service as they were deployed. What follows another metric is left out."""
    tracked: dict[str, TargetTracking] = {}
    steps: list[StepScaling] = []
    fast, queue = False, ""
    first_s: int | None = None
    for policy in policies:
        if config := policy.get("TargetTrackingScalingPolicyConfiguration"):
            kind = (config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType", "")
            fast |= kind.endswith("HighResolution")
            own = config.get("CustomizedMetricSpecification") or {}
            name = _TRACKED.get(kind.removesuffix("HighResolution") or own.get("MetricName", ""), "")
            for query in own.get("Metrics") or ():
                for dimension in query.get("MetricStat", {}).get("Metric", {}).get("Dimensions") or ():
                    if dimension["Name"] == "QueueName":
                        name, queue = "backlog", dimension["Value"]
            tracked[name] = TargetTracking(
                enabled=True,
                target=config["TargetValue"],
                scale_out_cooldown_s=int(config.get("ScaleOutCooldown", 300)),
                scale_in_cooldown_s=int(config.get("ScaleInCooldown", 300)),
                scale_in=str(config.get("DisableScaleIn", False)).lower() != "true",
            )
        elif config := policy.get("StepScalingPolicyConfiguration"):
            alarm = next((alarm for alarm in alarms if policy["PolicyARN"] in alarm.get("AlarmActions", ())), {})
            if alarm.get("MetricName") in _STEPPED:
                steps.append(_step(config, alarm, len(steps)))
            elif "QueueName" in str(alarm.get("Metrics")):
                first_s = int(config.get("Cooldown", 300))
    off = TargetTracking(enabled=False)
    cpu, memory, requests = (tracked.get(name, off) for name in ("cpu", "memory", "requests"))
    pulse = None
    if rate := tracked.get("pulse"):
        out_s, in_s = rate.scale_out_cooldown_s, rate.scale_in_cooldown_s
        pulse = LogPulse(target_rps=rate.target, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s)
    scaling = Scaling(
        high_resolution=fast, step_policies=tuple(steps), cpu=cpu, memory=memory, requests=requests, pulse=pulse
    )
    return Policies(scaling, Backlog(tracked["backlog"], first_s) if queue else None, queue)


def _step(config: Mapping[str, Any], alarm: Mapping[str, Any], number: int) -> StepScaling:
    above = str(alarm["ComparisonOperator"]).startswith("Greater")
    return StepScaling(
        name=f"Step{number}",
        metric=_STEPPED[alarm["MetricName"]],
        when="above" if above else "below",
        threshold=float(alarm["Threshold"]),
        period_s=next(seconds for seconds in _PERIODS_S if seconds <= int(alarm["Period"])),
        periods=int(alarm["EvaluationPeriods"]),
        cooldown_s=int(config.get("Cooldown", 300)),
        adjustment_type=config["AdjustmentType"],
        min_adjustment_magnitude=int(config.get("MinAdjustmentMagnitude") or 1),
        steps=tuple(
            StepAdjustment(
                distance=abs(float(step.get("MetricIntervalLowerBound" if above else "MetricIntervalUpperBound") or 0)),
                adjustment=int(step["ScalingAdjustment"]),
            )
            for step in sorted(config["StepAdjustments"], key=lambda step: abs(_near(step, above)))
        ),
    )


def _near(step: Mapping[str, Any], above: bool) -> float:
    return float(step.get("MetricIntervalLowerBound" if above else "MetricIntervalUpperBound") or 0)
