"""What takes its value from a resource that stays, and so stays itself. Pure.

CloudFormation calls whatever names an output of a nested stack that changes a possible replacement, for it does not
look whose name that is: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Property
from scaleout_cfn.templates.schemas import is_identity

__all__ = ["Outputs", "with_followers"]

Outputs = Callable[[str], Mapping[str, Any]]
"""The section Outputs of the template that the nested stack of a path will have; empty where it cannot be read."""


def with_followers(changes: Iterable[Change], outputs: Outputs) -> tuple[Change, ...]:
    """The same changes, where those that only follow what stays say so, and are no replacement."""
    return tuple(_Following(changes, outputs).settled())


class _Following:
    def __init__(self, changes: Iterable[Change], outputs: Outputs) -> None:
        self.changes = {change.path: change for change in changes}
        self.outputs = outputs
        self.at_work: set[str] = set()

    def settled(self) -> Iterable[Change]:
        for path in self.changes:
            yield self.settle(path)

    def settle(self, path: str) -> Change:
        """A change, with what is no replacement because it follows. Once only, for others hang on it."""
        change = self.changes[path]
        if path in self.at_work or change.nested or change.action != "Modify":
            return change
        self.at_work.add(path)  # for good: what is settled stays so
        stack = path.rpartition("/")[0]
        properties = tuple(replace(entry, follows=self.follows(stack, entry)) for entry in change.properties)
        change = replace(change, properties=properties)
        if change.replacement == "possible" or change.routine:
            forcing = [entry for entry in properties if entry.forces_replacement != "none"]
            if forcing and all(entry.follows for entry in forcing):
                policy = "" if change.policy.startswith("Replace") else change.policy
                change = replace(change, replacement="none", policy=policy)
        self.changes[path] = change
        return change

    def follows(self, stack: str, entry: Property) -> str:
        """The path of what a property follows; empty where that may change."""
        if UNKNOWN not in entry.after or not entry.causes:
            return ""
        followed = [self.source(stack, *cause.partition(" ")[::2]) for cause in entry.causes]
        return ", ".join(dict.fromkeys(followed)) if all(followed) else ""

    def source(self, stack: str, source: str, entity: str) -> str:
        if source == "ParameterReference":
            parent = self.changes.get(stack)
            given = [entry for entry in parent.properties if entry.name == f"Parameters.{entity}"] if parent else []
            above = stack.rpartition("/")[0]
            return self.follows(above, given[0]) if given else ""
        title, _, attribute = entity.partition(".")
        path = f"{stack}/{title}".lstrip("/")
        if source == "ResourceReference":
            return self.stays(path)
        if source != "ResourceAttribute":
            return ""
        if attribute.startswith("Outputs."):
            return self.output(path, attribute.removeprefix("Outputs."))
        change = self.changes.get(path)
        return self.stays(path) if change is None or is_identity(change.type, attribute) else ""

    def output(self, nested: str, name: str) -> str:
        """What an output of a nested stack follows."""
        if nested in self.changes and self.changes[nested].action != "Modify":
            return ""
        match self.outputs(nested).get(name, {}).get("Value"):
            case {"Ref": str(title)}:
                return self.source(nested, "ResourceReference", title)
            case {"Fn::GetAtt": [str(title), str(attribute)]}:
                return self.source(nested, "ResourceAttribute", f"{title}.{attribute}")
            case {"Fn::GetAtt": str(entity)}:
                return self.source(nested, "ResourceAttribute", entity)
        return ""

    def stays(self, path: str) -> str:
        """The path, if what is there is neither made, nor replaced, nor removed."""
        if path not in self.changes:
            return path
        change = self.settle(path)
        return path if change.action == "Modify" and change.replacement == "none" and not change.nested else ""
