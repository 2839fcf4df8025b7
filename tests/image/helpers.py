"""Builders on PATH that only write down how they were called, and what a test needs to have installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PACKAGES = {"htpasswd": "apache2-utils", "nginx": "nginx-light", "dockerd": "docker.io"}


@dataclass(frozen=True)
class Fakes:
    """Fake builders in a folder that is all of PATH. `home` is where they keep what they know."""

    home: Path

    @property
    def programs(self) -> Path:
        return self.home / "bin"

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": str(self.programs), "FAKE_BUILDER": str(self.home), "HOME": str(self.home / "user")}

    def install(self, *names: str) -> None:
        self.programs.mkdir(exist_ok=True)
        for name in names:
            path = self.programs / name
            text = (Path(__file__).parent / "fake_builder.py").read_text()
            path.write_text(f"#!{sys.executable}\n{text}")
            path.chmod(0o755)

    def plan(self, **plan: Any) -> None:
        (self.home / "plan.json").write_text(json.dumps(plan))

    @property
    def calls(self) -> list[dict[str, Any]]:
        path = self.home / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def argvs(self, *verbs: str) -> list[list[str]]:
        return [call["argv"] for call in self.calls if not verbs or set(verbs) & set(call["argv"])]

    def forget(self) -> None:
        (self.home / "calls.jsonl").unlink(missing_ok=True)


def fakes(home: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> Fakes:
    """Fake builders of these names, and none besides, for the process of the test."""
    made = Fakes(home)
    (home / "user").mkdir()
    (home / "tmp").mkdir()
    made.install(*names)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(home / "tmp"))
    return made


def folder(home: Path, files: dict[str, str] | None = None, name: str = "app") -> Path:
    """A folder with a Dockerfile."""
    made = home / name
    for path, text in {"Dockerfile": "FROM scratch\nCOPY . /\n", "main.py": "print()\n", **(files or {})}.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(text)
    return made


def need(*programs: str) -> None:
    """Skips where a program is not installed, or fails where IMAGE_TESTS=required says that all are."""
    for program in programs:
        if shutil.which(program):
            continue
        why = f"{program} is not installed; apt-get install {PACKAGES.get(program, program)}"
        if os.environ.get("IMAGE_TESTS") == "required":
            pytest.fail(why)
        pytest.skip(why)


def told(messages: Sequence[Any]) -> str:
    return "\n".join(getattr(one, "text", str(one)) for one in messages)
