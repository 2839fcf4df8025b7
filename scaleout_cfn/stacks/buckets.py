"""Buckets: private, encrypted and versioned, also for what AWS writes and nobody reads for long; bucket logs."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Sub, s3

from scaleout_cfn.config import Config
from scaleout_cfn.iam import receive_bucket_logs
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import BucketName, KeyArn


class Outputs(Struct, frozen=True):
    bucket: BucketName


def build(stack: Stack, config: Config) -> Outputs:
    # Under no key: S3 delivers to buckets by its own keys only. Its own log would fill it for ever.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    bucket = stack.add(expiring_bucket("Logs", config.observability.log_retention_days, "RetainExceptOnCreate"))
    policy = receive_bucket_logs(bucket.get_att("Arn"))
    stack.add(s3.BucketPolicy("LogsPolicy", Bucket=bucket.ref(), PolicyDocument=policy))
    return Outputs(BucketName(bucket.ref()))


def expiring_bucket(
    title: str, days: int, deletion_policy: str, key: KeyArn | None = None, logs: BucketName | None = None
) -> s3.Bucket:
    """A private, encrypted and versioned bucket, what is in which expires after `days`.

    CloudFormation cannot delete a bucket that holds something, so it is never replaced, and `deletion_policy` says when
    it stays.
    """
    expiry = s3.LifecycleRule(
        Id="expire",
        Status="Enabled",
        ExpirationInDays=days,
        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=1),
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
    )
    bucket = private_bucket(title, expiry, deletion_policy, key)
    if logs is not None:
        prefix = Sub("${AWS::StackName}/")
        bucket.LoggingConfiguration = s3.LoggingConfiguration(DestinationBucketName=logs, LogFilePrefix=prefix)
    return bucket


def private_bucket(title: str, expiry: s3.LifecycleRule, deletion_policy: str, key: KeyArn | None) -> s3.Bucket:
    """A private, encrypted and versioned bucket.

    Without a key it is encrypted by Amazon S3's own, and access logs of a load balancer take no others:
    https://github.com/aws/aws-cdk/issues/21947
    """
    rule = s3.ServerSideEncryptionRule(
        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
    )
    if key is not None:
        by_key = s3.ServerSideEncryptionByDefault(SSEAlgorithm="aws:kms", KMSMasterKeyID=key)
        # One data key for many objects: without, each object asks KMS.
        rule = s3.ServerSideEncryptionRule(ServerSideEncryptionByDefault=by_key, BucketKeyEnabled=True)
    return s3.Bucket(
        title,
        BucketEncryption=s3.BucketEncryption(ServerSideEncryptionConfiguration=[rule]),
        PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        OwnershipControls=s3.OwnershipControls(Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]),
        VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
        LifecycleConfiguration=s3.LifecycleConfiguration(Rules=[expiry]),
        DeletionPolicy=deletion_policy,
        UpdateReplacePolicy="Retain",
    )
