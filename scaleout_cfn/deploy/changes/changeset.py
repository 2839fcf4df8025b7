"""Change sets: proposed, executed once, discarded. Names and tokens come from the state, so that the same
command finds its own change set after any interruption."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaleout_cfn.aws import title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes import quota
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.desired import Desired, fingerprint_in, token
from scaleout_cfn.deploy.live import Live, find
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.deploy.watch.events import Operation
from scaleout_cfn.errors import AGAIN, ApiError, BusyError, NeedsHandError, Next, RejectedError, ScaleoutError

NO_CHANGES = ("The submitted information didn't contain changes", "No updates are to be performed", "No changes")
PENDING = ("CREATE_PENDING", "CREATE_IN_PROGRESS")
MOST_NAMES = 20
SETTLE_S = 15 * 60.0
TRIES = 5


@dataclass(frozen=True)
class ChangeSet:
    """A change set that is ready to be executed. `made_stack`: the stack is only a placeholder, made for it."""

    arn: str
    stack_id: str
    made_stack: bool


class Draft:
    """What is known of a change set while it is being made, for whoever has to clean up after an interrupt."""

    def __init__(self) -> None:
        self.stack_name = ""
        self.name = ""
        self.made_stack = False


def propose(
    aws: Aws, desired: Desired, live: Live | None, draft: Draft, tell: Tell, *, nested: bool = True
) -> ChangeSet | None:
    """A change set to the desired state, new or left by an earlier run; None when there is nothing to change.

    `nested` asks for the changes inside nested stacks. Where a stack takes no more change sets, those of ours that
    were never executed are deleted; if that does not help, it goes without the nested ones. Raises RejectedError with
    the reason when CloudFormation cannot make it; nothing of it is left then.
    """
    ways = (nested, nested, False) if nested and not desired.looks_inside else (nested, nested)
    cleared: list[str] = []
    for number, way in enumerate(ways):
        try:
            return _propose_once(aws, desired, live, draft, way, number)
        except quota.FullError as error:
            if number + 1 == len(ways):
                if cleared:
                    error.state = f"{len(cleared)} change sets that were never executed are deleted, and nothing else"
                raise
            if number == 0:
                cleared = quota.clear(aws, desired.stack_name)
                names = ", ".join(cleared[:5]) + (f" and {len(cleared) - 5} more" if len(cleared) > 5 else "")
                tell(Note(f"{error}; deleted of ours, which were never executed: {names or 'none'}", "warning"))
            else:
                tell(Note(f"{error}; going on without those of nested stacks", "warning"))
    raise AssertionError("unreachable")


def _propose_once(
    aws: Aws, desired: Desired, live: Live | None, draft: Draft, nested: bool, number: int
) -> ChangeSet | None:
    described = _make_or_find(aws, desired, live, draft, nested, number)
    arn, stack_id = described["ChangeSetId"], described["StackId"]
    described = _wait_until_made(aws, arn, SETTLE_S)
    if described["Status"] == "CREATE_COMPLETE":
        return ChangeSet(arn, stack_id, draft.made_stack)
    reason = described.get("StatusReason", "")
    if reason.startswith(NO_CHANGES):
        discard(aws, arn, stack_id, placeholder=draft.made_stack)
        return None
    why = explained(aws, described)
    discard(aws, arn, stack_id, placeholder=draft.made_stack)
    if quota.FULL_WORDS in why:
        raise quota.FullError(why)
    raise RejectedError(
        f"CloudFormation refuses the change: {why}",
        state="nothing was changed; the change set is deleted",
        next=Next(words="correct the config, then the same command again"),
    )


def _make_or_find(
    aws: Aws, desired: Desired, live: Live | None, draft: Draft, nested: bool, number: int
) -> dict[str, Any]:
    """Create the change set under a name that its state gives, or find that an earlier run did."""
    creates = live is None or live.meaning.start == "create"
    state = "new" if creates or live is None else f"{live.stack_id} {live.version}"
    # One without nested ones is another change set, and so is one that is tried again.
    state += ("" if nested else " alone") + (f" {number}" if number else "") + " drift" * desired.revert_drift
    state += " import" * desired.takes_in
    first = token("set", desired.fingerprint, state)
    draft.stack_name = desired.stack_name
    draft.made_stack = live is None
    for count in range(1, MOST_NAMES + 1):
        draft.name = first if count == 1 else f"{first}-{count}"
        arguments: dict[str, Any] = {
            "StackName": desired.stack_name,
            "ChangeSetName": draft.name,
            "ChangeSetType": "CREATE" if creates else "UPDATE",
            "ClientToken": draft.name,
            "Description": f"scaleout-cfn {draft.name}",
            "TemplateURL": desired.published.root.url,
            "Parameters": desired.request(),
            "Capabilities": list(desired.published.capabilities),
            "Tags": [{"Key": key, "Value": value} for key, value in desired.tags.items()],
            "IncludeNestedStacks": nested,
            "OnStackFailure": "ROLLBACK",
        }
        if desired.revert_drift:
            # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html
            arguments["DeploymentMode"] = "REVERT_DRIFT"
        if desired.takes_in:
            arguments["ImportExistingResources"] = True
        if desired.role_arn:
            arguments["RoleARN"] = desired.role_arn
        described, new = _send(aws, arguments)
        if new:
            return {"ChangeSetId": described["Id"], "StackId": described["StackId"]}
        ours = fingerprint_in(described.get("Description", "")) == desired.fingerprint
        usable = described["Status"] in PENDING or described["ExecutionStatus"] == "AVAILABLE"
        if ours and usable and not desired.revert_drift:
            draft.made_stack = creates
            return described
        if ours and usable:  # what is there was read when it was made
            discard(aws, described["ChangeSetId"], described["StackId"], placeholder=False)
    raise BusyError(f"stack {desired.stack_name} has {MOST_NAMES} change sets of this state; delete some of them")


def _send(aws: Aws, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Send the request. Its answer and True when the change set was made by it, else the one that has its name.

    An unclear answer is settled by looking for the change set; only where there is none is it sent again.
    """
    name = {key: arguments[key] for key in ("StackName", "ChangeSetName")}
    for last in (False, False, True):
        try:
            return aws.write("cloudformation", "create_change_set", **arguments), True
        except ApiError as error:
            if error.kind == "exists":
                return aws.read("cloudformation", "describe_change_set", **name), False
            if error.kind != "unclear":
                raise _rejected(error) from None
            try:
                return aws.read("cloudformation", "describe_change_set", **name), False
            except ApiError as missing:
                if missing.kind != "missing" or last:
                    raise
            aws.pace.wait()
    raise AssertionError("unreachable")


def _rejected(error: ApiError) -> ScaleoutError:
    if error.code == "LimitExceededException":
        if quota.FULL_WORDS in error.reason:
            return quota.FullError(error.reason)
        return NeedsHandError(  # another quota: of stacks, for instance
            f"CloudFormation takes no more: {error.reason}",
            state="nothing was changed",
            next=Next(words="delete what nobody needs, or ask AWS for a higher quota; then the same command again"),
        )
    if error.kind == "refused" and error.code in ("ValidationError", "InsufficientCapabilitiesException"):
        return RejectedError(
            f"CloudFormation refuses the change: {error.reason}",
            state="nothing was changed",
            next=Next(words="correct the config, then the same command again"),
        )
    return error


def _wait_until_made(aws: Aws, arn: str, patience_s: float) -> dict[str, Any]:
    """The change set once it is made or has failed."""
    for _ in aws.pace.turns(aws.pace.clock() + patience_s):
        described = aws.read("cloudformation", "describe_change_set", ChangeSetName=arn)
        if described["Status"] not in PENDING:
            return described
    raise BusyError(
        f"change set {title_in(arn)} is still being made",
        state="nothing was changed; CloudFormation goes on making the change set",
        next=Next(AGAIN, words="it goes on with this change set"),
    )


def operation_of(plan: Plan, before: str) -> Operation:
    """The operation that executing a plan begins. Its token is that of the desired state and of this change set."""
    mark = fingerprint_in(plan.description)
    planned = sum(not change.nested for change in plan.changes)
    return Operation(plan.stack_id, token("deploy", mark, plan.change_set), before, plan.change_set, planned)


def execute(aws: Aws, plan: Plan) -> Operation:
    """Begin the operation of a plan. Raises BusyError when the stack has changed since, or another one was quicker."""
    live = find(aws, plan.stack_id)
    operation = operation_of(plan, f"{live.status} {live.version}" if live else "")
    stale = BusyError(
        f"stack {plan.stack} changed since the plan was made",
        state="nothing was changed by this run",
        next=Next(AGAIN, words="it makes a new plan"),
    )
    for _ in range(TRIES):
        try:
            aws.write(
                "cloudformation",
                "execute_change_set",
                ChangeSetName=plan.change_set,
                ClientRequestToken=operation.token,
                # A first creation that fails leaves nothing behind, whatever its DeletionPolicy says.
                # What is taken in was there before: nothing is deleted that its DeletionPolicy keeps.
                RetainExceptOnCreate=all(change.action != "Import" for change in plan.changes),
            )
            return operation
        except ApiError as error:
            if error.code == "TokenAlreadyExistsException":
                return operation
            if error.kind == "missing":
                raise stale from None
            if error.kind != "unclear" and "InvalidChangeSetStatus" not in error.code:
                raise
        try:
            status = aws.read("cloudformation", "describe_change_set", ChangeSetName=plan.change_set)["ExecutionStatus"]
        except ApiError as gone:
            if gone.kind == "missing":  # another one was executed, which removes all others
                raise stale from None
            raise
        if status.startswith("EXECUTE_"):
            return operation
        if status != "AVAILABLE":
            raise stale
        aws.pace.wait()
    raise BusyError(
        f"change set {plan.change_set} could not be executed: AWS gives no clear answer",
        state="the change set is there and was not executed",
        next=Next("apply", (plan.change_set,)),
    )


def discard(aws: Aws, change_set: str, stack: str, *, placeholder: bool, patience_s: float = SETTLE_S) -> str:
    """Delete a change set that is not executed, and the placeholder stack that was made for it.

    Returns "discarded", "running" when it turned out to be executed, or "left" when it was still being made:
    deleting it then would wedge the stack (https://github.com/aws-cloudformation/rain/issues/477).
    """
    try:
        described = (
            _wait_until_made(aws, change_set, patience_s)
            if change_set.startswith("arn:")
            else _wait_by_name(aws, change_set, stack, patience_s)
        )
    except BusyError:
        return "left"
    except ApiError as error:
        if error.kind != "missing":
            raise
        described = None
    if described is not None:
        if described["ExecutionStatus"].startswith("EXECUTE_"):
            return "running"
        try:
            aws.write("cloudformation", "delete_change_set", ChangeSetName=described["ChangeSetId"])
        except ApiError as error:
            if error.code.startswith("InvalidChangeSetStatus"):
                return "running"
            if error.kind not in ("missing", "unclear"):
                raise
    if placeholder:
        _remove_placeholder(aws, described["StackId"] if described else stack)
    return "discarded"


def _wait_by_name(aws: Aws, name: str, stack: str, patience_s: float) -> dict[str, Any]:
    described = aws.read("cloudformation", "describe_change_set", StackName=stack, ChangeSetName=name)
    return _wait_until_made(aws, described["ChangeSetId"], patience_s)


def _remove_placeholder(aws: Aws, stack: str) -> None:
    """Delete a stack in REVIEW_IN_PROGRESS, unless it waits for somebody else's change set."""
    live = find(aws, stack)
    if live is None or live.status != "REVIEW_IN_PROGRESS":
        return
    gone = ("DELETE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_PENDING")
    pages = aws.pages("cloudformation", "list_change_sets", StackName=live.stack_id)
    if all(summary["Status"] in gone for page in pages for summary in page.get("Summaries", [])):
        aws.write(
            "cloudformation",
            "delete_stack",
            StackName=live.stack_id,
            ClientRequestToken=token("unmake", "", live.stack_id),
        )


_ARN = re.compile(r"arn:[\w-]+:cloudformation:[\w-]+:\d+:changeSet/[\w/-]+")


def explained(aws: Aws, described: Mapping[str, Any], depth: int = 0) -> str:
    """Why a change set failed: the reason of the child that the root only points to, and what validations and hooks
    found."""
    reason = str(described.get("StatusReason", "")) or "no reason given"
    arn = _ARN.search(reason)
    if arn and arn[0] != described["ChangeSetId"] and depth < 5:
        try:
            child = aws.read("cloudformation", "describe_change_set", ChangeSetName=arn[0])
            return f"{child['StackName']}: {explained(aws, child, depth + 1)}"
        except ScaleoutError:
            return reason
    more = [words for words, _ in _validations(aws, described["ChangeSetId"])]
    if "hook" in reason.lower():
        more += _hooks(aws, described["ChangeSetId"])
    return "".join([reason, *(f"\n  - {line}" for line in more)])


def warnings(aws: Aws, change_set: str) -> list[str]:
    """What the validation of a change set that is ready found, and lets through: a repository with images that is to
    be deleted, say, or a quota.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_OperationEvent.html
    """
    return [f"validation: {words}" for words, mode in _validations(aws, change_set) if mode == "WARN"]


def _validations(aws: Aws, change_set: str) -> list[tuple[str, str]]:
    """What the validation found, each with its mode, FAIL or WARN. It needs a permission of its own."""
    reasons = []
    try:
        arguments = {"ChangeSetName": change_set}
        while True:
            answer = aws.once("cloudformation", "describe_events", **arguments)
            for raw in answer.get("OperationEvents", []):
                if reason := raw.get("ValidationStatusReason"):
                    place = f"{raw.get('LogicalResourceId', '')} {raw.get('ValidationPath', '')}".strip()
                    reasons.append(
                        (f"{place}: {reason}" if place else reason, raw.get("ValidationFailureMode", "FAIL"))
                    )
            if not answer.get("NextToken"):
                return reasons
            arguments["NextToken"] = answer["NextToken"]
    except ScaleoutError:
        return reasons


def _hooks(aws: Aws, change_set: str) -> list[str]:
    """What hooks said of a change set: they leave no events."""
    try:
        pages = aws.pages("cloudformation", "list_hook_results", TargetType="CHANGE_SET", TargetId=change_set)
        failed = [
            result
            for page in pages
            for result in page.get("HookResults", [])
            if result.get("Status", "").endswith("_FAILED") and result.get("FailureMode") != "WARN"
        ]
    except ScaleoutError:
        return []
    return [
        f"{result.get('TypeName', 'hook')}: {words}"
        for result in failed
        for words in hook_words(aws, result.get("HookResultId", ""), result.get("HookStatusReason", ""))
    ]


def hook_words(aws: Aws, result_id: str, reason: str) -> list[str]:
    """What a hook objects to, with its remedies; the reason alone where it says no more, or that may not be read.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetHookResult.html
    """
    try:
        answer = aws.once("cloudformation", "get_hook_result", HookResultId=result_id) if result_id else {}
    except ScaleoutError:
        answer = {}
    words = []
    for note in answer.get("Annotations", []):
        if note.get("Status") == "FAILED":
            parts = (note.get("StatusMessage"), note.get("RemediationMessage"), note.get("RemediationLink"))
            words.append(f"{note.get('AnnotationName', '')}: {'; '.join(part for part in parts if part)}")
    return words or [str(answer.get("HookStatusReason") or reason or "no reason given")]
