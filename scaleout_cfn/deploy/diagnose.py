"""The first cause of a failure, at any later time: nested events, and what ECS, the logs and the balancer still know.

What the events say is the diagnosis. All else is evidence, read as far as it can be: what may not be read, or is
gone, is told and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from scaleout_cfn.deploy.aws import Aws
from scaleout_cfn.deploy.events import STARTS, Event, History, first_cause
from scaleout_cfn.deploy.live import Live, find, inventory
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.errors import AccessError, ApiError, UsageError

__all__ = ["Attempt", "Stop", "attempts", "diagnose", "hint", "log_place", "newest_failure", "stops"]

SERVICE = "AWS::ECS::Service"
#: How far back operations are looked at for one that failed.
MOST_ATTEMPTS = 20
MOST_MESSAGES = 5
MOST_TASKS = 100
MOST_KINDS = 3
LOG_LINES = 10
_ROUTINE = re.compile(r"has reached a steady state|has started \d+ tasks|registered \d+ targets|deployment completed")

#: What is known of messages of AWS: a pattern, and what to do.
HINTS = (
    (
        r"CannotPull(Container|Image)|pull image|manifest unknown|not found: manifest",
        "the image is not there, or may not be pulled: check its tag or digest, the repository's region, and "
        "the way out of the nodes",
    ),
    (
        r"exec format error|no matching manifest|does not match the (specified )?platform",
        "the image is built for another CPU than the nodes have: build it for both, or change cluster.instance_types",
    ),
    (
        r"OutOfMemory|OOM|exit(ed with)?( code)?:? ?137",
        "the container used more memory than it may: raise service.memory_mib, or make the application use less",
    ),
    (
        r"unable to place a task|MemberOf placement constraint|RESOURCE:(CPU|MEMORY|PORTS|ENI)",
        "no node has room: raise cluster.max_nodes, take larger instance_types, or smaller tasks",
    ),
    (
        r"No Container Instances were found|no container instances met",
        "no node has joined the cluster: look at the Auto Scaling group's activities and the nodes' way out to ECS",
    ),
    (
        r"ResourceInitializationError|unable to (pull|retrieve|fetch) secret|secrets manager|ssm parameter",
        "a secret could not be read before the start: check its ARN and region, and that the execution role "
        "may read it",
    ),
    (
        r"[Hh]ealth checks? failed|failed [A-Za-z ]*health checks|Target\.(Failed|Response|Timeout)",
        "the application does not answer the health check: check health_check.path, the port, and how long it "
        "takes to start (service.deployment.health_check_grace_s)",
    ),
    (
        r"[Ee]ssential container",
        "the application ended by itself: its last log lines say why",
    ),
    (
        r"circuit breaker",
        "tasks of the new version failed again and again: why they stopped is what counts",
    ),
    (
        r"service.linked role",
        "this account is new to the service: set create_service_linked_role to true once",
    ),
    (
        r"LimitExceeded|quota|maximum number of|limit has been (reached|exceeded)",
        "a quota is used up: ask for more in Service Quotas, or delete what is not needed",
    ),
    (
        r"not authorized|AccessDenied|is not allowed|UnauthorizedOperation",
        "a permission is missing: scaleout-cfn policies prints what CloudFormation's role needs",
    ),
    (
        r"already exists",
        "something of that name is there already: rename it, import it, or delete the old one",
    ),
    (
        r"not empty|contains images",
        "it still holds data: scaleout-cfn destroy --empty with its path",
    ),
    (
        r"did not stabilize|failed to stabilize|Exceeded attempts to wait",
        "CloudFormation waited in vain; the reason is with the service itself: its events, tasks and targets",
    ),
    (
        r"Received \d+ (FAILURE|SUCCESS) signal|Failed to receive \d+ resource signal",
        "nodes did not report in time: see /var/log/cloud-init-output.log on one of them",
    ),
)


def hint(text: str) -> str:
    """What to do about a message of AWS; empty where nothing is known."""
    return next((cure for pattern, cure in HINTS if re.search(pattern, text)), "")


@dataclass(frozen=True)
class Attempt:
    """One operation of the root: its raw events, newest first, and when the next one began."""

    events: tuple[Mapping[str, Any], ...]
    until: datetime | None = None

    @property
    def failed(self) -> bool:
        """Whether anything in it failed or was rolled back."""
        statuses = [str(one.get("ResourceStatus", "")) for one in self.events]
        return any(status.endswith("_FAILED") or "ROLLBACK" in status for status in statuses)


def attempts(pages: Iterable[Mapping[str, Any]]) -> Iterator[Attempt]:
    """The operations of a root stack, newest first, of pages of its events, newest first. Reads no more than needed.

    A rollback belongs to the operation that it takes back.
    """
    events: list[Mapping[str, Any]] = []
    until: datetime | None = None
    for page in pages:
        for raw in page.get("StackEvents", []):
            events.append(raw)
            own = raw.get("PhysicalResourceId") == raw["StackId"]
            if own and raw.get("ResourceStatus") in STARTS:
                yield Attempt(tuple(events), until)
                until = raw["Timestamp"]
                events = []
    if events:  # AWS forgets events after 90 days
        yield Attempt(tuple(events), until)


def newest_failure(pages: Iterable[Mapping[str, Any]]) -> tuple[Attempt | None, int]:
    """The newest operation in which something failed, and how many have gone well since."""
    for number, attempt in enumerate(attempts(pages)):
        if attempt.failed:
            return attempt, number
        if number + 1 >= MOST_ATTEMPTS:
            break
    return None, 0


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
    found = [
        Stop(reason, code, containers, len(group), max(group, key=_stopped_at))
        for (reason, code, containers), group in groups.items()
    ]
    return sorted(found, key=lambda one: (one.code in ("ServiceSchedulerInitiated", "UserInitiated"), -one.count))


def _stopped_at(task: Mapping[str, Any]) -> str:
    return str(task.get("stoppedAt", ""))


def _containers(task: Mapping[str, Any]) -> Iterator[str]:
    for one in task.get("containers", []):
        code = one.get("exitCode")
        if code or one.get("reason"):
            words = [one.get("name", "container"), f"exit {code}" if code is not None else "", one.get("reason", "")]
            yield " ".join(word for word in words if word)


def log_place(definition: Mapping[str, Any], container: str, task_arn: str) -> tuple[str, str] | None:
    """Log group and stream of a container of a task, by its task definition; None where awslogs writes nowhere.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
    """
    for one in definition.get("containerDefinitions", []):
        settings = one.get("logConfiguration", {})
        options = settings.get("options", {})
        if one.get("name") == container and settings.get("logDriver") == "awslogs":
            prefix, group = options.get("awslogs-stream-prefix"), options.get("awslogs-group")
            if prefix and group:
                return group, f"{prefix}/{container}/{task_arn.rpartition('/')[2]}"
    return None


def diagnose(aws: Aws, stack: str, tell: Tell) -> Outcome:
    """Say what failed first and why, of the newest operation in which anything did. Changes nothing.

    Raises UsageError when there is no such stack; one that is deleted is found by its ARN.
    """
    live = find(aws, stack)
    if live is None:
        raise UsageError(
            f"stack {stack}: there is none in {aws.region}; one that is gone is found by its ARN: --stack ARN"
        )
    # The events are what was asked for: not to be allowed to read them is an error.
    pages = aws.pages("cloudformation", "describe_stack_events", StackName=live.stack_id)
    attempt, since = newest_failure(pages)
    events = _read(aws, live, attempt, tell) if attempt else []
    cause = first_cause(events)
    if cause is not None:
        tell(_headline(cause, events, since))
    running = since == 0 and live.meaning.end == "running"
    evidence = _services(aws, live, events, tell)
    # What ECS says comes first: CloudFormation's reason is often only that it waited in vain.
    cure = next((found for found in map(hint, [*evidence, cause.reason if cause else ""]) if found), "")
    if cure:
        tell(Fact("hint", (f"hint: {cure}",), {"text": cure}))
    if cause is None:
        what = "an operation is at work, and nothing has failed so far" if running else "nothing has failed"
        return Outcome("healthy", 0, f"{live.name}: {what}", live.status, live.stack_id, reason=live.reason)
    ago = f", {since} operation{'s' if since > 1 else ''} ago; it went well since" if since else ""
    return Outcome(
        "diagnosed",
        0,
        f"{live.name}: {cause.path or 'the root'} failed first{ago}",
        live.status,
        live.stack_id,
        cause=cause,
        reason=cause.reason or live.reason,
        next_command="" if since else live.meaning.next_command.replace("scaleout-cfn diagnose", _AGAIN),
    )


_AGAIN = "put right what the cause says, then scaleout-cfn deploy"


def _read(aws: Aws, live: Live, attempt: Attempt, tell: Tell) -> list[Event]:
    """All events of an operation: those of the root, and of every stack nested in it, up to the next operation."""
    history = History(live.stack_id)
    # The oldest event begins the operation, or it has been forgotten: then what is left begins it.
    history.begun = attempt.events[-1]["Timestamp"]
    history.take(live.stack_id, [{"StackEvents": attempt.events}])
    read = {live.stack_id}
    while waiting := [stack_id for stack_id in history.active if stack_id not in read]:
        for stack_id in waiting:
            read.add(stack_id)
            pages = aws.pages("cloudformation", "describe_stack_events", StackName=stack_id)
            try:
                history.take(stack_id, _before(pages, attempt.until))
            except (ApiError, AccessError) as error:
                tell(Note(f"events of {stack_id.split('/')[1]} not read: {error}", "warning"))
    return sorted(history.events, key=lambda event: event.time)


def _before(pages: Iterable[Mapping[str, Any]], until: datetime | None) -> Iterator[Mapping[str, Any]]:
    for page in pages:
        yield {"StackEvents": [raw for raw in page["StackEvents"] if until is None or raw["Timestamp"] < until]}


def _headline(cause: Event, events: Sequence[Event], since: int) -> Fact:
    failed = [event for event in events if event.failed and event is not cause]
    lines = [
        f"first cause  {cause.path or 'the root'}  {cause.type}  {cause.status}  {cause.time:%Y-%m-%d %H:%M:%SZ}",
        f"  {cause.reason or 'CloudFormation gives no reason'}",
    ]
    if failed:
        paths = list(dict.fromkeys(event.path or "the root" for event in failed))
        more = f" and {len(paths) - 8} more" if len(paths) > 8 else ""
        lines.append(f"  after it failed: {', '.join(paths[:8])}{more}")
    data = {
        "path": cause.path,
        "resource_type": cause.type,
        "status": cause.status,
        "reason": cause.reason,
        "time": cause.time.isoformat(),
        "physical_id": cause.physical_id,
        "operations_since": since,
        "consequences": list(dict.fromkeys(event.path for event in failed)),
    }
    return Fact("cause", tuple(lines), data)


def _services(aws: Aws, live: Live, events: Sequence[Event], tell: Tell) -> list[str]:
    """Tell what ECS knows of every service of the set, also of one that the rollback took away. Returns the reasons."""
    arns = {one.physical_id: one.path for one in events if one.type == SERVICE and one.physical_id.startswith("arn:")}
    try:
        arns |= {one.physical_id: one.path for one in inventory(aws, live.stack_id) if one.type == SERVICE}
    except (ApiError, AccessError) as error:
        tell(Note(f"the stack's resources are not read: {error}", "warning"))
    found: list[str] = []
    for arn, path in arns.items():
        if arn.startswith("arn:"):
            found += _service(aws, arn, path, tell)
    return found


def _service(aws: Aws, arn: str, path: str, tell: Tell) -> list[str]:
    cluster = arn.split("/")[-2]
    asked = _Asked(tell, path)
    answer = asked("the service", {}, lambda: aws.read("ecs", "describe_services", cluster=cluster, services=[arn]))
    service: Mapping[str, Any] = next(iter(answer.get("services", [])), {})
    reasons = _deployment(aws, arn, path, service, tell, asked)
    reasons += _stopped(aws, arn, path, tell, asked)
    reasons += _targets(aws, service, path, tell, asked)
    return reasons


class _Asked:
    """A question whose answer is evidence and nothing more: what cannot be read is told, and the rest goes on."""

    def __init__(self, tell: Tell, path: str) -> None:
        self._tell, self._path = tell, path

    def __call__(self, what: str, otherwise: Any, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except (ApiError, AccessError) as error:
            gone = isinstance(error, ApiError) and error.kind == "missing"
            self._tell(Note(f"{self._path}: {what} {'is gone' if gone else f'not read: {error}'}", "warning"))
            return otherwise


def _deployment(aws: Aws, arn: str, path: str, service: Mapping[str, Any], tell: Tell, asked: _Asked) -> list[str]:
    """The newest deployment that did not go well, and the last words of the service."""
    cluster = arn.split("/")[-2]

    def newest() -> Mapping[str, Any]:
        listed = aws.read("ecs", "list_service_deployments", cluster=cluster, service=arn).get("serviceDeployments", [])
        listed.sort(key=lambda one: str(one.get("createdAt", "")), reverse=True)
        bad = next((one for one in listed if one.get("status") not in ("SUCCESSFUL", "PENDING")), None)
        if bad is None:
            return {}
        described = aws.read("ecs", "describe_service_deployments", serviceDeploymentArns=[bad["serviceDeploymentArn"]])
        return next(iter(described.get("serviceDeployments", [])), bad)

    deployment = asked("the deployments", {}, newest)
    messages = [
        str(one.get("message", "")) for one in service.get("events", []) if not _ROUTINE.search(str(one.get("message")))
    ][:MOST_MESSAGES]
    reason = (deployment.get("rollback") or {}).get("reason") or deployment.get("statusReason", "")
    breaker = deployment.get("deploymentCircuitBreaker", {})
    alarms = (deployment.get("alarms") or {}).get("triggeredAlarmNames", [])
    lines = []
    if deployment:
        lines.append(f"{path}: ECS deployment {deployment.get('status')}  {reason}".rstrip())
        if breaker.get("failureCount"):
            lines.append(f"  {breaker['failureCount']} of {breaker.get('threshold', '?')} failures that it takes")
        lines += [f"  alarm {name} went off" for name in alarms]
    if messages:
        lines += [f"{path}: last messages of the service", *(f"  {message}" for message in messages)]
    if lines:
        data = {
            "path": path,
            "service": arn,
            "status": deployment.get("status", ""),
            "reason": reason,
            "failures": breaker.get("failureCount", 0),
            "threshold": breaker.get("threshold", 0),
            "alarms": alarms,
            "messages": messages,
        }
        tell(Fact("deployment", tuple(lines), data))
    return [*messages, *([reason] if reason else [])]


def _stopped(aws: Aws, arn: str, path: str, tell: Tell, asked: _Asked) -> list[str]:
    """Why tasks stopped, and the last lines that they wrote. ECS knows a stopped task for an hour."""
    cluster = arn.split("/")[-2]

    def read() -> list[Mapping[str, Any]]:
        name = arn.rpartition("/")[2]
        listed: list[str] = []
        for page in aws.pages("ecs", "list_tasks", cluster=cluster, serviceName=name, desiredStatus="STOPPED"):
            listed += page.get("taskArns", [])
            if len(listed) >= MOST_TASKS:
                break
        if not listed:
            return []
        return list(aws.read("ecs", "describe_tasks", cluster=cluster, tasks=listed[:MOST_TASKS])["tasks"])

    reasons: list[str] = []
    for one in stops(asked("stopped tasks", [], read))[:MOST_KINDS]:
        words = f"{path}: {one.count} task{'s' if one.count > 1 else ''} stopped  {one.code}  {one.reason}"
        logs = asked("the log", {}, partial(_logs, aws, one.task))
        lines = [words.rstrip(), *(f"  container {container}" for container in one.containers)]
        for stream, said in logs.items():
            lines += [f"  last lines of {stream}", *(f"    {line}" for line in said)]
        data = {
            "path": path,
            "task": one.task.get("taskArn", ""),
            "count": one.count,
            "code": one.code,
            "reason": one.reason,
            "containers": list(one.containers),
            "logs": logs,
        }
        tell(Fact("stopped", tuple(lines), data))
        reasons += [*one.containers, one.reason, *(line for said in logs.values() for line in said)]
    return reasons


def _logs(aws: Aws, task: Mapping[str, Any]) -> dict[str, list[str]]:
    """The last lines of each container of a task, by `group stream`."""
    answer = aws.read("ecs", "describe_task_definition", taskDefinition=task["taskDefinitionArn"])
    found = {}
    for one in task.get("containers", []):
        place = log_place(answer["taskDefinition"], str(one.get("name")), str(task["taskArn"]))
        if place is None:
            continue
        group, stream = place
        try:
            page = aws.read(
                "logs", "get_log_events", logGroupName=group, logStreamName=stream, limit=LOG_LINES, startFromHead=False
            )
        except ApiError as error:
            if error.kind == "missing":  # it wrote nothing
                continue
            raise
        if lines := [str(event["message"]).rstrip() for event in page.get("events", [])]:
            found[f"{group} {stream}"] = lines
    return found


def _targets(aws: Aws, service: Mapping[str, Any], path: str, tell: Tell, asked: _Asked) -> list[str]:
    """Which targets are not healthy, and why."""
    reasons: list[str] = []
    for arn in [one["targetGroupArn"] for one in service.get("loadBalancers", []) if one.get("targetGroupArn")]:
        question = partial(aws.read, "elbv2", "describe_target_health", TargetGroupArn=arn)
        answer = asked("target health", {}, question)
        counts: dict[str, int] = {}
        for one in answer.get("TargetHealthDescriptions", []):
            health = one["TargetHealth"]
            words = " ".join(health.get(name, "") for name in ("State", "Reason", "Description")).strip()
            counts[words] = counts.get(words, 0) + 1
        sick = {words: count for words, count in counts.items() if not words.startswith("healthy")}
        if sick:
            lines = [f"{path}: targets of {arn.split('/')[-2]}", *(f"  {n} {words}" for words, n in counts.items())]
            tell(Fact("targets", tuple(lines), {"path": path, "target_group": arn, "health": counts}))
            reasons += sick
    return reasons
