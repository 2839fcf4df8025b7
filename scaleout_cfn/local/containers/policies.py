"""The policies that a service was deployed with, as the simulator's rules take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from scaleout_cfn.config.scaling import Scaling, StepAdjustment, StepScaling, TargetTracking

_TRACKED: Final = {
    "ECSServiceAverageCPUUtilization": "cpu",
    "ECSServiceAverageMemoryUtilization": "memory",
    "ALBRequestCountPerTarget": "requests",
}
_STEPPED: Final = {"CPUUtilization": "cpu", "MemoryUtilization": "memory"}


def scaling_of(policies: Iterable[Mapping[str, Any]], alarms: Iterable[Mapping[str, Any]]) -> tuple[Scaling, str]:
    """The policies of a service, and the queue whose messages a task one of them counts; empty where none does.

    A queue's backlog takes the place of the requests, which no service with a queue has.
    """
    tracked: dict[str, TargetTracking] = {}
    steps: list[StepScaling] = []
    fast, queue = False, ""
    for policy in policies:
        if config := policy.get("TargetTrackingScalingPolicyConfiguration"):
            kind = (config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType", "")
            fast |= kind.endswith("HighResolution")
            name = _TRACKED.get(kind.removesuffix("HighResolution"), "")
            for query in (config.get("CustomizedMetricSpecification") or {}).get("Metrics") or ():
                for dimension in query.get("MetricStat", {}).get("Metric", {}).get("Dimensions") or ():
                    if dimension["Name"] == "QueueName":
                        name, queue = "requests", dimension["Value"]
            if name:
                tracked[name] = TargetTracking(
                    enabled=True,
                    target=config["TargetValue"],
                    scale_out_cooldown_s=int(config.get("ScaleOutCooldown", 300)),
                    scale_in_cooldown_s=int(config.get("ScaleInCooldown", 300)),
                    scale_in=str(config.get("DisableScaleIn", False)).lower() != "true",
                )
        elif config := policy.get("StepScalingPolicyConfiguration"):
            alarm = next((alarm for alarm in alarms if policy["PolicyARN"] in alarm.get("AlarmActions", ())), None)
            if alarm is not None and alarm.get("MetricName") in _STEPPED:
                steps.append(_step(config, alarm, len(steps)))
    off = TargetTracking(enabled=False)
    cpu, memory, requests = (tracked.get(name, off) for name in ("cpu", "memory", "requests"))
    scaling = Scaling(high_resolution=fast, step_policies=tuple(steps), cpu=cpu, memory=memory, requests=requests)
    return scaling, queue


def _step(config: Mapping[str, Any], alarm: Mapping[str, Any], number: int) -> StepScaling:
    above = str(alarm["ComparisonOperator"]).startswith("Greater")
    return StepScaling(
        name=f"Step{number}",
        metric="cpu" if _STEPPED[alarm["MetricName"]] == "cpu" else "memory",
        when="above" if above else "below",
        threshold=float(alarm["Threshold"]),
        period_s=60 if int(alarm["Period"]) >= 60 else 30,
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
