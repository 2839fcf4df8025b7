"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from scaleout_cfn.config import Config
from scaleout_cfn.config_file import load

if TYPE_CHECKING:
    from scaleout_cfn.stack import Stack

DEFAULT_CONFIG = Path("scaleout.toml")


class Project(Struct, frozen=True):
    """Whose commands these are: how its set is composed, the config under its config file, and how it is called."""

    compose: Callable[[Config], Stack] | None = None
    config: Config | None = None
    program: str = "scaleout-cfn"


def project() -> Project:
    """The project of the command at work: what `main` was given."""
    found = click.get_current_context().find_root().obj
    return found if isinstance(found, Project) else Project()


def composed(config: Config) -> Stack:
    """The set of a config, as the project composes it."""
    from scaleout_cfn.rendering import compose

    return (project().compose or compose)(config)


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
    return load(config_path, environment=environment, overrides=overrides, base=project().config)
