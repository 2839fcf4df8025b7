"""Where a parent says that the template of a nested stack lies."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

__all__ = ["NESTING", "SUFFIXES", "Location", "locations"]

# What the file of a template ends in.
SUFFIXES = (".yaml", ".yml", ".json", ".template")

# The resource types that nest a template, each with the property that says where it lies. The second
# is the Serverless transform's name for the first: AWS::Serverless::Application with a local path.
NESTING = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}

_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")
_HOLE = "\0"


class Location(Struct, frozen=True):
    """The place of one nested stack's template, as far as its parent spells it out.

    `path` is a path relative to the parent's own folder where that is what is written, else None.
    `segments` are the trailing parts of a URL that hold no variable, `("templates", "vpc.yaml")`, and
    `exact` says whether the last one is the whole file name. `folder` is the text before the file name,
    variables and all: two children behind the same text lie in the same folder.
    """

    logical_id: str
    path: str | None
    segments: tuple[str, ...] = ()
    folder: str = ""
    exact: bool = True

    def candidates(self, parent: str) -> list[str]:
        """The file names, relative to the set's folder, that this may mean; the likeliest first."""
        if self.path is not None:
            return [posixpath.normpath(posixpath.join(posixpath.dirname(parent), self.path))]
        tails = ["/".join(self.segments[start:]) for start in range(len(self.segments))]
        beside = posixpath.dirname(parent)
        return [path for tail in tails for path in dict.fromkeys((posixpath.join(beside, tail), tail))]


def locations(template: Mapping[str, Any]) -> Iterator[Location]:
    """The location of each nested stack of a template whose location can be told at all."""
    resources = template.get("Resources")
    if not isinstance(resources, Mapping):
        return
    for logical_id, resource in resources.items():
        if not isinstance(resource, Mapping):
            continue
        kind, properties = resource.get("Type"), resource.get("Properties")
        if isinstance(kind, str) and kind in NESTING and isinstance(properties, Mapping):
            where = _read(logical_id, properties.get(NESTING[kind]))
            if where is not None:
                yield where


def _read(logical_id: str, value: Any) -> Location | None:
    text = _with_holes(value)
    if text is None or "{{resolve:" in text or text.startswith("s3://"):
        return None
    if isinstance(value, str) and "://" not in text:
        return Location(logical_id, text) if text else None
    text = text.partition("?")[0]
    folder = text.rpartition("/")[0]
    segments: list[str] = []
    exact = True
    for part in reversed(text.partition("://")[2].split("/")[1:] if "://" in text else text.split("/")):
        _, hole, rest = part.rpartition(_HOLE)
        if hole:
            # ${Prefix}vpc.yaml: a prefix ends in a slash as a rule, but it may not.
            exact = bool(segments)
            segments = [rest, *segments] if rest else segments
            break
        if not part:
            break
        segments.insert(0, part)
    return Location(logical_id, None, tuple(segments), folder, exact) if segments else None


def _with_holes(value: Any) -> str | None:
    """The text of a string, Fn::Sub or Fn::Join, each thing unknown in it as a named hole."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    (function, argument), *_ = value.items()
    if function == "Fn::Sub":
        template = argument[0] if isinstance(argument, list) and argument else argument
        return _VARIABLE.sub(lambda m: _hole(m[1]), template) if isinstance(template, str) else None
    if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:
        delimiter, parts = argument
        if isinstance(delimiter, str) and isinstance(parts, list):
            return delimiter.join(part if isinstance(part, str) else _hole(str(part)) for part in parts)
    return None


def _hole(name: str) -> str:
    # No slash, so that a hole stays within one segment.
    return f"{_HOLE}{name.replace('/', '|')}{_HOLE}"
