"""What a service could run on instead: other instance types, Graviton, Spot, a warm pool, Fargate, Managed Instances;
and what would scale it where nothing does.

A task is taken to do the same on each of them. Where other services share the nodes none is tried, for they would have
to move, too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.capacity import Demand, InstanceType, UnknownInstanceType, instance_type
from scaleout_cfn.config.pools import fargate_sizes_near
from scaleout_cfn.config.scaling import NodeScaling, Scaling, TargetTracking
from scaleout_cfn.simulator.model import Fargate, Load, Managed, Model, NodeKind, NodePool, Size, StandingBy
from scaleout_cfn.simulator.placement import places, room_of
from scaleout_cfn.simulator.prices import Prices
from scaleout_cfn.simulator.results import demand
from scaleout_cfn.simulator.rules import MOST_NODES
from scaleout_cfn.simulator.service import first_tasks

Architecture = Literal["x86_64", "arm64"]

_FAMILIES = frozenset(
    ["t3", "t3a", "t4g", "m6a", "m7i", "m7a", "m7g", "m8g", "c6a", "c7i", "c7a", "c7g", "c8g", "r7i", "r7g"]
)
"""Of general use, and of which AWS has plenty."""
_BURSTS = "t"  # families by whose credits a node may do more than it is paid for, for a time
_LEAST_VCPUS, _MOST_VCPUS = 2, 16  # of Managed Instances, as [capacity.NAME] has them
_LEAST_MIB, _MOST_MIB = 4096, 65536
_MANAGED_GIB = 80
_STILL = "Nothing moves its nodes:"
MANAGED_NOTE = (
    "Which Managed Instances ECS starts, and which it ends when, is not published: taken are the cheapest by list price"
    " that hold a zone's part of the tasks that wait."
)


def kind_of(model: Model) -> str:
    """As `kind` of [capacity.NAME] has it."""
    return "fargate" if model.nodes is None else "managed-instances" if model.nodes.managed else "ec2"


def architecture_of(model: Model) -> Architecture:
    """Of the images."""
    if isinstance(model.pool, Fargate):
        return model.pool.architecture
    return "arm64" if instance_type(model.pool.instance_type).architecture == "arm64" else "x86_64"


def words(model: Model) -> str:
    """A shape in a few words."""
    pool = model.pool
    if isinstance(pool, Fargate):
        told = f"Fargate {pool.architecture}"
    elif pool.managed:
        told = f"Managed Instances {architecture_of(model)}"
    else:
        told = f"{pool.instance_type}, {pool.min_nodes} to {pool.max_nodes}"
        if pool.warm:
            told += f", {pool.warm.least} {pool.warm.state}"
    if pool.spot_percent:
        told += f", {pool.spot_percent} % Spot" + (f" above {pool.on_demand_base}" if pool.on_demand_base else "")
    return told


def scaled(model: Model, load: Load, requests: NDArray[np.float64]) -> Model:
    """A service that nothing scales with the policies that a config has by default, between what the quietest tenth of
    the time needs and what they ask for at the peak; on nodes for so many, which the capacity provider brings.

    By requests where its CPU is not known. Any other model as it is.
    """
    fixed = model.scaling
    if not model.is_fixed:
        return model
    unbound: Scaling = msgspec.structs.replace(Scaling(), min_tasks=0, max_tasks=5000)
    if not model.task.cpu_units:
        share = unbound.cpu.target / 100
        cooldowns = {name: getattr(unbound.cpu, name) for name in ("scale_out_cooldown_s", "scale_in_cooldown_s")}
        by_requests = TargetTracking(enabled=True, target=60 * load.task_rps * share, **cooldowns)
        unbound = msgspec.structs.replace(unbound, cpu=TargetTracking(), requests=by_requests)
    moved = tuple(note for note in model.notes if not note.startswith(_STILL))
    free = dataclasses.replace(model, scaling=unbound, notes=moved)
    # One task at rest where there is one today.
    least = max(min(fixed.min_tasks, Scaling().min_tasks), int(np.quantile(demand(requests, load), 0.1)))
    most = max(fixed.max_tasks, least + 1, first_tasks(free, load, float(requests.max())))
    scaling = msgspec.structs.replace(unbound, min_tasks=least, max_tasks=most)
    return dataclasses.replace(free, scaling=scaling, pool=_with_places(model, least, most))


def _with_places(model: Model, least: int, most: int) -> NodePool | Fargate:
    """What a model runs on, with nodes for so many tasks."""
    nodes = model.nodes
    if not nodes or nodes.managed:
        return model.pool

    def enough(tasks: int, from_: int) -> int:
        counts = range(from_, MOST_NODES)
        hold = (count for count in counts if places(dataclasses.replace(nodes, max_nodes=count), model.task) >= tasks)
        return next(hold, MOST_NODES)

    stand_still = nodes.min_nodes == nodes.max_nodes
    fewest = enough(least, min(nodes.min_nodes, nodes.zones)) if stand_still else nodes.min_nodes
    return dataclasses.replace(
        nodes,
        min_nodes=fewest,
        max_nodes=max(nodes.max_nodes, enough(most, fewest)),
        scaling=NodeScaling() if stand_still else nodes.scaling,
    )


def shapes(model: Model, prices: Prices, *, spot: bool = False) -> list[Model]:
    """Others than the model's own, cheapest places first within a kind. With Spot only where asked for."""
    if model.nodes and model.nodes.standing:
        return []
    free = _free_of_its_pool(model)
    found = [*_on_ec2(free, prices, spot), *_managed(free, prices), *_fargate(free, spot)]
    return [shape for shape in found if shape.pool != model.pool]


def _free_of_its_pool(model: Model) -> Model:
    """Without what is said of the pool that it leaves, which is not said of another one."""
    said = (MANAGED_NOTE, _STILL, "A warm pool stands by", "Its nodes are of", "Its tasks are on several")
    kept = (note for note in model.notes if not note.startswith(said) and " are on Fargate Spot." not in note)
    return dataclasses.replace(model, notes=tuple(kept))


def kinds_beside(model: Model, prices: Prices) -> list[Model]:
    """One of each kind of capacity that the model's own is not of, and Fargate of the other architecture too.

    Of EC2 the type that costs the least at rest, without those that burst.
    """
    own, image = kind_of(model), architecture_of(model)
    found = [shape for shape in shapes(model, prices) if not (shape.nodes and shape.nodes.warm)]

    beside = []
    for kind in ("ec2", "managed-instances"):
        alike = [shape for shape in found if kind_of(shape) == kind and architecture_of(shape) == image]
        alike = [shape for shape in alike if shape.nodes and not shape.nodes.instance_type.startswith(_BURSTS)]
        if kind != own and alike:
            beside.append(min(alike, key=lambda shape: _at_rest_usd(shape, shape.pool, prices)))
    return [*beside, *(shape for shape in found if kind_of(shape) == "fargate")]


def _at_rest_usd(model: Model, pool: NodePool | Fargate, prices: Prices) -> float:
    """An hour of the nodes that hold twice the fewest tasks."""
    assert isinstance(pool, NodePool)
    nodes = -(-2 * max(1, model.scaling.min_tasks) // pool.room.holds(model.task))
    return nodes * prices.instances[pool.instance_type]


def _types(model: Model, prices: Prices, architecture: Architecture) -> Iterator[InstanceType]:
    """Of those that hold as many tasks the cheapest, of those with credits and without; one of those that hold all."""
    best: dict[tuple[bool, int], tuple[float, InstanceType]] = {}
    for name, usd in sorted(prices.instances.items()):
        family = name.partition(".")[0]
        if family not in _FAMILIES:
            continue
        try:
            facts = instance_type(name)
        except UnknownInstanceType:
            continue
        holds = min(_room(model, facts).holds(model.task), max(2, model.scaling.max_tasks))
        if facts.architecture != architecture or not holds:
            continue
        kind = (family.startswith(_BURSTS), holds)
        if kind not in best or usd < best[kind][0]:
            best[kind] = (usd, facts)
    for bursts in (False, True):
        least = math.inf
        for kind, (usd, facts) in sorted(best.items(), reverse=True):
            # One that holds fewer and costs as much is for nobody.
            if kind[0] == bursts and usd < least:
                least = usd
                yield facts


def _room(model: Model, facts: InstanceType) -> Size:
    """What a node of a type has for tasks, beside what runs on every node today."""
    room = room_of(facts)
    cpu, memory = room.cpu_units, room.memory_mib
    if model.nodes:
        today = room_of(instance_type(model.nodes.instance_type))
        cpu -= max(0, today.cpu_units - model.nodes.room.cpu_units)
        memory -= max(0, today.memory_mib - model.nodes.room.memory_mib)
    return dataclasses.replace(room, cpu_units=max(0, cpu), memory_mib=max(0, memory))


def _pool(model: Model, facts: InstanceType) -> NodePool:
    """Nodes of a type with the places of today's, or on Fargate with as many as a deployment may ask for."""
    room, nodes = _room(model, facts), model.nodes
    holds = room.holds(model.task)
    most = places(nodes, model.task) if nodes else 2 * model.scaling.max_tasks
    least = nodes.min_nodes * model.tasks_per_node if nodes else 0
    fewest = max(-(-least // holds), min(nodes.min_nodes, nodes.zones) if nodes else 2)
    base = nodes or NodePool(0, 0, "", 0, Size(0, 0))
    return dataclasses.replace(
        base,
        min_nodes=fewest,
        max_nodes=max(-(-most // holds), fewest + 1),
        instance_type=facts.name,
        cpu_units=facts.vcpus * 1024,
        room=room,
        managed=None,
    )


def _bridged(model: Model) -> Model:
    """The same on nodes, where a task of Fargate's or of Managed Instances' has a port instead of a network interface;
    of the latter's nodes nothing is taken over."""
    if model.nodes and not model.nodes.managed:
        return model
    return dataclasses.replace(
        model, task=dataclasses.replace(model.task, interfaces=0, ports=1), pool=Fargate(architecture_of(model))
    )


def _on_ec2(model: Model, prices: Prices, spot: bool) -> Iterator[Model]:
    on_nodes = _bridged(model)
    for architecture in ("x86_64", "arm64"):
        for facts in _types(on_nodes, prices, architecture):
            pool = _pool(on_nodes, facts)
            yield dataclasses.replace(on_nodes, pool=pool)
            if pool.warm:
                continue
            ready = StandingBy("stopped", max(1, pool.min_nodes // 2), pool.max_nodes)
            yield dataclasses.replace(on_nodes, pool=dataclasses.replace(pool, warm=ready, spot_percent=0))
            for percent in (50, 100) if spot else ():
                bought = dataclasses.replace(pool, spot_percent=percent, on_demand_base=pool.min_nodes)
                yield dataclasses.replace(on_nodes, pool=bought)


def managed_kinds(
    task: Size,
    prices: Prices,
    architecture: Architecture,
    most: int,
    within: Callable[[InstanceType], bool],
    daemons: Sequence[Demand] = (),
) -> tuple[NodeKind, ...]:
    """What ECS Managed Instances may be: of the types within some bounds that hold as many tasks, up to `most`, the
    cheapest each, the smallest first; none where no type with a price holds one. ECS "selects the most cost-optimized
    general-purpose" types, by which prices is not said.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ManagedInstances.html
    """
    best: dict[int, tuple[float, NodeKind]] = {}
    for name, usd in sorted(prices.instances.items()):
        try:
            facts = instance_type(name)
        except UnknownInstanceType:
            continue
        if facts.architecture != architecture or not within(facts):
            continue
        room = room_of(facts, daemons)
        # A trunk by default: 10 tasks on a large instance, with the size up to 60, from memory.
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-awsvpc-mode.html
        room = dataclasses.replace(room, interfaces=max(room.interfaces, min(60, 5 * facts.vcpus)))
        holds = min(most, room.holds(task))
        if holds and (holds not in best or usd < best[holds][0]):
            best[holds] = usd, NodeKind(name, facts.vcpus * 1024, room)
    kinds: list[NodeKind] = []
    least = math.inf
    for _, (usd, kind) in sorted(best.items(), reverse=True):
        if usd < least:  # one that holds fewer and costs as much is for nobody
            least = usd
            kinds.insert(0, kind)
    return tuple(kinds)


def is_general(facts: InstanceType) -> bool:
    """Of general use, current, and without credits."""
    family = facts.name.partition(".")[0]
    return family in _FAMILIES and not family.startswith(_BURSTS)


def _managed(model: Model, prices: Prices) -> Iterator[Model]:
    """ECS chooses the types; taken for those are the cheapest within the bounds that [capacity.NAME] has by default."""
    task = dataclasses.replace(model.task, interfaces=1, ports=0, apart=False)
    apart = dataclasses.replace(model, task=task, cpu_is="quota", placement="spread")  # as a task's own size has it

    def within(facts: InstanceType) -> bool:
        fits = _LEAST_VCPUS <= facts.vcpus <= _MOST_VCPUS and _LEAST_MIB <= facts.memory_mib <= _MOST_MIB
        return is_general(facts) and fits

    for architecture in ("x86_64", "arm64"):
        kinds = managed_kinds(apart.task, prices, architecture, max(2, model.scaling.max_tasks), within)
        if kinds:
            zones = model.nodes.zones if model.nodes else 2
            pool = managed_pool(kinds, apart.task, apart.scaling.min_tasks, zones, disk_gib=_MANAGED_GIB)
            pool = dataclasses.replace(pool, name=model.nodes.name if model.nodes else "nodes")
            yield dataclasses.replace(apart, pool=pool, notes=(*model.notes, MANAGED_NOTE))


def managed_pool(kinds: tuple[NodeKind, ...], task: Size, tasks: int, zones: int, **facts: Any) -> NodePool:
    """A pool of Managed Instances; what is asked of its nodes alike, as in an oracle's hours, is of the kind that the
    fewest tasks are put on."""
    part = -(-max(1, tasks) // zones)
    own = next((kind for kind in kinds if kind.room.holds(task) >= part), kinds[-1])
    scale_in_after_s = facts.pop("scale_in_after_s", None)
    return NodePool(
        0, MOST_NODES, own.instance_type, own.cpu_units, own.room,
        zones=zones, managed=Managed(kinds, scale_in_after_s), **facts,
    )  # fmt: skip


def _fargate(model: Model, spot: bool) -> Iterator[Model]:
    if model.task.gpus:
        return
    cpu, memory = model.task.cpu_units, model.task.memory_mib
    near = fargate_sizes_near(cpu, memory)
    enough = [size for size in near if size[0] >= cpu and size[1] >= memory] if near else [(cpu, memory)]
    if not enough:
        return
    task = Size(*enough[0], interfaces=1)
    for architecture in ("x86_64", "arm64"):
        for percent in (0, 50, 100) if spot else (0,):
            pool = Fargate(architecture, percent, model.scaling.min_tasks if percent else 0)
            yield dataclasses.replace(model, task=task, pool=pool)
