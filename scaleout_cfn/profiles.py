"""Three ways to set the two loops, chosen by simulation: what they miss and cost is in docs/scaling.md.

All spread the tasks over zones. Bounds, schedules and step policies are those of the defaults.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from scaleout_cfn.config.scaling import NodeScaling, Scaling, TargetTracking

__all__ = ["PROFILES", "Profile"]


class Profile(Struct, frozen=True):
    """How the tasks of a service scale, and the nodes below them."""

    tasks: Scaling
    nodes: NodeScaling = NodeScaling()


def _tracking(cpu_percent: float) -> TargetTracking:
    return TargetTracking(enabled=True, target=cpu_percent, scale_out_cooldown_s=0, scale_in_cooldown_s=120)


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "thrifty": Profile(Scaling(cpu=_tracking(60)), NodeScaling(min_step=1)),
        "balanced": Profile(Scaling()),
        "resilient": Profile(Scaling(cpu=_tracking(33)), NodeScaling(min_step=4)),
    }
)
"""By name. `balanced` is what a config has that says nothing."""
