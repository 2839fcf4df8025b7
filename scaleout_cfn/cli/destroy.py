"""destroy: take a stack down."""

from __future__ import annotations

import click

from scaleout_cfn.cli.rollback import consent
from scaleout_cfn.cli.several import in_turn
from scaleout_cfn.cli.work import Work, adopt_option, aws_command, timeout_option
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.teardown import destroy as steps


@click.command()
@aws_command(several=in_turn(reverse=True))
@timeout_option
@click.option("--yes", is_flag=True, help="Do not ask. It is no consent to lose data: --empty is.")
@adopt_option
@click.option(
    "--empty",
    "empty",
    multiple=True,
    metavar="PATH",
    help="Agree that what this resource holds is lost: WebFoundation/Repository. Repeatable.",
)
@click.option(
    "--retain",
    "retain",
    multiple=True,
    metavar="PATH",
    help="Leave this resource behind, which could not be deleted before: Network/Vpc. Repeatable.",
)
def destroy(
    work: Work,
    yes: bool,
    adopt: bool,
    timeout_min: float | None,
    empty: tuple[str, ...],
    retain: tuple[str, ...],
) -> Outcome:
    """Take the stack down: take stock, drain the services, delete, and list what is retained.

    What holds data and would be deleted with the stack needs its path by --empty, but in a rehearsal. Termination
    protection is never switched off. The same command again finishes what an earlier one began. Of several environments
    the last goes first.
    """
    outcome = steps.destroy(
        work.aws,
        work.stack_name,
        empty,
        work.view.tell,
        consent(work, yes),
        work.patience(timeout_min),
        work.aws.target.role_arn,
        retain,
        environment=work.environment,
        adopt=adopt,
        rehearsal=work.local,
    )
    if work.local and outcome.exit_code == 0:
        from scaleout_cfn.cli.local import release_empty

        if release_empty():
            work.view.tell(Note("the emulator holds no stack any more and is stopped"))
    return outcome
