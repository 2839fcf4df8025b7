"""A deployment whose services move traffic: `deploy` waits through stages and pauses, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line, rollout_line
from scaleout_cfn.deploy.messages import Fact, Outcome, Rollout

from .helpers import Deployer
from .shifting import ALARM, Moving, Plan

PAUSE = "POST_TEST_TRAFFIC_SHIFT"


def moving(**plan: Any) -> Deployer:
    """A deployer whose set runs, with the image web:1; from now on its services are deployed like this."""
    world = Moving()
    deployer = Deployer(world)
    assert deployer.deploy(image="web:1").exit_code == 0
    world.traffic.plan = Plan(**{"bake_min": 5, **plan})
    world.calls.clear()
    return deployer


def world_of(deployer: Deployer) -> Moving:
    assert isinstance(deployer.world, Moving)
    return deployer.world


def pauses(deployer: Deployer) -> list[Fact]:
    return [message for message in deployer.said if isinstance(message, Fact) and message.kind == "paused"]


def lines(deployer: Deployer) -> list[str]:
    return [rollout_line(message) for message in deployer.said if isinstance(message, Rollout)]


def answering(deployer: Deployer, action: str, after_s: float = 600.0) -> Outcome:
    """A deployment at whose pause somebody answers after a while."""
    world, begun = world_of(deployer), deployer.world.seconds

    def answer(seconds: float) -> None:
        for every in world.traffic.deployments.values():
            for hook in every[-1].hooks:
                if hook["status"] == "AWAITING_ACTION" and world.seconds > begun + after_s:
                    world.traffic.carry_on(every[-1].arn, hook["hookId"], action)

    world.at_sleep = answer
    return deployer.deploy(image="web:2")


def test_stages_shares_and_bake_times_are_told_until_ecs_is_done() -> None:
    deployer = moving(strategy="LINEAR", step=25.0, step_min=5)
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, deployer.status()) == (0, "UPDATE_COMPLETE")
    told = "\n".join(lines(deployer))
    for share in (25, 50, 75, 100):
        assert f"PRODUCTION_TRAFFIC_SHIFT  {share} % of traffic on the new version" in told
    assert "BAKE_TIME  100 % of traffic on the new version" in told and "until about" in told


def test_at_a_pause_it_says_once_what_it_waits_for_where_to_look_and_how_to_answer() -> None:
    deployer = moving(pauses=(PAUSE,))
    outcome = answering(deployer, "CONTINUE")
    assert outcome.exit_code == 0
    (fact,) = pauses(deployer)
    assert fact.lines[0].startswith(f"Service/Service: its deployment is at {PAUSE}, and waits for an answer, until ")
    assert "then it goes back" in fact.lines[0]
    assert fact.lines[1] == "  a request with port 8443 and the header x-test: green gets the new version"
    name = fact.data["name"]
    assert command_line(fact.next) == (
        f"scaleout-cfn rollout continue --service {name}, or scaleout-cfn rollout back --service {name}"
    )


def test_taken_back_at_its_pause_it_ends_with_4_and_the_version_before_serves() -> None:
    deployer = moving(pauses=(PAUSE,))
    world_of(deployer).traffic.plan.on_timeout = "CONTINUE"  # the way back of the stack stops there, too
    outcome = answering(deployer, "ROLLBACK")
    assert (outcome.exit_code, deployer.status()) == (4, "UPDATE_ROLLBACK_COMPLETE")
    assert "lifecycle hook" in outcome.reason


def test_an_alarm_in_the_bake_time_ends_it_with_4_and_its_name() -> None:
    deployer = moving(rings="BAKE_TIME")
    outcome = deployer.deploy(image="web:2")
    assert outcome.exit_code == 4
    assert any(f"alarm {ALARM}" in line for line in lines(deployer))


def test_its_own_timeout_and_ctrl_c_leave_a_pause_to_go_on_and_name_both_answers() -> None:
    of = "--service Service/Service"
    both = f"scaleout-cfn rollout continue {of}, or scaleout-cfn rollout back {of}"
    deployer = moving(pauses=(PAUSE,))
    outcome = deployer.deploy(image="web:2", wait_s=300)
    assert (outcome.exit_code, command_line(outcome.next)) == (9, both)
    assert "Service/Service waits for an answer until 2026-11-23 12:" in outcome.what
    deployer = moving(pauses=(PAUSE,))
    world = world_of(deployer)

    def stop(seconds: float) -> None:
        if world.seconds > 300:
            world.at_sleep = None
            raise KeyboardInterrupt

    world.at_sleep = stop
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, command_line(outcome.next)) == (130, both)
    # The same command again goes on watching.
    assert answering(deployer, "CONTINUE").exit_code == 0


@pytest.mark.parametrize("operation", ["DescribeRules", "DescribeListeners"])
def test_a_rule_that_may_not_be_read_does_not_hide_the_pause(operation: str) -> None:
    from .world import Fault

    deployer = moving(pauses=(PAUSE,))
    deployer.world.faults.append(Fault(operation, "AccessDenied", times=99))
    assert answering(deployer, "CONTINUE").exit_code == 0
    (fact,) = pauses(deployer)
    assert len(fact.lines) == 1


def test_rules_are_read_at_a_pause_and_not_at_each_look() -> None:
    deployer = moving(pauses=(PAUSE,))
    assert answering(deployer, "CONTINUE").exit_code == 0
    assert deployer.world.sent("DescribeRules", "DescribeListeners") == ["DescribeRules", "DescribeListeners"]
