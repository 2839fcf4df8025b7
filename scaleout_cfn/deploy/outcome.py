"""What a status says about an operation: in words, as an exit code, and with the next command. Pure."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from scaleout_cfn.deploy.live import Live
from scaleout_cfn.deploy.messages import EXITS, Exit, Outcome
from scaleout_cfn.deploy.watch.events import Event, first_cause, refusing_hooks
from scaleout_cfn.errors import AGAIN, Next, ScaleoutError, Stopped


def outcome_of(live: Live | None, stack: str, events: Sequence[Event], ecs: str = "", change_set: str = "") -> Outcome:
    """The outcome of a deployment, of the stack's status and what ECS says (`ecs`: why it does not run it)."""
    if live is None or live.meaning.end == "gone":
        return Outcome("gone", f"{stack}: the stack is gone", status="DELETE_COMPLETE", next=Next("deploy"))
    what = live.meaning.words or live.status
    base = Outcome("done", f"{stack}: {what}", live.status, live.stack_id, outputs=live.outputs, change_set=change_set)
    if live.meaning.end == "done":
        if not ecs:
            return base
        return replace(
            base,
            end="rolled_back",
            what=f"{stack}: CloudFormation is content, but ECS does not run the new version",
            reason=ecs,
            next=Next("diagnose"),
        )
    cause = first_cause(events)
    hooks = [f"; {event.type}: {event.reason}" for event in refusing_hooks(events, cause)] if cause else []
    back = live.meaning.end == "rolled_back"
    return replace(
        base,
        end="rolled_back" if back else "failed",
        cause=cause,
        reason=cause.reason + "".join(hooks) if cause else live.reason,
        next=live.meaning.next,
    )


def nothing_to_do(live: Live, *, drift: bool = False) -> Outcome:
    """The stack is what is desired already; with `drift` also what is there, as far as CloudFormation compares it."""
    what = "nothing to do" + ("; CloudFormation finds nothing to set back" if drift else "")
    following = Next("drift", words="to have each stack looked into") if drift else None
    return Outcome(
        "no_change", f"{live.name}: {what}", live.status, live.stack_id, outputs=live.outputs, next=following
    )


def outcome_of_error(error: ScaleoutError) -> Outcome:
    """An error as the end of a command."""
    end = next(end for end, code in EXITS.items() if code == error.exit_code)
    return Outcome(end, str(error), reason=getattr(error, "state", ""), next=error.next)


def code_of(stop: KeyboardInterrupt) -> int:
    """The exit code after a signal: Ctrl-C's where nobody says which it was."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def interrupted(
    stop: KeyboardInterrupt,
    stack: str,
    *,
    running: bool,
    left: bool = False,
    stack_id: str = "",
    updating: bool = False,
) -> Outcome:
    """The end by a signal. Before the execution all is cleaned up; after it, it goes on without us. `updating`: what
    runs is known to be an update, the only thing that can be cancelled.
    """
    if running:
        what = f"{stack}: stopped watching; what was begun goes on"
        following = Next("events", ("--follow",), instead=Next("cancel") if updating else None)
    elif left:
        what = f"{stack}: interrupted while CloudFormation made the change set; it is left, and nothing else changed"
        following = Next(AGAIN, words="it goes on with this change set")
    else:
        what, following = f"{stack}: interrupted; nothing was changed and nothing is left", Next(AGAIN)
    end: Exit = "still_running" if running else "interrupted"
    return Outcome(end, what, stack_id=stack_id, next=following, code=code_of(stop))


def hidden(text: str, secrets: Collection[str]) -> str:
    """Text without the secrets that may have come into it, as in a reason that quotes a parameter."""
    for secret in secrets:
        text = text.replace(secret, "****")
    return text


def redacted(value: Any, secrets: Collection[str]) -> Any:
    """A message, or whatever a message is made of, without the secrets."""
    if isinstance(value, str):
        return hidden(value, secrets)
    if isinstance(value, Mapping):
        return {key: redacted(part, secrets) for key, part in value.items()}
    if isinstance(value, Next):
        return Next(*(redacted(part, secrets) for part in value))
    if isinstance(value, tuple):
        return tuple(redacted(part, secrets) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: redacted(getattr(value, field.name), secrets) for field in fields(value)}
        return replace(value, **changes)
    return value
