"""Going back and giving up: which call leads out of which status, once, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st
from local import helpers
from local import sets as small
from local.conftest import Faults, _faulty, faults, faulty  # noqa: F401
from local.helpers import Account

from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import Pace, Patience
from scaleout_cfn.cli import main
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy import recover
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.deploy.recover import SKIP, skippable, skips
from scaleout_cfn.deploy.states import meaning
from scaleout_cfn.deploy.teardown.destroy import destroy
from scaleout_cfn.errors import BusyError, DeployError, RefusedError, UsageError

from .operations import Operator, wider
from .world import Fault, Killed

MODEL = Loader().load_service_model("cloudformation", "service-2")
STATUSES = MODEL["shapes"]["StackStatus"]["enum"]
CHANGES = ("RollbackStack", "ContinueUpdateRollback", "CancelUpdateStack", "DeleteStack")
TAKEN = {
    "RollbackStack": {"CREATE_FAILED", "UPDATE_FAILED"},
    "ContinueUpdateRollback": {"UPDATE_ROLLBACK_FAILED"},
    "CancelUpdateStack": {"UPDATE_IN_PROGRESS"},
}


def rolled_back(deployer: Operator, *skip: str, agree: bool = True, **more: Any) -> Outcome:
    deployer.said = []
    patience = Patience(more.pop("wait_s", None), more.pop("access_s", 60.0))
    aws = deployer.world.aws()
    return recover.rollback(aws, deployer.stack, skip, deployer.said.append, lambda _: agree, patience, **more)


def cancelled(deployer: Operator, *, agree: bool = True, wait_s: float | None = None) -> Outcome:
    deployer.said = []
    aws = deployer.world.aws()
    return recover.cancel(aws, deployer.stack, deployer.said.append, lambda _: agree, Patience(wait_s))


def destroyed(deployer: Operator) -> Outcome:
    deployer.said = []
    aws, confirm = deployer.world.aws(), lambda _: True
    return destroy(aws, deployer.stack, ["Data/Table"], deployer.said.append, confirm, Patience())


def in_status(status: str) -> Operator:
    deployer = wider()
    deployer.world.cfn._own(deployer.root, status, "somebody")
    return deployer


def updating() -> Operator:
    """A set whose update is at work: the deployer only began it."""
    deployer = wider()
    assert deployer.deploy(image="web:2", wait_s=0).exit_code == 9
    assert deployer.status() == "UPDATE_IN_PROGRESS"
    deployer.world.calls.clear()
    return deployer


@given(st.text())
def test_a_status_that_aws_adds_begins_nothing(status: str) -> None:
    if status not in STATUSES:
        assert meaning(status).rollback.verb in ("busy", "stuck")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("command", [rolled_back, cancelled, destroyed])
def test_a_call_is_sent_only_in_a_status_that_takes_it(command: Callable[[Operator], Outcome], status: str) -> None:
    deployer = in_status(status)
    if status.endswith("_IN_PROGRESS"):
        # Somebody's operation ends while one watches it.
        deployer.world.at_sleep = lambda _: deployer.world.cfn._own(
            deployer.root, "UPDATE_ROLLBACK_COMPLETE", "somebody"
        )
    try:
        outcome = command(deployer)
    except (DeployError, UsageError) as error:
        assert error.exit_code in (2, 5, 6, 7)
        assert deployer.world.sent(*CHANGES) == []
        return
    sent = deployer.world.sent(*CHANGES)
    assert len(sent) <= 1
    for operation in sent:
        assert status in TAKEN.get(operation, set(STATUSES))
    assert outcome.exit_code in (0, 4, 5)


@pytest.mark.parametrize(
    ("status", "call", "end"),
    [
        ("CREATE_FAILED", "RollbackStack", "ROLLBACK_COMPLETE"),
        ("UPDATE_FAILED", "RollbackStack", "UPDATE_ROLLBACK_COMPLETE"),
        ("UPDATE_ROLLBACK_FAILED", "ContinueUpdateRollback", "UPDATE_ROLLBACK_COMPLETE"),
    ],
)
def test_the_status_picks_the_call(status: str, call: str, end: str) -> None:
    deployer = in_status(status)
    outcome = rolled_back(deployer)
    assert deployer.world.sent(*CHANGES) == [call]
    assert (outcome.exit_code, outcome.end, outcome.status) == (0, "recovered", end)


def test_an_update_that_went_well_is_not_rolled_back_and_the_way_is_told() -> None:
    with pytest.raises(RefusedError) as caught:
        rolled_back(wider())
    assert "earlier version" in command_line(caught.value.next)


def test_rolled_back_again_does_nothing() -> None:
    deployer = in_status("UPDATE_FAILED")
    rolled_back(deployer)
    outcome = rolled_back(deployer)
    assert (outcome.end, outcome.exit_code) == ("no_change", 0)
    assert deployer.world.sent(*CHANGES) == ["RollbackStack"]


def test_nothing_is_sent_without_consent() -> None:
    deployer = in_status("UPDATE_FAILED")
    with pytest.raises(RefusedError):
        rolled_back(deployer, agree=False)
    assert deployer.world.sent(*CHANGES) == []


def test_a_rollback_that_fails_again_needs_a_hand_and_can_be_tried_again() -> None:
    deployer = in_status("UPDATE_ROLLBACK_FAILED")
    deployer.world.cfn.stuck["Topic"] = ("the topic is gone", 1)
    outcome = rolled_back(deployer)
    assert (outcome.exit_code, outcome.status) == (5, "UPDATE_ROLLBACK_FAILED")
    assert outcome.cause is not None and outcome.cause.reason == "the topic is gone"
    assert command_line(outcome.next) == "scaleout-cfn rollback"
    # The same state by its name, and another operation all the same: its token must be another one.
    assert rolled_back(deployer).exit_code == 0
    assert len(set(deployer.world.cfn.begun)) == 2


def test_a_rollback_that_fails_between_two_polls_is_seen_to_have_ended() -> None:
    deployer = in_status("UPDATE_ROLLBACK_FAILED")
    deployer.world.cfn.resource_s = 0
    deployer.world.cfn.stuck["Topic"] = ("the topic is gone", 1)
    assert rolled_back(deployer, wait_s=600).status == "UPDATE_ROLLBACK_FAILED"


def test_what_failed_can_be_left_by_its_logical_path() -> None:
    deployer = in_status("UPDATE_ROLLBACK_FAILED")
    cfn = deployer.world.cfn
    service = next(stack for stack in cfn.stacks.values() if stack.path == "Service")
    service.resources["Service"]["status"] = "UPDATE_FAILED"
    cfn.stuck["Service/Service"] = ("no", 9)
    assert rolled_back(deployer).exit_code == 5
    (told,) = [one for one in deployer.said if isinstance(one, Fact)]
    assert told.data == {"paths": ["Service/Service"]}
    assert rolled_back(deployer, "Service/Service").exit_code == 0
    assert cfn.skipped == [f"{service.name}.Service"]


def test_a_skip_that_means_nothing_is_refused() -> None:
    for status, path in (("UPDATE_ROLLBACK_FAILED", "Data/Table"), ("UPDATE_FAILED", "Word")):
        deployer = in_status(status)
        with pytest.raises(UsageError):
            rolled_back(deployer, path)
        assert deployer.world.sent(*CHANGES) == []


titles = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)
states = st.sampled_from(["UPDATE_FAILED", "UPDATE_COMPLETE", "CREATE_COMPLETE"])


@st.composite
def sets(draw: st.DrawFn) -> list[Resource]:
    found: dict[str, Resource] = {}
    for parents in draw(st.lists(st.lists(titles, min_size=1, max_size=4), max_size=8)):
        kind = draw(st.sampled_from([NESTED, "AWS::SNS::Topic"]))
        path = "/".join(parents)
        name = "-".join(["web", *parents[:-1]])
        stack_id = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/id"
        found[path] = Resource(path, kind, "physical", draw(states), stack_id)
    return list(found.values())


@given(sets())
def test_every_path_that_can_be_skipped_is_a_name_that_aws_takes(resources: list[Resource]) -> None:
    able = skippable(resources)
    entries = skips(able, resources)
    assert len(entries) == len(able)
    for path, entry in zip(able, entries, strict=True):
        assert SKIP.fullmatch(entry)
        assert entry.endswith(path.rpartition("/")[2])
        assert ("." in entry) == ("/" in path)
    for one in resources:
        if one.path not in able:
            with pytest.raises(UsageError):
                skips([one.path], resources)


def test_an_update_that_runs_is_cancelled_and_the_version_before_comes_back() -> None:
    deployer = updating()
    outcome = cancelled(deployer)
    assert (outcome.exit_code, outcome.status) == (0, "UPDATE_ROLLBACK_COMPLETE")
    assert deployer.world.sent(*CHANGES) == ["CancelUpdateStack"]


def test_a_creation_is_not_cancelled_but_deleted() -> None:
    with pytest.raises(RefusedError) as caught:
        cancelled(in_status("CREATE_IN_PROGRESS"))
    assert command_line(caught.value.next) == "scaleout-cfn destroy"


def test_an_update_that_ended_in_the_meantime_is_told_and_nothing_is_cancelled() -> None:
    deployer = updating()

    def finish(operation: str) -> None:
        if operation == "CancelUpdateStack":
            deployer.world.at_call = None
            deployer.world.cfn.finish()

    deployer.world.at_call = finish
    with pytest.raises(RefusedError) as caught:
        cancelled(deployer)
    assert "had ended" in str(caught.value)


def test_no_stack_is_a_mistake_in_the_name() -> None:
    deployer = Operator(stack="nobody")
    for command in (rolled_back, cancelled):
        with pytest.raises(UsageError):
            command(deployer)


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_unclear_answer_is_settled_by_reading(carried_out: bool) -> None:
    deployer = in_status("UPDATE_FAILED")
    code = "" if carried_out else "InternalFailure"
    deployer.world.faults.append(Fault("RollbackStack", code, status=500, carried_out=carried_out))
    assert rolled_back(deployer).exit_code == 0
    assert len(deployer.world.sent("RollbackStack")) == (1 if carried_out else 2)
    assert len(deployer.world.cfn.begun) == 1


def test_a_token_that_aws_knows_already_is_our_own_call_of_before() -> None:
    deployer = in_status("UPDATE_FAILED")
    world = deployer.world
    world.faults.append(Fault("RollbackStack", "TokenAlreadyExistsException"))

    def begun_before(operation: str) -> None:
        if operation == "RollbackStack":
            world.cfn._start(world.cfn._back(deployer.root, "of before", "UPDATE_"))

    world.at_call = begun_before
    assert rolled_back(deployer).exit_code == 0
    assert world.sent(*CHANGES) == ["RollbackStack"]


def test_an_answer_that_stays_unclear_gives_up_and_says_so() -> None:
    deployer = in_status("UPDATE_FAILED")
    deployer.world.faults.append(Fault("RollbackStack", "InternalFailure", status=500, times=99))
    with pytest.raises(BusyError) as caught:
        rolled_back(deployer)
    assert "UPDATE_FAILED, as before" in caught.value.state


def test_events_that_cannot_be_read_decide_nothing() -> None:
    deployer = in_status("UPDATE_FAILED")
    deployer.world.faults.append(Fault("DescribeStackEvents", "Throttling", times=9, skip=1))
    assert rolled_back(deployer).exit_code == 0


def test_an_interrupt_only_stops_watching() -> None:
    deployer = in_status("UPDATE_FAILED")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    deployer.world.at_sleep = interrupt
    outcome = rolled_back(deployer)
    assert (outcome.exit_code, deployer.status()) == (130, "UPDATE_ROLLBACK_IN_PROGRESS")
    deployer.world.at_sleep = None
    assert rolled_back(deployer).exit_code == 0
    assert deployer.world.sent(*CHANGES) == ["RollbackStack"]


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_interrupt_while_the_call_is_sent_says_what_is_true(
    carried_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployer = in_status("UPDATE_FAILED")
    send = deployer.world.cfn.RollbackStack

    def interrupted(**given: Any) -> Any:
        if carried_out:
            send(**given)
        raise KeyboardInterrupt

    monkeypatch.setattr(deployer.world.cfn, "RollbackStack", interrupted)
    outcome = rolled_back(deployer)
    assert outcome.exit_code == 130
    assert outcome.end == ("still_running" if carried_out else "interrupted")
    assert outcome.status == deployer.status()


def test_the_end_of_patience_is_its_own_exit_code() -> None:
    assert rolled_back(in_status("UPDATE_FAILED"), wait_s=0).exit_code == 9


def test_credentials_that_stay_expired_end_the_watching_and_not_the_rollback() -> None:
    deployer = in_status("UPDATE_FAILED")
    deployer.world.faults.append(Fault("DescribeStacks", "ExpiredToken", times=999, skip=1))
    outcome = rolled_back(deployer)
    assert (outcome.exit_code, outcome.end) == (8, "no_access")
    assert deployer.world.sent(*CHANGES) == ["RollbackStack"]


CRASHES: dict[str, tuple[Callable[[], Operator], Callable[[Operator], Outcome], str]] = {
    "rollback": (lambda: in_status("UPDATE_FAILED"), rolled_back, "UPDATE_ROLLBACK_COMPLETE"),
    "continued rollback": (lambda: in_status("UPDATE_ROLLBACK_FAILED"), rolled_back, "UPDATE_ROLLBACK_COMPLETE"),
    "cancel": (updating, cancelled, "UPDATE_ROLLBACK_COMPLETE"),
}


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after AWS is done"])
@pytest.mark.parametrize("name", CRASHES)
def test_the_same_command_after_a_crash_ends_in_the_same_state(
    name: str, later: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    begin, command, wanted = CRASHES[name]
    whole = begin()
    assert command(whole).status == wanted
    cases = 0
    for number in range(1, len(whole.world.calls) + 1):
        for when in ("before", "during"):
            deployer = begin()
            world = deployer.world
            world.killed_at = (number, when)
            with pytest.raises(Killed):
                command(deployer)
            cases += 1
            world.killed_at = None
            operating = bool(world.cfn.begun)
            if later:
                world.cfn.finish()
            world.seconds += 1
            world.cfn.advance()
            # An update that nobody cancelled in time has ended well; there is nothing left to cancel then.
            ends = {wanted} if operating or name != "cancel" else {wanted, "UPDATE_COMPLETE"}
            try:
                assert command(deployer).exit_code == 0
            except RefusedError:
                assert deployer.status() == "UPDATE_COMPLETE"
            assert deployer.status() in ends, f"{name}: killed {when} call {number}"
            assert len(world.cfn.begun) <= 1
    with capsys.disabled():
        print(f" {cases} crashes", end="")


# Over HTTP, against the emulator.


def over_http(account: Account, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """A command as a user would give it. Returns its exit code."""
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Pace, "wait", lambda pace: None)  # the emulator answers at once
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--stack", "demo", "--endpoint-url", account.emulator.endpoint_url])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def updated(account: Account, files: Any, then: Any, fail: Callable[[], None], **execution: Any) -> str:
    """A set that was made well and then updated, with faults. Returns the status that the update ended in."""
    url = helpers.upload(account, files)
    values = {"Url": url, "Word": "one"}
    made = helpers.deploy(account, "demo", f"{url}/root.json", values, kind="CREATE")
    assert made["StackStatus"] == "CREATE_COMPLETE"
    helpers.upload(account, then)
    fail()
    change = helpers.change_set(account, "demo", f"{url}/root.json", {**values, "Word": "two"})
    return str(helpers.execute(account, change, **execution)["StackStatus"])


def test_over_http_a_failed_update_goes_back(
    faulty: Account,  # noqa: F811
    faults: Faults,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Flat: the emulator does not send a nested stack back that failed with its rollback switched off.
    word = {"Word": {"Type": "String"}}
    one, two = small.parameter({"Ref": "Word"}), {**small.parameter({"Ref": "Word"}), "DependsOn": "One"}
    files = {"root.json": small.root({"One": one, "Two": two}, word)}
    fail = partial(faults, {"resource": "Two", "operation": "update", "message": "no place for a task"})
    assert updated(faulty, files, files, fail, DisableRollback=True) == "UPDATE_FAILED"
    faults()
    assert over_http(faulty, monkeypatch, "rollback", "--yes") == 6  # the emulator's stack is not ours
    assert over_http(faulty, monkeypatch, "rollback", "--adopt") == 6  # nobody is there to be asked
    assert over_http(faulty, monkeypatch, "rollback", "--yes", "--adopt") == 0
    assert "rolled back; the previous version is in place" in capsys.readouterr().err
    assert over_http(faulty, monkeypatch, "rollback", "--yes", "--adopt") == 0


def test_over_http_the_first_cause_is_found_at_any_later_time(
    faulty: Account,  # noqa: F811
    faults: Faults,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = small.apart()
    before["child.json"]["Resources"]["Extra"] = small.parameter("extra")
    # The second child cannot be changed, and then the first cannot be sent back, for Extra cannot be made again.
    fail = partial(
        faults,
        {"resource": "Value", "stack": "-Second-", "operation": "update", "message": "no place for a task"},
        {"resource": "Extra", "stack": "-First-", "operation": "create", "times": 1, "message": "the name is taken"},
    )
    assert updated(faulty, before, small.apart(), fail) == "UPDATE_ROLLBACK_FAILED"
    capsys.readouterr()
    assert over_http(faulty, monkeypatch, "diagnose") == 0
    said = capsys.readouterr()
    assert "first cause  Second/Value  AWS::SSM::Parameter  UPDATE_FAILED" in said.out
    assert "no place for a task" in said.out
    faults()
    assert over_http(faulty, monkeypatch, "rollback", "--yes", "--adopt", "--json") == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["type"], last["outcome"], last["exit"]) == ("result", "recovered", 0)
    assert over_http(faulty, monkeypatch, "cancel", "--yes", "--adopt") == 0
    assert over_http(faulty, monkeypatch, "destroy", "--yes", "--adopt") == 0
    assert over_http(faulty, monkeypatch, "destroy", "--yes", "--adopt") == 0
