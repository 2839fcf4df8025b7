"""Traffic: requests for each second, made up or read from a file.

Made-up traffic is a pure function of its numbers, noise included, and the same on every machine.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import IO

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.errors import UsageError

__all__ = ["KINDS", "Traffic", "from_access_logs", "from_csv", "synthetic"]

MAX_SECONDS = 400 * 86400
"""The longest span of a file; what is longer is a time with a typing error."""
_HEAD = 1000  # rows that the interval is read off
_COARSE_S = 300  # bins that are wider than most crowds take to come
_MOST_UNREADABLE = 0.5  # of a log's lines: with more it is no log, or none of this format


@dataclass(frozen=True)
class Traffic:
    """Requests that arrive in each second from `start` on, known by sums over `bin_s` seconds.

    `notes` says what was left out of a file, or put in.
    """

    name: str
    requests: NDArray[np.float64]
    start: datetime | None = None
    notes: tuple[str, ...] = ()
    bin_s: int = 1

    @property
    def caution(self) -> str:
        """What wide bins hide, as a sentence; empty where they are narrow."""
        if self.bin_s < _COARSE_S:
            return ""
        return (
            f"Only sums over {self.bin_s} s are known, taken as even: crowds inside of them are not seen, and more will"
            " be missed than this says."
        )

    def window(self, first: int, last: int) -> Traffic:
        """The seconds from `first` up to `last`."""
        start = self.start + timedelta(seconds=first) if self.start else None
        return replace(self, requests=self.requests[first:last], start=start)

    def times(self, factor: float) -> Traffic:
        """The same traffic, so many times as much."""
        return replace(self, requests=self.requests * factor)


def _shape(length: float, value: Callable[[float], float]) -> list[float]:
    # Rounded, so that the last bit of a cosine, which may differ by machine, is in no result.
    return [round(max(0.0, value(second + 0.5)), 6) for second in range(int(length))]


def _flash_crowd(
    base: float, peak: float, at: float, rise: float, hold: float, fall: float, hours: float
) -> list[float]:
    def value(second: float) -> float:
        since = second - at
        up = min(1.0, max(0.0, since / rise if rise else float(since >= 0)))
        down = min(1.0, max(0.0, (since - rise - hold) / fall if fall else float(since >= rise + hold)))
        return base + (peak - base) * (up - down)

    return _shape(hours * 3600, value)


def _diurnal(low: float, high: float, days: float, noise: float, seed: float) -> list[float]:
    wobble = _wobble(int(days * 86400), noise, int(seed))
    middle, swing = (low + high) / 2, (high - low) / 2
    # Lowest at four in the morning.
    return _shape(
        days * 86400,
        lambda second: (middle - swing * math.cos(2 * math.pi * (second / 86400 - 4 / 24))) * wobble[int(second) // 10],
    )


def _ramp(base: float, peak: float, at: float, rise: float, hours: float) -> list[float]:
    return _shape(hours * 3600, lambda second: base + (peak - base) * min(1.0, max(0.0, (second - at) / rise)))


def _step(base: float, peak: float, at: float, hours: float) -> list[float]:
    return _shape(hours * 3600, lambda second: peak if second >= at else base)


def _noise(mean: float, spread: float, hours: float, seed: float) -> list[float]:
    wobble = _wobble(int(hours * 3600), spread, int(seed))
    return _shape(hours * 3600, lambda second: mean * wobble[int(second) // 10])


def _seed_load_test(workers: float, minutes: float, rest: float) -> list[float]:
    """`hey` with 50 workers at 5, 10, 15 and 20 requests a second each, then none."""
    steps = (5, 10, 15, 20)
    return _shape(
        (len(steps) * minutes + rest) * 60,
        lambda second: workers * dict(enumerate(steps)).get(int(second // (minutes * 60)), 0),
    )


def _wobble(length: int, spread: float, seed: int) -> list[float]:
    """A factor around 1 for every 10 s, with a memory of about ten minutes and the given standard deviation."""
    random = Random(seed)
    keep, level, factors = 1 - 1 / 60, 0.0, []
    push = math.sqrt(1 - keep * keep)
    for _ in range(length // 10 + 2):
        # Twelve uniforms make a normal without logarithms, whose last bit differs by machine.
        level = keep * level + push * (sum(random.random() for _ in range(12)) - 6)
        factors.append(max(0.0, 1 + spread * level))
    return factors


KINDS: dict[str, tuple[Callable[..., list[float]], dict[str, tuple[float, str]]]] = {
    "flash-crowd": (
        _flash_crowd,
        {
            "base": (50, "requests a second before and after"),
            "peak": (500, "requests a second at the top"),
            "at": (1800, "second at which it begins"),
            "rise": (60, "seconds from base to peak"),
            "hold": (1200, "seconds at the peak"),
            "fall": (600, "seconds back to the base"),
            "hours": (2, "hours in all"),
        },
    ),
    "diurnal": (
        _diurnal,
        {
            "low": (50, "requests a second at four in the morning"),
            "high": (500, "requests a second at four in the afternoon"),
            "days": (1, "days in all"),
            "noise": (0.1, "standard deviation as a share"),
            "seed": (1, "of the noise"),
        },
    ),
    "ramp": (
        _ramp,
        {
            "base": (50, "requests a second at first"),
            "peak": (500, "requests a second at last"),
            "at": (900, "second at which it begins"),
            "rise": (3600, "seconds from base to peak"),
            "hours": (2, "hours in all"),
        },
    ),
    "step": (
        _step,
        {
            "base": (50, "requests a second at first"),
            "peak": (500, "requests a second after the step"),
            "at": (1800, "second of the step"),
            "hours": (2, "hours in all"),
        },
    ),
    "noise": (
        _noise,
        {
            "mean": (200, "requests a second"),
            "spread": (0.3, "standard deviation as a share"),
            "hours": (6, "hours in all"),
            "seed": (1, "of the noise"),
        },
    ),
    "seed-load-test": (
        _seed_load_test,
        {
            "workers": (50, "that send 5, 10, 15, then 20 requests a second each"),
            "minutes": (10, "at each of the four rates"),
            "rest": (60, "minutes without traffic afterwards"),
        },
    ),
}
"""Made-up traffics: the shape, and its numbers with their default and meaning."""


def synthetic(kind: str, numbers: Mapping[str, float] | None = None) -> Traffic:
    """A made-up traffic. Raises UsageError on an unknown kind or number."""
    if kind not in KINDS:
        raise UsageError(f"traffic {kind}: unknown; there are {', '.join(KINDS)}")
    shape, known = KINDS[kind]
    given = dict(numbers or {})
    for name, value in given.items():
        if name not in known:
            described = ", ".join(f"{key} ({meaning}, {default:g})" for key, (default, meaning) in known.items())
            raise UsageError(f"traffic {kind}: no number {name}; it takes {described}")
        if not math.isfinite(value) or value < 0:
            raise UsageError(f"traffic {kind}: {name} = {value}; give a number of 0 or more")
    values = {name: given.get(name, default) for name, (default, _) in known.items()}
    length = values.get("hours", 0) * 3600 + values.get("days", 0) * 86400
    if length > MAX_SECONDS:
        raise UsageError(f"traffic {kind}: {length / 86400:g} days; 400 at most")
    if kind == "ramp" and not values["rise"]:
        raise UsageError("traffic ramp: rise = 0; give seconds above 0, or use step")
    requests = shape(**values)
    if not requests:
        raise UsageError(f"traffic {kind}: it has no second in it; give it a length")
    return Traffic(kind, np.array(requests))


def from_csv(path: Path) -> Traffic:
    """A header, then a time and the requests of that interval a row. The interval is read off the times.

    Times are ISO 8601 or seconds since 1970, strictly rising. A gap takes the row before it. Holds eight bytes a row
    and sixty a second. Raises UsageError with the line.
    """
    with _opened(path) as file:
        reader = csv.reader(file)
        header = _next(reader, path)
        if header is None:
            raise UsageError(f"{path}: the file is empty; give a header, then a time and a count a line")
        if len(header) != 2:
            raise UsageError(f"{path}:1: {len(header)} columns; give two, a time and the requests of that interval")
        if _time(header[0]) is not None and _number(header[1]) is not None:
            raise UsageError(f"{path}:1: {','.join(header)} is data; the first line has to name the two columns")
        rows = _rows(reader, path)
        head = list(itertools.islice(rows, _HEAD))
        if len(head) < 2:
            raise UsageError(f"{path}: {len(head)} rows; the interval is read off the times, so give two at least")
        interval = min(second[0] - first[0] for first, second in itertools.pairwise(head))
        if interval < 1 or interval != int(interval):
            raise UsageError(f"{path}: times are {interval:g} s apart; give whole seconds, one at least")
        counts, gaps = array("d"), 0
        start, line = head[0][0], 2
        for group in (head, rows):
            for time, count, line in group:
                place, off = divmod(time - start, interval)
                if off:
                    raise UsageError(
                        f"{path}:{line}: the time is {off:g} s off the interval of {interval:g} s; give one grid"
                    )
                if (place + 1) * interval > MAX_SECONDS:
                    raise UsageError(
                        f"{path}:{line}: {place * interval / 86400:.0f} days after the first row; 400 at most"
                    )
                missing = int(place) - len(counts)
                if missing:
                    gaps += missing
                    counts.extend([counts[-1]] * missing)
                counts.append(count)
    notes = (
        (f"{gaps} of {len(counts)} intervals of {interval:g} s are missing; each takes the one before",) if gaps else ()
    )
    values = np.repeat(np.frombuffer(counts, dtype=np.float64) / interval, int(interval))
    return Traffic(path.name, values, datetime.fromtimestamp(start, UTC), notes, int(interval))


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[tuple[float, float, int]]:
    before, line = -math.inf, 1
    while (row := _next(reader, path)) is not None:
        line += 1
        if not row:
            continue
        if len(row) != 2:
            raise UsageError(f"{path}:{line}: {len(row)} columns; give two, a time and the requests of that interval")
        time, count = _time(row[0]), _number(row[1])
        if time is None:
            raise UsageError(f"{path}:{line}: {row[0]!r} is no time; give 2026-11-23T08:00:00 or seconds since 1970")
        if count is None or not math.isfinite(count) or count < 0:
            raise UsageError(f"{path}:{line}: {row[1]!r} requests; give a number of 0 or more")
        if time <= before:
            raise UsageError(f"{path}:{line}: {row[0]} is not after the row before; sort the rows, one an interval")
        before = time
        yield time, count, line


def _next(reader: Iterator[list[str]], path: Path) -> list[str] | None:
    try:
        return next(reader, None)
    except (csv.Error, EOFError, gzip.BadGzipFile, OSError) as error:
        raise UsageError(f"{path}: {error}; give a whole CSV file") from None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _time(text: str) -> float | None:
    """Seconds since 1970. A time without a zone is taken as UTC."""
    text = text.strip()
    if (number := _number(text)) is not None:
        return number if math.isfinite(number) and 0 <= number < 1e11 else None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _opened(path: Path) -> IO[str]:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        opener = gzip.open if zipped else open
        # What is no UTF-8 makes its own line unreadable, not the file.
        return opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file that can be read") from None


# Common and combined: host ident user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326
_COMMON = re.compile(r'\S+ \S+ .*?\[(\d\d)/(\w{3})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\] "')
# ALB: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
_ALB = re.compile(r"(?:http|https|h2|grpcs|ws|wss) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z ")
_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}  # noqa: SIM905


def from_access_logs(paths: Sequence[Path]) -> Traffic:
    """Requests a second counted from access logs: common, combined and ALB, gzipped or not, in any order.

    A line that cannot be read is left out and told, for real logs have torn ones. Holds one count for each second that
    has a request. Raises UsageError when more than half of a file's lines cannot be read, or there is none.
    """
    counts: Counter[int] = Counter()
    lines = unreadable = 0
    first = ""
    for path in paths:
        here: Counter[int] = Counter()
        wrong, wrong_first = 0, ""
        before, second, why = "", None, ""
        with _opened(path) as file:
            for number, line in _lines(file, path):
                if not line.strip():
                    continue
                match = _ALB.match(line) or _COMMON.match(line)
                if match is None:
                    second, why, before = None, "is not of a common, combined or ALB log", ""
                elif match[0] != before:
                    before, second, why = match[0], _log_time(match), "has a time that does not exist"
                if second is not None:
                    here[second] += 1
                    continue
                wrong += 1
                wrong_first = wrong_first or f"line {number} of {path}, which {why}: {line.strip()[:60]!r}"
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


def _lines(file: Iterable[str], path: Path) -> Iterator[tuple[int, str]]:
    try:
        yield from enumerate(file, 1)
    except (EOFError, OSError) as error:
        raise UsageError(f"{path}: {error}; give a whole file") from None


def _log_time(match: re.Match[str]) -> int | None:
    try:
        if match.re is _ALB:
            return int(datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp())
        day, month, year, clock, zone = match.groups()
        return int(datetime.fromisoformat(f"{year}-{_MONTHS[month]:02}-{day}T{clock}{zone[:3]}:{zone[3:]}").timestamp())
    except (ValueError, KeyError, OverflowError):
        return None
