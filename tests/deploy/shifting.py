"""ECS's deployments that move traffic: stages, weights, pauses and bake times, on the clock of a World.

What it does, each by a page:

- The stages follow one another; between scaling up and the end of the bake time both versions run:
  https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-how-it-works.html
- BLUE_GREEN moves all production traffic at once; CANARY a part, and the rest after its bake time; LINEAR equal steps
  with a bake time between them and none after the last:
  https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
- At a stage that has a PAUSE hook the deployment waits, under an id made for that time, until ContinueServiceDeployment
  with CONTINUE or ROLLBACK, or the timeout, which does what it is told to:
  https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
- It can be continued while the hook is AWAITING_ACTION and the deployment IN_PROGRESS:
  https://docs.aws.amazon.com/AmazonECS/latest/developerguide/continue-service-deployment.html
- StopServiceDeployment moves PENDING and IN_PROGRESS to ROLLBACK_REQUESTED, then the rollback begins; what goes back
  already goes on with it; what has ended is a ConflictException:
  https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html
- An alarm or a hook that fails rolls back, and the production rule leads to the version before again. What went well
  leaves it leading to the group of the new version, which is the second one after the first deployment:
  https://github.com/go-to-k/cdk-real-drift/issues/1730

Not known, and so not relied upon: how soon DescribeServiceDeployments shows an answer. `lag_s` is how long it does not.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from .cloudformation import ELB, GROUPS, RULE, TEST_RULE, Refused
from .services import ECS, Services, Stack
from .world import START, World

STAGES = (
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)
ALARM = "web-5xx"


@dataclass
class Plan:
    """How a service is deployed. `pauses` are stages; `rings` is the stage in which the alarm goes off."""

    strategy: str = "BLUE_GREEN"
    bake_min: int = 10
    step: float = 25.0
    step_min: int = 5
    pauses: tuple[str, ...] = ()
    timeout_min: int = 30
    on_timeout: str = "ROLLBACK"
    rings: str = ""
    lag_s: float = 0.0
    stage_s: float = 10.0


class Deployment:
    """One deployment: a generator of what happens, each with how long it takes."""

    def __init__(self, name: str, number: int, begun: float, plan: Plan) -> None:
        self.name, self.number, self.plan = name, number, plan
        self.arn = f"{ECS}:service-deployment/main/{name}/{number:02}"
        self.begun = self.at = self.updated = begun
        self.status, self.stage, self.reason = "IN_PROGRESS", "PRE_SCALE_UP", ""
        self.share = self.tests = 0.0
        self.hooks: list[dict[str, Any]] = []
        self.ended: float | None = None
        self.rang = False
        self.answer = ""
        self._steps: Iterator[float] = self._forward()

    def advance(self, seconds: float) -> None:
        while self.ended is None and self.at <= seconds:
            self.updated = self.at
            try:
                self.at += next(self._steps)
            except StopIteration:
                self.ended, self._steps = self.at, iter(())  # which can be copied

    def _forward(self) -> Iterator[float]:
        for stage in STAGES:
            self.stage = stage
            if stage in self.plan.pauses:
                yield from self._pause()
            if self.answer == "ROLLBACK":
                yield from self._back(f"lifecycle hook at {stage}")
                return
            if stage == "TEST_TRAFFIC_SHIFT":
                self.tests = 100.0
            if stage == self.plan.rings:
                yield self.plan.stage_s
                self.rang = True
                yield from self._back(f"alarm detected: {ALARM}")
                return
            if stage == "PRODUCTION_TRAFFIC_SHIFT":
                yield from self._shift()
            yield self.plan.bake_min * 60 if stage == "BAKE_TIME" else self.plan.stage_s
        self.status = "SUCCESSFUL"

    def _shift(self) -> Iterator[float]:
        parts = {
            "CANARY": [self.plan.step],
            "LINEAR": [n * self.plan.step for n in range(1, int(100 / self.plan.step))],
        }
        for share in parts.get(self.plan.strategy, []):
            self.share = share
            yield self.plan.step_min * 60
        self.share = 0.0 if self.plan.strategy == "ROLLING" else 100.0

    def _pause(self) -> Iterator[float]:
        self.answer = ""
        hook = {
            "hookId": f"ecs-pause-{self.name}-{self.number}-{len(self.hooks)}",
            "targetType": "PAUSE",
            "status": "AWAITING_ACTION",
            "expiresAt": START + timedelta(seconds=self.at + self.plan.timeout_min * 60),
            "timeoutAction": self.plan.on_timeout,
        }
        self.hooks.append(hook)
        expires = self.at + self.plan.timeout_min * 60
        while not self.answer and self.at < expires:
            yield 1.0
        hook["status"] = "SUCCEEDED" if self.answer else "TIMED_OUT"
        self.answer = self.answer or self.plan.on_timeout

    def stop(self, now: float) -> None:
        self.status, self.at, self.updated = "ROLLBACK_REQUESTED", now, now
        self._steps = self._back("stopped by a user")

    def _back(self, reason: str) -> Iterator[float]:
        self.status, self.reason = "ROLLBACK_REQUESTED", reason
        yield self.plan.stage_s
        self.status, self.share, self.tests = "ROLLBACK_IN_PROGRESS", 0.0, 0.0
        yield self.plan.stage_s
        self.status = "ROLLBACK_SUCCESSFUL"


@dataclass
class Traffic:
    """The deployments of an account's services; the version `number` of a service runs the task definition of it."""

    world: World
    plan: Plan = field(default_factory=Plan)
    deployments: dict[str, list[Deployment]] = field(default_factory=dict)
    #: By service, which of the two groups the version that serves is in.
    serving: dict[str, int] = field(default_factory=dict)
    conditions: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x-test", "Values": ["green"]}}
        ]
    )

    def begin(self, name: str, plan: Plan | None = None) -> Deployment:
        self.advance()
        before = self.deployments.setdefault(name, [])
        before.append(Deployment(name, len(before) + 1, self.world.seconds, plan or self.plan))
        return before[-1]

    def advance(self) -> None:
        for name, all_of in self.deployments.items():
            for one in all_of:
                running = one.ended is None
                one.advance(self.world.seconds)
                if running and one.status == "SUCCESSFUL" and one.plan.strategy != "ROLLING":
                    self.serving[name] = 1 - self.serving.get(name, 0)

    def newest(self, name: str) -> Deployment | None:
        self.advance()
        return next(iter(reversed(self.deployments.get(name, []))), None)

    def running(self, name: str) -> bool:
        newest = self.newest(name)
        return newest is not None and newest.ended is None

    def weights(self, name: str) -> tuple[int, int]:
        """Of the production rule: of the first group and of the second."""
        newest, serving = self.newest(name), self.serving.get(name, 0)
        share = round(newest.share) if newest and newest.ended is None else 0
        return (100 - share, share) if serving == 0 else (share, 100 - share)

    def _at(self, seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    def _raw(self, one: Deployment) -> dict[str, Any]:
        plan = one.plan
        old = [past for past in self.deployments[one.name][: one.number - 1] if past.status == "SUCCESSFUL"][-1:]
        settings: dict[str, Any] = {"strategy": plan.strategy, "bakeTimeInMinutes": plan.bake_min}
        kind = {"CANARY": "canary", "LINEAR": "linear"}.get(plan.strategy)
        if kind:
            word = "canary" if kind == "canary" else "step"
            settings[f"{kind}Configuration"] = {
                f"{word}Percent": plan.step, f"{word}BakeTimeInMinutes": plan.step_min
            }  # fmt: skip
        running = one.ended is None

        def version(number: int, share: float, tests: float) -> dict[str, Any]:
            arn = f"{ECS}:service-revision/main/{one.name}/{number:02}"
            counts = dict.fromkeys(("requestedTaskCount", "runningTaskCount"), 2)
            weights = {"requestedProductionTrafficWeight": share, "requestedTestTrafficWeight": tests}
            return {"arn": arn, "pendingTaskCount": 0, **counts, **weights}

        hooks = [dict(hook) for hook in one.hooks]
        if plan.lag_s and hooks and self.world.seconds < one.updated + plan.lag_s:
            hooks[-1]["status"] = "AWAITING_ACTION"
        raw = {
            "serviceDeploymentArn": one.arn,
            "createdAt": self._at(one.begun),
            "startedAt": self._at(one.begun),
            "updatedAt": self._at(one.updated),
            "targetServiceRevision": version(one.number, one.share, one.tests),
            "sourceServiceRevisions": [version(past.number, 100 - one.share, 0.0) for past in old],
            "status": one.status,
            "lifecycleStage": one.stage,
            "lifecycleHookDetails": hooks,
            "deploymentConfiguration": settings,
            "deploymentCircuitBreaker": {"status": "MONITORING", "failureCount": 0, "threshold": 3},
            "alarms": {
                "status": "TRIGGERED" if one.rang else "MONITORING" if running else "MONITORING_COMPLETE",
                "alarmNames": [ALARM],
                "triggeredAlarmNames": [ALARM] if one.rang else [],
            },
        }
        if not running:
            raw["finishedAt"] = self._at(one.ended or 0.0)
        if one.reason:
            raw["rollback"] = {"reason": one.reason}
        return raw

    def stabilised(self, service: str, properties: Mapping[str, Any]) -> Generator[float, None, str]:
        """What CloudFormation does with a service: a deployment, until ECS is done. Why it failed, or nothing.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
        """
        strategy = properties.get("DeploymentConfiguration", {}).get("Strategy", self.plan.strategy)
        one = self.begin(service.rpartition("/")[2], replace(self.plan, strategy=strategy))
        while one.ended is None:
            yield 1.0
            self.advance()
        return "" if one.status == "SUCCESSFUL" else f"ECS Deployment {one.status}: {one.reason}"

    # what ECS answers

    def service(self, name: str) -> dict[str, Any]:
        """What DescribeServices adds of a service."""
        newest = self.newest(name)
        advanced = {
            "alternateTargetGroupArn": GROUPS[1], "productionListenerRule": RULE, "testListenerRule": TEST_RULE,
            "roleArn": "arn:aws:iam::123456789012:role/x",
        }  # fmt: skip
        balancer = {"targetGroupArn": GROUPS[0], "containerName": name, "containerPort": 80}
        counts = {"runningCount": 2, "pendingCount": 0, "desiredCount": 2, "failedTasks": 0}
        state = "IN_PROGRESS" if self.running(name) else "COMPLETED"
        definition = f"{ECS}:task-definition/{name}:{newest.number if newest else 1}"
        primary = {"status": "PRIMARY", "taskDefinition": definition, "rolloutState": state, **counts}
        return {"loadBalancers": [{**balancer, "advancedConfiguration": advanced}], "deployments": [primary]}

    def listed(self, name: str) -> list[dict[str, Any]]:
        self.advance()
        keys = ("serviceDeploymentArn", "createdAt", "startedAt", "finishedAt", "status")
        return [{key: raw[key] for key in keys if key in raw} for raw in map(self._raw, self.deployments.get(name, []))]

    def described(self, arns: list[str]) -> list[dict[str, Any]]:
        self.advance()
        return [self._raw(one) for every in self.deployments.values() for one in every if one.arn in arns]

    def revisions(self, arns: list[str]) -> list[dict[str, Any]]:
        self.advance()
        found = []
        for arn in arns:
            name, number = arn.split("/")[-2:]
            served = [one for one in self.deployments[name][: int(number) - 1] if one.status == "SUCCESSFUL"]
            group = GROUPS[(len(served) + 1) % 2]
            image = {
                "containerName": name,
                "image": f"repo:v{int(number)}",
                "imageDigest": f"sha256:{number}" + "a" * 60,
            }
            found.append(
                {
                    "serviceRevisionArn": arn,
                    "taskDefinition": f"{ECS}:task-definition/{name}:{int(number)}",
                    "containerImages": [image],
                    "resolvedConfiguration": {
                        "loadBalancers": [{"targetGroupArn": group, "productionListenerRule": RULE}]
                    },
                }
            )
        return found

    def _of(self, arn: str) -> Deployment:
        self.advance()
        for every in self.deployments.values():
            for one in every:
                if one.arn == arn:
                    return one
        raise Refused("ServiceDeploymentNotFoundException", f"Service deployment {arn} not found.")

    def carry_on(self, arn: str, hook_id: str, action: str) -> None:
        one = self._of(arn)
        hook = next((hook for hook in one.hooks if hook["hookId"] == hook_id), None)
        if one.status != "IN_PROGRESS" or hook is None or hook["status"] != "AWAITING_ACTION":
            raise Refused("InvalidParameterException", "The lifecycle hook is not awaiting an action.")
        one.answer, hook["status"] = action, "SUCCEEDED"
        one.updated = self.world.seconds

    def stop(self, arn: str) -> None:
        one = self._of(arn)
        if one.ended is not None:
            raise Refused("ConflictException", f"The service deployment is {one.status}.")
        if one.status in ("PENDING", "IN_PROGRESS"):
            one.stop(self.world.seconds)

    def rules(self, arns: list[str]) -> list[dict[str, Any]]:
        weights = self.weights(next(reversed(self.deployments)))
        tuples = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(GROUPS, weights, strict=True)]
        forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}
        rules = [{"RuleArn": RULE, "Actions": [forward], "Conditions": []}]
        rules.append({"RuleArn": TEST_RULE, "Actions": [forward], "Conditions": self.conditions})
        return [rule for rule in rules if rule["RuleArn"] in arns]


class Moves:
    """What a World answers whose services' deployments move traffic."""

    traffic: Traffic

    def ecs_DescribeServices(self, services: list[str], **_: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super().ecs_DescribeServices(services)  # type: ignore[misc]
        for service in answer["services"]:
            service |= self.traffic.service(service["serviceArn"].rpartition("/")[2])
        return answer

    def ecs_ListServiceDeployments(self, service: str = "", **_: Any) -> dict[str, Any]:
        return {"serviceDeployments": self.traffic.listed(service.rpartition("/")[2])}

    def ecs_DescribeServiceDeployments(self, serviceDeploymentArns: Any = (), **_: Any) -> dict[str, Any]:
        return {"serviceDeployments": self.traffic.described(serviceDeploymentArns)}

    def ecs_DescribeServiceRevisions(self, serviceRevisionArns: list[str]) -> dict[str, Any]:
        return {"serviceRevisions": self.traffic.revisions(serviceRevisionArns)}

    def ecs_ContinueServiceDeployment(
        self, serviceDeploymentArn: str, hookId: str, action: str = "CONTINUE"
    ) -> dict[str, Any]:
        self.traffic.carry_on(serviceDeploymentArn, hookId, action)
        return {"serviceDeploymentArn": serviceDeploymentArn}

    def ecs_StopServiceDeployment(self, serviceDeploymentArn: str, stopType: str) -> dict[str, Any]:
        assert stopType == "ROLLBACK"
        self.traffic.stop(serviceDeploymentArn)
        return {"serviceDeploymentArn": serviceDeploymentArn}

    def elbv2_DescribeRules(self, RuleArns: list[str]) -> dict[str, Any]:
        return {"Rules": self.traffic.rules(RuleArns)}

    def elbv2_DescribeListeners(self, ListenerArns: list[str]) -> dict[str, Any]:
        assert ListenerArns == [f"{ELB}:listener/app/web/0123456789abcdef/fedcba9876543210"]
        return {"Listeners": [{"ListenerArn": ListenerArns[0], "Port": 8443}]}


@dataclass
class Shifting(Moves, Services):
    """An account with services of that kind. Each has served once; `begin` begins a deployment."""

    names: tuple[str, ...] = ("web",)
    plan: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cfn = Stack(self, services=self.names)
        self.traffic = Traffic(self, self.plan)
        for name in self.names:
            self.traffic.begin(name, Plan(bake_min=0))
        self.seconds = 3600.0
        self.traffic.advance()

    def begin(self, name: str = "web") -> Deployment:
        return self.traffic.begin(name)


@dataclass
class Moving(Moves, World):
    """An account in which CloudFormation waits until ECS has done with a service's deployment, as it does."""

    plan: Plan = field(default_factory=lambda: Plan(bake_min=0, stage_s=1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.traffic = Traffic(self, self.plan)
        self.cfn.traffic = self.traffic
