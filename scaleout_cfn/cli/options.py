"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from msgspec import Struct

from scaleout_cfn.config import Config
from scaleout_cfn.config.conflicts import remarks
from scaleout_cfn.config.file import load
from scaleout_cfn.errors import UsageError
from scaleout_cfn.grammars import problem_of_bucket

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
    own = click.get_current_context().find_root().obj
    return own if isinstance(own, Project) else Project()


def composed(config: Config) -> Stack:
    """The set of a config, as the project composes it."""
    from scaleout_cfn.composing import compose

    return (project().compose or compose)(config)


class Finite(click.FloatRange):
    """A number in a range. click's own takes nan, which is in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Checked(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on only
    """A text that a function finds nothing wrong with, or none."""

    name = "text"

    def __init__(self, problem_of: Callable[[str], str]) -> None:
        self.problem_of = problem_of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value and (problem := self.problem_of(value)):
            self.fail(f"got {value!r}; {problem}", param, ctx)
        return str(value)


BUCKET = Checked(problem_of_bucket)


bucket_option = click.option(
    "--bucket",
    type=BUCKET,
    default="",
    metavar="NAME",
    help="The templates' bucket.  [default: bucket of the config, else what `bootstrap` makes]",
)


Completion: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]
"""What may follow what is typed; called by a shell alone, which gets no error and calls nobody else."""


def _tables(context: click.Context) -> dict[str, Any]:
    """The config that the line names, as it is written: also one that is not valid yet."""
    import tomllib

    named = [context.params.get("config_path"), *context.args]  # where a value is wanted, arguments are not told apart
    path = next((path for path in named if path and Path(path).suffix == ".toml"), DEFAULT_CONFIG)
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _sections(tables: dict[str, Any], name: str) -> dict[str, Any]:
    """Sections by name, of a config that may have anything there."""
    return found if isinstance(found := tables.get(name), dict) else {}


def names_in(section: str) -> Completion:
    """Completes the names of a section's sections, of several with commas the last."""

    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
        before, comma, last = begun.rpartition(",")
        names = _sections(_tables(context), section)
        return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in before.split(",")]

    return complete


def stack_names(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Completes the stacks of the config and its environments."""
    tables = _tables(context)
    name = tables.get("stack_name", Config().stack_name)
    named = [
        overlay.get("stack_name", f"{name}-{environment}") if isinstance(overlay, dict) else ""
        for environment, overlay in _sections(tables, "environments").items()
    ]
    return [stack for stack in (name, *named) if isinstance(stack, str) and stack and stack.startswith(begun)]


one_service_option = click.option(
    "--service",
    "service",
    default="",
    metavar="NAME",
    shell_complete=names_in("services"),
    help="Of several services this one.  [default: the only one]",
)
service_option = click.option(
    "--service",
    "service",
    default="",
    metavar="NAME",
    shell_complete=names_in("services"),
    help="Of several services this one.  [default: all]",
)


stack_option = click.option(
    "--stack",
    metavar="NAME",
    shell_complete=stack_names,
    help="The root stack.  [default: stack_name of the config]",
)


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-c, --env and --set; a command takes them as `config_path`, `environment` and `overrides`."""
    for option in (
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One tunable for this run; repeatable."
        ),
        click.option(
            "--env",
            "environment",
            metavar="NAME",
            shell_complete=names_in("environments"),
            help="Overlay [environments.NAME] of the config. Some commands take several, as in prod-eu,prod-us.",
        ),
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


def environments_in(text: str | None) -> tuple[str, ...]:
    """The environments that --env names. Raises UsageError for one that is named twice, or has no name."""
    names = tuple(name.strip() for name in (text or "").split(",")) if text else ()
    if "" in names or len(set(names)) < len(names):
        what = "a name is missing" if "" in names else "one is named twice"
        raise UsageError(f"--env {text}: {what}; give each environment once, as in --env prod-eu,prod-us")
    return names


def load_config(config_path: Path | None, environment: str | None, overrides: tuple[str, ...]) -> Config:
    if len(environments_in(environment)) > 1:
        raise UsageError(f"--env {environment}: this command is for one environment; name one")
    if config_path is None and DEFAULT_CONFIG.exists():
        config_path = DEFAULT_CONFIG
        click.echo(f"config {DEFAULT_CONFIG}", err=True)
    config = load(config_path, environment=environment, overrides=overrides, base=project().config)
    for line in remarks(config):
        click.echo(f"warning: {line}", err=True)
    return config
