"""A request-level engine: every request of one task, by itself. The oracle of the queue, slow and beyond doubt."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from random import Random


def share_over(
    rates: Sequence[float], workers: int, task_rps: float, wait_s: float, timeout_s: float, seed: int
) -> tuple[int, int]:
    """Requests that waited longer than `wait_s`, or left at the timeout, and all requests.

    Arrivals are random (Poisson) at each second's rate, service times exponential, first come first served.
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
            over += wait > wait_s
            if wait <= timeout_s:
                heapq.heapreplace(free, max(time, free[0]) + random.expovariate(task_rps / workers))
    return over, count
