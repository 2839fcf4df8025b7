"""The least-privilege policy of the role that CloudFormation works with. Pure: no account.

What CloudFormation needs for a type is what the type's own schema says that its handlers call, as cfn-lint ships it:
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html#schema-properties-handlers
Of that, what the set has no use for is left out, and the rest is narrowed to names that begin with the stack's.
Which action takes which resource is from the service authorization reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from awacs.aws import Action, Allow, ArnLike, Condition, Principal, Statement, StringEquals

from scaleout_cfn.aws import NESTED
from scaleout_cfn.permissions.grants import NAMES, Scope, allow, public_parameters
from scaleout_cfn.rendering import Template

#: A handler's action that only one property asks for: left out where no template of the set has that property.
FEATURES: dict[str, str | tuple[str, ...]] = {
    "autoscaling:AttachLoadBalancerTargetGroups": "TargetGroupARNs",
    "autoscaling:AttachLoadBalancers": "LoadBalancerNames",
    "autoscaling:AttachTrafficSources": "TrafficSources",
    "autoscaling:CancelInstanceRefresh": "AutoScalingInstanceRefresh",
    "autoscaling:DeleteLifecycleHook": "LifecycleHookSpecificationList",
    "autoscaling:DeleteNotificationConfiguration": "NotificationConfigurations",
    "autoscaling:DetachLoadBalancerTargetGroups": "TargetGroupARNs",
    "autoscaling:DetachLoadBalancers": "LoadBalancerNames",
    "autoscaling:DetachTrafficSources": "TrafficSources",
    "autoscaling:PutLifecycleHook": "LifecycleHookSpecificationList",
    "autoscaling:PutNotificationConfiguration": "NotificationConfigurations",
    "autoscaling:StartInstanceRefresh": "AutoScalingInstanceRefresh",
    "cloudfront:CreateConnectionGroup": "TenantConfig",
    "cloudfront:GetConnectionGroup": "TenantConfig",
    "cloudfront:UpdateDistributionWithStagingConfig": "Staging",
    "codestar-connections:PassConnection": "ConnectionArn",
    "cloudformation:UpdateTerminationProtection": "EnableTerminationProtection",
    "dynamodb:AssociateTableReplica": "Replicas",
    "dynamodb:BatchWriteItem": "ImportSourceSpecification",
    "dynamodb:CreateTableReplica": "Replicas",
    "dynamodb:DeleteItem": "ImportSourceSpecification",
    "dynamodb:DeleteResourcePolicy": "ResourcePolicy",
    "dynamodb:DescribeImport": "ImportSourceSpecification",
    "dynamodb:DescribeKinesisStreamingDestination": "KinesisStreamSpecification",
    "dynamodb:DisableKinesisStreamingDestination": "KinesisStreamSpecification",
    "dynamodb:EnableKinesisStreamingDestination": "KinesisStreamSpecification",
    "dynamodb:GetItem": "ImportSourceSpecification",
    "dynamodb:ImportTable": "ImportSourceSpecification",
    "dynamodb:PutItem": "ImportSourceSpecification",
    "dynamodb:PutResourcePolicy": "ResourcePolicy",
    "dynamodb:Query": "ImportSourceSpecification",
    "dynamodb:Scan": "ImportSourceSpecification",
    "dynamodb:UpdateContributorInsights": "ContributorInsightsSpecification",
    "dynamodb:UpdateItem": "ImportSourceSpecification",
    "dynamodb:UpdateKinesisStreamingDestination": "KinesisStreamSpecification",
    "dynamodb:UpdateTimeToLive": "TimeToLiveSpecification",
    "ec2:AcceptAddressTransfer": "TransferAddress",
    "ec2:AllocateIpamPoolCidr": "IpamPoolId",
    "ec2:AssociateVerifiedAccessInstanceWebAcl": "VerifiedAccessInstanceId",
    "ec2:DescribeVerifiedAccessInstanceWebAclAssociations": "VerifiedAccessInstanceId",
    "ec2:DisassociateVerifiedAccessInstanceWebAcl": "VerifiedAccessInstanceId",
    "ec2:GetVerifiedAccessInstanceWebAcl": "VerifiedAccessInstanceId",
    "ec2:AssignPrivateNatGatewayAddress": "SecondaryPrivateIpAddresses",
    "ec2:AttachVpnGateway": "VpnGatewayId",
    "ec2:CreateVpcEncryptionControl": "VpcEncryptionControl",
    "ec2:DetachVpnGateway": "VpnGatewayId",
    "ec2:ModifyVpcTenancy": "InstanceTenancy",
    "ec2:UnassignPrivateNatGatewayAddress": "SecondaryPrivateIpAddresses",
    "ecr:DeleteRepositoryPolicy": "RepositoryPolicyText",
    "ecr:SetRepositoryPolicy": "RepositoryPolicyText",
    # For the whole account, not for a cluster of ours.
    "ecs:PutAccountSetting": "AccountSetting",
    "ecs:PutAccountSettingDefault": "AccountSetting",
    "elasticloadbalancing:DeregisterTargets": "Targets",
    "elasticloadbalancing:ModifyCapacityReservation": "MinimumLoadBalancerCapacity",
    "elasticloadbalancing:ModifyIpPools": "Ipv4IpamPoolId",
    "elasticloadbalancing:RegisterTargets": "Targets",
    "iam:AttachRolePolicy": "ManagedPolicyArns",
    "iam:DeleteRolePermissionsBoundary": "PermissionsBoundary",
    "iam:DetachRolePolicy": "ManagedPolicyArns",
    "iam:PutRolePermissionsBoundary": "PermissionsBoundary",
    "logs:AssociateKmsKey": "KmsKeyId",
    "logs:CreateLogDelivery": "LogDestinationConfigs",
    "logs:CreateLogStream": ("ImportSourceSpecification", "LogDeliveryConfigurations"),
    "logs:DeleteDataProtectionPolicy": "DataProtectionPolicy",
    "logs:DeleteIndexPolicy": "FieldIndexPolicies",
    "logs:DeleteLogDelivery": "LogDestinationConfigs",
    "logs:DeleteResourcePolicy": "ResourcePolicyDocument",
    "logs:DescribeLogStreams": "ImportSourceSpecification",
    "logs:DisassociateKmsKey": "KmsKeyId",
    "logs:GetLogDelivery": "LogDeliveryConfigurations",
    "logs:ListLogDeliveries": "LogDeliveryConfigurations",
    "logs:PutBearerTokenAuthentication": "BearerTokenAuthenticationEnabled",
    "logs:PutDataProtectionPolicy": "DataProtectionPolicy",
    "logs:PutIndexPolicy": "FieldIndexPolicies",
    "logs:PutLogEvents": ("ImportSourceSpecification", "LogDeliveryConfigurations"),
    "logs:PutLogGroupDeletionProtection": "DeletionProtectionEnabled",
    "logs:PutResourcePolicy": ("LogDestinationConfigs", "ResourcePolicyDocument"),
    "logs:UpdateLogDelivery": "LogDeliveryConfigurations",
    "rds:AddRoleToDBInstance": "AssociatedRoles",
    "rds:CreateDBInstanceReadReplica": "SourceDBInstanceIdentifier",
    "rds:DescribeDBClusterSnapshots": "DBClusterIdentifier",
    "rds:DescribeDBClusters": "DBClusterIdentifier",
    "rds:PromoteReadReplica": "SourceDBInstanceIdentifier",
    "rds:RemoveRoleFromDBInstance": "AssociatedRoles",
    "rds:RestoreDBInstanceFromDBSnapshot": "DBSnapshotIdentifier",
    "rds:RestoreDBInstanceToPointInTime": "RestoreTime",
    "rds:StartDBInstanceAutomatedBackupsReplication": "AutomaticBackupReplicationRegion",
    "rds:StopDBInstanceAutomatedBackupsReplication": "AutomaticBackupReplicationRegion",
    "s3:DeleteBucketAnalyticsConfiguration": "AnalyticsConfigurations",
    "s3:DeleteBucketCors": "CorsConfiguration",
    "s3:DeleteBucketMetadataTableConfiguration": "MetadataTableConfiguration",
    "s3:DeleteBucketMetricsConfiguration": "MetricsConfigurations",
    "s3:DeleteBucketReplication": "ReplicationConfiguration",
    "s3:DeleteBucketWebsite": "WebsiteConfiguration",
    "s3:CreateBucketMetadataTableConfiguration": "MetadataTableConfiguration",
    "s3:DeleteObject": "ReplicationConfiguration",
    "s3:GetObject": ("ImportSourceSpecification", "SnapshotArns"),
    "s3:PutAccelerateConfiguration": "AccelerateConfiguration",
    "s3:PutAnalyticsConfiguration": "AnalyticsConfigurations",
    "s3:PutBucketAbac": "AbacStatus",
    "s3:PutBucketAcl": "AccessControl",
    "s3:PutBucketCORS": "CorsConfiguration",
    "s3:PutBucketLogging": "LoggingConfiguration",
    "s3:PutBucketNotification": "NotificationConfiguration",
    "s3:PutBucketObjectLockConfiguration": "ObjectLockConfiguration",
    "s3:PutBucketReplication": "ReplicationConfiguration",
    "s3:PutBucketWebsite": "WebsiteConfiguration",
    "s3:PutIntelligentTieringConfiguration": "IntelligentTieringConfigurations",
    "s3:PutInventoryConfiguration": "InventoryConfigurations",
    "s3:PutMetricsConfiguration": "MetricsConfigurations",
    "s3:PutObjectAcl": "AccessControl",
    "s3:PutObjectLockConfiguration": "ObjectLockConfiguration",
    "s3:PutReplicationConfiguration": "ReplicationConfiguration",
    "s3:UpdateBucketMetadataAnnotationTableConfiguration": "MetadataConfiguration",
    "s3:UpdateBucketMetadataInventoryTableConfiguration": "MetadataConfiguration",
    "s3:UpdateBucketMetadataJournalTableConfiguration": "MetadataConfiguration",
    "sns:PutDataProtectionPolicy": "DataProtectionPolicy",
}

#: What the schemas name and IAM does not know, or what another statement gives more narrowly.
ELSEWHERE = {
    "iam:CreateServiceLinkedRole",
    "iam:DescribeOrganization",
    "iam:PassRole",
    "s3:DeleteBucketEncryption",
    "s3:DeleteBucketLifecycle",
    "s3:GetObjectMetadata",
    "s3:REST.PUT.OBJECT",
    "ssm:Get*",
}

#: Types whose resources are not named after the stack, and what their actions are for.
PLACES = {
    "AWS::IAM::OIDCProvider": "arn:{partition}:iam::{account}:oidc-provider/*",
    "AWS::IAM::ServiceLinkedRole": "arn:{partition}:iam::{account}:role/aws-service-role/ecs.amazonaws.com/*",
}

#: Types whose schema says nothing of handlers.
#: https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-permissions-reference.html
#: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
WITHOUT_HANDLERS = {
    "AWS::CodeBuild::Project": [
        "codebuild:BatchGetProjects",
        "codebuild:CreateProject",
        "codebuild:DeleteProject",
        "codebuild:UpdateProject",
    ],
    "AWS::ElasticLoadBalancingV2::ListenerCertificate": [
        "elasticloadbalancing:AddListenerCertificates",
        "elasticloadbalancing:DescribeListenerCertificates",
        "elasticloadbalancing:RemoveListenerCertificates",
    ],
}

#: Actions of these services that take no resource.
NO_RESOURCE = {
    "autoscaling:Describe*",
    "autoscaling:DescribeTags",
    "cloudwatch:GetMetricData",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "kms:CreateKey",
    "kms:ListAliases",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeIndexPolicies",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:PutResourcePolicy",
    "rds:DescribeDBEngineVersions",
    "rds:DescribeEngineDefaultParameters",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
}

#: What an action that only reads is called: a schema may name others, too.
READING = re.compile("[a-z0-9-]+:(?:BatchGet|Describe|Get|List)[A-Za-z]*[*]?").fullmatch

#: Types whose service makes itself a role in an account that is new to it.
LINKED_ROLES = {
    # https://docs.aws.amazon.com/r53recovery/latest/dg/using-service-linked-roles-zonal-autoshift.html
    "AWS::ARCZonalShift::ZonalAutoshiftConfiguration": "practice-run.arc-zonal-shift.amazonaws.com",
    "AWS::ApplicationAutoScaling::ScalableTarget": "ecs.application-autoscaling.amazonaws.com",
    "AWS::AutoScaling::AutoScalingGroup": "autoscaling.amazonaws.com",
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-service-linked-roles.html
    "AWS::CloudFront::VpcOrigin": "vpcorigin.cloudfront.amazonaws.com",
    "AWS::ECS::Cluster": "ecs.amazonaws.com",
    # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/using-service-linked-roles.html
    "AWS::ElastiCache::ReplicationGroup": "elasticache.amazonaws.com",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
    "AWS::IAM::ServiceLinkedRole": "ecs.amazonaws.com",
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html
    "AWS::RDS::DBInstance": "rds.amazonaws.com",
}

#: What of the role actions a permissions boundary can be asked of.
BOUNDED = {"iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"}


def handler_actions(kind: str, names: Collection[str] = ("create", "delete", "read", "update")) -> list[str]:
    """The actions that CloudFormation's handlers of these names call for a type, in order; empty for one that has no
    schema. Where the schema names no handlers, all that are known."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region="us-east-1", resource_type=kind).schema
    except ResourceNotFoundError:
        return []
    handlers = schema.get("handlers", {})
    if not handlers:
        return WITHOUT_HANDLERS.get(kind, [])
    return sorted({one for name in names for one in handlers.get(name, {}).get("permissions", [])})


def service_role(templates: Mapping[str, Template], scope: Scope) -> list[Statement]:
    """What the role has to be allowed that CloudFormation makes, changes and deletes the set with."""
    resources = [one for template in templates.values() for one in template["Resources"].values()]
    types = sorted({one["Type"] for one in resources})
    properties = set(_keys(list(templates.values())))
    # A handler also calls what the set has no use for: functions, meshes, fleets. iam makes the roles of all of them.
    services = {_service(kind) for kind in types} | {"iam", "codestar-connections"}
    if _uses_kms(templates):
        services.add("kms")
    if "ManageMasterUserPassword" in properties:
        services.add("secretsmanager")
    called = {kind: {one for one in handler_actions(kind) if _used(one, services, properties)} for kind in types}
    statements = [
        allow("".join(kind.split("::")[1:]), called.pop(kind), [scope.arn(pattern)])
        for kind, pattern in PLACES.items()
        if kind in called
    ]
    wanted = {one for actions in called.values() for one in actions}
    covering = [one for one in wanted if one.endswith("*")]
    wanted = {one for one in wanted if not any(fnmatchcase(one, wide) and one != wide for wide in covering)}
    if NESTED in types:
        wanted |= {f"cloudformation:{name}ChangeSet" for name in ("Create", "Delete", "Describe", "Execute")}
    statements += _by_service(wanted, scope)
    statements += _roles(resources, types, scope)
    statements += public_parameters(templates, scope)
    statements += _given(templates, scope)
    statements.append(allow("ReadTemplates", ["s3:GetObject"], [scope.arn("arn:{partition}:s3:::{bucket}/*")]))
    return statements


def readers(templates: Mapping[str, Template], scope: Scope) -> list[Statement]:
    """What whoever asks for drift has to be allowed besides: CloudFormation reads each resource in the asker's name.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/detect-drift-stack.html
    """
    types = {one["Type"] for template in templates.values() for one in template["Resources"].values()}
    services, properties = {_service(kind) for kind in types} | {"iam"}, set(_keys(list(templates.values())))
    called = {
        kind: {one for one in handler_actions(kind, ("read",)) if READING(one) and _used(one, services, properties)}
        for kind in types
    }
    special = [
        allow("".join(kind.split("::")[1:]), called.pop(kind), [scope.arn(pattern)])
        for kind, pattern in PLACES.items()
        if called.get(kind)
    ]
    wanted = {one for actions in called.values() for one in actions}
    return [*special, *_by_service(wanted, replace(scope, boundary=""))]


def _used(action: str, services: Collection[str], properties: set[str]) -> bool:
    feature = FEATURES.get(action)
    features = (feature,) if isinstance(feature, str) else feature
    return (
        action.partition(":")[0] in services
        and action not in ELSEWHERE
        and (features is None or not properties.isdisjoint(features))
    )


def _given(templates: Mapping[str, Template], scope: Scope) -> Iterator[Statement]:
    """What is there already and read while the set is made: secrets, a user pool's client, a bundle of certificates.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
    """
    text = json.dumps(dict(templates))
    if secrets := sorted(set(re.findall(r"\{\{resolve:secretsmanager:(arn:[^}]+?):SecretString", text))):
        yield allow("ReadReferencedSecrets", ["secretsmanager:GetSecretValue"], secrets)
    resources = [one.get("Properties", {}) for template in templates.values() for one in template["Resources"].values()]
    actions = [action for one in resources for action in listed(one.get("Actions", []))]
    signing = [action["AuthenticateCognitoConfig"] for action in actions if "AuthenticateCognitoConfig" in action]
    if signing:
        pools = sorted({config["UserPoolArn"] for config in signing})
        yield allow("ReadUserPoolClient", ["cognito-idp:DescribeUserPoolClient"], pools)
    bundles = {
        f"{one['CaCertificatesBundleS3Bucket']}/{one['CaCertificatesBundleS3Key']}"
        for one in resources
        if "CaCertificatesBundleS3Bucket" in one
    }
    if bundles:
        arns = [scope.arn("arn:{partition}:s3:::") + bundle for bundle in sorted(bundles)]
        yield allow("ReadCertificates", ["s3:GetObject", "s3:GetObjectVersion"], arns)


def _by_service(actions: Iterable[str], scope: Scope) -> Iterator[Statement]:
    by_service: dict[str, set[str]] = {}
    for action in actions:
        by_service.setdefault(action.partition(":")[0], set()).add(action)
    for service, of_service in sorted(by_service.items()):
        name = "".join(part.capitalize() for part in service.split("-"))
        if service == "iam" and scope.boundary:
            of_service -= BOUNDED
            bounded = Condition(StringEquals({"iam:PermissionsBoundary": scope.boundary}))
            roles = scope.arn("arn:{partition}:iam::{account}:role{path}{roles}*")
            yield allow("IamBounded", BOUNDED, [roles], bounded)
        everywhere = of_service if service not in NAMES else of_service & NO_RESOURCE
        if everywhere:
            yield allow(f"{name}Everywhere", everywhere, ["*"], _in_region(service, scope))
        if named := of_service - everywhere:
            yield allow(name, named, scope.named(service))


def _in_region(service: str, scope: Scope) -> Condition | None:
    """A bound for what has no name of ours. Services that are the same in all regions answer from one of their own."""
    if scope.region == "*" or service in ("iam", "route53", "cloudfront"):
        return None
    return Condition(StringEquals({"aws:RequestedRegion": scope.region}))


def _roles(resources: Sequence[Mapping[str, Any]], types: Collection[str], scope: Scope) -> Iterator[Statement]:
    """Roles of the set for the services that they trust, and the roles that services make for themselves."""
    trusted = sorted(
        {
            name
            for one in resources
            if one["Type"] == "AWS::IAM::Role"
            for statement in one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            for name in listed(statement.get("Principal", {}).get("Service", []))
        }
    )
    if trusted:
        yield allow(
            "PassRoles",
            ["iam:PassRole"],
            [scope.arn("arn:{partition}:iam::{account}:role{path}{roles}*")],
            Condition(StringEquals({"iam:PassedToService": trusted})),
        )
    if linked := sorted({name for kind, name in LINKED_ROLES.items() if kind in types}):
        yield allow(
            "LinkedRoles",
            ["iam:CreateServiceLinkedRole"],
            [scope.arn("arn:{partition}:iam::{account}:role/aws-service-role/*")],
            Condition(StringEquals({"iam:AWSServiceName": linked})),
        )


def trust(scope: Scope) -> list[Statement]:
    """Who may take on the service role: CloudFormation, for this stack and what is nested in it."""
    pattern = "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}"
    stacks = [scope.arn(pattern + "/*"), scope.arn(pattern + "-*")]
    return [
        Statement(
            Sid="CloudFormation",
            Effect=Allow,
            Action=[Action("sts", "AssumeRole")],
            Principal=Principal("Service", "cloudformation.amazonaws.com"),
            Condition=Condition(ArnLike({"aws:SourceArn": stacks})),
        )
    ]


def _service(kind: str) -> str:
    service = kind.split("::")[1].lower()
    known = {
        "applicationautoscaling": "application-autoscaling",
        "arczonalshift": "arc-zonal-shift",
        "certificatemanager": "acm",
        "elasticloadbalancingv2": "elasticloadbalancing",
    }
    return known.get(service, service)


def _uses_kms(templates: Mapping[str, Template]) -> bool:
    return any(
        word in json.dumps(dict(templates)) for word in ('"KMS"', "KmsKey", "KmsMasterKey", '"aws:kms"', "ManageMaster")
    )


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
