"""Laws that hold for any set under any traffic, whatever the numbers are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.simulator.model import Delays, Load, Model
from scaleout_cfn.simulator.prices import cost, prices_of
from scaleout_cfn.simulator.results import measure
from scaleout_cfn.simulator.run import phases, run
from scaleout_cfn.simulator.traffic import Traffic

from .sets import LOAD, model, on_fargate

PRICES = prices_of("us-east-1")
few = settings(max_examples=8, deadline=None)

steps = st.lists(st.tuples(st.integers(60, 900), st.integers(0, 800)), min_size=1, max_size=5)
sets = st.fixed_dictionaries(
    {
        "min_tasks": st.integers(1, 6),
        "max_tasks": st.integers(6, 60),
        "high_resolution": st.booleans(),
        "fargate": st.booleans(),
    }
)


def _traffic(of: list[tuple[int, int]], quiet_s: int = 0) -> Traffic:
    """So many requests a second for so many seconds, one after the other, and before it the first of them."""
    parts = [np.full(quiet_s, float(of[0][1])), *(np.full(seconds, float(rps)) for seconds, rps in of)]
    return Traffic("steps", np.concatenate(parts))


def _model(drawn: dict[str, Any], **changes: Any) -> Model:
    given_ = {**drawn, **changes}
    return on_fargate(**given_) if given_.pop("fargate") else model(**given_)


def _missed(made: Model, traffic: Traffic) -> float:
    """The share over the objective, over three alarm phases."""
    traces = [run(made, LOAD, Delays(), traffic, phase) for phase in phases(3)]
    return float(np.mean([measure(trace, made, LOAD, PRICES, 0.0).objective_missed for trace in traces]))


@few
@given(sets, steps, st.integers(1, 20), st.sampled_from(["max_tasks", "min_tasks", "max_nodes"]))
def test_more_room_or_a_higher_floor_misses_no_more_but_for_the_noise_of_timing(
    drawn: dict[str, Any], of: list[tuple[int, int]], more: int, what: str
) -> None:
    """Timing: whoever has more may be a look of an alarm behind for once, or have let go a little earlier."""
    base: dict[str, Any] = {**drawn, "min_nodes": 4, "max_nodes": 4, "fargate": False}
    raised = {**base, what: base[what] + more}
    raised["max_tasks"] = max(raised["max_tasks"], raised["min_tasks"])
    base["max_tasks"] = raised["max_tasks"] if what != "max_tasks" else base["max_tasks"]
    traffic = _traffic(of)
    assert _missed(_model(raised), traffic) <= 1.1 * _missed(_model(base), traffic) + 0.02


@few
@given(sets, steps, st.sampled_from([0.25, 2.0, 8.0]), st.sampled_from([0.0, 0.5]))
def test_traffic_and_speed_together_change_no_count(
    drawn: dict[str, Any], of: list[tuple[int, int]], times: float, retries: float
) -> None:
    """By powers of two, so that not even a last digit differs."""
    made, traffic = _model(drawn), _traffic(of)
    once = run(made, Load(50.0, retry_share=retries), Delays(), traffic)
    again = run(made, Load(50.0 * times, retry_share=retries), Delays(), traffic.times(times))
    assert again.states == once.states
    assert (again.dropped == once.dropped * times).all()


@few
@given(sets, steps)
def test_what_comes_an_hour_later_is_answered_an_hour_later(drawn: dict[str, Any], of: list[tuple[int, int]]) -> None:
    """An hour is a multiple of every grid; both runs begin with an hour's quiet, in which alarms have settled."""
    made = _model(drawn)
    early, late = (run(made, LOAD, Delays(), _traffic(of, quiet_s)) for quiet_s in (7200, 10800))
    moved = [state._replace(time=state.time + 3600) for state in early.states if state.time >= 7200]
    assert [state for state in late.states if state.time >= 10800] == moved
    assert late.dropped[10800:] == pytest.approx(early.dropped[7200:])


@few
@given(sets)
def test_no_traffic_costs_the_minimum(drawn: dict[str, Any]) -> None:
    made = _model(drawn)
    trace = run(made, LOAD, Delays(), Traffic("none", np.zeros(3600)))
    assert {(state.desired, state.running) for state in trace.states} == {(drawn["min_tasks"],) * 2}
    assert trace.task_seconds == 3600 * drawn["min_tasks"]
    if made.nodes:
        assert trace.node_seconds == 3600 * made.nodes.min_nodes


@few
@given(sets, steps)
def test_money_is_hours_times_prices(drawn: dict[str, Any], of: list[tuple[int, int]]) -> None:
    made, traffic = _model(drawn), _traffic(of)
    trace = run(made, LOAD, Delays(), traffic)
    found = cost(made, LOAD, PRICES, trace)
    states = [*trace.states, trace.states[-1]._replace(time=len(traffic.requests))]
    hours = sum(state.size * (then.time - state.time) for state, then in pairwise(states)) / 3600
    if made.nodes:
        assert found.fargate == 0
        assert found.instances == pytest.approx(hours * PRICES.instances["t3.small"])
    else:
        assert found.instances == 0
        vcpu, gb = (PRICES.units[f"fargate_x86_64_{sold}_hour"] for sold in ("vcpu", "gb"))
        assert found.fargate == pytest.approx(trace.task_seconds / 3600 * (0.25 * vcpu + 0.5 * gb))
