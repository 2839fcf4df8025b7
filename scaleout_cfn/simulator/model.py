"""What a simulation is of: facts of the templates, of the service, and the delays of AWS.

`Model` is read from templates (`read.py`), `Load` is asked of the user, `Delays` holds every constant that AWS does
not publish or that was measured once, each with its band. A result is given over the bands, never for one value only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

from scaleout_cfn.capacity import count
from scaleout_cfn.config.scaling import NodeScaling, Scaling, TargetTracking
from scaleout_cfn.errors import UsageError

_NORMAL = NormalDist()


@dataclass(frozen=True)
class ServiceTime:
    """The shape of the service time; `cv` is its coefficient of variation, the standard deviation over the mean."""

    kind: Literal["exponential", "lognormal", "constant"] = "exponential"
    cv: float = 1.0

    @property
    def variability(self) -> float:
        """How much longer a queue is than before exponential services, under arrivals at random.

        Pollaczek and Khinchine's (1 + cv²) / 2; for several workers an approximation of Lee and Longton, which Allen
        and Cunneen took up: https://en.wikipedia.org/wiki/M/G/k_queue
        """
        return (1 + self.cv * self.cv) / 2

    def share_over(self, multiple: float) -> float:
        """The share of requests that are worked on for longer than so many means."""
        if multiple <= 0:
            return 1.0
        if self.kind == "constant":
            return float(multiple < 1)
        if self.kind == "exponential":
            return math.exp(-multiple)
        middle, spread = self._logarithm()
        return 1 - _NORMAL.cdf((math.log(multiple) - middle) / spread)

    def within(self, multiple: float, count: int) -> list[float]:
        """So many service times, equally likely, that stand for all that are no longer than so many means."""
        share = 1 - self.share_over(multiple)
        if not share:
            return []
        if self.kind == "constant":
            return [1.0]
        chances = [share * (index + 0.5) / count for index in range(count)]
        if self.kind == "exponential":
            return [-math.log1p(-chance) for chance in chances]
        middle, spread = self._logarithm()
        return [math.exp(middle + spread * _NORMAL.inv_cdf(chance)) for chance in chances]

    def _logarithm(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm, for a mean of 1."""
        variance = math.log1p(self.cv * self.cv)
        return -variance / 2, math.sqrt(variance)


EXPONENTIAL = ServiceTime()
"""What is taken where nothing is known: a standard deviation as large as the mean."""


def service_time(text: str) -> ServiceTime:
    """Of exponential, constant, or lognormal:CV. Raises UsageError on anything else."""
    kind, colon, number = text.partition(":")
    if kind == "exponential" and not colon:
        return EXPONENTIAL
    if kind == "constant" and not colon:
        return ServiceTime("constant", 0.0)
    if kind == "lognormal":
        try:
            cv = float(number)
        except ValueError:
            cv = math.nan
        if 0.01 <= cv <= 10:
            return ServiceTime("lognormal", cv)
    raise UsageError(
        f"--service-time {text}: give exponential, constant, or lognormal:CV with the coefficient of variation, 0.01 to"
        " 10, as in lognormal:1.5"
    )


@dataclass(frozen=True)
class HourlyCosts:
    """What is paid by the hour whatever the traffic does."""

    nat_gateways: int = 0
    endpoint_addresses: int = 0  # interface endpoints times zones
    public_addresses: int = 0  # of the balancer and of NAT gateways
    public_nodes: bool = False  # each node, on Fargate each task, has an address that is paid for
    load_balancers: int = 1

    def of_nodes_alone(self) -> HourlyCosts:
        """What a service has of it beside another one, which pays for the rest."""
        return HourlyCosts(public_nodes=self.public_nodes, load_balancers=0)


@dataclass(frozen=True)
class StandingBy:
    """The warm pool of a group: at least `least` nodes, and so many that with the group's there are `prepared`."""

    state: Literal["stopped", "running"]
    least: int
    prepared: int


@dataclass(frozen=True)
class Size:
    """What a task takes of a node, or what a node has for tasks. CPU units are 1024 a vCPU.

    `interfaces` are of the network, one a task under awsvpc; `ports` of the bridge. Of tasks that are `apart` a node
    takes one of a service, as their host port is fixed.
    """

    cpu_units: int
    memory_mib: int
    interfaces: int = 0
    ports: int = 0
    gpus: int = 0
    apart: bool = False

    def holds(self, task: Size) -> int:
        """How many tasks of a size fit into this one."""
        fits = [have // asked for have, asked in zip(self.parts, task.parts, strict=True) if asked]
        return min(*fits, 1) if task.apart else min(fits)

    def without(self, task: Size, count: int) -> Size:
        """What is left of it beside so many tasks."""
        cpu, memory, interfaces, ports, gpus = (
            have - count * asked for have, asked in zip(self.parts, task.parts, strict=True)
        )
        return Size(cpu, memory, interfaces, ports, gpus)

    @property
    def parts(self) -> tuple[int, int, int, int, int]:
        """What is used up, in one order."""
        return (self.cpu_units, self.memory_mib, self.interfaces, self.ports, self.gpus)


Placement = Literal["spread", "binpack", "random", "instances"]
"""Over zones, and within one packed; packed alone; over zones, and within one anywhere, as ECS does where no strategy
is given; over zones, and within one over its instances."""
PACKED = ("spread", "binpack")
"""Those that fill a node before they go to the next."""


@dataclass(frozen=True)
class NodeKind:
    """Nodes of an instance type: as those of a `NodePool`."""

    instance_type: str
    cpu_units: int
    room: Size


@dataclass(frozen=True)
class Managed:
    """ECS Managed Instances: the kinds that ECS may start, the smallest first, and how many seconds one that is idle or
    could be done without stays: -1 for as long as it likes, None for AWS's own default."""

    kinds: tuple[NodeKind, ...]
    scale_in_after_s: int | None = None


@dataclass(frozen=True)
class Standing:
    """The tasks of a service that has no traffic: on the nodes for good, as many as its fewest."""

    service: str
    tasks: int
    task: Size


@dataclass(frozen=True)
class NodeRoll:
    """How new nodes take the place of a group's: so many at once, with so many in service (below 1 a share of them),
    and whether nothing else moves the group meanwhile. The default is that of an instance refresh.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/understand-instance-refresh-default-values.html
    """

    batch: int = 5000
    in_service: float = 0.9
    alone: bool = False


@dataclass(frozen=True)
class NodePool:
    """The EC2 nodes that tasks are placed on, and what moves them.

    `cpu_units` are all that a node has, `room` is what it has for tasks of services. `standing` are on it beside those
    that are simulated. `cpu_target` is the target of a group that tracks its instances' CPU by itself, in percent; None
    where a capacity provider moves the nodes. Spot is of the nodes above the base. `name` is that of [capacity.NAME]:
    pools of one name are one. Where ECS Managed Instances are meant `managed` says of which kinds, the pool's own being
    that of few tasks, and neither its bounds nor its scaling are anybody's; a fee is paid for them.
    """

    min_nodes: int
    max_nodes: int
    instance_type: str
    cpu_units: int
    room: Size
    scaling: NodeScaling = field(default_factory=NodeScaling)
    zones: int = 2
    disk_gib: int = 30
    standing: tuple[Standing, ...] = ()
    cpu_target: float | None = None
    name: str = "nodes"
    warm: StandingBy | None = None
    spot_percent: int = 0
    on_demand_base: int = 0
    managed: Managed | None = None
    roll: NodeRoll = field(default_factory=NodeRoll)


@dataclass(frozen=True)
class Fargate:
    """No nodes: a place for each task, billed by its size while it runs. Spot is of the tasks above the base."""

    architecture: Literal["x86_64", "arm64"] = "x86_64"
    spot_percent: int = 0
    on_demand_base: int = 0


@dataclass(frozen=True)
class Backlog:
    """What keeps the messages of a queue, by running tasks or as they are: `tracking` of their number, off where steps
    alone go by it; and a step from no task to the first one where `first_cooldown_s` is not None. Messages in work may
    count, too."""

    tracking: TargetTracking
    first_cooldown_s: int | None = None
    of: Literal["task", "queue"] = "task"
    in_work: bool = True


@dataclass(frozen=True)
class Rollout:
    """How a new version of a service takes over.

    Without `steps` in place, within the two percentages. Else beside the old version, which loses its requests in
    steps: from each on the new one has so much of them (a share), for so many seconds. `breaker` takes a version back
    after so many failed tasks: as `(type, value)` of ThresholdConfiguration, None where nothing does.
    """

    minimum_healthy_percent: float = 100
    maximum_percent: float = 200
    steps: tuple[tuple[float, int], ...] = ()
    breaker: tuple[str, float] | None = ("BOUNDED_PERCENT", 50)


@dataclass(frozen=True)
class Model:
    """A service as the scaling loops see it. Policies are those of `scaleout_cfn.config.scaling`.

    `health_check_interval_s` is None where no load balancer sends it requests: a task then serves once it runs.
    `by_minute` are metrics that come every 20 s and are tracked by the minute, by the plain type of target tracking.
    Where `cpu_is` a share a task uses what is idle of its node, beside what it reserves.
    `backlog` is there where tasks drain a queue, whose messages are what comes.
    `service` is the name of [services.NAME]; `notes` say what of the set the model leaves out.
    """

    scaling: Scaling
    pool: NodePool | Fargate
    task: Size
    placement: Placement = "spread"
    health_check_interval_s: int | None = 30
    deregistration_delay_s: int = 300
    slow_start_s: int = 0
    network: HourlyCosts = field(default_factory=HourlyCosts)
    by_minute: tuple[str, ...] = ()
    cpu_is: Literal["share", "quota"] = "quota"
    backlog: Backlog | None = None
    rollout: Rollout = field(default_factory=Rollout)
    service: str = "web"
    notes: tuple[str, ...] = ()

    @property
    def nodes(self) -> NodePool | None:
        """The nodes; None on Fargate, where there is no loop of nodes."""
        return self.pool if isinstance(self.pool, NodePool) else None

    @property
    def packed(self) -> bool:
        """Whether its tasks fill a node before they go to the next."""
        return self.placement in PACKED

    @property
    def is_fixed(self) -> bool:
        """Whether nothing moves the number of its tasks."""
        scaling = self.scaling
        tracked = scaling.cpu.enabled or scaling.memory.enabled or scaling.requests.enabled
        return not (tracked or scaling.pulse or scaling.step_policies or scaling.schedules or self.backlog)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of the set is not simulated, a sentence each."""
        if not self.nodes or not self.nodes.standing:
            return self.notes
        told = " and ".join(f"{count(other.tasks, 'task')} of {other.service}" for other in self.nodes.standing)
        return (
            f"On the same nodes: {told}, the fewest that there may be; what their own traffic asks for is not"
            " simulated.",
            *self.notes,
        )

    @property
    def tasks_per_node(self) -> int:
        """How many of its tasks a node takes that holds nothing else; 0 without nodes."""
        return self.nodes.room.holds(self.task) if self.nodes else 0

    def cpu_at_most(self, load: Load) -> tuple[float, float] | None:
        """CPU units that a task uses for what it takes by itself, and the most that it uses of an idle node; None where
        it has no use for more, or may not have it."""
        if self.cpu_is == "quota" or not self.task.cpu_units or load.cpu_at_capacity < 100:
            return None
        own = self.task.cpu_units * load.cpu_at_capacity / 100
        return own, max(own, 1024 * load.cores)


@dataclass(frozen=True)
class Load:
    """What one task can take, and what clients ask for.

    `task_rps`: requests a second that keep a task just busy. `workers`: requests that it works on at once; the mean
    service time is workers / task_rps, and `service` its distribution. `objective_on`: the wait alone, or the response,
    which is the wait and the service. `cpu_at_capacity`: percent of its reserved CPU that a busy task uses; below 100
    something else keeps it busy. `cores`: the most that a task uses where it may, its CPU being a share of its node.
    """

    task_rps: float
    workers: int = 4
    objective_s: float = 0.25
    timeout_s: float = 10.0
    retry_share: float = 0.0
    cpu_at_capacity: float = 100.0
    cores: float = 1.0
    memory_percent: float = 50.0
    response_kib: float = 2.0
    requests_per_connection: float = 10.0
    service: ServiceTime = EXPONENTIAL
    objective_on: Literal["wait", "response"] = "wait"


@dataclass(frozen=True)
class Delays:
    """Times in seconds and shares that are not documented, or that somebody measured. Bands are in BANDS."""

    metric_lag_60_s: int = 150
    """End of a one-minute period until its point is seen. Fitted to AWS's benchmark of June 2026 (363 s to trigger)."""
    metric_lag_20_s: int = 20
    """The same for 20 s metrics; fitted to the same benchmark (86 s)."""
    balancer_lag_s: int = 90
    """The same for the balancer's metrics, of a minute each; published nowhere, so the middle of a wide band."""
    queue_lag_s: int = 60
    """The same for SQS's metrics, of a minute each; published nowhere, so assumed in a wide band."""
    pulse_lag_s: int = 15
    """The same for a metric that comes with the log: the log driver sends every 5 s, the rest is assumed.
    https://github.com/moby/moby/blob/master/daemon/logger/awslogs/cloudwatchlogs.go"""
    scale_in_share: float = 0.5
    """How much of the way down a target tracking policy goes in one step; unpublished ("more gradually")."""
    low_minutes: int = 15
    """Minutes below before a target tracking policy removes tasks. https://github.com/aws/containers-roadmap/issues/1208"""
    fast_low_minutes: int = 15
    """The same of a policy on 20 s metrics, of which nothing is known: 15 points of 20 s would be 5 minutes."""
    reservation_lag_s: int = 15
    """Publication of CapacityProviderReservation until its alarm sees it; assumed."""
    node_launch_s: int = 26
    """RunInstances until the machine answers: 22.6 to 25.8 s. https://github.com/brevdev/ec2-coldboot-research"""
    node_join_s: int = 49
    """The machine answers until its ECS agent has registered; assumed. The lower end of the band is from one that took
    41 s from its launch on: https://github.com/aws/amazon-ecs-agent/issues/2309"""
    stopped_start_s: int = 45
    """A stopped node of a warm pool is asked for until its ECS agent has registered. One was measured, in a cluster of
    Kubernetes and with the decision: 80 s, where a cold one took 110. Middle and lower end are assumed.
    https://github.com/keikoproj/instance-manager/issues/277"""
    running_start_s: int = 35
    """The same of one that runs: its agent looks once a minute whether it goes in service (asgLifecyclePollWait in
    https://github.com/aws/amazon-ecs-agent/blob/master/agent/app/agent.go), and then registers."""
    node_scale_in_step_s: float = 89
    """From one scale-in step of a group to the next, whatever its size; with `node_scale_in_each_s` fitted to 334 to
    34 instances in 80 minutes by steps of 5 %, and in 10 by steps of 50 %. Two numbers for two figures: that they come
    out right says nothing.
    https://aws.amazon.com/about-aws/whats-new/2022/09/amazon-ecs-delivers-faster-cluster-auto-scaling-experience-scale-in-events/"""
    node_scale_in_each_s: float = 0.8
    """The same for each instance that the step removes; its drain and its end have to be seen to."""
    node_scale_in_most: float = 0.5
    """The most of a group that one scale-in step removes; it was 0.05 before the same announcement."""
    managed_start_s: int = 30
    """A task waits for a place until a Managed Instance for it has registered. From no instance to the first line of
    an nginx's log once took about 40 s, with the pull and the start of the task; the upper end is an EC2 node's.
    https://blog.neilkuan.click/blog/2026-01-17-ecs-managed-instance"""
    managed_idle_s: int = 300
    """How long Managed Instances are idle or underused before ECS optimises where ScaleInAfter is not given: "the
    default optimization behavior", of which no figure is published.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_InfrastructureOptimization.html"""
    image_pull_s: int = 8
    """The first pull of the image on a node; assumed, for about 100 MiB from ECR."""
    task_start_s: int = 20
    """Placement until the container listens. With half a 5 s health check: the 23 s that AWS's benchmark implies."""
    fargate_start_s: int = 45
    """The same on Fargate, with the pull of the image. The band is from the first of 3,500 tasks in 2022 to a task of
    413 MB in 2024, of which create to start took 53 to 62 s; the middle is assumed.
    https://www.vladionescu.me/posts/scaling-containers-on-aws-in-2022/ and https://elasticscale.com"""
    stop_s: int = 5
    """SIGTERM until the container has gone; the stop timeout (30 s by default) is its bound."""
    launch_per_minute: int = 500
    """Tasks that ECS starts a minute and service. https://containersonaws.com/presentations/amazon-ecs-scaling-best-practices/
    Fargate's own quota, 100 at once and 20 a second in an account, is above it for one service.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html"""
    provisioning_quota: int = 500
    """Tasks of a cluster that may wait for a node at once. From memory; it was 100 in 2020 and 300 in 2022:
    https://github.com/aws/containers-roadmap/issues/1780"""

    spot_interruptions: float = 0.05
    """The share of what is on Spot that is taken back in a month, one by one. AWS's Spot Instance Advisor has instance
    types in classes of below 5 % to above 20 %; of Fargate Spot nothing is published, and the same is taken.
    https://aws.amazon.com/ec2/spot/instance-advisor/"""
    forecast_share: float = 1.0
    """What predictive scaling forecasts of the mean of the same hour of former days; AWS's model is not published."""
    old_version_stays: float = 0.0
    """How much of what policies want more during a blue/green, canary or linear deployment the old version does not
    follow: 1 is that the new one grows alone. Published nowhere; that each version has a number of tasks that are
    requested of it (requestedTaskCount) speaks for both.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceRevisionSummary.html"""

    def scale_in_step_s(self, nodes: int) -> int:
        """From a scale-in step that removes so many nodes to the next."""
        return round(self.node_scale_in_step_s + self.node_scale_in_each_s * nodes)


BANDS: dict[str, tuple[float, float]] = {
    "metric_lag_60_s": (60, 180),
    "metric_lag_20_s": (5, 30),
    "balancer_lag_s": (30, 150),
    "queue_lag_s": (20, 180),
    "pulse_lag_s": (5, 40),
    "fast_low_minutes": (5, 15),
    "scale_in_share": (0.1, 1.0),
    "reservation_lag_s": (5, 60),
    "node_launch_s": (22, 45),
    "node_join_s": (15, 100),
    "stopped_start_s": (15, 80),
    "running_start_s": (2, 65),
    "node_scale_in_step_s": (60, 150),
    "node_scale_in_each_s": (0, 2),
    "managed_start_s": (12, 75),
    "managed_idle_s": (60, 1800),
    "image_pull_s": (2, 40),
    "task_start_s": (10, 40),
    "fargate_start_s": (30, 62),
    "stop_s": (1, 30),
    "spot_interruptions": (0.01, 0.25),
    "forecast_share": (0.8, 1.2),
    "old_version_stays": (0.0, 1.0),
}
"""Where each constant may lie, (fastest, slowest)."""


def together(models: Sequence[Model]) -> list[Model]:
    """Services of one set that each have a traffic: none of them stands on another's nodes any more."""
    names = {model.service for model in models}
    apart = []
    for model in models:
        if nodes := model.nodes:
            standing = tuple(other for other in nodes.standing if other.service not in names)
            model = dataclasses.replace(model, pool=dataclasses.replace(nodes, standing=standing))
        apart.append(model)
    return apart


def corners() -> dict[str, Delays]:
    """The usual values, and the corners of the bands: everything fast or slow, scale-in gradual or at once.

    The step of scale-in is moved by itself, for more of it is neither faster nor slower for the user.
    """
    middle = Delays()
    delays_at = {"middle": middle}
    for pace, end in (("fast", 0), ("slow", 1)):
        for step, share in (("gradual", BANDS["scale_in_share"][0]), ("at once", BANDS["scale_in_share"][1])):
            values: dict[str, Any] = {
                name: type(getattr(middle, name))(band[end]) for name, band in BANDS.items() if name != "scale_in_share"
            }
            delays_at[f"{pace}, scale-in {step}"] = dataclasses.replace(middle, **values, scale_in_share=share)
    return delays_at
