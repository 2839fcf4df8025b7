"""What a rehearsal with containers does by its clock: nodes come and go, and deployments move requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.core.responses import request_scope
from ministack.services import alb, autoscaling, ecs, scheduler
from ministack.services.cloudformation import _stacks

from scaleout_cfn.capacity import instance_type, registered_memory_mib
from scaleout_cfn.local.containers.nodes import Nodes
from scaleout_cfn.local.containers.scaling import Scaler
from scaleout_cfn.local.types import application_autoscaling as targets
from scaleout_cfn.local.types import ecs_deliveries

GROUP: dict[str, Any] = {
    "AutoScalingGroupName": "group",
    "MinSize": 2,
    "MaxSize": 4,
    "VPCZoneIdentifier": "subnet-1,subnet-2",
    "Instances": [],
}
PROPERTIES = {
    "MixedInstancesPolicy": {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1"},
            "Overrides": [{"InstanceType": "t3.small"}],
        }
    }
}
RESOURCE = {"ResourceType": "AWS::AutoScaling::AutoScalingGroup", "PhysicalResourceId": "group"}
PROVIDER = {
    "name": "nodes",
    "autoScalingGroupProvider": {
        "autoScalingGroupArn": "group",
        "managedScaling": {"targetCapacity": 100, "minimumScalingStepSize": 1, "instanceWarmupPeriod": 60},
    },
}
SPREAD = [
    {"type": "spread", "field": "attribute:ecs.availability-zone"},
    {"type": "binpack", "field": "memory"},
]
EACH = registered_memory_mib(instance_type("t3.small").memory_mib) // 512
"""Tasks of 512 MiB on a node."""


class Pool:
    """A group of t3.small with a capacity provider, and one service whose tasks go there."""

    def __init__(self) -> None:
        self.group = GROUP | {"Instances": []}
        autoscaling._asgs["group"] = self.group
        _stacks["set"] = {"_resources": {"NodesGroup": RESOURCE | {"Properties": PROPERTIES}}}
        ecs._capacity_providers["nodes"] = PROVIDER
        ecs._services["cluster/web"] = {"serviceName": "web", "placementStrategy": SPREAD}
        self.nodes = Nodes()
        self.nodes.look(0)

    def place(self, name: str, provider: str | None = "nodes", **definition: Any) -> str:
        containers = [{"name": "web", "cpu": 128, "memory": 512, **definition.pop("container", {})}]
        return self.nodes.place(task(name, provider), {"containerDefinitions": containers, **definition})

    def states(self) -> list[str]:
        return [instance["LifecycleState"] for instance in self.group["Instances"]]

    def at(self, seconds: int) -> list[str]:
        for now in range(int(self.nodes.now) + 1, seconds, 5):
            self.nodes.look(now)
        self.nodes.look(seconds)
        return self.states()


def task(name: str, provider: str | None = "nodes") -> dict[str, Any]:
    cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/cluster"
    return {"taskArn": name, "clusterArn": cluster, "group": "service:web", "capacityProviderName": provider}


@pytest.fixture
def pool() -> Iterator[Pool]:
    with request_scope("111122223333", "us-east-1"):
        yield Pool()


def test_nodes_take_as_many_tasks_as_the_arithmetic_says_and_the_next_one_waits_with_ecs_s_reason(pool: Pool) -> None:
    assert pool.states() == ["InService", "InService"]
    assert Counter(instance["AvailabilityZone"] for instance in pool.group["Instances"]) == {
        "us-east-1a": 1,
        "us-east-1b": 1,
    }
    assert not any(pool.place(f"{number}") for number in range(2 * EACH))
    last = pool.group["Instances"][-1]["InstanceId"]
    wanted = f"The closest matching container-instance {last} has insufficient memory available."
    assert pool.place("late") == wanted
    assert pool.place("elsewhere", provider="FARGATE") == ""
    # A place that is free again is anybody's.
    pool.nodes.free(task("0"))
    assert pool.place("late") == ""


def test_tasks_spread_over_zones_and_of_a_port_of_the_node_there_is_one(pool: Pool) -> None:
    fixed = {"portMappings": [{"containerPort": 80, "hostPort": 80}]}
    assert [pool.place(name, container=fixed) for name in ("a", "b")] == ["", ""]
    assert "is already using a port required by your task" in pool.place("c", container=fixed)
    small = {**fixed, "memory": 64}
    # A t3.small has three network interfaces, one of them its own.
    reasons = [pool.place(f"d{number}", networkMode="awsvpc", container=small) for number in range(5)]
    assert reasons[:4] == [""] * 4 and 'encountered error "RESOURCE:ENI"' in reasons[4]


def test_what_waits_brings_nodes_up_to_the_most_and_empty_ones_go_after_a_quarter_of_an_hour(pool: Pool) -> None:
    reasons = [pool.place(f"{number}") for number in range(2 * EACH + 1)]
    assert [bool(reason) for reason in reasons] == [*[False] * 2 * EACH, True]
    assert pool.at(70) == ["InService", "InService"]
    assert pool.at(80) == ["InService", "InService", "Pending"]
    assert pool.place("late") != ""
    assert pool.at(160) == ["InService"] * 3
    assert (pool.place("late"), pool.place("later")) == ("", "")
    for number in (*range(2 * EACH + 1), "late", "later"):
        pool.nodes.free(task(f"{number}"))
    assert pool.at(900) == ["InService"] * 3
    assert pool.at(2000) == ["InService"] * 2
    assert pool.group["DesiredCapacity"] == 2
    # `stop` asks for none, `start` for as many as before.
    pool.group["MinSize"] = 0
    assert pool.at(5000) == []
    pool.group["MinSize"] = 2
    assert pool.at(5001) == ["Pending"] * 2 and pool.at(5100) == ["InService"] * 2


class Shift:
    """A service that a canary moves: its tasks by deployment, and a clock that the test turns."""

    BLUE, GREEN, RULE = "arn:group/blue", "arn:group/green", "arn:rule"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **configuration: Any) -> None:
        self.now = 0.0
        monkeypatch.setattr(ecs_deliveries.Delivery, "clock", ecs_deliveries.Clock(lambda: self.now))
        monkeypatch.setattr(ecs, "_sync_service_targets", self.publish)
        monkeypatch.setattr(ecs, "_reconcile_service_tasks", lambda *_: None)
        alb._rules[self.RULE] = {"Actions": [{"Type": "forward"}]}
        for group in (self.BLUE, self.GREEN):
            alb._tgs[group] = {}
        balancer = {"targetGroupArn": self.BLUE, "containerPort": 80}
        advanced = {"alternateTargetGroupArn": self.GREEN, "productionListenerRule": self.RULE, "roleArn": "arn:role"}
        old = {"id": "ecs-svc/1", "status": "ACTIVE", "taskDefinition": "web:1", "rolloutState": "COMPLETED"}
        new = {"id": "ecs-svc/2", "status": "PRIMARY", "taskDefinition": "web:2", "rolloutState": "IN_PROGRESS"}
        counts = {"runningCount": 1, "desiredCount": 1, "rolloutStateReason": ""}
        self.service: dict[str, Any] = {
            "serviceName": "web",
            "status": "ACTIVE",
            "serviceArn": "arn:aws:ecs:us-east-1:123456789012:service/main/web",
            "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/main",
            "taskDefinition": "web:2",
            "runningCount": 2,
            "desiredCount": 1,
            "deployments": [new | counts, old | counts],
            "loadBalancers": [{**balancer, "advancedConfiguration": advanced}],
            "deploymentConfiguration": {
                "strategy": "CANARY",
                "bakeTimeInMinutes": 3,
                "canaryConfiguration": {"canaryPercent": 20, "canaryBakeTimeInMinutes": 5},
                **configuration,
            },
            "_serving": self.BLUE,
        }
        for number in (1, 2):
            address = {"privateIpv4Address": f"10.0.0.{number}"}
            ecs._tasks[f"task/{number}"] = {
                "taskArn": f"task/{number}",
                "group": "service:web",
                "clusterArn": self.service["clusterArn"],
                "lastStatus": "RUNNING",
                "_deployment_id": f"ecs-svc/{number}",
                "_container_ip": f"10.0.0.{number}",
                "_startup_stable": number == 1,
                "containers": [{"networkInterfaces": [address]}],
            }
        source = {"serviceRevisionArn": "arn:revision/1", "taskDefinition": "web:1"}
        self.delivery = ecs_deliveries.Delivery(self.service, source)

    def publish(self, cluster: str, service: dict[str, Any]) -> None:
        ecs_deliveries._publish_by_deployment(service, service.setdefault("_published_targets", {}))

    def at(self, minute: float) -> tuple[str, list[int], str]:
        """The stage at a minute, the weights of blue and green, and how it has ended."""
        self.now = 60 * minute
        self.delivery.go_on()
        config = alb._rules[self.RULE]["Actions"][0].get("ForwardConfig") or {"TargetGroups": []}
        status = self.delivery.status if self.delivery.finished else ""
        return self.delivery.stage, [group["Weight"] for group in config["TargetGroups"]], status

    def targets(self) -> list[list[str]]:
        return [[target["Id"] for target in alb._targets.get(group, [])] for group in (self.BLUE, self.GREEN)]


def test_a_canary_waits_for_its_tasks_and_its_times_and_each_version_s_tasks_have_a_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with request_scope("111122223333", "us-east-1"):
        shift = Shift(monkeypatch)
        assert shift.at(0) == ("SCALE_UP", [], "")
        assert shift.at(10) == ("SCALE_UP", [], "")
        ecs._tasks["task/2"]["_startup_stable"] = True
        assert shift.at(11) == ("PRODUCTION_TRAFFIC_SHIFT", [80, 20], "")
        assert shift.targets() == [["10.0.0.1"], ["10.0.0.2"]]
        shift.delivery.updated = "then"  # by which it is told when the step is over
        assert shift.at(15.9) == ("PRODUCTION_TRAFFIC_SHIFT", [80, 20], "")
        assert shift.delivery.updated == "then"
        assert shift.at(16) == ("BAKE_TIME", [0, 100], "")
        assert shift.at(18.9) == ("BAKE_TIME", [0, 100], "")
        assert shift.at(19) == ("CLEAN_UP", [0, 100], "SUCCESSFUL")
        # Until the old task is stopped it has its group.
        assert shift.targets() == [["10.0.0.1"], ["10.0.0.2"]]


def test_a_canary_that_goes_back_gives_all_requests_to_the_tasks_that_are_still_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with request_scope("111122223333", "us-east-1"):
        shift = Shift(monkeypatch)
        ecs._tasks["task/2"]["_startup_stable"] = True
        shift.at(1)
        shift.delivery.go_back("asked for")
        shift.at(2)
        assert shift.at(3) == ("PRODUCTION_TRAFFIC_SHIFT", [100, 0], "ROLLBACK_SUCCESSFUL")
        new, old = shift.service["deployments"]
        assert (new["status"], new["rolloutState"], old["status"]) == ("ACTIVE", "FAILED", "PRIMARY")
        assert shift.service["taskDefinition"] == "web:1" and shift.service["_serving"] == shift.BLUE


@pytest.mark.parametrize(
    ("action", "then", "end"),
    [("ROLLBACK", "PRE_PRODUCTION_TRAFFIC_SHIFT", "ROLLBACK_SUCCESSFUL"), ("CONTINUE", "PRODUCTION_TRAFFIC_SHIFT", "")],
)
def test_a_pause_that_nobody_answers_ends_in_its_time_as_its_hook_says(
    action: str, then: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
    hook = {**pause, "timeoutConfiguration": {"timeoutInMinutes": 7, "action": action}}
    with request_scope("111122223333", "us-east-1"):
        shift = Shift(monkeypatch, lifecycleHooks=[hook])
        ecs._tasks["task/2"]["_startup_stable"] = True
        assert shift.at(1) == ("PRE_PRODUCTION_TRAFFIC_SHIFT", [100, 0], "")
        (waiting,) = shift.delivery.hooks
        assert (shift.at(7.9)[0], waiting["status"]) == ("PRE_PRODUCTION_TRAFFIC_SHIFT", "AWAITING_ACTION")
        assert (shift.at(8)[0], waiting["status"]) == (then, "TIMED_OUT")
        assert not shift.delivery.take(waiting["hookId"], "CONTINUE")
        shift.at(8.1)
        stage, weights, ended = shift.at(8.2)
        assert (stage, ended) == (then, end)
        assert weights == ([100, 0] if end else [80, 20])
        assert shift.service["taskDefinition"] == ("web:1" if end else "web:2")


@pytest.mark.parametrize(("completed", "end"), [(True, "SUCCESSFUL"), (False, "ROLLBACK_SUCCESSFUL")])
def test_a_rolling_deployment_ends_with_its_tasks_and_moves_no_request(
    completed: bool, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with request_scope("111122223333", "us-east-1"):
        shift = Shift(monkeypatch, strategy="ROLLING", bakeTimeInMinutes=0)
        assert shift.at(30) == ("SCALE_UP", [], "")
        shift.service["deployments"][0].update(
            {"rolloutState": "COMPLETED"} if completed else {"rolloutState": "FAILED", "status": "ACTIVE"}
        )
        shift.at(31)
        shift.at(32)
        _, weights, ended = shift.at(33)
        assert (weights, ended) == ([], end)
        told = shift.delivery.shown()
        assert told["status"] == end and "requestedProductionTrafficWeight" not in told["targetServiceRevision"]


def test_schedules_fire_at_the_pace_and_an_at_by_this_machine_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(targets, "_register_target", asked.append)

    def run_task(request: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        asked.append(request)
        return 200, {}, "{}"

    monkeypatch.setitem(ecs._ACTION_MAP, "RunTask", run_task)
    at_seven = {"Schedule": "cron(0 7 * * ? *)", "ScalableTargetAction": {"MinCapacity": 5}}
    soon = {"Schedule": "at(2026-01-05T06:10:00)", "ScalableTargetAction": {"MaxCapacity": 9}}
    task = {"TaskDefinitionArn": "job:1", "TaskCount": 1, "LaunchType": "FARGATE"}
    schedule = {"State": "ENABLED", "ScheduleExpression": "rate(2 hours)", "ScheduleExpressionTimezone": "UTC"}
    with request_scope("111122223333", "us-east-1"):
        targets._targets["web"] = {"ResourceId": "service/main/web", "ScheduledActions": [at_seven, soon]}
        scheduler._schedules["default/job"] = schedule | {"Target": {"Arn": "main", "EcsParameters": task}}
        loop = Scaler(SimpleNamespace(balancer=None, pace=60.0))  # type: ignore[arg-type]
        loop.day = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
        loop._fire(0, 3500)
        assert asked == []
        loop._fire(3500, 3660)  # 7:01 by the scheduler's clock, a minute later by the machine's
        assert [request["MinCapacity"] for request in asked] == [5]
        loop._fire(3660, 7300)
        run = asked[1]
        assert (run["cluster"], run["taskDefinition"], run["count"], run["launchType"]) == (
            "main",
            "job:1",
            1,
            "FARGATE",
        )
        loop._fire(7300, 36060)
        assert [request.get("MaxCapacity") for request in asked if "ResourceId" in request] == [None, 9]
