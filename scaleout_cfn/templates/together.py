"""Templates as one deployment has them: each root's parameters at a value, and what its stacks tell one another.

The lint asks what holds whatever is chosen; who wants to know what a set does asks what holds as it is deployed. So
a parameter of a root counts as the value that is given for it, or else as its default, in conditions too; an import is
what another stack of the set exports by that name, and an SSM parameter what another one stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.errors import UsageError
from scaleout_cfn.templates.facts import Facts, names_in
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import SSM_VALUE, Scope, StackView, Symbol, Text
from scaleout_cfn.templates.values import UNKNOWN, is_list_type, is_plain


def deployed(
    templates: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str] | None = None,
    published: Mapping[str, str] | None = None,
) -> StackSet:
    """The stacks of a set as they are deployed with values `given` by name: of a root's parameter, of an export that
    is imported, or of an SSM parameter.

    One name for all three, for who is asked for a value need not know by which function his template takes it. Raises
    UsageError for a name that nothing asks for, and for a value that a parameter does not allow.
    """
    given = given or {}
    stacks = StackSet(templates, published=published, as_root=lambda name, body: with_values(name, body, given))
    others = _Others(stacks, given)
    for root in stacks.roots:
        root.others = others
    if given:
        known = {name for root in stacks.roots for name in root.facts.parameters} | set(_asked_elsewhere(stacks))
        for name in given:
            if name not in known:
                there = ", ".join(sorted(known)) or "none"
                raise UsageError(f"{name}: no parameter, import or SSM parameter of that name; there is {there}")
    return stacks


def ways_to_set(stack: StackView, node: Any) -> list[str]:
    """The names by which a value could be given for an expression, those that have none first."""
    names: set[str] = set()
    names_in(node, names, [])
    unset = {symbol.name: "Default" in symbol.stack.facts.parameters[symbol.name] for symbol in stack.roots_of(names)}
    imported = [stack.scope_of({}).value(name) for _, name in Facts({"Resources": {"": node}}).imports]
    return sorted(unset, key=lambda name: (unset[name], name)) + [name for name in imported if isinstance(name, str)]


def with_values(file: str, body: Mapping[str, Any], given: Mapping[str, str]) -> Mapping[str, Any]:
    """A root with one value allowed for each parameter: the one that is given, or its default.

    Raises UsageError for a value that its parameter does not allow.
    """
    parameters = body.get("Parameters")
    if not isinstance(parameters, Mapping):
        return body
    return {**body, "Parameters": {name: _parameter(file, name, one, given) for name, one in parameters.items()}}


def _parameter(file: str, name: str, definition: Any, given: Mapping[str, str]) -> Any:
    if not isinstance(definition, Mapping):
        return definition
    kind = str(definition.get("Type", "String"))
    if name in given:
        allowed = definition.get("AllowedValues")
        if isinstance(allowed, list) and given[name] not in [str(value) for value in allowed]:
            raise UsageError(f"{name}={given[name]}: {file} takes {', '.join(map(str, allowed))}")
        # What is looked up in SSM is known by now.
        inner = kind.removeprefix(SSM_VALUE).removesuffix(">") if kind.startswith(SSM_VALUE) else kind
        return {**definition, "Type": inner, "Default": given[name], "AllowedValues": [given[name]]}
    default = definition.get("Default")
    # A default of nothing may mean that something is to be left out, as a service of which no image is there yet.
    if not is_plain(default) or default == "" or is_list_type(kind) or kind.startswith(SSM_VALUE):
        return definition
    return {**definition, "AllowedValues": [default]}


class _Others:
    """What the stacks of a set export and store, and what is given for the rest."""

    def __init__(self, stacks: StackSet, given: Mapping[str, str]) -> None:
        self.stacks = stacks
        self.given = given
        self._exports: list[tuple[Any, StackView, str]] | None = None
        self._stored: list[tuple[Any, Any]] | None = None
        self._busy = False

    def exported(self, asking: StackView, name: Any) -> Any:
        if isinstance(name, str) and name in self.given:
            return self.given[name]
        if self._busy:
            return UNKNOWN
        if self._exports is None:
            self._exports = self._read(self._exports_of)
        several = [(stack, output) for other, stack, output in self._exports if _alike(other, name)]
        if len(several) == 1:
            stack, output = several[0]
            return stack.output(output)
        # It is known once deployed, as a parameter without a value is: what it is part of can be told.
        said = name if isinstance(name, str) else _said(name)
        return Symbol(asking, said, "", "", False) if said else UNKNOWN

    def stored(self, name: Any) -> Any:
        if isinstance(name, str) and name in self.given:
            return self.given[name]
        if self._busy or not isinstance(name, (str, Text)):
            return UNKNOWN
        if self._stored is None:
            self._stored = self._read(self._stored_of)
        several = [value for other, value in self._stored if _alike(other, name)]
        return several[0] if len(several) == 1 else UNKNOWN

    def _read(self, read: Any) -> list[Any]:
        # A name that hangs on an import itself is not followed: it could go round.
        self._busy = True
        try:
            return list(read())
        finally:
            self._busy = False

    def _exports_of(self) -> Iterator[tuple[Any, StackView, str]]:
        for stack in self.stacks.stacks:
            for name, output in stack.facts.outputs.items():
                export = output.get("Export")
                if isinstance(export, Mapping) and stack.condition(output.get("Condition")) is not False:
                    yield stack.scope_of(output).value(export.get("Name")), stack, name

    def _stored_of(self) -> Iterator[tuple[Any, Any]]:
        for parameter in self.stacks.of_type("AWS::SSM::Parameter"):
            yield parameter.get("Name"), parameter.get("Value")


def _asked_elsewhere(stacks: StackSet) -> Iterator[str]:
    """The exports and SSM parameters that the stacks of a set ask for by a name that is known."""
    for stack in stacks.stacks:
        scope: Scope = stack.scope_of({})
        names = [scope.value(name) for _, name in stack.facts.imports]
        parameters = stack.facts.parameters.values()
        names += [one.get("Default") for one in parameters if str(one.get("Type", "")).startswith(SSM_VALUE)]
        yield from (name for name in names if isinstance(name, str))


def _alike(left: Any, right: Any) -> bool:
    """Whether two names may be the same: `${AWS::StackName}-Vpc` is one that ends in -Vpc, whatever it begins with."""
    (head, tail, whole), (other_head, other_tail, other_whole) = _ends(left), _ends(right)
    if whole and other_whole:
        return head == other_head
    if whole or other_whole:
        text = head if whole else other_head
        begin, end = (other_head, other_tail) if whole else (head, tail)
        return bool(begin or end) and len(text) > len(begin + end) and text.startswith(begin) and text.endswith(end)
    return bool(tail) and tail == other_tail


def _ends(name: Any) -> tuple[str, str, bool]:
    """What a name begins and ends with, as far as it is known, and whether that is all of it."""
    if isinstance(name, str):
        return name, "", True
    parts = name.parts if isinstance(name, Text) else ()
    if not parts:
        return "", "", False
    head, tail = parts[0], parts[-1]
    return head if isinstance(head, str) else "", tail if isinstance(tail, str) else "", False


def _said(name: Any) -> str:
    parts = name.parts if isinstance(name, Text) else (name,) if isinstance(name, Symbol) else ()
    return "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in parts)
