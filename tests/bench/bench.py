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
        start = time.process_time()
        sc.render(sc.compose())
        return (time.process_time() - start) * 1000

    once()
    print(f"{'warm compose and render':<44} {statistics.median(once() for _ in range(runs)):5.1f} ms, budget 25 ms")


def shop(count: int) -> sc.Config:
    """So many services on two pools, in fours of one image: three web ones, each by its path, and a worker."""
    made: dict[str, sc.AnyService] = {}
    for number in range(count):
        name, pool, scaling = f"s{chr(97 + number)}", "ab"[number // 4 % 2], sc.Scaling(max_tasks=4)
        image_of = f"s{chr(97 + number - number % 4)}" if number % 4 else ""
        if number % 4 == 3:
            made[name] = sc.WorkerService(capacity=pool, scaling=scaling, image_of=image_of)
        else:
            route = sc.Route(paths=(f"/{name}/*",))
            made[name] = sc.WebService(capacity=pool, scaling=scaling, image_of=image_of, route=route)
    return sc.Config(services=made, capacity={"a": sc.Ec2Capacity(max_nodes=30), "b": sc.Ec2Capacity(max_nodes=30)})


def services(runs: int) -> None:
    """What a further service costs a warm compose and render; one after the other in turn, so that all see the same."""
    counts = (1, 5, 20)
    times: dict[int, list[float]] = {count: [] for count in counts}
    for count in counts:
        sc.render(sc.compose(shop(count)))
    for _ in range(runs):
        for count in counts:
            config, start = shop(count), time.process_time()
            sc.render(sc.compose(config))
            times[count].append((time.process_time() - start) * 1000)
    middle = {count: statistics.median(several) for count, several in times.items()}
    for few, more in itertools.pairwise(counts):
        each = (middle[more] - middle[few]) / (more - few)
        what = f"a further service, from {few} to {more}"
        print(f"{what:<44} {each:5.1f} ms, budget 5 ms   ({middle[few]:.1f} to {middle[more]:.1f} ms)")


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
        lint = [python, "-m", "scaleout_cfn", "lint", str(out)]
        reference = [CFN_LINT, *map(str, sorted(out.glob("*.yaml")))]
        against("lint / cfn-lint on the same files", lint, reference, max(3, runs // 3), 0.9)
        warm(runs * 5)
        services(runs * 3)
        growth()
        lint_growth(out)


if __name__ == "__main__":
    main()
