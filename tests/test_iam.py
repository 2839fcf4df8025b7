"""Policies: what the set may do, and why it may do no less."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from awacs.aws import PolicyDocument
from one_service import one_service
from troposphere import GetAtt, encode_to_dict

from scaleout_cfn import iam
from scaleout_cfn.composing import compose
from scaleout_cfn.config import (
    Cluster,
    Config,
    Domain,
    Ec2Capacity,
    ExistingVpc,
    FargateCapacity,
    GitHubPipeline,
    InternalService,
    ManagedCapacity,
    NewLoadBalancer,
    NewVpc,
    OwnKey,
    Registry,
    RegistryPipeline,
    Scaling,
    SourcePipeline,
    WebService,
    WorkerService,
)
from scaleout_cfn.rendering import render, set_of

#: Actions that may have "*" as their resource, each with the reason. A "*" that is not here fails.
EVERYWHERE = {
    "application-autoscaling:DescribeScalableTargets": "no resource-level permission",
    "application-autoscaling:DescribeScalingPolicies": "no resource-level permission",
    "application-autoscaling:DescribeScheduledActions": "no resource-level permission",
    "cloudwatch:GetMetricData": "no resource-level permission",
    "ec2:DescribeSecurityGroupRules": "no resource-level permission",
    "ec2:DescribeSecurityGroups": "no resource-level permission",
    "ecr:GetAuthorizationToken": "no resource-level permission; the token is for all registries that the role may use",
    "ecs:DeregisterTaskDefinition": "no resource-level permission",
    "ecs:DescribeTaskDefinition": "no resource-level permission",
    "ecs:DiscoverPollEndpoint": "no resource-level permission; it tells an agent where to connect",
    "ssm:UpdateInstanceInformation": "the agent reports before anything that names it is known",
    "ssmmessages:CreateControlChannel": "no resource-level permission in the message gateway",
    "ssmmessages:CreateDataChannel": "no resource-level permission in the message gateway",
    "ssmmessages:OpenControlChannel": "no resource-level permission in the message gateway",
    "ssmmessages:OpenDataChannel": "no resource-level permission in the message gateway",
}

REPORT = "ssm:UpdateInstanceInformation"
NODE_IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
SECRET = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCdEf"
#: All that makes a policy, and in another partition: a literal of the usual one is ours then.
EVERYTHING = Config(
    encryption=OwnKey(),
    cluster=Cluster(exec_logs=True),
    permissions_boundary="arn:aws-cn:iam::123456789012:policy/boundary",
    network=NewVpc(egress="nat-per-zone", ipv6=True, flow_logs=True),
    registry=Registry(mutable_tags=("latest",), empty_on_delete=True),
    load_balancer=NewLoadBalancer(
        access_logs=True, listener=Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789")
    ),
    capacity={
        "nodes": Ec2Capacity(instance_types=("m7i.large", "m6i.large"), spot_percent=50, machine_image=NODE_IMAGE),
        "air": FargateCapacity(),
        "looked-after": ManagedCapacity(),
    },
    services={
        "web": WebService(
            capacity="nodes",
            exec=True,
            read_only=False,
            network_mode="awsvpc",
            reaches=("api",),
            secrets={"KEY": "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/key", "DB": f"{SECRET}:password::"},
            secrets_keys=("arn:aws-cn:kms:cn-north-1:123456789012:key/12345678-1234-1234-1234-123456789012",),
            scaling=Scaling(max_tasks=4),
            pipeline=SourcePipeline(
                connection_arn="arn:aws-cn:codeconnections:cn-north-1:123456789012:connection/0a1b2c3d",
                repository="shop/web",
                approval=True,
            ),
        ),
        "api": InternalService(capacity="looked-after"),
        "mailer": WorkerService(capacity="air", memory_mib=512, image_of="web", command=("mail",)),
    },
)
CONFIGS = {
    "default": Config(),
    "everything": EVERYTHING,
    "endpoints": Config(network=NewVpc(egress="endpoints")),
    "existing": Config(network=ExistingVpc()),
    "registry pipeline": one_service(
        nodes=Ec2Capacity(machine_image=NODE_IMAGE),
        registry=Registry(mutable_tags=("latest",)),
        pipeline=RegistryPipeline(),
    ),
    "github": one_service(nodes=Ec2Capacity(machine_image=NODE_IMAGE), pipeline=GitHubPipeline(repository="shop/web")),
}


@pytest.fixture(scope="module", params=CONFIGS)
def templates(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return set_of(compose(CONFIGS[request.param]))


def documents(value: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy document of a template, with its place."""
    if isinstance(value, dict):
        if "Statement" in value:
            yield path, value
        for key, item in value.items():
            yield from documents(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from documents(item, f"{path}.{index}")


def statements(templates: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, template in templates.items():
        for path, document in documents(template, name):
            for statement in document["Statement"]:
                yield f"{path}: {statement.get('Sid')}", statement


def test_every_document_is_of_the_current_language_and_names_its_statements_apart(
    templates: dict[str, dict[str, Any]],
) -> None:
    found = [document for template in templates.values() for document in documents(template)]
    assert len(found) > 5
    for path, document in found:
        assert document["Version"] == "2012-10-17", path
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(set(sids)) == len(sids), path
        assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids), path


def test_only_listed_actions_have_every_resource(templates: dict[str, dict[str, Any]]) -> None:
    for place, statement in statements(templates):
        # A trust policy is about the role that it is part of, and a key's about the key.
        if "Resource" in statement and "Principal" not in statement and "*" in _list(statement["Resource"]):
            assert set(_list(statement["Action"])) <= set(EVERYWHERE), place


def test_every_entry_of_that_list_is_needed() -> None:
    used = {
        action
        for _, statement in statements(set_of(compose(EVERYTHING)))
        if "*" in _list(statement.get("Resource", [])) and "Principal" not in statement
        for action in _list(statement["Action"])
    }
    assert used == set(EVERYWHERE)


def test_no_action_is_a_wildcard_but_in_the_refusal_of_plain_http(templates: dict[str, dict[str, Any]]) -> None:
    for place, statement in statements(templates):
        assert "NotAction" not in statement, place
        assert "NotResource" not in statement, place
        if any("*" in action for action in _list(statement["Action"])) and not _of_a_key(statement):
            assert statement["Sid"] == "TlsOnly", place
            assert statement["Effect"] == "Deny"
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nobody_is_allowed_as_everybody(templates: dict[str, dict[str, Any]]) -> None:
    for place, statement in statements(templates):
        if statement["Effect"] == "Allow" and "Principal" in statement and not _of_a_key(statement):
            if set(statement["Principal"]) == {"Federated"}:
                # Of everybody at GitHub, one branch or environment of one repository.
                (claims,) = statement["Condition"].values()
                assert set(claims) == {f"{iam.GITHUB}:aud", f"{iam.GITHUB}:sub"}, place
                assert claims[f"{iam.GITHUB}:sub"].startswith("repo:shop/web:"), place
                assert not any("*" in claim for claim in claims.values()), place
            else:
                assert set(statement["Principal"]) == {"Service"}, place


def _of_a_key(statement: dict[str, Any]) -> bool:
    """Whether it is of a key's policy: tests/stacks/test_encryption.py asks who is let in there."""
    return "Principal" in statement and all(action.startswith("kms:") for action in _list(statement["Action"]))


def test_no_partition_is_written_down(templates: dict[str, dict[str, Any]]) -> None:
    assert "arn:aws:" not in json.dumps(templates)


def test_no_partition_is_written_down_in_the_text() -> None:
    for name, text in render(compose(EVERYTHING)).items():
        assert "arn:aws:" not in text, name


#: What no page lists the actions of, so that AWS's own list is the least there is.
OF_MANAGED_INSTANCES = {
    "LookedAfterInstanceRole": "AmazonECSInstanceRolePolicyForManagedInstances",
    "LookedAfterInfrastructureRole": "AmazonECSInfrastructureRolePolicyForManagedInstances",
}


def test_no_managed_policy_of_aws_is_attached_but_those_of_managed_instances(
    templates: dict[str, dict[str, Any]],
) -> None:
    for template in templates.values():
        for title, resource in template["Resources"].items():
            attached = resource.get("Properties", {}).get("ManagedPolicyArns", [])
            expected = [{"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{OF_MANAGED_INSTANCES.get(title)}"}]
            assert attached == (expected if title in OF_MANAGED_INSTANCES else [])


def test_every_role_has_the_boundary_that_is_asked_for() -> None:
    roles = [
        resource["Properties"]
        for template in set_of(compose(EVERYTHING)).values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
    ]
    assert len(roles) >= 4
    assert {role["PermissionsBoundary"] for role in roles} == {EVERYTHING.permissions_boundary}
    assert "PermissionsBoundary" not in json.dumps(set_of(compose()))


def test_a_role_is_taken_on_by_one_service_for_this_account() -> None:
    for service in ("ecs-tasks", "vpc-flow-logs"):
        (statement,) = plain(iam.assumed_by(service))["Statement"]
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        assert statement["Action"] == ["sts:AssumeRole"]
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    # EC2 sends no source account.
    assert "Condition" not in plain(iam.assumed_by("ec2"))["Statement"][0]


@pytest.mark.parametrize(
    ("arns", "statements"),
    [
        ([], {}),
        ([SECRET], {"ReadSecrets": [SECRET]}),
        ([f"{SECRET}:password::", f"{SECRET}:user:AWSCURRENT:", SECRET], {"ReadSecrets": [SECRET]}),
        (
            ["arn:aws:ssm:us-east-1:1:parameter/b", SECRET, "arn:aws:ssm:us-east-1:1:parameter/a/c"],
            {
                "ReadSecrets": [SECRET],
                "ReadParameters": ["arn:aws:ssm:us-east-1:1:parameter/a/c", "arn:aws:ssm:us-east-1:1:parameter/b"],
            },
        ),
    ],
)
def test_only_the_given_secrets_may_be_read(arns: list[str], statements: dict[str, list[str]]) -> None:
    document = plain(iam.read_secrets(arns))
    assert {statement["Sid"]: statement["Resource"] for statement in document["Statement"]} == statements
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    assert actions <= {"secretsmanager:GetSecretValue", "ssm:GetParameters"}


def test_a_node_acts_in_its_own_cluster_only() -> None:
    arn = GetAtt("Cluster", "Arn")
    by_sid = {statement["Sid"]: statement for statement in plain(iam.join_cluster(arn))["Statement"]}
    assert by_sid["Register"]["Resource"] == [{"Fn::GetAtt": ["Cluster", "Arn"]}]
    assert by_sid["Serve"]["Condition"] == {"ArnEquals": {"ecs:cluster": {"Fn::GetAtt": ["Cluster", "Arn"]}}}
    assert not any("CreateCluster" in action for statement in by_sid.values() for action in statement["Action"])


def test_the_application_may_do_nothing_until_somebody_adds_to_it() -> None:
    task_role = set_of(compose())["web-service.yaml"]["Resources"]["TaskRole"]["Properties"]
    assert "Policies" not in task_role


#: What AWS's pages list for each, by the documents' own docstrings; those with "*" as resource are in EVERYWHERE.
ALLOWED = {
    "ecs:DeregisterContainerInstance ecs:RegisterContainerInstance ecs:SubmitAttachmentStateChanges"
    " ecs:SubmitContainerStateChange ecs:SubmitTaskStateChange ecs:Poll ecs:StartTelemetrySession"
    " ecs:UpdateContainerInstancesState": iam.join_cluster("ARN"),
    "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer": iam.pull_image("ARN"),
    "ecr:BatchGetImage ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer": iam.pull_image("ARN", ["ARN"]),
    "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:CompleteLayerUpload ecr:DescribeImages"
    " ecr:InitiateLayerUpload ecr:PutImage ecr:UploadLayerPart": iam.push_image("ARN"),
    "logs:CreateLogStream logs:PutLogEvents": iam.write_logs("ARN"),
    "logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents": iam.write_flow_logs("ARN"),
    "s3:GetBucketAcl s3:GetBucketLocation s3:GetObject s3:GetObjectVersion": iam.read_artifacts("ARN"),
    "codepipeline:StartPipelineExecution": iam.start_pipeline("ARN"),
    "s3:GetBucketAcl s3:GetBucketLocation s3:GetBucketVersioning s3:GetObject s3:GetObjectVersion s3:PutObject"
    " codebuild:BatchGetBuilds codebuild:StartBuild": iam.run_pipeline("ARN", ["ARN"]),
    "": iam.carry_exec_sessions(),
}


@pytest.mark.parametrize("actions", ALLOWED)
def test_a_role_may_do_what_aws_lists_for_its_work_and_on_what_it_is_given_only(actions: str) -> None:
    allowed = plain(ALLOWED[actions])
    assert allowed["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in allowed["Statement"]]
    assert len(set(sids)) == len(sids) and all(re.fullmatch("[A-Z][A-Za-z]+", sid) for sid in sids)
    bound = [statement for statement in allowed["Statement"] if statement["Resource"] != ["*"]]
    assert {action for statement in bound for action in statement["Action"]} == set(actions.split())
    for statement in bound:
        assert statement["Effect"] == "Allow"
        # The thing itself, what is in it, or, of a cluster, its instances: which the condition holds to the cluster.
        for resource in statement["Resource"]:
            inside = resource == {"Fn::Join": ["", ["ARN", "/*"]]}
            assert resource == "ARN" or inside or statement["Condition"] == {"ArnEquals": {"ecs:cluster": "ARN"}}
    free = {action for statement in allowed["Statement"] for action in statement["Action"]} - set(actions.split())
    assert free <= set(EVERYWHERE)


def test_a_pipeline_looks_into_the_one_source_that_it_has() -> None:
    def sids(**sources: Any) -> dict[str, Any]:
        return {one["Sid"]: one for one in plain(iam.run_pipeline("ARN", ["BUILD", "DEPLOY"], **sources))["Statement"]}

    assert sids()["Build"]["Resource"] == ["BUILD", "DEPLOY"]
    connected = sids(connection_arn="arn:aws:codeconnections:eu-west-1:123456789012:connection/1")
    assert set(connected) - set(sids()) == {"ReadSource"}
    watching = sids(repository_arn="REPOSITORY")
    assert set(watching) - set(sids()) == {"ReadImage"}
    assert (watching["ReadImage"]["Action"], watching["ReadImage"]["Resource"]) == (
        ["ecr:DescribeImages"],
        ["REPOSITORY"],
    )


def test_who_speaks_without_tls_is_refused_the_bucket_and_what_is_in_it() -> None:
    for document in (iam.refuse_plain_http("ARN"), iam.receive_balancer_logs("ARN")):
        tls_only = plain(document)["Statement"][-1]
        assert (tls_only["Effect"], tls_only["Principal"], tls_only["Action"]) == ("Deny", "*", ["s3:*"])
        assert tls_only["Resource"] == ["ARN", {"Fn::Join": ["", ["ARN", "/*"]]}]
        assert tls_only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_codepipeline_takes_on_its_role_without_saying_for_whom() -> None:
    (statement,) = plain(iam.assumed_by("codepipeline"))["Statement"]
    assert "Condition" not in statement


def test_balancers_of_this_account_alone_write_access_logs() -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html"""
    deliver, _ = plain(iam.receive_balancer_logs("ARN"))["Statement"]
    assert (deliver["Effect"], deliver["Action"]) == ("Allow", ["s3:PutObject"])
    assert deliver["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert deliver["Resource"] == [{"Fn::Join": ["", ["ARN", "/AWSLogs/", {"Ref": "AWS::AccountId"}, "/*"]]}]
    balancers = "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:loadbalancer/*"
    assert deliver["Condition"] == {"ArnLike": {"aws:SourceArn": {"Fn::Sub": balancers}}}


def test_other_repositories_are_pulled_from_as_ours_where_they_are_named() -> None:
    ours, both = (plain(iam.pull_image("ARN", others))["Statement"] for others in ((), ["B", "A"]))
    assert both[:-1] == ours
    assert [statement["Sid"] for statement in ours] == ["SignIn", "Pull"]
    assert both[-1] == {**ours[-1], "Sid": "PullFrom", "Resource": ["A", "B"]}


def test_a_shell_on_a_node_or_in_a_task_is_a_channel_of_session_manager() -> None:
    ways = {f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")}
    for document, report in ((iam.carry_exec_sessions(), set()), (iam.be_managed_by_session_manager(), {REPORT})):
        actions = [action for statement in plain(document)["Statement"] for action in statement["Action"]]
        assert set(actions) == ways | report


def test_a_workflow_takes_on_its_role_by_the_token_that_github_gave_it() -> None:
    """https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws"""
    (statement,) = plain(iam.assumed_by_github("PROVIDER", "repo:shop/web:environment:web"))["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", ["sts:AssumeRoleWithWebIdentity"])
    assert statement["Principal"] == {"Federated": "PROVIDER"}
    github = "token.actions.githubusercontent.com"
    claims = {f"{github}:aud": "sts.amazonaws.com", f"{github}:sub": "repo:shop/web:environment:web"}
    assert statement["Condition"] == {"StringEquals": claims}


def test_nothing_is_refused_but_plain_http(templates: dict[str, dict[str, Any]]) -> None:
    for place, statement in statements(templates):
        assert statement["Effect"] == ("Deny" if statement["Sid"] == "TlsOnly" else "Allow"), place


def plain(document: PolicyDocument) -> dict[str, Any]:
    """A document as a template has it."""
    return encode_to_dict(document)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
