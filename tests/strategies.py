"""Hypothesis strategies over the whole config space, made from the config types themselves."""

from __future__ import annotations

import typing
from typing import Any, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from scaleout_cfn import capacity
from scaleout_cfn.config import (
    Cluster,
    Config,
    Domain,
    ExistingVpc,
    NewVpc,
    NoPipeline,
    RegistryPipeline,
    Service,
    unreachable,
)
from scaleout_cfn.config.scaling import Schedule, StepAdjustment, StepScaling
from scaleout_cfn.config.tunables import Section, bare, fields_of, sections_of

PINNED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"

# What no bound can say: values that CloudFormation or AWS would take.
SAMPLES: dict[str, st.SearchStrategy[Any]] = {
    "stack_name": st.sampled_from(["web", "A", "shop-prod-2"]),
    "tags": st.dictionaries(
        st.sampled_from(["team", "cost center", "env:stage"]), st.sampled_from(["a", "x@y.example"]), max_size=3
    ),
    "account_id": st.sampled_from(["", "123456789012"]),
    "region": st.sampled_from(["", "eu-central-1"]),
    "permissions_boundary": st.sampled_from(["", "arn:aws:iam::123456789012:policy/boundary"]),
    "cidr": st.sampled_from(["10.0.0.0/16", "172.31.0.0/20", "192.168.7.0/24"]),
    "vpc_id": st.sampled_from(["", "vpc-0123456789abcdef0"]),
    "load_balancer_subnets": st.sampled_from([(), ("subnet-0a1b2c3d", "subnet-0b1b2c3d")]),
    "node_subnets": st.sampled_from([(), ("subnet-0c1b2c3d", "subnet-0d1b2c3d", "subnet-0e1b2c3d")]),
    "mutable_tags": st.sampled_from([(), ("latest",), ("latest", "dev-*")]),
    "certificate_arn": st.just(
        "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d-1234-1234-1234-0123456789ab"
    ),
    "tls_policy": st.sampled_from(["ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06"]),
    "domain_name": st.sampled_from(["shop.example.com", "a.b.example.co"]),
    "hosted_zone_id": st.just("Z0123456789ABCDEFGHIJ"),
    "path": st.sampled_from(["/", "/health", "/a/b?c=d"]),
    "instance_types": st.sampled_from([("t3.small",), ("m7i.large", "m6i.large", "m5.large"), ("c6a.xlarge",)]),
    "node_image": st.sampled_from(["", PINNED]),
    "image_uri": st.sampled_from(["", "123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:" + "0" * 64]),
    "cpu_units": st.sampled_from([128, 256, 1000]),
    "memory_mib": st.sampled_from([160, 256, 700]),
    "tmpfs_mib": st.sampled_from([{}, {"/tmp": 64}, {"/tmp": 16, "/run": 16}]),
    "environment": st.sampled_from([{}, {"MODE": "prod"}, {"A": "", "B_2": 'it\'s: "x" ${y} #1\nz'}]),
    "secrets": st.sampled_from(
        [
            {},
            {"KEY": "arn:aws:ssm:us-east-1:123456789012:parameter/web/key"},
            {
                "KEY": "arn:aws:ssm:us-east-1:123456789012:parameter/web/key",
                "DB": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password::",
            },
        ]
    ),
    "health_command": st.sampled_from([(), ("python3", "-c", "print('ok')")]),
    "alarm_email": st.sampled_from(["", "ops@example.com"]),
    "step_policies": st.sampled_from(
        [
            (),
            (
                StepScaling(
                    name="Surge",
                    threshold_percent=80,
                    steps=(StepAdjustment(adjustment=1), StepAdjustment(distance=10, adjustment=3)),
                ),
                StepScaling(
                    name="Ebb",
                    metric="memory",
                    when="below",
                    threshold_percent=20,
                    periods=15,
                    adjustment_type="PercentChangeInCapacity",
                    min_adjustment_magnitude=2,
                    steps=(StepAdjustment(adjustment=-10), StepAdjustment(distance=10, adjustment=-25)),
                ),
            ),
        ]
    ),
    "schedules": st.just(()),  # their bounds depend on the others: drawn by `configs`
    "at": st.sampled_from(["cron(0 8 ? * MON-FRI *)", "rate(1 day)", "at(2026-12-24T18:00:00)"]),
    "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
    "connection_arn": st.sampled_from(
        [
            f"arn:aws:{service}:eu-central-1:123456789012:connection/0a1b2c3d-0000-4000-8000-0123456789ab"
            for service in ("codeconnections", "codestar-connections")
        ]
    ),
    "repository": st.sampled_from(["shop/web", "My.Org/web_1"]),
    "branch": st.sampled_from(["main", "release/1.x"]),
    "context": st.sampled_from([".", "webapp"]),
    "image_tag": st.sampled_from(["latest", "v1"]),
    "provider_arn": st.sampled_from(
        ["", "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"]
    ),
    "bucket": st.sampled_from(["", "my.templates-1"]),
    "pull_from": st.sampled_from([(), ("arn:aws:ecr:us-east-1:123456789012:repository/team/*",)]),
    "templates_bucket": st.sampled_from(["", "my.templates-1"]),
}


def sections(section: type[Section]) -> st.SearchStrategy[Any]:
    """Sections of a type, each tunable by its own bounds. Nothing of what excludes each other is kept apart."""
    return st.fixed_dictionaries({field.name: _tunable(field) for field in fields_of(section)}).map(
        lambda values: section(**values)
    )


def _tunable(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
    inner, meta = bare(field.type)
    if field.name in SAMPLES:
        return SAMPLES[field.name]
    if choices := sections_of(inner):
        return st.one_of(*map(sections, choices))
    if inner is bool:
        return st.booleans()
    assert meta is not None
    if get_origin(inner) is typing.Literal:
        return st.sampled_from(get_args(inner))
    if inner is int:
        low, high = int(meta.ge or 0), int(meta.le or 0)
        # Both ends of the bounds, and what people use.
        return st.one_of(st.sampled_from([low, high]), st.integers(low, min(high, low + 100)))
    if inner is float:
        least = meta.ge if meta.ge is not None else meta.gt
        return st.floats(least, meta.le, exclude_min=meta.gt is not None, width=32).map(
            lambda number: round(number, 2) or 1
        )
    raise AssertionError(f"{field.name}: {inner} needs an entry in SAMPLES")


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Configs that are allowed: drawn from the whole space, then made to agree with themselves."""
    config: Config = draw(sections(Config))
    replace = msgspec.structs.replace
    service, cluster, balancer = config.service, config.cluster, config.load_balancer
    network = config.network
    if isinstance(network, NewVpc) and network.egress == "public-subnets":
        service = replace(service, network_mode="bridge")
    if service.exec:
        service = replace(service, read_only=False)
    if service.placement == "binpack":
        service = replace(service, zone_rebalancing=False)
    deployment = service.deployment
    if deployment.maximum_percent == 100:
        deployment = replace(deployment, minimum_healthy_percent=min(deployment.minimum_healthy_percent, 50))
        service = replace(service, zone_rebalancing=False)
    elif deployment.maximum_percent < 150:
        deployment = replace(deployment, minimum_healthy_percent=min(deployment.minimum_healthy_percent, 50))
    service = replace(service, deployment=deployment)
    service = replace(service, secrets={k: v for k, v in service.secrets.items() if k not in service.environment})
    check = balancer.health_check
    balancer = replace(balancer, health_check=replace(check, timeout_s=min(check.timeout_s, check.interval_s - 1)))
    if cluster.architecture == "arm64":
        cluster = replace(cluster, instance_types=draw(st.sampled_from([("t4g.small",), ("m7g.large", "m6g.large")])))
    cluster = replace(
        cluster,
        min_nodes=min(cluster.min_nodes, cluster.max_nodes),
        on_demand_base=min(cluster.on_demand_base, cluster.max_nodes),
    )
    cluster, service = _roomy(cluster, service)
    most = _most(cluster, service)
    max_tasks = draw(st.integers(2, max(2, min(most, 5000))))
    min_tasks = draw(st.integers(2, max_tasks))
    nodes = config.scaling.nodes
    scaling = replace(
        config.scaling,
        min_tasks=min_tasks,
        max_tasks=max_tasks,
        nodes=replace(nodes, min_step=min(nodes.min_step, nodes.max_step)),
        schedules=draw(
            st.lists(
                st.builds(
                    Schedule,
                    name=st.sampled_from(["day", "night.1"]),
                    at=SAMPLES["at"],
                    timezone=SAMPLES["timezone"],
                    min_tasks=st.just(min_tasks),
                    max_tasks=st.just(max_tasks),
                ),
                max_size=2,
                unique_by=lambda schedule: schedule.name,
            ).map(tuple)
        ),
    )
    if isinstance(balancer.listener, Domain) and isinstance(network, ExistingVpc):
        network = replace(network, ipv6=draw(st.booleans()))
    if not isinstance(config.pipeline, NoPipeline):
        cluster, service = replace(cluster, node_image=PINNED), replace(service, image_uri="")
    if unreachable(config, service.image_uri, config.region):
        service = replace(service, image_uri="")
    if isinstance(config.pipeline, RegistryPipeline):
        config = replace(config, registry=replace(config.registry, mutable_tags=(config.pipeline.image_tag,)))
    return replace(config, network=network, service=service, cluster=cluster, load_balancer=balancer, scaling=scaling)


def _roomy(cluster: Cluster, service: Service) -> tuple[Cluster, Service]:
    """The same with room for two tasks and a deployment, at least."""
    while _most(cluster, service) < 2:
        cluster = msgspec.structs.replace(cluster, max_nodes=cluster.max_nodes + 3)
    return cluster, service


def _most(cluster: Cluster, service: Service) -> int:
    demand = capacity.Demand(
        cpu_units=service.cpu_units,
        memory_mib=service.memory_mib,
        network_mode=service.network_mode,
        min_tasks=2,
        max_tasks=2,
        minimum_healthy_percent=service.deployment.minimum_healthy_percent,
        maximum_percent=service.deployment.maximum_percent,
    )
    supply = capacity.Supply(
        instance_types=cluster.instance_types, max_nodes=cluster.max_nodes, architecture=cluster.architecture
    )
    return capacity.most_tasks(demand, supply)
