"""Other bounds for a service's tasks, for a while: set at once, and taken back by a scheduled action.

The action is made first and names the bounds that come back, so that nothing can forget them: whoever is killed between
two calls leaves an action that sets what is there, or bounds that end in time.

https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.changes.plan import Plan, kind_of
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, Resource, require, resources_of
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.deploy.services.restart import require_calm
from scaleout_cfn.errors import AccessError, ApiError, Next, UsageError
from scaleout_cfn.schedules import At, Rate, firings, parsed

#: The name of the action that takes the bounds back. No schedule of a config has it: that would be its own.
ACTION = "scaleout-cfn-scale"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
ECS: Mapping[str, str] = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
#: Targets that one DescribeScalableTargets takes.
MOST_TARGETS = 50
TIME = "%Y-%m-%d %H:%M:%SZ"


class Bounds(NamedTuple):
    """Fewest and most tasks."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least} to {self.most} tasks"


@dataclass(frozen=True)
class Scaled:
    """A service whose bounds were set for a while: until when, and what comes back then."""

    bounds: Bounds
    back: Bounds
    until: datetime


def scale(
    aws: Aws,
    stack: str,
    name: str,
    wanted: tuple[int | None, int | None],
    until: datetime,
    now: datetime,
    check: Callable[[Bounds], None],
    tell: Tell,
    *,
    environment: str = "",
    adopt: bool = False,
) -> Outcome:
    """Set other bounds until a moment. `wanted` are the fewest and the most tasks, None for what is there; `check`
    raises where the service may not have them.

    To repeat it is safe: what comes back is what was there before the first time. Raises UsageError where a schedule of
    the service sets bounds before the end.
    """
    live, target = _ready(aws, stack, name, environment, adopt=adopt)
    current = _bounds_of(aws, [target])[target]
    if not current.most:
        raise UsageError(f"{name} is stopped; give `start` first", next=Next("start"))
    actions = list(actions_of(aws, ResourceId=target))
    own = next((raw for raw in actions if raw["ScheduledActionName"] == ACTION and _time(raw) > now), None)
    new = Bounds(*(there if asked is None else asked for asked, there in zip(wanted, current, strict=True)))
    if new.least > new.most:
        raise UsageError(f"{name} has {current} now, and would have {new}; give --min and --max that go together")
    check(new)
    _refuse_schedules(name, actions, now, until, tell)
    back = _back(own) if own else current
    if not own and new == current:
        return Outcome("no_change", f"{name}: {current} already", live.status, live.stack_id)
    aws.write(
        "application-autoscaling",
        "put_scheduled_action",
        **ECS,
        ResourceId=target,
        ScheduledActionName=ACTION,
        Schedule=f"at({until.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
        Timezone="UTC",
        ScalableTargetAction=as_capacity(back),
    )
    aws.write("application-autoscaling", "register_scalable_target", **ECS, ResourceId=target, **as_capacity(new))
    done = Scaled(new, back, until)
    tell(Fact("scaled", (f"{name}  {sentence(done)}",), {"name": name, **data(done)}))
    return Outcome(
        "done",
        f"{name}: {new} until {until:{TIME}}",
        live.status,
        live.stack_id,
        next=Next("scale", (name, "--reset"), "to take it back before"),
    )


def reset(aws: Aws, stack: str, name: str, now: datetime, *, environment: str = "", adopt: bool = False) -> Outcome:
    """Take back what `scale` set. Does nothing where nothing is to be taken back."""
    live, target = _ready(aws, stack, name, environment, adopt=adopt)
    own = next((raw for raw in actions_of(aws, ResourceId=target) if raw["ScheduledActionName"] == ACTION), None)
    if own is None or _time(own) <= now:
        current = _bounds_of(aws, [target])[target]
        return Outcome("no_change", f"{name}: {current}, which no `scale` set", live.status, live.stack_id)
    back = _back(own)
    aws.write("application-autoscaling", "register_scalable_target", **ECS, ResourceId=target, **as_capacity(back))
    try:
        aws.write(
            "application-autoscaling", "delete_scheduled_action", **ECS, ResourceId=target, ScheduledActionName=ACTION
        )
    except ApiError as error:
        if error.kind != "missing":  # its time came
            raise
    return Outcome("done", f"{name}: {back} again", live.status, live.stack_id)


def scaled_in(aws: Aws, resources: Iterable[Resource]) -> dict[str, Scaled]:
    """The services of a set that `scale` has set other bounds for, by name; also those whose time may have come."""
    ids = {_id(resource): service_in(resource.path) for resource in resources if resource.type == TARGET}
    if not ids:
        return {}
    own = {raw["ResourceId"]: raw for raw in actions_of(aws, ScheduledActionNames=[ACTION]) if raw["ResourceId"] in ids}
    bounds = _bounds_of(aws, list(own))
    return {ids[target]: Scaled(bounds[target], _back(raw), _time(raw)) for target, raw in own.items()}


def warn_of_end(aws: Aws, plan: Plan, tell: Tell) -> None:
    """Tell of what `scale` and `stop` have set, where a plan sets the bounds that the template has. Asks nothing of AWS
    where the plan touches no scalable target."""
    touched = [
        Resource(change.path, change.type, change.physical_id, "", change.stack_id)
        for change in plan.changes
        if change.type == TARGET and kind_of(change) in ("change", "replace", "possible")
    ]
    try:
        bounds = _bounds_of(aws, [_id(resource) for resource in touched])
        stopped = sorted(service_in(resource.path) for resource in touched if not bounds[_id(resource)].most)
        for name in stopped:
            tell(Note(f"{name} is stopped: this deployment sets the template's bounds, and so starts it", "warning"))
        for name, scaled in scaled_in(aws, touched).items():
            if scaled.bounds != scaled.back and name not in stopped:  # else its time has come
                told = (
                    f"{name}: `scale` set {sentence(scaled)}. This deployment sets the template's bounds at once, and"
                    f" the end sets {scaled.back} over them: give `scale {name} --reset` first"
                )
                tell(Note(told, "warning"))
    except (ApiError, AccessError, UsageError) as error:
        tell(Note(f"not known what `scale` or `stop` has set: {error}", "warning"))


def sentence(scaled: Scaled) -> str:
    return f"{scaled.bounds} until {scaled.until:{TIME}}, then {scaled.back} again"


def data(scaled: Scaled) -> dict[str, Any]:
    bounds, back = ({"min_tasks": each.least, "max_tasks": each.most} for each in (scaled.bounds, scaled.back))
    return {"bounds": bounds, "back": back, "until": scaled.until}


def _ready(aws: Aws, stack: str, name: str, environment: str, *, adopt: bool) -> tuple[Live, str]:
    """The stack, which nothing is at work on, and the scalable target of its service."""
    live = require(aws, stack)
    require_ours(aws, live, environment, adopt=adopt)
    require_calm(live)
    found = {service_in(r.path): _id(r) for r in resources_of(aws, live.stack_id) if r.type == TARGET and r.physical_id}
    if name not in found:
        there = ", ".join(sorted(found)) or "none: give one an image"
        raise UsageError(f"service {name}: none of that name is scaled in stack {live.name}; there is {there}")
    return live, found[name]


def _id(resource: Resource) -> str:
    """`service/CLUSTER/NAME` of a target, whose physical id has its dimension and namespace, too."""
    return resource.physical_id.partition("|")[0]


def actions_of(aws: Aws, **which: Any) -> Iterable[Mapping[str, Any]]:
    for page in aws.pages("application-autoscaling", "describe_scheduled_actions", ServiceNamespace="ecs", **which):
        yield from page.get("ScheduledActions", [])


def targets_of(aws: Aws, targets: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Scalable targets as they are, by their ids. Raises UsageError for one that is not there."""
    found: dict[str, Mapping[str, Any]] = {}
    for first in range(0, len(targets), MOST_TARGETS):
        some = list(targets[first : first + MOST_TARGETS])
        for page in aws.pages("application-autoscaling", "describe_scalable_targets", **ECS, ResourceIds=some):
            found |= {raw["ResourceId"]: raw for raw in page.get("ScalableTargets", [])}
    if missing := [target for target in targets if target not in found]:
        raise UsageError(f"{', '.join(missing)}: it is in the stack, and Application Auto Scaling does not know it")
    return found


def _bounds_of(aws: Aws, targets: Sequence[str]) -> dict[str, Bounds]:
    return {id_: Bounds(raw["MinCapacity"], raw["MaxCapacity"]) for id_, raw in targets_of(aws, targets).items()}


def as_capacity(bounds: Bounds) -> dict[str, int]:
    return {"MinCapacity": bounds.least, "MaxCapacity": bounds.most}


def _back(own: Mapping[str, Any]) -> Bounds:
    action = own["ScalableTargetAction"]
    return Bounds(action["MinCapacity"], action["MaxCapacity"])


def _time(own: Mapping[str, Any]) -> datetime:
    """When our action takes the bounds back."""
    once = parsed(own["Schedule"])
    assert isinstance(once, At)
    return once.time.replace(tzinfo=UTC)


def _refuse_schedules(
    name: str, actions: Iterable[Mapping[str, Any]], now: datetime, until: datetime, tell: Tell
) -> None:
    """Raise UsageError where a schedule sets bounds before the end: what comes back then would undo it."""
    coming = []
    for raw in actions:
        if raw["ScheduledActionName"] == ACTION:
            continue
        expression = parsed(raw["Schedule"])
        if isinstance(expression, Rate):
            told = f"{name}: {raw['ScheduledActionName']}, {raw['Schedule']}, may set its own bounds before that"
            tell(Note(told, "warning"))
            continue
        fired = firings(expression, ZoneInfo(raw.get("Timezone", "UTC")), now, until)
        coming += [(moment.time, raw) for moment in fired if moment.clocks != "skipped"][:1]
    if coming:
        time, raw = min(coming, key=lambda pair: pair[0])
        minutes = int((time - now).total_seconds()) // 60
        raise UsageError(
            f"--for: the schedule {raw['ScheduledActionName']} of {name} sets its own bounds before, at {time:{TIME}};"
            f" give --for {minutes}m or less, or scale once it has"
        )
