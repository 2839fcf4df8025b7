"""Listeners, their rules and target groups: what meets on one of them, and what a load balancer refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from scaleout_cfn.grammars import is_case_of
from scaleout_cfn.lint.rules.balancing import ACTIONS, BALANCER, LISTENER, RULE
from scaleout_cfn.lint.rules.base import Faults, fault, rule
from scaleout_cfn.lint.rules.names import Holder, place_of, taken
from scaleout_cfn.lint.rules.services import TARGET_GROUP
from scaleout_cfn.templates.conditions import every, possible
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Place, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_API = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
_WEB = ("HTTP", "HTTPS")


def _identity(value: Any) -> Any:
    """A listener or load balancer by its Ref or ARN, as something that can be compared; None if not known."""
    return value.bare if isinstance(value, Symbol) else value if isinstance(value, (str, Text)) and value else None


def _listener_of(place: Place) -> Place | None:
    """The listener itself, or the one of a rule where the set has it and it can be read."""
    if place.type == LISTENER:
        return place
    listener = resource_of(place.get("ListenerArn"), LISTENER)
    return listener.place if listener and isinstance(listener.place.node, Mapping) else None


def _protocol(place: Place) -> Any:
    listener = _listener_of(place)
    return listener.get("Protocol") if listener else UNKNOWN


def _balancer(listener: Place | None) -> Symbol | None:
    return resource_of(listener.get("LoadBalancerArn"), BALANCER) if listener else None


@rule("S211", _API + "API_CreateRule.html")
def priority_twice(stacks: StackSet) -> Faults:
    """The rules of a listener have different priorities, in whichever stacks they are."""
    for root in stacks.roots:
        for (_, priority), first, second in taken(_priorities(root)):
            said = f"${{{priority.name}}}" if isinstance(priority, Symbol) else f"{priority:g}"
            yield fault(
                second.place,
                "Priority",
                f"{second.place} has priority {said}, as {place_of(first, second)} has on the same listener.",
                "Give each rule of a listener a priority of its own.",
            )


def _priorities(root: StackView) -> Iterator[tuple[tuple[Any, float | Symbol], Holder]]:
    for place in root.below(RULE):
        listener = _identity(place.get("ListenerArn"))
        for when, given in place.scope.choices(place.node.get("Priority")):
            priority = given if isinstance(given, Symbol) else as_number(given)
            if listener is not None and priority is not None:
                yield (listener, priority), Holder(place, every([place.presence, when]))


@rule("S212", _API + "API_CreateListener.html")
def port_twice(stacks: StackSet) -> Faults:
    """The listeners of a load balancer have different ports."""
    for root in stacks.roots:
        for (_, port, _), first, second in taken(_ports(root)):
            yield fault(
                second.place,
                "Port",
                f"{second.place} listens on port {port:g}, as {place_of(first, second)} does for the same load "
                "balancer.",
                "Take another port, or put both into the rules of one listener.",
            )


def _ports(root: StackView) -> Iterator[tuple[tuple[Any, float, bool], Holder]]:
    for place in root.below(LISTENER):
        balancer, port = _identity(place.get("LoadBalancerArn")), place.number("Port")
        protocol = place.get("Protocol")
        if balancer is not None and port is not None and isinstance(protocol, str):
            yield (balancer, port, protocol in ("UDP", "QUIC")), Holder(place, place.presence)


@rule("S213", _GUIDE + "listener-rules.html", severity="warning")
def rule_never_reached(stacks: StackSet) -> Faults:
    """No rule of a listener comes after one that takes all that it waits for."""
    for root in stacks.roots:
        numbered = [
            (listener, priority, holder)
            for (listener, priority), holder in _priorities(root)
            if not isinstance(priority, Symbol) and holder.presence is not False
        ]
        taking = [(*entry, _patterns(entry[2].place)) for entry in numbered]
        for listener, priority, holder in numbered:
            own = _known(holder.place)
            for other, first, before, wide in taking:
                if other != listener or first >= priority or not _covers(wide, own):
                    continue
                if _takes_all(wide) and _is_maintenance(before.place):
                    continue
                if possible(before.presence, holder.presence):
                    place = before.place
                    what = "every request" if _takes_all(wide) else f"all that {holder.place} waits for"
                    yield fault(
                        holder.place,
                        "Priority",
                        f"{place} of {place.stack.file} takes {what} before {holder.place} sees it: its "
                        f"priority is {first:g}, that of {holder.place} {priority:g}.",
                        f"Give {place} the highest number of all."
                        if _takes_all(wide)
                        else f"Give {holder.place} a lower number than {place}.",
                    )
                    break


_CONFIGS = {"path-pattern": "PathPatternConfig", "host-header": "HostHeaderConfig"}
_Patterns: TypeAlias = list[tuple[str, list[Any]]]


def _patterns(place: Place) -> _Patterns | None:
    """The paths and hosts that a rule waits for, by kind; None where it waits for anything else, too."""
    found: _Patterns = []
    for condition in place.each("Conditions"):
        field = condition.get("Field")
        if field not in _CONFIGS or condition.get(_CONFIGS[field], "RegexValues") is not None:
            return None
        found.append((field, _values(condition, _CONFIGS[field])))
    return found or None


def _takes_all(wide: _Patterns | None) -> bool:
    """Whether patterns are paths that every request has."""
    return bool(wide) and all(field == "path-pattern" and {"*", "/*"} & {*values} for field, values in wide or ())


def _is_maintenance(place: Place) -> bool:
    """Whether a rule says that nobody is served: a page before all others is meant to be."""
    return any(as_number(action.get("FixedResponseConfig", "StatusCode")) == 503 for action in place.each("Actions"))


def _known(place: Place) -> dict[Any, list[Any]]:
    """The paths and hosts that a rule waits for, by kind, where all of them are known."""
    own: dict[Any, list[Any]] = {}
    for condition in place.each("Conditions"):
        config = _CONFIGS.get(str(condition.get("Field")), "")
        if config and condition.items("Values") is not None and condition.items(config, "Values") is not None:
            own[condition.get("Field")] = _values(condition, config)
    return own


def _covers(wide: _Patterns | None, own: Mapping[Any, list[Any]]) -> bool:
    """Whether all that a rule waits for is a case of some patterns."""
    return bool(wide) and all(
        (field == "path-pattern" and {"*", "/*"} & {*values}) or _all_within(own.get(field), values)
        for field, values in wide or ()
    )


def _all_within(patterns: list[Any] | None, wide: list[Any]) -> bool:
    return bool(patterns) and all(
        isinstance(pattern, str) and any(isinstance(one, str) and is_case_of(pattern, one) for one in wide)
        for pattern in patterns or ()
    )


def _values(condition: Place, config: str) -> list[Any]:
    """The values of a rule's condition, in either of the two places for them."""
    return (condition.items("Values") or []) + (condition.items(config, "Values") or [])


@rule("S214", _API + "API_CreateListener.html", LISTENER)
def protocol_of_balancer(listener: Place) -> Faults:
    """A listener has a protocol of its load balancer's type."""
    balancer, protocol = _balancer(listener), listener.get("Protocol")
    kind = balancer.place.get("Type") or "application" if balancer else UNKNOWN
    if balancer is None or kind not in ("application", "network") or not isinstance(protocol, str):
        return
    if (kind == "application") != (protocol in _WEB):
        right = "HTTP or HTTPS" if kind == "application" else "TCP, TLS, UDP or TCP_UDP"
        yield fault(
            listener,
            "Protocol",
            f"{listener} speaks {protocol}, but {balancer.name} is a load balancer of type {kind}.",
            f"Set Protocol to {right}, or Type of {balancer.name} to another.",
        )


def _groups(place: Place) -> Iterator[tuple[str, Symbol]]:
    """The target groups of the set that a listener or rule forwards to, each with where it is named."""
    for action in place.each(ACTIONS[place.type]):
        for named in (action, *action.each("ForwardConfig", "TargetGroups")):
            group = resource_of(named.get("TargetGroupArn"), TARGET_GROUP)
            if group is not None:
                yield named.path.removeprefix(f"{place.path}.") + ".TargetGroupArn", group.bare


# What the targets of a listener may speak, by what it speaks itself.
_SPOKEN = {
    "TCP": ("TCP", "TCP_UDP"),
    "TLS": ("TCP", "TLS"),
    "UDP": ("UDP", "TCP_UDP"),
    "TCP_UDP": ("TCP_UDP",),
    "HTTP": _WEB,
    "HTTPS": _WEB,
}


@rule("S215", _API + "API_CreateTargetGroup.html", *ACTIONS)
def protocol_of_targets(place: Place) -> Faults:
    """A listener forwards to target groups whose protocol its own can be turned into."""
    protocol = _protocol(place)
    allowed = _SPOKEN.get(protocol) if isinstance(protocol, str) else None
    for at, group in _groups(place) if allowed else ():
        spoken = group.place.get("Protocol")
        # Functions have no protocol, and a balancer behind a balancer is asked by TCP.
        if allowed and isinstance(spoken, str) and spoken not in allowed:
            yield fault(
                place,
                at,
                f"{place} takes {protocol} and forwards to {group.name} of {group.stack.file}, whose targets speak "
                f"{spoken}.",
                f"Set Protocol of {group.name} to {' or '.join(allowed)}.",
            )


@rule("S216", "https://github.com/hashicorp/terraform-provider-aws/issues/22005")
def group_of_two_balancers(stacks: StackSet) -> Faults:
    """A target group is behind one load balancer."""
    for root in stacks.roots:
        first: dict[Symbol, list[tuple[Symbol, Any]]] = {}
        for place in (place for stack in root.tree() for place in stack.places(*ACTIONS)):
            balancer = _balancer(_listener_of(place) or place)
            if balancer is None:
                continue
            for at, group in _groups(place):
                before = first.setdefault(group, [])
                meeting = [other for other, when in before if possible(when, place.presence)]
                before.append((balancer.bare, place.presence))
                if others := [other for other in meeting if other != balancer.bare]:
                    yield fault(
                        place,
                        at,
                        f"{place} of {balancer.name} forwards to {group.name}, which is behind {others[0].name} "
                        "already.",
                        f"Make a target group for {balancer.name}; a service takes several.",
                    )


@rule("S217", _API + "API_RedirectActionConfig.html", *ACTIONS)
def redirect_loop(place: Place) -> Faults:
    """A redirect changes the protocol, host, port or path of a request."""
    listener = _listener_of(place)
    for action in place.each(ACTIONS[place.type]) if listener else ():
        if listener and action.get("Type") == "redirect" and _stays(action.inner("RedirectConfig"), listener):
            yield fault(
                action,
                "RedirectConfig",
                f"{place} redirects each request to itself.",
                "Change the protocol, host, port or path: to HTTPS on port 443, for example.",
            )


def _stays(config: Place, listener: Place) -> bool:
    """Whether a redirect leads to the request that it answers."""
    if config.node in (None, UNKNOWN):
        return False
    # A rule for one host or path may send the request to the same place only if it names neither.
    if config.get("Host") not in (None, "#{host}") or config.get("Path") not in (None, "/#{path}"):
        return False
    for part, same in (("Protocol", "#{protocol}"), ("Port", "#{port}")):
        value, own = config.get(part), listener.get(part)
        if value in (None, same):
            continue
        if value is UNKNOWN or not isinstance(own, (str, int)) or str(value) != str(own):
            return False
    return True


_LAST = ("forward", "redirect", "fixed-response")
_SIGN_IN = ("authenticate-oidc", "authenticate-cognito", "jwt-validation")


@rule("S218", _API + "API_Action.html", *ACTIONS)
def order_of_actions(place: Place) -> Faults:
    """A listener or rule ends in one forward, redirect or fixed response; users sign in by HTTPS only."""
    name = ACTIONS[place.type]
    kinds = [action.get("Type") for action in place.each(name)]
    if not kinds or not all(isinstance(kind, str) for kind in kinds):
        return
    routing = [kind for kind in kinds if kind in _LAST]
    signing = [kind for kind in kinds if kind in _SIGN_IN]
    if len(routing) != 1:
        message = f"{place} has {len(routing)} actions that end it: {', '.join(routing) or 'none'}."
        yield fault(place, name, message, "Let one action of forward, redirect or fixed-response be the last.")
    elif signing and _protocol(place) == "HTTP":
        message = f"{place} has {signing[0]}, but its listener speaks HTTP."
        yield fault(place, name, message, "Sign users in on a listener of HTTPS.")


_ONCE = ("http-request-method", "host-header", "path-pattern", "source-ip")


@rule("S219", _API + "API_RuleCondition.html", RULE)
def condition_of_rule(place: Place) -> Faults:
    """A rule has each kind of condition once, and host names with a dot."""
    seen: list[Any] = []
    for condition in place.each("Conditions"):
        field = condition.get("Field")
        if field in _ONCE and field in seen:
            message = f"{place} has two conditions on {field}."
            yield fault(condition, "Field", message, "Put all values into one condition: one that matches is enough.")
        seen.append(field)
        for host in _values(condition, "HostHeaderConfig") if field == "host-header" else ():
            if isinstance(host, str) and host and ("." not in host or "/" in host or ":" in host):
                yield fault(
                    condition,
                    "",
                    f'{place} waits for the host "{host}", which no name of a host is.',
                    "Write a host name with a dot, without scheme, port and path: shop.example.com.",
                )


@rule("S220", _API + "API_CreateListener.html", LISTENER)
def certificate_of_http(listener: Place) -> Faults:
    """A listener without encryption has neither certificates nor a TLS policy."""
    protocol = listener.get("Protocol")
    for name in ("Certificates", "SslPolicy") if protocol in ("HTTP", "TCP", "UDP", "TCP_UDP") else ():
        if listener.get(name) not in (None, UNKNOWN, [], ""):
            cure = f"Leave {name} out, or set Protocol to {'HTTPS' if protocol == 'HTTP' else 'TLS'}."
            yield fault(listener, name, f"{listener} speaks {protocol}, but has {name}.", cure)


# The numbers that attributes of load balancers and target groups may be.
_RANGES: dict[str, tuple[float, float]] = {
    "client_keep_alive.seconds": (60, 604_800),
    "deregistration_delay.timeout_seconds": (0, 3_600),
    "idle_timeout.timeout_seconds": (1, 4_000),
    "stickiness.app_cookie.duration_seconds": (1, 604_800),
    "stickiness.lb_cookie.duration_seconds": (1, 604_800),
    "target_health_state.unhealthy.draining_interval_seconds": (0, 360_000),
}


@rule("S221", _API + "API_TargetGroupAttribute.html", BALANCER, TARGET_GROUP)
def number_of_attribute(place: Place) -> Faults:
    """The attributes of a load balancer or target group that are numbers lie within their bounds."""
    for item in place.each("LoadBalancerAttributes" if place.type == BALANCER else "TargetGroupAttributes"):
        key, value = item.get("Key"), item.get("Value")
        reason = _out_of_range(key, value)
        if reason:
            yield fault(item, "Value", f'{key} of {place} is "{value}".', f"It takes {reason}.")


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


@rule("S222", _API + "API_CreateTargetGroup.html", LISTENER)
def network_of_targets(listener: Place) -> Faults:
    """A target group is in the network of the load balancer that forwards to it."""
    balancer = _balancer(listener)
    networks = _networks(balancer.place.get("Subnets")) if balancer else set()
    if balancer is None or len(networks) != 1:
        return
    (network,) = networks
    for at, group in _groups(listener):
        own = resource_of(group.place.get("VpcId"), "AWS::EC2::VPC")
        if own and own.bare != network:
            yield fault(
                listener,
                at,
                f"{listener} forwards to {group.name}, which is in {own.name}, while {balancer.name} is in "
                f"{network.name}.",
                f"Set VpcId of {group.name} to {network.name}.",
            )


def _networks(subnets: Any) -> set[Symbol]:
    """The networks of a list of subnets of the set; empty if one is not known."""
    found: set[Symbol] = set()
    for item in subnets if isinstance(subnets, list) else []:
        subnet = resource_of(item, "AWS::EC2::Subnet")
        network = resource_of(subnet.place.get("VpcId"), "AWS::EC2::VPC") if subnet else None
        if network is None:
            return set()
        found.add(network.bare)
    return found


@rule("S223", _API + "API_CreateLoadBalancer.html", BALANCER)
def subnets_of_one_zone(balancer: Place) -> Faults:
    """The subnets of a load balancer lie in different zones."""
    subnets = balancer.get("Subnets")
    first: dict[Any, Symbol] = {}
    for item in subnets if isinstance(subnets, list) else []:
        subnet = resource_of(item, "AWS::EC2::Subnet")
        zone = subnet.place.get("AvailabilityZone") if subnet else None
        if subnet is None or not isinstance(zone, (str, Symbol)):
            continue
        before = first.setdefault(zone, subnet.bare)
        if before != subnet.bare:
            message = f"{before.name} and {subnet.name} of {balancer} are in one zone."
            yield fault(balancer, "Subnets", message, "Give it one subnet of each zone.")


@rule("S224", _API + "API_CreateTargetGroup.html", TARGET_GROUP)
def health_check_path(group: Place) -> Faults:
    """The path of a health check begins with a slash, and belongs to a check by HTTP."""
    path, checked = group.get("HealthCheckPath"), group.get("HealthCheckProtocol")
    if checked is None and group.get("Protocol") in ("TCP", "TLS", "UDP", "TCP_UDP"):
        checked = "TCP"
    said = f"The path of the health check of {group} is"
    if isinstance(path, str) and path and not path.startswith("/"):
        message = f'{said} "{path}", which does not begin with a slash.'
        yield fault(group, "HealthCheckPath", message, f"Write /{path}.")
    elif checked == "TCP" and path not in (None, UNKNOWN, ""):
        message = f"{said} given, but it is checked by TCP."
        yield fault(group, "HealthCheckPath", message, "Leave it out, or set HealthCheckProtocol to HTTP.")


@rule("S225", _GUIDE + "load-balancer-limits.html", *ACTIONS)
def many_groups_of_action(place: Place) -> Faults:
    """A forward action has at most five target groups."""
    for action in place.each(ACTIONS[place.type]):
        groups = action.items("ForwardConfig", "TargetGroups") or ()
        if len(groups) > 5:
            yield fault(
                action,
                "ForwardConfig.TargetGroups",
                f"{place} forwards to {len(groups)} target groups; a load balancer takes five.",
                "Forward to five at most, by several rules.",
            )
