"""Application Auto Scaling, a service that MiniStack lacks: targets and policies are kept and read back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from ministack import app
from ministack.core import router
from ministack.core.responses import (
    AccountRegionScopedDict,
    error_response_json,
    get_account_id,
    get_region,
    json_response,
)
from ministack.services import autoscaling, ecs

from scaleout_cfn.local.types.registry import Properties, numbers, query, register, rpc

_IDENTITY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
#: As they follow each other in a target's id.
_NAMED = ("ResourceId", "ScalableDimension", "ServiceNamespace")
_NUMBERS = frozenset(
    {
        "Cooldown",
        "MaxCapacity",
        "MaxCapacityBuffer",
        "MetricIntervalLowerBound",
        "MetricIntervalUpperBound",
        "MinAdjustmentMagnitude",
        "MinCapacity",
        "Period",
        "ScaleInCooldown",
        "ScaleOutCooldown",
        "ScalingAdjustment",
        "SchedulingBufferTime",
        "TargetValue",
    }
)


class ObjectNotFoundError(Exception):
    """A target or an action that is not there."""


_targets = AccountRegionScopedDict()
_policies = AccountRegionScopedDict()


def application_autoscaling() -> None:
    """AWS::ApplicationAutoScaling::ScalableTarget and ScalingPolicy are unknown to MiniStack, and so is
    the service. The types are kept; the Describe actions read them back, RegisterScalableTarget changes bounds,
    and scheduled actions are kept and never carried out."""
    target, policy = "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy"
    register(target, create=_create_target, update=_update_target, delete=_delete_target)
    register(policy, create=_create_policy, update=_update_policy, delete=_delete_policy)
    router.SERVICE_PATTERNS["application-autoscaling"] = {"target_prefixes": ["AnyScaleFrontendService"]}
    app.SERVICE_HANDLERS["application-autoscaling"] = _handle


def _create_target(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
    _require_service(properties)
    target_id = "|".join(properties[name] for name in _NAMED)
    _keep_target(target_id, {**numbers(properties, _NUMBERS), "CreationTime": time.time()})
    return target_id, {"Id": target_id}


def _update_target(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
    if any(old[name] != new[name] for name in _IDENTITY):
        return _create_target("", new, stack_name)
    _keep_target(physical_id, {**numbers(new, _NUMBERS), "CreationTime": _targets[physical_id]["CreationTime"]})
    return physical_id, {"Id": physical_id}


def _keep_target(target_id: str, record: dict[str, Any]) -> None:
    """Keep a target, and bring the ECS service within its bounds, which nothing else does here."""
    _targets[target_id] = record
    key = record["ResourceId"].partition("/")[2]
    if record["ServiceNamespace"] != "ecs" or record.get("SuspendedState", {}).get("DynamicScalingOutSuspended"):
        return
    wanted = min(max(ecs._services[key]["desiredCount"], record["MinCapacity"]), record["MaxCapacity"])
    cluster, _, service = key.partition("/")
    rpc(ecs._ACTION_MAP, "UpdateService", {"cluster": cluster, "service": service, "desiredCount": wanted})


def _delete_target(physical_id: str, properties: Properties) -> None:
    _targets.pop(physical_id, None)


def _create_policy(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
    identity = _policy_identity(properties)
    arn = (
        f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{uuid4()}:"
        f"resource/{identity['ServiceNamespace']}/{identity['ResourceId']}:policyName/{properties['PolicyName']}"
    )
    _keep_policy(arn, properties, identity)
    return arn, {"Arn": arn}


def _update_policy(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
    identity = _policy_identity(new)
    if (old["PolicyName"], _policy_identity(old)) != (new["PolicyName"], identity):
        return _create_policy("", new, stack_name)
    _keep_policy(physical_id, new, identity)
    return physical_id, {"Arn": physical_id}


def _delete_policy(physical_id: str, properties: Properties) -> None:
    _policies.pop(physical_id, None)


def _keep_policy(arn: str, properties: Properties, identity: Mapping[str, str]) -> None:
    _policies[arn] = {
        **numbers({name: value for name, value in properties.items() if name != "ScalingTargetId"}, _NUMBERS),
        **identity,
        "PolicyARN": arn,
        "Alarms": [],
        "CreationTime": time.time(),
    }


def _policy_identity(properties: Properties) -> dict[str, str]:
    """What the policy scales: named by the target's id or by its three parts. The target must exist, as on AWS."""
    if "ScalingTargetId" in properties:
        resource, dimension, namespace = properties["ScalingTargetId"].split("|")
    else:
        namespace, resource, dimension = (properties[name] for name in _IDENTITY)
    if f"{resource}|{dimension}|{namespace}" not in _targets:
        raise ValueError(
            f"No scalable target registered for service namespace: {namespace}, resource ID: {resource},"
            f" scalable dimension: {dimension} (Error Code: ObjectNotFoundException)"
        )
    return dict(zip(_IDENTITY, (namespace, resource, dimension), strict=True))


def _require_service(properties: Mapping[str, Any]) -> None:
    """An ECS target names a service that exists, as on AWS: this is where a wrong ResourceId shows."""
    if properties["ServiceNamespace"] != "ecs":
        return
    kind, _, key = properties["ResourceId"].partition("/")
    service = ecs._services.get(key)
    if kind != "service" or service is None or service["status"] != "ACTIVE":
        raise ValueError(f"ECS service doesn't exist: {properties['ResourceId']} (Error Code: ValidationException)")


async def _handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: object) -> Any:
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    act = _ACTIONS.get(action)
    if act is None:
        return error_response_json("UnknownOperationException", f"The emulator has no {action}.", 400)
    try:
        return json_response(act(json.loads(body or b"{}")))
    except ObjectNotFoundError as refusal:
        return error_response_json("ObjectNotFoundException", str(refusal), 400)
    except ValueError as refusal:
        return error_response_json("ValidationException", str(refusal), 400)


def _register_target(request: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds and suspension of a target, new or known: what is not given stays as it was."""
    _require_service(request)
    target_id = "|".join(request[name] for name in _NAMED)
    _keep_target(target_id, {"CreationTime": time.time(), **_targets.get(target_id, {}), **request})
    return {"ScalableTargetARN": f"arn:aws:application-autoscaling:{get_region()}:{get_account_id()}:scalable-target/1"}


def _describe_targets(request: Mapping[str, Any]) -> dict[str, Any]:
    wanted = request.get("ResourceIds")
    records = [record for record in _matching(_targets, request) if not wanted or record["ResourceId"] in wanted]
    return {"ScalableTargets": [_without(record, "ScheduledActions") for record in records]}


def _describe_policies(request: Mapping[str, Any]) -> dict[str, Any]:
    wanted = request.get("PolicyNames")
    records = _matching(_policies, request)
    return {"ScalingPolicies": [record for record in records if not wanted or record["PolicyName"] in wanted]}


def _describe_scheduled_actions(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ScheduledActions": [
            {
                **{name: record[name] for name in (*_IDENTITY, "CreationTime")},
                **action,
                "ScheduledActionARN": f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scheduledAction:"
                f"{action['ScheduledActionName']}",
            }
            for record in _matching(_targets, request)
            for action in record.get("ScheduledActions", [])
            if action["ScheduledActionName"] in request.get("ScheduledActionNames", [action["ScheduledActionName"]])
        ]
    }


def _put_scheduled_action(request: Mapping[str, Any]) -> dict[str, Any]:
    """A new action, or other values for the one of its name: what is not given stays. None is ever carried out here."""
    kept = {action["ScheduledActionName"]: action for action in _known(request).get("ScheduledActions", [])}
    name = request["ScheduledActionName"]
    given = {key: value for key, value in request.items() if key not in _IDENTITY}
    kept[name] = {**kept.get(name, {}), **given}
    _known(request)["ScheduledActions"] = list(kept.values())
    return {}


def _delete_scheduled_action(request: Mapping[str, Any]) -> dict[str, Any]:
    name, actions = request["ScheduledActionName"], _known(request).get("ScheduledActions", [])
    left = [action for action in actions if action["ScheduledActionName"] != name]
    if len(left) == len(actions):
        raise ObjectNotFoundError(f"No scheduled action found for scheduled action name: {name}")
    _known(request)["ScheduledActions"] = left
    return {}


def _known(request: Mapping[str, Any]) -> dict[str, Any]:
    """The target that a request names."""
    record: dict[str, Any] | None = _targets.get("|".join(request[name] for name in _NAMED))
    if record is None:
        raise ObjectNotFoundError(f"No scalable target registered for resource ID: {request['ResourceId']}")
    return record


def _describe_activities(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"ScalingActivities": []}


def _matching(store: Mapping[str, dict[str, Any]], request: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [record for record in store.values() if all(request.get(name) in (None, record[name]) for name in _IDENTITY)]


def _without(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "DeleteScheduledAction": _delete_scheduled_action,
    "DescribeScalableTargets": _describe_targets,
    "DescribeScalingActivities": _describe_activities,
    "DescribeScalingPolicies": _describe_policies,
    "DescribeScheduledActions": _describe_scheduled_actions,
    "PutScheduledAction": _put_scheduled_action,
    "RegisterScalableTarget": _register_target,
}


#: What a warm pool has that says nothing of it, and what each goes back to.
_DEFAULTS: Final[Mapping[str, object]] = {"MaxGroupPreparedCapacity": -1, "MinSize": 0, "PoolState": "Stopped"}


def warm_pools() -> None:
    """AWS::AutoScaling::WarmPool is unknown to MiniStack, as are the actions behind it. No instance stands by."""
    actions = autoscaling._ACTION_MAP
    actions.update(PutWarmPool=_put, DescribeWarmPool=_describe, DeleteWarmPool=_delete)

    def put(properties: Properties) -> tuple[str, dict[str, Any]]:
        name = properties["AutoScalingGroupName"]
        asked = {key: properties.get(key, default) for key, default in _DEFAULTS.items()}
        query(actions, "PutWarmPool", AutoScalingGroupName=name, **asked)
        return name, {}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return put(properties)

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return put(new)

    def delete(physical_id: str, properties: Properties) -> None:
        if _warm_pool(physical_id):
            query(actions, "DeleteWarmPool", AutoScalingGroupName=physical_id)

    register("AWS::AutoScaling::WarmPool", create=create, update=update, delete=delete)


def _put(request: Any) -> Any:
    name = autoscaling._p(request, "AutoScalingGroupName")
    if name not in autoscaling._asgs:
        return autoscaling._error("ValidationError", f"AutoScalingGroup {name} not found")
    # With its group it goes.
    given = {key: autoscaling._p(request, key) for key in _DEFAULTS}
    before = _warm_pool(name) or {key: str(default) for key, default in _DEFAULTS.items()}
    autoscaling._asgs[name]["WarmPool"] = {key: given[key] or before[key] for key in _DEFAULTS}
    return autoscaling._xml(200, "PutWarmPoolResponse", "<PutWarmPoolResult/>")


def _describe(request: Any) -> Any:
    told = _warm_pool(autoscaling._p(request, "AutoScalingGroupName"))
    members = "".join(f"<{key}>{value}</{key}>" for key, value in told.items() if value != "-1")
    shown = f"<WarmPoolConfiguration>{members}</WarmPoolConfiguration>" if told else ""
    inner = f"<DescribeWarmPoolResult>{shown}<Instances/></DescribeWarmPoolResult>"
    return autoscaling._xml(200, "DescribeWarmPoolResponse", inner)


def _delete(request: Any) -> Any:
    autoscaling._asgs.get(autoscaling._p(request, "AutoScalingGroupName"), {}).pop("WarmPool", None)
    return autoscaling._xml(200, "DeleteWarmPoolResponse", "<DeleteWarmPoolResult/>")


def _warm_pool(name: str) -> dict[str, str]:
    kept: dict[str, str] = autoscaling._asgs.get(name, {}).get("WarmPool", {})
    return kept
