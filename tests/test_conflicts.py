"""Tunables that exclude each other do so from the first number on that cannot be, and not before."""

from __future__ import annotations

from typing import Any

import pytest

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts


def web(**settings: Any) -> sc.Config:
    return sc.Config(services={"web": sc.WebService(**settings)})


def pool(**settings: Any) -> sc.Config:
    return sc.Config(capacity={"nodes": sc.Ec2Capacity(**settings)})


def managed(**settings: Any) -> sc.Config:
    return sc.Config(capacity={"nodes": sc.ManagedCapacity(**settings)})


def scaling(**settings: Any) -> sc.Config:
    return web(scaling=sc.Scaling(**settings))


def stepping(*steps: tuple[float, int], high_resolution: bool = False, **settings: Any) -> sc.Config:
    policy = sc.StepScaling(
        name="Up",
        threshold_percent=50,
        **settings,
        steps=tuple(sc.StepAdjustment(distance=distance, adjustment=adjustment) for distance, adjustment in steps),
    )
    return scaling(step_policies=(policy,), high_resolution=high_resolution)


def scheduled(least: int, most: int, *names: str) -> sc.Config:
    return scaling(
        schedules=tuple(
            sc.Schedule(name=name, at="rate(1 day)", min_tasks=least, max_tasks=most) for name in names or ("one",)
        )
    )


WEB = "services.web"
STEPS = f"{WEB}.scaling.step_policies[0]"


@pytest.mark.parametrize(
    ("allowed", "refused", "key"),
    [
        (pool(min_nodes=5, max_nodes=5), pool(min_nodes=6, max_nodes=5), "capacity.nodes.min_nodes"),
        (pool(on_demand_base=5, max_nodes=5), pool(on_demand_base=6, max_nodes=5), "capacity.nodes.on_demand_base"),
        (
            pool(scaling=sc.NodeScaling(min_step=7, max_step=7)),
            pool(scaling=sc.NodeScaling(min_step=8, max_step=7)),
            "capacity.nodes.scaling.min_step",
        ),
        (
            pool(instance_types=("t3.small", "t3.medium")),
            pool(instance_types=("t3.small", "t3.medium", "t3.small")),
            "capacity.nodes.instance_types",
        ),
        (managed(min_vcpus=4, max_vcpus=4), managed(min_vcpus=5, max_vcpus=4), "capacity.nodes.min_vcpus"),
        (
            managed(min_memory_mib=4096, max_memory_mib=4096),
            managed(min_memory_mib=4097, max_memory_mib=4096),
            "capacity.nodes.min_memory_mib",
        ),
        (scaling(min_tasks=3, max_tasks=3), scaling(min_tasks=4, max_tasks=3), f"{WEB}.scaling.min_tasks"),
        (scheduled(3, 3), scheduled(4, 3), f"{WEB}.scaling.schedules[0].min_tasks"),
        (scheduled(3, 4, "one", "two"), scheduled(3, 4, "one", "one"), f"{WEB}.scaling.schedules"),
        (
            web(deployment=sc.WebDeployment(minimum_healthy_percent=50, maximum_percent=101)),
            web(deployment=sc.WebDeployment(minimum_healthy_percent=50, maximum_percent=100)),
            f"{WEB}.deployment.maximum_percent",
        ),
        (
            web(memory_mib=256, tmpfs_mib={"/a": 200, "/b": 55}),
            web(memory_mib=256, tmpfs_mib={"/a": 200, "/b": 56}),
            f"{WEB}.tmpfs_mib",
        ),
        (
            web(health_check=sc.HealthCheck(interval_s=9, timeout_s=8)),
            web(health_check=sc.HealthCheck(interval_s=9, timeout_s=9)),
            f"{WEB}.health_check.timeout_s",
        ),
        (
            web(route=sc.Route(paths=tuple(f"/{n}/*" for n in range(5)))),
            web(route=sc.Route(paths=tuple(f"/{n}/*" for n in range(5)), query={"a": "1"})),
            f"{WEB}.route",
        ),
        (stepping((0, 1), period_s=60), stepping((0, 1), period_s=30), f"{STEPS}.period_s"),
        (stepping((0, 1), period_s=30, high_resolution=True), stepping((0, 1), period_s=30), f"{STEPS}.period_s"),
        (
            stepping((0, 1), min_adjustment_magnitude=1),
            stepping((0, 1), min_adjustment_magnitude=2),
            f"{STEPS}.min_adjustment_magnitude",
        ),
        (
            stepping((0, 1), min_adjustment_magnitude=2, adjustment_type="PercentChangeInCapacity"),
            stepping((0, 1), min_adjustment_magnitude=2, adjustment_type="ExactCapacity"),
            f"{STEPS}.min_adjustment_magnitude",
        ),
        (
            stepping((0, 0), adjustment_type="ExactCapacity"),
            stepping((0, -1), adjustment_type="ExactCapacity"),
            f"{STEPS}.steps",
        ),
        (stepping((0, 1), (1, 2)), stepping((1, 1), (2, 2)), f"{STEPS}.steps"),
        (stepping((0, 1), (1, 2), (2, 3)), stepping((0, 1), (1, 2), (1, 3)), f"{STEPS}.steps"),
        (stepping((0, 1), (1, 2), (2, 3)), stepping((0, 1), (2, 2), (1, 3)), f"{STEPS}.steps"),
        (
            stepping((0, -1), (49, -2), when="below"),
            stepping((0, -1), (50, -2), when="below"),
            f"{STEPS}.steps",
        ),
    ],
)
def test_the_last_number_that_can_be_is_allowed_and_the_next_is_refused_by_its_key(
    allowed: sc.Config, refused: sc.Config, key: str
) -> None:
    assert [str(conflict) for conflict in conflicts(allowed)] == []
    assert [conflict.key for conflict in conflicts(refused)] == [key]
