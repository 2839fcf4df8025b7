"""What a change set says that a change does to a resource, against the resource schemas and AWS's pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

import scaleout_cfn as sc
from scaleout_cfn.templates.reading import load
from scaleout_cfn.templates.schemas import recreation

from . import helpers, sets
from .helpers import Account
from .test_rendered_sets import IMAGE, SETS, with_domain

Record = dict[str, Any]
KNOWN_LATER = "{{changeSet:KNOWN_AFTER_APPLY}}"


def schema_of(kind: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return schema


def described(account: Account, change_set: str, *, values: bool = True) -> dict[str, Record]:
    """Logical id -> its change, of a change set and of those of its nested stacks as `Child/Resource`."""
    cfn = account.client("cloudformation")
    found: dict[str, Record] = {}
    for entry in cfn.describe_change_set(ChangeSetName=change_set, IncludePropertyValues=values)["Changes"]:
        change = entry["ResourceChange"]
        name = change["LogicalResourceId"]
        found[name] = change
        if "ChangeSetId" in change:
            nested = described(account, change["ChangeSetId"], values=values)
            found |= {f"{name}/{path}": inner for path, inner in nested.items()}
    return found


def changed(
    account: Account, before: Mapping[str, Any], after: Mapping[str, Any], **parameters: str
) -> dict[str, Record]:
    """Create the stack `demo` from the one template, and describe the way to the other."""
    url = helpers.upload(account, {"before.json": before, "after.json": after})
    first = dict.fromkeys(parameters, "one")
    stack = helpers.deploy(account, "demo", f"{url}/before.json", first, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    return described(account, helpers.change_set(account, "demo", f"{url}/after.json", parameters)["ChangeSetId"])


def causes(change: Record) -> set[tuple[str, ...]]:
    """(property, RequiresRecreation, Evaluation, ChangeSource, CausingEntity) of every detail."""
    return {
        (
            detail["Target"].get("Path", detail["Target"]["Attribute"]).removeprefix("/Properties/"),
            detail["Target"]["RequiresRecreation"],
            detail["Evaluation"],
            detail.get("ChangeSource", ""),
            detail.get("CausingEntity", ""),
        )
        for detail in change["Details"]
    }


@pytest.mark.parametrize("name", ["default", "three zones, NAT in each, everything scaled", "IPv6, HTTPS for a domain"])
def test_every_property_of_every_type_in_a_set_recreates_as_its_schema_says(name: str, account: Account) -> None:
    url = helpers.upload(account, sc.render(sc.compose(with_domain(account, SETS[name]))))
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE + "1" * 64}
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    for child in helpers.children(account, stack["StackId"]).values():
        template = with_every_property_changed(
            account.client("cloudformation").get_template(StackName=child)["TemplateBody"]
        )
        account.client("s3").put_object(Bucket=account.bucket, Key="other.json", Body=json.dumps(template))
        change = helpers.change_set(account, child.split("/")[1], f"{url}/other.json", parameters(account, child))
        assert change["Status"] == "CREATE_COMPLETE", change
        shown = described(account, change["ChangeSetId"])
        assert shown
        for raw in shown.values():
            schema = schema_of(raw["ResourceType"])
            named = {detail["Target"].get("Name", "Tags") for detail in raw["Details"]}
            assert set(settable(schema)) <= named | {"Tags"}
            for detail in raw["Details"]:
                target = detail["Target"]
                expected = "Never" if target["Attribute"] != "Properties" else word(schema, target["Path"])
                assert target["RequiresRecreation"] == expected, (raw["ResourceType"], target)
            assert raw["Replacement"] == replacement(raw)


def with_every_property_changed(body: str) -> Record:
    template = dict(load(body, "a.yaml").body)
    template["Resources"] = {
        logical_id: {**resource, "Properties": dict.fromkeys(settable(schema_of(resource["Type"])), "another")}
        for logical_id, resource in template["Resources"].items()
    }
    return template


def settable(schema: Mapping[str, Any]) -> Iterator[str]:
    """The properties of a type that a template may set."""
    read_only = {pointer.removeprefix("/properties/") for pointer in schema.get("readOnlyProperties") or []}
    return (name for name in schema["properties"] if name not in read_only)


def parameters(account: Account, stack: str) -> dict[str, str]:
    given = helpers.described(account, stack).get("Parameters", [])
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in given}


def word(schema: Mapping[str, Any], path: str) -> str:
    """The word for a property, from the lists of its type."""
    for key, verdict in (("createOnlyProperties", "Always"), ("conditionalCreateOnlyProperties", "Conditionally")):
        for pointer in schema.get(key) or []:
            wanted = pointer.removeprefix("/properties")
            given = path.removeprefix("/Properties")
            if f"{given}/".startswith(f"{wanted}/") or f"{wanted}/".startswith(f"{given}/"):
                return verdict
    return "Never"


def replacement(change: Record) -> str:
    """By API_ResourceChange: what is Always and Static is True, what is Always and Dynamic is Conditional, and the
    change with the most impact decides."""
    found = {(detail["Target"]["RequiresRecreation"], detail["Evaluation"]) for detail in change["Details"]}
    if ("Always", "Static") in found:
        return "True"
    return "Conditional" if any(recreation != "Never" for recreation, _ in found) else "False"


def test_a_new_image_is_a_new_revision_that_the_service_takes_in_place(account: Account) -> None:
    """The change set of an image deployment, row by row."""
    url = helpers.upload(account, sc.render(sc.compose(sc.Config())))
    values = {"TemplatesUrl": url, "WebImageUri": IMAGE + "1" * 64}
    helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    values["WebImageUri"] = IMAGE + "2" * 64
    shown = described(account, helpers.change_set(account, "web", f"{url}/root.yaml", values)["ChangeSetId"])

    # What hangs on the service is named by its Ref, so that nothing of its scaling and its alarms is in the plan.
    assert {path: change["Replacement"] for path, change in shown.items()} == {
        "WebService": "False",
        # All but Tags of a task definition is create-only: a new revision.
        "WebService/TaskDefinition": "True",
        "WebService/Service": "False",
    }
    task, service = shown["WebService/TaskDefinition"], shown["WebService/Service"]
    assert causes(task) == {
        ("ContainerDefinitions/0/Image", "Always", "Static", "ParameterReference", "ImageUri"),
        ("ContainerDefinitions/0/Image", "Always", "Dynamic", "DirectModification", ""),
    }
    assert causes(service) == {
        ("TaskDefinition", "Never", "Static", "ResourceReference", "TaskDefinition"),
        ("TaskDefinition", "Never", "Dynamic", "DirectModification", ""),
    }
    scaling = account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert target["ResourceId"] == service["PhysicalResourceId"].split(":")[5]


def reading(value: Any, kind: str = "AWS::SSM::Parameter", name: str = "Value") -> Record:
    return {"Type": kind, "Properties": {"Type": "String", name: value}}


def test_a_ref_is_followed_only_where_its_resource_is_recreated(account: Account) -> None:
    def template(name: str, value: str) -> Record:
        return {
            "Resources": {
                "Renamed": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}},
                "Edited": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": value}},
                "OfRenamed": reading({"Ref": "Renamed"}),
                "OfEdited": reading({"Ref": "Edited"}),
                "AttributeOfEdited": reading({"Fn::GetAtt": ["Edited", "TopicName"]}),
                "InASentence": reading({"Fn::Sub": "to ${Renamed}"}),
                "Further": reading({"Ref": "OfRenamed"}),
            }
        }

    shown = changed(account, template("one", "a"), template("two", "b"))
    assert {name: change["Replacement"] for name, change in shown.items()} == {
        "Renamed": "True",
        "Edited": "False",
        "OfRenamed": "False",
        "AttributeOfEdited": "False",
        "InASentence": "False",
    }
    assert causes(shown["OfRenamed"]) == {
        ("Value", "Never", "Static", "ResourceReference", "Renamed"),
        ("Value", "Never", "Dynamic", "DirectModification", ""),
    }
    assert causes(shown["AttributeOfEdited"]) == {
        ("Value", "Never", "Dynamic", "ResourceAttribute", "Edited.TopicName"),
    }
    assert shown["AttributeOfEdited"]["Details"][0]["Target"]["AfterValue"] == KNOWN_LATER


def test_what_may_be_recreated_makes_its_references_conditional(account: Account) -> None:
    def template(tenancy: str) -> Record:
        vpc = {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": tenancy}
        group = {"GroupDescription": "of it", "VpcId": {"Ref": "Vpc"}}
        return {
            "Resources": {
                "Vpc": {"Type": "AWS::EC2::VPC", "Properties": vpc},
                "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": group},
            }
        }

    shown = changed(account, template("dedicated"), template("default"))
    assert {name: change["Replacement"] for name, change in shown.items()} == {
        "Vpc": "Conditional",
        "Group": "Conditional",
    }
    assert causes(shown["Group"]) == {("VpcId", "Always", "Dynamic", "ResourceReference", "Vpc")}


def test_only_the_member_of_a_property_that_is_create_only_recreates(account: Account) -> None:
    def template(**encryption: str) -> Record:
        properties = {"EncryptionConfiguration": {"EncryptionType": "AES256", **encryption}}
        return {"Resources": {"It": {"Type": "AWS::ECR::Repository", "Properties": properties}}}

    shown = changed(account, template(), template(EncryptionType="KMS"))
    assert causes(shown["It"]) == {
        ("EncryptionConfiguration/EncryptionType", "Always", "Static", "DirectModification", "")
    }


def test_a_parameter_that_changes_is_named_and_told_twice(account: Account) -> None:
    """As in the example "Modify an input parameter value" of using-cfn-updating-stacks-changesets-samples."""
    template = {
        "Parameters": {"Word": {"Type": "String"}, "Other": {"Type": "String"}},
        "Resources": {
            "It": {
                "Type": "AWS::SNS::Topic",
                "Properties": {
                    "TopicName": {"Ref": "Word"},
                    "DisplayName": {"Ref": "Other"},
                    "Tags": [{"Key": "word", "Value": {"Ref": "Word"}}],
                },
            }
        },
    }
    (it,) = changed(account, template, template, Word="two", Other="one").values()
    assert (it["Replacement"], it["PolicyAction"], set(it["Scope"])) == (
        "True",
        "ReplaceAndDelete",
        {"Properties", "Tags"},
    )
    assert causes(it) == {
        (path, recreation, evaluation, source, entity)
        for path, recreation in (("TopicName", "Always"), ("Tags/0/Value", "Never"))
        for evaluation, source, entity in (
            ("Static", "ParameterReference", "Word"),
            ("Dynamic", "DirectModification", ""),
        )
    }


def test_the_branch_of_a_condition_that_does_not_hold_is_not_read(account: Account) -> None:
    def template(value: str) -> Record:
        choice = {"Fn::If": ["Wanted", {"Fn::GetAtt": ["Edited", "TopicName"]}, "none"]}
        return {
            "Parameters": {"Word": {"Type": "String"}},
            "Conditions": {"Wanted": {"Fn::Equals": [{"Ref": "Word"}, "wanted"]}},
            "Resources": {
                "Edited": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": value}},
                "Reader": reading(choice),
            },
        }

    assert changed(account, template("a"), template("b"), Word="two").keys() == {"Edited"}


def test_what_reads_a_new_resource_is_known_later(account: Account) -> None:
    before = {"Resources": {"It": reading("one")}}
    both = {"Fn::Sub": "${New} ${New.TopicName}"}
    after = {"Resources": {"It": reading(both), "New": {"Type": "AWS::SNS::Topic"}}}
    shown = changed(account, before, after)
    assert causes(shown["It"]) == {
        ("Value", "Never", "Static", "ResourceReference", "New"),
        ("Value", "Never", "Static", "ResourceAttribute", "New.TopicName"),
        ("Value", "Never", "Dynamic", "DirectModification", ""),
    }
    assert shown["It"]["Details"][0]["Target"]["AfterValue"] == KNOWN_LATER
    assert (shown["New"]["Action"], "Replacement" in shown["New"]) == ("Add", False)


def test_what_is_written_anew_as_a_reference_to_what_changes_is_both(account: Account) -> None:
    def template(value: str, read: Any) -> Record:
        edited = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": value}}
        return {"Resources": {"Edited": edited, "It": reading(read)}}

    name = {"Fn::GetAtt": ["Edited", "TopicName"]}
    shown = changed(account, template("a", "none"), template("b", name))
    assert causes(shown["It"]) == {
        ("Value", "Never", "Dynamic", "ResourceAttribute", "Edited.TopicName"),
        ("Value", "Never", "Dynamic", "DirectModification", ""),
    }


def test_what_goes_is_shown_with_what_becomes_of_it(account: Account) -> None:
    kept = {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Retain"}
    before = {"Resources": {"It": reading("one"), "Kept": kept, "Gone": {"Type": "AWS::SNS::Topic"}}}
    shown = changed(account, before, {"Resources": {"It": reading("one")}})
    assert {name: (change["Action"], change["PolicyAction"]) for name, change in shown.items()} == {
        "Gone": ("Remove", "Delete"),
        "Kept": ("Remove", "Retain"),
    }


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("AWS::SSMQuickSetup::ConfigurationManager", "ConfigurationDefinitions/0/Type", "Always"),
        ("AWS::SSMQuickSetup::ConfigurationManager", "ConfigurationDefinitions/0/Parameters", "Never"),
        ("AWS::ECS::CapacityProvider", "AutoScalingGroupProvider/AutoScalingGroupArn", "Always"),
        ("AWS::ECS::CapacityProvider", "AutoScalingGroupProvider/ManagedDraining", "Never"),
        ("AWS::ECS::CapacityProvider", "AutoScalingGroupProvider", "Always"),
        ("AWS::RDS::DBInstance", "Engine", "Conditionally"),
        ("Custom::Anything", "Anything", "Conditionally"),
    ],
)
def test_the_word_for_a_property_is_that_of_its_place_in_the_schema(kind: str, path: str, expected: str) -> None:
    assert recreation(kind, path.split("/")) == expected


def test_a_nested_stack_that_only_hangs_on_another_is_modified_and_never_replaced(account: Account) -> None:
    url = helpers.upload(account, sets.pair())
    values = {"Url": url, "Word": "one"}
    helpers.deploy(account, "demo", f"{url}/root.json", values, kind="CREATE")
    change = helpers.change_set(account, "demo", f"{url}/root.json", {**values, "Word": "two"})
    shown = described(account, change["ChangeSetId"])
    assert causes(shown["Second"]) == {
        ("Parameters/Word", "Never", "Dynamic", "ResourceAttribute", "First.Outputs.Word")
    }
    assert {shown[name]["Replacement"] for name in ("First", "Second")} == {"False"}
    assert causes(shown["Second/Value"]) == {
        ("Value", "Never", "Static", "ParameterReference", "Word"),
        ("Value", "Never", "Dynamic", "DirectModification", ""),
    }


def test_a_stack_s_tags_are_tags_of_everything_in_it_and_recreate_nothing(account: Account) -> None:
    files = sets.pair()
    files["root.json"]["Resources"]["Handle"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    url = helpers.upload(account, files)
    values = {"Url": url, "Word": "one"}
    helpers.deploy(account, "demo", f"{url}/root.json", values, kind="CREATE")

    def proposed(**given: Any) -> Record:
        return helpers.change_set(account, "demo", f"{url}/root.json", values, **given)

    change = proposed(Tags=[{"Key": "Team", "Value": "web"}])
    shown = described(account, change["ChangeSetId"])
    tagged = {"First", "First/Role", "First/Value", "Second", "Second/Role", "Second/Value"}
    assert shown.keys() == tagged
    assert {one["Replacement"] for one in shown.values()} == {"False"}
    assert ("Tags", "Never", "Static", "", "") in causes(shown["First/Role"])
    helpers.execute(account, change)

    # Who says nothing of tags keeps them; who gives none takes them away.
    assert proposed()["Status"] == "FAILED"
    assert described(account, proposed(Tags=[])["ChangeSetId"]).keys() == tagged


def test_without_values_a_property_is_told_once_for_each_cause(account: Account) -> None:
    url = helpers.upload(account, {"one.json": {"Resources": {"It": topic("a", "b")}}})
    helpers.deploy(account, "demo", f"{url}/one.json", kind="CREATE")
    helpers.upload(account, {"one.json": {"Resources": {"It": topic("c", "d")}}})
    change = helpers.change_set(account, "demo", f"{url}/one.json")
    (plain,), (full,) = (described(account, change["ChangeSetId"], values=values).values() for values in (False, True))
    assert [detail["Target"]["Name"] for detail in plain["Details"]] == ["Subscription"]
    assert len(full["Details"]) == 2


def topic(*endpoints: str) -> Record:
    subscriptions = [
        {"Protocol": "sqs", "Endpoint": f"arn:aws:sqs:us-east-1:123456789012:{name}"} for name in endpoints
    ]
    return {"Type": "AWS::SNS::Topic", "Properties": {"Subscription": subscriptions}}
