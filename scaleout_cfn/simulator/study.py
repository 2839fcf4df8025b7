"""A verdict: one model under one traffic, over the alarm phases and over the bands of what AWS does not publish."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool, TimeoutError, active_children
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from scaleout_cfn.errors import ScaleoutError
from scaleout_cfn.simulator.events import Fear, in_order
from scaleout_cfn.simulator.model import BANDS, Delays, Load, Model, corners
from scaleout_cfn.simulator.prices import Prices
from scaleout_cfn.simulator.results import (
    Range,
    Result,
    as_numbers,
    demand,
    maximum_that_limits,
    measure,
    oracle_node_hours,
    range_of,
    ranges,
)
from scaleout_cfn.simulator.run import PHASES, Busy, phases, run, run_together
from scaleout_cfn.simulator.traffic import Traffic

if TYPE_CHECKING:
    from concurrent.futures import Executor

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_WORTH_A_POOL = 3_000_000  # seconds of traffic; below, starting processes costs more than it saves
_PARTS = 32  # that an executor is given: few enough to send a traffic with each, many enough for all to be busy
_LOOK_S = 2.0  # between two looks at whether the processes are all there


@dataclass(frozen=True)
class Study:
    """Results by corner of the band: "middle" first. Each is a mean and a range over the alarm phases.

    `bursts` is the same in the middle of the bands with bursts inside of wide bins, other ones in each phase; empty
    where the traffic is known finely. `lost` is how many more requests are over the objective for each event, beside
    the run that has all others of `fears`. `scaled` is what scaling would give where nothing scales the model.
    """

    model: Model
    load: Load
    traffic: Traffic
    corners: dict[str, dict[str, Range]]
    bursts: dict[str, Range] = dataclasses.field(default_factory=dict)
    fears: tuple[Fear, ...] = ()
    lost: dict[str, Range] = dataclasses.field(default_factory=dict)
    scaled: Study | None = None

    @property
    def middle(self) -> dict[str, Range]:
        return self.corners["middle"]

    @property
    def limit(self) -> str:
        """Which maximum is below what the traffic needs, in words; empty where none is."""
        return maximum_that_limits(self.model, self.load, self.traffic.requests)

    def band(self, name: str) -> Range:
        """A number over all corners and phases: the middle's mean, the least and the most of any run.

        Of the cost, the least and the most by the bands of prices, too.
        """
        least, most = ("cost_least_usd", "cost_most_usd") if name == "cost_usd" else (name, name)
        corners = self.corners.values()
        return Range(self.middle[name].mean, min(c[least].low for c in corners), max(c[most].high for c in corners))

    def as_json(self) -> dict[str, Any]:
        """One object: every number of `Result`, the band, and the settings that it belongs to."""
        names = list(self.middle)
        return {
            "v": 1,
            "traffic": self.traffic.name,
            "seconds": len(self.traffic.requests),
            "requests": float(f"{self.traffic.requests.sum():.6g}"),
            "mean_rps": float(f"{self.traffic.requests.mean():.6g}"),
            "peak_rps": float(f"{self.traffic.requests.max():.6g}"),
            "bin_s": self.traffic.bin_s,
            "caution": self.traffic.caution,
            "notes": [*self.model.left_out, *self.traffic.notes],
            "limit": self.limit,
            "phases": PHASES,
            **as_numbers(self.middle),
            "band": as_numbers({name: self.band(name) for name in names}),
            "corners": {name: as_numbers(by_name) for name, by_name in self.corners.items()},
            "bursts": as_numbers(self.bursts),
            "requests_lost": as_numbers(self.lost),
            "scaled": self.scaled and self.scaled.as_json(),
            "settings": settings(self.model, self.load),
        }


def settings(model: Model, load: Load) -> dict[str, Any]:
    """What a result belongs to, as plain data."""
    facts = {field.name: getattr(model, field.name) for field in dataclasses.fields(model) if field.name != "notes"}
    facts["scaling"] = msgspec.to_builtins(model.scaling)
    facts["network"], facts["task"] = dataclasses.asdict(model.network), dataclasses.asdict(model.task)
    facts["rollout"] = dataclasses.asdict(model.rollout)
    facts["pool"] = {"kind": "ec2" if model.nodes else "fargate", **msgspec.to_builtins(model.pool)}
    return {**facts, "load": dataclasses.asdict(load), "delays": dataclasses.asdict(Delays()), "bands": BANDS}


def over_phases(
    model: Model,
    load: Load,
    delays: Delays,
    traffic: Traffic,
    prices: Prices,
    count: int = PHASES,
    fears: Sequence[Fear] = (),
) -> list[Result]:
    """One run for each alarm phase."""
    oracle = oracle_node_hours(demand(traffic.requests, load), model, load, delays)
    events = in_order(fears)
    return [
        measure(run(model, load, delays, traffic, phase, events), model, load, prices, oracle)
        for phase in phases(count)
    ]


def study(
    model: Model,
    load: Load,
    traffic: Traffic,
    prices: Prices,
    done: Callable[[], None] = lambda: None,
    fears: tuple[Fear, ...] = (),
    executor: Executor | None = None,
) -> Study:
    """The model under the traffic, over all phases and corners, with what befalls it. `done` is called after each
    corner.

    It runs on this machine's cores, or in an `executor`: `each` says of which kind.
    """
    every = corners()
    work = partial(_at_corner, model, load, traffic, prices, fears)
    seconds = len(every) * PHASES * len(traffic.requests)
    results = {}
    for name, result in zip(every, each(work, every.values(), seconds, executor), strict=True):
        results[name] = result
        done()
    lost = {}
    for fear in fears:
        without = over_phases(model, load, Delays(), traffic, prices, fears=_but(fears, fear))
        lost[fear.text] = _more(results["middle"], without)
    bursts = ranges(_with_bursts(model, load, traffic, prices)) if traffic.caution else {}
    by_corner = {name: ranges(result) for name, result in results.items()}
    return Study(model, load, traffic, by_corner, bursts, fears, lost)


def _with_bursts(model: Model, load: Load, traffic: Traffic, prices: Prices) -> list[Result]:
    drawn = [traffic.with_bursts(seed) for seed in range(PHASES)]
    return [
        measure(run(model, load, Delays(), burst, phase), model, load, prices, 0.0)
        for burst, phase in zip(drawn, phases(), strict=True)
    ]


def _at_corner(
    model: Model, load: Load, traffic: Traffic, prices: Prices, fears: tuple[Fear, ...], delays: Delays
) -> list[Result]:
    return over_phases(model, load, delays, traffic, prices, fears=fears)


def study_together(
    services: Sequence[Busy],
    prices: Prices,
    done: Callable[[], None] = lambda: None,
    fears: tuple[Fear, ...] = (),
) -> dict[str, Study]:
    """Services of one set under a traffic each, by name. Instances and money are those of all of them, in each study:
    a node that several share is nobody's own."""
    every = corners()
    work = partial(_together_at_corner, services, prices, fears)
    seconds = len(every) * PHASES * len(services) * len(services[0].traffic.requests)
    at_corner = {}
    for name, results in zip(every, each(work, every.values(), seconds), strict=True):
        at_corner[name] = results
        done()
    lost: list[dict[str, Range]] = [{} for _ in services]
    for fear in fears:
        without = _together_at_corner(services, prices, _but(fears, fear), Delays())
        for own, some, others in zip(lost, at_corner["middle"], without, strict=True):
            own[fear.text] = _more(some, others)
    return {
        busy.model.service: Study(
            busy.model,
            busy.load,
            busy.traffic,
            {name: ranges(results[number]) for name, results in at_corner.items()},
            fears=fears,
            lost=lost[number],
        )
        for number, busy in enumerate(services)
    }


def _but(fears: Sequence[Fear], fear: Fear) -> tuple[Fear, ...]:
    return tuple(other for other in fears if other is not fear)


def _more(some: Sequence[Result], others: Sequence[Result]) -> Range:
    """How many more requests are over the objective, phase by phase."""
    return range_of([one.requests_missed - other.requests_missed for one, other in zip(some, others, strict=True)])


def _together_at_corner(
    services: Sequence[Busy], prices: Prices, fears: Sequence[Fear], delays: Delays
) -> list[list[Result]]:
    """By service, a result for each phase."""
    phase_by_phase = []
    for phase in phases():
        results: list[Result] = []
        shared: set[str] = set()
        for busy, trace in zip(services, run_together(services, delays, phase, in_order(fears)), strict=True):
            model, nodes = busy.model, busy.model.nodes
            if results:
                model = dataclasses.replace(model, network=model.network.of_nodes_alone())
            if nodes and nodes.name in shared:
                trace = dataclasses.replace(trace, node_seconds=0.0, stopped_seconds=0.0, launches=0)
            shared |= {nodes.name} if nodes else set()
            results.append(measure(trace, model, busy.load, prices, 0.0))
        whole = {
            name: sum(getattr(result, name) for result in results)
            for name in ("instance_hours", "cost_usd", "cost_least_usd", "cost_most_usd")
        }
        phase_by_phase.append([dataclasses.replace(result, **whole) for result in results])
    return [list(result) for result in zip(*phase_by_phase, strict=True)]


def each(
    work: Callable[[_Item], _Result], items: Iterable[_Item], seconds: int, executor: Executor | None = None
) -> Iterator[_Result]:
    """`work` on every item, in order; on all cores when there are many `seconds` of traffic to go through.

    `work` goes to each process once, and holds what all items share. An interrupt ends the processes before it goes on.
    An `executor` of concurrent.futures takes the work instead, in some thirty parts: that of Dask
    (`Client.get_executor()`), for one, runs them on a cluster.
    """
    sequence: Sequence[_Item] = list(items)
    if executor:
        yield from _by(executor, work, sequence)
        return
    cores = min(len(sequence), os.cpu_count() or 1)
    if seconds < _WORTH_A_POOL or cores < 2:
        yield from map(work, sequence)
        return
    # A Pool, not an executor: leaving it ends the processes whatever they do, where an executor waits for them and,
    # interrupted at the wrong moment, for ever.
    with Pool(cores, _begin, (work,)) as pool:
        workers = {process.pid for process in active_children()}
        results = pool.imap(_go_on, sequence)
        for _ in sequence:
            while True:
                try:
                    yield results.next(_LOOK_S)
                    break
                except TimeoutError:
                    # A Pool replaces a process that was killed and forgets what it was at: nobody would ever answer.
                    if not workers <= {process.pid for process in active_children()}:
                        raise ScaleoutError(
                            "a process of the simulation was ended from outside, perhaps for want of memory; the same"
                            " command again, with less traffic or fewer --tries"
                        ) from None


def _by(executor: Executor, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    size = -(-len(items) // _PARTS) or 1
    parts = [executor.submit(_all_of, work, items[first : first + size]) for first in range(0, len(items), size)]
    try:
        for part in parts:
            yield from part.result()
    finally:
        for part in parts:
            part.cancel()


def _all_of(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    return [work(item) for item in items]


_work: Callable[[Any], Any]


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the command's own
    _work = work


def _go_on(item: Any) -> Any:
    return _work(item)
