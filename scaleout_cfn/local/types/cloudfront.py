"""CloudFront: the way from a distribution to an internal load balancer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from ministack.core.responses import get_account_id
from ministack.services import alb

from scaleout_cfn.local.types.registry import Properties, RefusedError, register


def vpc_origins() -> None:
    """AWS::CloudFront::VpcOrigin is unknown to MiniStack, and so are VPC origins."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        balancer = properties["VpcOriginEndpointConfig"]["Arn"]
        if balancer not in alb._lbs:
            raise RefusedError("InvalidArgument", f"{balancer} is not there")
        name = f"vo_{uuid4().hex[:22]}"
        arn = f"arn:aws:cloudfront::{get_account_id()}:vpcorigin/{name}"
        return name, {"Id": name, "Arn": arn, "Status": "Deployed", "AccountId": get_account_id()}

    def delete(physical_id: str, properties: Properties) -> None:
        """It exists in the stack only."""

    register("AWS::CloudFront::VpcOrigin", create=create, delete=delete, tagged=True)
