"""Wires that the type checker must refuse. mypy warns of an ignore that is not used: then a mistake passes."""

from __future__ import annotations

from troposphere import Ref
from two_stacks import by_name, net, shop

from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.attachments import Attached, attach, postgres
from scaleout_cfn.stacks.root import build
from scaleout_cfn.values import Text, VpcId


def swapped(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=out.subnets, subnets=out.vpc_id, group=None)  # type: ignore[arg-type]


def missing(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=out.vpc_id, group=None)  # type: ignore[call-arg]


def missing_though_it_may_be_none(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=out.vpc_id, subnets=out.subnets)  # type: ignore[call-arg]


def unknown(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Spare", net, config, vpc_id=out.vpc_id)  # type: ignore[call-arg]


def misspelt(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=out.vpc_id, subnet=out.subnets, group=None)  # type: ignore[call-arg]


def of_a_wrong_kind(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    web = stack.nest("Shop", shop, config, vpc_id=out.vpc_id, subnets=out.subnets, group=None)
    stack.nest("Spare", shop, config, vpc_id=web.url, subnets=out.subnets, group=None)  # type: ignore[arg-type]


def a_plain_string(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id="vpc-1", subnets=out.subnets, group=None)  # type: ignore[arg-type]


def a_plain_reference(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=Ref("V"), subnets=out.subnets, group=None)  # type: ignore[arg-type]


def none_where_a_value_must_be(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=None, subnets=out.subnets, group=None)  # type: ignore[arg-type]


def by_position(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, out.vpc_id, subnets=out.subnets, group=None)  # type: ignore[call-arg]


def wrong_under_a_condition(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest_if("A", "Shop", shop, config, vpc_id=out.subnets, subnets=out.subnets, group=None)  # type: ignore[arg-type]


def the_config_of_another_stack(stack: Stack, config: Config) -> None:
    stack.nest("Net", net, config.network)  # type: ignore[misc]


def by_name_of_a_wrong_kind(stack: Stack, config: Config) -> None:
    stack.nest("Shop", by_name, config, hosts={"web": VpcId("vpc-1")})  # type: ignore[dict-item]


def one_where_they_are_by_name(stack: Stack, config: Config) -> None:
    stack.nest("Shop", by_name, config, hosts=Text("shop.example.com"))  # type: ignore[arg-type]


def attached_by_swapped_wires(stack: Stack, config: Config) -> None:
    made = build(stack, config)
    postgres(stack, "orders", vpc_id=made.node_subnets, subnets=made.vpc_id)  # type: ignore[arg-type]


def attached_though_it_is_no_attachment(stack: Stack, config: Config) -> None:
    attach(stack, "api", "orders", build(stack, config))  # type: ignore[arg-type]


def handed_over_as_another_kind(stack: Stack, config: Config) -> Attached:
    return Attached(security_group=build(stack, config).vpc_id)  # type: ignore[arg-type]
