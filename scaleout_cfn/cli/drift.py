"""drift: what differs from the templates."""

from __future__ import annotations

import click

from scaleout_cfn.cli.work import Work, aws_command, timeout_option
from scaleout_cfn.deploy import drift as steps
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.errors import AGAIN, Next


@click.command()
@aws_command()
@timeout_option
def drift(work: Work, timeout_min: float | None) -> Outcome:
    """Show what was changed beside CloudFormation, in all stacks of the set. Changes nothing.

    What is expected to differ is told apart: bounds that `scale` set, counts that scaling moves, weights that ECS
    moves, tags that AWS adds. CloudFormation compares what a template sets, of the types that it can. Whoever asks has
    to be allowed to read every resource: drift.json of `policies`.

    \b
      scaleout-cfn drift
      scaleout-cfn drift --json --timeout 10

    Exits with 0 where nothing else differs, 3 where something does, 1 where something could not be compared.
    """
    try:
        return steps.drift(work.aws, work.stack_name, work.view.tell, work.patience(timeout_min))
    except KeyboardInterrupt as stop:
        what = f"{work.stack_name}: stopped; CloudFormation goes on looking, and nothing is changed"
        return Outcome("interrupted", what, next=Next(AGAIN), code=code_of(stop))
