"""Alarms that more than one stack has: the share of errors, and a fleet at its maximum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from troposphere import cloudwatch
from troposphere.cloudwatch import MetricDimension

from scaleout_cfn.stack import Stack
from scaleout_cfn.values import TopicArn


def query(name: str, metric: str, statistic: str, watched: Mapping[str, object]) -> cloudwatch.MetricDataQuery:
    """A metric of the load balancer by the minute, for an expression."""
    return cloudwatch.MetricDataQuery(
        Id=name,
        MetricStat=cloudwatch.MetricStat(
            Metric=cloudwatch.Metric(Namespace=ALB, MetricName=metric, Dimensions=dimensions(watched)),
            Period=60,
            Stat=statistic,
        ),
        ReturnData=False,
    )


def metric_of(namespace: str, metric: str, statistic: str, watched: Mapping[str, object]) -> dict[str, Any]:
    """What an alarm looks at: a metric by the minute."""
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": dimensions(watched),
        "Statistic": statistic,
        "Period": 60,
    }


def highest(metric: str, statistic: str, watched: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """A metric of the load balancer for an alarm; of two target groups, the higher of theirs.

    A group without targets has no data.
    """
    if len(watched) == 1:
        return metric_of(ALB, metric, statistic, watched[0])
    numbers = range(1, len(watched) + 1)
    queries = [query(f"m{number}", metric, statistic, each) for number, each in zip(numbers, watched, strict=True)]
    expression = f"MAX([{', '.join(f'FILL(m{number}, 0)' for number in numbers)}])"
    label = f"{metric}, the higher of both groups"
    return {
        "Metrics": [
            *queries,
            cloudwatch.MetricDataQuery(Id="highest", Expression=expression, Label=label, ReturnData=True),
        ]
    }


def error_share(
    stack: Stack,
    title: str,
    metric: str,
    who: str,
    watched: Sequence[Mapping[str, object]],
    percent: float,
    topic: TopicArn,
) -> cloudwatch.Alarm:
    """A share of all requests, not a count: ten errors a minute are a disaster at night and noise at noon.

    Of two groups the higher of their shares: a new version that answers 5xx to all of its few requests is broken.
    """
    queries, shares = [], []
    for suffix, group in zip(("", "2"), watched, strict=False):
        errors, requests = f"errors{suffix}", f"requests{suffix}"
        queries += [query(errors, metric, "Sum", group), query(requests, "RequestCount", "Sum", group)]
        # The load balancer's own errors may come without a request that it counts.
        shares.append(f"100 * FILL({errors}, 0) / IF(FILL({requests}, 0) > 0, {requests}, 1)")
    return stack.add(
        cloudwatch.Alarm(
            title,
            AlarmDescription=f"The share of 5xx answers by {who} is over its threshold.",
            Metrics=[
                *queries,
                cloudwatch.MetricDataQuery(
                    Id="share",
                    Expression=shares[0] if len(shares) == 1 else f"MAX([{', '.join(shares)}])",
                    Label="5xx answers, percent",
                    ReturnData=True,
                ),
            ],
            EvaluationPeriods=5,
            DatapointsToAlarm=3,
            Threshold=percent,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
            OKActions=[topic],
        )
    )


def at_maximum(
    stack: Stack,
    title: str,
    description: str,
    metric: Mapping[str, Any],
    most: object,
    topic: TopicArn,
    condition: str | None = None,
) -> cloudwatch.Alarm:
    """A count that has stood at its upper bound for a quarter of an hour, each minute's least: no room to grow."""
    alarm = cloudwatch.Alarm(
        title,
        AlarmDescription=description,
        **metric,
        EvaluationPeriods=15,
        Threshold=most,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
        OKActions=[topic],
    )
    if condition:
        alarm.Condition = condition
    return stack.add(alarm)


ALB, ECS, INSIGHTS, SQS = "AWS/ApplicationELB", "AWS/ECS", "ECS/ContainerInsights", "AWS/SQS"
EVENTS, STATES = "AWS/Events", "AWS/States"


def dimensions(named: Mapping[str, object]) -> list[MetricDimension]:
    return [MetricDimension(Name=name, Value=value) for name, value in named.items()]


def running_tasks(insights: bool) -> tuple[str, str, str]:
    """The number of a service's tasks as namespace, metric and statistic. There is none while no task runs.

    Without Container Insights it is the number of a minute's samples, of metrics that come every 60 s.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service_utilization.html
    """
    return (INSIGHTS, "RunningTaskCount", "Average") if insights else (ECS, "CPUUtilization", "SampleCount")
