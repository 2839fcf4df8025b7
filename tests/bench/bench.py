"""Speed and memory, each as a ratio of runs beside each other: `tox -e bench`.

Processes are alternated (A B A B ...), CPU seconds are user and system of the whole process, medians are quoted.
Nothing here passes or fails: the budgets stand beside the figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

import scaleout_cfn as sc

CFN_LINT = str(Path(sysconfig.get_path("scripts")) / "cfn-lint")


def measure(command: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and peak memory in MiB of one process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir())
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def wall(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir(), check=False
    )
    return time.perf_counter() - start


def against(name: str, ours: Sequence[str], theirs: Sequence[str], runs: int, budget: float) -> None:
    measure(ours), measure(theirs)
    pairs = [(measure(ours), measure(theirs)) for _ in range(runs)]
    cpu = statistics.median(a[0] / b[0] for a, b in pairs)
    times = statistics.median(wall(ours) / wall(theirs) for _ in range(runs))
    memory = max(a[1] for a, _ in pairs)
    print(f"{name:<44} CPU {cpu:5.2f}x  wall {times:5.2f}x  budget {budget}x   peak {memory:.0f} MiB")


def warm(runs: int) -> None:
    def once() -> float:
        start = time.perf_counter()
        sc.render(sc.compose())
        return (time.perf_counter() - start) * 1000

    once()
    print(f"{'warm compose and render':<44} {statistics.median(once() for _ in range(runs)):5.1f} ms, budget 25 ms")


def growth() -> None:
    """Many environments in one process: a set is a set, and nothing piles up."""
    times = {}
    for count in (1, 10, 100):
        start = time.perf_counter()
        for number in range(count):
            scaling = msgspec.structs.replace(sc.Config().scaling, max_tasks=10 + number % 10)
            sc.render(sc.compose(sc.Config(scaling=scaling)))
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
        lint = [python, "-m", "scaleout_cfn", "lint", str(out)]
        reference = [CFN_LINT, *map(str, sorted(out.glob("*.yaml")))]
        against("lint / cfn-lint on the same files", lint, reference, max(3, runs // 3), 0.9)
        warm(runs * 5)
        growth()
        lint_growth(out)


if __name__ == "__main__":
    main()
