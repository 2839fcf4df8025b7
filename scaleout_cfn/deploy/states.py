"""What each status of a stack means: whether something is at work, how it ended, and what to do about it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from scaleout_cfn.errors import Next

__all__ = ["STATUSES", "End", "Start", "Status", "meaning"]

Start: TypeAlias = Literal["create", "update", "busy", "recreate", "stuck"]
"""What a deployment can do with a stack in a status."""

End: TypeAlias = Literal["running", "done", "rolled_back", "failed", "gone"]
"""How the last operation on a stack ended."""


@dataclass(frozen=True)
class Status:
    """One status: where a deployment starts from it, how it ended, and the command that leads on."""

    start: Start
    end: End
    next: Next | None = None


_BUSY = Status("busy", "running")
_DONE = Status("update", "done")
_BACK = Status("update", "rolled_back", Next("diagnose"))

STATUSES: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "REVIEW_IN_PROGRESS": Status("create", "gone"),
        "CREATE_IN_PROGRESS": _BUSY,
        "CREATE_COMPLETE": _DONE,
        "CREATE_FAILED": Status("update", "failed", Next("deploy", instead=Next("destroy"))),
        "ROLLBACK_IN_PROGRESS": _BUSY,
        "ROLLBACK_COMPLETE": Status("recreate", "failed", Next("deploy", ("--recreate",))),
        "ROLLBACK_FAILED": Status("stuck", "failed", Next("destroy")),
        "UPDATE_IN_PROGRESS": _BUSY,
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": _BUSY,
        "UPDATE_COMPLETE": _DONE,
        "UPDATE_FAILED": Status("update", "failed", Next("rollback")),
        "UPDATE_ROLLBACK_IN_PROGRESS": _BUSY,
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": _BUSY,
        "UPDATE_ROLLBACK_COMPLETE": _BACK,
        "UPDATE_ROLLBACK_FAILED": Status("stuck", "failed", Next("rollback")),
        "DELETE_IN_PROGRESS": _BUSY,
        "DELETE_COMPLETE": Status("create", "gone"),
        "DELETE_FAILED": Status("stuck", "failed", Next("destroy")),
        "IMPORT_IN_PROGRESS": _BUSY,
        "IMPORT_COMPLETE": _DONE,
        "IMPORT_ROLLBACK_IN_PROGRESS": _BUSY,
        "IMPORT_ROLLBACK_COMPLETE": _BACK,
        "IMPORT_ROLLBACK_FAILED": Status("stuck", "failed", Next("diagnose")),
    }
)


def meaning(status: str) -> Status:
    """The meaning of a status, also of one that AWS added since: it waits for what is in progress."""
    if status in STATUSES:
        return STATUSES[status]
    return _BUSY if status.endswith("_IN_PROGRESS") else Status("stuck", "failed", Next("diagnose"))
