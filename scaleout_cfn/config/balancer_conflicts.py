"""What excludes each other of the load balancer, of what stands before it, and of shared records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scaleout_cfn.config import (
    Certificate,
    CloudFront,
    Cognito,
    Config,
    Domain,
    ExistingLoadBalancer,
    ExistingWebAcl,
    FailoverRouting,
    Http,
    LatencyRouting,
    NewLoadBalancer,
    NewVpc,
    NewWebAcl,
    Oidc,
    TrustStore,
    WebService,
)
from scaleout_cfn.config.balancer import RuleGroup
from scaleout_cfn.config.delivery import Shifting
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit, units
from scaleout_cfn.grammars import is_case_of, partition_of

#: What an account begins with: rules of a security group, counted by direction and family of addresses.
#: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
RULES_OF_A_GROUP = 60
#: Web ACL capacity units, of which the price of a web ACL covers so many.
#: https://docs.aws.amazon.com/waf/latest/developerguide/aws-waf-capacity-units.html
COVERED_UNITS = 1500
#: https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
UNITS: dict[RuleGroup, int] = {
    "AdminProtection": 100,
    "AmazonIpReputation": 25,
    "AnonymousIp": 50,
    "Common": 700,
    "KnownBadInputs": 200,
    "Linux": 200,
    "PHP": 100,
    "SQLi": 200,
    "Unix": 100,
    "Windows": 200,
    "WordPress": 100,
}
#: https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based.html
UNITS_OF_A_RATE = 2
#: Ways out that what has no public address cannot take.
NO_NAT = ("public-subnets", "endpoints")


def named_by_balancer(config: Config) -> Iterator[tuple[str, str, bool, bool]]:
    """Key and ARN of all that is named, and whether it has to be of the set's region, and of its account."""
    balancer = config.load_balancer
    if isinstance(balancer, ExistingLoadBalancer):
        yield "load_balancer.load_balancer_arn", balancer.load_balancer_arn, True, True
        yield "load_balancer.listener_arn", balancer.listener_arn, True, True
    else:
        listener = balancer.listener
        if isinstance(listener, Certificate):
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html
            yield "load_balancer.listener.certificate_arn", listener.certificate_arn, True, True
        if not isinstance(listener, Http) and isinstance(listener.client_certificates, TrustStore):
            # One of another account may be shared.
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/trust-store-shared.html
            key = "load_balancer.listener.client_certificates.trust_store_arn"
            yield key, listener.client_certificates.trust_store_arn, True, False
        if isinstance(balancer.waf, ExistingWebAcl):
            yield "load_balancer.waf.web_acl_arn", balancer.waf.web_acl_arn, True, True
        if balancer.cloudfront is not None:
            yield "load_balancer.cloudfront.certificate_arn", balancer.cloudfront.certificate_arn, False, True
            yield "load_balancer.cloudfront.web_acl_arn", balancer.cloudfront.web_acl_arn, False, True
    for name, service in sorted(config.services.items()):
        if isinstance(service, WebService) and isinstance(service.sign_in, Oidc):
            # CloudFormation reads it where the stack is.
            yield f"services.{name}.sign_in.client_secret", service.sign_in.client_secret, True, False
        elif isinstance(service, WebService) and isinstance(service.sign_in, Cognito):
            yield f"services.{name}.sign_in.user_pool_arn", service.sign_in.user_pool_arn, False, False


def balancer_conflicts(config: Config) -> Iterator[Conflict]:
    balancer = config.load_balancer
    if isinstance(balancer, ExistingLoadBalancer):
        # The listener's ARN is the balancer's, but for the word and one more part.
        if not balancer.listener_arn.startswith(
            balancer.load_balancer_arn.replace(":loadbalancer/", ":listener/") + "/"
        ):
            yield Conflict(
                "load_balancer.listener_arn", "is a listener of another load balancer than load_balancer_arn"
            )
    elif not any(unit.is_web for unit in units(config)):
        for name in ("maintenance", "allowed_cidrs", "allowed_prefix_lists", "waf", "cloudfront"):
            if getattr(balancer, name):
                yield Conflict(
                    f"load_balancer.{name}", "there is no web service, and so no load balancer; leave it out"
                )
    else:
        yield from _allowed(config, balancer)
        if isinstance(balancer.waf, NewWebAcl):
            yield from _web_acl(balancer.waf)
        if balancer.cloudfront is not None:
            yield from _cloudfront(config, balancer, balancer.cloudfront)
    for unit in units(config):
        if isinstance(unit.settings, WebService) and unit.settings.sign_in is not None:
            yield from _sign_in(unit)


def _allowed(config: Config, balancer: NewLoadBalancer) -> Iterator[Conflict]:
    key = "load_balancer.allowed_cidrs"
    if len(set(balancer.allowed_cidrs)) < len(balancer.allowed_cidrs):
        yield Conflict(key, "a range is named twice; name each once")
    ipv6 = [cidr for cidr in balancer.allowed_cidrs if ":" in cidr]
    if ipv6 and not config.network.ipv6:
        yield Conflict(
            key, f"{ipv6[0]} is IPv6, and the load balancer has IPv4 alone; leave it out, or set network.ipv6 = true"
        )


def _web_acl(waf: NewWebAcl) -> Iterator[Conflict]:
    key = "load_balancer.waf"
    if len(set(waf.rule_groups)) < len(waf.rule_groups):
        yield Conflict(f"{key}.rule_groups", "a rule group is named twice; name each once")
    for name, rules in sorted(waf.counted_rules.items()):
        if name not in waf.rule_groups:
            yield Conflict(f"{key}.counted_rules.{name}", "is none of rule_groups; add it there, or leave it out")
        elif not rules or len(set(rules)) < len(rules):
            yield Conflict(f"{key}.counted_rules.{name}", "names no rule, or one twice; name each once")
    if 0 < waf.rate_limit < 10:
        # https://docs.aws.amazon.com/waf/latest/APIReference/API_RateBasedStatement.html
        yield Conflict(f"{key}.rate_limit", f"got {waf.rate_limit}; allowed are 0 for none, and 10 and more")
    if not waf.rule_groups and not waf.rate_limit:
        yield Conflict(key, "has no rule group and no rate_limit, and so looks for nothing; name one, or leave it out")


def _cloudfront(config: Config, balancer: NewLoadBalancer, front: CloudFront) -> Iterator[Conflict]:
    """https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html"""
    key = "load_balancer.cloudfront"
    listener = balancer.listener
    if balancer.scheme != "internal":
        yield Conflict(
            "load_balancer.scheme",
            'is "internet-facing", and who finds the load balancer would pass CloudFront by; set "internal"',
        )
    if isinstance(config.network, NewVpc) and config.network.egress == "public-subnets":
        yield Conflict(
            "network.egress",
            '"public-subnets" has no private subnet, in which a VPC origin lies (load_balancer.cloudfront); use'
            ' "single-nat" or another way out',
        )
    if not balancer.allowed_prefix_lists:
        yield Conflict(
            "load_balancer.allowed_prefix_lists",
            "is empty, and CloudFront has to be let in: name its list of your region with 55 entries, whose id `aws ec2"
            " describe-managed-prefix-lists --filters"
            " Name=prefix-list-name,Values=com.amazonaws.global.cloudfront.origin-facing` tells",
        )
    if isinstance(balancer.waf, NewWebAcl):
        yield Conflict(
            "load_balancer.waf",
            "would see CloudFront's addresses instead of clients'; leave it out, and give"
            f" {key}.web_acl_arn one of scope CLOUDFRONT, which are made in us-east-1",
        )
    if not isinstance(listener, Http) and listener.client_certificates is not None:
        yield Conflict(
            "load_balancer.listener.client_certificates",
            "asks for certificates of clients, and behind CloudFront the only client is CloudFront; leave one of the"
            " two out",
        )
    if config.region and partition_of(config.region) != "aws":
        yield Conflict(key, f"is not made in the partition of {config.region}; leave it out")
    if front.aliases and not front.certificate_arn:
        yield Conflict(f"{key}.certificate_arn", "is empty, and aliases need one of us-east-1 that is for them")
    for name in ("certificate_arn", "hosted_zone_id"):
        if getattr(front, name) and not front.aliases:
            yield Conflict(f"{key}.{name}", "is for aliases, of which there are none; name them")
    if len(set(front.aliases)) < len(front.aliases):
        yield Conflict(f"{key}.aliases", "a name is there twice; name each once")
    # A name that leads to it and is none of its own is answered 403.
    if isinstance(listener, Domain) and not _answers_to(front, listener.domain_name):
        yield Conflict(f"{key}.aliases", f"lack {listener.domain_name}, load_balancer.listener.domain_name; add it")
    for unit in units(config):
        settings = unit.settings
        if not isinstance(settings, WebService):
            continue
        for host in settings.route.hosts:
            if not _answers_to(front, host):
                yield Conflict(f"{key}.aliases", f"lack {host}, a host of {unit.key}.route; add it")
        if settings.protocol == "grpc":
            yield Conflict(f"{unit.key}.protocol", '"grpc" is nothing that a VPC origin of CloudFront speaks')
        if settings.sign_in is not None and front.cache_policy != "CachingDisabled":
            yield Conflict(
                f"{key}.cache_policy",
                f'caches, and {unit.key} answers each user who has signed in by himself; use "CachingDisabled"',
            )


def _answers_to(front: CloudFront, host: str) -> bool:
    """Whether a distribution answers to a host of a route. A * of an alias stands for one part, of a route for any."""
    if host in front.aliases or "?" in host:
        return True
    parent = host.partition(".")[2]
    return f"*.{parent}" in front.aliases or "*" in host.removeprefix("*.")


def _sign_in(unit: Unit) -> Iterator[Conflict]:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html"""
    key, balancer, network = f"{unit.key}.sign_in", unit.config.load_balancer, unit.config.network
    if isinstance(balancer, ExistingLoadBalancer):
        if balancer.url.startswith("http:"):
            yield Conflict(key, f"is for listeners with TLS, and load_balancer.url is {balancer.url}; give that of one")
        return
    if isinstance(balancer.listener, Http):
        yield Conflict(
            key,
            "is for listeners with TLS, and this one speaks HTTP; give load_balancer.listener a certificate",
        )
    if balancer.scheme == "internal" and isinstance(network, NewVpc) and network.egress in NO_NAT:
        yield Conflict(
            "network.egress",
            f'"{network.egress}" leaves an internal load balancer no way to where users of {unit.key} sign in; use'
            ' "single-nat" or another way out',
        )


def balancer_remarks(config: Config) -> Iterator[Conflict]:
    """What costs more than it seems, and what an account has to be given first."""
    balancer = config.load_balancer
    if not isinstance(balancer, NewLoadBalancer):
        return
    ports = 1 if isinstance(balancer.listener, Http) else 2
    ipv6 = sum(":" in cidr for cidr in balancer.allowed_cidrs)
    # Of which family a prefix list is cannot be known here: counted with the larger.
    rules = ports * max(ipv6, len(balancer.allowed_cidrs) - ipv6) + sum(balancer.allowed_prefix_lists.values())
    if rules > RULES_OF_A_GROUP:
        yield Conflict(
            "load_balancer.allowed_cidrs" if balancer.allowed_cidrs else "load_balancer.allowed_prefix_lists",
            f"are {rules} rules of a security group, a range on each of {ports} ports and a prefix list as many as it"
            f" may hold; an account begins with {RULES_OF_A_GROUP}: look at its quota, Inbound or outbound rules per"
            " security group",
        )
    if isinstance(balancer.waf, NewWebAcl):
        needed = sum(UNITS[name] for name in balancer.waf.rule_groups) + UNITS_OF_A_RATE * bool(balancer.waf.rate_limit)
        if needed > COVERED_UNITS:
            yield Conflict(
                "load_balancer.waf.rule_groups",
                f"are {needed} web ACL capacity units; each request costs more beyond {COVERED_UNITS}",
            )


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
