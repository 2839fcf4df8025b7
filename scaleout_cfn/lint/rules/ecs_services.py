"""ECS services: capacity, networking, what they take from their task definition and cluster, moving deployments."""

from __future__ import annotations

from typing import Any, Literal

from scaleout_cfn.lint.rules.balancing import RULE
from scaleout_cfn.lint.rules.base import Faults, fault, nearest, rule
from scaleout_cfn.lint.rules.services import (
    SERVICE,
    TARGET_GROUP,
    containers,
    handed_out,
    mappings,
    names,
    network_mode,
    tasks_of,
)
from scaleout_cfn.templates.stacks import Place, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN

_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_CREATE = _API + "API_CreateService.html#ECS-CreateService-request"
_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_CLUSTER = "AWS::ECS::Cluster"
_PROVIDER = "AWS::ECS::CapacityProvider"
_ASSOCIATIONS = "AWS::ECS::ClusterCapacityProviderAssociations"
_TASK_SET = "AWS::ECS::TaskSet"

# The property that holds a strategy, by type.
_STRATEGIES = {
    SERVICE: "CapacityProviderStrategy",
    _TASK_SET: "CapacityProviderStrategy",
    _CLUSTER: "DefaultCapacityProviderStrategy",
    _ASSOCIATIONS: "DefaultCapacityProviderStrategy",
}

_Capacity = Literal["Fargate", "instances"]


def _given(value: Any) -> bool:
    return value not in (None, UNKNOWN, [], "")


def _provider(root: StackView, value: Any) -> tuple[Any, _Capacity | None]:
    """A capacity provider of a strategy and what it offers: instances are those of an Auto Scaling group."""
    if value in ("FARGATE", "FARGATE_SPOT"):
        return value, "Fargate"
    symbol = resource_of(value, _PROVIDER)
    if symbol is None and isinstance(value, str):
        named = [provider.symbol for provider in root.below(_PROVIDER) if provider.get("Name") == value]
        symbol = named[-1] if named else None
    if symbol is None:
        return value, None
    return symbol.bare, "instances" if _given(symbol.place.get("AutoScalingGroupProvider")) else None


def _strategy(place: Place) -> list[tuple[Any, _Capacity | None]]:
    """The providers of a strategy, with what they offer; none where the strategy is not known."""
    root, items = place.stack.root, place.each(_STRATEGIES[place.type])
    return [_provider(root, item.get("CapacityProvider")) for item in items]


def _capacity(service: Place) -> _Capacity | None:
    """Where a service's tasks run, as far as the service says it; a cluster's default is not looked at."""
    launch = service.get("LaunchType")
    if launch is not None:
        return "Fargate" if launch == "FARGATE" else "instances" if launch == "EC2" else None
    kinds = {kind for _, kind in _strategy(service)}
    return kinds.pop() if len(kinds) == 1 else None


@rule("S601", _CREATE + "-launchType", SERVICE, _TASK_SET)
def launch_type_beside_strategy(service: Place) -> Faults:
    """A service has a launch type or a capacity provider strategy, not both."""
    if _given(service.get("LaunchType")) and _given(service.get("CapacityProviderStrategy")):
        message = f"{service} has a LaunchType and a CapacityProviderStrategy; ECS takes one of them."
        yield fault(service, "LaunchType", message, "Leave LaunchType out.")


@rule("S602", _GUIDE + "asg-capacity-providers.html", *_STRATEGIES)
def mixed_strategy(place: Place) -> Faults:
    """A capacity provider strategy has Fargate's providers or those of Auto Scaling groups, not both."""
    if {"Fargate", "instances"} <= {offer for _, offer in _strategy(place)}:
        message = f"The strategy of {place} mixes Fargate with an Auto Scaling group."
        cure = "Take one of the two: a cluster may have both, a strategy may not."
        yield fault(place, _STRATEGIES[place.type], message, cure)


@rule("S603", _API + "API_CapacityProviderStrategyItem.html", *_STRATEGIES)
def weights_and_bases(place: Place) -> Faults:
    """Of the providers of a strategy one at most has a base, and one at least a weight above zero."""
    name = _STRATEGIES[place.type]
    items = place.each(name)
    based = [item for item in items if item.number("Base")]
    if len(based) > 1:
        message = f"{len(based)} providers of {place}'s strategy have a Base; ECS takes one."
        yield fault(place, name, message, "Leave one Base.")
    if len(items) > 1 and all(item.get("Weight") is None or item.number("Weight") == 0 for item in items):
        message = f"No provider of {place}'s strategy has a Weight above zero, so no task is placed."
        yield fault(place, name, message, "Give one of them a Weight of 1.")


def _providers(cluster: Symbol) -> set[Any] | None:
    places = [cluster.place]
    for associations in cluster.stack.root.below(_ASSOCIATIONS):
        owner = associations.get("Cluster")
        if isinstance(owner, Symbol) and owner.bare == cluster.bare:
            places.append(associations)
        elif not isinstance(owner, Symbol) or not owner.is_resource:
            return None
    found: set[Any] = set()
    for place in places:
        items = place.items("CapacityProviders")
        if items is None:
            return None
        for item in items:
            provider, _ = _provider(place.stack.root, item)
            found.add(provider if isinstance(provider, (str, Symbol)) else UNKNOWN)
    return found if UNKNOWN not in found else None


@rule("S604", _API + "API_CapacityProviderStrategyItem.html", SERVICE)
def provider_of_cluster(service: Place) -> Faults:
    """The providers of a service's strategy are associated with its cluster; those of Managed Instances name it."""
    cluster = resource_of(service.get("Cluster"), _CLUSTER)
    strategy = _strategy(service)
    if cluster is None or not strategy or handed_out(service.stack.root, cluster.bare, outputs=False):
        return
    known = _providers(cluster)
    for index, (provider, offer) in enumerate(strategy):
        # "It becomes available only within the specified cluster":
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCapacityProvider.html
        if isinstance(provider, Symbol) and _given(provider.place.get("ManagedInstancesProvider")):
            owner = resource_of(provider.place.get("ClusterName"), _CLUSTER)
            if owner is not None and owner.bare != cluster.bare:
                yield fault(
                    service,
                    f"CapacityProviderStrategy.{index}.CapacityProvider",
                    f"{service} runs in cluster {cluster.name}, and its provider {provider.name} in {owner.name}.",
                    f"Take a provider whose ClusterName is {cluster.name}.",
                )
            continue
        if known is not None and offer is not None and provider not in known:
            name = provider.name if isinstance(provider, Symbol) else provider
            yield fault(
                service,
                f"CapacityProviderStrategy.{index}.CapacityProvider",
                f"{service} uses provider {name}, which its cluster {cluster.name} does not have.",
                f"Add it to an AWS::ECS::ClusterCapacityProviderAssociations of {cluster.name}.",
            )


@rule("S605", _CREATE + "-networkConfiguration", SERVICE, overlaps=["E3052"])
def network_configuration(service: Place) -> Faults:
    """A service has a NetworkConfiguration where its tasks use awsvpc networking, and only there."""
    tasks, network = tasks_of(service), service.get("NetworkConfiguration")
    mode = network_mode(tasks)
    # Services of an external controller leave both to their task sets.
    if service.get("DeploymentController", "Type") not in (None, "ECS", "CODE_DEPLOY"):
        return
    if mode == "awsvpc" and network is None:
        message = f"The tasks of {service} use awsvpc networking, and the service names no subnets."
        cure = "Add a NetworkConfiguration with Subnets and SecurityGroups."
        yield fault(service, "NetworkConfiguration", message, cure)
    if mode in ("bridge", "host", "none") and _given(network):
        message = f"{service} has a NetworkConfiguration, but {tasks} uses {mode} networking; ECS refuses that."
        cure = "Leave NetworkConfiguration out, or set NetworkMode of the task definition to awsvpc."
        yield fault(service, "NetworkConfiguration", message, cure)


@rule("S606", _GUIDE + "fargate-tasks-services.html", SERVICE, overlaps=["E3054"])
def fargate_task(service: Place) -> Faults:
    """A service on Fargate runs a task definition with awsvpc networking and a size."""
    tasks = tasks_of(service)
    if tasks is None or _capacity(service) != "Fargate":
        return
    # Where the task definition itself is for Fargate, cfn-lint's E3047 and E3048 look at it.
    kinds = tasks.items("RequiresCompatibilities")
    if kinds is None or "FARGATE" in kinds:
        return
    mode = network_mode(tasks)
    missing = [name for name in ("Cpu", "Memory") if tasks.get(name) is None]
    reason = f"has no {' and no '.join(missing)}" if missing else ""
    if reason := f"uses {mode} networking" if mode in ("bridge", "host", "none") else reason:
        yield fault(
            service,
            "TaskDefinition",
            f"{service} runs on Fargate, but {tasks} of {tasks.stack.file} {reason}.",
            "Set NetworkMode to awsvpc, Cpu, Memory, and RequiresCompatibilities to [FARGATE].",
        )


@rule("S607", "https://github.com/GetSimpl/cloudlift/pull/138", SERVICE)
def placement_on_fargate(service: Place) -> Faults:
    """A service on Fargate has no placement constraints and strategies."""
    for name in ("PlacementConstraints", "PlacementStrategies"):
        if service.items(name) and _capacity(service) == "Fargate":
            message = f"{service} runs on Fargate, which has no instances to place tasks on."
            yield fault(service, name, message, f"Leave {name} out: Fargate spreads tasks over zones by itself.")


@rule("S608", "https://github.com/aws/aws-cdk/issues/1197", SERVICE)
def daemon(service: Place) -> Faults:
    """A DAEMON service has neither a DesiredCount nor placement strategies."""
    for name in ("DesiredCount", "PlacementStrategies"):
        if service.get("SchedulingStrategy") == "DAEMON" and _given(service.get(name)):
            message = f"{service} is a DAEMON, one task an instance, and has {name}; ECS refuses that."
            yield fault(service, name, message, f"Leave {name} out.")


@rule("S609", _GUIDE + "register-multiple-targetgroups.html", SERVICE)
def many_target_groups(service: Place) -> Faults:
    """A service has at most five target groups."""
    count = len(service.items("LoadBalancers") or ())
    if count > 5:
        message = f"{service} has {count} target groups; ECS takes five."
        cure = "Let several listeners or rules forward to one target group, or make a second service."
        yield fault(service, "LoadBalancers", message, cure)


@rule("S610", _CREATE + "-role", SERVICE)
def role_of_service(service: Place) -> Faults:
    """A service has a Role only with one load balancer, and without awsvpc networking or a registry."""
    entries = service.items("LoadBalancers")
    if not _given(service.get("Role")) or entries is None:
        return
    reason = None
    if not entries:
        reason = "has no load balancer"
    elif len(entries) > 1:
        reason = "has several target groups"
    elif service.items("ServiceRegistries"):
        reason = "has a service registry"
    elif network_mode(tasks_of(service)) == "awsvpc":
        reason = "runs tasks in awsvpc networking"
    if reason:
        message = f"{service} has a Role and {reason}; ECS then takes its service-linked role only."
        yield fault(service, "Role", message, "Leave Role out.")


def _port_names(tasks: Place) -> list[Any] | None:
    """The names of all port mappings of a task definition; None if one is not known."""
    several = containers(tasks)
    if not several or any(container.items("PortMappings") is None for container in several):
        return None
    found = [mapping.get("Name") for container in several for mapping in container.each("PortMappings")]
    known = all(name is None or isinstance(name, (str, Symbol)) for name in found)
    return [name for name in found if name is not None] if known else None


@rule("S611", _API + "API_ServiceConnectService.html", SERVICE)
def port_name(service: Place) -> Faults:
    """Service Connect and VPC Lattice name ports that the task definition names."""
    tasks = tasks_of(service)
    known = _port_names(tasks) if tasks else None
    if known is None:
        return
    for way in (("ServiceConnectConfiguration", "Services"), ("VpcLatticeConfigurations",)):
        for item in service.each(*way):
            name = item.get("PortName")
            if isinstance(name, str) and name not in known:
                close = nearest(name, [other for other in known if isinstance(other, str)])
                message = f"{service} uses port {name}, which no port mapping of {tasks} is named."
                cure = f"Did you mean {close}?" if close else f"Give a port mapping the Name {name}."
                yield fault(item, "PortName", message, cure)


@rule("S612", _API + "API_ServiceRegistry.html", SERVICE)
def registry_container(service: Place) -> Faults:
    """A service registry names a container and a port that the task definition has."""
    tasks = tasks_of(service)
    known = names(tasks)
    for registry in service.each("ServiceRegistries"):
        name, port = registry.get("ContainerName"), registry.number("ContainerPort")
        if not isinstance(name, str) or known is None:
            continue
        mapped = mappings(tasks, name)
        if name not in known:
            close = nearest(name, known)
            message = f"The registry of {service} names container {name}, which {tasks} does not have."
            cure = f"Did you mean {close}?" if close else f"Its containers are {', '.join(known)}."
            yield fault(registry, "ContainerName", message, cure)
        elif port is not None and mapped is not None and port not in [mapping["ContainerPort"] for mapping in mapped]:
            message = f"The registry of {service} names port {port:g}, which container {name} does not map."
            cure = "Give ContainerPort and the container's PortMappings one value."
            yield fault(registry, "ContainerPort", message, cure)


@rule("S613", _API + "API_DeploymentCircuitBreaker.html", SERVICE)
def circuit_breaker(service: Place) -> Faults:
    """A deployment circuit breaker belongs to a service that ECS itself deploys."""
    breaker = service.get("DeploymentConfiguration", "DeploymentCircuitBreaker", "Enable")
    controller = service.get("DeploymentController", "Type")
    if breaker in (True, "true") and controller in ("CODE_DEPLOY", "EXTERNAL"):
        yield fault(
            service,
            "DeploymentConfiguration.DeploymentCircuitBreaker",
            f"{service} has a deployment circuit breaker, but {controller} deploys it.",
            "Leave the circuit breaker out, or set DeploymentController to ECS.",
        )


@rule(
    "S614",
    _CREATE + "-healthCheckGracePeriodSeconds",
    SERVICE,
    severity="warning",
)
def grace_period(service: Place) -> Faults:
    """A health check grace period belongs to a service with a load balancer or a container's health check."""
    seconds, tasks = service.number("HealthCheckGracePeriodSeconds"), tasks_of(service)
    several = containers(tasks) if tasks else ()
    checked = [service.get(name) for name in ("LoadBalancers", "VpcLatticeConfigurations")]
    if not seconds or not several or any(value not in (None, []) for value in checked):
        return
    if all(container.get("HealthCheck") is None for container in several):
        message = f"{service} has a grace period of {seconds:g} s, but nothing checks its tasks' health."
        cure = "Leave it out, or give a container a HealthCheck."
        yield fault(service, "HealthCheckGracePeriodSeconds", message, cure)


@rule("S615", "https://github.com/aws/aws-cdk/issues/13348", SERVICE)
def public_address(service: Place) -> Faults:
    """Only tasks on Fargate are assigned a public address."""
    awsvpc = service.inner("NetworkConfiguration", "AwsvpcConfiguration")
    if awsvpc.get("AssignPublicIp") == "ENABLED" and _capacity(service) == "instances":
        message = f"{service} runs on instances, where ECS assigns no public address to a task."
        cure = "Leave AssignPublicIp out: such tasks reach the internet through a NAT gateway."
        yield fault(awsvpc, "AssignPublicIp", message, cure)


_ALB = _GUIDE + "alb-resources-for-blue-green.html"
_MOVING = ("BLUE_GREEN", "LINEAR", "CANARY")
_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def _moving(service: Place) -> str:
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
    strategy = _moving(service)
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
        if isinstance(part, Symbol) and part.type == SERVICE and (strategy := _moving(part.place)):
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
