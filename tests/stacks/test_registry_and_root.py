"""The registry, and the wiring page: which stack is fed by which, and what the set tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from one_service import one_service

import scaleout_cfn as sc
from scaleout_cfn import capacity
from stacks.helpers import AWSVPC, PINNED, Templates, att, made, properties, ref, references, resource

# --- the registry


def repository(**settings: Any) -> dict[str, Any]:
    return resource(made(registry=sc.Registry(**settings)), "web-foundation", "Repository")


def test_tags_are_immutable_but_for_those_that_may_move() -> None:
    assert repository()["Properties"]["ImageTagMutability"] == "IMMUTABLE"
    assert "ImageTagMutabilityExclusionFilters" not in repository()["Properties"]
    moving = repository(mutable_tags=("latest", "dev-*"))["Properties"]
    assert moving["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert moving["ImageTagMutabilityExclusionFilters"] == [
        {"ImageTagMutabilityExclusionFilterType": "WILDCARD", "ImageTagMutabilityExclusionFilterValue": tag}
        for tag in ("latest", "dev-*")
    ]


def test_the_newest_images_are_kept_whatever_their_age() -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html"""
    policy = repository(keep_images=7)["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"]
    (rule,) = json.loads(policy)["rules"]
    assert rule["rulePriority"] == 1
    assert rule["action"] == {"type": "expire"}
    assert rule["selection"] == {
        # Layers of a manifest list have no tag and go with it.
        "tagStatus": "tagged",
        "tagPatternList": ["*"],
        "countType": "imageCountMoreThan",
        "countNumber": 7,
    }
    assert "7" in rule["description"]


@pytest.mark.parametrize(("emptied", "policy"), [(False, "RetainExceptOnCreate"), (True, "Delete")])
def test_images_outlive_the_stack_unless_they_shall_not(emptied: bool, policy: str) -> None:
    body = repository(empty_on_delete=emptied)
    assert body["Properties"]["EmptyOnDelete"] is emptied
    # A repository that holds something cannot be deleted, unless it is emptied before.
    assert (body["DeletionPolicy"], body["UpdateReplacePolicy"]) == (policy, "Retain")


@pytest.mark.parametrize("encryption", ["AES256", "KMS"])
def test_images_are_encrypted(encryption: Any) -> None:
    properties = repository(encryption=encryption)["Properties"]
    assert properties["EncryptionConfiguration"] == {"EncryptionType": encryption}


def test_the_registry_tells_where_to_push_and_its_name_only_to_who_watches_it() -> None:
    outputs = {name: output["Value"] for name, output in made()["web-foundation.yaml"]["Outputs"].items()}
    assert {name: value for name, value in outputs.items() if name.startswith("Repository")} == {
        "RepositoryUri": att("Repository", "RepositoryUri"),
        "RepositoryArn": att("Repository", "Arn"),
    }
    watched = made(
        nodes=sc.Ec2Capacity(machine_image=PINNED),
        registry=sc.Registry(mutable_tags=("latest",)),
        pipeline=sc.RegistryPipeline(),
    )
    assert watched["web-foundation.yaml"]["Outputs"]["RepositoryName"]["Value"] == ref("Repository")


# --- the wiring page

#: Which stack takes what from which, `<` from. The names say what should fit: a wrong sibling of one kind shows here.
WIRES = """
LoadBalancer.VpcId < Network.VpcId
LoadBalancer.Topic < Notifications.Topic
Capacity.ClusterName < Cluster.ClusterName
Capacity.VpcId < Network.VpcId
Capacity.Subnets < Network.NodeSubnets
Capacity.Topic < Notifications.Topic
WebFoundation.VpcId < Network.VpcId
WebFoundation.Listener < LoadBalancer.Listener
WebFoundation.LoadBalancerName < LoadBalancer.LoadBalancerName
WebFoundation.Topic < Notifications.Topic
Dashboard.ClusterName < Cluster.ClusterName
Dashboard.LoadBalancerName < LoadBalancer.LoadBalancerName
Dashboard.WebTargetGroupName < WebFoundation.TargetGroupName
Dashboard.WebLogGroupName < WebFoundation.LogGroupName
Dashboard.NodesCapacityProvider < Capacity.NodesCapacityProvider
Dashboard.NodesGroupName < Capacity.NodesGroupName
WebService.RepositoryArn < WebFoundation.RepositoryArn
WebService.ClusterName < Cluster.ClusterName
WebService.CapacityProvider < Capacity.NodesCapacityProvider
WebService.TargetGroup < WebFoundation.TargetGroup
WebService.TargetGroupName < WebFoundation.TargetGroupName
WebService.LoadBalancerName < LoadBalancer.LoadBalancerName
WebService.LogGroupName < WebFoundation.LogGroupName
WebService.Alarms < WebFoundation.Alarms
WebService.Topic < Notifications.Topic
"""


@pytest.mark.parametrize("wire", WIRES.strip().splitlines())
def test_a_wire_leads_from_where_its_name_says(wire: str) -> None:
    taker, giver = (end.split(".") for end in wire.split(" < "))
    taken = properties(made(), "root", taker[0])["Parameters"][taker[1]]
    assert taken == att(giver[0], f"Outputs.{giver[1]}")


@pytest.mark.parametrize(
    ("stack", "parameter", "asked"),
    [
        ("Capacity", "NodesMachineImage", "NodesMachineImage"),
        ("Cluster", "CreateServiceLinkedRole", "CreateServiceLinkedRole"),
        ("Notifications", "AlarmEmail", "AlarmEmail"),
        ("WebService", "ImageUri", "WebImageUri"),
        ("WebService", "MinTasks", "WebScalingMinTasks"),
        ("WebService", "MaxTasks", "WebScalingMaxTasks"),
    ],
)
def test_what_whoever_creates_the_set_says_reaches_the_stack_that_it_is_for(
    stack: str, parameter: str, asked: str
) -> None:
    assert properties(made(), "root", stack)["Parameters"][parameter] == ref(asked)


@pytest.mark.parametrize("nodes", [5, 9])
def test_no_more_tasks_may_be_asked_for_than_the_nodes_hold(nodes: int) -> None:
    config = one_service(nodes=sc.Ec2Capacity(max_nodes=nodes))
    asked = made(config)["root.yaml"]["Parameters"]
    assert asked["WebScalingMaxTasks"]["MaxValue"] == capacity.fitting_tasks(config)["web"]
    # Their number is for whoever creates the set to say, that of the nodes is not.
    assert "MaxNodes" not in asked


def test_only_awsvpc_takes_the_tasks_network_to_the_service() -> None:
    wires = properties(made(AWSVPC), "root", "WebService")["Parameters"]
    assert wires["Subnets"] == att("Network", "Outputs.NodeSubnets")
    assert wires["SecurityGroup"] == att("WebFoundation", "Outputs.SecurityGroup")
    ground = properties(made(AWSVPC), "root", "WebFoundation")["Parameters"]
    assert ground["LoadBalancerSecurityGroup"] == att("LoadBalancer", "Outputs.SecurityGroup")
    assert not {"Subnets", "SecurityGroup"} & properties(made(), "root", "WebService")["Parameters"].keys()
    assert "LoadBalancerSecurityGroup" not in properties(made(AWSVPC), "root", "Capacity")["Parameters"]


@pytest.mark.parametrize("scheme", ["internet-facing", "internal"])
def test_an_existing_network_is_used_as_it_is_given(scheme: Any) -> None:
    templates = made(network=sc.ExistingVpc(), load_balancer=sc.NewLoadBalancer(scheme=scheme))
    assert "network.yaml" not in templates
    for stack in ("LoadBalancer", "Capacity"):
        assert properties(templates, "root", stack)["Parameters"]["VpcId"] == ref("VpcId")
    # The balancer's subnets are the balancer's, be it internal or not.
    given = {"LoadBalancer": "LoadBalancerSubnets", "Capacity": "NodeSubnets"}
    for stack, parameter in given.items():
        subnets = properties(templates, "root", stack)["Parameters"]["Subnets"]
        assert subnets == {"Fn::Join": [",", ref(parameter)]}
    outputs = templates["root.yaml"]["Outputs"]
    assert outputs["VpcId"]["Value"] == ref("VpcId")
    assert outputs["NodeSubnets"]["Value"] == {"Fn::Join": [",", ref("NodeSubnets")]}


def told(templates: Templates) -> dict[str, Any]:
    return {name: output["Value"] for name, output in templates["root.yaml"]["Outputs"].items()}


def test_the_set_tells_where_it_answers_where_to_push_and_where_to_look() -> None:
    outputs = told(made())
    link = outputs.pop("DashboardUrl")
    assert outputs == {
        "WebUrl": att("LoadBalancer", "Outputs.Url"),
        "WebRepositoryUri": att("WebFoundation", "Outputs.RepositoryUri"),
        "ClusterName": att("Cluster", "Outputs.ClusterName"),
        "WebLogGroupName": att("WebFoundation", "Outputs.LogGroupName"),
        "VpcId": att("Network", "Outputs.VpcId"),
        "NodeSubnets": att("Network", "Outputs.NodeSubnets"),
    }
    assert all(output["Description"].endswith(".") for output in made()["root.yaml"]["Outputs"].values())
    text, given = link["Fn::Sub"]
    assert text == "https://${Host}/cloudwatch/home?region=${AWS::Region}#dashboards/dashboard/${Dashboard}"
    assert given["Dashboard"] == att("Dashboard", "Outputs.DashboardName")
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html: a console each partition.
    assert given["Host"] == {"Fn::FindInMap": ["Console", ref("AWS::Partition"), "Host"]}
    hosts = {partition: row["Host"] for partition, row in made()["root.yaml"]["Mappings"]["Console"].items()}
    assert hosts == {
        "aws": "console.aws.amazon.com",
        "aws-cn": "console.amazonaws.cn",
        "aws-us-gov": "console.amazonaws-us-gov.com",
    }


def test_nothing_takes_an_output_of_what_changes_with_each_image() -> None:
    """CloudFormation calls all that takes its outputs a possible replacement."""
    root = made()["root.yaml"]
    others = {title: body for title, body in root["Resources"].items() if title != "WebService"}
    assert "WebService" not in set(references([others, root["Outputs"]]))
    assert "Outputs" not in made()["web-service.yaml"]
