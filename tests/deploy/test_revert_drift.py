"""deploy --revert-drift: what was changed beside CloudFormation is shown with both sides, and set back.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line, plan_lines
from scaleout_cfn.deploy.changes.plan import Change, Plan, Property, change_of
from scaleout_cfn.deploy.drift import diverted, set_back
from scaleout_cfn.errors import RefusedError, UsageError

from .helpers import Deployer, Small, running

RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"


def changed() -> Deployer:
    """A running set of which somebody has changed a resource of the root, and one of a nested stack."""
    deployer = running()
    deployer.world.cfn.drifted = {"Word": {"Value": "by hand"}, "Data/Table": {"BillingMode": "PROVISIONED"}}
    return deployer


def revert(deployer: Deployer, **options: Any) -> Any:
    return deployer.deploy(Small(), image="web:1", revert_drift=True, **options)


def test_what_was_changed_by_hand_is_shown_with_all_three_values_and_set_back() -> None:
    deployer = changed()
    assert revert(deployer).exit_code == 0
    assert deployer.world.cfn.drifted == {}
    lines = "\n".join(plan_lines(deployer.plans[0], 120))
    assert "Value  live by hand, template one -> one" in lines
    assert "BillingMode  live PROVISIONED, template PAY_PER_REQUEST -> PAY_PER_REQUEST" in lines
    (sent,) = [given for _, name, given in deployer.world.calls if name == "CreateChangeSet"]
    assert (sent["DeploymentMode"], sent["IncludeNestedStacks"]) == ("REVERT_DRIFT", True)


def test_without_it_what_was_changed_by_hand_stays() -> None:
    deployer = changed()
    assert deployer.deploy(Small(), image="web:1").end == "no_change"
    assert len(deployer.world.cfn.drifted) == 2
    assert not [given for _, _, given in deployer.world.calls if "DeploymentMode" in given]


def test_what_the_config_changes_comes_with_it() -> None:
    deployer = changed()
    assert deployer.deploy(Small(), image="web:2", revert_drift=True).exit_code == 0
    assert {"Word", "Data/Table", "Service/TaskDefinition"} <= {change.path for change in deployer.plans[0].changes}


def test_where_nothing_drifted_it_says_so_and_changes_nothing() -> None:
    deployer = running()
    before = deployer.state()
    outcome = revert(deployer)
    assert (outcome.end, deployer.world.executions(), deployer.state()) == ("no_change", 0, before)
    assert outcome.what == "web: nothing to do; CloudFormation finds nothing to set back"
    assert command_line(outcome.next) == "scaleout-cfn drift, to have each stack looked into"


def test_what_somebody_deleted_is_made_anew() -> None:
    deployer = running()
    deployer.world.cfn.gone = {"Word"}
    assert revert(deployer).exit_code == 0
    assert deployer.world.cfn.gone == set()
    assert "+ Word  AWS::SSM::Parameter  it is gone, and made anew" in "\n".join(plan_lines(deployer.plans[0], 120))


def test_what_cloudformation_did_not_compare_is_told() -> None:
    deployer = changed()
    create = deployer.world.cfn._set

    def blind(*given: Any, **named: Any) -> Any:
        made = create(*given, **named)
        if made["StackId"] != made["_root"] and made["ChangeSetName"].endswith("-Data"):
            del made["DeploymentMode"]
        return made

    deployer.world.cfn._set = blind  # type: ignore[method-assign]
    assert revert(deployer).exit_code == 0
    assert deployer.plans[0].warnings == ("not compared with what is there, and so not set back: Data",)


def test_of_a_stack_that_is_not_there_nothing_can_have_drifted() -> None:
    for command in (Deployer().deploy, Deployer().plan):
        with pytest.raises(UsageError, match="--revert-drift: there is no stack web yet"):
            command(revert_drift=True)


def test_a_plan_of_it_can_be_applied_by_its_arn() -> None:
    deployer = changed()
    outcome = deployer.plan(Small(), image="web:1", revert_drift=True)
    assert deployer.apply(outcome.change_set).exit_code == 0
    assert deployer.world.cfn.drifted == {}


def test_an_old_one_is_made_anew_for_what_is_there_may_have_changed() -> None:
    deployer = changed()
    deployer.plan(Small(), image="web:1", revert_drift=True)
    deployer.world.cfn.drifted = {"Word": {"Value": "another"}}
    revert(deployer)
    assert [entry.before for change in deployer.plans[0].changes for entry in change.properties] == ["another"]


def moved(path: str, kind: str, name: str, before: str, template: str) -> Change:
    properties = (Property(name, before, template, drifted=True, template=template),)
    return Change(path, kind, "Modify", properties=properties, drift="MODIFIED")


LIVE, TEMPLATE = (
    json.dumps([{"ForwardConfig": {"TargetGroups": [{"Weight": weight} for weight in weights]}}])
    for weights in ((0, 1), (1, 0))
)
WHOLE = moved("WebFoundation/Rule", RULE, "Actions", LIVE, TEMPLATE)
CUT = moved("WebFoundation/Rule", RULE, "Actions", LIVE[:40], TEMPLATE[:40])
ONE = moved("WebFoundation/Rule", RULE, "Actions.0.ForwardConfig.TargetGroups.1.Weight", "1", "0")


@pytest.mark.parametrize("change", [WHOLE, CUT, ONE], ids=["the whole list", "a list cut off", "one weight"])
def test_weights_that_ecs_has_moved_are_found_however_aws_tells_of_them(change: Change) -> None:
    assert list(diverted([change])) == ["WebFoundation/Rule"]
    assert not diverted([moved("WebFoundation/Rule", RULE, "Priority", "1", "2")])


def test_weights_are_not_set_back_whatever_is_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    deployer = changed()
    lost = {"WebFoundation/Rule": "would lead requests to the group that ECS took them from"}
    monkeypatch.setattr("scaleout_cfn.deploy.drift.diverted", lambda changes: lost)
    with pytest.raises(RefusedError, match="would lead requests") as caught:
        revert(deployer)
    assert command_line(caught.value.next).startswith("lead the requests back by hand")  # of a rule of no service
    assert (deployer.world.executions(), len(deployer.world.cfn.drifted)) == (0, 2)
    assert not [one for one in deployer.world.cfn.sets.values() if one["ExecutionStatus"] == "AVAILABLE"]


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("AWS::ECS::Service", "DesiredCount", "scaling moves it"),
        ("AWS::AutoScaling::AutoScalingGroup", "DesiredCapacity", "the capacity provider moves it"),
        ("AWS::ApplicationAutoScaling::ScalableTarget", "MinCapacity", "a schedule or `scale` may have set it"),
    ],
)
def test_what_is_expected_to_differ_is_told_before_anybody_agrees(kind: str, name: str, words: str) -> None:
    (note,) = set_back([moved("A/B", kind, name, "7", "2")])
    assert (note.text, note.level) == (f"A/B {name} would be set from 7 to 2 at once: {words}", "warning")
    assert not list(set_back([moved("A/B", kind, "Other", "7", "2")]))


def test_a_resource_that_the_template_has_caught_up_with_is_not_changed() -> None:
    target = {"Attribute": "Properties", "Name": "Value", "BeforeValue": "x", "AfterValue": "x",
              "Path": "/Properties/Value", "RequiresRecreation": "Never",
              "AttributeChangeType": "SyncWithActual"}  # fmt: skip
    raw = {"Action": "SyncWithActual", "LogicalResourceId": "Word", "ResourceType": "AWS::SSM::Parameter",
           "PhysicalResourceId": "x", "Details": [{"Target": target}], "ResourceDriftStatus": "MODIFIED"}  # fmt: skip
    change = change_of(raw, "")
    assert (change.replacement, change.properties[0].after) == ("none", "x")
    plan = Plan("web", "arn:x", "arn:y", creates=False, description="", changes=(change,))
    assert "is already what the template says: CloudFormation takes note" in "\n".join(plan_lines(plan, 120))
