"""How an operation ended: in words, as an exit code, and what comes next."""

from __future__ import annotations

import signal
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scaleout_cfn.deploy.messages import EXITS, Fact, Note, Outcome
from scaleout_cfn.deploy.outcome import (
    code_of,
    hidden,
    interrupted,
    nothing_to_do,
    outcome_of,
    outcome_of_error,
    redacted,
)
from scaleout_cfn.deploy.watch.events import Event, Hook
from scaleout_cfn.errors import AGAIN, BusyError, Next, ScaleoutError, Stopped, UsageError

from .scripted import ROOT, live

FAILED = Event(ROOT, "1", datetime(2026, 1, 1, tzinfo=UTC), "Word", "A::B", "UPDATE_FAILED", "no", "w", "")


@pytest.mark.parametrize(
    ("status", "end", "step"),
    [
        ("CREATE_COMPLETE", "done", None),
        ("UPDATE_COMPLETE", "done", None),
        ("UPDATE_ROLLBACK_COMPLETE", "rolled_back", "diagnose"),
        ("ROLLBACK_COMPLETE", "failed", "deploy"),
        ("UPDATE_FAILED", "failed", "rollback"),
        ("UPDATE_ROLLBACK_FAILED", "failed", "rollback"),
        ("DELETE_COMPLETE", "gone", "deploy"),
        ("REVIEW_IN_PROGRESS", "gone", "deploy"),
    ],
)
def test_a_status_has_its_end_and_its_next_command(status: str, end: str, step: str | None) -> None:
    outcome = outcome_of(live(status, outputs={"Url": "x"}, reason="why"), "web", [FAILED], change_set="set")
    assert (outcome.end, outcome.next and outcome.next.verb) == (end, step)
    assert outcome.what.startswith("web: ")
    if end == "gone":
        assert (outcome.status, outcome.what) == ("DELETE_COMPLETE", "web: the stack is gone")
        return
    assert (outcome.status, outcome.stack_id, outcome.change_set) == (status, ROOT, "set")
    assert outcome.outputs == {"Url": "x"}
    assert (outcome.cause, outcome.reason) == ((None, "") if end == "done" else (FAILED, "no"))


def test_a_stack_that_cannot_be_found_is_gone() -> None:
    assert outcome_of(None, "web", []).end == "gone"


def test_ecs_has_the_last_word_on_a_stack_that_is_done() -> None:
    outcome = outcome_of(live(), "web", [FAILED], ecs="tasks stop")
    assert (outcome.end, outcome.reason, outcome.next) == ("rolled_back", "tasks stop", Next("diagnose"))
    assert "ECS does not run the new version" in outcome.what
    assert outcome_of(live("UPDATE_FAILED"), "web", [FAILED], ecs="tasks stop").reason == "no"


def test_a_failure_without_a_cause_says_the_stacks_own_reason_and_one_by_a_hook_what_the_hook_says() -> None:
    assert outcome_of(live("UPDATE_FAILED", reason="why"), "web", []).reason == "why"
    hook = Hook("Acme::No", "HOOK_COMPLETE_FAILED", "not encrypted", "FAIL", "id")
    cause = replace(FAILED, reason="The following hook(s) failed: [Acme::No]")
    found = outcome_of(live("UPDATE_FAILED"), "web", [replace(FAILED, status="", hook=hook), cause])
    assert found.reason == "The following hook(s) failed: [Acme::No]; Acme::No: not encrypted"


def test_nothing_to_do_is_success_and_shows_the_outputs() -> None:
    found = nothing_to_do(live(outputs={"Url": "x"}))
    assert (found.exit_code, found.end, found.what) == (0, "no_change", "web: nothing to do")
    assert found.outputs == {"Url": "x"}


@pytest.mark.parametrize("error", [UsageError("x", next=Next("deploy")), BusyError("x", state="s"), ScaleoutError("x")])
def test_an_error_ends_with_its_own_exit_code(error: ScaleoutError) -> None:
    found = outcome_of_error(error)
    assert (found.exit_code, found.what, found.next) == (error.exit_code, "x", error.next)
    assert found.reason == getattr(error, "state", "")
    assert found.end == min((end for end in EXITS if EXITS[end] == error.exit_code), key=list(EXITS).index)


def test_a_signal_s_exit_code_is_its_number_after_128_and_that_of_ctrl_c_where_nobody_says() -> None:
    assert (code_of(KeyboardInterrupt()), code_of(Stopped(signal.SIGTERM))) == (130, 143)


@pytest.mark.parametrize(
    ("facts", "end", "words", "step"),
    [
        ({"running": True}, "still_running", "what was begun goes on", Next("events", ("--follow",))),
        (
            {"running": True, "updating": True, "left": True},
            "still_running",
            "what was begun goes on",
            Next("events", ("--follow",), instead=Next("cancel")),
        ),
        (
            {"running": False, "left": True},
            "interrupted",
            "it is left, and nothing else changed",
            Next(AGAIN, words="it goes on with this change set"),
        ),
        ({"running": False, "updating": True}, "interrupted", "nothing was changed and nothing is left", Next(AGAIN)),
    ],
)
def test_an_interrupt_says_what_goes_on_or_is_left(facts: Any, end: str, words: str, step: Next) -> None:
    found = interrupted(Stopped(signal.SIGTERM), "web", stack_id=ROOT, **facts)
    assert (found.end, found.next, found.stack_id, found.exit_code) == (end, step, ROOT, 143)
    assert words in found.what


def test_a_secret_is_hidden_wherever_it_is_in_a_message() -> None:
    said = Outcome("failed", "it is s3cret", cause=replace(FAILED, reason="s3cret!"), outputs={"A": "s3cret", "B": "b"})
    shown = redacted(said, ["s3cret"])
    assert "s3cret" not in str(shown)
    assert shown == Outcome(
        "failed", "it is ****", cause=replace(FAILED, reason="****!"), outputs={"A": "****", "B": "b"}
    )
    fact = redacted(Fact("x", ("s3cret", "y"), {"n": 3, "t": ("s3cret",)}), ["s3cret"])
    assert (fact.lines, fact.data) == (("****", "y"), {"n": 3, "t": ("****",)})
    assert redacted(Note, ["s3cret"]) is Note and hidden("a b", ["a", "b"]) == "**** ****"
