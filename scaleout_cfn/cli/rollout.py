"""rollout, restart and logs: the services as they run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from scaleout_cfn.cli.options import service_option
from scaleout_cfn.cli.rollback import consent, yes_option
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command, timeout_option
from scaleout_cfn.config.units import name_of
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import logs as lines
from scaleout_cfn.deploy.services import promote
from scaleout_cfn.deploy.services import restart as steps
from scaleout_cfn.deploy.services import service as services
from scaleout_cfn.deploy.services.history import history_of, tell_history
from scaleout_cfn.errors import Next, UsageError

#: What the outputs that are log groups end in.
LOG_GROUP = "LogGroupName"


def _of(service: str) -> tuple[str, ...]:
    """The option by which the next command is of the service that this one was of."""
    return ("--service", service) if service else ()


def _check(options: Options, **given: Any) -> None:
    """What goes together, before anything is asked of AWS."""
    for name in ("yes", "adopt"):
        if given[name] and given["what"] not in ("continue", "back"):
            raise UsageError(f"--{name}: goes with `rollout continue` and `rollout back`, the rest changes nothing")


@click.command()
@aws_command(check=_check)
@service_option
@yes_option
@adopt_option
@timeout_option
@click.argument(
    "what", type=click.Choice(["history", "continue", "back"]), required=False, metavar="[history|continue|back]"
)
def rollout(work: Work, service: str, yes: bool, adopt: bool, timeout_min: float | None, what: str | None) -> Outcome:
    """Watch the newest deployment of each service until it has ended, and change nothing.

    It shows tasks old and new, their health, the failures that the circuit breaker counts, the load balancer's targets
    and the alarms that watch it. Where traffic moves between two target groups, also its share, the weights of the
    rule, and until when it stays so; where the deployment waits at a pause, until when it does, and what ECS does then.

    `rollout continue` lets a deployment go on from its pause, and watches it to its end or to the next pause. `rollout
    back` takes one that runs back to the version before. Of several services the one that waits, or runs, is meant.

    `rollout history` shows the newest twenty deployments of each service, as far back as ECS keeps them: which image
    each brought, how long it served, and why it ended.

    Exits with 0 once the new versions run (after `back`: the old one), 4 when ECS gave one up, 9 at a further pause.
    Ctrl-C stops watching, and the deployment goes on.

    \b
      scaleout-cfn rollout --service web
      scaleout-cfn rollout continue
      scaleout-cfn rollout back --service web --yes
      scaleout-cfn rollout history --json
    """
    if what == "history":
        shown = services.asked_for(work.aws, require(work.aws, work.stack_name), service)
        pasts = {each.name: history_of(work.aws, each) for each in shown}
        if work.local and not work.runs_tasks:
            work.view.tell(Note("the emulator keeps no deployments that have ended"))
        return tell_history(pasts, datetime.now(UTC), work.view.tell)
    end = work.patience(timeout_min).end(work.aws.pace)
    try:
        if what:
            answer = promote.carry_on if what == "continue" else promote.take_back
            to = (work.aws, work.stack_name, service, work.view.tell, consent(work, yes), end)
            return answer(promote.Asked(*to, environment=work.environment, adopt=adopt))
        watched = services.asked_for(work.aws, require(work.aws, work.stack_name), service)
        return services.follow_rollouts(work.aws, watched, work.view.tell, end=end)
    except KeyboardInterrupt as stop:
        what = f"{work.stack_name}: stopped watching; a deployment that runs goes on"
        return Outcome("still_running", what, next=Next("rollout", _of(service)), code=code_of(stop))


@click.command()
@aws_command()
@service_option
@adopt_option
@timeout_option
def restart(work: Work, service: str, adopt: bool, timeout_min: float | None) -> Outcome:
    """Start new tasks in place of those that run, of each service in turn, and watch it as `rollout` does.

    The version stays: the same task definition, whose image is pulled anew, as one by a tag that has moved. New tasks
    serve before old ones go, as in each deployment, and the circuit breaker takes back what does not come up. Refuses
    with 7 while the stack or another deployment is at work. The same command again watches a restart that runs:

    \b
      scaleout-cfn restart
      scaleout-cfn restart --service web --timeout 20

    Exits with 0 once all run, 4 when ECS gave one up. Ctrl-C stops watching, and the restart goes on.
    """
    end = work.patience(timeout_min).end(work.aws.pace)
    tell, environment = work.view.tell, work.environment
    try:
        return steps.restart(work.aws, work.stack_name, service, tell, end=end, environment=environment, adopt=adopt)
    except KeyboardInterrupt as stop:
        what = f"{work.stack_name}: stopped watching; a restart that was begun goes on, and no other is begun"
        return Outcome("still_running", what, next=Next("rollout", _of(service)), code=code_of(stop))


@click.command()
@aws_command()
@service_option
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--since", default="10m", metavar="TIME", help="From then on: 30s, 10m, 2h, 1d ago, or a time.  [default: 10m]"
)
def logs(work: Work, service: str, follow: bool, since: str) -> Outcome:
    """Print what the tasks wrote, oldest first: the time, the service, the beginning of the task's id, the line.

    What the application writes is printed as it is, whatever it is.
    """
    start = lines.since(since, datetime.now(UTC))
    live = require(work.aws, work.stack_name)
    groups = {
        name_of(key.removesuffix(LOG_GROUP)): group for key, group in live.outputs.items() if key.endswith(LOG_GROUP)
    }
    if not groups:
        raise UsageError(f"stack {live.name}: it has no log group yet", next=Next("deploy"))
    if service and service not in groups:
        raise UsageError(f"--service {service}: stack {live.name} has no log group of it; it has {', '.join(groups)}")
    asked = [groups[service]] if service else [*groups.values()]
    told = ", ".join(asked)
    count = 0
    try:
        for line in lines.tail(work.aws, asked, start, follow=follow):
            work.view.tell(lines.fact(line))
            count += 1
    except KeyboardInterrupt as stop:
        what = f"{told}: stopped after {count} lines"
        return Outcome("interrupted", what, next=Next("logs", _of(service)), code=code_of(stop))
    if not count and not work.runs_tasks:
        work.view.tell(Note("the emulator runs no container, so nothing writes"))
    following = Next(words="a longer --since", instead=Next("rollout", _of(service), words="to see whether tasks run"))
    what = f"{told}: {count} lines since {start:%Y-%m-%d %H:%M:%SZ}"
    return Outcome("done", what, next=None if count else following)
