"""The dashboard: rows for each service, and one for each pool of nodes."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct
from troposphere import Sub, cloudwatch

from scaleout_cfn.config import Config, pulse
from scaleout_cfn.config.units import Unit, title_of, units
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import ALB, ECS, INSIGHTS, SQS, running_tasks
from scaleout_cfn.values import (
    CapacityProviderName,
    ClusterName,
    GroupName,
    LoadBalancerName,
    LogGroupName,
    QueueName,
    StackName,
    TargetGroupName,
    Text,
)

#: A dashboard is 24 units wide.
WIDTH, ROW = 24, 6


class Outputs(Struct, frozen=True):
    dashboard_name: Text


def build(
    stack: Stack,
    config: Config,
    *,
    root_stack: StackName,
    cluster_name: ClusterName,
    load_balancer_name: LoadBalancerName | None,
    target_group_name: dict[str, TargetGroupName],
    alternate_targets: dict[str, TargetGroupName],
    log_group_name: dict[str, LogGroupName],
    capacity_provider: dict[str, CapacityProviderName],
    group_name: dict[str, GroupName],
    queue_name: dict[str, QueueName],
) -> Outputs:
    services = units(config)
    titles = [unit.service for unit in services]
    rows = [row for unit in services for row in _service(unit, titles)]
    rows += [_nodes(name) for name in sorted(group_name)]
    known: dict[str, object] = {"Root": root_stack, "Cluster": cluster_name}
    if load_balancer_name is not None:
        known["LoadBalancer"] = load_balancer_name
    for what, values in (
        ("Targets", target_group_name),
        ("Alternate", alternate_targets),
        ("Logs", log_group_name),
        ("Group", group_name),
        ("Queue", queue_name),
        ("Provider", {name: provider for name, provider in capacity_provider.items() if name in group_name}),
    ):
        known |= {f"{title_of(name)}{what}": value for name, value in values.items()}
    dashboard = stack.add(
        cloudwatch.Dashboard(
            "Dashboard", DashboardBody=Sub(json.dumps({"widgets": _placed(rows)}, separators=(",", ":")), known)
        )
    )
    return Outputs(Text(dashboard.ref()))


def _placed(rows: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    widgets = []
    for number, row in enumerate(rows):
        x = 0
        for widget in row:
            widgets.append({"x": x, "y": number * ROW, "height": ROW, **widget})
            x += widget["width"]
    return widgets


def _graph(title: str, statistic: str, metrics: list[Any], width: int) -> dict[str, Any]:
    properties = {
        "title": title,
        "region": "${AWS::Region}",
        "view": "timeSeries",
        "stat": statistic,
        "period": 60,
        "metrics": metrics,
    }
    return {"type": "metric", "width": width, "properties": properties}


def _service(unit: Unit, titles: list[str]) -> list[list[dict[str, Any]]]:
    """Requests, latency and targets of a web service; of any, its use of its tasks and the last lines of its log."""
    log = {
        "title": f"{unit.name}: last lines of the log",
        "region": "${AWS::Region}",
        "query": f"SOURCE '${{{unit.title}Logs}}' | fields @timestamp, @message | sort @timestamp desc | limit 100",
        "view": "table",
    }
    counts = _pulse(unit, titles)
    if not unit.is_web:
        found = [_use(unit, titles), *_tasks(unit, titles)]
        if unit.queue is not None:
            return [[*_queue(unit), *found], _beside(counts, log)]
        return [_beside([*found, *counts], log)]
    # Of two target groups now the one serves, and now the other.
    names = ["Targets", "Alternate"] if unit.has_alternate else ["Targets"]
    groups = [["LoadBalancer", "${LoadBalancer}", "TargetGroup", f"${{{unit.title}{name}}}"] for name in names]
    counted = [[ALB, metric, *group] for metric in ("RequestCount", "HTTPCode_Target_5XX_Count") for group in groups]
    # Those of the load balancer itself are of all its services.
    counted.append([ALB, "HTTPCode_ELB_5XX_Count", "LoadBalancer", "${LoadBalancer}"])
    times = [
        [ALB, "TargetResponseTime", *group, {"stat": stat, "label": stat}]
        for stat in ("p50", "p95", "p99")
        for group in groups
    ]
    serving = [[ALB, metric, *group] for metric in ("HealthyHostCount", "UnHealthyHostCount") for group in groups]
    return [
        [
            _graph(f"{unit.name}: requests and 5xx answers a minute", "Sum", counted, 6),
            _graph(f"{unit.name}: response time, seconds", "p99", times, 6),
            _graph(f"{unit.name}: tasks that can serve", "Maximum", serving, 6),
            _use(unit, titles),
        ],
        _beside(counts, log),
    ]


def _beside(widgets: list[dict[str, Any]], log: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of which the log has what is left."""
    return [*widgets, {"type": "log", "width": WIDTH - sum(each["width"] for each in widgets), "properties": log}]


def _pulse(unit: Unit, titles: list[str]) -> list[dict[str, Any]]:
    if unit.scaling.pulse is None:
        return []
    search = f'{{{pulse.NAMESPACE},{pulse.DIMENSION}}} MetricName="{pulse.METRIC}" '
    search += _named(pulse.DIMENSION, unit, titles)
    lines = [
        {"expression": f"SEARCH('{search}', '{statistic}', 60)", "label": label}
        for statistic, label in (("Average", "mean"), ("Maximum", "busiest"))
    ]
    return [_graph(f"{unit.name}: requests a second and task", "Average", [[line] for line in lines], 6)]


def _use(unit: Unit, titles: list[str]) -> dict[str, Any]:
    lines = [
        _found(unit, titles, ECS, metric, "Average", label)
        for metric, label in (("CPUUtilization", "CPU"), ("MemoryUtilization", "memory"))
    ]
    return _graph(f"{unit.name}: CPU and memory, percent", "Average", lines, 6)


def _queue(unit: Unit) -> list[dict[str, Any]]:
    """What waits in a worker's queue, what is worked on, and how long the oldest has been there."""

    def line(metric: str, label: str) -> list[Any]:
        return [SQS, metric, "QueueName", f"${{{unit.title}Queue}}", {"label": label}]

    counted = [
        line("ApproximateNumberOfMessagesVisible", "waiting"),
        line("ApproximateNumberOfMessagesNotVisible", "in work"),
    ]
    age = [line("ApproximateAgeOfOldestMessage", "oldest")]
    return [
        _graph(f"{unit.name}: messages", "Average", counted, 6),
        _graph(f"{unit.name}: age of the oldest message, seconds", "Maximum", age, 6),
    ]


def _tasks(unit: Unit, titles: list[str]) -> list[dict[str, Any]]:
    """How many tasks of a service behind no load balancer run, where a metric says so.

    No page says how many samples a task has of 20 s metrics.
    """
    insights = unit.config.cluster.container_insights != "disabled"
    if "CPUUtilization" in unit.fast_metrics and not insights:
        return []
    lines = [_found(unit, titles, *running_tasks(insights), "running")]
    if insights:
        lines.append(_found(unit, titles, INSIGHTS, "DesiredTaskCount", "Average", "desired"))
    return [_graph(f"{unit.name}: tasks", "Average", lines, 6)]


def _found(unit: Unit, titles: list[str], namespace: str, metric: str, statistic: str, label: str) -> list[Any]:
    """A line of a service, found by the beginning of its name: it comes after this stack, which takes nothing of it.

    CloudFormation names a service after its stack, and that one after the root and its title; a search that is not in
    double quotes matches words that follow each other anywhere in a name.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
    """
    search = f'{{{namespace},ClusterName,ServiceName}} ClusterName="${{Cluster}}" MetricName="{metric}" '
    search += _named("ServiceName", unit, titles)
    return [{"expression": f"SEARCH('{search}', '{statistic}', 60)", "label": label}]


def _named(dimension: str, unit: Unit, titles: list[str]) -> str:
    # The title of `web-service` begins as that of `web`.
    longer = [title for title in titles if title.startswith(unit.service) and title != unit.service]
    return " NOT ".join(f"{dimension}=${{Root}}-{title}" for title in (unit.service, *longer))


def _nodes(pool: str) -> list[dict[str, Any]]:
    group, provider = f"${{{title_of(pool)}Group}}", f"${{{title_of(pool)}Provider}}"
    counted = ("GroupInServiceInstances", "GroupDesiredCapacity", "GroupMaxSize")
    reservation = ["ClusterName", "${Cluster}", "CapacityProviderName", provider]
    return [
        _graph(
            f"{pool}: nodes",
            "Average",
            [["AWS/AutoScaling", name, "AutoScalingGroupName", group] for name in counted],
            WIDTH // 2,
        ),
        _graph(
            f"{pool}: capacity provider reservation, percent",
            "Average",
            [["AWS/ECS/ManagedScaling", "CapacityProviderReservation", *reservation]],
            WIDTH // 2,
        ),
    ]
