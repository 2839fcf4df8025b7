"""A rehearsal with containers, driven as a user drives it: by the commands, in a folder with a config."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .test_container import Engine

STOP = "import sys; from scaleout_cfn.local import attach; attach(sys.argv[1]).stop()"


@dataclass
class Rehearsal:
    """A folder with a config, from which the commands are called. `inside` is what each command line begins with, where
    the engine has a network of its own."""

    folder: Path
    environment: dict[str, str]
    inside: tuple[str, ...] = ()

    def __call__(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """What a command tells with --local --json, line by line."""
        end = words.index("--") if "--" in words else len(words)
        told = self.typed(*words[:end], "--local", "--json", *words[end:], code=code)
        return [json.loads(line) for line in told.splitlines()]

    def typed(self, *words: str, code: int = 0) -> str:
        """What a command prints on standard output. Any other exit code than this one is the test's failure."""
        done = self._run(sys.executable, "-m", "scaleout_cfn", *words)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def curl(self, url: str) -> str:
        """What an address answers."""
        done = self._run("curl", "--silent", "--show-error", "--fail", "--noproxy", "*", url)
        assert done.returncode == 0, f"{url}: {done.stderr}"
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.inside, *words],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip

    def tasks(self, service: str) -> tuple[int, dict[str, int]]:
        """How many tasks are to run, and how the targets are."""
        (status,) = [line for line in self("status", "--service", service) if line["type"] == "status"]
        deployment = status["services"][service]["deployment"]
        return int(deployment["desired"]), status["services"][service]["targets"]

    @property
    def emulator(self) -> tuple[str, int]:
        """The address and the process of the emulator that is kept; nothing where none is."""
        state = self.folder / "scaleout-cfn" / "local.json"
        found = json.loads(state.read_text()) if state.exists() else {}
        return found.get("endpoint_url", ""), found.get("pid", 0)

    def stop(self) -> None:
        """End the emulator, if it is there, and wait until it is gone."""
        address, _ = self.emulator
        if address:
            self._run(sys.executable, "-c", STOP, address)
            (self.folder / "scaleout-cfn" / "local.json").unlink()


def under_podman(engine: Engine, folder: Path) -> Rehearsal:
    """A rehearsal in a folder, under the podman of the tests."""
    storage = f'driver = "{engine.driver}"\ngraphroot = "{engine.folder}/root"\nrunroot = "{engine.folder}/run"\n'
    (folder / "storage.conf").write_text(f"[storage]\n{storage}")
    environment = os.environ | {
        "CONTAINERS_CONF": engine.environment["CONTAINERS_CONF"],
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",  # so that it is podman
        "XDG_RUNTIME_DIR": str(folder),
    }
    return Rehearsal(folder, environment)


def left(engine: Engine, emulator: int) -> list[str]:
    """Containers that go with an emulator, by its process; others may run beside it."""
    return engine("podman", "ps", "--all", "--quiet", *_of(emulator)).split()


def readers(engine: Engine, emulator: int) -> list[str]:
    """The processes that name a container of an emulator in their command line, as what reads its log does."""
    names = engine("podman", "ps", "--all", "--format", "{{.Names}}", *_of(emulator)).split()
    return [
        path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if any(name in _words(path) for name in names)
    ]


def _of(emulator: int) -> list[str]:
    return ["--filter", f"label=scaleout-cfn.emulator={emulator}"]


def _words(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
