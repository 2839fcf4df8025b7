"""What a run comes to: shares, hours, money, ranges, verdicts over the bands."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.aws.client import Aws, Target
from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import TargetTracking, pulse_steps
from scaleout_cfn.errors import AccessError, ScaleoutError, UsageError
from scaleout_cfn.profiles import PROFILES
from scaleout_cfn.simulator import search
from scaleout_cfn.simulator.figures import rows
from scaleout_cfn.simulator.model import (
    BANDS,
    Backlog,
    Delays,
    Fargate,
    HourlyCosts,
    Load,
    Model,
    NodePool,
    Size,
    corners,
)
from scaleout_cfn.simulator.peers import peers, with_profile
from scaleout_cfn.simulator.prices import REGIONS, UNITS, as_json_text, between, cost, load_prices, prices_of, refresh
from scaleout_cfn.simulator.results import Range, Result, demand, measure, oracle_node_hours, ranges
from scaleout_cfn.simulator.run import PHASES, Busy, State, Trace, phases, run
from scaleout_cfn.simulator.search import Tried, advise, candidates, overlay
from scaleout_cfn.simulator.study import each, over_phases, study, study_together
from scaleout_cfn.simulator.traffic import Traffic, synthetic

from .sets import LOAD, model, on_fargate

PRICES = prices_of("us-east-1")
CROWD = synthetic("flash-crowd", {"base": 50, "peak": 400, "at": 600, "hours": 1})


def _result(**changes: Any) -> Result:
    made = model(**changes)
    return measure(run(made, LOAD, Delays(), CROWD), made, LOAD, PRICES, 0.0)


def test_a_crowd_is_missed_in_part_and_a_calm_is_not() -> None:
    assert 0.01 < _result().objective_missed < 0.5
    assert _result(min_tasks=20, min_nodes=5).objective_missed < 0.001


def test_dropped_requests_are_missed_too() -> None:
    found = _result(max_tasks=3)
    assert 0 < found.dropped <= found.objective_missed <= 1


def test_quantiles_rise_and_end_at_the_timeout() -> None:
    found = _result(max_tasks=3)
    assert 0 <= found.wait_p50_s <= found.wait_p95_s <= found.wait_p99_s <= LOAD.timeout_s + 1e-6


def test_the_response_is_the_wait_and_the_service() -> None:
    """Nobody waits in a calm: the response is the service time, exponential with a mean of 80 ms."""
    calm = synthetic("step", {"base": 20, "peak": 20, "hours": 0.5})
    made = model(min_tasks=20, min_nodes=5)
    found = measure(run(made, LOAD, Delays(), calm), made, LOAD, PRICES, 0.0)
    assert found.wait_p99_s == 0
    assert found.objective_missed < 1e-6
    for quantile, share in ((found.response_p50_s, 0.5), (found.response_p95_s, 0.05), (found.response_p99_s, 0.01)):
        assert quantile == pytest.approx(-0.08 * math.log(share), rel=0.01)
    answered = dataclasses.replace(LOAD, objective_on="response")
    late = measure(run(made, answered, Delays(), calm), made, answered, PRICES, 0.0).objective_missed
    assert late == pytest.approx(math.exp(-0.25 / 0.08), rel=0.01)


def test_instance_hours_are_those_of_the_group_boot_included() -> None:
    found = _result(min_nodes=4, max_nodes=4)
    assert found.instance_hours == pytest.approx(4.0)
    assert found.most_nodes == 4


def test_shares_of_time_tell_too_few_from_too_many() -> None:
    few, many = _result(max_tasks=2), _result(min_tasks=30, min_nodes=5)
    assert few.under_provisioned_share > 0.2
    assert few.under_accuracy > 0
    assert many.under_provisioned_share == 0
    assert many.over_provisioned_share > 0.9
    assert many.over_accuracy > few.over_accuracy


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16))
def test_no_run_without_misses_costs_less_than_perfect_foresight(seed: int) -> None:
    traffic = synthetic("noise", {"mean": 300, "spread": 0.6, "hours": 1, "seed": seed})
    made = model()
    need = demand(traffic.requests, LOAD)
    oracle = oracle_node_hours(need, made, LOAD, Delays())
    # The least: the nodes that are needed, second by second, without any boot.
    least = np.maximum(np.ceil(need / 6), 2).sum() / 3600
    peak = max(np.ceil(need.max() / 6), 2) * len(need) / 3600
    assert least <= oracle + 1e-9
    assert oracle <= peak + 1e-9


def test_the_oracle_pays_a_boot_for_each_launch_and_bridges_short_gaps() -> None:
    made, delays = model(min_nodes=0), Delays()
    boot = delays.node_launch_s + delays.node_join_s + delays.image_pull_s + delays.task_start_s
    once = np.zeros(3600)
    once[1000:1100] = 1
    assert oracle_node_hours(once, made, LOAD, delays) == pytest.approx((100 + boot) / 3600)
    twice = once.copy()
    twice[1100 + boot // 2 : 1300] = 1
    assert oracle_node_hours(twice, made, LOAD, delays) == pytest.approx((300 + boot) / 3600)


def _ran(seconds: int, *, node_hours: float = 0, task_hours: float = 0, launches: int = 0) -> Trace:
    nothing = np.zeros(seconds)
    return Trace(
        nothing, nothing, nothing, node_seconds=3600 * node_hours, task_seconds=3600 * task_hours, launches=launches
    )


def test_on_fargate_a_task_is_paid_by_its_size_and_no_instance_is() -> None:
    """Four tasks of half a vCPU and 1 GB for an hour, at the prices of us-east-1."""
    for architecture, vcpu, gb in (("x86_64", 0.04048, 0.004445), ("arm64", 0.03238, 0.00356)):
        made = on_fargate(pool=Fargate(architecture), task=Size(512, 1024))  # type: ignore[arg-type]
        found = cost(made, LOAD, PRICES, _ran(3600, task_hours=4))
        assert found.fargate == pytest.approx(4 * (0.5 * vcpu + gb))
        assert found.instances == found.disks == found.nat == 0
    public = on_fargate(network=HourlyCosts(public_nodes=True))
    assert cost(public, LOAD, PRICES, _ran(3600, task_hours=4)).addresses == pytest.approx(4 * 0.005)


def test_everything_that_is_paid_by_the_hour_is_paid() -> None:
    network = HourlyCosts(nat_gateways=2, endpoint_addresses=4, public_addresses=3, public_nodes=True)
    found = cost(model(network=network), LOAD, PRICES, _ran(7200, node_hours=10, launches=3))
    unit = PRICES.units
    assert found.instances == pytest.approx(10 * PRICES.instances["t3.small"])
    assert found.load_balancer == pytest.approx(2 * unit["load_balancer_hour"])
    assert found.nat == pytest.approx(4 * unit["nat_gateway_hour"] + 0.3 * unit["nat_gateway_gib"])
    assert found.endpoints == pytest.approx(8 * unit["endpoint_hour"])
    assert found.addresses == pytest.approx((6 + 10) * unit["public_ipv4_hour"])
    assert found.metrics > 0
    assert found.total == pytest.approx(sum(vars(found).values()))


def test_a_pulse_is_paid_by_its_metric_its_alarms_and_what_each_task_prints() -> None:
    pulse = LogPulse(target_rps=25)
    made = model(pulse=pulse, step_policies=pulse_steps(pulse))
    month, tasks = 730 * 3600, 730 * 8
    plain, told = (cost(one, LOAD, PRICES, _ran(month, task_hours=tasks)).metrics for one in (model(), made))
    lines_gb = tasks * 360 * 300 / 1e9
    assert told - plain == pytest.approx(0.3 + 2 * 0.3 + 2 * 0.1 + 0.5 * lines_gb)


def test_metrics_and_alarms_are_paid_for_what_scales() -> None:
    """A tracked metric has two alarms; of 20 s they cost three times as much, and the metric itself costs."""

    def month(**changes: Any) -> float:
        return cost(model(**changes), LOAD, PRICES, _ran(730 * 3600)).metrics

    off, on = TargetTracking(enabled=False, target=50), TargetTracking(enabled=True, target=50)
    assert month(cpu=off, high_resolution=True) == 0
    assert month(cpu=on, high_resolution=False) == pytest.approx(2 * 0.1)
    assert month(cpu=on, high_resolution=True) == pytest.approx(0.3 + 2 * 0.3)
    assert month(cpu=on, memory=on, requests=on, high_resolution=True) == pytest.approx(2 * 0.3 + 4 * 0.3 + 2 * 0.1)


def test_a_queue_is_paid_for_three_requests_a_message_and_for_asking_in_vain() -> None:
    waits = TargetTracking(enabled=True, target=60)
    worker = on_fargate(cpu=TargetTracking(), backlog=Backlog(waits, 300), health_check_interval_s=None)
    busy = Trace(np.full(3600, 100.0), np.zeros(3600), np.zeros(3600), task_seconds=3600 * 4)
    paid = cost(worker, LOAD, PRICES, busy)
    # Two of four tasks' time is work; the rest asks every 20 s.
    assert paid.queue == pytest.approx((3 * 360_000 + 2 * 180) / 1e6 * PRICES.units["sqs_million_requests"])
    # Two alarms of three metrics, and the first task's of two.
    assert paid.metrics == pytest.approx(8 * PRICES.units["alarm_month"] / 730)
    assert cost(on_fargate(), LOAD, PRICES, busy).queue == 0


def test_tasks_on_fargate_spot_cost_a_share_and_those_of_the_base_all() -> None:
    states = [State(0, 4, 4, 4, 0, 0, 0), State(1800, 2, 2, 2, 0, 0, 0)]
    trace = dataclasses.replace(_ran(3600, task_hours=3), states=states)

    def fargate(**pool: Any) -> float:
        return cost(on_fargate(pool=Fargate(**pool)), LOAD, PRICES, trace).fargate

    whole, share = fargate(), PRICES.units["fargate_spot_share"]
    assert fargate(spot_percent=100) == pytest.approx(whole * share)
    # Two of four, then none of two, are above the base: one task-hour of three.
    assert fargate(spot_percent=50, on_demand_base=2) == pytest.approx(whole * (1 - (1 - share) * 0.5 / 3))


def test_the_cost_lies_between_what_the_bands_of_prices_allow() -> None:
    """Money is amounts times prices: what has no band costs one sum, and the rest no less and no more than its band."""
    bands = {**PRICES.bands, "public_ipv4_hour": (0.004, 0.007)}
    prices = dataclasses.replace(PRICES, bands=bands)
    made = model(network=HourlyCosts(public_addresses=3))
    usd, least, most = between(made, LOAD, prices, _ran(7200, node_hours=10))
    assert [usd - least, most - usd] == pytest.approx([6 * 0.001, 6 * 0.002])
    assert list(between(made, LOAD, PRICES, _ran(7200, node_hours=10))) == pytest.approx([usd] * 3)
    spot = study(on_fargate(pool=Fargate(spot_percent=100)), LOAD, CROWD, PRICES)
    low, high = spot.band("cost_usd").low, spot.band("cost_usd").high
    assert low < spot.middle["cost_usd"].low <= spot.middle["cost_usd"].high < high


def test_a_node_that_stands_by_stopped_costs_its_volume() -> None:
    trace = dataclasses.replace(_ran(7200, node_hours=10), stopped_seconds=6 * 3600)
    found = cost(model(), LOAD, PRICES, trace)
    assert found.disks == pytest.approx(16 * 30 * PRICES.units["gp3_gib_month"] / 730)
    assert found.instances == pytest.approx(10 * PRICES.instances["t3.small"])


def test_an_instance_type_without_a_price_is_refused_with_the_cure() -> None:
    with pytest.raises(UsageError, match=r"m9z\.huge: no price of .* or run prices refresh"):
        cost(model(instance_type="m9z.huge"), LOAD, PRICES, _ran(60, node_hours=1))


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_all_prices_of_one_magnitude_and_says_where_from(region: str) -> None:
    prices = prices_of(region)
    assert (prices.region, bool(prices.as_of)) == (region, True)
    assert {"t2.micro", "t3.small", "t4g.small", "m7i.large", "c6a.xlarge", "m7g.large"} <= prices.instances.keys()
    assert set(prices.units) == set(UNITS)
    assert set(prices.sources) == {"instances", *UNITS}
    assert all(prices.sources.values())
    for name, price in {**prices.units, **prices.instances}.items():
        assert price == pytest.approx({**PRICES.units, **PRICES.instances}[name], rel=0.5), name
    # What is from memory is a band, and what moves.
    assert prices.bands.keys() == {
        name for name, source in prices.sources.items() if "memory" in source or "moves" in source
    }


def test_a_region_without_prices_gets_those_of_another_by_name() -> None:
    assert {"us-east-1", "eu-west-1", "ap-southeast-2"} <= set(REGIONS)
    assert prices_of("moon-1").region == prices_of("").region == "us-east-1"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"units": {}, "instances": {}}'])
def test_a_bad_price_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="no price file"):
        load_prices(file)


def test_a_price_file_of_ones_own_is_used(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(as_json_text(PRICES).replace('"t3.small": 0.0208', '"t3.small": 9'))
    assert load_prices(file).instances["t3.small"] == 9
    file.write_text(as_json_text(PRICES).replace('"t3.small": 0.0208', '"t3.small": -9'))
    with pytest.raises(UsageError, match=r"t3\.small costs -9"):
        load_prices(file)
    file.write_text(as_json_text(dataclasses.replace(PRICES, bands={"spot_share": (0.5, 0.6)})))
    with pytest.raises(UsageError, match=r"band of spot_share is 0\.5 to 0\.6"):
        load_prices(file)


def _product(attributes: dict[str, str], unit: str, *usd: str) -> str:
    """A product as the Price List API gives it: its shape, with the attributes that matter and some that do not.

    Several prices are tiers, the first of them up to a thousand.
    """
    sku = "85GJDFZQJ9EFABJT"
    dimensions: dict[str, Any] = {
        f"{sku}.JRTCKXETXF.{index}": {
            "unit": unit,
            "endRange": "Inf" if index == len(usd) - 1 else "1000",
            "description": f"${price} per {unit}",
            "appliesTo": [],
            "rateCode": f"{sku}.JRTCKXETXF.{index}",
            "beginRange": str(1000 * index),
            "pricePerUnit": {"USD": price},
        }
        for index, price in reversed(list(enumerate(usd)))
    }
    term = {
        "priceDimensions": dimensions,
        "sku": sku,
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    }
    reserved = {"priceDimensions": {"x": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0001"}}}}
    product = {"productFamily": "Some Family", "attributes": {"servicecode": "X", **attributes}, "sku": sku}
    terms = {"OnDemand": {f"{sku}.JRTCKXETXF": term}, "Reserved": {f"{sku}.38NPMPTW36": reserved}}
    return json.dumps({"product": product, "serviceCode": "X", "terms": terms, "version": "20261119162807"})


def _asked(service: str, **wanted: str) -> dict[str, Any]:
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    return {"ServiceCode": service, "Filters": filters}


@pytest.fixture
def aws() -> Aws:
    return Aws(Target(region="us-east-1", keys=("a", "b")))


def test_prices_are_refreshed_from_the_price_list(aws: Aws) -> None:
    """Every unit that the list has is asked for, each family of products once, and what it does not have is kept."""
    compute = _asked(
        "AmazonEC2",
        regionCode="eu-west-1",
        operatingSystem="Linux",
        tenancy="Shared",
        preInstalledSw="NA",
        capacitystatus="Used",
        marketoption="OnDemand",
    )
    listed = {name: unit for name, unit in UNITS.items() if unit.service}
    with Stubber(aws.client("pricing")) as stub:
        small = _product({"instanceType": "t3.small"}, "Hrs", "0.0228000000")
        stub.add_response(
            "get_products", {"FormatVersion": "aws_v1", "PriceList": [small], "NextToken": "more"}, compute
        )
        large = [
            _product({"instanceType": f"m7i.{size}"}, "Hrs", usd) for size, usd in (("large", "0.1"), ("metal", "0"))
        ]
        stub.add_response("get_products", {"PriceList": large}, {**compute, "NextToken": "more"})
        for service, family in dict.fromkeys((unit.service, unit.family) for unit in listed.values()):
            products = [_product({"usagetype": "EU-SpotUsage-Fargate-vCPU-Hours:perCPU"}, "Hrs", "0.25")]
            for unit in listed.values():
                if (unit.service, unit.family) == (service, family):
                    # The first of the tiers is free, and the last is for those who use much.
                    products += [
                        _product({"usagetype": f"EU-{unit.usage}"}, "Unit", "0.0000000000", "0.5000000000", "0.1"),
                        _product({"usagetype": f"EU-Other-{unit.usage}"}, "Unit", "77"),
                    ]
            named = {"productFamily": family} if family else {}
            stub.add_response("get_products", {"PriceList": products}, _asked(service, regionCode="eu-west-1", **named))
        found = refresh(aws, "eu-west-1", PRICES, "2026-11-23")
        stub.assert_no_pending_responses()
    assert (found.region, found.as_of) == ("eu-west-1", "2026-11-23")
    assert found.instances == {"t3.small": 0.0228, "m7i.large": 0.1}
    assert {name: found.units[name] for name in listed} == {name: 0.5 * unit.per for name, unit in listed.items()}
    assert found.units["fargate_spot_share"] == 0.5
    today = "eu-west-1: AWS Price List API, 2026-11-23"
    assert {found.sources[name] for name in (*listed, "fargate_spot_share")} == {today}
    # Whose the kept ones are is told, and their bands stay.
    assert found.sources["spot_share"] == f"not known of eu-west-1: {PRICES.sources['spot_share']}"
    assert found.bands == {"spot_share": PRICES.bands["spot_share"]}


def test_a_region_without_prices_is_refused(aws: Aws) -> None:
    with Stubber(aws.client("pricing")) as stub:
        stub.add_response("get_products", {"PriceList": []})
        with pytest.raises(UsageError, match="region moon-1: the Price List has no instance prices"):
            refresh(aws, "moon-1", PRICES, "2026-11-23")


def test_a_price_list_that_may_not_be_read_is_one_message_with_exit_code_8(aws: Aws) -> None:
    with Stubber(aws.client("pricing")) as stub:
        stub.add_client_error("get_products", "AccessDeniedException", "not authorized: pricing:GetProducts", 400)
        with pytest.raises(AccessError, match="pricing get_products: AccessDeniedException") as error:
            refresh(aws, "eu-west-1", PRICES, "2026-11-23")
    assert error.value.exit_code == 8


def test_a_study_covers_twelve_phases_and_the_corners_of_the_bands() -> None:
    found = study(model(), LOAD, CROWD, PRICES)
    assert PHASES >= 12
    assert len(set(phases())) == PHASES
    assert len(found.corners) == 5
    middle, band = found.middle["objective_missed"], found.band("objective_missed")
    assert band.low <= middle.low <= middle.mean <= middle.high <= band.high
    data = found.as_json()
    for name in (
        "objective_missed",
        "dropped",
        "instance_hours",
        "oracle_instance_hours",
        "cost_usd",
        "under_provisioned_share",
    ):
        assert data[name].keys() == {"mean", "low", "high"}
    assert data["settings"]["scaling"]["max_tasks"] == 60
    json.dumps(data, allow_nan=False)


def test_a_study_is_the_same_each_time_and_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = study(model(), LOAD, CROWD, PRICES).as_json()
    monkeypatch.setattr("scaleout_cfn.simulator.study._WORTH_A_POOL", 0)
    assert study(model(), LOAD, CROWD, PRICES).as_json() == alone


def _ends_at_two(item: int) -> int:
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_process_that_is_killed_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaleout_cfn.simulator.study._LOOK_S", 0.05)
    with pytest.raises(ScaleoutError, match="ended from outside"):
        list(each(_ends_at_two, range(5), 10**9))


def test_advice_keeps_the_objective_over_the_bands_where_a_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of settings that miss more over the bands than in the middle, the cheapest whose worst corner is allowed."""

    class Found:
        def __init__(self, missed: float) -> None:
            self.missed = missed

        def band(self, name: str) -> Range:
            return Range(self.missed, self.missed, self.missed * 2)

    kept = [
        Tried(model(max_tasks=tasks), missed, cost, missed)
        for tasks, missed, cost in ((4, 0.9, 1), (5, 0.6, 2), (6, 0.4, 3))
    ]
    missed = {one.model.scaling.max_tasks: one.missed for one in kept}
    monkeypatch.setattr(search, "study", lambda one, *_, **__: Found(missed[one.scaling.max_tasks]))

    def chosen(allowed: float) -> Any:
        return search._through_the_bands(kept, search._Asked(LOAD, CROWD, PRICES, allowed, ()), None)

    assert chosen(1.0).missed == 0.4
    assert chosen(2.0).missed == 0.9
    assert chosen(0.7).missed == 0.6  # none of them: the cheapest that keeps it in the middle


def test_every_band_holds_its_middle_and_every_corner_its_band() -> None:
    for name, (low, high) in BANDS.items():
        assert low <= getattr(Delays(), name) <= high
        assert {getattr(one, name) for one in corners().values()} <= {low, high, getattr(Delays(), name)}


@pytest.mark.parametrize(
    ("type_", "rps", "usd"),
    [
        # Two nodes of 2 vCPUs at 20 %: 0.8 vCPU without surplus. At 50/s a task is busy, and uses 0.25.
        ("t3.small", 160, 0.0),
        ("t3.small", 400, (2.0 - 0.8) * 24 * 0.05),
        ("t4g.small", 400, (2.0 - 0.8) * 24 * 0.04),
        ("t3.xlarge", 400, (2.0 - 1.6) * 24 * 0.05),  # of as many vCPUs here
        ("m7i.large", 400, 0.0),
    ],
)
def test_what_burstable_nodes_use_above_their_baseline_is_billed(type_: str, rps: float, usd: float) -> None:
    made = model(instance_type=type_, min_tasks=10, max_tasks=10, cpu=TargetTracking(), max_nodes=2)
    trace = run(made, LOAD, Delays(), Traffic("steady", np.full(86400, rps)))
    assert cost(made, LOAD, PRICES, trace).credits == pytest.approx(usd)


def test_a_published_launch_lies_inside_the_band() -> None:
    """41 s from a launch to the agent's registration: https://github.com/aws/amazon-ecs-agent/issues/2309"""
    fast, slow = zip(BANDS["node_launch_s"], BANDS["node_join_s"], strict=True)
    assert sum(fast) <= 41 <= sum(slow)


def test_ranges_are_means_between_the_least_and_the_most() -> None:
    found = ranges(over_phases(model(), LOAD, Delays(), CROWD, PRICES, 4))
    assert all(r.low <= r.mean + 1e-9 and r.mean <= r.high + 1e-9 for r in found.values())


def _nodes(made: Model) -> NodePool:
    assert made.nodes is not None
    return made.nodes


def test_what_shares_nodes_pays_for_them_and_for_the_network_once() -> None:
    calm = Traffic("calm", np.full(1800, 100.0))
    web = model(network=HourlyCosts(nat_gateways=1))
    api = dataclasses.replace(web, service="api")
    alone = study_together([Busy(web, LOAD, calm)], PRICES)["web"].middle
    both = study_together([Busy(web, LOAD, calm), Busy(api, LOAD, calm)], PRICES)
    assert both["web"].middle["cost_usd"] == both["api"].middle["cost_usd"]
    assert both["web"].middle["instance_hours"] == alone["instance_hours"]
    assert alone["cost_usd"].mean < both["web"].middle["cost_usd"].mean < 1.2 * alone["cost_usd"].mean


def test_peers_differ_in_policies_and_share_the_infrastructure() -> None:
    made = model()
    found = peers(made)
    assert list(found) == ["seed", "cdk", "express-mode", "copilot", "terraform-aws-modules"]
    for peer in found.values():
        nodes = _nodes(peer)
        assert (nodes.min_nodes, nodes.max_nodes, nodes.instance_type) == (2, 10, "t3.small")
        assert (peer.scaling.min_tasks, peer.scaling.max_tasks) == (2, 60)
        assert not peer.scaling.high_resolution
    assert (found["cdk"].scaling.cpu.target, found["cdk"].scaling.requests.target) == (50, 10000)
    assert _nodes(found["seed"]).cpu_target == 30
    assert _nodes(found["terraform-aws-modules"]).scaling.target_capacity_percent == 60


def test_peers_keep_their_own_numbers_whatever_our_defaults_are() -> None:
    nodes = _nodes(peers(model())["cdk"]).scaling
    assert (nodes.min_step, nodes.max_step, nodes.warmup_s, nodes.target_capacity_percent) == (1, 10000, 300, 100)
    assert _nodes(peers(model())["terraform-aws-modules"]).scaling.min_step == 1


def test_on_fargate_profiles_and_peers_are_policies_alone() -> None:
    made = on_fargate()
    for one in (*peers(made).values(), *(with_profile(made, profile) for profile in PROFILES.values())):
        assert one.pool == made.pool


def test_a_profile_moves_the_policies_and_leaves_the_bounds() -> None:
    made = model(min_tasks=3, max_tasks=33)
    for name, profile in PROFILES.items():
        found = with_profile(made, profile)
        assert (found.scaling.min_tasks, found.scaling.max_tasks) == (3, 33), name
        assert (found.scaling.cpu, _nodes(found).scaling) == (profile.tasks.cpu, profile.nodes.scaling), name
        assert _nodes(found).spot_percent == profile.nodes.spot_percent, name
        assert found.placement == made.placement, name


@pytest.mark.parametrize(("times", "rise"), [(3, 60), (5, 300), (10, 60)])
def test_the_defaults_miss_at_most_half_of_cdk_in_a_crowd_at_no_more_than_1_3_of_its_cost(
    times: float, rise: float
) -> None:
    """In the middle of the bands; docs/scaling.md says where else it holds."""
    made = model(max_tasks=400, max_nodes=80)
    numbers = {"base": 300, "peak": 300 * times, "rise": rise, "hold": 1200, "fall": 900}
    crowd = synthetic("flash-crowd", numbers)
    ours, theirs = (ranges(over_phases(one, LOAD, Delays(), crowd, PRICES)) for one in (made, peers(made)["cdk"]))
    assert ours["objective_missed"].mean <= 0.5 * theirs["objective_missed"].mean
    assert ours["cost_usd"].mean <= 1.3 * theirs["cost_usd"].mean
    assert ours["instance_hours"].mean <= 1.32 * theirs["instance_hours"].mean  # the cost has what does not scale, too


def test_profiles_go_from_cheap_to_few_misses() -> None:
    made = model(max_tasks=400, max_nodes=80)
    crowd = synthetic("flash-crowd", {"base": 300, "peak": 1500})
    found = {
        name: ranges(over_phases(with_profile(made, profile), LOAD, Delays(), crowd, PRICES, 6))
        for name, profile in PROFILES.items()
    }
    misses = [one["objective_missed"].mean for one in found.values()]
    hours = [one["instance_hours"].mean for one in found.values()]
    assert list(found) == ["thrifty", "balanced", "resilient", "spot"]
    assert found["spot"]["cost_usd"].mean <= 1.1 * found["balanced"]["cost_usd"].mean
    assert misses == sorted(misses, reverse=True)
    assert hours == sorted(hours)


def test_the_cheapest_settings_that_keep_the_objective_are_found() -> None:
    traffic = synthetic("ramp", {"base": 100, "peak": 400, "rise": 1800, "hours": 1.5})
    advice = advise(model(), LOAD, traffic, PRICES, allowed=0.02, count=40)
    assert len(advice.every) == 40
    assert advice.best is not None
    assert advice.best.middle["objective_missed"].mean <= 0.02
    costs = [one.cost_usd for one in advice.frontier]
    misses = [one.missed for one in advice.frontier]
    assert costs == sorted(costs)
    assert misses == sorted(misses, reverse=True)


@pytest.mark.parametrize(
    ("traffic", "says"),
    [
        ({"base": 50, "peak": 9000}, "the maximum: at most 60 tasks, where the peak needs"),
        ({"base": 50, "peak": 400, "rise": 1}, "the loops' reaction|boot time|start time|delay of metrics"),
    ],
)
def test_a_traffic_that_nothing_survives_is_told_with_what_limits_it(traffic: dict[str, float], says: str) -> None:
    import re

    advice = advise(model(), LOAD, synthetic("flash-crowd", traffic), PRICES, allowed=0.001, count=12)
    assert advice.best is None
    assert re.search(says, advice.limit)


def test_without_a_balancer_no_requests_are_tracked_and_no_requests_of_it_paid() -> None:
    worker = on_fargate(health_check_interval_s=None)
    assert not [one for one in candidates(worker, LOAD, 300) if one.scaling.requests.enabled]
    busy = Trace(np.full(3600, 1e4), np.zeros(3600), np.zeros(3600))
    assert cost(worker, LOAD, PRICES, busy).load_balancer == pytest.approx(PRICES.units["load_balancer_hour"])
    assert cost(on_fargate(), LOAD, PRICES, busy).load_balancer > 0.5


def test_candidates_are_the_same_each_time_and_begin_with_the_set_itself() -> None:
    made = model()
    assert candidates(made, LOAD, 30) == candidates(made, LOAD, 30)
    assert candidates(made, LOAD, 30)[0] == made


def test_where_tasks_go_to_empty_nodes_first_no_target_capacity_below_100_is_advised() -> None:
    loose = candidates(model(placement="random"), LOAD, 300)
    assert {_nodes(one).scaling.target_capacity_percent for one in loose} == {100}
    packed = candidates(model(), LOAD, 300)
    assert min(_nodes(one).scaling.target_capacity_percent for one in packed) == 60


def test_an_overlay_gives_the_advised_settings_back(tmp_path: Path) -> None:
    from scaleout_cfn.config.file import load

    for one in candidates(model(max_tasks=12), LOAD, 20)[1:]:
        file = tmp_path / "scaleout.toml"
        file.write_text("[services.web.scaling]\nmax_tasks = 12\n" + overlay(one, "advised"))
        config = load(file, environment="advised")
        assert config.services["web"].scaling == one.scaling
        assert getattr(config.capacity["nodes"], "scaling", None) == _nodes(one).scaling


def test_an_overlay_names_the_service_and_its_pool_and_no_nodes_on_fargate() -> None:
    named = overlay(model(service="order-api", name="arm"), "advised")
    assert "[environments.advised.services.order-api.scaling.cpu]" in named
    assert "[environments.advised.capacity.arm.scaling]" in named
    assert "capacity" not in overlay(on_fargate(), "advised")


def test_an_interrupt_ends_the_processes_at_once() -> None:
    script = (
        "from scaleout_cfn.simulator.study import each\n"
        "results = each(sum, [range(10**6)] * 100_000, 10**9)\n"
        "print(next(results), flush=True)\n"
        "list(results)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert running.stdout is not None
    running.stdout.readline()
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(timeout=60) == -signal.SIGINT
    assert running.stdout.read() == b""  # nobody holds the pipe any more
    running.stdout.close()
    assert running.stderr is not None
    assert b"PoolWorker" not in running.stderr.read()  # the script's own traceback only: processes die without a word
    running.stderr.close()


def test_fitted_figures_are_met_within_ten_percent() -> None:
    assert {row.figure.name: round(row.error, 3) for row in rows() if row.figure.fitted and abs(row.error) > 0.1} == {}


def test_figures_that_are_missed_stay_in_the_table() -> None:
    missed = [row.figure for row in rows() if abs(row.error) > 0.1]
    assert [figure.name for figure in missed] == [
        "0 to 3500 containers, all serve",
        "0 to 3500 on Fargate, first one serves",
        "0 to 3500 on Fargate, all serve",
        "an EC2 node registers",
        "a task of 413 MB starts on Fargate",
        "no instance to nginx, Managed Instances",
    ]
    assert not any(figure.fitted for figure in missed)


def test_an_idle_traffic_has_neither_misses_nor_waiting() -> None:
    made = model()
    found = measure(run(made, LOAD, Delays(), Traffic("none", np.zeros(600))), made, LOAD, PRICES, 0.0)
    assert (found.objective_missed, found.wait_p99_s, found.under_provisioned_share) == (0, 0, 0)


def test_a_slow_service_needs_more_tasks_for_the_same_objective() -> None:
    requests = np.array([400.0])
    assert demand(requests, Load(50, objective_s=0.05))[0] > demand(requests, Load(50, objective_s=1))[0]


def test_a_crowd_comes_to_the_same_six_digits_on_every_machine() -> None:
    """Noted down once. Whoever changes the model changes these, and says why."""
    found = study(model(), LOAD, CROWD, PRICES).as_json()
    assert {name: found[name]["mean"] for name in ("objective_missed", "dropped", "wait_p95_s", "cost_usd")} == {
        "objective_missed": 0.0763702,
        "dropped": 0.0197164,
        "wait_p95_s": 3.94374,
        "cost_usd": 0.135415,
    }
    assert found["band"]["objective_missed"] == {"mean": 0.0763702, "low": 0.0588783, "high": 0.100283}
    assert found["instance_hours"] == {"mean": 4.14926, "low": 3.575, "high": 4.73389}
