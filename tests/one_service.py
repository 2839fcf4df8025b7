"""A config of one web service on one pool of nodes, by its parts: what most promises need."""

from __future__ import annotations

from typing import Any

import msgspec

import scaleout_cfn as sc


def one_service(
    service: sc.WebService | None = None,
    *,
    scaling: sc.Scaling | None = None,
    nodes: sc.Ec2Capacity | None = None,
    pipeline: Any = None,
    **sections: Any,
) -> sc.Config:
    """The default set with another service, scaling, pool or pipeline, and other sections."""
    service = service or sc.WebService()
    if scaling is not None:
        service = msgspec.structs.replace(service, scaling=scaling)
    if pipeline is not None:
        service = msgspec.structs.replace(service, pipeline=pipeline)
    return sc.Config(services={"web": service}, capacity={"nodes": nodes or sc.Ec2Capacity()}, **sections)
