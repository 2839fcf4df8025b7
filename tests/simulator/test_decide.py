"""What the two loops decide, point by point and look by look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import NodeScaling, StepAdjustment, StepScaling, TargetTracking, pulse_steps
from scaleout_cfn.simulator.decide import CapacityProvider, Happening, NodeTracking, ServicePolicies, Source
from scaleout_cfn.simulator.model import Delays, Size
from scaleout_cfn.simulator.placement import Nodes

from .sets import model, node_pool

MINUTE, FAST = Source(60, 150), Source(20, 20)


@dataclass
class Counts:
    running: int = 10
    desired: int = 10
    least: int = 2
    most: int = 60


class Service:
    """A service whose policies see one value after the other; what they ask for is done at once."""

    def __init__(self, running: int = 10, *, obeys: bool = True, **scaling: Any) -> None:
        self.events: list[Happening] = []
        self.policies = ServicePolicies(model(**scaling).scaling, Delays(), self.events)
        self.counts, self.obeys = Counts(running, running), obeys

    def see(self, now: int, source: Source = MINUTE, **values: float) -> list[tuple[int, str]]:
        asked = []
        for wanted, policy in self.policies.decide(
            now, source, {"cpu": 50, "memory": 50, "requests": 0, **values}, self.counts
        ):
            asked.append((wanted, policy))
            self.counts.desired = wanted
            if self.obeys:
                self.counts.running = wanted
        return asked

    def minutes(self, count: int, *, start: int = 0, **values: float) -> list[tuple[int, str]]:
        return [asked for minute in range(count) for asked in self.see(start + 60 * minute, MINUTE, **values)]


def tracking(target: float = 50, out_s: int = 0, in_s: int = 0, **more: Any) -> TargetTracking:
    return TargetTracking(enabled=True, target=target, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s, **more)


def slow(**cpu: Any) -> dict[str, Any]:
    return {"cpu": tracking(**cpu), "high_resolution": False}


def test_three_points_above_the_target_scale_out_in_proportion_and_one_not_above_ends_the_alarm() -> None:
    service = Service(**slow())
    assert [service.see(60 * minute, cpu=75) for minute in range(3)] == [[], [], [(15, "cpu")]]
    assert service.see(180, cpu=50) == []
    assert service.events == [
        Happening(120, "alarm high on", "cpu", 0, 0),
        Happening(180, "alarm high off", "cpu", 0, 0),
    ]
    assert [service.see(240 + 60 * minute, cpu=75) for minute in range(3)] == [[], [], [(23, "cpu")]]


def test_a_point_at_the_target_is_not_above_it_and_one_at_nine_tenths_is_not_below() -> None:
    service = Service(**slow())
    assert service.minutes(30, cpu=50) == []
    assert service.minutes(30, start=1800, cpu=45) == []
    assert service.events == []


@pytest.mark.parametrize(("source", "fast", "points"), [(MINUTE, False, 15), (FAST, True, 45)])
def test_a_quarter_of_an_hour_below_nine_tenths_of_the_target_scales_in(
    source: Source, fast: bool, points: int
) -> None:
    service = Service(cpu=tracking(), high_resolution=fast)
    seen = [service.see(source.period * point, source, cpu=44.9) for point in range(points)]
    # Nine would do; half of the way is half a task, and one at least goes.
    assert seen == [[]] * (points - 1) + [[(9, "cpu")]]
    last = source.period * (points - 1)
    assert service.events == [Happening(last, "alarm low on", "cpu", 0, 0)]
    service.see(last + source.period, source, cpu=45)
    assert service.events[1:] == [Happening(last + source.period, "alarm low off", "cpu", 0, 0)]
    assert service.see(last + 2 * source.period, source, cpu=44.9) == []


def test_scale_in_goes_half_of_the_way_to_what_the_metric_allows() -> None:
    assert Service(20, **slow()).minutes(15, cpu=10) == [(12, "cpu")]


def test_the_action_of_an_alarm_repeats_once_a_minute_while_it_is_on() -> None:
    service = Service(cpu=tracking(), high_resolution=True)
    seen = [service.see(20 * point, FAST, cpu=75) for point in range(10)]
    # At 40, 100 and 160 s.
    assert seen == [[], [], [(15, "cpu")], [], [], [(23, "cpu")], [], [], [(35, "cpu")], []]


def test_a_pulse_adds_tasks_at_its_first_point_and_again_at_once_where_it_is_twice_the_target() -> None:
    pulse = LogPulse(target_rps=20)
    service = Service(8, cpu=TargetTracking(), pulse=pulse, step_policies=pulse_steps(pulse))
    tens = Source(10, Delays().pulse_lag_s)
    assert service.see(0, tens, pulse=19.9) == []
    assert service.see(10, tens, pulse=21) == [(10, "Pulse")]
    # What the first alarm asks for again has to wait a minute; the second has not been on yet.
    assert service.see(20, tens, pulse=41) == [(40, "PulseTwice")]
    assert service.see(30, tens, pulse=41) == []


def test_a_pulse_takes_tasks_away_by_the_minute_once_cpu_agrees() -> None:
    pulse = LogPulse(target_rps=20)
    service = Service(20, pulse=pulse, **slow())
    assert service.minutes(20, cpu=10) == []
    minute = Source(60, Delays().pulse_lag_s)
    seen = [service.see(1200 + 60 * point, minute, pulse=5) for point in range(15)]
    assert seen == [[]] * 14 + [[(13, "cpu+pulse")]]


def test_an_alarm_that_comes_on_again_acts_at_once() -> None:
    service = Service(cpu=tracking(), high_resolution=True)
    for point in range(4):
        service.see(20 * point, FAST, cpu=75)
    service.see(80, FAST, cpu=50)
    seen = [service.see(82 + point, FAST, cpu=75) for point in range(3)]
    assert seen == [[], [], [(23, "cpu")]]


def test_no_more_tasks_are_asked_for_than_the_maximum_nor_fewer_than_the_minimum() -> None:
    assert Service(50, **slow()).minutes(3, cpu=100) == [(60, "cpu")]
    assert Service(3, **slow()).minutes(15, cpu=1) == [(2, "cpu")]
    assert Service(2, **slow()).minutes(20, cpu=1) == []
    assert Service(60, **slow()).minutes(9, cpu=100) == []


def test_what_is_on_its_way_is_not_asked_for_twice() -> None:
    service = Service(obeys=False, **slow())
    assert service.minutes(9, cpu=75) == [(15, "cpu")]
    service.counts.running = 15
    assert service.minutes(1, start=540, cpu=75) == [(23, "cpu")]


def test_during_the_scale_out_cooldown_only_a_larger_number_is_asked_for() -> None:
    service = Service(obeys=False, **slow(out_s=300))
    assert service.minutes(3, cpu=75) == [(15, "cpu")]
    assert service.minutes(2, start=180, cpu=100) == [(20, "cpu")]
    # Somebody else took tasks away: the same number again has to wait, 300 s from the last time.
    service.counts.desired = 12
    assert service.minutes(3, start=300, cpu=100) == []
    assert service.minutes(1, start=480, cpu=100) == [(20, "cpu")]


def test_what_a_scale_out_added_is_part_of_the_next_one_during_its_cooldown() -> None:
    service = Service(**slow(out_s=300))
    assert service.minutes(3, cpu=75) == [(15, "cpu")]
    assert service.minutes(4, start=180, cpu=75) == [(18, "cpu"), (19, "cpu"), (20, "cpu")]
    # The example of AWS's page: 2 more, then 3 more, of which 2 are there.
    service = Service(**steps((0, 2), (20, 3), cooldown_s=300))
    assert service.see(0, cpu=75) == [(12, "Steps")]
    assert service.minutes(3, start=60, cpu=95) == [(13, "Steps")]


def test_a_scale_out_ends_the_cooldown_of_scale_in() -> None:
    service = Service(20, **slow(in_s=3600))
    assert service.minutes(15, cpu=10) == [(12, "cpu")]
    assert service.minutes(3, start=900, cpu=100) == [(24, "cpu")]
    assert service.minutes(15, start=1080, cpu=10) == [(15, "cpu")]


def test_the_scale_in_cooldown_blocks_until_it_is_over() -> None:
    service = Service(20, **slow(in_s=180))
    assert service.minutes(15, cpu=10) == [(12, "cpu")]
    assert service.minutes(2, start=900, cpu=10) == []
    assert service.minutes(1, start=1020, cpu=10) == [(8, "cpu")]


def test_a_cooldown_begins_with_an_action_only() -> None:
    service = Service(2, **slow(in_s=300))
    assert service.minutes(15, cpu=10) == []
    service.counts.running = service.counts.desired = 20
    assert service.minutes(1, start=900, cpu=10) == [(12, "cpu")]


def test_tasks_that_wait_for_a_place_do_not_block_scale_in() -> None:
    service = Service(30, **slow())
    service.counts.desired = 40
    assert service.minutes(15, cpu=10) == [(18, "cpu")]


def test_every_policy_has_to_agree_to_scale_in_and_the_most_that_one_wants_is_kept() -> None:
    both = {"memory": tracking(target=80), **slow()}
    assert Service(20, **both).minutes(15, cpu=10, memory=72) == []
    assert Service(20, **both).minutes(15, cpu=10, memory=40) == [(15, "cpu+memory")]


def test_the_longer_of_two_cooldowns_holds_scale_in_back() -> None:
    service = Service(20, memory=tracking(target=80, in_s=300), **slow())
    assert service.minutes(15, cpu=10, memory=10) == [(12, "cpu+memory")]
    assert service.minutes(4, start=900, cpu=10, memory=10) == []
    assert service.minutes(1, start=1140, cpu=10, memory=10) == [(8, "cpu+memory")]


def test_a_policy_that_may_not_scale_in_has_no_say_in_it_but_holds_it_back_while_it_is_high() -> None:
    both = {"memory": tracking(target=60, scale_in=False), **slow()}
    assert Service(20, **both).minutes(15, cpu=10, memory=59) == [(12, "cpu")]
    service = Service(20, **both)
    service.counts.most = 20
    assert service.minutes(15, cpu=10, memory=70) == []
    assert service.minutes(1, start=900, cpu=10, memory=59) == [(12, "cpu")]


def test_a_policy_that_alone_may_not_scale_in_never_does() -> None:
    assert Service(20, **slow(scale_in=False)).minutes(40, cpu=10) == []


def test_a_point_moves_only_the_policies_that_look_at_it() -> None:
    service = Service(cpu=tracking(), requests=tracking(target=1000), high_resolution=True)
    balancer = Source(60, Delays().balancer_lag_s)
    assert service.policies.sources == {FAST, balancer}
    assert [service.see(60 * minute, balancer, cpu=75) for minute in range(3)] == [[], [], []]
    assert [service.see(20 * point, FAST, cpu=75, requests=9000) for point in range(3)] == [[], [], [(15, "cpu")]]
    # The alarm of CPU is on, and acts at its own points only.
    assert service.see(120, balancer, requests=900) == []


def test_the_plain_type_has_points_of_a_minute_though_the_metric_comes_every_20_s() -> None:
    scaling = model(cpu=tracking(), memory=tracking(), high_resolution=True).scaling
    policies = ServicePolicies(scaling, Delays(), [], by_minute=("memory",))
    assert [(each.name, each.source, each.low_points) for each in policies.trackers] == [
        ("cpu", FAST, 45),
        ("memory", Source(60, FAST.lag), 15),
    ]
    sooner = ServicePolicies(scaling, replace(Delays(), fast_low_minutes=5), [], by_minute=("memory",))
    assert [each.low_points for each in sooner.trackers] == [15, 15]


def test_what_is_off_looks_at_nothing() -> None:
    service = Service(cpu=TargetTracking(), high_resolution=False)
    assert service.policies.sources == set()
    assert service.minutes(30, cpu=1, memory=1, requests=1) == []


def steps(*adjustments: tuple[float, int], **more: Any) -> dict[str, Any]:
    policy = StepScaling(
        name="Steps",
        threshold=70,
        steps=tuple(StepAdjustment(distance=distance, adjustment=count) for distance, count in adjustments),
        **{"cooldown_s": 0, "periods": 1, **more},
    )
    return {"cpu": TargetTracking(), "step_policies": (policy,), "high_resolution": False}


def test_a_step_policy_acts_once_its_alarm_has_seen_enough_points_and_says_so() -> None:
    service = Service(**steps((0, 1), (20, 4), periods=2))
    assert service.see(0, cpu=70) == []
    assert service.see(60, cpu=70) == [(11, "Steps")]
    assert service.see(120, cpu=90) == [(15, "Steps")]
    assert service.see(180, cpu=69.9) == []
    assert service.see(240, cpu=90) == []
    assert service.events == [
        Happening(60, "alarm on", "Steps", 0, 0),
        Happening(180, "alarm off", "Steps", 0, 0),
    ]
    assert service.see(300, cpu=90) == [(19, "Steps")]


def test_a_step_policy_looks_at_its_own_metric_and_period() -> None:
    half = Source(30, 150)
    service = Service(**steps((0, 1), metric="memory", period_s=30))
    assert service.policies.sources == {half}
    assert service.minutes(3, cpu=99, memory=99) == []
    assert service.see(0, half, cpu=99, memory=1) == []
    assert service.see(30, half, cpu=1, memory=99) == [(11, "Steps")]


def test_a_step_policy_sees_20_s_metrics_as_early_as_they_come() -> None:
    service = Service(**{**steps((0, 1)), "high_resolution": True})
    assert service.policies.sources == {Source(60, 20)}


def test_a_step_policy_acts_once_a_minute_while_its_alarm_is_on() -> None:
    half = Source(30, 150)
    service = Service(**steps((0, 1), period_s=30))
    assert [service.see(30 * point, half, cpu=80) for point in range(5)] == [
        [(11, "Steps")],
        [],
        [(12, "Steps")],
        [],
        [(13, "Steps")],
    ]
    service.see(150, half, cpu=1)
    assert service.see(151, half, cpu=80) == [(14, "Steps")]


def test_a_step_that_adds_waits_for_its_cooldown_unless_it_leads_further() -> None:
    service = Service(obeys=False, **steps((0, 2), (20, 4), cooldown_s=300))
    assert service.see(0, cpu=75) == [(12, "Steps")]
    assert service.minutes(2, start=60, cpu=75) == []
    assert service.see(180, cpu=95) == [(14, "Steps")]
    service.counts.desired = 12
    assert service.minutes(4, start=240, cpu=95) == []
    assert service.see(480, cpu=95) == [(14, "Steps")]


def test_a_step_that_adds_never_takes_away() -> None:
    service = Service(**steps((0, 1)))
    service.counts.desired = 15
    assert service.minutes(3, cpu=80) == []
    # Nor does one that leaves the number as it is.
    service = Service(60, **steps((0, 1)))
    service.counts.desired = 61
    assert service.minutes(3, cpu=80) == []


def test_a_step_that_takes_away_waits_for_its_cooldown_and_never_adds() -> None:
    service = Service(**steps((0, -2), when="below", cooldown_s=120))
    assert service.see(0, cpu=10) == [(8, "Steps")]
    assert service.see(60, cpu=10) == []
    assert service.see(120, cpu=10) == [(6, "Steps")]
    service.counts.desired = 3
    assert service.see(300, cpu=10) == []
    service.counts.desired = 4
    assert service.see(360, cpu=10) == []


def test_a_step_keeps_within_the_bounds() -> None:
    assert Service(55, **steps((0, 20))).see(0, cpu=80) == [(60, "Steps")]
    assert Service(3, **steps((0, -20), when="below")).see(0, cpu=10) == [(2, "Steps")]


# The nodes.


def pool(nodes: int, tasks: int = 0, per_node: int = 6) -> Nodes:
    made = Nodes(1, [Size(per_node, per_node)], [Size(1, 1)], ["spread"])
    made.add(nodes)
    made.place(0, tasks)
    return made


def provider(**settings: Any) -> CapacityProvider:
    given = {name: settings.pop(name) for name in ("min_nodes", "max_nodes") if name in settings}
    scaling = NodeScaling(**{"min_step": 1, "warmup_s": 0, **settings})
    return CapacityProvider(node_pool(scaling=scaling, **given), Delays())


def test_waiting_tasks_call_for_the_nodes_that_hold_them() -> None:
    looking = provider()
    assert looking.look(pool(3, 18), []) is None
    assert looking.look(pool(3, 18), [(1, 6)]) == 4
    assert looking.look(pool(3, 18), [(6, 6)]) == 4
    assert looking.look(pool(3, 18), [(7, 6)]) == 5
    assert looking.look(pool(0), [(1, 6)]) == 2
    # Of several sizes the one that needs most nodes counts.
    assert looking.look(pool(3, 18), [(7, 6), (2, 1), (6, 6)]) == 5


def test_a_target_capacity_below_100_keeps_nodes_free() -> None:
    assert provider(target_capacity_percent=80).look(pool(4, 24), []) == 5


def test_fifteen_looks_in_a_row_at_too_many_nodes_ask_for_fewer() -> None:
    looking = provider()
    nodes = pool(5, 6)
    assert [looking.look(nodes, []) for _ in range(15)] == [None] * 14 + [1]
    assert looking.look(nodes, []) == 1
    looking.look(nodes, [(1, 6)])
    assert [looking.look(nodes, []) for _ in range(15)] == [None] * 14 + [1]
    looking.look(pool(1, 6), [])
    assert looking.look(nodes, []) is None


def test_the_low_alarm_is_of_the_reservation_and_is_on_already_when_a_node_fewer_would_do() -> None:
    looking = provider(target_capacity_percent=80)
    assert [looking.look(pool(4, 18), []) for _ in range(15)] == [None] * 14 + [4]
    assert looking.look(pool(4, 12), []) == 3


def test_a_group_grows_within_its_bounds_counting_what_boots() -> None:
    acting = provider(max_nodes=10)
    assert acting.act(0, 7, pool(3), 2) == (2, None)
    assert acting.act(0, 99, pool(3), 2) == (5, None)
    assert acting.act(0, 5, pool(3), 2) == (0, None)
    assert provider(min_nodes=4).act(0, 1, pool(3), 0) == (1, None)
    assert provider(max_nodes=9000).act(0, 6000, pool(3), 0) == (4997, None)


def test_a_node_that_warms_up_holds_the_next_launch_back() -> None:
    acting = provider(warmup_s=60)
    assert acting.act(0, 4, pool(3), 0) == (1, None)
    assert acting.act(59, 9, pool(3), 1) == (0, None)
    assert acting.act(60, 9, pool(3), 1) == (5, None)
    assert acting.act(119, 10, pool(3), 6) == (0, None)


def calmed(**settings: Any) -> CapacityProvider:
    looking = provider(**{"max_nodes": 40, **settings})
    for _ in range(15):
        looking.look(pool(20, 6), [])
    return looking


def test_half_of_a_group_goes_in_a_step_and_the_next_waits_until_this_is_done() -> None:
    acting, delays = calmed(min_nodes=2), Delays()
    assert acting.act(1000, 1, pool(20, 6), 0) == (-10, None)
    done = 1000 + delays.scale_in_step_s(10)
    assert acting.act(done - 60, 1, pool(10, 6), 0) == (0, None)
    # Asked again before the next look, and by nobody else before that.
    assert acting.act(done - 59, 1, pool(10, 6), 0) == (0, done)
    assert acting.act(done, 1, pool(10, 6), 0) == (-5, None)


def test_a_step_that_removes_nothing_holds_nothing_back() -> None:
    acting = calmed(min_nodes=20)
    assert acting.act(1000, 1, pool(20, 6), 0) == (0, None)
    acting.pool = replace(acting.pool, min_nodes=2)
    assert acting.act(1001, 1, pool(20, 6), 0) == (-10, None)


def test_no_node_goes_while_no_alarm_says_so() -> None:
    looking = provider()
    for _ in range(14):
        looking.look(pool(20, 6), [])
    assert looking.act(1000, 1, pool(20, 6), 0) == (0, None)


def test_a_group_is_left_at_the_size_that_is_asked_for() -> None:
    assert calmed().act(0, 18, pool(20, 6), 0) == (-2, None)
    assert calmed(min_nodes=19).act(0, 1, pool(20, 6), 0) == (-1, None)


class Group:
    """Nodes that track their own CPU. A node has eight tasks' worth; ten tasks run on five nodes."""

    def __init__(self, **changes: Any) -> None:
        self.tracking = NodeTracking(node_pool(**{"min_nodes": 1, "max_nodes": 20, **changes}), Delays(), 30.0)

    def see(self, now: int, cpu: float, *, running: int = 10, nodes: int = 5, booting: int = 0) -> int:
        return self.tracking.act(now, cpu / 100 * running * 256, pool(nodes), booting)


def test_nodes_follow_the_cpu_of_the_tasks_on_them() -> None:
    group = Group()
    # 10 tasks at 240 % of an eighth each on 5 nodes: 60 % of them, twice the target.
    assert [group.see(60 * minute, 240) for minute in range(3)] == [0, 0, 5]
    assert group.tracking.source == MINUTE
    assert group.tracking.name == "node CPU"


def test_nodes_at_their_target_stay() -> None:
    group = Group()
    assert [group.see(60 * minute, 120) for minute in range(20)] == [0] * 20
    assert [group.see(60 * minute, 108) for minute in range(20)] == [0] * 20
    assert group.see(2000, 240) == group.see(2060, 240) == 0
    assert group.see(2120, 120) == group.see(2180, 240) == 0


def test_a_group_that_tracks_its_cpu_waits_five_minutes_after_a_launch() -> None:
    group = Group()
    for minute in range(3):
        group.see(60 * minute, 240)
    assert group.see(120 + 299, 240, booting=0) == 0
    assert group.see(120 + 300, 240, booting=2) == 3


def test_a_group_that_tracks_its_cpu_keeps_within_its_bounds() -> None:
    group = Group(max_nodes=7)
    assert [group.see(60 * minute, 900) for minute in range(3)] == [0, 0, 2]
    full = Group(max_nodes=5)
    assert [full.see(60 * minute, 900) for minute in range(4)] == [0, 0, 0, 0]
    # Nothing was launched, so that nothing warms up.
    assert [full.see(240 + 60 * minute, 12) for minute in range(15)] == [0] * 14 + [-2]
    idle = Group(min_nodes=4)
    assert [idle.see(60 * minute, 0) for minute in range(15)] == [0] * 14 + [-1]
    least = Group(min_nodes=5)
    assert [least.see(60 * minute, 0) for minute in range(15)] == [0] * 15


def test_a_quarter_of_an_hour_below_nine_tenths_takes_nodes_away() -> None:
    group = Group()
    assert [group.see(60 * minute, 12) for minute in range(15)] == [0] * 14 + [-2]
    assert group.see(900, 108) == 0
    assert group.see(960, 12) == 0


def test_without_a_node_there_is_no_cpu_to_track() -> None:
    assert Group().see(0, 240, nodes=0) == 0
