"""When scheduled actions fire: at(...), rate(...) and cron(...) of Application Auto Scaling.

https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scaleout_cfn.errors import UsageError
from scaleout_cfn.scaling import Schedule

__all__ = ["firings"]

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def firings(schedules: Sequence[Schedule], length_s: int, start: datetime | None) -> list[tuple[int, int, int]]:
    """Second, least and most tasks of every firing within a traffic that begins at `start` (with a zone; a Monday
    where the traffic has no date)."""
    start = start or datetime(2026, 1, 5, tzinfo=ZoneInfo("UTC"))
    found = []
    for schedule in schedules:
        for second in _seconds(schedule, length_s, start):
            found.append((second, schedule.min_tasks, schedule.max_tasks))
    return sorted(found)


def _seconds(schedule: Schedule, length_s: int, start: datetime) -> list[int]:
    kind, _, inner = schedule.at.rstrip(")").partition("(")
    zone = ZoneInfo(schedule.timezone)
    if kind == "at":
        second = int((datetime.fromisoformat(inner).replace(tzinfo=zone) - start).total_seconds())
        return [second] if 0 <= second < length_s else []
    if kind == "rate":
        number, unit = inner.split()
        every = int(number) * _UNITS[unit.removesuffix("s")]
        return list(range(every, length_s, every))
    fields = inner.split()
    if len(fields) != 6:
        raise UsageError(f"schedule {schedule.name}: {schedule.at} has {len(fields)} fields; cron has six")
    minute, hour, day, month, weekday, year = (
        _matches(text, *bounds)
        for text, bounds in zip(
            fields,
            ((0, 59, None), (0, 23, None), (1, 31, None), (1, 12, _MONTHS), (1, 7, _DAYS), (1970, 2199, None)),
            strict=True,
        )
    )
    found = []
    first = -start.second % 60
    for second in range(first, length_s, 60):
        local = (start + timedelta(seconds=second)).astimezone(zone)
        if (
            local.minute in minute
            and local.hour in hour
            and local.day in day
            and local.month in month
            and local.isoweekday() % 7 + 1 in weekday
            and local.year in year
        ):
            found.append(second)
    return found


def _matches(text: str, low: int, high: int, names: Sequence[str] | None) -> frozenset[int]:
    """The numbers that one cron field means."""
    allowed: set[int] = set()
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        match = re.fullmatch(r"(\*|\?|\w+)(?:-(\w+))?", span)
        if match is None or (step and not step.isdigit()):
            raise UsageError(f"cron field {text}: this form is not simulated; give numbers, names, lists and ranges")
        if match[1] in "*?":
            first, last = low, high
        else:
            first = _number(match[1], names, text)
            last = _number(match[2], names, text) if match[2] else (high if step else first)
        allowed.update(range(first, last + 1, int(step or 1)))
    return frozenset(allowed)


def _number(text: str, names: Sequence[str] | None, field: str) -> int:
    if names and text in names:
        return names.index(text) + 1
    if not text.isdigit():
        raise UsageError(f"cron field {field}: {text} is not simulated; give numbers, names, lists and ranges")
    return int(text)
