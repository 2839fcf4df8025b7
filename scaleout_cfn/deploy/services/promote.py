"""The two answers to a deployment that runs: it goes on from a pause, or it is taken back. To repeat them is safe.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/continue-service-deployment.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, require
from scaleout_cfn.deploy.messages import Hook, Note, Outcome, Rollout, Tell
from scaleout_cfn.deploy.services.history import history_of
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, newest_of, rollout
from scaleout_cfn.deploy.services.service import LiveService, asked_for, follow_rollouts
from scaleout_cfn.errors import AGAIN, ApiError, BusyError, Next, RefusedError, UsageError

#: How long ECS may take to show an answer that it took.
SHOWN_S = 60.0
#: The states in which a deployment goes back already, or ends without.
GOING_BACK = ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "STOP_REQUESTED")


@dataclass(frozen=True)
class Asked:
    """An answer that is to be given: to which service, who agrees to it, and until when it is watched."""

    aws: Aws
    stack: str
    name: str
    tell: Tell
    confirm: Callable[[str], bool]
    end: float | None
    environment: str = ""
    adopt: bool = False


def carry_on(asked: Asked) -> Outcome:
    """Let the deployment of a service go on from its pause, and watch it to its end or to the next pause.

    Where none waits, one that runs is watched, and the end of one that has ended is told: so a run that was cut short
    is finished. Raises UsageError where several wait and none is named.
    """
    aws, tell, end = asked.aws, asked.tell, asked.end
    live = require(aws, asked.stack)
    newest = _newest(aws, live, asked.name)
    waiting = {service: found for service, found in newest.items() if found.paused}
    if not waiting:
        return _nothing_waits(aws, newest, tell, end)
    service, found = _only(waiting, live, "waits for an answer")
    require_ours(aws, live, asked.environment, adopt=asked.adopt)
    moved = f", with {found.new.traffic:g} % of traffic on the new version" if found.new and found.new.traffic else ""
    _ask(asked.confirm, f"{service.name} waits at {found.stage}{moved}: the deployment goes on from there")
    ids = {hook.id for hook in found.paused}
    for hook in found.paused:
        _send(aws, service, found, partial(_is_answered, hook), tell, partial(_answer, aws, found, hook, "CONTINUE"))
    return _of_service(follow_rollouts(aws, [service], tell, end=end, answered=ids), service)


def take_back(asked: Asked) -> Outcome:
    """Take the running deployment of a service back to the version before, and watch it until that serves.

    One that goes back already is watched. Raises RefusedError where it has ended, or has nothing to go back to, and
    BusyError where it is itself the way back of the stack.
    """
    aws, tell, end = asked.aws, asked.tell, asked.end
    live = require(aws, asked.stack)
    newest = _newest(aws, live, asked.name)
    running = {service: found for service, found in newest.items() if _runs(found)}
    if not running:
        return _too_late(aws, newest)
    service, found = _only(running, live, "is being deployed")
    if found.state not in GOING_BACK:
        require_ours(aws, live, asked.environment, adopt=asked.adopt)
        _refuse(live, service, found)
        moved = f", which has {found.new.traffic:g} % of traffic," if found.new and found.new.traffic else ""
        at = f"{service.name} is at {found.stage or found.state}"
        _ask(asked.confirm, f"{at}: the new version{moved} is given up, and the one before serves alone")
        way = partial(_answer, aws, found, found.paused[0], "ROLLBACK") if found.paused else partial(_stop, aws, found)
        _send(aws, service, found, _goes_back, tell, way)
    ended = follow_rollouts(aws, [service], tell, end=end)
    if ended.status != "ROLLBACK_SUCCESSFUL":
        late = ended.status == "SUCCESSFUL" and _too_late(aws, {service: replace(found, state=ended.status)})
        return late or _of_service(ended, service)
    follow = Next("events", ("--follow",), "the stack comes after it") if live.meaning.end == "running" else None
    what = f"{service.name}: taken back; the version before serves alone"
    return Outcome("recovered", what, ended.status, reason=ended.reason, next=follow)


def _newest(aws: Aws, live: Live, name: str) -> dict[LiveService, Rollout]:
    """The newest deployment of each service that is asked for."""
    services = asked_for(aws, live, name)
    return {service: newest_of(aws, service.name, service.raw) for service in services}


def _is_answered(hook: Hook, now: Rollout) -> bool:
    return hook.id not in {waiting.id for waiting in now.paused}


def _goes_back(now: Rollout) -> bool:
    return not _runs(now) or now.state in GOING_BACK


def _runs(found: Rollout) -> bool:
    return DEPLOYMENTS.get(found.state, "running") == "running"


def _only(found: Mapping[LiveService, Rollout], live: Live, what: str) -> tuple[LiveService, Rollout]:
    """The one of which that is so. Raises UsageError where it is of several."""
    if len(found) > 1:
        names = ", ".join(service.name for service in found)
        raise UsageError(f"stack {live.name}: each of {names} {what}; say which by --service NAME")
    return next(iter(found.items()))


def _nothing_waits(aws: Aws, newest: Mapping[LiveService, Rollout], tell: Tell, end: float | None) -> Outcome:
    running = [service for service, found in newest.items() if _runs(found)]
    if running:
        for service in running:
            tell(Note(f"{service.name}: nothing waits for an answer; the deployment goes on, and is watched"))
        return follow_rollouts(aws, running, tell, end=end, answered=())
    failed = {service.name: found for service, found in newest.items() if DEPLOYMENTS[found.state] == "failed"}
    if failed:
        reasons = "; ".join(f"{name}: {found.reason or found.state}" for name, found in failed.items())
        what = f"{', '.join(failed)}: no deployment waits; the newest one was given up"
        return Outcome("rolled_back", what, next(iter(failed.values())).state, reason=reasons, next=Next("diagnose"))
    names, states = ", ".join(service.name for service in newest), [found.state for found in newest.values()]
    return Outcome("no_change", f"{names}: no deployment waits; what was deployed last serves", states[0])


def _too_late(aws: Aws, newest: Mapping[LiveService, Rollout]) -> Outcome:
    """What is to be said where nothing runs. Raises RefusedError unless all have gone back already."""
    served = [service for service, found in newest.items() if found.state != "ROLLBACK_SUCCESSFUL"]
    if not served:
        names = ", ".join(service.name for service in newest)
        return Outcome("no_change", f"{names}: taken back already", "ROLLBACK_SUCCESSFUL")
    images = [image for service in served if (image := _image_before(aws, service))]
    raise RefusedError(
        f"{', '.join(service.name for service in served)}: nothing is being deployed, and only that can be taken back",
        state="nothing was changed; what was deployed last serves",
        next=Next("deploy", tuple(word for image in images for word in ("--image", image)))
        if images
        else Next("rollout history", words="to find the version, then `deploy --image` with its image"),
    )


def _image_before(aws: Aws, service: LiveService) -> str:
    """The image that served before the one that does, as --image takes it; empty where ECS has forgotten it."""
    served = [past for past in history_of(aws, service)[0] if past.since]
    image, digest = (served[1].image, served[1].digest) if len(served) > 1 else ("", "")
    if not image:
        return ""
    # A tag may have moved since: where the digest is known it says which image it was.
    repository = image.partition("@")[0]
    head, _, last = repository.rpartition("/")
    untagged = f"{head}/{last.partition(':')[0]}".lstrip("/")
    return f"{service.name}={untagged}@{digest}" if digest else f"{service.name}={image}"


def _refuse(live: Live, service: LiveService, found: Rollout) -> None:
    """Raise where to take back would bring what failed, or nothing."""
    if live.status in ("UPDATE_ROLLBACK_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"):
        raise BusyError(
            f"stack {live.name} is {live.status}: this deployment of {service.name} is the way back already",
            state="nothing was changed by this run",
            next=Next("rollout continue" if found.paused else "rollout", ("--service", service.name)),
        )
    if not found.deployment:
        raise BusyError(
            f"service {service.name}: ECS does not list its deployment yet",
            state="nothing was changed by this run",
            next=Next(AGAIN),
        )
    if found.new and len(found.revisions) == 1:
        raise RefusedError(
            f"service {service.name}: it is its first deployment, there is no version to go back to",
            state="nothing was changed by this run",
            next=Next("cancel", words="while the stack is at work") if live.meaning.end == "running" else None,
        )


def _ask(confirm: Callable[[str], bool], sentence: str) -> None:
    if not confirm(sentence):
        raise RefusedError(f"not confirmed: {sentence}", state="nothing was changed", next=Next(AGAIN, ("--yes",)))


def _answer(aws: Aws, found: Rollout, hook: Hook, action: str) -> object:
    """The hook's id is made for this pause alone: sent twice, it is no answer to a later one."""
    place = {"serviceDeploymentArn": found.deployment, "hookId": hook.id}
    return aws.write("ecs", "continue_service_deployment", **place, action=action)


def _stop(aws: Aws, found: Rollout) -> object:
    """One that goes back already goes on with it."""
    return aws.write("ecs", "stop_service_deployment", serviceDeploymentArn=found.deployment, stopType="ROLLBACK")


def _send(
    aws: Aws,
    service: LiveService,
    before: Rollout,
    taken: Callable[[Rollout], bool],
    tell: Tell,
    send: Callable[[], object],
) -> None:
    """Send an answer until ECS shows that it was taken."""
    sent = False
    for _ in aws.pace.turns(aws.pace.clock() + SHOWN_S):
        now = rollout(aws, service.name, service.arn)
        if now is None or now.deployment != before.deployment or taken(now):
            return
        if not sent:
            try:
                send()
                sent = True
            except ApiError as error:
                again = rollout(aws, service.name, service.arn)
                if error.kind != "unclear" and again and not taken(again):
                    raise
    tell(Note(f"{service.name}: ECS does not show the answer yet", "warning"))


def _of_service(outcome: Outcome, service: LiveService) -> Outcome:
    step = outcome.next
    if step and "--service" not in step.options:
        return replace(outcome, next=step._replace(options=("--service", service.name, *step.options)))
    return outcome
