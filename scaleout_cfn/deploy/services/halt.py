"""An environment that runs nothing: its services' bounds and its pools' minimum are zero, and no job's schedule is on,
until they are set back.

What they are set back to is what the stacks' templates say, so that nothing is kept anywhere. To repeat it is safe:
each call puts a whole state.

https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html (moves what is out of
bounds into them at once; suspends schedules, which would start tasks again)
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/capacity-provider-auto-scaling.html (nodes follow the tasks)
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html (what is not given is lost: all is)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import name_of, service_in
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, Resource, find, require, resources_of, template_body
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.deploy.services.alarms import ALARM, alarms_of
from scaleout_cfn.deploy.services.restart import require_calm
from scaleout_cfn.deploy.services.scale import ACTION, ECS, TARGET, TIME, Bounds, actions_of, as_capacity, targets_of
from scaleout_cfn.errors import ApiError, NeedsHandError, Next
from scaleout_cfn.schedules import Rate, firings, parsed

QUEUE = "AWS::SQS::Queue"
GROUP = "AWS::AutoScaling::AutoScalingGroup"
SCHEDULE = "AWS::Scheduler::Schedule"
#: What GetSchedule tells and UpdateSchedule does not take.
TOLD_ONLY = ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata")
NOTHING = Bounds(0, 0)
#: Names that DisableAlarmActions and EnableAlarmActions take.
MOST_ALARMS = 100
#: How far ahead a schedule is looked for.
AHEAD = timedelta(days=8)
#: What is paid for, or goes on, while nothing runs.
STAYS: Mapping[str, str] = {
    "AWS::EC2::NatGateway": "NAT gateways",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "the load balancer and its addresses",
    "AWS::EC2::VPCEndpoint": "VPC endpoints",
    "AWS::AutoScaling::WarmPool": "nodes of warm pools",
    "AWS::RDS::DBInstance": "databases",
    "AWS::RDS::DBCluster": "databases",
    "AWS::ElastiCache::ReplicationGroup": "caches",
    "AWS::WAFv2::WebACL": "the web ACL",
    "AWS::KMS::Key": "the key",
    "AWS::CloudWatch::Alarm": "alarms",
    "AWS::CloudWatch::Dashboard": "the dashboard",
    "AWS::ECR::Repository": "what is stored: images, logs, files",
}


@dataclass(frozen=True)
class Halt:
    """A service that may have no task: since when, whether by `stop`, and its schedules."""

    since: datetime | None
    by_hand: bool
    actions: Sequence[Mapping[str, Any]] = ()


class Pool(NamedTuple):
    """A group of nodes: its fewest ones as they are, and how many there are by where they are in their life."""

    resource: Resource
    least: int
    nodes: Mapping[str, int] = {}

    @property
    def name(self) -> str:
        """Its name in the config."""
        return name_of(self.resource.path.rpartition("/")[2].removesuffix("Group"))


def stop(aws: Aws, stack: str, tell: Tell, *, environment: str = "", adopt: bool = False) -> Outcome:
    """No task of any service, no node, and no run of a job; alarms on the services tell nobody. Raises BusyError while
    the stack is at work."""
    live, resources = _ready(aws, stack, environment, adopt=adopt)
    targets = _targets(resources)
    known = targets_of(aws, [*targets])
    running = [id_ for id_, raw in known.items() if _bounds(raw) != NOTHING or not _is_suspended(raw)]
    pools = [pool for pool in pools_of(aws, resources) if pool.least]
    loud = [alarm.path for alarm in _alarms(aws, live, resources) if not alarm.silent]
    timed = [(path, raw) for path, raw in _schedules(aws, resources) if raw["State"] != "DISABLED"]
    if not running and not pools and not loud and not timed:
        return _outcome("no_change", live, "it is stopped already")
    _silence(aws, resources, loud, tell)
    for path, raw in timed:
        _switch(aws, raw, "DISABLED")
        tell(Note(f"{path}: its job does not run by it; a run that goes on does so to its end"))
    open_ = {raw["ResourceId"] for raw in actions_of(aws, ScheduledActionNames=[ACTION])}
    for id_ in running:
        _register(aws, id_, NOTHING, suspended=True)
        if id_ in open_:  # what `scale` has set ends with it
            _forget(aws, id_)
        tell(Note(f"{targets[id_]}: no task, and no schedule that starts one"))
    for pool in pools:
        _resize(aws, pool.resource, 0)
        tell(Note(f"{pool.resource.path}: no node is needed; its nodes go some 15 minutes after their last task"))
    tell(_stays(resources))
    return _outcome("done", live, "stopped", Next("start", words="to have it run again"))


def start(aws: Aws, stack: str, tell: Tell, *, environment: str = "", adopt: bool = False) -> Outcome:
    """What the templates say again: bounds of the services that may have no task, nodes, schedules, jobs and alarms."""
    live, resources = _ready(aws, stack, environment, adopt=adopt)
    targets = _targets(resources)
    declared = _Declared(aws)
    pools = [
        Pool(pool.resource, least)
        for pool in pools_of(aws, resources)
        if not pool.least and (least := declared.number(pool.resource, "MinSize"))
    ]
    known = targets_of(aws, [*targets])
    by_id = {_id(resource): resource for resource in resources if resource.type == TARGET}
    back: dict[str, Bounds] = {}
    for id_, raw in known.items():
        if not raw["MaxCapacity"] or _is_suspended(raw):
            least, most = (declared.number(by_id[id_], name) for name in ("MinCapacity", "MaxCapacity"))
            if _is_suspended(raw) or most:
                back[id_] = Bounds(least, most)
    silent = [alarm.path for alarm in _alarms(aws, live, resources) if alarm.silent]
    timed = [(path, raw) for path, raw in _schedules(aws, resources) if raw["State"] == "DISABLED"]
    schedules = {resource.path: resource for resource in resources}
    timed = [(path, raw) for path, raw in timed if declared.text(schedules[path], "State") != "DISABLED"]
    if not back and not pools and not silent and not timed:
        return _outcome("no_change", live, "nothing of it is stopped")
    for pool in pools:
        _resize(aws, pool.resource, pool.least)
        tell(Note(f"{pool.resource.path}: {pool.least} nodes or more"))
    for id_, bounds in back.items():
        _register(aws, id_, bounds, suspended=False)
        tell(Note(f"{targets[id_]}: {bounds}"))
    for path, raw in timed:
        _switch(aws, raw, "ENABLED")
        tell(Note(f"{path}: its job runs by it again"))
    _wake(aws, resources, silent, tell)
    return _outcome("done", live, "started", Next("status", ("--watch",), "until its tasks serve"))


def halts_in(aws: Aws, resources: Iterable[Resource]) -> dict[str, Halt]:
    """The services of a set that may have no task, by name."""
    targets = _targets(resources)
    known = targets_of(aws, [*targets])
    halted = {id_: raw for id_, raw in known.items() if not raw["MaxCapacity"]}
    actions = list(actions_of(aws)) if halted else []
    return {
        targets[id_]: Halt(
            _since(aws, id_), _is_suspended(raw), [action for action in actions if action["ResourceId"] == id_]
        )
        for id_, raw in halted.items()
    }


def sentence(halt: Halt, now: datetime) -> str:
    """Since when and until when nothing runs."""
    since = f"stopped since {halt.since:{TIME}}" if halt.since else "stopped"
    if halt.by_hand:
        return f"{since}, until `start`"
    coming = _next(halt, now)
    return f"{since}, until the schedule {coming[1]} at {coming[0]:{TIME}}" if coming else since


def data(halt: Halt, now: datetime) -> dict[str, Any]:
    coming = None if halt.by_hand else _next(halt, now)
    return {"since": halt.since, "by_hand": halt.by_hand, "until": coming[0] if coming else None}


def _next(halt: Halt, now: datetime) -> tuple[datetime, str] | None:
    """When a schedule starts it again, and its name."""
    coming = []
    for raw in halt.actions:
        expression = parsed(raw["Schedule"])
        if isinstance(expression, Rate) or not raw["ScalableTargetAction"].get("MaxCapacity"):
            continue
        fired = firings(expression, ZoneInfo(raw.get("Timezone", "UTC")), now, now + AHEAD)
        coming += [(each.time, raw["ScheduledActionName"]) for each in fired if each.clocks != "skipped"][:1]
    return min(coming) if coming else None


def _since(aws: Aws, target: str) -> datetime | None:
    """When the capacity of a target was moved last."""
    answer = aws.read("application-autoscaling", "describe_scaling_activities", **ECS, ResourceId=target, MaxResults=1)
    newest = next(iter(answer.get("ScalingActivities", [])), None)
    return newest["StartTime"].astimezone(UTC) if newest else None


def _ready(aws: Aws, stack: str, environment: str, *, adopt: bool) -> tuple[Live, list[Resource]]:
    live = require(aws, stack)
    require_ours(aws, live, environment, adopt=adopt)
    require_calm(live)
    return live, list(resources_of(aws, live.stack_id))


def _targets(resources: Iterable[Resource]) -> dict[str, str]:
    return {
        _id(resource): service_in(resource.path)
        for resource in resources
        if resource.type == TARGET and resource.physical_id.endswith("|ecs")
    }


def _id(resource: Resource) -> str:
    return resource.physical_id.partition("|")[0]


def _bounds(raw: Mapping[str, Any]) -> Bounds:
    return Bounds(raw["MinCapacity"], raw["MaxCapacity"])


def _is_suspended(raw: Mapping[str, Any]) -> bool:
    return bool(raw.get("SuspendedState", {}).get("ScheduledScalingSuspended"))


def _register(aws: Aws, target: str, bounds: Bounds, *, suspended: bool) -> None:
    aws.write(
        "application-autoscaling",
        "register_scalable_target",
        **ECS,
        ResourceId=target,
        **as_capacity(bounds),
        SuspendedState={"ScheduledScalingSuspended": suspended},
    )


def _forget(aws: Aws, target: str) -> None:
    try:
        aws.write("application-autoscaling", "delete_scheduled_action", **ECS, ResourceId=target,
                  ScheduledActionName=ACTION)  # fmt: skip
    except ApiError as error:
        if error.kind != "missing":
            raise


def pools_of(aws: Aws, resources: Iterable[Resource]) -> Iterator[Pool]:
    """The groups of nodes."""
    groups = {resource.physical_id: resource for resource in resources if resource.type == GROUP}
    groups.pop("", None)  # it is being made
    if groups:
        pages = aws.pages("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[*groups])
        for page in pages:
            for raw in page["AutoScalingGroups"]:
                states = Counter(each["LifecycleState"] for each in raw.get("Instances", ()))
                yield Pool(groups[raw["AutoScalingGroupName"]], raw["MinSize"], states)


def _resize(aws: Aws, group: Resource, least: int) -> None:
    aws.write("autoscaling", "update_auto_scaling_group", AutoScalingGroupName=group.physical_id, MinSize=least)


def _schedules(aws: Aws, resources: Sequence[Resource]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schedules of jobs as they are, by path. Each is in the group that its stack has."""
    groups = {r.stack_id: r.physical_id for r in resources if r.type == "AWS::Scheduler::ScheduleGroup"}
    for resource in resources:
        if resource.type == SCHEDULE:
            place = {"Name": resource.physical_id, "GroupName": groups.get(resource.stack_id, "default")}
            yield resource.path, aws.read("scheduler", "get_schedule", **place)


def _switch(aws: Aws, schedule: Mapping[str, Any], state: str) -> None:
    told = {name: value for name, value in schedule.items() if name not in TOLD_ONLY}
    aws.write("scheduler", "update_schedule", **{**told, "State": state})


def _alarms(aws: Aws, live: Live, resources: Iterable[Resource]) -> list[Any]:
    """The alarms on services, and on what answers for them. Those that move tasks go on, between bounds of zero."""
    whose = {"LoadBalancer", *_targets(resources).values()}
    return [alarm for alarm in alarms_of(aws, live) if _whose(alarm.path) in whose and not alarm.scales]


def _whose(path: str) -> str:
    service = service_in(path)
    return path.partition("/")[0] if service == path else service


def _silence(aws: Aws, resources: Iterable[Resource], paths: Sequence[str], tell: Tell) -> None:
    for names in _named(resources, paths):
        aws.write("cloudwatch", "disable_alarm_actions", AlarmNames=names)
        tell(Note(f"alarms that tell nobody until `start`: {', '.join(paths)}"))


def _wake(aws: Aws, resources: Iterable[Resource], paths: Sequence[str], tell: Tell) -> None:
    for names in _named(resources, paths):
        aws.write("cloudwatch", "enable_alarm_actions", AlarmNames=names)
        tell(Note(f"alarms that tell again: {', '.join(paths)}"))


def _named(resources: Iterable[Resource], paths: Sequence[str]) -> Iterator[list[str]]:
    """The names of alarms, as many at once as a call takes."""
    names = [resource.physical_id for resource in resources if resource.type == ALARM and resource.path in paths]
    for first in range(0, len(names), MOST_ALARMS):
        yield names[first : first + MOST_ALARMS]


def _stays(resources: Sequence[Resource]) -> Fact:
    """What is paid for meanwhile, and what goes on."""
    types = {resource.type for resource in resources}
    paid = list(dict.fromkeys(words for kind, words in STAYS.items() if kind in types))
    lines = [f"still paid for: {', '.join(paid)}"]
    if any(resource.type == QUEUE and not resource.path.endswith("/DeadLetterQueue") for resource in resources):
        lines.append("messages wait in their queues, and are gone once their retention is over")
    if "AWS::AutoScaling::ScheduledAction" in types:
        lines.append("the schedule of the nodes has them come again in the morning: give `stop` once more then")
    return Fact("stop", tuple(lines), {"paid": paid})


def _outcome(end: Any, live: Live, what: str, following: Next | None = None) -> Outcome:
    return Outcome(end, f"{live.name}: {what}", live.status, live.stack_id, next=following)


class _Declared:
    """What the templates of the set's stacks say; each is read once."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self._stacks: dict[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {}

    def number(self, resource: Resource, name: str) -> int:
        """A number that the template has, or one of its parameters. Raises NeedsHandError for any other expression."""
        try:
            return int(self.text(resource, name))
        except (TypeError, ValueError):
            raise NeedsHandError(
                f"{resource.path}: its template says {name} by an expression, and not by a number or a parameter",
                state="nothing was changed by this run",
                next=Next(words=f"set {name} by hand"),
            ) from None

    def text(self, resource: Resource, name: str) -> Any:
        """A property as the template has it, or one of its parameters."""
        if resource.stack_id not in self._stacks:
            nested = find(self.aws, resource.stack_id)
            parameters = nested.parameters if nested else {}
            self._stacks[resource.stack_id] = template_body(self.aws, resource.stack_id), parameters
        template, parameters = self._stacks[resource.stack_id]
        declared = template["Resources"].get(resource.path.rpartition("/")[2], {}).get("Properties", {}).get(name)
        return parameters.get(declared["Ref"]) if isinstance(declared, dict) and [*declared] == ["Ref"] else declared
