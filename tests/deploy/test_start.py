"""Where a deployment starts from, by the state of the stack and what AWS says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scaleout_cfn.deploy.desired import Desired, token
from scaleout_cfn.deploy.messages import Message
from scaleout_cfn.deploy.publish import Bucket, File, Published
from scaleout_cfn.deploy.start import Release, Wish, make_startable, operation_at_work, phases_of, same
from scaleout_cfn.errors import BusyError, DeployError, NeedsHandError

from .scripted import ROOT, Scripted, failed, live

TEXT = "Resources: {}\n"
DECLARED: dict[str, dict[str, Any]] = {
    "WebImageUri": {"Default": ""},
    "Ami": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/ami"},
    "Pin": {"NoEcho": "True", "Default": ""},
}


def published(text: str = TEXT, **declared: Any) -> Published:
    files = (File("child.yaml", "c", "https://a/c", text), File("root.yaml", "k", "https://a/k", TEXT))
    return Published(Bucket("a", "https://a"), files, declared or DECLARED, ())


def wish(image: str | None = None, **more: Any) -> Wish:
    return Wish("web", published(), {} if image is None else {"WebImageUri": image}, **more)


def test_values_that_may_be_in_no_stream_are_those_of_parameters_with_no_echo() -> None:
    given = {"Pin": "1234", "WebImageUri": "web:1", "Unknown": "x"}
    assert wish(parameters=given).secrets == ("1234",)
    assert wish(parameters={"Pin": ""}).secrets == ()


def test_all_that_changes_is_asked_for_and_nothing_is_consented_to_unless_the_wish_says_so() -> None:
    plain = wish()
    assert (plain.nested_plan, plain.adopt, plain.recreate, plain.allowed) == (True, False, False, ())


def test_a_mark_in_any_template_is_found() -> None:
    assert not wish().marked
    assert replace(wish(), published=published('Metadata: {"scaleout:stateful": true}')).marked


@pytest.mark.parametrize(
    ("status", "image", "images"),
    [
        (None, "web:2", ["", "web:2"]),
        (None, None, [""]),
        ("REVIEW_IN_PROGRESS", "web:2", ["", "web:2"]),
        ("ROLLBACK_COMPLETE", "web:2", ["", "web:2"]),
        # What the empty stack had is not kept, what one has whose first phase is still being made is.
        ("ROLLBACK_COMPLETE", None, [""]),
        ("CREATE_IN_PROGRESS", None, ["", "web:1"]),
        ("CREATE_IN_PROGRESS", "web:2", ["", "web:2"]),
        ("UPDATE_COMPLETE", "web:2", ["web:2"]),
        ("UPDATE_COMPLETE", None, ["web:1"]),
        ("CREATE_FAILED", "web:2", ["web:2"]),
    ],
)
def test_a_new_stack_is_made_without_the_image_first(status: str | None, image: str | None, images: list[str]) -> None:
    there = live(status, parameters={"WebImageUri": "web:1"}) if status else None
    assert [one.parameters["WebImageUri"] for one in phases_of(wish(image), there, "role")] == images


MIGRATE = Release("migrate", "MigrateJob", "MigrateImageUri", "WebImageUri")


@pytest.mark.parametrize(
    ("status", "image", "there", "phases"),
    [
        # Of a new stack: nothing, the job, all.
        (None, "web:2", {}, [("", ""), ("", "web:2"), ("web:2", "web:2")]),
        # Of a new image: the job has it first.
        ("UPDATE_COMPLETE", "web:2", {"MigrateImageUri": "web:1"}, [("web:1", "web:2"), ("web:2", "web:2")]),
        # After an interruption the first phase is what is there already.
        ("UPDATE_COMPLETE", "web:2", {"MigrateImageUri": "web:2"}, [("web:1", "web:2"), ("web:2", "web:2")]),
        # The image is the same: a job that is new has it, and is not run.
        ("UPDATE_COMPLETE", "web:1", {}, [("web:1", "web:1")]),
        ("UPDATE_COMPLETE", None, {"MigrateImageUri": "web:1"}, [("web:1", "web:1")]),
    ],
)
def test_a_job_before_a_service_has_its_new_image_first(
    status: str | None, image: str | None, there: dict[str, str], phases: list[tuple[str, str]]
) -> None:
    declared: dict[str, Any] = {**DECLARED, "MigrateImageUri": {"Default": ""}}
    asked = replace(wish(image), published=published(**declared), releases=(MIGRATE,))
    before = live(status, parameters={"WebImageUri": "web:1", **there}) if status else None
    made = phases_of(asked, before, "role")
    assert [(one.parameters["WebImageUri"], one.parameters["MigrateImageUri"]) for one in made] == phases


OURS = "0123456789abcdef"


def events(mark: str = OURS, status: str = "UPDATE_IN_PROGRESS", verb: str = "deploy") -> dict[str, Any]:
    raw = {"StackId": ROOT, "PhysicalResourceId": ROOT, "EventId": "1", "LogicalResourceId": "web"}
    raw |= {"ResourceType": "AWS::CloudFormation::Stack", "ResourceStatus": status}
    return {
        "StackEvents": [
            raw | {"Timestamp": datetime(2026, 1, 1, tzinfo=UTC), "ClientRequestToken": token(verb, mark, "state")}
        ]
    }


def test_an_operation_of_one_of_these_states_is_gone_on_with() -> None:
    aws = Scripted(describe_stack_events=events())
    found = operation_at_work(aws, live("UPDATE_IN_PROGRESS"), [OURS, "other"])
    assert (found.stack_id, found.token) == (ROOT, token("deploy", OURS, "state"))


@pytest.mark.parametrize(
    ("status", "mark", "wanted", "words"),
    [
        ("UPDATE_IN_PROGRESS", OURS, ["other"], "another deployment of ours, of another state"),
        ("DELETE_IN_PROGRESS", OURS, [OURS], "is at work on it, since 2026-01-01"),
        ("UPDATE_IN_PROGRESS", "", [OURS], "another deployment of ours"),
    ],
)
def test_an_operation_of_any_other_is_busy(status: str, mark: str, wanted: list[str], words: str) -> None:
    with pytest.raises(BusyError, match=words):
        operation_at_work(Scripted(describe_stack_events=events(mark, status)), live(status), wanted)


def test_events_that_cannot_be_read_are_somebody_elses_and_say_so() -> None:
    aws = Scripted(describe_stack_events=failed("denied", "AccessDenied"))
    with pytest.raises(BusyError, match=r"somebody else is at work on it; its events cannot be read: .*AccessDenied"):
        operation_at_work(aws, live("UPDATE_IN_PROGRESS"), [OURS])
    with pytest.raises(BusyError, match=r"somebody else is at work on it$"):
        operation_at_work(Scripted(describe_stack_events={}), live("UPDATE_IN_PROGRESS"), [OURS])


@pytest.mark.parametrize("status", [None, "REVIEW_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_stack_that_can_be_made_or_updated_is_started_from_without_a_call(status: str | None) -> None:
    aws, there = Scripted(), live(status) if status else None
    assert make_startable(aws, there, recreate=True, tell=print) is there
    assert aws.calls == []


@pytest.mark.parametrize(
    ("status", "recreate", "error", "words"),
    [
        ("UPDATE_IN_PROGRESS", False, BusyError, "another deployment of ours"),
        ("UPDATE_IN_PROGRESS", True, BusyError, "another deployment of ours"),
        ("ROLLBACK_COMPLETE", False, NeedsHandError, "its creation failed and was rolled back"),
        ("UPDATE_ROLLBACK_FAILED", True, NeedsHandError, "is UPDATE_ROLLBACK_FAILED: no reason given"),
        ("ROLLBACK_FAILED", True, NeedsHandError, "is ROLLBACK_FAILED: no reason given"),
    ],
)
def test_any_other_stack_is_refused_and_nothing_is_sent(
    status: str, recreate: bool, error: type[DeployError], words: str
) -> None:
    aws = Scripted(describe_stack_events=events())
    with pytest.raises(error, match=words) as refusal:
        make_startable(aws, live(status), recreate=recreate, tell=print)
    assert refusal.value.state == "nothing was changed by this run"
    assert refusal.value.next
    assert aws.sent("delete_stack") == []


def summaries(*statuses: str, kind: str = "AWS::S3::Bucket") -> dict[str, Any]:
    listed = [
        {"LogicalResourceId": f"R{number}", "ResourceType": kind, "ResourceStatus": status}
        for number, status in enumerate(statuses)
    ]
    return {"StackResourceSummaries": listed}


GONE = {"Stacks": [{"StackId": ROOT, "StackName": "web", "StackStatus": "DELETE_COMPLETE"}]}


@pytest.mark.parametrize("unclear", [False, True])
@pytest.mark.parametrize(
    "left",
    [
        {},
        summaries("DELETE_COMPLETE"),
        summaries("DELETE_SKIPPED"),
        summaries("DELETE_FAILED", kind="AWS::CloudFormation::Stack"),
    ],
)
def test_an_empty_stack_is_deleted_to_be_made_anew_by_consent(left: Any, unclear: bool) -> None:
    said: list[Message] = []
    answer: Any = failed("unclear") if unclear else {}
    aws = Scripted(list_stack_resources=left, delete_stack=answer, describe_stacks=GONE, describe_stack_events={})
    assert make_startable(aws, live("ROLLBACK_COMPLETE"), recreate=True, tell=said.append) is None
    (sent,) = aws.sent("delete_stack")
    assert sent["StackName"] == ROOT and sent["ClientRequestToken"].startswith("scfn-recreate-")


def test_a_deletion_that_is_refused_or_fails_is_no_start() -> None:
    aws = Scripted(list_stack_resources={}, delete_stack=failed("refused"))
    with pytest.raises(DeployError, match="on purpose"):
        make_startable(aws, live("ROLLBACK_COMPLETE"), recreate=True, tell=print)
    stuck = {"Stacks": [{**GONE["Stacks"][0], "StackStatus": "DELETE_FAILED", "StackStatusReason": "in use"}]}
    aws = Scripted(list_stack_resources={}, delete_stack={}, describe_stacks=stuck, describe_stack_events={})
    with pytest.raises(NeedsHandError, match="web is DELETE_FAILED: in use"):
        make_startable(aws, live("ROLLBACK_COMPLETE"), recreate=True, tell=lambda _: None)


def test_a_stack_that_still_holds_something_is_not_deleted_and_five_of_it_are_named() -> None:
    aws = Scripted(list_stack_resources=summaries(*["CREATE_COMPLETE"] * 7))
    with pytest.raises(NeedsHandError, match=r"still holds R0, R1, R2, R3, R4$"):
        make_startable(aws, live("ROLLBACK_COMPLETE"), recreate=True, tell=print)
    assert aws.sent("delete_stack") == []


def test_a_deletion_that_an_earlier_run_began_to_make_it_anew_is_watched_by_consent() -> None:
    begun = events("", "DELETE_IN_PROGRESS", "recreate")
    aws = Scripted(describe_stack_events=begun, describe_stacks=GONE)
    assert make_startable(aws, live("DELETE_IN_PROGRESS"), recreate=True, tell=lambda _: None) is None
    assert aws.sent("delete_stack") == []
    with pytest.raises(BusyError):
        make_startable(aws, live("DELETE_IN_PROGRESS"), recreate=False, tell=print)


def wanted(ami: str | None = "/ami") -> Desired:
    return Desired("web", published(), {"WebImageUri": "web:1", "Ami": ami, "Pin": None})


def stands(**more: Any) -> Any:
    return live(
        **{"parameters": {"WebImageUri": "web:1", "Ami": "/ami", "Pin": "****"}, "resolved": {"Ami": "ami-1"}} | more
    )


AMI = {"Parameters": [{"Name": "/ami", "Value": "ami-1"}]}


@pytest.mark.parametrize(
    ("desired", "there", "template", "ssm", "is_same", "calls"),
    [
        (wanted(), stands(), TEXT, AMI, True, ["get_template", "get_parameters"]),
        (wanted(None), stands(), TEXT, AMI, True, ["get_template"]),
        (wanted(), stands(tags={"a": "b"}), TEXT, AMI, False, []),
        (wanted(), stands(), "other", AMI, False, ["get_template"]),
        (wanted(), stands(resolved={"Ami": "ami-0"}), TEXT, AMI, False, None),
        (wanted(), stands(resolved={}), TEXT, AMI, True, None),
        (wanted(), stands(), TEXT, {"Parameters": []}, False, None),
        (wanted(), stands(), TEXT, failed("refused"), False, None),
        (wanted(), stands(parameters={"WebImageUri": "web:1", "Ami": "ami-1", "Pin": ""}), TEXT, AMI, True, None),
        (wanted(), stands(parameters={"WebImageUri": "web:1", "Ami": "/old", "Pin": ""}), TEXT, AMI, False, None),
    ],
)
def test_a_stack_is_what_is_desired_where_nothing_differs_not_even_what_ssm_says(
    desired: Desired, there: Any, template: str, ssm: Any, is_same: bool, calls: list[str] | None
) -> None:
    aws = Scripted(get_template={"TemplateBody": template}, get_parameters=ssm)
    assert same(aws, desired, there) is is_same
    assert calls is None or [name for name, _ in aws.calls] == calls
