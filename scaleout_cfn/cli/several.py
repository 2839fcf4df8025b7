"""Several environments by one command, as in --env prod-eu,prod-us: how each kind of command goes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from scaleout_cfn.cli.work import Several, Work
from scaleout_cfn.deploy import several
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.deployment import Confirm
from scaleout_cfn.deploy.messages import Outcome


def in_turn(*, reverse: bool = False, stops: bool = True) -> Several:
    """One after the other, as if each had been given alone."""

    def go(works: list[Work], body: Callable[..., Outcome], given: dict[str, Any]) -> Outcome:
        def act(number: int) -> Outcome:
            _begin(works[number])
            return body(works[number])

        ended = several.in_turn([work.stack_name for work in works], act, reverse=reverse, stops=stops)
        return _told(works, ended)

    return go


def in_order(consent: Callable[[Work, bool, str], bool]) -> Several:
    """All planned, then asked once by `consent`, then one after the other."""

    def go(works: list[Work], body: Callable[..., Outcome], given: dict[str, Any]) -> Outcome:
        def bring(number: int, confirm: Confirm) -> Outcome:
            _begin(works[number])
            return body(replace(works[number], agree=confirm))

        def agree(plans: Sequence[Plan]) -> bool:
            return consent(works[0], given["yes"], ", then ".join(_place(plan) for plan in plans))

        stacks = [work.stack_name for work in works]
        return _told(works, several.in_order(stacks, bring, agree, lambda number: _begin(works[number])))

    return go


def _place(plan: Plan) -> str:
    region = plan.stack_id.split(":")[3] if plan.stack_id.count(":") > 3 else ""
    return f"{plan.stack} in {region}" if region else plan.stack


def _begin(work: Work) -> None:
    assert work.started
    work.view.tell(work.started)


def _told(works: Sequence[Work], ended: Sequence[Outcome | None]) -> Outcome:
    names = [work.environment for work in works]
    works[0].view.tell(several.summary(names, ended))
    return several.whole(names, ended)
