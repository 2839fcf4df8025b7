"""Several stacks by one command: planned before the first is changed, then one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.deployment import Confirm
from scaleout_cfn.deploy.messages import Message, Outcome
from scaleout_cfn.deploy.several import in_order, in_turn, summary, whole
from scaleout_cfn.deploy.start import Wish
from scaleout_cfn.errors import AGAIN, Next, RefusedError, Stopped

from .helpers import Small, patient, published
from .world import Killed, World

STACKS = ("web-eu", "web-us", "web-ap")


@dataclass
class Fleet:
    """Somebody who types a command for several stacks, and what they are asked and told."""

    world: World = field(default_factory=World)
    stacks: tuple[str, ...] = STACKS
    asked: list[tuple[str, ...]] = field(default_factory=list)
    answer: Callable[[], bool] = lambda: True
    said: list[Message] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def deploy(self, small: Small | None = None, **options: Any) -> list[Outcome | None]:
        self.said, self.asked, self.begun = [], [], []

        def bring(number: int, confirm: Confirm) -> Outcome:
            aws = self.world.aws()
            wish = Wish(self.stacks[number], published(small), **patient(dict(options)))
            return deployment.deploy(aws, aws.identity(), wish, self.said.append, confirm)

        def agree(plans: Sequence[Plan]) -> bool:
            self.asked.append(tuple(plan.stack for plan in plans))
            return self.answer()

        return in_order(self.stacks, bring, agree, lambda number: self.begun.append(self.stacks[number]))

    def executed(self) -> list[str]:
        """The stacks of the change sets that were executed, in order."""
        return [
            given["ChangeSetName"].split(":stack/")[-1].split("/")[0] if ":stack/" in given["ChangeSetName"] else ""
            for _, operation, given in self.world.calls
            if operation == "ExecuteChangeSet"
        ]

    def statuses(self) -> list[str]:
        live = [self.world.cfn.live(stack) for stack in self.stacks]
        return [stack.status if stack else "none" for stack in live]

    def left_over(self) -> list[str]:
        return [name for name, made in self.world.cfn.sets.items() if made["ExecutionStatus"] == "AVAILABLE"]


def ends(ended: list[Outcome | None]) -> list[str]:
    return [outcome.end if outcome else "not begun" for outcome in ended]


def running() -> Fleet:
    fleet = Fleet()
    assert ends(fleet.deploy(image="web:1")) == ["done"] * 3
    fleet.world.calls.clear()
    fleet.world.cfn.executions = 0
    return fleet


def test_all_are_planned_and_asked_for_once_before_the_first_is_changed() -> None:
    fleet = running()
    executed_when_asked: list[int] = []

    def answer() -> bool:
        executed_when_asked.append(fleet.world.executions())
        return True

    fleet.answer = answer
    assert ends(fleet.deploy(image="web:2")) == ["done"] * 3
    assert (fleet.asked, executed_when_asked) == ([STACKS], [0])
    assert fleet.begun == list(STACKS)


def test_a_new_stack_s_second_plan_is_asked_for_when_it_is_known() -> None:
    fleet = Fleet(stacks=STACKS[:2])
    assert ends(fleet.deploy(image="web:1")) == ["done", "done"]
    assert fleet.asked == [("web-eu", "web-us"), ("web-eu",), ("web-us",)]


def test_the_first_failure_stops_and_leaves_nothing_behind() -> None:
    fleet = running()
    fleet.world.cfn.failures["Service/Service"] = ("no such image", 1)
    ended = fleet.deploy(image="web:2")
    assert ends(ended) == ["rolled_back", "not begun", "not begun"]
    assert (fleet.world.executions(), fleet.left_over()) == (1, [])
    outcome = whole(("eu", "us", "ap"), ended)
    assert outcome.exit_code == 4
    assert outcome.what.startswith("eu: web-eu: ")
    assert outcome.what.endswith("; not begun: us, ap")
    assert outcome.next is not None
    assert outcome.next.verb == AGAIN


def test_the_same_command_goes_on_where_it_stopped() -> None:
    fleet = running()
    fleet.world.cfn.failures["Service/Service"] = ("no such image", 1)
    fleet.deploy(image="web:2")
    assert ends(fleet.deploy(image="web:2")) == ["done"] * 3
    fleet.world.calls.clear()
    assert ends(fleet.deploy(image="web:2")) == ["no_change"] * 3
    assert fleet.asked == []
    assert len(fleet.world.calls) <= 4 * 3  # who, what is there, its template, and whether it is protected


def test_what_is_done_is_not_asked_for_again() -> None:
    fleet = running()
    Fleet(fleet.world, ("web-eu",)).deploy(image="web:2")
    assert ends(fleet.deploy(image="web:2")) == ["no_change", "done", "done"]
    assert fleet.asked == [("web-us", "web-ap")]
    assert fleet.begun == ["web-us", "web-ap"]


def test_what_is_wrong_with_the_last_is_found_before_the_first_is_changed() -> None:
    fleet = running()
    stack = fleet.world.cfn.live("web-ap")
    assert stack is not None
    stack.status = "UPDATE_ROLLBACK_FAILED"
    ended = fleet.deploy(image="web:2")
    assert ends(ended) == ["not begun", "not begun", "failed"]
    assert (fleet.world.executions(), fleet.left_over()) == (0, [])


@pytest.mark.parametrize(
    ("error", "code"), [(None, 6), (RefusedError("nobody is there"), 6), (KeyboardInterrupt(), 130), (Stopped(15), 143)]
)
def test_without_consent_nothing_is_changed_and_nothing_is_left(error: BaseException | None, code: int) -> None:
    fleet = running()

    def answer() -> bool:
        if error:
            raise error
        return False

    fleet.answer = answer
    ended = fleet.deploy(image="web:2")
    assert ended[1:] == [None, None]
    assert ended[0] is not None
    assert ended[0].exit_code == code
    assert (fleet.world.executions(), fleet.left_over()) == (0, [])


def test_ctrl_c_while_one_is_changed_stops_watching_and_begins_no_other() -> None:
    fleet = running()

    def stop(seconds: float) -> None:
        if fleet.begun == ["web-eu", "web-us"]:
            fleet.world.at_sleep = None
            raise KeyboardInterrupt

    fleet.world.at_sleep = stop
    ended = fleet.deploy(image="web:2")
    assert ends(ended) == ["done", "still_running", "not begun"]
    outcome = whole(("eu", "us", "ap"), ended)
    assert outcome.code == 130
    assert "done: eu; not begun: ap" in outcome.what
    assert outcome.next is not None
    assert outcome.next.instead == Next("events", ("--env", "us", "--follow"), instead=Next("cancel", ("--env", "us")))


def test_a_time_to_watch_begins_when_a_stack_s_turn_has_come() -> None:
    fleet = running()
    fleet.world.cfn.resource_s = 40
    begun = fleet.world.seconds
    fleet.deploy(image="web:2")
    each = (fleet.world.seconds - begun) / 3
    assert ends(fleet.deploy(image="web:3", wait_s=each * 1.5)) == ["done"] * 3


@pytest.mark.parametrize(("begin", "later"), [(Fleet, True), (running, False)], ids=["new", "running"])
def test_the_same_command_after_a_crash_anywhere_ends_in_the_same_state(
    begin: Callable[[], Fleet], later: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def fleet() -> Fleet:
        fleet = begin()
        fleet.stacks = STACKS[:2]
        return fleet

    undisturbed = fleet()
    undisturbed.deploy(image="web:2")
    wanted, calls = undisturbed.world.executions(), len(undisturbed.world.calls)
    for number in range(1, calls + 1):
        for when in ("before", "during"):
            crashed = fleet()
            crashed.world.killed_at = (number, when)
            with pytest.raises(Killed):
                crashed.deploy(image="web:2")
            crashed.world.killed_at = None
            if later:
                crashed.world.cfn.finish()
            crashed.world.seconds += 1
            crashed.world.cfn.advance()
            context = f"killed {when} call {number}, {(crashed.world.sent() or ['the first'])[-1]}"
            assert not any(outcome is None or outcome.exit_code for outcome in crashed.deploy(image="web:2")), context
            assert crashed.statuses() == undisturbed.statuses(), context
            assert crashed.world.executions() == wanted, context
            assert crashed.left_over() == [], context
    with capsys.disabled():
        print(f"\ncrash matrix: two stacks by one command: {2 * calls} cases of {calls} calls")


def test_a_destruction_begins_with_the_last_and_stops_at_the_first_failure() -> None:
    done: list[str] = []

    def act(number: int) -> Outcome:
        done.append(STACKS[number])
        return Outcome("failed" if number == 1 else "destroyed", STACKS[number])

    ended = in_turn(STACKS, act, reverse=True)
    assert done == ["web-ap", "web-us"]
    assert ends(ended) == ["not begun", "failed", "destroyed"]
    assert whole(("eu", "us", "ap"), ended).what == "us: web-us; done: ap; not begun: eu"


def test_what_only_looks_goes_on_after_an_error() -> None:
    def act(number: int) -> Outcome:
        if number == 0:
            raise RefusedError("of another account")
        return Outcome("done", STACKS[number])

    ended = in_turn(STACKS, act, stops=False)
    assert ends(ended) == ["refused", "done", "done"]
    assert whole(("eu", "us", "ap"), ended).exit_code == 6


def test_the_summary_has_a_row_for_each_environment() -> None:
    ended = [Outcome("done", "web-eu: updated"), Outcome("rolled_back", "web-us: update failed"), None]
    assert summary(("eu", "prod-us", "ap"), ended).lines == (
        "eu       done           web-eu: updated",
        "prod-us  rolled back    web-us: update failed",
        "ap       not begun",
    )


@pytest.mark.parametrize(
    ("ends_in", "what", "code"),
    [
        (("no_change", "no_change"), "nothing to do", 0),
        (("no_change", "planned"), "changes present; nothing was changed", 0),
        (("changes", "no_change"), "changes present; nothing was changed", 3),
        (("no_change", "done"), "all done", 0),
    ],
)
def test_all_that_ended_well_are_told_as_the_one_that_did_most(ends_in: Any, what: str, code: int) -> None:
    outcome = whole(("eu", "us"), [Outcome(end, end, next=Next("deploy")) for end in ends_in])
    assert (outcome.what, outcome.exit_code) == (f"eu, us: {what}", code)
    assert outcome.next == Next("deploy", ("--env", "eu,us"))
