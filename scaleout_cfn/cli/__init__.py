"""The command line: the only code that prints, reads arguments or exits.

Each command lives in a module of its own, imported when it is called: `render` pays for nothing that `lint` needs.
Exit codes: `scaleout_cfn.errors.EXIT_CODES`, and docs/exit-codes.md.
"""

from __future__ import annotations

import gc

# Imports make many objects and hardly any garbage: by default a tenth of a render goes into looking for some. Before
# the other imports, for they are what it is about; nobody but the command line imports this module.
gc.set_threshold(100_000)

import importlib
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scaleout_cfn.errors import ScaleoutError

if TYPE_CHECKING:
    from scaleout_cfn.config import Config
    from scaleout_cfn.stack import Stack

__all__ = ["main"]

#: Command to the module that holds it, in the order in which one meets them.
COMMANDS = {
    "init": "config",
    "schema": "config",
    "render": "render",
    "lint": "lint",
    "graph": "render",
    "schedules": "schedules",
    "bootstrap": "policies",
    "deploy": "deploy",
    "diff": "deploy",
    "plan": "deploy",
    "apply": "deploy",
    "import": "imports",
    "upgrade": "upgrade",
    "move": "upgrade",
    "publish": "deploy",
    "status": "status",
    "events": "status",
    "outputs": "status",
    "alarms": "status",
    "drift": "status",
    "cost": "figures",
    "diagnose": "status",
    "image": "image",
    "rollout": "rollout",
    "restart": "rollout",
    "scale": "scale",
    "stop": "scale",
    "start": "scale",
    "logs": "rollout",
    "exec": "run",
    "run": "run",
    "jobs": "run",
    "rollback": "rollback",
    "cancel": "rollback",
    "destroy": "rollback",
    "doctor": "policies",
    "policies": "policies",
    "ci": "ci",
    "completion": "config",
    "simulate": "simulate",
    "compare": "simulate",
    "advise": "advise",
    "figures": "figures",
    "prices": "figures",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"scaleout_cfn.cli.{COMMANDS[name]}")
        return getattr(module, "import_" if name == "import" else name)  # type: ignore[no-any-return]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            name, command, rest = super().resolve_command(ctx, args)
            if name and command and {"-h", "--help"}.intersection(rest):
                from scaleout_cfn.cli.examples import add_examples  # only for who asks

                add_examples(command, name)
            return name, command, rest
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near or near[0] in error.message:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import platform
        from contextlib import suppress
        from importlib.metadata import PackageNotFoundError, version

        click.echo(f"scaleout-cfn {version('scaleout-cfn')}")
        # What a report of a fault has to tell.
        click.echo(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
        for package in ("troposphere", "awacs", "boto3", "cfn-lint", "numpy", "ministack"):
            with suppress(PackageNotFoundError):  # the last two are extras
                click.echo(f"{package} {version(package)}")
        ctx.exit()


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version, and those of what it stands on.",
)
def cli() -> None:
    """CloudFormation stack sets for an auto-scaling HTTP service on Amazon ECS."""


def main(
    arguments: list[str] | None = None,
    *,
    compose: Callable[[Config], Stack] | None = None,
    config: Config | None = None,
) -> None:
    """Run a command and exit with its code: an error is one message, never a traceback.

    A project of your own hands over how its set is composed, by default `scaleout_cfn.compose`, and the config that
    lies under its config file. All commands are then of that set:

        if __name__ == "__main__":
            scaleout_cfn.main(compose=shop)

    `arguments` are those of the command line unless given.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        # What goes to a file or a pipe is the same on Windows as elsewhere: UTF-8, in lines that a shell reads.
        if os.linesep != "\n" and not stream.isatty():
            stream.reconfigure(encoding="utf-8", newline="\n")
        # A letter that it has no code for is no reason to end.
        stream.reconfigure(errors="backslashreplace")
    project = None
    if compose or config:
        import shlex

        from scaleout_cfn.cli.options import Project

        project = Project(compose, config, f"python {shlex.quote(sys.argv[0])}")
    name = project.program if project else "scaleout-cfn"
    try:
        sys.exit(cli.main(arguments, prog_name=name, standalone_mode=False, obj=project) or 0)
    except click.exceptions.Abort:
        _say("interrupted")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        command = error.ctx.command if isinstance(error, click.UsageError) and error.ctx else None
        given = sys.argv[1:] if arguments is None else arguments
        # The commands that talk to AWS end with a result, whatever happens; they are those that have --local.
        if "--json" in given and command and any("--local" in parameter.opts for parameter in command.params):
            from scaleout_cfn.cli.views import JsonView
            from scaleout_cfn.deploy.messages import Outcome

            JsonView().tell(Outcome("invalid", error.format_message(), code=error.exit_code))
        sys.exit(error.exit_code)
    except ScaleoutError as error:
        for line in str(error).splitlines():
            _say(f"error: {line}")
        sys.exit(error.exit_code)
    except Exception as error:
        if project:
            raise  # most likely out of the project's own code, whose author wants to see where
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        _say(f"internal error: {type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})")
        _say("This is a fault of scaleout-cfn, not yours. Please report it with the command and the config.")
        sys.exit(1)


def _say(message: Any) -> None:
    click.echo(message, err=True)
