"""A Docker engine of a test's own, without bridge or packet filter: its storage and socket go with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

#: Debian's client. Another one may come before it on PATH, without BuildKit.
DOCKER = "/usr/bin/docker"
OPTIONS = "--iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none"


@contextmanager
def docker_engine(hosts: Mapping[str, str] | None = None, authority: Path | None = None) -> Iterator[str]:
    """DOCKER_HOST of an engine. It alone knows `hosts`, name to address, and trusts certificates of `authority` alone.

    Needs root and Debian's docker.io. Containers and builds have to be given the host's network.
    """
    # Short, for a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/tmp"))
    lines = [f"{address} {name}\n" for name, address in (hosts or {}).items()]
    (folder / "hosts").write_text(Path("/etc/hosts").read_text() + "".join(lines))
    # In a mount namespace of its own: the machine's /etc/hosts stays, and no mount is left behind.
    script = f'mount --bind "{folder}/hosts" /etc/hosts && exec dockerd "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "dockerd", *OPTIONS.split()]
    command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    command += ["--host", f"unix://{folder}/socket", "--default-ulimit", "nofile=16384:16384"]
    environment = os.environ | ({"SSL_CERT_FILE": str(authority)} if authority else {})
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _await(process, folder)
        yield f"unix://{folder}/socket"
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
