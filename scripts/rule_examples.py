"""Write scaleout_cfn/data/rule_examples.json from the cases of the tests: python scripts/rule_examples.py

Of each rule the shortest case: what differs between its right set and its wrong one, and what the rule says of that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lint.sets import good  # noqa: E402
from lint.test_ecs_rules import CASES  # noqa: E402
from lint.test_rules import MISTAKES  # noqa: E402

from scaleout_cfn.lint import RULES, check_set  # noqa: E402

OUT = ROOT / "scaleout_cfn" / "data" / "rule_examples.json"
MOST = 4000  # letters: two hundred parameters explain nothing


def examples() -> dict[str, dict[str, str]]:
    """By rule: its message and cure, and the parts of a wrong and a right set."""
    found: dict[str, dict[str, str]] = {}
    cases = [(case.right, case.wrong) for case in CASES] + [(lambda _: None, mistake[0]) for mistake in MISTAKES]
    for make_right, make_wrong in cases:
        right, wrong = good(), good()
        make_right(right)
        make_right(wrong)
        make_wrong(wrong)
        said = check_set(wrong)
        for finding in said:
            if len({other.rule for other in said}) > 1:
                continue
            named = _entry(finding.path)
            places = sorted({*_differing(right, wrong), *([(finding.file, *named)] if named else [])})
            example = {
                "message": finding.message,
                "cure": finding.cure,
                "wrong": _text(wrong, places),
                "right": _text(right, places),
            }
            before = found.get(finding.rule)
            if before is None or len(example["wrong"] + example["right"]) < len(before["wrong"] + before["right"]):
                found[finding.rule] = example
    return {rule.id: found[rule.id] for rule in RULES if rule.id in found and len(found[rule.id]["wrong"]) <= MOST}


def _entry(path: str) -> tuple[str, str] | None:
    section, _, rest = path.partition(".")
    return (section, rest.partition(".")[0]) if rest else None


def _differing(right: dict[str, Any], wrong: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (file, section, name)
        for file in {*right, *wrong}
        for section in {*right.get(file, {}), *wrong.get(file, {})}
        if isinstance(right.get(file, {}).get(section, wrong.get(file, {}).get(section)), dict)
        for name in {*right.get(file, {}).get(section, {}), *wrong.get(file, {}).get(section, {})}
        if right.get(file, {}).get(section, {}).get(name) != wrong.get(file, {}).get(section, {}).get(name)
    ]


def _text(templates: dict[str, Any], places: list[tuple[str, str, str]]) -> str:
    shown: dict[str, dict[str, dict[str, Any]]] = {}
    for file, section, name in places:
        if name in templates.get(file, {}).get(section, {}):
            shown.setdefault(file, {}).setdefault(section, {})[name] = templates[file][section][name]
    # Without anchors: a part that is there twice is written twice.
    plain = json.loads(json.dumps(shown))
    return "".join(
        f"# {file}\n{yaml.safe_dump(body, sort_keys=False, width=100)}" for file, body in sorted(plain.items())
    )


def text() -> str:
    """The file's text."""
    return json.dumps(examples(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUT.write_text(text(), encoding="utf-8")
