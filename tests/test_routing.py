"""Which service gets a request: priorities that stay, and routes that nothing can reach."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import msgspec
import pytest

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.routing import MAINTENANCE, overshadowed, priorities

#: The longest path that counts, and more.
LONG = "/" + 60 * "a"
EVERYTHING = sc.Route(paths=(LONG,), hosts=("a.example.com",), headers={"X-Beta": "yes"}, query={"v": "2"})


def made(route: sc.Route, name: str = "web") -> int:
    return priorities(sc.Config(services={name: sc.WebService(route=route)}))[name]


@dataclass(frozen=True)
class Noted:
    """The priority of a route's rule, as it was when it was first made."""

    route: sc.Route
    priority: int
    name: str = "web"


@pytest.mark.parametrize(
    "noted",
    [
        Noted(sc.Route(), 50_000),
        Noted(sc.Route(paths=("/*",)), 48_210),
        Noted(sc.Route(paths=("/*",)), 48_213, "shop"),
        Noted(sc.Route(paths=("/api/*",)), 43_810),
        Noted(sc.Route(paths=("/api/*", "/a*")), 47_110),
        Noted(sc.Route(hosts=("a.example.com",)), 36_110),
        Noted(sc.Route(headers={"X-Beta": "yes"}), 42_710),
        Noted(sc.Route(query={"v": "2"}), 42_710),
        Noted(sc.Route(paths=(LONG,)), 27_310),
        Noted(EVERYTHING, 910),
    ],
)
def test_a_rule_that_runs_somewhere_keeps_its_priority_for_good(noted: Noted) -> None:
    assert made(noted.route, noted.name) == noted.priority


def test_a_route_that_asks_for_more_comes_before_one_that_asks_for_less_and_all_after_maintenance() -> None:
    """Whatever the services are called: a band is as wide as the numbers that a name can make."""
    rising = [
        sc.Route(),
        sc.Route(paths=("*",)),
        sc.Route(paths=("/*",)),
        sc.Route(paths=("/a/*",)),
        sc.Route(headers={"X-Beta": "yes"}),
        sc.Route(paths=("/api/v1/*",)),
        sc.Route(hosts=("a.example.com",)),
        sc.Route(hosts=("a.example.com",), paths=("/*",)),
        sc.Route(hosts=("a.example.com",), headers={"X-Beta": "yes"}),
        sc.Route(hosts=("a.example.com",), headers={"X-Beta": "yes"}, query={"v": "2"}),
        EVERYTHING,
    ]
    names = [f"s{number}" for number in range(200)]
    bands = [{made(route, name) for name in names} for route in rising]
    for less, more in pairwise(bands):
        assert max(more) < min(less)
    assert min(bands[-1]) > MAINTENANCE


def test_headers_weigh_what_the_query_does_and_a_host_both_together() -> None:
    headers, query = sc.Route(headers={"X-Beta": "yes"}), sc.Route(query={"v": "2"})
    assert made(headers) == made(query) == made(sc.Route(paths=("/" + 5 * "a",)))
    both = sc.Route(headers={"X-Beta": "yes"}, query={"v": "2"})
    assert made(both) == made(sc.Route(hosts=("a.example.com",))) == made(sc.Route(paths=("/" + 11 * "a",)))


def test_a_route_that_can_never_match_is_told_once_with_one_before_it() -> None:
    routes = {
        "all": sc.Route(paths=("/*",)),
        "api": sc.Route(paths=("/api/*",)),
        "deep": sc.Route(paths=("/api/v1/*",)),
        "host": sc.Route(paths=("/api/*",), hosts=("a.example.com",)),
        "beta": sc.Route(paths=("/*",), headers={"X-Beta": "yes"}),
        "old": sc.Route(paths=("/*",), query={"v": "1"}),
    }
    order = {"beta": 1, "old": 2, "api": 3, "all": 4, "deep": 5, "host": 6}
    assert dict(overshadowed(routes, order)) == {"deep": "all", "host": "all"}
    assert len(list(overshadowed(routes, order))) == 2
    assert list(overshadowed(routes, dict.fromkeys(routes, 7))) == []
    assert list(overshadowed({"a": sc.Route(), "b": routes["api"]}, {"a": 1, "b": 2})) == [("b", "a")]
    assert list(overshadowed({"a": routes["api"], "b": sc.Route()}, {"a": 1, "b": 2})) == []


def test_a_host_that_two_routes_name_has_one_record_and_one_certificate() -> None:
    """Route 53 takes a name once, and a certificate of a listener is for all of its rules."""
    listener = sc.Domain(domain_name="example.com", hosted_zone_id="Z0123456789ABCDEFGHIJ")

    def said(*routes: sc.Route) -> list[str]:
        services = {f"s{number}": sc.WebService(route=route) for number, route in enumerate(routes)}
        config = sc.Config(services=services, load_balancer=sc.NewLoadBalancer(listener=listener))
        return [conflict.key for conflict in conflicts(config) if ".route." in conflict.key]

    zone = "Z0123456789ABCDEFGHIJ"
    one = sc.Route(hosts=("api.example.com",), paths=("/v1/*",), hosted_zone_id=zone)
    other = sc.Route(hosts=("api.example.com",), paths=("/v2/*",))
    assert said(one, other) == []
    assert said(other) == ["services.s0.route.hosts"]
    assert said(one, msgspec.structs.replace(other, hosted_zone_id=zone)) == ["services.s1.route.hosted_zone_id"]
    own = sc.Route(hosts=("example.com",), hosted_zone_id=zone)
    assert said(own) == ["services.s0.route.hosted_zone_id"]
