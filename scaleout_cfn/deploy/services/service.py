"""The ECS service of a stack as it runs now: its versions old and new, and its tasks. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.aws.names import cluster_in, name_in
from scaleout_cfn.deploy.live import Live, require
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Rollout, Tell
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, health_of, rollout
from scaleout_cfn.errors import AccessError, ApiError, Next, UsageError

__all__ = [
    "LiveService",
    "Sight",
    "Version",
    "follow_rollout",
    "look",
    "service_of",
    "sight_lines",
    "tasks_of",
]

#: Reads in a row that may fail before watching is given up.
MOST_FAILURES = 5
#: Tasks that one DescribeTasks takes.
MOST_TASKS = 100


@dataclass(frozen=True)
class LiveService:
    """A service that is there. `raw` is DescribeServices' answer."""

    live: Live
    arn: str
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def cluster(self) -> str:
        return cluster_in(self.arn)

    @property
    def name(self) -> str:
        return name_in(self.arn)


@dataclass(frozen=True)
class Version:
    """One side of a deployment. `health` counts its tasks by health; `image` is the digest that they run."""

    role: str
    definition: str
    running: int
    pending: int
    desired: int
    failed: int
    health: Mapping[str, int]
    image: str = ""


@dataclass(frozen=True)
class Sight:
    """A deployment at one moment. `targets` counts the load balancer's targets; `message` is ECS's newest."""

    rollout: Rollout
    versions: tuple[Version, ...]
    targets: Mapping[str, int]
    message: str = ""


def service_of(aws: Aws, stack: str) -> LiveService:
    """The service of a stack, by its outputs. Raises UsageError where it has none."""
    live = require(aws, stack)
    cluster, name = live.outputs.get("ClusterName", ""), live.outputs.get("ServiceName", "")
    services: list[Mapping[str, Any]] = []
    if cluster and name:
        try:
            services = aws.read("ecs", "describe_services", cluster=cluster, services=[name]).get("services", [])
        except ApiError as error:
            if error.kind != "missing":
                raise
    if not services or services[0].get("status") == "INACTIVE":
        raise UsageError(
            f"stack {live.name}: it has no service yet; give it an image", next=Next("deploy", ("--build",))
        )
    return LiveService(live, services[0]["serviceArn"], services[0])


def tasks_of(aws: Aws, service: LiveService) -> Iterator[Mapping[str, Any]]:
    """The tasks of a service that run or are to run, as DescribeTasks shows them."""
    arns: list[str] = []
    for page in aws.pages(
        "ecs", "list_tasks", cluster=service.cluster, serviceName=service.name, desiredStatus="RUNNING"
    ):
        arns += page.get("taskArns", [])
    for first in range(0, len(arns), MOST_TASKS):
        some = arns[first : first + MOST_TASKS]
        yield from aws.read("ecs", "describe_tasks", cluster=service.cluster, tasks=some).get("tasks", [])


def look(aws: Aws, service: LiveService) -> Sight | None:
    """What the newest deployment of a service looks like now; None where the service is gone."""
    newest = rollout(aws, service.arn)
    answer = aws.read("ecs", "describe_services", cluster=service.cluster, services=[service.arn])
    if newest is None or not answer.get("services"):
        return None
    raw = answer["services"][0]
    tasks = list(tasks_of(aws, service))
    versions = tuple(
        _version(entry, tasks) for entry in raw.get("deployments", []) if entry.get("status") != "INACTIVE"
    )
    targets: Counter[str] = Counter()
    for balancer in raw.get("loadBalancers", []):
        if group := balancer.get("targetGroupArn"):
            targets += health_of(aws, group)
    messages = raw.get("events", [])
    return Sight(newest, versions, targets, str(messages[0].get("message", "")) if messages else "")


def _version(raw: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Version:
    definition = str(raw["taskDefinition"])
    own = [task for task in tasks if task.get("taskDefinitionArn") == definition]
    health = Counter(str(task.get("healthStatus", "UNKNOWN")) for task in own)
    digests = {
        digest for task in own for container in task.get("containers", []) if (digest := container.get("imageDigest"))
    }
    return Version(
        role="new" if raw.get("status") == "PRIMARY" else "old",
        definition=name_in(definition),
        running=raw.get("runningCount", 0),
        pending=raw.get("pendingCount", 0),
        desired=raw.get("desiredCount", 0),
        failed=raw.get("failedTasks", 0),
        health=health,
        image=digests.pop() if len(digests) == 1 else "",
    )


def sight_lines(sight: Sight) -> list[str]:
    """A deployment as lines: each version, what the circuit breaker counts, the targets, and ECS's last word."""
    newest = sight.rollout
    head = f"{name_in(newest.service)}  ECS {newest.state}"
    if newest.stage:
        head += f"  {newest.stage}"
    lines = [head]
    for version in sight.versions:
        words = [f"  {version.role}  {version.definition}  {version.running} of {version.desired} running"]
        counts = {"pending": version.pending, "failed": version.failed}
        words += [f"{count} {word}" for word, count in counts.items() if count]
        words += [f"{count} {word.lower()}" for word, count in sorted(version.health.items()) if word != "UNKNOWN"]
        lines.append(", ".join(words) + (f"  {version.image[:19]}" if version.image else ""))
    if newest.threshold:
        lines.append(f"  circuit breaker  {newest.failed} of {newest.threshold} failures")
    if sight.targets:
        lines.append("  targets  " + ", ".join(f"{count} {word}" for word, count in sorted(sight.targets.items())))
    if words_of := newest.reason or sight.message:
        lines.append(f"  {words_of}")
    return lines


def follow_rollout(aws: Aws, stack: str, tell: Tell, *, end: float | None) -> Outcome:
    """Show the newest deployment of a stack's service, and every change of it, until it has ended.

    Stops watching when the pace's clock shows `end`. A read that fails now and then decides nothing. Raises UsageError
    where there is no service.
    """
    service = service_of(aws, stack)
    shown: Sight | None = None
    failures = 0
    for _ in aws.pace.turns(end):
        try:
            sight = look(aws, service)
            failures = 0
        except (ApiError, AccessError) as error:
            failures += 1
            denied = isinstance(error, AccessError) and error.kind == "denied"
            if denied or failures >= MOST_FAILURES:
                raise
            tell(Note(f"not read: {error}", "warning"))
            aws.pace.slower()
            continue
        if sight is None:
            raise UsageError(f"service {service.name}: it is gone")
        if sight != shown:
            shown = sight
            tell(_fact(sight))
        verdict = DEPLOYMENTS.get(sight.rollout.state, "running")
        if verdict != "running":
            return _outcome_of(service, sight, failed=verdict == "failed")
    status = shown.rollout.state if shown else ""
    return Outcome(
        "still_running", f"{service.name}: stopped watching; the deployment goes on", status, next=Next("rollout")
    )


def _fact(sight: Sight) -> Fact:
    data = {
        "service": sight.rollout.service,
        "state": sight.rollout.state,
        "stage": sight.rollout.stage,
        "reason": sight.rollout.reason,
        "failures": sight.rollout.failed,
        "threshold": sight.rollout.threshold,
        "versions": [vars(version) for version in sight.versions],
        "targets": dict(sight.targets),
        "message": sight.message,
    }
    return Fact("versions", tuple(sight_lines(sight)), data)


def _outcome_of(service: LiveService, sight: Sight, *, failed: bool) -> Outcome:
    if not failed:
        return Outcome("done", f"{service.name}: the deployment is complete", sight.rollout.state)
    return Outcome(
        "rolled_back",
        f"{service.name}: the deployment failed",
        sight.rollout.state,
        reason=sight.rollout.reason or sight.message,
        next=Next("diagnose"),
    )
