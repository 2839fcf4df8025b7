"""Any commands, crashes and waits in any order, from any status: the deployer stays true to its promises."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.states import STATUSES
from scaleout_cfn.errors import EXIT_CODES, DeployError, ScaleoutError

from .helpers import Deployer, Small, running
from .world import Killed

IMAGES = st.sampled_from([None, "web:1", "web:2"])


class Deployments(RuleBasedStateMachine):
    """A stack, somebody who deploys to it, and somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.deployer = Deployer()
        self.refusals: list[ScaleoutError] = []

    @property
    def world(self) -> Any:
        return self.deployer.world

    def run(self, **options: Any) -> int:
        try:
            return self.deployer.deploy(**options).exit_code
        except DeployError as error:
            self.refusals.append(error)
            assert command_line(error.next) or error.exit_code == 1
            return error.exit_code

    @rule(image=IMAGES, word=st.sampled_from(["one", "two"]), recreate=st.booleans())
    def deploy(self, image: str | None, word: str, recreate: bool) -> None:
        code = self.run(small=Small(word=word), image=image, recreate=recreate)
        assert code in (0, 4, 5, 7)
        if code == 0:
            assert STATUSES[self.deployer.status()].end in ("done", "rolled_back")

    @rule(image=IMAGES, seconds=st.integers(0, 12))
    def deploy_and_stop_watching(self, image: str | None, seconds: int) -> None:
        assert self.run(image=image, wait_s=seconds) in (0, 4, 5, 7, 9)

    @rule(image=IMAGES, call=st.integers(1, 45), when=st.sampled_from(["before", "during"]))
    def deploy_and_die(self, image: str | None, call: int, when: str) -> None:
        self.world.killed_at = (len(self.world.calls) + call, when)
        with suppress(Killed):
            self.run(image=image)
        self.world.killed_at = None

    @rule(path=st.sampled_from(["Data/Table", "Service/Service", "Word"]))
    def something_breaks(self, path: str) -> None:
        self.world.cfn.failures[path] = ("broken", 1)

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.world.seconds += seconds
        self.world.cfn.advance()

    @precondition(lambda self: self.deployer.status() in ("CREATE_COMPLETE", "UPDATE_COMPLETE"))
    @rule()
    def somebody_else_updates(self) -> None:
        cfn = self.world.cfn
        stack = cfn.live("web")
        cfn._start(cfn._update(stack, stack.text, dict(stack.parameters), "Console-1"))

    @invariant()
    def one_operation_at_a_time(self) -> None:
        assert len(self.world.cfn._jobs) <= 2  # one on the stack, one change set

    def teardown(self) -> None:
        """Whatever happened, once all is quiet the command brings the stack to what is wanted."""
        self.world.cfn.finish()
        self.world.cfn.failures.clear()
        assert self.run(image="web:9", recreate=True) == 0
        assert self.world.cfn.live("web").parameters["WebImageUri"] == "web:9"


Deployments.TestCase.settings = settings(
    max_examples=25, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDeployments = Deployments.TestCase


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_from_every_status_a_deployment_ends_as_its_meaning_says(status: str) -> None:
    deployer = running()
    stack = deployer.world.cfn.live("web")
    assert stack is not None
    stack.status = status
    if status == "DELETE_COMPLETE":
        for one in deployer.world.cfn.stacks.values():
            one.status = status
    try:
        code = deployer.deploy(image="web:2").exit_code
    except DeployError as error:
        code = error.exit_code
        assert command_line(error.next)
    assert code in EXIT_CODES
    wanted = {"create": {0, 1, 2}, "update": {0}, "busy": {7}, "recreate": {5}, "stuck": {5}}
    assert code in wanted[STATUSES[status].start]
    if code:
        assert deployer.world.executions() == 0
