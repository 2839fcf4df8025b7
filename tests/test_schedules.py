"""When scheduled actions fire, across changes of the clocks, and the calendar of them that `schedules` shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_config_schedules import aws_fields, cron

from scaleout_cfn.cli import main
from scaleout_cfn.schedules import Cron, clock_changes, firings, parsed

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
MINUTE = timedelta(minutes=1)


@given(aws_fields(), st.sampled_from(ZONES), st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)))
def test_it_fires_at_every_minute_whose_time_on_the_clocks_fits(fields: list[str], name: str, begin: datetime) -> None:
    """Against a walk over all minutes of two days: it fires at none that the clocks leave out."""
    expression, zone = parsed(cron(fields)), ZoneInfo(name)
    assert isinstance(expression, Cron)
    start = begin.replace(second=0, microsecond=0, tzinfo=UTC)
    walked = [start + MINUTE * number for number in range(2 * 1440)]
    fit = [time for time in walked if expression.fires(time.astimezone(zone).replace(tzinfo=None))]
    fired = firings(expression, zone, start, start + timedelta(days=2))
    assert [firing.time for firing in fired if firing.clocks != "skipped"] == fit
    assert fired == sorted(fired)


def test_a_time_that_the_clocks_leave_out_or_show_twice_is_told_as_such() -> None:
    each_night = parsed("cron(30 2 * * ? *)")
    assert isinstance(each_night, Cron)
    spring, autumn = (datetime(2026, month, day, tzinfo=BERLIN) for month, day in ((3, 28), (10, 24)))
    days = timedelta(days=3)
    assert [firing.clocks for firing in firings(each_night, BERLIN, spring, spring + days)] == ["", "skipped", ""]
    twice = ["", "repeated", "repeated", ""]
    assert [firing.clocks for firing in firings(each_night, BERLIN, autumn, autumn + days)] == twice


def test_each_change_of_the_clocks_is_told_by_what_they_show_before_and_after() -> None:
    year = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    shown = [f"{would:%d.%m. %H:%M} {now:%H:%M}" for would, now in clock_changes(BERLIN, *year)]
    assert shown == ["29.03. 02:00 03:00", "25.10. 03:00 02:00"]
    half = [f"{would:%H:%M} {now:%H:%M}" for would, now in clock_changes(ZoneInfo("Australia/Lord_Howe"), *year)]
    assert half == ["02:00 01:30", "02:00 02:30"]
    assert not clock_changes(ZoneInfo("UTC"), *year)


# --- the command

CONFIG = """
[services.web]
[[services.web.scaling.schedules]]
name = "morning"
at = "cron(0 8 ? * MON-FRI *)"
timezone = "Europe/Berlin"
min_tasks = 4
max_tasks = 12
[[services.web.scaling.schedules]]
name = "often"
at = "rate(2 days)"
min_tasks = 2
max_tasks = 12
[services.mailer]
kind = "worker"
image_of = "web"
command = ["mail"]
"""


def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[object, str, str]:
    path = tmp_path / "scaleout.toml"
    path.write_text(CONFIG, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["schedules", "-c", str(path), *options])
    return ended.value.code, *capsys.readouterr()


def test_the_calendar_has_each_action_its_bounds_both_zones_and_the_change_of_the_clocks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    week = ("--from", "2026-10-23", "--days", "4", "--timezone", "America/New_York")
    code, out, err = shown(tmp_path, capsys, *week)
    assert code == 0
    assert out.splitlines() == [
        "mailer  2 to 20 tasks, no schedule",
        "web  2 to 20 tasks until an action sets other bounds",
        "rate(2 days) from when AWS has it, at times that no config tells  web  2 to 12 tasks  often",
        "Fri 2026-10-23 02:00 EDT  web  4 to 12 tasks  morning  08:00 in Europe/Berlin",
        "Sat 2026-10-24 21:00 EDT  the clocks of Europe/Berlin go from 03:00 to 02:00",
        "Mon 2026-10-26 03:00 EDT  web  4 to 12 tasks  morning  08:00 in Europe/Berlin",
    ]
    assert "web: 2 scheduled actions from Fri 2026-10-23 00:00 EDT to Tue 2026-10-27 00:00 EDT" in err


def test_days_end_at_the_hour_at_which_they_began_though_the_clocks_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, err = shown(tmp_path, capsys, "--from", "2026-10-20", "--timezone", "Europe/Berlin")
    assert "from Tue 2026-10-20 00:00 CEST to Tue 2026-11-03 00:00 CET" in err


def test_for_programs_each_action_is_an_object_with_its_time_and_zones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = shown(tmp_path, capsys, "--from", "2026-10-23", "--days", "1", "--timezone", "UTC", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    (action,) = (record for record in records if record["type"] == "action")
    assert (action["service"], action["min_tasks"], action["max_tasks"]) == ("web", 4, 12)
    assert (action["time"], action["local"]) == ("2026-10-23T06:00:00+00:00", "2026-10-23T08:00:00")
    assert records[-1]["type"] == "result"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", "20.10.2026"), "got '20.10.2026'; a day is written as 2026-10-20"),
        (("--from", "2201-01-01"), "allowed are days of the years 1970 to 2198"),
        (("--timezone", "Berlin"), "did you mean Europe/Berlin"),
        (("--days", "0"), "0 is not in the range"),
    ],
)
def test_what_is_no_day_and_no_zone_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    code, out, err = shown(tmp_path, capsys, *options)
    assert (code, out) == (2, "")
    assert says in err
