"""Predictive scaling: a policy that forecasts a service's load by the hour, and may add tasks for it beforehand."""

from __future__ import annotations

from troposphere import Join, Sub
from troposphere import applicationautoscaling as aas

from scaleout_cfn.config import Predictive, Scaling
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import LoadBalancerName, TargetGroupName

#: A pair is a load metric, the sum over all tasks, and a scaling metric, the average of a task.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-applicationautoscaling-scalingpolicy-predictivescalingpredefinedmetricpair.html
PAIRS = {"cpu": "ECSServiceCPUUtilization", "memory": "ECSServiceMemoryUtilization", "requests": "ALBRequestCount"}


def forecast(
    stack: Stack,
    target: aas.ScalableTarget,
    scaling: Scaling,
    predictive: Predictive,
    load_balancer_name: LoadBalancerName | None,
    target_group_name: TargetGroupName | None,
) -> None:
    """Add a predictive policy beside those that act on what is there."""
    pair = aas.PredictiveScalingPredefinedMetricPair(PredefinedMetricType=PAIRS[predictive.metric])
    if predictive.metric == "requests":
        assert load_balancer_name is not None and target_group_name is not None
        pair.ResourceLabel = Join("/", [load_balancer_name, target_group_name])
    kept = {"cpu": scaling.cpu, "memory": scaling.memory, "requests": scaling.requests}[predictive.metric].target
    settings = aas.PredictiveScalingPolicyConfiguration(
        Mode="ForecastAndScale" if predictive.mode == "forecast-and-scale" else "ForecastOnly",
        MetricSpecifications=[
            aas.PredictiveScalingMetricSpecification(
                TargetValue=predictive.target or kept, PredefinedMetricPairSpecification=pair
            )
        ],
        SchedulingBufferTime=predictive.buffer_s,
        MaxCapacityBreachBehavior="HonorMaxCapacity",
    )
    if predictive.above_max_percent >= 0:
        settings.MaxCapacityBreachBehavior = "IncreaseMaxCapacity"
        settings.MaxCapacityBuffer = predictive.above_max_percent
    stack.add(
        aas.ScalingPolicy(
            "Forecast",
            PolicyName=Sub("${AWS::StackName}-Forecast"),
            PolicyType="PredictiveScaling",
            ScalingTargetId=target.ref(),
            PredictiveScalingPolicyConfiguration=settings,
        )
    )
