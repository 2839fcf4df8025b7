"""The steps of a deployment: a change set, consent, execution, watching, and the end, whichever it is.

Every step may be taken again after any interruption. Until the execution is sent, every way out cleans up.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from scaleout_cfn.aws.client import Aws, Identity
from scaleout_cfn.deploy import protect
from scaleout_cfn.deploy.changes import changeset, guard, quota
from scaleout_cfn.deploy.changes.apply import Operation, execute
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.desired import Desired
from scaleout_cfn.deploy.live import Live, find, resources_of
from scaleout_cfn.deploy.messages import Blocked, Fact, Note, Outcome, Tell, Uploaded
from scaleout_cfn.deploy.outcome import interrupted, outcome_of
from scaleout_cfn.deploy.publish import upload
from scaleout_cfn.deploy.services.rollout import services_in, verify
from scaleout_cfn.deploy.watch.events import NESTED, History
from scaleout_cfn.deploy.watch.follow import StoppedWaiting, follow, read_events
from scaleout_cfn.errors import ApiError, DeployError, RefusedError, ScaleoutError

__all__ = ["Confirm", "Run", "clean_up", "confirm_and_execute", "propose", "watch_deployment"]

#: SIGTERM leaves two seconds in all for cleaning up.
CLEAN_UP_S = 1.5

Confirm = Callable[[Plan], bool]


@dataclass
class Run:
    """What the steps of one command share. `marked`: the set may mark resources of other types as holding data."""

    aws: Aws
    identity: Identity
    tell: Tell
    wait_s: float | None
    patience_s: float | None
    allowed: tuple[str, ...] = ()
    nested: bool = True
    marked: bool = True
    uploaded: bool = False
    lifted: bool = False
    looked_at: bool = False
    draft: changeset.Draft = field(default_factory=changeset.Draft)

    def __post_init__(self) -> None:
        self.end = None if self.wait_s is None else self.aws.pace.clock() + self.wait_s


def propose(run: Run, desired: Desired, live: Live | None) -> changeset.ChangeSet | None:
    if not run.uploaded:
        new = upload(run.aws, desired.published, run.identity.account_id)
        run.tell(Uploaded(new, len(desired.published.files), desired.published.root.url))
        run.uploaded = True
    nested = run.nested and _has_room(run, live)
    try:
        return changeset.propose(run.aws, desired, live, run.draft, run.tell, nested=nested)
    except ApiError as error:
        # Between reading and writing somebody made or deleted the stack: look again, once.
        again = find(run.aws, desired.stack_name)
        if error.kind not in ("missing", "refused") or (again and again.status) == (live and live.status):
            raise
        return changeset.propose(run.aws, desired, again, run.draft, run.tell, nested=nested)


def _has_room(run: Run, live: Live | None) -> bool:
    """Whether each nested stack takes one more change set. Where that cannot be read, CloudFormation will say so."""
    if live is None or live.meaning.start == "create":
        return True
    try:
        count, path = quota.fullest(run.aws, live.stack_id)
    except DeployError as error:
        run.tell(Note(f"not known how many change sets the nested stacks have: {error}", "warning"))
        return True
    if count < quota.MANY:
        return True
    words = (
        f"{path} has {count} change sets of the {quota.MOST} that it takes; a change of that stack itself clears them"
    )
    if count <= quota.FULL:
        run.tell(Note(words, "warning"))
        return True
    run.tell(Note(f"{words}. Until then changes inside nested stacks are not shown", "warning"))
    return False


def confirm_and_execute(run: Run, found: Plan, confirm: Confirm, *, made_stack: bool = False) -> Outcome:
    """Guard, consent, execution, watching. Until the execution is sent, every way out cleans up."""
    approved = not made_stack and not run.draft.name  # by `apply`: the change set is somebody's, and stays
    try:
        try:
            held = guard.blocked(found.changes, run.allowed)
            if held:
                run.tell(Blocked(held))
                raise RefusedError(
                    "; ".join(f"{path} {reason}" for path, reason in held.items()),
                    state="nothing was changed",
                    next_command="the same command again, with" + "".join(f" --allow-replace {path}" for path in held),
                )
            if not confirm(found):
                raise RefusedError(
                    "not confirmed", state="nothing was changed", next_command="the same command again, with --yes"
                )
        except ScaleoutError:
            if not approved:
                changeset.discard(run.aws, found.change_set, found.stack_id, placeholder=made_stack)
            raise
        operation = _lift_and_execute(run, found)
    except KeyboardInterrupt as stop:
        return clean_up(run, stop, found, made_stack=made_stack, keep=approved)
    return watch_deployment(run, operation, found.stack)


def _lift_and_execute(run: Run, found: Plan) -> Operation:
    """Execute a plan, with the stack policies lifted for what the guard let through."""
    if found.creates:  # a placeholder has nothing to protect, and takes no policy
        return execute(run.aws, found)
    run.lifted = protect.lift(run.aws, found.stack_id, found.changes, run.tell)
    try:
        return execute(run.aws, found)
    except ScaleoutError as error:
        protect.restore(run.aws, found.stack_id, run.tell)
        if isinstance(error, DeployError):
            error.state = error.state or "the change set is there, and was not executed by this run"
        raise


def watch_deployment(run: Run, operation: Operation, stack: str) -> Outcome:
    """Watch to the end and conclude."""
    history = History(operation.stack_id, operation.token, operation.planned)
    try:
        live = follow(run.aws, operation, history, run.tell, end=run.end, patience_s=run.patience_s)
        reason = ""
        if live is not None and live.meaning.end == "done":
            try:
                resources = list(resources_of(run.aws, live.stack_id))
            except DeployError as error:
                run.tell(Note(f"not verified that ECS runs the new version: {error}", "warning"))
            else:
                protect.protect(run.aws, live.stack_id, resources, run.tell, marked=run.marked)
                if left := left_behind(run.aws, history):
                    run.tell(left)
                reason = verify(run.aws, services_in(resources), run.tell, end=run.end)
        elif live is not None and live.meaning.end != "gone" and live.meaning.start != "recreate":
            protect.restore(run.aws, live.stack_id, run.tell)
        return outcome_of(live, stack, history.events, reason, operation.change_set)
    except StoppedWaiting as error:
        return Outcome(
            "still_running",
            9,
            f"{stack}: {error}",
            stack_id=operation.stack_id,
            next_command="the same command again: it goes on watching",
        )
    except KeyboardInterrupt as stop:
        return interrupted(getattr(stop, "number", 2), stack, running=True, stack_id=operation.stack_id)


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
        {"path": one.path, "type": one.type, "physical_id": one.physical_id, "status": one.status, "reason": one.reason}
        for one in left.values()
    ]
    return Fact("left_behind", tuple(lines), {"resources": data}, "warning")


def clean_up(
    run: Run, stop: KeyboardInterrupt, found: Plan | None = None, *, made_stack: bool | None = None, keep: bool = False
) -> Outcome:
    """After an interrupt before the execution, or while it was being sent: nothing of ours is left, or it runs."""
    number, draft = getattr(stop, "number", 2), run.draft
    stack = found.stack if found else draft.stack_name
    placeholder = draft.made_stack if made_stack is None else made_stack
    end = "discarded"
    try:
        if found and keep:
            status = run.aws.once("cloudformation", "describe_change_set", ChangeSetName=found.change_set)
            end = "running" if status["ExecutionStatus"].startswith("EXECUTE_") else "kept"
        elif found or draft.name:
            end = changeset.discard(
                run.aws,
                found.change_set if found else draft.name,
                found.stack_id if found else draft.stack_name,
                placeholder=placeholder,
                patience_s=CLEAN_UP_S,
            )
    except ScaleoutError as error:
        run.tell(Note(f"the change set could not be deleted: {error}", "warning"))
        end = "left"
    if found and end != "running" and number == signal.SIGINT and not found.creates:
        protect.restore(run.aws, found.stack_id, run.tell)  # after SIGTERM there is no time: the next run does it
    outcome = interrupted(number, stack, running=end == "running", left=end == "left")
    if end == "kept":
        outcome = replace(outcome, what=f"{stack}: interrupted; nothing was changed, the change set is kept")
    if run.lifted and end != "running" and number != signal.SIGINT:
        outcome = replace(outcome, what=f"{outcome.what}; stack policies are lifted until the next deploy sets them")
    return outcome
