"""Events: pages in, events out, whatever the pages look like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.deploy.watch.events import Event, History, Operation, Progress, first_cause, parsed, refusing_hooks

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
        raw(1, "UPDATE_IN_PROGRESS", "Data", "", ResourceType=STACK),  # no id yet
        raw(
            1, "UPDATE_IN_PROGRESS", "Service", "arn:aws:ecs:eu-west-1:1:service/web", ResourceType="AWS::ECS::Service"
        ),
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


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True), st.booleans())
def test_of_several_failures_the_earliest_is_the_cause(seconds: list[int], cancelled: bool) -> None:
    reason = "Resource update cancelled" if cancelled else "no"
    found = first_cause([event(second, "UPDATE_FAILED", f"Word{second}", reason) for second in seconds])
    assert found is not None and found.path == f"Word{min(seconds)}"


def test_where_all_are_consequences_the_first_of_them_is_told() -> None:
    found = first_cause([event(1, "CREATE_FAILED", "Data", "Embedded stack x was not successfully created", STACK)])
    assert found is not None and found.path == "Data"
    assert first_cause([event(1, "CREATE_COMPLETE", "Data")]) is None


def test_an_event_is_of_its_stack_only_where_it_names_it() -> None:
    own, resource = parsed(raw(1, "UPDATE_COMPLETE"), ""), parsed(raw(2, "UPDATE_FAILED", "Word", "w"), "")
    inner, table = parsed(raw(3, "UPDATE_COMPLETE", "x", CHILD, CHILD), "Data"), raw(4, "", "Table", "t", CHILD)
    assert [one.of_stack for one in (own, resource, inner)] == [True, False, True]
    assert [one.path for one in (own, resource, inner, parsed(table, "Data"))] == ["", "Word", "Data", "Data/Table"]
    assert parsed({**table, "HookType": ""}, "Data").hook is None


@pytest.mark.parametrize(
    ("status", "failed", "running"),
    [("UPDATE_FAILED", True, False), ("UPDATE_IN_PROGRESS", False, True), ("UPDATE_COMPLETE", False, False)],
)
def test_an_event_has_failed_runs_or_is_done(status: str, failed: bool, running: bool) -> None:
    one = event(1, status, "Word")
    assert (one.failed, one.running) == (failed, running)


@pytest.mark.parametrize(
    ("status", "mode", "refuses"),
    [
        ("HOOK_COMPLETE_FAILED", "FAIL", True),
        ("HOOK_FAILED", "", True),
        ("HOOK_COMPLETE_FAILED", "WARN", False),
        ("HOOK_COMPLETE_SUCCEEDED", "FAIL", False),
        ("HOOK_IN_PROGRESS", "WARN", False),
    ],
)
def test_a_hook_refuses_where_it_failed_and_does_not_only_warn(status: str, mode: str, refuses: bool) -> None:
    given = raw(1, "UPDATE_IN_PROGRESS", "Word", "w", HookType="Acme::No", HookStatus=status, HookFailureMode=mode)
    hook = parsed(given, "").hook
    assert hook is not None and hook.refuses is refuses
    cause = event(2, "UPDATE_FAILED", "Word", "The following hook(s) failed: [Acme::No]")
    of_another = parsed({**given, "LogicalResourceId": "Other", "HookType": "Acme::Other"}, "")
    events = [parsed(given, ""), of_another, parsed(given, ""), cause]
    assert refusing_hooks(events, cause) == ([hook] if refuses else [])
    assert refusing_hooks(events, event(2, "UPDATE_FAILED", "Word", "no")) == []


def taken(token: str, *events: Any) -> tuple[History, list[str]]:
    history = History(ROOT, token)
    return history, [one.event_id for one in history.take(ROOT, iter(pages(list(events), 2)))]


ROLLBACK = raw(6, "UPDATE_ROLLBACK_IN_PROGRESS", ClientRequestToken="ours")


@pytest.mark.parametrize(
    ("token", "events", "count"),
    [
        # A rollback by our own token is an operation of its own; by another's it is part of the one that failed.
        ("ours", [*operation("old", 1), ROLLBACK], 1),
        ("", [*operation("old", 1), ROLLBACK], 4),
        # Whosever it is: the newest operation only.
        ("", [*operation("old", 1), *operation("new", 2, 9)], 4),
        # A placeholder is not begun yet, nor is ours while the newest operation is another's.
        ("", [raw(0, "REVIEW_IN_PROGRESS")], 0),
        ("ours", [raw(0, "REVIEW_IN_PROGRESS", ClientRequestToken="ours")], 0),
        ("ours", [*operation("ours", 1), *operation("new", 1, 9)], 0),
        ("ours", [raw(0, "UPDATE_COMPLETE", "Word", "w", ClientRequestToken="ours")], 0),
        ("", [raw(0, "UPDATE_COMPLETE", "Word", "w")], 0),
    ],
)
def test_an_operation_begins_where_its_own_first_event_says_so(token: str, events: list[Any], count: int) -> None:
    history, seen = taken(token, *events)
    assert seen == ([one["EventId"] for one in events[-count:]] if count else [])
    assert (history.begun is not None) == bool(count)


def test_of_a_nested_stack_all_that_is_as_old_as_the_operation_is_taken() -> None:
    history, _ = taken("t", raw(3, "UPDATE_IN_PROGRESS", ClientRequestToken="t"), raw(3, "X", "Data", CHILD))
    events = [raw(at, "UPDATE_IN_PROGRESS", "Table", "t", CHILD) for at in (2, 3, 4)]  # 3 and 4 are of the same second
    assert [one.event_id for one in history.take(CHILD, iter(pages(events, 5)))] == ["2-3", "2-4"]


def test_beginning_and_end_of_a_hook_are_two_events_of_one_id() -> None:
    begin = raw(1, "UPDATE_IN_PROGRESS", "Word", "w", HookType="Acme::No", HookStatus="HOOK_IN_PROGRESS")
    end = {**begin, "HookStatus": "HOOK_COMPLETE_SUCCEEDED"}
    history, seen = taken("", raw(0, "UPDATE_IN_PROGRESS"), begin)
    more = history.take(ROOT, iter(pages([raw(0, "UPDATE_IN_PROGRESS"), begin, end], 2)))
    assert len(seen) == 2 and [one.hook.status for one in more if one.hook] == ["HOOK_COMPLETE_SUCCEEDED"]


def test_progress_counts_resources_that_are_done_and_names_those_at_work() -> None:
    history, _ = taken(
        "",
        raw(0, "UPDATE_IN_PROGRESS"),
        raw(1, "UPDATE_IN_PROGRESS", "Data", CHILD),
        raw(2, "UPDATE_IN_PROGRESS", "Word", "w"),
        raw(3, "UPDATE_COMPLETE", "Other", "o"),
        raw(4, "UPDATE_FAILED", "Third", "t"),
    )
    assert history.progress == Progress(2, 3, ("Word",))
    history.planned = 7
    assert history.progress.total == 7
    last = history.last("Other")
    assert last is not None and last.status == "UPDATE_COMPLETE" and history.last("Nothing") is None
    assert History(ROOT).progress == Progress(0, 0, ())


def test_of_what_nobody_has_planned_as_much_is_expected_as_is_seen() -> None:
    history = History(ROOT, "t", Operation(ROOT, "t").planned)
    history.take(ROOT, iter(pages([raw(0, "UPDATE_IN_PROGRESS", ClientRequestToken="t")], 1)))
    assert history.progress == Progress(0, 0, ())


def test_all_stacks_that_rest_are_woken_once_more() -> None:
    history, _ = taken("", raw(0, "UPDATE_IN_PROGRESS"), raw(1, "UPDATE_COMPLETE", "Data", CHILD))
    history.rest()
    assert history.active == {ROOT: ""}
    history.wake()
    assert history.active == {ROOT: "", CHILD: "Data"}


def test_a_failure_in_the_second_in_which_the_rollback_begins_is_still_the_cause() -> None:
    rollback = event(8, "UPDATE_ROLLBACK_IN_PROGRESS", "", kind=STACK)
    during, at = event(9, "DELETE_FAILED", "Late", "in use"), event(8, "UPDATE_FAILED", "Word", "no")
    consequence = event(5, "UPDATE_FAILED", "First", "Resource update cancelled")
    assert first_cause([rollback, consequence, during, at]) == at
    assert first_cause([rollback, consequence, during]) == during
    assert first_cause([consequence, during]) == during
    # What a nested stack's rollback fails in is told by itself; the words of a resource begin no rollback.
    assert first_cause([event(1, "UPDATE_ROLLBACK_IN_PROGRESS", "x"), event(7, "CREATE_FAILED", "A", "n")])
