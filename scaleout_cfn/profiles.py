"""Three ways to set the two loops, chosen by simulation, and what auditors ask for.

What the three miss and cost is in docs/scaling.md. All spread the tasks over zones. Bounds, schedules and step policies
are those of the defaults. docs/security.md has what is found on the hardened set all the same, and why.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.config import (
    Cluster,
    Config,
    NewLoadBalancer,
    NewVpc,
    NewWebAcl,
    Observability,
    OwnKey,
    Roles,
)
from scaleout_cfn.config.scaling import NodeScaling, Scaling, TargetTracking

__all__ = ["PROFILES", "Profile", "hardened"]


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


def hardened(config: Config) -> Config:
    """The same services and capacity, with all that auditors ask for and a config can say by itself.

    A listener with TLS is not among it, for it needs a domain or a certificate.
    """
    return replace(
        config,
        encryption=OwnKey(),
        roles=Roles(inline_policies=False),
        network=NewVpc(explicit_egress=True, flow_logs=True),
        load_balancer=NewLoadBalancer(access_logs=True, deletion_protection=True, waf=NewWebAcl()),
        cluster=Cluster(container_insights="enhanced", exec_logs=True),
        observability=Observability(log_retention_days=365, keep_logs=True, bucket_logs=True),
    )
