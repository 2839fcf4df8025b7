"""Stack policies: lifted for what was consented to, and set again at every end that somebody sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scaleout_cfn.aws.client import Patience
from scaleout_cfn.deploy import recover
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.errors import ScaleoutError, Stopped

from .cloudformation import denied
from .helpers import Deployer, Small, running
from .operations import Operator, wider
from .world import Fault, Killed


def replaced(deployer: Deployer, **options: Any) -> Outcome:
    """The deployment that replaces the table, with consent."""
    return deployer.deploy(Small(key="pk", word="two"), allowed=("Data/Table",), **options)


def protected(deployer: Deployer) -> bool:
    """Whether CloudFormation would refuse to replace the table, and nothing marks a policy as lifted."""
    cfn = deployer.world.cfn
    data = next(stack for stack in cfn.stacks.values() if stack.path == "Data")
    root = cfn.live("web")
    assert root is not None
    marked = '"Allow", "Action": ["Update:Replace"' in root.policy
    return denied(data.policy, "Update:Replace", "Table") and bool(root.policy) and not marked


@pytest.mark.parametrize("fails", ["", "Data/Table", "Word"])
def test_after_the_end_of_the_operation_data_is_protected_again(fails: str) -> None:
    deployer = running()
    if fails:
        deployer.world.cfn.failures[fails] = ("no", 1)
    assert replaced(deployer).exit_code == (4 if fails else 0)
    assert protected(deployer)


@pytest.mark.parametrize("fails", ["", "Word"])
@pytest.mark.parametrize("again", ["same command", "another state", "nothing to do"])
def test_after_watching_was_broken_off_the_next_deployment_protects_it_again(fails: str, again: str) -> None:
    deployer = running()
    if fails:
        deployer.world.cfn.failures[fails] = ("no", 1)
    assert replaced(deployer, wait_s=1).exit_code == 9
    assert not protected(deployer)  # it has to stay so while the operation runs
    if again != "same command":
        deployer.world.cfn.finish()
    if again == "same command":
        assert replaced(deployer).exit_code == (4 if fails else 0)
    elif again == "another state":
        deployer.deploy(Small(key="id" if fails else "pk", word="three"))
    else:
        outcome = deployer.deploy(Small(key="id" if fails else "pk", word="one" if fails else "two"))
        assert outcome.end == "no_change"
    assert protected(deployer)


def test_an_execution_that_is_refused_leaves_data_protected() -> None:
    deployer = running()
    deployer.world.faults.append(Fault("ExecuteChangeSet", "ValidationError"))
    with pytest.raises(ScaleoutError):
        replaced(deployer)
    assert protected(deployer)


def test_an_interrupt_before_the_execution_leaves_data_protected() -> None:
    deployer = running()

    def at(operation: str) -> None:
        if operation == "SetStackPolicy" and deployer.world.sent("SetStackPolicy").count("SetStackPolicy") == 2:
            deployer.world.at_call = None
            raise Stopped(2)

    deployer.world.at_call = at
    assert replaced(deployer).end == "interrupted"
    assert protected(deployer)


def test_what_is_rolled_back_by_hand_is_protected_again() -> None:
    deployer = wider()
    assert replaced(deployer, wait_s=1).exit_code == 9
    assert not protected(deployer)
    aws = deployer.world.aws()
    outcome = recover.cancel(aws, "web", deployer.said.append, lambda sentence: True, Patience())
    assert outcome.exit_code == 0
    assert protected(deployer)


def test_only_what_was_consented_to_is_lifted_and_a_policy_of_somebody_elses_is_kept() -> None:
    deployer = running()
    cfn = deployer.world.cfn
    root = cfn.live("web")
    assert root is not None
    theirs = {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/Word"}
    everything = {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}
    root.policy = json.dumps({"Statement": [everything, theirs]})
    data = next(stack for stack in cfn.stacks.values() if stack.path == "Data")
    both = ["LogicalResourceId/Other", "LogicalResourceId/Table"]
    data.policy = json.dumps(
        {"Statement": [everything, {"Effect": "Deny", "Action": ["Update:Replace", "Update:Delete"], "Principal": "*",
                                    "Resource": both}]}
    )  # fmt: skip
    execute = cfn.ExecuteChangeSet

    def seen(**given: Any) -> Any:
        assert denied(data.policy, "Update:Replace", "Other")
        assert not denied(data.policy, "Update:Replace", "Table")
        return execute(**given)

    cfn.ExecuteChangeSet = seen  # type: ignore[method-assign, assignment]
    assert deployer.deploy(Small(key="pk"), allowed=("Data/Table",)).exit_code == 0
    assert json.loads(root.policy)["Statement"] == [everything, theirs]
    assert protected(deployer)


def test_what_a_template_marks_is_protected_too() -> None:
    deployer = Deployer()
    assert deployer.deploy(Small(mark=True)).exit_code == 0
    root = deployer.world.cfn.live("web")
    assert root is not None
    assert denied(root.policy, "Update:Replace", "Word")
    assert deployer.deploy(Small(mark=True, word="two")).exit_code == 0
    assert denied(root.policy, "Update:Replace", "Word")


def test_templates_are_read_for_marks_only_where_there_are_any() -> None:
    deployer = Deployer()
    deployer.deploy()
    assert not deployer.world.sent("GetTemplate")


def test_a_killed_run_is_found_out_by_one_call() -> None:
    deployer = running()
    deployer.world.at_call = lambda operation: die(deployer, operation)
    with pytest.raises(Killed):
        replaced(deployer)
    deployer.world.at_call = None
    assert not protected(deployer)
    deployer.world.calls.clear()
    assert deployer.deploy(image="web:1").end == "no_change"
    assert protected(deployer)
    deployer.world.calls.clear()
    deployer.deploy(image="web:1")
    assert deployer.world.sent("GetStackPolicy", "SetStackPolicy", "ListStackResources") == ["GetStackPolicy"]


def die(deployer: Deployer, operation: str) -> None:
    if operation == "ExecuteChangeSet":
        raise Killed


def test_a_policy_that_cannot_be_read_or_set_decides_nothing() -> None:
    deployer: Operator = wider()
    for operation in ("GetStackPolicy", "SetStackPolicy"):
        deployer.world.faults.append(Fault(operation, "AccessDenied", times=100))
    assert deployer.deploy(image="web:2").exit_code == 0
    assert "stack policy of Data" in deployer.notes or "stack policy of web-Data" in deployer.notes


def test_what_somebody_else_denies_stays_denied_in_a_stack_that_holds_data() -> None:
    deployer = running()
    data = next(stack for stack in deployer.world.cfn.stacks.values() if stack.path == "Data")
    theirs = {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/Other"}
    found = json.loads(data.policy)["Statement"]
    data.policy = json.dumps({"Statement": [*found, theirs]})
    assert deployer.deploy(image="web:2").exit_code == 0
    assert theirs in json.loads(data.policy)["Statement"]
    assert protected(deployer)


def test_nothing_is_written_before_somebody_agrees() -> None:
    """A stack that was made in the console has no policies: that is no reason to set them unasked."""
    deployer = running()
    for stack in deployer.world.cfn.stacks.values():
        stack.policy = ""
    deployer.confirm = lambda plan: False
    sent = deployer.world.sent("SetStackPolicy")
    with pytest.raises(ScaleoutError, match="not confirmed"):
        deployer.deploy(image="web:2")
    assert deployer.world.sent("SetStackPolicy") == sent


def test_sigterm_between_lifting_and_executing_says_that_data_is_unprotected() -> None:
    deployer = running()

    def at(operation: str) -> None:
        if operation == "ExecuteChangeSet":
            deployer.world.at_call = None
            raise Stopped(15)

    deployer.world.at_call = at
    outcome = replaced(deployer)
    assert (outcome.exit_code, "stack policies are lifted" in outcome.what) == (143, True)
    assert deployer.deploy(Small(word="one"), image="web:1").exit_code == 0
    assert protected(deployer)
