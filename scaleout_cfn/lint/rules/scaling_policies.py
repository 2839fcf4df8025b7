"""Scalable targets, their policies and the alarms that trigger them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from scaleout_cfn.lint.rules.balancing import after
from scaleout_cfn.lint.rules.base import Rule, nearest
from scaleout_cfn.lint.rules.names import Holder, place_of, taken
from scaleout_cfn.lint.rules.services import handed_out, property_of
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_API = "https://docs.aws.amazon.com/autoscaling/application/APIReference/"
_EC2_API = "https://docs.aws.amazon.com/autoscaling/ec2/APIReference/"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_GROUP_POLICY = "AWS::AutoScaling::ScalingPolicy"
_ALARM = "AWS::CloudWatch::Alarm"
_CLUSTER = "AWS::ECS::Cluster"
_SERVICE = "AWS::ECS::Service"


def _segments(value: Any) -> list[Any] | None:
    """What stands between the slashes of a ResourceId: a text, a Symbol or a Text each; None if not known."""
    if not isinstance(value, (str, Symbol, Text)):
        return None
    found: list[list[Any]] = [[]]
    for part in value.parts if isinstance(value, Text) else (value,):
        if isinstance(part, str):
            first, *rest = part.split("/")
            found[-1] += [first] if first else []
            found += [[piece] if piece else [] for piece in rest]
        else:
            found[-1].append(part)
    return [pieces[0] if len(pieces) == 1 else Text(tuple(pieces)) if pieces else "" for pieces in found]


def _cluster_name(value: Any, root: StackView) -> Any:
    """A cluster as the resource of the set, where its name or ARN means one; else its name; UNKNOWN otherwise."""
    if value is None:
        return "default"
    symbol = resource_of(value, _CLUSTER)
    if symbol is not None:
        return symbol.bare
    name = value.rpartition("/")[2] if isinstance(value, str) else value
    for stack in root.tree():
        for logical_id, properties, scope in stack.of_type(_CLUSTER):
            if isinstance(name, (str, Symbol, Text)) and scope.get(properties, "ClusterName") == name:
                return stack.symbol(logical_id)
    return name if isinstance(name, str) else UNKNOWN


class ScaledService(Rule):
    id = "S701"
    sentence = "The ResourceId of a scalable target names a cluster and the service on it that is scaled."
    source = _API + "API_RegisterScalableTarget.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind in (_TARGET, _POLICY):
                for logical_id, properties, scope in stack.of_type(kind):
                    value = scope.get(properties, "ResourceId")
                    fault = self._fault(stack, value) if self._is_ecs(scope, properties, value) else None
                    if fault:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.ResourceId",
                            f"{logical_id} scales {fault[0]}.",
                            fault[1],
                        )

    def _is_ecs(self, scope: Scope, properties: Any, value: Any) -> bool:
        namespace = scope.get(properties, "ServiceNamespace")
        first = (_segments(value) or [""])[0]
        return namespace == "ecs" or (namespace in (None, UNKNOWN) and first == "service")

    def _fault(self, stack: StackView, value: Any) -> tuple[str, str] | None:
        segments = _segments(value)
        form = "Write service/, the cluster's name, a slash, and the service's name: "
        cure = form + "!Sub service/${Cluster}/${Service.Name}."
        if segments is None:
            return None
        symbols = [segment for segment in segments if isinstance(segment, Symbol)]
        if len(segments) != 3 or segments[0] != "service":
            # A parameter may bring slashes with it.
            known = all(symbol.type in (_CLUSTER, _SERVICE) for symbol in symbols)
            whole = all(isinstance(segment, (str, Symbol)) for segment in segments)
            return (f"{_shown(value)}, which is no service/cluster/service", cure) if known and whole else None
        _, cluster, service = segments
        if resource_of(cluster, _SERVICE) or resource_of(service, _CLUSTER):
            return f"{_shown(value)}, which names the service where the cluster belongs", cure
        if isinstance(cluster, Symbol) and cluster.type == _CLUSTER and cluster.attribute == "Arn":
            return f"{_shown(value)}, with the ARN of {cluster.name} in place of its name", cure
        if isinstance(service, Symbol) and service.type == _SERVICE and service.attribute != "Name":
            return f"{_shown(value)}, with the ARN of {service.name} in place of its name", cure
        return self._disagreement(stack.root, cluster, service)

    def _disagreement(self, root: StackView, cluster: Any, service: Any) -> tuple[str, str] | None:
        """Whether the service runs on another cluster, or is not there."""
        wanted = _cluster_name(cluster, root)
        known: dict[Any, Any] = {}
        for stack in root.tree():
            for logical_id, properties, scope in stack.of_type(_SERVICE):
                name, home = scope.get(properties, "ServiceName"), scope.get(properties, "Cluster")
                symbol = stack.symbol(logical_id)
                if isinstance(service, Symbol) and service.bare == symbol:
                    return self._wrong_cluster(root, wanted, home, logical_id)
                if name == service and name is not None:
                    fault = self._wrong_cluster(root, wanted, home, logical_id)
                    return fault if fault and isinstance(service, str) else None
                known[name if isinstance(name, (str, Symbol, Text)) else UNKNOWN if name is UNKNOWN else None] = symbol
        if not isinstance(service, str) or not isinstance(wanted, Symbol) or UNKNOWN in known:
            return None
        # Nobody else can have put a service on a cluster that this set makes, unless it tells one of its stacks.
        seen = all(nested.child for stack in root.tree() for nested in stack.nestings.values())
        if not seen or handed_out(root, wanted, outputs=False):
            return None
        close = nearest(service, [name for name in known if isinstance(name, str)])
        cure = f"Did you mean {close}?" if close else "Name the service by ${Service.Name} within Fn::Sub."
        return f"service {service} on {wanted.name}, which the set does not have", cure

    def _wrong_cluster(self, root: StackView, wanted: Any, home: Any, service: str) -> tuple[str, str] | None:
        own = _cluster_name(home, root)
        if UNKNOWN in (own, wanted) or own == wanted:
            return None
        for one, other in ((own, wanted), (wanted, own)):
            # A name that is not known yet may be that of the other.
            if isinstance(one, Symbol) and isinstance(other, str) and not _has_other_name(one, other):
                return None
        names = [one.name if isinstance(one, Symbol) else str(one) for one in (own, wanted)]
        return f"{service} on cluster {names[1]}, but it runs on {names[0]}", f"Name {names[0]} in the ResourceId."


def _has_other_name(cluster: Symbol, name: str) -> bool:
    own = property_of(cluster, "ClusterName")
    # CloudFormation's own names end in letters that nobody can foresee.
    return own is None or (isinstance(own, str) and own != name)


def _shown(value: Any) -> str:
    parts = value.parts if isinstance(value, Text) else (value,)
    dotted = (f"{p.name}.{p.attribute}" if p.attribute else p.name for p in parts if isinstance(p, Symbol))
    return "".join(part if isinstance(part, str) else f"${{{next(dotted)}}}" for part in parts)


class NamespaceOfTarget(Rule):
    id = "S702"
    sentence = "What scales a service has namespace ecs and dimension ecs:service:DesiredCount."
    source = _API + "API_RegisterScalableTarget.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind in (_TARGET, _POLICY):
                for logical_id, properties, scope in stack.of_type(kind):
                    namespace, dimension = (
                        scope.get(properties, name) for name in ("ServiceNamespace", "ScalableDimension")
                    )
                    segments = _segments(scope.get(properties, "ResourceId"))
                    is_service = namespace == "ecs" or bool(segments and segments[0] == "service")
                    for name, value, right in (
                        ("ServiceNamespace", namespace, "ecs"),
                        ("ScalableDimension", dimension, "ecs:service:DesiredCount"),
                    ):
                        if is_service and isinstance(value, str) and value != right:
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{name}",
                                f"{logical_id} scales a service, but its {name} is {value}.",
                                f"Set it to {right}.",
                            )


class PolicyWithoutTarget(Rule):
    id = "S703"
    sentence = "A policy that names what it scales is made after the scalable target of the same resource."
    source = _API + "API_PutScalingPolicy.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_POLICY):
                value = scope.get(properties, "ResourceId")
                parts = value.parts if isinstance(value, Text) else ()
                own = [part for part in parts if isinstance(part, Symbol) and part.type == _SERVICE]
                if not own or handed_out(stack.root, own[0].bare, outputs=True):
                    continue
                targets = [
                    (inner, target)
                    for inner in stack.root.tree()
                    for target, found, reader in inner.of_type(_TARGET)
                    if reader.get(found, "ResourceId") in (value, UNKNOWN)
                ]
                if any(after((stack, logical_id), target) for target in targets):
                    continue
                first = targets[0][1] if targets else ""
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.ResourceId",
                    f"Nothing makes {logical_id} wait for {first}, which registers what it scales."
                    if first
                    else f"{logical_id} scales {own[0].name}, which no scalable target of the set registers.",
                    f"Replace ResourceId, ScalableDimension and ServiceNamespace by ScalingTargetId: !Ref {first}."
                    if first
                    else "Add an AWS::ApplicationAutoScaling::ScalableTarget, and refer to it by ScalingTargetId.",
                )


# The property that holds the steps, by the type of the policy.
_STEPS = ((_POLICY, ("StepScalingPolicyConfiguration",)), (_GROUP_POLICY, ()))


def _steps(scope: Scope, node: Any) -> list[tuple[float | None, float | None, float | None]] | None:
    """The steps of a policy: lower bound, upper bound, adjustment; None if one is not known."""
    found = []
    for step in scope.items(node, "StepAdjustments") or []:
        values = [
            scope.get(step, name)
            for name in ("MetricIntervalLowerBound", "MetricIntervalUpperBound", "ScalingAdjustment")
        ]
        if any(value is not None and as_number(value) is None for value in values):
            return None
        low, high, change = (as_number(value) for value in values)
        found.append((low, high, change))
    return found or None


class StepRanges(Rule):
    id = "S704"
    sentence = "The ranges of step adjustments meet without a gap or an overlap, and reach on both sides to no bound."
    source = _API + "API_StepAdjustment.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, way in _STEPS:
                for logical_id, properties, scope in stack.of_type(kind):
                    steps = _steps(scope, scope.get(properties, *way))
                    fault = _range_fault([step[:2] for step in steps]) if steps else None
                    if fault:
                        yield self.finding(
                            stack.file,
                            ".".join(("Resources", logical_id, "Properties", *way, "StepAdjustments")),
                            f"Of the steps of {logical_id}, {fault}.",
                            "Let each range begin where the last one ends; the outermost bounds are left out.",
                        )


def _range_fault(ranges: list[tuple[float | None, float | None]]) -> str | None:
    infinite = float("inf")
    if any(low is None and high is None for low, high in ranges):
        return "one has neither bound"
    ordered = sorted((-infinite if low is None else low, infinite if high is None else high) for low, high in ranges)
    if any(low >= high for low, high in ordered):
        return "one ends before it begins"
    for (low, end), (start, high) in pairwise(ordered):
        if start != end:
            what = "overlap" if start < end else "leave a gap"
            first, second = (f"{_bound(one)} to {_bound(two)}" for one, two in ((low, end), (start, high)))
            return f"{first} and {second} {what}"
    if -infinite < ordered[0][0] < 0:
        return f"none reaches below {ordered[0][0]:g}"
    return f"none reaches above {ordered[-1][1]:g}" if 0 < ordered[-1][1] < infinite else None


def _bound(value: float) -> str:
    return f"{value:g}"


class SameMetricTwice(Rule):
    id = "S705"
    sentence = "Of the policies of one scalable target each tracks a metric of its own."
    source = (
        "https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html"
    )

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            for (_, (metric, _)), first, second in taken(self._tracking(root)):
                yield self.finding(
                    second.stack.file,
                    second.path,
                    f"{second.entry} tracks {metric}, which {place_of(first, second)} tracks already.",
                    "Leave one of the two policies.",
                )

    def _tracking(self, root: StackView) -> Iterator[tuple[Any, Holder]]:
        for stack in root.tree():
            for logical_id, properties, scope in stack.of_type(_POLICY):
                target, metric = _tracked(scope, properties)
                if target is not None and metric is not None:
                    path = f"Resources.{logical_id}.Properties.TargetTrackingScalingPolicyConfiguration"
                    yield (target, metric), Holder(stack, logical_id, stack.presence(stack.resource(logical_id)), path)


def _tracked(scope: Scope, properties: Any) -> tuple[Symbol | None, tuple[str, Any] | None]:
    """The scalable target of a policy and the predefined metric that it tracks, with its label."""
    target = resource_of(scope.get(properties, "ScalingTargetId"), _TARGET)
    specification = scope.get(properties, "TargetTrackingScalingPolicyConfiguration", "PredefinedMetricSpecification")
    metric, label = (scope.get(specification, name) for name in ("PredefinedMetricType", "ResourceLabel"))
    known = isinstance(metric, str) and (label is None or isinstance(label, (str, Symbol, Text)))
    return target, (metric, label) if known else None


class MetricOfNamespace(Rule):
    id = "S706"
    sentence = "A policy of a service tracks a predefined metric of services."
    source = _API + "API_PredefinedMetricSpecification.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_POLICY):
                target, metric = _tracked(scope, properties)
                namespace = property_of(target, "ServiceNamespace") if target else None
                namespace = namespace or scope.get(properties, "ServiceNamespace")
                if metric is None or namespace != "ecs" or metric[0] == "ALBRequestCountPerTarget":
                    continue
                if not metric[0].startswith("ECSService"):
                    way = "TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification"
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.{way}.PredefinedMetricType",
                        f"{logical_id} scales a service, but tracks {metric[0]}.",
                        "Track ECSServiceAverageCPUUtilization, ECSServiceAverageMemoryUtilization or "
                        "ALBRequestCountPerTarget.",
                    )


class KindOfPolicy(Rule):
    id = "S707"
    sentence = "A policy has the configuration of its own type, and no other."
    source = _API + "API_PutScalingPolicy.html"

    _CONFIGURATIONS = {
        "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
        "StepScaling": "StepScalingPolicyConfiguration",
    }

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_POLICY):
                kind = scope.get(properties, "PolicyType")
                given = [name for name in self._CONFIGURATIONS.values() if scope.get(properties, name) is not None]
                wanted = self._CONFIGURATIONS.get(kind) if isinstance(kind, str) else None
                if wanted and given != [wanted] and not any(scope.get(properties, it) is UNKNOWN for it in given):
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.PolicyType",
                        f"{logical_id} is of type {kind} and has {' and '.join(given) or 'no configuration'}.",
                        f"Give it {wanted} alone.",
                    )


def _policies_of(scope: Scope, properties: Any) -> Iterator[Symbol]:
    """The policies of the set that an alarm triggers."""
    for name in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        for action in scope.items(properties, name) or []:
            policy = resource_of(action, _POLICY, _GROUP_POLICY)
            if policy is not None:
                yield policy.bare


class UntriggeredPolicy(Rule):
    id = "S708"
    sentence = "A step scaling policy is triggered by an alarm."
    source = "https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            alarms = [(scope, properties) for stack in root.tree() for _, properties, scope in stack.of_type(_ALARM)]
            triggered = {policy for scope, properties in alarms for policy in _policies_of(scope, properties)}
            known = all(
                scope.items(properties, name) is not None for scope, properties in alarms for name in ("AlarmActions",)
            )
            for stack in root.tree():
                for logical_id, properties, scope in stack.of_type(_POLICY):
                    symbol = stack.symbol(logical_id)
                    steps = scope.get(properties, "PolicyType") == "StepScaling"
                    if steps and known and symbol not in triggered and not handed_out(root, symbol, outputs=True):
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}",
                            f"No alarm of the set triggers {logical_id}, so it never scales.",
                            f"Put !Ref {logical_id} into the AlarmActions of an alarm.",
                        )


class StepsOfAlarm(Rule):
    id = "S709"
    sentence = "The steps of a policy lie on the side of the threshold where its alarm goes off."
    source = _API + "API_StepAdjustment.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                operator = scope.get(properties, "ComparisonOperator")
                if not isinstance(operator, str) or scope.get(properties, "Threshold") is None:
                    continue
                for action in scope.items(properties, "AlarmActions") or []:
                    policy = resource_of(action, _POLICY, _GROUP_POLICY)
                    fault = _side_fault(policy, operator) if policy else None
                    if policy and fault:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.ComparisonOperator",
                            f"{logical_id} goes off {fault[0]} its threshold, and every step of {policy.name} lies "
                            f"{fault[1]} it, so none applies.",
                            f"Turn the bounds of the steps around: an alarm {fault[0]} has steps {fault[0]}.",
                        )


def _side_fault(policy: Symbol, operator: str) -> tuple[str, str] | None:
    """On which side of the threshold an alarm goes off, and on which all steps lie, where these differ."""
    way = dict(_STEPS)[policy.type]
    resource = policy.stack.resource(policy.name)
    scope = policy.stack.scope_of(resource)
    steps = _steps(scope, scope.get(resource.get("Properties"), *way))
    if not steps:
        return None
    if operator.startswith("GreaterThan") and all(high is not None and high <= 0 for _, high, _ in steps):
        return "above", "below"
    if operator.startswith("LessThan") and all(low is not None and low >= 0 for low, _, _ in steps):
        return "below", "above"
    return None


def _dimensions(scope: Scope, node: Any) -> dict[str, Any] | None:
    """The dimensions of a metric by name; None where one is not known."""
    items = scope.items(node, "Dimensions")
    if items is None:
        return None
    names = [scope.get(item, "Name") for item in items]
    return {str(name): scope.get(item, "Value") for name, item in zip(names, items, strict=True)}


def _metrics(scope: Scope, properties: Any) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
    """Each metric of an alarm: where it stands, namespace, name, dimensions."""
    places: list[tuple[str, Any]] = [("", properties)]
    for index, query in enumerate(scope.items(properties, "Metrics") or []):
        places.append((f"Metrics.{index}.MetricStat.Metric.", scope.get(query, "MetricStat", "Metric")))
    for path, node in places:
        dimensions = _dimensions(scope, node) if isinstance(node, Mapping) else None
        if dimensions:
            yield path, scope.get(node, "Namespace"), scope.get(node, "MetricName"), dimensions


class DimensionOfAlarm(Rule):
    id = "S710"
    sentence = "A metric is named by the names that its service gives it, not by ARNs."
    source = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"

    # Which attribute of a resource a dimension wants; Ref gives the ARN of all but a cluster.
    _WANTED = {
        "ServiceName": (_SERVICE, "Name"),
        "ClusterName": (_CLUSTER, ""),
        "LoadBalancer": ("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerFullName"),
        "TargetGroup": ("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupFullName"),
    }
    _NAMESPACES = ("AWS/ECS", "ECS/ContainerInsights", "AWS/ApplicationELB", "AWS/NetworkELB")

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                for path, namespace, _, dimensions in _metrics(scope, properties):
                    for name, value in dimensions.items() if namespace in self._NAMESPACES else ():
                        kind, attribute = self._WANTED.get(name, ("", ""))
                        symbol = resource_of(value, *(kind for kind, _ in self._WANTED.values()))
                        if symbol and kind and (symbol.type, symbol.attribute) != (kind, attribute):
                            right = f"{kind.rpartition(':')[2]}.{attribute}" if attribute else "!Ref Cluster"
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{path}Dimensions",
                                f"{name} of {logical_id} is {_shown(symbol)}, so the alarm never sees a value.",
                                f"Set it to {right}.",
                            )


class MissingDimension(Rule):
    id = "S711"
    sentence = "A metric has all the dimensions that its values come with."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html"

    # Metrics of target groups come with that of their balancer, but for this one.
    _ALONE = ("RequestCountPerTarget",)

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                for path, namespace, metric, dimensions in _metrics(scope, properties):
                    missing = None
                    if namespace == "AWS/ECS" and "ServiceName" in dimensions and "ClusterName" not in dimensions:
                        missing = "ClusterName"
                    if (
                        namespace in ("AWS/ApplicationELB", "AWS/NetworkELB")
                        and "TargetGroup" in dimensions
                        and "LoadBalancer" not in dimensions
                        and isinstance(metric, str)
                        and metric not in self._ALONE
                    ):
                        missing = "LoadBalancer"
                    if missing:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.{path}Dimensions",
                            f"{logical_id} watches {metric} of {namespace} without {missing}, so it never sees a "
                            "value.",
                            f"Add the dimension {missing}.",
                        )


class AlarmOfAnother(Rule):
    id = "S712"
    sentence = "The alarm that triggers a policy watches the service that the policy scales."
    source = "https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                for policy in _policies_of(scope, properties):
                    target = resource_of(property_of(policy, "ScalingTargetId"), _TARGET)
                    scaled = _segments(property_of(target or policy, "ResourceId")) or []
                    for path, namespace, _, dimensions in _metrics(scope, properties):
                        watched = dimensions.get("ServiceName")
                        if namespace != "AWS/ECS" or len(scaled) != 3 or not isinstance(watched, Symbol):
                            continue
                        own = resource_of(scaled[2], _SERVICE)
                        if own and watched.type == _SERVICE and watched.bare != own.bare:
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{path}Dimensions",
                                f"{logical_id} watches {watched.name} and triggers {policy.name}, which scales "
                                f"{own.name}.",
                                f"Watch {own.name}, or trigger a policy of {watched.name}.",
                            )


class TopicOfAlarm(Rule):
    id = "S713"
    sentence = "An alarm does not tell a topic that is encrypted by the key alias/aws/sns, which lets no alarm in."
    source = "https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                for name in ("AlarmActions", "OKActions", "InsufficientDataActions"):
                    for index, action in enumerate(scope.items(properties, name) or []):
                        topic = resource_of(action, "AWS::SNS::Topic")
                        key = property_of(topic, "KmsMasterKeyId") if topic else None
                        if topic and isinstance(key, str) and key.endswith("alias/aws/sns"):
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{name}.{index}",
                                f"{logical_id} is to tell {topic.name}, whose key alias/aws/sns admits no alarm.",
                                f"Encrypt {topic.name} by a key of your own whose policy admits "
                                "cloudwatch.amazonaws.com, or not at all.",
                            )


class LongAlarm(Rule):
    id = "S714"
    sentence = "An alarm looks back a day at most, seven where its periods are an hour or longer."
    source = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                period, count = (as_number(scope.get(properties, name)) for name in ("Period", "EvaluationPeriods"))
                longest = 86_400 if (period or 0) < 3_600 else 604_800
                if period and count and period * count > longest:
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.EvaluationPeriods",
                        f"{logical_id} looks back {count:g} periods of {period:g} s, {period * count:g} s in all; "
                        f"CloudWatch takes {longest:,}.",
                        "Take fewer periods, or longer ones.",
                    )


class DatapointsOfAlarm(Rule):
    id = "S715"
    sentence = "An alarm needs no more data points than it has periods."
    source = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ALARM):
                points, count = (
                    as_number(scope.get(properties, name)) for name in ("DatapointsToAlarm", "EvaluationPeriods")
                )
                if points is not None and count is not None and points > count:
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.DatapointsToAlarm",
                        f"{logical_id} needs {points:g} data points of {count:g} periods.",
                        f"Set DatapointsToAlarm to {count:g} or less.",
                    )
