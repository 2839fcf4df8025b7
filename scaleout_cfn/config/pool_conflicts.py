"""What single bounds cannot say of pools."""

from __future__ import annotations

from collections.abc import Iterator

from scaleout_cfn.config import Config, Ec2Capacity, ManagedCapacity, WarmPool
from scaleout_cfn.config.tunables import Conflict


def pool_conflicts(config: Config) -> Iterator[Conflict]:
    """What of a pool goes not with the rest of it."""
    for name, pool in sorted(config.capacity.items()):
        key = f"capacity.{name}"
        if isinstance(pool, Ec2Capacity):
            yield from _nodes(key, pool)
        elif isinstance(pool, ManagedCapacity):
            if pool.min_vcpus > pool.max_vcpus:
                yield Conflict(f"{key}.min_vcpus", f"got {pool.min_vcpus}, more than max_vcpus = {pool.max_vcpus}")
            if pool.min_memory_mib > pool.max_memory_mib:
                yield Conflict(
                    f"{key}.min_memory_mib",
                    f"got {pool.min_memory_mib}, more than max_memory_mib = {pool.max_memory_mib}",
                )
            # The capacity provider's own limits: instance types are named, or ruled out, and never both.
            if len(set(pool.instance_types)) < len(pool.instance_types):
                yield Conflict(f"{key}.instance_types", "a type is named twice; name each once")


def _nodes(key: str, pool: Ec2Capacity) -> Iterator[Conflict]:
    if pool.min_nodes > pool.max_nodes:
        yield Conflict(f"{key}.min_nodes", f"got {pool.min_nodes}, more than max_nodes = {pool.max_nodes}")
    if pool.on_demand_base > pool.max_nodes:
        yield Conflict(f"{key}.on_demand_base", f"got {pool.on_demand_base}, more than max_nodes = {pool.max_nodes}")
    if len(set(pool.instance_types)) < len(pool.instance_types):
        yield Conflict(f"{key}.instance_types", "a type is named twice; name each once")
    other = {"x86_64": "arm64", "arm64": "x86_64"}[pool.architecture]
    if other in pool.machine_image:
        yield Conflict(f"{key}.machine_image", f"is for {other}, where architecture is {pool.architecture}")
    if pool.scaling.min_step > pool.scaling.max_step:
        yield Conflict(
            f"{key}.scaling.min_step", f"got {pool.scaling.min_step}, more than max_step = {pool.scaling.max_step}"
        )
    if pool.warm_pool is not None:
        yield from _standing_by(key, pool, pool.warm_pool)


def _standing_by(key: str, pool: Ec2Capacity, warm: WarmPool) -> Iterator[Conflict]:
    """What AWS refuses of a warm pool, and one that would never hold a node.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html#warm-pools-limitations
    """
    if pool.spot_percent:
        yield Conflict(
            f"{key}.spot_percent",
            f"got {pool.spot_percent}, and a warm pool takes On-Demand nodes alone; set 0, or leave {key}.warm_pool"
            " out",
        )
    if warm.max_prepared_nodes > pool.max_nodes:
        yield Conflict(
            f"{key}.warm_pool.max_prepared_nodes",
            f"got {warm.max_prepared_nodes}, more than max_nodes = {pool.max_nodes}; give that, or -1",
        )
    prepared = pool.max_nodes if warm.max_prepared_nodes < 0 else warm.max_prepared_nodes
    if not warm.min_nodes and prepared <= pool.min_nodes:
        yield Conflict(
            f"{key}.warm_pool.min_nodes",
            f"got 0, and {prepared} prepared nodes are no more than min_nodes = {pool.min_nodes} of the group, so that"
            " none would ever stand by; give 1 or more",
        )
