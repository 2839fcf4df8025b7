"""CloudFormation templates as YAML text, in the short forms that people write: `!Ref`, `!GetAtt`, `!Sub`.

The layout is that of libyaml's emitter. That one is told each scalar, key and bracket by an object of its own, which
takes twice the time of writing them here, and importing PyYAML for it a tenth of a cold render. What a YAML 1.1 reader
could take for anything but a string is quoted, also what PyYAML's own resolver does not know: `y` and `n`, and numbers
with leading zeros.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

# Whatever starts like a number, a date or a time, `=`, `<<`, and the booleans and nulls of YAML 1.1.
# https://yaml.org/type/
RISKY = re.compile(
    r"[-+]?[.0-9]|[=<]|(?:[yYnN~]|null|Null|NULL|yes|no|true|false|on|off|Yes|No|True|False|On|Off"
    r"|YES|NO|TRUE|FALSE|ON|OFF)\Z"
)
# What a plain scalar may not begin with, hold or end in, and what more of that in a list in a line.
# https://yaml.org/spec/1.1/#id907281
MARKED = re.compile(r"""[ #,\[\]{}&*!|>'"%@`]|---|[-?](?:\Z| )|.*?(?::(?:\Z| )| #| \Z)""")
MARKED_IN_A_LINE = re.compile(r"[,?\[\]{}:]")
# What stands between double quotes as an escape: what is not printable, and breaks a line, but for the usual break.
# https://yaml.org/spec/1.1/#c-printable
ESCAPED = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\U00010000-\U0010ffff]")
ESCAPES = dict(zip('\0\a\b\t\n\v\f\r\x1b"\\\x85\u2028\u2029', '0abtnvfre"\\NLP', strict=True))
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
TAGS = {name: f" !{name.removeprefix('Fn::')}" for name in FUNCTIONS}
_TAGS = {name: tag[1:] for name, tag in TAGS.items()}


# `margin` is a line break and the spaces in front of the keys or dashes around a value. The text of a value begins with
# a space, or with its own margin where it stands on lines of its own.


def to_yaml(template: Mapping[str, Any]) -> str:
    """A template in long form (`{"Fn::GetAtt": [...]}`) as YAML text. Keys keep their order."""
    return _mapping(template, "\n").removeprefix("\n") + "\n"


def _mapping(mapping: Mapping[str, Any], margin: str) -> str:
    lines = []
    for key, value in mapping.items():
        start = margin + _KEYS[key]
        kind = type(value)
        # What is told apart here are calls less for nearly all.
        if kind is str:
            short = _LINES[value]
        elif kind is dict and len(value) > 1:
            lines.append(start + _mapping(value, margin + "  "))
            continue
        elif kind is list and value:
            lines.append(start + _list(value, margin))
            continue
        else:
            short = _in_line(value)
        if short and len(start) + len(short) <= WIDTH:
            lines.append(f"{start} {short}")
        else:
            lines.append(start + _value(value, margin, len(start) - 1, margin))
    return "".join(lines)


def _in_line(value: Any) -> str:
    """A text, a number, or a function of a text, as it stands in a line; empty where it needs more, or is another."""
    kind = type(value)
    if kind is str:
        return _LINES[value]
    if kind is int:
        return str(value)
    if kind is dict and len(value) == 1:
        ((name, argument),) = value.items()
        if name in _TAGS:
            if name == "Fn::GetAtt" and type(argument) is list and len(argument) == 2:
                first, last = argument
                argument = f"{first}.{last}" if type(first) is type(last) is str else argument
            if type(argument) is str and (text := _LINES[argument]):
                return f"{_TAGS[name]} {text}"
    return ""


def _list(items: Sequence[Any], margin: str) -> str:
    inner = margin + "  "
    lines = []
    for item in items:
        short = _in_line(item)
        if short and len(margin) + len(short) <= WIDTH - 1:
            lines.append(f"{margin}- {short}")
            continue
        text = _value(item, margin, len(margin), inner)
        # What would begin on the next line begins behind the dash.
        lines.append(f"{margin}- {text[len(inner) :]}" if text[0] == "\n" else f"{margin}-{text}")
    return "".join(lines)


def _value(value: Any, margin: str, column: int, dashes: str) -> str:
    """A value behind a key or a dash that ends at a column; `dashes` is the margin that a list there has."""
    if isinstance(value, str):
        return _string("", value, margin, column)
    if isinstance(value, dict):
        if len(value) == 1 and (short := _short(value)):
            tag, argument = short
            if isinstance(argument, str):
                return _string(tag, argument, margin, column)
            if _is_short(argument):
                return f"{tag} {_in_a_line(argument, margin, column + len(tag) + 1)}"
            return tag + _list(argument, dashes)
        return _mapping(value, margin + "  ") if value else " {}"
    if isinstance(value, (list, tuple)):
        return _list(value, dashes) if value else " []"
    return f" {_plain(value)}"


def _short(value: dict[str, Any]) -> tuple[str, str | list[Any]] | None:
    """The tag and the argument of an intrinsic function, which is a mapping of one key.

    None for anything else, and where CloudFormation wants the long form: around another function.
    """
    ((name, argument),) = value.items()
    tag = TAGS.get(name)
    if tag is None or not isinstance(argument, (str, list)):
        return None
    if name == "Fn::GetAtt" and isinstance(argument, list) and all(isinstance(part, str) for part in argument):
        argument = ".".join(argument)
    return tag, argument


def _in_a_line(items: Sequence[Any], margin: str, column: int) -> str:
    """A list in brackets, which goes on in a further line where one is full."""
    margin += "  "
    text = "["
    for item in items:
        starts = text == "["
        text += "" if starts else ","
        _, is_further, line = text.rpartition("\n")
        at = len(line) if is_further else column + len(text)
        if at > WIDTH:
            text, at, starts = text + margin, len(margin) - 1, True
        tag, content = (_short(item) if isinstance(item, dict) else None) or ("", item)
        if isinstance(content, list):
            shown = f"{tag} {_in_a_line(content, margin, at + len(tag) + 1)}"
        elif isinstance(content, str):
            shown = _string(tag, content, margin, at, in_a_line=True)
        else:
            shown = f" {_plain(content)}"
        text += shown[1:] if starts else shown
    return text + "]"


def _string(tag: str, text: str, margin: str, column: int, *, in_a_line: bool = False) -> str:
    if "\n" in text and not in_a_line and not re.search(r" (?:\n|\Z)", text) and not ESCAPED.search(text):
        return f"{tag} |{_hints(text)}" + "".join(
            f"{margin}  {line}" if line else "\n" for line in text.removesuffix("\n").split("\n")
        )
    shown = f"{tag} {_scalar(text, in_a_line)}"
    return shown if column + len(shown) <= WIDTH else _folded(shown, len(tag) + 1, margin + "  ", column)


def _hints(text: str) -> str:
    """How deep a block of lines begins where its first does not tell, and what becomes of the breaks at its end.

    https://yaml.org/spec/1.1/#id926836
    """
    kept = "-" if text[-1] != "\n" else "+" if text == "\n" or text.endswith("\n\n") else ""
    return ("2" if text[0] in " \n" else "") + kept


def _folded(shown: str, start: int, margin: str, column: int) -> str:
    """A scalar that begins at `start`, with a line break for a space wherever a line is full."""
    quote = shown[start] if shown[start] in "'\"" else ""
    first, last = start + len(quote), len(shown) - len(quote) - 1
    text, begin = "", 0
    for space in re.finditer(r"(?<! ) ", shown):
        at = space.start()
        is_full = column + at - begin > WIDTH and first < at < last
        if is_full and (quote == '"' or shown[at + 1] != " "):
            # In double quotes the next line may begin with a space.
            text += shown[begin:at] + margin + ("\\" if shown[at + 1] == " " else "")
            begin, column = at + 1, len(text.rpartition("\n")[2])
    return text + shown[begin:]


class _Lines(dict[str, str]):
    """Each text as it stands in a line; empty where it has lines of its own. Most of a set's are there many times."""

    def __missing__(self, text: str) -> str:
        if len(self) >= 10_000:
            self.clear()
        self[text] = shown = "" if "\n" in text else _scalar(text)
        return shown


class _Keys(dict[str, str]):
    """Each key with its colon."""

    def __missing__(self, key: str) -> str:
        if len(self) >= 10_000:
            self.clear()
        self[key] = shown = f"{_scalar(key)}:"
        return shown


_LINES, _KEYS = _Lines(), _Keys()


@lru_cache(10_000)
def _scalar(text: str, in_a_line: bool = False) -> str:
    if "\n" in text or ESCAPED.search(text):
        escaped = re.sub(f'{ESCAPED.pattern}|[\n"\\\\]', lambda match: _escape(match[0]), text)
        return f'"{escaped}"'
    if not text or RISKY.match(text) or MARKED.match(text) or (in_a_line and MARKED_IN_A_LINE.search(text)):
        return "'" + text.replace("'", "''") + "'"
    return text


def _escape(character: str) -> str:
    """https://yaml.org/spec/1.1/#id872840"""
    code = ord(character)
    if character in ESCAPES:
        return "\\" + ESCAPES[character]
    return f"\\x{code:02X}" if code < 1 << 8 else f"\\u{code:04X}" if code < 1 << 16 else f"\\U{code:08X}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        # YAML 1.1 wants a point: 1.0e+20.
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    if value is None:
        return "null"
    raise TypeError(f"{value!r} is {type(value).__name__}, which no template can hold")


def _is_short(items: list[Any]) -> bool:
    return len(items) <= FLOW_ITEMS and all(
        (not isinstance(item, (dict, list)) and len(str(item)) < WIDTH // FLOW_ITEMS) or _is_reference(item)
        for item in items
    )


def _is_reference(item: Any) -> bool:
    short = _short(item) if isinstance(item, dict) and len(item) == 1 else None
    if short is None or short[0] not in (" !Ref", " !GetAtt"):
        return False
    return isinstance(short[1], str) or _is_short(short[1])
