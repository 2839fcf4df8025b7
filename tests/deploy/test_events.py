"""Events: pages in, events out, whatever the pages look like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.deploy.watch.events import Event, History, first_cause

ROOT = "arn:aws:cloudformation:eu-west-1:1:stack/web/1"
CHILD = "arn:aws:cloudformation:eu-west-1:1:stack/web-Data/2"
STACK = "AWS::CloudFormation::Stack"
START = datetime(2026, 11, 23, tzinfo=UTC)


def raw(number: int, status: str, title: str = "web", physical: str = ROOT, stack: str = ROOT, **more: Any) -> Any:
    kind = STACK if physical.startswith("arn:") else "AWS::SSM::Parameter"
    return {
        "StackId": stack,
        "StackName": stack.split("/")[1],
        "EventId": f"{stack[-1]}-{number}",
        "LogicalResourceId": title,
        "PhysicalResourceId": physical,
        "ResourceType": kind,
        "ResourceStatus": status,
        "Timestamp": START + timedelta(seconds=number // 3),  # several in one moment
        **more,
    }


def pages(events: list[Any], size: int) -> list[dict[str, Any]]:
    newest_first = events[::-1]
    return [{"StackEvents": newest_first[at : at + size]} for at in range(0, len(newest_first), size)] or [
        {"StackEvents": []}
    ]


def operation(token: str, count: int, begin: int = 0) -> list[Any]:
    """An update with `count` resources, which carries the token."""
    more = {"ClientRequestToken": token}
    found = [raw(begin, "UPDATE_IN_PROGRESS", **more)]
    found += [raw(begin + 1 + n, "UPDATE_COMPLETE", f"R{n}", f"r{n}", **more) for n in range(count)]
    return [*found, raw(begin + 1 + count, "UPDATE_COMPLETE", **more)]


@given(
    before=st.integers(0, 12),
    count=st.integers(0, 12),
    size=st.integers(1, 5),
    cuts=st.lists(st.integers(0, 14), max_size=6),
)
def test_however_it_is_read_each_event_of_the_operation_comes_once_and_in_order(
    before: int, count: int, size: int, cuts: list[int]
) -> None:
    earlier = operation("scfn-old", before)
    ours = operation("scfn-new", count, begin=before + 2)
    history = History(ROOT, "scfn-new")
    seen: list[Event] = []
    for cut in [*sorted(cuts), len(ours)]:
        seen += history.take(ROOT, iter(pages(earlier + ours[:cut], size)))
    assert [event.event_id for event in seen] == [one["EventId"] for one in ours]


@given(count=st.integers(3, 40), size=st.integers(1, 5), known=st.integers(2, 40))
def test_no_more_pages_are_read_than_hold_something_new(count: int, size: int, known: int) -> None:
    events = operation("t", count)
    known = min(known, len(events))
    history = History(ROOT, "t")
    history.take(ROOT, iter(pages(events[:known], size)))
    read = []

    def counted() -> Any:
        for page in pages(events, size):
            read.append(page)
            yield page

    history.take(ROOT, counted())
    assert len(read) <= (len(events) - known) // size + 1


def test_before_the_operation_is_to_be_seen_nothing_of_an_earlier_one_is_taken() -> None:
    history = History(ROOT, "scfn-new")
    assert history.take(ROOT, iter(pages(operation("scfn-old", 3), 2))) == []
    assert history.begun is None


def test_a_cancellation_with_a_token_of_its_own_still_belongs_to_the_operation() -> None:
    events = operation("scfn-new", 2)[:-1]
    events.append(raw(9, "UPDATE_ROLLBACK_IN_PROGRESS", ClientRequestToken="somebody"))
    history = History(ROOT, "scfn-new")
    assert len(history.take(ROOT, iter(pages(events, 2)))) == len(events)


def test_a_nested_stack_is_found_by_its_arn_read_and_then_left_alone() -> None:
    root = [
        raw(0, "UPDATE_IN_PROGRESS", ClientRequestToken="t"),
        raw(1, "UPDATE_IN_PROGRESS", "Data", ""),  # no id yet
        raw(2, "UPDATE_IN_PROGRESS", "Data", CHILD),
    ]
    history = History(ROOT, "t")
    history.take(ROOT, iter(pages(root, 2)))
    assert history.active == {ROOT: "", CHILD: "Data"}
    old = raw(-9, "CREATE_COMPLETE", "Table", "table", CHILD)
    new = raw(3, "UPDATE_IN_PROGRESS", "Table", "table", CHILD)
    assert [one.path for one in history.take(CHILD, iter(pages([old, new], 1)))] == ["Data/Table"]
    history.rest()
    assert CHILD in history.active
    history.take(ROOT, iter(pages([*root, raw(6, "UPDATE_COMPLETE", "Data", CHILD)], 2)))
    history.rest()
    assert history.active == {ROOT: ""}


def event(second: int, status: str, path: str, reason: str = "", kind: str = "AWS::ECS::Service") -> Event:
    physical = path or ROOT
    time = START + timedelta(seconds=second)
    return Event(ROOT, f"{second}{path}", time, path, kind, status, reason, physical, "")


@given(st.permutations(range(6)))
def test_the_first_cause_is_the_same_in_whatever_order_events_come(order: list[int]) -> None:
    events = [
        event(1, "UPDATE_IN_PROGRESS", "", kind=STACK),
        event(5, "UPDATE_FAILED", "Service/Service", "the image cannot be pulled"),
        event(6, "CREATE_FAILED", "Service/Other", "Resource creation cancelled"),
        event(7, "UPDATE_FAILED", "Service", "Embedded stack arn was not successfully updated", STACK),
        event(8, "UPDATE_ROLLBACK_IN_PROGRESS", "", "The following resource(s) failed", STACK),
        event(9, "DELETE_FAILED", "Network/Vpc", "has dependencies"),
    ]
    found = first_cause([events[number] for number in order])
    assert found is not None
    assert found.path == "Service/Service"


def test_where_all_are_consequences_the_first_of_them_is_told() -> None:
    found = first_cause([event(1, "CREATE_FAILED", "Data", "Embedded stack x was not successfully created", STACK)])
    assert found is not None and found.path == "Data"
    assert first_cause([event(1, "CREATE_COMPLETE", "Data")]) is None
