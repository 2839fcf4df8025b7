"""How many: scaling bounds, deployments, the groups of instances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import ceil, floor
from typing import Any

from scaleout_cfn.lint.rules.base import Rule
from scaleout_cfn.lint.rules.services import handed_out, services
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_ECS_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_GROUP = "AWS::AutoScaling::AutoScalingGroup"
_ELB = "AWS::ElasticLoadBalancingV2::"


class RequestCountLabel(Rule):
    id = "S301"
    sentence = "Tracking of requests per target names its load balancer and target group in ResourceLabel."
    source = "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html"

    _PLACES = (
        ("AWS::ApplicationAutoScaling::ScalingPolicy", "TargetTrackingScalingPolicyConfiguration"),
        ("AWS::AutoScaling::ScalingPolicy", "TargetTrackingConfiguration"),
    )

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, configuration in self._PLACES:
                for logical_id, properties, scope in stack.of_type(kind):
                    metric = scope.get(properties, configuration, "PredefinedMetricSpecification")
                    if scope.get(metric, "PredefinedMetricType") != "ALBRequestCountPerTarget":
                        continue
                    reason = _label_fault(scope.get(metric, "ResourceLabel"))
                    if reason:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.{configuration}.PredefinedMetricSpecification",
                            f"{logical_id} tracks ALBRequestCountPerTarget, but {reason}.",
                            "Set it to ${LoadBalancer.LoadBalancerFullName}/${TargetGroup.TargetGroupFullName}.",
                        )


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


# Type, the mapping that holds the sizes, and the sizes from the smallest to the largest.
_SIZES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("AWS::ApplicationAutoScaling::ScalableTarget", (), ("MinCapacity", "MaxCapacity")),
    (_GROUP, (), ("MinSize", "DesiredCapacity", "MaxSize")),
    ("AWS::AutoScaling::ScheduledAction", (), ("MinSize", "DesiredCapacity", "MaxSize")),
    (
        "AWS::ECS::CapacityProvider",
        ("AutoScalingGroupProvider", "ManagedScaling"),
        ("MinimumScalingStepSize", "MaximumScalingStepSize"),
    ),
)


class MinimumAboveMaximum(Rule):
    id = "S302"
    sentence = "A minimum is at most its maximum, and a desired size lies between them."
    source = "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html"
    overlaps = frozenset({"E3706"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, way, names in _SIZES:
                for logical_id, properties, scope in stack.of_type(kind):
                    path = ".".join(("Resources", logical_id, "Properties", *way))
                    yield from self._judge(stack, path, scope, scope.get(properties, *way), names)
            for logical_id, properties, scope in stack.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
                for index, action in enumerate(scope.items(properties, "ScheduledActions") or []):
                    path = f"Resources.{logical_id}.Properties.ScheduledActions.{index}.ScalableTargetAction"
                    sizes = scope.get(action, "ScalableTargetAction")
                    yield from self._judge(stack, path, scope, sizes, ("MinCapacity", "MaxCapacity"))

    def _judge(
        self, stack: StackView, path: str, scope: Scope, sizes: Any, names: tuple[str, ...]
    ) -> Iterator[Finding]:
        if not isinstance(sizes, Mapping):
            return
        known = [(name, as_number(scope.get(sizes, name))) for name in names]
        ordered = [(name, number) for name, number in known if number is not None]
        for (low, least), (high, most) in pairwise(ordered):
            if least > most:
                yield self.finding(
                    stack.file,
                    f"{path}.{high}",
                    f"{low} is {least:g}, {high} is {most:g}{_origin(stack)}.",
                    f"Raise {high} to {least:g} or more, or lower {low}.",
                )


def _origin(stack: StackView) -> str:
    return f" with what {stack.parent.file} passes" if stack.parent else ""


class DesiredCount(Rule):
    id = "S303"
    sentence = "A service that is scaled has no DesiredCount, which every update would put back."
    source = "https://github.com/aws/containers-roadmap/issues/493"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        scaled: set[Symbol] = set()
        for stack in stacks.stacks:
            for _, properties, scope in stack.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
                resource_id = scope.get(properties, "ResourceId")
                parts = resource_id.parts if isinstance(resource_id, Text) else (resource_id,)
                if scope.get(properties, "ScalableDimension") == "ecs:service:DesiredCount":
                    scaled |= {part.bare for part in parts if isinstance(part, Symbol)}
        for stack, logical_id, properties, scope, _ in services(stacks):
            count = scope.get(properties, "DesiredCount")
            if stack.symbol(logical_id) in scaled and count is not None and count is not UNKNOWN:
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.DesiredCount",
                    f"{logical_id} is scaled automatically, and each update of the stack sets it back to its "
                    "DesiredCount.",
                    "Leave DesiredCount out: a new service starts with one task and is raised to MinCapacity.",
                )


def _managed_groups(stacks: StackSet) -> Iterator[tuple[StackView, str, Mapping[str, Any], Scope, Symbol]]:
    """Each capacity provider with its Auto Scaling group in the set."""
    for stack in stacks.stacks:
        for logical_id, properties, scope in stack.of_type("AWS::ECS::CapacityProvider"):
            provider = scope.get(properties, "AutoScalingGroupProvider")
            group = resource_of(scope.get(provider, "AutoScalingGroupArn"), _GROUP)
            if group is not None and isinstance(provider, Mapping):
                yield stack, logical_id, provider, scope, group


class DesiredCapacity(Rule):
    id = "S304"
    sentence = "The group of a capacity provider with managed scaling has no DesiredCapacity."
    source = "https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/467"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for _, provider_id, provider, scope, group in _managed_groups(stacks):
            resource = group.stack.resource(group.name)
            desired = group.stack.scope_of(resource).get(resource.get("Properties"), "DesiredCapacity")
            if scope.get(provider, "ManagedScaling", "Status") != "ENABLED" or desired in (None, UNKNOWN):
                continue
            yield self.finding(
                group.stack.file,
                f"Resources.{group.name}.Properties.DesiredCapacity",
                f"{provider_id} scales {group.name}, and each update of the stack sets it back to its DesiredCapacity.",
                "Leave DesiredCapacity out: the group starts at MinSize.",
            )


class StuckDeployment(Rule):
    id = "S305"
    sentence = "A deployment may stop an old task or start a new one."
    source = _ECS_API + "API_DeploymentConfiguration.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            strategy = scope.get(properties, "DeploymentConfiguration", "Strategy")
            controller = scope.get(properties, "DeploymentController", "Type")
            scheduling = scope.get(properties, "SchedulingStrategy") or "REPLICA"
            if strategy not in (None, "ROLLING") or controller not in (None, "ECS") or scheduling != "REPLICA":
                continue
            configuration = scope.get(properties, "DeploymentConfiguration")
            least = _percent(scope.get(configuration, "MinimumHealthyPercent"), 100)
            most = _percent(scope.get(configuration, "MaximumPercent"), 200)
            if least is None or most is None:
                continue
            path = f"Resources.{logical_id}.Properties.DeploymentConfiguration"
            said = f"MinimumHealthyPercent is {least:g} and MaximumPercent {most:g}"
            if least >= 100 >= most:
                yield self.finding(
                    stack.file,
                    path,
                    f"{said}: no task of {logical_id} may stop and none may start, so a deployment never moves.",
                    "Set MaximumPercent to 200, or MinimumHealthyPercent to 50.",
                )
                continue
            count = as_number(scope.get(properties, "DesiredCount"))
            if count and ceil(count * least / 100) >= count >= floor(count * most / 100):
                yield self.finding(
                    stack.file,
                    path,
                    f"{said}: of {count:g} tasks of {logical_id} none may stop and none may start, so a deployment "
                    "never moves.",
                    "Set MaximumPercent to 200, or MinimumHealthyPercent to 0.",
                )


def _percent(value: Any, default: float) -> float | None:
    return default if value is None else as_number(value)


class ZoneRebalancing(Rule):
    id = "S306"
    sentence = "A service that rebalances zones spreads over them first and may start a task before it stops one."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            if scope.get(properties, "AvailabilityZoneRebalancing") != "ENABLED":
                continue
            path = f"Resources.{logical_id}.Properties.AvailabilityZoneRebalancing"
            most = as_number(scope.get(properties, "DeploymentConfiguration", "MaximumPercent"))
            strategies = scope.items(properties, "PlacementStrategies")
            reason = None
            if scope.get(properties, "SchedulingStrategy") == "DAEMON":
                reason = "a DAEMON service cannot be rebalanced"
            elif most is not None and most <= 100:
                reason = f"MaximumPercent is {most:g}, so no task may start before another stops"
            elif strategies:
                kind, field = scope.get(strategies[0], "Type"), scope.get(strategies[0], "Field")
                zone = "attribute:ecs.availability-zone"
                if kind in ("binpack", "random") or (kind == "spread" and isinstance(field, str) and field != zone):
                    reason = f"its first placement strategy is {kind}" + (
                        f" by {field}" if isinstance(field, str) else ""
                    )
            if reason:
                yield self.finding(
                    stack.file,
                    path,
                    f"{logical_id} has AvailabilityZoneRebalancing ENABLED, but {reason}.",
                    "Spread by attribute:ecs.availability-zone first, with MaximumPercent above 100; or set DISABLED.",
                )


class TerminationProtection(Rule):
    id = "S307"
    sentence = "Managed termination protection comes with scale-in protection, and with what clears it on delete."
    source = "https://github.com/aws/aws-cdk/issues/18179"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, provider, scope, group in _managed_groups(stacks):
            if scope.get(provider, "ManagedTerminationProtection") != "ENABLED":
                continue
            path = f"Resources.{logical_id}.Properties.AutoScalingGroupProvider.ManagedTerminationProtection"
            resource = group.stack.resource(group.name)
            protected = group.stack.scope_of(resource).get(
                resource.get("Properties"), "NewInstancesProtectedFromScaleIn"
            )
            if protected in (None, False, "false"):
                yield self.finding(
                    stack.file,
                    path,
                    f"{logical_id} manages termination protection, but {group.name} does not protect new instances "
                    "from scale-in; ECS refuses that.",
                    f"Set NewInstancesProtectedFromScaleIn of {group.name} to true.",
                    "error",
                )
            elif not handed_out(stack.root, group.bare, outputs=False):
                yield self.finding(
                    stack.file,
                    path,
                    f"Instances of {group.name} stay protected once {logical_id} is gone, so deleting the stack hangs, "
                    "and no custom resource of the set clears that.",
                    "Set it to DISABLED and use ManagedDraining, or add a custom resource that deletes the group.",
                )


class LaunchConfiguration(Rule):
    id = "S308"
    sentence = "Groups of instances use launch templates; new accounts cannot make launch configurations."
    source = "https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-configurations.html"
    severity = "warning"
    overlaps = frozenset({"W3697"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for file, facts in stacks.facts.items():
            for logical_id in facts.by_type.get("AWS::AutoScaling::LaunchConfiguration", ()):
                yield self.finding(
                    file,
                    f"Resources.{logical_id}",
                    f"{logical_id} is a launch configuration, which accounts made since October 2024 cannot create.",
                    "Make it an AWS::EC2::LaunchTemplate.",
                )
