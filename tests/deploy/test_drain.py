"""What is sent before a deletion, with which values, and what a failed step of it means."""

from __future__ import annotations

from typing import Any

import pytest

from scaleout_cfn.aws.client import Patience
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Message, Note, Rollout
from scaleout_cfn.deploy.teardown.destroy import batches, delete_contents, drain, release
from scaleout_cfn.deploy.teardown.inventory import Inventory, Item
from scaleout_cfn.deploy.watch.follow import StoppedWaiting
from scaleout_cfn.errors import AccessError, ApiError

from .scripted import ROOT, Scripted, failed

SERVICE = "arn:aws:ecs:eu-west-1:123456789012:service/main/web"
TARGET = "service/main/web|ecs:service:DesiredCount|ecs"


def stock(*resources: tuple[str, str]) -> Inventory:
    found = [Resource(kind.rpartition("::")[2], kind, name, "CREATE_COMPLETE", ROOT) for kind, name in resources]
    return Inventory(tuple(Item(one) for one in found))


def scalable(physical_id: str) -> tuple[str, str]:
    return "AWS::ApplicationAutoScaling::ScalableTarget", physical_id


def service(*counts: tuple[int, int]) -> list[Any]:
    """What DescribeServices answers, look after look: how many tasks run, and how many are pending."""
    told = [
        {"serviceArn": SERVICE, "runningCount": run, "pendingCount": wait, "deployments": []} for run, wait in counts
    ]
    return [{"services": [each]} for each in told]


def test_scaling_is_bounded_by_zero_and_suspended_whole() -> None:
    said: list[Message] = []
    aws = Scripted(register_scalable_target={})
    drain(
        aws,
        stock(scalable(TARGET), scalable("table/t|dynamodb:table:ReadCapacityUnits|dynamodb")),
        said.append,
        Patience(),
    )
    assert aws.sent("register_scalable_target") == [
        {
            "ServiceNamespace": "ecs",
            "ResourceId": "service/main/web",
            "ScalableDimension": "ecs:service:DesiredCount",
            "MinCapacity": 0,
            "MaxCapacity": 0,
            "SuspendedState": {
                "DynamicScalingInSuspended": True,
                "DynamicScalingOutSuspended": True,
                "ScheduledScalingSuspended": True,
            },
        }
    ]
    assert said == [Note("ScalableTarget: no tasks, and no scaling")]


def test_a_service_has_no_tasks_before_it_is_done_with() -> None:
    said: list[Message] = []
    aws = Scripted(update_service={}, describe_services=service((2, 0), (0, 1), (0, 0)))
    aws.answers["list_service_deployments"] = {}
    drain(aws, stock(("AWS::ECS::Service", SERVICE)), said.append, Patience())
    assert aws.sent("update_service") == [{"cluster": "main", "service": SERVICE, "desiredCount": 0}]
    assert aws.answers["describe_services"] == []
    assert [type(one) for one in said] == [Note, Rollout, Rollout]


@pytest.mark.parametrize("kind", ["missing", "refused"])
def test_a_service_that_cannot_be_told_is_not_waited_for(kind: Any) -> None:
    said: list[Message] = []
    aws = Scripted(update_service=failed(kind))
    drain(aws, stock(("AWS::ECS::Service", SERVICE), ("AWS::ECS::Service", "no-arn")), said.append, Patience())
    assert len(aws.calls) == 1
    # One that is gone went with an earlier run: nothing to tell.
    assert [isinstance(one, Note) and one.level for one in said] == ([] if kind == "missing" else ["warning"])


def test_a_service_that_cannot_be_asked_is_told_and_left_to_cloudformation() -> None:
    said: list[Message] = []
    aws = Scripted(update_service={}, describe_services=failed("refused"))
    drain(aws, stock(("AWS::ECS::Service", SERVICE)), said.append, Patience())
    assert [one.level for one in said if isinstance(one, Note)] == ["info", "warning"]


def test_the_end_of_patience_says_how_many_tasks_are_left() -> None:
    aws = Scripted(update_service={}, describe_services=service((3, 1))[0])
    aws.answers["list_service_deployments"] = {}
    with pytest.raises(StoppedWaiting, match="4 tasks of Service are still ending"):
        drain(aws, stock(("AWS::ECS::Service", SERVICE)), lambda _: None, Patience(wait_s=10))
    assert 10 <= aws.seconds < 20


def test_credentials_that_have_expired_end_it_and_missing_ones_do_not() -> None:
    said: list[Message] = []
    taken = stock(scalable(TARGET))
    with pytest.raises(AccessError):
        drain(Scripted(register_scalable_target=AccessError("x", kind="expired")), taken, said.append, Patience())
    assert said == []
    drain(Scripted(register_scalable_target=AccessError("x", kind="denied")), taken, said.append, Patience())
    assert [isinstance(one, Note) and one.level for one in said] == ["warning"]


GROUP = ("AWS::AutoScaling::AutoScalingGroup", "nodes")


def group(count: int, *, new: bool = False, guarded: bool = True) -> dict[str, Any]:
    instances = [{"InstanceId": f"i-{number}", "ProtectedFromScaleIn": guarded} for number in range(count)]
    free = {"InstanceId": "i-free", "ProtectedFromScaleIn": False}
    return {"AutoScalingGroups": [{"NewInstancesProtectedFromScaleIn": new, "Instances": [free, *instances]}]}


@pytest.mark.parametrize(
    ("answer", "sizes", "updates"),
    [
        (group(0), [], 0),
        (group(3, guarded=False), [], 0),
        (group(1), [1], 0),
        (group(50, new=True), [50], 1),
        (group(101), [50, 50, 1], 0),
        ({"AutoScalingGroups": []}, [], 0),
    ],
)
def test_instances_are_released_fifty_at_a_time_and_new_ones_are_not_protected_again(
    answer: Any, sizes: list[int], updates: int
) -> None:
    aws = Scripted(describe_auto_scaling_groups=answer, update_auto_scaling_group={}, set_instance_protection={})
    release(aws, stock(GROUP), lambda _: None)
    sent = aws.sent("set_instance_protection")
    assert [len(one["InstanceIds"]) for one in sent] == sizes
    assert [name for one in sent for name in one["InstanceIds"]] == [f"i-{number}" for number in range(sum(sizes))]
    assert {one["ProtectedFromScaleIn"] for one in sent} <= {False}
    new = {"AutoScalingGroupName": "nodes", "NewInstancesProtectedFromScaleIn": False}
    assert aws.sent("update_auto_scaling_group") == [new] * updates


def test_a_group_that_cannot_be_read_is_told_and_the_next_one_is_released() -> None:
    said: list[Message] = []
    aws = Scripted(describe_auto_scaling_groups=[failed("denied"), group(1)], set_instance_protection={})
    release(aws, stock(GROUP, GROUP), said.append)
    assert [one.level for one in said if isinstance(one, Note)] == ["warning", "info"]


@pytest.mark.parametrize(("count", "size", "parts"), [(0, 2, []), (1, 2, [1]), (2, 2, [2]), (5, 2, [2, 2, 1])])
def test_batches_hold_each_item_once_and_in_order(count: int, size: int, parts: list[int]) -> None:
    found = list(batches(range(count), size))
    assert [len(one) for one in found] == parts
    assert [item for one in found for item in one] == list(range(count))


def images(*digests: str) -> dict[str, Any]:
    return {"imageIds": [{"imageDigest": digest} for digest in digests]}


def emptied(aws: Scripted, kind: str) -> list[str]:
    said: list[Message] = []
    delete_contents(aws, Resource("Thing", kind, "name", "CREATE_COMPLETE", ROOT), said.append)
    return [one.text for one in said if isinstance(one, Note)]


def test_a_repository_is_emptied_in_rounds_a_hundred_at_a_time() -> None:
    digests = [f"sha256:{number}" for number in range(150)]
    left = {"failures": [{"failureCode": "ImageReferencedByManifestList", "imageId": {}}]}
    aws = Scripted(list_images=[images(*digests), images(digests[0]), images()], batch_delete_image=[left, {}, {}])
    assert emptied(aws, "AWS::ECR::Repository") == ["Thing: emptied, 150 images"]
    assert [len(one["imageIds"]) for one in aws.sent("batch_delete_image")] == [100, 50, 1]


def test_a_round_that_deletes_no_image_ends_with_the_first_reason() -> None:
    left = {"failures": [{"failureCode": "A", "failureReason": "no"}, {"failureCode": "B"}]}
    aws = Scripted(list_images=[images("1", "2")], batch_delete_image=left)
    with pytest.raises(ApiError, match="A: no"):
        emptied(aws, "AWS::ECR::Repository")


def test_a_bucket_is_emptied_of_versions_and_markers_until_there_are_none() -> None:
    first = {"Versions": [{"Key": "a", "VersionId": "1"}], "DeleteMarkers": [{"Key": "a", "VersionId": "2"}]}
    second = {"Versions": [{"Key": "b", "VersionId": "null"}]}
    aws = Scripted(list_object_versions=[first, second, {}], delete_objects={})
    assert emptied(aws, "AWS::S3::Bucket") == ["Thing: emptied, 3 object versions"]
    assert [one["Delete"] for one in aws.sent("delete_objects")] == [
        {"Objects": [{"Key": "a", "VersionId": "1"}, {"Key": "a", "VersionId": "2"}], "Quiet": True},
        {"Objects": [{"Key": "b", "VersionId": "null"}], "Quiet": True},
    ]
    assert {one["MaxKeys"] for one in aws.sent("list_object_versions")} == {1000}


def test_an_object_that_cannot_be_deleted_ends_it_with_its_name() -> None:
    error = {"Code": "AccessDenied", "Key": "a", "Message": "locked"}
    aws = Scripted(
        list_object_versions=[{"Versions": [{"Key": "a", "VersionId": "1"}]}], delete_objects={"Errors": [error]}
    )
    with pytest.raises(ApiError, match="AccessDenied: a: locked"):
        emptied(aws, "AWS::S3::Bucket")


def test_what_is_gone_is_empty_and_any_other_error_is_none_of_ours() -> None:
    assert emptied(Scripted(list_object_versions=failed("missing")), "AWS::S3::Bucket") == [
        "Thing: emptied, 0 object versions"
    ]
    with pytest.raises(ApiError):
        emptied(Scripted(list_images=failed("refused")), "AWS::ECR::Repository")
    assert emptied(Scripted(), "AWS::DynamoDB::Table") == []
