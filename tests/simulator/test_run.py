"""Runs: what the loops promise, at the second."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import weakref
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import (
    NodeScaling,
    Predictive,
    Schedule,
    StepAdjustment,
    StepScaling,
    TargetTracking,
    pulse_steps,
)
from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.model import (
    Backlog,
    Delays,
    Fargate,
    Load,
    Managed,
    Model,
    NodeKind,
    NodePool,
    Size,
    Standing,
    StandingBy,
)
from scaleout_cfn.simulator.peers import PEERS
from scaleout_cfn.simulator.pool import Pool
from scaleout_cfn.simulator.prices import cost, prices_of
from scaleout_cfn.simulator.results import ages, measure
from scaleout_cfn.simulator.rules import Phase, phases
from scaleout_cfn.simulator.run import Busy, Event, Trace, World, at_each_second, first_tasks, run, run_together
from scaleout_cfn.simulator.traffic import Traffic, synthetic

from .sets import LOAD, model, on_fargate

PRICES = prices_of("us-east-1")
CROWD = synthetic("flash-crowd", {"base": 50, "peak": 500, "at": 1200, "hours": 2})


def _trace(**changes: object) -> Trace:
    return run(model(**changes), LOAD, Delays(), CROWD, phases()[3])


def _at_work(made: Model) -> World:
    return World([Busy(made, LOAD, CROWD)], Delays(), phases()[3])


def test_the_same_input_gives_the_same_run() -> None:
    one, other = _trace(), _trace()
    assert one.states == other.states
    assert one.events == other.events
    assert one.dropped.tolist() == other.dropped.tolist()


def test_whole_numbers_of_requests_are_as_many_as_any_others() -> None:
    step = synthetic("step", {"base": 50, "peak": 2000, "at": 300, "hours": 0.2})
    whole = Traffic("step", step.requests.astype(np.int64))
    assert run(model(), LOAD, Delays(), whole).states == run(model(), LOAD, Delays(), step).states
    assert run(model(), LOAD, Delays(), whole).dropped.sum() > 0


def test_tasks_come_with_the_crowd_and_go_after_it() -> None:
    ready = at_each_second(_trace().states, "ready", 7200)
    assert ready[:1200].max() <= 3
    assert ready.max() >= 10
    assert ready[-1] <= 5


def test_nodes_come_when_tasks_wait_and_go_when_they_are_empty() -> None:
    nodes = at_each_second(_trace().states, "nodes", 7200)
    assert nodes[0] == 2
    assert nodes.max() > 2
    assert nodes[-1] == 2


def test_twenty_second_metrics_trigger_sooner() -> None:
    def first(fast: bool) -> int:
        trace = _trace(high_resolution=fast)
        return next(e.time for e in trace.events if e.what == "tasks" and e.after > e.before)

    assert first(True) < first(False) - 120


def test_no_request_is_lost_without_being_counted() -> None:
    trace = _trace()
    capacity = at_each_second(trace.states, "ready", 7200) * LOAD.task_rps
    carried = np.concatenate([[0.0], trace.backlog[:-1]])
    served = trace.requests + carried - trace.backlog - trace.dropped
    assert (served >= -1e-6).all()
    assert (served <= capacity + 1e-6).all()


def test_nobody_waits_longer_than_the_timeout() -> None:
    trace = _trace()
    capacity = at_each_second(trace.states, "ready", 7200) * LOAD.task_rps
    assert (trace.backlog <= capacity * LOAD.timeout_s + 1e-6).all()


def test_retries_bring_more_requests() -> None:
    again = dataclasses.replace(LOAD, retry_share=0.5)
    trace = run(model(), again, Delays(), CROWD)
    assert trace.requests.sum() > CROWD.requests.sum()


def test_who_gave_up_comes_back_after_the_timeout() -> None:
    """Ten tasks' worth for a second: what is over the timeout's worth gives up, and half of it comes again."""
    patient = dataclasses.replace(LOAD, retry_share=0.5, timeout_s=7.5)
    calm = model(min_tasks=2, max_tasks=2)
    trace = run(calm, patient, Delays(), Traffic("burst", np.array([0.0] * 100 + [2000.0] + [0.0] * 99)))
    gave_up = 2000 - 2 * 50 * (1 + 7.5)
    again = trace.requests.nonzero()[0].tolist()
    assert again == [100, 108]
    assert trace.requests[108] == pytest.approx(0.5 * gave_up)


def test_who_found_no_task_has_an_answer_at_once_and_comes_back_a_second_later() -> None:
    again = dataclasses.replace(LOAD, retry_share=0.5)
    trace = run(model(min_tasks=0), again, Delays(), Traffic("late", np.array([0.0] * 600 + [8.0, 0, 0, 0, 0])))
    assert trace.requests[600:].tolist() == [8, 4, 2, 1, 0.5]


def test_a_finished_run_is_freed_without_the_garbage_collector() -> None:
    """The command line lets garbage pile up: a run that refers to itself would be kept, with all its seconds."""
    everything = model(requests=TargetTracking(enabled=True, target=1500), step_policies=(_growing(),))
    gc.collect()
    gc.disable()
    try:
        for made in (everything, model(cpu_target=30.0)):
            at_work = _at_work(made)
            (trace,), gone = at_work.all(), weakref.ref(at_work)
            left = weakref.ref(trace)
            del at_work
            assert gone() is None
            del trace
            assert left() is None
    finally:
        gc.enable()


def test_without_a_task_every_request_is_dropped() -> None:
    trace = run(model(min_tasks=0), LOAD, Delays(), Traffic("late", np.array([0.0] * 600 + [5.0] * 600)))
    assert trace.dropped.sum() == pytest.approx(3000)


def test_scale_in_waits_for_every_policy() -> None:
    """Memory at 50 % would do with fewer tasks, but is not below 0.9 of its target: it keeps CPU from scaling in."""
    held = _trace(memory=TargetTracking(enabled=True, target=55))
    free = _trace(memory=TargetTracking(enabled=True, target=80))
    assert held.states[-1].desired == max(state.desired for state in held.states)
    assert free.states[-1].desired < max(state.desired for state in free.states)


def test_a_policy_that_may_not_scale_in_does_not() -> None:
    trace = _trace(cpu=TargetTracking(enabled=True, target=60, scale_in=False))
    assert all(event.after > event.before for event in trace.events if event.what == "tasks")


def test_a_schedule_moves_the_bounds_at_its_time() -> None:
    at_six = Schedule(name="morning", at="cron(10 0 * * ? *)", min_tasks=12, max_tasks=60)
    trace = _trace(schedules=(at_six,))
    assert next(event for event in trace.events if event.policy == "schedule")[:2] == (600, "tasks")
    assert min(state.desired for state in trace.states if state.time >= 600) >= 12


def test_a_step_policy_adds_what_its_step_says() -> None:
    steps = (StepAdjustment(distance=0, adjustment=1), StepAdjustment(distance=20, adjustment=4))
    policy = StepScaling(name="Up", threshold=70, steps=steps)
    trace = _trace(cpu=TargetTracking(), step_policies=(policy,))
    grown = [event for event in trace.events if event.what == "tasks"]
    assert grown
    assert all(event.after - event.before <= 4 for event in grown)


def _growing(**changes: Any) -> StepScaling:
    given = {"name": "Up", "threshold": 80, "steps": (StepAdjustment(adjustment=100),), **changes}
    return StepScaling(**{"adjustment_type": "PercentChangeInCapacity", **given})


def test_a_pulse_acts_within_its_period_its_lag_and_a_look() -> None:
    """At 1200 s the traffic begins to grow, from 50 to 500 requests a second within a minute."""
    pulse = LogPulse(target_rps=30)
    trace = _trace(pulse=pulse, step_policies=pulse_steps(pulse))
    grown = [event for event in trace.events if event.what == "tasks" and event.after > event.before]
    # Three tasks at rest: 90 requests a second are passed after 6 s.
    assert 1206 <= grown[0].time <= 1206 + 2 * 10 + Delays().pulse_lag_s + 10
    assert grown[0].policy == "Pulse"
    missed = [measure(one, model(), LOAD, PRICES, 0.0).objective_missed for one in (trace, _trace())]
    assert missed[0] < 0.75 * missed[1]


def test_a_step_by_percent_doubles_what_runs() -> None:
    trace = _trace(cpu=TargetTracking(), step_policies=(_growing(),), min_nodes=10)
    grown = [event for event in trace.events if event.what == "tasks"]
    assert grown
    running = {state.time: state.running for state in trace.states}
    for event in grown:
        before = max(time for time in running if time <= event.time)
        assert event.after == 2 * running[before]


def test_a_step_to_an_exact_capacity_sets_the_tasks() -> None:
    exact = _growing(adjustment_type="ExactCapacity", steps=(StepAdjustment(adjustment=9),))
    trace = _trace(cpu=TargetTracking(), step_policies=(exact,))
    assert [event.after for event in trace.events if event.what == "tasks"] == [9]


def test_an_alarm_of_30_s_over_20_s_metrics_acts_before_one_of_a_minute() -> None:
    def first(**changes: Any) -> float:
        made = model(cpu=TargetTracking(), step_policies=(_growing(**changes),))
        traces = [run(made, LOAD, Delays(), CROWD, phase) for phase in phases()]
        return float(np.mean([next(e.time for e in trace.events if e.what == "tasks") for trace in traces]))

    assert first(period_s=30) < first() - 10
    assert first(period_s=30) < first(period_s=30, periods=2) - 10


def test_an_alarm_of_a_minute_sees_20_s_metrics_sooner_than_those_of_a_minute() -> None:
    def first(fast: bool) -> int:
        trace = _trace(cpu=TargetTracking(), step_policies=(_growing(),), high_resolution=fast)
        return next(event.time for event in trace.events if event.what == "tasks")

    assert first(True) < first(False) - 60


def test_a_step_that_adds_never_takes_away_what_another_policy_has_asked_for() -> None:
    """The steps start from the running tasks, which lag behind the desired ones."""
    trace = _trace(step_policies=(_growing(steps=(StepAdjustment(adjustment=10),), period_s=30),))
    up = [event for event in trace.events if event.what == "tasks" and event.policy == "Up"]
    assert up
    assert all(event.after > event.before for event in up)


def test_a_step_acts_once_a_minute_while_its_alarm_is_on() -> None:
    """Not at every point, though a task that starts in a second would let it."""
    one = _growing(adjustment_type="ChangeInCapacity", steps=(StepAdjustment(adjustment=1),), period_s=30, cooldown_s=0)
    made = model(cpu=TargetTracking(), step_policies=(one,), min_nodes=10)
    trace = run(made, LOAD, Delays(task_start_s=1), CROWD, phases()[3])
    times = [event.time for event in trace.events if event.what == "tasks"]
    assert len(times) > 3
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))


def test_two_points_of_30_s_come_each_minute() -> None:
    def on(period_s: int) -> float:
        policy = _growing(period_s=period_s, periods=6)
        made = model(cpu=TargetTracking(), step_policies=(policy,))
        traces = [run(made, LOAD, Delays(), CROWD, phase) for phase in phases()]
        return float(np.mean([next(e.time for e in trace.events if e.what == "alarm on") for trace in traces]))

    # Six of them are three minutes, and six of a minute are six.
    assert on(60) - on(30) == pytest.approx(180, abs=30)


def test_request_tracking_waits_for_the_balancer_s_metrics_of_a_minute() -> None:
    """The balancer has no 20 s metrics, whatever the service has."""
    trace = _trace(cpu=TargetTracking(), requests=TargetTracking(enabled=True, target=1500))
    first = next(event.time for event in trace.events if event.what == "tasks")
    assert first >= 1200 + 2 * 60 + Delays().balancer_lag_s


def test_the_place_of_a_task_that_drains_is_not_free() -> None:
    """Twelve places, all in use: what comes back 20 s after it went waits until the others have drained."""
    schedules = (
        Schedule(name="down", at="at(2026-01-05T00:10:00)", min_tasks=2, max_tasks=2),
        Schedule(name="up", at="at(2026-01-05T00:10:20)", min_tasks=12, max_tasks=12),
    )
    made = model(min_tasks=12, max_tasks=12, max_nodes=2, cpu=TargetTracking(), schedules=schedules)
    trace = run(made, LOAD, Delays(), Traffic("calm", np.full(900, 10.0)))
    waiting = at_each_second(trace.states, "waiting", 900)
    drained = 600 + made.deregistration_delay_s + Delays().stop_s
    assert waiting[620:drained].tolist() == [10] * (drained - 620)
    assert waiting[drained + 1] == 0


def test_a_large_group_takes_longer_over_a_scale_in_step_than_a_small_one() -> None:
    """Fitted to AWS's two figures: a time a step, and a time for each instance."""
    delays = Delays()
    assert delays.scale_in_step_s(1) < 92
    assert delays.scale_in_step_s(167) > 200


def test_a_node_that_warms_up_blocks_the_next_scale_out() -> None:
    ramp = synthetic("ramp", {"base": 100, "peak": 2000, "rise": 1800, "hours": 1})
    times = {}
    for warmup in (0, 300):
        trace = run(model(node_scaling=NodeScaling(min_step=1, warmup_s=warmup)), LOAD, Delays(), ramp)
        times[warmup] = [event.time for event in trace.events if event.what == "nodes"]
        assert len(times[warmup]) > 2
        assert all(later - earlier >= warmup for earlier, later in zip(times[warmup], times[warmup][1:], strict=False))
    assert len(times[0]) > len(times[300])


@pytest.mark.parametrize("zones", [2, 3])
@pytest.mark.parametrize("rps", [50.0, 400.0, 800.0])
def test_a_target_capacity_below_100_costs_at_most_a_node_a_zone_more_when_tasks_spread_over_zones(
    rps: float, zones: int
) -> None:
    """A spread over instances "forces Amazon ECS to eventually run one task for each instance", as AWS has it; one over
    zones that fills nodes within each does not."""
    steady = Traffic("steady", np.full(4 * 3600, rps))
    most = {}
    for placement in ("spread", "binpack"):
        room = NodeScaling(target_capacity_percent=80)
        made = model(placement=placement, zones=zones, node_scaling=room, max_nodes=40)
        last = run(made, LOAD, Delays(), steady).states[-1]
        most[placement] = last.nodes
        assert last.nodes * 0.8 >= -(-last.ready // 6)
    assert most["binpack"] <= most["spread"] <= most["binpack"] + zones


def _grown(warm: StandingBy | None, **changes: Any) -> Trace:
    """A service that goes from one node of tasks to ten at once, by a schedule."""
    up = Schedule(name="up", at="at(2026-01-05T00:10:00)", min_tasks=60, max_tasks=60)
    made = model(min_tasks=6, max_tasks=60, cpu=TargetTracking(), schedules=(up,), min_nodes=1, warm=warm, **changes)
    return run(made, LOAD, Delays(), Traffic("calm", np.full(3600, 10.0)))


def _joins(trace: Trace) -> list[int]:
    """After how many seconds from the group's action the group has more nodes."""
    asked = next(event.time for event in trace.events if event.what == "nodes")
    counts = [(state.time, state.nodes) for state in trace.states if state.time >= asked]
    return [time - asked for (_, before), (time, after) in pairwise(counts) if after > before]


def test_a_group_grows_by_its_warm_pool_first_and_by_new_nodes_for_the_rest() -> None:
    delays, cold = Delays(), Delays().node_launch_s + Delays().node_join_s
    assert _joins(_grown(None))[0] == cold
    assert _joins(_grown(StandingBy("stopped", 0, 10)))[0] == delays.stopped_start_s
    assert _joins(_grown(StandingBy("running", 0, 10)))[0] == delays.running_start_s
    assert _joins(_grown(StandingBy("running", 2, 0)))[:2] == [delays.running_start_s, cold]


def test_a_stopped_node_is_no_instance_hour_and_a_running_one_is() -> None:
    calm = {"min_nodes": 2, "max_nodes": 2, "max_tasks": 2}
    traces = {
        state: run(model(warm=StandingBy(state, 3, 0), **calm), LOAD, Delays(), Traffic("calm", np.full(3600, 10.0)))
        for state in ("stopped", "running")
    }
    assert (traces["stopped"].node_seconds, traces["stopped"].stopped_seconds) == (2 * 3600, 3 * 3600)
    assert (traces["running"].node_seconds, traces["running"].stopped_seconds) == (5 * 3600, 0)


def test_a_warm_pool_fills_up_again_by_nodes_that_boot_and_shrinks_as_its_group_grows() -> None:
    grown = _grown(StandingBy("stopped", 2, 0))
    asked = next(event.time for event in grown.events if event.what == "nodes")
    # Two stand by, are taken and are missing for as long as two others boot, which is paid.
    boot = Delays().node_launch_s + Delays().node_join_s
    assert grown.stopped_seconds == 2 * (3600 - boot)
    assert _grown(StandingBy("stopped", 0, 10)).stopped_seconds == 9 * asked


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 4),
    st.integers(0, 12),
    st.sampled_from(["stopped", "running"]),
    st.sampled_from([None, 30.0]),
)
def test_a_warm_pool_ends_with_what_is_missing_to_the_prepared_nodes(
    least: int, prepared: int, state: Any, cpu_target: float | None
) -> None:
    made = model(warm=StandingBy(state, least, prepared), cpu_target=cpu_target)
    done = _at_work(made)
    (trace,), pool = done.all(), done.pools["nodes"]
    assert pool.standing_by + pool.preparing == rules.standing_by(least, prepared, pool.size)
    assert max(found.size for found in trace.states) <= 10
    assert min(pool.standing_by, pool.preparing) >= 0


def test_nodes_that_were_prepared_for_a_group_that_has_grown_meanwhile_do_not_stay() -> None:
    pool = _at_work(model(warm=StandingBy("stopped", 1, 6))).pools["nodes"]
    pool.nodes.add(6)
    pool.standing_by, pool.preparing = 0, 4
    pool.stand_by(0, 4)
    assert (pool.standing_by, pool.preparing) == (1, 0)


def test_a_group_that_tracks_its_own_cpu_knows_nothing_of_waiting_tasks() -> None:
    trace = _trace(cpu_target=30.0)
    assert all(event.policy != "capacity provider" for event in trace.events)


@pytest.mark.parametrize("policies", ["ours", "seed"])
def test_the_load_test_of_the_seed_brings_containers_and_nodes_and_takes_them_away(policies: str) -> None:
    """As its README reports, for its settings and for ours."""
    traffic = synthetic("seed-load-test", {"rest": 90})
    made = model(max_tasks=40) if policies == "ours" else PEERS["seed"](model(max_tasks=40))
    trace = run(made, LOAD, Delays(), traffic)
    tasks = at_each_second(trace.states, "ready", len(traffic.requests))
    nodes = at_each_second(trace.states, "nodes", len(traffic.requests))
    assert tasks.max() > 2 * tasks[0]
    assert nodes.max() > nodes[0]
    assert tasks[-1] < tasks.max() / 2
    assert nodes[-1] < nodes.max()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**16), st.integers(0, 11), st.sampled_from(["spread", "binpack"]), st.booleans(), st.integers(0, 5)
)
def test_counts_stay_within_their_bounds(seed: int, phase: int, placement: str, fast: bool, least: int) -> None:
    traffic = synthetic("noise", {"mean": 700, "spread": 0.9, "hours": 1, "seed": seed})
    made = model(min_tasks=least, high_resolution=fast, placement=placement, max_tasks=40)
    trace = run(made, LOAD, Delays(), traffic, phases()[phase])
    _check(trace, made)


def _nodes(made: Model) -> NodePool:
    assert made.nodes is not None
    return made.nodes


def _check(trace: Trace, made: Model) -> None:
    nodes = _nodes(made)
    for state in trace.states:
        assert made.scaling.min_tasks <= state.desired <= made.scaling.max_tasks
        assert 0 <= state.ready <= state.running <= nodes.max_nodes * made.tasks_per_node
        assert state.waiting >= 0
        assert nodes.min_nodes <= state.size <= nodes.max_nodes
        assert state.nodes <= state.size


def test_on_fargate_no_task_waits_and_there_are_no_nodes() -> None:
    trace = run(on_fargate(), LOAD, Delays(), CROWD, phases()[3])
    assert max(state.ready for state in trace.states) >= 10
    assert {(state.waiting, state.nodes, state.size) for state in trace.states} == {(0, 0, 0)}
    assert trace.node_seconds == trace.launches == 0
    assert {event.what for event in trace.events} <= {
        "tasks",
        "alarm high on",
        "alarm high off",
        "alarm low on",
        "alarm low off",
    }


def test_on_fargate_a_task_takes_its_own_time_to_start() -> None:
    def grown(start_s: int) -> tuple[int, int]:
        """When the first tasks are asked for, and when they run."""
        trace = run(on_fargate(), LOAD, Delays(fargate_start_s=start_s), CROWD, phases()[3])
        asked = next(event.time for event in trace.events if event.what == "tasks" and event.after > event.before)
        return asked, next(b.time for a, b in itertools.pairwise(trace.states) if b.running > a.running)

    for start_s in (30, 62):
        asked, runs = grown(start_s)
        assert runs - asked == start_s


def test_a_task_of_fargate_is_billed_from_its_placement_until_it_has_gone() -> None:
    """Ten tasks for ten minutes, of which eight drain and stop for 35 s then."""
    schedule = Schedule(name="down", at="at(2026-01-05T00:10:00)", min_tasks=2, max_tasks=2)
    made = on_fargate(min_tasks=10, max_tasks=10, cpu=TargetTracking(), schedules=(schedule,))
    trace = run(made, LOAD, Delays(), Traffic("calm", np.full(900, 10.0)))
    assert trace.task_seconds == 10 * 600 + 8 * (made.deregistration_delay_s + Delays().stop_s) + 2 * 300


def test_a_task_behind_no_balancer_serves_as_soon_as_it_runs() -> None:
    trace = run(on_fargate(health_check_interval_s=None), LOAD, Delays(), CROWD, phases()[3])
    assert max(state.running for state in trace.states) > 10
    assert all(state.ready == state.running for state in trace.states)
    checked = run(on_fargate(), LOAD, Delays(), CROWD, phases()[3])
    assert any(state.ready < state.running for state in checked.states)


def test_tasks_of_other_services_take_their_places_for_good() -> None:
    """Of 60 places 24 are taken: 36 tasks are the most that run, on nodes that are there for the others, too."""
    much = Traffic("much", np.full(3600, 1e5))
    others = (Standing("others", 24, Size(256, 512)),)
    alone, beside = (run(model(standing=standing), LOAD, Delays(), much) for standing in ((), others))
    assert max(state.running for state in alone.states) == 60
    assert max(state.running for state in beside.states) == 36
    calm = Traffic("calm", np.full(3600, 10.0))
    assert {state.nodes for state in run(model(standing=others), LOAD, Delays(), calm).states} == {5}
    assert {state.nodes for state in run(model(), LOAD, Delays(), calm).states} == {2}
    # Their hours are not the service's.
    hours = {run(model(standing=standing), LOAD, Delays(), calm).task_seconds for standing in ((), others)}
    assert hours == {2 * 3600}


_OTHER = Size(512, 512)


def test_idle_cpu_of_a_node_is_used_and_the_first_action_is_not_bounded_by_what_tasks_reserve() -> None:
    share, quota = (_trace(cpu_is=kind) for kind in ("share", "quota"))
    assert share.dropped.sum() < quota.dropped.sum() / 4
    first, bounded = (next(event for event in trace.events if event.what == "tasks") for trace in (share, quota))
    assert (bounded.before, bounded.after) == (3, 8)  # CPU of 100 % at a target of 40, rounded up
    assert first.before == 3 and first.after > 8
    # A request that waits for something else is not done sooner.
    slow = dataclasses.replace(LOAD, cpu_at_capacity=80)
    waiting = [run(model(cpu_is=kind), slow, Delays(), CROWD) for kind in ("share", "quota")]
    assert waiting[0].states == waiting[1].states
    # Each of two tasks has a node and a core for itself, and then two cores.
    wide = run(model(cpu_is="share"), dataclasses.replace(LOAD, cores=2), Delays(), CROWD)
    assert [trace.work[0] for trace in (quota, share, wide)] == [(0, 3), (0, 12), (0, 16)]


def test_what_others_reserve_of_a_node_is_theirs() -> None:
    web, api = (dataclasses.replace(each, cpu_is="share") for each in _two(min_tasks=2, max_tasks=2, max_nodes=2))
    calm = Traffic("calm", np.full(600, 10.0))
    load = dataclasses.replace(LOAD, cores=2)
    together = run_together([Busy(web, load, calm), Busy(api, load, calm)], Delays())
    # A task of each on each of two nodes of 2048 units: 1536 are left to one of 256, 1792 to one of 512.
    assert [trace.work for trace in together] == [[(0, 2 * 6)], [(0, 2 * 3.5)]]


def test_a_target_in_slow_start_is_sent_more_and_more() -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html"""
    bounds = (Schedule(name="up", at="at(2026-01-05T00:10:00)", min_tasks=6, max_tasks=6),)
    made = model(min_tasks=2, max_tasks=2, cpu=TargetTracking(), schedules=bounds, slow_start_s=200)
    trace = run(made, LOAD, Delays(), Traffic("calm", np.full(1800, 10.0)), phases()[0])
    serving = next(state.time for state in trace.states if state.ready == 6)
    risen = [(time - serving, work) for time, work in trace.work if time >= serving]
    assert trace.work[0] == (0, 2)
    assert len(risen) == 21 and risen[-1] == (200, 6)
    assert all(work == pytest.approx(2 + 4 * (since + 5) / 200) for since, work in risen[:-1])


def _two(size: Size = _OTHER, **changes: Any) -> tuple[Model, Model]:
    """Two services on the same nodes, the second one with tasks of a size of its own."""
    web = model(**changes)
    return web, dataclasses.replace(web, task=size, service="api")


def test_services_that_share_nothing_run_as_each_does_alone() -> None:
    web, api = _two()
    api = dataclasses.replace(api, pool=dataclasses.replace(_nodes(api), name="others"))
    steady = Traffic("steady", np.full(7200, 300.0))
    together = run_together([Busy(web, LOAD, CROWD), Busy(api, LOAD, steady)], Delays(), phases()[3])
    for trace, (made, traffic) in zip(together, ((web, CROWD), (api, steady)), strict=True):
        alone = run(made, LOAD, Delays(), traffic, phases()[3])
        assert (trace.states, trace.events, trace.node_seconds) == (alone.states, alone.events, alone.node_seconds)


def test_a_crowd_of_one_takes_the_places_that_another_would_need_a_little_later() -> None:
    web, api = _two(max_nodes=5)
    later = Traffic("later", np.roll(CROWD.requests, 600))
    calm = Traffic("calm", np.full(7200, 20.0))
    missed = [
        measure(run_together([Busy(web, LOAD, first), Busy(api, LOAD, later)], Delays())[1], api, LOAD, PRICES, 0.0)
        for first in (calm, CROWD)
    ]
    assert missed[1].objective_missed > missed[0].objective_missed + 0.05


def test_services_on_one_pool_are_billed_for_its_nodes_together() -> None:
    web, api = _two()
    traces = run_together([Busy(web, LOAD, CROWD), Busy(api, LOAD, CROWD)], Delays())
    assert traces[0].node_seconds == traces[1].node_seconds
    assert {event for event in traces[0].events if event.what == "nodes"} == {
        event for event in traces[1].events if event.what == "nodes"
    }


class _Watched(Pool):
    """Looks at its nodes at each step of a run: nothing may be on them that does not fit."""

    def advance(self, passed: int) -> None:
        super().advance(passed)
        nodes = self.nodes
        assert [tasks.placed - tasks.doomed for tasks in self.tenants] == nodes.tasks
        assert [sum(zones) for zones in nodes.tasks_in] == nodes.tasks
        for zone in nodes.zones:
            for held, many in zone.items():
                assert many > 0
                for part, room in enumerate(nodes.rooms[0].parts):
                    each = zip(held.counts, nodes.sizes, strict=True)
                    assert sum(count * size.parts[part] for count, size in each) <= room
        for tasks in self.tenants:
            starting = sum(cohort.count for cohort in tasks.cohorts)
            assert tasks.placed == tasks.ready + starting + tasks.draining
            assert min(tasks.waiting, tasks.ready, tasks.running, tasks.draining, tasks.doomed) >= 0


_BEFALLS = [
    Event(500, lambda world, now: world.interrupt_spot(now, 0.7)),
    Event(560, lambda world, now: world.interrupt_spot(now, 1.0)),
    Event(700, lambda world, now: world.lose_zone(now, 0, 2)),
    Event(900, lambda world, now: world.set_speed(now, 0.5)),
    Event(1500, lambda world, now: world.regain_zone(now, 0)),
]


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 2**16),
    st.builds(Size, st.sampled_from([128, 256, 700]), st.sampled_from([256, 700]), apart=st.booleans()),
    st.sampled_from(["spread", "binpack"]),
    st.integers(2, 12),
    st.sampled_from([None, 30.0]),
    st.sampled_from([0.0, 0.5]),
)
def test_nodes_never_hold_more_than_fits_and_no_request_of_any_service_is_lost(
    seed: int, size: Size, placement: Any, nodes: int, cpu_target: float | None, retries: float
) -> None:
    load = dataclasses.replace(LOAD, retry_share=retries)
    crowd = synthetic("flash-crowd", {"base": 50, "peak": 600, "at": 300, "hold": 300, "hours": 1})
    noise = synthetic("noise", {"mean": 300, "spread": 0.9, "hours": 1, "seed": seed})
    others = (Standing("cron", 3, Size(64, 300)),)
    made = _two(size, max_nodes=nodes, cpu_target=cpu_target, placement=placement, standing=others, spot_percent=80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaleout_cfn.simulator.run.Pool", _Watched)
        busy = [Busy(made[0], load, crowd), Busy(made[1], load, noise)]
        traces = run_together(busy, Delays(), phases()[seed % 12], _BEFALLS)
    for trace in traces:
        served = trace.requests + np.concatenate([[0.0], trace.backlog[:-1]]) - trace.backlog - trace.dropped
        assert served.min() >= -1e-6
        assert (served <= at_each_second(trace.states, "ready", 3600) * load.task_rps + 1e-6).all()
        assert max(state.size for state in trace.states) <= nodes


def test_half_of_the_nodes_go_two_minutes_after_spot_s_notice_and_others_have_been_started_meanwhile() -> None:
    calm = Traffic("calm", np.full(1800, 100.0))
    made = model(min_tasks=24, max_tasks=24, min_nodes=4, spot_percent=100)
    wave = Event(600, lambda world, now: world.interrupt_spot(now, 0.5))
    trace = run(made, LOAD, Delays(), calm, events=[wave])
    ready, nodes = (at_each_second(trace.states, name, 1800) for name in ("ready", "nodes"))
    boot = Delays().node_launch_s + Delays().node_join_s
    assert (nodes[599], nodes[600], nodes[600 + boot]) == (4, 2, 4)
    # The doomed ones serve until the end of the notice, and their successors with them.
    assert ready[600:720].min() == 24
    assert ready[719] == 36
    assert ready[720:].min() == ready[-1] == 24
    assert trace.node_seconds == 4 * 1800 + 2 * 120


@pytest.mark.parametrize("fargate", [False, True])
def test_spot_is_interrupted_at_its_rate_the_same_each_time_and_never_below_the_base(fargate: bool) -> None:
    calm = Traffic("calm", np.full(86400, 100.0))
    bought: Any = {"spot_percent": 100, "on_demand_base": 8 if fargate else 2}
    made = model(min_tasks=24, max_tasks=24, min_nodes=4, **({"pool": Fargate(**bought)} if fargate else bought))
    often = dataclasses.replace(Delays(), spot_interruptions=30)  # once a day and each
    trace = run(made, LOAD, often, calm)
    assert trace.states == run(made, LOAD, often, calm).states
    assert trace.states != run(made, LOAD, often, calm, phases()[5]).states
    gone = [count for before, after in pairwise(trace.states) if (count := before.running - after.running) > 0]
    expected = 16 if fargate else 2  # in a day, of what is above the base
    assert expected / 2 <= sum(gone) / (1 if fargate else 6) <= 3 * expected
    # What is lost serves until the end of its notice, and has its successor by then.
    assert at_each_second(trace.states, "ready", len(calm.requests)).min() >= 24
    based = model(min_tasks=24, max_tasks=24, min_nodes=4, spot_percent=100, on_demand_base=4)
    assert not [event for event in run(based, LOAD, often, calm).events if event.policy == "Spot interruption"]


def test_a_zone_that_is_lost_takes_its_tasks_at_once_and_its_nodes_are_replaced_in_the_other() -> None:
    made = model(min_tasks=24, max_tasks=24, min_nodes=4)
    calm = Traffic("calm", np.full(1800, 100.0))
    world = World([Busy(made, LOAD, calm)], Delays(), phases()[0], [Event(600, lambda w, now: w.lose_zone(now, 0, 2))])
    (trace,) = world.all()
    ready = at_each_second(trace.states, "ready", 1800)
    assert (ready[599], ready[600], ready[-1]) == (24, 12, 24)
    assert world.pools["nodes"].nodes.nodes_in == [0, 4]


def test_on_fargate_spot_s_wave_takes_its_share_of_the_tasks_above_the_base() -> None:
    made = on_fargate(pool=Fargate(spot_percent=50, on_demand_base=4), min_tasks=24, max_tasks=24)
    calm = Traffic("calm", np.full(1800, 100.0))
    wave = Event(600, lambda world, now: world.interrupt_spot(now, 1.0))
    trace = run(made, LOAD, Delays(), calm, events=[wave])
    ready = at_each_second(trace.states, "ready", 1800)
    assert (ready[599], ready[719], ready[720], ready[-1]) == (24, 34, 24, 24)


def test_tasks_at_half_their_speed_miss_what_they_would_have_served() -> None:
    calm = Traffic("calm", np.full(1800, 90.0))
    slow = Event(600, lambda world, now: world.set_speed(now, 0.5))
    traces = [run(model(max_tasks=2), LOAD, Delays(), calm, events=events) for events in ([], [slow])]
    assert [float(trace.dropped.sum()) > 0 for trace in traces] == [False, True]


def test_a_cluster_has_no_more_than_five_thousand_instances() -> None:
    steady = Traffic("much", np.full(600, 1e6))
    trace = run(model(max_tasks=50_000, max_nodes=9000), LOAD, Delays(), steady)
    assert max(state.size for state in trace.states) == 5000


def test_a_service_comes_down_after_calm_hours_though_it_never_had_room_for_all_its_tasks() -> None:
    """Forty tasks are asked for where thirty have a place: what waits for a place holds nothing back."""
    crowd = synthetic("flash-crowd", {"base": 50, "peak": 900, "at": 1200, "hold": 3600, "hours": 6})
    trace = run(model(max_tasks=40, max_nodes=5), LOAD, Delays(), crowd)
    desired = at_each_second(trace.states, "desired", 6 * 3600)
    assert desired.max() == 40
    assert trace.states[-1].desired == trace.states[-1].running <= 3


_policies = st.one_of(
    st.tuples(st.just(True), st.sampled_from([120, 300])),
    # With a metric of minutes a cooldown of 120 s is over before its effect is seen, and the count swings.
    st.tuples(st.just(False), st.just(300)),
).flatmap(
    lambda given_: st.builds(
        lambda target, out_s: {
            "cpu": TargetTracking(
                enabled=True, target=target, scale_out_cooldown_s=out_s, scale_in_cooldown_s=given_[1]
            ),
            "high_resolution": given_[0],
        },
        st.sampled_from([40, 60, 75]),
        st.sampled_from([0, 60, 300]),
    )
)
_crowds = st.builds(
    lambda base, times, rise, hold, fall: synthetic(
        "flash-crowd",
        {"base": base, "peak": base * times, "at": 900, "rise": rise, "hold": hold, "fall": fall, "hours": 3},
    ),
    st.sampled_from([20, 50, 100, 300]),
    st.sampled_from([2, 3, 5, 10, 20]),
    st.sampled_from([10, 60, 300, 900]),
    st.sampled_from([120, 300, 1200, 2400]),
    st.sampled_from([30, 300, 900]),
)
_grids = st.sampled_from(phases())


def _missed(traffic: Traffic, phase: Phase, **changes: Any) -> float:
    made = model(**changes)
    return measure(run(made, LOAD, Delays(), traffic, phase), made, LOAD, PRICES, 0.0).objective_missed


@settings(max_examples=25, deadline=None)
@given(_crowds, _crowds, st.integers(1200, 7000), _policies, _grids, st.integers(2, 12), st.integers(1, 10))
def test_more_nodes_never_miss_more(
    one: Traffic, other: Traffic, apart: int, policies: dict[str, Any], phase: Phase, few: int, more: int
) -> None:
    """But for a look of an alarm. Nor do more nodes with more tasks, but for a little where a second crowd comes just
    as tasks of the first go."""
    both = Traffic("two", np.maximum(one.requests, np.pad(other.requests, (apart, 0), "edge")[: len(one.requests)]))
    for traffic, by in ((one, 1e-4), (both, 0.02)):
        for most in ({"max_tasks": 80}, {}):
            fewer, larger = (
                _missed(traffic, phase, **{"max_tasks": nodes * 6, **most}, max_nodes=nodes, **policies)
                for nodes in (few, few + more)
            )
            assert larger <= fewer + by


@settings(max_examples=25, deadline=None)
@given(_crowds, _policies, _grids, st.integers(2, 60), st.integers(1, 60))
def test_a_higher_maximum_of_tasks_never_misses_more(
    crowd: Traffic, policies: dict[str, Any], phase: Phase, few: int, more: int
) -> None:
    fewer, larger = (_missed(crowd, phase, max_tasks=tasks, max_nodes=20, **policies) for tasks in (few, few + more))
    assert larger <= fewer + 1e-6


@settings(max_examples=25, deadline=None)
@given(_crowds, _policies, _grids, st.integers(3, 12), st.integers(4, 80))
def test_after_calm_hours_as_few_tasks_and_nodes_run_as_before_the_crowd(
    crowd: Traffic, policies: dict[str, Any], phase: Phase, nodes: int, tasks: int
) -> None:
    """Three nodes are room enough for what the calm needs."""
    calm = Traffic("calm after", np.concatenate([crowd.requests, np.full(3 * 3600, crowd.requests[0])]))
    made = model(max_tasks=tasks, max_nodes=nodes, **policies)
    states = run(made, LOAD, Delays(), calm, phase).states
    last, least = states[-1], first_tasks(made, LOAD, float(crowd.requests[0]))
    assert last.desired == last.running == last.ready
    # Between 0.9 of the target and the target nothing moves.
    assert last.desired <= max(least, least / 0.9 + 1)
    assert last.nodes <= max(2, 1 + last.running)


def _of_messages(**changes: Any) -> Model:
    tracking = TargetTracking(enabled=True, target=60, scale_out_cooldown_s=60)
    backlog = Backlog(tracking, first_cooldown_s=300)
    off = {"min_tasks": 0, "max_tasks": 20, "cpu": TargetTracking(), "high_resolution": False}
    return on_fargate(health_check_interval_s=None, backlog=backlog, **{**off, **changes})


# Two days; only the second has what a forecast knows.
DAYS = Traffic("days", np.tile(np.repeat([50.0, 500.0, 50.0], [9 * 3600, 2 * 3600, 13 * 3600]), 2))


@pytest.mark.parametrize(("metric", "target", "most"), [("cpu", 50.0, 20), ("requests", 1500.0, 15)])
def test_a_forecast_adds_tasks_before_an_hour_from_the_second_day_on_and_takes_none_away(
    metric: Any, target: float, most: int
) -> None:
    predictive = Predictive(mode="forecast-and-scale", metric=metric, target=target, buffer_s=600)
    trace = run(model(predictive=predictive, max_tasks=most), LOAD, Delays(), DAYS)
    forecasts = [event for event in trace.events if event.policy == "forecast"]
    assert (forecasts[0].time, forecasts[0].after) == (33 * 3600 - 600, most)
    assert all(event.after > event.before for event in forecasts)
    ready = at_each_second(trace.states, "ready", len(DAYS.requests))
    assert ready[33 * 3600] == most


def test_a_forecast_that_is_only_made_changes_nothing_and_one_that_may_raise_the_most_does() -> None:
    only = run(model(predictive=Predictive(target=50)), LOAD, Delays(), DAYS)
    assert only.events == run(model(), LOAD, Delays(), DAYS).events
    raising = Predictive(mode="forecast-and-scale", target=50, above_max_percent=10)
    raised = run(model(max_tasks=15, predictive=raising), LOAD, Delays(), DAYS)
    assert max(state.desired for state in raised.states) == 22


def managed(**changes: Any) -> Model:
    """On Managed Instances of 4 and 16 tasks."""
    kinds = (NodeKind("c6a.large", 1024, Size(1024, 2048)), NodeKind("c6a.2xlarge", 4096, Size(4096, 8192)))
    return model(
        min_nodes=0, room=kinds[0].room, instance_type="c6a.large", managed=Managed(kinds, changes.pop("after", 300)),
        **changes,
    )  # fmt: skip


def test_managed_instances_are_there_as_soon_as_one_has_started_and_go_once_they_are_idle() -> None:
    made = managed()
    trace = run(made, LOAD, Delays(), CROWD)
    first = next(event for event in trace.events if event.what == "nodes")
    # No alarm stands between tasks that wait and the nodes for them.
    assert first.policy == "Managed Instances"
    assert first.time in [event.time for event in trace.events if event.what == "tasks"]
    assert trace.states[-1].size == trace.states[0].size
    assert max(state.size for state in trace.states) > trace.states[0].size
    policies = {event.policy for event in trace.events if event.what == "nodes"}
    assert policies == {"Managed Instances", "idle", "underused"}
    assert sum(trace.types.values()) == pytest.approx(1)
    assert set(trace.types) == {"c6a.large", "c6a.2xlarge"}
    kept = run(managed(after=-1), LOAD, Delays(), CROWD)
    assert [event.policy for event in kept.events if event.what == "nodes" and event.after < event.before] == []
    assert kept.node_seconds > trace.node_seconds
    # Moving tasks together loses none.
    assert trace.dropped.sum() == kept.dropped.sum()


def test_managed_instances_cost_their_types_and_a_fee_of_these() -> None:
    made, prices = managed(), PRICES
    trace = run(made, LOAD, Delays(), CROWD)
    costs = cost(made, LOAD, prices, trace)
    hours = {type: share * trace.node_seconds / 3600 for type, share in trace.types.items()}
    assert costs.instances == pytest.approx(sum(prices.instances[type] * each for type, each in hours.items()))
    assert costs.fees == pytest.approx(prices.units["managed_instances_share"] * costs.instances)


def test_a_worker_comes_out_of_none_drains_its_queue_and_goes_again() -> None:
    """A thousand messages at once, of half a second each: none is lost, however long it waits."""
    messages = Traffic("messages", np.array([0.0] * 600 + [1000.0] + [0.0] * 6599))
    trace = run(_of_messages(), Load(task_rps=2, workers=1), Delays(), messages)
    desired = at_each_second(trace.states, "desired", 7200)
    assert (desired[:600].max(), desired[-1]) == (0, 0)
    assert desired.max() > 5
    assert trace.dropped.sum() == trace.backlog[-1] == 0
    waited = ages(trace)
    assert waited[600] > 60
    assert next(event.policy for event in trace.events if event.what == "tasks") == "FirstTask"


def test_a_message_has_waited_until_as_many_as_came_before_it_are_taken() -> None:
    steady = Traffic("messages", np.array([10.0] * 10 + [0.0] * 90))
    trace = run(_of_messages(min_tasks=1, max_tasks=1), Load(task_rps=2, workers=1), Delays(), steady)
    # Ten a second come, two are taken: the middle of the second's ten begins 4 s later for each second before.
    assert [ages(trace)[second] for second in (0, 4, 9)] == [2, 18, 38]
