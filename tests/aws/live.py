"""The whole way in a real account, through the public commands: see README.md beside this file. It costs money.

    SCALEOUT_AWS=1 python tests/aws/live.py --region eu-west-1 --bucket BUCKET
    SCALEOUT_AWS=1 python tests/aws/live.py --region eu-west-1 --bucket BUCKET --scenario fargate
    python tests/aws/live.py --region eu-west-1 --bucket BUCKET --dry-run

Exit code 0 when every step ended as expected and nothing is left, 1 when a step did not, 2 for a wrong use, 5 when
the stack could not be taken down.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

#: From here on no step begins or goes on; what follows is the clean-up, which has a limit of its own.
LIMIT_S = 90 * 60
CLEAN_UP_S = 45 * 60
#: The load: so many requests a second, for as long as it takes to scale out, at most this long.
REQUESTS_A_SECOND = 5
LOAD_S = 12 * 60
#: How long the service may take to answer by its URL after a deployment.
ANSWER_S = 5 * 60


class LiveError(Exception):
    """A step did not end as expected."""


@dataclass(frozen=True)
class Step:
    """A command, and the exit code that it has to end with. `check` comes after it."""

    words: str
    arguments: tuple[str, ...]
    expected: int = 0
    check: Callable[[Run], None] | None = None


@dataclass(frozen=True)
class Run:
    """One run: of which scenario, where, under which name, and until when by the monotonic clock."""

    scenario: str
    region: str
    bucket: str
    stack: str
    end: float

    @property
    def where(self) -> tuple[str, ...]:
        return ("-c", str(config_of(self.scenario)), "--stack", self.stack, "--region", self.region)

    @property
    def deploy(self) -> tuple[str, ...]:
        return ("deploy", *self.where, "--bucket", self.bucket, "--yes")

    def push(self, tag: str, folder: Path, *words: str, service: str = "") -> tuple[str, ...]:
        of_it = ("--service", service) if service else ()
        return ("image", "push", *self.where, *of_it, "--tag", tag, str(folder), *words)

    def left_s(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise LiveError(f"the time limit of {LIMIT_S // 60} minutes is over")
        return left


def config_of(scenario: str) -> Path:
    return HERE / f"{scenario}.toml"


def nodes(run: Run) -> Iterator[Step]:
    """One service on EC2. The second image is the first one with another label, so another digest."""
    sample = ROOT / "webapp"
    yield Step("infrastructure", run.deploy)
    yield Step("push a first image", run.push("first", sample))
    yield Step("push a second one", run.push("second", sample, "--", "--label", f"run={run.stack}"))
    yield Step("push one that does not start", run.push("broken", HERE / "broken"))
    yield Step("the service; then load, until it scales out", (*run.deploy, "--image", "first"), check=scales_out)
    yield Step("nothing to do", (*run.deploy, "--image", "first"))
    yield Step("update the image", (*run.deploy, "--image", "second"), check=answers)
    yield Step("an image that does not start is taken back", (*run.deploy, "--image", "broken"), 4, check=answers)
    yield Step("rolled back already", ("rollback", *run.where, "--yes"), check=answers)
    yield Step("back to the first image", (*run.deploy, "--image", "first"), check=answers)
    yield Step("what is there", ("status", *run.where))


def fargate(run: Run) -> Iterator[Step]:
    """Two services on Fargate: each comes with its image, and gets new ones without the other."""
    sample, broken = ROOT / "webapp", HERE / "broken"
    yield Step("infrastructure", run.deploy)
    yield Step("push an image of web", run.push("first", sample, service="web"))
    yield Step("web alone", (*run.deploy, "--image", "web=first"), check=answers)
    yield Step("push an image of api", run.push("first", sample, service="api"))
    yield Step("api; then load on web, until it scales out", (*run.deploy, "--image", "api=first"), check=scales_out)
    yield Step("nothing to do", (*run.deploy, "--image", "web=first", "--image", "api=first"))
    yield Step("push one of api that does not start", run.push("broken", broken, service="api"))
    yield Step("it is taken back", (*run.deploy, "--image", "api=broken"), 4, check=answers)
    yield Step("rolled back already", ("rollback", *run.where, "--yes"), check=answers)
    yield Step("what is there", ("status", *run.where))


SCENARIOS: dict[str, Callable[[Run], Iterator[Step]]] = {"nodes": nodes, "fargate": fargate}


def clean_up(run: Run) -> Iterator[tuple[str, ...]]:
    """Commands to try until one takes the stack down. A name that the stack does not hold, for it was not made so
    far, is refused, so the names become fewer; an update that still runs is cancelled first."""
    destroy = ("destroy", *run.where, "--yes")
    services = [service.capitalize() for service in settings(run.scenario)["services"]]
    held = [f"{service}Foundation/{what}" for what in ("Repository", "Logs") for service in services]
    emptied = [("--empty", path) for path in held]
    yield (*destroy, *itertools.chain(*emptied))
    yield ("cancel", *run.where, "--yes")
    for number in range(len(emptied), -1, -1):
        yield (*destroy, *itertools.chain(*emptied[:number]))


def settings(scenario: str) -> dict[str, Any]:
    """The config of a scenario."""
    return tomllib.loads(config_of(scenario).read_text(encoding="utf-8"))


def command(run: Run, arguments: tuple[str, ...], limit_s: float) -> tuple[int, str]:
    """Run one of the public commands; its words go to our stderr. Returns exit code and stdout.

    At the limit it gets SIGTERM, upon which it stops watching within two seconds.
    """
    print(f"\n$ {shown(arguments)}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": "true"}
    process = subprocess.Popen(
        [sys.executable, "-m", "scaleout_cfn", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        out, _ = process.communicate(timeout=limit_s)
    except BaseException as error:
        process.terminate()
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise LiveError(f"{shown(arguments)}: not done in {limit_s:.0f} s") from None
        raise
    print(out, end="", flush=True)
    return process.returncode, out


def outputs(run: Run) -> dict[str, str]:
    """The outputs of the root stack."""
    code, out = command(run, ("outputs", *run.where, "--json"), run.left_s())
    if code:
        raise LiveError(f"outputs: exit code {code}")
    found: dict[str, str] = json.loads(out.splitlines()[-1])["outputs"]
    return found


def fetched(url: str) -> bool:
    """Whether a GET is answered with 200 within five seconds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # URLError and timeouts are some
        return False


def answers(run: Run) -> None:
    """The service answers by its URL."""
    url = outputs(run)["WebUrl"]
    end = time.monotonic() + min(ANSWER_S, run.left_s())
    while not fetched(f"{url}/api"):
        if time.monotonic() >= end:
            raise LiveError(f"{url}/api does not answer with 200")
        time.sleep(2)
    print(f"{url}/api answers", flush=True)


def scales_out(run: Run) -> None:
    """Under load ECS comes to want, and then to run, more tasks than before."""
    answers(run)
    url = outputs(run)["WebUrl"]

    def web() -> dict[str, Any]:
        code, out = command(run, ("status", *run.where, "--service", "web", "--json"), run.left_s())
        shown = [json.loads(line) for line in out.splitlines()]
        deployments = [line["services"]["web"]["deployment"] for line in shown if "services" in line]
        if code or not deployments or deployments[0] is None:
            raise LiveError(f"status: exit code {code}, and no deployment of web in it")
        one: dict[str, Any] = deployments[0]
        return one

    before = web()["running"]
    begin = time.monotonic()
    end = begin + min(LOAD_S, run.left_s())
    sent = good = 0
    while time.monotonic() < end:
        sent += 1
        good += fetched(f"{url}/api")
        if sent % (REQUESTS_A_SECOND * 15) == 0:
            now = web()
            counts = f"{now['running']} of {now['desired']} tasks run"
            print(f"load: {good} of {sent} requests answered; {counts}", flush=True)
            if now["running"] > before:
                break
        time.sleep(max(0.0, begin + sent / REQUESTS_A_SECOND - time.monotonic()))
    else:
        raise LiveError(f"no scale-out: {before} tasks before, and no more after {sent} requests")
    if good < 0.99 * sent:
        raise LiveError(f"only {good} of {sent} requests were answered with 200")


def most_usd(scenario: str) -> float:
    """The most that a run can cost until both time limits are over, at the list prices that the package carries.

    All nodes, or twice the most tasks of each service, as while a new version comes, for all of the time and On-Demand,
    each with a public address; the balancer with an address a zone and one capacity unit, which is far more than this
    load. Requests, logs, alarms and the registry come to cents.
    """
    shown = [sys.executable, "-m", "scaleout_cfn", "prices", "show", "--region", "us-east-1", "--json"]
    prices = json.loads(subprocess.check_output(shown, cwd=ROOT))
    unit, config = prices["units"], settings(scenario)
    hours, address = (LIMIT_S + CLEAN_UP_S) / 3600, unit["public_ipv4_hour"]
    (pool,) = config["capacity"].values()
    if pool["kind"] == "ec2":
        node = prices["instances"][pool["instance_types"][0]] + address + 30 * unit["gp3_gib_month"] / 730
        capacity = pool["max_nodes"] * node
    else:
        # 256 CPU units, the default.
        vcpu, gib = unit["fargate_x86_64_vcpu_hour"], unit["fargate_x86_64_gb_hour"]
        capacity = sum(
            2 * service["scaling"]["max_tasks"] * (vcpu / 4 + service["memory_mib"] / 1024 * gib + address)
            for service in config["services"].values()
        )
    balancer = unit["load_balancer_hour"] + unit["load_balancer_lcu_hour"] + 2 * address
    # Each resource is billed for a minimum, and custom metrics and alarms by the month in proportion.
    return float(hours * (capacity + balancer) + 0.25)


def shown(arguments: tuple[str, ...]) -> str:
    return shlex.join(("scaleout-cfn", *arguments))


def perform(run: Run) -> None:
    """All steps. Raises LiveError at the first that does not end as expected."""
    for number, step in enumerate(SCENARIOS[run.scenario](run), 1):
        print(f"\n== {number}. {step.words}", flush=True)
        code, _ = command(run, step.arguments, run.left_s())
        if code != step.expected:
            raise LiveError(f"{step.words}: exit code {code}, expected {step.expected}")
        if step.check:
            step.check(run)


def cleaned_up(run: Run) -> bool:
    """Take the stack down, whatever state it is in. Says what to do where that fails."""
    print(f"\n== clean-up of {run.stack}", flush=True)
    end = time.monotonic() + CLEAN_UP_S
    for arguments in clean_up(run):
        try:
            code, _ = command(run, arguments, max(60.0, end - time.monotonic()))
        except LiveError as error:
            print(error, file=sys.stderr)
            continue
        except KeyboardInterrupt:
            break
        if code == 0 and arguments[0] == "destroy":
            return True
    print(
        f"\nSTACK {run.stack} IS STILL THERE AND COSTS MONEY. See: scaleout-cfn status --stack {run.stack} --region"
        f" {run.region}\nWhat is left has the tag purpose = scaleout-cfn-live.",
        file=sys.stderr,
    )
    return False


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--region", required=True, help="the region to deploy to")
    parser.add_argument("--bucket", required=True, help="where templates go; `scaleout-cfn bootstrap` makes one")
    parser.add_argument("--scenario", choices=SCENARIOS, default="nodes", help="what to deploy [default: nodes]")
    parser.add_argument("--max-usd", type=float, default=2.0, help="begin only when it cannot cost more [default: 2]")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and the cost, and do nothing")
    given = parser.parse_args()

    most = most_usd(given.scenario)
    run = Run(given.scenario, given.region, given.bucket, f"live-{secrets.token_hex(4)}", time.monotonic() + LIMIT_S)
    print(
        f"stack {run.stack} in {run.region}: at most {LIMIT_S // 60} minutes and {CLEAN_UP_S // 60} for the clean-up;"
        f" an estimate of at most {most:.2f} USD at list prices of us-east-1"
    )
    if most > given.max_usd:
        print(f"that is more than --max-usd {given.max_usd:g}; nothing was begun", file=sys.stderr)
        return 2
    if given.dry_run:
        for step in SCENARIOS[run.scenario](run):
            print(f"\n# {step.words}; exit code {step.expected}\n{shown(step.arguments)}")
        print("\n# clean-up, until one of them has taken the stack down")
        for arguments in clean_up(run):
            print(shown(arguments))
        return 0
    if os.environ.get("SCALEOUT_AWS") != "1":
        print("this makes resources that cost money: set SCALEOUT_AWS=1, or give --dry-run", file=sys.stderr)
        return 2

    signal.signal(signal.SIGTERM, _stop)
    code = 1
    try:
        perform(run)
        code = 0
    except LiveError as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    finally:
        code = code if cleaned_up(run) else 5
    print("\nall steps ended as expected, and nothing is left" if code == 0 else f"\nexit code {code}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
