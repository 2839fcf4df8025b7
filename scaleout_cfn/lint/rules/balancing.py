"""Load balancers, target groups, and the services behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scaleout_cfn.lint.rules.base import Rule, nearest
from scaleout_cfn.lint.rules.services import entries, handed_out, property_of
from scaleout_cfn.lint.rules.tables import BALANCER_ATTRIBUTES, NEWEST_TLS_POLICY, TARGET_GROUP_ATTRIBUTES, TLS_POLICIES
from scaleout_cfn.templates.findings import Finding, Severity
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import StackView, Symbol, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_ELB = "AWS::ElasticLoadBalancingV2::"
_ECS_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_ELB_API = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/"


class ContainerName(Rule):
    id = "S201"
    sentence = "A service sends its load balancer to a container that its task definition has."
    source = _ECS_API + "API_LoadBalancer.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in entries(stacks):
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
        for entry in entries(stacks):
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
        for entry in entries(stacks):
            mode = entry.tasks.network_mode if entry.tasks else UNKNOWN
            kind = entry.group_property("TargetType") or "instance"
            wanted = (
                {"awsvpc": "ip", "bridge": "instance", "host": "instance"}.get(mode) if isinstance(mode, str) else None
            )
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
        for entry in entries(stacks):
            group, mapping = entry.group, entry.mapping
            if entry.tasks is None or group is None or mapping is None or entry.tasks.network_mode != "bridge":
                continue
            port = entry.group_property("HealthCheckPort")
            if not mapping["HostPort"] and as_number(port) is not None:
                yield self.finding(
                    group.stack.file,
                    f"Resources.{group.name}.Properties.HealthCheckPort",
                    f"{entry.service} of {entry.stack.file} maps port {entry.port:g} to a host port of the moment, "
                    f"but {group.name} checks health on port {port}.",
                    "Set HealthCheckPort to traffic-port.",
                )


_ACTIONS = {_ELB + "Listener": "DefaultActions", _ELB + "ListenerRule": "Actions"}


def _forwards(root: StackView) -> dict[Symbol, list[tuple[StackView, str]]] | None:
    """The listeners and rules of a tree by the target group they forward to; None if one cannot be told."""
    found: dict[Symbol, list[tuple[StackView, str]]] = {}
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
                            found.setdefault(group.bare, []).append((stack, logical_id))
    return found


class UnattachedTargetGroup(Rule):
    id = "S205"
    sentence = "The target group of a service is behind a listener of the set."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-load-balancing.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in entries(stacks):
            forwards = _forwards(entry.stack.root)
            if forwards is None or entry.group is None or entry.group.bare in forwards:
                continue
            if not handed_out(entry.stack.root, entry.group.bare, outputs=True):
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
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in entries(stacks):
            forwards = _forwards(entry.stack.root)
            if forwards is None or entry.group is None or handed_out(entry.stack.root, entry.group.bare, outputs=True):
                continue
            listeners = forwards.get(entry.group.bare, [])
            if listeners and not any(after((entry.stack, entry.service), listener) for listener in listeners):
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


def after(later: tuple[StackView, str], earlier: tuple[StackView, str]) -> bool:
    """Whether one resource of a tree is made only after another."""
    upper, lower = dict(_chain(*later)), dict(_chain(*earlier))
    for stack, name in upper.items():
        if stack in lower and lower[stack] != name:
            return stack.facts.waits_for(name, lower[stack])
    return True


def _chain(stack: StackView, name: str) -> Iterator[tuple[StackView, str]]:
    """A resource and the nested stacks around it, each with the stack that declares it, innermost first."""
    here: StackView | None = stack
    while here is not None:
        yield here, name
        name = here.nested.logical_id if here.nested else ""
        here = here.parent


class ClosedPort(Rule):
    id = "S207"
    sentence = "The security groups of a load balancer or an awsvpc service let in the port that it serves."
    source = (
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-update-security-groups.html"
    )

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for entry in entries(stacks):
            groups = entry.scope.get(
                entry.scope.get(entry.stack.resource(entry.service).get("Properties"), "NetworkConfiguration"),
                "AwsvpcConfiguration",
                "SecurityGroups",
            )
            if entry.port is not None and entry.tasks and entry.tasks.network_mode == "awsvpc":
                over = entry.mapping["Protocol"] if entry.mapping else UNKNOWN
                path = f"{entry.path}.ContainerPort"
                yield from self._judge(entry.stack, groups, entry.port, over or "tcp", path, entry.service)
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ELB + "Listener"):
                port = as_number(scope.get(properties, "Port"))
                balancer = resource_of(scope.get(properties, "LoadBalancerArn"), _ELB + "LoadBalancer")
                if port is not None and balancer is not None:
                    groups, over = property_of(balancer, "SecurityGroups"), scope.get(properties, "Protocol")
                    path = f"Resources.{logical_id}.Properties.Port"
                    yield from self._judge(stack, groups, port, over, path, balancer.name)

    def _judge(self, stack: StackView, groups: Any, port: float, over: Any, path: str, owner: str) -> Iterator[Finding]:
        transports = _TRANSPORTS.get(str(over).upper()) if isinstance(over, str) else None
        if not isinstance(groups, list) or transports is None:
            return
        opened: list[tuple[float, float]] = []
        for group in groups:
            symbol = resource_of(group, "AWS::EC2::SecurityGroup")
            known = symbol is not None and not handed_out(symbol.stack.root, symbol.bare, outputs=True)
            ranges = _ingress(symbol, transports) if symbol and known else None
            if ranges is None:
                return
            opened += ranges
        # No rule at all may mean that somebody else adds them; rules for other ports only do not.
        if opened and not any(low <= port <= high for low, high in opened):
            listed = ", ".join(f"{low:g}" if low == high else f"{low:g}-{high:g}" for low, high in sorted({*opened}))
            yield self.finding(
                stack.file,
                path,
                f"{owner} serves port {port:g}, but its security groups let in {listed} only.",
                f"Let port {port:g} in, or serve the port that is open.",
            )


# What each protocol of a listener, and of a container's port, travels by: names and numbers of IpProtocol.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
_TCP, _UDP = frozenset({"tcp", "6"}), frozenset({"udp", "17"})
_TRANSPORTS = {
    **dict.fromkeys(("HTTP", "HTTPS", "TCP", "TLS"), _TCP),
    **dict.fromkeys(("UDP", "QUIC"), _UDP),
    **dict.fromkeys(("TCP_UDP", "TCP_QUIC"), _TCP | _UDP),
}


def _ingress(group: Symbol, transports: frozenset[str]) -> list[tuple[float, float]] | None:
    """The port ranges that a security group lets in over some protocols; None where one is not known."""
    resource = group.stack.resource(group.name)
    scope = group.stack.scope_of(resource)
    inline = scope.items(resource.get("Properties"), "SecurityGroupIngress")
    if inline is None:
        return None
    rules = [(scope, rule) for rule in inline]
    for stack in group.stack.root.tree():
        for _, properties, inner in stack.of_type("AWS::EC2::SecurityGroupIngress"):
            owner = inner.get(properties, "GroupId")
            if owner is UNKNOWN:
                return None
            if isinstance(owner, Symbol) and owner.bare == group.bare:
                rules.append((inner, properties))
    found = []
    for reader, rule in rules:
        protocol = reader.get(rule, "IpProtocol")
        low, high = as_number(reader.get(rule, "FromPort")), as_number(reader.get(rule, "ToPort"))
        if str(protocol) == "-1":
            found.append((0.0, 65535.0))
        elif str(protocol).lower() in transports:
            if low is None or high is None:
                return None
            found.append((low, high))
        elif not isinstance(protocol, (str, int)):
            return None
    return found


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
        self, stack: StackView, path: str, timeout: float | None, interval: float | None, strict: bool
    ) -> Iterator[Finding]:
        if timeout is None or interval is None or timeout < interval or (timeout == interval and not strict):
            return
        yield self.finding(
            stack.file,
            path,
            f"The health check may take {timeout:g} s but is repeated every {interval:g} s.",
            f"Set the timeout below {interval:g} s, or the interval above {timeout:g} s.",
        )


class TlsPolicy(Rule):
    id = "S209"
    sentence = "A listener's TLS policy is one that Elastic Load Balancing has."
    source = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_ELB + "Listener"):
                policy = scope.get(properties, "SslPolicy")
                if not isinstance(policy, str) or not policy or policy in TLS_POLICIES:
                    continue
                dated = re.fullmatch(r"ELBSecurityPolicy-.*(20\d\d-\d\d)", policy)
                if dated and dated[1] > NEWEST_TLS_POLICY:
                    continue
                close = nearest(policy, TLS_POLICIES)
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.SslPolicy",
                    f'There is no TLS policy "{policy}".',
                    f"Did you mean {close}?" if close else "Take one from the page.",
                )


class Attribute(Rule):
    id = "S210"
    sentence = "The attributes of a load balancer or target group are ones that it has."
    source = _ELB_API + "API_LoadBalancerAttribute.html"

    _TABLE = (
        (_ELB + "LoadBalancer", "LoadBalancerAttributes", BALANCER_ATTRIBUTES, TARGET_GROUP_ATTRIBUTES),
        (_ELB + "TargetGroup", "TargetGroupAttributes", TARGET_GROUP_ATTRIBUTES, BALANCER_ATTRIBUTES),
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
        self, stack: StackView, logical_id: str, place: str, key: str, known: frozenset[str], others: frozenset[str]
    ) -> Finding:
        close = nearest(key, known)
        # AWS adds attributes; a key that resembles none may be newer than this list.
        severity: Severity = "error" if close or key in others else "warning"
        cure = f"Did you mean {close}?" if close else "Take one from the page."
        if key in others:
            cure = "It belongs to " + ("the load balancer." if others is BALANCER_ATTRIBUTES else "the target group.")
        path = f"Resources.{logical_id}.Properties.{place}"
        return self.finding(stack.file, path, f'{logical_id} has no attribute "{key}".', cure, severity)
