"""A shell in a running task, and a task of its own that runs one command with the service's definition."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaleout_cfn.aws import name_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.messages import Exit, Note, Outcome, Tell
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import logs
from scaleout_cfn.deploy.services.evidence import log_place
from scaleout_cfn.deploy.services.service import LiveService, tasks_of
from scaleout_cfn.errors import AccessError, ApiError, BusyError, DeployError, Next, RefusedError, UsageError

PLUGIN = "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"
AWS_CLI = "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
TRIES = 5
#: Reads of the log after the task has stopped: its last lines come in a little later.
LAST_READS = 3
#: Reads until a task is shown that was begun: what ECS tells of it may be older than its beginning.
FIRST_READS = 20


def exec_command(
    aws: Aws,
    service: LiveService,
    task_id: str,
    command: Sequence[str],
    which: Callable[[str], str | None] = shutil.which,
    session: Callable[[str, str], Sequence[str]] | None = None,
) -> list[str]:
    """The AWS CLI's command line that opens a session in a task: the newest that takes one, or the one that is named.
    With `session`, of the task's ARN and the container's name, it is that with the command behind it.

    Raises RefusedError where the service or its tasks take no session, UsageError where a program is missing.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec-run.html
    """
    if not service.raw.get("enableExecuteCommand"):
        raise RefusedError(
            f"service {service.name}: services.{service.name}.exec is off, so its tasks take no session",
            state="nothing was changed",
            next=Next(
                "deploy",
                tuple(
                    word
                    for setting in ("exec=true", "read_only=false")
                    for word in ("--set", f"services.{service.name}.{setting}")
                ),
                "which replaces the tasks",
                Next("run", ("--service", service.name, "--", "COMMAND"), "which needs neither"),
            ),
        )
    if session is not None:
        task = _to_enter(list(tasks_of(aws, service)), task_id, service)
        return [*session(task["taskArn"], container_of(service, task)), *command]
    program = which("aws")
    needed = {"aws": AWS_CLI, "session-manager-plugin": PLUGIN}
    missing = [f"{name}: {page}" for name, page in needed.items() if not which(name)]
    if missing or program is None:
        raise UsageError(f"a session needs the AWS CLI and its plug-in. Not on PATH: {'; '.join(missing)}")
    task = _to_enter(list(tasks_of(aws, service)), task_id, service)
    target = aws.target
    options = [
        *(["--profile", target.profile] if target.profile else []),
        *(["--endpoint-url", target.endpoint_url] if target.endpoint_url else []),
    ]
    return [
        program, "ecs", "execute-command", "--region", aws.region, *options, "--cluster", service.cluster,
        "--task", task["taskArn"], "--container", container_of(service, task), "--interactive",
        "--command", shlex.join(command),
    ]  # fmt: skip


def _to_enter(tasks: Sequence[Mapping[str, Any]], task_id: str, service: LiveService) -> Mapping[str, Any]:
    running = [task for task in tasks if task.get("lastStatus") == "RUNNING"]
    if task_id:
        running = [task for task in running if name_in(str(task["taskArn"])).startswith(task_id)]
    if not running:
        which = f"task {task_id} of it" if task_id else "task of it"
        shows = Next("rollout", ("--service", service.name), "to see what does")
        raise UsageError(f"service {service.name}: no {which} runs", next=shows)
    ready = [task for task in running if _has_agent(task)]
    if not ready:
        raise RefusedError(
            f"service {service.name}: of {len(running)} running tasks none takes a session. They are older than"
            f" services.{service.name}.exec, or the agent in them does not run",
            state="nothing was changed",
            next=Next(
                "rollout",
                instead=Next(
                    words="for new tasks, aws ecs update-service --force-new-deployment"
                    f" --cluster {service.cluster} --service {service.ecs_name}"
                ),
            ),
        )
    return max(ready, key=lambda task: str(task.get("startedAt", "")))


def _has_agent(task: Mapping[str, Any]) -> bool:
    agents = [agent for container in task.get("containers", []) for agent in container.get("managedAgents", [])]
    return bool(task.get("enableExecuteCommand")) and any(
        agent.get("name") == "ExecuteCommandAgent" and agent.get("lastStatus") == "RUNNING" for agent in agents
    )


def container_of(service: LiveService, task: Mapping[str, Any]) -> str:
    """The container that serves: the one that has the service's name, for a sidecar may be in front of it and ECS adds
    some of its own, else the one behind the load balancer, else the first."""
    return _serving(service, [str(raw["name"]) for raw in task["containers"]])


def _serving(service: LiveService, names: Sequence[str]) -> str:
    behind = [str(raw["containerName"]) for raw in service.raw.get("loadBalancers", []) if raw.get("containerName")]
    return next((name for name in (service.name, *behind) if name in names), names[0])


@dataclass(frozen=True)
class RunningTask:
    """A task that was begun, and where it writes; no group where its log goes nowhere that is known."""

    service: str
    arn: str
    cluster: str
    container: str
    group: str = ""
    stream: str = ""
    #: Whether it is a run of the job of that name.
    is_job: bool = False

    def placed(self, aws: Aws, definition: str) -> RunningTask:
        """The same, with the place that it writes to by its task definition."""
        group, stream = log_place(_definition(aws, definition), self.container, self.arn) or ("", "")
        return replace(self, group=group, stream=stream)


def start(aws: Aws, service: LiveService, command: Sequence[str], token: str) -> RunningTask:
    """Begin one task with the service's task definition, network and capacity, that runs the command instead.

    It is none of the service's tasks: it gets no traffic, and is not replaced when it ends. The token makes it safe to
    ask again where the answer was unclear: AWS then names the task that it began. Raises BusyError where there is no
    room, DeployError where AWS gives no clear answer.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
    """
    definition = _definition(aws, service.raw["taskDefinition"])
    names = [str(raw["name"]) for raw in definition.get("containerDefinitions", [])]
    container = _serving(service, names)
    asked: dict[str, Any] = {
        "cluster": service.cluster,
        "taskDefinition": service.raw["taskDefinition"],
        "overrides": {"containerOverrides": [{"name": container, "command": list(command)}]},
        "count": 1,
        "startedBy": token,
        "clientToken": token,
        "enableECSManagedTags": bool(service.raw.get("enableECSManagedTags")),
    }
    if network := service.raw.get("networkConfiguration"):
        asked["networkConfiguration"] = network
    if strategy := service.raw.get("capacityProviderStrategy"):
        asked["capacityProviderStrategy"] = strategy
    elif launch := service.raw.get("launchType"):
        asked["launchType"] = launch
    return begin(aws, asked, service.name, container, Next(words=list_command(service, aws, token)))


def begin(
    aws: Aws, asked: Mapping[str, Any], name: str, container: str, find: Next, *, is_job: bool = False
) -> RunningTask:
    """Begin one task of a service or a job by what RunTask is asked; `find` tells how to look for it."""
    for _ in range(TRIES):
        try:
            answer = aws.write("ecs", "run_task", **asked)
        except ApiError as error:
            if error.kind != "unclear":
                raise
            aws.pace.wait()
            continue
        if not answer.get("tasks"):
            reasons = ", ".join(str(raw.get("reason", "")) for raw in answer.get("failures", [])) or "no reason given"
            raise BusyError(
                f"cluster {asked['cluster']}: it has no place for the task: {reasons}",
                state="no task was begun",
                next=Next(words="the same command later, or more room in the pool: capacity.NAME.max_nodes"),
            )
        task = RunningTask(name, str(answer["tasks"][0]["taskArn"]), asked["cluster"], container, is_job=is_job)
        return task.placed(aws, asked["taskDefinition"])
    raise DeployError("run_task: AWS gives no clear answer", state="the task may have begun", next=find)


def running_task(aws: Aws, service: LiveService, task_id: str) -> RunningTask:
    """A task that was begun earlier, to be watched again. Raises UsageError where ECS does not know it any more."""
    answer = aws.read("ecs", "describe_tasks", cluster=service.cluster, tasks=[task_id])
    if not answer.get("tasks"):
        raise UsageError(
            f"task {task_id}: cluster {service.cluster} knows none; a stopped one is forgotten after an hour"
        )
    task = answer["tasks"][0]
    overrides = task.get("overrides", {}).get("containerOverrides", [])
    container = str(overrides[0]["name"]) if overrides else container_of(service, task)
    place = log_place(_definition(aws, task["taskDefinitionArn"]), container, task["taskArn"])
    return RunningTask(service.name, task["taskArn"], service.cluster, container, *(place or ("", "")))


def watch_task(aws: Aws, task: RunningTask, tell: Tell) -> Outcome:
    """Tell how a task goes and what it writes until it has stopped. The exit code is its container's own.

    An interrupt only stops watching, and so does a read that fails: the outcome says how to come back, and how to stop
    the task.
    """
    where = ("--service", task.service) if not task.is_job else ("run", task.service)
    again = Next(
        "jobs" if task.is_job else "run",
        (*where, "--attach", name_in(task.arn)),
        instead=Next(words=f"to stop the task: {stop_command(task, aws)}"),
    )
    try:
        return _watch_to_end(aws, task, tell)
    except KeyboardInterrupt as stop:
        what = f"task {name_in(task.arn)}: stopped watching; the task goes on"
        return Outcome("still_running", what, next=again, code=code_of(stop))
    except (ApiError, AccessError) as error:
        end: Exit = "no_access" if isinstance(error, AccessError) else "still_running"
        return Outcome(end, f"task {name_in(task.arn)}: {error}", reason="the task may go on", next=again)


def _watch_to_end(aws: Aws, task: RunningTask, tell: Tell) -> Outcome:
    token, status, reads = "", "", FIRST_READS
    if not task.group:
        tell(Note("its log goes nowhere that is read here: the task definition names no awslogs group", "warning"))
    while True:
        # Before the log, so that what is read after the task has stopped holds all that it wrote.
        answer = aws.read("ecs", "describe_tasks", cluster=task.cluster, tasks=[task.arn])
        described = next(iter(answer.get("tasks", [])), None)
        if described is not None and described["lastStatus"] != status:
            status, reads = described["lastStatus"], LAST_READS
            tell(Note(f"task {name_in(task.arn)}  {status}"))
        fresh: list[logs.Line] = []
        if task.group:
            fresh, token = logs.stream(aws, task.group, task.stream, token)
            for line in fresh:
                tell(logs.fact(line))
        if described is None or status == "STOPPED":
            reads -= 1
            if reads <= 0 or (described is not None and not task.group):
                return _outcome_of(task, described)
        aws.pace.wait()


def _outcome_of(task: RunningTask, ended: Mapping[str, Any] | None) -> Outcome:
    of_it = ("--service", task.service)
    if ended is None:
        what = f"task {name_in(task.arn)}: ECS does not know it any more"
        return Outcome("error", what, next=None if task.is_job else Next("logs", of_it))
    own: Mapping[str, Any] = next((raw for raw in ended.get("containers", []) if raw.get("name") == task.container), {})
    code = own.get("exitCode")
    reason = str(own.get("reason") or ended.get("stoppedReason") or "")
    if code is None:
        return Outcome(
            "failed",
            f"task {name_in(task.arn)}: the command did not run",
            str(ended["lastStatus"]),
            reason=reason or "ECS gives no reason",
            next=None if task.is_job else Next("diagnose", of_it, instead=Next("logs", of_it)),
        )
    what = f"task {name_in(task.arn)}: the command ended with {code}"
    return Outcome(
        "failed" if code else "done",
        what,
        str(ended["lastStatus"]),
        reason=reason if code else "",
        outputs={"ExitCode": str(code)},
        code=code,
    )


def list_command(service: LiveService, aws: Aws, token: str) -> str:
    """What finds a task that was asked for by a token."""
    return f"{spoken(aws, 'list-tasks')} --cluster {service.cluster} --started-by {token}"


def stop_command(task: RunningTask, aws: Aws) -> str:
    """What ends a task before its time."""
    return f"{spoken(aws, 'stop-task')} --cluster {task.cluster} --task {name_in(task.arn)}"


def _definition(aws: Aws, arn: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = aws.read("ecs", "describe_task_definition", taskDefinition=arn)["taskDefinition"]
    return found


def spoken(aws: Aws, operation: str) -> str:
    """How the AWS CLI is called for an operation of ECS where a command goes to: with the keys of an emulator, too."""
    target = aws.target
    keys = "AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} ".format(*target.keys) if target.keys else ""
    endpoint = f" --endpoint-url {target.endpoint_url}" if target.endpoint_url else ""
    return f"{keys}aws ecs {operation} --region {aws.region}{endpoint}"
