"""A service by its name: what is made of the name, and what its kind and its pool make of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scaleout_cfn as sc
from scaleout_cfn.config.units import Unit, name_of, names_of, service_in, title_of, units

names = st.from_regex("[a-z][a-z0-9]{0,4}(-[a-z][a-z0-9]{0,4}){0,3}", fullmatch=True)
POOLS: dict[str, Any] = {
    "nodes": sc.Ec2Capacity(architecture="arm64"),
    "far": sc.FargateCapacity(),
    "managed": sc.ManagedCapacity(architecture="arm64"),
}


def unit(settings: Any, name: str = "web", **others: Any) -> Unit:
    config = sc.Config(services={name: settings, **others}, capacity=POOLS)
    (found,) = [made for made in units(config) if made.name == name]
    return found


@given(names, names)
def test_a_title_gives_its_name_back_and_no_two_names_have_one_title(first: str, second: str) -> None:
    assert name_of(title_of(first)) == first
    assert (title_of(first) == title_of(second)) == (first == second)
    assert title_of(first)[0].isupper() and title_of(first).isalnum()


@given(names, st.sampled_from(["Foundation", "Service", "Pipeline"]), st.sampled_from(["", "/Service", "/Inner/It"]))
def test_what_lies_in_a_stack_of_a_service_belongs_to_it(name: str, kind: str, below: str) -> None:
    assert service_in(f"{title_of(name)}{kind}{below}") == name


@pytest.mark.parametrize("path", ["Capacity/NodesGroup", "Service", "webService/It", "Network", "Mine/WebService/It"])
def test_what_lies_elsewhere_is_called_by_its_path(path: str) -> None:
    assert service_in(path) == path


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        (sc.WebService(capacity="nodes"), "bridge"),
        (sc.WorkerService(capacity="nodes"), "bridge"),
        (sc.WebService(capacity="far"), "awsvpc"),
        (sc.WebService(capacity="managed"), "awsvpc"),
        (sc.InternalService(capacity="nodes"), "awsvpc"),
        (sc.WebService(capacity="nodes", reaches=("api",)), "awsvpc"),
        (sc.WebService(capacity="nodes", network_mode="awsvpc"), "awsvpc"),
        (sc.InternalService(capacity="nodes", network_mode="bridge"), "bridge"),
    ],
)
def test_tasks_share_the_network_of_a_node_where_nobody_is_kept_from_them(settings: Any, mode: str) -> None:
    assert unit(settings).network_mode == mode


@pytest.mark.parametrize(
    ("settings", "architecture"),
    [
        (sc.WebService(capacity="nodes"), "arm64"),
        (sc.WebService(capacity="managed"), "arm64"),
        (sc.WebService(capacity="far"), "x86_64"),
        (sc.WebService(capacity="far", architecture="arm64"), "arm64"),
    ],
)
def test_a_task_is_built_for_its_pool_and_on_fargate_for_what_it_says(settings: Any, architecture: str) -> None:
    assert unit(settings).architecture == architecture


def test_a_service_runs_on_the_pool_that_it_names_or_on_the_only_one() -> None:
    named = unit(sc.WebService(capacity="far"))
    assert (named.pool_name, named.pool) == ("far", POOLS["far"])
    only = Unit("web", sc.WebService(), sc.Config(capacity={"mine": sc.FargateCapacity()}))
    assert (only.pool_name, only.pool) == ("mine", sc.FargateCapacity())


def test_a_service_of_another_s_image_takes_its_parameter_and_has_no_repository() -> None:
    own, borrowed = sc.WebService(capacity="far"), sc.WorkerService(capacity="far", image_of="order-api")
    mailer = unit(borrowed, "mailer", **{"order-api": own})
    assert (mailer.image_owner, mailer.image_parameter) == ("order-api", "OrderApiImageUri")
    assert (mailer.image_key, mailer.has_repository) == ("services.order-api.image_uri", False)
    assert (unit(own).image_owner, unit(own).image_parameter, unit(own).has_repository) == ("web", "WebImageUri", True)
    assert not unit(sc.WebService(capacity="far", image_uri="nginx:1")).has_repository


@pytest.mark.parametrize(
    ("settings", "is_web", "is_reached", "port"),
    [
        (sc.WebService(container_port=81), True, False, 81),
        (sc.InternalService(container_port=82), False, True, 82),
        (sc.WorkerService(), False, False, None),
    ],
)
def test_web_and_internal_services_have_a_port_and_workers_none(
    settings: Any, is_web: bool, is_reached: bool, port: int | None
) -> None:
    made = unit(settings)
    assert (made.is_web, made.is_reached, made.port, made.has_pipeline) == (is_web, is_reached, port, False)


def test_who_names_a_service_is_made_after_it_unless_the_way_leads_back() -> None:
    internal = {
        "a": sc.InternalService(reaches=("b",)),
        "b": sc.InternalService(reaches=("c",)),
        "c": sc.InternalService(reaches=("b",)),
    }
    made = {one.name: one for one in units(sc.Config(services={"web": sc.WebService(reaches=("a",)), **internal}))}
    assert list(made) == ["a", "b", "c", "web"]
    after = {(one, other) for one in made for other in internal if made[one].comes_after(other)}
    assert after == {("web", "a"), ("a", "b")}
    three = {name: sc.InternalService(reaches=(other,)) for name, other in ("ab", "bc", "ca")}
    assert not any(one.comes_after(other) for one in units(sc.Config(services=three)) for other in three)


def test_names_are_listed_in_their_order_and_none_is_said() -> None:
    assert (names_of({"b": 1, "a": 2}), names_of({})) == ("a, b", "none")
