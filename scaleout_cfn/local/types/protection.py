"""Deletion protection, of load balancers and of what holds data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services import alb, dynamodb, rds
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties


def deletion_protection() -> None:
    """MiniStack's CloudFormation deletes what is protected against deletion, and its balancers know no protection.

    The words are those of the services: DeleteLoadBalancer's OperationNotPermitted, DeleteDBInstance's and
    DeleteDBCluster's InvalidParameterCombination, DeleteTable's ValidationException.
    """
    _protect(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        lambda arn: {"Key": "deletion_protection.enabled", "Value": "true"} in alb._lb_attrs.get(arn, ()),
        "Load balancer '{}' cannot be deleted because deletion protection is enabled"
        " (Error Code: OperationNotPermitted)",
    )
    database = "Cannot delete protected {}, please disable deletion protection and try again."
    combination = "(Error Code: InvalidParameterCombination)"
    _protect(
        "AWS::RDS::DBInstance",
        lambda name: rds._instances.get(name, {}).get("DeletionProtection"),
        f"{database.format('DB Instance')} {combination}",
    )
    _protect(
        "AWS::RDS::DBCluster",
        lambda name: rds._clusters.get(name, {}).get("DeletionProtection"),
        f"{database.format('Cluster')} {combination}",
    )
    _protect(
        "AWS::DynamoDB::Table",
        lambda name: dynamodb._tables.get(name, {}).get("DeletionProtectionEnabled"),
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
        " (Error Code: ValidationException)",
    )


def _protect(kind: str, is_protected: Callable[[str], Any], refusal: str) -> None:
    handler = provisioners._RESOURCE_HANDLERS[kind]
    delete = handler["delete"]

    def delete_unprotected(physical_id: str, properties: Properties) -> Any:
        if is_protected(physical_id):
            raise ValueError(refusal.format(physical_id))
        return delete(physical_id, properties)

    handler["delete"] = delete_unprotected
