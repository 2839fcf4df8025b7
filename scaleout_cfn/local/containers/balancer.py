"""The emulator's load balancers, on 127.0.0.1: rules as MiniStack matches them, targets that are checked and drained.

It runs in a thread with a loop of its own, so that the emulator's calls do not hold requests up. What a listener does
is read from the emulator's state ten times a second.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack.core.responses import request_scope
from ministack.services import alb, ecs
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import revise

_REFRESH_S: Final = 0.1
_EAGER_S: Final = 0.2
_HOST: Final = "127.0.0.1"
_MOST_HEAD: Final = 64 * 1024
_LOAD_BALANCER: Final = "AWS::ElasticLoadBalancingV2::LoadBalancer"
#: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
_OF_A_HOP: Final = frozenset({"connection", "keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding"})


@dataclass(eq=False)
class Target:
    """A task behind a balancer: which port of this machine is which of its own, and how it does, by target group."""

    task: str
    ports: Mapping[int, int]
    states: dict[str, str] = field(default_factory=dict)
    streaks: dict[str, int] = field(default_factory=dict)
    asked_at: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    draining: bool = False
    in_flight: int = 0
    idle: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = field(default_factory=dict)


@dataclass
class _Group:
    """A target group as the emulator has it now."""

    arn: str
    raw: Mapping[str, Any]
    attributes: Mapping[str, str]
    members: list[tuple[Target, int]]
    turn: itertools.count[int] = field(default_factory=itertools.count)

    def pick(self) -> tuple[Target, int] | None:
        """A target to send to: healthy ones in turn; if none is, one of any state, as a balancer "fails open"."""
        able = [member for member in self.members if not member[0].draining]
        well = [member for member in able if member[0].states.get(self.arn) == "healthy"]
        among = well or [member for member in able if member[0].states.get(self.arn) == "unhealthy"]
        return among[next(self.turn) % len(among)] if among else None


@dataclass(frozen=True)
class _Listener:
    """A listener at work: its rules in their order, and the server that listens for it."""

    raw: Mapping[str, Any]
    rules: list[Mapping[str, Any]]


_BY_NAME: Final = _Listener({"Protocol": "HTTP", "Port": 80}, [])


def aliases_of(service: Mapping[str, Any]) -> list[tuple[int, str]]:
    """The ports and names by which a service is called over Service Connect."""
    connect = service.get("_service_connect") or {}
    offered = (connect.get("services") or ()) if connect.get("enabled") and service["status"] == "ACTIVE" else ()
    return [
        (int(alias["port"]), alias.get("dnsName") or entry.get("discoveryName") or entry["portName"])
        for entry in offered
        for alias in entry.get("clientAliases") or ()
    ]


class Balancer:
    """All load balancers. Times of health checks and of draining are shortened by `pace`."""

    def __init__(self, pace: float, address: str) -> None:
        self.pace, self.address = pace, address
        self.targets: dict[str, Target] = {}
        self.groups: dict[str, _Group] = {}
        self.listeners: dict[str, _Listener] = {}
        self.sockets: dict[str, socket.socket] = {}
        self.servers: dict[str, asyncio.Server] = {}
        self.requests: Counter[str] = Counter()
        self.names: dict[tuple[str, str], _Group] = {}
        self.loop = asyncio.new_event_loop()

    def install(self) -> None:
        """Give each load balancer an address that answers, and show how its targets are."""
        handler = provisioners._RESOURCE_HANDLERS[_LOAD_BALANCER]
        create = handler["create"]

        def create_here(*given: Any) -> tuple[str, dict[str, Any]]:
            arn, attributes = create(*given)
            # With its protocol, by which asyncio sees that small answers are not to wait for each other.
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.bind((_HOST, 0))
            self.sockets[arn] = listener
            address = f"{_HOST}:{listener.getsockname()[1]}"
            alb._lbs[arn]["DNSName"] = address
            return arn, {**attributes, "DNSName": address}

        handler["create"] = create_here
        revise(alb, "_describe_target_health", self._describe)
        threading.Thread(target=self._run, daemon=True, name="balancer").start()

    def listen(self, port: int) -> str:
        """Answer on a port, by which services call each other: which of them is told by the host of a request. What is
        wrong, in words, where another program has the port."""
        name = f"port {port}"
        if name in self.sockets:
            return ""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.address, port))
        except OSError as error:
            listener.close()
            return error.strerror or str(error)
        self.sockets[name] = listener
        return ""

    def states_of(self, task: str) -> list[str]:
        """How a task does in each of its target groups."""
        target = next((target for target in list(self.targets.values()) if target.task == task), None)
        return [*target.states.values()] if target else []

    def drain(self, target: Target) -> None:
        """Send nothing more to a target, and wait until nothing is on its way, or the group's delay is over."""
        target.draining = True
        delay = max((float(group.attributes.get("deregistration_delay.timeout_seconds", 300))
                     for group in list(self.groups.values()) if group.arn in target.states), default=0.0)  # fmt: skip
        end = time.monotonic() + delay / self.pace
        while target.in_flight and time.monotonic() < end:
            time.sleep(0.02)

    def _describe(self, stock: Any, request: Any) -> Any:
        arn = alb._p(request, "TargetGroupArn")
        if arn not in alb._tgs:
            return stock(request)
        shown = []
        for entry in alb._targets.get(arn, []):
            target = self.targets.get(entry["Id"])
            state = "unused" if target is None else "draining" if target.draining else target.states.get(arn, "initial")
            port = escape(str(entry.get("Port", "")))
            shown.append(
                f"<member><Target><Id>{escape(entry['Id'])}</Id><Port>{port}</Port></Target>"
                f"<TargetHealth><State>{state}</State></TargetHealth></member>"
            )
        whole = f"<TargetHealthDescriptions>{''.join(shown)}</TargetHealthDescriptions>"
        return alb._xml(200, "DescribeTargetHealth", whole)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.create_task(self._follow())
        self.loop.run_forever()

    async def _follow(self) -> None:
        while True:
            with suppress(RuntimeError):  # a dictionary changed while it was read: the next look sees it
                self._read()
            for arn, listening in list(self.sockets.items()):
                if arn not in self.servers:
                    serve = functools.partial(self._serve, arn)
                    self.servers[arn] = await asyncio.start_server(serve, sock=listening, limit=_MOST_HEAD)
            self._check()
            await asyncio.sleep(_REFRESH_S)

    def _read(self) -> None:
        """The listeners, their rules and the groups as they are now."""
        listeners: dict[str, _Listener] = {}
        for arn in list(self.sockets):
            if not arn.startswith("arn:"):
                continue
            with request_scope(*_scope(arn)):
                if arn not in alb._lbs:
                    self._close(arn)
                    continue
                own = [listener for listener in alb._listeners.values() if listener["LoadBalancerArn"] == arn]
                if not own:
                    continue
                # The one that serves: behind TLS where there is one, which ends here without.
                first = max(own, key=lambda listener: (listener.get("Protocol") == "HTTPS", -listener["Port"]))
                rules = [rule for rule in alb._rules.values() if rule["ListenerArn"] == first["ListenerArn"]]
                listeners[arn] = _Listener(first, sorted(rules, key=alb._rule_sort_key))
                for group_arn, raw in list(alb._tgs.items()):
                    entries = alb._targets.get(group_arn, [])
                    members = [
                        (self.targets[entry["Id"]], int(entry["Port"]))
                        for entry in entries
                        if entry["Id"] in self.targets
                    ]
                    attributes = {pair["Key"]: pair["Value"] for pair in alb._tg_attrs.get(group_arn, [])}
                    known = self.groups.get(group_arn)
                    if known:
                        known.raw, known.attributes, known.members = raw, attributes, members
                    else:
                        self.groups[group_arn] = _Group(group_arn, raw, attributes, members)
        self.listeners = listeners
        self._read_names()

    def _read_names(self) -> None:
        tasks = [task for _, task in ecs._tasks.all_items() if task.get("lastStatus") == "RUNNING"]
        for _, service in list(ecs._services.all_items()):
            for port, name in aliases_of(service):
                arn = service["serviceArn"]
                group = self.names.setdefault((f"port {port}", name), _Group(arn, {}, {}, []))
                group.members = []
                for task in tasks:
                    target = self.targets.get(task.get("_container_ip", ""))
                    if target and task["group"] == f"service:{service['serviceName']}" and task.get("_startup_stable"):
                        target.states.setdefault(arn, "healthy")
                        group.members.append((target, port))

    def _close(self, arn: str) -> None:
        self.sockets.pop(arn).close()
        server = self.servers.pop(arn, None)
        if server:
            server.close()

    def _check(self) -> None:
        """Ask each target whose turn it is."""
        now = time.monotonic()
        for group in self.groups.values():
            # Until it is healthy a target is asked without a pause: what a rehearsal waits for is the task.
            interval = max(1.0, float(group.raw.get("HealthCheckIntervalSeconds") or 30) / self.pace)
            for target, port in group.members:
                pause = min(interval, _EAGER_S) if target.states.get(group.arn, "initial") == "initial" else interval
                if not target.draining and now - target.asked_at.get(group.arn, -1e9) >= pause:
                    target.asked_at[group.arn] = now + 1e6  # until it has answered
                    self.loop.create_task(self._ask(group, target, port))

    async def _ask(self, group: _Group, target: Target, port: int) -> None:
        raw = group.raw
        wait = float(raw.get("HealthCheckTimeoutSeconds") or 5)
        asked = str(raw.get("HealthCheckPort") or "traffic-port")
        place = target.ports.get(port if asked == "traffic-port" else int(asked), 0)
        well = False
        with suppress(OSError, asyncio.TimeoutError, ValueError, IndexError):
            reader, writer = await asyncio.wait_for(asyncio.open_connection(_HOST, place), wait)
            try:
                path = raw.get("HealthCheckPath") or "/"
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {_HOST}\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"
                             "Connection: close\r\n\r\n".encode())  # fmt: skip
                line = await asyncio.wait_for(reader.readline(), wait)
                well = _matches(int(line.split()[1]), str((raw.get("Matcher") or {}).get("HttpCode") or "200"))
            finally:
                writer.close()
        target.asked_at[group.arn] = time.monotonic()
        before = target.states.get(group.arn, "initial")
        streak = target.streaks.get(group.arn, 0)
        target.streaks[group.arn] = streak = max(1, streak + 1) if well else min(-1, streak - 1)
        least = int(raw.get("UnhealthyThresholdCount") or 2)
        # A new target needs one check that passes: target-group-health-checks.
        if well and (before == "initial" or streak >= int(raw.get("HealthyThresholdCount") or 5)):
            target.states[group.arn] = "healthy"
        elif before == "initial":
            # Not shortened, for to start takes the time that it takes.
            patience = least * float(raw.get("HealthCheckIntervalSeconds") or 30)
            late = time.monotonic() - target.since > patience
            target.states[group.arn] = "unhealthy" if late else before
        elif -streak >= least:
            target.states[group.arn] = "unhealthy"

    async def _serve(self, arn: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The requests of one connection, one after the other."""
        client = writer.get_extra_info("peername")
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            while await self._one(arn, reader, writer, client[0] if client else _HOST):
                pass
        writer.close()

    async def _one(self, arn: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, headers = _parsed(head)
        method, target, version = first.split(" ", 2)
        path, _, query = target.partition("?")
        named = self.names.get((arn, headers.get("host", "").partition(":")[0]))
        listener = _BY_NAME if named else self.listeners.get(arn)
        keep = headers.get("connection", "").lower() != "close" and version != "HTTP/1.0"
        actions = _actions(listener, method, path, headers, query) if listener and not named else []
        action = next((entry for entry in actions if not entry["Type"].startswith("authenticate")), None)
        group = named
        if action is not None and action["Type"] == "forward":
            group = self._group(action)
        if listener is None or (action is None and group is None):
            return await _answer(writer, headers, 503, keep)
        if action is None or action["Type"] == "forward":
            chosen = group.pick() if group else None
            if group:
                self.requests[group.arn] += 1
            if chosen is None:
                return await _answer(writer, headers, 503, keep)
            return await self._forward(*chosen, head, headers, listener, client, reader, writer, keep)
        fields = {**headers, "x-forwarded-proto": listener.raw["Protocol"].lower()}
        fields["x-forwarded-port"] = str(listener.raw["Port"])
        status, answer, body = await alb._execute_action(action, method, path, fields, b"", parse_qs(query), query)
        return await _answer(writer, headers, status, keep, answer, body)

    def _group(self, action: Mapping[str, Any]) -> _Group | None:
        weighted = (action.get("ForwardConfig") or {}).get("TargetGroups") or [action]
        weights = [int(entry.get("Weight", 1)) for entry in weighted]
        if len(weighted) == 1 or not any(weights):
            return self.groups.get(weighted[0]["TargetGroupArn"])
        return self.groups.get(random.choices(weighted, weights)[0]["TargetGroupArn"])

    async def _forward(
        self,
        target: Target,
        port: int,
        head: bytes,
        headers: Mapping[str, str],
        listener: _Listener,
        client: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        keep: bool,
    ) -> bool:
        """Send a request on and its answer back, over a connection that is kept for the next."""
        place = target.ports.get(port, port)
        upgrade = "upgrade" in headers.get("connection", "").lower()
        sent = _forwarded(head, listener, client, headers, upgrade=upgrade)
        has_body = "content-length" in headers or "transfer-encoding" in headers
        target.in_flight += 1
        try:
            idle = target.idle.setdefault(place, [])
            while True:
                reused = bool(idle)
                try:
                    theirs, to_them = (
                        idle.pop() if idle else await asyncio.open_connection(_HOST, place, limit=_MOST_HEAD)
                    )
                    to_them.write(sent)
                    if has_body:
                        await _pass_body(reader, to_them, headers)
                    answer = await theirs.readuntil(b"\r\n\r\n")
                    while answer.startswith((b"HTTP/1.1 100", b"HTTP/1.1 102", b"HTTP/1.1 103")):
                        answer = await theirs.readuntil(b"\r\n\r\n")
                    break
                except (OSError, asyncio.IncompleteReadError):
                    # The target has closed a kept connection meanwhile; what had a body is not sent twice.
                    if not reused or has_body:
                        return await _answer(writer, {}, 502, False)
            line, fields = _parsed(answer)
            status = int(line.split(" ", 2)[1])
            if status == 101:
                writer.write(answer)
                await asyncio.gather(_pump(reader, to_them), _pump(theirs, writer))
                return False
            theirs_stay = fields.get("connection", "").lower() != "close" and line.startswith("HTTP/1.1")
            bare = head.startswith(b"HEAD ") or status in (204, 304)
            ends = bare or "content-length" in fields or "chunked" in fields.get("transfer-encoding", "")
            keep = keep and ends
            writer.write(_returned(answer, keep=keep))
            if not bare:
                await _pass_body(theirs, writer, fields)
            await writer.drain()
            if theirs_stay and ends and not target.draining:
                idle.append((theirs, to_them))
            else:
                to_them.close()
            return keep
        finally:
            target.in_flight -= 1


def _scope(arn: str) -> tuple[str, str]:
    """Account and region of an ARN."""
    _, _, _, region, account, _ = arn.split(":", 5)
    return account, region


def _matches(status: int, wanted: str) -> bool:
    """`200`, `200,204` or `200-299`."""
    for part in wanted.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    return first, {name.lower(): value.strip() for name, _, value in fields}


def _actions(
    listener: _Listener, method: str, path: str, headers: Mapping[str, str], query: str
) -> list[Mapping[str, Any]]:
    values = parse_qs(query, keep_blank_values=True) if query else {}
    for rule in listener.rules:
        conditions = rule.get("Conditions", [])
        if rule.get("IsDefault") or all(
            alb._match_condition(condition, method, path, headers, values) for condition in conditions
        ):
            found = rule.get("Actions") or listener.raw.get("DefaultActions", [])
            return sorted(found, key=lambda action: int(action.get("Order") or 1))
    return []


def _forwarded(head: bytes, listener: _Listener, client: str, headers: Mapping[str, str], *, upgrade: bool) -> bytes:
    """The head of a request as a target gets it.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """
    first, *lines = head[:-4].split(b"\r\n")
    dropped = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"connection", b"keep-alive")
    kept = [line for line in lines if upgrade or line.partition(b":")[0].lower() not in dropped]
    before = headers.get("x-forwarded-for")
    port = listener.raw["Port"]
    kept.append(f"X-Forwarded-For: {f'{before}, ' if before else ''}{client}".encode())
    kept.append(f"X-Forwarded-Proto: {listener.raw['Protocol'].lower()}\r\nX-Forwarded-Port: {port}".encode())
    if "x-amzn-trace-id" not in headers:
        kept.append(f"X-Amzn-Trace-Id: Root={alb._trace_id()}".encode())
    return b"\r\n".join([first, *kept, b"", b""])


def _returned(head: bytes, *, keep: bool) -> bytes:
    first, *lines = head[:-4].split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].lower() not in (b"connection", b"keep-alive")]
    return b"\r\n".join([first, *kept, *([] if keep else [b"Connection: close"]), b"", b""])


async def _pass_body(source: asyncio.StreamReader, sink: asyncio.StreamWriter, headers: Mapping[str, str]) -> None:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            line = await source.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            sink.write(line + await source.readexactly(size + 2) if size else line)
            await sink.drain()
            if not size:
                while (line := await source.readuntil(b"\r\n")) != b"\r\n":  # trailers
                    sink.write(line)
                sink.write(line)
                return
    left = int(headers["content-length"]) if "content-length" in headers else None
    while left is None or left:
        part = await source.read(65536 if left is None else min(left, 65536))
        if not part:
            if left:
                raise asyncio.IncompleteReadError(b"", left)
            return
        sink.write(part)
        await sink.drain()
        left = None if left is None else left - len(part)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while part := await source.read(65536):
        sink.write(part)
        await sink.drain()
    sink.close()


async def _answer(
    writer: asyncio.StreamWriter,
    headers: Mapping[str, str],
    status: int,
    keep: bool,
    answer: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bool:
    """An answer of the balancer's own. What a client still sends of a body is not waited for."""
    keep = keep and "content-length" not in headers and "transfer-encoding" not in headers
    told = {**(answer or {"Content-Type": "text/plain"}), "Server": "awselb/2.0", "Content-Length": str(len(body))}
    lines = [
        f"HTTP/1.1 {status} {'OK' if status < 400 else 'Error'}",
        *(f"{key}: {value}" for key, value in told.items()),
    ]
    lines += [] if keep else ["Connection: close"]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    await writer.drain()
    return keep
