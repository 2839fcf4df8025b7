"""A request-level engine: every request of one task, by itself. The oracle of the queue, slow and beyond doubt."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from random import Random

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
