"""Jobs on the emulator: made with the image, changed in place, and gone with the set."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_queue import deployed

NIGHTLY = sc.Job(
    image_of="web", memory_mib=512, command=("report",), at="cron(0 3 * * ? *)", timezone="Europe/Berlin", overlap=False
)
HOURLY = sc.Job(image_of="web", memory_mib=512, command=("tick",), at="rate(1 hour)", success_within_h=3)


def of(**jobs: sc.Job) -> sc.Config:
    return sc.Config(
        services={"web": sc.WebService(memory_mib=512, scaling=sc.Scaling(max_tasks=3))},
        jobs=jobs,
        capacity={"air": sc.FargateCapacity()},
        registry=sc.Registry(empty_on_delete=True),
    )


def schedules(account: Account) -> list[dict[str, Any]]:
    client = account.client("scheduler")
    return [
        client.get_schedule(Name=row["Name"], GroupName=row["GroupName"])
        for row in client.list_schedules()["Schedules"]
    ]


def run_task_of(account: Account, stack_id: str, title: str) -> dict[str, Any]:
    child = helpers.described(account, helpers.children(account, stack_id)[title])
    asked: dict[str, Any] = json.loads(helpers.outputs(child)["RunTask"])
    return asked


def test_jobs_are_made_run_changed_and_deleted(account: Account) -> None:
    before = helpers.leftovers(account)
    _, stack = deployed(account, of(nightly=NIGHTLY, hourly=HOURLY))
    at = {row["ScheduleExpression"]: row for row in schedules(account)}
    assert set(at) == {"cron(0 3 * * ? *)", "rate(1 hour)"}
    assert ":stateMachine:" in at["cron(0 3 * * ? *)"]["Target"]["Arn"]
    assert ":cluster/" in at["rate(1 hour)"]["Target"]["Arn"]
    (machine,) = account.client("stepfunctions").list_state_machines()["stateMachines"]
    definition = account.client("stepfunctions").describe_state_machine(stateMachineArn=machine["stateMachineArn"])
    assert json.loads(definition["definition"])["StartAt"] == "LookForTasks"

    # What the stack tells is what ECS takes.
    asked = run_task_of(account, stack["StackId"], "HourlyJob")
    ran = account.client("ecs").run_task(**asked)
    assert [task["taskDefinitionArn"] for task in ran["tasks"]] == [asked["taskDefinition"]]

    plan, _ = deployed(account, of(nightly=NIGHTLY, hourly=HOURLY), WebImageUri="example.com/web:v2")
    assert {name.partition("/")[0] for name in plan} == {"WebService", "NightlyJob", "HourlyJob"}
    replaced = {name for name, verdict in plan.items() if verdict == "True"}
    assert replaced == {"HourlyJob/TaskDefinition", "NightlyJob/TaskDefinition", "WebService/TaskDefinition"}
    assert run_task_of(account, stack["StackId"], "HourlyJob")["taskDefinition"] != asked["taskDefinition"]

    later = replace(HOURLY, at="rate(2 hours)", success_within_h=5)
    _, stack = deployed(account, of(hourly=later))
    assert [row["ScheduleExpression"] for row in schedules(account)] == ["rate(2 hours)"]

    helpers.delete(account, stack["StackId"])
    left = {row.partition(":")[0] for row in set(helpers.leftovers(account)) - set(before)}
    assert left == {"QueueUrls"}  # what could not be started is kept
