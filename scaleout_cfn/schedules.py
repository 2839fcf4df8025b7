"""AWS's words for time: cron(...), rate(...) and at(...) expressions, Unix cron, and names of time zones.

`problem_of_*` tell in words why AWS would refuse a text, and are empty where it would not. `parsed` gives what an
expression means. What no page of AWS rules out passes.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html (cron, and rate of rules)
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html (EventBridge Scheduler)
https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html (Unix cron)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

Taker: TypeAlias = Literal["application-autoscaling", "events", "scheduler"]
"""Who takes an expression: a scalable target's scheduled action, a rule of EventBridge, EventBridge Scheduler."""

EXAMPLES: Final[Mapping[str, str]] = {
    "cron": "cron(0 8 ? * MON-FRI *)",
    "rate": "rate(5 minutes)",
    "at": "at(2026-12-24T18:00:00)",
}
SECONDS: Final[Mapping[str, int]] = {"minute": 60, "hour": 3600, "day": 86400}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Field(NamedTuple):
    """A field of a cron expression: its numbers, names for them from the lowest on, the signs beside numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    signs: str = ", - * /"

    @property
    def allowed(self) -> str:
        """What the field may hold, in words."""
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{names}, with the signs {self.signs}"


AWS_FIELDS = (
    Field("minutes", 0, 59),
    Field("hours", 0, 23),
    Field("day of month", 1, 31, (), ", - * ? / L W"),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 1, 7, WEEKDAYS, ", - * ? L #"),
    Field("year", 1970, 2199),
)
#: `man 5 crontab`, to which the page of EC2 Auto Scaling points: Sunday is 0 and 7.
UNIX_FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 7, WEEKDAYS),
)


class Rate(NamedTuple):
    """Again and again, from the moment of its making."""

    seconds: int


class At(NamedTuple):
    """Once, in the time zone of the schedule."""

    time: datetime


class MonthDay(NamedTuple):
    """A day that depends on the month: from 0 down counted from its last one; or the working day next to it."""

    day: int
    is_working_day: bool


class NthWeekday(NamedTuple):
    """A day of the week, 1 for Sunday, and which of the month; 0 is its last one."""

    weekday: int
    nth: int


class Cron(NamedTuple):
    """At every minute that fits all six fields."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: tuple[frozenset[int], tuple[MonthDay, ...]]
    months: frozenset[int]
    weekdays: tuple[frozenset[int], tuple[NthWeekday, ...]]
    years: frozenset[int]

    def fires(self, local: datetime) -> bool:
        """Whether it fires in the minute of a local time."""
        return (
            local.minute in self.minutes
            and local.hour in self.hours
            and local.month in self.months
            and local.year in self.years
            and self._is_day(local)
        )

    def _is_day(self, local: datetime) -> bool:
        from calendar import monthrange

        last = monthrange(local.year, local.month)[1]
        (days, moving_days), (weekdays, nth_weekdays) = self.days, self.weekdays
        weekday = local.isoweekday() % 7 + 1
        week = (local.day - 1) // 7 + 1
        return (local.day in days or any(local.day == _day_of(day, local, last) for day in moving_days)) and (
            weekday in weekdays
            or any(
                weekday == of_week and (local.day + 7 > last if nth == 0 else week == nth)
                for of_week, nth in nth_weekdays
            )
        )


def _day_of(moving: MonthDay, local: datetime, last: int) -> int:
    day = min(moving.day, last) if moving.day > 0 else last + moving.day
    if not moving.is_working_day:
        return day
    weekday = local.replace(day=day).isoweekday()
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 7:
        return day + 1 if day < last else day - 2
    return day


Clocks: TypeAlias = Literal["", "skipped", "repeated"]


class Firing(NamedTuple):
    """A time at which an expression fires: in UTC, and on the clocks of its zone.

    `clocks`: on a day on which they change, a time that they leave out, or one that they show twice. The page of
    Application Auto Scaling says that an action follows them, and not what it does at either.
    https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-policy-overview.html
    """

    time: datetime
    local: datetime
    clocks: Clocks


def firings(expression: Cron | At, zone: tzinfo, start: datetime, end: datetime) -> list[Firing]:
    """When an expression fires from `start` on and before `end`, in order.

    A time that the clocks leave out is given where they would show it had they not been changed.
    """
    from datetime import UTC

    moments = []
    for local in _times(expression, start.astimezone(zone), end.astimezone(zone)):
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        clocks: Clocks = "" if first == second else "repeated" if first < second else "skipped"
        moments += [Firing(time, local, clocks) for time in ([first, second] if clocks == "repeated" else [first])]
    return sorted(moment for moment in moments if start <= moment.time < end)


def clock_changes(zone: tzinfo | None, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Each change of a zone's clocks after `start` and before `end`: what they would show (no zone) and what they
    show. None is the zone of this machine."""
    from datetime import UTC, timedelta

    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    changes = []
    before = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while before < end:
        after = before + hour
        was = before.astimezone(zone).utcoffset()
        if after.astimezone(zone).utcoffset() != was:
            while before.astimezone(zone).utcoffset() == was:
                before += minute
            if start < before < end:
                would = (before - minute).astimezone(zone).replace(tzinfo=None) + minute
                changes.append((would, before.astimezone(zone)))
        before = after
    return changes


def _times(expression: Cron | At, start: datetime, end: datetime) -> Iterator[datetime]:
    """The local times, without a zone, at which an expression fires, on the days around a span of time."""
    from datetime import datetime, timedelta

    if isinstance(expression, At):
        yield expression.time
        return
    for day in range((end.date() - start.date()).days + 1):
        date = start.date() + timedelta(days=day)
        for hour in sorted(expression.hours):
            for minute in sorted(expression.minutes):
                local = datetime(date.year, date.month, date.day, hour, minute)
                if expression.fires(local):
                    yield local


def problem_of_schedule(text: str, taker: Taker = "application-autoscaling") -> str:
    """Why a service would refuse a schedule expression, what is allowed, and a right one; empty when it is right."""
    try:
        parsed(text, taker)
    except ValueError as error:
        return str(error)
    return ""


def parsed(text: str, taker: Taker = "application-autoscaling") -> Cron | Rate | At:
    """What a schedule expression means. Raises ValueError, in words, where the service would refuse it."""
    # A rule knows no time of once: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    kinds = [kind for kind in EXAMPLES if kind != "at" or taker != "events"]
    form = re.fullmatch(r"(\w*)\((.*)\)", text, re.DOTALL)
    if form is None or form[1] not in EXAMPLES:
        if right := _as_aws_cron(text.strip("()").split()):
            raise ValueError(f"a cron expression stands in cron(...); write {right}")
        raise ValueError(f"allowed are {' or '.join(f'{kind}(...)' for kind in kinds)}, as in {EXAMPLES['cron']}")
    kind, inner = form.groups()
    if kind not in kinds:
        raise ValueError(
            "a rule of EventBridge takes cron(...) or rate(...); what happens once is a schedule of EventBridge"
            " Scheduler"
        )
    if kind == "rate":
        return _rate(inner, has_to_agree=taker != "scheduler")
    return _at(inner) if kind == "at" else _cron(inner)


def problem_of_recurrence(text: str) -> str:
    """Why an Auto Scaling group would refuse the Recurrence of a scheduled action: Unix cron, five fields."""
    parts = text.upper().split()
    example = 'as in "0 8 * * 1-5"'
    if "(" in text:
        return f"an Auto Scaling group takes Unix cron, five fields with nothing around them, {example}"
    if len(parts) != len(UNIX_FIELDS):
        names = ", ".join(field.name for field in UNIX_FIELDS)
        return f"{_count(parts)}, where Unix cron has five: {names}; {example}"
    _, wrong = _read_fields(UNIX_FIELDS, [_unix_numbers] * len(parts), parts)
    return "; ".join([*wrong, example]) if wrong else ""


def problem_of_timezone(name: str) -> str:
    """Why a name is none of a time zone, with the nearest; empty when the tz database has it."""
    if name == "UTC":
        return ""  # the default, without a look at the disk
    from zoneinfo import available_timezones

    # A machine's own zone is a file among the others, and Factory stands for none.
    zones = available_timezones() - {"localtime", "Factory"}
    if name in zones:
        return ""
    import difflib

    wanted = "_".join(name.casefold().split())
    folded = {zone.casefold(): zone for zone in sorted(zones)}
    near = [zone for fold, zone in folded.items() if wanted in (fold, fold.rpartition("/")[2])]
    near = near or [folded[fold] for fold in difflib.get_close_matches(wanted, folded, n=1, cutoff=0.75)]
    hint = f"did you mean {near[0]}?" if near else "write one such as Europe/Berlin, America/New_York or UTC"
    return f"the tz database has no such time zone; {hint}"


def _rate(inner: str, *, has_to_agree: bool) -> Rate:
    """1 goes with a singular unit and all else with a plural, for a rule. EventBridge Scheduler takes both:
    https://github.com/hashicorp/terraform-provider-aws/issues/31471"""
    example = f"as in {EXAMPLES['rate']} or rate(1 hour)"
    value, _, unit = " ".join(inner.split()).partition(" ")
    singular = unit.removesuffix("s")
    if not re.fullmatch("[1-9][0-9]*", value, re.ASCII):
        raise ValueError(f"the value is {value or 'missing'}; allowed is a whole number from 1 on, {example}")
    if unit not in (*SECONDS, *(f"{known}s" for known in SECONDS)):
        allowed = ", ".join(f"{known}, {known}s" for known in SECONDS)
        raise ValueError(f"the unit is {unit or 'missing'}; allowed are {allowed}, {example}")
    right = singular if value == "1" else f"{singular}s"
    if has_to_agree and unit != right:
        raise ValueError(f"1 goes with a singular unit, all else with a plural; write rate({value} {right})")
    return Rate(int(value) * SECONDS[singular])


def _at(inner: str) -> At:
    from datetime import datetime

    example = f"as in {EXAMPLES['at']}"
    form = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(.*)", inner, re.ASCII | re.DOTALL)
    if form is None or form[2]:
        zone = "; the time zone is a field of its own" if form and re.match(r"Z|[+-]\d", form[2]) else ""
        raise ValueError(f"{inner or 'nothing'} is not of the form yyyy-mm-ddThh:mm:ss, {example}{zone}")
    try:
        if form[1][11:13] == "24":  # from Python 3.14 on that is midnight
            raise ValueError("hour must be in 0..23")
        return At(datetime.fromisoformat(inner))
    except ValueError as error:
        raise ValueError(f"{inner} is no date and time: {error}; {example}") from None


def _cron(inner: str) -> Cron:
    parts = inner.upper().split()
    if len(parts) != len(AWS_FIELDS):
        names = ", ".join(field.name for field in AWS_FIELDS)
        unix = " as Unix cron has," if len(parts) == 5 else ""
        right = _as_aws_cron(parts) or EXAMPLES["cron"]
        raise ValueError(f"{_count(parts)},{unix} where AWS's cron has six: {names}; write {right}")
    values, wrong = _read_fields(AWS_FIELDS, [_numbers, _numbers, _days, _numbers, _weekdays, _numbers], parts)
    if (parts[2] == "?") == (parts[4] == "?"):
        how = "both are" if parts[2] == "?" else "neither is"
        right = _as_aws_cron(parts) or f"{EXAMPLES['cron']} or cron(0 8 1 * ? *)"
        wrong.append(f"one of day of month and day of week has to be ?, and {how}; write {right}")
    elif wrong:
        wrong.append(f"as in {EXAMPLES['cron']}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return Cron(*values)


def _count(parts: list[str]) -> str:
    return f"{len(parts)} field{'' if len(parts) == 1 else 's'}"


def _as_aws_cron(parts: list[str]) -> str:
    """What five or six fields are likely to mean, as an expression that AWS takes; empty when nobody can tell."""
    if len(parts) == 5:
        # Unix counts days of the week from 0, AWS from 1: their names are the same.
        weekday = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda number: WEEKDAYS[int(number[0]) % 7], parts[4])
        parts = [*parts[:4], weekday, "*"]
    if len(parts) != 6:
        return ""
    day, weekday = parts[2], parts[4]
    if weekday in ("*", "?"):
        day, weekday = "*" if day == "?" else day, "?"
    elif day == "*":
        day = "?"
    if (day == "?") == (weekday == "?"):
        return ""
    right = f"cron({' '.join([*parts[:2], day, parts[3], weekday, parts[5]])})"
    return "" if problem_of_schedule(right) else right


def _read_fields(
    fields: tuple[Field, ...], readers: list[Callable[[str, Field], Any]], parts: list[str]
) -> tuple[list[Any], list[str]]:
    """The value of each field that has one, and every reason why another has none."""
    values, wrong = [], []
    for field, read, part in zip(fields, readers, parts, strict=True):
        try:
            values.append(read(part, field))
        except ValueError as error:
            wrong.append(str(error))
    return values, wrong


def _numbers(text: str, field: Field) -> frozenset[int]:
    """The numbers that a field of AWS's cron means."""
    if text == "?" and "?" in field.signs:
        text = "*"
    return frozenset().union(*(_span(part, field, wraps=field.name != "year") for part in text.split(",")))


def _unix_numbers(text: str, field: Field) -> frozenset[int]:
    return frozenset().union(*(_span(part, field, wraps=False) for part in text.split(",")))


def _days(text: str, field: Field) -> tuple[frozenset[int], tuple[MonthDay, ...]]:
    """The days of the month. `L-3` and `LW` are of Quartz, whose dialect this is, and on no page of AWS: they pass."""
    moving, rest = [], []
    for part in text.split(","):
        if mark := re.fullmatch(r"L(?:-(\d+))?", part, re.ASCII):
            back = int(mark[1] or 0)
            if back > 30:
                raise _refused(part, field)
            moving.append(MonthDay(-back, is_working_day=False))
        elif mark := re.fullmatch(r"(L|\d+)W", part, re.ASCII):
            moving.append(MonthDay(0 if mark[1] == "L" else _number(mark[1], part, field), is_working_day=True))
        else:
            rest.append(part)
    return _numbers(",".join(rest), field) if rest else frozenset(), tuple(moving)


def _weekdays(text: str, field: Field) -> tuple[frozenset[int], tuple[NthWeekday, ...]]:
    """The days of the week. L by itself is the last day of a week, 6L the last Friday of a month."""
    moving, rest = [], []
    for part in text.split(","):
        if part == "L":
            rest.append("7")
        elif mark := re.fullmatch(r"(\w+)L", part, re.ASCII):
            moving.append(NthWeekday(_number(mark[1], part, field), 0))
        elif "#" in part:
            weekday, _, nth = part.partition("#")
            if nth not in ("1", "2", "3", "4", "5"):
                raise ValueError(f"{field.name} {part} (allowed behind #: 1 to 5)")
            if part != text:
                raise ValueError(f"{field.name} {text} (a day with # has to stand alone)")
            moving.append(NthWeekday(_number(weekday, part, field), int(nth)))
        else:
            rest.append(part)
    return _numbers(",".join(rest), field) if rest else frozenset(), tuple(moving)


def _span(part: str, field: Field, *, wraps: bool) -> frozenset[int]:
    """The numbers of one entry of a list: one, a range, or every so many of them. 20-2 goes on at the lowest."""
    span, slash, step = part.partition("/")
    first_text, dash, last_text = span.partition("-")
    if slash and "/" not in field.signs:
        raise _refused(part, field)
    if slash and not (re.fullmatch(r"\d+", step, re.ASCII) and 1 <= int(step) <= field.high - field.low):
        # A step beyond the range is refused: https://github.com/aws/aws-sdk-js/issues/4212
        raise ValueError(f"{field.name} {part} (allowed behind /: 1 to {field.high - field.low})")
    if span == "*":
        first, last = field.low, field.high
    else:
        first = _number(first_text, part, field)
        last = _number(last_text, part, field) if dash else (field.high if slash else first)
    if first > last and not wraps:
        raise ValueError(f"{field.name} {part} (a range begins with the lower end)")
    around = 0 if first <= last else field.high - field.low + 1
    numbers = range(first, last + around + 1, int(step) if slash else 1)
    return frozenset(field.low + (number - field.low) % (field.high - field.low + 1) for number in numbers)


def _number(text: str, part: str, field: Field) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not field.low <= int(text) <= field.high:
        raise _refused(part, field)
    return int(text)


def _refused(part: str, field: Field) -> ValueError:
    return ValueError(f"{field.name} {part or 'with an empty entry'} (allowed: {field.allowed})")
