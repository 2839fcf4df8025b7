"""What passes between stacks: files, parameters, outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Fault, Faults, nearest, rule
from scaleout_cfn.templates.conditions import possible
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Nested, StackView
from scaleout_cfn.templates.values import as_number, is_list_type

_STACK = TEMPLATE_REFERENCE + "aws-resource-cloudformation-stack.html"
_PARAMETERS = GUIDE + "parameters-section-structure.html"


def _spelling(name: str, known: Mapping[str, Any], otherwise: str) -> str:
    close = nearest(name, known)
    return f"Did you mean {close}?" if close else otherwise


def _listed(names: Mapping[str, Any]) -> str:
    shown = ", ".join(list(names)[:8])
    return f"{shown}, ..." if len(names) > 8 else shown or "none"


@rule("S101", _STACK)
def missing_child_file(stacks: StackSet) -> Faults:
    """The template file of every nested stack is in the set."""
    for nested in stacks.nested:
        if nested.missing is not None:
            yield Fault(
                nested.parent,
                f"{nested.path}.{'TemplateURL' if 'TemplateURL' in nested.properties else 'Location'}",
                f"{nested.logical_id} nests {nested.missing}, which is not in the set.",
                _spelling(nested.missing, stacks.facts, f"The set has {_listed(stacks.facts)}."),
            )


@rule("S102", GUIDE + "using-cfn-nested-stacks.html")
def file_cycle(stacks: StackSet) -> Faults:
    """No template nests itself, directly or through its children."""
    done: set[str] = set()
    for start in stacks.facts:
        ring = _ring(stacks, start, (), done)
        if ring:
            first, *others = ring
            chain = " -> ".join([*(nested.parent for nested in ring), first.parent])
            yield Fault(
                first.parent,
                f"Resources.{first.logical_id}",
                f"The templates nest each other in a ring: {chain}." if others else f"{first.parent} nests itself.",
                "Nested stacks form a tree: take one of these nested stacks out.",
            )


def _ring(stacks: StackSet, file: str, above: tuple[Nested, ...], done: set[str]) -> tuple[Nested, ...]:
    for index, nested in enumerate(above):
        if nested.parent == file:
            return above[index:]
    if file in done:
        return ()
    done.add(file)
    for nested in stacks.nested_of(file).values():
        if nested.child is not None:
            ring = _ring(stacks, nested.child, (*above, nested), done)
            if ring:
                return ring
    return ()


def _is_written_out(stacks: StackSet, nested: Nested) -> bool:
    """Whether what is passed and what is wanted are there as written: no macro makes anything else of them."""
    if nested.child is None or "Fn::Transform" in nested.properties:
        return False
    return stacks.facts[nested.parent].closed("Resources") and stacks.facts[nested.child].closed("Parameters")


@rule("S103", _STACK, overlaps=["E3043"])
def unknown_parameter(stacks: StackSet) -> Faults:
    """A parent passes a nested stack only parameters that its template declares."""
    for nested in stacks.nested:
        if nested.child is None or not _is_written_out(stacks, nested):
            continue
        declared = stacks.facts[nested.child].parameters
        for name, value in (nested.arguments or {}).items():
            if name not in declared and not _may_be_left_out(value):
                yield Fault(
                    nested.parent,
                    f"{nested.path}.Parameters.{name}",
                    f"{nested.child} has no parameter {name}.",
                    _spelling(name, declared, f"Its parameters are {_listed(declared)}."),
                )


@rule("S104", _STACK, overlaps=["E3043"])
def missing_parameter(stacks: StackSet) -> Faults:
    """A parent passes a nested stack every parameter that has no default."""
    for nested in stacks.nested:
        if nested.child is None or nested.arguments is None or not _is_written_out(stacks, nested):
            continue
        passed = nested.arguments
        for name, definition in stacks.facts[nested.child].parameters.items():
            left_out = name not in passed or passed[name] == {"Ref": "AWS::NoValue"}
            if left_out and "Default" not in definition:
                yield Fault(
                    nested.parent,
                    f"{nested.path}.Parameters" if passed else nested.path,
                    f"{nested.logical_id} is not given {name} ({definition.get('Type', 'String')}), which "
                    f"{nested.child} requires: it has no default.",
                    f"Pass {name}, or give it a Default in {nested.child}.",
                )


@rule("S105", TEMPLATE_REFERENCE + "intrinsic-function-reference-getatt.html", overlaps=["E1010", "E1019", "E6101"])
def unknown_output(stacks: StackSet) -> Faults:
    """Fn::GetAtt and Fn::Sub read only outputs that the nested template declares."""
    for file, facts in stacks.facts.items():
        nested = stacks.nested_of(file)
        for path, name, attribute in facts.attributes if nested else ():
            child = nested[name].child if name in nested else None
            head, _, output = attribute.partition(".")
            if child is None or head != "Outputs" or not stacks.facts[child].closed("Outputs"):
                continue
            outputs = stacks.facts[child].outputs
            if output not in outputs:
                yield Fault(
                    file,
                    ".".join(path),
                    f"{child} has no output {output}, which is read here as {name}.{attribute}.",
                    _spelling(output, outputs, f"Its outputs are {_listed(outputs)}."),
                )
    for stack in stacks.stacks:
        yield from _never_there(stack)


def _never_there(stack: StackView) -> Faults:
    """Outputs whose condition no deployment makes true that reads them."""
    for path, name, attribute in stack.facts.attributes if stack.children else ():
        head, _, output = attribute.partition(".")
        child, *others = stack.children.get(name, (None,))
        if child is None or others or head != "Outputs" or output not in child.facts.outputs:
            continue
        condition = child.facts.outputs[output].get("Condition")
        reading = stack.presence_at(path) if condition else False
        if condition and possible(reading) and possible(reading, child.when(condition)) is False:
            yield Fault(
                stack.file,
                ".".join(path),
                f"{child.file} has output {output} only where {condition} holds, and with what is passed it never "
                f"does where {name}.{attribute} is read.",
                f"Read it under a condition that goes with {condition}, or pass what makes that hold.",
            )


@rule("S106", "https://repost.aws/knowledge-center/cloudformation-parameters-nested-stacks")
def list_passed(stacks: StackSet) -> Faults:
    """What a parent passes a nested stack is a string or a number, never a list."""
    for nested in stacks.nested:
        for name, value in (nested.arguments or {}).items():
            what = _list_in_words(value, stacks.facts[nested.parent].parameters)
            if what:
                yield Fault(
                    nested.parent,
                    f"{nested.path}.Parameters.{name}",
                    f"{name} of {nested.logical_id} is passed {what}; nested stacks take strings only.",
                    'Join it: Fn::Join [",", ...]. A list parameter of the child takes it apart again.',
                )


def _list_in_words(value: Any, parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """What list an expression gives, as far as one sees it; empty where it may be none."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function in ("Fn::Split", "Fn::GetAZs", "Fn::Cidr"):
            return f"the list that {function} gives"
        if function == "Ref" and isinstance(argument, str) and argument in parameters:
            kind = str(parameters[argument].get("Type", "String"))
            return f"{argument}, which is a {kind}" if is_list_type(kind) else ""
    return ""


@rule("S107", _PARAMETERS)
def broken_constraint(stacks: StackSet) -> Faults:
    """A value that is known keeps to the constraints of the child's parameter."""
    for stack, nested, name, definition, value in passed(stacks):
        kind = str(definition.get("Type", "String"))
        items = _literals(value, is_list_type(kind) or kind == "CommaDelimitedList")
        reason = next(filter(None, (_broken(item, kind, definition) for item in items)), None)
        if reason:
            by_default = is_placeholder(stack, name)
            yield Fault(
                nested.parent,
                f"{nested.path}.Parameters.{name}",
                f"{name} of {stack.file} {reason}{', by a default' if by_default else ''}.",
                str(definition.get("ConstraintDescription") or f"Pass a value that {stack.file} allows."),
                "warning" if by_default else None,
            )


def is_placeholder(stack: StackView, name: str) -> bool:
    """Whether a stack is made only when asked for, so that a root's default may say no more than that nobody has."""
    return stack.exists is not True and not stack.is_fixed(name)


def _may_be_left_out(value: Any) -> bool:
    """Whether a condition may take the parameter away."""
    argument = value.get("Fn::If") if isinstance(value, Mapping) and len(value) == 1 else None
    return isinstance(argument, list) and any(
        side == {"Ref": "AWS::NoValue"} or _may_be_left_out(side) for side in argument[1:]
    )


Passed: TypeAlias = tuple[StackView, Nested, str, Mapping[str, Any], Any]


def passed(stacks: StackSet) -> Iterator[Passed]:
    """Each parameter that a parent passes a stack: the child, the nesting, name, definition and value."""
    for stack in stacks.stacks:
        if stack.parent is None or stack.nested is None or stack.exists is False:
            continue
        if _is_written_out(stacks, stack.nested):
            yield from stack.remembered(("passed",), partial(_passed, stack, stack.parent, stack.nested))


def _passed(stack: StackView, parent: StackView, nested: Nested) -> list[Passed]:
    scope = parent.place(nested.logical_id).scope
    return [
        (stack, nested, name, stack.facts.parameters[name], scope.value(expression))
        for name, expression in (nested.arguments or {}).items()
        if name in stack.facts.parameters and "Fn::Transform" not in stack.facts.parameters[name]
    ]


def _literals(value: Any, is_list: bool) -> list[Any]:
    if isinstance(value, list):
        # S106 says that a list cannot be passed at all.
        return []
    if not isinstance(value, (str, int, float)):
        return []
    return [item.strip() for item in value.split(",")] if is_list and isinstance(value, str) else [value]


def _broken(item: Any, kind: str, definition: Mapping[str, Any]) -> str | None:
    text = str(item).lower() if isinstance(item, bool) else str(item)
    number = as_number(item)
    said = f'is "{text}"'
    if kind in ("Number", "List<Number>") and number is None:
        return f"{said}, which is not a number"
    allowed = definition.get("AllowedValues")
    if isinstance(allowed, list) and not any(_equal(text, number, choice) for choice in allowed):
        return f"{said}; allowed are {', '.join(str(choice) for choice in allowed[:12])}"
    pattern = definition.get("AllowedPattern")
    if isinstance(pattern, str) and kind not in ("Number", "List<Number>") and not _matches(pattern, text):
        return f"{said}, which does not match {pattern}"
    for bound, least in (("MinLength", True), ("MaxLength", False)):
        limit = as_number(definition.get(bound))
        if limit is not None and kind == "String" and (len(text) < limit if least else len(text) > limit):
            return f"{said}, {len(text)} characters; {bound} is {limit:g}"
    for bound, least in (("MinValue", True), ("MaxValue", False)):
        limit = as_number(definition.get(bound))
        if limit is not None and number is not None and (number < limit if least else number > limit):
            return f"{said}; {bound} is {limit:g}"
    return None


def _equal(text: str, number: float | None, choice: Any) -> bool:
    written = str(choice).lower() if isinstance(choice, bool) else str(choice)
    return text == written or (number is not None and number == as_number(choice))


def _matches(pattern: str, text: str) -> bool:
    # CloudFormation's patterns are Java's, and people write ones that backtrack for ever. RE2 does not backtrack; what
    # it does not take (looking ahead and back, \\p{Digit}) or reads otherwise (a class within a class) proves nothing.
    if re.search(r"\[[^\]]*(&&|\[)", pattern):
        return True
    import re2  # only a set with patterns pays for it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).fullmatch(text) is not None
    except re2.error:
        return True


@rule("S110", GUIDE + "troubleshooting.html", overlaps=["E3004"])
def stack_cycle(stacks: StackSet) -> Faults:
    """Nested stacks do not wait for each other in a circle."""
    for file, facts in stacks.facts.items():
        reported: set[str] = set()
        knotted = _knotted(facts.dependencies) if stacks.nested_of(file) else {}
        for name in stacks.nested_of(file):
            ring = _circle(knotted, name) if name in knotted and name not in reported else []
            reported.update(ring)
            if ring:
                yield Fault(
                    file,
                    f"Resources.{name}",
                    f"These wait for each other: {' -> '.join([*ring, ring[0]])}.",
                    "Break the circle: move what both sides need into one stack that neither waits for.",
                    also=tuple(f"Resources.{other}" for other in ring),
                )


def _knotted(graph: Mapping[str, set[str]]) -> Mapping[str, set[str]]:
    """What is left of a graph without those that wait for no circle."""
    order = TopologicalSorter(graph)
    with suppress(CycleError):
        order.prepare()
    free: set[str] = set()
    while ready := order.get_ready():
        free.update(ready)
        order.done(*ready)
    return {name: waits - free for name, waits in graph.items() if name not in free}


def _circle(graph: Mapping[str, set[str]], start: str) -> list[str]:
    """The shortest way from a resource back to itself."""
    waiting, before = [start], {start: ""}
    for name in waiting:
        for other in sorted(graph.get(name, ())):
            if other == start:
                way = [name]
                while before[way[-1]]:
                    way.append(before[way[-1]])
                return way[::-1]
            if other not in before:
                before[other] = name
                waiting.append(other)
    return []


@rule(
    "S111",
    "https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759",
    severity="warning",
)
def split_output(stacks: StackSet) -> Faults:
    """A child does not use Fn::Select or Fn::Split on what its parent feeds it from a sibling's output."""
    told: set[tuple[str, str]] = set()
    for stack in stacks.stacks:
        uses: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for path, function, parameter in stack.facts.splits:
            uses.setdefault(parameter, []).append((path, function))
        for parameter, ((path, function), *more) in uses.items():
            known = (stack.file, parameter) in told or parameter not in stack.facts.parameters
            if known or stack.parent is None or not stack.fed_by_sibling(parameter):
                continue
            told.add((stack.file, parameter))
            again = f", here and in {len(more)} places more" if more else ""
            yield Fault(
                stack.file,
                ".".join(path),
                f"{function} takes {parameter} apart{again}, which {stack.parent.file} feeds from another "
                "stack's output; a change set of the whole tree cannot know it and fails or lies.",
                "Pass each value by a parameter of its own, or take the list apart in the parent.",
            )
