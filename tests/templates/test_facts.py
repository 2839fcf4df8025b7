"""What one template says by itself: what it refers to, what waits for what, what a macro may add."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.templates.facts import Facts, attribute_of, is_function, names_in, sub_parts


def facts(value: Any) -> Facts:
    return Facts({"Resources": {"A": {"Type": "T", "Properties": value}}})


AT = ("Resources", "A", "Properties")


@pytest.mark.parametrize(
    ("value", "refs", "attributes"),
    [
        ({"Ref": "B"}, [(AT, "B")], []),
        ({"P": {"Ref": "B"}}, [((*AT, "P"), "B")], []),
        ({"P": [1, {"Ref": "B"}]}, [((*AT, "P", "1"), "B")], []),
        ({"Fn::GetAtt": ["B", "C", "D"]}, [], [(AT, "B", "C.D")]),
        ({"Fn::GetAtt": "B.C.D"}, [], [(AT, "B", "C.D")]),
        ({"Fn::GetAtt": ["B"]}, [], []),
        ({"Fn::GetAtt": ["B", {"Ref": "C"}]}, [((*AT, "Fn::GetAtt", "1"), "C")], []),
        ({"Fn::Sub": "${B}-${ C }-${D.E}-${!F}"}, [(AT, "B"), (AT, "C")], [(AT, "D", "E")]),
        ({"Fn::Sub": ["${B}${X}", {"X": {"Ref": "C"}}]}, [(AT, "B"), ((*AT, "Fn::Sub", "1", "X"), "C")], []),
        ({"Ref": "B", "Other": 1}, [], []),
    ],
    ids=str,
)
def test_what_an_expression_refers_to_is_found_with_its_place(value: Any, refs: Any, attributes: Any) -> None:
    assert (facts(value).refs, facts(value).attributes) == (refs, attributes)


def test_outputs_and_conditions_are_looked_through_too() -> None:
    found = Facts(
        {"Outputs": {"O": {"Value": {"Ref": "B"}}}, "Conditions": {"C": {"Ref": "D"}}, "Metadata": {"Ref": "E"}}
    )
    assert found.refs == [(("Outputs", "O", "Value"), "B"), (("Conditions", "C"), "D")]


def test_imports_splits_and_arns_are_found_with_their_place() -> None:
    found = facts(
        {
            "I": {"Fn::ImportValue": "name"},
            "S": {"Fn::Select": [0, {"Ref": "List"}]},
            "T": {"Fn::Split": [",", {"Ref": "Text"}]},
            "U": {"Fn::Select": [0, ["a"]]},
            "V": {"Fn::Select": [0, {"Ref": ["x"]}, 1]},
            "R": "arn:aws:iam::1",
            "L": ["x", "arn:aws:s3:::b"],
        }
    )
    assert found.imports == [((*AT, "I"), "name")]
    assert found.splits == [((*AT, "S"), "Fn::Select", "List"), ((*AT, "T"), "Fn::Split", "Text")]
    assert found.arns == [((*AT, "R"), "arn:aws:iam::1"), ((*AT, "L", "1"), "arn:aws:s3:::b")]


@pytest.mark.parametrize(
    ("body", "closed"),
    [
        ({}, True),
        ({"Resources": {"A": {}}}, True),
        ({"Resources": {"Fn::ForEach::A": []}}, False),
        ({"Outputs": {"Fn::ForEach::A": []}}, True),
        ({"Resources": ["A"]}, False),
        ({"Transform": "AWS::LanguageExtensions"}, True),
        ({"Transform": ["AWS::Serverless-2016-10-31", "AWS::SecretsManager-2020-07-23"]}, True),
        ({"Transform": ["AWS::LanguageExtensions", "Ours"]}, False),
        ({"Transform": {"Name": "AWS::Include"}}, False),
    ],
    ids=str,
)
def test_a_section_is_all_there_unless_a_macro_or_a_loop_may_add_to_it(body: dict[str, Any], closed: bool) -> None:
    found = Facts(body)
    assert [found.closed("Resources"), found.closed("Resources")] == [closed, closed]


def test_a_resource_waits_for_what_it_names_and_for_what_that_waits_for() -> None:
    found = Facts(
        {
            "Resources": {
                "A": {"Type": "T", "DependsOn": "B"},
                "B": {"Type": "T", "DependsOn": ["C", "Missing", 1]},
                "C": {"Type": "T", "Properties": {"P": {"Ref": "D"}, "Q": {"Ref": "Parameter"}}},
                "D": {"Type": "T", "Properties": {"P": {"Fn::GetAtt": ["E", "Arn"]}}},
                "E": {"Type": "T", "Properties": {"P": {"Ref": "D"}}},
                "F": {"Properties": {"P": {"Ref": "A"}}},
            },
            "Outputs": {"A": {"Value": {"Ref": "E"}}},
        }
    )
    assert found.dependencies == {"A": {"B"}, "B": {"C"}, "C": {"D"}, "D": {"E"}, "E": {"D"}}
    assert found.waits_for("A", "E") and found.waits_for("A", "A") and found.waits_for("D", "D")
    assert not found.waits_for("E", "A") and not found.waits_for("D", "Missing")
    assert list(found.by_type) == ["T"] and found.by_type["T"] == [*"ABCDE"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("A.B.C", ("A", "B.C")),
        (["A", "B", "C"], ("A", "B.C")),
        (["A"], ("", "")),
        (["A", 1], ("", "")),
        (None, ("", "")),
    ],
)
def test_an_attribute_is_named_by_text_or_by_a_list(argument: Any, expected: tuple[str, str]) -> None:
    assert attribute_of(argument) == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("${A}", ("${A}", {})),
        (["${A}", {"A": 1}], ("${A}", {"A": 1})),
        (["${A}", None], ("${A}", {})),
        (["${A}"], ("", {})),
        (["${A}", {}, 1], ("", {})),
        ([1, {}], ("", {})),
    ],
)
def test_sub_has_a_text_and_may_have_variables(argument: Any, expected: Any) -> None:
    assert sub_parts(argument) == expected


@pytest.mark.parametrize(
    ("node", "function"),
    [
        ({"Ref": "A"}, True),
        ({"Fn::Any": 1}, True),
        ({"Condition": "A"}, False),
        ({"Ref": "A", "B": 1}, False),
        ({1: 2}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_function_is_one_key_that_says_so(node: Any, function: bool) -> None:
    assert is_function(node) is function


def test_everything_that_an_expression_stands_on_is_named() -> None:
    names: set[str] = set()
    conditions: list[str] = []
    node = [{"Ref": "A"}, {"Fn::Sub": ["${B}${C}", {"C": {"Ref": "D"}}]}, {"Fn::Not": [{"Condition": "E"}]}, "F"]
    names_in(node, names, conditions)
    assert (names, conditions) == ({"A", "B", "D"}, ["E"])
