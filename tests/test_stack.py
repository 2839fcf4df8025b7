"""Stacks are functions: what is wired in, what comes out, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Struct
from troposphere import AWSObject, Equals, GetAtt, Ref, ec2, s3

from scaleout_cfn.config import Config
from scaleout_cfn.config.tunables import Section, tunable
from scaleout_cfn.errors import WiringError
from scaleout_cfn.rendering import local_url, set_of
from scaleout_cfn.stack import Stack, file_name, pascal
from scaleout_cfn.stacks import network
from scaleout_cfn.values import Flag, LatestImage, Number, SubnetIds, Text, Value, Values, VpcId


@dataclass(frozen=True)
class NetOutputs:
    vpc_id: VpcId
    subnets: SubnetIds
    name: Annotated[Text, "What it is called.", "Not part of the description."]
    spare: Text | None = None


@dataclass(frozen=True)
class LeafOutputs:
    bucket: Annotated[Text, "The bucket."]


class Nothing(msgspec.Struct, frozen=True):
    """No outputs."""


@dataclass(frozen=True)
class NothingEither:
    """No outputs, as a dataclass."""


class StructOutputs(msgspec.Struct, frozen=True):
    """Outputs as a struct."""

    name: Annotated[Text, "What it is called."]
    spare: Text | None = None


def net(stack: Stack, config: None) -> NetOutputs:
    """A network of two subnets.

    Not part of the description.
    """
    vpc = stack.add(ec2.VPC("Vpc", CidrBlock="10.0.0.0/16"))
    subnets = [stack.add(ec2.Subnet(f"Subnet{n}", VpcId=vpc.ref())) for n in (1, 2)]
    return NetOutputs(VpcId(vpc.ref()), SubnetIds([subnet.ref() for subnet in subnets]), Text("net"))


def leaf(stack: Stack, config: None, *, vpc_id: VpcId, subnets: SubnetIds, extra: Text | None) -> LeafOutputs:
    """A leaf."""
    stack.template.set_metadata({"Got": {"Vpc": vpc_id, "Subnets": subnets, "Extra": extra}})
    return LeafOutputs(Text(stack.add(s3.Bucket("Bucket")).ref()))


def passing_on(stack: Stack, config: None, *, subnets: SubnetIds) -> NetOutputs:
    """Hands on what it was given."""
    stack.add(s3.Bucket("Bucket"))
    return NetOutputs(VpcId("vpc-1"), subnets, Text("x"))


def middle(stack: Stack, config: None, *, vpc_id: VpcId, subnets: SubnetIds) -> LeafOutputs:
    """Nests a leaf."""
    return stack.nest("Leaf", leaf, config, vpc_id=vpc_id, subnets=subnets, extra=None)


def with_struct(stack: Stack, config: None) -> StructOutputs:
    stack.add(s3.Bucket("Bucket"))
    return StructOutputs(Text("x"))


def without_outputs(stack: Stack, config: None) -> Nothing:
    stack.add(s3.Bucket("Bucket"))
    return Nothing()


def without_outputs_either(stack: Stack, config: None) -> NothingEither:
    stack.add(s3.Bucket("Bucket"))
    return NothingEither()


def passing_through(stack: Stack, config: None) -> Nothing:
    stack.add(s3.Bucket("Bucket"))
    return Nothing()


def not_a_dataclass(stack: Stack, config: None) -> str:
    return "outputs"


def no_kind(stack: Stack, config: None, *, name: str) -> Nothing:
    return Nothing()


def no_annotation(stack: Stack, config: None, *, name) -> Nothing:  # type: ignore[no-untyped-def]
    return Nothing()


VPC, SUBNETS = VpcId(Ref("V")), SubnetIds([Ref("A"), Ref("B")])


@pytest.fixture
def top() -> Stack:
    return Stack("Root", "A root.")


def loosely(action: Callable[..., object]) -> Callable[..., Any]:
    """Without the type checker, as library users may call it."""
    return action


def template(stack: Stack) -> dict[str, Any]:
    whole: dict[str, Any] = stack.template.to_dict()
    return whole


def parameters_of(stack: Stack, title: str) -> dict[str, Any]:
    given: dict[str, Any] = template(stack)["Resources"][title]["Properties"]["Parameters"]
    return given


# --- wires that do not fit


@pytest.mark.parametrize(
    ("wires", "said"),
    [
        ({"vpc_id": VPC, "extra": None}, "it lacks subnets: SubnetIds"),
        ({"vpc_id": VPC, "subnets": SUBNETS}, "it lacks extra: Text"),
        ({}, "it lacks vpc_id: VpcId; it lacks subnets: SubnetIds; it lacks extra: Text"),
        ({"vpc_id": VPC, "subnets": SUBNETS, "extra": None, "vpc": VPC}, "it does not take vpc"),
        ({"vpc_id": SUBNETS, "subnets": SUBNETS, "extra": None}, "vpc_id wants VpcId and got SubnetIds"),
        ({"vpc_id": "vpc-1", "subnets": SUBNETS, "extra": None}, "vpc_id wants VpcId and got str"),
        ({"vpc_id": Ref("V"), "subnets": SUBNETS, "extra": None}, "vpc_id wants VpcId and got Ref"),
        ({"vpc_id": Text("vpc-1"), "subnets": SUBNETS, "extra": None}, "vpc_id wants VpcId and got Text"),
        ({"vpc_id": None, "subnets": SUBNETS, "extra": None}, "vpc_id wants VpcId and got NoneType"),
        ({"vpc_id": VPC, "subnets": SUBNETS, "extra": VPC}, "extra wants Text and got VpcId"),
        ({"vpc_id": SUBNETS, "subnets": VPC, "extra": None}, "vpc_id wants VpcId and got SubnetIds; subnets wants"),
    ],
)
@pytest.mark.parametrize("conditional", [False, True])
def test_wires_that_do_not_fit_are_refused(top: Stack, wires: dict[str, Any], said: str, conditional: bool) -> None:
    nest = partial(loosely(top.nest_if), "Wanted") if conditional else loosely(top.nest)
    with pytest.raises(WiringError) as refused:
        nest("Shop", leaf, None, **wires)
    message = str(refused.value)
    assert message.startswith(f"nested stack Shop: {said}")
    assert message.endswith("It takes vpc_id: VpcId, subnets: SubnetIds, extra: Text.")
    assert "\n" not in message
    # And nothing was added.
    assert not top.children
    assert not top.template.resources


def test_a_stack_that_takes_nothing_says_so(top: Stack) -> None:
    with pytest.raises(WiringError, match=r"nested stack Net: it does not take vpc_id\. It takes nothing\.$"):
        loosely(top.nest)("Net", net, None, vpc_id=VPC)


@pytest.mark.parametrize("build", [no_kind, no_annotation])
def test_an_argument_without_a_kind_is_refused(top: Stack, build: Callable[..., Any]) -> None:
    with pytest.raises(WiringError, match=r"test_stack\.no_\w+: name needs a kind of value as its annotation"):
        loosely(top.nest)("Shop", build, None, name=Text("x"))


def test_a_build_that_returns_no_dataclass_is_refused(top: Stack) -> None:
    with pytest.raises(WiringError, match=r"returns a frozen dataclass or msgspec\.Struct of values, not 'outputs'"):
        loosely(top.nest)("Shop", not_a_dataclass, None)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_wire_without_a_name_is_refused_and_not_dropped(top: Stack, conditional: bool) -> None:
    nest = partial(loosely(top.nest_if), "Wanted") if conditional else loosely(top.nest)
    with pytest.raises(WiringError, match=r"^nested stack Shop: it does not take VpcId by position; it lacks subnets"):
        nest("Shop", leaf, None, VPC, vpc_id=VPC, extra=None)
    assert not top.children


# --- wires that fit


def test_an_optional_wire_that_is_none_leaves_its_parameter_out(top: Stack) -> None:
    top.nest("Shop", leaf, None, vpc_id=VPC, subnets=SUBNETS, extra=None)
    assert list(template(top.children["Shop"])["Parameters"]) == ["VpcId", "Subnets"]
    assert list(parameters_of(top, "Shop")) == ["VpcId", "Subnets"]
    assert template(top.children["Shop"])["Metadata"]["Got"]["Extra"] is None


def test_an_optional_wire_that_is_given_becomes_a_parameter(top: Stack) -> None:
    top.nest("Shop", leaf, None, vpc_id=VPC, subnets=SUBNETS, extra=Text("x"))
    assert template(top.children["Shop"])["Parameters"]["Extra"]["Type"] == "String"
    assert parameters_of(top, "Shop")["Extra"] == "x"
    assert template(top.children["Shop"])["Metadata"]["Got"]["Extra"] == {"Ref": "Extra"}


def test_each_wire_becomes_a_parameter_of_its_kind_and_is_seen_inside_as_its_reference(top: Stack) -> None:
    top.nest("Shop", leaf, None, vpc_id=VPC, subnets=SUBNETS, extra=None)
    inside = template(top.children["Shop"])
    assert inside["Parameters"]["VpcId"] == {"Type": "AWS::EC2::VPC::Id", "Description": "The VPC."}
    assert inside["Parameters"]["Subnets"]["Type"] == "List<AWS::EC2::Subnet::Id>"
    assert inside["Metadata"]["Got"] == {"Vpc": {"Ref": "VpcId"}, "Subnets": {"Ref": "Subnets"}, "Extra": None}
    assert parameters_of(top, "Shop")["VpcId"] == {"Ref": "V"}


def test_a_stack_without_wires_has_no_parameters(top: Stack) -> None:
    top.nest("Net", net, None)
    assert "Parameters" not in template(top)["Resources"]["Net"]["Properties"]
    assert "Parameters" not in template(top.children["Net"])


def test_a_narrower_kind_fits_where_its_base_is_wanted(top: Stack) -> None:
    class PinnedVpc(VpcId):
        """A VPC of a special kind."""

    top.nest("Shop", leaf, None, vpc_id=PinnedVpc(Ref("V")), subnets=SUBNETS, extra=None)
    assert parameters_of(top, "Shop")["VpcId"] == {"Ref": "V"}


# --- lists


def test_a_list_of_references_leaves_joined(top: Stack) -> None:
    top.nest("Shop", passing_on, None, subnets=SUBNETS)
    assert parameters_of(top, "Shop")["Subnets"] == {"Fn::Join": [",", [{"Ref": "A"}, {"Ref": "B"}]]}


def test_a_list_parameter_of_the_parent_leaves_joined(top: Stack) -> None:
    subnets = top.parameter(SubnetIds, "node_subnets")
    top.nest("Shop", passing_on, None, subnets=subnets)
    assert parameters_of(top, "Shop")["Subnets"] == {"Fn::Join": [",", {"Ref": "NodeSubnets"}]}


def test_a_list_out_of_a_nested_stack_goes_on_unchanged(top: Stack) -> None:
    out = top.nest("Net", net, None)
    top.nest("Shop", passing_on, None, subnets=out.subnets)
    assert parameters_of(top, "Shop")["Subnets"] == {"Fn::GetAtt": ["Net", "Outputs.Subnets"]}


def test_a_list_arrives_whole_and_is_joined_again_on_its_way_out(top: Stack) -> None:
    top.nest("Shop", passing_on, None, subnets=SUBNETS)
    inside = template(top.children["Shop"])
    assert inside["Parameters"]["Subnets"]["Type"] == "List<AWS::EC2::Subnet::Id>"
    assert inside["Outputs"]["Subnets"]["Value"] == {"Fn::Join": [",", {"Ref": "Subnets"}]}


def test_a_list_of_a_root_leaves_joined() -> None:
    top = Stack("Root", "A root.")
    top.declare_outputs(top.nest("Net", net, None))
    assert template(top)["Outputs"]["Subnets"]["Value"] == {"Fn::GetAtt": ["Net", "Outputs.Subnets"]}
    assert template(top.children["Net"])["Outputs"]["Subnets"]["Value"] == {
        "Fn::Join": [",", [{"Ref": "Subnet1"}, {"Ref": "Subnet2"}]]
    }


def test_a_list_attribute_of_a_resource_leaves_joined() -> None:
    attribute = GetAtt("LoadBalancer", "SecurityGroups")
    assert SubnetIds(attribute).crossing().to_dict() == {
        "Fn::Join": [",", {"Fn::GetAtt": ["LoadBalancer", "SecurityGroups"]}]
    }


# --- outputs


def test_outputs_of_a_nested_stack_are_seen_from_the_parent_as_the_same_dataclass(top: Stack) -> None:
    out = top.nest("Net", net, None)
    assert isinstance(out, NetOutputs)
    assert isinstance(out.vpc_id, VpcId)
    assert isinstance(out.subnets, SubnetIds)
    assert isinstance(out.name, Text)
    assert out.vpc_id.to_dict() == {"Fn::GetAtt": ["Net", "Outputs.VpcId"]}
    assert out.name.to_dict() == {"Fn::GetAtt": ["Net", "Outputs.Name"]}


def test_an_output_that_is_none_is_left_out(top: Stack) -> None:
    out = top.nest("Net", net, None)
    assert out.spare is None
    assert list(template(top.children["Net"])["Outputs"]) == ["VpcId", "Subnets", "Name"]


def test_what_an_output_is_annotated_with_is_its_description(top: Stack) -> None:
    top.nest("Net", net, None)
    outputs = template(top.children["Net"])["Outputs"]
    assert outputs["Name"] == {"Value": "net", "Description": "What it is called."}
    assert "Description" not in outputs["VpcId"]


def test_outputs_may_be_a_struct(top: Stack) -> None:
    out = top.nest("Shop", with_struct, None)
    assert out == StructOutputs(out.name)
    assert out.name.to_dict() == {"Fn::GetAtt": ["Shop", "Outputs.Name"]}
    assert template(top.children["Shop"])["Outputs"] == {"Name": {"Value": "x", "Description": "What it is called."}}


def test_a_stack_may_have_no_outputs(top: Stack) -> None:
    assert top.nest("Shop", without_outputs, None) == Nothing()
    assert "Outputs" not in template(top.children["Shop"])


def test_a_stack_may_have_no_outputs_as_a_dataclass(top: Stack) -> None:
    assert top.nest("Shop", without_outputs_either, None) == NothingEither()


def test_outputs_fit_any_property_of_a_resource(top: Stack) -> None:
    out = top.nest("Net", net, None)
    top.add(ec2.SecurityGroup("Group", GroupDescription="x", VpcId=out.vpc_id))
    top.add(ec2.EIP("Address", InstanceId=out.name))
    assert template(top)["Resources"]["Group"]["Properties"]["VpcId"] == {"Fn::GetAtt": ["Net", "Outputs.VpcId"]}


# --- conditions


def test_a_conditional_stack_carries_its_condition_to_the_outputs_of_the_root(top: Stack) -> None:
    out = top.nest("Net", net, None)
    shop = top.nest_if("HasImage", "Shop", leaf, None, vpc_id=out.vpc_id, subnets=out.subnets, extra=None)
    top.declare_outputs(shop)
    top.declare_outputs(out)
    whole = template(top)
    assert whole["Resources"]["Shop"]["Condition"] == "HasImage"
    assert whole["Outputs"]["Bucket"] == {
        "Value": {"Fn::GetAtt": ["Shop", "Outputs.Bucket"]},
        "Description": "The bucket.",
        "Condition": "HasImage",
    }
    assert "Condition" not in whole["Resources"]["Net"]
    assert "Condition" not in whole["Outputs"]["VpcId"]
    # Inside it there is no such condition.
    assert "Condition" not in template(top.children["Shop"])["Outputs"]["Bucket"]


def test_a_condition_is_declared_and_returned_by_name(top: Stack) -> None:
    assert top.condition("HasImage", Equals(Ref("A"), "")) == "HasImage"
    assert template(top)["Conditions"] == {"HasImage": {"Fn::Equals": [{"Ref": "A"}, ""]}}


# --- names


def test_a_title_is_taken_once(top: Stack) -> None:
    top.add(s3.Bucket("Bucket"))
    with pytest.raises(WiringError, match=r"^Root: Bucket is there already; give one of the two another name$"):
        top.add(s3.Bucket("Bucket"))
    with pytest.raises(WiringError, match="Root: Bucket is there already"):
        top.nest("Bucket", net, None)
    assert not top.children


def test_two_nested_stacks_have_two_titles(top: Stack) -> None:
    top.nest("Net", net, None)
    with pytest.raises(WiringError, match="Root: Net is there already"):
        top.nest("Net", net, None)


def test_parameters_and_resources_share_one_namespace(top: Stack) -> None:
    top.parameter(Text, "bucket")
    with pytest.raises(WiringError, match="Root: Bucket is there already"):
        top.add(s3.Bucket("Bucket"))
    top.add(s3.Bucket("Other"))
    with pytest.raises(WiringError, match=r"^Root: Other is a resource already; a parameter needs another name$"):
        top.parameter(Text, "other")


def test_add_returns_the_resource_itself(top: Stack) -> None:
    bucket = s3.Bucket("Bucket")
    assert top.add(bucket) is bucket
    resources: dict[str, AWSObject] = top.template.resources
    assert resources["Bucket"] is bucket


@pytest.mark.parametrize(
    ("python", "cloudformation", "file"),
    [
        ("vpc_id", "VpcId", "vpc-id"),
        ("web", "Web", "web"),
        ("min_tasks", "MinTasks", "min-tasks"),
        ("a_b_c", "ABC", "a-b-c"),
    ],
)
def test_names_are_those_of_the_field(python: str, cloudformation: str, file: str) -> None:
    assert pascal(python) == cloudformation
    assert file_name(cloudformation) == file


# --- parameters


def test_a_parameter_takes_troposphere_properties(top: Stack) -> None:
    value = top.parameter(Number, "max_tasks", Default=4, MinValue=1, Description="Most.")
    assert isinstance(value, Number)
    assert value.to_dict() == {"Ref": "MaxTasks"}
    assert template(top)["Parameters"]["MaxTasks"] == {
        "Type": "Number", "Default": 4, "MinValue": 1, "Description": "Most."
    }  # fmt: skip


# --- what a root asks for


@pytest.fixture
def asking() -> Stack:
    return Stack("Root", "A root.", Config())


@pytest.mark.parametrize(
    ("key", "kind", "title"),
    [
        ("services.web.image_uri", Text, "WebImageUri"),
        ("services.web.scaling.cpu.target", Number, "WebScalingCpuTarget"),
        ("services.web.health_check.path", Text, "WebHealthCheckPath"),
        ("permissions_boundary", Text, "PermissionsBoundary"),
        ("capacity.nodes.machine_image", LatestImage, "NodesMachineImage"),
        ("capacity.nodes.instance_types", Values, "NodesInstanceTypes"),
        ("network.flow_logs", Flag, "FlowLogs"),
    ],
)
def test_a_parameter_is_named_by_all_of_its_key_but_the_room(
    asking: Stack, key: str, kind: type[Value], title: str
) -> None:
    value = asking.ask(key, kind)
    assert type(value) is kind
    assert value.to_dict() == {"Ref": title}
    parameter = template(asking)["Parameters"][title]
    assert parameter["Type"] == kind.parameter_type
    assert f"({key})" in parameter["Description"]
    assert asking.asked == {title: key}


def test_the_same_question_is_one_parameter(asking: Stack) -> None:
    first = asking.ask("services.web.scaling.max_tasks", Number, most=7)
    assert asking.ask("services.web.scaling.max_tasks", Number).to_dict() == first.to_dict()
    assert template(asking)["Parameters"]["WebScalingMaxTasks"]["MaxValue"] == 7


@pytest.mark.parametrize(
    ("key", "kind", "said"),
    [
        (
            "services.web.scaling.max_task",
            Number,
            r"services\.web\.scaling\.max_task is no tunable of this config; nearest: services",
        ),
        ("max_tasks", Number, "max_tasks is no tunable of this config; nearest: "),
        ("network.vpc_id", VpcId, r"network\.vpc_id is no tunable"),
        ("zzzz", Number, "nearest: none$"),
        (
            "services.web.scaling.max_tasks",
            Text,
            r"services\.web\.scaling\.max_tasks is asked for as Text; its value wants Number",
        ),
        ("network.flow_logs", Text, "wants Flag"),
        ("services.web.image_uri", Number, "its value wants a kind of one string, as Text is"),
        ("services.web.image_uri", SubnetIds, "its value wants a kind of one string, as Text is"),
        ("capacity.nodes.instance_types", Text, "its value wants Values"),
        (
            "services.web.environment",
            Text,
            r"services\.web\.environment is a table or a list of tables, which no par",
        ),
        ("services.web.scaling.step_policies", Values, "which no parameter can hold"),
    ],
)
def test_a_question_that_no_tunable_answers_is_refused(asking: Stack, key: str, kind: type[Value], said: str) -> None:
    with pytest.raises(WiringError, match=said):
        asking.ask(key, kind)
    assert not asking.template.parameters


def test_two_questions_of_one_name_are_told() -> None:
    asking = Stack("Root", "A root.", Shop())
    asking.ask("cache.port", Number)
    with pytest.raises(WiringError, match=r"^Root: store\.port and cache\.port would both be the parameter Port$"):
        asking.ask("store.port", Number)


def test_a_question_that_meets_a_parameter_of_another_meaning_is_told(asking: Stack) -> None:
    asking.ask("capacity.nodes.machine_image", LatestImage)
    # CloudFormation reads the one from SSM; the other would be the path itself.
    with pytest.raises(WiringError, match=r"machine_image is asked for as Text, and before as AWS::SSM::Par"):
        asking.ask("capacity.nodes.machine_image", Text)
    asking.parameter(Number, "web_scaling_max_tasks")
    with pytest.raises(
        WiringError, match=r"^Root: services\.web\.scaling\.max_tasks and one of your own would both be the parameter"
    ):
        asking.ask("services.web.scaling.max_tasks", Number)


def test_only_a_root_asks(asking: Stack) -> None:
    def curious(stack: Stack, config: Config) -> Nothing:
        stack.ask("services.web.scaling.max_tasks", Number)
        return Nothing()

    with pytest.raises(
        WiringError, match=r"nested stack Shop: asks for services\.web\.scaling\.max_tasks, which only a root can; take"
    ):
        asking.nest("Shop", curious, Config())


# --- what a stack says of itself


def test_a_stack_shows_what_is_in_it_and_says_which_children_there_are(top: Stack) -> None:
    assert repr(top) == "<Stack Root: 0 resources, of which nested: none>"
    with pytest.raises(WiringError, match=r"^Root: no nested stack has the title Net; there is none$"):
        top.children["Net"]
    top.nest("Net", net, None)
    top.nest("Spare", net, None)
    top.add(s3.Bucket("Bucket"))
    assert repr(top) == "<Stack Root: 3 resources, of which nested: Net, Spare>"
    with pytest.raises(WiringError, match=r"^Root: no nested stack has the title net; there is Net, Spare$"):
        top.children["net"]
    assert top.children.get("net") is None


def test_every_kind_has_a_meaning_and_a_parameter_type_of_cloudformation() -> None:
    def kinds(kind: type[Value]) -> list[type[Value]]:
        return [kind, *(below for child in kind.__subclasses__() for below in kinds(child))]

    of_ours = [kind for kind in kinds(Value) if kind.__module__ == "scaleout_cfn.values"]
    assert len(of_ours) > 20
    for kind in of_ours:
        assert kind.meaning.endswith("."), kind
        assert kind.parameter_type in {"String", "Number", "CommaDelimitedList"} or "AWS::" in kind.parameter_type


# --- descriptions


def test_a_template_is_described_by_the_first_line_of_its_function_or_module(top: Stack) -> None:
    top.nest("Net", net, None)
    assert template(top.children["Net"])["Description"] == "A network of two subnets."
    assert network.__doc__ is not None
    top.nest("Network", network.build, Config(), key=None)
    assert template(top.children["Network"])["Description"] == network.__doc__.splitlines()[0]


def test_a_stack_without_a_sentence_of_its_own_is_described_by_its_name(top: Stack) -> None:
    top.nest("Shop", passing_through, None)
    # Not by that of the module, which holds other things too.
    assert template(top.children["Shop"])["Description"] == "passing_through"


# --- nested in nested


@pytest.fixture
def deep(top: Stack) -> Stack:
    out = top.nest("Net", net, None)
    top.declare_outputs(top.nest("Shop", middle, None, vpc_id=out.vpc_id, subnets=out.subnets))
    return top


def test_files_of_nested_stacks_are_named_after_all_that_are_above(deep: Stack) -> None:
    assert list(set_of(deep)) == ["root.yaml", "net.yaml", "shop.yaml", "shop-leaf.yaml"]
    assert list(set_of(deep, format="json")) == ["root.json", "net.json", "shop.json", "shop-leaf.json"]


def test_who_nests_is_told_where_the_templates_lie(deep: Stack) -> None:
    templates = set_of(deep)
    assert list(templates["root.yaml"]["Parameters"]) == ["TemplatesUrl"]
    shop = templates["root.yaml"]["Resources"]["Shop"]["Properties"]
    assert shop["TemplateURL"] == {"Fn::Sub": "${TemplatesUrl}/shop.yaml"}
    assert shop["Parameters"]["TemplatesUrl"] == {"Ref": "TemplatesUrl"}
    assert list(templates["shop.yaml"]["Parameters"]) == ["TemplatesUrl", "VpcId", "Subnets"]
    nested = templates["shop.yaml"]["Resources"]["Leaf"]["Properties"]
    assert nested["TemplateURL"] == {"Fn::Sub": "${TemplatesUrl}/shop-leaf.yaml"}
    # Who nests nothing is not told.
    assert "TemplatesUrl" not in nested["Parameters"]
    assert "TemplatesUrl" not in templates["shop-leaf.yaml"]["Parameters"]
    assert "Parameters" not in templates["net.yaml"]


def test_with_local_names_nobody_is_told_where_the_templates_lie(deep: Stack) -> None:
    templates = set_of(deep, url=local_url)
    assert "TemplatesUrl" not in str(templates)
    assert templates["shop.yaml"]["Resources"]["Leaf"]["Properties"]["TemplateURL"] == "shop-leaf.yaml"


def test_a_url_may_depend_on_the_template_below_it(deep: Stack) -> None:
    seen: dict[str, dict[str, Any]] = {}

    def url(name: str, below: dict[str, Any]) -> str:
        seen[name] = below
        return f"https://example.com/{len(str(below))}/{name}"

    templates = set_of(deep, url=url)
    # Children first: what a parent points to is final.
    assert list(seen) == ["net.yaml", "shop-leaf.yaml", "shop.yaml"]
    assert all(templates[name] == below for name, below in seen.items())


def test_outputs_rise_level_by_level(deep: Stack) -> None:
    templates = set_of(deep)
    assert templates["root.yaml"]["Outputs"]["Bucket"]["Value"] == {"Fn::GetAtt": ["Shop", "Outputs.Bucket"]}
    assert templates["shop.yaml"]["Outputs"]["Bucket"]["Value"] == {"Fn::GetAtt": ["Leaf", "Outputs.Bucket"]}
    assert templates["shop-leaf.yaml"]["Outputs"]["Bucket"]["Value"] == {"Ref": "Bucket"}


def _nests_web_cache(top: Stack) -> None:
    top.nest("Shop", middle, None, vpc_id=VPC, subnets=SUBNETS)
    top.nest("ShopLeaf", net, None)


def _nests_root(top: Stack) -> None:
    top.nest("Root", net, None)


@pytest.mark.parametrize("nests", [_nests_web_cache, _nests_root])
def test_no_two_stacks_have_the_same_file(top: Stack, nests: Callable[[Stack], None]) -> None:
    def count(stack: Stack) -> int:
        return 1 + sum(map(count, stack.children.values()))

    try:
        nests(top)
        templates = set_of(top)
    except WiringError:
        return
    assert len(templates) == count(top)


def test_a_wire_with_a_default_may_be_left_out(top: Stack) -> None:
    def sized(stack: Stack, config: None, *, size: Text = Text("small")) -> Outs:  # noqa: B008
        """A stack with a default."""
        stack.add(s3.Bucket("Bucket", BucketName=size))
        return Outs()

    top.nest("Sized", sized, None)
    child = template(top.children["Sized"])
    assert child["Resources"]["Bucket"]["Properties"]["BucketName"] == "small"
    assert "Parameters" not in child


def test_what_is_no_value_arrives_as_it_is(top: Stack) -> None:
    def counted(stack: Stack, config: None) -> Counted:
        """A stack that tells a number of render time."""
        stack.add(s3.Bucket("Bucket"))
        return Counted(count=5)

    assert top.nest("Counted", counted, None).count == 5


def test_an_output_under_a_condition_of_its_own_stack_is_refused(top: Stack) -> None:
    def inner(stack: Stack, config: None) -> Named:
        """A bucket."""
        return Named(Text(stack.add(s3.Bucket("Bucket")).ref()))

    def outer(stack: Stack, config: None) -> Named:
        """A bucket, sometimes."""
        return stack.nest_if(stack.condition("Never", Equals("a", "b")), "Inner", inner, None)

    with pytest.raises(WiringError, match="nested stack Outer: its output name is there only while a condition holds"):
        top.nest("Outer", outer, None)


class Cache(Section, frozen=True, kw_only=True):
    """Somebody's section."""

    port: Annotated[int, tunable("Where it listens.", ge=1, le=65535)] = 6379


class Shop(Section, frozen=True, kw_only=True):
    """Somebody's config, with two tunables that are called alike."""

    cache: Annotated[Cache, tunable("A cache.")] = Cache()
    store: Annotated[Cache, tunable("A store.")] = Cache()


class Outs(Struct, frozen=True):
    pass


class Counted(Struct, frozen=True):
    count: int


class Named(Struct, frozen=True):
    name: Text


# --- wires and outputs by name


class NamedOutputs(Struct, frozen=True):
    urls: Annotated[dict[str, Text], "Where it answers."]


def named(stack: Stack, config: None, *, hosts: dict[str, Text]) -> NamedOutputs:
    """One output for each wire of a name."""
    return NamedOutputs(
        {name: Text(f"https://{host}") if isinstance(host, str) else host for name, host in hosts.items()}
    )


def test_wires_and_outputs_by_name_cross_each_under_its_own(top: Stack) -> None:
    made = top.nest("Shop", named, None, hosts={"web": Text("a"), "order-desk": Text("b")})
    top.declare_outputs(made)
    parameters = template(top)["Resources"]["Shop"]["Properties"]["Parameters"]
    assert len(parameters) == 2
    assert sorted(parameters.values()) == ["a", "b"]
    assert set(made.urls) == {"web", "order-desk"}
    assert set(template(top)["Outputs"]) == {"WebUrls", "OrderDeskUrls"}


def test_a_wire_by_name_of_a_wrong_kind_is_refused(top: Stack) -> None:
    with pytest.raises(WiringError, match="hosts"):
        top.nest("Shop", named, None, hosts={"web": VpcId("vpc-1")})  # type: ignore[dict-item]
    with pytest.raises(WiringError, match="hosts"):
        top.nest("Shop", named, None, hosts=Text("a"))  # type: ignore[arg-type]
    with pytest.raises(WiringError, match="hosts"):
        top.nest("Shop", named, None)  # type: ignore[call-arg]
