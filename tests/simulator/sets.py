"""Models that tests run."""

from __future__ import annotations

from typing import Any

from scaleout_cfn.config.scaling import Scaling
from scaleout_cfn.simulator.model import Load, Model

LOAD = Load(task_rps=50)


def model(**changes: Any) -> Model:
    """A small set with room for 60 tasks; fields of the model or of its scaling."""
    scaling = {name: changes.pop(name) for name in list(changes) if name in Scaling.__struct_fields__}
    base: dict[str, Any] = {
        "scaling": Scaling(**{"max_tasks": 60, **scaling}),
        "min_nodes": 2,
        "max_nodes": 10,
        "instance_type": "t3.small",
        "tasks_per_node": 6,
        "task_cpu_units": 256,
        "node_cpu_units": 2048,
        "health_check_interval_s": 10,
        "deregistration_delay_s": 30,
    }
    return Model(**{**base, **changes})
