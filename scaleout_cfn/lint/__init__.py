"""Checks on a set of templates: what each does alone (cfn-lint) and what they do to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaleout_cfn.lint.rules import RULES, Rule
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.values import Finding, in_order

__all__ = ["RULES", "Finding", "Rule", "check_set", "errors_on"]


def check_set(templates: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """The set-level findings on templates that are at hand.

    `templates` are long-form templates by file name (relative to the set's folder, with `/`). Nested stacks find each
    other by these names, whichever form their TemplateURL has. Nothing is read or written, and no line is known.
    """
    stacks = StackSet(templates)
    return in_order(finding for rule in RULES for finding in rule.check(stacks))


def errors_on(stacks: StackSet) -> list[Finding]:
    """Of the findings on a set that has been read the errors. What at most warns is not asked."""
    found = in_order(finding for rule in RULES if rule.severity == "error" for finding in rule.check(stacks))
    return [finding for finding in found if finding.severity == "error"]
