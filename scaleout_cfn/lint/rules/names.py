"""Names of exports and of resources that have a fixed one; and what a template is as a document."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Fault, Faults, fault, rule
from scaleout_cfn.templates.conditions import Formula, every, possible
from scaleout_cfn.templates.facts import VARIABLE, sub_parts
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import EVERYTHING, Everything, Place, Scope, StackView, Symbol, Text


class Holder(Struct, frozen=True):
    """What has a name, and when it is there."""

    place: Place
    presence: Formula


def taken(named: Iterator[tuple[Any, Holder]]) -> Iterator[tuple[Any, Holder, Holder]]:
    """Each name that one deployment can use twice: the name, its first holder, and a second one, once a place."""
    holders: dict[Any, list[Holder]] = {}
    told: set[tuple[str, str]] = set()
    for name, holder in named:
        before = holders.setdefault(name, [])
        where = (holder.place.stack.file, holder.place.path)
        if where not in told:
            # A few tell enough: many that exclude each other would cost the square of their number.
            for first in before[:_COMPARED]:
                meet = possible(first.presence, holder.presence)
                if meet:
                    told.add(where)
                    yield name, first, holder
                if meet is not False:
                    break
        before.append(holder)


_COMPARED = 20


@rule("S112", GUIDE + "using-cfn-stack-exports.html")
def duplicate_export(stacks: StackSet) -> Faults:
    """An export name is used once in a set."""
    for root in stacks.roots:
        for name, first, second in taken(exports(root)):
            yield fault(
                second.place,
                "",
                f'"{_shown(name)}" is exported already by {place_of(first, second)}.',
                "Put ${AWS::StackName} into the name, or drop the export: nested stacks pass outputs.",
            )


def exports(
    root: StackView, doubtful: frozenset[Symbol] | Everything | None = None
) -> Iterator[tuple[str | Symbol | Text, Holder]]:
    """The exports of a tree, by name as far as it is known; `doubtful` parameters are not taken at their defaults."""
    for stack in root.tree():
        for entry, output in stack.facts.outputs.items():
            export = output.get("Export")
            if isinstance(export, dict) and (presence := stack.presence(output)) is not False:
                scope = stack.scope_of(output)
                scope = replace(scope, doubtful=doubtful) if doubtful else scope
                place = Place(entry, f"Outputs.{entry}.Export.Name", export.get("Name"), scope)
                for when, name in scope.choices(place.node):
                    if isinstance(name, (str, Symbol, Text)):
                        yield name, Holder(place, every([presence, when]))


@rule("S114", TEMPLATE_REFERENCE + "intrinsic-function-reference-importvalue.html", severity="warning")
def misspelt_import(stacks: StackSet) -> Faults:
    """An import of a name that nobody in the set exports is no slip of one that somebody does."""
    exported: dict[str, list[StackView]] = {}
    for root in stacks.roots:
        for name, holder in exports(root, EVERYTHING):
            exported.setdefault(_shape(name), []).append(holder.place.stack)
    if not exported:
        return
    for stack in stacks.stacks:
        for path, expression in stack.facts.imports:
            name = Scope(stack, EVERYTHING, frozenset()).value(expression)
            if not isinstance(name, (str, Symbol, Text)) or _shape(name) in exported:
                continue
            meant = next((known for known, by in exported.items() if _is_slip(_shape(name), known, stack, by)), None)
            if meant is not None:
                yield Fault(
                    stack.file,
                    ".".join(path),
                    f'"{_shown(name)}" is imported here, and nobody in the set exports it.',
                    f'Did you mean "{meant.replace(_HOLE, "*")}", which {exported[meant][0].file} exports?',
                )


_HOLE = "\0"


def _shape(name: str | Symbol | Text) -> str:
    """A name with a hole for whatever is chosen at deploy time: exports are named by another stack's parameters."""
    parts = name.parts if isinstance(name, Text) else (name,)
    return "".join(part if isinstance(part, str) else _HOLE for part in parts)


def _is_slip(name: str, known: str, stack: StackView, exporters: list[StackView]) -> bool:
    """Whether two names are one but for case, a separator or a letter, in one tree or folder."""
    folder = posixpath.dirname(stack.file)
    near = any(other.root is stack.root or posixpath.dirname(other.file) == folder for other in exporters)
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


@rule("S113", TEMPLATE_REFERENCE + "aws-properties-name.html", overlaps=["E3019"])
def duplicate_name(stacks: StackSet) -> Faults:
    """A fixed physical name is used once for a type of resource in a set."""
    for root in stacks.roots:
        for (kind, name), first, second in taken(_physical_names(root)):
            at = _NAME_PROPERTIES[kind]
            said = fault(
                second.place,
                at,
                f'{kind} "{_shown(name)}" is made already by {place_of(first, second)}.',
                f"Leave {at} out, so that CloudFormation makes a name of its own.",
            )
            same_file = first.place.stack.file == second.place.stack.file
            yield replace(said, also=(f"{first.place.path}.{at}",) if same_file else ())


def _physical_names(root: StackView) -> Iterator[tuple[tuple[str, str | Symbol | Text], Holder]]:
    for place in root.below(*_NAME_PROPERTIES):
        given = place.node.get(_NAME_PROPERTIES[place.type])
        for when, name in place.scope.choices(given) if given is not None else ():
            if name and isinstance(name, (str, Symbol, Text)):
                yield (place.type, name), Holder(place, every([place.presence, when]))


def _shown(value: Any) -> str:
    if isinstance(value, Text):
        return "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in value.parts)
    return f"${{{value.name}}}" if isinstance(value, Symbol) else str(value)


def place_of(first: Holder, second: Holder) -> str:
    """Where the first is, as told to a reader of the second."""
    here, there = first.place.stack, second.place.stack
    said = f"{first.place} of {here.file}"
    if here is there or here.file != there.file:
        return said
    names = [stack.nested.logical_id if stack.nested else "the root" for stack in (here, there)]
    return f"{said}, nested twice as {names[0]} and {names[1]}" if names[0] != names[1] else f"{said}, nested twice"


_QUOTAS = GUIDE + "cloudformation-limits.html"
# An ARN with an account number in it is bound to that account's partition anyway.
_UNBOUND = re.compile(r"arn:aws:(?![^:]*:[^:]*:\d{12}:)")


@rule(
    "S401",
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html",
    "AWS::CloudWatch::Dashboard",
)
def dashboard_json(dashboard: Place) -> Faults:
    """The body of a dashboard is a JSON object."""
    text = _body(dashboard.scope, dashboard.node.get("DashboardBody"))
    wrong = _json_fault(text) if text is not None else None
    if wrong:
        message = f"The body of {dashboard} is not a JSON object: {wrong}."
        cure = "Write the body as JSON, with each variable inside a string or in the place of a number."
        yield fault(dashboard, "DashboardBody", message, cure)


def _body(scope: Scope, node: Any) -> str | None:
    """The text of a dashboard's body with a hole for each value; None where its shape is not known."""
    if isinstance(node, Mapping) and len(node) == 1:
        (function, argument), *_ = node.items()
        if function == "Fn::Sub":
            template, _ = sub_parts(argument)
            return VARIABLE.sub(lambda m: f"${{{m[1][1:]}}}" if m[1].startswith("!") else _HOLE, template) or None
        if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:
            delimiter, parts = argument
            if isinstance(delimiter, str) and isinstance(parts, list):
                return delimiter.join(part if isinstance(part, str) else _HOLE for part in parts)
    value = scope.value(node)
    return value if isinstance(value, str) else None


def _json_fault(text: str) -> str | None:
    faults = []
    # A hole outside of a string may stand for a number or, in a list, for nothing.
    for filler in ("1", ""):
        try:
            parsed = json.loads(text.replace(_HOLE, filler), strict=False)
        except json.JSONDecodeError as error:
            faults.append(f"{error.msg} at line {error.lineno} column {error.colno}")
        else:
            if isinstance(parsed, dict):
                return None
            faults.append(f"it is {json.dumps(parsed)[:40]}")
    # What a bare hole brings may itself be JSON of any shape.
    return None if _HOLE in _without_strings(text) else faults[0]


def _without_strings(text: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)


@rule("S402", TEMPLATE_REFERENCE + "pseudo-parameter-reference.html", severity="info", overlaps=["I3042"])
def partition(stacks: StackSet) -> Faults:
    """No ARN without an account number names the partition aws, which fails in China and GovCloud."""
    for file, facts in stacks.facts.items():
        # A template that names another partition too makes the choice itself.
        if any("aws-cn" in text or "aws-us-gov" in text for text in _texts(facts.body.get("Conditions"))):
            continue
        places = [
            path
            for path, text in facts.arns
            if path[0] == "Resources" and path[2:3] == ("Properties",) and _UNBOUND.search(text)
        ]
        if places:
            more = f", and in {len(places) - 1} places more" if len(places) > 1 else ""
            yield Fault(
                file,
                ".".join(places[0]),
                f'An ARN begins with "arn:aws:" here{more}, so the template works in one partition only.',
                "Write arn:${AWS::Partition}: within Fn::Sub.",
            )


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, (Mapping, list)):
        for item in node.values() if isinstance(node, Mapping) else node:
            yield from _texts(item)


_MOST = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}


@rule("S403", _QUOTAS, overlaps=["E3010", "E2010", "E6010", "E7010"])
def counts(stacks: StackSet) -> Faults:
    """A template has at most 500 resources, 200 parameters, 200 outputs and 200 mappings."""
    for file, facts in stacks.facts.items():
        for section, limit in _MOST.items():
            entries = facts.body.get(section)
            if isinstance(entries, Mapping) and len(entries) > limit:
                message = f"{file} has {len(entries)} {section.lower()}; CloudFormation takes {limit}."
                yield Fault(file, section, message, "Move some into a nested stack.")


@rule("S404", _QUOTAS, severity="warning")
def size(stacks: StackSet) -> Faults:
    """A root has at most 51,200 bytes, so that it can be sent as text."""
    # Past 1 MB not even S3 helps: cfn-lint's E1002.
    for root in stacks.roots:
        bytes_ = stacks.sizes.get(root.file, 0)
        if bytes_ > 51_200 and root.children:
            message = f"{root.file} has {bytes_:,} bytes; CloudFormation takes 51,200 as text, more only from S3."
            yield Fault(root.file, "", message, "Upload it and give its URL, or make it smaller.")
