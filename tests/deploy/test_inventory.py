"""What a stack holds, item by item: what goes, what stays, what is in it, and what keeps it from going."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Message, Note
from scaleout_cfn.deploy.teardown.inventory import Inventory, Item, held_back, inventory_of, take_inventory
from scaleout_cfn.errors import AccessError, UsageError

from .scripted import ROOT, Scripted, failed, live

BUCKET, IMAGES, LOGS, TABLE = "AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::Logs::LogGroup", "AWS::DynamoDB::Table"
TOPIC, NESTED = "AWS::SNS::Topic", "AWS::CloudFormation::Stack"


def resource(path: str, kind: str, name: str = "name") -> Resource:
    return Resource(path, kind, name, "CREATE_COMPLETE", ROOT)


@pytest.mark.parametrize(
    ("policy", "holds", "kept", "consent"),
    [
        ("Delete", "data", False, True),
        ("Delete", "", False, False),
        ("Retain", "data", True, False),
        ("Snapshot", "data", True, False),
        ("RetainExceptOnCreate", "", True, False),
    ],
)
def test_what_goes_with_data_in_it_needs_consent(policy: str, holds: str, kept: bool, consent: bool) -> None:
    item = Item(resource("A", TABLE), policy, holds)
    taken = Inventory((item,))
    assert (item.kept, item.consent) == (kept, consent)
    assert (taken.retained, taken.lost) == ((item,) if kept else (), (item,) if consent else ())


def test_resources_of_a_type_are_those_that_were_ever_made() -> None:
    made, not_made = resource("A", TOPIC), resource("B", TOPIC, "")
    assert Inventory((Item(made), Item(not_made), Item(resource("C", TABLE)))).of(TOPIC) == [made]


def test_the_inventory_is_told_by_type_and_what_stays_or_holds_data_by_name() -> None:
    items = (
        Item(resource("One", TOPIC)),
        Item(resource("Two", TOPIC)),
        Item(resource("Inner", NESTED)),
        Item(resource("Images", IMAGES), "Retain", "2 images"),
        Item(resource("Rows", TABLE), "Snapshot"),
        Item(resource("Logs", LOGS), "Delete", "9 bytes of logs"),
    )
    told = Inventory(items).message("web")
    assert told.lines == (
        "web holds 3 resources to delete, and 2 that are retained",
        "  -   1 AWS::Logs::LogGroup",
        "  -   2 AWS::SNS::Topic",
        "  = Images  AWS::ECR::Repository  name  2 images  RETAINED",
        "  = Rows  AWS::DynamoDB::Table  name  empty, or unknown  A SNAPSHOT IS KEPT",
        "  ! Logs  AWS::Logs::LogGroup  name  holds 9 bytes of logs  DELETED WITH IT",
    )
    assert [one["path"] for one in told.data["deleted"]] == ["One", "Two", "Logs"]
    assert [one["path"] for one in told.data["retained"]] == ["Images", "Rows"]
    assert [one["path"] for one in told.data["lost"]] == ["Logs"]


def test_a_resource_that_no_template_names_goes_with_the_stack() -> None:
    body = {"Resources": {"Table": {"DeletionPolicy": "Retain"}, "Odd": "no resource"}}
    resources = [resource("Data/Table", TABLE), resource("Odd", TOPIC), resource("Unknown", TOPIC)]
    taken = inventory_of(resources, {ROOT: body}, {"Data/Table": "data"})
    assert [(item.policy, item.holds) for item in taken.items] == [("Retain", "data"), ("Delete", ""), ("Delete", "")]
    assert [item.policy for item in inventory_of(resources, {}, {}).items] == ["Delete"] * 3


def test_a_mark_of_the_template_is_kept_in_mind() -> None:
    body = {"Resources": {"Word": {"Metadata": {"scaleout:stateful": True}}, "Topic": {}}}
    taken = inventory_of([resource("Word", TOPIC), resource("Topic", TOPIC)], {ROOT: body}, {})
    assert [item.marked for item in taken.items] == [True, False]
    assert held_back(taken, ["Word"]) == []
    with pytest.raises(UsageError, match="--empty Topic: is AWS::SNS::Topic, which holds no data; give one of: Word"):
        held_back(taken, ["Topic"])


@pytest.mark.parametrize(
    ("properties", "by"),
    [
        ({"DeletionProtection": True}, "DeletionProtection"),
        ({"DeletionProtection": "INACTIVE"}, ""),
        ({"DeletionProtection": ""}, ""),
        ({"DeletionProtection": {"Ref": "On"}}, "DeletionProtection"),
        ({"DeletionProtection": {"Ref": "Off"}}, ""),
        ({"DeletionProtection": {"Ref": "Missing"}}, ""),
        ({"DeletionProtection": {"Mode": "ENABLED"}}, "DeletionProtection"),
        ({"DeletionProtection": {"Mode": "DISABLED"}}, ""),
        ({"DeletionProtection": {}}, ""),
        ({"Deep": [{"Er": {"TerminationProtected": "true"}}]}, "TerminationProtected"),
        ({"Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]}, "deletion_protection.enabled"),
        ({"Attributes": [{"Key": "deletion_protection.enabled", "Value": "false"}]}, ""),
        ({"Attributes": [{"Key": "another", "Value": "true"}]}, ""),
        ({"DeletionProtectionCheck": True}, ""),
        (None, ""),
    ],
)
def test_what_keeps_a_resource_from_being_deleted_is_named(properties: Any, by: str) -> None:
    body = {"Resources": {"Thing": {"Properties": properties}}}
    taken = inventory_of([resource("Thing", TOPIC)], {ROOT: body}, {}, {ROOT: {"On": "true", "Off": "false"}})
    assert taken.items[0].protected == by


def test_consent_is_by_a_name_that_means_something() -> None:
    full, empty = Item(resource("Full", TABLE), "Delete", "data"), Item(resource("Empty", TABLE))
    kept, emptied = (
        Item(resource("Kept", TABLE), "Retain", "data"),
        Item(resource("Images", IMAGES), "Retain", "1 images"),
    )
    taken = Inventory((full, empty, kept, emptied))
    assert held_back(taken, []) == [full]
    assert held_back(taken, ["Full", "Empty", "Images"]) == []
    with pytest.raises(UsageError, match=r"Kept: is AWS::DynamoDB::Table, retained as it is; .*: Full, Empty, Images"):
        held_back(taken, ["Full", "Kept"])
    with pytest.raises(UsageError, match="Gone: is not in the stack"):
        held_back(taken, ["Gone"])
    assert held_back(taken, ["Gone"], partly=True) == [full]
    with pytest.raises(UsageError, match="retained as it is"):
        held_back(taken, ["Kept"], partly=True)
    with pytest.raises(UsageError, match="none, so leave it out"):
        held_back(Inventory(()), ["Full"])


def taken(kind: str, name: str = "name", body: Any = None, **answers: Any) -> tuple[Item, Scripted, list[Message]]:
    """The inventory of a stack of one resource, `Thing`."""
    said: list[Message] = []
    listed = {"LogicalResourceId": "Thing", "ResourceType": kind, "ResourceStatus": "CREATE_COMPLETE"}
    listed["PhysicalResourceId"] = name
    answers |= {"list_stack_resources": {"StackResourceSummaries": [listed]}}
    answers.setdefault("get_template", {"TemplateBody": {"Resources": body or {}}})
    aws = Scripted(**answers)
    (item,) = take_inventory(aws, live(), said.append).items
    return item, aws, said


def versions(count: int, **more: Any) -> dict[str, Any]:
    return {"list_object_versions": {"Versions": [{}] * count, "DeleteMarkers": [{}], **more}}


@pytest.mark.parametrize(
    ("kind", "answers", "holds"),
    [
        (BUCKET, versions(2), "3 object versions"),
        (BUCKET, versions(2, IsTruncated=True), "more than 3 object versions"),
        (BUCKET, {"list_object_versions": {}}, ""),
        (BUCKET, {"list_object_versions": failed("missing")}, ""),
        (BUCKET, {"list_object_versions": failed("refused", "Odd")}, "what could not be looked at (Odd)"),
        (BUCKET, {"list_object_versions": AccessError("x", kind="denied")}, "what we may not look at"),
        (IMAGES, {"list_images": {"imageIds": [{"imageDigest": word} for word in "aab"]}}, "2 images"),
        (IMAGES, {"list_images": {}}, ""),
        (LOGS, {"describe_log_groups": {"logGroups": [{"logGroupName": "name", "storedBytes": 7}]}}, "7 bytes of logs"),
        (LOGS, {"describe_log_groups": {"logGroups": [{"logGroupName": "name-2", "storedBytes": 7}]}}, ""),
        (LOGS, {"describe_log_groups": {"logGroups": [{"logGroupName": "name"}]}}, ""),
        (TABLE, {}, "data"),
        (TOPIC, {}, ""),
    ],
)
def test_what_is_in_a_resource_is_said_and_what_cannot_be_looked_into_counts_as_full(
    kind: str, answers: Any, holds: str
) -> None:
    item, aws, _ = taken(kind, **answers)
    assert item.holds == holds
    # All that S3 gives at once, and deletes at once.
    assert [one["MaxKeys"] for one in aws.sent("list_object_versions")] == ([1000] if kind == BUCKET else [])


def test_credentials_that_have_expired_are_no_full_bucket() -> None:
    with pytest.raises(AccessError):
        taken(BUCKET, list_object_versions=AccessError("x", kind="expired"))


def test_what_was_never_made_is_empty_and_what_is_marked_holds_data() -> None:
    assert taken(TABLE, "")[0].holds == ""
    assert taken(TOPIC, body={"Thing": {"Metadata": {"scaleout:stateful": True}}})[0].holds == "data"


def test_a_template_that_cannot_be_read_is_told_and_keeps_nothing() -> None:
    item, _, said = taken(TABLE, get_template=failed("refused"))
    (note,) = said
    assert isinstance(note, Note) and note.level == "warning" and "all in it counts as deleted" in note.text
    assert (item.policy, item.holds) == ("Delete", "data")


def test_parameters_are_read_only_where_something_may_be_protected_by_one() -> None:
    stack = {"StackId": ROOT, "StackName": "web", "StackStatus": "UPDATE_COMPLETE"}
    stack["Parameters"] = [{"ParameterKey": "On", "ParameterValue": "true"}]  # type: ignore[assignment]
    body = {"Thing": {"Properties": {"DeletionProtection": {"Ref": "On"}}}}
    item, aws, _ = taken(TABLE, body=body, describe_stacks={"Stacks": [stack]})
    assert (item.protected, len(aws.sent("describe_stacks"))) == ("DeletionProtection", 1)
    item, aws, _ = taken(TABLE, body={"Thing": {"Properties": {"Name": {"Ref": "On"}}}})
    assert (item.protected, aws.sent("describe_stacks")) == ("", [])
    assert taken(TABLE, body=body, describe_stacks=failed("missing"))[0].protected == ""
