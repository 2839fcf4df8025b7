"""Small nested sets, as Python objects. Every set has a `root.json`."""

from __future__ import annotations

from typing import Any

Template = dict[str, Any]
Files = dict[str, Template]

STACK = "AWS::CloudFormation::Stack"


def nested(file: str, **parameters: Any) -> Template:
    """A nested stack from a file beside the root, whose `Url` parameter is their common prefix."""
    properties: Template = {"TemplateURL": {"Fn::Sub": f"${{Url}}/{file}"}, "Parameters": parameters}
    return {"Type": STACK, "Properties": properties}


def root(resources: Template, parameters: Template | None = None, outputs: Template | None = None) -> Template:
    return {
        "Parameters": {"Url": {"Type": "String"}, **(parameters or {})},
        "Resources": resources,
        "Outputs": {name: {"Value": value} for name, value in (outputs or {}).items()},
    }


def parameter(value: Any) -> Template:
    """The cheapest resource there is, with a value to look at."""
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}


def role() -> Template:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
    }


def child() -> Template:
    """A role that never changes, and a value made from it: `Value` gives the value."""
    return {
        "Parameters": {"Word": {"Type": "String"}},
        "Resources": {"Role": role(), "Value": parameter({"Fn::Sub": "${Word} ${Role.Arn}"})},
        "Outputs": {"Value": {"Value": {"Fn::GetAtt": ["Value", "Value"]}}, "Word": {"Value": {"Ref": "Word"}}},
    }


def pair() -> Files:
    """Two children of which the second takes an output of the first. `Word` is the root's parameter."""
    return {
        "root.json": root(
            {
                "First": nested("child.json", Word={"Ref": "Word"}),
                "Second": nested("child.json", Word={"Fn::GetAtt": ["First", "Outputs.Word"]}),
            },
            {"Word": {"Type": "String"}},
            {
                "First": {"Fn::GetAtt": ["First", "Outputs.Value"]},
                "Second": {"Fn::GetAtt": ["Second", "Outputs.Value"]},
            },
        ),
        "child.json": child(),
    }


def apart() -> Files:
    """Two children that take nothing from each other; the second comes second."""
    files = pair()
    second = nested("child.json", Word={"Ref": "Word"})
    files["root.json"]["Resources"]["Second"] = {**second, "DependsOn": "First"}
    return files


def three_levels() -> Files:
    """The root, a stack between, and the child of that."""
    return {
        "root.json": root(
            {"Middle": nested("middle.json", Url={"Ref": "Url"}, Word={"Ref": "Word"})},
            {"Word": {"Type": "String"}},
            {"Value": {"Fn::GetAtt": ["Middle", "Outputs.Value"]}},
        ),
        "middle.json": root(
            {"Leaf": nested("child.json", Word={"Ref": "Word"})},
            {"Word": {"Type": "String"}},
            {"Value": {"Fn::GetAtt": ["Leaf", "Outputs.Value"]}},
        ),
        "child.json": child(),
    }


def cluster() -> Template:
    """A cluster whose nodes come from a group, through a capacity provider."""
    group = {"LaunchTemplate": {"LaunchTemplateId": {"Ref": "Launch"}, "Version": "1"}, "MinSize": "0", "MaxSize": "4"}
    provider = {
        "AutoScalingGroupArn": {"Fn::GetAtt": ["Group", "AutoScalingGroupARN"]},
        "ManagedScaling": {"Status": "ENABLED", "TargetCapacity": "90"},
        "ManagedDraining": "ENABLED",
    }
    return {
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {}}},
        "Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "CreationPolicy": {"ResourceSignal": {"Count": 2, "Timeout": "PT15M"}},
            "UpdatePolicy": {"AutoScalingRollingUpdate": {"WaitOnResourceSignals": True, "PauseTime": "PT15M"}},
            "Properties": group,
        },
        "Provider": {"Type": "AWS::ECS::CapacityProvider", "Properties": {"AutoScalingGroupProvider": provider}},
        "Association": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": [{"Ref": "Provider"}],
                "DefaultCapacityProviderStrategy": [
                    {"CapacityProvider": {"Ref": "Provider"}, "Weight": "1", "Base": 0}
                ],
            },
        },
    }


def service(**properties: Any) -> Template:
    """A service of one container in a cluster of its own."""
    container = {"Name": "web", "Image": "web:1", "Memory": 128}
    wanted = {"Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"}, **properties}
    return {
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [container]}},
        "Service": {"Type": "AWS::ECS::Service", "Properties": wanted},
    }


def scaled_service() -> Files:
    """A network, a cluster and a scaled service behind a load balancer, in three children of one root."""
    network = {
        "Resources": {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
            "Gateway": {"Type": "AWS::EC2::InternetGateway"},
            "Attachment": {
                "Type": "AWS::EC2::VPCGatewayAttachment",
                "Properties": {"VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"}},
            },
            **{name: _subnet(number) for number, name in enumerate(("One", "Two"))},
        },
        "Outputs": {name: {"Value": {"Ref": name}} for name in ("Vpc", "One", "Two")},
    }
    nodes = {"Resources": cluster(), "Outputs": {"Cluster": {"Value": {"Ref": "Cluster"}}}}
    return {
        "root.json": root(
            {
                "Network": nested("network.json"),
                "Cluster": nested("cluster.json"),
                "Service": nested(
                    "service.json",
                    Cluster={"Fn::GetAtt": ["Cluster", "Outputs.Cluster"]},
                    Vpc={"Fn::GetAtt": ["Network", "Outputs.Vpc"]},
                    One={"Fn::GetAtt": ["Network", "Outputs.One"]},
                    Two={"Fn::GetAtt": ["Network", "Outputs.Two"]},
                    Image={"Ref": "Image"},
                    Most={"Ref": "Most"},
                ),
            },
            {"Image": {"Type": "String"}, "Most": {"Type": "Number"}},
        ),
        "network.json": network,
        "cluster.json": nodes,
        "service.json": _service_child(),
    }


def _subnet(number: int) -> Template:
    zone = {"Fn::Select": [number, {"Fn::GetAZs": {"Ref": "AWS::Region"}}]}
    block = {"Fn::Select": [number, {"Fn::Cidr": [{"Fn::GetAtt": ["Vpc", "CidrBlock"]}, 2, 8]}]}
    properties = {"VpcId": {"Ref": "Vpc"}, "AvailabilityZone": zone, "CidrBlock": block}
    return {"Type": "AWS::EC2::Subnet", "Properties": properties}


def _service_child() -> Template:
    elb = "AWS::ElasticLoadBalancingV2"
    balancer = {"Subnets": [{"Ref": "One"}, {"Ref": "Two"}]}
    targets = {"VpcId": {"Ref": "Vpc"}, "Port": 80, "Protocol": "HTTP"}
    forward = [{"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}]
    listener = {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": forward}
    behind = [{"TargetGroupArn": {"Ref": "Targets"}, "ContainerName": "web", "ContainerPort": "80"}]
    container = {"Name": "web", "Image": {"Ref": "Image"}, "Memory": 128, "PortMappings": [{"ContainerPort": 80}]}
    task = {"ContainerDefinitions": [container]}
    run = {"Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"}, "LoadBalancers": behind}
    scaled = {
        "ServiceNamespace": "ecs",
        "ResourceId": {"Fn::Sub": "service/${Cluster}/${Service.Name}"},
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": 1,
        "MaxCapacity": {"Ref": "Most"},
    }
    kinds = {"Cluster": "String", "Vpc": "AWS::EC2::VPC::Id", "Image": "String", "Most": "Number"}
    return {
        "Parameters": {
            **{name: {"Type": kind} for name, kind in kinds.items()},
            **{name: {"Type": "AWS::EC2::Subnet::Id"} for name in ("One", "Two")},
        },
        "Resources": {
            "Balancer": {"Type": f"{elb}::LoadBalancer", "Properties": balancer},
            "Targets": {"Type": f"{elb}::TargetGroup", "Properties": targets},
            "Listener": {"Type": f"{elb}::Listener", "Properties": listener},
            "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": task},
            "Service": {"Type": "AWS::ECS::Service", "DependsOn": "Listener", "Properties": run},
            "Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": scaled},
        },
    }
