"""simulate --live: a run of the simulator as it goes, on a terminal. rich is loaded here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import Load, Model
from scaleout_cfn.simulator.report import series
from scaleout_cfn.simulator.run import Trace

_POINTS = 3600  # of a run: more than a terminal has columns
_FRAME_S = 0.1
_LABELS = 34  # columns before the bars
_ACTIONS = 3
_BARS = " ▁▂▃▄▅▆▇█"


class Row(NamedTuple):
    """What one line shows: a name, the words for a point of time, and the values over the whole run."""

    name: str
    words: Callable[[int], str]
    values: NDArray[np.float64]


class Run(NamedTuple):
    """A run, ready to be drawn: `step_s` is between two points."""

    step_s: int
    seconds: int
    rows: tuple[Row, ...]
    actions: tuple[tuple[int, str], ...]


def refuse_off_terminal(speed: float | None) -> None:
    """Before anything is simulated. Raises UsageError where nothing can be drawn."""
    if speed is not None and (not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"):
        raise UsageError(
            f"--live {speed:g}: it is drawn on a terminal, and standard error is none; leave it out, or write"
            " --plot run.png"
        )


def ready(model: Model, load: Load, trace: Trace) -> Run:
    """What is drawn of a run."""
    step_s = max(1, len(trace.requests) // _POINTS)
    means = series(trace, load, step_s)
    queued = trace.backlog[: len(means.time_s) * step_s].reshape(-1, step_s).mean(axis=1)
    desired, running, waiting = means.tasks_desired, means.tasks_running, means.tasks_waiting
    nodes, size = means.nodes, means.nodes_with_booting

    def tasks(at: int) -> str:
        wait = f", {waiting[at]:.0f} without room" if waiting[at] >= 0.5 else ""
        return f"{running[at]:.0f} of {desired[at]:.0f}{wait}"

    rows = [
        Row(
            "messages/s" if model.backlog else "requests/s",
            lambda at: f"{means.requests_per_s[at]:.1f}",
            means.requests_per_s,
        ),
        Row("tasks", tasks, running),
    ]
    if model.nodes:

        def counted(at: int) -> str:
            booting = size[at] - nodes[at]
            return f"{nodes[at]:.0f}" + (f", {booting:.0f} more boot" if booting >= 0.5 else "")

        rows.append(Row("nodes", counted, nodes))
    rows.append(Row("in the queue" if model.backlog else "waiting", lambda at: f"{queued[at]:.0f}", queued))
    if not model.backlog:
        missed = np.cumsum(means.over_objective_per_s) * step_s
        came = np.cumsum(means.requests_per_s) * step_s
        rows.append(
            Row(
                "over the objective",
                lambda at: f"{missed[at]:.0f}, {missed[at] / max(1.0, came[at]):.2%}",
                means.over_objective_per_s,
            )
        )
    acted = tuple(
        (event.time, f"{event.policy}: {event.what} {event.before} to {event.after}")
        for event in trace.events
        if event.what in ("tasks", "nodes")
    )
    return Run(step_s, len(trace.requests), tuple(rows), acted)


def frame(runs: Mapping[str, Run], second: int, width: int, speed: float) -> list[str]:
    """The lines at a second of the traffic. Bars are as high as a row's highest; time goes from left to right."""
    end = next(iter(runs.values())).seconds
    lines = [f"{_clock(second)} of {_clock(end)}, {speed:g} times as fast.  Ctrl-C: the report"]
    for name, run in runs.items():
        lines += ["", name] if len(runs) > 1 else [""]
        at = min(second // run.step_s, len(run.rows[0].values) - 1)
        for row in run.rows:
            label = f"{row.name:<18}  {row.words(at)}"
            lines.append(f"{label[:_LABELS]:<{_LABELS}}{_bars(row.values, at, width - _LABELS)}".rstrip())
        done = [(when, what) for when, what in run.actions if when <= second][-_ACTIONS:]
        lines += [f"  {_clock(when)}  {what}"[:width] for when, what in done]
    return lines


def play(
    runs: Mapping[str, Run],
    speed: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Draw runs on standard error, so many of their seconds in one; Ctrl-C ends the drawing, and nothing else."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    end, began = next(iter(runs.values())).seconds, clock()
    # Drawn here, not by a thread: what comes afterwards may fork.
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                second = min(end, int((clock() - began) * speed))
                lines = frame(runs, second, console.width, speed)
                room = max(4, console.height - 1)
                if len(lines) > room:
                    lines = [*lines[: room - 1], f"and {len(lines) - room + 1} lines more"]
                live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)
                if second >= end:
                    return
                pause(_FRAME_S)
        except KeyboardInterrupt:
            return


def _bars(values: NDArray[np.float64], at: int, columns: int) -> str:
    """The most of each column's time as a bar; nothing of what is still to come."""
    columns, most = max(1, min(columns, len(values))), float(values.max())
    edges = np.arange(columns) * len(values) // columns
    tops = np.maximum.reduceat(values, edges)[: int(np.searchsorted(edges, at, "right"))]
    # Less than a hundredth is nothing: the chance of a wait is never quite none.
    return "".join(_BARS[int(np.ceil(8 * top / most))] if top > most / 100 else " " for top in tops) if most else ""


def _clock(second: int) -> str:
    days, rest = divmod(second, 86400)
    return (f"{days}d " if days else "") + f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
