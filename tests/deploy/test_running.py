"""What runs, beside what the stack says: one screen about a set, and whether ECS went back to the old version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from scaleout_cfn.aws import SERVICE as SERVICE_TYPE
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Message, Note, Rollout
from scaleout_cfn.deploy.services.overview import overview_of
from scaleout_cfn.deploy.services.rollout import Declared, health_of, rollout, services_in, verify

from .services import ECS, SERVICE, TARGETS, Services, Stack
from .world import Fault

DEFINITION = "AWS::ECS::TaskDefinition"
GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
NESTED = "AWS::CloudFormation::Stack"
SAID = f"{ECS}:task-definition/web:2"


@dataclass
class Nested(Stack):
    """A root with stacks in it, each with its resources: logical id, type and physical id."""

    def ListStackResources(self, StackName: str = "", **_: Any) -> dict[str, Any]:
        foundation = [("Blue", GROUP, TARGETS), ("Green", GROUP, TARGETS), ("Listener", "A::B::C", "arn:l")]
        held = {
            "arn:x": [
                ("WebFoundation", NESTED, "arn:foundation"),
                ("WebService", NESTED, "arn:service"),
                ("MailerService", NESTED, "arn:mailer"),
                ("ShopService", NESTED, ""),
            ],
            "arn:foundation": foundation,
            "arn:service": [("Service", SERVICE_TYPE, SERVICE)],
            "arn:mailer": [("Service", SERVICE_TYPE, "")],
        }
        state = {"ResourceStatus": "UPDATE_COMPLETE", "LastUpdatedTimestamp": self.world.now}
        rows = [
            {"LogicalResourceId": title, "ResourceType": kind, "PhysicalResourceId": physical_id, **state}
            for title, kind, physical_id in held[StackName]
        ]
        return {"StackResourceSummaries": rows}


def nested(**world: Any) -> Services:
    made = Services(**world)
    made.cfn = Nested(made)
    return made


def test_an_overview_shows_each_stack_and_by_a_service_s_name_its_deployment_and_its_targets() -> None:
    overview = overview_of(nested(health=["healthy", "healthy", "initial"]).aws(), "web")
    assert sorted(overview.stacks) == ["MailerService", "ShopService", "WebFoundation", "WebService"]
    assert {*overview.stacks.values()} == {"UPDATE_COMPLETE"}
    shown = {name: (running.name, running.state) for name, running in overview.services.items()}
    assert shown == {"web": ("web", "COMPLETED")}
    assert overview.targets == {"web": {"healthy": 4, "initial": 2}}  # of both its target groups
    assert overview.unread == ()


def test_what_cannot_be_read_is_told_by_its_path_and_hides_nothing_else() -> None:
    denied = Fault("DescribeTargetHealth", "AccessDeniedException", times=1)
    overview = overview_of(nested(faults=[denied]).aws(), "web")
    (told,) = overview.unread
    assert told.startswith("WebFoundation/Blue: ")
    assert overview.targets == {"web": {"healthy": 1}}
    assert list(overview.services) == ["web"]


def test_a_service_that_is_gone_from_ecs_has_no_deployment() -> None:
    assert overview_of(nested(missing=True).aws(), "web").services == {}


def test_targets_are_counted_by_their_state_and_by_whatever_else_is_asked_for() -> None:
    aws = Services(health=["healthy", "draining", "healthy"]).aws()
    assert health_of(aws, TARGETS) == {"healthy": 2, "draining": 1}
    assert health_of(aws, TARGETS, "Reason") == {"healthy": 2, "draining": 1}


class Several(Services):
    """A service with two deployments, the newer one listed last or first."""

    def ecs_ListServiceDeployments(self, **_: Any) -> dict[str, Any]:
        listed = [{"serviceDeploymentArn": f"arn:aws:ecs:{when}", "createdAt": when} for when in (1.0, 3.0, 2.0)]
        return {"serviceDeployments": listed}

    def ecs_DescribeServiceDeployments(
        self, *, serviceDeploymentArns: tuple[str, ...] = (), **_: Any
    ) -> dict[str, Any]:
        breaker = {"failureCount": 2, "threshold": 3}
        return {"serviceDeployments": [{"status": serviceDeploymentArns[0], "deploymentCircuitBreaker": breaker}]}


def test_the_newest_deployment_is_the_one_that_was_made_last() -> None:
    shown = rollout(Several().aws(), "web", SERVICE)
    assert shown is not None
    assert (shown.state, shown.failed, shown.threshold) == ("arn:aws:ecs:3.0", 2, 3)


def test_without_deployments_to_ask_for_the_primary_tells_its_tasks_and_its_state() -> None:
    primary = {"status": "PRIMARY", "taskDefinition": SAID, "rolloutState": "FAILED", "rolloutStateReason": "no luck"}
    counts = {"runningCount": 1, "pendingCount": 2, "desiredCount": 3, "failedTasks": 4}
    other = {"status": "ACTIVE", "taskDefinition": SAID, "runningCount": 9}
    shown = rollout(Services(service={"deployments": [other, primary | counts]}).aws(), "web", SERVICE)
    assert shown == Rollout("web", SERVICE, "FAILED", "", 1, 2, 3, 4, 0, "no luck")
    nothing = rollout(Services(service={"deployments": []}).aws(), "web", SERVICE)
    assert nothing == Rollout("web", SERVICE, "IN_PROGRESS")


def resource(path: str, kind: str, physical_id: str, stack_id: str) -> Resource:
    return Resource(path, kind, physical_id, "CREATE_COMPLETE", stack_id)


def test_a_service_declares_the_one_task_definition_of_its_own_stack() -> None:
    service = resource("WebService/Service", SERVICE_TYPE, SERVICE, "one")
    first, second = (resource(f"WebService/T{n}", DEFINITION, f"arn:t{n}", "one") for n in (1, 2))
    elsewhere = resource("MailerService/T", DEFINITION, "arn:t3", "another")
    assert list(services_in([service, first, elsewhere])) == [Declared("web", SERVICE, "arn:t1")]
    assert list(services_in([first, second, service])) == [Declared("web", SERVICE)]
    assert list(services_in([service, elsewhere])) == [Declared("web", SERVICE)]
    assert list(services_in([resource("WebService/Service", SERVICE_TYPE, "", "one"), first])) == []


def verified(world: Services, *services: Declared, end: float = 600.0) -> tuple[str, list[Message]]:
    said: list[Message] = []
    reason = verify(world.aws(), services or [Declared("web", SERVICE, SAID)], said.append, end=end)
    return reason, said


def test_what_ecs_runs_as_the_stack_says_needs_no_reason_and_is_shown() -> None:
    reason, said = verified(Services())
    assert (reason, [type(message) for message in said]) == ("", [Rollout])


def test_a_deployment_is_waited_for_and_each_look_at_it_shown() -> None:
    states = ["IN_PROGRESS", "STOP_REQUESTED", "SUCCESSFUL"]
    reason, said = verified(Services(states=[{"status": state} for state in states]))
    assert reason == ""
    assert [message.state for message in said if isinstance(message, Rollout)] == states


def test_each_service_that_ecs_gave_up_is_named_with_its_reason() -> None:
    failed = {"status": "ROLLBACK_SUCCESSFUL", "statusReason": "tasks failed to start"}
    reason, _ = verified(Services(states=[failed]), Declared("web", SERVICE), Declared("api", SERVICE[:-3] + "api"))
    assert reason == (
        "web: ECS ROLLBACK_SUCCESSFUL: tasks failed to start; api: ECS ROLLBACK_SUCCESSFUL: tasks failed to start"
    )
    reason, _ = verified(Services(states=[{"status": "STOPPED"}]))
    assert reason == "web: ECS STOPPED: no reason given"


STOPPED = {"taskArn": f"{ECS}:task/main/a", "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullImage: no"}


def test_why_tasks_stopped_stands_beside_what_ecs_says_of_the_deployment_that_it_gave_up() -> None:
    failed = {"status": "ROLLBACK_SUCCESSFUL", "statusReason": "the breaker opened"}
    assert verified(Services(states=[failed], tasks=[STOPPED]))[0] == (
        "web: ECS ROLLBACK_SUCCESSFUL: the breaker opened; a task stopped: TaskFailedToStart  CannotPullImage: no"
    )
    sent_away = STOPPED | {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity initiated by x"}
    assert "task stopped" not in verified(Services(states=[failed], tasks=[sent_away]))[0]
    assert verified(Services(tasks=[STOPPED]))[0] == ""


def test_a_service_that_runs_another_task_definition_than_its_stack_says_is_told_with_both() -> None:
    old = Services(service={"taskDefinition": f"{ECS}:task-definition/web:1"})
    assert verified(old)[0] == "web: ECS runs web:1, the stack says web:2"
    assert verified(old, Declared("web", SERVICE))[0] == ""
    given_up = {"status": "ACTIVE", "rolloutState": "FAILED", "rolloutStateReason": "tasks failed to start."}
    there = {"status": "PRIMARY", "rolloutState": "COMPLETED"}
    old = Services(service={"taskDefinition": f"{ECS}:task-definition/web:1", "deployments": [there, given_up]})
    assert verified(old)[0] == "web: ECS runs web:1, the stack says web:2: tasks failed to start."


class Unequal(Services):
    """A service that is at work for a while, among others that are content. `left` is how many looks it takes."""

    left = 3

    def ecs_DescribeServices(self, services: list[str], **given: Any) -> dict[str, Any]:
        assert len(services) <= 10
        answer = super().ecs_DescribeServices(services, **given)
        self.left -= 1
        for raw in answer["services"]:
            if raw["serviceArn"] == SERVICE and self.left > 0:
                (primary,) = raw["deployments"]
                raw["deployments"] = [{**primary, "rolloutState": "IN_PROGRESS"}]
        return answer


def test_services_are_looked_at_ten_a_call_and_those_that_are_content_once() -> None:
    world = Unequal()
    others = [Declared(f"s{number}", f"{SERVICE[:-3]}s{number}", SAID) for number in range(9)]
    reason, said = verified(world, Declared("web", SERVICE, SAID), *others)
    asked = [len(given["services"]) for _, operation, given in world.calls if operation == "DescribeServices"]
    assert (reason, asked) == ("", [10, 1, 1])
    assert len(world.sent("ListServiceDeployments")) == 10 + 2
    assert [message.state for message in said if isinstance(message, Rollout) and message.name == "web"] == [
        "IN_PROGRESS",
        "IN_PROGRESS",
        "COMPLETED",
    ]


def test_a_service_that_is_not_there_is_no_reason() -> None:
    assert verified(Services(missing=True)) == ("", [])


def test_what_cannot_be_read_is_told_as_not_verified_and_is_no_reason() -> None:
    reason, said = verified(Services(faults=[Fault("ListServiceDeployments", "AccessDeniedException", times=9)]))
    (note,) = said
    assert isinstance(note, Note)
    assert (reason, note.level) == ("", "warning")
    assert note.text.startswith("web: not verified that ECS runs the new version: ")


@pytest.mark.parametrize("seconds", [0.0, 40.0])
def test_after_its_time_a_deployment_is_waited_for_no_longer(seconds: float) -> None:
    world = Services(states=[{"status": "IN_PROGRESS"}])
    reason, said = verified(world, end=seconds)
    assert reason == ""
    assert said[-1] == Note("web: ECS is still at work on it; not waited for any longer", "warning")
    assert seconds <= world.seconds < seconds + 30
