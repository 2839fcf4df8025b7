"""Traffic in the formats that people have it in: what is read, what is left out and told, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.cli import cli
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.access_logs import from_access_logs
from scaleout_cfn.simulator.series import from_csv, from_metrics
from scaleout_cfn.simulator.traffic import Traffic, at_once, one_after_the_other, summed

START = datetime(2026, 11, 23, 8, tzinfo=UTC)


def written(folder: Path, text: str, name: str = "traffic") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def minutes(traffic: Traffic) -> list[float]:
    return [round(float(traffic.requests[at : at + 60].sum()), 6) for at in range(0, len(traffic.requests), 60)]


@pytest.mark.parametrize(
    "text",
    [
        "time,requests\n2026-11-23T08:00:00Z,120\n2026-11-23T08:01:00Z,60\n",
        "time;requests\n2026-11-23 08:00:00;120\n2026-11-23 08:01:00;60\n",
        "time\trequests\n2026-11-23 08:00\t120,0\n2026-11-23 08:01\t60,0\n",
        "time,requests\r\n1795420800,120\r\n1795420860,60\r\n",
        "time,requests\n1795420800000,120\n1795420860000,60\n",
        "time,requests\n2026/11/23 08:00:00,120\n2026/11/23 08:01:00,60\n",
        "Zeit;Anfragen\n23.11.2026 08:00;120\n23.11.2026 08:01;60\n",
        "time,requests\n23/11/2026 08:00,120\n23/11/2026 08:01,60\n",
        "time,requests\n11/23/2026 8:00 AM,120\n11/23/2026 8:01 AM,60\n",
        'time,requests\n"Nov 23, 2026, 08:00:00","120"\n"Nov 23, 2026, 08:01:00","60"\n',
        "time,requests\n23 Nov 2026 08:00:00,120\n23 Nov 2026 08:01:00,60\n",
        # CloudWatch's console: several headings, a period and a statistic among them.
        "Label,RequestCount\nStatistic,Sum\nPeriod,60\n2026/11/23 08:00:00,120\n2026/11/23 08:01:00,60\n",
    ],
)
def test_a_table_of_any_usual_form_is_the_same_traffic(tmp_path: Path, text: str) -> None:
    traffic = from_csv(written(tmp_path, text))
    assert (minutes(traffic), traffic.start, traffic.notes) == ([120, 60], START, ())


def test_days_and_months_are_told_apart_by_a_day_further_down(tmp_path: Path) -> None:
    rows = [START.replace(day=1) + timedelta(hours=hour) for hour in range(24 * 14)]
    for form in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"):
        text = "t,n\n" + "".join(f"{row:{form}},60\n" for row in rows)
        assert from_csv(written(tmp_path, text)).start == rows[0]


def test_a_date_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "t,n\n03/04/2026 08:00,1\n03/04/2026 08:01,1\n")
    with pytest.raises(UsageError, match="03/04/2026 08:00 may be 3 April or 4 March, and no row tells which; give"):
        from_csv(file)


def test_another_statistic_than_the_sum_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "Label,RequestCount\nStatistic,Average\n2026/11/23 08:00:00,120\n")
    with pytest.raises(UsageError, match=":2: Statistic is Average; requests are told by Sum"):
        from_csv(file)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("what,5", ":1500: 'what' is no time"),
        ("1795420800", ":1500: 1 columns"),
        ("{},-5", ":1500: '-5' requests"),
        ("0,5", ":1500: 0 is not after the row before"),
        ("9999999999,5", ":1500: .* days after the first row"),
    ],
)
def test_one_row_in_a_thousand_is_left_out_and_told_and_two_are_not(tmp_path: Path, row: str, why: str) -> None:
    rows = [f"{1795420800 + 60 * place},60" for place in range(1999)]
    rows[1498] = row.format(rows[1498].split(",")[0])
    file = written(tmp_path, "t,n\n" + "\n".join(rows) + "\n")
    traffic = from_csv(file)
    assert len(traffic.requests) == 1999 * 60
    assert traffic.notes[0].startswith(f"1 of 1999 rows cannot be read and are left out, the first of them {file}:1500")
    with pytest.raises(UsageError, match=why):
        from_csv(file, strict=True)
    rows[700] = rows[701] = "what,5"
    with pytest.raises(UsageError, match="'what' is no time"):
        from_csv(written(tmp_path, "t,n\n" + "\n".join(rows) + "\n"))


def test_a_stray_row_does_not_make_the_interval(tmp_path: Path) -> None:
    rows = [f"{60 * place},60" for place in range(1000)]
    rows.insert(5, "271,60")
    traffic = from_csv(written(tmp_path, "t,n\n" + "\n".join(rows)))
    assert traffic.bin_s == 60
    assert "the time is 31 s off the interval of 60 s" in traffic.notes[0]


def test_a_file_that_has_less_than_half_of_its_intervals_is_refused(tmp_path: Path) -> None:
    rows = [0, 60, *range(600, 60000, 600)]
    file = written(tmp_path, "t,n\n" + "".join(f"{time},1\n" for time in rows))
    with pytest.raises(
        UsageError, match=r"\d+ of \d+ intervals of 60 s are missing; give a file that has at least half"
    ):
        from_csv(file)


def test_the_hour_that_clocks_leave_out_is_named(tmp_path: Path) -> None:
    """Germany's of 29 March 2026, from two to three."""
    first = datetime(2026, 3, 29, 0, tzinfo=UTC)
    times = [first + timedelta(minutes=minute) for minute in range(360) if not 120 <= minute < 180]
    traffic = from_csv(written(tmp_path, "t,n\n" + "".join(f"{time:%Y-%m-%d %H:%M},1\n" for time in times)))
    assert "an hour is missing at 2026-03-29 02:00, as where clocks are set forward" in traffic.notes[1]
    zoned = from_csv(written(tmp_path, "t,n\n" + "".join(f"{time:%Y-%m-%dT%H:%MZ},1\n" for time in times)))
    assert len(zoned.notes) == 1


def test_the_hour_that_comes_twice_is_named(tmp_path: Path) -> None:
    times = [
        datetime(2026, 10, 25, 0, tzinfo=UTC) + timedelta(minutes=minute) for minute in (*range(180), *range(120, 300))
    ]
    file = written(tmp_path, "t,n\n" + "".join(f"{time:%Y-%m-%d %H:%M},1\n" for time in times))
    with pytest.raises(
        UsageError, match=r":182: .* where clocks are set back, local times come twice: give them in UTC"
    ):
        from_csv(file)


def test_rates_and_counters_are_what_they_say(tmp_path: Path) -> None:
    file = written(tmp_path, "t,n\n0,10\n60,70\n120,100\n180,30\n")
    assert minutes(from_csv(file, "rate")) == [600, 4200, 6000, 1800]
    counted = from_csv(file, "counter")
    assert (minutes(counted), counted.start) == ([60, 30, 30], datetime(1970, 1, 1, 0, 1, tzinfo=UTC))


def metric_data(points: dict[str, float]) -> dict[str, Any]:
    return {"MetricDataResults": [{"Id": "m1", "Label": "x", "Timestamps": [*points], "Values": [*points.values()]}]}


def test_get_metric_data_is_read_in_any_order_and_what_it_leaves_out_is_no_request(tmp_path: Path) -> None:
    points = {"2026-11-23T08:03:00+00:00": 30.0, "2026-11-23T08:01:00+00:00": 60.0, "2026-11-23T08:00:00+00:00": 120.0}
    traffic = from_metrics(written(tmp_path, json.dumps(metric_data(points))))
    assert (minutes(traffic), traffic.start, traffic.bin_s) == ([120, 60, 0, 30], START, 60)
    assert traffic.notes == ("3 of 4 sums over 60 s, the rest without a request",)


def test_get_metric_statistics_is_read_by_its_sums(tmp_path: Path) -> None:
    points = [
        {"Timestamp": f"2026-11-23T08:{minute:02}:00Z", "Sum": 60.0 * minute, "Unit": "Count"} for minute in (2, 1)
    ]
    assert minutes(from_metrics(written(tmp_path, json.dumps({"Label": "x", "Datapoints": points})))) == [60, 120]
    points[0]["Average"] = points[0].pop("Sum")
    with pytest.raises(UsageError, match="a point has Average, no Sum; ask for --statistics Sum"):
        from_metrics(written(tmp_path, json.dumps({"Label": "x", "Datapoints": points})))


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> str:
    result = [{"metric": metric, "values": values} for metric, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_series_of_prometheus_are_added(tmp_path: Path) -> None:
    text = matrix(
        ({"instance": "a"}, [(0, "1"), (60, "2"), (120, "3")]), ({"instance": "b"}, [(60, "10"), (120, "20")])
    )
    file = written(tmp_path, text)
    assert minutes(from_metrics(file, "count")) == [1, 12, 23]
    assert minutes(from_metrics(file, "rate")) == [60, 720, 1380]
    with pytest.raises(UsageError, match=r"a rate or a count of each step.*give --values rate"):
        from_metrics(file)


def test_a_counter_of_prometheus_is_known_by_its_name_and_starts_anew(tmp_path: Path) -> None:
    text = matrix(
        ({"__name__": "http_requests_total", "pod": "a"}, [(0, "5"), (60, "65"), (120, "7")]),
        ({"__name__": "http_requests_total", "pod": "b"}, [(60, "100"), (120, "130")]),
    )
    assert minutes(from_metrics(written(tmp_path, text))) == [60, 37]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "query_range printed as JSON"),
        ("[]", "no series in it"),
        ("{}", "Expected `array`, got `object`; give what aws cloudwatch"),
        ('{"data": {"resultType": "vector", "result": []}}', "a vector of Prometheus; give what query_range answers"),
        ('{"data": {"resultType": "matrix", "result": []}}', "no series in it"),
        ('{"MetricDataResults": []}', "0 results; give one"),
        ('{"MetricDataResults": [{"Label": "a"}, {"Label": "b"}]}', r"2 results \(a, b\); give one"),
        ('{"Datapoints": []}', "0 points"),
        ('{"Datapoints": [{"Timestamp": "x", "Sum": 1}, {"Timestamp": "y", "Sum": 1}]}', "'x' is no time"),
        (json.dumps(metric_data({"2026-11-23T08:00:00Z": -1.0, "2026-11-23T08:01:00Z": 1.0})), "-1.0 requests"),
    ],
)
def test_bad_json_gets_one_clear_message(tmp_path: Path, text: str, says: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UsageError, match=says) as error:
        from_metrics(file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


KEYS = st.sampled_from(
    ["data", "result", "resultType", "values", "metric", "MetricDataResults", "Timestamps", "Values"]
)
LEAVES = st.none() | st.booleans() | st.floats() | st.text() | st.just("matrix")


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)))
def test_no_json_is_a_traceback(value: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder), json.dumps(value))
        try:
            from_metrics(file, "count")
        except UsageError as error:
            assert "\n" not in str(error)


LINES = {
    "nginx json": '{{"time_iso8601":"2026-11-23T08:00:{0:02}+00:00","status":"200"}}\n',
    "nginx msec": '{{"msec":"17954208{0:02}.123","status":"200"}}\n',
    "nginx local": '{{"time_local":"23/Nov/2026:09:00:{0:02} +0100"}}\n',
    "caddy": '{{"level":"info","ts":17954208{0:02}.52,"logger":"http.log.access","request":{{"method":"GET"}}}}\n',
    "traefik": '{{"ClientHost":"::1","StartUTC":"2026-11-23T08:00:{0:02}.94Z","time":"2026-11-23T08:00:59Z"}}\n',
    "cloudfront json": '{{"date":"2026-11-23","time":"08:00:{0:02}","sc-status":"200"}}\n',
    "milliseconds": '{{"timestamp":17954208{0:02}123}}\n',
    "traefik clf": '10.0.0.1 - - [23/Nov/2026:08:00:{0:02} +0000] "GET / HTTP/1.1" 200 5 "-" "-" 1 "web@docker"\n',
    "apache vhost": 'a.example:443 10.0.0.1 - - [23/Nov/2026:08:00:{0:02} +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n',
    "classic": "2026-11-23T08:00:{0:02}.943958Z web 192.0.2.1:2817 10.0.0.1:80 0.00007 0.001 0.00005 200 200 0 29\n",
}


@pytest.mark.parametrize("form", LINES)
def test_access_logs_of_the_usual_servers_are_counted(tmp_path: Path, form: str) -> None:
    traffic = from_access_logs([written(tmp_path, "".join(LINES[form].format(second) for second in (3, 1, 1, 4, 1)))])
    assert (traffic.requests.tolist(), traffic.notes) == ([3, 0, 1, 1], ())
    assert traffic.start == START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("#Version: 1.0\n#Fields: date time x-edge-location sc-bytes\n", "2026-11-23\t08:00:{:02}\tFRA2\t5\n"),
        ("#Software: IIS\n#Fields: s-ip date time cs-uri\n", "10.0.0.1 2026-11-23 08:00:{:02} /\n"),
    ],
)
def test_w3c_logs_are_read_by_their_fields(tmp_path: Path, head: str, line: str) -> None:
    traffic = from_access_logs([written(tmp_path, head + "".join(line.format(second) for second in (1, 2, 2)))])
    assert (traffic.requests.tolist(), traffic.notes) == ([1, 2], ())


@pytest.mark.parametrize(
    "line", ['{"a": 1}', "{", '{"time": "soon"}', '{"ts": true}', '{"ts": -5}', "2026-11-23\t08:00:00"]
)
def test_a_line_that_has_no_time_is_told_and_strict_refuses_it(tmp_path: Path, line: str) -> None:
    good = LINES["caddy"].format(1)
    file = written(tmp_path, good + line + "\n" + good)
    (note,) = from_access_logs([file]).notes
    assert note.startswith("1 of 3 lines cannot be read")
    with pytest.raises(UsageError, match=r"line 2 of .*; take it out, or leave out --strict"):
        from_access_logs([file], strict=True)


def test_files_are_added_each_at_its_time_or_put_one_after_the_other(tmp_path: Path) -> None:
    one = from_csv(written(tmp_path, "t,n\n0,60\n60,120\n", "one"))
    two = from_csv(written(tmp_path, "t,n\n60,6\n120,12\n", "two"))
    late = from_csv(written(tmp_path, "t,n\n600,6\n660,6\n", "late"))
    assert minutes(summed([two, one])) == [60, 126, 12]
    assert summed([two, one]).start == one.start
    assert minutes(one_after_the_other([two, one])) == [6, 12, 60, 120]
    assert summed([one, late]).notes == ("480 s lie between the files and are taken to be without a request",)


def test_the_command_takes_several_files_and_says_what_goes_with_what(tmp_path: Path) -> None:
    one = written(tmp_path, "t,n\n0,60\n60,120\n", "one.csv")
    two = written(tmp_path, "t,n\n60,60\n120,120\n", "two.csv")
    folder = str(Path(__file__).parents[2] / "templates_out")
    base = ["simulate", folder, "--task-rps", "50"]
    for options, seconds in ((["--combine", "concatenate"], 240), ([], 180)):
        done = CliRunner().invoke(cli, [*base, "--csv", str(one), "--csv", str(two), *options, "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["seconds"] == seconds
    for options, says in (
        (["--traffic", "step", "--values", "rate"], "--values rate: goes with --csv or --metrics"),
        (["--traffic", "step", "--strict"], "--strict: goes with"),
        (["--csv", str(one), "--combine", "concatenate"], "goes with several files"),
        (["--csv", str(one), "--metrics", str(two)], "got --csv and --metrics; give one of"),
    ):
        done = CliRunner().invoke(cli, [*base, *options])
        assert isinstance(done.exception, UsageError)
        assert says in str(done.exception)


def test_traffics_at_once_are_cut_to_the_time_that_they_have_in_common() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    one = Traffic("one", np.arange(100.0), start)
    late = Traffic("late", np.arange(90.0), start + timedelta(seconds=30))
    made_up = Traffic("made up", np.arange(500.0))
    cut = at_once([one, late, made_up])
    assert [traffic.requests[0] for traffic in cut] == [30, 0, 0]
    assert {(len(traffic.requests), traffic.start) for traffic in cut} == {(70, late.start)}
    assert cut[1].notes == ("20 s of it are left out, of which another traffic has nothing",)
    never = Traffic("never", np.ones(10), start + timedelta(days=1))
    with pytest.raises(UsageError, match="the traffics have no time in common: one from 2026-03-01 00:00 and never"):
        at_once([one, never])
