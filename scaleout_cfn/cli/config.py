"""init and schema: a config file to start from, and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scaleout_cfn.cli.options import DEFAULT_CONFIG, project
from scaleout_cfn.config import Config
from scaleout_cfn.config_text import json_schema, starter
from scaleout_cfn.errors import UsageError
from scaleout_cfn.profiles import PROFILES
from scaleout_cfn.scaling import Scaling


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_CONFIG)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="balanced",
    show_default=True,
    help="How the service scales: what it misses in a crowd, and what it costs. docs/scaling.md has the numbers.",
)
def init(path: Path, profile: str) -> None:
    """Write a config file that holds every tunable with its default, unit, bounds and meaning.

    Where a profile other than balanced has other numbers, they are set in the file.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter(Config(scaling=PROFILES[profile])))
    except FileExistsError:
        raise UsageError(f"{path}: is there already; give another path, or move it away") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    at = "everything at its default" if PROFILES[profile] == Scaling() else f"with the numbers of {profile}"
    click.echo(f"{path} written, {at}. Change it, then: {project().program} render -c {path}", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
