"""The queue: Erlang C against its definition, and the whole against a request-level engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.simulator import queueing
from scaleout_cfn.simulator.model import Load, ServiceTime
from scaleout_cfn.simulator.queueing import Waits, calm_load, erlang_c, waits

from .oracle import shapes, share_over

SEEDS = range(24)


@pytest.fixture(scope="module")
def odd() -> Waits:
    """Twenty seconds with everything that may happen to a queue: calm, nearly full, over, tasks that come and go."""
    rates = np.array([20, 44, 44, 60, 60, 200, 200, 0, 30, 48, 48, 48, 48, 10, 10, 49, 49, 49, 49, 49.0])
    tasks = np.array([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1.0])
    return waits(rates, tasks, Load(50.0, timeout_s=3.0))


def _digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def test_an_odd_traffic_waits_the_same_six_digits_on_every_machine(odd: Waits) -> None:
    """Noted down once. Whoever changes the queue changes these, and says why."""
    assert _digits(odd.load) == [
        *(0.4, 0.88, 0.88, 1.0, 1.0, 1.0, 1.0, 0.0, 0.3, 0.96, 0.96, 0.96, 1.0, 0.2, 0.2),
        *(0.98, 0.98, 0.98, 0.98, 0.98),
    ]
    assert _digits(odd.mean) == [
        *(0.0, 3.44778, 3.11445, 7.86655, 19.7331, 87.3665, 100.0, 100.0, 57.5002, 79.0403, 77.1333, 75.2537),
        *(0.0, 0.0, 0.0, 4.22359, 6.69717, 8.1646, 10.4683, 12.0472),
    ]
    assert _digits(odd.spread) == [
        *(0.0, 0.101596, 1.0, 0.00460694, 0.181454, 3.08642e-05, 0.00960807, 0.0444667, 0.218825, 0.244079),
        *(0.270809, 0.299048, 0.0, 0.0, 0.0, 0.0301645, 1.0, 0.374106, 0.87602, 0.620651),
    ]
    assert odd.share_over(0.25).round(6).tolist() == pytest.approx(
        [
            *(5e-05, 0.0, 0.007182, 0.0, 0.789572, 0.999992, 1.0, 0.999984, 0.954101, 0.962666, 0.953886, 0.94431),
            *(1.0, 0.0, 0.0, 0.0, 0.106895, 0.177374, 0.253985, 0.350719),
        ],
        abs=2e-6,
    )
    assert _digits(odd.mean_s()) == [
        *(0.00302332, 0.0689557, 0.062289, 0.157331, 0.394662, 1.74733, 2.0, 2.0, 1.15, 1.58081, 1.54267, 1.50507),
        *(math.inf, 0.000239521, 0.000239521, 0.0844717, 0.133943, 0.163292, 0.209365, 0.240945),
    ]


def test_the_first_second_may_be_busy_and_a_queue_that_has_settled_is_followed_no_more() -> None:
    found = waits(np.array([45.0] * 3 + [25.0] * 30), np.ones(33), Load(50.0))
    assert found.mean[0] > 0
    # Settled at its load: within 5 % of 1 / (1 - 0.5).
    assert not found.mean[-20:].any()
    assert found.mean[3] > 2


def test_a_load_of_85_percent_is_followed_and_one_below_is_calm() -> None:
    assert waits(np.array([42.4, 42.5]), np.ones(2), Load(50.0)).mean.astype(bool).tolist() == [
        False,
        True,
    ]


def test_where_no_task_is_nobody_is_followed_and_everybody_waits() -> None:
    found = waits(np.array([50.0, 50, 50, 0]), np.array([1.0, 0, 1, 0]), Load(50.0))
    assert found.mean[1] == 0
    assert found.mean[2] > 0
    assert found.load.tolist() == [1, 1, 1, 1]


@given(st.integers(1, 16), st.floats(0.02, 0.98), st.floats(0.001, 1))
def test_calm_is_the_highest_load_with_no_more_than_the_share_over(workers: int, share: float, wait_s: float) -> None:
    load = calm_load(Load(50.0, workers, wait_s), share)

    def over(load: float) -> float:
        return erlang_c(workers, load) * math.exp(-50 * (1 - load) * wait_s)

    assert over(load) <= share
    assert load > 0.999 or over(load + 1e-6) > share


def test_one_worker_waits_as_often_as_it_is_busy() -> None:
    assert [erlang_c(1, load) for load in (0, 0.25, 0.5)] == pytest.approx([0, 0.25, 0.5])
    assert erlang_c(4, 0.8) == pytest.approx(0.596432, abs=1e-6)
    assert calm_load(Load(50, 4, 0.25)) == pytest.approx(0.699500, abs=1e-6)
    assert calm_load(Load(20, 1, 0.25), 0.05) == pytest.approx(0.528425, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "logarithm"), [(0, -0.693147), (-3, -0.00135081), (5, -15.064998), (24.9, -314.140413), (40, -804.608442)]
)
def test_the_upper_tail_of_a_normal_is_that_of_the_tables(value: float, logarithm: float) -> None:
    """To 5 as in any table, beyond as by the asymptotic series, which goes on where erfc ends."""
    assert queueing._log_upper(value) == pytest.approx(logarithm, rel=1e-6)


def test_the_two_ways_to_the_tail_of_a_normal_meet() -> None:
    below, above = queueing._log_upper(25 - 1e-9), queueing._log_upper(25)
    assert below == pytest.approx(above, rel=1e-6)


@given(st.floats(-10, 59))
def test_the_table_of_tails_is_the_function(value: float) -> None:
    grid, logs = queueing._log_upper_table()
    assert np.interp(value, grid, logs) == pytest.approx(queueing._log_upper(value), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5, 0.8, 0.95])
def test_a_cut_normal_has_the_mean_and_the_variance_that_it_was_asked_for(spread: float) -> None:
    """By integrating its upper tail, from zero on."""
    multiples = np.linspace(0, 30, 30001)
    tail = queueing._tail(np.full(len(multiples), spread))(multiples)
    assert tail[0] == pytest.approx(1, abs=1e-6)
    mean = float(np.trapezoid(tail, multiples))
    second = float(np.trapezoid(2 * multiples * tail, multiples))
    assert mean == pytest.approx(1, abs=0.01)
    assert second - mean * mean == pytest.approx(spread, rel=0.03)


def test_the_widest_shape_is_an_exponential() -> None:
    multiples = np.array([0.0, 0.5, 1, 3])
    assert queueing._tail(np.ones(4))(multiples) == pytest.approx(np.exp(-multiples))
    growth = queueing._growth()
    assert (len(growth), growth[1000]) == (1001, 1.0)
    # A half normal: 2 / pi, at a variance of pi / 2 - 1.
    assert growth[571] == pytest.approx(2 / math.pi, abs=0.001)
    assert growth[0] < 0.001
    assert growth[1:] == sorted(growth[1:])


@pytest.mark.parametrize("name", list(shapes(1.0)))
@pytest.mark.parametrize(("workers", "task_rps", "wait_s"), [(4, 40.0, 0.15), (16, 160.0, 0.25), (1, 20.0, 0.25)])
def test_the_share_over_the_objective_is_that_of_a_request_level_engine(
    name: str, workers: int, task_rps: float, wait_s: float
) -> None:
    rates = shapes(task_rps)[name]
    runs = [share_over(rates, workers, task_rps, wait_s, 10.0, seed) for seed in SEEDS]
    shares = np.array([over / count for over, count in runs])
    modelled = waits(np.array(rates), np.ones(len(rates)), Load(task_rps, workers, timeout_s=10.0))
    ours = float((modelled.share_over(wait_s) * rates).sum() / sum(rates))
    # Within 1 % of the requests; near full load 24 seeds are not yet the truth themselves, by this much.
    noise = 2 * float(shares.std(ddof=1)) / math.sqrt(len(shares))
    assert ours == pytest.approx(float(shares.mean()), abs=0.01 + noise)


@given(st.integers(1, 60), st.floats(0, 0.999))
def test_erlang_c_is_the_sum_that_erlang_wrote(workers: int, load: float) -> None:
    offered = load * workers
    terms = [math.exp(n * math.log(offered) - math.lgamma(n + 1)) if offered else float(n == 0) for n in range(workers)]
    last = math.exp(workers * math.log(offered) - math.lgamma(workers + 1)) / (1 - load) if offered else 0.0
    assert erlang_c(workers, load) == pytest.approx(last / (sum(terms) + last), abs=1e-9)


@given(st.integers(1, 30), st.floats(0, 0.99), st.floats(0, 0.99))
def test_more_load_never_means_less_waiting(workers: int, one: float, other: float) -> None:
    assert erlang_c(workers, min(one, other)) <= erlang_c(workers, max(one, other)) + 1e-12


@given(st.lists(st.floats(0, 300), min_size=1, max_size=60), st.integers(1, 16), st.floats(0.001, 5))
def test_shares_are_shares_and_fall_with_the_wait(rates: list[float], workers: int, wait_s: float) -> None:
    found = waits(np.array(rates), np.ones(len(rates)), Load(50.0, workers, timeout_s=10.0))
    shorter, longer = found.share_over(wait_s), found.share_over(2 * wait_s)
    assert ((shorter >= 0) & (shorter <= 1)).all()
    assert (longer <= shorter + 1e-9).all()


def test_like_seconds_are_those_of_one_load_or_of_one_mean_and_spread(odd: Waits) -> None:
    requests = np.arange(1.0, 21)
    like, weight = odd.classes(requests)
    assert weight.sum() == 210
    # 13 and 14 are alike, calm at 0.2; without a task the twelfth is a class of its own.
    assert _digits(like.load[:3]) == [0.2, 0.4, 1.0]
    assert weight[:3].tolist() == [14 + 15, 1, 13]
    assert len(weight) == 19
    assert like.mean[3:].min() > 0
    assert like.mean.max() == pytest.approx(100, abs=0.01)
    assert like.of == odd.of


@given(st.lists(st.floats(0, 120), min_size=1, max_size=80))
def test_classes_of_like_seconds_hold_every_request(rates: list[float]) -> None:
    requests = np.array(rates)
    found = waits(requests, np.ones(len(rates)), Load(50.0))
    like, weight = found.classes(requests)
    assert weight.sum() == pytest.approx(requests.sum())
    if requests.sum():
        ours = float((found.share_over(0.1) * requests).sum() / requests.sum())
        assert float((like.share_over(0.1) * weight).sum() / weight.sum()) == pytest.approx(ours, abs=0.02)


def test_the_calm_load_is_where_one_request_in_a_hundred_waits_too_long() -> None:
    load = calm_load(Load(50.0, 4, 0.25))
    assert erlang_c(4, load) * math.exp(-50 * (1 - load) * 0.25) == pytest.approx(0.01, rel=1e-3)


@given(st.floats(0.01, 0.84), st.integers(1, 20))
def test_a_settled_queue_waits_as_long_as_erlang_says(load: float, workers: int) -> None:
    rate = load * 50
    found = waits(np.array([rate]), np.ones(1), Load(50.0, workers, timeout_s=10.0)).mean_s()
    assert found[0] == pytest.approx(erlang_c(workers, load) / (50 * (1 - load)), rel=0.01, abs=1e-6)


def test_a_backlog_is_waited_behind() -> None:
    """Twice what a task can take for three seconds: three seconds' worth of work waits at their end."""
    found = waits(np.full(3, 100.0), np.ones(3), Load(50.0)).mean_s()
    assert found[-1] == pytest.approx(2.5, abs=0.3)  # in the middle of the third second


def test_tasks_that_come_take_their_share_of_what_waits_and_change_nothing_else() -> None:
    """Twice the tasks under twice the traffic: half as much waits at each, in a queue of the same shape."""
    tasks = np.array([1.0] * 20 + [2.0] * 2)
    found = waits(tasks * 60, tasks, Load(50.0))
    assert found.mean[20] == pytest.approx(found.mean[19] / 2, rel=0.15)
    assert found.spread[20] == pytest.approx(found.spread[19], rel=0.35)


def test_where_a_task_goes_as_the_load_comes_the_other_has_what_waited_at_both() -> None:
    both = waits(np.array([80.0, 50.0]), np.array([2.0, 1.0]), Load(50.0))
    alone = waits(np.array([40.0, 50.0]), np.ones(2), Load(50.0))
    assert both.mean[1] > 1.4 * alone.mean[1]


def test_the_first_second_knows_nothing_of_the_last() -> None:
    several = waits(np.array([45.0, 45.0]), np.array([1.0, 4.0]), Load(50.0))
    assert several.mean[0] == waits(np.array([45.0]), np.ones(1), Load(50.0)).mean[0]


_SERVICES: dict[str, tuple[ServiceTime, Callable[[Random], float]]] = {
    "exponential": (ServiceTime(), lambda random: random.expovariate(1.0)),
    "constant": (ServiceTime("constant", 0.0), lambda random: 1.0),
    "lognormal 0.5": (
        ServiceTime("lognormal", 0.5),
        lambda random: random.lognormvariate(-math.log1p(0.25) / 2, math.sqrt(math.log1p(0.25))),
    ),
    "lognormal 1.5": (
        ServiceTime("lognormal", 1.5),
        lambda random: random.lognormvariate(-math.log1p(2.25) / 2, math.sqrt(math.log1p(2.25))),
    ),
}


@pytest.mark.parametrize("shape", ["steady 0.6", "steady 0.9", "pulse 1.2"])
@pytest.mark.parametrize("name", list(_SERVICES))
def test_the_response_is_that_of_a_request_level_engine_whatever_the_service_time(name: str, shape: str) -> None:
    """Within 3 % of the requests: the longer queue of another variability is an approximation."""
    service, draw = _SERVICES[name]
    load = Load(40.0, service=service)
    rates = np.array(shapes(40.0)[shape])
    runs = [share_over(rates.tolist(), 4, 40.0, 0.3, 10.0, seed, draw, response=True) for seed in range(4)]
    shares = np.array([over / count for over, count in runs])
    ours = waits(rates, np.ones(len(rates)), load).response_over(0.3)
    noise = 2 * float(shares.std(ddof=1)) / math.sqrt(len(shares))
    assert float((ours * rates).sum() / rates.sum()) == pytest.approx(float(shares.mean()), abs=0.03 + noise)


@pytest.mark.parametrize("service", [service for service, _ in _SERVICES.values()])
def test_service_times_within_a_time_and_beyond_it_have_the_mean_of_all(service: ServiceTime) -> None:
    grid = np.linspace(0, 40, 4001)
    assert np.trapezoid([service.share_over(float(multiple)) for multiple in grid], grid) == pytest.approx(1, abs=0.02)
    within = service.within(2.0, 1000)
    assert max(within) <= 2
    share = 1 - service.share_over(2.0)
    halves = sum(multiple <= 1.0 for multiple in within) / len(within) * share
    assert halves == pytest.approx(1 - service.share_over(1.0), abs=0.002) or service.kind == "constant"


def test_an_objective_on_the_response_leaves_out_what_the_service_alone_takes() -> None:
    """4 requests at once, 80 ms each: 4.4 % take longer than 250 ms by themselves, and waiting may add 1 %."""
    load = Load(50.0, objective_on="response")
    calm = calm_load(load)
    late = waits(np.array([50 * calm]), np.ones(1), load).response_over(0.25)[0]
    assert late == pytest.approx(math.exp(-0.25 / 0.08) + 0.01, abs=3e-4)
    assert (
        calm_load(Load(50.0, objective_s=0.05, objective_on="response", service=ServiceTime("constant", 0.0))) > 0.999
    )
