"""Which settings to ship: many of them on flash crowds, beside CDK's documented example, then the profiles on all.

    python tests/bench/profiles.py [--explore | --standing | --pulse | --bins | --cpu | --csv requests_per_minute.csv]

Everything runs on one infrastructure, the committed set with room for 1000 tasks; each number is a multiple of what
CDK's example comes to there, at the same corner of the bands. `--explore` puts 300 settings on the crowds that were
tuned on, in three alarm phases and three corners. The profiles take all twelve phases in every corner, on these
crowds, on crowds that no setting was chosen by, on crowds before tasks of 200 requests a second and more, and on calm
traffic. `--csv` puts them on a trace, as a whole and day by day, in the middle of the bands. `--bins` tells what is
missed of one day as its bins grow. `--standing` compares what may stand ready. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import NodeScaling, StepAdjustment, StepScaling, TargetTracking, pulse_steps
from scaleout_cfn.profiles import PROFILES
from scaleout_cfn.simulator.clock import Phase, phases
from scaleout_cfn.simulator.model import Delays, Load, Model, StandingBy, corners
from scaleout_cfn.simulator.peers import cdk, with_profile
from scaleout_cfn.simulator.prices import prices_of
from scaleout_cfn.simulator.read import read
from scaleout_cfn.simulator.results import measure
from scaleout_cfn.simulator.run import run
from scaleout_cfn.simulator.series import from_csv
from scaleout_cfn.simulator.study import each
from scaleout_cfn.simulator.traffic import Traffic, synthetic

PRICES = prices_of("us-east-1")
DAY_S = 86400


class Case(NamedTuple):
    """A traffic and what its tasks take."""

    traffic: Traffic
    load: Load


class Cost(NamedTuple):
    """Means over alarm phases."""

    missed: float
    instance_hours: float
    usd: float


def crowd(base: float, times: float, rise_s: float, load: Load | None = None, **numbers: float) -> Case:
    given = {"at": 1800.0, "hold": 1200.0, "fall": 900.0, "hours": 2.0, **numbers}
    traffic = synthetic("flash-crowd", {"base": base, "peak": base * times, "rise": rise_s, **given})
    return Case(traffic, load or Load(50))


def twice(base: float, times: float, rise_s: float, load: Load) -> Case:
    """Two crowds, the second when the first is over and its tasks are not all gone."""
    one = crowd(base, times, rise_s, hold=300, fall=300).traffic.requests
    two = crowd(base, times, rise_s, hold=600, fall=300, at=4200).traffic.requests
    return Case(Traffic("twice", np.maximum(one, two)), load)


def on_a_day(low: float, high: float, times: float, rise_s: float, at: int) -> Case:
    """A crowd on top of a day with noise, from two hours before it to three after."""
    day = synthetic("diurnal", {"low": low, "high": high}).requests
    since = np.arange(len(day)) - at
    up = np.clip(since / rise_s, 0, 1) - np.clip((since - rise_s - 1200) / 900, 0, 1)
    requests = np.round(day * (1 + (times - 1) * up), 6)[at - 7200 : at + 10800]
    return Case(Traffic("on a day", requests), Load(50))


TUNED = {
    "2x in 30 s, 300/s": crowd(300, 2, 30),
    "3x in 60 s, 300/s": crowd(300, 3, 60),
    "3x in 300 s, 300/s": crowd(300, 3, 300),
    "5x in 60 s, 300/s": crowd(300, 5, 60),
    "5x in 900 s, 300/s": crowd(300, 5, 900),
    "10x in 60 s, 50/s": crowd(50, 10, 60),
    "10x in 60 s, 300/s": crowd(300, 10, 60),
    "10x in 300 s, 300/s": crowd(300, 10, 300),
    "20x in 120 s, 100/s": crowd(100, 20, 120),
}
HELD_BACK = {
    "2x in 600 s, 2000/s": crowd(2000, 2, 600),
    "3x in 30 s, 50/s, tasks of 10/s": crowd(50, 3, 30, Load(10)),
    "4x in 30 s, 1000/s": crowd(1000, 4, 30),
    "4x in 120 s on a day": on_a_day(100, 800, 4, 120, 50000),
    "5x in 60 s, 500/s, tasks of 5/s": crowd(500, 5, 60, Load(5, workers=2, objective_s=0.5)),
    "6x in 120 s, 5000/s, tasks of 100/s": crowd(5000, 6, 120, Load(100)),
    "10x in 60 s in a night": on_a_day(100, 800, 10, 60, 20000),
    "15x in 900 s, 200/s": crowd(200, 15, 900, hold=1800),
    "20x in 30 s, 50/s, tasks of 20/s": crowd(50, 20, 30, Load(20)),
    "twice 5x in 60 s, 300/s": twice(300, 5, 60, Load(50)),
    "twice 10x in 120 s, 100/s, tasks of 200/s": twice(100, 10, 120, Load(200, workers=16)),
    "8x in 180 s for 4 minutes, 150/s": crowd(150, 8, 180, hold=240, fall=120),
}
CALM = {
    "quiet, 20/s": Case(Traffic("quiet", np.full(6 * 3600, 20.0)), Load(50)),
    "a day, 20 to 150/s": Case(synthetic("diurnal", {"low": 20, "high": 150}), Load(50)),
    "a day, 200 to 2000/s": Case(synthetic("diurnal", {"low": 200, "high": 2000}), Load(50)),
    "ramp, 300 to 2400/s in an hour": Case(
        synthetic("ramp", {"base": 300, "peak": 2400, "rise": 3600, "hours": 3}), Load(50)
    ),
    "noise of 30 %, 1000/s": Case(synthetic("noise", {"mean": 1000, "spread": 0.3}), Load(50)),
    "noise of 60 %, 300/s": Case(synthetic("noise", {"mean": 300, "spread": 0.6}), Load(50)),
}


LIGHT = {
    f"{times}x in 60 s, {task_rps}/s and task, {base}/s": crowd(base, times, 60, Load(task_rps, workers=16))
    for task_rps, base in ((200, 200), (200, 1200), (500, 500), (500, 3000))
    for times in (3, 10, 20)
}
"""Crowds before tasks of 200 requests a second and more, so that few tasks are there when they come."""


def changed(
    base: Model,
    cpu: float,
    in_s: int,
    step: int,
    policies: Sequence[StepScaling] = (),
    placement: Literal["spread", "binpack"] = "spread",
    capacity: int = 100,
) -> Model:
    scaling = msgspec.structs.replace(
        base.scaling,
        cpu=TargetTracking(enabled=True, target=cpu, scale_out_cooldown_s=0, scale_in_cooldown_s=in_s),
        step_policies=tuple(policies),
    )
    nodes = NodeScaling(target_capacity_percent=capacity, min_step=step)
    return on_nodes(dataclasses.replace(base, scaling=scaling, placement=placement), scaling=nodes)


def on_nodes(base: Model, **changes: Any) -> Model:
    """The same on other nodes."""
    assert base.nodes is not None
    return dataclasses.replace(base, pool=dataclasses.replace(base.nodes, **changes))


def _surge(
    threshold: float, *steps: tuple[float, int], period_s: Literal[30, 60] = 30, periods: int = 1
) -> StepScaling:
    return StepScaling(
        name="Surge",
        threshold=threshold,
        period_s=period_s,
        periods=periods,
        adjustment_type="PercentChangeInCapacity",
        steps=tuple(StepAdjustment(distance=distance, adjustment=percent) for distance, percent in steps),
    )


SURGES: Mapping[str, tuple[StepScaling, ...]] = {
    "no steps": (),
    "+100 % at 80": (_surge(80, (0, 100)),),
    "+100 % at 70": (_surge(70, (0, 100)),),
    "+150 % at 80": (_surge(80, (0, 150)),),
    "+200 % at 90": (_surge(90, (0, 200)),),
    "+50 % at 70, +150 % at 90": (_surge(70, (0, 50), (20, 150)),),
    "+100 % at 80, twice 30 s": (_surge(80, (0, 100), periods=2),),
    "+150 % at 90, 60 s": (_surge(90, (0, 150), period_s=60),),
}
"""Step policies beside the tracking, as a fast way for crowds."""


def settings(base: Model) -> dict[str, Model]:
    """What was tried: the same ones each time."""
    found = {}
    for cpu, in_s, step, (says, policies) in itertools.product(
        (35, 38, 40, 42, 45, 50), (60, 120, 300), (1, 2), SURGES.items()
    ):
        found[f"cpu {cpu}, in {in_s}, {step} nodes at once, {says}"] = changed(base, cpu, in_s, step, policies)
    for cpu, capacity, step in itertools.product((33, 40, 45), (80, 90), (2, 4)):
        found[f"cpu {cpu}, {step} nodes at once, binpack {capacity}"] = changed(
            base, cpu, 120, step, (), "binpack", capacity
        )
    return found


Job = tuple[Model, Case, Delays, list[Phase]]


def judged(job: Job) -> Cost:
    model, (traffic, load), delays, over = job
    found = [measure(run(model, load, delays, traffic, one), model, load, PRICES, 0.0) for one in over]
    return Cost(
        fmean(one.objective_missed for one in found),
        fmean(one.instance_hours for one in found),
        fmean(one.cost_usd for one in found),
    )


Ratios = dict[str, dict[str, Cost]]  # by case, by corner


def ratios(
    base: Model, models: Mapping[str, Model], cases: Mapping[str, Case], ends: Mapping[str, Delays], over: list[Phase]
) -> dict[str, Ratios]:
    """Every model on every case at every corner, as multiples of CDK's example there."""
    every = {"CDK": cdk(base), **models}
    keys = list(itertools.product(every, cases, ends))
    jobs = [(every[name], cases[case], ends[end], over) for name, case, end in keys]
    found = dict(zip(keys, each(judged, jobs, 10**9), strict=True))
    return {
        name: {
            case: {
                end: Cost(
                    *(a / max(1e-9, b) for a, b in zip(found[name, case, end], found["CDK", case, end], strict=True))
                )
                for end in ends
            }
            for case in cases
        }
        for name in models
    }


def explore(base: Model) -> None:
    """Settings on the tuned crowds: the one whose worst crowd in its worst corner misses least comes first."""
    ends = {name: delays for name, delays in corners().items() if not name.endswith("at once")}
    models = settings(base)
    found = ratios(base, models, TUNED, ends, [phases()[index] for index in (1, 5, 9)])

    def worst(name: str, what: int) -> float:
        return max(cost[what] for by_end in found[name].values() for cost in by_end.values())

    print(f"{len(models)} settings on {len(TUNED)} crowds, worst crowd in the worst of {', '.join(ends)}")
    for name in sorted(models, key=lambda name: (round(worst(name, 0), 2), worst(name, 1))):
        middle = max(by_end["middle"].missed for by_end in found[name].values())
        cells = f"misses {worst(name, 0):.2f} (middle {middle:.2f})  hours {worst(name, 1):.2f}"
        print(f"   {cells}  USD {worst(name, 2):.2f}   {name}")


def verify(base: Model, groups: Mapping[str, Mapping[str, Case]]) -> None:
    """The profiles on every case, in every corner, over twelve phases: in the middle, and the range of the corners."""
    models = {name: with_profile(base, profile) for name, profile in PROFILES.items()}
    for group, cases in groups.items():
        found = ratios(base, models, cases, corners(), phases())
        for name in models:
            print(f"\n{name}, {group}: multiples of CDK's example, middle (corners)")
            for case, by_end in found[name].items():
                cells = []
                for what in range(3):
                    values = [cost[what] for cost in by_end.values()]
                    cells.append(f"{by_end['middle'][what]:.2f} ({min(values):.2f} to {max(values):.2f})")
                print(f"   {case:<46} misses {cells[0]:<22} hours {cells[1]:<22} USD {cells[2]}")


def on_a_trace(base: Model, csv: Path) -> None:
    """The defaults beside CDK's example on a trace from its first midnight on, as a whole and day by day, the days with
    the fewest misses first; in three alarm phases and the middle of the bands."""
    whole = from_csv(csv)
    assert whole.start is not None
    first = -int(whole.start.timestamp()) % DAY_S
    cases = {"as a whole": Case(whole, Load(50))}
    for at in range(first, len(whole.requests) - DAY_S + 1, DAY_S):
        cases[f"{whole.start + timedelta(seconds=at):%d %B}"] = Case(whole.window(at, at + DAY_S), Load(50))
    models = {"CDK": cdk(base), "balanced": with_profile(base, PROFILES["balanced"])}
    keys = list(itertools.product(cases, models))
    over = [phases()[index] for index in (1, 5, 9)]
    jobs = [(models[model], cases[case], Delays(), over) for case, model in keys]
    found = dict(zip(keys, each(judged, jobs, 10**9), strict=True))
    rows = []
    for case in cases:
        theirs, ours = found[case, "CDK"], found[case, "balanced"]
        # A day without misses is 1 where we have none either.
        missed = ours.missed / theirs.missed if theirs.missed else 1.0 + ours.missed
        rows.append((theirs.missed, missed, ours.instance_hours / theirs.instance_hours, case))
    print(f"balanced on {csv.stem}, multiples of CDK's example")
    print(f"   as a whole: misses {rows[0][1]:.2f}, hours {rows[0][2]:.2f}; CDK misses {rows[0][0]:.3%}")
    for what, column in (("misses", [row[1] for row in rows[1:]]), ("hours", [row[2] for row in rows[1:]])):
        values = sorted(column)
        print(f"   {what} on {len(values)} days: median {median(values):.2f}, {values[0]:.2f} to {values[-1]:.2f}")
    for theirs_missed, missed, hours, case in sorted(rows[1:]):
        print(f"      {case:<14} misses {missed:.2f}  hours {hours:.2f}  CDK misses {theirs_missed:.3%}")


def standing(base: Model) -> None:
    """What stands ready beside the defaults, on the crowds and in calm traffic: multiples of what the defaults come to,
    the median of the crowds and their range in the middle of the bands, and the median's range over the corners."""
    assert base.nodes is not None
    least = base.nodes.min_nodes
    cold = on_nodes(base, warm=None)

    def at(percent: int, **changes: Any) -> Model:
        settings = msgspec.structs.replace(base.nodes.scaling, target_capacity_percent=percent)  # type: ignore[union-attr]
        return on_nodes(cold, scaling=settings, **changes)

    models = {
        **{f"target capacity {percent} %": at(percent) for percent in (90, 80, 70, 60)},
        **{
            f"binpack over all zones, {percent} %": dataclasses.replace(at(percent), placement="binpack")
            for percent in (90, 80)
        },
        "three zones, target capacity 80 %": at(80, zones=3),
        "two nodes more at least": on_nodes(cold, min_nodes=least + 2),
        "four nodes at once": on_nodes(cold, scaling=msgspec.structs.replace(base.nodes.scaling, min_step=4)),
        "twice the fewest tasks": dataclasses.replace(
            cold, scaling=msgspec.structs.replace(base.scaling, min_tasks=2 * base.scaling.min_tasks)
        ),
        "CPU target 33 %": dataclasses.replace(
            cold,
            scaling=msgspec.structs.replace(base.scaling, cpu=msgspec.structs.replace(base.scaling.cpu, target=33)),
        ),
        "a warm pool, stopped": on_nodes(cold, warm=StandingBy("stopped", 0, 30)),
        "a warm pool and 80 %": at(80, warm=StandingBy("stopped", 0, 30)),
    }
    crowds = {**TUNED, **HELD_BACK}
    for name, model in models.items():
        beside(name, cold, lambda _, model=model: model, ((0, crowds), (2, crowds), (2, CALM)))  # type: ignore[misc]


def beside(
    name: str, plain: Model, made: Callable[[Load], Model], columns: Sequence[tuple[int, Mapping[str, Case]]]
) -> None:
    """A row: of each column, 0 for misses and 2 for USD, the median of its cases as multiples of those of `plain`."""
    over = [phases()[index] for index in (1, 5, 9)]
    every = {case: one for _, cases in columns for case, one in cases.items()}
    keys = list(itertools.product(every, corners(), (False, True)))
    jobs = [(made(every[case].load) if new else plain, every[case], corners()[end], over) for case, end, new in keys]
    found = dict(zip(keys, each(judged, jobs, 10**9), strict=True))
    cells = []
    for what, cases in columns:
        by_end = {
            end: [
                found[case, end, True][what] / found[case, end, False][what]
                for case in cases
                if found[case, end, False][what]
            ]
            for end in corners()
        }
        middles = [median(values) for values in by_end.values()]
        one = by_end["middle"]
        cell = f"{median(one):.2f} ({min(one):.2f} to {max(one):.2f}; {min(middles):.2f} to {max(middles):.2f})"
        cells.append(f"{('misses', 'hours', 'USD')[what]} {cell}")
    print(f"{name:<38} {'  '.join(cells)}", flush=True)


def pulses(base: Model) -> None:
    """The defaults with a pulse, beside those without: crowds, crowds before light tasks, and calm traffic."""
    crowds = {**TUNED, **HELD_BACK}
    for share in (0.5, 0.6, 0.7):

        def pulsed(load: Load, share: float = share) -> Model:
            pulse = LogPulse(target_rps=share * load.task_rps)
            scaling = msgspec.structs.replace(base.scaling, pulse=pulse, step_policies=pulse_steps(pulse))
            return dataclasses.replace(base, scaling=scaling)

        columns = ((0, crowds), (2, crowds), (0, LIGHT), (2, LIGHT), (2, CALM))
        beside(f"a pulse at {share:.0%} of what a task takes", base, pulsed, columns)


def bins(base: Model) -> None:
    """One day with a crowd of five times for four minutes in each hour, in bins of a second to an hour."""
    day = synthetic("diurnal", {"low": 60, "high": 240}).requests
    day[np.arange(len(day)) % 3600 // 240 == 7] *= 5
    for width in (1, 60, 300, 3600):
        binned = np.repeat(day.reshape(-1, width).mean(axis=1), width)
        found = judged((base, Case(Traffic("day", binned), Load(50)), Delays(), phases()))
        print(f"bins of {width:>4} s: {found.missed:.2%} missed")


def whose_cpu(base: Model) -> None:
    """The defaults where CPU is a share, as multiples of what they come to where it is a quota, in three alarm phases:
    the median and the range of crowds in the middle of the bands, and the median's range over their ends."""
    every = corners()
    ends = {name: every[name] for name in ("middle", "fast, scale-in gradual", "slow, scale-in at once")}
    over = [phases()[index] for index in (1, 5, 9)]
    calm = {name: CALM[name] for name in ("quiet, 20/s", "ramp, 300 to 2400/s in an hour", "noise of 60 %, 300/s")}
    for group, cases in (("21 crowds", TUNED | HELD_BACK), ("light tasks", LIGHT), ("calm traffic", calm)):
        for cores in (0.5, 1.0, 2.0):
            kinds: tuple[Literal["quota", "share"], ...] = ("quota", "share")
            keys = list(itertools.product(kinds, cases, ends))
            jobs = [
                (
                    dataclasses.replace(base, cpu_is=kind),
                    cases[case]._replace(load=dataclasses.replace(cases[case].load, cores=cores)),
                    ends[end],
                    over,
                )
                for kind, case, end in keys
            ]
            found = dict(zip(keys, each(judged, jobs, 10**9), strict=True))
            cells = []
            for what in range(3):
                by_end = {
                    end: [
                        found["share", case, end][what] / max(1e-9, found["quota", case, end][what])
                        for case in cases
                        if found["quota", case, end][what] > 1e-5
                    ]
                    for end in ends
                }
                middle = by_end["middle"] or [1.0]
                medians = [median(values or [1.0]) for values in by_end.values()]
                cells.append(
                    f"{median(middle):.2f} ({min(middle):.2f} to {max(middle):.2f};"
                    f" {min(medians):.2f} to {max(medians):.2f})"
                )
            print(f"{group}, {cores:g} cores: misses {cells[0]}  hours {cells[1]}  USD {cells[2]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--explore", action="store_true", help="put the settings that were tried on the tuned crowds")
    parser.add_argument("--bins", action="store_true", help="what is missed of one day in bins of a second to an hour")
    parser.add_argument("--standing", action="store_true", help="what stands ready beside the defaults")
    parser.add_argument("--pulse", action="store_true", help="requests that the tasks count, beside the defaults")
    parser.add_argument("--cpu", action="store_true", help="CPU as a share of a node, beside a quota")
    parser.add_argument("--csv", type=Path, help="put the profiles on a trace, as a whole and day by day")
    given = parser.parse_args()
    base = read(Path(__file__).parents[2] / "templates_out")
    base = dataclasses.replace(base, scaling=msgspec.structs.replace(base.scaling, max_tasks=1000))
    base = on_nodes(base, max_nodes=200)
    if given.cpu:
        whose_cpu(base)
        return
    # All others where a task never has more than it reserves.
    base = dataclasses.replace(base, cpu_is="quota")
    if given.explore:
        explore(base)
        return
    if given.standing:
        standing(base)
        return
    if given.pulse:
        pulses(base)
        return
    if given.bins:
        bins(base)
        return
    if given.csv:
        on_a_trace(base, given.csv)
        return
    verify(base, {"crowds tuned on": TUNED, "crowds held back": HELD_BACK, "light tasks": LIGHT, "calm traffic": CALM})


if __name__ == "__main__":
    main()
