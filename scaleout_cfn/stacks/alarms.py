"""Alarms that more than one stack has: the share of errors, and a fleet at its maximum."""

from __future__ import annotations

from collections.abc import Mapping

from troposphere import cloudwatch

from scaleout_cfn.metrics import ALB, dimensions
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import TopicArn

__all__ = ["at_maximum", "error_share"]


def error_share(
    stack: Stack, title: str, metric: str, who: str, watched: Mapping[str, object], percent: float, topic: TopicArn
) -> cloudwatch.Alarm:
    """A share of all requests, not a count: ten errors a minute are a disaster at night and noise at noon."""

    def query(name: str, metric: str) -> cloudwatch.MetricDataQuery:
        return cloudwatch.MetricDataQuery(
            Id=name,
            MetricStat=cloudwatch.MetricStat(
                Metric=cloudwatch.Metric(Namespace=ALB, MetricName=metric, Dimensions=dimensions(watched)),
                Period=60,
                Stat="Sum",
            ),
            ReturnData=False,
        )

    return stack.add(
        cloudwatch.Alarm(
            title,
            AlarmDescription=f"The share of 5xx answers by {who} is over its threshold.",
            Metrics=[
                query("errors", metric),
                query("requests", "RequestCount"),
                cloudwatch.MetricDataQuery(
                    Id="share",
                    # The load balancer's own errors may come without a request that it counts.
                    Expression="100 * FILL(errors, 0) / IF(FILL(requests, 0) > 0, requests, 1)",
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
    namespace: str,
    metric: str,
    watched: Mapping[str, object],
    most: object,
    topic: TopicArn,
    condition: str | None = None,
) -> cloudwatch.Alarm:
    """A count that has stood at its upper bound for a quarter of an hour: there is no room to grow."""
    alarm = cloudwatch.Alarm(
        title,
        AlarmDescription=description,
        Namespace=namespace,
        MetricName=metric,
        Dimensions=dimensions(watched),
        Statistic="Minimum",
        Period=60,
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
