"""How many: scaling bounds, deployments, the groups of instances and what lets these join their cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from math import ceil, floor
from typing import Any

from scaleout_cfn.lint.rules.base import Fault, Faults, fault, rule
from scaleout_cfn.lint.rules.services import SERVICE, handed_out
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, Scope, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_API = "https://docs.aws.amazon.com/autoscaling/application/APIReference/"
_GROUP = "AWS::AutoScaling::AutoScalingGroup"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_PROVIDER = "AWS::ECS::CapacityProvider"
_ELB = "AWS::ElasticLoadBalancingV2::"
# The property that holds what a policy tracks, by type.
_TRACKING = {
    "AWS::ApplicationAutoScaling::ScalingPolicy": "TargetTrackingScalingPolicyConfiguration",
    "AWS::AutoScaling::ScalingPolicy": "TargetTrackingConfiguration",
}


@rule("S301", _API + "API_PredefinedMetricSpecification.html", *_TRACKING)
def request_count_label(policy: Place) -> Faults:
    """A policy that goes by requests names its load balancer and target group in ResourceLabel."""
    tracked = policy.inner(_TRACKING[policy.type], "PredefinedMetricSpecification")
    by_requests = [(tracked, "ALBRequestCountPerTarget", "tracks")]
    for specification in policy.each("PredictiveScalingPolicyConfiguration", "MetricSpecifications"):
        by_requests.append((specification.inner("PredefinedMetricPairSpecification"), "ALBRequestCount", "forecasts"))
    for metric, wanted, does in by_requests:
        reason = _label_fault(metric.get("ResourceLabel")) if metric.get("PredefinedMetricType") == wanted else None
        if reason:
            message = f"{policy} {does} {wanted}, but {reason}."
            cure = "Set it to ${LoadBalancer.LoadBalancerFullName}/${TargetGroup.TargetGroupFullName}."
            yield fault(metric, "", message, cure)


def _label_fault(label: Any) -> str | None:
    if label is None:
        return "has no ResourceLabel"
    if isinstance(label, str) and not re.fullmatch(r"app/[^/]+/[^/]+/targetgroup/[^/]+/[^/]+", label):
        return f'its ResourceLabel is "{label}"'
    parts = label.parts if isinstance(label, Text) else (label,)
    full = {_ELB + "LoadBalancer": "LoadBalancerFullName", _ELB + "TargetGroup": "TargetGroupFullName"}
    symbols = [part for part in parts if isinstance(part, Symbol) and part.type in full]
    for symbol in symbols:
        if symbol.attribute != full[symbol.type]:
            return f"its ResourceLabel has {symbol}, not {full[symbol.type]}"
    if isinstance(label, Symbol) and symbols:
        return f"its ResourceLabel is {label} alone"
    if [symbol.type for symbol in symbols] == [_ELB + "TargetGroup", _ELB + "LoadBalancer"]:
        return "its ResourceLabel names the target group before the load balancer"
    return None


# The mapping that holds the sizes, by type, and the sizes from the smallest to the largest.
_SIZES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    _TARGET: ((), ("MinCapacity", "MaxCapacity")),
    _GROUP: ((), ("MinSize", "DesiredCapacity", "MaxSize")),
    "AWS::AutoScaling::ScheduledAction": ((), ("MinSize", "DesiredCapacity", "MaxSize")),
    _PROVIDER: (
        ("AutoScalingGroupProvider", "ManagedScaling"),
        ("MinimumScalingStepSize", "MaximumScalingStepSize"),
    ),
}


@rule("S302", _API + "API_RegisterScalableTarget.html", *_SIZES, overlaps=["E3706"])
def minimum_above_maximum(place: Place) -> Faults:
    """A minimum is at most its maximum, and a desired size lies between them."""
    way, names = _SIZES[place.type]
    actions = place.each("ScheduledActions") if place.type == _TARGET else ()
    for sizes in (place.inner(*way) if way else place, *(action.inner("ScalableTargetAction") for action in actions)):
        if not isinstance(sizes.node, Mapping):
            continue
        ordered = [(name, number) for name in names if (number := sizes.number(name)) is not None]
        passed = f" with what {place.stack.parent.file} passes" if place.stack.parent else ""
        for (low, least), (high, most) in pairwise(ordered):
            if least > most:
                message = f"{low} is {least:g}, {high} is {most:g}{passed}."
                yield fault(sizes, high, message, f"Raise {high} to {least:g} or more, or lower {low}.")


@rule("S303", "https://github.com/aws/containers-roadmap/issues/493", severity="warning")
def desired_count(stacks: StackSet) -> Faults:
    """A service that is scaled has no DesiredCount, which every update would put back."""
    scaled: set[Symbol] = set()
    for target in stacks.of_type(_TARGET):
        resource_id = target.get("ResourceId")
        parts = resource_id.parts if isinstance(resource_id, Text) else (resource_id,)
        if target.get("ScalableDimension") == "ecs:service:DesiredCount":
            scaled |= {part.bare for part in parts if isinstance(part, Symbol)}
    for service in stacks.of_type(SERVICE):
        if service.symbol in scaled and service.get("DesiredCount") not in (None, UNKNOWN):
            message = (
                f"{service} is scaled automatically, and each update of the stack sets it back to its DesiredCount."
            )
            cure = "Leave DesiredCount out: a new service starts with one task and is raised to MinCapacity."
            yield fault(service, "DesiredCount", message, cure)


def _managed_group(provider: Place) -> Symbol | None:
    """The Auto Scaling group of a capacity provider, where the set has it."""
    return resource_of(provider.get("AutoScalingGroupProvider", "AutoScalingGroupArn"), _GROUP)


@rule(
    "S304",
    "https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/467",
    _PROVIDER,
    severity="warning",
)
def desired_capacity(provider: Place) -> Faults:
    """The group of a capacity provider with managed scaling has no DesiredCapacity."""
    group = _managed_group(provider)
    if group is None or provider.get("AutoScalingGroupProvider", "ManagedScaling", "Status") != "ENABLED":
        return
    if group.place.get("DesiredCapacity") not in (None, UNKNOWN):
        message = f"{provider} scales {group.name}, and each update of the stack sets it back to its DesiredCapacity."
        yield fault(group.place, "DesiredCapacity", message, "Leave DesiredCapacity out: the group starts at MinSize.")


@rule("S305", "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html", SERVICE)
def stuck_deployment(service: Place) -> Faults:
    """A deployment may stop an old task or start a new one."""
    deployment = service.inner("DeploymentConfiguration")
    controller = service.get("DeploymentController", "Type")
    scheduling = service.get("SchedulingStrategy") or "REPLICA"
    rolling = deployment.get("Strategy") in (None, "ROLLING") and controller in (None, "ECS")
    least = _percent(deployment.get("MinimumHealthyPercent"), 100)
    most = _percent(deployment.get("MaximumPercent"), 200)
    if not rolling or scheduling != "REPLICA" or least is None or most is None:
        return
    said = f"MinimumHealthyPercent is {least:g} and MaximumPercent {most:g}"
    count = service.number("DesiredCount")
    if least >= 100 >= most:
        message = f"{said}: no task of {service} may stop and none may start, so a deployment never moves."
        yield fault(deployment, "", message, "Set MaximumPercent to 200, or MinimumHealthyPercent to 50.")
    elif count and ceil(count * least / 100) >= count >= floor(count * most / 100):
        message = (
            f"{said}: of {count:g} tasks of {service} none may stop and none may start, so a deployment never moves."
        )
        yield fault(deployment, "", message, "Set MaximumPercent to 200, or MinimumHealthyPercent to 0.")


_ZONE = "attribute:ecs.availability-zone"


def _percent(value: Any, default: float) -> float | None:
    return default if value is None else as_number(value)


@rule("S306", "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html", SERVICE)
def zone_rebalancing(service: Place) -> Faults:
    """A service that rebalances zones spreads over them first and may start a task before it stops one."""
    if service.get("AvailabilityZoneRebalancing") != "ENABLED":
        return
    most = service.number("DeploymentConfiguration", "MaximumPercent")
    strategies = service.each("PlacementStrategies")
    reason = None
    if service.get("SchedulingStrategy") == "DAEMON":
        reason = "a DAEMON service cannot be rebalanced"
    elif most is not None and most <= 100:
        reason = f"MaximumPercent is {most:g}, so no task may start before another stops"
    elif strategies:
        kind, field = strategies[0].get("Type"), strategies[0].get("Field")
        by = f" by {field}" if isinstance(field, str) else ""
        if kind in ("binpack", "random") or (kind == "spread" and by not in ("", f" by {_ZONE}")):
            reason = f"its first placement strategy is {kind}{by}"
    if reason:
        yield fault(
            service,
            "AvailabilityZoneRebalancing",
            f"{service} has AvailabilityZoneRebalancing ENABLED, but {reason}.",
            f"Spread by {_ZONE} first, with MaximumPercent above 100; or set DISABLED.",
        )


@rule("S307", "https://github.com/aws/aws-cdk/issues/18179", _PROVIDER)
def termination_protection(provider: Place) -> Faults:
    """Managed termination protection comes with scale-in protection, and with what clears it on delete."""
    group = _managed_group(provider)
    at = "AutoScalingGroupProvider.ManagedTerminationProtection"
    if group is None or provider.get(*at.split(".")) != "ENABLED":
        return
    if group.place.get("NewInstancesProtectedFromScaleIn") in (None, False, "false"):
        yield fault(
            provider,
            at,
            f"{provider} manages termination protection, but {group.name} does not protect new instances from "
            "scale-in; ECS refuses that.",
            f"Set NewInstancesProtectedFromScaleIn of {group.name} to true.",
        )
    elif not handed_out(provider.stack.root, group.bare, outputs=False):
        yield fault(
            provider,
            at,
            f"Instances of {group.name} stay protected once {provider} is gone, so deleting the stack hangs, and no "
            "custom resource of the set clears that.",
            "Set it to DISABLED and use ManagedDraining, or add a custom resource that deletes the group.",
            "warning",
        )


@rule(
    "S308",
    "https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-configurations.html",
    severity="warning",
    overlaps=["W3697"],
)
def launch_configuration(stacks: StackSet) -> Faults:
    """Groups of instances use launch templates; new accounts cannot make launch configurations."""
    for file, facts in stacks.facts.items():
        for logical_id in facts.by_type.get("AWS::AutoScaling::LaunchConfiguration", ()):
            yield Fault(
                file,
                f"Resources.{logical_id}",
                f"{logical_id} is a launch configuration, which accounts made since October 2024 cannot create.",
                "Make it an AWS::EC2::LaunchTemplate.",
            )


_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_TEMPLATE = "AWS::EC2::LaunchTemplate"
_CLUSTER = "AWS::ECS::Cluster"
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
