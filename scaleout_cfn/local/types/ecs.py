"""ECS: capacity providers, and services whose numbers arrive as text."""

from __future__ import annotations

from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, numbers, register, rpc

__all__ = ["capacity_providers", "service_numbers"]

_CALL = ecs._ACTION_MAP
_NUMBERS = frozenset(
    {
        "base",
        "weight",
        "targetCapacity",
        "minimumScalingStepSize",
        "maximumScalingStepSize",
        "instanceWarmupPeriod",
    }
)
_SERVICE_NUMBERS = frozenset(
    {
        "Base",
        "BakeTimeInMinutes",
        "ContainerPort",
        "DesiredCount",
        "HealthCheckGracePeriodSeconds",
        "MaximumPercent",
        "MinimumHealthyPercent",
        "Weight",
    }
)


def capacity_providers() -> None:
    """AWS::ECS::CapacityProvider and ClusterCapacityProviderAssociations are unknown to MiniStack,
    whose ECS has both."""

    def request(properties: Properties) -> dict[str, Any]:
        provider = provisioners._pascal_to_camel(properties["AutoScalingGroupProvider"])
        return {"autoScalingGroupProvider": numbers(provider, _NUMBERS)}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=255)
        tags = provisioners._pascal_to_camel(properties.get("Tags") or [])
        rpc(_CALL, "CreateCapacityProvider", {"name": name, "tags": tags, **request(properties)})
        # Creation drops the members that it does not know (managedDraining); an update keeps them.
        rpc(_CALL, "UpdateCapacityProvider", {"name": name, **request(properties)})
        return name, {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        rpc(_CALL, "UpdateCapacityProvider", {"name": physical_id, **request(new)})
        return physical_id, {}

    def delete(physical_id: str, properties: Properties) -> None:
        rpc(_CALL, "DeleteCapacityProvider", {"capacityProvider": physical_id})

    register("AWS::ECS::CapacityProvider", create=create, update=update, delete=delete, tagged=True)
    _associations()


def _associations() -> None:
    def put(cluster: str, properties: Properties) -> None:
        strategy = provisioners._pascal_to_camel(properties.get("DefaultCapacityProviderStrategy", []))
        request = {
            "cluster": cluster,
            "capacityProviders": properties.get("CapacityProviders", []),
            "defaultCapacityProviderStrategy": numbers(strategy, _NUMBERS),
        }
        rpc(_CALL, "PutClusterCapacityProviders", request)

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        put(properties["Cluster"], properties)
        return properties["Cluster"], {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        put(new["Cluster"], new)
        return new["Cluster"], {}

    def delete(physical_id: str, properties: Properties) -> None:
        put(physical_id, {})

    register("AWS::ECS::ClusterCapacityProviderAssociations", create=create, update=update, delete=delete)


def service_numbers() -> None:
    """MiniStack counts with an AWS::ECS::Service's DesiredCount, and fails when it comes from a parameter,
    which is text."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
    create, update = handler["create"], handler["update"]

    def create_with_numbers(logical_id: str, properties: Properties, stack_name: str) -> Any:
        return create(logical_id, numbers(properties, _SERVICE_NUMBERS), stack_name)

    def update_with_numbers(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Any:
        return update(physical_id, numbers(old, _SERVICE_NUMBERS), numbers(new, _SERVICE_NUMBERS), stack_name)

    handler["create"], handler["update"] = create_with_numbers, update_with_numbers
