"""A shell in a task, and a task of its own for one command: begun once, watched to its end, with its exit code."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.deploy.live import require
from scaleout_cfn.deploy.messages import Fact, Message, Outcome
from scaleout_cfn.deploy.services import tasks
from scaleout_cfn.deploy.services.service import LiveService, pick
from scaleout_cfn.errors import BusyError, DeployError, RefusedError, Stopped, UsageError

from .services import ECS, TASK, Services
from .world import Fault

STREAM = f"web/web/{TASK.rpartition('/')[2]}"
AGENT = {"managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}]}


def service(world: Services) -> LiveService:
    aws = world.aws()
    return pick(aws, require(aws, "web"), "")


def task(number: int, **more: Any) -> dict[str, Any]:
    containers = [{"name": "web", **AGENT}]
    arn = f"{ECS}:task/main/{number:032x}"
    return {"taskArn": arn, "lastStatus": "RUNNING", "enableExecuteCommand": True, "containers": containers, **more}


def session(
    world: Services, task_id: str = "", *, here: tuple[str, ...] = ("aws", "session-manager-plugin")
) -> list[str]:
    which: Callable[[str], str | None] = lambda name: f"/bin/{name}" if name in here else None  # noqa: E731
    return tasks.exec_command(world.aws(), service(world), task_id, ("sh", "-c", "echo 'a b'"), which)


def open_to_sessions(*found: dict[str, Any]) -> Services:
    return Services(service={"enableExecuteCommand": True}, tasks=list(found))


def test_a_session_is_opened_in_the_newest_task_that_takes_one() -> None:
    world = open_to_sessions(task(1), task(2, startedAt=Services().now), task(3, enableExecuteCommand=False))
    argv = session(world)
    assert argv[:5] == ["/bin/aws", "ecs", "execute-command", "--region", "eu-west-1"]
    options = dict(itertools.pairwise(argv))
    assert options["--task"] == task(2)["taskArn"]
    assert (options["--cluster"], options["--container"]) == ("main", "web")
    assert shlex.split(options["--command"]) == ["sh", "-c", "echo 'a b'"]


def test_a_session_is_in_the_service_s_container_and_not_in_a_proxy_that_is_in_front_of_it() -> None:
    both = [{"name": "front", **AGENT}, {"name": "web", **AGENT}]
    balanced = {"enableExecuteCommand": True, "loadBalancers": [{"containerName": "front", "containerPort": 8000}]}
    options = dict(itertools.pairwise(session(Services(service=balanced, tasks=[task(1, containers=both)]))))
    assert options["--container"] == "web"
    others = [{"name": "front", **AGENT}, {"name": "own", **AGENT}]
    options = dict(itertools.pairwise(session(Services(service=balanced, tasks=[task(1, containers=others)]))))
    assert options["--container"] == "front"


def test_a_task_can_be_named_by_the_beginning_of_its_id() -> None:
    world = open_to_sessions(task(1 << 124), task(2 << 124))
    assert task(2 << 124)["taskArn"] in session(world, "2")
    with pytest.raises(UsageError, match="no task 7 of it runs"):
        session(world, "7")


def test_profile_and_endpoint_go_with_it_and_no_key_does() -> None:
    world = open_to_sessions(task(1))
    aws = world.aws(profile="ci", endpoint_url="http://127.0.0.1:1")
    argv = tasks.exec_command(aws, service(world), "", ("sh",), lambda name: name)
    assert argv[5:9] == ["--profile", "ci", "--endpoint-url", "http://127.0.0.1:1"]
    assert "x" not in argv  # the secret key of the fake


def test_with_exec_off_it_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(RefusedError, match=r"services\.web\.exec is off") as error:
        session(Services(tasks=[task(1)]))
    assert "--set services.web.exec=true --set services.web.read_only=false" in command_line(error.value.next)
    assert error.value.state == "nothing was changed"


@pytest.mark.parametrize("missing", ["aws", "session-manager-plugin"])
def test_a_program_that_is_missing_is_named_with_where_to_get_it(missing: str) -> None:
    here = tuple({"aws", "session-manager-plugin"} - {missing})
    with pytest.raises(UsageError, match=rf"Not on PATH: {missing}: https://docs\.aws\.amazon\.com/"):
        session(open_to_sessions(task(1)), here=here)


@pytest.mark.parametrize("change", [{"enableExecuteCommand": False}, {"containers": [{"name": "web"}]}])
def test_tasks_older_than_the_setting_are_told_apart(change: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="none takes a session"):
        session(open_to_sessions(task(1, **change)))


def test_where_no_task_runs_that_is_said() -> None:
    with pytest.raises(UsageError, match="no task of it runs"):
        session(open_to_sessions(task(1, lastStatus="PENDING")))


def begun(world: Services) -> tasks.RunningTask:
    return tasks.start(world.aws(), service(world), ("python", "migrate.py"), "scfn-run-1")


def test_a_command_runs_with_the_services_definition_network_and_capacity() -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
    capacity = [{"capacityProvider": "nodes", "weight": 1, "base": 0}]
    world = Services(
        service={"networkConfiguration": network, "capacityProviderStrategy": capacity, "launchType": "EC2"}
    )
    one = begun(world)
    (asked,) = [given for _, operation, given in world.calls if operation == "RunTask"]
    assert asked["taskDefinition"] == f"{ECS}:task-definition/web:2"
    assert (asked["networkConfiguration"], asked["capacityProviderStrategy"]) == (network, capacity)
    assert "launchType" not in asked  # ECS takes one of the two
    assert asked["overrides"] == {"containerOverrides": [{"name": "web", "command": ["python", "migrate.py"]}]}
    assert asked["clientToken"] == asked["startedBy"] == "scfn-run-1"
    assert "group" not in asked  # it is none of the service's, and gets no traffic
    assert one == tasks.RunningTask("web", TASK, "main", "web", "/web", STREAM)


def test_an_answer_that_was_lost_begins_no_second_task() -> None:
    world = Services(faults=[Fault("RunTask", carried_out=True, times=2)])
    assert begun(world).arn == TASK
    assert len(world.sent("RunTask")) == 3
    assert len(world.begun) == 1


def test_no_clear_answer_says_how_to_find_the_task() -> None:
    world = Services(faults=[Fault("RunTask", carried_out=True, times=99)])
    with pytest.raises(DeployError, match="no clear answer") as error:
        begun(world)
    assert "--started-by scfn-run-1" in command_line(error.value.next)


def test_no_room_is_told_as_such() -> None:
    with pytest.raises(BusyError, match="RESOURCE:MEMORY") as error:
        begun(Services(failures=["RESOURCE:MEMORY"]))
    assert error.value.exit_code == 7


def stopped(code: int | None, **more: Any) -> dict[str, Any]:
    own = {"name": "web", **({} if code is None else {"exitCode": code}), **more}
    return {"lastStatus": "STOPPED", "containers": [{"name": "proxy", "exitCode": 0}, own], "stoppedReason": "it ended"}


def watched(world: Services) -> tuple[Outcome, list[Message]]:
    said: list[Message] = []
    return tasks.watch_task(world.aws(), begun(world), said.append), said


@pytest.mark.parametrize("code", [0, 1, 3, 137])
def test_it_ends_with_the_exit_code_of_the_command(code: int) -> None:
    outcome, _ = watched(Services(ends=[{"lastStatus": "RUNNING"}, stopped(code)]))
    assert (outcome.exit_code, outcome.outputs) == (code, {"ExitCode": str(code)})


def test_every_line_is_printed_once_also_those_that_come_after_the_end() -> None:
    world = Services(ends=[{"lastStatus": "PROVISIONING"}, {"lastStatus": "RUNNING"}, stopped(0)])

    def writes(seconds: float) -> None:
        world.streams.setdefault(STREAM, []).append(f"line {len(world.streams.get(STREAM, []))}")

    world.at_sleep = writes
    _, said = watched(world)
    shown = [one.data["text"] for one in said if isinstance(one, Fact)]
    assert shown == [f"line {number}" for number in range(len(shown))]
    assert len(shown) >= 4  # two sleeps until it stopped, and two reads more


def test_a_task_that_is_not_shown_at_first_is_waited_for_but_not_without_end() -> None:
    world = Services(ends=[{}, stopped(0)])
    world.unseen = 5
    assert watched(world)[0].exit_code == 0
    world.unseen = 99
    assert watched(world)[0].end == "error"
    assert 20 <= len(world.sent("DescribeTasks")) < 40


def test_a_command_that_never_ran_ends_with_5_and_the_reason() -> None:
    outcome, _ = watched(Services(ends=[stopped(None, reason="CannotPullContainerError: no such manifest")]))
    assert (outcome.exit_code, outcome.reason) == (5, "CannotPullContainerError: no such manifest")


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_stops_watching_and_says_how_to_come_back_and_how_to_stop_the_task(number: int) -> None:
    world = Services(ends=[{"lastStatus": "RUNNING"}])

    def signalled(seconds: float) -> None:
        raise Stopped(number)

    world.at_sleep = signalled
    outcome, _ = watched(world)
    name = TASK.rpartition("/")[2]
    assert outcome.exit_code == 128 + number
    assert f"scaleout-cfn run --service web --attach {name}" in command_line(outcome.next)
    assert f"aws ecs stop-task --region eu-west-1 --cluster main --task {name}" in command_line(outcome.next)


@pytest.mark.parametrize(("fault", "code"), [("ServerException", 9), ("AccessDeniedException", 8)])
def test_reads_that_fail_for_good_say_the_same(fault: str, code: int) -> None:
    status = 500 if code == 9 else 400
    outcome, _ = watched(Services(faults=[Fault("DescribeTasks", fault, status=status, times=99)]))
    assert outcome.exit_code == code
    assert "run --service web --attach" in command_line(outcome.next)


def test_a_task_of_an_earlier_run_is_watched_again() -> None:
    over = {"containerOverrides": [{"name": "web", "command": ["x"]}]}
    one = {"taskArn": TASK, "taskDefinitionArn": f"{ECS}:task-definition/web:1", "overrides": over, **stopped(4)}
    world = Services(tasks=[one])
    again = tasks.running_task(world.aws(), service(world), TASK.rpartition("/")[2])
    assert again == tasks.RunningTask("web", TASK, "main", "web", "/web", STREAM)
    assert tasks.watch_task(world.aws(), again, lambda _: None).exit_code == 4
    with pytest.raises(UsageError, match="knows none"):
        tasks.running_task(world.aws(), service(world), "f" * 32)
