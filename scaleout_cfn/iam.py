"""Every policy document, each named for what it allows. Pure functions of ARNs that come from resources.

`"*"` stands as a resource only where AWS has no resource-level permission for the action:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmessagegatewayservice.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import awacs.aws
from awacs import ecr, ecs, logs, s3, secretsmanager, ssm, ssmmessages, sts
from awacs.aws import (
    Action,
    Allow,
    ArnEquals,
    ArnLike,
    Bool,
    Condition,
    Deny,
    ForAllValuesStringEquals,
    ForAnyValueStringEquals,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
    StringLike,
)
from troposphere import Join, Ref, Sub, encode_to_dict

from scaleout_cfn.config.permissions import Permissions


def _document(*statements: Statement) -> PolicyDocument:
    return PolicyDocument(Version="2012-10-17", Statement=list(statements))


def _allow(
    sid: str, actions: Sequence[Action], resources: Sequence[Any], condition: Condition | None = None
) -> Statement:
    more = {"Condition": condition} if condition else {}
    return Statement(Sid=sid, Effect=Allow, Action=list(actions), Resource=list(resources), **more)


def assumed_by(service: str) -> PolicyDocument:
    """The trust policy of a role that one AWS service takes on, for this account's resources only.

    EC2 sends no source account, and CodePipeline's page asks for none. Both take on roles of their resource's own
    account in any case, for nobody can pass a role to another one.
    https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-create-service-role-cli.html
    """
    confused_deputy = {"Condition": Condition(StringEquals({"aws:SourceAccount": Ref("AWS::AccountId")}))}
    return _document(
        Statement(
            Sid="Assume",
            Effect=Allow,
            Action=[sts.AssumeRole],
            Principal=Principal("Service", f"{service}.amazonaws.com"),
            **({} if service in ("ec2", "codepipeline") else confused_deputy),
        )
    )


def cluster_arn(name: object) -> Sub:
    return Sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:cluster/${Cluster}", Cluster=name)


def join_cluster(cluster_arn: object) -> PolicyDocument:
    """What the ECS agent of a container instance does, in one cluster.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html
    """
    in_cluster = Condition(ArnEquals({"ecs:cluster": cluster_arn}))
    return _document(
        _allow("FindEndpoint", [ecs.DiscoverPollEndpoint], ["*"]),
        _allow(
            "Register",
            [
                ecs.RegisterContainerInstance,
                ecs.DeregisterContainerInstance,
                ecs.SubmitAttachmentStateChanges,
                ecs.SubmitContainerStateChange,
                ecs.SubmitTaskStateChange,
            ],
            [cluster_arn],
        ),
        _allow(
            "Serve",
            [ecs.Poll, ecs.StartTelemetrySession, ecs.UpdateContainerInstancesState],
            [_container_instances()],
            in_cluster,
        ),
    )


def aws_policy(name: str) -> Sub:
    """The ARN of a policy that AWS keeps.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-awsmanpol.html
    """
    return Sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{name}")


def pass_instance_role(role_arn: object) -> PolicyDocument:
    """Let ECS start Managed Instances that act by one role.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-instance-profile.html
    """
    passed = Condition(StringEquals({"iam:PassedToService": "ec2.amazonaws.com"}))
    return _document(_allow("PassInstanceRole", _actions("iam:PassRole"), [role_arn], passed))


def _container_instances() -> Sub:
    return Sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:container-instance/*")


def be_managed_by_session_manager() -> PolicyDocument:
    """A shell without SSH: what the SSM agent of an instance needs, and no more.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    """
    return _document(
        _allow("Report", [ssm.UpdateInstanceInformation], ["*"]),
        _allow("OpenChannels", _CHANNELS, ["*"]),
    )


def carry_exec_sessions(log_group: object | None = None, key_arn: object | None = None) -> PolicyDocument:
    """What ECS Exec needs of a task: channels, and where sessions are logged or encrypted, that log group and that key.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html#ecs-exec-required-iam-permissions
    """
    statements = [_allow("OpenChannels", _CHANNELS, ["*"])]
    if log_group is not None:
        every_group = Sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*")
        writing = [logs.CreateLogStream, logs.DescribeLogStreams, logs.PutLogEvents]
        statements.append(_allow("FindLogGroup", [logs.DescribeLogGroups], [every_group]))
        statements.append(_allow("LogSessions", writing, [log_group_arn(log_group)]))
    if key_arn is not None:
        statements.append(_allow("OpenSessions", _actions("kms:Decrypt"), [key_arn]))
    return _document(*statements)


_CHANNELS = [
    ssmmessages.CreateControlChannel,
    ssmmessages.CreateDataChannel,
    ssmmessages.OpenControlChannel,
    ssmmessages.OpenDataChannel,
]


def pull_image(repository_arn: object | None, others: Sequence[str] = ()) -> PolicyDocument:
    """Pull from one ECR repository, where a service has one, and from others that are named by ARN."""
    pull = [ecr.BatchCheckLayerAvailability, ecr.BatchGetImage, ecr.GetDownloadUrlForLayer]
    return _document(
        _allow("SignIn", [ecr.GetAuthorizationToken], ["*"]),
        *([_allow("Pull", pull, [repository_arn])] if repository_arn is not None else []),
        *([_allow("PullFrom", pull, sorted(others))] if others else []),
    )


def log_group_arn(name: object) -> Sub:
    arn = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${LogGroup}:*"
    return Sub(arn, LogGroup=name)


def write_logs(log_group_arn: object) -> PolicyDocument:
    """Write to the streams of one log group. `log_group_arn` ends in `:*`, as GetAtt gives it."""
    return _document(_allow("Write", [logs.CreateLogStream, logs.PutLogEvents], [log_group_arn]))


def write_flow_logs(log_group_arn: object) -> PolicyDocument:
    """Deliver VPC flow logs to one log group.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """
    return _document(
        _allow("Deliver", [logs.CreateLogStream, logs.DescribeLogStreams, logs.PutLogEvents], [log_group_arn])
    )


def send_traces() -> PolicyDocument:
    """Send traces to X-Ray, and ask how many of them are wanted. None of it is of a resource.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """
    actions = (
        "xray:GetSamplingRules",
        "xray:GetSamplingStatisticSummaries",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    )
    return _document(_allow("Send", _actions(*actions), ["*"]))


def put_records(stream_arn: str) -> PolicyDocument:
    """Put records into one Firehose or Kinesis stream."""
    action = "firehose:PutRecordBatch" if ":firehose:" in stream_arn else "kinesis:PutRecords"
    return _document(_allow("Put", _actions(action), [stream_arn]))


def put_objects(bucket_arn: str) -> PolicyDocument:
    """Put objects into one bucket."""
    return _document(_allow("Put", [s3.PutObject], [in_any_partition(f"{bucket_arn}/*")]))


def mounted_by_tls() -> PolicyDocument:
    """The policy of a file system that is mounted over TLS only, and by whoever a policy of theirs lets.

    https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
    """
    return _document(
        Statement(
            Sid="TlsOnly",
            Effect=Deny,
            Principal=Principal("AWS", "*"),
            Action=_actions("elasticfilesystem:*"),
            Condition=Condition(Bool({"aws:SecureTransport": "false"})),
        )
    )


def mount_file_system(system: object, point: object | None, *, writes: bool, as_root: bool) -> PolicyDocument:
    """Mount one file system, by its id, and by one access point where there is one.

    https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
    """
    names = ["ClientMount", *(["ClientWrite"] if writes else []), *(["ClientRootAccess"] if as_root else [])]

    def arn(kind: str, name: object) -> Sub:
        here = "arn:${AWS::Partition}:elasticfilesystem:${AWS::Region}:${AWS::AccountId}:"
        return Sub(f"{here}{kind}/${{Id}}", Id=name)

    by = None
    if point is not None:
        by = Condition(StringEquals({"elasticfilesystem:AccessPointArn": arn("access-point", point)}))
    actions = _actions(*(f"elasticfilesystem:{name}" for name in names))
    return _document(_allow("Mount", actions, [arn("file-system", system)], by))


def shift_requests(group_arns: Sequence[object], rule_arns: Sequence[object]) -> PolicyDocument:
    """What ECS does to bring a version beside another: register in two target groups, and move the weights of rules.

    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonECSInfrastructureRolePolicyForLoadBalancers.html
    """
    elb = "elasticloadbalancing"
    looks = ("DescribeListeners", "DescribeRules", "DescribeTargetGroups", "DescribeTargetHealth")
    return _document(
        _allow("Look", _actions(*(f"{elb}:{name}" for name in looks)), ["*"]),
        _allow("Register", _actions(f"{elb}:RegisterTargets", f"{elb}:DeregisterTargets"), group_arns),
        _allow("Shift", _actions(f"{elb}:ModifyRule"), rule_arns),
    )


def call_functions(arns: Sequence[str]) -> PolicyDocument:
    """Call Lambda functions at stages of a deployment.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-permissions.html
    """
    return _document(_allow("Call", _actions("lambda:InvokeFunction"), [in_any_partition(arn) for arn in arns]))


def use_key_for_volumes(key_arn: object) -> PolicyDocument:
    """What ECS needs of a key to make volumes that are encrypted by it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ebs-kms-encryption.html
    """
    actions = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*")
    for_aws = Condition(Bool({"kms:GrantIsForAWSResource": "true"}))
    return _document(
        _allow("UseKey", _actions(*actions), [key_arn]),
        _allow("GrantKey", _actions("kms:CreateGrant"), [key_arn], for_aws),
    )


def read_secrets(arns: Sequence[str], keys: Sequence[object] = ()) -> PolicyDocument:
    """Read given SSM parameters and Secrets Manager secrets, and no others, and open what is encrypted by some keys.

    A secret's ARN may name a key, a stage and a version after it, which are no part of the resource.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    """
    secrets = sorted({":".join(arn.split(":")[:7]) for arn in arns if ":secretsmanager:" in arn})
    parameters = sorted({arn for arn in arns if ":ssm:" in arn})
    statements = []
    if secrets:
        statements.append(_allow("ReadSecrets", [secretsmanager.GetSecretValue], secrets))
    if parameters:
        statements.append(_allow("ReadParameters", [ssm.GetParameters], parameters))
    if keys:
        # The secret may be in another region.
        via = Condition(StringLike({"kms:ViaService": ["secretsmanager.*.amazonaws.com", "ssm.*.amazonaws.com"]}))
        statements.append(_allow("OpenSecrets", _actions("kms:Decrypt"), keys, via))
    return _document(*statements)


def read_secret(arn: object, key_arn: object | None) -> PolicyDocument:
    """Read one secret, and open it where it is encrypted by a key that is not AWS's."""
    statements = [_allow("ReadSecret", [secretsmanager.GetSecretValue], [arn])]
    if key_arn is not None:
        via = Condition(StringEquals({"kms:ViaService": Sub("secretsmanager.${AWS::Region}.amazonaws.com")}))
        statements.append(_allow("OpenSecret", _actions("kms:Decrypt"), [key_arn], via))
    return _document(*statements)


def use_attached(arn: object, intents: Sequence[str], key_arn: object | None) -> PolicyDocument:
    """Do to one thing what some intents say, and use the key that it is encrypted by, through its service."""
    statements = intend(**{intent: [arn] for intent in intents})
    if key_arn is not None:
        actions = {action for statement in statements for action in statement.Action}
        services = sorted({action.prefix for action in actions})
        via = [Sub(f"{service}.${{AWS::Region}}.amazonaws.com") for service in services]
        ((_, using, _),) = INTENTS["uses_key"]
        condition = Condition(StringEquals({"kms:ViaService": via}))
        statements.append(_allow("UseKey", _actions(*using.split()), [key_arn], condition))
    return _document(*statements)


def use_key(key_arn: object, *services: str) -> PolicyDocument:
    """Read and write what is encrypted by a key in some of AWS's services, as `s3` or `sqs`, and use it nowhere else.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
    """
    via = [Sub(f"{service}.${{AWS::Region}}.amazonaws.com") for service in services]
    condition = Condition(StringEquals({"kms:ViaService": via}))
    return _document(_allow("UseKey", _actions("kms:Decrypt", "kms:GenerateDataKey"), [key_arn], condition))


def key_policy(root: object) -> PolicyDocument:
    """Who may use a set's key: the account by its IAM policies, and the services that do not act by a role of the set.

    `root` is the root stack's name, with which the names of the set's log groups begin. It is the same for every set:
    were it to change with what is in one, all that stands on the key might be replaced, as CloudFormation sees it.
    """
    account = Ref("AWS::AccountId")
    groups = [
        Sub(f"arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{name}", {"Root": root})
        # WAF's begin as it wants them to.
        for name in ("${Root}-*", "aws-waf-logs-${Root}-*")
    ]
    in_cluster = {"kms:EncryptionContext:aws:ecs:clusterAccount": account}
    scaling = Sub(
        "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/autoscaling.amazonaws.com"
        "/AWSServiceRoleForAutoScaling"
    )
    by_scaling = {"aws:PrincipalArn": scaling, "kms:CallerAccount": account}

    def let(sid: str, principal: Principal, actions: Sequence[str], *conditions: Any) -> Statement:
        more = {"Condition": Condition(list(conditions))} if conditions else {}
        return Statement(Sid=sid, Effect=Allow, Principal=principal, Action=_actions(*actions), Resource=["*"], **more)

    return _document(
        let("Account", Principal("AWS", Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")), ["kms:*"]),
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        let(
            "LogGroups",
            Principal("Service", Sub("logs.${AWS::Region}.${AWS::URLSuffix}")),
            ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            ArnLike({"kms:EncryptionContext:aws:logs:arn": groups}),
        ),
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
        let(
            "Alarms",
            Principal("Service", "cloudwatch.amazonaws.com"),
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            StringEquals({"aws:SourceAccount": account}),
        ),
        # By its ARN and not as the principal: KMS refuses one that is not there, and an account gets this role with its
        # first group. https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
        let(
            "NodeVolumes",
            Principal("AWS", "*"),
            ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            StringEquals(by_scaling),
        ),
        let(
            "NodeVolumeGrants",
            Principal("AWS", "*"),
            ["kms:CreateGrant"],
            StringEquals(by_scaling),
            Bool({"kms:GrantIsForAWSResource": "true"}),
        ),
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-create-storage-key.html
        let(
            "FargateStorage",
            Principal("Service", "fargate.amazonaws.com"),
            ["kms:GenerateDataKeyWithoutPlaintext"],
            StringEquals(in_cluster),
        ),
        let(
            "FargateStorageGrants",
            Principal("Service", "fargate.amazonaws.com"),
            ["kms:CreateGrant"],
            StringEquals(in_cluster),
            ForAllValuesStringEquals({"kms:GrantOperations": ["Decrypt"]}),
        ),
    )


def read_environment_files(arns: Sequence[str]) -> PolicyDocument:
    """Read given objects of S3, and no others.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/use-environment-file.html
    """
    buckets = sorted({arn.partition("/")[0] for arn in arns})
    return _document(
        _allow("FindBucket", [s3.GetBucketLocation], [in_any_partition(arn) for arn in buckets]),
        _allow("ReadFiles", [s3.GetObject], [in_any_partition(arn) for arn in sorted(set(arns))]),
    )


#: What each intent allows: the Sid, the actions, and what of the thing that is named: itself, or what is in it.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_s3_rw-bucket.html
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-data-crud.html
#: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
#: https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
#: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-users-crypto
INTENTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "reads_bucket": (
        ("FindObjects", "s3:GetBucketLocation s3:ListBucket", ""),
        ("ReadObjects", "s3:GetObject", "/*"),
    ),
    "writes_bucket": (
        ("WriteObjects", "s3:AbortMultipartUpload s3:DeleteObject s3:ListMultipartUploadParts s3:PutObject", "/*"),
    ),
    "uses_table": (
        (
            "UseTable",
            "dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:ConditionCheckItem dynamodb:DeleteItem"
            " dynamodb:DescribeTable dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:Scan"
            " dynamodb:UpdateItem",
            "",
        ),
        ("UseIndexes", "dynamodb:Query dynamodb:Scan", "/index/*"),
    ),
    "sends_to_queue": (("SendMessages", "sqs:GetQueueUrl sqs:SendMessage", ""),),
    "publishes_to": (("Publish", "sns:Publish", ""),),
    # No grants: they are for services that go on by themselves, as RDS does.
    "uses_key": (("UseKeys", "kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey", ""),),
}


def intend(**arns: Sequence[Any]) -> list[Statement]:
    """The statements of intents, each with the ARNs that it is about: of what is written down, or of resources."""
    return [
        _allow(sid, _actions(*actions.split()), [_inside(arn, below) for arn in arns[intent]])
        for intent, allowed in INTENTS.items()
        if arns.get(intent)
        for sid, actions, below in allowed
    ]


def _inside(arn: Any, below: str) -> Any:
    """What is below a thing, by the ARN of that."""
    if isinstance(arn, str):
        return in_any_partition(f"{arn}{below}")
    return Join("", [arn, below]) if below else arn


def in_any_partition(arn: str) -> Any:
    """An ARN as it is written, and one without an account's number as it is in the partition of the stack."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[4].isdecimal():
        return arn
    # What looks like a variable of ours is one of IAM's.
    rest = ":".join(parts[2:]).replace("${", "${!")
    return Sub(f"arn:${{AWS::Partition}}:{rest}")


def permit(permissions: Permissions) -> PolicyDocument:
    """What a config's section allows the application."""
    statements = intend(**{intent: sorted(getattr(permissions, intent)) for intent in INTENTS})
    for number, given in enumerate(permissions.statements, 1):
        words = re.findall("[A-Za-z0-9]+", given.reason)
        sid = "".join(word[0].upper() + word[1:] for word in words) or "Statement"
        if not words or any(sid == statement.Sid for statement in statements):
            sid += str(number)
        elements = [
            getattr(awacs.aws, operator.replace(":", ""))(
                {key: value if isinstance(value, str) else list(value) for key, value in sorted(keys.items())}
            )
            for operator, keys in sorted(given.conditions.items())
        ]
        resources = [in_any_partition(arn) for arn in sorted(given.resources)] or ["*"]
        statements.append(_allow(sid, _actions(*given.actions), resources, Condition(elements) if elements else None))
    return _document(*statements)


#: What the inline policies of a role may come to.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length
INLINE_CHARACTERS = 10_240
#: Of one managed policy, as that page says.
MANAGED_CHARACTERS = 6_144


#: Of the ARN of a table of the set, say: its name begins with the stack's.
LATER_CHARACTERS = 100


def characters(document: PolicyDocument) -> int:
    """How long IAM finds a policy: it counts no space. What is known later counts as an ARN that is rather long, and a
    name within one as it is written."""
    text = json.dumps(encode_to_dict(document), separators=(",", ":"))
    text = re.sub(r'\{"Fn::Sub":\[("[^"]*"),\{("\w+":\{"Ref":"[^"]*"\},?)+\}\]\}', r"\1", text)
    text = re.sub(r'\{"Ref":"[^":]+"\}', f'"{"x" * LATER_CHARACTERS}"', text)
    return len(re.sub(r'\{"Fn::Sub":("[^"]*")\}', r"\1", text).replace("${AWS::Partition}", "aws"))


def in_parts(document: PolicyDocument) -> list[PolicyDocument]:
    """A policy as as few managed policies as it fits into, each statement whole."""
    parts: list[list[Statement]] = [[]]
    for statement in document.Statement:
        if parts[-1] and characters(_document(*parts[-1], statement)) > MANAGED_CHARACTERS:
            parts.append([])
        parts[-1].append(statement)
    return [_document(*part) for part in parts]


def receive_balancer_logs(bucket_arn: object) -> PolicyDocument:
    """Let this account's load balancers write access logs to a bucket, and let nobody near it without TLS.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    return _document(
        Statement(
            Sid="Deliver",
            Effect=Allow,
            Principal=Principal("Service", "logdelivery.elasticloadbalancing.amazonaws.com"),
            Action=[s3.PutObject],
            Resource=[Join("", [bucket_arn, "/AWSLogs/", Ref("AWS::AccountId"), "/*"])],
            Condition=Condition(
                ArnLike(
                    {
                        "aws:SourceArn": Sub(
                            "arn:${AWS::Partition}:elasticloadbalancing:${AWS::Region}:${AWS::AccountId}:loadbalancer/*"
                        )
                    }
                )
            ),
        ),
        _tls_only("s3", [bucket_arn, Join("", [bucket_arn, "/*"])]),
    )


def receive_bucket_logs(bucket_arn: Any) -> PolicyDocument:
    """Let S3 write the logs of this account's buckets to one, and let nobody near it without TLS.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    return _document(
        Statement(
            Sid="Deliver",
            Effect=Allow,
            Principal=Principal("Service", "logging.s3.amazonaws.com"),
            Action=[s3.PutObject],
            Resource=[Join("", [bucket_arn, "/*"])],
            Condition=Condition(StringEquals({"aws:SourceAccount": Ref("AWS::AccountId")})),
        ),
        _tls_only("s3", [bucket_arn, Join("", [bucket_arn, "/*"])]),
    )


def refuse_plain_http(bucket_arn: object) -> PolicyDocument:
    """Let nobody near a bucket without TLS."""
    return only_by_tls("s3", [bucket_arn, Join("", [bucket_arn, "/*"])])


def only_by_tls(service: str, arns: Sequence[object]) -> PolicyDocument:
    """Let nobody near what a service keeps without TLS."""
    return _document(_tls_only(service, arns))


def _tls_only(service: str, arns: Sequence[object]) -> Statement:
    return Statement(
        Sid="TlsOnly",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[Action(service, "*")],
        Resource=list(arns),
        Condition=Condition(Bool({"aws:SecureTransport": "false"})),
    )


def receive_messages(queue_arn: object) -> PolicyDocument:
    """What a worker does with its queue.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """
    names = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
    return _document(_allow("Receive", _actions(*(f"sqs:{name}" for name in names)), [queue_arn]))


def send_messages(queue_arns: Sequence[object]) -> PolicyDocument:
    """Send to queues of others."""
    return _document(_allow("Send", _actions("sqs:SendMessage"), queue_arns))


GITHUB = "token.actions.githubusercontent.com"


def assumed_by_github(provider_arn: object, subject: str) -> PolicyDocument:
    """The trust policy of a role that the workflows of one repository take on, on one branch or in one environment.

    https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
    """
    return _document(
        Statement(
            Sid="Assume",
            Effect=Allow,
            Action=[sts.AssumeRoleWithWebIdentity],
            Principal=Principal("Federated", provider_arn),
            Condition=Condition(StringEquals({f"{GITHUB}:aud": "sts.amazonaws.com", f"{GITHUB}:sub": subject})),
        )
    )


def push_image(repository_arn: object) -> PolicyDocument:
    """Push to one ECR repository, and ask for the digest of what was pushed.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
    """
    return _document(
        _allow("SignIn", [ecr.GetAuthorizationToken], ["*"]),
        _allow(
            "Push",
            [
                ecr.BatchCheckLayerAvailability,
                ecr.BatchGetImage,
                ecr.CompleteLayerUpload,
                ecr.DescribeImages,
                ecr.InitiateLayerUpload,
                ecr.PutImage,
                ecr.UploadLayerPart,
            ],
            [repository_arn],
        ),
    )


def read_artifacts(bucket_arn: object) -> PolicyDocument:
    """What a CodeBuild project reads of a pipeline's artifacts.

    https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html
    """
    return _document(
        _allow("FindBucket", [s3.GetBucketAcl, s3.GetBucketLocation], [bucket_arn]),
        _allow("ReadArtifacts", [s3.GetObject, s3.GetObjectVersion], [Join("", [bucket_arn, "/*"])]),
    )


def run_pipeline(
    bucket_arn: object,
    project_arns: Sequence[object],
    *,
    connection_arn: str | None = None,
    repository_arn: object | None = None,
) -> PolicyDocument:
    """What CodePipeline does itself: keep artifacts, start builds, and look into one source.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html
    """
    statements = [
        _allow("FindBucket", [s3.GetBucketAcl, s3.GetBucketLocation, s3.GetBucketVersioning], [bucket_arn]),
        _allow("KeepArtifacts", [s3.GetObject, s3.GetObjectVersion, s3.PutObject], [Join("", [bucket_arn, "/*"])]),
        _allow("Build", _actions("codebuild:BatchGetBuilds", "codebuild:StartBuild"), project_arns),
    ]
    if connection_arn is not None:
        # The prefix of the action is that of the ARN; connections made before July 2024 have the old one.
        # https://docs.aws.amazon.com/dtconsole/latest/userguide/security-iam.html
        service = connection_arn.split(":")[2]
        statements.append(_allow("ReadSource", _actions(f"{service}:UseConnection"), [connection_arn]))
    if repository_arn is not None:
        statements.append(_allow("ReadImage", [ecr.DescribeImages], [repository_arn]))
    return _document(*statements)


def run_task(cluster_arn: object, cluster: object, role_arns: Sequence[object]) -> PolicyDocument:
    """Begin tasks of the family that is named as its stack, in one cluster.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/CWE_IAM_role.html
    """
    family = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task-definition/${AWS::StackName}:*"
    tasks = Sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task/${Cluster}/*", {"Cluster": cluster})
    in_cluster = Condition(ArnEquals({"ecs:cluster": cluster_arn}))
    return _document(
        _allow("Run", [ecs.RunTask], [Sub(family)], in_cluster),
        _allow("Tag", [ecs.TagResource], [tasks], Condition(StringEquals({"ecs:CreateAction": "RunTask"}))),
        _allow(
            "PassRoles",
            _actions("iam:PassRole"),
            role_arns,
            Condition(StringEquals({"iam:PassedToService": "ecs-tasks.amazonaws.com"})),
        ),
    )


def start_guard(machine_arn: object) -> PolicyDocument:
    """Start one state machine."""
    return _document(_allow("Start", _actions("states:StartExecution"), [machine_arn]))


def look_for_tasks(cluster_arn: object) -> PolicyDocument:
    """See which tasks run in one cluster: ListTasks is allowed by container instance, and else by cluster."""
    return _document(
        _allow("Look", [ecs.ListTasks], ["*"], Condition(ArnEquals({"ecs:cluster": cluster_arn}))),
    )


def start_pipeline(pipeline_arn: object) -> PolicyDocument:
    """What an EventBridge rule may do: start one pipeline."""
    return _document(_allow("Start", _actions("codepipeline:StartPipelineExecution"), [pipeline_arn]))


def deploy_image(
    root: object,
    titles: Sequence[str],
    role_prefixes: Sequence[object],
    templates_bucket: object,
    *,
    reaching: bool,
    boundary: str,
    managed_policies: Collection[str] = (),
    volumes: bool = False,
    deployment_prefixes: Sequence[object] = (),
    path: str = "/",
    policy_prefixes: Sequence[object] = (),
    cluster: str = "${Root}-",
    scheduled: bool = False,
    guarded: bool = False,
    runs: Sequence[str] = (),
) -> PolicyDocument:
    """Bring an image to the services that run it by an update of the root stack, and nothing else.

    `root` is the root stack's name, `titles` those of the services' and jobs' stacks, `role_prefixes` what the
    names of their roles begin with, `reaching` whether they let themselves in to others, `managed_policies` what is
    attached to their roles, `volumes` whether ECS makes volumes for their tasks, `deployment_prefixes` what the names
    of the roles begin with by which ECS moves requests to new versions, `path` that of roles and policies,
    and `policy_prefixes` what the names of their managed policies begin with, where these are the set's own, and
    `cluster` what the cluster's begins with. `scheduled` says whether a schedule starts one of the jobs, `guarded`
    whether a state machine does, and `runs` names the stacks of those that the deployment runs itself. Besides the
    change set itself all is for CloudFormation alone, which works with its caller's permissions where the stack has
    no role of its own: whoever has these permissions cannot use them past the stack.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/fas-requests-and-permission-evaluation.html

    The actions are those that CloudFormation's handlers call for the types of the services' stacks.
    """

    def here(rest: str) -> Sub:
        service, rest = rest.split(":", 1)
        named = {"Root": root} if "${Root}" in rest else {}
        return Sub(f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}", named)

    handed_to = ["ecs-tasks.amazonaws.com"]
    for service, is_one in (("ecs", volumes), ("scheduler", scheduled), ("states", guarded)):
        handed_to += [f"{service}.amazonaws.com"] if is_one else []
    called = ForAnyValueStringEquals({"aws:CalledVia": ["cloudformation.amazonaws.com"]})
    via = Condition(called)
    bounded = [StringEquals({"iam:PermissionsBoundary": boundary})] if boundary else []
    roles, deploying = (
        [
            Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role{path}${{Prefix}}*", {"Prefix": prefix})
            for prefix in prefixes
        ]
        for prefixes in (role_prefixes, deployment_prefixes)
    )
    templates = Sub("arn:${AWS::Partition}:s3:::${Bucket}/*", {"Bucket": templates_bucket})
    linked = "ecs.application-autoscaling.amazonaws.com"
    nested = here("cloudformation:stack/${Root}-*/*")
    new = [here(f"cloudformation:stack/${{Root}}-{title}-*/*") for title in titles]
    statements = [
        _allow("ChangeStack", _actions(*CHANGE_SETS), [here("cloudformation:stack/${Root}/*"), nested]),
        _allow("ReadTemplates", [s3.GetObject], [templates]),
        _allow("ReadPublicParameters", [ssm.GetParameters], [_public_parameters()]),
        _allow("UpdateNested", _actions(*NESTED), [nested], via),
        _allow("FirstDeployment", _actions("cloudformation:CreateStack", "cloudformation:DeleteStack"), new, via),
        _allow(
            "Ecs",
            _actions(*ECS),
            [here(f"ecs:{kind}/{cluster}*") for kind in ("cluster", "service", "service-deployment")]
            + [here(f"ecs:task-definition/${{Root}}-{title}-*") for title in titles],
            via,
        ),
        _allow("TaskDefinitions", _actions("ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition"), ["*"], via),
        _allow("Roles", _actions(*ROLES, *(() if boundary else ROLE_CONTENT)), roles, via),
        # Without the condition of the others: no page says that a check of PassRole has it.
        _allow(
            "PassRoles",
            _actions("iam:PassRole"),
            roles,
            Condition(StringEquals({"iam:PassedToService": handed_to if len(handed_to) > 1 else handed_to[0]})),
        ),
        _allow(
            "LinkedRole",
            _actions("iam:CreateServiceLinkedRole"),
            [Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/aws-service-role/{linked}/*")],
            Condition(StringEquals({"iam:AWSServiceName": linked})),
        ),
        _allow("Scale", _actions(*SCALING), [here("application-autoscaling:scalable-target/*")], via),
        _allow("ReadScaling", _actions(*SCALING_READS), ["*"], via),
        _allow(
            "Alarms",
            _actions(*ALARMS),
            # The second are what target tracking makes.
            [here("cloudwatch:alarm:${Root}-*"), here("cloudwatch:alarm:TargetTracking-*")],
            via,
        ),
    ]
    if deploying:
        # An update of a service names it again, and with it the role of its load balancer and of its hooks.
        handed = Condition(StringEquals({"iam:PassedToService": "ecs.amazonaws.com"}))
        statements.append(_allow("PassDeploymentRoles", _actions("iam:PassRole"), deploying, handed))
    if scheduled:
        statements.append(_allow("Schedules", _actions(*SCHEDULES), [here("scheduler:schedule/*/*")], via))
    if guarded:
        # A name that CloudFormation makes of the logical id alone.
        statements.append(_allow("Guards", _actions(*GUARDS), [here("states:stateMachine:Guard-*")], via))
    if runs:
        tasks, root_stack = [here(f"ecs:task/{cluster}*/*")], here("cloudformation:stack/${Root}/*")
        families = [here(f"ecs:task-definition/${{Root}}-{title}-*") for title in runs]
        in_cluster = Condition(ArnLike({"ecs:cluster": here(f"ecs:cluster/{cluster}*")}))
        statements += [
            _allow("FindJobs", _actions("cloudformation:DescribeStackResource"), [root_stack]),
            _allow("RunJobs", [ecs.RunTask], families, in_cluster),
            _allow("TagJobs", [ecs.TagResource], tasks, Condition(StringEquals({"ecs:CreateAction": "RunTask"}))),
            _allow("FollowJobs", [ecs.DescribeTasks], tasks),
        ]
    if boundary:
        statements.append(_allow("BoundedRoles", _actions(*ROLE_CONTENT), roles, Condition([called, *bounded])))
    if managed_policies:
        # The role comes with the first image; attached to it is what the config names.
        these = ArnEquals({"iam:PolicyARN": [in_any_partition(arn) for arn in sorted(managed_policies)]})
        attach = _actions("iam:AttachRolePolicy")
        statements.append(_allow("AttachPolicies", attach, roles, Condition([called, *bounded, these])))
        statements.append(_allow("DetachPolicies", _actions("iam:DetachRolePolicy"), roles, via))
    if policy_prefixes:
        own = [
            Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy{path}${{Prefix}}*", {"Prefix": prefix})
            for prefix in policy_prefixes
        ]
        attached = Condition([called, *bounded, ArnLike({"iam:PolicyARN": own})])
        statements.append(_allow("OwnPolicies", _actions(*OWN_POLICIES), own, via))
        statements.append(_allow("AttachOwnPolicies", _actions("iam:AttachRolePolicy"), roles, attached))
        statements.append(_allow("DetachOwnPolicies", _actions("iam:DetachRolePolicy"), roles, via))
    if reaching:
        groups = [here(f"ec2:{kind}/*") for kind in ("security-group", "security-group-rule")]
        statements.append(_allow("SecurityGroups", _actions(*INGRESS), groups, via))
        statements.append(_allow("ReadSecurityGroups", _actions(*GROUP_READS), ["*"], via))
    return _document(*statements)


CHANGE_SETS = (
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
)
NESTED = (
    "cloudformation:GetStackPolicy",
    "cloudformation:GetTemplate",
    "cloudformation:SetStackPolicy",
    "cloudformation:TagResource",
    "cloudformation:UpdateStack",
)
ECS = (
    "ecs:CreateService",
    "ecs:DeleteService",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServices",
    "ecs:ListServiceDeployments",
    "ecs:ListTagsForResource",
    "ecs:RegisterTaskDefinition",
    "ecs:StopServiceDeployment",
    "ecs:TagResource",
    "ecs:UntagResource",
    "ecs:UpdateService",
)
ROLES = (
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:TagRole",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateRoleDescription",
)
#: What a permissions boundary can be asked of.
ROLE_CONTENT = ("iam:CreateRole", "iam:PutRolePolicy")
OWN_POLICIES = (
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListEntitiesForPolicy",
    "iam:ListPolicyVersions",
)
SCALING = (
    "application-autoscaling:DeleteScalingPolicy",
    "application-autoscaling:DeleteScheduledAction",
    "application-autoscaling:DeregisterScalableTarget",
    "application-autoscaling:ListTagsForResource",
    "application-autoscaling:PutScalingPolicy",
    "application-autoscaling:PutScheduledAction",
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:TagResource",
    "application-autoscaling:UntagResource",
)
SCALING_READS = (
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions",
    "cloudwatch:GetMetricData",
)
SCHEDULES = ("scheduler:GetSchedule", "scheduler:UpdateSchedule")
GUARDS = (
    "states:DescribeStateMachine",
    "states:ListTagsForResource",
    "states:TagResource",
    "states:UntagResource",
    "states:UpdateStateMachine",
)
ALARMS = (
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:ListTagsForResource",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:TagResource",
    "cloudwatch:UntagResource",
)
INGRESS = (
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
)
GROUP_READS = ("ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups")


def _public_parameters() -> Sub:
    return Sub("arn:${AWS::Partition}:ssm:${AWS::Region}::parameter/aws/service/*")


def _actions(*names: str) -> list[Action]:
    """Actions by name, for services whose awacs modules would cost every render their import."""
    return [Action(*name.split(":")) for name in names]
