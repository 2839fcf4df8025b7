"""A set of templates as the stacks that it makes: who nests whom, and with what."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from scaleout_cfn.errors import UsageError
from scaleout_cfn.templates.facts import Facts
from scaleout_cfn.templates.locations import SUFFIXES, Location, locations
from scaleout_cfn.templates.stacks import Nested, Place, StackView

# A tree of stacks larger than this is cut, and so is a set of trees: no real one is, and a chain of doublings could be.
MAX_STACKS = 500
MAX_STACKS_OF_A_SET = 5_000
MAX_DEPTH = 50


class StackSet:
    """Templates by file name, and the trees of stacks that they make.

    A root is a template that no other nests. `nested` are all nested stacks, one for each template that a condition
    chooses between. `sizes` are the files' sizes in bytes, where known, and `published` the files of the set by the
    names under which they are uploaded, where a tool has noted them. `as_root` is what a root counts as.
    """

    def __init__(
        self,
        templates: Mapping[str, Mapping[str, Any]],
        sizes: Mapping[str, int] | None = None,
        published: Mapping[str, str] | None = None,
        as_root: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] | None = None,
    ) -> None:
        if not isinstance(templates, Mapping) or not templates:
            what = type(templates).__name__ if templates else "nothing"
            raise UsageError(f"a set is templates by file name, as set_of(stack) gives them; got {what}")
        self.facts = {name: Facts(body) for name, body in sorted(templates.items())}
        self.sizes = dict(sizes or {})
        self._published = dict(published or {})
        self._by_name: dict[str, list[str]] = {}
        for name in self.facts:
            self._by_name.setdefault(posixpath.basename(name), []).append(name)
        self._choices = choices = {
            name: self._resolve(StackView(name, facts, {})) for name, facts in self.facts.items()
        }
        if as_root:
            # A template that is nested by an address of a root's parameters is found by their values.
            for name in list(self._root_names()):
                self.facts[name] = Facts(as_root(name, templates[name]))
                choices[name] = self._resolve(StackView(name, self.facts[name], {}))
        self.nested = [nested for by_id in choices.values() for several in by_id.values() for nested in several]
        self._nested = {name: {key: several[0] for key, several in by_id.items()} for name, by_id in choices.items()}
        self.roots = []
        room = MAX_STACKS_OF_A_SET
        for name in self._root_names():
            root, count = self._grow(name, min(room, MAX_STACKS))
            room -= count
            self.roots.append(root)
        self.stacks = [stack for root in self.roots for stack in root.tree()]
        self._of_type: dict[str, list[StackView]] = {}
        self._places: dict[str, list[Place]] = {}
        for stack in self.stacks:
            for kind in stack.facts.by_type:
                self._of_type.setdefault(kind, []).append(stack)

    def nested_of(self, file: str) -> Mapping[str, Nested]:
        """The nested stacks that a template declares, by logical id; the first of several that one may be."""
        return self._nested[file]

    def of_type(self, *types: str) -> Iterator[Place]:
        """The resources of some types that may exist, in all stacks."""
        return itertools.chain.from_iterable(map(self._places_of, types))

    def _places_of(self, kind: str) -> list[Place]:
        if kind not in self._places:
            self._places[kind] = [place for stack in self._of_type.get(kind, ()) for place in stack.places(kind)]
        return self._places[kind]

    def view(self, file: str) -> StackView:
        """A template as the first stack that is made of it."""
        return next(stack for stack in self.stacks if stack.file == file)

    def _root_names(self) -> Iterator[str]:
        every = [nested for name in self.facts for nested in self._all_of(name)]
        children = {nested.child for nested in every if nested.child and nested.child != nested.parent}
        seen: set[str] = set()
        # In a ring of files nobody is the root: the first by name stands in, so that the rest is checked.
        for name in sorted(self.facts, key=lambda name: (name in children, name)):
            if name not in seen:
                waiting = [name]
                while waiting:
                    file = waiting.pop()
                    if file not in seen:
                        seen.add(file)
                        waiting.extend(nested.child for nested in self._all_of(file) if nested.child)
                yield name

    def _all_of(self, file: str) -> Iterator[Nested]:
        return (nested for several in self._choices[file].values() for nested in several)

    def _grow(self, file: str, most: int) -> tuple[StackView, int]:
        root = StackView(file, self.facts[file], self._nested[file])
        count, waiting = 1, [(root, frozenset([file]))]
        for stack, above in waiting:
            for nested in self._all_of(stack.file):
                if nested.child and nested.child not in above and count < most and len(above) < MAX_DEPTH:
                    child = StackView(nested.child, self.facts[nested.child], self._nested[nested.child], stack, nested)
                    stack.children.setdefault(nested.logical_id, []).append(child)
                    waiting.append((child, above | {nested.child}))
                    count += 1
        return root, count

    def _resolve(self, stack: StackView) -> dict[str, list[Nested]]:
        """Each nested stack of a template by logical id: one, or one for each template that it may have."""
        places: list[Location] = []
        hits: list[str | None] = []
        seen: set[tuple[str, str]] = set()
        for place in locations(stack):
            hit = self._file(stack.file, place)
            if hit is None or (place.logical_id, hit) not in seen:
                places.append(place)
                hits.append(hit)
                seen.add((place.logical_id, hit or ""))
        homes = _homes(zip(places, hits, strict=True))
        found: dict[str, list[Nested]] = {}
        for place, hit in zip(places, hits, strict=True):
            properties = stack.facts.resources[place.logical_id].get("Properties")
            properties = properties if isinstance(properties, Mapping) else {}
            child, missing, why = self._child(stack.file, place, hit, homes)
            nested = Nested(stack.file, place.logical_id, properties, child, missing, why, place.when)
            if child and place.path is None and self._is_another(child, nested):
                why = f"{child} shares no parameter with what is passed, so another template of that name is meant"
                nested = Nested(stack.file, place.logical_id, properties, why=why, when=place.when)
            found.setdefault(place.logical_id, []).append(nested)
        return found

    def _file(self, parent: str, place: Location) -> str | None:
        """The file of the set that a place means by its name, as far as the name tells."""
        published = place.segments and self._published.get(
            posixpath.join(posixpath.dirname(parent), place.segments[-1])
        )
        if published in self.facts:
            return published
        for path in place.candidates(parent):
            # A URL that ends in the parent's own name may mean somebody else's file of that name.
            if path in self.facts and (place.path is not None or path != parent):
                return path
        # Another folder, or a name of which only the end is known: where only one file of the set can be meant.
        tail = "/".join(place.segments)
        if place.exact:
            several = [name for name in self._by_name.get(posixpath.basename(tail), ()) if name.endswith(f"/{tail}")]
        else:
            folder = posixpath.dirname(parent)
            several = [name for name in self.facts if name.endswith(tail) and posixpath.dirname(name) == folder]
        return several[0] if tail and len(several) == 1 and several[0] != parent else None

    def _child(
        self, parent: str, place: Location, hit: str | None, homes: Mapping[str, str]
    ) -> tuple[str | None, str | None, str]:
        """The child's file, the file that should be there and is not, and why there is no child."""
        if place.path is not None:
            expected = next(place.candidates(parent))
            # Outside of the set's folder, or written for another tool: nothing can be said.
            if hit is None and not expected.startswith(("../", "/")) and expected.endswith(SUFFIXES):
                return None, expected, f"{expected} is not there"
            return hit, None, "" if hit else f"{place.path} is not among the templates"
        if not place.segments:
            return None, None, place.why
        name = place.segments[-1]
        if hit and posixpath.basename(hit) != name:
            return hit, None, ""
        # What siblings' URLs mean tells whether this one is the set's own file or somebody else's of that name.
        if place.folder not in homes:
            others = f", but several addresses end in {name}" if hit else ""
            meant = name if place.exact else f"a file that ends in {name}"
            return None, None, f"{meant} is not among the templates" if not hit else f"{hit} is there{others}"
        home = homes[place.folder]
        expected = f"{home}/{name}" if home else name
        if hit is not None:
            return (hit, None, "") if hit == expected else (None, None, f"{hit} is there, but its address is another")
        # A key that ends in a digest is a published copy under another name, not a missing file.
        if _DIGEST.search(name.rpartition(".")[0] or name) or not place.exact:
            return None, None, f"{name} is a published copy of a template, and nothing says of which"
        return (parent, None, "") if expected == parent else (None, expected, f"{expected} is not there")

    def _is_another(self, child: str, nested: Nested) -> bool:
        # Behind a URL only the name speaks for this file; many parameters and not one in common speak against it.
        passed = nested.arguments or {}
        return len(passed) > 2 and not passed.keys() & self.facts[child].parameters.keys()


def _homes(hits: Iterable[tuple[Location, str | None]]) -> dict[str, str]:
    """Which folder of the set stands behind each URL prefix of one template.

    Where several prefixes would mean one folder, the one with most files there is meant and the others are somebody
    else's files of the same name; a draw decides for none.
    """
    votes: dict[str, dict[str, int]] = {}
    for place, path in hits:
        if place.path is None and path is not None:
            by_prefix = votes.setdefault(path.rpartition("/")[0], {})
            by_prefix[place.folder] = by_prefix.get(place.folder, 0) + 1
    homes: dict[str, str] = {}
    for folder, by_prefix in votes.items():
        most = max(by_prefix.values())
        winners = [prefix for prefix, count in by_prefix.items() if count == most]
        if len(winners) == 1 and winners[0] not in homes:
            homes[winners[0]] = folder
    return homes


_DIGEST = re.compile(r"[0-9a-f]{8,}$")
