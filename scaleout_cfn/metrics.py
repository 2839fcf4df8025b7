"""CloudWatch metrics as alarms name them."""

from __future__ import annotations

from collections.abc import Mapping

from troposphere.cloudwatch import MetricDimension

ALB, ECS, INSIGHTS, SQS = "AWS/ApplicationELB", "AWS/ECS", "ECS/ContainerInsights", "AWS/SQS"
EVENTS, STATES = "AWS/Events", "AWS/States"


def dimensions(named: Mapping[str, object]) -> list[MetricDimension]:
    """Dimensions, name to value."""
    return [MetricDimension(Name=name, Value=value) for name, value in named.items()]


def running_tasks(insights: bool) -> tuple[str, str, str]:
    """The number of a service's tasks as namespace, metric and statistic. There is none while no task runs.

    Without Container Insights it is the number of a minute's samples, of metrics that come every 60 s.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service_utilization.html
    """
    return (INSIGHTS, "RunningTaskCount", "Average") if insights else (ECS, "CPUUtilization", "SampleCount")
