"""ECS services: capacity, networking, and what they take from their task definition and cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from scaleout_cfn.lint.rules.base import Rule, nearest
from scaleout_cfn.lint.rules.services import Tasks, handed_out, property_of, services
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, Symbol, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_CLUSTER = "AWS::ECS::Cluster"
_PROVIDER = "AWS::ECS::CapacityProvider"
_ASSOCIATIONS = "AWS::ECS::ClusterCapacityProviderAssociations"
_FARGATE = ("FARGATE", "FARGATE_SPOT")

_Capacity = Literal["Fargate", "instances"]


def _given(value: Any) -> bool:
    return value not in (None, UNKNOWN, [], "")


def _provider(root: StackView, value: Any) -> tuple[Any, _Capacity | None]:
    """A capacity provider of a strategy and what it offers: instances are those of an Auto Scaling group."""
    if value in _FARGATE:
        return value, "Fargate"
    symbol = resource_of(value, _PROVIDER)
    if symbol is None and isinstance(value, str):
        for stack in root.tree():
            for logical_id, properties, scope in stack.of_type(_PROVIDER):
                if scope.get(properties, "Name") == value:
                    symbol = stack.symbol(logical_id)
    if symbol is None:
        return value, None
    return symbol.bare, "instances" if _given(property_of(symbol, "AutoScalingGroupProvider")) else None


def _strategy(stack: StackView, scope: Scope, node: Any, name: str) -> list[tuple[Any, _Capacity | None]] | None:
    """The providers of a strategy, with what they offer; None where the strategy is not known."""
    items = scope.items(node, name)
    return None if items is None else [_provider(stack.root, scope.get(item, "CapacityProvider")) for item in items]


def _capacity(stack: StackView, properties: Any, scope: Scope) -> _Capacity | None:
    """Where a service's tasks run, as far as the service says it; a cluster's default is not looked at."""
    launch = scope.get(properties, "LaunchType")
    if launch is not None:
        return "Fargate" if launch == "FARGATE" else "instances" if launch == "EC2" else None
    kinds = {kind for _, kind in _strategy(stack, scope, properties, "CapacityProviderStrategy") or ()}
    return kinds.pop() if len(kinds) == 1 else None


# Every place that has a strategy: the type and the property.
_STRATEGIES = (
    ("AWS::ECS::Service", "CapacityProviderStrategy"),
    ("AWS::ECS::TaskSet", "CapacityProviderStrategy"),
    (_CLUSTER, "DefaultCapacityProviderStrategy"),
    (_ASSOCIATIONS, "DefaultCapacityProviderStrategy"),
)


class LaunchTypeBesideStrategy(Rule):
    id = "S601"
    sentence = "A service has a launch type or a capacity provider strategy, not both."
    source = _API + "API_CreateService.html#ECS-CreateService-request-launchType"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type("AWS::ECS::Service", "AWS::ECS::TaskSet"):
                strategy = scope.get(properties, "CapacityProviderStrategy")
                if _given(scope.get(properties, "LaunchType")) and _given(strategy):
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.LaunchType",
                        f"{logical_id} has a LaunchType and a CapacityProviderStrategy; ECS takes one of them.",
                        "Leave LaunchType out.",
                    )


class MixedStrategy(Rule):
    id = "S602"
    sentence = "A capacity provider strategy has Fargate's providers or those of Auto Scaling groups, not both."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in _STRATEGIES:
                for logical_id, properties, scope in stack.of_type(kind):
                    offers = {offer for _, offer in _strategy(stack, scope, properties, name) or ()}
                    if {"Fargate", "instances"} <= offers:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.{name}",
                            f"The strategy of {logical_id} mixes Fargate with an Auto Scaling group.",
                            "Take one of the two: a cluster may have both, a strategy may not.",
                        )


class WeightsAndBases(Rule):
    id = "S603"
    sentence = "Of the providers of a strategy one at most has a base, and one at least a weight above zero."
    source = _API + "API_CapacityProviderStrategyItem.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in _STRATEGIES:
                for logical_id, properties, scope in stack.of_type(kind):
                    items = scope.items(properties, name)
                    path = f"Resources.{logical_id}.Properties.{name}"
                    based = [item for item in items or [] if as_number(scope.get(item, "Base"))]
                    if len(based) > 1:
                        yield self.finding(
                            stack.file,
                            path,
                            f"{len(based)} providers of {logical_id}'s strategy have a Base; ECS takes one.",
                            "Leave one Base.",
                        )
                    weights = [scope.get(item, "Weight") for item in items or []]
                    if len(weights) > 1 and all(weight is None or as_number(weight) == 0 for weight in weights):
                        yield self.finding(
                            stack.file,
                            path,
                            f"No provider of {logical_id}'s strategy has a Weight above zero, so no task is placed.",
                            "Give one of them a Weight of 1.",
                        )


def _providers(cluster: Symbol) -> tuple[set[Any], list[tuple[StackView, str]]] | None:
    """The providers of a cluster, and the resources that associate more with it; None if one is not known."""
    found: set[Any] = set()
    associations: list[tuple[StackView, str]] = []
    resource = cluster.stack.resource(cluster.name)
    places: list[tuple[StackView, Scope, Any]] = [
        (cluster.stack, cluster.stack.scope_of(resource), resource.get("Properties"))
    ]
    for stack in cluster.stack.root.tree():
        for logical_id, properties, scope in stack.of_type(_ASSOCIATIONS):
            owner = scope.get(properties, "Cluster")
            if owner == cluster.bare or (isinstance(owner, Symbol) and owner.bare == cluster.bare):
                places.append((stack, scope, properties))
                associations.append((stack, logical_id))
            elif not isinstance(owner, Symbol) or not owner.is_resource:
                return None
    for stack, scope, properties in places:
        items = scope.items(properties, "CapacityProviders")
        if items is None:
            return None
        for item in items:
            provider, _ = _provider(stack.root, item)
            found.add(provider if isinstance(provider, (str, Symbol)) else UNKNOWN)
    return (found, associations) if UNKNOWN not in found else None


class ProviderOfCluster(Rule):
    id = "S604"
    sentence = "The providers of a service's strategy are associated with its cluster."
    source = _API + "API_CapacityProviderStrategyItem.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            cluster = resource_of(scope.get(properties, "Cluster"), _CLUSTER)
            strategy = _strategy(stack, scope, properties, "CapacityProviderStrategy")
            if cluster is None or not strategy or handed_out(stack.root, cluster.bare, outputs=False):
                continue
            known = _providers(cluster)
            for index, (provider, offer) in enumerate(strategy):
                if known is not None and offer is not None and provider not in known[0]:
                    name = provider.name if isinstance(provider, Symbol) else provider
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.CapacityProviderStrategy.{index}.CapacityProvider",
                        f"{logical_id} uses provider {name}, which its cluster {cluster.name} does not have.",
                        f"Add it to an AWS::ECS::ClusterCapacityProviderAssociations of {cluster.name}.",
                    )


class NetworkConfiguration(Rule):
    id = "S605"
    sentence = "A service has a NetworkConfiguration where its tasks use awsvpc networking, and only there."
    source = _API + "API_CreateService.html#ECS-CreateService-request-networkConfiguration"
    overlaps = frozenset({"E3052"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            mode = tasks.network_mode if tasks else UNKNOWN
            network = scope.get(properties, "NetworkConfiguration")
            # Services of an external controller leave both to their task sets.
            if scope.get(properties, "DeploymentController", "Type") not in (None, "ECS", "CODE_DEPLOY"):
                continue
            path = f"Resources.{logical_id}.Properties.NetworkConfiguration"
            if mode == "awsvpc" and network is None:
                yield self.finding(
                    stack.file,
                    path,
                    f"The tasks of {logical_id} use awsvpc networking, and the service names no subnets.",
                    "Add a NetworkConfiguration with Subnets and SecurityGroups.",
                )
            if mode in ("bridge", "host", "none") and _given(network) and tasks:
                yield self.finding(
                    stack.file,
                    path,
                    f"{logical_id} has a NetworkConfiguration, but {tasks.symbol.name} uses {mode} networking; ECS "
                    "refuses that.",
                    "Leave NetworkConfiguration out, or set NetworkMode of the task definition to awsvpc.",
                )


class FargateTask(Rule):
    id = "S606"
    sentence = "A service on Fargate runs a task definition with awsvpc networking and a size."
    source = _GUIDE + "fargate-tasks-services.html"
    overlaps = frozenset({"E3054"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            if tasks is None or _capacity(stack, properties, scope) != "Fargate":
                continue
            # Where the task definition itself is for Fargate, cfn-lint's E3047 and E3048 look at it.
            kinds = tasks.scope.items(tasks.properties, "RequiresCompatibilities")
            if kinds is None or "FARGATE" in kinds:
                continue
            mode = tasks.network_mode
            missing = [name for name in ("Cpu", "Memory") if tasks.scope.get(tasks.properties, name) is None]
            reason = None
            if mode in ("bridge", "host", "none"):
                reason = f"uses {mode} networking"
            elif missing:
                reason = f"has no {' and no '.join(missing)}"
            if reason:
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.TaskDefinition",
                    f"{logical_id} runs on Fargate, but {tasks.symbol.name} of {tasks.file} {reason}.",
                    "Set NetworkMode to awsvpc, Cpu, Memory, and RequiresCompatibilities to [FARGATE].",
                )


class PlacementOnFargate(Rule):
    id = "S607"
    sentence = "A service on Fargate has no placement constraints and strategies."
    source = "https://github.com/GetSimpl/cloudlift/pull/138"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            for name in ("PlacementConstraints", "PlacementStrategies"):
                if scope.items(properties, name) and _capacity(stack, properties, scope) == "Fargate":
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.{name}",
                        f"{logical_id} runs on Fargate, which has no instances to place tasks on.",
                        f"Leave {name} out: Fargate spreads tasks over zones by itself.",
                    )


class Daemon(Rule):
    id = "S608"
    sentence = "A DAEMON service has neither a DesiredCount nor placement strategies."
    source = "https://github.com/aws/aws-cdk/issues/1197"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            for name in ("DesiredCount", "PlacementStrategies"):
                if scope.get(properties, "SchedulingStrategy") == "DAEMON" and _given(scope.get(properties, name)):
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.{name}",
                        f"{logical_id} is a DAEMON, one task an instance, and has {name}; ECS refuses that.",
                        f"Leave {name} out.",
                    )


class ManyTargetGroups(Rule):
    id = "S609"
    sentence = "A service has at most five target groups."
    source = _GUIDE + "register-multiple-targetgroups.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            entries = scope.items(properties, "LoadBalancers") or []
            if len(entries) > 5:
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.LoadBalancers",
                    f"{logical_id} has {len(entries)} target groups; ECS takes five.",
                    "Let several listeners or rules forward to one target group, or make a second service.",
                )


class RoleOfService(Rule):
    id = "S610"
    sentence = "A service has a Role only with one load balancer, and without awsvpc networking or a registry."
    source = _API + "API_CreateService.html#ECS-CreateService-request-role"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            entries = scope.items(properties, "LoadBalancers")
            if not _given(scope.get(properties, "Role")) or entries is None:
                continue
            reason = None
            if not entries:
                reason = "has no load balancer"
            elif len(entries) > 1:
                reason = "has several target groups"
            elif scope.items(properties, "ServiceRegistries"):
                reason = "has a service registry"
            elif tasks and tasks.network_mode == "awsvpc":
                reason = "runs tasks in awsvpc networking"
            if reason:
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.Role",
                    f"{logical_id} has a Role and {reason}; ECS then takes its service-linked role only.",
                    "Leave Role out.",
                )


def _port_names(tasks: Tasks) -> list[Any] | None:
    """The names of all port mappings of a task definition; None if one is not known."""
    found: list[Any] = []
    for container in tasks.containers or []:
        mappings = tasks.scope.items(container, "PortMappings")
        if mappings is None:
            return None
        found += [tasks.scope.get(mapping, "Name") for mapping in mappings]
    known = tasks.containers and all(name is None or isinstance(name, (str, Symbol)) for name in found)
    return [name for name in found if name is not None] if known else None


class PortName(Rule):
    id = "S611"
    sentence = "Service Connect and VPC Lattice name ports that the task definition names."
    source = _API + "API_ServiceConnectService.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            names = _port_names(tasks) if tasks else None
            if names is None or tasks is None:
                continue
            for way in (("ServiceConnectConfiguration", "Services"), ("VpcLatticeConfigurations",)):
                for index, item in enumerate(scope.items(properties, *way) or []):
                    name = scope.get(item, "PortName")
                    if isinstance(name, str) and name not in names:
                        known = [name for name in names if isinstance(name, str)]
                        close = nearest(name, known)
                        yield self.finding(
                            stack.file,
                            ".".join(("Resources", logical_id, "Properties", *way, str(index), "PortName")),
                            f"{logical_id} uses port {name}, which no port mapping of {tasks.symbol.name} is named.",
                            f"Did you mean {close}?" if close else f"Give a port mapping the Name {name}.",
                        )


class RegistryContainer(Rule):
    id = "S612"
    sentence = "A service registry names a container and a port that the task definition has."
    source = _API + "API_ServiceRegistry.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            names = tasks.names() if tasks else None
            for index, registry in enumerate(scope.items(properties, "ServiceRegistries") or []):
                name, port = scope.get(registry, "ContainerName"), as_number(scope.get(registry, "ContainerPort"))
                path = f"Resources.{logical_id}.Properties.ServiceRegistries.{index}"
                if not isinstance(name, str) or names is None or tasks is None:
                    continue
                mappings = tasks.mappings(name)
                if name not in names:
                    close = nearest(name, names)
                    yield self.finding(
                        stack.file,
                        f"{path}.ContainerName",
                        f"The registry of {logical_id} names container {name}, which {tasks.symbol.name} does not "
                        "have.",
                        f"Did you mean {close}?" if close else f"Its containers are {', '.join(names)}.",
                    )
                elif port is not None and mappings is not None and port not in [m["ContainerPort"] for m in mappings]:
                    yield self.finding(
                        stack.file,
                        f"{path}.ContainerPort",
                        f"The registry of {logical_id} names port {port:g}, which container {name} does not map.",
                        "Give ContainerPort and the container's PortMappings one value.",
                    )


class CircuitBreaker(Rule):
    id = "S613"
    sentence = "A deployment circuit breaker belongs to a service that ECS itself deploys."
    source = _API + "API_DeploymentCircuitBreaker.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            breaker = scope.get(properties, "DeploymentConfiguration", "DeploymentCircuitBreaker", "Enable")
            controller = scope.get(properties, "DeploymentController", "Type")
            if breaker in (True, "true") and controller in ("CODE_DEPLOY", "EXTERNAL"):
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.DeploymentConfiguration.DeploymentCircuitBreaker",
                    f"{logical_id} has a deployment circuit breaker, but {controller} deploys it.",
                    "Leave the circuit breaker out, or set DeploymentController to ECS.",
                )


class GracePeriod(Rule):
    id = "S614"
    sentence = "A health check grace period belongs to a service with a load balancer or a container's health check."
    source = _API + "API_CreateService.html#ECS-CreateService-request-healthCheckGracePeriodSeconds"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            seconds = as_number(scope.get(properties, "HealthCheckGracePeriodSeconds"))
            checked = [scope.get(properties, name) for name in ("LoadBalancers", "VpcLatticeConfigurations")]
            if not seconds or tasks is None or not tasks.containers or any(it not in (None, []) for it in checked):
                continue
            if all(tasks.scope.get(container, "HealthCheck") is None for container in tasks.containers):
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.HealthCheckGracePeriodSeconds",
                    f"{logical_id} has a grace period of {seconds:g} s, but nothing checks its tasks' health.",
                    "Leave it out, or give a container a HealthCheck.",
                )


class PublicAddress(Rule):
    id = "S615"
    sentence = "Only tasks on Fargate are assigned a public address."
    source = "https://github.com/aws/aws-cdk/issues/13348"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, _ in services(stacks):
            way = ("NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp")
            if scope.get(properties, *way) == "ENABLED" and _capacity(stack, properties, scope) == "instances":
                yield self.finding(
                    stack.file,
                    ".".join(("Resources", logical_id, "Properties", *way)),
                    f"{logical_id} runs on instances, where ECS assigns no public address to a task.",
                    "Leave AssignPublicIp out: such tasks reach the internet through a NAT gateway.",
                )
