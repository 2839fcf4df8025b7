"""What a simulation asks of a piece of a template, and how it refuses one: with the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from scaleout_cfn.errors import UsageError
from scaleout_cfn.templates.stacks import Place
from scaleout_cfn.templates.together import ways_to_set
from scaleout_cfn.templates.values import as_number

__all__ = ["number", "plain", "refuse", "way_to_set", "whole"]


_SUCH_AS = {"Cpu": 256, "InstanceType": "t3.small", "Memory": 512, "Schedule": "cron(0 8 * * ? *)", "TargetValue": 50}


def refuse(place: Place, what: str, way_out: str) -> NoReturn:
    """Raise UsageError: where, what there is, and what would do."""
    raise UsageError(f"{place.stack.file}: {place.logical_id}: {what}; that cannot be simulated: {way_out}")


def number(place: Place, *path: str, default: float | None = None) -> float:
    """A number at a path of properties. Raises UsageError where none is there that is known."""
    value = place.get(*path)
    if value is None and default is not None:
        return default
    found = as_number(value)
    if found is None:
        what = "missing" if value is None else "no number that is known before a deployment"
        refuse(place, f"{'.'.join(path)} is {what}", way_to_set(place, *path))
    return found


def whole(place: Place, *path: str, default: int | None = None) -> int:
    """The same as a whole number."""
    return int(number(place, *path, default=default))


def way_to_set(place: Place, *path: str) -> str:
    """How a value at a path of properties that is not known can be given."""
    node: Any = place.node
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    names = ways_to_set(place.stack, node)
    if not names:
        return f"write it into the template, as in {path[-1]}: {_SUCH_AS.get(path[-1], 2)}"
    return "give it by " + " or ".join(f"--parameter {name}=VALUE" for name in names[:3])


def plain(value: float) -> float:
    """60 for 60.0: equal, and the same in every text."""
    return int(value) if value == int(value) else value
