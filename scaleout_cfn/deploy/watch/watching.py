"""Watch an operation that is not a deployment to its end: the part that recover and destroy share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.apply import Operation
from scaleout_cfn.deploy.desired import token
from scaleout_cfn.deploy.live import Live, find
from scaleout_cfn.deploy.messages import Outcome, Tell
from scaleout_cfn.deploy.outcome import interrupted
from scaleout_cfn.deploy.watch.events import Event, History
from scaleout_cfn.deploy.watch.follow import StoppedWaiting, follow
from scaleout_cfn.errors import AccessError, ApiError, BusyError, ScaleoutError

__all__ = ["Patience", "begin", "newest_event", "unsure", "watch"]

TRIES = 5


@dataclass(frozen=True)
class Patience:
    """How long to watch, and to put up with expired credentials, in seconds. None is no bound."""

    wait_s: float | None = None
    access_s: float | None = 120.0


def newest_event(aws: Aws, stack_id: str) -> str:
    """The id of the newest event of a stack: it is another one after everything that happens to it."""
    page = aws.read("cloudformation", "describe_stack_events", StackName=stack_id)
    return str(next((one["EventId"] for one in page.get("StackEvents", [])), ""))


def begin(aws: Aws, live: Live, verb: str, call: str, **arguments: object) -> Operation:
    """Send a call that begins an operation on a stack, once. The token is that of the state it was sent in.

    An unclear answer is settled by reading: the call is sent again, with the same token, only while the stack is as it
    was. Raises BusyError when that gives no clear answer either.
    """
    before = newest_event(aws, live.stack_id)
    mark = token(verb, "0" * 16, f"{live.stack_id} {before}")
    operation = Operation(live.stack_id, mark, f"{live.status} {live.version}")
    for _ in range(TRIES):
        try:
            aws.write("cloudformation", call, StackName=live.stack_id, ClientRequestToken=mark, **arguments)
            return operation
        except ApiError as error:
            if error.code == "TokenAlreadyExistsException":
                return operation
            if error.kind != "unclear":
                raise
        now = find(aws, live.stack_id)
        if now is None or now.status != live.status or newest_event(aws, live.stack_id) != before:
            return operation
        aws.pace.wait()
    raise BusyError(
        f"{call} on stack {live.name}: AWS gives no clear answer",
        state=f"the stack is {live.status}, as before",
        next_command="the same command again",
    )


def unsure(aws: Aws, live: Live, stack: str, stop: KeyboardInterrupt, done: str = "") -> Outcome:
    """The end by an interrupt before an operation, or while it was being sent: what is true is what AWS says.

    `done` is what this run may have done already.
    """
    try:
        now = find(aws, live.stack_id, once=True)
    except ScaleoutError:
        now = live
    running = now is None or now.status != live.status
    outcome = interrupted(getattr(stop, "number", 2), stack, running=running, stack_id=live.stack_id)
    outcome = replace(outcome, status=now.status if now else "DELETE_COMPLETE")
    if running:
        return replace(outcome, what=f"{stack}: stopped watching; what was begun goes on in AWS")
    if not done:
        return outcome
    return replace(outcome, what=f"{stack}: interrupted; the stack is still there", reason=done)


def watch(
    aws: Aws,
    operation: Operation,
    stack: str,
    tell: Tell,
    conclude: Callable[[Live | None, Sequence[Event]], Outcome],
    patience: Patience,
) -> Outcome:
    """Watch until the operation has ended, and conclude. An interrupt, or the end of patience, only stops watching."""
    history = History(operation.stack_id, operation.token)
    end = None if patience.wait_s is None else aws.pace.clock() + patience.wait_s
    try:
        live = follow(aws, operation, history, tell, end=end, patience_s=patience.access_s)
    except StoppedWaiting as error:
        again = "the same command again: it goes on watching"
        return Outcome("still_running", 9, f"{stack}: {error}", stack_id=operation.stack_id, next_command=again)
    except KeyboardInterrupt as stop:
        outcome = interrupted(getattr(stop, "number", 2), stack, running=True, stack_id=operation.stack_id)
        return replace(outcome, what=f"{stack}: stopped watching; what was begun goes on in AWS")
    except AccessError as error:
        return Outcome(
            "no_access",
            8,
            f"{stack}: {error}",
            stack_id=operation.stack_id,
            reason=error.state,
            next_command=error.next_command,
        )
    return conclude(live, history.events)
