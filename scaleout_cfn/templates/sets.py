"""A set of templates as the stacks that it makes: who nests whom, and with what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scaleout_cfn.templates.facts import Facts
from scaleout_cfn.templates.locations import NESTING, SUFFIXES, Location, locations
from scaleout_cfn.templates.stacks import Nested, StackView

__all__ = ["StackSet"]

# A tree of stacks larger than this is cut: no real set is, and a chain of doublings could be.
MAX_STACKS = 500


class StackSet:
    """Templates by file name, and the trees of stacks that they make.

    A root is a template that no other nests. `sizes` are the files' sizes in bytes, where known.
    """

    def __init__(self, templates: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int] | None = None) -> None:
        self.facts = {name: Facts(body) for name, body in sorted(templates.items())}
        self.sizes = dict(sizes or {})
        self._nested = {name: self._resolve(name) for name in self.facts}
        self.nested = [nested for by_id in self._nested.values() for nested in by_id.values()]
        self.roots = self._trees()
        self.stacks = [stack for root in self.roots for stack in root.tree()]

    def nested_of(self, file: str) -> Mapping[str, Nested]:
        """The nested stacks that a template declares, by logical id."""
        return self._nested[file]

    def view(self, file: str) -> StackView:
        """A template as the first stack that is made of it."""
        return next(stack for stack in self.stacks if stack.file == file)

    def _trees(self) -> list[StackView]:
        children = {nested.child for nested in self.nested if nested.child and nested.child != nested.parent}
        roots: list[StackView] = []
        seen: set[str] = set()
        # In a ring of files nobody is the root: the first by name stands in, so that the rest is checked.
        for name in sorted(self.facts, key=lambda name: (name in children, name)):
            if name not in seen:
                roots.append(self._grow(name))
                waiting = [name]
                while waiting:
                    file = waiting.pop()
                    if file not in seen:
                        seen.add(file)
                        waiting.extend(nested.child for nested in self._nested[file].values() if nested.child)
        return roots

    def _grow(self, file: str) -> StackView:
        root = StackView(file, self.facts[file], self._nested[file])
        count, waiting = 1, [(root, frozenset([file]))]
        while waiting:
            stack, above = waiting.pop(0)
            for nested in self._nested[stack.file].values():
                if nested.child and nested.child not in above and count < MAX_STACKS:
                    child = StackView(nested.child, self.facts[nested.child], self._nested[nested.child], stack, nested)
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
                nested = Nested(file, logical_id, properties, child, missing)
                if child and place and place.path is None and self._is_another(child, nested):
                    nested = Nested(file, logical_id, properties)
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
