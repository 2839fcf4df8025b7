"""Every policy document, each named for what it allows. Pure functions of ARNs that come from resources.

`"*"` stands as a resource only where AWS has no resource-level permission for the action:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmessagegatewayservice.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from awacs import ecr, ecs, logs, s3, secretsmanager, ssm, ssmmessages, sts
from awacs.aws import (
    Action,
    Allow,
    ArnEquals,
    ArnLike,
    Bool,
    Condition,
    Deny,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
)
from troposphere import Join, Ref, Sub

__all__ = [
    "assumed_by",
    "be_managed_by_session_manager",
    "carry_exec_sessions",
    "join_cluster",
    "pull_image",
    "read_secrets",
    "receive_balancer_logs",
    "write_flow_logs",
    "write_logs",
]


def _document(*statements: Statement) -> PolicyDocument:
    return PolicyDocument(Version="2012-10-17", Statement=list(statements))


def _allow(
    sid: str, actions: Sequence[Action], resources: Sequence[Any], condition: Condition | None = None
) -> Statement:
    more = {"Condition": condition} if condition else {}
    return Statement(Sid=sid, Effect=Allow, Action=list(actions), Resource=list(resources), **more)


def assumed_by(service: str) -> PolicyDocument:
    """The trust policy of a role that one AWS service takes on, for this account's resources only.

    EC2 sends no source account: it hands the role to instances of the same account in any case.
    """
    confused_deputy = {"Condition": Condition(StringEquals({"aws:SourceAccount": Ref("AWS::AccountId")}))}
    return _document(
        Statement(
            Sid="Assume",
            Effect=Allow,
            Action=[sts.AssumeRole],
            Principal=Principal("Service", f"{service}.amazonaws.com"),
            **({} if service == "ec2" else confused_deputy),
        )
    )


def join_cluster(cluster_arn: object) -> PolicyDocument:
    """What the ECS agent of a container instance does, in one cluster.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html
    """
    in_cluster = Condition(ArnEquals({"ecs:cluster": cluster_arn}))
    return _document(
        _allow("FindEndpoint", [ecs.DiscoverPollEndpoint], ["*"]),
        _allow(
            "Register",
            [
                ecs.RegisterContainerInstance,
                ecs.DeregisterContainerInstance,
                ecs.SubmitAttachmentStateChanges,
                ecs.SubmitContainerStateChange,
                ecs.SubmitTaskStateChange,
            ],
            [cluster_arn],
        ),
        _allow(
            "Serve",
            [ecs.Poll, ecs.StartTelemetrySession, ecs.UpdateContainerInstancesState],
            [_container_instances()],
            in_cluster,
        ),
    )


def _container_instances() -> Sub:
    return Sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:container-instance/*")


def be_managed_by_session_manager() -> PolicyDocument:
    """A shell without SSH: what the SSM agent of an instance needs, and no more.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    """
    return _document(
        _allow("Report", [ssm.UpdateInstanceInformation], ["*"]),
        _allow("OpenChannels", _CHANNELS, ["*"]),
    )


def carry_exec_sessions() -> PolicyDocument:
    """What ECS Exec needs of a task.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html#ecs-exec-required-iam-permissions
    """
    return _document(_allow("OpenChannels", _CHANNELS, ["*"]))


_CHANNELS = [
    ssmmessages.CreateControlChannel,
    ssmmessages.CreateDataChannel,
    ssmmessages.OpenControlChannel,
    ssmmessages.OpenDataChannel,
]


def pull_image(repository_arn: object) -> PolicyDocument:
    """Pull from one ECR repository."""
    return _document(
        _allow("SignIn", [ecr.GetAuthorizationToken], ["*"]),
        _allow(
            "Pull", [ecr.BatchCheckLayerAvailability, ecr.BatchGetImage, ecr.GetDownloadUrlForLayer], [repository_arn]
        ),
    )


def write_logs(log_group_arn: object) -> PolicyDocument:
    """Write to the streams of one log group. `log_group_arn` ends in `:*`, as GetAtt gives it."""
    return _document(_allow("Write", [logs.CreateLogStream, logs.PutLogEvents], [log_group_arn]))


def write_flow_logs(log_group_arn: object) -> PolicyDocument:
    """Deliver VPC flow logs to one log group.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """
    return _document(
        _allow("Deliver", [logs.CreateLogStream, logs.DescribeLogStreams, logs.PutLogEvents], [log_group_arn])
    )


def read_secrets(arns: Sequence[str]) -> PolicyDocument:
    """Read given SSM parameters and Secrets Manager secrets, and no others.

    A secret's ARN may name a key, a stage and a version after it, which are no part of the resource.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    """
    secrets = sorted({":".join(arn.split(":")[:7]) for arn in arns if ":secretsmanager:" in arn})
    parameters = sorted({arn for arn in arns if ":ssm:" in arn})
    statements = []
    if secrets:
        statements.append(_allow("ReadSecrets", [secretsmanager.GetSecretValue], secrets))
    if parameters:
        statements.append(_allow("ReadParameters", [ssm.GetParameters], parameters))
    return _document(*statements)


def receive_balancer_logs(bucket_arn: object) -> PolicyDocument:
    """Let this account's load balancers write access logs to a bucket, and let nobody near it without TLS.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    return _document(
        Statement(
            Sid="Deliver",
            Effect=Allow,
            Principal=Principal("Service", "logdelivery.elasticloadbalancing.amazonaws.com"),
            Action=[s3.PutObject],
            Resource=[Join("", [bucket_arn, "/AWSLogs/", Ref("AWS::AccountId"), "/*"])],
            Condition=Condition(
                ArnLike(
                    {
                        "aws:SourceArn": Sub(
                            "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:loadbalancer/*"
                        )
                    }
                )
            ),
        ),
        Statement(
            Sid="TlsOnly",
            Effect=Deny,
            Principal=Principal("*"),
            Action=[s3.Action("*")],
            Resource=[bucket_arn, Join("", [bucket_arn, "/*"])],
            Condition=Condition(Bool({"aws:SecureTransport": "false"})),
        ),
    )
