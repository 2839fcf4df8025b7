"""Execute what was shown, once. An unclear answer is settled by reading the change set."""

from __future__ import annotations

from dataclasses import dataclass

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.desired import fingerprint_in, token
from scaleout_cfn.deploy.live import find
from scaleout_cfn.errors import ApiError, BusyError

__all__ = ["Operation", "execute"]

TRIES = 5


@dataclass(frozen=True)
class Operation:
    """Something at work on a stack. `token` is on its events; `before` is the stack's version when it was sent."""

    stack_id: str
    token: str
    before: str = ""
    change_set: str = ""
    planned: int = 0


def operation_of(plan: Plan, before: str) -> Operation:
    """The operation that executing a plan begins. Its token is that of the desired state and of this change set."""
    mark = fingerprint_in(plan.description) or "0" * 16
    planned = sum(not change.nested for change in plan.changes)
    return Operation(plan.stack_id, token("deploy", mark, plan.change_set), before, plan.change_set, planned)


def execute(aws: Aws, plan: Plan) -> Operation:
    """Begin the operation of a plan. Raises BusyError when the stack has changed since, or another one was quicker."""
    live = find(aws, plan.stack_id)
    operation = operation_of(plan, f"{live.status} {live.version}" if live else "")
    stale = BusyError(
        f"stack {plan.stack} changed since the plan was made",
        state="nothing was changed by this run",
        next_command="the same command again: it makes a new plan",
    )
    for _ in range(TRIES):
        try:
            aws.write(
                "cloudformation",
                "execute_change_set",
                ChangeSetName=plan.change_set,
                ClientRequestToken=operation.token,
                # A first creation that fails leaves nothing behind, whatever its DeletionPolicy says.
                RetainExceptOnCreate=True,
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
        next_command=f"scaleout-cfn apply {plan.change_set}",
    )
