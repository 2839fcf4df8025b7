"""Room for change sets, counted, and which of ours are cleared when there is none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from scaleout_cfn.deploy.changes.quota import clear, fullest, has_room
from scaleout_cfn.deploy.messages import Message, Note
from scaleout_cfn.errors import ApiError

from .scripted import ROOT, Scripted, failed, live

STACK = "AWS::CloudFormation::Stack"


def nested(title: str, physical_id: str | None = None, kind: str = STACK) -> dict[str, str]:
    row = {"LogicalResourceId": title, "ResourceType": kind, "ResourceStatus": "UPDATE_COMPLETE"}
    return row | {"PhysicalResourceId": f"arn:{title}" if physical_id is None else physical_id}


def crowded(**counts: int) -> Scripted:
    """Nested stacks with so many change sets each, of which one more is deleted already."""

    def listed(StackName: str) -> dict[str, Any]:
        rows = [nested(title) for title in counts] if StackName == ROOT else []
        return {"StackResourceSummaries": [*rows, nested("Service", "arn:s", "AWS::ECS::Service"), nested("New", "")]}

    def sets(StackName: str) -> dict[str, Any]:
        there = [{"Status": "CREATE_COMPLETE"}] * counts[StackName.removeprefix("arn:")]
        return {"Summaries": [*there, {"Status": "DELETE_COMPLETE"}]}

    return Scripted(list_stack_resources=listed, list_change_sets=sets)


def test_the_fullest_nested_stack_is_found_by_its_path() -> None:
    assert fullest(crowded(Data=3, Service2=7, More=5), ROOT) == (7, "Service2")
    assert fullest(crowded(), ROOT) == (0, "")


def test_of_many_those_are_counted_that_were_not_changed_for_the_longest_time() -> None:
    aws = crowded(New=9, Old=3, Between=5)
    days = {"New": 3, "Old": 1, "Between": 2}
    rows = [nested(title) | {"LastUpdatedTimestamp": datetime(2026, 11, day)} for title, day in days.items()]
    aws.answers["list_stack_resources"] = lambda StackName: {
        "StackResourceSummaries": rows if StackName == ROOT else []
    }
    assert fullest(aws, ROOT, most=2) == (5, "Between")
    assert fullest(aws, ROOT) == (9, "New")


@pytest.mark.parametrize(
    ("count", "room", "words"),
    [
        (799, True, None),
        (800, True, "Data has 800 change sets of the 1000 that it takes"),
        (950, True, "clears them"),
        (951, False, "Until then changes inside nested stacks are not shown"),
    ],
)
def test_from_eight_hundred_on_it_is_told_and_from_nine_hundred_and_fifty_none_is_asked_for(
    count: int, room: bool, words: str | None
) -> None:
    said: list[Message] = []
    assert has_room(crowded(Data=count, More=1), live(), said.append) is room
    assert [isinstance(one, Note) and one.level for one in said] == (["warning"] if words else [])
    assert words is None or words in str(said[0])


@pytest.mark.parametrize("there", [None, live("REVIEW_IN_PROGRESS")])
def test_what_is_to_be_made_has_room_without_a_call(there: Any) -> None:
    assert has_room(Scripted(), there, print)


def test_a_count_that_cannot_be_read_leaves_it_to_cloudformation() -> None:
    said: list[Message] = []
    assert has_room(Scripted(list_stack_resources=failed("denied")), live(), said.append)
    (note,) = said
    assert isinstance(note, Note) and note.level == "warning"


def change_set(name: str, status: str, execution: str = "UNAVAILABLE") -> dict[str, str]:
    return {"ChangeSetName": name, "ChangeSetId": f"arn:{name}", "Status": status, "ExecutionStatus": execution}


@pytest.mark.parametrize(
    ("there", "cleared"),
    [
        # What failed is of no use to anybody; what could still be executed goes only where nothing else does.
        ([change_set("scfn-a", "FAILED"), change_set("scfn-b", "CREATE_COMPLETE", "AVAILABLE")], ["scfn-a"]),
        ([change_set("scfn-b", "CREATE_COMPLETE", "AVAILABLE")], ["scfn-b"]),
        ([change_set("scfn-c", "CREATE_COMPLETE", "EXECUTE_COMPLETE")], []),
        ([change_set("scfn-c", "CREATE_IN_PROGRESS"), change_set("scfn-d", "DELETE_COMPLETE")], []),
        ([change_set("theirs", "FAILED")], []),
        ([change_set("scfn-a", "FAILED", "EXECUTE_FAILED")], []),
        ([], []),
    ],
)
def test_only_our_own_that_nobody_executed_are_cleared(there: Any, cleared: list[str]) -> None:
    aws = Scripted(list_change_sets={"Summaries": there}, delete_change_set={})
    assert clear(aws, "web") == cleared
    assert [one["ChangeSetName"] for one in aws.sent("delete_change_set")] == [f"arn:{name}" for name in cleared]


def test_one_that_is_gone_or_refused_is_passed_over_and_another_error_is_not() -> None:
    there = {"Summaries": [change_set(f"scfn-{number}", "FAILED") for number in range(3)]}
    aws = Scripted(list_change_sets=there, delete_change_set=[failed("missing"), failed("refused"), {}])
    assert clear(aws, "web") == ["scfn-2"]
    with pytest.raises(ApiError):
        clear(Scripted(list_change_sets=there, delete_change_set=failed("exists")), "web")
