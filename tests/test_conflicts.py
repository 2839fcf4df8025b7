"""Tunables that exclude each other do so from the first number on that cannot be, and not before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scaleout_cfn as sc
from scaleout_cfn.config.conflicts import conflicts, remarks


def web(**settings: Any) -> sc.Config:
    return sc.Config(services={"web": sc.WebService(**settings)})


def pool(**settings: Any) -> sc.Config:
    return sc.Config(capacity={"nodes": sc.Ec2Capacity(**settings)})


def managed(**settings: Any) -> sc.Config:
    return sc.Config(capacity={"nodes": sc.ManagedCapacity(**settings)})


def scaling(**settings: Any) -> sc.Config:
    return web(scaling=sc.Scaling(**settings))


def stepping(*steps: tuple[float, int], high_resolution: bool = False, **settings: Any) -> sc.Config:
    policy = sc.StepScaling(
        name="Up",
        threshold=50,
        **settings,
        steps=tuple(sc.StepAdjustment(distance=distance, adjustment=adjustment) for distance, adjustment in steps),
    )
    return scaling(step_policies=(policy,), high_resolution=high_resolution)


def scheduled(least: int, most: int, *names: str) -> sc.Config:
    return scaling(
        schedules=tuple(
            sc.Schedule(name=name, at="rate(1 day)", min_tasks=least, max_tasks=most) for name in names or ("one",)
        )
    )


WEB = "services.web"
STEPS = f"{WEB}.scaling.step_policies[0]"


@pytest.mark.parametrize(
    ("allowed", "refused", "key"),
    [
        (pool(min_nodes=5, max_nodes=5), pool(min_nodes=6, max_nodes=5), "capacity.nodes.min_nodes"),
        (pool(on_demand_base=5, max_nodes=5), pool(on_demand_base=6, max_nodes=5), "capacity.nodes.on_demand_base"),
        (
            pool(scaling=sc.NodeScaling(min_step=7, max_step=7)),
            pool(scaling=sc.NodeScaling(min_step=8, max_step=7)),
            "capacity.nodes.scaling.min_step",
        ),
        (
            pool(instance_types=("t3.small", "t3.medium")),
            pool(instance_types=("t3.small", "t3.medium", "t3.small")),
            "capacity.nodes.instance_types",
        ),
        (managed(min_vcpus=4, max_vcpus=4), managed(min_vcpus=5, max_vcpus=4), "capacity.nodes.min_vcpus"),
        (
            managed(min_memory_mib=4096, max_memory_mib=4096),
            managed(min_memory_mib=4097, max_memory_mib=4096),
            "capacity.nodes.min_memory_mib",
        ),
        (scaling(min_tasks=3, max_tasks=3), scaling(min_tasks=4, max_tasks=3), f"{WEB}.scaling.min_tasks"),
        (scheduled(3, 3), scheduled(4, 3), f"{WEB}.scaling.schedules[0].min_tasks"),
        (scheduled(3, 4, "one", "two"), scheduled(3, 4, "one", "one"), f"{WEB}.scaling.schedules"),
        (
            web(deployment=sc.WebRolling(minimum_healthy_percent=50, maximum_percent=101)),
            web(deployment=sc.WebRolling(minimum_healthy_percent=50, maximum_percent=100)),
            f"{WEB}.deployment.maximum_percent",
        ),
        (
            web(memory_mib=256, tmpfs_mib={"/a": 200, "/b": 55}),
            web(memory_mib=256, tmpfs_mib={"/a": 200, "/b": 56}),
            f"{WEB}.tmpfs_mib",
        ),
        (
            web(health_check=sc.HealthCheck(interval_s=9, timeout_s=8)),
            web(health_check=sc.HealthCheck(interval_s=9, timeout_s=9)),
            f"{WEB}.health_check.timeout_s",
        ),
        (
            web(route=sc.Route(paths=tuple(f"/{n}/*" for n in range(5)))),
            web(route=sc.Route(paths=tuple(f"/{n}/*" for n in range(5)), query={"a": "1"})),
            f"{WEB}.route",
        ),
        (stepping((0, 1), period_s=60), stepping((0, 1), period_s=30), f"{STEPS}.period_s"),
        (stepping((0, 1), period_s=30, high_resolution=True), stepping((0, 1), period_s=30), f"{STEPS}.period_s"),
        (
            stepping((0, 1), min_adjustment_magnitude=1),
            stepping((0, 1), min_adjustment_magnitude=2),
            f"{STEPS}.min_adjustment_magnitude",
        ),
        (
            stepping((0, 1), min_adjustment_magnitude=2, adjustment_type="PercentChangeInCapacity"),
            stepping((0, 1), min_adjustment_magnitude=2, adjustment_type="ExactCapacity"),
            f"{STEPS}.min_adjustment_magnitude",
        ),
        (
            stepping((0, 0), adjustment_type="ExactCapacity"),
            stepping((0, -1), adjustment_type="ExactCapacity"),
            f"{STEPS}.steps",
        ),
        (stepping((0, 1), (1, 2)), stepping((1, 1), (2, 2)), f"{STEPS}.steps"),
        (stepping((0, 1), (1, 2), (2, 3)), stepping((0, 1), (1, 2), (1, 3)), f"{STEPS}.steps"),
        (stepping((0, 1), (1, 2), (2, 3)), stepping((0, 1), (2, 2), (1, 3)), f"{STEPS}.steps"),
        (
            stepping((0, -1), (49, -2), when="below"),
            stepping((0, -1), (50, -2), when="below"),
            f"{STEPS}.steps",
        ),
    ],
)
def test_the_last_number_that_can_be_is_allowed_and_the_next_is_refused_by_its_key(
    allowed: sc.Config, refused: sc.Config, key: str
) -> None:
    assert [str(conflict) for conflict in conflicts(allowed)] == []
    assert [conflict.key for conflict in conflicts(refused)] == [key]


def several(**services: Any) -> sc.Config:
    return sc.Config(services=services, capacity={"nodes": PINNED})


#: Nodes of an image that stays, as a pipeline needs it.
PINNED = sc.Ec2Capacity(machine_image="/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-2023.0.1/image_id")
WORKER, API = sc.WorkerService(), sc.InternalService()
ACCOUNT, OTHER = "123456789012", "210987654321"
PUSHED, LATEST = sc.RegistryPipeline(image_tag="v1"), sc.Registry(mutable_tags=("latest", "v*"))
GITHUB = sc.GitHubPipeline(repository="example/web")
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"


def shop(*routes: sc.Route) -> sc.Config:
    """A web service for each route, on nodes that hold them all."""
    services = {
        f"s{number}": sc.WebService(route=route, scaling=sc.Scaling(max_tasks=4)) for number, route in enumerate(routes)
    }
    return sc.Config(services=services, capacity={"nodes": sc.Ec2Capacity(max_nodes=40)})


@pytest.mark.parametrize(
    ("allowed", "refused", "key"),
    [
        (
            several(web=sc.WebService(reaches=("api", "b")), api=API, b=API),
            several(web=sc.WebService(reaches=("api", "api")), api=API),
            "services.web.reaches",
        ),
        (
            several(web=sc.WebService(reaches=("api",)), api=API),
            several(web=sc.WebService(reaches=("api",)), api=WORKER),
            "services.web.reaches",
        ),
        (
            several(api=sc.InternalService(reaches=("b",)), b=API),
            several(api=sc.InternalService(reaches=("api",))),
            "services.api.reaches",
        ),
        (
            several(web=sc.WebService(), mailer=sc.WorkerService(image_of="web")),
            several(web=sc.WebService(), mailer=sc.WorkerService(image_of="mailer")),
            "services.mailer.image_of",
        ),
        (
            several(web=sc.WebService(), a=sc.WorkerService(image_of="web"), b=sc.WorkerService(image_of="web")),
            several(web=sc.WebService(), a=sc.WorkerService(image_of="web"), b=sc.WorkerService(image_of="a")),
            "services.b.image_of",
        ),
        (
            several(web=sc.WebService(), mailer=sc.WorkerService(image_of="web")),
            several(web=sc.WebService(), mailer=sc.WorkerService(image_of="web", image_uri="nginx:1")),
            "services.mailer.image_uri",
        ),
        (
            several(web=sc.WebService(pipeline=GITHUB), mailer=sc.WorkerService(image_of="web")),
            several(web=sc.WebService(), mailer=sc.WorkerService(image_of="web", pipeline=GITHUB)),
            "services.mailer.pipeline",
        ),
        (
            several(web=sc.WebService(pipeline=GITHUB)),
            several(web=sc.WebService(pipeline=GITHUB, image_uri="nginx:1")),
            "services.web.image_uri",
        ),
        (
            several(web=sc.WebService(pipeline=GITHUB)),
            sc.Config(services={"web": sc.WebService(pipeline=GITHUB)}),
            "capacity.nodes.machine_image",
        ),
        (
            msgspec.structs.replace(several(web=sc.WebService(pipeline=PUSHED)), registry=LATEST),
            several(web=sc.WebService(pipeline=PUSHED)),
            "services.web.pipeline.image_tag",
        ),
        (
            several(
                web=sc.WebService(pipeline=GITHUB),
                mailer=sc.WorkerService(pipeline=msgspec.structs.replace(GITHUB, provider_arn=PROVIDER)),
            ),
            several(web=sc.WebService(pipeline=GITHUB), mailer=sc.WorkerService(pipeline=GITHUB)),
            "services.web.pipeline.provider_arn",
        ),
        (
            shop(sc.Route(), sc.Route(paths=("/a/*",))),
            shop(sc.Route(), sc.Route()),
            "services.s1.route",
        ),
        (
            shop(sc.Route(paths=("/a/*",), priority=7), sc.Route(paths=("/b/*",), priority=8)),
            shop(sc.Route(paths=("/a/*",), priority=7), sc.Route(paths=("/b/*",), priority=7)),
            "services.s1.route",
        ),
        (
            shop(sc.Route(paths=("/a/*",), priority=8), sc.Route(paths=("/a/b/*",), priority=7)),
            shop(sc.Route(paths=("/a/*",), priority=7), sc.Route(paths=("/a/b/*",), priority=8)),
            "services.s1.route",
        ),
    ],
)
def test_what_is_called_by_name_is_there_once_and_is_what_it_is_needed_for(
    allowed: sc.Config, refused: sc.Config, key: str
) -> None:
    assert [str(conflict) for conflict in conflicts(allowed)] == []
    assert [conflict.key for conflict in conflicts(refused)] == [key]


def named(account: str, region: str) -> dict[str, str]:
    """ARNs of an account and region, by the key of the tunable that names each."""
    return {
        "permissions_boundary": f"arn:aws:iam::{account}:policy/boundary",
        "load_balancer.listener.certificate_arn": f"arn:aws:acm:{region}:{account}:certificate/0a",
        "services.web.secrets.KEY": f"arn:aws:ssm:{region}:{account}:parameter/key",
        "services.web.pull_from[0]": f"arn:aws:ecr:{region}:{account}:repository/base",
        "services.web.route.certificate_arn": f"arn:aws:acm:{region}:{account}:certificate/0b",
        "services.web.pipeline.provider_arn": (
            f"arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"
        ),
    }


def placed(arns: dict[str, str]) -> sc.Config:
    boundary, listener, secret, base, certificate, provider = arns.values()
    service = sc.WebService(
        secrets={"KEY": secret},
        pull_from=(base,),
        route=sc.Route(hosts=("a.example.com",), certificate_arn=certificate),
        pipeline=msgspec.structs.replace(GITHUB, provider_arn=provider),
    )
    return sc.Config(
        account_id=ACCOUNT,
        region="eu-west-1",
        permissions_boundary=boundary,
        load_balancer=sc.NewLoadBalancer(listener=sc.Certificate(domain_name="example.com", certificate_arn=listener)),
        services={"web": service},
        capacity={"nodes": PINNED},
    )


ELSEWHERE = {"services.web.secrets.KEY", "services.web.pull_from[0]"}


def test_only_secrets_and_images_may_be_of_another_account_or_region() -> None:
    """All else AWS takes of the set's own account, and certificates of its region."""
    own = named(ACCOUNT, "eu-west-1")
    assert conflicts(placed(own)) == []
    for key, arn in named(OTHER, "eu-west-1").items():
        refused = [conflict.key for conflict in conflicts(placed({**own, key: arn}))]
        assert refused == ([] if key in ELSEWHERE else [key])
    for key, arn in named(ACCOUNT, "us-east-1").items():
        refused = [conflict.key for conflict in conflicts(placed({**own, key: arn}))]
        assert refused == ([key] if "certificate" in key else [])


@pytest.mark.parametrize(
    ("pool", "tasks", "told"),
    [
        (sc.FargateCapacity(), 24, ""),
        (sc.FargateCapacity(), 25, "6.25 vCPUs of Fargate On-Demand"),
        (sc.FargateCapacity(spot_percent=100, on_demand_base=24), 48, ""),
        (sc.FargateCapacity(spot_percent=100, on_demand_base=24), 49, "6.25 vCPUs of Fargate Spot"),
        (sc.FargateCapacity(spot_percent=50), 48, ""),
    ],
)
def test_more_of_fargate_than_an_account_begins_with_is_remarked_on(
    pool: sc.FargateCapacity, tasks: int, told: str
) -> None:
    service = sc.WebService(memory_mib=512, scaling=sc.Scaling(max_tasks=tasks))
    said = [str(remark) for remark in remarks(sc.Config(capacity={"air": pool}, services={"web": service}))]
    assert (told in said[0] and said[0].startswith("capacity.air: ")) if told else said == []
