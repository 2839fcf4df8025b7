"""The cheapest settings that keep an objective under a traffic, by trying many."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import product
from math import ceil, prod
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import Scaling, Schedule, TargetTracking, pulse_steps
from scaleout_cfn.simulator.events import Fear, in_order
from scaleout_cfn.simulator.model import Delays, Fargate, Load, Model, NodePool, StandingBy
from scaleout_cfn.simulator.prices import Prices, cost
from scaleout_cfn.simulator.results import demand, maximum_that_limits, missed_share, ranges
from scaleout_cfn.simulator.rules import Phase
from scaleout_cfn.simulator.run import PHASES, phases, run
from scaleout_cfn.simulator.shapes import architecture_of, kind_of
from scaleout_cfn.simulator.study import Study, each, over_phases, study
from scaleout_cfn.simulator.traffic import Traffic

if TYPE_CHECKING:
    from concurrent.futures import Executor

_FINALISTS = 8
_NEAR = 12  # shapes that fewer and more tasks are tried on
_SHAPES = 4  # and those that many settings are


@dataclass(frozen=True)
class Tried:
    """A shape with settings and what it came to: in one alarm phase, or as a mean over all once `phases` says so.

    `befallen` is what is missed where what is reckoned with befalls it; as much as else where nothing is.
    """

    model: Model
    missed: float
    cost_usd: float
    befallen: float
    phases: int = 1

    @property
    def worst(self) -> float:
        """What it misses at the worst."""
        return max(self.missed, self.befallen)


@dataclass(frozen=True)
class Advice:
    """What a search found. `best` is None where nothing kept the objective, and then `limit` says what stands in the
    way. `every` is all that was tried, and `frontier` what nothing else beats in both misses and cost, cheapest
    first."""

    best: Study | None
    every: tuple[Tried, ...]
    limit: str = ""

    @property
    def frontier(self) -> tuple[Tried, ...]:
        least, frontier = 2.0, []
        for candidate in sorted(self.every, key=lambda t: (t.cost_usd, t.worst)):
            if candidate.worst < least:
                least = candidate.worst
                frontier.append(candidate)
        return tuple(frontier)


def candidates(model: Model, load: Load, count: int, traffic: Traffic | None = None) -> list[Model]:
    """Settings around those of a model, which is the first. The same ones each time.

    On Fargate there are no nodes to set. Of a traffic the fewest tasks are what it needs for a part of the time, and
    its busy hours are schedules where the model has none. Left as they are: bounds of tasks and nodes but for the
    fewest tasks, step policies, what tasks run on.
    """
    axes = _axes(model, load, traffic)
    sizes = [len(values) for values in axes.values()]
    chosen = Random(0).sample(range(prod(sizes)), min(count - 1, prod(sizes)))
    points = zip(*(indices.tolist() for indices in np.unravel_index(np.array(chosen, dtype=int), sizes)), strict=True)
    named = [{name: axes[name][index] for name, index in zip(axes, point, strict=True)} for point in points]
    return [model, *(_with_settings(model, load, **settings) for settings in named)]


def _axes(model: Model, load: Load, traffic: Traffic | None) -> dict[str, Sequence[Any]]:
    """What may be set, and to what."""
    base, nodes = model.scaling, model.nodes
    schedules: list[tuple[Schedule, ...]] = [base.schedules]
    fewest = {ceil(base.min_tasks * times) for times in (1.0, 1.5, 2.0, 3.0)}
    if traffic:
        need = demand(traffic.requests, load)
        fewest |= {int(tasks) for tasks in np.quantile(need, (0.5, 0.9, 1)) if tasks > base.min_tasks}
        if not base.schedules:
            schedules += [some for share in (0.1, 0.9) if (some := busy_hours(traffic, load, base, share))]
    cpu = (0, 30, 40, 50, 60, 70, 80)  # percent, 0 for none
    # As shares of what a task takes, 0 for none; without a balancer nothing counts them.
    requests = (0.0,) if model.health_check_interval_s is None or base.pulse else (0.0, 0.4, 0.5, 0.6, 0.7, 0.8)
    tracked: dict[str, Sequence[Any]] = {
        "targets": [pair for pair in product(cpu, requests) if any(pair)],
        "fast": (True, False),  # 20 s metrics
        "out_s": (0, 30, 60),  # cooldowns
        "in_s": (60, 300, 600),
        "pulse": (0.4, 0.5, 0.6, 0.7) if base.pulse else (0.0,),
    }
    if backlog := model.backlog:
        # Messages of a task, around what they are; its cooldowns are no settings. It may rest without a task.
        tracked = {
            "backlog": [backlog.tracking.target * times for times in (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2)],
            "least": sorted({0, 1, 2, 4, base.min_tasks})
            if backlog.first_cooldown_s is not None
            else (base.min_tasks,),
        }
    return {
        **tracked,
        "least": sorted(fewest),
        # Below 100 runs away where tasks go to empty nodes first.
        "capacity_percent": (100, 90, 80, 60) if nodes and model.packed else (100,),
        "warmup_s": (0, 60, 120) if nodes else (0,),
        "warm": _warm_pools(nodes) if nodes else (None,),
        "scheduled": schedules,
    }


def _warm_pools(nodes: NodePool) -> list[StandingBy | None]:
    """That of the nodes, then stopped ones for half of what may come and for all. No overlay takes one away."""
    if nodes.managed or nodes.spot_percent:
        return [nodes.warm]
    least = max(1, nodes.min_nodes // 2)
    prepared = sorted({(nodes.min_nodes + nodes.max_nodes + 1) // 2, nodes.max_nodes})
    return [nodes.warm, *(StandingBy("stopped", least, most) for most in prepared)]


def _with_settings(
    model: Model,
    load: Load,
    *,
    least: int,
    capacity_percent: int,
    warmup_s: int,
    warm: StandingBy | None,
    scheduled: tuple[Schedule, ...],
    backlog: float = 0.0,
    targets: tuple[float, float] = (0, 0),
    fast: bool = False,
    out_s: int = 0,
    in_s: int = 0,
    pulse: float = 0.0,
) -> Model:
    base, nodes = model.scaling, model.nodes
    least = min(base.max_tasks, least)
    bounds = [msgspec.structs.replace(each, min_tasks=max(least, each.min_tasks)) for each in scheduled]
    scaling: Scaling = msgspec.structs.replace(base, min_tasks=least, schedules=tuple(bounds))
    if model.backlog:
        tracking = msgspec.structs.replace(model.backlog.tracking, target=backlog)
        model = dataclasses.replace(model, backlog=dataclasses.replace(model.backlog, tracking=tracking))
    else:
        cpu, requests = targets
        per_minute = max(1, round(60 * load.task_rps * requests)) if requests else base.requests.target
        cooldowns: dict[str, Any] = {"scale_out_cooldown_s": out_s, "scale_in_cooldown_s": in_s}
        scaling = msgspec.structs.replace(
            scaling,
            cpu=TargetTracking(enabled=bool(cpu), target=cpu or base.cpu.target, **cooldowns),
            requests=TargetTracking(enabled=bool(requests), target=per_minute, **cooldowns),
            high_resolution=bool(fast and cpu),
        )
        if base.pulse:
            counted = LogPulse(target_rps=load.task_rps * pulse, **cooldowns)
            own = {policy.name for policy in pulse_steps(base.pulse)}
            others = (policy for policy in base.step_policies if policy.name not in own)
            scaling = msgspec.structs.replace(scaling, pulse=counted, step_policies=(*others, *pulse_steps(counted)))
    pool = model.pool
    if nodes:
        settings = msgspec.structs.replace(nodes.scaling, target_capacity_percent=capacity_percent, warmup_s=warmup_s)
        pool = dataclasses.replace(nodes, scaling=settings, warm=warm)
    return dataclasses.replace(model, scaling=scaling, pool=pool)


def busy_hours(traffic: Traffic, load: Load, scaling: Scaling, share: float = 0.1) -> tuple[Schedule, ...]:
    """Schedules that keep what any busy hour of a day needs for a share of its time, from a quarter of an hour before.

    None for a traffic of less than a day, and where no hours are busier than others. One without a date begins at
    midnight, UTC, as its run does.
    """
    if len(traffic.requests) < 24 * 3600:
        return ()
    need = demand(traffic.requests, load)
    start = traffic.start.astimezone(UTC) if traffic.start else datetime(2026, 1, 5)
    seconds = np.arange(len(need)) + start.hour * 3600 + start.minute * 60
    hours = seconds // 3600 % 24
    by_hour = [float(np.quantile(need[hours == hour], share)) for hour in range(24)]
    middle = (min(by_hour) + max(by_hour)) / 2
    busy = [hour for hour in range(24) if by_hour[hour] > middle]
    # One piece of the day, which may go over midnight.
    begins = [hour for hour in busy if (hour - 1) % 24 not in busy]
    least = min(scaling.max_tasks, int(min((by_hour[hour] for hour in busy), default=0)))
    if len(begins) != 1 or least <= scaling.min_tasks:
        return ()
    first, after = begins[0], (begins[0] + len(busy)) % 24
    return (
        Schedule(
            name="BusyHours",
            at=f"cron(45 {(first - 1) % 24} * * ? *)",
            min_tasks=least,
            max_tasks=scaling.max_tasks,
        ),
        Schedule(
            name="QuietHours", at=f"cron(0 {after} * * ? *)", min_tasks=scaling.min_tasks, max_tasks=scaling.max_tasks
        ),
    )


def advise(
    model: Model,
    load: Load,
    traffic: Traffic,
    prices: Prices,
    *,
    allowed: float,
    count: int = 500,
    others: Sequence[Model] = (),
    fears: Sequence[Fear] = (),
    done: Callable[[], None] = lambda: None,
    executor: Executor | None = None,
) -> Advice:
    """Search shapes and settings for the cheapest that misses at most `allowed` of the requests' objective, also where
    the `fears` befall it.

    `others` are shapes to try beside the model's own, which `shapes.shapes` makes. Every one runs with a few settings
    in one alarm phase, the best shapes with many; the best of all run in all phases, and the winner over the bands too.
    `done` is called after each try. The work is done on this machine's cores, or in an `executor`: `study.each`.
    """
    asked = _Asked(load, traffic, prices, allowed, tuple(fears))
    every: list[Tried] = []

    def attempt(models: Sequence[Model]) -> list[Tried]:
        tried = []
        seconds = len(models) * len(traffic.requests)
        for candidate in each(partial(_once, asked), models, seconds, executor):
            tried.append(candidate)
            done()
        every.extend(tried)
        return tried

    starts = [model]
    if others:
        # Its own settings say enough of most shapes, and fewer tasks or more of those that are near.
        every_shape = [model, *others]
        attempt(every_shape[:: -(-len(every_shape) // max(1, count // 2))])
        near = _best_shapes(every, allowed, _NEAR)
        attempt([setting for shape in near for setting in _thriftier_and_safer(shape)][: count // 4])
        starts = _best_shapes(every, allowed, _SHAPES)
    # The first of the candidates is the shape as it is, which has been tried.
    left = count - len(every)
    share = -(-max(0, left) // len(starts)) + bool(others)
    more = [setting for shape in starts for setting in candidates(shape, load, share, traffic)[bool(others) :]]
    attempt(more[:left])
    # One phase may flatter: what is close enough to the objective goes on, the cheapest first.
    hopeful = sorted((t for t in every if t.worst <= allowed * 1.2), key=lambda t: t.cost_usd)
    last = [t.model for t in _spread(hopeful)]
    finalists = list(each(partial(_in_all_phases, asked), last, len(last) * PHASES * len(traffic.requests), executor))
    kept = sorted((t for t in finalists if t.worst <= allowed), key=lambda t: t.cost_usd)
    if not kept:
        return Advice(None, tuple(every), _limit(asked, every))
    return Advice(_through_the_bands(kept, asked, executor), tuple(every))


def _thriftier_and_safer(model: Model) -> list[Model]:
    base, models = model.scaling, []
    for target, times, more in ((60.0, 1.0, 1.5), (30.0, 1.5, 0.75)):
        least = min(base.max_tasks, ceil(base.min_tasks * times))
        scaling: Scaling = msgspec.structs.replace(base, min_tasks=least)
        backlog = model.backlog
        if backlog:
            messages = backlog.tracking.target * more
            backlog = dataclasses.replace(backlog, tracking=msgspec.structs.replace(backlog.tracking, target=messages))
        else:
            tracking = msgspec.structs.replace(base.cpu, enabled=True, target=target)
            scaling = msgspec.structs.replace(scaling, cpu=tracking)
        models.append(dataclasses.replace(model, scaling=scaling, backlog=backlog))
    return models


def _best_shapes(tried: Sequence[Tried], allowed: float, most: int) -> list[Model]:
    """The shapes to go on with: the cheapest that about keep the objective, then those that miss least."""
    enough = allowed * 1.2
    ranked = sorted(tried, key=lambda t: (0, t.cost_usd) if t.worst <= enough else (1, t.worst))
    best: dict[str, Model] = {}
    for candidate in ranked:
        best.setdefault(repr(candidate.model.pool), candidate.model)
    return list(best.values())[:most]


@dataclass(frozen=True)
class _Asked:
    """What a search is for; what every process needs of it."""

    load: Load
    traffic: Traffic
    prices: Prices
    allowed: float
    fears: tuple[Fear, ...]


def _once(asked: _Asked, model: Model) -> Tried:
    # Not the first phase, whose grids all begin with the traffic.
    phase = phases()[5]
    trace = run(model, asked.load, Delays(), asked.traffic, phase)
    missed, usd = missed_share(trace, model, asked.load), cost(model, asked.load, asked.prices, trace).total
    befallen = missed
    if asked.fears and missed <= asked.allowed * 1.2:
        befallen = max(missed, _befallen(asked, model, phase))
    return Tried(model, missed, usd, befallen)


def _befallen(asked: _Asked, model: Model, phase: Phase) -> float:
    trace = run(model, asked.load, Delays(), asked.traffic, phase, in_order(asked.fears))
    return missed_share(trace, model, asked.load)


def _in_all_phases(asked: _Asked, model: Model) -> Tried:
    over_all = ranges(over_phases(model, asked.load, Delays(), asked.traffic, asked.prices))
    missed = over_all["objective_missed"].mean
    befallen = missed
    if asked.fears:
        some = [_befallen(asked, model, phase) for phase in phases()[::3]]
        befallen = max(missed, sum(some) / len(some))
    return Tried(model, missed, over_all["cost_usd"].mean, befallen, PHASES)


def _through_the_bands(kept: list[Tried], asked: _Asked, executor: Executor | None) -> Study:
    """The cheapest that keeps the objective over the bands, too; where none of them does, the cheapest."""
    cheapest, most = None, asked.allowed
    for finalist in kept:
        if finalist.missed > most:
            continue
        verdict = study(finalist.model, asked.load, asked.traffic, asked.prices, executor=executor)
        cheapest = cheapest or verdict
        high = verdict.band("objective_missed").high
        if high <= asked.allowed:
            return verdict
        # What misses more in the middle will miss too much over the bands.
        most = finalist.missed * asked.allowed / high
    assert cheapest is not None
    return cheapest


def _spread(hopeful: list[Tried]) -> list[Tried]:
    """The cheapest ones, and the cheapest of those that miss much less, lest one phase flattered all."""
    first = hopeful[: _FINALISTS // 2]
    safe = [t for t in hopeful[_FINALISTS // 2 :] if first and t.worst <= 0.8 * min(f.worst for f in first)]
    return first + safe[: _FINALISTS - len(first)]


def _limit(asked: _Asked, tried: list[Tried]) -> str:
    """What keeps the best setting from the objective: found by lifting one limit after the other."""
    found = min(tried, key=lambda t: t.worst)
    best, load, traffic, allowed = found.model, asked.load, asked.traffic, asked.allowed
    mean_s = load.workers / load.task_rps
    alone = load.service.share_over(load.objective_s / mean_s) if load.objective_on == "response" else 0.0
    if alone > allowed:
        return (
            f"the service itself: {alone:.2%} of the requests take longer than {load.objective_s:g} s without any wait,"
            f" at {1000 * mean_s:.4g} ms on average, however many tasks run"
        )
    if maximum := maximum_that_limits(best, load, traffic.requests):
        return maximum
    if found.missed <= allowed:
        return f"what is reckoned with at the peak: without it the best setting misses {found.missed:.2%}"
    instant = {"node_launch_s": 0, "node_join_s": 0, "image_pull_s": 0}
    boot: tuple[tuple[str, dict[str, int]], ...] = (("the boot time of nodes", instant),) if best.nodes else ()
    for what, changed in (
        *boot,
        ("the start time of tasks", {**instant, "task_start_s": 0, "fargate_start_s": 0}),
        ("the delay of metrics and alarms", {"metric_lag_60_s": 0, "metric_lag_20_s": 0, "pulse_lag_s": 0}),
    ):
        delays = dataclasses.replace(Delays(), **changed)
        missed = missed_share(run(best, load, delays, traffic, phases()[5]), best, load)
        if missed <= allowed:
            return f"{what}: without it the best setting would miss {missed:.2%}"
    return "the loops' reaction as a whole: no single delay explains it; a schedule or standing headroom would help"


def overlay(model: Model, environment: str, base: Model | None = None, pool: str = "", task_rps: float = 1) -> str:
    """Settings as the text of a config overlay, `[environments.NAME]`; of a shape other than that of `base`, what it
    runs on, too, as `[capacity.POOL]`. A backlog is told by how long a message may wait where a task takes
    `task_rps`."""
    scaling: dict[str, Any] = msgspec.to_builtins(model.scaling)
    service = f"services.{model.service}"
    sections: dict[str, dict[str, Any]] = {}
    pool = pool or (model.nodes.name if model.nodes else "fargate")
    if base and (base.pool, base.task) != (_unscaled(model, base), model.task):
        size = {"cpu_units": model.task.cpu_units, "memory_mib": model.task.memory_mib}
        sections[service] = size if base.task.parts[:2] != model.task.parts[:2] else {}
        if isinstance(model.pool, Fargate):
            sections[service]["architecture"] = model.pool.architecture
        sections[f"capacity.{pool}"] = _capacity(model)
    names = ["min_tasks", "max_tasks", *(["schedules"] if model.scaling.schedules else [])]
    if model.backlog:
        waits_s = round(model.backlog.tracking.target / task_rps, 6)
        sections[f"{service}.queue"] = {"latency_s": waits_s, "seconds_per_message": round(1 / task_rps, 6)}
        sections[f"{service}.scaling"] = {name: scaling[name] for name in names}
    else:
        sections[f"{service}.scaling"] = {name: scaling[name] for name in [*names, "high_resolution"]}
        sections |= {f"{service}.scaling.{name}": scaling[name] for name in ("cpu", "requests")}
    if model.scaling.pulse:
        # Of whichever kind the config has it.
        sections[f"{service}.scaling.pulse"] = {
            name: value for name, value in scaling["pulse"].items() if name != "kind"
        }
    if model.nodes and not model.nodes.managed:
        sections[f"capacity.{pool}.scaling"] = msgspec.to_builtins(model.nodes.scaling)
    lines = []
    key = environment if re.fullmatch(r"[\w-]+", environment, re.ASCII) else json.dumps(environment)
    for name, values in sections.items():
        if values:
            lines += [f"[environments.{key}.{name}]"]
            lines += [f"{setting} = {_toml(value)}" for setting, value in values.items()] + [""]
    return "\n".join(lines)


def _unscaled(model: Model, base: Model) -> NodePool | Fargate:
    """The pool with the scaling of another: what is left is what tasks run on."""
    if model.nodes and base.nodes:
        return dataclasses.replace(model.nodes, scaling=base.nodes.scaling)
    return model.pool


def _capacity(model: Model) -> dict[str, Any]:
    kind, pool = kind_of(model), model.pool
    bought = {"spot_percent": pool.spot_percent, "on_demand_base": pool.on_demand_base}
    if isinstance(pool, Fargate):
        return {"kind": kind, **bought}
    names = [each.instance_type for each in pool.managed.kinds] if pool.managed else [pool.instance_type]
    types = {"kind": kind, "architecture": architecture_of(model), "instance_types": names}
    if pool.managed:
        return types
    ready: dict[str, Any] = {}
    if pool.warm:
        warm = {"state": pool.warm.state, "min_nodes": pool.warm.least, "max_prepared_nodes": pool.warm.prepared}
        ready = {"warm_pool": warm}
    return {**types, "min_nodes": pool.min_nodes, "max_nodes": pool.max_nodes, **bought, **ready}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
