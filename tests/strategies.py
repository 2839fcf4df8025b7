"""Hypothesis strategies over the whole config space, made from the config types themselves."""

from __future__ import annotations

import functools
import types
import typing
from typing import Any, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from scaleout_cfn.capacity import (
    Demand,
    Supply,
    demand_of,
    deployment_problems,
    instance_type,
    most_tasks,
    nodes_needed,
    problems,
)
from scaleout_cfn.config import (
    AnyService,
    CaBundle,
    Config,
    Domain,
    Ec2Capacity,
    ExistingLoadBalancer,
    ExistingVpc,
    FargateCapacity,
    GitHubPipeline,
    GreenPort,
    Http,
    InternalService,
    Job,
    ManagedCapacity,
    NewLoadBalancer,
    NewVpc,
    NewWebAcl,
    NoPipeline,
    PolicyStatement,
    Postgres,
    RegistryPipeline,
    Rolling,
    Route,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.balancer_conflicts import UNITS as RULE_GROUPS
from scaleout_cfn.config.balancer_conflicts import dns_conflicts
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.container_conflicts import unreachable
from scaleout_cfn.config.containers import EFS, BindVolume, EbsVolume, EfsOfService, EfsVolume, Task
from scaleout_cfn.config.delivery import PauseStage
from scaleout_cfn.config.delivery_conflicts import preview_conflicts
from scaleout_cfn.config.pulse import AddressPulse, ReadPulse
from scaleout_cfn.config.routing import priorities, priority
from scaleout_cfn.config.scaling import Scaling, Schedule, StepAdjustment, StepScaling
from scaleout_cfn.config.service_conflicts import EXEC_FOLDERS
from scaleout_cfn.config.sidecars import (
    ContainerSidecar,
    FireLensSidecar,
    InitSidecar,
    OtelSidecar,
    ProxySidecar,
    ReadyMade,
    listening,
)
from scaleout_cfn.config.tunables import Section, bare, default_of, fields_of, named_sections, sections_of
from scaleout_cfn.config.units import JobUnit, Unit, Work, jobs_of, units, with_queue, with_stand_ins

SERVICES = ["web", "api", "mailer", "order-desk"]
POOLS = ["nodes", "second", "third"]
#: What sections by name are called.
NAMES = {
    "services": SERVICES,
    "capacity": POOLS,
    "jobs": ["nightly", "migrate-db"],
    "sidecars": ["helper", "setup"],
    "volumes": ["data", "more"],
    "attachments": ["orders", "hot-keys", "web"],
    "pauses": ["look", "last-look"],
    "hooks": ["check", "load"],
}
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d-1234-1234-1234-0123456789ab"
KEY = "arn:aws:kms:{}:123456789012:key/12345678-1234-1234-1234-123456789012"
ZONE = "Z0123456789ABCDEFGHIJ"
BALANCER = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:{}/app/shared/0a1b2c3d4e5f6071"
CLIENT_SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/oidc-AbCdEf"
WEB_ACL = "arn:aws:wafv2:{}:123456789012:{}/webacl/shop/0a1b2c3d-1234-1234-1234-0123456789ab"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
PINNED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
PINNED_GPU = (
    "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/al2023-ami-ecs-gpu-hvm-2023.0.20260101-kernel-6.1-x86_64"
    "/image_id"
)

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
    "certificate_arn": st.just(CERTIFICATE),
    "capacity": st.sampled_from(["", *POOLS]),
    "image_of": st.sampled_from(["", "", *SERVICES]),
    "command": st.sampled_from([(), ("python", "-m", "mailer")]),
    "sends_to": st.lists(st.sampled_from(SERVICES), max_size=2).map(tuple),
    "before": st.sampled_from(["", *SERVICES]),
    "reaches": st.lists(st.sampled_from(SERVICES), max_size=2).map(tuple),
    "paths": st.sampled_from([(), ("/a/*",), ("/", "/b?/*")]),
    "hosts": st.sampled_from([(), ("a.example.com",), ("*.example.com", "b.example.com")]),
    "headers": st.sampled_from([{}, {"X-Tenant": "a*"}]),
    "query": st.sampled_from([{}, {"v": "2"}]),
    "load_balancer_arn": st.just(BALANCER.format("loadbalancer")),
    "listener_arn": st.just(BALANCER.format("listener") + "/1122334455667788"),
    "security_group_id": st.just("sg-0123456789abcdef0"),
    "profile": st.sampled_from(["", "prod-eu"]),
    "url": st.just("https://shared.example.com"),
    "tls_policy": st.sampled_from(["ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06"]),
    "domain_name": st.sampled_from(["shop.example.com", "a.b.example.co"]),
    "hosted_zone_id": st.just(ZONE),
    "health_path": st.sampled_from(["", "", "/health"]),
    "path": st.sampled_from(["/", "/health", "/a/b?c=d"]),
    "instance_types": st.sampled_from([("t3.small",), ("m7i.large", "m6i.large", "m5.large"), ("c6a.xlarge",)]),
    "machine_image": st.sampled_from(["", PINNED]),
    "image_uri": st.sampled_from(["", "123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:" + "0" * 64]),
    "cpu_units": st.sampled_from([128, 256, 1000]),
    "memory_mib": st.sampled_from([160, 256, 700]),
    "tmpfs_mib": st.sampled_from([{}, {"/tmp": 64}, {"/tmp": 16, "/run": 16}, dict.fromkeys(sorted(EXEC_FOLDERS), 16)]),
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
    "required_tags": st.sampled_from([(), ("team",)]),
    "name": st.sampled_from(["", "acme-cluster"]),
    "service_name": st.just(""),  # given in `_service`
    "prefix": st.sampled_from(["", "acme-"]),
    "key_arn": st.just(KEY.format("eu-central-1")),
    "secrets_keys": st.sampled_from([(), (KEY.format("us-east-1"),)]),
    "health_command": st.sampled_from([(), ("python3", "-c", "print('ok')")]),
    "alarm_email": st.sampled_from(["", "ops@example.com"]),
    "step_policies": st.sampled_from(
        [
            (),
            (
                StepScaling(
                    name="Surge",
                    threshold=80,
                    steps=(StepAdjustment(adjustment=1), StepAdjustment(distance=10, adjustment=3)),
                ),
                StepScaling(
                    name="Ebb",
                    metric="memory",
                    when="below",
                    threshold=20,
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
    "stop": st.sampled_from(["20:00", "01:30"]),
    "start": st.sampled_from(["07:00", "23:59"]),
    "days": st.sampled_from([("MON", "TUE", "WED", "THU", "FRI"), ("SUN",), ("MON", "SAT")]),
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
    "provider_arn": st.sampled_from(["", PROVIDER]),
    "bucket": st.sampled_from(["", "my.templates-1"]),
    "entrypoint": st.sampled_from([(), ("/bin/sh", "-c")]),
    "user": st.sampled_from(["", "10001:10001", "www-data"]),
    "working_directory": st.sampled_from(["", "/srv/web"]),
    "capabilities": st.sampled_from([(), ("DEFAULT",), ("SYS_PTRACE",)]),
    "ulimits": st.sampled_from([{}, {"nofile": 65536, "core": -1}]),
    "labels": st.sampled_from([{}, {"team": "shop"}]),
    "codes": st.just("200"),
    "slow_start_s": st.sampled_from([0, 30, 900]),
    "environment_files": st.sampled_from(
        [(), ("arn:aws:s3:::shop-settings/a.env", "arn:aws:s3:::shop-settings/b.env")]
    ),
    "registry_secret": st.just(""),  # goes with the image of a registry other than ECR: drawn by `_of_its_place`
    "log_options": st.just({}),  # these two go with a driver: drawn by `_of_its_place`
    "log_secret_options": st.just({}),
    "gpus": st.sampled_from([0, 0, 1]),
    "mounts": st.just({}),  # these two name containers: drawn by `_stored`
    "read_only_for": st.just(()),
    "host_path": st.sampled_from(["", "/var/shared"]),
    "service": st.sampled_from(SERVICES),
    "file_system_id": st.just("fs-0123456789abcdef0"),
    "access_point_id": st.sampled_from(["", "fsap-0123456789abcdef0"]),
    "after": st.dictionaries(
        st.sampled_from(["helper", "setup", "web"]),
        st.sampled_from(["START", "HEALTHY", "COMPLETE", "SUCCESS"]),
        max_size=2,
    ),
    "ports": st.sampled_from([(), (9001,), (9001, 9002)]),
    "destination_arn": st.sampled_from(
        [
            "",
            "arn:aws:firehose:eu-central-1:123456789012:deliverystream/logs",
            "arn:aws:kinesis:eu-central-1:123456789012:stream/logs",
            "arn:aws:s3:::shop-logs",
        ]
    ),
    "output": st.sampled_from(["", "datadog"]),
    "options": st.sampled_from([{}, {"compress": "gzip"}]),
    "secret_options": st.sampled_from([{}, {"apikey": "arn:aws:ssm:us-east-1:123456789012:parameter/datadog"}]),
    "imports": st.just({}),  # drawn by `configs`
    "metric_namespace": st.sampled_from(["", "shop/web"]),
    "pull_from": st.sampled_from([(), ("arn:aws:ecr:us-east-1:123456789012:repository/team/*",)]),
    "reads_bucket": st.sampled_from([(), ("arn:aws:s3:::orders",)]),
    "writes_bucket": st.sampled_from([(), ("arn:aws:s3:::orders", "arn:aws:s3:::invoices.example.com")]),
    "uses_table": st.sampled_from([(), ("arn:aws:dynamodb:eu-central-1:123456789012:table/orders",)]),
    "sends_to_queue": st.sampled_from([(), ("arn:aws:sqs:eu-central-1:210987654321:orders.fifo",)]),
    "publishes_to": st.sampled_from([(), ("arn:aws:sns:eu-central-1:123456789012:orders",)]),
    "uses_key": st.sampled_from([(), (KEY.format("eu-central-1"),)]),
    "managed_policies": st.sampled_from(
        [(), ("arn:aws:iam::aws:policy/AmazonSQSFullAccess", "arn:aws:iam::123456789012:policy/shop/orders")]
    ),
    "statements": st.lists(
        st.sampled_from(
            [
                PolicyStatement(
                    actions=("cloudwatch:PutMetricData",),
                    any_resource=True,
                    reason="metrics have no ARN",
                    conditions={"StringEquals": {"cloudwatch:namespace": ("shop", "web")}},
                ),
                PolicyStatement(
                    actions=("ssm:GetParameter*", "ssm:PutParameter"),
                    resources=("arn:aws:ssm:*:123456789012:parameter/shop/${aws:PrincipalTag/team}/*",),
                    conditions={
                        "Bool": {"aws:SecureTransport": "true"},
                        "DateLessThan": {"aws:CurrentTime": "2030-01-01"},
                    },
                ),
                PolicyStatement(actions=("s3:*",), resources=("*",), any_resource=True, reason="metrics have no ARN"),
            ]
        ),
        max_size=3,
    ).map(tuple),
    "used_by": st.lists(st.sampled_from(SERVICES), max_size=2, unique=True).map(tuple),
    "instance_class": st.sampled_from(["db.t4g.micro", "db.m7g.large"]),
    "node_type": st.sampled_from(["cache.t4g.micro", "cache.m7g.large"]),
    "database": st.sampled_from(["app", "orders_2"]),
    "partition_key": st.sampled_from(["id", "tenant.id"]),
    "sort_key": st.sampled_from(["", "at"]),
    "templates_bucket": st.sampled_from(["", "my.templates-1"]),
    "allowed_cidrs": st.sampled_from([(), ("192.0.2.0/24",), ("192.0.2.0/24", "2001:db8::/32")]),
    "allowed_prefix_lists": st.sampled_from([{}, {"pl-3b927c52": 55}]),
    "rule_groups": st.sampled_from([("SQLi", "Common"), ("AmazonIpReputation",), tuple(RULE_GROUPS)]),
    "counted_rules": st.just({}),  # of the rule groups: drawn by `configs`
    "rate_limit": st.sampled_from([0, 10, 2000]),
    "web_acl_arn": st.just(WEB_ACL.format("eu-central-1", "regional")),
    "trust_store_arn": st.just(BALANCER.format("truststore").replace("/app", "") + "0"),
    "counter": st.sampled_from(["http_requests_total", "shop:requests"]),
    "key": st.just("clients/ca.pem"),
    "version": st.sampled_from(["", "3HL4kqtJvjVBH40N"]),
    "aliases": st.sampled_from([(), ("shop.example.com", "*.example.com")]),
    "issuer": st.just("https://id.example.com"),
    "authorization_endpoint": st.just("https://id.example.com/authorize"),
    "token_endpoint": st.just("https://id.example.com/token"),
    "user_info_endpoint": st.just("https://id.example.com/me"),
    "client_id": st.sampled_from(["shop", "0oa1bcd2EFG3hij4k5l6"]),
    "client_secret": st.sampled_from([CLIENT_SECRET, f"{CLIENT_SECRET}:secret::"]),
    "user_pool_arn": st.just("arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEfGhI"),
    "domain": st.sampled_from(["shop", "id.example.com"]),
    "scope": st.sampled_from(["openid", "openid email profile"]),
    "stages": st.lists(st.sampled_from(get_args(PauseStage)), min_size=1, max_size=3, unique=True).map(tuple),
    "function_arn": st.sampled_from(
        [f"arn:aws:lambda:eu-central-1:123456789012:function:check{suffix}" for suffix in ("", ":live")]
    ),
    "details": st.sampled_from([{}, {"of": "web", "mode": "strict"}]),
    "source_cidrs": st.just(("192.0.2.0/24",)),
    "header": st.sampled_from(["X-Green", "x-preview"]),
    "value": st.sampled_from(["yes", "0a1b2c3d"]),
}


@functools.cache
def sections(section: type[Section]) -> st.SearchStrategy[Any]:
    """Sections of a type, each tunable by its own bounds. Nothing of what excludes each other is kept apart."""
    return st.fixed_dictionaries({field.name: _tunable(field) for field in fields_of(section)}).map(
        lambda values: section(**values)
    )


def _tunable(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
    inner, meta = bare(field.type)
    if choices := named_sections(inner):
        names = NAMES[field.name]
        entries = st.one_of(*map(sections, choices))
        return st.dictionaries(
            st.sampled_from(names), entries, min_size=1 if default_of(field) else 0, max_size=len(names)
        )
    if field.name in SAMPLES and get_origin(inner) is not typing.Literal:
        return SAMPLES[field.name]
    if choices := sections_of(inner):
        may_be_left_out = [st.none()] if types.NoneType in get_args(inner) else []
        return st.one_of(*may_be_left_out, *map(sections, choices))
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
        return st.floats(least, meta.le, exclude_min=meta.gt is not None).map(lambda number: round(number, 2) or 1)
    raise AssertionError(f"{field.name}: {inner} needs an entry in SAMPLES")


replace = msgspec.structs.replace


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Configs that are allowed: drawn from the whole space, then made to agree with themselves."""
    config: Config = draw(sections(Config))
    config = replace(
        config,
        tags={**dict.fromkeys(config.required_tags, "shop"), **config.tags},
        roles=replace(config.roles, path=draw(st.sampled_from(["/", "/teams/shop/"]))),
    )
    config = replace(config, capacity={name: draw(_pool(pool)) for name, pool in config.capacity.items()})
    services: dict[str, AnyService] = {}
    for name in sorted(config.services):
        services[name] = draw(_service(replace(config, services={**config.services, **services}), name))
    config = _grounded(draw, replace(config, services=services))
    config = _attached(config)
    # Once it is known of each whether it is reached, and by what way its images come.
    for unit in units(config):
        services[unit.name] = replace(services[unit.name], **draw(_of_its_place(unit)))
        if isinstance(unit.pool, ManagedCapacity):
            services[unit.name] = _unlabelled(services[unit.name])
    config = _asked_where_it_can_be(_shared(draw, replace(config, services=services)))
    config = _tested(_routed(draw, config))
    config = _stood_in_for(draw, config)
    config = _roomy(draw, config)
    config = replace(config, jobs={name: draw(_job(config, job)) for name, job in config.jobs.items()})
    users = {name: draw(st.sets(st.sampled_from(sorted(config.jobs)))) for name in config.attachments if config.jobs}
    attachments: dict[str, Any] = {
        name: replace(section, used_by=(*section.used_by, *sorted(users.get(name, ()))))
        for name, section in config.attachments.items()
        if not section.has_group or not any(map(_shares_its_address, jobs_of(config)))
    }
    if any(unit.has_pipeline for unit in units(config)) and len(config.services) + len(config.jobs) > 2:
        # What brings an image to so many is more than a role's inline policies may come to.
        config = replace(config, roles=replace(config.roles, inline_policies=False))
    config = _shared_with_regions(replace(config, attachments={**config.attachments, **attachments}))
    foundations = {f"{unit.title}Foundation": unit.name for unit in units(config)}
    taken = draw(st.sets(st.sampled_from(sorted(foundations)), max_size=2))
    return replace(config, imports={f"{title}/Logs": f"/shop/{foundations[title]}" for title in taken})


def _shared_with_regions(config: Config) -> Config:
    """The same, whose records share their names only where a region would ever be healthy."""
    balancer = config.load_balancer
    if not any(dns_conflicts(config)) or not isinstance(balancer, NewLoadBalancer):
        return config
    assert isinstance(balancer.listener, Domain)
    return replace(config, load_balancer=replace(balancer, listener=replace(balancer.listener, routing=None)))


def _asked_where_it_can_be(config: Config) -> Config:
    """The same, where a health check has no port of its own under bridge."""
    services = dict(config.services)
    for unit in units(config):
        settings = unit.settings
        if isinstance(settings, WebService) and unit.network_mode == "bridge":
            services[unit.name] = replace(settings, health_check=replace(settings.health_check, port=0))
    return replace(config, services=services)


def _unlabelled(service: AnyService) -> AnyService:
    """The same without labels, which Managed Instances do not take."""
    sidecars = {
        name: replace(sidecar, labels={}) if isinstance(sidecar, (ContainerSidecar, InitSidecar)) else sidecar
        for name, sidecar in service.sidecars.items()
    }
    return replace(service, labels={}, sidecars=sidecars)


@st.composite
def _job(draw: st.DrawFn, config: Config, job: Job) -> Job:
    """A job that is a task as one of the services is, with its image, one of its own, or before it."""
    unit = draw(st.sampled_from(units(config)))
    task = {field.name: getattr(unit.settings, field.name) for field in fields_of(Task)}
    way = draw(st.sampled_from(["image_of", "image_uri", "before"]))
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/job:1"
    if unreachable(config, image, config.region):
        image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/job:1"
    task |= {"registry_secret": "", "image_uri": image if way == "image_uri" else ""}
    task["image_of"] = unit.image_owner if way == "image_of" else ""
    job = replace(job, **task, before=unit.name if way == "before" else "")
    if not draw(st.booleans()):
        return replace(job, at="", timezone="UTC", overlap=True, success_within_h=0)
    return replace(job, success_within_h=draw(st.sampled_from([0, 168])))


@st.composite
def _pool(draw: st.DrawFn, pool: Any) -> Any:
    if isinstance(pool, Ec2Capacity):
        if pool.architecture == "arm64":
            types = draw(st.sampled_from([("t4g.small",), ("m7g.large", "m6g.large")]))
            pool = replace(pool, instance_types=types)
        elif draw(st.integers(0, 3)) == 0:
            pool = replace(pool, instance_types=draw(st.sampled_from([("g6.xlarge",), ("g5.2xlarge", "g6.12xlarge")])))
        scaling = pool.scaling
        warm = pool.warm_pool
        if warm is not None:
            most = min(warm.max_prepared_nodes, pool.max_nodes)
            warm = replace(warm, min_nodes=max(warm.min_nodes, 1), max_prepared_nodes=most)
        return replace(
            pool,
            warm_pool=warm,
            spot_percent=pool.spot_percent if warm is None else 0,
            min_nodes=min(pool.min_nodes, pool.max_nodes),
            on_demand_base=min(pool.on_demand_base, pool.max_nodes),
            scaling=replace(scaling, min_step=min(scaling.min_step, scaling.max_step)),
        )
    if isinstance(pool, ManagedCapacity):
        return replace(
            pool,
            instance_types=(),
            min_vcpus=min(pool.min_vcpus, 2),
            max_vcpus=max(pool.max_vcpus, 2),
            min_memory_mib=min(pool.min_memory_mib, 4096),
            max_memory_mib=max(pool.max_memory_mib, 4096),
        )
    return pool


@st.composite
def _service(draw: st.DrawFn, config: Config, name: str) -> AnyService:
    """A service by itself: the pool that it runs on, and what belongs together in its section."""
    service = config.services[name]
    if service.capacity not in config.capacity:
        only = len(config.capacity) == 1 and draw(st.booleans())
        service = replace(service, capacity="" if only else draw(st.sampled_from(sorted(config.capacity))))
    # A single service may lend its image: none then has one of one that has it of another.
    owner = min(config.services)
    service = replace(service, image_of=owner if service.image_of and name != owner else "", architecture="auto")
    if service.exec:
        service = replace(service, read_only=service.tmpfs_mib.keys() >= EXEC_FOLDERS)
    if service.placement == "binpack":
        service = replace(service, zone_rebalancing=False)
    if isinstance(service.deployment, Rolling) and service.deployment.maximum_percent == 100:
        service = replace(service, zone_rebalancing=False)
    service = replace(
        service,
        deployment=_brought(service.deployment),
        secrets={key: value for key, value in service.secrets.items() if key not in service.environment},
    )
    service = replace(service, service_name=draw(st.sampled_from(["", f"acme-{name}"])))
    if not (service.secrets or service.log_secret_options):
        service = replace(service, secrets_keys=())
    if isinstance(service, WebService):
        check = service.health_check
        check = replace(
            check,
            timeout_s=min(check.timeout_s, check.interval_s - 1),
            codes=draw(st.sampled_from(["0-99", "12"] if service.protocol == "grpc" else ["200", "200-299,401"])),
        )
        return replace(service, health_check=check)
    if isinstance(service, WorkerService) and service.queue is not None:
        queue = replace(service.queue, seconds_per_message=min(service.queue.seconds_per_message, 60))
        queue = replace(
            queue,
            latency_s=min(max(queue.latency_s, queue.seconds_per_message), 600),
            visibility_s=max(queue.visibility_s, service.stop_timeout_s, 60),
            oldest_s=max(queue.oldest_s, 600),
        )
        service = replace(service, queue=queue)
    scaling = service.scaling
    return replace(service, scaling=replace(scaling, requests=replace(scaling.requests, enabled=False)))


def _brought(deployment: Any) -> Any:
    """A way for a new version to take over that ends in time, and can be taken at all."""
    if isinstance(deployment, Rolling):
        if deployment.maximum_percent < 150:
            deployment = replace(deployment, minimum_healthy_percent=min(deployment.minimum_healthy_percent, 50))
        early = deployment.early_success
        if early is not None and early.healthy_percent < deployment.minimum_healthy_percent:
            deployment = replace(deployment, early_success=replace(early, healthy_percent=100))
        return deployment
    for name in ("bake_minutes", "step_bake_minutes", "canary_bake_minutes"):
        if hasattr(deployment, name):
            deployment = replace(deployment, **{name: min(getattr(deployment, name), 20)})
    pauses = {
        name: replace(pause, timeout_minutes=min(pause.timeout_minutes, 5)) for name, pause in deployment.pauses.items()
    }
    return replace(deployment, pauses=pauses)


def _tested(config: Config) -> Config:
    """The same, where each new version can be reached the way that its section says."""
    services = dict(config.services)
    for unit in units(config):
        settings, test = unit.settings, unit.test
        if not isinstance(settings, WebService):
            continue
        if unit.has_alternate:
            scaling = replace(settings.scaling, requests=replace(settings.scaling.requests, enabled=False))
            settings = replace(settings, sign_in=None, stand_in=None, scaling=scaling)
        if isinstance(test, GreenPort):
            port = replace(test, port=8443 if test.port in (80, 443) else test.port)
            settings = replace(settings, deployment=replace(settings.deployment, test=port))
        services[unit.name] = settings
        tried = replace(config, services=services)
        # Of one that is not looked at yet there may be some, too.
        if test is not None and list(preview_conflicts(tried, priorities(tried))):
            services[unit.name] = replace(settings, deployment=replace(settings.deployment, test=None))
    return replace(config, services=services)


def _attached(config: Config) -> Config:
    """The same with attachments that are used by who is there, and can have a security group of its own."""
    attachments: dict[str, Any] = {}
    for name, section in config.attachments.items():
        users = [
            user
            for user in section.used_by
            if user in config.services
            and not (section.has_group and _shares_its_address(Unit(user, config.services[user], config)))
        ]
        attachments[name] = replace(section, used_by=tuple(users))
        if isinstance(section, Postgres) and section.max_storage_gib < section.storage_gib * 1.1:
            attachments[name] = replace(attachments[name], max_storage_gib=0)
    return replace(config, attachments=attachments)


def _shares_its_address(unit: Work) -> bool:
    """Whether a task has its node's address: behind "public-subnets", but for Fargate's, and where bridge is said."""
    network = unit.config.network
    behind = isinstance(network, NewVpc) and network.egress == "public-subnets"
    said = isinstance(unit, JobUnit) and unit.settings.network_mode == "bridge"
    return said or (behind and not isinstance(unit.pool, FargateCapacity))


def _grounded(draw: st.DrawFn, config: Config) -> Config:
    """The same on a network and a load balancer that its services and pools can be on."""
    network, balancer = config.network, config.load_balancer
    any_web = any(isinstance(service, WebService) for service in config.services.values())
    if isinstance(balancer, ExistingLoadBalancer) and any_web and isinstance(network, NewVpc):
        network = ExistingVpc(vpc_id="vpc-0123456789abcdef0")
    if isinstance(network, NewVpc):
        if any(isinstance(pool, ManagedCapacity) for pool in config.capacity.values()):
            network = replace(network, egress="single-nat")
    elif isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Domain):
        network = replace(network, ipv6=draw(st.booleans()))
    if isinstance(balancer, NewLoadBalancer):
        listener = balancer.listener
        if not isinstance(listener, Http) and isinstance(listener.client_certificates, CaBundle):
            clients = replace(listener.client_certificates, bucket="authorities")
            balancer = replace(balancer, listener=replace(listener, client_certificates=clients))
        balancer, network = _before_it(balancer, network) if any_web else (_nothing_before(balancer), network)
    return replace(config, network=network, load_balancer=balancer)


def _nothing_before(balancer: NewLoadBalancer) -> NewLoadBalancer:
    """A balancer's section where there is no balancer."""
    return replace(balancer, maintenance=False, allowed_cidrs=(), allowed_prefix_lists={}, waf=None, cloudfront=None)


def _before_it(balancer: NewLoadBalancer, network: Any) -> tuple[NewLoadBalancer, Any]:
    """A balancer and its network with what can stand before it."""
    if not network.ipv6:
        balancer = replace(balancer, allowed_cidrs=balancer.allowed_cidrs[:1])
    if isinstance(balancer.waf, NewWebAcl) and balancer.waf.mode == "block":
        counted = dict.fromkeys(balancer.waf.rule_groups[-1:], ("SizeRestrictions_BODY", "NoUserAgent_HEADER"))
        balancer = replace(balancer, waf=replace(balancer.waf, counted_rules=counted))
    front = balancer.cloudfront
    if front is None:
        return balancer, network
    if isinstance(network, NewVpc) and network.egress == "public-subnets":
        network = replace(network, egress="single-nat")
    listener = balancer.listener
    names = ["shop.example.com", "*.example.com", "a.b.example.co", *(f"*.{name}.example.com" for name in SERVICES)]
    balancer = replace(
        balancer,
        scheme="internal",
        allowed_prefix_lists={"pl-3b927c52": 55},
        waf=None if isinstance(balancer.waf, NewWebAcl) else balancer.waf,
        listener=listener if isinstance(listener, Http) else replace(listener, client_certificates=None),
        cloudfront=replace(
            front,
            aliases=tuple(names),
            certificate_arn=CERTIFICATE.replace("eu-central-1", "us-east-1"),
            cache_policy="CachingDisabled",
            web_acl_arn=WEB_ACL.format("us-east-1", "global") if front.web_acl_arn else "",
        ),
    )
    return balancer, network


@st.composite
def _of_its_place(draw: st.DrawFn, unit: Unit) -> dict[str, Any]:
    """What of a service hangs on its pool, the network and the other services."""
    config, settings = unit.config, unit.settings
    changes: dict[str, Any] = {}
    internal = [other.name for other in units(config) if isinstance(other.settings, InternalService)]
    reaches = tuple(dict.fromkeys(name for name in settings.reaches if name in internal and name != unit.name))
    no_awsvpc = _shares_its_address(unit)
    changes["reaches"] = () if no_awsvpc else reaches
    changes["sends_to"] = tuple(dict.fromkeys(name for name in settings.sends_to if name in with_queue(config)))
    if no_awsvpc:
        changes["network_mode"] = "auto"
    elif not isinstance(unit.pool, Ec2Capacity) or unit.is_reached or reaches or unit.lets_itself_in:
        changes["network_mode"] = draw(st.sampled_from(["auto", "awsvpc"]))
    if not isinstance(unit.pool, Ec2Capacity):
        changes |= {"placement": "spread", "cpu_is": draw(st.sampled_from(["auto", "quota"]))}
    if isinstance(unit.pool, FargateCapacity):
        cpu, memory = draw(st.sampled_from([(256, 512), (512, 1024), (1024, 8192), (16384, 122880)]))
        changes |= {"cpu_units": cpu, "memory_mib": memory}
    if not _may_have_gpus(unit.pool):
        changes["gpus"] = 0
    changes |= draw(_logs(isinstance(unit.pool, Ec2Capacity), settings.log_driver))
    changes |= draw(_beside(replace(unit, settings=replace(settings, **changes)), no_awsvpc))
    changes |= draw(_stored(replace(unit, settings=replace(settings, **changes)), no_awsvpc))
    if isinstance(settings, WebService):
        balancer = config.load_balancer
        if isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Http):
            changes["sign_in"] = None
        if isinstance(balancer, NewLoadBalancer) and (isinstance(balancer.listener, Http) or balancer.cloudfront):
            codes = "200" if settings.protocol == "grpc" else settings.health_check.codes
            changes |= {"protocol": "http1", "health_check": replace(settings.health_check, codes=codes)}
        if (
            isinstance(balancer, NewLoadBalancer)
            and balancer.scheme == "internal"
            and isinstance(config.network, NewVpc)
            and config.network.egress in ("public-subnets", "endpoints")
        ):
            changes["sign_in"] = None
        if replace(unit, settings=replace(settings, **changes)).network_mode == "bridge":
            check = changes.get("health_check", settings.health_check)
            changes["health_check"] = replace(check, port=0)
    image_uri, pipeline = settings.image_uri, settings.pipeline
    owner = Unit(unit.image_owner, config.services[unit.image_owner], config)
    if owner.architecture != unit.architecture:
        changes["image_of"] = ""
    elif settings.image_of:
        image_uri, pipeline = "", NoPipeline()
    if not isinstance(pipeline, NoPipeline) or unreachable(config, image_uri, config.region):
        image_uri = ""
    public = "registry.example.com/team/web:1"
    if image_uri and draw(st.booleans()) and not unreachable(config, public, config.region):
        secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:registry-AbCdEf"
        image_uri, changes["registry_secret"] = public, draw(st.sampled_from(["", secret]))
    return {**changes, "image_uri": image_uri, "pipeline": pipeline}


@st.composite
def _beside(draw: st.DrawFn, unit: Unit, no_awsvpc: bool) -> dict[str, Any]:
    """Sidecars that go with each other, with the service and with its place."""
    settings, config = unit.settings, unit.config
    sidecars: dict[str, Any] = {}
    after: dict[str, str] = {}
    logged = {}
    endpoints = isinstance(config.network, NewVpc) and config.network.egress == "endpoints"
    for name, sidecar in sorted(settings.sidecars.items()):
        listens = isinstance(sidecar, (OtelSidecar, ProxySidecar))
        if (listens and no_awsvpc) or any(
            isinstance(other, type(sidecar)) and isinstance(sidecar, ReadyMade) for other in sidecars.values()
        ):
            continue
        if isinstance(sidecar, ProxySidecar) and not isinstance(settings, (WebService, InternalService)):
            continue
        near = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/beside:1"
        image = "" if isinstance(sidecar, (InitSidecar, ProxySidecar)) and not endpoints else near
        sidecar = replace(
            sidecar,
            cpu_units=draw(st.sampled_from([2, 32])),
            memory_mib=64,
            image_uri=draw(st.sampled_from([image, near])),
            registry_secret="",
        )
        if isinstance(sidecar, FireLensSidecar):
            logged = {"log_driver": "awslogs", "log_options": {}, "log_secret_options": {}}
            output = "" if sidecar.destination_arn or endpoints else sidecar.output
            arn = sidecar.destination_arn if not endpoints or ":s3:" in sidecar.destination_arn else ""
            sidecar = replace(sidecar, output=output, destination_arn=arn)
        elif isinstance(sidecar, OtelSidecar):
            traces = sidecar.traces and not endpoints
            sidecar = replace(sidecar, traces=traces, metrics=sidecar.metrics or not traces)
        elif isinstance(sidecar, ProxySidecar):
            plain = not isinstance(settings, WebService) or settings.protocol == "http1"
            sidecar = replace(sidecar, port=8765, engine=sidecar.engine if plain else "envoy")
        else:
            sidecar = replace(
                sidecar,
                tmpfs_mib={},
                secrets={key: value for key, value in sidecar.secrets.items() if key not in sidecar.environment},
                secrets_keys=(),
                after={},
                **draw(_logs(isinstance(unit.pool, Ec2Capacity), sidecar.log_driver)),
            )
        if isinstance(sidecar, ContainerSidecar):
            sidecar = replace(sidecar, ports=() if no_awsvpc else draw(st.sampled_from([(), (len(name) + 9000,)])))
            ways = ["none", "START", "after", *(["HEALTHY"] if sidecar.health_command else [])]
            way = draw(st.sampled_from([*ways, *([] if sidecar.essential else ["COMPLETE", "SUCCESS"])]))
            if way == "after":
                health = "HEALTHY" if settings.health_command else "START"
                sidecar = replace(sidecar, after={unit.name: health})
            elif way != "none":
                after[name] = way
        sidecars[name] = sidecar
    changes: dict[str, Any] = {"sidecars": sidecars, "after": after, **logged}
    changes["scaling"] = scaling = _pulsing(unit, {**sidecars, **logged}, no_awsvpc, endpoints)
    reads = isinstance(scaling.pulse, ReadPulse)
    if (listening(sidecars) or reads) and settings.network_mode == "bridge":
        changes["network_mode"] = "auto"
    if (sidecars or reads) and settings.memory_mib < 700:
        changes["memory_mib"] = 700 if not isinstance(unit.pool, FargateCapacity) else settings.memory_mib
    return changes


def _pulsing(unit: Unit, takes_logs: dict[str, Any], no_awsvpc: bool, endpoints: bool) -> Scaling:
    """A scaling with a pulse where the service's tasks can have one, and steps that watch it."""
    scaling, pulse = unit.settings.scaling, unit.settings.scaling.pulse
    if isinstance(pulse, ReadPulse):
        near = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/busybox:1"
        path = pulse.path if isinstance(pulse, AddressPulse) else "/nginx_status"
        pulse = replace(
            pulse, path=path, image_uri=near if endpoints else "public.ecr.aws/docker/library/busybox:1.37.0-musl"
        )
    reads = isinstance(pulse, ReadPulse)
    of_log = unit.settings.log_driver == "awslogs" and "log_driver" not in takes_logs
    if pulse is None or isinstance(unit.settings, WorkerService) or not (not no_awsvpc if reads else of_log):
        return replace(scaling, pulse=None)
    crowd = StepScaling(name="Crowd", metric="pulse", threshold=300, period_s=10, steps=(StepAdjustment(adjustment=5),))
    requests = replace(scaling.requests, enabled=False)
    return replace(scaling, pulse=pulse, requests=requests, step_policies=(*scaling.step_policies, crowd))


@st.composite
def _stored(draw: st.DrawFn, unit: Unit, no_awsvpc: bool) -> dict[str, Any]:
    """Volumes that somebody mounts, and that the service's place has."""
    settings, network = unit.settings, unit.config.network
    on_nodes, on_air = isinstance(unit.pool, Ec2Capacity), isinstance(unit.pool, FargateCapacity)
    volumes: dict[str, Any] = {}
    for name, volume in sorted(settings.volumes.items()):
        if isinstance(volume, EFS) and no_awsvpc:
            continue
        if isinstance(volume, EfsVolume) and isinstance(network, ExistingVpc) and not network.node_subnets:
            continue
        places = draw(st.lists(st.sampled_from([unit.name, *settings.sidecars]), min_size=1, unique=True))
        volume = replace(volume, mounts=dict.fromkeys(places, f"/mnt/{name}"))
        if isinstance(volume, BindVolume):
            volume = replace(volume, host_path=volume.host_path if on_nodes else "")
        if isinstance(volume, EbsVolume):
            if any(isinstance(other, EbsVolume) for other in volumes.values()):
                continue
            number = {"io1": 3000, "io2": 3000, "gp3": draw(st.sampled_from([0, 3000]))}.get(volume.volume_type, 0)
            fast = draw(st.sampled_from([0, 125, 700])) if number and volume.volume_type == "gp3" else 0
            volume = replace(volume, size_gib=125, iops=number, throughput_mib_s=fast)
        if len(places) > 1 or isinstance(volume, EFS):
            volume = replace(volume, read_only_for=draw(st.sampled_from([(), (places[0],)])))
        volumes[name] = volume
    gib = settings.ephemeral_storage_gib
    changes: dict[str, Any] = {"volumes": volumes, "ephemeral_storage_gib": gib if on_air and gib > 20 else 0}
    if any(isinstance(volume, EFS) for volume in volumes.values()) and settings.network_mode == "bridge":
        changes["network_mode"] = "auto"
    return changes


def _shared(draw: st.DrawFn, config: Config) -> Config:
    """The same with file systems of other services where there are some of that name."""
    services = dict(config.services)
    for name, settings in config.services.items():
        volumes = dict(settings.volumes)
        for volume, there in settings.volumes.items():
            if isinstance(there, EfsOfService):
                owners = [other for other, one in services.items() if isinstance(one.volumes.get(volume), EfsVolume)]
                if owners:
                    volumes[volume] = replace(there, service=draw(st.sampled_from(sorted(owners))))
                else:
                    del volumes[volume]
        services[name] = replace(settings, volumes=volumes)
    return replace(config, services=services)


def _may_have_gpus(pool: Any) -> bool:
    if isinstance(pool, FargateCapacity) or pool.architecture == "arm64":
        return False
    return isinstance(pool, ManagedCapacity) or all(instance_type(name).gpus for name in pool.instance_types)


@st.composite
def _logs(draw: st.DrawFn, on_nodes: bool, driver: str) -> dict[str, Any]:
    """A log driver that the pool has, with what belongs to it."""
    if driver not in ("awslogs", "splunk") and not on_nodes:
        driver = "awslogs"
    if driver == "awslogs":
        return {"log_driver": driver}
    if driver != "splunk":
        return {"log_driver": driver, "log_options": draw(st.sampled_from([{}, {"tag": "web"}]))}
    token = "arn:aws:secretsmanager:us-east-1:123456789012:secret:splunk-AbCdEf"
    return {
        "log_driver": driver,
        "log_options": {"splunk-url": "https://splunk.example.com:8088"},
        "log_secret_options": {"splunk-token": token},
    }


def _routed(draw: st.DrawFn, config: Config) -> Config:
    """The same with routes of which none hides another, and what a pipeline needs of the rest."""
    services, balancer, network = dict(config.services), config.load_balancer, config.network
    http = isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Http)
    is_first = True
    taken: set[int] = set()
    for number, unit in enumerate(units(config)):
        settings = unit.settings
        if not isinstance(settings, WebService):
            continue
        host = f"{unit.name}.example.com"
        routes = [
            Route(paths=(f"/{unit.name}/*",)),
            Route(paths=(f"/{unit.name}", f"/{unit.name}-*"), query={"of": unit.name}),
            Route(hosts=(host,), headers={"X-Of": f"{unit.name}*"}),
            Route(hosts=(host, f"*.{host}")),
            Route(headers={"X-Of": unit.name}, query={"v": "?"}),
        ]
        if is_first and isinstance(balancer, NewLoadBalancer):
            route = draw(st.sampled_from([Route(), Route(), *routes]))
        else:
            route = draw(st.sampled_from(routes))
        is_first = False
        ways: list[dict[str, str]] = [{}, {"certificate_arn": CERTIFICATE}]
        if isinstance(balancer, NewLoadBalancer) and not any("*" in host for host in route.hosts):
            ways.append({"hosted_zone_id": ZONE})
        if isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Domain):
            ways = ways[1:]
        if route.hosts and not http:
            route = replace(route, **draw(st.sampled_from(ways)))
        if route != Route() and draw(st.booleans()):
            route = replace(route, priority=draw(st.sampled_from([2 + number, 49_000 + number])))
        if (own := priority(config, unit.name, route)) in taken:
            route = replace(route, priority=(own := 2 + number))  # two made ones may meet
        taken.add(own)
        services[unit.name] = replace(settings, route=route)
    # One of them makes the account's provider, at most.
    making = [
        name
        for name, service in sorted(services.items())
        if isinstance(service.pipeline, GitHubPipeline) and not service.pipeline.provider_arn
    ]
    for name in making[1:]:
        pipeline = replace(services[name].pipeline, provider_arn=PROVIDER)
        services[name] = replace(services[name], pipeline=pipeline)
    pipelines = [service.pipeline for service in services.values()]
    registry = config.registry
    if tags := [pipeline.image_tag for pipeline in pipelines if isinstance(pipeline, RegistryPipeline)]:
        registry = replace(registry, mutable_tags=tuple(sorted(set(tags))))
    pools = dict(config.capacity)
    if any(not isinstance(pipeline, NoPipeline) for pipeline in pipelines):
        pools = {
            name: replace(pool, machine_image=PINNED) if isinstance(pool, Ec2Capacity) else pool
            for name, pool in pools.items()
        }
    for unit in units(replace(config, services=services)):
        pool = pools[unit.pool_name]
        if unit.settings.gpus and isinstance(pool, Ec2Capacity) and pool.machine_image:
            pools[unit.pool_name] = replace(pool, machine_image=PINNED_GPU)
    if (
        isinstance(network, NewVpc)
        and network.egress == "public-subnets"
        and any(
            unit.network_mode == "awsvpc" and not isinstance(unit.pool, FargateCapacity)
            for unit in units(replace(config, services=services))
        )
    ):
        network = replace(network, egress="single-nat")
    return replace(config, services=services, registry=registry, capacity=pools, network=network)


def _stood_in_for(draw: st.DrawFn, config: Config) -> Config:
    """The same with stand-ins where they can be."""
    services = dict(config.services)
    for name, settings in config.services.items():
        if isinstance(settings, WebService) and settings.stand_in is not None:
            drawn = replace(settings.stand_in, network_mode="auto", tasks=settings.stand_in.tasks % 20)
            able = []
            for pool in ["", *sorted(config.capacity)]:
                tried = replace(settings, stand_in=replace(drawn, capacity=pool))
                there = replace(config, services={**config.services, name: tried})
                if not conflicts(there) and _holds_one(Unit(name, tried, there).stand_in):
                    able.append(tried)
            services[name] = draw(st.sampled_from([replace(settings, stand_in=None), *able]))
    return replace(config, services=services)


def _holds_one(unit: Unit | None) -> bool:
    """Whether there are nodes enough of its pool's types that would hold all of a service."""
    assert unit is not None
    pool = unit.pool
    if not isinstance(pool, Ec2Capacity):
        return not deployment_problems(demand_of(unit))
    supply = Supply(instance_types=pool.instance_types, max_nodes=5000, architecture=pool.architecture)
    return not problems(demand_of(unit), supply)


def _roomy(draw: st.DrawFn, config: Config) -> Config:
    """The same with bounds of tasks, and nodes that hold them."""
    services: dict[str, Any] = dict(config.services)
    pools: dict[str, Any] = dict(config.capacity)
    for name, pool in config.capacity.items():
        on_it = [unit for unit in units(config) if unit.pool_name == name]
        for unit in on_it:
            most = 30
            if isinstance(pool, Ec2Capacity):
                while (most := _most(demand_of(unit), pools[name])) < 2:
                    pools[name] = replace(pools[name], max_nodes=pools[name].max_nodes + 3)
                most = min(most, 5000 if len(on_it) == 1 else 8)
            services[unit.name] = replace(unit.settings, scaling=draw(_scaling(unit, most)))
        config = replace(config, services=services, capacity=dict(pools))
        demands = [demand_of(unit) for unit in with_stand_ins(units(config)) if unit.pool_name == name]
        if isinstance(pool, Ec2Capacity) and len(demands) > (len(on_it) == 1):
            needed = max(nodes_needed(instance_type(type), demands) or 0 for type in pool.instance_types)
            pools[name] = replace(pools[name], max_nodes=max(pools[name].max_nodes, needed))
            config = replace(config, capacity=dict(pools))
    return config


@st.composite
def _scaling(draw: st.DrawFn, unit: Unit, most: int) -> Any:
    max_tasks = draw(st.integers(2, max(2, most)))
    deployment = unit.settings.deployment
    to_none = unit.queue is not None and not (isinstance(deployment, Rolling) and deployment.maximum_percent < 200)
    min_tasks = draw(st.integers(0 if to_none else 2, max_tasks))
    schedules = st.lists(
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
    scaling = unit.settings.scaling
    if scaling.predictive is not None:
        metric = scaling.predictive.metric if unit.is_web and not unit.has_alternate else "cpu"
        acts = any(policy.enabled and policy.scale_in for policy in (scaling.cpu, scaling.memory))
        mode = scaling.predictive.mode if acts else "forecast-only"
        predictive = None if unit.queue is not None else replace(scaling.predictive, metric=metric, mode=mode)
        scaling = replace(scaling, predictive=predictive)
    return replace(
        scaling, min_tasks=min_tasks, max_tasks=max_tasks, schedules=() if unit.config.night else draw(schedules)
    )


def _most(demand: Demand, pool: Ec2Capacity) -> int:
    supply = Supply(instance_types=pool.instance_types, max_nodes=pool.max_nodes, architecture=pool.architecture)
    return most_tasks(demand, supply)
