"""Several stacks by one command, one after the other: all are planned before the first one is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.deployment import Confirm
from scaleout_cfn.deploy.messages import Exit, Fact, Outcome
from scaleout_cfn.deploy.outcome import interrupted, outcome_of_error
from scaleout_cfn.errors import AGAIN, Next, ScaleoutError

#: The verbs that go through several environments.
TOGETHER = ("deploy", "destroy", "diff", "image push", "status")
#: What is said of all that ended well, by how the one ended that did most.
WORDS: Mapping[Exit, str] = MappingProxyType(
    {
        "no_change": "nothing to do",
        "planned": "changes present; nothing was changed",
        "changes": "changes present; nothing was changed",
    }
)


def in_order(
    stacks: Sequence[str],
    bring: Callable[[int, Confirm], Outcome],
    agree: Callable[[Sequence[Plan]], bool],
    begin: Callable[[int], None],
) -> list[Outcome | None]:
    """Bring each stack by its number, in order, and stop at the first that does not end well: the outcome of each, None
    of those that were not begun.

    `bring` is a deployment that asks for consent once it has a plan. Whoever is asked first brings those before it, so
    the last is planned first, and its change set waits. With all plans there `agree` is asked once, and later of each
    plan that could not be known before; `begin` is called when a stack's turn has come.
    """
    ended: list[Outcome | None] = [None] * len(stacks)
    plans: list[Plan] = []
    agreed = False

    def up_to(number: int) -> bool:
        """Bring that stack and those before it; whether all ended well."""
        if number < 0:
            return True
        planned = before = False

        def confirm(plan: Plan) -> bool:
            nonlocal agreed, planned, before
            if planned:
                return agree([plan])
            planned = True
            plans.insert(0, plan)
            before = up_to(number - 1)
            if before and not agreed:
                agreed = agree(plans)
            if before and agreed:
                begin(number)
            return before and agreed

        try:
            outcome = bring(number, confirm)
        except KeyboardInterrupt as stop:
            outcome = interrupted(stop, stacks[number], running=False)
        except ScaleoutError as error:
            outcome = outcome_of_error(error)
        if planned and not before:
            return False  # what it says is that nobody agreed
        ended[number] = outcome
        return not outcome.exit_code and (planned or up_to(number - 1))

    up_to(len(stacks) - 1)
    return ended


def in_turn(
    stacks: Sequence[str], act: Callable[[int], Outcome], *, reverse: bool = False, stops: bool = True
) -> list[Outcome | None]:
    """The outcome of each stack, None of those that were not begun because one before did not end well."""
    ended: list[Outcome | None] = [None] * len(stacks)
    for number in reversed(range(len(stacks))) if reverse else range(len(stacks)):
        try:
            outcome = act(number)
        except KeyboardInterrupt as stop:
            ended[number] = interrupted(stop, stacks[number], running=False)
            break
        except ScaleoutError as error:
            outcome = outcome_of_error(error)
        ended[number] = outcome
        if outcome.code is not None or (stops and outcome.exit_code not in (0, 3)):
            break
    return ended


def summary(names: Sequence[str], ended: Sequence[Outcome | None]) -> Fact:
    """A row for each environment: how it ended."""
    width = max(map(len, names))
    rows, data = [], []
    for name, outcome in zip(names, ended, strict=True):
        end = outcome.end if outcome else "not_begun"
        rows.append(f"{name:<{width}}  {end.replace('_', ' '):<13}  {outcome.what if outcome else ''}".rstrip())
        data.append(
            {
                "environment": name,
                "outcome": end,
                "what": outcome.what if outcome else "",
                "stack_id": outcome.stack_id if outcome else "",
                "outputs": dict(outcome.outputs) if outcome else {},
            }
        )
    return Fact("environments", tuple(rows), {"environments": data})


def whole(names: Sequence[str], ended: Sequence[Outcome | None]) -> Outcome:
    """How the command ended: as the first that did not end well, else as one of those that did."""
    each = list(zip(names, ended, strict=True))
    begun = [(name, outcome) for name, outcome in each if outcome]
    done = [name for name, outcome in begun if outcome.exit_code in (0, 3)]
    bad = [(name, outcome) for name, outcome in begun if outcome.exit_code not in (0, 3)]
    waiting = [name for name, outcome in each if outcome is None]
    outputs = {f"{name}.{key}": value for name, outcome in begun for key, value in outcome.outputs.items()}
    if not bad:
        name, last = max(begun, key=lambda entry: (entry[1].exit_code, entry[1].end != "no_change"))
        what = f"{', '.join(names)}: {WORDS.get(last.end, 'all done')}"
        all_names = ",".join(names) if last.next and last.next.verb in TOGETHER else name
        return replace(last, what=what, status="", stack_id="", outputs=outputs, next=_of(all_names, last.next))
    name, worst = bad[0]
    parts = [f"{name}: {worst.what}"]
    parts += [f"done: {', '.join(done)}"] if done else []
    parts += [f"not begun: {', '.join(waiting)}"] if waiting else []
    own = _of(name, worst.next)
    resume = Next(AGAIN, words="what is done has nothing to do")
    if own is None or own.verb != AGAIN:
        own = resume._replace(instead=own)
    return replace(worst, what="; ".join(parts), outputs=outputs, next=own)


def _of(name: str, step: Next | None) -> Next | None:
    """A next command of one of several environments."""
    if step is None or not step.verb or step.verb == AGAIN:
        return step
    return step._replace(options=("--env", name, *step.options), instead=_of(name, step.instead))
