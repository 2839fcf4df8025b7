"""Services of which a type, an attribute or a refusal is missing: IAM, RDS, CodePipeline, Scheduler, CloudWatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from ministack.core.responses import get_account_id, get_region
from ministack.services import alb, dynamodb, iam, rds
from ministack.services.cloudformation import provisioners

from scaleout_cfn.local.types.registry import Properties, query, register


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
