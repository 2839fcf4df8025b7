"""What goes before a deletion, so that it does not hang: no tasks, no instance that is protected, and nothing in a
bucket or a repository that was named. To repeat it is safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scaleout_cfn.aws import SERVICE, cluster_in
from scaleout_cfn.aws.client import Aws, Patience
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.deploy.services.rollout import described, newest_of
from scaleout_cfn.deploy.teardown.inventory import BATCH, BUCKET, REPOSITORY, Inventory, images_in
from scaleout_cfn.deploy.watch.follow import StoppedWaiting
from scaleout_cfn.errors import AGAIN, AccessError, ApiError, Next

GROUP = "AWS::AutoScaling::AutoScalingGroup"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
#: Neither a policy nor a schedule starts tasks again.
SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
#: SetInstanceProtection takes so many instances.
INSTANCES = 50


def drain(aws: Aws, taken: Inventory, tell: Tell, patience: Patience) -> None:
    """No tasks: bounds of zero first, or scaling would start them again; then wait until they have ended."""
    for target in taken.of(TARGET):
        resource_id, dimension, namespace = target.physical_id.split("|")
        if namespace == "ecs":
            # A put of the whole target: to repeat it is safe, and it takes no token. So it is below.
            _step(
                aws,
                tell,
                f"{target.path}: no tasks, and no scaling",
                "application-autoscaling",
                "register_scalable_target",
                ServiceNamespace=namespace,
                ResourceId=resource_id,
                ScalableDimension=dimension,
                MinCapacity=0,
                MaxCapacity=0,
                SuspendedState=SUSPENDED,
            )
    services = [service for service in taken.of(SERVICE) if service.physical_id.startswith("arn:")]
    asked = [
        service
        for service in services
        if _step(
            aws,
            tell,
            f"{service.path}: desired count 0",
            "ecs",
            "update_service",
            cluster=cluster_in(service.physical_id),
            service=service.physical_id,
            desiredCount=0,
        )
    ]
    end = patience.end(aws.pace)
    for service in asked:
        for _ in aws.pace.turns(end):
            if not (running := _running(aws, service, tell)):
                break
        else:
            raise StoppedWaiting(
                f"stopped waiting: {running} tasks of {service.path} are still ending",
                state="the service is drained, and nothing is deleted yet",
                next=Next(AGAIN, words="it goes on"),
            )


def _running(aws: Aws, service: Resource, tell: Tell) -> int:
    """How many tasks a service still has. One that cannot be asked has none: CloudFormation drains it as well."""
    try:
        raw = described(aws.read, [service.physical_id]).get(service.physical_id, {})
        running = raw.get("runningCount", 0) + raw.get("pendingCount", 0)
        if running:
            tell(newest_of(aws, service_in(service.path), raw))
        return int(running)
    except (ApiError, AccessError) as error:
        tell(Note(f"{service.path}: not known whether its tasks have ended: {error}", "warning"))
        return 0


def release(aws: Aws, taken: Inventory, tell: Tell) -> None:
    """Instances that are protected from scale-in outlive the deletion of their group, which then fails.

    https://github.com/aws/containers-roadmap/issues/631
    """
    for group in taken.of(GROUP):
        try:
            answer = aws.read("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group.physical_id])
        except (ApiError, AccessError) as error:
            tell(Note(f"{group.path}: not known whether instances are protected: {error}", "warning"))
            continue
        for raw in answer["AutoScalingGroups"]:
            if raw.get("NewInstancesProtectedFromScaleIn"):
                what = f"{group.path}: new instances are not protected"
                _step(
                    aws,
                    tell,
                    what,
                    "autoscaling",
                    "update_auto_scaling_group",
                    AutoScalingGroupName=group.physical_id,
                    NewInstancesProtectedFromScaleIn=False,
                )
            guarded = [each["InstanceId"] for each in raw.get("Instances", []) if each.get("ProtectedFromScaleIn")]
            for batch in batches(guarded, INSTANCES):
                _step(
                    aws,
                    tell,
                    f"{group.path}: {len(batch)} instances are no longer protected from scale-in",
                    "autoscaling",
                    "set_instance_protection",
                    AutoScalingGroupName=group.physical_id,
                    InstanceIds=batch,
                    ProtectedFromScaleIn=False,
                )


def _step(aws: Aws, tell: Tell, what: str, client: str, operation: str, **arguments: Any) -> bool:
    """One step that makes the deletion smooth. One that fails is told and does not stop it: CloudFormation may do
    without, and says so if not."""
    try:
        aws.write(client, operation, **arguments)
    except AccessError as error:
        if error.kind == "expired":
            raise
        tell(Note(f"not done, {what}: {error}", "warning"))
        return False
    except ApiError as error:
        if error.kind != "missing":  # it went with an earlier run
            tell(Note(f"not done, {what}: {error}", "warning"))
        return False
    tell(Note(what))
    return True


def delete_contents(aws: Aws, resource: Resource, tell: Tell) -> None:
    """Delete what is in a bucket or repository; anything else goes with its resource."""
    count = 0
    try:
        if resource.type == BUCKET:
            count = _empty_bucket(aws, resource.physical_id)
        elif resource.type == REPOSITORY:
            count = _empty_repository(aws, resource.physical_id)
        else:
            return
    except ApiError as error:
        if error.kind != "missing":
            raise
    tell(Note(f"{resource.path}: emptied, {count} {'object versions' if resource.type == BUCKET else 'images'}"))


def _empty_repository(aws: Aws, repository: str) -> int:
    """An image of several platforms goes before those that it names, so that some are left for a second round."""
    count = 0
    while digests := images_in(aws, repository):
        failures = []
        for batch in batches(digests, BATCH[REPOSITORY]):
            ids = [{"imageDigest": digest} for digest in batch]
            answer = _idempotent(aws, "ecr", "batch_delete_image", repositoryName=repository, imageIds=ids)
            failures += answer.get("failures", [])
        if len(failures) >= len(digests):
            first = failures[0]
            raise ApiError("batch_delete_image", "refused", first["failureCode"], first.get("failureReason", ""))
        count += len(digests) - len(failures)
    return count


def _empty_bucket(aws: Aws, bucket: str) -> int:
    count = 0
    while True:
        page = aws.read("s3", "list_object_versions", Bucket=bucket, MaxKeys=BATCH[BUCKET])
        objects = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for version in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if not objects:
            return count
        answer = _idempotent(aws, "s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise ApiError("delete_objects", "refused", first["Code"], f"{first['Key']}: {first['Message']}")
        count += len(objects)


def _idempotent(aws: Aws, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """A deletion by name, which takes no token: to repeat it after an unclear answer deletes nothing else."""
    return aws.read(service, operation, **arguments)


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
