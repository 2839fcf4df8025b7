"""rollout and logs: the service as it runs."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from scaleout_cfn.cli.work import Work, aws_command, timeout_option
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import logs as lines
from scaleout_cfn.deploy.services import service as services
from scaleout_cfn.errors import Next, UsageError


@click.command()
@aws_command()
@timeout_option
def rollout(work: Work, timeout_min: float | None) -> Outcome:
    """Watch the newest deployment of the service until it has ended, and change nothing.

    It shows tasks old and new, their health, the failures that the circuit breaker counts, and the load balancer's
    targets.

    Exits with 0 once the new version runs, 4 when ECS gave it up. Ctrl-C stops watching, and the deployment goes on.
    """
    end = work.patience(timeout_min).end(work.aws.pace)
    try:
        return services.follow_rollout(work.aws, work.stack_name, work.view.tell, end=end)
    except KeyboardInterrupt as stop:
        what = f"{work.stack_name}: stopped watching; a deployment that runs goes on in AWS"
        return Outcome("still_running", what, next=Next("rollout"), code=code_of(stop))


@click.command()
@aws_command()
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--since", default="10m", metavar="TIME", help="From then on: 30s, 10m, 2h, 1d ago, or a time.  [default: 10m]"
)
def logs(work: Work, follow: bool, since: str) -> Outcome:
    """Print what the tasks of the service wrote, oldest first: the time, the beginning of the task's id, the line.

    What the application writes is printed as it is, whatever it is.
    """
    start = lines.since(since, datetime.now(UTC))
    live = require(work.aws, work.stack_name)
    group = live.outputs.get("LogGroupName", "")
    if not group:
        raise UsageError(f"stack {live.name}: it has no log group yet", next=Next("deploy"))
    count = 0
    try:
        for line in lines.tail(work.aws, group, start, follow=follow):
            work.view.tell(lines.fact(line))
            count += 1
    except KeyboardInterrupt as stop:
        what = f"{group}: stopped after {count} lines"
        return Outcome("interrupted", what, next=Next("logs"), code=code_of(stop))
    if not count and work.local:
        work.view.tell(Note("the emulator runs no container, so nothing writes"))
    following = Next(words="a longer --since", instead=Next("rollout", words="to see whether tasks run"))
    what = f"{group}: {count} lines since {start:%Y-%m-%d %H:%M:%SZ}"
    return Outcome("done", what, next=None if count else following)
