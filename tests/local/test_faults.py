"""Delays and failures on purpose."""

from __future__ import annotations

from . import helpers, sets
from .conftest import Faults
from .helpers import Account


def begun(account: Account) -> dict[str, str]:
    url = helpers.upload(account, sets.pair())
    return {"Url": url, "Word": "one"}


def deployed(account: Account, values: dict[str, str], kind: str = "UPDATE") -> str:
    return str(helpers.deploy(account, "demo", f"{values['Url']}/root.json", values, kind=kind)["StackStatus"])


def test_a_rule_with_times_fails_that_often_and_no_more(faulty: Account, faults: Faults) -> None:
    values = begun(faulty)
    deployed(faulty, values, "CREATE")
    faults({"resource": "Value", "operation": "update", "times": 1, "message": "no place for a task"})
    assert deployed(faulty, {**values, "Word": "two"}) == "UPDATE_ROLLBACK_COMPLETE"
    assert any(failure.endswith("Value UPDATE_FAILED: no place for a task") for failure in helpers.failures(faulty))
    assert deployed(faulty, {**values, "Word": "two"}) == "UPDATE_COMPLETE"


def test_writing_the_file_again_starts_the_count_again(faulty: Account, faults: Faults) -> None:
    values = begun(faulty)
    deployed(faulty, values, "CREATE")
    for _ in range(2):
        faults({"resource": "Value", "operation": "update", "times": 1})
        assert deployed(faulty, {**values, "Word": "two"}) == "UPDATE_ROLLBACK_COMPLETE"


def test_a_nested_stack_can_fail_as_a_resource(faulty: Account, faults: Faults) -> None:
    faults({"stack": "^demo$", "resource": "Second", "operation": "create", "message": "limit exceeded"})
    assert deployed(faulty, begun(faulty), "CREATE") == "ROLLBACK_COMPLETE"
    assert helpers.failures(faulty) == ["demo/Second CREATE_FAILED: limit exceeded"]
    assert helpers.leftovers(faulty) == ["stack: demo ROLLBACK_COMPLETE"]


def test_a_delay_lets_a_follower_see_the_work(faulty: Account, faults: Faults) -> None:
    faults(delay_s=1)
    one = {"Resources": {"It": sets.parameter("x")}}
    url = helpers.upload(faulty, {"root.json": sets.root({"Only": sets.nested("one.json")}), "one.json": one})
    change = helpers.change_set(faulty, "demo", f"{url}/root.json", {"Url": url}, kind="CREATE")
    faulty.client("cloudformation").execute_change_set(ChangeSetName=change["ChangeSetId"])
    shown = helpers.poll(lambda: helpers.children(faulty, change["StackId"]), lambda children: "Only" in children)
    assert helpers.described(faulty, shown["Only"])["StackStatus"] == "CREATE_IN_PROGRESS"
    assert helpers.settled(faulty, change["StackId"])["StackStatus"] == "CREATE_COMPLETE"


def test_the_server_answers_during_a_delay(faulty: Account, faults: Faults) -> None:
    faults(delay_s=1)
    url = helpers.upload(faulty, {"root.json": {"Resources": {"It": sets.parameter("x")}}})
    change = helpers.change_set(faulty, "demo", f"{url}/root.json", kind="CREATE")
    faulty.client("cloudformation").execute_change_set(ChangeSetName=change["ChangeSetId"])
    assert helpers.described(faulty, change["StackId"])["StackStatus"] == "CREATE_IN_PROGRESS"
    assert helpers.settled(faulty, change["StackId"])["StackStatus"] == "CREATE_COMPLETE"


def test_a_faults_file_that_is_wrong_says_so(faulty: Account, faults: Faults) -> None:
    faults({"resource": "Value", "operation": "explode"})
    assert deployed(faulty, begun(faulty), "CREATE") == "ROLLBACK_COMPLETE"
    (reason,) = {f for f in helpers.failures(faulty) if "is refused" in f and f.startswith("demo/")}
    assert "operation must be one of ('create', 'update', 'delete'), got 'explode'" in reason
