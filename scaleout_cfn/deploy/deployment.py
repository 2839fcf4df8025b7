"""A deployment from beginning to end: what is there, what shall be, a plan, consent, execution, and the outcome.

Every function here may be called again after any interruption: it attaches to what runs, finishes what was begun, or
does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from scaleout_cfn.aws.client import Aws, Identity
from scaleout_cfn.deploy import protect
from scaleout_cfn.deploy.changes import changeset, guard
from scaleout_cfn.deploy.changes.apply import Operation
from scaleout_cfn.deploy.changes.planning import read_plan
from scaleout_cfn.deploy.desired import Desired, fingerprint_in, token
from scaleout_cfn.deploy.live import Live, find
from scaleout_cfn.deploy.messages import Blocked, Note, Outcome, Planned, Tell
from scaleout_cfn.deploy.outcome import nothing_to_do, redacted
from scaleout_cfn.deploy.start import Wish, make_startable, operation_at_work, phases_of, same
from scaleout_cfn.deploy.steps import Confirm, Run, clean_up, confirm_and_execute, propose, watch_deployment
from scaleout_cfn.errors import ApiError, BusyError, ScaleoutError

__all__ = ["Confirm", "apply", "deploy", "plan"]

#: What a deployment usually takes at most, nodes and a service that starts included.
USUAL_S = 30 * 60


def deploy(aws: Aws, identity: Identity, wish: Wish, tell: Tell, confirm: Confirm) -> Outcome:
    """Bring a stack to what is wished. On a new stack with an image in two phases, so that an image that does not
    start takes back the service and not the network, the cluster and the registry.

    Raises DeployError where nothing was begun; whatever had begun ends in an Outcome.
    """
    return _discreet(wish, tell, lambda tell: _deploy(aws, identity, wish, tell, confirm))


def _deploy(aws: Aws, identity: Identity, wish: Wish, tell: Tell, confirm: Confirm) -> Outcome:
    run = Run(aws, identity, tell, wish.wait_s, wish.patience_s, wish.allowed, wish.nested_plan, wish.marked)
    live = find(aws, wish.stack_name)
    phases = phases_of(wish, live, aws.target.role_arn)
    earlier: Outcome | None = None
    if live is not None and live.meaning.start == "busy" and live.status != "DELETE_IN_PROGRESS":
        operation = operation_at_work(aws, live, {one.fingerprint for one in phases})
        tell(Note(f"an earlier run began this ({operation.token}); going on with it"))
        earlier = watch_deployment(run, operation, live.name)
        if earlier.exit_code:
            return earlier
        live = find(aws, wish.stack_name)
    else:
        live = make_startable(aws, live, recreate=wish.recreate, tell=tell)
    phases = phases_of(wish, live, aws.target.role_arn)
    for number, desired in enumerate(phases, 1):
        if len(phases) > 1:
            tell(Note(f"phase {number} of {len(phases)}: {'infrastructure' if number == 1 else 'the service'}"))
        outcome = _phase(run, desired, live, confirm)
        if outcome.exit_code:
            return outcome
        if number < len(phases):
            tell(Note(f"✓ {outcome.what}"))
            live = find(aws, wish.stack_name)
    return earlier if earlier and outcome.outcome == "no_change" else outcome


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
    run = Run(aws, identity, tell, wish.wait_s, wish.patience_s, wish.allowed, wish.nested_plan, wish.marked)
    live = find(aws, wish.stack_name)
    live = make_startable(aws, live, recreate=False, tell=tell)
    desired = phases_of(wish, live, aws.target.role_arn)[0]
    if live is not None and same(aws, desired, live):
        return nothing_to_do(live)
    try:
        made = propose(run, desired, live)
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
        return clean_up(run, stop)


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
    run = Run(aws, identity, tell, wait_s, patience_s, allowed)
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
        return watch_deployment(run, operation, described["StackName"])
    found = read_plan(aws, change_set)
    tell(Planned(found, allowed))
    return confirm_and_execute(run, found, lambda _: True)


def _phase(run: Run, desired: Desired, live: Live | None, confirm: Confirm) -> Outcome:
    content = live is not None and same(run.aws, desired, live)
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
            return nothing_to_do(live)
        found = read_plan(run.aws, made.arn)
        run.tell(Planned(found, run.allowed))
    except KeyboardInterrupt as stop:
        return clean_up(run, stop)
    return confirm_and_execute(run, found, confirm, made_stack=made.made_stack)
