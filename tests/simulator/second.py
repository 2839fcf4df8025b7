"""A second model of how ECS scales, read from AWS's pages alone and written without the package's simulator in sight.

It is a specification to be read, and as slow as that allows: plain loops over steps of ten seconds, every task and node
an object, no queue of requests (what nobody serves within its step is missed). It imports nothing of the package. What
AWS publishes is a rule with its page; what AWS does not publish (how long a metric takes to arrive, how far a scale-in
goes, how long a machine boots) is an argument, so that two models can be asked the same question.

Pages, under docs.aws.amazon.com:
- AAS-TT     autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
- AAS-STEP   autoscaling/application/userguide/step-scaling-policy-overview.html
- AAS-SCHED  autoscaling/application/userguide/scheduled-scaling-policy-overview.html
- ECS-METRIC AmazonECS/latest/developerguide/cloudwatch-metrics.html
- ECS-FAST   AmazonECS/latest/developerguide/target-tracking-faster-auto-scaling.html
- ECS-AAS    AmazonECS/latest/developerguide/service-auto-scaling.html
- ECS-CAS    AmazonECS/latest/developerguide/cluster-auto-scaling.html
- ECS-DEEP   aws.amazon.com/blogs/containers/deep-dive-on-amazon-ecs-cluster-auto-scaling/
- ECS-PLACE  AmazonECS/latest/developerguide/task-placement-strategies.html
- ALB-METRIC elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
- CW-ALARM   AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
and github.com/aws/containers-roadmap issues 638, 900, 961, 1208, 1220 for what the alarms of AWS's making look like.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

STEP_S = 10  # CW-ALARM: how often an alarm over less than a minute is looked at; other times are multiples of it


@dataclass(frozen=True)
class Tracking:
    """A target tracking policy; `metric` is "cpu" in percent of what is reserved, or "requests" a target and minute."""

    metric: str
    target: float
    out_cooldown_s: float = 300  # AAS-TT: 300 is what ECS services get
    in_cooldown_s: float = 300
    scale_in: bool = True
    period_s: int = 60  # ECS-FAST: 20 for the high-resolution types
    lag_s: float = 0  # from the end of a period until the alarm sees its point; unpublished
    high_points: int = 3  # containers-roadmap#1208: three of three, and fifteen of fifteen, not to be edited
    low_points: int = 15
    low_share: float = 0.9  # the low alarm of AWS's making stands ten percent below the target


@dataclass(frozen=True)
class Steps:
    """A step scaling policy and its alarm. A step is (from, to, adjustment), its bounds relative to the threshold."""

    metric: str
    threshold: float
    steps: Sequence[tuple[float | None, float | None, float]]
    above: bool = True
    points: int = 1
    period_s: int = 60
    lag_s: float = 0
    adjustment: str = "ChangeInCapacity"
    cooldown_s: float = 300
    least: int = 0


@dataclass(frozen=True)
class Scheduled:
    """A scheduled action: from `at_s` on other bounds; None leaves one as it is (AAS-SCHED)."""

    at_s: float
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True)
class Service:
    """A service: what a task reserves, and how many requests a second it answers with exactly that."""

    name: str
    cpu: int
    memory: int
    rate: float
    minimum: int
    maximum: int
    policies: Sequence[Tracking | Steps] = ()
    schedule: Sequence[Scheduled] = ()
    start_s: float = 20  # a container starts: from its place on a node, or its place in Fargate, to RUNNING
    check_s: float = 0  # the balancer's passing checks: from RUNNING to the first request
    drain_s: float = (
        0  # the balancer's deregistration delay and the stop: it holds its place and reservation for so long
    )
    scale_in_to: Callable[[int, float], int] = lambda tasks, ratio: math.ceil(tasks * ratio)  # unpublished


@dataclass(frozen=True)
class Pool:
    """Where tasks run: Fargate, or an Auto Scaling group behind a capacity provider with managed scaling."""

    fargate: bool = False
    cpu: int = 2048
    memory: int = 4096
    minimum: int = 0
    maximum: int = 10
    target: float = 100
    least_step: int = 1  # ECS-CAS: minimumScalingStepSize and maximumScalingStepSize
    largest_step: int = 10_000
    warmup_s: float = 300
    boot_s: float = 60  # from the launch to the registration in the cluster; unpublished
    lag_s: float = 0
    spread: bool = False  # over zones, before binpack by memory
    zones: int = 2
    in_points: int = 15  # containers-roadmap#638, #1220: one point out, fifteen in


@dataclass
class Task:
    service: Service
    wanted_s: float
    node: "Node | None" = None
    running_s: float = math.inf
    serving_s: float = math.inf
    gone_s: float = math.inf


@dataclass
class Node:
    zone: int
    launched_s: float
    ready_s: float


@dataclass
class Memory:
    """What AWS remembers about a policy: the points of its alarms, and when its alarms last acted."""

    points: list[tuple[float, float]] = field(default_factory=list)  # (seen from, value)
    used: float = 0
    of: float = 0
    out_until_s: float = -math.inf  # AAS-STEP: "the scaling policy won't increase the desired capacity again unless"
    out_from: int = 0
    out_to: int = 0
    acted_s: float = -math.inf


Memories = dict[tuple[str, int], Memory]  # by service and number of its policy


@dataclass
class State:
    """What AWS remembers about a service."""

    desired: int
    minimum: int
    maximum: int
    in_until_s: float = -math.inf


@dataclass
class Trajectory:
    """What happened, a value a step."""

    desired: dict[str, list[int]]
    running: dict[str, list[int]]
    missed: dict[str, list[float]]
    nodes: list[int]


def simulate(services: Sequence[Service], pool: Pool, traffic: Mapping[str, Sequence[float]]) -> Trajectory:
    """Run services on a pool under traffic in requests a second, a value a step, from the lower bounds at rest."""
    states = {each.name: State(each.minimum, each.minimum, each.maximum) for each in services}
    memories = {(each.name, index): Memory() for each in services for index in range(len(each.policies))}
    tasks: list[Task] = []
    nodes: list[Node] = []
    reservation: list[tuple[float, float, int]] = []
    for each in services:  # At rest: everything that the lower bounds ask for runs already.
        tasks += [Task(each, 0) for _ in range(each.minimum)]
    if not pool.fargate:
        needed = math.ceil(100 * lower_bound([task.service for task in tasks], pool) / pool.target)
        nodes = [Node(index % pool.zones, -math.inf, -math.inf) for index in range(max(pool.minimum, needed))]
    place(tasks, nodes, pool, -math.inf)
    seen = Trajectory(
        {s.name: [] for s in services}, {s.name: [] for s in services}, {s.name: [] for s in services}, []
    )

    for step in range(len(traffic[services[0].name])):
        now = float(step * STEP_S)
        tasks = [task for task in tasks if task.gone_s > now]
        for each in services:
            count(each, [task for task in tasks if task.service is each], traffic[each.name][step], now, memories, seen)
        now += STEP_S
        for each in services:
            scale(each, states[each.name], [task for task in tasks if task.service is each], memories, now)
            follow(each, states[each.name].desired, tasks, nodes, pool, now)
        place(tasks, nodes, pool, now)
        if not pool.fargate:
            manage(pool, tasks, nodes, reservation, now)
        for each in services:
            seen.desired[each.name].append(states[each.name].desired)
            seen.running[each.name].append(len(running(tasks, each, now)))
        seen.nodes.append(len(nodes))
    return seen


def running(tasks: list[Task], service: Service, now: float) -> list[Task]:
    return [task for task in tasks if task.service is service and task.running_s <= now and task.gone_s == math.inf]


# The metrics


def count(service: Service, tasks: list[Task], rate: float, now: float, memories: Memories, seen: Trajectory) -> None:
    """Serve a step's requests, and add them to the periods of the metrics; a period that ends makes a point."""
    reserved = len(running(tasks, service, now))
    serving = len([task for task in tasks if task.serving_s <= now and task.gone_s == math.inf])
    served = min(rate, serving * service.rate)
    seen.missed[service.name].append(rate - served)
    for index, policy in enumerate(service.policies):
        memory = memories[service.name, index]
        if policy.metric == "cpu":  # ECS-METRIC: CPU units used, of CPU units reserved by the tasks that run
            memory.used += 100 * served / service.rate
            memory.of += reserved
        else:  # ALB-METRIC: what each target received; Sum is the one statistic, and it means the average
            memory.used += 60 * rate if serving else 0
            memory.of += serving
        end = now + STEP_S
        if end % policy.period_s == 0:
            if memory.of:
                memory.points.append((end + policy.lag_s, memory.used / memory.of))
            memory.used = memory.of = 0


def points_of(memory: Memory, policy: Tracking | Steps, now: float, number: int) -> list[float]:
    """The newest points that have arrived, oldest first; fewer than asked are no reason to act  (AAS-TT)."""
    arrived = [value for at, value in memory.points if at <= now]
    return arrived[-number:] if len(arrived) >= number else []


# Application Auto Scaling


def scale(service: Service, state: State, tasks: list[Task], memories: Memories, now: float) -> None:
    """Do what the scheduled actions and policies ask for now."""
    for action in service.schedule:
        if now - STEP_S < action.at_s <= now:
            state.minimum = state.minimum if action.minimum is None else action.minimum
            state.maximum = state.maximum if action.maximum is None else action.maximum
            state.desired = min(max(state.desired, state.minimum), state.maximum)
    outs: list[tuple[int, Memory, float]] = []
    ins: list[tuple[int, float]] = []
    steps_in: list[tuple[int, float]] = []
    keeps = False
    current = len(running(tasks, service, now))  # ECS-AAS: the count that runs, not the one desired, is the start point
    for index, policy in enumerate(service.policies):
        # CW-ALARM: looked at every minute, or every ten seconds where the period is less than a minute
        if now % (60 if policy.period_s >= 60 else 10):
            continue
        memory = memories[service.name, index]
        if isinstance(policy, Steps):
            wanted = stepped(policy, points_of(memory, policy, now, policy.points), current)
            if acts(memory, wanted is not None, now) and wanted is not None:
                if wanted >= current:
                    outs.append((larger(memory, wanted, current, now), memory, policy.cooldown_s))
                else:
                    steps_in.append((wanted, policy.cooldown_s))
            continue
        high = points_of(memory, policy, now, policy.high_points)
        low = points_of(memory, policy, now, policy.low_points)
        alarm = bool(high) and all(value > policy.target for value in high)
        if acts(memory, alarm, now):
            wanted = math.ceil(current * high[-1] / policy.target - 1e-9)
            outs.append((larger(memory, wanted, current, now), memory, policy.out_cooldown_s))
        if policy.scale_in:
            if low and all(value < policy.low_share * policy.target for value in low):
                ins.append((service.scale_in_to(current, low[-1] / policy.target), policy.in_cooldown_s))
            else:
                keeps = True  # AAS-TT: in only when all policies that may scale in are ready to
    for wanted, memory, cooldown in outs:  # AAS-TT: out when any is ready, to the largest that is asked for
        wanted = min(wanted, state.maximum)
        if wanted > state.desired:
            memory.out_from = memory.out_from if now < memory.out_until_s else state.desired
            memory.out_to, memory.out_until_s = wanted, now + cooldown
            state.desired = wanted
            state.in_until_s = -math.inf  # AAS-TT: a scale-out ends the scale-in's cooldown
    if outs or now < state.in_until_s:
        return
    for wanted, cooldown in ([] if keeps or not ins else [max(ins)]) + steps_in:
        wanted = max(wanted, state.minimum)
        if wanted < state.desired:
            state.desired, state.in_until_s = wanted, now + cooldown


def acts(memory: Memory, alarm: bool, now: float) -> bool:
    """CW-ALARM: an alarm's Auto Scaling action is invoked when it goes on, and then once a minute while it stays so."""
    if not alarm:
        memory.acted_s = -math.inf
    elif now >= memory.acted_s + 60:
        memory.acted_s = now
        return True
    return False


def larger(memory: Memory, wanted: int, current: int, now: float) -> int:
    """AAS-STEP, AAS-TT: in its cooldown what the last scale-out added is part of the next one, which has to be larger.

    The page's example: two were added, and then three are asked for; one is added.
    """
    if now >= memory.out_until_s:
        return wanted
    return wanted - min(max(0, current - memory.out_from), memory.out_to - memory.out_from)


def stepped(policy: Steps, points: list[float], current: int) -> int | None:
    """What a step policy wants of a service of `current` tasks; None when its alarm is quiet."""
    breaches = [value >= policy.threshold if policy.above else value <= policy.threshold for value in points]
    if not points or not all(breaches):
        return None
    over = points[-1] - policy.threshold
    for start, end, adjustment in policy.steps:  # AAS-STEP: from is inclusive and to exclusive; mirrored below
        lower, upper = -math.inf if start is None else start, math.inf if end is None else end
        if (lower <= over < upper) if policy.above else (lower < over <= upper):
            if policy.adjustment == "ExactCapacity":
                return int(adjustment)
            if policy.adjustment == "ChangeInCapacity":
                return current + int(adjustment)
            change = current * adjustment / 100  # AAS-STEP: rounded towards none, but never to none
            whole = math.trunc(change) if abs(change) >= 1 else int(math.copysign(1, change))
            return current + int(math.copysign(max(abs(whole), policy.least), whole))
    return None


# ECS: tasks and their places


def follow(service: Service, desired: int, tasks: list[Task], nodes: list[Node], pool: Pool, now: float) -> None:
    """Start or stop tasks until there are as many as desired."""
    alive = [task for task in tasks if task.service is service and task.gone_s == math.inf]
    tasks += [Task(service, now) for _ in range(desired - len(alive))]
    for _ in range(len(alive) - desired):
        victim = min(alive, key=lambda task: (task.running_s <= now, *stop_order(task, tasks, nodes, pool)))
        alive.remove(victim)
        victim.gone_s = now + (service.drain_s if victim.running_s <= now else 0)
        if victim.gone_s <= now:
            tasks.remove(victim)


def stop_order(task: Task, tasks: list[Task], nodes: list[Node], pool: Pool) -> tuple[int, int, int]:
    """The less, the sooner it is stopped."""
    if task.node is None:
        return (0, 0, 0)
    # ECS-PLACE: spread keeps the balance; binpack stops the task whose node has the most left after it.
    balance = -in_zone(task.service, task.node.zone, tasks) if pool.spread else 0
    staying = [each for each in tasks if each.gone_s == math.inf]
    return (balance, -left(task.node, staying, pool)[1], -nodes.index(task.node))  # of equals the newest: unpublished


def in_zone(service: Service, zone: int, tasks: list[Task]) -> int:
    return sum(1 for each in tasks if each.service is service and each.node and each.node.zone == zone)


def left(node: Node, tasks: list[Task], pool: Pool) -> tuple[int, int]:
    there = [task.service for task in tasks if task.node is node]
    return pool.cpu - sum(each.cpu for each in there), pool.memory - sum(each.memory for each in there)


def place(tasks: list[Task], nodes: list[Node], pool: Pool, now: float) -> None:
    """Give waiting tasks a place, in the order in which they were asked for."""
    for task in tasks:
        if task.running_s != math.inf:
            continue
        if not pool.fargate:
            fits = []
            for node in nodes:
                cpu, memory = left(node, tasks, pool)
                if node.ready_s <= now and cpu >= task.service.cpu and memory >= task.service.memory:
                    balance = in_zone(task.service, node.zone, tasks) if pool.spread else 0
                    fits.append((balance, memory, nodes.index(node), node))
            if not fits:
                continue
            task.node = min(fits, key=lambda fit: fit[:3])[3]
        task.running_s = now + task.service.start_s
        task.serving_s = task.running_s + task.service.check_s


# The capacity provider


def lower_bound(waiting: list[Service], pool: Pool) -> int:
    """ECS-DEEP: of the groups of tasks that are alike, the one that packed by itself needs most nodes."""
    bounds = [0]
    for service in set(waiting):
        a_node = min(pool.cpu // service.cpu, pool.memory // service.memory)
        bounds.append(math.ceil(waiting.count(service) / a_node))
    return max(bounds)


def manage(
    pool: Pool, tasks: list[Task], nodes: list[Node], reservation: list[tuple[float, float, int]], now: float
) -> None:
    """ECS-CAS: once a minute M / N in percent is published, and the group follows its target."""
    ready = [node for node in nodes if node.ready_s <= now]
    waiting = [task.service for task in tasks if task.running_s == math.inf]
    used = [node for node in ready if any(task.node is node for task in tasks)]
    number = len(ready)
    if not waiting:
        needed = len(used)
    else:  # bounded by the step sizes
        needed = number + min(max(lower_bound(waiting, pool), pool.least_step), pool.largest_step)
    if number == 0:
        value = 200.0 if needed else 100.0  # containers-roadmap#961: from none it is 200, whatever waits
    else:
        value = 100 * needed / number
    # ECS-DEEP: the policy brings N to where M / N is the target, so N is that of the moment of which the value tells.
    wanted = math.ceil(max(number, 1) * value / pool.target - 1e-9)
    if now % 60 == 0:
        reservation.append((now + pool.lag_s, value, wanted))
    arrived = [each for at, each, _ in reservation if at <= now]
    if not arrived or (now - pool.lag_s) % 60:
        return
    wanted = [each for at, _, each in reservation if at <= now][-1]
    warming = [node for node in nodes if now - node.launched_s < pool.warmup_s]  # ECS-CAS: scale-out waits for these
    if arrived[-1] > pool.target and not warming:
        for _ in range(min(wanted, pool.maximum) - len(nodes)):
            zone = min(range(pool.zones), key=lambda each: sum(node.zone == each for node in nodes))
            nodes.append(Node(zone, now, now + pool.boot_s))
    last = arrived[-pool.in_points :]
    if len(last) == pool.in_points and all(each < pool.target for each in last):
        # Half of the nodes at most in one action (announced in September 2022), and only those without a task (ECS-CAS:
        # managed termination protection).
        goal = max(wanted, math.ceil(number / 2), pool.minimum)
        for node in [node for node in reversed(ready) if node not in used][: max(0, len(nodes) - goal)]:
            nodes.remove(node)
