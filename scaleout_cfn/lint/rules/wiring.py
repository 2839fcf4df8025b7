"""What passes between stacks: files, parameters, outputs, names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..findings import Finding
from ..stacks import Nested, Stack, StackSet
from ..values import Scope, Symbol, Text, as_number, is_list_type
from .base import Rule, nearest
from .tables import FAMILIAR_TYPES

_GUIDE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
_TEMPLATE_REFERENCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
_STACK = _TEMPLATE_REFERENCE + "aws-resource-cloudformation-stack.html"
_PARAMETERS = _GUIDE + "parameters-section-structure.html"


def _spelling(name: str, known: Mapping[str, Any], otherwise: str) -> str:
    close = nearest(name, known)
    return f"Did you mean {close}?" if close else otherwise


def _listed(names: Mapping[str, Any]) -> str:
    shown = ", ".join(list(names)[:8])
    return f"{shown}, ..." if len(names) > 8 else shown or "none"


class MissingChildFile(Rule):
    id = "S101"
    sentence = "The template file of every nested stack is in the set."
    source = _STACK

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for nested in stacks.nested:
            if nested.missing is not None:
                yield self.finding(
                    nested.parent,
                    f"{nested.path}.{'TemplateURL' if 'TemplateURL' in nested.properties else 'Location'}",
                    f"{nested.logical_id} nests {nested.missing}, which is not in the set.",
                    _spelling(nested.missing, stacks.facts, f"The set has {_listed(stacks.facts)}."),
                )


class FileCycle(Rule):
    id = "S102"
    sentence = "No template nests itself, directly or through its children."
    source = _GUIDE + "using-cfn-nested-stacks.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        done: set[str] = set()
        for start in stacks.facts:
            ring = _ring(stacks, start, (), done)
            if ring:
                last, *_ = ring
                chain = " -> ".join([*(nested.parent for nested in ring), ring[0].parent])
                yield self.finding(
                    last.parent,
                    f"Resources.{last.logical_id}",
                    f"The templates nest each other in a ring: {chain}.",
                    "Nested stacks form a tree: take one of these nested stacks out.",
                )


def _ring(stacks: StackSet, file: str, above: tuple[Nested, ...], done: set[str]) -> tuple[Nested, ...]:
    for index, nested in enumerate(above):
        if nested.parent == file:
            return above[index:]
    if file in done:
        return ()
    done.add(file)
    for nested in stacks.nested_of(file).values():
        if nested.child is not None:
            ring = _ring(stacks, nested.child, (*above, nested), done)
            if ring:
                return ring
    return ()


class UnknownParameter(Rule):
    id = "S103"
    sentence = "A parent passes a nested stack only parameters that its template declares."
    source = _STACK
    overlaps = frozenset({"E3043"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for nested in stacks.nested:
            if nested.child is None or not stacks.facts[nested.child].closed("Parameters"):
                continue
            declared = stacks.facts[nested.child].parameters
            for name in nested.arguments or {}:
                if name not in declared:
                    yield self.finding(
                        nested.parent,
                        f"{nested.path}.Parameters.{name}",
                        f"{nested.child} has no parameter {name}.",
                        _spelling(name, declared, f"Its parameters are {_listed(declared)}."),
                    )


class MissingParameter(Rule):
    id = "S104"
    sentence = "A parent passes a nested stack every parameter that has no default."
    source = _STACK
    overlaps = frozenset({"E3043"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for nested in stacks.nested:
            if nested.child is None or nested.arguments is None:
                continue
            passed = nested.arguments
            for name, definition in stacks.facts[nested.child].parameters.items():
                left_out = name not in passed or passed[name] == {"Ref": "AWS::NoValue"}
                if left_out and "Default" not in definition:
                    kind = definition.get("Type", "String")
                    yield self.finding(
                        nested.parent,
                        f"{nested.path}.Parameters" if passed else nested.path,
                        f"{nested.logical_id} is not given {name} ({kind}), which {nested.child} "
                        "requires: it has no default.",
                        f"Pass {name}, or give it a Default in {nested.child}.",
                    )


class UnknownOutput(Rule):
    id = "S105"
    sentence = "Fn::GetAtt and Fn::Sub read only outputs that the nested template declares."
    source = _TEMPLATE_REFERENCE + "intrinsic-function-reference-getatt.html"
    overlaps = frozenset({"E1010", "E1019", "E6101"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for file, facts in stacks.facts.items():
            nested = stacks.nested_of(file)
            for path, name, attribute in facts.attributes:
                child = nested[name].child if name in nested else None
                head, _, output = attribute.partition(".")
                if child is None or head != "Outputs" or not stacks.facts[child].closed("Outputs"):
                    continue
                outputs = stacks.facts[child].outputs
                if output not in outputs:
                    yield self.finding(
                        file,
                        ".".join(path),
                        f"{child} has no output {output}, which is read here as {name}.{attribute}.",
                        _spelling(output, outputs, f"Its outputs are {_listed(outputs)}."),
                    )


class ListPassed(Rule):
    id = "S106"
    sentence = "What a parent passes a nested stack is a string or a number, never a list."
    source = "https://repost.aws/knowledge-center/cloudformation-parameters-nested-stacks"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for nested in stacks.nested:
            facts = stacks.facts[nested.parent]
            for name, value in (nested.arguments or {}).items():
                what = None
                if isinstance(value, list):
                    what = "a list"
                elif isinstance(value, Mapping) and len(value) == 1:
                    (function, argument), *_ = value.items()
                    if function in ("Fn::Split", "Fn::GetAZs", "Fn::Cidr"):
                        what = f"the list that {function} gives"
                    elif function == "Ref" and isinstance(argument, str) and argument in facts.parameters:
                        kind = str(facts.parameters[argument].get("Type", "String"))
                        if is_list_type(kind):
                            what = f"{argument}, which is a {kind}"
                if what is not None:
                    yield self.finding(
                        nested.parent,
                        f"{nested.path}.Parameters.{name}",
                        f"{name} of {nested.logical_id} is passed {what}; nested stacks take strings only.",
                        'Join it: Fn::Join [",", ...]. A list parameter of the child takes it apart again.',
                    )


class BrokenConstraint(Rule):
    id = "S107"
    sentence = "A value that is known keeps to the constraints of the child's parameter."
    source = _PARAMETERS

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, nested, name, definition, value in _passed(stacks):
            kind = str(definition.get("Type", "String"))
            items = _literals(value, is_list_type(kind) or kind == "CommaDelimitedList")
            for reason in (_broken(item, kind, definition) for item in items):
                if reason:
                    yield self.finding(
                        nested.parent,
                        f"{nested.path}.Parameters.{name}",
                        f"{name} of {stack.file} {reason}.",
                        str(definition.get("ConstraintDescription") or f"Pass a value that {stack.file} allows."),
                    )
                    break


def _passed(stacks: StackSet) -> Iterator[tuple[Stack, Nested, str, Mapping[str, Any], Any]]:
    """Each parameter that a parent passes a stack: the child, the nesting, name, definition and value."""
    for stack in stacks.stacks:
        if stack.parent is None or stack.nested is None or stack.absent:
            continue
        scope = stack.parent.scope_of(stack.parent.resource(stack.nested.logical_id))
        for name, expression in (stack.nested.arguments or {}).items():
            definition = stack.facts.parameters.get(name)
            if definition is not None and "Fn::Transform" not in definition:
                yield stack, stack.nested, name, definition, scope.value(expression)


def _literals(value: Any, is_list: bool) -> list[Any]:
    if isinstance(value, list):
        # S106 says that a list cannot be passed at all.
        return []
    if not isinstance(value, (str, int, float)):
        return []
    return [item.strip() for item in value.split(",")] if is_list and isinstance(value, str) else [value]


def _broken(item: Any, kind: str, definition: Mapping[str, Any]) -> str | None:
    text = str(item).lower() if isinstance(item, bool) else str(item)
    number = as_number(item)
    said = f'is "{text}"'
    if kind in ("Number", "List<Number>") and number is None:
        return f"{said}, which is not a number"
    allowed = definition.get("AllowedValues")
    if isinstance(allowed, list) and not any(_equal(text, number, choice) for choice in allowed):
        return f"{said}; allowed are {', '.join(str(choice) for choice in allowed[:12])}"
    pattern = definition.get("AllowedPattern")
    if isinstance(pattern, str) and kind not in ("Number", "List<Number>") and not _matches(pattern, text):
        return f"{said}, which does not match {pattern}"
    for bound, least in (("MinLength", True), ("MaxLength", False)):
        limit = as_number(definition.get(bound))
        if limit is not None and kind == "String" and (len(text) < limit if least else len(text) > limit):
            return f"{said}, {len(text)} characters; {bound} is {limit:g}"
    for bound, least in (("MinValue", True), ("MaxValue", False)):
        limit = as_number(definition.get(bound))
        if limit is not None and number is not None and (number < limit if least else number > limit):
            return f"{said}; {bound} is {limit:g}"
    return None


def _equal(text: str, number: float | None, choice: Any) -> bool:
    written = str(choice).lower() if isinstance(choice, bool) else str(choice)
    return text == written or (number is not None and number == as_number(choice))


def _matches(pattern: str, text: str) -> bool:
    # CloudFormation's patterns are Java's. One that Python reads differently or not at all proves nothing.
    if re.search(r"\\[pPhHRXQEGzZ]|\[[^\]]*(&&|\[)|[*+?}]\+|\(\?[a-zA-Z]", pattern):
        return True
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return True


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
    source = _GUIDE + "cloudformation-supplied-parameter-types.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, nested, name, definition, value in _passed(stacks):
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
    source = _TEMPLATE_REFERENCE + "intrinsic-function-reference-ref.html"

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


class StackCycle(Rule):
    id = "S110"
    sentence = "Nested stacks do not wait for each other in a circle."
    source = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for file, facts in stacks.facts.items():
            reported: set[str] = set()
            for name in stacks.nested_of(file):
                ring = [] if name in reported else _circle(facts.dependencies, name)
                reported.update(ring)
                if ring:
                    yield self.finding(
                        file,
                        f"Resources.{name}",
                        f"These wait for each other: {' -> '.join([*ring, ring[0]])}.",
                        "Break the circle: move what both sides need into one stack that neither waits for.",
                    )


def _circle(graph: Mapping[str, set[str]], start: str) -> list[str]:
    """The shortest way from a resource back to itself."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for name in sorted(graph.get(way[-1], ())):
            if name == start:
                return way
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


class SplitOutput(Rule):
    id = "S111"
    sentence = "A child does not use Fn::Select or Fn::Split on what its parent feeds it from a sibling's output."
    source = "https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            if stack.parent is None:
                continue
            for path, function, parameter in stack.facts.splits:
                if parameter in stack.facts.parameters and stack.fed_by_sibling(parameter):
                    yield self.finding(
                        stack.file,
                        ".".join(path),
                        f"{function} takes {parameter} apart, which {stack.parent.file} feeds from another "
                        "stack's output; a change set of the whole tree cannot know it and fails or lies.",
                        "Pass each value by a parameter of its own, or take the list apart in the parent.",
                    )


class DuplicateExport(Rule):
    id = "S112"
    sentence = "An export name is used once in a set."
    source = _GUIDE + "using-cfn-stack-exports.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            first: dict[Any, tuple[Stack, str]] = {}
            for stack in root.tree():
                for name, output in stack.facts.outputs.items():
                    export = output.get("Export")
                    if not isinstance(export, Mapping) or not _is_certain(stack, output):
                        continue
                    exported = stack.scope_of(output).value(export.get("Name"))
                    if isinstance(exported, (str, Symbol, Text)):
                        before = first.setdefault(exported, (stack, name))
                        if before != (stack, name):
                            yield self.finding(
                                stack.file,
                                f"Outputs.{name}.Export.Name",
                                f'"{_shown(exported)}" is exported already by {before[1]} of {before[0].file}'
                                f"{_which(before[0], stack)}.",
                                "Put ${AWS::StackName} into the name, or drop the export: nested stacks pass outputs.",
                            )


# Properties that fix a physical name, unique in an account and region (or in the whole world).
_NAME_PROPERTIES = {
    "AWS::AutoScaling::AutoScalingGroup": "AutoScalingGroupName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::CapacityProvider": "Name",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ElasticLoadBalancing::LoadBalancer": "LoadBalancerName",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
}


class DuplicateName(Rule):
    id = "S113"
    sentence = "A fixed physical name is used once for a type of resource in a set."
    source = _TEMPLATE_REFERENCE + "aws-properties-name.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            first: dict[Any, tuple[Stack, str]] = {}
            for stack in root.tree():
                for kind, name_property in _NAME_PROPERTIES.items():
                    for logical_id, properties, scope in stack.of_type(kind):
                        name = scope.value(properties.get(name_property))
                        if not _is_certain(stack, stack.resource(logical_id)) or not name:
                            continue
                        if isinstance(name, (str, Symbol, Text)):
                            before = first.setdefault((kind, name), (stack, logical_id))
                            if before != (stack, logical_id):
                                yield self.finding(
                                    stack.file,
                                    f"Resources.{logical_id}.Properties.{name_property}",
                                    f'{kind} "{_shown(name)}" is made already by {before[1]} of {before[0].file}'
                                    f"{_which(before[0], stack)}.",
                                    f"Leave {name_property} out, so that CloudFormation makes a name of its own.",
                                )


def _is_certain(stack: Stack, entry: Mapping[str, Any]) -> bool:
    """Whether an entry exists in every deployment, so that two of them do meet."""
    return not stack.conditional and stack.condition(entry.get("Condition")) is True


def _shown(value: Any) -> str:
    if isinstance(value, Text):
        return "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in value.parts)
    return f"${{{value.name}}}" if isinstance(value, Symbol) else str(value)


def _which(first: Stack, second: Stack) -> str:
    if first is second or first.file != second.file:
        return ""
    names = [stack.nested.logical_id if stack.nested else "the root" for stack in (first, second)]
    return f", nested twice as {names[0]} and {names[1]}" if names[0] != names[1] else ", nested twice"
