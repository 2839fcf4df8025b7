"""move: resources between nested stacks, as they are."""

from __future__ import annotations

import click

from scaleout_cfn.cli.deploy import yes_option
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command, timeout_option
from scaleout_cfn.deploy import move as steps
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.move import Move
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.errors import AGAIN, Next, RefusedError


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
