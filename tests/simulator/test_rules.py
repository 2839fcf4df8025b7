"""Each rule against the wording of its documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.config.scaling import NodeScaling, StepAdjustment, StepScaling
from scaleout_cfn.simulator import rules

counts = st.integers(1, 5000)
metrics = st.floats(0, 1000, allow_nan=False)
targets = st.floats(1, 1000, allow_nan=False)


@given(counts, metrics, targets)
def test_tracking_reaches_the_target_with_the_fewest_tasks(running: int, metric: float, target: float) -> None:
    count = rules.tracked_count(running, metric, target)
    load = running * metric
    assert load <= count * target * (1 + 1e-9) + 1e-6
    assert count == 0 or load > (count - 1) * target * (1 - 1e-9) - 1e-6


@given(st.integers(1, 100), st.sampled_from([50, 60, 75, 80]))
def test_a_metric_capped_at_100_percent_grows_the_service_by_100_over_the_target_at_most(
    running: int, target: int
) -> None:
    assert rules.tracked_count(running, 100, target) == -(-running * 100 // target)


@pytest.mark.parametrize(
    ("least", "prepared", "size", "wanted"), [(0, 10, 6, 4), (0, 8, 6, 2), (3, 8, 6, 3), (0, 5, 6, 0)]
)
def test_a_warm_pool_holds_what_is_missing_to_the_prepared_nodes(
    least: int, prepared: int, size: int, wanted: int
) -> None:
    """The examples of AWS's page, and the two ends."""
    assert rules.standing_by(least, prepared, size) == wanted


@given(counts, metrics, targets, st.floats(0, 1))
def test_scale_in_is_gradual_and_never_beyond_what_the_metric_allows(
    running: int, metric: float, target: float, share: float
) -> None:
    count = rules.tracked_count_in(running, metric, target, share)
    lowest = rules.tracked_count(running, metric, target)
    assert min(lowest, running) <= count <= running
    assert (count < running) == (lowest < running)
    assert count == max(min(running, lowest), count)


@given(st.integers(0, 3600), st.integers(0, 10000), counts, counts, counts, st.booleans())
def test_during_a_cooldown_only_a_larger_scale_out_goes_through_and_only_by_how_much_it_is_larger(
    cooldown: int, passed: int, before: int, added: int, more: int, started: bool
) -> None:
    """Whether what was added runs already, and is in the count that the policy starts from, or not."""
    last, running = rules.ScaleOut(100, before, before + added), before + added * started
    count = rules.scaled_out(100 + passed, last, cooldown, running, running + more)
    assert count == (running + more if passed >= cooldown else before + more if more > added else 0)
    assert rules.scaled_out(100 + passed, None, cooldown, running, running + more) == running + more


@given(st.integers(0, 10000), st.integers(0, 3600), st.integers(0, 10000))
def test_a_scale_in_cooldown_blocks_every_scale_in(since: int, cooldown: int, passed: int) -> None:
    assert rules.may_shrink(since + passed, since, cooldown) == (passed >= cooldown)


@given(st.floats(0, 200))
def test_steps_are_intervals_from_the_threshold_on(metric: float) -> None:
    steps = (
        StepAdjustment(distance=0, adjustment=1),
        StepAdjustment(distance=10, adjustment=2),
        StepAdjustment(distance=20, adjustment=3),
    )
    policy = StepScaling(name="Up", threshold=70, steps=steps)
    expected = None if metric < 70 else steps[0] if metric - 70 < 10 else steps[1] if metric - 70 < 20 else steps[2]
    assert rules.step_of(policy, metric) == expected


def test_steps_below_a_threshold_go_downwards() -> None:
    down = StepAdjustment(adjustment=-1)
    policy = StepScaling(name="Down", when="below", threshold=20, steps=(down,))
    assert [rules.step_of(policy, metric) for metric in (21, 20, 5)] == [None, down, down]


def _percent(magnitude: int = 1) -> StepScaling:
    return StepScaling(
        name="Up",
        threshold=70,
        adjustment_type="PercentChangeInCapacity",
        min_adjustment_magnitude=magnitude,
        steps=(StepAdjustment(adjustment=1),),
    )


@pytest.mark.parametrize(
    ("running", "percent", "change"),
    # 12.7, 0.67, -0.58 and -6.67 are the examples of AWS's page.
    [(127, 10, 12), (67, 1, 1), (58, -1, -1), (667, -1, -6), (10, 10, 1), (10, -10, -1), (0, 100, 0), (50, 0, 0)],
)
def test_a_percentage_is_rounded_towards_zero_and_never_to_it(running: int, percent: int, change: int) -> None:
    assert rules.stepped_count(running, _percent(), percent) == running + change


@given(counts, st.integers(-99, 1000), st.integers(1, 50))
def test_a_percentage_moves_at_least_the_minimum_adjustment_magnitude(running: int, percent: int, least: int) -> None:
    change = rules.stepped_count(running, _percent(least), percent) - running
    exact = running * percent / 100
    if not exact:
        assert change == 0
        return
    assert change * exact > 0 or running + change == 0
    assert abs(change) == max(1, least, int(abs(exact) + 1e-9)) or running + change == 0


def test_four_tasks_and_25_percent_with_a_magnitude_of_two_are_six_as_in_the_api_reference() -> None:
    assert rules.stepped_count(4, _percent(2), 25) == 6


@given(counts, st.integers(-5000, 5000))
def test_changes_are_added_and_exact_capacities_are_set(running: int, adjustment: int) -> None:
    steps = (StepAdjustment(adjustment=1),)
    changed = StepScaling(name="Up", threshold=70, steps=steps)
    assert rules.stepped_count(running, changed, adjustment) == max(0, running + adjustment)
    exact = StepScaling(name="Up", threshold=70, adjustment_type="ExactCapacity", steps=steps)
    assert rules.stepped_count(running, exact, abs(adjustment)) == abs(adjustment)


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 100), st.integers(1, 50))
def test_nodes_are_asked_for_by_what_waits_within_the_step_sizes(
    nodes: int, busy: int, waiting: int, per_node: int, low: int
) -> None:
    scaling = NodeScaling(min_step=low, max_step=low + 20)
    needed = rules.nodes_needed(nodes, busy, [(waiting, per_node)] if waiting else [], scaling)
    if waiting:
        assert low <= needed - nodes <= low + 20
        assert needed - nodes >= min(low + 20, -(-waiting // per_node))
    else:
        assert needed == busy


def test_from_zero_nodes_the_reservation_is_200_so_two_are_launched() -> None:
    assert rules.nodes_needed(0, 0, [(500, 4)], NodeScaling()) == 2


@given(st.integers(0, 5000), st.integers(1, 100))
def test_the_group_is_as_large_as_meets_the_target_capacity(needed: int, target: int) -> None:
    size = rules.wanted_nodes(needed, target)
    assert needed * 100 <= size * target
    assert size == 0 or needed * 100 > (size - 1) * target


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_a_scale_in_step_takes_empty_nodes_only_and_half_of_them_at_most(nodes: int, wanted: int, empty: int) -> None:
    gone = rules.group_scale_in(nodes, wanted, min(empty, nodes), 0.5)
    assert 0 <= gone <= min(empty, max(1, nodes // 2))
    assert nodes - gone >= min(wanted, nodes)


@given(st.integers(0, 10**6), st.sampled_from([10, 20, 60]), st.integers(0, 59))
def test_alarms_look_on_a_grid(time: int, every: int, offset: int) -> None:
    tick = rules.next_tick(time, every, offset)
    assert time <= tick < time + every
    assert (tick - offset) % every == 0


@given(st.integers(0, 10**6), st.sampled_from([5, 10, 30, 300]), st.integers(0, 300))
def test_a_target_serves_after_its_first_check(started: int, interval: int, offset: int) -> None:
    assert started <= rules.first_check(started, interval, offset) < started + interval


@given(st.data(), st.integers(1, 6), st.integers(0, 200))
def test_spread_placement_leaves_no_zone_behind_that_has_room(data: st.DataObject, zones: int, count: int) -> None:
    tasks = data.draw(st.lists(st.integers(0, 50), min_size=zones, max_size=zones))
    room = data.draw(st.lists(st.integers(0, 50), min_size=zones, max_size=zones))
    given_ = rules.share_evenly(count, tasks, room)
    assert sum(given_) == min(count, sum(room))
    after = [have + more for have, more in zip(tasks, given_, strict=True)]
    for zone in range(zones):
        assert 0 <= given_[zone] <= room[zone]
        if given_[zone] < room[zone]:  # it could have had more, so nobody who got some stands above it
            assert all(after[zone] + 1 >= after[other] for other in range(zones) if given_[other])


def test_what_is_left_of_an_even_share_goes_to_the_first_zone_that_still_has_room() -> None:
    assert rules.share_evenly(4, [0, 0, 0], [1, 5, 5]) == [1, 2, 1]
    assert rules.share_evenly(5, [0, 0, 0], [1, 5, 5]) == [1, 2, 2]
    assert rules.share_evenly(4, [0, 2, 0], [5, 5, 5]) == [2, 0, 2]


@given(st.integers(0, 300), *[st.integers(0, 100)] * 4)
def test_two_zones_are_shared_like_the_first_two_of_three(
    count: int, one: int, other: int, room_one: int, room_other: int
) -> None:
    """Two have a short way of their own; a third without room is not there."""
    three = rules.share_evenly(count, [one, other, 10**6], [room_one, room_other, 0])
    assert rules.share_evenly(count, [one, other], [room_one, room_other]) == three[:2]


def test_a_metric_at_its_target_asks_for_what_runs_whatever_floats_make_of_it() -> None:
    assert [rules.tracked_count(running, 0.1 * 3, 0.3) for running in (1, 7, 4000)] == [1, 7, 4000]
    assert rules.tracked_count(10, 50.000001, 50) == 11
    assert rules.tracked_count(10, 0, 50) == 0
    assert rules.wanted_nodes(55, 55) == 100
    assert rules.wanted_nodes(7, 7) == 100


@pytest.mark.parametrize(
    ("metric", "share", "left"),
    [(25, 0.5, 15), (22.5, 0.5, 15), (25, 0.1, 19), (25, 0.01, 19), (25, 1.0, 10), (47.5, 0.5, 19), (50, 0.5, 20)],
)
def test_twenty_tasks_scale_in_by_a_share_of_the_way_and_one_at_least(metric: float, share: float, left: int) -> None:
    """At a target of 50."""
    assert rules.tracked_count_in(20, metric, 50, share) == left


def test_a_share_of_the_way_is_whole_whatever_floats_make_of_it() -> None:
    assert rules.tracked_count_in(200, 25, 50, 0.29) == 171


def test_the_first_second_after_a_cooldown_is_free() -> None:
    last = rules.ScaleOut(100, 7, 9)
    assert rules.scaled_out(400, last, 300, 9, 12) == 12
    assert rules.scaled_out(399, last, 300, 9, 12) == 10
    assert not rules.scaled_out(399, last, 300, 9, 11)
    assert rules.may_shrink(400, 100, 300)
    assert not rules.may_shrink(399, 100, 300)
    assert rules.may_shrink(0, None, 300)


def test_of_bounds_that_contradict_each_other_the_upper_one_wins() -> None:
    assert [rules.within(2, count, 5) for count in (1, 2, 3, 5, 6)] == [2, 2, 3, 5, 5]
    assert rules.within(9, 7, 5) == 5


@pytest.mark.parametrize(
    ("nodes", "wanted", "empty", "gone"),
    [(10, 1, 9, 5), (11, 1, 9, 5), (10, 7, 9, 3), (10, 1, 2, 2), (1, 0, 1, 1), (10, 1, 0, 0), (5, 9, 5, 0)],
)
def test_a_scale_in_step_is_the_least_of_what_is_asked_what_is_empty_and_half(
    nodes: int, wanted: int, empty: int, gone: int
) -> None:
    assert rules.group_scale_in(nodes, wanted, empty, 0.5) == gone


def test_waiting_tasks_ask_for_no_node_more_than_holds_them() -> None:
    wide = NodeScaling(min_step=1, max_step=100)
    assert [rules.nodes_needed(3, 2, [(waiting, 4)], wide) for waiting in (1, 4, 5)] == [4, 4, 5]
    assert rules.nodes_needed(3, 2, [], wide) == 2


@pytest.mark.parametrize(
    ("count", "tasks", "room", "shares"),
    [
        (0, [1, 2], [9, 9], [0, 0]),
        (5, [3], [9], [5]),
        (5, [3], [2], [2]),
        # Of equal zones the first has the odd one.
        (3, [0, 0], [9, 9], [2, 1]),
        (1, [1, 1, 1], [9, 9, 9], [1, 0, 0]),
        (4, [1, 1, 1], [9, 9, 9], [2, 1, 1]),
        (5, [0, 3, 1], [9, 9, 9], [3, 0, 2]),
        (5, [0, 3, 1], [1, 9, 9], [1, 1, 3]),
        (9, [0, 0, 0], [1, 2, 9], [1, 2, 6]),
        (99, [0, 5, 0], [1, 2, 3], [1, 2, 3]),
    ],
)
def test_tasks_go_to_the_zone_that_has_the_fewest_and_room(
    count: int, tasks: list[int], room: list[int], shares: list[int]
) -> None:
    assert rules.share_evenly(count, tasks, room) == shares


def test_checks_come_on_the_grid_of_their_own_interval() -> None:
    assert rules.first_check(100, 30, 7) == 127
    assert rules.first_check(97, 30, 7) == 97
    assert rules.first_check(100, 5, 7) == 102
    assert rules.next_tick(60, 60) == 60
    assert rules.next_tick(61, 60) == 120


def test_the_last_step_has_no_end() -> None:
    steps = (StepAdjustment(adjustment=1), StepAdjustment(distance=5, adjustment=2))
    policy = StepScaling(name="Up", threshold=70, steps=steps)
    assert [rules.step_of(policy, metric) for metric in (69, 75, 400)] == [None, steps[1], steps[1]]


def test_documented_constants_are_as_they_are_documented() -> None:
    assert rules.MOST_NODES == 5000
    assert rules.LOW_SHARE == 0.9


@pytest.mark.parametrize(
    ("tasks", "most", "left", "work"),
    [
        (1, 1024, 2048, 4),  # alone: a whole core, of which it reserves a quarter
        (2, 1024, 2048, 8),
        (3, 1024, 2048, 8),  # three share two cores
        (8, 1024, 2048, 8),  # a full node gives each what it reserves
        (1, 4096, 2048, 8),  # no more than the node has
        (1, 1024, 512, 2),  # than others leave of it
        (1, 256, 2048, 1),  # or than it has a use for
    ],
)
def test_a_task_uses_the_idle_rest_of_its_node(tasks: int, most: float, left: float, work: float) -> None:
    assert rules.work_of_node(tasks, 256, most, left) == work


def test_a_forecast_is_the_mean_of_the_same_hour_of_two_weeks_and_wants_a_day() -> None:
    loads = [float(hour % 24 + 100 * (hour // 24)) for hour in range(20 * 24)]
    assert rules.forecast(loads[:23], 24) is None
    assert rules.forecast(loads[:24], 25) == 1
    assert rules.forecast(loads[:48], 48 + 5) == 5 + 50
    assert rules.forecast(loads, 20 * 24 + 7) == 7 + 100 * sum(range(6, 20)) / 14
    assert rules.forecast(loads[:24], 24 + 30) == 6
