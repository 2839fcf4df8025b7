"""Application Recovery Controller: zonal autoshift of a load balancer."""

from __future__ import annotations

from typing import Any

from ministack.services import alb

from scaleout_cfn.local.types.registry import Properties, RefusedError, register


def autoshifts() -> None:
    """AWS::ARCZonalShift::ZonalAutoshiftConfiguration is unknown to MiniStack, as is its service. It is kept in the
    stack only, for a load balancer that is there and enabled for zonal shift: ARC knows no other.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-zonal-shift.html
    """

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        balancer = properties["ResourceIdentifier"]
        attributes = {item["Key"]: item["Value"] for item in alb._lb_attrs.get(balancer, [])}
        if attributes.get("zonal_shift.config.enabled") != "true":
            raise RefusedError("ResourceNotFoundException", f"{balancer} is no managed resource")
        return balancer, {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return create("", new, stack_name)

    def delete(physical_id: str, properties: Properties) -> None:
        """It exists in the stack only."""

    register("AWS::ARCZonalShift::ZonalAutoshiftConfiguration", create=create, update=update, delete=delete)
