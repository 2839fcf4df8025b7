"""A change set is proposed under a name of its state, executed once, and discarded without a trace."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.deploy.changes.changeset import Draft, discard, execute, operation_of, propose
from scaleout_cfn.deploy.changes.plan import Change, Plan
from scaleout_cfn.deploy.changes.quota import FullError
from scaleout_cfn.deploy.desired import Desired, fingerprint_in
from scaleout_cfn.deploy.messages import Message, Note
from scaleout_cfn.deploy.publish import Bucket, File, Published
from scaleout_cfn.errors import ApiError, BusyError, DeployError, NeedsHandError, RejectedError

from .scripted import ROOT, Scripted, failed, live

SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/scfn/1"
FILE = File("root.yaml", "k", "https://a/k", "text")
PUBLISHED = Published(Bucket("a", "https://a"), (FILE,), {}, ("CAPABILITY_IAM",))
DESIRED = Desired("web", PUBLISHED, {"A": "1"}, {"t": "v"})
READY = {"ChangeSetId": SET, "StackId": ROOT, "Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}
MADE = {"Id": SET, "StackId": ROOT}
FULL = "ChangeSet limit exceeded for stack web"


def proposed(aws: Scripted, there: Any = None, **more: Any) -> tuple[Any, Draft, list[Message]]:
    draft, said = Draft(), list[Message]()
    found = propose(aws, more.pop("desired", DESIRED), there, draft, said.append, **more)
    return found, draft, said


@pytest.mark.parametrize(
    ("there", "kind", "made_stack"),
    [(None, "CREATE", True), (live("REVIEW_IN_PROGRESS"), "CREATE", False), (live(), "UPDATE", False)],
)
def test_a_change_set_creates_what_is_not_there_and_updates_what_is(there: Any, kind: str, made_stack: bool) -> None:
    aws = Scripted(create_change_set=MADE, describe_change_set=READY)
    found, draft, _ = proposed(aws, there)
    assert (found.arn, found.stack_id, found.made_stack) == (SET, ROOT, made_stack)
    (sent,) = aws.sent("create_change_set")
    assert sent["ChangeSetType"] == kind
    assert sent["ChangeSetName"] == sent["ClientToken"] == draft.name
    assert fingerprint_in(sent["Description"]) == DESIRED.fingerprint
    assert (sent["IncludeNestedStacks"], sent["OnStackFailure"], "RoleARN" in sent) == (True, "ROLLBACK", False)
    assert (sent["TemplateURL"], sent["Capabilities"]) == ("https://a/k", ["CAPABILITY_IAM"])
    assert (sent["Tags"], sent["Parameters"]) == ([{"Key": "t", "Value": "v"}], DESIRED.request())


def test_a_role_is_given_where_there_is_one() -> None:
    aws = Scripted(create_change_set=MADE, describe_change_set=READY)
    proposed(aws, live(), desired=Desired("web", PUBLISHED, {}, role_arn="role"))
    assert aws.sent("create_change_set")[0]["RoleARN"] == "role"


def test_the_name_says_the_state_and_whether_nested_stacks_are_shown() -> None:
    def name(there: Any, **more: Any) -> str:
        return proposed(Scripted(create_change_set=MADE, describe_change_set=READY), there, **more)[1].name

    names = [name(live()), name(live(version="v2")), name(None), name(live(), nested=False)]
    assert len(set(names)) == 4 and name(live()) == names[0]
    assert name(live("REVIEW_IN_PROGRESS")) == names[2]  # the same state: a stack that is to be made


@pytest.mark.parametrize(
    "reason", ["The submitted information didn't contain changes.", "No updates are to be performed."]
)
def test_no_changes_is_nothing_and_leaves_nothing(reason: str) -> None:
    empty = READY | {"Status": "FAILED", "ExecutionStatus": "UNAVAILABLE", "StatusReason": reason}
    aws = Scripted(create_change_set=MADE, describe_change_set=empty, delete_change_set={})
    assert proposed(aws, live())[0] is None
    assert aws.sent("delete_change_set") == [{"ChangeSetName": SET}]


def refusal(reason: str) -> dict[str, Any]:
    return READY | {"Status": "FAILED", "ExecutionStatus": "UNAVAILABLE", "StatusReason": reason}


def test_a_change_set_that_fails_says_why_and_is_deleted() -> None:
    aws = Scripted(create_change_set=MADE, describe_change_set=refusal("bad"), delete_change_set={}, describe_events={})
    with pytest.raises(RejectedError, match="refuses the change: bad"):
        proposed(aws, live())
    assert len(aws.sent("delete_change_set")) == 1


@pytest.mark.parametrize(
    ("answers", "nested", "shown"),
    [
        (["full", "made"], True, [True, True]),
        (["full", "full", "made"], True, [True, True, False]),
        (["full", "made"], False, [False, False]),
    ],
)
def test_a_full_stack_is_cleared_and_then_planned_without_nested_ones(answers: Any, nested: bool, shown: Any) -> None:
    full = ApiError("create_change_set", "refused", "LimitExceededException", FULL)
    ours = [
        {"ChangeSetName": f"scfn-set-{number}", "ChangeSetId": str(number), "Status": "FAILED"} for number in range(7)
    ]
    aws = Scripted(
        create_change_set=[full if word == "full" else MADE for word in answers],
        describe_change_set=READY,
        list_change_sets={"Summaries": ours},
        delete_change_set={},
    )
    found, _, said = proposed(aws, live(), nested=nested)
    assert found.arn == SET
    sent = aws.sent("create_change_set")
    assert [one["IncludeNestedStacks"] for one in sent] == shown
    assert len({one["ChangeSetName"] for one in sent}) == len(sent)
    notes = [one.text for one in said if isinstance(one, Note) and one.level == "warning"]
    assert notes[0].endswith("scfn-set-0, scfn-set-1, scfn-set-2, scfn-set-3, scfn-set-4 and 2 more")
    assert len(notes) == len(sent) - 1 and all("going on without" in note for note in notes[1:])


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_stack_that_stays_full_says_what_was_deleted_and_nothing_else_was(count: int) -> None:
    full = ApiError("create_change_set", "refused", "LimitExceededException", FULL)
    ours = [{"ChangeSetName": f"scfn-{at}", "ChangeSetId": str(at), "Status": "FAILED"} for at in range(count)]
    aws = Scripted(create_change_set=full, list_change_sets={"Summaries": ours}, delete_change_set={})
    said: list[Message] = []
    with pytest.raises(FullError) as error:
        propose(aws, DESIRED, live(), Draft(), said.append)
    wanted = f"{count} change sets that were never executed are deleted, and nothing else"
    assert error.value.state == (wanted if count else "nothing was changed")
    assert len(aws.sent("create_change_set")) == 3
    first = said[0]
    assert isinstance(first, Note) and ("none" in first.text) == (not count) and "more" not in first.text


def test_a_limit_found_only_in_a_nested_stack_is_the_same() -> None:
    aws = Scripted(
        create_change_set=MADE,
        describe_change_set=[refusal(FULL), refusal(FULL), READY],
        describe_events={},
        delete_change_set={},
        list_change_sets={},
    )
    assert proposed(aws, live())[0].arn == SET


@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        ("LimitExceededException", "refused", NeedsHandError),
        ("ValidationError", "refused", RejectedError),
        ("InsufficientCapabilitiesException", "refused", RejectedError),
        ("Odd", "refused", ApiError),
        ("ValidationError", "denied", ApiError),
    ],
)
def test_a_request_that_is_refused_is_told_apart(code: str, kind: Any, error: type[DeployError]) -> None:
    aws = Scripted(create_change_set=failed(kind, code))
    with pytest.raises(error) as found:
        proposed(aws, live())
    assert type(found.value) is error and len(aws.calls) == 1


OURS = READY | {"Description": f"scaleout-cfn scfn-set-{DESIRED.fingerprint}-0"}


@pytest.mark.parametrize(
    ("there", "tries"),
    [
        (OURS, 1),
        (OURS | {"Status": "CREATE_IN_PROGRESS", "ExecutionStatus": "UNAVAILABLE"}, 1),
        (OURS | {"Status": "CREATE_PENDING", "ExecutionStatus": "UNAVAILABLE"}, 1),
        (OURS | {"ExecutionStatus": "OBSOLETE"}, 2),
        (OURS | {"Status": "FAILED", "ExecutionStatus": "UNAVAILABLE"}, 2),
        (OURS | {"Description": "another"}, 2),
    ],
)
@pytest.mark.parametrize("stack", [None, live()])
def test_a_change_set_of_an_earlier_run_is_gone_on_with_only_where_it_is_ours_and_usable(
    there: Any, tries: int, stack: Any
) -> None:
    aws = Scripted(create_change_set=[failed("exists"), MADE], describe_change_set=[there, READY])
    found, draft, _ = proposed(aws, stack)
    names = [one["ChangeSetName"] for one in aws.sent("create_change_set")]
    assert names == [names[0], f"{names[0]}-2"][:tries]
    assert (found.arn, draft.made_stack) == (SET, stack is None)


def test_as_many_names_are_tried_as_the_message_says() -> None:
    aws = Scripted(create_change_set=failed("exists"), describe_change_set=OURS | {"Description": ""})
    with pytest.raises(BusyError, match="20 change sets of this state"):
        proposed(aws, live())
    assert [one["ChangeSetName"][-3:] for one in aws.sent("create_change_set")][-1] == "-20"


@pytest.mark.parametrize(("lost", "sent"), [(1, 2), (2, 3), (3, 3)])
def test_a_request_without_an_answer_is_sent_again_only_where_there_is_no_change_set(lost: int, sent: int) -> None:
    aws = Scripted(
        create_change_set=[*[failed("unclear")] * lost, MADE],
        describe_change_set=lambda ChangeSetName, StackName="": failed("missing") if StackName else READY,
    )
    if lost == 3:
        with pytest.raises(ApiError):
            proposed(aws, live())
    else:
        assert proposed(aws, live())[0].arn == SET
    assert len(aws.sent("create_change_set")) == sent
    found = Scripted(create_change_set=failed("unclear"), describe_change_set=OURS)
    assert proposed(found, live())[0].arn == SET and len(found.sent("create_change_set")) == 1
    unread = Scripted(create_change_set=failed("unclear"), describe_change_set=failed("refused"))
    with pytest.raises(ApiError):
        proposed(unread, live())
    assert len(unread.calls) == 2


def test_one_that_is_still_being_made_is_waited_for_a_quarter_of_an_hour() -> None:
    aws = Scripted(create_change_set=MADE, describe_change_set=READY | {"Status": "CREATE_PENDING"})
    with pytest.raises(BusyError, match="still being made"):
        proposed(aws, live())
    assert 900 <= aws.seconds < 960


PLAN = Plan(
    "web",
    ROOT,
    SET,
    False,
    f"scaleout-cfn scfn-set-{DESIRED.fingerprint}-0",
    (Change("Data", "AWS::CloudFormation::Stack", "Modify"), Change("A", "x", "Add"), Change("B", "x", "Add")),
)
STACK = {"Stacks": [{"StackId": ROOT, "StackName": "web", "StackStatus": "UPDATE_COMPLETE"}]}
LOST = failed("unclear")
STATE = failed("refused", "InvalidChangeSetStatus")


def test_an_operation_counts_what_is_planned_and_carries_the_state() -> None:
    found = operation_of(PLAN, "before")
    assert (found.stack_id, found.before, found.change_set, found.planned) == (ROOT, "before", SET, 2)
    assert fingerprint_in(found.token) == DESIRED.fingerprint


@pytest.mark.parametrize(
    ("answers", "state", "sent"),
    [
        ([{}], None, 1),
        ([failed("refused", "TokenAlreadyExistsException")], None, 1),
        ([LOST, {}], "AVAILABLE", 2),
        ([LOST], "EXECUTE_IN_PROGRESS", 1),
        ([STATE], "EXECUTE_COMPLETE", 1),
        ([STATE, {}], "AVAILABLE", 2),
    ],
)
def test_a_plan_is_executed_once(answers: Any, state: Any, sent: int) -> None:
    aws = Scripted(describe_stacks=STACK, execute_change_set=answers, describe_change_set={"ExecutionStatus": state})
    found = execute(aws, PLAN)
    assert len(aws.sent("execute_change_set")) == sent
    assert {one["ClientRequestToken"] for one in aws.sent("execute_change_set")} == {found.token}
    assert all(one["RetainExceptOnCreate"] and one["ChangeSetName"] == SET for one in aws.sent("execute_change_set"))
    assert found.before.startswith("UPDATE_COMPLETE ")


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (failed("missing"), None, BusyError),
        (LOST, {"ExecutionStatus": "OBSOLETE"}, BusyError),
        (LOST, failed("missing"), BusyError),
        (LOST, failed("refused"), ApiError),
        (failed("refused"), None, ApiError),
    ],
)
def test_a_plan_that_is_stale_or_refused_is_not_sent_again(answer: Any, state: Any, error: type[DeployError]) -> None:
    aws = Scripted(describe_stacks=STACK, execute_change_set=answer, describe_change_set=state)
    with pytest.raises(error):
        execute(aws, PLAN)
    assert len(aws.sent("execute_change_set")) == 1


def test_an_execution_without_any_answer_is_given_up_after_five() -> None:
    aws = Scripted(describe_stacks=STACK, execute_change_set=LOST, describe_change_set=READY)
    with pytest.raises(BusyError, match="no clear answer"):
        execute(aws, PLAN)
    assert len(aws.sent("execute_change_set")) == 5


@pytest.mark.parametrize(
    ("described", "deleted", "said"),
    [
        (READY, {}, "discarded"),
        (READY, failed("missing"), "discarded"),
        (READY, failed("unclear"), "discarded"),
        (READY, failed("refused", "InvalidChangeSetStatusException"), "running"),
        (READY | {"ExecutionStatus": "EXECUTE_IN_PROGRESS"}, None, "running"),
        (READY | {"Status": "CREATE_PENDING"}, None, "left"),
        (failed("missing"), None, "discarded"),
    ],
)
@pytest.mark.parametrize("name", [SET, "scfn-set"])
def test_a_change_set_is_discarded_unless_it_runs_or_is_still_being_made(
    described: Any, deleted: Any, said: str, name: str
) -> None:
    aws = Scripted(describe_change_set=described, delete_change_set=deleted)
    assert discard(aws, name, ROOT, placeholder=False, patience_s=10) == said
    assert aws.sent("delete_change_set") == ([{"ChangeSetName": SET}] if deleted is not None else [])
    assert aws.seconds < 20


@pytest.mark.parametrize(("described", "deleted"), [(failed("refused"), {}), (READY, failed("refused"))])
def test_an_error_on_the_way_is_no_discard(described: Any, deleted: Any) -> None:
    with pytest.raises(ApiError):
        discard(Scripted(describe_change_set=described, delete_change_set=deleted), SET, ROOT, placeholder=False)


@pytest.mark.parametrize(
    ("status", "sets", "placeholder", "removed"),
    [
        ("REVIEW_IN_PROGRESS", [], True, True),
        ("REVIEW_IN_PROGRESS", ["DELETE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_PENDING"], True, True),
        ("REVIEW_IN_PROGRESS", ["CREATE_COMPLETE"], True, False),
        ("REVIEW_IN_PROGRESS", [], False, False),
        ("CREATE_IN_PROGRESS", [], True, False),
        ("", [], True, False),
    ],
)
@pytest.mark.parametrize("described", [READY, failed("missing")])
def test_a_placeholder_goes_with_the_change_set_that_it_was_made_for_and_no_other_stack(
    status: str, sets: list[str], placeholder: bool, removed: bool, described: Any
) -> None:
    stack = {"Stacks": [{**STACK["Stacks"][0], "StackStatus": status}]} if status else failed("missing")
    aws = Scripted(
        describe_change_set=described,
        delete_change_set={},
        delete_stack={},
        describe_stacks=stack,
        list_change_sets={"Summaries": [{"Status": one} for one in sets]},
    )
    assert discard(aws, SET, ROOT, placeholder=placeholder) == "discarded"
    assert [one["StackName"] for one in aws.sent("delete_stack")] == ([ROOT] if removed else [])


def test_a_change_set_on_the_second_page_keeps_the_placeholder_too() -> None:
    aws = Scripted(
        describe_change_set=failed("missing"),
        describe_stacks={"Stacks": [{**STACK["Stacks"][0], "StackStatus": "REVIEW_IN_PROGRESS"}]},
        list_change_sets=[{"NextToken": "t"}, {"Summaries": [{"Status": "CREATE_COMPLETE"}]}],
    )
    discard(aws, SET, ROOT, placeholder=True)
    assert aws.sent("delete_stack") == []
