"""ECS: deployments that move requests from one target group to another.

The words of refusals are none of AWS's: no page or issue shows them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple

from ministack.core.responses import error_response_json, json_response
from ministack.services import alb, ecs

from scaleout_cfn.local.types.ecs_requests import Record
from scaleout_cfn.local.types.registry import Act, RefusedError, revise

_SHIFTING: Final = frozenset({"BLUE_GREEN", "LINEAR", "CANARY"})
_RULES: Final = ("productionListenerRule", "testListenerRule")
_STAGES: Final = (
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)


def strategies() -> None:
    """MiniStack's ECS knows no strategy of a deployment: its tasks stay in one target group, and no weight is moved.

    Here a deployment runs on until something holds it: a pause waits for its answer; each step and the bake time last
    until DescribeServiceDeployments has shown them once, or another deployment begins. A service's first deployment is
    held by nothing, and no Lambda function is called. `follow` has deployments wait for tasks and times, rolling ones
    among them.
    As ECS does, it goes by what it knows and not by the live weights:
    https://github.com/aws/containers-roadmap/issues/2853
    """
    publish = ecs._sync_service_targets

    complete = ecs._complete_service_deployment

    def complete_unheld(cluster_name: str, key: str, expected_deployment_id: str | None = None) -> None:
        """Old tasks stay until requests have moved, and for as long as they may have to move back."""
        service = ecs._services.get(key) or {}
        if not Delivery.clock or all(delivery.finished for delivery in _deliveries(service)[:1] if delivery.shifts):
            complete(cluster_name, key, expected_deployment_id)

    @functools.wraps(publish)
    def sync(cluster_name: str, service: Record) -> None:
        serving = service.get("_serving")
        if serving is None:
            publish(cluster_name, service)
            return
        ledger = service.setdefault("_published_targets", {})
        if Delivery.clock:
            _publish_by_deployment(service, ledger)
            return
        balancers = [{**balancer, "targetGroupArn": serving} for balancer in service["loadBalancers"]]
        publish(cluster_name, {**service, "loadBalancers": balancers})
        for group in [group for group in ledger if group != serving]:
            alb.set_targets_for_group(group, [], ledger.pop(group))

    def create(stock: Act, request: Record) -> Any:
        _refuse(request, None)
        response = stock(request)
        service = _found(request.get("cluster"), request.get("serviceName"))
        if response[0] != 200 or service is None:
            return response
        if advanced := _advanced(service):
            _serve(service, service["loadBalancers"][0]["targetGroupArn"], advanced)
        if _followed(service):
            Delivery(service, None).go_on()
        return _shown(service)

    def update(stock: Act, request: Record) -> Any:
        service = _found(request.get("cluster"), request.get("service"))
        if service is None:
            return stock(request)
        _refuse({**service, **request}, service)
        unfinished = [delivery for delivery in _deliveries(service)[:1] if not delivery.finished]
        if not Delivery.clock:
            for delivery in unfinished:
                delivery.give_way()
            unfinished = []
        before = service["deployments"][0]["id"]
        source = unfinished[0].source if unfinished else _revision(service)
        response = stock(request)
        if response[0] != 200:
            return response
        for delivery in unfinished:
            if service["deployments"][0]["id"] != before:
                delivery.stop()
        advanced = _advanced(service)
        if advanced is None:
            service.pop("_serving", None)
        else:
            service.setdefault("_serving", service["loadBalancers"][0]["targetGroupArn"])
        if service["deployments"][0]["id"] != before and _followed(service):
            Delivery(service, source).go_on()
        sync(ecs._resolve_cluster_name(service["clusterArn"]), service)
        return _shown(service)

    def list_deployments(stock: Act, request: Record) -> Any:
        service = _found(request.get("cluster"), request.get("service"))
        shown = [delivery.shown() for delivery in _deliveries(service)] if service and _followed(service) else []
        brief = ("serviceDeploymentArn", "createdAt", "startedAt", "finishedAt", "status")
        return json_response(
            {"serviceDeployments": [{name: raw[name] for name in brief if name in raw} for raw in shown]}
        )

    def describe_deployments(stock: Act, request: Record) -> Any:
        found = [delivery for arn in request.get("serviceDeploymentArns") or () if (delivery := _delivery(arn))]
        response = json_response({"serviceDeployments": [delivery.shown() for delivery in found], "failures": []})
        for delivery in found:  # it goes on once it was seen
            delivery.go_on()
        return response

    def describe_revisions(stock: Act, request: Record) -> Any:
        """The revisions that ran, of each service that has some to show: in which group its tasks are."""
        wanted = request.get("serviceRevisionArns") or ()
        shown = {}
        for service in ecs._services.values():
            # What a deployment brought is its own, also where the service has gone back from it.
            for revision in [_revision(service), *(delivery.revision for delivery in _deliveries(service))]:
                shown[revision["serviceRevisionArn"]] = revision
        return json_response({"serviceRevisions": [shown[arn] for arn in wanted if arn in shown], "failures": []})

    def answer(request: Record) -> Any:
        delivery = _delivery(request["serviceDeploymentArn"])
        if delivery is None or not delivery.take(request["hookId"], request.get("action", "CONTINUE")):
            message = "The lifecycle hook is not awaiting an action."
            return error_response_json("InvalidParameterException", message, 400)
        return json_response({"serviceDeploymentArn": delivery.arn})

    def stop(request: Record) -> Any:
        delivery = _delivery(request["serviceDeploymentArn"])
        if delivery is None or delivery.finished:
            return error_response_json("ConflictException", "The service deployment has ended.", 400)
        delivery.go_back("stopped by a user")
        return json_response({"serviceDeploymentArn": delivery.arn})

    ecs._sync_service_targets = sync
    ecs._complete_service_deployment = complete_unheld
    revise(ecs, "_list_service_deployments", list_deployments)
    revise(ecs, "_describe_service_deployments", describe_deployments)
    revise(ecs, "_describe_service_revisions", describe_revisions)
    revise(ecs, "_create_service", create)
    revise(ecs, "_update_service", update)
    ecs._ACTION_MAP |= {"ContinueServiceDeployment": answer, "StopServiceDeployment": stop}


def follow(clock: Callable[[], float]) -> None:
    """From now on tasks run: a deployment waits for them, and for its times by a clock in seconds."""
    Delivery.clock = Clock(clock)


def advance() -> None:
    """Let each deployment go on as far as it may."""
    for service in list(ecs._services.values()):
        for delivery in _deliveries(service)[:1]:
            delivery.go_on()


class Clock(NamedTuple):
    """What tells the seconds."""

    now: Callable[[], float]


class Delivery:
    """One deployment of a service: a generator that stops wherever something holds it.

    Where tasks run, `clock` tells the seconds; elsewhere one look is as long as any time. The stages, and what becomes
    of one that goes back:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-how-it-works.html
    """

    clock: ClassVar[Clock | None] = None

    def __init__(self, service: Record, source: Record | None) -> None:
        before = service.setdefault("_deliveries", [])
        self.service, self.source, self.number = service, source, len(before) + 1
        self.arn = f"{service['serviceArn'].replace(':service/', ':service-deployment/')}/{self.number}"
        self.settings = service["deploymentConfiguration"]
        self.status, self.stage, self.reason = "IN_PROGRESS", _STAGES[0], ""
        self.share = self.tests = 0.0
        self.hooks: list[Record] = []
        self.begun = self.updated = ecs._iso()
        self.finished = ""
        balancers = service.get("loadBalancers") or [{}]
        self.group = balancers[0].get("targetGroupArn", "")
        self.shifts = _strategy(service) in _SHIFTING
        if not self.shifts:
            self.group = service.get("_serving") or self.group
        elif source and (advanced := _advanced(service)) and service.get("_serving") == self.group:
            self.group = advanced["alternateTargetGroupArn"]
        self.deployment = service["deployments"][0]
        self.lock = threading.RLock()
        groups = service.setdefault("_groups", {})
        for each in service["deployments"]:
            groups.setdefault(each["id"], self.group if each is self.deployment else service.get("_serving"))
        self.revision = {**_revision(service), **_placed(service, self.group)}
        self._steps = self._forward()
        before.insert(0, self)

    def go_on(self) -> None:
        """To what holds it next, or to its end."""
        with self.lock:
            if not self.finished:
                before = (self.stage, self.share)
                next(self._steps, None)
                if not self.clock or (self.stage, self.share) != before:
                    self.updated = ecs._iso()

    def give_way(self) -> None:
        """Come to an end at once, for another deployment begins."""
        while not self.finished:
            for hook in self.hooks:
                hook["status"] = "SUCCEEDED"
            self.go_on()

    def stop(self) -> None:
        """Where tasks run: another deployment has begun. Until that moves the requests, they are as before this one."""
        with self.lock:
            self.share = self.tests = 0.0
            if self.source:
                self._weigh()
            self.status, self.finished = "STOPPED", ecs._iso()

    def take(self, hook_id: str, action: str) -> bool:
        """Whether a pause waited for this answer."""
        with self.lock:
            waits = [hook for hook in self.hooks if hook["hookId"] == hook_id and hook["status"] == "AWAITING_ACTION"]
            for hook in waits:
                hook["status"] = "SUCCEEDED"
                if action == "ROLLBACK":
                    self.go_back(f"lifecycle hook at {self.stage}")
                else:
                    self.go_on()
            return bool(waits)

    def go_back(self, reason: str) -> None:
        """To the version before, which serves alone at once; shown going back once."""
        self.status, self.reason, self.share, self.tests = "ROLLBACK_IN_PROGRESS", reason, 0.0, 0.0
        with self.lock:
            if self.source:
                self._restore(self.source["taskDefinition"], reason)
                self._weigh()
            self._steps = self._end("ROLLBACK_SUCCESSFUL" if self.source else "ROLLBACK_FAILED")

    def _restore(self, definition: str, reason: str) -> None:
        """The version before is the one that is wanted: its tasks stay, where tasks run, and the new ones go."""
        service, cluster = self.service, ecs._resolve_cluster_name(self.service["clusterArn"])
        service["taskDefinition"] = definition
        if not self.clock:
            service["deployments"][0]["taskDefinition"] = definition
            return
        before = [each for each in service["deployments"] if each is not self.deployment][:1]
        if self.deployment["status"] != "PRIMARY" or not before:
            return  # the circuit breaker was first
        self.deployment.update(status="ACTIVE", rolloutState="FAILED", rolloutStateReason=reason, desiredCount=0)
        before[0].update(status="PRIMARY", rolloutState="IN_PROGRESS", desiredCount=service["desiredCount"])
        ecs._reconcile_service_tasks(cluster, f"{cluster}/{service['serviceName']}")

    def _forward(self) -> Iterator[None]:
        moves = self.shifts and _advanced(self.service) is not None
        for self.stage in _STAGES:
            for wanted in self.settings.get("lifecycleHooks") or ():
                if self.source and wanted.get("targetType") == "PAUSE" and self.stage in wanted["lifecycleStages"]:
                    yield from self._pause(wanted.get("timeoutConfiguration") or {})
                    if self.reason:
                        return
            while self.stage == "SCALE_UP" and self.clock and not self._is_there():
                if self.deployment["status"] != "PRIMARY" or self.deployment["rolloutState"] == "FAILED":
                    self.go_back(self.deployment["rolloutStateReason"])
                    return
                yield
            if self.stage == "TEST_TRAFFIC_SHIFT" and moves:
                self.tests = 100.0
                self._weigh()
            if self.stage == "PRODUCTION_TRAFFIC_SHIFT" and moves:
                for share in self._shares():
                    self.share = share
                    self._weigh()
                    if share < 100:
                        yield from self._last(self._bakes())
            if self.stage == "BAKE_TIME" and self.source and (minutes := self.settings.get("bakeTimeInMinutes")):
                yield from self._last(float(minutes))
        yield from self._end("SUCCESSFUL", at_once=True)

    def _is_there(self) -> bool:
        """Whether all its tasks are, and are well."""
        if not self.shifts:
            return bool(self.deployment["rolloutState"] == "COMPLETED")
        own = [task for task in _running(self.service) if task.get("_deployment_id") == self.deployment["id"]]
        return sum(bool(task.get("_startup_stable")) for task in own) >= int(self.service["desiredCount"])

    def _last(self, minutes: float, *, endless: bool = False) -> Iterator[None]:
        """So long by the clock; without one until the next look, or for ever."""
        end = self.clock.now() + 60 * minutes if self.clock else 0.0
        yield
        while self.clock.now() < end if self.clock else endless:
            yield

    def _bakes(self) -> float:
        """Minutes that each step of production's requests lasts."""
        canary, linear = (self.settings.get(f"{kind}Configuration") or {} for kind in ("canary", "linear"))
        return float(canary.get("canaryBakeTimeInMinutes") or linear.get("stepBakeTimeInMinutes") or 0)

    def _shares(self) -> list[float]:
        """Of the production requests, one step after the other."""
        canary, linear = (self.settings.get(f"{kind}Configuration") or {} for kind in ("canary", "linear"))
        if self.source and canary.get("canaryPercent"):
            return [float(canary["canaryPercent"]), 100.0]
        step = float(linear.get("stepPercent") or 100.0) if self.source else 100.0
        return [step * number for number in range(1, int(100 / step))] + [100.0]

    def _pause(self, timeout: Mapping[str, Any]) -> Iterator[None]:
        minutes = int(timeout.get("timeoutInMinutes") or 1440)
        hook = {
            "hookId": f"ecs-pause-{self.number}-{len(self.hooks)}",
            "targetType": "PAUSE",
            "status": "AWAITING_ACTION",
            "expiresAt": (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(),
            "timeoutAction": timeout.get("action") or "ROLLBACK",
        }
        self.hooks.append(hook)
        for _ in self._last(minutes, endless=True):
            yield
            if hook["status"] != "AWAITING_ACTION":
                return
        hook["status"] = "TIMED_OUT"
        if hook["timeoutAction"] == "ROLLBACK":
            self.go_back(f"lifecycle hook at {self.stage}")

    def _end(self, status: str, *, at_once: bool = False) -> Iterator[None]:
        if not at_once:
            yield
        self.status, self.finished = status, ecs._iso()

    def _weigh(self) -> None:
        """Move the weights of both rules to where this deployment is, and the tasks with the last of production's."""
        advanced = _advanced(self.service)
        if advanced is None or not self.shifts:
            return
        first = self.service["loadBalancers"][0]["targetGroupArn"]
        groups = [first, advanced["alternateTargetGroupArn"]]
        other = next(arn for arn in groups if arn != self.group)
        for name, share in zip(_RULES, (self.share, max(self.share, self.tests)), strict=True):
            _lead(advanced.get(name), groups, {self.group: round(share), other: 100 - round(share)})
        self.service["_serving"] = self.group if self.share == 100 else other if self.source else self.group
        ecs._sync_service_targets(ecs._resolve_cluster_name(self.service["clusterArn"]), self.service)

    def shown(self) -> Record:
        """As DescribeServiceDeployments has it."""
        running = self.service["runningCount"]
        new = self.deployment["runningCount"] if self.clock else running
        old = running - new if self.clock else running
        revisions = []
        for arn, count, share, tests in (
            (self.revision["serviceRevisionArn"], new, self.share, self.tests),
            ((self.source or {}).get("serviceRevisionArn"), old, 100 - self.share, 0.0),
        ):
            counts = {"requestedTaskCount": self.service["desiredCount"], "runningTaskCount": count}
            weights = {"requestedProductionTrafficWeight": share, "requestedTestTrafficWeight": tests}
            weights = weights if self.shifts else {}
            revisions.append({"arn": arn, "pendingTaskCount": 0, **counts, **weights})
        return {
            "serviceDeploymentArn": self.arn,
            "serviceArn": self.service["serviceArn"],
            "clusterArn": self.service["clusterArn"],
            "createdAt": self.begun,
            "startedAt": self.begun,
            "updatedAt": self.updated,
            **({"finishedAt": self.finished} if self.finished else {}),
            "status": self.status,
            **({"lifecycleStage": self.stage} if self.shifts else {}),
            "lifecycleHookDetails": self.hooks,
            "deploymentConfiguration": self.settings,
            "targetServiceRevision": revisions[0],
            "sourceServiceRevisions": revisions[1:] if self.source else [],
            **({"rollback": {"reason": self.reason}} if self.reason else {}),
        }


def _deliveries(service: Mapping[str, Any]) -> list[Delivery]:
    found: list[Delivery] = service.get("_deliveries", [])
    return found


def _delivery(arn: str) -> Delivery | None:
    every = (delivery for service in ecs._services.values() for delivery in _deliveries(service))
    return next((delivery for delivery in every if delivery.arn == arn), None)


def _found(cluster: str | None, name: str | None) -> Record | None:
    reference = ecs._resolve_service_ref(name)
    service: Record | None = (
        ecs._services.get(f"{ecs._resolve_cluster_name(cluster)}/{reference[0]}") if reference else None
    )
    return service if service is None or service["status"] == "ACTIVE" else None


def _strategy(wanted: Mapping[str, Any]) -> str:
    return str((wanted.get("deploymentConfiguration") or {}).get("strategy") or "ROLLING")


def _followed(service: Mapping[str, Any]) -> bool:
    return bool(Delivery.clock) or _strategy(service) in _SHIFTING


def _advanced(wanted: Mapping[str, Any]) -> Record | None:
    """What ECS moves requests by; None where it does not."""
    found = [balancer.get("advancedConfiguration") for balancer in wanted.get("loadBalancers") or ()]
    return next(filter(None, found), None)


def _refuse(wanted: Mapping[str, Any], service: Record | None) -> None:
    """Refuse a strategy that its balancer cannot follow.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-rolling-to-bluegreen.html
    """
    advanced, strategy = _advanced(wanted), _strategy(wanted)
    message = None
    if strategy in _SHIFTING and wanted.get("loadBalancers") and advanced is None:
        message = f"The strategy {strategy} needs an advancedConfiguration of each load balancer."
    elif strategy in _SHIFTING and advanced and service is not None and _advanced(service) is None:
        message = (
            f"The strategy {strategy} needs an advancedConfiguration that a rolling deployment has brought before."
        )
    elif advanced is not None:
        missing = [
            name for name in ("alternateTargetGroupArn", "productionListenerRule", "roleArn") if not advanced.get(name)
        ]
        rules = {name: alb._rules.get(advanced[name]) for name in _RULES if advanced.get(name)}
        if missing and strategy in _SHIFTING:
            message = f"The advancedConfiguration lacks {', '.join(missing)}."
        elif absent := [name for name, rule in rules.items() if rule is None]:
            message = f"The rule of {absent[0]} does not exist."
        elif mixed := [name for name, rule in rules.items() if any(a["Type"] != "forward" for a in rule["Actions"])]:
            # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html
            message = f"The rule of {mixed[0]} has an action beside its forward."
    if message is not None:
        raise RefusedError("InvalidParameterException", message)


def _running(service: Mapping[str, Any]) -> list[Record]:
    group, cluster = f"service:{service['serviceName']}", service["clusterArn"]
    tasks = [task for task in list(ecs._tasks.values()) if (task.get("group"), task["clusterArn"]) == (group, cluster)]
    return [task for task in tasks if task["lastStatus"] == "RUNNING"] if service["status"] == "ACTIVE" else []


def _publish_by_deployment(service: Record, ledger: dict[str, list[str]]) -> None:
    """Put each task into the target group of its deployment."""
    first, advanced = service["loadBalancers"][0], _advanced(service) or {}
    port = first.get("containerPort", 80)
    for group in filter(None, (first["targetGroupArn"], advanced.get("alternateTargetGroupArn"))):
        groups = service.get("_groups", {})
        own = [each for each in _running(service) if groups.get(each["_deployment_id"], service["_serving"]) == group]
        there = [(address, port) for task in own if (address := ecs._task_ip(task))]
        alb.set_targets_for_group(group, there, ledger.get(group, ()))
        ledger[group] = [address for address, _ in there]


def _revision_arn(service: Mapping[str, Any]) -> str:
    number = str(service["deployments"][0]["id"]).rpartition("/")[2]
    return f"{service['serviceArn'].replace(':service/', ':service-revision/')}/{number}"


def _revision(service: Mapping[str, Any]) -> Record:
    members = ("serviceArn", "clusterArn", "taskDefinition", "loadBalancers", "networkConfiguration", "createdAt")
    task = ecs._task_defs.get(ecs._resolve_td_key(service["taskDefinition"])) or {}
    images = [{"containerName": each["name"], "image": each["image"]} for each in task.get("containerDefinitions", ())]
    return {
        "serviceRevisionArn": _revision_arn(service),
        **{name: service[name] for name in members if service.get(name)},
        "containerImages": images,
        **_placed(service, service.get("_serving", "")),
    }


def _placed(service: Mapping[str, Any], group: str) -> Record:
    """What a revision says of the group that its tasks are in."""
    advanced = _advanced(service)
    if advanced is None or not group:
        return {}
    resolved = {"targetGroupArn": group, "productionListenerRule": advanced.get("productionListenerRule")}
    return {"resolvedConfiguration": {"loadBalancers": [resolved]}}


def _shown(service: Record) -> Any:
    """The answer of a call that made or changed a service, with the revision that runs."""
    service["currentServiceRevisions"] = [{"arn": _revision_arn(service)}]
    return json_response({"service": ecs._sanitize(service)})


def _serve(service: Record, group: str, advanced: Record) -> None:
    """Let a target group have all requests: its tasks are there, and the weights are moved."""
    service["_serving"] = group
    groups = [service["loadBalancers"][0]["targetGroupArn"], advanced["alternateTargetGroupArn"]]
    for name in _RULES:
        _lead(advanced.get(name), groups, dict.fromkeys(groups, 0) | {group: 100})


def _lead(rule: str | None, groups: Sequence[str], weights: Mapping[str, int]) -> None:
    """Give a rule its weights."""
    if rule:
        weighted = [{"TargetGroupArn": arn, "Weight": weights[arn]} for arn in groups]
        alb._rules[rule]["Actions"] = [
            {"Type": "forward", "TargetGroupArn": groups[0], "ForwardConfig": {"TargetGroups": weighted}}
        ]
