"""Names of exports, and of the resources that have a fixed one: used once in a set, and imported as they are."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Rule
from scaleout_cfn.templates.conditions import Formula, every, possible
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import EVERYTHING, Everything, Scope, StackView, Symbol, Text

__all__ = ["Holder", "exports", "place_of", "taken"]


class Holder(Struct, frozen=True):
    """What has a name: an entry of a stack, when it is there, and where it says the name."""

    stack: StackView
    entry: str
    presence: Formula
    path: str


def taken(named: Iterator[tuple[Any, Holder]]) -> Iterator[tuple[Any, Holder, Holder]]:
    """Each name that one deployment can use twice: the name, its first holder, and a second one, once a place."""
    holders: dict[Any, list[Holder]] = {}
    told: set[tuple[str, str]] = set()
    for name, holder in named:
        before = holders.setdefault(name, [])
        place = (holder.stack.file, holder.path)
        if place not in told:
            # A few tell enough: many that exclude each other would cost the square of their number.
            for first in before[:_COMPARED]:
                meet = possible(first.presence, holder.presence)
                if meet:
                    told.add(place)
                    yield name, first, holder
                if meet is not False:
                    break
        before.append(holder)


_COMPARED = 20


class DuplicateExport(Rule):
    id = "S112"
    sentence = "An export name is used once in a set."
    source = GUIDE + "using-cfn-stack-exports.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            for name, first, second in taken(exports(root)):
                yield self.finding(
                    second.stack.file,
                    second.path,
                    f'"{_shown(name)}" is exported already by {place_of(first, second)}.',
                    "Put ${AWS::StackName} into the name, or drop the export: nested stacks pass outputs.",
                )


def exports(
    root: StackView, doubtful: frozenset[Symbol] | Everything | None = None
) -> Iterator[tuple[str | Symbol | Text, Holder]]:
    """The exports of a tree, by name as far as it is known; `doubtful` parameters are not taken at their defaults."""
    for stack in root.tree():
        for entry, output in stack.facts.outputs.items():
            export, presence = output.get("Export"), stack.presence(output)
            if isinstance(export, Mapping) and presence is not False:
                scope = stack.scope_of(output)
                scope = replace(scope, doubtful=doubtful) if doubtful else scope
                for when, name in scope.choices(export.get("Name")):
                    if isinstance(name, (str, Symbol, Text)):
                        yield name, Holder(stack, entry, every([presence, when]), f"Outputs.{entry}.Export.Name")


class MisspeltImport(Rule):
    id = "S114"
    sentence = "An import of a name that nobody in the set exports is no slip of one that somebody does."
    source = TEMPLATE_REFERENCE + "intrinsic-function-reference-importvalue.html"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        exported: dict[str, list[Holder]] = {}
        for root in stacks.roots:
            for name, holder in exports(root, EVERYTHING):
                exported.setdefault(_shape(name), []).append(holder)
        if not exported:
            return
        for stack in stacks.stacks:
            for path, expression in stack.facts.imports:
                name = Scope(stack, EVERYTHING, frozenset()).value(expression)
                if not isinstance(name, (str, Symbol, Text)) or _shape(name) in exported:
                    continue
                meant = next((n for n, holders in exported.items() if _is_slip(_shape(name), n, stack, holders)), None)
                if meant is not None:
                    holder = exported[meant][0]
                    yield self.finding(
                        stack.file,
                        ".".join(path),
                        f'"{_shown(name)}" is imported here, and nobody in the set exports it.',
                        f'Did you mean "{meant.replace(_HOLE, "*")}", which {holder.stack.file} exports?',
                    )


_HOLE = "\0"


def _shape(name: str | Symbol | Text) -> str:
    """A name with a hole for whatever is chosen at deploy time: exports are named by another stack's parameters."""
    parts = name.parts if isinstance(name, Text) else (name,)
    return "".join(part if isinstance(part, str) else _HOLE for part in parts)


def _is_slip(name: str, known: str, stack: StackView, holders: list[Holder]) -> bool:
    """Whether two names are one but for case, a separator or a letter, in one tree or folder."""
    folder = posixpath.dirname(stack.file)
    near = any(h.stack.root is stack.root or posixpath.dirname(h.stack.file) == folder for h in holders)
    if not near or name.count(_HOLE) != known.count(_HOLE) or abs(len(name) - len(known)) > 3:
        return False
    plain, wanted = (re.sub(r"[-_:./]", "", text).lower() for text in (name, known))
    if plain == wanted:
        return True
    # One letter too many, too few, another, or two in the wrong order; names that differ in a digit or in the last
    # letter are brothers.
    start = len(posixpath.commonprefix([plain, wanted]))
    rest, other = plain[start:], wanted[start:]
    swapped = rest[:2] == other[1::-1] and rest[2:] == other[2:]
    once = rest[1:] == other or rest == other[1:] or (rest[1:] == other[1:] != "")
    letters = (rest[:1] + other[:1]).replace(_HOLE, "0").isalpha()
    return len(plain) > 5 and letters and (once or swapped)


# Properties that fix a physical name, unique in an account and region (or in the whole world).
_NAME_PROPERTIES = {
    "AWS::AutoScaling::AutoScalingGroup": "AutoScalingGroupName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::CodePipeline::Pipeline": "Name",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::CapacityProvider": "Name",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ElasticLoadBalancing::LoadBalancer": "LoadBalancerName",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Name",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::Events::EventBus": "Name",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::DBSubnetGroup": "DBSubnetGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
}


class DuplicateName(Rule):
    id = "S113"
    sentence = "A fixed physical name is used once for a type of resource in a set."
    source = TEMPLATE_REFERENCE + "aws-properties-name.html"

    overlaps = frozenset({"E3019"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            for (kind, name), first, second in taken(_physical_names(root)):
                yield self.finding(
                    second.stack.file,
                    second.path,
                    f'{kind} "{_shown(name)}" is made already by {place_of(first, second)}.',
                    f"Leave {_NAME_PROPERTIES[kind]} out, so that CloudFormation makes a name of its own.",
                    also=[first.path] if first.stack.file == second.stack.file else [],
                )


def _physical_names(root: StackView) -> Iterator[tuple[tuple[str, str | Symbol | Text], Holder]]:
    for stack in root.tree():
        for kind, name_property in _NAME_PROPERTIES.items():
            for logical_id, properties, scope in stack.of_type(kind):
                presence = stack.presence(stack.resource(logical_id))
                path = f"Resources.{logical_id}.Properties.{name_property}"
                for when, name in scope.choices(properties.get(name_property)):
                    if name and isinstance(name, (str, Symbol, Text)):
                        yield (kind, name), Holder(stack, logical_id, every([presence, when]), path)


def _shown(value: Any) -> str:
    if isinstance(value, Text):
        return "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in value.parts)
    return f"${{{value.name}}}" if isinstance(value, Symbol) else str(value)


def place_of(first: Holder, second: Holder) -> str:
    """Where the first is, as told to a reader of the second."""
    said = f"{first.entry} of {first.stack.file}"
    if first.stack is second.stack or first.stack.file != second.stack.file:
        return said
    names = [holder.stack.nested.logical_id if holder.stack.nested else "the root" for holder in (first, second)]
    return f"{said}, nested twice as {names[0]} and {names[1]}" if names[0] != names[1] else f"{said}, nested twice"
