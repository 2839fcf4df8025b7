"""Hooks and validations: what they object to is told, with its remedy, as far as it may be read."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.cli.draw import event_line
from scaleout_cfn.deploy.diagnose import diagnose
from scaleout_cfn.deploy.messages import Fact, Watched
from scaleout_cfn.errors import RejectedError

from .cloudformation import HOOK
from .helpers import Deployer, Small, running
from .operations import wider
from .world import Fault

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetHookResult.html
RESULT: dict[str, Any] = {
    "HookResultId": HOOK,
    "TypeName": "Private::Guard::Hook",
    "Status": "HOOK_COMPLETE_FAILED",
    "FailureMode": "FAIL",
    "HookStatusReason": "2 rules failed",
    "Annotations": [
        {"AnnotationName": "backups", "Status": "PASSED", "StatusMessage": "there are some"},
        {
            "AnnotationName": "encryption",
            "Status": "FAILED",
            "StatusMessage": "the table is not encrypted",
            "RemediationMessage": "set SSESpecification",
            "RemediationLink": "https://example.com/rules",
        },
    ],
}
REFUSED = "The following hook(s) failed: [Private::Guard::Hook]"
WORDS = "encryption: the table is not encrypted; set SSESpecification; https://example.com/rules"


def refusal(deployer: Deployer) -> str:
    with pytest.raises(RejectedError) as refused:
        deployer.deploy()
    return str(refused.value)


def test_a_change_set_that_a_hook_refuses_says_what_it_objects_to_and_the_remedy() -> None:
    deployer = Deployer()
    deployer.world.cfn.set_failure = REFUSED
    passed = {**RESULT, "HookResultId": HOOK[:-1] + "2", "TypeName": "Other::Hook", "Status": "HOOK_COMPLETE_SUCCEEDED"}
    warns = {**RESULT, "HookResultId": HOOK[:-1] + "3", "TypeName": "Mild::Hook", "FailureMode": "WARN"}
    deployer.world.cfn.hook_results = [passed, warns, RESULT]
    said = refusal(deployer)
    assert f"Private::Guard::Hook: {WORDS}" in said
    assert "Other::Hook" not in said and "Mild::Hook" not in said


def test_a_hook_without_annotations_says_its_reason() -> None:
    deployer = Deployer()
    deployer.world.cfn.set_failure = REFUSED
    deployer.world.cfn.hook_results = [{**RESULT, "Annotations": []}]
    assert refusal(deployer).endswith("\n  - Private::Guard::Hook: 2 rules failed")


@pytest.mark.parametrize("operation", ["ListHookResults", "GetHookResult", "DescribeEvents"])
def test_where_more_may_not_be_read_the_plain_reason_is_told(operation: str) -> None:
    deployer = Deployer()
    deployer.world.cfn.set_failure = REFUSED
    deployer.world.cfn.hook_results = [RESULT]
    deployer.world.faults.append(Fault(operation, "AccessDenied", times=99))
    assert REFUSED in refusal(deployer)


def test_a_change_set_that_failed_for_another_reason_asks_no_hooks() -> None:
    deployer = Deployer()
    deployer.world.cfn.set_failure = "Template error"
    refusal(deployer)
    assert not deployer.world.sent("ListHookResults")


def test_a_resource_that_a_hook_refuses_says_the_hooks_reason() -> None:
    deployer = running()
    deployer.world.cfn.hooks["Word"] = "the word is too short"
    outcome = deployer.deploy(Small(word="two"))
    assert (outcome.exit_code, outcome.cause and outcome.cause.path) == (4, "Word")
    assert outcome.reason == f"{REFUSED}; Private::Guard::Hook: the word is too short"


def test_the_end_of_a_hook_is_seen_though_it_has_the_event_id_of_its_beginning() -> None:
    deployer = running()
    deployer.world.cfn.hooks["Word"] = "the word is too short"
    deployer.deploy(Small(word="two"))
    events = [event for one in deployer.said if isinstance(one, Watched) for event in one.events if event.hook]
    assert [event.hook and event.hook.status for event in events] == ["HOOK_IN_PROGRESS", "HOOK_COMPLETE_FAILED"]
    assert len({event.event_id for event in events}) == 1
    assert event_line(events[-1], "web") == (
        "ERROR web/Word  UPDATE_IN_PROGRESS  hook Private::Guard::Hook HOOK_COMPLETE_FAILED  the word is too short"
    )


@pytest.mark.parametrize(("readable", "words"), [(True, WORDS), (False, "the word is too short")])
def test_diagnose_tells_what_the_hook_objects_to(readable: bool, words: str) -> None:
    deployer = wider()
    deployer.world.cfn.hooks["Word"] = "the word is too short"
    deployer.world.cfn.hook_results = [RESULT]
    assert deployer.deploy(Small(word="two")).exit_code == 4
    if not readable:
        deployer.world.faults.append(Fault("GetHookResult", "AccessDenied", times=99))
    said: list[Any] = []
    diagnose(deployer.world.aws(), "web", said.append)
    (cause,) = [one for one in said if isinstance(one, Fact) and one.kind == "cause"]
    assert f"  hook Private::Guard::Hook: {words}" in cause.lines
    assert cause.data["hooks"] == {"Private::Guard::Hook": [words]}


def test_what_the_validation_refuses_is_one_readable_line_each() -> None:
    deployer = Deployer()
    deployer.world.cfn.set_failure = "Validation failed"
    deployer.world.cfn.findings = [
        {"LogicalResourceId": title, "ValidationPath": "/Resources/x", "ValidationStatusReason": f"{title} is taken"}
        for title in ("One", "Two", "Three")
    ]
    said = refusal(deployer)
    lines = said.splitlines()
    assert lines[1:] == [f"  - {title} /Resources/x: {title} is taken" for title in ("One", "Two", "Three")]


def test_what_the_validation_lets_through_with_a_warning_is_in_the_plan() -> None:
    deployer = running()
    deployer.world.cfn.findings = [
        {
            "EventType": "VALIDATION_ERROR",
            "LogicalResourceId": "Repository",
            "ValidationFailureMode": "WARN",
            "ValidationStatusReason": "the repository holds 14 images",
        },
        {"EventType": "STACK_EVENT", "LogicalResourceId": "web"},
    ]
    outcome = deployer.deploy(image="web:2")
    assert outcome.exit_code == 0
    assert "validation: Repository: the repository holds 14 images" in deployer.plans[0].warnings


def test_validations_that_may_not_be_read_decide_nothing() -> None:
    deployer = running()
    deployer.world.faults.append(Fault("DescribeEvents", "AccessDenied", times=99))
    assert deployer.deploy(image="web:2").exit_code == 0
    assert deployer.plans[0].warnings == ()
