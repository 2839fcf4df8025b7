"""The least-privilege policies of the deployer and of the role that CloudFormation works with. Pure: no account.

What CloudFormation needs for a type is what the type's own schema says that its handlers call, as cfn-lint ships it:
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html#schema-properties-handlers
Of that, what the set has no use for is left out, and the rest is narrowed to names that begin with the stack's.
Which action takes which resource is from the service authorization reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from awacs.aws import (
    Action,
    Allow,
    ArnLike,
    Condition,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
)

from scaleout_cfn.rendering import Template

__all__ = [
    "MOST_CHARACTERS",
    "Place",
    "characters",
    "deployer",
    "documents",
    "handler_actions",
    "service_role",
    "trust",
]

#: What a managed policy may have, white space not counted.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_CHARACTERS = 6144

#: A handler's action that only one property asks for: left out where no template of the set has that property.
FEATURES = {
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
    "codestar-connections:PassConnection": "ConnectionArn",
    "cloudformation:UpdateTerminationProtection": "EnableTerminationProtection",
    "ec2:AcceptAddressTransfer": "TransferAddress",
    "ec2:AllocateIpamPoolCidr": "IpamPoolId",
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
    "logs:CreateLogDelivery": "LogDelivery",
    "logs:DeleteDataProtectionPolicy": "DataProtectionPolicy",
    "logs:DeleteIndexPolicy": "FieldIndexPolicies",
    "logs:DeleteLogDelivery": "LogDelivery",
    "logs:DeleteResourcePolicy": "ResourcePolicyDocument",
    "logs:DisassociateKmsKey": "KmsKeyId",
    "logs:PutBearerTokenAuthentication": "BearerTokenAuthenticationEnabled",
    "logs:PutDataProtectionPolicy": "DataProtectionPolicy",
    "logs:PutIndexPolicy": "FieldIndexPolicies",
    "logs:PutLogGroupDeletionProtection": "DeletionProtectionEnabled",
    "logs:PutResourcePolicy": "ResourcePolicyDocument",
    "s3:DeleteBucketAnalyticsConfiguration": "AnalyticsConfigurations",
    "s3:DeleteBucketCors": "CorsConfiguration",
    "s3:DeleteBucketMetadataTableConfiguration": "MetadataTableConfiguration",
    "s3:DeleteBucketMetricsConfiguration": "MetricsConfigurations",
    "s3:DeleteBucketReplication": "ReplicationConfiguration",
    "s3:DeleteBucketWebsite": "WebsiteConfiguration",
    "s3:CreateBucketMetadataTableConfiguration": "MetadataTableConfiguration",
    "s3:DeleteObject": "ReplicationConfiguration",
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

#: So much of a stack's name is in every name that CloudFormation makes. A role's may have 64 characters in all.
SURE = 20

#: What the schemas name and IAM does not know, or what another statement gives more narrowly.
ELSEWHERE = {
    "iam:CreateServiceLinkedRole",
    "iam:PassRole",
    "s3:DeleteBucketEncryption",
    "s3:DeleteBucketLifecycle",
    "s3:REST.PUT.OBJECT",
    "ssm:Get*",
}

#: Services whose resources' names begin with the stack's, and the ARNs of these. S3 and ECR names are in small letters.
#: Whatever is not here has names that CloudFormation does not choose, or cuts short, as a load balancer's.
NAMES: Mapping[str, tuple[str, ...]] = {
    "autoscaling": (
        "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{begins}*",
    ),
    "cloudformation": ("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}-*",),
    "cloudwatch": (
        "arn:{partition}:cloudwatch:{region}:{account}:alarm:{begins}*",
        # What target tracking makes.
        "arn:{partition}:cloudwatch:{region}:{account}:alarm:TargetTracking-*",
        # Named after their logical id alone.
        "arn:{partition}:cloudwatch::{account}:dashboard/*",
    ),
    # Named after their logical id alone.
    "codebuild": ("arn:{partition}:codebuild:{region}:{account}:project/*",),
    "codepipeline": ("arn:{partition}:codepipeline:{region}:{account}:{begins}*",),
    "ecr": ("arn:{partition}:ecr:{region}:{account}:repository/{small}*",),
    "ecs": (
        "arn:{partition}:ecs:{region}:{account}:capacity-provider/{begins}*",
        "arn:{partition}:ecs:{region}:{account}:cluster/{begins}*",
        "arn:{partition}:ecs:{region}:{account}:service/{begins}*",
        "arn:{partition}:ecs:{region}:{account}:service-deployment/{begins}*",
        "arn:{partition}:ecs:{region}:{account}:task-definition/{begins}*",
    ),
    "events": ("arn:{partition}:events:{region}:{account}:rule/{begins}*",),
    "iam": (
        "arn:{partition}:iam::{account}:instance-profile/{begins}*",
        "arn:{partition}:iam::{account}:role/{begins}*",
    ),
    "logs": ("arn:{partition}:logs:{region}:{account}:log-group:{begins}*",),
    "s3": ("arn:{partition}:s3:::{small}*",),
    "sns": ("arn:{partition}:sns:{region}:{account}:{begins}*",),
}

#: Types whose resources are not named after the stack, and what their actions are for.
PLACES = {
    "AWS::IAM::OIDCProvider": "arn:{partition}:iam::{account}:oidc-provider/*",
    "AWS::IAM::ServiceLinkedRole": "arn:{partition}:iam::{account}:role/aws-service-role/ecs.amazonaws.com/*",
}

#: Types whose schema says nothing of handlers.
#: https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-permissions-reference.html
WITHOUT_HANDLERS = {
    "AWS::CodeBuild::Project": [
        "codebuild:BatchGetProjects",
        "codebuild:CreateProject",
        "codebuild:DeleteProject",
        "codebuild:UpdateProject",
    ],
}

#: Actions of these services that take no resource.
NO_RESOURCE = {
    "autoscaling:Describe*",
    "autoscaling:DescribeTags",
    "cloudwatch:GetMetricData",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "logs:DescribeIndexPolicies",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
}

#: Types whose service makes itself a role in an account that is new to it.
LINKED_ROLES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "ecs.application-autoscaling.amazonaws.com",
    "AWS::AutoScaling::AutoScalingGroup": "autoscaling.amazonaws.com",
    "AWS::ECS::Cluster": "ecs.amazonaws.com",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing.amazonaws.com",
    "AWS::IAM::ServiceLinkedRole": "ecs.amazonaws.com",
}

#: What of the role actions a permissions boundary can be asked of.
BOUNDED = {"iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"}


@dataclass(frozen=True)
class Place:
    """Where the policies are for. An asterisk for what is not known. `boundary` bounds every role of the set."""

    stack: str
    bucket: str
    account: str = "*"
    region: str = "*"
    boundary: str = ""

    @property
    def partition(self) -> str:
        begins = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}
        return next((name for prefix, name in begins.items() if self.region.startswith(prefix)), "aws")

    @property
    def begins(self) -> str:
        """What the names that CloudFormation makes begin with: where a name may not be long, it cuts the stack's."""
        return f"{self.stack}-" if len(self.stack) <= SURE else self.stack[:SURE]

    def arn(self, pattern: str) -> str:
        return pattern.format(
            partition=self.partition,
            region=self.region,
            account=self.account,
            stack=self.stack,
            begins=self.begins,
            small=self.begins.lower(),
            bucket=self.bucket,
        )


def handler_actions(kind: str) -> list[str]:
    """The actions that CloudFormation calls for a type, in order; empty for one that has no schema."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region="us-east-1", resource_type=kind).schema
    except ResourceNotFoundError:
        return []
    handlers = schema.get("handlers", {})
    if not handlers:
        return WITHOUT_HANDLERS.get(kind, [])
    return sorted({one for name in handlers if name != "list" for one in handlers[name].get("permissions", [])})


def service_role(templates: Mapping[str, Template], place: Place) -> list[Statement]:
    """What the role has to be allowed that CloudFormation makes, changes and deletes the set with."""
    resources = [one for template in templates.values() for one in template["Resources"].values()]
    types = sorted({one["Type"] for one in resources})
    properties = set(_keys(list(templates.values())))
    # A handler also calls what the set has no use for: functions, meshes, fleets. iam makes the roles of all of them.
    services = {_service(kind) for kind in types} | {"iam", "codestar-connections"}
    if _uses_kms(templates):
        services.add("kms")
    called = {kind: {one for one in handler_actions(kind) if _used(one, services, properties)} for kind in types}
    statements = [
        _allow("".join(kind.split("::")[1:]), called.pop(kind), [place.arn(pattern)])
        for kind, pattern in PLACES.items()
        if kind in called
    ]
    wanted = {one for actions in called.values() for one in actions}
    covering = [one for one in wanted if one.endswith("*")]
    wanted = {one for one in wanted if not any(fnmatchcase(one, wide) and one != wide for wide in covering)}
    if "AWS::CloudFormation::Stack" in types:
        wanted |= {f"cloudformation:{name}ChangeSet" for name in ("Create", "Delete", "Describe", "Execute")}
    statements += _by_service(wanted, place)
    statements += _roles(resources, types, place)
    if any("AWS::SSM::Parameter::Value" in str(one.get("Parameters")) for one in templates.values()):
        public = "arn:{partition}:ssm:{region}::parameter/aws/service/*"
        statements.append(_allow("ReadPublicParameters", ["ssm:GetParameters"], [place.arn(public)]))
    statements.append(_allow("ReadTemplates", ["s3:GetObject"], [place.arn("arn:{partition}:s3:::{bucket}/*")]))
    return statements


def _used(action: str, services: Collection[str], properties: Collection[str]) -> bool:
    feature = FEATURES.get(action)
    return (
        action.partition(":")[0] in services and action not in ELSEWHERE and (feature is None or feature in properties)
    )


def _by_service(actions: Iterable[str], place: Place) -> Iterator[Statement]:
    by_service: dict[str, set[str]] = {}
    for action in actions:
        by_service.setdefault(action.partition(":")[0], set()).add(action)
    for service, of_service in sorted(by_service.items()):
        name = "".join(part.capitalize() for part in service.split("-"))
        if service == "iam" and place.boundary:
            of_service -= BOUNDED
            bounded = Condition(StringEquals({"iam:PermissionsBoundary": place.boundary}))
            roles = place.arn("arn:{partition}:iam::{account}:role/{begins}*")
            yield _allow("IamBounded", BOUNDED, [roles], bounded)
        everywhere = of_service if service not in NAMES else of_service & NO_RESOURCE
        if everywhere:
            yield _allow(f"{name}Everywhere", everywhere, ["*"], _in_region(service, place))
        if named := of_service - everywhere:
            yield _allow(name, named, [place.arn(pattern) for pattern in NAMES[service]])


def _in_region(service: str, place: Place) -> Condition | None:
    """A bound for what has no name of ours. Services that are the same in all regions answer from one of their own."""
    if place.region == "*" or service in ("iam", "route53", "cloudfront"):
        return None
    return Condition(StringEquals({"aws:RequestedRegion": place.region}))


def _roles(resources: Sequence[Mapping[str, Any]], types: Collection[str], place: Place) -> Iterator[Statement]:
    """Roles of the set for the services that they trust, and the roles that services make for themselves."""
    trusted = sorted(
        {
            name
            for one in resources
            if one["Type"] == "AWS::IAM::Role"
            for statement in one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            for name in _list(statement.get("Principal", {}).get("Service", []))
        }
    )
    if trusted:
        yield _allow(
            "PassRoles",
            ["iam:PassRole"],
            [place.arn("arn:{partition}:iam::{account}:role/{begins}*")],
            Condition(StringEquals({"iam:PassedToService": trusted})),
        )
    if linked := sorted({name for kind, name in LINKED_ROLES.items() if kind in types}):
        yield _allow(
            "LinkedRoles",
            ["iam:CreateServiceLinkedRole"],
            [place.arn("arn:{partition}:iam::{account}:role/aws-service-role/*")],
            Condition(StringEquals({"iam:AWSServiceName": linked})),
        )


def deployer(templates: Mapping[str, Template], place: Place, role_arn: str = "") -> list[Statement]:
    """What whoever runs this program has to be allowed, for every command but `bootstrap`, and those that
    run commands in tasks.

    `role_arn` is the role that CloudFormation works with. Without one the deployer needs all of `service_role` too.
    """
    types = {one["Type"] for template in templates.values() for one in template["Resources"].values()}
    stacks = [
        place.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"),
        place.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}-*"),
    ]
    # By ARN for DescribeEvents and TagResource; all else about a change set is asked of its stack.
    sets = place.arn("arn:{partition}:cloudformation:{region}:{account}:changeSet/scfn-*")
    bucket = place.arn("arn:{partition}:s3:::{bucket}")
    cluster = place.arn("arn:{partition}:ecs:{region}:{account}:cluster/{begins}*")
    service = place.arn("arn:{partition}:ecs:{region}:{account}:service/{begins}*")
    statements = [
        _allow("ReadStacks", [f"cloudformation:{name}" for name in READS], [*stacks, sets]),
        _allow("ChangeStacks", [f"cloudformation:{name}" for name in WRITES], [*stacks, sets]),
        _allow("FindBucket", [f"s3:{name}" for name in BUCKET_READS], [bucket]),
        # What is in the bucket is found by its hash, and is never deleted: a stack goes on reading it.
        _allow("PutTemplates", ["s3:GetObject", "s3:PutObject"], [f"{bucket}/templates/*"]),
        _allow(
            "ReadServices",
            [
                "ecs:DescribeServiceDeployments",
                "ecs:DescribeServices",
                "ecs:DescribeTasks",
                "ecs:ListServiceDeployments",
            ],
            [service, *(service.replace(":service/", f":{kind}/") for kind in ("service-deployment", "task"))],
        ),
        _allow("ListTasks", ["ecs:ListTasks"], ["*"], Condition(ArnLike({"ecs:cluster": cluster}))),
        _allow(
            "ReadEverywhere",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "ecs:DescribeTaskDefinition",
                "elasticloadbalancing:DescribeTargetHealth",
                "logs:DescribeLogGroups",
            ],
            ["*"],
        ),
        _allow(
            "ReadLogs",
            ["logs:FilterLogEvents", "logs:GetLogEvents"],
            [f"{place.arn(pattern)}:*" for pattern in NAMES["logs"]],
        ),
        _allow(
            "FindLinkedRole",
            ["iam:GetRole"],
            [place.arn("arn:{partition}:iam::{account}:role/aws-service-role/ecs.amazonaws.com/*")],
        ),
        _allow("DrainServices", ["ecs:UpdateService"], [service]),
        _allow(
            "DrainTargets",
            ["application-autoscaling:RegisterScalableTarget"],
            [place.arn("arn:{partition}:application-autoscaling:{region}:{account}:scalable-target/*")],
        ),
        _allow(
            "ReleaseNodes",
            ["autoscaling:SetInstanceProtection", "autoscaling:UpdateAutoScalingGroup"],
            [place.arn(pattern) for pattern in NAMES["autoscaling"]],
        ),
    ]
    if "AWS::ECR::Repository" in types:
        images = ["ecr:BatchDeleteImage", "ecr:ListImages"]
        statements.append(_allow("EmptyRepositories", images, [place.arn(one) for one in NAMES["ecr"]]))
    if "AWS::S3::Bucket" in types:
        own = place.arn("arn:{partition}:s3:::{small}*")
        objects = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"]
        statements.append(_allow("EmptyBuckets", objects, [own]))
    if any("AWS::SSM::Parameter::Value" in str(one.get("Parameters")) for one in templates.values()):
        public = "arn:{partition}:ssm:{region}::parameter/aws/service/*"
        statements.append(_allow("ReadPublicParameters", ["ssm:GetParameters"], [place.arn(public)]))
    if role_arn:
        to_cloudformation = Condition(StringEquals({"iam:PassedToService": "cloudformation.amazonaws.com"}))
        statements.append(_allow("PassServiceRole", ["iam:PassRole"], [role_arn], to_cloudformation))
    return statements


READS = (
    "DescribeChangeSet",
    "DescribeEvents",
    "DescribeStackEvents",
    "DescribeStacks",
    "GetStackPolicy",
    "GetTemplate",
    "ListChangeSets",
    "ListStackResources",
)
WRITES = (
    "CancelUpdateStack",
    "ContinueUpdateRollback",
    "CreateChangeSet",
    "DeleteChangeSet",
    "DeleteStack",
    "ExecuteChangeSet",
    "RollbackStack",
    "SetStackPolicy",
    "TagResource",
)
BUCKET_READS = ("GetBucketPublicAccessBlock", "GetBucketVersioning", "ListBucket")


def trust(place: Place) -> list[Statement]:
    """Who may take on the service role: CloudFormation, for this stack and what is nested in it."""
    pattern = "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}"
    stacks = [place.arn(pattern + "/*"), place.arn(pattern + "-*")]
    return [
        Statement(
            Sid="CloudFormation",
            Effect=Allow,
            Action=[Action("sts", "AssumeRole")],
            Principal=Principal("Service", "cloudformation.amazonaws.com"),
            Condition=Condition(ArnLike({"aws:SourceArn": stacks})),
        )
    ]


def documents(name: str, statements: Iterable[Statement]) -> dict[str, str]:
    """Statements as policy documents in JSON, file name to text: as few as fit into managed policies."""
    whole = plain(statements)
    parts: list[list[Any]] = [[]]
    for statement in whole:
        if parts[-1] and characters(_text([*parts[-1], statement])) > MOST_CHARACTERS:
            parts.append([])
        parts[-1].append(statement)
    names = [name] if len(parts) == 1 else [f"{name}-{number}" for number in range(1, len(parts) + 1)]
    return {f"{one}.json": _text(part) for one, part in zip(names, parts, strict=True)}


def characters(text: str) -> int:
    """The size of a document as IAM counts it."""
    return len("".join(text.split()))


def _text(statements: Sequence[Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2) + "\n"


def plain(statements: Iterable[Statement]) -> list[dict[str, Any]]:
    """Statements as the JSON that they are written as."""
    found: list[dict[str, Any]] = json.loads(PolicyDocument(Statement=list(statements)).to_json())["Statement"]
    return found


def _allow(sid: str, actions: Iterable[str], resources: Iterable[str], condition: Condition | None = None) -> Statement:
    more = {"Condition": condition} if condition else {}
    named = [Action(*action.split(":", 1)) for action in sorted(actions)]
    return Statement(Sid=sid, Effect=Allow, Action=named, Resource=list(resources), **more)


def _service(kind: str) -> str:
    """The prefix of a type's own actions."""
    service = kind.split("::")[1].lower()
    known = {
        "applicationautoscaling": "application-autoscaling",
        "certificatemanager": "acm",
        "elasticloadbalancingv2": "elasticloadbalancing",
    }
    return known.get(service, service)


def _uses_kms(templates: Mapping[str, Template]) -> bool:
    return any(word in json.dumps(dict(templates)) for word in ('"KMS"', "KmsKey", "KmsMasterKey", '"aws:kms"'))


def _keys(value: object) -> Iterator[str]:
    """Every key of a structure."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
