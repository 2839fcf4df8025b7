"""What a deployment tells while it goes on. Views draw these; nothing else prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.watch.events import Event, Progress

__all__ = [
    "Blocked",
    "Fact",
    "Message",
    "Note",
    "Outcome",
    "Planned",
    "Rollout",
    "Started",
    "Tell",
    "Uploaded",
    "Watched",
]


@dataclass(frozen=True)
class Started:
    """Who deploys what, and where to."""

    command: str
    stack: str
    account_id: str
    region: str
    arn: str
    role_arn: str = ""


@dataclass(frozen=True)
class Uploaded:
    """Templates that are in the bucket now: how many of all are new."""

    new: int
    total: int
    root_url: str


@dataclass(frozen=True)
class Planned:
    """A change set that is ready: what will be executed, and nothing else."""

    plan: Plan
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Blocked:
    """Changes that the guard holds back, by logical path, each with its reason."""

    changes: Mapping[str, str]


@dataclass(frozen=True)
class Watched:
    """What a poll brought: new events, oldest first, and how far things are."""

    status: str
    events: tuple[Event, ...]
    progress: Progress
    elapsed_s: float


@dataclass(frozen=True)
class Rollout:
    """An ECS deployment: its state, tasks, and why it is not further."""

    service: str
    state: str
    stage: str = ""
    running: int = 0
    pending: int = 0
    desired: int = 0
    failed: int = 0
    threshold: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Note:
    """A sentence for whoever watches."""

    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Fact:
    """Something that was found out: `lines` for people, the first one its headline; `kind` and `data` for programs."""

    kind: str
    lines: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Outcome:
    """How a command ended: what happened, the first cause, the state things are in, and the next command.

    `outcome` is one word for programs; `exit_code` one of `scaleout_cfn.errors.EXIT_CODES`.
    """

    outcome: str
    exit_code: int
    what: str
    status: str = ""
    stack_id: str = ""
    cause: Event | None = None
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    next_command: str = ""
    change_set: str = ""


Message: TypeAlias = Started | Uploaded | Planned | Blocked | Watched | Rollout | Note | Fact | Outcome
Tell: TypeAlias = Callable[[Message], None]
