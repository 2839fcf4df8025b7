"""ECS's tasks as containers: what MiniStack would do by Docker's own library, done by an engine's command line.

MiniStack decides which tasks there are to be, deployment by deployment, with its circuit breaker. Here one is begun,
watched and ended: its containers start in their order, its health decides when a deployment goes on, and it is stopped
once no request is on its way to it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ministack.core.concurrency import resource_lock
from ministack.core.responses import get_account_id, get_region, json_response, request_scope
from ministack.services import cloudwatch_logs, ecs
from ministack.services.cloudformation import _stacks

from scaleout_cfn.config.pulse import METRIC
from scaleout_cfn.local.containers.balancer import Balancer, Target, aliases_of
from scaleout_cfn.local.containers.engine import Engine, EngineError, WayHome
from scaleout_cfn.local.containers.nodes import Nodes, key_of, service_of
from scaleout_cfn.local.containers.tasks import Container, containers_of, ports_of, read_secrets, size_of
from scaleout_cfn.local.types.ecs_requests import Record
from scaleout_cfn.local.types.registry import Act, revise

_REGISTRY: Final = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/")
_LOOK_S: Final = 0.1
_AGAIN_S: Final = 1.0
"""How often a deployment is looked at that goes on: what it waits for may have come meanwhile."""
_NO_TASK: Final = "TaskFailedToStart"
_ENDED: Final = "EssentialContainerExited"


def _at_work() -> bool:
    """Whether CloudFormation is making or changing something: here it takes no longer than the calls do."""
    states = [str(stack["StackStatus"]) for stack in list(_stacks.values())]
    return any(state.endswith("_IN_PROGRESS") and not state.startswith("REVIEW") for state in states)


def pulse_in(line: str) -> float | None:
    """The pulse that a line tells, in CloudWatch's embedded metric format; None where it tells none."""
    if f'"{METRIC}"' not in line:
        return None
    with suppress(ValueError, TypeError, KeyError):
        return float(json.loads(line)[METRIC])
    return None


class StartError(Exception):
    """Why a task cannot start, in ECS's words."""


@dataclass
class Work:
    """A task at work: its containers by name, as the engine calls them, and where its ports are."""

    arn: str
    scope: tuple[str, str]
    size: tuple[int, int]
    service: str
    names: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    healthy: dict[str, bool] = field(default_factory=dict)
    pulse: float | None = None
    target: Target | None = None
    volumes: list[str] = field(default_factory=list)
    logs: list[threading.Thread] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)


class Tasks:
    """All tasks that run as containers. `pace` is by how much the scheduler's times are shortened."""

    def __init__(
        self, engine: Engine, home: WayHome, balancer: Balancer, port: int, pace: float, secrets: Path | None
    ) -> None:
        self.engine, self.home, self.balancer, self.pace, self.secrets = engine, home, balancer, pace, secrets
        self.port = port
        self.nodes = Nodes()
        self.works: dict[str, Work] = {}
        self.numbers = itertools.count(1)
        self.changed = threading.Condition()
        self.closing = False

    def install(self) -> None:
        """Put this in the place of what MiniStack does where it finds a Docker daemon, or none."""
        ecs._get_docker = lambda: self.engine
        ecs._ensure_ecs_reaper_thread = lambda: None
        ecs._deployment_needs_first_task = lambda *_: False
        ecs._maybe_mark_stopped = lambda *_: None
        ecs._run_task_worker = self._work
        made = ecs._make_deployment

        def make_deployment(*given: Any, **named: Any) -> Record:
            """The first one, too, is done when its tasks are."""
            return {**made(*given, **named), "rolloutState": "IN_PROGRESS", "rolloutStateReason": ""}

        ecs._make_deployment = make_deployment
        revise(ecs, "_stop_task", self._stop)

    def words(self, task_arn: str, container: str, terminal: bool) -> list[str]:
        """The engine's command line that opens a session in a container; empty where it does not run."""
        work = self.works.get(task_arn)
        name = work.names.get(container) if work else None
        # Without a terminal docker refuses to give one.
        return [self.engine.path, "exec", "--interactive", *["--tty"] * terminal, name] if name else []

    def running(self) -> list[Work]:
        return [work for work in list(self.works.values()) if not work.stopping.is_set()]

    def _stop(self, stock: Act, request: Record) -> Any:
        """StopTask: at once no longer a target, and ended in its own time."""
        cluster = ecs._resolve_cluster_name(request.get("cluster", "default"))
        task = ecs._resolve_task(request.get("task", ""), cluster)
        work = self.works.get(task["taskArn"]) if task else None
        if task is None or work is None or task["lastStatus"] == "STOPPED":
            return stock(request)
        with resource_lock("ecs-task", task["taskArn"]):
            first = not work.stopping.is_set()
            if first:
                task.update(desiredStatus="STOPPED", lastStatus="DEACTIVATING", stoppingAt=ecs._iso())
                task.update(stoppedReason=request.get("reason", "Task stopped by user"), stopCode="UserInitiated")
                if task.get("group", "").startswith("service:"):
                    task["stopCode"] = "ServiceSchedulerInitiated"
                work.stopping.set()
        if first:
            ecs._refresh_service_state(cluster, task.get("group", ""))
            threading.Thread(target=self._end, args=(task, work), daemon=True).start()
        return json_response({"task": ecs._sanitize(task)})

    def _work(
        self, task: Record, definition: Record, overrides: list[Record], docker: object, account: str, region: str
    ) -> None:
        """A task from its beginning to the moment that it runs, in a thread of its own."""
        group = task.get("group", "")
        work = Work(task["taskArn"], (account, region), size_of(definition), group.partition("service:")[2])
        self.works[work.arn] = work
        with request_scope(account, region):
            try:
                self._place(task, work, definition)
                if ecs._mark_task_pending(work.arn, task) and ecs._mark_task_activating(work.arn, task):
                    self._start(task, work, definition, {entry["name"]: entry for entry in overrides})
            except (StartError, EngineError, ValueError, OSError) as error:
                self._give_up(task, work, str(error), _NO_TASK)

    def _place(self, task: Record, work: Work, definition: Record) -> None:
        """Wait until a node has room for a task. Of what is in its way the service's events tell once, as on AWS.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages.html
        """
        while not work.stopping.is_set() and (reason := self.nodes.place(task, definition)):
            words = "was unable to place a task because no container instance met all of its requirements."
            self._tell(task, f"{words} {reason}", once=words)
            work.stopping.wait(_LOOK_S)

    def _start(self, task: Record, work: Work, definition: Record, overrides: Mapping[str, Record]) -> None:
        short = work.arn.rpartition("/")[2][:8]
        volumes = {}
        for volume in definition.get("volumes") or ():
            shared = volume.get("efsVolumeConfiguration") or volume.get("dockerVolumeConfiguration")
            name = f"scaleout-{os.getpid()}-{volume['name'] if shared else f'{short}-' + volume['name']}"
            self.engine.volume(name)
            volumes[volume["name"]] = name
            work.volumes += [] if shared else [name]
        containers = containers_of(definition, overrides, volumes)
        while _at_work() and not work.stopping.wait(_LOOK_S):
            pass  # what is made beside the service may be what its tasks call
        names = self._names(task, work)
        ports: dict[int, int] = {port: port for port in ports_of(definition)}
        for container in containers:
            self._await(work, container)
            if work.stopping.is_set() or self.closing:
                return
            image = self._image(container.image)
            name = f"scaleout-{short}-{container.name}"
            options = [self._seen_from_inside(option) for option in container.options]
            if container.owner != container.name:
                options.append(f"--network=container:{work.names[container.owner]}")
            elif "--network=host" not in options:
                options += self.home.options
                options += [f"--publish=127.0.0.1::{port}" for port in container.published]
                options += [f"--add-host={name}:{self.home.address}" for name in names]
            options += [f"--env={key}={value}" for key, value in self._told(task).items()]
            started = self.engine.run(name, options, [image, *container.command], self._secrets(container.raw))
            work.names[container.name], work.pids[container.name] = name, started.pid
            ports |= started.ports
            record = next(entry for entry in task["containers"] if entry["name"] == container.name)
            record.update(lastStatus="RUNNING", runtimeId=name)
            if task.get("enableExecuteCommand"):
                record["managedAgents"] = [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}]
            for follow in (self._log, self._watch, self._check):
                thread = threading.Thread(target=follow, args=(task, work, container), daemon=True)
                thread.start()
                work.logs += [thread] if follow == self._log else []
        number = next(self.numbers)
        address = f"10.254.{number // 250 % 250}.{number % 250 + 1}"
        work.target = Target(work.arn, ports)
        self.balancer.targets[address] = work.target
        task["_container_ip"] = address
        if task.get("_network_mode") == "awsvpc":
            details = [{"name": "privateIPv4Address", "value": address}]
            attachment = {"id": address, "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": details}
            task["attachments"] = [attachment]
        if ecs._mark_task_running(work.arn, task):
            self._settle(task, work, containers)

    def _names(self, task: Record, work: Work) -> list[str]:
        """The names by which a task reaches others: those that its cluster knows now, as with Service Connect. Raises
        StartError where its own cannot be had."""
        services = [service for service in ecs._services.values() if service["clusterArn"] == task["clusterArn"]]
        own: Record = next((service for service in services if service["serviceName"] == work.service), {})
        for port, name in aliases_of(own):
            if problem := self.balancer.listen(port):
                raise StartError(f"{name} is to be reached on port {port}, which this machine does not give: {problem}")
        known = [name for service in services if service["status"] == "ACTIVE" for _, name in aliases_of(service)]
        return known if (own.get("_service_connect") or {}).get("enabled") else []

    def _settle(self, task: Record, work: Work, containers: list[Container]) -> None:
        """Wait until a task is what its deployment wants, and replace it where it is not in time."""
        service = service_of(task)
        if service is None:
            return
        checked = [container.name for container in containers if container.health and container.essential]
        grace = time.monotonic() + float(service.get("healthCheckGracePeriodSeconds") or 0)
        stable, again = False, 0.0
        while not work.stopping.wait(_LOOK_S):
            well = all(work.healthy.get(name) for name in checked)
            states = self.balancer.states_of(work.arn)
            task["healthStatus"] = "UNKNOWN" if not checked else "HEALTHY" if well else task["healthStatus"]
            deploying = (ecs._primary_deployment(service) or {}).get("rolloutState") == "IN_PROGRESS"
            if stable and time.monotonic() > again and deploying:
                again = time.monotonic() + _AGAIN_S
                self._go_on(task)
            if not stable and well and all(state == "healthy" for state in states):
                if service.get("loadBalancers") and not states:
                    continue  # it has not been asked yet
                stable = True
                self._go_on(task)
            sick = any(work.healthy.get(name) is False for name in checked)
            if sick:
                task["healthStatus"] = "UNHEALTHY"
                self._give_up(task, work, "Task failed container health checks", _ENDED)
            elif "unhealthy" in states and time.monotonic() > grace:
                self._give_up(task, work, "Task failed ELB health checks", _ENDED)

    def _go_on(self, task: Record) -> None:
        """What a task that is well means to its deployment."""
        cluster, key = ecs._cluster_name_from_arn(task["clusterArn"]), key_of(task)
        ecs._record_service_task_healthy(key, task)
        ecs._refresh_service_state(cluster, task["group"])
        ecs._reconcile_service_tasks(cluster, key)
        ecs._complete_service_deployment(cluster, key)

    def _await(self, work: Work, container: Container) -> None:
        for other, condition in container.waits:
            while not work.stopping.is_set():
                code = work.codes.get(other)
                well = work.healthy.get(other)
                if condition == "START" or (condition == "HEALTHY" and well):
                    break
                if condition == "HEALTHY" and (well is False or code is not None):
                    so = "is not" if code is None else f"has ended with {code}"
                    raise StartError(f"{container.name} waits for {other} to be healthy, which {so}")
                if code is not None and condition == "SUCCESS" and code:
                    raise StartError(f"{container.name} waits for {other}, which has ended with {code}")
                if code is not None:
                    break
                with self.changed:
                    self.changed.wait(_LOOK_S)

    def _log(self, task: Record, work: Work, container: Container) -> None:
        """What a container writes, to the log group of its definition."""
        with request_scope(*work.scope):
            place = ecs._awslogs_config(container.raw, work.arn.rpartition("/")[2], work.names[container.name])
            kept = place is not None and ecs._ensure_awslogs_stream(place)
            for lines in self.engine.lines(work.names[container.name]):
                told = [pulse for line in lines if (pulse := pulse_in(line)) is not None]
                work.pulse = told[-1] if told else work.pulse
                if kept:
                    now = int(time.time() * 1000)
                    events = [{"timestamp": now, "message": line.rstrip("\r")} for line in lines]
                    request = {"logGroupName": place["group"], "logStreamName": place["stream"], "logEvents": events}
                    cloudwatch_logs._put_log_events(request)

    def _watch(self, task: Record, work: Work, container: Container) -> None:
        """The end of a container, and what that means to its task."""
        with request_scope(*work.scope):
            code = -1
            with suppress(EngineError, ValueError):
                code = self.engine.exit_code(work.names[container.name])
            record = next(entry for entry in task["containers"] if entry["name"] == container.name)
            record.update(lastStatus="STOPPED", exitCode=code)
            with self.changed:
                work.codes[container.name] = code
                self.changed.notify_all()
            if container.essential and not work.stopping.is_set():
                self._give_up(task, work, "Essential container in task exited", _ENDED)

    def _check(self, task: Record, work: Work, container: Container) -> None:
        """A container's own health check, over and over. Its times are shortened as the scheduler's are."""
        health = container.health
        if health is None:
            return
        failed, begun = 0, time.monotonic()
        while not work.stopping.is_set() and container.name not in work.codes:
            if self.engine.passes(work.names[container.name], health.words, health.timeout_s):
                failed = 0
                work.healthy[container.name] = True
            elif time.monotonic() - begun > health.start_s or work.healthy.get(container.name):
                failed += 1
                if failed >= health.retries:
                    work.healthy[container.name] = False
            state = {True: "HEALTHY", False: "UNHEALTHY", None: "UNKNOWN"}[work.healthy.get(container.name)]
            next(entry for entry in task["containers"] if entry["name"] == container.name)["healthStatus"] = state
            with self.changed:
                self.changed.notify_all()
            work.stopping.wait(max(0.2, health.interval_s / self.pace) if container.name in work.healthy else 0.2)

    def _give_up(self, task: Record, work: Work, reason: str, code: str) -> None:
        """End a task that failed by itself, and tell its deployment."""
        with resource_lock("ecs-task", work.arn):
            if work.stopping.is_set():
                return
            work.stopping.set()
            task.update(desiredStatus="STOPPED", lastStatus="DEACTIVATING", stoppingAt=ecs._iso())
            task.update(stoppedReason=reason, stopCode=code)
        ecs._refresh_service_state(ecs._cluster_name_from_arn(task["clusterArn"]), task.get("group", ""))
        self._end(task, work)
        if work.service:
            self._tell(task, f"has stopped 1 running tasks: (task {work.arn.rpartition('/')[2]}): {reason}")
            ecs._record_service_task_failure(task)

    def _tell(self, task: Record, words: str, once: str = "\n") -> None:
        """ECS's word among the events of a task's service; not where the newest one has `once` in it."""
        service = service_of(task)
        if service is not None and not any(once in event["message"] for event in service["events"][:1]):
            message = f"(service {service['serviceName']}) {words}"
            service["events"].insert(0, {"id": ecs.new_uuid(), "createdAt": ecs._iso(), "message": message})

    def _end(self, task: Record, work: Work) -> None:
        """Drain, stop and remove: the containers in the order that is the other of their start."""
        with request_scope(*work.scope):
            if work.target:
                self.balancer.drain(work.target)
            task["lastStatus"] = "STOPPING"
            definition = ecs._task_defs.get(ecs._resolve_td_key(task["taskDefinitionArn"])) or {}
            patience = {
                raw["name"]: int(raw.get("stopTimeout") or 30) for raw in definition.get("containerDefinitions", ())
            }
            for container, name in reversed([*work.names.items()]):
                if container not in work.codes:
                    self.engine.stop(name, patience.get(container, 30))
            for container in work.names:
                with self.changed:
                    self.changed.wait_for(lambda known=container: known in work.codes, timeout=5)  # type: ignore[misc]
            for thread in work.logs:
                thread.join(5)  # with a container goes what was not read of it
            self.engine.remove([*work.names.values()], work.volumes)
            if task.get("_container_ip"):
                self.balancer.targets.pop(task["_container_ip"], None)
            self.nodes.free(task)
            now = ecs._iso()
            task.update(lastStatus="STOPPED", stoppedAt=now, executionStoppedAt=now)
            for container in task["containers"]:
                container["lastStatus"] = "STOPPED"
            cluster = ecs._cluster_name_from_arn(task["clusterArn"])
            ecs._recount_cluster(cluster)
            ecs._refresh_service_state(cluster, task.get("group", ""))
            self.works.pop(work.arn, None)

    def _image(self, image: str) -> str:
        """An image as this machine's engine knows it: what is in the emulator's registry is fetched from there."""
        here = _REGISTRY.sub(f"127.0.0.1:{self.port}/", image)
        try:
            self.engine.pull(here, plain=here != image)
        except EngineError as error:
            raise StartError(f"CannotPullContainerError: {image}: {error}") from None
        return here

    def _told(self, task: Record) -> dict[str, str]:
        """What an SDK in a container finds its way to the emulator by; the keys are made up and open nothing."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.home.name}:{self.port}",
            "AWS_ACCESS_KEY_ID": get_account_id(),
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": get_region(),
            "AWS_DEFAULT_REGION": get_region(),
        }

    def _seen_from_inside(self, option: str) -> str:
        """The emulator's own addresses, as those of queues, from within a container."""
        return option.replace(f"http://127.0.0.1:{self.port}/", f"http://{self.home.name}:{self.port}/")

    def _secrets(self, raw: Mapping[str, Any]) -> dict[str, str]:
        """A container's secrets: of the file by their names, else of the emulator's own stores."""
        given = read_secrets(self.secrets) if self.secrets else {}
        found = {}
        for secret in raw.get("secrets") or ():
            if secret["name"] in given:
                found[secret["name"]] = given[secret["name"]]
                continue
            try:
                found |= ecs._resolve_container_secrets({"secrets": [secret]})
            except ecs._SecretResolutionError:
                name, where = secret["name"], self.secrets or "a file, and name that by --secrets"
                cure = f"write {name}=VALUE to {where}"
                raise StartError(f"ResourceInitializationError: secret {name} has no value; {cure}") from None
        return found
