"""What a rule wants, why, who says so, and a wrong and a right template of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from importlib import resources
from pathlib import Path

import msgspec
from msgspec import Struct

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint.rules import RULES


class Example(Struct, frozen=True):
    """Parts of a set that breaks a rule and of one that does not, and what the rule says of the first."""

    message: str
    cure: str
    wrong: str
    right: str


def explained(rule_id: str) -> str:
    """A rule of ours, or one of cfn-lint's, as text. Raises UsageError for one that neither has."""
    own = {rule.id: rule for rule in RULES}
    rule = own.get(rule_id.upper())
    if rule is None:
        return _of_cfn_lint(rule_id.upper())
    kind = {"error": "an error", "warning": "a warning", "info": "for information"}[rule.severity]
    parts = [f"{rule.id}, {kind}: {rule.sentence}", f"Source: {rule.source}"]
    # Written by scripts/rule_examples.py from the cases that the rules are tested on.
    data = resources.files("scaleout_cfn").joinpath("data/rule_examples.json").read_bytes()
    example = msgspec.json.decode(data, type=dict[str, Example]).get(rule.id)
    if example is not None:
        wrong, right = example.wrong.splitlines(), example.right.splitlines()
        parts += [
            f"Why, of the wrong template below: {example.message} {example.cure}",
            "\n".join(["Wrong:", *_marked(wrong, right)]),
            "\n".join(["Right:", *_marked(right, wrong)]) if right else "Right: without it.",
        ]
    parts.append(f"Left out by --ignore {rule.id}, or by ignore_checks in a .cfnlintrc or in the template's Metadata.")
    return "\n\n".join(parts)


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
