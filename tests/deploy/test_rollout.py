"""The deployment of a service as it goes: every change of it is shown once, and how it ended decides the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Fact, Message, Note, Outcome
from scaleout_cfn.deploy.services.service import asked_for, follow_rollouts, look, pick
from scaleout_cfn.errors import AccessError, ApiError, UsageError

from .services import ECS, Services
from .world import Fault

DIGEST = "sha256:1f3c9a0b" + "0" * 56


def state(status: str, failed: int = 0, **more: Any) -> dict[str, Any]:
    return {"status": status, "deploymentCircuitBreaker": {"failureCount": failed, "threshold": 3}, **more}


def task(number: int, revision: int, health: str = "HEALTHY") -> dict[str, Any]:
    definition = f"{ECS}:task-definition/web:{revision}"
    containers = [{"name": "web", "imageDigest": DIGEST}]
    return {"taskArn": f"{ECS}:task/main/{number:032x}", "taskDefinitionArn": definition, "healthStatus": health,
            "containers": containers}  # fmt: skip


def version(status: str, revision: int, running: int, pending: int = 0, failed: int = 0) -> dict[str, Any]:
    counts = {"runningCount": running, "pendingCount": pending, "desiredCount": 2, "failedTasks": failed}
    return {"status": status, "taskDefinition": f"{ECS}:task-definition/web:{revision}", **counts}


def midway(**world: Any) -> Services:
    versions = [version("PRIMARY", 2, 1, 1, 1), version("ACTIVE", 1, 2)]
    service = {"deployments": versions, "events": [{"message": "(service web) has started 2 tasks."}]}
    tasks = [task(1, 2, "UNHEALTHY"), task(2, 1), task(3, 1)]
    states = [state("IN_PROGRESS", 1, lifecycleStage="SCALE_UP"), state("SUCCESSFUL", 1)]
    return Services(**{"service": service, "tasks": tasks, "states": states, "health": ["healthy", "initial"], **world})


def followed(world: Services, **options: Any) -> tuple[Outcome, list[Message]]:
    said: list[Message] = []
    aws = world.aws()
    services = asked_for(aws, require(aws, "web"), "")
    return follow_rollouts(aws, services, said.append, **{"end": None, **options}), said


def test_both_versions_their_health_the_targets_and_what_the_breaker_counts_are_shown() -> None:
    outcome, said = followed(midway())
    first = next(one for one in said if isinstance(one, Fact))
    assert first.lines == (
        "web  ECS IN_PROGRESS  SCALE_UP",
        "  new  web:2  1 of 2 running, 1 pending, 1 failed, 1 unhealthy  sha256:1f3c9a0b0000",
        "  old  web:1  2 of 2 running, 2 healthy  sha256:1f3c9a0b0000",
        "  circuit breaker  1 of 3 failures",
        "  targets  1 healthy, 1 initial",
        "  (service web) has started 2 tasks.",
    )
    assert (first.data["failures"], first.data["threshold"]) == (1, 3)
    assert (outcome.end, outcome.exit_code) == ("done", 0)


def test_the_image_of_a_version_is_that_of_its_own_container_and_not_of_a_sidecar() -> None:
    beside = {"name": "cache", "imageDigest": "sha256:" + "9" * 64}
    tasks = [{**task(number, 2), "containers": [beside, {"name": "web", "imageDigest": DIGEST}]} for number in (1, 2)]
    _, said = followed(midway(tasks=tasks))
    first = next(one for one in said if isinstance(one, Fact))
    assert "sha256:1f3c9a0b0000" in first.lines[1]


def test_a_change_is_shown_once_and_reads_keep_their_distance() -> None:
    same = state("IN_PROGRESS")
    world = midway(states=[same, dict(same), dict(same), state("SUCCESSFUL")])
    _, said = followed(world)
    assert [one.data["state"] for one in said if isinstance(one, Fact)] == ["IN_PROGRESS", "SUCCESSFUL"]
    assert world.seconds > 3 * 3.0


@pytest.mark.parametrize("status", ["ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED"])
def test_a_deployment_that_was_given_up_ends_with_4_its_reason_and_the_next_command(status: str) -> None:
    reason = "ECS deployment circuit breaker: tasks failed to start."
    world = midway(states=[state("ROLLBACK_IN_PROGRESS"), state(status, 3, rollback={"reason": reason})])
    outcome, _ = followed(world)
    assert (outcome.end, outcome.exit_code, outcome.reason) == ("rolled_back", 4, reason)
    assert command_line(outcome.next) == "scaleout-cfn diagnose"


def test_reads_that_fail_now_and_then_decide_nothing() -> None:
    world = midway(
        faults=[Fault("ListServiceDeployments", "ThrottlingException", times=3), Fault("ListTasks", times=2)]
    )
    outcome, said = followed(world)
    assert outcome.exit_code == 0
    assert any(isinstance(one, Note) and one.level == "warning" for one in said)


def test_reads_that_fail_for_good_end_it() -> None:
    world = midway(faults=[Fault("ListServiceDeployments", "ServerException", status=500, times=99)])
    with pytest.raises(ApiError):
        followed(world)


def test_the_fifth_read_in_a_row_that_fails_ends_it_and_one_that_succeeds_begins_anew() -> None:
    def fails(times: int, skip: int = 0) -> Fault:
        return Fault("ListServiceDeployments", "ServerException", status=500, times=times, skip=skip)

    going = [state("IN_PROGRESS"), state("SUCCESSFUL")]
    outcome, said = followed(midway(faults=[fails(4)], states=list(going)))
    assert outcome.exit_code == 0
    assert [one.text[:15] for one in said if isinstance(one, Note)] == ["web: not read: "] * 4
    with pytest.raises(ApiError):
        followed(midway(faults=[fails(5)], states=list(going)))
    outcome, _ = followed(midway(faults=[fails(4), fails(4, skip=1)], states=list(going)))
    assert outcome.exit_code == 0


def test_no_more_is_asked_for_at_once_than_ecs_takes() -> None:
    names = tuple(f"s{number}" for number in range(11))
    world = midway(tasks=[task(number, 2) for number in range(101)])
    world.cfn.services = names
    aws = world.aws()
    services = asked_for(aws, require(aws, "web"), "")
    assert [service.name for service in services] == sorted(names)
    asked = [len(given["services"]) for _, operation, given in world.calls if operation == "DescribeServices"]
    assert asked == [10, 1]
    world.calls.clear()
    sight = look(aws, services[0])
    assert sight is not None
    asked = [len(given["tasks"]) for _, operation, given in world.calls if operation == "DescribeTasks"]
    assert asked == [100, 1]
    assert sum(sight.versions[0].health.values()) == 101


def test_what_ecs_counts_nothing_of_is_none() -> None:
    bare = {"status": "PRIMARY", "taskDefinition": f"{ECS}:task-definition/web:2"}
    _, said = followed(Services(service={"deployments": [bare], "loadBalancers": []}, states=[state("SUCCESSFUL")]))
    (first,) = [one for one in said if isinstance(one, Fact)]
    assert first.lines == ("web  ECS SUCCESSFUL", "  new  web:2  0 of 0 running", "  circuit breaker  0 of 3 failures")


def test_a_service_that_is_gone_meanwhile_is_told() -> None:
    world = midway()
    aws = world.aws()
    services = asked_for(aws, require(aws, "web"), "")
    world.missing = True
    with pytest.raises(UsageError, match="service web: it is gone"):
        follow_rollouts(aws, services, lambda _: None, end=None)


def test_what_is_not_allowed_is_told_at_once() -> None:
    world = midway(faults=[Fault("ListTasks", "AccessDeniedException", times=99)])
    with pytest.raises(AccessError):
        followed(world)
    assert len(world.sent("ListTasks")) == 1


def test_expired_credentials_are_put_up_with_for_a_while() -> None:
    outcome, _ = followed(midway(faults=[Fault("ListTasks", "ExpiredTokenException", times=2)]))
    assert outcome.exit_code == 0


def test_after_the_time_that_was_given_it_goes_on_without_us() -> None:
    outcome, _ = followed(midway(states=[state("IN_PROGRESS")]), end=60)
    assert (outcome.exit_code, command_line(outcome.next)) == (9, "scaleout-cfn rollout")


def test_a_stack_without_a_service_says_what_to_do() -> None:
    world = Services(missing=True)
    with pytest.raises(UsageError, match="no service runs in it yet") as refusal:
        followed(world)
    assert command_line(refusal.value.next) == "scaleout-cfn deploy --build"
    world = Services()
    world.cfn.services = ()
    with pytest.raises(UsageError, match="no service runs in it yet"):
        followed(world)


def several(**world: Any) -> Services:
    three = midway(**world)
    three.cfn.services = ("api", "mailer", "web")
    return three


def test_without_a_name_the_deployments_of_all_services_are_followed_each_by_its_name() -> None:
    outcome, said = followed(several(states=[state("IN_PROGRESS"), state("SUCCESSFUL")]))
    assert {one.data["name"] for one in said if isinstance(one, Fact)} == {"api", "mailer", "web"}
    assert all(one.lines[0].startswith(f"{one.data['name']}  ECS ") for one in said if isinstance(one, Fact))
    assert (outcome.end, outcome.what) == ("done", "api, mailer, web: the deployments are complete")


def test_one_of_several_that_was_given_up_is_named_once_all_have_ended() -> None:
    gone = state("ROLLBACK_SUCCESSFUL", rollback={"reason": "no luck"})
    outcome, said = followed(several(states=[gone, state("SUCCESSFUL")]))
    assert (outcome.end, outcome.what, outcome.reason) == ("rolled_back", "api: the deployment failed", "no luck")
    assert len([one for one in said if isinstance(one, Fact)]) == 3


def test_a_command_for_one_of_several_services_wants_its_name() -> None:
    world = several()
    aws = world.aws()
    live = require(aws, "web")
    assert (pick(aws, live, "api").name, pick(aws, live, "api").arn) == ("api", f"{ECS}:service/main/api")
    with pytest.raises(UsageError, match="api, mailer, web; say which by --service NAME"):
        pick(aws, live, "")
    with pytest.raises(UsageError, match=r"--service blog: none of that name runs .*; there is api, mailer, web"):
        pick(aws, live, "blog")


def test_it_changes_nothing() -> None:
    world = midway()
    followed(world)
    assert all(name.startswith(("Describe", "List")) for name in world.sent())
