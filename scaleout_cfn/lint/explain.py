"""What a rule wants, why, who says so, and a wrong and a right template of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint import check_set
from scaleout_cfn.lint.rules import RULES
from scaleout_cfn.templates.values import Finding

Set: TypeAlias = Mapping[str, Any]
"""Templates by file name, as plain data."""


def explained(rule_id: str) -> str:
    """A rule of ours, or one of cfn-lint's, as text. Raises UsageError for one that neither has."""
    own = {rule.id: rule for rule in RULES}
    rule = own.get(rule_id.upper())
    if rule is None:
        return _of_cfn_lint(rule_id.upper())
    kind = {"error": "an error", "warning": "a warning", "info": "for information"}[rule.severity]
    parts = [f"{rule.id}, {kind}: {rule.sentence}", f"Source: {rule.source}"]
    # Written by scripts/rule_examples.py from the cases that the rules are tested on: a set without a mistake, and by
    # rule what to change in it for a right set of the rule, and what in that one for a wrong set.
    data = json.loads(resources.files("scaleout_cfn").joinpath("data/rule_examples.json").read_bytes())
    if rule.id in data["rules"]:
        right = merged(data["set"], data["rules"][rule.id]["right"])
        wrong = merged(right, data["rules"][rule.id]["wrong"])
        finding = next(finding for finding in check_set(wrong) if finding.rule == rule.id)
        wrong_lines, right_lines = (text.splitlines() for text in shown(wrong, right, finding))
        parts += [
            f"Why, of the wrong template below: {finding.message} {finding.cure}",
            "\n".join(["Wrong:", *_marked(wrong_lines, right_lines)]),
            "\n".join(["Right:", *_marked(right_lines, wrong_lines)]) if right_lines else "Right: without it.",
        ]
    parts.append(f"Left out by --ignore {rule.id}, or by ignore_checks in a .cfnlintrc or in the template's Metadata.")
    return "\n\n".join(parts)


def merged(under: Any, patch: Any) -> Any:
    """Plain data under a merge patch: https://www.rfc-editor.org/rfc/rfc7386."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(under) if isinstance(under, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def shown(wrong: Set, right: Set, finding: Finding) -> tuple[str, str]:
    """The parts of both sets that differ, and that which the finding is of, as text."""
    places = {*_differing(right, wrong)}
    section, _, rest = finding.path.partition(".")
    if rest:
        places.add((finding.file, section, rest.partition(".")[0]))
    return _text(wrong, sorted(places)), _text(right, sorted(places))


def _differing(right: Set, wrong: Set) -> Iterator[tuple[str, str, str]]:
    for file in {*right, *wrong}:
        before, after = right.get(file, {}), wrong.get(file, {})
        for section in {*before, *after}:
            if isinstance(before.get(section, after.get(section)), Mapping):
                old, new = before.get(section, {}), after.get(section, {})
                yield from ((file, section, name) for name in {*old, *new} if old.get(name) != new.get(name))


def _text(templates: Set, places: Sequence[tuple[str, str, str]]) -> str:
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    for file, section, name in places:
        if name in templates.get(file, {}).get(section, {}):
            parts.setdefault(file, {}).setdefault(section, {})[name] = templates[file][section][name]
    # Without anchors: a part that is there twice is written twice.
    plain = json.loads(json.dumps(parts))
    return "".join(
        f"# {file}\n{yaml.safe_dump(body, sort_keys=False, width=100)}" for file, body in sorted(plain.items())
    )


def _marked(lines: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Lines with a mark before those that the other template has not."""
    same = SequenceMatcher(None, lines, others, autojunk=False).get_matching_blocks()
    common = {block.a + offset for block in same for offset in range(block.size)}
    return (f"  {' ' if place in common else '>'} {line}" for place, line in enumerate(lines))


def _of_cfn_lint(rule_id: str) -> str:
    import cfnlint.rules  # a second: only for who asks

    rules = cfnlint.rules.Rules.create_from_directory(str(Path(cfnlint.rules.__file__).parent))
    found = next((rule for rule in rules.values() if rule.id == rule_id), None)
    if found is None:
        raise UsageError(
            f"--explain {rule_id}: no rule; ours are S101 to {RULES[-1].id} (docs/rules.md), cfn-lint's E, W and I"
        )
    return f"{found.id}, of cfn-lint: {found.shortdesc}\n\n{found.description}\n\nSource: {found.source_url}"
