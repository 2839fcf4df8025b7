"""simulate and compare: what a set does under a traffic, alone and beside others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaleout_cfn.cli.tables import heading, print_table, progress, remarks, says, table, whole, write
from scaleout_cfn.cli.traffic import (
    Asked,
    env_option,
    event_option,
    json_option,
    model_at,
    model_of_stacks,
    of_its_own,
    parameter_option,
    path_type,
    region_of,
    service_option,
    set_asked,
    traffic_options,
)
from scaleout_cfn.errors import UsageError

if TYPE_CHECKING:
    from scaleout_cfn.simulator.prices import Prices
    from scaleout_cfn.simulator.run import Trace
    from scaleout_cfn.simulator.study import Study


@click.command()
@click.argument("folder", type=path_type, required=False)
@env_option
@service_option
@parameter_option
@traffic_options
@event_option
@json_option
@click.option("--html", "html_file", type=path_type, help="Write one page that needs no network.")
@click.option("--plot", "plot_files", type=path_type, multiple=True, help="Write a plot, .png or .svg; repeatable.")
@click.option("--series", "series_file", type=path_type, help="Write a CSV, one row for every 10 s.")
@click.option(
    "--live",
    "speed",
    type=click.FloatRange(1, 100_000),
    metavar="SPEED",
    help="Draw the run on the terminal as it goes, so many times as fast: 60 is a minute in a second.",
)
def simulate(
    folder: Path | None,
    environment: str | None,
    service: str,
    parameters: tuple[str, ...],
    asked: Asked,
    event_texts: tuple[str, ...],
    as_json: bool,
    html_file: Path | None,
    plot_files: tuple[Path, ...],
    series_file: Path | None,
    speed: float | None,
) -> None:
    """Say what a service of the set in FOLDER does under a traffic: misses, tasks and instances, alarms, money.

    FOLDER is a folder or a file of templates, ours or anybody's, or a config file; templates_out by default. Templates
    are taken as they would be deployed, with --parameter for what has no default.
    What else runs on the service's nodes takes its places at its fewest tasks, but for services that have a traffic of
    their own, by their names in front: --traffic web=diurnal --csv api=api.csv. Every number is a mean over 12 alarm
    phases, with its range over the phases and over what AWS does not publish.
    """
    from scaleout_cfn.cli.live import play, ready, refuse_off_terminal
    from scaleout_cfn.simulator.events import fears, in_order
    from scaleout_cfn.simulator.model import Delays
    from scaleout_cfn.simulator.prices import cost
    from scaleout_cfn.simulator.run import run
    from scaleout_cfn.simulator.shapes import scaled
    from scaleout_cfn.simulator.study import study

    refuse_off_terminal(speed)
    if asked.services():
        files = (html_file, plot_files, series_file)
        _together(folder, environment, service, parameters, asked, event_texts, as_json, files, speed)
        return
    model, region = set_asked(folder, asked, environment, service, parameters)
    traffic, load, prices = asked.all(region)
    load = of_its_own(asked, load, model)
    feared = fears(event_texts, [model], traffic)
    trace = run(model, load, Delays(), traffic, events=in_order(feared))
    if speed:
        play({model.service: ready(model, load, trace)}, speed)
    with progress(5, "simulating") as done:
        verdict = study(model, load, traffic, prices, done, feared)
    if model.is_fixed:
        beside = study(scaled(model, load, traffic.requests), load, traffic, prices, fears=feared)
        verdict = dataclasses.replace(verdict, scaled=beside)
    # Before anything is printed: whoever reads the table may stop after its first lines.
    _write_files(verdict, trace, html_file, plot_files, series_file)
    if as_json:
        # Of the first alarm phase, as the events are.
        costs = {name: float(f"{usd:.6g}") for name, usd in vars(cost(model, load, prices, trace)).items()}
        whole = {**verdict.as_json(), **_prices(prices), "costs_usd": costs, "events": _events(trace)}
        click.echo(json.dumps(whole, indent=1))
    else:
        _print(verdict, trace)
        _say_source(prices)


def _together(
    folder: Path | None,
    environment: str | None,
    service: str,
    parameters: tuple[str, ...],
    asked: Asked,
    event_texts: tuple[str, ...],
    as_json: bool,
    files: tuple[Path | None, tuple[Path, ...], Path | None],
    speed: float | None,
) -> None:
    """Several services, each under a traffic of its own."""
    from scaleout_cfn.cli.live import play, ready
    from scaleout_cfn.simulator.events import fears, in_order
    from scaleout_cfn.simulator.model import Delays, together
    from scaleout_cfn.simulator.run import Busy, run_together
    from scaleout_cfn.simulator.study import study_together
    from scaleout_cfn.simulator.traffic import at_once

    names = asked.services()
    if service:
        raise UsageError(f"--service {service}: {names[0]}=... in front of a traffic says whose it is; leave it out")
    for stranger, _ in asked.rates:
        if stranger and stranger not in names:
            raise UsageError(f"--task-rps {stranger}=...: of {stranger} there is no traffic, but of {', '.join(names)}")
    sets = [set_asked(folder, asked, environment, name, parameters) for name in names]
    models = together([model for model, _ in sets])
    given = [asked.of(name).all(region) for name, (_, region) in zip(names, sets, strict=True)]
    traffics = at_once([traffic for traffic, _, _ in given])
    prices = given[0][2]
    busy = [
        Busy(model, of_its_own(asked, load, model), traffic)
        for model, (_, load, _), traffic in zip(models, given, traffics, strict=True)
    ]
    feared = fears(event_texts, models, traffics[0])
    traces = dict(zip(names, run_together(busy, Delays(), events=in_order(feared)), strict=True))
    if speed:
        play({name: ready(each.model, each.load, traces[name]) for name, each in zip(names, busy, strict=True)}, speed)
    with progress(5, "simulating") as done:
        verdicts = study_together(busy, prices, done, feared)
    html_file, plot_files, series_file = files
    for name, verdict in verdicts.items():
        own = "-" + name.replace("/", "-")
        page, series, *plots = (
            path and path.with_stem(path.stem + own) for path in (html_file, series_file, *plot_files)
        )
        _write_files(verdict, traces[name], page, [path for path in plots if path], series)
    if as_json:
        services = {name: {**verdict.as_json(), "events": _events(traces[name])} for name, verdict in verdicts.items()}
        click.echo(json.dumps({"v": 1, "services": services, **_prices(prices)}, indent=1))
        return
    for name, verdict in verdicts.items():
        click.echo(f"{name}\n{'-' * len(name)}")
        _print(verdict, traces[name])
        if verdict.model.is_fixed:
            click.echo(f"\nNothing scales it: its own traffic and --service {name} say what scaling would give.")
        click.echo()
    if len(names) > 1:
        click.echo(f"Instances, their hours and USD are those of {' and '.join(names)} together.")
    _say_source(prices)


def _write_files(
    verdict: Study, trace: Trace, html_file: Path | None, plot_files: Sequence[Path], series_file: Path | None
) -> None:
    from scaleout_cfn.simulator.report import page, plot, series_csv

    load = verdict.load
    if html_file:
        write(html_file, page(verdict, trace, table(verdict), _heading(verdict), remarks(verdict)))
    if series_file:
        write(series_file, series_csv(trace, load))
    for plot_file in plot_files:
        plot(verdict, trace, plot_file)
        click.echo(f"{plot_file} written", err=True)


def _prices(prices: Prices) -> dict[str, str]:
    return {"prices_as_of": prices.as_of, "prices_region": prices.region}


def _events(trace: Trace) -> list[dict[str, Any]]:
    return [event._asdict() for event in trace.events]


def _heading(verdict: Study) -> list[str]:
    return heading(verdict.traffic, verdict.load, queued=verdict.model.backlog is not None)


def _print(verdict: Study, trace: Trace) -> None:
    """What was read, the table, and what was done in the first alarm phase."""
    click.echo("\n".join(_heading(verdict)) + "\n")
    print_table(("", "mean", "over the phases", "over the bands"), table(verdict))
    for remark in remarks(verdict):
        click.echo(f"\n{remark}")
    acted = [event for event in trace.events if not event.what.startswith("alarm")]
    if acted:
        click.echo("\nActions in the first alarm phase:")
    for event in acted[:30]:
        clock = f"{event.time // 3600:02}:{event.time % 3600 // 60:02}:{event.time % 60:02}"
        counted = event.what in ("tasks", "nodes")
        what = f"{event.policy}: {event.what} {event.before} to {event.after}" if counted else " ".join(event[1:3])
        click.echo(f"  {clock}  {what}")
    if len(acted) > 30:
        click.echo(f"  ... {len(acted) - 30} more; --json and --html have all")


def _say_source(prices: Prices) -> None:
    click.echo(
        f"\nPrices of {prices.as_of}, {prices.region}. A model of documented rules, not a measurement.", err=True
    )


@click.command()
@click.argument("sets", type=path_type, nargs=-1)
@env_option
@service_option
@parameter_option
@traffic_options
@event_option
@json_option
def compare(
    sets: tuple[Path, ...],
    environment: str | None,
    service: str,
    parameters: tuple[str, ...],
    asked: Asked,
    event_texts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run several SETS, our profiles, and the policies of others on one traffic and print them side by side.

    SETS are files or folders of templates, or config files; --stack is one more. Profiles and others run on the
    infrastructure of the first. Of one set alone, what it comes to on EC2, Fargate and Managed Instances is beside it.
    What befalls them by --event befalls each in the same second, as far as there is anything of it.
    """
    from scaleout_cfn.profiles import PROFILES
    from scaleout_cfn.simulator.events import fears
    from scaleout_cfn.simulator.peers import peers, with_profile
    from scaleout_cfn.simulator.shapes import kinds_beside, scaled, words
    from scaleout_cfn.simulator.study import study

    if not sets and not asked.stacks:
        raise UsageError("sets: got none; give files or folders of templates, config files, or --stack NAME")
    models = {str(path): model_at(path, environment, service, parameters) for path in sets}
    region = region_of(sets[0], environment) if sets else ""
    if asked.stacks:
        models[", ".join(asked.stacks)], of_stacks = model_of_stacks(asked, service, parameters)
        region = region or of_stacks
    own = list(models)
    first = models[own[0]]
    traffic, load, prices = asked.all(region)
    load = of_its_own(asked, load, first)
    feared = fears(event_texts, [models[name] for name in own], traffic)
    # What scales has bounds that the policies of others can be put between.
    first = scaled(first, load, traffic.requests)
    beside = {f"on {words(shape)}": shape for shape in (kinds_beside(first, prices) if len(own) == 1 else ())}
    models.update(beside)
    models.update({name: with_profile(first, profile) for name, profile in PROFILES.items()})
    models.update(peers(first))
    verdicts = {}
    with progress(len(models), "simulating") as done:
        for name, model in models.items():
            verdicts[name] = study(model, load, traffic, prices, fears=feared)
            done()
    if as_json:
        click.echo(
            json.dumps({"v": 1, "sets": {name: verdict.as_json() for name, verdict in verdicts.items()}}, indent=1)
        )
        return
    rows = []
    for name, verdict in verdicts.items():
        missed, band = verdict.middle["objective_missed"], verdict.band("objective_missed")
        rows.append(
            (
                name,
                says("share", missed.mean),
                *(whole(verdict.lost[fear.text].mean) for fear in feared),
                f"{missed.low:.2%} to {missed.high:.2%}",
                f"{band.low:.2%} to {band.high:.2%}",
                *(
                    says(kind, verdict.middle[field].mean)
                    for field, kind in (
                        ("dropped", "share"),
                        ("instance_hours", "count"),
                        ("task_hours", "count"),
                        ("cost_usd", "usd"),
                    )
                ),
            )
        )
    click.echo("\n".join(heading(traffic, load, queued=first.backlog is not None)) + "\n")
    print_table(
        (
            "",
            "over the objective",
            *(f"requests by {text}" for text in event_texts),
            "over the phases",
            "over the bands",
            "dropped",
            "instance-hours",
            "task-hours",
            "USD",
        ),
        rows,
    )
    if models[own[0]].is_fixed:
        click.echo(
            f"\nNothing scales {own[0]}: policies of others are between {first.scaling.min_tasks} and"
            f" {first.scaling.max_tasks} tasks, as simulate chooses them."
        )
    told = set[str]()
    for name in [*own, *beside]:
        for note in verdicts[name].model.notes:
            if note not in told:
                click.echo(f"\n{name}: {note}")
        told.update(verdicts[name].model.notes)
        if limit := verdicts[name].limit:
            click.echo(f"\nWhat limits {name} is {limit}.")
