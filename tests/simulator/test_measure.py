"""What a task can take, measured: the ramp on made-up laws, and the whole on servers of 127.0.0.1."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from scaleout_cfn.cli import cli
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.measure import Limits, Stage, measure, ramp, target_of

WORKERS, SERVICE_S = 4, 0.02
CAPACITY = WORKERS / SERVICE_S


class _Server:
    """A server that works on so many requests at once, for so long each: no more than workers / time a second."""

    def __init__(self, status: int = 200, fails_after: int = 10**9) -> None:
        self.requests = self.most_at_once = self._at_once = 0
        lock, workers = threading.Lock(), threading.Semaphore(WORKERS)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler) -> None:
                with lock:
                    self.requests += 1
                    self._at_once += 1
                    self.most_at_once = max(self.most_at_once, self._at_once)
                    code = status if self.requests <= fails_after else 503
                with workers:
                    time.sleep(SERVICE_S)
                with lock:
                    self._at_once -= 1
                handler.send_response(code)
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"ok")

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hello?a=1"


@contextmanager
def _serving(server: _Server) -> Iterator[_Server]:
    thread = threading.Thread(target=server.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()


def _law(capacity: float, service_s: float) -> Callable[[int], Stage]:
    """A closed loop without noise: so many connections, each answered within the service time or its turn."""

    def stage(connections: int) -> Stage:
        rps = min(capacity, connections / service_s)
        wait = connections / rps
        return Stage(connections, rps, wait, wait, wait, int(rps), 0)

    return stage


@pytest.mark.parametrize(("capacity", "connections"), [(50.0, 1), (400.0, 8), (6400.0, 128)])
def test_the_ramp_ends_where_more_connections_bring_nothing(capacity: float, connections: int) -> None:
    told: list[Stage] = []
    found = ramp(_law(capacity, 0.02), Limits(), lambda: 1, told.append)
    assert found.task_rps == capacity
    assert found.taken.connections == connections
    assert found.stages == tuple(told)
    assert [stage.connections for stage in told] == [2**n for n in range(len(told))]
    assert told[-1].connections <= min(2 * connections, 128)


def test_the_ramp_ends_when_answers_fail_and_takes_none_of_these() -> None:
    def stage(connections: int) -> Stage:
        return Stage(connections, 10.0 * connections, 0.1, 0.1, 0.1, 100, 2 if connections == 4 else 1)

    found = ramp(stage, Limits(), lambda: 1, lambda stage: None)
    assert found.taken.connections == 2
    assert found.ended == "2 of 100 answers failed"


def test_a_service_that_fails_from_the_start_is_refused() -> None:
    def stage(connections: int) -> Stage:
        return Stage(connections, 0.0, 0, 0, 0, 100, 100)

    with pytest.raises(UsageError, match="100 of 100 answers failed already over one connection"):
        ramp(stage, Limits(), lambda: 1, lambda stage: None)


def test_what_a_server_can_take_is_measured_within_its_limits() -> None:
    limits = Limits(requests=600, connections=16, stage_s=0.5)
    with _serving(_Server()) as server:
        found = measure(server.url, limits)
    # The server cannot be faster; that it may be slower is for the machine that others use too.
    assert 0 < found.task_rps <= 1.1 * CAPACITY
    assert server.requests <= limits.requests + 1  # and the one that asks whether it is there
    assert server.most_at_once <= limits.connections
    assert found.stages[-1].p50_s >= SERVICE_S


def test_a_measurement_ends_at_its_requests() -> None:
    with _serving(_Server()) as server:
        found = measure(server.url, Limits(requests=30, connections=64, stage_s=30))
    assert found.ended == "the limit of 30 requests"
    assert server.requests == 31


def test_a_service_that_begins_to_fail_ends_it() -> None:
    with _serving(_Server(fails_after=40)) as server:
        found = measure(server.url, Limits(requests=2000, connections=64, stage_s=0.3))
    assert "answers failed" in found.ended
    assert found.taken.failed == 0


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://127.0.0.1/", "http://", "http://me:pw@127.0.0.1/", "http://127.0.0.1:x/", "", "//h/"]
)
def test_an_address_that_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="give http://HOST/PATH or https://HOST/PATH"):
        target_of(url)


def test_an_address_that_does_not_answer_with_a_2xx_is_refused_after_one_request() -> None:
    with _serving(_Server(status=404)) as server:
        with pytest.raises(UsageError, match="it answers 404; give an address that answers with a 2xx"):
            measure(server.url)
        assert server.requests == 1
    with pytest.raises(UsageError, match="is the service there"):
        measure(server.url)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "measured was a burst, as the task's CPU is a share .* it could use 1 vCPU (--cores), and reserves 0.25"),
        (("--cores", "0.1"), "it could use 0.25 vCPU"),
        (("--cpu-at-capacity", "60"), "measured was not for want of CPU"),
        (("quota.toml",), "measured was under a quota: the task never has more than its 0.25 vCPU"),
    ],
)
def test_simulate_measures_and_says_which_rate_it_took(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    (tmp_path / "quota.toml").write_text('services.web.cpu_is = "quota"')
    arguments = [str(tmp_path / option) if option.endswith(".toml") else option for option in options]
    monkeypatch.setattr(
        "scaleout_cfn.simulator.measure.measure.__defaults__",
        (Limits(requests=300, connections=8, stage_s=0.2), lambda stage: None),
    )
    with _serving(_Server()) as server:
        result = CliRunner().invoke(
            cli, ["simulate", *arguments, "--traffic", "step", "--with", "hours=0.1", "--measure", server.url]
        )
    assert result.exit_code == 0, result.output
    assert "connections   requests/s       median" in result.stderr
    measured, taken = (
        float(found.group(1))
        for found in (re.search(word + r": ([0-9.]+) requests/s", result.stderr) for word in ("measured", "can take"))
        if found
    )
    assert taken == pytest.approx(measured / (4 if not options else 1), rel=0.02)
    assert re.search(told.replace("(", r"\(").replace(")", r"\)"), result.stderr)


def test_ctrl_c_ends_a_measurement_with_130_and_no_traceback() -> None:
    with _serving(_Server()) as server:
        running = subprocess.Popen(
            [sys.executable, "-m", "scaleout_cfn", "simulate", "--traffic", "step", "--measure", server.url],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert running.stderr is not None
        for line in running.stderr:
            if line.split()[:1] == ["1"]:
                break
        os.kill(running.pid, signal.SIGINT)
        rest = running.stderr.read()
        running.stderr.close()
        assert running.wait(timeout=60) == 130
    assert "Traceback" not in rest
    assert "interrupted" in rest
