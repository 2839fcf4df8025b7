"""What burstable instances are billed for beside their hours: surplus CPU credits, which are unlimited by default.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode-concepts.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scaleout_cfn.simulator.model import Load, Model

if TYPE_CHECKING:
    from scaleout_cfn.simulator.service import Trace

__all__ = ["surplus"]

_DAY_S = 86400
#: What a vCPU may use on average without surplus, by the instance's size: the same of t3, t3a and t4g.
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html
_BASELINES = {
    "nano": 0.05,
    "micro": 0.1,
    "small": 0.2,
    "medium": 0.2,
    "large": 0.3,
    "xlarge": 0.4,
    "2xlarge": 0.4,
}
_PRICED_AS = {"t3": "t3_surplus_vcpu_hour", "t3a": "t3_surplus_vcpu_hour", "t4g": "t4g_surplus_vcpu_hour"}
"""By family; t2's credits are limited by default, so that it is slowed down and not billed."""


def surplus(model: Model, load: Load, trace: Trace) -> tuple[float, str] | None:
    """The vCPU-hours above the baseline, and what they are priced by; None on instances that have no credits.

    An instance may be above its baseline for a while: what counts is its average over a day, or its life where that is
    shorter. Nodes share the work evenly; those that are there all day are one kind, those that come and go another.
    What the system, the agent and other services use is not counted.
    """
    nodes = model.nodes
    if not nodes or not trace.states:
        return None
    family, _, size = nodes.instance_type.partition(".")
    if family not in _PRICED_AS:
        return None
    each = nodes.cpu_units / 1024 * _BASELINES[size]
    times = [state.time for state in trace.states] + [len(trace.requests)]
    there = np.repeat(np.array([float(state.nodes) for state in trace.states]), np.diff(times))
    of_a_task = model.task.cpu_units / 1024 * load.cpu_at_capacity / 100
    used = (trace.requests - trace.dropped) / load.task_rps * of_a_task
    hours = 0.0
    for day in range(0, len(used), _DAY_S):
        count, work = there[day : day + _DAY_S], used[day : day + _DAY_S]
        lasting = count.min()
        share = np.divide(lasting, count, out=np.zeros_like(count), where=count > 0)
        for part, kind in ((work * share, lasting * len(count)), (work * (1 - share), (count - lasting).sum())):
            hours += max(0.0, float(part.sum()) - each * float(kind)) / 3600
    return hours, _PRICED_AS[family]
