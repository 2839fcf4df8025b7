"""A stack of one's own beside ours: a cache that the service's tasks reach, and nobody else.

A stack is a function. Its keyword-only arguments become its template's Parameters, what it returns its Outputs; the
section it takes is part of nobody's config but its own. A root is a function of a stack and the config: this one calls
ours, nests the cache beside what that made, and attaches it to the service.

    python examples/own_stack.py render -o FOLDER

Every command is there: lint, diff, deploy ... The application finds the cache by CACHE_HOST and CACHE_PORT.
"""

from __future__ import annotations

from typing import Annotated

from troposphere import ec2, elasticache

import scaleout_cfn as sc

#: Under bridge a task has its node's security group, and with it all that runs there would be let in.
CONFIG = sc.Config(services={"web": sc.WebService(network_mode="awsvpc", scaling=sc.Scaling(max_tasks=8))})


class CacheConfig(sc.Section, frozen=True, kw_only=True):
    """What the cache can be told."""

    node_type: Annotated[str, sc.tunable("The size of the cache.")] = "cache.t4g.micro"
    port: Annotated[int, sc.tunable("Where it listens.", ge=1, le=65535)] = 11211


def cache(stack: sc.Stack, config: CacheConfig, *, vpc_id: sc.VpcId, subnets: sc.SubnetIds) -> sc.Attached:
    """Memcached, for what can be made again."""
    group = stack.add(
        ec2.SecurityGroup("SecurityGroup", GroupDescription="The cache; in only from the tasks.", VpcId=vpc_id)
    )
    place = stack.add(elasticache.SubnetGroup("SubnetGroup", Description="Where it is.", SubnetIds=subnets))
    cluster = stack.add(
        elasticache.CacheCluster(
            "Cache",
            Engine="memcached",
            CacheNodeType=config.node_type,
            NumCacheNodes=1,
            Port=config.port,
            CacheSubnetGroupName=place.ref(),
            VpcSecurityGroupIds=[group.ref()],
            TransitEncryptionEnabled=True,
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        )
    )
    return sc.Attached(
        environment={
            "host": sc.Text(cluster.get_att("ConfigurationEndpoint.Address")),
            "port": sc.Text(cluster.get_att("ConfigurationEndpoint.Port")),
        },
        security_group=sc.SecurityGroupId(group.ref()),
        port=config.port,
    )


def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
    """A shop: the service, and a cache beside it."""
    made = sc.build(stack, config)
    store = stack.nest("Cache", cache, CacheConfig(), vpc_id=made.vpc_id, subnets=made.node_subnets)
    sc.attach(stack, "web", "cache", store)
    return made


def composed(config: sc.Config) -> sc.Stack:
    return sc.compose(config, shop)


if __name__ == "__main__":
    sc.main(config=CONFIG, compose=composed)
