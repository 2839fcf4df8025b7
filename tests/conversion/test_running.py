"""`import ecs`: what becomes of services that run, by answers that AWS's models know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import validate_parameters

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config import Ec2Capacity, FargateCapacity, InternalService, WebService, WorkerService
from scaleout_cfn.conversion.running import read_cluster
from scaleout_cfn.errors import UsageError
from scaleout_cfn.permissions import policies

from .accounts import FATES, finished, lines

ARN = "arn:aws:ecs:eu-west-1:111122223333"
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/shop/0123456789abcdef"
MODELS = botocore.session.get_session()


def service(name: str, **more: Any) -> dict[str, Any]:
    """A service as DescribeServices tells of it."""
    return {
        "serviceName": name,
        "desiredCount": 2,
        "taskDefinition": f"{ARN}:task-definition/{name}:3",
        "status": "ACTIVE",
        **more,
    }


def definition(name: str, **more: Any) -> dict[str, Any]:
    """A task definition of one container."""
    container = {
        "name": name,
        "image": f"ghcr.io/shop/{name}:1",
        "cpu": 200,
        "memory": 400,
        "environment": [{"name": "LEVEL", "value": "info"}, {"name": "API_TOKEN", "value": "abcdef"}],
        "secrets": [{"name": "KEY", "valueFrom": "arn:aws:ssm:eu-west-1:111122223333:parameter/key"}],
        "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 20, "timeout": 4, "retries": 2},
    }
    if name == "stock":
        container["portMappings"] = [{"containerPort": 9001}, {"containerPort": 9000, "name": "http"}]
    return {"family": name, "revision": 3, "containerDefinitions": [container], **more}


def answers() -> dict[str, Any]:
    """What a small cluster answers, by operation."""
    services = [
        service(
            "shop",
            launchType="FARGATE",
            loadBalancers=[{"targetGroupArn": GROUP, "containerName": "shop", "containerPort": 3000}],
        ),
        service("mailer", capacityProviderStrategy=[{"capacityProvider": "nodes", "weight": 1}]),
    ]
    return {
        "ListServices": {"serviceArns": [f"{ARN}:service/market/{each['serviceName']}" for each in services]},
        "DescribeServices": {"services": services},
        "DescribeCapacityProviders": {
            "capacityProviders": [
                {
                    "name": "nodes",
                    "autoScalingGroupProvider": {
                        "autoScalingGroupArn": "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:x:n/nodes"
                    },
                }
            ]
        },
        "DescribeAutoScalingGroups": {
            "AutoScalingGroups": [
                {
                    "AutoScalingGroupName": "nodes",
                    "MinSize": 1,
                    "MaxSize": 1,
                    "DesiredCapacity": 1,
                    "DefaultCooldown": 300,
                    "AvailabilityZones": ["eu-west-1a"],
                    "HealthCheckType": "EC2",
                    "CreatedTime": "2026-01-01T00:00:00Z",
                    "Instances": [],
                }
            ]
        },
        "DescribeTargetGroups": {
            "TargetGroups": [
                {
                    "TargetGroupName": "shop",
                    "HealthCheckPath": "/up",
                    "HealthCheckIntervalSeconds": 15,
                    "Matcher": {"HttpCode": "200-299"},
                    "LoadBalancerArns": ["arn:balancer"],
                }
            ]
        },
        "DescribeListeners": {"Listeners": [{"ListenerArn": "arn:listener", "Port": 443}]},
        "DescribeRules": {
            "Rules": [
                {
                    "Priority": "5",
                    "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/shop/*"]}}],
                    "Actions": [{"Type": "forward", "TargetGroupArn": GROUP}],
                }
            ]
        },
        "DescribeScalableTargets": {"ScalableTargets": []},
        "DescribeScalingPolicies": {"ScalingPolicies": []},
        "DescribeScheduledActions": {"ScheduledActions": []},
    }


SCALED = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/market/shop",
    "ScalableDimension": "ecs:service:DesiredCount",
    "CreationTime": "2026-01-01T00:00:00Z",
}


class Read:
    """AWS as far as it is read: each question and each answer is held against its model."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: set[str] = set()

    def read(self, name: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """Answer one call, which has the name that a client's method has."""
        models = MODELS.get_service_model(name)
        operation = {xform_name(each): each for each in models.operation_names}[operation]
        model = models.operation_model(operation)
        validate_parameters(arguments, model.input_shape)
        self.asked.add(f"{'elasticloadbalancing' if name == 'elbv2' else name}:{operation}")
        answer = self.answers.get(operation, {})
        if operation == "DescribeTaskDefinition":
            name = arguments["taskDefinition"].rpartition("/")[2].partition(":")[0]
            answer = {"taskDefinition": definition(name, **({"cpu": "256", "memory": "512"} if name == "shop" else {}))}
        elif operation.startswith("DescribeScal") or operation == "DescribeScheduledActions":
            resource = arguments.get("ResourceId") or arguments["ResourceIds"][0]
            (key, entries), *_ = answer.items()
            answer = {key: [entry for entry in entries if entry["ResourceId"] == resource]}
        validate_parameters(answer, model.output_shape)
        return cast("dict[str, Any]", answer)

    def pages(self, name: str, operation: str, /, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Answer one call that may have pages."""
        yield self.read(name, operation, **arguments)


def test_a_running_service_becomes_the_config_nearest_to_it(tmp_path: Path) -> None:
    told = answers()
    told["DescribeScalableTargets"]["ScalableTargets"] = [
        {**SCALED, "MinCapacity": 2, "MaxCapacity": 9, "RoleARN": "arn:role"}
    ]
    told["DescribeScalingPolicies"]["ScalingPolicies"] = [
        {
            **SCALED,
            "PolicyName": "burst-of-load",
            "PolicyARN": "arn:policy",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "PercentChangeInCapacity",
                "StepAdjustments": [
                    {"MetricIntervalLowerBound": 10.0, "ScalingAdjustment": 100},
                    {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.0, "ScalingAdjustment": 40},
                ],
                "Cooldown": 45,
            },
            "Alarms": [{"AlarmName": "burst", "AlarmARN": "arn:alarm"}],
            "CreationTime": "2026-01-01T00:00:00Z",
        },
        {
            **SCALED,
            "PolicyName": "cpu",
            "PolicyARN": "arn:policy",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 55.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
                "ScaleInCooldown": 90,
            },
        },
    ]
    told["DescribeScheduledActions"]["ScheduledActions"] = [
        {
            **SCALED,
            "ScheduledActionName": "morning",
            "ScheduledActionARN": "arn:action",
            "Schedule": "cron(0 7 * * ? *)",
            "ScalableTargetAction": {"MinCapacity": 4, "MaxCapacity": 9},
        }
    ]
    told["DescribeAlarms"] = {
        "MetricAlarms": [
            # Of a band that CloudWatch learns: it has no threshold.
            {
                "AlarmName": "learnt",
                "Namespace": "AWS/ECS",
                "MetricName": "CPUUtilization",
                "ComparisonOperator": "GreaterThanUpperThreshold",
                "ThresholdMetricId": "band",
                "EvaluationPeriods": 1,
                "Period": 60,
            },
            {
                "AlarmName": "burst",
                "Namespace": "AWS/ECS",
                "MetricName": "CPUUtilization",
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "Threshold": 80.0,
                "EvaluationPeriods": 2,
                "Period": 60,
            },
        ]
    }
    told["DescribeServices"]["services"].append(
        service(
            "stock",
            launchType="FARGATE",
            deployments=[
                {
                    "status": "PRIMARY",
                    "serviceConnectConfiguration": {"enabled": True, "services": [{"portName": "http"}]},
                }
            ],
        )
    )
    aws = Read(told)
    imported, config = finished(read_cluster(cast("Aws", aws), "market"), tmp_path)
    shop, mailer = config.services["shop"], config.services["mailer"]
    assert isinstance(shop, WebService) and isinstance(mailer, WorkerService) and config.stack_name == "market"
    assert isinstance(config.capacity[shop.capacity], FargateCapacity)
    nodes = config.capacity[mailer.capacity]
    assert isinstance(nodes, Ec2Capacity) and (nodes.min_nodes, nodes.max_nodes) == (1, 1)
    assert (shop.container_port, shop.cpu_units, shop.memory_mib, mailer.memory_mib) == (3000, 256, 512, 400)
    assert (shop.health_check.path, shop.health_check.interval_s, shop.health_check.codes) == ("/up", 15, "200-299")
    assert shop.route.paths == ("/shop/*",)
    assert (shop.scaling.min_tasks, shop.scaling.max_tasks) == (2, 9)
    assert (shop.scaling.cpu.target, shop.scaling.cpu.scale_in_cooldown_s) == (55, 90)
    assert [(each.name, each.min_tasks) for each in shop.scaling.schedules] == [("morning", 4)]
    (burst,) = shop.scaling.step_policies
    assert (burst.name, burst.metric, burst.when, burst.threshold, burst.periods) == (
        "BurstOfLoad",
        "cpu",
        "above",
        80,
        2,
    )
    assert burst.adjustment_type == "PercentChangeInCapacity" and burst.cooldown_s == 45
    assert [(step.distance, step.adjustment) for step in burst.steps] == [(0, 40), (10, 100)]
    stock = config.services["stock"]
    assert isinstance(stock, InternalService) and stock.container_port == 9000
    assert shop.environment == {"LEVEL": "info"} and set(shop.secrets) == {"KEY"}
    assert "abcdef" not in imported.page + imported.config
    assert "| ecs:DescribeServices(shop) | `desiredCount` | taken |" in imported.page
    assert all(fate in FATES and words for _, fate, words in lines(imported).values())
    (statement,) = policies.importer()
    assert aws.asked == {str(action.JSONrepr()) for action in statement.properties["Action"]}


def test_a_cluster_without_services_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--cluster empty: has no service; name a cluster that has"):
        read_cluster(cast("Aws", Read({"ListServices": {"serviceArns": []}})), "empty")


def test_rules_are_read_to_the_last_page() -> None:
    class Paged:
        def read(self, name: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
            return {"Rules": [2]} if arguments.get("Marker") == "m" else {"Rules": [1], "NextMarker": "m"}

    pages = Aws.pages(cast("Aws", Paged()), "elbv2", "describe_rules", ListenerArn="arn:listener")
    assert [page["Rules"] for page in pages] == [[1], [2]]
