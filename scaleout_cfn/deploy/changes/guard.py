"""Which changes may not happen without consent: those that destroy what holds data. Pure.

Consent is the logical path of the resource, `Data/Table`. A general yes is none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from scaleout_cfn.deploy.changes.plan import Change
from scaleout_cfn.errors import UsageError

__all__ = ["blocked", "destroys", "takes"]

KEEPS = {"Retain", "Snapshot", "ReplaceAndRetain", "ReplaceAndSnapshot", "RetainExceptOnCreate"}


def takes(change: Change) -> bool:
    """Whether a change takes the place of what holds data, or takes it out of the stack, whatever becomes of it then.

    A policy that AWS does not name counts as deletion: it is the default of CloudFormation.
    """
    if not change.stateful or change.action in ("Add", "Import"):
        return False
    return change.action == "Remove" or change.replacement != "none" or change.policy in ("Delete", "ReplaceAndDelete")


def destroys(change: Change) -> str:
    """In what way a change destroys data, in words; empty when it does not."""
    if not takes(change) or change.policy in KEEPS:
        return ""
    if change.action == "Remove" or change.policy == "Delete":
        return "would be deleted, with what it holds"
    sure = "would" if change.replacement == "certain" else "might"
    return f"{sure} be replaced and the old one deleted, because of {change.why or 'its properties'}"


def blocked(changes: Iterable[Change], allowed: Collection[str]) -> dict[str, str]:
    """Logical path to reason of every change that destroys data and is not named in `allowed`.

    Raises UsageError when `allowed` names what destroys nothing: consent to a slip of the pen is no consent.
    """
    found = {change.path: reason for change in changes if (reason := destroys(change))}
    if unknown := sorted(set(allowed) - set(found)):
        there = ", ".join(found) or "none, so leave the option out"
        raise UsageError(f"--allow-replace {unknown[0]}: nothing of that path is to be replaced or deleted: {there}")
    return {path: reason for path, reason in found.items() if path not in allowed}
