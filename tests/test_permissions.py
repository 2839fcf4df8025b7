"""What the application may do at AWS: what is written is checked, and what is checked is allowed, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from one_service import one_service

import scaleout_cfn as sc
from scaleout_cfn.config.permissions import INTENTS
from scaleout_cfn.iam import INTENTS as ALLOWED
from scaleout_cfn.iam import characters, permit

KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"


def role_of(*, exec: bool = False, **permissions: Any) -> dict[str, Any]:
    """The task role of a service with permissions."""
    service = sc.WebService(permissions=sc.Permissions(**permissions), exec=exec, read_only=not exec)
    templates = sc.set_of(sc.compose(one_service(service)))
    role: dict[str, Any] = templates["web-service.yaml"]["Resources"]["TaskRole"]["Properties"]
    return role


def statements(**permissions: Any) -> dict[str, dict[str, Any]]:
    """The statements by Sid."""
    (policy,) = role_of(**permissions)["Policies"]
    found = policy["PolicyDocument"]["Statement"]
    by_sid = {statement["Sid"]: statement for statement in found}
    assert len(by_sid) == len(found)
    return by_sid


def refused(text: str, tmp_path: Path) -> str:
    """What is said of a section's text."""
    path = tmp_path / "scaleout.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((sc.ConfigError, sc.SetError)) as error:
        sc.compose(sc.load(path))
    assert "\n" not in str(error.value)
    return str(error.value)


SECTION = "[services.web.permissions]\n"
STATEMENT = "[[services.web.permissions.statements]]\n"


# --- what is allowed


def test_a_bucket_is_found_by_its_own_arn_and_its_objects_by_theirs() -> None:
    bucket = {"Fn::Sub": "arn:${AWS::Partition}:s3:::orders"}
    objects = {"Fn::Sub": "arn:${AWS::Partition}:s3:::orders/*"}
    read = statements(reads_bucket=("arn:aws:s3:::orders",))
    assert {sid: statement["Resource"] for sid, statement in read.items()} == {
        "FindObjects": [bucket],
        "ReadObjects": [objects],
    }
    written = statements(writes_bucket=("arn:aws:s3:::orders",))
    assert {sid: statement["Resource"] for sid, statement in written.items()} == {"WriteObjects": [objects]}
    assert "s3:GetObject" not in written["WriteObjects"]["Action"]


def test_a_table_is_used_and_its_indexes_are_read() -> None:
    found = statements(uses_table=(TABLE,))
    assert found["UseTable"]["Resource"] == [TABLE]
    assert found["UseIndexes"]["Resource"] == [f"{TABLE}/index/*"]
    assert found["UseIndexes"]["Action"] == ["dynamodb:Query", "dynamodb:Scan"]
    assert "dynamodb:DeleteTable" not in found["UseTable"]["Action"]


def test_each_intent_names_what_it_is_given_and_no_action_by_a_wildcard() -> None:
    assert tuple(ALLOWED) == INTENTS
    named = [action for allowed in ALLOWED.values() for _, actions, _ in allowed for action in actions.split()]
    assert not [action for action in named if "*" in action]
    assert not [action for action in named if "Create" in action or "Grant" in action or "Policy" in action]


def test_of_one_intent_all_arns_are_in_one_statement() -> None:
    queues = tuple(f"arn:aws:sqs:eu-west-1:123456789012:{name}" for name in "ba")
    (statement,) = statements(sends_to_queue=queues).values()
    assert statement["Resource"] == sorted(queues)


def test_a_statement_is_called_by_its_reason_and_each_by_a_name_of_its_own() -> None:
    any_metric = sc.PolicyStatement(
        actions=("cloudwatch:PutMetricData",), any_resource=True, reason="metrics have no ARN"
    )
    plain = sc.PolicyStatement(actions=("sqs:SendMessage",), resources=("arn:aws:sqs:*:123456789012:a*",))
    found = statements(statements=(any_metric, any_metric, plain))
    assert list(found) == ["MetricsHaveNoARN", "MetricsHaveNoARN2", "Statement3"]
    assert found["MetricsHaveNoARN"]["Resource"] == ["*"]
    assert found["Statement3"]["Resource"] == ["arn:aws:sqs:*:123456789012:a*"] or "Fn::Sub" in str(found["Statement3"])


def test_conditions_are_handed_on_as_they_are_written() -> None:
    conditions: dict[str, dict[str, str | tuple[str, ...]]] = {
        "ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ("o-1/*", "o-2/*")},
        "Bool": {"aws:SecureTransport": "true"},
    }
    given = sc.PolicyStatement(actions=("s3:GetObject",), resources=("arn:aws:s3:::a/*",), conditions=conditions)
    assert statements(statements=(given,))["Statement1"]["Condition"] == {
        "Bool": {"aws:SecureTransport": "true"},
        "ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["o-1/*", "o-2/*"]},
    }


def test_a_variable_of_iam_is_not_taken_for_one_of_cloudformation() -> None:
    given = sc.PolicyStatement(actions=("s3:GetObject",), resources=("arn:aws:s3:::a/${aws:PrincipalTag/team}/*",))
    assert statements(statements=(given,))["Statement1"]["Resource"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:s3:::a/${!aws:PrincipalTag/team}/*"}
    ]


def test_managed_policies_are_attached_beside_the_inline_ones() -> None:
    role = role_of(
        managed_policies=("arn:aws:iam::aws:policy/AmazonSQSFullAccess", "arn:aws:iam::123456789012:policy/own"),
        reads_bucket=("arn:aws:s3:::orders",),
        exec=True,
    )
    assert role["ManagedPolicyArns"] == [
        "arn:aws:iam::123456789012:policy/own",
        {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AmazonSQSFullAccess"},
    ]
    assert [policy["PolicyName"] for policy in role["Policies"]] == ["exec-sessions", "permissions"]


def test_a_section_that_says_nothing_allows_nothing() -> None:
    assert role_of().keys() == one_service_role().keys()


def one_service_role() -> dict[str, Any]:
    templates = sc.set_of(sc.compose())
    role: dict[str, Any] = templates["web-service.yaml"]["Resources"]["TaskRole"]["Properties"]
    return role


def test_what_stands_in_for_a_service_may_do_what_it_may() -> None:
    permissions = sc.Permissions(uses_table=(TABLE,))
    service = sc.WebService(
        permissions=permissions, scaling=sc.Scaling(max_tasks=4), stand_in=sc.StandIn(network_mode="awsvpc", tasks=1)
    )
    templates = sc.set_of(sc.compose(one_service(service)))
    roles = [
        templates[f"{name}.yaml"]["Resources"]["TaskRole"]["Properties"]["Policies"]
        for name in ("web-service", "web-stand-in-service")
    ]
    assert roles[0] == roles[1] != []


def test_awacs_modules_of_services_are_imported_for_statements_alone() -> None:
    script = (
        "import sys, scaleout_cfn as sc; sc.compose(sc.load());"
        "print('awacs.dynamodb' in sys.modules, 'awacs.ec2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout.split() == ["False", "False"]


# --- a pipeline brings the first image, and with it the role


def test_a_pipeline_may_attach_the_policies_that_the_config_names_and_no_others() -> None:
    own = "arn:aws:iam::123456789012:policy/own"
    service = sc.WebService(
        permissions=sc.Permissions(managed_policies=(own,)),
        pipeline=sc.GitHubPipeline(repository="shop/web"),
    )
    pinned = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
    config = one_service(service, nodes=sc.Ec2Capacity(machine_image=pinned))
    for boundary in ("", "arn:aws:iam::123456789012:policy/boundary"):
        templates = sc.set_of(sc.compose(msgspec.structs.replace(config, permissions_boundary=boundary)))
        role = templates["web-pipeline.yaml"]["Resources"]["DeployRole"]["Properties"]
        (document,) = [policy["PolicyDocument"] for policy in role["Policies"]]
        by_sid = {statement["Sid"]: statement for statement in document["Statement"]}
        assert by_sid["AttachPolicies"]["Action"] == ["iam:AttachRolePolicy"]
        assert by_sid["AttachPolicies"]["Condition"] == {
            "ForAnyValue:StringEquals": {"aws:CalledVia": ["cloudformation.amazonaws.com"]},
            **({"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}),
            "ArnEquals": {"iam:PolicyARN": [own]},
        }
        assert by_sid["DetachPolicies"]["Resource"] == by_sid["AttachPolicies"]["Resource"]


# --- what is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('reads_bucket = ["orders"]', "permissions.reads_bucket[0]: got 'orders'; the ARN of an S3 bucket is wanted"),
        ('reads_bucket = ["arn:aws:s3:::orders/*"]', "the bucket itself is wanted"),
        ('reads_bucket = ["arn:aws:s3:eu-west-1::orders"]', "no region, where this has eu-west-1"),
        ('reads_bucket = ["arn:aws:s3::123456789012:orders"]', "no account, where this has 123456789012"),
        ('uses_table = ["arn:aws:s3:::orders"]', "it is of s3; the ARN of a DynamoDB table is wanted"),
        (f'uses_table = ["{TABLE}/index/by-day"]', "its last part is table/orders/index/by-day"),
        ('sends_to_queue = ["https://sqs.eu-west-1.amazonaws.com/1/a"]', "the ARN of an SQS queue is wanted"),
        ('publishes_to = ["arn:aws:sns:eu-wst-1:123456789012:orders"]', "its region is eu-wst-1"),
        (
            'uses_key = ["arn:aws:kms:eu-west-1:123456789012:alias/shop"]',
            "it is an alias, by which no permission is given",
        ),
        ('managed_policies = ["ReadOnlyAccess"]', "the ARN of an IAM policy is wanted"),
        (f'uses_table = ["{TABLE}", "{TABLE}"]', "uses_table: one is named twice"),
        ("reads_buckets = []", "did you mean reads_bucket?"),
        (
            "managed_policies = [" + ", ".join(f'"arn:aws:iam::aws:policy/p{n}"' for n in range(11)) + "]",
            "got 11 of them; allowed are at most 10",
        ),
    ],
)
def test_an_arn_of_another_kind_is_told_with_the_one_that_is_wanted(text: str, words: str, tmp_path: Path) -> None:
    assert words in refused(SECTION + text, tmp_path)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("s3:GetObjekt", "did you mean s3:GetObject"),
        ("s3:getobject", "write it as AWS does: s3:GetObject"),
        ("dynamo:GetItem", "no service is called dynamo; did you mean dynamodb:GetItem?"),
        ("S3:GetObject", "no service is called S3; did you mean s3:GetObject?"),
        ("aws:GetObject", "no service is called aws"),
        ("GetObject", "an action is its service, a colon and its name"),
        ("s3:", "an action is its service, a colon and its name"),
        ("*", "every action there is"),
        ("*:*", "an action is its service"),
        ("s3:Fetch*", "s3 has no such action that this version knows"),
        ("sqs:Send", "did you mean sqs:SendMessage"),
        ("lambda:Invoke", "did you mean lambda:Invoke"),
    ],
)
def test_an_action_that_is_not_there_is_told_with_the_near_one(action: str, words: str, tmp_path: Path) -> None:
    text = f'{STATEMENT}actions = ["{action}"]\nresources = ["arn:aws:s3:::a/*"]'
    assert f"statements[0].actions[0]: got '{action}'" in refused(text, tmp_path)
    assert words in refused(text, tmp_path)


@pytest.mark.parametrize(
    "action", ["s3:*", "s3:Get*", "s3:Get??ject", "lambda:InvokeFunction", "rds-db:connect", "apigateway:GET"]
)
def test_an_action_that_there_is_passes(action: str, tmp_path: Path) -> None:
    assert statements(statements=(sc.PolicyStatement(actions=(action,), resources=("arn:aws:s3:::a/*",)),))


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("", "resources: is empty; name what it may be done to, or write any_resource = true"),
        ('resources = ["*"]', "* is everything there is"),
        ('resources = ["arn:aws:s3:::*"]', "arn:aws:s3:::* is everything there is"),
        ('resources = ["arn:aws:s3:::*/*"]', "is everything there is"),
        ("any_resource = true", "reason: is empty, and any_resource = true needs one"),
        ('resources = ["*"]\nany_resource = true', "reason: is empty"),
        ('resources = ["*"]\nany_resource = true\nreason = "?!"', "a few words"),
        (
            'resources = ["arn:aws:s3:::a/*"]\nany_resource = true\nreason = "so"',
            "is true, and resources names arn:aws:s3:::a/*",
        ),
        ('resources = ["bucket/*"]', "an ARN has six parts"),
        ('resources = ["arn:asw:s3:::a"]', "its partition is asw; allowed are aws, aws-cn"),
        ('resources = ["arn:aws:s3:eu-west-11::a"]', "its region is eu-west-11"),
        ('resources = ["arn:aws:sqs:eu-west-1:1234:a"]', "its account is 1234"),
        ('resources = ["arn:aws:s3:::"]', "its last part is empty"),
        ('resources = ["arn:aws:S3:::a"]', "its service is S3"),
        ('resources = ["arn:aws:s3:::a/\u65e5*"]', "a policy takes no"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {StringEqual = {"aws:a" = "b"}}', "did you mean StringEquals?"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {stringequals = {"aws:a" = "b"}}', "did you mean StringEquals?"),
        (
            'resources = ["arn:aws:s3:::a"]\nconditions = {NullIfExists = {"aws:a" = "true"}}',
            "no operator is called so",
        ),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {Bool = {SecureTransport = "true"}}', "as in aws:PrincipalTag"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {Bool = {"aws:SecureTransport" = "yes"}}', '"true" and "false"'),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {Bool = {"aws:SecureTransport" = true}}', "in quotes"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {NumericLessThan = {"s3:max-keys" = "many"}}', "takes a number"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {IpAddress = {"aws:SourceIp" = "10.0.0.1/8"}}', "a range of"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {DateLessThan = {"aws:CurrentTime" = "soon"}}', "takes a date"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {StringLike = {"aws:a" = []}}', "has no value"),
        ('resources = ["arn:aws:s3:::a"]\nconditions = {StringLike = {}}', "names no key"),
    ],
)
def test_a_statement_that_cannot_be_meant_is_told_where_it_is(rest: str, words: str, tmp_path: Path) -> None:
    problem = refused(f'{STATEMENT}actions = ["s3:ListBucket"]\n{rest}', tmp_path)
    assert "scaleout.toml:" in problem
    assert "services.web.permissions.statements[0]" in problem
    assert words in problem


def test_a_statement_without_actions_is_refused(tmp_path: Path) -> None:
    assert "statements[0].actions: got 0 of them" in refused(
        f'{STATEMENT}actions = []\nresources = ["arn:aws:s3:::a"]', tmp_path
    )
    assert "actions is missing" in refused(f'{STATEMENT}resources = ["arn:aws:s3:::a"]', tmp_path)


def test_an_arn_of_another_partition_or_of_another_account_s_policy_is_told(tmp_path: Path) -> None:
    china = refused(f'region = "eu-west-1"\n{SECTION}reads_bucket = ["arn:aws-cn:s3:::orders"]', tmp_path)
    assert "services.web.permissions.reads_bucket[0]: is in the partition aws-cn" in china
    foreign = f'account_id = "123456789012"\n{SECTION}managed_policies = ["arn:aws:iam::210987654321:policy/a"]'
    assert "managed_policies[0]: is of the account 210987654321" in refused(foreign, tmp_path)


def test_what_a_role_s_policies_come_to_is_counted_as_iam_does(tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    sections = sc.Permissions(reads_bucket=("arn:aws:s3:::orders",))
    document = (
        '{"Version":"2012-10-17","Statement":['
        '{"Sid":"FindObjects","Effect":"Allow","Action":["s3:GetBucketLocation","s3:ListBucket"],'
        '"Resource":["arn:aws:s3:::orders"]},'
        '{"Sid":"ReadObjects","Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::orders/*"]}]}'
    )
    assert characters(permit(sections)) == len(document)
    many = json.dumps(
        [
            f"{TABLE[:-6]}a-table-with-a-name-that-is-rather-long-as-names-of-tables-go-{number:02}"
            for number in range(50)
        ]
    )
    problem = refused(f"{SECTION}uses_table = {many}", tmp_path)
    assert "TaskRole of WebService: its policies come to" in problem
    assert "10240 at most; allow less" in problem
    managed = f"{SECTION}uses_table = {many}\n[roles]\ninline_policies = false\n"
    (tmp_path / "scaleout.toml").write_text(managed, encoding="utf-8")
    assert sc.compose(sc.load(tmp_path / "scaleout.toml"))


def test_what_is_attached_counts_as_all_else_of_a_role() -> None:
    attachments = {f"table{word}": sc.Table(used_by=("web",)) for word in "abcdefghijklmnopqrst"}
    with pytest.raises(sc.SetError, match="TaskRole of WebService: its policies come to"):
        sc.compose(sc.Config(attachments=attachments))
