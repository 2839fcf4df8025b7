"""One screen about a set: its stacks, the deployment of its services, their targets, and where it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaleout_cfn.aws import NESTED, SERVICE
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.live import Live, require, resources_of
from scaleout_cfn.deploy.messages import Rollout
from scaleout_cfn.deploy.services.halt import Halt, halts_in, pools_of
from scaleout_cfn.deploy.services.rollout import described, health_of, newest_of
from scaleout_cfn.deploy.services.scale import Scaled, scaled_in
from scaleout_cfn.errors import AccessError, ApiError, UsageError


@dataclass(frozen=True)
class Overview:
    """A set as it is now. `services` and `targets` are by the service's name; `targets` counts them by their health,
    `nodes` those of a pool, by its name, by where they are in their life; `scaled` are the bounds that `scale` has set,
    `halted` is what may have no task, and `unread` says what could not be read."""

    live: Live
    stacks: Mapping[str, str]
    services: Mapping[str, Rollout]
    targets: Mapping[str, Mapping[str, int]]
    unread: tuple[str, ...]
    scaled: Mapping[str, Scaled] = field(default_factory=dict)
    halted: Mapping[str, Halt] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def overview_of(aws: Aws, stack: str) -> Overview:
    """The state of a set. Raises UsageError when there is no such stack; what else cannot be read is only told."""
    live = require(aws, stack)
    resources = list(resources_of(aws, live.stack_id))
    services: dict[str, Rollout] = {}
    targets: dict[str, Counter[str]] = {}
    unread: list[str] = []
    made = [resource.physical_id for resource in resources if resource.is_made(SERVICE)]
    try:
        answers = described(aws.read, made)
    except (ApiError, AccessError) as error:
        answers = {}
        unread.append(f"services: {error}")
    for resource in resources:
        name = service_in(resource.path)
        try:
            if resource.is_made(SERVICE) and resource.physical_id in answers:
                services[name] = newest_of(aws, name, answers[resource.physical_id])
            if resource.is_made("AWS::ElasticLoadBalancingV2::TargetGroup"):
                targets[name] = targets.get(name, Counter()) + health_of(aws, resource.physical_id)
        except (ApiError, AccessError) as error:
            unread.append(f"{resource.path}: {error}")
    scaled: dict[str, Scaled] = {}
    try:
        scaled = scaled_in(aws, resources)
    except (ApiError, AccessError, UsageError) as error:
        unread.append(f"bounds that `scale` set: {error}")
    halted: dict[str, Halt] = {}
    try:
        halted = halts_in(aws, resources)
    except (ApiError, AccessError, UsageError) as error:
        unread.append(f"what is stopped: {error}")
    nodes: dict[str, Mapping[str, int]] = {}
    try:
        nodes = {pool.name: pool.nodes for pool in pools_of(aws, resources)}
    except (ApiError, AccessError) as error:
        unread.append(f"nodes: {error}")
    stacks = {resource.path: resource.status for resource in resources if resource.type == NESTED}
    return Overview(live, stacks, services, targets, tuple(unread), scaled, halted, nodes)
