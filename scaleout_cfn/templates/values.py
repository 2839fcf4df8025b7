"""Plain values of templates: what is known, what is not, and how CloudFormation takes one for another."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final


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
