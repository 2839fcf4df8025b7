"""Outputs that the type checker must refuse."""

from __future__ import annotations

from two_stacks import NetOutputs, net, shop

from scaleout_cfn.composing import compose
from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks import capacity, load_balancer, root
from scaleout_cfn.values import ClusterName, SubnetIds, Text, TopicArn, VpcId


def that_do_not_exist(stack: Stack, config: Config) -> None:
    out = stack.nest("Net", net, config)
    stack.nest("Shop", shop, config, vpc_id=out.vpc, subnets=out.subnets, group=None)  # type: ignore[attr-defined]


def of_a_wrong_kind(stack: Stack, config: Config) -> NetOutputs:
    return NetOutputs(SubnetIds(["subnet-1"]), VpcId("vpc-1"), None)  # type: ignore[arg-type]


def of_another_stack(stack: Stack, config: Config) -> NetOutputs:
    out = stack.nest("Net", net, config)
    return stack.nest("Shop", shop, config, vpc_id=out.vpc_id, subnets=out.subnets, group=None)  # type: ignore[return-value]


def of_ours_swapped(stack: Stack, config: Config, *, vpc_id: VpcId, subnets: SubnetIds, topic: TopicArn) -> None:
    alb = stack.nest(
        "LoadBalancer", load_balancer.build, config, vpc_id=vpc_id, subnets=subnets, topic=topic, bucket_logs=None
    )
    stack.nest(
        "Capacity",
        capacity.build,
        config,
        cluster_name=ClusterName("shop"),
        vpc_id=vpc_id,
        subnets=subnets,
        machine_image={},
        load_balancer_security_group=alb.listener,  # type: ignore[arg-type]
        topic=topic,
        key=None,
    )


def of_a_root_s_question_swapped(stack: Stack, config: Config) -> None:
    vpc_id = stack.ask("network.node_subnets", SubnetIds)
    topic = TopicArn("arn")
    subnets = SubnetIds([])
    stack.nest(
        "LoadBalancer",
        load_balancer.build,
        config,
        vpc_id=vpc_id,  # type: ignore[arg-type]
        subnets=subnets,
        topic=topic,
        bucket_logs=None,
    )


def a_root_that_wants_wires(stack: Stack, config: Config, *, image_uri: Text) -> root.Outputs:
    return root.build(stack, config, image_uri=image_uri)  # type: ignore[call-arg]


def a_root_that_nobody_wires() -> None:
    compose(Config(), a_root_that_wants_wires)  # type: ignore[arg-type]
