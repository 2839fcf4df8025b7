"""alarms: what fires, and what to look at."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from scaleout_cfn.cli.options import service_option
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.services import alarms as steps


@click.command()
@aws_command()
@service_option
def alarms(work: Work, service: str) -> Outcome:
    """Say which alarm of the set fires, since when, what it watches and what to look at next. Changes nothing.

    Those that are OK are a number; with --json each is an object. An alarm that moves the number of tasks is at work
    when it is on, and told apart. Composite alarms are not asked for. Exits with 0 once it has looked, whatever fires:

    \b
      scaleout-cfn alarms
      scaleout-cfn alarms --service web --json
    """
    live = require(work.aws, work.stack_name)
    found = steps.alarms_of(work.aws, live)
    return steps.tell_alarms(found, live, service, datetime.now(UTC), work.view.tell)
