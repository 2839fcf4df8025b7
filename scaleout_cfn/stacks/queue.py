"""A worker's queue with its dead-letter queue, the alarms on both, and scaling by how much there is for each task.

The expression is AWS's example, messages by running tasks, with what that leaves open: a metric without a sample is 0,
and no task counts as one. Messages in work count, too: a task that works on the last one is not one too many.
https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from troposphere import Sub, cloudwatch, sqs
from troposphere import applicationautoscaling as aas

from scaleout_cfn.config import Queue
from scaleout_cfn.iam import only_by_tls
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import SQS, dimensions, running_tasks
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import KeyArn, QueueArn, QueueName, QueueUrl, TopicArn

DAY_S = 86400
#: The longest there is. A message that goes to it keeps the age that it had:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
KEPT_DAYS = 14


class MadeQueue(NamedTuple):
    """How others name a queue: who sends and receives, who may, and its metrics."""

    url: QueueUrl
    arn: QueueArn
    name: QueueName


def add_queue(stack: Stack, settings: Queue, topic: TopicArn, key: KeyArn | None) -> MadeQueue:
    """Add a queue that outlives its worker's versions, and what could not be worked on."""
    why = "There are messages that were received in vain, again and again: look at them, then redrive or purge them."
    dead = dead_letter_queue(stack, "DeadLetters", why, topic, key, fifo=settings.fifo)
    queue = _queue(stack, "Queue", settings.retention_days, key, fifo=settings.fifo)
    queue.VisibilityTimeout = settings.visibility_s
    # The longest: without it each task asks again and again, and is billed by the request.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
    queue.ReceiveMessageWaitTimeSeconds = 20
    queue.RedrivePolicy = sqs.RedrivePolicy(
        deadLetterTargetArn=dead.get_att("Arn"), maxReceiveCount=settings.max_receives
    )
    _alarm(
        stack,
        "OldestMessage",
        queue,
        "The oldest message has waited for longer than it should: its worker does not keep up, or fails.",
        MetricName="ApproximateAgeOfOldestMessage",
        EvaluationPeriods=5,
        DatapointsToAlarm=3,
        Threshold=settings.oldest_s,
        topic=topic,
    )
    return MadeQueue(QueueUrl(queue.ref()), QueueArn(queue.get_att("Arn")), QueueName(queue.get_att("QueueName")))


def dead_letter_queue(
    stack: Stack, alarm: str, why: str, topic: TopicArn, key: KeyArn | None, *, fifo: bool = False
) -> sqs.Queue:
    """Add a queue of what could not be delivered, and an alarm that stays while there is any."""
    queue = _queue(stack, "DeadLetterQueue", KEPT_DAYS, key, fifo=fifo)
    _alarm(
        stack,
        alarm,
        queue,
        why,
        MetricName="ApproximateNumberOfMessagesVisible",
        EvaluationPeriods=1,
        Threshold=0,
        topic=topic,
    )
    return queue


def _queue(stack: Stack, title: str, days: int, key: KeyArn | None, *, fifo: bool) -> sqs.Queue:
    """An encrypted queue that nobody reaches without TLS, and that is kept with what is in it."""
    queue = sqs.Queue(
        title,
        MessageRetentionPeriod=days * DAY_S,
        # What a failed first deployment made holds nothing.
        DeletionPolicy="RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
    )
    if key is None:
        queue.SqsManagedSseEnabled = True
    if fifo:
        queue.FifoQueue = True
        # Who sends may leave out an id: the same text within five minutes is the same message.
        queue.ContentBasedDeduplication = True
    stack.add(under_key(queue, key))
    policy = sqs.QueuePolicy(
        f"{title}Policy", Queues=[queue.ref()], PolicyDocument=only_by_tls("sqs", [queue.get_att("Arn")])
    )
    stack.add(policy)
    return queue


def _alarm(stack: Stack, title: str, queue: sqs.Queue, why: str, *, topic: TopicArn, **settings: Any) -> None:
    stack.add(
        cloudwatch.Alarm(
            title,
            AlarmDescription=why,
            Namespace=SQS,
            Dimensions=dimensions({"QueueName": queue.get_att("QueueName")}),
            Statistic="Maximum",
            Period=60,
            ComparisonOperator="GreaterThanThreshold",
            # A queue that nothing was done with for six hours has no metrics.
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
            OKActions=[topic],
            **settings,
        )
    )


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
