"""What clients meet, well-behaved or not: nginx and uWSGI as configured."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .helpers import Server, eventually, name


def raw(server: Server, sent: bytes, timeout_s: float = 2) -> bytes:
    """Everything that comes back until the server closes, or has had nothing more to say for a while."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        received = b""
        with suppress(OSError):
            connection.sendall(sent)
            while data := connection.recv(65536):
                received += data
    return received


def status(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


@contextmanager
def stopped(workers: list[int]) -> Iterator[None]:
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)


def test_the_application_answers_through_nginx_and_uwsgi(server: Server) -> None:
    answer = server.get("/api?count=3")
    assert answer.status == 200 and list(answer.json()) == ["0", "1", "2"]
    assert answer.headers["Content-Type"] == "application/json"
    assert b"/api" in server.get("/").body
    assert len(server.get("/api?count=10000").json()) == 10_000


def test_workers_do_not_share_their_random_numbers(start: Callable[..., Server]) -> None:
    server = start()
    workers = server.workers()
    bodies = []
    for asked in workers:  # each for itself, the first request of its life
        with stopped([worker for worker in workers if worker != asked]):
            bodies.append(server.get("/api").body)
    assert len(workers) > 1 and len(set(bodies)) == len(workers)


@pytest.mark.parametrize(("path", "method", "expected"), [("/none", "GET", 404), ("/api", "POST", 405)])
def test_problems_of_the_application_pass_through(server: Server, path: str, method: str, expected: int) -> None:
    answer = server.get(path, method)
    assert answer.status == expected and answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == expected and answer.json()["detail"]


def test_an_unforeseen_error_tells_the_log_and_not_the_client(server: Server) -> None:
    answer = server.get("/broken")
    assert answer.status == 500 and answer.json()["title"] == "Internal Server Error"
    assert b"told to break" not in answer.body
    assert "told to break" in (server.folder / "stderr").read_text()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /.closing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 7000) for i in range(6)), 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + b"a" * 0x20000, 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\naaaa", 400),
    ],
)
def test_what_nginx_refuses_is_a_problem_too(server: Server, request_: bytes, expected: int) -> None:
    received = raw(server, request_)
    assert status(received) == expected
    assert b"Content-Type: application/problem+json" in received and b'"status": %d}' % expected in received


def test_the_server_does_not_tell_its_version(server: Server) -> None:
    for sent in (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"nonsense\r\n\r\n"):
        assert b"Server: nginx\r\n" in raw(server, sent)


def test_long_cookies_fit_the_application_server(server: Server) -> None:
    answer = server.get("/cookies", headers={"Cookie": f"a={'x' * 7000}", "X-1": "y" * 7000, "X-2": "z" * 7000})
    assert answer.status == 200 and answer.body == b"7000"


def test_a_body_that_the_application_leaves_unread_does_not_cut_its_answer_off(server: Server) -> None:
    assert [server.get("/api", "POST", body=b"a" * 65536).status for _ in range(30)] == [405] * 30


def test_health_does_not_wait_in_the_queue_of_the_application(server: Server) -> None:
    with ExitStack() as clients, stopped(server.workers()):
        for _ in range(50):
            waiting = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            waiting.sendall(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
        assert server.get("/health").status == 200
    assert server.get("/api").status == 200


def test_clients_that_are_slow_to_send_are_cut_off(server: Server) -> None:
    with ExitStack() as clients:
        slow = [
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=25)) for _ in range(2)
        ]
        slow[0].sendall(b"GET /api HTTP/1.1\r\nHost: a\r\n")
        slow[1].sendall(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert server.get("/api").status == 200
        for client in slow:
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""


def test_clients_that_do_not_read_hold_no_worker(server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(4 * len(server.workers())):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /api?count=10000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert server.get("/api").status == 200


def test_every_request_is_one_line_of_json_with_the_trace_id(server: Server) -> None:
    trace = "Root=1-67891233-abcdef012345678912345678"
    server.get("/api?count=3&token=secret", headers={"X-Amzn-Trace-Id": trace, "X-Forwarded-For": "203.0.113.9"})
    eventually(lambda: any(line["trace"] == trace for line in server.log()), "the line of the request", 5)
    line = next(line for line in server.log() if line["trace"] == trace)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api", 200)
    assert line["client"] == "203.0.113.9" and line["bytes"] > 0
    assert line["duration_s"] >= 0 and line["app_s"] >= 0
    assert "secret" not in (server.folder / "stdout").read_text()


def test_health_checks_are_not_logged(server: Server) -> None:
    server.get("/health")
    server.get("/after-health")
    eventually(lambda: any(line["path"] == "/after-health" for line in server.log()), "the later line", 5)
    assert not any(line["path"] == "/health" for line in server.log())


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_no_header_breaks_the_log(server: Server, agent: bytes) -> None:
    agent = agent.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    raw(server, b"GET /agent HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: " + agent + b"\r\n\r\n")
    for line in (server.folder / "stdout").read_bytes().splitlines():
        line.decode("utf-8", "surrogateescape")
        assert line.startswith(b'{"time":"') and line.endswith(b"}")


PIECES = [
    b"GET", b"POST", b"HEAD", b"OPTIONS", b"PRI", b" ", b"/", b"/api", b"/health", b"?count=", b"5", b"%00", b"%2e%2e",
    b"//", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"\r\n", b"\n", b"\r", b"Host: a\r\n", b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Range: bytes=0-\r\n",
    b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"5\r\nabcde\r\n0\r\n\r\n", b"\0", b"\xff\xfe", b"a" * 5000,
    b"X-Amzn-Trace-Id: \"\\\r\n", b"Cookie: a=b; ;=\r\n", b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip


def test_nothing_that_is_sent_makes_the_server_fail(server: Server) -> None:
    """At most 3,000 requests or 8 s, always the same ones."""
    draw, end, workers = random.Random(4), time.monotonic() + 8, server.workers()
    requests = []
    for _ in range(3000):
        pieces = draw.choices(PIECES, k=draw.randint(1, 12))
        if draw.random() < 0.7:
            pieces = [b"GET /api HTTP/1.1\r\nHost: a\r\n", *pieces, b"\r\n\r\n"]
        requests.append(b"".join([*pieces, b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"]))

    def sent(request: bytes) -> int:
        if time.monotonic() > end:
            return 0
        received = raw(server, request, timeout_s=0.3)
        assert b"HTTP/1.1 5" not in received, (request, received)
        return 1 + received.count(b"HTTP/1.1 200")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(sent, requests))
    print(f"{sum(map(bool, results))} requests, {sum(max(0, r - 1) for r in results)} answers with 200")
    assert sum(map(bool, results)) > 100 and max(results) > 1
    assert server.workers() == workers and all(name(worker) for worker in workers)
    assert server.get("/api").status == 200


def test_a_thousand_connections_at_once_are_all_answered(server: Server) -> None:
    answers: list[int] = []
    with ExitStack() as clients:
        connections = [
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30)) for _ in range(1000)
        ]
        for connection in connections:
            connection.sendall(b"GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = [status(connection.recv(65536)) for connection in connections]
    assert answers == [200] * 1000


def test_a_request_that_takes_too_long_loses_its_worker_and_nobody_else_notices(start: Callable[..., Server]) -> None:
    server = start(uwsgi=("harakiri = 20", "harakiri = 2"))
    held: list[int] = []
    client = threading.Thread(target=lambda: held.append(server.get("/held").status))
    client.start()
    eventually(lambda: (server.folder / "started").read_text() == "x", "the request in flight")
    assert server.get("/api").status == 200
    client.join(30)
    assert held == [502]
    eventually(server.complete, "a new worker")
    assert server.get("/api").status == 200 and server.get("/health").status == 200
