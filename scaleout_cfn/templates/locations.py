"""Where a parent says that the templates of its nested stacks lie."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from scaleout_cfn.templates.conditions import Formula, negation
from scaleout_cfn.templates.facts import VARIABLE, sub_parts
from scaleout_cfn.templates.stacks import StackView, Symbol, Text
from scaleout_cfn.templates.values import as_text, is_plain

# What the file of a template ends in.
SUFFIXES = (".yaml", ".yml", ".json", ".template")

# The resource types that nest a template, each with the property that says where it lies. The second
# is the Serverless transform's name for the first: AWS::Serverless::Application with a local path.
NESTING = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}

# Where CDK notes which file of its output an asset is.
# https://docs.aws.amazon.com/cdk/v2/guide/assets.html, "CloudFormation resource metadata"
_CDK_PATH = "aws:asset:path"
_HOLE = "\0"
# More choices within one address are not followed.
_CHOICES = 8


class Location(Struct, frozen=True):
    """One place of a nested stack's template, as far as its parent spells it out.

    `path` is a relative path where that is what is written, else None: from the parent's own folder, or, as ECS
    Compose-X writes it, from where the tool was run that wrote both there. `segments` are the trailing parts of a URL
    that hold no variable, `("templates", "vpc.yaml")`, and `exact` says whether the last one is the whole file name.
    `folder` is the text before the file name, variables and all: two children behind the same text lie in the same
    folder. `when` says where this place is the one that is taken. Without a path and segments the place cannot be told;
    `why` says what of.
    """

    logical_id: str
    when: Formula = True
    path: str | None = None
    segments: tuple[str, ...] = ()
    folder: str = ""
    exact: bool = True
    why: str = ""

    def candidates(self, parent: str) -> Iterator[str]:
        """The file names, in the form of the parent's, that this may mean; the likeliest first."""
        beside = posixpath.dirname(parent)
        if self.path is not None:
            path = posixpath.normpath(self.path)
            yield posixpath.normpath(posixpath.join(beside, path))
            folder = posixpath.dirname(path)
            if folder and f"/{beside}".endswith(f"/{folder}"):
                yield posixpath.join(beside, posixpath.basename(path))
            return
        above = [beside]
        while above[-1] not in ("", "/") and not above[-1].endswith(".."):
            above.append(posixpath.dirname(above[-1]))
        for start in range(len(self.segments)):
            for folder in above:
                yield posixpath.join(folder, *self.segments[start:])


def locations(stack: StackView) -> Iterator[Location]:
    """The places of each nested stack of a template; several where a condition chooses between them."""
    for kind, name in NESTING.items():
        for logical_id in stack.facts.by_type.get(kind, ()):
            resource = stack.facts.resources[logical_id]
            properties, metadata = resource.get("Properties"), resource.get("Metadata")
            noted = metadata.get(_CDK_PATH) if isinstance(metadata, Mapping) else None
            if isinstance(noted, str):
                yield Location(logical_id, path=noted)
            elif not isinstance(properties, Mapping) or name not in properties:
                yield Location(logical_id, why=f"it has no {name}")
            else:
                for when, value in _choices(stack, properties[name], True)[:_CHOICES]:
                    yield _read(logical_id, when, value, _with_holes(stack, value), name)


def _choices(stack: StackView, node: Any, when: Formula) -> list[tuple[Formula, Any]]:
    """The things that an expression comes to, each with what makes it so."""
    argument = node.get("Fn::If") if isinstance(node, Mapping) and len(node) == 1 else None
    if not isinstance(argument, list) or len(argument) != 3:
        return [(when, node)]
    condition, then, otherwise = argument
    holds = stack.when(condition)
    return [
        found
        for side, case in ((then, holds), (otherwise, negation(holds)))
        if case is not False
        for found in _choices(stack, side, case)
    ]


def _read(logical_id: str, when: Formula, value: Any, text: str, name: str) -> Location:
    if isinstance(value, Mapping) and "ApplicationId" in value:
        return Location(logical_id, when, why="it is an application of the Serverless repository")
    if "{{resolve:" in (value if isinstance(value, str) else text):
        return Location(logical_id, when, why=f"only a deployment knows its {name}")
    if text.startswith("s3://"):
        return Location(logical_id, when, why=f"its {name} is in a bucket, {text.replace(_HOLE, '')}")
    if isinstance(value, str) and "://" not in text:
        return Location(logical_id, when, text) if text else Location(logical_id, when, why=f"its {name} is empty")
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
        if not part or part == "..":
            break
        segments.insert(0, part)
    if segments:
        return Location(logical_id, when, None, tuple(segments), folder, exact)
    unknown = [piece for piece in text.split(_HOLE)[1::2] if piece]
    why = f"its {name} ends in {unknown[-1]}, which has no default" if unknown else f"its {name} names no file"
    return Location(logical_id, when, why=why)


def _with_holes(stack: StackView, node: Any) -> str:
    """The text that an expression comes to, each thing unknown in it as a named hole.

    A parameter of a root counts as its Default, so that a file name that holds one is known.
    """
    value = stack.scope_of({}).value(node)
    if is_plain(value):
        return as_text(value)
    if isinstance(value, (Symbol, Text)):
        parts = value.parts if isinstance(value, Text) else (value,)
        return "".join(part if isinstance(part, str) else _hole(part.name) for part in parts)
    # Unknown as a whole may be known in parts.
    function, argument = next(iter(node.items())) if isinstance(node, Mapping) and len(node) == 1 else ("", None)
    if function == "Fn::Sub":
        template, given = sub_parts(argument)
        variables = VARIABLE.split(template)
        return "".join(
            _with_holes(stack, given.get(piece, {"Ref": piece})) if index % 2 else piece
            for index, piece in enumerate(variables)
        )
    if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:
        delimiter, items = argument
        if isinstance(delimiter, str) and isinstance(items, list):
            return delimiter.join(_with_holes(stack, item) for item in items)
    return _hole(argument if isinstance(argument, str) else function or "something")


def _hole(name: str) -> str:
    # No slash, so that a hole stays within one segment.
    return f"{_HOLE}{name.replace('/', '|').replace(_HOLE, '')}{_HOLE}"
