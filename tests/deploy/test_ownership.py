"""Whose a stack is: what is not ours, or of another environment, is changed by consent alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scaleout_cfn.aws.client import Patience
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy import recover
from scaleout_cfn.deploy.desired import ENVIRONMENT
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.teardown.destroy import destroy
from scaleout_cfn.errors import RefusedError

from .helpers import PLACE
from .operations import Operator, wider, with_resource

MARK = "  RenderedBy: scaleout_cfn\n"
#: What changes a stack or deletes it.
WRITES = (
    "CreateChangeSet",
    "ExecuteChangeSet",
    "DeleteStack",
    "RollbackStack",
    "ContinueUpdateRollback",
    "CancelUpdateStack",
    "SetStackPolicy",
    "UpdateService",
    "RegisterScalableTarget",
)


def foreign(status: str = "UPDATE_COMPLETE") -> Operator:
    """A stack of our name that somebody else made, with a queue in it."""
    operator = wider()
    with_resource(operator, "Jobs", "AWS::SQS::Queue", "https://sqs/jobs")
    operator.root.text = operator.root.text.replace(MARK, "  MadeBy: somebody\n")
    operator.root.status = status
    return operator


def deployed(operator: Operator, adopt: bool) -> Outcome:
    return operator.deploy(image="web:2", adopt=adopt, allowed=("Jobs",) if adopt else ())


def rolled_back(operator: Operator, adopt: bool) -> Outcome:
    aws = operator.world.aws()
    return recover.rollback(aws, "web", (), operator.said.append, lambda _: True, Patience(), adopt=adopt)


def cancelled(operator: Operator, adopt: bool) -> Outcome:
    return recover.cancel(operator.world.aws(), "web", operator.said.append, lambda _: True, Patience(), adopt=adopt)


def destroyed(operator: Operator, adopt: bool) -> Outcome:
    empty = ["Data/Table", "Jobs"]
    aws = operator.world.aws()
    return destroy(aws, "web", empty, operator.said.append, lambda _: True, Patience(), adopt=adopt)


COMMANDS: dict[str, tuple[Callable[[Operator, bool], Outcome], str]] = {
    "deploy": (deployed, "UPDATE_COMPLETE"),
    "plan": (lambda operator, adopt: operator.plan(image="web:2", adopt=adopt), "UPDATE_COMPLETE"),
    "diff": (lambda operator, adopt: operator.plan(image="web:2", adopt=adopt, keep=False), "UPDATE_COMPLETE"),
    "rollback": (rolled_back, "UPDATE_FAILED"),
    "continue": (rolled_back, "UPDATE_ROLLBACK_FAILED"),
    "cancel": (cancelled, "UPDATE_IN_PROGRESS"),
    "destroy": (destroyed, "UPDATE_COMPLETE"),
    "destroy what failed": (destroyed, "DELETE_FAILED"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stack_of_somebody_else_is_changed_only_with_adopt(name: str) -> None:
    command, status = COMMANDS[name]
    operator = foreign(status)
    with pytest.raises(RefusedError) as caught:
        command(operator, False)
    assert caught.value.exit_code == 6
    assert "stack web is not one of scaleout-cfn" in str(caught.value)
    assert "--adopt" in command_line(caught.value.next)
    assert operator.world.sent(*WRITES) == []
    assert command(operator, True).exit_code == 0


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_COMPLETE", "ROLLBACK_FAILED"])
@pytest.mark.parametrize("name", ["rollback", "cancel"])
def test_of_a_stack_of_somebody_else_no_deletion_is_offered(name: str, status: str) -> None:
    try:
        following = COMMANDS[name][0](foreign(status), False).next
    except RefusedError as refused:
        following = refused.next
    assert "destroy" not in command_line(following)


def test_a_change_set_of_a_foreign_stack_is_applied_only_with_adopt() -> None:
    operator = foreign()
    planned = operator.plan(image="web:2", adopt=True)
    assert command_line(planned.next) == f"scaleout-cfn apply {planned.change_set} --adopt --allow-replace Jobs"
    with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
        operator.apply(planned.change_set, allowed=("Jobs",))
    assert operator.world.sent("ExecuteChangeSet") == []
    assert operator.apply(planned.change_set, allowed=("Jobs",), adopt=True).exit_code == 0


def test_adopting_shows_every_deletion_and_is_no_consent_to_lose_data() -> None:
    operator = foreign()
    with_resource(operator, "Role", "AWS::IAM::Role", "their-role")
    with pytest.raises(RefusedError, match="Jobs would be deleted, with the messages and jobs that wait in it"):
        operator.deploy(image="web:2", adopt=True)
    (plan,) = operator.plans
    assert {change.path for change in plan.changes if change.action == "Remove"} == {"Jobs", "Role"}
    assert "Role" in operator.root.resources


def test_an_adopted_stack_is_ours_from_then_on() -> None:
    operator = foreign()
    assert deployed(operator, True).exit_code == 0
    assert operator.deploy(image="web:3").exit_code == 0


def test_what_was_rolled_back_into_the_hands_of_its_owner_is_theirs() -> None:
    operator = foreign()
    operator.world.cfn.failures["Service/TaskDefinition"] = ("no place", 1)
    assert deployed(operator, True).exit_code == 4
    with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
        operator.deploy(image="web:3")


def test_an_interrupted_adoption_goes_on_without_asking_again() -> None:
    """What runs then is known by its token."""
    operator = foreign()
    assert operator.deploy(image="web:2", adopt=True, allowed=("Jobs",), wait_s=1.0).exit_code == 9
    assert operator.deploy(image="web:2").exit_code == 0


def test_a_stack_of_others_that_failed_is_not_deleted_to_be_made_anew() -> None:
    operator = foreign("ROLLBACK_COMPLETE")
    with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
        operator.deploy(image="web:2", recreate=True)
    assert operator.world.sent(*WRITES) == []


@pytest.mark.parametrize(("name", "whose"), [("scfn-set-0123456789abcdef-01234567", "ours"), ("by-hand", "theirs")])
def test_a_placeholder_is_of_whoever_has_a_change_set_on_it(name: str, whose: str) -> None:
    operator = Operator()
    aws = operator.world.aws()
    operator.world.objects["x"] = "Metadata:\n  MadeBy: somebody\nResources:\n  One:\n    Type: AWS::SNS::Topic\n"
    common = {"StackName": "web", "ChangeSetType": "CREATE", "TemplateURL": f"{PLACE.url}/x"}
    aws.write("cloudformation", "create_change_set", ChangeSetName=name, **common)
    operator.world.sleep(10)
    operator.world.calls.clear()
    if whose == "ours":
        assert operator.deploy().exit_code == 0
    else:
        with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
            operator.deploy()
        assert operator.world.sent(*WRITES) == []
        with pytest.raises(RefusedError, match="not one of scaleout-cfn"):
            destroyed(operator, False)


@pytest.mark.parametrize(("theirs", "mine"), [("prod", "staging"), ("prod", ""), ("", "prod")])
def test_the_stack_of_another_environment_is_refused_with_the_cure(theirs: str, mine: str) -> None:
    def tags(name: str) -> dict[str, str]:
        return {ENVIRONMENT: name} if name else {}

    operator = Operator()
    assert operator.deploy(image="web:1", tags=tags(theirs)).exit_code == 0
    operator.world.calls.clear()
    with pytest.raises(RefusedError) as caught:
        operator.deploy(image="web:1", tags=tags(mine))
    assert caught.value.exit_code == 6
    assert f"--env {theirs}" in command_line(caught.value.next) or "without --env" in command_line(caught.value.next)
    assert operator.world.sent(*WRITES) == []
    with pytest.raises(RefusedError):
        destroy(operator.world.aws(), "web", (), print, lambda _: True, Patience(), environment=mine)
    assert operator.deploy(image="web:1", tags=tags(theirs)).end == "no_change"
    assert operator.deploy(image="web:1", tags=tags(mine), adopt=True).exit_code == 0
    assert operator.deploy(image="web:1", tags=tags(mine)).end == "no_change"


def test_an_approved_change_set_of_an_environment_needs_no_env_again() -> None:
    operator = Operator()
    operator.deploy(image="web:1", tags={ENVIRONMENT: "prod"})
    planned = operator.plan(image="web:2", tags={ENVIRONMENT: "prod"})
    assert operator.apply(planned.change_set).exit_code == 0
