"""Speed and memory, each as a ratio of runs beside each other: `tox -e bench`.

Processes are alternated (A B A B ...), CPU seconds are user and system of the whole process, medians are quoted.
Nothing here passes or fails: the budgets stand beside the figures.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import scaleout_cfn as sc

CFN_LINT = str(Path(sysconfig.get_path("scripts")) / "cfn-lint")


class Process(NamedTuple):
    """What one process took."""

    cpu_s: float
    wall_s: float
    peak_mib: float


def measure(command: Sequence[str]) -> Process:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir())
    _, _, usage = os.wait4(process.pid, 0)
    return Process(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024)


def against(name: str, ours: Sequence[str], theirs: Sequence[str], runs: int, budget: float) -> None:
    measure(ours), measure(theirs)
    pairs = [(measure(ours), measure(theirs)) for _ in range(runs)]
    cpu = statistics.median(a.cpu_s / b.cpu_s for a, b in pairs)
    wall = statistics.median(a.wall_s / b.wall_s for a, b in pairs)
    peak = max(a.peak_mib for a, _ in pairs)
    print(f"{name:<44} CPU {cpu:5.2f}x  wall {wall:5.2f}x  budget {budget}x   peak {peak:.0f} MiB", flush=True)


def against_cfn_lint(name: str, config: sc.Config, out: Path, runs: int) -> None:
    sc.write(out, sc.render(sc.compose(config)))
    ours = [sys.executable, "-m", "scaleout_cfn", "lint", str(out)]
    against(f"lint / cfn-lint, {name}", ours, [CFN_LINT, *map(str, sorted(out.glob("*.yaml")))], runs, 0.9)


def once(config: sc.Config) -> float:
    """Milliseconds of CPU of a warm compose and render."""
    start = time.process_time()
    sc.render(sc.compose(config))
    return (time.process_time() - start) * 1000


def warm(runs: int) -> None:
    config = sc.Config()
    once(config)
    times = [once(config) for _ in range(runs)]
    least, middle = min(times), statistics.median(times)
    print(f"{'warm compose and render':<44} least {least:5.1f} ms, median {middle:.1f} ms, budget 25 ms", flush=True)


def shop(count: int, *, web_of: int = 1) -> sc.Config:
    """So many services on Fargate with images of their own: the first of so many is a web one, the others workers."""
    made: dict[str, sc.AnyService] = {}
    for number in range(count):
        name = f"s{chr(97 + number)}"
        is_web = number % web_of == 0
        route = sc.Route(paths=(f"/{name}/*",))
        made[name] = sc.WebService(memory_mib=512, route=route) if is_web else sc.WorkerService(memory_mib=512)
    return sc.Config(services=made, capacity={"fargate": sc.FargateCapacity()})


def services(runs: int) -> None:
    """What a further service costs a warm compose and render; one after the other in turn, so that all see the same.

    Web services alone up to ten, for the root of twenty is larger than CloudFormation takes; then one in four.
    """
    for what, counts, web_of in (("web service", (1, 5, 10), 1), ("service", (1, 5, 10, 20), 4)):
        configs = {count: shop(count, web_of=web_of) for count in counts}
        times = {count: [once(config)] for count, config in configs.items()}
        for _ in range(runs):
            for count, config in configs.items():
                times[count].append(once(config))
        least = {count: min(several) for count, several in times.items()}
        each = [(least[more] - least[few]) / (more - few) for few, more in itertools.pairwise(counts)]
        for (few, more), cost in zip(itertools.pairwise(counts), each, strict=True):
            name = f"a further {what}, from {few} to {more}"
            print(f"{name:<44} {cost:5.1f} ms, budget 5 ms   ({least[few]:.1f} to {least[more]:.1f} ms)")
        print(f"{f'{what}: the last ones / the first ones':<44} {each[-1] / each[0]:5.2f}x, 1 is linear", flush=True)


def growth() -> None:
    """Many environments in one process: a set is a set, and nothing piles up."""
    times = {}
    for count in (1, 10, 100):
        start = time.perf_counter()
        for number in range(count):
            web = sc.WebService(scaling=sc.Scaling(max_tasks=10 + number % 10))
            sc.render(sc.compose(sc.Config(services={"web": web})))
        times[count] = time.perf_counter() - start
    for count, seconds in times.items():
        print(f"{f'{count} environments in one process':<44} {seconds * 1000 / count:5.1f} ms each")


def lint_growth(set_folder: Path) -> None:
    from scaleout_cfn.lint.files import lint_files

    for count in (1, 10, 100):
        start = time.perf_counter()
        for _ in range(count):
            lint_files(set_folder)
        print(f"{f'lint, {count} sets in one process':<44} {(time.perf_counter() - start) * 1000 / count:5.0f} ms each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="pairs of runs that a median is taken of")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "set"
        sc.write(out, sc.render(sc.compose()))
        python = sys.executable
        render = [python, "-m", "scaleout_cfn", "render", "-o", str(out)]
        against("cold render / import troposphere", render, [python, "-c", "import troposphere"], runs, 2.5)
        warm(runs * 7)
        services(runs * 3)
        against_cfn_lint("the default set", sc.Config(), out, max(3, runs // 3))
        against_cfn_lint("twenty services", shop(20, web_of=4), Path(temporary) / "twenty", max(3, runs // 3))
        growth()
        lint_growth(out)


if __name__ == "__main__":
    main()
