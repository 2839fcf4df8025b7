"""Whether conditions can hold at once is told exactly, by what can be chosen at deploy time."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.templates.conditions import possible
from scaleout_cfn.templates.sets import StackSet

# Free and Other take any text; "else" and "more" stand for ones that no condition names.
PARAMETERS: dict[str, Any] = {
    "Free": {"Type": "String", "Default": "a"},
    "Size": {"Type": "String", "AllowedValues": ["a", "b"]},
    "Mode": {"Type": "String", "AllowedValues": ["a", "b", "c"]},
    "Other": {"Type": "String"},
}
DOMAINS = {
    "Free": ["a", "b", "c", "else"],
    "Size": ["a", "b"],
    "Mode": ["a", "b", "c"],
    "Other": ["a", "b", "c", "else", "more"],
}

sides = st.sampled_from([{"Ref": name} for name in PARAMETERS] + ["a", "b"])
expressions = st.recursive(
    st.tuples(sides, sides).map(lambda pair: {"Fn::Equals": list(pair)}),
    lambda inner: (
        inner.map(lambda part: {"Fn::Not": [part]})
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: {"Fn::And": parts})
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: {"Fn::Or": parts})
    ),
    max_leaves=6,
)


def holds(node: Any, chosen: dict[str, str]) -> bool:
    ((function, argument),) = node.items()
    if function == "Fn::Equals":
        left, right = (chosen[side["Ref"]] if isinstance(side, dict) else side for side in argument)
        return bool(left == right)
    parts = [holds(part, chosen) for part in argument]
    return not parts[0] if function == "Fn::Not" else all(parts) if function == "Fn::And" else any(parts)


@given(st.lists(expressions, min_size=1, max_size=3))
def test_conditions_can_hold_at_once_where_some_choice_of_parameters_makes_them(nodes: list[Any]) -> None:
    conditions = {f"C{number}": node for number, node in enumerate(nodes)}
    body = {"Parameters": PARAMETERS, "Conditions": conditions, "Resources": {}}
    (stack,) = StackSet({"root.yaml": body}).stacks
    choices = [dict(zip(DOMAINS, chosen, strict=True)) for chosen in product(*DOMAINS.values())]
    expected = any(all(holds(node, chosen) for node in nodes) for chosen in choices)
    assert possible(*(stack.when(name) for name in conditions)) is expected


def test_a_condition_of_a_child_hangs_on_what_its_parent_passes() -> None:
    body = {
        "Parameters": {"Make": {"Type": "String"}},
        "Conditions": {"Made": {"Fn::Equals": [{"Ref": "Make"}, "yes"]}},
        "Resources": {},
    }
    url = {"TemplateURL": "child.yaml"}
    nested = {
        name: {"Type": "AWS::CloudFormation::Stack", "Properties": {**url, "Parameters": {"Make": passed}}}
        for name, passed in (("A", {"Ref": "Wanted"}), ("B", {"Fn::If": ["No", "yes", "yes"]}), ("C", "no"))
    }
    root = {
        "Parameters": {"Wanted": {"Type": "String"}},
        "Conditions": {"No": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Wanted"}, "yes"]}]}},
        "Resources": nested,
    }
    (whole,) = StackSet({"root.yaml": root, "child.yaml": body}).roots
    made = {name: child.when("Made") for name, (child,) in whole.children.items()}
    assert possible(made["A"]) and not possible(made["A"], whole.when("No"))
    assert (made["B"], made["C"]) == (True, False)


def test_conditions_that_double_and_conditions_in_a_circle_end() -> None:
    conditions: dict[str, Any] = {"C0": {"Fn::Equals": [{"Ref": "Free"}, "a"]}}
    for number in range(1, 400):
        conditions[f"C{number}"] = {"Fn::And": [{"Condition": f"C{number - 1}"}] * 2}
    conditions["Round"] = {"Fn::Not": [{"Condition": "Round"}]}
    body = {"Parameters": PARAMETERS, "Conditions": conditions, "Resources": {}}
    (stack,) = StackSet({"root.yaml": body}).stacks
    assert possible(stack.when("C399")) and possible(stack.when("Round"))
    many = {f"P{number}": {"Type": "String"} for number in range(300)}
    every = [{"Fn::Equals": [{"Ref": name}, {"Ref": "Free"}]} for name in many]
    body = {"Parameters": PARAMETERS | many, "Conditions": {"All": {"Fn::And": every}}, "Resources": {}}
    (stack,) = StackSet({"root.yaml": body}).stacks
    assert possible(stack.when("All")) is None
