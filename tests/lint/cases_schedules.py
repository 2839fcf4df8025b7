"""Schedules: S9xx."""

from __future__ import annotations

from typing import Any

from .cases import Case, allowing, put, resources, role, service
from .cases_permissions import scheduled
from .cases_tasks import bridge
from .sets import Set, properties

RULE = "service Resources.Nightly.Properties"
SCHEDULE = "service Resources.Weekly.Properties"
ACTION = "service Resources.Scaling.Properties.ScheduledActions.0"
GROUP_ACTION = "cluster Resources.Morning.Properties"


def nightly(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Nightly")


def weekly(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Weekly")


def with_action(templates: Set) -> None:
    action = {
        "ScheduledActionName": "morning",
        "Schedule": "cron(0 8 ? * MON-FRI *)",
        "Timezone": "Europe/Berlin",
        "StartTime": "2026-12-01T00:00:00Z",
        "EndTime": "2026-12-24T00:00:00Z",
        "ScalableTargetAction": {"MinCapacity": 4},
    }
    properties(templates, "service", "Scaling")["ScheduledActions"] = [action]


def action(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = properties(templates, "service", "Scaling")["ScheduledActions"][0]
    return found


def with_group_action(templates: Set) -> None:
    resources(templates, "cluster")["Morning"] = {
        "Type": "AWS::AutoScaling::ScheduledAction",
        "Properties": {
            "AutoScalingGroupName": {"Ref": "Nodes"},
            "Recurrence": "0 8 * * 1-5",
            "TimeZone": "Europe/Berlin",
            "MinSize": 2,
        },
    }


def morning(templates: Set) -> dict[str, Any]:
    return properties(templates, "cluster", "Morning")


def with_schedule(templates: Set) -> None:
    """Tasks that EventBridge Scheduler runs each week."""
    arn = role(templates, "Week", Policies=allowing("ecs:RunTask", "iam:PassRole"))
    policy = resources(templates, "service")["Week"]["Properties"]["AssumeRolePolicyDocument"]
    policy["Statement"][0]["Principal"]["Service"] = "scheduler.amazonaws.com"
    network = service(templates)["NetworkConfiguration"]["AwsvpcConfiguration"]
    resources(templates, "service")["Weekly"] = {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "ScheduleExpression": "rate(7 days)",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/shop",
                "RoleArn": arn,
                "EcsParameters": {
                    "TaskDefinitionArn": {"Ref": "Tasks"},
                    "LaunchType": "FARGATE",
                    "NetworkConfiguration": {"AwsvpcConfiguration": network},
                },
            },
        },
    }


def parameters(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = weekly(templates)["Target"]["EcsParameters"]
    return found


def first_target(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = nightly(templates)["Targets"][0]
    return found


def bridged(templates: Set) -> None:
    scheduled(templates)
    bridge(templates)
    del first_target(templates)["EcsParameters"]["NetworkConfiguration"]


def named_subnets(templates: Set) -> None:
    network = {"AwsVpcConfiguration": {"Subnets": {"Ref": "Subnets"}}}
    first_target(templates)["EcsParameters"]["NetworkConfiguration"] = network


def role_of_tasks(templates: Set) -> None:
    trusting = role(templates, "Other", Policies=allowing("ecs:RunTask", "iam:PassRole"))
    weekly(templates)["Target"]["RoleArn"] = trusting


CASES = (
    Case(
        "S901",
        scheduled,
        put(nightly, ScheduleExpression="cron(0 3 * * *)"),
        f"{RULE}.ScheduleExpression",
        "Write cron(0 3 * * ? *).",
    ),
    Case("S901", with_schedule, put(weekly, ScheduleExpression="rate(1 week)"), f"{SCHEDULE}.ScheduleExpression", ""),
    Case("S901", with_action, put(action, Schedule="cron(61 8 ? * * *)"), f"{ACTION}.Schedule", "61"),
    Case("S901", with_group_action, put(morning, Recurrence="cron(0 8 * * ? *)"), f"{GROUP_ACTION}.Recurrence", "Unix"),
    Case("S902", with_action, put(action, Timezone="Europe/Nowhere"), f"{ACTION}.Timezone", "Europe/Nowhere"),
    Case(
        "S902",
        with_group_action,
        put(morning, TimeZone="Berlin"),
        f"{GROUP_ACTION}.TimeZone",
        "Did you mean Europe/Berlin?",
    ),
    Case("S903", with_action, put(action, EndTime="2026-11-30T00:00:00Z"), f"{ACTION}.EndTime", "later time"),
    Case(
        "S904",
        scheduled,
        put(first_target, Arn={"Ref": "Cluster"}),
        f"{RULE}.Targets.0.Arn",
        "cluster Cluster",
    ),
    Case(
        "S905",
        bridged,
        named_subnets,
        f"{RULE}.Targets.0.EcsParameters.NetworkConfiguration",
        "names subnets for Tasks",
    ),
    Case(
        "S905",
        with_schedule,
        put(parameters, NetworkConfiguration=None),
        f"{SCHEDULE}.Target.EcsParameters.NetworkConfiguration",
        "names no subnets",
    ),
    Case(
        "S906",
        with_schedule,
        put(parameters, CapacityProviderStrategy=[{"CapacityProvider": "FARGATE", "Weight": 1}]),
        f"{SCHEDULE}.Target.EcsParameters.LaunchType",
        "Leave LaunchType out.",
    ),
    Case("S907", with_schedule, role_of_tasks, f"{SCHEDULE}.Target.RoleArn", "does not trust scheduler"),
)
