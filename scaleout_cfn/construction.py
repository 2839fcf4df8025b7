"""What makes composing faster: troposphere's constructor in a fraction of its time, and no cyclic collector meanwhile.

The constructor was a fifth of what a further service costs to render. A service is a hundred objects, and for each of
them troposphere sets eight attributes of its own through the `__setattr__` that checks properties, asks the class for a
default of each property that there is, and looks at the kind of check of each value anew. Here the attributes are set
at once, and a class is asked once what it checks. What an object holds and what is checked stays the same: a test makes
one of each class both ways, and so says so when a version of troposphere constructs otherwise.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cache, wraps
from types import FunctionType
from typing import Any, NamedTuple, ParamSpec, TypeVar

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

    `names` are its properties, `given` those that it has a value for, `required` those that there have to be. `ways`
    says of each what is checked: a value is of some types, or a list whose items are, or what a function makes of it.
    """

    names: frozenset[str]
    given: tuple[str, ...]
    required: frozenset[str]
    dictname: str | None
    resource_type: str | None
    ways: dict[str, tuple[Any, tuple[type[Any], ...] | None, Callable[[Any], Any] | None]]


@wraps(BaseAWSObject.__init__)
def construct(
    self: BaseAWSObject, title: str | None, template: Template | None = None, validation: bool = True, **kwargs: Any
) -> None:
    """What `BaseAWSObject.__init__` does, and is replaced by."""
    kind: Any = type(self)
    known = _known(kind, len(vars(kind)), len(kind.props))
    properties: dict[str, Any] = {}
    resource: dict[str, Any] = {known.dictname: properties} if known.dictname else properties
    own = vars(self)
    own["title"] = title
    own["template"] = template
    own["do_validation"] = validation
    own["propnames"] = known.names
    own["attributes"] = [*ATTRIBUTES]
    own["properties"] = properties
    own["resource"] = resource
    if title:
        self.validate_title()
    if known.resource_type is not None:
        resource["Type"] = known.resource_type
    # From here on `__setattr__` checks.
    own["_BaseAWSObject__initialized"] = True
    for name in known.given:
        if name not in kwargs:
            setattr(self, name, getattr(kind, name))
    ways = known.ways
    for name, value in kwargs.items():
        # As `__setattr__` does. What is wrong is left to it, for the words.
        way = ways.get(name)
        if way is not None:
            if _IS_LATER[type(value)]:
                properties[name] = value
                continue
            types, items, check = way
            if check is not None:
                try:
                    properties[name] = check(value)
                    continue
                except Exception:
                    pass
            elif items is None:
                if isinstance(value, types):
                    properties[name] = value
                    continue
            elif type(value) is list and all(isinstance(item, items) for item in value):
                properties[name] = value
                continue
        setattr(self, name, value)
    self.add_to_template()


class _IsLater(dict[type, bool]):
    """Whether a value of a class is known only when deployed, so that nothing but CloudFormation can check it."""

    def __missing__(self, kind: type) -> bool:
        self[kind] = is_later = issubclass(kind, AWSHelperFn) and not issubclass(kind, Tags)
        return is_later


_IS_LATER = _IsLater()


def required(kind: Any) -> frozenset[str]:
    """The properties without which an object of a class of troposphere's is not whole."""
    return _known(kind, len(vars(kind)), len(kind.props)).required


@cache
def _known(kind: Any, attributes: int, properties: int) -> Known:
    """What a class says, asked again when it has got more attributes or properties."""
    ways: dict[str, tuple[Any, tuple[type[Any], ...] | None, Callable[[Any], Any] | None]] = {}
    for name, (check, _) in kind.props.items():
        if name in OWN or kind.__setattr__ is not BaseAWSObject.__setattr__:
            continue
        if isinstance(check, FunctionType):
            ways[name] = (None, None, check)
        elif not isinstance(check, list):
            ways[name] = (check, None, None)
        elif not any(isinstance(one, FunctionType) for one in check):
            ways[name] = (None, (*check, AWSHelperFn), None)
    return Known(
        names=frozenset(kind.props),
        given=tuple(name for name in kind.props if getattr(kind, name, None) is not None),
        required=frozenset(name for name, (_, is_required) in kind.props.items() if is_required),
        dictname=getattr(kind, "dictname", None),
        resource_type=getattr(kind, "resource_type", None),
        ways=ways,
    )


P = ParamSpec("P")
R = TypeVar("R")


def uncollected(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run without the collector.

    That looks through all new objects after each 700, and now and then through all there are: an eighth of what a
    further service costs, for objects that all stay until the function returns.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return run
