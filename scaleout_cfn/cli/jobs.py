"""jobs: what runs to its end, when it runs next and how the last runs ended, and one of it now."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from scaleout_cfn.aws.names import name_in
from scaleout_cfn.cli.work import Work, aws_command
from scaleout_cfn.config import Config
from scaleout_cfn.config.units import JobUnit, jobs_of, names_of
from scaleout_cfn.deploy.live import find, require
from scaleout_cfn.deploy.messages import Fact, Note, Outcome
from scaleout_cfn.deploy.outcome import code_of
from scaleout_cfn.deploy.services import jobs as live_jobs
from scaleout_cfn.deploy.services.tasks import RunningTask, stop_command, watch_task
from scaleout_cfn.errors import Next, UsageError
from scaleout_cfn.schedules import At, Rate, firings, parsed

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
@click.argument("name")
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
    work.view.tell(Note(f"task {task.arn} begins; to stop it: {stop_command(task, work.aws.region)}"))
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
