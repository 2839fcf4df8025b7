"""What holds for each stack alike."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scaleout_cfn as sc
from scaleout_cfn import stacks
from stacks.helpers import CERTIFICATE, PARAMETER, PINNED, SECRET, Templates, made, of_type, ref

STEP = sc.StepScaling(name="Surge", threshold=80, steps=(sc.StepAdjustment(adjustment=1),))
#: Sets that between them have every resource there is.
SETS: dict[str, Templates] = {
    "default": made(),
    "endpoints": made(
        network=sc.NewVpc(egress="endpoints", ipv6=True, flow_logs=True),
        load_balancer=sc.NewLoadBalancer(
            access_logs=True, listener=sc.Certificate(certificate_arn=CERTIFICATE, domain_name="shop.example.com")
        ),
        service=sc.WebService(network_mode="awsvpc", exec=True, read_only=False, secrets={"A": SECRET, "B": PARAMETER}),
        scaling=sc.Scaling(max_tasks=9, step_policies=(STEP,)),
        permissions_boundary="arn:aws:iam::123456789012:policy/boundary",
        encryption=sc.OwnKey(),
    ),
    "pipeline": made(
        nodes=sc.Ec2Capacity(machine_image=PINNED),
        registry=sc.Registry(mutable_tags=("latest",)),
        pipeline=sc.RegistryPipeline(approval=True),
    ),
}
every_set = pytest.mark.parametrize("name", SETS)
MODULES = sorted(path.stem for path in Path(stacks.__file__).parent.glob("*.py") if "def build(" in path.read_text())


def nodes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every part of a template, with its place."""
    yield path, value
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from nodes(item, f"{path}.{key}")


@pytest.mark.parametrize("module", MODULES)
def test_outputs_are_facts_that_nobody_changes(module: str) -> None:
    outputs = importlib.import_module(f"scaleout_cfn.stacks.{module}").Outputs
    assert outputs.__struct_config__.frozen


@every_set
def test_what_a_resource_says_of_itself_is_a_sentence_or_a_name(name: str) -> None:
    """It is all that whoever looks at a console has."""
    said = 0
    for file, template in SETS[name].items():
        for path, text in nodes(template["Resources"], file):
            key = path.rpartition(".")[2]
            if key in ("AlarmDescription", "GroupDescription"):
                assert re.fullmatch(r"\w.*[^.]\.", text), path
            elif key != "Description" or not isinstance(text, str):
                continue
            said += 1
            # Of one line, in letters that every API of AWS takes.
            assert re.fullmatch(r"[ -~]{1,255}", text), path
            # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
            assert key != "GroupDescription" or re.fullmatch(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+", text), path
    assert said > 8


@every_set
def test_a_title_is_named_for_what_it_is_without_its_stack_s_name(name: str) -> None:
    for file, template in SETS[name].items():
        for title in template["Resources"]:
            assert re.fullmatch(r"([A-Z][a-z0-9]+)+", title), (file, title)


@every_set
def test_policies_of_a_role_have_names_of_their_own(name: str) -> None:
    for file, template in SETS[name].items():
        for title, body in template["Resources"].items():
            if body["Type"] == "AWS::IAM::Role":
                policies = [policy["PolicyName"] for policy in body["Properties"].get("Policies", [])]
                assert len(set(policies)) == len(policies), (file, title)
                assert all(re.fullmatch("[a-z]+(-[a-z]+)*", policy) for policy in policies)


@every_set
def test_no_rule_opens_more_than_tcp_but_to_nowhere(name: str) -> None:
    for file, template in SETS[name].items():
        for path, node in nodes(template["Resources"], file):
            if isinstance(node, dict) and "IpProtocol" in node:
                nowhere = node.get("CidrIp") == "255.255.255.255/32"
                assert node["IpProtocol"] == "tcp" or nowhere, path
                assert nowhere or 0 < node["FromPort"] <= node["ToPort"], path


#: Whatever CloudFormation takes no tags of, or of which a tag is no use: nested stacks are named by what is in them.
UNTAGGED = {
    "AWS::KMS::Alias",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudFormation::Stack",
    "AWS::EC2::Route",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCCidrBlock",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ServiceLinkedRole",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
}


def tags_of(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """The tags of a resource, one mapping for each place that has some."""
    places = [properties.get("Tags"), *(entry["Tags"] for entry in properties.get("TagSpecifications", []))]
    return [
        tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
        for tags in places
        if tags is not None
    ]


@every_set
def test_whatever_can_have_a_name_is_called_by_its_stack_and_title(name: str) -> None:
    for file, template in SETS[name].items():
        for title, body in template["Resources"].items():
            tags = tags_of(body.get("Properties", {}))
            assert bool(tags) == (body["Type"] not in UNTAGGED), (file, title)
            assert all(of["Name"] == {"Fn::Sub": f"${{AWS::StackName}}/{title}"} for of in tags)


def test_tags_of_the_config_are_on_all_that_takes_some_and_on_what_a_node_brings() -> None:
    templates = made(tags={"team": "web"})
    for file, template in templates.items():
        for title, body in template["Resources"].items():
            if body["Type"] == "AWS::CloudFormation::Stack":
                # What is inside inherits them; a name it has itself.
                assert body["Properties"]["Tags"] == [{"Key": "team", "Value": "web"}]
            else:
                assert all(tags["team"] == "web" for tags in tags_of(body.get("Properties", {}))), (file, title)
    node = templates["capacity.yaml"]["Resources"]["NodesLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert [entry["ResourceType"] for entry in node["TagSpecifications"]] == ["volume", "network-interface"]
    assert all(tags["team"] == "web" and "Name" in tags for tags in tags_of(node))
    group = templates["capacity.yaml"]["Resources"]["NodesGroup"]["Properties"]["Tags"]
    assert {tag["Key"]: tag["PropagateAtLaunch"] for tag in group} == dict.fromkeys(
        ["AmazonECSManaged", "Name", "team"], True
    )


#: What lies in a VPC, without its `AWS::`. One that does not say in which is put into the account's default one.
IN_A_VPC = (
    "EC2::SecurityGroup",
    "EC2::Subnet",
    "EC2::RouteTable",
    "EC2::VPCEndpoint",
    "ElasticLoadBalancingV2::TargetGroup",
)


@every_set
def test_what_lies_in_a_vpc_says_in_which(name: str) -> None:
    asked = 0
    for file, template in SETS[name].items():
        own = template["Resources"].get("Vpc")
        for kind in IN_A_VPC:
            for title, properties in of_type(template, kind).items():
                assert properties["VpcId"] == ref("Vpc" if own else "VpcId"), (file, title)
                asked += 1
    assert asked > 8


@every_set
def test_a_name_in_a_text_is_of_something_that_is_there(name: str) -> None:
    asked = 0
    for file, template in SETS[name].items():
        there = template["Resources"].keys() | template.get("Parameters", {}).keys()
        for path, node in nodes(template, file):
            if isinstance(node, dict) and "Fn::Sub" in node:
                sub = node["Fn::Sub"]
                text, given = sub if isinstance(sub, list) else (sub, {})
                names = {part for part in re.findall(r"\$\{([^!}][^}]*)\}", text) if not part.startswith("AWS::")}
                assert given.keys() <= names <= given.keys() | there, path
                asked += len(names)
    assert asked > 8


@every_set
def test_what_is_at_rest_is_encrypted(name: str) -> None:
    for file, template in SETS[name].items():
        for path, node in nodes(template["Resources"], file):
            if isinstance(node, dict) and node.get("Type") == "AWS::S3::Bucket":
                assert node["Properties"]["BucketEncryption"], path
            if isinstance(node, dict) and node.get("Type") == "AWS::ECR::Repository":
                assert node["Properties"]["EncryptionConfiguration"]["EncryptionType"] in ("AES256", "KMS"), path
            if path.endswith(".Ebs"):
                assert node["Encrypted"] is True, path
