"""The whole way in a real account, through the public commands: see README.md beside this file. It costs money.

    SCALEOUT_AWS=1 python tests/aws/live.py --region eu-west-1 --bucket BUCKET
    python tests/aws/live.py --region eu-west-1 --bucket BUCKET --dry-run

Exit code 0 when every step ended as expected and nothing is left, 1 when a step did not, 2 for a wrong use, 5 when
the stack could not be taken down.
"""

from __future__ import annotations

import argparse
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
CONFIG = HERE / "live.toml"

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
    """One run: where, under which name, and until when by the monotonic clock."""

    region: str
    bucket: str
    stack: str
    end: float

    @property
    def where(self) -> tuple[str, ...]:
        return ("-c", str(CONFIG), "--stack", self.stack, "--region", self.region)

    def left_s(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise LiveError(f"the time limit of {LIMIT_S // 60} minutes is over")
        return left


def steps(run: Run) -> Iterator[Step]:
    """The commands in their order. The second image is the first one with another label, so another digest."""
    where, sample = run.where, str(ROOT / "webapp")
    deploy = ("deploy", *where, "--bucket", run.bucket, "--yes")
    push = ("image", "push", *where)
    yield Step("infrastructure", deploy)
    yield Step("push a first image", (*push, "--tag", "first", sample))
    yield Step("push a second one", (*push, "--tag", "second", sample, "--", "--label", f"run={run.stack}"))
    yield Step("push one that does not start", (*push, "--tag", "broken", str(HERE / "broken")))
    yield Step("the service; then load, until it scales out", (*deploy, "--image", "first"), check=scales_out)
    yield Step("nothing to do", (*deploy, "--image", "first"))
    yield Step("update the image", (*deploy, "--image", "second"), check=answers)
    yield Step("an image that does not start is taken back", (*deploy, "--image", "broken"), 4, check=answers)
    yield Step("rolled back already", ("rollback", *where, "--yes"), check=answers)
    yield Step("back to the first image", (*deploy, "--image", "first"), check=answers)
    yield Step("what is there", ("status", *where))


def clean_up(run: Run) -> Iterator[tuple[str, ...]]:
    """Commands to try until one takes the stack down. A name that the stack does not hold, for it was not made so
    far, is refused, so the names become fewer; an update that still runs is cancelled first."""
    destroy = ("destroy", *run.where, "--yes")
    registry, logs = ("--empty", "WebFoundation/Repository"), ("--empty", "WebFoundation/Logs")
    yield (*destroy, *registry, *logs)
    yield ("cancel", *run.where, "--yes")
    yield (*destroy, *registry, *logs)
    yield (*destroy, *registry)
    yield destroy


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
    import boto3

    answers(run)
    found = outputs(run)
    ecs = boto3.Session().client("ecs", region_name=run.region)

    def service() -> dict[str, Any]:
        arns = ecs.list_services(cluster=found["ClusterName"])["serviceArns"]
        listed = ecs.describe_services(cluster=found["ClusterName"], services=arns)["services"] if arns else []
        if not listed:
            raise LiveError(f"cluster {found['ClusterName']} has no service")
        one: dict[str, Any] = listed[0]
        return one

    before = service()["runningCount"]
    begin = time.monotonic()
    end = begin + min(LOAD_S, run.left_s())
    sent = good = 0
    while time.monotonic() < end:
        sent += 1
        good += fetched(f"{found['WebUrl']}/api")
        if sent % (REQUESTS_A_SECOND * 15) == 0:
            now = service()
            counts = f"{now['runningCount']} of {now['desiredCount']} tasks run"
            print(f"load: {good} of {sent} requests answered; {counts}", flush=True)
            if now["runningCount"] > before:
                break
        time.sleep(max(0.0, begin + sent / REQUESTS_A_SECOND - time.monotonic()))
    else:
        raise LiveError(f"no scale-out: {before} tasks before, and no more after {sent} requests")
    if good < 0.99 * sent:
        raise LiveError(f"only {good} of {sent} requests were answered with 200")


def most_usd() -> float:
    """The most that a run can cost until both time limits are over, at the list prices that the package carries.

    All nodes for all of the time, each with a public address; the balancer with an address a zone and one capacity
    unit, which is far more than this load. Requests, logs, alarms and the registry come to cents.
    """
    prices = json.loads((ROOT / "scaleout_cfn" / "data" / "prices.json").read_text())
    unit, cluster = prices["units"], tomllib.loads(CONFIG.read_text())["capacity"]["nodes"]
    hours, kind = (LIMIT_S + CLEAN_UP_S) / 3600, cluster["instance_types"][0]
    node = prices["instances"][kind] + unit["public_ipv4_hour"] + 30 * unit["gp3_gib_month"] / 730
    balancer = unit["load_balancer_hour"] + unit["load_balancer_lcu_hour"] + 2 * unit["public_ipv4_hour"]
    # Each resource is billed for a minimum, and custom metrics and alarms by the month in proportion.
    return float(hours * (cluster["max_nodes"] * node + balancer) + 0.25)


def shown(arguments: tuple[str, ...]) -> str:
    return shlex.join(("scaleout-cfn", *arguments))


def perform(run: Run) -> None:
    """All steps. Raises LiveError at the first that does not end as expected."""
    for number, step in enumerate(steps(run), 1):
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
    parser.add_argument("--max-usd", type=float, default=2.0, help="begin only when it cannot cost more [default: 2]")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and the cost, and do nothing")
    given = parser.parse_args()

    run = Run(given.region, given.bucket, f"live-{secrets.token_hex(4)}", time.monotonic() + LIMIT_S)
    print(
        f"stack {run.stack} in {run.region}: at most {LIMIT_S // 60} minutes and {CLEAN_UP_S // 60} for the clean-up;"
        f" an estimate of at most {most_usd():.2f} USD at list prices of us-east-1"
    )
    if most_usd() > given.max_usd:
        print(f"that is more than --max-usd {given.max_usd:g}; nothing was begun", file=sys.stderr)
        return 2
    if given.dry_run:
        for step in steps(run):
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
