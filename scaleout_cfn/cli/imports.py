"""import: what was there before the set is taken into it, and what other tools are told becomes a config."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaleout_cfn.cli.deploy import allow_option, consent, image_option, images_of, wish_of, yes_option
from scaleout_cfn.cli.options import DEFAULT_CONFIG, Checked, bucket_option, composed, project
from scaleout_cfn.cli.tables import waiting
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command, timeout_option, verbose_option
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.changes.imports import look
from scaleout_cfn.deploy.live import find
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.grammars import problem_of_account, problem_of_region
from scaleout_cfn.imports import importable, imported

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from scaleout_cfn.conversion import Draft


class _Import(click.Group):
    """Two things by one word: without a command, or with options alone, it is `import resources`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and ctx.resilient_parsing:  # a shell completes what may follow
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["resources", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        resources = self.commands["resources"]
        if incomplete.startswith("-"):
            return resources.shell_complete(click.Context(resources, ctx), incomplete)
        return super().shell_complete(ctx, incomplete)


@click.group("import", cls=_Import)
def import_() -> None:
    """Take in what is there at AWS, or make a config of what another tool is told.

    \b
    Of AWS:        import, or import resources: repositories, log groups, buckets, tables, records or
                   the cluster, which [imports] of the config names, become resources of the set.
    Of elsewhere:  import copilot, compose, http-scale-out or ecs: writes a config that renders, and a
                   page of what was taken, what was changed and why, and what has no place here.
    """


def _check(options: Options, **others: object) -> None:
    if options.local:
        raise click.UsageError(
            "--local: the emulator takes nothing in; `render` and `lint` say what cannot be taken in"
        )


@import_.command()
@aws_command(check=_check)
@image_option
@bucket_option
@yes_option
@adopt_option
@allow_option
@verbose_option
@timeout_option
def resources(
    work: Work,
    images: tuple[str, ...],
    bucket: str,
    yes: bool,
    adopt: bool,
    allowed: tuple[str, ...],
    timeout_min: float | None,
) -> Outcome:
    """Take repositories, log groups, buckets, tables, records or the cluster that are there already into the set.

    The config names them, by the path that each gets in the set:

    \b
      [imports]
      "WebFoundation/Repository" = "shop/web"
      "WebFoundation/Logs" = "/ecs/shop"

    `import` alone is the same.

    It is a deployment that may take in what is named, and nothing else: it shows how each differs from its template,
    and all changes, asks, executes and follows. What is taken in stays as it is; `deploy --revert-drift` brings it to
    its template. It is kept when it leaves the set, and when the set is deleted. The same command again is safe.
    """
    stack = composed(work.config)
    wanted = imported(stack, work.config.imports)
    if not wanted:
        lines = [f'  "{path}" = "NAME"  # a {what}' for path, what in importable(stack).items()]
        cure = "\n".join(["write under [imports] what there is of these:", *lines])
        raise UsageError(f"imports: the config names nothing to take in; {cure}")
    wish = wish_of(work, images_of(work, images), bucket, adopt=adopt, allowed=allowed, timeout_min=timeout_min)
    left = look(work.aws, find(work.aws, work.stack_name), wanted, work.view.tell)
    if left:
        work.view.tell(Note("each stays as it is, and is kept if it leaves the set or the set is deleted"))
    wish = replace(wish, imports={each.path: each.what for each in wanted})
    outcome = deployment.deploy(work.aws, work.identity, wish, work.view.tell, consent(work, yes))
    if outcome.exit_code or outcome.next or not left:
        return outcome
    return replace(
        outcome, next=Next("drift", words="to see what of it differs", instead=Next("deploy", ("--revert-drift",)))
    )


def _written(command: Callable[..., Any]) -> Callable[..., Any]:
    """-o and --force."""
    for option in (
        click.option("--force", is_flag=True, help="Write over files that are there."),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            default=DEFAULT_CONFIG,
            show_default=True,
            help="The config to write; the page is written beside it, as scaleout.import.md.",
        ),
    ):
        command = option(command)
    return command


where_option = click.option(
    "--region", type=Checked(problem_of_region), default="", help="The region, for the ARNs of secrets by name."
)
account_option = click.option(
    "--account-id",
    type=Checked(problem_of_account),
    default="",
    metavar="ID",
    help="The account, for the ARNs of secrets by name.",
)


@import_.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@where_option
@account_option
@_written
def copilot(folder: Path, region: str, account_id: str, output: Path, force: bool) -> None:
    """Write a config of an application of AWS Copilot's.

    FOLDER holds copilot/, with the manifests of services, jobs, environments and pipelines, and addons. What a
    manifest leaves to Copilot's defaults is written as Copilot has it. Nothing at AWS is asked or changed.
    """
    from scaleout_cfn.conversion.copilot import read_application

    _finish(read_application(folder, region=region, account=account_id), f"import copilot {folder}", output, force)


@import_.command("compose")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_written
def compose_(file: Path, output: Path, force: bool) -> None:
    """Write a config of a Compose file.

    FILE is read with .env and what env_file names beside it; variables of the shell are not looked at. Services that
    publish ports are behind the load balancer, PostgreSQL and Redis become attachments. Nothing at AWS is asked or
    changed.
    """
    from scaleout_cfn.conversion.compose import read_compose

    _finish(read_compose(file), f"import compose {file}", output, force)


@import_.command("http-scale-out")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@_written
def http_scale_out(folder: Path, output: Path, force: bool) -> None:
    """Write a config with the numbers of http-scale-out, by its Terraform files.

    FOLDER holds *.tf and *.tfvars, or terraform/ with them. Where its numbers do not fit one another, the page says
    which were changed. Nothing at AWS is asked or changed.
    """
    from scaleout_cfn.conversion.terraform import read_terraform

    _finish(read_terraform(folder), f"import http-scale-out {folder}", output, force)


@import_.command()
@click.option("--cluster", required=True, metavar="NAME", help="The cluster whose services are read.")
@where_option
@click.option("--profile", default="", help="The profile of the AWS configuration to use.")
@_written
def ecs(cluster: str, region: str, profile: str, output: Path, force: bool) -> None:
    """Write a config near to the services that run on a cluster.

    Their task definitions, scaling, schedules, target groups, rules and capacity are read, and nothing is changed.
    policies writes import-ecs.json for it.
    """
    from scaleout_cfn.aws.client import Aws, Target  # here, for no other import asks AWS
    from scaleout_cfn.conversion.running import read_cluster

    aws = Aws(Target(region=region, profile=profile))
    with waiting("reading the cluster"):
        read = read_cluster(aws, cluster)
    _finish(read, f"import ecs --cluster {cluster}", output, force)


def _finish(draft: Draft, command: str, output: Path, force: bool) -> None:
    """Write a draft's config and page, both or none, and say what became of it."""
    pages = output.with_suffix(".import.md")
    for path in (output, pages):
        if path.exists() and not force:
            raise UsageError(f"{path}: is there already; give another path with -o, or --force to write over it")
    imported = draft.finished(command, f"{project().program} render -c {shlex.quote(str(output))}")
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in (output, pages)}
    try:
        for path, text in ((pages, imported.page), (output, imported.config)):
            beside[path].write_text(text, encoding="utf-8", newline="\n")
        for path in (pages, output):
            os.replace(beside[path], path)
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror or error}; give a path that can be written to") from None
    finally:
        for path in beside.values():
            path.unlink(missing_ok=True)
    counts = imported.counts
    click.echo(
        f"{output} written, which renders: {counts['taken']} taken, {counts['changed']} changed, {counts['no place']}"
        f" with no place here. {pages} says of each which, and why.",
        err=True,
    )
