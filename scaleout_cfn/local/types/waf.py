"""WAF: a web ACL in front of a load balancer, and where it logs to."""

from __future__ import annotations

from typing import Any

from ministack.services import waf

from scaleout_cfn.local.types.registry import Properties, RefusedError, register, rpc


def association() -> None:
    """AWS::WAFv2::WebACLAssociation is unknown to MiniStack, whose WAF has associations."""
    actions = {"AssociateWebACL": waf._associate_web_acl, "DisassociateWebACL": waf._disassociate_web_acl}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        rpc(actions, "AssociateWebACL", {name: properties[name] for name in ("ResourceArn", "WebACLArn")})
        return f"{properties['ResourceArn']}|{properties['WebACLArn']}", {}

    def delete(physical_id: str, properties: Properties) -> None:
        rpc(actions, "DisassociateWebACL", {"ResourceArn": properties["ResourceArn"]})

    register("AWS::WAFv2::WebACLAssociation", create=create, delete=delete)


def logging() -> None:
    """AWS::WAFv2::LoggingConfiguration is unknown to MiniStack, whose WAF logs nothing. A destination of another name
    than AWS takes is refused in its words (awsdocs/aws-cloudformation-user-guide, pull request 1271)."""

    def check(properties: Properties) -> None:
        for destination in properties["LogDestinationConfigs"]:
            if not destination.rpartition(":")[2].startswith("aws-waf-logs-"):
                raise RefusedError(
                    "WAFInvalidParameterException",
                    "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information"
                    f" separated by colons or slashes., field: LOG_DESTINATION, parameter: {destination}",
                )

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        check(properties)
        return properties["ResourceArn"], {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        check(new)
        return physical_id, {}

    def delete(physical_id: str, properties: Properties) -> None:
        """It exists in the stack only."""

    register("AWS::WAFv2::LoggingConfiguration", create=create, update=update, delete=delete)
