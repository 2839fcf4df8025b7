"""graph: a picture of a set."""

from __future__ import annotations

from pathlib import Path

import click

from scaleout_cfn.errors import UsageError
from scaleout_cfn.graph import mermaid
from scaleout_cfn.templates.reading import read_folder


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("templates_out"))
def graph(folder: Path) -> None:
    """Print the stack set in FOLDER as a Mermaid flowchart: who is fed by whom."""
    try:
        templates = read_folder(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: {getattr(error, 'strerror', None) or error}; give a folder of templates") from None
    if not templates:
        raise UsageError(f"{folder}: no templates in it; give a folder of templates")
    root = next((name for name in templates if name.startswith("root.")), next(iter(templates)))
    click.echo(mermaid({root: templates[root], **templates}), nl=False)
