"""init and schema: a config file to start from, and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scaleout_cfn.cli.options import DEFAULT_CONFIG
from scaleout_cfn.config_text import json_schema, starter
from scaleout_cfn.errors import UsageError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_CONFIG)
def init(path: Path) -> None:
    """Write a config file that holds every tunable with its default, unit, bounds and meaning."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter())
    except FileExistsError:
        raise UsageError(f"{path}: is there already; give another path, or move it away") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a path that can be written to") from None
    click.echo(f"{path} written, everything at its default. Change it, then: scaleout-cfn render -c {path}", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config file, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
