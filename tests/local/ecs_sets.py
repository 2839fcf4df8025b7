"""Clusters with capacity of every kind, and services on them, as Python objects."""

from __future__ import annotations

from typing import Any

from . import sets

Template = sets.Template


def fargate(*names: str) -> Template:
    """A cluster with Fargate's capacity providers, by an association as those of an Auto Scaling group have it."""
    wanted = {"Cluster": {"Ref": "Cluster"}, "CapacityProviders": list(names), "DefaultCapacityProviderStrategy": []}
    return {
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Association": {"Type": "AWS::ECS::ClusterCapacityProviderAssociations", "Properties": wanted},
    }


def nodes(**association: Any) -> Template:
    """A cluster whose nodes come from a group."""
    resources = sets.cluster()
    resources["Association"]["Properties"].update(association)
    return resources


def managed_instances(**properties: Any) -> Template:
    """What a cluster needs for a capacity provider `Managed` of Managed Instances: the provider, roles, a profile."""
    role = sets.role()
    template = {
        "Ec2InstanceProfileArn": {"Fn::GetAtt": ["Profile", "Arn"]},
        "NetworkConfiguration": {"Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"]},
        "InstanceRequirements": {"VCpuCount": {"Min": "1", "Max": 4}, "MemoryMiB": {"Min": 1024}},
    }
    provider = {
        "InfrastructureRoleArn": {"Fn::GetAtt": ["Infrastructure", "Arn"]},
        "InstanceLaunchTemplate": template,
        "PropagateTags": "CAPACITY_PROVIDER",
    }
    return {
        "Infrastructure": role,
        "Instance": role,
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Instance"}]}},
        "Managed": {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {"ClusterName": {"Ref": "Cluster"}, "ManagedInstancesProvider": provider, **properties},
        },
    }


def task(**properties: Any) -> Template:
    """A task definition of one container with one named port, that runs on Fargate as anywhere."""
    ports = [{"Name": "http", "ContainerPort": "8080", "AppProtocol": "http"}]
    container = {"Name": "web", "Image": "web:1", "Memory": 128, "PortMappings": ports}
    small = {"Cpu": "256", "Memory": "512", "NetworkMode": "awsvpc", "RequiresCompatibilities": ["FARGATE"]}
    wanted = {**small, "ContainerDefinitions": [container], **properties}
    present = {name: value for name, value in wanted.items() if value is not None}
    return {"Type": "AWS::ECS::TaskDefinition", "Properties": present}


NETWORK: Template = {"AwsvpcConfiguration": {"Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"]}}


def on(*providers: Any, **properties: Any) -> Template:
    """A service of `Task` in `Cluster`, on these capacity providers."""
    strategy = [{"CapacityProvider": provider, "Weight": 1} for provider in providers]
    wanted = {
        "Cluster": {"Ref": "Cluster"},
        "TaskDefinition": {"Ref": "Task"},
        "DesiredCount": 1,
        "NetworkConfiguration": NETWORK,
        "CapacityProviderStrategy": strategy or None,
        **properties,
    }
    present = {name: value for name, value in wanted.items() if value is not None}
    return {"Type": "AWS::ECS::Service", "Properties": present}


def after(resource: str, template: Template) -> Template:
    return {**template, "DependsOn": resource}


def shifted(strategy: str) -> Template:
    """A service behind a balancer, of a strategy that moves requests, without what it would move them by."""
    kind = "AWS::ElasticLoadBalancingV2"
    forward = [{"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}]
    listening = {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": forward}
    behind = [{"TargetGroupArn": {"Ref": "Targets"}, "ContainerName": "web", "ContainerPort": 8080}]
    service = on("FARGATE", LoadBalancers=behind, DeploymentConfiguration={"Strategy": strategy})
    return {
        **fargate("FARGATE"),
        "Task": task(),
        "Balancer": {"Type": f"{kind}::LoadBalancer"},
        "Targets": {"Type": f"{kind}::TargetGroup", "Properties": {"Port": 80, "Protocol": "HTTP", "TargetType": "ip"}},
        "Listener": {"Type": f"{kind}::Listener", "Properties": listening},
        "Web": {**service, "DependsOn": ["Association", "Listener"]},
    }
