"""Waiting in a task: a queue before several workers (M/M/c), and the backlog of the fluid on top of it.

The balancer is taken to send each request to any task, so that a task is a queue of its own with its share of the
traffic. Erlang C gives the chance to wait and the exponential tail of the wait in a calm second. In an overloaded
one the fluid's backlog is what everybody waits for, with the spread that random arrivals have built up meanwhile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Waits", "calm_load", "erlang_c"]

Array = NDArray[np.float64]


def erlang_c(workers: int, load: float) -> float:
    """The chance that a request waits, in a queue of so many workers under a load of 0 to below 1 each.

    Erlang 1917; computed by the recursion of Erlang B, which neither overflows nor loses digits.
    """
    offered = load * workers
    blocked = 1.0
    for number in range(1, workers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def calm_load(workers: int, task_rps: float, wait_s: float, share: float = 0.01) -> float:
    """The highest load at which no more than `share` of the requests wait longer than `wait_s`."""
    low, high = 0.0, 1.0 - 1e-9
    for _ in range(50):
        middle = (low + high) / 2
        over = erlang_c(workers, middle) * math.exp(-task_rps * (1 - middle) * wait_s)
        low, high = (middle, high) if over <= share else (low, middle)
    return low


@dataclass(frozen=True)
class Waits:
    """Waiting in each second. `load` is arrivals over capacity, `backlog_s` the fluid's wait."""

    load: Array
    backlog_s: Array
    workers: int
    task_rps: float

    def share_over(self, wait_s: float) -> Array:
        """The share of each second's requests that wait longer than `wait_s`."""
        loads, chances = _table(self.workers)
        over = chances * np.exp(-self.task_rps * (1 - loads) * wait_s)
        calm = np.interp(self.load, loads, over)
        return np.where(self.backlog_s > wait_s, 1.0, calm)


@cache
def _table(workers: int) -> tuple[Array, Array]:
    """Loads from 0 to 1 and the chance to wait at each."""
    loads = np.linspace(0, 1, 1001)
    return loads, np.array([erlang_c(workers, load) for load in loads[:-1].tolist()] + [1.0])
