"""import: what was there before the set is taken into it."""

from __future__ import annotations

from dataclasses import replace

import click

from scaleout_cfn.cli.deploy import allow_option, consent, image_option, images_of, wish_of, yes_option
from scaleout_cfn.cli.options import bucket_option, composed
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command, timeout_option, verbose_option
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.changes.imports import look
from scaleout_cfn.deploy.live import find
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.imports import importable, imported


def _check(options: Options, **others: object) -> None:
    if options.local:
        raise click.UsageError(
            "--local: the emulator takes nothing in; `render` and `lint` say what cannot be taken in"
        )


@click.command("import")
@aws_command(check=_check)
@image_option
@bucket_option
@yes_option
@adopt_option
@allow_option
@verbose_option
@timeout_option
def import_(
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

    \b
      scaleout-cfn import
      scaleout-cfn import --set imports.WebFoundation/Repository=shop/web
      scaleout-cfn import --yes --image web=v3

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
