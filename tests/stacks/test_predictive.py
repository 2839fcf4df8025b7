"""Predictive scaling: what a service's policy forecasts, and what goes not with it."""

from __future__ import annotations

from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import made, properties, ref


def service(scaling: dict[str, Any], **predictive: Any) -> sc.WebService:
    return sc.WebService(scaling=sc.Scaling(predictive=sc.Predictive(**predictive), **scaling))


def forecast(**predictive: Any) -> dict[str, Any]:
    templates = made(service=service({}, **predictive))
    policy = properties(templates, "web-service", "Forecast")
    assert (policy["PolicyType"], policy["ScalingTargetId"]) == ("PredictiveScaling", ref("ScalableTarget"))
    found: dict[str, Any] = policy["PredictiveScalingPolicyConfiguration"]
    return found


def test_a_service_has_no_forecast_unless_asked() -> None:
    assert "Forecast" not in made()["web-service.yaml"]["Resources"]


def test_a_forecast_is_only_made_at_first_of_cpu_and_at_the_target_that_is_tracked() -> None:
    assert forecast() == {
        "Mode": "ForecastOnly",
        "MetricSpecifications": [
            {
                "TargetValue": 40,
                "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"},
            }
        ],
        "SchedulingBufferTime": 300,
        "MaxCapacityBreachBehavior": "HonorMaxCapacity",
    }


def test_a_forecast_that_acts_may_begin_earlier_and_raise_the_most_tasks() -> None:
    asked = forecast(mode="forecast-and-scale", target=33.5, buffer_s=600, above_max_percent=0)
    assert asked["Mode"] == "ForecastAndScale"
    assert asked["MetricSpecifications"][0]["TargetValue"] == 33.5
    assert asked["SchedulingBufferTime"] == 600
    assert (asked["MaxCapacityBreachBehavior"], asked["MaxCapacityBuffer"]) == ("IncreaseMaxCapacity", 0)


@pytest.mark.parametrize(
    ("metric", "pair", "target"),
    [("memory", "ECSServiceMemoryUtilization", 75), ("requests", "ALBRequestCount", 1000)],
)
def test_what_is_forecast_is_a_pair_of_metrics_of_the_service(metric: Any, pair: str, target: int) -> None:
    (specification,) = forecast(metric=metric)["MetricSpecifications"]
    assert specification["TargetValue"] == target
    wanted = {"PredefinedMetricType": pair}
    if metric == "requests":
        label = {"Fn::Join": ["/", [ref("LoadBalancerName"), ref("TargetGroupName")]]}
        wanted["ResourceLabel"] = label  # type: ignore[assignment]
    assert specification["PredefinedMetricPairSpecification"] == wanted


def refused(scaled: Any) -> str:
    with pytest.raises(sc.ConfigError) as error:
        sc.compose(sc.Config(services={"web": scaled}))
    return str(error.value)


def test_a_forecast_that_adds_tasks_wants_a_policy_that_takes_them_away() -> None:
    off = sc.TargetTracking()
    said = refused(service({"cpu": off}, mode="forecast-and-scale"))
    assert "services.web.scaling.predictive.mode" in said and "track a metric" in said
    only_out = sc.TargetTracking(enabled=True, scale_in=False)
    assert "only adds tasks" in refused(service({"cpu": only_out}, mode="forecast-and-scale"))
    assert made(service=service({"cpu": off}, mode="forecast-only"))
    ebb = sc.StepScaling(name="Ebb", when="below", threshold=20, steps=(sc.StepAdjustment(adjustment=-1),))
    assert made(service=service({"cpu": off, "step_policies": (ebb,)}, mode="forecast-and-scale"))


def test_requests_are_forecast_only_of_a_service_behind_the_load_balancer() -> None:
    scaling = sc.Scaling(predictive=sc.Predictive(metric="requests"))
    said = refused(sc.InternalService(scaling=scaling))
    assert "services.web.scaling.predictive.metric" in said and 'take "cpu" or "memory"' in said


def test_requests_are_not_forecast_where_now_one_target_group_serves_and_now_another() -> None:
    scaling = sc.Scaling(predictive=sc.Predictive(metric="requests"))
    said = refused(sc.WebService(scaling=scaling, deployment=sc.WebBlueGreen()))
    assert "services.web.scaling.predictive.metric" in said and 'take "cpu"' in said


def test_a_queue_has_no_metric_to_forecast() -> None:
    worker = sc.WorkerService(queue=sc.Queue(), scaling=sc.Scaling(predictive=sc.Predictive()))
    assert "by which these tasks are scaled; leave services.web.scaling.predictive out" in refused(worker)


@pytest.mark.parametrize("name", ["Forecast", "CpuTracking"])
def test_a_step_policy_has_not_the_name_of_another_policy_of_its_service(name: str) -> None:
    """AWS knows a policy by its name and what it scales: the second would be the first, changed."""
    step = sc.StepScaling(name=name, threshold=80, steps=(sc.StepAdjustment(adjustment=1),))
    said = refused(sc.WebService(scaling=sc.Scaling(step_policies=(step,))))
    assert "services.web.scaling.step_policies[0].name" in said and "take another" in said


def test_every_policy_that_a_stack_names_is_kept_from_step_policies() -> None:
    from scaleout_cfn.config.service_conflicts import POLICIES

    tracked = sc.TargetTracking(enabled=True)
    everything = sc.Scaling(memory=tracked, requests=tracked, predictive=sc.Predictive())
    queue = sc.WorkerService(queue=sc.Queue())
    pulse = sc.WebService(scaling=sc.Scaling(pulse=sc.LogPulse(target_rps=25)))
    named = {
        policy["Properties"]["PolicyName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
        for service in (sc.WebService(scaling=everything), queue, pulse)
        for policy in made(service=service)["web-service.yaml"]["Resources"].values()
        if policy["Type"] == "AWS::ApplicationAutoScaling::ScalingPolicy"
    }
    assert named == POLICIES
