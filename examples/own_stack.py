"""A stack of one's own beside ours: a cache that the nodes reach.

A stack is a function. Its keyword-only arguments become its template's Parameters, the dataclass it returns its
Outputs; the section it takes is part of nobody's config but its own.

    python examples/own_stack.py render -o FOLDER

Every command is there: lint, diff, deploy ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from troposphere import ec2, elasticache

import scaleout_cfn as sc
from scaleout_cfn.stacks import root
from scaleout_cfn.values import EmailAddress, Flag, LatestImage, Number, SubnetIds, Text, VpcId


class CacheConfig(sc.Section, frozen=True, kw_only=True):
    """What the cache can be told."""

    node_type: Annotated[str, sc.tunable("The size of the cache.")] = "cache.t4g.micro"
    port: Annotated[int, sc.tunable("Where it listens.", ge=1, le=65535)] = 6379
    clients: Annotated[str, sc.tunable("Who may connect, as a range of the VPC.")] = "10.0.0.0/16"


@dataclass(frozen=True)
class CacheOutputs:
    address: Text


def cache(stack: sc.Stack, config: CacheConfig, *, vpc_id: VpcId, subnets: SubnetIds) -> CacheOutputs:
    """A cache for the service."""
    group = stack.add(
        ec2.SecurityGroup(
            "SecurityGroup",
            GroupDescription="The cache; in only from the VPC.",
            VpcId=vpc_id,
            SecurityGroupIngress=[
                ec2.SecurityGroupRule(
                    Description="Clients in the VPC",
                    IpProtocol="tcp",
                    FromPort=config.port,
                    ToPort=config.port,
                    CidrIp=config.clients,
                )
            ],
        )
    )
    place = stack.add(elasticache.SubnetGroup("SubnetGroup", Description="Where the nodes are.", SubnetIds=subnets))
    cluster = stack.add(
        elasticache.ReplicationGroup(
            "Cache",
            ReplicationGroupDescription="The service's cache.",
            Engine="valkey",
            CacheNodeType=config.node_type,
            NumCacheClusters=2,
            AutomaticFailoverEnabled=True,
            Port=config.port,
            CacheSubnetGroupName=place.ref(),
            SecurityGroupIds=[group.ref()],
            AtRestEncryptionEnabled=True,
            TransitEncryptionEnabled=True,
            # What is in a cache can be made again.
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        )
    )
    return CacheOutputs(Text(cluster.get_att("PrimaryEndPoint.Address")))


def shop(
    stack: sc.Stack,
    config: sc.Config,
    *,
    image_uri: Text,
    min_tasks: Number,
    max_tasks: Number,
    node_image: LatestImage,
    alarm_email: EmailAddress,
    create_service_linked_role: Flag,
) -> root.Outputs:
    """A shop: the service, and a cache beside it."""
    web = root.build(
        stack,
        config,
        image_uri=image_uri,
        min_tasks=min_tasks,
        max_tasks=max_tasks,
        node_image=node_image,
        alarm_email=alarm_email,
        create_service_linked_role=create_service_linked_role,
    )
    stack.nest("Cache", cache, CacheConfig(), vpc_id=web.vpc_id, subnets=web.node_subnets)
    return web


def composed(config: sc.Config) -> sc.Stack:
    return sc.compose(config, shop)


if __name__ == "__main__":
    sc.main(compose=composed)
