"""What the resource schemas that cfn-lint ships say of a type, an attribute, and the change of a property.

https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html: a change of one of the
`createOnlyProperties` replaces the resource, one of the `conditionalCreateOnlyProperties` may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, TypeAlias

Recreation: TypeAlias = Literal["Always", "Conditionally", "Never"]
"""The words of RequiresRecreation in API_ResourceTargetDefinition."""

#: The resource schemas of this region are asked: it has every type.
REGION = "us-east-1"
_LISTS: Final[tuple[tuple[str, Recreation], ...]] = (
    ("createOnlyProperties", "Always"),
    ("conditionalCreateOnlyProperties", "Conditionally"),
)


def recreation(kind: str, path: Sequence[str]) -> Recreation:
    """Whether a resource of this type is recreated when the property at `path` (`("LogConfig", "Driver")`) changes.

    A custom resource may be, and a type without a schema: only whoever makes it knows.
    """
    schema = _schema(kind)
    if schema is None:
        return "Conditionally"
    for name, word in _LISTS:
        if any(_meet(_steps(pointer), path) for pointer in schema.get(name) or ()):
            return word
    return "Never"


def is_tag(kind: str, path: Sequence[str]) -> bool:
    """Whether the property at `path` holds the tags of a resource of this type."""
    tagging = (_schema(kind) or {}).get("tagging", {})
    return bool(tagging.get("taggable")) and _meet(_steps(tagging.get("tagProperty", "/properties/Tags")), path)


def is_known(kind: str) -> bool:
    """Whether AWS has a resource type of this name."""
    return _schema(kind) is not None


def has_attribute(kind: str, name: str) -> bool:
    """Whether a resource of this type has an attribute `name` (`MasterUserSecret.SecretArn`) for Fn::GetAtt."""
    read_only = (_schema(kind) or {}).get("readOnlyProperties") or ()
    return f"/properties/{name.replace('.', '/')}" in read_only


def is_identity(kind: str, attribute: str) -> bool:
    """Whether an attribute of a resource is another one only when the resource is: its name, its ARN, its id.

    Of what is read only these are the ones that are called by the type: a table has its Arn as long as it lives, and a
    StreamArn as long as it has that stream; a state machine a StateMachineRevisionId for each of its revisions.
    """
    schema = _schema(kind) or {}
    path = attribute.split(".")
    if any(_steps(pointer) == path for key in ("primaryIdentifier", _LISTS[0][0]) for pointer in schema.get(key) or ()):
        return True
    noun = attribute
    for ending in ("FullName", "Name", "Arn", "ARN", "Id", "ID"):
        if attribute.endswith(ending):
            noun = attribute.removesuffix(ending)
            break
    own = noun in ("", kind.rpartition("::")[2]) and noun != attribute
    return own and f"/properties/{attribute}" in (schema.get("readOnlyProperties") or ())


def is_made(kind: str, attribute: str) -> bool:
    """Whether an attribute of a resource is one that AWS makes for it alone: another resource has another."""
    schema = _schema(kind) or {}
    pointer = f"/properties/{attribute}"
    own = schema.get("primaryIdentifier") == [pointer] or attribute in ("Arn", "ARN", f"{kind.rpartition('::')[2]}Arn")
    return own and pointer in (schema.get("readOnlyProperties") or ())


def _steps(pointer: str) -> list[str]:
    """The names that a pointer into a schema goes through: `/properties/Rules/*/Name` is Rules, Name."""
    return [step for step in pointer.split("/")[2:] if step != "*"]


def _meet(steps: Sequence[str], path: Sequence[str]) -> bool:
    """Whether the property at `path` lies within the one of the schema, or holds it."""
    names = [step for step in path if not step.isdigit()]
    length = min(len(steps), len(names))
    return length > 0 and list(steps[:length]) == names[:length]


@cache
def _schema(kind: str) -> Mapping[str, Any] | None:
    if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
        return None
    # Here: reading cfn-lint in takes a second, and only a change of a stack that exists needs it.
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    try:
        schema: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    except ResourceNotFoundError:
        return None
    return schema
