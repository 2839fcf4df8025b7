"""What lies beside the services is made, changed, used by others and deleted, on the emulator."""

from __future__ import annotations

from typing import Any

import msgspec

import scaleout_cfn as sc

from . import helpers
from .helpers import Account
from .test_rendered_sets import IMAGE, brought

replace = msgspec.structs.replace
FEW = sc.Scaling(max_tasks=2)
#: Each service has a security group of its own, whoever uses what.
SET = sc.Config(
    registry=sc.Registry(empty_on_delete=True),
    capacity={"fargate": sc.FargateCapacity()},
    services={
        "web": sc.WebService(memory_mib=512, scaling=FEW),
        "api": sc.InternalService(memory_mib=512, scaling=FEW),
    },
)
IMAGES = {"WebImageUri": IMAGE + "1" * 64, "ApiImageUri": IMAGE + "2" * 64}


def using(*users: str, **changes: Any) -> sc.Config:
    return replace(
        SET,
        attachments={
            "orders": sc.Postgres(used_by=users, **changes),
            "hot": sc.Valkey(used_by=users),
            "files": sc.Bucket(used_by=users),
            "carts": sc.Table(used_by=users),
        },
    )


def ways_in(account: Account, group: str) -> list[int]:
    """The ports that a security group lets others in at."""
    groups = account.client("ec2").describe_security_groups()["SecurityGroups"]
    (found,) = (each for each in groups if group in each["GroupName"])
    return [rule["FromPort"] for rule in found["IpPermissions"]]


def test_what_lies_beside_the_services_lives_from_the_first_deployment_to_the_end(account: Account) -> None:
    before = helpers.leftovers(account)
    brought(account, using("api"), **IMAGES)
    (database,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert (database["DBName"], database["StorageEncrypted"]) == ("app", True)
    assert ways_in(account, "OrdersAttachment") == [5432]
    assert ways_in(account, "HotAttachment") == [6379]
    (bucket,) = (name for name in _buckets(account) if name != account.bucket)
    (table,) = account.client("dynamodb").list_tables()["TableNames"]

    images = {**IMAGES, "ApiImageUri": IMAGE + "3" * 64}
    assert brought(account, using("api"), **images) == {
        "ApiService": "False",
        "ApiService/TaskDefinition": "True",
        "ApiService/Service": "False",
    }

    # One more that uses it changes its own stack, and one that no longer does leaves nothing of its way in.
    more = brought(account, using("api", "web"), **images)
    assert {path.partition("/")[0] for path in more} == {"WebService"}
    assert ways_in(account, "OrdersAttachment") == [5432, 5432]
    less = brought(account, using("web"), **images)
    assert {path.partition("/")[0] for path in less} == {"ApiService"}
    assert ways_in(account, "OrdersAttachment") == [5432]

    larger = brought(account, using("web", instance_class="db.t4g.small", storage_gib=30), **images)
    assert larger["OrdersAttachment/Database"] == "False"
    (changed,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert (changed["DBInstanceIdentifier"], changed["DBInstanceClass"]) == (
        database["DBInstanceIdentifier"],
        "db.t4g.small",
    )

    without = brought(account, SET, **images)
    titles = {"OrdersAttachment", "HotAttachment", "FilesAttachment", "CartsAttachment"}
    assert {path for path, verdict in without.items() if verdict == "Remove" and "/" not in path} == titles
    assert bucket in _buckets(account)
    assert table in account.client("dynamodb").list_tables()["TableNames"]
    stack = helpers.delete(account, helpers.described(account, "web")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
    assert set(helpers.leftovers(account)) - set(before) == {f"bucket: {bucket}"}


def _buckets(account: Account) -> list[str]:
    return [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]


def test_under_a_key_of_the_set_it_is_made_and_deleted_too(account: Account) -> None:
    brought(account, replace(using("api"), encryption=sc.OwnKey()), **IMAGES)
    stack = helpers.delete(account, helpers.described(account, "web")["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE", helpers.failures(account)
