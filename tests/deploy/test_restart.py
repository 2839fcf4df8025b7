"""A restart: each service anew in turn, never beside another deployment, and safe to be given again at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.messages import Message, Note, Outcome
from scaleout_cfn.deploy.services.restart import restart
from scaleout_cfn.errors import AccessError, ApiError, BusyError, RefusedError, UsageError

from .services import ECS, Services, Stack
from .world import Fault, Killed

TAKES_S = 20.0


@dataclass
class Restarting(Services):
    """An account whose services have deployments: each takes a while, and is listed a little after it was begun."""

    names: tuple[str, ...] = ("api", "web")
    lag_s: float = 5.0
    fails: bool = False
    begun_at: dict[str, list[float]] = field(default_factory=dict)
    other_version: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = Stack(self, services=self.names)

    def _state(self, name: str) -> str:
        times = self.begun_at.get(name, [])
        if times and self.seconds < times[-1] + TAKES_S:
            return "IN_PROGRESS"
        return "ROLLBACK_SUCCESSFUL" if times and self.fails else "SUCCESSFUL"

    def ecs_UpdateService(self, cluster: str, service: str, forceNewDeployment: bool, **_: Any) -> dict[str, Any]:
        assert forceNewDeployment
        name = service.rpartition("/")[2]
        assert self._state(name) != "IN_PROGRESS", "another deployment is at work"
        self.begun_at.setdefault(name, []).append(self.seconds)
        return {}

    def ecs_DescribeServices(self, services: list[str], **_: Any) -> dict[str, Any]:
        answer = super().ecs_DescribeServices(services)
        for service in answer["services"]:
            times = self.begun_at.get(service["serviceName"], [])
            primary = {**service["deployments"][0], "id": f"ecs-svc/{len(times)}"}
            service["deployments"] = [primary]
            if self._state(service["serviceName"]) == "IN_PROGRESS" or self.other_version == service["serviceName"]:
                primary["rolloutState"] = "IN_PROGRESS"
                old = {**primary, "status": "ACTIVE", "id": "ecs-svc/old"}
                if self.other_version:
                    old["taskDefinition"] = f"{ECS}:task-definition/web:1"
                service["deployments"].append(old)
        return answer

    def _listed(self, name: str) -> list[dict[str, Any]]:
        times = [-100.0, *self.begun_at.get(name, [])]
        return [
            {
                "serviceDeploymentArn": f"arn:{name}/{number}",
                "createdAt": self.now + timedelta(seconds=at - self.seconds),
            }
            for number, at in enumerate(times)
            if at + self.lag_s <= self.seconds
        ]

    def ecs_ListServiceDeployments(self, service: str = "", **_: Any) -> dict[str, Any]:
        return {"serviceDeployments": self._listed(service.rpartition("/")[2])}

    def ecs_DescribeServiceDeployments(self, serviceDeploymentArns: Sequence[str] = (), **_: Any) -> dict[str, Any]:
        name, number = serviceDeploymentArns[0].removeprefix("arn:").split("/")
        current = int(number) == len(self.begun_at.get(name, []))
        state = self._state(name) if current else "SUCCESSFUL"
        return {"serviceDeployments": [{"status": "IN_PROGRESS" if self.other_version == name else state}]}


def restarted(world: Restarting, name: str = "", **options: Any) -> tuple[Outcome, str]:
    said: list[Message] = []
    outcome = restart(world.aws(), "web", name, said.append, **{"end": None, **options})
    return outcome, "\n".join(one.text for one in said if isinstance(one, Note))


def test_each_service_is_restarted_in_turn_and_watched_to_its_end() -> None:
    world = Restarting()
    outcome, _ = restarted(world)
    assert (outcome.exit_code, outcome.what) == (0, "api, web: restarted")
    (first,), (second,) = world.begun_at["api"], world.begun_at["web"]
    assert second >= first + TAKES_S
    outcome, _ = restarted(world, "web")
    assert (outcome.what, len(world.begun_at["api"]), len(world.begun_at["web"])) == ("web: restarted", 1, 2)


def test_it_does_not_end_by_the_deployment_before_which_is_still_the_newest_that_is_listed() -> None:
    world = Restarting(names=("web",), lag_s=15)
    assert restarted(world)[0].exit_code == 0
    assert world.seconds >= TAKES_S


def test_a_deployment_that_is_never_listed_is_watched_as_the_service_shows_it() -> None:
    world = Restarting(names=("web",), lag_s=10_000)
    outcome, said = restarted(world)
    assert outcome.exit_code == 0
    assert "does not list" not in said  # the service's own id tells that it is new


@pytest.mark.parametrize("name", ["", "web"])
def test_it_is_never_begun_beside_the_deployment_of_another_version(name: str) -> None:
    world = Restarting(other_version="web")
    with pytest.raises(BusyError, match="service web: a deployment is at work on it") as caught:
        restarted(world, name)
    assert caught.value.exit_code == 7
    assert command_line(caught.value.next).startswith("scaleout-cfn rollout --service web")
    assert not world.begun_at


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_it_is_never_begun_while_the_stack_is_at_work(status: str) -> None:
    world = Restarting()
    world.cfn.status = status
    with pytest.raises(BusyError, match=f"stack web is {status}"):
        restarted(world)
    assert not world.begun_at


def test_an_update_that_begins_between_two_services_ends_it() -> None:
    world = Restarting()

    def at_call(operation: str) -> None:
        if world.begun_at:
            world.cfn.status = "UPDATE_IN_PROGRESS"

    world.at_call = at_call
    with pytest.raises(BusyError):
        restarted(world)
    assert [*world.begun_at] == ["api"]


def test_one_that_ecs_gave_up_ends_it_with_4_and_the_others_are_not_begun() -> None:
    world = Restarting(fails=True)
    outcome, _ = restarted(world)
    assert (outcome.end, outcome.exit_code) == ("rolled_back", 4)
    assert outcome.what.endswith("not begun: web")
    assert command_line(outcome.next) == "scaleout-cfn diagnose --service api"
    assert [*world.begun_at] == ["api"]


def test_a_lost_answer_is_found_out_by_reading_and_nothing_is_sent_twice() -> None:
    world = Restarting(names=("web",), faults=[Fault("UpdateService", carried_out=True)])
    assert restarted(world)[0].exit_code == 0
    assert len(world.sent("UpdateService")) == 1


def test_a_call_that_was_lost_on_its_way_is_told_and_may_be_given_again() -> None:
    world = Restarting(names=("web",), faults=[Fault("UpdateService", "ServerException", status=500)])
    with pytest.raises(ApiError) as caught:
        restarted(world)
    assert command_line(caught.value.next) == "the same command again"
    assert restarted(world)[0].exit_code == 0
    assert len(world.begun_at["web"]) == 1


def test_after_the_time_that_was_given_the_restart_goes_on_without_us() -> None:
    outcome, _ = restarted(Restarting(), end=10)
    assert (outcome.exit_code, command_line(outcome.next)) == (9, "scaleout-cfn rollout --service api")
    assert outcome.what.endswith("not begun: web")


def test_a_foreign_stack_is_left_alone_without_consent() -> None:
    world = Restarting()
    world.cfn.made_by = "somebody"
    with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
        restarted(world)
    assert restarted(world, adopt=True)[0].exit_code == 0


def test_a_service_that_is_not_there_and_a_right_that_is_missing_are_told() -> None:
    with pytest.raises(UsageError, match="--service blog: none of that name"):
        restarted(Restarting(), "blog")
    with pytest.raises(AccessError):
        restarted(Restarting(faults=[Fault("UpdateService", "AccessDeniedException")]))


def test_a_restart_that_runs_and_is_not_listed_yet_is_watched_to_its_end() -> None:
    world = Restarting(names=("web",), begun_at={"web": [0.0]}, lag_s=10)
    outcome, said = restarted(world)
    assert (outcome.exit_code, "is being restarted already" in said) == (0, True)
    assert world.seconds >= TAKES_S
    assert not world.sent("UpdateService")


@pytest.mark.parametrize("later_s", [1.0, 2 * TAKES_S], ids=["at once", "after ECS is done"])
def test_killed_at_any_call_the_same_command_brings_it_to_its_end(later_s: float) -> None:
    whole = Restarting()
    restarted(whole)
    for number in range(1, len(whole.calls) + 1):
        for when in ("before", "during"):
            world = Restarting(killed_at=(number, when))
            with pytest.raises(Killed):
                restarted(world)
            world.killed_at = None
            world.seconds += later_s
            outcome, _ = restarted(world)
            assert outcome.exit_code == 0, (number, when)
            assert all(world._state(name) == "SUCCESSFUL" for name in world.names), (number, when)
            # That none was begun beside another, the account itself asserts.
            assert all(1 <= len(world.begun_at[name]) <= 2 for name in world.names), (number, when)
