"""Resources move between nested stacks as they are; what CloudFormation would not move is refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scaleout_cfn.aws.client import Patience
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.messages import Fact, Message, Outcome
from scaleout_cfn.deploy.move import Move, _moved, due, move
from scaleout_cfn.errors import RefusedError, UsageError

from .helpers import Deployer, Small
from .world import Fault, Killed

MOVES = (Move("More0/Extra", "More1/Extra"),)


def with_two() -> Deployer:
    """A set with More0, in which are Word and Extra, and More1, in which is Word."""
    deployer = Deployer()
    assert deployer.deploy(Small(more=2)).exit_code == 0
    cfn = deployer.world.cfn
    (stack,) = (one for one in cfn.stacks.values() if one.path == "More0")
    body = json.loads(json.dumps(stack.template))
    body["Resources"]["Extra"] = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}
    body["Outputs"]["Extra"] = {"Value": {"Ref": "Extra"}}
    stack.text, stack.outputs = json.dumps(body), {**stack.outputs, "Extra": "parameter-extra"}
    properties = {"Type": "String", "Value": "x"}
    record = {"type": "AWS::SSM::Parameter", "physical": "parameter-extra", "properties": properties}
    stack.resources["Extra"] = {**record, "status": "CREATE_COMPLETE"}
    deployer.world.calls.clear()
    cfn.executions = 0
    return deployer


def moved(deployer: Deployer, moves: tuple[Move, ...] = MOVES, *, yes: bool = True, wait_s: float = 600) -> Outcome:
    said: list[Message] = []
    outcome = move(deployer.world.aws(), "web", moves, said.append, lambda _: yes, Patience(wait_s=wait_s))
    deployer.said = said
    return outcome


def places(deployer: Deployer) -> dict[str, str]:
    stacks = [one for one in deployer.world.cfn.stacks.values() if one.path.startswith("More")]
    return {f"{one.path}/{title}": raw["physical"] for one in stacks for title, raw in one.resources.items()}


def test_what_moves_is_the_same_resource_in_another_stack() -> None:
    deployer = with_two()
    before = places(deployer)
    assert moved(deployer).end == "done"
    assert places(deployer) == {
        "More1/Extra" if path == "More0/Extra" else path: physical for path, physical in before.items()
    }
    (fact,) = (one for one in deployer.said if isinstance(one, Fact))
    assert fact.lines == ("More0/Extra -> More1/Extra  AWS::SSM::Parameter  parameter-extra",)
    assert moved(deployer).end == "no_change" and deployer.world.executions() == 1


def test_the_outputs_of_the_stack_that_it_leaves_stay_what_they_are() -> None:
    """The root takes them until it is deployed, and a rollback of that takes them again."""
    deployer = with_two()
    moved(deployer)
    (stack,) = (one for one in deployer.world.cfn.stacks.values() if one.path == "More0")
    assert json.loads(stack.text)["Outputs"]["Extra"] == {"Value": "parameter-extra"}


def test_the_same_command_after_a_crash_at_any_call_ends_in_the_same_state() -> None:
    whole = with_two()
    moved(whole)
    wanted, calls = places(whole), len(whole.world.calls)
    for number in range(1, calls + 1):
        for when in ("before", "during"):
            deployer = with_two()
            deployer.world.killed_at = (number, when)
            with pytest.raises(Killed):
                moved(deployer)
            deployer.world.killed_at = None
            deployer.world.seconds += 1
            assert moved(deployer).exit_code == 0, (number, when)
            assert places(deployer) == wanted and deployer.world.executions() == 1, (number, when)
            assert len(deployer.world.cfn.refactors) == 1, (number, when)


@pytest.mark.parametrize("operation", ["CreateStackRefactor", "ExecuteStackRefactor"])
@pytest.mark.parametrize("carried_out", [False, True])
def test_an_answer_that_is_lost_moves_nothing_twice(operation: str, carried_out: bool) -> None:
    deployer = with_two()
    deployer.world.faults = [
        Fault(operation, "" if carried_out else "InternalFailure", status=500, carried_out=carried_out)
    ]
    assert moved(deployer).end == "done"
    assert deployer.world.executions() == 1 and len(deployer.world.cfn.refactors) == 1


def test_who_does_not_agree_has_moved_nothing_and_is_asked_again() -> None:
    deployer = with_two()
    with pytest.raises(RefusedError, match="not confirmed"):
        moved(deployer, yes=False)
    assert deployer.world.executions() == 0
    assert moved(deployer).end == "done" and len(deployer.world.cfn.refactors) == 1


def test_a_stack_policy_is_refused_before_a_refactor_is_made() -> None:
    deployer = with_two()
    (stack,) = (one for one in deployer.world.cfn.stacks.values() if one.path == "More0")
    stack.policy = "{}"
    with pytest.raises(RefusedError, match="More0 has a stack policy, as `deploy` gives it to what holds data"):
        moved(deployer)
    assert not deployer.world.cfn.refactors


def test_more_than_was_asked_for_is_not_executed() -> None:
    deployer = with_two()
    place = {"StackName": "web-More1", "LogicalResourceId": "Word"}
    deployer.world.cfn.more_moves = [{"Source": place, "Destination": {**place, "StackName": "web-More0"}}]
    with pytest.raises(RefusedError, match="would do more than was asked for"):
        moved(deployer)
    assert deployer.world.executions() == 0


def test_a_move_that_fails_is_taken_back_and_told() -> None:
    deployer = with_two()
    deployer.world.cfn.move_failure = "tags of Extra cannot be changed"
    outcome = moved(deployer)
    assert (outcome.exit_code, outcome.reason) == (4, "tags of Extra cannot be changed")


def test_who_stops_waiting_goes_on_later() -> None:
    deployer = with_two()
    deployer.world.cfn.resource_s = 1000
    assert moved(deployer, wait_s=30).end == "still_running"
    deployer.world.seconds += 2000
    assert moved(deployer).end == "no_change" and deployer.world.executions() == 1


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (Move("More0/Nope", "More1/Nope"), "the set has no resource More0/Nope"),
        (Move("More0/Word", "More1/Word"), "More1/Word is there already"),
        (Move("More7/Word", "More1/Other"), "the set has no nested stack More7"),
    ],
)
def test_what_is_not_there_is_told(each: Move, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        moved(with_two(), (each,))


def bodies(**definition: Any) -> dict[str, dict[str, Any]]:
    queue = {"Type": "AWS::SQS::Queue", **definition}
    old = {"Parameters": {"A": {}, "B": {}}, "Conditions": {"C": {"Fn::Equals": ["a", "b"]}, "D": {}}}
    new = {"Parameters": {"A": {}}, "Conditions": {"C": {"Fn::Equals": ["a", "b"]}}}
    rest = {"Type": "AWS::SNS::Topic"}
    return {"Old": {**old, "Resources": {"Queue": queue, "Topic": rest}}, "New": {**new, "Resources": {"Topic": rest}}}


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"Properties": {"A": {"Ref": "A"}, "R": {"Ref": "AWS::Region"}}, "Condition": "C"}, ""),
        ({"Properties": {"A": {"Fn::Sub": "${A}-${AWS::Region}-${!X}"}}}, ""),
        ({"Properties": {"A": {"Ref": "B"}}}, "Old/Queue takes B, which New does not have as Old has it"),
        ({"Properties": {"A": {"Fn::Sub": ["${x}", {"x": {"Ref": "B"}}]}}}, "takes B"),
        ({"Properties": {"A": {"Fn::GetAtt": ["Topic", "Arn"]}}}, "takes Topic"),
        ({"DependsOn": ["Topic"]}, "takes Topic"),
        ({"Condition": "D"}, "takes D"),
        ({"Properties": {"A": {"Fn::If": ["D", 1, 2]}}}, "takes D"),
        ({"Properties": {"A": {"Fn::Sub": "${AWS::StackName}"}}}, "takes AWS::StackName, which is another one"),
    ],
)
def test_what_takes_values_that_are_not_the_same_elsewhere_does_not_move(definition: Any, words: str) -> None:
    problems = list(_moved(bodies(**definition), {"Old": {}, "New": {}}, [Move("Old/Queue", "New/Queue")]))
    assert bool(problems) is bool(words) and words in "; ".join(problems)


def test_what_others_take_a_value_of_does_not_move_and_no_stack_is_left_empty() -> None:
    both = bodies()
    both["Old"]["Resources"]["Topic"] = {"Type": "AWS::SNS::Topic", "Properties": {"Q": {"Ref": "Queue"}}}
    assert list(_moved(both, {"Old": {}, "New": {}}, [Move("Old/Queue", "New/Queue")])) == [
        "Old/Topic takes a value of Old/Queue, and would have to change"
    ]
    both = bodies()
    del both["Old"]["Resources"]["Topic"]
    assert list(_moved(both, {"Old": {}, "New": {}}, [Move("Old/Queue", "New/Queue")])) == [
        "Old would be empty, and CloudFormation has no empty stacks"
    ]


def test_a_deployment_that_would_make_it_anew_asks_for_the_move_first(monkeypatch: pytest.MonkeyPatch) -> None:
    deployer = with_two()
    monkeypatch.setattr(deployment, "MOVES", MOVES)
    with pytest.raises(RefusedError, match="More0/Extra is More1/Extra in this version: a deployment would"):
        deployer.deploy(Small(more=2, word="two"))
    deployer.plan(Small(more=2, word="two"))
    assert "`move` moves it as it is" in deployer.notes
    assert deployer.world.executions() == 0
    assert due({"More0/Extra"}, MOVES) == MOVES and due({"More0/Extra", "More1/Extra"}, MOVES) == ()
