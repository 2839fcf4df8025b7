"""Do the tasks of a composed set fit its nodes: by what the templates ask for, whoever wrote it into them.

The config's own tasks are counted while the set is composed (`capacity.fitting_tasks`). Here every service counts that
runs on a group of nodes of the set, with all its containers, and so does whatever was changed after composing. What
nobody can know before a deployment is not guessed: it counts as nothing, and nodes of an unknown type hold anything.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from scaleout_cfn.templates.stacks import Place, StackView, Symbol, Text, resource_of

__all__ = ["misfits"]

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
    most_tasks = _most_tasks(stacks)
    loads: dict[Symbol, list[_Load]] = {}
    for service in stacks.of_type(SERVICE):
        group, tasks = _group_of(stacks, service), tasks_of(service)
        if group is not None and tasks is not None:
            desired = service.number("DesiredCount")
            most = most_tasks.get(service.symbol, 1 if desired is None else int(desired))
            demand = _demand(tasks, most, service)
            is_daemon = service.get("SchedulingStrategy") == "DAEMON"
            path = _path(service.stack, service.logical_id)
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
    return [
        f"{group.stack.file}: {group.name}: {asked} with room for a deployment need {needed} {type.name}"
        f" ({_room(type)}); MaxSize is {most_nodes:g}; raise it to {needed} (capacity.NAME.max_nodes), take larger"
        " types (capacity.NAME.instance_types), or ask for fewer or smaller tasks"
    ]


def _path(stack: StackView, logical_id: str) -> str:
    """A resource with the nested stacks that it lies in: `Worker/Service`."""
    if stack.parent is None or stack.nested is None:
        return logical_id
    return f"{_path(stack.parent, stack.nested.logical_id)}/{logical_id}"


def _size(tasks: Place, demand: Demand) -> str:
    several = names(tasks) or []
    together = f" ({' and '.join(several)} together)" if len(several) > 1 else ""
    return f"{demand.cpu_units} CPU units and {demand.memory_mib} MiB{together}"


def _room(type: InstanceType) -> str:
    memory = registered_memory_mib(type.memory_mib)
    return f"{type.vcpus * 1024} CPU units and about {memory} MiB for tasks, {type.max_enis} network interfaces"


def _most_tasks(stacks: StackSet) -> dict[Symbol, int]:
    """How many tasks scaling may give each service that it scales: by its own bounds, or by those of a schedule."""
    most: dict[Symbol, int] = {}
    for target in stacks.of_type(_TARGET):
        resource_id = target.get("ResourceId")
        actions = target.each("ScheduledActions")
        bounds = [target.number("MaxCapacity")]
        bounds += [action.number("ScalableTargetAction", "MaxCapacity") for action in actions]
        known = [int(bound) for bound in bounds if bound is not None]
        for part in resource_id.parts if isinstance(resource_id, Text) else (resource_id,):
            if known and isinstance(part, Symbol) and part.type == SERVICE:
                most[part.bare] = max(known)
    return most


def _group_of(stacks: StackSet, service: Place) -> Symbol | None:
    """The group of the set on whose nodes a service runs; None where that cannot be told, or where it has none."""
    strategy = service.items("CapacityProviderStrategy")
    providers = [item.get("CapacityProvider") for item in service.each("CapacityProviderStrategy")]
    if strategy == [] and service.get("LaunchType") in (None, "EC2"):
        cluster = resource_of(service.get("Cluster"), "AWS::ECS::Cluster")
        for association in stacks.of_type(_ASSOCIATIONS):
            if cluster and resource_of(association.get("Cluster"), cluster.type) == cluster:
                providers += association.items("CapacityProviders") or []
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


def _demand(tasks: Place, most: int, service: Place) -> Demand:
    """What a task of a definition reserves: its own size, or the sum of its containers'.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
    """
    healthy = service.number("DeploymentConfiguration", "MinimumHealthyPercent")
    ports = [port for container in containers(tasks) for port in container.each("PortMappings")]
    return Demand(
        cpu_units=int(tasks.number("Cpu") or _sum(tasks, "Cpu")),
        memory_mib=int(tasks.number("Memory") or _sum(tasks, "MemoryReservation", "Memory")),
        network_mode="awsvpc" if network_mode(tasks) == "awsvpc" else "bridge",
        min_tasks=0,
        max_tasks=most,
        minimum_healthy_percent=100 if healthy is None else int(healthy),
        maximum_percent=200,
        host_port_static=any(port.number("HostPort") for port in ports),
    )


def _sum(tasks: Place, *names: str) -> float:
    """What all containers of a task reserve, each by the first of some properties that it has."""
    sizes = [[container.number(name) for name in names] for container in containers(tasks)]
    return sum(next(filter(None, size), 0) for size in sizes)
