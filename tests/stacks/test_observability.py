"""Alarms: when they are raised, whom they tell; logs and what is seen at a glance."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import Templates, at, att, made, of_type, properties, ref, resource

#: A topic that is a parameter of the stack, or its own.
TOPICS = (ref("Topic"), ref("Alarms"))
#: What tells people: all alarms but those that scale.
TELLING = [
    ("web-foundation", "TargetErrors"),
    ("web-foundation", "LoadBalancerErrors"),
    ("web-foundation", "Latency"),
    ("web-foundation", "UnhealthyTargets"),
    ("web-foundation", "NodesAtMaximum"),
    ("web-service", "CpuHigh"),
    ("web-service", "MemoryHigh"),
    ("web-service", "TasksAtMaximum"),
]
told = pytest.mark.parametrize(("file", "title"), TELLING)


def alarm(file: str, title: str, **settings: Any) -> dict[str, Any]:
    return properties(made(observability=sc.Observability(**settings)), file, title)


def dimensions(metric: dict[str, Any]) -> dict[str, Any]:
    return {item["Name"]: item["Value"] for item in metric["Dimensions"]}


def test_these_are_all_the_alarms() -> None:
    alarms = {
        (file.removesuffix(".yaml"), title)
        for file, template in made().items()
        for title in of_type(template, "CloudWatch::Alarm")
    }
    assert alarms == set(TELLING)


@told
def test_an_alarm_tells_when_it_begins_and_when_it_ends(file: str, title: str) -> None:
    found = alarm(file, title)
    assert len(found["AlarmActions"]) == 1
    assert found["AlarmActions"] == found["OKActions"]
    assert found["AlarmActions"][0] in TOPICS
    assert found["AlarmDescription"].endswith(".")


@told
def test_an_alarm_is_quiet_while_there_is_nothing_to_measure(file: str, title: str) -> None:
    # Before the first image no task runs and no request comes.
    assert alarm(file, title)["TreatMissingData"] == "notBreaching"


#: Where CloudWatch has a metric: under another name it is one that never comes.
#: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html
NAMESPACES = {
    "HTTPCode_Target_5XX_Count": "AWS/ApplicationELB",
    "HTTPCode_ELB_5XX_Count": "AWS/ApplicationELB",
    "RequestCount": "AWS/ApplicationELB",
    "TargetResponseTime": "AWS/ApplicationELB",
    "HealthyHostCount": "AWS/ApplicationELB",
    "UnHealthyHostCount": "AWS/ApplicationELB",
    "GroupInServiceInstances": "AWS/AutoScaling",
    "CPUUtilization": "AWS/ECS",
    "MemoryUtilization": "AWS/ECS",
}


@told
def test_an_alarm_asks_for_a_metric_where_cloudwatch_has_it(file: str, title: str) -> None:
    found = alarm(file, title)
    metrics = [at(query, "MetricStat.Metric") for query in found.get("Metrics", []) if "MetricStat" in query] or [found]
    for metric in metrics:
        assert metric["Namespace"] == NAMESPACES[metric["MetricName"]]


#: How many minutes of how many are to be bad. Shorter would tell of every hiccup, longer of what clients have told.
PATIENCE = {
    "TargetErrors": (3, 5),
    "LoadBalancerErrors": (3, 5),
    "Latency": (5, 5),
    "UnhealthyTargets": (3, 5),
    "NodesAtMaximum": (15, 15),
    "CpuHigh": (10, 10),
    "MemoryHigh": (10, 10),
    "TasksAtMaximum": (15, 15),
}


@told
def test_an_alarm_waits_as_its_tunable_says(file: str, title: str) -> None:
    found = alarm(file, title)
    periods = [found["Period"]] if "Period" in found else [
        query["MetricStat"]["Period"] for query in found["Metrics"] if "MetricStat" in query
    ]  # fmt: skip
    assert set(periods) == {60}
    of = found["EvaluationPeriods"]
    assert (found.get("DatapointsToAlarm", of), of) == PATIENCE[title]


@pytest.mark.parametrize(
    ("title", "metric"),
    [("TargetErrors", "HTTPCode_Target_5XX_Count"), ("LoadBalancerErrors", "HTTPCode_ELB_5XX_Count")],
)
def test_errors_count_by_their_share_of_requests(title: str, metric: str) -> None:
    found = alarm("observability", title, error_percent=7)
    assert (found["Threshold"], found["ComparisonOperator"]) == (7, "GreaterThanThreshold")
    by_id = {query["Id"]: query for query in found["Metrics"]}
    assert [query["Id"] for query in found["Metrics"] if query["ReturnData"]] == ["share"]
    assert {name: at(by_id[name], "MetricStat.Metric.MetricName") for name in ("errors", "requests")} == {
        "errors": metric,
        "requests": "RequestCount",
    }
    for name in ("errors", "requests"):
        assert by_id[name]["MetricStat"]["Stat"] == "Sum"
        assert dimensions(at(by_id[name], "MetricStat.Metric")) == {"LoadBalancer": ref("LoadBalancerName")}
        assert at(by_id[name], "MetricStat.Metric.Namespace") == "AWS/ApplicationELB"
    # No request is no division by zero, and errors that come without one count as of one.
    assert by_id["share"]["Expression"] == "100 * FILL(errors, 0) / IF(FILL(requests, 0) > 0, requests, 1)"


def test_latency_is_that_of_the_slowest_hundredth() -> None:
    found = alarm("web-foundation", "Latency", latency_s=0.3)
    assert (found["Threshold"], found["ComparisonOperator"]) == (0.3, "GreaterThanThreshold")
    assert (found["MetricName"], found["ExtendedStatistic"]) == ("TargetResponseTime", "p99")
    assert dimensions(found) == {"LoadBalancer": ref("LoadBalancerName")}
    # With few requests a percentile is one request's time.
    assert found["EvaluateLowSampleCountPercentile"] == "ignore"


def test_a_single_target_that_fails_its_checks_is_one_too_many() -> None:
    found = alarm("web-foundation", "UnhealthyTargets")
    assert (found["MetricName"], found["Statistic"]) == ("UnHealthyHostCount", "Maximum")
    assert (found["Threshold"], found["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert dimensions(found) == {"LoadBalancer": ref("LoadBalancerName"), "TargetGroup": ref("TargetGroupName")}


@pytest.mark.parametrize("title", ["CpuHigh", "MemoryHigh"])
def test_use_that_scaling_does_not_bring_down_is_told(title: str) -> None:
    found = alarm("autoscaling", title, utilization_percent=81)
    assert (found["Threshold"], found["ComparisonOperator"], found["Statistic"]) == (
        81,
        "GreaterThanThreshold",
        "Average",
    )
    assert found["MetricName"] == {"CpuHigh": "CPUUtilization", "MemoryHigh": "MemoryUtilization"}[title]
    assert dimensions(found) == {"ClusterName": ref("ClusterName"), "ServiceName": ref("ServiceName")}
    assert found["Namespace"] == "AWS/ECS"


def test_it_is_told_when_there_is_no_room_to_grow_and_only_where_there_could_be() -> None:
    tasks, nodes = alarm("web-service", "TasksAtMaximum"), alarm("web-foundation", "NodesAtMaximum")
    # The least over the minutes: it was never less.
    for found in (tasks, nodes):
        assert (found["Statistic"], found["ComparisonOperator"]) == ("Minimum", "GreaterThanOrEqualToThreshold")
    assert (tasks["MetricName"], tasks["Threshold"]) == ("HealthyHostCount", ref("MaxTasks"))
    assert dimensions(tasks) == {"LoadBalancer": ref("LoadBalancerName"), "TargetGroup": ref("TargetGroupName")}
    assert (nodes["MetricName"], nodes["Threshold"]) == ("GroupInServiceInstances", 5)
    assert (nodes["Namespace"], dimensions(nodes)) == ("AWS/AutoScaling", {"AutoScalingGroupName": ref("GroupName")})
    # Where fewest and most are one, the maximum is where it always is.
    template = made()["web-service.yaml"]
    condition = template["Resources"]["TasksAtMaximum"]["Condition"]
    bounds = [ref("MinTasks"), ref("MaxTasks")]
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": bounds}]}
    for least, there in ((4, True), (5, False)):
        templates = made(nodes=sc.Ec2Capacity(min_nodes=least, max_nodes=5))
        assert ("NodesAtMaximum" in templates["web-foundation.yaml"]["Resources"]) == there


def test_whoever_is_named_is_told_by_mail_and_nobody_otherwise() -> None:
    template = made(observability=sc.Observability(alarm_email="ops@example.com"))
    mail = resource(template, "web-foundation", "EmailSubscription")
    assert mail["Properties"] == {"TopicArn": ref("Alarms"), "Protocol": "email", "Endpoint": ref("AlarmEmail")}
    nobody = {"Fn::Equals": [ref("AlarmEmail"), ""]}
    assert template["web-foundation.yaml"]["Conditions"][mail["Condition"]] == {"Fn::Not": [nobody]}
    assert template["root.yaml"]["Parameters"]["AlarmEmail"]["Default"] == "ops@example.com"


@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_logs_are_kept_as_long_as_is_asked_for(keep: bool, policy: str) -> None:
    group = resource(
        made(observability=sc.Observability(keep_logs=keep, log_retention_days=90)), "web-foundation", "ServiceLogs"
    )
    assert group["Properties"]["RetentionInDays"] == 90
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == policy


def test_alarms_that_a_deployment_watches_are_those_of_their_names() -> None:
    outputs = {name: output["Value"] for name, output in made()["web-foundation.yaml"]["Outputs"].items()}
    assert outputs == {
        "LogGroupName": ref("ServiceLogs"),
        "LogGroupArn": att("ServiceLogs", "Arn"),
        "Topic": ref("Alarms"),
        "TargetErrorsAlarm": ref("TargetErrors"),
        "UnhealthyTargetsAlarm": ref("UnhealthyTargets"),
        "DashboardName": ref("Dashboard"),
    }


# --- the dashboard


def widgets(templates: Templates | None = None) -> list[dict[str, Any]]:
    body, _ = properties(templates or made(), "web-foundation", "Dashboard")["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def test_widgets_fill_the_grid_and_lie_over_none() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    taken: set[tuple[int, int]] = set()
    for widget in widgets():
        assert widget["width"] >= 6 and widget["height"] >= 6
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert all(0 <= x < 24 and y >= 0 for x, y in cells)
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken))


def test_the_dashboard_shows_every_metric_that_an_alarm_watches() -> None:
    body, given = properties(made(), "web-foundation", "Dashboard")["DashboardBody"]["Fn::Sub"]
    for file, title in TELLING:
        found = alarm(file, title)
        names = re.findall(r"'MetricName': '(\w+)'", str(found))
        assert names
        for name in names:
            assert name in body, name
    assert set(re.findall(r"\$\{(\w+)\}", body)) == set(given)
    assert given == {
        "LoadBalancer": ref("LoadBalancerName"),
        "TargetGroup": ref("TargetGroupName"),
        "Cluster": ref("ClusterName"),
        "CapacityProvider": ref("CapacityProvider"),
        "Group": ref("GroupName"),
        "LogGroup": ref("ServiceLogs"),
    }


def test_graphs_have_a_point_a_minute_in_the_set_s_region() -> None:
    *graphs, last = widgets()
    assert all(graph["type"] == "metric" and graph["properties"]["period"] == 60 for graph in graphs)
    assert all(widget["properties"]["region"] == "${AWS::Region}" for widget in (*graphs, last))
    # A line over time each, of the last minutes' figures, and not a single number.
    assert {graph["properties"]["view"] for graph in graphs} == {"timeSeries"}
    assert (last["type"], last["properties"]["view"]) == ("log", "table")
    assert len({widget["properties"]["title"] for widget in (*graphs, last)}) == len(graphs) + 1


def test_a_line_is_drawn_of_a_metric_that_cloudwatch_has_and_called_what_it_is() -> None:
    *graphs, last = widgets()
    drawn = {graph["properties"]["title"]: graph["properties"] for graph in graphs}
    names = {**NAMESPACES, "GroupDesiredCapacity": "AWS/AutoScaling", "GroupMaxSize": "AWS/AutoScaling"}
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html
    names["CapacityProviderReservation"] = "AWS/ECS/ManagedScaling"
    for graph in drawn.values():
        for first, *rest in graph["metrics"]:
            assert isinstance(first, dict) or names[rest[0]] == first
    latencies = [line[-1] for line in drawn["Response time, seconds"]["metrics"]]
    assert latencies == [{"stat": of, "label": of} for of in ("p50", "p95", "p99")]
    # A count is a sum; what is there at a time is not; and a metric that is found needs the statistic in its search.
    assert {title: graph["stat"] for title, graph in drawn.items()} == {
        "Requests and 5xx answers a minute": "Sum",
        "Response time, seconds": "p99",
        "Tasks that can serve": "Maximum",
        "CPU and memory of the service, percent": "Average",
        "Nodes": "Average",
        "Capacity provider reservation, percent": "Average",
    }
    use = [line[0] for line in drawn["CPU and memory of the service, percent"]["metrics"]]
    assert [line["label"] for line in use] == ["CPU", "Memory"]
    for line, metric in zip(use, ("CPUUtilization", "MemoryUtilization"), strict=True):
        found = f'{{AWS/ECS,ClusterName,ServiceName}} ClusterName="${{Cluster}}" MetricName="{metric}"'
        assert line["expression"] == f"SEARCH('{found}', 'Average', 60)"
    assert last["properties"]["query"].startswith("SOURCE '${LogGroup}' | ")
