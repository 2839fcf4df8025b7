"""Lead a stack out of a failure: RollbackStack or ContinueUpdateRollback, and the end of an update that runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.live import NESTED, Live, Resource, find, resources_of
from scaleout_cfn.deploy.messages import Fact, Outcome, Tell
from scaleout_cfn.deploy.outcome import outcome_of
from scaleout_cfn.deploy.ownership import require_ours
from scaleout_cfn.deploy.protect import restore
from scaleout_cfn.deploy.watch.events import Event, Operation
from scaleout_cfn.deploy.watch.follow import Patience, begin, unsure, watch
from scaleout_cfn.errors import AGAIN, ApiError, BusyError, NeedsHandError, Next, RefusedError, UsageError

__all__ = ["Recovery", "Verb", "cancel", "pick", "rollback", "skippable", "skips"]

Verb: TypeAlias = Literal["rollback_stack", "continue_update_rollback", "watch", "nothing", "refuse", "busy", "stuck"]
#: What ResourcesToSkip takes: a logical id of the root, or the name of a nested stack and a logical id in it.
SKIP = re.compile(r"[a-zA-Z0-9]+|[a-zA-Z][-a-zA-Z0-9]*\.[a-zA-Z0-9]+")


@dataclass(frozen=True)
class Recovery:
    """What leads out of a status: the call that does it, or why there is none, and the command to use instead."""

    verb: Verb
    what: str
    next: Next | None = None


_EARLIER = Next("deploy", words="with the image or the config of the earlier version")
_BACK = Recovery("nothing", "is rolled back already", Next("diagnose"))
_BUSY = Recovery("busy", "is at work", Next("events", ("--follow",), words="then the same command again"))
_GOING_BACK = Recovery("watch", "is rolling back already")
_DELETE = Next("destroy")

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackStack.html
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
RECOVERIES: Final[Mapping[str, Recovery]] = MappingProxyType(
    {
        "REVIEW_IN_PROGRESS": Recovery("nothing", "is a placeholder: nothing was ever deployed"),
        "CREATE_IN_PROGRESS": Recovery("busy", "is being created", Next("cancel")),
        "CREATE_FAILED": Recovery("rollback_stack", "what its creation made is deleted; the empty stack stays"),
        "CREATE_COMPLETE": Recovery("refuse", "was created well: there is no earlier version", _DELETE),
        "ROLLBACK_IN_PROGRESS": _GOING_BACK,
        "ROLLBACK_FAILED": Recovery("stuck", "cannot be rolled back again: it can only be deleted", _DELETE),
        "ROLLBACK_COMPLETE": Recovery("nothing", "is rolled back already", Next("deploy", ("--recreate",))),
        "UPDATE_IN_PROGRESS": Recovery("busy", "is being updated", Next("cancel")),
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Recovery("refuse", "is updated; old resources are removed", _EARLIER),
        "UPDATE_COMPLETE": Recovery("refuse", "was updated well: CloudFormation keeps no way back", _EARLIER),
        "UPDATE_FAILED": Recovery("rollback_stack", "goes back to the version before the failed update"),
        "UPDATE_ROLLBACK_IN_PROGRESS": _GOING_BACK,
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": _GOING_BACK,
        "UPDATE_ROLLBACK_COMPLETE": _BACK,
        "UPDATE_ROLLBACK_FAILED": Recovery("continue_update_rollback", "goes on with the rollback that failed"),
        "DELETE_IN_PROGRESS": Recovery("busy", "is being deleted", Next("destroy", words="to watch it")),
        "DELETE_FAILED": Recovery("stuck", "is half deleted: it can only be deleted on", _DELETE),
        "DELETE_COMPLETE": Recovery("nothing", "is gone", Next("deploy")),
        "IMPORT_IN_PROGRESS": _BUSY,
        "IMPORT_COMPLETE": Recovery("refuse", "took its resources over well", _EARLIER),
        "IMPORT_ROLLBACK_IN_PROGRESS": _GOING_BACK,
        "IMPORT_ROLLBACK_COMPLETE": _BACK,
        "IMPORT_ROLLBACK_FAILED": Recovery("stuck", "cannot be rolled back again", Next("diagnose")),
    }
)


def pick(status: str) -> Recovery:
    """What `rollback` does with a stack in a status, also in one that AWS added since."""
    if status in RECOVERIES:
        return RECOVERIES[status]
    if status.endswith("_IN_PROGRESS"):
        return _BUSY
    return Recovery("stuck", "is in a status that this version does not know", Next("diagnose"))


def skippable(resources: Iterable[Resource]) -> list[str]:
    """The logical paths that a rollback can leave behind: what failed in it, nested stacks themselves left out."""
    return [one.path for one in resources if one.status == "UPDATE_FAILED" and one.type != NESTED]


def skips(paths: Iterable[str], resources: Collection[Resource]) -> list[str]:
    """Logical paths as ResourcesToSkip takes them: `Topic`, or `web-Service-1ABC.Service` for one in a nested stack.

    A nested stack is meant by its name, not by its logical id in its parent. Raises UsageError for a path that is not
    of the set or did not fail.
    """
    known = {one.path: one for one in resources}
    able = skippable(resources)
    found = []
    for path in paths:
        if path not in able:
            what = f"is {known[path].status}, and only what failed can be left" if path in known else "is not there"
            raise UsageError(f"--skip {path}: {what}; give one of: {', '.join(able) or 'none has failed'}")
        one = known[path]
        title = path.rpartition("/")[2]
        entry = title if "/" not in path else f"{one.stack_id.split('/')[1]}.{title}"
        if not SKIP.fullmatch(entry):
            raise UsageError(f"--skip {path}: CloudFormation cannot be told to skip {entry}")
        found.append(entry)
    return found


def rollback(
    aws: Aws,
    stack: str,
    skip: Sequence[str],
    tell: Tell,
    confirm: Callable[[str], bool],
    patience: Patience,
    role_arn: str = "",
    *,
    environment: str = "",
    adopt: bool = False,
) -> Outcome:
    """Lead a failed stack back to the version that worked. Does nothing where it is there already.

    `skip` are logical paths of what cannot be brought back and is left as it is. Raises DeployError or UsageError
    where nothing was begun.
    """
    live = _there(aws, stack)
    way = pick(live.status)
    if skip and way.verb != "continue_update_rollback":
        raise UsageError(f"--skip: only a stack in UPDATE_ROLLBACK_FAILED can skip; {stack} is {live.status}")
    if way.verb == "watch":
        return watch(aws, Operation(live.stack_id, ""), stack, tell, _conclusion(aws, stack, tell), patience)
    if way.verb == "nothing":
        what = f"{stack}: {way.what}"
        return Outcome("no_change", what, live.status, live.stack_id, next=way.next)
    _refuse(way, live)
    require_ours(aws, live, environment, adopt=adopt)
    arguments: dict[str, Any] = {"RoleARN": role_arn} if role_arn else {}
    sentence = f"{stack} is {live.status}: it {way.what}"
    if way.verb == "continue_update_rollback":
        resources = list(resources_of(aws, live.stack_id))
        entries = skips(skip, resources)
        able = skippable(resources)
        if entries:
            arguments["ResourcesToSkip"] = entries
            sentence += f", and leaves {', '.join(skip)} as it is now, whatever the template says"
        elif able:
            tell(_choices(able))
    else:
        # As in the deployment: a first creation that failed leaves nothing behind.
        arguments["RetainExceptOnCreate"] = True
    _ask(confirm, sentence)
    try:
        operation = begin(aws, live, "rollback", way.verb, **arguments)
    except KeyboardInterrupt as stop:
        return unsure(aws, live, stack, stop)
    return watch(aws, operation, stack, tell, _conclusion(aws, stack, tell), patience)


def cancel(
    aws: Aws,
    stack: str,
    tell: Tell,
    confirm: Callable[[str], bool],
    patience: Patience,
    *,
    environment: str = "",
    adopt: bool = False,
) -> Outcome:
    """End an update that runs, and watch it go back to the version before. Does nothing where none runs."""
    live = _there(aws, stack)
    if live.status != "UPDATE_IN_PROGRESS":
        if pick(live.status).verb == "watch":
            return watch(aws, Operation(live.stack_id, ""), stack, tell, _conclusion(aws, stack, tell), patience)
        if live.status in ("CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"):
            verb = live.status.split("_")[0].lower()
            raise RefusedError(
                f"stack {stack} is {live.status}: CloudFormation can cancel an update only, no {verb}",
                state="nothing was changed by this run",
                next=Next("destroy") if verb == "create" else Next("events", ("--follow",)),
            )
        what = f"{stack}: no update runs, so there is none to cancel"
        return Outcome("no_change", what, live.status, live.stack_id)
    require_ours(aws, live, environment, adopt=adopt)
    _ask(confirm, f"{stack} is being updated: the update is given up, and the version before comes back")
    try:
        operation = begin(aws, live, "cancel", "cancel_update_stack")
    except ApiError as error:
        # Between reading and writing it came to its end.
        now = find(aws, live.stack_id)
        if error.kind != "refused" or now is None or now.status == live.status:
            raise
        raise _too_late(now) from None
    except KeyboardInterrupt as stop:
        return unsure(aws, live, stack, stop)
    return watch(aws, operation, stack, tell, _conclusion(aws, stack, tell), patience)


def _there(aws: Aws, stack: str) -> Live:
    live = find(aws, stack)
    if live is None:
        raise UsageError(f"stack {stack}: there is none in {aws.region}; give another --stack")
    return live


def _refuse(way: Recovery, live: Live) -> None:
    if way.verb in ("rollback_stack", "continue_update_rollback"):
        return
    kind = {"busy": BusyError, "refuse": RefusedError}.get(way.verb, NeedsHandError)
    raise kind(
        f"stack {live.name} is {live.status}: it {way.what}",
        state="nothing was changed by this run",
        next=way.next,
    )


def _ask(confirm: Callable[[str], bool], sentence: str) -> None:
    if not confirm(sentence):
        raise RefusedError(
            f"not confirmed: {sentence}",
            state="nothing was changed",
            next=Next(AGAIN, ("--yes",)),
        )


def _choices(able: Sequence[str]) -> Fact:
    return Fact(
        "skippable",
        (
            "These could not be rolled back. Put right what their reasons say, or leave them behind:",
            *(f"--skip {path}" for path in able),
        ),
        {"paths": list(able)},
    )


def _too_late(live: Live) -> RefusedError:
    return RefusedError(
        f"stack {live.name} is {live.status}: the update had ended before it could be cancelled",
        state="nothing was changed by this run",
        next=_EARLIER if live.meaning.end == "done" else live.meaning.next,
    )


def _conclusion(aws: Aws, stack: str, tell: Tell) -> Callable[[Live | None, Sequence[Event]], Outcome]:
    """Back where it was is what was asked for: exit code 0."""

    def conclude(live: Live | None, events: Sequence[Event]) -> Outcome:
        outcome = outcome_of(live, stack, events)
        if live is None:
            return outcome
        restore(aws, live.stack_id, tell)
        if live.meaning.end == "done":
            late = _too_late(live)
            return replace(outcome, end="refused", what=str(late), next=late.next)
        if live.meaning.end == "rolled_back" or live.status == "ROLLBACK_COMPLETE":
            what = (
                "the previous version is in place"
                if live.meaning.end == "rolled_back"
                else "the stack is empty and can only be made anew"
            )
            return replace(outcome, end="recovered", what=f"{stack}: rolled back; {what}")
        return outcome

    return conclude
