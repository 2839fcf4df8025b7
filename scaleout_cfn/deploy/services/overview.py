"""One screen about a set: its stacks, the deployment of its services, their targets, and where it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.live import NESTED, Live, find, resources_of
from scaleout_cfn.deploy.messages import Rollout
from scaleout_cfn.deploy.services.rollout import rollout
from scaleout_cfn.errors import AccessError, ApiError, Next, UsageError

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
    live = find(aws, stack)
    if live is None:
        raise UsageError(f"stack {stack}: there is none in {aws.region}", next=Next("deploy"))
    resources = list(resources_of(aws, live.stack_id))
    services: list[Rollout] = []
    targets: dict[str, int] = {}
    unread: list[str] = []
    for one in resources:
        try:
            if one.type == "AWS::ECS::Service" and one.physical_id.startswith("arn:"):
                found = rollout(aws, one.physical_id)
                services += [found] if found else []
            if one.type == "AWS::ElasticLoadBalancingV2::TargetGroup":
                health = aws.once("elbv2", "describe_target_health", TargetGroupArn=one.physical_id)
                for target in health["TargetHealthDescriptions"]:
                    word = target["TargetHealth"]["State"]
                    targets[word] = targets.get(word, 0) + 1
        except (ApiError, AccessError) as error:
            unread.append(f"{one.path}: {error}")
    stacks = {one.path: one.status for one in resources if one.type == NESTED}
    return Overview(live, stacks, tuple(services), targets, tuple(unread))
