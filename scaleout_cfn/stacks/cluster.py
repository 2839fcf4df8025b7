"""The ECS cluster."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Equals, If, ecs, iam

from scaleout_cfn.config import Config, FargateCapacity
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import ClusterName, Flag, KeyArn


class Outputs(Struct, frozen=True):
    cluster_name: ClusterName


def build(stack: Stack, config: Config, *, create_service_linked_role: Flag, key: KeyArn | None) -> Outputs:
    linked_role = _service_linked_role(stack, create_service_linked_role)
    cluster = ecs.Cluster(
        "Cluster",
        ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value=config.cluster.container_insights)],
        # A Ref is a dependency, here too. DependsOn may not name a resource that a condition leaves out.
        Metadata={"ServiceLinkedRole": If(linked_role.Condition, linked_role.ref(), "the account has it")},
    )
    if key is not None:
        storage = ecs.ManagedStorageConfiguration(KmsKeyId=key)
        if any(isinstance(pool, FargateCapacity) for pool in config.capacity.values()):
            storage.FargateEphemeralStorageKmsKeyId = key
        cluster.Configuration = ecs.ClusterConfiguration(ManagedStorageConfiguration=storage)
    stack.add(cluster)
    return Outputs(ClusterName(cluster.ref()))


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
