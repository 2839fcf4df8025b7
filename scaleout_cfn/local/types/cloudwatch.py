"""CloudWatch: alarms on metric math."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties

__all__ = ["metric_math_alarms"]


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
