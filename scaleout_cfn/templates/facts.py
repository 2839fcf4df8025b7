"""What one template says by itself, found in one walk over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

# No brace within: a text of nothing but "${" would else take the square of its length.
VARIABLE = re.compile(r"\$\{([^{}]*)\}")


class Facts:
    """What one template says, found in one walk over it. It is plain data: dicts, lists, strings, numbers."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        # (path, name), (path, name, attribute), (path, function, parameter), (path, text)
        self.refs: list[tuple[tuple[str, ...], str]] = []
        self.attributes: list[tuple[tuple[str, ...], str, str]] = []
        self.splits: list[tuple[tuple[str, ...], str, str]] = []
        self.arns: list[tuple[tuple[str, ...], str]] = []
        # (path, the name as an expression)
        self.imports: list[tuple[tuple[str, ...], Any]] = []
        self._closed: dict[str, bool] = {}
        for section in ("Resources", "Outputs", "Conditions"):
            if isinstance(entries := body.get(section), (dict, list)):
                self._walk(entries, (section,))

    def section(self, name: str) -> dict[str, Mapping[str, Any]]:
        """The entries of Parameters, Resources or Outputs that are mappings, by name."""
        entries = self.body.get(name)
        if not isinstance(entries, Mapping):
            return {}
        return {key: entry for key, entry in entries.items() if isinstance(entry, dict)}

    @cached_property
    def parameters(self) -> dict[str, Mapping[str, Any]]:
        return self.section("Parameters")

    @cached_property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        return self.section("Outputs")

    @cached_property
    def resources(self) -> dict[str, Mapping[str, Any]]:
        """The resources with a type. Those that Fn::ForEach makes are not among them."""
        return {
            key: resource
            for key, resource in self.section("Resources").items()
            if isinstance(resource.get("Type"), str)
        }

    @cached_property
    def by_type(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for logical_id, resource in self.resources.items():
            found.setdefault(resource["Type"], []).append(logical_id)
        return found

    def closed(self, section: str) -> bool:
        """Whether all entries of a section are written out: no macro and no loop can add one."""
        if section not in self._closed:
            self._closed[section] = self._is_closed(section)
        return self._closed[section]

    def _is_closed(self, section: str) -> bool:
        transforms = self.body.get("Transform", [])
        for transform in transforms if isinstance(transforms, list) else [transforms]:
            if transform not in _HARMLESS_TRANSFORMS:
                return False
        entries = self.body.get(section, {})
        return isinstance(entries, Mapping) and not any(str(key).startswith("Fn::") for key in entries)

    @cached_property
    def dependencies(self) -> dict[str, set[str]]:
        """Which resources each resource waits for, by Ref, Fn::GetAtt, Fn::Sub or DependsOn."""
        found: dict[str, set[str]] = {logical_id: set() for logical_id in self.resources}
        named = [(path, name) for path, name in self.refs] + [(path, name) for path, name, _ in self.attributes]
        for path, name in named:
            if path[0] == "Resources" and path[1] in found and name in found:
                found[path[1]].add(name)
        for logical_id, resource in self.resources.items():
            wanted = resource.get("DependsOn", [])
            for name in wanted if isinstance(wanted, list) else [wanted]:
                if isinstance(name, str) and name in found:
                    found[logical_id].add(name)
        return found

    def waits_for(self, first: str, last: str) -> bool:
        """Whether a resource is made only after another, directly or not."""
        seen: set[str] = set()
        waiting = [first]
        while waiting:
            name = waiting.pop()
            if name == last:
                return True
            if name not in seen:
                seen.add(name)
                waiting.extend(self.dependencies.get(name, ()))
        return False

    def _walk(self, node: dict[str, Any] | list[Any], path: tuple[str, ...]) -> None:
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in entries:
            # Most are texts and nothing else, or a function of one.
            kind = type(value)
            if kind is str:
                if "arn:aws:" in value:
                    self.arns.append(((*path, str(key)), value))
            elif (kind is dict or kind is list) and value:
                here = (*path, key if type(key) is str else str(key))
                if len(value) > 1 or kind is list:
                    self._walk(value, here)
                elif "Ref" in value and type(value["Ref"]) is str:
                    self.refs.append((here, value["Ref"]))
                elif not self._function(value, here):
                    self._walk(value, here)

    def _function(self, node: dict[str, Any], path: tuple[str, ...]) -> bool:
        """Note what a mapping of one key refers to; True where there is nothing more in it."""
        ((key, value),) = node.items()
        if key == "Fn::GetAtt":
            name, attribute = attribute_of(value)
            if name:
                self.attributes.append((path, name, attribute))
                return True
        elif key == "Fn::Sub":
            self._sub(value, path)
        elif key == "Fn::ImportValue":
            self.imports.append((path, value))
        elif key == "Fn::Select" or key == "Fn::Split":
            self._split(key, value, path)
        return False

    def _sub(self, value: Any, path: tuple[str, ...]) -> None:
        template, given = sub_parts(value)
        for name in VARIABLE.findall(template):
            if name.startswith("!") or name in given:
                continue
            head, _, attribute = name.strip().partition(".")
            if attribute:
                self.attributes.append((path, head, attribute))
            else:
                self.refs.append((path, head))

    def _split(self, function: str, value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], Mapping):
            source = value[1].get("Ref")
            if isinstance(source, str):
                self.splits.append((path, function, source))


# Transforms that neither add nor take away parameters, outputs or nested stacks by themselves.
_HARMLESS_TRANSFORMS = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions", "AWS::SecretsManager-2020-07-23")


def attribute_of(argument: Any) -> tuple[str, str]:
    """The logical id and attribute that a Fn::GetAtt names; empty where they are not plain strings."""
    if isinstance(argument, str):
        name, _, attribute = argument.partition(".")
        return name, attribute
    if isinstance(argument, list) and len(argument) > 1:
        name, attribute, *further = argument
        if type(name) is type(attribute) is str and not further:
            return name, attribute
        if all(isinstance(part, str) for part in argument):
            return name, ".".join(argument[1:])
    return "", ""


def sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    """The template and the variables that a Fn::Sub is given."""
    if isinstance(argument, str):
        return argument, {}
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str):
        return argument[0], argument[1] if isinstance(argument[1], Mapping) else {}
    return "", {}


def is_function(node: Mapping[str, Any]) -> bool:
    if len(node) != 1:
        return False
    (key,) = node
    return key == "Ref" or (isinstance(key, str) and key.startswith("Fn::"))


def names_in(node: Any, names: set[str], conditions: list[str]) -> None:
    """Everything that an expression names: what it refers to, and the conditions it stands on."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                names.add(value)
            elif key == "Condition" and isinstance(value, str):
                conditions.append(value)
            elif key == "Fn::Sub":
                template, given = sub_parts(value)
                names.update(name for name in VARIABLE.findall(template) if name not in given)
                names_in(given, names, conditions)
            else:
                names_in(value, names, conditions)
    elif isinstance(node, list):
        for item in node:
            names_in(item, names, conditions)
