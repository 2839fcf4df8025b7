"""Attachments: what lies beside the services, who may use it, and what becomes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scaleout_cfn as sc
from scaleout_cfn.stacks import attachments
from stacks.helpers import Templates, att, made, of_type, properties, ref, resource

replace = msgspec.structs.replace
KINDS: dict[str, Any] = {"orders": sc.Postgres(), "hot": sc.Valkey(), "files": sc.Bucket(), "carts": sc.Table()}
ROOMY = sc.Ec2Capacity(instance_types=("m7i.large",), max_nodes=8)
FEW = sc.Scaling(max_tasks=4)


def config(*names: str, users: tuple[str, ...] = ("api",), **sections: Any) -> sc.Config:
    """Two services, of which some use all that there is of some names."""
    return sc.Config(
        capacity={"nodes": ROOMY},
        services={"web": sc.WebService(scaling=FEW), "api": sc.InternalService(scaling=FEW)},
        attachments={name: replace(KINDS[name], used_by=users) for name in names or KINDS},
        **sections,
    )


def container(templates: Templates, service: str) -> dict[str, Any]:
    (found,) = properties(templates, f"{service}-service", "TaskDefinition")["ContainerDefinitions"]
    return dict(found)


def policies(templates: Templates, service: str, role: str) -> dict[str, list[dict[str, Any]]]:
    """The statements of a role by the name of the policy."""
    found = properties(templates, f"{service}-service", role).get("Policies", [])
    return {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in found}


# --- who uses it


def test_a_user_is_told_where_it_is_by_variables_and_secrets() -> None:
    api = container(made(config()), "api")
    assert {variable["Name"] for variable in api["Environment"]} == {
        *("ORDERS_HOST", "ORDERS_PORT", "ORDERS_NAME", "ORDERS_SECRET_ARN", "HOT_HOST", "HOT_PORT"),
        *("FILES_BUCKET", "CARTS_TABLE"),
    }
    secret = ref("OrdersAttachmentSecret")
    assert api["Secrets"] == [
        {"Name": "ORDERS_PASSWORD", "ValueFrom": {"Fn::Join": ["", [secret, ":password::"]]}},
        {"Name": "ORDERS_USERNAME", "ValueFrom": {"Fn::Join": ["", [secret, ":username::"]]}},
    ]


def test_the_variables_are_those_that_a_kind_says() -> None:
    for name, section in KINDS.items():
        api = container(made(config(name)), "api")
        told = [variable["Name"] for variable in [*api["Environment"], *api.get("Secrets", [])]]
        assert sorted(told) == sorted(f"{name.upper()}_{variable}" for variable in section.variables)


def test_a_user_lets_itself_in_and_nobody_else_is() -> None:
    templates = made(config("orders", "hot"))
    rules = of_type(templates["api-service.yaml"], "EC2::SecurityGroupIngress")
    assert {title: (rule["FromPort"], rule["ToPort"]) for title, rule in rules.items()} == {
        "HotAttachmentIngress": (6379, 6379),
        "OrdersAttachmentIngress": (5432, 5432),
    }
    assert all(rule["SourceSecurityGroupId"] == ref("SecurityGroup") for rule in rules.values())
    assert rules["OrdersAttachmentIngress"]["GroupId"] == ref("OrdersAttachmentSecurityGroup")
    assert set(resource(templates, "api-service", "Service")["DependsOn"]) == set(rules)
    for name in ("orders", "hot"):
        group = properties(templates, f"{name}-attachment", "SecurityGroup")
        assert "SecurityGroupIngress" not in group
        # One without any egress rule would be given one to everywhere.
        assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == ["255.255.255.255/32"]


def test_who_does_not_use_it_gets_nothing_of_it() -> None:
    with_it, without = made(config()), made(replace(config(), attachments={}))
    assert with_it["web-service.yaml"] == without["web-service.yaml"]
    assert with_it["web-foundation.yaml"] == without["web-foundation.yaml"]


def test_one_that_comes_or_goes_changes_its_own_stack_alone() -> None:
    one, both = (sc.render(sc.compose(config("orders", "files", users=users))) for users in (("api",), ("api", "web")))
    alone = replace(config(), services={"web": sc.WebService(network_mode="awsvpc", scaling=FEW)})
    assert {name for name in both if one[name] != both[name]} == {
        # From bridge to a security group of its own, and so to another target group: docs/moving.md.
        *("capacity.yaml", "root.yaml", "web-foundation.yaml", "web-service.yaml"),
    }
    apart = [
        sc.render(
            sc.compose(
                replace(alone, attachments={"orders": sc.Postgres(used_by=users), "files": sc.Bucket(used_by=users)})
            )
        )
        for users in ((), ("web",))
    ]
    assert {name for name in apart[0] if apart[0][name] != apart[1][name]} == {"root.yaml", "web-service.yaml"}


def test_the_execution_role_reads_that_secret_and_the_application_may_too() -> None:
    templates = made(config("orders"))
    for role in ("ExecutionRole", "TaskRole"):
        (statement,) = policies(templates, "api", role)["read-orders"]
        assert statement["Action"] == ["secretsmanager:GetSecretValue"]
        assert statement["Resource"] == [ref("OrdersAttachmentSecret")]
    assert "read-orders" not in policies(templates, "web", "ExecutionRole")


def test_a_bucket_is_read_and_written_and_a_table_is_used_by_the_task_role() -> None:
    allowed = policies(made(config("files", "carts")), "api", "TaskRole")
    assert [statement["Sid"] for statement in allowed["use-files"]] == ["FindObjects", "ReadObjects", "WriteObjects"]
    assert [statement["Sid"] for statement in allowed["use-carts"]] == ["UseTable", "UseIndexes"]
    for name, statements in allowed.items():
        arn = ref(f"{name.removeprefix('use-').capitalize()}AttachmentArn")
        inside = [{"Fn::Join": ["", [arn, below]]} for below in ("/*", "/index/*")]
        assert all(statement["Resource"] in ([arn], [inside[0]], [inside[1]]) for statement in statements)


def test_what_stands_in_uses_what_the_service_uses() -> None:
    service = sc.WebService(
        network_mode="awsvpc", scaling=FEW, stand_in=sc.StandIn(network_mode="awsvpc", capacity="nodes", tasks=1)
    )
    templates = made(
        replace(config(), services={"web": service}, attachments={"orders": sc.Postgres(used_by=("web",))})
    )
    environments = [
        {variable["Name"] for variable in properties(templates, file, "TaskDefinition")["ContainerDefinitions"][0][key]}
        for file in ("web-service", "web-stand-in-service")
        for key in ("Environment", "Secrets")
    ]
    assert environments[:2] == environments[2:]


def test_a_job_uses_it_as_a_service_does() -> None:
    whole = replace(
        config("orders", "files", users=("migrate", "api")),
        jobs={"migrate": sc.Job(image_of="api"), "idle": sc.Job(image_of="api")},
    )
    templates = made(whole)
    job = templates["migrate-job.yaml"]
    (rule,) = of_type(job, "EC2::SecurityGroupIngress").values()
    assert rule["SourceSecurityGroupId"] == ref("SecurityGroup")
    assert "SecurityGroup" in job["Resources"]
    (found,) = properties(templates, "migrate-job", "TaskDefinition")["ContainerDefinitions"]
    told = {variable["Name"] for variable in [*found["Environment"], *found["Secrets"]]}
    assert told >= {"ORDERS_HOST", "ORDERS_PASSWORD", "FILES_BUCKET"}
    assert "Orders" not in str(templates["idle-job.yaml"])
    bridge = replace(whole, jobs={"migrate": sc.Job(image_of="api", network_mode="bridge")})
    assert "attachments.orders needs one of its own" in refused(bridge)


# --- what it is


def test_a_database_is_private_encrypted_and_speaks_tls_alone() -> None:
    templates = made(config("orders"))
    database = properties(templates, "orders-attachment", "Database")
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert database["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in database
    assert (database["MultiAZ"], database["BackupRetentionPeriod"]) == (False, 7)
    assert database["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade"]
    parameters = properties(templates, "orders-attachment", "Parameters")
    assert (parameters["Family"], parameters["Parameters"]) == ("postgres17", {"rds.force_ssl": "1"})
    assert properties(templates, "orders-attachment", "SubnetGroup")["SubnetIds"] == ref("Subnets")
    root = properties(templates, "root", "OrdersAttachment")["Parameters"]
    assert root["Subnets"] == att("Network", "Outputs.NodeSubnets")


def test_a_cache_speaks_tls_alone_and_has_a_copy_in_another_zone() -> None:
    cache = properties(made(config("hot")), "hot-attachment", "Cache")
    assert (cache["Engine"], cache["NumCacheClusters"]) == ("valkey", 2)
    assert cache["TransitEncryptionEnabled"] is cache["AtRestEncryptionEnabled"] is True
    assert cache["AutomaticFailoverEnabled"] is cache["MultiAZEnabled"] is True
    alone = properties(made(replace(config(), attachments={"hot": sc.Valkey(nodes=1)})), "hot-attachment", "Cache")
    assert alone["AutomaticFailoverEnabled"] is alone["MultiAZEnabled"] is False


def test_a_bucket_is_private_versioned_and_speaks_tls_alone() -> None:
    templates = made(config("files"))
    bucket = properties(templates, "files-attachment", "Bucket")
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (statement,) = properties(templates, "files-attachment", "Policy")["PolicyDocument"]["Statement"]
    assert (statement["Sid"], statement["Effect"]) == ("TlsOnly", "Deny")
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    # What is the newest version is kept.
    assert "ExpirationInDays" not in rule
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}


def test_a_table_is_paid_by_request_and_can_be_brought_back() -> None:
    section = sc.Table(partition_key="tenant", sort_key="at", sort_key_type="N")
    table = properties(made(replace(config(), attachments={"carts": section})), "carts-attachment", "Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["KeySchema"] == [
        {"AttributeName": "tenant", "KeyType": "HASH"},
        {"AttributeName": "at", "KeyType": "RANGE"},
    ]
    assert [attribute["AttributeType"] for attribute in table["AttributeDefinitions"]] == ["S", "N"]


@pytest.mark.parametrize(
    ("name", "title", "deletion", "replacement"),
    [
        ("orders", "Database", "Snapshot", "Snapshot"),
        ("hot", "Cache", "Delete", "Delete"),
        ("files", "Bucket", "RetainExceptOnCreate", "Retain"),
        ("carts", "Table", "RetainExceptOnCreate", "Retain"),
    ],
)
def test_what_holds_data_outlives_its_stack(name: str, title: str, deletion: str, replacement: str) -> None:
    found = resource(made(config(name)), f"{name}-attachment", title)
    assert (found["DeletionPolicy"], found["UpdateReplacePolicy"]) == (deletion, replacement)


def test_under_a_key_of_the_set_all_is_encrypted_by_it_and_its_users_may_use_it_through_the_service_alone() -> None:
    templates = made(config(encryption=sc.OwnKey()))
    key = ref("Key")
    database = properties(templates, "orders-attachment", "Database")
    assert database["KmsKeyId"] == key
    assert database["MasterUserSecret"] == {"KmsKeyId": key}
    assert properties(templates, "hot-attachment", "Cache")["KmsKeyId"] == key
    bucket = properties(templates, "files-attachment", "Bucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert properties(templates, "carts-attachment", "Table")["SSESpecification"]["KMSMasterKeyId"] == key
    allowed = policies(templates, "api", "TaskRole")
    for policy, sid, service in (
        ("use-files", "UseKey", "s3"),
        ("use-carts", "UseKey", "dynamodb"),
        ("read-orders", "OpenSecret", "secretsmanager"),
    ):
        (statement,) = (each for each in allowed[policy] if each["Sid"] == sid)
        name = policy.partition("-")[2].capitalize()
        assert statement["Resource"] == [ref(f"{name}AttachmentKey")]
        via = {"Fn::Sub": f"{service}.${{AWS::Region}}.amazonaws.com"}
        assert statement["Condition"]["StringEquals"]["kms:ViaService"] in (via, [via])


def test_a_table_has_a_way_that_costs_nothing_and_a_secret_one_where_there_is_no_other() -> None:
    def endpoints(*names: str, **network: Any) -> set[str]:
        network_of = made(config(*names, network=sc.NewVpc(**network)))["network.yaml"]
        return set(of_type(network_of, "EC2::VPCEndpoint"))

    assert "DynamoDbEndpoint" in endpoints("carts")
    assert "DynamoDbEndpoint" not in endpoints("orders")
    assert "SecretsManagerEndpoint" in endpoints("orders", egress="endpoints")
    assert "SecretsManagerEndpoint" not in endpoints("files", egress="endpoints")


def test_without_a_way_out_there_is_one_to_what_the_application_is_allowed_to_use() -> None:
    account = "eu-west-1:123456789012"
    intents: dict[str, Any] = {
        "Sqs": {"sends_to_queue": (f"arn:aws:sqs:{account}:a",)},
        "Sns": {"publishes_to": (f"arn:aws:sns:{account}:a",)},
        "Kms": {"uses_key": (f"arn:aws:kms:{account}:key/12345678-1234-1234-1234-123456789012",)},
        "DynamoDb": {"uses_table": (f"arn:aws:dynamodb:{account}:table/abc",)},
    }
    network = sc.NewVpc(egress="endpoints")
    usual = set(of_type(made(sc.Config(network=network))["network.yaml"], "EC2::VPCEndpoint"))
    for name, given in intents.items():
        service = sc.WebService(permissions=sc.Permissions(**given))
        there = made(sc.Config(network=network, services={"web": service}))["network.yaml"]
        assert set(of_type(there, "EC2::VPCEndpoint")) - usual == {f"{name}Endpoint"}
    worker = sc.Config(network=network, services={"mailer": sc.WorkerService(queue=sc.Queue())})
    assert "SqsEndpoint" in of_type(made(worker)["network.yaml"], "EC2::VPCEndpoint")


def test_what_is_attached_by_a_function_is_what_a_section_makes() -> None:
    def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
        made = sc.build(stack, config)
        wires = {"vpc_id": made.vpc_id, "subnets": made.node_subnets}
        for name, thing in (
            ("carts", sc.table(stack, "carts")),
            ("files", sc.bucket(stack, "files")),
            ("hot", sc.valkey(stack, "hot", **wires)),  # type: ignore[arg-type]
            ("orders", sc.postgres(stack, "orders", **wires)),  # type: ignore[arg-type]
        ):
            sc.attach(stack, "api", name, thing)
        return made

    by_section = made(config())
    by_function = sc.set_of(sc.compose(replace(config(), attachments={}), shop))
    # The endpoint of a table is the config's.
    assert {name for name in by_section if by_section[name] != by_function[name]} <= {"network.yaml", "root.yaml"}


# --- a pipeline brings the first image, and with it the rule


def test_a_pipeline_of_a_service_that_uses_a_database_may_make_its_rule() -> None:
    pinned = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
    service = sc.WebService(scaling=FEW, pipeline=sc.GitHubPipeline(repository="shop/web"))
    for attachment, expected in ((sc.Postgres(used_by=("web",)), True), (sc.Bucket(used_by=("web",)), False)):
        templates = made(
            sc.Config(
                capacity={"nodes": replace(ROOMY, machine_image=pinned)},
                services={"web": service},
                attachments={"orders": attachment},
            )
        )
        role = properties(templates, "web-pipeline", "DeployRole")
        (document,) = [policy["PolicyDocument"] for policy in role["Policies"]]
        assert ("SecurityGroups" in {statement["Sid"] for statement in document["Statement"]}) == expected


# --- what is refused


def refused(config: sc.Config) -> str:
    with pytest.raises(sc.ConfigError) as error:
        sc.compose(config)
    (problem,) = error.value.problems
    return str(problem)


def test_a_user_that_is_not_there_is_told_with_those_that_are() -> None:
    assert refused(config("orders", users=("apo",))) == (
        "config: attachments.orders.used_by: apo is not there; the services and jobs are api, web"
    )
    assert "named twice" in refused(config("files", users=("api", "api")))


def test_under_bridge_a_database_is_refused_with_the_cure() -> None:
    bridge = sc.WebService(network_mode="bridge", scaling=FEW)
    for name, told in (("orders", True), ("files", False)):
        whole = replace(config(name, users=("web",)), services={"web": bridge})
        if told:
            assert 'attachments.orders needs one of its own; leave it out, or "awsvpc"' in refused(whole)
        else:
            assert sc.compose(whole)


def test_a_variable_that_an_attachment_tells_is_not_told_twice() -> None:
    api = sc.InternalService(scaling=FEW, environment={"ORDERS_HOST": "localhost"})
    whole = replace(config("orders"), services={"api": api})
    assert refused(whole) == (
        "config: services.api.environment.ORDERS_HOST: is what attachments.orders tells it; leave it out"
    )


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (sc.Postgres(storage_gib=100, max_storage_gib=105), "a tenth more than storage_gib = 100 at least; give 110"),
        (sc.Table(partition_key="id", sort_key="id"), "is the partition key; name another"),
        (sc.Postgres(instance_class="t4g.micro"), "a class of RDS, as db.t4g.micro"),
        (sc.Valkey(node_type="db.t4g.micro"), "a type of ElastiCache, as cache.t4g.micro"),
        (sc.Postgres(database="Orders"), "lower case letters"),
        (sc.Postgres(backup_days=36), "allowed is 0 to 35"),
        (sc.Valkey(nodes=7), "allowed is 1 to 6"),
        (sc.Table(partition_key=""), "1 to 255 letters"),
    ],
)
def test_what_aws_would_refuse_is_told(section: Any, words: str) -> None:
    assert words in refused(sc.Config(attachments={"it": section}))


def test_a_thing_is_attached_to_a_service_that_is_there_by_the_root_once() -> None:
    def of(service: str, times: int = 1) -> Any:
        def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
            made = sc.build(stack, config)
            files = sc.bucket(stack, "files")
            for _ in range(times):
                sc.attach(stack, service, "files", files)
            return made

        return shop

    with pytest.raises(sc.WiringError, match="apo is no service and no job; there is web"):
        sc.compose(sc.Config(), of("apo"))
    with pytest.raises(sc.WiringError, match="it is given FilesAttachmentBucket already"):
        sc.compose(sc.Config(), of("web", 2))
    with pytest.raises(sc.WiringError, match="by the root alone"):
        sc.attach(sc.Stack("Nested", "A stack."), "web", "files", attachments.Attached())
