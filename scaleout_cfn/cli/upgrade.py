"""upgrade and move: what this version would do to a set that another one made, and what it has elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from scaleout_cfn.cli.deploy import yes_option
from scaleout_cfn.cli.draw import plan_lines
from scaleout_cfn.cli.options import composed, config_options, load_config, project
from scaleout_cfn.cli.tables import waiting
from scaleout_cfn.cli.views import JsonView
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command, timeout_option
from scaleout_cfn.config.text import json_schema
from scaleout_cfn.deploy import move as steps
from scaleout_cfn.deploy.changes.between import between
from scaleout_cfn.deploy.messages import Fact, Outcome, Planned
from scaleout_cfn.deploy.move import Move
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.errors import AGAIN, Next, RefusedError, UsageError
from scaleout_cfn.rendering import set_of
from scaleout_cfn.templates.reading import read_folder


def _moves(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[Move, ...]:
    moves = []
    for text in texts:
        source, _, destination = text.partition("=")
        if not source or not destination or source == destination:
            raise click.UsageError(f"got {text!r}; write where it is and where it shall be: Data/Table=Store/Table")
        moves.append(Move(source, destination))
    return tuple(moves)


def _check(options: Options, **others: object) -> None:
    if options.local:
        raise click.UsageError("--local: the emulator knows no stack refactor")


@click.command()
@click.argument("moves", nargs=-1, metavar="[FROM=TO]...", callback=_moves)
@aws_command(check=_check)
@yes_option
@adopt_option
@timeout_option
def move(work: Work, moves: tuple[Move, ...], yes: bool, adopt: bool, timeout_min: float | None) -> Outcome:
    """Move resources between nested stacks of the set as they are, by a stack refactor: nothing is made anew.

    Without FROM=TO: what this version of scaleout-cfn has in another stack than the one that made the set. With it:
    what your own code has elsewhere now. Move first, then deploy. Whoever does it needs move.json of `policies`.

    \b
      scaleout-cfn move
      scaleout-cfn move Data/Queue=Worker/Queue --yes

    CloudFormation moves nothing out of or into a stack with a stack policy, as `deploy` sets it for what holds data.
    The same command again goes on with what an earlier one began.
    """

    def ask(question: str) -> bool:
        if yes:
            return True
        if not work.interactive:
            raise RefusedError(
                "nobody is there to confirm the move", state="nothing was changed", next=Next(AGAIN, ("--yes",))
            )
        return work.view.ask(question)

    given = moves or steps.MOVES
    if not given:
        what = f"{work.stack_name}: this version has every resource where earlier ones had it"
        return Outcome("no_change", what)
    try:
        return steps.move(
            work.aws,
            work.stack_name,
            given,
            work.view.tell,
            ask,
            work.patience(timeout_min),
            environment=work.environment,
            adopt=adopt,
        )
    except KeyboardInterrupt as stop:
        what = f"{work.stack_name}: stopped; a move that had begun goes on, and moves all or nothing"
        return Outcome("interrupted", what, next=Next(AGAIN), code=code_of(stop))


NAME = "scaleout-cfn"


@click.command()
@config_options
@click.option(
    "--from",
    "source",
    required=True,
    metavar="VERSION",
    help="What made the running set: a released version, which pip fetches, a wheel, a checkout, git+URL@REF, or the"
    " folder of an environment that has it, for which no network is needed.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
@click.option("--verbose", is_flag=True, help="Every new key, too.")
def upgrade(
    config_path: Path | None,
    environment: str | None,
    overrides: tuple[str, ...],
    source: str,
    as_json: bool,
    verbose: bool,
) -> None:
    """Show what this version would do to a set that another version made of the same config. Needs no AWS account.

    Both render the config, the other one in an environment of its own. What differs is shown as `diff` shows it: what
    is replaced, what users would see, what holds data; and first which keys of the config came, went, or have
    another default. Only a change set knows what AWS makes of it: `diff`, before you deploy.

    \b
      scaleout-cfn upgrade --from 1.4.0
      scaleout-cfn upgrade --from dist/scaleout_cfn-1.4.0-py3-none-any.whl --env prod
      scaleout-cfn upgrade --from git+file:///srv/scaleout-cfn@v1.4.0
      scaleout-cfn upgrade --from /srv/deploy/.venv --json
    """
    config = load_config(config_path, environment, overrides)
    after = set_of(composed(config))
    given = [("--config", config_path), ("--env", environment), *(("--set", one) for one in overrides)]
    options = [str(word) for name, value in given if value is not None for word in (name, value)]
    with TemporaryDirectory(prefix=f"{NAME}-") as folder, waiting(f"rendering by {source}"):
        python = _python_of(source, Path(folder) / "venv")
        own = (
            [sys.argv[0]] if project().compose else ["-P", "-m", "scaleout_cfn"]
        )  # not what lies in the folder that one is in
        other = [str(python), *own]
        told = _run([*other, "--version"], f"--from {source}: cannot be run")
        version = told.partition("\n")[0].removeprefix(f"{NAME} ")
        _run(
            [*other, "render", *options, "-o", str(Path(folder) / "set")],
            f"{version} refuses the config, which has to be one for both versions",
        )
        before = read_folder(Path(folder) / "set")
        schema = json.loads(_run([*other, "schema"], f"{version} prints no schema"))
    plan = between(before, after, config.stack_name)
    moved = _keys_fact(version, dict(_keys(schema)), dict(_keys(json_schema())), verbose=verbose)
    if as_json:
        view = JsonView()
        view.tell(moved)
        view.tell(Planned(plan))
        return
    lines = plan_lines(plan, shutil.get_terminal_size((120, 40)).columns)
    for line in (*moved.lines, *(lines if plan.changes else [f"{plan.stack}: both versions make the same set"])):
        click.echo(line)
    click.echo(f"Next: {project().program} diff, which asks AWS", err=True)


def _python_of(source: str, venv: Path) -> Path:
    """The Python of an environment that has the other version: the one that is given, or a new one in `venv`."""
    given = Path(source)
    for name in ("bin/python", "Scripts/python.exe"):
        if (given / name).exists():
            return given / name
    is_local = given.exists()
    is_ref = source.startswith("git+")
    if not is_local and not is_ref and ("/" in source or source.endswith(".whl")):
        what = "a wheel, a checkout, git+URL@REF or an environment"
        raise UsageError(f"--from {source}: there is nothing of that path; give {what}")
    _run([sys.executable, "-m", "venv", str(venv)], "no environment could be made for the other version")
    python = next(venv / name for name in ("bin/python", "Scripts/python.exe") if (venv / name).exists())
    wanted = str(given.resolve()) if is_local else f"{NAME} @ {source}" if is_ref else f"{NAME}=={source}"
    cure = (
        "give a version that is released, a wheel, a checkout, git+URL@REF, or the folder of an environment that has it"
    )
    _run([str(python), "-m", "pip", "install", "--quiet", wanted], f"--from {source}: pip cannot install it; {cure}")
    return python


def _run(command: Sequence[str], problem: str) -> str:
    """What a command prints. Raises UsageError with its last words where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    except OSError as error:
        raise UsageError(f"{problem}: {error.strerror}") from None
    if done.returncode:
        words = done.stderr.splitlines() or [f"exit {done.returncode}"]
        said = next((line for line in words if "error: " in line.lower()), words[-1])
        raise UsageError(f"{problem}: {said.removeprefix('ERROR: ').removeprefix('error: ')}")
    return done.stdout


def _keys(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every key of a config by its dotted name, and its default; empty for none, and for that of a section."""
    sections = schema.get("$defs", {})

    def below(node: Mapping[str, Any], key: str, inside: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        name = node.get("$ref", "").rpartition("/")[2]
        if name in inside:
            return
        within = (*inside, name) if name else inside
        whole = {**node, **sections[name]} if name in sections else node
        for choice in whole.get("anyOf", ()):
            yield from below(choice, key, within)
        for title, inner in whole.get("properties", {}).items():
            place = f"{key}.{title}".lstrip(".")
            if place == "environments":  # the same keys once more
                continue
            default = inner.get("default")
            yield place, "" if default is None or isinstance(default, dict) else json.dumps(default)
            yield from below(inner, place, within)
        if isinstance(entries := whole.get("additionalProperties"), dict):
            yield from below(entries, f"{key}.NAME", within)

    yield from below(schema, "", ())


def _keys_fact(version: str, before: Mapping[str, str], after: Mapping[str, str], *, verbose: bool) -> Fact:
    gone, new = (sorted(one.keys() - other.keys()) for one, other in ((before, after), (after, before)))
    turned = sorted(key for key in before.keys() & after.keys() if before[key] != after[key])
    count = f"{len(new)} keys of the config are new, {len(gone)} gone, {len(turned)} have another default"
    lines = [f"from {version}: {count}"]
    lines += [f"  gone  {key}" for key in gone]
    if verbose:
        lines += [f"  new   {key}{f' = {after[key]}' if after[key] else ''}" for key in new]
    lines += [f"  {key}  {before[key]} -> {after[key]}" for key in turned]
    return Fact("keys", tuple(lines), {"from": version, "gone": gone, "new": new, "defaults": turned})
