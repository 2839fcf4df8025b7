"""Kinds of ids: what a typed parameter or a property wants, and what another stack gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Fault, Faults, fault, rule
from scaleout_cfn.lint.rules.tables import FAMILIAR_TYPES
from scaleout_cfn.lint.rules.wiring import is_placeholder, passed
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, Scope, Symbol, Text
from scaleout_cfn.templates.values import is_list_type


def _giving(resource: str, *attributes: str) -> frozenset[tuple[str, str]]:
    """What gives the id of a kind of resource: these attributes, "" for Ref."""
    return frozenset((resource, attribute) for attribute in attributes)


# The kinds of id that CloudFormation checks by parameter type: how such an id looks, and which
# resources' Ref ("") or attribute gives one.
_ID_KINDS: dict[str, tuple[str, frozenset[tuple[str, str]]]] = {
    "AWS::EC2::VPC::Id": (
        r"vpc-[0-9a-f]+",
        _giving("AWS::EC2::VPC", "", "VpcId")
        | _giving("AWS::EC2::Subnet", "VpcId")
        | _giving("AWS::EC2::SecurityGroup", "VpcId"),
    ),
    "AWS::EC2::Subnet::Id": (r"subnet-[0-9a-f]+", _giving("AWS::EC2::Subnet", "", "SubnetId")),
    "AWS::EC2::SecurityGroup::Id": (
        r"sg-[0-9a-f]+",
        _giving("AWS::EC2::SecurityGroup", "", "GroupId", "Id") | _giving("AWS::EC2::VPC", "DefaultSecurityGroup"),
    ),
    "AWS::EC2::Instance::Id": (r"i-[0-9a-f]+", _giving("AWS::EC2::Instance", "", "InstanceId")),
    "AWS::EC2::Volume::Id": (r"vol-[0-9a-f]+", _giving("AWS::EC2::Volume", "", "VolumeId")),
    "AWS::EC2::Image::Id": (r"ami-[0-9a-f]+", frozenset()),
    "AWS::EC2::KeyPair::KeyName": (r".+", _giving("AWS::EC2::KeyPair", "", "KeyName")),
    "AWS::Route53::HostedZone::Id": (
        r"(/hostedzone/)?Z[A-Z0-9]+",
        _giving("AWS::Route53::HostedZone", "", "Id"),
    ),
}


def _inner_type(parameter_type: str) -> str:
    """The type of one value of a parameter: without the list and the SSM parameter around it."""
    for wrapper in ("AWS::SSM::Parameter::Value<", "List<"):
        if parameter_type.startswith(wrapper) and parameter_type.endswith(">"):
            parameter_type = parameter_type[len(wrapper) : -1]
    return parameter_type


def _is_wrong(symbol: Symbol, good: frozenset[tuple[str, str]]) -> bool:
    if not symbol.is_resource:
        kind = _inner_type(symbol.type)
        return kind in _ID_KINDS and _ID_KINDS[kind][1] != good
    given = (symbol.type, symbol.attribute)
    if symbol.type not in FAMILIAR_TYPES or given in good:
        return False
    return symbol.attribute == "" or symbol.attribute.endswith("Arn") or any(given in kind for kind in _KINDS)


@rule("S108", GUIDE + "cloudformation-supplied-parameter-types.html")
def wrong_kind(stacks: StackSet) -> Faults:
    """A typed parameter is passed an id of its own kind, one for a scalar and any number for a list."""
    for stack, nested, name, definition, value in passed(stacks):
        declared = str(definition.get("Type", "String"))
        reason = "" if declared.startswith("AWS::SSM::") else _misfit(value, declared)
        if reason:
            kind = _inner_type(declared)
            yield Fault(
                nested.parent,
                f"{nested.path}.Parameters.{name}",
                f"{name} of {stack.file} is a {declared}, but {reason}.",
                f"Pass {'values' if is_list_type(declared) else 'one value'} of type {kind}.",
                "warning" if is_placeholder(stack, name) else None,
            )


def _misfit(value: Any, declared: str) -> str:
    """Why a value is none of a parameter's type; empty where it may be one."""
    scalar, kind = not is_list_type(declared), _inner_type(declared)
    if scalar and (kind in _ID_KINDS or kind == "Number"):
        if isinstance(value, Symbol) and not value.is_resource and is_list_type(value.type):
            return f"it is passed the list {value}"
        if isinstance(value, Text) and any(isinstance(part, str) and "," in part for part in value.parts):
            return "it is passed several values joined by commas"
    if kind not in _ID_KINDS:
        return ""
    shape, good = _ID_KINDS[kind]
    for item in _items(value, scalar):
        if isinstance(item, Symbol) and _is_wrong(item, good):
            return f"it is passed {item}"
        if isinstance(item, str) and item and not re.fullmatch(shape, item):
            return f'it is passed "{item}"'
    return ""


def _items(value: Any, scalar: bool) -> list[Any]:
    if isinstance(value, Text) and not scalar:
        # Joined ids: the text between two symbols is the comma.
        return [part.strip(", ") if isinstance(part, str) else part for part in value.parts]
    if isinstance(value, str) and not scalar:
        return [item.strip() for item in value.split(",")]
    return [value] if isinstance(value, (str, Symbol)) else []


_VPC = _ID_KINDS["AWS::EC2::VPC::Id"][1]
_SUBNET = _ID_KINDS["AWS::EC2::Subnet::Id"][1]
_GROUP = _ID_KINDS["AWS::EC2::SecurityGroup::Id"][1]
_INSTANCE = _ID_KINDS["AWS::EC2::Instance::Id"][1]
_ELB = "AWS::ElasticLoadBalancingV2::"
_TARGETS = _giving(_ELB + "TargetGroup", "", "TargetGroupArn")
_LISTENER = _giving(_ELB + "Listener", "", "ListenerArn")
_BALANCER = _giving(_ELB + "LoadBalancer", "", "LoadBalancerArn")
_CLUSTER = _giving("AWS::ECS::Cluster", "", "Arn")
_ROUTES = _giving("AWS::EC2::RouteTable", "", "RouteTableId")
_GATEWAY = _giving("AWS::EC2::InternetGateway", "", "InternetGatewayId")
_NAT = _giving("AWS::EC2::NatGateway", "", "NatGatewayId")
_ADDRESS = _giving("AWS::EC2::EIP", "AllocationId")
_FILES = _giving("AWS::EFS::FileSystem", "", "FileSystemId")
_ROLE = _giving("AWS::IAM::Role", "Arn")
_ROLE_NAME = _giving("AWS::IAM::Role", "")
_TOPIC = _giving("AWS::SNS::Topic", "", "TopicArn")
_BUCKET = _giving("AWS::S3::Bucket", "")
_CERTIFICATE = _giving("AWS::CertificateManager::Certificate", "", "CertificateArn")
_FUNCTION = _giving("AWS::Lambda::Function", "", "Arn", "FunctionName")
_LOGS = _giving("AWS::Logs::LogGroup", "", "LogGroupName")
_QUEUE = _giving("AWS::SQS::Queue", "", "QueueUrl")
_KEY = _giving("AWS::KMS::Key", "", "Arn", "KeyId")
_KINDS = (
    *(good for _, good in _ID_KINDS.values()),
    *(_TARGETS, _LISTENER, _BALANCER, _CLUSTER, _ROUTES, _GATEWAY, _NAT, _ADDRESS, _FILES, _ROLE, _TOPIC, _BUCKET),
    *(_CERTIFICATE, _FUNCTION, _LOGS, _QUEUE, _KEY),
)

# Where properties want the id of one kind of resource: type, what gives one, paths ("*" is each item). From the types'
# pages, https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
_ID_TABLE: tuple[tuple[str, frozenset[tuple[str, str]], str], ...] = (
    (_ELB + "TargetGroup", _VPC, "VpcId"),
    (_ELB + "LoadBalancer", _SUBNET, "Subnets.*"),
    (_ELB + "LoadBalancer", _GROUP, "SecurityGroups.*"),
    (_ELB + "Listener", _BALANCER, "LoadBalancerArn"),
    (_ELB + "Listener", _CERTIFICATE, "Certificates.*.CertificateArn"),
    (_ELB + "Listener", _TARGETS, "DefaultActions.*.TargetGroupArn"),
    (_ELB + "ListenerRule", _LISTENER, "ListenerArn"),
    (_ELB + "ListenerRule", _TARGETS, "Actions.*.TargetGroupArn"),
    (_ELB + "ListenerCertificate", _LISTENER, "ListenerArn"),
    (_ELB + "ListenerCertificate", _CERTIFICATE, "Certificates.*.CertificateArn"),
    ("AWS::ElasticLoadBalancing::LoadBalancer", _SUBNET, "Subnets.*"),
    ("AWS::ElasticLoadBalancing::LoadBalancer", _GROUP, "SecurityGroups.*"),
    ("AWS::EC2::SecurityGroup", _VPC, "VpcId"),
    ("AWS::EC2::SecurityGroup", _GROUP, "SecurityGroupIngress.*.SourceSecurityGroupId"),
    ("AWS::EC2::SecurityGroup", _GROUP, "SecurityGroupEgress.*.DestinationSecurityGroupId"),
    ("AWS::EC2::SecurityGroupIngress", _GROUP, "GroupId SourceSecurityGroupId"),
    ("AWS::EC2::SecurityGroupEgress", _GROUP, "GroupId DestinationSecurityGroupId"),
    ("AWS::EC2::Subnet", _VPC, "VpcId"),
    ("AWS::EC2::RouteTable", _VPC, "VpcId"),
    ("AWS::EC2::NetworkAcl", _VPC, "VpcId"),
    ("AWS::EC2::VPCCidrBlock", _VPC, "VpcId"),
    ("AWS::EC2::VPCDHCPOptionsAssociation", _VPC, "VpcId"),
    ("AWS::EC2::VPCGatewayAttachment", _VPC, "VpcId"),
    ("AWS::EC2::VPCGatewayAttachment", _GATEWAY, "InternetGatewayId"),
    ("AWS::EC2::VPCPeeringConnection", _VPC, "VpcId PeerVpcId"),
    ("AWS::EC2::TransitGatewayAttachment", _VPC, "VpcId"),
    ("AWS::EC2::TransitGatewayAttachment", _SUBNET, "SubnetIds.*"),
    ("AWS::EC2::VPCEndpoint", _VPC, "VpcId"),
    ("AWS::EC2::VPCEndpoint", _SUBNET, "SubnetIds.*"),
    ("AWS::EC2::VPCEndpoint", _GROUP, "SecurityGroupIds.*"),
    ("AWS::EC2::VPCEndpoint", _ROUTES, "RouteTableIds.*"),
    ("AWS::EC2::Route", _ROUTES, "RouteTableId"),
    ("AWS::EC2::Route", _NAT, "NatGatewayId"),
    ("AWS::EC2::Route", _INSTANCE, "InstanceId"),
    ("AWS::EC2::SubnetRouteTableAssociation", _SUBNET, "SubnetId"),
    ("AWS::EC2::SubnetRouteTableAssociation", _ROUTES, "RouteTableId"),
    ("AWS::EC2::SubnetNetworkAclAssociation", _SUBNET, "SubnetId"),
    ("AWS::EC2::NatGateway", _SUBNET, "SubnetId"),
    ("AWS::EC2::NatGateway", _ADDRESS, "AllocationId"),
    ("AWS::EC2::EIPAssociation", _INSTANCE, "InstanceId"),
    ("AWS::EC2::EIPAssociation", _ADDRESS, "AllocationId"),
    ("AWS::EC2::NetworkInterface", _SUBNET, "SubnetId"),
    ("AWS::EC2::NetworkInterface", _GROUP, "GroupSet.*"),
    ("AWS::EC2::Instance", _SUBNET, "SubnetId NetworkInterfaces.*.SubnetId"),
    ("AWS::EC2::Instance", _GROUP, "SecurityGroupIds.* NetworkInterfaces.*.GroupSet.*"),
    ("AWS::EC2::LaunchTemplate", _GROUP, "LaunchTemplateData.SecurityGroupIds.*"),
    ("AWS::EC2::LaunchTemplate", _GROUP, "LaunchTemplateData.NetworkInterfaces.*.Groups.*"),
    ("AWS::EC2::LaunchTemplate", _SUBNET, "LaunchTemplateData.NetworkInterfaces.*.SubnetId"),
    ("AWS::AutoScaling::LaunchConfiguration", _GROUP, "SecurityGroups.*"),
    ("AWS::AutoScaling::AutoScalingGroup", _SUBNET, "VPCZoneIdentifier.*"),
    ("AWS::AutoScaling::AutoScalingGroup", _TARGETS, "TargetGroupARNs.*"),
    ("AWS::ECS::Service", _CLUSTER, "Cluster"),
    ("AWS::ECS::Service", _TARGETS, "LoadBalancers.*.TargetGroupArn"),
    ("AWS::ECS::Service", _SUBNET, "NetworkConfiguration.AwsvpcConfiguration.Subnets.*"),
    ("AWS::ECS::Service", _GROUP, "NetworkConfiguration.AwsvpcConfiguration.SecurityGroups.*"),
    ("AWS::ECS::TaskDefinition", _ROLE | _ROLE_NAME, "ExecutionRoleArn TaskRoleArn"),
    ("AWS::ECS::TaskDefinition", _FILES, "Volumes.*.EFSVolumeConfiguration.FilesystemId"),
    ("AWS::EFS::MountTarget", _FILES, "FileSystemId"),
    ("AWS::EFS::MountTarget", _SUBNET, "SubnetId"),
    ("AWS::EFS::MountTarget", _GROUP, "SecurityGroups.*"),
    ("AWS::EFS::AccessPoint", _FILES, "FileSystemId"),
    ("AWS::RDS::DBSubnetGroup", _SUBNET, "SubnetIds.*"),
    ("AWS::RDS::DBInstance", _GROUP, "VPCSecurityGroups.*"),
    ("AWS::RDS::DBCluster", _GROUP, "VpcSecurityGroupIds.*"),
    ("AWS::RDS::DBProxy", _SUBNET, "VpcSubnetIds.*"),
    ("AWS::RDS::DBProxy", _GROUP, "VpcSecurityGroupIds.*"),
    ("AWS::RDS::DBProxy", _ROLE, "RoleArn"),
    ("AWS::Redshift::ClusterSubnetGroup", _SUBNET, "SubnetIds.*"),
    ("AWS::Redshift::Cluster", _GROUP, "VpcSecurityGroupIds.*"),
    ("AWS::ElastiCache::SubnetGroup", _SUBNET, "SubnetIds.*"),
    ("AWS::ElastiCache::ReplicationGroup", _GROUP, "SecurityGroupIds.*"),
    ("AWS::ElastiCache::CacheCluster", _GROUP, "VpcSecurityGroupIds.*"),
    ("AWS::DocDB::DBSubnetGroup", _SUBNET, "SubnetIds.*"),
    ("AWS::DocDB::DBCluster", _GROUP, "VpcSecurityGroupIds.*"),
    ("AWS::Neptune::DBSubnetGroup", _SUBNET, "SubnetIds.*"),
    ("AWS::Neptune::DBCluster", _GROUP, "VpcSecurityGroupIds.*"),
    ("AWS::DMS::ReplicationSubnetGroup", _SUBNET, "SubnetIds.*"),
    ("AWS::OpenSearchService::Domain", _SUBNET, "VPCOptions.SubnetIds.*"),
    ("AWS::OpenSearchService::Domain", _GROUP, "VPCOptions.SecurityGroupIds.*"),
    ("AWS::MSK::Cluster", _SUBNET, "BrokerNodeGroupInfo.ClientSubnets.*"),
    ("AWS::MSK::Cluster", _GROUP, "BrokerNodeGroupInfo.SecurityGroups.*"),
    ("AWS::AmazonMQ::Broker", _SUBNET, "SubnetIds.*"),
    ("AWS::AmazonMQ::Broker", _GROUP, "SecurityGroups.*"),
    ("AWS::EKS::Cluster", _SUBNET, "ResourcesVpcConfig.SubnetIds.*"),
    ("AWS::EKS::Cluster", _GROUP, "ResourcesVpcConfig.SecurityGroupIds.*"),
    ("AWS::EKS::Cluster", _ROLE, "RoleArn"),
    ("AWS::EKS::Nodegroup", _SUBNET, "Subnets.*"),
    ("AWS::EKS::Nodegroup", _ROLE, "NodeRole"),
    ("AWS::Lambda::Function", _SUBNET, "VpcConfig.SubnetIds.*"),
    ("AWS::Lambda::Function", _GROUP, "VpcConfig.SecurityGroupIds.*"),
    ("AWS::Lambda::Function", _ROLE, "Role"),
    ("AWS::Lambda::Permission", _FUNCTION, "FunctionName"),
    ("AWS::Lambda::EventSourceMapping", _FUNCTION, "FunctionName"),
    ("AWS::CodeBuild::Project", _VPC, "VpcConfig.VpcId"),
    ("AWS::CodeBuild::Project", _SUBNET, "VpcConfig.Subnets.*"),
    ("AWS::CodeBuild::Project", _GROUP, "VpcConfig.SecurityGroupIds.*"),
    ("AWS::CodePipeline::Pipeline", _ROLE, "RoleArn"),
    ("AWS::CodePipeline::Pipeline", _BUCKET, "ArtifactStore.Location"),
    ("AWS::IAM::InstanceProfile", _ROLE_NAME, "Roles.*"),
    ("AWS::IAM::Policy", _ROLE_NAME, "Roles.*"),
    ("AWS::S3::BucketPolicy", _BUCKET, "Bucket"),
    ("AWS::SNS::Subscription", _TOPIC, "TopicArn"),
    ("AWS::SNS::TopicPolicy", _TOPIC, "Topics.*"),
    ("AWS::SQS::QueuePolicy", _QUEUE, "Queues.*"),
    ("AWS::Logs::SubscriptionFilter", _LOGS, "LogGroupName"),
    ("AWS::Logs::MetricFilter", _LOGS, "LogGroupName"),
    ("AWS::CloudTrail::Trail", _BUCKET, "S3BucketName"),
    ("AWS::KMS::Alias", _KEY, "TargetKeyId"),
    ("AWS::Route53::HostedZone", _VPC, "VPCs.*.VPCId"),
    ("AWS::ServiceDiscovery::PrivateDnsNamespace", _VPC, "Vpc"),
)
_ID_PROPERTIES: dict[str, list[tuple[list[str], frozenset[tuple[str, str]]]]] = {}
for _kind, _good, _paths in _ID_TABLE:
    _ID_PROPERTIES.setdefault(_kind, []).extend((path.split("."), _good) for path in _paths.split())


@rule("S109", TEMPLATE_REFERENCE + "intrinsic-function-reference-ref.html", *_ID_PROPERTIES)
def wrong_property(resource: Place) -> Faults:
    """A property gets from another stack an id of the kind of resource that it names."""
    for path, good in _ID_PROPERTIES[resource.type]:
        for place, value in _follow(resource.scope, resource.node, path, ()) if path[0] in resource.node else ():
            # Within one template cfn-lint tells the kinds apart.
            if isinstance(value, Symbol) and value.stack is not resource.stack and _is_wrong(value, good):
                wanted = " or ".join(sorted({kind for kind, _ in good}))
                message = f"{place[0]} of {resource} wants {wanted} and gets {value}."
                cure = "Pass the right output or resource where the parent wires this stack."
                yield fault(resource, ".".join(place), message, cure)


def _follow(scope: Scope, node: Any, path: list[str], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, dict) and isinstance(node.get("Ref"), str):
        parameter = scope.stack.facts.parameters.get(node["Ref"], {})
        if _inner_type(str(parameter.get("Type"))) in _ID_KINDS:
            # What enters by a typed parameter is judged where it is passed, by S108.
            return
    node = scope.value(node)
    if not path:
        yield place, node
    elif path[0] == "*":
        for index, item in enumerate(node if isinstance(node, list) else []):
            yield from _follow(scope, item, path[1:], (*place, str(index)))
    elif isinstance(node, dict) and path[0] in node:
        yield from _follow(scope, node[path[0]], path[1:], (*place, path[0]))
