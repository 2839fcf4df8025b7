"""How a resource type is made known to MiniStack's CloudFormation engine, and how a handler calls a service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from ministack.core.responses import error_response_json
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]
Act = Callable[[Any], Any]
"""An action of a service: request -> (HTTP status, headers, body)."""
Create = Callable[[str, Properties, str], tuple[str, dict[str, Any]]]
"""(logical id, properties, stack name) -> (physical id, attributes for Fn::GetAtt)."""
Update = Callable[[str, Properties, Properties, str], tuple[str, dict[str, Any]]]
"""(physical id, old properties, new properties, stack name) -> (physical id, attributes)."""
Delete = Callable[[str, Properties], None]
"""(physical id, properties)."""


def register(
    resource_type: str,
    *,
    create: Create,
    delete: Delete = lambda physical_id, properties: None,
    update: Update | None = None,
    tagged: bool = False,
) -> None:
    """Add a type. Without `update`, the object stays as it is, but where a change replaces the resource: the engine
    creates the new one and deletes the old one once the update has succeeded. What exists in the stack only has no
    `delete`.

    `tagged`: the type has a list of Tags. Stack tags reach it at creation; a later change of tags alone
    leaves it as it is.
    """
    handler: dict[str, Callable[..., Any]] = {"create": create, "delete": delete}
    if update is not None:
        handler["update"] = update
    provisioners._RESOURCE_HANDLERS[resource_type] = handler
    if tagged:
        provisioners._STACK_TAG_PROPERTY[resource_type] = ("Tags", "list")


class RefusedError(ValueError):
    """A service refuses a request: the code of its error, and its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} (Error Code: {code})")
        self.code = code
        self.message = message


def revise(
    service: ModuleType,
    name: str,
    revised: Callable[[Act, Any], Any],
    *,
    refuse: Callable[[str, str, int], Any] = error_response_json,
) -> None:
    """Put `revised` in place of an action of a service, by the name of its function: it takes what was there and the
    request, and raises `RefusedError`, which `refuse` makes an answer of.

    Later revisions are asked first.
    """
    stock = getattr(service, name)

    def act(request: Any) -> Any:
        try:
            return revised(stock, request)
        except RefusedError as refusal:
            return refuse(refusal.code, refusal.message, 400)

    setattr(service, name, act)
    for action, function in service._ACTION_MAP.items():
        if function is stock:
            service._ACTION_MAP[action] = act


def query(actions: Mapping[str, Any], action: str, **members: object) -> Element:
    """Call an action of a query-protocol service (EC2, IAM) in process; None members are left out.

    Raises ValueError, which the engine turns into a failed resource with the service's own message.
    """
    parameters = {name: [_text(value)] for name, value in members.items() if value is not None}
    status, _, body = actions[action](parameters)
    answer = fromstring(body)
    if status >= 400:
        code, message = (answer.findtext(f".//{{*}}{tag}") for tag in ("Code", "Message"))
        raise ValueError(f"{message} (Error Code: {code})")
    return answer


def rpc(actions: Mapping[str, Any], action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Call an action of a JSON-protocol service (ECS) in process. Raises ValueError as `query` does."""
    status, _, body = actions[action](dict(request))
    answer: dict[str, Any] = json.loads(body)
    if status >= 400:
        raise ValueError(f"{answer.get('message')} (Error Code: {answer.get('__type')})")
    return answer


def numbers(value: Any, names: frozenset[str]) -> Any:
    """Return `value` with the text under any key of `names` as a number, at every depth.

    CloudFormation's parameters are text; the services behind it get what their API declares.
    """
    if isinstance(value, Mapping):
        return {key: _number(member) if key in names else numbers(member, names) for key, member in value.items()}
    if isinstance(value, list):
        return [numbers(member, names) for member in value]
    return value


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
