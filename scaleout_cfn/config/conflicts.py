"""What single bounds cannot say of a config: tunables that exclude each other, and what few people mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from scaleout_cfn.config import (
    Config,
    Domain,
    Ec2Capacity,
    ExistingLoadBalancer,
    ExistingVpc,
    FargateCapacity,
    GitHubPipeline,
    GivenKey,
    Http,
    InternalService,
    Job,
    ManagedCapacity,
    NewLoadBalancer,
    NewVpc,
    SourcePipeline,
    WarmPool,
    WebService,
)
from scaleout_cfn.config.attachments import attachment_conflicts, used_by_conflicts
from scaleout_cfn.config.balancer_conflicts import (
    balancer_conflicts,
    balancer_remarks,
    dns_conflicts,
    named_by_balancer,
)
from scaleout_cfn.config.container_conflicts import volume_names
from scaleout_cfn.config.delivery_conflicts import functions_named, preview_conflicts
from scaleout_cfn.config.ground import name_conflicts, name_remarks, names_given, tag_conflicts
from scaleout_cfn.config.permissions import named_in
from scaleout_cfn.config.pools import FARGATE_VCPUS
from scaleout_cfn.config.routing import VALUES_PER_RULE, is_catch_all, overshadowed, priorities, values_of_rule
from scaleout_cfn.config.scaling import night_conflicts
from scaleout_cfn.config.service_conflicts import (
    queue_conflicts,
    receivers,
    service_conflicts,
    stand_in_conflicts,
    work_conflicts,
)
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import JobUnit, jobs_of, names_of, owners_of_images, units, with_stand_ins
from scaleout_cfn.grammars import (
    arn_of,
    known_regions,
    partition_of,
    remark_on_cidr,
)


def conflicts(config: Config) -> list[Conflict]:
    """What single bounds cannot say, one for each pair of tunables that exclude each other."""
    if dangling := list(_names(config)):
        return dangling  # all else asks what the names stand for
    return [
        *tag_conflicts(config.required_tags, config.tags),
        *name_conflicts(_names_given(config)),
        *_place(config),
        *_network(config),
        *balancer_conflicts(config),
        *dns_conflicts(config),
        *pool_conflicts(config),
        *attachment_conflicts(config.attachments),
        *(conflict for unit in units(config) for conflict in service_conflicts(unit)),
        *(conflict for unit in units(config) for conflict in stand_in_conflicts(unit)),
        *(conflict for unit in units(config) for conflict in queue_conflicts(unit)),
        *(conflict for job in jobs_of(config) for conflict in job_conflicts(job)),
        *_routes(config),
        *_providers(config),
        *night_conflicts(config),
    ]


def remarks(config: Config) -> list[Conflict]:
    """What AWS takes and few people mean."""
    found = []
    if config.region and config.region not in known_regions():
        found.append(
            Conflict("region", f"{config.region} is none of the regions that this version knows; it may be a new one")
        )
    if isinstance(config.network, NewVpc) and (why := remark_on_cidr(config.network.cidr)):
        found.append(Conflict("network.cidr", why))
    for unit in units(config):
        for key, text in unit.secrets.items():
            arn = arn_of(text)
            if config.region and arn and arn.region != config.region:
                found.append(
                    Conflict(
                        key,
                        f"is in {arn.region}, where the set goes to {config.region}; tasks start only while both"
                        " regions work",
                    )
                )
    return [*dict.fromkeys(found), *name_remarks(_names_given(config)), *balancer_remarks(config), *_quotas(config)]


def _names_given(config: Config) -> list[tuple[str, str]]:
    return names_given(config.cluster.name, {unit.name: unit.settings.service_name for unit in units(config)})


def _quotas(config: Config) -> Iterator[Conflict]:
    """Where all tasks together, at their most, are more than the account begins with."""
    asked = {"On-Demand": 0, "Spot": 0}
    pools = {name: pool for name, pool in config.capacity.items() if isinstance(pool, FargateCapacity)}
    for unit in with_stand_ins(units(config)):
        if pool := pools.get(unit.pool_name):
            scaling = unit.settings.scaling
            tasks = max([scaling.max_tasks, *(schedule.max_tasks for schedule in scaling.schedules)])
            if unit.shifting is not None:
                tasks *= 2  # during a deployment
            base = min(tasks, pool.on_demand_base)
            on_spot = (tasks - base) * pool.spot_percent // 100
            asked["Spot"] += on_spot * unit.settings.cpu_units
            asked["On-Demand"] += (tasks - on_spot) * unit.settings.cpu_units
    doubled = any(unit.shifting for unit in units(config) if unit.pool_name in pools)
    twice = ", twice during a deployment that is not rolling," if doubled else ""
    for kind, units_of_cpu in asked.items():
        if units_of_cpu > FARGATE_VCPUS * 1024:
            yield Conflict(
                f"capacity.{min(pools)}",
                f"the services' most tasks{twice} are {units_of_cpu / 1024:g} vCPUs of Fargate {kind}, and an account"
                f" begins with {FARGATE_VCPUS} in a region; look at its quota, Fargate {kind} vCPU resource count",
            )


def _names(config: Config) -> Iterator[Conflict]:
    if not config.capacity:
        yield Conflict(
            "capacity", 'there is no pool for tasks to run on; write one, as in [capacity.nodes] kind = "ec2"'
        )
        return
    if not config.services:
        yield Conflict("services", "there is none; write one, as in [services.web]")
    for name, settings in sorted(config.services.items()):
        key = f"services.{name}"
        if settings.capacity and settings.capacity not in config.capacity:
            yield Conflict(f"{key}.capacity", f"got {settings.capacity!r}; the pools are {names_of(config.capacity)}")
        elif not settings.capacity and len(config.capacity) > 1:
            yield Conflict(
                f"{key}.capacity", f"there are several pools, {names_of(config.capacity)}; say on which it runs"
            )
        if settings.image_of:
            yield from _image_of(config, name, settings.image_of)
        if isinstance(settings, WebService) and settings.stand_in is not None:
            pool = settings.stand_in.capacity
            if pool and pool not in config.capacity:
                yield Conflict(f"{key}.stand_in.capacity", f"got {pool!r}; the pools are {names_of(config.capacity)}")
            if f"{name}-stand-in" in config.services:
                yield Conflict(f"{key}.stand_in", f"is called {name}-stand-in, as a service is; rename that")
        for other in settings.reaches:
            if not isinstance(config.services.get(other), InternalService):
                kind = 'is not of kind = "internal"' if other in config.services else "is not there"
                internal = {n: s for n, s in config.services.items() if isinstance(s, InternalService)}
                yield Conflict(f"{key}.reaches", f"{other} {kind}; the internal services are {names_of(internal)}")
            elif other == name:
                yield Conflict(f"{key}.reaches", f"{other} is the service itself; leave it out")
        if len(set(settings.reaches)) < len(settings.reaches):
            yield Conflict(f"{key}.reaches", "a service is named twice; name each once")
    yield from receivers(config)
    yield from volume_names(config)

    yield from used_by_conflicts(config.attachments, [*config.services, *config.jobs])
    yield from named_by_jobs(config)


def _image_of(config: Config, name: str, owner: str) -> Iterator[Conflict]:
    key, settings = f"services.{name}.image_of", config.services[name]
    if owner not in config.services:
        yield Conflict(key, f"got {owner!r}; the services are {names_of(config.services)}")
    elif owner == name:
        yield Conflict(key, "is the service itself; leave it out")
    elif config.services[owner].image_of:
        yield Conflict(key, f"{owner} has no image of its own; name {config.services[owner].image_of}, whose it runs")
    if settings.image_uri:
        yield Conflict(f"services.{name}.image_uri", f"goes not with image_of = {owner!r}; keep one of the two")


def _place(config: Config) -> list[Conflict]:
    """Whether what the config names by ARN can be used where the set goes to."""
    #: Key, ARN, and whether it has to be of the set's region, and of its account.
    named = [("permissions_boundary", config.permissions_boundary, False, True), *named_by_balancer(config)]
    if isinstance(config.encryption, GivenKey):
        named.append(("encryption.key_arn", config.encryption.key_arn, True, False))
    for unit in (*units(config), *jobs_of(config)):
        settings = unit.settings
        named += [(key, text, False, False) for key, text in (unit.secrets | unit.environment_files).items()]
        named += [
            (f"{key}.secrets_keys[{number}]", text, False, False)
            for key, container in unit.containers.items()
            for number, text in enumerate(container.secrets_keys)
        ]
        named += [(key, text, ":s3:" not in text, False) for key, text in unit.log_destinations.items()]
        named += [
            (f"{unit.key}.pull_from[{number}]", text, False, False) for number, text in enumerate(settings.pull_from)
        ]
        if settings.permissions is not None:
            named += [
                (key, arn, False, of_account)
                for key, arn, of_account in named_in(f"{unit.key}.permissions", settings.permissions)
            ]
        if isinstance(settings, WebService):
            named.append((f"{unit.key}.route.certificate_arn", settings.route.certificate_arn, True, True))
    for unit in units(config):
        named += [(key, text, True, False) for key, text in functions_named(unit)]
        pipeline = unit.settings.pipeline
        if isinstance(pipeline, SourcePipeline):
            named.append((f"{unit.key}.pipeline.connection_arn", pipeline.connection_arn, True, False))
        if isinstance(pipeline, GitHubPipeline):
            named.append((f"{unit.key}.pipeline.provider_arn", pipeline.provider_arn, False, True))
    found: list[Conflict] = []
    partitions: dict[str, str] = {}
    for key, text, of_region, of_account in named:
        arn = arn_of(text)
        if arn is None:
            continue
        partitions.setdefault(arn.partition, key)
        if of_region and config.region and arn.region != config.region:
            what = (
                f"is in {arn.region}, where region is {config.region}; only one of the same region can be used: make"
                f" one in {config.region}"
            )
        elif config.region and arn.partition != partition_of(config.region):
            what = f"is in the partition {arn.partition}, where {config.region} is not; name one that is"
        elif of_account and config.account_id and arn.account not in (config.account_id, "aws"):
            what = (
                f"is of the account {arn.account}, where account_id is {config.account_id}; only one of the same"
                " account can be used"
            )
        else:
            continue
        found.append(Conflict(key, what))
    if len(partitions) > 1 and not config.region:
        (first, its_key), (other, other_key), *_ = partitions.items()
        found.append(Conflict(other_key, f"is in the partition {other}, {its_key} in {first}; a set is in one"))
    # IAM's keys differ by more than case: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
    folded = [key.lower() for key in config.tags]
    if twice := [key for key in config.tags if folded.count(key.lower()) > 1]:
        found.append(
            Conflict(
                f"tags.{twice[1]}", f"differs from {twice[0]} in case only, which roles do not tell apart; keep one"
            )
        )
    return found


def _network(config: Config) -> Iterator[Conflict]:
    network = config.network
    if isinstance(network, ExistingVpc):
        if network.load_balancer_subnets and len(set(network.load_balancer_subnets)) < 2:
            yield Conflict(
                "network.load_balancer_subnets", "a load balancer needs subnets in two zones at least; name two"
            )
        return
    if isinstance(config.load_balancer, ExistingLoadBalancer) and any(unit.is_web for unit in units(config)):
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
        yield Conflict(
            "network",
            "a load balancer that is there has its targets in its own VPC, and this one is new; give"
            ' network.kind = "existing"',
        )
    if network.egress == "endpoints" and (managed := _managed_pool(config)):
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_ManagedInstancesNetworkConfiguration.html
        yield Conflict(
            "network.egress",
            f'"endpoints" is no way out to the internet, which Managed Instances need (capacity.{managed}); use'
            ' "single-nat" or another way out',
        )
    if network.egress != "public-subnets":
        return
    for unit in (*with_stand_ins(units(config)), *jobs_of(config)):
        # Fargate gives a task's interface a public address where it is asked to; EC2 never does.
        if unit.network_mode == "awsvpc" and not isinstance(unit.pool, FargateCapacity):
            why = (
                "ECS Managed Instances need" if isinstance(unit.pool, ManagedCapacity) else "a task under awsvpc needs"
            )
            yield Conflict(
                "network.egress",
                f'"public-subnets" gives a way out only to addresses of nodes, and {why} one of its own ({unit.key});'
                ' use "single-nat" or another way out',
            )
            return


def _managed_pool(config: Config) -> str:
    pools = sorted(config.capacity.items())
    return next((name for name, pool in pools if isinstance(pool, ManagedCapacity)), "")


def _routes(config: Config) -> Iterator[Conflict]:
    web = [unit for unit in units(config) if isinstance(unit.settings, WebService)]
    balancer = config.load_balancer
    made = priorities(config)
    routes = [(f"{unit.key}.route", unit.settings.route) for unit in web if isinstance(unit.settings, WebService)]
    certified = {host for _, route in routes if route.certificate_arn or route.hosted_zone_id for host in route.hosts}
    listener = balancer.listener if isinstance(balancer, NewLoadBalancer) else None
    recorded = {listener.domain_name: "load_balancer.listener"} if isinstance(listener, Domain) else {}
    for key, route in routes:
        for host in route.hosts if route.hosted_zone_id else ():
            if host in recorded:
                yield Conflict(
                    f"{key}.hosted_zone_id",
                    f"would make a second record of {host}, which {recorded[host]} makes already with a certificate;"
                    " leave it out here",
                )
            recorded.setdefault(host, key)
        if len(values_of_rule(route)) > VALUES_PER_RULE:
            yield Conflict(
                key,
                f"names {len(values_of_rule(route))} paths, hosts, headers and query parameters together; a rule of a"
                f" load balancer takes {VALUES_PER_RULE}: use * in them, or a service of the same image for the rest",
            )
        if (route.certificate_arn or route.hosted_zone_id) and not route.hosts:
            yield Conflict(f"{key}.hosts", "is empty, and a certificate is for host names; name them")
        if route.certificate_arn and route.hosted_zone_id:
            yield Conflict(f"{key}.certificate_arn", "and hosted_zone_id exclude each other; keep one of the two")
        if route.hosted_zone_id and (wild := [host for host in route.hosts if "?" in host or "*" in host[1:]]):
            yield Conflict(f"{key}.hosts", f"{wild[0]} is no name that a certificate can be made for; name it whole")
        if isinstance(balancer, NewLoadBalancer):
            if (route.certificate_arn or route.hosted_zone_id) and isinstance(balancer.listener, Http):
                yield Conflict(
                    f"{key}.hosts",
                    "have a certificate, and the listener speaks HTTP; give load_balancer.listener one of its own",
                )
            if balancer.maintenance and route.priority == 1:
                yield Conflict(f"{key}.priority", "1 is the maintenance page's; take another")
            uncertified = not (route.certificate_arn or route.hosted_zone_id)
            if isinstance(balancer.listener, Domain) and uncertified:
                foreign = [host for host in route.hosts if host not in {balancer.listener.domain_name, *certified}]
                if foreign:
                    yield Conflict(
                        f"{key}.hosts",
                        f"{foreign[0]} is another name than that of the listener's certificate,"
                        f" {balancer.listener.domain_name}; give route.hosted_zone_id or route.certificate_arn",
                    )
        elif route.hosted_zone_id:
            yield Conflict(
                f"{key}.hosted_zone_id",
                "makes records of a load balancer of the set's own; that of a shared one are its owner's: give"
                " certificate_arn, and a record of your own",
            )
        elif is_catch_all(route) and not route.priority:
            yield Conflict(
                key,
                "is empty, and would take what nobody else claims of a load balancer that is shared; name paths or"
                " hosts, or give it a priority",
            )
    for number, times in sorted(Counter(made.values()).items()):
        if times > 1:
            same = [name for name, priority in made.items() if priority == number]
            both = " and ".join(same)
            if all(is_catch_all(unit.settings.route) for unit in web if unit.name in same):  # type: ignore[union-attr]
                what = f"{both} both take what no other service claims; give all but one paths or hosts"
            else:
                what = f"{both} have the priority {number}; give one of them another by route.priority"
            yield Conflict(f"services.{same[1]}.route", what)
    yield from preview_conflicts(config, made)
    for name, earlier in overshadowed({u.name: u.settings.route for u in web}, made):  # type: ignore[union-attr]
        yield Conflict(
            f"services.{name}.route",
            f"can never match: {earlier}, with priority {made[earlier]}, takes all of it before"
            f" {made[name]}; give it a lower priority by route.priority",
        )


def _providers(config: Config) -> Iterator[Conflict]:
    """Whether more than one pipeline would make GitHub's OIDC provider, of which an account has one for a URL.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
    """
    pipelines = ((unit.key, unit.settings.pipeline) for unit in units(config))
    making = [key for key, pipe in pipelines if isinstance(pipe, GitHubPipeline) and not pipe.provider_arn]
    for key in making[1:]:
        yield Conflict(
            f"{key}.pipeline.provider_arn",
            f"is empty, and {making[0]} makes the account's only provider for GitHub already; give its ARN,"
            " arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com",
        )


QUARTER_WEEKS = 13


def named_by_jobs(config: Config) -> Iterator[Conflict]:
    for name, settings in sorted(config.jobs.items()):
        key = f"jobs.{name}"
        if name in config.services:
            yield Conflict(key, "is called as a service is, and parameters would be, too; rename it")
        if settings.capacity and settings.capacity not in config.capacity:
            yield Conflict(f"{key}.capacity", f"got {settings.capacity!r}; the pools are {names_of(config.capacity)}")
        elif not settings.capacity and len(config.capacity) > 1:
            yield Conflict(
                f"{key}.capacity", f"there are several pools, {names_of(config.capacity)}; say on which it runs"
            )
        yield from _image(config, key, settings)


def _image(config: Config, key: str, settings: Job) -> Iterator[Conflict]:
    services = names_of(config.services)
    if settings.before and settings.before not in config.services:
        yield Conflict(f"{key}.before", f"got {settings.before!r}; the services are {services}")
        return
    if settings.image_of and settings.image_of not in config.services:
        yield Conflict(f"{key}.image_of", f"got {settings.image_of!r}; the services are {services}")
        return
    owner = config.services[settings.image_of].image_of if settings.image_of else ""
    if owner:
        yield Conflict(f"{key}.image_of", f"{settings.image_of} has no image of its own; name {owner}, whose it runs")
    elif settings.before:
        its = config.services[settings.before].image_of or settings.before
        if settings.image_of not in ("", its):
            yield Conflict(
                f"{key}.image_of",
                f"got {settings.image_of}, and before {settings.before} it runs the image of {its}; leave it out",
            )
        if settings.image_uri:
            yield Conflict(
                f"{key}.image_uri", f"goes not with before, where it runs the new image of {its}; leave it out"
            )
    elif settings.image_of and settings.image_uri:
        yield Conflict(f"{key}.image_uri", f"goes not with image_of = {settings.image_of!r}; keep one of the two")
    elif not settings.image_of and not settings.image_uri and len(owners_of_images(config)) > 1:
        yield Conflict(
            f"{key}.image_of",
            f"is empty, and several services have an image of their own; say whose it runs: {services}; or give"
            " image_uri",
        )


def job_conflicts(job: JobUnit) -> Iterator[Conflict]:
    settings, key = job.settings, job.key
    yield from work_conflicts(job)
    if not settings.at and not settings.overlap:
        yield Conflict(f"{key}.overlap", "nothing starts it by itself, so that nothing is left out; give at, or true")
    if not settings.at and settings.timezone != "UTC":
        yield Conflict(f"{key}.timezone", "is that of a schedule, and there is none; give at, or leave it out")
    if settings.success_within_h and (apart := _longest_apart_h(settings)) >= settings.success_within_h:
        yield Conflict(
            f"{key}.success_within_h",
            f"got {settings.success_within_h}, where runs are up to {apart:g} hours apart, so that it would go on all"
            " the time; give more",
        )


def _longest_apart_h(settings: Job) -> float:
    """How far apart the runs of a schedule can be, in hours; 0 where it runs once."""
    from datetime import UTC, datetime, timedelta, timezone
    from itertools import pairwise
    from zoneinfo import ZoneInfo

    from scaleout_cfn.schedules import At, Rate, firings, parsed

    if not settings.at:
        return 0
    expression = parsed(settings.at, "scheduler")
    if isinstance(expression, Rate):
        return expression.seconds / 3600
    if isinstance(expression, At):
        return 0
    zone: ZoneInfo | timezone = UTC if settings.timezone == "UTC" else ZoneInfo(settings.timezone)
    # Any quarter of a year, the same each time, in which most clocks go back: a day then has 25 hours.
    start = datetime(2026, 9, 1, tzinfo=UTC)
    times = [firing.time for firing in firings(expression, zone, start, start + timedelta(weeks=QUARTER_WEEKS))]
    if len(times) < 2:
        return 24.0 * 7 * QUARTER_WEEKS
    return max((after - before).total_seconds() for before, after in pairwise(times)) / 3600


def pool_conflicts(config: Config) -> Iterator[Conflict]:
    for name, pool in sorted(config.capacity.items()):
        key = f"capacity.{name}"
        if isinstance(pool, Ec2Capacity):
            yield from _nodes(key, pool)
        elif isinstance(pool, ManagedCapacity):
            if pool.min_vcpus > pool.max_vcpus:
                yield Conflict(f"{key}.min_vcpus", f"got {pool.min_vcpus}, more than max_vcpus = {pool.max_vcpus}")
            if pool.min_memory_mib > pool.max_memory_mib:
                yield Conflict(
                    f"{key}.min_memory_mib",
                    f"got {pool.min_memory_mib}, more than max_memory_mib = {pool.max_memory_mib}",
                )
            # The capacity provider's own limits: instance types are named, or ruled out, and never both.
            if len(set(pool.instance_types)) < len(pool.instance_types):
                yield Conflict(f"{key}.instance_types", "a type is named twice; name each once")


def _nodes(key: str, pool: Ec2Capacity) -> Iterator[Conflict]:
    if pool.min_nodes > pool.max_nodes:
        yield Conflict(f"{key}.min_nodes", f"got {pool.min_nodes}, more than max_nodes = {pool.max_nodes}")
    if pool.on_demand_base > pool.max_nodes:
        yield Conflict(f"{key}.on_demand_base", f"got {pool.on_demand_base}, more than max_nodes = {pool.max_nodes}")
    if len(set(pool.instance_types)) < len(pool.instance_types):
        yield Conflict(f"{key}.instance_types", "a type is named twice; name each once")
    other = {"x86_64": "arm64", "arm64": "x86_64"}[pool.architecture]
    if other in pool.machine_image:
        yield Conflict(f"{key}.machine_image", f"is for {other}, where architecture is {pool.architecture}")
    if pool.scaling.min_step > pool.scaling.max_step:
        yield Conflict(
            f"{key}.scaling.min_step", f"got {pool.scaling.min_step}, more than max_step = {pool.scaling.max_step}"
        )
    if pool.warm_pool is not None:
        yield from _standing_by(key, pool, pool.warm_pool)


def _standing_by(key: str, pool: Ec2Capacity, warm: WarmPool) -> Iterator[Conflict]:
    """What AWS refuses of a warm pool, and one that would never hold a node.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html#warm-pools-limitations
    """
    if pool.spot_percent:
        yield Conflict(
            f"{key}.spot_percent",
            f"got {pool.spot_percent}, and a warm pool takes On-Demand nodes alone; set 0, or leave {key}.warm_pool"
            " out",
        )
    if warm.max_prepared_nodes > pool.max_nodes:
        yield Conflict(
            f"{key}.warm_pool.max_prepared_nodes",
            f"got {warm.max_prepared_nodes}, more than max_nodes = {pool.max_nodes}; give that, or -1",
        )
    prepared = pool.max_nodes if warm.max_prepared_nodes < 0 else warm.max_prepared_nodes
    if not warm.min_nodes and prepared <= pool.min_nodes:
        yield Conflict(
            f"{key}.warm_pool.min_nodes",
            f"got 0, and {prepared} prepared nodes are no more than min_nodes = {pool.min_nodes} of the group, so that"
            " none would ever stand by; give 1 or more",
        )
