"""Write scaleout_cfn/data/rule_examples.json from the cases of the tests: python scripts/rule_examples.py

Of each rule the shortest case: what makes its right set of the good one, and its wrong set of the right one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lint.sets import good  # noqa: E402
from lint.test_ecs_rules import CASES  # noqa: E402
from lint.test_rules import MISTAKES  # noqa: E402

from scaleout_cfn.lint import RULES, check_set  # noqa: E402
from scaleout_cfn.lint.explain import merged, shown  # noqa: E402

OUT = ROOT / "scaleout_cfn" / "data" / "rule_examples.json"
MOST = 4000  # letters: two hundred parameters explain nothing


def examples() -> dict[str, dict[str, Any]]:
    """By rule: what makes a right set of the good one, and a wrong set of the right one, as merge patches."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    base = good()
    cases = [(case.right, case.wrong) for case in CASES] + [(lambda _: None, mistake[0]) for mistake in MISTAKES]
    for make_right, make_wrong in cases:
        right, wrong = good(), good()
        make_right(right)
        make_right(wrong)
        make_wrong(wrong)
        said = check_set(wrong)
        if len({finding.rule for finding in said}) != 1:
            continue
        texts = shown(wrong, right, said[0])
        patches = {"right": _patch(base, right), "wrong": _patch(right, wrong)}
        # A merge patch has no word for null.
        if len(texts[0]) > MOST or merged(merged(base, patches["right"]), patches["wrong"]) != wrong:
            continue
        length = len("".join(texts))
        if said[0].rule not in found or length < found[said[0].rule][0]:
            found[said[0].rule] = length, patches
    return {rule.id: found[rule.id][1] for rule in RULES if rule.id in found}


def _patch(before: Any, after: Any) -> Any:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return after
    gone = {key: None for key in before if key not in after}
    return gone | {key: _patch(before.get(key), value) for key, value in after.items() if before.get(key) != value}


def _compact(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def text() -> str:
    """The file's text: a line a template, and a line a rule."""
    templates = ",\n".join(f"{json.dumps(file)}: {_compact(template)}" for file, template in good().items())
    rules = ",\n".join(f"{json.dumps(rule)}: {_compact(patches)}" for rule, patches in examples().items())
    return f'{{"set": {{\n{templates}\n}},\n"rules": {{\n{rules}\n}}}}\n'


if __name__ == "__main__":
    OUT.write_text(text(), encoding="utf-8")
