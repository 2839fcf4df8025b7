"""CloudFormation templates as YAML text, in the short forms that people write: `!Ref`, `!GetAtt`, `!Sub`.

PyYAML's C emitter does the work. What a YAML 1.1 reader could take for anything but a string is quoted: PyYAML's own
rule for that follows its own resolver, which knows neither `y` and `n` nor numbers with leading zeros.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as Dumper
except ImportError:  # PyYAML built without libyaml: slower
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]

__all__ = ["to_yaml"]

# Whatever starts like a number, a date or a time, and the one-letter booleans of YAML 1.1; to which `.` is a float.
RISKY = re.compile(r"[-+]?[.0-9]|[yYnN]$|[=<]")
#: Values longer than this stand below each other.
FLOW_ITEMS = 4
WIDTH = 120
_YAML = "tag:yaml.org,2002:"
_STRING, _SEQUENCE = f"{_YAML}str", f"{_YAML}seq"
REPRESENTER = yaml.representer.SafeRepresenter()
# `Condition: X` is both an intrinsic function and an attribute of resources, so it stays as it is.
FUNCTIONS = frozenset(
    {
        "Ref",
        "Fn::And",
        "Fn::Base64",
        "Fn::Cidr",
        "Fn::Equals",
        "Fn::FindInMap",
        "Fn::GetAtt",
        "Fn::GetAZs",
        "Fn::If",
        "Fn::ImportValue",
        "Fn::Join",
        "Fn::Length",
        "Fn::Not",
        "Fn::Or",
        "Fn::Select",
        "Fn::Split",
        "Fn::Sub",
        "Fn::ToJsonString",
    }
)


_RESOLVER = yaml.resolver.Resolver()
_DOCUMENT, _END_DOCUMENT = yaml.DocumentStartEvent(explicit=False), yaml.DocumentEndEvent(explicit=False)
_MAPPING, _EMPTY_MAPPING = (
    yaml.MappingStartEvent(None, f"{_YAML}map", True, flow_style=flow_style) for flow_style in (False, True)
)
_END_MAPPING, _END_SEQUENCE = yaml.MappingEndEvent(), yaml.SequenceEndEvent()


def to_yaml(template: dict[str, Any]) -> str:
    """A template in long form (`{"Fn::GetAtt": [...]}`) as YAML text. Keys keep their order."""
    text = io.StringIO()
    emitter = Dumper(text, allow_unicode=True, width=WIDTH, indent=2)
    emitter.open()
    # Events made here, not by PyYAML's representers and serializer: those look for anchors, of which there are none.
    emitter.emit(_DOCUMENT)
    _write(template, emitter.emit)
    emitter.emit(_END_DOCUMENT)
    emitter.close()
    return text.getvalue()


def _write(value: Any, emit: Callable[[yaml.Event], None]) -> None:
    if isinstance(value, str):
        emit(_string(value))
    elif isinstance(value, dict):
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name in FUNCTIONS and _write_short(name, argument, emit):
                return
        emit(_MAPPING if value else _EMPTY_MAPPING)
        for key, item in value.items():
            emit(_string(key))
            if isinstance(item, str):  # most are: a call less
                emit(_string(item))
            else:
                _write(item, emit)
        emit(_END_MAPPING)
    elif isinstance(value, (list, tuple)):
        _write_items(value, _SEQUENCE, not value, emit)
    else:
        emit(_plain(value))


def _write_short(name: str, argument: Any, emit: Callable[[yaml.Event], None]) -> bool:
    """An intrinsic function as a tag; False where CloudFormation wants the long form: around another function."""
    tag = "!" + name.removeprefix("Fn::")
    if name == "Fn::GetAtt" and isinstance(argument, list) and all(isinstance(part, str) for part in argument):
        argument = ".".join(argument)
    if isinstance(argument, str):
        emit(_string(argument, tag))
    elif isinstance(argument, list):
        _write_items(argument, tag, _is_short(argument), emit)
    else:
        return False
    return True


def _write_items(items: Sequence[Any], tag: str, in_a_line: bool, emit: Callable[[yaml.Event], None]) -> None:
    emit(_start(tag, in_a_line))
    for item in items:
        _write(item, emit)
    emit(_END_SEQUENCE)


# An event is the same wherever it stands: most of a set's texts are there many times.


@lru_cache(100)
def _start(tag: str, in_a_line: bool) -> yaml.SequenceStartEvent:
    return yaml.SequenceStartEvent(None, tag, tag == _SEQUENCE, flow_style=in_a_line)


@lru_cache(10_000)
def _string(text: str, tag: str = _STRING) -> yaml.ScalarEvent:
    style = "|" if "\n" in text else "'" if not text or RISKY.match(text) else None
    is_plain = tag == _STRING == _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return yaml.ScalarEvent(None, tag, (is_plain, tag == _STRING), text, style=style)


def _plain(value: Any) -> yaml.ScalarEvent:
    if isinstance(value, bool):
        tag, text = "bool", str(value).lower()
    elif isinstance(value, int):
        tag, text = "int", str(value)
    elif isinstance(value, float):
        tag, text = "float", REPRESENTER.represent_float(value).value
    elif value is None:
        tag, text = "null", "null"
    else:
        raise TypeError(f"{value!r} is {type(value).__name__}, which no template can hold")
    return yaml.ScalarEvent(None, _YAML + tag, (True, False), text)


def _is_short(items: list[Any]) -> bool:
    return len(items) <= FLOW_ITEMS and all(
        (not isinstance(item, (dict, list)) and len(str(item)) < WIDTH // FLOW_ITEMS) or _is_reference(item)
        for item in items
    )


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and len(item) == 1 and next(iter(item)) in ("Ref", "Fn::GetAtt")
