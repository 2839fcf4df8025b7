"""render: config to template files; graph: a picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from scaleout_cfn.cli.options import composed, config_options, environments_in, load_config, project
from scaleout_cfn.errors import ScaleoutError, UsageError
from scaleout_cfn.files import is_ours, templates_in, write
from scaleout_cfn.rendering import Format, Template, set_of, texts_of


@click.command()
@config_options
@click.option(
    "-o",
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("templates_out"),
    show_default=True,
    help="Where to write.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="The language of the templates.",
)
@click.option("--check", is_flag=True, help="Write nothing; show how the folder differs and exit with 3 if it does.")
@click.pass_context
def render(
    ctx: click.Context,
    config_path: Path | None,
    environment: str | None,
    overrides: tuple[str, ...],
    folder: Path,
    format_: Format,
    check: bool,
) -> None:
    """Write the stack set of a config as template files. Needs no AWS account.

    Nothing is written when the config is refused or the set has an error. Of several environments each gets a folder of
    its name in the folder.
    """
    names = environments_in(environment)
    sets = []
    for name in names or ("",):
        try:
            templates = set_of(composed(load_config(config_path, name or None, overrides)), format=format_)
            place = folder / name if len(names) > 1 else folder
            sets.append((place, templates, texts_of(templates, format=format_)))
        except ScaleoutError as error:
            if len(names) > 1:
                error.args = (f"{name}: {error}",)
            raise
    differs = [_written(place, templates, texts, check=check) for place, templates, texts in sets]
    if any(differs):
        ctx.exit(3)


def _written(folder: Path, templates: Mapping[str, Template], texts: dict[str, str], *, check: bool) -> bool:
    """Write a set, or compare it with what is there; whether that differs."""
    if check:
        difference = _difference(folder, texts)
        click.echo(difference, nl=False)
        click.echo(
            f"{folder} {'differs from' if difference else 'is what'} the config{'' if difference else ' gives'}",
            err=True,
        )
        return bool(difference)
    for path in write(folder, texts):
        click.echo(f"{path} removed, for it is not of this set", err=True)
    width = max(map(len, texts))
    for name, text in texts.items():
        click.echo(f"{name:<{width}}  {len(templates[name]['Resources']):>3} resources  {len(text.encode()):>6} bytes")
    click.echo(
        f"Written to {folder}. Next: {project().program} lint {folder}, or upload the folder to S3 and create a stack"
        f" from {next(iter(texts))}: docs/console.md",
        err=True,
    )
    return False


def _difference(folder: Path, texts: dict[str, str]) -> str:
    """A unified diff from what is in the folder to what the config gives; empty when they are the same."""
    try:
        there = {path.name: path.read_text(encoding="utf-8") for path in templates_in(folder) if is_ours(path)}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder}: {error}; give a folder of templates that can be read") from None
    import difflib

    lines: list[str] = []
    for name in sorted({*there, *texts}):
        old, new = there.get(name, ""), texts.get(name, "")
        lines += difflib.unified_diff(
            old.splitlines(True), new.splitlines(True), f"{folder / name}", f"{name} by the config"
        )
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("templates_out"))
def graph(folder: Path) -> None:
    """Print the stack set in FOLDER as a Mermaid flowchart: who is fed by whom."""
    from scaleout_cfn.graph import mermaid  # here, for render needs neither
    from scaleout_cfn.templates.reading import read_folder

    try:
        templates = read_folder(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: {getattr(error, 'strerror', None) or error}; give a folder of templates") from None
    if not templates:
        raise UsageError(f"{folder}: no templates in it; give a folder of templates")
    root = next((name for name in templates if name.startswith("root.")), next(iter(templates)))
    click.echo(mermaid({root: templates[root], **templates}), nl=False)
