"""What excludes each other of records that several regions share: in one set, and between environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scaleout_cfn.config import Config, Domain, FailoverRouting, LatencyRouting, NewLoadBalancer, WebService
from scaleout_cfn.config.delivery import Shifting
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import units
from scaleout_cfn.grammars import is_case_of

KEY = "load_balancer.listener.routing"


def routing_of(config: Config) -> LatencyRouting | FailoverRouting | None:
    """How the records of a set share their names with those of other regions."""
    balancer = config.load_balancer
    if isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Domain):
        return balancer.listener.routing
    return None


def dns_conflicts(config: Config) -> Iterator[Conflict]:
    balancer, routing = config.load_balancer, routing_of(config)
    if routing is None or not isinstance(balancer, NewLoadBalancer) or not isinstance(balancer.listener, Domain):
        return
    if balancer.cloudfront is not None:
        # https://docs.aws.amazon.com/cloudfront/latest/DeveloperGuide/CNAMEs.html
        yield Conflict(
            KEY,
            "is for load balancers that clients reach, and a name belongs to one CloudFront distribution, which answers"
            " everywhere; leave one of the two out",
        )
    if routing.health_path:
        yield from _asked(config, balancer, balancer.listener, routing.health_path)
        return
    for unit in units(config):
        settings = unit.settings
        if not isinstance(settings, WebService):
            continue
        spare = "its stand-in" if settings.stand_in or unit.stands_in_for else ""
        if isinstance(settings.deployment, Shifting):
            spare = f'strategy = "{settings.deployment.__struct_config__.tag}"'
        if spare:
            # https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html
            yield Conflict(
                f"{KEY}.health_path",
                f"is empty, and with {spare} {unit.key} has a target group without tasks, for which Route 53 takes all"
                " of the region as unhealthy; give a path",
            )


def _asked(config: Config, balancer: NewLoadBalancer, listener: Domain, path: str) -> Iterator[Conflict]:
    """Whether Route 53's health checkers get an answer.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
    """
    key = f"{KEY}.health_path"
    if balancer.scheme == "internal":
        yield Conflict(
            key, "is asked for from the internet, which an internal load balancer does not answer; leave it out"
        )
    if balancer.allowed_cidrs and not balancer.allowed_prefix_lists:
        # https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
        yield Conflict(
            "load_balancer.allowed_prefix_lists",
            f"is empty, and Route 53 asks for {key}: let in its list of your region with 25 entries, whose id `aws"
            " ec2 describe-managed-prefix-lists --filters"
            " Name=prefix-list-name,Values=com.amazonaws.REGION.route53-healthchecks` tells",
        )
    if listener.tls_policy.startswith("ELBSecurityPolicy-TLS13-1-3"):
        yield Conflict(
            "load_balancer.listener.tls_policy",
            f"takes TLS 1.3 alone, and Route 53 asks for {key} by 1.2; use a policy with TLS13-1-2",
        )
    if listener.client_certificates is not None and listener.client_certificates.__struct_config__.tag != "passthrough":
        yield Conflict(
            "load_balancer.listener.client_certificates",
            f"are asked of everybody, and Route 53 has none when it asks for {key}; leave one of the two out",
        )
    # It is asked for by the load balancer's own name: that of the domain leads to whichever region answers.
    plain = path.partition("?")[0]
    web = [unit.settings.route for unit in units(config) if isinstance(unit.settings, WebService)]
    if not any(
        not (route.hosts or route.headers or route.query)
        and (not route.paths or any(is_case_of(plain, pattern) for pattern in route.paths))
        for route in web
    ):
        yield Conflict(
            key,
            f"got {path}, which no route without hosts takes, and Route 53 asks by the load balancer's own name; take a"
            " path of such a route, or leave it out",
        )


def between_environments(configs: Mapping[str, Config]) -> Iterator[tuple[str, Conflict]]:
    """Records of two environments that Route 53 would not keep side by side, with the environment of the second."""
    taken: dict[tuple[str, str], list[tuple[str, Config]]] = {}
    for name, config in configs.items():
        balancer = config.load_balancer
        if not isinstance(balancer, NewLoadBalancer) or not isinstance(balancer.listener, Domain):
            continue
        listener = balancer.listener
        others = taken.setdefault((listener.hosted_zone_id, listener.domain_name), [])
        for other, theirs in others:
            one, two = routing_of(theirs), listener.routing
            if one is None and two is None:
                continue
            if type(one) is not type(two):
                what = f"is another policy than that of {other} for {listener.domain_name}; Route 53 keeps one a name"
            elif isinstance(one, FailoverRouting) and isinstance(two, FailoverRouting) and one.role == two.role:
                what = f'is "{two.role}", as that of {other} for {listener.domain_name}; give one each'
            elif isinstance(two, LatencyRouting) and config.region and config.region == theirs.region:
                what = f"is of {config.region}, as {other} is for {listener.domain_name}; Route 53 keeps one a region"
            else:
                continue
            yield name, Conflict(KEY, what)
            break
        others.append((name, config))
