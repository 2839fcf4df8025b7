"""Whether conditions can hold at once is told exactly, by what can be chosen at deploy time."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.templates.conditions import Choice, Equal, Every, Not, every, negation, possible
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


def test_up_to_a_hundred_choices_are_searched() -> None:
    equals = [Equal(Choice(number), "a") for number in range(101)]
    assert possible(*equals[:100]) is True
    assert possible(*equals[:100], Not(equals[0])) is False
    assert possible(*equals) is None


def test_what_is_known_is_no_formula() -> None:
    equal, other = Equal(Choice(1), "a"), Equal(Choice(2), "a")
    assert every([]) is True and every([True, True]) is True
    assert every([True, equal, False]) is False
    assert every([True, equal, equal]) is equal
    both = every([equal, other])
    assert isinstance(both, Every) and both.parts == (equal, other)
    assert negation(True) is False and negation(False) is True
    turned = negation(equal)
    assert isinstance(turned, Not) and negation(turned) is equal
    assert possible() is True and possible(False, equal) is False


def test_what_no_template_says_may_be_either_but_not_both() -> None:
    said, other = Equal(Choice("a"), None), Equal(Choice("b"), None)
    assert possible(said) and possible(Not(said)) and possible(said, Not(other))
    assert possible(said, Not(said)) is False
    assert possible(Not(Every((said, other))), said) is True
    assert possible(Not(Every((said, other))), said, other) is False


def test_as_many_choices_as_are_compared_may_all_differ_in_what_nobody_names() -> None:
    choices = [Choice(number) for number in range(4)]
    differ = [Not(Equal(one, other)) for one, other in combinations(choices, 2)]
    assert possible(*differ) is True
    assert possible(*differ, *(Not(Equal(choice, "a")) for choice in choices)) is True
    small = [Choice(number, frozenset("abc")) for number in range(4)]
    assert possible(*(Not(Equal(one, other)) for one, other in combinations(small, 2))) is False


def test_a_search_that_takes_too_long_tells_nothing() -> None:
    # Twelve choices of eleven things each cannot all differ, and to find that out takes millions of steps.
    choices = [Choice(number, frozenset("abcdefghijk")) for number in range(12)]
    assert possible(*(Not(Equal(one, other)) for one, other in combinations(choices, 2))) is None
