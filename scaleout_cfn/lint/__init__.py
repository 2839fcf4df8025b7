"""Checks on a set of templates: what each does alone (cfn-lint) and what they do to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaleout_cfn.lint.rules import RULES, Rule
from scaleout_cfn.templates.findings import Finding, in_order
from scaleout_cfn.templates.sets import StackSet

__all__ = ["RULES", "Finding", "Rule", "check_set", "findings_on"]


def check_set(templates: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """The set-level findings on templates that are at hand.

    `templates` are long-form templates by file name (relative to the set's folder, with `/`). Nested stacks find each
    other by these names, whichever form their TemplateURL has. Nothing is read or written, and no line is known.
    """
    return findings_on(StackSet(templates))


def findings_on(stacks: StackSet) -> list[Finding]:
    """The set-level findings on a set that has been read."""
    return in_order(finding for rule in RULES for finding in rule.check(stacks))
