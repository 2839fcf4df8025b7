"""Does it fit: tasks on nodes, by CPU, memory, ports and network interfaces. Pure arithmetic on plain facts.

`problems(demand, supply)` is empty when the most tasks of one service fit on the most nodes and a deployment can move
at every number of tasks from the fewest to the most. All its tasks have one size, so that what a node holds is a
quotient rounded down, and neither spread nor binpack placement can lose a place. Several services are packed by
`nodes_needed`. Where instance types are mixed, every node counts as the type that holds the fewest tasks, for Auto
Scaling may launch no other.

The rolling update of nodes is a separate matter and not looked at here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from scaleout_cfn.config import Config, Ec2Capacity, Rolling, Scaling, Schedule
from scaleout_cfn.config.units import JobUnit, Unit, jobs_of, units, with_stand_ins
from scaleout_cfn.errors import SetError

RESERVED_MEMORY_MIB = 128
"""What user data must set ECS_RESERVED_MEMORY to: what ECS keeps from tasks, for Docker and the agents.

AWS Batch reserves 32 MiB by default and advises 5 %, which is 128 MiB of 2.5 GiB; the ECS example has 256.
A user found about 200 MiB of a t3.nano in use that ECS did not count.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/memory-management.html
https://docs.aws.amazon.com/batch/latest/userguide/ecs-reserved-memory.html
https://github.com/aws/containers-roadmap/issues/536
"""

BRIDGE_TASKS = 1000
"""Containers that can be reached on one Docker bridge: it has 1023 ports, the neighbour table ends before.

The 28,232 dynamic host ports of a node, 32768 to 60999, never run out first.
https://github.com/moby/moby/issues/44973
"""


class InstanceType(Struct, frozen=True):
    """An EC2 instance type by DescribeInstanceTypes. `max_enis` is that of the default network card."""

    name: str
    architecture: str
    vcpus: int
    memory_mib: int
    max_enis: int
    gpus: int = 0


class Demand(Struct, frozen=True):
    """What a service asks for. A task reserves `cpu_units` (1024 a vCPU) and `memory_mib`, both above 0."""

    cpu_units: int
    memory_mib: int
    network_mode: Literal["bridge", "awsvpc"]
    min_tasks: int
    max_tasks: int
    minimum_healthy_percent: int
    maximum_percent: int
    #: Whether a deployment starts as many tasks again before it stops any, as all but a rolling one do.
    doubles: bool = False
    host_port_static: bool = False
    gpus: int = 0
    #: Name of its section in the config.
    service: str = "web"
    #: Whether these are the tasks that stand in for the service's.
    stands_in: bool = False

    @property
    def named(self) -> str:
        """What it is called in a message: by where its section is."""
        return f"services.{self.service}{'.stand_in' if self.stands_in else ''}"

    @property
    def most_key(self) -> str:
        """The key that says how many tasks there are at most."""
        return f"{self.named}.{'tasks' if self.stands_in else 'scaling.max_tasks'}"


class Supply(Struct, frozen=True):
    """What a pool has. The least nodes and the zones do not enter: nodes follow the tasks, and spreading over
    zones is best effort.
    """

    instance_types: tuple[str, ...]
    max_nodes: int
    architecture: str
    #: Name of its section in the config.
    pool: str = "nodes"


class Problem(Struct, frozen=True):
    """Why it cannot be, with the arithmetic, and what would do.

    `cures` are alternatives, values by dotted key of the config; each alone ends the problem of this code.
    """

    code: str
    message: str
    cures: tuple[dict[str, object], ...] = ()

    def __str__(self) -> str:
        ways = [" and ".join(f"{key} = {json.dumps(value)}" for key, value in cure.items()) for cure in self.cures]
        return ": ".join([self.message, *filter(None, [", or ".join(ways)])])


class UnknownInstanceType(ValueError):
    """A type that the data file does not have. `cure` says what to do."""

    def __init__(self, name: str) -> None:
        import difflib  # 3 ms that only this error needs

        data = _data()
        near = ", ".join(difflib.get_close_matches(name, data["types"], 3)) or "none"
        self.cure = (
            "use a type that is known, or add a newer one with scripts/refresh_instance_types.py of the"
            " repository; a1 and mac types are left out: the Amazon Linux 2023 ECS image does not run on them"
        )
        super().__init__(
            f"got {name}, which is not among the {len(data['types'])} types known as of {data['as_of']};"
            f" nearest: {near}"
        )


def instance_type(name: str) -> InstanceType:
    """The figures of a type, from the dated data file. Raises UnknownInstanceType."""
    row = _data()["types"].get(name)
    if row is None:
        raise UnknownInstanceType(name)
    vcpus, memory_mib, max_enis, architecture, *gpus = row
    return InstanceType(name, architecture, vcpus, memory_mib, max_enis, *gpus)


def registered_memory_mib(memory_mib: int) -> int:
    """What ECS can give to tasks of a node's memory, in MiB: an estimate that errs to the low side.

    ECS registers what Linux reports as its total, less ECS_RESERVED_MEMORY. Hypervisor, firmware and kernel
    take their part first. AWS's guide gives one figure, 7985 of the 8192 MiB of an m4.large; Karpenter's
    maintainers measured most types of 2023. The most that any but vt1 loses is 89 MiB of 512, 11 % of 1 to
    4 GiB, 8 % of 8 GiB, 6 % of 16 GiB and 5 % of more. Hence 100 MiB at least, 11 % of the first 4 GiB and
    5 % of the rest; vt1, with its video cards, loses up to 3 % more.
    https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html
    https://github.com/aws/karpenter-provider-aws/blob/33450d8f82ded870ce65fbde3cec14dbb2c04f50/pkg/providers/instancetype/zz_generated.memory_overhead.go
    """
    first = min(memory_mib, 4096)
    lost = max(100, _up(11 * first + 5 * (memory_mib - first), 100))
    return memory_mib - lost - RESERVED_MEMORY_MIB


def limits(type: InstanceType, demand: Demand) -> dict[str, int]:
    """How many tasks a node of this type takes by each of its limits.

    Under awsvpc each task has a network interface, beside the node's own. Trunking would allow more; it is a
    setting of the account, so it is not relied on.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html
    """
    by_limit = {
        "CPU": type.vcpus * 1024 // demand.cpu_units,
        "memory": max(0, registered_memory_mib(type.memory_mib)) // demand.memory_mib,
    }
    if demand.network_mode == "awsvpc":
        by_limit["network interfaces"] = type.max_enis - 1
    else:
        by_limit["ports"] = 1 if demand.host_port_static else BRIDGE_TASKS
    if demand.gpus:
        by_limit["GPUs"] = type.gpus // demand.gpus
    return by_limit


def tasks_per_node(type: InstanceType, demand: Demand) -> int:
    return min(limits(type, demand).values())


def binding_limit(type: InstanceType, demand: Demand) -> str:
    """The limit that is reached first: "CPU", "memory", "ports", "network interfaces" or "GPUs"."""
    by_limit = limits(type, demand)
    return min(by_limit, key=by_limit.__getitem__)


def most_tasks(demand: Demand, supply: Supply) -> int:
    """The most tasks for which the most nodes have room, with that for a deployment; 0 where there are none.

    The number of tasks in `demand` does not matter. Raises UnknownInstanceType.
    """
    places = supply.max_nodes * tasks_per_node(_smallest(demand, supply), demand)
    if demand.doubles:
        return places // 2
    return places if places >= _places_needed(demand, places) else max(0, places - 1)


def nodes_needed(type: InstanceType, demands: Sequence[Demand], daemons: Sequence[Demand] = ()) -> int | None:
    """How many nodes of a type hold the most tasks of several services, with room for a deployment of one of them.

    By first fit, the largest tasks first. A cleverer packing may at times do with fewer, but ECS places one task after
    the other, too; of tasks of one size nothing is wasted. Each of `daemons` has a task on every node. A size of 0
    reserves nothing. None where one task fits on no node.
    """
    nodes: list[dict[str, int]] = []
    for number, demand in sorted(enumerate(demands), key=lambda entry: -_share(type, entry[1])):
        left = demand.max_tasks
        for node in nodes:
            left -= _place(node, number, demand, left)
        while left > 0:
            fresh = room_beside(type, daemons)
            placed = _place(fresh, number, demand, left) if fresh else 0
            if fresh is None or not placed:
                return None
            left -= placed
            nodes.append(fresh)
    # One deployment at a time: each finds its place on the nodes as they are, and on more where they are too few.
    more = 0
    for number, demand in enumerate(demands):
        left = _places_needed(demand, demand.max_tasks) - demand.max_tasks if demand.max_tasks else 0
        for node in nodes:
            left -= _place(dict(node), number, demand, left)
        each = places_beside(type, demand, daemons)
        more = max(more, _up(left, each) if left else 0)
    return len(nodes) + more


def places_beside(type: InstanceType, demand: Demand, others: Sequence[Demand]) -> int:
    """How many tasks of a service a node takes beside one task of each of others."""
    node = room_beside(type, others)
    return _place(node, 0, demand, BRIDGE_TASKS) if node else 0


def room_beside(type: InstanceType, held: Sequence[Demand]) -> dict[str, int] | None:
    """What is free on a node that holds a task of each of some services, by limit; None where they do not fit."""
    node = {
        "CPU": type.vcpus * 1024,
        "memory": max(0, registered_memory_mib(type.memory_mib)),
        "network interfaces": type.max_enis - 1,
        "ports": BRIDGE_TASKS,
        "GPUs": type.gpus,
    }
    return node if all(_place(node, -1 - index, demand, 1) for index, demand in enumerate(held)) else None


def _place(node: dict[str, int], service: int, demand: Demand, tasks: int) -> int:
    """Put as many of a service's tasks on a node as it has room for, and tell how many those are."""
    awsvpc = demand.network_mode == "awsvpc"
    sizes = {"CPU": demand.cpu_units, "memory": demand.memory_mib, "network interfaces" if awsvpc else "ports": 1}
    sizes["GPUs"] = demand.gpus
    if demand.host_port_static and not awsvpc:
        sizes[f"port of {service}"] = 1
        node.setdefault(f"port of {service}", 1)
    placed = min(tasks, *(node[name] // size for name, size in sizes.items() if size))
    for name, size in sizes.items():
        node[name] -= placed * size
    return placed


def _share(type: InstanceType, demand: Demand) -> float:
    return max(demand.cpu_units / (type.vcpus * 1024), demand.memory_mib / type.memory_mib)


def problems(demand: Demand, supply: Supply) -> list[Problem]:
    unknown = []
    for name in supply.instance_types:
        try:
            instance_type(name)
        except UnknownInstanceType as error:
            unknown.append(
                Problem("instance-type-unknown", f"capacity.{supply.pool}.instance_types: {error}; {error.cure}")
            )
    if unknown:
        return unknown
    return [*_architecture(supply), *deployment_problems(demand), *_task(demand, supply), *_room(demand, supply)]


def _architecture(supply: Supply) -> list[Problem]:
    fit = [name for name in supply.instance_types if supply.architecture == instance_type(name).architecture]
    misfit = [name for name in supply.instance_types if name not in fit]
    if not misfit:
        return []
    named = ", ".join(f"{name} is {instance_type(name).architecture}" for name in misfit)
    message = f"capacity.{supply.pool}.instance_types: {named}, where architecture is {supply.architecture}"
    if fit:
        return [Problem("architecture", message, (_types(supply, fit),))]
    cures: tuple[dict[str, object], ...] = (
        {f"capacity.{supply.pool}.architecture": instance_type(misfit[0]).architecture},
    )
    alike = [_like(instance_type(name), supply.architecture) for name in misfit]
    return [Problem("architecture", message, (*cures, _types(supply, dict.fromkeys(alike))) if all(alike) else cures)]


def _like(type: InstanceType, architecture: str) -> str:
    """The type of another architecture that has as much CPU and memory and the likest name; empty when none has."""
    import difflib

    same = [
        name
        for name, (vcpus, memory_mib, _, other, *_gpus) in _data()["types"].items()
        if (vcpus, memory_mib, other) == (type.vcpus, type.memory_mib, architecture)
    ]
    return max(same, key=lambda name: difflib.SequenceMatcher(None, name, type.name).ratio(), default="")


def deployment_problems(demand: Demand) -> list[Problem]:
    """A deployment stops a task or starts one to move; the fewer tasks, the less rounding leaves of either.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
    """
    tasks = max(1, demand.min_tasks)
    low, high = demand.minimum_healthy_percent, demand.maximum_percent
    if _healthy(demand, tasks) < tasks or tasks * high // 100 > tasks:
        return []
    message = (
        f"services.{demand.service}.deployment: of {count(tasks, 'task')}, minimum_healthy_percent = {low} keeps"
        f" {_healthy(demand, tasks)} (rounded up) and maximum_percent = {high} allows {tasks * high // 100}"
        " (rounded down), so that a deployment can neither stop a task nor start one"
    )
    cures: list[dict[str, object]] = [
        {f"services.{demand.service}.deployment.maximum_percent": _up(100 * (tasks + 1), tasks)}
    ]
    enough = [_up(100, share) for share in (high - 100, 100 - low) if share > 0]
    if enough and demand.stands_in:
        cures.append({demand.most_key: min(enough)})
    elif enough and min(enough) <= demand.max_tasks:
        cures.append({f"services.{demand.service}.scaling.min_tasks": min(enough)})
    return [Problem("deployment-cannot-move", message, tuple(cures))]


def _task(demand: Demand, supply: Supply) -> list[Problem]:
    types = [instance_type(name) for name in supply.instance_types]
    small = [type for type in types if not tasks_per_node(type, demand)]
    if not small:
        return []
    named = ", ".join(f"{type.name} ({_why(type, demand)})" for type in small)
    message = f"{demand.named}: one task of {_size(demand)} does not fit on {named}"
    share = _up(_places_needed(demand, demand.max_tasks), supply.max_nodes)
    cures = _larger(demand, supply, share) or _larger(demand, supply, 1) or _with_gpus(demand, supply)
    changes: dict[str, object] = {}
    if (cpu := min(type.vcpus for type in types) * 1024) < demand.cpu_units:
        changes[f"services.{demand.service}.cpu_units"] = cpu
    if (memory := min(registered_memory_mib(type.memory_mib) for type in types)) < demand.memory_mib:
        changes[f"services.{demand.service}.memory_mib"] = memory
    if demand.network_mode == "awsvpc" and min(type.max_enis for type in types) < 2:
        changes[f"{demand.named}.network_mode"] = "bridge"
    if (gpus := min(type.gpus for type in types)) < demand.gpus:
        changes[f"services.{demand.service}.gpus"] = gpus
    return [Problem("task-too-large", message, (*cures, changes))]


def _room(demand: Demand, supply: Supply) -> list[Problem]:
    type = _smallest(demand, supply)
    tasks, nodes, low = demand.max_tasks, supply.max_nodes, demand.minimum_healthy_percent
    each, needed = tasks_per_node(type, demand), _places_needed(demand, tasks)
    if not each or nodes * each >= needed:
        return []
    spare = (
        f", and one more during a deployment since deployment.minimum_healthy_percent = {low} lets none stop first,"
        if needed > tasks
        else ""
    )
    if demand.doubles:
        spare = ", and as many again during a deployment, for deployment.strategy is not rolling,"
    message = (
        f"{demand.most_key}: {count(tasks, 'task')} of {_size(demand)}{spare} need"
        f" {_up(needed, each)} {type.name}, {each} a node by {binding_limit(type, demand)} ({_why(type, demand)});"
        f" capacity.{supply.pool}.max_nodes is {nodes}, room for {nodes * each}"
    )
    cures: list[dict[str, object]] = []
    if (most := most_tasks(demand, supply)) >= max(1, demand.min_tasks):
        cures.append({demand.most_key: most})
    cures += [{f"capacity.{supply.pool}.max_nodes": _up(needed, each)}, *_larger(demand, supply, _up(needed, nodes))]
    return [Problem("too-few-nodes", message, tuple(cures))]


def _larger(demand: Demand, supply: Supply, tasks: int) -> list[dict[str, object]]:
    """The types, with the next size that takes so many tasks for each that takes fewer, or without it."""
    larger: list[str] = []
    for type in map(instance_type, supply.instance_types):
        fit = [size for size in (type, *_sizes_above(type)) if tasks_per_node(size, demand) >= tasks]
        larger += [size.name for size in fit[:1]]
    return [_types(supply, dict.fromkeys(larger))] if larger else []


def _with_gpus(demand: Demand, supply: Supply) -> list[dict[str, object]]:
    """The smallest type that has the GPUs of a task, where one is wanted."""
    types = [instance_type(name) for name, row in _data()["types"].items() if demand.gpus and row[4:]]
    fit = [t for t in types if t.architecture == supply.architecture and tasks_per_node(t, demand)]
    return [_types(supply, [min(fit, key=lambda t: (t.gpus, t.memory_mib, t.name)).name])] if fit else []


def _sizes_above(type: InstanceType) -> list[InstanceType]:
    """The larger sizes of a type's family, smallest first."""
    family = type.name.partition(".")[0] + "."
    names = [name for name in _data()["types"] if name.startswith(family)]
    above = [
        size for size in map(instance_type, names) if (size.memory_mib, size.vcpus) > (type.memory_mib, type.vcpus)
    ]
    return sorted(above, key=lambda size: (size.memory_mib, size.vcpus))


def _smallest(demand: Demand, supply: Supply) -> InstanceType:
    return min(map(instance_type, supply.instance_types), key=lambda type: tasks_per_node(type, demand))


def _healthy(demand: Demand, tasks: int) -> int:
    """How many of so many tasks must stay healthy during a deployment: ECS rounds up."""
    return _up(tasks * demand.minimum_healthy_percent, 100)


def _places_needed(demand: Demand, tasks: int) -> int:
    """Room for the most tasks, and for those that a deployment starts before it stops one: one more, or all again.

    With fewer tasks it may have to start one first too, but then there is room: what the missing task leaves.
    """
    if demand.doubles:
        return 2 * tasks
    return tasks + 1 if _healthy(demand, tasks) == tasks else tasks


def _size(demand: Demand) -> str:
    if demand.gpus:
        return f"{demand.cpu_units} CPU units, {demand.memory_mib} MiB and {count(demand.gpus, 'GPU')}"
    return f"{demand.cpu_units} CPU units and {demand.memory_mib} MiB"


def _why(type: InstanceType, demand: Demand) -> str:
    """What the type has of that which runs out first."""
    memory = registered_memory_mib(type.memory_mib)
    return {
        "CPU": f"{type.vcpus * 1024} CPU units",
        "memory": f"{type.memory_mib} MiB, of which about {memory} are for tasks",
        "ports": "one static host port" if demand.host_port_static else f"{BRIDGE_TASKS} on its Docker bridge",
        "network interfaces": f"{count(type.max_enis, 'network interface')}, of which one is the node's own",
        "GPUs": count(type.gpus, "GPU"),
    }[binding_limit(type, demand)]


def _types(supply: Supply, names: Iterable[str]) -> dict[str, object]:
    return {f"capacity.{supply.pool}.instance_types": list(names)}


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _up(number: int, divisor: int) -> int:
    return -(-number // divisor)


@cache
def _data() -> dict[str, Any]:
    file = Path(__file__).parent / "data" / "instance_types.json"
    data: dict[str, Any] = json.loads(file.read_bytes())
    types = {f"{family}.{size}": row for family, sizes in data["types"].items() for size, row in sizes.items()}
    return {**data, "types": types}


def fitting_tasks(config: Config) -> dict[str, int | None]:
    """The most tasks that each service may be given, by name; None where nothing but the tunable bounds them.

    On nodes that one service has to itself it is what they hold. Where several share nodes it is what the config asks
    for, so that whatever is asked for in the console fits beside the others at their most.
    Raises SetError, with the arithmetic, when the nodes of a pool hold too few, or a deployment cannot move.
    """
    most: dict[str, int | None] = {}
    refusals: list[str] = []
    for name, pool in sorted(config.capacity.items()):
        on_it = [unit for unit in with_stand_ins(units(config)) if unit.pool_name == name]
        if not isinstance(pool, Ec2Capacity):
            most |= dict.fromkeys((unit.name for unit in on_it), None)
            refusals += [str(problem) for unit in on_it for problem in deployment_problems(demand_of(unit))]
            continue
        supply = Supply(
            pool=name,
            instance_types=pool.instance_types,
            max_nodes=pool.max_nodes,
            architecture=pool.architecture,
        )
        demands = {unit.name: demand_of(unit) for unit in on_it}
        found = [problem for demand in demands.values() for problem in problems(demand, supply)]
        if not found and len(demands) > 1:
            found = _together(list(demands.values()), supply)
        refusals += dict.fromkeys(map(str, found))
        if not found:
            most |= {
                service: most_tasks(demand, supply) if len(demands) == 1 else demand.max_tasks
                for service, demand in demands.items()
            }
    refusals += [reason for job in jobs_of(config) if (reason := _too_large(job))]
    if refusals:
        raise SetError(refusals)
    return most


def _too_large(job: JobUnit) -> str:
    """Why no node of its pool can hold a job's task; empty where one can, beside how many others nobody knows."""
    pool, settings = job.pool, job.settings
    if not isinstance(pool, Ec2Capacity):
        return ""
    demand = Demand(
        service=job.name,
        cpu_units=settings.cpu_units,
        memory_mib=settings.memory_mib,
        network_mode=job.network_mode,
        min_tasks=0,
        max_tasks=1,
        minimum_healthy_percent=0,
        maximum_percent=100,
        gpus=settings.gpus,
    )
    small = [name for name in pool.instance_types if nodes_needed(instance_type(name), [demand]) is None]
    if not small:
        return ""
    return (
        f"{job.key}: a task of {_size(demand)} does not fit on {', '.join(small)}; give it less, or larger"
        f" capacity.{job.pool_name}.instance_types"
    )


def demand_of(unit: Unit) -> Demand:
    """What a service asks of its nodes. A schedule may ask for more, or for less, than its bounds at other times; one
    under which nothing runs asks for nothing."""
    settings = unit.settings
    schedules = [schedule for schedule in settings.scaling.schedules if schedule.max_tasks]
    bounds: list[Scaling | Schedule] = [settings.scaling, *schedules]
    rolling = settings.deployment if isinstance(settings.deployment, Rolling) else Rolling()
    return Demand(
        service=unit.stands_in_for or unit.name,
        stands_in=bool(unit.stands_in_for),
        cpu_units=settings.cpu_units,
        memory_mib=settings.memory_mib,
        network_mode=unit.network_mode,
        min_tasks=min(bound.min_tasks for bound in bounds),
        max_tasks=max(bound.max_tasks for bound in bounds),
        minimum_healthy_percent=rolling.minimum_healthy_percent,
        maximum_percent=rolling.maximum_percent,
        doubles=unit.shifting is not None,
        gpus=settings.gpus,
    )


def _together(demands: Sequence[Demand], supply: Supply) -> list[Problem]:
    """Whether the nodes hold all services at their most, with what a deployment of one of them needs."""
    types = [instance_type(name) for name in supply.instance_types]
    needed, type = max(((nodes_needed(type, demands) or 0, type) for type in types), key=lambda pair: pair[0])
    if needed <= supply.max_nodes:
        return []
    asked = " and ".join(
        f"{count(demand.max_tasks, 'task')} of {demand.named.removeprefix('services.')}, each of {_size(demand)},"
        for demand in demands
    )
    message = (
        f"capacity.{supply.pool}.max_nodes: {asked} with room for a deployment of one of them need {needed}"
        f" {type.name}; got {supply.max_nodes}"
    )
    cures: list[dict[str, object]] = [{f"capacity.{supply.pool}.max_nodes": needed}]
    larger = [
        next((size.name for size in (type, *_sizes_above(type)) if _hold(size, demands, supply.max_nodes)), "")
        for type in types
    ]
    if all(larger):
        cures.append(_types(supply, dict.fromkeys(larger)))
    return [Problem("too-few-nodes", message, tuple(cures))]


def _hold(type: InstanceType, demands: Sequence[Demand], nodes: int) -> bool:
    needed = nodes_needed(type, demands)
    return needed is not None and needed <= nodes
