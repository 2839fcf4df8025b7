"""ECS: clusters, and the capacity providers of each kind that they have.

The words of refusals are AWS's, as the issue or page at each shows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ministack.core.responses import json_response
from ministack.services import ecs
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.ecs_requests import CALL, Record, active_services, as_request, cluster_of
from scaleout_cfn.local.types.registry import Act, Properties, RefusedError, register, revise, rpc

_FARGATE: Final = ("FARGATE", "FARGATE_SPOT")

_REQUIRED: Final = {
    "ManagedInstancesProvider": ("InfrastructureRoleArn", "InstanceLaunchTemplate"),
    "ManagedInstancesProvider/InstanceLaunchTemplate": ("Ec2InstanceProfileArn", "NetworkConfiguration"),
    "ManagedInstancesProvider/InstanceLaunchTemplate/NetworkConfiguration": ("SecurityGroups", "Subnets"),
    "ManagedInstancesProvider/InstanceLaunchTemplate/InstanceRequirements": ("VCpuCount", "MemoryMiB"),
    "AutoScalingGroupProvider": ("AutoScalingGroupArn",),
}
"""What the resource schema of AWS::ECS::CapacityProvider requires, below each property that is there."""


def clusters() -> None:
    """MiniStack's AWS::ECS::Cluster forgets what is associated with a cluster whenever the cluster changes, drops its
    ServiceConnectDefaults, and takes a refused deletion for one."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ECS::Cluster"]
    create, update = handler["create"], handler["update"]

    def create_with_defaults(logical_id: str, properties: Properties, stack_name: str) -> Any:
        name, attributes = create(logical_id, properties, stack_name)
        _take_defaults(name, properties)
        return name, attributes

    def update_keeping(
        physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str | None = None
    ) -> Any:
        there = dict(ecs._clusters.get(physical_id) or {})
        name, attributes = update(physical_id, old, new, stack_name, logical_id)
        if name == physical_id and there:
            kept = ("capacityProviders", "defaultCapacityProviderStrategy")
            ecs._clusters[name].update({member: there[member] for member in kept})
            if any(old.get(member) != new.get(member) for member in ("CapacityProviders", _DEFAULT)):
                _associate(name, new)
        _take_defaults(name, new)
        return name, attributes

    def delete(physical_id: str, properties: Properties) -> None:
        if physical_id in ecs._clusters:
            rpc(CALL, "DeleteCluster", {"cluster": physical_id})

    def delete_empty(stock: Act, request: Record) -> Any:
        if active_services(cluster_of(request)):
            message = "The Cluster cannot be deleted while Services are active."
            raise RefusedError("ClusterContainsServicesException", message)
        return stock(request)

    handler.update(create=create_with_defaults, update=update_keeping, delete=delete)
    revise(ecs, "_delete_cluster", delete_empty)


def capacity_providers() -> None:
    """AWS::ECS::CapacityProvider and ClusterCapacityProviderAssociations are unknown to MiniStack,
    whose ECS has both."""

    def request(properties: Properties) -> Record:
        kinds = ("AutoScalingGroupProvider", "ManagedInstancesProvider")
        wanted: Record = as_request({kind: properties[kind] for kind in kinds if kind in properties})
        return {**wanted, "cluster": properties.get("ClusterName")}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, Record]:
        _require(properties)
        name = properties.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=255)
        tags = as_request(properties.get("Tags") or [])
        rpc(CALL, "CreateCapacityProvider", {"name": name, "tags": tags, **request(properties)})
        # Creation drops the members that it does not know (managedDraining); an update keeps them.
        rpc(CALL, "UpdateCapacityProvider", {"name": name, **request(properties)})
        return name, {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, Record]:
        _require(new)
        rpc(CALL, "UpdateCapacityProvider", {"name": physical_id, **request(new)})
        return physical_id, {}

    def delete(physical_id: str, properties: Properties) -> None:
        cluster = properties.get("ClusterName")
        rpc(CALL, "DeleteCapacityProvider", {"capacityProvider": physical_id, "cluster": cluster})

    register("AWS::ECS::CapacityProvider", create=create, update=update, delete=delete, tagged=True)
    _associations()


def managed_instances() -> None:
    """MiniStack's ECS drops a managedInstancesProvider, and no capacity provider of it belongs to a cluster.

    On AWS it belongs to the one cluster that its creation names, which cannot be deleted before it
    (ClusterContainsCapacityProviderException, https://github.com/ekristen/aws-nuke/issues/990). Neither can it go while
    a service runs on it (API_DeleteCapacityProvider): a stack that deletes it before its services is stuck,
    https://github.com/aws/aws-cdk/issues/36071. ECS says nowhere in which words.
    """

    def create(stock: Act, request: Record) -> Any:
        managed = request.get("managedInstancesProvider")
        if managed is None:
            return stock(request)
        cluster = cluster_of(request)
        response = stock(request)
        if response[0] == 200:
            provider = ecs._capacity_providers[request["name"]]
            del provider["autoScalingGroupProvider"]
            provider.update(cluster=cluster["clusterName"], managedInstancesProvider=managed)
            cluster["capacityProviders"] = [*cluster["capacityProviders"], provider["name"]]
            response = json_response({"capacityProvider": provider})
        return response

    def update(stock: Act, request: Record) -> Any:
        provider = _provider(request.get("name"))
        if "managedInstancesProvider" not in provider:
            return stock(request)
        provider["managedInstancesProvider"].update(request.get("managedInstancesProvider") or {})
        return json_response({"capacityProvider": provider})

    def describe(stock: Act, request: Record) -> Any:
        providers = json.loads(stock(request)[2])["capacityProviders"]
        for provider in providers:
            provider["type"] = _kind(provider["name"])
            if provider["type"] in _FARGATE:
                del provider["autoScalingGroupProvider"]
        if "cluster" in request:
            associated = cluster_of(request)["capacityProviders"]
            providers = [provider for provider in providers if provider["name"] in associated]
        return json_response({"capacityProviders": providers})

    def delete(stock: Act, request: Record) -> Any:
        provider = _provider(request.get("capacityProvider"))
        cluster = ecs._clusters.get(provider.get("cluster"))
        if cluster is not None:
            _refuse_if_used(cluster, [provider["name"]])
            cluster["capacityProviders"] = [name for name in cluster["capacityProviders"] if name != provider["name"]]
        return stock(request)

    def delete_cluster(stock: Act, request: Record) -> Any:
        if _scoped(cluster_of(request)):
            message = (
                "The Cluster cannot be deleted while Cluster Scoped Capacity Providers are attached to the cluster."
            )
            raise RefusedError("ClusterContainsCapacityProviderException", message)
        return stock(request)

    def put(stock: Act, request: Record) -> Any:
        # https://github.com/hashicorp/terraform-provider-aws/issues/44783: they are associated from their creation on.
        cluster = cluster_of(request)
        scoped = _scoped(cluster)
        if scoped & set(_named(request.get("capacityProviders") or ())):
            message = (
                "Cannot associate Managed Instances capacity provider to clusters using this API."
                " Managed Instances capacity providers are already associated with their clusters."
            )
            raise RefusedError("InvalidParameterException", message)
        response = stock(request)
        cluster["capacityProviders"] = [*cluster["capacityProviders"], *sorted(scoped)]
        return response

    place = ecs._task_capacity

    def place_task(launch_type: str | None, strategy: Any) -> tuple[str, str | None]:
        launched, provider = place(launch_type, strategy)
        return ("MANAGED_INSTANCES" if _kind(provider or "") == "MANAGED_INSTANCES" else launched), provider

    ecs._task_capacity = place_task
    revise(ecs, "_create_capacity_provider", create)
    revise(ecs, "_update_capacity_provider", update)
    revise(ecs, "_describe_capacity_providers", describe)
    revise(ecs, "_delete_capacity_provider", delete)
    revise(ecs, "_delete_cluster", delete_cluster)
    revise(ecs, "_put_cluster_capacity_providers", put)


def capacity_strategies() -> None:
    """MiniStack's ECS takes any capacity provider by any name in any strategy, and lets one go that is in use."""

    def create_provider(stock: Act, request: Record) -> Any:
        # In these words at https://containersonaws.com/pattern/ecs-ec2-capacity-provider-scaling, for a name that
        # CloudFormation made of the stack's; https://github.com/aws/aws-cdk/issues/29151.
        if request["name"].lower().startswith(("aws", "ecs", "fargate")):
            message = (
                "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters"
                " (upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with"
                ' "aws", "ecs", or "fargate". Specify a valid name and try again.'
            )
            raise RefusedError("ClientException", message)
        return stock(request)

    def delete_provider(stock: Act, request: Record) -> Any:
        # https://github.com/aws/aws-cdk/issues/19275
        provider = _provider(request.get("capacityProvider"))
        if "managedInstancesProvider" not in provider and any(
            provider["name"] in cluster["capacityProviders"] for cluster in ecs._clusters.values()
        ):
            message = "Cannot delete a capacity provider while it is associated with a cluster."
            raise RefusedError("InvalidParameterException", message)
        return stock(request)

    def put(stock: Act, request: Record) -> Any:
        cluster = cluster_of(request)
        wanted = _named(request.get("capacityProviders") or ())
        for name in wanted:
            _provider(name)
        _check_strategy(request.get("defaultCapacityProviderStrategy"), {*wanted, *_scoped(cluster)})
        _refuse_if_used(cluster, set(cluster["capacityProviders"]) - {*wanted, *_scoped(cluster)})
        return stock(request)

    def run(stock: Act, request: Record) -> Any:
        cluster = ecs._clusters.get(ecs._resolve_cluster_name(request.get("cluster")))
        if cluster is not None:
            _check_strategy(request.get("capacityProviderStrategy"), cluster["capacityProviders"])
        return stock(request)

    def update_service(stock: Act, request: Record) -> Any:
        cluster = cluster_of(request)
        reference = ecs._resolve_service_ref(request.get("service"))
        service = ecs._services.get(f"{cluster['clusterName']}/{reference[0]}") if reference else None
        wanted = request.get("capacityProviderStrategy")
        if service is None or wanted is None:
            return stock(request)
        _check_strategy(wanted, cluster["capacityProviders"])
        if not wanted and not service["launchType"]:
            wanted = cluster["defaultCapacityProviderStrategy"]
            if not wanted:  # these words: the description of AWS::ECS::Service in its resource schema
                message = (
                    "No launch type to fall back to for empty capacity provider strategy."
                    " Your service was not created with a launch type."
                )
                raise RefusedError("InvalidParameterException", message)
        if wanted != (service["capacityProviderStrategy"] or []) and not request.get("forceNewDeployment"):
            # https://github.com/kayac/ecspresso/pull/481
            message = (
                "When switching from launch type to capacity provider strategy on an existing service, or making a"
                " change to a capacity provider strategy on a service that is already using one, you must force a new"
                " deployment."
            )
            raise RefusedError("InvalidParameterException", message)
        return stock({**request, "capacityProviderStrategy": wanted})

    revise(ecs, "_create_capacity_provider", create_provider)
    revise(ecs, "_delete_capacity_provider", delete_provider)
    revise(ecs, "_put_cluster_capacity_providers", put)
    revise(ecs, "_run_task", run)
    revise(ecs, "_create_service", run)
    revise(ecs, "_update_service", update_service)


_DEFAULT: Final = "DefaultCapacityProviderStrategy"


def _associations() -> None:
    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, Record]:
        cluster = cluster_of({"cluster": properties["Cluster"]})
        if set(cluster["capacityProviders"]) - _scoped(cluster):
            # https://github.com/aws/aws-cdk/issues/14730
            raise ValueError("The cluster already contains capacity provider associations.")
        _associate(properties["Cluster"], properties)
        return properties["Cluster"], {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, Record]:
        _associate(new["Cluster"], new)
        return new["Cluster"], {}

    def delete(physical_id: str, properties: Properties) -> None:
        if ecs._resolve_cluster_name(physical_id) in ecs._clusters:
            _associate(physical_id, {})

    register("AWS::ECS::ClusterCapacityProviderAssociations", create=create, update=update, delete=delete)


def _associate(cluster: str, properties: Properties) -> None:
    request = {
        "cluster": cluster,
        "capacityProviders": properties.get("CapacityProviders", []),
        "defaultCapacityProviderStrategy": as_request(properties.get(_DEFAULT) or []),
    }
    rpc(CALL, "PutClusterCapacityProviders", request)


def _take_defaults(cluster: str, properties: Properties) -> None:
    defaults = properties.get("ServiceConnectDefaults")
    if defaults:
        ecs._clusters[cluster]["serviceConnectDefaults"] = as_request(defaults)


def _require(properties: Properties) -> None:
    """Refuse a provider that lacks what its kind needs, as CloudFormation does before ECS is asked."""
    if ("AutoScalingGroupProvider" in properties) == ("ManagedInstancesProvider" in properties):
        raise ValueError("A capacity provider has either an AutoScalingGroupProvider or a ManagedInstancesProvider.")
    if "ManagedInstancesProvider" in properties and "ClusterName" not in properties:
        raise ValueError("A capacity provider of Managed Instances belongs to a cluster: ClusterName is missing.")
    for path, names in _REQUIRED.items():
        holder: Any = properties
        for step in path.split("/"):
            holder = holder.get(step) if isinstance(holder, Mapping) else None
        for name in names if holder is not None else ():
            if name not in holder:
                raise ValueError(f"Model validation failed (#/{path}: required key [{name}] not found)")


def _named(providers: Iterable[str]) -> list[str]:
    return [ecs._resolve_capacity_provider_name(provider) for provider in providers]


def _provider(name: str | None) -> Record:
    """A capacity provider by its name or ARN. Raises `RefusedError` where it is not there."""
    (resolved,) = _named([name or ""])
    if resolved in _FARGATE:
        return {"name": resolved}
    provider: Record | None = ecs._capacity_providers.get(resolved)
    if provider is None:
        message = f"The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
        raise RefusedError("InvalidParameterException", message)
    return provider


def _kind(name: str) -> str:
    if name in _FARGATE:
        return name
    provider = ecs._capacity_providers.get(name) or {}
    return "MANAGED_INSTANCES" if "managedInstancesProvider" in provider else "EC2_AUTOSCALING"


def _scoped(cluster: Mapping[str, Any]) -> set[str]:
    """The capacity providers that belong to a cluster."""
    return {name for name in cluster["capacityProviders"] if _kind(name) == "MANAGED_INSTANCES"}


def _check_strategy(strategy: Sequence[Mapping[str, Any]] | None, associated: Iterable[str]) -> None:
    names = set(_named(item["capacityProvider"] for item in strategy or ()))
    if names - set(associated):  # API_CreateService: "A capacity provider must be associated with the cluster"
        message = (
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with"
            " the cluster. Associate the capacity provider with the cluster and try again."
        )
        raise RefusedError("InvalidParameterException", message)
    if names & set(_FARGATE) and names - set(_FARGATE):
        # https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/68
        message = (
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and"
            " Fargate providers. Specify one or the other and try again."
        )
        raise RefusedError("InvalidParameterException", message)


def _refuse_if_used(cluster: Mapping[str, Any], names: Iterable[str]) -> None:
    """API_PutClusterCapacityProviders: one is let go "if it's not being used by any existing tasks". These words:
    https://github.com/aws/containers-roadmap/issues/631."""
    gone = set(names)
    for service in active_services(cluster):
        if gone & set(_named(item["capacityProvider"] for item in service["capacityProviderStrategy"] or ())):
            message = "The specified capacity provider is in use and cannot be removed."
            raise RefusedError("ResourceInUseException", message)
