"""init and schema: a config file to start from, and its schema."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from scaleout_cfn.cli.options import DEFAULT_CONFIG, project
from scaleout_cfn.config import Config
from scaleout_cfn.config.scaling import Scaling
from scaleout_cfn.config.text import json_schema, starter
from scaleout_cfn.errors import UsageError
from scaleout_cfn.profiles import PROFILES


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_CONFIG)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="balanced",
    show_default=True,
    help="How the service scales: what it misses in a crowd, and what it costs. docs/scaling.md has the numbers.",
)
@click.option("--short", is_flag=True, help="Only what services differ in, a line each, instead of every tunable.")
def init(path: Path, profile: str, short: bool) -> None:
    """Write a config file that holds every tunable with its default, unit, bounds and meaning.

    Where a profile other than balanced has other numbers, they are set in the file.
    """
    apply = f"{project().program} render -c {shlex.quote(str(path))}"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter(Config(scaling=PROFILES[profile]), apply=apply, short=short))
    except FileExistsError:
        raise UsageError(f"{path}: is there already; give another path, or move it away") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    at = "everything at its default" if PROFILES[profile] == Scaling() else f"with the numbers of {profile}"
    click.echo(f"{path} written, {at}. Change it, then: {apply}", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors.

    Written to scaleout.schema.json beside the config, it is found by the first line of what `init` writes: VS Code with
    Even Better TOML, and every editor with taplo, complete and check by it.
    """
    click.echo(json.dumps(json_schema(), indent=2))
