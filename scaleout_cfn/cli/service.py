"""rollout, logs, exec and run: the service as it runs."""

from __future__ import annotations

import signal
import subprocess
import uuid
from datetime import UTC, datetime
from types import FrameType

import click

from scaleout_cfn.cli.work import Options, Work, aws_options, command, timeout_option
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import logs as lines
from scaleout_cfn.deploy.services import service as services
from scaleout_cfn.deploy.services import tasks
from scaleout_cfn.errors import Next, UsageError


@click.command()
@aws_options
@timeout_option
def rollout(options: Options, timeout_min: float | None) -> None:
    """Watch the newest deployment of the service until it has ended, and change nothing.

    It shows tasks old and new, their health, the failures that the circuit breaker counts, and the load balancer's
    targets.

    Exits with 0 once the new version runs, 4 when ECS gave it up. Ctrl-C stops watching, and the deployment goes on.
    """

    def body(work: Work) -> Outcome:
        end = work.patience(timeout_min).end(work.aws.pace)
        try:
            return services.follow_rollout(work.aws, work.stack_name, work.view.tell, end=end)
        except KeyboardInterrupt as stop:
            what = f"{work.stack_name}: stopped watching; a deployment that runs goes on in AWS"
            return Outcome("still_running", what, next=Next("rollout"), code=code_of(stop))

    command(options, "rollout", body)


@click.command()
@aws_options
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--since", default="10m", metavar="TIME", help="From then on: 30s, 10m, 2h, 1d ago, or a time.  [default: 10m]"
)
def logs(options: Options, follow: bool, since: str) -> None:
    """Print what the tasks of the service wrote, oldest first: the time, the beginning of the task's id, the line.

    What the application writes is printed as it is, whatever it is.
    """

    def body(work: Work) -> Outcome:
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

    command(options, "logs", body)


@click.command()
@aws_options
@click.option(
    "--task", "task_id", default="", metavar="ID", help="A task, by the beginning of its id.  [default: the newest]"
)
@click.argument("words", nargs=-1, metavar="[-- COMMAND]", type=click.UNPROCESSED)
def exec(options: Options, task_id: str, words: tuple[str, ...]) -> None:
    """Open a shell (/bin/sh, or COMMAND) in a running task, through ECS Exec.

    Needs service.exec = true, and the AWS CLI with its session-manager-plugin. The exit code is that of the session;
    for that of a command there is `run`.
    """
    if options.as_json:
        raise click.UsageError("exec has no --json: what is on the terminal is the shell's")
    _not_local(options, "exec")

    def body(work: Work) -> Outcome:
        service = services.service_of(work.aws, work.stack_name)
        program = tasks.exec_command(work.aws, service, task_id, words or ("/bin/sh",))
        work.view.close()
        code = _in_foreground(program)
        return Outcome("failed" if code else "done", f"the session ended with {code}", code=min(code, 1))

    command(options, "exec", body)


@click.command()
@aws_options
@click.option("--attach", default="", metavar="ID", help="Watch a task that an earlier `run` began; no COMMAND then.")
@click.argument("words", nargs=-1, metavar="-- COMMAND", type=click.UNPROCESSED)
def run(options: Options, attach: str, words: tuple[str, ...]) -> None:
    """Run COMMAND in a task of its own, print what it writes, and exit with its exit code: a migration, say.

    The task has the service's definition, network and capacity, and no traffic. COMMAND takes the place of the image's
    CMD; an ENTRYPOINT stays, and gets it as arguments. Each `run` begins another task. Ctrl-C stops watching; how to
    come back and how to stop the task is printed. The command line is kept by ECS for all to read: no secret belongs on
    it.

    Exits with 5 where the command did not run, 7 where the cluster has no room.
    """
    if bool(words) == bool(attach):
        raise click.UsageError("give a command: run -- COMMAND; or a task: run --attach ID")
    _not_local(options, "run")

    def body(work: Work) -> Outcome:
        service = services.service_of(work.aws, work.stack_name)
        if attach:
            return tasks.watch_task(work.aws, tasks.running_task(work.aws, service, attach), work.view.tell)
        token = f"scfn-run-{uuid.uuid4().hex}"
        try:
            task = tasks.start(work.aws, service, words, token)
        except KeyboardInterrupt as stop:
            find = Next(words=tasks.list_command(service, work.aws.region, token))
            what = "interrupted while the task was asked for; it may have begun"
            return Outcome("still_running", what, next=find, code=code_of(stop))
        work.view.tell(Note(f"task {task.arn} begins; to stop it: {tasks.stop_command(task, work.aws.region)}"))
        return tasks.watch_task(work.aws, task, work.view.tell)

    command(options, "run", body)


def _not_local(options: Options, name: str) -> None:
    if options.local:
        raise click.UsageError(f"--local: the emulator runs no container, so there is nothing for `{name}` to show")


def _in_foreground(program: list[str]) -> int:
    """Run a program that has the terminal: Ctrl-C is for the shell in it, and not for us."""

    def theirs(number: int, frame: FrameType | None) -> None:
        """A handler, for what is ignored stays so in the program."""

    before = signal.signal(signal.SIGINT, theirs)
    try:
        return subprocess.run(program, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
