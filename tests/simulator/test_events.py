"""What befalls a run: read from its text, on the report, and priced in requests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.cli import cli
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.events import KINDS, fears, in_order
from scaleout_cfn.simulator.model import Delays, Fargate, Model, NodeRoll, Rollout
from scaleout_cfn.simulator.prices import prices_of
from scaleout_cfn.simulator.read import read
from scaleout_cfn.simulator.results import measure, range_of
from scaleout_cfn.simulator.run import Trace, at_each_second, run
from scaleout_cfn.simulator.study import over_phases, study
from scaleout_cfn.simulator.traffic import Traffic, synthetic

from .sets import LOAD, model, on_fargate

PRICES = prices_of("us-east-1")
CALM = Traffic("calm", np.full(3600, 80.0))


@pytest.mark.parametrize("name", list(KINDS))
def test_an_event_that_is_only_named_is_read_and_has_its_defaults(name: str) -> None:
    spot = on_fargate(pool=Fargate(spot_percent=50))
    (fear,) = fears([f"{name}@60"], [spot, model()], CALM)
    kind = KINDS[name]
    assert (fear.second, fear.lasts_s) == (60, kind.lasts_s or 0)
    assert fear.numbers == {each: number.default for each, number in kind.numbers.items()}
    assert [event.time for event in fear.events] == ([60, 60 + kind.lasts_s] if kind.lasts_s else [60])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flood@60", "no event 'flood'; there are zone-lost"),
        ("slow", "give slow@SECOND:SECONDS,factor=NUMBER"),
        ("slow@1.5", "in whole seconds"),
        ("slow@60:0", "in whole seconds"),
        ("slow@60:", "in whole seconds"),
        ("spot-wave@60:5", "has no length of its own; give spot-wave@SECOND,share=NUMBER"),
        ("deployment@60:5", "has no length of its own; give deployment@SECOND"),
        ("deployment@60,share=1", "takes no 'share'"),
        ("bad-image@60,after=x", "after = x; give 0 to 3600, the seconds from the start of such a task"),
        ("cold-caches@60,share=0", "give 0.01 to 1, the share of what it does at best"),
        ("api=slow@60", "no service api has a traffic; there is web"),
        ("web=zone-lost@60", "befalls what services run on; leave web= out"),
        ("slow@crowd", "or peak for the busiest"),
        ("slow@60,share=1", "slow takes no 'share'"),
        ("slow@60,factor=0.5", "give 1 to 100"),
        ("slow@60,factor=", "factor = nothing"),
        ("slow@3600", "the traffic ends after 3600 s"),
        ("spot-wave@60", "nothing of the pool is on Spot"),
    ],
)
def test_a_wrong_event_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"--event {text}: ") as refused:
        fears([text], [model()], CALM)
    assert says in str(refused.value)


def test_two_of_a_kind_come_one_after_the_other() -> None:
    assert len(fears(["slow@700:60", "slow@60:600", "zone-lost@60"], [model()], CALM)) == 3
    with pytest.raises(UsageError, match="slow@600: it begins before slow@60:600 is over"):
        fears(["slow@600", "slow@60:600"], [model()], CALM)


def test_tasks_that_are_slow_miss_while_they_are_and_not_after_the_queue_has_gone() -> None:
    calm = Traffic("calm", np.full(3600, 80.0))
    made = model(min_tasks=3, max_tasks=3)
    missed = []
    for texts in ([], ["slow@600:60,factor=3"]):
        events = in_order(fears(texts, [made], calm))
        trace = run(made, LOAD, Delays(), calm, events=events)
        missed.append(measure(trace, made, LOAD, PRICES, 0.0).requests_missed)
    assert missed[0] < 200
    # What comes in the minute, and until the queue of it, half a minute's work, is worked off again.
    assert 60 * 80 < missed[1] < 200 * 80


def test_the_report_says_what_an_event_cost_and_where_it_was(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    given = ["simulate", "templates_out", "--traffic", "step", "--with", "hours=0.5", "--with", "at=0"]
    given += ["--with", "peak=150", "--task-rps", "50"]
    text = "zone-lost@900:300"
    result = CliRunner().invoke(cli, [*given, "--event", text, "--json", "--html", str(page)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["requests_lost"][text]["mean"] > 0
    assert told["requests_lost"][text]["mean"] < told["requests_missed"]["mean"] * 1.001
    assert f"<title>{text}</title>" in page.read_text()
    assert f"{text} cost " in page.read_text()


def befallen(text: str, made: Model, traffic: Traffic = CALM, load: Any = LOAD) -> Trace:
    """A run that an event befalls; none where it is empty."""
    return run(made, load, Delays(), traffic, events=in_order(fears([text] if text else [], [made], traffic)))


def counts(trace: Trace, name: str) -> Any:
    return at_each_second(trace.states, name, len(trace.requests))


def told(trace: Trace, kind: str) -> list[tuple[int, str]]:
    return [(event.time, event.policy) for event in trace.events if event.what == kind]


def test_a_rolling_deployment_keeps_as_many_tasks_as_the_template_says() -> None:
    whole = befallen("deployment@600", model(min_nodes=4, min_tasks=10, max_tasks=10, health_check_interval_s=50))
    assert (counts(whole, "ready").min(), counts(whole, "running").max()) == (10, 20)
    ((until, words),) = told(whole, "deployment")
    assert words == "over"
    assert 600 < until < 700
    half = befallen("deployment@600", model(min_nodes=4, min_tasks=10, max_tasks=10, rollout=Rollout(50, 100)))
    assert (counts(half, "ready").min(), counts(half, "running").max()) == (5, 10)
    assert [words for _, words in told(half, "deployment")] == ["over"]


def test_beside_the_old_version_a_new_one_takes_as_many_tasks_and_the_time_of_its_steps() -> None:
    steps = ((0.1, 300), (1.0, 120))
    trace = befallen("deployment@600", model(min_nodes=4, min_tasks=10, max_tasks=10, rollout=Rollout(steps=steps)))
    ready, ((until, _),) = counts(trace, "ready"), told(trace, "deployment")
    begun = int(np.argmax(ready == 20))
    assert begun + 420 == until
    assert (ready[begun:until] == 20).all()
    assert ready[-1] == 10
    # While a tenth of the requests go to it, the old version can take nine tenths of what it could.
    assert dict(trace.work)[begun] == pytest.approx(10 / 0.9)
    assert dict(trace.work)[begun + 300] == 10


@pytest.mark.parametrize("stays", [0.0, 1.0])
def test_the_old_version_follows_a_crowd_as_far_as_the_band_says(stays: float) -> None:
    crowd = Traffic("crowd", np.concatenate([np.full(800, 80.0), np.full(1000, 400.0)]))
    made = model(min_nodes=9, max_nodes=9, min_tasks=4, rollout=Rollout(steps=((0.1, 900), (1.0, 60))))
    events = in_order(fears(["deployment@600"], [made], crowd))
    trace = run(made, LOAD, replace(Delays(), old_version_stays=stays), crowd, events=events)
    desired, ready = counts(trace, "desired"), counts(trace, "ready")
    wanted = desired[1400]
    assert wanted > 4
    # Both have as many as are desired; or the new one has, and the old one has stayed.
    assert ready[1400] == (2 * wanted if not stays else wanted + 4)
    at_work = next(work for time, work in reversed(trace.work) if time <= 1400)
    assert at_work == pytest.approx((wanted if not stays else 4) / 0.9)


def test_a_deployment_beside_the_old_version_waits_for_the_nodes_that_it_needs() -> None:
    made = model(min_tasks=12, max_tasks=12, rollout=Rollout(steps=((1.0, 60),)))
    trace = befallen("deployment@600", made)
    assert counts(trace, "nodes").max() == 4
    assert counts(trace, "waiting").max() == 12
    full = befallen("deployment@600", model(min_tasks=12, max_tasks=12, max_nodes=2, rollout=made.rollout))
    assert not told(full, "deployment")  # there is no place for it, so that it is never over
    assert counts(full, "ready").min() == 12


@pytest.mark.parametrize(("breaker", "failed"), [(("BOUNDED_PERCENT", 50), 10), (("COUNT", 3), 10), (None, 0)])
def test_the_circuit_breaker_takes_a_bad_image_back_and_without_one_nothing_does(breaker: Any, failed: int) -> None:
    made = model(min_nodes=4, min_tasks=10, max_tasks=10, rollout=Rollout(breaker=breaker))
    trace = befallen("bad-image@600,after=20", made)
    assert counts(trace, "ready").min() == 10
    over = told(trace, "bad-image")
    assert over == ([(600 + Delays().task_start_s + 20, f"taken back after {failed} failed tasks")] if failed else [])
    assert counts(trace, "running")[-1] == (10 if failed else 20)


def test_tasks_that_a_bad_image_took_the_place_of_come_back() -> None:
    trace = befallen("bad-image@600", model(min_nodes=4, min_tasks=10, max_tasks=10, rollout=Rollout(50, 100)))
    ready = counts(trace, "ready")
    assert (ready[600], ready[-1]) == (5, 10)


def test_nodes_of_a_new_image_come_one_by_one_with_as_many_in_service_and_no_other_nodes_come_meanwhile() -> None:
    roll = NodeRoll(1, 3, alone=True)
    trace = befallen("node-roll@600", model(min_tasks=18, max_tasks=18, min_nodes=3, roll=roll))
    assert counts(trace, "nodes").min() == 3
    assert counts(trace, "ready").min() == 18
    assert trace.launches == 4  # one more, so that three are in service, and one for each
    ((until, _),) = told(trace, "node-roll")
    crowd = Traffic("crowd", np.concatenate([np.full(610, 80.0), np.full(2990, 2000.0)]))
    many = befallen("node-roll@600", model(min_tasks=18, min_nodes=3, roll=roll), crowd)
    assert {event.policy for event in many.events if event.what == "nodes" and event.time < until} == {"node roll"}
    refreshed = befallen("node-roll@600", model(min_tasks=18, max_tasks=18, min_nodes=3))
    assert counts(refreshed, "nodes").min() == 2


def test_a_task_with_a_cold_cache_does_a_share_for_so_long() -> None:
    made = model(min_nodes=4, min_tasks=10, max_tasks=10)
    trace = befallen("cold-caches@0,share=0.25,warm=100", made)
    assert {work for _, work in trace.work} == {10}  # nothing begins
    both = run(
        made, LOAD, Delays(), CALM,
        events=in_order(fears(["cold-caches@0,share=0.25,warm=100", "zone-lost@600"], [made], CALM)),
    )  # fmt: skip
    back = next(time for time, work in both.work if time > 600 and work > 5)
    assert dict(both.work)[back] == pytest.approx(5 + 5 * 0.25)
    assert dict(both.work)[back + 100] == pytest.approx(10)


def test_who_comes_again_makes_a_slow_dependency_worse_and_longer() -> None:
    made, seconds = model(min_tasks=3, max_tasks=3), []
    for share in (0.0, 0.9):
        trace = befallen(
            "slow@600:60,factor=3", made, Traffic("busy", np.full(3600, 120.0)), replace(LOAD, retry_share=share)
        )
        seconds.append(int((trace.backlog > 0).sum()))
    assert seconds[1] > 1.2 * seconds[0]


_CROWD = synthetic("flash-crowd", {"base": 60, "peak": 500, "at": 600, "hold": 300, "hours": 0.4})


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["zone-lost", "slow", "cold-caches", "bad-image", "deployment"]),
    st.integers(60, 1400),
    st.sampled_from(["nodes", "fargate"]),
    st.integers(2, 8),
)
def test_what_brings_no_task_never_lowers_the_misses(kind: str, at: int, where: str, tasks: int) -> None:
    # Of a fixed number, and in place: else a policy that sees the event brings tasks before the crowd, and a new
    # version works beside the old one.
    bounds = {"min_tasks": tasks, "max_tasks": tasks, "rollout": Rollout(50, 100)}
    made = on_fargate(**bounds) if where == "fargate" else model(**bounds)
    missed = [measure(befallen(text, made, _CROWD), made, LOAD, PRICES, 0.0) for text in ("", f"{kind}@{at}")]
    # A queue that is lost, ten seconds of what the tasks can do at most, is one that nobody waits behind.
    queue = LOAD.timeout_s * LOAD.task_rps * tasks
    assert missed[1].requests_missed >= missed[0].requests_missed - queue


@pytest.mark.parametrize("text", ["slow@600,factor=1", "cold-caches@60,share=1", "cold-caches@60,warm=0"])
def test_an_event_that_hits_nothing_changes_nothing(text: str) -> None:
    with_it, without = (befallen(each, model(), _CROWD) for each in (text, ""))
    assert with_it.states == without.states
    assert (with_it.backlog == without.backlog).all()


def test_what_an_event_cost_is_the_difference_of_two_runs() -> None:
    short = Traffic("short", np.full(300, 140.0))
    made = model(min_tasks=3)
    feared = fears(["slow@30:60", "deployment@peak"], [made], short)
    whole = study(made, LOAD, short, PRICES, fears=feared)
    for fear, other in (feared, feared[::-1]):
        without = range_of(
            [one.requests_missed for one in over_phases(made, LOAD, Delays(), short, PRICES, 12, [other])]
        )
        assert whole.lost[fear.text].mean == pytest.approx(whole.middle["requests_missed"].mean - without.mean)


def test_the_template_says_how_a_version_and_a_machine_image_take_over() -> None:
    made = read(Path("templates_out"))
    assert made.rollout == Rollout(100, 200, (), ("COUNT", 3))
    assert made.nodes
    assert made.nodes.roll == NodeRoll(1, 2, alone=True)
