"""Every error of the package, each with the exit code of the command that meets it.

ScaleoutError            1   our own fault, when nothing more precise fits
├── UsageError           2   a file, folder or option cannot be what was asked for
├── ConfigError          2   the config is refused; `problems` holds every reason, not the first
├── WiringError          2   a stack was nested with wires that do not fit its signature
└── SetError             2   the composed set has an error; nothing was written
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ConfigError", "ScaleoutError", "SetError", "UsageError", "WiringError"]


class ScaleoutError(Exception):
    """The base of all errors that this package raises on purpose."""

    exit_code = 1


class UsageError(ScaleoutError):
    """A path, a name or an option that cannot be used as asked."""

    exit_code = 2


class ConfigError(ScaleoutError):
    """A config that is refused, with one line for each reason."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class WiringError(ScaleoutError):
    """A nested stack that was given too much, too little, or the wrong kind."""

    exit_code = 2


class SetError(ScaleoutError):
    """A stack set that would fail on CloudFormation, with one line for each reason."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
