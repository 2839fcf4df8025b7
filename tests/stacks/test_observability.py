"""Alarms: when they are raised, whom they tell; logs and what is seen at a glance."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaleout_cfn as sc
from scaleout_cfn.config.units import title_of
from stacks.helpers import NAME_OF_SERVICE, Templates, at, att, made, of_type, properties, ref, resource

TOPICS = (ref("Topic"),)
#: What tells people: all alarms but those that scale.
TELLING = [
    ("web-foundation", "TargetErrors"),
    ("load-balancer", "LoadBalancerErrors"),
    ("web-foundation", "Latency"),
    ("web-foundation", "UnhealthyTargets"),
    ("capacity", "NodesAtMaximum"),
    ("web-service", "CpuHigh"),
    ("web-service", "MemoryHigh"),
    ("web-service", "TasksAtMaximum"),
]
ON_TARGETS = {"LoadBalancer": ref("LoadBalancerName"), "TargetGroup": att("TargetGroup", "TargetGroupFullName")}
told = pytest.mark.parametrize(("file", "title"), TELLING)


def alarm(file: str, title: str, **settings: Any) -> dict[str, Any]:
    return properties(made(service=sc.WebService(alarms=sc.WebAlarms(**settings))), file, title)


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


@pytest.mark.parametrize("title", ["TargetErrors", "LoadBalancerErrors"])
def test_errors_count_by_their_share_of_requests(title: str) -> None:
    full_name = at(properties(made(), "load-balancer", "LoadBalancerErrors")["Metrics"][0], "MetricStat.Metric")
    if title == "TargetErrors":
        found, metric = alarm("web-foundation", title, error_percent=7), "HTTPCode_Target_5XX_Count"
        # Of this service alone: another one's errors are its own.
        watched = ON_TARGETS
    else:
        balancer = sc.NewLoadBalancer(error_percent=7)
        found, metric = properties(made(load_balancer=balancer), "load-balancer", title), "HTTPCode_ELB_5XX_Count"
        watched = {"LoadBalancer": att("LoadBalancer", "LoadBalancerFullName")}
        assert dimensions(full_name) == watched
    assert (found["Threshold"], found["ComparisonOperator"]) == (7, "GreaterThanThreshold")
    by_id = {query["Id"]: query for query in found["Metrics"]}
    assert [query["Id"] for query in found["Metrics"] if query["ReturnData"]] == ["share"]
    assert {name: at(by_id[name], "MetricStat.Metric.MetricName") for name in ("errors", "requests")} == {
        "errors": metric,
        "requests": "RequestCount",
    }
    for name in ("errors", "requests"):
        assert by_id[name]["MetricStat"]["Stat"] == "Sum"
        assert dimensions(at(by_id[name], "MetricStat.Metric")) == watched
        assert at(by_id[name], "MetricStat.Metric.Namespace") == "AWS/ApplicationELB"
    # No request is no division by zero, and errors that come without one count as of one.
    assert by_id["share"]["Expression"] == "100 * FILL(errors, 0) / IF(FILL(requests, 0) > 0, requests, 1)"


def test_latency_is_that_of_the_slowest_hundredth() -> None:
    found = alarm("web-foundation", "Latency", latency_s=0.3)
    assert (found["Threshold"], found["ComparisonOperator"]) == (0.3, "GreaterThanThreshold")
    assert (found["MetricName"], found["ExtendedStatistic"]) == ("TargetResponseTime", "p99")
    assert dimensions(found) == ON_TARGETS
    # With few requests a percentile is one request's time.
    assert found["EvaluateLowSampleCountPercentile"] == "ignore"


def test_a_single_target_that_fails_its_checks_is_one_too_many() -> None:
    found = alarm("web-foundation", "UnhealthyTargets")
    assert (found["MetricName"], found["Statistic"]) == ("UnHealthyHostCount", "Maximum")
    assert (found["Threshold"], found["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert dimensions(found) == ON_TARGETS


@pytest.mark.parametrize("title", ["CpuHigh", "MemoryHigh"])
def test_use_that_scaling_does_not_bring_down_is_told(title: str) -> None:
    found = alarm("web-service", title, utilization_percent=81)
    assert (found["Threshold"], found["ComparisonOperator"], found["Statistic"]) == (
        81,
        "GreaterThanThreshold",
        "Average",
    )
    assert found["MetricName"] == {"CpuHigh": "CPUUtilization", "MemoryHigh": "MemoryUtilization"}[title]
    assert dimensions(found) == {"ClusterName": ref("ClusterName"), "ServiceName": NAME_OF_SERVICE}
    assert found["Namespace"] == "AWS/ECS"


def test_it_is_told_when_there_is_no_room_to_grow_and_only_where_there_could_be() -> None:
    tasks, nodes = alarm("web-service", "TasksAtMaximum"), alarm("capacity", "NodesAtMaximum")
    # The least over the minutes: it was never less.
    for found in (tasks, nodes):
        assert (found["Statistic"], found["ComparisonOperator"]) == ("Minimum", "GreaterThanOrEqualToThreshold")
    assert (tasks["MetricName"], tasks["Threshold"]) == ("HealthyHostCount", ref("MaxTasks"))
    assert dimensions(tasks) == {"LoadBalancer": ref("LoadBalancerName"), "TargetGroup": ref("TargetGroupName")}
    assert (nodes["MetricName"], nodes["Threshold"]) == ("GroupInServiceInstances", 5)
    assert (nodes["Namespace"], dimensions(nodes)) == ("AWS/AutoScaling", {"AutoScalingGroupName": ref("NodesGroup")})
    # Where fewest and most are one, the maximum is where it always is.
    template = made()["web-service.yaml"]
    condition = template["Resources"]["TasksAtMaximum"]["Condition"]
    bounds = [ref("MinTasks"), ref("MaxTasks")]
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": bounds}]}
    for least, there in ((4, True), (5, False)):
        templates = made(nodes=sc.Ec2Capacity(min_nodes=least, max_nodes=5))
        assert ("NodesAtMaximum" in templates["capacity.yaml"]["Resources"]) == there


def test_whoever_is_named_is_told_by_mail_and_nobody_otherwise() -> None:
    template = made(observability=sc.Observability(alarm_email="ops@example.com"))
    mail = resource(template, "notifications", "EmailSubscription")
    assert mail["Properties"] == {"TopicArn": ref("Alarms"), "Protocol": "email", "Endpoint": ref("AlarmEmail")}
    nobody = {"Fn::Equals": [ref("AlarmEmail"), ""]}
    assert template["notifications.yaml"]["Conditions"][mail["Condition"]] == {"Fn::Not": [nobody]}
    assert template["root.yaml"]["Parameters"]["AlarmEmail"]["Default"] == "ops@example.com"


@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_logs_are_kept_as_long_as_is_asked_for(keep: bool, policy: str) -> None:
    group = resource(
        made(observability=sc.Observability(keep_logs=keep, log_retention_days=90)), "web-foundation", "Logs"
    )
    assert group["Properties"]["RetentionInDays"] == 90
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == policy


def test_alarms_that_a_deployment_watches_are_those_of_their_names() -> None:
    outputs = {name: output["Value"] for name, output in made()["web-foundation.yaml"]["Outputs"].items()}
    assert outputs["Alarms"] == {"Fn::Join": [",", [ref("TargetErrors"), ref("UnhealthyTargets")]]}
    unwatched = made(service=sc.WebService(deployment=sc.WebRolling(alarms=False)))["web-foundation.yaml"]["Outputs"]
    assert "Alarms" not in unwatched


# --- the dashboard


def widgets(templates: Templates | None = None) -> list[dict[str, Any]]:
    body, _ = properties(templates or made(), "dashboard", "Dashboard")["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def of_services(**sections: Any) -> sc.Config:
    """Workers of some names, of which each may have sections of its own; on a pool that holds them all."""
    pool = sc.Ec2Capacity(instance_types=("m7i.4xlarge",), max_nodes=10)
    cluster = sections.pop("cluster", sc.Cluster())
    return sc.Config(capacity={"nodes": pool}, cluster=cluster, services=sections)


SHAPES = [
    made(),
    made(of_services(web=sc.WebService(), mailer=sc.WorkerService(), api=sc.InternalService())),
    made(of_services(mailer=sc.WorkerService(scaling=sc.Scaling(high_resolution=False)), web=sc.WebService())),
    made(sc.Config(capacity={"fargate": sc.FargateCapacity()}, services={"a": sc.WorkerService(memory_mib=512)})),
]


@pytest.mark.parametrize("templates", SHAPES)
def test_widgets_fill_the_grid_and_lie_over_none(templates: Templates) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    taken: set[tuple[int, int]] = set()
    for widget in widgets(templates):
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
    body, given = properties(made(), "dashboard", "Dashboard")["DashboardBody"]["Fn::Sub"]
    for file, title in TELLING:
        found = alarm(file, title)
        names = re.findall(r"'MetricName': '(\w+)'", str(found))
        assert names
        for name in names:
            assert name in body, name
    assert set(re.findall(r"\$\{(\w+)\}", body)) == set(given)
    assert given == {
        "Root": ref("RootStack"),
        "LoadBalancer": ref("LoadBalancerName"),
        "WebTargets": ref("WebTargetGroupName"),
        "Cluster": ref("ClusterName"),
        "NodesProvider": ref("NodesCapacityProvider"),
        "NodesGroup": ref("NodesGroupName"),
        "WebLogs": ref("WebLogGroupName"),
    }


@pytest.mark.parametrize("templates", SHAPES)
def test_graphs_have_a_point_a_minute_in_the_set_s_region(templates: Templates) -> None:
    logs = [widget["properties"] for widget in widgets(templates) if widget["type"] == "log"]
    graphs = [widget["properties"] for widget in widgets(templates) if widget["type"] == "metric"]
    assert all(graph["period"] == 60 for graph in graphs)
    assert all(shown["region"] == "${AWS::Region}" for shown in (*graphs, *logs))
    # A line over time each, of the last minutes' figures, and not a single number.
    assert {graph["view"] for graph in graphs} == {"timeSeries"}
    assert {log["view"] for log in logs} == {"table"}
    assert len({shown["title"] for shown in (*graphs, *logs)}) == len(graphs) + len(logs)


def drawn(templates: Templates) -> dict[str, dict[str, Any]]:
    """What each graph draws, by its title."""
    graphs = (widget["properties"] for widget in widgets(templates) if widget["type"] == "metric")
    return {graph["title"]: graph for graph in graphs}


def test_a_line_is_drawn_of_a_metric_that_cloudwatch_has_and_called_what_it_is() -> None:
    graphs = drawn(made())
    names = {**NAMESPACES, "GroupDesiredCapacity": "AWS/AutoScaling", "GroupMaxSize": "AWS/AutoScaling"}
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html
    names["CapacityProviderReservation"] = "AWS/ECS/ManagedScaling"
    for graph in graphs.values():
        for first, *rest in graph["metrics"]:
            assert isinstance(first, dict) or names[rest[0]] == first
    latencies = [line[-1] for line in graphs["web: response time, seconds"]["metrics"]]
    assert latencies == [{"stat": of, "label": of} for of in ("p50", "p95", "p99")]
    # A count is a sum; what is there at a time is not.
    assert {title: graph["stat"] for title, graph in graphs.items()} == {
        "web: requests and 5xx answers a minute": "Sum",
        "web: response time, seconds": "p99",
        "web: tasks that can serve": "Maximum",
        "web: CPU and memory, percent": "Average",
        "nodes: nodes": "Average",
        "nodes: capacity provider reservation, percent": "Average",
    }
    (last,) = (widget for widget in widgets() if widget["type"] == "log")
    assert last["properties"]["query"].startswith("SOURCE '${WebLogs}' | ")


def searches(templates: Templates, title: str) -> dict[str, str]:
    """The lines of a graph that are searched for: each by its label."""
    return {line["label"]: line["expression"] for (line,) in drawn(templates)[title]["metrics"]}


def test_each_service_has_its_use_of_cpu_and_memory_of_the_cluster_s_one_service() -> None:
    for name, title in (("web", "Web"), ("mailer", "Mailer"), ("api", "Api")):
        where = '{AWS/ECS,ClusterName,ServiceName} ClusterName="${Cluster}" MetricName="%s"'
        assert searches(SHAPES[1], f"{name}: CPU and memory, percent") == {
            label: f"SEARCH('{where % metric} ServiceName=${{Root}}-{title}Service', 'Average', 60)"
            for label, metric in (("CPU", "CPUUtilization"), ("memory", "MemoryUtilization"))
        }


def test_tasks_of_a_service_without_targets_are_counted_where_a_metric_says_how_many() -> None:
    assert "mailer: tasks" not in drawn(SHAPES[1])
    (line,) = searches(SHAPES[2], "mailer: tasks").values()
    assert 'MetricName="CPUUtilization"' in line and line.endswith("'SampleCount', 60)")
    insights = made(of_services(mailer=sc.WorkerService(), cluster=sc.Cluster(container_insights="enabled")))
    lines = searches(insights, "mailer: tasks")
    assert "RunningTaskCount" in lines["running"] and "DesiredTaskCount" in lines["desired"]
    assert all("{ECS/ContainerInsights," in line and line.endswith("'Average', 60)") for line in lines.values())


def tokens(text: str) -> list[str]:
    """The words of a name: where letters become digits or the other way, at a capital, and at what is neither."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", text)


def finds(search: str, name: str) -> bool:
    """Whether a search finds a service, by CloudWatch's rules for what is not in double quotes.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
    """

    def within(term: str) -> bool:
        sought, there = tokens(term), tokens(name)
        return any(there[at : at + len(sought)] == sought for at in range(len(there)))

    terms = re.findall(r"(NOT )?ServiceName=([\w-]+)", search)
    return all(within(term) != bool(excluded) for excluded, term in terms)


NAMES = ["web", "order-web", "web-service", "web-service-b", "web2", "service", "webs", "we-bs"]


@settings(max_examples=10, deadline=None)
@given(
    names=st.sets(st.sampled_from(NAMES), min_size=2),
    root=st.sampled_from(["shop", "web", "order", "web-prod", "Web2"]),
)
def test_a_row_s_search_finds_its_own_service_and_no_other_of_the_set(names: set[str], root: str) -> None:
    templates = made(of_services(**{name: sc.WorkerService() for name in names}))
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
    ids = {name: f"{root}-{title_of(name)}Service-1A2BCDEFGH3IJ-Service-K4LMNOPQ5RST" for name in names}
    for name in names:
        for search in searches(templates, f"{name}: CPU and memory, percent").values():
            search = search.replace("${Root}", root)
            assert [other for other in names if finds(search, ids[other])] == [name]
