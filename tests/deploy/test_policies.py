"""Who may do what: no more than the set and the commands need, and no less."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config as ClientConfig
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from local.helpers import Account
from one_service import one_service
from test_iam import CONFIGS as SETS
from test_iam import EVERYTHING

import scaleout_cfn as sc
from scaleout_cfn.cli import cli, main
from scaleout_cfn.imports import imported
from scaleout_cfn.local import running
from scaleout_cfn.permissions import grants, policies, service_role
from scaleout_cfn.permissions.grants import MOST_CHARACTERS, Scope, characters, documents, plain

from .world import OPERATED, World, action_of, allowed

PACKAGE = Path(sc.__file__).parent
HERE = PACKAGE.parent
ACCOUNT = "123456789012"
PLACE = Scope("web", "artifacts", ACCOUNT, "eu-west-1")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cfn"
CONFIGS = {
    **SETS,
    "before the services": one_service(
        load_balancer=sc.NewLoadBalancer(
            listener=sc.Domain(
                domain_name="shop.example.com",
                hosted_zone_id="Z0123456789",
                client_certificates=sc.CaBundle(bucket="authorities", key="clients/ca.pem"),
            ),
            waf=sc.NewWebAcl(),
        ),
        service=sc.WebService(
            sign_in=sc.Oidc(
                issuer="https://id.example.com",
                authorization_endpoint="https://id.example.com/authorize",
                token_endpoint="https://id.example.com/token",
                user_info_endpoint="https://id.example.com/me",
                client_id="shop",
                client_secret="arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf:secret::",
            )
        ),
    ),
    "attachments": sc.Config(
        capacity={"fargate": sc.FargateCapacity()},
        services={"api": sc.WebService(memory_mib=512, scaling=sc.Scaling(max_tasks=4))},
        attachments={
            "orders": sc.Postgres(used_by=("api",)),
            "hot": sc.Valkey(used_by=("api",)),
            "files": sc.Bucket(used_by=("api",)),
            "carts": sc.Table(used_by=("api",)),
        },
    ),
    "behind CloudFront": one_service(
        load_balancer=sc.NewLoadBalancer(
            scheme="internal",
            allowed_prefix_lists={"pl-3b927c52": 55},
            listener=sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789"),
            cloudfront=sc.CloudFront(
                aliases=("shop.example.com",),
                certificate_arn="arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-1234-1234-1234-0123456789ab",
            ),
        ),
        service=sc.WebService(
            sign_in=sc.Cognito(
                user_pool_arn="arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI",
                client_id="3abc",
                domain="shop",
            )
        ),
    ),
}
#: What an administrator runs once.
ADMINISTRATION = {"bootstrap.py"}
#: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
BUILDER = {
    "BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "InitiateLayerUpload", "PutImage",
    "UploadLayerPart",
}  # fmt: skip
#: Reasons for an action on everything, by service or action; one that is not here fails.
EVERYWHERE = {
    "acm": "a certificate's ARN is random",
    "application-autoscaling": "a scalable target's ARN is random",
    "autoscaling": "its Describe actions take no resource",
    "ce": "Cost Explorer knows no resources, and the bill is the account's",
    "cloudfront": "what is created has a random id, and the service is in no region",
    "cloudformation:BatchDescribeTypeConfigurations": "types are no resource",
    "cloudformation:DescribeStackDriftDetectionStatus": "takes the id of a detection",
    "cloudformation:GetHookResult": "no resource is documented",
    "cloudformation:GetResource": "takes no resource",
    "cloudformation:CreateStackRefactor": "no page names a resource",
    "cloudformation:DescribeStackRefactor": "no page names a resource",
    "cloudformation:ExecuteStackRefactor": "no page names a resource",
    "cloudformation:ListStackRefactorActions": "no page names a resource",
    "cloudformation:ListStackRefactors": "no page names a resource",
    "cloudformation:ListHookResults": "no resource is documented",
    "cloudwatch:GetMetricData": "takes no resource",
    "codestar-connections": "the connection is somebody else's",
    "ec2": "ids are random, and what is created has none yet",
    "ecr:GetAuthorizationToken": "takes no resource",
    "ecs": "these take no resource, or are bounded by a condition",
    "elasticache": "names are cut to 40 characters, of which the stack's are few",
    "elasticloadbalancing": "names are cut to 32 characters",
    "kms": "what is created has no ARN yet, and ListAliases takes none",
    "rds": "versions and their defaults are no resource",
    "logs": "its Describe actions take no resource",
    "route53": "zones and changes have random ids",
    "servicediscovery": "a namespace's id is random",
    "sns": "a subscription is no resource",
    "wafv2": "a web ACL's ARN ends in a random id, and its name is cut short",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(statements: list[dict[str, Any]]) -> set[str]:
    return {action for one in statements for action in listed(one["Action"])}


@pytest.fixture(scope="module", params=CONFIGS)
def config(request: pytest.FixtureRequest) -> sc.Config:
    return CONFIGS[request.param]


def role_of(config: sc.Config) -> list[dict[str, Any]]:
    return plain(service_role.service_role(sc.set_of(sc.compose(config)), PLACE))


def deployer_of(config: sc.Config, role_arn: str = ROLE) -> list[dict[str, Any]]:
    return plain(policies.deployer(sc.set_of(sc.compose(config)), PLACE, role_arn))


def drift_of(config: sc.Config) -> list[dict[str, Any]]:
    return plain(policies.drift(sc.set_of(sc.compose(config)), PLACE))


def import_of(config: sc.Config) -> list[dict[str, Any]]:
    return plain(policies.imports(imported(sc.compose(config), config.imports), PLACE))


def operator_of(config: sc.Config) -> list[dict[str, Any]]:
    """Whoever has all six: deploys, pushes images, runs commands, asks for drift, reads the bill and takes in what is
    there."""
    running = policies.commands(sc.set_of(sc.compose(config)), PLACE)
    return [
        *deployer_of(config),
        *plain(policies.images(PLACE)),
        *plain(running),
        *drift_of(config),
        *plain(policies.moves()),
        *import_of(config),
        *plain(policies.cost()),
    ]


def everything(config: sc.Config) -> list[dict[str, Any]]:
    return [*operator_of(config), *role_of(config), *plain(service_role.trust(PLACE))]


def operations() -> Iterator[tuple[str, str, str]]:
    """Every operation that the package's source names, with its service and file: both are literals in a call."""
    services = set(boto3.Session().get_available_services())
    for path in (path for folder in ("aws", "deploy", "cli", "image") for path in (PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                for service, operation in pairwise(words):
                    if service in services and re.fullmatch("[a-z]+(_[a-z0-9]+)+", operation):
                        yield service, operation, path.name
    for call in ("rollback_stack", "continue_update_rollback", "cancel_update_stack", "delete_stack"):
        yield "cloudformation", call, "recover.py"  # by `begin`


def action_names() -> dict[str, set[str]]:
    """`ecs:UpdateService` to the files that call it."""
    found: dict[str, set[str]] = {}
    for service, operation, file in operations():
        client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        names = {xform_name(name): name for name in client.meta.service_model.operation_names}
        for action in action_of(service, names[operation]):
            found.setdefault(action, set()).add(file)
    return found


def test_the_deployer_may_do_all_that_the_program_calls_and_nothing_else() -> None:
    needed = {action for action, files in action_names().items() if files - ADMINISTRATION}
    # CloudFormation acts in its caller's name where it reads templates, tags, and takes its role on.
    also = {"s3:GetObject", "iam:PassRole", "cloudformation:TagResource"}
    also |= {"s3:ListBucket"}  # `exists`, which doctor shares with bootstrap
    # The builder's own calls, the AWS command line's, and the command that `run` prints.
    also |= {f"ecr:{name}" for name in BUILDER} | {"ecs:ExecuteCommand", "ecs:StopTask"}
    also |= {"ecs:TagResource"}  # by RunTask, where tasks are tagged
    # CloudFormation reads each resource in the name of who asks for drift, and looks up how types are configured.
    also |= granted(plain(service_role.readers(sc.set_of(sc.compose(OPERATED)), PLACE)))
    also |= {"cloudformation:BatchDescribeTypeConfigurations", "cloudformation:DetectStackResourceDrift"}
    also |= {"kms:GenerateDataKey"}  # the AWS command line's, for sessions that are encrypted
    allowed = granted(operator_of(OPERATED))
    assert needed - allowed - {"cloudformation:ListStacks"} == set()  # only the emulator is asked for all stacks
    assert allowed - needed - also == set()


def test_the_fake_refuses_what_no_policy_allows() -> None:
    """So whatever any test of the deployer makes a command call there is in the policies."""
    assert {"ecs:RunTask", "ecr:DescribeImages", "cloudformation:GetHookResult"} <= allowed()
    with pytest.raises(AssertionError, match="no policy that `policies` writes allows"):
        World().aws().once("cloudformation", "describe_account_limits")


def test_whoever_asks_for_drift_may_read_every_type_of_the_set_and_change_nothing(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    found = granted(drift_of(config))
    verbs = {action.partition(":")[2] for action in found}
    assert all(re.match("BatchDescribe|BatchGet|Describe|Detect|Get|List", verb) for verb in verbs)
    for kind in {one["Type"] for template in templates.values() for one in template["Resources"].values()}:
        reading = [one for one in service_role.handler_actions(kind, ("read",)) if service_role.READING(one)]
        services = {action.partition(":")[0] for action in found}
        left_out = service_role.FEATURES.keys() | service_role.ELSEWHERE
        own = [one for one in reading if one.partition(":")[0] in services and one not in left_out]
        assert not reading or own, kind
        assert not [one for one in own if not any(fnmatchcase(one, wide) for wide in found)], kind


def test_every_statement_has_a_name_of_its_own(config: sc.Config) -> None:
    for statements in (operator_of(config), role_of(config)):
        sids = [one["Sid"] for one in statements]
        assert len(set(sids)) == len(sids)
        assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)


def test_every_resource_on_everything_has_its_reason(config: sc.Config) -> None:
    for one in everything(config):
        if "*" in listed(one.get("Resource", [])):
            for action in listed(one["Action"]):
                assert {action, action.partition(":")[0]} & EVERYWHERE.keys(), action


def test_no_action_is_a_whole_service(config: sc.Config) -> None:
    wide = {action for action in granted(everything(config)) if "*" in action}
    assert all(re.fullmatch("[a-z0-9-]+:(Describe|Get)\\*", action) for action in wide)


def test_of_every_type_of_a_set_it_is_known_what_cloudformation_calls_for_it(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    types = {one["Type"] for template in templates.values() for one in template["Resources"].values()}
    assert [kind for kind in types if not service_role.handler_actions(kind)] == []


def test_a_host_with_a_certificate_of_its_own_may_be_added_to_the_listener() -> None:
    assert "elasticloadbalancing:AddListenerCertificates" in service_role.handler_actions(
        "AWS::ElasticLoadBalancingV2::ListenerCertificate"
    )


def test_what_handlers_call_is_granted_unless_it_is_left_out_for_a_reason(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    allowed = granted(role_of(config)) | {"iam:PassRole", "iam:CreateServiceLinkedRole"}
    text = json.dumps(templates)
    types = {one["Type"] for template in templates.values() for one in template["Resources"].values()}
    own = {action.partition(":")[0] for action in allowed} - {"kms"}
    # Templates and certificates lie in buckets that are no part of the set.
    own -= set() if any(kind.startswith("AWS::S3::") for kind in types) else {"s3"}
    for kind in types:
        for action in service_role.handler_actions(kind):
            if any(fnmatchcase(action, one) for one in allowed) or action in service_role.ELSEWHERE:
                continue
            feature = service_role.FEATURES.get(action)
            features = (feature,) if isinstance(feature, str) else feature or ()
            assert not [one for one in features if f'"{one}"' in text], f"{kind} needs {action} for {feature}"
            assert feature or action.partition(":")[0] not in own, f"{kind} needs {action}"


def test_the_role_may_do_nothing_that_no_handler_calls(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    types = {one["Type"] for template in templates.values() for one in template["Resources"].values()}
    called = {action for kind in types for action in service_role.handler_actions(kind)}
    change_sets = {f"cloudformation:{verb}ChangeSet" for verb in ("Create", "Delete", "Describe", "Execute")}
    also = {"iam:PassRole", "iam:CreateServiceLinkedRole", "s3:GetObject", "ssm:GetParameters"}
    # By a dynamic reference, which is no handler's.
    also |= {"secretsmanager:GetSecretValue"}
    assert granted(role_of(config)) - called - change_sets - also == set()


def test_what_is_there_already_is_read_by_its_name_alone() -> None:
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf"
    pool = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI"
    reading = {
        action: listed(one["Resource"])
        for name in ("before the services", "behind CloudFront")
        for one in role_of(CONFIGS[name])
        if one["Sid"].startswith("Read") and one["Sid"] != "ReadTemplates"
        for action in listed(one["Action"])
    }
    assert reading["secretsmanager:GetSecretValue"] == [secret]
    assert reading["cognito-idp:DescribeUserPoolClient"] == [pool]
    assert reading["s3:GetObjectVersion"] == reading["s3:GetObject"] == ["arn:aws:s3:::authorities/clients/ca.pem"]
    default = {one["Sid"] for one in role_of(sc.Config())}
    assert not default & {"ReadReferencedSecrets", "ReadUserPoolClient", "ReadCertificates"}


def test_waf_may_be_told_to_log_to_groups_of_the_set_alone() -> None:
    for one in role_of(CONFIGS["before the services"]):
        if "logs:CreateLogGroup" in listed(one["Action"]):
            groups = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group"
            assert listed(one["Resource"]) == [f"{groups}:web-*", f"{groups}:aws-waf-logs-web-*"]
    assert {"logs:CreateLogDelivery", "logs:PutResourcePolicy"} <= granted(role_of(CONFIGS["before the services"]))
    assert "logs:PutResourcePolicy" not in granted(role_of(sc.Config()))


def test_every_type_of_the_set_is_known(config: sc.Config) -> None:
    templates = sc.set_of(sc.compose(config))
    for kind in {one["Type"] for template in templates.values() for one in template["Resources"].values()}:
        assert service_role.handler_actions(kind), kind


def test_a_type_of_ones_own_gets_what_its_handlers_call() -> None:
    templates = {"root.yaml": {"Resources": {"Cache": {"Type": "AWS::ElastiCache::ServerlessCache", "Properties": {}}}}}
    allowed = granted(plain(service_role.service_role(templates, PLACE)))
    assert "elasticache:CreateServerlessCache" in allowed


def test_roles_are_passed_only_to_the_services_that_they_trust(config: sc.Config) -> None:
    passed = [one for one in role_of(config) if "iam:PassRole" in listed(one["Action"])]
    (one,) = passed
    services = set(listed(one["Condition"]["StringEquals"]["iam:PassedToService"]))
    nodes = any(isinstance(pool, sc.Ec2Capacity) for pool in config.capacity.values())
    assert {"ecs-tasks.amazonaws.com", *(["ec2.amazonaws.com"] if nodes else [])} <= services
    assert "cloudformation.amazonaws.com" not in services
    assert listed(one["Resource"]) == [f"arn:aws:iam::{ACCOUNT}:role/web-*"]


def test_a_permissions_boundary_is_asked_of_every_role_that_is_made() -> None:
    place = Scope("web", "artifacts", ACCOUNT, "eu-west-1", "arn:aws:iam::123456789012:policy/boundary")
    statements = plain(service_role.service_role(sc.set_of(sc.compose(EVERYTHING)), place))
    for one in statements:
        if {"iam:CreateRole", "iam:PutRolePolicy"} & set(listed(one["Action"])):
            assert one["Condition"]["StringEquals"]["iam:PermissionsBoundary"] == place.boundary


def test_the_deployer_may_pass_the_one_role_and_only_to_cloudformation() -> None:
    (one,) = [one for one in deployer_of(sc.Config()) if "iam:PassRole" in listed(one["Action"])]
    assert listed(one["Resource"]) == [ROLE]
    assert one["Condition"]["StringEquals"]["iam:PassedToService"] == "cloudformation.amazonaws.com"
    assert "iam:PassRole" not in granted(deployer_of(sc.Config(), role_arn=""))


def test_whoever_deploys_may_neither_push_images_nor_run_commands_in_tasks() -> None:
    allowed = granted(deployer_of(EVERYTHING))
    assert allowed.isdisjoint({"ecr:PutImage", "ecs:RunTask", "ecs:ExecuteCommand", "ecs:StopTask"})


def test_commands_run_only_in_the_sets_cluster_with_its_definitions_and_roles() -> None:
    found = {one["Sid"]: one for one in plain(policies.commands({}, PLACE))}
    here = f"arn:aws:ecs:eu-west-1:{ACCOUNT}"
    assert found["RunTasks"]["Condition"] == {"ArnLike": {"ecs:cluster": f"{here}:cluster/web-*"}}
    assert found["EnterTasks"]["Resource"] == [f"{here}:cluster/web-*", f"{here}:task/web-*"]
    assert listed(found["PassTaskRoles"]["Resource"]) == [f"arn:aws:iam::{ACCOUNT}:role/web-*"]
    assert found["PassTaskRoles"]["Condition"]["StringEquals"]["iam:PassedToService"] == "ecs-tasks.amazonaws.com"


def test_sessions_that_are_encrypted_are_so_by_the_set_s_key_or_the_given_one_and_by_no_other() -> None:
    def encrypting(encryption: sc.AwsKeys | sc.OwnKey | sc.GivenKey) -> dict[str, Any] | None:
        made = sc.set_of(sc.compose(sc.Config(encryption=encryption)))
        return next((one for one in plain(policies.commands(made, PLACE)) if one["Sid"] == "EncryptSessions"), None)

    assert encrypting(sc.AwsKeys()) is None
    own = encrypting(sc.OwnKey())
    assert own and own["Condition"] == {"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/web-*"}}
    arn = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
    given = encrypting(sc.GivenKey(key_arn=arn))
    assert given and (given["Action"], listed(given["Resource"])) == (["kms:GenerateDataKey"], [arn])


@given(st.text("abcdefgh-", min_size=1, max_size=60), st.sampled_from(["cn-north-1", "us-gov-west-1", "eu-west-1"]))
def test_every_arn_is_of_the_partition_and_begins_as_names_do(stack: str, region: str) -> None:
    place = Scope(stack, "artifacts", ACCOUNT, region)
    for pattern in (pattern for group in grants.NAMES.values() for pattern in group):
        arn = place.arn(pattern)
        assert arn.startswith(f"arn:{place.partition}:")
        assert "{" not in arn
    # CloudFormation cuts the stack's name where a name has room for 64 characters only.
    assert f"{stack[:20]}-Nodes-ABCDEFGHIJKL".startswith(place.begins[:20])


def test_documents_fit_into_managed_policies_and_lose_nothing(config: sc.Config) -> None:
    statements = service_role.service_role(sc.set_of(sc.compose(config)), PLACE)
    texts = documents("cloudformation", statements)
    assert all(characters(text) <= MOST_CHARACTERS for text in texts.values())
    found = [one for text in texts.values() for one in json.loads(text)["Statement"]]
    assert found == plain(statements)
    assert len(texts) <= 10, "a role takes ten managed policies"


def test_the_same_config_gives_the_same_bytes(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        result = CliRunner().invoke(cli, ["policies", "-o", str(tmp_path / name), "--region", "eu-west-1"])
        assert result.exit_code == 0, result.output
        runs.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert runs[0] == runs[1]
    assert {"deployer.json", "images.json", "commands.json", "cloudformation-trust.json"} < runs[0].keys()


def test_a_folder_that_cannot_be_written_to_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as caught:
        main(["policies", "-o", str(tmp_path / "file")])
    assert caught.value.code == 2
    assert "give a folder that can be written to" in capsys.readouterr().err


# Over HTTP, with the emulator's authorisation switched on and the deployer's policy in force.


def quirks(place: Scope) -> str:
    """What the emulator asks beyond AWS: "*" where it does not know a call's resource, which AWS takes from the stack,
    the alarm, the deployment or the parameter; and the cluster where AWS asks for the service or the task, or for
    ecs:cluster. It names log groups in its own way."""
    sets = [f"cloudformation:{verb}ChangeSet" for verb in ("Delete", "Describe", "Execute")]
    deployments = [f"ecs:{verb}" for verb in ("DescribeServiceDeployments", "DescribeServiceRevisions")]
    deployments += [f"ecs:{verb}ServiceDeployment" for verb in ("Continue", "Stop")]
    unknown = [*sets, "cloudwatch:DescribeAlarms", *deployments, "ssm:GetParameters"]
    calls = ("DescribeServices", "DescribeTasks", "ListServiceDeployments", "ListTasks", "UpdateService")
    cluster = place.arn("arn:{partition}:ecs:{region}:{account}:cluster/{begins}*")
    groups = place.arn("arn:{partition}:logs:{region}:{account}:log-group:/aws/cloudformation/{begins}*")
    statements = [
        {"Effect": "Allow", "Action": ["logs:FilterLogEvents", "logs:GetLogEvents"], "Resource": groups},
        {"Effect": "Allow", "Action": unknown, "Resource": "*"},
        {"Effect": "Allow", "Action": [f"ecs:{name}" for name in calls], "Resource": cluster},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


#: The program as a user starts it, but for the waits between polls: the emulator answers at once.
PROGRAM = "from scaleout_cfn.aws.client import Pace; Pace.wait = lambda pace: None; from scaleout_cfn.cli import main"


@dataclass(frozen=True)
class User:
    """Somebody with the deployer's policy and no other, in an emulator that checks it."""

    account: Account
    home: Path
    keys: dict[str, str]

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = {**kept, **self.account.environment(), **self.keys, "CI": "true", "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-c", f"{PROGRAM}; main()", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, cwd=self.home, text=True, stdout=pipe, stderr=pipe)

    def run(self, *arguments: str, denied: Collection[str] = ()) -> subprocess.CompletedProcess[str]:
        return self.end(self.begin(*arguments), denied)

    def end(self, process: subprocess.Popen[str], denied: Collection[str] = ()) -> subprocess.CompletedProcess[str]:
        done = subprocess.CompletedProcess(process.args, 0, *process.communicate(timeout=120))
        done.returncode = process.returncode
        assert "Traceback" not in done.stderr
        said = done.stdout + done.stderr
        assert set(re.findall("not authorized to perform: ([A-Za-z0-9:-]+)", said)) == set(denied), said
        assert "may not look" not in said
        return done

    def fail_once(self) -> None:
        failure = {"stack": "-WebService-", "resource": "Service", "operation": "update", "message": "no room"}
        (self.home / "faults.json").write_text(json.dumps({"fail": [{**failure, "times": 1}]}))


@contextmanager
def user(home: Path, config: sc.Config) -> Iterator[User]:
    """Whoever may deploy a config and no more, where that is checked: AUTH is in the environment."""
    with running(faults=home / "faults.json") as emulator:
        account = Account(emulator)
        account.client("s3").create_bucket(Bucket=account.bucket)
        place = Scope("web", account.bucket, account.number, emulator.region)
        templates = sc.set_of(sc.compose(config))
        wanted = documents("deployer", policies.deployer(templates, place, ROLE))
        wanted |= documents("drift", policies.drift(templates, place))
        wanted["emulator.json"] = quirks(place)
        iam = account.client("iam")
        iam.create_user(UserName="deployer")
        for name, text in wanted.items():
            iam.put_user_policy(UserName="deployer", PolicyName=name.partition(".")[0], PolicyDocument=text)
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        yield User(account, home, keys)


@pytest.fixture
def deployer_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[User]:
    monkeypatch.setenv("AUTH", "true")
    with user(tmp_path, sc.Config()) as somebody:
        yield somebody


def test_over_http_the_deployers_policy_is_enough_from_the_first_deployment_to_the_end(deployer_user: User) -> None:
    run, account = deployer_user.run, deployer_user.account
    bucket = ("--bucket", account.bucket)

    def image(number: int) -> str:
        return f"{account.number}.dkr.ecr.{account.emulator.region}.amazonaws.com/web@sha256:{str(number) * 64}"

    def deploy(number: int) -> subprocess.CompletedProcess[str]:
        return run("deploy", "--yes", *bucket, "--image", image(number), "--json")

    def result(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
        last = json.loads(done.stdout.splitlines()[-1])
        return done.returncode, last["outcome"], last["status"]

    assert result(deploy(1)) == (0, "done", "UPDATE_COMPLETE")  # the second of two phases
    assert result(deploy(2)) == (0, "done", "UPDATE_COMPLETE")
    assert result(deploy(2)) == (0, "no_change", "UPDATE_COMPLETE")
    deployer_user.fail_once()
    assert result(deploy(3)) == (4, "rolled_back", "UPDATE_ROLLBACK_COMPLETE")
    others = (
        "status, alarms, drift, events, outputs, diagnose, rollout, rollout history, restart,"
        " scale web --min 3 --for 2h, scale web --reset, logs, image list, rollback --yes, cancel --yes"
    )
    for command in (*(words.split() for words in others.split(", ")), ["publish", *bucket]):
        done = run(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    # It may do without the one, and for the other the emulator asks for every role.
    looked = run("doctor", *bucket, denied=["iam:SimulatePrincipalPolicy", "iam:GetRole"])
    assert looked.returncode == 0, looked.stderr
    assert run("diff", *bucket, "--image", image(4), "--exit-code").returncode == 3
    planned = run("plan", *bucket, "--image", image(4), "--json")
    assert run("apply", json.loads(planned.stdout.splitlines()[-1])["change_set"]).returncode == 0
    assert result(run("destroy", "--yes", "--json"))[:2] == (0, "destroyed")
    # And it is no more than that: the same user may not touch another stack.
    other = boto3.client(
        "cloudformation",
        endpoint_url=account.emulator.endpoint_url,
        region_name=account.emulator.region,
        config=ClientConfig(retries={"total_max_attempts": 1}),
        aws_access_key_id=deployer_user.keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=deployer_user.keys["AWS_SECRET_ACCESS_KEY"],
    )
    with pytest.raises(other.exceptions.ClientError) as caught:
        other.delete_stack(StackName="somebody-elses")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


CANARY = """
[capacity.air]
kind = "fargate"

[services.web]
cpu_units = 256
memory_mib = 512

[services.web.deployment]
strategy = "canary"
pauses.look.stages = ["POST_TEST_TRAFFIC_SHIFT"]
test.kind = "header"
test.header = "X-Preview"
test.value = "0a1b"
"""


def test_over_http_a_paused_deployment_goes_on_and_another_is_taken_back_by_the_policy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTH", "true")
    (tmp_path / "scaleout.toml").write_text(CANARY)
    with user(tmp_path, sc.load(tmp_path / "scaleout.toml")) as somebody:
        config, elbv2 = ("-c", "scaleout.toml"), somebody.account.client("elbv2")

        def deploy(number: int) -> subprocess.Popen[str]:
            image = f"{somebody.account.number}.dkr.ecr.{somebody.account.emulator.region}.amazonaws.com/web:{number}"
            bucket = ("--bucket", somebody.account.bucket)
            return somebody.begin("deploy", *config, "--yes", *bucket, "--image", image)

        def paused(process: subprocess.Popen[str], says: str = "its deployment is at") -> str:
            """The next line that says so. What has been read here, the process's end does not give again."""
            assert process.stdout
            return next((line for line in process.stdout if says in line), "")

        def weights() -> dict[str, int]:
            """What goes to the second group, of tests and of production."""
            (balancer,) = elbv2.describe_load_balancers()["LoadBalancers"]
            (listener,) = elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
            shares = {}
            for rule in elbv2.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
                if rule["Actions"][0]["Type"] == "forward":
                    fields = {condition["Field"] for condition in rule["Conditions"]}
                    whose = "tests" if "http-header" in fields else "production"
                    shares[whose] = rule["Actions"][0]["ForwardConfig"]["TargetGroups"][1]["Weight"]
            return shares

        assert somebody.end(deploy(1)).returncode == 0
        assert weights() == {"tests": 0, "production": 0}
        waiting = deploy(2)
        assert "POST_TEST_TRAFFIC_SHIFT, and waits for an answer" in paused(waiting)
        assert paused(waiting, "a request with the header X-Preview: 0a1b gets the new")
        assert weights() == {"tests": 100, "production": 0}
        done = somebody.run("rollout", "continue", *config, "--yes")
        assert done.returncode == 0, done.stderr
        assert somebody.end(waiting).returncode == 0
        assert weights() == {"tests": 100, "production": 100}
        waiting = deploy(3)
        assert paused(waiting)
        assert weights() == {"tests": 0, "production": 100}
        done = somebody.run("rollout", "back", *config, "--yes")
        assert done.returncode == 0, done.stderr
        assert somebody.end(waiting).returncode == 4
        assert weights() == {"tests": 100, "production": 100}
        done = somebody.run("rollout", "history", *config)
        assert ["ROLLBACK_SUCCESSFUL" in done.stdout, "web:2" in done.stdout] == [True, True], done.stdout + done.stderr
