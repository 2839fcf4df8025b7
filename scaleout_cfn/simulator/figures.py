"""The published figures that the model has to meet, beside what it gives, fitted or held out, hit or missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaleout_cfn.config.scaling import NodeScaling, Scaling, Schedule, TargetTracking
from scaleout_cfn.simulator.model import Delays, Fargate, Load, Managed, Model, NodeKind, NodePool, Size
from scaleout_cfn.simulator.run import Trace, phases, run
from scaleout_cfn.simulator.traffic import Traffic, synthetic

_FASTER = "https://aws.amazon.com/about-aws/whats-new/2026/06/amazon-ecs-faster-autoscaling"
_FASTER_IN = "https://aws.amazon.com/blogs/containers/faster-scaling-in-for-amazon-ecs-cluster-auto-scaling/"
_IN_2022 = "https://www.vladionescu.me/posts/scaling-containers-on-aws-in-2022/"
_AGENT = "https://github.com/aws/amazon-ecs-agent/issues/2309"
_ON_FARGATE = "https://elasticscale.com/blog/reduce-aws-fargate-pull-times-with-soci"
_ON_MANAGED = "https://blog.neilkuan.click/blog/2026-01-17-ecs-managed-instance"
_STEP_AT = 1800


@dataclass(frozen=True)
class Figure:
    """A published figure in seconds. `fitted` names the constants that were fitted to it; empty when held out."""

    name: str
    published_s: float
    fitted: str
    source: str
    model_s: Callable[[], float]


@dataclass(frozen=True)
class Row:
    """A figure beside what the model gives."""

    figure: Figure
    model_s: float

    @property
    def error(self) -> float:
        """The model's deviation as a share of what is published."""
        return self.model_s / self.figure.published_s - 1


def rows() -> list[Row]:
    """Every figure, worked out anew."""
    return [Row(figure, figure.model_s()) for figure in FIGURES]


_NODES = NodePool(min_nodes=50, max_nodes=50, instance_type="c5.xlarge", cpu_units=4096, room=Size(4096, 8192), zones=3)
_BASE = Model(
    scaling=Scaling(),
    pool=_NODES,
    task=Size(1024, 2048),
    health_check_interval_s=5,
    deregistration_delay_s=5,
)


def _after_a_step(fast: bool, event: Callable[[Trace], int]) -> float:
    """Seconds from a jump of the load to an event, averaged over the alarm phases; nodes are there already."""
    scaling = Scaling(min_tasks=10, max_tasks=200, high_resolution=fast, cpu=TargetTracking(enabled=True, target=60))
    model = dataclasses.replace(_BASE, scaling=scaling)
    traffic = synthetic("step", {"base": 200, "peak": 1000, "at": _STEP_AT, "hours": 1})
    traces = [run(model, Load(100), Delays(), traffic, phase) for phase in phases()]
    return float(np.mean([event(trace) - _STEP_AT for trace in traces]))


def _triggered(trace: Trace) -> int:
    return next(event.time for event in trace.events if event.what == "tasks" and event.after > event.before)


def _serving(trace: Trace) -> int:
    return next(b.time for a, b in zip(trace.states, trace.states[1:], strict=False) if b.ready > a.ready)


def _from_zero(reached: int, quota: int, fargate: bool = False) -> float:
    """Seconds from a desired count of 3500, with no node there, until so many tasks serve."""
    scaling = Scaling(
        min_tasks=0,
        max_tasks=3500,
        cpu=TargetTracking(),
        schedules=(Schedule(name="go", at="at(2026-01-05T00:10:00)", min_tasks=3500, max_tasks=3500),),
    )
    nodes = dataclasses.replace(_NODES, min_nodes=0, max_nodes=1000, scaling=NodeScaling(min_step=1, warmup_s=0))
    model = dataclasses.replace(_BASE, scaling=scaling, pool=Fargate() if fargate else nodes)
    traffic = Traffic("none", np.zeros(3600))
    delays = dataclasses.replace(Delays(), provisioning_quota=quota)
    times = [
        next(state.time for state in run(model, Load(100), delays, traffic, phase).states if state.ready >= reached)
        for phase in phases()
    ]
    return float(np.mean(times)) - 600


def _scale_in(most: float) -> float:
    """Seconds from the first to the last step from 334 to 34 nodes, the tasks having gone from 1000 to 100."""
    scaling = Scaling(
        min_tasks=1000,
        max_tasks=1000,
        cpu=TargetTracking(),
        schedules=(Schedule(name="go", at="at(2026-01-05T00:10:00)", min_tasks=100, max_tasks=100),),
    )
    nodes = dataclasses.replace(_NODES, room=Size(4096, 6144), min_nodes=0, max_nodes=400)
    model = dataclasses.replace(_BASE, scaling=scaling, pool=nodes)
    traffic = Traffic("none", np.zeros(3 * 3600))
    delays = dataclasses.replace(Delays(), node_scale_in_most=most)
    lengths = []
    for phase in phases():
        steps = [event for event in run(model, Load(100), delays, traffic, phase).events if event.what == "nodes"]
        last = steps[-1]
        # A step has taken effect when the next could follow.
        lengths.append(last.time - steps[0].time + delays.scale_in_step_s(last.before - last.after))
    return float(np.mean(lengths))


def _started(pool: NodePool | Fargate, field: str) -> float:
    """Seconds from the launch of the first node, or from when a task is desired, until there is one."""
    go = Schedule(name="go", at="at(2026-01-05T00:10:00)", min_tasks=1, max_tasks=1)
    scaling = Scaling(min_tasks=0, max_tasks=1, cpu=TargetTracking(), schedules=(go,))
    model = dataclasses.replace(_BASE, scaling=scaling, pool=pool, health_check_interval_s=None)
    trace = run(model, Load(100), Delays(), Traffic("none", np.zeros(1800)))
    begun = next(state.time for state in trace.states if (state.size if field == "nodes" else state.desired))
    return next(state.time for state in trace.states if getattr(state, field)) - begun


_EMPTY = dataclasses.replace(_NODES, min_nodes=0)
_MANAGED = dataclasses.replace(_EMPTY, managed=Managed((NodeKind("c5.xlarge", 4096, _NODES.room),)))


FIGURES = (
    Figure("scaling trigger, 60 s metrics", 363, "metric_lag_60_s", _FASTER, lambda: _after_a_step(False, _triggered)),
    Figure("scaling trigger, 20 s metrics", 86, "metric_lag_20_s", _FASTER, lambda: _after_a_step(True, _triggered)),
    Figure("new tasks serve, 60 s metrics", 386, "task_start_s", _FASTER, lambda: _after_a_step(False, _serving)),
    Figure("new tasks serve, 20 s metrics", 109, "task_start_s", _FASTER, lambda: _after_a_step(True, _serving)),
    Figure("0 to 3500 containers, first one serves", 150, "", _IN_2022, lambda: _from_zero(1, 500)),
    Figure("0 to 3500 containers, all serve", 600, "", _IN_2022, lambda: _from_zero(3500, 500)),
    Figure("the same, quota of waiting tasks raised", 600, "", _IN_2022, lambda: _from_zero(3500, 5000)),
    Figure("0 to 3500 on Fargate, first one serves", 30, "", _IN_2022, lambda: _from_zero(1, 500, fargate=True)),
    Figure("0 to 3500 on Fargate, all serve", 270, "", _IN_2022, lambda: _from_zero(3500, 500, fargate=True)),
    Figure("an EC2 node registers", 41, "", _AGENT, lambda: _started(_EMPTY, "nodes")),
    Figure("a task of 413 MB starts on Fargate", 57, "", _ON_FARGATE, lambda: _started(Fargate(), "running")),
    Figure("no instance to nginx, Managed Instances", 40, "", _ON_MANAGED, lambda: _started(_MANAGED, "running")),
    Figure(
        "334 to 34 instances, steps of 5 %", 4800, "node_scale_in_step_s, _each_s", _FASTER_IN, lambda: _scale_in(0.05)
    ),
    Figure(
        "334 to 34 instances, steps of 50 %", 600, "node_scale_in_step_s, _each_s", _FASTER_IN, lambda: _scale_in(0.5)
    ),
)
"""Published figures; those of 2022 on containers are read off a hand-drawn graph ("about")."""
