"""docs/your-own-service.md: the service in another language keeps the promises that stand above it."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .helpers import WEBAPP, ask, eventually, free_port, need, serves

DOCUMENT = (WEBAPP.parent / "docs" / "your-own-service.md").read_text()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    need("node")
    (text,) = re.findall(r"```javascript\n(.*?)```", DOCUMENT, re.S)
    # Its drain is over when the test says so.
    os.mkfifo(tmp_path / "drained")
    drain = re.compile(r"setTimeout\((.*?), 5_000\)", re.S)
    assert drain.search(text)
    text = drain.sub(r'require("node:fs").readFile("drained", \1)', text)
    (tmp_path / "server.js").write_text(text)
    port = free_port()
    node = shutil.which("node") or ""
    process = subprocess.Popen([node, "server.js"], cwd=tmp_path, env={"PORT": str(port)})
    try:
        eventually(lambda: serves(port), "a healthy service")
        yield process, port
    finally:
        process.kill()
        process.wait()


def test_the_example_drains_and_exits_0(service: tuple[subprocess.Popen[bytes], int], tmp_path: Path) -> None:
    process, port = service
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    idle.request("GET", "/")
    answer = idle.getresponse()
    assert answer.read() == b"hello\n" and answer.headers["Keep-Alive"] == "timeout=75"

    process.send_signal(signal.SIGTERM)
    eventually(lambda: ask(port, "/health").status == 503, "an unhealthy answer")
    late = ask(port, "/")
    assert late.status == 200 and late.headers["Connection"] == "close"

    (tmp_path / "drained").write_text("")
    assert process.wait(20) == 0  # though a connection is still open
    idle.close()
