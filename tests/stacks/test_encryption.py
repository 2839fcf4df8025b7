"""Encryption: what is under the key of a set, who may use it, and what is under no key of ours."""

from __future__ import annotations

from typing import Any

import pytest

import scaleout_cfn as sc
from scaleout_cfn.stacks.keys import TAKES_KEY
from stacks.helpers import PARAMETER, PINNED, SECRET, Templates, at, att, made, of_type, properties, ref, resource

GIVEN = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
OTHER = "arn:aws:kms:eu-west-1:123456789012:key/87654321-1234-1234-1234-123456789012"
KEYS: dict[str, Any] = {"own": sc.OwnKey(), "given": sc.GivenKey(key_arn=GIVEN)}
every_key = pytest.mark.parametrize("kind", KEYS)
KEY = ref("Key")
ACCOUNT = ref("AWS::AccountId")


def whole(kind: str = "aws") -> Templates:
    """A set that has all that there is to encrypt."""
    return made(
        encryption=KEYS.get(kind, sc.AwsKeys()),
        nodes=sc.Ec2Capacity(machine_image=PINNED),
        network=sc.NewVpc(flow_logs=True),
        load_balancer=sc.NewLoadBalancer(access_logs=True, waf=sc.NewWebAcl()),
        registry=sc.Registry(mutable_tags=("latest",)),
        service=sc.WebService(secrets={"A": SECRET, "B": PARAMETER}),
        pipeline=sc.RegistryPipeline(),
    )


#: Where a key is named, by type, where that is inside of another property.
INSIDE = {
    "AWS::CodePipeline::Pipeline": "ArtifactStore.EncryptionKey.Id",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateData.BlockDeviceMappings.0.Ebs.KmsKeyId",
    "AWS::ECR::Repository": "EncryptionConfiguration.KmsKey",
    "AWS::ECS::Cluster": "Configuration.ManagedStorageConfiguration.KmsKeyId",
    "AWS::S3::Bucket": "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault"
    ".KMSMasterKeyID",
}


@every_key
def test_all_that_is_at_rest_is_under_the_key_but_for_the_balancer_s_access_logs(kind: str) -> None:
    under = set()
    for file, template in whole(kind).items():
        for title, body in template["Resources"].items():
            place = TAKES_KEY.get(body["Type"]) or INSIDE.get(body["Type"])
            if place and title != "AccessLogs":
                assert at(body["Properties"], place) == KEY, (file, title)
                under.add(title)
    logs = {"BuildLogs", "DeployLogs", "FlowLogs", "Logs"} - {"BuildLogs"}  # nothing is built of what is pushed
    assert under == logs | {"Alarms", "Artifacts", "Cluster", "Deploy", "NodesLaunchTemplate", "Pipeline", "Repository"}
    # https://github.com/aws/aws-cdk/issues/21947
    bucket = properties(whole(kind), "load-balancer", "AccessLogs")
    assert at(bucket, INSIDE["AWS::S3::Bucket"].rpartition(".")[0]) == {"SSEAlgorithm": "AES256"}


@every_key
def test_a_stack_that_uses_the_key_is_handed_its_arn(kind: str) -> None:
    root = whole(kind)["root.yaml"]["Resources"]
    handed = {title: body["Properties"].get("Parameters", {}).get("Key") for title, body in root.items()}
    arn = GIVEN if kind == "given" else att("Encryption", "Outputs.Key")
    taking = {"Notifications", "Network", "Firewall", "Cluster", "Capacity"}
    taking |= {"WebFoundation", "WebService", "WebPipeline"}
    assert {title for title, value in handed.items() if value == arn} == taking
    assert ("Encryption" in root) == (kind == "own")


def test_by_aws_s_keys_nothing_names_one() -> None:
    for file, template in whole().items():
        assert "Key" not in template.get("Parameters", {}), file
        for title, body in template["Resources"].items():
            assert not set(body.get("Properties", {})) & {"KmsKeyId", "KmsMasterKeyId", "EncryptionKey"}, title
    assert "encryption.yaml" not in whole()


def test_the_key_rotates_and_outlives_the_stack() -> None:
    body = resource(whole("own"), "encryption", "Key")
    assert body["Properties"]["EnableKeyRotation"] is True
    assert (body["DeletionPolicy"], body["UpdateReplacePolicy"]) == ("Retain", "Retain")
    alias = properties(whole("own"), "encryption", "Alias")
    assert alias == {"AliasName": {"Fn::Sub": "alias/${AWS::StackName}"}, "TargetKeyId": ref("Key")}


def statements() -> dict[str, dict[str, Any]]:
    policy = properties(whole("own"), "encryption", "Key")["KeyPolicy"]
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_the_key_is_used_by_the_account_s_own_policies_and_by_services_for_the_account_alone() -> None:
    found = statements()
    assert found.pop("Account")["Principal"] == {
        "AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
    }
    services = {
        "LogGroups": {"Fn::Sub": "logs.${AWS::Region}.${AWS::URLSuffix}"},
        "Alarms": "cloudwatch.amazonaws.com",
        "FargateStorage": "fargate.amazonaws.com",
        "FargateStorageGrants": "fargate.amazonaws.com",
    }
    for sid, service in services.items():
        assert found[sid]["Principal"] == {"Service": service}
    by_account = {
        "Alarms": "aws:SourceAccount",
        "NodeVolumes": "kms:CallerAccount",
        "NodeVolumeGrants": "kms:CallerAccount",
        "FargateStorage": "kms:EncryptionContext:aws:ecs:clusterAccount",
        "FargateStorageGrants": "kms:EncryptionContext:aws:ecs:clusterAccount",
    }
    for sid, key in by_account.items():
        assert found[sid]["Condition"]["StringEquals"][key] == ACCOUNT
    assert found.keys() == services.keys() | by_account.keys()
    # Anybody, as far as the principal goes: one role of AWS's, which may not be there yet.
    role = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    for sid in ("NodeVolumes", "NodeVolumeGrants"):
        assert found[sid]["Condition"]["StringEquals"]["aws:PrincipalArn"]["Fn::Sub"].endswith(role)
    assert found["NodeVolumeGrants"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_no_service_may_administer_the_key() -> None:
    used = {action for sid, one in statements().items() if sid != "Account" for action in one["Action"]}
    assert used <= {
        *("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"),
        *("kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"),
    }


def test_log_groups_under_the_key_are_those_that_its_policy_names() -> None:
    (groups,) = statements()["LogGroups"]["Condition"]["ArnLike"].values()
    named = [group["Fn::Sub"] for group in groups]
    assert [text.rpartition("log-group:")[2] for text, _ in named] == ["${Root}-*", "aws-waf-logs-${Root}-*"]
    assert all(names == {"Root": ref("RootStack")} for _, names in named)
    for template in whole("own").values():
        for title, group in of_type(template, "Logs::LogGroup").items():
            # CloudFormation's own name begins with that of the root stack, and so does that of a nested one.
            name = {"Fn::Sub": "aws-waf-logs-${AWS::StackName}"}
            assert group.get("LogGroupName", name) == name, title
            assert group["KmsKeyId"] == ref("Key"), title


def test_what_the_key_s_policy_says_is_the_same_for_every_set() -> None:
    fargate = sc.Config(
        encryption=sc.OwnKey(),
        capacity={"air": sc.FargateCapacity()},
        services={"mailer": sc.WorkerService(memory_mib=512)},
    )
    assert made(fargate)["encryption.yaml"] == whole("own")["encryption.yaml"]
    storage = properties(made(fargate), "cluster", "Cluster")["Configuration"]["ManagedStorageConfiguration"]
    assert storage == {"KmsKeyId": KEY, "FargateEphemeralStorageKmsKeyId": KEY}


@pytest.mark.parametrize("encryption", ["AES256", "KMS"])
def test_a_repository_that_is_there_can_stay_as_it_is_encrypted(encryption: Any) -> None:
    templates = made(encryption=sc.OwnKey(), registry=sc.Registry(encryption=encryption))
    kept = properties(templates, "web-foundation", "Repository")["EncryptionConfiguration"]
    assert kept == {"EncryptionType": encryption}


def policies(template: dict[str, Any], role: str) -> dict[str, dict[str, Any]]:
    """The statements of a role by their Sid."""
    body = template["Resources"][role]["Properties"]
    return {
        statement["Sid"]: statement
        for policy in body.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    }


@pytest.mark.parametrize(
    ("kind", "keys", "opened"),
    [
        ("aws", (), None),
        ("aws", (OTHER,), [OTHER]),
        ("own", (), [KEY]),
        ("given", (OTHER,), [OTHER, KEY]),
    ],
)
def test_secrets_are_opened_by_the_keys_that_they_may_be_under_and_by_no_other(
    kind: str, keys: tuple[str, ...], opened: list[Any] | None
) -> None:
    templates = made(
        encryption=KEYS.get(kind, sc.AwsKeys()), service=sc.WebService(secrets={"A": SECRET}, secrets_keys=keys)
    )
    opening = policies(templates["web-service.yaml"], "ExecutionRole").get("OpenSecrets")
    assert (opening and opening["Resource"]) == opened
    if opening:
        assert opening["Action"] == ["kms:Decrypt"]
        via = ["secretsmanager.*.amazonaws.com", "ssm.*.amazonaws.com"]
        assert opening["Condition"] == {"StringLike": {"kms:ViaService": via}}


EXEC_FOLDERS = {"/managed-agents": 16, "/var/lib/amazon/ssm": 16, "/var/log/amazon/ssm": 16}


@pytest.mark.parametrize(
    ("kind", "logged", "sids"),
    [
        ("aws", False, set()),
        ("aws", True, {"FindLogGroup", "LogSessions"}),
        ("own", False, {"OpenSessions"}),
        ("own", True, {"FindLogGroup", "LogSessions", "OpenSessions"}),
    ],
)
def test_sessions_are_logged_and_encrypted_as_asked_and_the_task_may_do_its_part(
    kind: str, logged: bool, sids: set[str]
) -> None:
    templates = made(
        encryption=KEYS.get(kind, sc.AwsKeys()),
        cluster=sc.Cluster(exec_logs=logged),
        service=sc.WebService(exec=True, read_only=False),
    )
    may = policies(templates["web-service.yaml"], "TaskRole")
    assert may.keys() == {"OpenChannels"} | sids
    configuration = properties(templates, "cluster", "Cluster").get("Configuration", {})
    sessions = configuration.get("ExecuteCommandConfiguration", {})
    assert sessions.get("KmsKeyId") == (KEY if kind == "own" else None)
    assert sessions.get("Logging") == ("OVERRIDE" if logged else None)
    if logged:
        # It is refused by a log group that is under no key.
        encrypted = {"CloudWatchLogGroupName": ref("ExecLogs"), "CloudWatchEncryptionEnabled": kind == "own"}
        assert sessions["LogConfiguration"] == encrypted
        assert ("KmsKeyId" in properties(templates, "cluster", "ExecLogs")) == (kind == "own")
        group = may["LogSessions"]["Resource"][0]["Fn::Sub"]
        assert group[0].endswith(":log-group:${LogGroup}:*")
        assert group[1] == {"LogGroup": ref("ExecLogs")}
    if kind == "own":
        assert (may["OpenSessions"]["Action"], may["OpenSessions"]["Resource"]) == (["kms:Decrypt"], [KEY])


def test_a_service_without_exec_may_write_no_sessions() -> None:
    templates = made(encryption=sc.OwnKey(), cluster=sc.Cluster(exec_logs=True))
    assert policies(templates["web-service.yaml"], "TaskRole") == {}
    assert "ExecLogs" not in templates["web-service.yaml"]["Parameters"]


@pytest.mark.parametrize(
    ("kind", "wanted", "reached"), [("own", True, True), ("own", False, False), ("aws", True, False)]
)
def test_tasks_without_a_way_out_reach_the_key_of_their_sessions(kind: str, wanted: bool, reached: bool) -> None:
    templates = made(
        encryption=KEYS.get(kind, sc.AwsKeys()),
        network=sc.NewVpc(egress="endpoints"),
        service=sc.WebService(exec=wanted, read_only=False),
    )
    assert ("KmsEndpoint" in templates["network.yaml"]["Resources"]) == reached


def test_a_shell_on_a_read_only_root_wants_its_agent_s_folders_writable() -> None:
    few = dict(list(EXEC_FOLDERS.items())[1:])
    with pytest.raises(sc.ConfigError, match=r"services\.web\.exec: .*read_only = false, or .*: /managed-agents in"):
        sc.compose(sc.Config(services={"web": sc.WebService(exec=True, tmpfs_mib=few)}))
    (container,) = properties(
        made(service=sc.WebService(exec=True, tmpfs_mib=EXEC_FOLDERS)), "web-service", "TaskDefinition"
    )["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    assert {entry["ContainerPath"] for entry in container["LinuxParameters"]["Tmpfs"]} == EXEC_FOLDERS.keys()


def test_a_service_without_secrets_may_open_nothing() -> None:
    service = made(encryption=sc.OwnKey())["web-service.yaml"]
    assert "Key" not in service["Parameters"]
    assert "OpenSecrets" not in policies(service, "ExecutionRole")


def test_who_keeps_and_reads_artifacts_may_use_the_key_for_that_alone() -> None:
    pipeline = whole("own")["web-pipeline.yaml"]
    for role, services in (("DeployRole", ["codebuild", "s3"]), ("PipelineRole", ["s3"])):
        using = policies(pipeline, role)["UseKey"]
        assert using["Resource"] == [KEY]
        assert using["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
        via = [{"Fn::Sub": f"{service}.${{AWS::Region}}.amazonaws.com"} for service in services]
        assert using["Condition"] == {"StringEquals": {"kms:ViaService": via}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GIVEN.replace("key/", "alias/shop "), "its last part is"),
        ("arn:aws:kms:eu-west-1:123456789012:alias/shop", "aws kms describe-key --key-id alias/shop"),
        ("arn:aws:kms:eu-west-1:123456789012:key/mrk-" + "0" * 32, "a key of several regions"),
        ("arn:aws:kms:eu-west-1:123456789012:key/shop", "copy the ARN"),
        ("arn:aws:s3:::bucket", "it is of s3"),
        ("12345678-1234-1234-1234-123456789012", "the ARN of a KMS key is wanted"),
        ("", "the ARN of a KMS key is wanted"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(sc.ConfigError, match=r"encryption\.key_arn") as refused:
        sc.compose(sc.Config(encryption=sc.GivenKey(key_arn=text)))
    assert said in str(refused.value)


def test_a_key_of_another_region_is_refused() -> None:
    with pytest.raises(sc.ConfigError, match=r"encryption\.key_arn.*is in eu-west-1, where region is us-east-1"):
        sc.compose(sc.Config(region="us-east-1", encryption=sc.GivenKey(key_arn=GIVEN)))


@pytest.mark.parametrize(
    ("secrets", "key", "said"),
    [
        ({}, GIVEN, r"secrets_keys.*services\.web has no secrets that they could open; leave it out"),
        (
            {"A": SECRET},
            GIVEN.replace("eu-west-1", "us-east-1"),
            r"secrets_keys\[0\].*is in us-east-1, and .*eu-west-1",
        ),
    ],
)
def test_a_key_that_opens_no_secret_is_refused(secrets: dict[str, str], key: str, said: str) -> None:
    service = sc.WebService(secrets=secrets, secrets_keys=(key,))
    with pytest.raises(sc.ConfigError, match=said):
        sc.compose(sc.Config(services={"web": service}))
