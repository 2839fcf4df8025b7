"""What single bounds cannot say of one service: tunables that exclude each other, and what its pool cannot do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from scaleout_cfn.config import (
    Config,
    Ec2Capacity,
    FargateCapacity,
    Http,
    InternalService,
    ManagedCapacity,
    NewLoadBalancer,
    Predictive,
    RegistryPipeline,
    Scaling,
    WebService,
    WorkerService,
)
from scaleout_cfn.config.attachments import variable_conflicts
from scaleout_cfn.config.container_conflicts import (
    container_conflicts,
    gpus_on_pool,
    on_pool,
    sidecar_conflicts,
    sidecars_on_pool,
    task_conflicts,
    unreachable,
    volume_conflicts,
    volumes_on_pool,
)
from scaleout_cfn.config.containers import Task
from scaleout_cfn.config.delivery_conflicts import delivery_conflicts
from scaleout_cfn.config.ground import secrets_keys_conflicts
from scaleout_cfn.config.permissions import permission_conflicts
from scaleout_cfn.config.pools import fargate_sizes_near
from scaleout_cfn.config.pulse import READER, VARIABLE, ReadPulse
from scaleout_cfn.config.sidecars import FireLensSidecar
from scaleout_cfn.config.tunables import Conflict
from scaleout_cfn.config.units import Unit, Work, names_of, queue_variable, with_queue


def work_conflicts(work: Work) -> Iterator[Conflict]:
    """What of a service or a job excludes each other, and what its pool and network cannot do for it."""
    settings, key = work.settings, work.key
    yield from _on_its_pool(work)
    if work.own_memory_mib > 0:
        yield from container_conflicts(key, settings, work.own_memory_mib)
    yield from task_conflicts(work)
    yield from addresses(work)
    if settings.image_uri and (why := unreachable(work.config, settings.image_uri, work.config.region)):
        yield Conflict(f"{key}.image_uri", why)
    yield from secrets_keys_conflicts(key, work.secrets, settings.secrets_keys)
    if settings.permissions is not None:
        yield from permission_conflicts(f"{key}.permissions", settings.permissions)
    yield from variable_conflicts(key, work.attachments, settings.environment, settings.secrets)


#: Where the agent of ECS Exec writes, as those found who run it on a read-only root:
#: https://github.com/aws/containers-roadmap/issues/1359
#: AWS names no folders, and says that it is not supported:
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
EXEC_FOLDERS = {"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}


def service_conflicts(unit: Unit) -> Iterator[Conflict]:
    """What of a service excludes each other, besides what it has in common with a job."""
    settings, key = unit.settings, unit.key
    yield from work_conflicts(unit)
    if settings.zone_rebalancing and settings.placement == "binpack":
        yield Conflict(f"{key}.zone_rebalancing", 'does not go with placement = "binpack"; use "spread" or turn it off')
    yield from delivery_conflicts(unit)
    yield from sidecar_conflicts(unit)
    yield from pulse_conflicts(unit)
    yield from volume_conflicts(unit)
    if settings.exec and settings.read_only and (missing := EXEC_FOLDERS - settings.tmpfs_mib.keys()):
        yield Conflict(
            f"{key}.exec",
            "the agent of ECS Exec writes to the root file system, and AWS supports no read-only one with it; set"
            f" {key}.read_only = false, or give its folders memory file systems of their own at your own risk, as"
            f" docs/security.md says: {', '.join(sorted(missing))} in {key}.tmpfs_mib",
        )
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
    yield from _scaling(f"{key}.scaling", settings.scaling, unit.scaling.high_resolution)
    if settings.scaling.predictive is not None:
        yield from _predictive(unit, settings.scaling.predictive)
    yield from _pipeline(unit)


def _predictive(unit: Unit, predictive: Predictive) -> Iterator[Conflict]:
    scaling, key = unit.scaling, f"{unit.key}.scaling.predictive"
    if unit.queue is not None:
        yield Conflict(key, f"has no metric for a queue, by which these tasks are scaled; leave {key} out")
        return
    if predictive.metric == "requests" and not unit.is_web:
        yield Conflict(
            f"{key}.metric",
            'got "requests", which the load balancer counts, and it sends this service none; take "cpu" or "memory"',
        )
    tracking = (scaling.cpu, scaling.memory, scaling.requests)
    takes_away = any(policy.enabled and policy.scale_in for policy in tracking)
    if (
        predictive.mode == "forecast-and-scale"
        and not takes_away
        and not any(policy.when == "below" for policy in scaling.step_policies)
    ):
        # "predictive scaling will not scale in": aas-predictive-scaling-how-it-works.html
        yield Conflict(
            f"{key}.mode",
            'got "forecast-and-scale", which only adds tasks, and no policy takes them away; track a metric, as by'
            f" {unit.key}.scaling.cpu.enabled, or add a step policy that acts below a threshold",
        )


def stand_in_conflicts(unit: Unit) -> Iterator[Conflict]:
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


def _on_its_pool(unit: Work) -> Iterator[Conflict]:
    settings, key, pool = unit.settings, unit.key, unit.pool
    where = f"{unit.pool_name} is {pool.__struct_config__.tag}"
    if unit.network_mode == "bridge":
        if not isinstance(pool, Ec2Capacity):
            yield Conflict(f"{key}.network_mode", f'"bridge" is for EC2 nodes, and {where}; leave it out, or "awsvpc"')
        elif unit.is_reached or unit.lets_itself_in:
            groups = [f"attachments.{name}" for name, section in unit.attachments.items() if section.has_group]
            what = 'kind = "internal"' if unit.is_reached else groups[0] if groups else "reaches"
            yield Conflict(
                f"{key}.network_mode",
                f'"bridge" gives all tasks of a node one security group, and {what} needs one of its own; leave it out,'
                ' or "awsvpc"',
            )
    if isinstance(unit, Unit) and unit.settings.placement != "spread" and not isinstance(pool, Ec2Capacity):
        yield Conflict(f"{key}.placement", f"is for EC2 nodes, and {where}, where AWS places the tasks; leave it out")
    if isinstance(unit, Unit) and unit.settings.cpu_is == "share" and not isinstance(pool, Ec2Capacity):
        # A task's own Cpu is optional on EC2 and required on Fargate; that Managed Instances do without, no page says.
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
        yield Conflict(
            f"{key}.cpu_is",
            f'"share" is for EC2 nodes, and {where}, where a task has a size of its own, a quota; leave it out, or'
            ' "quota"',
        )
    if settings.architecture not in ("auto", unit.architecture):
        yield Conflict(
            f"{key}.architecture",
            f"got {settings.architecture}, and the pool {unit.pool_name} is {unit.architecture}; use a pool of that"
            " architecture",
        )
    owner = _owner(unit)
    if owner is not None and owner.architecture != unit.architecture:
        yield Conflict(
            f"{key}.image_of",
            f"{owner.name} runs on {owner.architecture}, and it on {unit.architecture}; one image is built for"
            " one of them: use pools of one architecture, or give it an image of its own",
        )
    yield from on_pool(unit, key, settings)
    yield from gpus_on_pool(unit)
    if isinstance(unit, Unit):
        yield from sidecars_on_pool(unit)
        yield from volumes_on_pool(unit)
    if isinstance(pool, FargateCapacity):
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


def _owner(work: Work) -> Unit | None:
    """The service whose image it runs, where that is another."""
    name = work.settings.image_of
    return Unit(name, work.config.services[name], work.config) if name else None


#: What stacks call their own policies: of two policies of one name, AWS keeps the one that comes last.
POLICIES = {
    "BacklogTracking",
    "CpuTracking",
    "FirstTask",
    "Forecast",
    "MemoryTracking",
    "Pulse",
    "PulseTracking",
    "PulseTwice",
    "RequestTracking",
}


def _scaling(key: str, scaling: Scaling, high_resolution: bool) -> Iterator[Conflict]:
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
        if policy.name in POLICIES:
            yield Conflict(f"{where}.name", f"{policy.name} is what a policy of the set's own is called; take another")
        if policy.metric != "pulse" and policy.period_s < (30 if high_resolution else 60):
            cure = f"give 60, or set {key}.high_resolution = true" if not scaling.high_resolution else "give 60"
            if policy.period_s == 10:
                cure = f'give {"30 or 60" if high_resolution else "60"}, or metric = "pulse"'
            every = 20 if high_resolution else 60
            yield Conflict(f"{where}.period_s", f"got {policy.period_s}, where metrics come every {every} s; {cure}")
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
        if policy.when == "below" and distances[-1] >= policy.threshold:
            yield Conflict(
                f"{where}.steps",
                f"a distance of {distances[-1]} below a threshold of {policy.threshold} can never be;"
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


def pulse_conflicts(unit: Unit) -> Iterator[Conflict]:
    settings, scaling = unit.settings, unit.settings.scaling
    key, pulse = f"{unit.key}.scaling.pulse", scaling.pulse
    for index, policy in enumerate(scaling.step_policies):
        where = f"{unit.key}.scaling.step_policies[{index}]"
        if policy.metric == "pulse" and pulse is None:
            yield Conflict(f"{where}.metric", f"is the pulse, and there is none; write [{key}], or watch cpu or memory")
    if pulse is None:
        return
    if not isinstance(settings, (WebService, InternalService)):
        yield Conflict(
            key, "counts requests, and nothing is sent to a worker; leave it out, and scale by its queue, cpu or memory"
        )
        return
    if scaling.requests.enabled:
        yield Conflict(
            f"{unit.key}.scaling.requests",
            f"counts requests by the minute, and {key} the same ones every 10 s; keep one of the two",
        )
    if isinstance(pulse, ReadPulse):
        if READER in settings.sidecars:
            yield Conflict(
                f"{unit.key}.sidecars.{READER}", f"is what the sidecar of {key} is called; give this one another name"
            )
        return
    firelens = [name for name, sidecar in sorted(settings.sidecars.items()) if isinstance(sidecar, FireLensSidecar)]
    if firelens or settings.log_driver != "awslogs":
        taken = f"{firelens[0]} takes its logs" if firelens else f'log_driver = "{settings.log_driver}"'
        yield Conflict(
            f"{key}.kind",
            f'"log" comes with the service\'s log in CloudWatch, and {taken}; count by a sidecar, which has a log of'
            ' its own: "nginx" or "address"',
        )
    for table in ("environment", "secrets"):
        if VARIABLE in getattr(settings, table):
            yield Conflict(f"{unit.key}.{table}.{VARIABLE}", "is what the set tells the metric's name by; leave it out")


def receivers(config: Config) -> Iterator[Conflict]:
    queues = with_queue(config)
    senders: list[tuple[str, Task]] = [(f"services.{name}", one) for name, one in sorted(config.services.items())]
    senders += [(f"jobs.{name}", one) for name, one in sorted(config.jobs.items())]
    for place, settings in senders:
        key = f"{place}.sends_to"
        for other in settings.sends_to:
            if isinstance(config.services.get(other), WorkerService) and other not in queues:
                yield Conflict(key, f"{other} has no queue; write [services.{other}.queue]")
            elif other not in queues:
                what = "is no worker" if other in config.services else "is not there"
                yield Conflict(key, f"{other} {what}; the workers with a queue are {names_of(queues)}")
        if len(set(settings.sends_to)) < len(settings.sends_to):
            yield Conflict(key, "a service is named twice; name each once")


def addresses(work: Work) -> Iterator[Conflict]:
    """Whether a variable that tells the address of a queue is given by the config, too."""
    settings = work.settings
    told = {queue_variable(name) for name in settings.sends_to}
    if isinstance(work, Unit) and work.queue:
        told.add("QUEUE_URL")
    for name in sorted(told & (set(settings.environment) | set(settings.secrets))):
        section = "environment" if name in settings.environment else "secrets"
        yield Conflict(f"{work.key}.{section}.{name}", "is what the set tells the address of a queue by; leave it out")


def queue_conflicts(unit: Unit) -> Iterator[Conflict]:
    settings, queue, key = unit.settings, unit.queue, f"{unit.key}.queue"
    if queue is None:
        return
    if queue.visibility_s < settings.stop_timeout_s:
        yield Conflict(
            f"{key}.visibility_s",
            f"got {queue.visibility_s}, less than {unit.key}.stop_timeout_s = {settings.stop_timeout_s}: another task"
            " would get a message while the one that is being stopped still works on it; give"
            f" {settings.stop_timeout_s} or more",
        )
    if queue.visibility_s < queue.seconds_per_message:
        yield Conflict(
            f"{key}.visibility_s",
            f"got {queue.visibility_s}, less than seconds_per_message = {queue.seconds_per_message:g}: messages would"
            " come again while they are worked on; give several times as much",
        )
    if queue.latency_s < queue.seconds_per_message:
        yield Conflict(
            f"{key}.latency_s",
            f"got {queue.latency_s:g}, less than seconds_per_message = {queue.seconds_per_message:g}, which no number"
            " of tasks makes shorter; give as much or more",
        )
    if queue.oldest_s < queue.latency_s:
        yield Conflict(
            f"{key}.oldest_s",
            f"got {queue.oldest_s}, less than latency_s = {queue.latency_s:g}, so that the alarm would tell of what is"
            " accepted; give more",
        )
