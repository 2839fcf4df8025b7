"""Waiting in a task: a queue before several workers (M/M/c) whose load changes from second to second.

The balancer is taken to send each request to any task, so that a task is a queue of its own with its share of the
traffic. In a calm second the queue is settled: Erlang C gives the chance to wait, and the wait has an exponential
tail. Near and above full load nothing settles, and the queue is followed instead: as a diffusion that is reflected at
zero, by its mean and variance, its shape being a normal cut off at zero. That shape holds all that happens: the
exponential of a settled queue, the half normal of one that has just begun to grow, the normal of a backlog. Where
services are not exponential (M/G/c), the queue is longer or shorter by their variability.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.simulator.model import Load

Array = NDArray[np.float64]
_BUSY = 0.85
"""From this load on a queue is followed: below, it settles within seconds."""
_SERVICES = 32  # service times that stand for all


def erlang_c(workers: int, load: float) -> float:
    """The chance that a request waits, in a queue of so many workers under a load of 0 to below 1 each.

    Erlang 1917; computed by the recursion of Erlang B, which neither overflows nor loses digits.
    """
    offered = load * workers
    blocked = 1.0
    for number in range(1, workers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def spare(of: Load, response_s: float) -> tuple[float, list[float]]:
    """The share of requests whose service alone takes longer, and how long the others may wait, each as likely."""
    mean_s = of.workers / of.task_rps
    within = of.service.within(response_s / mean_s, _SERVICES)
    return of.service.share_over(response_s / mean_s), [response_s - multiple * mean_s for multiple in within]


def calm_load(load: Load, share: float = 0.01) -> float:
    """The highest load at which waiting brings no more than `share` of the requests over the objective.

    Of an objective on the response, those come on top whose service alone takes longer.
    """
    alone, spare_s = 0.0, [load.objective_s]
    if load.objective_on == "response":
        alone, spare_s = spare(load, load.objective_s)
    rate = load.task_rps / load.service.variability
    low, high = 0.0, 1.0 - 1e-9
    for _ in range(50):
        middle = (low + high) / 2
        tails = [math.exp(-rate * (1 - middle) * wait_s) for wait_s in spare_s]
        over = (1 - alone) * erlang_c(load.workers, middle) * sum(tails) / max(1, len(tails))
        low, high = (middle, high) if over <= share else (low, middle)
    return low


@dataclass(frozen=True)
class Waits:
    """Waiting in each second, or in each class of like seconds.

    `load` is arrivals over capacity. `mean` and `spread` (variance over squared mean) are those of the queue of one
    task where it is followed; the mean is 0 where the second is calm.
    """

    load: Array
    mean: Array
    spread: Array
    of: Load

    def share_over(self, wait_s: float) -> Array:
        """The share of each second's requests that wait longer than `wait_s`."""
        return self._over([wait_s])

    def response_over(self, response_s: float) -> Array:
        """The share of each second's requests that have their answer later than `response_s` after they came.

        A request waits, and is then worked on for a time that does not hang on how long it waited.
        """
        alone, spare_s = spare(self.of, response_s)
        return alone + (1 - alone) * self._over(spare_s) if spare_s else np.ones(len(self.load))

    def _over(self, waits_s: Sequence[float]) -> Array:
        """The share of each second's requests that wait longer than one of these, each as likely."""
        loads, chances = _chance_to_wait(self.of.workers)
        longer = self.of.service.variability
        tails = sum(np.exp(-self.of.task_rps * (1 - loads) * wait_s / longer) for wait_s in waits_s) / len(waits_s)
        shares = np.interp(self.load, loads, chances * tails)
        busy, means, wait_at_all, tail = self._followed
        if len(means):
            beyond = sum(tail(wait_s * self.of.task_rps / means) for wait_s in waits_s) / len(waits_s)
            shares[busy] = wait_at_all * beyond
        return shares

    @cached_property
    def _followed(self) -> tuple[NDArray[np.intp], Array, Array, Callable[[Array], Array]]:
        """Where the queue is followed, its means there, how many wait at all, and who waits beyond so many means: what
        does not hang on a wait, for many are asked for."""
        busy = np.flatnonzero(self.mean > 0)
        means, spread = self.mean[busy], self.spread[busy]
        # A settled queue of this mean has the load 1 - longer / mean, and with it the chance to wait at all. A backlog,
        # of little density at zero, makes everybody wait.
        loads, chances = _chance_to_wait(self.of.workers)
        longer = self.of.service.variability
        ratios, densities, _, _ = _cut_normals()
        idle = 1 - np.interp(1 - longer / np.maximum(means, longer), loads, chances)
        idle *= np.interp(spread, ratios, densities)
        return busy, means, 1 - idle, _tail(spread)

    def mean_s(self) -> Array:
        """How long the requests of each second wait on average; for ever, or until the timeout, where no task is."""
        loads, chances = _chance_to_wait(self.of.workers)
        with np.errstate(divide="ignore"):
            settled = np.interp(self.load, loads, chances) / (self.of.task_rps * (1 - self.load))
            settled *= self.of.service.variability
        return np.where(self.mean > 0, self.mean / self.of.task_rps, settled)

    def classes(self, requests: Array) -> tuple[Waits, Array]:
        """Like seconds as one class each, with their requests: a few thousand instead of any number."""
        busy = self.mean > 0
        logs = np.log(np.maximum(self.mean, 1.0))
        # Calm seconds by their load; followed ones by their mean, to 2 %, and their spread.
        followed = 1001 + np.minimum(logs * 50, 2000).astype(np.int64) * 51 + (self.spread * 50).astype(np.int64)
        index = np.where(busy, followed, (self.load * 1000).astype(np.int64))
        weight = np.bincount(index, requests)
        there = np.flatnonzero(weight)

        def average(values: Array) -> Array:
            return np.asarray(np.bincount(index, requests * values)[there] / weight[there], dtype=np.float64)

        like = replace(self, load=average(self.load), mean=average(self.mean), spread=average(self.spread))
        return like, np.asarray(weight[there], dtype=np.float64)


def waits(requests: Array, tasks: Array, of: Load) -> Waits:
    """The queue of a task in every second of a traffic that `tasks` share evenly; clients leave at the timeout."""
    task_rps = of.task_rps
    with np.errstate(divide="ignore", invalid="ignore"):
        load = np.where(tasks > 0, requests / (tasks * task_rps), np.inf)
    mean, spread = np.zeros(len(load)), np.zeros(len(load))
    growth = _growth()
    longer = of.service.variability
    services = of.service.cv * of.service.cv
    most = task_rps * of.timeout_s
    busy = np.flatnonzero((load >= _BUSY) & np.isfinite(load))
    if not len(busy):
        return Waits(np.minimum(load, 1.0), mean, spread, of)
    # Plain floats, and no calls of min and max: this loop is what an overloaded week takes.
    loads, counts = load.tolist(), tasks.tolist()
    position, length = 0, len(loads)
    while position < len(busy):
        second = int(busy[position])
        # Settled at the load of the second before.
        before = min(loads[second - 1], _BUSY) if second else _BUSY
        queue = longer / (1 - before)
        variance = queue * queue
        count = counts[second - 1] if second else counts[second]
        first = second
        means: list[float] = []
        spreads: list[float] = []
        while second < length:
            now, have = loads[second], counts[second]
            if not have:
                break
            if have != count:  # what waits is shared by all that are there
                queue *= count / have if count else 1.0
                variance *= (count / have) ** 2 if count else 1.0
                count = have
            noise = task_rps * (services + now) if now > 1 else task_rps * (services + 1)
            ratio = variance / (queue * queue)
            push = growth[int(ratio * 1000)] if ratio < 1 else 1.0
            drift = task_rps * (now - 1)
            # Implicit in the push of the reflection, which is noise * push / 2 / queue: stable at any rate.
            ahead = queue + drift
            after = (ahead + math.sqrt(ahead * ahead + 2 * noise * push)) / 2
            variance += noise * (1 - push)
            if after > most:
                # Whoever would wait longer leaves: reflected from above too, the queue stays close below.
                after = most
                if drift > 0:
                    near = noise / 2 / drift
                    if variance > near * near:
                        variance = near * near
            if after < longer:
                after = longer
            square = after * after
            if variance > square:
                variance = square
            means.append((queue + after) / 2)
            spreads.append(variance / square)
            queue = after
            second += 1
            if now < _BUSY and queue <= 1.05 * longer / (1 - now):
                break
        if means:
            mean[first:second], spread[first:second] = means, spreads
        position = int(np.searchsorted(busy, max(second, first + 1)))
    return Waits(np.minimum(load, 1.0), mean, spread, of)


@cache
def _chance_to_wait(workers: int) -> tuple[Array, Array]:
    """Loads from 0 to 1 and the chance to wait at each."""
    loads = np.linspace(0, 1, 1001)
    return loads, np.array([erlang_c(workers, load) for load in loads[:-1].tolist()] + [1.0])


def _log_upper(value: float) -> float:
    """Logarithm of the upper tail of a normal, far out too."""
    if value < 25:
        return math.log(math.erfc(value / math.sqrt(2)) / 2)
    return -value * value / 2 - math.log(value * math.sqrt(2 * math.pi)) + math.log1p(-1 / (value * value))


@cache
def _cut_normals() -> tuple[Array, Array, Array, Array]:
    """Normals cut off at zero, by where the cut lies: variance over squared mean, density at zero times the mean,
    the cut itself in standard deviations, and the mean in standard deviations."""
    cuts = np.concatenate([np.linspace(-40, -6, 200), np.linspace(-5.98, 30, 2000)])
    rows = []
    for cut in cuts.tolist():
        hazard = math.exp(-cut * cut / 2 - math.log(math.sqrt(2 * math.pi)) - _log_upper(cut))
        mean = hazard - cut
        variance = 1 - hazard * (hazard - cut)
        rows.append((variance / (mean * mean), hazard * mean, cut, mean))
    table = np.array(rows)
    table = table[np.argsort(table[:, 0])]
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


@cache
def _growth() -> list[float]:
    """Density at zero times the mean, for a variance of 0, 1/1000, ... 1 squared means; 1 for an exponential."""
    ratios, densities, _, _ = _cut_normals()
    growth = np.interp(np.linspace(0, 1, 1001), ratios, densities).tolist()
    growth[-1] = 1.0
    return list(growth)


@cache
def _log_upper_table() -> tuple[Array, Array]:
    grid = np.linspace(-12, 60, 7201)
    return grid, np.array([_log_upper(value) for value in grid.tolist()])


def _tail(spread: Array) -> Callable[[Array], Array]:
    """The shares of cut normals beyond so many of their means."""
    ratios, _, cuts, means = _cut_normals()
    cut, mean = np.interp(spread, ratios, cuts), np.interp(spread, ratios, means)
    grid, logs = _log_upper_table()
    at_cut = np.interp(np.maximum(cut, -12), grid, logs)
    exponential = spread > ratios[-1]  # what a cut normal is beyond the table

    def beyond(multiple: Array) -> Array:
        shares = np.exp(np.interp(cut + multiple * mean, grid, logs) - at_cut)
        return np.where(exponential, np.exp(-multiple), np.minimum(shares, 1.0))

    return beyond
