"""stop and start: nothing runs until the templates' numbers are set back, whoever is killed at whatever call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.cli.status import _screen
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Fact, Message, Note, Outcome
from scaleout_cfn.deploy.services.halt import _stays, start, stop
from scaleout_cfn.deploy.services.overview import overview_of
from scaleout_cfn.deploy.services.scale import ACTION
from scaleout_cfn.errors import AccessError, BusyError, NeedsHandError, RefusedError, UsageError

from .services import SERVICE
from .test_scale import RESOURCE, Scaling, Targets, scaled, schedule
from .world import START, Fault, Killed

ROWS = {
    "arn:x": {
        "WebFoundation": ("AWS::CloudFormation::Stack", "arn:WebFoundation"),
        "WebService": ("AWS::CloudFormation::Stack", "arn:WebService"),
        "Capacity": ("AWS::CloudFormation::Stack", "arn:Capacity"),
        "NightlyJob": ("AWS::CloudFormation::Stack", "arn:NightlyJob"),
    },
    "arn:WebFoundation": {
        "TargetErrors": ("AWS::CloudWatch::Alarm", "web-errors"),
        "Queue": ("AWS::SQS::Queue", "https://queue"),
    },
    "arn:WebService": {
        "Service": ("AWS::ECS::Service", SERVICE),
        "ScalableTarget": ("AWS::ApplicationAutoScaling::ScalableTarget", f"{RESOURCE}|ecs:service:DesiredCount|ecs"),
        "FirstTaskAlarm": ("AWS::CloudWatch::Alarm", "web-first"),
    },
    "arn:Capacity": {
        "NodesGroup": ("AWS::AutoScaling::AutoScalingGroup", "nodes"),
        "NodesAtMaximum": ("AWS::CloudWatch::Alarm", "nodes-at-maximum"),
        "Gateway": ("AWS::EC2::NatGateway", "nat-1"),
    },
    "arn:NightlyJob": {
        "ScheduleGroup": ("AWS::Scheduler::ScheduleGroup", "jobs"),
        "Schedule": ("AWS::Scheduler::Schedule", "nightly"),
        "Sleeping": ("AWS::Scheduler::Schedule", "sleeping"),
    },
}
TEMPLATES = {
    "arn:WebService": "Resources: {ScalableTarget: {Type: T, Properties: {MinCapacity: {Ref: L}, MaxCapacity: 20}}}",
    "arn:NightlyJob": "Resources: {Schedule: {Type: T}, Sleeping: {Type: T, Properties: {State: DISABLED}}}",
    "arn:Capacity": "Resources: {NodesGroup: {Type: T, Properties: {MinSize: '2'}}}",
}


class Whole(Targets):
    """A set with a service, a pool, a job and alarms."""

    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        answer = super().DescribeStacks("arn:x" if StackName in ROWS else StackName)
        answer["Stacks"][0]["Parameters"] = [{"ParameterKey": "L", "ParameterValue": "2"}]
        return answer

    def GetTemplate(self, StackName: str, TemplateStage: str) -> dict[str, Any]:
        if StackName in TEMPLATES:
            return {"TemplateBody": TEMPLATES[StackName]}
        return super().GetTemplate(StackName, TemplateStage)

    def ListStackResources(self, StackName: str, **_: Any) -> dict[str, Any]:
        state = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": self.world.now}
        return {
            "StackResourceSummaries": [
                {"LogicalResourceId": title, "ResourceType": type_, "PhysicalResourceId": physical, **state}
                for title, (type_, physical) in ROWS[StackName].items()
            ]
        }


@dataclass
class Environment(Scaling):
    """An account with that set. `silent` are the alarms whose actions are off."""

    suspended: bool = False
    nodes: int = 2
    silent: set[str] = field(default_factory=set)
    moved: bool = False
    timed: set[str] = field(default_factory=lambda: {"nightly"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = Whole(self)

    @property
    def runs(self) -> tuple[object, ...]:
        return self.bounds, self.suspended, self.nodes, frozenset(self.silent), frozenset(self.timed)

    def _handler(self, service: str, operation: str) -> Callable[..., dict[str, Any]]:
        if service in ("application-autoscaling", "autoscaling", "cloudwatch", "scheduler"):
            return self.method(operation)
        return super()._handler(service, operation)

    def DescribeScalableTargets(self, ResourceIds: list[str], **_: Any) -> dict[str, Any]:
        answer = super().DescribeScalableTargets(ResourceIds)
        for one in answer["ScalableTargets"]:
            one["SuspendedState"] = {"ScheduledScalingSuspended": self.suspended}
        return answer

    def RegisterScalableTarget(self, **given: Any) -> dict[str, Any]:
        self._check(given)
        self.bounds = given["MinCapacity"], given["MaxCapacity"]
        self.suspended = given.get("SuspendedState", {}).get("ScheduledScalingSuspended", self.suspended)
        self.moved = True
        return {"ScalableTargetARN": "arn:t"}

    def DescribeScalingActivities(self, ResourceId: str, MaxResults: int, **_: Any) -> dict[str, Any]:
        one = {"ActivityId": "a", "ServiceNamespace": "ecs", "ResourceId": ResourceId, "Description": "d", "Cause": "c",
               "ScalableDimension": "ecs:service:DesiredCount", "StartTime": START,
               "StatusCode": "Successful"}  # fmt: skip
        return {"ScalingActivities": [one] if self.moved else []}

    def DescribeAutoScalingGroups(self, AutoScalingGroupNames: list[str]) -> dict[str, Any]:
        one = {"AutoScalingGroupName": "nodes", "MinSize": self.nodes, "MaxSize": 5, "DesiredCapacity": 2,
               "DefaultCooldown": 300, "AvailabilityZones": ["a"], "HealthCheckType": "EC2",
               "CreatedTime": START}  # fmt: skip
        state = {"AvailabilityZone": "a", "HealthStatus": "Healthy", "ProtectedFromScaleIn": False}
        one["Instances"] = [{**state, "InstanceId": "i-1", "LifecycleState": "InService"}] * self.nodes
        return {"AutoScalingGroups": [one]}

    def UpdateAutoScalingGroup(self, AutoScalingGroupName: str, MinSize: int) -> dict[str, Any]:
        assert AutoScalingGroupName == "nodes"
        self.nodes = MinSize
        return {}

    def DescribeAlarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        return {
            "MetricAlarms": [
                {"AlarmName": name, "StateValue": "OK", "ActionsEnabled": name not in self.silent,
                 "AlarmActions": ["arn:aws:autoscaling:x:scalingPolicy:y" if name == "web-first" else "arn:topic"]}
                for name in AlarmNames
            ]
        }  # fmt: skip

    def DisableAlarmActions(self, AlarmNames: list[str]) -> dict[str, Any]:
        self.silent |= {*AlarmNames}
        return {}

    def EnableAlarmActions(self, AlarmNames: list[str]) -> dict[str, Any]:
        self.silent -= {*AlarmNames}
        return {}

    def GetSchedule(self, Name: str, GroupName: str) -> dict[str, Any]:
        return {**SCHEDULE, "Name": Name, "GroupName": GroupName, "Arn": "arn:s", "CreationDate": START,
                "State": "ENABLED" if Name in self.timed else "DISABLED"}  # fmt: skip

    def UpdateSchedule(self, Name: str, GroupName: str, State: str, **rest: Any) -> dict[str, Any]:
        """What is not given is lost."""
        rest.pop("ClientToken", None)
        assert (GroupName, rest) == ("jobs", SCHEDULE)
        self.timed = self.timed | {Name} if State == "ENABLED" else self.timed - {Name}
        return {"ScheduleArn": "arn:s"}


SCHEDULE = {
    "ScheduleExpression": "cron(0 3 * * ? *)",
    "ScheduleExpressionTimezone": "Europe/Berlin",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": "arn:cluster", "RoleArn": "arn:aws:iam::123456789012:role/x", "EcsParameters": {
        "TaskDefinitionArn": "arn:d"}},
}  # fmt: skip
RUNS: tuple[object, ...] = ((2, 20), False, 2, frozenset(), frozenset({"nightly"}))
STOPPED: tuple[object, ...] = ((0, 0), True, 0, frozenset({"web-errors"}), frozenset())


def given_(world: Environment, command: Any, **options: Any) -> tuple[Outcome, list[Message]]:
    said: list[Message] = []
    return command(world.aws(), "web", said.append, **options), said


def test_stop_leaves_no_task_no_node_and_nobody_who_is_told_and_start_sets_the_templates_numbers_back() -> None:
    world = Environment()
    outcome, said = given_(world, stop)
    assert (outcome.exit_code, outcome.what, world.runs) == (0, "web: stopped", STOPPED)
    assert command_line(outcome.next) == "scaleout-cfn start, to have it run again"
    (fact,) = [one for one in said if isinstance(one, Fact)]
    assert fact.lines == (
        "still paid for: NAT gateways, alarms",
        "messages wait in their queues, and are gone once their retention is over",
    )
    outcome, _ = given_(world, start)
    assert (outcome.exit_code, outcome.what, world.runs) == (0, "web: started", RUNS)


@pytest.mark.parametrize(("title", "said"), [("Queue", True), ("DeadLetterQueue", False)])
def test_messages_are_said_to_wait_where_a_worker_has_a_queue_and_not_for_dead_letters_alone(
    title: str, said: bool
) -> None:
    queue = Resource(f"Nightly/{title}", "AWS::SQS::Queue", "https://sqs/queue", "CREATE_COMPLETE", "arn")
    assert ("messages wait" in " ".join(_stays([queue]).lines)) == said


def test_again_each_of_them_changes_nothing() -> None:
    world = Environment()
    assert given_(world, start)[0].what == "web: nothing of it is stopped"
    given_(world, stop)
    before = len(world.calls)
    assert given_(world, stop)[0].end == "no_change"
    sent = {operation for _, operation, _ in world.calls[before:]}
    assert not {name for name in sent if not name.startswith(("Describe", "Get", "List"))}


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.booleans()), max_size=5), st.booleans())
def test_whenever_it_is_killed_the_same_command_ends_it(steps: list[tuple[bool, int, bool]], last: bool) -> None:
    """Any commands one after another, each of which dies at some call or ends; then one that does not die."""
    world = Environment()
    for stops, call, during in steps:
        world.killed_at = (len(world.calls) + call, "during" if during else "before")
        with contextlib.suppress(Killed):
            given_(world, stop if stops else start)
        world.killed_at = None
    given_(world, stop if last else start)
    assert world.runs == (STOPPED if last else RUNS)


def test_what_scale_had_set_ends_with_a_stop_and_scale_of_what_is_stopped_is_refused() -> None:
    world = Environment()
    scaled(world)
    given_(world, stop)
    assert ACTION not in world.actions
    with pytest.raises(UsageError, match="web is stopped; give `start` first"):
        scaled(world)


def test_what_a_schedule_has_stopped_is_started_until_its_next_time() -> None:
    world = Environment(bounds=(0, 0))
    assert given_(world, start)[0].what == "web: started"
    assert world.runs == RUNS


def test_a_template_that_computes_its_numbers_is_told_before_anything_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Environment()
    given_(world, stop)
    text = "Resources: {NodesGroup: {Type: T, Properties: {MinSize: {'Fn::Sub': '${A}'}}}}"
    monkeypatch.setitem(TEMPLATES, "arn:Capacity", text)
    with pytest.raises(NeedsHandError, match="Capacity/NodesGroup: its template says MinSize by an expression"):
        given_(world, start)
    assert world.runs == STOPPED


def test_a_stack_at_work_a_foreign_one_and_a_right_that_is_missing_are_told() -> None:
    for command in (stop, start):
        world = Environment()
        world.cfn.status = "UPDATE_IN_PROGRESS"
        with pytest.raises(BusyError):
            given_(world, command)
        world = Environment()
        world.cfn.made_by = "somebody"
        with pytest.raises(RefusedError):
            given_(world, command)
        assert given_(world, command, adopt=True)[0].exit_code == 0
    with pytest.raises(AccessError):
        given_(Environment(faults=[Fault("RegisterScalableTarget", "AccessDeniedException")]), stop)


def shown(world: Environment) -> tuple[str, Any]:
    screen = _screen(overview_of(world.aws(), "web"))
    return next((line for line in screen.lines if "stopped" in line), ""), screen.data["services"]["web"]["stopped"]


def test_status_counts_the_nodes_of_a_pool() -> None:
    screen = _screen(overview_of(Environment().aws(), "web"))
    assert "nodes  nodes  2 InService" in screen.lines and screen.data["nodes"] == {"nodes": {"InService": 2}}
    assert "nodes  nodes  none" in _screen(overview_of(Environment(nodes=0).aws(), "web")).lines


def test_status_says_since_when_and_until_when() -> None:
    world = Environment()
    assert shown(world) == ("", None)
    given_(world, stop)
    line, data = shown(world)
    assert line == "web  stopped since 2026-11-23 12:00:00Z, until `start`"
    assert (data["by_hand"], data["until"]) == (True, None)
    night = schedule("night", "cron(0 20 * * ? *)")
    night["ScalableTargetAction"] = {"MinCapacity": 0, "MaxCapacity": 0}
    world = Environment(
        bounds=(0, 0), moved=True, actions={"night": night, "morning": schedule("morning", "cron(0 7 * * ? *)")}
    )
    line, data = shown(world)
    assert line.startswith("web  stopped since 2026-11-23 12:00:00Z, until the schedule morning at 2")
    assert data["until"].hour == 7
    world.faults = [Fault("DescribeScalingActivities", "AccessDeniedException")]
    assert overview_of(world.aws(), "web").unread[-1].startswith("what is stopped: ")


def test_each_step_is_told() -> None:
    world = Environment()
    said = [one.text for one in given_(world, stop)[1] if isinstance(one, Note)]
    assert said == [
        "alarms that tell nobody until `start`: WebFoundation/TargetErrors",
        "NightlyJob/Schedule: its job does not run by it; a run that goes on does so to its end",
        "web: no task, and no schedule that starts one",
        "Capacity/NodesGroup: no node is needed; its nodes go some 15 minutes after their last task",
    ]
