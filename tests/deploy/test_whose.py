"""Whose a stack is, by its template, its tags and its change sets."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.deploy.desired import ENVIRONMENT, require_ours
from scaleout_cfn.errors import AGAIN, Next, RefusedError
from scaleout_cfn.rendering import MARK

from .scripted import Scripted, failed, live


def template(**metadata: Any) -> dict[str, Any]:
    return {"TemplateBody": {"Resources": {}, "Metadata": metadata}}


OURS = template(**MARK, Other="x")
FOREIGN = [
    template(Other="x"),
    template(**dict.fromkeys(MARK, "another")),
    {"TemplateBody": {"Resources": {}}},
    {"TemplateBody": {"Resources": {}, "Metadata": "odd"}},
    {"TemplateBody": {}},
    {"TemplateBody": "- no template"},
]


def test_a_stack_that_is_not_there_is_nobodys_and_adopting_asks_nothing() -> None:
    aws = Scripted()
    require_ours(aws, None, "prod", adopt=False)
    require_ours(aws, live(), "prod", adopt=True)
    assert aws.calls == []


@pytest.mark.parametrize("body", FOREIGN)
def test_a_stack_without_our_mark_is_refused_and_adopting_is_named(body: Any) -> None:
    with pytest.raises(RefusedError, match="web is not one of scaleout-cfn") as refusal:
        require_ours(Scripted(get_template=body), live(), "", adopt=False)
    step = refusal.value.next
    assert step is not None and step.instead is not None and step.instead.options == ("--adopt",)
    assert ", ".join(f"{key}: {value}" for key, value in MARK.items()) in str(refusal.value)


@pytest.mark.parametrize(("theirs", "mine"), [("", ""), ("prod", "prod")])
def test_a_stack_of_ours_and_of_this_environment_is_let_through(theirs: str, mine: str) -> None:
    tags = {ENVIRONMENT: theirs} if theirs else {}
    for body in (OURS, template(**MARK)):
        require_ours(Scripted(get_template=body), live(tags=tags), mine, adopt=False)


@pytest.mark.parametrize(
    ("theirs", "mine", "words", "options", "advice"),
    [
        ("prod", "test", "is of environment prod, and this command is of environment test", ("--env", "prod"), ""),
        ("prod", "", "is of environment prod, and this command is of no environment", ("--env", "prod"), ""),
        ("", "prod", "is of no environment, and this command is of environment prod", (), "without --env"),
    ],
)
def test_one_of_another_environment_is_refused_with_the_command_for_it(
    theirs: str, mine: str, words: str, options: tuple[str, ...], advice: str
) -> None:
    tags = {ENVIRONMENT: theirs} if theirs else {}
    with pytest.raises(RefusedError, match=words) as refusal:
        require_ours(Scripted(get_template=OURS), live(tags=tags), mine, adopt=False)
    step = refusal.value.next
    assert step is not None and (step.verb, step.options, step.words) == (AGAIN, options, advice)
    named = f"environment {mine}" if mine else "no environment"
    move = Next(AGAIN, ("--adopt",), f"it moves the stack to {named}")
    assert step.instead is not None and step.instead.instead == move


SCFN = {"ChangeSetName": "scfn-set-0123456789abcdef-01234567"}


@pytest.mark.parametrize(
    ("pages", "ours"),
    [
        ([{}], True),
        ([{"Summaries": [SCFN]}], True),
        ([{"Summaries": [SCFN, {"ChangeSetName": "theirs"}]}], False),
        ([{"Summaries": [SCFN], "NextToken": "t"}, {"Summaries": [{}]}], False),
    ],
)
def test_a_placeholder_is_ours_while_nobody_else_has_a_change_set_on_it(pages: Any, ours: bool) -> None:
    aws = Scripted(list_change_sets=pages)
    there = live("REVIEW_IN_PROGRESS", tags={ENVIRONMENT: "prod"})
    if ours:
        require_ours(aws, there, "test", adopt=False)  # what it is of is not decided yet
    else:
        with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
            require_ours(aws, there, "prod", adopt=False)
    assert aws.sent("get_template") == []


def test_a_template_that_may_not_be_read_decides_nothing() -> None:
    with pytest.raises(Exception, match="on purpose"):
        require_ours(Scripted(get_template=failed("refused")), live(), "", adopt=False)
