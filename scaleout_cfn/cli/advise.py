"""advise: the cheapest shape and settings that keep an objective."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from scaleout_cfn.cli.options import Finite
from scaleout_cfn.cli.tables import heading, print_table, progress, write
from scaleout_cfn.cli.traffic import (
    Asked,
    config_at,
    env_option,
    event_option,
    json_option,
    of_its_own,
    parameter_option,
    path_type,
    service_option,
    set_asked,
    traffic_options,
)
from scaleout_cfn.errors import ConfigError, SetError, UsageError

if TYPE_CHECKING:
    from scaleout_cfn.config import Config
    from scaleout_cfn.simulator.search import Advice, Tried

_CHECKED = "advise-looks-whether-it-fits"  # no environment of anybody's
_BUYS_NOTHING = 5e-5  # fewer misses than the table shows
_KINDS = ("same", "ec2", "fargate", "managed-instances")


@click.command()
@click.argument("folder", type=path_type, required=False)
@env_option
@service_option
@parameter_option
@traffic_options
@click.option(
    "--allow",
    "allowed",
    type=Finite(0, 1),
    default=0.01,
    show_default=True,
    help="Share of requests that may wait longer than the objective.",
)
@click.option(
    "--capacity",
    "capacities",
    type=click.Choice(_KINDS),
    multiple=True,
    help="What to look at: what it runs on now, or kinds of capacity; repeatable.  [default: all]",
)
@click.option(
    "--architecture", type=click.Choice(["x86_64", "arm64"]), help="What the image is built for.  [default: both]"
)
@event_option
@click.option(
    "--tries", type=click.IntRange(1, 20000), default=500, show_default=True, help="Shapes and settings to try."
)
@click.option("--overlay", "name", metavar="NAME", default="advised", show_default=True, help="What it is called.")
@click.option("-o", "--out", type=path_type, help="Write the overlay to a file instead of stdout.")
@click.option("--plot", "plot_file", type=path_type, help="Write the frontier of misses and cost, .png or .svg.")
@json_option
def advise(
    folder: Path | None,
    environment: str | None,
    service: str,
    parameters: tuple[str, ...],
    asked: Asked,
    allowed: float,
    capacities: tuple[str, ...],
    architecture: str | None,
    event_texts: tuple[str, ...],
    tries: int,
    name: str,
    out: Path | None,
    plot_file: Path | None,
    as_json: bool,
) -> None:
    """Search what to run on and how to scale it: the cheapest that keeps the objective under a traffic.

    Tried are instance types, Graviton, Spot, warm pools, Fargate and Managed Instances, and on the best of them
    targets, cooldowns, the fewest tasks and schedules. The answer is an overlay of the config. A task is taken to do
    the same on every processor: measure it on the one that is advised.

    Exits with 2 when nothing keeps the objective, and says what stands in the way.
    """
    from scaleout_cfn.simulator.events import fears
    from scaleout_cfn.simulator.report import check_plot, frontier_plot
    from scaleout_cfn.simulator.search import advise as search
    from scaleout_cfn.simulator.search import overlay
    from scaleout_cfn.simulator.shapes import architecture_of, kind_of, scaled, shapes, words

    if plot_file:
        check_plot(plot_file)
    model, region = set_asked(folder, asked, environment, service, parameters)
    config = config_at(folder, environment) if folder else None
    pool, alone = _pool_of(config, model.service)
    traffic, load, prices = asked.all(region)
    load = of_its_own(asked, load, model)
    given, model = model, scaled(model, load, traffic.requests)
    wanted = [kind for kind in capacities if kind != "same"]
    spot = any("spot-wave@" in text for text in event_texts)
    others = [
        shape
        for shape in (shapes(model, prices, spot=spot) if alone and capacities != ("same",) else ())
        if (not wanted or kind_of(shape) in wanted) and architecture in (None, architecture_of(shape))
    ]
    if config and folder:
        others = [shape for shape in others if _fits(folder, overlay(shape, _CHECKED, given, pool, load.task_rps))]
    click.echo("\n".join(heading(traffic, load, queued=model.backlog is not None)), err=True)
    if given is not model:
        bounds = f"{model.scaling.min_tasks} to {model.scaling.max_tasks} tasks"
        click.echo(f"Nothing scales it: looked at is what scales it by {bounds}, as simulate tells.", err=True)
    if traffic.start is None and len(traffic.requests) >= 24 * 3600:
        click.echo(
            "The traffic has no date: the hours of a schedule count from its beginning, as midnight UTC.", err=True
        )
    if not alone or (model.nodes and model.nodes.standing):
        click.echo(f"Other services run on what {model.service} runs on: only its settings are looked at.", err=True)
    feared = fears(event_texts, [model, *others], traffic)
    with progress(tries, "trying") as done:
        advice = search(
            model, load, traffic, prices, allowed=allowed, count=tries, others=others, fears=feared, done=done
        )
    if plot_file:
        frontier_plot(advice, allowed, plot_file)
        click.echo(f"{plot_file} written", err=True)
    if as_json:
        frontier = [
            {
                "shape": words(t.model),
                "objective_missed": t.missed,
                "with_events": t.befallen,
                "cost_usd": t.cost_usd,
                "overlay": overlay(t.model, name, given, pool, load.task_rps),
            }
            for t in advice.frontier
        ]
        best = advice.best.as_json() if advice.best else None
        told = {"v": 1, "tried": len(advice.every), "limit": advice.limit, "best": best, "frontier": frontier}
        click.echo(json.dumps(told, indent=1))
    else:
        _tell(advice, event_texts)
    if advice.best is None:
        raise UsageError(
            f"none of {len(advice.every)} shapes and settings keeps {1 - allowed:.4g} of the requests under the"
            f" objective; it is {advice.limit}"
        )
    missed, band = advice.best.middle["objective_missed"], advice.best.band("objective_missed")
    cost = advice.best.band("cost_usd")
    click.echo(
        f"The cheapest that keeps it: {words(advice.best.model)}. It misses {missed.mean:.3%}"
        f" ({missed.low:.3%} to {missed.high:.3%} over the alarm phases)"
        f" at {cost.mean:.2f} USD ({cost.low:.2f} to {cost.high:.2f} over the bands and those of prices).",
        err=True,
    )
    for note in advice.best.model.notes:
        click.echo(note, err=True)
    if band.high > allowed:
        click.echo(
            f"This does not hold over the bands of what AWS does not publish: there it is up to {band.high:.3%}.",
            err=True,
        )
    text = (
        f"# Advised for {traffic.name}: {words(advice.best.model)}.\n"
        f"# Misses {missed.mean:.3%}, {band.low:.3%} to {band.high:.3%} over the bands.\n"
        + overlay(advice.best.model, name, given, pool, load.task_rps)
    )
    if out:
        write(out, text)
    elif not as_json:
        click.echo(text, nl=False)


def _tell(advice: Advice, event_texts: tuple[str, ...]) -> None:
    """The frontier as a table, with what each step up buys."""
    from scaleout_cfn.simulator.shapes import words

    click.echo(
        f"{len(advice.every)} tried. Nothing of them has both fewer misses and less cost than these:\n", err=True
    )
    rows, before = [], None
    for tried in advice.frontier:
        if before and before.worst - tried.worst < _BUYS_NOTHING:
            continue
        more = tried.cost_usd - before.cost_usd if before else 0.0
        buys = f"{more:+.2f} USD, {before.worst - tried.worst:.2%} fewer" if before else ""
        rows.append(
            (
                words(tried.model),
                _settings(tried),
                f"{tried.missed:.3%}",
                *([f"{tried.befallen:.3%}"] if event_texts else []),
                f"{tried.cost_usd:.2f}",
                buys,
            )
        )
        before = tried
    befallen = [f"with {' and '.join(event_texts)}"] if event_texts else []
    print_table(("", "settings", "misses", *befallen, "USD", "the step up buys"), rows, err=True)
    click.echo("", err=True)


def _settings(tried: Tried) -> str:
    model, scaling = tried.model, tried.model.scaling
    parts = [
        f"cpu {scaling.cpu.target:g} %" if scaling.cpu.enabled else "",
        f"requests {scaling.requests.target:g}" if scaling.requests.enabled else "",
        f"{model.backlog.tracking.target:g} messages a task" if model.backlog else "",
        f"pulse {scaling.pulse.target_rps:g}" if scaling.pulse else "",
        f"{scaling.min_tasks} tasks at least",
        f"{scaling.schedules[0].min_tasks} in busy hours" if scaling.schedules else "",
        "" if model.backlog else "20 s" if scaling.high_resolution else "60 s",
    ]
    return ", ".join(filter(None, parts))


def _pool_of(config: Config | None, service: str) -> tuple[str, bool]:
    """The [capacity.NAME] that a service runs on, and whether it has it to itself; without a config nobody knows."""
    from scaleout_cfn.config.units import units

    every = units(config) if config else ()
    pool = next((unit.pool_name for unit in every if unit.name == service), "")
    return pool, sum(unit.pool_name == pool for unit in every) < 2


def _fits(file: Path, text: str) -> bool:
    """Whether a config file takes an overlay, and its tasks fit what they would run on."""
    from scaleout_cfn.capacity import fitting_tasks
    from scaleout_cfn.cli.options import project
    from scaleout_cfn.config.file import load

    with TemporaryDirectory() as folder:
        whole = Path(folder) / "config.toml"
        whole.write_text(f"{file.read_text(encoding='utf-8')}\n{text}", encoding="utf-8")
        try:
            fitting_tasks(load(whole, environment=_CHECKED, base=project().config))
        except (ConfigError, SetError):
            return False
    return True
