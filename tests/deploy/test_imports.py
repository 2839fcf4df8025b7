"""What was there before a set is taken into it: that and nothing else, as it is, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.deploy.changes.imports import look, require_imports
from scaleout_cfn.deploy.changes.plan import Change, Plan, kind_of
from scaleout_cfn.deploy.live import find
from scaleout_cfn.deploy.messages import Fact, Message, Note
from scaleout_cfn.errors import RefusedError, UsageError
from scaleout_cfn.imports import Import

from .helpers import Deployer, Small, running
from .test_crash import before_the_set
from .world import Fault

TABLE = "AWS::DynamoDB::Table"
ORDERS = Small(named="orders", retain=True)
IMPORTS = {"Data/Table": "table orders"}


def wanted(**properties: Any) -> Import:
    return Import("Data/Table", TABLE, "orders", {"TableName": "orders", **properties})


def told(deployer: Deployer, *each: Import) -> tuple[tuple[Import, ...], list[Message]]:
    said: list[Message] = []
    aws = deployer.world.aws()
    return look(aws, find(aws, "web"), each, said.append), said


def test_what_is_named_is_taken_in_and_not_made() -> None:
    deployer = before_the_set()
    assert deployer.deploy(ORDERS, imports=IMPORTS).exit_code == 0
    assert deployer.world.cfn.physical_id("Table") == "orders"
    (change,) = (change for change in deployer.plans[0].changes if change.path == "Data/Table")
    assert (change.action, kind_of(change), change.stateful) == ("Import", "import", True)
    assert deployer.plans[0].counts["import"] == 1


def test_without_the_command_nothing_is_taken_in() -> None:
    deployer = before_the_set()
    outcome = deployer.deploy(ORDERS)
    assert outcome.exit_code == 5 and outcome.cause and "already exists" in outcome.cause.reason


def test_a_first_deployment_that_fails_deletes_nothing_that_was_there() -> None:
    """RetainExceptOnCreate deletes what an operation has made, whatever its DeletionPolicy: none is taken for that."""
    deployer = before_the_set()
    deployer.world.cfn.failures["Word"] = ("no such word", 1)
    assert deployer.deploy(ORDERS, imports=IMPORTS).exit_code == 5
    (given,) = (given for _, operation, given in deployer.world.calls if operation == "ExecuteChangeSet")
    assert given["RetainExceptOnCreate"] is False


@pytest.mark.parametrize(
    ("imports", "words"),
    [
        ({}, "Data/Table is there already and would be taken in too"),
        ({**IMPORTS, "Word": "word one"}, "Word: CloudFormation does not take in word one, but would make it"),
    ],
)
def test_nothing_else_is_taken_in_and_what_is_named_is_not_made(imports: dict[str, str], words: str) -> None:
    deployer = before_the_set()
    with pytest.raises(RefusedError, match=words):
        deployer.deploy(ORDERS, imports=imports)
    assert not deployer.world.executions() and not deployer.world.cfn.sets
    assert deployer.status() == "DELETE_COMPLETE" or deployer.status() == "none"


def test_nothing_is_taken_in_unseen() -> None:
    """A nested stack that takes no more change sets shows nothing, and its changes are asked for all the same."""
    deployer = running()
    deployer.world.cfn.crowd["Data"] = 1000
    with pytest.raises(Exception, match="ChangeSet limit exceeded"):
        deployer.deploy(Small(key="pk"), imports={}, allowed=("Data/Table",))
    sent = [given for _, operation, given in deployer.world.calls if operation == "CreateChangeSet"]
    assert sent and all(given["IncludeNestedStacks"] for given in sent)
    hidden = Change("Data", "AWS::CloudFormation::Stack", "Modify", unseen=True)
    with pytest.raises(RefusedError, match="not shown is what is inside Data"):
        require_imports(Plan("web", "arn", "arn", False, "", (hidden,)), {})


def test_how_it_differs_is_told_before_anything_is_asked() -> None:
    deployer = before_the_set()
    deployer.world.cfn.existing[TABLE, "orders"] = {"TableName": "orders", "BillingMode": "PROVISIONED", "More": 1}
    left, (fact,) = told(deployer, wanted(BillingMode="PAY_PER_REQUEST", Spec={"Enabled": True}))
    assert isinstance(fact, Fact) and fact.level == "warning" and len(left) == 1
    assert fact.lines == (
        "Data/Table  table orders  2 differ",
        "  BillingMode  live PROVISIONED, template PAY_PER_REQUEST",
        "  Spec  live (none), template {\"Enabled\": true}",
    )  # fmt: skip
    assert fact.data["differences"][0] == {
        "property": "BillingMode", "live": "PROVISIONED", "template": "PAY_PER_REQUEST",
    }  # fmt: skip


def test_a_long_value_is_cut_on_its_line_and_whole_for_programs() -> None:
    deployer = before_the_set()
    _, (fact,) = told(deployer, wanted(Policy="a\n" * 100))
    assert isinstance(fact, Fact) and max(map(len, fact.lines)) < 120 and "\n" not in "".join(fact.lines)
    assert fact.data["differences"][0]["template"] == "a\n" * 100


def test_what_is_of_the_set_already_is_not_asked_for_again() -> None:
    deployer = before_the_set()
    deployer.deploy(ORDERS, imports=IMPORTS)
    assert told(deployer, wanted()) == ((), [])
    assert deployer.deploy(ORDERS, imports=IMPORTS).end == "no_change"


def test_a_name_that_nothing_has_is_refused_before_a_change_set_would_make_it() -> None:
    with pytest.raises(UsageError, match=r"imports\.Data/Table: there is no table orders in eu-west-1; correct"):
        told(Deployer(), wanted())


def test_who_may_not_read_it_may_take_it_in() -> None:
    deployer = before_the_set()
    deployer.world.faults = [Fault("GetResource", "AccessDeniedException", "not you", 403, times=9)]
    left, (note,) = told(deployer, wanted())
    assert left and isinstance(note, Note) and note.level == "warning" and "not known how table orders" in note.text
