"""From templates to a model. The templates decide, ours or anybody's of this shape; configs are not asked.

They are read as they are deployed (`templates/together.py`): with values that are given for the roots' parameters, or
else their defaults. Of several services one is simulated; what else is on its nodes takes its places at its fewest
tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import ceil, inf
from pathlib import Path
from typing import Any, Literal

from scaleout_cfn.capacity import (
    Demand,
    InstanceType,
    UnknownInstanceType,
    instance_type,
)
from scaleout_cfn.config.scaling import NodeScaling, Scaling
from scaleout_cfn.errors import UsageError
from scaleout_cfn.fitting import demand_of, group_of, path_of, providers_of, strategy_of, targets_of
from scaleout_cfn.lint.rules.services import SERVICE, TASKS, entries, tasks_of
from scaleout_cfn.simulator.model import (
    Fargate,
    HourlyCosts,
    Model,
    NodePool,
    NodeRoll,
    Placement,
    Rollout,
    Size,
    Standing,
    StandingBy,
)
from scaleout_cfn.simulator.placement import room_of
from scaleout_cfn.simulator.policies import backlog_of, fixed_at, number, refuse, scaling_of, way_to_set, whole
from scaleout_cfn.stack import file_name
from scaleout_cfn.templates.reading import Reader, Source
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, Symbol, resource_of
from scaleout_cfn.templates.together import deployed

_GROUP = "AWS::AutoScaling::AutoScalingGroup"
_BOUGHT = ("MixedInstancesPolicy", "InstancesDistribution")
_ON_FARGATE = ("FARGATE", "FARGATE_SPOT")
_ON_NODES = "in a copy of the templates, leave that out, and give a group of as many nodes of a like instance type"


def read(path: Path, service: str = "", given: Mapping[str, str] | None = None) -> Model:
    """The model of a service in a file or a folder of templates, with values `given` by name for what they ask for.

    Where no service is in the folder itself, those below it are looked through. Raises UsageError when it lacks a part
    or has one that is not simulated.
    """
    sources, published = _sources(path)
    if path.is_dir() and not any(_has_service(source) for source in sources):
        sources, published = _sources(path, deep=True)
    if not sources:
        raise UsageError(f"{path}: no templates in it; give a file or a folder of templates, or run render first")
    broken = [source.problems[0] for source in sources if source.problems]
    readable = {source.name: source.body for source in sources if not source.problems}
    if broken and not any(_has_service(source) for source in sources):
        first = broken[0]
        raise UsageError(f"{path}: {first.file}:{first.line}: {first.message} {first.cure}; give a folder of templates")
    notes = tuple(f"{problem.file} is left out, for it cannot be read: {problem.message}" for problem in broken)
    return model_of(readable, str(path), service, given=given, published=published, notes=notes)


def model_of(
    templates: Mapping[str, Mapping[str, Any]],
    folder: str = "templates",
    service: str = "",
    *,
    given: Mapping[str, str] | None = None,
    published: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> Model:
    """The model of a service of templates by file name, in their long form; of the only one where none is named."""
    try:
        return _Reader(deployed(templates, given, published), notes).model(service)
    except UsageError as error:
        # What is left out may be what is missed. A file's name is said once.
        text, name = str(error), Path(folder).name
        whole_path = f"{folder.removesuffix(name)}{text}" if text.startswith(f"{name}: ") else f"{folder}: {text}"
        raise UsageError("; ".join([whole_path, *notes])) from None


def _sources(path: Path, *, deep: bool = False) -> tuple[list[Source], Mapping[str, str]]:
    try:
        reader = Reader(path if path.is_dir() else path.parent)
        if path.is_file():
            reader.file(path)
        else:
            reader.folder(path, deep=deep)
        return list(reader.sources()), reader.published
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file or a folder of templates") from None


def _has_service(source: Source) -> bool:
    resources = source.body.get("Resources")
    entries = resources.values() if isinstance(resources, Mapping) else ()
    return any(isinstance(entry, Mapping) and entry.get("Type") == SERVICE for entry in entries)


def _name(service: Place) -> str:
    """What a service is called: `order-api` for ours, whose path is `OrderApiService/Service`; its path for others."""
    path = path_of(service)
    title, _, rest = path.rpartition("/")
    own = title.removesuffix("Service")
    return file_name(own) if rest == "Service" and own and own != title and "/" not in own else path


def _named(services: list[Place]) -> dict[str, Place]:
    """Services by name; those that share one, as one in YAML does with its copy in JSON, by their files, too."""
    names = [_name(service) for service in services]
    return {
        f"{service.stack.root.file}/{name}" if names.count(name) > 1 else name: service
        for name, service in zip(names, services, strict=True)
    }


def _rollout(service: Place) -> Rollout:
    """How a new version takes over. CodeDeploy moves all requests at once, where its own settings are not known.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
    """
    made = service.inner("DeploymentConfiguration")
    bake_s = round(60 * (made.number("BakeTimeInMinutes") or 0))
    steps: list[tuple[float, int]] = []
    match made.get("Strategy"):
        case "CANARY":
            canary = made.inner("CanaryConfiguration")
            minutes = canary.number("CanaryBakeTimeInMinutes")
            steps = [((canary.number("CanaryPercent") or 5) / 100, round(60 * (10 if minutes is None else minutes)))]
        case "LINEAR":
            linear = made.inner("LinearConfiguration")
            percent, minutes = linear.number("StepPercent") or 10, linear.number("StepBakeTimeInMinutes")
            stays_s = round(60 * (6 if minutes is None else minutes))
            steps = [(percent * step / 100, stays_s) for step in range(1, ceil(100 / percent))]
        case "BLUE_GREEN":
            pass
        case _ if service.get("DeploymentController", "Type") != "CODE_DEPLOY":
            breaker = made.inner("DeploymentCircuitBreaker")
            least, most = made.number("MinimumHealthyPercent"), made.number("MaximumPercent")
            return Rollout(100 if least is None else least, 200 if most is None else most, (), _breaker(breaker))
    return Rollout(steps=(*steps, (1.0, bake_s)), breaker=_breaker(made.inner("DeploymentCircuitBreaker")))


def _breaker(breaker: Place) -> tuple[str, float] | None:
    if breaker.get("Enable") not in (True, "true"):
        return None
    limit = breaker.inner("ThresholdConfiguration")
    return str(limit.get("Type") or "BOUNDED_PERCENT"), limit.number("Value") or 50


def _roll(group: Place) -> NodeRoll:
    """How CloudFormation gives a group new nodes; an instance refresh where it leaves that to others.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html
    """
    said = group.scope.value(group.stack.resource(group.logical_id).get("UpdatePolicy"))
    policy = Place(group.logical_id, f"Resources.{group.logical_id}.UpdatePolicy", said, group.scope)
    rolling = policy.inner("AutoScalingRollingUpdate")
    if not isinstance(rolling.node, Mapping):
        return NodeRoll()
    batch, least = rolling.number("MaxBatchSize"), rolling.number("MinInstancesInService")
    # What a capacity provider asks for comes by alarms of the group's, as what follows its CPU does.
    return NodeRoll(int(batch or 1), int(least or 0), "AlarmNotification" in (rolling.items("SuspendProcesses") or ()))


class _Reader:
    """A set of templates that one service is looked for in."""

    def __init__(self, stacks: StackSet, notes: tuple[str, ...] = ()) -> None:
        self.stacks = stacks
        self.targets = targets_of(stacks)
        self.notes = [*notes]
        self.services = _named(list(stacks.of_type(SERVICE)))

    def model(self, wanted: str) -> Model:
        name, service = self._service(wanted)
        tasks = tasks_of(service)
        if tasks is None:
            tasks = self._only_tasks(service)
        target = self.targets.get(service.symbol) or self._only_target()
        demand = demand_of(service, tasks, target)
        if not demand.memory_mib:
            what = "it reserves no memory that is known, so how many fit on a node is unknown"
            refuse(tasks, what, way_to_set(tasks, "Memory"))
        pool: NodePool | Fargate
        providers = providers_of(self.stacks, service)
        if self._is_on_fargate(service, tasks, providers):
            pool = self._fargate(service, tasks)
        else:
            pool = self._nodes(service, tasks, demand, providers)
        scaling, by_minute, notes = (
            scaling_of(self.stacks, service, target) if target else (self._fixed(service), (), [])
        )
        if scaling.cpu.enabled and not demand.cpu_units:
            what = "it reserves no CPU that is known, by which its tasks are scaled"
            refuse(tasks, what, way_to_set(tasks, "Cpu"))
        self.notes += notes
        interval, delay, slow_start = self._health_checks(service, name)
        return Model(
            scaling=scaling,
            by_minute=by_minute,
            # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html: a container's is
            # shares, the task's a limit.
            cpu_is="share" if isinstance(pool, NodePool) and tasks.number("Cpu") is None else "quota",
            backlog=backlog_of(self.stacks, target) if target else None,
            pool=pool,
            task=_size(demand),
            placement="spread" if isinstance(pool, NodePool) and pool.managed else _placement(service),
            health_check_interval_s=interval,
            deregistration_delay_s=delay,
            slow_start_s=slow_start,
            network=self._network(service, pool),
            rollout=_rollout(service),
            service=name,
            notes=tuple(self.notes),
        )

    def _service(self, wanted: str) -> tuple[str, Place]:
        """The service that is asked for, by its name, its logical id or what it is called in ECS; or the only one."""
        names = ", ".join(sorted(self.services)) or "none"
        if not self.services:
            raise UsageError(f"{SERVICE}: none; a simulation is of one service: give the template that has it")
        if wanted:
            several = {
                name: service
                for name, service in self.services.items()
                if wanted in (name, service.logical_id, service.get("ServiceName"))
            }
            if wanted in several:
                return wanted, several[wanted]
        else:
            by_count = {name: it for name, it in self.services.items() if it.get("SchedulingStrategy") != "DAEMON"}
            several = by_count or self.services
        if not several:
            raise UsageError(f"no service {wanted}; there is {names}")
        if len(several) > 1:
            what = f"several services {wanted}" if wanted else "several services"
            raise UsageError(f"{what}: {', '.join(sorted(several))}; say which one by --service NAME")
        return next(iter(several.items()))

    def _only_tasks(self, service: Place) -> Place:
        """The only task definition of the set, for a service whose own is given to it by other ways."""
        several = list(self.stacks.of_type(TASKS))
        if len(several) != 1:
            what = "its task definition is not among the templates"
            refuse(service, what, "give a folder in which it is, too")
        self.notes.append(f"{several[0].logical_id} is taken for its task definition, the only one there is.")
        return several[0]

    def _only_target(self) -> Place | None:
        """The scalable target of a set with one service, where it does not show whose it is."""
        targets = [
            target
            for target in self.stacks.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
            if target.get("ServiceNamespace") == "ecs" and target not in self.targets.values()
        ]
        if len(targets) != 1 or len(self.services) != 1:
            return None
        self.notes.append(f"{targets[0].logical_id} is taken to scale it: the only one, and it names no other service.")
        return targets[0]

    def _fixed(self, service: Place) -> Scaling:
        tasks = whole(service, "DesiredCount", default=1)
        if tasks < 1:
            ways = way_to_set(service, "DesiredCount")
            refuse(service, "nothing scales it and its DesiredCount is 0, so that nothing answers", ways)
        return fixed_at(tasks)

    def _health_checks(self, service: Place, name: str) -> tuple[int | None, int, int]:
        """The interval of its target groups' checks, the delay of their deregistration and the length of their slow
        start: the longest of several."""
        groups = [entry.group.place for entry in entries(service) if entry.group]
        if service.items("LoadBalancers") == []:
            self.notes.append(
                f"No load balancer sends requests to {name}: a request is what a task has to work on, and goes to any"
                " task that runs."
            )
            return None, 0, 0
        if not groups:
            self.notes.append("Its target group is not among the templates: the defaults, a check every 30 s, count.")
            return 30, 300, 0
        if len(groups) > 1:
            told = ", ".join(group.logical_id for group in groups)
            self.notes.append(f"It is in {len(groups)} target groups ({told}): the slowest of their settings count.")
        return (
            max(whole(group, "HealthCheckIntervalSeconds", default=30) for group in groups),
            max(_attribute(group, "deregistration_delay.timeout_seconds", 300) for group in groups),
            max(_attribute(group, "slow_start.duration_seconds", 0) for group in groups),
        )

    def _is_on_fargate(self, service: Place, tasks: Place, providers: Sequence[Any]) -> bool:
        launch = service.get("LaunchType")
        if launch == "EXTERNAL":
            refuse(service, "it runs on machines of one's own (LaunchType EXTERNAL), which nothing scales", _ON_NODES)
        if launch == "FARGATE" or any(provider in _ON_FARGATE for provider in providers):
            return True
        if launch is not None or providers:
            return False
        # Its cluster decides, which is elsewhere, or has no strategy of its own: then it is EC2.
        return tasks.items("RequiresCompatibilities") == ["FARGATE"]

    # What it runs on.

    def _fargate(self, service: Place, tasks: Place) -> Fargate:
        items = () if service.get("LaunchType") else strategy_of(self.stacks, service)
        weights = {str(item.get("CapacityProvider")): item.number("Weight") or 0 for item in items}
        if any(item.get("CapacityProvider") not in _ON_FARGATE for item in items):
            what = "its strategy mixes Fargate with other capacity providers, which ECS refuses"
            refuse(service, what, "name those of one kind")
        of_all = sum(weights.values())
        spot = round(100 * weights.get("FARGATE_SPOT", 0) / of_all) if of_all else 0
        bases = [item.number("Base") for item in items if item.get("CapacityProvider") == "FARGATE"]
        arm = tasks.get("RuntimePlatform", "CpuArchitecture") == "ARM64"
        pool = Fargate("arm64" if arm else "x86_64", spot, int(next(filter(None, bases), 0)))
        if not spot:
            return pool
        base = f" above the first {pool.on_demand_base}" if pool.on_demand_base else ""
        self.notes.append(
            f"{spot} % of the tasks{base} are on Fargate Spot. Its price moves and is taken as a share of On-Demand,"
            " within a band; one in twenty is interrupted in a month, one in a hundred to one in four over the bands."
        )
        return pool

    def _nodes(self, service: Place, tasks: Place, demand: Demand, providers: Sequence[Any]) -> NodePool:
        shares = strategy_of(self.stacks, service)
        if len(providers) > 1 and len(shares) == len(providers):
            every = [self._nodes_of(service, tasks, demand, [provider]) for provider in providers]
            return self._as_one(service, demand, every, shares)
        return self._nodes_of(service, tasks, demand, providers)

    def _as_one(self, service: Place, demand: Demand, pools: list[NodePool], shares: Sequence[Place]) -> NodePool:
        """The pools of several providers as one that buys as all of them do: tasks above the base by weight. Taken for
        a node is the smallest of theirs.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html
        """
        smallest = min(pools, key=lambda pool: pool.room.holds(_size(demand)))
        if any(bool(pool.managed) != bool(smallest.managed) for pool in pools):
            what = "its strategy mixes Managed Instances with groups of EC2 instances"
            refuse(service, what, "name the providers of one kind in a copy of the templates")
        weights = [share.number("Weight") or 0 for share in shares]
        spot = sum(weight * pool.spot_percent for weight, pool in zip(weights, pools, strict=True))
        first = sum(
            pool.on_demand_base + (ceil((share.number("Base") or 0) / pool.room.holds(_size(demand)))
                                   if pool.spot_percent < 100 else 0)
            for share, pool in zip(shares, pools, strict=True)
        )  # fmt: skip
        told = " and ".join(
            f"{weight:g} of {sum(weights):g} on {pool.name}" for weight, pool in zip(weights, pools, strict=True)
        )
        self.notes.append(
            f"Its tasks are on several pools, above the base {told}: they are taken as one of"
            f" {smallest.instance_type} with the bounds of all together, so that what waits for one pool finds room in"
            " another."
        )
        return dataclasses.replace(
            smallest,
            min_nodes=sum(pool.min_nodes for pool in pools),
            max_nodes=sum(pool.max_nodes for pool in pools),
            standing=tuple(dict.fromkeys(other for pool in pools for other in pool.standing)),
            spot_percent=round(spot / sum(weights)) if sum(weights) else smallest.spot_percent,
            on_demand_base=first,
        )

    def _nodes_of(self, service: Place, tasks: Place, demand: Demand, providers: Sequence[Any]) -> NodePool:
        """The nodes of one provider, or of the only group that there is."""
        provider = self._provider(service, providers)
        if provider and provider.get("ManagedInstancesProvider") is not None:
            return self._managed(service, tasks, demand, provider)
        named = group_of(providers)
        group = named.place if named else self._only_group(service)
        template = _launch_template(group)
        first = self._instance_type(group, template)
        daemons, standing, notes = self._beside(service, group.symbol)
        room = room_of(first, daemons)
        if not room.holds(_size(demand)):
            what = f"a task of {demand.cpu_units} CPU units and {demand.memory_mib} MiB does not fit on {first.name}"
            refuse(tasks, what, "give it less, or its nodes a larger instance type")
        self.notes += notes
        cpu_target = None if provider else self._cpu_target(group)
        moved = _is_managed(provider) if provider else cpu_target is not None
        weight = self._weight(group, provider)
        least, most = (ceil(whole(group, name) / weight) for name in ("MinSize", "MaxSize"))
        if not moved:
            least = most = self._fixed_nodes(group, least, weight)
        elif provider and (policies := self._policies_of(group)):
            self.notes.append(f"{', '.join(policies)} move the group beside its capacity provider, which is left out.")
        is_spot = template and template.get("LaunchTemplateData", "InstanceMarketOptions", "MarketType") == "spot"
        pool = NodePool(
            min_nodes=least,
            max_nodes=most,
            instance_type=first.name,
            cpu_units=first.vcpus * 1024,
            room=room,
            scaling=_node_scaling(provider) if provider and moved else NodeScaling(),
            zones=self._zones(group.get("VPCZoneIdentifier")),
            disk_gib=_disk(template),
            standing=standing,
            cpu_target=cpu_target,
            warm=(warm := self._warm_pool(group)),
            roll=_roll(group),
            # Without a distribution all are On-Demand:
            # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
            spot_percent=100
            - whole(group, *_BOUGHT, "OnDemandPercentageAboveBaseCapacity", default=0 if is_spot else 100),
            on_demand_base=whole(group, *_BOUGHT, "OnDemandBaseCapacity", default=0),
            name=file_name(provider.logical_id.removesuffix("CapacityProvider")) if provider else group.logical_id,
        )
        if warm is not None:
            self.notes.append(
                f"A warm pool stands by, {warm.state}: the group grows by its nodes first. How long one takes to go in"
                " service is published nowhere, and its band is wide."
            )
        return pool

    def _weight(self, group: Place, provider: Place | None) -> float:
        """What a node counts of its group's size: the least weight of its types, which no capacity provider takes.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html and
        https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups-instance-weighting.html
        """
        overrides = group.each("MixedInstancesPolicy", "LaunchTemplate", "Overrides")
        weights = [weight for override in overrides if (weight := override.number("WeightedCapacity"))]
        if weights and provider:
            what = "its instance types have weights, which ECS's capacity providers do not take"
            refuse(group, what, "take WeightedCapacity out of a copy of the templates")
        return min(weights, default=1)

    def _instance_type(self, group: Place, template: Place | None) -> InstanceType:
        """The type of its nodes: of several the first where those are taken in order, else the smallest, which holds no
        more than any other.

        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html
        """
        overrides = group.each("MixedInstancesPolicy", "LaunchTemplate", "Overrides")
        names = [override.get("InstanceType") for override in overrides]
        names += [template.get("LaunchTemplateData", "InstanceType")] if template and not names else []
        configuration = resource_of(group.get("LaunchConfigurationName"), "AWS::AutoScaling::LaunchConfiguration")
        names += [configuration.place.get("InstanceType")] if configuration else []
        known = [name for name in names if isinstance(name, str)]
        if not known:
            where, path = (template, ("LaunchTemplateData", "InstanceType")) if template else (group, ("InstanceType",))
            where, path = (configuration.place, ("InstanceType",)) if configuration else (where, path)
            refuse(group, "its instance type is not known before a deployment", way_to_set(where, *path))
        try:
            types = [instance_type(name) for name in known]
        except UnknownInstanceType as error:
            raise UsageError(f"{group.stack.file}: {group}: {error}; {error.cure}") from None
        in_order = group.get(*_BOUGHT, "OnDemandAllocationStrategy") == "prioritized"
        spot = whole(group, *_BOUGHT, "OnDemandPercentageAboveBaseCapacity", default=100) < 100
        if len(types) == 1 or (in_order and not spot):
            return types[0]
        smallest = min(types, key=lambda type: (type.vcpus, type.memory_mib))
        if any(type != smallest for type in types):
            told = ", ".join(type.name for type in types)
            self.notes.append(
                f"Its nodes are of {told}, whichever Auto Scaling finds: all count as {smallest.name}, the smallest."
            )
        return smallest

    def _fixed_nodes(self, group: Place, least: int, weight: float) -> int:
        """How many nodes there are where nothing that is simulated moves them. Raises UsageError where something else
        does."""
        if policies := self._policies_of(group):
            what = f"its nodes are moved by {', '.join(policies)}, which follow other metrics than its average CPU"
            refuse(
                group, what, "take the policies out of a copy of the templates, and its nodes count as a fixed number"
            )
        desired = group.number("DesiredCapacity")
        nodes = least if desired is None else ceil(desired / weight)
        self.notes.append(f"Nothing moves its nodes: there are {nodes} of them whatever comes ({group.logical_id}).")
        return nodes

    def _policies_of(self, group: Place) -> list[str]:
        return [
            policy.logical_id
            for policy in self.stacks.of_type("AWS::AutoScaling::ScalingPolicy")
            if policy.get("AutoScalingGroupName") == group.symbol
        ]

    def _warm_pool(self, group: Place) -> StandingBy | None:
        """The warm pool of a group, in https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutWarmPool.html"""
        for warm in self.stacks.of_type("AWS::AutoScaling::WarmPool"):
            if warm.get("AutoScalingGroupName") != group.symbol:
                continue
            states: dict[Any, Literal["stopped", "running"]] = {"Stopped": "stopped", "Running": "running"}
            state = states.get(warm.get("PoolState") or "Stopped")
            if state is None:
                refuse(warm, f"its nodes are {warm.get('PoolState')}", "Stopped and Running can be")
            prepared = whole(warm, "MaxGroupPreparedCapacity", default=-1)
            most = whole(group, "MaxSize") if prepared < 0 else prepared
            return StandingBy(state, whole(warm, "MinSize", default=0), most)
        return None

    def _provider(self, service: Place, providers: Sequence[Any]) -> Place | None:
        """The capacity provider that brings the nodes, where there is one."""
        symbols = [resource_of(provider, "AWS::ECS::CapacityProvider") for provider in providers]
        known = [symbol.place for symbol in symbols if symbol]
        if len(providers) > 1:
            told = ", ".join(str(getattr(provider, "name", provider)) for provider in providers)
            refuse(service, f"it runs on several capacity providers ({told})", "name the one that most tasks are on")
        return known[0] if known else None

    def _managed(self, service: Place, tasks: Place, demand: Demand, provider: Place) -> NodePool:
        """ECS Managed Instances, whose types are those of the provider's requirements.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_InstanceRequirementsRequest.html
        """
        # Later than the rest of the module, which templates without such capacity need no prices for.
        from scaleout_cfn.simulator.prices import ELSEWHERE, prices_of
        from scaleout_cfn.simulator.shapes import MANAGED_NOTE, is_general, managed_kinds, managed_pool

        made = provider.inner("ManagedInstancesProvider")
        launched = made.inner("InstanceLaunchTemplate")
        asked = launched.inner("InstanceRequirements")
        allowed, excluded, makers = (
            [str(each) for each in asked.items(name) or []]
            for name in ("AllowedInstanceTypes", "ExcludedInstanceTypes", "CpuManufacturers")
        )

        def within(type: InstanceType) -> bool:
            if any(fnmatchcase(type.name, pattern) for pattern in excluded) or bool(type.gpus) != bool(demand.gpus):
                return False
            if not allowed and not type.gpus and not is_general(type):
                return False
            if allowed and not any(fnmatchcase(type.name, pattern) for pattern in allowed):
                return False
            return all(
                (asked.number(name, "Min") or 0) <= has <= (asked.number(name, "Max") or inf)
                for name, has in (("VCpuCount", type.vcpus), ("MemoryMiB", type.memory_mib))
            )

        arm = tasks.get("RuntimePlatform", "CpuArchitecture") == "ARM64" or makers == ["amazon-web-services"]
        daemons, standing, notes = self._beside(service, provider.symbol)
        size = _size(demand)
        most = max(2, demand.max_tasks)
        kinds = managed_kinds(size, prices_of(ELSEWHERE), "arm64" if arm else "x86_64", most, within, daemons)
        if not kinds:
            what = f"no instance type of {provider.logical_id}'s requirements that has a price holds a task of"
            refuse(provider, f"{what} {demand.cpu_units} CPU units and {demand.memory_mib} MiB",
                   "widen InstanceRequirements, or give the task less")  # fmt: skip
        self.notes += [*notes, MANAGED_NOTE]
        idle = made.number("InfrastructureOptimization", "ScaleInAfter")
        return managed_pool(
            kinds, size, demand.min_tasks, self._zones(launched.get("NetworkConfiguration", "Subnets")),
            scale_in_after_s=None if idle is None else int(idle),
            standing=standing,
            disk_gib=int(launched.number("StorageConfiguration", "StorageSizeGiB") or 80),
            spot_percent=100 if launched.get("CapacityOptionType") == "SPOT" else 0,
            name=file_name(provider.logical_id.removesuffix("CapacityProvider")),
        )  # fmt: skip

    def _only_group(self, service: Place) -> Place:
        groups = list(self.stacks.of_type(_GROUP))
        if len(groups) != 1:
            there = ", ".join(group.logical_id for group in groups) or "none"
            what = f"it names no capacity provider of the set, and of {_GROUP} there is: {there}"
            refuse(service, what, "give a folder with the one template, too, that makes its nodes")
        return groups[0]

    def _beside(self, service: Place, where: Symbol) -> tuple[list[Demand], tuple[Standing, ...], list[str]]:
        """The tasks that run on every node of a group or a provider, those of others at their fewest, and who these
        are."""
        daemons: list[Demand] = []
        standing: list[Standing] = []
        notes = []
        for other in self.stacks.of_type(SERVICE):
            theirs = providers_of(self.stacks, other)
            shared = where in (group_of(theirs), *(resource_of(each, "AWS::ECS::CapacityProvider") for each in theirs))
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
        return daemons, tuple(standing), notes

    def _cpu_target(self, group: Place) -> float | None:
        way = "TargetTrackingConfiguration"
        for policy in self.stacks.of_type("AWS::AutoScaling::ScalingPolicy"):
            metric = policy.get(way, "PredefinedMetricSpecification", "PredefinedMetricType")
            if metric == "ASGAverageCPUUtilization" and policy.get("AutoScalingGroupName") == group.symbol:
                return number(policy, way, "TargetValue")
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


def _is_managed(provider: Place) -> bool:
    return provider.get("AutoScalingGroupProvider", "ManagedScaling", "Status") in ("ENABLED", None)


def _node_scaling(provider: Place) -> NodeScaling:
    way = ("AutoScalingGroupProvider", "ManagedScaling")
    # Defaults: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ManagedScaling.html
    return NodeScaling(
        target_capacity_percent=whole(provider, *way, "TargetCapacity", default=100),
        min_step=whole(provider, *way, "MinimumScalingStepSize", default=1),
        max_step=whole(provider, *way, "MaximumScalingStepSize", default=10000),
        warmup_s=whole(provider, *way, "InstanceWarmupPeriod", default=300),
    )


def _launch_template(group: Place) -> Place | None:
    mixed = group.inner("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification")
    named = mixed if mixed.node else group.inner("LaunchTemplate")
    template = resource_of(named.get("LaunchTemplateId"), "AWS::EC2::LaunchTemplate")
    return template.place if template else None


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


def _placement(service: Place) -> Placement:
    """By its strategies in their order; without any, ECS spreads over zones, and within one takes any node.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html
    """
    strategies = service.each("PlacementStrategies")
    types = [strategy.get("Type") for strategy in strategies]
    if "binpack" in types:
        return "binpack" if types[0] == "binpack" else "spread"
    over_nodes = any(strategy.get("Field") in ("instanceId", "host") for strategy in strategies)
    return "instances" if over_nodes else "random"


def _attribute(group: Place, key: str, default: int) -> int:
    for item in group.each("TargetGroupAttributes"):
        if item.get("Key") == key:
            return int(item.number("Value") or 0)
    return default
