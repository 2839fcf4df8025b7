"""The ECS cluster."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Equals, If, ecs, iam, logs

from scaleout_cfn.config import Config, FargateCapacity
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import ClusterName, Flag, KeyArn, LogGroupName


class Outputs(Struct, frozen=True):
    cluster_name: ClusterName
    #: Of the sessions of ECS Exec.
    exec_logs: LogGroupName | None


def build(stack: Stack, config: Config, *, create_service_linked_role: Flag, key: KeyArn | None) -> Outputs:
    linked_role = _service_linked_role(stack, create_service_linked_role)
    cluster = ecs.Cluster(
        "Cluster",
        ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value=config.cluster.container_insights)],
        # A Ref is a dependency, here too. DependsOn may not name a resource that a condition leaves out.
        Metadata={"ServiceLinkedRole": If(linked_role.Condition, linked_role.ref(), "the account has it")},
    )
    if config.cluster.name:
        cluster.ClusterName = config.cluster.name
    exec_logs = _exec_logs(stack, config, key) if config.cluster.exec_logs else None
    if exec_logs is not None or key is not None:
        cluster.Configuration = _configuration(config, key, exec_logs)
    stack.add(cluster)
    return Outputs(ClusterName(cluster.ref()), exec_logs)


def _exec_logs(stack: Stack, config: Config, key: KeyArn | None) -> LogGroupName:
    policy = "Retain" if config.observability.keep_logs else "Delete"
    group = logs.LogGroup(
        "ExecLogs",
        RetentionInDays=config.observability.log_retention_days,
        DeletionPolicy=policy,
        UpdateReplacePolicy=policy,
    )
    return LogGroupName(stack.add(under_key(group, key)).ref())


def _configuration(config: Config, key: KeyArn | None, exec_logs: LogGroupName | None) -> ecs.ClusterConfiguration:
    """Where the sessions of ECS Exec are logged, and by what they and the storage of tasks are encrypted.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html#ecs-exec-enabling-logging
    """
    sessions = ecs.ExecuteCommandConfiguration()
    if exec_logs is not None:
        sessions.Logging = "OVERRIDE"
        sessions.LogConfiguration = ecs.ExecuteCommandLogConfiguration(
            # Where it is wanted and the log group is under no key, no session begins.
            CloudWatchLogGroupName=exec_logs,
            CloudWatchEncryptionEnabled=key is not None,
        )
    configuration = ecs.ClusterConfiguration(ExecuteCommandConfiguration=sessions)
    if key is not None:
        sessions.KmsKeyId = key
        storage = ecs.ManagedStorageConfiguration(KmsKeyId=key)
        if any(isinstance(pool, FargateCapacity) for pool in config.capacity.values()):
            storage.FargateEphemeralStorageKmsKeyId = key
        configuration.ManagedStorageConfiguration = storage
    return configuration


def _service_linked_role(stack: Stack, wanted: Flag) -> iam.ServiceLinkedRole:
    """The role that ECS acts by. Every account that has used ECS has it, and it cannot be made twice.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
    """
    condition = stack.condition("AccountIsNewToEcs", Equals(wanted, "true"))
    return stack.add(
        iam.ServiceLinkedRole(
            "ServiceLinkedRole",
            AWSServiceName="ecs.amazonaws.com",
            Condition=condition,
            # It belongs to the account: other clusters need it once this one is gone.
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        )
    )
