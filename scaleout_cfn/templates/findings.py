"""What the lint says: one finding a mistake, as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

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
