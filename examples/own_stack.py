"""A stack of one's own beside ours: a cache that the service's tasks reach, and nobody else.

A stack is a function. Its keyword-only arguments become its template's Parameters, the dataclass it returns its
Outputs; the section it takes is part of nobody's config but its own. A root is a function of a stack and the config:
this one calls ours, nests the cache beside what that made, and connects the two.

    python examples/own_stack.py render -o FOLDER

Every command is there: lint, diff, deploy ... The application finds the cache, which speaks TLS, by the environment
variables CACHE_HOST and CACHE_PORT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from troposphere import GetAtt, Output, ec2, ecs, elasticache

import scaleout_cfn as sc


class CacheConfig(sc.Section, frozen=True, kw_only=True):
    """What the cache can be told."""

    node_type: Annotated[str, sc.tunable("The size of the cache.")] = "cache.t4g.micro"
    port: Annotated[int, sc.tunable("Where it listens.", ge=1, le=65535)] = 6379


@dataclass(frozen=True)
class CacheOutputs:
    host: sc.Text
    security_group: sc.SecurityGroupId


def cache(stack: sc.Stack, config: CacheConfig, *, vpc_id: sc.VpcId, subnets: sc.SubnetIds) -> CacheOutputs:
    """A cache for the service."""
    group = stack.add(
        ec2.SecurityGroup("SecurityGroup", GroupDescription="The cache; in only from the tasks.", VpcId=vpc_id)
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
    return CacheOutputs(sc.Text(cluster.get_att("PrimaryEndPoint.Address")), sc.SecurityGroupId(group.ref()))


def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
    """A shop: the service, and a cache beside it."""
    web = sc.build(stack, config)
    settings = CacheConfig()
    store = stack.nest("Cache", cache, settings, vpc_id=web.vpc_id, subnets=web.node_subnets)
    let_in(stack, store, settings.port)
    tell(stack, store, settings.port)
    return web


def let_in(stack: sc.Stack, store: CacheOutputs, port: int) -> None:
    """The tasks may connect. The rule is the root's: so neither the cache's stack nor theirs waits for the other."""
    # Under bridge a task connects from its node, under awsvpc from an interface of its own, with a group of its own.
    apart = "SecurityGroup" in stack.children["WebFoundation"].template.resources
    owner, group = ("WebFoundation", "SecurityGroup") if apart else ("Capacity", "NodesSecurityGroup")
    template = stack.children[owner].template
    if group not in template.outputs:
        template.add_output(Output(group, Value=template.resources[group].ref()))
    stack.add(
        ec2.SecurityGroupIngress(
            "CacheIngress",
            Description="The service's tasks",
            GroupId=store.security_group,
            IpProtocol="tcp",
            FromPort=port,
            ToPort=port,
            SourceSecurityGroupId=GetAtt(owner, f"Outputs.{group}"),
        )
    )


def tell(stack: sc.Stack, store: CacheOutputs, port: int) -> None:
    """The container is told where the cache is: a further parameter of the service's stack, and two variables."""
    service = stack.children["WebService"]
    host = service.parameter(sc.Text, "cache_host", Description="Where the cache answers.")
    stack.template.resources["WebService"].Parameters["CacheHost"] = store.host.crossing()
    container = service.template.resources["TaskDefinition"].ContainerDefinitions[0]
    container.Environment = [
        *container.properties.get("Environment", []),
        ecs.Environment(Name="CACHE_HOST", Value=host),
        ecs.Environment(Name="CACHE_PORT", Value=str(port)),
    ]


def composed(config: sc.Config) -> sc.Stack:
    return sc.compose(config, shop)


if __name__ == "__main__":
    sc.main(compose=composed)
