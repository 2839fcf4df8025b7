"""Scaling policies as frozen data: declared by the templates, obeyed by the simulator.

Two loops work together. The service's policies move the number of tasks; the capacity provider moves the number
of nodes, so that there is room for the tasks that wait and none stands empty. At night nothing may run.

Sources: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from scaleout_cfn.config.pulse import AddressPulse, LogPulse, NginxPulse
from scaleout_cfn.config.tunables import Conflict, Section, tunable

if TYPE_CHECKING:
    from scaleout_cfn.config import Config


def _problem_of_schedule(text: str) -> str:
    from scaleout_cfn.schedules import problem_of_schedule  # here, for most sets have no schedule

    return problem_of_schedule(text)


def _problem_of_timezone(text: str) -> str:
    from scaleout_cfn.schedules import problem_of_timezone

    return problem_of_timezone(text)


class TargetTracking(Section, frozen=True, kw_only=True):
    """Keeps a metric of the service at a target by changing the number of tasks."""

    enabled: Annotated[bool, tunable("Whether this policy exists.")] = False
    target: Annotated[
        float,
        tunable(
            "The value to keep: percent for CPU and memory, requests a minute and task for requests.", gt=0, le=1e6
        ),
    ] = 60
    scale_out_cooldown_s: Annotated[
        int, tunable("How long a growth counts before the next one may add to it.", unit="seconds", ge=0, le=3600)
    ] = 60
    scale_in_cooldown_s: Annotated[
        int, tunable("How long to wait after one shrinking before the next.", unit="seconds", ge=0, le=3600)
    ] = 300
    scale_in: Annotated[bool, tunable("Whether this policy may also remove tasks.")] = True


class StepAdjustment(Section, frozen=True, kw_only=True):
    """One step: from this distance to the threshold on, adjust the number of tasks."""

    distance: Annotated[
        float, tunable("Where the step begins, measured from the threshold towards the breach.", ge=0)
    ] = 0
    adjustment: Annotated[
        int,
        tunable(
            "Tasks to add, or percent of the tasks, or fewer of them when negative; with ExactCapacity the number of"
            " tasks.",
            ge=-5000,
            le=5000,
        ),
    ]


class StepScaling(Section, frozen=True, kw_only=True):
    """Changes the number of tasks by steps while an alarm is on."""

    name: Annotated[
        str,
        tunable(
            "A name, part of logical ids.",
            pattern="^[A-Z][A-Za-z0-9]{0,31}$",
            allowed="a capital letter and up to 31 letters and digits",
        ),
    ]
    metric: Annotated[
        Literal["cpu", "memory", "pulse"],
        tunable("What is watched: the service's average utilisation, or its pulse, which scaling.pulse makes."),
    ] = "cpu"
    when: Annotated[Literal["above", "below"], tunable("The side of the threshold that raises the alarm.")] = "above"
    threshold: Annotated[
        float,
        tunable(
            "The threshold of the alarm: percent for CPU and memory, requests a second and task for the pulse.",
            gt=0,
            le=1e6,
        ),
    ]
    period_s: Annotated[
        Literal[10, 30, 60],
        tunable(
            "The alarm's period; below 60 it is looked at every 10 s. 30 goes with the pulse or"
            " scaling.high_resolution, 10 with the pulse."
        ),
    ] = 60
    periods: Annotated[int, tunable("Periods in a row that must breach.", ge=1, le=60)] = 1
    cooldown_s: Annotated[int, tunable("How long to wait after a step.", unit="seconds", ge=0, le=3600)] = 60
    adjustment_type: Annotated[
        Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"],
        tunable("What the adjustments of the steps mean: tasks more, percent more, or tasks in all."),
    ] = "ChangeInCapacity"
    min_adjustment_magnitude: Annotated[
        int, tunable("Fewest tasks that a percentage adds or removes.", unit="tasks", ge=1, le=1000)
    ] = 1
    steps: Annotated[tuple[StepAdjustment, ...], tunable("The steps, nearest first.", min_length=1, max_length=20)]


class Schedule(Section, frozen=True, kw_only=True):
    """Sets other bounds to the number of tasks at a time."""

    name: Annotated[
        str,
        tunable(
            "A name, unique among the schedules.",
            pattern="^[A-Za-z0-9_.-]{1,64}$",
            allowed="1 to 64 letters, digits and . _ -",
        ),
    ]
    at: Annotated[
        str,
        tunable(
            "cron(minute hour day month weekday year), at(yyyy-mm-ddThh:mm:ss) or rate(n unit).",
            pattern=r"^(cron\([^()]+\)|rate\([1-9][0-9]* (minute|minutes|hour|hours|day|days)\)|at\([0-9T:-]+\))$",
            problem_of=_problem_of_schedule,
        ),
    ]
    timezone: Annotated[
        str,
        tunable("A name of the tz database.", pattern="^[A-Za-z0-9_+/-]{1,64}$", problem_of=_problem_of_timezone),
    ] = "UTC"
    min_tasks: Annotated[int, tunable("Least tasks from then on.", unit="tasks", ge=0, le=5000)]
    max_tasks: Annotated[int, tunable("Most tasks from then on.", unit="tasks", ge=0, le=5000)]


class Predictive(Section, frozen=True, kw_only=True):
    """Forecasts the load of each hour from that of the last two weeks, and may add tasks for it beforehand.

    https://docs.aws.amazon.com/autoscaling/application/userguide/aas-predictive-scaling-how-it-works.html
    """

    mode: Annotated[
        Literal["forecast-only", "forecast-and-scale"],
        tunable("Whether the forecast is only made, to be looked at, or tasks are added by it; it takes none away."),
    ] = "forecast-only"
    metric: Annotated[
        Literal["cpu", "memory", "requests"],
        tunable("What is forecast as a sum of all tasks, and kept at a target on each: CPU, memory, or requests."),
    ] = "cpu"
    target: Annotated[
        float,
        tunable(
            "The value of a task that the forecast is met with: percent for CPU and memory, requests a minute and task"
            " for requests; 0 for the target of the section of the metric's name.",
            ge=0,
            le=1e6,
        ),
    ] = 0
    buffer_s: Annotated[
        int, tunable("How long before an hour its tasks are started.", unit="seconds", ge=0, le=3600)
    ] = 300
    above_max_percent: Annotated[
        int,
        tunable(
            "How far beyond the forecast the most tasks may be raised where the forecast comes near them; -1 to keep"
            " them.",
            unit="percent",
            ge=-1,
            le=100,
        ),
    ] = -1


class NodeScaling(Section, frozen=True, kw_only=True):
    """How the capacity provider keeps the number of nodes in step with the tasks."""

    target_capacity_percent: Annotated[
        int,
        tunable(
            "Share of the nodes to keep in use; below 100 the rest stands ready for growth.",
            unit="percent",
            ge=1,
            le=100,
        ),
    ] = 100
    min_step: Annotated[int, tunable("Fewest nodes to add at once.", unit="nodes", ge=1, le=10000)] = 2
    max_step: Annotated[int, tunable("Most nodes to add at once.", unit="nodes", ge=1, le=10000)] = 10000
    warmup_s: Annotated[
        int, tunable("How long a new node may take until its metrics count.", unit="seconds", ge=0, le=10000)
    ] = 60


class Scaling(Section, frozen=True, kw_only=True):
    """How many tasks of a service run, and what moves them."""

    min_tasks: Annotated[int, tunable("Fewest tasks that run.", unit="tasks", ge=0, le=5000)] = 2
    max_tasks: Annotated[int, tunable("Most tasks that run.", unit="tasks", ge=1, le=5000)] = 20
    high_resolution: Annotated[
        bool,
        tunable(
            "CPU and memory every 20 s instead of every 60 s, where something scales by them, at CloudWatch's price for"
            " custom metrics; not of a worker with a queue, whose tasks are counted by them."
        ),
    ] = True
    cpu: Annotated[
        TargetTracking,
        tunable(
            "Target tracking on average CPU use of what the tasks reserve; of a worker with a queue only where"
            " something of it is changed."
        ),
    ] = TargetTracking(enabled=True, target=40, scale_out_cooldown_s=0, scale_in_cooldown_s=120)
    memory: Annotated[TargetTracking, tunable("Target tracking on average memory use of what the tasks reserve.")] = (
        TargetTracking(target=75)
    )
    requests: Annotated[TargetTracking, tunable("Target tracking on requests a minute and task.")] = TargetTracking(
        target=1000
    )
    predictive: Annotated[Predictive | None, tunable("Predictive scaling; by default none.")] = None
    pulse: Annotated[
        LogPulse | NginxPulse | AddressPulse | None,
        tunable("Scaling by requests that the tasks count themselves, every 10 s."),
    ] = None
    step_policies: Annotated[tuple[StepScaling, ...], tunable("Step scaling policies.", max_length=10)] = ()
    schedules: Annotated[tuple[Schedule, ...], tunable("Bounds that change at a time.", max_length=50)] = ()


def pulse_tracking(pulse: LogPulse | NginxPulse | AddressPulse) -> TargetTracking:
    """What keeps the rate, by the minute: Application Auto Scaling has no period for a metric of one's own.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_TargetTrackingMetricStat.html
    """
    return TargetTracking(
        enabled=True,
        target=pulse.target_rps,
        scale_out_cooldown_s=pulse.scale_out_cooldown_s,
        scale_in_cooldown_s=pulse.scale_in_cooldown_s,
    )


#: Where the steps of a pulse begin, as multiples of its target, and where the last one ends. The first ones are small:
#: what goes by chance above the target would double the tasks otherwise. docs/scaling.md has what was tried.
_STEPS = (1, 1.25, 1.5, 2, 4, 8, 16, 32)


def pulse_steps(pulse: LogPulse | NginxPulse | AddressPulse) -> tuple[StepScaling, ...]:
    """What adds tasks within seconds of a crowd: as many as the rate at the end of a step asks for.

    An alarm acts when it goes on and then once a minute, so that one stands at the target and one at twice as much,
    for crowds that are still growing when the first one goes on.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
    """
    return tuple(
        StepScaling(
            name=name,
            metric="pulse",
            threshold=round(pulse.target_rps * times, 6),
            period_s=10,
            adjustment_type="PercentChangeInCapacity",
            steps=tuple(
                StepAdjustment(distance=round(pulse.target_rps * (rate - times), 6), adjustment=round(100 * (end - 1)))
                for rate, end in pairwise(_STEPS)
                if rate >= times
            ),
        )
        for name, times in (("Pulse", 1), ("PulseTwice", 2))
    )


TIME = {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "allowed": "a time of the day, as in 07:00 or 20:30"}
Day = Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]


class Night(Section, frozen=True, kw_only=True):
    """Each evening all services go to no task and pools need no node; on the days that are named they start again."""

    stop: Annotated[str, tunable("When it stops, each day.", **TIME)] = "20:00"
    start: Annotated[str, tunable("When it starts again.", **TIME)] = "07:00"
    days: Annotated[tuple[Day, ...], tunable("The days on which it starts.", min_length=1, max_length=7)] = (
        "MON",
        "TUE",
        "WED",
        "THU",
        "FRI",
    )
    timezone: Annotated[
        str,
        tunable("A name of the tz database.", pattern="^[A-Za-z0-9_+/-]{1,50}$", problem_of=_problem_of_timezone),
    ] = "UTC"


def schedules_of(config: "Config", scaling: Scaling) -> Sequence[Schedule]:
    """The schedules of a service: its own, or those of the night. Each evening, for somebody may have started it."""
    night = config.night
    if night is None:
        return scaling.schedules
    days = ",".join(night.days)
    return (
        Schedule(
            name="night", at=f"cron({fields(night.stop)} * * ? *)", timezone=night.timezone, min_tasks=0, max_tasks=0
        ),
        Schedule(
            name="morning",
            at=f"cron({fields(night.start)} ? * {days} *)",
            timezone=night.timezone,
            min_tasks=scaling.min_tasks,
            max_tasks=scaling.max_tasks,
        ),
    )


def fields(time: str) -> str:
    """Minute and hour of a time of the day, as cron has them."""
    hour, minute = time.split(":")
    return f"{int(minute)} {int(hour)}"


def night_conflicts(config: "Config") -> Iterator[Conflict]:
    night = config.night
    if night is None:
        return
    if night.stop == night.start:
        yield Conflict("night.start", f"got {night.start}, which is when it stops; give another time")
    if len({*night.days}) < len(night.days):
        yield Conflict("night.days", "a day is named twice; name each once")
    for name, service in sorted(config.services.items()):
        if service.scaling.schedules:
            yield Conflict(
                f"services.{name}.scaling.schedules",
                "set bounds of their own, which would start tasks at night; leave out these or [night]",
            )
