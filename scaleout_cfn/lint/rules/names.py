"""Names that may be used once in a set: of exports, and of the resources that have a fixed one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import GUIDE, TEMPLATE_REFERENCE, Rule
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.stacks import Stack, StackSet
from scaleout_cfn.templates.values import Symbol, Text


class DuplicateExport(Rule):
    id = "S112"
    sentence = "An export name is used once in a set."
    source = GUIDE + "using-cfn-stack-exports.html"

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
    source = TEMPLATE_REFERENCE + "aws-properties-name.html"

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
