"""A new deployment of services as they are, one after another. To repeat it is safe.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, require
from scaleout_cfn.deploy.messages import Note, Outcome, Tell
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, described, newest_of
from scaleout_cfn.deploy.services.service import LiveService, asked_for, follow_rollouts
from scaleout_cfn.deploy.states import WATCH
from scaleout_cfn.errors import ApiError, BusyError, Next

#: How long a deployment that was asked for may take to be listed.
LISTED_S = 60.0


def restart(
    aws: Aws, stack: str, name: str, tell: Tell, *, end: float | None, environment: str = "", adopt: bool = False
) -> Outcome:
    """Start new tasks in place of those of a service, or of each in turn, and watch until they serve.

    In turn, for a pool has room for the deployment of one of its services. A restart that is at work already, as after
    a crash, is watched and not begun again. Raises BusyError while the stack or another deployment is at work.
    """
    live = require(aws, stack)
    require_ours(aws, live, environment, adopt=adopt)
    require_calm(live)
    services = asked_for(aws, live, name)
    for service in services:
        _is_at_work(aws, service)  # before anything is begun
    for number, service in enumerate(services):
        if number:
            require_calm(require(aws, live.stack_id))
            service = _again(aws, service)
        if _is_at_work(aws, service):
            tell(Note(f"{service.name}: it is being restarted already, which is watched"))
            _wait(aws, partial(_is_listed, aws, service), end)
        else:
            _begin(aws, service, tell, end)
        ended = follow_rollouts(aws, [service], tell, end=end)
        left = ", ".join(other.name for other in services[number + 1 :])
        if ended.end != "done":
            what = f"{ended.what}; not begun: {left}" if left else ended.what
            return replace(ended, what=what, next=_of_service(ended.next, service))
    names = ", ".join(service.name for service in services)
    return Outcome("done", f"{names}: restarted", live.status, live.stack_id)


def require_calm(live: Live) -> None:
    """Raise BusyError while an operation runs on a stack: what it makes of its services is to be seen first."""
    if live.meaning.end == "running":
        raise BusyError(
            f"stack {live.name} is {live.status}: what it does to its services comes first",
            state="nothing was changed by this run",
            next=WATCH,
        )


def _is_at_work(aws: Aws, service: LiveService) -> bool:
    """Whether a service is being restarted. Raises BusyError where another version of it is being deployed."""
    if not _has_begun(service) and not _runs(aws, service):
        return False
    there = [raw["taskDefinition"] for raw in service.raw["deployments"] if raw.get("status") != "INACTIVE"]
    if len(there) > 1 and len({*there}) == 1:
        return True
    raise BusyError(
        f"service {service.name}: a deployment is at work on it",
        state="nothing was changed by this run",
        next=Next("rollout", ("--service", service.name), "then the same command again"),
    )


def _has_begun(service: LiveService) -> bool:
    """Whether a service shows a deployment that has not ended: it does so before the deployment is listed."""
    return any(raw.get("rolloutState") == "IN_PROGRESS" for raw in service.raw["deployments"])


def _runs(aws: Aws, service: LiveService) -> bool:
    """Whether the newest deployment that is listed has not ended."""
    return DEPLOYMENTS.get(newest_of(aws, service.name, service.raw).state, "running") == "running"


def _again(aws: Aws, service: LiveService) -> LiveService:
    """A service as it is now."""
    return replace(service, raw=described(aws.read, [service.arn]).get(service.arn, service.raw))


def _begin(aws: Aws, service: LiveService, tell: Tell, end: float | None) -> None:
    """Ask for a new deployment, which takes no token: where the answer is lost, a newer one than before tells."""
    before = _newest(aws, service)
    lost: ApiError | None = None
    try:
        aws.write("ecs", "update_service", cluster=service.cluster, service=service.arn, forceNewDeployment=True)
    except ApiError as error:
        if error.kind != "unclear":
            raise
        lost = error
    if _wait(aws, lambda: _newest(aws, _again(aws, service)) != before, end):
        tell(Note(f"{service.name}: restarted; new tasks come before the old ones go"))
    elif lost:
        raise lost
    else:
        tell(Note(f"{service.name}: ECS does not list the new deployment yet", "warning"))


def _wait(aws: Aws, is_there: Callable[[], bool], end: float | None) -> bool:
    """Wait until something is there; whether it is, after a minute or when the clock shows `end`."""
    listed = aws.pace.clock() + LISTED_S
    return any(is_there() for _ in aws.pace.turns(listed if end is None else min(listed, end)))


def _is_listed(aws: Aws, service: LiveService) -> bool:
    """Whether the deployment that a service shows is listed, or has ended meanwhile."""
    now = _again(aws, service)
    return _runs(aws, now) or not _has_begun(now)


def _newest(aws: Aws, service: LiveService) -> str:
    """The newest deployment of a service: its ARN, or where none is listed the id that the service itself has."""
    answer = aws.read("ecs", "list_service_deployments", cluster=service.cluster, service=service.arn)
    listed = answer.get("serviceDeployments", [])
    if listed:
        return str(max(listed, key=lambda entry: str(entry.get("createdAt", "")))["serviceDeploymentArn"])
    deployments = service.raw["deployments"]
    return next((str(entry.get("id")) for entry in deployments if entry["status"] == "PRIMARY"), "")


def _of_service(step: Next | None, service: LiveService) -> Next | None:
    return step and step._replace(options=("--service", service.name, *step.options))
