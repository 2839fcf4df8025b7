"""The service's scaling loop, by the simulator's rules, against what the containers use and the balancer counts.

Its clock runs `pace` times as fast as the machine's: periods, lags, cooldowns and the minutes that an alarm waits are
shorter; how much is used in a second, and asked in a second, is what it is.

At the end stands what puts the whole to work in the emulator's process, once MiniStack is patched.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, ecs, scheduler, sqs

from scaleout_cfn.config.pulse import METRIC, LogPulse
from scaleout_cfn.config.scaling import Scaling, StepAdjustment, StepScaling, TargetTracking
from scaleout_cfn.local.containers.balancer import Balancer
from scaleout_cfn.local.containers.engine import Engine, WayHome
from scaleout_cfn.local.containers.lifecycle import Tasks
from scaleout_cfn.local.containers.tasks import read_secrets
from scaleout_cfn.local.types import application_autoscaling as targets
from scaleout_cfn.local.types import ecs_deliveries
from scaleout_cfn.local.types.ecs_requests import CALL, as_request
from scaleout_cfn.local.types.registry import rpc
from scaleout_cfn.schedules import At, Rate, firings, parsed
from scaleout_cfn.simulator.decide import Happening, ServicePolicies, Source
from scaleout_cfn.simulator.model import Backlog, Delays

_LOOK_S: Final = 0.1
_CGROUPS: Final = Path("/sys/fs/cgroup")


@dataclass
class _Counts:
    """A service's tasks as its policies see them."""

    running: int
    desired: int
    least: int
    most: int


@dataclass(frozen=True)
class _Meter:
    """What has been used up to a moment of the machine's clock: seconds of CPU by container, and requests."""

    at: float
    cpu_s: Mapping[str, float]
    requests: int


@dataclass
class _Loop:
    """A service's policies at work."""

    made_of: Policies
    policies: ServicePolicies
    ends: dict[Source, float]
    meters: dict[Source, _Meter]
    due: list[tuple[float, Source, dict[str, float]]] = field(default_factory=list)


class Scaler:
    """The loops of all services that have a scalable target."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks, self.balancer, self.pace = tasks, tasks.balancer, tasks.pace
        self.begun, self.day = time.monotonic(), datetime.now(UTC)
        self.loops: dict[str, _Loop] = {}
        self.events: list[Happening] = []

    def install(self) -> None:
        """Look at all services ten times a second from now on."""
        ecs_deliveries.follow(self.now)
        threading.Thread(target=self._run, daemon=True, name="scaling").start()

    def now(self) -> float:
        """Seconds of the scheduler's clock."""
        return (time.monotonic() - self.begun) * self.pace

    def _run(self) -> None:
        looked = fired = 0.0
        while True:
            time.sleep(_LOOK_S)
            # To the minute, as AWS does.
            looked, fired = fired, self.now() if self.now() - fired >= 60 else fired
            try:
                for key in {(account, region) for account, region in self._scopes()}:
                    with request_scope(*key):
                        self.tasks.nodes.look(self.now())
                        ecs_deliveries.advance()
                        if fired > looked:
                            self._fire(looked, fired)
                        self.look(self.now())
            except Exception:  # a service may go while it is looked at
                logging.getLogger(__name__).exception("scaling")

    def _fire(self, since: float, now: float) -> None:
        """Carry out the schedules that were due: cron and rate by the scheduler's clock, which began with the time of
        day; `at`, which `scale --for` sets, by that of this machine."""

        def is_due(text: str, zone: str | None) -> bool:
            expression = parsed(text, "scheduler")
            if isinstance(expression, Rate):
                return since // expression.seconds != now // expression.seconds
            pace = self.pace if isinstance(expression, At) else 1
            start, end = (self.day + timedelta(seconds=moment / pace) for moment in (since, now))
            return bool(firings(expression, ZoneInfo(zone or "UTC"), start, end))

        for target in list(targets._targets.values()):
            if (target.get("SuspendedState") or {}).get("ScheduledScalingSuspended"):
                continue
            for action in target.get("ScheduledActions", ()):
                if is_due(action["Schedule"], action.get("Timezone")):
                    targets._register_target({**target, **action["ScalableTargetAction"]})
        for schedule in list(scheduler._schedules.values()):
            task = schedule["Target"].get("EcsParameters")
            if schedule["State"] != "ENABLED" or not task:
                continue
            if is_due(schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"]):
                request = as_request(task) | {"cluster": schedule["Target"]["Arn"]}
                overrides = json.loads(schedule["Target"].get("Input") or "{}")
                count, definition = request.pop("taskCount", 1), request.pop("taskDefinitionArn")
                rpc(CALL, "RunTask", request | {"count": count, "taskDefinition": definition, "overrides": overrides})

    def _scopes(self) -> Iterable[tuple[str, str]]:
        for _, cluster in list(ecs._clusters.all_items()):
            _, _, _, region, account, _ = cluster["clusterArn"].split(":", 5)
            yield account, region

    def look(self, now: float) -> None:
        """Take what has been used at the end of each period, and decide when its point would be seen."""
        for target_id, target in list(targets._targets.items()):
            resource = target["ResourceId"]
            service = ecs._services.get(resource.partition("/")[2])
            if service is None or service["status"] != "ACTIVE":
                continue
            loop = self._loop(target_id, resource, now)
            for source, end in loop.ends.items():
                if now >= end:
                    values = self._values(service, loop, source)
                    loop.ends[source] = end + source.period * max(1, (now - end) // source.period + 1)
                    loop.due.append((end + source.lag, source, values))
            seen = [point for point in loop.due if point[0] <= now]
            loop.due = [point for point in loop.due if point[0] > now]
            for _, source, values in seen:
                self._decide(int(now), loop, source, values, service, target)

    def _loop(self, target_id: str, resource: str, now: float) -> _Loop:
        own = [policy for policy in targets._policies.values() if policy["ResourceId"] == resource]
        made_of = policies_of(own, list(cloudwatch._alarms.values()))
        loop = self.loops.get(target_id)
        if loop is None or loop.made_of != made_of:
            policies = ServicePolicies(made_of.scaling, Delays(), self.events, backlog=made_of.backlog)
            ends = {source: now + source.period for source in policies.sources}
            loop = self.loops[target_id] = _Loop(made_of, policies, ends, {})
        return loop

    def _values(self, service: Mapping[str, Any], loop: _Loop, source: Source) -> dict[str, float]:
        """The metrics of the period that ends now: percent of what tasks reserve, requests a minute and task, messages
        a task, and what tasks last told of their pulse."""
        works = [work for work in self.tasks.running() if work.service == service["serviceName"] and work.target]
        groups = [balancer["targetGroupArn"] for balancer in service.get("loadBalancers") or ()]
        count = sum(self.balancer.requests[group] for group in groups)
        used = {name: cpu_seconds(pid) for work in works for name, pid in work.pids.items()}
        meter, before = _Meter(time.monotonic(), used, count), loop.meters.get(source)
        loop.meters[source] = meter
        values = {"cpu": 0.0, "memory": 0.0, "requests": 0.0}
        if queue := loop.made_of.queue:
            messages = float(messages_in(queue))
            values |= {"backlog": messages / max(1, len(works)), "stranded": 0.0 if works else messages}
        if before is None or not works:
            return values
        if told := [work.pulse for work in works if work.pulse is not None]:
            values["pulse"] = sum(told) / len(told)
        seconds = meter.at - before.at
        # What has come since began at nothing.
        cpu = sum(value - before.cpu_s.get(name, 0.0) for name, value in used.items())
        reserved_cpu = sum(work.size[0] for work in works) / 1024
        memory = sum(memory_bytes(pid) for work in works for pid in work.pids.values()) / 2**20
        reserved_memory = sum(work.size[1] for work in works)
        return values | {
            "cpu": 100 * cpu / seconds / reserved_cpu if reserved_cpu else 0.0,
            "memory": 100 * memory / reserved_memory if reserved_memory else 0.0,
            "requests": (meter.requests - before.requests) / seconds * 60 / len(works),
        }

    def _decide(
        self,
        now: int,
        loop: _Loop,
        source: Source,
        values: dict[str, float],
        service: dict[str, Any],
        target: Mapping[str, Any],
    ) -> None:
        halted = target.get("SuspendedState") or {}
        counts = _Counts(
            service["runningCount"], service["desiredCount"], int(target["MinCapacity"]), int(target["MaxCapacity"])
        )
        deploying = service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        for wanted, policy in loop.policies.decide(now, source, values, counts):
            more = wanted > counts.desired
            if halted.get(f"DynamicScaling{'Out' if more else 'In'}Suspended") or (deploying and not more):
                continue
            # Application Auto Scaling's own words: API_ScalingActivity.
            message = f"Successfully set desired count to {wanted}. Change successfully fulfilled by ecs. ({policy})"
            service["events"].insert(0, {"id": ecs.new_uuid(), "createdAt": ecs._iso(), "message": message})
            request = {"cluster": service["clusterArn"], "service": service["serviceName"], "desiredCount": wanted}
            rpc(CALL, "UpdateService", request)
            counts.desired = wanted


_TRACKED: Final = {
    "ECSServiceAverageCPUUtilization": "cpu",
    "ECSServiceAverageMemoryUtilization": "memory",
    "ALBRequestCountPerTarget": "requests",
    METRIC: "pulse",
}
_STEPPED: Final[Mapping[str, Literal["cpu", "memory", "pulse"]]] = {
    "CPUUtilization": "cpu",
    "MemoryUtilization": "memory",
    METRIC: "pulse",
}


_PERIODS_S: Final[tuple[Literal[10, 30, 60], ...]] = (60, 30, 10)


@dataclass(frozen=True)
class Policies:
    """What moves a service: its policies, and those of a queue with its name, where it has one."""

    scaling: Scaling
    backlog: Backlog | None = None
    queue: str = ""


def policies_of(policies: Iterable[Mapping[str, Any]], alarms: Iterable[Mapping[str, Any]]) -> Policies:
    """The policies of a service as they were deployed. What follows another metric is left out."""
    tracked: dict[str, TargetTracking] = {}
    steps: list[StepScaling] = []
    fast, queue = False, ""
    first_s: int | None = None
    for policy in policies:
        if config := policy.get("TargetTrackingScalingPolicyConfiguration"):
            kind = (config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType", "")
            fast |= kind.endswith("HighResolution")
            own = config.get("CustomizedMetricSpecification") or {}
            name = _TRACKED.get(kind.removesuffix("HighResolution") or own.get("MetricName", ""), "")
            for query in own.get("Metrics") or ():
                for dimension in query.get("MetricStat", {}).get("Metric", {}).get("Dimensions") or ():
                    if dimension["Name"] == "QueueName":
                        name, queue = "backlog", dimension["Value"]
            tracked[name] = TargetTracking(
                enabled=True,
                target=config["TargetValue"],
                scale_out_cooldown_s=int(config.get("ScaleOutCooldown", 300)),
                scale_in_cooldown_s=int(config.get("ScaleInCooldown", 300)),
                scale_in=str(config.get("DisableScaleIn", False)).lower() != "true",
            )
        elif config := policy.get("StepScalingPolicyConfiguration"):
            alarm = next((alarm for alarm in alarms if policy["PolicyARN"] in alarm.get("AlarmActions", ())), {})
            if alarm.get("MetricName") in _STEPPED:
                steps.append(_step(config, alarm, len(steps)))
            elif "QueueName" in str(alarm.get("Metrics")):
                first_s = int(config.get("Cooldown", 300))
    off = TargetTracking(enabled=False)
    cpu, memory, requests = (tracked.get(name, off) for name in ("cpu", "memory", "requests"))
    pulse = None
    if rate := tracked.get("pulse"):
        out_s, in_s = rate.scale_out_cooldown_s, rate.scale_in_cooldown_s
        pulse = LogPulse(target_rps=rate.target, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s)
    scaling = Scaling(
        high_resolution=fast, step_policies=tuple(steps), cpu=cpu, memory=memory, requests=requests, pulse=pulse
    )
    return Policies(scaling, Backlog(tracked["backlog"], first_s) if queue else None, queue)


def _step(config: Mapping[str, Any], alarm: Mapping[str, Any], number: int) -> StepScaling:
    above = str(alarm["ComparisonOperator"]).startswith("Greater")
    return StepScaling(
        name=f"Step{number}",
        metric=_STEPPED[alarm["MetricName"]],
        when="above" if above else "below",
        threshold=float(alarm["Threshold"]),
        period_s=next(seconds for seconds in _PERIODS_S if seconds <= int(alarm["Period"])),
        periods=int(alarm["EvaluationPeriods"]),
        cooldown_s=int(config.get("Cooldown", 300)),
        adjustment_type=config["AdjustmentType"],
        min_adjustment_magnitude=int(config.get("MinAdjustmentMagnitude") or 1),
        steps=tuple(
            StepAdjustment(
                distance=abs(_near(step, above)),
                adjustment=int(step["ScalingAdjustment"]),
            )
            for step in sorted(config["StepAdjustments"], key=lambda step: abs(_near(step, above)))
        ),
    )


def _near(step: Mapping[str, Any], above: bool) -> float:
    return float(step.get("MetricIntervalLowerBound" if above else "MetricIntervalUpperBound") or 0)


def cpu_seconds(pid: int) -> float:
    """CPU that a container has used, by its first process; 0 where this machine does not see it."""
    for line in _lines(Path(f"/proc/{pid}/cgroup")):
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            for folder in (controllers, "cpuacct"):
                for text in _lines(_CGROUPS / folder / path.lstrip("/") / "cpuacct.usage"):
                    return int(text) / 1e9
        if not controllers:
            for text in _lines(_CGROUPS / path.lstrip("/") / "cpu.stat"):
                if text.startswith("usage_usec "):
                    return int(text.split()[1]) / 1e6
    return 0.0


def memory_bytes(pid: int) -> float:
    """Memory that a container holds, without what the system keeps of files."""
    for line in _lines(Path(f"/proc/{pid}/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers in ("memory", ""):
            folder = _CGROUPS / controllers / path.lstrip("/")
            used = [*_lines(folder / "memory.usage_in_bytes"), *_lines(folder / "memory.current")]
            stat = dict(text.split()[:2] for text in _lines(folder / "memory.stat"))
            if used:
                return int(used[0]) - int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
    return 0.0


def messages_in(queue: str) -> int:
    """Messages that wait in a queue or are at work."""
    found = next((entry for entry in sqs._queues.values() if entry["name"] == queue), None)
    return len(found["messages"]) if found else 0


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


_INSTALLED: list[Tasks] = []


def install(engine: Engine, home: WayHome, port: int, pace: float, secrets: Path | None) -> None:
    """Run the tasks of the emulator at `port` from now on. What emulators before have left is removed first.

    Raises EmulatorError where the file of secrets cannot be read.
    """
    if secrets:
        read_secrets(secrets)
    engine.sweep()
    # The balancer's loop gets its turn beside threads that read logs.
    sys.setswitchinterval(0.0005)
    balancer = Balancer(pace, home.listening)
    balancer.install()
    tasks = Tasks(engine, home, balancer, port, pace, secrets)
    tasks.install()
    Scaler(tasks).install()
    _INSTALLED.append(tasks)


def close() -> None:
    """End all tasks at once, and leave no container behind."""
    for tasks in _INSTALLED:
        tasks.closing = True
        tasks.engine.sweep(own=True)


def session(task: str, container: str, terminal: bool) -> list[str]:
    """The command line that runs a command in a container of a task; empty where no such container runs."""
    return _INSTALLED[0].words(task, container, terminal) if _INSTALLED else []
