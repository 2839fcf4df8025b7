"""Delete what is in a bucket or a repository, all of it. To repeat it is safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.deploy.teardown.inventory import BATCH, BUCKET, REPOSITORY, images_in
from scaleout_cfn.errors import ApiError

__all__ = ["batches", "empty"]


def empty(aws: Aws, one: Resource, tell: Tell) -> None:
    """Delete what is in a bucket or repository; anything else goes with its resource."""
    count = 0
    try:
        if one.type == BUCKET:
            count = _empty_bucket(aws, one.physical_id)
        elif one.type == REPOSITORY:
            count = _empty_repository(aws, one.physical_id)
        else:
            return
    except ApiError as error:
        if error.kind != "missing":
            raise
    tell(Note(f"{one.path}: emptied, {count} {'object versions' if one.type == BUCKET else 'images'}"))


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
        found = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if not found:
            return count
        answer = _idempotent(aws, "s3", "delete_objects", Bucket=bucket, Delete={"Objects": found, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise ApiError("delete_objects", "refused", first["Code"], f"{first['Key']}: {first['Message']}")
        count += len(found)


def _idempotent(aws: Aws, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """A deletion by name, which takes no token: to repeat it after an unclear answer deletes nothing else."""
    return aws.read(service, operation, **arguments)


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
