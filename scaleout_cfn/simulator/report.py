"""A run over time: as a CSV, as a plot, and as one HTML page that needs nothing but a browser."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import get_data
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaleout_cfn.errors import UsageError
from scaleout_cfn.simulator.model import Service
from scaleout_cfn.simulator.results import waits_of
from scaleout_cfn.simulator.run import Event, Trace, at_each_second
from scaleout_cfn.simulator.study import Study

__all__ = ["Series", "page", "plot", "series", "series_csv"]

Array = NDArray[np.float64]
_POINTS = 600  # of a curve on a page: more than a screen tells apart
_CSV_STEP_S = 10  # the finest grid that an alarm looks on


@dataclass(frozen=True)
class Series:
    """A run in equal intervals of `step_s`, each value the mean of its interval."""

    step_s: int
    time_s: Array
    requests_per_s: Array
    capacity_per_s: Array
    tasks_desired: Array
    tasks_running: Array
    tasks_serving: Array
    tasks_waiting: Array
    nodes: Array
    nodes_with_booting: Array
    utilisation_percent: Array
    over_objective_share: Array
    backlog_wait_s: Array
    dropped_per_s: Array


def series(trace: Trace, service: Service, step_s: int) -> Series:
    """A run in intervals of so many seconds; the last one may be shorter and is left out unless it is the only one."""
    length = len(trace.requests)
    step_s = max(1, min(step_s, length))
    count = length // step_s

    def mean(values: Array) -> Array:
        return np.asarray(values[: count * step_s].reshape(count, step_s).mean(axis=1), dtype=np.float64)

    waiting, ready = waits_of(trace, service)
    rate = ready * service.task_rps

    def state(field: str) -> Array:
        return mean(at_each_second(trace.states, field, length))

    capacity = mean(ready) * service.task_rps
    requests = mean(trace.requests)
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.where(capacity > 0, np.minimum(1, (requests - mean(trace.dropped)) / capacity), 0.0)
    return Series(
        step_s=step_s,
        time_s=np.arange(count, dtype=np.float64) * step_s,
        requests_per_s=requests,
        capacity_per_s=capacity,
        tasks_desired=state("desired"),
        tasks_running=state("running"),
        tasks_serving=mean(ready),
        tasks_waiting=state("waiting"),
        nodes=state("nodes"),
        nodes_with_booting=state("size"),
        utilisation_percent=100 * np.maximum(used, 0.0),
        over_objective_share=mean(np.where(ready > 0, waiting.share_over(service.objective_s), 1.0)),
        backlog_wait_s=mean(np.where(rate > 0, trace.backlog / np.maximum(rate, 1e-9), 0.0)),
        dropped_per_s=mean(trace.dropped),
    )


def series_csv(trace: Trace, service: Service) -> str:
    """One row for every 10 s."""
    found = series(trace, service, _CSV_STEP_S)
    names = [name for name in vars(found) if name != "step_s"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in zip(*(getattr(found, name) for name in names), strict=True):
        writer.writerow([f"{value:.6g}" for value in row])
    return text.getvalue()


@dataclass(frozen=True)
class _Panel:
    title: str
    unit: str
    curves: tuple[tuple[str, str], ...]  # label and field; the first is drawn as an area


_PANELS = (
    _Panel("Traffic", "requests/s", (("requests", "requests_per_s"), ("what the tasks can take", "capacity_per_s"))),
    _Panel(
        "Tasks",
        "",
        (("serving", "tasks_serving"), ("desired", "tasks_desired"), ("waiting for a node", "tasks_waiting")),
    ),
    _Panel("Instances", "", (("registered", "nodes"), ("with those that boot", "nodes_with_booting"))),
    _Panel("Utilisation", "%", (("of what the tasks can take", "utilisation_percent"),)),
    _Panel("Waiting", "s", (("behind the backlog", "backlog_wait_s"),)),
    _Panel("Over the objective", "share", (("of the requests", "over_objective_share"),)),
)


def plot(study: Study, trace: Trace, path: Path) -> None:
    """PNG or SVG by the ending of the path. Raises UsageError without matplotlib (extra `plots`)."""
    if path.suffix not in (".png", ".svg"):
        raise UsageError(f"{path}: a plot is .png or .svg; give one of these endings")
    try:
        import matplotlib
    except ImportError:
        raise UsageError("plots need matplotlib: pip install 'scaleout-cfn[plots]'") from None
    matplotlib.use("Agg")
    # The same bytes each time.
    matplotlib.rcParams["svg.hashsalt"] = "scaleout_cfn"
    from matplotlib import pyplot

    found = _series(study, trace)
    hours = found.time_s / 3600
    figure, axes = pyplot.subplots(len(_PANELS), 1, sharex=True, figsize=(10, 12), constrained_layout=True)
    for axis, panel in zip(axes, _PANELS, strict=True):
        for index, (label, name) in enumerate(panel.curves):
            values = getattr(found, name)
            if index == 0:
                axis.fill_between(hours, values, alpha=0.25, linewidth=0)
            axis.plot(hours, values, label=label, linewidth=1.2)
        for event in trace.events:
            if event.what == "tasks":
                axis.axvline(event.time / 3600, linewidth=0.5, alpha=0.25, color="grey")
        axis.set_ylabel(f"{panel.title} {f'({panel.unit})' if panel.unit else ''}")
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper right", fontsize="small", frameon=False)
    axes[-1].set_xlabel("hours")
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None}, dpi=80)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    finally:
        pyplot.close(figure)


def _series(study: Study, trace: Trace) -> Series:
    return series(trace, study.service, max(1, len(trace.requests) // _POINTS))


_LEFT, _WIDTH, _HEIGHT, _GAP = 56, 900, 110, 34


def _svg(found: Series, events: Sequence[Event]) -> str:
    """All panels over one time axis, with a line for each change of the tasks."""
    end = float(found.time_s[-1]) + found.step_s
    total = len(_PANELS) * (_HEIGHT + _GAP) + 30
    many = ' class="many"' if sum(event.what in ("tasks", "nodes") for event in events) > 60 else ""
    parts = [
        f'<svg id="chart"{many} viewBox="0 0 {_LEFT + _WIDTH + 24} {total}" role="img"'
        ' aria-label="Traffic, tasks, instances, utilisation and waiting over time">'
    ]

    def x(time: float) -> float:
        return round(_LEFT + _WIDTH * time / end, 1)

    for index, panel in enumerate(_PANELS):
        top = index * (_HEIGHT + _GAP) + 22
        bottom = top + _HEIGHT
        ceiling = _round_up(max(float(getattr(found, name).max()) for _, name in panel.curves))
        unit = f" ({panel.unit})" if panel.unit else ""
        parts.append(f'<text class="title" x="{_LEFT}" y="{top - 8}">{panel.title}{unit}</text>')
        label_x = _LEFT + _WIDTH
        for number, (label, _) in reversed(list(enumerate(panel.curves))):
            parts.append(f'<text class="label c{number}" x="{label_x}" y="{top - 8}">{html.escape(label)}</text>')
            label_x -= 7 * len(label) + 18
        for step in range(5):
            y = round(bottom - _HEIGHT * step / 4, 1)
            parts.append(f'<path class="grid" d="M{_LEFT} {y}H{_LEFT + _WIDTH}"/>')
            if step % 2 == 0:
                parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4}">{ceiling * step / 4:g}</text>')
        for event in events:
            if event.what in ("tasks", "nodes"):
                side = "tasks" if event.what == "tasks" else "nodes"
                if panel.title in ("Tasks" if side == "tasks" else "Instances", "Traffic"):
                    parts.append(f'<path class="event {side}" d="M{x(event.time)} {top}V{bottom}"/>')
        for number, (_, name) in reversed(list(enumerate(panel.curves))):
            values = getattr(found, name)
            points = " ".join(
                f"{x(time + found.step_s / 2)},{round(bottom - _HEIGHT * value / ceiling, 1)}"
                for time, value in zip(found.time_s.tolist(), values.tolist(), strict=True)
            )
            if number == 0:
                first, last = x(found.step_s / 2), x(end - found.step_s / 2)
                parts.append(f'<polygon class="area c0" points="{first},{bottom} {points} {last},{bottom}"/>')
            parts.append(f'<polyline class="line c{number}" points="{points}"/>')
    for time in _ticks(end):
        parts.append(f'<text class="tick middle" x="{x(time)}" y="{total - 12}">{_clock(time)}</text>')
    parts.append(f'<path id="cursor" d="M0 12V{total - 28}"/></svg>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999999))


def _ticks(end: float) -> list[float]:
    steps = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 604800, 2592000)
    step = next((step for step in steps if end / step <= 12), steps[-1])
    return [float(time) for time in range(0, int(end) + 1, step)]


def _clock(time: float) -> str:
    days, rest = divmod(int(time), 86400)
    clock = f"{rest // 3600:02}:{rest % 3600 // 60:02}"
    return f"{days}d {clock}" if days else clock


def page(study: Study, trace: Trace, rows: Sequence[tuple[str, str, str, str]]) -> str:
    """One HTML page of a study: its table, the first alarm phase over time, its events, the settings.

    `rows` are the lines of the table: what, mean, range over the phases, range over the bands.
    """
    found = _series(study, trace)
    template, script = get_data(__package__, "page.html"), get_data(__package__, "page.js")
    assert template is not None and script is not None
    curves = {
        "step": found.step_s,
        "left": _LEFT,
        "width": _WIDTH,
        "panels": [
            [
                panel.title,
                [[label, [float(f"{v:.4g}") for v in getattr(found, name).tolist()]] for label, name in panel.curves],
            ]
            for panel in _PANELS
        ],
    }
    table = "".join(
        f"<tr><th scope=row{' class=part' if what.startswith(' ') else ''}>{html.escape(what.strip())}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for what, *cells in rows
    )
    events = "".join(
        f"<tr><td>{_clock(e.time)}:{e.time % 60:02}</td><td>{html.escape(e.policy)}</td><td>{html.escape(e.what)}</td>"
        f"<td>{f'{e.before} to {e.after}' if e.what in ('tasks', 'nodes') else ''}</td></tr>"
        for e in trace.events
    )
    parts: dict[str, Any] = {
        "TITLE": html.escape(f"{study.traffic.name}, {len(trace.requests) / 3600:g} hours"),
        "TABLE": table,
        "CHART": _svg(found, trace.events),
        "EVENTS": events,
        "SETTINGS": html.escape(json.dumps(study.as_json()["settings"], indent=1, sort_keys=True)),
        "DATA": json.dumps(curves, separators=(",", ":")),
        "SCRIPT": script.decode(),
    }
    text = template.decode()
    for name, value in parts.items():
        text = text.replace(f"<!--{name}-->", str(value))
    return text
