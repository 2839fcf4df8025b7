"""Traffic as a table of times and numbers: CSV files, and what CloudWatch and Prometheus give as JSON.

What the numbers are is said by whoever gives them: requests of each interval (count), requests a second (rate), or a
counter that only rises until its process starts anew (counter).
"""

from __future__ import annotations

import csv
import gzip
import itertools
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.traffic import MAX_SECONDS, Traffic

Values = Literal["count", "rate", "counter"]

_HEAD = 1000  # rows that the interval and the form of the times are read off
_FEW = 50  # of them that every form of a time is tried on
_MOST_HEADINGS = 50  # lines before the first row of numbers; CloudWatch's console writes a handful
_TOLERATED = 1000  # one row of so many may be unreadable
_MOST_MISSING = 0.5  # of the intervals: with more it is not a measurement of them
_MS = 1e11  # from here on a number of seconds since 1970 is one of milliseconds
_HOUR_S = 3600

_Clock = Callable[[str], float | None]
"""Reads a time as seconds since 1970. A time without a zone is taken as UTC."""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        # Where a semicolon or a tab divides the columns, a comma may divide a number: 12,5.
        whole, comma, part = text.strip().partition(",")
        return float(f"{whole}.{part}") if comma and whole.lstrip("-").isdigit() and part.isdigit() else None


def _epoch(text: str) -> float | None:
    number = _number(text)
    if number is None or not math.isfinite(number):
        return None
    seconds = number / 1000 if number >= _MS else number
    return seconds if 0 <= seconds < _MS else None


def _iso(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _written(form: str) -> _Clock:
    def clock(text: str) -> float | None:
        try:
            return datetime.strptime(" ".join(text.replace(",", " ").split()), form).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            return None

    return clock


_HOURS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
# Dates that mean one day whoever reads them; those by slashes and dashes stand in two orders, which a file's days above
# the twelfth tell apart.
_DAYS = ("%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%b %d %Y", "%d %B %Y", "%B %d %Y")
_TWO_WAYS = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"), ("%d/%m/%y", "%m/%d/%y"))
_CLOCKS: dict[str, _Clock] = {
    "seconds since 1970": _epoch,
    "ISO 8601": _iso,
    **{f"{day} {hour}": _written(f"{day} {hour}") for day in _DAYS for hour in _HOURS},
    **{f"{day} {hour}": _written(f"{day} {hour}") for days in _TWO_WAYS for day in days for hour in _HOURS},
}
_OTHER_WAY = {
    f"{day} {hour}": f"{other} {hour}" for days in _TWO_WAYS for day, other in (days, days[::-1]) for hour in _HOURS
}
_NO_TIME = "give 2026-11-23T08:00:00 or seconds since 1970"


_Row = tuple[float, float, int]
"""A time, a number, and the line of both."""


@dataclass
class _Left:
    """What is left out of a file: how many rows cannot be read, and the first of them."""

    rows: int = 0
    wrong: int = 0
    first: str = ""
    strict: bool = False

    def out(self, where: str, why: str) -> None:
        if self.strict:
            raise UsageError(f"{where}: {why}")
        self.wrong += 1
        self.first = self.first or f"{where}: {why}"

    def note(self) -> tuple[str, ...]:
        """Raises UsageError, with the first of them, where they are more than torn rows."""
        if not self.wrong:
            return ()
        if self.wrong * _TOLERATED > self.rows:
            raise UsageError(self.first)
        return (f"{self.wrong} of {self.rows} rows cannot be read and are left out, the first of them {self.first}",)


def from_csv(path: Path, values: Values = "count", strict: bool = False) -> Traffic:
    """Headings, then a time and a number a row; commas, semicolons or tabs between them.

    Times are ISO 8601, seconds or milliseconds since 1970, or a date that can be read in one way, strictly rising; the
    interval is read off them. A gap takes the row before it. One row in a thousand that cannot be read is left out and
    told; `strict` refuses the first. Holds eight bytes a row and sixty a second. Raises UsageError with the line.
    """
    table = _Table(path)
    head = list(itertools.islice(table.rows(), _HEAD))
    clock, local = table.clock(head)
    left = _Left(strict=strict)
    rows = _read(table.rows(), path, clock, local, left)
    return _series(rows, path, values, left, local)


class _Table:
    """The rows of a CSV file below its headings, as cells; read anew each time that they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path) as file:
            try:
                start = [line for _, line in zip(range(_MOST_HEADINGS + 2), file, strict=False)]
            except (EOFError, OSError) as error:
                raise UsageError(f"{path}: {error}; give a whole CSV file") from None
        if not "".join(start).strip():
            raise UsageError(f"{path}: the file is empty; give a header, then a time and a count a line")
        self.delimiter = next((mark for mark in "\t;" if mark in start[0] and "," not in start[0]), None) or (
            "\t" if "\t" in start[-1] and "," not in start[-1] else ","
        )
        self.headings = self._headings()

    def _headings(self) -> int:
        """How many lines come before the first row: none of them begins with a time, nor has a number beside it."""
        for line, cells in itertools.islice(self._cells(), _MOST_HEADINGS + 1):
            if line == 1 and len(cells) != 2:
                raise UsageError(
                    f"{self.path}:1: {len(cells)} columns; give two, a time and the requests of that interval"
                )
            heading, *rest = cells or ("",)
            word = heading.strip().lower()
            if word in ("statistic", "stat") and "".join(rest).strip().lower() != "sum":
                raise UsageError(f"{self.path}:{line}: {heading.strip()} is {','.join(rest)}; requests are told by Sum")
            # CloudWatch's console has the seconds of a period among its headings.
            is_row = word != "period" and any(_number(cell) is not None for cell in rest)
            if is_row or any(clock(heading) is not None for clock in _CLOCKS.values()):
                if line == 1:
                    raise UsageError(
                        f"{self.path}:1: {','.join(cells)} is data; the first line has to name the two columns"
                    )
                return line - 1
        return 1

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        with opened(self.path) as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            try:
                yield from enumerate(reader, 1)
            except (csv.Error, EOFError, gzip.BadGzipFile, OSError) as error:
                raise UsageError(f"{self.path}: {error}; give a whole CSV file") from None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        return ((line, cells) for line, cells in self._cells() if line > self.headings and cells)

    def clock(self, head: Sequence[tuple[int, list[str]]]) -> tuple[_Clock, bool]:
        """What reads most of the times, and whether they are without a zone. Raises UsageError for two ways of it."""
        texts = [cells[0] for _, cells in head]
        for clock, zoned in ((_epoch, True), (_iso, False)):
            if 2 * sum(clock(text) is not None for text in texts) > len(texts):
                return clock, not zoned and not all(_has_zone(text) for text in texts)
        few = texts[:_FEW]
        read = {form: sum(clock(text) is not None for text in few) for form, clock in _CLOCKS.items()}
        form = max(read, key=lambda form: read[form])
        if not few or not read[form]:
            return _iso, False
        other = _OTHER_WAY.get(form)
        if other and read[other] == read[form]:
            form = self._only_way(form, other)
        return _CLOCKS[form], True

    def _only_way(self, form: str, other: str) -> str:
        for _, cells in self.rows():
            one, two = (_CLOCKS[way](cells[0]) is not None for way in (form, other))
            if one != two:
                return form if one else other
        text = next(cells[0] for _, cells in self.rows())
        days = [datetime.fromtimestamp(_CLOCKS[way](text) or 0, UTC) for way in (form, other)]
        said = " or ".join(f"{day.day} {day:%B}" for day in days)
        raise UsageError(f"{self.path}: {text} may be {said}, and no row tells which; {_NO_TIME}")


def _has_zone(text: str) -> bool:
    try:
        return datetime.fromisoformat(text.strip()).tzinfo is not None
    except ValueError:
        return True


def _read(rows: Iterable[tuple[int, list[str]]], path: Path, clock: _Clock, local: bool, left: _Left) -> Iterator[_Row]:
    first, before, said = math.inf, -math.inf, ""
    for line, cells in rows:
        left.rows += 1
        if len(cells) != 2:
            left.out(f"{path}:{line}", f"{len(cells)} columns; give two, a time and the requests of that interval")
            continue
        time, number = clock(cells[0]), _number(cells[1])
        if time is None:
            left.out(f"{path}:{line}", f"{cells[0]!r} is no time; {_NO_TIME}")
        elif number is None or not math.isfinite(number) or number < 0:
            left.out(f"{path}:{line}", f"{cells[1]!r} requests; give a number of 0 or more")
        elif time <= before:
            why = "sort the rows, one an interval"
            if local and before - time <= _HOUR_S:
                why = f"where clocks are set back, local times come twice: give them in UTC or with an offset; or {why}"
            left.out(f"{path}:{line}", f"{cells[0].strip()} is not after the row before, {said.strip()}; {why}")
        elif time - first > MAX_SECONDS:
            left.out(f"{path}:{line}", f"{(time - first) / 86400:.0f} days after the first row; 400 at most")
        else:
            before, said, first = time, cells[0], min(first, time)
            yield time, number, line


def _series(rows: Iterator[_Row], path: Path, values: Values, left: _Left, local: bool) -> Traffic:
    """Rows on one grid as traffic; a gap takes the row before."""
    head = list(itertools.islice(rows, _HEAD))
    if len(head) < 2:
        left.note()
        raise UsageError(f"{path}: {len(head)} rows; the interval is read off the times, so give two at least")
    interval = _interval([time for time, _, _ in head], path)
    numbers, gaps = array("d"), 0
    forward = ""
    start = head[0][0]
    for time, number, line in itertools.chain(head, rows):
        place, off = divmod(time - start, interval)
        if off:
            left.out(f"{path}:{line}", f"the time is {off:g} s off the interval of {interval:g} s; give one grid")
            continue
        missing = int(place) - len(numbers)
        if missing:
            gaps += missing
            if local and not forward and missing * interval == _HOUR_S:
                at = datetime.fromtimestamp(time, UTC) - timedelta(seconds=_HOUR_S)
                # Clocks are set on a Sunday's first hours nearly everywhere.
                forward = f"{at:%Y-%m-%d %H:%M}" if at.weekday() == 6 and at.hour < 4 else ""
            numbers.extend([numbers[-1]] * missing)
        numbers.append(number)
    notes = left.note()
    if gaps > _MOST_MISSING * len(numbers):
        raise UsageError(
            f"{path}: {gaps} of {len(numbers)} intervals of {interval:g} s are missing; give a file that has at least"
            " half of them, with a row for an interval without a request, too"
        )
    if gaps:
        notes += (f"{gaps} of {len(numbers)} intervals of {interval:g} s are missing; each takes the one before",)
    if forward:
        notes += (
            f"an hour is missing at {forward}, as where clocks are set forward: times without a zone are taken as UTC",
        )
    return _traffic(path, np.frombuffer(numbers, dtype=np.float64), int(interval), start, values, notes)


def _interval(times: Sequence[float], path: Path) -> float:
    """The shortest distance where all are multiples of it, else the one that is there most: a stray row has others."""
    apart = Counter(second - first for first, second in itertools.pairwise(times))
    interval = min(apart)
    if any(distance % interval for distance in apart):
        most = max(apart.values())
        interval = min(distance for distance, often in apart.items() if often == most)
    if interval < 1 or interval != int(interval):
        raise UsageError(f"{path}: times are {interval:g} s apart; give whole seconds, one at least")
    return interval


def _traffic(
    path: Path, numbers: NDArray[np.float64], interval: int, start: float, values: Values, notes: Sequence[str]
) -> Traffic:
    if values == "counter":
        numbers = _rises(numbers)[1:]
        start += interval
    requests = np.repeat(numbers if values == "rate" else numbers / interval, interval)
    return Traffic(path.name, requests, datetime.fromtimestamp(start, UTC), tuple(notes), interval)


def from_metrics(path: Path, values: Values | None = None, strict: bool = False) -> Traffic:
    """What `aws cloudwatch get-metric-data` or `get-metric-statistics`, or Prometheus's query_range gave, as JSON.

    CloudWatch has no point where a balancer had no request, so that its gaps are none; its sums are counts. Prometheus
    drops a metric's name in `rate` and `increase` alike, so that `values` has to say which, but where the series is the
    counter itself. Several series of Prometheus are added. Raises UsageError.
    """
    try:
        with opened(path) as file:
            said = msgspec.json.decode(file.read())
        keys = said if isinstance(said, dict) else ()
        answer = msgspec.convert(said, next((_FORMS[key] for key in _FORMS if key in keys), list[_Samples]))
        if isinstance(answer, _Range):
            kind = answer.data.resultType
            if kind != "matrix":
                raise UsageError(f"{path}: a {kind} of Prometheus; give what query_range answers, a matrix")
            answer = msgspec.convert(answer.data.result, list[_Samples])
    except (msgspec.DecodeError, UnicodeError, RecursionError, EOFError, OSError) as error:
        raise UsageError(f"{path}: {error}; {_NO_METRICS}") from None
    if isinstance(answer, list):
        return _prometheus(path, answer, values, strict)
    return _cloudwatch(path, answer.points(path), values, strict)


_NO_METRICS = (
    "give what aws cloudwatch get-metric-data or get-metric-statistics, or Prometheus's query_range printed as JSON"
)


class _Result(Struct, frozen=True):
    Label: str = ""
    Timestamps: list[Any] = []
    Values: list[Any] = []


class _MetricData(Struct, frozen=True):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""

    MetricDataResults: list[_Result]

    def points(self, path: Path) -> Iterator[tuple[Any, Any]]:
        if len(self.MetricDataResults) != 1:
            labels = ", ".join(result.Label for result in self.MetricDataResults)
            said = f" ({labels})" if labels else ""
            raise UsageError(f"{path}: {len(self.MetricDataResults)} results{said}; give one, of the requests")
        return zip(self.MetricDataResults[0].Timestamps, self.MetricDataResults[0].Values, strict=False)


class _Statistics(Struct, frozen=True):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html"""

    Datapoints: list[dict[str, Any]]

    def points(self, path: Path) -> Iterator[tuple[Any, Any]]:
        for point in self.Datapoints:
            if "Sum" not in point:
                known = ", ".join(key for key in point if key not in ("Timestamp", "Unit")) or "nothing"
                raise UsageError(f"{path}: a point has {known}, no Sum; ask for --statistics Sum")
            yield point.get("Timestamp"), point["Sum"]


class _Samples(Struct, frozen=True):
    """One series of a matrix: https://prometheus.io/docs/prometheus/latest/querying/api/#range-vectors"""

    values: list[tuple[Any, Any]]
    metric: dict[str, str] = {}


class _Data(Struct, frozen=True):
    resultType: str
    result: list[Any]


class _Range(Struct, frozen=True):
    """https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries"""

    data: _Data


_FORMS: dict[str, Any] = {"MetricDataResults": _MetricData, "Datapoints": _Statistics, "data": _Range}


def _cloudwatch(path: Path, pairs: Iterable[tuple[Any, Any]], values: Values | None, strict: bool) -> Traffic:
    """Points in any order; what is between them had no request."""
    left = _Left(strict=strict)
    points = _points(path, pairs, left)
    traffic = _added(path, [points], values or "count", left.note())
    known, every = len({time for time, _ in points}), len(traffic.requests) // traffic.bin_s
    if known >= every:
        return traffic
    note = f"{known} of {every} sums over {traffic.bin_s} s, the rest without a request"
    return replace(traffic, notes=(*traffic.notes, note))


def _points(path: Path, pairs: Iterable[tuple[Any, Any]], left: _Left) -> list[tuple[float, float]]:
    """The pairs that are a time and a number."""
    points = []
    for place, (time, value) in enumerate(pairs, 1):
        left.rows += 1
        point = _point(time, value)
        if isinstance(point, str):
            left.out(f"{path}: point {place}", point)
        else:
            points.append(point)
    return points


def _point(time: Any, value: Any) -> tuple[float, float] | str:
    second = _epoch(str(time))
    if second is None and isinstance(time, str):
        second = _iso(time)
    if second is None:
        return f"{time!r} is no time; {_NO_TIME}"
    number = _number(value) if isinstance(value, str) else value
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number) or number < 0:
        return f"{value!r} requests; give a number of 0 or more"
    return second, float(number)


def _prometheus(path: Path, series: Sequence[_Samples], values: Values | None, strict: bool) -> Traffic:
    if not series:
        raise UsageError(f"{path}: no series in it; widen the query's time, or mend its name")
    names = {one.metric.get("__name__", "") for one in series}
    if values is None:
        if not all(name.endswith(("_total", "_count")) for name in names):
            raise UsageError(
                f"{path}: {', '.join(sorted(names)) if any(names) else 'the series'} may be a rate or a count of each"
                " step, which Prometheus does not say; give --values rate or --values count"
            )
        values = "counter"
    left = _Left(strict=strict)
    every = [_points(path, one.values, left) for one in series]
    return _added(path, every, values, left.note())


def _added(
    path: Path, series: Sequence[Sequence[tuple[float, float]]], values: Values, notes: tuple[str, ...]
) -> Traffic:
    """Series on the grid of all of them; where one has no sample it has no request."""
    times = sorted({time for samples in series for time, _ in samples})
    if len(times) < 2:
        raise UsageError(f"{path}: {len(times)} points; the interval is read off the times, so give two at least")
    interval = _interval(times, path)
    if times[-1] - times[0] + interval > MAX_SECONDS:
        raise UsageError(f"{path}: {(times[-1] - times[0]) / 86400:.0f} days; 400 at most")
    total = np.zeros(int((times[-1] - times[0]) // interval) + 1)
    for samples in series:
        numbers = np.full(len(total), np.nan)
        for time, number in samples:
            place, off = divmod(time - times[0], interval)
            if off:
                raise UsageError(f"{path}: a sample is {off:g} s off the step of {interval:g} s; give one range query")
            numbers[int(place)] = number
        total += _rises(numbers) if values == "counter" else np.nan_to_num(numbers)
    if values == "counter":
        return _traffic(path, total[1:], int(interval), times[0] + interval, "count", notes)
    return _traffic(path, total, int(interval), times[0], values, notes)


def _rises(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much a counter has risen up to each sample, from the one before it; 0 where it has none.

    What a process counts anew from 0 after its start is what came since.
    """
    rises = np.zeros(len(numbers))
    (places,) = np.nonzero(~np.isnan(numbers))
    known = numbers[places]
    steps = np.diff(known)
    rises[places[1:]] = np.where(steps >= 0, steps, known[1:])
    return rises


def opened(path: Path) -> IO[str]:
    """A file as text. What is no UTF-8 makes its own line unreadable, not the file. Raises UsageError."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        opener = gzip.open if zipped else open
        return opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file that can be read") from None


def lines_of(file: Iterable[str], path: Path) -> Iterator[tuple[int, str]]:
    """Its lines with their numbers. Raises UsageError where a gzipped file ends too early."""
    try:
        yield from enumerate(file, 1)
    except (EOFError, OSError) as error:
        raise UsageError(f"{path}: {error}; give a whole file") from None
