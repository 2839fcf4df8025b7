"""What a plan calls unchanged is what it was when the change is executed, by the emulator's rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaleout_cfn as sc
from scaleout_cfn.aws.client import Aws, Target
from scaleout_cfn.deploy.changes import unchanged
from scaleout_cfn.deploy.changes.reading import read_plan
from scaleout_cfn.deploy.changes.terms import Terms
from scaleout_cfn.deploy.live import resources_of

from . import helpers
from .drawn_sets import executed, raised, wrong_calm
from .helpers import Account
from .test_rendered_sets import IMAGE, three

#: `python -m tests.local.drawn_sets 10000` takes three minutes.
A_FEW = 120


@settings(max_examples=A_FEW, deadline=None)
@given(st.integers(0, 2**32))
def test_what_may_be_replaced_or_changed_is_never_called_unchanged(seed: int) -> None:
    assert wrong_calm(seed) == []


@settings(max_examples=A_FEW, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_said_to_be_replaced_where_aws_cannot_tell_is_replaced(seed: int) -> None:
    assert [words for words, was in raised(seed) if not was] == []


def test_some_of_the_drawn_sets_have_such_a_replacement() -> None:
    assert sum(len(raised(seed)) for seed in range(2040, 2080)) >= 3


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
            monkeypatch.setattr(unchanged.Comparison, "stays", yes)
    assert any(wrong_calm(seed) for seed in range(3000))


def test_of_all_that_hangs_on_a_balancer_with_another_timeout_only_the_balancer_changes(account: Account) -> None:
    """Three services behind one: the emulator says of whatever names an output that it may change, as AWS does."""
    config = three("fargate")
    url = helpers.upload(account, sc.render(sc.compose(config)))
    values = {"TemplatesUrl": url, "WebImageUri": f"{IMAGE}{'1' * 64}", "ApiImageUri": f"{IMAGE}{'1' * 64}"}
    stack = helpers.deploy(account, "web", f"{url}/root.yaml", values, kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)
    slower = msgspec.structs.replace(config, load_balancer=sc.NewLoadBalancer(idle_timeout_s=77))
    helpers.upload(account, sc.render(sc.compose(slower)))
    change = helpers.change_set(account, "web", f"{url}/root.yaml", values)
    emulator = account.emulator
    aws = Aws(Target(region=emulator.region, endpoint_url=emulator.endpoint_url, keys=(account.number, "local")))
    plan = read_plan(aws, change["ChangeSetId"])
    assert [one.path for one in plan.changes if not one.nested and not one.unchanged] == ["LoadBalancer/LoadBalancer"]
    assert plan.counts["follow"] > 10
    before = {one.path: one.physical_id for one in resources_of(aws, stack["StackId"])}
    assert helpers.execute(account, change)["StackStatus"] == "UPDATE_COMPLETE", helpers.failures(account)
    assert {one.path: one.physical_id for one in resources_of(aws, stack["StackId"])} == before
