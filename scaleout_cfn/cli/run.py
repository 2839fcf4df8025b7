"""exec, run and jobs: commands in a service's tasks, and tasks that run to their end."""

from __future__ import annotations

import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

import click

from scaleout_cfn.aws import name_in
from scaleout_cfn.cli.options import names_in, one_service_option
from scaleout_cfn.cli.work import Options, Work, aws_command
from scaleout_cfn.config import Config
from scaleout_cfn.config.units import JobUnit, jobs_of, names_of
from scaleout_cfn.deploy.live import find, require
from scaleout_cfn.deploy.messages import Fact, Note, Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import jobs as live_jobs
from scaleout_cfn.deploy.services import service as services
from scaleout_cfn.deploy.services import tasks
from scaleout_cfn.deploy.services.tasks import RunningTask, stop_command, watch_task
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.schedules import At, Rate, firings, parsed


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
        find = Next(words=tasks.list_command(chosen, work.aws, token))
        what = "interrupted while the task was asked for; it may have begun"
        return Outcome("still_running", what, next=find, code=code_of(stop))
    work.view.tell(Note(f"task {task.arn} begins; to stop it: {tasks.stop_command(task, work.aws)}"))
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


SHOWN = "%a %Y-%m-%d %H:%M %Z"
#: How many of the next runs are shown, and how far ahead they are looked for.
NEXT_RUNS, AHEAD = 3, timedelta(days=370)


@click.group()
def jobs() -> None:
    """Show when jobs run, how the last runs ended, and run one now."""


@jobs.command("list")
@aws_command()
def list_jobs(work: Work) -> Outcome:
    """Show each job: its next runs, in its time zone, and those that ECS knows: for about an hour after their end."""
    units = jobs_of(work.config)
    live = find(work.aws, work.stack_name)
    now = datetime.now(UTC)
    for unit in units:
        work.view.tell(_plan(unit, now))
        if live is not None:
            try:
                job = live_jobs.job_of(work.aws, live, unit.name, unit.job)
            except UsageError as error:
                work.view.tell(Note(str(error)))
                continue
            for fact in _runs(work, unit, job):
                work.view.tell(fact)
    what = f"{work.stack_name}: {len(units)} job{'' if len(units) == 1 else 's'}"
    return Outcome("done", what, next=None if units else Next(words="a job is a section of the config: [jobs.NAME]"))


@jobs.command("run")
@aws_command()
@click.argument("name", shell_complete=names_in("jobs"))
@click.option("--attach", default="", metavar="ID", help="Watch a run that has begun, by the id of its task.")
def run_job(work: Work, name: str, attach: str) -> Outcome:
    """Run the job NAME now, print what it writes, and exit with the exit code of its command.

    It runs as the schedule runs it, with the image that is deployed, and whether another run goes on or not. Ctrl-C
    stops watching; how to come back and how to stop the task is printed.

    Exits with 5 where the command did not run, 7 where the cluster has no room.
    """
    work.require_containers("jobs run")
    unit = _named(work.config, name)
    job = live_jobs.job_of(work.aws, require(work.aws, work.stack_name), unit.name, unit.job)
    if attach:
        runs = [run for run in live_jobs.runs_of(work.aws, job) if name_in(run["taskArn"]).startswith(attach)]
        if not runs:
            raise UsageError(f"--attach: no run {attach} of job {name} is known; a stopped one is forgotten in an hour")
        task = RunningTask(name, runs[0]["taskArn"], job.cluster, name, is_job=True)
        return watch_task(work.aws, task.placed(work.aws, runs[0]["taskDefinitionArn"]), work.view.tell)
    try:
        task = live_jobs.start(work.aws, job, f"scfn-run-{uuid.uuid4().hex}"[:36])
    except KeyboardInterrupt as stop:
        what = "interrupted while the task was asked for; it may have begun"
        return Outcome("still_running", what, next=Next("jobs", ("list",)), code=code_of(stop))
    work.view.tell(Note(f"task {task.arn} begins; to stop it: {stop_command(task, work.aws)}"))
    return watch_task(work.aws, task, work.view.tell)


def _named(config: Config, name: str) -> JobUnit:
    for unit in jobs_of(config):
        if unit.name == name:
            return unit
    raise UsageError(f"NAME: no job is called {name}; there is {names_of(config.jobs)}", next=Next("jobs", ("list",)))


def _plan(unit: JobUnit, now: datetime) -> Fact:
    """A job and when it runs next, by the config."""
    settings = unit.settings
    head = [unit.name, settings.at or "by hand"]
    if settings.before:
        head.append(f"before a new image of {settings.before}")
    times = list(_next_runs(unit, now))
    lines = [f"    next  {time:{SHOWN}}" for time in times]
    if settings.at and not times:
        from_then_on = settings.at.startswith("rate(")
        lines.append(
            "    next  counted from when AWS has it, which no config knows" if from_then_on else "    next  none"
        )
    data = {"name": unit.name, "at": settings.at, "timezone": settings.timezone, "before": settings.before}
    return Fact("job", ("  ".join(head), *lines), {**data, "next": times})


def _next_runs(unit: JobUnit, now: datetime) -> Iterator[datetime]:
    if not unit.settings.at:
        return
    zone = ZoneInfo(unit.settings.timezone)
    expression = parsed(unit.settings.at, "scheduler")
    if isinstance(expression, Rate):
        return
    fired = firings(expression, zone, now, now + AHEAD if not isinstance(expression, At) else _far(expression, zone))
    yield from (firing.time.astimezone(zone) for firing in fired[:NEXT_RUNS])


def _far(expression: At, zone: ZoneInfo) -> datetime:
    return expression.time.replace(tzinfo=zone) + timedelta(days=1)


def _runs(work: Work, unit: JobUnit, job: live_jobs.LiveJob) -> Iterator[Fact]:
    for run in live_jobs.runs_of(work.aws, job):
        own: Mapping[str, Any] = next((raw for raw in run.get("containers", []) if raw.get("name") == unit.name), {})
        code, began = own.get("exitCode"), run.get("createdAt")
        status = str(run["lastStatus"]).lower() if code is None else f"ended with {code}"
        reason = str(own.get("reason") or run.get("stoppedReason") or "") if code != 0 else ""
        line = "  ".join(
            part for part in (f"    run   {began:{SHOWN}}", name_in(run["taskArn"]), status, reason) if part
        )
        data = {"name": unit.name, "task": run["taskArn"], "began": began, "status": run["lastStatus"], "code": code}
        yield Fact("run", (line,), data, "info" if code in (0, None) else "warning")
