"""simulate, compare, advise, figures and prices: what a set does under a traffic, and what that costs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaleout_cfn.errors import UsageError

try:
    import numpy  # noqa: F401
except ImportError:
    raise UsageError("simulations need NumPy: pip install 'scaleout-cfn[simulate]'") from None

if TYPE_CHECKING:
    from scaleout_cfn.simulator.model import Model, Service
    from scaleout_cfn.simulator.study import Study
    from scaleout_cfn.simulator.traffic import Traffic

_ROWS = (
    # what, field, format
    ("requests over the objective", "objective_missed", "share"),
    ("  of these dropped", "dropped", "share"),
    ("waiting, median", "wait_p50_s", "s"),
    ("waiting, 95 %", "wait_p95_s", "s"),
    ("waiting, 99 %", "wait_p99_s", "s"),
    ("time with too few tasks", "under_provisioned_share", "share"),
    ("  how many too few, of those needed", "under_accuracy", "share"),
    ("time with too many tasks", "over_provisioned_share", "share"),
    ("  how many too many, of those needed", "over_accuracy", "share"),
    ("most tasks", "most_tasks", "count"),
    ("most instances", "most_nodes", "count"),
    ("tasks on average", "mean_tasks", "count"),
    ("instance-hours", "instance_hours", "count"),
    ("  with perfect foresight", "oracle_instance_hours", "count"),
    ("USD", "cost_usd", "usd"),
)


def _says(kind: str, value: float) -> str:
    if kind == "share":
        return f"{value:.2%}"
    return {"s": f"{value:.3f} s", "usd": f"{value:.2f}", "count": f"{value:.1f}".removesuffix(".0")}[kind]


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_path = click.Path(path_type=Path)
_traffic_options = _options(
    click.option(
        "--traffic", "kind", metavar="KIND", help="Made up: flash-crowd, diurnal, ramp, step, noise, seed-load-test."
    ),
    click.option(
        "--with", "numbers", multiple=True, metavar="NAME=NUMBER", help="A number of the made-up traffic; repeatable."
    ),
    click.option("--csv", "csv_file", type=_path, help="A header, then a time and the requests of that interval."),
    click.option(
        "--access-log", "logs", type=_path, multiple=True, help="Common, combined or ALB; gzipped too; repeatable."
    ),
    click.option("--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Multiply the traffic."),
)
_service_options = _options(
    click.option(
        "--task-rps",
        type=click.FloatRange(0.001, 1e6),
        required=True,
        help="Requests a second that keep one task just busy.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 1024),
        default=4,
        show_default=True,
        help="Requests that a task works on at once.",
    ),
    click.option(
        "--objective",
        "objective_s",
        type=click.FloatRange(0, 3600),
        default=0.25,
        show_default=True,
        help="Seconds that a request may wait.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0.001, 3600),
        default=10.0,
        show_default=True,
        help="Seconds after which a client gives up.",
    ),
    click.option(
        "--retries",
        "retry_share",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="Share of given-up requests that come again.",
    ),
    click.option(
        "--cpu-at-capacity",
        type=click.FloatRange(1, 1000),
        default=100.0,
        show_default=True,
        help="Percent of its reserved CPU that a busy task uses.",
    ),
    click.option(
        "--memory",
        "memory_percent",
        type=click.FloatRange(0, 100),
        default=50.0,
        show_default=True,
        help="Percent of its memory that a task uses.",
    ),
)
_prices_option = click.option("--prices", "price_file", type=_path, help="A price file instead of the built-in one.")
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def _traffic(
    kind: str | None, numbers: Sequence[str], csv_file: Path | None, logs: Sequence[Path], scale: float
) -> Traffic:
    from scaleout_cfn.simulator.traffic import from_access_logs, from_csv, synthetic

    given = [name for name, value in (("--traffic", kind), ("--csv", csv_file), ("--access-log", logs)) if value]
    if len(given) != 1:
        what = " and ".join(given) if given else "none"
        raise UsageError(f"traffic: got {what}; give one of --traffic, --csv and --access-log")
    if numbers and not kind:
        raise UsageError(f"--with {numbers[0]}: goes with --traffic, which has numbers to set")
    if csv_file:
        found = from_csv(csv_file)
    elif logs:
        found = from_access_logs(logs)
    else:
        values = {}
        for text in numbers:
            name, _, value = text.partition("=")
            try:
                values[name] = float(value)
            except ValueError:
                raise UsageError(f"--with {text}: give NAME=NUMBER, as in --with peak=500") from None
        found = synthetic(str(kind), values)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    return found if scale == 1 else found.times(scale)


def _service(**numbers: Any) -> Service:
    from scaleout_cfn.simulator.model import Service

    names = {field.name for field in dataclasses.fields(Service)}
    return Service(**{name: value for name, value in numbers.items() if name in names})


def _model(path: Path) -> Model:
    """Of a folder of templates, or of a config file, which is rendered first."""
    from scaleout_cfn.simulator.read import model_of, read

    if path.suffix != ".toml":
        return read(path)
    from scaleout_cfn.config_file import load
    from scaleout_cfn.rendering import compose, set_of

    return model_of(set_of(compose(load(path))), str(path))


def table(study: Study) -> list[tuple[str, str, str, str]]:
    """What, mean, range over the phases, range over the bands."""
    rows = []
    for what, name, kind in _ROWS:
        middle, band = study.middle[name], study.band(name)
        spread, wide = (
            _says(kind, r.low)
            if _says(kind, r.low) == _says(kind, r.high)
            else f"{_says(kind, r.low)} to {_says(kind, r.high)}"
            for r in (middle, band)
        )
        rows.append((what, _says(kind, middle.mean), spread, wide))
    return rows


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    click.echo(f"{path} written", err=True)


@click.command()
@click.argument("folder", type=_path, default=Path("templates_out"))
@_traffic_options
@_service_options
@_prices_option
@_json_option
@click.option("--html", "html_file", type=_path, help="Write one page that needs no network.")
@click.option("--plot", "plot_file", type=_path, help="Write a plot, .png or .svg.")
@click.option("--series", "series_file", type=_path, help="Write a CSV, one row for every 10 s.")
def simulate(
    folder: Path,
    kind: str | None,
    numbers: tuple[str, ...],
    csv_file: Path | None,
    logs: tuple[Path, ...],
    scale: float,
    price_file: Path | None,
    as_json: bool,
    html_file: Path | None,
    plot_file: Path | None,
    series_file: Path | None,
    **service_numbers: Any,
) -> None:
    """Say what the set in FOLDER does under a traffic: misses, tasks and instances, alarms, money.

    FOLDER is a folder of rendered templates, ours or others of this shape; templates_out by default. Every number is a
    mean over 12 alarm phases, with its range over the phases and over what AWS does not publish.
    """
    from scaleout_cfn.simulator.model import Delays
    from scaleout_cfn.simulator.prices import load_prices
    from scaleout_cfn.simulator.report import page, plot, series_csv
    from scaleout_cfn.simulator.run import run
    from scaleout_cfn.simulator.study import study

    model, service = _model(folder), _service(**service_numbers)
    traffic, prices = _traffic(kind, numbers, csv_file, logs, scale), load_prices(price_file)
    with _progress(5, "simulating", len(traffic.requests) > 500_000) as done:
        found = study(model, service, traffic, prices, done)
    trace = run(model, service, Delays(), traffic)
    # Before anything is printed: whoever reads the table may stop after its first lines.
    if html_file:
        _write(html_file, page(found, trace, table(found)))
    if series_file:
        _write(series_file, series_csv(trace, service))
    if plot_file:
        plot(found, trace, plot_file)
        click.echo(f"{plot_file} written", err=True)
    if as_json:
        events = [event._asdict() for event in trace.events]
        click.echo(json.dumps({**found.as_json(), "prices_as_of": prices.as_of, "events": events}, indent=1))
    else:
        _print(("", "mean", "over the phases", "over the bands"), table(found))
        acted = [event for event in trace.events if event.what in ("tasks", "nodes")]
        if acted:
            click.echo("\nActions in the first alarm phase:")
        for event in acted[:30]:
            clock = f"{event.time // 3600:02}:{event.time % 3600 // 60:02}:{event.time % 60:02}"
            click.echo(f"  {clock}  {event.policy}: {event.what} {event.before} to {event.after}")
        if len(acted) > 30:
            click.echo(f"  ... {len(acted) - 30} more; --json and --html have all")
        click.echo(
            f"\nPrices of {prices.as_of}, {prices.region}. A model of documented rules, not a measurement.", err=True
        )


class _progress:
    """A bar on stderr where there is a terminal and enough to wait for; nothing otherwise."""

    def __init__(self, length: int, label: str, wanted: bool = True) -> None:
        import sys

        self._bar = (
            click.progressbar(length=length, label=label, file=sys.stderr) if wanted and sys.stderr.isatty() else None
        )

    def __enter__(self) -> Callable[[], None]:
        if self._bar is None:
            return lambda: None
        self._bar.__enter__()
        bar = self._bar
        return lambda: bar.update(1)

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)


@click.command()
@click.argument("sets", type=_path, nargs=-1, required=True)
@_traffic_options
@_service_options
@_prices_option
@_json_option
def compare(
    sets: tuple[Path, ...],
    kind: str | None,
    numbers: tuple[str, ...],
    csv_file: Path | None,
    logs: tuple[Path, ...],
    scale: float,
    price_file: Path | None,
    as_json: bool,
    **service_numbers: Any,
) -> None:
    """Run several SETS, and the policies of others, on one traffic and print them side by side.

    SETS are folders of templates or config files. The others' policies run on the infrastructure of the first.
    """
    from scaleout_cfn.simulator.peers import peers
    from scaleout_cfn.simulator.prices import load_prices
    from scaleout_cfn.simulator.study import study

    service, prices = _service(**service_numbers), load_prices(price_file)
    models = {str(path): _model(path) for path in sets}
    models.update(peers(models[str(sets[0])]))
    traffic = _traffic(kind, numbers, csv_file, logs, scale)
    found = {}
    with _progress(len(models), "simulating") as done:
        for name, model in models.items():
            found[name] = study(model, service, traffic, prices)
            done()
    if as_json:
        click.echo(json.dumps({"v": 1, "sets": {name: one.as_json() for name, one in found.items()}}, indent=1))
        return
    rows = []
    for name, one in found.items():
        missed, band = one.middle["objective_missed"], one.band("objective_missed")
        rows.append(
            (
                name,
                _says("share", missed.mean),
                f"{missed.low:.2%} to {missed.high:.2%}",
                f"{band.low:.2%} to {band.high:.2%}",
                *(
                    _says(kind, one.middle[field].mean)
                    for field, kind in (
                        ("dropped", "share"),
                        ("instance_hours", "count"),
                        ("cost_usd", "usd"),
                    )
                ),
            )
        )
    _print(("", "over the objective", "over the phases", "over the bands", "dropped", "instance-hours", "USD"), rows)


@click.command()
@click.argument("folder", type=_path, default=Path("templates_out"))
@_traffic_options
@_service_options
@_prices_option
@click.option(
    "--allow",
    "allowed",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Share of requests that may wait longer than the objective.",
)
@click.option("--tries", type=click.IntRange(1, 20000), default=500, show_default=True, help="Settings to try.")
@click.option("--env", "environment", default="advised", show_default=True, help="Name of the overlay.")
@click.option("-o", "--out", type=_path, help="Write the overlay to a file instead of stdout.")
@_json_option
def advise(
    folder: Path,
    kind: str | None,
    numbers: tuple[str, ...],
    csv_file: Path | None,
    logs: tuple[Path, ...],
    scale: float,
    price_file: Path | None,
    allowed: float,
    tries: int,
    environment: str,
    out: Path | None,
    as_json: bool,
    **service_numbers: Any,
) -> None:
    """Search the cheapest settings that keep the objective under a traffic, as an overlay of the config.

    Exits with 2 when no setting keeps it, and says what stands in the way.
    """
    from scaleout_cfn.simulator.prices import load_prices
    from scaleout_cfn.simulator.search import advise as search
    from scaleout_cfn.simulator.search import overlay

    model, service = _model(folder), _service(**service_numbers)
    traffic, prices = _traffic(kind, numbers, csv_file, logs, scale), load_prices(price_file)
    with _progress(tries, "trying settings") as done:
        advice = search(model, service, traffic, prices, allowed=allowed, count=tries, done=done)
    if as_json:
        frontier = [
            {"objective_missed": t.missed, "cost_usd": t.cost_usd, "overlay": overlay(t.model, environment)}
            for t in advice.frontier
        ]
        best = advice.best.as_json() if advice.best else None
        click.echo(
            json.dumps(
                {"v": 1, "tried": advice.tried, "limit": advice.limit, "best": best, "frontier": frontier}, indent=1
            )
        )
    else:
        click.echo(
            f"{advice.tried} settings tried. Nothing of them has both fewer misses and less cost than these:", err=True
        )
        for one in advice.frontier:
            scaling = one.model.scaling
            click.echo(
                f"  {one.missed:8.3%}  {one.cost_usd:10.2f} USD  "
                f"cpu {f'{scaling.cpu.target:g} %' if scaling.cpu.enabled else 'off'}, "
                f"requests {f'{scaling.requests.target:g}' if scaling.requests.enabled else 'off'}, "
                f"{scaling.min_tasks} tasks at least, {'20' if scaling.high_resolution else '60'} s",
                err=True,
            )
    if advice.best is None:
        raise UsageError(
            f"none of {advice.tried} settings keeps {1 - allowed:.4g} of the requests under the objective;"
            f" it is {advice.limit}"
        )
    missed, band = advice.best.middle["objective_missed"], advice.best.band("objective_missed")
    click.echo(
        f"The cheapest that keeps it misses {missed.mean:.3%}"
        f" ({missed.low:.3%} to {missed.high:.3%} over the alarm phases)"
        f" at {advice.best.middle['cost_usd'].mean:.2f} USD.",
        err=True,
    )
    if band.high > allowed:
        click.echo(
            f"This does not hold over the bands of what AWS does not publish: there it is up to {band.high:.3%}.",
            err=True,
        )
    text = (
        f"# Advised for {traffic.name}: misses {missed.mean:.3%}, {band.low:.3%} to {band.high:.3%} over the bands.\n"
        + overlay(advice.best.model, environment)
    )
    if out:
        _write(out, text)
    elif not as_json:
        click.echo(text, nl=False)


@click.command()
@_json_option
def figures(as_json: bool) -> None:
    """Print the published figures that the model has to meet, beside what it gives."""
    from scaleout_cfn.simulator.figures import rows

    found = rows()
    if as_json:
        click.echo(
            json.dumps(
                {
                    "v": 1,
                    "figures": [
                        {
                            "name": row.figure.name,
                            "published_s": row.figure.published_s,
                            "model_s": round(row.model_s, 1),
                            "error": round(row.error, 4),
                            "fitted": row.figure.fitted or None,
                            "source": row.figure.source,
                        }
                        for row in found
                    ],
                },
                indent=1,
            )
        )
        return
    _print(
        ("figure", "published", "model", "error", "", "how"),
        [
            (
                row.figure.name,
                f"{row.figure.published_s:g} s",
                f"{row.model_s:.0f} s",
                f"{row.error:+.1%}",
                "" if abs(row.error) <= 0.1 else "missed",
                f"fitted: {row.figure.fitted}" if row.figure.fitted else "held out",
            )
            for row in found
        ],
    )
    for source in dict.fromkeys(row.figure.source for row in found):
        click.echo(source, err=True)


@click.group()
def prices() -> None:
    """The prices that simulations reckon with."""


@prices.command()
def show() -> None:
    """Print the built-in price file: a start for one of your own."""
    from scaleout_cfn.simulator.prices import as_json, load_prices

    click.echo(as_json(load_prices()), nl=False)


@prices.command()
@click.argument("path", type=_path)
@click.option("--region", default="us-east-1", show_default=True, help="Whose prices.")
def refresh(path: Path, region: str) -> None:
    """Write the instance prices of today to PATH, for --prices. Needs an AWS account."""
    from datetime import date

    import boto3

    from scaleout_cfn.simulator.prices import as_json, load_prices
    from scaleout_cfn.simulator.prices import refresh as ask

    # The Price List answers in a few regions only, for all of them.
    client = boto3.client("pricing", region_name="us-east-1")
    try:
        found = ask(client, region, load_prices(), date.today().isoformat())
    except UsageError:
        raise
    except Exception as error:  # botocore's errors have no common base
        raise UsageError(f"the AWS Price List cannot be asked: {error}") from None
    _write(path, as_json(found))
