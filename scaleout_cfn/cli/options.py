"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scaleout_cfn.config import Config
from scaleout_cfn.config_file import load

DEFAULT_CONFIG = Path("scaleout.toml")


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-c, --env and --set; a command takes them as `config_path`, `environment` and `overrides`."""
    for option in (
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One tunable for this run; repeatable."
        ),
        click.option("--env", "environment", metavar="NAME", help="Overlay [environments.NAME] of the config."),
        click.option(
            "-c",
            "--config",
            "config_path",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"The config file.  [default: {DEFAULT_CONFIG} where there is one, else the built-in defaults]",
        ),
    ):
        command = option(command)
    return command


def load_config(config_path: Path | None, environment: str | None, overrides: tuple[str, ...]) -> Config:
    """The config that the options ask for."""
    if config_path is None and DEFAULT_CONFIG.exists():
        config_path = DEFAULT_CONFIG
        click.echo(f"config {DEFAULT_CONFIG}", err=True)
    return load(config_path, environment=environment, overrides=overrides)
