"""What is different between two templates, member by member, without an account.

The rules are those of API_ResourceChange, API_ResourceChangeDetail and API_ResourceTargetDefinition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from scaleout_cfn.local.differences import KNOWN_LATER, UNKNOWN_PARAMETER, Comparison

PARAMETER, TOPIC, QUEUE = "AWS::SSM::Parameter", "AWS::SNS::Topic", "AWS::SQS::Queue"


def given(**values: Any) -> dict[str, Any]:
    return {name: {"Value": value, "NoEcho": name == "Secret", "Type": "String"} for name, value in values.items()}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def compared(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    was: Mapping[str, Any] | None = None,
    now: Mapping[str, Any] | None = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> Comparison:
    """A stack of the one template and its parameters, against the other; `old` and `new` are their other sections."""
    there = [name for name, one in before.items() if "Condition" not in one or (was or {})["On"]["Value"] == "yes"]
    stack = {
        "_template": {"Resources": dict(before), **(old or {})},
        "_resolved_params": was or {},
        "_resources": {
            name: {
                "PhysicalResourceId": f"id-{name}",
                "ResourceType": before[name]["Type"],
                "Attributes": {"Arn": f"arn:{name}"},
            }
            for name in there
        },
        "StackName": "web",
        "StackId": "arn:web",
    }
    changed = {"Resources": dict(after), **(new or {})}
    return Comparison(stack, {"_template": changed, "_resolved_params": now or {}})


def details(change: Any) -> list[tuple[str, ...]]:
    """(Path, change type, RequiresRecreation, Evaluation, source, entity) of each."""
    return [
        (
            one["Target"].get("Path", one["Target"]["Attribute"]).removeprefix("/Properties/"),
            one["Target"].get("AttributeChangeType", ""),
            one["Target"]["RequiresRecreation"],
            one["Evaluation"],
            one.get("ChangeSource", ""),
            one.get("CausingEntity", ""),
        )
        for one in change["Details"]
    ]


def test_what_is_equal_is_no_change() -> None:
    same = {"A": resource(PARAMETER, Type="String", Value="x", Tags={"a": "b"})}
    found = compared(same, same)
    assert found.change("A") is None
    assert (found.effects, list(found.removals()), found.changes_outputs()) == ({}, [], False)


def test_what_is_new_is_added_with_its_properties() -> None:
    found = compared({}, {"A": resource(PARAMETER, Value="x", Deep=[{"On": True}])})
    assert found.change("A") == {
        "LogicalResourceId": "A",
        "ResourceType": PARAMETER,
        "Action": "Add",
        "_after": {"Properties": {"Value": "x", "Deep": [{"On": True}]}},
    }
    assert found.effects == {"A": "Add"}


def test_each_member_that_changes_is_told_with_its_place_and_values() -> None:
    found = compared(
        {"A": resource(PARAMETER, Name="n", Value="x", Old=[1, 2], Same="s", Empty=[])},
        {"A": resource(PARAMETER, Name="m", Value="x", Old=[1, True], Same="s", New={"a": {"b": "c"}}, Empty={})},
    ).change("A")
    assert found is not None
    assert details(found) == [
        ("Empty", "Modify", "Never", "Static", "DirectModification", ""),
        ("Name", "Modify", "Always", "Static", "DirectModification", ""),
        ("New/a/b", "Add", "Never", "Static", "DirectModification", ""),
        ("Old/1", "Modify", "Never", "Static", "DirectModification", ""),
    ]
    shown = {one["Target"]["Path"]: one["Target"] for one in found["Details"]}
    assert (shown["/Properties/Old/1"]["BeforeValue"], shown["/Properties/Old/1"]["AfterValue"]) == ("2", "true")
    assert "BeforeValue" not in shown["/Properties/New/a/b"]
    assert (found["Replacement"], found["PolicyAction"], found["Scope"]) == ("True", "ReplaceAndDelete", ["Properties"])
    assert (found["Action"], found["PhysicalResourceId"]) == ("Modify", "id-A")


def test_what_is_only_modified_has_no_policy_of_replacement() -> None:
    found = compared({"A": resource(PARAMETER, Value="x")}, {"A": resource(PARAMETER)}).change("A")
    assert found is not None and "PolicyAction" not in found and found["Replacement"] == "False"
    assert [one[:2] for one in details(found)] == [("Value", "Remove")]
    assert "AfterValue" not in found["Details"][0]["Target"]


def test_another_type_under_one_name_is_a_replacement() -> None:
    found = compared({"A": resource(TOPIC)}, {"A": resource(QUEUE)}).change("A")
    assert found is not None and (found["Replacement"], found["Details"]) == ("True", [])


def test_tags_of_the_stack_are_tags_of_what_can_have_some() -> None:
    same = {"A": resource(TOPIC), "W": resource("AWS::CloudFormation::WaitConditionHandle")}
    found = compared(same, same).change("A", retagged=True)
    assert found is not None and details(found) == [("Tags", "", "Never", "Static", "", "")]
    assert found["Scope"] == ["Tags"]
    assert compared(same, same).change("W", retagged=True) is None


def test_a_tag_of_its_own_is_one_of_the_resource() -> None:
    found = compared(
        {"A": resource(TOPIC, Tags=[{"Key": "a", "Value": "b"}])},
        {"A": resource(TOPIC, Tags=[{"Key": "a", "Value": "c"}])},
    ).change("A")
    assert found is not None and found["Scope"] == ["Tags"]
    assert [one[:3] for one in details(found)] == [("Tags/0/Value", "Modify", "Never")]
    assert "Name" not in found["Details"][0]["Target"]


@pytest.mark.parametrize("attribute", ["Metadata", "DeletionPolicy", "UpdateReplacePolicy"])
def test_what_changes_beside_the_properties_is_told_and_replaces_nothing(attribute: str) -> None:
    found = compared({"A": resource(TOPIC)}, {"A": {**resource(TOPIC), attribute: "Retain"}}).change("A")
    assert found is not None and details(found) == [(attribute, "", "Never", "Static", "DirectModification", "")]
    assert found["Replacement"] == "False"


def test_what_goes_is_told_in_order_with_what_becomes_of_it() -> None:
    found = list(compared({"B": resource(TOPIC), "A": {**resource(QUEUE), "DeletionPolicy": "Retain"}}, {}).removals())
    assert [(one["LogicalResourceId"], one["ResourceType"], one["PolicyAction"]) for one in found] == [
        ("A", QUEUE, "Retain"),
        ("B", TOPIC, "Delete"),
    ]
    assert found[0]["PhysicalResourceId"] == "id-A" and found[0]["_before"] == {"Properties": {}}


REF = resource(PARAMETER, Value={"Ref": "Word"})


def test_a_parameter_that_changes_is_told_as_the_cause_and_one_that_stays_is_none() -> None:
    found = compared({"A": REF}, {"A": REF}, was=given(Word="one"), now=given(Word="two")).change("A")
    assert found is not None and details(found) == [
        ("Value", "Modify", "Never", "Dynamic", "DirectModification", ""),
        ("Value", "Modify", "Never", "Static", "ParameterReference", "Word"),
    ]
    assert compared({"A": REF}, {"A": REF}, was=given(Word="one"), now=given(Word="one")).change("A") is None
    # The value is written anew, and the parameter that it reads did not change.
    found = compared(
        {"A": resource(PARAMETER, Value="x")}, {"A": REF}, was=given(Word="one"), now=given(Word="one")
    ).change("A")
    assert found is not None and details(found) == [("Value", "Modify", "Never", "Static", "DirectModification", "")]


def test_a_secret_is_compared_and_not_shown() -> None:
    secret = {"A": resource(PARAMETER, Value={"Ref": "Secret"})}
    found = compared(secret, secret, was=given(Secret="one"), now=given(Secret="two")).change("A")
    assert found is not None and "one" not in str(found) and "two" not in str(found)
    assert found["Details"][0]["Target"]["AfterValue"] == "****"
    assert compared(secret, secret, was=given(Secret="one"), now=given(Secret="one")).change("A") is None


@pytest.mark.parametrize(
    ("reference", "effect", "told"),
    [
        ({"Ref": "B"}, "Add", ("Static", "ResourceReference", "B")),
        ({"Ref": "B"}, "True", ("Static", "ResourceReference", "B")),
        ({"Ref": "B"}, "Conditional", ("Dynamic", "ResourceReference", "B")),
        ({"Ref": "B"}, "False", None),
        ({"Ref": "B"}, None, None),
        ({"Fn::GetAtt": ["B", "Arn"]}, "Add", ("Static", "ResourceAttribute", "B.Arn")),
        ({"Fn::GetAtt": ["B", "Arn"]}, "True", ("Static", "ResourceAttribute", "B.Arn")),
        ({"Fn::GetAtt": ["B", "Arn"]}, "Conditional", ("Dynamic", "ResourceAttribute", "B.Arn")),
        ({"Fn::GetAtt": ["B", "Arn"]}, "False", ("Dynamic", "ResourceAttribute", "B.Arn")),
        ({"Fn::GetAtt": ["B", "Arn"]}, None, None),
    ],
)
def test_a_ref_is_followed_where_its_resource_may_be_another_and_an_attribute_wherever_it_changes(
    reference: Any, effect: str | None, told: Any
) -> None:
    same = {"A": resource(PARAMETER, Value=reference), "B": resource(TOPIC)}
    found = compared(same, same)
    if effect:
        found.effects["B"] = effect
    change = found.change("A")
    if told is None:
        assert change is None
        return
    assert change is not None
    assert [one[3:] for one in details(change)] == (
        [("Dynamic", "DirectModification", "")] if told[0] == "Static" else []
    ) + [told]
    assert {one["Target"]["AfterValue"] for one in change["Details"]} == {KNOWN_LATER}
    assert change["_after"] == {"Properties": {"Value": KNOWN_LATER}}


CONDITIONS = {"Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}}}
WORD, NOTHING = {"Ref": "Word"}, {"Ref": "AWS::NoValue"}
BRANCH = {"A": resource(PARAMETER, Value={"Fn::If": ["IsOn", "then", WORD]}, Other={"Fn::If": ["IsOn", "x", NOTHING]})}


def test_only_the_branch_that_holds_is_read() -> None:
    was = given(On="yes", Word="one")
    found = compared(BRANCH, BRANCH, was=was, now=given(On="yes", Word="two"), old=CONDITIONS, new=CONDITIONS)
    assert found.change("A") is None
    change = compared(BRANCH, BRANCH, was=was, now=given(On="no", Word="two"), old=CONDITIONS, new=CONDITIONS).change(
        "A"
    )
    assert change is not None
    assert {one[:2] for one in details(change)} == {("Value", "Modify"), ("Other", "Remove")}


def test_what_a_condition_leaves_out_is_not_there() -> None:
    maybe = {"A": {**resource(TOPIC), "Condition": "IsOn"}}
    on, off = given(On="yes"), given(On="no")
    gone = compared(maybe, maybe, was=on, now=off, old=CONDITIONS, new=CONDITIONS)
    assert [one["LogicalResourceId"] for one in gone.removals()] == ["A"] and gone.order == []
    new = compared(maybe, maybe, was=off, now=on, old=CONDITIONS, new=CONDITIONS)
    change = new.change("A")
    assert change is not None and change["Action"] == "Add" and new.order == ["A"]


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({}, {}, False),
        ({"Out": {"Value": "a"}}, {"Out": {"Value": "a"}}, False),
        ({"Out": {"Value": "a"}}, {"Out": {"Value": "b"}}, True),
        ({}, {"Out": {"Value": "a"}}, True),
        ({"Out": {"Value": "a"}}, {}, True),
        ({}, {"Out": {"Value": "a", "Condition": "IsOn"}}, False),
    ],
)
def test_outputs_change_by_themselves(old: Any, new: Any, changes: bool) -> None:
    off = given(On="no")
    found = compared({}, {}, was=off, now=off, old={**CONDITIONS, "Outputs": old}, new={**CONDITIONS, "Outputs": new})
    assert found.changes_outputs() is changes


def test_a_parameter_of_a_nested_stack_is_its_value_or_named_as_known_later() -> None:
    same = {"B": resource(TOPIC)}
    found = compared(same, same, was=given(Word="one"), now=given(Word="one"))
    assert found.parameter("x") == "x"
    assert found.parameter({"Ref": "Word"}) == "one"
    assert found.parameter({"Fn::Join": [",", ["a", {"Ref": "Word"}]]}) == "a,one"
    found.effects["B"] = "True"
    assert found.parameter({"Fn::GetAtt": ["B", "Arn"]}) == f"{UNKNOWN_PARAMETER}web/B.Arn/Fn::GetAtt}}}}"
    assert found.parameter({"Ref": "B"}) == f"{UNKNOWN_PARAMETER}//Ref}}}}"


def test_what_is_known_later_one_stack_up_is_known_later_here() -> None:
    later = f"{UNKNOWN_PARAMETER}web/B.Arn/Fn::GetAtt}}}}"
    found = compared({"A": REF}, {"A": REF}, was=given(Word="one"), now=given(Word=later)).change("A")
    assert found is not None and found["_after"] == {"Properties": {"Value": KNOWN_LATER}}


def test_a_list_that_is_secret_is_shown_as_one_value_and_another_one_member_by_member() -> None:
    def lists(name: str) -> dict[str, Any]:
        return {"A": resource(PARAMETER, Value={"Ref": name})}

    def values(text: str) -> dict[str, Any]:
        return {name: {**one, "Type": "CommaDelimitedList"} for name, one in given(Secret=text, Word=text).items()}

    shown = compared(lists("Word"), lists("Word"), was=values("a,b"), now=values("a,c")).change("A")
    assert shown is not None and {one[0] for one in details(shown)} == {"Value/1"}
    hidden = compared(lists("Secret"), lists("Secret"), was=values("a,b"), now=values("a,c")).change("A")
    assert hidden is not None and {one[0] for one in details(hidden)} == {"Value"}
    assert hidden["_after"] == {"Properties": {"Value": ["****"]}}


def test_a_value_of_a_mapping_that_changes_is_told_though_its_resource_reads_the_same() -> None:
    reads = {"A": resource(PARAMETER, Value={"Fn::FindInMap": ["Map", "key", "word"]})}
    old, new = ({"Mappings": {"Map": {"key": {"word": word}}}} for word in ("one", "two"))
    found = compared(reads, reads, old=old, new=new).change("A")
    assert found is not None and details(found) == [("Value", "Modify", "Never", "Static", "DirectModification", "")]
    assert compared(reads, reads, old=old, new=old).change("A") is None
