"""Services of which a type, an attribute or a refusal is missing: IAM, RDS, CodePipeline, Scheduler, CloudWatch, and
those before a load balancer: Route 53, CloudFront, WAF and zonal autoshift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from ministack.core.responses import get_account_id, get_region
from ministack.services import alb, dynamodb, iam, rds, route53, waf
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, RefusedError, numbers, query, register, rpc

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


def instance_profiles() -> None:
    """The Ref of MiniStack's AWS::IAM::InstanceProfile is its ARN. On AWS it is its name
    (aws-resource-iam-instanceprofile)."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::IAM::InstanceProfile"]
    create, update, delete = handler["create"], handler["update"], handler["delete"]

    def named(made: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
        arn, attributes = made
        return arn.rpartition("/")[2], attributes

    def arn_of(name: str) -> str:
        return str(iam._instance_profiles.get(name, {}).get("Arn", name))

    handler.update(
        create=lambda *given: named(create(*given)),
        update=lambda name, *given: named(update(arn_of(name), *given)),
        delete=lambda name, properties: delete(arn_of(name), properties),
    )


def service_linked_role() -> None:
    """AWS::IAM::ServiceLinkedRole is unknown to MiniStack, whose IAM makes such roles."""
    actions = {
        "CreateServiceLinkedRole": iam._create_service_linked_role,
        "DeleteServiceLinkedRole": iam._delete_service_linked_role,
    }

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        answer = query(actions, "CreateServiceLinkedRole", AWSServiceName=properties["AWSServiceName"])
        name = answer.findtext(".//{*}RoleName") or ""
        return name, {"RoleName": name}

    def delete(physical_id: str, properties: Properties) -> None:
        query(actions, "DeleteServiceLinkedRole", RoleName=physical_id)

    register("AWS::IAM::ServiceLinkedRole", create=create, delete=delete)


def oidc_provider() -> None:
    """AWS::IAM::OIDCProvider is unknown to MiniStack, whose IAM has OpenID Connect providers."""
    actions = {
        "CreateOpenIDConnectProvider": iam._create_oidc_provider,
        "DeleteOpenIDConnectProvider": iam._delete_oidc_provider,
    }

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        lists = {
            f"{member}.member.{number}": value
            for member, source in (("ClientIDList", "ClientIdList"), ("ThumbprintList", "ThumbprintList"))
            for number, value in enumerate(properties.get(source, []), 1)
        }
        answer = query(actions, "CreateOpenIDConnectProvider", Url=properties["Url"], **lists)
        arn = answer.findtext(".//{*}OpenIDConnectProviderArn") or ""
        return arn, {"Arn": arn}

    def delete(physical_id: str, properties: Properties) -> None:
        query(actions, "DeleteOpenIDConnectProvider", OpenIDConnectProviderArn=physical_id)

    register("AWS::IAM::OIDCProvider", create=create, delete=delete, tagged=True)


_Make = Callable[..., tuple[str, dict[str, Any]]]


def master_user_secret() -> None:
    """MiniStack's AWS::RDS::DBInstance and DBCluster lack the attribute MasterUserSecret.SecretArn, which those with
    ManageMasterUserPassword have. It names a secret that is not there."""
    for kind, word in (("AWS::RDS::DBInstance", "db"), ("AWS::RDS::DBCluster", "cluster")):
        handler = provisioners._RESOURCE_HANDLERS[kind]
        # What the two are called with: (id, properties, stack) and (id, old properties, new properties, stack, ...).
        handler["create"] = _with_secret(handler["create"], 1, word)
        handler["update"] = _with_secret(handler["update"], 2, word)


def _with_secret(make: _Make, place: int, word: str) -> _Make:
    def made(*arguments: Any) -> tuple[str, dict[str, Any]]:
        name, attributes = make(*arguments)
        if str(arguments[place].get("ManageMasterUserPassword")).lower() == "true":
            secrets = f"arn:aws:secretsmanager:{get_region()}:{get_account_id()}:secret"
            attributes = {**attributes, "MasterUserSecret.SecretArn": f"{secrets}:rds!{word}-{name}-000000"}
        return name, attributes

    return made


def deletion_protection() -> None:
    """MiniStack's CloudFormation deletes what is protected against deletion, and its balancers know no protection.

    The words are those of the services: DeleteLoadBalancer's OperationNotPermitted, DeleteDBInstance's and
    DeleteDBCluster's InvalidParameterCombination, DeleteTable's ValidationException.
    """
    _protect(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        lambda arn: {"Key": "deletion_protection.enabled", "Value": "true"} in alb._lb_attrs.get(arn, ()),
        "Load balancer '{}' cannot be deleted because deletion protection is enabled"
        " (Error Code: OperationNotPermitted)",
    )
    database = "Cannot delete protected {}, please disable deletion protection and try again."
    combination = "(Error Code: InvalidParameterCombination)"
    _protect(
        "AWS::RDS::DBInstance",
        lambda name: rds._instances.get(name, {}).get("DeletionProtection"),
        f"{database.format('DB Instance')} {combination}",
    )
    _protect(
        "AWS::RDS::DBCluster",
        lambda name: rds._clusters.get(name, {}).get("DeletionProtection"),
        f"{database.format('Cluster')} {combination}",
    )
    _protect(
        "AWS::DynamoDB::Table",
        lambda name: dynamodb._tables.get(name, {}).get("DeletionProtectionEnabled"),
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
        " (Error Code: ValidationException)",
    )


def _protect(kind: str, is_protected: Callable[[str], Any], refusal: str) -> None:
    handler = provisioners._RESOURCE_HANDLERS[kind]
    delete = handler["delete"]

    def delete_unprotected(physical_id: str, properties: Properties) -> Any:
        if is_protected(physical_id):
            raise ValueError(refusal.format(physical_id))
        return delete(physical_id, properties)

    handler["delete"] = delete_unprotected


def pipeline() -> None:
    """AWS::CodePipeline::Pipeline is unknown to MiniStack, and so is the service."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=100)
        return name, {"Version": "1"}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return new.get("Name") or physical_id, {"Version": "2"}

    register("AWS::CodePipeline::Pipeline", create=create, update=update, tagged=True)


def connection() -> None:
    """AWS::CodeConnections::Connection is unknown to MiniStack, and so is the service. It stays PENDING,
    as a real one does until somebody completes it in the console."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        arn = f"arn:aws:codeconnections:{get_region()}:{get_account_id()}:connection/{uuid4()}"
        attributes = {"ConnectionArn": arn, "ConnectionStatus": "PENDING", "OwnerAccountId": get_account_id()}
        return arn, attributes

    register("AWS::CodeConnections::Connection", create=create, tagged=True)


def schedules() -> None:
    """MiniStack's GetSchedule answers with CloudFormation's names, where the service has those of ECS's API, in lower
    case: what it answers cannot be given to UpdateSchedule.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CapacityProviderStrategyItem.html
    """
    handler = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]
    create, update = handler["create"], handler["update"]
    handler["create"] = lambda logical_id, new, stack: create(logical_id, _told(new), stack)
    handler["update"] = lambda physical_id, old, new, stack: update(physical_id, _told(old), _told(new), stack)


def _told(properties: Properties) -> Properties:
    target = properties.get("Target") or {}
    task = dict(target.get("EcsParameters") or {})
    if not task:
        return properties
    for name in ("CapacityProviderStrategy", "PlacementConstraints", "PlacementStrategy"):
        if name in task:
            task[name] = [_lower(item) for item in task[name]]
    if "NetworkConfiguration" in task:
        task["NetworkConfiguration"] = _lower(task["NetworkConfiguration"])
    return {**properties, "Target": {**target, "EcsParameters": task}}


def _lower(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name[0].lower() + name[1:]: value for name, value in item.items()}


def alarm_mute_rules() -> None:
    """AWS::CloudWatch::AlarmMuteRule is unknown to MiniStack. A rule exists in its stack only."""

    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or f"{stack_name}-{logical_id}"
        arn = f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm-mute-rule:{name}"
        return arn, {"Arn": arn}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        return physical_id, {"Arn": physical_id}

    register("AWS::CloudWatch::AlarmMuteRule", create=create, update=update, tagged=True)


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
