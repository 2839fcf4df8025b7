"""The entry point: how it starts, how it sizes itself, and how it ends."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scaleout_cfn.config import NewLoadBalancer, WebService

from .helpers import WEBAPP, Server, ask, eventually, serves


def load() -> Any:
    spec = importlib.util.spec_from_file_location("webapp_entry", WEBAPP / "entry.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


entry = load()


def setting(file: str, pattern: str) -> int:
    found = re.search(pattern, (WEBAPP / file).read_text(), re.M)
    assert found, pattern
    return int(found[1])


def test_given_a_command_it_becomes_that_command() -> None:
    """ECS can override the command of an image, and not its entry point."""
    entry_point = [sys.executable, str(WEBAPP / "entry.py")]

    def given(*command: str) -> tuple[int, str]:
        done = subprocess.run([*entry_point, *command], capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, done.stdout + done.stderr

    assert given("sh", "-c", 'echo "$1"; exit 7', "-", "a b") == (7, "a b\n")
    assert given("no-such-command") == (127, "no-such-command: No such file or directory\n")


# What the templates expect of the container.


def test_idle_connections_live_longer_than_the_balancers() -> None:
    assert setting("nginx.conf", r"keepalive_timeout (\d+)s;$") > NewLoadBalancer().idle_timeout_s


def test_draining_and_the_longest_request_fit_the_stop_timeout() -> None:
    drain = setting("entry.py", r'"DRAIN_S", "(\d+)"')
    longest = setting("uwsgi.ini", r"^harakiri = (\d+)")
    waits = setting("nginx.conf", r"uwsgi_read_timeout (\d+)s;")
    assert longest < waits <= setting("nginx.conf", r"worker_shutdown_timeout (\d+)s;")
    assert drain + waits + 2 < WebService().stop_timeout_s  # 2: uWSGI's own end


def test_the_port_and_the_health_path_are_those_of_the_templates() -> None:
    port = WebService().container_port
    assert setting("Dockerfile", r"^EXPOSE (\d+)$") == port == setting("entry.py", r'"LISTEN", "(\d+)"')
    assert f"location = {WebService().health_check.path} " in (WEBAPP / "nginx.conf").read_text()
    assert WebService().read_only and "/tmp" in WebService().tmpfs_mib


def test_every_header_and_body_that_nginx_lets_through_fits_uwsgi() -> None:
    headers = setting("nginx.conf", r"large_client_header_buffers 4 (\d+)k;") * 4 * 1024
    assert headers + 8192 < setting("uwsgi.ini", r"^buffer-size = (\d+)")
    body = setting("nginx.conf", r"client_max_body_size (\d+)k;") * 1024
    assert body <= setting("uwsgi.ini", r"^post-buffering = (\d+)")


# How it sizes itself.


def test_a_quota_counts_in_either_cgroup_version(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    (old / "cpu").mkdir(parents=True)
    new.mkdir()
    (new / "cpu.max").write_text("50000 100000\n")
    (old / "cpu" / "cpu.cfs_quota_us").write_text("25000\n")
    (old / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert entry.cpus(new, {}) == 0.5 and entry.cpus(old, {}) == 0.25
    (new / "cpu.max").write_text("max 100000\n")
    (old / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    machine = entry.cpus(tmp_path / "none", {})
    assert machine >= 1 and entry.cpus(new, {}) == entry.cpus(old, {}) == machine


@pytest.mark.parametrize(("answer", "expected"), [({"Limits": {"CPU": 256}}, 0.25), ({"Limits": {"CPU": 2}}, None)])
def test_in_ecs_the_tasks_cpu_units_count(tmp_path: Path, answer: Any, expected: float | None) -> None:
    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Metadata) as metadata:
        threading.Thread(target=metadata.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{metadata.server_port}/v4/id"
        assert entry.cpus(tmp_path, {"ECS_CONTAINER_METADATA_URI_V4": url}) == (expected or entry.cpus(tmp_path, {}))


@pytest.mark.parametrize(("answer", "said"), [(b"[]", "no CPU units"), (b"{", "no CPU units"), (b"{}", "no CPU units")])
def test_metadata_that_makes_no_sense_is_said_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes, said: str
) -> None:
    (tmp_path / "answer").write_bytes(answer)
    url = (tmp_path / "answer").as_uri()
    assert entry.cpus(tmp_path, {"ECS_CONTAINER_METADATA_URI_V4": url}) == entry.cpus(tmp_path, {})
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("vcpus", "expected"), [(0.125, 2), (1, 2), (1.5, 3), (2, 4), (4, 8)])
def test_two_workers_a_vcpu_and_two_at_least(vcpus: float, expected: int) -> None:
    assert entry.processes(vcpus) == expected


def test_its_processes_do_not_interrupt_one_another_for_each_request(server: Server) -> None:
    running = [server.child("nginx"), *server.workers()]
    assert {os.sched_getscheduler(pid) for pid in running} == {os.SCHED_BATCH}


# How it ends.


def held(server: Server, pool: ThreadPoolExecutor) -> Any:
    """A request in flight, which ends when the gate is written to."""
    before = len((server.folder / "started").read_text())
    future = pool.submit(server.get, "/held")
    eventually(lambda: len((server.folder / "started").read_text()) > before, "the request in flight")
    return future


def test_told_to_stop_it_goes_unhealthy_serves_on_finishes_and_exits_0(start: Callable[..., Server]) -> None:
    server = start(DRAIN_S="60")
    with ThreadPoolExecutor() as pool:
        in_flight = held(server, pool)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.get("/health").status == 503, "an unhealthy answer")
        late = server.get("/api?count=3")
        assert late.status == 200 and late.headers["Connection"] == "close"
        assert server.get("/none").json()["status"] == 404

        server.process.send_signal(signal.SIGTERM)  # ends the drain

        def refused() -> bool:
            try:
                ask(server.port, "/health")
            except OSError:
                return True
            return False

        eventually(refused, "a closed port")
        assert server.process.poll() is None and not in_flight.done()
        (server.folder / "gate").write_text("finished")
        assert in_flight.result(10).body == b"finished"
    assert server.process.wait(20) == 0


def test_the_drain_ends_by_itself(start: Callable[..., Server]) -> None:
    server = start(DRAIN_S="0.5")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert not (server.folder / "uwsgi.sock").exists()


@pytest.mark.parametrize("child", ["nginx", "uwsgi"])
def test_when_either_half_ends_by_itself_the_whole_ends_with_1(start: Callable[..., Server], child: str) -> None:
    server = start()
    os.kill(server.child(child), signal.SIGKILL)
    assert server.process.wait(20) == 1
    assert "has ended by itself" in (server.folder / "stderr").read_text()


def test_an_application_that_does_not_load_ends_the_container_with_1(start: Callable[..., Server]) -> None:
    server = start(ready=False, uwsgi=("held:app", "no_such_module:app"))
    assert server.process.wait(20) == 1
    assert not serves(server.port)


def test_told_to_stop_before_it_serves_it_does_not_drain(start: Callable[..., Server]) -> None:
    server = start(ready=False, uwsgi=("hook-accepting1-once", "hook-accepting1-never-run"), DRAIN_S="600")
    eventually(lambda: (server.folder / "uwsgi.sock").exists(), "a started uWSGI")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def test_the_health_command_tells_by_its_exit_code(
    server: Server, monkeypatch: pytest.MonkeyPatch, start: Callable[..., Server]
) -> None:
    monkeypatch.setattr(entry.sys, "argv", ["entry.py", "health"])
    monkeypatch.setenv("LISTEN", f"127.0.0.1:{server.port}")
    assert entry.main() == 0
    monkeypatch.setenv("LISTEN", "127.0.0.1:1")
    assert entry.main() == 1
