"""Every error of the package, each with the exit code of the command that meets it.

ScaleoutError            1   our own fault, when nothing more precise fits
├── UsageError           2   a file, folder or option cannot be what was asked for
├── ConfigError          2   the config is refused; `problems` holds every reason, not the first
├── WiringError          2   a stack was nested with wires that do not fit its signature
├── SetError             2   the composed set has an error; nothing was written
└── DeployError          1   a deployment cannot go on; it holds the state things are in and the next command
    ├── RejectedError    2   CloudFormation refuses the templates or parameters; nothing was changed
    ├── NeedsHandError   5   the stack is in a state that only a person can resolve
    ├── RefusedError     6   a guard refused, or nobody confirmed
    ├── BusyError        7   somebody else is at work on the stack, or the plan is stale
    ├── AccessError      8   no credentials, expired ones, or not allowed
    └── ApiError         1   a call to AWS failed; `kind` says how
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done, or nothing to do",
        1: "our own fault, a gap of the emulator among them, or a call to AWS that failed",
        2: "usage or config",
        3: "changes present (`diff --exit-code`, `render --check`, `drift`)",
        4: "failed and rolled back; the stack is usable",
        5: "failed; the stack needs a hand",
        6: "refused by a guard, or not confirmed",
        7: "busy, or the plan is stale",
        8: "credentials or permissions",
        9: "stopped waiting; still running",
        10: "lint found an error",
        11: "lint found warnings, and no error",
        130: "interrupted by Ctrl-C; what had begun is still running",
        143: "ended by SIGTERM; what had begun is still running",
    }
)
"""Every exit code of the command line and what it means. docs/exit-codes.md shows the same table."""

Failure: TypeAlias = Literal["expired", "denied", "throttled", "unclear", "missing", "exists", "refused"]
"""How a call to AWS failed. `unclear`: it may have been carried out all the same."""


class Next(NamedTuple):
    """What to do next: a command as its verb and options, and words about it, or only words; and what to do instead.

    The command line makes text of it, with its own name and the options that say where to.
    """

    verb: str = ""
    options: tuple[str, ...] = ()
    words: str = ""
    instead: Next | None = None


#: The verb of the command that was given, once more.
AGAIN: Final = "the same command again"


class Stopped(KeyboardInterrupt):
    """A signal that ends the command, by its number."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


class ScaleoutError(Exception):
    """The base of all errors that this package raises on purpose."""

    exit_code = 1
    next: Next | None = None


class UsageError(ScaleoutError):
    """A path, a name or an option that cannot be used as asked."""

    exit_code = 2

    def __init__(self, message: str, *, next: Next | None = None) -> None:
        self.next = next
        super().__init__(message)


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


class DeployError(ScaleoutError):
    """A deployment that cannot go on. `state` says how things are, `next` what to do about it."""

    def __init__(self, message: str, *, state: str = "", next: Next | None = None) -> None:
        self.state = state
        self.next = next
        super().__init__(message)


class RejectedError(DeployError):
    """A change set that CloudFormation could not make, with the reason of the nested stack that it lies in."""

    exit_code = 2


class NeedsHandError(DeployError):
    """A stack in a state that no deployment can start from."""

    exit_code = 5


class RefusedError(DeployError):
    """What a guard refuses, or what nobody confirmed. Nothing was changed."""

    exit_code = 6


class BusyError(DeployError):
    """A stack on which another operation runs, or that changed since the plan was made."""

    exit_code = 7


class AccessError(DeployError):
    """Credentials that are missing, expired or not allowed to do what was asked."""

    exit_code = 8

    def __init__(self, message: str, *, kind: Failure = "denied", state: str = "", next: Next | None = None) -> None:
        self.kind = kind
        super().__init__(message, state=state, next=next)


class ApiError(DeployError):
    """A call to AWS that failed: which one, with which code, and whether it may have been carried out."""

    def __init__(self, operation: str, kind: Failure, code: str, message: str) -> None:
        self.operation = operation
        self.kind = kind
        self.code = code
        self.reason = message
        again = Next(AGAIN) if kind in ("throttled", "unclear") else None
        super().__init__(f"{operation}: {code}: {message}", next=again)
