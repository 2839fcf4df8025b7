"""A set of templates as the stacks that it makes: who nests whom, with what, and what a value is.

Values are followed across stack borders: a `Ref` to a parameter is what the parent passes, and a
`Fn::GetAtt` of a child's output is what the child's output says. What cannot be known without
deploying is UNKNOWN or a Symbol, and no rule may judge an UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from math import isfinite
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from .locations import NESTING, SUFFIXES, Location, locations

__all__ = [
    "UNKNOWN",
    "Facts",
    "Nested",
    "Scope",
    "Stack",
    "StackSet",
    "Symbol",
    "Text",
    "as_number",
    "is_list_type",
    "resource_of",
]

# A tree of stacks larger than this is cut: no real set is, and a chain of doublings could be.
MAX_STACKS = 500

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


UNKNOWN: Final = _Unknown()
_EVERYTHING: Final = _Everything()


class Symbol(Struct, frozen=True):
    """A value that exists only once deployed, named by where it comes from.

    `type` is a resource's or a parameter's type, empty for a pseudo parameter. `attribute` is empty
    for what `Ref` gives.
    """

    stack: Stack
    name: str
    attribute: str
    type: str
    is_resource: bool

    @property
    def bare(self) -> Symbol:
        """The resource itself, whichever of its attributes this is."""
        return replace(self, attribute="")

    def __str__(self) -> str:
        place = f"{self.name}.{self.attribute}" if self.attribute else self.name
        return f"{place} ({self.type}) of {self.stack.file}" if self.type else place


class Text(Struct, frozen=True):
    """A string with Symbols in it."""

    parts: tuple[str | Symbol, ...]


class Nested(Struct, frozen=True):
    """One nested stack as its parent writes it.

    `child` is its file in the set, None where that cannot be told or is not there. `missing` names the
    file that should be there and is not.
    """

    parent: str
    logical_id: str
    location: Location | None
    child: str | None
    missing: str | None
    properties: Mapping[str, Any]

    @property
    def path(self) -> str:
        return f"Resources.{self.logical_id}.Properties"

    @property
    def arguments(self) -> Mapping[str, Any] | None:
        """What is passed, by parameter; None where a function decides that."""
        passed = self.properties.get("Parameters", {})
        return passed if isinstance(passed, Mapping) and not _is_function(passed) else None


class Facts:
    """What one template says, found in one walk over it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        # (path, name), (path, name, attribute), (path, function, parameter), (path, text)
        self.refs: list[tuple[tuple[str, ...], str]] = []
        self.attributes: list[tuple[tuple[str, ...], str, str]] = []
        self.splits: list[tuple[tuple[str, ...], str, str]] = []
        self.arns: list[tuple[tuple[str, ...], str]] = []
        for section in ("Resources", "Outputs", "Conditions"):
            if section in body:
                self._walk(body[section], (section,))

    def section(self, name: str) -> dict[str, Mapping[str, Any]]:
        """The entries of Parameters, Resources or Outputs that are mappings, by name."""
        entries = self.body.get(name)
        if not isinstance(entries, Mapping):
            return {}
        return {key: entry for key, entry in entries.items() if isinstance(entry, Mapping)}

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

    def _walk(self, node: Any, path: tuple[str, ...]) -> None:
        if isinstance(node, Mapping):
            if len(node) == 1:
                (key, value), *_ = node.items()
                if key == "Ref" and isinstance(value, str):
                    self.refs.append((path, value))
                    return
                if key == "Fn::GetAtt":
                    name, attribute = attribute_of(value)
                    if name:
                        self.attributes.append((path, name, attribute))
                elif key == "Fn::Sub":
                    self._sub(value, path)
                elif key in ("Fn::Select", "Fn::Split"):
                    self._split(key, value, path)
            for key, value in node.items():
                if isinstance(value, (Mapping, list)):
                    self._walk(value, (*path, str(key)))
                elif isinstance(value, str) and "arn:aws:" in value:
                    self.arns.append(((*path, str(key)), value))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                if isinstance(value, (Mapping, list)):
                    self._walk(value, (*path, str(index)))
                elif isinstance(value, str) and "arn:aws:" in value:
                    self.arns.append(((*path, str(index)), value))

    def _sub(self, value: Any, path: tuple[str, ...]) -> None:
        template, given = sub_parts(value)
        for name in _VARIABLE.findall(template):
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


class Stack:
    """One stack of a tree: a template together with who nests it and what they pass."""

    def __init__(self, stacks: StackSet, file: str, parent: Stack | None, nested: Nested | None) -> None:
        self.stacks = stacks
        self.file = file
        self.parent = parent
        self.nested = nested
        self.facts = stacks.facts[file]
        self.children: dict[str, Stack] = {}
        self.root: Stack = parent.root if parent else self
        self._conditions: dict[str, bool | None] = {}
        # Root parameters that decide whether this stack exists at all: their defaults prove nothing here.
        self.doubtful: frozenset[Symbol] = frozenset()
        self.absent = False
        self.conditional = False
        if parent is not None and nested is not None:
            condition = parent.resource(nested.logical_id).get("Condition")
            self.doubtful = parent.doubtful | parent.deciders(condition)
            self.absent = parent.absent or parent.condition(condition) is False
            self.conditional = parent.conditional or parent.condition(condition) is not True

    def tree(self) -> Iterator[Stack]:
        """This stack and all that hang on it."""
        yield self
        for child in self.children.values():
            yield from child.tree()

    def resource(self, logical_id: str) -> Mapping[str, Any]:
        return self.facts.resources.get(logical_id, {})

    def of_type(self, *types: str) -> Iterator[tuple[str, Mapping[str, Any], Scope]]:
        """The resources of some types that may exist: logical id, properties, and the scope to read them in."""
        if self.absent:
            return
        for kind in types:
            for logical_id in self.facts.by_type.get(kind, ()):
                resource = self.facts.resources[logical_id]
                if self.condition(resource.get("Condition")) is False:
                    continue
                scope = self.scope_of(resource)
                properties = scope.value(resource.get("Properties", {}))
                if isinstance(properties, Mapping):
                    yield logical_id, properties, scope

    def scope_of(self, entry: Mapping[str, Any]) -> Scope:
        """The scope in which a resource or output is read: its own condition holds."""
        condition = entry.get("Condition")
        assumed = frozenset([condition]) if isinstance(condition, str) else frozenset()
        return Scope(self, self.doubtful | self.deciders(condition), assumed)

    def condition(self, name: Any) -> bool | None:
        """Whether a condition holds; None where that depends on what is chosen at deploy time."""
        if name is None:
            return True
        if not isinstance(name, str):
            return None
        if name not in self._conditions:
            self._conditions[name] = None
            conditions = self.facts.body.get("Conditions")
            if isinstance(conditions, Mapping) and name in conditions:
                self._conditions[name] = Scope(self, _EVERYTHING, frozenset()).truth(conditions[name])
        return self._conditions[name]

    def deciders(self, condition: Any) -> frozenset[Symbol]:
        """The root parameters that a condition hangs on, followed through all parents."""
        conditions = self.facts.body.get("Conditions")
        if not isinstance(condition, str) or not isinstance(conditions, Mapping):
            return frozenset()
        names: set[str] = set()
        seen: set[str] = set()
        waiting = [condition]
        while waiting:
            name = waiting.pop()
            if name in conditions and name not in seen:
                seen.add(name)
                _names(conditions[name], names, waiting)
        return self._roots(names)

    def _roots(self, names: set[str]) -> frozenset[Symbol]:
        found: set[Symbol] = set()
        for name in names & self.facts.parameters.keys():
            if self.parent is None:
                found.add(self.symbol(name))
            elif self.nested and self.nested.arguments and name in self.nested.arguments:
                passed: set[str] = set()
                _names(self.nested.arguments[name], passed, [])
                found |= self.parent._roots(passed)
        return frozenset(found)

    def symbol(self, name: str, attribute: str = "") -> Symbol:
        """The symbol of a resource's attribute or of a parameter."""
        if name in self.facts.resources:
            return Symbol(self, name, attribute, self.facts.resources[name]["Type"], True)
        return Symbol(self, name, "", str(self.facts.parameters[name].get("Type", "String")), False)

    def fed_by_sibling(self, parameter: str) -> bool:
        """Whether a parameter gets its value from the output of another nested stack."""
        if self.parent is None or self.nested is None or not self.nested.arguments:
            return False
        facts = Facts({"Resources": {"": self.nested.arguments.get(parameter)}})
        nested = self.parent.stacks.nested_of(self.parent.file)
        if any(name in nested and attribute.startswith("Outputs.") for _, name, attribute in facts.attributes):
            return True
        return any(self.parent.fed_by_sibling(name) for _, name in facts.refs if name in self.parent.facts.parameters)


class Scope(Struct, frozen=True):
    """Reads expressions of one stack.

    A root parameter counts as its Default, except the `doubtful` ones: those that decide whether the
    thing being read exists, so that their Default may mean "leave it out". `assumed` conditions hold.
    """

    stack: Stack
    doubtful: frozenset[Symbol] | _Everything
    assumed: frozenset[str]

    def get(self, node: Any, *path: str) -> Any:
        """What is at a path of properties: None where absent, UNKNOWN where that cannot be told."""
        node = self.value(node)
        for key in path:
            if not isinstance(node, Mapping):
                return UNKNOWN if node is not None else None
            node = self.value(node.get(key))
        return node

    def items(self, node: Any, *path: str) -> list[Any] | None:
        """The items of a list of properties, those left out by AWS::NoValue dropped; None if unknown."""
        found = self.get(node, *path)
        if found is None:
            return []
        if not isinstance(found, list) or any(item is UNKNOWN for item in found):
            return None
        return [item for item in found if item is not None]

    def value(self, node: Any) -> Any:
        """What an expression gives: plain data, a Symbol, a Text, None for AWS::NoValue, or UNKNOWN.

        Mappings that are no function come back as they are, to be read key by key with `get`.
        """
        if isinstance(node, str):
            return UNKNOWN if "{{resolve:" in node else node
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, Mapping) or not _is_function(node):
            return node
        (function, argument), *_ = node.items()
        if function not in _FUNCTIONS:
            return UNKNOWN
        mark = (id(node), id(self.stack))
        active = self.stack.stacks.active
        if mark in active:
            return UNKNOWN
        active.add(mark)
        try:
            return _FUNCTIONS[function](self, argument)
        finally:
            active.discard(mark)

    def truth(self, node: Any) -> bool | None:
        """Whether a condition's expression holds; None where unknown."""
        if not isinstance(node, Mapping) or len(node) != 1:
            return None
        (function, argument), *_ = node.items()
        if function == "Condition":
            return True if isinstance(argument, str) and argument in self.assumed else self.stack.condition(argument)
        if not isinstance(argument, list):
            return None
        if function == "Fn::Equals" and len(argument) == 2:
            left, right = (self.value(side) for side in argument)
            if left == right and not _has_unknown(left):
                return True
            return _text(left) == _text(right) if _is_plain(left) and _is_plain(right) else None
        parts = [self.truth(part) for part in argument]
        if function == "Fn::Not" and len(parts) == 1:
            return None if parts[0] is None else not parts[0]
        if function == "Fn::And":
            return False if False in parts else None if None in parts else True
        if function == "Fn::Or":
            return True if True in parts else None if None in parts else False
        return None

    def _ref(self, name: Any) -> Any:
        stack = self.stack
        if not isinstance(name, str):
            return UNKNOWN
        if name == "AWS::NoValue":
            return None
        if name.startswith("AWS::"):
            own = name in ("AWS::StackName", "AWS::StackId")
            return Symbol(stack if own else stack.root, name, "", "", False)
        if name in stack.facts.parameters:
            return self._parameter(name)
        return stack.symbol(name) if name in stack.facts.resources else UNKNOWN

    def _parameter(self, name: str) -> Any:
        stack = self.stack
        definition = stack.facts.parameters[name]
        kind = str(definition.get("Type", "String"))
        if kind.startswith("AWS::SSM::Parameter::Value<"):
            return stack.symbol(name)
        if stack.parent is None or stack.nested is None:
            symbol = stack.symbol(name)
            if "Default" not in definition or symbol in self.doubtful:
                return symbol
            return _parameter_value(definition["Default"], kind)
        arguments = stack.nested.arguments
        if arguments is None:
            return UNKNOWN
        passed = None
        if name in arguments:
            outer = stack.parent.scope_of(stack.parent.resource(stack.nested.logical_id))
            doubtful = _both(self.doubtful, outer.doubtful)
            passed = Scope(stack.parent, doubtful, outer.assumed).value(arguments[name])
        if passed is None:
            passed = definition.get("Default", UNKNOWN)
        return _parameter_value(passed, kind)

    def _get_att(self, argument: Any) -> Any:
        name, attribute = attribute_of(argument)
        stack = self.stack
        if not name or name not in stack.facts.resources:
            return UNKNOWN
        head, _, output = attribute.partition(".")
        if head == "Outputs" and name in stack.stacks.nested_of(stack.file):
            child = stack.children.get(name)
            if child is None or output not in child.facts.outputs:
                return UNKNOWN
            entry = child.facts.outputs[output]
            inner = child.scope_of(entry)
            doubtful = _both(self.doubtful, inner.doubtful)
            return Scope(child, doubtful, inner.assumed).value(entry.get("Value", UNKNOWN))
        return stack.symbol(name, attribute)

    def _sub(self, argument: Any) -> Any:
        template, given = sub_parts(argument)
        if not template:
            return UNKNOWN if argument else ""
        parts: list[Any] = []
        for index, piece in enumerate(_VARIABLE.split(template)):
            if index % 2 == 0:
                parts.append(piece)
            elif piece.startswith("!"):
                parts.append(f"${{{piece[1:]}}}")
            elif piece in given:
                parts.append(self.value(given[piece]))
            elif "." in piece:
                parts.append(self._get_att(piece.strip()))
            else:
                parts.append(self._ref(piece.strip()))
        return _glue(parts)

    def _join(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            return UNKNOWN
        items = self.value(argument[1])
        if isinstance(items, Symbol) and is_list_type(items.type) and argument[0] == ",":
            return items
        if not isinstance(items, list):
            return UNKNOWN
        parts: list[Any] = []
        for item in items:
            if item is not None:
                parts += [argument[0], item] if parts else [item]
        return _glue(parts)

    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):
            return UNKNOWN
        name, then, otherwise = argument
        truth = True if name in self.assumed else self.stack.condition(name)
        if truth is not None:
            return self.value(then if truth else otherwise)
        left, right = self.value(then), self.value(otherwise)
        return left if left == right and not _has_unknown(left) else UNKNOWN

    def _select(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            return UNKNOWN
        index, items = as_number(self.value(argument[0])), self.value(argument[1])
        if index is None or not isinstance(items, list) or not 0 <= index < len(items):
            return UNKNOWN
        return items[int(index)]

    def _split(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            return UNKNOWN
        source = self.value(argument[1])
        return source.split(argument[0]) if isinstance(source, str) and argument[0] else UNKNOWN

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            return UNKNOWN
        found: Any = self.stack.facts.body.get("Mappings", {})
        for key in (self.value(part) for part in argument):
            if not isinstance(found, Mapping) or not isinstance(key, (str, int)) or str(key) not in found:
                return UNKNOWN
            found = found[str(key)]
        return found


_FUNCTIONS = {
    "Ref": Scope._ref,
    "Fn::GetAtt": Scope._get_att,
    "Fn::Sub": Scope._sub,
    "Fn::Join": Scope._join,
    "Fn::If": Scope._if,
    "Fn::Select": Scope._select,
    "Fn::Split": Scope._split,
    "Fn::FindInMap": Scope._find_in_map,
}

# Transforms that neither add nor take away parameters, outputs or nested stacks by themselves.
_HARMLESS_TRANSFORMS = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions", "AWS::SecretsManager-2020-07-23")


class StackSet:
    """Templates by file name, and the trees of stacks that they make.

    A root is a template that no other nests. `sizes` are the files' sizes in bytes, where known.
    """

    def __init__(self, templates: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int] | None = None) -> None:
        self.facts = {name: Facts(body) for name, body in sorted(templates.items())}
        self.sizes = dict(sizes or {})
        # Expressions being read just now, so that a value that depends on itself ends as UNKNOWN.
        self.active: set[tuple[int, int]] = set()
        self._nested = {name: self._resolve(name) for name in self.facts}
        self.nested = [nested for by_id in self._nested.values() for nested in by_id.values()]
        self.roots = [self._grow(name) for name in self._root_files()]
        self.stacks = [stack for root in self.roots for stack in root.tree()]

    def nested_of(self, file: str) -> Mapping[str, Nested]:
        """The nested stacks that a template declares, by logical id."""
        return self._nested[file]

    def _root_files(self) -> list[str]:
        children = {nested.child for nested in self.nested if nested.child and nested.child != nested.parent}
        roots = [name for name in self.facts if name not in children]
        # In a ring of files nobody is the root: the first by name stands in, so that the rest is checked.
        return roots or list(self.facts)[:1]

    def _grow(self, file: str) -> Stack:
        root = Stack(self, file, None, None)
        count, waiting = 1, [(root, frozenset([file]))]
        while waiting:
            stack, above = waiting.pop(0)
            for nested in self._nested[stack.file].values():
                if nested.child and nested.child not in above and count < MAX_STACKS:
                    child = Stack(self, nested.child, stack, nested)
                    stack.children[nested.logical_id] = child
                    waiting.append((child, above | {nested.child}))
                    count += 1
        return root

    def _resolve(self, file: str) -> dict[str, Nested]:
        facts = self.facts[file]
        where = {location.logical_id: location for location in locations(facts.body)}
        hits: dict[str, str] = {}
        for logical_id, location in where.items():
            for path in location.candidates(file):
                # A URL that ends in the parent's own name means somebody else's file of that name.
                if path in self.facts and (location.path is not None or path != file):
                    hits[logical_id] = path
                    break
        homes = _homes(where, hits)
        found = {}
        for kind in NESTING:
            for logical_id in facts.by_type.get(kind, ()):
                properties = facts.resources[logical_id].get("Properties")
                properties = properties if isinstance(properties, Mapping) else {}
                place = where.get(logical_id)
                child, missing = hits.get(logical_id), None
                if place is not None and place.path is not None:
                    expected = place.candidates(file)[0]
                    # Outside of the set's folder, or written for another tool: nothing can be said.
                    if child is None and not expected.startswith(("../", "/")) and expected.endswith(SUFFIXES):
                        missing = expected
                elif place is not None:
                    child, missing = _behind_url(place, child, homes)
                nested = Nested(file, logical_id, place, child, missing, properties)
                if child and place and place.path is None and self._is_another(child, nested):
                    nested = Nested(file, logical_id, place, None, None, properties)
                found[logical_id] = nested
        return found

    def _is_another(self, child: str, nested: Nested) -> bool:
        # Behind a URL only the name speaks for this file; many parameters and not one in common speak
        # against it.
        passed = nested.arguments or {}
        return len(passed) > 2 and not passed.keys() & self.facts[child].parameters.keys()


def _homes(where: Mapping[str, Location], hits: Mapping[str, str]) -> dict[str, str]:
    """Which folder of the set stands behind each URL prefix of one template.

    Where several prefixes would mean one folder, the one with most files there is meant and the
    others are somebody else's files of the same name; a draw decides for none.
    """
    votes: dict[str, dict[str, int]] = {}
    for logical_id, path in hits.items():
        location = where[logical_id]
        if location.path is None:
            by_prefix = votes.setdefault(path.rpartition("/")[0], {})
            by_prefix[location.folder] = by_prefix.get(location.folder, 0) + 1
    homes: dict[str, str] = {}
    for folder, by_prefix in votes.items():
        most = max(by_prefix.values())
        winners = [prefix for prefix, count in by_prefix.items() if count == most]
        if len(winners) == 1 and winners[0] not in homes:
            homes[winners[0]] = folder
    return homes


def _behind_url(place: Location, child: str | None, homes: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The child's file and the missing file of a URL, given what its siblings' URLs mean."""
    if place.folder not in homes:
        return None, None
    home = homes[place.folder]
    expected = f"{home}/{place.segments[-1]}" if home else place.segments[-1]
    if child is not None:
        return (child, None) if child == expected else (None, None)
    # A key that ends in a digest is a published copy under another name, not a missing file.
    stem = place.segments[-1].rpartition(".")[0] or place.segments[-1]
    return (None, None) if _DIGEST.search(stem) or not place.exact else (None, expected)


_DIGEST = re.compile(r"[0-9a-f]{8,}$")


def attribute_of(argument: Any) -> tuple[str, str]:
    """The logical id and attribute that a Fn::GetAtt names; empty where they are not plain strings."""
    if isinstance(argument, str):
        name, _, attribute = argument.partition(".")
        return name, attribute
    if isinstance(argument, list) and len(argument) > 1 and all(isinstance(part, str) for part in argument):
        return argument[0], ".".join(argument[1:])
    return "", ""


def sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    """The template and the variables that a Fn::Sub is given."""
    if isinstance(argument, str):
        return argument, {}
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str):
        return argument[0], argument[1] if isinstance(argument[1], Mapping) else {}
    return "", {}


def resource_of(value: Any, *types: str) -> Symbol | None:
    """A value that is a resource of one of these types, else None."""
    return value if isinstance(value, Symbol) and value.is_resource and value.type in types else None


def is_list_type(parameter_type: str) -> bool:
    """Whether a parameter of this type is a list inside its template."""
    return parameter_type == "CommaDelimitedList" or "List<" in parameter_type


def as_number(value: Any) -> float | None:
    """A number, or a string that CloudFormation takes for one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _is_function(node: Mapping[str, Any]) -> bool:
    if len(node) != 1:
        return False
    (key,) = node
    return key == "Ref" or (isinstance(key, str) and key.startswith("Fn::"))


def _names(node: Any, names: set[str], conditions: list[str]) -> None:
    """Everything that an expression names: what it refers to, and the conditions it stands on."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                names.add(value)
            elif key == "Condition" and isinstance(value, str):
                conditions.append(value)
            elif key == "Fn::Sub":
                template, given = sub_parts(value)
                names.update(name for name in _VARIABLE.findall(template) if name not in given)
                _names(given, names, conditions)
            else:
                _names(value, names, conditions)
    elif isinstance(node, list):
        for item in node:
            _names(item, names, conditions)


def _both(
    left: frozenset[Symbol] | _Everything, right: frozenset[Symbol] | _Everything
) -> frozenset[Symbol] | _Everything:
    return _EVERYTHING if isinstance(left, _Everything) or isinstance(right, _Everything) else left | right


def _parameter_value(value: Any, parameter_type: str) -> Any:
    if not is_list_type(parameter_type):
        return value
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value else []
    if isinstance(value, Text):
        return _split_text(value)
    if isinstance(value, Symbol):
        return value if is_list_type(value.type) else [value]
    return [value] if isinstance(value, (int, float)) else value


def _split_text(text: Text) -> list[Any]:
    items: list[list[Any]] = [[]]
    for part in text.parts:
        if isinstance(part, str):
            first, *rest = part.split(",")
            items[-1].append(first)
            items.extend([piece] for piece in rest)
        else:
            items[-1].append(part)
    return [_glue(item) for item in items]


def _glue(parts: list[Any]) -> Any:
    """One string of several values: text where all are known, else a Text, a lone Symbol as it is."""
    glued: list[str | Symbol] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Text) else (part,):
            if isinstance(piece, Symbol):
                glued.append(piece)
            elif _is_plain(piece):
                text = _text(piece)
                if glued and isinstance(glued[-1], str):
                    glued[-1] += text
                elif text:
                    glued.append(text)
            else:
                return UNKNOWN
    if not glued:
        return ""
    return glued[0] if len(glued) == 1 else Text(tuple(glued))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_unknown(value: Any) -> bool:
    return value is UNKNOWN or (isinstance(value, list) and any(_has_unknown(item) for item in value))
