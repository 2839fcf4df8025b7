"""The ECS services of a set as they run now: their versions old and new, and their tasks. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from scaleout_cfn.aws import cluster_in, name_in, title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.live import Live, resources_of
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Rollout, Tell
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, described, health_of, last_stop, newest_of, services_in
from scaleout_cfn.deploy.services.traffic import answers, groups_of, traffic_of, trial_line, waiting_lines
from scaleout_cfn.errors import AccessError, ApiError, Next, UsageError

#: Reads in a row that may fail before watching is given up.
MOST_FAILURES = 5
#: Tasks that one DescribeTasks takes.
MOST_TASKS = 100


@dataclass(frozen=True)
class LiveService:
    """A service that is there, by what the set calls it. `raw` is DescribeServices' answer."""

    name: str
    arn: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def cluster(self) -> str:
        return cluster_in(self.arn)

    @property
    def ecs_name(self) -> str:
        return name_in(self.arn)


@dataclass(frozen=True)
class Version:
    """One side of a deployment. `health` counts its tasks by health; `image` is the digest that they run; `group` the
    name of the target group that they are in, `traffic` and `tests` the percent that ECS gives it, where it says."""

    role: str
    definition: str
    running: int
    pending: int
    desired: int
    failed: int
    health: Mapping[str, int]
    image: str = ""
    group: str = ""
    traffic: float | None = None
    tests: float | None = None


@dataclass(frozen=True)
class Group:
    """A target group, its targets by their health, and its weight in the rule between several."""

    name: str
    targets: Mapping[str, int]
    weight: int | None = None


@dataclass(frozen=True)
class Sight:
    """A deployment at one moment. `message` is ECS's newest, `test` what makes a request a test of the new version."""

    rollout: Rollout
    versions: tuple[Version, ...]
    groups: tuple[Group, ...]
    message: str = ""
    test: str = ""

    @property
    def targets(self) -> Mapping[str, int]:
        return sum((Counter(group.targets) for group in self.groups), Counter[str]())


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
    traffic = traffic_of(aws, raw)
    if newest.shifts and newest.revisions:
        versions = tuple(_moving(aws, newest, tasks))
    else:
        versions = tuple(
            _version(service.name, entry, tasks)
            for entry in raw.get("deployments", [])
            if entry.get("status") != "INACTIVE"
        )
    groups = tuple(
        Group(title_in(arn), health_of(aws, arn), traffic.weights.get(arn, 0) if traffic.weights else None)
        for arn in groups_of(raw)
    )
    messages = raw.get("events", [])
    return Sight(newest, versions, groups, str(messages[0].get("message", "")) if messages else "", traffic.test)


def revisions_of(aws: Aws, arns: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The versions by ARN, at most twenty, without those that ECS has forgotten.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html
    """
    asked = sorted({*arns} - {""})
    if not asked:
        return {}
    answer = aws.read("ecs", "describe_service_revisions", serviceRevisionArns=asked)
    return {raw["serviceRevisionArn"]: raw for raw in answer.get("serviceRevisions", [])}


def own_image(revision: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The image of the container of that name in a version, or of its first one."""
    images: Sequence[Mapping[str, Any]] = revision.get("containerImages", [])
    return next((each for each in images if each.get("containerName") == name), images[0] if images else {})


def _moving(aws: Aws, newest: Rollout, tasks: Sequence[Mapping[str, Any]]) -> Iterator[Version]:
    """The versions of a deployment that moves traffic: what ECS knows of each, and which group its tasks are in."""
    known = revisions_of(aws, (revision.arn for revision in newest.revisions))
    for revision in newest.revisions:
        raw = known.get(revision.arn, {})
        definition = str(raw.get("taskDefinition", ""))
        resolved = raw.get("resolvedConfiguration", {}).get("loadBalancers", [])
        group = next((title_in(entry["targetGroupArn"]) for entry in resolved if entry.get("targetGroupArn")), "")
        yield Version(
            role=revision.role,
            definition=name_in(definition) or name_in(revision.arn),
            running=revision.running,
            pending=revision.pending,
            desired=revision.desired,
            failed=newest.failed if revision.role == "new" else 0,
            health=_health(definition, tasks),
            image=own_image(raw, newest.name).get("imageDigest", ""),
            group=group,
            traffic=revision.traffic,
            tests=revision.tests,
        )


def _health(definition: str, tasks: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(
        str(task.get("healthStatus", "UNKNOWN")) for task in tasks if task.get("taskDefinitionArn") == definition
    )


def _version(name: str, raw: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Version:
    """One version of the service of that name. Its image is that of its own container, not of those beside it."""
    definition = str(raw["taskDefinition"])
    own = [task for task in tasks if task.get("taskDefinitionArn") == definition]
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
        health=_health(definition, own),
        image=digests.pop() if len(digests) == 1 else "",
    )


def sight_lines(sight: Sight, now: datetime) -> list[str]:
    """A deployment as lines: each version, what the circuit breaker counts, the targets, what it waits for, and ECS's
    last word."""
    newest = sight.rollout
    parts = [f"{newest.name}  ECS {newest.state}", newest.strategy if newest.shifts else "", newest.stage]
    lines = ["  ".join(part for part in parts if part)]
    lines += [_version_line(version) for version in sight.versions]
    if newest.threshold:
        lines.append(f"  circuit breaker  {newest.failed} of {newest.threshold} failures")
    several = any(group.weight is not None for group in sight.groups)
    for group in sight.groups if several else [Group("", sight.targets)] if sight.targets else []:
        counts = ", ".join(f"{count} {word}" for word, count in sorted(group.targets.items())) or "none registered"
        lines.append(f"  targets  {f'{group.name}  weight {group.weight or 0}  ' if several else ''}{counts}")
    lines += [f"  {line}" for line in waiting_lines(newest, now)]
    if newest.paused and sight.test:
        lines.append(f"  {trial_line(sight.test)}")
    if newest.ringing or (newest.alarms and DEPLOYMENTS.get(newest.state) == "running"):
        ringing = f"; {', '.join(newest.ringing)} went off" if newest.ringing else ""
        lines.append(f"  watched by {', '.join(newest.alarms)}{ringing}")
    if words_of := newest.reason or sight.message:
        lines.append(f"  {words_of}")
    return lines


def _version_line(version: Version) -> str:
    words = [f"  {version.role}  {version.definition}  {version.running} of {version.desired} running"]
    counts = {"pending": version.pending, "failed": version.failed}
    words += [f"{count} {word}" for word, count in counts.items() if count]
    words += [f"{count} {word.lower()}" for word, count in sorted(version.health.items()) if word != "UNKNOWN"]
    if version.traffic is not None:
        words.append(f"{version.traffic:g} % of traffic")
    if version.tests:
        words.append(f"{version.tests:g} % of tests")
    parts = [", ".join(words), version.image[:19], f"in {version.group}" if version.group else ""]
    return "  ".join(part for part in parts if part)


def follow_rollouts(
    aws: Aws,
    services: Iterable[LiveService],
    tell: Tell,
    *,
    end: float | None,
    answered: Collection[str] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Outcome:
    """Show the newest deployment of each service, and every change of it, until all have ended.

    Stops watching when the pace's clock shows `end`, and where `answered` is given at a pause whose id is none of it.
    A read that fails now and then decides nothing. Raises UsageError where a service is gone.
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
                tell(_fact(sight, now()))
            if answered is not None and any(hook.id not in answered for hook in sight.rollout.paused):
                what = f"{name}: it waits for an answer again, at {sight.rollout.stage}"
                return Outcome("still_running", what, sight.rollout.state, next=answers(name))
            if DEPLOYMENTS.get(sight.rollout.state, "running") != "running":
                del open_[name]
        if not open_:
            return _outcome_of(aws, shown)
    what = f"{', '.join(open_)}: stopped watching; what is deployed goes on"
    rollouts = [shown[name].rollout for name in open_ if name in shown]
    waits = next((answers(newest.name) for newest in rollouts if newest.paused), Next("rollout"))
    return Outcome("still_running", what, next((newest.state for newest in rollouts), ""), next=waits)


def _fact(sight: Sight, now: datetime) -> Fact:
    newest = sight.rollout
    data = {
        "name": newest.name,
        "service": newest.service,
        "state": newest.state,
        "strategy": newest.strategy,
        "stage": newest.stage,
        "reason": newest.reason,
        "failures": newest.failed,
        "threshold": newest.threshold,
        "versions": [vars(version) for version in sight.versions],
        "groups": [vars(group) for group in sight.groups],
        "targets": dict(sight.targets),
        "hooks": [asdict(hook) for hook in newest.hooks],
        "until": newest.until,
        "alarms": list(newest.alarms),
        "ringing": list(newest.ringing),
        "test": sight.test,
        "message": sight.message,
    }
    return Fact("versions", tuple(sight_lines(sight, now)), data, next=answers(newest.name) if newest.paused else None)


def _outcome_of(aws: Aws, ended: Mapping[str, Sight]) -> Outcome:
    failed = {name: sight for name, sight in ended.items() if DEPLOYMENTS[sight.rollout.state] == "failed"}
    names, first = ", ".join(failed or ended), next(iter((failed or ended).values()))
    if not failed:
        deployments = "deployments are" if len(ended) > 1 else "deployment is"
        return Outcome("done", f"{names}: the {deployments} complete", first.rollout.state)
    reasons = []
    for name, sight in failed.items():
        why = [sight.rollout.reason or sight.message, last_stop(aws, sight.rollout.service)]
        reasons.append(f"{name}: " * (len(failed) > 1) + "; ".join(filter(None, why)))
    return Outcome(
        "rolled_back",
        f"{names}: the deployment failed",
        first.rollout.state,
        reason="; ".join(reasons),
        next=Next("diagnose"),
    )
