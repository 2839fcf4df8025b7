"""What a plan says of each resource: what AWS and the resource schemas say, and nothing beyond, at any width."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import plan_lines
from scaleout_cfn.deploy.changes.following import with_followers
from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Plan, Property, blocked, change_of, kind_of

LATER = "{{changeSet:KNOWN_AFTER_APPLY}}"


def raw(kind: str, *details: dict[str, Any], said: str = "Conditional", **more: Any) -> dict[str, Any]:
    title = kind.rpartition("::")[2]
    return {"Action": "Modify", "LogicalResourceId": title, "ResourceType": kind, "Details": details} | {
        "Replacement": said,
        "PolicyAction": "ReplaceAndDelete",
        **more,
    }


def detail(
    name: str, word: str = "Conditionally", after: str = LATER, source: str = "DirectModification", **more: str
) -> dict[str, Any]:
    target = {"Attribute": "Properties", "Name": name.split("/")[0], "Path": f"/Properties/{name}"}
    target |= {"RequiresRecreation": word, "BeforeValue": "a", "AfterValue": after}
    entity = {"CausingEntity": more.pop("entity")} if "entity" in more else {}
    return {"Target": target, "Evaluation": "Static", "ChangeSource": source, **entity, **more}


def plan(*changes: Change, creates: bool = False) -> Plan:
    return Plan("web", "arn", "arn:changeSet/x", creates, "", changes)


@pytest.mark.parametrize(
    ("kind", "name", "word", "after", "is_kind"),
    [
        ("AWS::CloudWatch::Alarm", "Dimensions/0/Value", "Conditionally", LATER, "change"),
        ("AWS::Logs::LogGroup", "Tags", "Conditionally", "b", "change"),
        ("AWS::DynamoDB::Table", "Tags/0/Value", "Conditionally", "b", "change"),
        ("AWS::ECS::Service", "TaskDefinition", "Conditionally", LATER, "change"),
        ("AWS::ECS::Service", "ServiceName", "Conditionally", LATER, "possible"),
        ("AWS::ECS::Service", "ServiceName", "Always", "b", "replace"),
        ("AWS::ECS::Service", "ServiceName", "Conditionally", "b", "replace"),
        ("AWS::DynamoDB::Table", "KeySchema", "Conditionally", "b", "possible"),  # its schema says the same
        ("AWS::DynamoDB::Table", "KeySchema", "Always", "b", "replace"),
        ("AWS::ApplicationAutoScaling::ScalableTarget", "ResourceId", "Always", LATER, "possible"),
        ("Custom::Thing", "Anything", "Conditionally", "b", "possible"),
        ("AWS::Not::Known", "Anything", "Always", "b", "replace"),
    ],
)
def test_a_replacement_is_what_the_schema_lists_or_aws_is_sure_of(
    kind: str, name: str, word: str, after: str, is_kind: str
) -> None:
    change = change_of(raw(kind, detail(name, word, after), said="True" if word == "Always" else "Conditional"), "Data")
    assert kind_of(change) == is_kind


@pytest.mark.parametrize("kind", ["AWS::Logs::LogGroup", "AWS::DynamoDB::Table", "AWS::RDS::DBInstance"])
def test_a_change_of_tags_is_never_refused_as_loss_of_data(kind: str) -> None:
    change = change_of(raw(kind, detail("Tags/1/Value", after="new"), detail("Tags", after=LATER)), "Data")
    assert change.stateful
    assert blocked([change], ()) == {}


def test_a_word_of_aws_that_no_detail_explains_is_believed() -> None:
    assert kind_of(change_of(raw("AWS::DynamoDB::Table", said="True"), "")) == "replace"
    assert kind_of(change_of(raw("AWS::DynamoDB::Table", said="Conditional"), "")) == "possible"


def test_equal_values_are_shown_as_not_known_yet() -> None:
    change = change_of(raw("AWS::EC2::Subnet", detail("VpcId", "Always", "a"), said="True"), "")
    assert change.properties[0].after == UNKNOWN
    assert kind_of(change) == "possible"
    assert " a -> a" not in "\n".join(plan_lines(plan(change), 120))


def test_what_cannot_be_ruled_out_is_counted_apart() -> None:
    possible = Change("One", "AWS::SNS::Topic", "Modify", "possible")
    assert plan(possible).counts["replace"] == 0
    assert plan_lines(plan(possible), 120)[0] == (
        "web  0 add, 0 change, 0 replace, 0 delete, 1 whose replacement cannot be ruled out"
    )


SERVICE = change_of(
    raw("AWS::ECS::Service", detail("DesiredCount", "Never", "3"), said="False", PhysicalResourceId="arn"), "Service"
)
NESTED = change_of(
    raw(
        "AWS::CloudFormation::Stack",
        detail(
            "Parameters/ServiceName",
            "Never",
            source="ResourceAttribute",
            entity="Service.Outputs.Name",
            Evaluation="Dynamic",
        ),
        said="False",
        LogicalResourceId="Autoscaling",
    ),
    "",
)
TARGET = change_of(
    raw(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        detail("ResourceId", "Always", Evaluation="Dynamic"),
        detail("ResourceId", "Always", source="ParameterReference", entity="ServiceName"),
        said="True",
    ),
    "Autoscaling",
)
POLICY = change_of(
    raw(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        detail("ScalingTargetId", "Always", Evaluation="Dynamic"),
        detail("ScalingTargetId", "Always", source="ResourceReference", entity="ScalableTarget"),
        said="True",
    ),
    "Autoscaling",
)
STACK = change_of(raw("AWS::CloudFormation::Stack", detail("Parameters/ImageUri", "Never", "b"), said="False"), "")


def followed(service: Change, output: Any, *more: Change) -> dict[str, str]:
    stack = Change("Service", STACK.type, "Modify", properties=STACK.properties)
    changes = with_followers((POLICY, TARGET, NESTED, stack, service, *more), lambda path: {"Name": {"Value": output}})
    return {change.path: kind_of(change) for change in changes if change.path.startswith("Autoscaling/")}


def test_what_hangs_on_the_name_of_a_service_that_stays_stays() -> None:
    """Through an output, a parameter, and the resource that is named by it."""
    kinds = followed(SERVICE, {"Fn::GetAtt": ["Service", "Name"]})
    assert kinds == {"Autoscaling/ScalableTarget": "follow", "Autoscaling/ScalingPolicy": "follow"}
    assert set(followed(SERVICE, {"Ref": "Service"}).values()) == {"follow"}
    assert set(followed(SERVICE, {"Ref": "NotInThePlan"}).values()) == {"follow"}


@pytest.mark.parametrize(
    ("word", "output"),
    [
        ("certain", {"Fn::GetAtt": ["Service", "Name"]}),
        ("possible", {"Ref": "Service"}),
        ("none", {"Fn::GetAtt": ["Service", "SomethingThatChanges"]}),
        ("none", {"Fn::Join": ["", [{"Ref": "Service"}]]}),
        ("none", None),
    ],
)
def test_what_hangs_on_what_may_change_cannot_be_ruled_out(word: Any, output: Any) -> None:
    service = Change("Service/Service", "AWS::ECS::Service", "Modify", word)
    assert set(followed(service, output).values()) == {"possible"}
    assert set(followed(Change("Service/Service", service.type, "Add"), {"Ref": "Service"}).values()) == {"possible"}


def test_a_value_that_a_template_sets_is_followed_by_nobody() -> None:
    direct = change_of(
        raw(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            detail("ResourceId", "Always"),
            detail("ResourceId", "Always", source="ResourceReference", entity="Service"),
            said="True",
        ),
        "Service",
    )
    (change,) = [one for one in with_followers((SERVICE, direct), lambda _: {}) if one.path == direct.path]
    assert kind_of(change) == "possible"


ids = st.text("AbcDefGhiJklMno", min_size=1, max_size=60)
changes = st.builds(
    Change,
    path=st.lists(ids, min_size=1, max_size=4).map("/".join),
    type=st.sampled_from(
        ["AWS::RDS::DBInstance", "AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::SQS::Queue", "A::B::C"]
    ),
    action=st.sampled_from(["Modify", "Remove"]),
    replacement=st.sampled_from(["none", "possible", "certain"]),
    policy=st.sampled_from(["", "Retain", "Snapshot", "ReplaceAndDelete", "ReplaceAndSnapshot"]),
    stateful=st.booleans(),
    disruptive=st.booleans(),
    properties=st.lists(
        st.builds(Property, ids, ids, ids, st.sampled_from(["none", "possible", "certain"])), max_size=9
    ).map(tuple),
)


@settings(deadline=None)
@given(changes, st.integers(40, 200))
def test_the_width_never_takes_the_verdict(change: Change, width: int) -> None:
    lines = plan_lines(plan(change), width)
    assert all(len(line) <= width for line in lines)
    wide = " ".join(plan_lines(plan(change), 4000))
    text = " ".join(" ".join(line.split()) for line in lines)
    for words in ("may be REPLACED", "REPLACED", "HOLDS DATA", "a snapshot is kept", "the old one is kept", "deleted"):
        assert (words in text) == (words in wide)
    # On no line does a possibility read as a certainty.
    assert sum("REPLACED" in line for line in lines) == sum("may be REPLACED" in line for line in lines) or (
        change.replacement == "certain"
    )


@settings(deadline=None)
@given(st.integers(40, 200))
def test_a_nested_stack_that_goes_says_so_at_any_width(width: int) -> None:
    gone = Change("Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "AWS::CloudFormation::Stack", "Remove")
    assert "nested stack REMOVED" in "\n".join(plan_lines(plan(gone), width))


def test_a_new_stack_is_told_by_numbers_until_every_row_is_asked_for() -> None:
    new = [Change(f"Network/R{number}", "AWS::EC2::Route", "Add") for number in range(20)]
    short = plan_lines(
        plan(Change("Network", "AWS::CloudFormation::Stack", "Add"), *new, creates=True), 80, whole=False
    )
    assert "  +  20 in Network/" in short
    assert len(short) < 6
    assert len(plan_lines(plan(*new, creates=True), 80)) > 20
