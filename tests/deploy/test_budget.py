"""How many calls a deployment makes, and that it stays so as sets and histories grow."""

from __future__ import annotations

from collections import Counter

import pytest

from scaleout_cfn.deploy.messages import Rollout

from . import cloudformation
from .helpers import Deployer, Small, running

#: Calls of an update of one nested stack of two against pages of two, without polling. Two calls a nested stack are
#: for its change sets: a stack takes about a thousand, and a deployment that meets the limit halfway is worse.
UPDATE = 33


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


@pytest.mark.parametrize(("word", "each"), [("one", 2), ("two", 7)], ids=["one changes", "all change"])
def test_calls_grow_with_the_nested_stacks_by_a_fixed_number_each(word: str, each: int) -> None:
    """Without polling, on pages of two. The root lists a nested stack before and after, and of a few the change sets
    are counted; of one that changes the change set is read, what its validation found, and what it holds."""
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


def calls_of_a_new_image(monkeypatch: pytest.MonkeyPatch, services: int) -> Counter[str]:
    """What a new image of one service takes, beside so many others, on pages of AWS's size; without polls."""
    monkeypatch.setattr(cloudformation, "PAGE", 100)
    small, deployer = Small(more=5, services=services - 1), Deployer()
    assert deployer.deploy(small, image="web:1").exit_code == 0
    deployer.world.calls.clear()
    assert deployer.deploy(small, image="web:2").exit_code == 0
    return Counter(call for call in deployer.world.sent() if call not in ("DescribeStackEvents", "DescribeStacks"))


def test_a_new_image_of_one_of_twenty_services_takes_at_most_twice_the_calls_of_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, among = (calls_of_a_new_image(monkeypatch, services) for services in (1, 20))
    assert among.total() <= 2 * alone.total(), among - alone


def test_a_deployment_that_finds_nothing_to_do_takes_the_same_calls_however_many_services(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cloudformation, "PAGE", 100)
    sent = []
    for services in (1, 20):
        small, deployer = Small(services=services - 1), Deployer()
        deployer.deploy(small, image="web:1")
        deployer.world.calls.clear()
        assert deployer.deploy(small, image="web:1").end == "no_change"
        sent.append(deployer.world.sent())
    assert sent[0] == sent[1]


def test_only_services_whose_stacks_change_are_verified_and_all_of_a_new_set() -> None:
    small, deployer = Small(services=2), Deployer()

    def shown() -> set[str]:
        return {message.name for message in deployer.said if isinstance(message, Rollout)}

    assert deployer.deploy(small, image="web:1").exit_code == 0
    assert {"s0", "s1"} < shown()
    assert deployer.deploy(small, image="web:2").exit_code == 0
    assert len(shown()) == 1 and not {"s0", "s1"} & shown()


def test_templates_that_somebody_took_out_of_the_bucket_are_there_again_after_a_deployment() -> None:
    deployer = Deployer()
    deployer.deploy(Small(services=2), image="web:1")
    before = dict(deployer.world.objects)
    deployer.world.objects.clear()
    assert deployer.deploy(Small(services=2), image="web:2").exit_code == 0
    assert deployer.world.objects == before
