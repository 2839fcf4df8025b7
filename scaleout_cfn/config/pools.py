"""Capacity: what tasks run on. A pool is one of three kinds, and several may be in one cluster."""

from typing import Annotated, Literal

from scaleout_cfn.config.scaling import NodeScaling
from scaleout_cfn.config.tunables import Section, tunable


class WarmPool(Section, frozen=True, kw_only=True):
    """Nodes that have booted once and stand by beside the group, which grows by these first.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html

    Not hibernated: ECS's images are made of AL2023 minimal, which hibernates only once more is installed, and a group
    does not wait for user data before it hibernates a node. https://github.com/aws/amazon-ecs-ami and
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """

    state: Annotated[
        Literal["stopped", "running"],
        tunable(
            "How they stand by: stopped nodes cost their volumes, running ones what any node costs; ECS's machine"
            " images cannot hibernate."
        ),
    ] = "stopped"
    min_nodes: Annotated[int, tunable("Fewest nodes that stand by.", unit="nodes", ge=0, le=5000)] = 0
    max_prepared_nodes: Annotated[
        int,
        tunable(
            "Most nodes in the group and standing by together; -1 for the group's max_nodes.",
            unit="nodes",
            ge=-1,
            le=5000,
        ),
    ] = -1


class Ec2Capacity(Section, frozen=True, kw_only=True, tag_field="kind", tag="ec2"):
    """EC2 container instances in an Auto Scaling group, which grow and shrink with the tasks."""

    architecture: Annotated[Literal["x86_64", "arm64"], tunable("Of the nodes and of the images.")] = "x86_64"
    instance_types: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "An EC2 instance type.",
                    pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$",
                    allowed="a family and a size with a dot between them, as in t3.small",
                ),
            ],
            ...,
        ],
        tunable(
            "Types to use, the preferred one first; several make Spot capacity easier to find.",
            min_length=1,
            max_length=40,
        ),
    ] = ("t3.small",)
    min_nodes: Annotated[int, tunable("Fewest nodes.", unit="nodes", ge=0, le=5000)] = 2
    max_nodes: Annotated[int, tunable("Most nodes.", unit="nodes", ge=1, le=5000)] = 5
    spot_percent: Annotated[
        int, tunable("Share of Spot among the nodes above the base.", unit="percent", ge=0, le=100)
    ] = 0
    on_demand_base: Annotated[int, tunable("Nodes that are On-Demand in any case.", unit="nodes", ge=0, le=5000)] = 0
    machine_image: Annotated[
        str,
        tunable(
            "The public SSM parameter that names the machine image; by default the newest Amazon Linux 2023 ECS image."
            " A path with a version in it pins the image, so that an update of the stack does not roll the nodes.",
            pattern="^(/aws/service/[A-Za-z0-9_./-]+)?$",
            allowed="the path of a public parameter, which begins with /aws/service/, or nothing",
        ),
    ] = ""
    disk_gib: Annotated[int, tunable("Root volume of a node, encrypted gp3.", unit="GiB", ge=30, le=16384)] = 30
    update_batch: Annotated[
        int, tunable("Nodes that a rolling update replaces at once.", unit="nodes", ge=1, le=100)
    ] = 1
    update_timeout_min: Annotated[
        int, tunable("Time in which a new node must have registered with the cluster.", unit="minutes", ge=3, le=60)
    ] = 10
    scaling: Annotated[NodeScaling, tunable("The capacity provider's managed scaling.")] = NodeScaling()
    zonal_shift: Annotated[
        bool,
        tunable("Let a zonal shift lead the group away from a zone: no node is launched there meanwhile, or replaced."),
    ] = False
    warm_pool: Annotated[WarmPool | None, tunable("Nodes that stand by, On-Demand alone; by default none.")] = None


class FargateCapacity(Section, frozen=True, kw_only=True, tag_field="kind", tag="fargate"):
    """AWS Fargate: no nodes; a task is billed by its size while it runs."""

    spot_percent: Annotated[
        int, tunable("Share of Fargate Spot among the tasks above the base.", unit="percent", ge=0, le=100)
    ] = 0
    on_demand_base: Annotated[
        int, tunable("Tasks of each service that are On-Demand in any case.", unit="tasks", ge=0, le=100000)
    ] = 0


class ManagedCapacity(Section, frozen=True, kw_only=True, tag_field="kind", tag="managed-instances"):
    """ECS Managed Instances: EC2 instances that ECS chooses, starts, patches and removes."""

    architecture: Annotated[Literal["x86_64", "arm64"], tunable("Of the instances and of the images.")] = "x86_64"
    min_vcpus: Annotated[int, tunable("Fewest vCPUs of an instance.", unit="vCPUs", ge=1, le=192)] = 2
    max_vcpus: Annotated[int, tunable("Most vCPUs of an instance.", unit="vCPUs", ge=1, le=192)] = 16
    min_memory_mib: Annotated[int, tunable("Least memory of an instance.", unit="MiB", ge=1024, le=3145728)] = 4096
    max_memory_mib: Annotated[int, tunable("Most memory of an instance.", unit="MiB", ge=1024, le=3145728)] = 65536
    instance_types: Annotated[
        tuple[
            Annotated[
                str,
                tunable(
                    "An EC2 instance type, with * for any part of it.",
                    pattern=r"^[a-z0-9*-]+(\.[a-z0-9*-]+)?$",
                    allowed="a family and a size with a dot between them, as in m7i.large or m7i.*",
                ),
            ],
            ...,
        ],
        tunable("The only types that may be used; empty for all that have the vCPUs and the memory.", max_length=400),
    ] = ()
    option: Annotated[Literal["on-demand", "spot"], tunable("How instances are bought.")] = "on-demand"
    storage_gib: Annotated[
        int, tunable("Data volume of an instance, for images and task storage.", unit="GiB", ge=30, le=16384)
    ] = 80
    repair: Annotated[bool, tunable("Let ECS replace instances whose agent or hardware fails.")] = True
    scale_in_after_s: Annotated[
        int,
        tunable(
            "How long ECS waits before it removes idle instances or moves tasks together; -1 for never.",
            unit="seconds",
            ge=-1,
            le=3600,
        ),
    ] = 300


Capacity = Ec2Capacity | FargateCapacity | ManagedCapacity


#: vCPUs of all tasks of an account in a region, On-Demand, and as many on Spot: the default. A new account may have
#: less, and both are raised on demand. As of 2026-11-28.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
FARGATE_VCPUS = 6

#: CPU units to memory, MiB: the smallest, the largest, and the step between them. As of 2026-11-27.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
_FARGATE = {
    256: (512, 2048, 1024),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
    8192: (16384, 61440, 4096),
    16384: (32768, 122880, 8192),
}


def _sold() -> list[tuple[int, int]]:
    sizes = [(256, 512)]
    for cpu, (least, most, step) in _FARGATE.items():
        sizes += [(cpu, memory) for memory in range(1024 if cpu == 256 else least, most + 1, step)]
    return sizes


def fargate_sizes_near(cpu_units: int, memory_mib: int) -> list[tuple[int, int]]:
    """Nothing for a size that is sold; else the nearest two: the largest that has no more of either, and the least that
    has no less. Where there is none on one side, both are of the other.
    """
    sold = _sold()
    if (cpu_units, memory_mib) in sold:
        return []
    # By price: a vCPU-hour costs about as much as nine GB-hours.
    sold.sort(key=lambda size: (9 * size[0] + size[1], size))
    enough = [(cpu, memory) for cpu, memory in sold if cpu >= cpu_units and memory >= memory_mib]
    less = [(cpu, memory) for cpu, memory in sold if cpu <= cpu_units and memory <= memory_mib]
    near = [*less[-1:], *enough][:2] if enough else less[-2:]
    return near if len(near) == 2 else sold[-2:]
