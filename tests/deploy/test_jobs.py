"""Jobs: one run now, the runs that are known, and the one before a release, which survives every interruption."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from scaleout_cfn.aws.client import USUAL, Identity
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.desired import Desired
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Message, Outcome
from scaleout_cfn.deploy.publish import Bucket, Published
from scaleout_cfn.deploy.services import jobs
from scaleout_cfn.deploy.start import Release, Wish
from scaleout_cfn.errors import Stopped, UsageError

from .services import ECS, Services, Stack

CHILD = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web-MigrateJob-X/1"
REQUEST = {"cluster": "main", "taskDefinition": f"{ECS}:task-definition/web-MigrateJob-X:7"}


class WithJob(Stack):
    def DescribeStacks(self, StackName: str) -> dict[str, Any]:
        if StackName != CHILD:
            return super().DescribeStacks(StackName)
        outputs = [{"OutputKey": "RunTask", "OutputValue": json.dumps(REQUEST)}]
        return {
            "Stacks": [
                {
                    "StackId": CHILD,
                    "StackName": "web-MigrateJob-X",
                    "StackStatus": "UPDATE_COMPLETE",
                    "CreationTime": self.world.now,
                    "Outputs": outputs,
                }
            ]
        }

    def ListStackResources(self, StackName: str, **_: Any) -> dict[str, Any]:
        row = {"LogicalResourceId": "MigrateJob", "ResourceType": "AWS::CloudFormation::Stack"}
        state = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": self.world.now}
        return {"StackResourceSummaries": [{**row, "PhysicalResourceId": CHILD, **state}]}


@dataclass
class Jobs(Services):
    """`codes` are the exit codes of the runs; each stops two reads after it began. `stop_at` counts calls of ECS."""

    codes: list[int] = field(default_factory=lambda: [0])
    stop_at: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = WithJob(self)
        self.runs: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.ecs_calls = 0

    def _count(self) -> None:
        self.ecs_calls += 1
        if self.ecs_calls == self.stop_at:
            raise Stopped(15)

    def ecs_RunTask(self, clientToken: str, **asked: Any) -> dict[str, Any]:
        if clientToken not in self.runs:
            number = len(self.runs)
            self.asked.append(asked)
            self.runs[clientToken] = {
                "taskArn": f"{ECS}:task/main/{number:032x}",
                "taskDefinitionArn": asked["taskDefinition"],
                "startedBy": asked["startedBy"],
                "lastStatus": "PENDING",
                "createdAt": self.now,
                "reads": 0,
                "code": self.codes[min(number, len(self.codes) - 1)],
            }
        self._count()  # lost after it was carried out
        return {"tasks": [self._shown(self.runs[clientToken])], "failures": []}

    def _shown(self, run: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in run.items() if name not in ("reads", "code")}
        own: dict[str, Any] = {"name": "migrate"}
        if run["lastStatus"] == "STOPPED":
            own["exitCode"] = run["code"]
        return {**kept, "containers": [own]}

    def ecs_ListTasks(
        self, nextToken: str = "0", *, desiredStatus: str = "", startedBy: str = "", **_: Any
    ) -> dict[str, Any]:
        self._count()
        stopped = desiredStatus == "STOPPED"
        runs = [run for run in self.runs.values() if startedBy in ("", run["startedBy"])]
        return {"taskArns": [run["taskArn"] for run in runs if (run["lastStatus"] == "STOPPED") == stopped]}

    def ecs_DescribeTasks(self, tasks: list[str], **_: Any) -> dict[str, Any]:
        self._count()
        found = [run for run in self.runs.values() if run["taskArn"] in tasks]
        for run in found:
            run["reads"] += 1
            run["lastStatus"] = "STOPPED" if run["reads"] > 2 else "RUNNING"
        return {"tasks": [self._shown(run) for run in found]}

    def ecs_DescribeTaskDefinition(self, taskDefinition: str) -> dict[str, Any]:
        self._count()
        options = {"awslogs-group": "/migrate", "awslogs-stream-prefix": "migrate"}
        log = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
        return {"taskDefinition": {"containerDefinitions": [{"name": "migrate", **log}]}}


def released(world: Jobs) -> tuple[Outcome, list[Message]]:
    aws = world.aws()
    told: list[Message] = []
    job = jobs.job_of(aws, require(aws, "web"), "migrate", "MigrateJob")
    return jobs.release(aws, job, told.append), told


def test_a_job_is_run_as_its_stack_says_and_ends_with_its_command_s_code() -> None:
    for code, end in ((0, "done"), (3, "failed")):
        world = Jobs(codes=[code])
        outcome, _ = released(world)
        assert (outcome.end, outcome.exit_code) == (end, code)
        (asked,) = world.asked
        assert {name: asked[name] for name in REQUEST} == REQUEST
        assert asked["count"] == 1


def test_what_ended_well_is_not_run_again_and_what_failed_is() -> None:
    world = Jobs(codes=[0])
    released(world)
    outcome, _ = released(world)
    assert (outcome.exit_code, len(world.asked)) == (0, 1)
    assert "has run with this image" in outcome.what
    world = Jobs(codes=[1, 0])
    assert released(world)[0].exit_code == 1
    assert released(world)[0].exit_code == 0
    assert len(world.asked) == 2


@pytest.mark.parametrize("call", range(1, 9))
def test_stop_at_any_call_it_is_gone_on_with_and_begun_once(call: int) -> None:
    world = Jobs(codes=[0], stop_at=call)
    try:
        first, _ = released(world)
    except Stopped:
        pass
    else:
        assert first.end in ("done", "still_running")
    outcome, _ = released(world)
    assert (outcome.end, len(world.asked)) == ("done", 1)


def test_watching_that_is_stopped_says_how_to_come_back() -> None:
    world = Jobs(stop_at=6)
    outcome, _ = released(world)
    assert outcome.end == "still_running"
    assert "jobs run migrate --attach " in command_line(outcome.next)


def test_a_job_that_is_not_there_is_told() -> None:
    aws = Jobs().aws()
    with pytest.raises(UsageError, match="job nightly: stack web has none, or not yet"):
        jobs.job_of(aws, require(aws, "web"), "nightly", "NightlyJob")


ME = Identity("123456789012", "arn:aws:iam::123456789012:user/me", "eu-west-1", "aws", "amazonaws.com")
MIGRATE = Release("migrate", "MigrateJob", "MigrateImageUri", "WebImageUri")


def step(
    service_has: str, job_has: str, world: Jobs, *, runs_jobs: bool = True
) -> tuple[Outcome | None, list[Message]]:
    """What comes before the phase that gives the service web:2."""
    aws = world.aws()
    told: list[Message] = []
    published = Published(Bucket("a", "https://a"), (), {"WebImageUri": {}, "MigrateImageUri": {}}, ())
    wish = Wish("web", published, releases=(MIGRATE,), runs_jobs=runs_jobs)
    parameters = {"WebImageUri": "web:2", "MigrateImageUri": "web:2"}
    live = replace(require(aws, "web"), parameters={"WebImageUri": service_has, "MigrateImageUri": job_has})
    run = deployment.Run(aws, ME, told.append, USUAL)
    return deployment._release(run, wish, Desired("web", published, parameters), live), told


def test_a_job_that_fails_stops_the_deployment_before_the_services_and_says_so() -> None:
    outcome, _ = step("web:1", "web:2", Jobs(codes=[3]))
    assert outcome is not None
    assert (outcome.end, outcome.exit_code) == ("failed", 5)
    assert outcome.what == "web: job migrate failed, and the services have the image that they had"
    assert "the command ended with 3" in outcome.reason
    assert step("web:1", "web:2", Jobs(codes=[0]))[0] is None


@pytest.mark.parametrize(("service_has", "job_has"), [("web:2", "web:2"), ("web:1", "web:1")])
def test_it_does_not_run_where_the_image_stays_or_the_job_has_not_got_it_yet(service_has: str, job_has: str) -> None:
    world = Jobs(codes=[3])
    assert step(service_has, job_has, world)[0] is None
    assert world.asked == []


def test_a_rehearsal_says_where_it_would_run() -> None:
    world = Jobs(codes=[3])
    outcome, told = step("web:1", "web:2", world, runs_jobs=False)
    assert outcome is None and world.asked == []
    assert any("job migrate would run now" in str(message) for message in told)
