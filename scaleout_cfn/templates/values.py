"""What all that reads templates shares: plain values, what is known and what is not, how CloudFormation takes one for
another; and a finding, as data."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, Literal

from msgspec import Struct

Severity = Literal["error", "warning", "info"]


class Finding(Struct, frozen=True, order=True):
    """One mistake in one template.

    `path` is the place as keys joined by dots, `Resources.Service.Properties.Parameters.VpcId`.
    `line` counts from 1 and is None where only the parsed template was at hand.
    `source` is the page that states what AWS or cfn-lint expects. `count` says how often it is true of the place,
    `also` holds other paths of the file that are parts of the same mistake, `copies` other files of the same bytes in
    which it is, too.
    """

    file: str
    line: int | None
    path: str
    rule: str
    severity: Severity
    message: str
    cure: str
    source: str
    count: int = 1
    also: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once, in reading order: file, line (unknown first), path, rule."""
    return sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.line or 0, f.path, f.rule, f.message, f.cure))


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""A value that nobody can know without deploying. No rule may judge it."""


def is_list_type(parameter_type: str) -> bool:
    """Whether a parameter of this type is a list inside its template."""
    return parameter_type == "CommaDelimitedList" or "List<" in parameter_type


def is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def as_number(value: Any) -> float | None:
    """A number, or a string that CloudFormation takes for one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def as_text(value: str | float) -> str:
    """A plain value as the text that CloudFormation makes of it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def has_unknown(value: Any) -> bool:
    return value is UNKNOWN or (isinstance(value, list) and any(has_unknown(item) for item in value))
