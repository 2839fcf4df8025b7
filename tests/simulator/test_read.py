"""Templates to models: what was rendered is what is simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import configs

import scaleout_cfn as sc
from scaleout_cfn import capacity
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.scaling import Scaling, StepAdjustment, StepScaling, TargetTracking, pulse_steps, schedules_of
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import Fargate, Standing, StandingBy
from scaleout_cfn.simulator.read import model_of, read

FOLDER = Path(__file__).parents[2] / "templates_out"


def _as_standing_by(pool: sc.Ec2Capacity) -> StandingBy | None:
    warm = pool.warm_pool
    if warm is None:
        return None
    prepared = pool.max_nodes if warm.max_prepared_nodes < 0 else warm.max_prepared_nodes
    return StandingBy(warm.state, warm.min_nodes, prepared)


def _as_read(scaling: Scaling) -> Scaling:
    """What templates can say of a scaling: a policy that is off leaves no trace, and no 20 s metric without a use."""
    changes: dict[str, Any] = {}
    for name in ("cpu", "memory", "requests"):
        policy: TargetTracking = getattr(scaling, name)
        if not policy.enabled:
            changes[name] = getattr(Scaling(), name)
            changes[name] = msgspec.structs.replace(changes[name], enabled=False)
    pulse = scaling.pulse
    if pulse is not None:
        # Where the tasks' counts come from is nothing that scaling sees.
        shown = ("target_rps", "scale_out_cooldown_s", "scale_in_cooldown_s")
        changes["pulse"] = sc.LogPulse(**{name: getattr(pulse, name) for name in shown})
        changes["step_policies"] = (*scaling.step_policies, *pulse_steps(pulse))
    used = {policy.metric for policy in scaling.step_policies} | {
        name for name in ("cpu", "memory") if getattr(scaling, name).enabled
    }
    fast = scaling.high_resolution and bool(used & {"cpu", "memory"})
    if scaling.predictive and not scaling.predictive.target:
        kept = getattr(scaling, scaling.predictive.metric).target
        changes["predictive"] = msgspec.structs.replace(scaling.predictive, target=kept)
    return msgspec.structs.replace(scaling, **changes, high_resolution=fast)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(configs())
def test_the_policies_of_a_config_come_back_from_its_templates(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    for unit in sc.units(config):
        predictive = unit.scaling.predictive
        try:
            model = model_of(templates, service=unit.name)
        except UsageError as error:
            # Of GPUs, for one, no price is known.
            assert isinstance(unit.pool, sc.ManagedCapacity)
            assert "no instance type of" in str(error)
            continue
        assert model.service == unit.name
        if unit.queue:
            assert model.backlog and model.backlog.first_cooldown_s is not None
            assert model.backlog.tracking.target == unit.queue.messages_per_task
            continue  # what else scales it is its own only where something of it is changed
        assert model.backlog is None
        is_share = isinstance(unit.pool, sc.Ec2Capacity) and unit.settings.cpu_is != "quota"
        assert model.cpu_is == ("share" if is_share else "quota")
        only = predictive is not None and predictive.mode == "forecast-only"
        assert any("only forecasts" in note for note in model.notes) == only
        schedules = tuple(schedules_of(config, unit.settings.scaling))
        assert model.scaling == _as_read(msgspec.structs.replace(unit.settings.scaling, schedules=schedules))
        assert model.task.cpu_units == unit.settings.cpu_units
        if isinstance(unit.pool, sc.Ec2Capacity):
            nodes = model.nodes
            assert nodes is not None
            assert nodes.name == unit.pool_name
            assert nodes.scaling == unit.pool.scaling
            assert (nodes.min_nodes, nodes.max_nodes) == (unit.pool.min_nodes, unit.pool.max_nodes)
            assert (nodes.spot_percent, nodes.on_demand_base) == (unit.pool.spot_percent, unit.pool.on_demand_base)
            assert nodes.instance_type == unit.pool.instance_types[0]
            assert model.placement == unit.settings.placement
            assert model.packed
            assert nodes.warm == _as_standing_by(unit.pool)
        elif isinstance(unit.pool, sc.ManagedCapacity):
            nodes = model.nodes
            assert nodes is not None and nodes.managed
            assert nodes.managed.scale_in_after_s == unit.pool.scale_in_after_s
            assert (nodes.name, nodes.disk_gib) == (unit.pool_name, unit.pool.storage_gib)
            assert nodes.spot_percent == (100 if unit.pool.option == "spot" else 0)
        else:
            assert model.pool == Fargate(unit.architecture, unit.pool.spot_percent, unit.pool.on_demand_base)
        if isinstance(unit.settings, sc.WebService):
            assert model.health_check_interval_s == unit.settings.health_check.interval_s
            assert model.deregistration_delay_s == unit.settings.deregistration_delay_s
            assert model.slow_start_s == unit.settings.slow_start_s


steps = st.builds(
    StepScaling,
    name=st.just("Up"),
    metric=st.sampled_from(["cpu", "memory"]),
    when=st.sampled_from(["above", "below"]),
    threshold=st.sampled_from([50.0, 70.5, 300.0]),
    period_s=st.sampled_from([30, 60]),
    periods=st.integers(1, 60),
    cooldown_s=st.integers(0, 3600),
    adjustment_type=st.sampled_from(["ChangeInCapacity", "ExactCapacity"]),
    steps=st.just((StepAdjustment(adjustment=1), StepAdjustment(distance=12.5, adjustment=40))),
) | st.builds(
    StepScaling,
    name=st.just("Down"),
    threshold=st.just(40.0),
    adjustment_type=st.just("PercentChangeInCapacity"),
    min_adjustment_magnitude=st.integers(1, 1000),
    steps=st.just((StepAdjustment(adjustment=-10), StepAdjustment(distance=20, adjustment=-50))),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=2, unique_by=lambda policy: policy.name))
def test_every_kind_of_step_comes_back_from_yaml(tmp_path: Path, policies: list[StepScaling]) -> None:
    config = sc.Config(services={"web": sc.WebService(scaling=sc.Scaling(step_policies=tuple(policies)))})
    assert conflicts(config) == []
    sc.write(tmp_path, sc.render(sc.compose(config)))
    assert read(tmp_path).scaling.step_policies == tuple(policies)


def test_the_committed_set_is_the_default_config() -> None:
    model = read(FOLDER)
    assert model.scaling == sc.WebService().scaling
    assert model.nodes is not None
    assert model.nodes.zones == 2
    assert (model.network.nat_gateways, model.network.public_addresses) == (1, 3)
    type_ = capacity.instance_type(model.nodes.instance_type)
    assert model.nodes.cpu_units == type_.vcpus * 1024


def test_the_plain_type_of_target_tracking_goes_by_the_minute_though_metrics_come_every_20_s() -> None:
    config = sc.Config(services={"web": sc.WebService(scaling=sc.Scaling(memory=TargetTracking(enabled=True)))})
    templates = sc.set_of(sc.compose(config))
    assert model_of(templates).by_minute == ()
    policy = templates["web-service.yaml"]["Resources"]["MemoryTracking"]["Properties"]
    metric = policy["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
    metric["PredefinedMetricType"] = "ECSServiceAverageMemoryUtilization"
    assert model_of(templates).by_minute == ("memory",)
    config = sc.Config(services={"web": sc.WebService(scaling=sc.Scaling(high_resolution=False))})
    assert model_of(sc.set_of(sc.compose(config))).by_minute == ()


def several(**pools: Any) -> dict[str, Any]:
    """The templates of three services, of which two share their nodes."""
    services: dict[str, Any] = {
        "web": sc.WebService(capacity="nodes"),
        "api": sc.WebService(capacity="nodes", route=sc.Route(paths=("/api/*",)), cpu_units=512),
        "mailer": sc.WorkerService(image_of="web", capacity="far", cpu_units=256, memory_mib=512),
    }
    nodes = sc.Ec2Capacity(instance_types=("m7i.large",), max_nodes=40)
    far = pools.get("far", sc.FargateCapacity(spot_percent=70, on_demand_base=2))
    return sc.set_of(sc.compose(sc.Config(services=services, capacity={"nodes": nodes, "far": far})))


def test_one_service_of_several_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="several services: api, mailer, web; say which one by --service NAME"):
        model_of(several())
    with pytest.raises(UsageError, match="no service shop; there is api, mailer, web"):
        model_of(several(), service="shop")


def test_what_shares_the_nodes_takes_its_places_at_its_fewest_tasks_and_is_named() -> None:
    web, api = (model_of(several(), service=name) for name in ("web", "api"))
    assert web.nodes is not None and api.nodes is not None
    # Of 2,048 CPU units: eight tasks of web, or four of api.
    assert (web.tasks_per_node, web.nodes.standing) == (8, (Standing("api", 2, api.task),))
    assert (api.tasks_per_node, api.nodes.standing) == (4, (Standing("web", 2, web.task),))
    assert web.nodes.room == api.nodes.room
    assert "2 tasks of api, the fewest that there may be" in web.left_out[0]
    assert "mailer" not in web.left_out[0]


def test_what_nobody_can_know_of_fargate_spot_is_said() -> None:
    mailer = model_of(several(), service="mailer")
    assert mailer.pool == Fargate("x86_64", 70, 2)
    assert "70 % of the tasks above the first 2 are on Fargate Spot" in mailer.notes[0]
    assert not any("Spot" in note for note in model_of(several(far=sc.FargateCapacity()), service="mailer").notes)


def test_a_service_behind_no_balancer_has_no_health_check_to_wait_for() -> None:
    mailer, web = (model_of(several(), service=name) for name in ("mailer", "web"))
    assert mailer.health_check_interval_s is None
    assert mailer.deregistration_delay_s == 0
    assert "No load balancer sends requests to mailer" in mailer.notes[-1]
    assert web.health_check_interval_s == 10


@pytest.mark.parametrize(
    ("egress", "nat", "endpoints", "public"),
    [("nat-per-zone", 2, 0, False), ("single-nat", 1, 0, False), ("public-subnets", 0, 0, True)],
)
def test_what_is_paid_by_the_hour_is_found(egress: Any, nat: int, endpoints: int, public: bool) -> None:
    network = sc.NewVpc(egress=egress)
    found = model_of(sc.set_of(sc.compose(sc.Config(network=network)))).network
    assert (found.nat_gateways, found.endpoint_addresses, found.public_nodes) == (nat, endpoints, public)


def test_interface_endpoints_are_counted_in_each_zone() -> None:
    found = model_of(sc.set_of(sc.compose(sc.Config(network=sc.NewVpc(egress="endpoints"))))).network
    assert found.nat_gateways == 0
    assert found.endpoint_addresses >= 2
    assert found.endpoint_addresses % 2 == 0
    assert not found.public_nodes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda set_: set_.pop("web-service.yaml"), "AWS::ECS::Service: none"),
        (lambda set_: set_.pop("capacity.yaml"), "of AWS::AutoScaling::AutoScalingGroup there is: none"),
        (
            lambda set_: set_["web-service.yaml"]["Resources"]["CpuTracking"]["Properties"].update(
                PolicyType="SimpleScaling"
            ),
            "it is of type SimpleScaling",
        ),
        (
            lambda set_: set_["capacity.yaml"]["Resources"]["NodesGroup"]["Properties"].update(
                MaxSize={"Ref": "VpcId"}
            ),
            "MaxSize is no number",
        ),
    ],
)
def test_a_set_that_cannot_be_simulated_says_what_is_wrong(change: Any, says: str) -> None:
    templates = sc.set_of(sc.compose(sc.Config()))
    change(templates)
    with pytest.raises(UsageError, match=says):
        model_of(templates)


def test_nodes_that_nothing_moves_are_as_many_as_there_are() -> None:
    templates = sc.set_of(sc.compose(sc.Config()))
    resources = templates["capacity.yaml"]["Resources"]
    provider = resources["NodesCapacityProvider"]["Properties"]["AutoScalingGroupProvider"]
    provider["ManagedScaling"]["Status"] = "DISABLED"
    resources["NodesGroup"]["Properties"]["DesiredCapacity"] = 3
    model = model_of(templates)
    assert model.nodes is not None and (model.nodes.min_nodes, model.nodes.max_nodes) == (3, 3)
    assert "Nothing moves its nodes: there are 3 of them" in " ".join(model.notes)


def test_a_warm_pool_is_told_and_one_that_hibernates_is_refused() -> None:
    templates = sc.set_of(sc.compose(sc.Config(capacity={"nodes": sc.Ec2Capacity(warm_pool=sc.WarmPool())})))
    assert "A warm pool stands by, stopped" in " ".join(model_of(templates).notes)
    templates["capacity.yaml"]["Resources"]["NodesWarmPool"]["Properties"]["PoolState"] = "Hibernated"
    with pytest.raises(UsageError, match="NodesWarmPool: its nodes are Hibernated; that cannot be simulated"):
        model_of(templates)


def test_a_service_that_fills_no_node_first_is_told_apart() -> None:
    templates = sc.set_of(sc.compose(sc.Config()))
    service = templates["web-service.yaml"]["Resources"]["Service"]["Properties"]
    service["PlacementStrategies"] = [{"Type": "spread", "Field": "attribute:ecs.availability-zone"}]
    assert model_of(templates).placement == "random"
    service["PlacementStrategies"] += [{"Type": "spread", "Field": "instanceId"}]
    assert model_of(templates).placement == "instances"


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no templates in it"):
        read(tmp_path)
    with pytest.raises(UsageError, match="give a file or a folder"):
        read(tmp_path / "nowhere")
