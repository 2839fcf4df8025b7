"""Traffic counted from access logs, a line a request in whatever format servers write, or as CloudWatch has it.

Common and combined (Apache, nginx, Traefik, Caddy's transform), JSON a line (nginx, Caddy, Traefik, CloudFront), W3C
extended with its #Fields (CloudFront, IIS), Application Load Balancers and classic ones. Each line says what it is, so
that files of several formats may be mixed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.series import lines_of, opened
from scaleout_cfn.simulator.traffic import MAX_SECONDS, Traffic

FORMATS = "common, combined, JSON, W3C, ALB or classic balancer's log"

_MOST_UNREADABLE = 0.5  # of a log's lines: with more it is no log, or none of these formats

_CLOCK = r"(\d\d)/(\w{3})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})"
# Common and combined: host ident user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326
_COMMON = re.compile(rf'\S+ \S+ .*?\[{_CLOCK}\] "')
_COMMON_TIME = re.compile(_CLOCK)
# ALB: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
# Classic: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html
_BALANCER = re.compile(
    r"(?:(?:http|https|h2|grpcs|ws|wss) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z "
    r"|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z \S+ \S+:\d+ )"
)
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}  # noqa: SIM905

# Where a request's time stands in a line of JSON, the time that it came before the time that it was logged. Traefik:
# https://doc.traefik.io/traefik/observability/access-logs/ ; Caddy: https://caddyserver.com/docs/logging ; nginx's own
# variables: https://nginx.org/en/docs/http/ngx_http_log_module.html ; the others are what people name theirs.
_KEYS = (
    "StartUTC",
    "StartLocal",
    "time_iso8601",
    "time_local",
    "@timestamp",
    "timestamp",
    "datetime",
    "time",
    "ts",
    "msec",
    "timestamp(ms)",
)
_MS = 1e11
"""From here on a number of seconds since 1970 is one of milliseconds: the year 5138 else."""


def from_access_logs(paths: Sequence[Path], strict: bool = False) -> Traffic:
    """Requests a second counted from access logs of any of the formats, gzipped or not, lines in any order.

    A line that cannot be read is left out and told, for real logs have torn ones; `strict` refuses the first. Holds one
    count for each second that has a request. Raises UsageError when more than half of a file's lines cannot be read, or
    there is none.
    """
    counts: Counter[int] = Counter()
    lines = unreadable = 0
    first = ""
    for path in paths:
        here: Counter[int] = Counter()
        wrong, wrong_first = 0, ""
        read = _reader()
        with opened(path) as file:
            for number, line in lines_of(file, path):
                if not line.strip():
                    continue
                second = read(line)
                if isinstance(second, int):
                    here[second] += 1
                elif second:
                    said = f"line {number} of {path}, which {second}: {line.strip()[:60]!r}"
                    if strict:
                        raise UsageError(f"{said}; take it out, or leave out --strict")
                    wrong += 1
                    wrong_first = wrong_first or said
        every = here.total() + wrong
        if wrong > _MOST_UNREADABLE * every:
            raise UsageError(
                f"{path}: {wrong} of {every} lines cannot be read: {wrong_first}; give an access log of which at least"
                " half can"
            )
        counts += here
        lines += every
        unreadable += wrong
        first = first or wrong_first
    if not counts:
        raise UsageError(f"{', '.join(map(str, paths))}: no request in it; give a log with lines")
    notes = (
        [f"{unreadable} of {lines} lines cannot be read and are left out, the first of them {first}"] if first else []
    )
    if max(counts) - min(counts) >= MAX_SECONDS:
        notes.append(_without_strays(counts))
    start = min(counts)
    requests = np.zeros(max(counts) - start + 1)
    for second, count in counts.items():
        requests[second - start] = count
    return Traffic(paths[0].name, requests, datetime.fromtimestamp(start, UTC), tuple(notes))


def _without_strays(counts: Counter[int]) -> str:
    """Takes the times away that are far from most, as a clock that is wrong makes them; returns a note of it."""
    seconds = sorted(counts)
    middle = seconds[int(np.searchsorted(np.cumsum([counts[second] for second in seconds]), counts.total() / 2))]
    strays = [second for second in seconds if abs(second - middle) >= MAX_SECONDS // 2]
    left_out = sum(counts.pop(second) for second in strays)
    return (
        f"{left_out} requests are more than {MAX_SECONDS // 2 // 86400} days from the middle one and are left out, the"
        f" first of them of {datetime.fromtimestamp(strays[0], UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def _reader() -> Callable[[str], int | str]:
    """What reads the lines of one file: a request's second, or why there is none, empty where it is no request."""
    before: tuple[str, int | str] = ("", "")
    # The places of date and time in a line of a W3C log, once its #Fields have said so.
    columns: tuple[int, int] | None = None

    def read(line: str) -> int | str:
        nonlocal before, columns
        if line[0] == "{":
            return _of_json(line)
        if line[0] == "#":
            fields = line.lower().split()
            if fields[0] == "#fields:" and {"date", "time"} <= set(fields):
                columns = fields.index("date") - 1, fields.index("time") - 1
            return "" if columns or fields[0] in ("#version:", "#software:", "#date:") else _FOREIGN
        match = _BALANCER.match(line) or _COMMON.match(line)
        if match is not None:
            if match[0] != before[0]:
                second = _iso(match[1] or match[2]) if match.re is _BALANCER else _common(match)
                before = match[0], _IMPOSSIBLE if second is None else second
            return before[1]
        if columns is None:
            return _FOREIGN
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) <= max(columns):
            return _FOREIGN
        second = _iso(f"{words[columns[0]].strip()}T{words[columns[1]].strip()}")
        return _IMPOSSIBLE if second is None else second

    return read


_FOREIGN = f"is not of a {FORMATS}"
_IMPOSSIBLE = "has a time that does not exist"


def _of_json(line: str) -> int | str:
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "begins like JSON and is none"
    if isinstance(entry.get("date"), str) and isinstance(entry.get("time"), str) and len(entry["date"]) == 10:
        second = _iso(f"{entry['date']}T{entry['time']}")
        return _IMPOSSIBLE if second is None else second
    key = next((key for key in _KEYS if key in entry), None)
    if key is None:
        return f"has none of the keys {', '.join(_KEYS)}"
    second = _any(entry[key])
    return _IMPOSSIBLE if second is None else second


def _any(value: Any) -> int | None:
    """Of seconds or milliseconds since 1970, ISO 8601, or the time of a common log."""
    if isinstance(value, str):
        match = _COMMON_TIME.fullmatch(value)
        if match is not None:
            return _common(match)
        try:
            value = float(value)
        except ValueError:
            return _iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = value / 1000 if value >= _MS else value
    return int(number) if 0 <= number < _MS else None


def _iso(text: str) -> int | None:
    """A time without a zone is one of UTC, as balancers and CloudFront log it."""
    try:
        time = datetime.fromisoformat(text)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _common(match: re.Match[str]) -> int | None:
    day, month, year, clock, zone = match.groups()
    return _iso(f"{year}-{_MONTHS[month]:02}-{day}T{clock}{zone[:3]}:{zone[3:]}") if month in _MONTHS else None


_KEPT = ((15, 60), (63, 300), (455, 3600))
"""Days and the finest period (s) that CloudWatch keeps for so long.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html"""


def from_cloudwatch(aws: Aws, metric: str, dimensions: Mapping[str, str], days: int, now: datetime) -> Traffic:
    """The sums of NAMESPACE/METRIC over the last days, by the finest period that is kept for so long.

    Where CloudWatch has no point there were no requests: a balancer reports none without one. Without dimensions
    those of the only balancer that has the metric are taken. Raises UsageError where there is nothing to read,
    AccessError or ApiError where AWS refuses.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
    """
    namespace, _, name = metric.rpartition("/")
    if not namespace or not name:
        raise UsageError(f"--cloudwatch {metric}: give NAMESPACE/METRIC, as in AWS/ApplicationELB/RequestCount")
    dimensions = dict(dimensions) or only_balancer(aws, namespace, name)
    period_s = next(period_s for most, period_s in _KEPT if days <= most)
    # Whole periods, and none that is still being filled.
    end = int(now.timestamp()) // period_s * period_s
    start = end - days * 86400
    stat = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        },
        "Period": period_s,
        "Stat": "Sum",
    }
    sums, points = np.zeros(days * 86400 // period_s), 0
    for page in aws.pages(
        "cloudwatch",
        "get_metric_data",
        MetricDataQueries=[{"Id": "requests", "MetricStat": stat}],
        StartTime=datetime.fromtimestamp(start, UTC),
        EndTime=datetime.fromtimestamp(end, UTC),
        ScanBy="TimestampAscending",
    ):
        for result in page["MetricDataResults"]:
            for time, value in zip(result["Timestamps"], result["Values"], strict=True):
                sums[(int(time.timestamp()) - start) // period_s] += value
                points += 1
    says = ", ".join(f"{key}={value}" for key, value in dimensions.items())
    if not points:
        raise UsageError(
            f"--cloudwatch {metric}: no point with {says} in the last {days} days in {aws.region}; give another"
            " --dimension, --region or --days"
        )
    if sums.min() < 0:
        raise UsageError(f"--cloudwatch {metric}: it has sums below 0, so it does not count requests; give another")
    notes = (f"{metric} with {says}: {points} of {len(sums)} sums over {period_s} s, the rest without a request",)
    requests = np.repeat(sums / period_s, period_s)
    return Traffic(f"{metric}, {says}", requests, datetime.fromtimestamp(start, UTC), notes, period_s)


def only_balancer(aws: Aws, namespace: str, name: str) -> dict[str, str]:
    """The dimension of the only balancer that has a metric. Raises UsageError where there are none or several."""
    balancers = sorted(
        {
            metric["Dimensions"][0]["Value"]
            for page in aws.pages("cloudwatch", "list_metrics", Namespace=namespace, MetricName=name)
            for metric in page["Metrics"]
            if [dimension["Name"] for dimension in metric["Dimensions"]] == ["LoadBalancer"]
        }
    )
    if len(balancers) == 1:
        return {"LoadBalancer": balancers[0]}
    which = (
        f"{len(balancers)} balancers have it ({', '.join(balancers[:5])})"
        if balancers
        else f"no balancer in {aws.region} has it"
    )
    raise UsageError(f"--cloudwatch {namespace}/{name}: {which}; give --dimension LoadBalancer=app/NAME/ID")
