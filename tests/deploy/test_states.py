"""What a status of a stack lets a deployment, a rollback and a deletion do, in AWS's own terms."""

from __future__ import annotations

import pytest

from scaleout_cfn.deploy.changes.stateful import held_by, is_stateful
from scaleout_cfn.deploy.states import STATUSES, meaning


def test_a_stack_is_deleted_in_any_status_but_while_something_else_is_at_work() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html"""
    assert {name for name, row in STATUSES.items() if not row.deletable} == {
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "DELETE_IN_PROGRESS",
        "IMPORT_IN_PROGRESS",
        "IMPORT_ROLLBACK_IN_PROGRESS",
    }
    assert meaning("UPDATE_IN_PROGRESS") is STATUSES["UPDATE_IN_PROGRESS"]


@pytest.mark.parametrize(
    ("status", "start", "end", "deletable"),
    [("NEW_IN_PROGRESS", "busy", "running", False), ("NEW_COMPLETE", "stuck", "failed", True)],
)
def test_a_status_that_nobody_knows_is_waited_for_or_looked_into(
    status: str, start: str, end: str, deletable: bool
) -> None:
    row = meaning(status)
    assert (row.start, row.end, row.deletable, row.begins) == (start, end, deletable, "")


def test_no_row_can_be_changed() -> None:
    row = STATUSES["UPDATE_COMPLETE"]
    with pytest.raises(AttributeError):
        row.words = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        row.rollback.what = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        STATUSES["X"] = row  # type: ignore[index]


def test_what_is_lost_is_said_of_every_type_and_a_balancer_holds_nothing() -> None:
    assert held_by("AWS::SQS::Queue") == "the messages and jobs that wait in it"
    assert held_by("Custom::Thing") == "what it holds"
    assert is_stateful("AWS::SQS::Queue") and not is_stateful("Custom::Thing")
    assert not is_stateful("AWS::ElasticLoadBalancingV2::LoadBalancer")
