"""A local AWS for rehearsals: MiniStack with what a nested stack set needs besides, in its own process.

`running()` is for a block of code, `start()` for a process that outlives its caller:

    with running() as emulator:
        boto3.client("cloudformation", endpoint_url=emulator.endpoint_url, ...)

The server listens on 127.0.0.1 only. Nothing here imports MiniStack or boto3: the server process does.
`STUBS` and `NOT_SHOWN` say what a rehearsal does not prove. No claim here or elsewhere in the package says that AWS
behaves as the emulator does: it proves wiring (parameters, outputs, order, the deployer's protocol) and nothing about
quotas, IAM, images or time.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from scaleout_cfn.errors import UsageError

__all__ = [
    "ACCOUNT_ID",
    "GAP",
    "MINISTACK",
    "NOT_SHOWN",
    "REGION",
    "STUBS",
    "WITH_CONTAINERS",
    "Containers",
    "Emulator",
    "EmulatorError",
    "attach",
    "running",
    "start",
]

MINISTACK: Final = "1.5.33"
"""The only version of MiniStack that the patches are written for: they touch its private names."""

REGION: Final = "us-east-1"
ACCOUNT_ID: Final = "123456789012"
"""MiniStack takes an access key of twelve digits as the account, so each such key is a world of its own."""

_READY_DEADLINE_S: Final = 30.0
_STOP_DEADLINE_S: Final = 10.0
_REMOVE_DEADLINE_S: Final = 60.0


GAP: Final = "The emulator does not know"
"""How the emulator begins to say that the template is good, and that it is the one who cannot follow."""

STUBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AWS::ARCZonalShift::ZonalAutoshiftConfiguration": "is kept in the stack, but no traffic is ever shifted",
        "AWS::ApplicationAutoScaling::ScalableTarget": "is kept and can be read back, but nothing scales",
        "AWS::ApplicationAutoScaling::ScalingPolicy": "is kept and can be read back, but makes no alarm",
        "AWS::CloudFront::VpcOrigin": "is kept in the stack, but has no API",
        "AWS::CodeConnections::Connection": "is kept in the stack, but has no API and stays PENDING",
        "AWS::CodePipeline::Pipeline": "is kept in the stack, but has no API and never runs",
        "AWS::EC2::SubnetCidrBlock": "is kept in the stack, but EC2 shows no IPv6 address",
        "AWS::EC2::VPCCidrBlock": "is kept in the stack, but EC2 shows no IPv6 address",
        "AWS::ElasticLoadBalancingV2::TrustStore": "is kept in the stack, but has no API and asks nobody",
        "AWS::WAFv2::LoggingConfiguration": "is kept in the stack, but nothing is logged",
    }
)
"""Resource type -> what becomes of it. Every other type is a real object of the emulator's own service API."""

_EITHER_WAY: Final[tuple[str, ...]] = (
    "An alarm on metric math exists, but is not evaluated.",
    "A pipeline and its connection exist in the stack only, and never run.",
    "IPv6 addresses exist in the stack only.",
    "A stack policy is kept but not enforced.",
)

NOT_SHOWN: Final[tuple[str, ...]] = (
    "No container runs: ECS reports tasks as RUNNING without an image, no target becomes healthy, and the names of"
    " Service Connect lead nowhere.",
    "No instance is launched: Auto Scaling groups, warm pools and Managed Instances stay empty, and no CreationPolicy"
    " or UpdatePolicy is awaited.",
    "A deployment that moves requests stands at a pause until it is answered, and at a step or a bake time until it was"
    " looked at once; no hook is called, and a first deployment is held by nothing.",
    "Nothing scales: a service runs the least tasks that its scaling allows, whatever alarms and schedules say.",
    "Property values, quotas, permissions and the existence of images, certificates, secrets and domains are not"
    " checked. The hosted zones, the VPC, the subnets and the client secrets that the config names are made for the"
    " rehearsal.",
    *_EITHER_WAY,
    "Time: what takes AWS minutes takes milliseconds.",
)
"""Sentences for the user about what a rehearsal leaves open."""

WITH_CONTAINERS: Final[tuple[str, ...]] = (
    "No network of AWS's: no security group, no TLS at the balancer, no test port, no sign-in before it, no web ACL."
    " Tasks reach each other and this machine.",
    "No permission is asked for, by the tasks either, and quotas, property values, certificates and domains are not"
    " checked.",
    "Tasks run on this machine: its CPU is shared by all, and its architecture is that of every image. Nodes are"
    " counted as they come and go, but none is launched, and no CreationPolicy or UpdatePolicy is awaited.",
    "A stack is complete before its tasks are: that they run, and that a deployment is rolled back, is ECS's word.",
    "Predictive scaling is not followed, no hook of a deployment is called, and no alarm ends one.",
    *_EITHER_WAY,
)
"""The same where tasks run as containers."""


class EmulatorError(UsageError):
    """The emulator cannot be started, reached or stopped: it is not installed, or a port is taken."""


@dataclass(frozen=True)
class Containers:
    """How tasks run as containers. `pace`: by how much the scheduler's times, of metrics, alarms, cooldowns and health
    checks, are shortened. `secrets`: a file of NAME=VALUE lines, read when a task starts."""

    pace: float = 1.0
    secrets: Path | None = None

    def arguments(self) -> list[str]:
        """Return what the emulator's process is told."""
        secrets = [f"--secrets={self.secrets.absolute()}"] if self.secrets else []
        return ["--containers", f"--pace={self.pace:g}", *secrets]


@dataclass(frozen=True)
class Emulator:
    """A running emulator. `endpoint_url` is `http://127.0.0.1:PORT` and answers for every AWS service. `containers`:
    what runs its tasks, `docker 20.10.24` say; empty where none run."""

    endpoint_url: str
    pid: int
    region: str = REGION
    account_id: str = ACCOUNT_ID
    containers: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False, compare=False)

    @property
    def ends_with_us(self) -> bool:
        """Whether it was started for the length of a block, and runs tasks until that ends."""
        return bool(self.containers and self.process and self.process.stdin)

    def environment(self) -> dict[str, str]:
        """Return the variables that send any AWS client here. The keys are made up; they open nothing."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.account_id,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "NO_PROXY": "127.0.0.1",
        }

    def stand_in(
        self,
        *,
        hosted_zones: Mapping[str, str] = MappingProxyType({}),
        vpcs: Mapping[str, Sequence[str]] = MappingProxyType({}),
        secrets: Sequence[str] = (),
    ) -> None:
        """Make what a set takes as given, where it is not there: hosted zones, id -> name, VPCs, id -> ids of its
        subnets, and secrets that CloudFormation reads, by ARN. Raises `EmulatorError` when the emulator does not
        answer."""
        given: dict[str, Any] = {"hosted_zones": dict(hosted_zones), "vpcs": dict(vpcs), "secrets": list(secrets)}
        given["region"] = self.region
        try:
            _request(self.endpoint_url, "POST", "/_scaleout/stand-ins", given)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmulatorError(f"The local emulator at {self.endpoint_url} does not answer ({error}).") from error

    def session(self, task: str, container: str) -> list[str]:
        """Return the command line that runs a command in a container of a task, by its ARN: the command follows it.
        Empty where no such container runs. Raises `EmulatorError` when the emulator does not answer."""
        try:
            asked = {"task": task, "container": container, "terminal": os.isatty(0)}
            return list(_request(self.endpoint_url, "POST", "/_scaleout/exec", asked)["words"])
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmulatorError(f"The local emulator at {self.endpoint_url} does not answer ({error}).") from error

    def stacks(self) -> int:
        """Return how many stacks there are in all regions. Raises `EmulatorError` when it does not answer."""
        try:
            return int(_request(self.endpoint_url, "GET", "/_scaleout/health")["stacks"])
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmulatorError(f"The local emulator at {self.endpoint_url} does not answer ({error}).") from error

    def stop(self) -> None:
        """End the emulator and wait until it is gone. Stopping one that is already gone does nothing.

        Raises `EmulatorError` when one that another process started does not end.
        """
        with suppress(OSError, http.client.HTTPException, ValueError):
            _request(self.endpoint_url, "POST", "/_scaleout/stop")
        if self.process is None:
            self._wait_for_silence()
            return
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_REMOVE_DEADLINE_S if self.containers else _STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_for_silence(self) -> None:
        deadline = time.monotonic() + (_REMOVE_DEADLINE_S if self.containers else _STOP_DEADLINE_S)
        while time.monotonic() < deadline:
            try:
                attach(self.endpoint_url)
            except EmulatorError:
                if not self.containers or not is_alive(self.pid):  # it removes containers when nobody asks any more
                    return
            time.sleep(0.02)
        raise EmulatorError(f"The emulator at {self.endpoint_url} does not end. End its process {self.pid} by hand.")


def start(port: int | None = None, *, containers: Containers | None = None, log: Path | None = None) -> Emulator:
    """Start an emulator that outlives this process, and return once it answers (0.5 s, at most 30 s).

    `port`: None takes a free one.

    It runs in a session of its own: a Ctrl-C meant for the caller does not reach it. With AUTH=true in the
    environment it checks signatures and IAM policies; keys of twelve digits are then the account's root.

    Raises `EmulatorError` when the `[local]` extra is missing or of another version, or the port is taken.
    """
    told = containers.arguments() if containers else []
    return _launch(["--port", str(port or 0), *told], log, stdin=subprocess.DEVNULL)


@contextmanager
def running(
    port: int | None = None,
    *,
    faults: Path | None = None,
    log: Path | None = None,
    without: Sequence[str] = (),
    containers: Containers | None = None,
) -> Iterator[Emulator]:
    """Run an emulator for the length of a `with` block; it also ends when this process dies in any way.

    `faults`: a JSON file of delays and failures, see `faults.py`; it may be written later. `log`: where the server
    writes, nowhere by default.
    `without` leaves out patches by name, for the tests that prove each one is needed.
    """
    arguments = ["--port", str(port or 0), "--until-stdin-closes", *(containers.arguments() if containers else [])]
    if faults is not None:
        arguments += ["--faults", str(Path(faults).absolute())]
    for name in without:
        arguments += ["--without", name]
    emulator = _launch(arguments, log, stdin=subprocess.PIPE)
    try:
        yield emulator
    finally:
        emulator.stop()


def attach(endpoint_url: str) -> Emulator:
    """Return the emulator that an earlier process left running at `endpoint_url`.

    Raises `EmulatorError` when nothing answers there, or something else does.
    """
    try:
        answer = _request(endpoint_url, "GET", "/_scaleout/health")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EmulatorError(
            f"No local emulator answers at {endpoint_url} ({error}). Start one with `deploy --local --keep`."
        ) from error
    return Emulator(endpoint_url, int(answer["pid"]), containers=answer.get("containers", ""))


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id, of whomever."""
    if sys.platform == "win32":
        # There os.kill(pid, 0) is a Ctrl-C: https://docs.python.org/3/library/os.html#os.kill
        import ctypes

        synchronize, wait_timeout = 0x00100000, 0x102
        handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, pid)
        runs = bool(handle) and ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == wait_timeout
        ctypes.windll.kernel32.CloseHandle(handle)
        return runs
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _launch(arguments: Sequence[str], log: Path | None, *, stdin: int) -> Emulator:
    _check_version()
    # -P keeps the working directory off the child's path; the package's own place goes there instead, so
    # that a checkout works without being installed.
    command = [sys.executable, "-P", "-m", "scaleout_cfn.local", *arguments]
    with ExitStack() as opened:
        try:
            stderr = subprocess.DEVNULL if log is None else opened.enter_context(Path(log).open("ab"))
        except OSError as error:
            raise EmulatorError(f"The emulator's log cannot be written: {error}") from error
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_child_environment(os.environ),
            start_new_session=True,
            # The same on Windows, where nobody reads the line above: a Ctrl-C is not the child's.
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    try:
        answer = _first_line(process)
    except BaseException:  # a Ctrl-C here must not leave a server that nobody knows of
        process.kill()
        raise
    if "endpoint_url" in answer:
        running = answer.get("containers", "")
        return Emulator(answer["endpoint_url"], process.pid, containers=running, process=process)
    process.kill()
    process.wait()
    reason = answer.get("error") or (
        f"it ended, or did not answer within {_READY_DEADLINE_S:.0f} s. Run `python -m scaleout_cfn.local` to see why."
    )
    raise EmulatorError(f"The local emulator did not start: {reason}")


def _first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the child says once it answers, or fails. Empty when it ends or hangs without a word."""
    # The timer bounds the read: a child that hangs is killed, and its closed pipe ends the read.
    timer = threading.Timer(_READY_DEADLINE_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        with process.stdout as stdout:
            answer = json.loads(stdout.readline() or b"{}")
    except ValueError:
        return {}
    finally:
        timer.cancel()
    return answer if isinstance(answer, dict) else {}


def _check_version() -> None:
    cure = "Install it with: pip install '.[local]' in the repository of scaleout-cfn."
    try:
        version = metadata.version("ministack")
    except metadata.PackageNotFoundError:
        raise EmulatorError(f"The local emulator needs ministack {MINISTACK}, which is missing. {cure}") from None
    if version != MINISTACK:
        raise EmulatorError(f"The local emulator needs ministack {MINISTACK}, found {version}. {cure}")


def _child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would turn the emulator into something else."""
    kept = {
        name: value for name, value in environment.items() if not name.startswith(("AWS_", "MINISTACK_", "LOCALSTACK_"))
    }
    package_home = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (package_home, environment.get("PYTHONPATH"))))
    return kept


def _request(endpoint_url: str, method: str, path: str, content: object = None) -> dict[str, Any]:
    """Ask the emulator itself, past any proxy that the environment names."""
    connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=_STOP_DEADLINE_S)
    try:
        connection.request(method, path, None if content is None else json.dumps(content))
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(answer, dict) or "pid" not in answer:
        raise ValueError("something else listens there")
    return answer
