"""How a new version takes over: what is refused, at which key, and with which cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts, remarks
from scaleout_cfn.config.file import load

AIR: dict[str, Any] = {"air": sc.FargateCapacity()}
SIZE: dict[str, Any] = {"cpu_units": 256, "memory_mib": 512}
HEADER = sc.GreenHeader(header="X-Green", value="yes")
PORT = sc.GreenPort(port=8443, source_cidrs=("192.0.2.0/24",))
KEY = "services.web.deployment"
TLS = sc.NewLoadBalancer(
    listener=sc.Certificate(
        certificate_arn="arn:aws:acm:eu-west-1:123456789012:certificate/0a1b", domain_name="shop.example.com"
    )
)
SHARED = sc.ExistingLoadBalancer(
    load_balancer_arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/0a",
    listener_arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/a/0a/0b",
    security_group_id="sg-0a",
    url="http://a.example.com",
)


def config(deployment: Any, more: Any = None, **web: Any) -> sc.Config:
    service = sc.WebService(**{**SIZE, "deployment": deployment, **web})
    return sc.Config(capacity=AIR, services={"web": service}, **(more or {}))


def blue_green(**fields: Any) -> sc.WebBlueGreen:
    return sc.WebBlueGreen(**fields)


def pause(minutes: int, *stages: Any) -> Any:
    return sc.Pause(stages=stages or ("PRE_SCALE_UP",), timeout_minutes=minutes)


REQUESTS = sc.Scaling(requests=sc.TargetTracking(enabled=True, target=1000))
HOOK = sc.Hook(function_arn="arn:aws:lambda:eu-west-1:123456789012:function:it", stages=("PRE_SCALE_UP",))
OIDC = sc.Oidc(
    issuer="https://id.example.com",
    authorization_endpoint="https://id.example.com/authorize",
    token_endpoint="https://id.example.com/token",
    user_info_endpoint="https://id.example.com/me",
    client_id="shop",
    client_secret="arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/oidc-AbCdEf",
)


@pytest.mark.parametrize(
    ("allowed", "refused", "key", "words"),
    [
        (
            config(sc.WebRolling(), scaling=REQUESTS),
            config(blue_green(), scaling=REQUESTS),
            "services.web.scaling.requests",
            "services.web.scaling.pulse",
        ),
        (
            config(sc.WebRolling(), {"load_balancer": TLS}, sign_in=OIDC),
            config(blue_green(), {"load_balancer": TLS}, sign_in=OIDC),
            "services.web.sign_in",
            'strategy = "blue-green"',
        ),
        (
            config(sc.WebRolling(), stand_in=sc.StandIn()),
            config(blue_green(), stand_in=sc.StandIn()),
            "services.web.stand_in",
            "rolling",
        ),
        # 33 hours, of a linear deployment by the steps but the last: nine of ten percent.
        (
            config(sc.WebLinear(bake_minutes=180, step_bake_minutes=200)),
            config(sc.WebLinear(bake_minutes=181, step_bake_minutes=200)),
            f"{KEY}.bake_minutes",
            "1981",
        ),
        (
            config(sc.WebCanary(bake_minutes=980, canary_bake_minutes=1000)),
            config(sc.WebCanary(bake_minutes=981, canary_bake_minutes=1000)),
            f"{KEY}.bake_minutes",
            "1980",
        ),
        # 36 hours, with the pauses.
        (
            config(blue_green(pauses={"look": pause(2145)})),
            config(blue_green(pauses={"look": pause(2146)})),
            f"{KEY}.pauses.look.timeout_minutes",
            "2160",
        ),
        (
            config(sc.WebCanary(pauses={"look": pause(1067, "PRE_PRODUCTION_TRAFFIC_SHIFT")})),
            config(sc.WebCanary(pauses={"look": pause(1068, "PRE_PRODUCTION_TRAFFIC_SHIFT")})),
            f"{KEY}.pauses.look.timeout_minutes",
            "each of 2 shifts",
        ),
        (
            config(sc.WebRolling(minimum_healthy_percent=50, early_success=sc.EarlySuccess(healthy_percent=50))),
            config(sc.WebRolling(minimum_healthy_percent=51, early_success=sc.EarlySuccess(healthy_percent=50))),
            f"{KEY}.early_success.healthy_percent",
            "51",
        ),
        (
            config(blue_green(hooks={"it": HOOK}), {"region": "eu-west-1"}),
            config(blue_green(hooks={"it": HOOK}), {"region": "eu-west-2"}),
            f"{KEY}.hooks.it.function_arn",
            "eu-west-2",
        ),
        (config(blue_green(test=PORT)), config(blue_green(test=replace(PORT, port=80))), f"{KEY}.test.port", "another"),
        (
            config(blue_green(test=replace(PORT, port=443))),
            config(blue_green(test=replace(PORT, port=443)), {"load_balancer": TLS}),
            f"{KEY}.test.port",
            "another",
        ),
        (
            config(
                blue_green(test=HEADER),
                {"load_balancer": SHARED, "network": sc.ExistingVpc(vpc_id="vpc-0a")},
                route=sc.Route(paths=("/a",)),
            ),
            config(
                blue_green(test=PORT),
                {"load_balancer": SHARED, "network": sc.ExistingVpc(vpc_id="vpc-0a")},
                route=sc.Route(paths=("/a",)),
            ),
            f"{KEY}.test.port",
            'kind = "header"',
        ),
        (
            config(blue_green(test=HEADER), route=sc.Route(paths=("/a", "/b", "/c", "/d"))),
            config(blue_green(test=HEADER), route=sc.Route(paths=("/a", "/b", "/c", "/d", "/e"))),
            f"{KEY}.test",
            "makes 6",
        ),
        (
            config(blue_green(test=HEADER), route=sc.Route(headers={"X-Blue": "yes"})),
            config(blue_green(test=HEADER), route=sc.Route(headers={"x-green": "yes"})),
            f"{KEY}.test.header",
            "already",
        ),
        (
            config(blue_green(test=HEADER), route=sc.Route(paths=("/a",), priority=2)),
            config(blue_green(test=HEADER), route=sc.Route(paths=("/a",), priority=1)),
            "services.web.route.priority",
            "2",
        ),
        (
            config(
                blue_green(test=HEADER),
                {"load_balancer": sc.NewLoadBalancer(maintenance=True)},
                route=sc.Route(paths=("/a",), priority=3),
            ),
            config(
                blue_green(test=HEADER),
                {"load_balancer": sc.NewLoadBalancer(maintenance=True)},
                route=sc.Route(paths=("/a",), priority=2),
            ),
            "services.web.route.priority",
            "3",
        ),
        (
            config(blue_green(test=PORT)),
            config(blue_green(test=replace(PORT, source_cidrs=("2001:db8::/32",)))),
            f"{KEY}.test.source_cidrs",
            "IPv6",
        ),
    ],
)
def test_what_excludes_each_other_is_refused_from_there_on(
    allowed: sc.Config, refused: sc.Config, key: str, words: str
) -> None:
    assert conflicts(allowed) == []
    (conflict,) = conflicts(refused)
    assert conflict.key == key
    assert words in conflict.what


def test_the_rule_of_a_test_header_meets_no_other(capsys: Any) -> None:
    def two(priority: int) -> sc.Config:
        first = sc.WebService(**SIZE, deployment=blue_green(test=HEADER), route=sc.Route(paths=("/a",), priority=10))
        second = sc.WebService(**SIZE, route=sc.Route(paths=("/b",), priority=priority))
        return sc.Config(capacity=AIR, services={"one": first, "two": second})

    assert conflicts(two(8)) == []
    (conflict,) = conflicts(two(9))
    assert (conflict.key, "two's" in conflict.what) == ("services.one.route", True)


def test_who_shares_a_port_shares_who_may_reach_it() -> None:
    first = sc.WebService(**SIZE, deployment=blue_green(test=PORT))
    second = sc.WebService(**SIZE, deployment=blue_green(test=PORT), route=sc.Route(paths=("/b",)))
    both = sc.Config(capacity=AIR, services={"one": first, "two": second})
    assert conflicts(both) == []
    other = replace(second, deployment=blue_green(test=replace(PORT, source_cidrs=("198.51.100.0/24",))))
    (conflict,) = conflicts(replace(both, services={"one": first, "two": other}))
    assert conflict.key == "services.two.deployment.test.source_cidrs"


def test_nodes_hold_twice_the_tasks() -> None:
    def on(nodes: int, deployment: Any) -> sc.Config:
        web = sc.WebService(cpu_units=256, memory_mib=512, scaling=sc.Scaling(max_tasks=12), deployment=deployment)
        return sc.Config(capacity={"nodes": sc.Ec2Capacity(max_nodes=nodes)}, services={"web": web})

    sc.compose(on(5, sc.WebRolling()))
    with pytest.raises(sc.SetError, match="as many again during a deployment") as refused:
        sc.compose(on(7, blue_green()))
    assert "capacity.nodes.max_nodes = 8" in str(refused.value)
    sc.compose(on(8, blue_green()))


def test_the_quota_of_fargate_is_asked_for_twice_the_tasks() -> None:
    def of(deployment: Any) -> list[str]:
        return [remark.what for remark in remarks(config(deployment, scaling=sc.Scaling(max_tasks=20)))]

    assert of(sc.WebRolling()) == []
    (said,) = of(blue_green())
    assert "twice during a deployment that is not rolling, are 10 vCPUs" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step_percent = 20", 'deployment.step_percent: goes with strategy = "linear"; write that beside it'),
        ("bake_minutes = 20", 'deployment.bake_minutes: goes with strategy = "blue-green"'),
        ('strategy = "canary"\nstep_percent = 20', 'it goes with strategy = "linear", and not with "canary"'),
        ('strategy = "canary"\nmaximum_percent = 150', 'it goes with strategy = "rolling", and not with "canary"'),
        (
            'strategy = "bluegreen"',
            'strategy: got \'bluegreen\'; allowed are "rolling", "blue-green", "linear", "canary"',
        ),
        ('strategy = "blue-green"\npauses.a.stages = ["PRODUCTION_TRAFFIC_SHIFT"]', "allowed are"),
        ('strategy = "blue-green"\npauses.a.stages = []', "allowed are at least 1"),
        ('strategy = "blue-green"\nbake_minutes = 1441', "allowed is 0 to 1440 minutes"),
        ('strategy = "blue-green"\ntest = {kind = "port", port = 8443}', "test.source_cidrs is missing"),
        ('strategy = "blue-green"\ntest = {kind = "header", header = "X-A", value = "a*"}', "none of them * or ?"),
        (
            'strategy = "blue-green"\nhooks.a = {function_arn = "arn:aws:s3:::a", stages = ["PRE_SCALE_UP"]}',
            "the ARN of a Lambda function is wanted",
        ),
    ],
)
def test_what_is_written_wrong_is_told_at_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "scaleout.toml"
    path.write_text(f"[services.web]\n[services.web.deployment]\n{text}\n", encoding="utf-8")
    with pytest.raises(sc.ConfigError) as refused:
        load(path)
    assert said in str(refused.value)
    assert f"scaleout.toml:{3 + text.count(chr(10))}: " in str(refused.value)


def test_a_worker_has_no_requests_that_could_move(tmp_path: Path) -> None:
    path = tmp_path / "scaleout.toml"
    text = '[services.mailer]\nkind = "worker"\n[services.mailer.deployment]\nstrategy = "{}"\n'
    path.write_text(text.format("canary"), encoding="utf-8")
    with pytest.raises(sc.ConfigError, match='allowed are "rolling", "blue-green"'):
        load(path)
    path.write_text(text.format("blue-green"), encoding="utf-8")
    assert isinstance(load(path).services["mailer"].deployment, sc.BlueGreen)
