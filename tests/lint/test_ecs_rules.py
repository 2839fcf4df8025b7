"""The rules on ECS, balancing, scaling and permissions: each finds its mistake in a right set, and nothing else."""

from __future__ import annotations

import pytest

from scaleout_cfn.lint import RULES, check_set

from . import cases_tasks
from .cases import Case
from .sets import good

CASES: tuple[Case, ...] = cases_tasks.CASES
IDS = [f"{case.rule}-{case.wrong.__name__}-{number}" for number, case in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_right_set_is_silent_and_one_change_gives_one_finding(case: Case) -> None:
    templates = good()
    case.right(templates)
    assert check_set(templates) == []
    case.wrong(templates)
    findings = check_set(templates)
    assert {finding.rule for finding in findings} == {case.rule}, findings
    file, path = case.place.split(" ", 1)
    (first,) = (finding for finding in findings if (finding.file, finding.path) == (f"{file}.yaml", path))
    assert case.words in f"{first.message} {first.cure}"


def test_each_of_these_rules_has_a_right_and_a_wrong_set() -> None:
    # The others have theirs in test_rules.py.
    assert {rule.id for rule in RULES if rule.id >= "S5"} == {case.rule for case in CASES}
