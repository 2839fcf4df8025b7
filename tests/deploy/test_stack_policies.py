"""What is written into a stack's policy, statement by statement, and what is read from one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scaleout_cfn.deploy.changes.plan import Change
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Message, Note
from scaleout_cfn.deploy.protect import lift, policy, protect, restore

from .scripted import ROOT, Scripted, failed

DATA = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web-Data-1ABC/2"
OTHER = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web-Other-1ABC/3"
ALL = {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}
THEIRS = {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/Word"}
TABLE, BUCKET, TOPIC = "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SNS::Topic"


def lost(effect: str, *titles: str) -> dict[str, Any]:
    """The statement about the loss of these."""
    resources = [f"LogicalResourceId/{title}" for title in titles]
    return {"Effect": effect, "Action": ["Update:Replace", "Update:Delete"], "Principal": "*", "Resource": resources}


class Policies(Scripted):
    """Stacks with policies, by ARN; None is one that may not be read or set."""

    def __init__(self, policies: dict[str, Any], **answers: Any) -> None:
        self.policies = policies
        super().__init__(get_stack_policy=self.got, set_stack_policy=self.put, **answers)

    def got(self, StackName: str) -> Any:
        found = self.policies.get(StackName, [])
        if found is None:
            return failed("denied")
        return {"StackPolicyBody": json.dumps({"Statement": found})} if found else {}

    def put(self, StackName: str, StackPolicyBody: str) -> Any:
        if self.policies.get(StackName, []) is None:
            return failed("denied")
        self.policies[StackName] = json.loads(StackPolicyBody)["Statement"]
        return {}

    @property
    def written(self) -> list[str]:
        return [given["StackName"] for given in self.sent("set_stack_policy")]


def holds(path: str, kind: str = TABLE, stack_id: str = DATA) -> Resource:
    return Resource(path, kind, "id", "CREATE_COMPLETE", stack_id)


def test_a_policy_allows_all_but_the_loss_of_what_is_named() -> None:
    assert json.loads(policy(["B", "A"])) == {"Statement": [ALL, lost("Deny", "A", "B")]}
    assert json.loads(policy([])) == {"Statement": [ALL]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [ALL, lost("Deny", "Table")]),
        ([ALL, lost("Deny", "Old", "Table")], [ALL, lost("Deny", "Table")]),
        ([ALL, lost("Allow", "Table")], [ALL, lost("Deny", "Table")]),
        ([THEIRS, ALL], [THEIRS, ALL, lost("Deny", "Table")]),
        ([lost("Deny", "Old")], [ALL, lost("Deny", "Table")]),
        (None, None),
    ],
)
def test_what_holds_data_is_denied_to_be_lost_beside_whatever_somebody_else_says(before: Any, after: Any) -> None:
    aws = Policies({DATA: before, ROOT: [ALL]})
    said: list[Message] = []
    protect(aws, ROOT, [holds("Data/Table"), holds("Data/Topic", TOPIC)], said.append, marked=False)
    assert aws.policies[DATA] == after
    assert [isinstance(one, Note) and one.level for one in said] == (["warning"] if after is None else [])
    assert aws.written == [DATA]
    aws.calls.clear()
    if after is not None:
        protect(aws, ROOT, [holds("Data/Table")], said.append, marked=False)
        assert aws.written == []  # nothing to write twice


def test_the_root_says_last_that_all_is_set_and_says_nothing_where_one_is_not() -> None:
    resources = [holds("Table", stack_id=ROOT), holds("Data/Table"), holds("Other/Table", stack_id=OTHER)]
    aws = Policies({})
    protect(aws, ROOT, resources, print, marked=False)
    assert aws.written[-1] == ROOT and sorted(aws.written) == sorted([DATA, OTHER, ROOT])
    assert aws.policies[ROOT] == [ALL, lost("Deny", "Table")]
    aws = Policies({OTHER: None, ROOT: [ALL, lost("Allow", "Table")]})
    protect(aws, ROOT, resources, lambda _: None, marked=False)
    assert ROOT not in aws.written


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        ([ALL, lost("Allow", "Table")], [ALL], True),
        ([THEIRS, lost("Allow", "Table")], [THEIRS], True),
        ([lost("Allow", "Table")], [ALL], True),
        ([], [ALL], True),
        ([THEIRS, ALL], [THEIRS, ALL], False),
        (None, None, False),
    ],
)
def test_a_root_without_data_loses_its_mark_and_nothing_else(before: Any, after: Any, written: bool) -> None:
    aws = Policies({ROOT: before})
    protect(aws, ROOT, [holds("Data/Table")], print, marked=False)
    assert (aws.policies[ROOT], ROOT in aws.written) == (after, written)


def test_marks_are_read_once_a_stack_and_only_where_asked_for() -> None:
    body = {"Resources": {"Word": {"Metadata": {"scaleout:stateful": True}}, "Topic": {}, "Odd": "x"}}
    resources = [holds(f"Data/{title}", TOPIC) for title in ("Word", "Topic", "Odd")]
    aws = Policies({}, get_template={"TemplateBody": body})
    protect(aws, ROOT, resources, print)
    assert aws.policies[DATA] == [ALL, lost("Deny", "Word")]
    assert len(aws.sent("get_template")) == 1
    aws = Policies({}, get_template={"TemplateBody": body})
    protect(aws, ROOT, resources, print, marked=False)
    assert (DATA in aws.policies, aws.sent("get_template")) == (False, [])


def test_a_template_that_cannot_be_read_is_told_and_its_tables_are_protected_all_the_same() -> None:
    said: list[Message] = []
    aws = Policies({}, get_template=failed("denied"))
    protect(aws, ROOT, [holds("Data/Table"), holds("Data/Topic", TOPIC)], said.append)
    assert aws.policies[DATA] == [ALL, lost("Deny", "Table")]
    (note,) = said
    assert isinstance(note, Note) and note.level == "warning" and "its marks are not known" in note.text


def change(path: str, action: str, replacement: Any = "none", *, stateful: bool = True, at: str = DATA) -> Change:
    return Change(path, TABLE, action, replacement, stateful=stateful, stack_id=at)


@pytest.mark.parametrize(
    ("one", "lifted"),
    [
        (change("Data/Table", "Modify", "certain"), True),
        (change("Data/Table", "Remove"), True),
        (change("Data/Table", "Add"), True),  # what is new is not protected yet
        (change("Data/Table", "Add", stateful=False), False),
        (change("Data/Table", "Modify"), False),
        (change("Data/Table", "Modify", "certain", stateful=False), False),
        (change("Data/Table", "Modify", "certain", at=""), False),
    ],
)
def test_only_the_loss_or_the_making_of_what_holds_data_lifts_a_policy(one: Change, lifted: bool) -> None:
    aws = Policies({DATA: [ALL, lost("Deny", "Other", "Table")], ROOT: [ALL]})
    assert lift(aws, ROOT, [one], print) is lifted
    assert aws.written == ([ROOT, DATA] if lifted else [])
    assert aws.policies[DATA] == [ALL, lost("Deny", "Other", *(() if lifted else ("Table",)))]
    assert aws.policies[ROOT] == ([ALL, lost("Allow", "Table")] if lifted else [ALL])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ALL, lost("Deny", "Table")], [ALL]),
        ([ALL, {**lost("Deny", "Table"), "Resource": "LogicalResourceId/Table"}], [ALL]),
        ([ALL, THEIRS, lost("Deny", "Other", "Table")], [ALL, THEIRS, lost("Deny", "Other")]),
        ([ALL, THEIRS], [ALL, THEIRS]),
        ([ALL, lost("Allow", "Old")], [ALL]),
        ([], []),
    ],
)
def test_a_policy_that_is_lifted_keeps_all_the_rest(before: Any, after: Any) -> None:
    aws = Policies({DATA: before})
    lift(aws, ROOT, [change("Data/Table", "Remove")], print)
    assert aws.policies[DATA] == after
    assert (DATA in aws.written) == (before != after)
    assert aws.policies[ROOT] == [ALL, lost("Allow", "Table")]


def test_a_table_of_the_root_itself_is_let_through_there() -> None:
    aws = Policies({ROOT: [ALL, lost("Deny", "Other", "Table")]})
    assert lift(aws, ROOT, [change("Table", "Remove", at=ROOT), change("Data/A", "Add")], print)
    assert aws.policies[ROOT] == [ALL, lost("Deny", "Other"), lost("Allow", "A", "Table")]


@pytest.mark.parametrize(
    ("before", "unset", "set_again"),
    [
        ([ALL, lost("Allow", "Table")], True, True),
        ([ALL, lost("Allow", "Table")], False, True),
        ([], True, True),
        ([], False, False),
        ([ALL], True, False),
        ([ALL, lost("Deny", "Table")], True, False),
        (None, True, False),
    ],
)
def test_what_an_operation_left_open_is_protected_again_and_nothing_else(
    before: Any, unset: bool, set_again: bool
) -> None:
    listed = {"LogicalResourceId": "Table", "ResourceType": TABLE, "ResourceStatus": "CREATE_COMPLETE"}
    aws = Policies(
        {ROOT: before}, list_stack_resources={"StackResourceSummaries": [listed]}, get_template=failed("denied")
    )
    restore(aws, ROOT, lambda _: None, unset=unset)
    assert aws.policies[ROOT] == ([ALL, lost("Deny", "Table")] if set_again else before)
    assert bool(aws.sent("list_stack_resources")) == set_again


def test_resources_that_may_not_be_listed_leave_it_to_the_next_deployment() -> None:
    said: list[Message] = []
    aws = Policies({}, list_stack_resources=failed("denied"))
    restore(aws, ROOT, said.append)
    (note,) = said
    assert isinstance(note, Note) and note.level == "warning" and "the next deployment does it" in note.text
    assert aws.written == []


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"Statement": "x"}', '{"Statement": [1]}'])
def test_a_policy_that_says_nothing_we_know_is_not_taken_for_one_of_ours(body: str) -> None:
    aws = Scripted(get_stack_policy={"StackPolicyBody": body}, list_stack_resources={}, set_stack_policy={})
    restore(aws, ROOT, print, unset=False)
    assert aws.sent("set_stack_policy") == []


def test_one_statement_need_not_be_in_a_list() -> None:
    aws = Scripted(
        get_stack_policy={"StackPolicyBody": json.dumps({"Statement": lost("Allow", "Table")})},
        list_stack_resources={},
        set_stack_policy={},
    )
    restore(aws, ROOT, print, unset=False)
    assert [given["StackPolicyBody"] for given in aws.sent("set_stack_policy")] == [json.dumps({"Statement": [ALL]})]
