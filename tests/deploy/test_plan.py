"""What a plan says of each resource: what AWS and the resource schemas say, and nothing beyond, at any width."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import plan_lines
from scaleout_cfn.deploy.changes.following import with_followers
from scaleout_cfn.deploy.changes.plan import (
    UNKNOWN,
    Change,
    Plan,
    Property,
    blocked,
    change_of,
    destroys,
    kind_of,
    takes,
)
from scaleout_cfn.errors import UsageError

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
    raw("AWS::ECS::Service", detail("DesiredCount", "Never", "3"), said="False", PhysicalResourceId="arn"), "WebService"
)
VPC = change_of(raw("AWS::EC2::VPC", detail("Tags", "Never", "b"), said="False", LogicalResourceId="Vpc"), "Network")
NETWORK = change_of(
    raw("AWS::CloudFormation::Stack", detail("Tags", "Never", "b"), said="False", LogicalResourceId="Network"), ""
)
FOUNDATION = change_of(
    raw(
        "AWS::CloudFormation::Stack",
        detail(
            "Parameters/VpcId",
            "Never",
            source="ResourceAttribute",
            entity="Network.Outputs.VpcId",
            Evaluation="Dynamic",
        ),
        said="False",
        LogicalResourceId="WebFoundation",
    ),
    "",
)
GROUP = change_of(
    raw(
        "AWS::EC2::SecurityGroup",
        detail("VpcId", "Always", Evaluation="Dynamic"),
        detail("VpcId", "Always", source="ParameterReference", entity="VpcId"),
        said="True",
    ),
    "WebFoundation",
)
EGRESS = change_of(
    raw(
        "AWS::EC2::SecurityGroupEgress",
        detail("DestinationSecurityGroupId", "Always", Evaluation="Dynamic"),
        detail("DestinationSecurityGroupId", "Always", source="ResourceReference", entity="SecurityGroup"),
        said="True",
        LogicalResourceId="LoadBalancerEgress",
    ),
    "WebFoundation",
)
STACK = change_of(raw("AWS::CloudFormation::Stack", detail("Parameters/ImageUri", "Never", "b"), said="False"), "")


def followed(vpc: Change, output: Any) -> dict[str, str]:
    """What becomes of a foundation, where a VPC changes and the network's output of it is this."""
    changes = with_followers((EGRESS, GROUP, FOUNDATION, NETWORK, vpc), lambda path: {"VpcId": {"Value": output}})
    return {change.path: kind_of(change) for change in changes if change.path.startswith("WebFoundation/")}


def test_what_hangs_on_the_id_of_a_vpc_that_stays_stays() -> None:
    """Through an output, a parameter, and the resource that is made with it."""
    kinds = followed(VPC, {"Fn::GetAtt": ["Vpc", "VpcId"]})
    assert kinds == {"WebFoundation/SecurityGroup": "follow", "WebFoundation/LoadBalancerEgress": "follow"}
    assert set(followed(VPC, {"Fn::GetAtt": "Vpc.VpcId"}).values()) == {"follow"}
    assert set(followed(VPC, {"Ref": "Vpc"}).values()) == {"follow"}
    assert set(followed(VPC, {"Ref": "NotInThePlan"}).values()) == {"follow"}


@pytest.mark.parametrize(
    ("word", "output"),
    [
        ("certain", {"Fn::GetAtt": ["Vpc", "VpcId"]}),
        ("possible", {"Ref": "Vpc"}),
        ("none", {"Fn::GetAtt": ["Vpc", "SomethingThatChanges"]}),
        ("none", {"Fn::Join": ["", [{"Ref": "Vpc"}]]}),
        ("none", None),
    ],
)
def test_what_hangs_on_what_may_change_cannot_be_ruled_out(word: Any, output: Any) -> None:
    vpc = Change("Network/Vpc", "AWS::EC2::VPC", "Modify", word)
    assert set(followed(vpc, output).values()) == {"possible"}
    assert set(followed(Change("Network/Vpc", vpc.type, "Add"), {"Ref": "Vpc"}).values()) == {"possible"}


def test_a_value_that_a_template_sets_is_followed_by_nobody() -> None:
    direct = change_of(
        raw(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            detail("ResourceId", "Always"),
            detail("ResourceId", "Always", source="ResourceReference", entity="Service"),
            said="True",
        ),
        "WebService",
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


def test_what_is_removed_comes_before_all_else_with_the_stacks_that_it_is_in() -> None:
    """As of a stack that is adopted: much is added, and what was there goes."""
    stack = "AWS::CloudFormation::Stack"
    changes = (
        Change("Web", stack, "Modify"),
        Change("Web/Alarm", "AWS::CloudWatch::Alarm", "Add"),
        Change("Web/Logs", "AWS::Logs::LogGroup", "Remove", policy="Retain", stateful=True),
        Change("Network", stack, "Add"),
        Change("Network/Route", "AWS::EC2::Route", "Add"),
        Change("Old", stack, "Modify"),
        Change("Old/Inner", stack, "Remove"),
        Change("Old/Inner/Queue", "AWS::SQS::Queue", "Remove"),
        Change("Api", stack, "Modify", unseen=True),
        Change("Table", TABLE, "Remove", policy="Delete", stateful=True),
    )
    lines = [line.split("  AWS::")[0] for line in plan_lines(plan(*changes), 120)[1:]]
    assert lines == [
        "removed:",
        "  Web/",
        "    - Logs",
        "  Old/",
        "    Inner/  nested stack REMOVED",
        "      - Queue",
        "  - Table",
        "added, changed or replaced:",
        "  Web/",
        "    + Alarm",
        "  Network/  new nested stack",
        "    + Route",
        "  Api/  changes not shown",
    ]


def test_a_plan_that_removes_nothing_has_no_headings() -> None:
    assert plan_lines(plan(Change("Table", TABLE, "Add")), 120)[1:] == ["  + Table  AWS::DynamoDB::Table"]


def test_a_new_stack_is_told_by_numbers_until_every_row_is_asked_for() -> None:
    new = [Change(f"Network/R{number}", "AWS::EC2::Route", "Add") for number in range(20)]
    short = plan_lines(
        plan(Change("Network", "AWS::CloudFormation::Stack", "Add"), *new, creates=True), 80, whole=False
    )
    assert "  +  20 in Network/" in short
    assert len(short) < 6
    assert len(plan_lines(plan(*new, creates=True), 80)) > 20


TABLE = "AWS::DynamoDB::Table"
TASKS = "AWS::ECS::TaskDefinition"


def stands(action: str, replacement: Any = "none", kind: str = TABLE, **more: Any) -> Change:
    return Change("Data/Table", kind, action, replacement, **{"stateful": kind == TABLE} | more)


FOLLOWS = (Property("Name", "a", UNKNOWN, follows="WebService/Service"),)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (stands("Add"), "add"),
        (stands("Import"), "add"),
        (stands("Remove"), "delete"),
        (stands("Modify"), "change"),
        (stands("Modify", "possible"), "possible"),
        (stands("Modify", "certain"), "replace"),
        (stands("Dynamic", "possible"), "possible"),
        (stands("Modify", "certain", TASKS), "change"),
        (stands("Modify", "possible", TASKS), "change"),
        (stands("Modify", properties=FOLLOWS), "follow"),
        (stands("Modify", "possible", properties=FOLLOWS), "possible"),
        (stands("Modify", properties=(*FOLLOWS, Property("Size", "1", "2"))), "change"),
    ],
)
def test_a_change_is_of_the_kind_that_becomes_of_its_resource(change: Change, kind: Any) -> None:
    assert kind_of(change) == kind
    counts = plan(change, change).counts
    assert counts[kind] == 2 and sum(counts.values()) == 2


def test_nested_stacks_are_counted_as_what_is_in_them() -> None:
    counts = plan(Change("Data", "AWS::CloudFormation::Stack", "Modify"), stands("Remove")).counts
    assert {kind: count for kind, count in counts.items() if count} == {"delete": 1}
    assert set(counts) == {"add", "change", "replace", "possible", "follow", "delete"}


ROWS = "the rows, documents or keys in it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (stands("Add"), ""),
        (stands("Import"), ""),
        (stands("Add", policy="Delete"), ""),
        (stands("Modify"), ""),
        (stands("Modify", "certain", stateful=False), ""),
        (stands("Remove", stateful=False), ""),
        (stands("Remove"), f"would be deleted, with {ROWS}"),
        (stands("Remove", policy="Delete"), f"would be deleted, with {ROWS}"),
        (stands("Modify", policy="Delete"), f"would be deleted, with {ROWS}"),
        (
            stands("Remove", policy="Retain"),
            f"would be taken out of the stack, and what uses it go on without {ROWS}; the old one is kept",
        ),
        (
            stands("Remove", policy="Snapshot"),
            f"would be taken out of the stack, and what uses it go on without {ROWS}; a snapshot is kept",
        ),
        (
            stands("Modify", "certain", policy="ReplaceAndRetain"),
            f"would be replaced, and what uses it go on without {ROWS}; the old one is kept",
        ),
        (
            stands("Modify", "possible", policy="ReplaceAndSnapshot"),
            f"might be replaced, and what uses it go on without {ROWS}; a snapshot is kept",
        ),
        (
            stands("Modify", "certain"),
            "would be replaced and the old one deleted, because of its properties",
        ),
        (
            stands("Modify", policy="ReplaceAndDelete"),
            "might be replaced and the old one deleted, because of its properties",
        ),
        (
            stands("Modify", "possible", properties=(Property("KeySchema", "a", "b", "possible"),)),
            "might be replaced and the old one deleted, because of KeySchema",
        ),
        (
            stands("Dynamic", "possible", unseen=True),
            "might be replaced and the old one deleted, because of changes that are not shown",
        ),
    ],
)
def test_the_guard_says_in_what_way_data_would_be_taken_away_and_how_sure_that_is(change: Change, words: str) -> None:
    assert destroys(change) == words
    assert takes(change) == bool(words)


def test_only_what_would_be_taken_away_can_be_consented_to_and_the_rest_is_held_back() -> None:
    one, other = stands("Remove"), Change("Data/Other", TABLE, "Remove", stateful=True)
    assert list(blocked([one, other, SERVICE], ())) == ["Data/Table", "Data/Other"]
    assert list(blocked([one, other], ("Data/Table",))) == ["Data/Other"]
    assert blocked([one, other], ("Data/Table", "Data/Other")) == {}
    with pytest.raises(UsageError, match=r"--allow-replace WebService/Service: .*: Data/Table, Data/Other"):
        blocked([one, other, SERVICE], ("Data/Table", "WebService/Service"))
    with pytest.raises(UsageError, match=r"none, so leave the option out"):
        blocked([SERVICE], ("Data/Table",))


def test_why_is_what_forces_the_replacement_or_else_all_that_changes_each_once() -> None:
    named = [Property("A", "1", "2"), Property("B", "1", "2", "possible"), Property("B", "3", "4", "certain")]
    assert stands("Modify", properties=tuple(named)).why == "B"
    assert stands("Modify", properties=(named[0], named[0], Property("C", "", "1"))).why == "A, C"
    assert stands("Modify", properties=tuple(named), unseen=True).why == "changes that are not shown"


def test_what_is_followed_is_named_once() -> None:
    other = Property("Arn", "a", UNKNOWN, follows="WebService/Other")
    assert stands("Modify", properties=(*FOLLOWS, *FOLLOWS, other)).follows == "WebService/Service, WebService/Other"
    assert stands("Modify").follows == ""


@pytest.mark.parametrize(
    ("context", "marked"),
    [
        ('{"Metadata": {"scaleout:stateful": true}}', True),
        ('{"Metadata": {"scaleout:stateful": "True"}}', True),
        ('{"Metadata": {"scaleout:stateful": false}}', False),
        ('{"Metadata": {"another": true}}', False),
        ('{"Metadata": "scaleout:stateful"}', False),
        ('{"Metadata": {"scaleout:stateful": tr', False),  # cut off
        ('["Metadata"]', False),
        ("", False),
    ],
)
@pytest.mark.parametrize("side", ["BeforeContext", "AfterContext"])
def test_a_mark_before_or_after_makes_a_resource_hold_data(context: str, marked: bool, side: str) -> None:
    change = change_of(raw("AWS::SNS::Topic", said="False", **{side: context}), "Data")
    assert change.stateful is marked


@pytest.mark.parametrize(
    ("action", "said", "policy", "kept"),
    [
        ("Modify", "False", "ReplaceAndDelete", ""),
        ("Modify", "True", "ReplaceAndDelete", "ReplaceAndDelete"),
        ("Modify", "True", "ReplaceAndRetain", "ReplaceAndRetain"),
        ("Remove", "False", "Delete", "Delete"),
        ("Remove", "False", "Retain", "Retain"),
    ],
)
def test_what_is_not_replaced_has_no_policy_of_replacement(action: str, said: str, policy: str, kept: str) -> None:
    assert change_of(raw(TABLE, said=said, Action=action, PolicyAction=policy), "Data").policy == kept


@pytest.mark.parametrize(
    ("action", "said", "replacement"),
    [
        ("Add", "True", "none"),
        ("Remove", "True", "none"),
        ("Import", "True", "none"),
        ("Dynamic", "True", "certain"),
        ("Dynamic", "False", "possible"),
        ("Modify", "False", "none"),
        ("Modify", "Conditional", "possible"),
        ("Modify", "True", "certain"),
        ("SyncWithActual", "True", "certain"),
        ("SyncWithActual", "False", "none"),
    ],
)
def test_what_is_replaced_hangs_on_the_action_and_on_aws_s_word(action: str, said: str, replacement: str) -> None:
    assert change_of(raw(TABLE, said=said, Action=action), "Data").replacement == replacement


def test_a_replacement_that_aws_is_sure_of_though_its_properties_never_force_one_is_believed() -> None:
    assert change_of(raw(TABLE, detail("Tags", "Never", "b"), said="True"), "").replacement == "certain"
    # The schema refutes what AWS calls conditional: Tags never replace a table.
    assert change_of(raw(TABLE, detail("Tags", "Conditionally", "b"), said="True"), "").replacement == "none"
    assert change_of(raw(TABLE, detail("Tags", "Never", "b"), said="Conditional"), "").replacement == "none"


def test_the_surest_of_several_properties_decides() -> None:
    possible, certain = detail("KeySchema", "Conditionally", "b"), detail("TableName", "Always", "b")
    assert change_of(raw(TABLE, possible, certain, said="True"), "").replacement == "certain"
    assert change_of(raw(TABLE, certain, possible, said="True"), "").replacement == "certain"
    assert change_of(raw(TABLE, possible, detail("Tags", "Never", "b"), said="True"), "").replacement == "possible"


@pytest.mark.parametrize(
    ("path", "word", "after", "more", "force"),
    [
        ("TableName", "Always", "b", {}, "certain"),
        ("TableName", "Always", LATER, {}, "possible"),
        ("TableName", "Always", "b", {"Evaluation": "Dynamic"}, "possible"),
        ("TableName", "Conditionally", "b", {"Evaluation": "Dynamic"}, "possible"),
        ("TableName", "Conditionally", LATER, {}, "possible"),
        ("TableName", "Never", "b", {}, "none"),
        ("Tags", "Always", LATER, {}, "none"),
        ("Tags", "Always", "b", {}, "certain"),
        ("Tags", "Always", "b", {"Evaluation": "Dynamic"}, "none"),
    ],
)
def test_a_property_forces_a_replacement_for_sure_only_by_a_value_that_is_known(
    path: str, word: str, after: str, more: dict[str, str], force: str
) -> None:
    (found,) = change_of(raw(TABLE, detail(path, word, after) | more, said="True"), "").properties
    assert found.forces_replacement == force


def test_what_is_no_property_never_replaces_for_sure() -> None:
    attribute = {"Target": {"Attribute": "Tags", "RequiresRecreation": "Always"}, "Evaluation": "Static"}
    (found,) = change_of(raw(TABLE, attribute, said="True"), "").properties
    assert (found.name, found.forces_replacement) == ("Tags", "possible")
    assert found.before == found.after == ""


def test_a_property_that_aws_tells_twice_is_one_with_its_surest_word_and_all_causes() -> None:
    twice = [
        detail("TableName", "Always", "b", source="ParameterReference", entity="Name", Evaluation="Dynamic"),
        detail("TableName", "Always", "b"),
        detail("TableName", "Always", "b", source="ParameterReference", entity="Name", Evaluation="Dynamic"),
    ]
    for details in (twice, twice[1:], twice[:2]):
        (found,) = change_of(raw(TABLE, *details, said="True"), "").properties
        assert found.forces_replacement == "certain"
        assert sorted(found.causes) == ["DirectModification", "ParameterReference Name"]


def test_a_direct_modification_told_a_second_time_is_no_further_cause() -> None:
    later = detail("TableName", "Always", LATER, Evaluation="Dynamic")
    (found,) = change_of(raw(TABLE, later, said="True"), "").properties
    assert found.causes == ()


def test_a_nested_property_is_named_by_its_place_and_an_unset_value_stays_empty() -> None:
    target = {"Attribute": "Properties", "Name": "LogConfig", "Path": "/Properties/LogConfig/Driver"}
    target |= {"RequiresRecreation": "Never", "AfterValue": "x {{changeSet:KNOWN_AFTER_APPLY}}"}
    change = change_of(raw(TABLE, {"Target": target}, said="False"), "Data/Inner", "arn")
    assert (change.path, change.stack_id) == ("Data/Inner/Table", "arn")
    (found,) = change.properties
    assert (found.name, found.before, found.after) == ("LogConfig.Driver", "", f"x {UNKNOWN}")


@pytest.mark.parametrize(
    ("kind", "disruptive"), [("AWS::ElasticLoadBalancingV2::LoadBalancer", True), ("AWS::SNS::Topic", False)]
)
def test_what_clients_reach_the_service_through_is_told_apart(kind: str, disruptive: bool) -> None:
    change = change_of(raw(kind, PhysicalResourceId="id"), "")
    assert (change.disruptive, change.physical_id) == (disruptive, "id")


def hangs(**more: Any) -> Change:
    """A target that may be replaced, for its id follows the name of a service beside it."""
    followed = Property("ResourceId", "a", UNKNOWN, "possible", ("ResourceReference Service",))
    return Change(
        "WebService/Target", **{"type": "A::B::C", "action": "Modify", "replacement": "possible"} | {
            "policy": "ReplaceAndDelete", "properties": (followed,)} | more
    )  # fmt: skip


def settled(*changes: Change, outputs: Any = None) -> Change:
    return with_followers(changes, lambda path: (outputs or {}).get(path, {}))[0]


def test_what_follows_is_no_replacement_and_so_nothing_becomes_of_an_old_one() -> None:
    found = settled(hangs(), SERVICE)
    assert (found.replacement, found.policy, found.follows) == ("none", "", "WebService/Service")
    assert settled(hangs(policy="Delete"), SERVICE).policy == "Delete"


@pytest.mark.parametrize(
    "change",
    [
        hangs(action="Add"),
        hangs(action="Remove"),
        hangs(replacement="certain"),
        hangs(properties=()),
        hangs(properties=(*hangs().properties, Property("Mode", "a", "b", "possible"))),
        hangs(properties=(Property("ResourceId", "a", "b", "possible", ("ResourceReference Service",)),)),
        hangs(properties=(Property("ResourceId", "a", UNKNOWN, "possible"),)),
        hangs(
            properties=(Property("Id", "a", UNKNOWN, "possible", ("ResourceReference Service", "DirectModification")),)
        ),
    ],
)
def test_what_changes_by_itself_or_for_sure_follows_nothing(change: Change) -> None:
    assert settled(change, SERVICE).replacement == change.replacement


def test_a_property_that_forces_nothing_need_not_follow_for_the_resource_to_stay() -> None:
    found = settled(hangs(properties=(*hangs().properties, Property("Size", "1", "2"))), SERVICE)
    assert (found.replacement, found.follows, kind_of(found)) == ("none", "", "change")


def test_a_revision_that_only_follows_is_no_new_one() -> None:
    assert kind_of(settled(hangs(type=TASKS, replacement="certain"), SERVICE)) == "follow"


def test_nothing_is_said_of_a_resource_that_nobody_found_out() -> None:
    one = Change("A", TABLE, "Modify")
    assert (one.stateful, one.disruptive, one.unseen, one.nested, one.routine) == (False,) * 5


def test_what_hangs_on_itself_is_not_ruled_out() -> None:
    circle = Property("Id", "a", UNKNOWN, "possible", ("ResourceReference Target",))
    assert settled(hangs(properties=(circle,)), SERVICE).replacement == "possible"


@pytest.mark.parametrize("given", [None, Property("Parameters.Other", "a", UNKNOWN, causes=("ResourceReference X",))])
def test_a_parameter_that_the_parent_does_not_change_is_followed_by_nobody(given: Property | None) -> None:
    by_parameter = Property("ResourceId", "a", UNKNOWN, "possible", ("ParameterReference Name",))
    parent = Change("WebService", STACK.type, "Modify", properties=(given,) if given else ())
    assert settled(hangs(properties=(by_parameter,)), parent, SERVICE).replacement == "possible"
    assert settled(hangs(properties=(by_parameter,)), SERVICE).replacement == "possible"


@pytest.mark.parametrize("name", ["Name", "Other"])
def test_a_parameter_is_followed_up_through_every_stack_that_hands_it_on(name: str) -> None:
    """From a resource two stacks down to the service beside the upper one."""
    down = Property("ResourceId", "a", UNKNOWN, "possible", ("ParameterReference Inner",))
    middle = Property("Parameters.Inner", "a", UNKNOWN, causes=(f"ParameterReference {name}",))
    up = Property("Parameters.Name", "a", UNKNOWN, causes=("ResourceReference Service",))
    found = settled(
        Change("Outer/Inner/Target", "A::B::C", "Modify", "possible", properties=(down,)),
        Change("Outer/Inner", STACK.type, "Modify", properties=(middle,)),
        Change("Outer", STACK.type, "Modify", properties=(up,)),
        Change("Service", "AWS::ECS::Service", "Modify"),
    )
    assert (found.replacement, found.follows) == (("none", "Service") if name == "Name" else ("possible", ""))
