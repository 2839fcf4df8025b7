"""What a task can take, measured: more and more connections to one address, until more of them bring nothing.

A closed loop: each connection sends its next request when it has the answer to the last, so that no more requests are
ever on their way than there are connections, and a service that slows down is asked less. One GET at a time each, over
connections that are kept.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from scaleout_cfn.errors import UsageError

_ENOUGH = 1.1  # Twice the connections must bring so much more, or the ramp is over.
_FAILED = 0.01  # the most answers of a stage that may be no 2xx


@dataclass(frozen=True)
class Limits:
    """What a measurement may ask of a service: requests and connections in all, and seconds a stage and a request."""

    requests: int = 50_000
    connections: int = 128
    stage_s: float = 2.0
    timeout_s: float = 10.0

    @property
    def most_s(self) -> float:
        """The longest that it can take, an answer that never comes included."""
        return self.connections.bit_length() * (self.stage_s + self.timeout_s)


LIMITS = Limits()


@dataclass(frozen=True)
class Stage:
    """So many connections, and what came of it. Latencies are in seconds, and of answers that were 2xx."""

    connections: int
    rps: float
    p50_s: float
    p95_s: float
    p99_s: float
    requests: int
    failed: int
    busy: float = 0.0
    """How much of one core of this machine it took: near 1 the measurement measures itself."""


@dataclass(frozen=True)
class Measured:
    """The curve, which stage's rate was taken as what a task can take, and why the ramp ended."""

    stages: tuple[Stage, ...]
    taken: Stage
    ended: str

    @property
    def task_rps(self) -> float:
        return self.taken.rps


def target_of(url: str) -> SplitResult:
    """The parts of an address. Raises UsageError unless it names http or https, and a host, and no password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--measure {url}: {error}; give http://HOST/PATH or https://HOST/PATH") from None
    if not url.isascii():
        raise UsageError(f"--measure {url}: give the address in ASCII: percent-encoded, and the host in punycode")
    try:
        (parts.hostname or "").encode("idna")
    except UnicodeError as error:
        raise UsageError(f"--measure {url}: no name of a host: {error}; give http://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or port == 0:
        raise UsageError(f"--measure {url}: give http://HOST/PATH or https://HOST/PATH, of a service of your own")
    return parts


def measure(url: str, limits: Limits = LIMITS, tell: Callable[[Stage], None] = lambda stage: None) -> Measured:
    """Ramp the load on an address from one connection up. `tell` is called after each stage.

    Ends by itself: when twice the connections bring less than a tenth more, when one answer in a hundred fails, or at
    a limit. An interrupt ends it within an answer. Raises UsageError where the address does not answer with a 2xx.
    """
    parts = target_of(url)
    left = _Budget(limits.requests)
    _probe(parts, limits.timeout_s)

    def stage(connections: int) -> Stage:
        return _stage(parts, connections, limits, left)

    return ramp(stage, limits, lambda: left.count, tell)


def ramp(
    stage: Callable[[int], Stage], limits: Limits, left: Callable[[], int], tell: Callable[[Stage], None]
) -> Measured:
    """Stages of 1, 2, 4 ... connections until more of them bring nothing; the fastest one without failures is taken."""
    stages: list[Stage] = []
    ended = f"the limit of {limits.connections} connections"
    for connections in _doubling(limits.connections):
        latest = stage(connections)
        stages.append(latest)
        tell(latest)
        if latest.failed > _FAILED * latest.requests:
            ended = f"{latest.failed} of {latest.requests} answers failed"
            break
        if not left():
            ended = f"the limit of {limits.requests} requests"
            break
        if len(stages) > 1 and latest.rps < _ENOUGH * stages[-2].rps:
            ended = "twice the connections brought less than a tenth more"
            break
    whole = [held for held in stages if held.failed <= _FAILED * held.requests and held.rps > 0]
    if not whole:
        raise UsageError(f"--measure: {ended} already over one connection; give an address that answers with a 2xx")
    return Measured(tuple(stages), max(whole, key=lambda held: held.rps), ended)


def _doubling(most: int) -> Iterator[int]:
    connections = 1
    while connections < most:
        yield connections
        connections *= 2
    yield most


class _Budget:
    """Requests that may still be sent, by any thread."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            if self.count <= 0:
                return False
            self.count -= 1
            return True


def _connection(parts: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    host = str(parts.hostname)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def _ask(connection: http.client.HTTPConnection, parts: SplitResult) -> int:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", path, headers={"User-Agent": "scaleout-cfn"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _probe(parts: SplitResult, timeout_s: float) -> None:
    connection = _connection(parts, timeout_s)
    try:
        status = _ask(connection, parts)
    except (OSError, http.client.HTTPException) as error:
        raise UsageError(
            f"--measure {parts.geturl()}: {error or type(error).__name__}; is the service there?"
        ) from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise UsageError(f"--measure {parts.geturl()}: it answers {status}; give an address that answers with a 2xx")


def _stage(parts: SplitResult, connections: int, limits: Limits, left: _Budget) -> Stage:
    stop = threading.Event()
    took: list[list[float]] = [[] for _ in range(connections)]
    failed = [0] * connections

    def work(number: int) -> None:
        connection = _connection(parts, limits.timeout_s)
        while not stop.is_set() and left.take():
            began = time.monotonic()
            try:
                good = 200 <= _ask(connection, parts) < 300
            except (OSError, http.client.HTTPException):
                connection.close()  # the next request opens it again
                good = False
            if good:
                took[number].append(time.monotonic() - began)
            else:
                failed[number] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(connections)]
    began, used = time.monotonic(), time.process_time()
    for thread in threads:
        thread.start()
    try:
        until = began + limits.stage_s
        while (rest := until - time.monotonic()) > 0 and any(thread.is_alive() for thread in threads):
            stop.wait(min(rest, 0.1))
    finally:
        stop.set()
    for thread in threads:
        thread.join(limits.timeout_s)
    length = time.monotonic() - began
    latencies = sorted(latency for own in took for latency in own)
    return Stage(
        connections,
        len(latencies) / length,
        _quantile(latencies, 0.5),
        _quantile(latencies, 0.95),
        _quantile(latencies, 0.99),
        len(latencies) + sum(failed),
        sum(failed),
        (time.process_time() - used) / length,
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values; 0 where there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0
