"""The rules on ECS, balancing, scaling and permissions: each finds its mistake in a right set, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.lint import check_set

from . import (
    cases_deliveries,
    cases_edges,
    cases_listeners,
    cases_permissions,
    cases_scaling,
    cases_schedules,
    cases_tasks,
)
from .cases import Case, Change, allowing, container
from .sets import Set, beside, good, passed, properties

CASES: tuple[Case, ...] = (
    *cases_listeners.CASES,
    *cases_tasks.CASES,
    *cases_scaling.CASES,
    *cases_permissions.CASES,
    *cases_schedules.CASES,
    *cases_edges.CASES,
    *cases_deliveries.CASES,
)
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


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_mistake_is_found_whatever_right_sets_are_looked_at_before(case: Case) -> None:
    right, wrong = good(), good()
    for change, templates in ((case.right, right), (case.right, wrong), (case.wrong, wrong)):
        change(templates)
    findings = check_set(beside(right, wrong))
    assert {(finding.rule, finding.file.partition("/")[0]) for finding in findings} == {(case.rule, "b")}


def reader_by(value: Any) -> Change:
    """A secret whose execution role has, in place of the right policy, something that the set does not show."""

    def change(templates: Set) -> None:
        cases_permissions.by_ref(templates)
        execution = properties(templates, "service", "Execution")
        del execution["Policies"]
        execution.update(value)

    return change


def told_to_others(templates: Set) -> None:
    cases_permissions.by_ref(templates)
    properties(templates, "service", "Execution")["Policies"] = []
    templates["service.yaml"]["Outputs"] = {"Role": {"Value": {"Ref": "Execution"}, "Export": {"Name": "it"}}}


def secret_of_elsewhere(templates: Set) -> None:
    cases_permissions.by_ref(templates)
    templates["service.yaml"]["Parameters"]["Given"] = {"Type": "String"}
    passed(templates, "Service")["Given"] = {"Fn::ImportValue": "secret"}
    container(templates)["Secrets"] = [{"Name": "KEY", "ValueFrom": {"Ref": "Given"}}]


@pytest.mark.parametrize(
    "change",
    [
        reader_by({"ManagedPolicyArns": ["arn:aws-cn:iam::123456789012:policy/reading"]}),
        reader_by({"ManagedPolicyArns": [{"Fn::ImportValue": "policy"}]}),
        reader_by({"Policies": {"Fn::If": ["Wide", [{"PolicyName": "it", "PolicyDocument": {}}], []]}}),
        reader_by({"Policies": allowing("secretsmanager:GetSecretValue", resource={"Fn::ImportValue": "secret"})}),
        reader_by({"Policies": allowing("*")}),
        told_to_others,
        secret_of_elsewhere,
    ],
)
def test_what_the_set_does_not_show_of_a_role_or_a_secret_is_not_judged(change: Change) -> None:
    templates = good()
    change(templates)
    assert check_set(templates) == []


def scaled_by(value: Any) -> Change:
    def change(templates: Set) -> None:
        parameters = templates["service.yaml"]["Parameters"]
        parameters["Given"] = {"Type": "String"}
        passed(templates, "Service")["Given"] = {"Fn::ImportValue": "it"}
        templates["root.yaml"]["Parameters"]["Free"] = {"Type": "String"}
        parameters["Free"] = {"Type": "String"}
        passed(templates, "Service")["Free"] = {"Ref": "Free"}
        properties(templates, "service", "Scaling")["ResourceId"] = value

    return change


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Given"},
        {"Ref": "Free"},
        {"Fn::Sub": "service/${Free}"},
        {"Fn::Sub": "service/${Free}/web"},
        {"Fn::Sub": "service/${Cluster}/${Free}"},
        {"Fn::Sub": "service/${Given}/${Service.Name}"},
        "service/somebody/web",
    ],
    ids=str,
)
def test_a_resource_id_that_only_the_deployment_knows_is_not_judged(value: Any) -> None:
    templates = good()
    scaled_by(value)(templates)
    assert check_set(templates) == []


def at(templates: Set, place: str) -> tuple[Any, Any] | None:
    """The container and the key of a finding's place; None where the mistake is that something is missing."""
    file, path = place.split(" ", 1)
    node: Any = templates[f"{file}.yaml"]
    *way, last = path.split(".")
    for key in way:
        node = node[int(key)] if isinstance(node, list) else node[key]
    if isinstance(node, list):
        return node, int(last)
    return (node, last) if last in node else None


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_value_that_only_the_deployment_knows_is_not_judged(case: Case) -> None:
    templates = good()
    case.right(templates)
    case.wrong(templates)
    found = at(templates, case.place)
    if found is None or case.place.count(".") < 3:
        return
    found[0][found[1]] = {"Fn::ImportValue": "it"}
    file, path = case.place.split(" ", 1)
    assert not [f for f in check_set(templates) if f.rule == case.rule and (f.file, f.path) == (f"{file}.yaml", path)]
