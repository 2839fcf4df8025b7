"""Three ways to set the two loops, chosen by simulation: what they miss and cost is in docs/scaling.md.

All spread the tasks over zones. Bounds, schedules and step policies are those of the defaults.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from scaleout_cfn.scaling import NodeScaling, Scaling, TargetTracking

__all__ = ["PROFILES"]


def _tracking(cpu_percent: float) -> TargetTracking:
    return TargetTracking(enabled=True, target=cpu_percent, scale_out_cooldown_s=0, scale_in_cooldown_s=120)


PROFILES: Final[Mapping[str, Scaling]] = MappingProxyType(
    {
        "thrifty": Scaling(cpu=_tracking(60), nodes=NodeScaling(min_step=1)),
        "balanced": Scaling(),
        "resilient": Scaling(cpu=_tracking(33), nodes=NodeScaling(min_step=4)),
    }
)
"""By name. `balanced` is what a config has that says nothing."""
