"""Which settings to ship: candidates over flash crowds and other traffic, beside CDK's documented example.

    python tests/bench/profiles.py [--tries 300] [--csv requests_per_minute.csv]

Everything runs on one infrastructure: the committed set with room for 200 tasks. Stage one takes three alarm phases,
the finalists take all twelve and the corners of the bands. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path
from random import Random
from statistics import fmean

import msgspec

from scaleout_cfn.scaling import NodeScaling, TargetTracking
from scaleout_cfn.simulator.model import Delays, Model, Service, corners
from scaleout_cfn.simulator.peers import cdk
from scaleout_cfn.simulator.prices import load_prices
from scaleout_cfn.simulator.read import read
from scaleout_cfn.simulator.results import measure
from scaleout_cfn.simulator.run import phases, run
from scaleout_cfn.simulator.study import each
from scaleout_cfn.simulator.traffic import Traffic, from_csv, synthetic

SERVICE = Service(task_rps=50)
PRICES = load_prices()
CROWDS = {
    f"crowd {times}x in {rise} s": synthetic(
        "flash-crowd", {"base": 300, "peak": 300 * times, "rise": rise, "at": 1800, "hold": 1200, "fall": 900}
    )
    for times, rise in ((3, 60), (3, 300), (5, 60), (5, 300), (10, 60), (10, 300))
}
OTHERS = {
    "diurnal": synthetic("diurnal", {"low": 200, "high": 2000}),
    "ramp": synthetic("ramp", {"base": 300, "peak": 2400, "rise": 3600, "hours": 3}),
    "noise": synthetic("noise", {"mean": 1000, "spread": 0.3, "hours": 6}),
}


def traffics(csv: Path | None) -> dict[str, Traffic]:
    """Made-up traffic, and the three busiest days of a file where there is one."""
    found = {**CROWDS, **OTHERS}
    if csv and csv.exists():
        whole = from_csv(csv)
        days = range(len(whole.requests) // 86400)
        busiest = sorted(days, key=lambda day: -whole.requests[day * 86400 : (day + 1) * 86400].max())[:3]
        found.update({f"{csv.stem} day {day}": whole.window(day * 86400, (day + 1) * 86400) for day in busiest})
    return found


def settings(base: Model, tries: int) -> list[Model]:
    """The set as it is, then others: the same ones each time."""
    grid = list(
        itertools.product(
            (35, 40, 45, 50, 55, 60, 65, 70, 75),  # CPU target
            (0, 60),  # scale-out cooldown
            (60, 120, 300, 600),  # scale-in cooldown
            (0, 60, 120, 300),  # warm-up
            (("spread", 100), ("binpack", 100), ("binpack", 90), ("binpack", 80)),
            (1, 2),  # fewest nodes added at once
            (2, 3, 4),  # fewest tasks
        )
    )
    found = [base]
    for cpu, out_s, in_s, warmup, (placement, capacity), step, least in Random(1).sample(grid, min(tries, len(grid))):
        scaling = msgspec.structs.replace(
            base.scaling,
            min_tasks=least,
            cpu=TargetTracking(enabled=True, target=cpu, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s),
            nodes=NodeScaling(target_capacity_percent=capacity, min_step=step, warmup_s=warmup),
        )
        found.append(dataclasses.replace(base, scaling=scaling, placement=placement))
    return found


Job = tuple[Model, dict[str, Traffic], Delays, int]


def judged(job: Job) -> dict[str, tuple[float, float, float]]:
    """Misses, instance-hours and USD of each traffic, as means over so many alarm phases."""
    model, loads, delays, count = job
    found = {}
    for name, traffic in loads.items():
        outcomes = [
            measure(run(model, SERVICE, delays, traffic, phase), model, SERVICE, PRICES, 0.0) for phase in phases(count)
        ]
        found[name] = (
            fmean(o.objective_missed for o in outcomes),
            fmean(o.instance_hours for o in outcomes),
            fmean(o.cost_usd for o in outcomes),
        )
    return found


def ratios(
    ours: dict[str, tuple[float, float, float]], theirs: dict[str, tuple[float, float, float]], names: list[str]
) -> tuple[float, float, float]:
    """Misses over all of `names`, and the worst ratio of instance-hours and of USD, each against the other's."""
    misses = sum(ours[n][0] for n in names) / max(1e-9, sum(theirs[n][0] for n in names))
    return misses, max(ours[n][1] / theirs[n][1] for n in names), max(ours[n][2] / theirs[n][2] for n in names)


def says(model: Model) -> str:
    s = model.scaling
    return (
        f"cpu {s.cpu.target:g}, out {s.cpu.scale_out_cooldown_s}, in {s.cpu.scale_in_cooldown_s}, warm-up"
        f" {s.nodes.warmup_s}, {model.placement} {s.nodes.target_capacity_percent}, step {s.nodes.min_step},"
        f" {s.min_tasks} tasks at least"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=300)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    base = read(Path(__file__).parents[2] / "templates_out")
    base = dataclasses.replace(
        base, max_nodes=50, scaling=msgspec.structs.replace(base.scaling, max_tasks=200, high_resolution=True)
    )
    loads = traffics(given.csv)
    crowds, others = list(CROWDS), [name for name in loads if name not in CROWDS]
    models = settings(base, given.tries)
    theirs = judged((cdk(base), loads, Delays(), 3))
    results = list(each(judged, [(model, loads, Delays(), 3) for model in models], 10**9))
    rows = []
    for model, result in zip(models, results, strict=True):
        rows.append((ratios(result, theirs, crowds), ratios(result, theirs, others), model))
    print(f"{len(models)} settings on {len(loads)} traffics: {', '.join(loads)}")
    kept = [row for row in rows if row[0][1] <= 1.3 and row[1][1] <= 1.3]
    print(f"{len(kept)} of them at no more than 1.3 times CDK's instance-hours on each traffic")
    picks: dict[str, Model] = {"as it is": base}
    by_cost = sorted(rows, key=lambda row: max(row[0][1], row[1][1]))
    for name, limit in (("thrifty", 1.0), ("balanced", 0.5), ("resilient", 0.35)):
        fit = [row for row in by_cost if row[0][0] <= limit and row[1][0] <= max(limit, 1.0)]
        if fit:
            picks[name] = fit[0][2]
    fewest = min(kept, key=lambda row: row[0][0], default=None)
    if fewest:
        picks["fewest misses within 1.3"] = fewest[2]
    for row in sorted(kept, key=lambda row: row[0][0])[:12]:
        for label, (misses, hours, usd) in (("crowds", row[0]), ("others", row[1])):
            print(f"   {label}: misses {misses:.2f} hours {hours:.2f} USD {usd:.2f}", end="")
        print(f"   {says(row[2])}")
    print("Finalists, twelve phases, each corner of the bands against CDK's example at the same corner:")
    for name, model in picks.items():
        print(f"{name}: {says(model)}")
        for corner, delays in corners().items():
            mine, cdks = judged((model, loads, delays, 12)), judged((cdk(base), loads, delays, 12))
            one, two = ratios(mine, cdks, crowds), ratios(mine, cdks, others)
            worst = max(mine[n][0] / cdks[n][0] for n in crowds)
            print(
                f"   {corner:<26} crowds: misses {one[0]:.2f} (worst {worst:.2f}) hours {one[1]:.2f} USD {one[2]:.2f}"
                f"   others: misses {two[0]:.2f} hours {two[1]:.2f} USD {two[2]:.2f}"
            )
            if corner == "middle":
                for n, (misses, hours, _) in mine.items():
                    print(f"      {n:<34} {misses:8.3%} of {cdks[n][0]:8.3%}  hours {hours:7.1f} of {cdks[n][1]:7.1f}")


if __name__ == "__main__":
    main()
