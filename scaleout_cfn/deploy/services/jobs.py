"""Jobs of a set by name: what runs one, the runs that ECS still knows, and a run before a release."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.live import Live, require, resources_of
from scaleout_cfn.deploy.messages import Note, Outcome, Tell
from scaleout_cfn.deploy.services.tasks import RunningTask, begin, spoken, stop_command, watch_task
from scaleout_cfn.errors import Next, UsageError


@dataclass(frozen=True)
class LiveJob:
    """A job that can be run: what RunTask is asked for it."""

    name: str
    request: Mapping[str, Any]

    @property
    def cluster(self) -> str:
        return str(self.request["cluster"])

    @property
    def definition(self) -> str:
        """The ARN of its task definition, which is another one for each image."""
        return str(self.request["taskDefinition"])

    @property
    def family(self) -> str:
        return self.definition.rpartition("/")[2].rpartition(":")[0]


def job_of(aws: Aws, live: Live, name: str, title: str) -> LiveJob:
    """A job by its name and the title of its stack. Raises UsageError where it is not there."""
    made = [row for row in resources_of(aws, live.stack_id, inside=()) if row.path == title and row.is_made(NESTED)]
    if not made:
        raise UsageError(
            f"job {name}: stack {live.name} has none, or not yet: it is made once there is its image",
            next=Next("deploy"),
        )
    outputs = require(aws, made[0].physical_id).outputs
    return LiveJob(name, json.loads(outputs["RunTask"]))


def start(aws: Aws, job: LiveJob, token: str, started_by: str = "") -> RunningTask:
    """Begin one run. The token makes it safe to ask again where the answer was unclear."""
    asked = {**job.request, "count": 1, "startedBy": started_by or token, "clientToken": token}
    find = f"{spoken(aws, 'list-tasks')} --cluster {job.cluster} --family {job.family}"
    return begin(aws, asked, job.name, job.name, Next(words=find), is_job=True)


def runs_of(aws: Aws, job: LiveJob, started_by: str = "") -> list[Mapping[str, Any]]:
    """The runs that ECS knows, the newest first: those that go on, and those that ended within about an hour."""
    chosen = {"startedBy": started_by} if started_by else {"family": job.family}
    arns: list[str] = []
    for status in ("RUNNING", "STOPPED"):
        answer = aws.read("ecs", "list_tasks", cluster=job.cluster, desiredStatus=status, **chosen)
        arns += answer["taskArns"]
    if not arns:
        return []
    tasks = aws.read("ecs", "describe_tasks", cluster=job.cluster, tasks=arns[:100])["tasks"]
    return sorted(tasks, key=lambda task: str(task.get("createdAt", "")), reverse=True)


def release(aws: Aws, job: LiveJob, tell: Tell) -> Outcome:
    """Run a job that comes before a service's new image, once for its task definition. Exit code 0 where it ended well.

    Safe to be asked again after any interruption: one that goes on is watched, one that ended well is not repeated, as
    long as ECS knows it, and one that failed is run anew.
    """
    mark = f"scfn-release-{hashlib.sha256(job.definition.encode()).hexdigest()[:16]}"
    runs = runs_of(aws, job, mark)
    going = [run for run in runs if run["lastStatus"] != "STOPPED" and run.get("desiredStatus") != "STOPPED"]
    ended_well = [run for run in runs if run not in going and _exit_code(run, job) == 0]
    if ended_well and not going:
        return Outcome("done", f"job {job.name}: it has run with this image, and ended well")
    if going:
        task = RunningTask(job.name, going[0]["taskArn"], job.cluster, job.name, is_job=True)
        tell(Note(f"job {job.name}: an earlier run of this command began it; going on with it"))
        return watch_task(aws, task.placed(aws, going[0]["taskDefinitionArn"]), tell)
    # As many as failed before it: the same command again, whose answer was lost, begins no second one.
    task = start(aws, job, f"{mark}-{len(runs)}", mark)
    tell(Note(f"job {job.name}: task {task.arn} begins; to stop it: {stop_command(task, aws)}"))
    return watch_task(aws, task, tell)


def _exit_code(run: Mapping[str, Any], job: LiveJob) -> int | None:
    codes = [raw.get("exitCode") for raw in run.get("containers", []) if raw.get("name") == job.name]
    return codes[0] if codes else None
