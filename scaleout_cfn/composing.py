"""Config to stacks: the composed set, open to any change before it is rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from scaleout_cfn.config import Config, Ec2Capacity
from scaleout_cfn.config.file import checked
from scaleout_cfn.config.units import jobs_of, units, with_stand_ins
from scaleout_cfn.construction import uncollected
from scaleout_cfn.errors import WiringError
from scaleout_cfn.finishing import finish
from scaleout_cfn.parameters import interface
from scaleout_cfn.stack import Stack, describe, wires_of
from scaleout_cfn.stacks import root

NODE_IMAGES = {
    "x86_64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
    "arm64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id",
}
#: With NVIDIA's drivers. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-gpu.html
GPU_IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"


@uncollected
def compose(config: Config | None = None, build: Callable[[Stack, Config], Any] = root.build) -> Stack:
    """The stack set of a config, as troposphere objects that are yours to change before they are rendered.

    `build` is the root: ours, or a function of your own that calls ours and nests more. What it asks for by the key of
    a tunable (`Stack.ask`) becomes the root's parameters; what it returns, the root's outputs.
    Raises ConfigError when the config is refused, SetError when its tasks do not fit its nodes, WiringError when
    `build` is no root.
    """
    config = Config() if config is None or config == Config() else checked(config)
    with_gpus = {unit.pool_name for unit in (*with_stand_ins(units(config)), *jobs_of(config)) if unit.settings.gpus}
    pools = {
        name: msgspec.structs.replace(
            pool, machine_image=GPU_IMAGE if name in with_gpus else NODE_IMAGES[pool.architecture]
        )
        if isinstance(pool, Ec2Capacity) and not pool.machine_image
        else pool
        for name, pool in config.capacity.items()
    }
    config = msgspec.structs.replace(config, capacity=pools)
    if wires := ", ".join(wires_of(build)):
        raise WiringError(
            f"{build.__name__}: nobody wires a root, and it takes {wires}; ask for it: stack.ask(KEY, KIND)"
        )
    stack = Stack("Root", describe(build), config)
    stack.declare_outputs(build(stack, config))
    form = interface(stack.template.parameters, stack.asked)
    stack.template.set_metadata({"AWS::CloudFormation::Interface": form})
    for member in family(stack):
        finish(member, config)
    if config.imports:
        from scaleout_cfn.imports import take_in  # here, for most sets take nothing in

        take_in(stack, config.imports)
    return stack


def family(stack: Stack) -> Iterator[Stack]:
    """A stack, then those nested in it, depth first."""
    yield stack
    for child in stack.children.values():
        yield from family(child)
