"""The loop that watches an operation. What it returns comes from DescribeStacks by ARN alone: events that cannot be
read, throttled calls and dropped connections make it slower and never decide anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from scaleout_cfn.aws import NESTED, SERVICE
from scaleout_cfn.aws.client import USUAL, Aws, Patience
from scaleout_cfn.config.units import service_in, title_of
from scaleout_cfn.deploy.desired import token
from scaleout_cfn.deploy.live import Live, find
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Rollout, Tell, Watched
from scaleout_cfn.deploy.outcome import interrupted
from scaleout_cfn.deploy.services.rollout import described, last_stop, newest_of
from scaleout_cfn.deploy.services.traffic import answers, tell_pause
from scaleout_cfn.deploy.watch.events import Event, History, Operation
from scaleout_cfn.errors import AGAIN, AccessError, ApiError, BusyError, DeployError, Next, ScaleoutError

#: From here on a service that is at work is looked at.
SLOW_S = 20.0
RENEW_S = 15.0
TRIES = 5


class StoppedWaiting(DeployError):
    """Watching ended before the operation did."""

    exit_code = 9


def follow(
    aws: Aws,
    operation: Operation,
    history: History,
    tell: Tell,
    patience: Patience = USUAL,
    *,
    end: float | None = None,
    seen: dict[str, Rollout] | None = None,
) -> Live | None:
    """Watch until the operation has ended. Returns the stack as it is then; None when it is gone.

    The end of patience raises StoppedWaiting, at the latest when the pace's clock shows `end`; with expired credentials
    AccessError. The operation goes on in any case. `seen` gets the deployments of services at work as last seen.
    """
    seen = {} if seen is None else seen
    begin = aws.pace.clock()
    end = patience.end(aws.pace) if end is None else end
    access = _Access(aws, patience.access_s, tell)
    told_lost = False
    said: set[str] = set()
    begun = not operation.before
    for _ in aws.pace.turns(end):
        live, answered = None, False
        try:
            live, answered = find(aws, operation.stack_id, once=True), True
            access.good()
        except AccessError as error:
            access.lost(error)
        except ApiError as error:
            aws.pace.slower()
            if not told_lost:
                tell(Note(f"no answer ({error.code}); the operation goes on in AWS, trying again", "warning"))
            told_lost = True
        if answered:
            told_lost = False
            if live is None:
                return None
            begun = begun or f"{live.status} {live.version}" != operation.before or _execution_has_ended(aws, operation)
            begun = begun or _was_seen_to_end(history, live)
            settled = begun and live.meaning.end != "running" and live.status != "REVIEW_IN_PROGRESS"
            fresh = read_events(aws, history)
            elapsed = aws.pace.clock() - begin
            tell(Watched(live.status, tuple(fresh), history.progress, elapsed))
            if settled:
                return live
            if elapsed >= SLOW_S:
                _look_at_services(aws, live, history, tell, seen, said)
    raise StoppedWaiting("stopped waiting; the operation goes on")


def read_events(aws: Aws, history: History, *, on_error: Callable[[Exception], None] | None = None) -> list[Event]:
    """One round over all stacks that are at work: what is new, in the order of time. Never raises for AWS's sake."""
    fresh: list[Event] = []
    read: set[str] = set()
    # A child that this round finds is read in the same round, and so are its own.
    while waiting := [stack_id for stack_id in history.active if stack_id not in read]:
        for stack_id in waiting:
            read.add(stack_id)
            try:
                fresh += history.take(stack_id, _pages(aws, stack_id))
            except (ApiError, AccessError) as error:
                if on_error:
                    on_error(error)
    history.rest()
    return sorted(fresh, key=lambda event: event.time)


def left_behind(aws: Aws, history: History) -> Fact | None:
    """What an update that went well took out of the stack and did not delete: it was kept, or could not be deleted.

    A nested stack deletes what it replaced only once its root is content, and so after its own events were read.
    """
    history.wake()
    read_events(aws, history)
    left = {
        (event.path, event.physical_id): event
        for event in history.events
        if event.status in ("DELETE_FAILED", "DELETE_SKIPPED") and not event.of_stack and event.type != NESTED
    }
    if not left:
        return None
    lines = ["left behind, and no longer part of the stack; it costs what it did before:"]
    for event in left.values():
        why = "kept by its policy" if event.status == "DELETE_SKIPPED" else f"not deleted: {event.reason}"
        lines.append(f"  {event.path}  {event.type}  {event.physical_id}  {why}")
    data = [
        {
            "path": event.path,
            "type": event.type,
            "physical_id": event.physical_id,
            "status": event.status,
            "reason": event.reason,
        }
        for event in left.values()
    ]
    return Fact("left_behind", tuple(lines), {"resources": data}, "warning")


def _pages(aws: Aws, stack_id: str) -> Iterator[dict[str, Any]]:
    arguments = {"StackName": stack_id}
    while True:
        page = aws.once("cloudformation", "describe_stack_events", **arguments)
        yield page
        if not page.get("NextToken"):
            return
        arguments["NextToken"] = page["NextToken"]


def _execution_has_ended(aws: Aws, operation: Operation) -> bool:
    """Whether the change set's execution has ended, where the stack itself still looks as before."""
    if not operation.change_set:
        return False
    try:
        answer = aws.once("cloudformation", "describe_change_set", ChangeSetName=operation.change_set)
    except (ApiError, AccessError):
        return False
    return str(answer["ExecutionStatus"]) in ("EXECUTE_COMPLETE", "EXECUTE_FAILED")


def _was_seen_to_end(history: History, live: Live) -> bool:
    """Whether the operation was seen to end in the very status that the stack has: it may be the one from before."""
    last = history.last("")
    return history.begun is not None and last is not None and not last.running and last.status == live.status


def _look_at_services(
    aws: Aws, live: Live, history: History, tell: Tell, seen: dict[str, Rollout], said: set[str]
) -> None:
    """Tell how services at work are, what one waits for, and why tasks stopped whenever more of them failed, each once.

    `seen` is what was told of each by its path, and nothing of those that are no longer at work.
    """
    before = dict(seen)
    seen.clear()
    for path in history.progress.current:
        event = history.last(path)
        if not event or event.type != SERVICE or not event.physical_id.startswith("arn:"):
            continue
        name, words = service_in(path), ""
        try:
            service = described(aws.once, [event.physical_id]).get(event.physical_id)
            if service is None:
                continue
            newest = newest_of(aws, name, service)
            if newest.failed > (before[path].failed if path in before else 0):
                why = last_stop(aws, event.physical_id)
                words = f"{path}: {why}" if why else ""
        except (ApiError, AccessError):
            if path in before:
                seen[path] = before[path]
            continue
        seen[path] = newest
        tell(newest)
        if words and words not in said:
            said.add(words)
            tell(Note(words, "warning"))
        if newest.paused and said.isdisjoint(hook.id for hook in newest.paused):
            said.update(hook.id for hook in newest.paused)
            tell_pause(aws, service, newest, tell, live.outputs.get(f"{title_of(name)}Url", ""))


def newest_event(aws: Aws, stack_id: str) -> str:
    """The id of the newest event of a stack: it is another one after everything that happens to it."""
    page = aws.read("cloudformation", "describe_stack_events", StackName=stack_id)
    return str(next((event["EventId"] for event in page.get("StackEvents", [])), ""))


def begin(aws: Aws, live: Live, verb: str, call: str, **arguments: object) -> Operation:
    """Send a call that begins an operation on a stack, once. The token is that of the state it was sent in.

    An unclear answer is settled by reading: the call is sent again, with the same token, only while the stack is as it
    was. Raises BusyError when that gives no clear answer either.
    """
    before = newest_event(aws, live.stack_id)
    mark = token(verb, "", f"{live.stack_id} {before}")
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
        next=Next(AGAIN),
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
    outcome = interrupted(stop, stack, running=running, stack_id=live.stack_id)
    outcome = replace(outcome, status=now.status if now else "DELETE_COMPLETE")
    if running or not done:
        return outcome
    return replace(outcome, what=f"{stack}: interrupted; the stack is still there", reason=done)


def watch(
    aws: Aws,
    operation: Operation,
    stack: str,
    tell: Tell,
    conclude: Callable[[Live | None, History], Outcome],
    patience: Patience,
    *,
    end: float | None = None,
) -> Outcome:
    """Watch until the operation has ended, and conclude. An interrupt, or the end of patience, only stops watching."""
    history = History(operation.stack_id, operation.token, operation.planned)
    seen: dict[str, Rollout] = {}
    try:
        return conclude(follow(aws, operation, history, tell, patience, end=end, seen=seen), history)
    except StoppedWaiting as error:
        again = Next(AGAIN, words="it goes on watching")
        outcome = Outcome("still_running", f"{stack}: {error}", stack_id=operation.stack_id, next=again)
        return _at_pause(outcome, seen)
    except KeyboardInterrupt as stop:
        updating = any(
            event.of_stack and not event.path and event.status == "UPDATE_IN_PROGRESS" for event in history.events
        )
        return _at_pause(interrupted(stop, stack, running=True, stack_id=operation.stack_id, updating=updating), seen)
    except AccessError as error:
        what = f"{stack}: {error}"
        return Outcome("no_access", what, stack_id=operation.stack_id, reason=error.state, next=error.next)


def _at_pause(outcome: Outcome, seen: dict[str, Rollout]) -> Outcome:
    """The end of watching, which where a deployment waits for an answer says that it does, and how it is given."""
    waiting = next((newest for newest in seen.values() if newest.paused), None)
    if waiting is None:
        return outcome
    until = waiting.paused[0].until
    what = f"{outcome.what}; {waiting.name} waits for an answer" + (
        f" until {until:%Y-%m-%d %H:%M:%SZ}" if until else ""
    )
    return replace(outcome, what=what, next=answers(waiting.name))


class _Access:
    """Credentials that expire while one watches: they are read anew, for as long as there is patience."""

    def __init__(self, aws: Aws, access_s: float | None, tell: Tell) -> None:
        self._aws, self._access_s, self._tell = aws, access_s, tell
        self._since: float | None = None
        self._renewed = 0.0

    def good(self) -> None:
        if self._since is not None:
            self._tell(Note("the credentials work again"))
        self._since = None

    def lost(self, error: AccessError) -> None:
        now = self._aws.pace.clock()
        if self._since is None:
            self._since = self._renewed = now
            self._tell(Note(f"{error}. The operation goes on in AWS; trying again.", "warning"))
        if self._access_s is not None and now - self._since >= self._access_s:
            raise AccessError(
                str(error),
                kind=error.kind,
                state="the operation goes on in AWS",
                next=Next(words="renew the credentials, then the same command again: it goes on watching"),
            ) from None
        if now - self._renewed >= RENEW_S:
            self._aws.renew()
            self._renewed = now
