"""What a plan says of each resource: what AWS and the resource schemas say, and nothing beyond, at any width."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import plan_lines
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
from scaleout_cfn.deploy.changes.stateful import NOTICED
from scaleout_cfn.errors import UsageError
from scaleout_cfn.templates.schemas import is_known

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
        "  - Table",
        "      users: the service goes on with an empty database at another address, or with none",
        "  Old/",
        "    Inner/  nested stack REMOVED",
        "      - Queue",
        "          users: messages that wait are lost, and senders fail until they know another queue",
        "  Web/",
        "    - Logs",
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


FOLLOWS = (Property("Name", "a", UNKNOWN, follows="WebService/Service", unchanged=True),)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (stands("Add"), "add"),
        (stands("Import"), "import"),
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
    assert set(counts) == {"add", "import", "change", "replace", "possible", "follow", "delete"}


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
    kept = Change("WebService/Service", "AWS::ECS::Service", "Modify")
    one, other = stands("Remove"), Change("Data/Other", TABLE, "Remove", stateful=True)
    assert list(blocked([one, other, kept], ())) == ["Data/Table", "Data/Other"]
    assert list(blocked([one, other], ("Data/Table",))) == ["Data/Other"]
    assert blocked([one, other], ("Data/Table", "Data/Other")) == {}
    with pytest.raises(UsageError, match=r"--allow-replace WebService/Service: .*: Data/Table, Data/Other"):
        blocked([one, other, kept], ("Data/Table", "WebService/Service"))
    with pytest.raises(UsageError, match=r"none, so leave the option out"):
        blocked([stands("Modify")], ("Data/Table",))


def test_why_is_what_forces_the_replacement_or_else_all_that_changes_each_once() -> None:
    named = [Property("A", "1", "2"), Property("B", "1", "2", "possible"), Property("B", "3", "4", "certain")]
    assert stands("Modify", properties=tuple(named)).why == "B"
    assert stands("Modify", properties=(named[0], named[0], Property("C", "", "1"))).why == "A, C"
    settled = Property("Z", "a", UNKNOWN, "possible", unchanged=True)
    assert stands("Modify", properties=(settled, *named)).why == "B"
    assert stands("Modify", properties=(settled, named[0])).why == "A"
    assert stands("Modify", properties=(settled,)).why == "Z"
    assert stands("Modify", properties=tuple(named), unseen=True).why == "changes that are not shown"


def test_what_is_followed_is_named_once() -> None:
    other = Property("Arn", "a", UNKNOWN, follows="WebService/Other", unchanged=True)
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
    change = change_of(raw(TABLE, said=said, Action=action), "Data")
    assert (change.replacement, change.said) == (replacement, said)


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
    ("kind", "disruptive"), [("AWS::ElasticLoadBalancingV2::LoadBalancer", True), ("AWS::CloudWatch::Alarm", False)]
)
def test_what_clients_reach_the_service_through_is_told_apart(kind: str, disruptive: bool) -> None:
    change = change_of(raw(kind, PhysicalResourceId="id"), "")
    assert (change.disruptive, change.physical_id) == (disruptive, "id")


def test_nothing_is_said_of_a_resource_that_nobody_found_out() -> None:
    one = Change("A", TABLE, "Modify")
    assert (one.stateful, one.disruptive, one.unseen, one.nested, one.routine) == (False,) * 5


def test_what_is_unchanged_is_folded_away_with_the_stacks_that_hold_nothing_else() -> None:
    stack = "AWS::CloudFormation::Stack"
    changes = (
        Change("Api", stack, "Modify"),
        Change("Api/Inner", stack, "Modify"),
        Change("Api/Inner/Topic", "AWS::SNS::Topic", "Modify", properties=FOLLOWS),
        Change("Web", stack, "Modify"),
        Change("Web/Topic", "AWS::SNS::Topic", "Modify", properties=FOLLOWS),
        Change("Web/Alarm", "AWS::CloudWatch::Alarm", "Modify"),
        Change("Outputs", stack, "Modify"),
    )
    shown = [line.split("  AWS::")[0] for line in plan_lines(plan(*changes), 120)]
    assert shown == [
        "web  0 add, 1 change, 0 replace, 0 delete, 2 unchanged (AWS cannot tell)",
        "  nothing is replaced",
        "  Web/",
        "    ~ Alarm",
        "  Outputs/",
        "  = 2 unchanged: each of them by --verbose",
    ]
    whole = "\n".join(plan_lines(plan(*changes), 120, verbose=True))
    assert whole.count("= Topic  AWS::SNS::Topic  unchanged (AWS cannot tell), follows WebService/Service") == 2
    assert "Inner/" in whole and "--verbose" not in whole


GROUP, LISTENER = "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::ElasticLoadBalancingV2::Listener"


def test_rows_come_in_the_order_of_what_users_would_notice() -> None:
    changes = (
        Change("Low", "AWS::CloudFormation::Stack", "Modify"),
        Change("Low/Added", "AWS::CloudWatch::Alarm", "Add"),
        Change("Low/Changed", "AWS::CloudWatch::Alarm", "Modify"),
        Change("Low/Revision", TASKS, "Modify", "certain"),
        Change("Low/Policy", "AWS::IAM::Policy", "Modify", "possible"),
        Change("Low/Role", "AWS::IAM::Role", "Modify", "certain"),
        Change("High", "AWS::CloudFormation::Stack", "Modify"),
        Change("High/Logs", "AWS::Logs::LogGroup", "Modify", "certain"),
        Change("High/Maybe", LISTENER, "Modify", "possible"),
        Change("High/Group", GROUP, "Modify", "certain"),
        Change("Alone", "AWS::CloudWatch::Alarm", "Add"),
    )
    lines = [line.strip().split("  ")[0] for line in plan_lines(plan(*changes), 120)[1:] if "users:" not in line]
    assert lines == [
        *("High/", "! Group", "! Logs", "? Maybe"),
        *("Low/", "! Role", "? Policy", "~ Changed", "~ Revision", "+ Added"),
        "+ Alone",
    ]


@pytest.mark.parametrize(
    ("change", "sees"),
    [
        (Change("A", GROUP, "Modify", "certain"), True),
        (Change("A", GROUP, "Modify", "possible"), True),
        (Change("A", GROUP, "Modify"), False),
        (Change("A", GROUP, "Add"), False),
        (Change("A", GROUP, "Remove"), True),
        (Change("A", GROUP, "Remove", policy="Retain"), False),
        (Change("A", "AWS::CloudWatch::Alarm", "Remove"), False),
    ],
)
def test_what_users_would_see_is_said_in_one_sentence(change: Change, sees: bool) -> None:
    text = " ".join(" ".join(plan_lines(plan(change), 200)).split())
    assert ("users: requests get 503 until tasks are healthy in another target group" in text) is sees


def test_every_sentence_of_what_users_see_is_of_types_that_aws_has() -> None:
    assert [kind for kind in NOTICED if not is_known(kind)] == []
    assert all(sentence[0].islower() and not sentence.endswith(".") for sentence in NOTICED.values())
