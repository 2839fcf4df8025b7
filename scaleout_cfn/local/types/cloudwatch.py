"""CloudWatch: alarms on metric math, and rules that mute alarms."""

from __future__ import annotations

from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, register


def alarm_mute_rules() -> None:
    """AWS::CloudWatch::AlarmMuteRule is unknown to MiniStack. A rule exists in its stack only."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or f"{stack_name}-{logical_id}"
        arn = f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm-mute-rule:{name}"
        return arn, {"Arn": arn}

    def delete(physical_id: str, properties: Properties) -> None:
        """It exists in the stack only."""

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return physical_id, {"Arn": physical_id}

    register("AWS::CloudWatch::AlarmMuteRule", create=create, update=update, delete=delete, tagged=True)


def metric_math_alarms() -> None:
    """MiniStack refuses an AWS::CloudWatch::Alarm with Metrics. It is kept as an alarm on a metric that never
    has data, named for the expression that it watches."""
    record = provisioners._cw_metric_alarm_record

    def record_any(name: str, properties: Properties) -> Any:
        queries = properties.get("Metrics")
        if queries:
            properties = {key: value for key, value in properties.items() if key != "Metrics"}
            watched = next((q for q in queries if str(q.get("ReturnData", True)).lower() == "true"), queries[0])
            properties.update(Namespace="metric math", MetricName=watched["Id"])
        return record(name, properties)

    provisioners._cw_metric_alarm_record = record_any
