"""What happens when a stack takes no more change sets, and how a plan without nested ones keeps its promises."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line, plan_lines
from scaleout_cfn.deploy.changes.quota import FULL, MANY, MOST, FullError
from scaleout_cfn.deploy.messages import Blocked
from scaleout_cfn.errors import NeedsHandError, RefusedError

from .helpers import Deployer, Small, running
from .world import Fault


def asked_for_nested(deployer: Deployer) -> list[bool]:
    """Of each change set that was created, whether it asked for nested ones."""
    sent = [given for _, operation, given in deployer.world.calls if operation == "CreateChangeSet"]
    return [given["IncludeNestedStacks"] for given in sent]


@pytest.mark.parametrize(
    ("count", "said", "nested"),
    [
        (MANY - 1, "", True),
        (MANY, "Data has 8", True),
        (FULL, "Data has 9", True),
        (FULL + 1, "are not shown", False),
    ],
)
def test_a_nested_stack_that_fills_up_is_told_and_then_its_changes_are_not_asked_for(
    count: int, said: str, nested: bool
) -> None:
    deployer = running()
    deployer.world.cfn.crowd["Data"] = count
    assert deployer.deploy(image="web:2").exit_code == 0
    assert asked_for_nested(deployer) == [nested]
    assert said in deployer.notes and bool(said) == ("Data has" in deployer.notes)


def test_a_new_stack_has_room_and_costs_no_count() -> None:
    deployer = Deployer()
    deployer.deploy()
    assert not deployer.world.sent("ListChangeSets")


@pytest.mark.parametrize("operation", ["ListChangeSets", "ListStackResources"])
def test_a_count_that_may_not_be_read_decides_nothing(operation: str) -> None:
    deployer = running()
    deployer.world.faults.append(Fault(operation, "AccessDenied", times=1))
    assert deployer.deploy(image="web:2").exit_code == 0
    assert asked_for_nested(deployer) == [True]
    assert "not known how many change sets" in deployer.notes


def test_what_is_not_shown_is_said_and_shown_as_such() -> None:
    deployer = running()
    assert deployer.deploy(image="web:2", nested_plan=False).exit_code == 0
    (plan,) = deployer.plans
    assert [(one.path, one.unseen) for one in plan.changes] == [("Data", False), ("Service", True)]
    lines = plan_lines(plan, 120)
    assert "  Service/  changes not shown" in lines and "  Data/" in lines
    assert plan.warnings == ("not shown: the changes inside Service. What holds data in there needs consent",)


def test_p5_without_a_nested_plan_no_data_is_replaced_without_consent_by_path() -> None:
    deployer = running()
    with pytest.raises(RefusedError, match=r"Data/Table might be .* because of changes that are not shown") as refusal:
        deployer.deploy(Small(key="pk"), nested_plan=False)
    assert command_line(refusal.value.next).endswith("--allow-replace Data/Table")
    assert [one for one in deployer.said if isinstance(one, Blocked)]
    assert (deployer.world.executions(), deployer.world.sent("SetStackPolicy")) == (0, [])
    table = deployer.world.cfn.physical_id("Table")
    assert deployer.deploy(Small(key="pk"), nested_plan=False, allowed=("Data/Table",)).exit_code == 0
    assert deployer.world.cfn.physical_id("Table") != table


@pytest.mark.parametrize("command", ["deploy", "apply"])
def test_p5_a_policy_that_keeps_it_today_is_no_consent_to_what_is_not_shown(command: str) -> None:
    """The template that is not shown may have another policy."""
    deployer = Deployer()
    deployer.deploy(Small(retain=True), image="web:1")
    planned = deployer.plan(Small(key="pk"), nested_plan=False)
    run = partial(deployer.apply, planned.change_set)
    if command == "deploy":
        run = partial(deployer.deploy, Small(key="pk"), nested_plan=False)
    with pytest.raises(RefusedError, match="Data/Table"):
        run()


def test_p5_what_its_template_marks_holds_data_too() -> None:
    deployer = running()
    mark_service(deployer)
    with pytest.raises(RefusedError, match="Service/TaskDefinition might be replaced"):
        deployer.deploy(image="web:2", nested_plan=False)


def test_p5_an_unchanged_nested_stack_that_looks_something_up_may_change_all_the_same() -> None:
    deployer = running()
    data = next(one for one in deployer.world.cfn.stacks.values() if one.path == "Data")
    parameter = "Parameters:\n  Key:\n    Type: AWS::SSM::Parameter::Value<String>\n    Default: /key\n"
    data.text = parameter + data.text
    with pytest.raises(RefusedError, match="Data/Table might be replaced"):
        deployer.deploy(image="web:2", nested_plan=False)


def test_p5_a_template_that_cannot_be_read_makes_everything_count_as_data() -> None:
    deployer = running()
    cfn = deployer.world.cfn
    template = cfn.GetTemplate

    def broken(StackName: str, **rest: Any) -> dict[str, Any]:
        found = template(StackName, **rest)
        return {"TemplateBody": "- no template"} if "Service" in StackName else found

    cfn.GetTemplate = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(RefusedError, match="Service/TaskDefinition might be replaced"):
        deployer.deploy(image="web:2", nested_plan=False)


def test_p5_a_marked_resource_goes_with_no_nested_stack_that_is_removed_whole() -> None:
    deployer = running()
    mark_service(deployer)
    with pytest.raises(RefusedError, match="Service/TaskDefinition would be deleted"):
        deployer.deploy(image="")


def mark_service(deployer: Deployer) -> None:
    stack = next(one for one in deployer.world.cfn.stacks.values() if one.path == "Service")
    stack.text = stack.text.replace(
        "  TaskDefinition:\n", '  TaskDefinition:\n    Metadata:\n      "scaleout:stateful": true\n'
    )


def test_a_full_root_is_cleared_of_our_own_change_sets_that_were_never_executed() -> None:
    deployer = running()
    planned = [deployer.plan(Small(word=f"w{number}")).change_set for number in range(3)]
    cfn = deployer.world.cfn
    theirs = {**cfn.sets[planned[0]], "ChangeSetId": planned[0] + "9", "ChangeSetName": "theirs"}
    theirs["_root"] = theirs["ChangeSetId"]
    cfn.sets[theirs["ChangeSetId"]] = theirs
    stack = cfn.live("web")
    assert stack is not None
    there = sum(one["StackId"] == stack.id for one in cfn.sets.values())
    cfn.crowd[""] = MOST - there
    execute, seen = cfn.ExecuteChangeSet, list[str]()

    def kept(**given: Any) -> Any:
        seen.extend(cfn.sets)
        return execute(**given)

    cfn.ExecuteChangeSet = kept  # type: ignore[method-assign, assignment]
    assert deployer.deploy(Small(word="two")).exit_code == 0
    assert "deleted of ours, which were never executed: scfn-set-" in deployer.notes
    assert not set(planned) & set(seen)
    assert theirs["ChangeSetId"] in seen
    assert deployer.world.executions() == 1


def test_a_nested_stack_found_full_only_by_cloudformation_is_planned_without_nested_ones() -> None:
    deployer = running()
    deployer.world.cfn.crowd["Data"] = MOST
    deployer.world.faults.append(Fault("ListStackResources", "AccessDenied"))  # so that nobody counted
    assert deployer.deploy(image="web:2").exit_code == 0
    assert asked_for_nested(deployer) == [True, True, False]
    assert "going on without those of nested stacks" in deployer.notes
    left = [one for one in deployer.world.cfn.sets.values() if not one["ExecutionStatus"].startswith("EXECUTE")]
    assert left == []


def test_a_root_that_stays_full_needs_a_hand_and_nothing_is_changed() -> None:
    deployer = running()
    deployer.world.cfn.crowd[""] = MOST
    with pytest.raises(FullError, match="ChangeSet limit exceeded") as refusal:
        deployer.deploy(image="web:2")
    assert (refusal.value.exit_code, deployer.world.executions()) == (5, 0)
    assert "list-change-sets" in command_line(refusal.value.next)


def test_another_quota_that_is_used_up_is_told_as_aws_says_it() -> None:
    deployer = Deployer()
    deployer.world.faults.append(Fault("CreateChangeSet", "LimitExceededException"))
    with pytest.raises(NeedsHandError, match="CloudFormation takes no more") as refusal:
        deployer.deploy()
    assert refusal.value.exit_code == 5
    assert "DeleteChangeSet" not in deployer.world.sent()
