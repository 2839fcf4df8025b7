"""The only machinery: a stack is a function, its keyword-only arguments are its template's Parameters, and the
frozen object of values that it returns is its Outputs: a msgspec.Struct, as ours are, or a dataclass.

`Stack.nest` builds a child, wires it in, and hands back the same object as seen from the parent. An output
exists only after the call that makes it, so a cycle between nested stacks cannot be written.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from troposphere import AWSHelperFn, AWSObject, GetAtt, Output, Parameter, Ref, Template
from troposphere.cloudformation import Stack as NestedStack

from scaleout_cfn.errors import WiringError
from scaleout_cfn.parameters import asked, name_of
from scaleout_cfn.tunables import Section
from scaleout_cfn.values import Value

__all__ = ["Stack", "file_name", "pascal"]

C = TypeVar("C")
O = TypeVar("O")
P = ParamSpec("P")
R = TypeVar("R", bound=AWSObject)
V = TypeVar("V", bound=Value)

#: Written into TemplateURL while composing; `render` puts the form that is asked for in its place.
UNRENDERED = "https://unrendered.invalid/"


def pascal(name: str) -> str:
    """The CloudFormation name of a Python one: `min_tasks` becomes `MinTasks`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


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
        given = {name: wire for name, wire in wires.items() if isinstance(wire, Value)}
        seen_inside = {name: child.parameter(kinds[name], name) for name in given}
        outputs = build(child, config, **{name: seen_inside.get(name) for name in wires})
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
        seen_here = {
            name: type(value)(GetAtt(title, f"Outputs.{pascal(name)}"), condition=condition)
            for name, value in values_of(outputs).items()
        }
        return type(outputs)(**{name: seen_here.get(name, getattr(outputs, name)) for name in _hints(outputs)})

    def declare_outputs(self, outputs: object) -> None:
        """Add one Output for each field of an outputs object; a field that is None is left out."""
        hints = _hints(outputs)
        for name, value in values_of(outputs).items():
            output = Output(pascal(name), Value=value.crossing())
            # Annotated[Text, "The address..."]: the words that the console shows beside the output.
            if words := [word for word in get_args(hints[name])[1:] if isinstance(word, str)]:
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
    """The fields of an outputs object that hold a value."""
    if not hasattr(outputs, "__struct_fields__") and not hasattr(outputs, "__dataclass_fields__"):
        raise WiringError(f"a build function returns a frozen dataclass or msgspec.Struct of values, not {outputs!r}")
    fields = {name: getattr(outputs, name) for name in _hints(outputs)}
    return {name: value for name, value in fields.items() if isinstance(value, Value)}


def describe(build: Callable[..., object]) -> str:
    """A template's Description: the first line of its module's docstring, or of the function's own."""
    own = inspect.getdoc(build)
    module = sys.modules[build.__module__].__doc__ if build.__name__ == "build" else None
    return next(iter((own or module or build.__name__).strip().splitlines()))


@functools.cache
def wires_of(build: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """The keyword-only arguments of a build function, by name."""
    if not inspect.isroutine(build):
        raise WiringError(f"a stack is a function of a Stack and a config; got {type(build).__name__}")
    arguments = inspect.signature(build).parameters.items()
    return {name: argument for name, argument in arguments if argument.kind is inspect.Parameter.KEYWORD_ONLY}


@functools.cache
def kinds_of(build: Callable[..., object]) -> dict[str, tuple[type[Value], bool]]:
    """The kind of each wire of a build function, and whether it may be None."""
    hints = get_type_hints(build)
    kinds = {}
    for name in wires_of(build):
        hint = hints.get(name)
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        kind = next((option for option in options if isinstance(option, type) and issubclass(option, Value)), None)
        if kind is None:
            raise WiringError(f"{build.__module__}.{build.__name__}: {name} needs a kind of value as its annotation")
        kinds[name] = (kind, type(None) in options)
    return kinds


def check_wires(
    title: str, build: Callable[..., object], unnamed: Sequence[object], wires: Mapping[str, object]
) -> dict[str, type[Value]]:
    """The kinds that a build function wants, once the wires are known to fit them."""
    kinds, arguments = kinds_of(build), wires_of(build)
    problems = [f"it does not take {type(wire).__name__} by position" for wire in unnamed]
    problems += [f"it does not take {name}" for name in wires if name not in kinds]
    for name, (kind, optional) in kinds.items():
        if name not in wires:
            if arguments[name].default is inspect.Parameter.empty:
                problems.append(f"it lacks {name}: {kind.__name__}")
        elif (wires[name] is None and not optional) or (wires[name] is not None and not isinstance(wires[name], kind)):
            problems.append(f"{name} wants {kind.__name__} and got {type(wires[name]).__name__}")
    if problems:
        takes = ", ".join(f"{name}: {kind.__name__}" for name, (kind, _) in kinds.items()) or "nothing"
        raise WiringError(f"nested stack {title}: {'; '.join(problems)}. It takes {takes}.")
    return {name: kind for name, (kind, _) in kinds.items()}
