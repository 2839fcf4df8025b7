"""A change set as AWS describes it, on pages and in nested ones, and what it does not show."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.deploy.changes.plan import Change, change_of
from scaleout_cfn.deploy.changes.reading import exchanged_records, read_plan
from scaleout_cfn.errors import BusyError

from .scripted import ROOT, Scripted, failed

SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/scfn/1"
INNER = SET[:-1] + "2"
DATA = ROOT.replace("web/1", "web-Data/2")
STACK, TABLE, TOPIC = "AWS::CloudFormation::Stack", "AWS::DynamoDB::Table", "AWS::SNS::Topic"


def change(title: str, kind: str = TOPIC, action: str = "Modify", **more: Any) -> dict[str, Any]:
    found = {"LogicalResourceId": title, "ResourceType": kind, "Action": action, "Replacement": "False", "Details": []}
    return {"ResourceChange": found | more}


def nested(action: str = "Modify", **more: Any) -> dict[str, Any]:
    return change("Data", STACK, action, **{"PhysicalResourceId": DATA} | more)


def page(*changes: Any, **more: Any) -> dict[str, Any]:
    whole = {"ChangeSetId": SET, "ChangeSetName": "scfn", "StackId": ROOT, "StackName": "web", "Changes": list(changes)}
    return whole | {"ExecutionStatus": "AVAILABLE", "Capabilities": ["CAPABILITY_IAM"]} | more


def listed(*resources: tuple[str, str]) -> dict[str, Any]:
    rows = [{"LogicalResourceId": title, "ResourceType": kind} for title, kind in resources]
    return {
        "StackResourceSummaries": [
            row | {"ResourceStatus": "UPDATE_COMPLETE", "PhysicalResourceId": f"id-{row['LogicalResourceId']}"}
            for row in rows
        ]
    }


def template(**resources: Any) -> dict[str, Any]:
    return {"TemplateBody": {"Resources": resources}}


def scripted(*pages: Any, status: str = "UPDATE_COMPLETE", **answers: Any) -> Scripted:
    stacks = {"Stacks": [{"StackId": ROOT, "StackName": "web", "StackStatus": status}]}
    found = {"describe_stacks": stacks, "describe_events": {}} | answers
    return Scripted(describe_change_set=list(pages), **found)


def test_all_pages_are_one_plan() -> None:
    first, second = page(change("A"), {"Type": "Hook"}, NextToken="t"), page(change("B"))
    plan = read_plan(scripted(first, second), SET)
    assert [one.path for one in plan.changes] == ["A", "B"]
    assert (plan.stack, plan.stack_id, plan.change_set) == ("web", ROOT, SET)
    assert (plan.creates, plan.warnings, plan.capabilities) == (False, (), ("CAPABILITY_IAM",))


@pytest.mark.parametrize("status", ["UNAVAILABLE", "EXECUTE_IN_PROGRESS", "OBSOLETE"])
def test_a_change_set_that_cannot_be_executed_is_no_plan(status: str) -> None:
    with pytest.raises(BusyError, match=f"it is {status}"):
        read_plan(scripted(page(ExecutionStatus=status)), SET)


@pytest.mark.parametrize(
    ("changes", "status", "creates"),
    [
        ([change("A", action="Add")], "REVIEW_IN_PROGRESS", True),
        ([], "REVIEW_IN_PROGRESS", True),
        ([change("A", action="Add")], "UPDATE_COMPLETE", False),
        ([change("A", action="Add"), change("B")], "REVIEW_IN_PROGRESS", False),
    ],
)
def test_a_plan_creates_where_all_is_added_to_a_placeholder(changes: Any, status: str, creates: bool) -> None:
    assert read_plan(scripted(page(*changes), status=status), SET).creates is creates


def test_what_the_values_pushed_out_is_read_without_them() -> None:
    reason = "[WARN] --include-property-values option can return incomplete ChangeSet data"
    aws = scripted(page(change("A"), StatusReason=reason), page(change("A"), change("B")))
    plan = read_plan(aws, SET)
    assert [one.path for one in plan.changes] == ["A", "B"]
    assert plan.warnings == (reason,)
    assert [one["IncludePropertyValues"] for one in aws.sent("describe_change_set")] == [True, False]
    assert len(scripted(page(change("A"), StatusReason="other")).calls) == 0


def test_a_nested_change_set_is_read_where_it_is_and_its_warnings_with_it() -> None:
    inner = page(change("Table", TABLE), ChangeSetId=INNER, StackId=DATA)
    found = {"OperationEvents": [{"ValidationStatusReason": "odd", "ValidationFailureMode": "WARN"}]}
    aws = scripted(page(nested(ChangeSetId=INNER), change("Z")), inner, describe_events=[{}, found])
    plan = read_plan(aws, SET)
    assert [(one.path, one.stack_id, one.unseen) for one in plan.changes] == [
        ("Data", ROOT, False),
        ("Data/Table", DATA, False),
        ("Z", ROOT, False),
    ]
    assert plan.warnings == ("validation: odd",)
    assert [one["ChangeSetName"] for one in aws.sent("describe_events")] == [SET, INNER]


AUTOMATIC = {"ChangeSource": "Automatic", "Target": {}}
LOOKS_UP = {"TemplateBody": {"Resources": {}, "Parameters": {"P": {"Type": "AWS::SSM::Parameter::Value<String>"}}}}


@pytest.mark.parametrize(
    ("one", "body", "unseen"),
    [
        (nested(), template(), True),
        (nested(Details=[AUTOMATIC]), template(), False),
        (nested(Details=[AUTOMATIC, {**AUTOMATIC, "ChangeSource": "ParameterReference"}]), template(), True),
        (nested(Details=[AUTOMATIC]), LOOKS_UP, True),
        (nested(Details=[AUTOMATIC]), failed("denied"), True),
        (nested("Add", PhysicalResourceId=""), template(), False),
        (nested("Remove"), template(), False),
        (change("Topic", TOPIC, PhysicalResourceId="arn"), template(), False),
    ],
)
def test_a_nested_stack_that_is_not_shown_is_said_to_be_so(one: Any, body: Any, unseen: bool) -> None:
    aws = scripted(page(one), get_template=lambda **_: body, list_stack_resources={})
    plan = read_plan(aws, SET)
    assert [change.unseen for change in plan.changes] == [unseen]
    assert plan.warnings == (
        ("not shown: the changes inside Data. What holds data in there needs consent",) if unseen else ()
    )


def test_what_is_looked_up_two_stacks_down_counts_too() -> None:
    inner = {"LogicalResourceId": "In", "ResourceType": STACK, "PhysicalResourceId": "arn:in", "ResourceStatus": "X"}
    aws = scripted(
        page(nested(Details=[AUTOMATIC])),
        get_template=lambda StackName, **_: LOOKS_UP if StackName == "arn:in" else template(),
        list_stack_resources=lambda StackName: {} if StackName == "arn:in" else {"StackResourceSummaries": [inner]},
    )
    assert read_plan(aws, SET).changes[0].unseen


ROWS = listed(("Table", TABLE), ("Topic", TOPIC), ("Word", TOPIC), ("Balancer", "AWS::EC2::EIP"))
BODY = template(
    Table={"DeletionPolicy": "RetainExceptOnCreate"}, Word={"Metadata": {"scaleout:stateful": True}}, Topic={}, Odd="x"
)


def test_all_that_goes_with_a_nested_stack_is_shown_with_what_becomes_of_it() -> None:
    plan = read_plan(scripted(page(nested("Remove")), get_template=BODY, list_stack_resources=ROWS), SET)
    assert [(one.path, one.action, one.replacement, one.policy, one.stateful) for one in plan.changes[1:]] == [
        ("Data/Table", "Remove", "none", "Retain", True),
        ("Data/Topic", "Remove", "none", "Delete", False),
        ("Data/Word", "Remove", "none", "Delete", True),
        ("Data/Balancer", "Remove", "none", "Delete", False),
    ]
    assert [one.disruptive for one in plan.changes[1:]] == [True, True, True, True]
    assert {(one.stack_id, one.unseen) for one in plan.changes[1:]} == {(DATA, False)}


def test_of_what_is_not_shown_all_that_holds_data_may_be_replaced() -> None:
    aws = scripted(page(nested()), get_template=BODY, list_stack_resources=ROWS)
    plan = read_plan(aws, SET)
    assert [(one.path, one.action, one.replacement, one.policy, one.unseen) for one in plan.changes[1:]] == [
        ("Data/Table", "Dynamic", "possible", "", True),
        ("Data/Word", "Dynamic", "possible", "", True),
    ]
    assert len(aws.sent("get_template")) == 1


@pytest.mark.parametrize(
    "one", [nested(Details=[AUTOMATIC]), nested("Add", PhysicalResourceId=""), change("A", TABLE, "Remove")]
)
def test_nothing_is_looked_for_in_what_does_not_change_is_not_there_or_is_no_stack(one: Any) -> None:
    plan = read_plan(scripted(page(one), get_template=template(), list_stack_resources=ROWS), SET)
    assert len(plan.changes) == 1


@pytest.mark.parametrize("one", [nested(), nested("Remove")])
def test_all_of_a_template_that_cannot_be_read_holds_data_but_nested_stacks(one: Any) -> None:
    rows = listed(("Topic", TOPIC), ("Inner", STACK))
    plan = read_plan(scripted(page(one), get_template=failed("denied"), list_stack_resources=rows), SET)
    assert {one.path for one in plan.changes[1:] if one.stateful} == {"Data/Topic"}


TARGET = {"Attribute": "Properties", "Name": "Id", "Path": "/Properties/Id", "RequiresRecreation": "Conditionally"}
TARGET |= {"AfterValue": "{{changeSet:KNOWN_AFTER_APPLY}}"}
HANGS = change(
    "Hangs",
    "Custom::Thing",
    Replacement="Conditional",
    Details=[{"Target": TARGET, "ChangeSource": "ResourceAttribute", "CausingEntity": "Data.Outputs.Name"}],
)
TAGGED = change("Topic", Details=[{"Target": {"Attribute": "Tags", "RequiresRecreation": "Never"}}])
WORD = [{"ParameterKey": "Word", "ParameterValue": "a"}]


def whole(name: str = "Name", **more: Any) -> dict[str, Any]:
    value = {"Fn::Sub": [f"${{Word}}-${{Data.Outputs.{name}}}", {}]}
    resources = {"Data": {"Type": STACK}, "Hangs": {"Type": "Custom::Thing", "Properties": {"Id": value}}}
    return {"TemplateBody": {"Resources": resources, "Parameters": {"Word": {"Type": "String"}}, **more}}


def inner(name: str = "Name") -> dict[str, Any]:
    body = template(Topic={"Type": TOPIC})["TemplateBody"]
    return {"TemplateBody": body | {"Outputs": {name: {"Value": {"Ref": "Topic"}}}}}


def hanging(templates: Any = (), *, status: str = "UPDATE_COMPLETE", was: Any = None, will: Any = None) -> Scripted:
    """A resource of the root that AWS may replace, for it takes an output of a nested stack that gets another tag."""
    bodies: dict[str, Any] = {ROOT: whole(), SET: whole(), DATA: inner(), INNER: inner()} | dict(templates)
    stack = {"StackId": ROOT, "StackName": "web", "StackStatus": status, "Parameters": WORD if was is None else was}
    page_of_root = page(nested(ChangeSetId=INNER), HANGS, Parameters=WORD if will is None else will)
    return scripted(
        page_of_root,
        page(TAGGED, ChangeSetId=INNER, StackId=DATA),
        get_template=lambda **given: bodies[given.get("StackName") or given["ChangeSetName"]],
        describe_stacks={"Stacks": [stack]},
    )


def test_what_hangs_on_an_output_is_judged_by_the_templates_before_and_after_each_read_once() -> None:
    aws = hanging()
    found = read_plan(aws, SET).changes[-1]
    assert (found.replacement, found.unchanged, found.follows) == ("none", True, "Data/Topic")
    read = [given.get("StackName") or given["ChangeSetName"] for given in aws.sent("get_template")]
    assert sorted(read) == sorted([ROOT, SET, DATA, INNER])
    assert {given["TemplateStage"] for given in aws.sent("get_template")} == {"Original"}


@pytest.mark.parametrize(
    "aws",
    [
        hanging({SET: whole("Other")}),
        hanging({INNER: {"TemplateBody": {"Resources": {}, "Outputs": "odd"}}}),
        hanging({DATA: failed("denied")}),
        hanging({ROOT: failed("denied")}),
        hanging({SET: {"TemplateBody": "no template"}}),
        hanging({SET: whole(Transform="My::Macro")}),
        hanging({ROOT: whole(Transform=["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"])}),
        hanging({SET: whole(Metadata={"Fn::Transform": {"Name": "AWS::Include"}})}),
        hanging(status="UPDATE_FAILED"),
        hanging(was=[]),
        hanging(will=[]),
        hanging(will=[{"ParameterKey": "Word", "ParameterValue": "b"}]),
    ],
)
def test_what_the_templates_cannot_tell_either_may_be_replaced(aws: Scripted) -> None:
    assert read_plan(aws, SET).changes[-1].replacement == "possible"


@pytest.mark.parametrize(
    "aws",
    [
        hanging(status="UPDATE_ROLLBACK_COMPLETE"),
        hanging(will=[{"ParameterKey": "Word", "UsePreviousValue": True}]),
        hanging({SET: whole(Transform="AWS::LanguageExtensions")}),
    ],
)
def test_values_that_are_kept_and_extensions_of_the_language_are_as_good(aws: Scripted) -> None:
    assert read_plan(aws, SET).changes[-1].unchanged


def test_a_record_of_another_routing_policy_in_place_of_one_is_told() -> None:
    def record(action: str, path: str, kind: str = "AWS::Route53::RecordSet") -> Change:
        stack, _, title = path.rpartition("/")
        raw = {"Action": action, "LogicalResourceId": title, "ResourceType": kind}
        return change_of(raw, stack, "arn:stack")

    changes = [
        record("Remove", "LoadBalancer/AliasRecord"),
        record("Add", "LoadBalancer/LatencyAliasRecord"),
        record("Add", "LoadBalancer/LatencyAliasRecordIpv6"),
        record("Remove", "WebFoundation/PrimaryAliasRecord0A1B2C3D"),
        record("Add", "WebFoundation/AliasRecord0A1B2C3D"),
        record("Add", "ApiFoundation/AliasRecord0A1B2C3D"),
        record("Remove", "LoadBalancer/Listener", "AWS::ElasticLoadBalancingV2::Listener"),
    ]
    told = [change.path for change in exchanged_records(changes)]
    assert told == ["LoadBalancer/LatencyAliasRecord", "WebFoundation/AliasRecord0A1B2C3D"]
