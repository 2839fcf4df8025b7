"""The pipeline's stack: what runs what, with which permissions, and what becomes of what it leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

import scaleout_cfn as sc
from stacks.helpers import PINNED, Templates, at, att, check_bucket, made, of_type, properties, ref, resource

CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/0a1b2c3d-0000-4000-8000-0123456789ab"
KINDS: dict[str, Any] = {
    "source": sc.SourcePipeline(connection_arn=CONNECTION, repository="shop/web", branch="release", context="webapp"),
    "registry": sc.RegistryPipeline(image_tag="v1"),
    "github": sc.GitHubPipeline(repository="shop/web"),
}
#: What each runs in CodeBuild.
PROJECTS = {"source": ["Build", "Deploy"], "registry": ["Deploy"]}
projects = pytest.mark.parametrize(("kind", "title"), [(kind, title) for kind in PROJECTS for title in PROJECTS[kind]])


def pipeline(kind: str, **sections: Any) -> Templates:
    registry = sc.Registry(mutable_tags=("v1",))
    nodes = sc.Ec2Capacity(machine_image=PINNED)
    return made(**{"nodes": nodes, "registry": registry, "pipeline": KINDS[kind], **sections})


def look(kind: str, title: str, **sections: Any) -> dict[str, Any]:
    return properties(pipeline(kind, **sections), "web-pipeline", title)


@projects
def test_a_project_builds_in_an_environment_of_its_own(kind: str, title: str) -> None:
    project = look(kind, title)
    environment = project["Environment"]
    assert (environment["Type"], environment["ComputeType"]) == ("LINUX_CONTAINER", "BUILD_GENERAL1_SMALL")
    # https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-available.html
    assert environment["Image"] == "aws/codebuild/amazonlinux-x86_64-standard:5.0"
    assert (project["Source"]["Type"], project["Artifacts"]) == ("CODEPIPELINE", {"Type": "CODEPIPELINE"})
    assert project["ServiceRole"] == att(f"{title}Role", "Arn")
    assert at(look(kind, f"{title}Role"), "AssumeRolePolicyDocument.Statement.0.Principal") == {
        "Service": "codebuild.amazonaws.com"
    }
    given = {entry["Name"]: entry["Value"] for entry in environment["EnvironmentVariables"]}
    assert given.pop("REPOSITORY_URI") == ref("RepositoryUri")
    deploying = {"STACK": ref("RootStack"), "PARAMETER": "WebImageUri"}
    assert given == ({"PLATFORM": "linux/amd64", "CONTEXT": "webapp"} if title == "Build" else deploying)


def test_a_deployment_has_time_for_another_before_it_and_a_build_less() -> None:
    # A session of a role lasts for twelve hours at most, CodeBuild's build for thirty-six.
    build, deploy = (look("source", title)["TimeoutInMinutes"] for title in ("Build", "Deploy"))
    assert (build, deploy) == (60, 120)
    assert look("github", "DeployRole")["MaxSessionDuration"] == deploy * 60
    assert "MaxSessionDuration" not in look("github", "BuildRole")


def test_a_deployment_is_waited_for_through_its_pauses_and_bake_times_as_long_as_aws_lets_it() -> None:
    def times(pause_min: int) -> tuple[int, int]:
        look_at = sc.Pause(stages=("PRE_PRODUCTION_TRAFFIC_SHIFT",), timeout_minutes=pause_min)
        canary = sc.WebCanary(bake_minutes=10, canary_bake_minutes=5, pauses={"look": look_at})
        found = []
        for pipeline, title, name in (
            (sc.RegistryPipeline(), "Deploy", "TimeoutInMinutes"),
            (sc.GitHubPipeline(repository="me/web"), "DeployRole", "MaxSessionDuration"),
        ):
            web = sc.WebService(cpu_units=256, memory_mib=512, deployment=canary, pipeline=pipeline)
            mutable = sc.Registry(mutable_tags=("latest",))
            whole = sc.Config(capacity={"air": sc.FargateCapacity()}, services={"web": web}, registry=mutable)
            templates = made(whole)
            found.append(properties(templates, "web-pipeline", title)[name])
        return found[0], found[1]

    # It waits before both shifts.
    assert times(60) == (120 + 15 + 2 * 60, 60 * (120 + 15 + 2 * 60))
    assert times(1000) == (2135, 60 * 720)


@projects
@pytest.mark.parametrize(("keep", "policy"), [(False, "Delete"), (True, "Retain")])
def test_a_project_s_logs_go_where_they_are_kept_as_long_as_others(
    kind: str, title: str, keep: bool, policy: str
) -> None:
    templates = pipeline(kind, observability=sc.Observability(keep_logs=keep, log_retention_days=90))
    logs = at(properties(templates, "web-pipeline", title), "LogsConfig.CloudWatchLogs")
    assert logs == {"Status": "ENABLED", "GroupName": ref(f"{title}Logs")}
    group = resource(templates, "web-pipeline", f"{title}Logs")
    assert group["Properties"]["RetentionInDays"] == 90
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == policy


def permissions(kind: str, role: str) -> dict[str, Any]:
    """Resources by policy and Sid."""
    return {
        f"{policy['PolicyName']}.{statement['Sid']}": statement["Resource"]
        for policy in look(kind, role)["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    }


@projects
def test_a_project_writes_its_own_logs_and_reads_what_the_pipeline_gives_it(kind: str, title: str) -> None:
    allowed = permissions(kind, f"{title}Role")
    assert allowed["write-logs.Write"] == [att(f"{title}Logs", "Arn")]
    assert allowed["read-artifacts.FindBucket"] == [att("Artifacts", "Arn")]
    if title == "Build":
        assert allowed["push-image.Push"] == [ref("RepositoryArn")]
    else:
        assert "deploy-image.ChangeStack" in allowed


@pytest.mark.parametrize("kind", PROJECTS)
def test_the_pipeline_runs_its_own_projects_in_their_order(kind: str) -> None:
    running = look(kind, "Pipeline")
    assert (running["PipelineType"], running["ExecutionMode"]) == ("V2", "SUPERSEDED")
    # An update of the stack is not a change of the code.
    assert running["RestartExecutionOnUpdate"] is False
    assert running["RoleArn"] == att("PipelineRole", "Arn")
    assert running["ArtifactStore"] == {"Type": "S3", "Location": ref("Artifacts")}
    actions = [stage["Actions"] for stage in running["Stages"]]
    assert [stage["Name"] for stage in running["Stages"]] == ["Source", *PROJECTS[kind]]
    for stage, (action,) in zip(running["Stages"], actions, strict=True):
        assert (action["Name"], action["Namespace"], action["RunOrder"]) == (stage["Name"], stage["Name"], 1)
        assert (action["ActionTypeId"]["Owner"], action["ActionTypeId"]["Version"]) == ("AWS", "1")
        if stage["Name"] == "Source":
            assert action["OutputArtifacts"] == [{"Name": "Source"}]
            continue
        assert action["InputArtifacts"] == [{"Name": "Source"}]
        # Two actions of one output are refused.
        assert "OutputArtifacts" not in action
        assert (action["ActionTypeId"]["Category"], action["ActionTypeId"]["Provider"]) == ("Build", "CodeBuild")
        assert action["Configuration"]["ProjectName"] == ref(stage["Name"])
    allowed = permissions(kind, "PipelineRole")
    assert allowed["run-pipeline.Build"] == [att(title, "Arn") for title in PROJECTS[kind]]
    assert allowed["run-pipeline.FindBucket"] == [att("Artifacts", "Arn")]
    assert ("run-pipeline.ReadSource" in allowed, "run-pipeline.ReadImage" in allowed) == (
        kind == "source",
        kind == "registry",
    )


def test_an_approval_is_asked_of_a_person_and_nothing_else() -> None:
    settings = sc.RegistryPipeline(image_tag="v1", approval=True)
    stages = {stage["Name"]: stage["Actions"] for stage in look("registry", "Pipeline", pipeline=settings)["Stages"]}
    (approval,) = stages["Approval"]
    assert approval["ActionTypeId"] == {"Category": "Approval", "Owner": "AWS", "Provider": "Manual", "Version": "1"}
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-Manual-Approval.html
    assert not {"Namespace", "InputArtifacts", "OutputArtifacts"} & approval.keys()


def test_a_build_is_of_the_commit_that_began_it() -> None:
    running = look("source", "Pipeline")
    assert at(running, "Stages.0.Actions.0.ActionTypeId.Provider") == "CodeStarSourceConnection"
    assert at(running, "Stages.0.Actions.0.Configuration.BranchName") == "release"
    (commit,) = json.loads(at(running, "Stages.1.Actions.0.Configuration.EnvironmentVariables"))
    assert commit == {"name": "COMMIT", "value": "#{Source.CommitId}", "type": "PLAINTEXT"}
    build, deploy = (yaml.safe_load(look("source", title)["Source"]["BuildSpec"]) for title in ("Build", "Deploy"))
    assert build["version"] == deploy["version"] == 0.2
    assert build["env"]["shell"] == deploy["env"]["shell"] == "bash"
    # Under a tag of its own: tags are immutable, and a commit may be built twice.
    first, script, *_, last = build["phases"]["build"]["commands"]
    assert first == 'export IMAGE_TAG="${COMMIT:0:12}-$CODEBUILD_BUILD_NUMBER"'
    assert script.startswith("#!/bin/bash") or "docker" in script
    assert last == 'export IMAGE_DIGEST="$(cat image-digest)"'
    assert len(deploy["phases"]["build"]["commands"]) == 1
    assert "exported-variables" not in deploy["env"]


def test_what_is_pushed_is_what_is_deployed() -> None:
    running = look("registry", "Pipeline")
    assert at(running, "Stages.0.Actions.0.ActionTypeId.Provider") == "ECR"
    (digest,) = json.loads(at(running, "Stages.1.Actions.0.Configuration.EnvironmentVariables"))
    assert digest == {"name": "IMAGE_DIGEST", "value": "#{Source.ImageDigest}", "type": "PLAINTEXT"}
    rule = look("registry", "Push")
    assert rule["State"] == "ENABLED"
    assert (rule["EventPattern"]["source"], rule["EventPattern"]["detail-type"]) == (["aws.ecr"], ["ECR Image Action"])
    (target,) = rule["Targets"]
    assert target["RoleArn"] == att("PushRole", "Arn")
    # The pipeline of this stack, and that which its role may start.
    text, given = target["Arn"]["Fn::Sub"]
    assert text == "arn:${AWS::Partition}:codepipeline:${AWS::Region}:${AWS::AccountId}:${Pipeline}"
    assert given == {"Pipeline": ref("Pipeline")}
    assert permissions("registry", "PushRole")["start-pipeline.Start"] == [target["Arn"]]
    assert "Push" not in pipeline("source")["web-pipeline.yaml"]["Resources"]


@pytest.mark.parametrize("kind", PROJECTS)
def test_artifacts_expire_after_a_month_and_never_stand_in_the_way(kind: str) -> None:
    body = resource(pipeline(kind), "web-pipeline", "Artifacts")
    check_bucket(body["Properties"], days=30)
    # The pipeline runs as soon as it is made: a bucket that holds something cannot be deleted.
    assert body["DeletionPolicy"] == body["UpdateReplacePolicy"] == "Retain"
    policy = look(kind, "ArtifactsPolicy")
    assert policy["Bucket"] == ref("Artifacts")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"][0]) == ("Deny", att("Artifacts", "Arn"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_tells_what_one_looks_for(kind: str) -> None:
    templates = pipeline(kind)
    outputs = {name: output["Value"] for name, output in templates["web-pipeline.yaml"]["Outputs"].items()}
    if kind == "github":
        assert outputs == {"GithubBuildRole": att("BuildRole", "Arn"), "GithubDeployRole": att("DeployRole", "Arn")}
        assert not of_type(templates["web-pipeline.yaml"], "CodePipeline::Pipeline")
    else:
        assert outputs == {"PipelineName": ref("Pipeline")}
    root = {name: output["Value"] for name, output in templates["root.yaml"]["Outputs"].items()}
    assert {name: root[f"Web{name}"] for name in outputs} == {
        name: att("WebPipeline", f"Outputs.{name}") for name in outputs
    }
    wires = properties(templates, "root", "WebPipeline")["Parameters"]
    assert wires["RootStack"] == ref("AWS::StackName")
    assert wires["RepositoryArn"] == att("WebFoundation", "Outputs.RepositoryArn")
    assert ("RepositoryUri" in wires, "RepositoryName" in wires) == (kind != "github", kind == "registry")


@pytest.mark.parametrize("reaches", [(), ("api",)])
def test_only_where_tasks_let_themselves_in_somewhere_a_deployment_may_change_a_group(reaches: Any) -> None:
    config = sc.Config(
        capacity={"nodes": sc.Ec2Capacity(machine_image=PINNED, max_nodes=20)},
        services={
            "web": sc.WebService(reaches=reaches, scaling=sc.Scaling(max_tasks=9), pipeline=KINDS["github"]),
            "api": sc.InternalService(scaling=sc.Scaling(max_tasks=9)),
        },
    )
    (policy,) = properties(made(config), "web-pipeline", "DeployRole")["Policies"]
    sids = [statement["Sid"] for statement in policy["PolicyDocument"]["Statement"]]
    assert ("SecurityGroups" in sids) == bool(reaches)


@pytest.mark.parametrize(("bucket", "given"), [("", "scaleout-${AWS::AccountId}-${AWS::Region}"), ("mine", "mine")])
def test_a_deployment_reads_templates_from_the_bucket_that_they_lie_in(bucket: str, given: str) -> None:
    settings = sc.GitHubPipeline(repository="shop/web", templates_bucket=bucket)
    (policy,) = look("github", "DeployRole", pipeline=settings)["Policies"]
    (read,) = [one for one in policy["PolicyDocument"]["Statement"] if one["Sid"] == "ReadTemplates"]
    (where,) = read["Resource"]
    text, values = where["Fn::Sub"]
    assert text == "arn:${AWS::Partition}:s3:::${Bucket}/*"
    assert values["Bucket"] == (given if bucket else {"Fn::Sub": given})


def test_a_provider_of_github_is_made_for_its_tokens() -> None:
    provider = of_type(pipeline("github")["web-pipeline.yaml"], "IAM::OIDCProvider")["Provider"]
    assert provider["Url"] == "https://token.actions.githubusercontent.com"
    assert provider["ClientIdList"] == ["sts.amazonaws.com"]
