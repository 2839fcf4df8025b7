"""Traffic: made up, from CSV files and from access logs; bad files get one clear message."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.config.scaling import Schedule
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.access_logs import from_access_logs
from scaleout_cfn.simulator.policies import firings
from scaleout_cfn.simulator.series import from_csv
from scaleout_cfn.simulator.traffic import KINDS, Traffic, synthetic

COMMON = '127.0.0.1 - frank [10/Oct/2026:13:55:{:02} -0700] "GET /a HTTP/1.0" 200 2326\n'
COMBINED = '::1 - - [10/Oct/2026:13:55:{:02} -0700] "GET / HTTP/1.1" 200 5 "http://a.example/" "curl/8"\n'
ALB = (
    "http 2026-10-10T20:55:{:02}.186641Z app/web/50dc6c495c0c9188 192.0.2.7:2817 10.0.0.1:80 0.0 0.001 0.0 200 200"
    ' 34 366 "GET http://a.example:80/ HTTP/1.1" "curl/7" - - arn:aws:x "Root=1" "-" "-" 0 2026-10-10T20:55:22Z"\n'
)


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_traffic_is_the_same_each_time_and_never_negative(kind: str) -> None:
    one, other = synthetic(kind), synthetic(kind)
    assert one.requests.tolist() == other.requests.tolist()
    assert (one.requests >= 0).all()
    assert np.isfinite(one.requests).all()
    assert one.requests.dtype == np.float64


def test_the_load_test_of_the_seed_is_four_steps_of_ten_minutes_then_none() -> None:
    requests = synthetic("seed-load-test").requests
    assert [requests[at] for at in (0, 599, 600, 1200, 1800, 2399, 2400)] == [250, 250, 500, 750, 1000, 1000, 0]


def test_a_flash_crowd_rises_holds_and_falls() -> None:
    requests = synthetic("flash-crowd", {"at": 100, "rise": 10, "hold": 50, "fall": 10, "hours": 0.1}).requests
    assert requests[99] == 50
    assert requests[115] == 500
    assert requests[159] == 500
    assert requests[175] == 50


@pytest.mark.parametrize(
    ("kind", "numbers", "says"),
    [
        ("tsunami", {}, "there are flash-crowd"),
        ("step", {"height": 3}, "no number height; it takes base"),
        ("step", {"peak": -1}, "give a number of 0 or more"),
        ("step", {"hours": 0}, "no second in it"),
        ("noise", {"hours": 1e9}, "400 at most"),
        ("ramp", {"rise": 0}, "or use step"),
    ],
)
def test_made_up_traffic_says_what_is_wrong(kind: str, numbers: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        synthetic(kind, numbers)


def test_a_csv_is_spread_over_its_intervals(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("time,requests\n2026-11-23T08:00:00Z,120\n2026-11-23T08:01:00Z,60\n")
    traffic = from_csv(file)
    assert traffic.requests.tolist() == [2.0] * 60 + [1.0] * 60
    assert traffic.start == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert traffic.times(10).requests[0] == 20


def test_a_gap_takes_the_row_before_and_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gap.csv"
    file.write_text("t,n\n0,60\n60,120\n240,60\n")
    traffic = from_csv(file)
    assert traffic.requests[60:240].tolist() == [2.0] * 180
    assert traffic.notes == ("2 of 5 intervals of 60 s are missing; each takes the one before",)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=40), st.sampled_from([1, 10, 60, 300]))
def test_a_csv_keeps_every_request(counts: list[int], interval: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.csv"
        file.write_text("t,n\n" + "".join(f"{i * interval},{count}\n" for i, count in enumerate(counts)))
        assert from_csv(file).requests.sum() == pytest.approx(sum(counts))


def test_no_row_of_a_long_csv_is_lost(tmp_path: Path) -> None:
    """The interval is read off the first thousand rows; all of them, and the next, are traffic."""
    file = tmp_path / "long.csv"
    file.write_text("t,n\n" + "".join(f"{second},{second}\n" for second in range(2500)))
    traffic = from_csv(file)
    assert traffic.requests.tolist() == list(range(2500))
    assert traffic.notes == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("t,n\n", "0 rows"),
        ("t,n\n0,1\n", "1 rows"),
        ("0,1\n60,1\n", "is data; the first line has to name"),
        ("t\n0\n", ":1: 1 columns; give two"),
        ("t,n,x\n0,1,2\n", ":1: 3 columns"),
        ("t,n\n0,1\n60,1,9\n", ":3: 3 columns"),
        ("t,n\n60,1\n0,1\n", ":3: 0 is not after the row before"),
        ("t,n\n0,1\n0,1\n", ":3: 0 is not after"),
        ("t,n\n0,-1\n60,1\n", ":2: '-1' requests"),
        ("t,n\n0,nan\n60,1\n", ":2: 'nan' requests"),
        ("t,n\n0,inf\n60,1\n", ":2: 'inf' requests"),
        ("t,n\n0,1\n60,\n", ":3: '' requests"),
        ("t,n\n0,1\n60", ":3: 1 columns"),
        ("t,n\nyesterday,1\n60,1\n", "'yesterday' is no time"),
        ("t,n\n0,1\n60,1\n90,1\n200,1\n", ":5: the time is 20 s off the interval of 30 s"),
        ("t,n\n0,1\n0.5,1\n", "0.5 s apart; give whole seconds"),
        ("t,n\n0,1\n60,1\n99999999960,1\n", ":4: 1157407 days after the first row"),
        ("t,n\n0,1\n\x00\n", "columns|NUL"),
    ],
)
def test_a_bad_csv_gets_one_clear_message(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=says) as error:
        from_csv(file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(b"t,n\n0,1\n60,\xff\xfe\n")
    with pytest.raises(UsageError, match=":3: '\ufffd\ufffd' requests; give a number"):
        from_csv(file)
    with pytest.raises(UsageError, match="No such file"):
        from_csv(tmp_path / "nowhere.csv")
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"t,n\n" + b"".join(b"%d,1\n" % i for i in range(10000)))[:-400])
    with pytest.raises(UsageError, match="give a whole CSV file"):
        from_csv(torn)


def test_three_million_rows_are_read_within_200_mib() -> None:
    """In a process of its own, through a pipe: the rows are never all in memory, nor on the disk."""
    script = (
        "import pathlib, tempfile\n"
        "from scaleout_cfn.simulator.series import from_csv\n"
        "import scaleout_cfn.simulator.series as series\n"
        "def rows():\n"
        "    yield ['t', 'n']\n"
        "    for i in range(3_000_000): yield [str(i), str(i % 7)]\n"
        "series.csv.reader = lambda file, delimiter: rows()\n"
        "file = pathlib.Path(tempfile.mkdtemp()) / 'many.csv'; file.write_text('t,n')\n"
        "found = from_csv(file)\n"
        # Not getrusage: Linux counts the peak of the process that it was forked from too.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(found.requests.sum()), len(found.notes), int(peak.split()[1]) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, notes, mib = map(int, done.stdout.split())
    assert (count, notes) == (sum(i % 7 for i in range(3_000_000)), 0)
    assert mib < 200


@pytest.mark.parametrize("line", [COMMON, COMBINED, ALB], ids=["common", "combined", "alb"])
@pytest.mark.parametrize("zipped", [False, True])
def test_access_logs_are_counted_by_the_second(tmp_path: Path, line: str, zipped: bool) -> None:
    text = "".join(line.format(second) for second in (3, 1, 1, 4, 1))
    file = tmp_path / "access.log"
    file.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    traffic = from_access_logs([file])
    assert traffic.requests.tolist() == [3, 0, 1, 1]
    assert traffic.start == datetime(2026, 10, 10, 20, 55, 1, tzinfo=UTC)


@pytest.mark.parametrize(("interval", "cautious"), [(60, False), (299, False), (300, True), (3600, True)])
def test_sums_over_five_minutes_and_more_come_with_a_caution(tmp_path: Path, interval: int, cautious: bool) -> None:
    file = tmp_path / "t.csv"
    file.write_text("t,n\n" + "".join(f"{interval * place},600\n" for place in range(4)))
    for traffic in (from_csv(file), from_csv(file).times(3), from_csv(file).window(0, 60)):
        assert traffic.bin_s == interval
        assert traffic.caution.startswith(f"Only sums over {interval} s are known") == cautious
        assert bool(traffic.caution) == cautious


def test_several_logs_make_one_traffic(tmp_path: Path) -> None:
    for name, second in (("a", 1), ("b", 3)):
        (tmp_path / name).write_text(ALB.format(second))
    assert from_access_logs([tmp_path / "b", tmp_path / "a"]).requests.tolist() == [1, 0, 1]


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_text(COMMON.format(1) * 300 + COMMON.format(2)[:30])
    traffic = from_access_logs([file])
    assert traffic.requests.tolist() == [300]
    assert traffic.notes == (
        f"1 of 301 lines cannot be read and are left out, the first of them line 301 of {file}, which is not of a"
        " common, combined, JSON, W3C, ALB or classic balancer's log: '127.0.0.1 - frank [10/Oct/2026'",
    )


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"what", "is not of a common, combined, JSON, W3C, ALB or classic balancer's log: 'what'"),
        (b"\xff\x00\xfe", "is not of a common, combined, JSON, W3C, ALB or classic balancer's log"),
        (b"x" * 100_000, "is not of a common, combined, JSON, W3C, ALB or classic balancer's log"),
        (COMMON.format(77).encode(), "has a time that does not exist"),
        (COMMON.format(3).replace("Oct", "Okt").encode(), "has a time that does not exist"),
        (COMMON.format(3).replace("2026", "0000").encode(), "has a time that does not exist"),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 3])
def test_one_unreadable_line_of_four_spoils_nothing_and_is_told(
    tmp_path: Path, bad: bytes, why: str, place: int
) -> None:
    lines = [COMMON.format(second).rstrip().encode() for second in (1, 2, 2)]
    lines.insert(place, bad.rstrip())
    file = tmp_path / "access.log"
    file.write_bytes(b"\n".join(lines) + b"\n")
    traffic = from_access_logs([file])
    assert traffic.requests.tolist() == [1, 2]
    (note,) = traffic.notes
    assert note.startswith("1 of 4 lines cannot be read and are left out")
    assert f"line {place + 1} of {file}, which {why}" in note
    assert len(note) < 500


def test_empty_lines_are_none_and_an_empty_log_among_others_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("\n" + COMMON.format(1) + "\n \n")
    (tmp_path / "b").write_text("")
    traffic = from_access_logs([tmp_path / "a", tmp_path / "b"])
    assert (traffic.requests.tolist(), traffic.notes) == ([1], ())


def test_the_unreadable_lines_of_several_logs_are_counted_together(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(COMMON.format(1) + f"what {name}\n" + COMMON.format(2))
    (note,) = from_access_logs([tmp_path / "a", tmp_path / "b"]).notes
    assert note.startswith("2 of 6 lines")
    assert "line 2 of" in note
    assert "'what a'" in note


@pytest.mark.parametrize("year", ["1970", "2095"])
def test_a_request_that_is_decades_off_is_left_out_and_told(tmp_path: Path, year: str) -> None:
    """A clock that was wrong would make years of silence of a day."""
    file = tmp_path / "access.log"
    file.write_text(COMMON.format(1) * 3 + COMMON.format(5).replace("2026", year) + COMMON.format(2))
    traffic = from_access_logs([file])
    assert traffic.requests.tolist() == [3, 1]
    assert traffic.notes == (
        f"1 requests are more than 200 days from the middle one and are left out, the first of them of {year}-10-10"
        " 20:55:05 UTC",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no request in it"),
        (
            "time,requests\n1,2\n",
            "2 of 2 lines cannot be read: line 1 of .*, which is not of a common, comb",
        ),
        (COMMON.format(1) + "what\n" * 2, "2 of 3 lines cannot be read: line 2 of .* at least half can"),
        (COMMON.format(77) * 3, "3 of 3 lines cannot be read: line 1 of .* has a time that does not exist"),
    ],
)
def test_a_bad_log_gets_one_clear_message(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.log"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        from_access_logs([file])


@pytest.mark.parametrize(
    ("at", "zone", "hours"),
    [
        ("cron(0 8 ? * MON-FRI *)", "UTC", [8, 32, 56, 80, 104]),
        ("cron(0 8 * * ? *)", "Europe/Berlin", [7, 31, 55, 79, 103, 127, 151]),
        ("cron(30 0/6 6 1 ? 2026)", "UTC", [24.5, 30.5, 36.5, 42.5]),
        ("rate(2 days)", "UTC", [48, 96, 144]),
        ("at(2026-01-07T12:00:00)", "UTC", [60]),
        ("at(2030-01-07T12:00:00)", "UTC", []),
    ],
)
def test_schedules_fire_when_aws_says(at: str, zone: str, hours: list[float]) -> None:
    schedule = Schedule(name="s", at=at, timezone=zone, min_tasks=1, max_tasks=2)
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    assert [second / 3600 for second, _, _ in firings([schedule], 7 * 86400, monday, (1, 9))] == hours


@pytest.mark.parametrize(
    ("at", "zone", "says"),
    [
        ("cron(0 8 * * *)", "UTC", r"schedule s: cron\(0 8 \* \* \*\): 5 fields, .* has six"),
        ("cron(61 8 * * ? *)", "UTC", r"minutes 61 \(allowed: 0 to 59"),
        ("every day", "UTC", r"schedule s: every day: allowed are cron\(...\)"),
        ("cron(0 8 * * ? *)", "Europe/Berlim", "schedule s: timezone Europe/Berlim: .* did you mean Europe/Berlin"),
        ("rate(1 day)", "", "schedule s: timezone : the tz database has no such time zone"),
    ],
)
def test_a_schedule_that_aws_would_refuse_is_one_clear_message(at: str, zone: str, says: str) -> None:
    """Templates of others may hold one."""
    schedule = Schedule(name="s", at=at, timezone=zone, min_tasks=1, max_tasks=2)
    with pytest.raises(UsageError, match=says):
        firings([schedule], 86400, None, (1, 9))


def test_the_last_day_of_a_month_is_simulated_too() -> None:
    schedule = Schedule(name="s", at="cron(0 8 L * ? *)", min_tasks=1, max_tasks=2)
    assert firings([schedule], 3 * 86400, datetime(2026, 1, 30, tzinfo=UTC), (1, 9)) == [(86400 + 8 * 3600, 1, 2)]


@pytest.mark.parametrize(("bin_s", "median", "most"), [(300, 1.07, 4.7), (3600, 1.22, 11.3), (86400, 1.22, 11.3)])
def test_bursts_keep_the_sum_of_each_interval_and_have_the_peaks_that_were_seen(
    bin_s: int, median: float, most: float
) -> None:
    whole = min(bin_s, 3600)
    even = Traffic("even", np.full(2000 * whole, 10.0), bin_s=bin_s)
    bursts = even.with_bursts(1).requests.reshape(2000, whole)
    assert bursts.mean(axis=1) == pytest.approx(np.full(2000, 10.0))
    assert bursts.min() > 0
    peaks = bursts.max(axis=1) / 10
    assert np.median(peaks) == pytest.approx(median, abs=0.03)
    assert peaks.min() >= 1
    assert peaks.max() <= most
    assert (even.with_bursts(2).requests != even.with_bursts(1).requests).any()
