"""Attachments: what lies beside the services, each a stack of its own, and how a service comes to use one.

An attachment knows none of its users. Whoever uses it lets itself in, as with `reaches`: one that comes or goes changes
its own stack alone.
"""

from __future__ import annotations

from msgspec import Struct
from troposphere import AWSObject, Join, Ref, dynamodb, ec2, ecs, elasticache, iam, rds, s3

from scaleout_cfn.config import Config
from scaleout_cfn.config.attachments import AnyAttachment, Bucket, Postgres, Table, Valkey, prefix_of
from scaleout_cfn.config.units import Work, jobs_of, names_of, title_of, units, with_stand_ins
from scaleout_cfn.errors import WiringError
from scaleout_cfn.iam import read_secret, refuse_plain_http, use_attached
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.buckets import private_bucket
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import KeyArn, ResourceArn, SecretArn, SecurityGroupId, SubnetIds, Text, Value, VpcId

POSTGRES_PORT, VALKEY_PORT = 5432, 6379


class Attached(Struct, frozen=True):
    """What a stack beside the services hands to those that use it. Each field may be left out.

    It is what the function of such a stack returns, and what `attach` takes: of an attachment `orders`, the entry
    `host` of `environment` is the variable ORDERS_HOST.
    """

    #: Variables: what stands behind the name, in lower case, and the value.
    environment: dict[str, Text] = {}
    #: A secret of Secrets Manager, and which of its JSON keys is which variable.
    secret: SecretArn | None = None
    secret_keys: dict[str, str] = {}
    #: The security group that a user lets itself in to, at a port.
    security_group: SecurityGroupId | None = None
    port: int = 0
    #: What a task may do, by the names of `Permissions` (`reads_bucket`, `uses_table` ...), and to what.
    arn: ResourceArn | None = None
    intents: tuple[str, ...] = ()
    #: The key that all of it is encrypted by, where it is not AWS's.
    key: KeyArn | None = None


# --- ready-made


def postgres(
    stack: Stack,
    name: str,
    settings: Postgres | None = None,
    *,
    vpc_id: VpcId,
    subnets: SubnetIds,
    key: KeyArn | None = None,
) -> Attached:
    """A PostgreSQL database in a nested stack of its own, `OrdersAttachment` for the name `orders`."""
    settings = settings or Postgres()
    return stack.nest(_title(name), _postgres, settings, vpc_id=vpc_id, subnets=subnets, key=key)


def valkey(
    stack: Stack,
    name: str,
    settings: Valkey | None = None,
    *,
    vpc_id: VpcId,
    subnets: SubnetIds,
    key: KeyArn | None = None,
) -> Attached:
    """A Valkey cache in a nested stack of its own, `HotAttachment` for the name `hot`."""
    return stack.nest(_title(name), _valkey, settings or Valkey(), vpc_id=vpc_id, subnets=subnets, key=key)


def bucket(stack: Stack, name: str, settings: Bucket | None = None, *, key: KeyArn | None = None) -> Attached:
    """An S3 bucket in a nested stack of its own, `FilesAttachment` for the name `files`."""
    return stack.nest(_title(name), _bucket, settings or Bucket(), key=key)


def table(stack: Stack, name: str, settings: Table | None = None, *, key: KeyArn | None = None) -> Attached:
    """A DynamoDB table in a nested stack of its own, `CartsAttachment` for the name `carts`."""
    return stack.nest(_title(name), _table, settings or Table(), key=key)


def make(
    stack: Stack, name: str, settings: AnyAttachment, vpc_id: VpcId, subnets: SubnetIds, key: KeyArn | None
) -> Attached:
    if isinstance(settings, Postgres):
        return postgres(stack, name, settings, vpc_id=vpc_id, subnets=subnets, key=key)
    if isinstance(settings, Valkey):
        return valkey(stack, name, settings, vpc_id=vpc_id, subnets=subnets, key=key)
    return (
        bucket(stack, name, settings, key=key)
        if isinstance(settings, Bucket)
        else table(stack, name, settings, key=key)
    )


def _title(name: str) -> str:
    return f"{title_of(name)}Attachment"


def _postgres(stack: Stack, settings: Postgres, *, vpc_id: VpcId, subnets: SubnetIds, key: KeyArn | None) -> Attached:
    """A PostgreSQL database; only those that use it are let in."""
    group = _closed_group(stack, "The database; in only from those that use it.", vpc_id)
    place = stack.add(
        rds.DBSubnetGroup("SubnetGroup", DBSubnetGroupDescription="Where the database is.", SubnetIds=subnets)
    )
    # Of version 15 and later it is the default; said here, so that nobody takes it away unseen.
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
    parameters = stack.add(
        rds.DBParameterGroup(
            "Parameters",
            Description="TLS alone.",
            Family=f"postgres{settings.version}",
            Parameters={"rds.force_ssl": "1"},
        )
    )
    database = rds.DBInstance(
        "Database",
        Engine="postgres",
        EngineVersion=settings.version,
        # The version above is who decides: without this a newer one would be refused.
        AllowMajorVersionUpgrade=True,
        AutoMinorVersionUpgrade=True,
        DBInstanceClass=settings.instance_class,
        StorageType="gp3",
        AllocatedStorage=str(settings.storage_gib),
        StorageEncrypted=True,
        DBName=settings.database,
        MasterUsername="postgres",
        ManageMasterUserPassword=True,
        DBSubnetGroupName=place.ref(),
        VPCSecurityGroups=[group],
        DBParameterGroupName=parameters.ref(),
        PubliclyAccessible=False,
        MultiAZ=settings.multi_az,
        BackupRetentionPeriod=settings.backup_days,
        CopyTagsToSnapshot=True,
        DeletionProtection=settings.deletion_protection,
        EnableCloudwatchLogsExports=["postgresql", "upgrade"],
        DeletionPolicy="Snapshot",
        UpdateReplacePolicy="Snapshot",
        # RDS takes the newest minor version of a major one; cfn-lint takes most of them for versions that are gone.
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.DBVersions.html
        Metadata={"cfn-lint": {"config": {"ignore_checks": ["W3691"]}}},
    )
    if settings.max_storage_gib:
        database.MaxAllocatedStorage = settings.max_storage_gib
    if key is not None:
        database.MasterUserSecret = rds.MasterUserSecret(KmsKeyId=key)
    stack.add(under_key(database, key))
    return Attached(
        environment={
            "host": Text(database.get_att("Endpoint.Address")),
            "port": Text(database.get_att("Endpoint.Port")),
            "name": Text(settings.database),
        },
        secret=SecretArn(database.get_att("MasterUserSecret.SecretArn")),
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
        secret_keys={"username": "username", "password": "password"},
        security_group=group,
        port=POSTGRES_PORT,
        key=key,
    )


def _valkey(stack: Stack, settings: Valkey, *, vpc_id: VpcId, subnets: SubnetIds, key: KeyArn | None) -> Attached:
    """A Valkey cache; only those that use it are let in.

    A group of nodes and not a serverless cache: that has to be given a name, which another set in the account may have.
    """
    group = _closed_group(stack, "The cache; in only from those that use it.", vpc_id)
    place = stack.add(elasticache.SubnetGroup("SubnetGroup", Description="Where the cache is.", SubnetIds=subnets))
    cache = elasticache.ReplicationGroup(
        "Cache",
        ReplicationGroupDescription="A cache of the services that use it.",
        Engine="valkey",
        EngineVersion=settings.version,
        CacheNodeType=settings.node_type,
        NumCacheClusters=settings.nodes,
        AutomaticFailoverEnabled=settings.nodes > 1,
        MultiAZEnabled=settings.nodes > 1,
        AutoMinorVersionUpgrade=True,
        Port=VALKEY_PORT,
        CacheSubnetGroupName=place.ref(),
        SecurityGroupIds=[group],
        AtRestEncryptionEnabled=True,
        TransitEncryptionEnabled=True,
        SnapshotRetentionLimit=settings.snapshot_days,
        # What is in a cache can be made again.
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
    )
    stack.add(under_key(cache, key))
    return Attached(
        environment={
            "host": Text(cache.get_att("PrimaryEndPoint.Address")),
            "port": Text(cache.get_att("PrimaryEndPoint.Port")),
        },
        security_group=group,
        port=VALKEY_PORT,
    )


def _bucket(stack: Stack, settings: Bucket, *, key: KeyArn | None) -> Attached:
    """A bucket; it outlives its stack."""
    expiry = s3.LifecycleRule(
        Id="clean-up",
        Status="Enabled",
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=7),
    )
    if settings.old_versions_days:
        expiry.NoncurrentVersionExpiration = s3.NoncurrentVersionExpiration(NoncurrentDays=settings.old_versions_days)
    files = stack.add(private_bucket("Bucket", expiry, "RetainExceptOnCreate", key))
    stack.add(s3.BucketPolicy("Policy", Bucket=files.ref(), PolicyDocument=refuse_plain_http(files.get_att("Arn"))))
    return Attached(
        environment={"bucket": Text(files.ref())},
        arn=ResourceArn(files.get_att("Arn")),
        intents=("reads_bucket", "writes_bucket"),
        key=key,
    )


def _table(stack: Stack, settings: Table, *, key: KeyArn | None) -> Attached:
    """A table; it outlives its stack."""
    keys = {settings.partition_key: ("HASH", settings.partition_key_type)}
    if settings.sort_key:
        keys[settings.sort_key] = ("RANGE", settings.sort_key_type)
    items = dynamodb.Table(
        "Table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            dynamodb.AttributeDefinition(AttributeName=attribute, AttributeType=kind)
            for attribute, (_, kind) in keys.items()
        ],
        KeySchema=[
            dynamodb.KeySchema(AttributeName=attribute, KeyType=place) for attribute, (place, _) in keys.items()
        ],
        PointInTimeRecoverySpecification=dynamodb.PointInTimeRecoverySpecification(PointInTimeRecoveryEnabled=True),
        DeletionProtectionEnabled=settings.deletion_protection,
        DeletionPolicy="RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
    )
    if key is not None:
        items.SSESpecification = dynamodb.SSESpecification(SSEEnabled=True, SSEType="KMS", KMSMasterKeyId=key)
    stack.add(items)
    return Attached(
        environment={"table": Text(items.ref())},
        arn=ResourceArn(items.get_att("Arn")),
        intents=("uses_table",),
        key=key,
    )


def _closed_group(stack: Stack, description: str, vpc_id: VpcId) -> SecurityGroupId:
    """A security group that lets nobody in yet, and leads nowhere."""
    nowhere = ec2.SecurityGroupRule(
        Description="Nowhere", IpProtocol="icmp", FromPort=252, ToPort=86, CidrIp="255.255.255.255/32"
    )
    group = ec2.SecurityGroup(
        "SecurityGroup",
        GroupDescription=description,
        VpcId=vpc_id,
        # A group without any egress rule is given one to everywhere.
        SecurityGroupEgress=[nowhere],
    )
    return SecurityGroupId(stack.add(group).ref())


# --- who uses it


def attach(stack: Stack, user: str, name: str, attached: Attached) -> None:
    """Let a service or a job use what lies beside it: variables, secrets, a way in, and what its tasks may do.

    `stack` is the root, whose services are there; `name` is what the variables begin with. What stands in for the
    service gets the same. Raises WiringError when there is no such user, or it has no security group of its own.
    """
    config = stack.config
    if not isinstance(config, Config):
        raise WiringError(f"nested stack {stack.title}: services and jobs are attached to by the root alone")
    services: list[tuple[Work, str]] = [(unit, unit.service) for unit in with_stand_ins(units(config))]
    running = [*services, *((job, job.job) for job in jobs_of(config))]
    users = [(work, title) for work, title in running if user == work.container]
    if not users:
        raise WiringError(f"{user} is no service and no job; there is {names_of({**config.services, **config.jobs})}")
    for work, title in users:
        _attach(stack, work, title, name, attached)


def _attach(stack: Stack, work: Work, title: str, name: str, attached: Attached) -> None:
    child = stack.children[title]
    resources = child.template.resources
    prefix = prefix_of(name)

    def give(what: str, value: Value) -> Value:
        return stack.give(title, f"{name}_attachment_{what}", value)

    (container,) = (each for each in resources["TaskDefinition"].ContainerDefinitions if each.Name == work.name)
    key = give("key", attached.key) if attached.key is not None else None
    variables = [
        ecs.Environment(Name=f"{prefix}_{what.upper()}", Value=give(what, value))
        for what, value in sorted(attached.environment.items())
    ]
    if attached.secret is not None:
        secret = give("secret", attached.secret)
        container.Secrets = [
            *container.properties.get("Secrets", []),
            *(
                ecs.Secret(Name=f"{prefix}_{what.upper()}", ValueFrom=Join("", [secret, f":{json_key}::"]))
                for what, json_key in sorted(attached.secret_keys.items())
            ),
        ]
        # For the application to read it again: a task has the password of its start, and RDS makes it anew every week.
        variables.append(ecs.Environment(Name=f"{prefix}_SECRET_ARN", Value=secret))
        for role in ("ExecutionRole", "TaskRole"):
            _allow(resources[role], f"read-{name}", read_secret(secret, key))
    if attached.arn is not None:
        _allow(resources["TaskRole"], f"use-{name}", use_attached(give("arn", attached.arn), attached.intents, key))
    if variables:
        container.Environment = [*container.properties.get("Environment", []), *variables]
    if attached.security_group is not None:
        if "SecurityGroup" not in {**child.template.parameters, **resources}:
            raise WiringError(
                f"{work.key}: under bridge its tasks have the security group of their node, by which all that runs"
                f' there would be let in; set {work.key}.network_mode = "awsvpc"'
            )
        rule = child.add(
            ec2.SecurityGroupIngress(
                f"{title_of(name)}AttachmentIngress",
                Description=f"{work.name} to {name}",
                GroupId=give("security_group", attached.security_group),
                IpProtocol="tcp",
                FromPort=attached.port,
                ToPort=attached.port,
                SourceSecurityGroupId=Ref("SecurityGroup"),
            )
        )
        # No task starts before it is let in.
        if service := resources.get("Service"):
            service.DependsOn = [*service.resource.get("DependsOn", []), rule.title]


def _allow(role: AWSObject, name: str, document: object) -> None:
    role.Policies = [*role.properties.get("Policies", []), iam.Policy(PolicyName=name, PolicyDocument=document)]
