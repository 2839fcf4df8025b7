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
from scaleout_cfn.config import conflicts
from scaleout_cfn.errors import UsageError
from scaleout_cfn.config.scaling import Scaling, StepAdjustment, StepScaling, TargetTracking
from scaleout_cfn.simulator.read import model_of, read

FOLDER = Path(__file__).parents[2] / "templates_out"


def _as_read(scaling: Scaling) -> Scaling:
    """What templates can say of a scaling: a policy that is off leaves no trace, and no 20 s metric without a use."""
    changes: dict[str, Any] = {}
    for name in ("cpu", "memory", "requests"):
        policy: TargetTracking = getattr(scaling, name)
        if not policy.enabled:
            changes[name] = getattr(Scaling(), name)
            changes[name] = msgspec.structs.replace(changes[name], enabled=False)
    return msgspec.structs.replace(scaling, **changes)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(configs())
def test_the_policies_of_a_config_come_back_from_its_templates(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    model = model_of(templates)
    assert model.scaling == _as_read(config.scaling)
    assert (model.min_nodes, model.max_nodes) == (config.cluster.min_nodes, config.cluster.max_nodes)
    assert model.instance_type == config.cluster.instance_types[0]
    assert model.placement == config.service.placement
    assert model.health_check_interval_s == config.load_balancer.health_check.interval_s
    assert model.deregistration_delay_s == config.load_balancer.deregistration_delay_s


steps = st.builds(
    StepScaling,
    name=st.just("Up"),
    metric=st.sampled_from(["cpu", "memory"]),
    when=st.sampled_from(["above", "below"]),
    threshold_percent=st.sampled_from([50.0, 70.5, 300.0]),
    period_s=st.sampled_from([30, 60]),
    periods=st.integers(1, 60),
    cooldown_s=st.integers(0, 3600),
    adjustment_type=st.sampled_from(["ChangeInCapacity", "ExactCapacity"]),
    steps=st.just((StepAdjustment(adjustment=1), StepAdjustment(distance=12.5, adjustment=40))),
) | st.builds(
    StepScaling,
    name=st.just("Down"),
    threshold_percent=st.just(40.0),
    adjustment_type=st.just("PercentChangeInCapacity"),
    min_adjustment_magnitude=st.integers(1, 1000),
    steps=st.just((StepAdjustment(adjustment=-10), StepAdjustment(distance=20, adjustment=-50))),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=2, unique_by=lambda policy: policy.name))
def test_every_kind_of_step_comes_back_from_yaml(tmp_path: Path, policies: list[StepScaling]) -> None:
    config = sc.Config(scaling=sc.Scaling(step_policies=tuple(policies)))
    assert conflicts(config) == []
    sc.write(tmp_path, sc.render(sc.compose(config)))
    assert read(tmp_path).scaling.step_policies == tuple(policies)


def test_the_committed_set_is_the_default_config() -> None:
    model = read(FOLDER)
    assert model.scaling == sc.Config().scaling
    assert model.zones == 2
    assert (model.network.nat_gateways, model.network.public_addresses) == (1, 3)
    type_ = capacity.instance_type(model.instance_type)
    assert model.node_cpu_units == type_.vcpus * 1024


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
        (lambda set_: set_.pop("service.yaml"), "AWS::ECS::Service: none"),
        (lambda set_: set_.pop("cluster.yaml"), "AWS::AutoScaling::AutoScalingGroup: none"),
        (
            lambda set_: set_["autoscaling.yaml"]["Resources"]["CpuTracking"]["Properties"].update(
                PolicyType="PredictiveScaling"
            ),
            "it is of type PredictiveScaling",
        ),
        (
            lambda set_: set_["cluster.yaml"]["Resources"]["CapacityProvider"]["Properties"][
                "AutoScalingGroupProvider"
            ]["ManagedScaling"].update(Status="DISABLED"),
            "managed scaling is off",
        ),
        (
            lambda set_: set_["cluster.yaml"]["Resources"]["Nodes"]["Properties"].update(MaxSize={"Ref": "VpcId"}),
            "MaxSize is no number",
        ),
    ],
)
def test_a_set_that_cannot_be_simulated_says_what_is_wrong(change: Any, says: str) -> None:
    templates = sc.set_of(sc.compose(sc.Config()))
    change(templates)
    with pytest.raises(UsageError, match=says):
        model_of(templates)


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no templates in it"):
        read(tmp_path)
    with pytest.raises(UsageError, match="give a folder"):
        read(tmp_path / "nowhere")
