"""When nothing runs: an environment that stops in the evening and starts in the morning."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from scaleout_cfn.config.scaling import Scaling, Schedule, _problem_of_timezone
from scaleout_cfn.config.tunables import Conflict, Section, tunable

if TYPE_CHECKING:
    from scaleout_cfn.config import Config

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
