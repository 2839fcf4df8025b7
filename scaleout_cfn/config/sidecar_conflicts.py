"""What single bounds cannot say of the containers of a task together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scaleout_cfn.config import InternalService, NewVpc, WebService
from scaleout_cfn.config.container_conflicts import container_conflicts, on_pool
from scaleout_cfn.config.encryption import secrets_keys_conflicts
from scaleout_cfn.config.images import unreachable
from scaleout_cfn.config.pulse import ReadPulse
from scaleout_cfn.config.sidecars import (
    Condition,
    ContainerSidecar,
    FireLensSidecar,
    OtelSidecar,
    ProxySidecar,
    listening,
    order,
)
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit
from scaleout_cfn.grammars import arn_of, ecr_repository


def sidecar_conflicts(unit: Unit) -> Iterator[Conflict]:
    """What of a service's sidecars excludes each other, in whatever pool."""
    settings, key = unit.settings, f"{unit.key}.sidecars"
    for name in settings.after:
        if name not in settings.sidecars:
            there = ", ".join(sorted(settings.sidecars)) or "none"
            yield Conflict(f"{unit.key}.after.{name}", f"there is no such sidecar; there are {there}")
    if not unit.sidecars:
        return
    if unit.name in settings.sidecars:
        yield Conflict(f"{key}.{unit.name}", "is the name of the service's own container; give it another")
        return
    if not isinstance(settings, (WebService, InternalService)) and unit.proxy:
        yield Conflict(f"{key}.{unit.proxy[0]}", "is a proxy, and nothing is sent to a worker; leave it out")
        return
    for name, sidecar in unit.beside.items():
        where = unit.key_of_sidecar(name)
        yield from container_conflicts(where, sidecar, sidecar.memory_mib)
        yield from secrets_keys_conflicts(where, unit.secrets, sidecar.secrets_keys)
        image = sidecar.image_uri
        if why := image and unreachable(unit.config, image, unit.config.region, "push a copy to ECR, and name that"):
            yield Conflict(f"{where}.image_uri", why)
        if sidecar.registry_secret and not image:
            yield Conflict(
                f"{where}.registry_secret", "the image is the service's, and so is its secret; leave this one out"
            )
        elif sidecar.registry_secret and ecr_repository(image):
            yield Conflict(
                f"{where}.registry_secret", f"{image} is in ECR, which the task's role signs in to; leave it out"
            )
    yield from _sizes(unit)
    yield from _ports(unit)
    yield from _order(unit)
    yield from _ready_made(unit)


def _sizes(unit: Unit) -> Iterator[Conflict]:
    settings = unit.settings
    for tunable, left in (("cpu_units", unit.own_cpu_units), ("memory_mib", unit.own_memory_mib)):
        whole = getattr(settings, tunable)
        if left <= 0:
            yield Conflict(
                f"{unit.key}.{tunable}",
                f"got {whole}, and its sidecars take {whole - left} of it, which leaves nothing to the service's"
                " container; raise it, or give them less",
            )


def _ports(unit: Unit) -> Iterator[Conflict]:
    """Each port once: the containers of a task share a network interface."""
    settings = unit.settings
    taken: dict[int, str] = {}
    if isinstance(settings, (WebService, InternalService)):
        taken[settings.container_port] = f"{unit.key}.container_port"
    for name, sidecar in unit.beside.items():
        for port in sidecar.ports if isinstance(sidecar, ContainerSidecar) else ():
            where = f"{unit.key}.sidecars.{name}"
            if port in taken:
                yield Conflict(where, f"listens on {port}, as {taken[port]} does; the containers of a task share ports")
            taken.setdefault(port, where)


def _order(unit: Unit) -> Iterator[Conflict]:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html"""
    settings, own = unit.settings, unit.name
    graph = order(own, bool(settings.health_command), settings.after, settings.sidecars)
    where = {name: f"{unit.key}.sidecars.{name}" for name in settings.sidecars} | {own: unit.key}
    for name, before in graph.items():
        for other, condition in before.items():
            key = f"{where[name]}.after.{other}"
            if other == name:
                yield Conflict(key, "is the container itself; leave it out")
            elif other not in graph:
                if name != own:
                    yield Conflict(key, f"there is no such container; there are {', '.join(sorted(graph))}")
            else:
                yield from _condition(unit, key, other, condition)
    if circle := _circle(graph):
        yield Conflict(
            f"{where[circle[0]]}.after",
            f"is a circle, in which none can start: {' after '.join([*circle, circle[0]])}; take one of them out",
        )


def _condition(unit: Unit, key: str, other: str, condition: Condition) -> Iterator[Conflict]:
    container = unit.settings if other == unit.name else unit.beside[other]
    essential = other == unit.name or (isinstance(container, ContainerSidecar) and container.essential)
    if condition == "HEALTHY" and not container.health_command:
        yield Conflict(key, f"{other} has no health_command by which it could be HEALTHY; give it one, or use START")
    if condition in ("COMPLETE", "SUCCESS") and essential:
        cure = "" if other == unit.name else ', or set its kind = "init" or essential = false'
        yield Conflict(key, f"{other} is essential, and the task ends when it does; use START or HEALTHY{cure}")


def _circle(graph: Mapping[str, Mapping[str, Condition]]) -> list[str]:
    """Containers of which each starts after the next, and the last after the first; none where there are none."""
    for start in sorted(graph):
        path = [start]
        waiting = [iter(sorted(graph[start]))]
        seen = {start}
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                path.pop()
            elif name == start:
                return path if len(path) > 1 else []
            elif name in graph and name not in seen:
                seen.add(name)
                path.append(name)
                waiting.append(iter(sorted(graph[name])))
    return []


def _ready_made(unit: Unit) -> Iterator[Conflict]:
    settings, network = unit.settings, unit.config.network
    for kind, what in ((FireLensSidecar, "takes the container's logs"), (ProxySidecar, "is in front")):
        same = [name for name, sidecar in sorted(settings.sidecars.items()) if isinstance(sidecar, kind)]
        if len(same) > 1:
            yield Conflict(f"{unit.key}.sidecars.{same[1]}", f"{same[0]} {what} already; keep one of the two")
    otel = [name for name, sidecar in sorted(settings.sidecars.items()) if isinstance(sidecar, OtelSidecar)]
    if len(otel) > 1:
        yield Conflict(f"{unit.key}.sidecars.{otel[1]}", f"{otel[0]} is a collector already; keep one of the two")
    ways_out = not isinstance(network, NewVpc) or network.egress != "endpoints"
    for name, sidecar in sorted(settings.sidecars.items()):
        key = f"{unit.key}.sidecars.{name}"
        if isinstance(sidecar, FireLensSidecar):
            if settings.log_driver != "awslogs":
                yield Conflict(
                    f"{unit.key}.log_driver",
                    f"got {settings.log_driver}, and {name} is FireLens, which takes the logs; keep one of the two",
                )
            if sidecar.destination_arn and sidecar.output:
                yield Conflict(f"{key}.output", "and destination_arn exclude each other; keep one of the two")
            if both := sorted(set(sidecar.options) & set(sidecar.secret_options)):
                yield Conflict(f"{key}.secret_options", f"{', '.join(both)} also in {key}.options; keep one of the two")
            arn = arn_of(sidecar.destination_arn)
            if not ways_out and (sidecar.output or (arn and arn.service != "s3")):
                yield Conflict(f"{key}.{'output' if sidecar.output else 'destination_arn'}", _NO_WAY)
        elif isinstance(sidecar, OtelSidecar):
            if not sidecar.traces and not sidecar.metrics:
                yield Conflict(f"{key}.traces", "is false, and so is metrics, so that it does nothing; set one of them")
            if not ways_out and sidecar.traces:
                yield Conflict(f"{key}.traces", _NO_WAY)
        elif isinstance(sidecar, ProxySidecar):
            protocol = settings.protocol if isinstance(settings, WebService) else "http1"
            if sidecar.engine == "nginx" and protocol != "http1":
                yield Conflict(
                    f"{key}.engine", f'"nginx" is for protocol = "http1", and this is "{protocol}"; use "envoy"'
                )


_NO_WAY = (
    'network.egress = "endpoints" leaves tasks no way there; choose another egress, as "single-nat", or leave it out'
)


def sidecars_on_pool(unit: Unit) -> Iterator[Conflict]:
    """What a service's pool and network mode can do for its sidecars."""
    for key, container in unit.containers.items():
        if key != unit.key:
            yield from on_pool(unit, key, container)
    names = listening(unit.settings.sidecars)
    if isinstance(unit.settings.scaling.pulse, ReadPulse) and unit.network_mode == "bridge":
        yield Conflict(
            f"{unit.key}.network_mode",
            "is bridge, under which each container has a network of its own, and the sidecar of scaling.pulse reaches"
            ' no other; leave it out, set "awsvpc", or let the container count by itself: scaling.pulse.kind = "log"',
        )
    if names and unit.network_mode == "bridge":
        yield Conflict(
            f"{unit.key}.network_mode",
            f"is bridge, under which each container has a network of its own and nobody reaches {' and '.join(names)};"
            ' leave it out, or set "awsvpc"',
        )
