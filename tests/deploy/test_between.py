"""What one set makes of another, by their templates: all that differs is told, and all that hangs on it, no more."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.composing import compose
from scaleout_cfn.config.file import load
from scaleout_cfn.deploy.changes.between import between
from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, kind_of
from scaleout_cfn.rendering import set_of

FARGATE = ('services.web.capacity="nodes"', 'capacity.more.kind="fargate"')
CHANGES: dict[str, tuple[str, ...]] = {
    "a retention": ("observability.log_retention_days=7",),
    "a port": ("services.web.container_port=9000",),
    "a network": ("network.cidr=10.9.0.0/16",),
    "a cluster's name": ("cluster.name=main",),
    "a scheme": ("load_balancer.scheme=internal",),
    "another pool": FARGATE,
    "a service less": ("services.web.exec=false",),
    "a tag": ("tags.team=shop",),
}


def rendered(*overrides: str) -> dict[str, Any]:
    return set_of(compose(load(None, overrides=overrides)))


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Change]:
    return {change.path: change for change in between(before, after, "web").changes}


def test_of_two_sets_that_are_the_same_nothing_is_told() -> None:
    assert changes(rendered(), rendered()) == {}


@pytest.mark.parametrize("name", CHANGES)
def test_all_whose_text_differs_is_told_in_both_directions(name: str) -> None:
    sides = rendered(), rendered(*CHANGES[name])
    for before, after in (sides, sides[::-1]):
        told = changes(before, after)
        for file in before.keys() & after.keys() - {"root.yaml"}:
            stack = "".join(part.capitalize() for part in file.removesuffix(".yaml").split("-"))
            old, new = (side[file]["Resources"] for side in (before, after))
            for title in old.keys() | new.keys():
                if old.get(title) != new.get(title):
                    action = "Add" if title not in old else "Remove" if title not in new else "Modify"
                    assert told[f"{stack}/{title}"].action == action
                    assert told[stack].nested and told[stack].action == "Modify"


def test_what_hangs_on_what_is_made_anew_may_be_made_anew_and_what_does_not_is_not_told() -> None:
    told = changes(rendered(), rendered("load_balancer.scheme=internal"))
    balancer, listener, rule = (
        told[path] for path in ("LoadBalancer/LoadBalancer", "LoadBalancer/Listener", "WebFoundation/Rule")
    )
    assert (kind_of(balancer), balancer.why) == ("replace", "Scheme") and balancer.users_see
    assert (kind_of(listener), kind_of(rule)) == ("possible", "possible")
    assert rule.properties[-1].name == "ListenerArn" and rule.properties[-1].after == UNKNOWN
    assert not [path for path in told if path.startswith(("Network", "Cluster", "Capacity"))]
    assert "WebFoundation/TargetGroup" not in told and "WebFoundation/Repository" not in told


def test_what_changes_in_place_moves_nothing_else() -> None:
    told = changes(rendered(), rendered("observability.log_retention_days=7"))
    assert set(told) == {"WebFoundation", "WebFoundation/Logs"}
    (entry,) = told["WebFoundation/Logs"].properties
    assert (entry.name, entry.before, entry.after, entry.forces_replacement) == ("RetentionInDays", "30", "7", "none")


def test_what_is_kept_or_lost_is_said_by_the_policies_that_run() -> None:
    before, after = rendered(), rendered()
    foundation = after["web-foundation.yaml"]["Resources"]
    del foundation["Repository"], foundation["Logs"]
    before["web-foundation.yaml"]["Resources"]["Logs"]["DeletionPolicy"] = "Delete"
    told = changes(before, after)
    assert (told["WebFoundation/Repository"].policy, told["WebFoundation/Logs"].policy) == ("Retain", "Delete")
    assert kind_of(told["WebFoundation/Logs"]) == "delete" and told["WebFoundation/Logs"].stateful
    foundation = (after := rendered())["web-foundation.yaml"]["Resources"]
    foundation["Repository"]["Properties"]["RepositoryName"] = "shop"
    repository = changes(rendered(), after)["WebFoundation/Repository"]
    assert (kind_of(repository), repository.policy) == ("replace", "ReplaceAndRetain")


def test_a_policy_alone_is_a_change_and_another_type_a_replacement() -> None:
    after = rendered()
    foundation = after["web-foundation.yaml"]["Resources"]
    foundation["Logs"]["DeletionPolicy"] = "Retain"
    foundation["TargetErrors"]["Type"] = "AWS::CloudWatch::CompositeAlarm"
    told = changes(rendered(), after)
    assert (kind_of(told["WebFoundation/Logs"]), told["WebFoundation/Logs"].why) == ("change", "DeletionPolicy")
    assert kind_of(told["WebFoundation/TargetErrors"]) == "replace"


def test_a_condition_that_changes_is_no_calm() -> None:
    after = rendered()
    after["cluster.yaml"]["Resources"]["Cluster"]["Condition"] = next(iter(after["cluster.yaml"]["Conditions"]))
    assert kind_of(changes(rendered(), after)["Cluster/Cluster"]) == "possible"
