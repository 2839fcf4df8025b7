"""Deployments against the fake: what a user gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scaleout_cfn.aws.client import Aws, Target
from scaleout_cfn.cli.draw import command_line, plan_lines
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.messages import Fact
from scaleout_cfn.errors import AccessError, BusyError, NeedsHandError, RefusedError, RejectedError, UsageError

from .helpers import Deployer, Small, running


def test_a_new_stack_with_an_image_is_made_in_two_phases() -> None:
    deployer = Deployer()
    outcome = deployer.deploy(image="web:1")
    assert (outcome.exit_code, outcome.end, outcome.status) == (0, "done", "UPDATE_COMPLETE")
    assert [sorted(one.path for one in plan.changes) for plan in deployer.plans] == [
        ["Data", "Data/Table", "Word"],
        ["Service", "Service/Service", "Service/TaskDefinition"],
    ]
    assert outcome.outputs["ServiceName"]


def test_a_new_stack_without_an_image_is_made_without_the_service() -> None:
    deployer = Deployer()
    assert deployer.deploy().status == "CREATE_COMPLETE"
    assert len(deployer.plans) == 1


def test_the_capabilities_that_are_acknowledged_are_those_of_the_set_and_are_shown() -> None:
    deployer = Deployer()
    wish = deployer.wish()
    aws = deployer.world.aws()
    wish = replace(wish, published=replace(wish.published, capabilities=("CAPABILITY_IAM",)))
    deployment.deploy(aws, aws.identity(), wish, deployer.said.append, lambda plan: True)
    (plan,) = deployer.plans
    assert plan.capabilities == ("CAPABILITY_IAM",)
    assert "  acknowledges CAPABILITY_IAM" in plan_lines(plan, 120)


def test_a_new_image_is_one_update() -> None:
    deployer = running()
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, deployer.world.executions()) == (0, 1)
    (plan,) = deployer.plans
    (definition,) = [one for one in plan.changes if one.path == "Service/TaskDefinition"]
    (changed,) = definition.properties
    assert ("web:1" in changed.before, "web:2" in changed.after) == (True, True)


def test_without_an_image_the_one_that_runs_is_kept() -> None:
    deployer = running()
    assert deployer.deploy(Small(word="two")).exit_code == 0
    assert deployer.world.cfn.live("web").parameters["WebImageUri"] == "web:1"  # type: ignore[union-attr]


def test_nothing_to_do_makes_no_change_set_and_no_upload() -> None:
    deployer = running()
    outcome = deployer.deploy(image="web:1")
    assert (outcome.end, outcome.exit_code, outcome.outputs["ServiceName"] != "") == ("no_change", 0, True)
    assert deployer.world.sent() == ["GetCallerIdentity", "DescribeStacks", "GetTemplate", "GetStackPolicy"]


def test_changed_tags_are_a_change() -> None:
    deployer = running()
    assert deployer.deploy(image="web:1", tags={"team": "a"}).end == "done"
    assert deployer.deploy(image="web:1", tags={"team": "a"}).end == "no_change"


def test_a_change_set_without_changes_is_deleted_and_no_failure() -> None:
    deployer = running()
    stack = deployer.world.cfn.live("web")
    assert stack is not None
    stack.text += "\n# the same, but for a comment\n"
    assert deployer.deploy(image="web:1").end == "no_change"
    left = [one for one in deployer.world.cfn.sets.values() if one["ExecutionStatus"] != "EXECUTE_COMPLETE"]
    assert (left, deployer.world.executions()) == ([], 0)


def test_children_are_uploaded_before_the_root_and_unchanged_ones_keep_their_key() -> None:
    deployer = Deployer()
    deployer.deploy()
    keys = [given["Key"] for _, operation, given in deployer.world.calls if operation == "PutObject"]
    root = deployer.world.objects[keys[-1]]
    assert all(key in root for key in keys[:-1])
    before = set(keys)
    deployer.deploy(Small(word="two"))
    assert len(set(deployer.world.objects) - before) == 1


def test_a_failed_update_is_rolled_back_and_its_first_cause_is_told() -> None:
    deployer = running()
    deployer.world.cfn.failures["Service/Service"] = ("ECS Deployment Circuit Breaker was triggered", 1)
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, outcome.end, outcome.status) == (4, "rolled_back", "UPDATE_ROLLBACK_COMPLETE")
    assert outcome.cause is not None
    assert (outcome.cause.path, outcome.reason) == ("Service/Service", "ECS Deployment Circuit Breaker was triggered")
    assert command_line(outcome.next)
    assert deployer.deploy(image="web:2").exit_code == 0  # the cause is gone


def test_a_failed_creation_needs_a_hand_and_recreate_is_that_hand() -> None:
    deployer = Deployer()
    deployer.world.cfn.failures["Data/Table"] = ("Limit exceeded", 1)
    outcome = deployer.deploy()
    assert (outcome.exit_code, outcome.status, outcome.reason) == (5, "ROLLBACK_COMPLETE", "Limit exceeded")
    with pytest.raises(NeedsHandError, match="ROLLBACK_COMPLETE") as refusal:
        deployer.deploy()
    assert command_line(refusal.value.next) == "scaleout-cfn deploy --recreate"
    assert deployer.deploy(recreate=True).exit_code == 0


def test_a_service_that_fails_at_first_leaves_the_infrastructure() -> None:
    deployer = Deployer()
    deployer.world.cfn.failures["Service/Service"] = ("no such image", 1)
    outcome = deployer.deploy(image="web:1")
    assert (outcome.exit_code, outcome.status) == (4, "UPDATE_ROLLBACK_COMPLETE")
    assert deployer.world.cfn.physical_id("Table")
    assert deployer.deploy(image="web:1").exit_code == 0


def test_a_change_set_that_cannot_be_made_says_why_and_leaves_nothing() -> None:
    deployer = Deployer()
    deployer.world.cfn.set_failure = "Parameter MaxTasks must be at most 29"
    with pytest.raises(RejectedError, match="Parameter MaxTasks must be at most 29"):
        deployer.deploy()
    assert (deployer.status(), deployer.world.cfn.sets) == ("none", {})


def test_the_reason_of_a_nested_change_set_is_found_behind_the_roots() -> None:
    deployer = running()
    cfn = deployer.world.cfn
    child = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/inner/99"
    cfn.sets[child] = {
        "ChangeSetName": "inner",
        "ChangeSetId": child,
        "StackId": "s",
        "StackName": "web-Service",
        "Status": "FAILED",
        "ExecutionStatus": "UNAVAILABLE",
        "StatusReason": "Template error: no such map",
        "Changes": [],
        "_root": child,
    }
    cfn.set_failure = f"Nested change set {child} was not successfully created: Currently in FAILED."
    with pytest.raises(RejectedError, match="web-Service: Template error: no such map"):
        deployer.deploy(image="web:2")


def test_a_missing_bucket_is_named_with_its_cure() -> None:
    deployer = Deployer()
    deployer.world.buckets.clear()
    with pytest.raises(UsageError, match="bucket artifacts: not there") as refusal:
        deployer.deploy()
    assert command_line(refusal.value.next) == "scaleout-cfn bootstrap --bucket artifacts"


def test_a_bucket_of_another_account_is_named_with_its_cure() -> None:
    deployer = Deployer()
    deployer.world.buckets["artifacts"] = "999999999999"
    with pytest.raises(AccessError, match=r"bucket artifacts: .*another account than 123456789012") as refusal:
        deployer.deploy()
    assert (refusal.value.exit_code, deployer.world.executions()) == (8, 0)


def test_what_an_update_left_behind_is_listed_with_its_id() -> None:
    """A nested stack deletes what it replaced after its root is content."""
    deployer = Deployer()
    deployer.deploy(Small(retain=True), image="web:1")
    kept = deployer.world.cfn.physical_id("Table")
    outcome = deployer.deploy(Small(retain=True, key="pk"), allowed=("Data/Table",))
    (left,) = [one for one in deployer.said if isinstance(one, Fact) and one.kind == "left_behind"]
    assert f"  Data/Table  AWS::DynamoDB::Table  {kept}  kept by its policy" in left.lines
    assert (outcome.exit_code, len(left.lines)) == (0, 2)


def test_what_an_update_could_not_delete_is_listed_with_the_reason() -> None:
    deployer = running()
    old = deployer.world.cfn.physical_id("Table")
    deployer.world.cfn.undeletable["Data/Table"] = "deletion protection is on"
    assert deployer.deploy(Small(key="pk"), allowed=("Data/Table",)).exit_code == 0
    (left,) = [one for one in deployer.said if isinstance(one, Fact) and one.kind == "left_behind"]
    assert left.lines[1].endswith(f"{old}  not deleted: deletion protection is on")
    assert left.data["resources"][0]["path"] == "Data/Table"


def test_an_update_that_left_nothing_says_nothing_of_it() -> None:
    deployer = running()
    deployer.deploy(image="web:2")
    assert not [one for one in deployer.said if isinstance(one, Fact)]


@pytest.mark.parametrize(("ends_in_s", "role", "warned"), [(600, "", True), (600, "arn:aws:iam::1:role/x", False),
                                                           (7200, "", False), (None, "", False)])  # fmt: skip
def test_credentials_that_end_before_a_usual_deployment_are_warned_of_where_no_role_is_given(
    ends_in_s: float | None, role: str, warned: bool
) -> None:
    deployer = running()
    aws = deployer.world.aws(role_arn=role)
    aws.ends_within = lambda seconds: ends_in_s is not None and ends_in_s < seconds  # type: ignore[method-assign]
    assert deployer.deploy(image="web:2", aws=aws).exit_code == 0
    assert ("these credentials end within 30 minutes" in deployer.notes) == warned
    deployer.deploy(image="web:2", aws=aws)
    assert "these credentials end" not in deployer.notes  # where there is nothing to do, nothing can be cut off


@pytest.mark.parametrize(("minutes", "soon"), [(5, True), (300, False), (None, False)])
def test_when_credentials_end_is_what_boto3_knows(
    minutes: int | None, soon: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_CREDENTIAL_EXPIRATION", raising=False)
    if minutes is not None:
        end = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    assert Aws(Target(region="eu-west-1")).ends_within(1800) == soon


def test_somebody_elses_operation_is_busy_and_named() -> None:
    deployer = running()
    cfn = deployer.world.cfn
    stack = cfn.live("web")
    assert stack is not None
    cfn._start(cfn._update(stack, stack.text, {"WebImageUri": "web:9"}, "Console-UpdateStack-1"))
    with pytest.raises(BusyError, match=r"somebody else is at work on it, since .*, token Console-UpdateStack-1"):
        deployer.deploy(image="web:2")
    assert not deployer.world.sent("CreateChangeSet", "PutObject", "ExecuteChangeSet")


def test_our_own_deployment_of_another_state_is_busy_too() -> None:
    deployer = running()
    assert deployer.deploy(image="web:2", wait_s=1).exit_code == 9
    with pytest.raises(BusyError, match="another deployment of ours, of another state"):
        deployer.deploy(image="web:3")


def test_stopping_to_wait_leaves_it_running_and_the_same_command_watches_on() -> None:
    deployer = running()
    outcome = deployer.deploy(image="web:2", wait_s=1)
    assert (outcome.exit_code, outcome.end, deployer.status()) == (9, "still_running", "UPDATE_IN_PROGRESS")
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, outcome.end, deployer.world.executions()) == (0, "done", 1)
    assert "going on with it" in deployer.notes


def test_cloudformation_content_but_ecs_rolled_back_is_a_failure() -> None:
    deployer = running()
    deployer.world.ecs["deployment"] = [
        {"status": "IN_PROGRESS", "lifecycleStage": "BAKE_TIME"},
        {"status": "ROLLBACK_SUCCESSFUL", "statusReason": "alarm TargetErrors"},
    ]
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, outcome.status) == (4, "UPDATE_COMPLETE")
    assert "alarm TargetErrors" in outcome.reason


def test_another_task_definition_than_the_stacks_is_a_failure() -> None:
    deployer = running()
    deployer.world.ecs["definition"] = "arn:aws:ecs:x:task-definition/web:1"
    assert deployer.deploy(image="web:2").exit_code == 4


def test_what_holds_data_is_protected_by_a_stack_policy() -> None:
    deployer = running()
    (policy,) = {stack.policy for stack in deployer.world.cfn.stacks.values() if stack.path == "Data"}
    assert '"LogicalResourceId/Table"' in policy and '"Update:Replace"' in policy


def test_nested_events_are_seen_under_their_path() -> None:
    deployer = Deployer()
    deployer.deploy()
    assert {"Data/Table", "Data", "Word"} <= set(deployer.paths)


def test_no_confirmation_leaves_nothing() -> None:
    deployer = Deployer(confirm=lambda plan: False)
    with pytest.raises(RefusedError, match="not confirmed"):
        deployer.deploy()
    assert (deployer.status(), deployer.world.cfn.sets, deployer.world.executions()) == ("none", {}, 0)


def test_a_stale_read_after_the_execution_is_not_the_end() -> None:
    """DescribeStacks may show the status from before for a while."""
    deployer = running()
    cfn = deployer.world.cfn
    describe, old = cfn.DescribeStacks, cfn.DescribeStacks("web")
    stale = iter([True, True])

    def stale_at_first(StackName: str) -> object:
        return old if cfn.executions and StackName.startswith("arn:") and next(stale, False) else describe(StackName)

    cfn.DescribeStacks = stale_at_first  # type: ignore[method-assign, assignment]
    outcome = deployer.deploy(image="web:2")
    assert (outcome.end, deployer.status()) == ("done", "UPDATE_COMPLETE")


@pytest.mark.parametrize("status", ["ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stuck_stack_says_what_leads_on(status: str) -> None:
    deployer = running()
    stack = deployer.world.cfn.live("web")
    assert stack is not None
    stack.status = status
    with pytest.raises(NeedsHandError, match=status) as refusal:
        deployer.deploy(image="web:2")
    assert command_line(refusal.value.next).startswith("scaleout-cfn ")
    assert not deployer.world.sent("CreateChangeSet", "PutObject")
