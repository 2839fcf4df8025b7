"""Nested stacks behave as stacks: created, updated, rolled back and deleted, by one engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import helpers, sets
from .conftest import Faults
from .helpers import Account


def begun(account: Account, files: sets.Files, **parameters: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Create `demo` from the files. Returns the stack and the parameters for its next change."""
    url = helpers.upload(account, files)
    values = {"Url": url, **parameters}
    return helpers.deploy(account, "demo", f"{url}/root.json", values, kind="CREATE"), values


def changed(account: Account, values: dict[str, str], **parameters: str) -> dict[str, Any]:
    return helpers.deploy(account, "demo", f"{values['Url']}/root.json", {**values, **parameters})


def words(account: Account) -> list[str]:
    """The first word of every value that exists."""
    ssm = account.client("ssm")
    names = [entry["Name"] for entry in ssm.describe_parameters()["Parameters"]]
    return sorted(ssm.get_parameter(Name=name)["Parameter"]["Value"].split()[0] for name in names)


def child_status(account: Account, stack: dict[str, Any], logical_id: str) -> str:
    child = helpers.children(account, stack["StackId"])[logical_id]
    return str(helpers.described(account, child)["StackStatus"])


@pytest.mark.parametrize("files", [sets.pair(), sets.three_levels()], ids=["two children", "three levels"])
def test_a_set_is_created_changed_and_deleted_and_leaves_nothing(account: Account, files: sets.Files) -> None:
    stack, values = begun(account, files, Word="one")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    stack = changed(account, values, Word="two")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert all(value.startswith("two ") for value in helpers.outputs(stack).values())
    assert set(words(account)) == {"two"}
    assert helpers.delete(account, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(account) == []


def test_a_child_changes_when_only_its_template_does(account: Account) -> None:
    files = sets.pair()
    _, values = begun(account, files, Word="one")
    files["child.json"]["Resources"]["Value"] = sets.parameter({"Fn::Sub": "new ${Word}"})
    helpers.upload(account, files)
    assert changed(account, values)["StackStatus"] == "UPDATE_COMPLETE"
    assert words(account) == ["new", "new"]


def test_a_resource_that_leaves_a_childs_template_is_deleted(account: Account) -> None:
    files = sets.pair()
    _, values = begun(account, files, Word="one")
    del files["child.json"]["Resources"]["Value"], files["child.json"]["Outputs"]["Value"]
    files["root.json"]["Outputs"] = {}
    helpers.upload(account, files)
    changed(account, values)
    assert words(account) == []


def test_a_child_that_fails_to_be_created_leaves_nothing_and_names_the_cause(faulty: Account, faults: Faults) -> None:
    faults({"stack": "-Second-", "resource": "Value", "operation": "create"})
    stack, _ = begun(faulty, sets.pair(), Word="one")
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert helpers.leftovers(faulty) == ["stack: demo ROLLBACK_COMPLETE"]
    events = helpers.events(faulty, stack["StackId"])
    failed = next(event for event in events if event["ResourceStatus"] == "CREATE_FAILED")
    child = failed["PhysicalResourceId"]
    assert failed["ResourceStatusReason"] == (
        f"Embedded stack {child} was not successfully created: The following resource(s) failed to create: [Value]. "
    )
    statuses = [e["ResourceStatus"] for e in helpers.events(faulty, child) if e["PhysicalResourceId"] == child]
    assert statuses[-4:] == ["ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    cause = next(event for event in helpers.events(faulty, child) if event["ResourceStatus"] == "CREATE_FAILED")
    assert (cause["LogicalResourceId"], cause["ResourceStatusReason"]) == ("Value", "on purpose")


def test_a_child_is_visible_to_a_follower_before_it_is_complete(account: Account) -> None:
    stack, _ = begun(account, sets.pair(), Word="one")
    first = [e for e in helpers.events(account, stack["StackId"]) if e["LogicalResourceId"] == "First"]
    assert [event["ResourceStatus"] for event in first] == ["CREATE_IN_PROGRESS"] * 2 + ["CREATE_COMPLETE"]
    assert first[1]["ResourceStatusReason"] == "Resource creation Initiated"
    assert first[1]["PhysicalResourceId"] == helpers.children(account, stack["StackId"])["First"]


def test_a_failed_update_sends_every_child_back(faulty: Account, faults: Faults) -> None:
    stack, values = begun(faulty, sets.apart(), Word="one")
    faults({"stack": "-Second-", "resource": "Value", "operation": "update"})
    stack = changed(faulty, values, Word="two")
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert [child_status(faulty, stack, child) for child in ("First", "Second")] == ["UPDATE_ROLLBACK_COMPLETE"] * 2
    assert words(faulty) == ["one", "one"]
    assert helpers.outputs(stack)["First"].startswith("one ")


def test_a_failed_update_sends_back_a_child_whose_url_did_not_change(faulty: Account, faults: Faults) -> None:
    files = sets.apart()
    _, values = begun(faulty, files, Word="one")
    files["child.json"]["Resources"]["Value"] = sets.parameter("new")
    helpers.upload(faulty, files)
    faults({"stack": "-Second-", "resource": "Value", "operation": "update"})
    assert changed(faulty, values)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert words(faulty) == ["one", "one"]
    faults()
    assert changed(faulty, values)["StackStatus"] == "UPDATE_COMPLETE"
    assert words(faulty) == ["new", "new"]


def test_a_grandchild_is_sent_back_with_its_parent(faulty: Account, faults: Faults) -> None:
    files = sets.three_levels()
    files["root.json"]["Resources"]["Last"] = {**sets.parameter({"Ref": "Word"}), "DependsOn": "Middle"}
    _, values = begun(faulty, files, Word="one")
    assert changed(faulty, values, Word="two")["StackStatus"] == "UPDATE_COMPLETE"
    faults({"stack": "^demo$", "resource": "Last", "operation": "update"})
    assert changed(faulty, values, Word="three")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert words(faulty) == ["two", "two"]


def test_a_rollback_that_fails_can_be_continued(faulty: Account, faults: Faults) -> None:
    files = sets.apart()
    files["child.json"]["Resources"]["Extra"] = sets.parameter("extra")
    stack, values = begun(faulty, files, Word="one")
    del files["child.json"]["Resources"]["Extra"]
    helpers.upload(faulty, files)
    faults(
        {"stack": "-Second-", "resource": "Value", "operation": "update"},
        {"stack": "-First-", "resource": "Extra", "operation": "create", "times": 1},
    )
    stack = changed(faulty, values, Word="two")
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED"
    assert child_status(faulty, stack, "First") == "UPDATE_ROLLBACK_FAILED"
    faulty.client("cloudformation").continue_update_rollback(StackName="demo")
    assert helpers.settled(faulty, stack["StackId"])["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert words(faulty) == ["extra", "extra", "one", "one"]


def test_a_childs_failed_delete_fails_the_parents_and_can_be_repeated(faulty: Account, faults: Faults) -> None:
    stack, _ = begun(faulty, sets.pair(), Word="one")
    child = helpers.children(faulty, stack["StackId"])["Second"]
    faults({"stack": "-Second-", "resource": "Role", "operation": "delete", "times": 1})
    stack = helpers.delete(faulty, stack["StackId"])
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert stack["StackStatusReason"] == "The following resource(s) failed to delete: [Second]."
    assert helpers.described(faulty, child)["StackStatus"] == "DELETE_FAILED"
    assert helpers.delete(faulty, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(faulty) == []


def test_without_rollback_the_failed_child_stays_as_it_is(faulty: Account, faults: Faults) -> None:
    url = helpers.upload(faulty, sets.pair())
    faults({"stack": "-Second-", "resource": "Value", "operation": "create"})
    change = helpers.change_set(faulty, "demo", f"{url}/root.json", {"Url": url, "Word": "one"}, kind="CREATE")
    stack = helpers.execute(faulty, change, DisableRollback=True)
    assert stack["StackStatus"] == "CREATE_FAILED"
    assert child_status(faulty, stack, "Second") == "CREATE_FAILED"
    assert helpers.delete(faulty, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert helpers.leftovers(faulty) == []


def test_a_child_keeps_what_its_template_retains(account: Account) -> None:
    files = sets.pair()
    files["child.json"]["Resources"]["Value"]["DeletionPolicy"] = "Retain"
    stack, _ = begun(account, files, Word="one")
    helpers.delete(account, stack["StackId"])
    assert words(account) == ["one", "one"]


@pytest.mark.parametrize(
    ("policy", "option", "left"),
    [("Retain", False, ["one"]), ("Retain", True, []), ("RetainExceptOnCreate", False, [])],
)
def test_a_failed_creation_keeps_what_is_retained_even_then(
    faulty: Account, faults: Faults, policy: str, option: bool, left: list[str]
) -> None:
    files = sets.apart()
    files["child.json"]["Resources"]["Value"]["DeletionPolicy"] = policy
    url = helpers.upload(faulty, files)
    faults({"stack": "-Second-", "resource": "Value", "operation": "create"})
    change = helpers.change_set(faulty, "demo", f"{url}/root.json", {"Url": url, "Word": "one"}, kind="CREATE")
    assert helpers.execute(faulty, change, RetainExceptOnCreate=option)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert words(faulty) == left


def test_what_is_retained_except_on_create_survives_a_later_delete(account: Account) -> None:
    files = sets.pair()
    files["child.json"]["Resources"]["Value"]["DeletionPolicy"] = "RetainExceptOnCreate"
    stack, _ = begun(account, files, Word="one")
    helpers.delete(account, stack["StackId"])
    assert words(account) == ["one", "one"]


def test_a_childs_exports_are_listed(account: Account) -> None:
    files = sets.pair()
    del files["root.json"]["Resources"]["Second"], files["root.json"]["Outputs"]["Second"]
    files["child.json"]["Outputs"]["Value"]["Export"] = {"Name": "shared"}
    begun(account, files, Word="one")
    assert [export["Name"] for export in account.client("cloudformation").list_exports()["Exports"]] == ["shared"]


def test_a_dynamic_reference_in_a_child_is_resolved(account: Account) -> None:
    files = sets.pair()
    image = "{{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id}}"
    files["child.json"]["Resources"]["Value"] = sets.parameter(image)
    begun(account, files, Word="one")
    assert all(word.startswith("ami-") for word in words(account))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Word": "x", "Wrod": "x"}, "Parameters: [Wrod] do not exist in the template"),
        ({}, "Parameter 'Word' has no Default and was not provided"),
        ({"Word": ["x"]}, "Value of property Parameters must be an object with String (or simple type) properties"),
    ],
)
def test_a_wrong_wire_into_a_child_fails_and_says_so(account: Account, given: Any, message: str) -> None:
    files = {"root.json": sets.root({"Only": sets.nested("child.json", **given)}), "child.json": sets.child()}
    url = helpers.upload(account, files)
    cfn = account.client("cloudformation")
    made = cfn.create_stack(
        StackName="demo",
        TemplateBody=json.dumps(files["root.json"]),
        Parameters=[{"ParameterKey": "Url", "ParameterValue": url}],
    )
    assert helpers.settled(account, made["StackId"])["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f"demo/Only CREATE_FAILED: {message}" in helpers.failures(account)


def test_tags_of_the_root_reach_the_children(account: Account) -> None:
    url = helpers.upload(account, sets.pair())
    change = helpers.change_set(
        account,
        "demo",
        f"{url}/root.json",
        {"Url": url, "Word": "one"},
        kind="CREATE",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    stack = helpers.execute(account, change)
    child = helpers.described(account, helpers.children(account, stack["StackId"])["First"])
    assert child["Tags"] == [{"Key": "team", "Value": "a"}]
