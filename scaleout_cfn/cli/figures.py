"""figures, prices and cost: what simulations are measured by, what they reckon with, and the bill beside them."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path

import click

from scaleout_cfn.cli.options import Checked
from scaleout_cfn.cli.tables import print_table, waiting, write
from scaleout_cfn.cli.traffic import built_in_prices, json_option, path_type
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import cost as steps
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.errors import UsageError
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


#: What traffic a set has nobody knows but who runs it, and so nothing is simulated unasked.
HOW = (
    "nothing to compare with: give the month's traffic to `scaleout-cfn simulate CONFIG --access-log FILE --task-rps N"
    " --json > simulated.json`, then this again with --simulated simulated.json"
)


def _month(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _problem_of_month(text: str) -> str:
    return "" if _month(text) else "allowed is a month, as in 2026-10"


@click.command()
@aws_command()
@click.option("--month", type=Checked(_problem_of_month), metavar="YYYY-MM", help="The month.  [default: this one]")
@click.option("--tag", default="", metavar="KEY", help="A tag of the stack that no other set has.  [default: the only]")
@click.option(
    "--simulated", "file", type=click.Path(path_type=Path), metavar="FILE", help="What `simulate --json` printed."
)
def cost(work: Work, month: str | None, tag: str, file: Path | None) -> Outcome:
    """Show what the set costs by the bill, by parts, and beside it what was simulated. Changes nothing.

    The bill is Cost Explorer's, by a tag of the set that is an active cost allocation tag; each request costs 0.01 USD,
    and two or more are made. What no simulation knows is told apart. Columns: billed, simulated for as many days, and
    the difference, in USD.

    \b
      scaleout-cfn cost --month 2026-10
      scaleout-cfn simulate scaleout.toml --access-log october.log.gz --task-rps 20 --json > simulated.json
      scaleout-cfn cost --tag team --simulated simulated.json

    Ends with 2 where no tag is the set's own, with 5 where the tag is not activated, and says how to.
    """
    simulated = _simulated(file) if file else None
    live = require(work.aws, work.stack_name)
    found = steps.tag_of(live, tag)
    today = datetime.now(UTC).date()
    wanted = _month(month) if month else today.replace(day=1)
    assert wanted is not None
    if simulated is None:
        work.view.tell(Note(HOW))
    return steps.compared(
        live, found, steps.bill_of(work.aws, found, wanted, today, work.view.tell), simulated, work.view.tell
    )


def _simulated(path: Path) -> steps.Simulated:
    """What `simulate --json` printed. Raises UsageError for anything else."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        costs = {str(name): float(value) for name, value in told["costs_usd"].items()}
        seconds = float(told["seconds"])
    except OSError as error:
        raise UsageError(f"--simulated {path}: {error.strerror or error}; give a file") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        what = "is not what `simulate --json` prints, with costs_usd and seconds; run it again with this version"
        raise UsageError(f"--simulated {path}: {what}") from None
    if not seconds > 0 or not all(map(math.isfinite, (seconds, *costs.values()))):
        raise UsageError(f"--simulated {path}: its seconds and costs_usd have to be numbers, and seconds more than 0")
    return steps.Simulated(costs, seconds)
