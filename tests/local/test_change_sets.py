"""Change sets with nested stacks: what they show, who may execute them, and what they leave behind."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from . import helpers, sets
from .helpers import Account


def begun(account: Account, files: sets.Files, word: str = "one") -> dict[str, str]:
    """Create `demo`. Returns its parameters, among them the place of the templates."""
    url = helpers.upload(account, files)
    values = {"Url": url, "Word": word}
    assert (
        helpers.deploy(account, "demo", f"{url}/root.json", values, kind="CREATE")["StackStatus"] == "CREATE_COMPLETE"
    )
    return values


def proposed(account: Account, values: dict[str, str], kind: str = "UPDATE", **parameters: str) -> dict[str, Any]:
    return helpers.change_set(account, "demo", f"{values['Url']}/root.json", {**values, **parameters}, kind=kind)


def first_proposed(account: Account, files: sets.Files) -> dict[str, Any]:
    return proposed(account, {"Url": helpers.upload(account, files), "Word": "one"}, kind="CREATE")


def nested(account: Account, description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Logical id -> description of the change set of every nested stack that changes."""
    cfn = account.client("cloudformation")
    return {
        change["ResourceChange"]["LogicalResourceId"]: cfn.describe_change_set(
            ChangeSetName=change["ResourceChange"]["ChangeSetId"]
        )
        for change in description["Changes"]
        if "ChangeSetId" in change["ResourceChange"]
    }


def changes(description: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c["ResourceChange"]["Action"], c["ResourceChange"]["LogicalResourceId"]) for c in description["Changes"]]


def test_a_nested_change_set_shows_the_childs_own_changes(account: Account) -> None:
    root = proposed(account, begun(account, sets.three_levels()), Word="two")
    assert changes(root) == [("Modify", "Middle")]
    middle = nested(account, root)["Middle"]
    leaf = nested(account, middle)["Leaf"]
    assert changes(leaf) == [("Modify", "Value")]
    assert [d["IncludeNestedStacks"] for d in (root, middle, leaf)] == [True] * 3
    assert (leaf["ParentChangeSetId"], leaf["RootChangeSetId"]) == (middle["ChangeSetId"], root["ChangeSetId"])
    assert "ParentChangeSetId" not in root


def test_what_reads_a_changing_sibling_is_shown_as_unknown(account: Account) -> None:
    root = proposed(account, begun(account, sets.pair()), Word="two")
    first, second = (nested(account, root)[name]["Parameters"][0]["ParameterValue"] for name in ("First", "Second"))
    assert first == "two"
    assert second == "{{IntrinsicFunction:demo/First.Outputs.Word/Fn::GetAtt}}"


def test_what_reads_an_unchanged_sibling_is_no_change(account: Account) -> None:
    files = sets.pair()
    files["root.json"]["Parameters"]["Other"] = {"Type": "String", "Default": "a"}
    files["root.json"]["Resources"]["Third"] = sets.nested("child.json", Word={"Ref": "Other"})
    root = proposed(account, begun(account, files), Other="b")
    assert changes(root) == [("Modify", "Third")]


def test_a_child_whose_template_alone_changed_is_part_of_the_change(account: Account) -> None:
    files = sets.pair()
    values = begun(account, files)
    files["child.json"]["Resources"]["More"] = sets.parameter("more")
    helpers.upload(account, files)
    root = proposed(account, values)
    assert root["Status"] == "CREATE_COMPLETE"
    assert changes(nested(account, root)["First"]) == [("Add", "More")]


def test_templates_that_only_moved_change_the_urls_and_no_child(account: Account) -> None:
    values = begun(account, sets.pair())
    helpers.upload(account, {f"moved/{name}": template for name, template in sets.pair().items()})
    root = proposed(account, values, Url=f"{values['Url']}/moved")
    assert changes(root) == [("Modify", "First"), ("Modify", "Second")]
    assert nested(account, root) == {}
    stack = helpers.execute(account, root)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    for child in helpers.children(account, stack["StackId"]).values():
        assert helpers.described(account, child)["StackStatus"] == "CREATE_COMPLETE"


def test_nothing_changed_is_said_in_the_words_that_tools_look_for(account: Account) -> None:
    root = proposed(account, begun(account, sets.three_levels()))
    assert (root["Status"], root["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert root["StatusReason"].startswith("The submitted information didn't contain changes.")


def test_outputs_that_change_alone_are_a_change_without_rows(account: Account) -> None:
    files = sets.pair()
    values = begun(account, files)
    files["root.json"]["Outputs"]["Third"] = {"Value": {"Fn::GetAtt": ["First", "Outputs.Word"]}}
    helpers.upload(account, files)
    root = proposed(account, values)
    assert (root["Status"], root["ExecutionStatus"], root["Changes"]) == ("CREATE_COMPLETE", "AVAILABLE", [])
    assert helpers.outputs(helpers.execute(account, root))["Third"] == "one"


def test_a_child_s_outputs_that_change_alone_are_a_change_of_the_child(account: Account) -> None:
    files = sets.pair()
    values = begun(account, files)
    files["child.json"]["Outputs"]["Word"]["Value"] = {"Fn::Sub": "a ${Word}"}
    helpers.upload(account, files)
    root = proposed(account, values)
    assert changes(root) == [("Modify", "First"), ("Modify", "Second")]
    assert [changes(child) for child in nested(account, root).values()] == [[], [("Modify", "Value")]]
    assert helpers.outputs(helpers.execute(account, root))["Second"].startswith("a one ")


def test_a_child_that_is_refused_fails_the_whole_change_set(account: Account) -> None:
    files = sets.pair()
    values = begun(account, files)
    files["child.json"]["Parameters"]["More"] = {"Type": "String"}
    helpers.upload(account, files)
    root = proposed(account, values)
    assert (root["Status"], root["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert root["StatusReason"].startswith("Nested change set for First was not successfully created")


def test_a_new_childs_placeholder_becomes_the_child(account: Account) -> None:
    root = first_proposed(account, sets.pair())
    expected = {name: description["StackId"] for name, description in nested(account, root).items()}
    placeholder = helpers.described(account, expected["First"])
    assert (placeholder["StackStatus"], placeholder["ParentId"]) == ("REVIEW_IN_PROGRESS", root["StackId"])
    stack = helpers.execute(account, root)
    assert helpers.children(account, stack["StackId"]) == expected


def test_a_nested_change_set_is_executed_and_deleted_from_its_root_only(account: Account) -> None:
    root = first_proposed(account, sets.pair())
    child = nested(account, root)["First"]["ChangeSetId"]
    cfn = account.client("cloudformation")
    for call in (cfn.execute_change_set, cfn.delete_change_set):
        assert "from its root change set" in helpers.refused(partial(call, ChangeSetName=child))


def test_a_deleted_change_set_takes_its_childrens_with_it(account: Account) -> None:
    values = begun(account, sets.pair())
    root = proposed(account, values, Word="two")
    child = nested(account, root)["First"]["ChangeSetId"]
    cfn = account.client("cloudformation")
    cfn.delete_change_set(ChangeSetName=root["ChangeSetId"])
    assert "does not exist" in helpers.refused(lambda: cfn.describe_change_set(ChangeSetName=child))


def test_a_stack_that_was_only_proposed_is_deleted_without_a_trace(account: Account) -> None:
    root = first_proposed(account, sets.three_levels())
    assert len(account.client("cloudformation").describe_stacks()["Stacks"]) == 3
    helpers.delete(account, root["StackId"])
    assert helpers.leftovers(account) == []


def test_earlier_change_sets_survive_a_second_first_one(account: Account) -> None:
    first = first_proposed(account, sets.pair())
    second = first_proposed(account, sets.pair())
    cfn = account.client("cloudformation")
    listed = {summary["ChangeSetId"] for summary in cfn.list_change_sets(StackName="demo")["Summaries"]}
    assert listed == {first["ChangeSetId"], second["ChangeSetId"]}
    assert helpers.execute(account, first)["StackStatus"] == "CREATE_COMPLETE"
    assert len(cfn.describe_stacks()["Stacks"]) == 3


def test_a_refused_second_change_set_leaves_the_first(account: Account) -> None:
    first = first_proposed(account, sets.pair())
    url = helpers.upload(account, {"bad.json": {"Resources": {"It": {"Type": "AWS::No::Such"}}}})
    helpers.refused(lambda: helpers.change_set(account, "demo", f"{url}/bad.json", kind="CREATE"))
    assert helpers.execute(account, first)["StackStatus"] == "CREATE_COMPLETE"


def test_the_placeholders_of_a_failed_creation_are_gone(account: Account) -> None:
    files = sets.pair()
    files["child.json"]["Outputs"]["Bad"] = {"Value": {"Fn::GetAtt": ["Role", "Nothing"]}}
    stack = helpers.execute(account, first_proposed(account, files))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert helpers.leftovers(account) == ["stack: demo ROLLBACK_COMPLETE"]


def test_without_nested_stacks_the_children_have_no_change_sets(account: Account) -> None:
    values = begun(account, sets.pair())
    cfn = account.client("cloudformation")
    made = cfn.create_change_set(
        StackName="demo",
        ChangeSetName="flat",
        TemplateURL=f"{values['Url']}/root.json",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": "Url", "UsePreviousValue": True},
            {"ParameterKey": "Word", "ParameterValue": "two"},
        ],
    )
    flat = cfn.describe_change_set(ChangeSetName=made["Id"])
    assert flat["IncludeNestedStacks"] is False
    assert nested(account, flat) == {}
    assert helpers.outputs(helpers.execute(account, flat))["First"].startswith("two ")


def test_a_change_is_shown_with_its_values_before_and_after(account: Account) -> None:
    files = sets.pair()
    files["child.json"]["Parameters"]["Secret"] = {"Type": "String", "NoEcho": True, "Default": "s3cret"}
    files["child.json"]["Resources"]["Value"]["Properties"]["Description"] = {"Fn::Sub": "${Word} ${Secret}"}
    values = begun(account, files)
    files["child.json"]["Resources"]["New"] = sets.parameter({"Ref": "Value"})
    files["child.json"]["Resources"]["Value"]["Properties"]["Tier"] = "Standard"
    helpers.upload(account, files)
    child = nested(account, proposed(account, values, Word="two"))["First"]
    cfn = account.client("cloudformation")
    shown = cfn.describe_change_set(ChangeSetName=child["ChangeSetId"], IncludePropertyValues=True)
    assert "s3cret" not in json.dumps(shown, default=str)
    by_name = {change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"] for change in shown["Changes"]}
    targets = {detail["Target"]["Name"]: detail["Target"] for detail in by_name["Value"]["Details"]}
    description, tier = targets["Description"], targets["Tier"]
    assert description["Path"] == "/Properties/Description"
    assert (description["BeforeValue"], description["AfterValue"]) == ("one ****", "two ****")
    assert (tier["AttributeChangeType"], tier["AfterValue"]) == ("Add", "Standard")
    assert "BeforeValue" not in tier
    # What the new resource reads exists already, so that its value is known.
    made = json.loads(by_name["New"]["AfterContext"])["Properties"]
    assert made["Value"].startswith("/demo-First-")
    assert "BeforeContext" not in by_name["New"]


def test_a_value_that_is_yet_to_be_made_is_shown_as_known_later(account: Account) -> None:
    root = first_proposed(account, sets.pair())
    cfn = account.client("cloudformation")
    shown = cfn.describe_change_set(
        ChangeSetName=nested(account, root)["First"]["ChangeSetId"], IncludePropertyValues=True
    )
    by_name = {change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"] for change in shown["Changes"]}
    assert json.loads(by_name["Value"]["AfterContext"])["Properties"]["Value"] == "{{changeSet:KNOWN_AFTER_APPLY}}"


def test_what_a_condition_leaves_out_is_no_change_and_an_addition_once_it_holds(account: Account) -> None:
    condition = {"Fn::Not": [{"Fn::Equals": [{"Ref": "Word"}, ""]}]}
    topic = {"Type": "AWS::SNS::Topic"}
    template = {
        "Parameters": {"Url": {"Type": "String"}, "Word": {"Type": "String"}},
        "Conditions": {"Wanted": condition},
        "Resources": {"Always": topic, "Sometimes": {**topic, "Condition": "Wanted"}},
    }
    values = {"Url": helpers.upload(account, {"root.json": template}), "Word": ""}
    assert changes(proposed(account, values, kind="CREATE")) == [("Add", "Always")]
    helpers.deploy(account, "demo", f"{values['Url']}/root.json", values, kind="CREATE")
    assert changes(proposed(account, values, Word="one")) == [("Add", "Sometimes")]


def test_what_is_imported_stays_an_import(account: Account) -> None:
    account.client("ssm").put_parameter(Name="/there", Value="one", Type="String")
    there = sets.parameter("one")
    there["Properties"]["Name"] = "/there"
    url = helpers.upload(account, {"root.json": {"Resources": {"It": {**there, "DeletionPolicy": "Retain"}}}})
    change = helpers.change_set(account, "demo", f"{url}/root.json", kind="CREATE", ImportExistingResources=True)
    assert changes(change) == [("Import", "It")]
