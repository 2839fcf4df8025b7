"""Which service gets a request: the rules of the listener, and their priorities.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zlib import crc32

from scaleout_cfn.config import Config, ExistingLoadBalancer, Route, WebService
from scaleout_cfn.grammars import is_case_of

#: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
VALUES_PER_RULE = 5
#: The first of all rules, while it is there.
MAINTENANCE = 1
#: The last priority there is: what no other service claims.
LAST = 50_000
#: Rules that ask for more come first. A band is wide enough that names rarely meet in it: of ten services with routes
#: of one length, by 4 percent.
BANDS, WIDTH = 45, 1_100


def is_catch_all(route: Route) -> bool:
    return not (route.paths or route.hosts or route.headers or route.query)


def values_of_rule(route: Route) -> list[str]:
    """What a rule compares with: the quota counts them together."""
    return [*route.paths, *route.hosts, *route.headers.values(), *route.query.values()]


def priorities(config: Config) -> dict[str, int]:
    return {
        name: priority(config, name, settings.route)
        for name, settings in sorted(config.services.items())
        if isinstance(settings, WebService)
    }


def priority(config: Config, name: str, route: Route) -> int:
    """The priority of the rule of a service.

    One that is not given is made of the route and of the names of set and service, and of nothing else, so that it
    stays when another service comes or goes. A route that asks for more comes before one that asks for less.
    """
    # On a balancer of its own a set is alone, and its environments route alike.
    is_shared = isinstance(config.load_balancer, ExistingLoadBalancer)
    return route.priority or _made(route, f"{config.stack_name}/{name}" if is_shared else name)


def _made(route: Route, whose: str) -> int:
    if is_catch_all(route):
        return LAST
    return LAST - 1 - (_band(route) * WIDTH + crc32(whose.encode()) % WIDTH)


def _band(route: Route) -> int:
    """How much a route asks for: the written part of its shortest path, and whether it names hosts, headers, query."""
    written = min((len(path.rstrip("*")) for path in route.paths), default=0)
    more = 12 * bool(route.hosts) + 6 * bool(route.headers) + 6 * bool(route.query)
    return min(min(written, 20) + more, BANDS - 1)


def overshadowed(routes: Mapping[str, Route], made: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Each route that can never match, with one before it that takes all that it could get.

    Told only where it is certain: the earlier one asks for nothing but paths and hosts of which each of the later
    one's is a case.
    """
    for name, route in routes.items():
        for earlier, wider in routes.items():
            if made[earlier] >= made[name] or wider.headers or wider.query:
                continue
            if _covers(wider.paths, route.paths) and _covers(wider.hosts, route.hosts):
                yield name, earlier
                break


def _covers(wider: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not wider:
        return True
    return bool(patterns) and all(any(is_case_of(pattern, wide) for wide in wider) for pattern in patterns)
