"""CloudWatch metrics as alarms name them."""

from __future__ import annotations

from collections.abc import Mapping

from troposphere.cloudwatch import MetricDimension

__all__ = ["ALB", "ECS", "INSIGHTS", "dimensions"]

ALB, ECS, INSIGHTS = "AWS/ApplicationELB", "AWS/ECS", "ECS/ContainerInsights"


def dimensions(named: Mapping[str, object]) -> list[MetricDimension]:
    """Dimensions, name to value."""
    return [MetricDimension(Name=name, Value=value) for name, value in named.items()]
