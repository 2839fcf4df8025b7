"""What ran before: the image of each deployment, how long it served, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Fact, Message, Outcome
from scaleout_cfn.deploy.services.history import history_of, tell_history
from scaleout_cfn.deploy.services.rollout import ended_by
from scaleout_cfn.deploy.services.service import asked_for

from .services import ECS, Services
from .shifting import Plan, Shifting
from .world import START


def hours(number: float) -> datetime:
    return START - timedelta(hours=number)


@dataclass
class Remembering(Services):
    """An account that lists deployments a few a page, in no order, and has forgotten some versions."""

    deployments: list[dict[str, Any]] = field(default_factory=list)
    forgotten: tuple[str, ...] = ()

    def ecs_ListServiceDeployments(self, nextToken: str = "0", **_: Any) -> dict[str, Any]:
        first = int(nextToken)
        more = {"nextToken": str(first + 7)} if first + 7 < len(self.deployments) else {}
        keys = ("serviceDeploymentArn", "createdAt", "startedAt", "finishedAt", "status")
        page = self.deployments[first : first + 7]
        return {"serviceDeployments": [{key: one[key] for key in keys if key in one} for one in page], **more}

    def ecs_DescribeServiceDeployments(self, serviceDeploymentArns: Sequence[str] = (), **_: Any) -> dict[str, Any]:
        assert 0 < len(serviceDeploymentArns) <= 20
        return {"serviceDeployments": [one for one in self.deployments if one["serviceDeploymentArn"] in
                                       serviceDeploymentArns]}  # fmt: skip

    def ecs_DescribeServiceRevisions(self, serviceRevisionArns: list[str]) -> dict[str, Any]:
        assert 0 < len(serviceRevisionArns) <= 20
        return {
            "serviceRevisions": [
                {
                    "serviceRevisionArn": arn,
                    "taskDefinition": f"{ECS}:task-definition/web:{arn[-2:].lstrip('0')}",
                    "containerImages": [
                        {"containerName": "proxy", "image": "nginx:1", "imageDigest": "sha256:f"},
                        {"containerName": "web", "image": "repo:v", "imageDigest": f"sha256:{arn[-2:]}" + "a" * 60},
                    ],
                }
                for arn in serviceRevisionArns
                if arn not in self.forgotten
            ]
        }


def deployment(number: int, begun: datetime, status: str = "SUCCESSFUL", minutes: float = 3, **more: Any) -> Any:
    ended = {} if status == "IN_PROGRESS" else {"finishedAt": begun + timedelta(minutes=minutes)}
    target = {"targetServiceRevision": {"arn": f"{ECS}:service-revision/main/web/{number:02}"}}
    arn = f"{ECS}:service-deployment/main/web/{number:02}"
    return {"serviceDeploymentArn": arn, "createdAt": begun, "startedAt": begun, "status": status, **ended, **target,
            **more}  # fmt: skip


def told(world: Remembering) -> tuple[Outcome, list[Fact]]:
    said: list[Message] = []
    aws = world.aws()
    pasts = {each.name: history_of(aws, each) for each in asked_for(aws, require(aws, "web"), "")}
    outcome = tell_history(pasts, START, said.append)
    return outcome, [one for one in said if isinstance(one, Fact)]


def test_each_deployment_has_its_image_how_long_it_served_and_why_it_ended() -> None:
    reason = "ECS deployment circuit breaker: tasks failed to start."
    world = Remembering(
        deployments=[
            deployment(1, hours(75)),
            deployment(3, hours(1)),
            deployment(2, hours(2), "ROLLBACK_SUCCESSFUL", 12, rollback={"reason": reason}),
        ]
    )
    outcome, facts = told(world)
    assert [line.replace(", until 2026-11-23 11:03:00Z", " until then") for one in facts for line in one.lines] == [
        "web  2026-11-23 11:00:00Z  web:3  sha256:03aaaaaaaaaa  serves since 2026-11-23 11:03:00Z, 57 min",
        "web  2026-11-23 10:00:00Z  web:2  sha256:02aaaaaaaaaa  ROLLBACK_SUCCESSFUL, given up after 12 min",
        f"  {reason}",
        "web  2026-11-20 09:00:00Z  web:1  sha256:01aaaaaaaaaa  served 3 d 2 h until then, when the next one did",
    ]
    assert (outcome.exit_code, outcome.what, outcome.next) == (0, "deployments that ECS knows: web 3", None)
    assert [one.level for one in facts] == ["info", "warning", "info"]
    assert facts[0].data["digest"] == "sha256:03" + "a" * 60


def test_one_at_work_one_without_a_version_and_a_newest_that_failed() -> None:
    gone = f"{ECS}:service-revision/main/web/01"
    world = Remembering(
        deployments=[deployment(2, hours(1), "IN_PROGRESS"), deployment(1, hours(9))], forgotten=(gone,)
    )
    _, facts = told(world)
    assert facts[0].lines[0].endswith("IN_PROGRESS, being deployed")
    assert "(version forgotten)  (image forgotten)  serves since" in facts[1].lines[0]
    outcome, _ = told(Remembering(deployments=[deployment(1, hours(1), "STOPPED", statusReason="by hand")]))
    assert command_line(outcome.next) == "scaleout-cfn diagnose"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(rings="BAKE_TIME"), "by alarm web-5xx"),
        (Plan(pauses=("PRE_SCALE_UP",), timeout_min=5), "by pause without an answer in its time"),
        (Plan("LINEAR"), "by hand, as far as ECS tells"),
    ],
)
def test_what_gave_a_deployment_that_moves_traffic_up_is_told(plan: Plan, words: str) -> None:
    world = Shifting(plan=plan)
    one = world.begin()
    world.seconds += 300
    if "hand" in words:
        world.traffic.stop(one.arn)
    world.seconds += 3600
    said: list[Message] = []
    aws = world.aws()
    services = asked_for(aws, require(aws, "web"), "")
    tell_history({each.name: history_of(aws, each) for each in services}, world.now, said.append)
    newest, before = [message for message in said if isinstance(message, Fact)]
    assert newest.lines[0].split("  ")[4] == plan.strategy
    assert newest.lines[0].endswith(words)
    assert "serves since" in before.lines[0]
    assert (newest.data["strategy"], newest.data["ended_by"]) == (plan.strategy, words.removeprefix("by "))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"deploymentCircuitBreaker": {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}},
         "circuit breaker, 3 of 3 failures"),
        ({"lifecycleHookDetails": [{"targetType": "AWS_LAMBDA", "status": "FAILED", "targetArn": "a:b:check"}]},
         "function check that failed"),
        ({"deploymentCircuitBreaker": {"status": "MONITORING"}, "rollback": {"reason": "A lifecycle hook failed"}}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_only_what_ecs_tells_is_said_to_have_given_it_up(fields: dict[str, Any], words: str) -> None:
    assert ended_by({"status": "ROLLBACK_SUCCESSFUL", **fields}) == words
    assert ended_by({"status": "SUCCESSFUL"}) == ""


def test_the_newest_twenty_are_shown_of_however_many_there_are() -> None:
    world = Remembering(deployments=[deployment(number, hours(50 - number)) for number in range(1, 45)])
    outcome, facts = told(world)
    assert outcome.what == "deployments that ECS knows: web 20 of 44"
    assert [one.data["definition"] for one in facts] == [f"web:{number}" for number in range(44, 24, -1)]
    assert all(name.startswith(("Describe", "List")) for name in world.sent())


def test_a_service_of_which_nothing_is_listed_has_no_history_and_nothing_else_is_asked() -> None:
    world = Remembering()
    assert told(world)[0].what == "deployments that ECS knows: web 0"
    assert not world.sent("DescribeServiceDeployments", "DescribeServiceRevisions")


@given(st.lists(st.sampled_from(["SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "STOPPED"]), min_size=1, max_size=20))
def test_one_version_after_the_other_serves_without_a_gap(states: list[str]) -> None:
    """Whatever was given up in between: each begins to serve when the one before ends, and the newest serves still."""
    world = Remembering(
        deployments=[deployment(number, hours(40 - number), state) for number, state in enumerate(states, 1)]
    )
    _, facts = told(world)
    served = [one.data for one in facts if one.data["since"]]
    assert len(served) == states.count("SUCCESSFUL")
    assert not served or served[0]["until"] is None
    for later, earlier in pairwise(served):
        assert earlier["until"] == later["since"]
