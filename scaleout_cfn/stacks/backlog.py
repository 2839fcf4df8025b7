"""Scaling by how much of a queue there is for each task, and out of no task at all.

The expression is AWS's example, messages by running tasks, with what that leaves open: a metric without a sample is 0,
and no task counts as one. Messages in work count, too: a task that works on the last one is not one too many.
https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
"""

from __future__ import annotations

from collections.abc import Mapping

from troposphere import Sub, cloudwatch
from troposphere import applicationautoscaling as aas

from scaleout_cfn.config import Queue
from scaleout_cfn.metrics import SQS, dimensions, running_tasks
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import QueueName

BACKLOG = "(FILL(waiting, 0) + FILL(in_work, 0)) / IF(FILL(tasks, 0) > 0, tasks, 1)"
#: Messages that wait while there is no task.
STRANDED = "IF(FILL(tasks, 0) > 0, 0, FILL(waiting, 0))"
#: Messages wait: another task may be added each minute. Nothing is lost by a task more for a while.
SCALE_OUT_COOLDOWN_S, SCALE_IN_COOLDOWN_S = 60, 300


def scale_by_backlog(
    stack: Stack,
    target: aas.ScalableTarget,
    queue: Queue,
    queue_name: QueueName,
    in_service: Mapping[str, object],
    insights: bool,
) -> None:
    """Keep the backlog of a task at what its latency allows; and start the first task where there is none."""
    of_queue = {"QueueName": queue_name}
    count = running_tasks(insights)
    read: dict[str, tuple[str, str, str, Mapping[str, object]]] = {
        "waiting": (SQS, "ApproximateNumberOfMessagesVisible", "Average", of_queue),
        "in_work": (SQS, "ApproximateNumberOfMessagesNotVisible", "Average", of_queue),
        "tasks": (*count, in_service),
    }
    queries = [
        aas.TargetTrackingMetricDataQuery(
            Id=name,
            MetricStat=aas.TargetTrackingMetricStat(
                Metric=aas.TargetTrackingMetric(
                    Namespace=namespace,
                    MetricName=metric,
                    Dimensions=[aas.TargetTrackingMetricDimension(Name=key, Value=of[key]) for key in of],
                ),
                Stat=statistic,
            ),
            ReturnData=False,
        )
        for name, (namespace, metric, statistic, of) in read.items()
    ]
    backlog = aas.TargetTrackingMetricDataQuery(
        Id="backlog", Expression=BACKLOG, Label="messages of a task", ReturnData=True
    )
    stack.add(
        aas.ScalingPolicy(
            "BacklogTracking",
            PolicyName=Sub("${AWS::StackName}-BacklogTracking"),
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=target.ref(),
            TargetTrackingScalingPolicyConfiguration=aas.TargetTrackingScalingPolicyConfiguration(
                CustomizedMetricSpecification=aas.CustomizedMetricSpecification(Metrics=[*queries, backlog]),
                TargetValue=queue.messages_per_task,
                ScaleOutCooldown=SCALE_OUT_COOLDOWN_S,
                ScaleInCooldown=SCALE_IN_COOLDOWN_S,
                DisableScaleIn=False,
            ),
        )
    )
    # Target tracking multiplies the tasks that run, and any number of times none is none: a step adds the first. Always
    # there, for the least number of tasks is asked for in the console, too, and set by schedules.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
    first = stack.add(
        aas.ScalingPolicy(
            "FirstTaskSteps",
            PolicyName=Sub("${AWS::StackName}-FirstTask"),
            PolicyType="StepScaling",
            ScalingTargetId=target.ref(),
            StepScalingPolicyConfiguration=aas.StepScalingPolicyConfiguration(
                AdjustmentType="ChangeInCapacity",
                Cooldown=SCALE_IN_COOLDOWN_S,
                MetricAggregationType="Average",
                StepAdjustments=[aas.StepAdjustment(MetricIntervalLowerBound=0, ScalingAdjustment=1)],
            ),
        )
    )
    stack.add(
        cloudwatch.Alarm(
            "FirstTaskAlarm",
            AlarmDescription="Messages wait and no task runs: starts the first one.",
            Metrics=[
                *(
                    cloudwatch.MetricDataQuery(
                        Id=name,
                        MetricStat=cloudwatch.MetricStat(
                            Metric=cloudwatch.Metric(Namespace=namespace, MetricName=metric, Dimensions=dimensions(of)),
                            Period=60,
                            Stat=statistic,
                        ),
                        ReturnData=False,
                    )
                    for name, (namespace, metric, statistic, of) in read.items()
                    if name != "in_work"
                ),
                cloudwatch.MetricDataQuery(
                    Id="stranded", Expression=STRANDED, Label="messages and no task", ReturnData=True
                ),
            ],
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[first.ref()],
        )
    )
