"""The bucket that templates are uploaded to: private, versioned, encrypted, TLS only. Safe to run again.

A module of its own, for an administrator runs it: no policy of a deployer allows what it calls.
"""

from __future__ import annotations

import json
from typing import Any

from scaleout_cfn.aws.client import Aws, Identity
from scaleout_cfn.errors import ApiError, UsageError


def bootstrap(aws: Aws, identity: Identity, bucket: str) -> bool:
    """Make the bucket, or bring one of one's own to the same state. Returns whether it is new.

    Nothing in it expires: a running stack goes on reading the templates that it was made of.
    Raises UsageError when the name belongs to another account.
    """
    new = _make_bucket(aws, identity, bucket)
    own: dict[str, Any] = {"Bucket": bucket, "ExpectedBucketOwner": identity.account_id}
    everything = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    # Each is a put of a whole setting: to repeat it is safe.
    aws.write("s3", "put_public_access_block", PublicAccessBlockConfiguration=dict.fromkeys(everything, True), **own)
    aws.write("s3", "put_bucket_encryption", ServerSideEncryptionConfiguration=encryption, **own)
    aws.write("s3", "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}, **own)
    aws.write("s3", "put_bucket_policy", Policy=tls_only(identity, bucket), **own)
    return new


def exists(aws: Aws, identity: Identity, bucket: str) -> bool:
    """Whether the account has the bucket. Raises AccessError when it is another account's."""
    try:
        aws.read("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=identity.account_id)
    except ApiError as error:
        if error.kind != "missing":
            raise
        return False
    return True


def tls_only(identity: Identity, bucket: str) -> str:
    arn = f"arn:{identity.partition}:s3:::{bucket}"
    statement = {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _make_bucket(aws: Aws, identity: Identity, bucket: str) -> bool:
    if exists(aws, identity, bucket):
        return False
    # us-east-1 is the only region that must not be named.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    place = {} if identity.region == "us-east-1" else {"LocationConstraint": identity.region}
    arguments: dict[str, Any] = {"CreateBucketConfiguration": place} if place else {}
    try:
        aws.write("s3", "create_bucket", Bucket=bucket, **arguments)
    except ApiError as error:
        if error.code == "BucketAlreadyExists":
            raise UsageError(f"bucket {bucket}: belongs to another account; give another name by --bucket") from None
        if error.kind not in ("exists", "unclear"):
            raise
    return True
