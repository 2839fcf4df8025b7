"""What operators fear, as text to events of a run: `zone-lost@1800`, `slow@1800:600,factor=3`.

Grammar: NAME@SECOND, with :SECONDS for how long where the event has an end, and ,NAME=NUMBER for what else it has. The
seconds are those of the traffic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import Model
from scaleout_cfn.simulator.run import Event, World

__all__ = ["KINDS", "Fear", "Kind", "fears", "in_order"]


class Number(NamedTuple):
    """What an event may be given: its default, bounds, and meaning."""

    default: float
    least: float
    most: float
    meaning: str


@dataclass(frozen=True)
class Kind:
    """A sort of event: how long it lasts where nothing is said (None where it has no end), what else it takes, and what
    of it happens when, from its time and length on."""

    meaning: str
    lasts_s: int | None
    numbers: Mapping[str, Number]
    events: Callable[[Fear], list[Event]]


@dataclass(frozen=True)
class Fear:
    """An event as it was asked for: `second` of the traffic, `lasts_s` (0 where it has no end), numbers by name."""

    text: str
    kind: str
    second: int
    lasts_s: int
    numbers: Mapping[str, float]

    @property
    def events(self) -> list[Event]:
        """What befalls the run, and when."""
        return KINDS[self.kind].events(self)


def _zone_lost(fear: Fear) -> list[Event]:
    """A zone is gone at once, and back after a while. What ran there is started anew in the others.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-availability-zone-balanced.html
    """
    zones = int(fear.numbers["zones"])

    def lose(world: World, now: int) -> None:
        world.lose_zone(now, 0, zones)

    def regain(world: World, now: int) -> None:
        world.regain_zone(now, 0)

    return [Event(fear.second, lose), Event(fear.second + fear.lasts_s, regain)]


def _spot_wave(fear: Fear) -> list[Event]:
    """A share of what runs on Spot has its notice of two minutes.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    """

    def interrupt(world: World, now: int) -> None:
        world.interrupt_spot(now, fear.numbers["share"])

    return [Event(fear.second, interrupt)]


def _slow(fear: Fear) -> list[Event]:
    """A dependency is slow, so that a task does less in a second, and is as before afterwards.

    What comes again of those who gave up meanwhile, the herd, is that of `--retries`.
    """

    def slow(world: World, now: int) -> None:
        world.set_speed(now, 1 / fear.numbers["factor"])

    def well(world: World, now: int) -> None:
        world.set_speed(now, 1.0)

    return [Event(fear.second, slow), Event(fear.second + fear.lasts_s, well)]


KINDS: dict[str, Kind] = {
    "zone-lost": Kind(
        "a zone is gone with all that runs in it",
        1800,
        {"zones": Number(2, 2, 6, "zones that tasks on Fargate were in; nodes have their own")},
        _zone_lost,
    ),
    "spot-wave": Kind(
        "Spot takes capacity back, with its notice of 120 s",
        None,
        {"share": Number(0.5, 0.01, 1, "share of the capacity on Spot")},
        _spot_wave,
    ),
    "slow": Kind(
        "a dependency is slow",
        600,
        {"factor": Number(2, 1, 100, "times the service time")},
        _slow,
    ),
}
"""The events that a run can be given, by name."""


def fears(texts: Sequence[str], model: Model, seconds: int) -> tuple[Fear, ...]:
    """Events by their texts, of a model under a traffic of so many seconds.

    Raises UsageError on what cannot be read, never comes, has nothing to befall, or meets another of its kind.
    """
    found = tuple(_fear(text, seconds) for text in texts)
    for fear in found:
        if fear.kind == "spot-wave" and not model.pool.spot_percent:
            raise UsageError(f"--event {fear.text}: nothing of the pool is on Spot; leave the event out")
    ordered = sorted(found, key=lambda fear: (fear.kind, fear.second))
    for fear, then in pairwise(ordered):
        if fear.kind == then.kind and then.second <= fear.second + fear.lasts_s:
            raise UsageError(f"--event {then.text}: it begins before {fear.text} is over; give them apart")
    return found


def in_order(of: Sequence[Fear]) -> list[Event]:
    """What befalls the run, by time."""
    return sorted((event for fear in of for event in fear.events), key=lambda event: event.time)


def _fear(text: str, seconds: int) -> Fear:
    head, *pairs = text.split(",")
    name, at, when = head.partition("@")
    kind = KINDS.get(name)
    if kind is None:
        known = ", ".join(f"{each} ({kind.meaning})" for each, kind in KINDS.items())
        raise UsageError(f"--event {text}: no event {name!r}; there are {known}")
    lasting = kind.lasts_s is not None
    form = f"{name}@SECOND" + (":SECONDS" if lasting else "") + "".join(f",{each}=NUMBER" for each in kind.numbers)
    second, colon, length = when.partition(":")
    if not at or not second.isdecimal() or (colon and not (length.isdecimal() and int(length))):
        raise UsageError(f"--event {text}: give {form}, in whole seconds, as in {name}@1800{':600' if lasting else ''}")
    if colon and not lasting:
        raise UsageError(f"--event {text}: {name} is at once and has no length; give {form}")
    if int(second) >= seconds:
        raise UsageError(f"--event {text}: the traffic ends after {seconds} s; give an earlier second")
    numbers = {each: number.default for each, number in kind.numbers.items()}
    for pair in pairs:
        key, _, value = pair.partition("=")
        number = kind.numbers.get(key)
        if number is None:
            raise UsageError(f"--event {text}: {name} takes no {key!r}; give {form}")
        try:
            numbers[key] = float(value)
        except ValueError:
            numbers[key] = math.nan
        if not number.least <= numbers[key] <= number.most:
            raise UsageError(
                f"--event {text}: {key} = {value or 'nothing'}; give {number.least:g} to {number.most:g},"
                f" the {number.meaning}"
            )
    return Fear(text, name, int(second), int(length) if colon else kind.lasts_s or 0, numbers)
