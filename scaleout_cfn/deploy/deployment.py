"""A deployment from beginning to end: what is there, what shall be, a plan, consent, execution, and the outcome.

Every function here may be called again after any interruption: it attaches to what runs, finishes what was begun, or
does nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from scaleout_cfn.aws.client import USUAL, Aws, Identity, Patience
from scaleout_cfn.deploy import drift, protect
from scaleout_cfn.deploy.changes import changeset, quota
from scaleout_cfn.deploy.changes.imports import require_imports
from scaleout_cfn.deploy.changes.plan import Plan, blocked
from scaleout_cfn.deploy.changes.reading import read_plan
from scaleout_cfn.deploy.desired import ENVIRONMENT, Desired, fingerprint_in, require_ours, token
from scaleout_cfn.deploy.live import Live, find, resources_of, tags_of, template_text
from scaleout_cfn.deploy.messages import Blocked, Note, Outcome, Planned, Tell, Uploaded
from scaleout_cfn.deploy.move import MOVES, require_moved, unmoved
from scaleout_cfn.deploy.moves import given_up
from scaleout_cfn.deploy.outcome import code_of, interrupted, nothing_to_do, outcome_of, redacted
from scaleout_cfn.deploy.publish import unknown_to, upload
from scaleout_cfn.deploy.services import jobs
from scaleout_cfn.deploy.services.diverted import Diverted, diverted, rewritten
from scaleout_cfn.deploy.services.rollout import services_in, verify
from scaleout_cfn.deploy.services.scale import warn_of_end
from scaleout_cfn.deploy.start import Wish, make_startable, operation_at_work, phases_of, same
from scaleout_cfn.deploy.watch.events import History, Operation
from scaleout_cfn.deploy.watch.follow import left_behind, watch
from scaleout_cfn.errors import (
    AGAIN,
    ApiError,
    BusyError,
    DeployError,
    Next,
    RefusedError,
    RejectedError,
    ScaleoutError,
    UsageError,
)

#: What a deployment usually takes at most, nodes and a service that starts included.
USUAL_S = 30 * 60


#: SIGTERM leaves two seconds in all for cleaning up.
CLEAN_UP_S = 1.5

Confirm = Callable[[Plan], bool]


@dataclass
class Run:
    """What the steps of one command share. `marked`: the set may mark resources of other types as holding data."""

    aws: Aws
    identity: Identity
    tell: Tell
    patience: Patience
    allowed: tuple[str, ...] = ()
    nested: bool = True
    marked: bool = True
    adopt: bool = False
    check: Callable[[], None] | None = None
    imports: Mapping[str, str] | None = None
    #: The URL of the root whose set is uploaded.
    uploaded: str = ""
    lifted: bool = False
    looked_at: bool = False
    draft: changeset.Draft = field(default_factory=changeset.Draft)

    def __post_init__(self) -> None:
        self.end = self.patience.end(self.aws.pace)


def deploy(aws: Aws, identity: Identity, wish: Wish, tell: Tell, confirm: Confirm) -> Outcome:
    """Bring a stack to what is wished. On a new stack with images in two phases, so that an image that does not start
    takes back the services and not the network, the cluster and the repositories.

    Raises DeployError where nothing was begun; whatever had begun ends in an Outcome.
    """
    return _discreet(wish, tell, lambda tell: _deploy(aws, identity, wish, tell, confirm))


def _deploy(aws: Aws, identity: Identity, wish: Wish, tell: Tell, confirm: Confirm) -> Outcome:
    run = _run(aws, identity, wish, tell)
    live = find(aws, wish.stack_name)
    phases = phases_of(wish, live, aws.target.role_arn)
    earlier: Outcome | None = None
    if live is not None and live.meaning.start == "busy" and live.status != "DELETE_IN_PROGRESS":
        operation = operation_at_work(aws, live, {phase.fingerprint for phase in phases})
        tell(Note(f"an earlier run began this ({operation.token}); going on with it"))
        earlier = watch_deployment(run, operation, live.name)
        if earlier.exit_code:
            return earlier
        live = find(aws, wish.stack_name)
    else:
        if wish.recreate:  # this may delete it
            require_ours(aws, live, phases[0].environment, adopt=wish.adopt)
        live = make_startable(aws, live, recreate=wish.recreate, tell=tell)
    _require_there(wish, live)
    if live is not None and live.meaning.start == "update":
        require_moved(aws, live, MOVES)
    phases = phases_of(wish, live, aws.target.role_arn)
    _tell_move(run, wish, live)
    for number, desired in enumerate(phases, 1):
        if len(phases) > 1:
            tell(Note(f"phase {number} of {len(phases)}: {_phase_name(desired, phases, wish)}"))
        if live is not None and (failed := _release(run, wish, desired, live)):
            return failed
        outcome = _phase(run, desired, live, confirm)
        if outcome.exit_code:
            return outcome
        if number < len(phases):
            tell(Note(f"✓ {outcome.what}"))
            live = find(aws, wish.stack_name)
    outcome = earlier if earlier and outcome.end == "no_change" else outcome
    return replace(outcome, waiting=tuple(name for name, image in phases[-1].images.items() if not image))


def _tell_move(run: Run, wish: Wish, live: Live | None) -> None:
    """Say beforehand that a service moves between strategies in two updates. Raises RefusedError if it cannot yet."""
    between = wish.between(live) if wish.between and live and live.meaning.start == "update" else None
    if live is not None and between is not None:
        # Nothing is begun that cannot end: the last update takes second target groups away.
        lost = list(given_up(between.move, resources_of(run.aws, live.stack_id)))
        if taken := diverted(run.aws, live.stack_id, lost, {}):
            raise taken.refusal
        run.tell(Note(between.move.words))


def _require_there(wish: Wish, live: Live | None) -> None:
    """Raises UsageError where drift shall be set back of what is not there."""
    if wish.revert_drift and (live is None or live.meaning.start == "create"):
        raise UsageError(f"--revert-drift: there is no stack {wish.stack_name} yet, of which anything could differ")


def _phase_name(desired: Desired, phases: Sequence[Desired], wish: Wish) -> str:
    if desired.published is not wish.published:
        return "the step between two strategies"
    if desired is phases[-1]:
        return "services"
    jobs = {release.parameter for release in wish.releases}
    return "jobs" if any(desired.images[name] for name in jobs) else "infrastructure"


def _release(run: Run, wish: Wish, desired: Desired, live: Live) -> Outcome | None:
    """Run the jobs that come before the images which a phase brings. The outcome is of one that did not end well."""
    for release in wish.releases:
        image = desired.images[release.of]
        if not image or live.parameters.get(release.of) == image or live.parameters.get(release.parameter) != image:
            continue
        if not wish.runs_jobs:
            run.tell(Note(f"job {release.name} would run now; the emulator runs no container"))
            continue
        run.tell(Note(f"job {release.name} runs with the new image, before the services get it"))
        ended = jobs.release(run.aws, jobs.job_of(run.aws, live, release.name, release.title), run.tell)
        if ended.end == "still_running":
            return replace(ended, next=Next(AGAIN, words="to go on", instead=ended.next))
        if ended.exit_code:
            return Outcome(
                "failed",
                f"{live.name}: job {release.name} failed, and the services have the image that they had",
                live.status,
                live.stack_id,
                reason=f"{ended.what}{f': {ended.reason}' if ended.reason else ''}",
                next=Next(AGAIN, words="to run it once more, or with another image"),
            )
        run.tell(Note(f"✓ {ended.what}"))
    return None


def _run(aws: Aws, identity: Identity, wish: Wish, tell: Tell) -> Run:
    return Run(
        aws,
        identity,
        tell,
        wish.patience,
        wish.allowed,
        wish.nested_plan,
        wish.marked,
        wish.adopt,
        wish.check,
        wish.imports,
    )


def plan(aws: Aws, identity: Identity, wish: Wish, tell: Tell, *, keep: bool) -> Outcome:
    """Make a change set and show it; `keep` leaves it there for `apply`. Exit code 0, whatever it shows.

    The outcome is "planned" where there are changes, "no_change" where there are none.
    """
    return _discreet(wish, tell, lambda tell: _plan(aws, identity, wish, tell, keep=keep))


def _discreet(wish: Wish, tell: Tell, body: Callable[[Tell], Outcome]) -> Outcome:
    """Run a body whose messages, outcome and errors hold no secret of the wish."""
    secrets = wish.secrets
    if not secrets:
        return body(tell)
    try:
        return cast(Outcome, redacted(body(lambda message: tell(redacted(message, secrets))), secrets))
    except ScaleoutError as error:
        error.args = tuple(redacted(error.args, secrets))
        raise error from None


def _plan(aws: Aws, identity: Identity, wish: Wish, tell: Tell, *, keep: bool) -> Outcome:
    run = _run(aws, identity, wish, tell)
    live = find(aws, wish.stack_name)
    live = make_startable(aws, live, recreate=False, tell=tell)
    _require_there(wish, live)
    if live is not None and (left := unmoved(aws, live, MOVES)):
        tell(Note(f"{left}; `move` moves it as it is, and `deploy` asks for that first", "warning"))
    desired, *later = phases_of(wish, live, aws.target.role_arn)
    _tell_move(run, wish, live)
    if live is not None and wish.releases and later:
        tell(Note("this is the first of several phases: jobs run with the new images before the services get them"))
    if live is not None and same(aws, desired, live):
        return nothing_to_do(live)
    require_ours(aws, live, desired.environment, adopt=wish.adopt)
    try:
        made = propose(run, desired, live)
        if made is None:
            assert live is not None
            return nothing_to_do(live, drift=desired.revert_drift)
        plan = _shown(run, made.arn)
        held = blocked(plan.changes, wish.allowed)
        if held:
            tell(Blocked(held))
        taken = _diverted(run, plan)
        for reason in taken.reasons if taken else ():
            tell(Note(f"{reason}; `deploy` and `apply` refuse it", "warning"))
        if keep:
            what = f"{wish.stack_name}: planned; nothing was changed"
            return Outcome(
                "planned",
                what,
                stack_id=plan.stack_id,
                change_set=made.arn,
                next=Next("apply", (made.arn, *(["--adopt"] * wish.adopt), *_allowing(held))),
            )
        changeset.discard(aws, made.arn, made.stack_id, placeholder=made.made_stack)
        what = f"{wish.stack_name}: changes present; nothing was changed"
        return Outcome("planned", what, next=taken.way_out if taken else Next("deploy", _allowing(held)))
    except KeyboardInterrupt as stop:
        return clean_up(run, stop)


def apply(
    aws: Aws,
    identity: Identity,
    change_set: str,
    tell: Tell,
    *,
    adopt: bool = False,
    allowed: tuple[str, ...] = (),
    patience: Patience = USUAL,
) -> Outcome:
    """Execute the change set that was planned and approved: that one, and no other.

    Called again it attaches to the execution, or says how it ended.
    """
    run = Run(aws, identity, tell, patience, allowed)
    try:
        described = aws.read("cloudformation", "describe_change_set", ChangeSetName=change_set)
    except ApiError as error:
        if error.kind != "missing":
            raise
        raise BusyError(
            f"change set {change_set} is gone: another one was executed since, or it was deleted",
            state="nothing was changed by this run",
            next=Next("plan", words="to make a new one"),
        ) from None
    if described["ExecutionStatus"].startswith("EXECUTE_"):
        mark = fingerprint_in(described.get("Description", ""))
        operation = Operation(described["StackId"], token("deploy", mark, described["ChangeSetId"]))
        return watch_deployment(run, operation, described["StackName"])
    environment = tags_of(described).get(ENVIRONMENT, "")
    require_ours(aws, find(aws, described["StackId"]), environment, adopt=adopt)
    plan = _shown(run, change_set)
    return confirm_and_execute(run, plan, lambda _: True)


def _phase(run: Run, desired: Desired, live: Live | None, confirm: Confirm) -> Outcome:
    content = live is not None and same(run.aws, desired, live)
    if not content and not run.looked_at:  # a stack that is what we would make of it is ours
        require_ours(run.aws, live, desired.environment, adopt=run.adopt)
    if live is not None and live.meaning.start == "update" and not run.looked_at:
        # A run that was cut short may have left data unprotected. What was never protected waits for consent, where
        # there are changes.
        protect.restore(run.aws, live.stack_id, run.tell, unset=content)
    run.looked_at = True
    if live is not None and content:
        return nothing_to_do(live)
    if not desired.role_arn and not (live and live.role_arn) and run.aws.ends_within(USUAL_S):
        run.tell(
            Note(
                f"these credentials end within {USUAL_S // 60} minutes, and without a role of its own CloudFormation"
                " works with them: log in again first, or give it one by --role-arn",
                "warning",
            )
        )
    try:
        made = propose(run, desired, live)
        if made is None:
            assert live is not None
            return nothing_to_do(live, drift=desired.revert_drift)
        plan = _shown(run, made.arn)
    except KeyboardInterrupt as stop:
        return clean_up(run, stop)
    return confirm_and_execute(run, plan, confirm, made_stack=made.made_stack)


def _shown(run: Run, change_set: str) -> Plan:
    """The plan of a change set, told, with what it undoes that somebody set for a while."""
    plan = read_plan(run.aws, change_set)
    run.tell(Planned(plan, run.allowed))
    warn_of_end(run.aws, plan, run.tell)
    for note in drift.set_back(plan.changes):
        run.tell(note)
    return plan


def propose(run: Run, desired: Desired, live: Live | None) -> changeset.ChangeSet | None:
    published, owner = desired.published, run.identity.account_id
    held_back = False
    if run.uploaded != published.root.url:
        text = template_text(run.aws, live.stack_id) if live and live.meaning.start == "update" else ""
        # The root names its children by their content: one that is the same has the same set below it.
        if run.check and text != published.root.text:
            run.check()
        files = unknown_to(text, published)
        held_back = len(files) < len(published.files)
        new = upload(run.aws, replace(published, files=files), owner)
        run.tell(Uploaded(new, len(published.files), published.root.url))
        run.uploaded = published.root.url
    # What drifted or is taken in lies in nested stacks: without theirs nobody sees it.
    nested = desired.looks_inside or (run.nested and quota.has_room(run.aws, live, run.tell))
    try:
        return changeset.propose(run.aws, desired, live, run.draft, run.tell, nested=nested)
    except RejectedError:
        # Somebody may have emptied the bucket since.
        if not held_back or not upload(run.aws, published, owner):
            raise
        return changeset.propose(run.aws, desired, live, run.draft, run.tell, nested=nested)
    except ApiError as error:
        # Between reading and writing somebody made or deleted the stack: look again, once.
        again = find(run.aws, desired.stack_name)
        if error.kind not in ("missing", "refused") or (again and again.status) == (live and live.status):
            raise
        require_ours(run.aws, again, desired.environment, adopt=run.adopt)
        return changeset.propose(run.aws, desired, again, run.draft, run.tell, nested=nested)


def confirm_and_execute(run: Run, plan: Plan, confirm: Confirm, *, made_stack: bool = False) -> Outcome:
    """Guard, consent, execution, watching. Until the execution is sent, every way out cleans up."""
    approved = not made_stack and not run.draft.name  # by `apply`: the change set is somebody's, and stays
    try:
        try:
            held = blocked(plan.changes, run.allowed)
            if held:
                run.tell(Blocked(held))
                raise RefusedError(
                    "; ".join(f"{path} {reason}" for path, reason in held.items()),
                    state="nothing was changed",
                    next=Next(AGAIN, _allowing(held)),
                )
            if taken := _diverted(run, plan):
                raise taken.refusal
            if run.imports is not None:
                require_imports(plan, run.imports)
            asked = run.aws.pace.clock()
            if not confirm(plan):
                raise RefusedError("not confirmed", state="nothing was changed", next=Next(AGAIN, ("--yes",)))
            if run.end is not None:
                run.end += run.aws.pace.clock() - asked  # to wait for consent is not to watch
        except ScaleoutError:
            if not approved:
                changeset.discard(run.aws, plan.change_set, plan.stack_id, placeholder=made_stack)
            raise
        operation = _lift_and_execute(run, plan)
    except KeyboardInterrupt as stop:
        return clean_up(run, stop, plan, made_stack=made_stack, keep=approved)
    return watch_deployment(run, operation, plan.stack, plan)


def _diverted(run: Run, plan: Plan) -> Diverted | None:
    """What a plan takes requests from; where it writes a rule between several groups and takes none, that is told."""
    taken = diverted(run.aws, plan.stack_id, plan.changes, drift.diverted(plan.changes))
    if taken is None:
        for change in rewritten(plan.changes):
            if not change.unseen:
                run.tell(Note(f"{change.path}: its weights are written, too; requests stay where they go now"))
    return taken


def _lift_and_execute(run: Run, plan: Plan) -> Operation:
    """Execute a plan, with the stack policies lifted for what the guard let through."""
    if plan.creates:  # a placeholder has nothing to protect, and takes no policy
        return changeset.execute(run.aws, plan)
    run.lifted = protect.lift(run.aws, plan.stack_id, plan.changes, run.tell)
    try:
        return changeset.execute(run.aws, plan)
    except ScaleoutError as error:
        protect.restore(run.aws, plan.stack_id, run.tell)
        if isinstance(error, DeployError):
            error.state = error.state or "the change set is there, and was not executed by this run"
        raise


def watch_deployment(run: Run, operation: Operation, stack: str, plan: Plan | None = None) -> Outcome:
    """Watch to the end, see that ECS runs what the stack says, and conclude.

    Of a plan only the nested stacks that it changes are looked into, but where others wait to be protected.
    """
    changed = {change.path.partition("/")[0] for change in plan.changes} if plan else None

    def conclude(live: Live | None, history: History) -> Outcome:
        reason = ""
        if live is not None and live.meaning.end == "done":
            try:
                inside = changed if protect.is_settled(run.aws, live.stack_id) else None
                resources = list(resources_of(run.aws, live.stack_id, inside=inside))
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

    return watch(run.aws, operation, stack, run.tell, conclude, run.patience, end=run.end)


def _allowing(held: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for path in held for word in ("--allow-replace", path))


def clean_up(
    run: Run, stop: KeyboardInterrupt, plan: Plan | None = None, *, made_stack: bool | None = None, keep: bool = False
) -> Outcome:
    """After an interrupt before the execution, or while it was being sent: nothing of ours is left, or it runs."""
    by_ctrl_c, draft = code_of(stop) == 128 + signal.SIGINT, run.draft
    stack = plan.stack if plan else draft.stack_name
    placeholder = draft.made_stack if made_stack is None else made_stack
    end = "discarded"
    try:
        if plan and keep:
            status = run.aws.once("cloudformation", "describe_change_set", ChangeSetName=plan.change_set)
            end = "running" if status["ExecutionStatus"].startswith("EXECUTE_") else "kept"
        elif plan or draft.name:
            end = changeset.discard(
                run.aws,
                plan.change_set if plan else draft.name,
                plan.stack_id if plan else draft.stack_name,
                placeholder=placeholder,
                patience_s=CLEAN_UP_S,
            )
    except ScaleoutError as error:
        run.tell(Note(f"the change set could not be deleted: {error}", "warning"))
        end = "left"
    if plan and end != "running" and by_ctrl_c and not plan.creates:
        protect.restore(run.aws, plan.stack_id, run.tell)  # after SIGTERM there is no time: the next run does it
    outcome = interrupted(
        stop, stack, running=end == "running", left=end == "left", updating=bool(plan and not plan.creates)
    )
    if end == "kept":
        outcome = replace(outcome, what=f"{stack}: interrupted; nothing was changed, the change set is kept")
    if run.lifted and end != "running" and not by_ctrl_c:
        outcome = replace(outcome, what=f"{outcome.what}; stack policies are lifted until the next deploy sets them")
    return outcome
