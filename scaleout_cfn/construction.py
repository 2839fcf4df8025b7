"""troposphere's constructor, in a fraction of its time: it was a fifth of what a further service costs to render.

A service is a hundred objects, and for each of them troposphere sets eight attributes of its own through the
`__setattr__` that checks properties, asks the class for a default of each property that there is, and looks at the kind
of check of each value anew. Here the attributes are set at once, and a class is asked once what it checks. What an
object holds and what is checked stays the same: a test makes one of each class both ways, and so says so when a version
of troposphere constructs otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from types import FunctionType
from typing import Any, NamedTuple

from troposphere import AWSHelperFn, BaseAWSObject, Tags, Template

ATTRIBUTES = (
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "UpdatePolicy",
    "UpdateReplacePolicy",
)

# What an object has of its own, which is no property even where one has its name.
OWN = {*ATTRIBUTES, "title", "template", "do_validation", "propnames", "attributes", "properties", "resource"}


class Known(NamedTuple):
    """What a class says of its objects.

    `names` are its properties, `given` those that it has a value for, `required` those that there have to be. A value
    is of one of the `types` of its property, a list of such for those of `items`, or what one of `checks` makes of it.
    """

    names: frozenset[str]
    given: tuple[str, ...]
    required: frozenset[str]
    types: dict[str, Any]
    items: dict[str, tuple[type[Any], ...]]
    checks: dict[str, Callable[[Any], Any]]


@wraps(BaseAWSObject.__init__)
def construct(
    self: BaseAWSObject, title: str | None, template: Template | None = None, validation: bool = True, **kwargs: Any
) -> None:
    """What `BaseAWSObject.__init__` does, and is replaced by."""
    kind: Any = type(self)
    known = _known(kind, len(vars(kind)), len(kind.props))
    properties: dict[str, Any] = {}
    dictname = getattr(kind, "dictname", None)
    resource = {dictname: properties} if dictname else properties
    own = vars(self)
    own.update(
        title=title,
        template=template,
        do_validation=validation,
        propnames=known.names,
        attributes=[*ATTRIBUTES],
        properties=properties,
        resource=resource,
    )
    if title:
        self.validate_title()
    if (resource_type := getattr(kind, "resource_type", None)) is not None:
        resource["Type"] = resource_type
    # From here on `__setattr__` checks.
    own["_BaseAWSObject__initialized"] = True
    for name in known.given:
        if name not in kwargs:
            setattr(self, name, getattr(kind, name))
    types, items, checks = known.types, known.items, known.checks
    for name, value in kwargs.items():
        # As `__setattr__` does. What is wrong is left to it, for the words.
        if name in types:
            if isinstance(value, types[name]) or (isinstance(value, AWSHelperFn) and not isinstance(value, Tags)):
                properties[name] = value
                continue
        elif name in items:
            if type(value) is list and all(isinstance(item, items[name]) for item in value):
                properties[name] = value
                continue
        elif name in checks:
            try:
                is_later = isinstance(value, AWSHelperFn) and not isinstance(value, Tags)
                properties[name] = value if is_later else checks[name](value)
                continue
            except Exception:
                pass
        setattr(self, name, value)
    self.add_to_template()


def required(kind: Any) -> frozenset[str]:
    """The properties without which an object of a class of troposphere's is not whole."""
    return _known(kind, len(vars(kind)), len(kind.props)).required


@cache
def _known(kind: Any, attributes: int, properties: int) -> Known:
    """What a class says, asked again when it has got more attributes or properties."""
    types: dict[str, Any] = {}
    items: dict[str, tuple[type[Any], ...]] = {}
    checks: dict[str, Callable[[Any], Any]] = {}
    for name, (check, _) in kind.props.items():
        if name in OWN or kind.__setattr__ is not BaseAWSObject.__setattr__:
            continue
        if isinstance(check, FunctionType):
            checks[name] = check
        elif isinstance(check, list):
            if not any(isinstance(one, FunctionType) for one in check):
                items[name] = (*check, AWSHelperFn)
        else:
            types[name] = check
    return Known(
        names=frozenset(kind.props),
        given=tuple(name for name in kind.props if getattr(kind, name, None) is not None),
        required=frozenset(name for name, (_, is_required) in kind.props.items() if is_required),
        types=types,
        items=items,
        checks=checks,
    )
