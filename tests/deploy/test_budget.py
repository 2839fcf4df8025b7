"""How many calls a deployment makes, and that it stays so as sets and histories grow."""

from __future__ import annotations

import pytest

from .helpers import Deployer, Small, running

#: Calls of an update of one nested stack of two against pages of two, without polling. Two calls a nested stack are
#: for its change sets: a stack takes about a thousand, and a deployment that meets the limit halfway is worse.
UPDATE = 36


def test_an_update_stays_in_budget() -> None:
    deployer = running()
    deployer.deploy(image="web:2")
    calls = deployer.world.sent()
    polls = calls.count("DescribeStackEvents")
    assert len(calls) - polls <= UPDATE
    assert calls.count("DescribeStacks") <= polls + 3


@pytest.mark.parametrize("history", [0, 10])
def test_old_events_are_not_read_again(history: int) -> None:
    """A stack with a long past costs what a new one does."""
    deployer = running()
    for number in range(history):
        deployer.deploy(image=f"web:old{number}")
    deployer.world.calls.clear()
    deployer.deploy(image="web:new")
    assert deployer.world.sent().count("DescribeStackEvents") <= 22


def test_each_event_is_read_about_once_however_long_it_takes() -> None:
    """Pages of two: one call for every second event, and one for each poll."""
    deployer = Deployer()
    deployer.world.cfn.resource_s = 60
    deployer.deploy()
    events = sum(len(stack.events) for stack in deployer.world.cfn.stacks.values())
    polls = deployer.world.sent().count("DescribeStacks")
    assert deployer.world.sent().count("DescribeStackEvents") <= events / 2 + 2 * polls


def test_polling_is_at_most_once_in_three_seconds_and_slower_after_throttling() -> None:
    deployer = Deployer()
    deployer.world.cfn.resource_s = 300
    waits: list[float] = []
    deployer.world.at_sleep = waits.append
    deployer.deploy()
    assert min(waits) >= 3 * 0.7
    quick = len(waits)
    slow = Deployer()
    slow.world.cfn.resource_s = 300
    from .world import Fault

    slow.world.faults.append(Fault("DescribeStackEvents", "Throttling", times=10_000))
    slow.world.faults.append(Fault("DescribeStacks", "Throttling", times=8, skip=4))
    waits = []
    slow.world.at_sleep = waits.append
    slow.deploy()
    assert max(waits) == 30
    assert len(waits) < quick


@pytest.mark.parametrize(("word", "each"), [("one", 5), ("two", 8)], ids=["one changes", "all change"])
def test_calls_grow_with_the_nested_stacks_by_a_fixed_number_each(word: str, each: int) -> None:
    """Without polling, on pages of two. A nested stack is listed before and after, and its change sets are counted; of
    one that changes the change set is read, and what its validation found."""
    counts = {}
    for more in (4, 8, 16):
        deployer = Deployer()
        deployer.deploy(Small(more=more), image="web:1")
        deployer.world.calls.clear()
        assert deployer.deploy(Small(more=more, word=word), image="web:2").exit_code == 0
        polls = ("DescribeStackEvents", "DescribeStacks")
        counts[more] = sum(operation not in polls for operation in deployer.world.sent())
    assert counts[8] - counts[4] <= 4 * each
    assert counts[16] - counts[8] <= 8 * each
