"""The promises P1 to P8 of the deployer, each by its number."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.cli.views import JsonView
from scaleout_cfn.deploy.desired import Desired
from scaleout_cfn.deploy.messages import Blocked
from scaleout_cfn.errors import AccessError, ApiError, BusyError, Next, RefusedError, ScaleoutError, Stopped, UsageError

from .cloudformation import Refused
from .helpers import Deployer, Small, published, running
from .world import Fault

MUTATING = {
    "CreateChangeSet": "ClientToken",
    "ExecuteChangeSet": "ClientRequestToken",
    "DeleteStack": "ClientRequestToken",
}
#: Calls that only tell what happens. None of them may decide anything.
TELEMETRY = ["DescribeStackEvents", "DescribeServices", "ListServiceDeployments", "ListStackResources"]


@pytest.mark.parametrize("operation", TELEMETRY)
@pytest.mark.parametrize("code", ["Throttling", "AccessDenied", "InternalFailure"])
@pytest.mark.parametrize("fails", [False, True])
def test_p1_a_failed_telemetry_call_never_decides_the_outcome(operation: str, code: str, fails: bool) -> None:
    deployer = running()
    if fails:
        deployer.world.cfn.failures["Service/Service"] = ("no", 1)
    status = 500 if code == "InternalFailure" else 400
    deployer.world.faults.append(Fault(operation, code, times=10_000, status=status))
    outcome = deployer.deploy(image="web:2")
    assert outcome.exit_code == (4 if fails else 0)
    assert outcome.status == deployer.status()


def test_p1_the_stack_is_read_by_its_arn_once_it_is_executed() -> None:
    deployer = running()
    deployer.deploy(image="web:2")
    sent = [(operation, given) for _, operation, given in deployer.world.calls]
    after = sent[[operation for operation, _ in sent].index("ExecuteChangeSet") :]
    names = [given["StackName"] for operation, given in after if operation == "DescribeStacks"]
    assert all(name.startswith("arn:") for name in names[:-1])


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "ServiceUnavailable"])
def test_p1_a_throttled_or_broken_describe_stacks_makes_it_slower_and_nothing_else(code: str) -> None:
    deployer = running()
    deployer.world.faults.append(Fault("DescribeStacks", code, times=12, status=503, skip=2))
    outcome = deployer.deploy(image="web:2")
    assert outcome.exit_code == 0


def test_p2_every_mutating_call_has_a_token_made_of_the_state() -> None:
    deployer = Deployer()
    deployer.world.cfn.failures["Data/Table"] = ("no", 1)
    deployer.deploy()
    deployer.deploy(image="web:1", recreate=True)
    seen = set()
    for _, operation, given in deployer.world.calls:
        if operation in MUTATING:
            seen.add(operation)
            assert given[MUTATING[operation]].startswith("scfn-")
            assert len(given[MUTATING[operation]]) <= 128
    assert seen == set(MUTATING)


@pytest.mark.parametrize("operation", ["CreateChangeSet", "ExecuteChangeSet", "PutObject", "DescribeChangeSet"])
@pytest.mark.parametrize("carried_out", [True, False])
def test_p2_an_unclear_answer_is_settled_by_reading(operation: str, carried_out: bool) -> None:
    """The answer is lost, after or before the call was carried out."""
    deployer = running()
    fault = Fault(operation, carried_out=carried_out, times=1)
    if not carried_out:
        fault.code, fault.status = "InternalFailure", 500
    deployer.world.faults.append(fault)
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, deployer.world.executions()) == (0, 1)
    if operation == "ExecuteChangeSet":
        tokens = {given["ClientRequestToken"] for _, name, given in deployer.world.calls if name == operation}
        assert len(tokens) == 1


def test_p2_a_lost_execution_is_not_sent_again() -> None:
    deployer = running()
    deployer.world.faults.append(Fault("ExecuteChangeSet", carried_out=True))
    deployer.deploy(image="web:2")
    assert deployer.world.sent("ExecuteChangeSet") == ["ExecuteChangeSet"]


def test_p3_the_same_command_again_attaches_finishes_or_does_nothing() -> None:
    deployer = Deployer()
    assert deployer.deploy(image="web:1", wait_s=1).exit_code == 9
    assert deployer.deploy(image="web:1").end == "done"
    assert deployer.deploy(image="web:1").end == "no_change"
    assert deployer.world.executions() == 2  # infrastructure, then the service


def test_p4_what_was_shown_is_what_is_executed() -> None:
    deployer = running()
    shown: list[str] = []

    def confirm(plan: Any) -> bool:
        shown.append(plan.change_set)
        return True

    deployer.confirm = confirm
    deployer.deploy(image="web:2")
    executed = [given["ChangeSetName"] for _, name, given in deployer.world.calls if name == "ExecuteChangeSet"]
    assert executed == shown


def test_p4_apply_executes_the_planned_change_set_and_no_other() -> None:
    deployer = running()
    planned = deployer.plan(image="web:2")
    outcome = deployer.apply(planned.change_set)
    assert (outcome.exit_code, deployer.world.executions()) == (0, 1)
    executed = [given["ChangeSetName"] for _, name, given in deployer.world.calls if name == "ExecuteChangeSet"]
    assert executed == [planned.change_set]
    assert deployer.apply(planned.change_set).exit_code == 0  # again: it says how it ended
    assert deployer.world.executions() == 1


def test_p4_a_plan_that_is_stale_is_refused() -> None:
    deployer = running()
    planned = deployer.plan(image="web:2")
    assert deployer.deploy(image="web:3").exit_code == 0
    with pytest.raises(BusyError, match="is gone: another one was executed since") as refusal:
        deployer.apply(planned.change_set)
    assert (refusal.value.exit_code, deployer.world.executions()) == (7, 1)


def test_p4_a_plan_that_cannot_be_executed_any_more_is_refused_before_anything_is_asked() -> None:
    deployer = running()
    planned = deployer.plan(image="web:2")
    deployer.world.cfn.sets[planned.change_set]["ExecutionStatus"] = "OBSOLETE"
    with pytest.raises(BusyError, match="cannot be executed: it is OBSOLETE"):
        deployer.apply(planned.change_set)
    assert (deployer.plans, deployer.world.sent("ExecuteChangeSet")) == ([], [])


def test_p4_a_change_set_that_is_gone_when_the_answer_to_its_execution_is_lost_is_stale() -> None:
    """Somebody else's was executed in between, which removes all others."""
    deployer = running()
    cfn = deployer.world.cfn

    def lost(**given: Any) -> Any:
        cfn.sets.clear()
        raise Refused("InternalFailure", "on purpose", 500)

    cfn.ExecuteChangeSet = lost  # type: ignore[method-assign, assignment]
    with pytest.raises(BusyError, match="changed since the plan was made"):
        deployer.deploy(image="web:2")


def test_p4_diff_leaves_nothing_behind() -> None:
    deployer = Deployer()
    assert deployer.plan(keep=False).end == "planned"
    assert (deployer.status(), deployer.world.cfn.sets) == ("none", {})


def test_p5_data_is_not_replaced_without_consent_by_path() -> None:
    deployer = running()
    with pytest.raises(RefusedError, match="Data/Table would be replaced and the old one deleted") as refusal:
        deployer.deploy(Small(key="pk"))
    assert command_line(refusal.value.next).endswith("--allow-replace Data/Table")
    assert deployer.world.executions() == 0
    assert [one for one in deployer.said if isinstance(one, Blocked)]
    assert deployer.deploy(Small(key="pk"), allowed=("Data/Table",)).exit_code == 0


def test_p5_a_nested_stack_with_data_is_not_removed_without_consent() -> None:
    deployer = running()
    with pytest.raises(RefusedError, match="Data/Table would be deleted"):
        deployer.deploy(Small(with_data=False))
    assert deployer.world.cfn.physical_id("Table")


def test_p5_what_is_replaced_needs_consent_also_where_the_old_one_is_kept() -> None:
    """The data survive, but whatever uses them begins on an empty table."""
    deployer = Deployer()
    deployer.deploy(Small(retain=True))
    with pytest.raises(RefusedError, match=r"Data/Table would be replaced, .*; the old one is kept"):
        deployer.deploy(Small(retain=True, key="pk"))
    assert deployer.deploy(Small(retain=True, key="pk"), allowed=("Data/Table",)).exit_code == 0
    with pytest.raises(RefusedError, match=r"Data/Table would be taken out of the stack, .*; the old one is kept"):
        deployer.deploy(Small(with_data=False))


def test_p5_apply_is_guarded_too() -> None:
    deployer = running()
    planned = deployer.plan(Small(key="pk"))
    with pytest.raises(RefusedError, match="Data/Table"):
        deployer.apply(planned.change_set)
    assert deployer.world.executions() == 0
    assert deployer.apply(planned.change_set, allowed=("Data/Table",)).exit_code == 0


def test_p5_consent_to_what_is_not_there_is_a_mistake() -> None:
    deployer = running()
    with pytest.raises(UsageError, match="--allow-replace Data/Tabel"):
        deployer.deploy(Small(key="pk"), allowed=("Data/Tabel",))
    assert deployer.world.executions() == 0


@pytest.mark.parametrize("number", [2, 15])
@pytest.mark.parametrize("operation", ["CreateChangeSet", "DescribeChangeSet"])
@pytest.mark.parametrize("new", [True, False])
def test_p6_an_interrupt_before_the_execution_cleans_up(number: int, operation: str, new: bool) -> None:
    deployer = Deployer() if new else running()
    before = deployer.state()
    deployer.world.cfn.set_s = 0.5
    interrupt_at(deployer, operation, number)
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, outcome.end) == (128 + number, "interrupted")
    assert deployer.state() == before
    assert [one for one in deployer.world.cfn.sets.values() if one["ExecutionStatus"] == "AVAILABLE"] == []
    assert deployer.world.executions() == 0


def test_p6_a_change_set_that_is_still_being_made_is_left_and_said_so() -> None:
    deployer = Deployer()
    deployer.world.cfn.set_s = 60
    interrupt_at(deployer, "DescribeChangeSet", 15)
    outcome = deployer.deploy()
    assert outcome.exit_code == 143
    assert "it is left" in outcome.what
    assert deployer.world.seconds < 10
    assert deployer.deploy().exit_code == 0  # and goes on with it
    names = [given["ChangeSetName"] for _, name, given in deployer.world.calls if name == "CreateChangeSet"]
    assert len(names) == 2 and len(set(names)) == 1


@pytest.mark.parametrize("number", [2, 15])
def test_p6_an_interrupt_after_the_execution_only_stops_watching(number: int) -> None:
    deployer = running()
    interrupt_at(deployer, "DescribeStackEvents", number)
    outcome = deployer.deploy(image="web:2")
    assert (outcome.exit_code, outcome.end, deployer.status()) == (
        128 + number,
        "still_running",
        "UPDATE_IN_PROGRESS",
    )
    assert "scaleout-cfn events --follow" in command_line(outcome.next)
    assert not deployer.world.sent("DeleteStack", "CancelUpdateStack", "DeleteChangeSet")
    assert deployer.deploy(image="web:2").exit_code == 0
    assert deployer.world.executions() == 1


def test_p6_an_interrupt_while_it_is_sent_is_settled_by_reading() -> None:
    deployer = running()
    execute = deployer.world.cfn.ExecuteChangeSet

    def interrupted(**given: Any) -> Any:
        execute(**given)
        raise Stopped(2)

    deployer.world.cfn.ExecuteChangeSet = interrupted  # type: ignore[method-assign, assignment]
    outcome = deployer.deploy(image="web:2")
    assert (outcome.end, deployer.status()) == ("still_running", "UPDATE_IN_PROGRESS")


def test_p7_every_end_says_what_happened_and_the_next_command() -> None:
    deployer = Deployer()
    ends: list[Any] = [deployer.deploy(wait_s=1)]
    deployer.world.cfn.finish()
    for fails, options in (("", {}), ("Word", {"small": Small(word="x")}), ("", {"small": Small(key="pk")})):
        if fails:
            deployer.world.cfn.failures[fails] = ("no", 1)
        try:
            ends.append(deployer.deploy(**options))  # type: ignore[arg-type]
        except ScaleoutError as error:
            ends.append(error)
    assert len(ends) == 4
    for end in ends:
        assert getattr(end, "what", str(end))
        assert end.exit_code == 0 or command_line(end.next)


def test_p8_no_secret_is_in_any_message_error_or_token() -> None:
    secret = "correct horse battery"
    deployer = Deployer()
    small = Small(secret=True)
    deployer.world.cfn.failures["Data/Table"] = (f"bad password {secret}", 1)
    outcome = deployer.deploy(small, parameters={"Password": secret})
    lines = [JsonView().line(one) if "Watched" not in type(one).__name__ else repr(one) for one in deployer.said]
    assert outcome.exit_code == 5 and outcome.reason == "bad password ****"
    assert secret not in "".join(lines) + repr(outcome)
    assert isinstance(outcome.next, Next)
    tokens = [given.get("ClientToken", "") + given.get("Description", "") for _, _, given in deployer.world.calls]
    assert secret not in "".join(tokens)
    deployer.world.cfn.set_failure = f"Parameter Password: {secret} is too long"
    with pytest.raises(ScaleoutError) as refusal:
        deployer.deploy(small, parameters={"Password": secret}, recreate=True)
    assert secret not in str(refusal.value)


def test_a_new_secret_is_another_desired_state_though_nobody_can_see_it() -> None:
    states = [Desired("web", published(Small(secret=True)), {"Password": word}) for word in ("one", "two", "one")]
    first, second, again = (state.fingerprint for state in states)
    assert first == again != second


def test_p8_a_guess_at_a_secret_takes_more_than_one_quick_hash_to_check() -> None:
    """The fingerprint is public: it is in tokens and descriptions."""
    state = Desired("web", published(Small(secret=True)), {"Password": "hunter2"})
    whole = ["web", state.published.root.text, {"Password": "hunter2"}, {}, ""]
    quick = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
    assert state.fingerprint != quick


@settings(max_examples=30, deadline=None)
@drawn(
    faults=st.lists(
        st.builds(
            Fault,
            operation=st.sampled_from(
                [
                    "*",
                    "CreateChangeSet",
                    "ExecuteChangeSet",
                    "DescribeChangeSet",
                    "DescribeStacks",
                    "DescribeStackEvents",
                ]
            ),
            code=st.sampled_from(["Throttling", "InternalFailure", ""]),
            status=st.just(500),
            times=st.integers(1, 3),
            skip=st.integers(0, 8),
            carried_out=st.booleans(),
        ),
        max_size=3,
    )
)
def test_p1_p2_p3_hold_under_any_few_faults(faults: list[Fault]) -> None:
    deployer = running()
    deployer.world.faults += faults
    for _ in range(4):
        try:
            outcome = deployer.deploy(image="web:2")
        except (ApiError, AccessError, BusyError):
            continue
        assert outcome.exit_code == 0
        break
    deployer.world.faults.clear()
    assert deployer.deploy(image="web:2").exit_code == 0
    assert deployer.world.executions() == 1


def interrupt_at(deployer: Deployer, operation: str, number: int) -> None:
    """The signal comes while the first such call is under way."""

    def at(name: str) -> None:
        if name == operation:
            deployer.world.at_call = None
            raise Stopped(number)

    deployer.world.at_call = at


def test_the_schema_of_json_lines_is_stable() -> None:
    deployer = running()
    outcome = deployer.deploy(image="web:2")
    line = json.loads(JsonView().line(outcome))
    assert set(line) == {
        "v", "type", "exit", "outcome", "what", "status", "stack_id", "cause", "reason", "outputs", "next_command",
        "change_set", "waiting",
    }  # fmt: skip
