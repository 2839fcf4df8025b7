"""What a change set says of a resource is what its execution does."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.local.differences import _changed

from . import helpers, sets
from .ecs_sets import nodes, task
from .helpers import Account
from .test_routing import answer, balancer, group, path, rule

Properties = dict[str, Any]
VPC: sets.Template = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


def alone(kind: str, **properties: Any) -> sets.Template:
    return {"It": {"Type": kind, "Properties": properties}}


def in_vpc(kind: str, **properties: Any) -> sets.Template:
    return {"Vpc": VPC, **alone(kind, VpcId={"Ref": "Vpc"}, **properties)}


def provider(capacity: int = 90, *, other: bool = False) -> sets.Template:
    resources = nodes()
    resources["It"] = resources.pop("Provider")
    wanted = resources["It"]["Properties"]["AutoScalingGroupProvider"]
    wanted["ManagedScaling"]["TargetCapacity"] = capacity
    resources["Other"] = resources["Group"]
    if other:
        wanted["AutoScalingGroupArn"] = {"Fn::GetAtt": ["Other", "AutoScalingGroupARN"]}
    resources["Association"]["Properties"] = {
        "Cluster": {"Ref": "Cluster"},
        "CapacityProviders": [{"Ref": "It"}],
        "DefaultCapacityProviderStrategy": [],
    }
    return resources


def service(**properties: Any) -> sets.Template:
    resources = sets.service(LaunchType="EC2", **properties)
    resources["It"] = resources.pop("Service")
    return resources


def ruled(priority: int, listener: str = "Listener") -> sets.Template:
    return balancer(It=rule(priority, path("/a"), action=answer("a"), listener=listener))


def targets(**properties: Any) -> sets.Template:
    it = group()
    it["Properties"].update(properties)
    return {"It": it}


CHANGES: dict[str, tuple[sets.Template, sets.Template, bool]] = {
    "the size of a task definition": ({"It": task()}, {"It": task(Memory="1024")}, True),
    "the tags of a task definition": (
        {"It": task()},
        {"It": task(Tags=[{"Key": "Team", "Value": "web"}])},
        False,
    ),
    "the count of a service": (service(), service(DesiredCount=2), False),
    "the name of a service": (service(), service(ServiceName="other"), True),
    "the target of a capacity provider": (provider(), provider(80), False),
    "the group of a capacity provider": (provider(), provider(other=True), True),
    "the priority of a rule": (ruled(1), ruled(2), False),
    "the listener of a rule": (ruled(1), ruled(1, "Other"), True),
    "the health check of a target group": (targets(), targets(HealthCheckPath="/ready"), False),
    "the port of a target group": (targets(), targets(Port=81), True),
    "the rules of a security group": (
        in_vpc("AWS::EC2::SecurityGroup", GroupDescription="x"),
        in_vpc(
            "AWS::EC2::SecurityGroup",
            GroupDescription="x",
            SecurityGroupIngress=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "10.0.0.0/8"}],
        ),
        False,
    ),
    "the description of a security group": (
        in_vpc("AWS::EC2::SecurityGroup", GroupDescription="x"),
        in_vpc("AWS::EC2::SecurityGroup", GroupDescription="y"),
        True,
    ),
    "the range of a subnet": (
        in_vpc("AWS::EC2::Subnet", CidrBlock="10.0.0.0/24"),
        in_vpc("AWS::EC2::Subnet", CidrBlock="10.0.1.0/24"),
        True,
    ),
    "public addresses in a subnet": (
        in_vpc("AWS::EC2::Subnet", CidrBlock="10.0.0.0/24"),
        in_vpc("AWS::EC2::Subnet", CidrBlock="10.0.0.0/24", MapPublicIpOnLaunch=True),
        False,
    ),
    "the pool of an elastic address": (
        alone("AWS::EC2::EIP", Domain="vpc"),
        alone("AWS::EC2::EIP", Domain="vpc", PublicIpv4Pool="pool"),
        False,
    ),
    "the retention of a log group": (
        alone("AWS::Logs::LogGroup", RetentionInDays=7),
        alone("AWS::Logs::LogGroup", RetentionInDays=14),
        False,
    ),
    "the name of a log group": (
        alone("AWS::Logs::LogGroup", LogGroupName="one"),
        alone("AWS::Logs::LogGroup", LogGroupName="two"),
        True,
    ),
    "the path of a role": (
        alone("AWS::IAM::Role", **sets.role()["Properties"]),
        alone("AWS::IAM::Role", **sets.role()["Properties"], Path="/web/"),
        True,
    ),
    "the description of a namespace": (
        alone("AWS::ServiceDiscovery::HttpNamespace", Name="shop"),
        alone("AWS::ServiceDiscovery::HttpNamespace", Name="shop", Description="x"),
        False,
    ),
    "the name of a namespace": (
        alone("AWS::ServiceDiscovery::HttpNamespace", Name="shop"),
        alone("AWS::ServiceDiscovery::HttpNamespace", Name="store"),
        True,
    ),
}


def planned_and_done(account: Account, before: sets.Template, after: sets.Template) -> tuple[bool, bool, str]:
    """Whether the plan says that `It` is replaced, whether it was, and how the stack ended."""
    url = helpers.upload(account, {f"{name}.json": {"Resources": it} for name, it in (("a", before), ("b", after))})
    url = url.replace(
        f"https://{account.bucket}.s3.us-east-1.amazonaws.com", f"https://s3.amazonaws.com/{account.bucket}"
    )
    stack = helpers.deploy(account, "demo", f"{url}/a.json", kind="CREATE")
    assert stack["StackStatus"] == "CREATE_COMPLETE", helpers.failures(account)

    def physical_id() -> str:
        resources = account.client("cloudformation").describe_stack_resources(StackName="demo")["StackResources"]
        return str(next(one["PhysicalResourceId"] for one in resources if one["LogicalResourceId"] == "It"))

    old = physical_id()
    change = helpers.change_set(account, "demo", f"{url}/b.json")
    (said,) = [
        entry["ResourceChange"]["Replacement"]
        for entry in change["Changes"]
        if entry["ResourceChange"]["LogicalResourceId"] == "It"
    ]
    assert said != "Conditional"
    ended = str(helpers.execute(account, change)["StackStatus"])
    return said == "True", physical_id() != old, ended


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_plan_says_of_a_resource_is_what_happens_to_it(name: str, account: Account) -> None:
    before, after, replaced = CHANGES[name]
    assert planned_and_done(account, before, after) == (replaced, replaced, "UPDATE_COMPLETE"), helpers.failures(
        account
    )


def test_what_can_be_updated_in_place_is_and_what_stays_keeps_its_attributes(account: Account) -> None:
    def resources(days: int, **namespace: str) -> sets.Template:
        shop = alone("AWS::ServiceDiscovery::HttpNamespace", Name="shop", **namespace)["It"]
        return {**alone("AWS::Logs::LogGroup", LogGroupName="kept", RetentionInDays=days), "Shop": shop}

    arn = {"Shop": {"Fn::GetAtt": ["Shop", "Arn"]}}
    before = helpers.stands(account, resources(7), arn)
    assert helpers.stands(account, resources(14, Description="x"), arn) == before
    assert before["Shop"].startswith("arn:")
    (group,) = account.client("logs").describe_log_groups(logGroupNamePrefix="kept")["logGroups"]
    assert group["retentionInDays"] == 14


def test_a_value_that_comes_goes_or_becomes_a_table_is_a_change_of_its_property() -> None:
    inner = {"A": {"B": 1, "C": 2}}
    assert list(_changed(inner, {"A": {"B": 1, "C": 3}})) == [("A", "C")]
    for other in ({}, {"A": 1}):
        assert list(_changed(inner, other)) == list(_changed(other, inner)) == [("A",)]
    assert list(_changed(inner, inner)) == []
