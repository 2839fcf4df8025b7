"""Traffic: requests for each second, made up here or read from files (series.py, access_logs.py, cloudwatch.py).

Made-up traffic is a pure function of its numbers, noise included, and the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.errors import UsageError

MAX_SECONDS = 400 * 86400
"""The longest span of a file; what is longer is a time with a typing error."""
_COARSE_S = 300  # bins that are wider than most crowds take to come
_CHANCES = (0, 0.5, 0.9, 0.99, 0.999, 1)
_BURSTS = (
    (300, 60, (1, 1.07, 1.19, 1.41, 2.4, 4.7)),
    (900, 180, (1, 1.14, 1.31, 1.59, 3.6, 4.1)),
    (3600, 480, (1, 1.22, 1.46, 2.7, 7.0, 11.3)),
)
"""Of intervals of so many seconds: for how long the traffic is above half of its burst, and the highest minute over the
mean, of such a share of the intervals. From the minutes of the web site of the football World Cup of 1998, 4 May to 21
June, intervals of 10 requests a second and more. One in a hundred hours has 3.8 in the first half of these weeks and
1.5 in the second: other sites differ by as much, at the least.
https://github.com/nimamahmoudi/worldcup98-dataset"""


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

    def with_bursts(self, seed: int) -> Traffic:
        """The same sums, with a burst somewhere in each bin, as high as chance has it on a site that is known by the
        minute. Bins that are wider than an hour have one in each hour."""
        random = Random(seed)
        whole = min(self.bin_s, _BURSTS[-1][0])
        widths = np.log([width for width, _, _ in _BURSTS])
        columns = zip(*(factors for _, _, factors in _BURSTS), strict=True)
        factors = [float(np.interp(math.log(whole), widths, column)) for column in columns]
        usual_s = float(np.interp(math.log(whole), widths, [length for _, length, _ in _BURSTS]))
        requests = self.requests.copy()
        for first in range(0, len(requests) - whole + 1, whole):
            factor = float(np.interp(random.random(), _CHANCES, factors))
            length = int(min(usual_s, 0.8 * whole / factor))
            at = first + int(random.random() * (whole - length))
            rest = (whole - factor * length) / (whole - length)
            requests[first:at] *= rest
            requests[at : at + length] *= factor
            requests[at + length : first + whole] *= rest
        return replace(self, requests=requests)

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


def at_once(traffics: Sequence[Traffic]) -> list[Traffic]:
    """Traffics as they come together: cut to the time that all have in common, those without a date from their
    beginning on. Raises UsageError where there is none."""
    dated = [traffic.start for traffic in traffics if traffic.start]
    begin = max(dated, default=None)
    cut = []
    for traffic in traffics:
        late = int((begin - traffic.start).total_seconds()) if begin and traffic.start else 0
        cut.append(replace(traffic, requests=traffic.requests[late:], start=begin))
    length = min(len(traffic.requests) for traffic in cut)
    if not length:
        told = " and ".join(f"{one.name} from {one.start:%Y-%m-%d %H:%M}" for one in traffics if one.start)
        raise UsageError(f"the traffics have no time in common: {told}; give traffics of the same time")
    common = []
    for traffic, part in zip(traffics, cut, strict=True):
        gone = len(traffic.requests) - length
        note = [f"{gone} s of it are left out, of which another traffic has nothing"] if gone else []
        common.append(replace(part, requests=part.requests[:length], notes=(*part.notes, *note)))
    return common


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
    return Traffic(kind, np.array(requests, dtype=np.float64))


def summed(traffics: Sequence[Traffic]) -> Traffic:
    """Traffics that come together, each at its own time; a second that none of them knows has no request.

    Raises UsageError where they lie more than 400 days apart.
    """
    if len(traffics) == 1:
        return traffics[0]
    starts = [traffic.start for traffic in traffics]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        raise UsageError(f"{_names(traffics)}: not all of them know their time; put them one after the other instead")
    first = min(known)
    places = [int((start - first).total_seconds()) for start in known]
    ends = [place + len(traffic.requests) for place, traffic in zip(places, traffics, strict=True)]
    if max(ends) > MAX_SECONDS:
        raise UsageError(
            f"{_names(traffics)}: they lie {max(ends) / 86400:.0f} days apart; 400 at most, or put them one after the"
            " other"
        )
    requests, covered = np.zeros(max(ends)), np.zeros(max(ends), dtype=bool)
    for place, end, traffic in zip(places, ends, traffics, strict=True):
        requests[place:end] += traffic.requests
        covered[place:end] = True
    notes = [note for traffic in traffics for note in traffic.notes]
    if hole := int((~covered).sum()):
        notes.append(f"{hole} s lie between the files and are taken to be without a request")
    return Traffic(traffics[0].name, requests, first, tuple(notes), max(traffic.bin_s for traffic in traffics))


def one_after_the_other(traffics: Sequence[Traffic]) -> Traffic:
    """Traffics put end to end in the order given, from the time of the first on, whenever the others were."""
    if len(traffics) == 1:
        return traffics[0]
    requests = np.concatenate([traffic.requests for traffic in traffics])
    if len(requests) > MAX_SECONDS:
        raise UsageError(f"{_names(traffics)}: {len(requests) / 86400:.0f} days together; 400 at most")
    notes = (*(note for traffic in traffics for note in traffic.notes), "the files are put one after the other")
    return Traffic(traffics[0].name, requests, traffics[0].start, notes, max(traffic.bin_s for traffic in traffics))


def _names(traffics: Sequence[Traffic]) -> str:
    return ", ".join(traffic.name for traffic in traffics)
