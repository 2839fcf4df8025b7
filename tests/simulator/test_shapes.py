"""What a service could run on instead, and the search over it."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.capacity import instance_type
from scaleout_cfn.composing import compose
from scaleout_cfn.config.file import load
from scaleout_cfn.config.scaling import Scaling, TargetTracking
from scaleout_cfn.lint import check_set
from scaleout_cfn.rendering import set_of
from scaleout_cfn.simulator.events import fears
from scaleout_cfn.simulator.model import Backlog, Delays, Fargate, Load, Size, Standing
from scaleout_cfn.simulator.placement import places
from scaleout_cfn.simulator.policies import fixed_at
from scaleout_cfn.simulator.prices import prices_of
from scaleout_cfn.simulator.read import model_of
from scaleout_cfn.simulator.results import demand, measure, missed_share
from scaleout_cfn.simulator.run import phases, run
from scaleout_cfn.simulator.search import advise, busy_hours, candidates, overlay
from scaleout_cfn.simulator.shapes import architecture_of, kind_of, kinds_beside, scaled, shapes, words
from scaleout_cfn.simulator.study import each
from scaleout_cfn.simulator.traffic import synthetic

from .sets import LOAD, model, on_fargate

PRICES = prices_of("us-east-1")
CROWD = synthetic("flash-crowd", {"base": 50, "peak": 400, "at": 600, "hours": 1})
SHORT = CROWD.window(400, 1000)
DAY = synthetic("diurnal")


def test_shapes_are_of_every_kind_architecture_and_way_to_buy() -> None:
    found = shapes(model(), PRICES, spot=True)
    assert {kind_of(shape) for shape in found} == {"ec2", "fargate", "managed-instances"}
    assert {architecture_of(shape) for shape in found} == {"x86_64", "arm64"}
    assert {shape.pool.spot_percent for shape in found} == {0, 50, 100}
    assert any(shape.nodes and shape.nodes.warm for shape in found)
    assert not any(shape.pool.spot_percent for shape in shapes(model(), PRICES))
    assert len({words(shape) for shape in found}) == len(found)


def test_nodes_of_another_type_have_places_for_as_many_tasks() -> None:
    today = model()
    assert today.nodes is not None
    for shape in shapes(today, PRICES):
        if shape.nodes:
            assert places(shape.nodes, shape.task) >= places(today.nodes, today.task), words(shape)
            assert shape.nodes.cpu_units == instance_type(shape.nodes.instance_type).vcpus * 1024
    assert all(places(s.nodes, s.task) >= 60 for s in shapes(on_fargate(), PRICES) if s.nodes)


def test_of_types_that_hold_as_many_tasks_the_cheapest_is_looked_at() -> None:
    ec2 = [shape.nodes for shape in shapes(model(), PRICES) if kind_of(shape) == "ec2" and shape.nodes]
    for architecture in ("x86_64", "arm64"):
        for bursts in (False, True):
            priced = {
                (pool.room.holds(model().task), PRICES.instances[pool.instance_type])
                for pool in ec2
                if instance_type(pool.instance_type).architecture == architecture
                and pool.instance_type.startswith("t") == bursts
            }
            # Who holds more costs more.
            by_places = [usd for _, usd in sorted(priced)]
            assert by_places == sorted(by_places)
            assert len({places for places, _ in priced}) == len(priced)


def test_a_task_that_fargate_does_not_sell_gets_the_next_size_and_one_with_a_gpu_none() -> None:
    odd = model(task=Size(256, 700, ports=1))
    sizes = {shape.task.parts[:2] for shape in shapes(odd, PRICES) if isinstance(shape.pool, Fargate)}
    assert sizes == {(256, 1024)}
    graphic = model(task=Size(256, 512, ports=1, gpus=1))
    assert not any(isinstance(shape.pool, Fargate) for shape in shapes(graphic, PRICES))


def test_where_others_share_the_nodes_no_other_shape_is_looked_at() -> None:
    today = model()
    assert today.nodes is not None
    shared = dataclasses.replace(today.nodes, standing=(Standing("api", 2, Size(256, 512)),))
    assert shapes(dataclasses.replace(today, pool=shared), PRICES) == []


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_the_overlay_of_any_shape_with_any_settings_renders_and_lints_clean_and_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    cpu, memory = data.draw(st.sampled_from([(256, 512), (512, 1024), (300, 700)]))
    most = data.draw(st.integers(3, 40))
    kind = data.draw(st.sampled_from(["", 'kind = "worker"\nqueue = {latency_s = 30}']))
    folder = tmp_path_factory.mktemp("overlay")
    text = f"""
        [capacity.nodes]
        instance_types = ["m7i.large"]
        max_nodes = 30
        [services.web]
        {kind}
        cpu_units = {cpu}
        memory_mib = {memory}
        scaling = {{max_tasks = {most}}}
    """
    (folder / "a.toml").write_text(text)
    today = model_of(set_of(compose(load(folder / "a.toml"))), "a", "web")
    shape = data.draw(st.sampled_from(shapes(today, PRICES, spot=True)))
    chosen = data.draw(st.sampled_from(candidates(shape, LOAD, 20, DAY)))
    (folder / "b.toml").write_text(text + overlay(chosen, "advised", today, "nodes", LOAD.task_rps))
    whole = set_of(compose(load(folder / "b.toml", environment="advised")))
    again = model_of(whole, "b", "web")
    assert again.task.parts[:2] == chosen.task.parts[:2]
    assert words(again) == words(chosen)
    assert _in_force(again.scaling) == _in_force(chosen.scaling)
    if again.backlog and chosen.backlog:
        assert again.backlog.tracking.target == pytest.approx(chosen.backlog.tracking.target, abs=0.001)
    assert not check_set(whole)


def _in_force(scaling: Scaling) -> tuple[object, ...]:
    """All that a search sets, but the numbers of policies that are off: no template has them."""
    tracked = [policy for policy in (scaling.cpu, scaling.requests) if policy.enabled]
    return scaling.min_tasks, scaling.max_tasks, scaling.high_resolution, scaling.schedules, tracked


def test_settings_that_are_tried_have_warm_pools_cooldowns_floors_and_schedules() -> None:
    tried = candidates(model(), LOAD, 300, DAY)
    assert {one.nodes.warm.prepared if one.nodes and one.nodes.warm else 0 for one in tried} == {0, 6, 10}
    assert {one.scaling.cpu.scale_out_cooldown_s for one in tried} >= {0, 30, 60}
    # The highest floor is what the peak needs: as many tasks always.
    assert max(one.scaling.min_tasks for one in tried) == demand(DAY.requests, LOAD).max()
    assert {len(one.scaling.schedules) for one in tried} == {0, 2}
    bought = candidates(model(spot_percent=50), LOAD, 300)
    assert not [one for one in bought if one.nodes and one.nodes.warm]


def test_what_nothing_scales_gets_the_default_policies_between_its_quiet_and_its_peak() -> None:
    still = fixed_at(3)
    fargate = scaled(on_fargate(scaling=still), LOAD, CROWD.requests)
    assert fargate.scaling.cpu == Scaling().cpu
    # 50 requests a second are two tasks at rest; 400 at 40 % of 50 are twenty.
    assert (fargate.scaling.min_tasks, fargate.scaling.max_tasks) == (2, 20)
    assert scaled(on_fargate(scaling=fixed_at(30)), LOAD, CROWD.requests).scaling.max_tasks == 30
    assert scaled(on_fargate(scaling=fixed_at(1)), Load(500), CROWD.requests).scaling.min_tasks == 1
    on_nodes = scaled(model(scaling=still, min_nodes=3, max_nodes=3), LOAD, CROWD.requests)
    assert on_nodes.nodes is not None
    assert (on_nodes.nodes.min_nodes, on_nodes.nodes.max_nodes) == (2, 4)
    assert places(on_nodes.nodes, on_nodes.task) >= 20
    unknown = scaled(model(scaling=still, task=Size(0, 512)), LOAD, CROWD.requests).scaling
    assert (unknown.cpu.enabled, unknown.requests.target) == (False, 1200)
    assert scaled(model(), LOAD, CROWD.requests) == model()


def test_an_overlay_of_any_name_is_toml() -> None:
    assert '[environments."a b".services.web.scaling]' in overlay(model(), "a b")
    assert "[environments.a-b.services.web.scaling]" in overlay(model(), "a-b")


def test_a_task_that_is_smaller_than_every_node_still_finds_managed_instances() -> None:
    kinds = {kind_of(shape) for shape in kinds_beside(on_fargate(max_tasks=2), PRICES)}
    assert kinds == {"ec2", "managed-instances", "fargate"}


def test_a_queue_s_messages_are_late_by_their_age_whatever_tries_them() -> None:
    backlog = Backlog(TargetTracking(enabled=True, target=120), 300)
    worker = on_fargate(cpu=TargetTracking(), backlog=backlog, health_check_interval_s=None)
    of_queue = Load(2, objective_s=60)
    some = synthetic("step", {"base": 2, "peak": 20, "at": 300, "hours": 0.3})
    found = advise(worker, of_queue, some, PRICES, allowed=0.9, count=4)
    trace = run(worker, of_queue, Delays(), some, phases()[5])
    assert found.every[0].missed == missed_share(trace, worker, of_queue) > 0
    assert found.every[0].missed == measure(trace, worker, of_queue, PRICES, 0.0).objective_missed
    assert len({t.model.backlog.tracking.target for t in found.every if t.model.backlog}) > 1


def test_what_the_service_alone_takes_is_named_where_it_is_more_than_is_allowed() -> None:
    slow = Load(10, objective_s=0.1, objective_on="response")
    found = advise(model(), slow, SHORT.window(0, 200), PRICES, allowed=0.01, count=2)
    assert found.best is None
    assert found.limit.startswith("the service itself: 77.88% of the requests take longer than 0.1 s without any wait")


def test_a_search_over_shapes_finds_a_cheaper_one_and_tells_what_it_tried() -> None:
    today = model(instance_type="m7i.large", cpu_units=2048, room=Size(2048, 7000, ports=1000))
    others = [s for s in shapes(today, PRICES) if kind_of(s) == "ec2" and s.nodes and not s.nodes.warm]
    found = advise(today, LOAD, CROWD, PRICES, allowed=0.2, count=24, others=others)
    assert len(found.every) <= 24
    assert found.best is not None
    assert found.best.model.pool != today.pool
    own = min(t.cost_usd for t in found.every if t.model.pool == today.pool)
    assert found.best.middle["cost_usd"].mean < own
    costs, misses = [t.cost_usd for t in found.frontier], [t.worst for t in found.frontier]
    assert costs == sorted(costs)
    assert misses == sorted(misses, reverse=True)


def test_what_is_reckoned_with_is_missed_more_and_has_to_keep_the_objective_too() -> None:
    found = advise(
        model(), LOAD, SHORT, PRICES, allowed=0.35, count=8, fears=fears(["zone-lost@peak:86400"], [model()], SHORT)
    )
    assert all(t.befallen >= t.missed for t in found.every)
    assert any(t.befallen > t.missed for t in found.every)
    # What nobody may miss because of it, nothing keeps.
    calm = SHORT.window(0, 200)
    made = model(max_tasks=2, max_nodes=2)
    lost_zone = fears(["zone-lost@peak:86400"], [made], calm)
    lost = advise(made, LOAD, calm, PRICES, allowed=0.01, count=1, fears=lost_zone)
    assert lost.every[0].missed < 0.01 < lost.every[0].befallen
    assert lost.best is None


def test_the_busy_hours_of_a_day_become_schedules() -> None:
    from datetime import UTC, datetime

    day = dataclasses.replace(synthetic("diurnal"), start=datetime(2026, 1, 5, tzinfo=UTC))
    scaling = model().scaling
    busy, quiet = busy_hours(day, LOAD, scaling)
    assert scaling.min_tasks < busy.min_tasks <= busy.max_tasks == scaling.max_tasks
    assert (quiet.min_tasks, quiet.max_tasks) == (scaling.min_tasks, scaling.max_tasks)
    # Without a date it begins at midnight, as its run does.
    assert busy_hours(synthetic("diurnal"), LOAD, scaling) == (busy, quiet)
    assert busy_hours(day.window(0, 3600), LOAD, scaling) == ()


def test_an_executor_does_the_work_in_order() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert list(each(lambda number: number * number, range(100), 1, executor)) == [n * n for n in range(100)]


def test_a_search_runs_on_a_cluster_of_dask() -> None:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        found = advise(model(), LOAD, SHORT, PRICES, allowed=0.35, count=4, executor=client.get_executor())
    assert found == advise(model(), LOAD, SHORT, PRICES, allowed=0.35, count=4)


def test_what_managed_instances_are_is_not_taken_over_by_nodes_of_ec2() -> None:
    fargate = on_fargate()
    managed = next(shape for shape in shapes(fargate, PRICES) if shape.nodes and shape.nodes.managed)
    from_fargate, from_managed = (
        [shape for shape in shapes(made, PRICES) if shape.nodes and not shape.nodes.managed]
        for made in (fargate, managed)
    )
    assert [shape.nodes for shape in from_managed] == [shape.nodes for shape in from_fargate]
    assert {note for shape in from_managed for note in shape.notes} == set()
