"""figures and prices: what simulations are measured by, and what they reckon with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scaleout_cfn.cli.tables import print_table, write
from scaleout_cfn.cli.traffic import json_option, path_type


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
def show() -> None:
    """Print the built-in price file: a start for one of your own."""
    from scaleout_cfn.simulator.prices import as_json, load_prices

    click.echo(as_json(load_prices()), nl=False)


@prices.command()
@click.argument("path", type=path_type)
@click.option("--region", default="us-east-1", show_default=True, help="Whose prices.")
@click.option("--profile", default="", help="The profile of the AWS configuration to use.")
def refresh(path: Path, region: str, profile: str) -> None:
    """Write the instance prices of today to PATH, for --prices. Needs an AWS account."""
    from datetime import date

    from scaleout_cfn.aws.client import Aws, Target
    from scaleout_cfn.simulator.prices import as_json, load_prices
    from scaleout_cfn.simulator.prices import refresh as ask

    today = ask(Aws(Target(profile=profile, region="us-east-1")), region, load_prices(), date.today().isoformat())
    write(path, as_json(today))
