"""Which settings to ship: the profiles beside CDK's documented example, and what else could be had for the money.

    python tests/bench/profiles.py [--frontier | --bins | --cpu] [--csv requests_per_minute.csv] [--plot frontier.svg]

Everything runs on one infrastructure, the committed set with room for 1000 tasks; each number is a multiple of what
something else comes to there, at the same corner of the bands, and a mean over three alarm phases. The profiles are put
on the crowds that they were tuned on, on crowds that no setting was chosen by, on crowds before tasks of 200 requests a
second and more, and on calm traffic. `--frontier` puts settings, shapes and requests that tasks count on drawn crowds,
beside the defaults, and `--plot` draws it; with `--csv` on the days of a trace that has crowds, too. `--csv` alone puts
the defaults on a trace, as a whole and day by day. `--bins` tells what is missed of one day as its bins grow, `--cpu`
what a share of CPU is beside a quota. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec.structs import replace

from scaleout_cfn.capacity import instance_type, registered_memory_mib
from scaleout_cfn.config.pulse import LogPulse
from scaleout_cfn.config.scaling import StepAdjustment, StepScaling, pulse_steps
from scaleout_cfn.profiles import PROFILES
from scaleout_cfn.simulator.model import Delays, Load, Model, Size, StandingBy, corners
from scaleout_cfn.simulator.peers import cdk, with_profile
from scaleout_cfn.simulator.prices import cost, prices_of
from scaleout_cfn.simulator.read import read
from scaleout_cfn.simulator.results import missed_share
from scaleout_cfn.simulator.rules import phases
from scaleout_cfn.simulator.run import run
from scaleout_cfn.simulator.series import from_csv
from scaleout_cfn.simulator.shapes import kinds_beside, words
from scaleout_cfn.simulator.study import each
from scaleout_cfn.simulator.traffic import Traffic, synthetic

PRICES = prices_of("us-east-1")
OVER = phases()[1::4]
DAY_S = 86400


Made = Callable[[Load], Model]


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
    f"{times}x, {base}/s, tasks of {task_rps}/s": crowd(base, times, 60, Load(task_rps, workers=16))
    for task_rps, base in ((200, 200), (200, 1200), (500, 500), (500, 3000))
    for times in (3, 10, 20)
}
"""Crowds before tasks of 200 requests a second and more, so that few tasks are there when they come."""


def on_nodes(base: Model, **changes: Any) -> Model:
    """The same on other nodes."""
    assert base.nodes is not None
    return dataclasses.replace(base, pool=dataclasses.replace(base.nodes, **changes))


Job = tuple[Model, Case, Delays]
Costs = dict[tuple[str, str, str], Cost]  # by model, case and corner


def judged(job: Job) -> Cost:
    model, (traffic, load), delays = job
    traces = [run(model, load, delays, traffic, phase) for phase in OVER]
    return Cost(
        fmean(missed_share(trace, model, load) for trace in traces),
        fmean(trace.node_seconds / 3600 for trace in traces),
        fmean(cost(model, load, PRICES, trace).total for trace in traces),
    )


def costs(models: Mapping[str, Made], cases: Mapping[str, Case], ends: Mapping[str, Delays]) -> Costs:
    """Every model on every case at every corner."""
    keys = list(itertools.product(models, cases, ends))
    jobs = [(models[name](cases[case].load), cases[case], ends[end]) for name, case, end in keys]
    return dict(zip(keys, each(judged, jobs, 10**9), strict=True))


def always(model: Model) -> Made:
    """The same whatever a task takes."""
    return lambda _: model


AIM = (0.5, 1.3, 1.3)
"""Of the misses, instance-hours and USD of CDK's example."""


def verify(base: Model, groups: Mapping[str, Mapping[str, Case]]) -> None:
    """The profiles as multiples of CDK's example: the median case and the range in the middle of the bands; of the
    defaults every case, in the middle and over the corners, and in how many of them the aim is met."""
    models = {"CDK": always(cdk(base))} | {
        name: always(with_profile(base, profile)) for name, profile in PROFILES.items()
    }
    for group, cases in groups.items():
        found, ends = costs(models, cases, corners()), corners()
        print(f"\n{group}: misses, instance-hours, USD as multiples of CDK's example")
        rows: dict[str, list[str]] = {case: [] for case in cases}
        for name, what in itertools.product(PROFILES, range(3)):
            by_case = {
                case: [found[name, case, end][what] / found["CDK", case, end][what] for end in ends]
                for case in cases
                if min(found["CDK", case, end][what] for end in ends) > 1e-5
            }
            middle = [values[0] for values in by_case.values()] or [1.0]
            head = "" if what else f"{name:<10} "
            print(
                f"{head}{median(middle):.2f} ({min(middle):.2f} to {max(middle):.2f})", end="\n" if what == 2 else "  "
            )
            if name == "balanced":
                for case in cases:
                    values = by_case.get(case)
                    cells = [
                        f"**{value:.2f}**" if round(value, 2) > AIM[what] else f"{value:.2f}"
                        for value in ((values[0], min(values), max(values)) if values else ())
                    ]
                    rows[case].append("{} ({} to {})".format(*cells) if cells else "none")
        for case, row in rows.items():
            print(f"| {case} | {' | '.join(row)} |")
        for what, least in enumerate(AIM):
            own = [row[what] for row in rows.values() if row[what] != "none"]
            met = sum("*" not in cell.split(" (")[0] for cell in own), sum("*" not in cell for cell in own)
            print(f"at most {least}: {met[0]} of {len(own)} in the middle, {met[1]} in every corner", flush=True)


CROWDED = ("12 May", "14 May", "19 May", "20 May")
"""Days of the site of the football World Cup of 1998 with crowds."""


def days_of(csv: Path) -> dict[str, Case]:
    """A trace day by day, from its first midnight on."""
    whole = from_csv(csv)
    assert whole.start is not None
    first = -int(whole.start.timestamp()) % DAY_S
    return {
        f"{whole.start + timedelta(seconds=at):%d %B}": Case(whole.window(at, at + DAY_S), Load(50))
        for at in range(first, len(whole.requests) - DAY_S + 1, DAY_S)
    }


def on_a_trace(base: Model, csv: Path) -> None:
    """The defaults beside CDK's example on a trace, days with few misses first; in the middle of the bands."""
    days = days_of(csv)
    models = {"CDK": always(cdk(base)), "balanced": always(with_profile(base, PROFILES["balanced"]))}
    found = costs(models, days, {"middle": Delays()})
    pairs = {day: (found["CDK", day, "middle"], found["balanced", day, "middle"]) for day in days}
    weights = {day: float(case.traffic.requests.sum()) for day, case in days.items()}
    theirs, ours = (sum(pairs[day][which].missed * weights[day] for day in days) for which in (0, 1))
    hours, own_hours = (sum(pairs[day][which].instance_hours for day in days) for which in (0, 1))
    print(f"balanced on {csv.stem}, multiples of CDK's example")
    print(
        f"   all days: misses {ours / theirs:.2f}, hours {own_hours / hours:.2f};"
        f" CDK misses {theirs / sum(weights.values()):.3%}"
    )
    for day, (theirs_there, ours_there) in sorted(pairs.items(), key=lambda pair: pair[1][0].missed):
        # A day without misses is 1 where we have none either.
        missed = ours_there.missed / theirs_there.missed if theirs_there.missed else 1.0 + ours_there.missed
        hours = ours_there.instance_hours / theirs_there.instance_hours
        print(f"      {day:<14} misses {missed:.2f}  hours {hours:.2f}  CDK misses {theirs_there.missed:.3%}")


def drawn(seed: int, count: int, cpu_at_capacity: float = 100) -> dict[str, Case]:
    """Crowds of 2 to 10 times within 30 s to 10 minutes, at any time of an hour, before tasks of many kinds."""
    draw = random.Random(seed)
    found = {}
    for number in range(count):
        times, rise, base = draw.uniform(2, 10), 30 * 20 ** draw.random(), 30 * 50 ** draw.random()
        load = Load(
            task_rps=(10, 20, 50, 100, 200)[number % 5],
            workers=draw.choice((4, 8)),
            cores=(0.5, 1, 2)[number % 3],
            cpu_at_capacity=cpu_at_capacity,
        )
        when = {"at": draw.randrange(1500, 2100), "hold": draw.uniform(600, 1800), "fall": draw.uniform(300, 900)}
        found[f"{seed}-{number}: {times:.1f}x in {rise:.0f} s"] = crowd(base, times, rise, load, **when)
    return found


def frontier_of(base: Model) -> dict[str, Made]:
    """What may stand ready, what may be counted, and what tasks may run on, beside the defaults."""
    nodes = base.nodes
    assert nodes is not None

    def at(cpu: float = 40, capacity: int = 100, *steps: StepScaling, on: Model = base, **changes: Any) -> Made:
        scaling = replace(on.scaling, cpu=replace(on.scaling.cpu, target=cpu), step_policies=steps)
        given = {"scaling": replace(nodes.scaling, target_capacity_percent=capacity), **changes}
        return always(on_nodes(dataclasses.replace(on, scaling=scaling), **given))

    def pulse(share: float) -> Made:
        def made(load: Load) -> Model:
            counted = LogPulse(target_rps=share * load.task_rps)
            scaling = replace(base.scaling, pulse=counted, step_policies=pulse_steps(counted))
            return dataclasses.replace(base, scaling=scaling)

        return made

    def typed(name: str, cpu: float = 40) -> Made:
        kind = instance_type(name)
        units = 1024 * kind.vcpus
        room = Size(units, registered_memory_mib(kind.memory_mib), kind.max_enis - 1, nodes.room.ports)
        return at(cpu, instance_type=name, cpu_units=units, room=room)

    def step(when: Literal["above", "below"], threshold: float, period_s: Literal[30, 60], percent: int) -> StepScaling:
        return StepScaling(
            name="Step",
            when=when,
            threshold=threshold,
            period_s=period_s,
            periods=1 if when == "above" else 3,
            adjustment_type="PercentChangeInCapacity",
            steps=(StepAdjustment(adjustment=percent),),
        )

    def down(cpu: float) -> StepScaling:
        return step("below", 0.6 * cpu, 60, -20)

    more = dataclasses.replace(base, scaling=replace(base.scaling, min_tasks=2 * base.scaling.min_tasks))
    stopped = StandingBy("stopped", 0, 30)
    return {
        "the defaults: CPU at 40 %": always(base),
        "thrifty": always(with_profile(base, PROFILES["thrifty"])),
        "resilient": always(with_profile(base, PROFILES["resilient"])),
        "spot": always(with_profile(base, PROFILES["spot"])),
        "spot, half of it": at(28, 90, spot_percent=50, on_demand_base=2),
        "t3.micro": typed("t3.micro"),
        "t4g.small": typed("t4g.small"),
        "t4g.micro": typed("t4g.micro"),
        "t4g.micro, CPU at 33 %": typed("t4g.micro", 33),
        "the defaults on Spot above two nodes": at(spot_percent=100, on_demand_base=2),
        **{words(shape): always(shape) for shape in kinds_beside(base, PRICES)},
        "a pulse at 60 %": pulse(0.6),
        "a pulse at 50 %": pulse(0.5),
        "CPU at 33 %": at(33),
        "CPU at 28 %": at(28),
        "target capacity 90 %": at(capacity=90),
        "target capacity 80 %": at(capacity=80),
        "target capacity 60 %": at(capacity=60),
        "80 %, three zones": at(capacity=80, zones=3),
        "80 %, binpack": at(capacity=80, on=dataclasses.replace(base, placement="binpack")),
        "resilient, a step down": at(30, 90, down(30)),
        "a step of +100 % at 80 % CPU, 30 s": at(40, 100, step("above", 80, 30, 100)),
        "a step down": at(40, 100, down(40)),
        "CPU at 33 %, a step down": at(33, 100, down(33)),
        "a warm pool of 30, stopped": at(warm=stopped),
        "a warm pool and 80 %": at(capacity=80, warm=stopped),
        "two nodes more at least": at(min_nodes=nodes.min_nodes + 2),
        "four nodes at once": at(scaling=replace(nodes.scaling, min_step=4)),
        "twice the fewest tasks": always(more),
    }


def frontier(base: Model, csv: Path | None, plot: Path | None) -> None:
    """As multiples of what the defaults come to: of drawn crowds the misses of the median one and of all together, and
    the USD of the median one, with the range over the corners of the bands; in the middle the misses and the USD of
    crowded days of a trace, and the USD of calm traffic."""
    every = corners()
    ends = {name: every[name] for name in ("middle", "fast, scale-in gradual", "slow, scale-in at once")}
    groups = {"bound by CPU": drawn(20, 16), "by something else": drawn(21, 8, 60)}
    crowds = groups["bound by CPU"] | groups["by something else"]
    calm = {name: CALM[name] for name in CALM if "2000/s" not in name and "1000/s" not in name}
    days = {name: case for name, case in days_of(csv).items() if name in CROWDED} if csv else {}
    first: Costs = {}
    points: dict[str, list[dict[str, float]]] = {}
    for name, model in frontier_of(base).items():
        found = costs({"": model}, crowds, ends) | costs({"": model}, calm | days, {"middle": Delays()})
        first = first or found
        cells = []
        for cases in groups.values():
            columns: list[dict[str, float]] = [{}, {}, {}]
            for end in ends:
                pairs = [(found["", case, end], first["", case, end]) for case in cases]
                columns[0][end] = median(a.missed / b.missed for a, b in pairs if b.missed > 1e-4)
                columns[1][end] = sum(a.missed for a, _ in pairs) / sum(b.missed for _, b in pairs)
                columns[2][end] = median(a.usd / b.usd for a, b in pairs)
            for column in columns[name in points :]:
                cells.append(f"{column['middle']:.2f} ({min(column.values()):.2f} to {max(column.values()):.2f})")
            points.setdefault(name, columns)
        if days:
            pairs = [(found["", case, "middle"], first["", case, "middle"]) for case in days]
            cells.append(f"{sum(a.missed for a, _ in pairs) / sum(b.missed for _, b in pairs):.2f}")
            cells.append(f"{sum(a.usd for a, _ in pairs) / sum(b.usd for _, b in pairs):.2f}")
        ratios = [found["", case, "middle"].usd / first["", case, "middle"].usd for case in calm]
        cells.append(f"{median(ratios):.2f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if plot:
        draw(points, plot)


def draw(points: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Misses of all crowds together against USD, with the range over the corners, and the aim."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "scaleout_cfn", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(10, 6.5), constrained_layout=True)
    named: list[tuple[float, float]] = []
    for name, (_, missed, usd) in points.items():
        kind = next((kind for kind in ("pulse", "t3.", "t4g.", "Spot", "Fargate") if kind in name), "")
        colour = {"": "#2563c4", "pulse": "#b4530a"}.get(kind, "#14803c")
        x, y = usd["middle"], missed["middle"]
        axis.plot([x, x], [min(missed.values()), max(missed.values())], color=colour, linewidth=0.8, alpha=0.5)
        axis.plot([min(usd.values()), max(usd.values())], [y, y], color=colour, linewidth=0.8, alpha=0.5)
        axis.plot(x, y, "o", color=colour, markersize=4)
        if all(abs(x - there[0]) > 0.09 or abs(y - there[1]) > 0.028 for there in named):  # else they lie on each other
            named.append((x, y))
            axis.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="small", color=colour)
    axis.fill_between([0.8, 1], 0.5, color="grey", alpha=0.15, linewidth=0)
    axis.set_xlim(0.8, 1.8)
    axis.set_ylim(0.2, 1.3)
    axis.set_xlabel("USD in crowds, as multiples of the defaults' (the median crowd)")
    axis.set_ylabel("misses of all crowds together, as multiples of the defaults'")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None}, dpi=80)


def bins(base: Model) -> None:
    """One day with a crowd of five times for four minutes in each hour, in bins of a second to an hour."""
    day = synthetic("diurnal", {"low": 60, "high": 240}).requests
    day[np.arange(len(day)) % 3600 // 240 == 7] *= 5
    for width in (1, 60, 300, 3600):
        binned = np.repeat(day.reshape(-1, width).mean(axis=1), width)
        found = judged((base, Case(Traffic("day", binned), Load(50)), Delays()))
        print(f"bins of {width:>4} s: {found.missed:.2%} missed")


def whose_cpu(base: Model) -> None:
    """The defaults where CPU is a share, as multiples of what they come to where it is a quota: the median and the
    range of crowds in the middle of the bands, and the median's range over their ends."""
    every = corners()
    ends = {name: every[name] for name in ("middle", "fast, scale-in gradual", "slow, scale-in at once")}
    models = {kind: always(dataclasses.replace(base, cpu_is=kind)) for kind in ("quota", "share")}
    for group, crowds in (("21 crowds", TUNED | HELD_BACK), ("light tasks", LIGHT)):
        for cores in (0.5, 1.0, 2.0):
            cases = {
                name: case._replace(load=dataclasses.replace(case.load, cores=cores)) for name, case in crowds.items()
            }
            found, cells = costs(models, cases, ends), []
            for what in range(3):
                by_end = {
                    end: [
                        found["share", case, end][what] / found["quota", case, end][what]
                        for case in cases
                        if found["quota", case, end][what] > 1e-5
                    ]
                    for end in ends
                }
                middle, medians = by_end["middle"], [median(values) for values in by_end.values()]
                cells.append(
                    f"{median(middle):.2f} ({min(middle):.2f} to {max(middle):.2f};"
                    f" {min(medians):.2f} to {max(medians):.2f})"
                )
            print(f"| {group}, {cores:g} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frontier", action="store_true", help="what else could be had for the money, in crowds")
    parser.add_argument("--bins", action="store_true", help="what is missed of one day in bins of a second to an hour")
    parser.add_argument("--cpu", action="store_true", help="CPU as a share of a node, beside a quota")
    parser.add_argument("--csv", type=Path, help="put the defaults, or the frontier, on a trace by the minute")
    parser.add_argument("--plot", type=Path, help="draw the frontier, .svg or .png")
    given = parser.parse_args()
    base = read(Path(__file__).parents[2] / "templates_out")
    base = dataclasses.replace(base, scaling=replace(base.scaling, max_tasks=1000))
    base = on_nodes(base, max_nodes=400)
    if given.cpu:
        whose_cpu(base)
    elif given.frontier:
        frontier(base, given.csv, given.plot)
    elif given.bins:
        bins(base)
    elif given.csv:
        on_a_trace(base, given.csv)
    else:
        verify(base, {"21 crowds": TUNED | HELD_BACK, "light tasks": LIGHT, "calm traffic": CALM})


if __name__ == "__main__":
    main()
