"""What each status of a stack means, one row each: what may begin from it, how it ended, and what leads on.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackStack.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from scaleout_cfn.errors import Next

Start: TypeAlias = Literal["create", "update", "busy", "recreate", "stuck"]
"""What a deployment can do with a stack in a status."""

End: TypeAlias = Literal["running", "done", "rolled_back", "failed", "gone"]
"""How the last operation on a stack ended."""

Verb: TypeAlias = Literal["rollback_stack", "continue_update_rollback", "watch", "nothing", "refuse", "busy", "stuck"]
"""What `rollback` does with a stack in a status."""

Begins: TypeAlias = Literal["", "operation", "rollback"]
"""What an event of the root with a status begins. A rollback is an operation of its own only by its own token: that of
RollbackStack or ContinueUpdateRollback."""


@dataclass(frozen=True)
class Recovery:
    """What leads back out of a status: the call that does it, or why there is none, and the command to use instead."""

    verb: Verb
    what: str
    next: Next | None = None


@dataclass(frozen=True)
class Status:
    """One status. `words` say how the operation ended; `deletable`: DeleteStack takes the stack as it is."""

    start: Start
    end: End
    words: str
    next: Next | None
    rollback: Recovery
    begins: Begins = ""
    deletable: bool = True


EARLIER = Next("deploy", words="with the image or the config of the earlier version")
#: While something is at work that nothing of ours ends.
WATCH = Next("events", ("--follow",), "then the same command again")
_DIAGNOSE, _DESTROY, _RECREATE = Next("diagnose"), Next("destroy"), Next("deploy", ("--recreate",))
_GOING_BACK = Recovery("watch", "is rolling back already")
_BACK = Recovery("nothing", "is rolled back already", _DIAGNOSE)


def _busy(rollback: Recovery, begins: Begins = "", *, deletable: bool = False) -> Status:
    return Status("busy", "running", "", None, rollback, begins, deletable)


# fmt: off
_ROWS: dict[str, Status] = {
    "REVIEW_IN_PROGRESS": Status("create", "gone", "", None,
        Recovery("nothing", "is a placeholder: nothing was ever deployed"), "operation"),
    "CREATE_IN_PROGRESS": _busy(
        Recovery("busy", "is being created", Next("events", ("--follow",), instead=_DESTROY)), "operation",
        deletable=True),
    "CREATE_COMPLETE": Status("update", "done", "created", None,
        Recovery("refuse", "was created well: there is no earlier version",
            Next("deploy", words="with another image or config"))),
    "CREATE_FAILED": Status("update", "failed", "the creation failed, and what was made so far is there",
        Next("deploy", instead=_DESTROY),
        Recovery("rollback_stack", "what its creation made is deleted; the empty stack stays")),
    "ROLLBACK_IN_PROGRESS": _busy(_GOING_BACK, "rollback", deletable=True),
    "ROLLBACK_COMPLETE": Status("recreate", "failed",
        "the creation failed and was rolled back; the stack is empty and can only be made anew", _RECREATE,
        Recovery("nothing", "is rolled back already", _RECREATE)),
    "ROLLBACK_FAILED": Status("stuck", "failed", "the creation failed, and so did rolling it back", _DESTROY,
        Recovery("stuck", "cannot be rolled back again: it can only be deleted", _DESTROY)),
    "UPDATE_IN_PROGRESS": _busy(Recovery("busy", "is being updated", Next("cancel")), "operation"),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": _busy(Recovery("refuse", "is updated; old resources are removed", EARLIER)),
    "UPDATE_COMPLETE": Status("update", "done", "updated", None,
        Recovery("refuse", "was updated well: CloudFormation keeps no way back", EARLIER)),
    "UPDATE_FAILED": Status("update", "failed", "the update failed and was not rolled back", Next("rollback"),
        Recovery("rollback_stack", "goes back to the version before the failed update")),
    "UPDATE_ROLLBACK_IN_PROGRESS": _busy(_GOING_BACK, "rollback"),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": _busy(_GOING_BACK),
    "UPDATE_ROLLBACK_COMPLETE": Status("update", "rolled_back",
        "the update failed and was rolled back; the previous version is in place", _DIAGNOSE, _BACK),
    "UPDATE_ROLLBACK_FAILED": Status("stuck", "failed", "the update failed, and so did rolling it back",
        Next("rollback"), Recovery("continue_update_rollback", "goes on with the rollback that failed")),
    "DELETE_IN_PROGRESS": _busy(
        Recovery("busy", "is being deleted", Next("destroy", words="to watch it")), "operation"),
    "DELETE_COMPLETE": Status("create", "gone", "the stack is gone", None,
        Recovery("nothing", "is gone", Next("deploy"))),
    "DELETE_FAILED": Status("stuck", "failed", "the deletion failed; what could not be deleted is still there",
        _DESTROY, Recovery("stuck", "is half deleted: it can only be deleted on", _DESTROY)),
    "IMPORT_IN_PROGRESS": _busy(Recovery("busy", "is at work", WATCH), "operation"),
    "IMPORT_COMPLETE": Status("update", "done", "imported", None,
        Recovery("refuse", "took its resources over well", EARLIER)),
    "IMPORT_ROLLBACK_IN_PROGRESS": _busy(_GOING_BACK),
    "IMPORT_ROLLBACK_COMPLETE": Status("update", "rolled_back", "the import failed and was rolled back",
        _DIAGNOSE, _BACK),
    "IMPORT_ROLLBACK_FAILED": Status("stuck", "failed", "the import failed, and so did rolling it back",
        _DIAGNOSE, Recovery("stuck", "cannot be rolled back again", _DIAGNOSE)),
}
# fmt: on
STATUSES: Final[Mapping[str, Status]] = MappingProxyType(_ROWS)


def meaning(status: str) -> Status:
    """The meaning of a status, also of one that AWS added since: it waits for what is in progress."""
    if status in STATUSES:
        return STATUSES[status]
    if status.endswith("_IN_PROGRESS"):
        return _busy(Recovery("busy", "is at work", WATCH))
    unknown = Recovery("stuck", "is in a status that this version does not know", _DIAGNOSE)
    return Status("stuck", "failed", "", _DIAGNOSE, unknown)
