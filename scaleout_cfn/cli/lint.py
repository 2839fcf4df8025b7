"""lint: what is wrong with a set of templates, ours or anybody's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click
import msgspec

from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint.files import Report, lint_files

# Nested stacks that are named one by one; --json has all.
SHOWN = 10


@click.command()
@click.argument("paths", nargs=-1, metavar="[FOLDER | FILE]...", type=click.Path(path_type=Path))
@click.option(
    "--region", "regions", multiple=True, help="Check for it; repeatable. Else what .cfnlintrc says, or us-east-1."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def lint(ctx: click.Context, paths: tuple[Path, ...], regions: tuple[str, ...], as_json: bool) -> None:
    """Check templates: each by cfn-lint, and the set as a whole by rules of our own.

    Takes folders of nested templates, YAML or JSON, with their subfolders, and single files; templates_out by default.
    What they nest is followed wherever it lies. Exits with 10 when there is an error, with 11 when there are warnings
    only, and with 0 when there is nothing, or what is only for information.

    Rules are switched off as cfn-lint's are: by ignore_checks in a .cfnlintrc in the folder, in the Metadata of a
    template, or in the Metadata of a resource.
    """
    paths = paths or (Path("templates_out"),)
    try:
        report = lint_files(*paths, regions=regions)
    except OSError as error:
        said = error.filename or ", ".join(map(str, paths))
        raise UsageError(f"{said}: {error.strerror or error}; give folders of templates, or files") from None
    except ValueError as error:
        raise UsageError(f"--region: {error}") from None
    counts = Counter(finding.severity for finding in report.findings)
    if as_json:
        totals = {"errors": counts["error"], "warnings": counts["warning"], "infos": counts["info"]}
        click.echo(json.dumps({"v": 1, **totals, **msgspec.to_builtins(report)}, indent=2))
    else:
        _show(report)
        said = f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} for information"
        click.echo(f"{', '.join(map(str, paths))}: {said}", err=True)
    ctx.exit(10 if counts["error"] else 11 if counts["warning"] else 0)


def _show(report: Report) -> None:
    for finding in report.findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        often = f" ({finding.count} times)" if finding.count > 1 else ""
        path = f" at {finding.path}" if finding.path else ""  # of a file that is no template there is none
        click.echo(f"{place}: {finding.severity} {finding.rule}{path}: {finding.message}{often}")
        click.echo(f"    {finding.cure}  {finding.source}")
    nested = report.followed + len(report.unfollowed)
    click.echo(f"{report.templates} templates; followed {report.followed} of {nested} nested stacks", err=True)
    for stack in report.unfollowed[:SHOWN]:
        click.echo(f"    {stack.file}:{stack.line}: {stack.logical_id} is not followed: {stack.why}", err=True)
    if len(report.unfollowed) > SHOWN:
        click.echo(f"    and {len(report.unfollowed) - SHOWN} more; --json has them all", err=True)
