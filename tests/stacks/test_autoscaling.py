"""Scaling: what moves the number of tasks, by the settings of the config."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleout_cfn as sc
from stacks.helpers import NAME_OF_SERVICE, RESOURCE_ID, Template, at, made, of_type, properties, ref

TRACKED = {"cpu": "CpuTracking", "memory": "MemoryTracking", "requests": "RequestTracking"}


def template(**scaling: Any) -> Template:
    return made(scaling=sc.Scaling(**scaling))["web-service.yaml"]


def test_the_service_is_what_is_scaled_within_the_bounds_that_are_asked_for() -> None:
    target = properties({"web-service.yaml": template()}, "web-service", "ScalableTarget")
    assert target["ServiceNamespace"] == "ecs"
    assert target["ScalableDimension"] == "ecs:service:DesiredCount"
    assert target["ResourceId"] == RESOURCE_ID
    assert (target["MinCapacity"], target["MaxCapacity"]) == (ref("MinTasks"), ref("MaxTasks"))
    assert "ScheduledActions" not in target
    # The service-linked role of scaling is used, which AWS makes by itself.
    assert "RoleARN" not in target


def test_bounds_change_by_the_clock_of_a_place() -> None:
    day = sc.Schedule(name="day", at="cron(0 8 ? * MON-FRI *)", timezone="Europe/Berlin", min_tasks=3, max_tasks=11)
    night = sc.Schedule(name="night", at="rate(1 day)", min_tasks=1, max_tasks=4)
    target = properties({"web-service.yaml": template(schedules=(day, night))}, "web-service", "ScalableTarget")
    assert target["ScheduledActions"] == [
        {
            "ScheduledActionName": schedule.name,
            "Schedule": schedule.at,
            "Timezone": schedule.timezone,
            "ScalableTargetAction": {"MinCapacity": schedule.min_tasks, "MaxCapacity": schedule.max_tasks},
        }
        for schedule in (day, night)
    ]


@pytest.mark.parametrize("which", TRACKED)
@pytest.mark.parametrize("scale_in", [False, True])
def test_each_tracking_is_there_where_it_is_enabled_with_its_own_numbers(which: str, scale_in: bool) -> None:
    off = {name: sc.TargetTracking(enabled=False) for name in TRACKED}
    on = sc.TargetTracking(enabled=True, target=61, scale_out_cooldown_s=7, scale_in_cooldown_s=77, scale_in=scale_in)
    scaling = template(**{**off, which: on})
    policies = of_type(scaling, "ApplicationAutoScaling::ScalingPolicy")
    assert set(policies) == {TRACKED[which]}
    policy = policies[TRACKED[which]]
    assert (policy["PolicyType"], policy["ScalingTargetId"]) == ("TargetTrackingScaling", ref("ScalableTarget"))
    assert policy["PolicyName"] == {"Fn::Sub": "${AWS::StackName}-" + TRACKED[which]}
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert (tracking["TargetValue"], tracking["ScaleOutCooldown"], tracking["ScaleInCooldown"]) == (61, 7, 77)
    assert tracking["DisableScaleIn"] is not scale_in


def test_tracking_follows_the_metric_of_its_name() -> None:
    on = sc.TargetTracking(enabled=True)
    scaling = template(cpu=on, memory=on, requests=on, high_resolution=False)
    metrics = {
        name: at(policy, "TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification")
        for name, policy in of_type(scaling, "ApplicationAutoScaling::ScalingPolicy").items()
    }
    assert metrics == {
        "CpuTracking": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        "MemoryTracking": {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"},
        "RequestTracking": {
            "PredefinedMetricType": "ALBRequestCountPerTarget",
            "ResourceLabel": {"Fn::Join": ["/", [ref("LoadBalancerName"), ref("TargetGroupName")]]},
        },
    }


# --- steps


def adjustment(policy: dict[str, Any], breach: float) -> int | None:
    """What a step policy does when the metric is so far beyond the threshold, by AWS's words; None for nothing.

    https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html: a bound is the
    difference from the threshold; above it the lower bound is inclusive, below it the upper one; none is infinity.
    """
    hits = []
    for step in policy["StepScalingPolicyConfiguration"]["StepAdjustments"]:
        low = step.get("MetricIntervalLowerBound", float("-inf"))
        high = step.get("MetricIntervalUpperBound", float("inf"))
        inside = low <= breach < high if breach >= 0 and low >= 0 else low < breach <= high
        if inside:
            hits.append(step["ScalingAdjustment"])
    assert len(hits) < 2, "steps overlap"
    return hits[0] if hits else None


@pytest.mark.parametrize("when", ["above", "below"])
@given(
    widths=st.lists(st.integers(1, 9), max_size=3),
    adjustments=st.lists(st.integers(-5, 5).filter(bool), min_size=4, max_size=4),
    beyond=st.integers(0, 40),
)
def test_a_breach_meets_the_step_that_it_has_reached(
    when: Any, widths: list[int], adjustments: list[int], beyond: int
) -> None:
    distances = [sum(widths[:n]) for n in range(len(widths) + 1)]
    steps = tuple(
        sc.StepAdjustment(distance=distance, adjustment=change)
        for distance, change in zip(distances, adjustments, strict=False)
    )
    policy = sc.StepScaling(name="Surge", when=when, threshold=90, steps=steps)
    scaling = template(step_policies=(policy,))
    made_policy = of_type(scaling, "ApplicationAutoScaling::ScalingPolicy")["SurgeSteps"]
    reached = [step for step in steps if step.distance <= beyond][-1]
    assert adjustment(made_policy, beyond if when == "above" else -beyond) == reached.adjustment
    # And on the other side of the threshold nothing happens.
    assert adjustment(made_policy, -1 if when == "above" else 1) is None


@pytest.mark.parametrize(("when", "metric"), [("above", "cpu"), ("below", "memory")])
def test_steps_hang_on_an_alarm_of_their_own(when: Any, metric: Any) -> None:
    policy = sc.StepScaling(
        name="Surge",
        metric=metric,
        when=when,
        threshold=71,
        period_s=30,
        periods=4,
        cooldown_s=45,
        adjustment_type="PercentChangeInCapacity",
        min_adjustment_magnitude=2,
        steps=(sc.StepAdjustment(adjustment=10),),
    )
    scaling = template(step_policies=(policy,))
    alarm = of_type(scaling, "CloudWatch::Alarm")["SurgeAlarm"]
    assert alarm["AlarmActions"] == [ref("SurgeSteps")]
    assert alarm["Namespace"] == "AWS/ECS"
    assert alarm["MetricName"] == {"cpu": "CPUUtilization", "memory": "MemoryUtilization"}[metric]
    assert {item["Name"]: item["Value"] for item in alarm["Dimensions"]} == {
        "ClusterName": ref("ClusterName"),
        "ServiceName": NAME_OF_SERVICE,
    }
    # At the threshold the first step holds, whose distance is 0.
    side = {"above": "GreaterThanOrEqualToThreshold", "below": "LessThanOrEqualToThreshold"}[when]
    assert alarm["ComparisonOperator"] == side
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (71, 30, 4)
    # A metric that does not come moves nobody, in no direction.
    assert alarm["TreatMissingData"] == "missing"
    steps = of_type(scaling, "ApplicationAutoScaling::ScalingPolicy")["SurgeSteps"]
    assert (steps["PolicyType"], steps["ScalingTargetId"]) == ("StepScaling", ref("ScalableTarget"))
    assert steps["PolicyName"] == {"Fn::Sub": "${AWS::StackName}-Surge"}
    settings = steps["StepScalingPolicyConfiguration"]
    assert settings["AdjustmentType"] == "PercentChangeInCapacity"
    assert (settings["Cooldown"], settings["MinAdjustmentMagnitude"]) == (45, 2)
    # The alarm's statistic and the policy's have to be of one kind.
    assert settings["MetricAggregationType"] == alarm["Statistic"] == "Average"


def test_a_smallest_adjustment_is_given_only_where_it_is_more_than_one() -> None:
    """Other kinds of adjustment do not take it."""
    policy = sc.StepScaling(name="Surge", threshold=71, steps=(sc.StepAdjustment(adjustment=1),))
    steps = of_type(template(step_policies=(policy,)), "ApplicationAutoScaling::ScalingPolicy")["SurgeSteps"]
    assert "MinAdjustmentMagnitude" not in steps["StepScalingPolicyConfiguration"]
