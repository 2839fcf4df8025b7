"""Do the tasks of a composed set fit its nodes: by what the templates ask for, whoever wrote it into them.

The config's own tasks are counted while the set is composed (`capacity.fitting_tasks`). Here every service counts that
runs on a group of nodes of the set, with all its containers, and so does whatever was changed after composing. What
nobody can know before a deployment is not guessed: it counts as nothing, and nodes of an unknown type hold anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.capacity import (
    Demand,
    InstanceType,
    UnknownInstanceType,
    count,
    instance_type,
    nodes_needed,
    registered_memory_mib,
)
from scaleout_cfn.lint.rules.services import SERVICE, containers, names, network_mode, tasks_of
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, Symbol, Text, resource_of
from scaleout_cfn.templates.values import as_number

_ASSOCIATIONS = "AWS::ECS::ClusterCapacityProviderAssociations"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"


class _Load(Struct, frozen=True):
    """What a service asks of the nodes that it runs on."""

    file: str
    path: str
    size: str
    demand: Demand
    is_daemon: bool


def misfits(stacks: StackSet) -> list[str]:
    """Every reason why the most tasks of a set do not fit on its most nodes, with the arithmetic; empty if they do."""
    targets = targets_of(stacks)
    loads: dict[Symbol, list[_Load]] = {}
    for service in stacks.of_type(SERVICE):
        group, tasks = group_of(providers_of(stacks, service)), tasks_of(service)
        if group is not None and tasks is not None:
            demand = demand_of(service, tasks, targets.get(service.symbol))
            is_daemon = service.get("SchedulingStrategy") == "DAEMON"
            path = path_of(service)
            loads.setdefault(group, []).append(_Load(service.stack.file, path, _size(tasks, demand), demand, is_daemon))
    return [reason for group, on_it in loads.items() for reason in _reasons(group, on_it)]


def _reasons(group: Symbol, loads: Sequence[_Load]) -> list[str]:
    types, most_nodes = _types(group), group.place.number("MaxSize")
    daemons = [load.demand for load in loads if load.is_daemon]
    by_count = [load for load in loads if not load.is_daemon]
    demands = [load.demand for load in by_count]
    too_large = []
    for load in by_count:
        single = replace(load.demand, max_tasks=1)
        if small := [type for type in types if nodes_needed(type, [single], daemons) is None]:
            on = ", ".join(f"{type.name} ({_room(type)})" for type in small)
            beside = " beside those that run on every node" if daemons else ""
            too_large.append(
                f"{load.file}: {load.path}: one task of {load.size} does not fit on {on}{beside}; give it less, or take"
                " larger types (capacity.NAME.instance_types)"
            )
    if too_large or not types or most_nodes is None:
        return too_large
    needed, type = max(((nodes_needed(type, demands, daemons) or 0, type) for type in types), key=lambda pair: pair[0])
    if needed <= most_nodes:
        return []
    asked = " and ".join(
        f"{count(load.demand.max_tasks, 'task')} of {load.path}, each of {load.size}," for load in by_count
    )
    of_one = " of one of them" if len(by_count) > 1 else ""
    return [
        f"{group.stack.file}: {group.name}: {asked} with room for a deployment{of_one} need {needed} {type.name}"
        f" ({_room(type)}); MaxSize is {most_nodes:g}; raise it to {needed} (capacity.NAME.max_nodes), take larger"
        " types (capacity.NAME.instance_types), or ask for fewer or smaller tasks"
    ]


def path_of(place: Place) -> str:
    """A resource with the nested stacks that it lies in: `Worker/Service`."""
    path, stack = place.logical_id, place.stack
    while stack.parent is not None and stack.nested is not None:
        path, stack = f"{stack.nested.logical_id}/{path}", stack.parent
    return path


def _size(tasks: Place, demand: Demand) -> str:
    several = names(tasks) or []
    together = f" ({' and '.join(several)} together)" if len(several) > 1 else ""
    return f"{demand.cpu_units} CPU units and {demand.memory_mib} MiB{together}"


def _room(type: InstanceType) -> str:
    memory = registered_memory_mib(type.memory_mib)
    return f"{type.vcpus * 1024} CPU units and about {memory} MiB for tasks, {type.max_enis} network interfaces"


def targets_of(stacks: StackSet) -> dict[Symbol, Place]:
    """What scales the tasks of each service that is scaled."""
    targets: dict[Symbol, Place] = {}
    names = {service.symbol: service.get("ServiceName") for service in stacks.of_type(SERVICE)}
    for target in stacks.of_type(_TARGET):
        resource_id = target.get("ResourceId")
        parts = resource_id.parts if isinstance(resource_id, Text) else (resource_id,)
        service = next((part.bare for part in parts if isinstance(part, Symbol) and part.type == SERVICE), None)
        if service is None:
            # Or by its name: service/CLUSTER/NAME.
            last = parts[-1].rpartition("/")[2] or None if isinstance(parts[-1], str) else parts[-1]
            by_name = [symbol for symbol, name in names.items() if name is not None and name == last]
            service = by_name[0] if len(by_name) == 1 else None
        if service is not None:
            targets[service] = target
    return targets


def _bounds(service: Place, target: Place | None) -> tuple[int, int]:
    """The fewest and the most tasks that a service may have while any runs: by scaling, or by one of its schedules."""
    desired = service.number("DesiredCount")
    fixed = 1 if desired is None else int(desired)
    if target is None:
        return fixed, fixed
    every = [action.inner("ScalableTargetAction") for action in target.each("ScheduledActions")]
    actions = [action for action in every if action.number("MaxCapacity") != 0]
    least, most = (
        [int(bound) for place in (target, *actions) if (bound := place.number(name)) is not None]
        for name in ("MinCapacity", "MaxCapacity")
    )
    return min(least, default=fixed), max(most, default=fixed)


def providers_of(stacks: StackSet, service: Place) -> list[Any]:
    """The capacity providers that a service names, or that its cluster has for one that names none.

    A cluster's default strategy is meant where it has one; else all that it has, of which a launch type of EC2 or none
    may take any. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
    """
    return [item.get("CapacityProvider") for item in strategy_of(stacks, service)] or _providers_at_hand(
        stacks, service
    )


def strategy_of(stacks: StackSet, service: Place) -> tuple[Place, ...]:
    """The capacity provider strategy that a service has, or else by default its cluster."""
    if service.items("CapacityProviderStrategy") != [] or service.get("LaunchType") is not None:
        return service.each("CapacityProviderStrategy")
    cluster = resource_of(service.get("Cluster"), "AWS::ECS::Cluster")
    if cluster is None:
        return ()
    for association in _associations(stacks, cluster):
        if strategy := association.each("DefaultCapacityProviderStrategy"):
            return strategy
    return cluster.place.each("DefaultCapacityProviderStrategy")


def _providers_at_hand(stacks: StackSet, service: Place) -> list[Any]:
    cluster = resource_of(service.get("Cluster"), "AWS::ECS::Cluster")
    if cluster is None or service.items("CapacityProviderStrategy") != []:
        return []
    if service.get("LaunchType") not in (None, "EC2"):
        return []
    lists = [place.items("CapacityProviders") or [] for place in (cluster.place, *_associations(stacks, cluster))]
    # Those of Fargate are taken by who names them, or by its launch type.
    return [one for several in lists for one in several if one not in ("FARGATE", "FARGATE_SPOT")]


def _associations(stacks: StackSet, cluster: Symbol) -> list[Place]:
    return [
        association
        for association in stacks.of_type(_ASSOCIATIONS)
        if resource_of(association.get("Cluster"), cluster.type) == cluster
    ]


def group_of(providers: Sequence[Any]) -> Symbol | None:
    """The group of the set whose nodes a provider brings; None where that cannot be told, or where it has none."""
    provider = resource_of(providers[0], "AWS::ECS::CapacityProvider") if len(providers) == 1 else None
    if provider is None:
        return None
    arn = provider.place.get("AutoScalingGroupProvider", "AutoScalingGroupArn")
    group = resource_of(arn, "AWS::AutoScaling::AutoScalingGroup")
    return group.bare if group else None


def _types(group: Symbol) -> list[InstanceType]:
    """The types that a group's nodes may have; empty where one is not known, or counts as more than one node."""
    launched = group.place.inner("MixedInstancesPolicy", "LaunchTemplate")
    overrides = launched.each("Overrides")
    names = [override.get("InstanceType") for override in overrides]
    if not names:
        specification = launched.inner("LaunchTemplateSpecification")
        specification = specification if specification.node else group.place.inner("LaunchTemplate")
        template = resource_of(specification.get("LaunchTemplateId"), "AWS::EC2::LaunchTemplate")
        names = [template.place.get("LaunchTemplateData", "InstanceType") if template else None]
    if any(override.get("WeightedCapacity") is not None for override in overrides):
        return []
    try:
        return [instance_type(str(name)) for name in names]
    except UnknownInstanceType:
        return []


def demand_of(service: Place, tasks: Place, target: Place | None) -> Demand:
    """What a service asks for. A task reserves its own size, or the sum of its containers'.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
    """
    healthy = service.number("DeploymentConfiguration", "MinimumHealthyPercent")
    least, most = _bounds(service, target)
    needs = [need for container in containers(tasks) for need in container.each("ResourceRequirements")]
    ports = [port for container in containers(tasks) for port in container.each("PortMappings")]
    return Demand(
        cpu_units=int(_of_task(tasks, "Cpu") or _sum(tasks, "Cpu")),
        memory_mib=int(_of_task(tasks, "Memory") or _sum(tasks, "MemoryReservation", "Memory")),
        network_mode="awsvpc" if network_mode(tasks) == "awsvpc" else "bridge",
        min_tasks=least,
        max_tasks=most,
        minimum_healthy_percent=100 if healthy is None else int(healthy),
        maximum_percent=200,
        doubles=service.get("DeploymentConfiguration", "Strategy") in ("BLUE_GREEN", "LINEAR", "CANARY"),
        host_port_static=any(port.number("HostPort") for port in ports),
        gpus=sum(int(need.number("Value") or 0) for need in needs if need.get("Type") == "GPU"),
    )


def _of_task(tasks: Place, name: str) -> float | None:
    """The size of a whole task, in units or MiB: also where it is written as `.5 vCPU` or `2 GB`.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html
    """
    value = tasks.get(name)
    amount = value.lower().removesuffix("vcpu").removesuffix("gb").strip() if isinstance(value, str) else value
    number = as_number(amount)
    return number * 1024 if number is not None and amount != value else number


def _sum(tasks: Place, *names: str) -> float:
    """What all containers of a task reserve, each by the first of some properties that it has."""
    sizes = [[container.number(name) for name in names] for container in containers(tasks)]
    return sum(next(filter(None, size), 0) for size in sizes)
