"""What an update does to a resource: what its change set said, for both ask the same resource schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ministack.services.cloudformation import provisioners, stacks

from scaleout_cfn.aws.names import NESTED
from scaleout_cfn.templates import schemas

_ABSENT = object()


def scheduled_replacements() -> None:
    """MiniStack's update replaces a resource by a table that knows a fifth of its types, and by what its handlers do.
    One whose type has no handler for updates is created anew, whatever changed."""
    replacing, update = provisioners._replacing_change, stacks._update_resource

    def replacing_by_schema(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        if not schemas.is_known(kind):
            return bool(replacing(kind, old, new))
        return any(schemas.recreation(kind, path) == "Always" for path in _changed(old, new))

    def update_by_schema(
        kind: str,
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack_name: str,
        logical_id: str | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> Any:
        fixed = kind != NESTED and "update" not in provisioners._RESOURCE_HANDLERS.get(kind, {})
        if old != new and fixed and schemas.is_known(kind) and not replacing_by_schema(kind, old, new):
            return physical_id, attributes or {}  # the object itself stays as it is
        return update(kind, physical_id, old, new, stack_name, logical_id, attributes)

    provisioners._replacing_change = stacks._replacing_change = replacing_by_schema
    stacks._update_resource = update_by_schema


def _changed(old: Any, new: Any) -> Iterator[tuple[str, ...]]:
    """The paths of all that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in old.keys() | new.keys():
            for path in _changed(old.get(name, _ABSENT), new.get(name, _ABSENT)):
                yield (name, *path)
    elif old != new:
        yield ()
