"""Schedules: the words for time, and the tasks that they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from scaleout_cfn.lint.rules.base import Rule
from scaleout_cfn.lint.rules.permissions import trusts
from scaleout_cfn.lint.rules.services import tasks_of
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, resource_of
from scaleout_cfn.templates.values import UNKNOWN

if TYPE_CHECKING:
    from datetime import datetime

    from scaleout_cfn.schedules import Taker

_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_GROUP_ACTION = "AWS::AutoScaling::ScheduledAction"
_EVENTS = "AWS::Events::Rule"
_SCHEDULE = "AWS::Scheduler::Schedule"

# Each place that says when: the type, the list that holds it, the properties of expression, zone, start and end, and
# who takes the expression; an Auto Scaling group takes Unix cron.
_PLACES: tuple[tuple[str, str, tuple[str, str, str, str], Taker | None], ...] = (
    (_TARGET, "ScheduledActions", ("Schedule", "Timezone", "StartTime", "EndTime"), "application-autoscaling"),
    (_GROUP_ACTION, "", ("Recurrence", "TimeZone", "StartTime", "EndTime"), None),
    (_EVENTS, "", ("ScheduleExpression", "", "", ""), "events"),
    (_SCHEDULE, "", ("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate"), "scheduler"),
)


# Where each of them says what it takes.
_PAGES: dict[Taker | None, str] = {
    "application-autoscaling": "https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html",
    None: "https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html",
    "events": "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html",
    "scheduler": "https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html",
}


def _places(stacks: StackSet) -> Iterator[tuple[StackView, str, Scope, Any, tuple[str, str, str, str], Taker | None]]:
    """Each place that says when something is done: stack, path, scope, the properties and their names, the taker."""
    for stack in stacks.stacks:
        for kind, name, keys, taker in _PLACES:
            for logical_id, properties, scope in stack.of_type(kind):
                path = f"Resources.{logical_id}.Properties"
                if not name:
                    yield stack, path, scope, properties, keys, taker
                    continue
                for index, item in enumerate(scope.items(properties, name) or []):
                    yield stack, f"{path}.{name}.{index}", scope, item, keys, taker


class Expression(Rule):
    id = "S901"
    sentence = "A schedule's cron, rate or at expression is one that its service takes."
    source = "https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"
    overlaps = frozenset({"E3027"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, path, scope, properties, keys, taker in _places(stacks):
            value = scope.get(properties, keys[0])
            if not isinstance(value, str):
                continue
            from scaleout_cfn.schedules import problem_of_recurrence, problem_of_schedule  # most sets have no schedule

            problem = problem_of_schedule(value, taker) if taker else problem_of_recurrence(value)
            if problem:
                wrong, *right = re.split("[;,] (?:write|as in) ", problem, maxsplit=1)
                cure = f"Write {right[0]}." if right else "Make it an AWS::Scheduler::Schedule."
                said = self.finding(stack.file, f"{path}.{keys[0]}", f'"{value}" is no schedule: {wrong}.', cure)
                yield replace(said, source=_PAGES[taker])


class TimeZone(Rule):
    id = "S902"
    sentence = "The time zone of a schedule is one of the tz database."
    source = "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, path, scope, properties, keys, _ in _places(stacks):
            zone = scope.get(properties, keys[1]) if keys[1] else None
            if not isinstance(zone, str) or not zone:
                continue
            from scaleout_cfn.schedules import problem_of_timezone

            if problem := problem_of_timezone(zone):
                wrong, _, hint = problem.partition("; ")
                cure = hint if hint.endswith("?") else f"{hint}."
                message = f'"{zone}" is no time zone: {wrong}.'
                yield self.finding(stack.file, f"{path}.{keys[1]}", message, cure[0].upper() + cure[1:])


class EndBeforeStart(Rule):
    id = "S903"
    sentence = "A schedule ends after it begins."
    source = "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, path, scope, properties, keys, _ in _places(stacks):
            given = [scope.get(properties, key) if key else None for key in keys[2:]]
            start, end = (_time(value) for value in given) if None not in given else (None, None)
            if start and end and (start.tzinfo is None) == (end.tzinfo is None) and end <= start:
                yield self.finding(
                    stack.file,
                    f"{path}.{keys[3]}",
                    f"The schedule begins at {start.isoformat()} and ends at {end.isoformat()}.",
                    f"Set {keys[3]} to a later time.",
                )


def _time(value: Any) -> datetime | None:
    from datetime import datetime  # few sets have a time in them, and `render` checks each

    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _targets(stacks: StackSet) -> Iterator[tuple[StackView, str, str, Scope, Any]]:
    """Each target of a rule or schedule that runs tasks: stack, its logical id and path, scope, the target."""
    for stack in stacks.stacks:
        for logical_id, properties, scope in stack.of_type(_EVENTS):
            for index, target in enumerate(scope.items(properties, "Targets") or []):
                if isinstance(scope.get(target, "EcsParameters"), Mapping):
                    yield stack, logical_id, f"Resources.{logical_id}.Properties.Targets.{index}", scope, target
        for logical_id, properties, scope in stack.of_type(_SCHEDULE):
            target = scope.get(properties, "Target")
            if isinstance(scope.get(target, "EcsParameters"), Mapping):
                yield stack, logical_id, f"Resources.{logical_id}.Properties.Target", scope, target


class ClusterOfTarget(Rule):
    id = "S904"
    sentence = "A rule or schedule that runs tasks names its cluster by ARN."
    source = "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, path, scope, target in _targets(stacks):
            arn = scope.get(target, "Arn")
            cluster = resource_of(arn, "AWS::ECS::Cluster")
            if (cluster and cluster.attribute != "Arn") or (
                isinstance(arn, str) and arn and not arn.startswith("arn:")
            ):
                name = cluster.name if cluster else arn
                yield self.finding(
                    stack.file,
                    f"{path}.Arn",
                    f"{logical_id} names its cluster {name}, where an ARN belongs.",
                    f"Write !GetAtt {name}.Arn." if cluster else "Write the ARN of the cluster.",
                )


class NetworkOfTarget(Rule):
    id = "S905"
    sentence = "A rule or schedule names subnets for tasks with awsvpc networking, and for these only."
    source = "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EcsParameters.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, path, scope, target in _targets(stacks):
            symbol = resource_of(scope.get(target, "EcsParameters", "TaskDefinitionArn"), "AWS::ECS::TaskDefinition")
            mode = tasks_of(symbol).network_mode if symbol else UNKNOWN
            network = scope.get(target, "EcsParameters", "NetworkConfiguration")
            said = None
            if mode == "awsvpc" and network is None:
                said = "names no subnets for", "Add a NetworkConfiguration."
            elif mode in ("bridge", "host", "none") and network not in (None, UNKNOWN):
                said = "names subnets for", "Leave NetworkConfiguration out."
            if symbol and said:
                yield self.finding(
                    stack.file,
                    f"{path}.EcsParameters.NetworkConfiguration",
                    f"{logical_id} {said[0]} {symbol.name}, whose networking is {mode}.",
                    said[1],
                )


class LaunchTypeOfTarget(Rule):
    id = "S906"
    sentence = "A rule or schedule gives its tasks a launch type or a capacity provider strategy, not both."
    source = "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EcsParameters.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, path, scope, target in _targets(stacks):
            parameters = scope.get(target, "EcsParameters")
            launch, strategy = (scope.get(parameters, name) for name in ("LaunchType", "CapacityProviderStrategy"))
            if launch not in (None, UNKNOWN) and strategy not in (None, UNKNOWN, []):
                yield self.finding(
                    stack.file,
                    f"{path}.EcsParameters.LaunchType",
                    f"{logical_id} has a LaunchType and a CapacityProviderStrategy.",
                    "Leave LaunchType out.",
                )


class TrustOfSchedule(Rule):
    id = "S907"
    sentence = "The role of a rule or schedule trusts the service that takes it."
    source = "https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, service in ((_EVENTS, "events"), (_SCHEDULE, "scheduler")):
                for logical_id, properties, scope in stack.of_type(kind):
                    for path, arn in _roles(scope, properties):
                        role = resource_of(arn, "AWS::IAM::Role")
                        if role is not None and not trusts(role, service):
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{path}",
                                f"{logical_id} takes {role.name}, which does not trust {service}.amazonaws.com.",
                                f"Add the principal {service}.amazonaws.com to its AssumeRolePolicyDocument.",
                            )


def _roles(scope: Scope, properties: Any) -> Iterator[tuple[str, Any]]:
    yield "RoleArn", scope.get(properties, "RoleArn")
    yield "Target.RoleArn", scope.get(properties, "Target", "RoleArn")
    for index, target in enumerate(scope.items(properties, "Targets") or []):
        yield f"Targets.{index}.RoleArn", scope.get(target, "RoleArn")
