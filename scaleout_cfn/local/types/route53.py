"""Route 53: health checks, and which records of one name it keeps side by side."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from ministack.services import route53
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, RefusedError, numbers, register

_NUMBERS = frozenset({"Port", "RequestInterval", "FailureThreshold", "HealthThreshold"})
_POLICIES = {"Weight": "weighted", "Region": "latency", "Failover": "failover", "GeoLocation": "geolocation"}


def health_checks() -> None:
    """AWS::Route53::HealthCheck is unknown to MiniStack's CloudFormation, whose Route 53 has health checks. None of
    them ever asks."""

    def config_of(properties: Properties) -> dict[str, Any]:
        config: dict[str, Any] = numbers(properties["HealthCheckConfig"], _NUMBERS)
        return {**config, "EnableSNI": str(config.get("EnableSNI", False)).lower() == "true"}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        physical_id = str(uuid4())
        check = {"id": physical_id, "caller_reference": physical_id, "config": config_of(properties), "version": 1}
        route53._health_checks[physical_id] = check
        return physical_id, {"HealthCheckId": physical_id}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        check = route53._health_checks[physical_id]
        check["config"], check["version"] = config_of(new), check["version"] + 1
        return physical_id, {"HealthCheckId": physical_id}

    def delete(physical_id: str, properties: Properties) -> None:
        route53._health_checks.pop(physical_id, None)

    register("AWS::Route53::HealthCheck", create=create, update=update, delete=delete)


def record_policies() -> None:
    """MiniStack keeps any records of one name and type side by side. Route 53 keeps those of one routing policy, and of
    latency records one a region; it refuses in these words, of roles of failover in such:
    https://github.com/kubernetes-sigs/external-dns/issues/1411,
    https://github.com/hashicorp/terraform-provider-aws/issues/1668.
    """
    stock = provisioners._r53_record_set_create

    def policy(record: dict[str, Any]) -> str:
        return next((words for name, words in _POLICIES.items() if name in record), "simple")

    def create(logical_id: str, properties: Properties, stack_name: str) -> Any:
        record = provisioners._r53_record_set_build_rs(properties)
        zone = provisioners._r53_resolve_hosted_zone_id(properties)
        own = f"[RRSet with DNS name {record['Name']}, type {record['Type']}"
        own += f", SetIdentifier {record['SetIdentifier']}" if "SetIdentifier" in record else ""
        for other in route53._records.get(zone, []):
            if (other["Name"], other["Type"]) != (record["Name"], record["Type"]):
                continue
            if policy(other) != policy(record):
                what = f"cannot be created as a non-{policy(record)} set exists with the same name and type."
                raise RefusedError("InvalidChangeBatch", f"{own} {what}]")
            if other.get("SetIdentifier") == record.get("SetIdentifier"):
                continue  # MiniStack's own refusal
            for key in ("Region", "Failover"):
                if key in record and other.get(key) == record[key]:
                    what = f"cannot be created because a {policy(record)} RRSet with the same name, type and"
                    what += f" {'region' if key == 'Region' else 'role'} already exists."
                    raise RefusedError("InvalidChangeBatch", f"{own}, and {key} {record[key]} {what}]")
        return stock(logical_id, properties, stack_name)

    provisioners._r53_record_set_create = create
    provisioners._RESOURCE_HANDLERS["AWS::Route53::RecordSet"]["create"] = create
