"""The ECS services of a set as they run now: their versions old and new, and their tasks. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.aws.names import cluster_in, name_in
from scaleout_cfn.deploy.live import Live, resources_of
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Rollout, Tell
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, described, health_of, newest_of, services_in
from scaleout_cfn.errors import AccessError, ApiError, Next, UsageError

__all__ = [
    "LiveService",
    "Sight",
    "Version",
    "asked_for",
    "follow_rollouts",
    "look",
    "pick",
    "services_of",
    "sight_lines",
    "tasks_of",
]

#: Reads in a row that may fail before watching is given up.
MOST_FAILURES = 5
#: Tasks that one DescribeTasks takes.
MOST_TASKS = 100


@dataclass(frozen=True)
class LiveService:
    """A service that is there, by what the set calls it. `raw` is DescribeServices' answer."""

    name: str
    arn: str
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def cluster(self) -> str:
        return cluster_in(self.arn)

    @property
    def ecs_name(self) -> str:
        """What ECS calls it."""
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


def services_of(aws: Aws, live: Live) -> dict[str, LiveService]:
    """The services that run in a set, by their names: found by what the stacks hold, whoever has made them."""
    declared = {service.arn: service.name for service in services_in(resources_of(aws, live.stack_id))}
    running = {
        declared[arn]: LiveService(declared[arn], arn, raw)
        for arn, raw in described(aws.read, declared).items()
        if raw.get("status") != "INACTIVE"
    }
    return dict(sorted(running.items()))


def asked_for(aws: Aws, live: Live, name: str) -> list[LiveService]:
    """The service of that name; all of them where none is named. Raises UsageError where there is none."""
    services = services_of(aws, live)
    if not services:
        raise UsageError(
            f"stack {live.name}: no service runs in it yet; give it an image", next=Next("deploy", ("--build",))
        )
    if name and name not in services:
        raise UsageError(
            f"--service {name}: none of that name runs in stack {live.name}; there is {', '.join(services)}"
        )
    return [services[name]] if name else [*services.values()]


def pick(aws: Aws, live: Live, name: str) -> LiveService:
    """The service of that name, which may be left out where there is one. Raises UsageError."""
    services = asked_for(aws, live, name)
    if len(services) > 1:
        names = ", ".join(service.name for service in services)
        raise UsageError(f"stack {live.name}: several services run in it, {names}; say which by --service NAME")
    return services[0]


def tasks_of(aws: Aws, service: LiveService) -> Iterator[Mapping[str, Any]]:
    """The tasks of a service that run or are to run, as DescribeTasks shows them."""
    arns: list[str] = []
    for page in aws.pages(
        "ecs", "list_tasks", cluster=service.cluster, serviceName=service.ecs_name, desiredStatus="RUNNING"
    ):
        arns += page.get("taskArns", [])
    for first in range(0, len(arns), MOST_TASKS):
        some = arns[first : first + MOST_TASKS]
        yield from aws.read("ecs", "describe_tasks", cluster=service.cluster, tasks=some).get("tasks", [])


def look(aws: Aws, service: LiveService) -> Sight | None:
    """What the newest deployment of a service looks like now; None where the service is gone."""
    raw = described(aws.once, [service.arn]).get(service.arn)
    if raw is None:
        return None
    newest = newest_of(aws, service.name, raw)
    tasks = list(tasks_of(aws, service))
    versions = tuple(
        _version(service.name, entry, tasks)
        for entry in raw.get("deployments", [])
        if entry.get("status") != "INACTIVE"
    )
    targets: Counter[str] = Counter()
    for balancer in raw.get("loadBalancers", []):
        if group := balancer.get("targetGroupArn"):
            targets += health_of(aws, group)
    messages = raw.get("events", [])
    return Sight(newest, versions, targets, str(messages[0].get("message", "")) if messages else "")


def _version(name: str, raw: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Version:
    """One version of the service of that name. Its image is that of its own container, not of those beside it."""
    definition = str(raw["taskDefinition"])
    own = [task for task in tasks if task.get("taskDefinitionArn") == definition]
    health = Counter(str(task.get("healthStatus", "UNKNOWN")) for task in own)
    containers = [container for task in own for container in task.get("containers", [])]
    named = [container for container in containers if container.get("name") == name] or containers
    digests = {digest for container in named if (digest := container.get("imageDigest"))}
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
    head = f"{newest.name}  ECS {newest.state}"
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


def follow_rollouts(aws: Aws, services: Iterable[LiveService], tell: Tell, *, end: float | None) -> Outcome:
    """Show the newest deployment of each service, and every change of it, until all have ended.

    Stops watching when the pace's clock shows `end`. A read that fails now and then decides nothing. Raises UsageError
    where a service is gone.
    """
    open_ = {service.name: service for service in services}
    shown: dict[str, Sight] = {}
    failures = 0
    for _ in aws.pace.turns(end):
        for name, service in [*open_.items()]:
            try:
                sight = look(aws, service)
                failures = 0
            except (ApiError, AccessError) as error:
                failures += 1
                denied = isinstance(error, AccessError) and error.kind == "denied"
                if denied or failures >= MOST_FAILURES:
                    raise
                tell(Note(f"{name}: not read: {error}", "warning"))
                aws.pace.slower()
                continue
            if sight is None:
                raise UsageError(f"service {name}: it is gone")
            if sight != shown.get(name):
                shown[name] = sight
                tell(_fact(sight))
            if DEPLOYMENTS.get(sight.rollout.state, "running") != "running":
                del open_[name]
        if not open_:
            return _outcome_of(shown)
    what = f"{', '.join(open_)}: stopped watching; what is deployed goes on"
    states = [shown[name].rollout.state for name in open_ if name in shown]
    return Outcome("still_running", what, next(iter(states), ""), next=Next("rollout"))


def _fact(sight: Sight) -> Fact:
    data = {
        "name": sight.rollout.name,
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


def _outcome_of(ended: Mapping[str, Sight]) -> Outcome:
    failed = {name: sight for name, sight in ended.items() if DEPLOYMENTS[sight.rollout.state] == "failed"}
    names, first = ", ".join(failed or ended), next(iter((failed or ended).values()))
    if not failed:
        deployments = "deployments are" if len(ended) > 1 else "deployment is"
        return Outcome("done", f"{names}: the {deployments} complete", first.rollout.state)
    return Outcome(
        "rolled_back",
        f"{names}: the deployment failed",
        first.rollout.state,
        reason="; ".join(f"{name}: {sight.rollout.reason or sight.message}" for name, sight in failed.items())
        if len(failed) > 1
        else first.rollout.reason or first.message,
        next=Next("diagnose"),
    )
