"""The sizes that Fargate sells, and how much of it an account begins with."""

from __future__ import annotations

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
