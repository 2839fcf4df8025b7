"""Models that tests run."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from scaleout_cfn.config.scaling import Scaling
from scaleout_cfn.simulator.model import Fargate, Load, Model, NodePool, Size

LOAD = Load(task_rps=50)


def node_pool(**changes: Any) -> NodePool:
    """Ten nodes with room for 60 tasks."""
    small = {"min_nodes": 2, "max_nodes": 10, "instance_type": "t3.small", "cpu_units": 2048}
    small["room"] = Size(2048, 3072)
    return NodePool(**{**small, **changes})


def model(**changes: Any) -> Model:
    """A small set: fields of the model, of its scaling or of its nodes, `node_scaling` for how these scale."""
    scaling = {name: changes.pop(name) for name in list(changes) if name in Scaling.__struct_fields__}
    of_nodes = {name: changes.pop(name) for name in list(changes) if name in _OF_NODES}
    if "node_scaling" in changes:
        of_nodes["scaling"] = changes.pop("node_scaling")
    base: dict[str, Any] = {
        "scaling": Scaling(**{"max_tasks": 60, **scaling}),
        "pool": node_pool(**of_nodes),
        "task": Size(256, 512),
        "health_check_interval_s": 10,
        "deregistration_delay_s": 30,
    }
    return Model(**{**base, **changes})


_OF_NODES = {field.name for field in fields(NodePool)} - {"scaling"}


def on_fargate(**changes: Any) -> Model:
    """The same without nodes."""
    return model(**{"pool": Fargate(), **changes})
