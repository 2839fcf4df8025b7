"""Deployments that move requests from one target group to another: what ECS moves them by."""

from __future__ import annotations

from typing import Any

from scaleout_cfn.lint.rules.balancing import RULE
from scaleout_cfn.lint.rules.base import Faults, fault, rule
from scaleout_cfn.lint.rules.services import SERVICE, TARGET_GROUP
from scaleout_cfn.templates.stacks import Place, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN

_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_ALB = _GUIDE + "alb-resources-for-blue-green.html"
_MOVING = ("BLUE_GREEN", "LINEAR", "CANARY")
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def _strategy(service: Place) -> str:
    """The strategy of a service that moves requests; empty for any other, and for one that is not known."""
    strategy = service.get("DeploymentConfiguration", "Strategy")
    return strategy if strategy in _MOVING else ""


def _group(value: Any) -> Any:
    """A target group as two mentions of it can be compared."""
    symbol = resource_of(value, TARGET_GROUP)
    return symbol.bare if symbol else value if isinstance(value, str) else None


@rule("S616", _API + "API_AdvancedConfiguration.html", SERVICE)
def moved_by(service: Place) -> Faults:
    """A service whose deployments move requests says by which group, rule and role."""
    strategy = _strategy(service)
    for entry in service.each("LoadBalancers") if strategy else ():
        if entry.get("TargetGroupArn") is None:
            continue
        advanced = entry.get("AdvancedConfiguration")
        if advanced is UNKNOWN:
            continue
        given = entry.inner("AdvancedConfiguration")
        wanted = ("AlternateTargetGroupArn", "ProductionListenerRule", "RoleArn")
        if missing := [name for name in wanted if given.get(name) is None]:
            message = f"Deployments of {service} are {strategy}, and its load balancer has no {', '.join(missing)}."
            cure = "Give AdvancedConfiguration a second target group, the rule that leads to both, and a role for ECS."
            yield fault(entry, "AdvancedConfiguration" if advanced is not None else "", message, cure)


@rule("S617", _ALB, SERVICE)
def two_groups(service: Place) -> Faults:
    """The alternate target group of a service is another than its first, and of the same kind."""
    for entry in service.each("LoadBalancers"):
        given = entry.inner("AdvancedConfiguration")
        first, second = entry.get("TargetGroupArn"), given.get("AlternateTargetGroupArn")
        if _group(first) is not None and _group(first) == _group(second):
            message = f"{service} names {second} as both of its target groups, so that nothing can move."
            yield fault(given, "AlternateTargetGroupArn", message, "Make a second target group, as the first one.")
            continue
        one, other = resource_of(first, TARGET_GROUP), resource_of(second, TARGET_GROUP)
        for name in ("TargetType", "Protocol", "ProtocolVersion", "VpcId") if one and other else ():
            assert one is not None and other is not None
            values = [group.place.get(name) for group in (one, other)]
            if UNKNOWN not in values and values[0] != values[1] and all(isinstance(v, str) for v in values):
                message = f"{one.place} has {name} {values[0]}, and {other.place} {values[1]}; tasks go to either."
                yield fault(given, "AlternateTargetGroupArn", message, f"Give both one {name}.")


@rule("S618", _ALB, SERVICE)
def rule_of_both(service: Place) -> Faults:
    """The rule that ECS moves leads to the service's groups and nowhere else, and has no other action."""
    for entry in service.each("LoadBalancers"):
        given = entry.inner("AdvancedConfiguration")
        groups = {_group(entry.get("TargetGroupArn")), _group(given.get("AlternateTargetGroupArn"))}
        rules = {name: resource_of(given.get(name), RULE) for name in ("ProductionListenerRule", "TestListenerRule")}
        if rules["ProductionListenerRule"] and rules["ProductionListenerRule"] == rules["TestListenerRule"]:
            message = f"{service} tests by the rule that production has, so that tests are everybody's."
            yield fault(given, "TestListenerRule", message, "Give tests a rule of their own, or none.")
        for name, symbol in rules.items():
            if symbol is None:
                continue
            actions = symbol.place.each("Actions")
            if other := [action.get("Type") for action in actions if action.get("Type") not in ("forward", UNKNOWN)]:
                message = f"{symbol.place} has an action {other[0]} beside its forward; a deployment fails on it."
                yield fault(given, name, message, "Leave the forward alone in it.")
            led = [action.get("TargetGroupArn") for action in actions]
            weighted = [to for action in actions for to in action.each("ForwardConfig", "TargetGroups")]
            led += [to.get("TargetGroupArn") for to in weighted]
            known = {_group(value) for value in led if value is not None}
            if known and None not in known | groups and len(groups) == 2 and not known <= groups:
                message = f"{symbol.place} leads to a target group that is none of the two of {service}."
                yield fault(given, name, message, "Forward to both of the service's, all to the first one.")


@rule("S619", _GUIDE + "target-tracking-create-policy.html", _POLICY)
def requests_of_one_group(policy: Place) -> Faults:
    """A service whose deployments move requests is not scaled by the requests of one target group."""
    target = resource_of(policy.get("ScalingTargetId"), _TARGET)
    at = "TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification.PredefinedMetricType"
    if target is None or policy.get(*at.split(".")) != "ALBRequestCountPerTarget":
        return
    named = target.place.get("ResourceId")
    for part in named.parts if isinstance(named, Text) else (named,):
        if isinstance(part, Symbol) and part.type == SERVICE and (strategy := _strategy(part.place)):
            message = f"{policy} counts the requests of one target group, and {part.place} has two by {strategy}."
            cure = "Track ECSServiceAverageCPUUtilization or ECSServiceAverageMemoryUtilization."
            yield fault(policy, at, message, cure)


@rule("S620", _API + "API_DeploymentLifecycleHook.html", SERVICE)
def hooks(service: Place) -> Faults:
    """A hook that pauses does so between two shifts, and one that calls a function names it and a role."""
    for hook in service.each("DeploymentConfiguration", "LifecycleHooks"):
        kind = hook.get("TargetType")
        stages = hook.items("LifecycleStages") or []
        if kind == "PAUSE":
            if wrong := [stage for stage in stages if stage in ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")]:
                message = f"{service} pauses at {wrong[0]}, which only functions can be called at."
                yield fault(hook, "LifecycleStages", message, f"Pause at POST_{wrong[0]}, or before it.")
            continue
        missing = [name for name in ("HookTargetArn", "RoleArn") if hook.get(name) is None]
        if missing and kind in (None, "AWS_LAMBDA"):
            message = f"A hook of {service} calls a function, and has no {' and no '.join(missing)}."
            yield fault(hook, "", message, "Give it the function and the role that ECS calls it by.")
