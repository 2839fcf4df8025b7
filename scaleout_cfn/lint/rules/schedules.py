"""Schedules: the words for time, and the tasks that they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from scaleout_cfn.lint.rules.base import Faults, fault, rule
from scaleout_cfn.lint.rules.permissions import RUNNERS, runs_of, trusts
from scaleout_cfn.lint.rules.services import TASKS, network_mode
from scaleout_cfn.templates.stacks import Place, resource_of
from scaleout_cfn.templates.values import UNKNOWN

if TYPE_CHECKING:
    from datetime import datetime

    from scaleout_cfn.schedules import Taker

_EVENTS_API = "https://docs.aws.amazon.com/eventbridge/latest/APIReference/"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"


class _Words(NamedTuple):
    """The properties that say when, who takes the expression (an Auto Scaling group takes Unix cron), and his page."""

    expression: str
    zone: str
    start: str
    end: str
    taker: Taker | None
    page: str


_SAYING = {
    _TARGET: _Words(
        *("Schedule", "Timezone", "StartTime", "EndTime"),
        "application-autoscaling",
        "https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html",
    ),
    "AWS::AutoScaling::ScheduledAction": _Words(
        *("Recurrence", "TimeZone", "StartTime", "EndTime"),
        None,
        "https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html",
    ),
    "AWS::Events::Rule": _Words(
        *("ScheduleExpression", "", "", ""),
        "events",
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html",
    ),
    "AWS::Scheduler::Schedule": _Words(
        *("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate"),
        "scheduler",
        "https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html",
    ),
}


def _schedules(resource: Place) -> tuple[Place, ...]:
    """Each place of a resource that says when something is done."""
    return resource.each("ScheduledActions") if resource.type == _TARGET else (resource,)


@rule(
    "S901",
    "https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html",
    *_SAYING,
    overlaps=["E3027"],
)
def expression(resource: Place) -> Faults:
    """A schedule's cron, rate or at expression is one that its service takes."""
    words = _SAYING[resource.type]
    for schedule in _schedules(resource):
        value = schedule.get(words.expression)
        if not isinstance(value, str):
            continue
        from scaleout_cfn.schedules import problem_of_recurrence, problem_of_schedule  # most sets have no schedule

        problem = problem_of_schedule(value, words.taker) if words.taker else problem_of_recurrence(value)
        if problem:
            wrong, *right = re.split("[;,] (?:write|as in) ", problem, maxsplit=1)
            cure = f"Write {right[0]}." if right else "Make it an AWS::Scheduler::Schedule."
            said = fault(schedule, words.expression, f'"{value}" is no schedule: {wrong}.', cure)
            yield replace(said, source=words.page)


@rule("S902", "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html", *_SAYING)
def time_zone(resource: Place) -> Faults:
    """The time zone of a schedule is one of the tz database."""
    words = _SAYING[resource.type]
    for schedule in _schedules(resource) if words.zone else ():
        zone = schedule.get(words.zone)
        if not isinstance(zone, str) or not zone:
            continue
        from scaleout_cfn.schedules import problem_of_timezone

        if problem := problem_of_timezone(zone):
            wrong, _, hint = problem.partition("; ")
            cure = hint if hint.endswith("?") else f"{hint}."
            message = f'"{zone}" is no time zone: {wrong}.'
            yield fault(schedule, words.zone, message, cure[0].upper() + cure[1:])


@rule("S903", "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html", *_SAYING)
def end_before_start(resource: Place) -> Faults:
    """A schedule ends after it begins."""
    words = _SAYING[resource.type]
    for schedule in _schedules(resource) if words.end else ():
        start, end = _time(schedule.get(words.start)), _time(schedule.get(words.end))
        if start and end and (start.tzinfo is None) == (end.tzinfo is None) and end <= start:
            message = f"The schedule begins at {start.isoformat()} and ends at {end.isoformat()}."
            yield fault(schedule, words.end, message, f"Set {words.end} to a later time.")


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    from datetime import datetime  # few sets have a time in them, and `render` checks each

    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _tasks_run(runner: Place) -> Iterator[Place]:
    """Each target of a rule or schedule that runs tasks."""
    return (target for target in runs_of(runner) if isinstance(target.get("EcsParameters"), Mapping))


@rule("S904", _EVENTS_API + "API_Target.html", *RUNNERS)
def cluster_of_target(runner: Place) -> Faults:
    """A rule or schedule that runs tasks names its cluster by ARN."""
    for target in _tasks_run(runner):
        arn = target.get("Arn")
        cluster = resource_of(arn, "AWS::ECS::Cluster")
        if (cluster and cluster.attribute != "Arn") or (isinstance(arn, str) and arn and not arn.startswith("arn:")):
            name = cluster.name if cluster else arn
            cure = f"Write !GetAtt {name}.Arn." if cluster else "Write the ARN of the cluster."
            yield fault(target, "Arn", f"{runner} names its cluster {name}, where an ARN belongs.", cure)


@rule("S905", _EVENTS_API + "API_EcsParameters.html", *RUNNERS)
def network_of_target(runner: Place) -> Faults:
    """A rule or schedule names subnets for tasks with awsvpc networking, and for these only."""
    for target in _tasks_run(runner):
        symbol = resource_of(target.get("EcsParameters", "TaskDefinitionArn"), TASKS)
        mode = network_mode(symbol.place if symbol else None)
        network = target.get("EcsParameters", "NetworkConfiguration")
        said = None
        if mode == "awsvpc" and network is None:
            said = "names no subnets for", "Add a NetworkConfiguration."
        elif mode in ("bridge", "host", "none") and network not in (None, UNKNOWN):
            said = "names subnets for", "Leave NetworkConfiguration out."
        if symbol and said:
            message = f"{runner} {said[0]} {symbol.name}, whose networking is {mode}."
            yield fault(target, "EcsParameters.NetworkConfiguration", message, said[1])


@rule("S906", _EVENTS_API + "API_EcsParameters.html", *RUNNERS)
def launch_type_of_target(runner: Place) -> Faults:
    """A rule or schedule gives its tasks a launch type or a capacity provider strategy, not both."""
    for target in _tasks_run(runner):
        launch = target.get("EcsParameters", "LaunchType")
        strategy = target.get("EcsParameters", "CapacityProviderStrategy")
        if launch not in (None, UNKNOWN) and strategy not in (None, UNKNOWN, []):
            message = f"{runner} has a LaunchType and a CapacityProviderStrategy."
            yield fault(target, "EcsParameters.LaunchType", message, "Leave LaunchType out.")


@rule("S907", "https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html", *RUNNERS)
def trust_of_schedule(runner: Place) -> Faults:
    """The role of a rule or schedule trusts the service that takes it."""
    service = "events" if runner.type == RUNNERS[0] else "scheduler"
    for place in (runner, *runs_of(runner)):
        role = resource_of(place.get("RoleArn"), "AWS::IAM::Role")
        if role is not None and not trusts(role, service):
            message = f"{runner} takes {role.name}, which does not trust {service}.amazonaws.com."
            cure = f"Add the principal {service}.amazonaws.com to its AssumeRolePolicyDocument."
            yield fault(place, "RoleArn", message, cure)
