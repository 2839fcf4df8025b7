"""A set of templates as the stacks that it makes: who nests whom, and with what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from scaleout_cfn.templates.facts import Facts, is_function, names_in
from scaleout_cfn.templates.locations import NESTING, SUFFIXES, Location, locations
from scaleout_cfn.templates.values import EVERYTHING, Scope, Symbol

__all__ = ["Nested", "Stack", "StackSet"]

# A tree of stacks larger than this is cut: no real set is, and a chain of doublings could be.
MAX_STACKS = 500


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
        return passed if isinstance(passed, Mapping) and not is_function(passed) else None


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
                self._conditions[name] = Scope(self, EVERYTHING, frozenset()).truth(conditions[name])
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
                names_in(conditions[name], names, waiting)
        return self._roots(names)

    def _roots(self, names: set[str]) -> frozenset[Symbol]:
        found: set[Symbol] = set()
        for name in names & self.facts.parameters.keys():
            if self.parent is None:
                found.add(self.symbol(name))
            elif self.nested and self.nested.arguments and name in self.nested.arguments:
                passed: set[str] = set()
                names_in(self.nested.arguments[name], passed, [])
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
