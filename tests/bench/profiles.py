"""Which settings to ship: candidates over flash crowds, beside CDK's documented example, then the chosen ones on all.

    python tests/bench/profiles.py [--tries 120] [--csv requests_per_minute.csv]

Everything runs on one infrastructure: the committed set with room for 200 tasks. Candidates take two alarm phases in
the middle and in a slow corner of the bands; the chosen profiles take all twelve phases in every corner. Nothing here
passes or fails.
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


def _with(base: Model, cpu: int, out_s: int, in_s: int, warmup: int, placement: str, capacity: int, step: int) -> Model:
    scaling = msgspec.structs.replace(
        base.scaling,
        cpu=TargetTracking(enabled=True, target=cpu, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s),
        nodes=NodeScaling(target_capacity_percent=capacity, min_step=step, warmup_s=warmup),
    )
    return dataclasses.replace(base, scaling=scaling, placement="binpack" if placement == "binpack" else "spread")


def settings(base: Model, tries: int) -> list[Model]:
    """Settings around those of a model: the same ones each time."""
    grid = list(
        itertools.product(
            (40, 45, 50, 55, 60, 70),  # CPU target
            (0, 60),  # scale-out cooldown
            (60, 120, 300, 600),  # scale-in cooldown
            (0, 60, 120, 300),  # warm-up
            (("spread", 100), ("binpack", 100), ("binpack", 90), ("binpack", 80)),
            (1, 2, 4),  # fewest nodes added at once
        )
    )
    return [
        _with(base, cpu, out_s, in_s, warmup, placement, capacity, step)
        for cpu, out_s, in_s, warmup, (placement, capacity), step in Random(1).sample(grid, min(tries, len(grid)))
    ]


def profiles(base: Model) -> dict[str, Model]:
    """What was chosen, beside what is shipped."""
    return {
        "as it is": base,
        "thrifty": _with(base, 60, 0, 120, 60, "spread", 100, 1),
        "balanced": _with(base, 45, 0, 120, 60, "spread", 100, 2),
        "resilient": _with(base, 40, 0, 120, 60, "binpack", 90, 2),
    }


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
    parser.add_argument("--tries", type=int, default=120)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    base = read(Path(__file__).parents[2] / "templates_out")
    base = dataclasses.replace(base, max_nodes=50, scaling=msgspec.structs.replace(base.scaling, max_tasks=200))
    if given.tries:
        explore(base, given.tries)
    verify(base, traffics(given.csv))


def explore(base: Model, tries: int) -> None:
    """Candidates on the flash crowds, those with the fewest misses in the slow corner first."""
    models, ends = settings(base, tries), {name: corners()[name] for name in ("middle", "slow, scale-in gradual")}
    jobs = [(model, CROWDS, delays, 2) for model in [cdk(base), *models] for delays in ends.values()]
    found = list(each(judged, jobs, 10**9))
    theirs = found[:2]
    rows = []
    for index, model in enumerate(models, 1):
        middle, slow = (ratios(found[2 * index + end], theirs[end], list(CROWDS)) for end in (0, 1))
        rows.append((slow, middle, says(model)))
    print(f"{len(models)} settings on {', '.join(CROWDS)}; each as a multiple of CDK's documented example")
    for slow, middle, text in sorted(rows)[:30]:
        print(
            f"   middle: misses {middle[0]:.2f} hours {middle[1]:.2f}   slow: misses {slow[0]:.2f} hours {slow[1]:.2f}"
            f"   {text}"
        )


def verify(base: Model, loads: dict[str, Traffic]) -> None:
    """The profiles on every traffic, in every corner of the bands, as multiples of CDK's example at the same corner."""
    chosen = {"CDK": cdk(base), **profiles(base)}
    jobs = [(model, loads, delays, 12) for delays in corners().values() for model in chosen.values()]
    found = iter(each(judged, jobs, 10**9))
    results = {corner: {name: next(found) for name in chosen} for corner in corners()}
    crowds, others = list(CROWDS), [name for name in loads if name not in CROWDS]
    print(f"Twelve phases on {', '.join(loads)}; each as a multiple of CDK's documented example at the same corner")
    for name, model in profiles(base).items():
        print(f"{name}: {says(model)}")
        for corner, by_name in results.items():
            mine, cdks = by_name[name], by_name["CDK"]
            one, two = ratios(mine, cdks, crowds), ratios(mine, cdks, others)
            worst = max(mine[n][0] / cdks[n][0] for n in crowds)
            print(
                f"   {corner:<24} crowds: misses {one[0]:.2f} (worst {worst:.2f}) hours {one[1]:.2f} USD {one[2]:.2f}"
                f"   others: misses {two[0]:.2f} hours {two[1]:.2f} USD {two[2]:.2f}"
            )
        for n, (misses, hours, _) in results["middle"][name].items():
            theirs = results["middle"]["CDK"][n]
            print(f"      {n:<38} {misses:8.3%} of {theirs[0]:8.3%}  hours {hours:7.1f} of {theirs[1]:7.1f}")


if __name__ == "__main__":
    main()
