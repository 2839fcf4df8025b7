"""Which call leads back out of which status, with which arguments, and what is said where none does."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.aws.client import Patience
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Fact, Message, Outcome
from scaleout_cfn.deploy.recover import cancel, rollback, skippable, skips
from scaleout_cfn.errors import (
    ApiError,
    BusyError,
    DeployError,
    NeedsHandError,
    Next,
    RefusedError,
    Stopped,
    UsageError,
)
from scaleout_cfn.rendering import MARK

from .scripted import ROOT, Scripted, failed

INNER = ROOT.replace("web/1", "web-Service-1ABC/2")
NESTED = "AWS::CloudFormation::Stack"
DIRECT = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web-Odd_Name/3"


def resource(path: str, status: str = "UPDATE_FAILED", kind: str = "AWS::SNS::Topic", at: str = INNER) -> Resource:
    return Resource(path, kind, "id", status, at)


FAILED = [
    resource("Topic", at=ROOT),
    resource("Service", kind=NESTED, at=ROOT),
    resource("Service/Queue"),
    resource("Service/Fine", "UPDATE_COMPLETE"),
    resource("Odd/Topic", at=DIRECT),
]


def test_what_failed_can_be_left_but_no_nested_stack() -> None:
    assert skippable(FAILED) == ["Topic", "Service/Queue", "Odd/Topic"]


def test_a_path_is_given_as_cloudformation_names_it() -> None:
    assert skips(["Topic", "Service/Queue"], FAILED) == ["Topic", "web-Service-1ABC.Queue"]
    assert skips([], FAILED) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Service/Fine", "is UPDATE_COMPLETE, and only what failed can be left; give one of: Topic, Service/Queue"),
        ("Nothing", "is not there; give one of: Topic"),
        ("Service", "is UPDATE_FAILED, and only what failed"),
        ("Odd/Topic", "cannot be told to skip web-Odd_Name.Topic"),
    ],
)
def test_what_cannot_be_left_is_refused_with_what_can(path: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        skips([path], FAILED)
    with pytest.raises(UsageError, match="none has failed"):
        skips(["Topic"], [])


def stack(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackId": ROOT, "StackName": "web", "StackStatus": status}]}


def scripted(status: str, *later: str, **more: Any) -> Scripted:
    """A stack in a status, and in others in later looks, of which the last one stays."""
    looks = [status, *later]
    answers: dict[str, Any] = {
        "describe_stacks": lambda StackName: stack(looks.pop(0) if len(looks) > 1 else looks[0]),
        "describe_stack_events": {},
        "list_stack_resources": {},
        "get_template": {"TemplateBody": {"Resources": {}, "Metadata": MARK}},
        "get_stack_policy": failed("denied"),
    }
    return Scripted(**answers | {name: {} for name in ("rollback_stack", "continue_update_rollback")} | more)


def back(aws: Scripted, *skip: str, agree: bool = True, **more: Any) -> tuple[Outcome, list[str], list[Message]]:
    asked: list[str] = []
    said: list[Message] = []

    def confirm(sentence: str) -> bool:
        asked.append(sentence)
        return agree

    return rollback(aws, "web", skip, said.append, confirm, Patience(), **more), asked, said


@pytest.mark.parametrize(
    ("status", "call", "end", "retains"),
    [
        ("UPDATE_FAILED", "rollback_stack", "UPDATE_ROLLBACK_COMPLETE", True),
        ("CREATE_FAILED", "rollback_stack", "ROLLBACK_COMPLETE", True),
        ("UPDATE_ROLLBACK_FAILED", "continue_update_rollback", "UPDATE_ROLLBACK_COMPLETE", False),
    ],
)
def test_what_failed_goes_back_by_one_call_and_that_is_success(status: str, call: str, end: str, retains: bool) -> None:
    aws = scripted(status, end)
    outcome, asked, said = back(aws, role_arn="role")
    (sent,) = aws.sent(call)
    assert (sent["StackName"], sent["RoleARN"], "RetainExceptOnCreate" in sent) == (ROOT, "role", retains)
    assert sent["ClientRequestToken"].startswith("scfn-rollback-")
    assert (outcome.end, outcome.exit_code, outcome.status) == ("recovered", 0, end)
    words = "the stack is empty" if end == "ROLLBACK_COMPLETE" else "the previous version is in place"
    assert outcome.what.startswith(f"web: rolled back; {words}")
    assert len(asked) == 1 and not [one for one in said if isinstance(one, Fact)]
    assert "RoleARN" not in _sent(scripted(status, end), call)


def _sent(aws: Scripted, call: str, *skip: str) -> dict[str, Any]:
    back(aws, *skip)
    return aws.sent(call)[0]


def rows(status: str) -> dict[str, Any]:
    row = {"LogicalResourceId": "Topic", "ResourceType": "AWS::SNS::Topic", "ResourceStatus": status}
    return {"StackResourceSummaries": [row]}


def test_what_is_left_behind_is_asked_for_by_name_and_offered_where_nobody_named_it() -> None:
    def stuck() -> Scripted:
        return scripted(
            "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE", list_stack_resources=rows("UPDATE_FAILED")
        )

    aws = stuck()
    _, asked, said = back(aws, "Topic")
    assert aws.sent("continue_update_rollback")[0]["ResourcesToSkip"] == ["Topic"]
    assert "leaves Topic as it is now" in asked[0] and not [one for one in said if isinstance(one, Fact)]
    aws = stuck()
    _, asked, said = back(aws)
    (choices,) = [one for one in said if isinstance(one, Fact)]
    assert (choices.kind, choices.data, choices.lines[1:]) == ("skippable", {"paths": ["Topic"]}, ("--skip Topic",))
    assert "ResourcesToSkip" not in aws.sent("continue_update_rollback")[0] and "leaves" not in asked[0]


@pytest.mark.parametrize("status", ["UPDATE_FAILED", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_only_a_rollback_that_failed_can_leave_something_behind(status: str) -> None:
    with pytest.raises(UsageError, match="only a stack in UPDATE_ROLLBACK_FAILED can skip"):
        back(scripted(status), "Topic")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("UPDATE_IN_PROGRESS", BusyError),
        ("CREATE_IN_PROGRESS", BusyError),
        ("UPDATE_COMPLETE", RefusedError),
        ("ROLLBACK_FAILED", NeedsHandError),
        ("DELETE_FAILED", NeedsHandError),
    ],
)
def test_a_status_that_nothing_leads_out_of_is_refused_once_it_is_known_to_be_ours(
    status: str, error: type[DeployError]
) -> None:
    aws = scripted(status)
    with pytest.raises(error, match=f"stack web is {status}: it ") as refusal:
        back(aws)
    assert type(refusal.value) is error and refusal.value.next
    assert [name for name, _ in aws.calls] == ["describe_stacks", "get_template"]


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_what_is_back_already_is_nothing_to_do(status: str) -> None:
    outcome, asked, _ = back(scripted(status))
    assert (outcome.end, outcome.status, asked) == ("no_change", status, [])


@pytest.mark.parametrize("act", [rollback, cancel])
def test_what_goes_back_already_is_watched_without_a_question(act: Any) -> None:
    aws = scripted("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
    middle = ((),) if act is rollback else ()
    outcome = act(aws, "web", *middle, lambda _: None, lambda _: pytest.fail("asked"), Patience())
    assert outcome.end == "recovered"


@pytest.mark.parametrize("act", [rollback, cancel])
def test_without_consent_nothing_is_sent_and_a_stack_of_others_is_not_even_asked_about(act: Any) -> None:
    middle = ((),) if act is rollback else ()
    status = "UPDATE_FAILED" if act is rollback else "UPDATE_IN_PROGRESS"
    with pytest.raises(RefusedError, match="not confirmed") as refusal:
        act(scripted(status), "web", *middle, print, lambda _: False, Patience())
    assert refusal.value.next and refusal.value.next.options == ("--yes",)
    foreign = scripted(status, get_template={"TemplateBody": {"Resources": {}}})
    with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
        act(foreign, "web", *middle, print, lambda _: pytest.fail("asked"), Patience())


def cancelled(aws: Scripted) -> Outcome:
    return cancel(aws, "web", lambda _: None, lambda _: True, Patience())


def test_an_update_is_cancelled_and_goes_back() -> None:
    outcome = cancelled(scripted("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE", cancel_update_stack={}))
    assert (outcome.end, outcome.exit_code) == ("recovered", 0)


@pytest.mark.parametrize(
    ("status", "words", "step"),
    [
        ("CREATE_IN_PROGRESS", "no create", Next("destroy")),
        ("DELETE_IN_PROGRESS", "no delete", Next("events", ("--follow",))),
        ("IMPORT_IN_PROGRESS", "no import", Next("events", ("--follow",))),
    ],
)
def test_only_an_update_can_be_cancelled(status: str, words: str, step: Next) -> None:
    with pytest.raises(RefusedError, match=words) as refusal:
        cancelled(scripted(status))
    assert refusal.value.next == step


@pytest.mark.parametrize("status", ["UPDATE_COMPLETE", "UPDATE_FAILED", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"])
def test_where_no_update_runs_there_is_nothing_to_cancel(status: str) -> None:
    assert cancelled(scripted(status)).end == "no_change"


@pytest.mark.parametrize(
    ("kind", "now", "error"),
    [
        ("refused", "UPDATE_COMPLETE", RefusedError),
        ("refused", "UPDATE_ROLLBACK_COMPLETE", RefusedError),
        ("refused", "UPDATE_IN_PROGRESS", ApiError),
        ("denied", "UPDATE_COMPLETE", ApiError),
    ],
)
def test_an_update_that_ended_before_it_could_be_cancelled_is_told_from_a_refusal(
    kind: Any, now: str, error: type[DeployError]
) -> None:
    aws = scripted("UPDATE_IN_PROGRESS", now, cancel_update_stack=failed(kind))
    with pytest.raises(error) as refusal:
        cancelled(aws)
    assert type(refusal.value) is error
    if error is RefusedError:
        step = refusal.value.next
        assert step is not None and step.verb == ("deploy" if now == "UPDATE_COMPLETE" else "diagnose")


def test_an_update_that_ends_well_while_one_watches_was_not_cancelled() -> None:
    outcome = cancelled(scripted("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", cancel_update_stack={}))
    assert (outcome.end, outcome.exit_code, outcome.next and outcome.next.verb) == ("refused", 6, "deploy")
    assert "had ended before it could be cancelled" in outcome.what


def test_a_rollback_that_fails_again_is_a_failure() -> None:
    outcome, _, _ = back(scripted("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED"))
    assert (outcome.end, outcome.exit_code) == ("failed", 5)


def test_the_policies_that_an_operation_lifted_are_set_again_at_its_end() -> None:
    aws = scripted("UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE", get_stack_policy={}, set_stack_policy={})
    back(aws)
    assert [one["StackName"] for one in aws.sent("set_stack_policy")] == [ROOT]


def test_a_stack_that_is_gone_at_the_end_is_told_as_gone() -> None:
    def looks(StackName: str) -> Any:
        return stack("UPDATE_FAILED") if not aws.sent("rollback_stack") else failed("missing")

    aws = scripted("UPDATE_FAILED", describe_stacks=looks)
    assert back(aws)[0].end == "gone"


@pytest.mark.parametrize("act", [rollback, cancel])
def test_an_interrupt_while_the_call_is_sent_says_what_aws_says(act: Any) -> None:
    def stop(**given: Any) -> Any:
        raise Stopped(15)

    middle = ((),) if act is rollback else ()
    status = "UPDATE_FAILED" if act is rollback else "UPDATE_IN_PROGRESS"
    aws = scripted(status, rollback_stack=stop, cancel_update_stack=stop)
    outcome = act(aws, "web", *middle, lambda _: None, lambda _: True, Patience())
    assert (outcome.end, outcome.exit_code) == ("interrupted", 143)
