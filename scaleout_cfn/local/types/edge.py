"""What stands before a load balancer: Route 53, CloudFront, WAF and zonal autoshift."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from ministack.core.responses import get_account_id
from ministack.services import alb, route53, waf
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, RefusedError, numbers, register, rpc

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


def vpc_origins() -> None:
    """AWS::CloudFront::VpcOrigin is unknown to MiniStack, and so are VPC origins."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        balancer = properties["VpcOriginEndpointConfig"]["Arn"]
        if balancer not in alb._lbs:
            raise RefusedError("InvalidArgument", f"{balancer} is not there")
        name = f"vo_{uuid4().hex[:22]}"
        arn = f"arn:aws:cloudfront::{get_account_id()}:vpcorigin/{name}"
        return name, {"Id": name, "Arn": arn, "Status": "Deployed", "AccountId": get_account_id()}

    register("AWS::CloudFront::VpcOrigin", create=create, tagged=True)


def association() -> None:
    """AWS::WAFv2::WebACLAssociation is unknown to MiniStack, whose WAF has associations."""
    actions = {"AssociateWebACL": waf._associate_web_acl, "DisassociateWebACL": waf._disassociate_web_acl}

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        rpc(actions, "AssociateWebACL", {name: properties[name] for name in ("ResourceArn", "WebACLArn")})
        return f"{properties['ResourceArn']}|{properties['WebACLArn']}", {}

    def delete(physical_id: str, properties: Properties) -> None:
        rpc(actions, "DisassociateWebACL", {"ResourceArn": properties["ResourceArn"]})

    register("AWS::WAFv2::WebACLAssociation", create=create, delete=delete)


def logging() -> None:
    """AWS::WAFv2::LoggingConfiguration is unknown to MiniStack, whose WAF logs nothing. A destination of another name
    than AWS takes is refused in its words (awsdocs/aws-cloudformation-user-guide, pull request 1271)."""

    def check(properties: Properties) -> None:
        for destination in properties["LogDestinationConfigs"]:
            if not destination.rpartition(":")[2].startswith("aws-waf-logs-"):
                raise RefusedError(
                    "WAFInvalidParameterException",
                    "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information"
                    f" separated by colons or slashes., field: LOG_DESTINATION, parameter: {destination}",
                )

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        check(properties)
        return properties["ResourceArn"], {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        check(new)
        return physical_id, {}

    register("AWS::WAFv2::LoggingConfiguration", create=create, update=update)


def autoshifts() -> None:
    """AWS::ARCZonalShift::ZonalAutoshiftConfiguration is unknown to MiniStack, as is its service. It is kept in the
    stack only, for a load balancer that is there and enabled for zonal shift: ARC knows no other.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-zonal-shift.html
    """

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        balancer = properties["ResourceIdentifier"]
        attributes = {item["Key"]: item["Value"] for item in alb._lb_attrs.get(balancer, [])}
        if attributes.get("zonal_shift.config.enabled") != "true":
            raise RefusedError("ResourceNotFoundException", f"{balancer} is no managed resource")
        return balancer, {}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return create("", new, stack_name)

    register("AWS::ARCZonalShift::ZonalAutoshiftConfiguration", create=create, update=update)
