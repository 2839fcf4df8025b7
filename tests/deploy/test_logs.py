"""The lines that the tasks wrote: every line once, in pages, also those that come late."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout_cfn.deploy.services import logs
from scaleout_cfn.errors import UsageError

from .services import Services
from .world import Fault

EPOCH = datetime.fromtimestamp(0, UTC)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def lines(*texts: str) -> list[tuple[int, str, str]]:
    return [(1000 * number, "a1", text) for number, text in enumerate(texts)]


def test_all_pages_are_read_the_empty_ones_too() -> None:
    world = Services(written=lines("one", "two", "three", "four", "five"), seconds=60, empty_pages=2)
    found = list(logs.tail(world.aws(), ["/web"], EPOCH, follow=False))
    assert [one.text for one in found] == ["one", "two", "three", "four", "five"]
    assert (found[1].task, found[1].time) == ("a1", EPOCH + timedelta(seconds=1))


def test_what_is_older_is_left_out() -> None:
    world = Services(written=lines("one", "two", "three"), seconds=60)
    found = logs.tail(world.aws(), ["/web"], EPOCH + timedelta(seconds=1), follow=False)
    assert [one.text for one in found] == ["two", "three"]


def test_following_gives_each_line_once_and_the_late_ones_too() -> None:
    world = Services(written=lines("one", "two"), seconds=20)

    def arrives(seconds: float) -> None:
        # Written before the newest line that was read, but shown after it.
        assert world.seconds < 100, "the late line is never found"
        late = (900, "b2", "late")
        if world.seconds > 25 and late not in world.written:
            world.written.append(late)
            world.written.append((26_000, "a1", "new"))

    world.at_sleep = arrives
    found = list(islice(logs.tail(world.aws(), ["/web"], EPOCH, follow=True), 4))
    assert sorted(one.text for one in found) == ["late", "new", "one", "two"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 120_000), st.sampled_from("abc")), max_size=40, unique=True))
def test_following_loses_and_repeats_nothing(written: list[tuple[int, str]]) -> None:
    """Where each line shows at its time, as the fake has it."""
    world = Services(written=[(when, "t", text) for when, text in sorted(written)])
    found: list[tuple[int, str]] = []

    def until(seconds: float) -> None:
        if world.seconds > 130:
            raise KeyboardInterrupt

    world.at_sleep = until
    with suppress(KeyboardInterrupt):
        for one in logs.tail(world.aws(), ["/web"], EPOCH, follow=True):
            found.append((round(one.time.timestamp() * 1000), one.text))
    assert sorted(found) == sorted(written)


def test_throttled_reads_are_repeated_at_a_longer_distance() -> None:
    world = Services(
        written=lines("one"), seconds=60, faults=[Fault("FilterLogEvents", "ThrottlingException", times=3)]
    )
    assert len(list(logs.tail(world.aws(), ["/web"], EPOCH, follow=False))) == 1
    assert world.seconds > 60 + 6 + 12 + 24


def test_a_log_group_that_is_gone_is_told() -> None:
    with pytest.raises(UsageError, match="there is none"):
        list(logs.tail(Services().aws(), ["/gone"], EPOCH, follow=False))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("2026-11-23T10:00:00Z", NOW - timedelta(hours=2)),
        ("2026-11-23T10:00:00", NOW - timedelta(hours=2)),
        ("2026-11-23T12:00:00+02:00", NOW - timedelta(hours=2)),
    ],
)
def test_since_is_a_time_or_so_long_ago(text: str, moment: datetime) -> None:
    assert logs.since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "10", "10 m", "-5m", "10w", "99999999999d"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match="give 30s, 10m, 2h or 1d, or a time"):
        logs.since(text, NOW)


def test_a_line_is_shown_with_its_time_its_service_and_the_beginning_of_its_task() -> None:
    line = logs.Line(NOW, "web/web/0123456789abcdef", "hello")
    shown: Any = logs.fact(line)
    assert shown.lines == ("12:00:00Z web 01234567 hello",)
    stream = "web/web/0123456789abcdef"
    assert shown.data == {"time": "2026-11-23T12:00:00+00:00", "service": "web", "stream": stream, "text": "hello"}


def test_a_stream_is_read_on_from_where_it_was_and_may_not_be_there_yet() -> None:
    world = Services()
    aws = world.aws()
    assert logs.stream(aws, "/web", "web/web/x", "") == ([], "")
    world.streams["web/web/x"] = ["one", "two", "three"]
    found, token = logs.stream(aws, "/web", "web/web/x", "")
    assert [one.text for one in found] == ["one", "two", "three"]
    world.streams["web/web/x"].append("four")
    found, token = logs.stream(aws, "/web", "web/web/x", token)
    assert [one.text for one in found] == ["four"]
    assert logs.stream(aws, "/web", "web/web/x", token) == ([], token)
