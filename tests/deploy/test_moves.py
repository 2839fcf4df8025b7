"""From one strategy of deployments to another on a stack that runs: what comes between, and when it cannot yet."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.live import Live
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.moves import Between, move_of
from scaleout_cfn.errors import RefusedError

from .helpers import Deployer, Small, published
from .shifting import Moving, Plan

ROLLING = sc.WebService()
BETWEEN = sc.WebService(deployment=sc.WebRolling(alternate_target_group=True))
SHIFTING = [sc.WebBlueGreen(), sc.WebLinear(), sc.WebCanary()]


def live(strategy: str = "", image: str = "web:1") -> Live:
    outputs = {"WebStrategy": strategy} if strategy else {}
    return Live(
        "arn", "web", "UPDATE_COMPLETE", "", {"WebImageUri": image}, {}, {}, outputs, "1", protected=False, role_arn=""
    )


def config(**web: Any) -> sc.Config:
    return sc.Config(
        capacity={"air": sc.FargateCapacity()},
        services={"web": sc.WebService(cpu_units=256, memory_mib=512, **web), "mailer": MAILER},
    )


MAILER = sc.WorkerService(cpu_units=256, memory_mib=512, image_of="web", deployment=sc.BlueGreen())


@pytest.mark.parametrize("deployment", SHIFTING)
def test_a_service_that_runs_gets_its_second_group_before_its_strategy(deployment: Any) -> None:
    wished = config(deployment=replace(deployment, failure_threshold=9))
    move = move_of(wished, live())
    assert move is not None
    assert (move.to_two, move.to_one) == (("web",), ())
    assert move.config.services["web"].deployment == sc.WebRolling(failure_threshold=9, alternate_target_group=True)
    # Nothing else is another than what is wished, and it can be composed.
    assert replace(move.config, services={}) == replace(wished, services={})
    assert move.config.services["mailer"] == MAILER
    sc.compose(move.config)
    # From there the strategy is one update away, and so is any other from it.
    assert move_of(wished, live("rolling")) is None
    assert move_of(wished, live("canary")) is None


@pytest.mark.parametrize("strategy", ["blue-green", "linear", "canary"])
def test_a_service_keeps_its_second_group_until_its_deployments_are_rolling_again(strategy: str) -> None:
    wished = config(deployment=sc.WebRolling(minimum_healthy_percent=50))
    move = move_of(wished, live(strategy))
    assert move is not None
    assert (move.to_two, move.to_one) == ((), ("web",))
    between = sc.WebRolling(minimum_healthy_percent=50, alternate_target_group=True)
    assert move.config.services["web"].deployment == between
    assert move_of(move.config, live(strategy)) is None
    assert move_of(wished, live("rolling")) is None


def test_nothing_comes_between_where_nothing_runs_or_nothing_moves() -> None:
    assert move_of(config(deployment=sc.WebBlueGreen()), live(image="")) is None
    assert move_of(config(), live()) is None
    assert move_of(config(deployment=sc.WebBlueGreen()), live("blue-green")) is None


def serving(strategy: str, *images: str) -> Deployer:
    """A service runs, and its first target group has the requests."""
    deployer = Deployer(Moving(plan=Plan(bake_min=0, stage_s=0.1)))
    for image in images or ("web:0", "web:1"):
        assert deployer.deploy(Small(strategy=strategy), image=image).exit_code == 0
    deployer.world.calls.clear()
    deployer.world.cfn.executions = 0
    return deployer


def moved(deployer: Deployer, strategy: str) -> Outcome:
    """From one strategy to another, with a new image."""
    shifting = sc.WebBlueGreen() if strategy else sc.WebRolling()
    wished = sc.Config(capacity={"air": sc.FargateCapacity()}, services={"web": sc.WebService(deployment=shifting)})

    def between(live: Live) -> Between | None:
        move = move_of(wished, live)
        return Between(move, published(Small(strategy="rolling"))) if move else None

    return deployer.deploy(Small(strategy=strategy), image="web:2", between=between)


def test_the_way_back_is_not_begun_while_the_second_group_has_the_requests() -> None:
    deployer = serving("blue-green", "web:0")
    with pytest.raises(RefusedError, match="100 % of them go to green, where ECS has led them") as caught:
        moved(deployer, "")
    assert command_line(caught.value.next).startswith("scaleout-cfn restart --service web, one more deployment leads")
    assert (caught.value.exit_code, deployer.world.executions()) == (6, 0)


def test_what_one_group_alone_can_have_comes_back_with_the_last_update() -> None:
    requests = sc.Scaling(requests=sc.TargetTracking(enabled=True, target=1000))
    move = move_of(config(scaling=requests), live("blue-green"))
    assert move is not None
    assert not move.config.services["web"].scaling.requests.enabled
    sc.compose(move.config)
