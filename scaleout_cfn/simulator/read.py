"""From rendered templates to a model. The templates decide, ours or anybody's of this shape; configs are not asked.

Values are followed through nested stacks by the resolver of the lint, with the defaults of the root's parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from scaleout_cfn.capacity import Demand, InstanceType, UnknownInstanceType, instance_type, tasks_per_node
from scaleout_cfn.config.scaling import NodeScaling, Scaling, Schedule, StepAdjustment, StepScaling, TargetTracking
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import HourlyCosts, Model
from scaleout_cfn.templates.reading import read_folder
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView
from scaleout_cfn.templates.values import as_number

__all__ = ["model_of", "read"]

_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_TRACKED = {
    "ECSServiceAverageCPUUtilization": "cpu",
    "ECSServiceAverageMemoryUtilization": "memory",
    "ALBRequestCountPerTarget": "requests",
}
_ADJUSTMENTS: dict[Any, Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]] = {
    "ChangeInCapacity": "ChangeInCapacity",
    "PercentChangeInCapacity": "PercentChangeInCapacity",
    "ExactCapacity": "ExactCapacity",
}
_METRICS = {"CPUUtilization": "cpu", "MemoryUtilization": "memory"}


def read(folder: Path) -> Model:
    """The model of a folder of templates. Raises UsageError when it lacks a part or has one that is not simulated."""
    try:
        templates = read_folder(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: {getattr(error, 'strerror', None) or error}; give a folder of templates") from None
    if not templates:
        raise UsageError(f"{folder}: no templates in it; give a folder of templates, or run render first")
    return model_of(templates, str(folder))


class _Found:
    """One resource: where it is and what it says, with UsageErrors that name it."""

    def __init__(self, folder: str, stack: StackView, name: str, properties: Mapping[str, Any], scope: Scope) -> None:
        self.place = f"{folder}/{stack.file}: {name}"
        self.stack, self.name, self.properties, self.scope = stack, name, properties, scope

    def get(self, *path: str) -> Any:
        return self.scope.get(self.properties, *path)

    def items(self, *path: str) -> list[Any]:
        return self.scope.items(self.properties, *path) or []

    def number(self, *path: str, default: float | None = None) -> float:
        value = self.get(*path)
        if value is None and default is not None:
            return default
        number = as_number(value)
        if number is None:
            self.refuse(
                f"{'.'.join(path)} is {'missing' if value is None else 'no number that is known before a deployment'}"
            )
        return number

    def whole(self, *path: str, default: int | None = None) -> int:
        return int(self.number(*path, default=default))

    def refuse(self, what: str) -> NoReturn:
        raise UsageError(f"{self.place}: {what}; that cannot be simulated")


def model_of(templates: Mapping[str, Mapping[str, Any]], folder: str = "templates") -> Model:
    """The model of templates by file name, in their long form."""
    stacks = StackSet(templates)

    def every(kind: str) -> Iterator[_Found]:
        for place in stacks.of_type(kind):
            yield _Found(folder, place.stack, place.logical_id, place.node, place.scope)

    def only(kind: str) -> _Found:
        resources = list(every(kind))
        if len(resources) != 1:
            there = "none" if not resources else ", ".join(item.name for item in resources)
            raise UsageError(f"{folder}: {kind}: {there}; a simulation needs exactly one")
        return resources[0]

    service = only("AWS::ECS::Service")
    task = only("AWS::ECS::TaskDefinition")
    group = only("AWS::AutoScaling::AutoScalingGroup")
    providers = list(every("AWS::ECS::CapacityProvider"))
    targets = list(every("AWS::ElasticLoadBalancingV2::TargetGroup"))
    first_type = _instance_type(group, list(every("AWS::EC2::LaunchTemplate")))
    cpu, memory = _size(task)
    # Only what a node holds is asked; the rest of the demand does not matter for that.
    demand = Demand(cpu, memory, "awsvpc" if task.get("NetworkMode") == "awsvpc" else "bridge", 1, 1, 100, 200)
    per_node = tasks_per_node(first_type, demand)
    if not per_node:
        task.refuse(f"a task of {cpu} CPU units and {memory} MiB does not fit on {first_type.name}")
    check = targets[0] if targets else None
    return Model(
        scaling=_scaling(
            service, only(_TARGET), list(every(_POLICY)), list(every("AWS::CloudWatch::Alarm")), providers
        ),
        min_nodes=group.whole("MinSize"),
        max_nodes=group.whole("MaxSize"),
        instance_type=first_type.name,
        tasks_per_node=per_node,
        task_cpu_units=cpu,
        node_cpu_units=first_type.vcpus * 1024,
        zones=_zones(list(every("AWS::EC2::Subnet")), group),
        placement=_placement(service),
        health_check_interval_s=check.whole("HealthCheckIntervalSeconds", default=30) if check else 30,
        deregistration_delay_s=_attribute(check, "deregistration_delay.timeout_seconds", 300),
        disk_gib=_disk(list(every("AWS::EC2::LaunchTemplate"))),
        network=_network(every, group),
        node_cpu_target=_node_cpu_target(list(every("AWS::AutoScaling::ScalingPolicy"))) if not providers else None,
    )


def _scaling(
    service: _Found, target: _Found, policies: list[_Found], alarms: list[_Found], providers: list[_Found]
) -> Scaling:
    tracking: dict[str, TargetTracking] = {}
    steps, fast = [], False
    for policy in policies:
        if policy.get("PolicyType") == "TargetTrackingScaling":
            way = "TargetTrackingScalingPolicyConfiguration"
            metric = policy.get(way, "PredefinedMetricSpecification", "PredefinedMetricType")
            plain = metric.removesuffix("HighResolution") if isinstance(metric, str) else metric
            if plain not in _TRACKED:
                policy.refuse(f"it tracks {metric or 'a metric of its own'}, not one of {', '.join(_TRACKED)}")
            fast = fast or plain != metric
            tracking[_TRACKED[plain]] = TargetTracking(
                enabled=True,
                target=_plain(policy.number(way, "TargetValue")),
                scale_out_cooldown_s=policy.whole(way, "ScaleOutCooldown", default=300),
                scale_in_cooldown_s=policy.whole(way, "ScaleInCooldown", default=300),
                scale_in=policy.get(way, "DisableScaleIn") not in (True, "true"),
            )
        elif policy.get("PolicyType") == "StepScaling":
            steps.append(_step(policy, alarms))
        else:
            policy.refuse(f"it is of type {policy.get('PolicyType')}")
    schedules = []
    for action in target.items("ScheduledActions"):
        entry = _Found("", target.stack, target.name, action, target.scope)
        entry.place = target.place
        schedules.append(
            Schedule(
                name=str(entry.get("ScheduledActionName")),
                at=str(entry.get("Schedule")),
                timezone=str(entry.get("Timezone") or "UTC"),
                min_tasks=entry.whole("ScalableTargetAction", "MinCapacity"),
                max_tasks=entry.whole("ScalableTargetAction", "MaxCapacity"),
            )
        )
    monitoring = service.items("Monitoring", "MetricConfigurations")
    fast = fast or any(as_number(service.scope.get(item, "ResolutionSeconds")) == 20 for item in monitoring)
    # A policy that is not there keeps the numbers that a config has for it, unused.
    unused = Scaling()
    return Scaling(
        min_tasks=target.whole("MinCapacity"),
        max_tasks=target.whole("MaxCapacity"),
        high_resolution=fast,
        cpu=tracking.get("cpu", _off(unused.cpu)),
        memory=tracking.get("memory", _off(unused.memory)),
        requests=tracking.get("requests", _off(unused.requests)),
        step_policies=tuple(steps),
        schedules=tuple(schedules),
        nodes=_nodes(providers),
    )


def _off(policy: TargetTracking) -> TargetTracking:
    import msgspec

    return msgspec.structs.replace(policy, enabled=False)


def _nodes(providers: list[_Found]) -> NodeScaling:
    if not providers:
        return NodeScaling()
    if len(providers) > 1:
        providers[1].refuse("a second capacity provider")
    provider, way = providers[0], ("AutoScalingGroupProvider", "ManagedScaling")
    if provider.get(*way, "Status") not in ("ENABLED", None):
        provider.refuse("managed scaling is off, so that nothing moves the nodes")
    # Defaults: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ManagedScaling.html
    return NodeScaling(
        target_capacity_percent=provider.whole(*way, "TargetCapacity", default=100),
        min_step=provider.whole(*way, "MinimumScalingStepSize", default=1),
        max_step=provider.whole(*way, "MaximumScalingStepSize", default=10000),
        warmup_s=provider.whole(*way, "InstanceWarmupPeriod", default=300),
    )


def _step(policy: _Found, alarms: list[_Found]) -> StepScaling:
    way = "StepScalingPolicyConfiguration"
    kind = policy.get(way, "AdjustmentType")
    if kind not in _ADJUSTMENTS:
        policy.refuse(f"its adjustments are {kind}, not one of {', '.join(_ADJUSTMENTS)}")
    own = policy.stack.symbol(policy.name)
    watching = [alarm for alarm in alarms if own in [getattr(a, "bare", a) for a in alarm.items("AlarmActions")]]
    if len(watching) != 1:
        policy.refuse(f"{len(watching)} alarms act on it, where one should")
    alarm = watching[0]
    metric, period = alarm.get("MetricName"), alarm.whole("Period")
    if metric not in _METRICS or period not in (30, 60):
        alarm.refuse(f"it watches {metric} every {period} s, not CPU or memory every 30 or 60 s")
    above = str(alarm.get("ComparisonOperator")).startswith("Greater")
    bound = "MetricIntervalLowerBound" if above else "MetricIntervalUpperBound"
    steps = []
    for item in policy.items(way, "StepAdjustments"):
        distance = as_number(policy.scope.get(item, bound)) or 0
        adjustment = as_number(policy.scope.get(item, "ScalingAdjustment"))
        if adjustment is None:
            policy.refuse("a step has no adjustment that is known before a deployment")
        steps.append(StepAdjustment(distance=_plain(abs(distance)), adjustment=int(adjustment)))
    return StepScaling(
        name=policy.name.removesuffix("Steps"),
        metric="cpu" if _METRICS[metric] == "cpu" else "memory",
        when="above" if above else "below",
        threshold_percent=_plain(alarm.number("Threshold")),
        period_s=30 if period == 30 else 60,
        periods=alarm.whole("EvaluationPeriods"),
        cooldown_s=policy.whole(way, "Cooldown", default=300),
        adjustment_type=_ADJUSTMENTS[kind],
        min_adjustment_magnitude=policy.whole(way, "MinAdjustmentMagnitude", default=1),
        steps=tuple(sorted(steps, key=lambda step: step.distance)),
    )


def _plain(number: float) -> float:
    """60 for 60.0: equal, and the same in every text."""
    return int(number) if number == int(number) else number


def _node_cpu_target(policies: list[_Found]) -> float | None:
    way = "TargetTrackingConfiguration"
    for policy in policies:
        if policy.get(way, "PredefinedMetricSpecification", "PredefinedMetricType") == "ASGAverageCPUUtilization":
            return policy.number(way, "TargetValue")
    return None


def _size(task: _Found) -> tuple[int, int]:
    """CPU units and MiB that a task reserves: its own, or those of its containers."""
    cpu, memory = as_number(task.get("Cpu")) or 0, as_number(task.get("Memory")) or 0
    containers = task.items("ContainerDefinitions")

    def total(*names: str) -> float:
        return sum(next((n for name in names if (n := as_number(task.scope.get(c, name)))), 0) for c in containers)

    cpu, memory = cpu or total("Cpu"), memory or total("MemoryReservation", "Memory")
    if not cpu or not memory:
        task.refuse("it reserves no CPU or no memory, so how many fit on a node is unknown")
    return int(cpu), int(memory)


def _instance_type(group: _Found, launch_templates: list[_Found]) -> InstanceType:
    overrides = group.items("MixedInstancesPolicy", "LaunchTemplate", "Overrides")
    names = [group.scope.get(item, "InstanceType") for item in overrides]
    names += [item.get("LaunchTemplateData", "InstanceType") for item in launch_templates]
    known = [name for name in names if isinstance(name, str)]
    if not known:
        group.refuse("its instance type is not known before a deployment")
    try:
        return instance_type(known[0])
    except UnknownInstanceType as error:
        raise UsageError(f"{group.place}: {error}; {error.cure}") from None


def _disk(launch_templates: list[_Found]) -> int:
    for template in launch_templates:
        for device in template.items("LaunchTemplateData", "BlockDeviceMappings"):
            if size := as_number(template.scope.get(device, "Ebs", "VolumeSize")):
                return int(size)
    return 30


def _placement(service: _Found) -> Literal["spread", "binpack"]:
    """By the first strategy; without any, ECS spreads over zones."""
    strategies = service.items("PlacementStrategies")
    first = service.scope.get(strategies[0], "Type") if strategies else "spread"
    return "binpack" if first == "binpack" else "spread"


def _attribute(target_group: _Found | None, key: str, default: int) -> int:
    for item in target_group.items("TargetGroupAttributes") if target_group else []:
        if target_group and target_group.scope.get(item, "Key") == key:
            return int(as_number(target_group.scope.get(item, "Value")) or 0)
    return default


def _zones(subnets: list[_Found], group: _Found) -> int:
    # Which zones they are is known only once deployed; how many differ is not.
    places = {repr(subnet.properties.get("AvailabilityZone")) for subnet in subnets}
    given = group.get("VPCZoneIdentifier")
    return max(len(places), 1) if subnets else len(given) if isinstance(given, list) and given else 2


def _network(every: Any, group: _Found) -> HourlyCosts:
    zones = _zones(list(every("AWS::EC2::Subnet")), group)
    gateways = list(every("AWS::EC2::NatGateway"))
    # A regional gateway is billed in each zone it has expanded to.
    nat = sum(zones if gateway.get("AvailabilityMode") == "regional" else 1 for gateway in gateways)
    endpoints = [item for item in every("AWS::EC2::VPCEndpoint") if item.get("VpcEndpointType") == "Interface"]
    balancers = list(every("AWS::ElasticLoadBalancingV2::LoadBalancer"))
    public = sum(item.get("Scheme") != "internal" for item in balancers)
    ways_out = len(gateways) + len(endpoints)
    subnets = list(every("AWS::EC2::Subnet"))
    return HourlyCosts(
        nat_gateways=nat,
        endpoint_addresses=len(endpoints) * zones,
        public_addresses=public * zones + nat,
        public_nodes=not ways_out and any(item.get("MapPublicIpOnLaunch") in (True, "true") for item in subnets),
        load_balancers=len(balancers),
    )
