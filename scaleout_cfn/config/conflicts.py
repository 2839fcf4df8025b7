"""What single bounds cannot say of a config: tunables that exclude each other, and what few people mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from msgspec import Struct

from scaleout_cfn.config import (
    Certificate,
    Config,
    Domain,
    Ec2Capacity,
    ExistingLoadBalancer,
    ExistingVpc,
    FargateCapacity,
    GitHubPipeline,
    Http,
    InternalService,
    ManagedCapacity,
    NewLoadBalancer,
    NewVpc,
    RegistryPipeline,
    Scaling,
    SourcePipeline,
    WebService,
)
from scaleout_cfn.config.routing import VALUES_PER_RULE, is_catch_all, overshadowed, priorities, values_of_rule
from scaleout_cfn.config.sizes import FARGATE_VCPUS, fargate_sizes_near
from scaleout_cfn.config.units import Unit, names_of, units, with_stand_ins
from scaleout_cfn.grammars import (
    arn_of,
    ecr_repository,
    known_regions,
    partition_of,
    remark_on_cidr,
)

__all__ = ["Conflict", "conflicts", "may_pull", "remarks", "unreachable"]


class Conflict(Struct, frozen=True):
    """Why tunables exclude each other: the dotted key of one, and what is wrong, what is allowed and the cure."""

    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


def conflicts(config: Config) -> list[Conflict]:
    """What single bounds cannot say, one for each pair of tunables that exclude each other."""
    if dangling := list(_names(config)):
        return dangling  # all else asks what the names stand for
    return [
        *_place(config),
        *_network(config),
        *_load_balancer(config),
        *_capacity(config),
        *(conflict for unit in units(config) for conflict in _service(unit)),
        *(conflict for unit in units(config) for conflict in _stand_in(unit)),
        *_routes(config),
        *_providers(config),
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
        for name, text in unit.settings.secrets.items():
            arn = arn_of(text)
            if config.region and arn and arn.region != config.region:
                found.append(
                    Conflict(
                        f"{unit.key}.secrets.{name}",
                        f"is in {arn.region}, where the set goes to {config.region}; tasks start only while both"
                        " regions work",
                    )
                )
    return [*found, *_quotas(config)]


def _quotas(config: Config) -> Iterator[Conflict]:
    """Where all tasks together, at their most, are more than the account begins with."""
    asked = {"On-Demand": 0, "Spot": 0}
    pools = {name: pool for name, pool in config.capacity.items() if isinstance(pool, FargateCapacity)}
    for unit in with_stand_ins(units(config)):
        if pool := pools.get(unit.pool_name):
            scaling = unit.settings.scaling
            tasks = max([scaling.max_tasks, *(schedule.max_tasks for schedule in scaling.schedules)])
            base = min(tasks, pool.on_demand_base)
            on_spot = (tasks - base) * pool.spot_percent // 100
            asked["Spot"] += on_spot * unit.settings.cpu_units
            asked["On-Demand"] += (tasks - on_spot) * unit.settings.cpu_units
    for kind, units_of_cpu in asked.items():
        if units_of_cpu > FARGATE_VCPUS * 1024:
            yield Conflict(
                f"capacity.{min(pools)}",
                f"the services' most tasks are {units_of_cpu / 1024:g} vCPUs of Fargate {kind}, and an account begins"
                f" with {FARGATE_VCPUS} in a region; look at its quota, Fargate {kind} vCPU resource count",
            )


def unreachable(config: Config, image: str, region: str) -> str:
    """Why no task of a set in this region, empty where it is not known, has a way to the registry of an image.

    An interface endpoint for ECR leads to that of its own region:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    if not isinstance(config.network, NewVpc) or config.network.egress != "endpoints":
        return ""
    repository = arn_of(ecr_repository(image))
    if repository and (not region or repository.region == region):
        return ""
    where = f"to ECR in {repository.region}" if repository else "to a registry other than ECR"
    return (
        f'got {image}, where network.egress = "endpoints" leaves tasks no way {where}; push it to the service\'s'
        ' repository by `image push`, or choose another egress, as "single-nat"'
    )


def may_pull(unit: Unit, image: str) -> bool:
    """Whether a service's tasks may pull an image: its own, one that pull_from lets in, or one that is not in ECR."""
    repository = ecr_repository(image)
    given = [*unit.settings.pull_from, ecr_repository(unit.settings.image_uri)]
    return not repository or any(
        repository.startswith(arn[:-1]) if arn.endswith("*") else repository == arn for arn in given
    )


def _names(config: Config) -> Iterator[Conflict]:
    """Whether all that is called by name is there."""
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
    balancer = config.load_balancer
    #: Key, ARN, and whether it has to be of the set's region, and of its account.
    named = [("permissions_boundary", config.permissions_boundary, False, True)]
    if isinstance(balancer, ExistingLoadBalancer):
        named.append(("load_balancer.load_balancer_arn", balancer.load_balancer_arn, True, True))
        named.append(("load_balancer.listener_arn", balancer.listener_arn, True, True))
    elif isinstance(balancer.listener, Certificate):
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html
        named.append(("load_balancer.listener.certificate_arn", balancer.listener.certificate_arn, True, True))
    for unit in units(config):
        settings, pipeline = unit.settings, unit.settings.pipeline
        named += [(f"{unit.key}.secrets.{name}", text, False, False) for name, text in settings.secrets.items()]
        named += [
            (f"{unit.key}.pull_from[{number}]", text, False, False) for number, text in enumerate(settings.pull_from)
        ]
        if isinstance(settings, WebService):
            named.append((f"{unit.key}.route.certificate_arn", settings.route.certificate_arn, True, True))
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
    for unit in with_stand_ins(units(config)):
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


def _load_balancer(config: Config) -> Iterator[Conflict]:
    balancer = config.load_balancer
    if isinstance(balancer, ExistingLoadBalancer):
        # The listener's ARN is the balancer's, but for the word and one more part.
        if not balancer.listener_arn.startswith(
            balancer.load_balancer_arn.replace(":loadbalancer/", ":listener/") + "/"
        ):
            yield Conflict(
                "load_balancer.listener_arn", "is a listener of another load balancer than load_balancer_arn"
            )
    elif balancer.maintenance and not any(unit.is_web for unit in units(config)):
        yield Conflict("load_balancer.maintenance", "there is no web service, and so no load balancer; leave it out")


def _capacity(config: Config) -> Iterator[Conflict]:
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


def _service(unit: Unit) -> Iterator[Conflict]:
    settings, key = unit.settings, unit.key
    yield from _on_its_pool(unit)
    if settings.zone_rebalancing and settings.placement == "binpack":
        yield Conflict(f"{key}.zone_rebalancing", 'does not go with placement = "binpack"; use "spread" or turn it off')
    if settings.zone_rebalancing and settings.deployment.maximum_percent <= 100:
        yield Conflict(
            f"{key}.deployment.maximum_percent",
            f"got {settings.deployment.maximum_percent}; zone_rebalancing starts a task before it stops one and needs"
            " more than 100",
        )
    in_memory = sum(settings.tmpfs_mib.values())
    if in_memory >= settings.memory_mib:
        yield Conflict(
            f"{key}.tmpfs_mib",
            f"{in_memory} MiB in all, which must be less than memory_mib = {settings.memory_mib}, for they count as the"
            " container's memory",
        )
    if settings.exec and settings.read_only:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
        yield Conflict(
            f"{key}.exec", f"the agent of ECS Exec writes to the root file system; set {key}.read_only = false"
        )
    if settings.image_uri and (why := unreachable(unit.config, settings.image_uri, unit.config.region)):
        yield Conflict(f"{key}.image_uri", why)
    if both := sorted(set(settings.environment) & set(settings.secrets)):
        yield Conflict(f"{key}.secrets", f"{', '.join(both)} also in {key}.environment; keep one of the two")
    if isinstance(settings, WebService) and settings.health_check.timeout_s >= settings.health_check.interval_s:
        check = settings.health_check
        yield Conflict(
            f"{key}.health_check.timeout_s",
            f"got {check.timeout_s}, which must be less than interval_s = {check.interval_s}",
        )
    if isinstance(settings, WebService):
        yield from _behind_the_balancer(unit, settings)
    if not unit.is_web and settings.scaling.requests.enabled:
        yield Conflict(
            f"{key}.scaling.requests", "counts requests of the load balancer, which sends it none; track cpu or memory"
        )
    yield from _scaling(f"{key}.scaling", settings.scaling)
    yield from _pipeline(unit)


def _stand_in(unit: Unit) -> Iterator[Conflict]:
    """What its pool cannot do, where that is not said of the service itself."""
    if unit.stand_in is not None:
        settings = unit.settings
        assert isinstance(settings, WebService)
        if settings.health_check.port and unit.stand_in.network_mode == "bridge" != unit.network_mode:
            yield Conflict(
                f"{unit.key}.stand_in.network_mode",
                f"is bridge on {unit.stand_in.pool_name}, under which health_check.port ="
                f' {settings.health_check.port} cannot be; set "awsvpc"',
            )
        said = {conflict.key for conflict in _on_its_pool(unit)}
        for conflict in _on_its_pool(unit.stand_in):
            if conflict.key == f"{unit.key}.network_mode":
                yield Conflict(f"{unit.key}.stand_in.network_mode", conflict.what)
            elif conflict.key not in said:
                yield Conflict(conflict.key, f"for its stand-in: {conflict.what}")


def _behind_the_balancer(unit: Unit, settings: WebService) -> Iterator[Conflict]:
    """What a target group can be.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
    """
    key, check, balancer = unit.key, settings.health_check, unit.config.load_balancer
    if 0 < settings.slow_start_s < 30:
        yield Conflict(f"{key}.slow_start_s", f"got {settings.slow_start_s}; allowed are 0 for none, and 30 to 900")
    if settings.protocol != "http1" and isinstance(balancer, NewLoadBalancer) and isinstance(balancer.listener, Http):
        yield Conflict(
            f"{key}.protocol",
            f'"{settings.protocol}" is for listeners with TLS, and this one speaks HTTP; give load_balancer.listener a'
            ' certificate, or use "http1"',
        )
    if check.port and unit.network_mode == "bridge":
        yield Conflict(
            f"{key}.health_check.port",
            f"got {check.port}, and under bridge a task's ports are chosen when it starts; leave it out, or set"
            f' {key}.network_mode = "awsvpc"',
        )
    low, high = (0, 99) if settings.protocol == "grpc" else (200, 499)
    for part in check.codes.split(","):
        first, _, last = part.partition("-")
        if not low <= int(first) <= int(last or first) <= high:
            yield Conflict(
                f"{key}.health_check.codes",
                f'got {part}; with protocol = "{settings.protocol}" codes are {low} to {high}, and a range goes up',
            )


def _on_its_pool(unit: Unit) -> Iterator[Conflict]:
    """What the kind of a pool can do."""
    settings, key, pool = unit.settings, unit.key, unit.pool
    where = f"{unit.pool_name} is {pool.__struct_config__.tag}"
    if unit.network_mode == "bridge":
        if not isinstance(pool, Ec2Capacity):
            yield Conflict(f"{key}.network_mode", f'"bridge" is for EC2 nodes, and {where}; leave it out, or "awsvpc"')
        elif unit.is_reached or settings.reaches:
            what = 'kind = "internal"' if unit.is_reached else "reaches"
            yield Conflict(
                f"{key}.network_mode",
                f'"bridge" gives all tasks of a node one security group, and {what} needs one of its own; leave it out,'
                ' or "awsvpc"',
            )
    if settings.placement != "spread" and not isinstance(pool, Ec2Capacity):
        yield Conflict(f"{key}.placement", f"is for EC2 nodes, and {where}, where AWS places the tasks; leave it out")
    if settings.architecture not in ("auto", unit.architecture):
        yield Conflict(
            f"{key}.architecture",
            f"got {settings.architecture}, and the pool {unit.pool_name} is {unit.architecture}; use a pool of that"
            " architecture",
        )
    owner = Unit(unit.image_owner, unit.config.services[unit.image_owner], unit.config)
    if owner.architecture != unit.architecture:
        yield Conflict(
            f"{key}.image_of",
            f"{owner.name} runs on {owner.architecture}, this service on {unit.architecture}; one image is built for"
            " one of them: use pools of one architecture, or give it an image of its own",
        )
    if isinstance(pool, FargateCapacity):
        more = sorted({*settings.capabilities} - {"DEFAULT", "SYS_PTRACE"})
        if more:
            # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
            yield Conflict(
                f"{key}.capabilities",
                f"{more[0]} cannot be added on Fargate, which takes SYS_PTRACE alone, and DEFAULT for those of Docker;"
                " leave it out, or use a pool of another kind",
            )
        if near := fargate_sizes_near(settings.cpu_units, settings.memory_mib):
            sizes = " or ".join(f"cpu_units = {cpu} with memory_mib = {memory}" for cpu, memory in near)
            yield Conflict(
                f"{key}.memory_mib",
                f"Fargate does not sell {settings.cpu_units} CPU units with {settings.memory_mib} MiB; nearest:"
                f" {sizes}",
            )
    elif isinstance(pool, ManagedCapacity):
        if settings.cpu_units > pool.max_vcpus * 1024:
            yield Conflict(
                f"{key}.cpu_units",
                f"got {settings.cpu_units}, and the largest instance of {unit.pool_name} has {pool.max_vcpus} vCPUs,"
                f" which are {pool.max_vcpus * 1024}; raise capacity.{unit.pool_name}.max_vcpus",
            )
        if settings.memory_mib >= pool.max_memory_mib:
            yield Conflict(
                f"{key}.memory_mib",
                f"got {settings.memory_mib}, and the largest instance of {unit.pool_name} has {pool.max_memory_mib}"
                f" MiB, of which the system keeps a part; raise capacity.{unit.pool_name}.max_memory_mib",
            )


def _scaling(key: str, scaling: Scaling) -> Iterator[Conflict]:
    if scaling.min_tasks > scaling.max_tasks:
        yield Conflict(f"{key}.min_tasks", f"got {scaling.min_tasks}, more than max_tasks = {scaling.max_tasks}")
    for index, schedule in enumerate(scaling.schedules):
        if schedule.min_tasks > schedule.max_tasks:
            yield Conflict(
                f"{key}.schedules[{index}].min_tasks",
                f"got {schedule.min_tasks}, more than its max_tasks = {schedule.max_tasks}",
            )
    for kind, names in (
        ("schedules", [schedule.name for schedule in scaling.schedules]),
        ("step_policies", [policy.name for policy in scaling.step_policies]),
    ):
        if twice := _twice(names):
            yield Conflict(f"{key}.{kind}", f"the name {', '.join(twice)} is there twice; names are unique")
    for index, policy in enumerate(scaling.step_policies):
        where = f"{key}.step_policies[{index}]"
        if policy.period_s < 60 and not scaling.high_resolution:
            yield Conflict(
                f"{where}.period_s",
                f"got {policy.period_s}, where metrics come every 60 s; give 60, or set {key}.high_resolution = true",
            )
        if policy.min_adjustment_magnitude > 1 and policy.adjustment_type != "PercentChangeInCapacity":
            yield Conflict(
                f"{where}.min_adjustment_magnitude",
                f"got {policy.min_adjustment_magnitude}, which goes with"
                f' adjustment_type = "PercentChangeInCapacity" and not with "{policy.adjustment_type}"; leave it out',
            )
        if policy.adjustment_type == "ExactCapacity" and min(step.adjustment for step in policy.steps) < 0:
            yield Conflict(f"{where}.steps", "an ExactCapacity of less than no task; give adjustments of 0 or more")
        distances = [step.distance for step in policy.steps]
        if distances[0] != 0 or distances != sorted(set(distances)):
            yield Conflict(
                f"{where}.steps",
                f"distances are {distances}; the first is 0 and each is larger than the one before",
            )
        if policy.when == "below" and distances[-1] >= policy.threshold_percent:
            yield Conflict(
                f"{where}.steps",
                f"a distance of {distances[-1]} below a threshold of {policy.threshold_percent} percent can never be;"
                " keep distances below the threshold",
            )


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def _pipeline(unit: Unit) -> Iterator[Conflict]:
    settings, pipeline, key = unit.settings, unit.settings.pipeline, unit.key
    if not unit.has_pipeline:
        return
    if settings.image_of:
        yield Conflict(
            f"{key}.pipeline", f"it runs the image of {settings.image_of}, whose pipeline brings it; leave this one out"
        )
    if settings.image_uri:
        yield Conflict(
            f"{key}.image_uri",
            "with a pipeline the image is what that has deployed, and the next deployment of the set would take it"
            " back to this one; leave it empty",
        )
    # CloudFormation reads SSM parameters anew at each update, UsePreviousValue or not.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/systems-manager-parameter-types.html
    for name, pool in sorted(unit.config.capacity.items()):
        if isinstance(pool, Ec2Capacity) and (not pool.machine_image or "/recommended" in pool.machine_image):
            yield Conflict(
                f"capacity.{name}.machine_image",
                "follows AWS's newest image, so that a pipeline's deployment of a container would at times replace the"
                " nodes too; give a path with a version in it (docs/pipeline.md says how to find it)",
            )
    if isinstance(pipeline, RegistryPipeline):
        tags = unit.config.registry.mutable_tags
        if not any(fnmatchcase(pipeline.image_tag, tag) for tag in tags):
            yield Conflict(
                f"{key}.pipeline.image_tag",
                f"got {pipeline.image_tag}, which can be pushed only once; add it to registry.mutable_tags, which is"
                f" {list(tags)}",
            )


def _routes(config: Config) -> Iterator[Conflict]:
    """Whether each web service gets the requests that its route names."""
    web = [unit for unit in units(config) if isinstance(unit.settings, WebService)]
    balancer = config.load_balancer
    made = priorities(config)
    for unit in web:
        assert isinstance(unit.settings, WebService)
        route, key = unit.settings.route, f"{unit.key}.route"
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
                foreign = [host for host in route.hosts if host != balancer.listener.domain_name]
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
