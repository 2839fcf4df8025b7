"""The instances of capacity providers: what lets them join their cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import Faults, fault, rule
from scaleout_cfn.templates.stacks import Place, Scope, Symbol, Text, resource_of

_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_GROUP = "AWS::AutoScaling::AutoScalingGroup"
_TEMPLATE = "AWS::EC2::LaunchTemplate"
_CLUSTER = "AWS::ECS::Cluster"
_PROVIDER = "AWS::ECS::CapacityProvider"
_ASSOCIATIONS = "AWS::ECS::ClusterCapacityProviderAssociations"


def _launched(provider: Place) -> Place | None:
    """The data of the launch template that the instances of a provider are made by, where the set has it."""
    group = resource_of(provider.get("AutoScalingGroupProvider", "AutoScalingGroupArn"), _GROUP)
    mixed = ("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification")
    for way in (("LaunchTemplate",), mixed) if group else ():
        template = resource_of(group.place.get(*way, "LaunchTemplateId"), _TEMPLATE) if group else None
        if template is not None:
            data = template.place.inner("LaunchTemplateData")
            return data if isinstance(data.node, Mapping) else None
    return None


def _clusters(provider: Place) -> list[Symbol]:
    """The clusters of a tree that a provider is associated with."""
    found = []
    for place in provider.stack.root.below(_CLUSTER, _ASSOCIATIONS):
        cluster = place.symbol if place.type == _CLUSTER else resource_of(place.get("Cluster"), _CLUSTER)
        if cluster and provider.symbol in (place.items("CapacityProviders") or []):
            found.append(cluster.bare)
    return found


@rule("S309", _GUIDE + "bootstrap_container_instance.html", _PROVIDER)
def cluster_of_instances(provider: Place) -> Faults:
    """The instances of a capacity provider join the cluster that has the provider."""
    data = _launched(provider)
    joined = _joined(data.scope, data.node.get("UserData")) if data else None
    clusters = _clusters(provider) if joined else []
    if data is None or joined is None or not clusters or any(_may_be(joined, cluster) for cluster in clusters):
        return
    yield fault(
        data,
        "UserData",
        f"Instances of {data} join cluster {joined.name if isinstance(joined, Symbol) else joined}, but {provider}, "
        f"whose instances they are, belongs to {clusters[0].name}.",
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
    name = cluster.place.get("ClusterName")
    # A variable of the shell may hold any name; CloudFormation's own names cannot be written down.
    return "$" in joined or not (name is None or (isinstance(name, str) and name != joined))


_WARM_POOL = "AWS::AutoScaling::WarmPool"


@rule("S311", _GUIDE + "using-warm-pool.html", _WARM_POOL)
def warm_pool(warm: Place) -> Faults:
    """A warm pool holds On-Demand nodes, which join no cluster before they go in service, and takes none back."""
    group = resource_of(warm.get("AutoScalingGroupName"), _GROUP)
    if group is None:
        return
    distribution = group.place.inner("MixedInstancesPolicy", "InstancesDistribution")
    share = distribution.number("OnDemandPercentageAboveBaseCapacity")
    if share is not None and share < 100:
        yield fault(
            distribution,
            "OnDemandPercentageAboveBaseCapacity",
            f"{100 - share:g} % of {group.name} above the base are Spot Instances, which its warm pool {warm} does not"
            " take.",
            "Set it to 100, or leave the warm pool out.",
        )
    providers = [
        provider
        for provider in warm.stack.root.below(_PROVIDER)
        if resource_of(provider.get("AutoScalingGroupProvider", "AutoScalingGroupArn"), _GROUP) == group
    ]
    if providers and warm.get("InstanceReusePolicy", "ReuseOnScaleIn") in (True, "true"):
        message = f"{warm} takes nodes back on scale-in, which ECS does not allow for a group of {providers[0]}."
        yield fault(warm, "InstanceReusePolicy.ReuseOnScaleIn", message, "Leave InstanceReusePolicy out.")
    data = _launched(providers[0]) if providers else None
    script = str(data.node.get("UserData")) if data else ""
    # What is not written in the template, as a parameter, is judged by nobody.
    if data and "ECS_CLUSTER=" in script and "ECS_WARM_POOLS_CHECK=true" not in script:
        yield fault(
            data,
            "UserData",
            f"Instances of {data} join their cluster while they are being prepared for the warm pool {warm}, and may"
            " get tasks just before they are stopped.",
            "Write ECS_WARM_POOLS_CHECK=true to /etc/ecs/ecs.config in the user data.",
        )


@rule("S310", _GUIDE + "instance_IAM_role.html", _PROVIDER)
def instance_profile(provider: Place) -> Faults:
    """The instances of a capacity provider have an instance profile, without which none joins a cluster."""
    data = _launched(provider)
    if data and data.get("IamInstanceProfile") is None:
        message = f"Instances of {data} have no instance profile, so none of them can register for {provider}."
        yield fault(data, "", message, "Set IamInstanceProfile to one whose role may register container instances.")
