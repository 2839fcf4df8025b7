"""schedules: when the scheduled actions of the services fire, as a calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import click

from scaleout_cfn.cli.options import Checked, config_options, load_config
from scaleout_cfn.cli.work import Options, typed_for, view_for
from scaleout_cfn.config import Config
from scaleout_cfn.config.scaling import Schedule, schedules_of
from scaleout_cfn.config.units import Unit, units
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.errors import Next
from scaleout_cfn.schedules import Firing, Rate, clock_changes, firings, parsed, problem_of_timezone

#: What AWS's cron knows, with a year at the end for the days that are asked for.
FIRST_YEAR, LAST_YEAR = 1970, 2198
SHOWN = "%a %Y-%m-%d %H:%M"


class Entry(NamedTuple):
    """A line of the calendar, sorted by its time."""

    time: datetime
    fact: Fact


def _problem_of_day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return "a day is written as 2026-10-20: year, month and day"
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        return f"allowed are days of the years {FIRST_YEAR} to {LAST_YEAR}"
    return ""


@click.command()
@config_options
@click.option(
    "--from",
    "first",
    type=Checked(_problem_of_day),
    default="",
    metavar="DATE",
    help="The first day, as in 2026-10-20.  [default: from now on]",
)
@click.option(
    "--days", type=click.IntRange(1, 366), default=14, show_default=True, help="How many days, to the same hour."
)
@click.option(
    "--timezone",
    type=Checked(problem_of_timezone),
    default="",
    metavar="ZONE",
    help="The time zone of what is shown, as in Europe/Berlin.  [default: this machine's]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, the result last.")
def schedules(
    config_path: Path | None,
    environment: str | None,
    overrides: tuple[str, ...],
    first: str,
    days: int,
    timezone: str,
    as_json: bool,
) -> None:
    """Show when the scheduled actions of each service fire in the next days, and the bounds that they set.

    Times are of your time zone, and of the schedule's where that is another. Changes of the clocks within these days
    are shown, with the actions whose time there is not or is twice on that day. All of it is from the config: AWS is
    not asked. With --from and --timezone it is the same each time: schedules --from 2026-10-20 --timezone Europe/Berlin
    """
    config = load_config(config_path, environment, overrides)
    view = view_for(as_json=as_json, typed=typed_for(Options(config_path, environment, overrides, as_json=as_json)))
    zone = ZoneInfo(timezone) if timezone else None
    # Without a zone `astimezone` takes a time for one of this machine's.
    start = datetime.fromisoformat(first).replace(tzinfo=zone) if first else datetime.now(UTC)
    start = start.astimezone(zone)
    end = _later(start, days, zone)
    for unit in units(config):
        view.tell(_bounds(unit))
    entries = sorted(_entries(config, zone, start, end), key=lambda entry: entry.time)
    for entry in entries:
        view.tell(entry.fact)
    count = sum(entry.fact.kind == "action" for entry in entries)
    span = f"from {start:{SHOWN} %Z} to {end:{SHOWN} %Z}"
    what = f"{config.stack_name}: {count} scheduled action{'' if count == 1 else 's'} {span}".rstrip()
    some = any(schedules_of(config, unit.settings.scaling) for unit in units(config))
    how = Next(words="a schedule is an entry of scaling.schedules of a service, or [night]: see `init`")
    view.tell(Outcome("done", what, next=None if some else how))
    view.close()


def _later(start: datetime, days: int, zone: tzinfo | None) -> datetime:
    """The same hour so many days later, whatever the clocks do in between."""
    later = start.replace(tzinfo=None) + timedelta(days=days)
    return later.replace(tzinfo=zone).astimezone(zone)


def _bounds(unit: Unit) -> Fact:
    scaling = unit.settings.scaling
    schedules = schedules_of(unit.config, scaling)
    line = f"{unit.name}  {scaling.min_tasks} to {scaling.max_tasks} tasks until an action sets other bounds"
    if not schedules:
        line = f"{unit.name}  {scaling.min_tasks} to {scaling.max_tasks} tasks, no schedule"
    data = {"service": unit.name, "min_tasks": scaling.min_tasks, "max_tasks": scaling.max_tasks}
    return Fact("bounds", (line,), {**data, "schedules": len(schedules)})


def _entries(config: Config, zone: tzinfo | None, start: datetime, end: datetime) -> Iterator[Entry]:
    """Every action of every service, and every change of the clocks that they are told by."""
    clocks: dict[str, tzinfo | None] = {}
    for unit in units(config):
        for schedule in schedules_of(config, unit.settings.scaling):
            expression = parsed(schedule.at)
            if isinstance(expression, Rate):
                yield Entry(start, _unknown(unit, schedule))
                continue
            own = ZoneInfo(schedule.timezone)
            fired = firings(expression, own, start, end)
            yield from (Entry(firing.time, _action(unit, schedule, firing, zone)) for firing in fired)
            if fired and schedule.timezone != "UTC":
                clocks[schedule.timezone] = own
    clocks.setdefault(getattr(zone, "key", "this machine"), zone)
    told = set()
    for name, its in clocks.items():
        for would, shown in clock_changes(its, start, end):
            if (shown, would) in told:
                continue  # of this machine or of a zone beside it, and said already
            told.add((shown, would))
            line = f"{shown.astimezone(zone):{SHOWN} %Z}  the clocks of {name} go from {would:%H:%M} to {shown:%H:%M}"
            data = {"zone": name, "time": shown.astimezone(zone), "from": f"{would:%H:%M}", "to": f"{shown:%H:%M}"}
            yield Entry(shown, Fact("clocks", (line,), data))


def _action(unit: Unit, schedule: Schedule, firing: Firing, zone: tzinfo | None) -> Fact:
    shown = firing.time.astimezone(zone)
    words = [f"{shown:{SHOWN} %Z}", unit.name, f"{schedule.min_tasks} to {schedule.max_tasks} tasks", schedule.name]
    if firing.clocks or firing.local != shown.replace(tzinfo=None):
        day = "" if firing.local.date() == shown.date() else "%a "
        words.append(f"{firing.local:{day}%H:%M} in {schedule.timezone}")
    doubt = {
        "skipped": "which the clocks leave out on that day: AWS does not say whether it fires",
        "repeated": "which the clocks show twice on that day: AWS does not say whether it fires twice",
    }.get(firing.clocks, "")
    line = "  ".join(words) + (f", {doubt}" if doubt else "")
    data = {
        "service": unit.name,
        "name": schedule.name,
        "time": shown,
        "min_tasks": schedule.min_tasks,
        "max_tasks": schedule.max_tasks,
        "schedule": schedule.at,
        "timezone": schedule.timezone,
        "local": firing.local,
        "clocks": firing.clocks,
    }
    return Fact("action", (line,), data, "warning" if doubt else "info")


def _unknown(unit: Unit, schedule: Schedule) -> Fact:
    """An action that counts from when it was made, which no config knows."""
    bounds = f"{schedule.min_tasks} to {schedule.max_tasks} tasks"
    line = f"{schedule.at} from when AWS has it, at times that no config tells  {unit.name}  {bounds}  {schedule.name}"
    data = {"service": unit.name, "name": schedule.name, "schedule": schedule.at}
    return Fact("rate", (line,), {**data, "min_tasks": schedule.min_tasks, "max_tasks": schedule.max_tasks})
