"""Traffic as CloudWatch has it of a balancer that is there already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.traffic import Traffic

_KEPT = ((15, 60), (63, 300), (455, 3600))
"""Days and the finest period (s) that CloudWatch keeps for so long.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html"""


def from_cloudwatch(aws: Aws, metric: str, dimensions: Mapping[str, str], days: int, now: datetime) -> Traffic:
    """The sums of NAMESPACE/METRIC over the last days, by the finest period that is kept for so long.

    Where CloudWatch has no point there were no requests: a balancer reports none without one. Without dimensions
    those of the only balancer that has the metric are taken. Raises UsageError where there is nothing to read,
    AccessError or ApiError where AWS refuses.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
    """
    namespace, _, name = metric.rpartition("/")
    if not namespace or not name:
        raise UsageError(f"--cloudwatch {metric}: give NAMESPACE/METRIC, as in AWS/ApplicationELB/RequestCount")
    dimensions = dict(dimensions) or only_balancer(aws, namespace, name)
    period_s = next(period_s for most, period_s in _KEPT if days <= most)
    # Whole periods, and none that is still being filled.
    end = int(now.timestamp()) // period_s * period_s
    start = end - days * 86400
    stat = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        },
        "Period": period_s,
        "Stat": "Sum",
    }
    sums, points = np.zeros(days * 86400 // period_s), 0
    for page in aws.pages(
        "cloudwatch",
        "get_metric_data",
        MetricDataQueries=[{"Id": "requests", "MetricStat": stat}],
        StartTime=datetime.fromtimestamp(start, UTC),
        EndTime=datetime.fromtimestamp(end, UTC),
        ScanBy="TimestampAscending",
    ):
        for result in page["MetricDataResults"]:
            for time, value in zip(result["Timestamps"], result["Values"], strict=True):
                sums[(int(time.timestamp()) - start) // period_s] += value
                points += 1
    says = ", ".join(f"{key}={value}" for key, value in dimensions.items())
    if not points:
        raise UsageError(
            f"--cloudwatch {metric}: no point with {says} in the last {days} days in {aws.region}; give another"
            " --dimension, --region or --days"
        )
    if sums.min() < 0:
        raise UsageError(f"--cloudwatch {metric}: it has sums below 0, so it does not count requests; give another")
    notes = (f"{metric} with {says}: {points} of {len(sums)} sums over {period_s} s, the rest without a request",)
    requests = np.repeat(sums / period_s, period_s)
    return Traffic(f"{metric}, {says}", requests, datetime.fromtimestamp(start, UTC), notes, period_s)


def only_balancer(aws: Aws, namespace: str, name: str) -> dict[str, str]:
    """The dimension of the only balancer that has a metric. Raises UsageError where there are none or several."""
    balancers = sorted(
        {
            metric["Dimensions"][0]["Value"]
            for page in aws.pages("cloudwatch", "list_metrics", Namespace=namespace, MetricName=name)
            for metric in page["Metrics"]
            if [dimension["Name"] for dimension in metric["Dimensions"]] == ["LoadBalancer"]
        }
    )
    if len(balancers) == 1:
        return {"LoadBalancer": balancers[0]}
    which = (
        f"{len(balancers)} balancers have it ({', '.join(balancers[:5])})"
        if balancers
        else f"no balancer in {aws.region} has it"
    )
    raise UsageError(f"--cloudwatch {namespace}/{name}: {which}; give --dimension LoadBalancer=app/NAME/ID")
