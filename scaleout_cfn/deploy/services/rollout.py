"""Whether ECS runs what the stack says. CloudFormation can be content while ECS went back to the old version."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from scaleout_cfn.aws import SERVICE, cluster_in, name_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Hook, Note, Revision, Rollout, Tell
from scaleout_cfn.deploy.services.traffic import tell_pause
from scaleout_cfn.errors import AccessError, ApiError

Verdict: TypeAlias = Literal["running", "done", "failed"]

DEPLOYMENTS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "PENDING": "running",
        "IN_PROGRESS": "running",
        "STOP_REQUESTED": "running",
        "ROLLBACK_REQUESTED": "running",
        "ROLLBACK_IN_PROGRESS": "running",
        "SUCCESSFUL": "done",
        "STOPPED": "failed",
        "ROLLBACK_SUCCESSFUL": "failed",
        "ROLLBACK_FAILED": "failed",
        # rolloutState of DescribeServices, where there are no service deployments to ask for
        "COMPLETED": "done",
        "FAILED": "failed",
    }
)


#: Services that one DescribeServices takes, and tasks that one DescribeTasks does.
MOST_SERVICES = 10
MOST_TASKS = 100


class Declared(NamedTuple):
    """A service as its stack has it: its name in the set, and the task definition beside it, empty where there is not
    exactly one."""

    name: str
    arn: str
    definition: str = ""


def services_in(resources: Iterable[Resource]) -> Iterator[Declared]:
    resources = list(resources)
    for service in resources:
        if service.is_made(SERVICE):
            definitions = [
                other.physical_id
                for other in resources
                if other.type == "AWS::ECS::TaskDefinition" and other.stack_id == service.stack_id
            ]
            definition = definitions[0] if len(definitions) == 1 else ""
            yield Declared(service_in(service.path), service.physical_id, definition)


def described(ask: Callable[..., Mapping[str, Any]], arns: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """DescribeServices' answers by ARN, without those of services that are gone. `ask` is how: `aws.once`, `aws.read`.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
    """
    clusters: dict[str, list[str]] = {}
    for arn in arns:
        clusters.setdefault(cluster_in(arn), []).append(arn)
    answers: dict[str, Mapping[str, Any]] = {}
    for cluster, here in clusters.items():
        for first in range(0, len(here), MOST_SERVICES):
            try:
                answer = ask("ecs", "describe_services", cluster=cluster, services=here[first : first + MOST_SERVICES])
            except ApiError as error:
                if error.kind != "missing":
                    raise
                continue
            answers |= {raw["serviceArn"]: raw for raw in answer.get("services", [])}
    return answers


def rollout(aws: Aws, name: str, service_arn: str) -> Rollout | None:
    """The newest deployment of a service, by what the set calls it and its ARN; None where there is no such service.

    Raises ApiError or AccessError.
    """
    service = described(aws.once, [service_arn]).get(service_arn)
    return newest_of(aws, name, service) if service else None


def newest_of(aws: Aws, name: str, service: Mapping[str, Any]) -> Rollout:
    """The newest deployment of a service that DescribeServices answered with. Raises ApiError or AccessError."""
    service_arn = service["serviceArn"]
    place = {"cluster": cluster_in(service_arn), "service": service_arn}
    primary: dict[str, Any] = next((raw for raw in service["deployments"] if raw["status"] == "PRIMARY"), {})
    newest: dict[str, Any] = {}
    listed = aws.once("ecs", "list_service_deployments", **place).get("serviceDeployments", [])
    if listed:
        arn = max(listed, key=lambda raw: str(raw.get("createdAt", "")))["serviceDeploymentArn"]
        answer = aws.once("ecs", "describe_service_deployments", serviceDeploymentArns=[arn])
        newest = (answer.get("serviceDeployments") or [{}])[0]
    breaker, alarms = newest.get("deploymentCircuitBreaker", {}), newest.get("alarms", {})
    # Of one that goes on, "completed" is what was said of the tasks, or of the one before.
    goes_on = newest.get("status") == "IN_PROGRESS" and primary.get("rolloutState") == "COMPLETED"
    return Rollout(
        name=name,
        service=service_arn,
        state=newest.get("status") or primary.get("rolloutState", "IN_PROGRESS"),
        stage=newest.get("lifecycleStage", ""),
        running=primary.get("runningCount", 0),
        pending=primary.get("pendingCount", 0),
        desired=primary.get("desiredCount", 0),
        failed=breaker.get("failureCount", primary.get("failedTasks", 0)),
        threshold=breaker.get("threshold", 0),
        reason=newest.get("rollback", {}).get("reason")
        or newest.get("statusReason")
        or ("" if goes_on else primary.get("rolloutStateReason", "")),
        deployment=newest.get("serviceDeploymentArn", ""),
        strategy=newest.get("deploymentConfiguration", {}).get("strategy", ""),
        revisions=tuple(_revisions(newest)),
        hooks=tuple(_hooks(newest)),
        until=_baked(newest),
        alarms=tuple(alarms.get("alarmNames", [])),
        ringing=tuple(alarms.get("triggeredAlarmNames", [])),
    )


def _revisions(deployment: Mapping[str, Any]) -> Iterator[Revision]:
    """The versions of a deployment, the new one first."""
    new, old = deployment.get("targetServiceRevision"), deployment.get("sourceServiceRevisions", [])
    for raw in [*([new] if new else []), *old]:
        yield Revision(
            role="new" if raw is new else "old",
            arn=raw.get("arn", ""),
            running=raw.get("runningTaskCount", 0),
            pending=raw.get("pendingTaskCount", 0),
            desired=raw.get("requestedTaskCount", 0),
            traffic=raw.get("requestedProductionTrafficWeight"),
            tests=raw.get("requestedTestTrafficWeight"),
        )


def _hooks(deployment: Mapping[str, Any]) -> Iterator[Hook]:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-lifecycle-hooks.html"""
    for raw in deployment.get("lifecycleHookDetails", []):
        yield Hook(
            id=raw.get("hookId", ""),
            kind=raw.get("targetType", ""),
            status=raw.get("status", ""),
            target=raw.get("targetArn", ""),
            until=raw.get("expiresAt"),
            otherwise=raw.get("timeoutAction", ""),
        )


def _baked(deployment: Mapping[str, Any]) -> datetime | None:
    """About when the time ends that a version is given. ECS does not tell: it is counted from the last change that it
    tells of, and so where that is a later one, too late.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
    """
    settings, since = deployment.get("deploymentConfiguration", {}), deployment.get("updatedAt")
    given = deployment.get("targetServiceRevision", {}).get("requestedProductionTrafficWeight")
    if deployment.get("status") != "IN_PROGRESS" or not since:
        return None
    if deployment.get("lifecycleStage") == "BAKE_TIME":
        minutes = settings.get("bakeTimeInMinutes")
    elif given and given < 100:
        canary, linear = (settings.get(f"{kind}Configuration", {}) for kind in ("canary", "linear"))
        minutes = canary.get("canaryBakeTimeInMinutes") or linear.get("stepBakeTimeInMinutes")
    else:
        minutes = None
    return since + timedelta(minutes=minutes) if minutes else None


def ended_by(deployment: Mapping[str, Any]) -> str:
    """What gave a deployment of DescribeServiceDeployments up: an alarm, the circuit breaker or a hook; by hand, where
    it was none of these and ECS's reason names none. Empty where nothing did, or ECS does not tell.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
    """
    if DEPLOYMENTS.get(deployment.get("status", "")) != "failed" and not deployment.get("rollback"):
        return ""
    if ringing := (deployment.get("alarms") or {}).get("triggeredAlarmNames"):
        return f"alarm {', '.join(ringing)}"
    breaker = deployment.get("deploymentCircuitBreaker") or {}
    if breaker.get("status") == "TRIGGERED":
        return f"circuit breaker, {breaker.get('failureCount', 0)} of {breaker.get('threshold', 0)} failures"
    for hook in _hooks(deployment):
        what = f"function {hook.target.rpartition(':')[2]}" if hook.target else "pause"
        if hook.status == "TIMED_OUT" and hook.otherwise != "CONTINUE":
            return f"{what} without an answer in its time"
        if hook.status == "FAILED":
            return f"{what} that failed"
    told = f"{deployment.get('rollback', {}).get('reason', '')} {deployment.get('statusReason', '')}".lower()
    named = any(word in told for word in ("alarm", "breaker", "hook"))
    return "hand, as far as ECS tells" if breaker.get("status") and not named else ""


@dataclass(frozen=True)
class Stop:
    """One way in which tasks ended: how many did, and the newest of them."""

    reason: str
    code: str
    containers: tuple[str, ...]
    count: int
    task: Mapping[str, Any] = field(repr=False)


def stops(tasks: Iterable[Mapping[str, Any]]) -> list[Stop]:
    """Stopped tasks by the way in which they ended, those that failed before those that were told to go."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Mapping[str, Any]]] = {}
    for task in tasks:
        reason = re.sub(r"\b[0-9a-f]{32}\b|i-[0-9a-f]{8,17}", "…", str(task.get("stoppedReason", "")))
        groups.setdefault((reason, str(task.get("stopCode", "")), tuple(_containers(task))), []).append(task)
    kinds = [
        Stop(reason, code, containers, len(group), max(group, key=_stopped_at))
        for (reason, code, containers), group in groups.items()
    ]
    return sorted(kinds, key=lambda stop: (stop.code in ("ServiceSchedulerInitiated", "UserInitiated"), -stop.count))


def _stopped_at(task: Mapping[str, Any]) -> str:
    return str(task.get("stoppedAt", ""))


def _containers(task: Mapping[str, Any]) -> Iterator[str]:
    for raw in task.get("containers", []):
        code = raw.get("exitCode")
        if code or raw.get("reason"):
            words = [raw.get("name", "container"), f"exit {code}" if code is not None else "", raw.get("reason", "")]
            yield " ".join(word for word in words if word)


def last_stop(aws: Aws, arn: str) -> str:
    """Why tasks of a service stopped lately, in one line; empty when none did but those that scaling sent away.

    One look, for whoever is watching, and evidence: what cannot be read is empty, too.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
    """
    cluster, name = cluster_in(arn), name_in(arn)
    try:
        listed = aws.once("ecs", "list_tasks", cluster=cluster, serviceName=name, desiredStatus="STOPPED")["taskArns"]
        tasks = listed and aws.once("ecs", "describe_tasks", cluster=cluster, tasks=listed[:MOST_TASKS])["tasks"]
    except (ApiError, AccessError):
        return ""
    for stop in stops(tasks):
        words = [word for word in (stop.code, stop.reason, *stop.containers) if word]
        if words and not stop.reason.startswith("Scaling activity initiated by"):
            return f"a task stopped: {'  '.join(words)}"
    return ""


def health_of(aws: Aws, group_arn: str, *words: str) -> Counter[str]:
    """Targets of a target group by their health: `State`, and whatever else it is to be told by."""
    answer = aws.read("elbv2", "describe_target_health", TargetGroupArn=group_arn)
    healths = (health["TargetHealth"] for health in answer["TargetHealthDescriptions"])
    return Counter(" ".join(health.get(word, "") for word in ("State", *words)).strip() for health in healths)


def verify(aws: Aws, services: Iterable[Declared], tell: Tell, *, end: float | None) -> str:
    """Why ECS does not run what the stack says; empty when it does, or when that cannot be read (which is told).

    Waits for deployments that are still going on, all of them together, at most until the clock shows `end`.
    """
    waiting = {service.arn: service for service in services}
    reasons: dict[str, str] = {service.name: "" for service in waiting.values()}
    told: set[str] = set()
    for _ in aws.pace.turns(end) if waiting else ():
        answers: Mapping[str, Mapping[str, Any]] = {}
        unread = ""
        try:
            answers = described(aws.once, waiting)
        except (ApiError, AccessError) as error:
            unread = str(error)
        for arn, service in [*waiting.items()]:
            try:
                newest = newest_of(aws, service.name, answers[arn]) if arn in answers else None
                why = unread
            except (ApiError, AccessError) as error:
                newest, why = None, str(error)
            if why:
                tell(Note(f"{service.name}: not verified that ECS runs the new version: {why}", "warning"))
            if newest:
                tell(newest)
                if newest.paused and told.isdisjoint(hook.id for hook in newest.paused):
                    told.update(hook.id for hook in newest.paused)
                    tell_pause(aws, answers[arn], newest, tell)
                if DEPLOYMENTS.get(newest.state) == "running":
                    continue
                reasons[service.name] = _otherwise(service, newest, answers[arn])
                if reasons[service.name] and (stopped := last_stop(aws, arn)):
                    reasons[service.name] += f"; {stopped}"
            del waiting[arn]
        if not waiting:
            break
    for service in waiting.values():
        tell(Note(f"{service.name}: ECS is still at work on it; not waited for any longer", "warning"))
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)


def _otherwise(service: Declared, newest: Rollout, raw: Mapping[str, Any]) -> str:
    """Why a service whose deployment has ended does not run what its stack says; empty where it does."""
    if DEPLOYMENTS.get(newest.state) == "failed":
        return f"ECS {newest.state}: {newest.reason or 'no reason given'}"
    runs = str(raw["taskDefinition"])
    if service.definition and runs != service.definition:
        failed = [each for each in raw.get("deployments", ()) if each.get("rolloutState") == "FAILED"]
        why = "".join(f": {each['rolloutStateReason']}" for each in failed[:1] if each.get("rolloutStateReason"))
        return f"ECS runs {name_in(runs)}, the stack says {name_in(service.definition)}{why}"
    return ""
