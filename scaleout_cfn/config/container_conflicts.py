"""What single bounds cannot say of the containers of a task, singly and together, and of their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scaleout_cfn.config import (
    Config,
    Ec2Capacity,
    ExistingVpc,
    FargateCapacity,
    InternalService,
    ManagedCapacity,
    NewVpc,
    WebService,
)
from scaleout_cfn.config.containers import BindVolume, Container, EbsVolume, EfsOfService, EfsVolume
from scaleout_cfn.config.ground import secrets_keys_conflicts
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
from scaleout_cfn.config.units import Unit, Work, names_of
from scaleout_cfn.grammars import arn_of, ecr_repository


def container_conflicts(key: str, settings: Container, memory_mib: int) -> Iterator[Conflict]:
    """What excludes each other in a container at a key, of which `memory_mib` is its own."""
    in_memory = sum(settings.tmpfs_mib.values())
    if in_memory >= memory_mib:
        yield Conflict(
            f"{key}.tmpfs_mib",
            f"{in_memory} MiB in all, which must be less than the container's {memory_mib} MiB, for they count as its"
            " memory",
        )
    if both := sorted(set(settings.environment) & set(settings.secrets)):
        yield Conflict(f"{key}.secrets", f"{', '.join(both)} also in {key}.environment; keep one of the two")
    if len(set(settings.environment_files)) < len(settings.environment_files):
        yield Conflict(f"{key}.environment_files", "a file is named twice; name each once")
    if both := sorted(set(settings.log_options) & set(settings.log_secret_options)):
        yield Conflict(f"{key}.log_secret_options", f"{', '.join(both)} also in {key}.log_options; keep one of the two")
    for name in ("log_options", "log_secret_options"):
        if getattr(settings, name) and settings.log_driver == "awslogs":
            yield Conflict(
                f"{key}.{name}", 'are for a log_driver of your own, and "awslogs" has the set\'s; give log_driver, too'
            )
    if "splunk-token" in settings.log_options:
        yield Conflict(
            f"{key}.log_options.splunk-token",
            "is a secret, and anybody who may read the stack sees this one; give its ARN in log_secret_options",
        )
    given = {*settings.log_options, *settings.log_secret_options}
    # https://docs.docker.com/engine/logging/drivers/splunk/
    if settings.log_driver == "splunk" and (lacks := sorted({"splunk-token", "splunk-url"} - given)):
        yield Conflict(
            f"{key}.log_driver",
            f'"splunk" lacks {" and ".join(lacks)}; give splunk-url in log_options, and splunk-token in'
            " log_secret_options, by the ARN of its secret",
        )


def on_pool(unit: Work, key: str, settings: Container) -> Iterator[Conflict]:
    pool, where = unit.pool, f"{unit.pool_name} is {unit.pool.__struct_config__.tag}"
    if isinstance(pool, FargateCapacity) and (more := sorted({*settings.capabilities} - {"DEFAULT", "SYS_PTRACE"})):
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
        yield Conflict(
            f"{key}.capabilities",
            f"{more[0]} cannot be added on Fargate, which takes SYS_PTRACE alone, and DEFAULT for those of Docker;"
            " leave it out, or use a pool of another kind",
        )
    if isinstance(pool, ManagedCapacity):
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-tasks-services.html
        if settings.labels:
            yield Conflict(
                f"{key}.labels",
                f"are not for Managed Instances, and {where}; leave them out, or use a pool of another kind",
            )
        if "REACHES" in {*settings.environment, *settings.secrets}:
            yield Conflict(
                f"{key}.environment",
                "has REACHES, by which the set itself tells a task on Managed Instances what it reaches; use another"
                " name",
            )
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LogConfiguration.html
    if settings.log_driver not in ("awslogs", "splunk") and not isinstance(pool, Ec2Capacity):
        yield Conflict(
            f"{key}.log_driver",
            f'"{settings.log_driver}" is for EC2 nodes, and {where}, which takes "awslogs" and "splunk"; use one of'
            " these, or a pool of EC2 nodes",
        )


def task_conflicts(unit: Work) -> Iterator[Conflict]:
    settings, key = unit.settings, unit.key
    if settings.registry_secret:
        where = f"{key}.registry_secret"
        if settings.image_of:
            yield Conflict(where, f"the image is that of {settings.image_of}, and so is its secret; leave this one out")
        elif not settings.image_uri:
            yield Conflict(
                where, f"goes with the image of a private registry; give {key}.image_uri too, or leave it out"
            )
        elif ecr_repository(settings.image_uri):
            yield Conflict(
                where, f"{settings.image_uri} is in ECR, which the task's role signs in to; leave it out (pull_from)"
            )


def gpus_on_pool(unit: Work) -> Iterator[Conflict]:
    """Whether a service's pool can have GPUs. Whether its types do, and how many, is the arithmetic of the nodes.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-gpu.html
    """
    pool, key = unit.pool, f"{unit.key}.gpus"
    if not unit.settings.gpus:
        return
    if isinstance(pool, FargateCapacity):
        yield Conflict(key, f"Fargate has none, and {unit.pool_name} is fargate; use a pool of EC2 nodes with GPUs")
    elif pool.architecture == "arm64":
        yield Conflict(
            key, f"AWS's image for nodes with GPUs is for x86_64, and {unit.pool_name} is arm64; use a pool of x86_64"
        )
    elif isinstance(pool, Ec2Capacity) and "/optimized-ami/" in pool.machine_image and "gpu" not in pool.machine_image:
        yield Conflict(
            f"capacity.{unit.pool_name}.machine_image",
            f"has no drivers for the GPUs that {unit.key} asks for; give a path below"
            " /aws/service/ecs/optimized-ami/amazon-linux-2023/gpu, or leave it out",
        )


def sidecar_conflicts(unit: Unit) -> Iterator[Conflict]:
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


def unreachable(
    config: Config, image: str, region: str, cure: str = "push it to the service's repository by `image push`"
) -> str:
    """Why no task of a set in this region, empty where it is not known, has a way to the registry of an image.

    An interface endpoint for ECR leads to that of its own region:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    if not isinstance(config.network, NewVpc) or config.network.egress != "endpoints":
        return ""
    repository = arn_of(ecr_repository(image))
    if repository and (not region or repository.region == region):
        return ""
    where = f"to ECR in {repository.region}" if repository else "to a registry other than ECR"
    return (
        f'got {image}, where network.egress = "endpoints" leaves tasks no way {where}; {cure}, or choose another'
        ' egress, as "single-nat"'
    )


def may_pull(unit: Unit, image: str) -> bool:
    """Whether a service's tasks may pull an image: its own, one that pull_from lets in, or one that is not in ECR."""
    repository = ecr_repository(image)
    given = [*unit.settings.pull_from, ecr_repository(unit.settings.image_uri)]
    return not repository or any(
        repository.startswith(arn[:-1]) if arn.endswith("*") else repository == arn for arn in given
    )


def volume_names(config: Config) -> Iterator[Conflict]:
    for name, settings in sorted(config.services.items()):
        for volume, there in sorted(settings.volumes.items()):
            if not isinstance(there, EfsOfService):
                continue
            key = f"services.{name}.volumes.{volume}.service"
            owner = config.services.get(there.service)
            if owner is None:
                yield Conflict(key, f"got {there.service!r}; the services are {names_of(config.services)}")
            elif not isinstance(owner.volumes.get(volume), EfsVolume):
                own = {n: v for n, v in owner.volumes.items() if isinstance(v, EfsVolume)}
                yield Conflict(
                    key,
                    f'{there.service} has no volume {volume} of kind = "efs"; those that it has are {names_of(own)}',
                )


def volume_conflicts(unit: Unit) -> Iterator[Conflict]:
    settings = unit.settings
    containers = {unit.name: settings, **unit.beside}
    paths: dict[tuple[str, str], str] = {
        (name, path): f"{unit.key if name == unit.name else f'{unit.key}.sidecars.{name}'}.tmpfs_mib"
        for name, container in containers.items()
        for path in container.tmpfs_mib
    }
    for name, volume in sorted(settings.volumes.items()):
        key = f"{unit.key}.volumes.{name}"
        if not volume.mounts:
            yield Conflict(
                f"{key}.mounts",
                f'nobody mounts it; name a container and a path, as {{{unit.name} = "/data"}}',
            )
        for place, path in sorted(volume.mounts.items()):
            if place not in containers:
                there = ", ".join(sorted(containers))
                yield Conflict(f"{key}.mounts.{place}", f"there is no such container; there are {there}")
            elif taken := paths.get((place, path.rstrip("/"))):
                yield Conflict(f"{key}.mounts.{place}", f"{path} is taken by {taken}; give another path")
            paths.setdefault((place, path.rstrip("/")), key)
        for place in volume.read_only_for:
            if place not in volume.mounts:
                yield Conflict(f"{key}.read_only_for", f"{place} does not mount it; leave it out")
        starts_empty = isinstance(volume, EbsVolume) or (isinstance(volume, BindVolume) and not volume.host_path)
        if volume.mounts and starts_empty and set(volume.mounts) <= set(volume.read_only_for):
            yield Conflict(f"{key}.read_only_for", "nobody can write to it, and it starts empty; leave one out")
        if isinstance(volume, EbsVolume):
            yield from _ebs(key, volume)
    disks = [name for name, volume in sorted(settings.volumes.items()) if isinstance(volume, EbsVolume)]
    if len(disks) > 1:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ebs-volumes.html
        yield Conflict(
            f"{unit.key}.volumes.{disks[1]}",
            f"{disks[0]} is of EBS, and a task has one such; keep one of the two",
        )
    network = unit.config.network
    if unit.file_systems and isinstance(network, ExistingVpc) and not network.node_subnets:
        yield Conflict(
            "network.node_subnets",
            f"is empty, and {unit.key} has a file system, which is reached in each; name them, one in each zone",
        )


#: Of each type: GiB from, to; operations a second from, to; and to how many for a GiB.
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceManagedEBSVolumeConfiguration.html
_EBS = {
    "gp3": (1, 16384, 3000, 16000, 500),
    "gp2": (1, 16384, 0, 0, 0),
    "io1": (4, 16384, 100, 64000, 50),
    "io2": (4, 16384, 100, 256000, 1000),
    "st1": (125, 16384, 0, 0, 0),
    "sc1": (125, 16384, 0, 0, 0),
}


def _ebs(key: str, volume: EbsVolume) -> Iterator[Conflict]:
    least, most, low, high, for_a_gib = _EBS[volume.volume_type]
    if not least <= volume.size_gib <= most:
        yield Conflict(f"{key}.size_gib", f"got {volume.size_gib}; {volume.volume_type} has {least} to {most}")
    if volume.iops and not high:
        yield Conflict(f"{key}.iops", f"are not chosen for {volume.volume_type}; leave it out, or use gp3")
    elif volume.iops and not low <= volume.iops <= min(high, max(low, for_a_gib * volume.size_gib)):
        most_iops = min(high, max(low, for_a_gib * volume.size_gib))
        yield Conflict(
            f"{key}.iops",
            f"got {volume.iops}; {volume.volume_type} of {volume.size_gib} GiB has {low} to {most_iops}",
        )
    elif not volume.iops and volume.volume_type in ("io1", "io2"):
        yield Conflict(f"{key}.iops", f"is 0, and {volume.volume_type} needs a number; give it, or use gp3")
    if volume.throughput_mib_s:
        # A quarter of a MiB for each operation, 125 at least.
        top = min(1000, max(125, (volume.iops or 3000) // 4))
        if volume.volume_type != "gp3":
            yield Conflict(
                f"{key}.throughput_mib_s", f"is not chosen for {volume.volume_type}; leave it out, or use gp3"
            )
        elif not 125 <= volume.throughput_mib_s <= top:
            yield Conflict(
                f"{key}.throughput_mib_s", f"got {volume.throughput_mib_s}; with these iops gp3 has 125 to {top}"
            )


def volumes_on_pool(unit: Unit) -> Iterator[Conflict]:
    settings, pool = unit.settings, unit.pool
    where = f"{unit.pool_name} is {pool.__struct_config__.tag}"
    for name, volume in sorted(settings.volumes.items()):
        if isinstance(volume, BindVolume) and volume.host_path and not isinstance(pool, Ec2Capacity):
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-tasks-services.html
            yield Conflict(
                f"{unit.key}.volumes.{name}.host_path",
                f"is for EC2 nodes, and {where}; leave it out",
            )
    if unit.on_efs and unit.network_mode == "bridge":
        yield Conflict(
            f"{unit.key}.network_mode",
            "is bridge, under which all tasks of a node would be let in to the file system of"
            f' {" and ".join(unit.on_efs)}; leave it out, or set "awsvpc"',
        )
    if size := settings.ephemeral_storage_gib:
        key = f"{unit.key}.ephemeral_storage_gib"
        if not isinstance(pool, FargateCapacity):
            yield Conflict(key, f"is of Fargate, and {where}; leave it out, or give the pool a larger disk")
        elif size < 21:
            # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EphemeralStorage.html
            yield Conflict(key, f"got {size}; allowed are 0 for the 20 that each task has, and 21 to 200")
