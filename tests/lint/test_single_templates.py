"""What is said of a template by itself: its dashboards, ARNs, size and schedules."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.lint import check_set

from .cases_permissions import by_ref
from .sets import good, properties

COUNT = {"Ref": "Count"}


def said(rule: str, body: dict[str, Any]) -> list[str]:
    """Message and cure of each finding of a rule on one template."""
    return [f"{found.message} {found.cure}" for found in check_set({"root.yaml": body}) if found.rule == rule]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('{"widgets": []}', ""),
        ("[]", "it is []."),
        ('["' + "a" * 60 + '"]', 'it is ["' + "a" * 38 + "."),
        ({"Fn::Sub": '{"a": "${Count}", "b": ${Count}, "c": [${Count}]}'}, ""),
        # What is filled in may be of any shape where it stands by itself.
        ({"Fn::Sub": "[${Count}]"}, ""),
        ({"Fn::Sub": '["${Count}"]'}, 'it is ["1"].'),
        ({"Fn::Sub": '{"a": "${Count}"'}, "line 1 column"),
        ({"Fn::Join": ["", ['{"a": "', COUNT, '"}']]}, ""),
        ({"Fn::Join": ["", ['["', COUNT, '"]']]}, 'it is ["1"].'),
        ({"Fn::Join": [", ", ['{"a": 1', '"b": 2}']]}, ""),
    ],
    ids=str,
)
def test_a_dashboard_s_body_is_an_object_whatever_is_filled_in(body: Any, wrong: str) -> None:
    dashboard = {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": body}}
    template = {"Parameters": {"Count": {"Type": "String"}}, "Resources": {"Dashboard": dashboard}}
    found = said("S401", template)
    assert len(found) == bool(wrong)
    assert all(wrong in text for text in found)


@pytest.mark.parametrize(
    ("arns", "more"), [(1, "here, so"), (2, "here, and in 1 places more, so"), (3, "here, and in 2 places more, so")]
)
def test_arns_of_one_partition_are_told_once_with_how_many_there_are(arns: int, more: str) -> None:
    topics = {
        f"T{number}": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": "arn:aws:kms:::key/x"}}
        for number in range(arns)
    }
    (found,) = said("S402", {"Resources": topics})
    assert more in found


@pytest.mark.parametrize(
    ("section", "most"), [("Resources", 500), ("Parameters", 200), ("Outputs", 200), ("Mappings", 200)]
)
def test_a_template_holds_as_many_entries_as_cloudformation_takes(section: str, most: int) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    entry = {
        "Resources": {"Type": "AWS::SNS::Topic"},
        "Parameters": {"Type": "String"},
        "Outputs": {"Value": "a"},
        "Mappings": {"a": {"b": "c"}},
    }[section]
    for count in (most, most + 1):
        body = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}}, section: {f"E{n}": entry for n in range(count)}}
        found = said("S403", body)
        assert len(found) == (count > most)
        assert all(f"{count} {section.lower()}; CloudFormation takes {most}." in text for text in found)


def scheduled(*actions: dict[str, Any]) -> dict[str, Any]:
    kind = "AWS::ApplicationAutoScaling::ScalableTarget"
    return {
        "Parameters": {"When": {"Type": "String"}},
        "Resources": {"Target": {"Type": kind, "Properties": {"ScheduledActions": list(actions)}}},
    }


def test_each_action_of_a_schedule_is_looked_at_though_one_before_is_not_known() -> None:
    unknown, wrong = {"Schedule": {"Ref": "When"}, "Timezone": {"Ref": "When"}}, {"Schedule": "x", "Timezone": "y"}
    assert [len(said(rule, scheduled(unknown, wrong))) for rule in ("S901", "S902")] == [1, 1]


@pytest.mark.parametrize(
    ("zone", "cure"),
    [
        ("Europe/Berlim", "Did you mean Europe/Berlin?"),
        ("Nowhere", "Write one such as Europe/Berlin, America/New_York or UTC."),
    ],
)
def test_the_cure_of_a_time_zone_is_a_sentence(zone: str, cure: str) -> None:
    (found,) = said("S902", scheduled({"Timezone": zone}))
    assert found.endswith(f". {cure}")


@pytest.mark.parametrize(("end", "wrong"), [("07:59", True), ("08:00", True), ("08:01", False)])
def test_a_schedule_has_an_end_after_its_beginning(end: str, wrong: bool) -> None:
    action = {"StartTime": "2026-12-01T08:00:00Z", "EndTime": f"2026-12-01T{end}:00Z"}
    assert bool(said("S903", scheduled(action))) == wrong


def test_a_role_by_aws_s_own_policy_for_execution_is_known_to_read_no_secret() -> None:
    templates = good()
    by_ref(templates)
    execution = properties(templates, "service", "Execution")
    execution["Policies"] = []
    managed = "arn:aws-cn:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    execution["ManagedPolicyArns"] = [managed]
    assert [found.rule for found in check_set(templates)] == ["S801"]
