"""What an expression gives, as far as it can be known without deploying."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Symbol, Text
from scaleout_cfn.templates.values import UNKNOWN

ROOT: dict[str, Any] = {
    "Parameters": {
        "Name": {"Type": "String", "Default": "shop"},
        "Given": {"Type": "String"},
        "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/image"},
    },
    "Mappings": {"Sizes": {"shop": {"cpu": 256}}},
    "Conditions": {"Named": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]}, "Never": {"Fn::Equals": [1, 2]}},
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
}


def value(expression: Any) -> Any:
    (stack,) = StackSet({"root.yaml": ROOT}).stacks
    return stack.scope_of({}).value(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Name"}, "shop"),
        ({"Ref": "Zones"}, ["a", "b"]),
        ({"Ref": "AWS::NoValue"}, None),
        ({"Fn::Sub": "${Name}-${!Name}"}, "shop-${Name}"),
        ({"Fn::Sub": ["${X}/${Name}", {"X": {"Ref": "Name"}}]}, "shop/shop"),
        ({"Fn::Join": ["-", [{"Ref": "Name"}, 1, True]]}, "shop-1-true"),
        ({"Fn::Join": [",", {"Ref": "Zones"}]}, "a,b"),
        ({"Fn::Select": ["1", {"Ref": "Zones"}]}, "b"),
        ({"Fn::Select": [0, {"Fn::Split": ["|", "x|y"]}]}, "x"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Name"}, "cpu"]}, 256),
        ({"Fn::If": ["Never", 1, 2]}, 2),
        ({"Fn::If": ["Named", 1, 1]}, 1),
    ],
)
def test_a_value_that_the_template_gives_is_known(expression: Any, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    "expression",
    [
        {"Fn::If": ["Named", 1, 2]},
        {"Fn::If": ["Missing", 1, 2]},
        {"Fn::ImportValue": "x"},
        {"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "cpu"]},
        {"Fn::Select": [7, {"Ref": "Zones"}]},
        {"Fn::Sub": "${Missing}"},
        {"Fn::GetAtt": ["Missing", "Arn"]},
        {"Ref": "Missing"},
        "{{resolve:ssm:/x}}",
    ],
)
def test_a_value_that_only_a_deployment_gives_is_unknown(expression: Any) -> None:
    assert value(expression) is UNKNOWN


def test_a_resource_a_parameter_and_a_pseudo_parameter_are_named_by_where_they_come_from() -> None:
    topic, given, image, region = (value({"Ref": name}) for name in ("Topic", "Given", "Image", "AWS::Region"))
    assert [(s.name, s.type, s.is_resource) for s in (topic, given, image, region)] == [
        ("Topic", "AWS::SNS::Topic", True),
        ("Given", "String", False),
        ("Image", "AWS::SSM::Parameter::Value<String>", False),
        ("AWS::Region", "", False),
    ]
    attribute = value({"Fn::GetAtt": ["Topic", "TopicName"]})
    assert attribute.attribute == "TopicName" and attribute != topic and attribute.bare.name == topic.name
    text = value({"Fn::Sub": "x-${Topic}"})
    assert isinstance(text, Text) and text.parts[0] == "x-" and isinstance(text.parts[1], Symbol)


@given(st.lists(st.text(alphabet="abc/,-$", max_size=4), min_size=1, max_size=4))
def test_sub_and_join_of_the_same_parts_give_the_same(parts: list[str]) -> None:
    names = {f"V{index}": part for index, part in enumerate(parts)}
    sub = value({"Fn::Sub": ["".join(f"${{{name}}}" for name in names), names]})
    assert sub == value({"Fn::Join": ["", parts]}) == "".join(parts)


def test_a_value_that_depends_on_itself_is_unknown() -> None:
    child: dict[str, Any] = {
        "Parameters": {"In": {"Type": "String"}},
        "Resources": {},
        "Outputs": {"Out": {"Value": {"Ref": "In"}}},
    }
    root: dict[str, Any] = {"Resources": {}}
    for name, other in (("A", "B"), ("B", "A")):
        root["Resources"][name] = {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {
                "TemplateURL": "child.yaml",
                "Parameters": {"In": {"Fn::GetAtt": [other, "Outputs.Out"]}},
            },
        }
    stacks = StackSet({"root.yaml": root, "child.yaml": child})
    for stack in stacks.stacks[1:]:
        assert stack.scope_of({}).value({"Ref": "In"}) is UNKNOWN


def test_a_chain_of_doublings_is_cut() -> None:
    templates: dict[str, dict[str, Any]] = {}
    for depth in range(12):
        nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": f"t{depth + 1}.yaml"}}
        templates[f"t{depth}.yaml"] = {"Resources": {} if depth == 11 else dict.fromkeys("abcd", nested)}
    assert len(StackSet(templates).stacks) == 500
