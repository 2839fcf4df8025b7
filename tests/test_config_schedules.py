"""AWS's expressions of time: what the grammar makes passes, each mistake is told in words, and when they fire."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.schedules import (
    AWS_FIELDS,
    UNIX_FIELDS,
    Cron,
    Field,
    Rate,
    parsed,
    problem_of_recurrence,
    problem_of_schedule,
    problem_of_timezone,
)

MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, YEARS = AWS_FIELDS


def values(field: Field) -> st.SearchStrategy[str]:
    numbers = st.integers(field.low, field.high).map(str)
    return st.one_of(numbers, st.sampled_from(field.names)) if field.names else numbers


def spans(field: Field, *, wraps: bool = True, steps: bool = True) -> st.SearchStrategy[str]:
    """One entry of a list: a value, a range, or every so many."""
    numbers = st.integers(field.low, field.high)
    ranges = st.tuples(numbers, numbers).map(lambda ends: "-".join(map(str, ends if wraps else sorted(ends))))
    begins = st.one_of(st.just("*"), values(field), ranges)
    stepped = st.tuples(begins, st.integers(1, field.high - field.low)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(values(field), ranges, stepped) if steps else st.one_of(values(field), ranges)


def lists(entries: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(entries, min_size=1, max_size=4).map(",".join)


def moving_days() -> st.SearchStrategy[str]:
    return st.one_of(st.just("L"), st.integers(1, 31).map("{}W".format))


def weekdays() -> st.SearchStrategy[str]:
    last = values(WEEKDAYS).map("{}L".format)
    nth = st.tuples(values(WEEKDAYS), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}")
    return st.one_of(st.just("*"), lists(st.one_of(spans(WEEKDAYS, steps=False), last, st.just("L"))), nth)


def aws_fields() -> st.SearchStrategy[list[str]]:
    """Six fields as the grammar of the page has them, with ? in one of the two for days."""
    days = st.one_of(st.just("*"), lists(st.one_of(spans(DAYS), moving_days())))
    both = st.one_of(st.tuples(days, st.just("?")), st.tuples(st.just("?"), weekdays()))
    return st.tuples(
        st.one_of(st.just("*"), lists(spans(MINUTES))),
        st.one_of(st.just("*"), lists(spans(HOURS))),
        both,
        st.one_of(st.just("*"), lists(spans(MONTHS))),
        st.one_of(st.just("*"), lists(spans(YEARS, wraps=False))),
    ).map(lambda parts: [parts[0], parts[1], parts[2][0], parts[3], parts[2][1], parts[4]])


def cron(fields: Sequence[str]) -> str:
    return f"cron({' '.join(fields)})"


@given(aws_fields(), st.sampled_from(["application-autoscaling", "events", "scheduler"]))
def test_what_the_grammar_of_cron_makes_passes_everywhere(fields: list[str], taker: str) -> None:
    assert problem_of_schedule(cron(fields), taker) == ""  # type: ignore[arg-type]
    assert problem_of_schedule(cron(fields).replace(" ", "  "), taker) == ""  # type: ignore[arg-type]


def wrong_entries(field: Field) -> st.SearchStrategy[str]:
    """Entries that no list of this field may hold."""
    number = str(field.low)
    outside = st.sampled_from([field.low - 1, field.high + 1, field.high + 100]).map(str)
    steps = [f"*/{step}" for step in ("0", "", "x", str(field.high - field.low + 1))]
    signs = [sign for sign in ("L", "5W", "5#2", "5L") if sign[-1] not in field.signs and "#" not in sign]
    signs += [] if "#" in field.signs else [f"{number}#2"]
    signs += [f"{number}/1"] if "/" not in field.signs else []
    garbage = ["", "x", f"{number}-", f"-{number}", f"{number}-{number}-{number}", "**", "1.5", "\u0661", "MOM", "@"]
    beyond = outside.flatmap(lambda text: st.sampled_from([text, f"{number}-{text}"]))
    return st.one_of(beyond, st.sampled_from([*steps, *signs, *garbage]))


@given(st.data())
def test_an_entry_that_a_field_may_not_hold_is_refused_with_the_name_of_the_field(data: st.DataObject) -> None:
    fields = data.draw(aws_fields())
    index = data.draw(st.sampled_from([i for i, text in enumerate(fields) if text != "?"]))
    entry = data.draw(wrong_entries(AWS_FIELDS[index]))
    fields[index] = f"{fields[index]},{entry}"
    problem = problem_of_schedule(cron(fields))
    assert AWS_FIELDS[index].name in problem, (fields, problem)


@pytest.mark.parametrize("day", ["0W", "32W", "WW", "L-31", "L-", "LL", "1,,2", "15W-20"])
def test_a_moving_day_of_the_month_is_one_that_a_month_has(day: str) -> None:
    assert "day of month" in problem_of_schedule(f"cron(0 8 {day} * ? *)")


@pytest.mark.parametrize("day", ["8L", "0L", "MOL", "2#0", "2#6", "8#1", "#1", "2#", "3#1,6#3", "MON,3#1", "2#1-3"])
def test_a_moving_day_of_the_week_is_one_that_a_month_has(day: str) -> None:
    assert "day of week" in problem_of_schedule(f"cron(0 8 ? * {day} *)")


@given(aws_fields(), st.booleans())
def test_exactly_one_field_for_days_is_a_question_mark(fields: list[str], both: bool) -> None:
    given_day = next(index for index in (2, 4) if fields[index] != "?")
    fields[2 if given_day == 4 else 4] = "?" if both else "*"
    if both:
        fields[given_day] = "?"
    assert "has to be ?" in problem_of_schedule(cron(fields))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("cron({} * * * ? *)", 0, 59),
        ("cron(0 {} * * ? *)", 0, 23),
        ("cron(0 0 {} * ? *)", 1, 31),
        ("cron(0 0 {}W * ? *)", 1, 31),
        ("cron(0 0 L-{} * ? *)", 0, 30),
        ("cron(0 0 * {} ? *)", 1, 12),
        ("cron(0 0 ? * {} *)", 1, 7),
        ("cron(0 0 ? * {}L *)", 1, 7),
        ("cron(0 0 ? * {}#1 *)", 1, 7),
        ("cron(0 0 ? * 2#{} *)", 1, 5),
        ("cron(0 0 * * ? {})", 1970, 2199),
        ("cron(*/{} * * * ? *)", 1, 59),
        ("{} * * * *", 0, 59),
        ("* {} * * *", 0, 23),
        ("* * {} * *", 1, 31),
        ("* * * {} *", 1, 12),
        ("* * * * {}", 0, 7),
    ],
)
def test_a_number_is_taken_from_the_lowest_to_the_highest_of_its_field(text: str, low: int, high: int) -> None:
    """By the pages that schedules.py names."""
    problem = problem_of_schedule if text.startswith("cron") else problem_of_recurrence
    refused = [number for number in range(max(low - 9, 0), high + 9) if problem(text.format(number))]
    assert refused == [*range(max(low - 9, 0), low), *range(high + 1, high + 9)]


@given(aws_fields(), st.integers(0, 5))
def test_any_other_number_of_fields_is_refused_with_how_many_there_are(fields: list[str], index: int) -> None:
    assert problem_of_schedule(cron([*fields, "*"])).startswith("7 fields, where AWS's cron has six")
    assert problem_of_schedule(cron(fields[:index])).startswith(f"{index} field")


@given(st.one_of(aws_fields().map(cron), st.just("rate(1 day)"), st.just("at(2026-01-02T03:04:05)")), st.data())
def test_an_expression_with_a_bracket_or_its_word_changed_is_refused(text: str, data: st.DataObject) -> None:
    changes = [
        text[:-1],
        text.replace("(", ""),
        text.upper(),
        f" {text}",
        f"{text} ",
        f"{text}\n",
        text.partition("(")[2],
    ]
    changed = data.draw(st.sampled_from(changes))
    assert problem_of_schedule(changed)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("cron(0 8 * * *)", "cron(0 8 * * ? *)"),
        ("cron(0 8 * * 1-5)", "cron(0 8 ? * MON-FRI *)"),
        ("cron(0 8 * * 0,7)", "cron(0 8 ? * SUN,SUN *)"),
        ("cron(0 8 1 * *)", "cron(0 8 1 * ? *)"),
        ("cron(0 8 * * MON *)", "cron(0 8 ? * MON *)"),
        ("cron(0 8 ? * ? *)", "cron(0 8 * * ? *)"),
        ("cron(0 8 * * * *)", "cron(0 8 * * ? *)"),
        ("0 8 * * ? *", "cron(0 8 * * ? *)"),
        ("0 8 * * 1-5", "cron(0 8 ? * MON-FRI *)"),
        ("cron(0 8 1 * 1)", "cron(0 8 ? * MON-FRI *)"),
        ("rate(1 minutes)", "rate(1 minute)"),
        ("rate(2 hour)", "rate(2 hours)"),
    ],
)
def test_a_common_mistake_is_told_with_the_expression_that_was_meant(text: str, cure: str) -> None:
    assert f"write {cure}" in problem_of_schedule(text)
    assert problem_of_schedule(cure) == ""


def test_all_that_is_wrong_with_an_expression_is_told_at_once() -> None:
    problem = problem_of_schedule("cron(61 24 ? * MON-FRO 1969)")
    assert all(name in problem for name in ("minutes 61", "hours 24", "day of week MON-FRO", "year 1969"))


@given(st.integers(1, 10**6), st.sampled_from(["minute", "hour", "day"]), st.booleans())
def test_a_rate_agrees_in_number_with_its_unit_but_for_the_scheduler(value: int, unit: str, plural: bool) -> None:
    text = f"rate({value} {unit}{'s' if plural else ''})"
    assert (problem_of_schedule(text) == "") == ((value > 1) == plural)
    assert (problem_of_schedule(text, "events") == "") == ((value > 1) == plural)
    assert problem_of_schedule(text, "scheduler") == ""


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "", "01", "x", "\u0661", "1 1"])
def test_the_value_of_a_rate_is_a_whole_number_from_1_on(value: str) -> None:
    assert problem_of_schedule(f"rate({value} minutes)", "scheduler")


@pytest.mark.parametrize("unit", ["", "second", "seconds", "week", "months", "Minutes", "minutess", "min"])
def test_the_unit_of_a_rate_is_minute_hour_or_day(unit: str) -> None:
    assert "allowed are minute, minutes, hour, hours, day, days" in problem_of_schedule(f"rate(5 {unit})", "scheduler")


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)).map(lambda time: time.replace(microsecond=0)))
def test_every_time_of_the_calendar_passes_once_and_no_rule_takes_it(time: datetime) -> None:
    text = f"at({time.isoformat()})"
    assert problem_of_schedule(text) == problem_of_schedule(text, "scheduler") == ""
    assert "EventBridge Scheduler" in problem_of_schedule(text, "events")


@pytest.mark.parametrize(
    "time",
    [
        "2026-02-29T00:00:00",
        "2026-04-31T00:00:00",
        "2026-13-01T00:00:00",
        "2026-00-01T00:00:00",
        "2026-01-01T24:00:00",
        "2026-01-01T00:60:00",
        "2026-01-01T00:00:60",
        "2026-1-1T00:00:00",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00",
        "2026-01-01",
        "20260101T000000",
        "2026-01-01T00:00:00.5",
        "",
    ],
)
def test_a_time_that_is_not_in_the_calendar_or_of_another_form_is_refused(time: str) -> None:
    problem = problem_of_schedule(f"at({time})")
    assert problem.startswith(f"{time or 'nothing'} is ") and "as in at(2026-12-24T18:00:00)" in problem


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-0500"])
def test_a_time_with_a_zone_is_told_where_the_zone_belongs(zone: str) -> None:
    assert "the time zone is a field of its own" in problem_of_schedule(f"at(2026-01-01T00:00:00{zone})")


# --- Unix cron


@given(st.tuples(*(st.one_of(st.just("*"), lists(spans(field, wraps=False))) for field in UNIX_FIELDS)))
def test_what_the_grammar_of_unix_cron_makes_passes(fields: tuple[str, ...]) -> None:
    assert problem_of_recurrence(" ".join(fields)) == ""


@given(st.integers(0, 4), st.data())
def test_an_entry_that_unix_cron_does_not_know_is_refused(index: int, data: st.DataObject) -> None:
    fields = ["*"] * 5
    fields[index] = data.draw(st.one_of(wrong_entries(UNIX_FIELDS[index]), st.just("?")).filter(bool))
    assert UNIX_FIELDS[index].name in problem_of_recurrence(" ".join(fields))


@pytest.mark.parametrize(
    "text", ["", "0 8 * *", "0 8 * * ? *", "cron(0 8 * * 1)", "rate(1 day)", "@daily", "0 8 * * 5-1"]
)
def test_what_is_not_five_fields_of_unix_cron_is_refused(text: str) -> None:
    assert 'as in "0 8 * * 1-5"' in problem_of_recurrence(text)


# --- time zones


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/New_York", "Etc/GMT+9", "Pacific/Tahiti"])
def test_names_of_the_tz_database_pass(name: str) -> None:
    assert problem_of_timezone(name) == ""


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Europe/Berlim", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("Asia/Tokio", "Asia/Tokyo"),
    ],
)
def test_a_near_miss_of_a_time_zone_is_told_the_name(name: str, near: str) -> None:
    assert problem_of_timezone(name) == f"the tz database has no such time zone; did you mean {near}?"


@pytest.mark.parametrize(
    "name", ["", "+02:00", "Europe/Nowhere", "localtime", "posixrules", "../UTC", "/etc/passwd", "Factory"]
)
def test_what_is_no_time_zone_is_refused_with_examples(name: str) -> None:
    assert "the tz database has no such time zone" in problem_of_timezone(name)


# --- when they fire


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("cron(0 0 L * ? *)", [31, 28, 31]),
        ("cron(0 0 L-1 * ? *)", [30, 27, 30]),
        ("cron(0 0 LW * ? *)", [30, 27, 31]),  # the 31st of January 2026 is a Saturday
        ("cron(0 0 1W * ? *)", [1, 2, 2]),  # the 1st of February and March are Sundays
        ("cron(0 0 28W * ? *)", [28, 27, 27]),  # Saturdays in February and March
        ("cron(0 0 31W * ? *)", [30, 27, 31]),
        ("cron(0 0 ? * 6L *)", [30, 27, 27]),
        ("cron(0 0 ? * FRIL *)", [30, 27, 27]),
        ("cron(0 0 ? * 3#2 *)", [13, 10, 10]),
        ("cron(0 0 ? * SUN#1 *)", [4, 1, 1]),
    ],
)
def test_days_that_depend_on_the_month_are_found(expression: str, days: list[int]) -> None:
    schedule = parsed(expression)
    assert isinstance(schedule, Cron)
    midnights = [datetime(2026, 1, 1) + timedelta(days=day) for day in range(90)]
    assert [(day.month, day.day) for day in midnights if schedule.fires(day)] == list(zip((1, 2, 3), days, strict=True))


@given(aws_fields(), st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)))
def test_it_fires_only_where_each_plain_field_allows(fields: list[str], time: datetime) -> None:
    """Each field by itself, against a reading of its own."""
    fires = parsed(cron(fields)).fires(time)  # type: ignore[union-attr]
    plain = {0: time.minute, 1: time.hour, 3: time.month, 5: time.year}
    allowed = all(_holds(fields[index], AWS_FIELDS[index], number) for index, number in plain.items())
    assert not fires or allowed
    if fields[2] == "*":
        assert fires == allowed


def _holds(text: str, field: Field, number: int) -> bool:
    """Whether a list holds a number, by counting on from the first of each entry."""
    for part in text.upper().split(","):
        span, _, step = part.partition("/")
        ends = span.split("-") if span != "*" else [str(field.low), str(field.high)]
        first, *rest = [field.names.index(end) + 1 if end in field.names else int(end) for end in ends]
        last = rest[0] if rest else (field.high if step else first)
        counted = 0
        while True:
            if first == number and counted % int(step or 1) == 0:
                return True
            if first == last:
                break
            first, counted = (first + 1 if first < field.high else field.low), counted + 1
    return False


@given(st.integers(1970, 2199), st.integers(1, 12), st.integers(1, 7), st.integers(0, 5))
def test_a_day_of_the_week_is_the_one_of_its_number_or_the_last_of_its_month(
    year: int, month: int, weekday: int, nth: int
) -> None:
    schedule = parsed(f"cron(0 0 ? {month} {weekday}{f'#{nth}' if nth else 'L'} {year})")
    assert isinstance(schedule, Cron)
    days = [datetime(year, month, day + 1) for day in range(calendar.monthrange(year, month)[1])]
    # Python's week begins on Monday with 0, AWS's on Sunday with 1.
    of_its_kind = [day for day in days if (day.weekday() + 1) % 7 + 1 == weekday]
    assert [day for day in days if schedule.fires(day)] == (of_its_kind[nth - 1 : nth] if nth else of_its_kind[-1:])


@given(st.integers(1970, 2199), st.integers(1, 12), st.integers(1, 32))
def test_a_working_day_is_the_nearest_of_its_month(year: int, month: int, day: int) -> None:
    schedule = parsed(f"cron(0 0 {'L' if day == 32 else day}W {month} ? {year})")
    assert isinstance(schedule, Cron)
    last = calendar.monthrange(year, month)[1]
    working = [number for number in range(1, last + 1) if datetime(year, month, number).weekday() < 5]
    nearest = min(working, key=lambda number: abs(number - min(day, last)))
    days = [datetime(year, 1, 1) + timedelta(days=number) for number in range(365 + calendar.isleap(year))]
    assert [date for date in days if schedule.fires(date)] == [datetime(year, month, nearest)]


def test_names_are_those_of_the_calendar() -> None:
    for month in range(1, 13):
        named = parsed(f"cron(0 0 1 {calendar.month_abbr[month]} ? 2026)")
        assert [of for of in range(1, 13) if named.fires(datetime(2026, of, 1))] == [month]  # type: ignore[union-attr]
    for weekday in range(7):
        named = parsed(f"cron(0 0 ? * {calendar.day_abbr[weekday]} *)")
        days = [datetime(2026, 1, day) for day in range(1, 8)]
        assert [day.weekday() for day in days if named.fires(day)] == [weekday]  # type: ignore[union-attr]


@pytest.mark.parametrize(("unit", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86_400)])
def test_a_rate_is_as_long_as_its_units_are(unit: str, seconds: int) -> None:
    assert (parsed(f"rate(1 {unit})"), parsed(f"rate(7 {unit}s)")) == (Rate(seconds), Rate(7 * seconds))


def test_weekday_1_is_sunday() -> None:
    sunday = datetime(2026, 1, 4, 8)
    assert calendar.day_name[sunday.weekday()] == "Sunday"
    assert parsed("cron(0 8 ? * 1 *)").fires(sunday)  # type: ignore[union-attr]
    assert not parsed("cron(0 8 ? * 2 *)").fires(sunday)  # type: ignore[union-attr]
