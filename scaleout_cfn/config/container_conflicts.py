"""What single bounds cannot say of a container: what excludes each other in it, and what its pool cannot do for it."""

from __future__ import annotations

from collections.abc import Iterator

from scaleout_cfn.config import Ec2Capacity, FargateCapacity, ManagedCapacity
from scaleout_cfn.config.containers import Container
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Work
from scaleout_cfn.grammars import ecr_repository


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
    """What the kind of a service's pool can do for one of its containers."""
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
    """What excludes each other in the task of a service, whatever its pool."""
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
