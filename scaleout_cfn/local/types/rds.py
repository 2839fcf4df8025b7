"""RDS: the secret that it makes for a master user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

_Make = Callable[..., tuple[str, dict[str, Any]]]


def master_user_secret() -> None:
    """MiniStack's AWS::RDS::DBInstance and DBCluster lack the attribute MasterUserSecret.SecretArn, which those with
    ManageMasterUserPassword have. It names a secret that is not there."""
    for kind, word in (("AWS::RDS::DBInstance", "db"), ("AWS::RDS::DBCluster", "cluster")):
        handler = provisioners._RESOURCE_HANDLERS[kind]
        # What the two are called with: (id, properties, stack) and (id, old properties, new properties, stack, ...).
        handler["create"] = _with_secret(handler["create"], 1, word)
        handler["update"] = _with_secret(handler["update"], 2, word)


def _with_secret(make: _Make, place: int, word: str) -> _Make:
    def made(*arguments: Any) -> tuple[str, dict[str, Any]]:
        name, attributes = make(*arguments)
        if str(arguments[place].get("ManageMasterUserPassword")).lower() == "true":
            secrets = f"arn:aws:secretsmanager:{get_region()}:{get_account_id()}:secret"
            attributes = {**attributes, "MasterUserSecret.SecretArn": f"{secrets}:rds!{word}-{name}-000000"}
        return name, attributes

    return made
