"""The alarms of a set as they stand: what fires, since when, and what to look at. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.live import Live, Resource, resources_of
from scaleout_cfn.deploy.messages import Fact, Outcome, Tell, span
from scaleout_cfn.errors import Next, UsageError

ALARM = "AWS::CloudWatch::Alarm"
#: Names that one DescribeAlarms takes.
MOST_NAMES = 100


class Advice(NamedTuple):
    """What an alarm on a metric means, and the command that shows more."""

    words: str
    next: Next


LOGS, STATUS, JOBS = Next("logs", ("--since", "1h")), Next("status"), Next("jobs", ("list",))
_NO_ROOM = Advice("there is no room to grow: raise {service}.scaling.max_tasks, or find out who asks so much", STATUS)
#: By the metric that is watched; {service} is the service's section of the config.
ADVICE: Final[Mapping[str, Advice]] = {
    "HTTPCode_Target_5XX_Count": Advice("the application answers with errors: its log says why", LOGS),
    "HTTPCode_ELB_5XX_Count": Advice(
        "the load balancer has nobody to ask, or waits for an answer in vain: see how many targets are healthy", STATUS
    ),
    "TargetResponseTime": Advice(
        "answers take long: where CPU is high as well, tasks are too few; else they wait for something, which the log"
        " may name",
        LOGS,
    ),
    "UnHealthyHostCount": Advice(
        "tasks give no right answer on {service}.health_check.path: see whether they run", Next("rollout")
    ),
    "CPUUtilization": Advice(
        "scaling does not keep up: see whether as many tasks run as may, or some wait for room on a node", STATUS
    ),
    "MemoryUtilization": Advice(
        "tasks come near the memory at which they are killed: one that only grows has a leak, else raise"
        " {service}.memory_mib",
        LOGS,
    ),
    "HealthyHostCount": _NO_ROOM,
    "RunningTaskCount": _NO_ROOM,
    "ApproximateAgeOfOldestMessage": Advice(
        "the worker does not keep up, or fails at a message: see how many tasks run, and what its log says", LOGS
    ),
    "ApproximateNumberOfMessagesVisible": Advice(
        "messages were received in vain again and again: the log says why; then redrive or purge them", LOGS
    ),
    "MatchedEvents": Advice("runs of the job fail, or none has ended well: see how the last ones ended", JOBS),
    "ExecutionsFailed": Advice("the job was not begun: the executions of its state machine say why", JOBS),
    "GroupInServiceInstances": Advice(
        "tasks may wait for room: raise max_nodes of the pool, or use larger nodes", STATUS
    ),
}
OTHER = Advice("nothing is known here of what it watches but what it says itself", STATUS)


@dataclass(frozen=True)
class Alarm:
    """An alarm of the set, by its logical path. `state` is CloudWatch's, and empty where the alarm is not there any
    more. `scales`: it moves the number of tasks, and is on whenever it does."""

    path: str
    state: str
    since: datetime | None = None
    watches: str = ""
    reason: str = ""
    description: str = ""
    scales: bool = False
    silent: bool = False
    metrics: tuple[str, ...] = ()

    @property
    def fires(self) -> bool:
        return self.state == "ALARM" and not self.scales

    @property
    def advice(self) -> Advice:
        """What to look at, of its service where it has one."""
        words, step = next((ADVICE[metric] for metric in self.metrics if metric in ADVICE), OTHER)
        service = service_in(self.path)
        if service == self.path:
            return Advice(words, step)
        section = f"services.{service}"
        return Advice(words.format(service=section), step._replace(options=("--service", service, *step.options)))


def alarms_of(aws: Aws, live: Live) -> list[Alarm]:
    """The alarms on metrics that the stacks of a set hold, by their paths. Raises ApiError or AccessError."""
    made = [resource for resource in resources_of(aws, live.stack_id) if resource.type == ALARM]
    there: dict[str, Mapping[str, Any]] = {}
    for first in range(0, len(made), MOST_NAMES):
        names = [resource.physical_id for resource in made[first : first + MOST_NAMES]]
        for page in aws.pages("cloudwatch", "describe_alarms", AlarmNames=names):
            there |= {raw["AlarmName"]: raw for raw in page.get("MetricAlarms", [])}
    return sorted((_alarm(resource, there) for resource in made), key=lambda alarm: alarm.path)


def _alarm(resource: Resource, there: Mapping[str, Mapping[str, Any]]) -> Alarm:
    raw = there.get(resource.physical_id)
    if raw is None:
        return Alarm(resource.path, "")
    actions = raw.get("AlarmActions", [])
    return Alarm(
        path=resource.path,
        state=raw["StateValue"],
        # The other time is also that of a state that stayed.
        since=raw.get("StateTransitionedTimestamp") or raw.get("StateUpdatedTimestamp"),
        watches=_watched(raw),
        reason=raw.get("StateReason", ""),
        description=raw.get("AlarmDescription", ""),
        scales=bool(actions) and all(":scalingPolicy:" in action for action in actions),
        silent=not raw.get("ActionsEnabled", True),
        metrics=tuple(_metrics(raw)),
    )


def _metrics(raw: Mapping[str, Any]) -> Iterator[str]:
    if "MetricName" in raw:
        yield raw["MetricName"]
    for query in raw.get("Metrics", []):
        if metric := query.get("MetricStat", {}).get("Metric", {}).get("MetricName"):
            yield metric


#: How an alarm compares; others are told as CloudWatch calls them.
SIGNS = {
    "GreaterThanOrEqualToThreshold": ">=",
    "GreaterThanThreshold": ">",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "<=",
}


def _watched(raw: Mapping[str, Any]) -> str:
    """What is measured, its bound, and how often it has to be beyond: `CPUUtilization (Average) > 85, in 10 of 10
    periods of 60 s`."""
    queries = raw.get("Metrics", [])
    shown: Mapping[str, Any] = next((query for query in queries if query.get("ReturnData", True)), {})
    what = f"{raw.get('MetricName')} ({raw.get('Statistic') or raw.get('ExtendedStatistic')})"
    if queries:
        what = shown.get("Label") or shown.get("Expression") or shown.get("Id", "")
    periods = [raw.get("Period"), *(query.get("MetricStat", {}).get("Period") for query in queries)]
    period = next((seconds for seconds in periods if seconds), None)
    most = raw.get("EvaluationPeriods", 1)
    times = f"in {raw.get('DatapointsToAlarm', most)} of {most} periods" + (f" of {period} s" if period else "")
    operator = raw.get("ComparisonOperator", "")
    bound = f" {SIGNS.get(operator, operator)} {raw['Threshold']:g}" if "Threshold" in raw else ""
    return f"{what}{bound}, {times}"


def tell_alarms(alarms: Iterable[Alarm], live: Live, service: str, now: datetime, tell: Tell) -> Outcome:
    """Tell each alarm that fires, the oldest first, and the others as counts. Raises UsageError where a service has
    none. `now` is for how long ago."""
    shown = [alarm for alarm in alarms if service in ("", service_in(alarm.path))]
    if service and not shown:
        names = {name for alarm in alarms if (name := service_in(alarm.path)) != alarm.path}
        raise UsageError(
            f"--service {service}: stack {live.name} has no alarm of it; there are some of"
            f" {', '.join(sorted(names)) or 'none'}"
        )
    firing = sorted((alarm for alarm in shown if alarm.fires), key=lambda alarm: (alarm.since or now, alarm.path))
    for alarm in [*firing, *(alarm for alarm in shown if not alarm.fires)]:
        tell(_fact(alarm, now))
    at_work = [alarm for alarm in shown if alarm.state == "ALARM" and alarm.scales]
    folded = [
        ("ok", "OK", [alarm for alarm in shown if alarm.state == "OK"]),
        ("no_data", "without enough data", [alarm for alarm in shown if alarm.state == "INSUFFICIENT_DATA"]),
        ("scaling", "at work on the number of tasks", at_work),
        ("gone", "in the stack and not in CloudWatch", [alarm for alarm in shown if not alarm.state]),
    ]
    lines = [
        f"{len(some)} {words}" + ("" if key == "ok" else f": {', '.join(alarm.path for alarm in some)}")
        for key, words, some in folded
        if some
    ]
    if silent := [alarm.path for alarm in shown if alarm.silent]:
        lines.append(f"{len(silent)} with actions switched off, so that nobody is told: {', '.join(silent)}")
    tell(Fact("alarms", tuple(lines), {"firing": len(firing), **{key: len(some) for key, _, some in folded}}))
    paths = ", ".join(alarm.path for alarm in firing)
    what = f"{live.name}: {len(firing)} of {len(shown)} alarms fire: {paths}" if firing else ""
    return Outcome(
        "done",
        what or f"{live.name}: no alarm fires, of {len(shown)}",
        live.status,
        live.stack_id,
        next=firing[0].advice.next if firing else None,
    )


def _fact(alarm: Alarm, now: datetime) -> Fact:
    """An alarm for programs, and for people where it fires."""
    data = {
        "path": alarm.path,
        "service": service_in(alarm.path),
        "state": alarm.state,
        "since": alarm.since,
        "watches": alarm.watches,
        "reason": alarm.reason,
        "description": alarm.description,
        "scales": alarm.scales,
        "silent": alarm.silent,
    }
    if not alarm.fires:
        return Fact("alarm", (), data)
    advice = alarm.advice
    since = f"  since {alarm.since:%Y-%m-%d %H:%M:%SZ}, {span(alarm.since, now)}" if alarm.since else ""
    said = {"means": alarm.description, "watches": alarm.watches, "says": alarm.reason, "look": advice.words}
    lines = [f"{alarm.path}  ALARM{since}", *(f"  {word:<8} {text}" for word, text in said.items() if text)]
    return Fact("alarm", tuple(lines), {**data, "advice": advice.words}, "warning", advice.next)
