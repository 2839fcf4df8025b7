"""What single bounds cannot say of volumes: who mounts them, and what a pool and a network can do for them."""

from __future__ import annotations

from collections.abc import Iterator

from scaleout_cfn.config import Config, Ec2Capacity, ExistingVpc, FargateCapacity
from scaleout_cfn.config.storage import BindVolume, EbsVolume, EfsOfService, EfsVolume
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit, names_of


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
