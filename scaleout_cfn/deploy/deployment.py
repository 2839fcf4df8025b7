"""A deployment from beginning to end: what is there, what shall be, a plan, consent, execution, and the outcome.

Every function here may be called again after any interruption: it attaches to what runs, finishes what was begun, or
does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from scaleout_cfn.deploy import changeset, guard, protect
from scaleout_cfn.deploy.apply import Operation, execute
from scaleout_cfn.deploy.aws import Aws, Identity
from scaleout_cfn.deploy.desired import IMAGE, Desired, fingerprint_in, parameters_for, token
from scaleout_cfn.deploy.ecs import services_in, verify
from scaleout_cfn.deploy.events import Event, History
from scaleout_cfn.deploy.follow import StoppedWaiting, follow, read_events
from scaleout_cfn.deploy.live import NESTED, Live, find, inventory, template_text
from scaleout_cfn.deploy.messages import Blocked, Note, Outcome, Planned, Tell, Uploaded
from scaleout_cfn.deploy.outcome import concluded, interrupted, nothing_to_do
from scaleout_cfn.deploy.plan import Plan, read_plan
from scaleout_cfn.deploy.publish import Published, upload
from scaleout_cfn.errors import ApiError, BusyError, DeployError, NeedsHandError, RefusedError, ScaleoutError

__all__ = ["Wish", "apply", "deploy", "desired_of", "plan"]

#: SIGTERM leaves two seconds in all for cleaning up.
CLEAN_UP_S = 1.5


@dataclass(frozen=True)
class Wish:
    """What the user asks for.

    `allowed` are the logical paths that may be replaced or deleted though they hold data; `recreate` agrees to delete
    a stack whose creation failed. `wait_s` bounds the watching, `patience_s` how long expired credentials are put up
    with; None is no bound.
    """

    stack_name: str
    published: Published
    image: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    recreate: bool = False
    wait_s: float | None = None
    patience_s: float | None = 120.0


Confirm = Callable[[Plan], bool]


@dataclass
class _Run:
    """What the steps of one command share."""

    aws: Aws
    identity: Identity
    tell: Tell
    wait_s: float | None
    patience_s: float | None
    allowed: tuple[str, ...] = ()
    uploaded: bool = False
    attempt: changeset.Attempt = field(default_factory=changeset.Attempt)

    def __post_init__(self) -> None:
        self.end = None if self.wait_s is None else self.aws.pace.clock() + self.wait_s


def deploy(aws: Aws, identity: Identity, wish: Wish, tell: Tell, confirm: Confirm) -> Outcome:
    """Bring a stack to what is wished. On a new stack with an image in two phases, so that an image that does not
    start takes back the service and not the network, the cluster and the registry.

    Raises DeployError where nothing was begun; whatever had begun ends in an Outcome.
    """
    run = _Run(aws, identity, tell, wish.wait_s, wish.patience_s, wish.allowed)
    live = find(aws, wish.stack_name)
    phases = _phases(wish, live, identity, aws)
    live, ended = _attached(run, wish, live, phases)
    if ended is not None:
        return ended
    outcome: Outcome | None = None
    for number, desired in enumerate(_phases(wish, live, identity, aws)):
        if number or outcome:
            live = find(aws, wish.stack_name)
        if len(phases) > 1:
            tell(Note(f"phase {number + 1} of {len(phases)}: {('infrastructure', 'the service')[number]}"))
        outcome = _phase(run, desired, live, confirm)
        if outcome.exit_code:
            return outcome
    assert outcome is not None
    return outcome


def plan(aws: Aws, identity: Identity, wish: Wish, tell: Tell, *, keep: bool) -> Outcome:
    """Make a change set and show it; `keep` leaves it there for `apply`. Exit code 0, whatever it shows.

    The outcome is "planned" where there are changes, "no_change" where there are none.
    """
    run = _Run(aws, identity, tell, wish.wait_s, wish.patience_s, wish.allowed)
    live = find(aws, wish.stack_name)
    desired = _phases(wish, live, identity, aws)[0]
    _startable(run, wish, live)
    if live is not None and _same(aws, desired, live):
        return nothing_to_do(live)
    try:
        made = _proposed(run, desired, live)
        if made is None:
            assert live is not None
            return nothing_to_do(live)
        found = read_plan(aws, made.arn)
        tell(Planned(found, wish.allowed))
        held = guard.blocked(found.changes, wish.allowed)
        if held:
            tell(Blocked(held))
        if keep:
            what = f"{wish.stack_name}: planned; nothing was changed"
            return Outcome(
                "planned",
                0,
                what,
                stack_id=found.stack_id,
                change_set=made.arn,
                next_command=f"scaleout-cfn apply {made.arn}" + "".join(f" --allow-replace {path}" for path in held),
            )
        changeset.discard(aws, made.arn, made.stack_id, placeholder=made.made_stack)
        return Outcome(
            "planned", 0, f"{wish.stack_name}: changes present; nothing was changed", next_command="scaleout-cfn deploy"
        )
    except KeyboardInterrupt as stop:
        return _cleaned_up(run, stop)


def apply(
    aws: Aws,
    identity: Identity,
    change_set: str,
    tell: Tell,
    *,
    allowed: tuple[str, ...] = (),
    wait_s: float | None = None,
    patience_s: float | None = 120.0,
) -> Outcome:
    """Execute the change set that was planned and approved: that one, and no other.

    Called again it attaches to the execution, or says how it ended.
    """
    run = _Run(aws, identity, tell, wait_s, patience_s, allowed)
    try:
        described = aws.read("cloudformation", "describe_change_set", ChangeSetName=change_set)
    except ApiError as error:
        if error.kind != "missing":
            raise
        raise BusyError(
            f"change set {change_set} is gone: another one was executed since, or it was deleted",
            state="nothing was changed by this run",
            next_command="scaleout-cfn plan, to make a new one",
        ) from None
    if described["ExecutionStatus"].startswith("EXECUTE_"):
        mark = fingerprint_in(described.get("Description", "")) or "0" * 16
        operation = Operation(described["StackId"], token("deploy", mark, described["ChangeSetId"]))
        return _watched(run, operation, described["StackName"])
    found = read_plan(aws, change_set)
    tell(Planned(found, allowed))
    return _executed(run, found, lambda _: True)


def desired_of(wish: Wish, live: Live | None, role_arn: str, *, image: str | None = None) -> Desired:
    """The desired state of a wish, given what is there. `image` overrides the wish's."""
    asked = wish.image if image is None else image
    parameters = parameters_for(wish.published, live, wish.parameters, image=asked)
    return Desired(wish.stack_name, wish.published, parameters, wish.tags, role_arn)


def _phases(wish: Wish, live: Live | None, identity: Identity, aws: Aws) -> list[Desired]:
    """What to bring about, one after the other."""
    role = aws.target.role_arn
    # A first phase that is still being made belongs to a new stack, too.
    new = live is None or live.meaning.start in ("create", "recreate") or live.status == "CREATE_IN_PROGRESS"
    there = None if new and (live is None or live.status != "CREATE_IN_PROGRESS") else live
    whole = desired_of(wish, there, role)
    if not new or not whole.parameters.get(IMAGE):
        return [whole]
    return [desired_of(wish, there, role, image=""), whole]


def _attached(run: _Run, wish: Wish, live: Live | None, phases: list[Desired]) -> tuple[Live | None, Outcome | None]:
    """Watch an operation of ours that is at work already, then go on. Raises BusyError for anybody else's."""
    if live is None or live.meaning.start != "busy":
        return _startable(run, wish, live), None
    history = History(live.stack_id)
    problems: list[Exception] = []
    events = read_events(run.aws, history, on_error=problems.append)
    begin = next((event for event in events if event.of_stack and event.stack_id == live.stack_id), None)
    mark = fingerprint_in(begin.token) if begin else ""
    if live.status.startswith("DELETE_") or mark not in {one.fingerprint for one in phases}:
        raise _busy(live, begin, mark, problems)
    assert begin is not None
    run.tell(Note(f"an earlier run began this ({begin.token}); going on with it"))
    outcome = _watched(run, Operation(live.stack_id, begin.token), live.name)
    return find(run.aws, wish.stack_name), outcome if outcome.exit_code else None


def _busy(live: Live, begin: Event | None, mark: str, problems: list[Exception]) -> BusyError:
    whose = "another deployment of ours, of another state" if mark else "somebody else"
    since = f", since {begin.time:%Y-%m-%d %H:%M:%SZ}, token {begin.token or 'none'}" if begin else ""
    unread = f"; its events cannot be read: {problems[0]}" if problems and not begin else ""
    return BusyError(
        f"stack {live.name} is {live.status}: {whose} is at work on it{since}{unread}",
        state="nothing was changed by this run",
        next_command="scaleout-cfn events --follow, then the same command again",
    )


def _startable(run: _Run, wish: Wish, live: Live | None) -> Live | None:
    """The stack to start from. Raises where none can be started from; deletes an empty one when that is agreed to."""
    if live is None or live.meaning.start in ("create", "update"):
        return live
    if live.meaning.start == "busy":
        raise _busy(live, None, "", [])
    if live.meaning.start == "recreate" and wish.recreate:
        left = [one for one in inventory(run.aws, live.stack_id) if one.type != NESTED and "SKIPPED" not in one.status]
        if not left:
            return _deleted(run, live)
        raise NeedsHandError(
            f"stack {live.name} is {live.status} and still holds {', '.join(one.path for one in left[:5])}",
            state="nothing was changed by this run",
            next_command="scaleout-cfn destroy",
        )
    if live.meaning.start == "recreate":
        raise NeedsHandError(
            f"stack {live.name} is {live.status}: its creation failed and was rolled back. CloudFormation can only"
            " delete it and make it anew",
            state="nothing was changed by this run",
            next_command=live.meaning.next_command,
        )
    raise NeedsHandError(
        f"stack {live.name} is {live.status}: {live.reason or 'no reason given'}",
        state="nothing was changed by this run",
        next_command=live.meaning.next_command,
    )


def _deleted(run: _Run, live: Live) -> None:
    run.tell(Note(f"deleting the empty stack {live.name}, {live.status}, to make it anew"))
    mark = token("recreate", "0" * 16, f"{live.stack_id} {live.version}")
    try:
        run.aws.write("cloudformation", "delete_stack", StackName=live.stack_id, ClientRequestToken=mark)
    except ApiError as error:
        if error.kind != "unclear":
            raise
    before = f"{live.status} {live.version}"
    gone = follow(run.aws, Operation(live.stack_id, mark, before), History(live.stack_id, mark), run.tell, end=run.end)
    if gone is not None and gone.meaning.end != "gone":
        raise NeedsHandError(f"stack {live.name} is {gone.status}: {gone.reason}", next_command="scaleout-cfn destroy")


def _same(aws: Aws, desired: Desired, live: Live) -> bool:
    """Whether the stack is what is desired already, found without a change set."""
    if not desired.matches(live, desired.published.root.text, {}) and not live.resolved:
        return False
    if not desired.matches(live, template_text(aws, live.stack_id), {}):
        return False
    names = {live.parameters[name]: name for name in live.resolved}
    if not names:
        return True
    try:
        found = aws.read("ssm", "get_parameters", Names=sorted(names))["Parameters"]
    except ScaleoutError:
        return False  # a change set finds out, and needs no permission of ours for it
    now = {names[one["Name"]]: one["Value"] for one in found if one["Name"] in names}
    return all(now.get(name) == value for name, value in live.resolved.items())


def _phase(run: _Run, desired: Desired, live: Live | None, confirm: Confirm) -> Outcome:
    if live is not None and _same(run.aws, desired, live):
        return nothing_to_do(live)
    try:
        made = _proposed(run, desired, live)
        if made is None:
            assert live is not None
            return nothing_to_do(live)
        found = read_plan(run.aws, made.arn)
        run.tell(Planned(found, run.allowed))
    except KeyboardInterrupt as stop:
        return _cleaned_up(run, stop)
    return _executed(run, found, confirm, made_stack=made.made_stack)


def _proposed(run: _Run, desired: Desired, live: Live | None) -> changeset.ChangeSet | None:
    if not run.uploaded:
        new = upload(run.aws, desired.published, run.identity.account_id)
        run.tell(Uploaded(new, len(desired.published.files), desired.published.root.url))
        run.uploaded = True
    try:
        return changeset.propose(run.aws, desired, live, run.attempt)
    except ApiError as error:
        # Between reading and writing somebody made or deleted the stack: look again, once.
        again = find(run.aws, desired.stack_name)
        if error.kind not in ("missing", "refused") or (again and again.status) == (live and live.status):
            raise
        return changeset.propose(run.aws, desired, again, run.attempt)


def _executed(run: _Run, found: Plan, confirm: Confirm, *, made_stack: bool = False) -> Outcome:
    """Guard, consent, execution, watching. Until the execution is sent, every way out cleans up."""
    approved = not made_stack and not run.attempt.name  # by `apply`: the change set is somebody's, and stays
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
        if run.allowed:
            protect.lift(run.aws, found.changes, run.allowed, run.tell)
        operation = execute(run.aws, found)
    except KeyboardInterrupt as stop:
        return _cleaned_up(run, stop, found, made_stack=made_stack, keep=approved)
    return _watched(run, operation, found.stack)


def _watched(run: _Run, operation: Operation, stack: str) -> Outcome:
    """Watch to the end and conclude."""
    history = History(operation.stack_id, operation.token, operation.planned)
    running = {"state": "the deployment goes on in AWS", "next_command": "the same command again: it goes on watching"}
    try:
        live = follow(run.aws, operation, history, run.tell, end=run.end, patience_s=run.patience_s)
        reason = ""
        if live is not None and live.meaning.end == "done":
            try:
                resources = list(inventory(run.aws, live.stack_id))
            except DeployError as error:
                run.tell(Note(f"not verified that ECS runs the new version: {error}", "warning"))
            else:
                protect.protect(run.aws, resources, run.tell)
                reason = verify(run.aws, services_in(resources), run.tell, end=run.end)
        return concluded(live, stack, history.events, reason, operation.change_set)
    except StoppedWaiting as error:
        return Outcome(
            "still_running",
            9,
            f"{stack}: {error}",
            stack_id=operation.stack_id,
            **{"next_command": running["next_command"], "reason": running["state"]},
        )
    except KeyboardInterrupt as stop:
        return interrupted(getattr(stop, "number", 2), stack, running=True, stack_id=operation.stack_id)


def _cleaned_up(
    run: _Run, stop: KeyboardInterrupt, found: Plan | None = None, *, made_stack: bool | None = None, keep: bool = False
) -> Outcome:
    """After an interrupt before the execution, or while it was being sent: nothing of ours is left, or it runs."""
    number, attempt = getattr(stop, "number", 2), run.attempt
    stack = found.stack if found else attempt.stack_name
    placeholder = attempt.made_stack if made_stack is None else made_stack
    end = "discarded"
    try:
        if found and keep:
            status = run.aws.once("cloudformation", "describe_change_set", ChangeSetName=found.change_set)
            end = "running" if status["ExecutionStatus"].startswith("EXECUTE_") else "kept"
        elif found or attempt.name:
            end = changeset.discard(
                run.aws,
                found.change_set if found else attempt.name,
                found.stack_id if found else attempt.stack_name,
                placeholder=placeholder,
                patience_s=CLEAN_UP_S,
            )
    except ScaleoutError as error:
        run.tell(Note(f"the change set could not be deleted: {error}", "warning"))
        end = "left"
    outcome = interrupted(number, stack, running=end == "running", left=end == "left")
    if end == "kept":
        outcome = replace(outcome, what=f"{stack}: interrupted; nothing was changed, the change set is kept")
    return outcome
