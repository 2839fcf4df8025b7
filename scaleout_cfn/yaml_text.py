"""CloudFormation templates as YAML text, in the short forms that people write: `!Ref`, `!GetAtt`, `!Sub`.

PyYAML's C emitter does the work. What a YAML 1.1 reader could take for anything but a string is quoted: PyYAML's own
rule for that follows its own resolver, which knows neither `y` and `n` nor numbers with leading zeros.
"""

from __future__ import annotations

import io
import re
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


class _Dumper(Dumper):
    """The dumper without rules by path, of which templates have none; a text's own type is found once."""

    def descend_resolver(self, *_: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode:
            return _type_of(value, implicit)
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


_RESOLVER = yaml.resolver.Resolver()


@lru_cache(10_000)
def _type_of(text: str, implicit: tuple[bool, bool]) -> Any:
    return _RESOLVER.resolve(yaml.ScalarNode, text, implicit)  # type: ignore[no-untyped-call]


def to_yaml(template: dict[str, Any]) -> str:
    """A template in long form (`{"Fn::GetAtt": [...]}`) as YAML text. Keys keep their order."""
    text = io.StringIO()
    dumper = _Dumper(text, allow_unicode=True, width=WIDTH, indent=2)
    dumper.open()
    # Nodes made here, not by PyYAML's representers: those look for anchors, which a template has none of.
    dumper.serialize(_node(template))
    dumper.close()
    return text.getvalue()


def _node(value: Any) -> yaml.Node:
    if isinstance(value, str):
        return _string(value, "tag:yaml.org,2002:str")
    if isinstance(value, dict):
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name in FUNCTIONS and (node := _short(name, argument)) is not None:
                return node
        pairs = [(_node(key), _node(item)) for key, item in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=not pairs)
    if isinstance(value, (list, tuple)):
        items = [_node(item) for item in value]
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=not items)
    if isinstance(value, bool):
        return yaml.ScalarNode("tag:yaml.org,2002:bool", str(value).lower())
    if isinstance(value, int):
        return yaml.ScalarNode("tag:yaml.org,2002:int", str(value))
    if isinstance(value, float):
        return REPRESENTER.represent_float(value)
    if value is None:
        return yaml.ScalarNode("tag:yaml.org,2002:null", "null")
    raise TypeError(f"{value!r} is {type(value).__name__}, which no template can hold")


def _string(text: str, tag: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(tag, text, style=_style_of(text))


@lru_cache(10_000)
def _style_of(text: str) -> str | None:
    return "|" if "\n" in text else "'" if not text or RISKY.match(text) else None


def _short(name: str, argument: Any) -> yaml.Node | None:
    """An intrinsic function as a tag; None where CloudFormation wants the long form: around another function."""
    tag = "!" + name.removeprefix("Fn::")
    if name == "Fn::GetAtt" and isinstance(argument, list) and all(isinstance(part, str) for part in argument):
        argument = ".".join(argument)
    if isinstance(argument, str):
        return _string(argument, tag)
    if isinstance(argument, list):
        return yaml.SequenceNode(tag, [_node(item) for item in argument], flow_style=_is_short(argument))
    return None


def _is_short(items: list[Any]) -> bool:
    return len(items) <= FLOW_ITEMS and all(
        (not isinstance(item, (dict, list)) and len(str(item)) < WIDTH // FLOW_ITEMS) or _is_reference(item)
        for item in items
    )


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and len(item) == 1 and next(iter(item)) in ("Ref", "Fn::GetAtt")
