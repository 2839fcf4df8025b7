"""Service auto scaling: the policies that move the number of tasks, and the alarms for when that is not enough."""

from __future__ import annotations

from typing import Any

from troposphere import Equals, Join, Not, Ref, Select, Split, Sub, cloudwatch
from troposphere import applicationautoscaling as aas

from scaleout_cfn.config import Predictive, Scaling, StepScaling, TargetTracking, pulse
from scaleout_cfn.config.scaling import pulse_steps, pulse_tracking, schedules_of
from scaleout_cfn.config.units import Unit
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import ECS, INSIGHTS, at_maximum, dimensions, highest, metric_of
from scaleout_cfn.values import ClusterName, LoadBalancerName, Number, QueueName, TargetGroupName, TopicArn

METRICS = {"cpu": "CPUUtilization", "memory": "MemoryUtilization"}
#: The name of a pulse is its stack's: that of the service is not known yet when its tasks are described.
PULSE: dict[str, object] = {pulse.DIMENSION: Ref("AWS::StackName")}


def scale(
    stack: Stack,
    unit: Unit,
    service: object,
    *,
    cluster_name: ClusterName,
    load_balancer_name: LoadBalancerName | None,
    target_group_name: TargetGroupName | None,
    alternate_targets: TargetGroupName | None,
    min_tasks: Number,
    max_tasks: Number,
    topic: TopicArn,
    queue_name: QueueName | None,
) -> None:
    """Add to a service's stack what moves the number of its tasks.

    Here and not in a stack beside it: within one template CloudFormation knows that a service which is changed in
    place keeps its name, so that a change set says nothing of what hangs on it.
    """
    scaling = unit.scaling
    # A service's Ref is its ARN, arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME. A GetAtt of a resource that changes
    # counts as unknown in a change set, the Ref of one that is changed in place does not.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChangeDetail.html
    arn = Ref(service)
    target = aas.ScalableTarget(
        "ScalableTarget",
        ServiceNamespace="ecs",
        ScalableDimension="ecs:service:DesiredCount",
        ResourceId=Select(5, Split(":", arn)),
        MinCapacity=min_tasks,
        MaxCapacity=max_tasks,
    )
    at_night = unit.config.night is not None
    if schedules := schedules_of(unit.config, scaling):
        target.ScheduledActions = [
            aas.ScheduledAction(
                ScheduledActionName=schedule.name,
                Schedule=schedule.at,
                Timezone=schedule.timezone,
                ScalableTargetAction=aas.ScalableTargetAction(
                    # What the night takes comes back as it may be given in the console.
                    MinCapacity=min_tasks if at_night and schedule.max_tasks else schedule.min_tasks,
                    MaxCapacity=max_tasks if at_night and schedule.max_tasks else schedule.max_tasks,
                ),
            )
            for schedule in schedules
        ]
    stack.add(target)

    suffix = "HighResolution" if scaling.high_resolution else ""
    for title, policy, metric in (
        ("CpuTracking", scaling.cpu, f"ECSServiceAverageCPUUtilization{suffix}"),
        ("MemoryTracking", scaling.memory, f"ECSServiceAverageMemoryUtilization{suffix}"),
    ):
        if policy.enabled:
            _track(stack, target, title, policy, aas.PredefinedMetricSpecification(PredefinedMetricType=metric))
    if scaling.requests.enabled:
        assert load_balancer_name is not None and target_group_name is not None
        requests = aas.PredefinedMetricSpecification(
            PredefinedMetricType="ALBRequestCountPerTarget",
            ResourceLabel=Join("/", [load_balancer_name, target_group_name]),
        )
        _track(stack, target, "RequestTracking", scaling.requests, requests)
    if scaling.predictive is not None:
        forecast(stack, target, scaling, scaling.predictive, load_balancer_name, target_group_name)
    in_service: dict[str, object] = {"ClusterName": cluster_name, "ServiceName": Select(2, Split("/", arn))}
    insights = unit.config.cluster.container_insights != "disabled"
    if unit.queue is not None:
        from scaleout_cfn.stacks.queue import scale_by_backlog  # here, for most services have no queue

        assert queue_name is not None
        scale_by_backlog(stack, target, unit.queue, queue_name, in_service, insights)
    steps = scaling.step_policies
    if scaling.pulse is not None:
        own = aas.CustomizedMetricSpecification(
            Namespace=pulse.NAMESPACE,
            MetricName=pulse.METRIC,
            Dimensions=[aas.MetricDimension(Name=name, Value=value) for name, value in PULSE.items()],
            Statistic="Average",
        )
        _track(stack, target, "PulseTracking", pulse_tracking(scaling.pulse), own)
        steps = (*steps, *pulse_steps(scaling.pulse))
    for step_policy in steps:
        _step(stack, target, step_policy, in_service)

    for title, metric in METRICS.items():
        if unit.queue is not None and title == "cpu" and not scaling.cpu.enabled:
            continue  # a worker with a backlog uses all the CPU that it has; the age of its messages tells more
        stack.add(
            cloudwatch.Alarm(
                f"{title.capitalize()}High",
                AlarmDescription=f"The tasks' {title} use stays over its threshold: scaling does not keep up.",
                Namespace=ECS,
                MetricName=metric,
                Dimensions=dimensions(in_service),
                Statistic="Average",
                Period=60,
                EvaluationPeriods=10,
                Threshold=unit.settings.alarms.utilization_percent,
                ComparisonOperator="GreaterThanThreshold",
                TreatMissingData="notBreaching",
                AlarmActions=[topic],
                OKActions=[topic],
            )
        )
    # The bounds are parameters: only CloudFormation knows whether there is anything between them.
    if load_balancer_name is not None:
        # Counted by the load balancer: a count of tasks is a metric of Container Insights only. During a deployment
        # both groups are full, which is no growth.
        groups = [name for name in (target_group_name, alternate_targets) if name is not None]
        on_targets = [{"LoadBalancer": load_balancer_name, "TargetGroup": name} for name in groups]
        serving = highest("HealthyHostCount", "Minimum", on_targets)
    elif insights:
        serving = metric_of(INSIGHTS, "RunningTaskCount", "Minimum", in_service)
    else:
        return
    at_maximum(
        stack,
        "TasksAtMaximum",
        "As many tasks serve as may run: there is no room to grow.",
        serving,
        max_tasks,
        topic,
        stack.condition("CanGrow", Not(Equals(min_tasks, max_tasks))),
    )


def _track(
    stack: Stack,
    target: aas.ScalableTarget,
    title: str,
    policy: TargetTracking,
    metric: aas.PredefinedMetricSpecification | aas.CustomizedMetricSpecification,
) -> None:
    settings = aas.TargetTrackingScalingPolicyConfiguration()
    if isinstance(metric, aas.PredefinedMetricSpecification):
        settings.PredefinedMetricSpecification = metric
    else:
        settings.CustomizedMetricSpecification = metric
    settings.TargetValue = policy.target
    settings.ScaleOutCooldown = policy.scale_out_cooldown_s
    settings.ScaleInCooldown = policy.scale_in_cooldown_s
    settings.DisableScaleIn = not policy.scale_in
    stack.add(
        aas.ScalingPolicy(
            title,
            PolicyName=Sub("${AWS::StackName}-" + title),
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=target.ref(),
            TargetTrackingScalingPolicyConfiguration=settings,
        )
    )


def _step(stack: Stack, target: aas.ScalableTarget, policy: StepScaling, watched: dict[str, object]) -> None:
    """A policy of steps and the alarm that it acts on.

    https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html
    """
    above = policy.when == "above"
    adjustments = []
    for step, further in zip(policy.steps, [*policy.steps[1:], None], strict=True):
        near, far = step.distance, further.distance if further else None
        bounds: dict[str, Any] = {"MetricIntervalLowerBound": near} if above else {"MetricIntervalUpperBound": -near}
        if far is not None:
            bounds["MetricIntervalUpperBound" if above else "MetricIntervalLowerBound"] = far if above else -far
        adjustments.append(aas.StepAdjustment(ScalingAdjustment=step.adjustment, **bounds))
    settings = aas.StepScalingPolicyConfiguration(
        AdjustmentType=policy.adjustment_type,
        Cooldown=policy.cooldown_s,
        MetricAggregationType="Average",
        StepAdjustments=adjustments,
    )
    if policy.min_adjustment_magnitude > 1:
        settings.MinAdjustmentMagnitude = policy.min_adjustment_magnitude
    scaling = stack.add(
        aas.ScalingPolicy(
            f"{policy.name}Steps",
            PolicyName=Sub("${AWS::StackName}-" + policy.name),
            PolicyType="StepScaling",
            ScalingTargetId=target.ref(),
            StepScalingPolicyConfiguration=settings,
        )
    )
    stack.add(
        cloudwatch.Alarm(
            f"{policy.name}Alarm",
            AlarmDescription=f"Moves the number of tasks by the step policy {policy.name}.",
            Namespace=pulse.NAMESPACE if policy.metric == "pulse" else ECS,
            MetricName=pulse.METRIC if policy.metric == "pulse" else METRICS[policy.metric],
            Dimensions=dimensions(PULSE if policy.metric == "pulse" else watched),
            Statistic="Average",
            Period=policy.period_s,
            EvaluationPeriods=policy.periods,
            Threshold=policy.threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold" if above else "LessThanOrEqualToThreshold",
            TreatMissingData="missing",
            AlarmActions=[scaling.ref()],
        )
    )


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
