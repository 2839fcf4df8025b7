"""What a run comes to: misses, waiting, elasticity, instance-hours against an oracle, money; and the range of it.

Elasticity metrics are those of the SPEC research group: accuracy and time share of under- and over-provisioning.
Herbst et al., SPEC-RG-2016-01, https://arxiv.org/abs/1604.03470
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.model import Delays, Load, Model
from scaleout_cfn.simulator.placement import places
from scaleout_cfn.simulator.prices import Prices, between
from scaleout_cfn.simulator.queueing import Waits, calm_load, spare, waits
from scaleout_cfn.simulator.run import Trace, at_each_second

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """One run in numbers. Shares are of requests or of time, 0 to 1; times in seconds; money in USD.

    `requests_missed` are the requests over the objective, of which `objective_missed` is the share.

    `under_accuracy` and `over_accuracy` are the tasks missing or idle as a share of those needed, averaged over all
    time. Dropped requests count among those over the objective. A task's hours are from its placement until it has
    gone; on Fargate there are no instances, and the numbers of these are 0. The least and the most that it costs are by
    the bands of prices.
    """

    objective_missed: float
    requests_missed: float
    dropped: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    response_p50_s: float
    response_p95_s: float
    response_p99_s: float
    under_provisioned_share: float
    under_accuracy: float
    over_provisioned_share: float
    over_accuracy: float
    most_tasks: int
    most_nodes: int
    mean_tasks: float
    task_hours: float
    instance_hours: float
    oracle_instance_hours: float
    cost_usd: float
    cost_least_usd: float
    cost_most_usd: float


@dataclass(frozen=True)
class Range:
    """The mean over some runs, and the least and most of them."""

    mean: float
    low: float
    high: float


def range_of(values: Sequence[float]) -> Range:
    """The mean of some numbers, their least and their most."""
    return Range(math.fsum(values) / len(values), min(values), max(values))


def ranges(results: Sequence[Result]) -> dict[str, Range]:
    """Each number of several runs as a mean and a range."""
    return {
        field.name: range_of([float(getattr(result, field.name)) for result in results]) for field in fields(Result)
    }


def waits_of(trace: Trace, load: Load) -> tuple[Waits, Array]:
    """Waiting in each second, and how many tasks' worth of work could be done in it, less where they were slow."""
    times, work = zip(*trace.work, strict=True)
    at_work = np.repeat(np.array(work, dtype=np.float64), np.diff([*times, len(trace.requests)]))
    return waits(trace.requests, at_work, load), at_work


def over_objective(waiting: Waits, load: Load) -> Array:
    """The share of each second's requests over the objective, of those that are not dropped."""
    by_response = load.objective_on == "response"
    return waiting.response_over(load.objective_s) if by_response else waiting.share_over(load.objective_s)


def demand(requests: Array, load: Load) -> Array:
    """The fewest tasks in each second with which waiting brings no more than 1 % over the objective."""
    return np.ceil(requests / (load.task_rps * calm_load(load)))


def maximum_that_limits(model: Model, load: Load, requests: Array) -> str:
    """Which maximum is below what the traffic needs, and for how long, in words; empty where none is."""
    scaling, nodes = model.scaling, model.nodes
    tasks = max(scaling.max_tasks, *(schedule.max_tasks for schedule in scaling.schedules), 0)
    need = demand(requests, load)
    room = places(nodes, model.task) if nodes else tasks
    most = float(min(tasks, room))
    if nodes and (cpu := model.cpu_at_most(load)):
        most = rules.work_of_node(min(tasks, room), *cpu, nodes.max_nodes * nodes.room.cpu_units)
    short = float((need > most).mean())
    if not short:
        return ""
    what = f"at most {tasks} tasks"
    if nodes and room < tasks:
        beside = " beside other services' tasks" if nodes.standing else ""
        what = f"at most {nodes.max_nodes} nodes, room for {room} tasks{beside}"
    return f"the maximum: {what}, where the peak needs {need.max():.0f}; too few for {short:.2%} of the time"


def oracle_node_hours(tasks: Array, model: Model, load: Load, delays: Delays) -> float:
    """Instance-hours with perfect foresight: booted just in time, kept on where the gap is shorter than a boot."""
    pool = model.nodes
    if pool is None:
        return 0.0
    taken = pool.max_nodes * model.tasks_per_node - places(pool, model.task) if pool.standing else 0
    each, cpu = float(model.tasks_per_node), model.cpu_at_most(load)
    if cpu:
        each = rules.work_of_node(model.tasks_per_node, *cpu, pool.room.cpu_units)
    nodes = np.maximum(np.ceil(tasks / each + taken / model.tasks_per_node), pool.min_nodes)
    boot = delays.node_launch_s + delays.node_join_s + delays.image_pull_s + delays.task_start_s
    # On from a boot before it is needed: the most needed of the next `boot` seconds.
    span, ahead = 1, nodes
    while span < boot + 1:
        jump = min(span, boot + 1 - span)
        ahead = np.concatenate([np.maximum(ahead[:-jump], ahead[jump:]), ahead[-jump:]]) if jump < len(ahead) else ahead
        span += jump
    return float(ahead.sum()) / 3600


_SHARES = (0.5, 0.95, 0.99)


def _quantiles(share_over: Callable[[float], float], most_s: float) -> list[float]:
    """The times in s that these shares of the requests do not exceed; none of them is beyond `most_s`."""
    quantiles = []
    for share in _SHARES:
        low, high = 0.0, most_s
        allowed = 1 - share
        if share_over(0.0) <= allowed:
            high = 0.0
        while high - low > 1e-4 * max(high, 1e-2):
            middle = (low + high) / 2
            low, high = (middle, high) if share_over(middle) > allowed else (low, middle)
        quantiles.append(high)
    return quantiles


def _latency(waiting: Waits, requests: Array, load: Load) -> tuple[list[float], list[float]]:
    """Quantiles of the wait and of the response, of all requests; nobody waits for either beyond the timeout."""
    like, weight = waiting.classes(requests)
    total = float(weight.sum())
    if not total:
        return [0.0] * len(_SHARES), [0.0] * len(_SHARES)

    def waited(wait_s: float) -> float:
        return float((like.share_over(wait_s) * weight).sum()) / total

    # Once for all services, which do not hang on the wait; between the points as an exponential.
    grid = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 64)]) * load.timeout_s
    logs = np.log([max(waited(wait_s), 1e-12) for wait_s in grid.tolist()])

    def answered(response_s: float) -> float:
        alone, spare_s = spare(load, response_s)
        late = float(np.exp(np.interp(spare_s, grid, logs)).mean()) if spare_s else 1.0
        return alone + (1 - alone) * late

    return _quantiles(waited, load.timeout_s), _quantiles(answered, load.timeout_s)


def missed_share(trace: Trace, model: Model, load: Load) -> float:
    """The share of a run's requests over the objective, or without an answer."""
    total = float(trace.requests.sum())
    if not total:
        return 0.0
    if model.backlog:
        over = _late(ages(trace), load)
    else:
        waiting, work = waits_of(trace, load)
        over = np.where(work > 0, over_objective(waiting, load), 1.0)
    return min(1.0, _missed(trace, over) / total)


def _missed(trace: Trace, over: Array) -> float:
    """Requests over the objective, which a share of each second's are, and those without an answer."""
    return float((over * np.maximum(trace.requests - trace.dropped, 0.0)).sum() + trace.dropped.sum())


def ages(trace: Trace) -> Array:
    """How long the messages of each second wait in a queue that is first come first served, in s: until as many have
    been taken out of it; those that are in it at the end, until then."""
    came = np.cumsum(trace.requests)
    taken = np.searchsorted(came - trace.backlog, came - trace.requests / 2 - 1e-6)
    return np.asarray(np.maximum(taken - np.arange(len(came)), 0), dtype=np.float64)


def _in_queue(trace: Trace, load: Load) -> tuple[Array, list[float], list[float]]:
    """The share of each second's messages over the objective, and quantiles of the wait and of that with the work."""
    waited, requests, work_s = ages(trace), trace.requests, load.workers / load.task_rps
    total = float(requests.sum())
    wait = _quantiles(
        lambda wait_s: float(requests[waited > wait_s].sum()) / total if total else 0.0, float(waited.max(initial=0.0))
    )
    return _late(waited, load), wait, [each + work_s for each in wait]


def _late(waited: Array, load: Load) -> Array:
    """Which messages are over the objective, that of a response with the mean of the work."""
    allowed = load.objective_s - (load.workers / load.task_rps if load.objective_on == "response" else 0.0)
    return (waited > max(0.0, allowed)).astype(np.float64)


def measure(trace: Trace, model: Model, load: Load, prices: Prices, oracle_hours: float) -> Result:
    """One run in numbers. `oracle_hours` does not hang on the run, so the caller works it out once."""
    requests = trace.requests
    total = float(requests.sum())
    ready = at_each_second(trace.states, "ready", len(requests))
    if model.backlog:
        work = ready
        over, wait, response = _in_queue(trace, load)
        need = np.ceil(requests / load.task_rps)
    else:
        waiting, work = waits_of(trace, load)
        over = np.where(work > 0, over_objective(waiting, load), 1.0)
        wait, response = _latency(waiting, requests, load)
        need = demand(requests, load)
    missed = _missed(trace, over)
    dropped = float(trace.dropped.sum())
    # What is idle of a node helps where tasks are too few; too many are those that reserve more than is needed.
    short, idle = np.maximum(need - work, 0.0), np.maximum(ready - need, 0.0)
    needed = np.maximum(need, 1.0)
    hours = trace.node_seconds / 3600
    usd, least_usd, most_usd = between(model, load, prices, trace)
    return Result(
        objective_missed=min(1.0, missed / total) if total else 0.0,
        requests_missed=missed,
        dropped=dropped / total if total else 0.0,
        wait_p50_s=wait[0],
        wait_p95_s=wait[1],
        wait_p99_s=wait[2],
        response_p50_s=response[0],
        response_p95_s=response[1],
        response_p99_s=response[2],
        under_provisioned_share=float((short > 0).mean()),
        under_accuracy=float((short / needed).mean()),
        over_provisioned_share=float((idle > 0).mean()),
        over_accuracy=float((np.where(need > 0, idle, 0.0) / needed).mean()),
        most_tasks=int(max(state.running for state in trace.states)),
        most_nodes=int(max(state.size for state in trace.states)),
        mean_tasks=float(ready.mean()),
        task_hours=trace.task_seconds / 3600,
        instance_hours=hours,
        oracle_instance_hours=oracle_hours,
        cost_usd=usd,
        cost_least_usd=least_usd,
        cost_most_usd=most_usd,
    )


def as_numbers(by_name: Mapping[str, Range]) -> dict[str, dict[str, float]]:
    """Ranges as plain data, to six digits: the rest may differ by machine."""
    return {
        name: {part: float(f"{value:.6g}") for part, value in (("mean", r.mean), ("low", r.low), ("high", r.high))}
        for name, r in by_name.items()
    }
