"""What an expression gives, as far as it can be known without deploying."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.templates.conditions import possible
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Symbol, Text
from scaleout_cfn.templates.values import UNKNOWN

ROOT: dict[str, Any] = {
    "Parameters": {
        "Name": {"Type": "String", "Default": "shop"},
        "Given": {"Type": "String"},
        "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Several": {"Type": "List<Number>"},
        "Five": {"Type": "List<Number>", "Default": 5},
        "None": {"Type": "CommaDelimitedList", "Default": ""},
        "Only": {"Type": "String", "AllowedValues": ["one"]},
        "OnlyOf": {"Type": "CommaDelimitedList", "AllowedValues": ["one"]},
        "Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/image"},
    },
    "Mappings": {"Sizes": {"shop": {"cpu": 256, "disk": 30}, "mill": {"cpu": 512, "disk": 30}}},
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
        # Whatever is chosen at deploy time, it is this.
        ({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "disk"]}, 30),
        ({"Ref": "Only"}, "one"),
        ({"Fn::If": ["Never", 1, 2]}, 2),
        ({"Ref": "Five"}, [5]),
        ({"Ref": "None"}, []),
        ({"Fn::Sub": ""}, ""),
        ({"Fn::Sub": "${ Name }"}, "shop"),
        ({"Fn::Join": ["-", [{"Ref": "AWS::NoValue"}, "a", {"Ref": "AWS::NoValue"}, "b"]]}, "a-b"),
        ({"Fn::Join": ["", []]}, ""),
        ({"Fn::Select": [0, {"Ref": "Zones"}]}, "a"),
        ({"Fn::Join": ["", ["a" * 50_000, "b" * 50_000]]}, "a" * 50_000 + "b" * 50_000),
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
        {"Fn::Select": [2, {"Ref": "Zones"}]},
        {"Fn::Select": [-1, {"Ref": "Zones"}]},
        {"Fn::Select": [0, "a"]},
        {"Fn::Select": [0]},
        {"Fn::Split": ["", "a"]},
        {"Fn::Split": [",", {"Ref": "Given"}]},
        {"Fn::Split": [",", "a", "b"]},
        {"Fn::Join": ["-", {"Ref": "Several"}]},
        {"Fn::Join": [",", {"Ref": "Given"}]},
        {"Fn::Join": ["-", ["a", {"Fn::ImportValue": "x"}]]},
        {"Fn::Join": ["", ["a" * 50_000, "b" * 50_001]]},
        {"Fn::FindInMap": ["Sizes", "shop", {"Ref": "Given"}]},
        {"Fn::FindInMap": ["Sizes", {"Ref": "Given"}, "memory"]},
        {"Fn::FindInMap": [{"Ref": "Given"}, "shop", "cpu"]},
        {"Fn::FindInMap": ["Sizes", "shop"]},
        {"Fn::FindInMap": ["Sizes", "shop", "memory"]},
        {"Fn::If": ["Named", 1]},
        {"Fn::If": ["Unclear", {"Fn::ImportValue": "x"}, {"Fn::ImportValue": "x"}]},
        {"Fn::Sub": [1, {}]},
        {"Fn::Sub": "${Topic}-${Missing.Arn}"},
        {"Fn::GetAtt": ["Given", "Arn"]},
        {"Fn::Sub": "${Missing}"},
        {"Fn::GetAtt": ["Missing", "Arn"]},
        {"Ref": "Missing"},
        "{{resolve:ssm:/x}}",
    ],
)
def test_a_value_that_only_a_deployment_gives_is_unknown(expression: Any) -> None:
    assert value(expression) is UNKNOWN


@pytest.mark.parametrize(
    ("cluster", "named"),
    [
        ({"Ref": "Cluster"}, None),
        ("shop", "shop"),
        ("arn:aws:ecs:eu-west-1:123456789012:cluster/shop", "shop"),
        ({"Ref": "AWS::NoValue"}, "default"),
    ],
)
def test_the_arn_that_a_ref_to_a_service_gives_is_taken_apart(cluster: Any, named: str | None) -> None:
    resources = {
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Service": {"Type": "AWS::ECS::Service", "Properties": {"Cluster": cluster}},
    }
    (stack,) = StackSet({"root.yaml": {"Resources": resources}}).stacks

    def taken(separator: str) -> Any:
        return stack.scope_of({}).value({"Fn::Split": [separator, {"Ref": "Service"}]})

    name, region = stack.symbol("Service", "Name"), Symbol(stack, "AWS::Region", "", "", False)
    home = named or stack.symbol("Cluster")
    last = stack.scope_of({}).value(
        {"Fn::Sub": ["service/${Home}/${Service.Name}", {"Home": named or {"Ref": "Cluster"}}]}
    )
    assert [part for part in taken(":") if isinstance(part, str)] == ["arn", "ecs"]
    assert taken(":")[3] == region
    assert taken(":")[5] == last
    assert taken("/")[1:] == [home, name]
    assert taken("-") is UNKNOWN
    assert stack.scope_of({}).value({"Fn::Split": [":", {"Fn::GetAtt": ["Service", "Name"]}]}) is UNKNOWN


def test_of_a_service_on_a_cluster_that_nobody_knows_the_name_is_known() -> None:
    service = {"Type": "AWS::ECS::Service", "Properties": {"Cluster": {"Fn::ImportValue": "cluster"}}}
    (stack,) = StackSet({"root.yaml": {"Resources": {"S": service}}}).stacks
    named = stack.scope_of({}).value({"Fn::Select": [5, {"Fn::Split": [":", {"Ref": "S"}]}]})
    kind, cluster, slash, name = named.parts
    assert (kind, slash, name) == ("service/", "/", stack.symbol("S", "Name"))
    assert (cluster.type, cluster.is_resource) == ("", False)


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


def test_expressions_are_followed_sixty_deep() -> None:
    def nested(depth: int) -> Any:
        node: Any = "a"
        for _ in range(depth):
            node = {"Fn::Join": ["", [node]]}
        return node

    assert value(nested(61)) == "a"
    assert value(nested(62)) is UNKNOWN


def test_a_list_that_is_chosen_at_deploy_time_may_be_joined_by_commas_and_is_the_list_still() -> None:
    joined = value({"Fn::Join": [",", {"Ref": "Several"}]})
    assert isinstance(joined, Symbol) and (joined.name, joined.type) == ("Several", "List<Number>")


def test_a_symbol_is_shown_with_its_type_and_its_file() -> None:
    assert str(value({"Fn::GetAtt": ["Topic", "TopicName"]})) == "Topic.TopicName (AWS::SNS::Topic) of root.yaml"
    assert str(value({"Ref": "Topic"})) == "Topic (AWS::SNS::Topic) of root.yaml"
    assert str(value({"Ref": "AWS::Region"})) == "AWS::Region"


def test_properties_are_read_by_path_and_items_without_those_left_out() -> None:
    (stack,) = StackSet({"root.yaml": ROOT}).stacks
    scope = stack.scope_of({})
    node = {"A": {"B": {"Ref": "Name"}, "C": {"Ref": "AWS::NoValue"}, "D": {"Fn::ImportValue": "x"}}}
    assert scope.get(node, "A", "B") == "shop"
    assert scope.get(node, "A", "C") is None and scope.get(node, "A", "C", "D") is None
    assert scope.get(node, "A", "D", "E") is UNKNOWN and scope.get(node, "A", "B", "E") is UNKNOWN
    assert scope.items({"L": [1, {"Ref": "AWS::NoValue"}, 2]}, "L") == [1, 2]
    assert scope.items({"L": [1, {"Fn::ImportValue": "x"}]}, "L") is None
    assert scope.items({}, "L") == [] and scope.items({"L": "a"}, "L") is None


CHILD: dict[str, Any] = {
    "Parameters": {
        "Fixed": {"Type": "String"},
        "Chosen": {"Type": "String"},
        "Wire": {"Type": "String"},
        "List": {"Type": "CommaDelimitedList"},
        "Left": {"Type": "String", "Default": "own"},
    },
    "Conditions": {"Big": {"Fn::Equals": [{"Ref": "Fixed"}, "big"]}, "Free": {"Fn::Equals": [{"Ref": "Chosen"}, "a"]}},
    "Resources": {
        "Made": {"Type": "AWS::SNS::Topic", "Condition": "Big"},
        "Other": {"Type": "AWS::SNS::Topic", "Condition": "Small"},
        "Third": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"N": {"Fn::If": ["Free", "x", {"Fn::If": ["Big", "y", "z"]}]}},
        },
    },
    "Outputs": {"Name": {"Value": {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}}},
}


def tree() -> StackSet:
    child = {**CHILD, "Conditions": {**CHILD["Conditions"], "Small": {"Fn::Not": [{"Condition": "Big"}]}}}
    passed = {
        "Fixed": "big",
        "Chosen": {"Ref": "Wanted"},
        "Wire": {"Fn::GetAtt": ["First", "Outputs.Name"]},
        "List": {"Fn::Join": [",", [{"Ref": "Wanted"}, "b", {"Fn::Sub": "c-${Wanted}"}]]},
    }
    nested = {
        name: {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "child.yaml", "Parameters": values}}
        for name, values in (("First", {**passed, "Wire": "x"}), ("Second", passed))
    }
    nested["Second"]["Condition"] = "On"
    root = {
        "Parameters": {"Wanted": {"Type": "String"}, "Switch": {"Type": "String", "Default": "off"}},
        "Conditions": {"On": {"Fn::Equals": [{"Ref": "Switch"}, "on"]}},
        "Resources": nested,
    }
    return StackSet({"root.yaml": root, "child.yaml": child})


def test_a_parameter_is_what_the_parent_passes() -> None:
    root, first, second = tree().stacks
    scope = first.scope_of({})
    wanted = root.scope_of({}).value({"Ref": "Wanted"})
    assert scope.value({"Ref": "Fixed"}) == "big" and scope.value({"Ref": "Left"}) == "own"
    assert scope.value({"Ref": "Chosen"}) == wanted
    assert scope.value({"Ref": "List"}) == [wanted, "b", Text(("c-", wanted))]
    wire = second.scope_of({}).value({"Ref": "Wire"})
    assert [(part.name, part.stack.file) for part in wire.parts if isinstance(part, Symbol)] == [
        ("AWS::StackName", "child.yaml"),
        ("AWS::Region", "root.yaml"),
    ]


def test_resources_whose_condition_never_holds_are_not_there() -> None:
    _, first, _ = tree().stacks
    assert [str(topic) for topic in first.places("AWS::SNS::Topic")] == ["Made", "Third"]
    assert first.presence(first.resource("Made")) is True
    assert first.presence(first.resource("Other")) is False


def test_a_stack_is_there_where_its_condition_holds_and_so_is_what_it_has() -> None:
    root, first, second = tree().stacks
    assert first.exists is True and second.exists == root.when("On")
    assert second.presence(second.resource("Made")) == root.when("On")
    assert {symbol.name for symbol in second.doubtful} == {"Switch"} and first.doubtful == frozenset()


def test_a_condition_of_a_child_hangs_on_the_root_s_parameters_that_are_passed_for_it() -> None:
    _, first, _ = tree().stacks
    assert {(symbol.stack.file, symbol.name) for symbol in first.deciders("Free")} == {("root.yaml", "Wanted")}
    assert first.deciders("Big") == first.deciders("Missing") == frozenset()


def test_a_list_is_unknown_though_each_item_of_it_may_be_one_value_only() -> None:
    assert isinstance(value({"Ref": "OnlyOf"}), Symbol)


def test_only_a_condition_makes_a_choice_of_values() -> None:
    (stack,) = StackSet({"root.yaml": ROOT}).stacks
    scope = stack.scope_of({})
    named = stack.when("Named")
    assert scope.choices({"Fn::If": ["Named", 1, 2]})[0] == (named, 1)
    assert [value for _, value in scope.choices({"Fn::If": ["Named", 1, 2]})] == [1, 2]
    for unknown in ({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "cpu"]}, {"Fn::ImportValue": "abc"}):
        assert scope.choices(unknown) == [(True, UNKNOWN)]


def test_a_place_counts_by_each_condition_on_the_way_to_it() -> None:
    _, first, _ = tree().stacks
    free = first.when("Free")
    at = ("Resources", "Third", "Properties", "N", "Fn::If")
    assert first.presence_at((*at, "1")) == free
    assert first.presence_at((*at, "2", "Fn::If", "2")) is False
    outer = first.presence_at((*at, "2", "Fn::If", "1"))
    assert possible(outer) and possible(outer, free) is False
    assert first.presence_at(at) is True
    assert first.presence_at(("Resources", "Other", "Type")) is False


def test_what_is_passed_is_fixed_or_chosen_or_fed_by_a_sibling() -> None:
    root, first, second = tree().stacks
    assert [name for name in CHILD["Parameters"] if second.is_fixed(name)] == ["Fixed"]
    assert [name for name in CHILD["Parameters"] if second.fed_by_sibling(name)] == ["Wire"]
    assert not first.fed_by_sibling("Wire") and not root.is_fixed("Wanted") and not root.fed_by_sibling("Wanted")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"Fn::Equals": ["true", True]}, True),
        ({"Fn::Equals": [1, "1"]}, True),
        ({"Fn::Equals": [{"Ref": "Given"}, {"Ref": "Given"}]}, True),
        ({"Fn::Equals": [{"Ref": "Given"}, "a"]}, None),
        ({"Fn::Equals": ["a", {"Ref": "Given"}]}, None),
        ({"Fn::Equals": ["a", "a", "a"]}, None),
        ({"Fn::Equals": [{"Fn::ImportValue": "x"}, {"Fn::ImportValue": "x"}]}, None),
        ({"Fn::Not": [{"Fn::Equals": [1, 1]}]}, False),
        ({"Fn::Not": [{"Fn::Equals": [1, 1]}, {"Fn::Equals": [1, 1]}]}, None),
        ({"Fn::And": [{"Fn::Equals": [1, 1]}, {"Fn::Equals": [1, 2]}]}, False),
        ({"Fn::And": [{"Fn::Equals": [1, 1]}, {"Fn::Equals": [{"Ref": "Given"}, 2]}]}, None),
        ({"Fn::Or": [{"Fn::Equals": [1, 1]}, {"Fn::Equals": [1, 2]}]}, True),
        ({"Fn::Or": [{"Fn::Equals": [1, 2]}, {"Fn::Equals": [1, 2]}]}, False),
        ({"Fn::Or": []}, None),
        ({"Condition": "Never"}, False),
        ({"Condition": "Missing"}, None),
        ("Never", None),
    ],
    ids=str,
)
def test_a_condition_holds_or_not_or_depends(condition: Any, holds: bool | None) -> None:
    body = {**ROOT, "Conditions": {**ROOT["Conditions"], "It": condition}}
    (stack,) = StackSet({"root.yaml": body}).stacks
    assert stack.condition("It") is holds
    assert stack.condition(None) is True and stack.condition("Missing") is None
