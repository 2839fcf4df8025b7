"""scale, stop and start: other bounds for a service's tasks, or none for all, for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from scaleout_cfn.capacity import fitting_tasks
from scaleout_cfn.cli.options import Checked, names_in
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command
from scaleout_cfn.config import Config
from scaleout_cfn.config.file import checked
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.services import halt
from scaleout_cfn.deploy.services import scale as steps
from scaleout_cfn.deploy.services.scale import Bounds
from scaleout_cfn.errors import AGAIN, Next, RefusedError, UsageError
from scaleout_cfn.grammars import span_of

#: An action may run two minutes late; and what is to stay belongs into the config.
LEAST, MOST = timedelta(minutes=5), timedelta(days=30)


def _problem_of_span(text: str) -> str:
    span = span_of(text)
    if span is None or not LEAST <= span <= MOST:
        return "allowed are 5m to 30d: minutes, hours or days, as in 90m, 2h or 3d"
    return ""


def _check(options: Options, **given: Any) -> None:
    """What goes together, before anything is asked of AWS."""
    bounds, span, back = (given["least"], given["most"]), given["span"], given["back"]
    if back and (bounds != (None, None) or span):
        raise UsageError("--reset: goes without --min, --max and --for")
    if not back and bounds == (None, None):
        raise UsageError("give --min, --max or both, with --for; or --reset")
    if not back and not span:
        raise UsageError("--for: say how long, as in --for 2h; what is to stay belongs into the config")


@click.command()
@aws_command(check=_check)
@click.argument("service", shell_complete=names_in("services"))
@adopt_option
@click.option("--min", "least", type=click.IntRange(0, 5000), metavar="TASKS", help="Fewest tasks.  [default: as now]")
@click.option("--max", "most", type=click.IntRange(1, 5000), metavar="TASKS", help="Most tasks.  [default: as now]")
@click.option(
    "--for", "span", type=Checked(_problem_of_span), default="", metavar="TIME", help="How long: 90m, 2h, 3d."
)
@click.option("--reset", "back", is_flag=True, help="Take it back now.")
def scale(work: Work, service: str, adopt: bool, least: int | None, most: int | None, span: str, back: bool) -> Outcome:
    """Set other bounds for the tasks of SERVICE for a while, for a crowd that is known to come.

    The bounds are set at once, and a scheduled action of Application Auto Scaling sets the old ones back: nobody has to
    be there. Within them scaling goes on. They have to fit the config and its nodes. `status` shows them meanwhile.

    \b
      scaleout-cfn scale web --min 4 --for 2h
      scaleout-cfn scale web --min 10 --max 30 --for 1d
      scaleout-cfn scale web --reset

    A stack update that changes the service's bounds or schedules sets its own at once, and the end sets the old ones
    back over them: give --reset before such a deployment, which says so. Any other update leaves it. Refuses with 2
    where a schedule of the service sets bounds meanwhile, with 7 while the stack is at work. The same command again
    moves the end.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    where = (work.aws, work.stack_name, service)
    if back:
        return steps.reset(*where, now, environment=work.environment, adopt=adopt)
    length = span_of(span)
    assert length is not None

    def check(bounds: Bounds) -> None:
        if service in work.config.services:
            fitting_tasks(checked(_with(work.config, service, bounds)))
        else:
            work.view.tell(Note(f"{service}: the config has no such service, so its room is not checked", "warning"))

    return steps.scale(
        *where, (least, most), now + length, now, check, work.view.tell, environment=work.environment, adopt=adopt
    )


def _with(config: Config, service: str, bounds: Bounds) -> Config:
    """The config as if the service had these bounds always."""
    from msgspec.structs import replace

    settings = config.services[service]
    scaling = replace(settings.scaling, min_tasks=bounds.least, max_tasks=bounds.most)
    return replace(config, services={**config.services, service: replace(settings, scaling=scaling)})


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
    return halt.stop(work.aws, work.stack_name, work.view.tell, environment=work.environment, adopt=adopt)


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
    return halt.start(work.aws, work.stack_name, work.view.tell, environment=work.environment, adopt=adopt)
