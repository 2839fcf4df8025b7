"""lint: what is wrong with a set of templates, ours or anybody's."""

from __future__ import annotations

import glob
from collections import Counter
from pathlib import Path

import click
from msgspec.structs import replace

from scaleout_cfn.cli.tables import waiting
from scaleout_cfn.errors import UsageError
from scaleout_cfn.lint.files import Report, lint_files
from scaleout_cfn.lint.formats import Baseline
from scaleout_cfn.lint.rules import RULES

# Nested stacks and copies that are named one by one; --format json has all.
SHOWN = 10
COPIES = 3


def _rules(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Completes our own rules."""
    return [rule.id for rule in RULES if rule.id.startswith(begun)]


@click.command()
@click.argument("paths", nargs=-1, metavar="[FOLDER | FILE | GLOB]...")
@click.option(
    "--region", "regions", multiple=True, help="Check for it; repeatable. Else what .cfnlintrc says, or us-east-1."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github", "junit"]),
    default="text",
    show_default=True,
    help="What is printed: for people, for programs, for code scanning, as annotations of a workflow, for CI.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="RULE",
    shell_complete=_rules,
    help="Leave out a rule, or all that begin so; repeatable.",
)
@click.option(
    "--only", multiple=True, metavar="RULE", shell_complete=_rules, help="Leave out all other rules; repeatable."
)
@click.option(
    "--baseline",
    "baseline_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Leave out the findings that this file knows, and say how many.",
)
@click.option("--update-baseline", is_flag=True, help="Write to --baseline what is found now, and end with 0.")
@click.option(
    "--explain",
    metavar="RULE",
    shell_complete=_rules,
    help="Say what a rule wants and why, with a wrong and a right template.",
)
@click.pass_context
def lint(
    ctx: click.Context,
    paths: tuple[str, ...],
    regions: tuple[str, ...],
    form: str,
    ignore: tuple[str, ...],
    only: tuple[str, ...],
    baseline_file: Path | None,
    update_baseline: bool,
    explain: str | None,
) -> None:
    """Check templates: each by cfn-lint, and the set as a whole by rules of our own.

    Takes folders of nested templates, YAML or JSON, with their subfolders, single files, and globs; templates_out by
    default. What they nest is followed wherever it lies. Exits with 10 when there is an error, with 11 when there are
    warnings only, and with 0 when there is nothing, or what is only for information.

    Rules are switched off as cfn-lint's are: by ignore_checks in a .cfnlintrc in the folder, in the Metadata of a
    template, or in the Metadata of a resource; for one run by --ignore.

    \b
    Examples:
      scaleout-cfn lint                                  our own, in templates_out
      scaleout-cfn lint cdk.out 'stacks/**/*.yaml'       anybody's
      scaleout-cfn lint --format sarif > lint.sarif      for code scanning
      scaleout-cfn lint --baseline lint.json --update-baseline
      scaleout-cfn lint --baseline lint.json             what is new since
      scaleout-cfn lint --explain S206
    """
    if explain is not None:
        from scaleout_cfn.lint.explain import explained

        click.echo(explained(explain))
        return
    if update_baseline and not baseline_file:
        raise UsageError("--update-baseline: goes with --baseline FILE, which it writes")
    ignore, only = _beginnings("--ignore", ignore), _beginnings("--only", only)
    # Read first: a file that is none is told before the work.
    baseline = Baseline.read(baseline_file) if baseline_file and not update_baseline else Baseline(())
    paths = paths or ("templates_out",)
    try:
        with waiting("checking"):
            report = lint_files(*_files(paths), regions=regions)
    except OSError as error:
        said = error.filename or ", ".join(paths)
        raise UsageError(f"{said}: {error.strerror or error}; give folders of templates, or files") from None
    except ValueError as error:
        raise UsageError(f"{'--region' if regions else '.cfnlintrc'}: {error}") from None
    found = [
        finding
        for finding in report.findings
        if not finding.rule.startswith(ignore or "-") and finding.rule.startswith(only or "")
    ]
    if update_baseline and baseline_file:
        Baseline.of(found).write(baseline_file)
        click.echo(
            f"{baseline_file} knows {len(found)} findings; --baseline {baseline_file} shows what is new", err=True
        )
        return
    report = replace(report, findings=baseline.new(found))
    if form == "text":
        _show(report)
    else:
        from scaleout_cfn.lint.formats import FORMATS

        # Nothing to annotate is no line, not an empty one.
        if text := FORMATS[form](report):
            click.echo(text)
    counts = Counter(finding.severity for finding in report.findings)
    if form != "json":
        said = f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} for information"
        known = len(found) - len(report.findings)
        if baseline_file:
            said += f"; {known} more that {baseline_file} knows"
        if gone := baseline.gone(found):
            said += f", which knows {gone} that are gone: --update-baseline forgets them"
        click.echo(f"{', '.join(paths)}: {said}", err=True)
    ctx.exit(10 if counts["error"] else 11 if counts["warning"] else 0)


def _beginnings(option: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """How rules begin, also several with commas. Ours are known here; cfn-lint's, and added ones, by their letter."""
    rules = tuple(rule.strip().upper() for rules in given for rule in rules.split(","))
    for rule in rules:
        if not rule.startswith(("E", "I", "W")) and not (rule and any(one.id.startswith(rule) for one in RULES)):
            raise UsageError(f"{option} {rule}: no rule begins so; docs/rules.md lists ours, S101 to {RULES[-1].id}")
    return rules


def _files(paths: tuple[str, ...]) -> list[Path]:
    """The paths, and what globs among them find, for a shell that leaves them as they are or was told to."""
    files: list[Path] = []
    for path in paths:
        if glob.has_magic(path) and not Path(path).exists():
            found = sorted(glob.glob(path, recursive=True))
            if not found:
                raise UsageError(f"{path}: nothing is of this form; give folders of templates, or files")
            files += map(Path, found)
        else:
            files.append(Path(path))
    return files


def _show(report: Report) -> None:
    for finding in report.findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        often = f" ({finding.count} times)" if finding.count > 1 else ""
        path = f" at {finding.path}" if finding.path else ""  # of a file that is no template there is none
        click.echo(f"{place}: {finding.severity} {finding.rule}{path}: {finding.message}{often}")
        click.echo(f"    {finding.cure}  {finding.source}")
        if finding.copies:
            more = f" and {len(finding.copies) - COPIES} more" if len(finding.copies) > COPIES else ""
            click.echo(f"    So too in {', '.join(finding.copies[:COPIES])}{more}, of the same text.")
    nested = report.followed + len(report.unfollowed)
    click.echo(f"{len(report.templates)} templates; followed {report.followed} of {nested} nested stacks", err=True)
    for stack in report.unfollowed[:SHOWN]:
        click.echo(f"    {stack.file}:{stack.line}: {stack.logical_id} is not followed: {stack.why}", err=True)
    if len(report.unfollowed) > SHOWN:
        more_unfollowed = len(report.unfollowed) - SHOWN
        click.echo(f"    and {more_unfollowed} more; --format json has them all", err=True)
