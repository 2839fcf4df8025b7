"""What Fargate sells, and what ECS Managed Instances may be asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.pools import fargate_sizes_near

GB = 1024
# As the page lists them, by CPU units: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
PUBLISHED = {
    256: [512, 1 * GB, 2 * GB],
    512: [gb * GB for gb in range(1, 5)],
    1024: [gb * GB for gb in range(2, 9)],
    2048: [gb * GB for gb in range(4, 17)],
    4096: [gb * GB for gb in range(8, 31)],
    8192: [gb * GB for gb in range(16, 61, 4)],
    16384: [gb * GB for gb in range(32, 121, 8)],
}
SOLD = [(cpu, memory) for cpu, sizes in PUBLISHED.items() for memory in sizes]


def test_the_sizes_that_fargate_sells_are_those_that_aws_publishes() -> None:
    tried = [(cpu, memory) for cpu in (128, *PUBLISHED, 32768) for memory in (256, *range(512, 131_073, 512))]
    assert [size for size in tried if not fargate_sizes_near(*size)] == SOLD


@given(st.integers(1, 20_000), st.integers(1, 130_000))
def test_of_a_size_that_is_not_sold_the_two_nearest_are(cpu: int, memory: int) -> None:
    near = fargate_sizes_near(cpu, memory)
    if not near:
        assert (cpu, memory) in SOLD
        return
    assert set(near) <= set(SOLD)
    assert len(near) == 2
    enough = [size for size in SOLD if size[0] >= cpu and size[1] >= memory]
    less = [size for size in SOLD if size[0] <= cpu and size[1] <= memory]
    # Where both sides have one, one of each: none that is larger than the one, none that is smaller than the other.
    if enough and less:
        below, above = near
        assert below in less
        assert above in enough
        assert not [size for size in less if size != below and size[0] >= below[0] and size[1] >= below[1]]
        assert not [size for size in enough if size != above and size[0] <= above[0] and size[1] <= above[1]]
    else:
        one_side = enough or less
        assert set(near) <= set(one_side if len(one_side) > 1 else SOLD[-2:])


@pytest.mark.parametrize(
    ("cpu", "memory", "near"),
    [
        (256, 256, "cpu_units = 256 with memory_mib = 512 or cpu_units = 256 with memory_mib = 1024"),
        (256, 3072, "cpu_units = 256 with memory_mib = 2048 or cpu_units = 512 with memory_mib = 3072"),
        (8192, 18432, "cpu_units = 8192 with memory_mib = 16384 or cpu_units = 8192 with memory_mib = 20480"),
        (16384, 131072, "cpu_units = 16384 with memory_mib = 114688 or cpu_units = 16384 with memory_mib = 122880"),
    ],
)
def test_a_size_that_fargate_does_not_sell_is_refused_with_the_nearest_two(cpu: int, memory: int, near: str) -> None:
    service = sc.WebService(cpu_units=cpu, memory_mib=memory)
    (found,) = conflicts(sc.Config(services={"web": service}, capacity={"far": sc.FargateCapacity()}))
    assert found.key == "services.web.memory_mib"
    assert found.what == f"Fargate does not sell {cpu} CPU units with {memory} MiB; nearest: {near}"


@pytest.mark.parametrize(
    ("service", "key", "words"),
    [
        ({"cpu_units": 4097}, "cpu_units", "the largest instance of managed has 4 vCPUs, which are 4096; raise"),
        ({"memory_mib": 8192}, "memory_mib", "has 8192 MiB, of which the system keeps a part; raise"),
        ({"cpu_units": 4096, "memory_mib": 8191}, "", ""),
    ],
)
def test_a_task_larger_than_the_largest_managed_instance_is_refused(
    service: dict[str, int], key: str, words: str
) -> None:
    pool = sc.ManagedCapacity(max_vcpus=4, max_memory_mib=8192)
    services = {"web": sc.WebService(**service)}  # type: ignore[arg-type]
    found = conflicts(sc.Config(services=services, capacity={"managed": pool}))
    assert [one.key for one in found] == ([f"services.web.{key}"] if key else [])
    assert all(words in one.what and "capacity.managed.max_" in one.what for one in found)


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"min_vcpus": 8, "max_vcpus": 4}, "min_vcpus got 8, more than max_vcpus = 4"),
        ({"min_memory_mib": 8192, "max_memory_mib": 4096}, "min_memory_mib got 8192, more than max_memory_mib = 4096"),
        ({"instance_types": ("m7i.large", "m7i.large")}, "instance_types a type is named twice; name each once"),
    ],
)
def test_bounds_of_managed_instances_that_nothing_meets_are_refused(bounds: dict[str, object], says: str) -> None:
    pool = sc.ManagedCapacity(**bounds)  # type: ignore[arg-type]
    (found,) = conflicts(sc.Config(capacity={"managed": pool}))
    assert f"{found.key} {found.what}" == f"capacity.managed.{says}"
