"""What an expression of a template gives: plain data, a Symbol, a Text, or UNKNOWN, which no rule may judge.

Values are followed across stack borders: a `Ref` to a parameter is what the parent passes, and a `Fn::GetAtt` of a
child's output is what the child's output says.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.templates.facts import VARIABLE, attribute_of, is_function, sub_parts

if TYPE_CHECKING:
    from scaleout_cfn.templates.stacks import Stack

__all__ = ["EVERYTHING", "UNKNOWN", "Everything", "Scope", "Symbol", "Text", "as_number", "is_list_type", "resource_of"]


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


class Everything:
    def __contains__(self, _: object) -> bool:
        return True


UNKNOWN: Final = _Unknown()


EVERYTHING: Final = Everything()


class Symbol(Struct, frozen=True):
    """A value that exists only once deployed, named by where it comes from.

    `type` is a resource's or a parameter's type, empty for a pseudo parameter. `attribute` is empty
    for what `Ref` gives.
    """

    stack: Stack
    name: str
    attribute: str
    type: str
    is_resource: bool

    @property
    def bare(self) -> Symbol:
        """The resource itself, whichever of its attributes this is."""
        return replace(self, attribute="")

    def __str__(self) -> str:
        place = f"{self.name}.{self.attribute}" if self.attribute else self.name
        return f"{place} ({self.type}) of {self.stack.file}" if self.type else place


class Text(Struct, frozen=True):
    """A string with Symbols in it."""

    parts: tuple[str | Symbol, ...]


class Scope(Struct, frozen=True):
    """Reads expressions of one stack.

    A root parameter counts as its Default, except the `doubtful` ones: those that decide whether the
    thing being read exists, so that their Default may mean "leave it out". `assumed` conditions hold.
    """

    stack: Stack
    doubtful: frozenset[Symbol] | Everything
    assumed: frozenset[str]

    def get(self, node: Any, *path: str) -> Any:
        """What is at a path of properties: None where absent, UNKNOWN where that cannot be told."""
        node = self.value(node)
        for key in path:
            if not isinstance(node, Mapping):
                return UNKNOWN if node is not None else None
            node = self.value(node.get(key))
        return node

    def items(self, node: Any, *path: str) -> list[Any] | None:
        """The items of a list of properties, those left out by AWS::NoValue dropped; None if unknown."""
        found = self.get(node, *path)
        if found is None:
            return []
        if not isinstance(found, list) or any(item is UNKNOWN for item in found):
            return None
        return [item for item in found if item is not None]

    def value(self, node: Any) -> Any:
        """What an expression gives: plain data, a Symbol, a Text, None for AWS::NoValue, or UNKNOWN.

        Mappings that are no function come back as they are, to be read key by key with `get`.
        """
        if isinstance(node, str):
            return UNKNOWN if "{{resolve:" in node else node
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, Mapping) or not is_function(node):
            return node
        (function, argument), *_ = node.items()
        if function not in _FUNCTIONS:
            return UNKNOWN
        mark = (id(node), id(self.stack))
        active = self.stack.stacks.active
        if mark in active:
            return UNKNOWN
        active.add(mark)
        try:
            return _FUNCTIONS[function](self, argument)
        finally:
            active.discard(mark)

    def truth(self, node: Any) -> bool | None:
        """Whether a condition's expression holds; None where unknown."""
        if not isinstance(node, Mapping) or len(node) != 1:
            return None
        (function, argument), *_ = node.items()
        if function == "Condition":
            return True if isinstance(argument, str) and argument in self.assumed else self.stack.condition(argument)
        if not isinstance(argument, list):
            return None
        if function == "Fn::Equals" and len(argument) == 2:
            left, right = (self.value(side) for side in argument)
            if left == right and not _has_unknown(left):
                return True
            return _text(left) == _text(right) if _is_plain(left) and _is_plain(right) else None
        parts = [self.truth(part) for part in argument]
        if function == "Fn::Not" and len(parts) == 1:
            return None if parts[0] is None else not parts[0]
        if function == "Fn::And":
            return False if False in parts else None if None in parts else True
        if function == "Fn::Or":
            return True if True in parts else None if None in parts else False
        return None

    def _ref(self, name: Any) -> Any:
        stack = self.stack
        if not isinstance(name, str):
            return UNKNOWN
        if name == "AWS::NoValue":
            return None
        if name.startswith("AWS::"):
            own = name in ("AWS::StackName", "AWS::StackId")
            return Symbol(stack if own else stack.root, name, "", "", False)
        if name in stack.facts.parameters:
            return self._parameter(name)
        return stack.symbol(name) if name in stack.facts.resources else UNKNOWN

    def _parameter(self, name: str) -> Any:
        stack = self.stack
        definition = stack.facts.parameters[name]
        kind = str(definition.get("Type", "String"))
        if kind.startswith("AWS::SSM::Parameter::Value<"):
            return stack.symbol(name)
        if stack.parent is None or stack.nested is None:
            symbol = stack.symbol(name)
            if "Default" not in definition or symbol in self.doubtful:
                return symbol
            return _parameter_value(definition["Default"], kind)
        arguments = stack.nested.arguments
        if arguments is None:
            return UNKNOWN
        passed = None
        if name in arguments:
            outer = stack.parent.scope_of(stack.parent.resource(stack.nested.logical_id))
            doubtful = _both(self.doubtful, outer.doubtful)
            passed = Scope(stack.parent, doubtful, outer.assumed).value(arguments[name])
        if passed is None:
            passed = definition.get("Default", UNKNOWN)
        return _parameter_value(passed, kind)

    def _get_att(self, argument: Any) -> Any:
        name, attribute = attribute_of(argument)
        stack = self.stack
        if not name or name not in stack.facts.resources:
            return UNKNOWN
        head, _, output = attribute.partition(".")
        if head == "Outputs" and name in stack.stacks.nested_of(stack.file):
            child = stack.children.get(name)
            if child is None or output not in child.facts.outputs:
                return UNKNOWN
            entry = child.facts.outputs[output]
            inner = child.scope_of(entry)
            doubtful = _both(self.doubtful, inner.doubtful)
            return Scope(child, doubtful, inner.assumed).value(entry.get("Value", UNKNOWN))
        return stack.symbol(name, attribute)

    def _sub(self, argument: Any) -> Any:
        template, given = sub_parts(argument)
        if not template:
            return UNKNOWN if argument else ""
        parts: list[Any] = []
        for index, piece in enumerate(VARIABLE.split(template)):
            if index % 2 == 0:
                parts.append(piece)
            elif piece.startswith("!"):
                parts.append(f"${{{piece[1:]}}}")
            elif piece in given:
                parts.append(self.value(given[piece]))
            elif "." in piece:
                parts.append(self._get_att(piece.strip()))
            else:
                parts.append(self._ref(piece.strip()))
        return _glue(parts)

    def _join(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            return UNKNOWN
        items = self.value(argument[1])
        if isinstance(items, Symbol) and is_list_type(items.type) and argument[0] == ",":
            return items
        if not isinstance(items, list):
            return UNKNOWN
        parts: list[Any] = []
        for item in items:
            if item is not None:
                parts += [argument[0], item] if parts else [item]
        return _glue(parts)

    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):
            return UNKNOWN
        name, then, otherwise = argument
        truth = True if name in self.assumed else self.stack.condition(name)
        if truth is not None:
            return self.value(then if truth else otherwise)
        left, right = self.value(then), self.value(otherwise)
        return left if left == right and not _has_unknown(left) else UNKNOWN

    def _select(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            return UNKNOWN
        index, items = as_number(self.value(argument[0])), self.value(argument[1])
        if index is None or not isinstance(items, list) or not 0 <= index < len(items):
            return UNKNOWN
        return items[int(index)]

    def _split(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            return UNKNOWN
        source = self.value(argument[1])
        return source.split(argument[0]) if isinstance(source, str) and argument[0] else UNKNOWN

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            return UNKNOWN
        found: Any = self.stack.facts.body.get("Mappings", {})
        for key in (self.value(part) for part in argument):
            if not isinstance(found, Mapping) or not isinstance(key, (str, int)) or str(key) not in found:
                return UNKNOWN
            found = found[str(key)]
        return found


_FUNCTIONS = {
    "Ref": Scope._ref,
    "Fn::GetAtt": Scope._get_att,
    "Fn::Sub": Scope._sub,
    "Fn::Join": Scope._join,
    "Fn::If": Scope._if,
    "Fn::Select": Scope._select,
    "Fn::Split": Scope._split,
    "Fn::FindInMap": Scope._find_in_map,
}


def resource_of(value: Any, *types: str) -> Symbol | None:
    """A value that is a resource of one of these types, else None."""
    return value if isinstance(value, Symbol) and value.is_resource and value.type in types else None


def is_list_type(parameter_type: str) -> bool:
    """Whether a parameter of this type is a list inside its template."""
    return parameter_type == "CommaDelimitedList" or "List<" in parameter_type


def as_number(value: Any) -> float | None:
    """A number, or a string that CloudFormation takes for one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _both(
    left: frozenset[Symbol] | Everything, right: frozenset[Symbol] | Everything
) -> frozenset[Symbol] | Everything:
    return EVERYTHING if isinstance(left, Everything) or isinstance(right, Everything) else left | right


def _parameter_value(value: Any, parameter_type: str) -> Any:
    if not is_list_type(parameter_type):
        return value
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value else []
    if isinstance(value, Text):
        return _split_text(value)
    if isinstance(value, Symbol):
        return value if is_list_type(value.type) else [value]
    return [value] if isinstance(value, (int, float)) else value


def _split_text(text: Text) -> list[Any]:
    items: list[list[Any]] = [[]]
    for part in text.parts:
        if isinstance(part, str):
            first, *rest = part.split(",")
            items[-1].append(first)
            items.extend([piece] for piece in rest)
        else:
            items[-1].append(part)
    return [_glue(item) for item in items]


def _glue(parts: list[Any]) -> Any:
    """One string of several values: text where all are known, else a Text, a lone Symbol as it is."""
    glued: list[str | Symbol] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Text) else (part,):
            if isinstance(piece, Symbol):
                glued.append(piece)
            elif _is_plain(piece):
                text = _text(piece)
                if glued and isinstance(glued[-1], str):
                    glued[-1] += text
                elif text:
                    glued.append(text)
            else:
                return UNKNOWN
    if not glued:
        return ""
    return glued[0] if len(glued) == 1 else Text(tuple(glued))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_unknown(value: Any) -> bool:
    return value is UNKNOWN or (isinstance(value, list) and any(_has_unknown(item) for item in value))
