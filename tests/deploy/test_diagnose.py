"""The first cause: which operation, which resource, and what the services still know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout_cfn.deploy.diagnose import diagnose, hint, newest_failure, past_operations
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.deploy.services.evidence import LOG_LINES, log_place
from scaleout_cfn.deploy.services.rollout import stops
from scaleout_cfn.deploy.states import STATUSES
from scaleout_cfn.errors import AccessError, UsageError

from .operations import Operator, wider
from .world import Fault

STARTS = sorted(name for name, one in STATUSES.items() if one.begins == "operation")
ROOT = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web/1"
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/main/0123456789abcdef0123456789abcdef"
MUTATING = ("Create", "Delete", "Update", "Execute", "Set", "Put", "Register", "Rollback", "Continue", "Cancel")


def diagnosed(deployer: Operator) -> Outcome:
    deployer.said = []
    return diagnose(deployer.world.aws(), deployer.stack, deployer.said.append)


def told(deployer: Operator, kind: str) -> list[Fact]:
    return [one for one in deployer.said if isinstance(one, Fact) and one.kind == kind]


def broken(reason: str = "ECS Deployment Circuit Breaker was triggered", **world: Any) -> Operator:
    """A set whose update failed in the service and was rolled back."""
    deployer = wider(**world)
    deployer.world.cfn.failures["Service/Service"] = (reason, 1)
    assert deployer.deploy(image="web:2").exit_code == 4
    deployer.world.calls.clear()
    return deployer


def task(code: int | None = 1, *, reason: str = "Essential container in task exited", **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "web"} | ({} if code is None else {"exitCode": code})
    given: dict[str, Any] = {"taskArn": TASK, "taskDefinitionArn": "arn:aws:ecs:x:task-definition/web:2"}
    given |= {"stoppedReason": reason, "stopCode": "EssentialContainerExited", "containers": [container]}
    return given | more


def test_the_cause_is_the_resource_that_failed_first_in_a_nested_stack() -> None:
    deployer = broken()
    outcome = diagnosed(deployer)
    assert (outcome.exit_code, outcome.end, outcome.status) == (0, "diagnosed", "UPDATE_ROLLBACK_COMPLETE")
    assert outcome.cause is not None and outcome.cause.path == "Service/Service"
    (cause,) = told(deployer, "cause")
    assert cause.data["reason"] == "ECS Deployment Circuit Breaker was triggered"
    assert cause.data["consequences"] == ["Service"]
    assert cause.data["operations_since"] == 0


def test_a_failure_is_found_after_later_operations_went_well() -> None:
    deployer = broken("no such image")
    assert deployer.deploy(image="web:3").exit_code == 0
    outcome = diagnosed(deployer)
    assert outcome.reason == "no such image"
    assert "1 operation ago; it went well since" in outcome.what
    assert not outcome.next


def test_what_failed_in_a_later_operation_that_went_well_is_no_part_of_it() -> None:
    deployer = broken("no such image")
    assert deployer.deploy(image="web:3").exit_code == 0
    cfn = deployer.world.cfn
    service = next(stack for stack in cfn.stacks.values() if stack.path == "Service")
    cfn._event(service, "Old", "AWS::ECS::TaskDefinition", "DELETE_FAILED", "old", "still in use")
    assert diagnosed(deployer).reason == "no such image"
    (cause,) = told(deployer, "cause")
    assert cause.data["consequences"] == ["Service"]


def test_of_two_failures_the_newer_one_is_told() -> None:
    deployer = broken("the older one")
    deployer.world.cfn.failures["Service/TaskDefinition"] = ("the newer one", 1)
    assert deployer.deploy(image="web:3").exit_code == 4
    outcome = diagnosed(deployer)
    assert outcome.reason == "the newer one"
    (cause,) = told(deployer, "cause")
    assert "Service/Service" not in cause.data["consequences"]


def test_where_nothing_failed_it_says_so() -> None:
    outcome = diagnosed(wider())
    assert (outcome.end, outcome.exit_code, outcome.cause) == ("healthy", 0, None)


def test_no_stack_is_a_mistake_in_the_name() -> None:
    with pytest.raises(UsageError):
        diagnosed(Operator(stack="nobody"))


def test_it_changes_nothing() -> None:
    deployer = broken(tasks=[task()])
    diagnosed(deployer)
    assert [one for one in deployer.world.sent() if one.startswith(MUTATING)] == []


def test_why_tasks_stopped_is_told_with_their_last_lines() -> None:
    stream = f"web/web/{TASK.rpartition('/')[2]}"
    lines = [f"line {number}" for number in range(30)] + ["KeyError: 'DATABASE_URL'"]
    deployer = broken(tasks=[task()], logs={stream: lines})
    diagnosed(deployer)
    (stopped,) = told(deployer, "stopped")
    assert stopped.data["containers"] == ["web exit 1"]
    ((place, said),) = stopped.data["logs"].items()
    assert (place, said[-1], len(said)) == (f"/ecs/web {stream}", "KeyError: 'DATABASE_URL'", LOG_LINES)


def test_what_kills_the_container_is_known_by_its_exit_code() -> None:
    deployer = broken(tasks=[task(137, reason="OutOfMemoryError: Container killed due to memory usage")])
    diagnosed(deployer)
    (advice,) = told(deployer, "hint")
    assert "services.NAME.memory_mib" in advice.data["text"]


def test_the_deployment_that_was_given_up_is_told_with_its_alarms() -> None:
    deployments = [
        {
            "serviceDeploymentArn": "arn:new",
            "status": "SUCCESSFUL",
            "createdAt": datetime(2026, 11, 23, 13, tzinfo=UTC),
        },
        {
            "serviceDeploymentArn": "arn:old",
            "status": "ROLLBACK_SUCCESSFUL",
            "createdAt": datetime(2026, 11, 23, 12, tzinfo=UTC),
            "rollback": {"reason": "tasks failed to start"},
            "deploymentCircuitBreaker": {"status": "TRIGGERED", "failureCount": 10, "threshold": 10},
            "alarms": {"triggeredAlarmNames": ["web-errors"]},
        },
    ]
    deployer = broken(deployments=deployments, messages=["(service web) has reached a steady state.", "no room"])
    diagnosed(deployer)
    (found,) = told(deployer, "deployment")
    assert (found.data["reason"], found.data["failures"], found.data["alarms"]) == (
        "tasks failed to start",
        10,
        ["web-errors"],
    )
    assert found.data["messages"] == ["no room"]


def test_unhealthy_targets_are_counted_by_their_reason() -> None:
    sick = {"State": "unhealthy", "Reason": "Target.ResponseCodeMismatch", "Description": "codes: [503]"}
    deployer = broken(health=[sick, sick, {"State": "healthy"}])
    diagnosed(deployer)
    (found,) = told(deployer, "targets")
    assert found.data["health"] == {"unhealthy Target.ResponseCodeMismatch codes: [503]": 2, "healthy": 1}


EVIDENCE = (
    "DescribeServices",
    "ListServiceDeployments",
    "ListTasks",
    "DescribeTasks",
    "DescribeTaskDefinition",
    "GetLogEvents",
    "DescribeTargetHealth",
    "ListStackResources",
)


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidParameterException", "ClusterNotFoundException"])
@pytest.mark.parametrize("operation", EVIDENCE)
def test_evidence_that_cannot_be_read_is_told_and_changes_no_outcome(operation: str, code: str) -> None:
    whole = broken(tasks=[task()], health=[{"State": "draining"}])
    wanted = diagnosed(whole)
    deployer = broken(tasks=[task()], health=[{"State": "draining"}])
    deployer.world.faults.append(Fault(operation, code, times=99))
    outcome = diagnosed(deployer)
    assert (outcome.exit_code, outcome.reason) == (wanted.exit_code, wanted.reason)
    # A stream that is not there is one that nothing was written to.
    assert deployer.notes or (operation, code) == ("GetLogEvents", "ClusterNotFoundException")


def test_events_that_must_not_be_read_are_an_error_for_they_were_asked_for() -> None:
    deployer = broken()
    deployer.world.faults.append(Fault("DescribeStackEvents", "AccessDenied", times=99))
    with pytest.raises(AccessError):
        diagnosed(deployer)


# Pure: pages in, operations out.

KINDS = st.sampled_from(["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[dict[str, Any]]], list[bool]]:
    """The events of operations, oldest operation and event first, and whether each of them failed."""
    number = 0

    def event(title: str, status: str, own: bool) -> dict[str, Any]:
        nonlocal number
        number += 1
        return {
            "StackId": ROOT,
            "EventId": str(number),
            "LogicalResourceId": title,
            "PhysicalResourceId": ROOT if own else "one",
            "ResourceType": "AWS::SNS::Topic",
            "ResourceStatus": status,
            "Timestamp": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        }

    operations, failed = [], []
    for end in draw(st.lists(KINDS, max_size=5)):
        events = [
            event(
                "web",
                draw(st.sampled_from(STARTS)),
                own=True,
            )
        ]
        events += [event("Topic", "UPDATE_IN_PROGRESS", own=False) for _ in range(draw(st.integers(0, 3)))]
        if end != "UPDATE_COMPLETE":
            events.append(event("Topic", "UPDATE_FAILED", own=False))
        if "ROLLBACK" in end:
            events.append(event("web", "UPDATE_ROLLBACK_IN_PROGRESS", own=True))
        events.append(event("web", end, own=True))
        operations.append(events)
        failed.append(end != "UPDATE_COMPLETE")
    return operations, failed


def pages(operations: list[list[dict[str, Any]]], size: int, read: list[int]) -> Iterator[Mapping[str, Any]]:
    newest = [one for events in operations for one in events][::-1]
    for start in range(0, len(newest), size):
        read.append(start)
        yield {"StackEvents": newest[start : start + size]}


@given(histories(), st.integers(1, 7))
def test_operations_are_told_apart_whatever_the_pages(
    history: tuple[list[list[dict[str, Any]]], list[bool]], size: int
) -> None:
    operations, failed = history
    found = list(past_operations(pages(operations, size, [])))
    assert [list(one.events)[::-1] for one in found] == operations[::-1]
    assert [one.failed for one in found] == failed[::-1]
    for attempt, later in zip(found[1:], operations[::-1], strict=False):
        assert attempt.until == later[0]["Timestamp"]


@given(histories(), st.integers(1, 7))
def test_no_more_pages_are_read_than_the_newest_failure_takes(
    history: tuple[list[list[dict[str, Any]]], list[bool]], size: int
) -> None:
    operations, failed = history
    read: list[int] = []
    attempt, since = newest_failure(pages(operations, size, read))
    if not any(failed):
        assert attempt is None
        return
    assert since == failed[::-1].index(True)
    needed = sum(len(events) for events in operations[::-1][: since + 1])
    assert read[-1] < needed


def test_events_that_aws_has_forgotten_leave_an_operation_without_its_beginning() -> None:
    rest = [{"StackId": ROOT, "PhysicalResourceId": "x", "ResourceStatus": "UPDATE_FAILED", "Timestamp": 1}]
    (found,) = past_operations([{"StackEvents": rest}])
    assert found.failed


@given(st.lists(st.tuples(st.sampled_from([0, 1, 137, None]), st.sampled_from(["a", "b"])), max_size=8))
def test_every_stopped_task_is_counted_once(drawn: list[tuple[int | None, str]]) -> None:
    tasks = [task(code, reason=f"{reason} {number:032x}") for number, (code, reason) in enumerate(drawn)]
    found = stops(tasks)
    assert sum(one.count for one in found) == len(tasks)
    assert len({(one.reason, one.code, one.containers) for one in found}) == len(found)


def test_tasks_that_failed_come_before_those_that_were_told_to_go() -> None:
    scaled = task(0, reason="Scaling activity initiated by deployment", stopCode="ServiceSchedulerInitiated")
    first, *_ = stops([scaled, scaled, scaled, task(1)])
    assert first.code == "EssentialContainerExited"


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("CannotPullContainerError: pull image manifest has been retried 1 time(s)", "may not be pulled"),
        ("service web was unable to place a task because no container instance met all of its requirements.", "room"),
        ("service web was unable to place a task. Reason: No Container Instances were found", "room"),
        ("exec /app: exec format error", "another CPU"),
        ("ResourceInitializationError: unable to pull secrets or registry auth", "secret"),
        ("(service web) (task x) failed ELB health checks in (target-group y)", "health_check"),
        ("User: x is not authorized to perform: ec2:CreateVpc", "`policies`"),
        ("web-images already exists in stack arn:x", "rename it"),
        ('Resource handler returned message: "quota exceeded"', "Service Quotas"),
    ],
)
def test_known_messages_have_a_cure(message: str, word: str) -> None:
    assert word in hint(message)


@given(st.text())
def test_a_hint_is_given_for_any_text_without_fail(text: str) -> None:
    assert isinstance(hint(text), str)


def test_a_container_whose_log_goes_elsewhere_has_no_place_in_cloudwatch() -> None:
    options = {"awslogs-group": "/ecs/web", "awslogs-stream-prefix": "web"}
    for driver, settings in (("awsfirelens", options), ("awslogs", {"awslogs-group": "/ecs/web"})):
        container = {"name": "web", "logConfiguration": {"logDriver": driver, "options": settings}}
        assert log_place({"containerDefinitions": [container]}, "web", TASK) is None


def test_while_a_deployment_goes_on_each_reason_why_tasks_stopped_is_told_once() -> None:
    deployer = wider(tasks=[task(), task()])
    deployer.world.cfn.resource_s = 120
    breaker = {"failureCount": 2, "threshold": 9}
    one = {"serviceDeploymentArn": "arn:aws:ecs:d", "status": "IN_PROGRESS", "deploymentCircuitBreaker": breaker}
    deployer.world.deployments = [one]
    world, polls = deployer.world, 0

    def at(operation: str) -> None:
        nonlocal polls
        if operation == "ListServiceDeployments":
            polls += 1
            breaker["failureCount"] += polls % 5 == 0
            one["status"] = "SUCCESSFUL" if deployer.status() == "UPDATE_COMPLETE" else "IN_PROGRESS"

    world.at_call = at
    assert deployer.deploy(image="web:2").exit_code == 0
    assert deployer.notes.count("Service/Service: a task stopped:") == 1
    assert "EssentialContainerExited" in deployer.notes and "web exit 1" in deployer.notes
    assert world.sent().count("ListTasks") < polls  # only when more of them failed
