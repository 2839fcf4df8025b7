"""One screen about a set: its stacks, the deployment of its services, their targets, and where it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.aws.names import NESTED, SERVICE
from scaleout_cfn.deploy.live import Live, require, resources_of
from scaleout_cfn.deploy.messages import Rollout
from scaleout_cfn.deploy.services.rollout import health_of, rollout
from scaleout_cfn.errors import AccessError, ApiError

__all__ = ["Overview", "overview_of"]


@dataclass(frozen=True)
class Overview:
    """A set as it is now. `targets` counts targets by their health; `unread` says what could not be read."""

    live: Live
    stacks: Mapping[str, str]
    services: tuple[Rollout, ...]
    targets: Mapping[str, int]
    unread: tuple[str, ...]


def overview_of(aws: Aws, stack: str) -> Overview:
    """The state of a set. Raises UsageError when there is no such stack; what else cannot be read is only told."""
    live = require(aws, stack)
    resources = list(resources_of(aws, live.stack_id))
    services: list[Rollout] = []
    targets: Counter[str] = Counter()
    unread: list[str] = []
    for resource in resources:
        try:
            if resource.is_made(SERVICE):
                newest = rollout(aws, resource.physical_id)
                services += [newest] if newest else []
            if resource.type == "AWS::ElasticLoadBalancingV2::TargetGroup":
                targets += health_of(aws, resource.physical_id)
        except (ApiError, AccessError) as error:
            unread.append(f"{resource.path}: {error}")
    stacks = {resource.path: resource.status for resource in resources if resource.type == NESTED}
    return Overview(live, stacks, tuple(services), targets, tuple(unread))
