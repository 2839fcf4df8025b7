"""The program that runs containers: docker or podman, by their command lines, of which this is all that is used."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from scaleout_cfn.local import EmulatorError, is_alive

_ANSWER_S: Final = 20
_ROUNDS: Final = 5
_LABEL: Final = "scaleout-cfn.emulator"
"""Containers and volumes carry it, with the process id of the emulator that they go with."""


_FOLLOWED: Final[dict[str, subprocess.Popen[bytes]]] = {}
"""What reads the logs of containers, by name: podman's goes on without them, and without this process."""


class EngineError(Exception):
    """What the engine says to a command that it cannot carry out, in one line."""


@dataclass(frozen=True)
class Started:
    """A container that runs: its first process as this machine sees it, and port -> where that is published."""

    pid: int
    ports: Mapping[int, int]


@dataclass(frozen=True)
class WayHome:
    """What containers call this machine, what that is to --add-host, and the options that a container needs for it.

    `listening` is the address of this machine that they come to by it.
    """

    name: str
    address: str
    options: tuple[str, ...] = ()
    listening: str = "127.0.0.1"


def find() -> Engine:
    """The first engine on PATH that answers. Raises EmulatorError with what is wrong with each."""
    # Of docker the version of the server, which a client without an engine cannot tell.
    asked = {"docker": "{{.Server.Version}}", "podman": "{{.Client.Version}}"}
    words = {name: ("version", "--format", template) for name, template in asked.items()}
    name, path, version, tried = first_that_answers(words)
    if name == "podman" and sys.platform == "linux" and not shutil.which("slirp4netns"):
        tried.append(f"podman {version}: slirp4netns is not installed, by which tasks get networks of their own")
    elif name:
        return Engine(name, path, version)
    raise EmulatorError(f"--containers: no container engine works here ({'; '.join(tried)}); install or start one")


def first_that_answers(words: Mapping[str, Sequence[str]]) -> tuple[str, str, str, list[str]]:
    """The first program on PATH that carries out its words, by name and path, with what it says, and what is wrong with
    those before it; without a name where none does."""
    tried = []
    for name, arguments in words.items():
        path = shutil.which(name)
        if path is None:
            tried.append(f"{name}: not installed")
            continue
        try:
            # For docker and finch this asks the engine, too: a client alone does nothing.
            done = subprocess.run(
                [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=_ANSWER_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            tried.append(f"{name}: does not answer ({type(error).__name__})")
            continue
        if done.returncode == 0:
            return name, path, done.stdout.strip(), tried
        complaint = done.stderr.strip().splitlines()
        tried.append(f"{name}: {complaint[-1] if complaint else f'exit code {done.returncode}'}")
    return "", "", "", tried


@dataclass(frozen=True)
class Engine:
    """docker or podman, by name and path."""

    name: str
    path: str
    version: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """What it is called with: that of the user, though the emulator changes its own."""

    def __call__(self, *words: str, environment: Mapping[str, str] | None = None, timeout_s: float | None = 600) -> str:
        """What a command of it prints. Raises EngineError with its last line of complaint."""
        done = subprocess.run(
            [self.path, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            env={**self.environment, **(environment or {})},
            check=False,
        )
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            why = lines[-1] if lines else f"{self.name} {words[0]}: exit code {done.returncode}"
            # Where it is looked for differs by version and by containers.conf: nobody but podman can tell beforehand.
            cure = "; install catatonit, which podman runs as a task's init" if "container-init binary" in why else ""
            raise EngineError(why + cure)
        return done.stdout

    def pull(self, image: str, *, plain: bool) -> None:
        """Fetch an image where it is not here. `plain`: from a registry that speaks HTTP, as the emulator's does."""
        with suppress(EngineError):
            self("image", "inspect", "--format", "{{.Id}}", image)
            return
        self("pull", "--quiet", *(["--tls-verify=false"] if plain and self.name == "podman" else []), image)

    def run(self, name: str, options: Sequence[str], words: Sequence[str], secrets: Mapping[str, str]) -> Started:
        """Start a container; `words` are its image and its command. Secrets reach it by the environment of the engine's
        command, not by the words of that, which all can read."""
        hidden = [f"--env={key}" for key in secrets]
        marks = [f"--label={_LABEL}={os.getpid()}", f"--name={name}"]
        self("run", "--detach", "--pull=never", *marks, *hidden, *options, *words, environment=secrets)
        state = json.loads(self("inspect", name))[0]
        published = (state["NetworkSettings"] or {}).get("Ports") or {}
        ports = {int(port.partition("/")[0]): int(place[0]["HostPort"]) for port, place in published.items() if place}
        return Started(int(state["State"]["Pid"]), ports)

    def lines(self, container: str) -> Iterator[list[str]]:
        """What a container writes, from its beginning to its end: the lines of a tenth of a second together."""
        with subprocess.Popen(
            [self.path, "logs", "--follow", container],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
        ) as process:
            assert process.stdout is not None
            _FOLLOWED[container] = process
            try:
                rest = b""
                while part := os.read(process.stdout.fileno(), 1 << 16):
                    *whole, rest = (rest + part).split(b"\n")
                    if whole:
                        yield [line.decode(errors="replace") for line in whole]
                    time.sleep(0.1)
                if rest:
                    yield [rest.decode(errors="replace")]
            finally:  # also where nobody reads on
                del _FOLLOWED[container]

    def exit_code(self, container: str) -> int:
        """Wait until a container has ended."""
        return int(self("wait", container, timeout_s=None).strip() or 0)

    def passes(self, container: str, words: Sequence[str], timeout_s: float) -> bool:
        """Whether a command in a container ends well, and in time."""
        try:
            self("exec", container, *words, timeout_s=timeout_s)
        except (EngineError, subprocess.TimeoutExpired):
            return False
        return True

    def stop(self, container: str, timeout_s: int) -> None:
        """Ask a container to end, and end it after so many seconds."""
        with suppress(EngineError, subprocess.TimeoutExpired):
            self("stop", "-t", str(timeout_s), container, timeout_s=timeout_s + _ANSWER_S)

    def remove(self, containers: Sequence[str], volumes: Sequence[str] = ()) -> None:
        """Remove containers, running or not, and volumes that they had."""
        with suppress(EngineError):
            if containers:
                at_once = ["--time=0", "--ignore"] if self.name == "podman" else []
                self("rm", "--force", "--volumes", *at_once, *containers)
        for name in {*containers} & {*_FOLLOWED}:
            _FOLLOWED[name].kill()
        with suppress(EngineError):
            if volumes:
                self("volume", "rm", "--force", *volumes)

    def volume(self, name: str) -> None:
        """Make a volume where it is not there yet."""
        with suppress(EngineError):
            self("volume", "create", "--label", f"{_LABEL}={os.getpid()}", name)

    def sweep(self, *, own: bool = False) -> None:
        """Remove what emulators have left that are gone; with `own` what goes with this process, too."""
        label = f'{{{{.Label "{_LABEL}"}}}}' if self.name == "docker" else f'{{{{index .Labels "{_LABEL}"}}}}'

        def left(key: str, *listing: str) -> list[str]:
            listed = self(*listing, "--filter", f"label={_LABEL}", "--format", f"{{{{.{key}}}}} {label}")
            marked = [line.split() for line in listed.splitlines()]
            return [name for name, pid in marked if (own if int(pid) == os.getpid() else not is_alive(int(pid)))]

        for process in [*_FOLLOWED.values()] if own else ():
            process.kill()
        for _ in range(_ROUNDS):  # one may just be made, or just be gone
            containers: list[str] = []
            with suppress(EngineError):
                containers = left("ID", "ps", "--all", "--no-trunc")
                self.remove(containers, left("Name", "volume", "ls"))
                if not containers:
                    return

    def way_home(self) -> WayHome:
        """What containers reach this machine by."""
        if self.name == "docker":
            there, bridge = "host.docker.internal", self._bridge()
            # In a virtual machine of docker's own it leads to the loopback of the host.
            address = bridge or "host-gateway"
            return WayHome(there, address, (f"--add-host={there}:{address}",), bridge or "127.0.0.1")
        if sys.platform == "linux":
            # https://docs.podman.io/en/v4.9.3/markdown/podman-run.1.html#network-mode-net: the loopback of the host
            loopback = "--network=slirp4netns:port_handler=rootlesskit,allow_host_loopback=true"
            return WayHome("10.0.2.2", "10.0.2.2", (loopback,))
        return WayHome("host.containers.internal", "host-gateway")

    def _bridge(self) -> str:
        """The address that this machine has on docker's bridge; empty where the bridge is not on this machine.

        https://docs.docker.com/reference/cli/docker/container/run/#add-host
        Until dockerd is started a second time there is the subnet alone: https://github.com/moby/moby/issues/26799
        """
        template = "{{range .IPAM.Config}}{{or .Gateway .Subnet}} {{end}}"
        with suppress(EngineError, OSError, IndexError, ValueError), socket.socket() as tried:
            network = ipaddress.ip_network(self("network", "inspect", "bridge", "--format", template).split()[0])
            gateway = str(network[1 if network.num_addresses > 1 else 0])
            tried.bind((gateway, 0))
            return gateway
        return ""
