"""What ECS, the logs and the load balancer still know of a failure. Evidence: what cannot be read decides nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from scaleout_cfn.aws import SERVICE, cluster_in, name_in, title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.live import Live, Resource, resources_of
from scaleout_cfn.deploy.messages import Fact, Note, Tell
from scaleout_cfn.deploy.services.rollout import MOST_TASKS, ended_by, health_of, stops
from scaleout_cfn.deploy.watch.events import Event
from scaleout_cfn.errors import AccessError, ApiError, UsageError

MOST_MESSAGES = 5
MOST_KINDS = 3
LOG_LINES = 10
_ROUTINE = re.compile(r"has reached a steady state|has started \d+ tasks|registered \d+ targets|deployment completed")


def log_place(definition: Mapping[str, Any], container: str, task_arn: str) -> tuple[str, str] | None:
    """Log group and stream of a container of a task, by its task definition; None where awslogs writes nowhere.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
    """
    for declared in definition.get("containerDefinitions", []):
        settings = declared.get("logConfiguration", {})
        options = settings.get("options", {})
        if declared.get("name") == container and settings.get("logDriver") == "awslogs":
            prefix, group = options.get("awslogs-stream-prefix"), options.get("awslogs-group")
            if prefix and group:
                return group, f"{prefix}/{container}/{name_in(task_arn)}"
    return None


def rows_of(aws: Aws, live: Live, events: Sequence[Event], tell: Tell, service: str) -> Sequence[Event | Resource]:
    """What a set has, and had when these events were. Raises UsageError where the service is none of it."""
    try:
        rows: list[Event | Resource] = [*events, *resources_of(aws, live.stack_id)]
    except (ApiError, AccessError) as error:
        tell(Note(f"the stack's resources are not read: {error}", "warning"))
        return events
    names = {name for row in rows if (name := service_in(row.path)) != row.path or row.type == SERVICE}
    if service and service not in names:
        there = ", ".join(sorted(names)) or "none"
        raise UsageError(f"--service {service}: stack {live.name} has none of that name; there is {there}")
    return rows


def tell_evidence(
    aws: Aws, rows: Iterable[Event | Resource], tell: Tell, *, service: str = ""
) -> list[tuple[str, str]]:
    """Tell what ECS knows of every service among the rows, or of one, also where the rollback took it away.

    Returns the reasons, each with the name of its service.
    """
    found = {row.physical_id: row.path for row in rows if row.type == SERVICE and row.physical_id.startswith("arn:")}
    reasons: list[tuple[str, str]] = []
    for arn, path in found.items():
        name = service_in(path)
        if service in ("", name):
            reasons += [(name, reason) for reason in _tell_service(aws, arn, path, tell)]
    return reasons


def _tell_service(aws: Aws, arn: str, path: str, tell: Tell) -> list[str]:
    cluster = cluster_in(arn)
    asked = _Asked(tell, path)
    answer = asked("the service", {}, lambda: aws.read("ecs", "describe_services", cluster=cluster, services=[arn]))
    service: Mapping[str, Any] = next(iter(answer.get("services", [])), {})
    reasons = _tell_deployment(aws, arn, path, service, tell, asked)
    reasons += _tell_stopped(aws, arn, path, tell, asked)
    reasons += _tell_targets(aws, service, path, tell, asked)
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


def _tell_deployment(aws: Aws, arn: str, path: str, service: Mapping[str, Any], tell: Tell, asked: _Asked) -> list[str]:
    """The newest deployment that did not go well, and the last words of the service."""
    cluster = cluster_in(arn)

    def newest() -> Mapping[str, Any]:
        listed = aws.read("ecs", "list_service_deployments", cluster=cluster, service=arn).get("serviceDeployments", [])
        listed.sort(key=lambda raw: str(raw.get("createdAt", "")), reverse=True)
        bad = next((raw for raw in listed if raw.get("status") not in ("SUCCESSFUL", "PENDING")), None)
        if bad is None:
            return {}
        described = aws.read("ecs", "describe_service_deployments", serviceDeploymentArns=[bad["serviceDeploymentArn"]])
        return next(iter(described.get("serviceDeployments", [])), bad)

    deployment = asked("the deployments", {}, newest)
    messages = [
        str(raw.get("message", "")) for raw in service.get("events", []) if not _ROUTINE.search(str(raw.get("message")))
    ][:MOST_MESSAGES]
    reason = (deployment.get("rollback") or {}).get("reason") or deployment.get("statusReason", "")
    breaker = deployment.get("deploymentCircuitBreaker", {})
    alarms = (deployment.get("alarms") or {}).get("triggeredAlarmNames", [])
    lines = []
    if deployment:
        at = f" at {deployment['lifecycleStage']}" if deployment.get("lifecycleStage") else ""
        lines.append(f"{path}: ECS deployment {deployment.get('status')}{at}  {reason}".rstrip())
        if why := ended_by(deployment):
            lines.append(f"  given up by {why}")
        if breaker.get("failureCount") and breaker.get("status") != "TRIGGERED":
            lines.append(f"  {breaker['failureCount']} of {breaker.get('threshold', '?')} failures that it takes")
    if messages:
        lines += [f"{path}: last messages of the service", *(f"  {message}" for message in messages)]
    if lines:
        data = {
            "path": path,
            "service": arn,
            "status": deployment.get("status", ""),
            "stage": deployment.get("lifecycleStage", ""),
            "ended_by": ended_by(deployment),
            "reason": reason,
            "failures": breaker.get("failureCount", 0),
            "threshold": breaker.get("threshold", 0),
            "alarms": alarms,
            "messages": messages,
        }
        tell(Fact("deployment", tuple(lines), data))
    return [*messages, *([reason] if reason else [])]


def _tell_stopped(aws: Aws, arn: str, path: str, tell: Tell, asked: _Asked) -> list[str]:
    """Why tasks stopped, and the last lines that they wrote. ECS knows a stopped task for an hour."""
    cluster = cluster_in(arn)

    def read() -> list[Mapping[str, Any]]:
        name = name_in(arn)
        listed: list[str] = []
        for page in aws.pages("ecs", "list_tasks", cluster=cluster, serviceName=name, desiredStatus="STOPPED"):
            listed += page.get("taskArns", [])
            if len(listed) >= MOST_TASKS:
                break
        if not listed:
            return []
        return list(aws.read("ecs", "describe_tasks", cluster=cluster, tasks=listed[:MOST_TASKS])["tasks"])

    reasons: list[str] = []
    for stop in stops(asked("stopped tasks", [], read))[:MOST_KINDS]:
        words = f"{path}: {stop.count} task{'s' if stop.count > 1 else ''} stopped  {stop.code}  {stop.reason}"
        logs = asked("the log", {}, partial(_logs, aws, stop.task))
        lines = [words.rstrip(), *(f"  container {container}" for container in stop.containers)]
        for stream, said in logs.items():
            lines += [f"  last lines of {stream}", *(f"    {line}" for line in said)]
        data = {
            "path": path,
            "task": stop.task.get("taskArn", ""),
            "count": stop.count,
            "code": stop.code,
            "reason": stop.reason,
            "containers": list(stop.containers),
            "logs": logs,
        }
        tell(Fact("stopped", tuple(lines), data))
        reasons += [*stop.containers, stop.reason, *(line for said in logs.values() for line in said)]
    return reasons


def _logs(aws: Aws, task: Mapping[str, Any]) -> dict[str, list[str]]:
    """The last lines of each container of a task, by `group stream`."""
    answer = aws.read("ecs", "describe_task_definition", taskDefinition=task["taskDefinitionArn"])
    logs = {}
    for container in task.get("containers", []):
        place = log_place(answer["taskDefinition"], str(container.get("name")), str(task["taskArn"]))
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
            logs[f"{group} {stream}"] = lines
    return logs


def _tell_targets(aws: Aws, service: Mapping[str, Any], path: str, tell: Tell, asked: _Asked) -> list[str]:
    """Which targets are not healthy, and why."""
    reasons: list[str] = []
    for arn in [entry["targetGroupArn"] for entry in service.get("loadBalancers", []) if entry.get("targetGroupArn")]:
        question = partial(health_of, aws, arn, "Reason", "Description")
        counts = asked("target health", {}, question)
        sick = {words: count for words, count in counts.items() if not words.startswith("healthy")}
        if sick:
            lines = [f"{path}: targets of {title_in(arn)}", *(f"  {n} {words}" for words, n in counts.items())]
            tell(Fact("targets", tuple(lines), {"path": path, "target_group": arn, "health": dict(counts)}))
            reasons += sick
    return reasons
