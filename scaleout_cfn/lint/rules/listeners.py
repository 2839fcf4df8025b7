"""Listeners, their rules and target groups: what meets on one of them, and what a load balancer refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import Rule
from scaleout_cfn.lint.rules.names import Holder, place_of, taken
from scaleout_cfn.lint.rules.services import TARGET_GROUP, property_of
from scaleout_cfn.templates.conditions import every, possible
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_ELB = "AWS::ElasticLoadBalancingV2::"
_API = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/"
_LISTENER, _RULE, _BALANCER = (_ELB + name for name in ("Listener", "ListenerRule", "LoadBalancer"))
_ACTIONS = {_LISTENER: "DefaultActions", _RULE: "Actions"}
_WEB = ("HTTP", "HTTPS")


def _identity(value: Any) -> Any:
    """A listener or load balancer by its Ref or ARN, as something that can be compared; None if not known."""
    return value.bare if isinstance(value, Symbol) else value if isinstance(value, (str, Text)) and value else None


def _balancer(scope: Scope, properties: Any) -> Symbol | None:
    return resource_of(scope.get(properties, "LoadBalancerArn"), _BALANCER)


def _kind(balancer: Symbol | None) -> str | None:
    """The type of a load balancer: application, network or gateway."""
    value = property_of(balancer, "Type") if balancer else UNKNOWN
    return "application" if value is None else value if isinstance(value, str) else None


def _listener_of(scope: Scope, properties: Any) -> tuple[Symbol, Mapping[str, Any], Scope] | None:
    """The listener of a rule, with its properties and the scope to read them in."""
    listener = resource_of(scope.get(properties, "ListenerArn"), _LISTENER)
    if listener is None:
        return None
    resource = listener.stack.resource(listener.name)
    reader = listener.stack.scope_of(resource)
    found = reader.value(resource.get("Properties", {}))
    return (listener.bare, found, reader) if isinstance(found, Mapping) else None


class PriorityTwice(Rule):
    id = "S211"
    sentence = "The rules of a listener have different priorities, in whichever stacks they are."
    source = _API + "API_CreateRule.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            for (_, priority), first, second in taken(_priorities(root)):
                said = f"${{{priority.name}}}" if isinstance(priority, Symbol) else f"{priority:g}"
                yield self.finding(
                    second.stack.file,
                    f"{second.path}.Priority",
                    f"{second.entry} has priority {said}, as {place_of(first, second)} has on the same listener.",
                    "Give each rule of a listener a priority of its own.",
                )


def _priorities(root: StackView) -> Iterator[tuple[tuple[Any, float | Symbol], Holder]]:
    for stack in root.tree():
        for logical_id, properties, scope in stack.of_type(_RULE):
            listener = _identity(scope.get(properties, "ListenerArn"))
            presence = stack.presence(stack.resource(logical_id))
            for when, given in scope.choices(properties.get("Priority")):
                priority = given if isinstance(given, Symbol) else as_number(given)
                if listener is not None and priority is not None:
                    holder = Holder(stack, logical_id, every([presence, when]), f"Resources.{logical_id}.Properties")
                    yield (listener, priority), holder


class PortTwice(Rule):
    id = "S212"
    sentence = "The listeners of a load balancer have different ports."
    source = _API + "API_CreateListener.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            for (_, port, _), first, second in taken(self._ports(root)):
                yield self.finding(
                    second.stack.file,
                    f"{second.path}.Port",
                    f"{second.entry} listens on port {port:g}, as {place_of(first, second)} does for the same load "
                    "balancer.",
                    "Take another port, or put both into the rules of one listener.",
                )

    def _ports(self, root: StackView) -> Iterator[tuple[tuple[Any, float, bool], Holder]]:
        for stack in root.tree():
            for logical_id, properties, scope in stack.of_type(_LISTENER):
                balancer = _identity(scope.get(properties, "LoadBalancerArn"))
                port, protocol = as_number(scope.get(properties, "Port")), scope.get(properties, "Protocol")
                if balancer is not None and port is not None and isinstance(protocol, str):
                    presence = stack.presence(stack.resource(logical_id))
                    holder = Holder(stack, logical_id, presence, f"Resources.{logical_id}.Properties")
                    yield (balancer, port, protocol in ("UDP", "QUIC")), holder


class RuleNeverReached(Rule):
    id = "S213"
    sentence = "No rule of a listener comes after one that takes every request."
    source = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html"
    severity = "warning"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            numbered = [
                (listener, priority, holder)
                for (listener, priority), holder in _priorities(root)
                if not isinstance(priority, Symbol) and holder.presence is not False
            ]
            catching = [entry for entry in numbered if _takes_all(*_read(entry[2]))]
            for listener, priority, holder in numbered:
                for other, first, before in catching:
                    if other == listener and first < priority and possible(before.presence, holder.presence):
                        yield self.finding(
                            holder.stack.file,
                            f"{holder.path}.Priority",
                            f"{before.entry} of {before.stack.file} takes every request before {holder.entry} sees "
                            f"it: its priority is {first:g}, that of {holder.entry} {priority:g}.",
                            f"Give {before.entry} the highest number of all.",
                        )
                        break


def _read(holder: Holder) -> tuple[Scope, Any]:
    resource = holder.stack.resource(holder.entry)
    return holder.stack.scope_of(resource), resource.get("Properties")


def _takes_all(scope: Scope, properties: Any) -> bool:
    """Whether a rule's only condition is a path that every request has."""
    conditions = scope.items(properties, "Conditions")
    if not conditions or any(scope.get(it, "Field") != "path-pattern" for it in conditions):
        return False
    for condition in conditions:
        values = (scope.items(condition, "Values") or []) + (
            scope.items(condition, "PathPatternConfig", "Values") or []
        )
        if not any(value in ("*", "/*") for value in values):
            return False
    return True


class ProtocolOfBalancer(Rule):
    id = "S214"
    sentence = "A listener has a protocol of its load balancer's type."
    source = _API + "API_CreateListener.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_LISTENER):
                balancer, protocol = _balancer(scope, properties), scope.get(properties, "Protocol")
                kind = _kind(balancer)
                if balancer is None or kind not in ("application", "network") or not isinstance(protocol, str):
                    continue
                if (kind == "application") != (protocol in _WEB):
                    right = "HTTP or HTTPS" if kind == "application" else "TCP, TLS, UDP or TCP_UDP"
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.Protocol",
                        f"{logical_id} speaks {protocol}, but {balancer.name} is a load balancer of type {kind}.",
                        f"Set Protocol to {right}, or Type of {balancer.name} to another.",
                    )


def _groups(scope: Scope, properties: Any, name: str) -> Iterator[tuple[str, Symbol]]:
    """The target groups of the set that a listener or rule forwards to, each with its place."""
    for index, action in enumerate(scope.items(properties, name) or []):
        places = [(f"{name}.{index}.TargetGroupArn", scope.get(action, "TargetGroupArn"))]
        forward = scope.get(action, "ForwardConfig")
        for number, item in enumerate(scope.items(forward, "TargetGroups") or [] if forward is not None else []):
            path = f"{name}.{index}.ForwardConfig.TargetGroups.{number}.TargetGroupArn"
            places.append((path, scope.get(item, "TargetGroupArn")))
        for path, value in places:
            group = resource_of(value, TARGET_GROUP)
            if group is not None:
                yield path, group.bare


class ProtocolOfTargets(Rule):
    id = "S215"
    sentence = "A listener forwards to target groups whose protocol its own can be turned into."
    source = _API + "API_CreateTargetGroup.html"

    # What the targets of a network load balancer's listener may speak.
    _ALLOWED = {
        "TCP": ("TCP", "TCP_UDP"),
        "TLS": ("TCP", "TLS"),
        "UDP": ("UDP", "TCP_UDP"),
        "TCP_UDP": ("TCP_UDP",),
        "HTTP": _WEB,
        "HTTPS": _WEB,
    }

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in _ACTIONS.items():
                for logical_id, properties, scope in stack.of_type(kind):
                    if kind == _LISTENER:
                        protocol = scope.get(properties, "Protocol")
                    else:
                        listener = _listener_of(scope, properties)
                        protocol = listener[2].get(listener[1], "Protocol") if listener else UNKNOWN
                    for path, group in _groups(scope, properties, name):
                        spoken = property_of(group, "Protocol")
                        allowed = self._ALLOWED.get(protocol) if isinstance(protocol, str) else None
                        # Functions have no protocol, and a balancer behind a balancer is asked by TCP.
                        if allowed and isinstance(spoken, str) and spoken not in allowed:
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{path}",
                                f"{logical_id} takes {protocol} and forwards to {group.name} of {group.stack.file}, "
                                f"whose targets speak {spoken}.",
                                f"Set Protocol of {group.name} to {' or '.join(allowed)}.",
                            )


class GroupOfTwoBalancers(Rule):
    id = "S216"
    sentence = "A target group is behind one load balancer."
    source = "https://github.com/hashicorp/terraform-provider-aws/issues/22005"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for root in stacks.roots:
            first: dict[Symbol, list[tuple[Symbol, Any]]] = {}
            for stack in root.tree():
                for kind, name in _ACTIONS.items():
                    for logical_id, properties, scope in stack.of_type(kind):
                        listener = _listener_of(scope, properties) if kind == _RULE else None
                        owner = _balancer(*((listener[2], listener[1]) if listener else (scope, properties)))
                        presence = stack.presence(stack.resource(logical_id))
                        for path, group in _groups(scope, properties, name) if owner else ():
                            balancer = owner.bare if owner else group
                            others = [other for other, when in first.get(group, ()) if possible(when, presence)]
                            other = next((it for it in others if it != balancer), None)
                            first.setdefault(group, []).append((balancer, presence))
                            if other is not None:
                                yield self.finding(
                                    stack.file,
                                    f"Resources.{logical_id}.Properties.{path}",
                                    f"{logical_id} of {balancer.name} forwards to {group.name}, which is behind "
                                    f"{other.name} already.",
                                    f"Make a target group for {balancer.name}; a service takes several.",
                                )


class RedirectLoop(Rule):
    id = "S217"
    sentence = "A redirect changes the protocol, host, port or path of a request."
    source = _API + "API_RedirectActionConfig.html"

    _SAME = {"Host": "#{host}", "Path": "/#{path}"}

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in _ACTIONS.items():
                for logical_id, properties, scope in stack.of_type(kind):
                    listener = (properties, scope)
                    if kind == _RULE:
                        found = _listener_of(scope, properties)
                        if found is None:
                            continue
                        listener = (found[1], found[2])
                    for index, action in enumerate(scope.items(properties, name) or []):
                        if scope.get(action, "Type") == "redirect" and self._stays(scope, action, *listener):
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{name}.{index}.RedirectConfig",
                                f"{logical_id} redirects each request to itself.",
                                "Change the protocol, host, port or path: to HTTPS on port 443, for example.",
                            )

    def _stays(self, scope: Scope, action: Any, listener: Any, reader: Scope) -> bool:
        config = scope.get(action, "RedirectConfig")
        if config in (None, UNKNOWN):
            return False
        for part, same in self._SAME.items():
            if scope.get(config, part) not in (None, same):
                return False
        # A rule for one host or path may send the request to the same place only if it names neither.
        for part, same in (("Protocol", "#{protocol}"), ("Port", "#{port}")):
            value, own = scope.get(config, part), reader.get(listener, part)
            if value in (None, same):
                continue
            if value is UNKNOWN or not isinstance(own, (str, int)) or str(value) != str(own):
                return False
        return True


class OrderOfActions(Rule):
    id = "S218"
    sentence = "A listener or rule ends in one forward, redirect or fixed response; users sign in by HTTPS only."
    source = _API + "API_Action.html"

    _LAST = ("forward", "redirect", "fixed-response")
    _SIGN_IN = ("authenticate-oidc", "authenticate-cognito", "jwt-validation")

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in _ACTIONS.items():
                for logical_id, properties, scope in stack.of_type(kind):
                    actions = scope.items(properties, name)
                    kinds = [scope.get(action, "Type") for action in actions or []]
                    if not kinds or not all(isinstance(it, str) for it in kinds):
                        continue
                    fault = self._fault(kinds, kind, scope, properties)
                    if fault:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.{name}",
                            f"{logical_id} {fault[0]}.",
                            fault[1],
                        )

    def _fault(self, kinds: list[str], kind: str, scope: Scope, properties: Any) -> tuple[str, str] | None:
        routing = [it for it in kinds if it in self._LAST]
        if len(routing) != 1:
            return (
                f"has {len(routing)} actions that end it: {', '.join(routing) or 'none'}",
                "Let one action of forward, redirect or fixed-response be the last.",
            )
        signing = [it for it in kinds if it in self._SIGN_IN]
        listener = _listener_of(scope, properties) if kind == _RULE else None
        protocol = scope.get(properties, "Protocol") if kind == _LISTENER else None
        if listener:
            protocol = listener[2].get(listener[1], "Protocol")
        if signing and protocol == "HTTP":
            return f"has {signing[0]}, but its listener speaks HTTP", "Sign users in on a listener of HTTPS."
        return None


class ConditionOfRule(Rule):
    id = "S219"
    sentence = "A rule has each kind of condition once, and host names with a dot."
    source = _API + "API_RuleCondition.html"

    _ONCE = ("http-request-method", "host-header", "path-pattern", "source-ip")

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_RULE):
                seen: set[Any] = set()
                for index, condition in enumerate(scope.items(properties, "Conditions") or []):
                    field = scope.get(condition, "Field")
                    path = f"Resources.{logical_id}.Properties.Conditions.{index}"
                    if field in self._ONCE and field in seen:
                        yield self.finding(
                            stack.file,
                            f"{path}.Field",
                            f"{logical_id} has two conditions on {field}.",
                            "Put all values into one condition: one that matches is enough.",
                        )
                    seen.add(field if isinstance(field, str) else None)
                    hosts = (scope.items(condition, "Values") or []) + (
                        scope.items(condition, "HostHeaderConfig", "Values") or []
                    )
                    for host in hosts if field == "host-header" else ():
                        if isinstance(host, str) and host and ("." not in host or "/" in host or ":" in host):
                            yield self.finding(
                                stack.file,
                                path,
                                f'{logical_id} waits for the host "{host}", which no name of a host is.',
                                "Write a host name with a dot, without scheme, port and path: shop.example.com.",
                            )


class CertificateOfHttp(Rule):
    id = "S220"
    sentence = "A listener without encryption has neither certificates nor a TLS policy."
    source = _API + "API_CreateListener.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_LISTENER):
                protocol = scope.get(properties, "Protocol")
                for name in ("Certificates", "SslPolicy"):
                    value = scope.get(properties, name)
                    if protocol in ("HTTP", "TCP", "UDP", "TCP_UDP") and value not in (None, UNKNOWN, [], ""):
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.{name}",
                            f"{logical_id} speaks {protocol}, but has {name}.",
                            f"Leave {name} out, or set Protocol to {'HTTPS' if protocol == 'HTTP' else 'TLS'}.",
                        )


# The numbers that attributes of load balancers and target groups may be.
_RANGES: dict[str, tuple[float, float]] = {
    "client_keep_alive.seconds": (60, 604_800),
    "deregistration_delay.timeout_seconds": (0, 3_600),
    "idle_timeout.timeout_seconds": (1, 4_000),
    "stickiness.app_cookie.duration_seconds": (1, 604_800),
    "stickiness.lb_cookie.duration_seconds": (1, 604_800),
    "target_health_state.unhealthy.draining_interval_seconds": (0, 360_000),
}


class NumberOfAttribute(Rule):
    id = "S221"
    sentence = "The attributes of a load balancer or target group that are numbers lie within their bounds."
    source = _API + "API_TargetGroupAttribute.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in ((_BALANCER, "LoadBalancerAttributes"), (TARGET_GROUP, "TargetGroupAttributes")):
                for logical_id, properties, scope in stack.of_type(kind):
                    for index, item in enumerate(scope.items(properties, name) or []):
                        key, value = scope.get(item, "Key"), scope.get(item, "Value")
                        reason = _out_of_range(key, value)
                        if reason:
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{name}.{index}.Value",
                                f'{key} of {logical_id} is "{value}".',
                                f"It takes {reason}.",
                            )


def _out_of_range(key: Any, value: Any) -> str | None:
    """What an attribute takes, where its value is something else."""
    number = as_number(value)
    if not isinstance(value, (str, int, float)) or not isinstance(key, str):
        return None
    if key == "slow_start.duration_seconds":
        good = number is not None and (number == 0 or 30 <= number <= 900)
        return None if good else "0, or 30 to 900 seconds"
    if key not in _RANGES:
        return None
    low, high = _RANGES[key]
    return None if number is not None and low <= number <= high else f"{low:,g} to {high:,g} seconds"


class NetworkOfTargets(Rule):
    id = "S222"
    sentence = "A target group is in the network of the load balancer that forwards to it."
    source = _API + "API_CreateTargetGroup.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_LISTENER):
                balancer = _balancer(scope, properties)
                networks = _networks(property_of(balancer, "Subnets")) if balancer else set()
                for path, group in _groups(scope, properties, "DefaultActions"):
                    own = resource_of(property_of(group, "VpcId"), "AWS::EC2::VPC")
                    if balancer and own and len(networks) == 1 and own.bare not in networks:
                        (network,) = networks
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.{path}",
                            f"{logical_id} forwards to {group.name}, which is in {own.name}, while {balancer.name} is "
                            f"in {network.name}.",
                            f"Set VpcId of {group.name} to {network.name}.",
                        )


def _networks(subnets: Any) -> set[Symbol]:
    """The networks of a list of subnets of the set; empty if one is not known."""
    found: set[Symbol] = set()
    for item in subnets if isinstance(subnets, list) else []:
        subnet = resource_of(item, "AWS::EC2::Subnet")
        network = resource_of(property_of(subnet, "VpcId"), "AWS::EC2::VPC") if subnet else None
        if network is None:
            return set()
        found.add(network.bare)
    return found


class SubnetsOfOneZone(Rule):
    id = "S223"
    sentence = "The subnets of a load balancer lie in different zones."
    source = _API + "API_CreateLoadBalancer.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(_BALANCER):
                subnets = scope.get(properties, "Subnets")
                first: dict[Any, Symbol] = {}
                for item in subnets if isinstance(subnets, list) else []:
                    subnet = resource_of(item, "AWS::EC2::Subnet")
                    zone = property_of(subnet, "AvailabilityZone") if subnet else None
                    if subnet is None or not isinstance(zone, (str, Symbol)):
                        continue
                    before = first.setdefault(zone, subnet.bare)
                    if before != subnet.bare:
                        yield self.finding(
                            stack.file,
                            f"Resources.{logical_id}.Properties.Subnets",
                            f"{before.name} and {subnet.name} of {logical_id} are in one zone.",
                            "Give it one subnet of each zone.",
                        )


class HealthCheckPath(Rule):
    id = "S224"
    sentence = "The path of a health check begins with a slash, and belongs to a check by HTTP."
    source = _API + "API_CreateTargetGroup.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type(TARGET_GROUP):
                path = scope.get(properties, "HealthCheckPath")
                checked = scope.get(properties, "HealthCheckProtocol")
                if checked is None and scope.get(properties, "Protocol") in ("TCP", "TLS", "UDP", "TCP_UDP"):
                    checked = "TCP"
                reason = None
                if isinstance(path, str) and path and not path.startswith("/"):
                    reason = f'"{path}", which does not begin with a slash', f"Write /{path}."
                elif checked == "TCP" and path not in (None, UNKNOWN, ""):
                    reason = "given, but it is checked by TCP", "Leave it out, or set HealthCheckProtocol to HTTP."
                if reason:
                    yield self.finding(
                        stack.file,
                        f"Resources.{logical_id}.Properties.HealthCheckPath",
                        f"The path of the health check of {logical_id} is {reason[0]}.",
                        reason[1],
                    )


class ManyGroupsOfAction(Rule):
    id = "S225"
    sentence = "A forward action has at most five target groups."
    source = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for kind, name in _ACTIONS.items():
                for logical_id, properties, scope in stack.of_type(kind):
                    for index, action in enumerate(scope.items(properties, name) or []):
                        forward = scope.get(action, "ForwardConfig")
                        groups = scope.items(forward, "TargetGroups") if forward is not None else None
                        if groups and len(groups) > 5:
                            yield self.finding(
                                stack.file,
                                f"Resources.{logical_id}.Properties.{name}.{index}.ForwardConfig.TargetGroups",
                                f"{logical_id} forwards to {len(groups)} target groups; a load balancer takes five.",
                                "Forward to five at most, by several rules.",
                            )
