"""Rules that lead elsewhere than their template says, for ECS moves their weights, and what an update makes of them.

Whatever of a rule changes, CloudFormation writes all of it, the weights of the template with it: requests then go to
the group that has no tasks, which CDK's users met: https://github.com/aws/aws-cdk/issues/36649
Nor does ECS look at the weights before it moves them: https://github.com/aws/containers-roadmap/issues/2853
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scaleout_cfn.aws import title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.changes.plan import Change, weights_in
from scaleout_cfn.deploy.live import resources_of
from scaleout_cfn.deploy.messages import Rollout
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, described, newest_of, services_in
from scaleout_cfn.deploy.services.traffic import production_rules
from scaleout_cfn.errors import AGAIN, Next, RefusedError


@dataclass(frozen=True)
class Diverted:
    """Changes that would take requests from where ECS has led them, as sentences, and the way out."""

    reasons: tuple[str, ...]
    way_out: Next

    @property
    def refusal(self) -> RefusedError:
        """What keeps from it."""
        return RefusedError("; ".join(self.reasons), state="nothing was changed", next=self.way_out)


def rewritten(changes: Iterable[Change]) -> list[Change]:
    """The changes that write a rule anew which shares requests out among several target groups, or that may: of a
    nested stack whose changes are not shown nobody knows."""
    written = ("Modify", "Dynamic")
    return [change for change in changes if change.weights and change.physical_id and change.action in written]


def diverted(aws: Aws, stack_id: str, planned: Sequence[Change], known: Mapping[str, str]) -> Diverted | None:
    """What changes of a stack would take requests from; None where they take none. `known` is what a plan itself tells,
    reasons by path. Without a rule between several target groups among them nothing is asked."""
    changes = rewritten(planned)
    if not changes and not known:
        return None
    live: dict[str, Mapping[str, int]] = {}
    if asked := [change.physical_id for change in changes if change.path not in known]:
        answer = aws.read("elbv2", "describe_rules", RuleArns=asked)
        live = {raw["RuleArn"]: weights_in(raw.get("Actions")) for raw in answer["Rules"]}
    reasons = {change.path: why for change in changes if (why := _taken(change, live.get(change.physical_id, {})))}
    reasons |= known
    if not reasons:
        return None
    rules = {change.physical_id: change.path for change in planned if change.path in reasons}
    names = {service.arn: service.name for service in services_in(resources_of(aws, stack_id))}
    newest: Rollout | None = None
    for arn, service in described(aws.read, names).items():
        production = production_rules(service)
        for test in production.values():  # who tests finds the wrong version, and no user does
            reasons.pop(rules.get(test, ""), None)
        if newest is None and not {*production}.isdisjoint(rules):
            newest = newest_of(aws, names[arn], service)
    told = tuple(f"{path} {why}" for path, why in reasons.items())
    return Diverted(told, _way_out(newest)) if told else None


def _taken(change: Change, live: Mapping[str, int]) -> str:
    """What a change takes of the requests that neither template gave to where they go; empty where it takes none.

    A template that itself leads them elsewhere, as to a stand-in, means it.
    """
    before, after = change.weights or ({}, {})
    total = sum(live.values())
    losing = {arn: weight for arn, weight in live.items() if weight and not after.get(arn) and not before.get(arn)}
    if not losing:
        return ""
    shares = ", ".join(f"{100 * weight / total:g} % of them go to {title_in(arn)}" for arn, weight in losing.items())
    goal = ", ".join(title_in(arn) for arn, weight in after.items() if weight) or "another target group"
    would = "may" if change.unseen else "would"
    return f"{would} lead all requests to {goal}, while {shares}, where ECS has led them: they fail where no task is"


def _way_out(newest: Rollout | None) -> Next:
    again = f"then {AGAIN}"
    if newest is None:
        return Next(words=f"lead the requests back by hand, or write these weights into the template, {again}")
    of = ("--service", newest.name)
    if DEPLOYMENTS.get(newest.state, "running") == "running":
        return Next("rollout", of, f"until its deployment has ended, {again}")
    return Next("restart", of, f"one more deployment leads them back to the first group, {again}")
