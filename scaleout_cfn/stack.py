"""The only machinery: a stack is a function, its keyword-only arguments are its template's Parameters, and the
frozen object of values that it returns is its Outputs: a msgspec.Struct, as ours are, or a dataclass. An argument or a
field may be a dict of values by name: each entry is a Parameter or an Output, `WebTargetGroupName` for the entry `web`
of `target_group_name`.

`Stack.nest` builds a child, wires it in, and hands back the same object as seen from the parent. An output
exists only after the call that makes it, so a cycle between nested stacks cannot be written.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from troposphere import AWSHelperFn, AWSObject, BaseAWSObject, GetAtt, Output, Parameter, Ref, Template
from troposphere.cloudformation import Stack as NestedStack

from scaleout_cfn.config.tunables import Section
from scaleout_cfn.construction import construct
from scaleout_cfn.errors import WiringError
from scaleout_cfn.parameters import asked, name_of
from scaleout_cfn.values import Value

C = TypeVar("C")
O = TypeVar("O")
P = ParamSpec("P")
R = TypeVar("R", bound=AWSObject)
V = TypeVar("V", bound=Value)

BaseAWSObject.__init__ = construct  # type: ignore[method-assign]

#: Written into TemplateURL while composing; `render` puts the form that is asked for in its place.
UNRENDERED = "https://unrendered.invalid/"


@functools.lru_cache(1_000)
def pascal(name: str) -> str:
    """The CloudFormation name of a Python one: `min_tasks` becomes `MinTasks`."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))


def file_name(title: str) -> str:
    """A nested stack's file without its extension: `LoadBalancer` becomes `load-balancer`."""
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(title))


class Children(dict[str, "Stack"]):
    """The nested stacks of a stack by title; a title that is not there is answered with those that are."""

    def __init__(self, parent: str) -> None:
        self.parent = parent

    def __missing__(self, title: str) -> Stack:
        raise WiringError(f"{self.parent}: no nested stack has the title {title}; there is {', '.join(self) or 'none'}")


class Stack:
    """One template being composed, and the stacks nested in it.

    `template` is troposphere's, open to any change before the set is rendered; `children` maps the title of each
    nested stack to its Stack. Only a root has a `config`, whose tunables it can ask for; `asked` has their keys by the
    names of the parameters.
    """

    def __init__(self, title: str, description: str, config: Section | None = None) -> None:
        self.title = title
        self.template = Template(Description=description)
        self.template.set_version()
        self.children: dict[str, Stack] = Children(title)
        self.config = config
        self.asked: dict[str, str] = {}

    def __repr__(self) -> str:
        return (
            f"<Stack {self.title}: {len(self.template.resources)} resources, of which nested:"
            f" {', '.join(self.children) or 'none'}>"
        )

    def add(self, resource: R) -> R:
        """Add a resource and return it.

        Raises WiringError when its title is taken: CloudFormation has one namespace for parameters and
        resources, and troposphere checks only the latter.
        """
        if resource.title in self.template.parameters or resource.title in self.template.resources:
            raise WiringError(f"{self.title}: {resource.title} is there already; give one of the two another name")
        self.template.add_resource(resource)
        return resource

    def condition(self, title: str, expression: AWSHelperFn) -> str:
        """Declare a condition and return its name, as a resource's `Condition` wants it."""
        self.template.add_condition(title, expression)
        return title

    def ask(self, key: str, kind: type[V], *, most: int | None = None) -> V:
        """Let whoever creates the set decide a tunable: a parameter of the root, and its value.

        `key` is the tunable's dotted key (`scaling.max_tasks`), which gives name, default, text and bounds; `most`
        lowers the upper bound. Asked for again, it is the same parameter. Raises WiringError where there is no such
        tunable, in a nested stack, and where two keys would have one name.
        """
        if self.config is None:
            raise WiringError(
                f"nested stack {self.title}: asks for {key}, which only a root can; take it as a keyword-only argument"
            )
        properties = asked(self.config, key, kind, most=most)
        name = name_of(key)
        title = pascal(name)
        if there := self.template.parameters.get(title):
            if (other := self.asked.get(title, "one of your own")) != key:
                raise WiringError(f"{self.title}: {key} and {other} would both be the parameter {title}")
            if there.Type != kind.parameter_type:
                raise WiringError(
                    f"{self.title}: {key} is asked for as {kind.__name__}, and before as {there.Type}; ask for one kind"
                )
            return kind(Ref(title))
        self.asked[title] = key
        return self.parameter(kind, name, **properties)

    def parameter(self, kind: type[V], name: str, **properties: Any) -> V:
        """Declare a parameter of a kind and return its value. `properties` are troposphere's (Default, MinValue...)."""
        title = pascal(name)
        if title in self.template.resources:
            raise WiringError(f"{self.title}: {title} is a resource already; a parameter needs another name")
        properties = {"Description": kind.meaning, **properties}
        self.template.add_parameter(Parameter(title, Type=kind.parameter_type, **properties))
        return kind(Ref(title))

    def nest(
        self, title: str, build: Callable[Concatenate[Stack, C, P], O], config: C, *args: P.args, **wires: P.kwargs
    ) -> O:
        """Build a nested stack, wire it in, and return its outputs as this stack sees them.

        `wires` are the keyword-only arguments of `build`. A wire that is None is left out: `build` gets None.
        Raises WiringError when the wires do not fit the signature, or come by position.
        """
        return self._nest(None, title, build, config, args, wires)

    def nest_if(
        self,
        condition: str,
        title: str,
        build: Callable[Concatenate[Stack, C, P], O],
        config: C,
        *args: P.args,
        **wires: P.kwargs,
    ) -> O:
        """`nest`, but CloudFormation makes the stack only while the condition holds."""
        return self._nest(condition, title, build, config, args, wires)

    def _nest(
        self,
        condition: str | None,
        title: str,
        build: Callable[..., O],
        config: object,
        unnamed: Sequence[object],
        wires: Mapping[str, object],
    ) -> O:
        kinds = check_wires(title, build, unnamed, wires)
        child = Stack(title, describe(build))
        given: dict[str, Value] = {}

        def inside(name: str, wire: object, kind: type[Value]) -> object:
            if isinstance(wire, Value):
                given[name] = wire
                return child.parameter(kind, name)
            if isinstance(wire, Mapping):
                return {key: inside(f"{key}_{name}", entry, kind) for key, entry in wire.items()}
            return None

        outputs = build(child, config, **{name: inside(name, wire, kinds[name]) for name, wire in wires.items()})
        child.declare_outputs(outputs)
        if inner := sorted(name for name, value in values_of(outputs).items() if value.condition):
            raise WiringError(
                f"nested stack {title}: its output {inner[0]} is there only while a condition holds inside it, which"
                " its parent cannot know; put the condition on this stack"
            )

        resource = NestedStack(title, TemplateURL=UNRENDERED + file_name(title))
        if given:
            resource.Parameters = {pascal(name): wire.crossing() for name, wire in given.items()}
        if condition:
            resource.Condition = condition
        self.add(resource)
        self.children[title] = child

        def here(name: str, output: Any) -> Any:
            if isinstance(output, Value):
                return type(output)(GetAtt(title, f"Outputs.{pascal(name)}"), condition=condition)
            if isinstance(output, Mapping):
                return {key: here(f"{key}_{name}", entry) for key, entry in output.items()}
            return output

        return type(outputs)(**{name: here(name, getattr(outputs, name)) for name in _hints(outputs)})

    def give(self, title: str, name: str, value: V) -> V:
        """Hand one more value to a nested stack that is built already, and return it as that one sees it.

        It is one more of its parameters, by `name`. Raises WiringError where it has a parameter of that name.
        """
        child, resource = self.children[title], self.template.resources[title]
        if (parameter := pascal(name)) in child.template.parameters:
            raise WiringError(
                f"nested stack {title}: it is given {parameter} already; give one of the two another name"
            )
        inside = child.parameter(type(value), name)
        resource.Parameters = {**resource.properties.get("Parameters", {}), parameter: value.crossing()}
        return inside

    def declare_outputs(self, outputs: object) -> None:
        """Add one Output for each value of an outputs object; a field that is None is left out."""
        hints = _hints(outputs)
        for name, value in values_of(outputs).items():
            output = Output(pascal(name), Value=value.crossing())
            field = name if name in hints else next(field for field in hints if name.endswith(f"_{field}"))
            # Annotated[Text, "The address..."]: the words that the console shows beside the output.
            if words := [word for word in get_args(hints[field])[1:] if isinstance(word, str)]:
                output.Description = words[0]
            if value.condition:
                output.Condition = value.condition
            self.template.add_output(output)


def _hints(outputs: object) -> dict[str, Any]:
    """The fields of an outputs object, with their annotations."""
    kind: Any = type(outputs)
    return _class_hints(kind)


@functools.cache
def _class_hints(outputs: Any) -> dict[str, Any]:
    return get_type_hints(outputs, include_extras=True)


def values_of(outputs: object) -> dict[str, Value]:
    """The values of an outputs object by field, those of a dict by entry and field: `web_url`."""
    if not hasattr(outputs, "__struct_fields__") and not hasattr(outputs, "__dataclass_fields__"):
        raise WiringError(f"a build function returns a frozen dataclass or msgspec.Struct of values, not {outputs!r}")
    values: dict[str, Value] = {}
    for name in _hints(outputs):
        field = getattr(outputs, name)
        if isinstance(field, Value):
            values[name] = field
        elif isinstance(field, Mapping):
            values |= {f"{key}_{name}": value for key, value in field.items() if isinstance(value, Value)}
    return values


def describe(build: Callable[..., object]) -> str:
    """A template's Description: the first line of its module's docstring, or of the function's own."""
    own = inspect.getdoc(build)
    module = sys.modules[build.__module__].__doc__ if build.__name__ == "build" else None
    return next(iter((own or module or build.__name__).strip().splitlines()))


class Wire(NamedTuple):
    """What a keyword-only argument of a build function takes: a kind of value, perhaps None, or several by name."""

    kind: type[Value]
    optional: bool
    by_name: bool

    def takes(self, wire: object) -> bool:
        if self.by_name:
            return isinstance(wire, Mapping) and all(isinstance(entry, self.kind) for entry in wire.values())
        return isinstance(wire, self.kind) or (wire is None and self.optional)

    def __str__(self) -> str:
        return f"dict of {self.kind.__name__}" if self.by_name else self.kind.__name__


@functools.cache
def wires_of(build: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """The keyword-only arguments of a build function, by name."""
    # From Python 3.14 on a partial counts as a routine, though it has no name.
    if not inspect.isroutine(build) or isinstance(build, functools.partial):
        raise WiringError(f"a stack is a function of a Stack and a config; got {type(build).__name__}")
    arguments = inspect.signature(build).parameters.items()
    return {name: argument for name, argument in arguments if argument.kind is inspect.Parameter.KEYWORD_ONLY}


@functools.cache
def kinds_of(build: Callable[..., object]) -> dict[str, Wire]:
    """The wires that a build function takes."""
    hints = get_type_hints(build)
    kinds = {}
    for name in wires_of(build):
        hint = hints.get(name)
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        by_name = get_origin(hint) in (dict, Mapping) and get_args(hint)[1:]
        kind = next((o for o in by_name or options if isinstance(o, type) and issubclass(o, Value)), None)
        if kind is None:
            raise WiringError(f"{build.__module__}.{build.__name__}: {name} needs a kind of value as its annotation")
        kinds[name] = Wire(kind, type(None) in options, bool(by_name))
    return kinds


def check_wires(
    title: str, build: Callable[..., object], unnamed: Sequence[object], wires: Mapping[str, object]
) -> dict[str, type[Value]]:
    """The kinds that a build function wants, once the wires are known to fit them."""
    kinds, arguments = kinds_of(build), wires_of(build)
    problems = [f"it does not take {type(wire).__name__} by position" for wire in unnamed]
    problems += [f"it does not take {name}" for name in wires if name not in kinds]
    for name, wanted in kinds.items():
        if name not in wires:
            if arguments[name].default is inspect.Parameter.empty:
                problems.append(f"it lacks {name}: {wanted}")
        elif not wanted.takes(wires[name]):
            problems.append(f"{name} wants {wanted} and got {_named(wires[name])}")
    if problems:
        takes = ", ".join(f"{name}: {wanted}" for name, wanted in kinds.items()) or "nothing"
        raise WiringError(f"nested stack {title}: {'; '.join(problems)}. It takes {takes}.")
    return {name: wanted.kind for name, wanted in kinds.items()}


def _named(wire: object) -> str:
    """What a wire is, for a message."""
    if isinstance(wire, Mapping):
        return f"dict of {', '.join(sorted({type(entry).__name__ for entry in wire.values()})) or 'nothing'}"
    return type(wire).__name__
