"""From rendered templates to a model. The templates decide, ours or anybody's of this shape; configs are not asked.

Values are followed through nested stacks by the resolver of the lint, with the defaults of the root's parameters. Of
several services one is simulated; what else is on its nodes takes its places at its fewest tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec

from scaleout_cfn.capacity import (
    Demand,
    InstanceType,
    UnknownInstanceType,
    count,
    instance_type,
    room_beside,
)
from scaleout_cfn.config.pulse import METRIC, NAMESPACE, LogPulse
from scaleout_cfn.config.scaling import NodeScaling, Scaling, Schedule, StepAdjustment, StepScaling, TargetTracking
from scaleout_cfn.errors import UsageError
from scaleout_cfn.fitting import demand_of, group_of, path_of, providers_of, targets_of
from scaleout_cfn.lint.rules.services import SERVICE, entries, tasks_of
from scaleout_cfn.simulator.model import Fargate, HourlyCosts, Model, NodePool, Size, Standing, StandingBy
from scaleout_cfn.stack import file_name
from scaleout_cfn.templates.reading import read_folder
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, Symbol, resource_of
from scaleout_cfn.templates.values import as_number

__all__ = ["model_of", "read"]

_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
_GROUP = "AWS::AutoScaling::AutoScalingGroup"
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
_METRICS: dict[Any, Literal["cpu", "memory", "pulse"]] = {
    "CPUUtilization": "cpu",
    "MemoryUtilization": "memory",
    METRIC: "pulse",
}
_PERIODS: dict[int, Literal[10, 30, 60]] = {10: 10, 30: 30, 60: 60}
_BOUGHT = ("MixedInstancesPolicy", "InstancesDistribution")
_ON_FARGATE = ("FARGATE", "FARGATE_SPOT")


def read(folder: Path, service: str = "") -> Model:
    """The model of a folder of templates. Raises UsageError when it lacks a part or has one that is not simulated."""
    try:
        templates = read_folder(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: {getattr(error, 'strerror', None) or error}; give a folder of templates") from None
    if not templates:
        raise UsageError(f"{folder}: no templates in it; give a folder of templates, or run render first")
    return model_of(templates, str(folder), service)


def model_of(templates: Mapping[str, Mapping[str, Any]], folder: str = "templates", service: str = "") -> Model:
    """The model of a service of templates by file name, in their long form; of the only one where none is named."""
    try:
        return _Reader(StackSet(templates)).model(service)
    except UsageError as error:
        raise UsageError(f"{folder}: {error}") from None


def _refuse(place: Place, what: str) -> NoReturn:
    raise UsageError(f"{place.stack.file}: {place.logical_id}: {what}; that cannot be simulated")


def _number(place: Place, *path: str, default: float | None = None) -> float:
    value = place.get(*path)
    if value is None and default is not None:
        return default
    number = as_number(value)
    if number is None:
        what = "missing" if value is None else "no number that is known before a deployment"
        _refuse(place, f"{'.'.join(path)} is {what}")
    return number


def _whole(place: Place, *path: str, default: int | None = None) -> int:
    return int(_number(place, *path, default=default))


def _name(service: Place) -> str:
    """What a service is called: `order-api` for ours, whose path is `OrderApiService/Service`; its path for others."""
    path = path_of(service)
    title, _, rest = path.rpartition("/")
    own = title.removesuffix("Service")
    return file_name(own) if rest == "Service" and own and own != title and "/" not in own else path


class _Reader:
    """A set of templates that one service is looked for in."""

    def __init__(self, stacks: StackSet) -> None:
        self.stacks = stacks
        self.targets = targets_of(stacks)

    def model(self, wanted: str) -> Model:
        service = self._service(wanted)
        tasks = tasks_of(service)
        if tasks is None:
            _refuse(service, "its task definition is not among the templates")
        target = self.targets.get(service.symbol)
        if target is None:
            _refuse(service, "no AWS::ApplicationAutoScaling::ScalableTarget of the set scales it")
        demand = demand_of(service, tasks, target)
        if not demand.cpu_units or not demand.memory_mib:
            _refuse(tasks, "it reserves no CPU or no memory, so how many fit on a node is unknown")
        providers = providers_of(self.stacks, service)
        pool: NodePool | Fargate
        notes: list[str] = []
        if service.get("LaunchType") == "FARGATE" or any(provider in _ON_FARGATE for provider in providers):
            pool, notes = self._fargate(service, tasks)
        else:
            pool, notes = self._nodes(service, tasks, demand, providers)
        groups = [entry.group.place for entry in entries(service) if entry.group]
        check = groups[0] if groups else None
        if check is None:
            notes.append(
                f"No load balancer sends requests to {_name(service)}: a request is what a task has to work on, and"
                " goes to any task that runs."
            )
        if any(policy.get("PolicyType") == "PredictiveScaling" for policy in self._policies(target)):
            notes.append("Its predictive scaling only forecasts, and changes nothing.")
        scaling, by_minute = self._scaling(service, target)
        return Model(
            scaling=scaling,
            by_minute=by_minute,
            pool=pool,
            task=_size(demand),
            placement=_placement(service),
            packed=any(strategy.get("Type") == "binpack" for strategy in service.each("PlacementStrategies")),
            health_check_interval_s=_whole(check, "HealthCheckIntervalSeconds", default=30) if check else None,
            deregistration_delay_s=_attribute(check, "deregistration_delay.timeout_seconds", 300) if check else 0,
            network=self._network(service, pool),
            service=_name(service),
            notes=tuple(notes),
        )

    def _service(self, wanted: str) -> Place:
        services = {_name(service): service for service in self.stacks.of_type(SERVICE)}
        names = ", ".join(sorted(services)) or "none"
        if wanted and wanted not in services:
            raise UsageError(f"no service {wanted}; there is {names}")
        if not services:
            raise UsageError(f"{SERVICE}: none; a simulation is of one service")
        if not wanted and len(services) > 1:
            raise UsageError(f"several services: {names}; say which one by --service NAME")
        return services[wanted or next(iter(services))]

    # What it runs on.

    def _fargate(self, service: Place, tasks: Place) -> tuple[Fargate, list[str]]:
        items = service.each("CapacityProviderStrategy")
        weights = {str(item.get("CapacityProvider")): item.number("Weight") or 0 for item in items}
        if any(item.get("CapacityProvider") not in _ON_FARGATE for item in items):
            _refuse(service, "its strategy mixes Fargate with other capacity providers, which ECS refuses")
        of_all = sum(weights.values())
        spot = round(100 * weights.get("FARGATE_SPOT", 0) / of_all) if of_all else 0
        bases = [item.number("Base") for item in items if item.get("CapacityProvider") == "FARGATE"]
        arm = tasks.get("RuntimePlatform", "CpuArchitecture") == "ARM64"
        pool = Fargate("arm64" if arm else "x86_64", spot, int(next(filter(None, bases), 0)))
        if not spot:
            return pool, []
        base = f" above the first {pool.on_demand_base}" if pool.on_demand_base else ""
        note = (
            f"{spot} % of the tasks{base} are on Fargate Spot. Its price changes and is in no price file, so that they"
            " count as On-Demand; and nobody can say when Spot is short, so that none is ever interrupted."
        )
        return pool, [note]

    def _nodes(
        self, service: Place, tasks: Place, demand: Demand, providers: Sequence[Any]
    ) -> tuple[NodePool, list[str]]:
        provider = self._provider(service, providers)
        named = group_of(providers)
        group = named.place if named else self._only_group(service)
        template = _launch_template(group)
        first = _instance_type(group, template)
        room, standing, notes = self._beside(service, first, group.symbol)
        if not room.holds(_size(demand)):
            _refuse(
                tasks,
                f"a task of {demand.cpu_units} CPU units and {demand.memory_mib} MiB does not fit on {first.name}",
            )
        pool = NodePool(
            min_nodes=_whole(group, "MinSize"),
            max_nodes=_whole(group, "MaxSize"),
            instance_type=first.name,
            cpu_units=first.vcpus * 1024,
            room=room,
            scaling=_node_scaling(provider) if provider else NodeScaling(),
            zones=self._zones(group.get("VPCZoneIdentifier")),
            disk_gib=_disk(template),
            standing=standing,
            cpu_target=None if provider else self._cpu_target(group),
            warm=(warm := self._warm_pool(group)),
            # Without a distribution all are On-Demand:
            # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
            spot_percent=100 - _whole(group, *_BOUGHT, "OnDemandPercentageAboveBaseCapacity", default=100),
            on_demand_base=_whole(group, *_BOUGHT, "OnDemandBaseCapacity", default=0),
            name=file_name(provider.logical_id.removesuffix("CapacityProvider")) if provider else group.logical_id,
        )
        if warm is not None:
            notes.append(
                f"A warm pool stands by, {warm.state}: the group grows by its nodes first. How long one takes to go in"
                " service is published nowhere, and its band is wide."
            )
        return pool, notes

    def _warm_pool(self, group: Place) -> StandingBy | None:
        """The warm pool of a group, in https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutWarmPool.html"""
        for warm in self.stacks.of_type("AWS::AutoScaling::WarmPool"):
            if warm.get("AutoScalingGroupName") != group.symbol:
                continue
            states: dict[Any, Literal["stopped", "running"]] = {"Stopped": "stopped", "Running": "running"}
            state = states.get(warm.get("PoolState") or "Stopped")
            if state is None:
                _refuse(warm, f"its nodes are {warm.get('PoolState')}")
            prepared = _whole(warm, "MaxGroupPreparedCapacity", default=-1)
            most = _whole(group, "MaxSize") if prepared < 0 else prepared
            return StandingBy(state, _whole(warm, "MinSize", default=0), most)
        return None

    def _provider(self, service: Place, providers: Sequence[Any]) -> Place | None:
        """The capacity provider that brings the nodes, where there is one."""
        symbols = [resource_of(provider, "AWS::ECS::CapacityProvider") for provider in providers]
        known = [symbol.place for symbol in symbols if symbol]
        if len(providers) > 1:
            _refuse(service, "it runs on several capacity providers")
        if known and known[0].get("ManagedInstancesProvider") is not None:
            _refuse(
                service,
                f"it runs on ECS Managed Instances ({known[0]}), whose types and end ECS chooses by rules that are not"
                " published (on a pool of kind ec2 or fargate it can be tried out)",
            )
        return known[0] if known else None

    def _only_group(self, service: Place) -> Place:
        groups = list(self.stacks.of_type(_GROUP))
        if len(groups) != 1:
            there = ", ".join(group.logical_id for group in groups) or "none"
            _refuse(service, f"it names no capacity provider of the set, and of {_GROUP} there is: {there}")
        return groups[0]

    def _beside(
        self, service: Place, type: InstanceType, group: Symbol
    ) -> tuple[Size, tuple[Standing, ...], list[str]]:
        """What a node has for tasks beside those that run on every node, the tasks of others at their fewest, and who
        these are."""
        daemons: list[Demand] = []
        standing: list[Standing] = []
        notes = []
        for other in self.stacks.of_type(SERVICE):
            shared = group_of(providers_of(self.stacks, other)) == group
            if not shared or other.symbol == service.symbol:
                continue
            tasks = tasks_of(other)
            if tasks is None:
                notes.append(
                    f"{_name(other)} runs on the same nodes, with tasks that are not known: they count as nothing."
                )
            elif other.get("SchedulingStrategy") == "DAEMON":
                daemons.append(demand_of(other, tasks, None))
            else:
                demand = demand_of(other, tasks, self.targets.get(other.symbol))
                standing.append(Standing(_name(other), demand.min_tasks, _size(demand)))
        standing.sort(key=lambda other: other.service)
        if standing:
            told = " and ".join(f"{count(other.tasks, 'task')} of {other.service}" for other in standing)
            notes.append(
                f"On the same nodes: {told}, the fewest that there may be; what their own traffic asks for is not"
                " simulated."
            )
        left = room_beside(type, daemons) or {}
        cpu, memory, interfaces, ports, gpus = (
            left.get(limit, 0) for limit in ("CPU", "memory", "network interfaces", "ports", "GPUs")
        )
        return Size(cpu, memory, interfaces, ports, gpus), tuple(standing), notes

    def _cpu_target(self, group: Place) -> float | None:
        way = "TargetTrackingConfiguration"
        for policy in self.stacks.of_type("AWS::AutoScaling::ScalingPolicy"):
            metric = policy.get(way, "PredefinedMetricSpecification", "PredefinedMetricType")
            if metric == "ASGAverageCPUUtilization" and policy.get("AutoScalingGroupName") == group.symbol:
                return _number(policy, way, "TargetValue")
        return None

    def _zones(self, given: Any) -> int:
        # Which zones they are is known only once deployed; how many differ is not.
        subnets = list(self.stacks.of_type("AWS::EC2::Subnet"))
        places = {repr(subnet.node.get("AvailabilityZone")) for subnet in subnets}
        return max(len(places), 1) if subnets else len(given) if isinstance(given, list) and given else 2

    def _network(self, service: Place, pool: NodePool | Fargate) -> HourlyCosts:
        addresses = service.inner("NetworkConfiguration", "AwsvpcConfiguration")
        zones = pool.zones if isinstance(pool, NodePool) else self._zones(addresses.get("Subnets"))
        gateways = list(self.stacks.of_type("AWS::EC2::NatGateway"))
        # A regional gateway is billed in each zone it has expanded to.
        nat = sum(zones if gateway.get("AvailabilityMode") == "regional" else 1 for gateway in gateways)
        endpoints = [
            item for item in self.stacks.of_type("AWS::EC2::VPCEndpoint") if item.get("VpcEndpointType") == "Interface"
        ]
        balancers = list(self.stacks.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer"))
        public = sum(item.get("Scheme") != "internal" for item in balancers)
        subnets = self.stacks.of_type("AWS::EC2::Subnet")
        if isinstance(pool, NodePool):
            given = any(item.get("MapPublicIpOnLaunch") in (True, "true") for item in subnets)
            open_to_all = given and not gateways and not endpoints
        else:
            open_to_all = addresses.get("AssignPublicIp") == "ENABLED"
        return HourlyCosts(
            nat_gateways=nat,
            endpoint_addresses=len(endpoints) * zones,
            public_addresses=public * zones + nat,
            public_nodes=open_to_all,
            load_balancers=len(balancers),
        )

    # What moves its tasks.

    def _scaling(self, service: Place, target: Place) -> tuple[Scaling, tuple[str, ...]]:
        """What moves the tasks, and which metrics of 20 s are tracked by the minute."""
        tracking: dict[str, TargetTracking] = {}
        plain_ones = []
        steps, fast, pulse = [], False, None
        for policy in self._policies(target):
            if policy.get("PolicyType") == "TargetTrackingScaling":
                way = "TargetTrackingScalingPolicyConfiguration"
                metric = policy.get(way, "PredefinedMetricSpecification", "PredefinedMetricType")
                own = policy.inner(way, "CustomizedMetricSpecification")
                if (own.get("Namespace"), own.get("MetricName")) == (NAMESPACE, METRIC):
                    pulse = LogPulse(
                        target_rps=_plain(_number(policy, way, "TargetValue")),
                        scale_out_cooldown_s=_whole(policy, way, "ScaleOutCooldown", default=300),
                        scale_in_cooldown_s=_whole(policy, way, "ScaleInCooldown", default=300),
                    )
                    continue
                plain = metric.removesuffix("HighResolution") if isinstance(metric, str) else metric
                if plain not in _TRACKED:
                    _refuse(policy, f"it tracks {metric or 'a metric of its own'}, not one of {', '.join(_TRACKED)}")
                fast = fast or plain != metric
                if plain == metric and plain != "ALBRequestCountPerTarget":
                    plain_ones.append(_TRACKED[plain])
                tracking[_TRACKED[plain]] = TargetTracking(
                    enabled=True,
                    target=_plain(_number(policy, way, "TargetValue")),
                    scale_out_cooldown_s=_whole(policy, way, "ScaleOutCooldown", default=300),
                    scale_in_cooldown_s=_whole(policy, way, "ScaleInCooldown", default=300),
                    scale_in=policy.get(way, "DisableScaleIn") not in (True, "true"),
                )
            elif policy.get("PolicyType") == "StepScaling":
                steps.append(self._step(policy))
            elif policy.get("PolicyType") == "PredictiveScaling":
                if policy.get("PredictiveScalingPolicyConfiguration", "Mode") == "ForecastAndScale":
                    _refuse(policy, "it adds tasks by a forecast of AWS's, whose model is not published")
            else:
                _refuse(policy, f"it is of type {policy.get('PolicyType')}")
        monitoring = service.each("Monitoring", "MetricConfigurations")
        fast = fast or any(item.number("ResolutionSeconds") == 20 for item in monitoring)
        # A policy that is not there keeps the numbers that a config has for it, unused.
        unused = Scaling()
        scaling = Scaling(
            min_tasks=_whole(target, "MinCapacity"),
            max_tasks=_whole(target, "MaxCapacity"),
            high_resolution=fast,
            cpu=tracking.get("cpu", _off(unused.cpu)),
            memory=tracking.get("memory", _off(unused.memory)),
            requests=tracking.get("requests", _off(unused.requests)),
            pulse=pulse,
            step_policies=tuple(steps),
            schedules=tuple(_schedule(action) for action in target.each("ScheduledActions")),
        )
        return scaling, tuple(plain_ones) if fast else ()

    def _policies(self, target: Place) -> list[Place]:
        """The policies that name a target, or what it scales."""
        return [
            policy
            for policy in self.stacks.of_type(_POLICY)
            if policy.get("ScalingTargetId") == target.symbol
            or (policy.get("ResourceId") is not None and policy.get("ResourceId") == target.get("ResourceId"))
        ]

    def _step(self, policy: Place) -> StepScaling:
        way = "StepScalingPolicyConfiguration"
        kind = policy.get(way, "AdjustmentType")
        if kind not in _ADJUSTMENTS:
            _refuse(policy, f"its adjustments are {kind}, not one of {', '.join(_ADJUSTMENTS)}")
        watching = [
            alarm
            for alarm in self.stacks.of_type("AWS::CloudWatch::Alarm")
            if policy.symbol in [getattr(action, "bare", action) for action in alarm.items("AlarmActions") or []]
        ]
        if len(watching) != 1:
            _refuse(policy, f"{len(watching)} alarms act on it, where one should")
        alarm = watching[0]
        name, period = alarm.get("MetricName"), _whole(alarm, "Period")
        metric, periods = _METRICS.get(name), _PERIODS.get(period)
        if metric is None or periods is None or (period == 10 and metric != "pulse"):
            _refuse(alarm, f"it watches {name} every {period} s, not CPU or memory every 30 or 60 s")
        above = str(alarm.get("ComparisonOperator")).startswith("Greater")
        bound = "MetricIntervalLowerBound" if above else "MetricIntervalUpperBound"
        steps = []
        for item in policy.each(way, "StepAdjustments"):
            adjustment = item.number("ScalingAdjustment")
            if adjustment is None:
                _refuse(policy, "a step has no adjustment that is known before a deployment")
            steps.append(StepAdjustment(distance=_plain(abs(item.number(bound) or 0)), adjustment=int(adjustment)))
        return StepScaling(
            name=policy.logical_id.removesuffix("Steps"),
            metric=metric,
            when="above" if above else "below",
            threshold=_plain(_number(alarm, "Threshold")),
            period_s=periods,
            periods=_whole(alarm, "EvaluationPeriods"),
            cooldown_s=_whole(policy, way, "Cooldown", default=300),
            adjustment_type=_ADJUSTMENTS[kind],
            min_adjustment_magnitude=_whole(policy, way, "MinAdjustmentMagnitude", default=1),
            steps=tuple(sorted(steps, key=lambda step: step.distance)),
        )


def _off(policy: TargetTracking) -> TargetTracking:
    return msgspec.structs.replace(policy, enabled=False)


def _schedule(action: Place) -> Schedule:
    return Schedule(
        name=str(action.get("ScheduledActionName")),
        at=str(action.get("Schedule")),
        timezone=str(action.get("Timezone") or "UTC"),
        min_tasks=_whole(action, "ScalableTargetAction", "MinCapacity"),
        max_tasks=_whole(action, "ScalableTargetAction", "MaxCapacity"),
    )


def _node_scaling(provider: Place) -> NodeScaling:
    way = ("AutoScalingGroupProvider", "ManagedScaling")
    if provider.get(*way, "Status") not in ("ENABLED", None):
        _refuse(provider, "managed scaling is off, so that nothing moves the nodes")
    # Defaults: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ManagedScaling.html
    return NodeScaling(
        target_capacity_percent=_whole(provider, *way, "TargetCapacity", default=100),
        min_step=_whole(provider, *way, "MinimumScalingStepSize", default=1),
        max_step=_whole(provider, *way, "MaximumScalingStepSize", default=10000),
        warmup_s=_whole(provider, *way, "InstanceWarmupPeriod", default=300),
    )


def _plain(number: float) -> float:
    """60 for 60.0: equal, and the same in every text."""
    return int(number) if number == int(number) else number


def _launch_template(group: Place) -> Place | None:
    mixed = group.inner("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification")
    named = mixed if mixed.node else group.inner("LaunchTemplate")
    template = resource_of(named.get("LaunchTemplateId"), "AWS::EC2::LaunchTemplate")
    return template.place if template else None


def _instance_type(group: Place, template: Place | None) -> InstanceType:
    overrides = group.each("MixedInstancesPolicy", "LaunchTemplate", "Overrides")
    names = [override.get("InstanceType") for override in overrides]
    names += [template.get("LaunchTemplateData", "InstanceType")] if template else []
    known = [name for name in names if isinstance(name, str)]
    if not known:
        _refuse(group, "its instance type is not known before a deployment")
    try:
        return instance_type(known[0])
    except UnknownInstanceType as error:
        raise UsageError(f"{group.stack.file}: {group}: {error}; {error.cure}") from None


def _size(demand: Demand) -> Size:
    """Under awsvpc a task takes a network interface, else a port of the bridge: `capacity.limits`."""
    bridge = demand.network_mode != "awsvpc"
    size = Size(demand.cpu_units, demand.memory_mib, gpus=demand.gpus)
    if bridge:
        return dataclasses.replace(size, ports=1, apart=demand.host_port_static)
    return dataclasses.replace(size, interfaces=1)


def _disk(template: Place | None) -> int:
    devices = template.each("LaunchTemplateData", "BlockDeviceMappings") if template else ()
    return int(next(filter(None, (device.number("Ebs", "VolumeSize") for device in devices)), 30))


def _placement(service: Place) -> Literal["spread", "binpack"]:
    """By the first strategy; without any, ECS spreads over zones."""
    strategies = service.each("PlacementStrategies")
    return "binpack" if strategies and strategies[0].get("Type") == "binpack" else "spread"


def _attribute(group: Place, key: str, default: int) -> int:
    for item in group.each("TargetGroupAttributes"):
        if item.get("Key") == key:
            return int(item.number("Value") or 0)
    return default
