"""A change of a rule whose weights ECS moves: whatever of it changes, the template's weights are written with it."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.changes.plan import weights_in
from scaleout_cfn.errors import AccessError, RefusedError

from .helpers import Deployer, Small
from .shifting import Moving, Plan
from .test_moves import serving
from .test_waiting import world_of
from .world import Fault


def running(deployments: int, **plan: object) -> Deployer:
    """A deployer whose set runs, after so many deployments: of an odd number green serves, the second group."""
    deployer = Deployer(Moving())
    for number in range(deployments):
        assert deployer.deploy(Small(rule="/a"), image=f"web:{number}").exit_code == 0
    deployer.world.calls.clear()
    deployer.world.cfn.executions = 0
    world_of(deployer).traffic.plan = Plan(bake_min=0, stage_s=1.0, **plan)  # type: ignore[arg-type]
    return deployer


def refusal(deployer: Deployer, small: Small, image: str = "web:0") -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        deployer.deploy(small, image=image)
    assert (caught.value.exit_code, deployer.world.executions()) == (6, 0)
    assert not [one for one in deployer.world.cfn.sets.values() if one["ExecutionStatus"] == "AVAILABLE"]
    return caught.value


def test_a_changed_path_is_refused_while_requests_go_to_the_other_group() -> None:
    refused = refusal(running(1), Small(rule="/b"))
    assert str(refused) == (
        # Not of the test rule, which leads nobody but who tests.
        "Rule would lead all requests to blue, while 100 % of them go to green, where ECS has led them: they fail "
        "where no task is"
    )
    assert command_line(refused.next) == (
        "scaleout-cfn restart --service Service/Service, one more deployment leads them back to the first group, then "
        "the same command again"
    )


def test_a_tag_alone_is_refused_as_well_for_all_of_the_rule_is_written_with_it() -> None:
    refused = refusal(running(1), Small(rule="/a", owner="me"))
    assert str(refused).startswith("Rule would lead all requests to blue, while 100 % of them go to green")
    assert command_line(refused.next).startswith("scaleout-cfn restart --service Service/Service")


def test_without_what_is_inside_a_nested_stack_its_rule_counts_as_written() -> None:
    deployer = serving("blue-green", "web:0")
    with pytest.raises(RefusedError, match="WebFoundation/Rule may lead all requests to blue, while 100 % of them go"):
        deployer.deploy(Small(strategy="blue-green", owner="me"), image="web:0", nested_plan=False)
    assert deployer.world.executions() == 0
    # A new image is in another stack.
    assert deployer.deploy(Small(strategy="blue-green"), image="web:1", nested_plan=False).exit_code == 0
    assert deployer.deploy(Small(strategy="blue-green", owner="me"), image="web:1", nested_plan=False).exit_code == 0


def test_a_rule_of_which_aws_tells_no_values_is_looked_up_in_its_template() -> None:
    deployer = running(1)
    tell = deployer.world.cfn.DescribeChangeSet

    def without_values(**given: Any) -> dict[str, Any]:
        answer = tell(**given)
        for change in answer["Changes"]:
            change["ResourceChange"].pop("BeforeContext", None)
            change["ResourceChange"].pop("AfterContext", None)
        return answer

    deployer.world.cfn.DescribeChangeSet = without_values  # type: ignore[method-assign, assignment]
    assert "Rule would lead all requests to blue" in str(refusal(deployer, Small(rule="/a", owner="me")))


def test_after_one_more_deployment_it_is_let_through_and_says_what_it_writes() -> None:
    deployer = running(2)
    outcome = deployer.deploy(Small(rule="/b"), image="web:1")
    assert (outcome.exit_code, deployer.world.executions()) == (0, 1)
    assert "Rule: its weights are written, too; requests stay where they go now" in deployer.notes


def test_while_a_deployment_moves_requests_it_is_waited_for() -> None:
    deployer = running(2, strategy="CANARY", step=5.0, step_min=60)
    world_of(deployer).traffic.begin("Service")
    deployer.world.seconds += 60
    refused = refusal(deployer, Small(rule="/b"), "web:1")
    assert "5 % of them go to green" in str(refused)
    assert command_line(refused.next) == (
        "scaleout-cfn rollout --service Service/Service, until its deployment has ended, then the same command again"
    )


def test_a_template_that_itself_leads_requests_elsewhere_means_it() -> None:
    deployer = running(2)
    assert deployer.deploy(Small(rule="/a", weights=(0, 100)), image="web:1").exit_code == 0


def test_what_a_plan_would_take_is_told_and_the_change_set_that_is_kept_is_refused() -> None:
    deployer = running(1)
    outcome = deployer.plan(Small(rule="/b"), image="web:0")
    assert outcome.exit_code == 0
    assert "Rule would lead all requests to blue" in deployer.notes
    assert "`deploy` and `apply` refuse it" in deployer.notes
    with pytest.raises(RefusedError, match="would lead all requests to blue"):
        deployer.apply(outcome.change_set)
    assert deployer.world.executions() == 0
    shown = deployer.plan(Small(rule="/b"), image="web:0", keep=False)
    assert command_line(shown.next).startswith("scaleout-cfn restart")


def test_a_new_image_does_not_touch_the_rule_and_asks_nothing_about_it() -> None:
    deployer = running(1)
    assert deployer.deploy(Small(rule="/a"), image="web:new").exit_code == 0
    assert not deployer.world.sent("DescribeRules")


def test_where_the_rule_may_not_be_read_nothing_is_executed() -> None:
    deployer = running(2)
    deployer.world.faults.append(Fault("DescribeRules", "AccessDenied", times=9))
    with pytest.raises(AccessError):
        deployer.deploy(Small(rule="/b"), image="web:1")
    assert deployer.world.executions() == 0


def test_weights_are_read_from_rules_and_templates_alike() -> None:
    one = {"Type": "forward", "TargetGroupArn": "a"}
    groups = [{"TargetGroupArn": "a", "Weight": "0"}, {"TargetGroupArn": "b"}, {"TargetGroupArn": {"Ref": "C"}}]
    several = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    assert weights_in([{"Type": "authenticate-oidc"}, one]) == {"a": 1}
    assert weights_in([several]) == {"a": 0, "b": 1}
    assert weights_in(None) == weights_in("{{changeSet:KNOWN_AFTER_APPLY}}") == {}
