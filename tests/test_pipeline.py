"""The pipeline: its templates, its shell run for real with commands that only look like AWS's, and the workflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from awacs.aws import PolicyDocument
from click.testing import CliRunner
from strategies import PROVIDER
from troposphere import Ref, encode_to_dict

import scaleout_cfn as sc
from scaleout_cfn import iam
from scaleout_cfn.cli import cli
from scaleout_cfn.config import GitHubPipeline, RegistryPipeline, SourcePipeline
from scaleout_cfn.permissions import grants, service_role
from scaleout_cfn.rendering import Template

MACHINE_IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
CONNECTION = "arn:aws:{}:us-east-1:123456789012:connection/0a1b2c3d-0000-4000-8000-0123456789ab"
SOURCE = SourcePipeline(connection_arn=CONNECTION.format("codeconnections"), repository="shop/web")
DIGEST = "sha256:" + "1" * 64
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/web"
Pipeline = SourcePipeline | RegistryPipeline | GitHubPipeline


def config(
    pipeline: Pipeline,
    *,
    nodes: Mapping[str, Any] = MappingProxyType({}),
    web: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> sc.Config:
    """A set whose service `web` has the pipeline, with settings of its nodes and of the service."""
    pool = sc.Ec2Capacity(**{"machine_image": MACHINE_IMAGE, **nodes})
    service = sc.WebService(pipeline=pipeline, **web)
    registry = sc.Registry(mutable_tags=("latest", "rc-*"))
    return sc.Config(**{"registry": registry, "capacity": {"nodes": pool}, "services": {"web": service}, **more})


def template(pipeline: Pipeline, **more: Any) -> Template:
    return sc.set_of(sc.compose(config(pipeline, **more)))["web-pipeline.yaml"]


def properties(template: Template, title: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][title]["Properties"]
    return found


def stages(template: Template) -> dict[str, dict[str, Any]]:
    return {stage["Name"]: stage["Actions"][0] for stage in properties(template, "Pipeline")["Stages"]}


# --- the templates


def test_without_a_pipeline_there_is_none() -> None:
    assert not [name for name in sc.set_of(sc.compose()) if "pipeline" in name]
    assert "repository_name" not in json.dumps(sc.set_of(sc.compose())).lower()


def test_nothing_needs_the_pipeline_and_it_waits_for_no_image() -> None:
    for pipeline in (SOURCE, RegistryPipeline(), GitHubPipeline(repository="shop/web")):
        resources = sc.set_of(sc.compose(config(pipeline)))["root.yaml"]["Resources"]
        nested = resources.pop("WebPipeline")
        assert "Condition" not in nested
        assert not [name for name in nested["Properties"]["Parameters"] if "Image" in name]
        assert '"WebPipeline' not in json.dumps(resources)


def test_what_is_built_is_what_is_deployed() -> None:
    found = stages(template(SOURCE))
    assert list(found) == ["Source", "Build", "Deploy"]
    assert found["Source"]["Configuration"] == {
        "ConnectionArn": SOURCE.connection_arn,
        "FullRepositoryId": "shop/web",
        "BranchName": "main",
    }
    (digest,) = json.loads(found["Deploy"]["Configuration"]["EnvironmentVariables"])
    assert digest == {"name": "IMAGE_DIGEST", "value": "#{Build.IMAGE_DIGEST}", "type": "PLAINTEXT"}
    buildspec = yaml.safe_load(properties(template(SOURCE), "Build")["Source"]["BuildSpec"])
    assert buildspec["env"]["exported-variables"] == ["IMAGE_DIGEST"]


def test_an_approval_stands_before_the_deployment_and_names_the_image() -> None:
    for pipeline, digest in (
        (SourcePipeline(connection_arn=SOURCE.connection_arn, repository="a/b", approval=True), "Build.IMAGE_DIGEST"),
        (RegistryPipeline(approval=True), "Source.ImageDigest"),
    ):
        found = stages(template(pipeline))
        assert list(found)[-2:] == ["Approval", "Deploy"]
        assert found["Approval"]["ActionTypeId"]["Category"] == "Approval"
        assert f"#{{{digest}}}" in found["Approval"]["Configuration"]["CustomData"]


@pytest.mark.parametrize(
    ("architecture", "types", "kind", "platform"),
    [
        ("x86_64", ("t3.small",), "LINUX_CONTAINER", "linux/amd64"),
        ("arm64", ("t4g.small",), "ARM_CONTAINER", "linux/arm64"),
    ],
)
def test_images_are_built_for_the_nodes(architecture: Any, types: Any, kind: str, platform: str) -> None:
    nodes = {"architecture": architecture, "instance_types": types}
    environment = properties(template(SOURCE, nodes=nodes), "Build")["Environment"]
    assert environment["Type"] == kind
    assert {"Name": "PLATFORM", "Value": platform} in environment["EnvironmentVariables"]


def test_only_docker_is_privileged_and_only_it_keeps_layers() -> None:
    made = template(SOURCE)
    build, deploy = properties(made, "Build"), properties(made, "Deploy")
    assert build["Environment"]["PrivilegedMode"] is True
    assert build["Cache"] == {"Type": "LOCAL", "Modes": ["LOCAL_DOCKER_LAYER_CACHE"]}
    assert deploy["Environment"]["PrivilegedMode"] is False
    assert deploy["Cache"] == {"Type": "NO_CACHE"}


def test_a_build_may_push_and_not_deploy_and_a_deployment_may_not_push() -> None:
    made = template(SOURCE)
    build, deploy = json.dumps(properties(made, "BuildRole")), json.dumps(properties(made, "DeployRole"))
    assert "ecr:PutImage" in build and "cloudformation:" not in build and "iam:" not in build
    assert "ecr:" not in deploy and "cloudformation:ExecuteChangeSet" in deploy


def test_roles_of_a_pipeline_are_taken_on_for_this_account_where_the_service_says_for_whom() -> None:
    """A condition on what CodePipeline may not send would lock the pipeline out of its own role."""
    conditions = {
        title: statement.get("Condition", {}).get("StringEquals")
        for pipeline in (SOURCE, RegistryPipeline())
        for title, resource in template(pipeline)["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
        for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    own = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert conditions == {"BuildRole": own, "DeployRole": own, "PushRole": own, "PipelineRole": None}


def test_artifacts_are_private_versioned_and_let_a_failed_deployment_go_back() -> None:
    bucket = template(SOURCE)["Resources"]["Artifacts"]
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["Properties"]["BucketEncryption"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_a_push_under_the_tag_and_no_other_starts_the_pipeline() -> None:
    made = template(RegistryPipeline(image_tag="rc-1"))
    assert properties(made, "Push")["EventPattern"]["detail"] == {
        "action-type": ["PUSH"],
        "result": ["SUCCESS"],
        "repository-name": [{"Ref": "RepositoryName"}],
        "image-tag": ["rc-1"],
    }
    (policy,) = properties(made, "PushRole")["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["codepipeline:StartPipelineExecution"]
    assert stages(made)["Source"]["Configuration"] == {"RepositoryName": {"Ref": "RepositoryName"}, "ImageTag": "rc-1"}


@pytest.mark.parametrize("service", ["codeconnections", "codestar-connections"])
def test_a_connection_is_used_by_the_name_that_its_arn_has(service: str) -> None:
    arn = CONNECTION.format(service)
    role = properties(template(SourcePipeline(connection_arn=arn, repository="a/b")), "PipelineRole")
    by_sid = {one["Sid"]: one for one in role["Policies"][0]["PolicyDocument"]["Statement"]}
    assert by_sid["ReadSource"]["Action"] == [f"{service}:UseConnection"]
    assert by_sid["ReadSource"]["Resource"] == [arn]


@pytest.mark.parametrize(
    ("approval", "subject"),
    [(False, "repo:shop/web:ref:refs/heads/release"), (True, "repo:shop/web:environment:web")],
)
def test_github_deploys_from_one_branch_or_one_environment(approval: bool, subject: str) -> None:
    made = template(GitHubPipeline(repository="shop/web", branch="release", approval=approval))
    subjects = {}
    for title in ("BuildRole", "DeployRole"):
        (statement,) = properties(made, title)["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Federated": {"Fn::GetAtt": ["Provider", "Arn"]}}
        claims = statement["Condition"]["StringEquals"]
        assert claims[f"{iam.GITHUB}:aud"] == "sts.amazonaws.com"
        subjects[title] = claims[f"{iam.GITHUB}:sub"]
    assert subjects == {"BuildRole": "repo:shop/web:ref:refs/heads/release", "DeployRole": subject}


def test_an_existing_provider_of_github_is_used() -> None:
    arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    made = template(GitHubPipeline(repository="shop@1/web@2", provider_arn=arn))
    assert "Provider" not in made["Resources"]
    (statement,) = properties(made, "BuildRole")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Federated": arn}
    assert "repo:shop@1/web@2:ref:refs/heads/main" in json.dumps(statement)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": {"machine_image": ""}}, r"capacity\.nodes\.machine_image: follows AWS's newest image"),
        (
            {
                "nodes": {
                    "machine_image": "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
                }
            },
            r"capacity\.nodes\.machine_image: follows AWS's newest image",
        ),
        ({"web": {"image_uri": "a/b:1"}}, r"services\.web\.image_uri: with a pipeline"),
    ],
)
def test_what_would_undo_a_deployment_or_add_to_it_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(sc.ConfigError, match=message):
        sc.compose(config(SOURCE, **changes))


def test_a_tag_that_can_be_pushed_only_once_starts_no_pipeline() -> None:
    with pytest.raises(sc.ConfigError, match=r"pipeline\.image_tag: got live, which can be pushed only once"):
        sc.compose(config(RegistryPipeline(image_tag="live")))
    assert sc.compose(config(RegistryPipeline(image_tag="rc-1")))


def test_one_service_at_most_makes_the_account_s_provider_for_github() -> None:
    def of(**pipelines: GitHubPipeline) -> sc.Config:
        services = {name: sc.WorkerService(memory_mib=512, pipeline=pipe) for name, pipe in pipelines.items()}
        return sc.Config(capacity={"fargate": sc.FargateCapacity()}, services=services)

    making, given = GitHubPipeline(repository="a/b"), GitHubPipeline(repository="a/b", provider_arn=PROVIDER)
    with pytest.raises(
        sc.ConfigError, match=r"services\.web\.pipeline\.provider_arn: is empty, and services\.api makes"
    ):
        sc.compose(of(web=making, api=making))
    assert sc.compose(of(web=given, api=making))


# --- what a deployment may do

EVERYTHING_THAT_COMES_WITH_AN_IMAGE = sc.Config(
    services={
        "api": sc.InternalService(image_uri="a/b:1", scaling=sc.Scaling(max_tasks=2)),
        "web": sc.WebService(
            reaches=("api",),
            network_mode="awsvpc",
            exec=True,
            read_only=False,
            scaling=sc.Scaling(
                max_tasks=4,
                schedules=(sc.Schedule(name="night", at="rate(1 day)", min_tasks=2, max_tasks=4),),
                step_policies=(sc.StepScaling(name="Surge", threshold=90, steps=(sc.StepAdjustment(adjustment=3),)),),
            ),
        ),
    },
    capacity={"nodes": sc.Ec2Capacity(instance_types=("m7i.2xlarge",))},
)


def deploying(*, boundary: str = "") -> list[dict[str, Any]]:
    document: PolicyDocument = iam.deploy_image(
        Ref("Root"), ["WebService"], [Ref("Prefix")], "bucket", reaching=True, boundary=boundary
    )
    found: list[dict[str, Any]] = encode_to_dict(document)["Statement"]
    return found


def test_a_deployment_may_do_what_cloudformation_calls_for_it_and_no_more() -> None:
    templates = sc.set_of(sc.compose(EVERYTHING_THAT_COMES_WITH_AN_IMAGE))
    with_image = {"web-service.yaml": templates["web-service.yaml"]}
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {}}
    root = {"root.yaml": {**templates["root.yaml"], "Resources": {"WebService": nested}}}
    wanted = {
        action
        for some in (with_image, root)
        for statement in grants.plain(service_role.service_role(some, grants.Scope("web", "bucket")))
        for action in _list(statement["Action"])
    }
    own = {"cloudformation:DescribeStackEvents", "cloudformation:TagResource"}
    assert {action for statement in deploying() for action in _list(statement["Action"])} == wanted | own


def test_all_but_the_change_set_is_for_cloudformation_alone() -> None:
    free = {"ChangeStack", "ReadTemplates", "ReadPublicParameters", "PassRoles", "LinkedRole"}
    for statement in deploying(boundary="arn:aws:iam::123456789012:policy/b"):
        called = statement.get("Condition", {}).get("ForAnyValue:StringEquals")
        assert (statement["Sid"] in free) == (called is None), statement["Sid"]
        assert called in (None, {"aws:CalledVia": ["cloudformation.amazonaws.com"]})


def test_a_deployment_reaches_its_own_set_and_hands_roles_to_its_tasks_alone() -> None:
    by_sid = {statement["Sid"]: statement for statement in deploying()}
    # Without its partition, region and account; the name of the root in braces.
    reached = {
        sid: {
            re.sub(r"^arn:\$\{AWS::Partition\}:|\$\{AWS::\w+\}", "", _list(resource.get("Fn::Sub", ""))[0])
            for resource in statement["Resource"]
            if isinstance(resource, dict)
        }
        for sid, statement in by_sid.items()
        if sid not in ("Roles", "PassRoles")
    }
    nested = "cloudformation:::stack/${Root}-*/*"
    assert {sid: where for sid, where in reached.items() if where} == {
        "ChangeStack": {nested, "cloudformation:::stack/${Root}/*"},
        "UpdateNested": {nested},
        "FirstDeployment": {"cloudformation:::stack/${Root}-WebService-*/*"},
        "ReadTemplates": {"s3:::${Bucket}/*"},
        "ReadPublicParameters": {"ssm:::parameter/aws/service/*"},
        "Ecs": {
            "ecs:::cluster/${Root}-*",
            "ecs:::service-deployment/${Root}-*",
            "ecs:::service/${Root}-*",
            "ecs:::task-definition/${Root}-WebService-*",
        },
        "LinkedRole": {"iam:::role/aws-service-role/ecs.application-autoscaling.amazonaws.com/*"},
        "Scale": {"application-autoscaling:::scalable-target/*"},
        "Alarms": {"cloudwatch:::alarm:${Root}-*", "cloudwatch:::alarm:TargetTracking-*"},
        "SecurityGroups": {f"ec2:::{kind}/*" for kind in ("security-group", "security-group-rule")},
    }
    assert by_sid["PassRoles"]["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    linked = {"iam:AWSServiceName": "ecs.application-autoscaling.amazonaws.com"}
    assert by_sid["LinkedRole"]["Condition"] == {"StringEquals": linked}


JOBS = {
    "migrate": sc.Job(before="web"),
    "nightly": sc.Job(at="rate(1 day)", overlap=False),
    "other": sc.Job(at="rate(1 day)", image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/other:1"),
}


def test_a_pipeline_knows_the_jobs_of_its_image_and_which_of_them_come_before_the_service() -> None:
    project = properties(template(SOURCE, jobs=JOBS), "Deploy")
    variables = {entry["Name"]: entry["Value"] for entry in project["Environment"]["EnvironmentVariables"]}
    assert variables["JOBS"] == "MigrateJob=MigrateImageUri NightlyJob="
    assert "JOBS" not in json.dumps(properties(template(SOURCE), "Deploy")["Environment"])


def test_a_deployment_may_run_the_jobs_before_its_service_and_change_those_of_its_image() -> None:
    role = properties(template(SOURCE, jobs=JOBS), "DeployRole")
    by_sid = {entry["Sid"]: entry for entry in role["Policies"][-1]["PolicyDocument"]["Statement"]}
    families = [resource["Fn::Sub"][0].rpartition(":")[2] for resource in by_sid["RunJobs"]["Resource"]]
    assert families == ["task-definition/${Root}-MigrateJob-*"]
    assert "ecs:cluster" in by_sid["RunJobs"]["Condition"]["ArnLike"]
    assert "NightlyJob" in json.dumps(by_sid["Ecs"]) and "OtherJob" not in json.dumps(by_sid["Ecs"])
    assert by_sid["PassRoles"]["Condition"]["StringEquals"]["iam:PassedToService"] == [
        "ecs-tasks.amazonaws.com",
        "scheduler.amazonaws.com",
        "states.amazonaws.com",
    ]
    for sid in ("Schedules", "Guards"):
        assert by_sid[sid]["Condition"] == by_sid["Ecs"]["Condition"]
    without = properties(template(SOURCE), "DeployRole")["Policies"][-1]["PolicyDocument"]["Statement"]
    assert not {"RunJobs", "Schedules", "Guards"} & {entry["Sid"] for entry in without}
    assert sum(grants.characters(json.dumps(one["PolicyDocument"])) for one in role["Policies"]) < 10_240


def test_roles_made_by_a_deployment_have_the_boundary() -> None:
    boundary = "arn:aws:iam::123456789012:policy/b"
    by_sid = {statement["Sid"]: statement for statement in deploying(boundary=boundary)}
    assert by_sid["BoundedRoles"]["Condition"]["StringEquals"] == {"iam:PermissionsBoundary": boundary}
    assert "iam:CreateRole" not in by_sid["Roles"]["Action"]


WHOLE = {"Fn::Sub": ["${Root}-WebService-", {"Root": {"Ref": "RootStack"}}]}


@pytest.mark.parametrize(
    ("name", "prefix"),
    # Whatever the stack is called in the end, as long as its name is not cut.
    [("web", WHOLE), ("a" * 8, WHOLE), ("a" * 9, "a" * 9 + "-WebService"), ("a" * 18, "a" * 18 + "-W")],
)
def test_a_deployment_touches_the_roles_of_the_service_s_stack_only(name: str, prefix: object) -> None:
    role = properties(template(SOURCE, stack_name=name), "DeployRole")
    document = role["Policies"][-1]["PolicyDocument"]
    roles = [one["Resource"] for one in document["Statement"] if one["Sid"] in ("Roles", "PassRoles")]
    assert (
        roles
        == [[{"Fn::Sub": ["arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Prefix}*", {"Prefix": prefix}]}]] * 2
    )


def test_the_policies_of_a_role_are_within_iam_s_limit() -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    made = template(
        SOURCE,
        web={"network_mode": "awsvpc", "scaling": sc.Scaling(max_tasks=4)},
        nodes={"instance_types": ("m7i.2xlarge",)},
    )
    inline = properties(made, "DeployRole")["Policies"]
    assert sum(grants.characters(json.dumps(one["PolicyDocument"])) for one in inline) < 10_240


# --- the shell, run for real

FAKE = """#!/bin/bash
# Writes down how it was called, and answers with the first unused answer of its answers whose pattern fits.
printf '%s\\n' "$(basename "$0") $*" >> "$CALLS"
[[ $1 != login ]] || cat > "$CALLS.password"
exec python3 - "$(basename "$0") $*" <<'PYTHON'
import json, os, re, sys
path = os.environ["ANSWERS"]
answers = json.load(open(path))
for answer in answers:
    if re.search(answer["call"], sys.argv[1]):
        if answer.get("once"):
            answers.remove(answer)
            json.dump(answers, open(path, "w"))
        print(answer.get("out", ""))
        sys.exit(answer.get("code", 0))
PYTHON
"""
Answer = dict[str, Any]


class Shell:
    """A folder of commands that are not what they say, and the commands of a buildspec run among them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls_file, self.answers_file = folder, folder / "calls", folder / "answers"
        commands = folder / "bin"
        commands.mkdir()
        for name in ("aws", "docker", "sleep"):
            (commands / name).write_text(FAKE)
            (commands / name).chmod(0o755)
        self.path = f"{commands}{os.pathsep}{os.environ['PATH']}"

    def run(self, title: str, answers: list[Answer], **variables: str) -> subprocess.CompletedProcess[str]:
        """As CodeBuild does: all commands of the phase in one shell, until one fails."""
        self.answers_file.write_text(json.dumps(answers))
        self.calls_file.write_text("")
        buildspec = yaml.safe_load(properties(template(SOURCE), title)["Source"]["BuildSpec"])
        assert buildspec["version"] == 0.2
        assert buildspec["env"]["shell"] == "bash"
        steps = [f"{command}\n[[ $? == 0 ]] || exit 1\n" for command in buildspec["phases"]["build"]["commands"]]
        environment = {
            "PATH": self.path,
            "CALLS": str(self.calls_file),
            "ANSWERS": str(self.answers_file),
            "REPOSITORY_URI": REPOSITORY,
            **variables,
        }
        return subprocess.run(
            ["bash", "-c", "".join(steps) + 'echo "exported ${IMAGE_DIGEST-}"'],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()

    def called(self, what: str) -> list[str]:
        return [call for call in self.calls if re.search(what, call)]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


BUILD = {
    "COMMIT": "0123456789abcdef0123456789abcdef01234567",
    "CODEBUILD_BUILD_NUMBER": "7",
    "PLATFORM": "linux/arm64",
    "CONTEXT": "webapp",
}
PUSHED = [{"call": "get-login-password", "out": "secret-token"}, {"call": "describe-images", "out": DIGEST}]


@pytest.mark.parametrize("name", ["pipeline_build.sh", "pipeline_deploy.sh"])
def test_the_scripts_are_valid_shell(name: str) -> None:
    path = Path(sc.__file__).parent / "stacks" / name
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_a_build_pushes_under_a_tag_of_its_own_and_hands_on_the_digest(shell: Shell) -> None:
    done = shell.run("Build", PUSHED, **BUILD)
    assert done.returncode == 0, done.stderr
    image = f"{REPOSITORY}:0123456789ab-7"
    assert shell.called("^docker") == [
        "docker login --username AWS --password-stdin 123456789012.dkr.ecr.us-east-1.amazonaws.com",
        f"docker build --pull --platform linux/arm64 --tag {image} webapp",
        f"docker push {image}",
    ]
    assert shell.called("describe-images") == [
        "aws ecr describe-images --repository-name shop/web --image-ids imageTag=0123456789ab-7"
        " --query imageDetails[0].imageDigest --output text"
    ]
    assert f"exported {DIGEST}" in done.stdout


def test_the_token_of_the_registry_is_on_no_command_line_and_in_no_log(shell: Shell) -> None:
    done = shell.run("Build", PUSHED, **BUILD)
    assert (shell.folder / "calls.password").read_text() == "secret-token\n"
    assert "secret-token" not in done.stdout + done.stderr + "".join(shell.calls)


@pytest.mark.parametrize(
    "broken", ["get-login-password", "docker login", "docker build", "docker push", "describe-images"]
)
def test_a_build_ends_at_its_first_failure(shell: Shell, broken: str) -> None:
    done = shell.run("Build", [{"call": broken, "code": 3}, *PUSHED], **BUILD)
    assert done.returncode == 1
    assert "exported" not in done.stdout
    if broken != "describe-images":
        assert not shell.called("describe-images")


CHANGE = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/image/1"
DEPLOY = {"STACK": "web", "PARAMETER": "WebImageUri", "IMAGE_DIGEST": DIGEST}
KEYS = "MinTasks\tWebImageUri\tApiImageUri\tNodeImage"
OLD = f"{REPOSITORY}@sha256:{'0' * 64}"


def answers(*first: Answer, status: str = "UPDATE_COMPLETE", end: str = "UPDATE_COMPLETE") -> list[Answer]:
    """What AWS says while all goes well, after what it says at first."""
    return [
        *first,
        {"call": "describe-stacks .*StackStatus", "out": status},
        {"call": "describe-stacks .*WebImageUri", "out": OLD},
        {
            "call": r"describe-stacks .*Parameters\[\]\.ParameterKey",
            "out": KEYS,
        },
        {"call": "describe-stacks .*ResolvedValue", "out": "NodeImage\tami-1"},
        {"call": "create-change-set", "out": CHANGE},
        {"call": r"describe-change-set .*--query Status ", "out": "CREATE_COMPLETE"},
        {"call": r"describe-change-set .*ResolvedValue", "out": "NodeImage\tami-1"},
        {"call": r"describe-change-set .*ResourceChange\.ChangeSetId", "out": ""},
        {"call": r"describe-stack-events .*ResourceStatus \| ", "out": end},
    ]


def test_a_deployment_changes_the_image_and_keeps_all_else(shell: Shell) -> None:
    done = shell.run("Deploy", answers(), **DEPLOY)
    assert done.returncode == 0, done.stderr
    (created,) = shell.called("create-change-set")
    assert re.fullmatch(
        "aws cloudformation create-change-set --stack-name web --change-set-name image-111111111111-[0-9]+"
        " --use-previous-template --include-nested-stacks --capabilities CAPABILITY_NAMED_IAM"
        f" --parameters ParameterKey=WebImageUri,ParameterValue={REPOSITORY}@{DIGEST}"
        " ParameterKey=MinTasks,UsePreviousValue=true ParameterKey=ApiImageUri,UsePreviousValue=true"
        " ParameterKey=NodeImage,UsePreviousValue=true"
        " --query Id --output text",
        created,
    )
    assert len(shell.called("execute-change-set")) == 1
    shown = shell.calls.index(shell.called("--output table")[0])
    assert shown < shell.calls.index(shell.called("execute-change-set")[0])


def test_a_deployment_waits_for_what_is_under_way_and_for_its_own_end(shell: Shell) -> None:
    done = shell.run(
        "Deploy",
        answers(
            {"call": "describe-stacks .*StackStatus", "out": "CREATE_IN_PROGRESS", "once": True},
            {"call": "describe-change-set .*--query Status ", "out": "CREATE_PENDING", "once": True},
            {"call": "describe-stack-events", "out": "None", "once": True},
            {"call": "describe-stack-events", "out": "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "once": True},
        ),
        **DEPLOY,
    )
    assert done.returncode == 0, done.stderr
    assert shell.called("^sleep") == ["sleep 10", "sleep 5", "sleep 10", "sleep 10"]


@pytest.mark.parametrize(
    ("first", "variables", "message"),
    [
        ([], {"IMAGE_DIGEST": "latest"}, "IMAGE_DIGEST: got 'latest', not the digest of an image"),
        ([], {"IMAGE_DIGEST": DIGEST + ",x"}, "not the digest of an image"),
        (
            [{"call": "StackStatus", "out": "ROLLBACK_COMPLETE"}],
            {},
            "in state 'ROLLBACK_COMPLETE' and cannot be updated",
        ),
        ([{"call": "StackStatus", "code": 254}], {}, "cannot be updated"),
        ([{"call": "describe-stacks .*WebImageUri", "out": "None"}], {}, "has no parameter WebImageUri"),
        (
            [
                {"call": "describe-change-set .*--query Status ", "out": "FAILED"},
                {"call": "StatusReason", "out": "no such template"},
            ],
            {},
            "the change set is in state 'FAILED': no such template",
        ),
        (
            [{"call": "describe-change-set .*ResolvedValue", "out": "NodeImage\tami-2"}],
            {},
            "SSM parameters have moved from 'NodeImage\tami-1' to 'NodeImage\tami-2'",
        ),
        ([{"call": "create-change-set", "code": 254}], {}, ""),
    ],
)
def test_a_deployment_that_cannot_be_says_why_and_executes_nothing(
    shell: Shell, first: list[Answer], variables: dict[str, str], message: str
) -> None:
    done = shell.run("Deploy", answers(*first), **{**DEPLOY, **variables})
    assert done.returncode == 1
    assert message in done.stderr
    assert not shell.called("execute-change-set")
    # A change set that nobody executes does not stay behind.
    made = shell.called("describe-change-set")
    assert len(shell.called("delete-change-set")) == (1 if made else 0)


@pytest.mark.parametrize("end", ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"])
def test_a_deployment_that_is_taken_back_fails_and_shows_the_reasons(shell: Shell, end: str) -> None:
    reasons = {"call": "ResourceStatusReason", "out": "the circuit breaker was triggered"}
    done = shell.run("Deploy", answers(reasons, end=end), **DEPLOY)
    assert done.returncode == 1
    assert "the circuit breaker was triggered" in done.stdout
    assert f"is not deployed: stack web is in state {end}; see: scaleout-cfn diagnose --stack web" in done.stderr


def test_an_image_that_runs_already_is_no_failure(shell: Shell) -> None:
    same = {"call": "describe-stacks .*WebImageUri", "out": f"{REPOSITORY}@{DIGEST}"}
    done = shell.run("Deploy", answers(same), **DEPLOY)
    assert done.returncode == 0
    assert not shell.called("change-set")


TASK = "arn:aws:ecs:us-east-1:123456789012:task/shop/0a1b"
WITH_JOBS = {**DEPLOY, "JOBS": "MigrateJob=MigrateImageUri NightlyJob="}


def of_jobs(*first: Answer, code: str = "0", migrated: str = OLD) -> list[Answer]:
    """What AWS says of a job before the service, beside all else."""
    return answers(
        *first,
        {"call": "describe-stacks .*MigrateImageUri", "out": migrated},
        {"call": "describe-stack-resource ", "out": "nested"},
        {"call": "describe-stacks .*--stack-name nested .*RunTask", "out": '{"cluster":"shop"}'},
        {"call": "ecs run-task", "out": TASK + "\tNone"},
        {"call": "describe-tasks .*lastStatus", "out": "RUNNING", "once": True},
        {"call": "describe-tasks .*lastStatus", "out": "STOPPED"},
        {"call": "describe-tasks .*exitCode", "out": code},
        {"call": "describe-tasks .*stoppedReason", "out": "Essential container in task exited"},
    )


def test_a_job_before_the_service_gets_the_image_first_and_the_service_once_it_has_ended_well(shell: Shell) -> None:
    done = shell.run("Deploy", of_jobs(), **WITH_JOBS)
    assert done.returncode == 0, done.stderr
    of_job, of_service = shell.called("create-change-set")
    assert f"ParameterKey=MigrateImageUri,ParameterValue={REPOSITORY}@{DIGEST}" in of_job
    assert "ParameterKey=WebImageUri,UsePreviousValue=true" in of_job
    assert f"ParameterKey=WebImageUri,ParameterValue={REPOSITORY}@{DIGEST}" in of_service
    (run,) = shell.called("run-task")
    executed = [shell.calls.index(call) for call in shell.called("execute-change-set")]
    assert executed[0] < shell.calls.index(run) < shell.calls.index(of_service)
    assert all("--cluster shop --tasks " + TASK in call for call in shell.called("describe-tasks"))


@pytest.mark.parametrize(
    ("first", "code", "said"),
    [
        ([], "1", "MigrateJob ended with exit code 1 (Essential container in task exited); the services keep"),
        ([], "None", "MigrateJob ended with exit code None"),
        ([{"call": "run-task", "out": "None\tRESOURCE:MEMORY"}], "0", "no place in the cluster: RESOURCE:MEMORY"),
        ([{"call": "run-task", "code": 254}], "0", ""),
        ([{"call": "create-change-set", "code": 254}], "0", ""),
    ],
)
def test_a_job_that_does_not_end_well_leaves_the_service_its_image(
    shell: Shell, first: list[Answer], code: str, said: str
) -> None:
    done = shell.run("Deploy", of_jobs(*first, code=code), **WITH_JOBS)
    assert done.returncode == 1
    assert said in done.stderr
    assert not shell.called("ParameterKey=WebImageUri,ParameterValue=")


def test_a_job_that_has_the_image_already_runs_again_until_the_service_has_it(shell: Shell) -> None:
    done = shell.run("Deploy", of_jobs(migrated=f"{REPOSITORY}@{DIGEST}"), **WITH_JOBS)
    assert done.returncode == 0, done.stderr
    assert len(shell.called("run-task")) == 1
    assert len(shell.called("create-change-set")) == 1


def test_the_first_image_of_a_set_with_jobs_is_refused_with_who_brings_it(shell: Shell) -> None:
    done = shell.run("Deploy", of_jobs({"call": "describe-stacks .*WebImageUri", "out": ""}), **WITH_JOBS)
    assert done.returncode == 1
    assert "bring it by scaleout-cfn deploy --image" in done.stderr
    assert not shell.called("change-set")


# --- ci github


def printed(tmp_path: Path, text: str, *more: str) -> str:
    path = tmp_path / "scaleout.toml"
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(cli, ["ci", "github", "-c", str(path), *more], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


GITHUB = f"""
[capacity.nodes]
kind = "ec2"
machine_image = "{MACHINE_IMAGE}"
[services.web]
kind = "web"
[services.web.pipeline]
kind = "github"
repository = "shop/web"
branch = "release/1.x"
"""


def test_the_workflow_has_no_key_and_the_permissions_that_each_job_needs(tmp_path: Path) -> None:
    text = printed(tmp_path, GITHUB)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["build"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert workflow["jobs"]["deploy"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text and "AKIA" not in text
    assert workflow[True]["push"]["branches"] == ["release/1.x"]  # YAML 1.1 takes `on` for a boolean


@pytest.mark.parametrize("more", [(), ("--set", "services.web.pipeline.approval=true")])
def test_the_workflow_is_one_by_the_schema_of_workflows(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "deploy.yml").write_text(printed(tmp_path, GITHUB, *more), encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(tmp_path / "deploy.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_action_of_the_workflow_is_named_by_its_commit(tmp_path: Path) -> None:
    used = re.findall(r"uses: (\S+)", printed(tmp_path, GITHUB))
    assert len(used) == 3
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)


def test_the_workflow_s_approval_is_the_environment_that_the_role_trusts(tmp_path: Path) -> None:
    assert "environment" not in yaml.safe_load(printed(tmp_path, GITHUB))["jobs"]["deploy"]
    approved = yaml.safe_load(printed(tmp_path, GITHUB, "--set", "services.web.pipeline.approval=true"))["jobs"][
        "deploy"
    ]
    assert approved["environment"] == "web"


def test_the_workflow_knows_the_jobs_of_its_image(tmp_path: Path) -> None:
    environment = yaml.safe_load(printed(tmp_path, GITHUB))["jobs"]["deploy"]["env"]
    assert "JOBS" not in environment
    with_job = yaml.safe_load(printed(tmp_path, GITHUB + '[jobs.migrate]\nbefore = "web"\n'))["jobs"]["deploy"]["env"]
    assert with_job == {**environment, "JOBS": "MigrateJob=MigrateImageUri"}


def test_the_workflow_builds_for_the_nodes_on_a_runner_of_their_kind(tmp_path: Path) -> None:
    arm = ("--set", "capacity.nodes.architecture=arm64", "--set", 'capacity.nodes.instance_types=["t4g.small"]')
    for more, runner, platform in (((), "ubuntu-24.04", "linux/amd64"), (arm, "ubuntu-24.04-arm", "linux/arm64")):
        build = yaml.safe_load(printed(tmp_path, GITHUB, *more))["jobs"]["build"]
        assert build["runs-on"] == runner
        assert build["env"]["PLATFORM"] == platform


def test_each_service_has_a_workflow_of_its_own_that_deploys_its_image_alone(tmp_path: Path) -> None:
    pipeline = f'{{kind = "github", repository = "shop/web", provider_arn = "{PROVIDER}"}}'
    two = f"""{GITHUB}
[services.order-api]
kind = "worker"
pipeline = {pipeline}
"""
    texts = {name: printed(tmp_path, two, "--service", name) for name in ("web", "order-api")}
    for name, title in (("web", "Web"), ("order-api", "OrderApi")):
        deploy = yaml.safe_load(texts[name])["jobs"]["deploy"]["env"]
        variable = name.upper().replace("-", "_")
        assert (deploy["STACK"], deploy["PARAMETER"]) == ("web", f"{title}ImageUri")
        assert deploy["REPOSITORY_URI"] == f"${{{{ vars.REPOSITORY_URI_{variable} }}}}"
        for output in ("GithubBuildRole", "GithubDeployRole", "RepositoryUri"):
            assert f"  {title}{output}\n" in texts[name]
    # Neither's runs wait in the other's place.
    assert len({yaml.safe_load(text)["concurrency"]["group"] for text in texts.values()}) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "several services have a pipeline of GitHub, order-api, web; say which by --service NAME"),
        (("--service", "blog"), "no service is called blog; there is mailer, order-api, reports, web"),
        (("--service", "mailer"), 'services.mailer.pipeline.kind: .*set kind = "github"'),
        (("--service", "reports"), "reports runs the image of order-api; name that one"),
    ],
)
def test_a_workflow_is_of_one_service_that_github_deploys(tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    path = tmp_path / "scaleout.toml"
    pipeline = f'{{kind = "github", repository = "shop/web", provider_arn = "{PROVIDER}"}}'
    others = f'[services.order-api]\nkind = "worker"\npipeline = {pipeline}\n[services.mailer]\nkind = "worker"\n'
    others += '[services.reports]\nkind = "worker"\nimage_of = "order-api"\n'
    path.write_text(GITHUB + others, encoding="utf-8")
    with pytest.raises(sc.UsageError, match=message):
        CliRunner().invoke(cli, ["ci", "github", "-c", str(path), *more], catch_exceptions=False)


def test_the_workflow_s_shell_builds_and_deploys(tmp_path: Path, shell: Shell) -> None:
    jobs = yaml.safe_load(printed(tmp_path, GITHUB))["jobs"]
    shell.answers_file.write_text(json.dumps([*PUSHED, *answers()]))
    shell.calls_file.write_text("")
    outputs = tmp_path / "outputs"
    environment = {
        "PATH": shell.path,
        "CALLS": str(shell.calls_file),
        "ANSWERS": str(shell.answers_file),
        "GITHUB_OUTPUT": str(outputs),
        "GITHUB_SHA": BUILD["COMMIT"],
        "GITHUB_RUN_NUMBER": "5",
        "GITHUB_RUN_ATTEMPT": "2",
        **{name: value for name, value in jobs["build"]["env"].items() if "$" not in value},
        "REPOSITORY_URI": REPOSITORY,
        **DEPLOY,
    }
    for job in ("build", "deploy"):
        (step,) = (step["run"] for step in jobs[job]["steps"] if "run" in step)
        # As GitHub runs `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert outputs.read_text() == f"digest={DIGEST}\n"
    assert shell.called(f"docker push {REPOSITORY}:0123456789ab-5-2$")
    assert shell.called("execute-change-set")


def test_a_workflow_without_its_roles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scaleout.toml").write_text("", encoding="utf-8")
    with pytest.raises(sc.UsageError, match='set kind = "github"'):
        CliRunner().invoke(
            cli, ["ci", "github", "-c", str(tmp_path / "scaleout.toml")], catch_exceptions=False, standalone_mode=False
        )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
