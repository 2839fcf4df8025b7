"""Why a change set failed, and what was found in one that did not: each sentence once, with its place and remedy."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.deploy.changes.changeset import explained, hook_words, warnings

from .scripted import Scripted, failed

SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/scfn/{}"


def described(number: int = 0, reason: str = "", name: str = "web") -> dict[str, Any]:
    return {"ChangeSetId": SET.format(number), "StackName": name, "StatusReason": reason}


def events(*found: dict[str, str], token: str = "") -> dict[str, Any]:
    return {"OperationEvents": list(found)} | ({"NextToken": token} if token else {})


def test_a_failure_that_nobody_explains_says_so() -> None:
    assert explained(Scripted(describe_events=events()), described()) == "no reason given"
    assert explained(Scripted(describe_events=failed("denied")), described(reason="why")) == "why"


def test_the_reason_of_a_nested_change_set_is_found_behind_its_parents() -> None:
    chain = [described(1, f"see {SET.format(2)}.", "web-Data"), described(2, "the table has a name", "web-Inner")]
    aws = Scripted(describe_change_set=chain, describe_events=events())
    assert explained(aws, described(0, f"Nested change set {SET.format(1)} failed")) == (
        "web-Data: web-Inner: the table has a name"
    )
    assert [one["ChangeSetName"] for one in aws.sent("describe_change_set")] == [SET.format(1), SET.format(2)]


def test_a_change_set_that_names_itself_is_not_asked_again() -> None:
    reason = f"{SET.format(0)} failed"
    assert explained(Scripted(describe_events=events()), described(0, reason)) == reason


def test_no_chain_is_followed_further_than_five_change_sets() -> None:
    def next_one(ChangeSetName: str) -> dict[str, Any]:
        number = int(ChangeSetName.rpartition("/")[2])
        return described(number, f"see {SET.format(number + 1)}", f"s{number}")

    aws = Scripted(describe_change_set=next_one, describe_events=events())
    assert explained(aws, described(0, f"see {SET.format(1)}")) == f"s1: s2: s3: s4: s5: see {SET.format(6)}"


def test_a_nested_change_set_that_cannot_be_read_leaves_the_reason_as_it_is() -> None:
    reason = f"see {SET.format(1)}"
    assert explained(Scripted(describe_change_set=failed("denied")), described(0, reason)) == reason


FOUND = [
    {"ValidationStatusReason": "has images", "LogicalResourceId": "Repository", "ValidationFailureMode": "WARN"},
    {"ValidationStatusReason": "too long", "LogicalResourceId": "Table", "ValidationPath": "/Properties/TableName"},
    {"ValidationStatusReason": "no place", "ValidationFailureMode": "FAIL"},
    {"LogicalResourceId": "Quiet", "ValidationFailureMode": "WARN"},
]


def test_what_validations_found_is_listed_with_its_place() -> None:
    aws = Scripted(describe_events=[events(*FOUND[:2], token="t"), events(*FOUND[2:])])
    assert explained(aws, described(reason="why")).split("\n") == [
        "why",
        "  - Repository: has images",
        "  - Table /Properties/TableName: too long",
        "  - no place",
    ]
    assert aws.sent("describe_events") == [
        {"ChangeSetName": SET.format(0)},
        {"ChangeSetName": SET.format(0), "NextToken": "t"},
    ]


def test_only_what_warns_is_a_warning() -> None:
    assert warnings(Scripted(describe_events=events(*FOUND)), "arn") == ["validation: Repository: has images"]
    later = Scripted(describe_events=[events(FOUND[0], token="t"), failed("denied")])
    assert warnings(later, "arn") == ["validation: Repository: has images"]  # what was read is told


def results(*found: tuple[str, str]) -> dict[str, Any]:
    listed = [{"TypeName": "Acme::No", "Status": status, "FailureMode": mode} for status, mode in found]
    return {"HookResults": [one | {"HookStatusReason": f"r{at}"} for at, one in enumerate(listed)]}


@pytest.mark.parametrize(
    ("reason", "found", "said"),
    [
        ("Hook said no", results(("HOOK_COMPLETE_FAILED", "FAIL")), ["  - Acme::No: r0"]),
        (
            "a hook said no",
            results(("HOOK_FAILED", ""), ("HOOK_FAILED", "FAIL")),
            ["  - Acme::No: r0", "  - Acme::No: r1"],
        ),
        ("a hook said no", results(("HOOK_FAILED", "WARN"), ("HOOK_COMPLETE_SUCCEEDED", "FAIL")), []),
        ("a hook said no", failed("denied"), []),
        ("anything else", None, []),
    ],
)
def test_hooks_are_asked_only_where_one_refused(reason: str, found: Any, said: list[str]) -> None:
    aws = Scripted(describe_events=events(), list_hook_results=found)
    assert explained(aws, described(reason=reason)).split("\n") == [reason, *said]
    assert bool(aws.sent("list_hook_results")) == (found is not None)


ANNOTATIONS = [
    {"AnnotationName": "open", "Status": "PASSED", "StatusMessage": "fine"},
    {"AnnotationName": "key", "Status": "FAILED", "StatusMessage": "not encrypted", "RemediationMessage": "set a key"},
    {"AnnotationName": "tag", "Status": "FAILED", "RemediationLink": "https://x"},
]


@pytest.mark.parametrize(
    ("result_id", "answer", "reason", "said"),
    [
        ("id", {"Annotations": ANNOTATIONS}, "r", ["key: not encrypted; set a key", "tag: https://x"]),
        ("id", {"Annotations": ANNOTATIONS[:1], "HookStatusReason": "why"}, "r", ["why"]),
        ("id", {}, "r", ["r"]),
        ("id", failed("denied"), "r", ["r"]),
        ("", None, "r", ["r"]),
        ("", None, "", ["no reason given"]),
    ],
)
def test_a_hook_says_what_it_objects_to_or_else_its_reason(result_id: str, answer: Any, reason: str, said: Any) -> None:
    aws = Scripted(get_hook_result=answer)
    assert hook_words(aws, result_id, reason) == said
    assert bool(aws.calls) == bool(result_id)
