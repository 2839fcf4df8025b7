"""`python -m scaleout_cfn.local`: run the emulator in the foreground until SIGTERM or Ctrl-C.

Its first line on standard output is JSON: `{"endpoint_url": ..., "pid": ..., "patches": [...]}` once it answers,
or `{"error": ...}`. `GET /_scaleout/health` answers the same and how many `stacks` there are in all regions, `POST
/_scaleout/stop` ends it, and `POST /_scaleout/stand-ins` makes what a set takes as given: `{"hosted_zones": {ID: NAME},
"vpcs": {ID: [SUBNET, ...]}, "secrets": [ARN, ...], "region": NAME}`. `POST /_scaleout/exec` answers the `words` that
open a session in a container: `{"task": ARN, "container": NAME, "terminal": whether there is one}`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaleout_cfn.local import ACCOUNT_ID, REGION, EmulatorError

_HOST = "127.0.0.1"
_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_Receive = Callable[[], Awaitable[_Message]]


def main() -> int:
    """Parse the arguments, patch MiniStack, serve. Returns the exit code."""
    options = _parse(sys.argv[1:])
    engine = home = None
    try:
        if options.containers:
            from scaleout_cfn.local.containers import engine as engines

            engine = engines.find()  # before the environment is no longer the user's
            home = engine.way_home()
        listeners = [_listen(options.port)]
        port = listeners[0].getsockname()[1]
        if home and home.listening != _HOST:
            listeners.append(_listen(port, home.listening))
        _settle_environment(port)
        # Only now: MiniStack reads its settings when it is imported.
        from scaleout_cfn.local import patches

        applied = patches.apply(without=options.without)
        if options.faults is not None:
            patches.inject_faults(options.faults)
        if engine and home:
            from scaleout_cfn.local.containers.scaling import install

            install(engine, home, port, options.pace, options.secrets)
    except EmulatorError as error:
        _announce({"error": str(error)})
        return 1
    health = {"endpoint_url": f"http://{_HOST}:{port}", "pid": os.getpid(), "patches": applied}
    if engine is not None:
        health |= {"containers": f"{engine.name} {engine.version}", "pace": options.pace}
    try:
        asyncio.run(_serve(listeners, health, until_stdin_closes=options.until_stdin_closes))
    finally:
        if engine is not None:
            from scaleout_cfn.local.containers.scaling import close

            close()
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments, which are those of `running` and `Containers`."""
    parser = argparse.ArgumentParser(prog="python -m scaleout_cfn.local", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=Path)
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--containers", action="store_true")
    parser.add_argument("--pace", type=float, default=1.0)
    parser.add_argument("--secrets", type=Path)
    parser.add_argument("--until-stdin-closes", action="store_true")
    return parser.parse_args(arguments)


def _listen(port: int, host: str = _HOST) -> socket.socket:
    """Bind before the server exists, so that nobody can take the port in between."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise EmulatorError(f"port {port} on {host} cannot be used ({error}). Choose another one.") from error
    listener.listen(128)
    return listener


def _settle_environment(port: int) -> None:
    """MiniStack's settings. They fix what would else open ports, keep files or run containers."""
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST=_HOST,
        MINISTACK_HOST=_HOST,
        MINISTACK_REGION=REGION,
        # A push to the registry is not signed, and so names no account.
        MINISTACK_ACCOUNT_ID=ACCOUNT_ID,
        PERSIST_STATE="0",
        S3_PERSIST="0",
        USE_SSL="0",
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        # With a Docker daemon MiniStack would run every ECS task as a container.
        DOCKER_HOST="unix:///nonexistent/docker.sock",
    )
    os.environ.setdefault("LOG_LEVEL", "WARNING")


async def _serve(listeners: list[socket.socket], health: dict[str, Any], *, until_stdin_closes: bool) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app
    from ministack.services.cloudformation import _stacks

    from scaleout_cfn.local.standins import stand_in

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows has no signal handlers on a loop
            loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()

    async def front(scope: _Message, receive: _Receive, send: _Send) -> None:
        """Announce readiness, answer for the process itself, and hand everything else to MiniStack."""

        async def announcing(message: _Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                _announce(health)

        path = scope.get("path", "")
        if scope["type"] == "lifespan":
            await app(scope, receive, announcing)
        elif path == "/_scaleout/exec":
            from scaleout_cfn.local.containers.scaling import session

            await _answer(send, {**health, "words": session(**json.loads(await _body(receive)))})
        elif path in ("/_scaleout/health", "/_scaleout/stop", "/_scaleout/stand-ins"):
            if path == "/_scaleout/stand-ins" and scope["method"] == "POST":
                stand_in(**json.loads(await _body(receive)))
            stacks = sum(stack["StackStatus"] != "DELETE_COMPLETE" for stack in _stacks.all_values())
            await _answer(send, {**health, "stacks": stacks})
            if path == "/_scaleout/stop" and scope["method"] == "POST":
                stop.set()
        else:
            await app(scope, receive, send)

    config = Config()
    config.bind = [f"fd://{listener.detach()}" for listener in listeners]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2  # clients keep connections open; nothing is worth waiting for
    config.loglevel = os.environ["LOG_LEVEL"].upper()
    await serve(front, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin.read(): its lock would upset the interpreter's exit
        pass
    with suppress(RuntimeError):  # the loop is closed: the server has ended already
        loop.call_soon_threadsafe(stop.set)


async def _body(receive: _Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def _answer(send: _Send, content: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _announce(content: dict[str, Any]) -> None:
    """Write the one line that the parent waits for; it closes its end of the pipe afterwards."""
    print(json.dumps(content), flush=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
