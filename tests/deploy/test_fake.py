"""What the fake does, in sentences, each with where it is known from. The deployer is only as right as these."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.session
import pytest
from botocore import xform_name

import scaleout_cfn

from .helpers import Deployer, Small, published, running
from .world import World


def named_calls() -> Iterator[tuple[str, str, str]]:
    """Each service and operation that the package names beside each other in a call, and where."""
    known = set(botocore.session.get_session().get_available_services())
    for path in sorted(Path(scaleout_cfn.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name in ("read", "once", "write", "pages", "_all") and isinstance(node, ast.Call):
                words = [str(word.value) if isinstance(word, ast.Constant) else "" for word in node.args]
                for service, operation in pairwise(words):
                    if service in known and operation:
                        yield service, operation, f"{path.name}:{node.lineno}"


def test_each_call_that_is_named_is_a_method_of_its_service_s_client() -> None:
    calls = list(named_calls())
    session = botocore.session.get_session()
    names = {service: session.get_service_model(service).operation_names for service in {call[0] for call in calls}}
    methods = {service: {*map(xform_name, operations)} for service, operations in names.items()}
    assert len(methods) > 8
    assert [call for call in calls if call[1] not in methods[call[0]]] == []


def world() -> World:
    made = World()
    for file in published().files:
        made.objects[file.key] = file.text
    return made


def request(**more: Any) -> dict[str, Any]:
    return {
        "StackName": "web",
        "ChangeSetName": "one",
        "ChangeSetType": "CREATE",
        "TemplateURL": published().root.url,
        **more,
    }


def refused(made: World, operation: str, **given: Any) -> str:
    client = made.aws().client("cloudformation")
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        getattr(client, operation)(**given)
    return str(refusal.value.response["Error"]["Code"])


def test_parameters_are_validated_by_botocores_model() -> None:
    with pytest.raises(botocore.exceptions.ParamValidationError):
        world().aws().client("cloudformation").create_change_set(StackName="web")


def test_a_change_set_for_a_new_stack_makes_a_placeholder_in_review() -> None:
    """API_CreateChangeSet: "CREATE ... a stack with REVIEW_IN_PROGRESS status"."""
    made = world()
    made.aws().client("cloudformation").create_change_set(**request())
    assert made.cfn.DescribeStacks("web")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"


def test_a_second_change_set_of_a_name_is_refused() -> None:
    """API_CreateChangeSet, errors: AlreadyExistsException."""
    made = world()
    made.aws().client("cloudformation").create_change_set(**request())
    assert refused(made, "create_change_set", **request()) == "AlreadyExistsException"


def test_an_update_of_nothing_and_a_creation_of_what_is_there_are_refused() -> None:
    """As awscli and the CDK handle them: ValidationError."""
    assert refused(world(), "create_change_set", **request(ChangeSetType="UPDATE")) == "ValidationError"
    assert refused(running().world, "create_change_set", **request()) == "ValidationError"


def test_a_change_set_is_executed_once() -> None:
    """API_ExecuteChangeSet, errors: InvalidChangeSetStatus."""
    made = world()
    client = made.aws().client("cloudformation")
    arn = client.create_change_set(**request())["Id"]
    assert refused(made, "execute_change_set", ChangeSetName=arn, ClientRequestToken="t") == "InvalidChangeSetStatus"
    made.seconds += 10
    client.execute_change_set(ChangeSetName=arn, ClientRequestToken="t")
    assert refused(made, "execute_change_set", ChangeSetName=arn, ClientRequestToken="t") == "InvalidChangeSetStatus"


def test_an_execution_removes_the_stacks_other_change_sets() -> None:
    """API_ExecuteChangeSet: "CloudFormation deletes all other change sets associated with the stack"."""
    made = world()
    client = made.aws().client("cloudformation")
    arn = client.create_change_set(**request())["Id"]
    other = client.create_change_set(**request(ChangeSetName="two"))["Id"]
    made.seconds += 10
    client.execute_change_set(ChangeSetName=arn, ClientRequestToken="t")
    assert refused(made, "describe_change_set", ChangeSetName=other) == "ChangeSetNotFound"


def test_a_nested_change_set_hangs_on_its_parents_change() -> None:
    """API_ResourceChange: ChangeSetId."""
    made = world()
    client = made.aws().client("cloudformation")
    arn = client.create_change_set(**request(IncludeNestedStacks=True))["Id"]
    nested = [one["ResourceChange"].get("ChangeSetId") for one in made.cfn.sets[arn]["Changes"]]
    assert sum(bool(one) for one in nested) == 1


def test_without_nested_ones_every_nested_stack_is_shown_and_one_that_its_parent_does_not_change_as_automatic() -> None:
    """API_ResourceChangeDetail: ChangeSource."""
    deployer = running()
    arn = deployer.plan(image="web:2", nested_plan=False).change_set
    changes = [one["ResourceChange"] for one in deployer.world.cfn.sets[arn]["Changes"]]
    assert [one["LogicalResourceId"] for one in changes] == ["Data", "Service"]
    assert not any("ChangeSetId" in one for one in changes)
    sources = [{detail["ChangeSource"] for detail in one["Details"]} for one in changes]
    assert sources == [{"Automatic"}, {"DirectModification"}]


def test_a_stack_takes_a_thousand_change_sets_and_a_nested_one_fails_that_of_its_root() -> None:
    """https://github.com/awslabs/seed-farmer/issues/441 and https://github.com/aws/copilot-cli/issues/5614"""
    deployer = running()
    deployer.world.cfn.crowd["Data"] = 1000
    client = deployer.world.aws().client("cloudformation")
    given = {**request(ChangeSetType="UPDATE", Description="x"), "TemplateURL": published(Small(word="two")).root.url}
    for file in published(Small(word="two")).files:
        deployer.world.objects[file.key] = file.text
    arn = client.create_change_set(**given, IncludeNestedStacks=True)["Id"]
    deployer.world.seconds += 10
    failed = client.describe_change_set(ChangeSetName=arn)
    assert failed["Status"] == "FAILED"
    assert failed["StatusReason"].startswith("ChangeSet limit exceeded for stack arn:")
    deployer.world.cfn.crowd[""] = 1000
    assert refused(deployer.world, "create_change_set", **{**given, "ChangeSetName": "x"}) == "LimitExceededException"


def test_every_event_of_an_operation_carries_its_token() -> None:
    """API_StackEvent: ClientRequestToken."""
    deployer = Deployer()
    deployer.deploy()
    events = [one for stack in deployer.world.cfn.stacks.values() for one in stack.events]
    tokens = {one.get("ClientRequestToken") for one in events if one["ResourceStatus"] != "REVIEW_IN_PROGRESS"}
    assert len(tokens) == 1


def test_events_come_newest_first_on_small_pages() -> None:
    """API_DescribeStackEvents: "in reverse chronological order"."""
    deployer = running()
    page = deployer.world.cfn.DescribeStackEvents("web")
    assert len(page["StackEvents"]) == 2 and page["NextToken"]
    assert page["StackEvents"][0]["ResourceStatus"] == "UPDATE_COMPLETE"


def test_the_parent_of_a_failed_child_says_only_that_it_failed() -> None:
    """https://github.com/aws/aws-cdk/pull/27318"""
    deployer = running()
    deployer.world.cfn.failures["Service/Service"] = ("the cause", 1)
    deployer.deploy(image="web:2")
    root = deployer.world.cfn.live("web")
    assert root is not None
    reasons = " ".join(one.get("ResourceStatusReason", "") for one in root.events)
    assert "Embedded stack" in reasons and "the cause" not in reasons


def test_a_deleted_stack_answers_by_its_arn_only() -> None:
    """API_DescribeStacks: "Deleted stacks: You must specify the unique stack ID"."""
    deployer = running()
    stack = deployer.world.cfn.live("web")
    assert stack is not None
    client = deployer.world.aws().client("cloudformation")
    client.delete_stack(StackName="web", ClientRequestToken="t")
    deployer.world.cfn.finish()
    assert client.describe_stacks(StackName=stack.id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"
    assert refused(deployer.world, "describe_stacks", StackName="web") == "ValidationError"


def test_a_stack_policy_refuses_a_replacement_and_the_update_is_rolled_back() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html"""
    deployer = running()
    cfn = deployer.world.cfn
    arn = deployer.plan(Small(key="pk")).change_set
    cfn.ExecuteChangeSet(arn, "x")
    cfn.finish()
    assert deployer.status() == "UPDATE_ROLLBACK_COMPLETE"
    reasons = [one.get("ResourceStatusReason", "") for stack in cfn.stacks.values() for one in stack.events]
    assert any("Action denied by stack policy" in reason for reason in reasons)


def test_a_hook_that_refuses_a_resource_leaves_two_events_of_one_id_and_then_the_failure() -> None:
    """API_StackEvent: HookStatus; the ids are those of AWS's own sample output of guard hooks."""
    deployer = running()
    deployer.world.cfn.hooks["Word"] = "no"
    deployer.deploy(Small(word="two"))
    root = deployer.world.cfn.live("web")
    assert root is not None
    hooked = [one for one in root.events if "HookType" in one]
    assert [one["HookStatus"] for one in hooked] == ["HOOK_IN_PROGRESS", "HOOK_COMPLETE_FAILED"]
    assert len({one["EventId"] for one in hooked}) == 1
    (failed,) = [one for one in root.events if one["ResourceStatus"] == "UPDATE_FAILED"]
    assert failed["ResourceStatusReason"].startswith("The following hook(s) failed")


def test_what_a_nested_stack_replaced_is_deleted_after_its_root_was_updated() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html: an update ends in
    UPDATE_COMPLETE_CLEANUP_IN_PROGRESS, in which old resources are deleted."""
    deployer = running()
    deployer.deploy(Small(key="pk"), allowed=("Data/Table",))
    cfn = deployer.world.cfn
    root, data = cfn.live("web"), next(stack for stack in cfn.stacks.values() if stack.path == "Data")
    assert root is not None
    (cleanup,) = [one["Timestamp"] for one in root.events[-3:] if "CLEANUP" in one["ResourceStatus"]]
    (deleted,) = [one["Timestamp"] for one in data.events if one["ResourceStatus"] == "DELETE_COMPLETE"]
    assert deleted > cleanup


def test_a_secret_is_not_given_back() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html: NoEcho"""
    from .helpers import Small

    deployer = Deployer()
    deployer.deploy(Small(secret=True), parameters={"Password": "hunter2"})
    assert "hunter2" not in str(deployer.world.cfn.DescribeStacks("web"))
