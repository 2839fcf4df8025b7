"""Starts uWSGI and nginx, and ends them in the order in which no request is lost. The container's first process.

Environment: LISTEN, where nginx listens ("8080", or "127.0.0.1:8080"); DRAIN_S, the seconds between the first
unhealthy answer and the last accepted connection (5); TMPDIR, where sockets and state are kept (/tmp); PULSE_SERVICE,
what a metric of the requests calls the service, of which a line is printed every ten seconds (none).

On SIGTERM /health answers 503 and every other answer ends its connection. After DRAIN_S, or at a second signal, nginx
takes no more connections and finishes what is in flight; then uWSGI ends. The exit code is 0. When one of the two ends
by itself it is 1, so that the container is replaced.

`entry.py health` asks /health: exit code 0 or 1. `entry.py COMMAND` becomes that command: a task that runs another one
with the service's image, as `scaleout-cfn run -- COMMAND` does, can replace the arguments and not the entry point.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
STOP = {signal.SIGTERM, signal.SIGINT}
PULSE_S = 10


def main() -> int:
    listen = os.environ.get("LISTEN", "8080")
    if sys.argv[1:] == ["health"]:
        return 0 if healthy(listen) else 1
    if sys.argv[1:]:
        return become(sys.argv[1:])
    drain_s = float(os.environ.get("DRAIN_S", "5"))
    run = Path(tempfile.gettempdir())
    serving = run / "serving"
    status = run / "status.sock"
    for left in (serving, status):  # of a container that was stopped by force and is started again
        left.unlink(missing_ok=True)

    # Blocked signals wait until they are asked for: none comes at a wrong time, and process 1 does not lose any.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP | {signal.SIGCHLD})
    vcpus = cpus(Path("/sys/fs/cgroup"), os.environ)
    backlog = min(4096, int(Path("/proc/sys/net/core/somaxconn").read_text()))
    configuration = run / "nginx.conf"
    configuration.write_text(nginx_conf(run, listen, vcpus, backlog))

    # nginx and the workers wake one another for each request. In a batch the one that is woken waits, on a busy
    # machine, until the other has done what it is at: a request then costs a tenth less CPU. No right is needed for it.
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    uwsgi = spawn(
        [
            *(sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", "--ini", str(HERE / "uwsgi.ini")),
            *("--socket", f"{run}/uwsgi.sock", "--processes", str(processes(vcpus)), "--listen", str(backlog)),
        ],
        os.environ | {"RUN": str(run)},
    )
    nginx = spawn(["nginx", "-e", "stderr", "-c", str(configuration)], os.environ)
    running = {uwsgi: "uWSGI", nginx: "nginx"}

    pulse = Pulse(service) if (service := os.environ.get("PULSE_SERVICE")) else None
    while (event := next_event(running, PULSE_S - time.time() % PULSE_S if pulse else math.inf)) == "time":
        if pulse and (line := pulse.beat(requests(status), int(time.time()))):
            print(line, flush=True)
    if event == "stop" and serving.exists():
        serving.unlink()
        event = next_event(running, drain_s)
    failed = event not in ("stop", "time")
    if not failed:
        event = "time"
        while event in ("stop", "time"):  # nginx, too, may miss a signal while it starts; one more changes nothing
            os.kill(nginx, signal.SIGQUIT)
            event = next_event(running, 1)
        failed = event != "nginx"
    while running:  # nothing is in flight; uWSGI misses a signal that comes in the first second of its life
        for child in running:
            os.kill(child, signal.SIGTERM)
        next_event(running, 1)
    if failed:
        print(f"{event} has ended by itself", file=sys.stderr)
    return 1 if failed else 0


class Pulse:
    """Requests a second of each ten seconds, as lines of CloudWatch's embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.last: tuple[int, int] | None = None

    def beat(self, count: int | None, now: int) -> str:
        """The line for the requests since the last beat, of `count` in all; empty where one of the two is not known."""
        now = now // PULSE_S * PULSE_S
        last, self.last = self.last, None if count is None else (count, now)
        if count is None or last is None or now == last[1]:
            return ""
        metric = {"Name": "RequestsPerSecond", "Unit": "Count/Second", "StorageResolution": 1}
        told = {"Namespace": "Pulse", "Dimensions": [["Service"]], "Metrics": [metric]}
        rate = max(0, count - last[0] - 1) / (now - last[1])  # but for the one that asks
        line = {"_aws": {"Timestamp": (now - PULSE_S) * 1000, "CloudWatchMetrics": [told]}}
        return json.dumps({**line, "Service": self.service, "RequestsPerSecond": round(rate, 2)})


def requests(status: Path) -> int | None:
    """All requests that nginx has had, health checks among them; None where it does not say."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(status))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
            return int(answer.partition(b"handled requests")[2].split()[2])
        except (OSError, ValueError, IndexError) as error:
            print(f"no count of requests from {status}: {error}", file=sys.stderr)
            return None


def become(command: list[str]) -> int:
    """Runs the command in the place of this process. Returns only where it cannot, with the exit code of a shell."""
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def spawn(command: list[str], environment: Mapping[str, str]) -> int:
    """Starts a process, with no signal blocked, and gives its id."""
    return os.posix_spawnp(command[0], command, environment, setsigmask=[])


def next_event(running: dict[int, str], timeout_s: float = math.inf) -> str:
    """Waits for "stop", or for the name of a process that has ended and leaves `running`, or for "time".

    Also reaps what others have left behind, as the first process of a container has to.
    """
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        # None is a wait that was over before its time, or at it.
        event = signal.sigtimedwait(STOP | {signal.SIGCHLD}, min(left, 3600))
        if event and event.si_signo in STOP:
            return "stop"
        ended = [running.pop(pid) for pid in reap() if pid in running]
        if ended:
            return ended[0]
    return "time"


def reap() -> list[int]:
    """The ids of all children that have ended."""
    ended = []
    try:
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.append(pid)
    except ChildProcessError:
        pass
    return ended


def cpus(cgroup: Path, environment: Mapping[str, str]) -> float:
    """The vCPUs of this container: the least of the machine's, its quota, and its CPU units in ECS.

    `Limits.CPU` is in 1/1024 vCPU:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-response.html
    """
    known = [float(len(os.sched_getaffinity(0)))]
    if (both := cgroup / "cpu.max").exists():
        quota, period = both.read_text().split()
        known += [int(quota) / int(period)] if quota != "max" else []
    elif (old := cgroup / "cpu" / "cpu.cfs_quota_us").exists() and int(old.read_text()) > 0:
        known.append(int(old.read_text()) / int(old.with_name("cpu.cfs_period_us").read_text()))
    if url := environment.get("ECS_CONTAINER_METADATA_URI_V4"):
        try:
            with urlopen(url, timeout=2) as answer:
                units = json.load(answer)["Limits"]["CPU"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"no CPU units from {url}: {error}", file=sys.stderr)
        else:
            known += [units / 1024] if units > 2 else []  # 2 stands for none
    return min(known)


def processes(vcpus: float) -> int:
    """Workers of the application: two a vCPU, and two at least, so that one slow request does not stop the others."""
    return max(2, math.ceil(2 * vcpus))


def nginx_conf(run: Path, listen: str, vcpus: float, backlog: int) -> str:
    files = min(32768, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    values = {
        "RUN": run,
        "LISTEN": listen,
        "BACKLOG": backlog,
        "WORKERS": max(1, math.ceil(vcpus / 2)),
        "FILES": files,
        "CONNECTIONS": min(16384, files - 64),
    }
    text = (HERE / "nginx.conf").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def healthy(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    connection = HTTPConnection(host or "127.0.0.1", int(port), timeout=4)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
