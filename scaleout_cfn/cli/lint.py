"""lint: what is wrong with a set of templates, ours or anybody's."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint import lint_folder


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("templates_out"))
@click.option(
    "--region", "regions", multiple=True, default=("us-east-1",), show_default=True, help="Check for it; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def lint(ctx: click.Context, folder: Path, regions: tuple[str, ...], as_json: bool) -> None:
    """Check FOLDER: each template by cfn-lint, and the set as a whole by rules of our own.

    FOLDER is any folder of nested templates, YAML or JSON; templates_out by default. Exits with 2 when there is an
    error or a warning.
    """
    try:
        findings = lint_folder(folder, regions=regions)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}; give a folder of templates") from None
    except ValueError as error:
        raise UsageError(f"--region: {error}") from None
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        found = [msgspec.to_builtins(finding) for finding in findings]
        click.echo(json.dumps({"v": 1, "errors": errors, "warnings": len(found) - errors, "findings": found}, indent=2))
    else:
        for finding in findings:
            place = f"{finding.file}:{finding.line}" if finding.line else finding.file
            click.echo(f"{place}: {finding.severity} {finding.rule} at {finding.path}: {finding.message}")
            click.echo(f"    {finding.cure}  {finding.source}")
        click.echo(f"{folder}: {errors} errors, {len(findings) - errors} warnings", err=True)
    ctx.exit(2 if findings else 0)
