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
from scaleout_cfn.simulator.events import Fear, span
from scaleout_cfn.simulator.model import Load
from scaleout_cfn.simulator.results import demand, over_objective, waits_of
from scaleout_cfn.simulator.run import Happening, Trace, at_each_second
from scaleout_cfn.simulator.search import Advice
from scaleout_cfn.simulator.shapes import kind_of, words
from scaleout_cfn.simulator.study import Study

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
    tasks_needed: Array
    nodes: Array
    nodes_with_booting: Array
    utilisation_percent: Array
    over_objective_share: Array
    over_objective_per_s: Array
    mean_wait_s: Array
    dropped_per_s: Array


def series(trace: Trace, load: Load, step_s: int) -> Series:
    """A run in intervals of so many seconds; the last one may be shorter and is left out unless it is the only one."""
    length = len(trace.requests)
    step_s = max(1, min(step_s, length))
    count = length // step_s

    def mean(values: Array) -> Array:
        return np.asarray(values[: count * step_s].reshape(count, step_s).mean(axis=1), dtype=np.float64)

    waiting, work = waits_of(trace, load)

    def state(field: str) -> Array:
        return mean(at_each_second(trace.states, field, length))

    over = np.where(work > 0, over_objective(waiting, load), 1.0)
    capacity = mean(work) * load.task_rps
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
        tasks_serving=state("ready"),
        tasks_waiting=state("waiting"),
        tasks_needed=mean(demand(trace.requests, load)),
        nodes=state("nodes"),
        nodes_with_booting=state("size"),
        utilisation_percent=100 * np.maximum(used, 0.0),
        over_objective_share=mean(over),
        over_objective_per_s=mean(over * np.maximum(trace.requests - trace.dropped, 0.0) + trace.dropped),
        mean_wait_s=mean(np.where(trace.requests > 0, np.minimum(waiting.mean_s(), load.timeout_s), 0.0)),
        dropped_per_s=mean(trace.dropped),
    )


def series_csv(trace: Trace, load: Load) -> str:
    """One row for every 10 s."""
    means = series(trace, load, _CSV_STEP_S)
    names = [name for name in vars(means) if name != "step_s"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in zip(*(getattr(means, name) for name in names), strict=True):
        writer.writerow([f"{value:.6g}" for value in row])
    return text.getvalue()


@dataclass(frozen=True)
class _Panel:
    title: str
    unit: str
    curves: tuple[tuple[str, str, str], ...]  # label, field, kind: a key of _COLOURS; "main" and "bad" are areas


_NODES = "Instances"
_PANELS = (
    _Panel(
        "Traffic",
        "requests/s",
        (
            ("requests", "requests_per_s", "main"),
            ("what the tasks can take", "capacity_per_s", "other"),
            ("over the objective", "over_objective_per_s", "bad"),
        ),
    ),
    _Panel(
        "Tasks",
        "",
        (
            ("serving", "tasks_serving", "main"),
            ("desired", "tasks_desired", "other"),
            ("needed for the objective", "tasks_needed", "need"),
            ("waiting for a node", "tasks_waiting", "wait"),
        ),
    ),
    _Panel(
        _NODES,
        "",
        (("registered", "nodes", "main"), ("with those that boot", "nodes_with_booting", "other")),
    ),
    _Panel("Utilisation", "%", (("of what the tasks can take", "utilisation_percent", "main"),)),
    _Panel("Waiting", "s", (("on average", "mean_wait_s", "bad"),)),
    _Panel("Over the objective", "share", (("of the requests", "over_objective_share", "bad"),)),
)


def _panels(study: Study) -> list[_Panel]:
    """On Fargate there are no instances to show."""
    return [panel for panel in _PANELS if study.model.nodes or panel.title != _NODES]


_KIND_COLOURS = {"ec2": "#2563c4", "fargate": "#b4530a", "managed-instances": "#14803c"}
_COLOURS = {"main": "#2563c4", "other": "#b4530a", "need": "#14803c", "wait": "#7a3fb0", "bad": "#c0262d"}
_DASHES = {"main": "-", "other": "--", "need": "-", "wait": ":", "bad": "-"}


def _pyplot(path: Path) -> Any:
    """What draws. Raises UsageError for a path that ends otherwise, and without matplotlib (extra `plots`)."""
    if path.suffix not in (".png", ".svg"):
        raise UsageError(f"{path}: a plot is .png or .svg; give one of these endings")
    try:
        import matplotlib
    except ImportError:
        raise UsageError("plots need matplotlib: pip install '.[plots]' in the repository of scaleout-cfn") from None
    matplotlib.use("Agg")
    # The same bytes each time.
    matplotlib.rcParams["svg.hashsalt"] = "scaleout_cfn"
    from matplotlib import pyplot

    return pyplot


def check_plot(path: Path) -> None:
    """Raises UsageError where no plot can be written: before a long search, not after it."""
    _pyplot(path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None}, dpi=80)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    finally:
        pyplot.close(figure)


def frontier_plot(advice: Advice, allowed: float, path: Path) -> None:
    """All that a search tried by cost and misses, the frontier as steps, PNG or SVG by the ending of the path.

    Raises UsageError for another ending, and without matplotlib (extra `plots`).
    """
    pyplot = _pyplot(path)
    figure, axis = pyplot.subplots(figsize=(10, 6), constrained_layout=True)
    for kind, colour in _KIND_COLOURS.items():
        points = [(t.cost_usd, 100 * t.worst) for t in advice.every if kind_of(t.model) == kind]
        if points:
            axis.scatter(*zip(*points, strict=True), s=10, alpha=0.5, color=colour, linewidths=0, label=kind)
    frontier = advice.frontier
    axis.step([t.cost_usd for t in frontier], [100 * t.worst for t in frontier], where="post", color="black", lw=1)
    before = ""
    for tried in frontier:
        # Named where what it runs on changes.
        if (shape := words(tried.model)) != before:
            place = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": "x-small"}
            axis.annotate(shape, (tried.cost_usd, 100 * tried.worst), **place)
        before = shape
    axis.axhline(100 * allowed, color="grey", linewidth=0.8, linestyle="--")
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("USD")
    axis.set_ylabel("% of the requests missed; dashed: what is allowed")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize="small", frameon=False)
    _save(figure, path)


def plot(study: Study, trace: Trace, path: Path) -> None:
    """PNG or SVG by the ending of the path. Raises UsageError without matplotlib (extra `plots`)."""
    pyplot = _pyplot(path)
    means = _series(study, trace)
    panels = _panels(study)
    figure, axes = pyplot.subplots(len(panels), 1, sharex=True, figsize=(10, 12), constrained_layout=True)
    for axis, panel in zip(axes, panels, strict=True):
        for label, name, kind in panel.curves:
            values, colour = getattr(means, name), _COLOURS[kind]
            if kind in ("main", "bad"):
                axis.fill_between(means.time_s, values, alpha=0.2, linewidth=0, color=colour)
            axis.plot(means.time_s, values, _DASHES[kind], label=label, linewidth=1.3, color=colour)
        for event in trace.events:
            if event.what == ("nodes" if panel.title == _NODES else "tasks"):
                axis.axvline(event.time, linewidth=0.5, alpha=0.3, color="grey")
        for fear in study.fears:
            begins, ends = span(fear, trace.events, len(trace.requests))
            axis.axvspan(begins, max(ends, begins + means.step_s), color=_COLOURS["bad"], alpha=0.08)
            if axis is axes[0]:
                where = axis.get_xaxis_transform()
                axis.text(fear.second, 0.98, f" {fear.text}", transform=where, va="top", fontsize="small")
        axis.set_title(f"{panel.title}{f' ({panel.unit})' if panel.unit else ''}", loc="left", fontsize="medium")
        most = max(float(getattr(means, name).max()) for _, name, _ in panel.curves)
        axis.set_ylim(bottom=0, top=1.02 * _round_up(most))
        axis.margins(x=0)
        axis.grid(axis="y", linewidth=0.5, alpha=0.4)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(length=0, pad=5)
        columns = {"loc": "lower right", "bbox_to_anchor": (1, 0.98), "ncols": len(panel.curves)}
        axis.legend(**columns, fontsize="small", frameon=False, borderaxespad=0)
    ticks = _ticks(float(means.time_s[-1]) + means.step_s)
    axes[-1].set_xticks(ticks, [_clock(time) for time in ticks])
    name, missed = study.traffic.name, study.band("objective_missed")
    figure.suptitle(
        (f"{study.traffic.caution}\n" if study.traffic.caution else "")
        + f"{name}: {missed.mean:.1%} of the requests over the objective ({missed.low:.1%} to {missed.high:.1%} over"
        " phases and bands); the first alarm phase",
        fontsize="medium",
    )
    _save(figure, path)


def _series(study: Study, trace: Trace) -> Series:
    return series(trace, study.load, max(1, len(trace.requests) // _POINTS))


_LEFT, _WIDTH, _HEIGHT, _GAP = 56, 900, 110, 34


def _svg(panels: Sequence[_Panel], means: Series, events: Sequence[Happening], fears: Sequence[Fear]) -> str:
    """All panels over one time axis, with a line for each change of the tasks, and what befell the run behind them."""
    end = float(means.time_s[-1]) + means.step_s
    total = len(panels) * (_HEIGHT + _GAP) + 30
    many = ' class="many"' if sum(event.what in ("tasks", "nodes") for event in events) > 60 else ""
    parts = [
        f'<svg id="chart"{many} viewBox="0 0 {_LEFT + _WIDTH + 24} {total}" role="img"'
        ' aria-label="Traffic, tasks, instances, utilisation and waiting over time">'
    ]

    def x(time: float) -> float:
        return round(_LEFT + _WIDTH * time / end, 1)

    for fear in fears:
        begins, ends = span(fear, events, round(end))
        left = x(begins)
        right = max(left + 1, x(ends))
        name = html.escape(fear.text)
        parts.append(f'<path class="area bad" d="M{left} 22H{right}V{total - 30}H{left}Z"><title>{name}</title></path>')
        parts.append(f'<text class="fear" x="{left + 3}" y="34">{name}</text>')
    for index, panel in enumerate(panels):
        top = index * (_HEIGHT + _GAP) + 22
        bottom = top + _HEIGHT
        ceiling = _round_up(max(float(getattr(means, name).max()) for _, name, _ in panel.curves))
        unit = f" ({panel.unit})" if panel.unit else ""
        parts.append(f'<text class="title" x="{_LEFT}" y="{top - 8}">{panel.title}{unit}</text>')
        label_x: float = _LEFT + _WIDTH
        for label, _, kind in reversed(panel.curves):
            parts.append(f'<text class="label {kind}" x="{label_x}" y="{top - 8}">{html.escape(label)}</text>')
            label_x -= 5.6 * len(label) + 18
        for step in range(5):
            y = round(bottom - _HEIGHT * step / 4, 1)
            parts.append(f'<path class="grid" d="M{_LEFT} {y}H{_LEFT + _WIDTH}"/>')
            if step % 2 == 0:
                parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4}">{ceiling * step / 4:g}</text>')
        for event in events:
            if event.what in ("tasks", "nodes"):
                side = "tasks" if event.what == "tasks" else "nodes"
                if panel.title in ("Tasks" if side == "tasks" else _NODES, "Traffic"):
                    parts.append(f'<path class="event {side}" d="M{x(event.time)} {top}V{bottom}"/>')
        for _, name, kind in panel.curves:
            values = getattr(means, name)
            points = " ".join(
                f"{x(time + means.step_s / 2)},{round(bottom - _HEIGHT * value / ceiling, 1)}"
                for time, value in zip(means.time_s.tolist(), values.tolist(), strict=True)
            )
            if kind in ("main", "bad"):
                first, last = x(means.step_s / 2), x(end - means.step_s / 2)
                parts.append(f'<polygon class="area {kind}" points="{first},{bottom} {points} {last},{bottom}"/>')
            parts.append(f'<polyline class="line {kind}" points="{points}"/>')
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


def _tiles(study: Study) -> str:
    """What one wants to know first, in large letters."""
    middle, nodes = study.middle, study.model.nodes
    missed, dollars = study.band("objective_missed"), study.band("cost_usd")
    oracle = middle["oracle_instance_hours"].mean
    tiles = (
        (f"{missed.mean:.2%}", "over the objective", f"{missed.low:.2%} to {missed.high:.2%} over phases and bands"),
        (f"{middle['under_provisioned_share'].mean:.2%}", "of the time too few tasks", "by what the objective needs"),
        (
            f"{middle['instance_hours' if nodes else 'task_hours'].mean:.1f}",
            "instance-hours" if nodes else "task-hours on Fargate",
            f"{oracle:.1f} with perfect foresight" if oracle else "",
        ),
        (f"{dollars.mean:.2f} USD", "for the length of it", f"{dollars.low:.2f} to {dollars.high:.2f}"),
        (
            f"{middle['most_tasks'].high:.0f}" + (f" on {middle['most_nodes'].high:.0f}" if nodes else ""),
            "most tasks, instances" if nodes else "most tasks",
            f"of {study.model.scaling.max_tasks}" + (f" and {nodes.max_nodes}" if nodes else ""),
        ),
    )
    return "".join(
        f"<div class=tile><b>{html.escape(value)}</b><span>{html.escape(what)}</span><i>{html.escape(note)}</i></div>"
        for value, what, note in tiles
    )


def length(seconds: int) -> str:
    """1 h 40 min for 6000 s; what is left of a minute is left out where there are hours."""
    days, rest = divmod(seconds, 86400)
    parts = [(days, "d"), (rest // 3600, "h"), (rest % 3600 // 60, "min"), (rest % 60 if seconds < 3600 else 0, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def page(
    study: Study,
    trace: Trace,
    rows: Sequence[tuple[str, str, str, str]],
    heading: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> str:
    """One HTML page of a study: its table, the first alarm phase over time, its events, the settings.

    `rows` are the lines of the table: what, mean, range over the phases, range over the bands. `heading` are sentences
    above it, `remarks` below.
    """
    means = _series(study, trace)
    template, script = get_data(__package__, "page.html"), get_data(__package__, "page.js")
    assert template is not None and script is not None
    curves = {
        "step": means.step_s,
        "left": _LEFT,
        "width": _WIDTH,
        "panels": [
            [
                panel.title,
                [
                    [label, [float(f"{v:.4g}") for v in getattr(means, name).tolist()]]
                    for label, name, _ in panel.curves
                ],
            ]
            for panel in _panels(study)
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
        "TITLE": html.escape(f"{study.traffic.name}, {length(len(trace.requests))}"),
        "HEADING": "".join(f"<p>{html.escape(line)}</p>" for line in heading),
        "REMARKS": "".join(f"<p>{html.escape(line)}</p>" for line in remarks),
        "TILES": _tiles(study),
        "TABLE": table,
        "CHART": _svg(_panels(study), means, trace.events, study.fears),
        "EVENTS": events,
        "SETTINGS": html.escape(json.dumps(study.as_json()["settings"], indent=1, sort_keys=True)),
        "DATA": json.dumps(curves, separators=(",", ":")),
        "SCRIPT": script.decode(),
    }
    text = template.decode()
    for name, value in parts.items():
        text = text.replace(f"<!--{name}-->", str(value))
    return text
