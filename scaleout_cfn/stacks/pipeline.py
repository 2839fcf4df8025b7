"""The pipeline: from source, or from a pushed image, to a deployment through CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pkgutil import get_data
from typing import Any

from msgspec import Struct
from troposphere import Sub, codebuild, codepipeline, events, iam, logs, s3

from scaleout_cfn.config import GitHubPipeline, NoPipeline, RegistryPipeline, SourcePipeline
from scaleout_cfn.config.units import Unit, jobs_of_image, units, with_stand_ins
from scaleout_cfn.iam import (
    GITHUB,
    assumed_by,
    assumed_by_github,
    deploy_image,
    push_image,
    read_artifacts,
    refuse_plain_http,
    run_pipeline,
    start_pipeline,
    use_key,
    write_logs,
)
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.buckets import expiring_bucket
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import BucketName, KeyArn, RepositoryArn, RepositoryName, RoleArn, StackName, Text
from scaleout_cfn.yaml_text import to_yaml

# Long enough for a rolling deployment that the circuit breaker ends, and for the wait for another one before it.
DEPLOY_TIMEOUT_MIN = 120
#: What a build of CodeBuild, and the session of a role, take at most.
#: https://docs.aws.amazon.com/codebuild/latest/userguide/limits.html
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html
MOST_BUILD_MIN, MOST_SESSION_MIN = 2160, 720
ARTIFACT_DAYS = 30
#: So much of a stack's name is in the names that CloudFormation makes for its roles, which have 64 characters at most.
SURE_OF_ROLE_NAME = 20
#: Type of the build environment and its image, and docker's name of the platform.
#: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-available.html
BUILDERS = {
    "x86_64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"),
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"),
}
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


class Outputs(Struct, frozen=True):
    pipeline_name: Text | None = None
    github_build_role: RoleArn | None = None
    github_deploy_role: RoleArn | None = None


def build(
    stack: Stack,
    unit: Unit,
    *,
    root_stack: StackName,
    repository_uri: Text | None,
    repository_arn: RepositoryArn,
    repository_name: RepositoryName | None,
    key: KeyArn | None,
    bucket_logs: BucketName | None,
) -> Outputs:
    deploying = _deploying(unit, root_stack)
    if isinstance(unit.settings.pipeline, GitHubPipeline):
        timeout_min = deploy_timeout_min(unit, MOST_SESSION_MIN)
        return _github(stack, unit.settings.pipeline, unit.config.stack_name, repository_arn, deploying, timeout_min)

    assert repository_uri is not None
    bucket = _artifacts(stack, key, bucket_logs)
    where = {"STACK": root_stack, "REPOSITORY_URI": repository_uri, "PARAMETER": f"{unit.title}ImageUri"}
    if jobs := jobs_by_image(unit):
        where["JOBS"] = jobs
    deploy = _project(stack, unit, bucket, key, "Deploy", where, ["pipeline_deploy.sh"], deploying)
    if isinstance(unit.settings.pipeline, SourcePipeline):
        pushing = iam.Policy(PolicyName="push-image", PolicyDocument=push_image(repository_arn))
        builder = _project(
            stack,
            unit,
            bucket,
            key,
            "Build",
            {
                "REPOSITORY_URI": repository_uri,
                "PLATFORM": PLATFORMS[unit.architecture],
                "CONTEXT": unit.settings.pipeline.context,
            },
            # Tags of a repository are immutable, and a commit may be built more than once.
            ['export IMAGE_TAG="${COMMIT:0:12}-$CODEBUILD_BUILD_NUMBER"', "pipeline_build.sh"],
            pushing,
        )
        pipeline = _from_source(stack, unit.settings.pipeline, bucket, key, builder, deploy)
    else:
        assert isinstance(unit.settings.pipeline, RegistryPipeline) and repository_name is not None
        pipeline = _from_registry(stack, unit.settings.pipeline, bucket, key, deploy, repository_arn, repository_name)
    return Outputs(pipeline_name=Text(pipeline.ref()))


def deploy_timeout_min(unit: Unit, most: int) -> int:
    """How long a deployment of the image is waited for: also through the pauses and bake times of all that run it."""
    from scaleout_cfn.config.delivery_conflicts import times_of

    times = [
        times_of(other.shifting)
        for other in units(unit.config)
        if other.image_owner == unit.name and other.shifting is not None
    ]
    return min(most, DEPLOY_TIMEOUT_MIN + max((known + sum(waits.values()) for known, waits, _ in times), default=0))


def jobs_by_image(unit: Unit) -> str:
    """The jobs of a service's image, for its deployment: the title of each with the parameter of its own, if any."""
    return " ".join(f"{job.job}={job.image_parameter if job.settings.before else ''}" for job in jobs_of_image(unit))


def script(name: str) -> str:
    text = get_data(__package__, name)
    assert text is not None
    return text.decode()


def _deploying(unit: Unit, root_stack: StackName) -> iam.Policy:
    assert not isinstance(unit.settings.pipeline, NoPipeline)
    config = unit.config
    running = [other for other in with_stand_ins(units(config)) if other.image_owner == unit.name]
    jobs = jobs_of_image(unit)
    titles = [*(other.service for other in running), *(job.job for job in jobs)]
    made = [_made_names(config.stack_name, title, root_stack) for title in titles]
    prefix = config.roles.prefix
    shifting = [other.foundation for other in running if other.has_deployment_role]
    document = deploy_image(
        root_stack,
        titles,
        [f"{prefix}{title}-" for title in titles] if prefix else made,
        unit.settings.pipeline.templates_bucket or Sub("scaleout-${AWS::AccountId}-${AWS::Region}"),
        reaching=any(other.lets_itself_in for other in running),
        boundary=config.permissions_boundary,
        managed_policies={arn for work in (*running, *jobs) for arn in work.managed_policies},
        scheduled=any(job.settings.at for job in jobs),
        guarded=any(not job.settings.overlap for job in jobs),
        runs=[job.job for job in jobs if job.settings.before],
        volumes=any(other.has_disk for other in running),
        deployment_prefixes=[
            f"{prefix}{title}-" if prefix else _made_names(config.stack_name, title, root_stack) for title in shifting
        ],
        path=config.roles.path,
        cluster=config.cluster.name or "${Root}-",
        policy_prefixes=() if config.roles.inline_policies else made,
    )
    return iam.Policy(PolicyName="deploy-image", PolicyDocument=document)


def _made_names(stack_name: str, title: str, root_stack: StackName) -> object:
    """What names that CloudFormation makes in a service's stack begin with. One that is cut is known by the config."""
    begins = f"{stack_name}-{title}-"
    cut = len(begins) > SURE_OF_ROLE_NAME
    return begins[:SURE_OF_ROLE_NAME] if cut else Sub(f"${{Root}}-{title}-", Root=root_stack)


def _artifacts(stack: Stack, key: KeyArn | None, logs: BucketName | None) -> s3.Bucket:
    # Without a key of the set CodePipeline encrypts what it puts here by AWS's for S3; the bucket's is for all else.
    # A pipeline runs as soon as it is made: a first deployment that fails meanwhile must be able to go back.
    bucket = stack.add(expiring_bucket("Artifacts", ARTIFACT_DAYS, "Retain", key, logs))
    stack.add(
        s3.BucketPolicy("ArtifactsPolicy", Bucket=bucket.ref(), PolicyDocument=refuse_plain_http(bucket.get_att("Arn")))
    )
    return bucket


def _project(
    stack: Stack,
    unit: Unit,
    bucket: s3.Bucket,
    key: KeyArn | None,
    title: str,
    variables: dict[str, Any],
    commands: Sequence[str],
    allowed: iam.Policy,
) -> codebuild.Project:
    """A CodeBuild project with a role and a log group of its own. Docker needs a privileged container, all else none.

    https://docs.aws.amazon.com/codebuild/latest/userguide/sample-docker.html
    """
    builds = title == "Build"
    policy = "Retain" if unit.config.observability.keep_logs else "Delete"
    group = logs.LogGroup(
        f"{title}Logs",
        RetentionInDays=unit.config.observability.log_retention_days,
        DeletionPolicy=policy,
        UpdateReplacePolicy=policy,
    )
    stack.add(under_key(group, key))
    role = stack.add(
        iam.Role(
            f"{title}Role",
            AssumeRolePolicyDocument=assumed_by("codebuild"),
            Policies=[
                iam.Policy(PolicyName="write-logs", PolicyDocument=write_logs(group.get_att("Arn"))),
                iam.Policy(PolicyName="read-artifacts", PolicyDocument=read_artifacts(bucket.get_att("Arn"))),
                allowed,
                *_opening(key, "codebuild", "s3"),
            ],
        )
    )
    kind, image = BUILDERS[unit.architecture]
    project = codebuild.Project(
        title,
        ServiceRole=role.get_att("Arn"),
        Source=codebuild.Source(Type="CODEPIPELINE", BuildSpec=_buildspec(commands, exports=builds)),
        Artifacts=codebuild.Artifacts(Type="CODEPIPELINE"),
        Environment=codebuild.Environment(
            Type=kind,
            Image=image,
            ComputeType="BUILD_GENERAL1_SMALL",
            PrivilegedMode=builds,
            EnvironmentVariables=[
                codebuild.EnvironmentVariable(Name=name, Value=value) for name, value in variables.items()
            ],
        ),
        Cache=codebuild.ProjectCache(
            **{"Type": "LOCAL", "Modes": ["LOCAL_DOCKER_LAYER_CACHE"]} if builds else {"Type": "NO_CACHE"}
        ),
        LogsConfig=codebuild.LogsConfig(
            CloudWatchLogs=codebuild.CloudWatchLogs(Status="ENABLED", GroupName=group.ref())
        ),
        TimeoutInMinutes=60 if builds else deploy_timeout_min(unit, MOST_BUILD_MIN),
    )
    return stack.add(under_key(project, key))


def _opening(key: KeyArn | None, *services: str) -> list[iam.Policy]:
    """What a role needs to read and write artifacts, where they are encrypted by the key of the set."""
    return [] if key is None else [iam.Policy(PolicyName="use-key", PolicyDocument=use_key(key, *services))]


def _buildspec(commands: Sequence[str], *, exports: bool) -> str:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html"""
    lines = [script(line) if line.endswith(".sh") else line for line in commands]
    environment: dict[str, Any] = {"shell": "bash"}
    if exports:
        lines.append('export IMAGE_DIGEST="$(cat image-digest)"')
        environment["exported-variables"] = ["IMAGE_DIGEST"]
    return to_yaml({"version": 0.2, "env": environment, "phases": {"build": {"commands": lines}}})


def _from_source(
    stack: Stack,
    settings: SourcePipeline,
    bucket: s3.Bucket,
    key: KeyArn | None,
    builder: codebuild.Project,
    deploy: codebuild.Project,
) -> codepipeline.Pipeline:
    source = _action(
        "Source",
        ("Source", "CodeStarSourceConnection"),
        {
            "ConnectionArn": settings.connection_arn,
            "FullRepositoryId": settings.repository,
            "BranchName": settings.branch,
        },
    )
    role = _pipeline_role(stack, bucket, key, [builder, deploy], connection_arn=settings.connection_arn)
    stages = [
        _stage("Source", source),
        _stage("Build", _run("Build", builder, COMMIT="#{Source.CommitId}")),
        *_approval(settings.approval, "#{Build.IMAGE_DIGEST}, of commit #{Source.CommitId}"),
        _stage("Deploy", _run("Deploy", deploy, IMAGE_DIGEST="#{Build.IMAGE_DIGEST}")),
    ]
    return _pipeline(stack, bucket, key, role, stages)


def _from_registry(
    stack: Stack,
    settings: RegistryPipeline,
    bucket: s3.Bucket,
    key: KeyArn | None,
    deploy: codebuild.Project,
    repository_arn: RepositoryArn,
    repository_name: RepositoryName,
) -> codepipeline.Pipeline:
    source = _action("Source", ("Source", "ECR"), {"RepositoryName": repository_name, "ImageTag": settings.image_tag})
    role = _pipeline_role(stack, bucket, key, [deploy], repository_arn=repository_arn)
    stages = [
        _stage("Source", source),
        *_approval(settings.approval, "#{Source.ImageDigest}"),
        _stage("Deploy", _run("Deploy", deploy, IMAGE_DIGEST="#{Source.ImageDigest}")),
    ]
    pipeline = _pipeline(stack, bucket, key, role, stages)
    _start_at_push(stack, pipeline, settings.image_tag, repository_name)
    return pipeline


def _start_at_push(
    stack: Stack, pipeline: codepipeline.Pipeline, image_tag: str, repository_name: RepositoryName
) -> None:
    """https://docs.aws.amazon.com/codepipeline/latest/userguide/create-cwe-ecr-source.html"""
    arn = Sub(
        "arn:${AWS::Partition}:codepipeline:${AWS::Region}:${AWS::AccountId}:${Pipeline}", Pipeline=pipeline.ref()
    )
    role = stack.add(
        iam.Role(
            "PushRole",
            AssumeRolePolicyDocument=assumed_by("events"),
            Policies=[iam.Policy(PolicyName="start-pipeline", PolicyDocument=start_pipeline(arn))],
        )
    )
    stack.add(
        events.Rule(
            "Push",
            Description=f"An image was pushed under the tag {image_tag}.",
            State="ENABLED",
            EventPattern={
                "source": ["aws.ecr"],
                "detail-type": ["ECR Image Action"],
                "detail": {
                    "action-type": ["PUSH"],
                    "result": ["SUCCESS"],
                    "repository-name": [repository_name],
                    "image-tag": [image_tag],
                },
            },
            Targets=[events.Target(Id="Pipeline", Arn=arn, RoleArn=role.get_att("Arn"))],
        )
    )


def _pipeline_role(
    stack: Stack, bucket: s3.Bucket, key: KeyArn | None, projects: Sequence[codebuild.Project], **sources: Any
) -> iam.Role:
    document = run_pipeline(bucket.get_att("Arn"), [project.get_att("Arn") for project in projects], **sources)
    return stack.add(
        iam.Role(
            "PipelineRole",
            AssumeRolePolicyDocument=assumed_by("codepipeline"),
            Policies=[iam.Policy(PolicyName="run-pipeline", PolicyDocument=document), *_opening(key, "s3")],
        )
    )


def _pipeline(
    stack: Stack, bucket: s3.Bucket, key: KeyArn | None, role: iam.Role, stages: list[codepipeline.Stages]
) -> codepipeline.Pipeline:
    artifacts = codepipeline.ArtifactStore(Type="S3", Location=bucket.ref())
    if key is not None:
        artifacts.EncryptionKey = codepipeline.EncryptionKey(Id=key, Type="KMS")
    return stack.add(
        codepipeline.Pipeline(
            "Pipeline",
            PipelineType="V2",
            # A newer change overtakes one that waits, and no stage has two at once.
            ExecutionMode="SUPERSEDED",
            RestartExecutionOnUpdate=False,
            RoleArn=role.get_att("Arn"),
            ArtifactStore=artifacts,
            Stages=stages,
        )
    )


def _stage(name: str, action: codepipeline.Actions) -> codepipeline.Stages:
    return codepipeline.Stages(Name=name, Actions=[action])


def _action(name: str, kind: tuple[str, str], configuration: dict[str, Any]) -> codepipeline.Actions:
    category, provider = kind
    action = codepipeline.Actions(
        Name=name,
        ActionTypeId=codepipeline.ActionTypeId(Category=category, Owner="AWS", Provider=provider, Version="1"),
        Configuration=configuration,
        RunOrder=1,
    )
    if category != "Approval":
        # What its variables are called by in later stages.
        action.Namespace = name
    if category == "Source":
        action.OutputArtifacts = [codepipeline.OutputArtifacts(Name="Source")]
    if category == "Build":
        action.InputArtifacts = [codepipeline.InputArtifacts(Name="Source")]
    return action


def _run(name: str, project: codebuild.Project, **variables: str) -> codepipeline.Actions:
    given = [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()]
    return _action(
        name, ("Build", "CodeBuild"), {"ProjectName": project.ref(), "EnvironmentVariables": json.dumps(given)}
    )


def _approval(wanted: bool, what: str) -> list[codepipeline.Stages]:
    if not wanted:
        return []
    return [_stage("Approval", _action("Approve", ("Approval", "Manual"), {"CustomData": f"Deploys {what}."}))]


def _github(
    stack: Stack,
    settings: GitHubPipeline,
    environment: str,
    repository_arn: RepositoryArn,
    deploying: iam.Policy,
    timeout_min: int,
) -> Outputs:
    """Two roles, so that what a build runs cannot deploy where an approval stands between them."""
    provider: Any = settings.provider_arn
    if not provider:
        made = iam.OIDCProvider("Provider", Url=f"https://{GITHUB}", ClientIdList=["sts.amazonaws.com"])
        provider = stack.add(made).get_att("Arn")
    on_branch = f"repo:{settings.repository}:ref:refs/heads/{settings.branch}"
    # A job in an environment has a token for that, whatever its branch: GitHub asks for the approval before.
    in_environment = f"repo:{settings.repository}:environment:{environment}"
    pushing = iam.Policy(PolicyName="push-image", PolicyDocument=push_image(repository_arn))
    builder = stack.add(
        iam.Role("BuildRole", AssumeRolePolicyDocument=assumed_by_github(provider, on_branch), Policies=[pushing])
    )
    deployer = stack.add(
        iam.Role(
            "DeployRole",
            AssumeRolePolicyDocument=assumed_by_github(provider, in_environment if settings.approval else on_branch),
            MaxSessionDuration=60 * timeout_min,
            Policies=[deploying],
        )
    )
    return Outputs(
        github_build_role=RoleArn(builder.get_att("Arn")), github_deploy_role=RoleArn(deployer.get_att("Arn"))
    )
