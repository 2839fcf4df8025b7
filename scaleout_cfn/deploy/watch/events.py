"""Stack events: pages in, events out. Pure: no client, no clock.

CloudFormation gives the newest event first, a hundred on a page. A reader stops at the first event that it knows or
that belongs to an earlier operation, never at a time: events of one moment would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from scaleout_cfn.aws import NESTED
from scaleout_cfn.deploy.states import Begins, meaning

#: A failure that is only the consequence of another one.
CONSEQUENCES = ("cancelled", "canceled", "Embedded stack", "The following resource(s) failed", "Nested stack")


@dataclass(frozen=True)
class Hook:
    """What a hook said of a resource. `id` is that of its result, for GetHookResult."""

    type: str
    status: str
    reason: str
    mode: str
    id: str

    @property
    def refuses(self) -> bool:
        """Whether the resource fails for it: in the mode WARN it goes on."""
        return self.status.endswith("_FAILED") and self.mode != "WARN"


@dataclass(frozen=True)
class Event:
    """One event. `path` is where the resource is in the set: `Service/TaskDefinition`, empty for the root itself."""

    stack_id: str
    event_id: str
    time: datetime
    path: str
    type: str
    status: str
    reason: str
    physical_id: str
    token: str
    hook: Hook | None = None

    @property
    def of_stack(self) -> bool:
        """Whether it is about the stack that it was read from, not about a resource in it."""
        return self.physical_id == self.stack_id

    @property
    def begins(self) -> Begins:
        """What it begins, as an event of the root."""
        return meaning(self.status).begins

    @property
    def failed(self) -> bool:
        return self.status.endswith("_FAILED")

    @property
    def running(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True)
class Progress:
    """How many resources are done, of how many that were seen or planned, and which are at work."""

    done: int
    total: int
    current: tuple[str, ...]


def parsed(raw: Mapping[str, Any], stack_path: str) -> Event:
    """One event of DescribeStackEvents' answer, read from the stack at that path of the set."""
    physical_id = raw.get("PhysicalResourceId", "")
    own = physical_id == raw["StackId"]
    path = stack_path if own else f"{stack_path}/{raw['LogicalResourceId']}".lstrip("/")
    return Event(
        stack_id=raw["StackId"],
        event_id=raw["EventId"],
        time=raw["Timestamp"],
        path=path,
        type=raw.get("ResourceType", ""),
        status=raw.get("ResourceStatus", ""),
        reason=raw.get("ResourceStatusReason", ""),
        physical_id=physical_id,
        token=raw.get("ClientRequestToken", ""),
        hook=_hook(raw) if raw.get("HookType") else None,
    )


def _hook(raw: Mapping[str, Any]) -> Hook:
    names = ("HookType", "HookStatus", "HookStatusReason", "HookFailureMode", "HookInvocationId")
    return Hook(*(str(raw.get(name, "")) for name in names))


@dataclass(frozen=True)
class Operation:
    """Something at work on a stack. `token` is on its events; `before` is the stack's version when it was sent."""

    stack_id: str
    token: str
    before: str = ""
    change_set: str = ""
    planned: int = 0


class History:
    """The events of one operation on a root stack and on all that is nested in it.

    `token` is the operation's; empty for the newest operation, whosever it is. `planned` is the number of resources
    that will change, where it is known. It knows which stacks have something new to tell: `active`.
    """

    def __init__(self, root_id: str, token: str = "", planned: int = 0) -> None:
        self.root_id = root_id
        self.token = token
        self.planned = planned
        self.events: list[Event] = []
        self.begun: datetime | None = None
        self.active: dict[str, str] = {root_id: ""}  # ARN to path
        self._paths: dict[str, str] = {root_id: ""}
        self._known: set[tuple[str, str, str]] = set()
        self._last: dict[str, Event] = {}

    def take(self, stack_id: str, pages: Iterable[Mapping[str, Any]]) -> list[Event]:
        """The new events of one stack, oldest first. Takes no more pages than it needs."""
        fresh = self._fresh(stack_id, pages)
        for event in reversed(fresh):
            self._known.add(_key(event))
            self._follow(event)
        fresh.reverse()
        self.events += fresh
        return fresh

    def _fresh(self, stack_id: str, pages: Iterable[Mapping[str, Any]]) -> list[Event]:
        """Newest first: down to what is known, or to the event that began the operation."""
        fresh: list[Event] = []
        is_root = stack_id == self.root_id
        for page in pages:
            for raw in page.get("StackEvents", []):
                event = parsed(raw, self._paths[stack_id])
                if _key(event) in self._known:
                    return fresh
                if not is_root and self.begun is not None and event.time < self.begun:
                    return fresh
                if is_root and self.begun is None and event.of_stack:
                    own = bool(self.token) and event.token == self.token
                    if event.begins == "operation" or (own and event.begins == "rollback"):
                        # Another operation's start: ours is not to be seen yet, and all of this is older.
                        if event.status == "REVIEW_IN_PROGRESS" or (self.token and not own):
                            return []
                        self.begun = event.time
                        return [*fresh, event]
                fresh.append(event)
        return fresh if not is_root or self.begun is not None else []

    def _follow(self, event: Event) -> None:
        self._last[event.path] = event
        if event.type != NESTED or event.of_stack or not event.physical_id.startswith("arn:"):
            return
        self._paths[event.physical_id] = event.path
        # A child that has come to an end is read once more, and then left alone: see `rest`.
        self.active[event.physical_id] = event.path

    def rest(self) -> None:
        """After a round of reading: children that have ended are not read again until something new begins."""
        for stack_id, path in list(self.active.items()):
            if stack_id != self.root_id and path in self._last and not self._last[path].running:
                del self.active[stack_id]

    def wake(self) -> None:
        """Read every stack once more, also those that had ended."""
        self.active.update(self._paths)

    def last(self, path: str) -> Event | None:
        return self._last.get(path)

    @property
    def progress(self) -> Progress:
        leaves = {path: event for path, event in self._last.items() if event.type != NESTED and path}
        done = sum(not event.running for event in leaves.values())
        current = tuple(path for path, event in leaves.items() if event.running)
        return Progress(done, max(len(leaves), self.planned), current)


def _key(event: Event) -> tuple[str, str, str]:
    """What tells one event from all others: in AWS's samples the beginning and the end of a hook have one EventId."""
    return event.stack_id, event.event_id, event.hook.status if event.hook else ""


def refusing_hooks(events: Iterable[Event], cause: Event) -> list[Hook]:
    """The hooks that made a resource fail, each once, where it was one: the failure itself names only their types."""
    hooks = [event.hook for event in events if event.path == cause.path and event.hook and event.hook.refuses]
    return list(dict.fromkeys(hooks)) if "hook" in cause.reason.lower() else []


def first_cause(events: Sequence[Event]) -> Event | None:
    """The failure that all others follow from: the first one in time that is no consequence.

    What fails during a rollback comes after what it is the rollback of.
    """
    failed = sorted((event for event in events if event.failed), key=lambda event: event.time)
    causes = (
        event for event in failed if event.type != NESTED and not any(word in event.reason for word in CONSEQUENCES)
    )
    return next(chain(causes, failed), None)
