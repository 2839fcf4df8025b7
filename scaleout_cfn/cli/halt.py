"""stop and start: an environment that runs nothing for a while."""

from __future__ import annotations

import click

from scaleout_cfn.cli.work import Work, adopt_option, aws_command
from scaleout_cfn.deploy.messages import Outcome
from scaleout_cfn.deploy.services import halt as steps
from scaleout_cfn.errors import AGAIN, Next, RefusedError


@click.command()
@aws_command()
@adopt_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def stop(work: Work, adopt: bool, yes: bool) -> Outcome:
    """Run no task of any service, and no node, until `start`: an environment that nobody uses for a while.

    The services may have 0 tasks, their schedules are suspended, and pools need no node: those go some 15 minutes after
    their last task. Alarms on the services tell nobody. NAT gateways, the load balancer and what is stored are paid for
    all the same, and jobs go on by their schedules; it says which. To stop each night: [night] of the config.

    \b
      scaleout-cfn stop --env staging
      scaleout-cfn start --env staging

    A deployment of an image does not start it again; one that changes bounds does, and says so. The same command again
    is safe at any time. Refuses with 6 where nobody agrees, with 7 while the stack is at work.
    """
    if not yes:
        if not work.interactive:
            again = Next(AGAIN, ("--yes",))
            raise RefusedError("nobody is there to agree that nothing runs", state="nothing was changed", next=again)
        if not work.view.ask(f"Stop all services of {work.stack_name}?"):
            raise RefusedError("not confirmed", state="nothing was changed", next=Next(AGAIN, ("--yes",)))
    return steps.stop(work.aws, work.stack_name, work.view.tell, environment=work.environment, adopt=adopt)


@click.command()
@aws_command()
@adopt_option
def start(work: Work, adopt: bool) -> Outcome:
    """Have what `stop` stopped run again, or what a schedule did: bounds, nodes, schedules and alarms of the templates.

    \b
      scaleout-cfn start --env staging
      scaleout-cfn status --env staging --watch

    It does not wait for the tasks. A schedule that stops it at night does so again at its time. The same command again
    is safe at any time. Refuses with 7 while the stack is at work.
    """
    return steps.start(work.aws, work.stack_name, work.view.tell, environment=work.environment, adopt=adopt)
