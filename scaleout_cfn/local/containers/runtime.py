"""What makes an emulator run its tasks: called in its process, once MiniStack is patched."""

from __future__ import annotations

import sys
from pathlib import Path

from scaleout_cfn.local.containers.balancer import Balancer
from scaleout_cfn.local.containers.engine import Engine, WayHome
from scaleout_cfn.local.containers.lifecycle import Tasks
from scaleout_cfn.local.containers.scaling import Scaler
from scaleout_cfn.local.containers.tasks import read_secrets

_INSTALLED: list[Tasks] = []


def install(engine: Engine, home: WayHome, port: int, pace: float, secrets: Path | None) -> None:
    """Run the tasks of the emulator at `port` from now on. What emulators before have left is removed first.

    Raises EmulatorError where the file of secrets cannot be read.
    """
    if secrets:
        read_secrets(secrets)
    engine.sweep()
    # The balancer's loop gets its turn beside threads that read logs.
    sys.setswitchinterval(0.0005)
    balancer = Balancer(pace, home.listening)
    balancer.install()
    tasks = Tasks(engine, home, balancer, port, pace, secrets)
    tasks.install()
    Scaler(tasks).install()
    _INSTALLED.append(tasks)


def close() -> None:
    """End all tasks at once, and leave no container behind."""
    for tasks in _INSTALLED:
        tasks.closing = True
        tasks.engine.sweep(own=True)


def session(task: str, container: str) -> list[str]:
    """The command line that runs a command in a container of a task; empty where no such container runs."""
    return _INSTALLED[0].words(task, container) if _INSTALLED else []
