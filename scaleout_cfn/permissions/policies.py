"""The least-privilege policies of whoever runs this program: who deploys, who pushes images, who runs commands. Pure.

Which action takes which resource is from the service authorization reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from awacs.aws import ArnLike, Condition, ForAnyValueStringLike, Statement, StringEquals

from scaleout_cfn.imports import Import
from scaleout_cfn.permissions.grants import NAMES, Scope, allow, public_parameters
from scaleout_cfn.permissions.service_role import readers
from scaleout_cfn.rendering import Template


def deployer(templates: Mapping[str, Template], scope: Scope, role_arn: str = "") -> list[Statement]:
    """What whoever deploys has to be allowed, for every command but `bootstrap`, `image push`, `exec` and `run`.

    `role_arn` is the role that CloudFormation works with. Without one the deployer needs all of `service_role` too.
    """
    types = {one["Type"] for template in templates.values() for one in template["Resources"].values()}
    stacks = [
        scope.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"),
        scope.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}-*"),
    ]
    # By ARN for DescribeEvents and TagResource; all else about a change set is asked of its stack.
    sets = scope.arn("arn:{partition}:cloudformation:{region}:{account}:changeSet/scfn-*")
    bucket = scope.arn("arn:{partition}:s3:::{bucket}")
    cluster = scope.arn("arn:{partition}:ecs:{region}:{account}:cluster/{cluster}*")
    service = scope.arn("arn:{partition}:ecs:{region}:{account}:service/{cluster}*")
    statements = [
        allow("ReadStacks", [f"cloudformation:{name}" for name in READS], [*stacks, sets]),
        allow("ChangeStacks", [f"cloudformation:{name}" for name in WRITES], [*stacks, sets]),
        allow("FindBucket", [f"s3:{name}" for name in BUCKET_READS], [bucket]),
        # What is in the bucket is found by its hash, and is never deleted: a stack goes on reading it.
        allow("PutTemplates", ["s3:GetObject", "s3:PutObject"], [f"{bucket}/templates/*"]),
        allow(
            "ReadServices",
            [
                "ecs:DescribeServiceDeployments",
                "ecs:DescribeServiceRevisions",
                "ecs:DescribeServices",
                "ecs:DescribeTasks",
                "ecs:ListServiceDeployments",
            ],
            [service, *(service.replace(":service/", f":{kind}/") for kind in KINDS)],
        ),
        allow("ListTasks", ["ecs:ListTasks"], ["*"], Condition(ArnLike({"ecs:cluster": cluster}))),
        allow(
            "ReadEverywhere",
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingActivities",
                "application-autoscaling:DescribeScheduledActions",
                "autoscaling:DescribeAutoScalingGroups",
                "ecs:DescribeTaskDefinition",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeTargetHealth",
                "logs:DescribeLogGroups",
            ],
            ["*"],
        ),
        # Nobody documents a resource for these, and what a hook says is no secret from whoever it refuses.
        allow("ReadHooks", ["cloudformation:GetHookResult", "cloudformation:ListHookResults"], ["*"]),
        allow(
            "ReadLogs",
            ["logs:FilterLogEvents", "logs:GetLogEvents"],
            [f"{arn}:*" for arn in scope.named("logs")],
        ),
        # Composite alarms would need everything: nobody asks for them.
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
        allow(
            "UseAlarms",
            [f"cloudwatch:{name}" for name in ("DescribeAlarms", "DisableAlarmActions", "EnableAlarmActions")],
            [scope.arn(NAMES["cloudwatch"][0])],
        ),
        allow(
            "FindLinkedRole",
            ["iam:GetRole"],
            [scope.arn("arn:{partition}:iam::{account}:role/aws-service-role/ecs.amazonaws.com/*")],
        ),
        allow("UpdateServices", ["ecs:UpdateService"], [service]),
        allow(
            "AnswerDeployments",
            ["ecs:ContinueServiceDeployment", "ecs:StopServiceDeployment"],
            [service.replace(":service/", ":service-deployment/")],
        ),
        allow(
            "ScaleServices",
            [
                f"application-autoscaling:{name}"
                for name in ("DeleteScheduledAction", "PutScheduledAction", "RegisterScalableTarget")
            ],
            [scope.arn("arn:{partition}:application-autoscaling:{region}:{account}:scalable-target/*")],
        ),
        allow(
            "ReleaseNodes",
            ["autoscaling:SetInstanceProtection", "autoscaling:UpdateAutoScalingGroup"],
            scope.named("autoscaling"),
        ),
    ]
    if "AWS::ECR::Repository" in types:
        named = scope.named("ecr")
        statements.append(allow("FindImages", ["ecr:DescribeImages"], named))
        statements.append(allow("EmptyRepositories", ["ecr:BatchDeleteImage", "ecr:ListImages"], named))
    if "AWS::S3::Bucket" in types:
        own = scope.arn("arn:{partition}:s3:::{small}*")
        objects = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"]
        statements.append(allow("EmptyBuckets", objects, [own]))
    if "AWS::Scheduler::Schedule" in types:  # `stop` and `start`; an update names the role of its target again
        own = scope.arn("arn:{partition}:scheduler:{region}:{account}:schedule/{begins}*")
        statements.append(allow("SwitchSchedules", ["scheduler:GetSchedule", "scheduler:UpdateSchedule"], [own]))
        roles = scope.arn("arn:{partition}:iam::{account}:role{path}{roles}*")
        to_schedules = Condition(StringEquals({"iam:PassedToService": "scheduler.amazonaws.com"}))
        statements.append(allow("PassScheduleRoles", ["iam:PassRole"], [roles], to_schedules))
    statements += public_parameters(templates, scope)
    if role_arn:
        to_cloudformation = Condition(StringEquals({"iam:PassedToService": "cloudformation.amazonaws.com"}))
        statements.append(allow("PassServiceRole", ["iam:PassRole"], [role_arn], to_cloudformation))
    return statements


def images(scope: Scope) -> list[Statement]:
    """What `image push` and `deploy --build` need besides, for us and for the builder that pushes.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
    """
    push = ("BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "DescribeImages",
            "InitiateLayerUpload", "PutImage", "UploadLayerPart")  # fmt: skip
    return [
        allow("PushImages", [f"ecr:{name}" for name in push], scope.named("ecr")),
        allow("LogInToRegistry", ["ecr:GetAuthorizationToken"], ["*"]),
    ]


def commands(templates: Mapping[str, Template], scope: Scope) -> list[Statement]:
    """What `exec`, `run`, `jobs run`, and `deploy` with a job before a service need besides.

    Whoever may run commands in a task may do all that the task's role may.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
    """
    cluster = scope.arn("arn:{partition}:ecs:{region}:{account}:cluster/{cluster}*")
    task = scope.arn("arn:{partition}:ecs:{region}:{account}:task/{cluster}*")
    definition = scope.arn("arn:{partition}:ecs:{region}:{account}:task-definition/{begins}*")
    roles = scope.arn("arn:{partition}:iam::{account}:role{path}{roles}*")
    to_tasks = Condition(StringEquals({"iam:PassedToService": "ecs-tasks.amazonaws.com"}))
    return [
        *_encrypt_sessions(templates, scope),
        allow("EnterTasks", ["ecs:ExecuteCommand"], [cluster, task]),
        allow("RunTasks", ["ecs:RunTask"], [definition], Condition(ArnLike({"ecs:cluster": cluster}))),
        # Tasks have the tags of their definition, and those of ECS:
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
        allow("TagTasks", ["ecs:TagResource"], [task], Condition(StringEquals({"ecs:CreateAction": "RunTask"}))),
        allow("StopTasks", ["ecs:StopTask"], [task]),
        allow("PassTaskRoles", ["iam:PassRole"], [roles], to_tasks),
    ]


def _encrypt_sessions(templates: Mapping[str, Template], scope: Scope) -> list[Statement]:
    """What the AWS command line does by the key that sessions are encrypted by: a given one, or the set's."""
    resources = [body for template in templates.values() for body in template["Resources"].values()]
    configurations = [
        body["Properties"].get("Configuration") for body in resources if body["Type"] == "AWS::ECS::Cluster"
    ]
    if not any("KmsKeyId" in (each or {}).get("ExecuteCommandConfiguration", {}) for each in configurations):
        return []
    wires = [value for body in resources for value in body.get("Properties", {}).get("Parameters", {}).values()]
    given = sorted({value for value in wires if isinstance(value, str) and ":kms:" in value})
    # The id of a key that CloudFormation makes is random; its alias begins as all that is the set's.
    own = Condition(ForAnyValueStringLike({"kms:ResourceAliases": scope.arn("alias/{begins}*")}))
    keys = given or [scope.arn("arn:{partition}:kms:{region}:{account}:key/*")]
    return [allow("EncryptSessions", ["kms:GenerateDataKey"], keys, None if given else own)]


def cost() -> list[Statement]:
    """What `cost` needs besides: the bill is the whole account's, and Cost Explorer knows no resources.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscostexplorerservice.html
    """
    return [allow("ReadBill", ["ce:GetCostAndUsage", "ce:ListCostAllocationTags"], ["*"])]


def importer() -> list[Statement]:
    """What `import ecs` needs: to read services of a cluster that is no set's, and what is around them.

    What is asked of Application Auto Scaling, Auto Scaling and Elastic Load Balancing takes no resource.
    """
    return [
        allow(
            "ReadServicesOfACluster",
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
                "autoscaling:DescribeAutoScalingGroups",
                "cloudwatch:DescribeAlarms",
                "ecs:DescribeCapacityProviders",
                "ecs:DescribeServices",
                "ecs:DescribeTaskDefinition",
                "ecs:ListServices",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeTargetGroups",
            ],
            ["*"],
        )
    ]


def simulation(scope: Scope) -> list[Statement]:
    """All that `simulate --stack` and `--cloudwatch` need, for who does nothing else: reads.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html and
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html, whose reads know no
    resources
    """
    stacks = [
        scope.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"),
        scope.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}-*"),
    ]
    read = ("DescribeStacks", "GetTemplate", "ListStackResources")
    return [
        allow("ReadStacks", [f"cloudformation:{name}" for name in read], stacks),
        allow("ReadMetrics", ["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"], ["*"]),
    ]


def drift(templates: Mapping[str, Template], scope: Scope) -> list[Statement]:
    """What `drift` needs besides: to ask for it, and to read each resource of the set.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/detect-drift-stack.html
    """
    stacks = [
        scope.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"),
        scope.arn("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}-*"),
    ]
    asked = ("DescribeStackResourceDrifts", "DetectStackDrift", "DetectStackResourceDrift")
    # These take no resource: the id of a detection, and types.
    anywhere = ("BatchDescribeTypeConfigurations", "DescribeStackDriftDetectionStatus")
    return [
        allow("DetectDrift", [f"cloudformation:{name}" for name in asked], stacks),
        allow("FollowDrift", [f"cloudformation:{name}" for name in anywhere], ["*"]),
        *readers(templates, scope),
    ]


def imports(wanted: Sequence[Import], scope: Scope) -> list[Statement]:
    """What `import` needs besides: to read what it takes in, which Cloud Control does in the asker's name.

    https://docs.aws.amazon.com/cloudcontrolapi/latest/userguide/security.html
    """
    taken = {"": {"Resources": {each.path: {"Type": each.type, "Properties": {}} for each in wanted}}}
    # It takes no resource.
    return [allow("AskCloudControl", ["cloudformation:GetResource"], ["*"]), *readers(taken, scope)]


def moves() -> list[Statement]:
    """What `move` needs besides. Whoever has it may ask for moves between any stacks."""
    # No page names a resource for these.
    verbs = ("CreateStackRefactor", "DescribeStackRefactor", "ExecuteStackRefactor", "ListStackRefactorActions",
             "ListStackRefactors")  # fmt: skip
    return [allow("MoveResources", [f"cloudformation:{name}" for name in verbs], ["*"])]


#: What of a service is read, as its ARN says.
KINDS = ("service-deployment", "service-revision", "task")
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
