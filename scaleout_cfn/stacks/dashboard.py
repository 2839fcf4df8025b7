"""The dashboard: a row for each service, one for their use of CPU and memory, and one for each pool of nodes."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct
from troposphere import Sub, cloudwatch

from scaleout_cfn.config import Config
from scaleout_cfn.config.units import title_of, units
from scaleout_cfn.metrics import ALB
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import (
    CapacityProviderName,
    ClusterName,
    GroupName,
    LoadBalancerName,
    LogGroupName,
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
    cluster_name: ClusterName,
    load_balancer_name: LoadBalancerName | None,
    target_group_name: dict[str, TargetGroupName],
    log_group_name: dict[str, LogGroupName],
    capacity_provider: dict[str, CapacityProviderName],
    group_name: dict[str, GroupName],
) -> Outputs:
    rows = [_service(unit.name, unit.title, is_web=unit.is_web) for unit in units(config)]
    rows.append(_use())
    rows += [_nodes(name) for name in sorted(group_name)]
    known: dict[str, object] = {"Cluster": cluster_name}
    if load_balancer_name is not None:
        known["LoadBalancer"] = load_balancer_name
    for what, values in (
        ("Targets", target_group_name),
        ("Logs", log_group_name),
        ("Group", group_name),
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
    """Widgets side by side, row below row."""
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


def _service(name: str, title: str, *, is_web: bool) -> list[dict[str, Any]]:
    """Requests, latency and targets of a web service, and the last lines of any service's log."""
    log = {
        "title": f"{name}: last lines of the log",
        "region": "${AWS::Region}",
        "query": f"SOURCE '${{{title}Logs}}' | fields @timestamp, @message | sort @timestamp desc | limit 100",
        "view": "table",
    }
    if not is_web:
        return [{"type": "log", "width": WIDTH, "properties": log}]
    targets = ["LoadBalancer", "${LoadBalancer}", "TargetGroup", f"${{{title}Targets}}"]
    counted = [[ALB, metric, *targets] for metric in ("RequestCount", "HTTPCode_Target_5XX_Count")]
    # Those of the load balancer itself are of all its services.
    counted.append([ALB, "HTTPCode_ELB_5XX_Count", "LoadBalancer", "${LoadBalancer}"])
    times = [[ALB, "TargetResponseTime", *targets, {"stat": stat, "label": stat}] for stat in ("p50", "p95", "p99")]
    serving = [[ALB, metric, *targets] for metric in ("HealthyHostCount", "UnHealthyHostCount")]
    return [
        _graph(f"{name}: requests and 5xx answers a minute", "Sum", counted, 6),
        _graph(f"{name}: response time, seconds", "p99", times, 6),
        _graph(f"{name}: tasks that can serve", "Maximum", serving, 6),
        {"type": "log", "width": 6, "properties": log},
    ]


def _use() -> list[dict[str, Any]]:
    """Of all services, found by cluster: they come after this stack, and it takes nothing of what changes with them."""
    search = '{AWS/ECS,ClusterName,ServiceName} ClusterName="${Cluster}" MetricName='
    return [
        _graph(
            f"{what} of the services, percent",
            "Average",
            [[{"expression": f"SEARCH('{search}\"{metric}\"', 'Average', 60)", "label": ""}]],
            WIDTH // 2,
        )
        for what, metric in (("CPU", "CPUUtilization"), ("Memory", "MemoryUtilization"))
    ]


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
