"""A folder of templates through every check: the text, the set-level rules, and cfn-lint.

cfn-lint runs as a library, on the files as they are. It follows a nested stack's parameters and
outputs only through a local TemplateURL (E3043, E1010, E1019, E6101), where the set-level rules S103 to
S105 follow every form; what both report is given once, with the set-level rule's cure.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint.rules import RULES
from scaleout_cfn.templates.findings import Finding, in_order
from scaleout_cfn.templates.reading import Template, templates_of
from scaleout_cfn.templates.sets import StackSet

if TYPE_CHECKING:
    from cfnlint.rules import Rules

__all__ = ["lint"]


def lint(folder: Path, regions: Sequence[str]) -> list[Finding]:
    """Every finding on a folder of templates, in order. See `scaleout_cfn.lint.lint_folder`."""
    read = list(templates_of(folder))
    if not read:
        raise UsageError(f"{folder}: no templates in it; give a folder of templates")
    templates = {template.name: template for template, _ in read}
    stacks = StackSet(
        {name: template.body for name, template in templates.items()},
        {template.name: size for template, size in read},
    )
    own = [problem for template in templates.values() for problem in template.problems]
    for rule in RULES:
        for finding in rule.check(stacks):
            own.append(replace(finding, line=templates[finding.file].line(finding.path) or 1))
    # What cannot be read, cfn-lint cannot check: its E0000 is the finding that is there already.
    sound = [template for template in templates.values() if not template.problems]
    overlaps = {rule.id: rule.overlaps for rule in RULES}
    said = [(found, overlaps[found.rule]) for found in own if overlaps.get(found.rule)]
    foreign = [
        finding
        for finding in _cfn_lint(folder, sound, regions)
        if not any(finding.rule in others and _same_place(finding, found) for found, others in said)
    ]
    return in_order(own + foreign)


def _same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings are of one file and the path of one holds that of the other."""
    shorter, longer = sorted((f"{one.path}.", f"{other.path}."), key=len)
    return one.file == other.file and longer.startswith(shorter)


def _cfn_lint(folder: Path, templates: Sequence[Template], regions: Sequence[str]) -> list[Finding]:
    """cfn-lint's errors and warnings on templates of a folder."""
    if not templates:
        return []
    rules = _rules()
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import InvalidRegionException, run_template_by_file_path

    config = ConfigMixIn([], regions=list(regions))
    try:
        with _collecting_every(200_000):
            return [
                Finding(
                    file=template.name,
                    line=match.linenumber,
                    path=".".join(str(part) for part in getattr(match, "path", None) or ()),
                    rule=match.rule.id,
                    severity=match.rule.severity,
                    message=match.message,
                    cure=f"See {match.rule.source_url}.",
                    source=match.rule.source_url,
                )
                for template in templates
                for match in run_template_by_file_path(str(folder / template.name), config, rules, False)
                if match.rule.severity in ("error", "warning")
            ]
    except InvalidRegionException as error:
        raise ValueError(str(error)) from error


@cache
def _rules() -> Rules:
    """cfn-lint with its rules, loaded once a process."""
    with _collecting_every(5_000_000):
        from cfnlint.config import ConfigMixIn
        from cfnlint.rules import Rules

        rules = Rules()
        for directory in ConfigMixIn([]).append_rules:
            rules.update(Rules.create_from_directory(directory))
        # Some hundred thousand objects that live as long as the process: no collection need look at them.
        gc.freeze()
        return rules


@contextmanager
def _collecting_every(new_objects: int) -> Iterator[None]:
    """Collects garbage less often than Python does by itself.

    cfn-lint makes many objects at once and drops few in cycles: with the usual thresholds a sixth of its
    time goes into collections that find next to nothing.
    """
    before = gc.get_threshold()
    gc.set_threshold(new_objects, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
