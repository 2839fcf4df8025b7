"""The policies of our profiles and those that others ship, put on a given infrastructure: its pool, bounds and tasks.

A policy that names no cooldowns has those of Application Auto Scaling, 300 s each. Peers that run on Fargate keep the
set's own nodes' loop, for they have none; on Fargate all do without one. None of them uses 20 s metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from scaleout_cfn.config.scaling import NodeScaling, Scaling, TargetTracking
from scaleout_cfn.profiles import Profile
from scaleout_cfn.simulator.model import Model


def _tracking(target: float, out_s: int = 300, in_s: int = 300) -> TargetTracking:
    return TargetTracking(enabled=True, target=target, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s)


def _on(model: Model, **changes: Any) -> Model:
    """The model with other facts of its nodes, where it has any."""
    nodes = model.nodes
    return dataclasses.replace(model, pool=dataclasses.replace(nodes, **changes)) if nodes else model


def _with(model: Model, nodes: NodeScaling | None = None, **policies: TargetTracking) -> Model:
    off = TargetTracking()
    scaling: Scaling = msgspec.structs.replace(
        model.scaling,
        high_resolution=False,
        cpu=policies.get("cpu", off),
        memory=policies.get("memory", off),
        requests=policies.get("requests", off),
        step_policies=(),
        schedules=(),
    )
    model = dataclasses.replace(model, scaling=scaling)
    return _on(model, scaling=nodes) if nodes else model


def seed(model: Model) -> Model:
    """http-scale-out: CPU at 80 %, and nodes that track their own CPU at 30 % without knowing of tasks.
    https://github.com/lewalt000/http-scale-out"""
    packed = dataclasses.replace(_with(model, cpu=_tracking(80)), placement="binpack")
    return _on(packed, cpu_target=30.0)


def cdk(model: Model) -> Model:
    """CDK's documented example: CPU at 50 %, 10,000 requests a minute and target; its capacity provider's defaults.
    https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_ecs-readme.html#task-auto-scaling"""
    return _with(model, NodeScaling(min_step=1, warmup_s=300), cpu=_tracking(50), requests=_tracking(10000))


def express(model: Model) -> Model:
    """ECS Express Mode: CPU at 60 %.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/express-service-overview.html"""
    return _with(model, cpu=_tracking(60))


def copilot(model: Model) -> Model:
    """AWS Copilot: CPU at 70 % as in its samples, out after 60 s, in after 120 s.
    https://aws.github.io/copilot-cli/docs/manifest/lb-web-service/"""
    return _with(model, cpu=_tracking(70, 60, 120))


def terraform_aws_modules(model: Model) -> Model:
    """terraform-aws-modules/ecs: CPU and memory at 75 %, out after 60 s; nodes kept 60 % full, five at a time.
    https://github.com/terraform-aws-modules/terraform-aws-ecs"""
    nodes = NodeScaling(target_capacity_percent=60, min_step=1, max_step=5, warmup_s=300)
    return _with(model, nodes, cpu=_tracking(75, 60), memory=_tracking(75, 60))


PEERS: dict[str, Callable[[Model], Model]] = {
    "seed": seed,
    "cdk": cdk,
    "express-mode": express,
    "copilot": copilot,
    "terraform-aws-modules": terraform_aws_modules,
}


def with_profile(model: Model, profile: Profile) -> Model:
    """A profile's policies in place of the model's, and its share of Spot if it has one; bounds and schedules stay."""
    own, pool = model.scaling, profile.nodes
    scaling: Scaling = msgspec.structs.replace(
        profile.tasks, min_tasks=own.min_tasks, max_tasks=own.max_tasks, schedules=own.schedules
    )
    spot: dict[str, Any] = {}
    if pool.spot_percent and model.nodes and not model.nodes.managed:
        # No warm pool goes with Spot.
        spot = {"spot_percent": pool.spot_percent, "on_demand_base": pool.on_demand_base, "warm": None}
    return _on(dataclasses.replace(model, scaling=scaling), scaling=pool.scaling, **spot)


def peers(model: Model) -> dict[str, Model]:
    """Every peer's policies on the infrastructure of a model."""
    return {name: policies(model) for name, policies in PEERS.items()}
