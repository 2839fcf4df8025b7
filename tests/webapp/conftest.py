"""The web container without a container: its entry point with the machine's nginx, on a free port of 127.0.0.1."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from .helpers import HELD, WEBAPP, Server, eventually, free_port, missing, need, serves


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers: `start(DRAIN_S="0")` is one with that environment, ready. `uwsgi` and `entry` replace text."""
    need("nginx")
    if not importlib.util.find_spec("pyuwsgi") or not importlib.util.find_spec("flask"):
        missing("no flask or uWSGI; pip install -r webapp/requirements.txt")
    started: list[Server] = []

    def one(
        ready: bool = True, uwsgi: tuple[str, str] = ("", ""), entry: tuple[str, str] = ("", ""), **environment: str
    ) -> Server:
        folder = tmp_path_factory.mktemp("web")
        webapp = folder / "webapp"
        shutil.copytree(WEBAPP, webapp)
        (webapp / "app" / "held.py").write_text(HELD.format(started=folder / "started", gate=folder / "gate"))
        ini = (webapp / "uwsgi.ini").read_text().replace("main:app", "held:app")
        (webapp / "uwsgi.ini").write_text(ini.replace(*uwsgi))
        (webapp / "entry.py").write_text((webapp / "entry.py").read_text().replace(*entry))
        if os.geteuid() == 0:  # in the container nobody is
            (webapp / "nginx.conf").write_text("user root;\n" + (webapp / "nginx.conf").read_text())
        (folder / "started").touch()
        os.mkfifo(folder / "gate")
        port = free_port()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, str(webapp / "entry.py")],
                stdout=out,
                stderr=err,
                cwd=folder,
                start_new_session=True,
                env=os.environ | {"LISTEN": f"127.0.0.1:{port}", "TMPDIR": str(folder)} | environment,
            )
        server = Server(port, folder, process)
        started.append(server)
        if ready:
            eventually(lambda: serves(port) and server.complete(), "a healthy server")
        return server

    yield one
    for server in started:
        if server.process.poll() is None:
            for _ in range(2):  # the second ends the drain
                server.process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    server.process.wait(0.5)
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    return start()
