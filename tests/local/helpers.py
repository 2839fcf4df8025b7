"""Plain boto3 steps against an emulator: upload, change set, execute, wait, delete, and what is left behind.

Every account (an access key of twelve digits) is a world of its own, so tests share an emulator and not a state.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from scaleout_cfn.local import Emulator

_ACCOUNTS = itertools.count(200_000_000_000)
_CHANGES = itertools.count(1)
_MOST_POLLS = 5000  # each is a request of some milliseconds: a bound against hanging, not a timeout

Template = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """A fresh account in an emulator, and its clients."""

    emulator: Emulator
    number: str = field(default_factory=lambda: str(next(_ACCOUNTS)))

    def client(self, service: str) -> Any:
        return _client(service, self.emulator.endpoint_url, self.emulator.region, self.number)

    @property
    def bucket(self) -> str:
        """Where this account's templates go: bucket names are shared by all accounts."""
        return f"artifacts-{self.number}"

    def environment(self) -> dict[str, str]:
        return {**self.emulator.environment(), "AWS_ACCESS_KEY_ID": self.number}


@cache
def _client(service: str, endpoint_url: str, region: str, account: str) -> Any:
    """One client for all calls to a service, and one session for all: reading the models is what takes time."""
    return _session().client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


@cache
def _session() -> Any:
    return boto3.Session()


def upload(account: Account, files: Mapping[str, str | Template]) -> str:
    """Put the files into the account's bucket. Returns the prefix of their URLs, as AWS writes it."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=account.bucket)
    for key, content in files.items():
        s3.put_object(Bucket=account.bucket, Key=key, Body=content if isinstance(content, str) else json.dumps(content))
    return f"https://{account.bucket}.s3.{account.emulator.region}.amazonaws.com"


def folder(path: Path) -> dict[str, str]:
    """Read a rendered set: file name -> text."""
    return {file.name: file.read_text() for file in sorted(path.iterdir()) if file.is_file()}


def change_set(
    account: Account,
    stack: str,
    url: str,
    parameters: Mapping[str, str] | None = None,
    *,
    kind: str = "UPDATE",
    name: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Create a change set with nested stacks. Returns its description, whatever its status."""
    cfn = account.client("cloudformation")
    made = cfn.create_change_set(
        StackName=stack,
        ChangeSetName=name or f"change-{next(_CHANGES)}",
        ChangeSetType=kind,
        TemplateURL=url,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in (parameters or {}).items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        IncludeNestedStacks=True,
        **options,
    )
    description: dict[str, Any] = cfn.describe_change_set(ChangeSetName=made["Id"])
    return description


def execute(account: Account, description: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Execute a change set and wait for its end. Returns the stack."""
    assert description["Status"] == "CREATE_COMPLETE", description.get("StatusReason")
    account.client("cloudformation").execute_change_set(ChangeSetName=description["ChangeSetId"], **options)
    return settled(account, description["StackId"])


def deploy(
    account: Account, stack: str, url: str, parameters: Mapping[str, str] | None = None, *, kind: str = "UPDATE"
) -> dict[str, Any]:
    """Create and execute a change set. Returns the stack as it ended."""
    return execute(account, change_set(account, stack, url, parameters, kind=kind))


def stand(
    account: Account, resources: Template, outputs: Template | None = None, *, name: str = "demo"
) -> dict[str, Any]:
    """Create a stack of these resources, or make it them. Returns it as it ended."""
    cfn = account.client("cloudformation")
    template = {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in (outputs or {}).items()}}
    there = [stack for stack in cfn.list_stacks()["StackSummaries"] if stack["StackName"] == name]
    act = cfn.update_stack if there else cfn.create_stack
    made = act(StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"])
    return settled(account, made["StackId"])


def stands(account: Account, resources: Template, outputs: Template | None = None) -> dict[str, str]:
    """As `stand`, for what has to succeed. Returns the outputs."""
    stack = stand(account, resources, outputs)
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), failures(account)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def delete(account: Account, stack_id: str) -> dict[str, Any]:
    """Delete a stack and wait for its end. Returns the stack as it ended."""
    account.client("cloudformation").delete_stack(StackName=stack_id)
    return poll(
        lambda: described(account, stack_id), lambda stack: stack["StackStatus"].startswith("DELETE_") and done(stack)
    )


def settled(account: Account, stack_id: str) -> dict[str, Any]:
    """Wait until nothing is at work on the stack."""
    return poll(lambda: described(account, stack_id), done)


def described(account: Account, stack_id: str) -> dict[str, Any]:
    stack: dict[str, Any] = account.client("cloudformation").describe_stacks(StackName=stack_id)["Stacks"][0]
    return stack


def done(stack: Mapping[str, Any]) -> bool:
    return not stack["StackStatus"].endswith("_IN_PROGRESS")


def poll(read: Callable[[], dict[str, Any]], enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Read until it is enough."""
    for _ in range(_MOST_POLLS):
        answer = read()
        if enough(answer):
            return answer
    raise AssertionError(f"never came to an end: {answer}")


def outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def children(account: Account, stack_id: str) -> dict[str, str]:
    """Logical id -> ARN of the nested stacks."""
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in account.client("cloudformation").describe_stack_resources(StackName=stack_id)["StackResources"]
        if resource["ResourceType"] == "AWS::CloudFormation::Stack"
    }


def events(account: Account, stack_id: str) -> list[dict[str, Any]]:
    """The events of one stack, oldest first."""
    pages = account.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def every_event(account: Account) -> list[dict[str, Any]]:
    """The events of every stack there has been, for a message that explains a failure."""
    stacks = account.client("cloudformation").list_stacks()["StackSummaries"]
    return [event for stack in stacks for event in events(account, stack["StackId"])]


def failures(account: Account) -> list[str]:
    """`stack/resource status: reason` for every failed event."""
    return [
        f"{event['StackName']}/{event['LogicalResourceId']} {event['ResourceStatus']}:"
        f" {event.get('ResourceStatusReason', '')}"
        for event in every_event(account)
        if event["ResourceStatus"].endswith("_FAILED")
    ]


def leftovers(account: Account) -> list[str]:
    """Everything that a set may make and that still exists, as `kind: id`.

    The default VPC and the account's own bucket are not counted.
    """
    return sorted(f"{kind}: {name}" for kind, name in _inventory(account) if name != account.bucket)


def _inventory(account: Account) -> Iterator[tuple[str, str]]:
    for stack in account.client("cloudformation").list_stacks()["StackSummaries"]:
        if stack["StackStatus"] != "DELETE_COMPLETE":
            yield "stack", f"{stack['StackName']} {stack['StackStatus']}"
    yield from _network(account.client("ec2"))
    for service, operation, key, name in (
        ("application-autoscaling", "describe_scalable_targets", "ScalableTargets", "ResourceId"),
        ("application-autoscaling", "describe_scaling_policies", "ScalingPolicies", "PolicyName"),
        ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName"),
        ("autoscaling", "describe_policies", "ScalingPolicies", "PolicyName"),
        ("acm", "list_certificates", "CertificateSummaryList", "CertificateArn"),
        ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        ("codebuild", "list_projects", "projects", ""),
        ("ecr", "describe_repositories", "repositories", "repositoryName"),
        ("ecs", "list_clusters", "clusterArns", ""),
        ("ecs", "list_task_definitions", "taskDefinitionArns", ""),
        ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
        ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
        ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
        ("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn"),
        ("iam", "list_roles", "Roles", "RoleName"),
        ("logs", "describe_log_groups", "logGroups", "logGroupName"),
        ("route53", "list_hosted_zones", "HostedZones", "Name"),
        ("servicediscovery", "list_namespaces", "Namespaces", "Name"),
        ("servicediscovery", "list_services", "Services", "Name"),
        ("sns", "list_topics", "Topics", "TopicArn"),
        ("sqs", "list_queues", "QueueUrls", ""),
        ("ssm", "describe_parameters", "Parameters", "Name"),
    ):
        for entry in _listed(account.client(service), operation, key):
            yield key, entry[name] if name else entry
    for bucket in account.client("s3").list_buckets()["Buckets"]:
        yield "bucket", bucket["Name"]
    for policy in account.client("iam").list_policies(Scope="Local")["Policies"]:
        yield "policy", policy["PolicyName"]
    for rule in account.client("events").list_rules()["Rules"]:
        yield "rule", rule["Name"]
    for provider in account.client("ecs").describe_capacity_providers()["capacityProviders"]:
        if provider["name"] not in ("FARGATE", "FARGATE_SPOT"):
            yield "capacity provider", provider["name"]


def _network(ec2: Any) -> Iterator[tuple[str, str]]:
    default = {vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"]}
    for operation, key, name in (
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        ("describe_addresses", "Addresses", "PublicIp"),
        ("describe_flow_logs", "FlowLogs", "FlowLogId"),
        ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
        ("describe_egress_only_internet_gateways", "EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId"),
    ):
        for entry in _listed(ec2, operation, key):
            if entry.get("VpcId") not in default:
                yield key, entry[name]
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        if not default & {attachment["VpcId"] for attachment in gateway["Attachments"]}:
            yield "internet gateway", gateway["InternetGatewayId"]
    for gateway in ec2.describe_nat_gateways()["NatGateways"]:
        if gateway["State"] != "deleted":
            yield "NAT gateway", gateway["NatGatewayId"]


def _listed(client: Any, operation: str, key: str) -> list[Any]:
    arguments = (
        {"ServiceNamespace": "ecs"} if client.meta.service_model.service_name == "application-autoscaling" else {}
    )
    if client.can_paginate(operation):
        return [entry for page in client.get_paginator(operation).paginate(**arguments) for entry in page[key]]
    return list(getattr(client, operation)(**arguments)[key])


def refused(call: Callable[[], Any]) -> str:
    """The message of the ClientError that the call must raise."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Message"])
    raise AssertionError("the call was accepted")
