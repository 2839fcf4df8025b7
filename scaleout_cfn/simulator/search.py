"""The cheapest settings that keep an objective under a traffic, by trying many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import ceil
from random import Random
from typing import Any

import msgspec

from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import Scaling, TargetTracking, pulse_steps
from scaleout_cfn.simulator.model import Delays, Load, Model
from scaleout_cfn.simulator.prices import Prices
from scaleout_cfn.simulator.results import Result, maximum_that_limits, measure, ranges
from scaleout_cfn.simulator.run import PHASES, phases, run
from scaleout_cfn.simulator.study import Study, each, over_phases, study
from scaleout_cfn.simulator.traffic import Traffic

__all__ = ["Advice", "Tried", "advise", "candidates", "overlay"]

_FINALISTS = 8


@dataclass(frozen=True)
class Tried:
    """Settings and what they came to: in one alarm phase, or as a mean over all once `phases` says so."""

    model: Model
    missed: float
    cost_usd: float
    phases: int = 1


@dataclass(frozen=True)
class Advice:
    """What a search found. `best` is None where nothing kept the objective, and then `limit` says what stands in the
    way. `frontier` is what nothing else beats in both misses and cost, cheapest first."""

    best: Study | None
    frontier: tuple[Tried, ...]
    tried: int
    limit: str = ""


def candidates(model: Model, load: Load, count: int) -> list[Model]:
    """Settings around those of a model, which is the first. The same ones each time.

    On Fargate there are no nodes to set. Left as they are: bounds of tasks and nodes but for the fewest tasks,
    schedules, step policies, the instances.
    """
    base, nodes = model.scaling, model.nodes
    grid = list(
        product(
            (0, 30, 40, 50, 60, 70, 80),  # CPU target, 0 for none
            # requests target as a share of what a task takes, 0 for none; nothing counts them without a balancer
            (0.0,) if model.health_check_interval_s is None or base.pulse else (0.0, 0.4, 0.5, 0.6, 0.7, 0.8),
            (True, False),  # 20 s metrics
            (0, 30, 60),  # scale-out cooldown
            (60, 300, 600),  # scale-in cooldown
            (1.0, 1.5, 2.0, 3.0),  # fewest tasks, as a multiple
            # below 100 runs away where tasks go to empty nodes first
            (100, 90, 80, 60) if nodes and model.packed else (100,),
            (0, 60, 120) if nodes else (0,),  # warm-up of a node
            (0.4, 0.5, 0.6, 0.7) if base.pulse else (0.0,),  # the pulse's target, as the one of requests
        )
    )
    grid = [point for point in grid if point[0] or point[1]]
    chosen = Random(0).sample(grid, min(count - 1, len(grid)))
    models = [model]
    for cpu, requests, fast, out_s, in_s, floor, capacity, warmup, rate in chosen:
        tracking: dict[str, TargetTracking] = {
            "cpu": TargetTracking(
                enabled=bool(cpu), target=cpu or base.cpu.target, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s
            ),
            "requests": TargetTracking(
                enabled=bool(requests),
                target=max(1, round(60 * load.task_rps * requests)) if requests else base.requests.target,
                scale_out_cooldown_s=out_s,
                scale_in_cooldown_s=in_s,
            ),
        }
        scaling: Scaling = msgspec.structs.replace(
            base,
            **tracking,
            high_resolution=bool(fast and cpu),
            min_tasks=min(base.max_tasks, ceil(base.min_tasks * floor)),
        )
        if base.pulse:
            pulse = LogPulse(target_rps=load.task_rps * rate, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s)
            own = {policy.name for policy in pulse_steps(base.pulse)}
            others = (policy for policy in base.step_policies if policy.name not in own)
            scaling = msgspec.structs.replace(scaling, pulse=pulse, step_policies=(*others, *pulse_steps(pulse)))
        pool = model.pool
        if nodes:
            settings = msgspec.structs.replace(nodes.scaling, target_capacity_percent=capacity, warmup_s=warmup)
            pool = dataclasses.replace(nodes, scaling=settings)
        models.append(dataclasses.replace(model, scaling=scaling, pool=pool))
    return models


def advise(
    model: Model,
    load: Load,
    traffic: Traffic,
    prices: Prices,
    *,
    allowed: float,
    count: int = 500,
    done: Callable[[], None] = lambda: None,
) -> Advice:
    """Search settings for the cheapest that misses at most `allowed` of the requests' objective.

    Every setting runs in one alarm phase; the best of them run in all, and the winner over the bands too. `done` is
    called after each setting.
    """
    models = candidates(model, load, count)
    tried = []
    for candidate, (missed, cost_usd) in zip(models, _each_once(models, load, traffic, prices), strict=True):
        tried.append(Tried(candidate, missed, cost_usd))
        done()
    # One phase may flatter: what is close enough to the objective goes on, the cheapest first.
    hopeful = sorted((t for t in tried if t.missed <= allowed * 1.2), key=lambda t: t.cost_usd)
    last = [t.model for t in _spread(hopeful)]
    work = partial(_in_all_phases, load, traffic, prices)
    finalists = list(each(work, last, len(last) * PHASES * len(traffic.requests)))
    kept = sorted((t for t in finalists if t.missed <= allowed), key=lambda t: t.cost_usd)
    frontier = _frontier(tried)
    if not kept:
        return Advice(None, frontier, len(tried), _limit(model, load, traffic, prices, allowed, tried))
    return Advice(_through_the_bands(kept, load, traffic, prices, allowed), frontier, len(tried))


def _through_the_bands(kept: list[Tried], load: Load, traffic: Traffic, prices: Prices, allowed: float) -> Study:
    """The cheapest that keeps the objective over the bands, too; where none of them does, the cheapest."""
    cheapest, most = None, allowed
    for finalist in kept:
        if finalist.missed > most:
            continue
        verdict = study(finalist.model, load, traffic, prices)
        cheapest = cheapest or verdict
        high = verdict.band("objective_missed").high
        if high <= allowed:
            return verdict
        most = finalist.missed * allowed / high  # what misses more in the middle will miss too much over the bands
    assert cheapest is not None
    return cheapest


def _spread(hopeful: list[Tried]) -> list[Tried]:
    """The cheapest ones, and the cheapest of those that miss much less, lest one phase flattered all."""
    first = hopeful[: _FINALISTS // 2]
    safe = [t for t in hopeful[_FINALISTS // 2 :] if first and t.missed <= 0.8 * min(f.missed for f in first)]
    return first + safe[: _FINALISTS - len(first)]


def _once(load: Load, traffic: Traffic, prices: Prices, model: Model) -> tuple[float, float]:
    # Not the first phase, whose grids all begin with the traffic.
    result = measure(run(model, load, Delays(), traffic, phases()[5]), model, load, prices, 0.0)
    return result.objective_missed, result.cost_usd


def _each_once(models: list[Model], load: Load, traffic: Traffic, prices: Prices) -> Iterator[tuple[float, float]]:
    return each(partial(_once, load, traffic, prices), models, len(models) * len(traffic.requests))


def _in_all_phases(load: Load, traffic: Traffic, prices: Prices, model: Model) -> Tried:
    over_all = ranges(over_phases(model, load, Delays(), traffic, prices))
    return Tried(model, over_all["objective_missed"].mean, over_all["cost_usd"].mean, PHASES)


def _frontier(tried: list[Tried]) -> tuple[Tried, ...]:
    best, frontier = 2.0, []
    for candidate in sorted(tried, key=lambda t: (t.cost_usd, t.missed)):
        if candidate.missed < best:
            best = candidate.missed
            frontier.append(candidate)
    return tuple(frontier)


def _limit(model: Model, load: Load, traffic: Traffic, prices: Prices, allowed: float, tried: list[Tried]) -> str:
    """What keeps the best setting from the objective: found by lifting one limit after the other."""
    best = min(tried, key=lambda t: t.missed).model
    if maximum := maximum_that_limits(model, load, traffic.requests):
        return maximum
    instant = {"node_launch_s": 0, "node_join_s": 0, "image_pull_s": 0}
    boot: tuple[tuple[str, dict[str, int]], ...] = (("the boot time of nodes", instant),) if model.nodes else ()
    for what, changed in (
        *boot,
        ("the start time of tasks", {**instant, "task_start_s": 0, "fargate_start_s": 0}),
        ("the delay of metrics and alarms", {"metric_lag_60_s": 0, "metric_lag_20_s": 0, "pulse_lag_s": 0}),
    ):
        delays = dataclasses.replace(Delays(), **changed)
        result: Result = measure(run(best, load, delays, traffic, phases()[5]), best, load, prices, 0.0)
        if result.objective_missed <= allowed:
            return f"{what}: without it the best setting would miss {result.objective_missed:.2%}"
    return "the loops' reaction as a whole: no single delay explains it; a schedule or standing headroom would help"


def overlay(model: Model, environment: str) -> str:
    """The searched settings as the text of a config overlay, `[environments.NAME]`."""
    scaling: dict[str, Any] = msgspec.to_builtins(model.scaling)
    tasks = f"services.{model.service}.scaling"
    sections: dict[str, dict[str, Any]] = {tasks: {name: scaling[name] for name in ("min_tasks", "high_resolution")}}
    sections |= {f"{tasks}.{name}": scaling[name] for name in ("cpu", "requests")}
    if model.scaling.pulse:
        # Of whichever kind the config has it.
        sections[f"{tasks}.pulse"] = {name: value for name, value in scaling["pulse"].items() if name != "kind"}
    if model.nodes:
        sections[f"capacity.{model.nodes.name}.scaling"] = msgspec.to_builtins(model.nodes.scaling)
    lines = []
    for name, values in sections.items():
        lines.append(f"[environments.{environment}.{name}]")
        lines += [
            f"{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in values.items()
        ]
        lines.append("")
    return "\n".join(lines)
