"""Bounds for a while: the end is there before the beginning, and what was there first is what comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.cli.status import _screen
from scaleout_cfn.deploy.messages import Fact, Message, Outcome
from scaleout_cfn.deploy.services.overview import overview_of
from scaleout_cfn.deploy.services.scale import ACTION, Bounds, reset, scale
from scaleout_cfn.errors import AccessError, ApiError, BusyError, RefusedError, UsageError

from .cloudformation import CloudFormation, Refused
from .helpers import Deployer, Small
from .services import SERVICE, Services, Stack
from .world import START, Fault, Killed, World

RESOURCE = "service/main/web"
HOURS = timedelta(hours=1)


class Targets(Stack):
    """A stack with a service and its scalable target."""

    def ListStackResources(self, StackName: str, **_: Any) -> dict[str, Any]:
        inside = "nested" in StackName
        rows = {
            "WebService": ("AWS::CloudFormation::Stack", "arn:nested/WebService/1"),
            "Service": ("AWS::ECS::Service", SERVICE),
            "ScalableTarget": (
                "AWS::ApplicationAutoScaling::ScalableTarget",
                f"{RESOURCE}|ecs:service:DesiredCount|ecs",
            ),
        }
        state = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": self.world.now}
        return {
            "StackResourceSummaries": [
                {"LogicalResourceId": title, "ResourceType": type_, "PhysicalResourceId": physical, **state}
                for title, (type_, physical) in rows.items()
                if (title != "WebService") is inside
            ]
        }


@dataclass
class Scaling(Services):
    """An account with one target. Actions fire when their time has come, and are kept."""

    bounds: tuple[int, int] = (2, 20)
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = Targets(self)

    def fire(self) -> None:
        """Let the time of our action come."""
        own = self.actions[ACTION]
        time = datetime.strptime(own["Schedule"], "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
        self.seconds = (time - START).total_seconds() + 1
        self.bounds = own["ScalableTargetAction"]["MinCapacity"], own["ScalableTargetAction"]["MaxCapacity"]

    def _check(self, given: dict[str, Any]) -> None:
        if (given["ServiceNamespace"], given["ResourceId"]) != ("ecs", RESOURCE):
            raise Refused("ObjectNotFoundException", "No scalable target registered")

    def method(self, operation: str) -> Callable[..., dict[str, Any]]:
        return getattr(self, operation)  # type: ignore[no-any-return]

    def _handler(self, service: str, operation: str) -> Callable[..., dict[str, Any]]:
        return self.method(operation) if service == "application-autoscaling" else super()._handler(service, operation)

    def DescribeScalableTargets(self, ResourceIds: list[str], **_: Any) -> dict[str, Any]:
        assert 0 < len(ResourceIds) <= 50
        one = {"ServiceNamespace": "ecs", "ResourceId": RESOURCE, "ScalableDimension": "ecs:service:DesiredCount",
               "MinCapacity": self.bounds[0], "MaxCapacity": self.bounds[1], "RoleARN": "arn:role",
               "CreationTime": START}  # fmt: skip
        return {"ScalableTargets": [one] if RESOURCE in ResourceIds else []}

    def DescribeScheduledActions(
        self, ResourceId: str = RESOURCE, ScheduledActionNames: list[str] | None = None, **_: Any
    ) -> dict[str, Any]:
        shown = {"ServiceNamespace": "ecs", "ScheduledActionARN": "arn:a", "CreationTime": START}
        return {
            "ScheduledActions": [
                {**one, **shown}
                for name, one in self.actions.items()
                if (not ScheduledActionNames or name in ScheduledActionNames) and one["ResourceId"] == ResourceId
            ]
        }

    def PutScheduledAction(self, **given: Any) -> dict[str, Any]:
        self._check(given)
        self.actions[given["ScheduledActionName"]] = given
        return {}

    def DeleteScheduledAction(self, **given: Any) -> dict[str, Any]:
        self._check(given)
        if given["ScheduledActionName"] not in self.actions:
            raise Refused("ObjectNotFoundException", "No scheduled action found")
        del self.actions[given["ScheduledActionName"]]
        return {}

    def RegisterScalableTarget(self, **given: Any) -> dict[str, Any]:
        self._check(given)
        # Whatever is set has its end already, but for the way back.
        back = (self.actions.get(ACTION) or {}).get("ScalableTargetAction")
        assert back, "bounds without an end"
        self.bounds = given["MinCapacity"], given["MaxCapacity"]
        return {"ScalableTargetARN": "arn:t"}


def scaled(
    world: Scaling, least: int | None = 4, most: int | None = None, hours: float = 2, **options: Any
) -> tuple[Outcome, list[Message]]:
    said: list[Message] = []
    now = world.now.replace(microsecond=0)
    check = options.pop("check", lambda bounds: None)
    until = now + hours * HOURS
    aws = world.aws()
    name = options.pop("name", "web")
    return scale(aws, "web", name, (least, most), until, now, check, said.append, **options), said


def taken_back(world: Scaling, **options: Any) -> Outcome:
    return reset(world.aws(), "web", "web", world.now, **options)


def schedule(name: str, at: str, **more: Any) -> dict[str, Any]:
    action = {"MinCapacity": 4, "MaxCapacity": 12}
    return {"ScheduledActionName": name, "Schedule": at, "ResourceId": RESOURCE, "ScalableTargetAction": action, **more}


def test_the_bounds_are_set_at_once_and_the_old_ones_come_back_by_themselves() -> None:
    world = Scaling()
    outcome, said = scaled(world)
    assert world.bounds == (4, 20)
    (own,) = world.actions.values()
    assert (own["Schedule"], own["Timezone"]) == ("at(2026-11-23T14:00:00)", "UTC")
    assert (outcome.exit_code, outcome.what) == (0, "web: 4 to 20 tasks until 2026-11-23 14:00:00Z")
    assert command_line(outcome.next) == "scaleout-cfn scale web --reset, to take it back before"
    (fact,) = [one for one in said if isinstance(one, Fact)]
    assert fact.data["back"] == {"min_tasks": 2, "max_tasks": 20}
    world.fire()
    assert world.bounds == (2, 20)


def test_again_it_moves_the_end_and_what_comes_back_stays_what_was_there_first() -> None:
    world = Scaling()
    scaled(world)
    world.seconds += 600
    scaled(world)
    assert world.actions[ACTION]["Schedule"] == "at(2026-11-23T14:10:00)"
    scaled(world, 6, 30)
    assert world.bounds == (6, 30)
    world.fire()
    assert world.bounds == (2, 20)
    scaled(world, 8, None)  # an action whose time has come says nothing of now
    assert world.bounds == (8, 20)


def test_reset_takes_it_back_at_once_and_does_nothing_the_second_time() -> None:
    world = Scaling()
    scaled(world, 6, 30)
    assert taken_back(world).what == "web: 2 to 20 tasks again"
    assert (world.bounds, world.actions) == ((2, 20), {})
    again = taken_back(world)
    assert (again.end, again.what) == ("no_change", "web: 2 to 20 tasks, which no `scale` set")


def test_bounds_that_are_there_already_need_no_end() -> None:
    world = Scaling()
    outcome, _ = scaled(world, 2, 20)
    assert (outcome.end, world.actions) == ("no_change", {})


@pytest.mark.parametrize(("least", "most"), [(30, None), (None, 1), (9, 8)])
def test_bounds_that_do_not_go_together_are_refused_before_anything_is_changed(
    least: int | None, most: int | None
) -> None:
    world = Scaling()
    with pytest.raises(UsageError, match="web has 2 to 20 tasks now"):
        scaled(world, least, most)
    assert not world.sent("PutScheduledAction", "RegisterScalableTarget")


def test_what_the_config_and_its_nodes_have_no_room_for_is_refused_before_anything_is_changed() -> None:
    world = Scaling()
    asked: list[Bounds] = []

    def check(bounds: Bounds) -> None:
        asked.append(bounds)
        raise UsageError("no room")

    with pytest.raises(UsageError, match="no room"):
        scaled(world, None, 90, check=check)
    assert asked == [Bounds(2, 90)]
    assert not world.sent("PutScheduledAction", "RegisterScalableTarget")


def test_a_schedule_that_fires_before_the_end_is_told_with_what_would_do() -> None:
    world = Scaling(actions={"noon": schedule("noon", "cron(30 14 * * ? *)", Timezone="Europe/Berlin")})
    with pytest.raises(
        UsageError, match=r"the schedule noon of web .* at 2026-11-23 13:30:00Z; give --for 90m or less"
    ):
        scaled(world)
    assert world.bounds == (2, 20)
    assert scaled(world, hours=1.25)[0].exit_code == 0


def test_one_that_fires_at_a_rate_may_set_its_own_and_that_is_told() -> None:
    outcome, said = scaled(Scaling(actions={"often": schedule("often", "rate(1 hour)")}))
    assert outcome.exit_code == 0
    assert any("may set its own bounds" in str(one) for one in said)


def test_a_stack_at_work_a_foreign_one_and_a_service_that_is_not_there_are_refused() -> None:
    world = Scaling()
    world.cfn.status = "UPDATE_IN_PROGRESS"
    with pytest.raises(BusyError):
        scaled(world)
    with pytest.raises(BusyError):
        taken_back(world)
    world = Scaling()
    world.cfn.made_by = "somebody"
    with pytest.raises(RefusedError):
        scaled(world)
    assert scaled(world, adopt=True)[0].exit_code == 0
    with pytest.raises(UsageError, match="service blog: none of that name is scaled in stack web; there is web"):
        scaled(Scaling(), name="blog")
    with pytest.raises(AccessError):
        scaled(Scaling(faults=[Fault("PutScheduledAction", "AccessDeniedException")]))


def test_a_lost_answer_is_told_and_the_same_command_again_ends_it() -> None:
    for operation in ("PutScheduledAction", "RegisterScalableTarget"):
        world = Scaling(faults=[Fault(operation, carried_out=True)])
        with pytest.raises(ApiError) as caught:
            scaled(world)
        assert command_line(caught.value.next) == "the same command again"
        assert scaled(world)[0].exit_code == 0
        world.fire()
        assert world.bounds == (2, 20)


def test_an_action_whose_time_comes_during_the_reset_is_no_error() -> None:
    world = Scaling(faults=[Fault("DeleteScheduledAction", "ObjectNotFoundException")])
    scaled(world)
    assert taken_back(world).exit_code == 0


@given(st.lists(st.tuples(st.sampled_from(["scale", "reset"]), st.integers(1, 14), st.booleans()), max_size=6))
def test_whenever_it_is_killed_what_was_there_first_comes_back(steps: list[tuple[str, int, bool]]) -> None:
    """Any commands one after another, each of which dies at some call or ends."""
    world = Scaling()
    for number, (command, call, during) in enumerate(steps):
        world.killed_at = (len(world.calls) + call, "during" if during else "before")
        with contextlib.suppress(Killed):
            _ = taken_back(world) if command == "reset" else scaled(world, 3 + number, 21 + number)
        world.killed_at = None
    if ACTION in world.actions:
        world.fire()
    assert world.bounds == (2, 20)


def test_the_screen_says_drift_until_the_end_and_nothing_once_it_has_come() -> None:
    world = Scaling()
    scaled(world, hours=50 * 365 * 24)
    lines = _screen(overview_of(world.aws(), "web")).lines
    (line,) = [line for line in lines if "drift" in line]
    assert line.startswith("web  drift  4 to 20 tasks until 2076-11-10 12:00:00Z, then 2 to 20 tasks again; `scale web")
    world = Scaling()
    world.seconds = -10 * 365 * 24 * 3600.0
    scaled(world)
    assert not [line for line in _screen(overview_of(world.aws(), "web")).lines if "drift" in line]


def test_status_shows_what_was_set_until_its_end_and_does_without_where_it_cannot_be_read() -> None:
    world = Scaling()
    assert overview_of(world.aws(), "web").scaled == {}
    scaled(world)
    (found,) = overview_of(world.aws(), "web").scaled.items()
    assert (found[0], found[1].bounds, found[1].back) == ("web", (4, 20), (2, 20))
    world.faults = [Fault("DescribeScheduledActions", "AccessDeniedException")]
    (unread,) = overview_of(world.aws(), "web").unread
    assert unread.startswith("bounds that `scale` set: ")


class Deployed(Scaling):
    """The account of one target, with services as a deployment finds them."""

    ecs_DescribeServices = World.ecs_DescribeServices
    ecs_ListServiceDeployments = World.ecs_ListServiceDeployments

    def DescribeScalableTargets(self, ResourceIds: list[str], **_: Any) -> dict[str, Any]:
        (one,) = super().DescribeScalableTargets([RESOURCE])["ScalableTargets"]
        others = {"MinCapacity": 2, "MaxCapacity": 20}
        return {
            "ScalableTargets": [
                {**one, **(others if id_ != RESOURCE else {}), "ResourceId": id_} for id_ in ResourceIds
            ]
        }


def scaled_set() -> Deployer:
    """A set with two services, of which `scale` has set other bounds for one."""
    world = Deployed()
    scaled(world)
    world.cfn = CloudFormation(world)
    deployer = Deployer(world)
    assert deployer.deploy(Small(services=1, most=20), image="web:1").exit_code == 0
    for stack in world.cfn.stacks.values():
        if stack.path == "S0Service":
            stack.resources["ScalableTarget"]["physical"] = f"{RESOURCE}|ecs:service:DesiredCount|ecs"
    world.calls.clear()
    return deployer


def asked(deployer: Deployer) -> list[str]:
    return deployer.world.sent("DescribeScheduledActions", "DescribeScalableTargets")


def test_a_deployment_that_sets_bounds_back_says_what_scale_had_set_and_until_when() -> None:
    deployer = scaled_set()
    assert deployer.deploy(Small(services=1, most=30), image="web:1").exit_code == 0
    assert (
        "s0: `scale` set 4 to 20 tasks until 2026-11-23 14:00:00Z, then 2 to 20 tasks again. This deployment sets the"
        " template's bounds at once, and the end sets 2 to 20 tasks over them: give `scale s0 --reset` first"
    ) in deployer.notes
    assert deployer.plan(Small(services=1, most=40), image="web:1").end == "planned"
    assert "`scale s0 --reset` first" in deployer.notes


def test_a_deployment_that_leaves_the_bounds_asks_nothing_about_them() -> None:
    deployer = scaled_set()
    assert deployer.deploy(Small(services=1, most=20), image="web:2").exit_code == 0
    assert (asked(deployer), deployer.notes.count("`scale`")) == ([], 0)


def test_a_deployment_goes_on_where_what_scale_has_set_cannot_be_read() -> None:
    deployer = scaled_set()
    deployer.world.faults = [Fault("DescribeScheduledActions", "AccessDeniedException")]
    assert deployer.deploy(Small(services=1, most=30), image="web:1").exit_code == 0
    assert "not known what `scale` or `stop` has set" in deployer.notes


def test_bounds_whose_time_has_come_are_not_told() -> None:
    deployer = scaled_set()
    assert isinstance(deployer.world, Scaling)
    deployer.world.fire()
    assert deployer.deploy(Small(services=1, most=30), image="web:1").exit_code == 0
    assert "`scale`" not in deployer.notes


def test_a_deployment_that_starts_what_is_stopped_says_so() -> None:
    deployer = scaled_set()
    assert isinstance(deployer.world, Scaling)
    deployer.world.bounds = (0, 0)
    assert deployer.deploy(Small(services=1, most=30), image="web:1").exit_code == 0
    assert "s0 is stopped: this deployment sets the template's bounds, and so starts it" in deployer.notes
    assert "`scale`" not in deployer.notes
    assert deployer.deploy(Small(services=1, most=30), image="web:2").exit_code == 0
    assert "is stopped" not in deployer.notes
