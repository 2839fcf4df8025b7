"""ECS: deployments that move requests from one target group to another.

The words of refusals are none of AWS's: no page or issue shows them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from ministack.core.responses import json_response
from ministack.services import alb, ecs

from scaleout_cfn.local.types.ecs_requests import Record
from scaleout_cfn.local.types.registry import Act, RefusedError, revise

__all__ = ["strategies"]

_SHIFTING: Final = frozenset({"BLUE_GREEN", "LINEAR", "CANARY"})
_RULES: Final = ("productionListenerRule", "testListenerRule")
_NEEDED: Final = ("alternateTargetGroupArn", "productionListenerRule", "roleArn")


def strategies() -> None:
    """MiniStack's ECS knows no strategy of a deployment: its tasks stay in one target group, and no weight is moved.

    Here each deployment is done at once: no bake time, no step, no hook. As ECS does, it goes by what it knows and not
    by the live weights: https://github.com/aws/containers-roadmap/issues/2853
    """
    publish = ecs._sync_service_targets

    @functools.wraps(publish)
    def sync(cluster_name: str, service: Record) -> None:
        serving = service.get("_serving")
        if serving is None:
            publish(cluster_name, service)
            return
        ledger = service.setdefault("_published_targets", {})
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
        return _shown(service)

    def update(stock: Act, request: Record) -> Any:
        service = _found(request.get("cluster"), request.get("service"))
        if service is None:
            return stock(request)
        _refuse({**service, **request}, service)
        before = service["deployments"][0]["id"]
        response = stock(request)
        if response[0] != 200:
            return response
        advanced = _advanced(service)
        if advanced is None:
            service.pop("_serving", None)
            sync(ecs._resolve_cluster_name(service["clusterArn"]), service)
            return _shown(service)
        primary = service["loadBalancers"][0]["targetGroupArn"]
        serving = service.get("_serving", primary)
        if service["deployments"][0]["id"] != before and _strategy(service) in _SHIFTING:
            alternate = advanced["alternateTargetGroupArn"]
            _serve(service, alternate if serving == primary else primary, advanced)
        else:
            service["_serving"] = serving
        sync(ecs._resolve_cluster_name(service["clusterArn"]), service)
        return _shown(service)

    def describe_revisions(stock: Act, request: Record) -> Any:
        """The revision that runs, of each service that has one to show: in which group its tasks are."""
        wanted = request.get("serviceRevisionArns") or ()
        shown = [_revision(service) for service in ecs._services.values() if _revision_arn(service) in wanted]
        return json_response({"serviceRevisions": shown, "failures": []})

    ecs._sync_service_targets = sync
    revise(ecs, "_describe_service_revisions", describe_revisions)
    revise(ecs, "_create_service", create)
    revise(ecs, "_update_service", update)


def _found(cluster: str | None, name: str | None) -> Record | None:
    """The service of a name or ARN; None where it is not there."""
    reference = ecs._resolve_service_ref(name)
    service: Record | None = (
        ecs._services.get(f"{ecs._resolve_cluster_name(cluster)}/{reference[0]}") if reference else None
    )
    return service if service is None or service["status"] == "ACTIVE" else None


def _strategy(wanted: Mapping[str, Any]) -> str:
    return str((wanted.get("deploymentConfiguration") or {}).get("strategy") or "ROLLING")


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


def _revision_arn(service: Mapping[str, Any]) -> str:
    number = str(service["deployments"][0]["id"]).rpartition("/")[2]
    return f"{service['serviceArn'].replace(':service/', ':service-revision/')}/{number}"


def _revision(service: Mapping[str, Any]) -> Record:
    members = ("serviceArn", "clusterArn", "taskDefinition", "loadBalancers", "networkConfiguration", "createdAt")
    advanced = _advanced(service) or {}
    resolved = {
        "targetGroupArn": service.get("_serving"),
        "productionListenerRule": advanced.get("productionListenerRule"),
    }
    return {
        "serviceRevisionArn": _revision_arn(service),
        **{name: service[name] for name in members if service.get(name)},
        **({"resolvedConfiguration": {"loadBalancers": [resolved]}} if service.get("_serving") else {}),
    }


def _shown(service: Record) -> Any:
    """The answer of a call that made or changed a service, with the revision that runs."""
    service["currentServiceRevisions"] = [{"arn": _revision_arn(service)}]
    return json_response({"service": ecs._sanitize(service)})


def _serve(service: Record, group: str, advanced: Record) -> None:
    """Let a target group have all requests: its tasks are there, and the weights are moved."""
    service["_serving"] = group
    groups = [service["loadBalancers"][0]["targetGroupArn"], advanced["alternateTargetGroupArn"]]
    weighted = [{"TargetGroupArn": arn, "Weight": 100 if arn == group else 0} for arn in groups]
    for name in _RULES:
        if advanced.get(name):
            alb._rules[advanced[name]]["Actions"] = [
                {"Type": "forward", "TargetGroupArn": groups[0], "ForwardConfig": {"TargetGroups": weighted}}
            ]
