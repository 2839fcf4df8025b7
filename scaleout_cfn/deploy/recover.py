"""Lead a stack out of a failure: RollbackStack or ContinueUpdateRollback, and the end of an update that runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from scaleout_cfn.aws import NESTED, title_in
from scaleout_cfn.aws.client import Aws, Patience
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, Resource, find, require, resources_of
from scaleout_cfn.deploy.messages import Fact, Outcome, Tell
from scaleout_cfn.deploy.outcome import outcome_of
from scaleout_cfn.deploy.protect import restore
from scaleout_cfn.deploy.states import EARLIER, Recovery
from scaleout_cfn.deploy.watch.events import History, Operation
from scaleout_cfn.deploy.watch.follow import begin, unsure, watch
from scaleout_cfn.errors import AGAIN, ApiError, BusyError, NeedsHandError, Next, RefusedError, UsageError

#: What ResourcesToSkip takes: a logical id of the root, or the name of a nested stack and a logical id in it.
SKIP = re.compile(r"[a-zA-Z0-9]+|[a-zA-Z][-a-zA-Z0-9]*\.[a-zA-Z0-9]+")


def skippable(resources: Iterable[Resource]) -> list[str]:
    """The logical paths that a rollback can leave behind: what failed in it, nested stacks themselves left out."""
    return [resource.path for resource in resources if resource.status == "UPDATE_FAILED" and resource.type != NESTED]


def skips(paths: Iterable[str], resources: Collection[Resource]) -> list[str]:
    """Logical paths as ResourcesToSkip takes them: `Topic`, or `web-Service-1ABC.Service` for one in a nested stack.

    A nested stack is meant by its name, not by its logical id in its parent. Raises UsageError for a path that is not
    of the set or did not fail.
    """
    known = {resource.path: resource for resource in resources}
    able = skippable(resources)
    entries = []
    for path in paths:
        if path not in able:
            what = f"is {known[path].status}, and only what failed can be left" if path in known else "is not there"
            raise UsageError(f"--skip {path}: {what}; give one of: {', '.join(able) or 'none has failed'}")
        resource = known[path]
        title = path.rpartition("/")[2]
        entry = title if "/" not in path else f"{title_in(resource.stack_id)}.{title}"
        if not SKIP.fullmatch(entry):
            raise UsageError(f"--skip {path}: CloudFormation cannot be told to skip {entry}")
        entries.append(entry)
    return entries


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
    live = require(aws, stack)
    way = live.meaning.rollback
    if skip and way.verb != "continue_update_rollback":
        raise UsageError(f"--skip: only a stack in UPDATE_ROLLBACK_FAILED can skip; {stack} is {live.status}")
    if way.verb == "watch":
        return watch(aws, Operation(live.stack_id, ""), stack, tell, _conclusion(aws, stack, tell), patience)
    if way.verb == "nothing":
        what = f"{stack}: {way.what}"
        return Outcome("no_change", what, live.status, live.stack_id, next=way.next)
    require_ours(aws, live, environment, adopt=adopt)
    _refuse(way, live)
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
    live = require(aws, stack)
    if live.status != "UPDATE_IN_PROGRESS":
        if live.meaning.rollback.verb == "watch":
            return watch(aws, Operation(live.stack_id, ""), stack, tell, _conclusion(aws, stack, tell), patience)
        require_ours(aws, live, environment, adopt=adopt)
        if live.meaning.rollback.verb == "busy":
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
        next=EARLIER if live.meaning.end == "done" else live.meaning.next,
    )


def _conclusion(aws: Aws, stack: str, tell: Tell) -> Callable[[Live | None, History], Outcome]:
    """Back where it was is what was asked for: exit code 0."""

    def conclude(live: Live | None, history: History) -> Outcome:
        outcome = outcome_of(live, stack, history.events)
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
