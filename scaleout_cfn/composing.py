"""Config to stacks: the composed set, open to any change before it is rendered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from scaleout_cfn.capacity import fitting_tasks
from scaleout_cfn.config import Config
from scaleout_cfn.config_file import checked
from scaleout_cfn.finishing import finish
from scaleout_cfn.parameters import asked, interface
from scaleout_cfn.stack import Stack, describe, kinds_of, wires_of
from scaleout_cfn.stacks import root

__all__ = ["compose", "family"]

NODE_IMAGES = {
    "x86_64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
    "arm64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id",
}


def compose(config: Config | None = None, build: Callable[..., Any] = root.build) -> Stack:
    """The stack set of a config, as troposphere objects that are yours to change before they are rendered.

    `build` is the root: ours, or a function of your own that calls ours and nests more. Its keyword-only arguments
    become the root's parameters, with default, text and bounds from the tunable of the same name.
    Raises ConfigError when the config is refused, SetError when its tasks do not fit its nodes.
    """
    config = Config() if config is None or config == Config() else checked(config)
    if not config.cluster.node_image:
        image = NODE_IMAGES[config.cluster.architecture]
        config = msgspec.structs.replace(config, cluster=msgspec.structs.replace(config.cluster, node_image=image))
    most_tasks = fitting_tasks(config)
    stack = Stack("Root", describe(build))
    arguments = wires_of(build)
    wires: dict[str, Any] = {}
    for name, (kind, _) in kinds_of(build).items():
        most = most_tasks if name == "max_tasks" else None
        properties = asked(config, name, kind, most=most)
        default = arguments[name].default
        if default is None:
            wires[name] = None
            continue
        if default is not inspect.Parameter.empty:
            properties["Default"] = default.data
        wires[name] = stack.parameter(kind, name, **properties)
    stack.declare_outputs(build(stack, config, **wires))
    stack.template.set_metadata({"AWS::CloudFormation::Interface": interface(config, stack.template.parameters)})
    for one in family(stack):
        finish(one, config)
    return stack


def family(stack: Stack) -> Iterator[Stack]:
    """A stack, then those nested in it, depth first."""
    yield stack
    for child in stack.children.values():
        yield from family(child)
