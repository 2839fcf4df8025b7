"""A request-level engine: every request of one task, by itself. The oracle of the queue, slow and beyond doubt."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from random import Random

from scaleout_cfn.simulator.model import Load

_SECONDS = 400


def _exponential(random: Random) -> float:
    return random.expovariate(1.0)


def share_over(
    rates: Sequence[float],
    workers: int,
    task_rps: float,
    limit_s: float,
    timeout_s: float,
    seed: int,
    service: Callable[[Random], float] = _exponential,
    response: bool = False,
) -> tuple[int, int]:
    """Requests that waited longer than `limit_s`, or had their answer later, or left at the timeout; and all requests.

    Arrivals are random (Poisson) at each second's rate, first come first served. `service` draws a service time with
    the mean 1.
    """
    random = Random(seed)
    free = [0.0] * workers
    over = count = 0
    for second, rate in enumerate(rates):
        time = float(second)
        while rate > 0:
            time += random.expovariate(rate)
            if time >= second + 1:
                break
            count += 1
            wait = max(0.0, free[0] - time)
            taken = service(random) * workers / task_rps
            over += wait + (taken if response else 0.0) > limit_s
            if wait <= timeout_s:
                heapq.heapreplace(free, max(time, free[0]) + taken)
    return over, count


def through(
    rates: Sequence[float], ready: Sequence[float], speed: Sequence[float], load: Load, seed: int
) -> tuple[int, list[int]]:
    """Requests that leave at the timeout, and those that wait at the end of each second, where `ready` tasks serve in a
    second, at a `speed`. What a task has begun it ends, as it does while it drains."""
    random = Random(seed)
    waiting: deque[float] = deque()
    busy: list[float] = []
    lost, lengths = 0, []
    for second, rate in enumerate(rates):
        coming, time = deque[float](), float(second)
        while rate > 0 and (time := time + random.expovariate(rate)) < second + 1:
            coming.append(time)
        now = float(second)
        while True:
            while waiting and len(busy) < ready[second] * load.workers:
                if now - waiting.popleft() > load.timeout_s:
                    lost += 1
                else:
                    heapq.heappush(busy, now + random.expovariate(load.task_rps * speed[second] / load.workers))
            done = busy[0] if busy else inf
            now = min(done, coming[0] if coming else inf)
            if now >= second + 1:
                break
            if now == done:
                heapq.heappop(busy)
            else:
                waiting.append(coming.popleft())
        while waiting and second + 1 - waiting[0] > load.timeout_s:
            waiting.popleft()
            lost += 1
        lengths.append(len(waiting))
    return lost, lengths


def shapes(task_rps: float) -> dict[str, list[float]]:
    """Traffics from idle to overload, steady and changing, for one task."""
    steady = {f"steady {load}": [load] * _SECONDS for load in (0.05, 0.3, 0.6, 0.8, 0.9, 0.95, 1.0, 1.05, 1.3, 2.0)}
    changing = {
        "pulse 1.2": [0.5] * 100 + [1.2] * 100 + [0.5] * 200,
        "pulse 3": [0.5] * 100 + [3.0] * 100 + [0.5] * 200,
        "ramp": [0.4 + 0.9 * second / _SECONDS for second in range(_SECONDS)],
        "drain": [1.2] * 60 + [0.9] * 340,
    }
    return {name: [share * task_rps for share in shape] for name, shape in {**steady, **changing}.items()}
