"""figures and prices: what simulations are measured by, and what they reckon with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scaleout_cfn.cli.options import Checked
from scaleout_cfn.cli.tables import print_table, waiting, write
from scaleout_cfn.cli.traffic import built_in_prices, json_option, path_type
from scaleout_cfn.grammars import problem_of_region


@click.command()
@json_option
def figures(as_json: bool) -> None:
    """Print the published figures that the model has to meet, beside what it gives."""
    from scaleout_cfn.simulator.figures import rows

    every = rows()
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
                        for row in every
                    ],
                },
                indent=1,
            )
        )
        return
    print_table(
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
            for row in every
        ],
    )
    for source in dict.fromkeys(row.figure.source for row in every):
        click.echo(source, err=True)


@click.group()
def prices() -> None:
    """The prices that simulations reckon with."""


@prices.command()
@click.option("--region", type=Checked(problem_of_region), default="", help="Whose prices.  [default: us-east-1]")
@click.option("--json", "as_json", is_flag=True, help="The price file, for --prices: a start for one of your own.")
def show(region: str, as_json: bool) -> None:
    """Print the built-in prices of a region, and where each is from."""
    from scaleout_cfn.simulator.prices import UNITS, as_json_text

    built_in = built_in_prices(region)
    if as_json:
        click.echo(as_json_text(built_in), nl=False)
        return
    numbers = {source: str(number) for number, source in enumerate(dict.fromkeys(built_in.sources.values()), 1)}
    rows = []
    for name, unit in UNITS.items():
        band = built_in.bands.get(name)
        rows.append(
            (
                unit.what,
                f"{built_in.units[name]:g}",
                f"{band[0]:g} to {band[1]:g}" if band else "",
                numbers[built_in.sources[name]],
            )
        )
    click.echo(f"Prices of {built_in.region}, {built_in.as_of}\n")
    print_table(("", "USD", "known to lie", "source"), rows)
    click.echo(
        f"\nInstances: {len(built_in.instances)} types, by source {numbers[built_in.sources['instances']]}; --json has"
        " them.\n"
    )
    for source, number in numbers.items():
        click.echo(f"{number:>2}  {source}")


@prices.command()
@click.argument("path", type=path_type)
@click.option("--region", type=Checked(problem_of_region), default="us-east-1", show_default=True, help="Whose prices.")
@click.option("--profile", default="", help="The profile of the AWS configuration to use.")
def refresh(path: Path, region: str, profile: str) -> None:
    """Write the prices of today to PATH, for --prices. Needs an AWS account that may pricing:GetProducts.

    What AWS's Price List does not tell stays as it is built in, with its source: EC2 Spot, and Managed Instances' fee.
    """
    from datetime import date

    from scaleout_cfn.aws.client import Aws, Target
    from scaleout_cfn.simulator.prices import as_json_text, prices_of
    from scaleout_cfn.simulator.prices import refresh as ask

    old = prices_of(region)
    with waiting("asking the price list"):
        today = ask(Aws(Target(profile=profile, region="us-east-1")), region, old, date.today().isoformat())
    write(path, as_json_text(today))
    for name, source in today.sources.items():
        if source == old.sources[name]:
            click.echo(f"{name} is as it was: {source}", err=True)
