"""Speed and memory of the simulator: `python tests/bench/simulator.py`. Nothing here passes or fails.

Seven days at one second, as a command and from a few tasks to tens of thousands; a search of 500 settings over one day;
and one small case beside simpy, an engine that goes request by request. CPU seconds, for others may share the machine.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from random import Random

import numpy as np

from scaleout_cfn.config.scaling import Scaling, TargetTracking
from scaleout_cfn.simulator.model import Delays, Load, Model, NodePool, Size
from scaleout_cfn.simulator.prices import prices_of
from scaleout_cfn.simulator.queueing import waits
from scaleout_cfn.simulator.read import read
from scaleout_cfn.simulator.results import measure
from scaleout_cfn.simulator.run import Busy, run, run_together
from scaleout_cfn.simulator.search import advise
from scaleout_cfn.simulator.shapes import shapes
from scaleout_cfn.simulator.traffic import synthetic

# name, requests a second at night and by day, most tasks, CPU target
CASES = (
    ("a few tasks", 50, 500, 100, 60),
    ("hundreds of tasks", 2_000, 20_000, 2_000, 60),
    ("tens of thousands of tasks", 200_000, 2_000_000, 90_000, 60),
    ("always near full load", 50, 500, 100, 90),
    ("overloaded every day", 50, 500, 8, 60),
)


def week(low: float, high: float, tasks: int, target: float) -> tuple[float, float, float]:
    """CPU seconds of the run and of its figures, and the most memory in MiB."""
    scaling = Scaling(max_tasks=tasks, cpu=TargetTracking(enabled=True, target=target))
    nodes = NodePool(2, tasks, "m5.8xlarge", cpu_units=32 * 1024, room=Size(24 * 256, 24 * 512))
    model = Model(scaling, nodes, Size(256, 512), health_check_interval_s=10, deregistration_delay_s=30)
    load, prices = Load(task_rps=50), prices_of("us-east-1")
    traffic = synthetic("diurnal", {"days": 7, "low": low, "high": high})
    start = time.process_time()
    trace = run(model, load, Delays(), traffic)
    middle = time.process_time()
    measure(trace, model, load, prices, 0.0)
    end = time.process_time()
    return middle - start, end - middle, _peak_mib()


def together(services: int) -> tuple[float, float, float]:
    """The same of services with a day each of their own, which share nodes."""
    nodes, prices = (
        NodePool(2, 400, "m5.8xlarge", cpu_units=32 * 1024, room=Size(32 * 1024, 120 * 1024)),
        prices_of("us-east-1"),
    )
    busy = []
    for number in range(services):
        scaling = Scaling(max_tasks=500, cpu=TargetTracking(enabled=True, target=40 + 2 * number))
        task = Size(256 * (1 + number % 3), 512 * (1 + number % 2))
        model = Model(scaling, nodes, task, health_check_interval_s=10, deregistration_delay_s=30)
        day = {"days": 7, "low": 50 + 30 * number, "high": 2000 - 150 * number, "seed": number}
        busy.append(Busy(model, Load(task_rps=50), synthetic("diurnal", day)))
    start = time.process_time()
    traces = run_together(busy, Delays())
    middle = time.process_time()
    for each, trace in zip(busy, traces, strict=True):
        measure(trace, each.model, each.load, prices, 0.0)
    return middle - start, time.process_time() - middle, _peak_mib()


def _peak_mib() -> float:
    # Not getrusage: Linux counts the peak of the process that it was forked from too.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def weeks() -> None:
    print("seven days at 1 s, one core         run      figures    both   budget 1 s   memory, budget 200 MiB")
    for name, call in (
        *((name, f"week{tuple(numbers)}") for name, *numbers in CASES),
        ("ten services on shared nodes (6 s)", "together(10)"),
    ):
        # A process each: memory is the most of a process.
        script = f"import simulator; print(*simulator.{call})"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=sys.path[0]
        )
        ran, measured, mib = map(float, done.stdout.split())
        print(f"{name:<34} {ran:5.2f} s  {measured:7.2f} s {ran + measured:6.2f} s {'':>12} {mib:6.0f} MiB")


def command() -> None:
    """The largest of the processes of `simulate` itself, on a week of seconds, page and all."""
    with tempfile.TemporaryDirectory() as folder:
        week = Path(folder) / "week.csv"
        requests = synthetic("diurnal", {"days": 7}).requests.tolist()
        week.write_text("t,n\n" + "".join(f"{second},{count}\n" for second, count in enumerate(requests)))
        arguments = ["--csv", str(week), "--task-rps", "50", "--html", str(Path(folder) / "page.html")]
        templates = Path(__file__).parents[2] / "templates_out"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "scaleout_cfn", "simulate", str(templates), *arguments],
            check=True,
            capture_output=True,
        )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    # The peak of this process counts too, for it was forked from it, and is below.
    print(f"simulate of a week of seconds: {cpu_s:.1f} s of CPU, {used.ru_maxrss / 1024:.0f} MiB, budget 200 MiB")


def search(over_shapes: bool) -> None:
    """CPU seconds of all processes; halved, what it takes on two cores that nobody else uses."""
    model = read(Path(__file__).parents[2] / "templates_out")
    begin, before = time.monotonic(), os.times()
    prices = prices_of("us-east-1")
    others = shapes(model, prices, spot=True) if over_shapes else []
    count = 200 if over_shapes else 500
    tried = len(advise(model, Load(50), synthetic("diurnal"), prices, allowed=0.01, count=count, others=others).every)
    after = os.times()
    used = sum(after[:4]) - sum(before[:4])
    what = "shapes and settings" if over_shapes else "settings"
    print(
        f"search of {tried} {what} over one day: {used:.1f} s of CPU, {used / 2:.1f} s a core of two, budget 30 s"
        f" ({time.monotonic() - begin:.1f} s by the clock on {os.cpu_count()} cores, others' work included)"
    )


def beside_simpy() -> None:
    """Ten minutes of one task near full load: requests through simpy, seconds through ours."""
    try:
        import simpy
    except ImportError:
        print("simpy is not installed, so nothing is put beside it")
        return
    seconds, rate, workers, task_rps, objective = 600, 45.0, 4, 50.0, 0.25
    seeds, count, over = 20, 0, 0
    shares = []

    random = Random(0)

    def request(env: simpy.Environment, task: simpy.Resource) -> Generator[simpy.Happening, object, None]:
        nonlocal over
        came = env.now
        with task.request() as turn:
            yield turn
            over += env.now - came > objective
            yield env.timeout(random.expovariate(task_rps / workers))

    def clients(env: simpy.Environment, task: simpy.Resource) -> Generator[simpy.Happening, object, None]:
        nonlocal count
        while True:
            yield env.timeout(random.expovariate(rate))
            count += 1
            env.process(request(env, task))

    start = time.process_time()
    for seed in range(seeds):
        random = Random(seed)
        env = simpy.Environment()
        env.process(clients(env, simpy.Resource(env, workers)))
        before = count, over
        env.run(until=seconds)
        shares.append((over - before[1]) / (count - before[0]))
    theirs = time.process_time() - start
    rates, tasks = np.full(seconds, rate), np.ones(seconds)
    waits(rates, tasks, Load(task_rps, workers, timeout_s=10.0)).share_over(objective)  # tables are made once
    start = time.process_time()
    share = float(waits(rates, tasks, Load(task_rps, workers, timeout_s=10.0)).share_over(objective).mean())
    ours = time.process_time() - start
    print(f"ten minutes of one task, {seeds} seeds, {count} requests")
    print(f"   simpy {theirs:.3f} s ({count / theirs:,.0f} requests/s), ours {ours:.4f} s for one")
    error = float(np.std(shares, ddof=1)) / seeds**0.5
    print(
        f"   over the objective: simpy {over / count:.3f} (standard error {error:.3f}), ours {share:.3f};"
        " oracle.py has more seeds"
    )
    days = 604800 * 2_000_000 / (count / theirs) / 86400
    print(f"   seven days at two million requests a second would take simpy {days:,.0f} days")


if __name__ == "__main__":
    command()
    weeks()
    search(over_shapes=False)
    search(over_shapes=True)
    beside_simpy()
