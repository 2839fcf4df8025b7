"""A worker's queue with its dead-letter queue, and the alarms on both."""

from __future__ import annotations

from typing import Any, NamedTuple

from troposphere import cloudwatch, sqs

from scaleout_cfn.config import Queue
from scaleout_cfn.iam import only_by_tls
from scaleout_cfn.metrics import SQS, dimensions
from scaleout_cfn.stack import Stack
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
