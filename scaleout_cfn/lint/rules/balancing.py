"""Load balancers, target groups, and the services behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scaleout_cfn.lint.rules.base import Fault, Faults, fault, nearest, rule
from scaleout_cfn.lint.rules.services import SERVICE, TARGET_GROUP, entries, handed_out, mappings, names, network_mode
from scaleout_cfn.lint.rules.tables import BALANCER_ATTRIBUTES, NEWEST_TLS_POLICY, TARGET_GROUP_ATTRIBUTES, TLS_POLICIES
from scaleout_cfn.templates.stacks import Place, StackView, Symbol, resource_of
from scaleout_cfn.templates.values import UNKNOWN, Severity

_ECS_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_ELB_API = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/"
_ELB_GUIDE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
_ECS_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
_CLASSIC = "AWS::ElasticLoadBalancing::LoadBalancer"
# The property that holds the actions.
ACTIONS = {LISTENER: "DefaultActions", RULE: "Actions"}


@rule("S201", _ECS_API + "API_LoadBalancer.html", SERVICE)
def container_name(service: Place) -> Faults:
    """A service sends its load balancer to a container that its task definition has."""
    for entry in entries(service):
        known = names(entry.tasks)
        if known and isinstance(entry.container, str) and entry.container not in known:
            close = nearest(entry.container, known)
            yield fault(
                entry.place,
                "ContainerName",
                f"{service} balances to container {entry.container}, which {entry.tasks} does not have.",
                f"Did you mean {close}?" if close else f"Its containers are {', '.join(known)}.",
            )


@rule("S202", _ECS_API + "API_LoadBalancer.html", SERVICE)
def container_port(service: Place) -> Faults:
    """A service sends its load balancer to a port that the container maps."""
    for entry in entries(service):
        mapped = mappings(entry.tasks, entry.container)
        if mapped is not None and entry.port is not None and entry.mapping is None:
            ports = [f"{mapping['ContainerPort']:g}" for mapping in mapped if mapping["ContainerPort"] is not None]
            yield fault(
                entry.place,
                "ContainerPort",
                f"{service} balances to port {entry.port:g} of container {entry.container}, which "
                f"maps {', '.join(ports) or 'no port'}.",
                "Give ContainerPort and the container's PortMappings one value from one parameter.",
            )


@rule("S203", _ECS_API + "API_LoadBalancer.html", SERVICE)
def target_kind(service: Place) -> Faults:
    """Tasks with awsvpc networking stand behind a target group of type ip, others behind type instance."""
    for entry in entries(service):
        mode = network_mode(entry.tasks)
        kind = entry.group.place.get("TargetType") or "instance" if entry.group else UNKNOWN
        wanted = {"awsvpc": "ip", "bridge": "instance", "host": "instance"}.get(mode) if isinstance(mode, str) else None
        if wanted and kind in ("ip", "instance") and kind != wanted and entry.group:
            yield fault(
                entry.place,
                "TargetGroupArn",
                f"{service} runs tasks in {mode} networking, but target group {entry.group.name} of "
                f"{entry.group.stack.file} has targets of type {kind}.",
                f"Set TargetType of {entry.group.name} to {wanted}, or change the tasks' NetworkMode.",
            )


@rule("S204", _ECS_GUIDE + "alb.html", SERVICE, overlaps=["E3049"])
def health_check_port(service: Place) -> Faults:
    """Where host ports are dynamic, the target group checks health on the port that carries traffic."""
    for entry in entries(service):
        group, mapping = entry.group, entry.mapping
        if group is None or mapping is None or network_mode(entry.tasks) != "bridge":
            continue
        if not mapping["HostPort"] and group.place.number("HealthCheckPort") is not None:
            yield fault(
                group.place,
                "HealthCheckPort",
                f"{service} of {service.stack.file} maps port {entry.port:g} to a host port of the moment, "
                f"but {group.name} checks health on port {group.place.get('HealthCheckPort')}.",
                "Set HealthCheckPort to traffic-port.",
            )


def _forwards(root: StackView) -> dict[Symbol, list[Place]] | None:
    """The listeners and rules of a tree by the target group they forward to; None if one cannot be told."""
    found: dict[Symbol, list[Place]] = {}
    for stack in root.tree():
        for place in stack.places(*ACTIONS):
            groups = _forwarded(place)
            if groups is None:
                return None
            for group in groups:
                found.setdefault(group.bare, []).append(place)
    return found


def _forwarded(listener: Place) -> list[Symbol] | None:
    """What a listener or rule forwards to, as far as it is named in the set; None if one cannot be told."""
    found: list[Symbol] = []
    if listener.items(ACTIONS[listener.type]) is None:
        return None
    for action in listener.each(ACTIONS[listener.type]):
        if action.get("ForwardConfig") is not None and action.items("ForwardConfig", "TargetGroups") is None:
            return None
        for place in (action, *action.each("ForwardConfig", "TargetGroups")):
            group = place.get("TargetGroupArn")
            if group is UNKNOWN or (isinstance(group, Symbol) and group.type.endswith("CustomResource")):
                return None
            found += [group] if isinstance(group, Symbol) else []
    return found


def _in_front_of(service: Place) -> Iterator[tuple[Place, Symbol, list[Place]]]:
    """Each entry of a service with its target group and what is known to forward to that."""
    root = service.stack.root
    for entry in entries(service):
        forwards = root.remembered(("forwards",), lambda: _forwards(root))
        if forwards is not None and entry.group and not handed_out(root, entry.group.bare, outputs=True):
            yield entry.place, entry.group, forwards.get(entry.group.bare, [])


@rule("S205", _ECS_GUIDE + "service-load-balancing.html", SERVICE)
def unattached_target_group(service: Place) -> Faults:
    """The target group of a service is behind a listener of the set."""
    for place, group, listeners in _in_front_of(service):
        if not listeners:
            yield fault(
                place,
                "TargetGroupArn",
                f"No listener or listener rule of the set forwards to target group {group.name} of "
                f"{group.stack.file}; ECS refuses a service whose target group has no load balancer.",
                "Forward to it in a listener's DefaultActions or in a ListenerRule.",
            )


@rule("S206", _ECS_GUIDE + "service-load-balancing.html", SERVICE, severity="warning")
def service_before_listener(service: Place) -> Faults:
    """A service is made after a listener that forwards to its target group."""
    for _, _, listeners in _in_front_of(service):
        if listeners and not any(after(service, listener) for listener in listeners):
            first = listeners[0]
            yield Fault(
                service.stack.file,
                f"Resources.{service}",
                f"Nothing makes {service} wait for {first} of {first.stack.file}, which puts its target group "
                "behind a load balancer; ECS refuses the service if it comes first.",
                f"Add DependsOn: {first}."
                if first.stack is service.stack
                else f"Pass an output that is a Ref to {first} into the service's stack.",
            )


def after(later: Place, earlier: Place) -> bool:
    """Whether one resource of a tree is made only after another."""
    upper, lower = dict(_chain(later)), dict(_chain(earlier))
    for stack, name in upper.items():
        if stack in lower and lower[stack] != name:
            return stack.facts.waits_for(name, lower[stack])
    return True


def _chain(place: Place) -> Iterator[tuple[StackView, str]]:
    """A resource and the nested stacks around it, each with the stack that declares it, innermost first."""
    here: StackView | None = place.stack
    name = place.logical_id
    while here is not None:
        yield here, name
        name = here.nested.logical_id if here.nested else ""
        here = here.parent


@rule("S207", _ELB_GUIDE + "load-balancer-update-security-groups.html", SERVICE, LISTENER)
def closed_port(place: Place) -> Faults:
    """The security groups of a load balancer or an awsvpc service let in the port that it serves."""
    if place.type == LISTENER:
        balancer = resource_of(place.get("LoadBalancerArn"), BALANCER)
        if balancer is not None:
            groups = balancer.place.get("SecurityGroups")
            yield from _closed(place, "Port", groups, place.number("Port"), place.get("Protocol"), balancer.name)
        return
    groups = place.get("NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups")
    for entry in entries(place):
        if network_mode(entry.tasks) == "awsvpc":
            over = (entry.mapping["Protocol"] if entry.mapping else UNKNOWN) or "tcp"
            yield from _closed(entry.place, "ContainerPort", groups, entry.port, over, str(place))


def _closed(place: Place, at: str, groups: Any, port: float | None, over: Any, owner: str) -> Faults:
    transports = _TRANSPORTS.get(over.upper()) if isinstance(over, str) else None
    if not isinstance(groups, list) or transports is None or port is None:
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
        message = f"{owner} serves port {port:g}, but its security groups let in {listed} only."
        yield fault(place, at, message, f"Let port {port:g} in, or serve the port that is open.")


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
    if group.place.items("SecurityGroupIngress") is None:
        return None
    rules = [*group.place.each("SecurityGroupIngress")]
    for place in group.stack.root.below("AWS::EC2::SecurityGroupIngress"):
        owner = place.get("GroupId")
        if owner is UNKNOWN:
            return None
        if isinstance(owner, Symbol) and owner.bare == group.bare:
            rules.append(place)
    found = []
    for opening in rules:
        protocol, low, high = opening.get("IpProtocol"), opening.number("FromPort"), opening.number("ToPort")
        if str(protocol) == "-1":
            found.append((0.0, 65535.0))
        elif str(protocol).lower() in transports:
            if low is None or high is None:
                return None
            found.append((low, high))
        elif not isinstance(protocol, (str, int)):
            return None
    return found


@rule("S208", _ELB_API + "API_CreateTargetGroup.html", TARGET_GROUP, _CLASSIC)
def health_check_timeout(place: Place) -> Faults:
    """A health check gives up before the next one begins."""
    at, every = "HealthCheckTimeoutSeconds", "HealthCheckIntervalSeconds"
    if place.type == _CLASSIC:
        at, every = "HealthCheck.Timeout", "HealthCheck.Interval"
    timeout, interval = place.number(*at.split(".")), place.number(*every.split("."))
    # A network load balancer's TCP check may take its whole interval.
    strict = place.type == _CLASSIC or place.get("Protocol") in ("HTTP", "HTTPS")
    if timeout is None or interval is None or timeout < interval or (timeout == interval and not strict):
        return
    message = f"The health check may take {timeout:g} s but is repeated every {interval:g} s."
    yield fault(place, at, message, f"Set the timeout below {interval:g} s, or the interval above {timeout:g} s.")


@rule("S209", _ELB_GUIDE + "describe-ssl-policies.html", LISTENER)
def tls_policy(listener: Place) -> Faults:
    """A listener's TLS policy is one that Elastic Load Balancing has."""
    policy = listener.get("SslPolicy")
    if not isinstance(policy, str) or not policy or policy in TLS_POLICIES:
        return
    dated = re.fullmatch(r"ELBSecurityPolicy-.*(20\d\d-\d\d)", policy)
    if not dated or dated[1] <= NEWEST_TLS_POLICY:
        close = nearest(policy, TLS_POLICIES)
        cure = f"Did you mean {close}?" if close else "Take one from the page."
        yield fault(listener, "SslPolicy", f'There is no TLS policy "{policy}".', cure)


@rule("S210", _ELB_API + "API_LoadBalancerAttribute.html", BALANCER, TARGET_GROUP)
def attribute(place: Place) -> Faults:
    """The attributes of a load balancer or target group are ones that it has."""
    at, known, others, owner = "TargetGroupAttributes", TARGET_GROUP_ATTRIBUTES, BALANCER_ATTRIBUTES, "load balancer"
    if place.type == BALANCER:
        at, known, others, owner = "LoadBalancerAttributes", others, known, "target group"
    for item in place.each(at):
        key = item.get("Key")
        if isinstance(key, str) and key not in known:
            close = nearest(key, known)
            # AWS adds attributes; a key that resembles none may be newer than this list.
            severity: Severity = "error" if close or key in others else "warning"
            cure = f"Did you mean {close}?" if close else "Take one from the page."
            cure = f"It belongs to the {owner}." if key in others else cure
            yield fault(item, "Key", f'{place} has no attribute "{key}".', cure, severity)
