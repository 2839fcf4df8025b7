"""Records that lead host names to the load balancer, or to what stands before it."""

from __future__ import annotations

from zlib import crc32

from troposphere import route53
from troposphere.validators.route53 import AliasTarget

from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack

__all__ = ["alias_records", "of_host"]


def of_host(what: str, host: str) -> str:
    """The title of what there is for each host.

    Numbers would move with a host that is written in front, and a second record of a name is refused.
    """
    return f"{what}{crc32(host.encode()):08X}"


def alias_records(stack: Stack, config: Config, title: str, host: str, zone: str, target: AliasTarget) -> None:
    """The records of a host, one for each family of addresses."""
    for kind in ("A", "AAAA") if config.network.ipv6 else ("A",):
        stack.add(
            route53.RecordSetType(
                f"{title}{'Ipv6' if kind == 'AAAA' else ''}",
                HostedZoneId=zone,
                Name=host,
                Type=kind,
                AliasTarget=target,
            )
        )
