"""When scheduled actions fire within a traffic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scaleout_cfn.config.scaling import Schedule
from scaleout_cfn.errors import UsageError
from scaleout_cfn.schedules import Rate, parsed, problem_of_timezone
from scaleout_cfn.schedules import firings as fired

__all__ = ["KEEP", "firings"]

KEEP = -1
"""A bound of a schedule that leaves it as it is. A config's schedule has both; templates of others may have one."""


def firings(
    schedules: Sequence[Schedule], length_s: int, start: datetime | None, bounds: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Second, least and most tasks of every firing within a traffic that begins at `start` (with a zone; a Monday
    where the traffic has no date), with `bounds` before. Raises UsageError on a schedule that AWS would refuse."""
    start = start or datetime(2026, 1, 5, tzinfo=ZoneInfo("UTC"))
    fired_at = sorted(
        (second, schedule.min_tasks, schedule.max_tasks)
        for schedule in schedules
        for second in _seconds(schedule, length_s, start)
    )
    least, most = bounds
    found = []
    for second, low, high in fired_at:
        least, most = least if low == KEEP else low, most if high == KEEP else high
        found.append((second, least, most))
    return found


def _seconds(schedule: Schedule, length_s: int, start: datetime) -> list[int]:
    if problem := problem_of_timezone(schedule.timezone):
        raise UsageError(f"schedule {schedule.name}: timezone {schedule.timezone}: {problem}")
    zone = ZoneInfo(schedule.timezone)
    try:
        expression = parsed(schedule.at)
    except ValueError as error:
        raise UsageError(f"schedule {schedule.name}: {schedule.at}: {error}") from None
    if isinstance(expression, Rate):
        return list(range(expression.seconds, length_s, expression.seconds))
    end = start + timedelta(seconds=length_s)
    return [
        int((firing.time - start).total_seconds())
        for firing in fired(expression, zone, start, end)
        if firing.clocks != "skipped"
    ]
