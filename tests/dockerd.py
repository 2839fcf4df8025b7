"""A Docker engine of a test's own, without packet filter: its storage, its socket and its network go with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Debian's client. Another one may come before it on PATH, without BuildKit.
DOCKER = "/usr/bin/docker"
OPTIONS = "--iptables=false --ip6tables=false --ip-forward=false --ip-masq=false"


@contextmanager
def docker_engine(hosts: Mapping[str, str] | None = None, authority: Path | None = None) -> Iterator[str]:
    """DOCKER_HOST of an engine. It alone knows `hosts`, name to address, and trusts certificates of `authority` alone.

    Needs root and Debian's docker.io. Containers and builds have to be given the host's network.
    """
    lines = [f"{address} {name}\n" for name, address in (hosts or {}).items()]
    environment = {"SSL_CERT_FILE": str(authority)} if authority else {}
    with _engine([], 'mount --bind "$0/hosts" /etc/hosts', ["--bridge=none"], lines, environment) as engine:
        yield engine[0]


@contextmanager
def bridged_engine() -> Iterator[tuple[str, int]]:
    """DOCKER_HOST of an engine that has docker's own bridge, and its process.

    It is in a network namespace of its own, with nothing but a loopback: so the bridge is nobody else's, goes with the
    engine, and leads nowhere. What is to reach containers enters: `nsenter --target PID --net`. Needs busybox, too.
    """
    with _engine(["--net"], "busybox ip link set lo up") as engine:
        yield engine


@contextmanager
def _engine(
    apart: list[str],
    before: str,
    options: Sequence[str] = (),
    hosts: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, int]]:
    """An engine in namespaces of its own, after a line of shell there whose $0 is the engine's folder."""
    # Short, for a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/tmp"))
    (folder / "hosts").write_text(Path("/etc/hosts").read_text() + "".join(hosts))
    # In a mount namespace of its own: the machine's /etc/hosts stays, and no mount is left behind.
    command = ["unshare", "--mount", *apart, "sh", "-c", f'{before} && exec dockerd "$@"', str(folder)]
    command += [*OPTIONS.split(), *options]
    command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    command += ["--host", f"unix://{folder}/socket", "--default-ulimit", "nofile=16384:16384"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}, start_new_session=True
        )
    try:
        _await(process, folder)
        yield f"unix://{folder}/socket", process.pid
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _await(process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(600):
        if not subprocess.run([DOCKER, "--host", f"unix://{folder}/socket", "version"], capture_output=True).returncode:
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError("dockerd does not start:\n" + (folder / "log").read_text()[-3000:])
