"""What operators fear, as text to events of a run: `zone-lost@1800`, `slow@peak:600,factor=3`, `web=deployment@60`.

Grammar: NAME@SECOND, with :SECONDS for how long where the event has an end of its own, and ,NAME=NUMBER for what else
it has. The seconds are those of the traffic, and `peak` is the busiest. What befalls a service befalls all, or the one
whose name is in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.decide import Happening
from scaleout_cfn.simulator.model import Model
from scaleout_cfn.simulator.run import Event, World
from scaleout_cfn.simulator.traffic import Traffic


class Number(NamedTuple):
    """What an event may be given: its default, bounds, and meaning."""

    default: float
    least: float
    most: float
    meaning: str


@dataclass(frozen=True)
class Kind:
    """A sort of event: how long it lasts where nothing is said (None where it has no end of its own), what else it
    takes, what of it happens when, whether it befalls services (and not what they run on), and what it takes for a
    model to have anything that it could befall: in words, and as a test."""

    meaning: str
    lasts_s: int | None
    numbers: Mapping[str, Number]
    events: Callable[[Fear], list[Event]]
    of_services: bool = False
    needs: tuple[str, Callable[[Model], bool]] | None = None


@dataclass(frozen=True)
class Fear:
    """An event as it was asked for: `second` of the traffic, `lasts_s` (0 where it has no end of its own), numbers by
    name, and the service that it befalls, empty for all."""

    text: str
    kind: str
    second: int
    lasts_s: int
    numbers: Mapping[str, float]
    service: str = ""

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
        world.set_speed(now, 1 / fear.numbers["factor"], fear.service)

    def well(world: World, now: int) -> None:
        world.set_speed(now, 1.0, fear.service)

    return [Event(fear.second, slow), Event(fear.second + fear.lasts_s, well)]


def _deployment(fear: Fear) -> list[Event]:
    """A new version takes over, as the template says."""
    return [Event(fear.second, lambda world, now: world.deploy(now, fear.kind, fear.service))]


def _bad_image(fear: Fear) -> list[Event]:
    """A new version of which no task gets healthy; the circuit breaker takes it back, where there is one.

    That ECS waits longer and longer between starts that fail, as it does without one, is not simulated.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
    """
    fails_after_s = int(fear.numbers["after"])
    return [Event(fear.second, lambda world, now: world.deploy(now, fear.kind, fear.service, fails_after_s))]


def _node_roll(fear: Fear) -> list[Event]:
    """Nodes with a new machine image take the place of all."""
    return [Event(fear.second, lambda world, now: world.roll_nodes(now, fear.kind))]


def _cold_caches(fear: Fear) -> list[Event]:
    """Tasks that begin to serve meanwhile are slow at first."""

    def cool(world: World, now: int) -> None:
        world.cool(fear.numbers["share"], int(fear.numbers["warm"]), fear.service)

    return [
        Event(fear.second, cool),
        Event(fear.second + fear.lasts_s, lambda world, now: world.cool(fear.numbers["share"], 0, fear.service)),
    ]


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
        needs=("nothing of the pool is on Spot", lambda model: bool(model.pool.spot_percent)),
    ),
    "slow": Kind(
        "a dependency is slow",
        600,
        {"factor": Number(2, 1, 100, "times the service time")},
        _slow,
        of_services=True,
    ),
    "deployment": Kind("a new version takes over, as the template has it", None, {}, _deployment, of_services=True),
    "bad-image": Kind(
        "no task of a new version gets healthy, and the circuit breaker takes it back",
        None,
        {"after": Number(30, 0, 3600, "seconds from the start of such a task until ECS counts it as failed")},
        _bad_image,
        of_services=True,
    ),
    "node-roll": Kind(
        "nodes with a new machine image take the place of all, as the template has it",
        None,
        {},
        _node_roll,
        needs=("there are no nodes on Fargate", lambda model: model.nodes is not None),
    ),
    "cold-caches": Kind(
        "a task that begins to serve meanwhile is slow at first",
        1800,
        {
            "share": Number(0.5, 0.01, 1, "share of what it does at best"),
            "warm": Number(120, 0, 86400, "seconds until its cache is warm"),
        },
        _cold_caches,
        of_services=True,
    ),
}
"""The events that a run can be given, by name."""


def fears(texts: Sequence[str], models: Sequence[Model], traffic: Traffic) -> tuple[Fear, ...]:
    """Events by their texts, that befall models under a traffic.

    Raises UsageError on what cannot be read, never comes, has nothing to befall, or meets another of its kind.
    """
    asked = tuple(_fear(text, models, traffic) for text in texts)
    ordered = sorted(asked, key=lambda fear: (fear.kind, fear.service, fear.second))
    for fear, then in pairwise(ordered):
        if (fear.kind, fear.service) == (then.kind, then.service) and then.second <= fear.second + fear.lasts_s:
            raise UsageError(f"--event {then.text}: it begins before {fear.text} is over; give them apart")
    return asked


def in_order(of: Sequence[Fear]) -> list[Event]:
    """What befalls the run, by time."""
    return sorted((event for fear in of for event in fear.events), key=lambda event: event.time)


def span(fear: Fear, happened: Sequence[Happening], end: int) -> tuple[int, int]:
    """From when until when it befell a run of so many seconds: what has no end of its own, until the run says so."""
    ends = (each.time for each in happened if each.what == fear.kind and each.time >= fear.second)
    until = next(ends, end) if fear.kind in ("deployment", "bad-image", "node-roll") else fear.second + fear.lasts_s
    return fear.second, min(until, end)


def _fear(text: str, models: Sequence[Model], traffic: Traffic) -> Fear:
    head, *pairs = text.split(",")
    whose, at, when = head.partition("@")
    service, _, name = whose.rpartition("=")
    kind = KINDS.get(name)
    if kind is None:
        known = ", ".join(f"{each} ({kind.meaning})" for each, kind in KINDS.items())
        raise UsageError(f"--event {text}: no event {name!r}; there are {known}")
    lasting = kind.lasts_s is not None
    form = f"{name}@SECOND" + (":SECONDS" if lasting else "") + "".join(f",{each}=NUMBER" for each in kind.numbers)
    if service and not kind.of_services:
        raise UsageError(f"--event {text}: {name} befalls what services run on; leave {service}= out")
    if service and service not in [model.service for model in models]:
        known = ", ".join(model.service for model in models)
        raise UsageError(f"--event {text}: no service {service} has a traffic; there is {known}")
    second, colon, length = when.partition(":")
    seconds = len(traffic.requests)
    if second == "peak":
        second = str(int(traffic.requests.argmax()))
    if not at or not second.isdecimal() or (colon and not (length.isdecimal() and int(length))):
        example = f"{name}@1800{':600' if lasting else ''}"
        raise UsageError(f"--event {text}: give {form}, in whole seconds, as in {example}, or peak for the busiest")
    if colon and not lasting:
        raise UsageError(f"--event {text}: {name} has no length of its own; give {form}")
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
    if kind.needs and not any(map(kind.needs[1], models)):
        raise UsageError(f"--event {text}: {kind.needs[0]}; leave the event out")
    return Fear(text, name, int(second), int(length) if colon else kind.lasts_s or 0, numbers, service)
