"""WAF: a web ACL in front of a load balancer."""

from __future__ import annotations

from typing import Any

from ministack.services import waf

from scaleout_cfn.local.types.registry import Properties, register, rpc

__all__ = ["association"]


def association() -> None:
    """AWS::WAFv2::WebACLAssociation is unknown to MiniStack, whose WAF has associations."""
    actions = {"AssociateWebACL": waf._associate_web_acl, "DisassociateWebACL": waf._disassociate_web_acl}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        rpc(actions, "AssociateWebACL", {name: properties[name] for name in ("ResourceArn", "WebACLArn")})
        return f"{properties['ResourceArn']}|{properties['WebACLArn']}", {}

    def delete(physical_id: str, properties: Properties) -> None:
        rpc(actions, "DisassociateWebACL", {"ResourceArn": properties["ResourceArn"]})

    register("AWS::WAFv2::WebACLAssociation", create=create, delete=delete)
