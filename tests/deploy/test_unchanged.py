"""What AWS cannot tell and both templates do: a value that is the same expression of what stays is no change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from scaleout_cfn.deploy.changes.plan import UNKNOWN, Change, Property, kind_of
from scaleout_cfn.deploy.changes.unchanged import Pair, with_unchanged

STACK, GROUP, VPC = "AWS::CloudFormation::Stack", "AWS::EC2::SecurityGroup", "AWS::EC2::VPC"
VPC_ID = {"Fn::GetAtt": ["Network", "Outputs.VpcId"]}
NETWORK = Change("Network", STACK, "Modify")
TAGGED = Change("Network/Vpc", VPC, "Modify", properties=(Property("Tags", "a", "b"),))
PROVIDER = "AWS::ECS::CapacityProvider"


def open_(name: str = "VpcId", forces: Any = "possible", before: str = "vpc-1", *causes: str) -> Property:
    return Property(name, before, UNKNOWN, forces, causes)


def row(*properties: Property, kind: str = GROUP, replacement: Any = "possible", **more: Any) -> Change:
    """A resource of the foundation, of which AWS says that it may be replaced."""
    return Change(
        "Web/It", kind, "Modify", replacement, "ReplaceAndDelete", properties=properties or (open_(),), **more
    )


def template(resources: Any, **sections: Any) -> dict[str, Any]:
    return {"Resources": resources, **sections}


def resource(kind: str, condition: str = "", **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties} | ({"Condition": condition} if condition else {})


def nested(**parameters: Any) -> dict[str, Any]:
    return resource(STACK, TemplateURL="url", Parameters=parameters)


def root(passed: Any = VPC_ID, **more: Any) -> dict[str, Any]:
    resources = {"Network": nested(), "Web": nested(VpcId=passed), **more.pop("resources", {})}
    return template(resources, **more)


def network(value: Any = None, **more: Any) -> dict[str, Any]:
    outputs = {"VpcId": {"Value": {"Ref": "Vpc"} if value is None else value}}
    resources = {"Vpc": resource(VPC, CidrBlock="10.0.0.0/16")} | more.pop("resources", {})
    return template(resources, Outputs=outputs, **more)


def web(value: Any = None, kind: str = GROUP, name: str = "VpcId", **more: Any) -> dict[str, Any]:
    """A resource that takes this; by default a group, and what the stack is given."""
    parameters = {"VpcId": {"Type": "String"}} | more.pop("parameters", {})
    resources = {"It": resource(kind) | {"Properties": {name: {"Ref": "VpcId"} if value is None else value}}}
    return template(resources | more.pop("resources", {}), Parameters=parameters, **more)


def settled(*changes: Change, given: Any = ({}, {}), **pairs: Any) -> Change:
    """The first of these changes, by the templates of root, network and web: one for both sides, or two."""
    bodies = {"root": root(), "network": network(), "web": web()} | pairs
    both = {name: body if isinstance(body, tuple) else (body, body) for name, body in bodies.items()}
    paths = {
        "": Pair(both["root"][0], both["root"][1], given),
        "Network": Pair(*both["network"]),
        "Web": Pair(*both["web"]),
    }
    rows = (*changes, NETWORK, TAGGED, Change("Web", STACK, "Modify"))
    first: dict[str, Change] = {}
    for change in rows:
        first.setdefault(change.path, change)
    return with_unchanged(first.values(), paths.get)[0]


def test_what_hangs_on_the_id_of_what_stays_is_unchanged_and_no_policy_is_said_of_it() -> None:
    found = settled(row())
    assert (kind_of(found), found.replacement, found.policy) == ("follow", "none", "")
    assert (found.unchanged, found.follows) == (True, "Network/Vpc")
    assert found.properties[0].unchanged


SAME: dict[str, Any] = {
    "a join of it": {"web": web({"Fn::Join": ["-", ["a", {"Ref": "VpcId"}]]})},
    "a text with it": {"web": web({"Fn::Sub": "a-${VpcId}"})},
    "a text that says the same in other words": {
        "web": (web({"Fn::Sub": "a-${VpcId}"}), web({"Fn::Join": ["-", ["a", {"Ref": "VpcId"}]]}))
    },
    "the first part of it": {"web": web({"Fn::Select": ["0", {"Fn::Split": ["-", {"Ref": "VpcId"}]}]})},
    "an item of a list beside it": {"web": web({"Fn::Select": [1, [{"Ref": "VpcId"}, "b"]]})},
    "a base64 of it": {"web": web({"Fn::Base64": {"Ref": "VpcId"}})},
    "an output that is a join": {"network": network({"Fn::Join": [",", [{"Ref": "Vpc"}, "x"]]})},
    "an attribute that is its identity": {"network": network({"Fn::GetAtt": ["Vpc", "VpcId"]})},
    "an attribute in one text": {"network": network({"Fn::GetAtt": "Vpc.VpcId"})},
    "a condition that hangs on it": {
        "web": web(
            {"Fn::If": ["Given", {"Ref": "VpcId"}, "none"]},
            Conditions={"Given": {"Fn::Not": [{"Fn::Equals": [{"Ref": "VpcId"}, ""]}]}},
        )
    },
    "a mapping by it": {
        "web": web({"Fn::FindInMap": ["Map", {"Ref": "VpcId"}, "a"]}, Mappings={"Map": {"x": {"a": "1"}}})
    },
    "a mapping by it, or else a default": {
        "web": web(
            {"Fn::FindInMap": ["Map", {"Ref": "VpcId"}, "a", {"DefaultValue": {"Ref": "VpcId"}}]},
            Mappings={"Map": {"x": {"a": "1"}}},
        )
    },
    "an attribute that a parameter names": {
        "network": network(
            {"Fn::GetAtt": ["Vpc", {"Ref": "A"}]}, Parameters={"A": {"Type": "String", "Default": "VpcId"}}
        )
    },
    "a list of it": {"web": web(parameters={"VpcId": {"Type": "CommaDelimitedList"}})},
    "a pseudo parameter beside it": {"web": web({"Fn::Sub": "${AWS::Region} ${VpcId} ${AWS::StackId} ${!x}"})},
    "a constant that AWS does not compute": {"network": network("vpc-1"), "web": web()},
    "a parameter of the root that is given again": {
        "root": root({"Fn::Sub": "${P}-${Network.Outputs.VpcId}"}, Parameters={"P": {"Type": "String"}}),
        "given": ({"P": "a"}, {"P": "a"}),
    },
    "the branch of a condition of which the other changes": {
        "root": root(
            {"Fn::If": ["On", VPC_ID, {"Ref": "P"}]},
            Parameters={"P": {"Type": "String"}, "On": {"Type": "String"}},
            Conditions={"On": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
        ),
        "given": ({"P": "a", "On": "yes"}, {"P": "b", "On": "yes"}),
    },
    "a default that nobody overrides": {
        "root": root(), "web": web({"Fn::Sub": "${VpcId}${D}"}, parameters={"D": {"Type": "String", "Default": "x"}}),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_a_value_that_is_the_same_expression_of_what_stays_is_unchanged(name: str) -> None:
    before = "vpc-1" if "constant" in name else ""
    assert settled(row(open_("VpcId", "possible", before)), **SAME[name]).unchanged, name


OTHER = resource(VPC, CidrBlock="10.1.0.0/16")
SSM = "AWS::SSM::Parameter::Value<String>"
MOVES: dict[str, Any] = {
    "an output of another resource": {"network": (network(), network({"Ref": "Two"}, resources={"Two": OTHER}))},
    "an attribute that is none of its identity": {"network": network({"Fn::GetAtt": ["Vpc", "CidrBlockAssociations"]})},
    "a text that is another": {"web": (web(), web({"Fn::Sub": "${VpcId}-x"}))},
    "a parameter that the parent gives anew": {"root": (root("vpc-1"), root())},
    "a parameter of the root that is another": {
        "root": root({"Fn::Sub": "${P}-${Network.Outputs.VpcId}"}, Parameters={"P": {"Type": "String"}}),
        "given": ({"P": "a"}, {"P": "b"}),
    },
    "a parameter of which nobody tells": {
        "root": root({"Fn::Sub": "${P}-${Network.Outputs.VpcId}"}, Parameters={"P": {"Type": "String"}}),
    },
    "a secret": {
        "root": root({"Fn::Sub": "${P}-${Network.Outputs.VpcId}"}, Parameters={"P": {"NoEcho": True}}),
        "given": ({"P": "****"}, {"P": "****"}),
    },
    "what is looked up in SSM": {
        "root": root({"Fn::Sub": "${P}-${Network.Outputs.VpcId}"}, Parameters={"P": {"Type": SSM}}),
        "given": ({"P": "/a"}, {"P": "/a"}),
    },
    "a dynamic reference": {"web": web({"Fn::Join": ["", ["{{resolve:ssm:", {"Ref": "VpcId"}, "}}"]]})},
    "the zones": {"web": web({"Fn::Join": ["", [{"Fn::Select": [0, {"Fn::GetAZs": ""}]}, {"Ref": "VpcId"}]]})},
    "whom the stack notifies": {"web": web([{"Ref": "AWS::NotificationARNs"}, {"Ref": "VpcId"}])},
    "a condition that flips": {
        "root": root(
            {"Fn::If": ["On", VPC_ID, "x"]},
            Parameters={"On": {"Type": "String"}},
            Conditions={"On": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
        ),
        "given": ({"On": "yes"}, {"On": "no"}),
    },
    "a mapping that is another": {
        "web": tuple(
            web({"Fn::FindInMap": ["Map", {"Ref": "VpcId"}, "a"]}, Mappings={"Map": {"x": {"a": word}}})
            for word in "12"
        )
    },
    "a default that is another": {
        "web": tuple(
            web({"Fn::Sub": "${VpcId}${D}"}, parameters={"D": {"Type": "String", "Default": value}}) for value in "12"
        )
    },
    "a condition of two functions": {
        "web": web(
            {"Fn::If": ["On", {"Ref": "VpcId"}, "x"]},
            Conditions={"On": {"Fn::Equals": [{"Ref": "VpcId"}, "x"], "Fn::Not": [{"Condition": "On"}]}},
        )
    },
    "a function that nobody knows": {"web": web({"Fn::New": {"Ref": "VpcId"}})},
    "members that a macro adds": {"web": web({"A": {"Ref": "VpcId"}, "Fn::ForEach::B": []})},
    "a resource that is not there": {"network": network({"Ref": "Gone"})},
    "an output that is not there": {"network": network(), "root": root({"Fn::GetAtt": ["Network", "Outputs.Gone"]})},
    "a number that was a text": {"web": (web(["80", {"Ref": "VpcId"}]), web([80, {"Ref": "VpcId"}]))},
    "what stands within itself": {"root": root({"Fn::GetAtt": ["Web", "Outputs.Out"]}), "web": web(Outputs={
        "Out": {"Value": {"Ref": "VpcId"}}
    })},
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_a_value_that_may_be_another_is_never_called_unchanged(name: str) -> None:
    found = settled(row(), **MOVES[name])
    assert (found.unchanged, found.replacement, found.policy) == (False, "possible", "ReplaceAndDelete"), name


@pytest.mark.parametrize(
    "vpc",
    [
        Change("Network/Vpc", VPC, "Modify", "possible", properties=(Property("CidrBlock", "a", UNKNOWN, "possible"),)),
        Change("Network/Vpc", VPC, "Add"),
        Change("Network/Vpc", VPC, "Remove"),
        Change("Network/Vpc", VPC, "Dynamic", "possible", unseen=True),
    ],
)
def test_what_hangs_on_what_may_be_another_is_not_ruled_out(vpc: Change) -> None:
    given = {"network": (network(), network(resources={"Vpc": OTHER}))} if vpc.replacement == "possible" else {}
    assert settled(row(), vpc, **given).replacement == "possible"


ANEW = Change("Network/Vpc", VPC, "Modify", "certain", properties=(Property("CidrBlock", "a", "b", "certain"),))


def test_what_takes_the_id_of_what_surely_is_replaced_is_surely_replaced_and_so_is_what_takes_its_own() -> None:
    found = settled(row(), ANEW)
    assert (found.replacement, found.properties[0].forces_replacement) == ("certain", "certain")
    changed = network(resources={"Vpc": resource(VPC, CidrBlock="10.1.0.0/16")})
    assert settled(row(), ANEW, network=(network(), changed)).replacement == "certain"
    further = Change("Web/Rule", "AWS::EC2::SecurityGroupIngress", "Modify", "possible", properties=(open_("GroupId"),))
    rule = {"Rule": resource("AWS::EC2::SecurityGroupIngress", GroupId={"Ref": "It"}, IpProtocol="tcp")}
    assert settled(further, row(), ANEW, web=web(resources=rule)).replacement == "certain"


@pytest.mark.parametrize(
    ("pairs", "change"),
    [
        ({"network": network({"Fn::Sub": "${Vpc}"})}, row()),
        ({"network": network({"Fn::GetAtt": ["Vpc", "CidrBlock"]})}, row()),
        ({"web": web({"Fn::If": ["Is", {"Ref": "VpcId"}, "vpc-1"]}, Conditions={"Is": True})}, row()),
        ({"web": (web("vpc-1"), web())}, row()),
        ({"web": web(name="GroupDescription")}, row()),
        ({"web": web(name="SecurityGroupIngress")}, row(open_("SecurityGroupIngress"))),
        ({"web": web(parameters={"VpcId": {"Type": "AWS::SSM::Parameter::Value<String>"}})}, row()),
    ],
)
def test_what_takes_more_or_less_than_that_id_may_be_replaced_and_no_more_is_said(pairs: Any, change: Change) -> None:
    assert settled(change, ANEW, **pairs).replacement == "possible"


def test_a_nested_stack_that_comes_or_goes_says_nothing_of_its_outputs() -> None:
    assert settled(row(), Change("Network", STACK, "Add")).replacement == "possible"


def test_an_output_of_a_nested_stack_that_does_not_change_at_all_is_what_it_was() -> None:
    paths = {"": Pair(root(), root()), "Web": Pair(web(), web())}
    rows = (row(), Change("Web", STACK, "Modify"))
    assert with_unchanged(rows, paths.get)[0].follows == "Network"


@pytest.mark.parametrize("path", ["", "Network", "Web"])
def test_where_a_template_cannot_be_read_nothing_is_ruled_out(path: str) -> None:
    paths = {"": Pair(root(), root()), "Network": Pair(network(), network()), "Web": Pair(web(), web())}
    del paths[path]
    rows = (row(), NETWORK, TAGGED, Change("Web", STACK, "Modify"))
    assert with_unchanged(rows, paths.get)[0].replacement == "possible"


@pytest.mark.parametrize(
    "change",
    [
        Change("Web/It", GROUP, "Add", properties=(open_(),)),
        Change("Web/It", GROUP, "Remove", properties=(open_(),)),
        row(replacement="certain"),
        row(Property("VpcId", "a", "b", "possible")),
        row(open_(), Property("GroupDescription", "a", "b", "possible")),
        row(open_("GroupDescription")),
        row(open_("Tags")),
    ],
)
def test_what_aws_is_sure_of_or_the_templates_do_not_know_is_left_as_it_is(change: Change) -> None:
    found = settled(change)
    assert (found.replacement, found.unchanged) == (change.replacement, False)


def test_a_value_that_is_not_what_aws_says_it_is_now_is_not_ruled_out() -> None:
    """As of a resource that failed to follow its template."""
    assert settled(row(open_("VpcId", "possible", "vpc-2")), network=network("vpc-1")).replacement == "possible"
    assert settled(row(open_("VpcId", "possible", "vpc-1")), network=network("vpc-1")).replacement == "none"


def test_a_property_that_aws_does_not_name_and_the_templates_do_leaves_all_as_it_is() -> None:
    """AWS evaluates conditions on values that it does not know yet."""
    given = {
        "web": tuple(
            web(resources={"It": resource(GROUP, VpcId={"Ref": "VpcId"}, GroupDescription=word)}) for word in ("a", "b")
        )
    }
    assert settled(row(), **given).replacement == "possible"


def test_a_property_that_forces_nothing_need_not_stay_for_the_resource_to() -> None:
    both = row(open_(), Property("Tags", "a", "b"))
    pair = tuple(
        web(resources={"It": resource(GROUP, VpcId={"Ref": "VpcId"}, Tags=[{"Key": "a", "Value": word}])})
        for word in "ab"
    )
    found = settled(both, web=pair)
    assert (found.replacement, found.unchanged, kind_of(found)) == ("none", False, "change")
    assert [entry.unchanged for entry in found.properties] == [True, False]


def test_a_list_is_judged_whole_for_its_numbers_are_those_of_another_list() -> None:
    listed = tuple(
        web(resources={"It": resource(GROUP, SecurityGroupIngress=[{"Ref": "VpcId"}, word])}) for word in ("a", "b")
    )
    given = row(open_("SecurityGroupIngress.0", "none"), replacement="none")
    assert not settled(given, web=listed).unchanged
    assert settled(given, web=listed[0]).unchanged


def test_the_items_that_a_list_had_are_told_of_with_the_list_that_is_not_known_yet() -> None:
    listed = web({"Fn::Split": [",", {"Ref": "VpcId"}]}, name="SecurityGroupIngress")
    items = (Property("SecurityGroupIngress.0", "a", ""), Property("SecurityGroupIngress.1", "b", ""))
    given = row(*items, open_("SecurityGroupIngress", "none", ""), replacement="none")
    assert settled(given, web=listed).unchanged
    assert not settled(row(*items, replacement="none"), web=listed).unchanged
    other = Property("SecurityGroupIngressToo.0", "a", "")
    assert not settled(row(other, open_("SecurityGroupIngress", "none", "")), web=listed).unchanged


def test_a_revision_of_which_nothing_changes_is_no_new_one() -> None:
    tasks = web(kind="AWS::ECS::TaskDefinition", name="Family")
    found = settled(row(open_("Family"), kind="AWS::ECS::TaskDefinition", replacement="certain"), web=tasks)
    assert kind_of(found) == "follow"


def test_what_is_made_anew_beside_it_is_not_looked_into() -> None:
    asked: list[str] = []
    service = Change(
        "Web/It",
        "AWS::ECS::Service",
        "Modify",
        properties=(open_("TaskDefinition", "none", "", "ResourceReference Task"),),
    )
    task = Change(
        "Web/Task", "AWS::ECS::TaskDefinition", "Modify", "certain", properties=(Property("A", "1", "2", "certain"),)
    )
    assert with_unchanged((service, task), lambda path: asked.append(path))[0] == service
    assert asked == []


UPDATED = Change("Web/Made", "AWS::DynamoDB::Table", "Modify", properties=(Property("BillingMode", "a", "b"),))


@pytest.mark.parametrize(
    ("attribute", "stays"), [("Arn", True), ("StreamArn", False)], ids=["its identity", "that of its stream"]
)
def test_an_attribute_of_what_is_updated_in_place_stays_only_where_it_is_its_identity(
    attribute: str, stays: bool
) -> None:
    table = tuple(resource(UPDATED.type, BillingMode=mode) for mode in ("a", "b"))
    pair = tuple(web({"Fn::GetAtt": ["Made", attribute]}, resources={"Made": one}) for one in table)
    assert settled(row(), UPDATED, web=pair).unchanged is stays


def test_a_group_that_any_change_may_replace_is_no_ground_to_stand_on() -> None:
    kind = "AWS::AutoScaling::AutoScalingGroup"
    changed = Change("Web/Made", kind, "Modify", properties=(Property("MinSize", "1", "2"),))
    for policy, stays in (({}, True), ({"AutoScalingReplacingUpdate": {"WillReplace": True}}, False)):
        groups = [{**resource(kind, MinSize=size), "UpdatePolicy": policy} for size in "12"]
        pair = tuple(web({"Ref": "Made"}, resources={"Made": one}) for one in groups)
        assert settled(row(), changed, web=pair).unchanged is stays
        own = row(open_(), Property("MinSize", "1", "2"), kind=kind)
        both = tuple(
            web(resources={"It": {**one, "Properties": {**one["Properties"], "VpcId": {"Ref": "VpcId"}}}})
            for one in groups
        )
        assert settled(own, web=both).replacement == ("none" if stays else "possible")


def test_a_resource_whose_condition_may_turn_is_no_ground_to_stand_on() -> None:
    conditions = {"On": {"Fn::Equals": [{"Ref": "VpcId"}, "x"]}}
    pair = tuple(web({"Ref": "Made"}, resources={"Made": resource(VPC, "On")}, Conditions=conditions) for _ in range(2))
    assert settled(row(), web=pair).unchanged
    assert not settled(row(), web=pair, network=(network(), network("other"))).unchanged


def test_a_chain_longer_than_any_is_not_followed_to_its_end() -> None:
    groups = {f"G{number}": resource(GROUP, VpcId={"Ref": f"G{number + 1}"}) for number in range(2000)}
    groups["G2000"] = resource(GROUP, VpcId={"Ref": "VpcId"})
    rows = [Change(f"Web/G{number}", GROUP, "Modify", "possible", properties=(open_(),)) for number in range(2001)]
    body = web(resources=groups)
    paths = {"": Pair(root(), root()), "Network": Pair(network(), network()), "Web": Pair(body, body)}
    found = with_unchanged((*rows, NETWORK, TAGGED, Change("Web", STACK, "Modify")), paths.get)
    assert all(change.replacement in ("none", "possible") for change in found)
    assert found[2000].unchanged


@pytest.mark.parametrize(
    ("function", "parts", "holds"),
    [
        ("Or", "y", True),
        ("Or", "n", False),
        ("And", "yn", False),
        ("Or", "ny", True),
        ("Not", "y", False),
        ("And", "y", True),
    ],
)
def test_the_branch_that_holds_is_the_one_that_counts(function: str, parts: str, holds: bool) -> None:
    conditions = {"On": {f"Fn::{function}": [{"Fn::Equals": ["y", part]} for part in parts]}}
    branches = ["moves", "{{resolve:ssm:a}}"]
    value = {"Fn::If": ["On", *(branches if holds else reversed(branches))]}
    assert settled(row(), web=web([value, {"Ref": "VpcId"}], Conditions=conditions)).unchanged


def test_conditions_that_double_at_each_step_are_read_once_each() -> None:
    conditions: dict[str, Any] = {"C0": {"Fn::Equals": [{"Ref": "VpcId"}, "x"]}}
    for number in range(25):
        conditions[f"C{number + 1}"] = {"Fn::Or": [{"Condition": f"C{number}"}, {"Condition": f"C{number}"}]}
    assert settled(row(), web=web({"Fn::If": ["C25", {"Ref": "VpcId"}, "x"]}, Conditions=conditions)).unchanged


def test_texts_that_double_at_each_step_are_cut_off() -> None:
    """Through outputs of nested stacks, each twice what the one before is."""
    titles = [f"N{number}" for number in range(40)]
    twice = {"Parameters": {"P": {"Type": "String"}}, "Outputs": {"O": {"Value": {"Fn::Sub": "${P}${P}"}}}}
    passed = [VPC_ID, *({"Fn::GetAtt": [title, "Outputs.O"]} for title in titles)]
    stacks = {title: nested(P=value) for title, value in zip(titles, passed, strict=False)}
    body = root(passed[-1], resources=stacks)
    paths = {title: Pair(twice, twice) for title in titles}
    paths |= {"": Pair(body, body), "Network": Pair(network(), network()), "Web": Pair(web(), web())}
    rows = (row(), NETWORK, TAGGED, *(Change(title, STACK, "Modify") for title in (*titles, "Web")))
    assert not with_unchanged(rows, paths.get)[0].unchanged


NAMES = st.sampled_from(
    ["VpcId", "It", "Vpc", "On", "Map", "Type", "Properties", "Condition", "Default", "Value", "Network"]
)
FUNCTIONS = ["Ref", "Condition", "Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::If", "Fn::Select", "Fn::Split", "Fn::New"]
FUNCTIONS += ["Fn::FindInMap", "Fn::Equals", "Fn::Or", "Fn::Not"]
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | NAMES
    | st.sampled_from(["${It.A}", "${", "", "${!x}", "AWS::NoValue"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES, inner, max_size=3)
        | st.builds(
            lambda name, value: {name: value},
            st.sampled_from(["Ref", "Condition", *(f"Fn::{name}" for name in FUNCTIONS)]),
            inner,
        )
    ),
    max_leaves=12,
)
SECTIONS = ["Resources", "Outputs", "Parameters", "Conditions", "Mappings"]


@settings(deadline=None)
@drawn(st.dictionaries(st.sampled_from(SECTIONS), ODD), st.sampled_from(["root", "network", "web"]), ODD)
def test_a_template_of_any_shape_is_no_error(odd: dict[str, Any], name: str, value: Any) -> None:
    whole = {"root": root(), "network": network(), "web": web(value, Conditions={"On": value})}
    assert settled(row(), **{name: {**whole[name], **odd}}).replacement in ("none", "possible")
    assert settled(row(), **{name: whole[name]}).replacement in ("none", "possible")
