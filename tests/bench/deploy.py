"""What a deployment costs: `tox -e bench-deploy`. Calls of the API as sets grow, the plan's
analysis, and the time of finding nothing to do.

Calls are counted against the fake of tests/deploy, whose pages hold two where nothing else is said: AWS's hold a
hundred, so there they are fewer.
Times are those of whole processes beside each other, alternated (A B A B ...), as ratios: median, and the range. Both
sides run from bytecode, as whatever pip has installed does.
Nothing here passes or fails: the budgets stand beside the figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from deploy import cloudformation  # noqa: E402
from deploy.helpers import Deployer, Small  # noqa: E402

import scaleout_cfn as sc  # noqa: E402
from bench.bench import shop  # noqa: E402
from scaleout_cfn.aws import NESTED  # noqa: E402
from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Property  # noqa: E402
from scaleout_cfn.deploy.changes.unchanged import Pair, with_unchanged  # noqa: E402
from scaleout_cfn.deploy.live import _read  # noqa: E402
from scaleout_cfn.local import running  # noqa: E402

#: Calls that every poll makes, however little there is to tell.
POLLS = ("DescribeStacks", "DescribeStackEvents")
CLIENT = ("-c", "import boto3; boto3.client('cloudformation')")
#: The whole process of a deployment that finds nothing to do, relative to CLIENT.
BUDGET = 2.0
#: Reading the templates of a set of twenty services, and finding what cannot change.
ANALYSIS_S = 0.3


def calls() -> None:
    """Calls of a first deployment, an update of everything, of one nested stack, and of nothing, as sets grow."""
    print("API calls but for polls / events of the operation; budget: linear in nested stacks and in events")
    print(f"{'nested stacks':<16}{'first':>12}{'all change':>12}{'one changes':>12}{'nothing':>12}")
    for more in (0, 4, 8, 16):
        deployer = Deployer()
        columns = []
        for options in ({"word": "one"}, {"word": "two"}):
            columns.append(counted(deployer, Small(more=more, word=options["word"]), "web:1"))
        columns.append(counted(deployer, Small(more=more, word="two"), "web:2"))
        columns.append(counted(deployer, Small(more=more, word="two"), "web:2"))
        print(f"{more + 2:<16}" + "".join(f"{text:>12}" for text in columns))
    print("\ncalls but for polls, on pages of AWS's size, as services grow; budget: of 20 at most 2x of one")
    print(f"{'services':<16}{'new image':>12}{'nothing':>12}")
    rows = {services: of_one_image(services) for services in (1, 5, 20)}
    for services, (changed, unchanged) in rows.items():
        print(f"{services:<16}{changed:>12}{unchanged:>12}")
    print(f"{'20 / 1':<16}" + "".join(f"{many / one:>11.2f}x" for many, one in zip(rows[20], rows[1], strict=True)))
    print("\npages of events that an update of one resource reads, after so many earlier updates; budget: constant")
    for updates in (0, 10, 40):
        deployer = Deployer()
        for number in range(updates + 1):
            deployer.deploy(image=f"web:{number}")
        deployer.world.calls.clear()
        deployer.deploy(image="web:last")
        print(f"{updates:<16}{deployer.world.sent().count('DescribeStackEvents'):>12}")


def of_one_image(services: int) -> tuple[int, int]:
    """Calls of a new image of one service beside others, and of finding nothing to do."""
    small, deployer = Small(more=5, services=services - 1), Deployer()
    with patch.object(cloudformation, "PAGE", 100):
        deployer.deploy(small, image="web:1")
        both = [int(counted(deployer, small, "web:2").partition(" ")[0]) for _ in range(2)]
    return both[0], both[1]


def counted(deployer: Deployer, small: Small, image: str) -> str:
    before = events(deployer)
    deployer.world.calls.clear()
    assert deployer.deploy(small, image=image).exit_code == 0
    sent = deployer.world.sent()
    return f"{len(sent) - sum(map(sent.count, POLLS))} / {events(deployer) - before}"


def events(deployer: Deployer) -> int:
    return sum(len(stack.events) for stack in deployer.world.cfn.stacks.values())


def analysis(runs: int) -> None:
    """What the plan's analysis of a change of twenty services takes: of one below them all, so that AWS cannot tell of
    anything that hangs on another stack. Each template is read once, before and after mostly the same text."""
    texts = sc.render(sc.compose(shop(20, web_of=20)))
    root = _read(texts["root.yaml"])
    given = {name: str(declared.get("Default", "")) for name, declared in root["Parameters"].items()}
    seconds = []
    for _ in range(runs + 1):  # the first reads the resource schemas, as reading the change set does
        _read.cache_clear()
        start = time.process_time()
        bodies = {name: _read(text) for name, text in texts.items()}
        network = _read(texts["network.yaml"] + "# other")
        read = time.process_time()
        pairs, rows = {"": Pair(root, root, (given, given))}, []
        for title, resource in root["Resources"].items():
            if resource["Type"] == NESTED:
                name = resource["Properties"]["TemplateURL"]["Fn::Sub"].rpartition("/")[2]
                pairs[title] = Pair(bodies[name], network if name == "network.yaml" else bodies[name])
                rows += [Change(title, NESTED, "Modify"), *unknown(title, bodies[name])]
        settled = with_unchanged(rows, pairs.get)
        seconds.append((read - start, time.process_time() - read))
    reading, judging = (statistics.median(one) for one in zip(*seconds[1:], strict=True))
    calm = sum(change.unchanged for change in settled)
    print(f"\nthe plan of twenty services: {len(bodies)} templates, {len(rows)} rows, {calm} of them unchanged")
    print(f"{'reading':<16}{reading:>11.2f} s CPU")
    print(f"{'analysis':<16}{judging:>11.2f} s CPU, {judging / reading:.2f}x reading")
    print(f"{'both':<16}{reading + judging:>11.2f} s CPU, budget {ANALYSIS_S} s")


def unknown(stack: str, body: Mapping[str, Any]) -> Iterator[Change]:
    """The resources of a stack as AWS tells of them that cannot tell: whatever names something may be another."""
    for title, resource in body["Resources"].items():
        names = [name for name, value in resource.get("Properties", {}).items() if "'Ref'" in str(value)]
        if names:
            properties = tuple(Property(name, "", UNKNOWN, "possible") for name in names)
            yield Change(f"{stack}/{title}", resource["Type"], "Modify", "possible", properties=properties)


def measure(arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[float, float]:
    """CPU seconds and wall seconds of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        env=environment,
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, arguments
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start


def times(runs: int) -> None:
    """`deploy` of a set that is there already, against the emulator."""
    with running() as emulator, tempfile.TemporaryDirectory() as bytecode:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        ours = {"CI": "true", "PYTHONPATH": str(HERE.parents[2]), "PYTHONPYCACHEPREFIX": bytecode}
        environment = {**kept, **emulator.environment(), **ours}
        where = ("--endpoint-url", emulator.endpoint_url)
        image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"
        deploy = ("-m", "scaleout_cfn", "deploy", "--yes", "--image", image, *where)
        measure(("-m", "scaleout_cfn", "bootstrap", *where), environment)
        measure(deploy, environment)
        measure(deploy, environment), measure(CLIENT, environment)
        pairs = [(measure(deploy, environment), measure(CLIENT, environment)) for _ in range(runs)]
    print(f"\n`deploy` of an unchanged set / python {CLIENT[0]} {CLIENT[1]!r}, {runs} pairs, budget {BUDGET}x")
    for name, index in (("CPU", 0), ("wall", 1)):
        ratios = sorted(ours[index] / theirs[index] for ours, theirs in pairs)
        print(f"{name:<16}{statistics.median(ratios):>11.2f}x  {ratios[0]:.2f} to {ratios[-1]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="pairs of runs that a median is taken of")
    runs = parser.parse_args().runs
    calls()
    analysis(runs)
    times(runs)


if __name__ == "__main__":
    main()
