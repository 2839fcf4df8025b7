"""Observability: the log group of the containers, the alarms, whom they tell, and the dashboard."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct
from troposphere import Equals, Not, Sub, cloudwatch, logs, sns

from scaleout_cfn.config import Config
from scaleout_cfn.metrics import ALB, dimensions
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import (
    AlarmName,
    CapacityProviderName,
    ClusterName,
    EmailAddress,
    GroupName,
    LoadBalancerName,
    LogGroupArn,
    LogGroupName,
    TargetGroupName,
    Text,
    TopicArn,
)


class Outputs(Struct, frozen=True):
    log_group_name: LogGroupName
    log_group_arn: LogGroupArn
    topic: TopicArn
    target_errors_alarm: AlarmName
    unhealthy_targets_alarm: AlarmName
    dashboard_name: Text


def build(
    stack: Stack,
    config: Config,
    *,
    load_balancer_name: LoadBalancerName,
    target_group_name: TargetGroupName,
    cluster_name: ClusterName,
    capacity_provider: CapacityProviderName,
    group_name: GroupName,
    alarm_email: EmailAddress,
) -> Outputs:
    # Here and not beside the service, so that the logs of a first deployment that fails are there to be read.
    policy = "Retain" if config.observability.keep_logs else "Delete"
    log_group = stack.add(
        logs.LogGroup(
            "ServiceLogs",
            RetentionInDays=config.observability.log_retention_days,
            DeletionPolicy=policy,
            UpdateReplacePolicy=policy,
        )
    )
    topic = stack.add(sns.Topic("Alarms"))
    # A parameter, not a Python if: who is told is often known only to whoever creates the stack.
    told = stack.condition("HasEmail", Not(Equals(alarm_email, "")))
    stack.add(
        sns.SubscriptionResource(
            "EmailSubscription", TopicArn=topic.ref(), Protocol="email", Endpoint=alarm_email, Condition=told
        )
    )
    on_balancer = {"LoadBalancer": load_balancer_name}
    on_targets = {**on_balancer, "TargetGroup": target_group_name}
    target_errors = _error_alarm(
        stack, config, topic, "TargetErrors", "HTTPCode_Target_5XX_Count", "the targets", on_balancer
    )
    _error_alarm(
        stack, config, topic, "LoadBalancerErrors", "HTTPCode_ELB_5XX_Count", "the load balancer itself", on_balancer
    )
    stack.add(
        cloudwatch.Alarm(
            "Latency",
            AlarmDescription="p99 of the targets' response time is over its threshold.",
            Namespace=ALB,
            MetricName="TargetResponseTime",
            Dimensions=dimensions(on_balancer),
            ExtendedStatistic="p99",
            Period=60,
            EvaluationPeriods=5,
            DatapointsToAlarm=5,
            Threshold=config.observability.latency_s,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            # With few requests a percentile is one request's time.
            EvaluateLowSampleCountPercentile="ignore",
            AlarmActions=[topic.ref()],
            OKActions=[topic.ref()],
        )
    )
    unhealthy = stack.add(
        cloudwatch.Alarm(
            "UnhealthyTargets",
            AlarmDescription="Targets fail their health checks.",
            Namespace=ALB,
            MetricName="UnHealthyHostCount",
            Dimensions=dimensions(on_targets),
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=5,
            DatapointsToAlarm=3,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic.ref()],
            OKActions=[topic.ref()],
        )
    )
    if config.cluster.min_nodes < config.cluster.max_nodes:
        stack.add(
            cloudwatch.Alarm(
                "NodesAtMaximum",
                AlarmDescription="The cluster has as many nodes as it may have: tasks may wait for room.",
                Namespace="AWS/AutoScaling",
                MetricName="GroupInServiceInstances",
                Dimensions=dimensions({"AutoScalingGroupName": group_name}),
                Statistic="Minimum",
                Period=60,
                EvaluationPeriods=15,
                Threshold=config.cluster.max_nodes,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                TreatMissingData="notBreaching",
                AlarmActions=[topic.ref()],
                OKActions=[topic.ref()],
            )
        )
    dashboard = stack.add(
        cloudwatch.Dashboard(
            "Dashboard",
            DashboardBody=Sub(
                json.dumps({"widgets": _widgets()}, indent=1),
                {
                    "LoadBalancer": load_balancer_name,
                    "TargetGroup": target_group_name,
                    "Cluster": cluster_name,
                    "CapacityProvider": capacity_provider,
                    "Group": group_name,
                    "LogGroup": log_group.ref(),
                },
            ),
        )
    )
    return Outputs(
        LogGroupName(log_group.ref()),
        LogGroupArn(log_group.get_att("Arn")),
        TopicArn(topic.ref()),
        AlarmName(target_errors.ref()),
        AlarmName(unhealthy.ref()),
        Text(dashboard.ref()),
    )


def _error_alarm(
    stack: Stack, config: Config, topic: sns.Topic, title: str, metric: str, who: str, watched: dict[str, Any]
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
            Threshold=config.observability.error_percent,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic.ref()],
            OKActions=[topic.ref()],
        )
    )


def _widgets() -> list[dict[str, Any]]:
    """Traffic, errors, latency, tasks, their use, nodes and the last lines of the log, two in a row."""
    balancer = ["LoadBalancer", "${LoadBalancer}"]
    targets = [*balancer, "TargetGroup", "${TargetGroup}"]
    by_service = '{AWS/ECS,ClusterName,ServiceName} ClusterName="${Cluster}" MetricName='
    graphs = [
        (
            "Requests and 5xx answers a minute",
            "Sum",
            [
                [ALB, "RequestCount", *balancer],
                [ALB, "HTTPCode_Target_5XX_Count", *balancer],
                [ALB, "HTTPCode_ELB_5XX_Count", *balancer],
            ],
        ),
        (
            "Response time, seconds",
            "p99",
            [
                [ALB, "TargetResponseTime", *balancer, {"stat": "p50", "label": "p50"}],
                [ALB, "TargetResponseTime", *balancer, {"stat": "p95", "label": "p95"}],
                [ALB, "TargetResponseTime", *balancer, {"stat": "p99", "label": "p99"}],
            ],
        ),
        (
            "Tasks that can serve",
            "Maximum",
            [[ALB, "HealthyHostCount", *targets], [ALB, "UnHealthyHostCount", *targets]],
        ),
        (
            "CPU and memory of the service, percent",
            "Average",
            # Found by cluster: the service comes after this stack, and takes its log group from it.
            [
                [{"expression": f"SEARCH('{by_service}\"CPUUtilization\"', 'Average', 60)", "label": "CPU"}],
                [{"expression": f"SEARCH('{by_service}\"MemoryUtilization\"', 'Average', 60)", "label": "Memory"}],
            ],
        ),
        (
            "Nodes",
            "Average",
            [
                ["AWS/AutoScaling", name, "AutoScalingGroupName", "${Group}"]
                for name in ("GroupInServiceInstances", "GroupDesiredCapacity", "GroupMaxSize")
            ],
        ),
        (
            "Capacity provider reservation, percent",
            "Average",
            [
                [
                    "AWS/ECS/ManagedScaling",
                    "CapacityProviderReservation",
                    "ClusterName",
                    "${Cluster}",
                    "CapacityProviderName",
                    "${CapacityProvider}",
                ]
            ],
        ),
    ]
    widgets: list[dict[str, Any]] = []
    for number, (title, statistic, metrics) in enumerate(graphs):
        place = {"x": number % 2 * 12, "y": number // 2 * 6, "width": 12, "height": 6}
        properties = {
            "title": title,
            "region": "${AWS::Region}",
            "view": "timeSeries",
            "stat": statistic,
            "period": 60,
            "metrics": metrics,
        }
        widgets.append({"type": "metric", **place, "properties": properties})
    widgets.append(
        {
            "type": "log",
            "x": 0,
            "y": len(graphs) // 2 * 6,
            "width": 24,
            "height": 8,
            "properties": {
                "title": "Last lines of the log",
                "region": "${AWS::Region}",
                "query": "SOURCE '${LogGroup}' | fields @timestamp, @message | sort @timestamp desc | limit 100",
                "view": "table",
            },
        }
    )
    return widgets
