"""A set whose key comes, goes and outlives it, on the emulator."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from one_service import one_service
from stacks.helpers import PINNED

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_rendered_sets import IMAGE, brought

#: All that there is to encrypt; a repository that is there stays as it is.
PLAIN = one_service(
    nodes=sc.Ec2Capacity(machine_image=PINNED),
    network=sc.NewVpc(flow_logs=True),
    registry=sc.Registry(encryption="AES256", empty_on_delete=True, mutable_tags=("latest",)),
    pipeline=sc.RegistryPipeline(),
)
#: The emulator knows no version of the machine image.
FLOATING = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
IMAGES = {"WebImageUri": IMAGE + "1" * 64}


def under(account: Account, encryption: Any) -> dict[str, str]:
    """Deploy the set with other keys, and tell what was planned."""
    return brought(account, msgspec.structs.replace(PLAIN, encryption=encryption), NodesMachineImage=FLOATING, **IMAGES)


def physical_ids(account: Account, stack_id: str, path: str = "") -> dict[str, str]:
    """Logical path to physical id of all that is in a stack."""
    found = {}
    for entry in account.client("cloudformation").list_stack_resources(StackName=stack_id)["StackResourceSummaries"]:
        below = f"{path}{entry['LogicalResourceId']}"
        found[below] = entry["PhysicalResourceId"]
        if entry["ResourceType"] == "AWS::CloudFormation::Stack":
            found |= physical_ids(account, entry["PhysicalResourceId"], f"{below}/")
    return found


def keys_of_logs(account: Account) -> set[str]:
    return {group.get("kmsKeyId", "") for group in account.client("logs").describe_log_groups()["logGroups"]}


def test_a_running_set_goes_under_a_key_in_place_and_back_and_the_key_outlives_it(account: Account) -> None:
    under(account, sc.AwsKeys())
    assert keys_of_logs(account) == {""}
    before = physical_ids(account, helpers.described(account, "web")["StackId"])
    plan = under(account, sc.OwnKey())
    assert plan.keys() >= {"Encryption/Key", "Notifications/Alarms", "WebFoundation/Logs", "Cluster/Cluster"}
    after = physical_ids(account, helpers.described(account, "web")["StackId"])
    assert {path for path in before if after[path] != before[path]} == set()
    (key,) = account.client("kms").list_keys()["Keys"]
    assert keys_of_logs(account) == {key["KeyArn"]}

    stack = helpers.delete(account, helpers.described(account, "web")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    assert account.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert account.client("kms").list_aliases()["Aliases"] == []


def test_a_set_whose_key_is_taken_away_keeps_what_was_encrypted_by_it(account: Account) -> None:
    under(account, sc.OwnKey())
    plan = under(account, sc.AwsKeys())
    assert plan["Encryption"] == "Remove"
    assert keys_of_logs(account) == {""}
    (key,) = account.client("kms").list_keys()["Keys"]
    assert account.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"


@pytest.mark.parametrize("kind", ["fargate", "managed-instances"])
def test_sets_of_other_capacity_live_under_a_key_from_the_first_deployment_to_the_end(
    kind: str, account: Account
) -> None:
    pools: dict[str, Any] = {"fargate": sc.FargateCapacity(), "managed-instances": sc.ManagedCapacity()}
    config = sc.Config(
        encryption=sc.OwnKey(),
        registry=sc.Registry(empty_on_delete=True),
        capacity={"pool": pools[kind]},
        services={"web": sc.WebService(memory_mib=512)},
    )
    brought(account, config, **IMAGES)
    (repository,) = account.client("ecr").describe_repositories()["repositories"]
    (key,) = account.client("kms").list_keys()["Keys"]
    assert repository["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key["KeyArn"]}
    stack = helpers.delete(account, helpers.described(account, "web")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    left = helpers.leftovers(account)
    assert [name for name in left if key["KeyId"] not in name] == []


def test_a_hardened_set_with_names_of_the_house_lives_from_its_first_deployment_to_its_end(account: Account) -> None:
    plain = sc.hardened(sc.Config(registry=sc.Registry(empty_on_delete=True)))
    balancer = msgspec.structs.replace(plain.load_balancer, deletion_protection=False)
    observability = msgspec.structs.replace(plain.observability, keep_logs=False)
    config = msgspec.structs.replace(plain, load_balancer=balancer, observability=observability)
    brought(account, config, **IMAGES)
    named = msgspec.structs.replace(config, roles=sc.Roles(path="/teams/shop/", prefix="acme-", inline_policies=False))
    plan = brought(account, named, **IMAGES)
    assert plan["WebService/ExecutionRole"] == "True"
    iam = account.client("iam")
    roles = [role for role in iam.list_roles()["Roles"] if not role["Path"].startswith("/aws-service-role/")]
    assert roles
    for role in roles:
        assert role["RoleName"].startswith("acme-")
        assert role["Path"] == "/teams/shop/"
        assert iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"] == []
    image = {"WebImageUri": IMAGE + "2" * 64}
    assert {path for path in brought(account, named, **image) if "Role" in path} == set()
    stack = helpers.delete(account, helpers.described(account, "web")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    kept = helpers.leftovers(account)
    # Logs and the key that opens them; their bucket holds what nobody may lose.
    assert {name.partition(":")[0] for name in kept} <= {"bucket", "key"}
