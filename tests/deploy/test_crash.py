"""The crash matrix: the deployer dies before or during each of its calls, and the same command is run again.

"During" is after AWS carried the call out and before the answer was seen; dying after the answer is dying before the
next call. Nothing of the dead process runs any more: no handler, no clean-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from scaleout_cfn.deploy.messages import Outcome

from .helpers import Deployer, Small, running
from .test_diverted import running as led_back
from .test_moves import moved, serving
from .world import Killed


@dataclass(frozen=True)
class Scenario:
    """A command on a world, how it ends, and how many executions that takes."""

    begin: Callable[[], Deployer]
    command: Callable[[Deployer], int]
    exit_code: int
    executions: int
    fails: bool = False
    #: What an earlier run has proposed is proposed anew.
    anew: bool = False


def failing() -> Deployer:
    deployer = running()
    deployer.world.cfn.failures["Service/Service"] = ("no such image", 1000)
    return deployer


def half_way() -> Deployer:
    """The table can be replaced, and then another resource fails."""
    deployer = running()
    deployer.world.cfn.failures["Word"] = ("no such word", 1000)
    return deployer


def crowded() -> Deployer:
    """A nested stack takes hardly any more change sets, so that its changes are not asked for."""
    deployer = running()
    deployer.world.cfn.crowd["Data"] = 990
    return deployer


def replaced(deployer: Deployer) -> Outcome:
    return deployer.deploy(Small(key="pk", word="two"), allowed=("Data/Table",))


def rerouted(deployer: Deployer) -> int:
    return deployer.deploy(Small(rule="/b"), image="web:1").exit_code


def broken() -> Deployer:
    """A creation that failed: the stack can only be made anew."""
    deployer = Deployer()
    deployer.world.cfn.failures["Data/Table"] = ("Limit exceeded", 1)
    assert deployer.deploy().status == "ROLLBACK_COMPLETE"
    deployer.world.calls.clear()
    deployer.world.cfn.executions = 0
    return deployer


def drifted() -> Deployer:
    """Somebody has changed a resource of the root, and one of a nested stack."""
    deployer = running()
    deployer.world.cfn.drifted = {"Word": {"Value": "by hand"}, "Data/Table": {"BillingMode": "PROVISIONED"}}
    return deployer


def before_the_set() -> Deployer:
    """A table that was there before."""
    deployer = Deployer()
    deployer.world.cfn.existing["AWS::DynamoDB::Table", "orders"] = {"TableName": "orders"}
    return deployer


def taken_in(deployer: Deployer) -> int:
    imports = {"Data/Table": "table orders"}
    outcome = deployer.deploy(Small(named="orders", retain=True), image="web:1", imports=imports)
    assert outcome.exit_code or deployer.world.cfn.physical_id("Table") == "orders"
    return outcome.exit_code


def reverted(deployer: Deployer) -> int:
    outcome = deployer.deploy(image="web:2", revert_drift=True)
    assert not deployer.world.cfn.drifted
    return outcome.exit_code


SCENARIOS = {
    "create": Scenario(Deployer, lambda one: one.deploy().exit_code, 0, 1),
    "create in two phases": Scenario(Deployer, lambda one: one.deploy(image="web:1").exit_code, 0, 2),
    "update": Scenario(running, lambda one: one.deploy(image="web:2").exit_code, 0, 1),
    "what drifted is set back": Scenario(drifted, reverted, 0, 1, anew=True),
    "update without a nested plan": Scenario(crowded, lambda one: one.deploy(image="web:2").exit_code, 0, 1),
    "what was there is taken in": Scenario(before_the_set, taken_in, 0, 2),
    "recreation": Scenario(broken, lambda one: one.deploy(recreate=True).exit_code, 0, 1),
    "replacement with consent": Scenario(running, lambda one: replaced(one).exit_code, 0, 1),
    "a rule whose weights are looked at": Scenario(lambda: led_back(2), rerouted, 0, 1),
    "from rolling to blue-green": Scenario(lambda: serving(""), lambda one: moved(one, "blue-green").exit_code, 0, 2),
    "from blue-green to rolling": Scenario(lambda: serving("blue-green"), lambda one: moved(one, "").exit_code, 0, 2),
    "failing replacement": Scenario(half_way, lambda one: replaced(one).exit_code, 4, 1, fails=True),
    "failing update": Scenario(failing, lambda one: one.deploy(image="web:2").exit_code, 4, 1, fails=True),
}


@dataclass
class Found:
    """What the second run finds when it looks at the stack first."""

    deployer: Deployer
    settled: bool = False
    tried: int = 0

    def at(self, operation: str) -> None:
        if operation == "DescribeStacks":
            self.deployer.world.at_call = None
            self.deployer.world.cfn.advance()
            self.settled = not self.deployer.status().endswith("_IN_PROGRESS")
            self.tried = self.deployer.world.executions()


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "after AWS is done"])
def test_the_same_command_after_a_crash_ends_in_the_same_state(
    name: str, later: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = SCENARIOS[name]
    begun = scenario.begin()
    whole = Deployer(begun.world.copy(), stack=begun.stack)
    assert scenario.command(whole) == scenario.exit_code
    assert whole.world.executions() == scenario.executions
    wanted, calls = whole.state(), len(whole.world.calls)
    cases = 0
    for number in range(1, calls + 1):
        # Once AWS is done, dying before a call is what dying during the one before is: nothing of the process is left.
        for when in ("during",) if later and number > 1 else ("before", "during"):
            deployer = Deployer(begun.world.copy(), stack=begun.stack)
            world = deployer.world
            world.killed_at = (number, when)
            with pytest.raises(Killed):
                scenario.command(deployer)
            cases += 1
            world.killed_at = None
            if later:
                world.cfn.finish()
            world.seconds += 1  # to start again takes a moment
            world.cfn.advance()
            context = f"{name}: killed {when} call {number}, {(world.sent() or ['the first'])[-1]}"
            found = Found(deployer)
            world.at_call = found.at
            assert scenario.command(deployer) == scenario.exit_code, context
            assert deployer.state() == wanted, context
            # What has failed and come to rest is tried again: that is what the command is given again for.
            again = scenario.fails and found.settled and found.tried == 1
            assert world.executions() == scenario.executions + again, context
            # Found again, not made again: no change set is left over.
            names = {given["ChangeSetName"] for _, operation, given in world.calls if operation == "CreateChangeSet"}
            assert len(names) == world.executions() or scenario.anew, context
            assert not [one for one in world.cfn.sets.values() if one["ExecutionStatus"] == "AVAILABLE"], context
    with capsys.disabled():
        print(f"\ncrash matrix: {name}, run again {'later' if later else 'at once'}: {cases} cases of {calls} calls")
