"""Room for change sets: a stack takes about a thousand, and then no more.

A nested stack that a deployment does not change keeps the failed change set of it, which nobody can delete once the
root's is executed. They go when that nested stack itself is changed.
https://github.com/aws/copilot-cli/issues/5614
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.live import Live, resources_of
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.errors import ApiError, DeployError, NeedsHandError, Next

#: Change sets of one stack: what it takes, from where on to warn, and from where on to ask it for no more.
MOST, MANY, FULL = 1000, 800, 950
#: Nested stacks whose change sets a deployment counts. One that is full and not among them is met in proposing.
ASKED = 8
#: What CloudFormation says of a stack that takes no more, be it the root or a nested one.
FULL_WORDS = "ChangeSet limit exceeded"


class FullError(NeedsHandError):
    """A stack that takes no more change sets. Nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason,
            state="nothing was changed",
            next=Next(
                words="delete change sets that nobody needs: aws cloudformation list-change-sets, delete-change-set"
            ),
        )


def fullest(aws: Aws, stack_id: str, *, most: int | None = None) -> tuple[int, str]:
    """The most change sets that a nested stack has, and its logical path; (0, "") where nothing is nested.

    Two calls a nested stack, for what is nested in it and for its change sets, and one more for each further page.
    `most` bounds the number of the stack's own that are looked at: those that were not changed for the longest time,
    which have gathered the most.
    """
    outer = [resource for resource in resources_of(aws, stack_id, inside=()) if resource.is_made(NESTED)]
    outer.sort(key=lambda resource: str(resource.since))
    nested = [*outer[:most]]
    for resource in outer[:most]:
        nested += (one for one in resources_of(aws, resource.physical_id, resource.path) if one.is_made(NESTED))
    counts = ((sum(1 for _ in _there(aws, resource.physical_id)), resource.path) for resource in nested)
    return max(counts, default=(0, ""))


def has_room(aws: Aws, live: Live | None, tell: Tell) -> bool:
    """Whether each nested stack takes one more change set. Where that cannot be read, CloudFormation will say so."""
    if live is None or live.meaning.start == "create":
        return True
    try:
        count, path = fullest(aws, live.stack_id, most=ASKED)
    except DeployError as error:
        tell(Note(f"not known how many change sets the nested stacks have: {error}", "warning"))
        return True
    if count < MANY:
        return True
    words = f"{path} has {count} change sets of the {MOST} that it takes; a change of that stack itself clears them"
    if count <= FULL:
        tell(Note(words, "warning"))
        return True
    tell(Note(f"{words}. Until then changes inside nested stacks are not shown", "warning"))
    return False


def clear(aws: Aws, stack: str) -> list[str]:
    """Delete our own change sets of a stack that are neither executed nor still being made. Returns their names.

    Those that failed, which are of no use to anybody; only where there are none, those that could still be executed.
    """
    there = [
        summary
        for summary in _there(aws, stack)
        if str(summary.get("ChangeSetName", "")).startswith("scfn-")
        and not str(summary.get("ExecutionStatus", "")).startswith("EXECUTE_")
    ]
    failed = [summary for summary in there if summary["Status"] == "FAILED"]
    cleared = []
    for summary in failed or [summary for summary in there if summary["Status"] == "CREATE_COMPLETE"]:
        try:
            # A deletion by ARN, which takes no token: to repeat it deletes nothing else.
            aws.read("cloudformation", "delete_change_set", ChangeSetName=summary["ChangeSetId"])
        except ApiError as error:
            if error.kind not in ("missing", "refused"):
                raise
            continue
        cleared.append(str(summary["ChangeSetName"]))
    return cleared


def _there(aws: Aws, stack: str) -> Iterator[dict[str, Any]]:
    for page in aws.pages("cloudformation", "list_change_sets", StackName=stack):
        yield from (summary for summary in page.get("Summaries", []) if summary.get("Status") != "DELETE_COMPLETE")
