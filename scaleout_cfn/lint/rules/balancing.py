"""Load balancers, target groups, and the services behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..findings import Finding, Severity
from ..stacks import UNKNOWN, Scope, Stack, StackSet, Symbol, as_number
from .base import Rule, nearest

_ELB = "AWS::ElasticLoadBalancingV2::"
_ECS_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_ELB_API = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/"


class _Entry:
    """One entry of a service's LoadBalancers, with the task definition and target group it joins."""

    def __init__(self, stack: Stack, service: str, index: int, entry: Any, scope: Scope, tasks: _Tasks | None) -> None:
        self.stack = stack
        self.service = service
        self.entry = entry
        self.scope = scope
        self.tasks = tasks
        self.path = f"Resources.{service}.Properties.LoadBalancers.{index}"
        self.container = scope.get(entry, "ContainerName")
        self.port = as_number(scope.get(entry, "ContainerPort"))
        self.group = _resource(scope.get(entry, "TargetGroupArn"), _ELB + "TargetGroup")

    def group_property(self, name: str) -> Any:
        """A property of the target group, UNKNOWN where the group is not of this set."""
        return UNKNOWN if self.group is None else _property(self.group, name)

    @property
    def mapping(self) -> Mapping[str, Any] | None:
        """The port mapping of the task definition that this entry means, values evaluated."""
        for mapping in (self.tasks.mappings(self.container) if self.tasks else None) or []:
            if mapping["ContainerPort"] == self.port and self.port is not None:
                return mapping
        return None


class _Tasks:
    """A task definition, read in the stack that makes it."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.file = symbol.stack.file
        resource = symbol.stack.resource(symbol.name)
        self.scope = symbol.stack.scope_of(resource)
        self.properties = self.scope.value(resource.get("Properties", {}))
        self.containers = self.scope.items(self.properties, "ContainerDefinitions")

    def names(self) -> list[str] | None:
        """The containers' names; None where one is not known."""
        names = [self.scope.get(container, "Name") for container in self.containers or []]
        return [str(name) for name in names] if names and all(isinstance(name, str) for name in names) else None

    def mappings(self, container: Any) -> list[Mapping[str, Any]] | None:
        """The port mappings of a container, ports as numbers (None where absent); None if one is unknown."""
        for definition in self.containers or []:
            if self.scope.get(definition, "Name") == container and isinstance(container, str):
                items = self.scope.items(definition, "PortMappings")
                if items is None:
                    return None
                found = []
                for item in items:
                    ports = {key: self.scope.get(item, key) for key in ("ContainerPort", "HostPort", "ContainerPortRange")}
                    if any(port is not None and as_number(port) is None for port in ports.values()):
                        return None
                    found.append({key: as_number(port) for key, port in ports.items()})
                return found
        return None

    @property
    def network_mode(self) -> Any:
        mode = self.scope.get(self.properties, "NetworkMode")
        if mode is not None:
            return mode
        launch = self.scope.items(self.properties, "RequiresCompatibilities")
        # Without a mode, tasks on Linux instances get bridge; what only Fargate or nobody names is left alone.
        return "bridge" if launch == [] or launch == ["EC2"] else UNKNOWN


def _property(symbol: Symbol, name: str) -> Any:
    resource = symbol.stack.resource(symbol.name)
    return symbol.stack.scope_of(resource).get(resource.get("Properties"), name)


def _resource(value: Any, *types: str) -> Symbol | None:
    return value if isinstance(value, Symbol) and value.is_resource and value.type in types else None


def _services(stacks: StackSet) -> Iterator[tuple[Stack, str, Mapping[str, Any], Scope, _Tasks | None]]:
    for stack in stacks.stacks:
        for logical_id, properties, scope in stack.of_type("AWS::ECS::Service"):
            definition = _resource(scope.get(properties, "TaskDefinition"), "AWS::ECS::TaskDefinition")
            yield stack, logical_id, properties, scope, _Tasks(definition) if definition else None


def _entries(stacks: StackSet) -> Iterator[_Entry]:
    for stack, logical_id, properties, scope, tasks in _services(stacks):
        for index, entry in enumerate(scope.items(properties, "LoadBalancers") or []):
            if isinstance(entry, Mapping):
                yield _Entry(stack, logical_id, index, entry, scope, tasks)


class ContainerName(Rule):
    id = "S201"
    sentence = "A service sends its load balancer to a container that its task definition has."
    source = _ECS_API + "API_LoadBalancer.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            names = entry.tasks.names() if entry.tasks else None
            if names and isinstance(entry.container, str) and entry.container not in names:
                close = nearest(entry.container, names)
                yield self.finding(
                    entry.stack.file,
                    f"{entry.path}.ContainerName",
                    f"{entry.service} balances to container {entry.container}, which "
                    f"{entry.tasks.symbol.name if entry.tasks else ''} does not have.",
                    f"Did you mean {close}?" if close else f"Its containers are {', '.join(names)}.",
                )


class ContainerPort(Rule):
    id = "S202"
    sentence = "A service sends its load balancer to a port that the container maps."
    source = _ECS_API + "API_LoadBalancer.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            mappings = entry.tasks.mappings(entry.container) if entry.tasks else None
            if mappings is None or entry.port is None or entry.mapping is not None:
                continue
            ports = [f"{mapping['ContainerPort']:g}" for mapping in mappings if mapping["ContainerPort"] is not None]
            yield self.finding(
                entry.stack.file,
                f"{entry.path}.ContainerPort",
                f"{entry.service} balances to port {entry.port:g} of container {entry.container}, which "
                f"maps {', '.join(ports) or 'no port'}.",
                "Give ContainerPort and the container's PortMappings one value from one parameter.",
            )


class TargetKind(Rule):
    id = "S203"
    sentence = "Tasks with awsvpc networking stand behind a target group of type ip, others behind type instance."
    source = _ECS_API + "API_LoadBalancer.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            mode = entry.tasks.network_mode if entry.tasks else UNKNOWN
            kind = entry.group_property("TargetType") or "instance"
            wanted = {"awsvpc": "ip", "bridge": "instance", "host": "instance"}.get(mode) if isinstance(mode, str) else None
            if wanted and kind in ("ip", "instance") and kind != wanted and entry.group:
                yield self.finding(
                    entry.stack.file,
                    f"{entry.path}.TargetGroupArn",
                    f"{entry.service} runs tasks in {mode} networking, but target group {entry.group.name} of "
                    f"{entry.group.stack.file} has targets of type {kind}.",
                    f"Set TargetType of {entry.group.name} to {wanted}, or change the tasks' NetworkMode.",
                )


class HealthCheckPort(Rule):
    id = "S204"
    sentence = "Where host ports are dynamic, the target group checks health on the port that carries traffic."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb.html"
    overlaps = frozenset({"E3049"})

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            port = entry.group_property("HealthCheckPort")
            mapping = entry.mapping
            if entry.tasks is None or entry.group is None or mapping is None:
                continue
            if entry.tasks.network_mode == "bridge" and not mapping["HostPort"] and as_number(port) is not None:
                yield self.finding(
                    entry.stack.file,
                    f"{entry.path}.TargetGroupArn",
                    f"{entry.service} maps port {entry.port:g} to a host port chosen at run time, but target group "
                    f"{entry.group.name} of {entry.group.stack.file} checks health on port {port}.",
                    f"Set HealthCheckPort of {entry.group.name} to traffic-port.",
                )


_ACTIONS = {_ELB + "Listener": "DefaultActions", _ELB + "ListenerRule": "Actions"}


def _forwards(root: Stack) -> dict[Symbol, list[tuple[Stack, str]]] | None:
    """The listeners and rules of a tree by the target group they forward to; None if one cannot be told."""
    found: dict[Symbol, list[tuple[Stack, str]]] = {}
    for stack in root.tree():
        for kind, actions in _ACTIONS.items():
            for logical_id, properties, scope in stack.of_type(kind):
                items = scope.items(properties, actions)
                if items is None:
                    return None
                for action in items:
                    forward = scope.get(action, "ForwardConfig")
                    groups = [] if forward is None else scope.items(forward, "TargetGroups")
                    if groups is None:
                        return None
                    for place in (action, *groups):
                        group = scope.get(place, "TargetGroupArn")
                        if group is UNKNOWN or (isinstance(group, Symbol) and group.type.endswith("CustomResource")):
                            return None
                        if isinstance(group, Symbol):
                            found.setdefault(_bare(group), []).append((stack, logical_id))
    return found


def _bare(symbol: Symbol) -> Symbol:
    """A resource itself, whichever of its attributes a symbol is."""
    return Symbol(symbol.stack, symbol.name, "", symbol.type, symbol.is_resource)


def _touched_by_custom_resource(root: Stack, symbol: Symbol) -> bool:
    """Whether a custom resource is told of a resource and may do anything with it."""
    for stack in root.tree():
        for logical_id, resource in stack.facts.resources.items():
            if resource["Type"].startswith("Custom::") or resource["Type"] == "AWS::CloudFormation::CustomResource":
                if symbol.stack is stack and symbol.name in stack.facts.dependencies[logical_id]:
                    return True
                scope = stack.scope_of(resource)
                properties = scope.value(resource.get("Properties", {}))
                for value in properties.values() if isinstance(properties, Mapping) else ():
                    given = scope.value(value)
                    parts = getattr(given, "parts", (given,))
                    if any(isinstance(part, Symbol) and _bare(part) == symbol for part in parts):
                        return True
    return False


class UnattachedTargetGroup(Rule):
    id = "S205"
    sentence = "The target group of a service is behind a listener of the set."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-load-balancing.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            forwards = _forwards(entry.stack.root)
            if forwards is None or entry.group is None or _bare(entry.group) in forwards:
                continue
            if not _touched_by_custom_resource(entry.stack.root, _bare(entry.group)):
                yield self.finding(
                    entry.stack.file,
                    f"{entry.path}.TargetGroupArn",
                    f"No listener or listener rule of the set forwards to target group {entry.group.name} of "
                    f"{entry.group.stack.file}; ECS refuses a service whose target group has no load balancer.",
                    "Forward to it in a listener's DefaultActions or in a ListenerRule.",
                )


class ServiceBeforeListener(Rule):
    id = "S206"
    sentence = "A service is made after a listener that forwards to its target group."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-load-balancing.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            forwards = _forwards(entry.stack.root)
            if forwards is None or entry.group is None or _touched_by_custom_resource(entry.stack.root, _bare(entry.group)):
                continue
            listeners = forwards.get(_bare(entry.group), [])
            if listeners and not any(_after((entry.stack, entry.service), listener) for listener in listeners):
                stack, listener = listeners[0]
                yield self.finding(
                    entry.stack.file,
                    f"Resources.{entry.service}",
                    f"Nothing makes {entry.service} wait for {listener} of {stack.file}, which puts its target group "
                    "behind a load balancer; ECS refuses the service if it comes first.",
                    f"Add DependsOn: {listener}."
                    if stack is entry.stack
                    else f"Pass an output that is a Ref to {listener} into the service's stack.",
                )


def _after(later: tuple[Stack, str], earlier: tuple[Stack, str]) -> bool:
    """Whether one resource of a tree is made only after another."""
    upper, lower = dict(_chain(*later)), dict(_chain(*earlier))
    for stack, name in upper.items():
        if stack in lower and lower[stack] != name:
            return stack.facts.waits_for(name, lower[stack])
    return True


def _chain(stack: Stack, name: str) -> Iterator[tuple[Stack, str]]:
    """A resource and the nested stacks around it, each with the stack that declares it, innermost first."""
    here: Stack | None = stack
    while here is not None:
        yield here, name
        name = here.nested.logical_id if here.nested else ""
        here = here.parent


class ClosedPort(Rule):
    id = "S207"
    sentence = "The security groups of a load balancer or an awsvpc service let in the port that it serves."
    source = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-update-security-groups.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in _entries(stacks):
            groups = entry.scope.get(
                entry.scope.get(entry.stack.resource(entry.service).get("Properties"), "NetworkConfiguration"),
                "AwsvpcConfiguration",
                "SecurityGroups",
            )
            if entry.port is not None and entry.tasks and entry.tasks.network_mode == "awsvpc":
                yield from self._judge(entry.stack, groups, entry.port, f"{entry.path}.ContainerPort", entry.service)
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ELB + "Listener"):
                port = as_number(scope.get(properties, "Port"))
                balancer = _resource(scope.get(properties, "LoadBalancerArn"), _ELB + "LoadBalancer")
                if port is not None and balancer is not None:
                    groups = _property(balancer, "SecurityGroups")
                    yield from self._judge(stack, groups, port, f"Resources.{logical_id}.Properties.Port", balancer.name)

    def _judge(self, stack: Stack, groups: Any, port: float, path: str, owner: str) -> Iterator[Finding]:
        if not isinstance(groups, list) or not groups:
            return
        symbols = [_resource(group, "AWS::EC2::SecurityGroup") for group in groups]
        rules = [rule for symbol in symbols for rule in (_ingress(symbol) if symbol else [UNKNOWN])]
        # No rule at all may mean that somebody else adds them; rules for other ports only do not.
        if not rules or any(rule is UNKNOWN for rule in rules):
            return
        if not any(low <= port <= high for low, high in rules):
            opened = ", ".join(f"{low:g}" if low == high else f"{low:g}-{high:g}" for low, high in rules)
            yield self.finding(
                stack.file,
                path,
                f"{owner} serves port {port:g}, but its security groups let in {opened} only.",
                f"Let port {port:g} in, or serve the port that is open.",
            )


def _ingress(group: Symbol) -> list[Any]:
    """The port ranges that a security group lets in over TCP; an UNKNOWN among them where one is not known."""
    found: list[Any] = []
    resource = group.stack.resource(group.name)
    scope = group.stack.scope_of(resource)
    inline = scope.items(resource.get("Properties"), "SecurityGroupIngress")
    found += [UNKNOWN] if inline is None else [_range(scope, rule) for rule in inline]
    for stack in group.stack.root.tree():
        for _, properties, inner in stack.of_type("AWS::EC2::SecurityGroupIngress"):
            owner = inner.get(properties, "GroupId")
            if owner is UNKNOWN:
                found.append(UNKNOWN)
            elif isinstance(owner, Symbol) and _bare(owner) == _bare(group):
                found.append(_range(inner, properties))
    return [item for item in found if item is not None]


def _range(scope: Scope, rule: Any) -> Any:
    protocol = scope.get(rule, "IpProtocol")
    if protocol in ("-1", -1, "all"):
        return (0.0, 65535.0)
    if protocol not in ("tcp", "6", 6, "TCP"):
        return UNKNOWN if isinstance(protocol, Symbol) or protocol is UNKNOWN else None
    low, high = as_number(scope.get(rule, "FromPort")), as_number(scope.get(rule, "ToPort"))
    return UNKNOWN if low is None or high is None else (low, high)


class HealthCheckTimeout(Rule):
    id = "S208"
    sentence = "A health check gives up before the next one begins."
    source = _ELB_API + "API_CreateTargetGroup.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ELB + "TargetGroup"):
                timeout = as_number(scope.get(properties, "HealthCheckTimeoutSeconds"))
                interval = as_number(scope.get(properties, "HealthCheckIntervalSeconds"))
                # A network load balancer's TCP check may take its whole interval.
                strict = scope.get(properties, "Protocol") in ("HTTP", "HTTPS")
                path = f"Resources.{logical_id}.Properties.HealthCheckTimeoutSeconds"
                yield from self._judge(stack, path, timeout, interval, strict)
            for logical_id, properties, scope in stack.of_type("AWS::ElasticLoadBalancing::LoadBalancer"):
                timeout = as_number(scope.get(properties, "HealthCheck", "Timeout"))
                interval = as_number(scope.get(properties, "HealthCheck", "Interval"))
                path = f"Resources.{logical_id}.Properties.HealthCheck.Timeout"
                yield from self._judge(stack, path, timeout, interval, True)

    def _judge(
        self, stack: Stack, path: str, timeout: float | None, interval: float | None, strict: bool
    ) -> Iterator[Finding]:
        if timeout is None or interval is None or timeout < interval or (timeout == interval and not strict):
            return
        yield self.finding(
            stack.file,
            path,
            f"The health check may take {timeout:g} s but is repeated every {interval:g} s.",
            f"Set the timeout below {interval:g} s, or the interval above {timeout:g} s.",
        )


# The names of the predefined policies, less the prefix, as the two pages of describe-ssl-policies
# (application and network load balancers) and the API's examples list them in November 2026.
_TLS_POLICIES = frozenset(
    f"ELBSecurityPolicy-{name}"
    for name in (
        "2015-05 2016-08 TLS-1-0-2015-04 TLS-1-1-2017-01 TLS-1-2-2017-01 TLS-1-2-Ext-2018-06 "
        "FS-2018-06 FS-1-1-2019-08 FS-1-2-2019-08 FS-1-2-Res-2019-08 FS-1-2-Res-2020-10 "
        "TLS13-1-0-2021-06 TLS13-1-1-2021-06 TLS13-1-2-2021-06 TLS13-1-2-Res-2021-06 "
        "TLS13-1-2-Ext1-2021-06 TLS13-1-2-Ext2-2021-06 TLS13-1-3-2021-06 "
        "TLS13-1-0-FIPS-2023-04 TLS13-1-1-FIPS-2023-04 TLS13-1-2-FIPS-2023-04 TLS13-1-2-Res-FIPS-2023-04 "
        "TLS13-1-2-Ext0-FIPS-2023-04 TLS13-1-2-Ext1-FIPS-2023-04 TLS13-1-2-Ext2-FIPS-2023-04 "
        "TLS13-1-3-FIPS-2023-04 "
        "TLS13-1-3-RFC9151-FIPS-2023-07 TLS13-1-2-RFC9151-FIPS-2023-07 TLS13-1-2-Ext0-RFC9151-FIPS-2023-07 "
        "TLS13-1-2-RFC9151-INTEROP1-FIPS-2023-07 TLS13-1-2-RFC9151-INTEROP2-FIPS-2023-07 "
        "TLS13-1-2-RFC9151-INTEROP3-FIPS-2023-07 TLS13-1-2-RFC9151-INTEROP4-FIPS-2023-07 "
        "TLS13-1-0-PQ-2025-09 TLS13-1-2-PQ-2025-09 TLS13-1-2-Res-PQ-2025-09 TLS13-1-2-Ext1-PQ-2025-09 "
        "TLS13-1-2-Ext2-PQ-2025-09 TLS13-1-3-PQ-2025-09 TLS13-1-0-FIPS-PQ-2025-09 TLS13-1-2-FIPS-PQ-2025-09 "
        "TLS13-1-2-Res-FIPS-PQ-2025-09 TLS13-1-2-Ext0-FIPS-PQ-2025-09 TLS13-1-2-Ext1-FIPS-PQ-2025-09 "
        "TLS13-1-2-Ext2-FIPS-PQ-2025-09 TLS13-1-3-FIPS-PQ-2025-09"
    ).split()
)
_NEWEST_POLICY = "2025-09"


class TlsPolicy(Rule):
    id = "S209"
    sentence = "A listener's TLS policy is one that Elastic Load Balancing has."
    source = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ELB + "Listener"):
                policy = scope.get(properties, "SslPolicy")
                if not isinstance(policy, str) or not policy or policy in _TLS_POLICIES:
                    continue
                dated = re.fullmatch(r"ELBSecurityPolicy-.*(20\d\d-\d\d)", policy)
                if dated and dated[1] > _NEWEST_POLICY:
                    continue
                close = nearest(policy, _TLS_POLICIES)
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.SslPolicy",
                    f'There is no TLS policy "{policy}".',
                    f"Did you mean {close}?" if close else "Take one from the page.",
                )


_BALANCER_ATTRIBUTES = frozenset(
    {
        "access_logs.s3.bucket",
        "access_logs.s3.enabled",
        "access_logs.s3.prefix",
        "client_keep_alive.seconds",
        "connection_logs.s3.bucket",
        "connection_logs.s3.enabled",
        "connection_logs.s3.prefix",
        "deletion_protection.enabled",
        "dns_record.client_routing_policy",
        "health_check_logs.s3.bucket",
        "health_check_logs.s3.enabled",
        "health_check_logs.s3.prefix",
        "idle_timeout.timeout_seconds",
        "ipv6.deny_all_igw_traffic",
        "load_balancing.cross_zone.enabled",
        "routing.http.desync_mitigation_mode",
        "routing.http.drop_invalid_header_fields.enabled",
        "routing.http.preserve_host_header.enabled",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "routing.http.xff_client_port.enabled",
        "routing.http.xff_header_processing.mode",
        "routing.http2.enabled",
        "secondary_ips.auto_assigned.per_subnet",
        "waf.fail_open.enabled",
        "zonal_shift.config.enabled",
    }
)
_TARGET_GROUP_ATTRIBUTES = frozenset(
    {
        "deregistration_delay.connection_termination.enabled",
        "deregistration_delay.timeout_seconds",
        "lambda.multi_value_headers.enabled",
        "load_balancing.algorithm.anomaly_mitigation",
        "load_balancing.algorithm.type",
        "load_balancing.cross_zone.enabled",
        "preserve_client_ip.enabled",
        "proxy_protocol_v2.enabled",
        "slow_start.duration_seconds",
        "stickiness.app_cookie.cookie_name",
        "stickiness.app_cookie.duration_seconds",
        "stickiness.enabled",
        "stickiness.lb_cookie.duration_seconds",
        "stickiness.type",
        "target_failover.on_deregistration",
        "target_failover.on_unhealthy",
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "target_health_state.unhealthy.connection_termination.enabled",
        "target_health_state.unhealthy.draining_interval_seconds",
    }
)


class Attribute(Rule):
    id = "S210"
    sentence = "The attributes of a load balancer or target group are ones that it has."
    source = _ELB_API + "API_LoadBalancerAttribute.html"

    _TABLE = (
        (_ELB + "LoadBalancer", "LoadBalancerAttributes", _BALANCER_ATTRIBUTES, _TARGET_GROUP_ATTRIBUTES),
        (_ELB + "TargetGroup", "TargetGroupAttributes", _TARGET_GROUP_ATTRIBUTES, _BALANCER_ATTRIBUTES),
    )

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name, known, others in self._TABLE:
                for logical_id, properties, scope in stack.of_type(kind):
                    for index, item in enumerate(scope.items(properties, name) or []):
                        key = scope.get(item, "Key")
                        if isinstance(key, str) and key not in known:
                            yield self._unknown(stack, logical_id, f"{name}.{index}.Key", key, known, others)

    def _unknown(
        self, stack: Stack, logical_id: str, place: str, key: str, known: frozenset[str], others: frozenset[str]
    ) -> Finding:
        close = nearest(key, known)
        # AWS adds attributes; a key that resembles none may be newer than this list.
        severity: Severity = "error" if close or key in others else "warning"
        cure = f"Did you mean {close}?" if close else "Take one from the page."
        if key in others:
            cure = "It belongs to " + ("the load balancer." if others is _BALANCER_ATTRIBUTES else "the target group.")
        path = f"Resources.{logical_id}.Properties.{place}"
        return self.finding(stack.file, path, f'{logical_id} has no attribute "{key}".', cure, severity)
