"""From one way in which new versions take over to another, on a stack that runs: what has to come between.

ECS wants a rolling deployment to bring the second target group before a strategy moves requests to it:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-rolling-to-bluegreen.html
And the group goes only once deployments are rolling again, and the first one serves:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-bluegreen-to-rolling.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from scaleout_cfn.config import Config, Rolling, WebRolling, WebService
from scaleout_cfn.config.units import Unit, units
from scaleout_cfn.deploy.changes.plan import RULE, Change
from scaleout_cfn.deploy.live import Live, Resource
from scaleout_cfn.deploy.publish import Published


@dataclass(frozen=True)
class Move:
    """What has to be there before what is wished: a config, and the services that it is another for."""

    config: Config
    to_two: tuple[str, ...]
    to_one: tuple[str, ...]

    @property
    def words(self) -> str:
        """What is told before anything is done."""
        said = []
        if self.to_two:
            said.append(
                f"{' and '.join(self.to_two)}: from rolling to another strategy in two updates: the second target group"
                " with its rule and its role, by a rolling deployment; then the strategy"
            )
        if self.to_one:
            said.append(
                f"{' and '.join(self.to_one)}: back to rolling in two updates: deployments are rolling again; then the"
                " second target group, its rule and its role go"
            )
        return "; ".join(said)


@dataclass(frozen=True)
class Between:
    """A move with the templates of what comes between."""

    move: Move
    published: Published


def move_of(config: Config, live: Live) -> Move | None:
    """What has to come between a stack and a config; None where the one can become the other by one update.

    While CloudFormation cleans up after an update the outputs are the new ones, and the step between is still at work.
    """
    ending = live.status == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    before_two, after_one = ({"", "rolling"}, {""}) if ending else ({""}, {"", "rolling"})
    to_two, to_one, services = [], [], dict(config.services)
    for unit in units(config):
        runs = unit.is_web and bool(live.parameters.get(unit.image_parameter))
        there = live.outputs.get(f"{unit.title}Strategy", "")
        if runs and there in before_two and unit.shifting:
            to_two.append(unit.name)
        elif runs and there not in after_one and not unit.has_alternate:
            to_one.append(unit.name)
        else:
            continue
        services[unit.name] = _with_both(unit)
    if not to_two and not to_one:
        return None
    return Move(replace(config, services=services), tuple(to_two), tuple(to_one))


def _with_both(unit: Unit) -> WebService:
    settings = unit.settings
    assert isinstance(settings, WebService)
    deployment = settings.deployment
    rolling = deployment if isinstance(deployment, WebRolling) else WebRolling()
    between = replace(
        rolling,
        failure_threshold=deployment.failure_threshold,
        alarms=deployment.alarms,
        health_check_grace_s=deployment.health_check_grace_s,
        alternate_target_group=True,
    )
    assert isinstance(between, Rolling)
    # What one target group alone can have waits for the end: it is back with the last update, or gone with the first.
    requests = replace(settings.scaling.requests, enabled=False)
    scaling = replace(settings.scaling, requests=requests)
    return replace(settings, deployment=between, scaling=scaling, sign_in=None, stand_in=None)


def given_up(move: Move, resources: Iterable[Resource]) -> Iterator[Change]:
    """What the last update makes of the rules of services that give up their second target group."""
    found = {resource.path: resource.physical_id for resource in resources} if move.to_one else {}
    for unit in units(move.config):
        rule, first, second = (
            found.get(f"{unit.foundation}/{title}") for title in ("Rule", "TargetGroup", "AlternateTargetGroup")
        )
        if unit.name in move.to_one and rule and first and second:
            yield Change(
                f"{unit.foundation}/Rule",
                RULE,
                "Modify",
                physical_id=rule,
                weights=({first: 100, second: 0}, {first: 1}),
            )
