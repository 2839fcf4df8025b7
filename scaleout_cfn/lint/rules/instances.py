"""The instances of capacity providers: what lets them join their cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import Rule
from scaleout_cfn.lint.rules.services import property_of
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, Symbol, Text, resource_of

_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_GROUP = "AWS::AutoScaling::AutoScalingGroup"
_TEMPLATE = "AWS::EC2::LaunchTemplate"
_CLUSTER = "AWS::ECS::Cluster"
_PROVIDER = "AWS::ECS::CapacityProvider"


def _launched(stacks: StackSet) -> Iterator[tuple[Symbol, Symbol, Scope, Mapping[str, Any]]]:
    """Each provider with the launch template of its group: both, the scope and the template's data."""
    for stack in stacks.stacks:
        for logical_id, properties, scope in stack.of_type(_PROVIDER):
            group = resource_of(scope.get(properties, "AutoScalingGroupProvider", "AutoScalingGroupArn"), _GROUP)
            template = _template(group) if group else None
            if template is None:
                continue
            resource = template.stack.resource(template.name)
            reader = template.stack.scope_of(resource)
            data = reader.get(resource.get("Properties"), "LaunchTemplateData")
            if isinstance(data, Mapping):
                yield stack.symbol(logical_id), template.bare, reader, data


def _template(group: Symbol) -> Symbol | None:
    resource = group.stack.resource(group.name)
    scope = group.stack.scope_of(resource)
    mixed = ("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification")
    for way in (("LaunchTemplate",), mixed):
        template = resource_of(scope.get(resource.get("Properties"), *way, "LaunchTemplateId"), _TEMPLATE)
        if template is not None:
            return template
    return None


def _clusters(root: StackView, provider: Symbol) -> list[Symbol]:
    """The clusters of a tree that a provider is associated with."""
    found = []
    for stack in root.tree():
        for logical_id, properties, scope in stack.of_type(_CLUSTER):
            if provider in (scope.items(properties, "CapacityProviders") or []):
                found.append(stack.symbol(logical_id))
        for _, properties, scope in stack.of_type("AWS::ECS::ClusterCapacityProviderAssociations"):
            cluster = resource_of(scope.get(properties, "Cluster"), _CLUSTER)
            if cluster and provider in (scope.items(properties, "CapacityProviders") or []):
                found.append(cluster.bare)
    return found


class ClusterOfInstances(Rule):
    id = "S309"
    sentence = "The instances of a capacity provider join the cluster that has the provider."
    source = _GUIDE + "bootstrap_container_instance.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for provider, template, scope, data in _launched(stacks):
            joined = _joined(scope, data.get("UserData"))
            clusters = _clusters(provider.stack.root, provider)
            if joined is None or not clusters or any(_may_be(joined, cluster) for cluster in clusters):
                continue
            name = joined.name if isinstance(joined, Symbol) else joined
            yield self.finding(
                template.stack.file,
                f"Resources.{template.name}.Properties.LaunchTemplateData.UserData",
                f"Instances of {template.name} join cluster {name}, but {provider.name}, whose instances they are, "
                f"belongs to {clusters[0].name}.",
                f"Write ECS_CLUSTER=${{{clusters[0].name}}} within Fn::Sub.",
            )


def _joined(scope: Scope, node: Any) -> str | Symbol | None:
    """What user data sets ECS_CLUSTER to; None where it does not, does so twice, or that is not known."""
    inner = node.get("Fn::Base64") if isinstance(node, Mapping) and len(node) == 1 else None
    text = scope.value(inner)
    parts = text.parts if isinstance(text, Text) else (text,)
    found: list[str | Symbol | None] = []
    for index, part in enumerate(parts):
        for match in re.finditer(r"ECS_CLUSTER=([\"']?)([^\s\"'\\;>]*)(.?)", part) if isinstance(part, str) else ():
            at_end = match.end() == len(part) and not match[3]
            following = parts[index + 1] if at_end and index + 1 < len(parts) else None
            if match[2] and following is None:
                found.append(match[2])
            else:
                found.append(following if isinstance(following, Symbol) and not match[2] else None)
    return found[0] if len(found) == 1 else None


def _may_be(joined: str | Symbol, cluster: Symbol) -> bool:
    """Whether instances that join by this name may be in a cluster."""
    if isinstance(joined, Symbol):
        return joined.type != _CLUSTER or joined.bare == cluster
    name = property_of(cluster, "ClusterName")
    # A variable of the shell may hold any name; CloudFormation's own names cannot be written down.
    return "$" in joined or not (name is None or (isinstance(name, str) and name != joined))


class InstanceProfile(Rule):
    id = "S310"
    sentence = "The instances of a capacity provider have an instance profile, without which none joins a cluster."
    source = _GUIDE + "instance_IAM_role.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for provider, template, scope, data in _launched(stacks):
            if scope.get(data, "IamInstanceProfile") is None:
                yield self.finding(
                    template.stack.file,
                    f"Resources.{template.name}.Properties.LaunchTemplateData",
                    f"Instances of {template.name} have no instance profile, so none of them can register for "
                    f"{provider.name}.",
                    "Set IamInstanceProfile to one whose role may register container instances.",
                )
