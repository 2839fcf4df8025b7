"""exec and run: commands in a service's tasks, and in one of their own."""

from __future__ import annotations

import signal
import subprocess
import uuid
from types import FrameType

import click

from scaleout_cfn.cli.options import one_service_option
from scaleout_cfn.cli.work import Options, Work, aws_command
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Note, Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import service as services
from scaleout_cfn.deploy.services import tasks
from scaleout_cfn.errors import Next


def _for_a_terminal(options: Options, **others: object) -> None:
    if options.as_json:
        raise click.UsageError("exec has no --json: what is on the terminal is the shell's")


def _either(options: Options, words: tuple[str, ...], attach: str, **others: object) -> None:
    if bool(words) == bool(attach):
        raise click.UsageError("give a command: run -- COMMAND; or a task: run --attach ID")


@click.command()
@aws_command(check=_for_a_terminal)
@one_service_option
@click.option(
    "--task", "task_id", default="", metavar="ID", help="A task, by the beginning of its id.  [default: the newest]"
)
@click.argument("words", nargs=-1, metavar="[-- COMMAND]", type=click.UNPROCESSED)
def exec(work: Work, service: str, task_id: str, words: tuple[str, ...]) -> Outcome:
    """Open a shell (/bin/sh, or COMMAND) in a running task, through ECS Exec.

    Needs services.NAME.exec = true, and the AWS CLI with its session-manager-plugin. The exit code is that of the
    session; for that of a command there is `run`.
    """
    work.require_containers("exec")
    chosen = services.pick(work.aws, require(work.aws, work.stack_name), service)
    session = work.emulator.session if work.emulator else None
    program = tasks.exec_command(work.aws, chosen, task_id, words or ("/bin/sh",), session=session)
    work.view.close()
    code = _in_foreground(program)
    return Outcome("failed" if code else "done", f"the session ended with {code}", code=min(code, 1))


@click.command()
@aws_command(check=_either)
@one_service_option
@click.option("--attach", default="", metavar="ID", help="Watch a task that an earlier `run` began; no COMMAND then.")
@click.argument("words", nargs=-1, metavar="-- COMMAND", type=click.UNPROCESSED)
def run(work: Work, service: str, attach: str, words: tuple[str, ...]) -> Outcome:
    """Run COMMAND in a task of its own, print what it writes, and exit with its exit code: a migration, say.

    The task has the service's definition, network and capacity, and no traffic. COMMAND takes the place of the image's
    CMD; an ENTRYPOINT stays, and gets it as arguments. Each `run` begins another task. Ctrl-C stops watching; how to
    come back and how to stop the task is printed. The command line is kept by ECS for all to read: no secret belongs on
    it.

    Exits with 5 where the command did not run, 7 where the cluster has no room.
    """
    work.require_containers("run")
    chosen = services.pick(work.aws, require(work.aws, work.stack_name), service)
    if attach:
        return tasks.watch_task(work.aws, tasks.running_task(work.aws, chosen, attach), work.view.tell)
    token = f"scfn-run-{uuid.uuid4().hex}"
    try:
        task = tasks.start(work.aws, chosen, words, token)
    except KeyboardInterrupt as stop:
        find = Next(words=tasks.list_command(chosen, work.aws.region, token))
        what = "interrupted while the task was asked for; it may have begun"
        return Outcome("still_running", what, next=find, code=code_of(stop))
    work.view.tell(Note(f"task {task.arn} begins; to stop it: {tasks.stop_command(task, work.aws.region)}"))
    return tasks.watch_task(work.aws, task, work.view.tell)


def _in_foreground(program: list[str]) -> int:
    """Run a program that has the terminal: Ctrl-C is for the shell in it, and not for us."""

    def theirs(number: int, frame: FrameType | None) -> None:
        """A handler, for what is ignored stays so in the program."""

    before = signal.signal(signal.SIGINT, theirs)
    try:
        return subprocess.run(program, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
