"""Checks on a set of templates: what each does alone (cfn-lint) and what they do to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaleout_cfn.lint.rules import RULES, Rule
from scaleout_cfn.templates.findings import Finding, in_order
from scaleout_cfn.templates.sets import StackSet

__all__ = ["RULES", "Finding", "Rule", "check_set", "lint_folder"]


def check_set(templates: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """The set-level findings on templates that are at hand.

    `templates` are long-form templates by file name (relative to the set's folder, with `/`). Nested
    stacks find each other by these names, whichever form their TemplateURL has. Nothing is read or
    written, and no line is known.
    """
    stacks = StackSet(templates)
    return in_order(finding for rule in RULES for finding in rule.check(stacks))


def lint_folder(folder: Path | str, *, regions: Sequence[str] = ("us-east-1",)) -> list[Finding]:
    """Every finding on a folder of templates: the text, the set, and cfn-lint's errors and warnings.

    Takes each .yaml, .yml, .json and .template file that is a template, and those in subfolders that
    they nest. cfn-lint checks against `regions`. Raises OSError where the folder cannot be read,
    UsageError where it has no templates, and ValueError for a region that cfn-lint does not know.
    """
    from scaleout_cfn.lint.folder import lint  # cfn-lint costs half a second to import

    return lint(Path(folder), regions)
