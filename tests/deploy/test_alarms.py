"""The alarms of a set: what fires is told with what to look at, and the others are numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from test_iam import EVERYTHING

import scaleout_cfn as sc
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.composing import compose
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Fact, Message, Outcome
from scaleout_cfn.deploy.services.alarms import ADVICE, alarms_of, tell_alarms
from scaleout_cfn.errors import AccessError, UsageError
from scaleout_cfn.rendering import set_of

from .services import Services, Stack
from .world import START, Fault

SCALING = "arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:x:resource/ecs/service/main/web:policyName/p"


def alarm(name: str, state: str = "OK", **more: Any) -> dict[str, Any]:
    """As DescribeAlarms gives one, by its logical path."""
    watched = {"MetricName": "CPUUtilization", "Statistic": "Average", "Period": 60, "Threshold": 90.0}
    rule = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 10, "ActionsEnabled": True}
    times = {"StateTransitionedTimestamp": START - timedelta(minutes=90), "StateUpdatedTimestamp": START}
    return {"AlarmName": name, "StateValue": state, "AlarmActions": ["arn:topic"], **watched, **rule, **times, **more}


ERRORS: dict[str, Any] = {
    "MetricName": "HTTPCode_Target_5XX_Count",
    "Metrics": [
        {"Id": "errors", "ReturnData": False, "MetricStat": {
            "Metric": {"MetricName": "HTTPCode_Target_5XX_Count"}, "Period": 60, "Stat": "Sum"}},
        {"Id": "share", "Expression": "100 * errors", "Label": "5xx answers, percent", "ReturnData": True},
    ],
    "DatapointsToAlarm": 3, "EvaluationPeriods": 5, "Threshold": 5.0, "StateReason": "Threshold Crossed",
}  # fmt: skip


@dataclass
class Held(Stack):
    """A stack whose resources are alarms, some of which CloudWatch may not have any more."""

    paths: tuple[str, ...] = ()

    def ListStackResources(self, StackName: str, **_: Any) -> dict[str, Any]:
        inside = StackName.partition("nested/")[2]
        titles = [path.partition("/")[2] for path in self.paths if path.startswith(f"{inside}/")] if inside else []
        rows = [{"LogicalResourceId": title, "ResourceType": "AWS::CloudWatch::Alarm",
                 "PhysicalResourceId": f"{inside}/{title}"} for title in titles]  # fmt: skip
        stacks = [] if inside else sorted({path.partition("/")[0] for path in self.paths})
        rows += [{"LogicalResourceId": stack, "ResourceType": "AWS::CloudFormation::Stack",
                  "PhysicalResourceId": f"arn:nested/{stack}"} for stack in stacks]  # fmt: skip
        state = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": self.world.now}
        return {"StackResourceSummaries": [{**row, **state} for row in rows]}


@dataclass
class Watching(Services):
    """An account with these alarms, of which `gone` were deleted by hand. Three a page."""

    alarms: list[dict[str, Any]] = field(default_factory=list)
    gone: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = Held(self, paths=(*(one["AlarmName"] for one in self.alarms), *self.gone))

    def cloudwatch_DescribeAlarms(self, AlarmNames: list[str], NextToken: str = "0") -> dict[str, Any]:
        assert 0 < len(AlarmNames) <= 100
        found = sorted((one for one in self.alarms if one["AlarmName"] in AlarmNames), key=lambda one: one["AlarmName"])
        first = int(NextToken)
        more = {"NextToken": str(first + 3)} if first + 3 < len(found) else {}
        return {"MetricAlarms": found[first : first + 3], **more}


def told(world: Watching, service: str = "") -> tuple[Outcome, list[Fact]]:
    said: list[Message] = []
    aws = world.aws()
    live = require(aws, "web")
    outcome = tell_alarms(alarms_of(aws, live), live, service, START, said.append)
    return outcome, [one for one in said if isinstance(one, Fact)]


def lines(facts: list[Fact]) -> list[str]:
    return [line for one in facts for line in one.lines]


def test_what_fires_is_told_with_since_when_what_it_watches_and_where_to_look() -> None:
    fires = alarm("WebFoundation/TargetErrors", "ALARM", AlarmDescription="Many answers are errors.", **ERRORS)
    del fires["MetricName"], fires["Statistic"], fires["Period"]
    outcome, facts = told(Watching(alarms=[alarm("WebService/CpuHigh"), fires, alarm("WebService/MemoryHigh")]))
    assert lines(facts) == [
        "WebFoundation/TargetErrors  ALARM  since 2026-11-23 10:30:00Z, 1 h 30 min",
        "  means    Many answers are errors.",
        "  watches  5xx answers, percent > 5, in 3 of 5 periods of 60 s",
        "  says     Threshold Crossed",
        "  look     the application answers with errors: its log says why",
        "2 OK",
    ]
    assert command_line(facts[0].next) == "scaleout-cfn logs --service web --since 1h"
    assert (outcome.exit_code, outcome.what) == (0, "web: 1 of 3 alarms fire: WebFoundation/TargetErrors")
    assert outcome.next == facts[0].next


def test_the_alarm_that_has_fired_longest_is_told_first() -> None:
    early, late = (START - timedelta(minutes=minutes) for minutes in (59, 5))
    world = Watching(
        alarms=[
            alarm("WebService/CpuHigh", "ALARM", StateTransitionedTimestamp=late),
            alarm("WebService/MemoryHigh", "ALARM", StateTransitionedTimestamp=early),
        ]
    )
    _, facts = told(world)
    assert [one.data["path"] for one in facts[:2]] == ["WebService/MemoryHigh", "WebService/CpuHigh"]
    assert lines(facts)[0].endswith("2026-11-23 11:01:00Z, 59 min")


def test_of_what_fires_for_no_service_the_next_command_is_of_all() -> None:
    nodes = alarm("Capacity/NodesAtMaximum", "ALARM", MetricName="GroupInServiceInstances")
    outcome, facts = told(Watching(alarms=[nodes]))
    assert "max_nodes" in lines(facts)[-1]
    assert command_line(outcome.next) == "scaleout-cfn status"


def test_what_moves_tasks_has_no_data_was_deleted_or_tells_nobody_is_counted_by_name() -> None:
    world = Watching(
        alarms=[
            alarm("WebService/CalmAlarm", "ALARM", AlarmActions=[SCALING]),
            alarm("WebService/CpuHigh", "INSUFFICIENT_DATA"),
            alarm("WebService/MemoryHigh", ActionsEnabled=False),
        ],
        gone=("WebFoundation/Latency",),
    )
    outcome, facts = told(world)
    assert lines(facts) == [
        "1 OK",
        "1 without enough data: WebService/CpuHigh",
        "1 at work on the number of tasks: WebService/CalmAlarm",
        "1 in the stack and not in CloudWatch: WebFoundation/Latency",
        "1 with actions switched off, so that nobody is told: WebService/MemoryHigh",
    ]
    assert (outcome.exit_code, outcome.what) == (0, "web: no alarm fires, of 4")
    counts = facts[-1].data
    assert counts == {"firing": 0, "ok": 1, "no_data": 1, "scaling": 1, "gone": 1}
    assert [one.data["state"] for one in facts[:-1]] == ["", "ALARM", "INSUFFICIENT_DATA", "OK"]


def test_a_service_is_asked_for_by_name_and_one_without_alarms_is_refused() -> None:
    world = Watching(alarms=[alarm("WebService/CpuHigh"), alarm("ApiService/CpuHigh", "ALARM")])
    assert told(world, "web")[0].what == "web: no alarm fires, of 1"
    with pytest.raises(UsageError, match="--service blog: stack web has no alarm of it; there are some of api, web"):
        told(world, "blog")


def test_a_hundred_names_are_asked_for_at_once_and_all_pages_are_read() -> None:
    world = Watching(alarms=[alarm(f"S{number:03}Service/CpuHigh") for number in range(101)])
    outcome, _ = told(world)
    assert outcome.what == "web: no alarm fires, of 101"
    asked = [len(given["AlarmNames"]) for _, operation, given in world.calls if operation == "DescribeAlarms"]
    assert {*asked} == {100, 1}
    assert all(name.startswith(("Describe", "List")) for name in world.sent())


def test_a_set_without_alarms_has_none_and_asks_for_none() -> None:
    world = Watching()
    assert told(world)[0].what == "web: no alarm fires, of 0"
    assert not world.sent("DescribeAlarms")


def test_not_to_be_allowed_to_read_them_is_told() -> None:
    with pytest.raises(AccessError, match="`policies` writes what is needed"):
        told(Watching(alarms=[alarm("WebService/CpuHigh")], faults=[Fault("DescribeAlarms", "AccessDenied")]))


OF_QUEUES_AND_JOBS = sc.Config(
    services={"web": sc.WebService(), "mailer": sc.WorkerService(image_of="web", queue=sc.Queue())},
    capacity={"nodes": sc.Ec2Capacity(max_nodes=30)},
    jobs={"nightly": sc.Job(image_of="web", at="rate(1 hour)", overlap=False, success_within_h=3)},
)


@pytest.mark.parametrize("config", [EVERYTHING, OF_QUEUES_AND_JOBS], ids=["everything", "queues and jobs"])
def test_each_alarm_of_a_set_has_its_advice(config: sc.Config) -> None:
    for template in set_of(compose(config)).values():
        for title, resource in template["Resources"].items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                properties = resource["Properties"]
                watched = {properties.get("MetricName")} | {
                    query["MetricStat"]["Metric"]["MetricName"]
                    for query in properties.get("Metrics", [])
                    if "MetricStat" in query
                }
                assert watched & ADVICE.keys(), title
