"""EventBridge Scheduler: what a schedule of CloudFormation's has the service do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties


def schedules() -> None:
    """MiniStack's GetSchedule answers with CloudFormation's names, where the service has those of ECS's API, in lower
    case: what it answers cannot be given to UpdateSchedule.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CapacityProviderStrategyItem.html
    """
    handler = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]
    create, update = handler["create"], handler["update"]
    handler["create"] = lambda logical_id, new, stack: create(logical_id, _told(new), stack)
    handler["update"] = lambda physical_id, old, new, stack: update(physical_id, _told(old), _told(new), stack)


def _told(properties: Properties) -> Properties:
    target = properties.get("Target") or {}
    task = dict(target.get("EcsParameters") or {})
    if not task:
        return properties
    for name in ("CapacityProviderStrategy", "PlacementConstraints", "PlacementStrategy"):
        if name in task:
            task[name] = [_lower(item) for item in task[name]]
    if "NetworkConfiguration" in task:
        task["NetworkConfiguration"] = _lower(task["NetworkConfiguration"])
    return {**properties, "Target": {**target, "EcsParameters": task}}


def _lower(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name[0].lower() + name[1:]: value for name, value in item.items()}
