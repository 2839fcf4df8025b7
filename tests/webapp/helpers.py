"""A running server to ask, and what a test needs to have installed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WEBAPP = Path(__file__).parents[2] / "webapp"

# A second application beside the sample: its answers wait until the test lets them go.
HELD = """
from main import app
@app.get("/held")
def held():
    with open("{started}", "a") as started:
        started.write("x")
    with open("{gate}") as gate:
        return gate.read()
@app.get("/broken")
def broken():
    raise RuntimeError("told to break")
@app.get("/cookies")
def cookies():
    from flask import request
    return str(sum(len(value) for value in request.cookies.values()))
"""


@dataclass
class Server:
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None) -> Answer:
        return ask(self.port, path, method, headers, body)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "stdout").read_text(errors="replace").splitlines()]

    def workers(self) -> list[int]:
        """The ids of uWSGI's workers: the children of its master."""
        return [worker for child in children(self.process.pid) if name(child) != "nginx" for worker in children(child)]

    def complete(self) -> bool:
        """Whether all of uWSGI's workers are there: the first says that it serves before the others are started."""
        words = Path(f"/proc/{self.child('uwsgi')}/cmdline").read_text().split("\0")
        return len(self.workers()) == int(words[words.index("--processes") + 1])

    def child(self, wanted: str) -> int:
        """The id of "nginx" or "uwsgi", as started by the entry point."""
        return next(pid for pid in children(self.process.pid) if (name(pid) == "nginx") == (wanted == "nginx"))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def eventually(condition: Callable[[], bool], what: str, within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def serves(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return ask(port, "/health").status == 200
    return False


def missing(why: str) -> None:
    """Skips, or fails where WEBAPP_TESTS=required says that everything is installed."""
    if os.environ.get("WEBAPP_TESTS") == "required":
        pytest.fail(why)
    pytest.skip(why)


PACKAGES = {
    "nginx": "nginx-light", "htpasswd": "apache2-utils", "node": "nodejs", "dockerd": "docker.io",
    "busybox": "busybox-static",
}  # fmt: skip


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            missing(f"{program} is not installed; apt-get install {PACKAGES.get(program, program)}")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
