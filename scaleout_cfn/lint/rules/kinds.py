"""Kinds of ids: what a typed parameter or a property wants, and what another stack gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Rule
from scaleout_cfn.lint.rules.tables import FAMILIAR_TYPES
from scaleout_cfn.lint.rules.wiring import passed
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, Symbol, Text
from scaleout_cfn.templates.values import is_list_type

# The kinds of id that CloudFormation checks by parameter type: how such an id looks, and which
# resources' Ref ("") or attribute gives one.
_ID_KINDS: dict[str, tuple[str, frozenset[tuple[str, str]]]] = {
    "AWS::EC2::VPC::Id": (
        r"vpc-[0-9a-f]+",
        frozenset(
            {
                ("AWS::EC2::VPC", ""),
                ("AWS::EC2::VPC", "VpcId"),
                ("AWS::EC2::Subnet", "VpcId"),
                ("AWS::EC2::SecurityGroup", "VpcId"),
            }
        ),
    ),
    "AWS::EC2::Subnet::Id": (
        r"subnet-[0-9a-f]+",
        frozenset({("AWS::EC2::Subnet", ""), ("AWS::EC2::Subnet", "SubnetId")}),
    ),
    "AWS::EC2::SecurityGroup::Id": (
        r"sg-[0-9a-f]+",
        frozenset(
            {
                ("AWS::EC2::SecurityGroup", ""),
                ("AWS::EC2::SecurityGroup", "GroupId"),
                ("AWS::EC2::SecurityGroup", "Id"),
                ("AWS::EC2::VPC", "DefaultSecurityGroup"),
            }
        ),
    ),
    "AWS::EC2::Instance::Id": (
        r"i-[0-9a-f]+",
        frozenset({("AWS::EC2::Instance", ""), ("AWS::EC2::Instance", "InstanceId")}),
    ),
    "AWS::EC2::Volume::Id": (
        r"vol-[0-9a-f]+",
        frozenset({("AWS::EC2::Volume", ""), ("AWS::EC2::Volume", "VolumeId")}),
    ),
    "AWS::EC2::Image::Id": (r"ami-[0-9a-f]+", frozenset()),
    "AWS::EC2::KeyPair::KeyName": (r".+", frozenset({("AWS::EC2::KeyPair", ""), ("AWS::EC2::KeyPair", "KeyName")})),
    "AWS::Route53::HostedZone::Id": (
        r"(/hostedzone/)?Z[A-Z0-9]+",
        frozenset({("AWS::Route53::HostedZone", ""), ("AWS::Route53::HostedZone", "Id")}),
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
    if symbol.type not in FAMILIAR_TYPES or (symbol.type, symbol.attribute) in good:
        return False
    return symbol.attribute == "" or symbol.attribute.endswith("Arn")


class WrongKind(Rule):
    id = "S108"
    sentence = "A typed parameter is passed an id of its own kind, one for a scalar and any number for a list."
    source = GUIDE + "cloudformation-supplied-parameter-types.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, nested, name, definition, value in passed(stacks):
            declared = str(definition.get("Type", "String"))
            if declared.startswith("AWS::SSM::"):
                continue
            kind = _inner_type(declared)
            reason = self._reason(value, declared, kind)
            if reason:
                yield self.finding(
                    nested.parent,
                    f"{nested.path}.Parameters.{name}",
                    f"{name} of {stack.file} is a {declared}, but {reason}.",
                    f"Pass {'values' if is_list_type(declared) else 'one value'} of type {kind}.",
                )

    def _reason(self, value: Any, declared: str, kind: str) -> str | None:
        scalar = not is_list_type(declared)
        if scalar and (kind in _ID_KINDS or kind == "Number"):
            if isinstance(value, Symbol) and not value.is_resource and is_list_type(value.type):
                return f"it is passed the list {value}"
            if isinstance(value, Text) and any(isinstance(part, str) and "," in part for part in value.parts):
                return "it is passed several values joined by commas"
        if kind not in _ID_KINDS:
            return None
        shape, good = _ID_KINDS[kind]
        for item in _items(value, scalar):
            if isinstance(item, Symbol) and _is_wrong(item, good):
                return f"it is passed {item}"
            if isinstance(item, str) and item and not re.fullmatch(shape, item):
                return f'it is passed "{item}"'
        return None


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
_ELB = "AWS::ElasticLoadBalancingV2::"
_TARGETS = frozenset({(_ELB + "TargetGroup", ""), (_ELB + "TargetGroup", "TargetGroupArn")})
_LISTENER = frozenset({(_ELB + "Listener", ""), (_ELB + "Listener", "ListenerArn")})
_BALANCER = frozenset({(_ELB + "LoadBalancer", ""), (_ELB + "LoadBalancer", "LoadBalancerArn")})
_CLUSTER = frozenset({("AWS::ECS::Cluster", ""), ("AWS::ECS::Cluster", "Arn")})

# Where a property wants the id of one kind of resource: type, path ("*" is each item), what gives one.
_ID_PROPERTIES: tuple[tuple[str, str, frozenset[tuple[str, str]]], ...] = (
    (_ELB + "TargetGroup", "VpcId", _VPC),
    (_ELB + "LoadBalancer", "Subnets.*", _SUBNET),
    (_ELB + "LoadBalancer", "SecurityGroups.*", _GROUP),
    (_ELB + "Listener", "LoadBalancerArn", _BALANCER),
    (_ELB + "ListenerRule", "ListenerArn", _LISTENER),
    (_ELB + "ListenerCertificate", "ListenerArn", _LISTENER),
    ("AWS::EC2::SecurityGroup", "VpcId", _VPC),
    ("AWS::EC2::Subnet", "VpcId", _VPC),
    ("AWS::EC2::RouteTable", "VpcId", _VPC),
    ("AWS::EC2::VPCEndpoint", "VpcId", _VPC),
    ("AWS::EC2::VPCEndpoint", "SubnetIds.*", _SUBNET),
    ("AWS::EC2::VPCEndpoint", "SecurityGroupIds.*", _GROUP),
    ("AWS::EC2::SecurityGroupIngress", "GroupId", _GROUP),
    ("AWS::EC2::SecurityGroupIngress", "SourceSecurityGroupId", _GROUP),
    ("AWS::EC2::SecurityGroupEgress", "GroupId", _GROUP),
    ("AWS::EC2::SecurityGroupEgress", "DestinationSecurityGroupId", _GROUP),
    ("AWS::AutoScaling::AutoScalingGroup", "VPCZoneIdentifier.*", _SUBNET),
    ("AWS::ECS::Service", "Cluster", _CLUSTER),
    ("AWS::ECS::Service", "LoadBalancers.*.TargetGroupArn", _TARGETS),
    ("AWS::ECS::Service", "NetworkConfiguration.AwsvpcConfiguration.Subnets.*", _SUBNET),
    ("AWS::ECS::Service", "NetworkConfiguration.AwsvpcConfiguration.SecurityGroups.*", _GROUP),
)


class WrongProperty(Rule):
    id = "S109"
    sentence = "A property gets from another stack an id of the kind of resource that it names."
    source = TEMPLATE_REFERENCE + "intrinsic-function-reference-ref.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, path, good in _ID_PROPERTIES:
                for logical_id, properties, scope in stack.of_type(kind):
                    for place, value in _follow(scope, properties, path.split("."), ()):
                        # Within one template cfn-lint tells the kinds apart.
                        if isinstance(value, Symbol) and value.stack is not stack and _is_wrong(value, good):
                            wanted = " or ".join(sorted({resource for resource, _ in good}))
                            yield self.finding(
                                stack.file,
                                ".".join(("Resources", logical_id, "Properties", *place)),
                                f"{place[0]} of {logical_id} wants {wanted} and gets {value}.",
                                "Pass the right output or resource where the parent wires this stack.",
                            )


def _follow(scope: Scope, node: Any, path: list[str], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    name = node.get("Ref") if isinstance(node, Mapping) else None
    parameter = scope.stack.facts.parameters.get(name, {}) if isinstance(name, str) else {}
    if _inner_type(str(parameter.get("Type"))) in _ID_KINDS:
        # What enters by a typed parameter is judged where it is passed, by S108.
        return
    node = scope.value(node)
    if not path:
        yield place, node
    elif path[0] == "*":
        for index, item in enumerate(node if isinstance(node, list) else []):
            yield from _follow(scope, item, path[1:], (*place, str(index)))
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _follow(scope, node[path[0]], path[1:], (*place, path[0]))
