"""Four ways to set the two loops, chosen by simulation, and what auditors ask for.

What they miss and cost is in docs/scaling.md. All spread the tasks over zones. Bounds, schedules and step policies
are those of the defaults. docs/security.md has what is found on the hardened set all the same, and why.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.config import (
    AwsKeys,
    Config,
    Ec2Capacity,
    NewLoadBalancer,
    NewVpc,
    NewWebAcl,
    OwnKey,
)
from scaleout_cfn.config.scaling import NodeScaling, Scaling, TargetTracking


class Profile(Struct, frozen=True):
    """How the tasks of a service scale, and the nodes below them."""

    tasks: Scaling
    nodes: Ec2Capacity = Ec2Capacity()


def _tracking(cpu_percent: float) -> TargetTracking:
    return TargetTracking(enabled=True, target=cpu_percent, scale_out_cooldown_s=0, scale_in_cooldown_s=120)


_ROOM = NodeScaling(target_capacity_percent=90)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "thrifty": Profile(Scaling(cpu=_tracking(60)), Ec2Capacity(scaling=NodeScaling(min_step=1))),
        "balanced": Profile(Scaling()),
        "resilient": Profile(Scaling(cpu=_tracking(30)), Ec2Capacity(scaling=_ROOM)),
        "spot": Profile(Scaling(cpu=_tracking(28)), Ec2Capacity(scaling=_ROOM, spot_percent=100, on_demand_base=2)),
    }
)
"""By name. `balanced` is what a config has that says nothing."""


def hardened(config: Config) -> Config:
    """The same config, with all that auditors ask for and a config can say by itself. What it says itself stays.

    A listener with TLS is not among it, for it needs a domain or a certificate.
    """
    network, balancer = config.network, config.load_balancer
    if isinstance(network, NewVpc):
        network = replace(network, explicit_egress=True, flow_logs=True)
    if isinstance(balancer, NewLoadBalancer):
        waf = balancer.waf or NewWebAcl()
        balancer = replace(balancer, access_logs=True, deletion_protection=True, waf=waf)
    return replace(
        config,
        encryption=OwnKey() if isinstance(config.encryption, AwsKeys) else config.encryption,
        roles=replace(config.roles, inline_policies=False),
        network=network,
        load_balancer=balancer,
        cluster=replace(config.cluster, container_insights="enhanced", exec_logs=True),
        observability=replace(
            config.observability,
            log_retention_days=max(365, config.observability.log_retention_days),
            keep_logs=True,
            bucket_logs=True,
        ),
    )
