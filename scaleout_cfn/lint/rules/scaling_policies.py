"""Scalable targets, their policies and the alarms that trigger them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from scaleout_cfn.lint.rules.balancing import after
from scaleout_cfn.lint.rules.base import Fault, Faults, fault, nearest, rule
from scaleout_cfn.lint.rules.names import Holder, place_of, taken
from scaleout_cfn.lint.rules.services import SERVICE, handed_out
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN

_API = "https://docs.aws.amazon.com/autoscaling/application/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/autoscaling/application/userguide/"
_ALARM_API = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_GROUP_POLICY = "AWS::AutoScaling::ScalingPolicy"
_ALARM = "AWS::CloudWatch::Alarm"
_CLUSTER = "AWS::ECS::Cluster"


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
    for cluster in root.below(_CLUSTER) if isinstance(name, (str, Symbol, Text)) else ():
        if cluster.get("ClusterName") == name:
            return cluster.symbol
    return name if isinstance(name, str) else UNKNOWN


@rule("S701", _API + "API_RegisterScalableTarget.html", _TARGET, _POLICY)
def scaled_service(place: Place) -> Faults:
    """The ResourceId of a scalable target names a cluster and the service on it that is scaled."""
    value, namespace = place.get("ResourceId"), place.get("ServiceNamespace")
    segments = _segments(value)
    if segments is None or not (namespace == "ecs" or (namespace in (None, UNKNOWN) and segments[0] == "service")):
        return
    wrong = _form_fault(value, segments)
    if wrong:
        cure = "Write service/, the cluster's name, a slash, and the service's name: "
        yield fault(place, "ResourceId", f"{place} scales {wrong}.", cure + "!Sub service/${Cluster}/${Service.Name}.")
    elif len(segments) == 3:
        disagreement = _disagreement(place.stack.root, *segments[1:])
        if disagreement:
            yield fault(place, "ResourceId", f"{place} scales {disagreement[0]}.", disagreement[1])


def _form_fault(value: Any, segments: list[Any]) -> str | None:
    """What is wrong with the form of a ResourceId."""
    if len(segments) != 3 or segments[0] != "service":
        # A parameter may bring slashes with it.
        whole = all(
            isinstance(it, str) or (isinstance(it, Symbol) and it.type in (_CLUSTER, SERVICE)) for it in segments
        )
        return f"{_shown(value)}, which is no service/cluster/service" if whole else None
    _, cluster, service = segments
    if resource_of(cluster, SERVICE) or resource_of(service, _CLUSTER):
        return f"{_shown(value)}, which names the service where the cluster belongs"
    cluster_arn = isinstance(cluster, Symbol) and cluster.type == _CLUSTER and cluster.attribute == "Arn"
    service_arn = isinstance(service, Symbol) and service.type == SERVICE and service.attribute != "Name"
    if cluster_arn or service_arn:
        return f"{_shown(value)}, with the ARN of {(cluster if cluster_arn else service).name} in place of its name"
    return None


def _disagreement(root: StackView, cluster: Any, service: Any) -> tuple[str, str] | None:
    """Whether the service runs on another cluster, or is not there."""
    wanted = _cluster_name(cluster, root)
    known: list[Any] = []
    for place in root.below(SERVICE):
        name, home = place.get("ServiceName"), place.get("Cluster")
        if isinstance(service, Symbol) and service.bare == place.symbol:
            return _wrong_cluster(root, wanted, home, place)
        if name == service and name is not None:
            return _wrong_cluster(root, wanted, home, place) if isinstance(service, str) else None
        known.append(name)
    if not isinstance(service, str) or not isinstance(wanted, Symbol) or UNKNOWN in known:
        return None
    # Nobody else can have put a service on a cluster that this set makes, unless it tells one of its stacks.
    seen = all(nested.child for stack in root.tree() for nested in stack.nestings.values())
    if not seen or handed_out(root, wanted, outputs=False):
        return None
    close = nearest(service, [name for name in known if isinstance(name, str)])
    cure = f"Did you mean {close}?" if close else "Name the service by ${Service.Name} within Fn::Sub."
    return f"service {service} on {wanted.name}, which the set does not have", cure


def _wrong_cluster(root: StackView, wanted: Any, home: Any, service: Place) -> tuple[str, str] | None:
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
    own = cluster.place.get("ClusterName")
    # CloudFormation's own names end in letters that nobody can foresee.
    return own is None or (isinstance(own, str) and own != name)


def _shown(value: Any) -> str:
    parts = value.parts if isinstance(value, Text) else (value,)
    dotted = (f"{p.name}.{p.attribute}" if p.attribute else p.name for p in parts if isinstance(p, Symbol))
    return "".join(part if isinstance(part, str) else f"${{{next(dotted)}}}" for part in parts)


@rule("S702", _API + "API_RegisterScalableTarget.html", _TARGET, _POLICY)
def namespace_of_target(place: Place) -> Faults:
    """What scales a service has namespace ecs and dimension ecs:service:DesiredCount."""
    segments = _segments(place.get("ResourceId")) or [""]
    if place.get("ServiceNamespace") != "ecs" and segments[0] != "service":
        return
    for name, right in (("ServiceNamespace", "ecs"), ("ScalableDimension", "ecs:service:DesiredCount")):
        value = place.get(name)
        if isinstance(value, str) and value != right:
            yield fault(place, name, f"{place} scales a service, but its {name} is {value}.", f"Set it to {right}.")


@rule("S703", _API + "API_PutScalingPolicy.html", _POLICY)
def policy_without_target(policy: Place) -> Faults:
    """A policy that names what it scales is made after the scalable target of the same resource."""
    value, root = policy.get("ResourceId"), policy.stack.root
    parts = value.parts if isinstance(value, Text) else ()
    own = [part for part in parts if isinstance(part, Symbol) and part.type == SERVICE]
    if not own or handed_out(root, own[0].bare, outputs=True):
        return
    targets = [target for target in root.below(_TARGET) if target.get("ResourceId") in (value, UNKNOWN)]
    if not targets:
        message = f"{policy} scales {own[0].name}, which no scalable target of the set registers."
        cure = "Add an AWS::ApplicationAutoScaling::ScalableTarget, and refer to it by ScalingTargetId."
        yield fault(policy, "ResourceId", message, cure)
    elif not any(after(policy, target) for target in targets):
        message = f"Nothing makes {policy} wait for {targets[0]}, which registers what it scales."
        cure = f"Replace ResourceId, ScalableDimension and ServiceNamespace by ScalingTargetId: !Ref {targets[0]}."
        yield fault(policy, "ResourceId", message, cure)


# The property that holds the steps, by the type of the policy.
_STEPS: dict[str, tuple[str, ...]] = {_POLICY: ("StepScalingPolicyConfiguration",), _GROUP_POLICY: ()}
_PARTS = ("MetricIntervalLowerBound", "MetricIntervalUpperBound", "ScalingAdjustment")


def _steps(policy: Place) -> list[tuple[float | None, float | None]] | None:
    """The steps of a policy, lower and upper bound; None if there are none, or one is not known."""
    steps = policy.each(*_STEPS[policy.type], "StepAdjustments")
    if any(step.get(part) is not None and step.number(part) is None for step in steps for part in _PARTS):
        return None
    return [(step.number(_PARTS[0]), step.number(_PARTS[1])) for step in steps] or None


@rule("S704", _API + "API_StepAdjustment.html", *_STEPS)
def step_ranges(policy: Place) -> Faults:
    """The ranges of step adjustments meet without a gap or an overlap, and reach on both sides to no bound."""
    steps = _steps(policy)
    wrong = _range_fault(steps) if steps else None
    if wrong:
        at = ".".join((*_STEPS[policy.type], "StepAdjustments"))
        cure = "Let each range begin where the last one ends; the outermost bounds are left out."
        yield fault(policy, at, f"Of the steps of {policy}, {wrong}.", cure)


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
            return f"{low:g} to {end:g} and {start:g} to {high:g} {what}"
    if -infinite < ordered[0][0] < 0:
        return f"none reaches below {ordered[0][0]:g}"
    return f"none reaches above {ordered[-1][1]:g}" if 0 < ordered[-1][1] < infinite else None


@rule("S705", _GUIDE + "target-tracking-scaling-policy-overview.html")
def same_metric_twice(stacks: StackSet) -> Faults:
    """Of the policies of one scalable target each tracks a metric of its own."""
    for root in stacks.roots:
        for (_, (metric, _)), first, second in taken(_tracking(root)):
            yield fault(
                second.place,
                "TargetTrackingScalingPolicyConfiguration",
                f"{second.place} tracks {metric}, which {place_of(first, second)} tracks already.",
                "Leave one of the two policies.",
            )


def _tracking(root: StackView) -> Iterator[tuple[Any, Holder]]:
    for policy in root.below(_POLICY):
        target, metric = _tracked(policy)
        if target is not None and metric is not None:
            yield (target, metric), Holder(policy, policy.presence)


def _tracked(policy: Place) -> tuple[Symbol | None, tuple[str, Any] | None]:
    """The scalable target of a policy and the predefined metric that it tracks, with its label."""
    target = resource_of(policy.get("ScalingTargetId"), _TARGET)
    specification = policy.inner("TargetTrackingScalingPolicyConfiguration", "PredefinedMetricSpecification")
    metric, label = specification.get("PredefinedMetricType"), specification.get("ResourceLabel")
    known = isinstance(metric, str) and (label is None or isinstance(label, (str, Symbol, Text)))
    return target, (metric, label) if known else None


@rule("S706", _API + "API_PredefinedMetricSpecification.html", _POLICY)
def metric_of_namespace(policy: Place) -> Faults:
    """A policy of a service tracks a predefined metric of services."""
    target, metric = _tracked(policy)
    namespace = target.place.get("ServiceNamespace") if target else None
    namespace = namespace or policy.get("ServiceNamespace")
    if metric is None or namespace != "ecs" or metric[0] == "ALBRequestCountPerTarget":
        return
    if not metric[0].startswith("ECSService"):
        yield fault(
            policy,
            "TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification.PredefinedMetricType",
            f"{policy} scales a service, but tracks {metric[0]}.",
            "Track ECSServiceAverageCPUUtilization, ECSServiceAverageMemoryUtilization or ALBRequestCountPerTarget.",
        )


_CONFIGURATIONS = {
    "PredictiveScaling": "PredictiveScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
    "StepScaling": "StepScalingPolicyConfiguration",
}


@rule("S707", _API + "API_PutScalingPolicy.html", _POLICY)
def kind_of_policy(policy: Place) -> Faults:
    """A policy has the configuration of its own type, and no other."""
    kind = policy.get("PolicyType")
    given = [name for name in _CONFIGURATIONS.values() if policy.get(name) is not None]
    wanted = _CONFIGURATIONS.get(kind) if isinstance(kind, str) else None
    if wanted and given != [wanted] and not any(policy.get(name) is UNKNOWN for name in given):
        message = f"{policy} is of type {kind} and has {' and '.join(given) or 'no configuration'}."
        yield fault(policy, "PolicyType", message, f"Give it {wanted} alone.")


_ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")


def _policies_of(alarm: Place, *actions: str) -> list[Symbol]:
    """The policies of the set that an alarm triggers."""
    policies = (resource_of(item, *_STEPS) for name in actions for item in alarm.items(name) or [])
    return [policy.bare for policy in policies if policy is not None]


@rule("S716", _GUIDE + "aas-predictive-scaling-how-it-works.html", severity="warning")
def forecast_alone(stacks: StackSet) -> Faults:
    """What a predictive policy adds, another policy of the same target takes away."""
    for root in stacks.roots:
        policies = list(root.below(_POLICY))
        shrinking = [policy.get("ScalingTargetId") for policy in policies if _may_shrink(policy)]
        for policy in policies:
            target = resource_of(policy.get("ScalingTargetId"), _TARGET)
            acts = policy.get("PredictiveScalingPolicyConfiguration", "Mode") == "ForecastAndScale"
            alone = target is not None and target not in shrinking and UNKNOWN not in shrinking
            if acts and target and alone and not handed_out(root, target.bare, outputs=True):
                yield fault(
                    policy,
                    "PredictiveScalingPolicyConfiguration.Mode",
                    f"{policy} adds capacity before it is needed, and no policy of {target.name} takes it away again.",
                    "Add a target tracking policy, which scales in, or set ForecastOnly.",
                )


def _may_shrink(policy: Place) -> bool:
    tracks = policy.inner("TargetTrackingScalingPolicyConfiguration")
    stepping = policy.get("StepScalingPolicyConfiguration") is not None
    return stepping or (isinstance(tracks.node, Mapping) and tracks.get("DisableScaleIn") not in (True, "true"))


@rule("S708", _GUIDE + "step-scaling-policy-overview.html", severity="warning")
def untriggered_policy(stacks: StackSet) -> Faults:
    """A step scaling policy is triggered by an alarm."""
    for root in stacks.roots:
        steps = [policy for policy in root.below(_POLICY) if policy.get("PolicyType") == "StepScaling"]
        alarms = list(root.below(_ALARM)) if steps else []
        triggered = {policy for alarm in alarms for policy in _policies_of(alarm, *_ACTIONS)}
        known = all(alarm.items("AlarmActions") is not None for alarm in alarms)
        for policy in steps if known else ():
            if policy.symbol not in triggered and not handed_out(root, policy.symbol, outputs=True):
                yield Fault(
                    policy.stack.file,
                    f"Resources.{policy}",
                    f"No alarm of the set triggers {policy}, so it never scales.",
                    f"Put !Ref {policy} into the AlarmActions of an alarm.",
                )


@rule("S709", _API + "API_StepAdjustment.html", _ALARM)
def steps_of_alarm(alarm: Place) -> Faults:
    """The steps of a policy lie on the side of the threshold where its alarm goes off."""
    operator = alarm.get("ComparisonOperator")
    if not isinstance(operator, str) or alarm.get("Threshold") is None:
        return
    for policy in _policies_of(alarm, "AlarmActions"):
        sides = _side_fault(policy.place, operator)
        if sides:
            yield fault(
                alarm,
                "ComparisonOperator",
                f"{alarm} goes off {sides[0]} its threshold, and every step of {policy.name} lies {sides[1]} it, so "
                "none applies.",
                f"Turn the bounds of the steps around: an alarm {sides[0]} has steps {sides[0]}.",
            )


def _side_fault(policy: Place, operator: str) -> tuple[str, str] | None:
    """On which side of the threshold an alarm goes off, and on which all steps lie, where these differ."""
    steps = _steps(policy)
    if not steps:
        return None
    if operator.startswith("GreaterThan") and all(high is not None and high <= 0 for _, high in steps):
        return "above", "below"
    if operator.startswith("LessThan") and all(low is not None and low >= 0 for low, _ in steps):
        return "below", "above"
    return None


def _metrics(alarm: Place) -> list[tuple[Place, dict[str, Any]]]:
    """Each metric of an alarm whose dimensions are known, with these by name."""
    found: list[tuple[Place, dict[str, Any]]] = alarm.stack.remembered(
        ("metrics", alarm.path), partial(_read_metrics, alarm)
    )
    return found


def _read_metrics(alarm: Place) -> list[tuple[Place, dict[str, Any]]]:
    read = alarm.scope.below
    metrics = (alarm, *(query.inner("MetricStat", "Metric") for query in alarm.each("Metrics")))
    return [
        (metric, {str(read(dimension, ("Name",))): read(dimension, ("Value",)) for dimension in dimensions})
        for metric in metrics
        if isinstance(metric.node, Mapping) and (dimensions := metric.items("Dimensions"))
    ]


# Which attribute of a resource a dimension wants; Ref gives the ARN of all but a cluster.
_WANTED = {
    "ServiceName": (SERVICE, "Name"),
    "ClusterName": (_CLUSTER, ""),
    "LoadBalancer": ("AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerFullName"),
    "TargetGroup": ("AWS::ElasticLoadBalancingV2::TargetGroup", "TargetGroupFullName"),
}
_WANTED_TYPES = tuple(kind for kind, _ in _WANTED.values())
_NAMESPACES = ("AWS/ECS", "ECS/ContainerInsights", "AWS/ApplicationELB", "AWS/NetworkELB")


@rule(
    "S710",
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html",
    _ALARM,
)
def dimension_of_alarm(alarm: Place) -> Faults:
    """A metric is named by the names that its service gives it, not by ARNs."""
    for metric, dimensions in _metrics(alarm):
        for name in dimensions.keys() & _WANTED.keys() if metric.get("Namespace") in _NAMESPACES else ():
            kind, attribute = _WANTED[name]
            symbol = resource_of(dimensions[name], *_WANTED_TYPES)
            if symbol and (symbol.type, symbol.attribute) != (kind, attribute):
                right = f"{kind.rpartition(':')[2]}.{attribute}" if attribute else "!Ref Cluster"
                message = f"{name} of {alarm} is {_shown(symbol)}, so the alarm never sees a value."
                yield fault(metric, "Dimensions", message, f"Set it to {right}.")


@rule("S711", "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html", _ALARM)
def missing_dimension(alarm: Place) -> Faults:
    """A metric has all the dimensions that its values come with."""
    for metric, dimensions in _metrics(alarm):
        namespace, name = metric.get("Namespace"), metric.get("MetricName")
        beside = {"AWS/ECS": ("ServiceName", "ClusterName")}.get(namespace) if isinstance(namespace, str) else None
        # Metrics of target groups come with that of their balancer, but for this one.
        if namespace in ("AWS/ApplicationELB", "AWS/NetworkELB") and isinstance(name, str):
            beside = ("TargetGroup", "LoadBalancer") if name != "RequestCountPerTarget" else None
        if beside and beside[0] in dimensions and beside[1] not in dimensions:
            message = f"{alarm} watches {name} of {namespace} without {beside[1]}, so it never sees a value."
            yield fault(metric, "Dimensions", message, f"Add the dimension {beside[1]}.")


@rule("S712", _GUIDE + "step-scaling-policy-overview.html", _ALARM, severity="warning")
def alarm_of_another(alarm: Place) -> Faults:
    """The alarm that triggers a policy watches the service that the policy scales."""
    for policy in _policies_of(alarm, *_ACTIONS):
        target = resource_of(policy.place.get("ScalingTargetId"), _TARGET) or policy
        scaled = _segments(target.place.get("ResourceId")) or []
        own = resource_of(scaled[2], SERVICE) if len(scaled) == 3 else None
        for metric, dimensions in _metrics(alarm) if own else ():
            watched = resource_of(dimensions.get("ServiceName"), SERVICE)
            if metric.get("Namespace") == "AWS/ECS" and own and watched and watched.bare != own.bare:
                yield fault(
                    metric,
                    "Dimensions",
                    f"{alarm} watches {watched.name} and triggers {policy.name}, which scales {own.name}.",
                    f"Watch {own.name}, or trigger a policy of {watched.name}.",
                )


@rule("S713", "https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns", _ALARM)
def topic_of_alarm(alarm: Place) -> Faults:
    """An alarm does not tell a topic that is encrypted by the key alias/aws/sns, which lets no alarm in."""
    for action in (action for name in _ACTIONS for action in alarm.each(name)):
        topic = resource_of(action.node, "AWS::SNS::Topic")
        key = topic.place.get("KmsMasterKeyId") if topic else None
        if topic and isinstance(key, str) and key.endswith("alias/aws/sns"):
            yield fault(
                action,
                "",
                f"{alarm} is to tell {topic.name}, whose key alias/aws/sns admits no alarm.",
                f"Encrypt {topic.name} by a key of your own whose policy admits cloudwatch.amazonaws.com, or not at "
                "all.",
            )


@rule("S714", _ALARM_API, _ALARM)
def long_alarm(alarm: Place) -> Faults:
    """An alarm looks back a day at most, seven where its periods are an hour or longer."""
    period, count = alarm.number("Period"), alarm.number("EvaluationPeriods")
    longest = 86_400 if (period or 0) < 3_600 else 604_800
    if period and count and period * count > longest:
        yield fault(
            alarm,
            "EvaluationPeriods",
            f"{alarm} looks back {count:g} periods of {period:g} s, {period * count:g} s in all; CloudWatch takes "
            f"{longest:,}.",
            "Take fewer periods, or longer ones.",
        )


@rule("S715", _ALARM_API, _ALARM)
def datapoints_of_alarm(alarm: Place) -> Faults:
    """An alarm needs no more data points than it has periods."""
    points, count = alarm.number("DatapointsToAlarm"), alarm.number("EvaluationPeriods")
    if points is not None and count is not None and points > count:
        message = f"{alarm} needs {points:g} data points of {count:g} periods."
        yield fault(alarm, "DatapointsToAlarm", message, f"Set DatapointsToAlarm to {count:g} or less.")


#: Services of AWS whose metrics come by the minute or less often.
_BY_THE_MINUTE = ("AWS/ApplicationELB", "AWS/NetworkELB", "AWS/EC2", "AWS/SQS")


@rule("S717", _ALARM_API, _ALARM, severity="warning")
def fast_alarm(alarm: Place) -> Faults:
    """An alarm of less than a minute watches a metric that comes as often."""
    period = alarm.number("Period")
    if period is None or period >= 60:
        return
    namespace = alarm.get("Namespace")
    if namespace in _BY_THE_MINUTE or (namespace == "AWS/ECS" and _is_slow(alarm)):
        yield fault(
            alarm,
            "Period",
            f"{alarm} looks every {period:g} s at a metric of {namespace} that comes every 60 s, and mostly sees no"
            " value.",
            "Set Period to 60, or have a metric of higher resolution: of a service CPU and memory by Monitoring.",
        )


def _is_slow(alarm: Place) -> bool:
    """Whether the alarm watches a service of the set that publishes nothing below a minute."""
    for _, dimensions in _metrics(alarm):
        service = resource_of(dimensions.get("ServiceName"), SERVICE)
        if service is not None:
            settings = service.place.each("Monitoring", "MetricConfigurations")
            known = service.place.get("Monitoring") is not UNKNOWN
            return known and all((item.number("ResolutionSeconds") or 0) >= 60 for item in settings)
    return False
