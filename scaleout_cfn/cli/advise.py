"""advise: the cheapest settings that keep an objective."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scaleout_cfn.cli.options import Finite
from scaleout_cfn.cli.tables import heading, progress, write
from scaleout_cfn.cli.traffic import (
    Asked,
    env_option,
    json_option,
    of_its_own,
    parameter_option,
    path_type,
    service_option,
    set_asked,
    traffic_options,
)
from scaleout_cfn.errors import UsageError


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
@click.option("--tries", type=click.IntRange(1, 20000), default=500, show_default=True, help="Settings to try.")
@click.option("--overlay", "name", metavar="NAME", default="advised", show_default=True, help="What it is called.")
@click.option("-o", "--out", type=path_type, help="Write the overlay to a file instead of stdout.")
@json_option
def advise(
    folder: Path | None,
    environment: str | None,
    service: str,
    parameters: tuple[str, ...],
    asked: Asked,
    allowed: float,
    tries: int,
    name: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Search the cheapest settings that keep the objective under a traffic, as an overlay of the config.

    Exits with 2 when no setting keeps it, and says what stands in the way.
    """
    from scaleout_cfn.simulator.search import advise as search
    from scaleout_cfn.simulator.search import overlay

    model, region = set_asked(folder, asked, environment, service, parameters)
    traffic, load, prices = asked.all(region)
    load = of_its_own(asked, load, model)
    click.echo("\n".join(heading(traffic, load)), err=True)
    with progress(tries, "trying settings") as done:
        advice = search(model, load, traffic, prices, allowed=allowed, count=tries, done=done)
    if as_json:
        frontier = [
            {"objective_missed": t.missed, "cost_usd": t.cost_usd, "overlay": overlay(t.model, name)}
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
        for candidate in advice.frontier:
            scaling = candidate.model.scaling
            pulse = f"pulse {scaling.pulse.target_rps:g}, " if scaling.pulse else ""
            click.echo(
                f"  {candidate.missed:8.3%}  {candidate.cost_usd:10.2f} USD  "
                f"cpu {f'{scaling.cpu.target:g} %' if scaling.cpu.enabled else 'off'}, "
                f"requests {f'{scaling.requests.target:g}' if scaling.requests.enabled else 'off'}, "
                f"{pulse}{scaling.min_tasks} tasks at least, {'20' if scaling.high_resolution else '60'} s",
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
        + overlay(advice.best.model, name)
    )
    if out:
        write(out, text)
    elif not as_json:
        click.echo(text, nl=False)
