"""What a deployment needs: each thing looked at, told, and summed up in an exit code."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleout_cfn as sc
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.changes.quota import MANY
from scaleout_cfn.deploy.doctor import Check, doctor, judged, principal
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.permissions import grants, policies

from .operations import Operator, Wider, wider
from .world import ACCOUNT, REGION, Fault

PLACE = grants.Scope("web", "artifacts", ACCOUNT, REGION)


def looked(deployer: Operator, bucket: str = "artifacts", *, told: list[Any] | None = None) -> Outcome:
    said: list[Any] = [] if told is None else told
    aws = deployer.world.aws()
    wanted = grants.plain(policies.deployer(sc.set_of(sc.compose()), PLACE))
    return doctor(aws, aws.identity(), "web", bucket, wanted, said.append)


def results(said: list[Any]) -> dict[str, str]:
    return {one.data["name"]: one.data["result"] for one in said if isinstance(one, Fact)}


def test_where_all_is_well_every_check_passes_and_nothing_is_changed() -> None:
    deployer, said = wider(), []  # type: ignore[var-annotated]
    outcome = looked(deployer, told=said)
    assert (outcome.exit_code, set(results(said).values())) == (0, {"ok"})
    assert list(results(said)) == [
        "credentials",
        "region",
        "permissions",
        "bucket",
        "service-linked role",
        "stack",
        "nested change sets",
    ]
    allowed = ("Get", "List", "Describe", "Head", "Simulate")
    assert all(one.startswith(allowed) for one in deployer.world.sent())


def test_before_the_first_deployment_there_is_no_stack_to_look_at() -> None:
    said: list[Any] = []
    assert looked(Operator(Wider()), told=said).exit_code == 0
    assert results(said)["stack"] == "ok"


def test_permissions_that_iam_would_deny_are_named() -> None:
    outcome = looked(Operator(Wider(denied={"ecs:UpdateService", "s3:PutObject"})))
    assert outcome.exit_code == 8
    assert "ecs:UpdateService" in outcome.reason and "s3:PutObject" in outcome.reason
    assert command_line(outcome.next).startswith("scaleout-cfn policies")


def test_a_bucket_that_is_not_there_is_made_by_the_next_command() -> None:
    outcome = looked(Operator(Wider()), bucket="none")
    assert (outcome.exit_code, command_line(outcome.next)) == (5, "scaleout-cfn bootstrap --bucket none")


def test_an_account_without_the_role_of_ecs_is_warned() -> None:
    said: list[Any] = []
    assert looked(Operator(Wider(roles=set())), told=said).exit_code == 0
    assert results(said)["service-linked role"] == "warning"


@pytest.mark.parametrize(("count", "result"), [(0, "ok"), (MANY - 1, "ok"), (MANY, "warning")])
def test_failed_change_sets_that_pile_up_in_a_nested_stack_are_counted(count: int, result: str) -> None:
    deployer, said = wider(), []  # type: ignore[var-annotated]
    deployer.world.cfn.crowd["Data"] = count
    assert looked(deployer, told=said).exit_code == 0
    assert results(said)["nested change sets"] == result


@pytest.mark.parametrize(
    "operation", ["SimulatePrincipalPolicy", "HeadBucket", "GetBucketVersioning", "GetRole", "ListChangeSets"]
)
def test_a_check_that_is_not_allowed_is_told_and_is_no_failure(operation: str) -> None:
    deployer, said = wider(), []  # type: ignore[var-annotated]
    deployer.world.faults.append(Fault(operation, "AccessDenied", status=403, times=99))
    assert looked(deployer, told=said).exit_code == 0
    assert "warning" in results(said).values()


def test_credentials_that_expire_meanwhile_are_the_failure() -> None:
    deployer = wider()
    deployer.world.faults.append(Fault("GetRole", "ExpiredToken", times=99))
    assert looked(deployer).exit_code == 8


levels = st.sampled_from(["ok", "warning", "failed"])
checks = st.builds(Check, st.text(min_size=1), levels, st.text(), st.text(), st.booleans())


@given(st.lists(checks, min_size=1))
def test_the_exit_code_follows_from_the_worst_check(drawn: list[Check]) -> None:
    outcome = judged(drawn)
    failed = [check for check in drawn if check.level == "failed"]
    wanted = 0 if not failed else 8 if any(check.access for check in failed) else 5
    assert outcome.exit_code == wanted


@pytest.mark.parametrize(
    ("arn", "entity"),
    [
        ("arn:aws:iam::123456789012:user/ops/ann", "arn:aws:iam::123456789012:user/ops/ann"),
        ("arn:aws:sts::123456789012:assumed-role/ci/run-1", "arn:aws:iam::123456789012:role/ci"),
        ("arn:aws-cn:sts::123456789012:assumed-role/ci/run", "arn:aws-cn:iam::123456789012:role/ci"),
        ("arn:aws:sts::123456789012:federated-user/ann", ""),
        ("arn:aws:iam::123456789012:root", ""),
    ],
)
def test_the_entity_behind_a_session_is_the_role(arn: str, entity: str) -> None:
    assert principal(arn) == entity
