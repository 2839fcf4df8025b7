"""What a plan calls unchanged is what it was when the change is executed, by the emulator's rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.deploy.changes import unchanged
from scaleout_cfn.deploy.changes.terms import Terms

from .drawn_sets import executed, wrong_calm

#: `python -m tests.local.drawn_sets 10000` takes three minutes.
A_FEW = 120


@settings(max_examples=A_FEW, deadline=None)
@given(st.integers(0, 2**32))
def test_what_may_be_replaced_or_changed_is_never_called_unchanged(seed: int) -> None:
    assert wrong_calm(seed) == []


def test_most_of_what_aws_cannot_tell_and_does_not_change_is_called_so() -> None:
    """Of a hundred sets: a plan that rules nothing out is never wrong either."""
    ruled_out = in_fact = 0
    for seed in range(100):
        case = executed(seed)
        for said, told in zip(case.changes, unchanged.with_unchanged(case.changes, case.pairs.get), strict=True):
            before, after = case.before.get(told.path, {}), case.after.get(told.path, {})
            if said.replacement == "possible" and before.get("PhysicalResourceId") == after.get("PhysicalResourceId"):
                in_fact += 1
                ruled_out += told.replacement == "none"
    assert in_fact > 10
    assert ruled_out >= 0.8 * in_fact


@pytest.mark.parametrize("broken", ["every attribute is an identity", "whatever is looked up stays", "all stays"])
def test_the_draw_finds_a_plan_that_is_too_calm(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    yes: Any = lambda *_: True  # noqa: E731
    match broken:
        case "every attribute is an identity":
            monkeypatch.setattr(unchanged, "is_identity", yes)
        case "whatever is looked up stays":
            monkeypatch.setattr(Terms, "is_sure", yes)
        case _:
            monkeypatch.setattr(unchanged._Comparison, "stays", yes)
    assert any(wrong_calm(seed) for seed in range(3000))
