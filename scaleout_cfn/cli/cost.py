"""cost: the bill of a month beside what was simulated."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path

import click

from scaleout_cfn.cli.options import Checked
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import cost as steps
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.errors import UsageError

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
