"""What a deployment tells while it goes on. Views draw these; nothing else prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.watch.events import Event, Progress
from scaleout_cfn.errors import Next


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
class Hook:
    """What a deployment waits for: kind PAUSE is somebody's answer, AWS_LAMBDA the function `target`. At `until` ECS
    does `otherwise`: CONTINUE or ROLLBACK."""

    id: str
    kind: str
    status: str
    target: str = ""
    until: datetime | None = None
    otherwise: str = ""


@dataclass(frozen=True)
class Revision:
    """A version in an ECS deployment, the new one or what was there: its tasks, and the percent of production and of
    test traffic that ECS gives it."""

    role: Literal["new", "old"]
    arn: str
    running: int = 0
    pending: int = 0
    desired: int = 0
    traffic: float | None = None
    tests: float | None = None


@dataclass(frozen=True)
class Rollout:
    """An ECS deployment: its state, tasks, and why it is not further. `name` is what the set calls the service, and
    `deployment` the deployment's ARN. `until` is about when the time ends that a version is given before more traffic
    moves or the old tasks go. `alarms` watch it, `ringing` are those that went off."""

    name: str
    service: str
    state: str
    stage: str = ""
    running: int = 0
    pending: int = 0
    desired: int = 0
    failed: int = 0
    threshold: int = 0
    reason: str = ""
    deployment: str = ""
    strategy: str = ""
    revisions: tuple[Revision, ...] = ()
    hooks: tuple[Hook, ...] = ()
    until: datetime | None = None
    alarms: tuple[str, ...] = ()
    ringing: tuple[str, ...] = ()

    @property
    def shifts(self) -> bool:
        """Whether traffic moves from the old tasks to the new ones, instead of tasks taking each other's place."""
        return self.strategy not in ("", "ROLLING")

    @property
    def paused(self) -> tuple[Hook, ...]:
        """The pauses that wait for somebody's answer."""
        return tuple(hook for hook in self.hooks if hook.kind == "PAUSE" and hook.status == "AWAITING_ACTION")

    @property
    def new(self) -> Revision | None:
        """The version that it brings, where ECS tells."""
        return next((revision for revision in self.revisions if revision.role == "new"), None)


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
    next: Next | None = None


Exit: TypeAlias = Literal[
    "done", "error", "invalid", "changes", "rolled_back", "failed", "refused", "busy", "no_access", "still_running",
    "no_change", "planned", "healthy", "diagnosed", "destroyed", "recovered", "gone", "interrupted",
]  # fmt: skip
"""How a command ended."""

#: The exit code of each. The first of a code is what an error with that code ends in.
EXITS: Final[Mapping[Exit, int]] = MappingProxyType(
    {
        "done": 0,
        "error": 1,
        "invalid": 2,
        "changes": 3,
        "rolled_back": 4,
        "failed": 5,
        "refused": 6,
        "busy": 7,
        "no_access": 8,
        "still_running": 9,
        "no_change": 0,
        "planned": 0,
        "healthy": 0,
        "diagnosed": 0,
        "destroyed": 0,
        "recovered": 0,
        "gone": 5,
        "interrupted": 130,
    }
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: what happened, the first cause, the state things are in, and the next command.

    `end` is one word for programs. `waiting` are the root parameters of images that are not given yet. `code` is the
    exit code where it is not ours to choose: a signal's, or that of a command which ran in a task.
    """

    end: Exit
    what: str
    status: str = ""
    stack_id: str = ""
    cause: Event | None = None
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    next: Next | None = None
    change_set: str = ""
    waiting: tuple[str, ...] = ()
    code: int | None = None

    @property
    def exit_code(self) -> int:
        """One of `scaleout_cfn.errors.EXIT_CODES`, unless `code` is given."""
        return EXITS[self.end] if self.code is None else self.code


Message: TypeAlias = Started | Uploaded | Planned | Blocked | Watched | Rollout | Note | Fact | Outcome
Tell: TypeAlias = Callable[[Message], None]


def span(start: datetime, end: datetime) -> str:
    """3 d 4 h, 2 h 5 min, or 12 min."""
    minutes = max(0, int((end - start).total_seconds())) // 60
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def left(until: datetime, now: datetime) -> str:
    """12:30:00Z, 9 min left; with the day where it is another one."""
    day = f"{until.astimezone(UTC):%Y-%m-%d} " if until.astimezone(UTC).date() != now.astimezone(UTC).date() else ""
    return f"{day}{until.astimezone(UTC):%H:%M:%SZ}, {span(now, until)} left"
