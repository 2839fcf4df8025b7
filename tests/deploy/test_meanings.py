"""What AWS's words mean: every status that botocore knows, every kind of error, every exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import botocore.exceptions
import botocore.session
import pytest
from botocore.parsers import ResponseParserError
from cfnlint.helpers import REGIONS
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from scaleout_cfn import errors
from scaleout_cfn.aws.client import Aws, Target, classify, translated
from scaleout_cfn.deploy.changes.plan import KEEPS, Change, destroys, kind_of
from scaleout_cfn.deploy.changes.stateful import HELD, is_stateful
from scaleout_cfn.deploy.messages import EXITS, Exit
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS
from scaleout_cfn.deploy.states import STATUSES, meaning
from scaleout_cfn.stacks.pipeline import script

from .helpers import Deployer
from .world import Fault

DOCS = Path(__file__).resolve().parents[2] / "docs"


def enum(service: str, shape: str) -> set[str]:
    model = botocore.session.get_session().get_service_model(service)
    return set(model.shape_for(shape).enum)


def test_every_stack_status_has_a_meaning() -> None:
    assert set(STATUSES) == enum("cloudformation", "StackStatus")


def test_every_status_that_ends_an_operation_has_words() -> None:
    ended = {name for name, one in STATUSES.items() if one.end != "running"} - {"REVIEW_IN_PROGRESS"}
    assert ended == {name for name, one in STATUSES.items() if one.words}


@pytest.mark.parametrize("name", sorted(STATUSES))
def test_the_row_of_a_status_agrees_with_itself(name: str) -> None:
    row = STATUSES[name]
    assert row.rollback.what
    # What is at work goes back by itself, or is waited for; only what failed is led back by a call.
    if row.rollback.verb in ("watch", "busy"):
        assert row.end == "running"
    if row.rollback.verb in ("rollback_stack", "continue_update_rollback"):
        assert row.end == "failed" and row.rollback.next is None
    if row.rollback.verb in ("busy", "refuse", "stuck"):
        assert row.rollback.next
    assert not row.begins or name.endswith("_IN_PROGRESS")
    assert row.begins != "rollback" or row.rollback.verb == "watch"
    assert row.deletable or row.end == "running"


def test_a_status_that_is_not_known_begins_nothing() -> None:
    assert not meaning("SOMETHING_NEW_IN_PROGRESS").begins


def test_the_pipelines_shell_takes_statuses_as_the_table_has_them() -> None:
    shell = script("pipeline_deploy.sh")
    waited, *patterns = re.findall(r"== (\*[A-Z_]+) \]\]; do|^ +([A-Z_*]{2,}(?: \| [A-Z_*]+)*)\)", shell, re.MULTILINE)
    from_, done, undone = ({*one[1].split(" | ")} for one in patterns)

    def named(globs: set[str]) -> set[str]:
        return {name for name in STATUSES if any(fnmatchcase(name, one) for one in globs)}

    busy = {name for name, row in STATUSES.items() if row.start == "busy"}
    assert named({waited[0]}) == busy | {"REVIEW_IN_PROGRESS"}  # a placeholder, until whoever makes it has done so
    assert from_ == {
        name for name, row in STATUSES.items() if row.start == "update" and row.end in ("done", "rolled_back")
    }
    assert {STATUSES[name].end for name in done} == {"done"}
    assert {STATUSES[name].end for name in named(undone)} == {"failed", "rolled_back"}
    of_updates = {name for name in STATUSES if name.startswith("UPDATE_")} - busy
    assert of_updates <= done | named(undone)


def test_a_status_is_busy_exactly_while_something_runs() -> None:
    for name, one in STATUSES.items():
        assert (one.start == "busy") == (name.endswith("_IN_PROGRESS") and name != "REVIEW_IN_PROGRESS")
        assert (one.start == "busy") == (one.end == "running")
        assert one.end != "failed" or one.next


def test_a_status_that_aws_adds_is_waited_for_or_needs_a_hand() -> None:
    assert meaning("SOMETHING_NEW_IN_PROGRESS").end == "running"
    assert meaning("SOMETHING_NEW").start == "stuck"


def test_every_status_of_a_service_deployment_has_a_meaning() -> None:
    assert enum("ecs", "ServiceDeploymentStatus") | enum("ecs", "DeploymentRolloutState") - {"IN_PROGRESS"} == set(
        DEPLOYMENTS
    )


def test_every_policy_action_is_known_to_keep_or_to_destroy_and_either_needs_consent() -> None:
    table = "AWS::DynamoDB::Table"
    for policy in enum("cloudformation", "PolicyAction"):
        change = Change("T", table, "Modify", "certain", policy, stateful=True)
        assert ("kept" in destroys(change)) == (policy in KEEPS)
        assert destroys(change).startswith("would be ")


def test_every_action_is_shown_as_one_of_a_few_kinds() -> None:
    for action in enum("cloudformation", "ChangeAction"):
        assert kind_of(Change("T", "x", action)) in ("add", "import", "change", "delete")


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("ExpiredToken", "", 403, "expired"),
        ("AccessDenied", "", 403, "denied"),
        ("InvalidClientTokenId", "", 403, "denied"),
        ("Throttling", "", 400, "throttled"),
        ("ValidationError", "Rate exceeded", 400, "throttled"),
        ("ValidationError", "Stack with id web does not exist", 400, "missing"),
        ("ValidationError", "Parameters: [X] do not exist in the template", 400, "refused"),
        ("AlreadyExistsException", "", 400, "exists"),
        ("LimitExceededException", "ChangeSet limit exceeded", 400, "refused"),
        ("InternalFailure", "", 500, "unclear"),
    ],
)
def test_an_error_of_aws_is_told_apart(code: str, message: str, status: int, kind: str) -> None:
    assert classify(code, message, status) == kind


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (botocore.exceptions.NoCredentialsError(), "denied", 8),
        (botocore.exceptions.UnauthorizedSSOTokenError(), "expired", 8),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="x"), "unclear", 1),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), "unclear", 1),
        (ResponseParserError("cut off"), "unclear", 1),
        (botocore.exceptions.ParamValidationError(report="x"), "refused", 1),
    ],
)
def test_an_error_on_the_way_to_aws_is_told_apart(error: Exception, kind: str, exit_code: int) -> None:
    found = translated(error, "cloudformation", "describe_stacks")
    assert (found.kind, found.exit_code) == (kind, exit_code)


def test_missing_permissions_end_with_exit_code_8_and_name_the_call() -> None:
    deployer = Deployer()
    deployer.world.faults.append(Fault("CreateChangeSet", "AccessDenied", "not authorized", times=9))
    with pytest.raises(errors.AccessError, match="create_change_set") as refusal:
        deployer.deploy()
    assert refusal.value.exit_code == 8


def test_expired_credentials_are_waited_for_and_renewed() -> None:
    deployer = Deployer()
    aws = deployer.world.aws()
    deployer.world.faults.append(Fault("DescribeStacks", "ExpiredToken", times=8, skip=3))
    assert deployer.deploy(aws=aws).exit_code == 0
    assert aws.renewed > 0  # type: ignore[attr-defined]
    assert "the credentials work again" in deployer.notes


def test_credentials_that_stay_expired_end_with_exit_code_8_and_the_way_back() -> None:
    deployer = Deployer()
    deployer.world.faults.append(Fault("DescribeStacks", "ExpiredToken", times=10_000, skip=3))
    outcome = deployer.deploy()
    assert (outcome.exit_code, outcome.reason) == (8, "the operation goes on in AWS")
    assert 120 <= deployer.world.seconds < 160
    deployer.world.faults.clear()
    assert deployer.deploy().exit_code == 0
    assert deployer.world.executions() == 1


def all_errors(base: type[errors.ScaleoutError]) -> list[type[errors.ScaleoutError]]:
    return [base, *(one for sub in base.__subclasses__() for one in all_errors(sub))]


def test_every_exit_code_of_the_code_is_listed() -> None:
    assert {one.exit_code for one in all_errors(errors.ScaleoutError)} <= set(errors.EXIT_CODES)
    source = "".join(path.read_text() for path in (DOCS.parent / "scaleout_cfn").rglob("*.py"))
    assert {int(one) for one in re.findall(r"exit_code(?:: int)? = (\d+)", source)} <= set(errors.EXIT_CODES)


def test_every_end_of_a_command_has_an_exit_code_that_is_listed() -> None:
    assert set(get_args(Exit)) == set(EXITS)
    assert set(EXITS.values()) <= set(errors.EXIT_CODES)
    assert {one.exit_code for one in all_errors(errors.ScaleoutError)} <= set(EXITS.values())


def test_the_drawing_in_errors_is_true() -> None:
    drawn: dict[str, Any] = dict(re.findall(r"(?:── |^)(\w+Error) +(\d+)", errors.__doc__ or "", re.MULTILINE))
    here = [one for one in all_errors(errors.ScaleoutError) if one.__module__ == errors.__name__]
    assert drawn == {one.__name__: str(one.exit_code) for one in here}


def test_the_page_of_exit_codes_is_true() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", (DOCS / "exit-codes.md").read_text(), re.MULTILINE)
    assert {int(code): words.strip() for code, words in rows} == dict(errors.EXIT_CODES)


def test_boto3_and_rich_are_imported_only_when_they_are_used() -> None:
    code = "import sys, scaleout_cfn.cli.deploy, scaleout_cfn.cli.status\n"
    code += "print({'boto3', 'botocore', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=DOCS.parent)
    assert done.stdout.strip() == "set()"


def test_what_holds_data_is_told_from_what_only_belongs_to_it() -> None:
    """Every type that cfn-lint knows: a database, a cache or a key is guarded, its subnet group is not."""
    types = PROVIDER_SCHEMA_MANAGER.get_resource_types("us-east-1")
    held = {kind for kind in types if is_stateful(kind)}
    for kind in (
        "RDS::DBInstance",
        "ElastiCache::ReplicationGroup",
        "Logs::LogGroup",
        "S3::Bucket",
        "RDS::DBShardGroup",
    ):
        assert f"AWS::{kind}" in held
    for kind in ("RDS::DBSubnetGroup", "ElastiCache::SubnetGroup", "S3::BucketPolicy", "EC2::VolumeAttachment"):
        assert f"AWS::{kind}" in types
        assert f"AWS::{kind}" not in held


#: Types that are called like a store and hold nothing that their template does not say, or that is not kept elsewhere.
NO_STORE = {
    "AppSync::ApiCache": "a copy of what its sources hold",
    "CleanRooms::ConfiguredTable": "a view of a table",
    "CleanRooms::IdMappingTable": "made anew from its namespaces",
    "CleanRoomsML::TrainingDataset": "a view of a table",
    "CloudFront::TrustStore": "certificates of the template's",
    "CodeStar::GitHubRepository": "GitHub keeps it",
    "Connect::Queue": "a setting",
    "DataBrew::Dataset": "a view of a bucket",
    "EC2::LocalGatewayRouteTable": "routes",
    "EC2::RouteTable": "routes",
    "EC2::TransitGatewayPolicyTable": "routes",
    "EC2::TransitGatewayRouteTable": "routes",
    "ElasticLoadBalancingV2::TrustStore": "certificates of the template's",
    "GameLift::GameSessionQueue": "a setting",
    "MSK::BatchScramSecret": "leads to secrets",
    "Omics::RunCache": "a cache, kept in a bucket",
    "PCS::Queue": "a setting",
    "QuickSight::DataSet": "a copy of its source",
    "SageMaker::CodeRepository": "an address",
    "WorkSpacesWeb::TrustStore": "certificates of the template's",
}


def test_every_type_that_is_called_like_a_store_is_decided_upon() -> None:
    """Of all regions. A type that AWS adds is noticed with the version of cfn-lint that knows it."""
    types = {kind for region in REGIONS for kind in PROVIDER_SCHEMA_MANAGER.get_resource_types(region)}
    assert set(HELD) - types == set()
    called = re.compile(
        "(Table|Bucket|FileSystem|Datastore|Store|Queue|Repository|DBInstance|DBCluster|Snapshot|Volume|Vault|Backup"
        "|Archive|Data[sS]et|Secret|Cache|Database|Ledger|Broker)$"
    )
    undecided = {kind for kind in types if called.search(kind)} - set(HELD)
    assert undecided == {f"AWS::{kind}" for kind in NO_STORE}


def test_the_region_is_found_as_the_aws_cli_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert Aws(Target()).region == "eu-central-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert Aws(Target()).region == "us-west-2"
    assert Aws(Target(region="eu-west-1")).region == "eu-west-1"
