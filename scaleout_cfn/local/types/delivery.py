"""CodePipeline and CodeConnections, services that MiniStack lacks: both live in the stack only."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, register


def pipeline() -> None:
    """AWS::CodePipeline::Pipeline is unknown to MiniStack, and so is the service."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=100)
        return name, {"Version": "1"}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return new.get("Name") or physical_id, {"Version": "2"}

    register("AWS::CodePipeline::Pipeline", create=create, update=update, delete=_nothing, tagged=True)


def connection() -> None:
    """AWS::CodeConnections::Connection is unknown to MiniStack, and so is the service. It stays PENDING,
    as a real one does until somebody completes it in the console."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        arn = f"arn:aws:codeconnections:{get_region()}:{get_account_id()}:connection/{uuid4()}"
        attributes = {"ConnectionArn": arn, "ConnectionStatus": "PENDING", "OwnerAccountId": get_account_id()}
        return arn, attributes

    register("AWS::CodeConnections::Connection", create=create, delete=_nothing, tagged=True)


def _nothing(physical_id: str, properties: Properties) -> None:
    """Delete what exists in the stack only."""
