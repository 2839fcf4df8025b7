"""rollback, cancel and destroy: lead a stack out of a failure, end an update that runs, take a stack down."""

from __future__ import annotations

from collections.abc import Callable

import click

from scaleout_cfn.cli.several import in_turn
from scaleout_cfn.cli.work import Work, adopt_option, aws_command, timeout_option
from scaleout_cfn.deploy import recover
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.teardown import destroy as steps
from scaleout_cfn.errors import AGAIN, Next, RefusedError

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@aws_command()
@yes_option
@adopt_option
@timeout_option
@click.option(
    "--skip",
    "skip",
    multiple=True,
    metavar="PATH",
    help="Leave this resource as it is: WebService/Service. Only what could not be rolled back; repeatable.",
)
def rollback(work: Work, yes: bool, adopt: bool, timeout_min: float | None, skip: tuple[str, ...]) -> Outcome:
    """Lead a failed stack back to the version that worked, and follow it.

    Which call does it follows from the stack's status: RollbackStack after CREATE_FAILED or UPDATE_FAILED,
    ContinueUpdateRollback after UPDATE_ROLLBACK_FAILED. An update that went well cannot be rolled back: deploy the
    earlier version.
    """
    return recover.rollback(
        work.aws,
        work.stack_name,
        skip,
        work.view.tell,
        consent(work, yes),
        work.patience(timeout_min),
        work.aws.target.role_arn,
        environment=work.environment,
        adopt=adopt,
    )


@click.command()
@aws_command()
@yes_option
@adopt_option
@timeout_option
def cancel(work: Work, yes: bool, adopt: bool, timeout_min: float | None) -> Outcome:
    """End an update that runs, and watch it go back to the version before.

    Only an update can be cancelled. A creation that shall not go on is deleted: scaleout-cfn destroy.
    """
    return recover.cancel(
        work.aws,
        work.stack_name,
        work.view.tell,
        consent(work, yes),
        work.patience(timeout_min),
        environment=work.environment,
        adopt=adopt,
    )


def consent(work: Work, yes: bool) -> Callable[[str], bool]:
    """How a sentence is agreed to: by --yes, or by whoever sits at the terminal."""

    def confirm(sentence: str) -> bool:
        if yes:
            return True
        if not work.interactive:
            raise RefusedError(
                f"nobody is there to confirm: {sentence}",
                state="nothing was changed",
                next=Next(AGAIN, ("--yes",)),
            )
        return work.view.ask(f"{sentence}. Go on?")

    return confirm


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
