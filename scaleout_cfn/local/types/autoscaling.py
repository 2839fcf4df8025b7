"""Auto Scaling: the warm pool of a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ministack.services import autoscaling

from scaleout_cfn.local.types.registry import Properties, query, register

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
