"""Two stacks wired as they should be; the modules beside this one wire them as they should not be."""

from __future__ import annotations

from dataclasses import dataclass

from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import SecurityGroupId, SubnetIds, Text, VpcId


@dataclass(frozen=True)
class NetOutputs:
    vpc_id: VpcId
    subnets: SubnetIds
    group: SecurityGroupId | None


@dataclass(frozen=True)
class ShopOutputs:
    url: Text


def net(stack: Stack, config: Config) -> NetOutputs:
    return NetOutputs(VpcId("vpc-1"), SubnetIds(["subnet-1"]), None)


def shop(
    stack: Stack, config: Config, *, vpc_id: VpcId, subnets: SubnetIds, group: SecurityGroupId | None
) -> ShopOutputs:
    return ShopOutputs(Text("https://shop.example.com"))


def by_name(stack: Stack, config: Config, *, hosts: dict[str, Text]) -> ShopOutputs:
    return ShopOutputs(hosts["web"])


def root(stack: Stack, config: Config) -> ShopOutputs:
    out = stack.nest("Net", net, config)
    stack.nest_if("HasImage", "Spare", shop, config, vpc_id=out.vpc_id, subnets=out.subnets, group=out.group)
    return stack.nest("Shop", shop, config, vpc_id=out.vpc_id, subnets=out.subnets, group=None)
