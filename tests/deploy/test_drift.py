"""What differs in a whole set: every nested stack is looked into, and what is expected to differ is told apart."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from scaleout_cfn.aws.client import Patience
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.drift import Difference, drift, why_expected
from scaleout_cfn.deploy.messages import Fact, Message, Note, Outcome
from scaleout_cfn.errors import AccessError, ApiError, BusyError

from .cloudformation import Refused
from .services import Stack
from .test_scale import RESOURCE, Scaling, scaled
from .world import START, Fault, Killed

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"


def difference(path: str, expected: str, actual: str, kind: str = "NOT_EQUAL") -> dict[str, str]:
    return {"PropertyPath": path, "ExpectedValue": expected, "ActualValue": actual, "DifferenceType": kind}


@dataclass
class Nested(Stack):
    """A root with WebService and Data in it. `drifts` are by the stack and the title; each detection takes a while."""

    drifts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    busy_until: float = 0.0
    takes_s: float = 5.0
    begun: dict[str, tuple[str, float]] = field(default_factory=dict)

    def ListStackResources(self, StackName: str, **_: Any) -> dict[str, Any]:
        rows = {
            "arn:x": [("WebService", "AWS::CloudFormation::Stack", "arn:WebService"),
                      ("Data", "AWS::CloudFormation::Stack", "arn:Data")],
            "arn:WebService": [("Target", TARGET, f"{RESOURCE}|ecs:service:DesiredCount|ecs")],
            "arn:Data": [("Topic", "AWS::SNS::Topic", "arn:topic")],
        }[StackName]  # fmt: skip
        return {
            "StackResourceSummaries": [
                {"LogicalResourceId": title, "ResourceType": kind, "PhysicalResourceId": physical,
                 "ResourceStatus": self.statuses.get(title, "UPDATE_COMPLETE"), "LastUpdatedTimestamp": START}
                for title, kind, physical in rows
            ]
        }  # fmt: skip

    def DetectStackDrift(self, StackName: str) -> dict[str, Any]:
        running = [id_ for id_, (stack, end) in self.begun.items() if stack == StackName and self.world.seconds < end]
        if running or self.world.seconds < self.busy_until:
            raise Refused("ValidationError", f"Drift detection is already in progress for stack [{StackName}]")
        id_ = f"{StackName}/{len(self.begun)}"
        self.begun[id_] = StackName, self.world.seconds + self.takes_s
        return {"StackDriftDetectionId": id_}

    def DescribeStackDriftDetectionStatus(self, StackDriftDetectionId: str) -> dict[str, Any]:
        stack, end = self.begun[StackDriftDetectionId]
        reason = self.failed.get(stack, "")
        state = "DETECTION_FAILED" if reason else "DETECTION_COMPLETE"
        state = "DETECTION_IN_PROGRESS" if self.world.seconds < end else state
        whose = {"StackId": stack, "StackDriftDetectionId": StackDriftDetectionId, "Timestamp": START}
        return {**whose, "DetectionStatus": state, "DetectionStatusReason": reason}

    def DescribeStackResourceDrifts(
        self, StackName: str, StackResourceDriftStatusFilters: list[str], NextToken: str = "0"
    ) -> dict[str, Any]:
        found = [one for one in self.drifts.get(StackName, []) if one["StackResourceDriftStatus"] in
                 StackResourceDriftStatusFilters]  # fmt: skip
        first = int(NextToken)
        more = {"NextToken": str(first + 1)} if first + 1 < len(found) else {}
        shown = {"StackId": StackName, "Timestamp": START}
        return {"StackResourceDrifts": [{**shown, **one} for one in found[first : first + 1]], **more}


def resource(title: str, kind: str, *differences: dict[str, str], status: str = "MODIFIED") -> dict[str, Any]:
    state = {"LogicalResourceId": title, "ResourceType": kind, "StackResourceDriftStatus": status}
    return {**state, "PropertyDifferences": list(differences)}


def account(**stack: Any) -> Scaling:
    world = Scaling()
    world.cfn = Nested(world, **stack)
    return world


def told(world: Scaling, wait_s: float | None = None) -> tuple[Outcome, list[str], list[Message]]:
    said: list[Message] = []
    outcome = drift(world.aws(), "web", said.append, Patience(wait_s))
    return outcome, [line for one in said if isinstance(one, Fact) for line in one.lines], said


TOPIC = resource("Topic", "AWS::SNS::Topic", difference("/DisplayName", "one", "two"))


def test_every_nested_stack_is_looked_into_with_progress_and_nothing_differs() -> None:
    world = account()
    outcome, lines, said = told(world)
    assert (outcome.exit_code, outcome.what) == (0, "web: 3 stacks are as their templates have them")
    assert {stack for stack, _ in world.cfn.begun.values()} == {"arn:x", "arn:WebService", "arn:Data"}
    notes = [one.text for one in said if isinstance(one, Note)]
    assert notes[-1].endswith("3 of 3 stacks")
    assert lines == []
    assert not [name for name in world.sent() if not name.startswith(("Describe", "List", "Detect"))]


def test_what_somebody_changed_is_told_with_both_sides_and_code_3() -> None:
    gone = resource("Queue", "AWS::SQS::Queue", status="DELETED")
    # The root says of a nested stack what that says itself.
    parent = resource("Data", "AWS::CloudFormation::Stack", difference("/Tags", "a", "b"))
    outcome, lines, _ = told(account(drifts={"arn:Data": [TOPIC, gone], "arn:x": [parent]}))
    assert lines == [
        "Data/Queue  AWS::SQS::Queue  DELETED  it is gone",
        "Data/Topic  AWS::SNS::Topic  MODIFIED",
        "  /DisplayName  one -> two",
    ]
    assert (outcome.end, outcome.exit_code) == ("changes", 3)
    assert "2 resources differ from their templates: Data/Topic, Data/Queue" in outcome.what


def test_what_scale_set_is_expected_until_it_is_taken_back() -> None:
    moved = resource("Target", TARGET, difference("/MinCapacity", "2", "4"))
    world = account(drifts={"arn:WebService": [moved]})
    assert told(world)[0].exit_code == 3
    scaled(world)
    outcome, lines, _ = told(world)
    assert lines[0].endswith("MODIFIED  as expected")
    assert "`scale` set 4 to 20 tasks until" in lines[1]
    assert (outcome.exit_code, outcome.what.endswith("; 1 as is expected")) == (0, True)


def tag(key: str) -> str:
    return json.dumps({"Key": key, "Value": ""})


@pytest.mark.parametrize(
    ("kind", "path", "actual", "how", "expected"),
    [
        ("AWS::ECS::Service", "/DesiredCount", "7", "NOT_EQUAL", True),
        ("AWS::ECS::Service", "/EnableExecuteCommand", "true", "NOT_EQUAL", False),
        ("AWS::AutoScaling::AutoScalingGroup", "/DesiredCapacity", "7", "NOT_EQUAL", True),
        ("AWS::AutoScaling::AutoScalingGroup", "/MaxSize", "7", "NOT_EQUAL", False),
        ("AWS::AutoScaling::AutoScalingGroup", "/Tags/2", tag("AmazonECSManaged"), "ADD", True),
        ("AWS::AutoScaling::AutoScalingGroup", "/Tags/2", tag("aws:cloudformation:stack-id"), "ADD", True),
        ("AWS::AutoScaling::AutoScalingGroup", "/Tags/2", tag("owner"), "ADD", False),
        ("AWS::AutoScaling::AutoScalingGroup", "/Tags/2", tag("aws:x"), "REMOVE", False),
        ("AWS::ElasticLoadBalancingV2::ListenerRule", "/Actions/0/ForwardConfig/TargetGroups/0/Weight", "0",
         "NOT_EQUAL", True),
        ("AWS::ElasticLoadBalancingV2::ListenerRule", "/Actions/0/ForwardConfig/TargetGroups/0/TargetGroupArn", "x",
         "NOT_EQUAL", False),
        (TARGET, "/MaxCapacity", "7", "NOT_EQUAL", False),
    ],
)  # fmt: skip
def test_what_is_expected_to_differ(kind: str, path: str, actual: str, how: str, expected: bool) -> None:
    assert bool(why_expected(kind, Difference(path, "1", actual, how), "")) is expected


def test_one_property_that_nobody_expects_makes_the_resource_a_finding() -> None:
    both = resource("S", "AWS::ECS::Service", difference("/DesiredCount", "2", "7"), difference("/Role", "a", "b"))
    outcome, lines, _ = told(account(drifts={"arn:Data": [both]}))
    assert outcome.exit_code == 3
    assert lines[1] == "  /DesiredCount  2 -> 7  (scaling moves it)"


def test_what_could_not_be_compared_is_no_calm() -> None:
    unknown = {**resource("Topic", "AWS::SNS::Topic", status="UNKNOWN"), "DriftStatusReason": "no right to read"}
    outcome, lines, _ = told(account(drifts={"arn:Data": [unknown]}, failed={"arn:Data": "Failed on [Topic]"}))
    assert lines == ["Data/Topic  AWS::SNS::Topic  UNKNOWN  it could not be compared  no right to read"]
    assert (outcome.end, outcome.exit_code) == ("error", 1)
    assert "Data: Failed on [Topic]; Data/Topic" in outcome.reason
    outcome, _, _ = told(account(statuses={"Data": "ROLLBACK_FAILED"}))
    assert (outcome.exit_code, outcome.reason) == (1, "could not be compared: Data is ROLLBACK_FAILED")


def test_a_detection_of_somebody_else_is_waited_for() -> None:
    world = account(busy_until=30)
    outcome, _, said = told(world)
    assert outcome.exit_code == 0
    assert world.seconds >= 30
    waits = [one for one in said if isinstance(one, Note) and "waited for" in one.text]
    assert len(waits) == 3  # each stack's once


def test_after_the_time_that_was_given_it_ends_with_9() -> None:
    outcome, _, _ = told(account(takes_s=1000), wait_s=20)
    assert (outcome.exit_code, command_line(outcome.next)) == (9, "the same command again")


def test_a_set_at_work_is_not_looked_into() -> None:
    with pytest.raises(BusyError):
        told(account(status="UPDATE_IN_PROGRESS"))


def test_a_right_that_is_missing_and_a_refusal_are_told() -> None:
    world = account()
    world.faults = [Fault("DetectStackDrift", "AccessDenied")]
    with pytest.raises(AccessError):
        told(world)
    world = account()
    world.faults = [Fault("DetectStackDrift", "ValidationError", "cannot be done")]
    with pytest.raises(ApiError, match="cannot be done"):
        told(world)


def test_killed_at_any_call_the_same_command_ends_as_it_would_have() -> None:
    whole = account(drifts={"arn:Data": [TOPIC]})
    wanted = told(whole)[1]
    for number in range(1, len(whole.calls) + 1):
        for when in ("before", "during"):
            world = account(drifts={"arn:Data": [TOPIC]})
            world.killed_at = (number, when)
            with pytest.raises(Killed):
                told(world)
            world.killed_at = None
            outcome, lines, _ = told(world)
            assert (outcome.exit_code, lines) == (3, wanted), (number, when)
