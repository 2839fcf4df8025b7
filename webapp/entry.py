"""Starts uWSGI and nginx, and ends them in the order in which no request is lost. The container's first process.

Environment: LISTEN, where nginx listens ("8080", or "127.0.0.1:8080"); DRAIN_S, the seconds between the first
unhealthy answer and the last accepted connection (5); TMPDIR, where sockets and state are kept (/tmp).

On SIGTERM: /health answers 503 and other answers close their connection; after DRAIN_S, or at a second signal, nginx
takes no more connections and finishes what is in flight; then uWSGI ends. The exit code is 0. When either of the two
ends by itself it is 1, so that the container is replaced.

`python entry.py health` asks /health: exit code 0 or 1.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
STOP = {signal.SIGTERM, signal.SIGINT}
CGROUP = Path("/sys/fs/cgroup")


def main() -> int:
    listen = os.environ.get("LISTEN", "8080")
    if sys.argv[1:] == ["health"]:
        return healthy(listen)
    drain_s = float(os.environ.get("DRAIN_S", "5"))
    run = Path(tempfile.gettempdir())
    serving = run / "serving"
    serving.unlink(missing_ok=True)  # of a container that was stopped by force and is started again

    # Blocked signals wait until they are asked for, so none comes at a wrong time, also to process 1.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP | {signal.SIGCHLD})
    vcpus = cpus()
    backlog = min(4096, int(Path("/proc/sys/net/core/somaxconn").read_text()))
    uwsgi = spawn(
        [sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", "--ini", str(HERE / "uwsgi.ini")]
        + ["--socket", f"{run}/uwsgi.sock", "--processes", str(processes(vcpus)), "--listen", str(backlog)],
        RUN=str(run),
    )
    configuration = run / "nginx.conf"
    configuration.write_text(nginx_conf(run, listen, vcpus, backlog))
    nginx = spawn(["nginx", "-e", "stderr", "-c", str(configuration)])
    children = {uwsgi: "uWSGI", nginx: "nginx"}

    ended = wait(children)
    if serving.exists() and not ended:
        serving.unlink()
        ended = wait(children, drain_s)
    if not ended:
        os.kill(nginx, signal.SIGQUIT)
        ended = wait({uwsgi: "uWSGI"}, until=nginx)
    for child in children:
        kill(child, signal.SIGTERM)
    for child in children:
        if child not in reaped:
            os.waitpid(child, 0)
    if ended:
        print(f"{ended} has ended by itself", file=sys.stderr)
    return 1 if ended else 0


def cpus(cgroup: Path = CGROUP) -> float:
    """The vCPUs of this container: its quota, or its share as ECS says, or those of the machine."""
    known = [float(len(os.sched_getaffinity(0)))]
    for quota in (cgroup / "cpu.max", cgroup / "cpu/cpu.cfs_quota_us"):
        if quota.exists():
            words = quota.read_text().split() + quota.with_name("cpu.cfs_period_us").read_text
    return min(known)
