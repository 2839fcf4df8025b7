"""A plan: every change of a change set in every nested stack, with values before and after, and why. Pure.

What destroys data may not happen without consent, which is the logical path of the resource, `Data/Table`. A general
yes is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from scaleout_cfn.deploy.changes.stateful import DISRUPTIVE, held_by, is_stateful
from scaleout_cfn.deploy.watch.events import NESTED
from scaleout_cfn.errors import UsageError

__all__ = [
    "MARK",
    "Change",
    "Plan",
    "Property",
    "Replacement",
    "blocked",
    "change_of",
    "destroys",
    "is_marked",
    "kind_of",
    "takes",
]

Replacement: TypeAlias = Literal["none", "possible", "certain"]
#: The policies under which nothing is lost.
KEEPS = {"Retain", "Snapshot", "ReplaceAndRetain", "ReplaceAndSnapshot", "RetainExceptOnCreate"}
UNKNOWN = "(known after it is applied)"

#: The Metadata by which a resource of another type says that it holds data: {"scaleout:stateful": true}.
MARK = "scaleout:stateful"


@dataclass(frozen=True)
class Property:
    """One property that changes. `forces_replacement` is AWS's word for this property alone."""

    name: str
    before: str
    after: str
    forces_replacement: Replacement = "none"
    cause: str = ""


@dataclass(frozen=True)
class Change:
    """One resource that changes. `path` is `Data/Table`; `policy` what becomes of the physical resource."""

    path: str
    type: str
    action: str
    replacement: Replacement = "none"
    policy: str = ""
    stateful: bool = False
    disruptive: bool = False
    physical_id: str = ""
    stack_id: str = ""
    properties: tuple[Property, ...] = ()
    #: A nested stack whose own changes are not shown, or what is in such a one and might be among them.
    unseen: bool = False

    @property
    def nested(self) -> bool:
        return self.type == NESTED

    @property
    def routine(self) -> bool:
        """A new revision of a task definition is a replacement, and what every deployment of an image does."""
        return self.type == "AWS::ECS::TaskDefinition"

    @property
    def why(self) -> str:
        """What forces the replacement, or else what changes."""
        if self.unseen:
            return "changes that are not shown"
        forcing = [one.name for one in self.properties if one.forces_replacement != "none"]
        return ", ".join(dict.fromkeys(forcing or [one.name for one in self.properties]))


@dataclass(frozen=True)
class Plan:
    """What one change set does, all of it. It is bound to the change set's ARN: that and nothing else is executed."""

    stack: str
    stack_id: str
    change_set: str
    creates: bool
    description: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    #: What executing it acknowledges: CAPABILITY_IAM, say.
    capabilities: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Adds, changes in place, replacements and deletions, nested stacks not counted."""
        found = {"add": 0, "change": 0, "replace": 0, "delete": 0}
        for one in self.changes:
            if not one.nested:
                found[kind_of(one)] += 1
        return found


def kind_of(change: Change) -> str:
    """add, change, replace or delete. A new revision of a task definition is a change, as everybody sees it."""
    if change.action in ("Add", "Import"):
        return "add"
    if change.action == "Remove":
        return "delete"
    return "change" if change.replacement == "none" or change.routine else "replace"


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
        return f"would be deleted, with {held_by(change.type)}"
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


def change_of(raw: Mapping[str, Any], path: str, stack_id: str = "") -> Change:
    """One ResourceChange of the stack at `path`."""
    contexts = [_context(raw.get(name)) for name in ("BeforeContext", "AfterContext")]
    properties = tuple(_properties(raw))
    kind = raw["ResourceType"]
    return Change(
        path=f"{path}/{raw['LogicalResourceId']}".lstrip("/"),
        type=kind,
        action=raw["Action"],
        replacement=_replacement(raw, properties),
        policy=raw.get("PolicyAction", ""),
        stateful=is_stateful(kind) or any(is_marked(context) for context in contexts),
        disruptive=kind in DISRUPTIVE,
        physical_id=raw.get("PhysicalResourceId", ""),
        stack_id=stack_id,
        properties=properties,
    )


def _context(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:  # AWS cuts long values off
        return {}
    return found if isinstance(found, dict) else {}


def is_marked(resource: Mapping[str, Any]) -> bool:
    """Whether a resource of a template says that it holds data."""
    metadata = resource.get("Metadata")
    return isinstance(metadata, dict) and str(metadata.get(MARK, "")).lower() == "true"


def _properties(raw: Mapping[str, Any]) -> Iterator[Property]:
    """The properties that change, each once: AWS evaluates one that hangs on another resource twice."""
    found: dict[str, Property] = {}
    for detail in raw.get("Details", []):
        target = detail.get("Target", {})
        place = target.get("Path", "").removeprefix("/Properties/").replace("/", ".") or target.get("Name", "")
        name = place or target.get("Attribute", "")
        force = {"Always": "certain", "Conditionally": "possible"}.get(target.get("RequiresRecreation", ""), "none")
        after = _value(target.get("AfterValue", ""))
        if force == "certain" and (detail.get("Evaluation") == "Dynamic" or UNKNOWN in after):
            # The value is known only once it is applied, and may turn out to be what it was.
            # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759
            force = "possible"
        new = Property(name, _value(target.get("BeforeValue", "")), after, force, detail.get("CausingEntity", ""))  # type: ignore[arg-type]
        old = found.get(name)
        if old is None or (old.forces_replacement != "certain" and new.forces_replacement == "certain"):
            found[name] = new
    yield from found.values()


def _value(text: str) -> str:
    """A value, with AWS's placeholders of what is not known yet in words."""
    return re.sub(r"\{\{(IntrinsicFunction|changeSet):[^}]*\}\}", UNKNOWN, text)


def _replacement(raw: Mapping[str, Any], properties: tuple[Property, ...]) -> Replacement:
    said = raw.get("Replacement", "False")
    if raw["Action"] not in ("Modify", "Dynamic", "SyncWithActual") or said == "False":
        return "possible" if raw["Action"] == "Dynamic" else "none"
    forces = {one.forces_replacement for one in properties}
    if said == "True":
        return "certain" if "certain" in forces or not forces - {"none"} else "possible"
    # Conditional: possible, unless each property by itself never forces it.
    return "none" if properties and forces == {"none"} else "possible"
