"""CloudFormation templates as YAML text, in the short forms that people write: `!Ref`, `!GetAtt`, `!Sub`.

PyYAML's C emitter does the work. What a YAML 1.1 reader could take for anything but a string is quoted: PyYAML's own
rule for that follows its own resolver, which knows neither `y` and `n` nor numbers with leading zeros.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as _Base
except ImportError:  # pragma: no cover - PyYAML built without libyaml: the same text, slower
    from yaml import SafeDumper as _Base  # type: ignore[assignment]

__all__ = ["to_yaml"]

# Whatever starts like a number, a date or a time, and the one-letter booleans of YAML 1.1.
RISKY = re.compile(r"[-+]?\.?[0-9]|[-+]\.|[yYnN]$|[=<]")
#: Values longer than this stand below each other.
FLOW_ITEMS = 4
WIDTH = 120
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


class _Dumper(_Base):
    def ignore_aliases(self, _: Any) -> bool:
        return True


def to_yaml(template: dict[str, Any]) -> str:
    """A template in long form (`{"Fn::GetAtt": [...]}`) as YAML text. Keys keep their order."""
    return yaml.dump(template, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH, indent=2)


def _string(dumper: _Dumper, text: str, tag: str = "tag:yaml.org,2002:str") -> yaml.ScalarNode:
    if "\n" in text:
        return dumper.represent_scalar(tag, text, style="|")
    return dumper.represent_scalar(tag, text, style="'" if not text or RISKY.match(text) else None)


def _mapping(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    if len(data) == 1:
        (name, argument), *_ = data.items()
        if name in FUNCTIONS and (node := _short(dumper, name, argument)) is not None:
            return node
    return dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=False)


def _short(dumper: _Dumper, name: str, argument: Any) -> yaml.Node | None:
    """An intrinsic function as a tag; None where CloudFormation wants the long form: around another function."""
    tag = "!" + name.removeprefix("Fn::")
    if name == "Fn::GetAtt" and isinstance(argument, list) and all(isinstance(part, str) for part in argument):
        argument = ".".join(argument)
    if isinstance(argument, str):
        return _string(dumper, argument, tag)
    if isinstance(argument, list):
        return dumper.represent_sequence(tag, argument, flow_style=_is_short(argument))
    return None


def _is_short(items: list[Any]) -> bool:
    return len(items) <= FLOW_ITEMS and all(
        (not isinstance(item, (dict, list)) and len(str(item)) < WIDTH // FLOW_ITEMS) or _is_reference(item)
        for item in items
    )


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and len(item) == 1 and next(iter(item)) in ("Ref", "Fn::GetAtt")


def _sequence(dumper: _Dumper, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=not data)


_Dumper.add_representer(str, _string)
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)
