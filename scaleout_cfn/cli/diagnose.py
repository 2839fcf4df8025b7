"""diagnose: why it failed."""

from __future__ import annotations

import click

from scaleout_cfn.cli.options import service_option
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.deploy import diagnose as steps
from scaleout_cfn.deploy.messages import Outcome


@click.command()
@aws_command()
@service_option
def diagnose(work: Work, service: str) -> Outcome:
    """Say what failed first and why, of the newest operation in which anything did. Changes nothing.

    Reads the events of all nested stacks, and what ECS, the logs and the load balancer still know: the deployment
    that was given up, why tasks stopped with the last lines they wrote, and which targets are unhealthy. ECS forgets
    a stopped task after an hour. Exits with 0 once it has looked; the stack's own state is in what it prints.
    """
    return steps.diagnose(work.aws, work.stack_name, work.view.tell, service=service)
