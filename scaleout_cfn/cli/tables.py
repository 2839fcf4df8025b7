"""Tables, files that are written, and bars while something takes long."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import click

from scaleout_cfn.errors import UsageError

if TYPE_CHECKING:
    from scaleout_cfn.simulator.model import Load
    from scaleout_cfn.simulator.study import Study
    from scaleout_cfn.simulator.traffic import Traffic

_ROWS = (
    # what, field, format
    ("requests over the objective", "objective_missed", "share"),
    ("  of these dropped", "dropped", "share"),
    ("waiting, median", "wait_p50_s", "s"),
    ("waiting, 95 %", "wait_p95_s", "s"),
    ("waiting, 99 %", "wait_p99_s", "s"),
    ("response, median", "response_p50_s", "s"),
    ("response, 95 %", "response_p95_s", "s"),
    ("response, 99 %", "response_p99_s", "s"),
    ("time with too few tasks", "under_provisioned_share", "share"),
    ("  how many too few, of those needed", "under_accuracy", "share"),
    ("time with too many tasks", "over_provisioned_share", "share"),
    ("  how many too many, of those needed", "over_accuracy", "share"),
    ("most tasks", "most_tasks", "count"),
    ("most instances", "most_nodes", "count"),
    ("tasks on average", "mean_tasks", "count"),
    ("task-hours", "task_hours", "count"),
    ("instance-hours", "instance_hours", "count"),
    ("  with perfect foresight", "oracle_instance_hours", "count"),
    ("USD", "cost_usd", "usd"),
)


def says(kind: str, value: float) -> str:
    """A number by its kind: a share, seconds, a count or USD."""
    if kind == "share":
        return f"{value:.2%}"
    return {"s": f"{value:.3f} s", "usd": f"{value:.2f}", "count": f"{value:.1f}".removesuffix(".0")}[kind]


#: What there is on nodes only.
_OF_NODES = ("most_nodes", "instance_hours", "oracle_instance_hours")


def table(study: Study) -> list[tuple[str, str, str, str]]:
    """What, mean, range over the phases, range over the bands."""
    rows = []
    for what, name, kind in _ROWS:
        if not study.model.nodes and name in _OF_NODES:
            continue
        if name == "oracle_instance_hours" and not study.middle[name].mean:
            continue  # of nodes that several services share
        middle, band = study.middle[name], study.band(name)
        spread, wide = (
            says(kind, r.low)
            if says(kind, r.low) == says(kind, r.high)
            else f"{says(kind, r.low)} to {says(kind, r.high)}"
            for r in (middle, band)
        )
        rows.append((what, says(kind, middle.mean), spread, wide))
    return rows


def heading(traffic: Traffic, load: Load, *, queued: bool = False) -> list[str]:
    """What was read, before any result of it: what it hides first, then how much it is, and what it is measured by.
    What is `queued` has no client that leaves."""
    from scaleout_cfn.simulator.report import length

    lines = [traffic.caution] if traffic.caution else []
    every = "second" if traffic.bin_s == 1 else f"{traffic.bin_s} s"
    lines.append(
        f"{traffic.name}: {length(len(traffic.requests))}, a number for each {every};"
        f" {traffic.requests.mean():.4g} requests/s on average, {traffic.requests.max():.4g} at the peak"
    )
    service, mean_s = load.service, load.workers / load.task_rps
    shape = f"{service.kind}, CV {service.cv:g}" if service.kind == "lognormal" else service.kind
    may = "may wait" if load.objective_on == "wait" else "shall have its answer within"
    lines.append(
        f"A task takes {load.task_rps:g} requests/s, {load.workers} at once, {1000 * mean_s:.4g} ms each"
        f" ({shape}); a {'message' if queued else 'request'} {may} {load.objective_s:g} s"
        + ("" if queued else f", and its client leaves after {load.timeout_s:g} s")
    )
    alone = service.share_over(load.objective_s / mean_s)
    if load.objective_on == "response" and alone > 0.00005:
        lines.append(
            f"{alone:.2%} of the requests take longer than that by their service alone, however many tasks run"
        )
    return lines + list(traffic.notes)


def remarks(study: Study) -> list[str]:
    """What the numbers of a table need to be understood."""
    lines = list(study.model.left_out)
    model, load = study.model, study.load
    reserved = model.task.cpu_units / 1024
    if model.cpu_at_most(load):
        lines.append(
            f"CPU is a share: a task reserves {reserved:g} vCPU, and uses up to {max(reserved, load.cores):g} (--cores)"
            " where its node has idle CPU."
        )
    elif model.cpu_is == "quota":
        lines.append(f"CPU is a quota: a task never uses more than its {reserved:g} vCPU.")
    if study.middle["under_provisioned_share"].mean > study.middle["objective_missed"].mean:
        lines.append(
            "Too few tasks are fewer than keep 99 % of a second's requests under the objective: a second that misses"
            " 2 % of them counts as a whole, so that this share of the time may be far above that of the requests."
        )
    for text, lost in study.lost.items():
        lines.append(
            f"{text} cost {whole(lost.mean)} requests ({whole(lost.low)} to {whole(lost.high)} over the phases)."
        )
    if study.lost:
        lines.append(
            "So many more are over the objective than in the same run without that event, or fewer where it is below 0."
        )
    if study.bursts:
        missed = study.bursts["objective_missed"]
        lines.append(
            f"With bursts inside of the intervals {missed.mean:.2%} of the requests are over the objective"
            f" ({missed.low:.2%} to {missed.high:.2%}): a burst in each, drawn twelve times from those of a site that"
            " is known by the minute (docs/scaling.md). Yours may have others."
        )
    if study.limit:
        lines.append(f"What limits is {study.limit}.")
    if study.scaled:
        lines.append(_what_scaling_gives(study, study.scaled))
    return lines


def _what_scaling_gives(study: Study, scaled: Study) -> str:
    """One sentence: how it was chosen, what it misses and what it costs."""
    scaling, nodes = scaled.model.scaling, scaled.model.nodes
    tracked = f"{scaling.cpu.target:g} % CPU" if scaling.cpu.enabled else f"{scaling.requests.target:g} requests/min"
    on = f", on {nodes.min_nodes} to {nodes.max_nodes} nodes" if nodes else ""
    missed, band = scaled.middle["objective_missed"].mean, scaled.band("objective_missed")
    fixed = study.middle["objective_missed"].mean
    return (
        f"Nothing scales it. By the default policies of a config ({tracked}), between {scaling.min_tasks} tasks, what"
        f" the quietest tenth of the time needs, and {scaling.max_tasks}, what they ask for at the peak{on}, it would"
        f" miss {missed:.2%} of the requests ({band.low:.2%} to {band.high:.2%}) instead of {fixed:.2%}, at"
        f" {scaled.middle['cost_usd'].mean:.2f} USD instead of {study.middle['cost_usd'].mean:.2f}; advise looks for"
        " what is cheaper."
    )


def whole(value: float) -> str:
    """A whole number: there is no -0."""
    return f"{round(value):,}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], err: bool = False) -> None:
    """Columns as wide as they need; the first to the left, numbers to the right."""
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip(), err=err)


def write(path: Path, text: str) -> None:
    """A file, and a word that it is there. Raises UsageError where it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    click.echo(f"{path} written", err=True)


class progress:
    """A bar on stderr while steps are done, where there is a terminal; nothing otherwise."""

    def __init__(self, length: int, label: str) -> None:
        self._bar = click.progressbar(length=length, label=label, file=sys.stderr) if sys.stderr.isatty() else None

    def __enter__(self) -> Callable[[], None]:
        if self._bar is None:
            return lambda: None
        self._bar.__enter__()
        bar = self._bar
        return lambda: bar.update(1)

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)


#: What is done sooner shows nothing.
LONG_S = 1.0


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """A bar on stderr while something takes long whose length nobody knows, where there is a terminal.

    What is drawn is drawn by threads, so that nothing below may fork.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    shown = ExitStack()

    def show() -> None:
        from rich.console import Console  # here, for most is done sooner
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        bar = shown.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        bar.add_task(label, total=None)

    timer = Timer(LONG_S, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        shown.close()
