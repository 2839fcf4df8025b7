"""A bucket for what AWS writes and nobody reads for long."""

from __future__ import annotations

from troposphere import s3


def expiring_bucket(title: str, days: int, deletion_policy: str) -> s3.Bucket:
    """A private, encrypted and versioned bucket, what is in which expires after `days`.

    CloudFormation cannot delete a bucket that holds something, so it is never replaced, and `deletion_policy` says when
    it stays.
    """
    return s3.Bucket(
        title,
        # By Amazon S3's own keys: access logs of a load balancer take no others.
        BucketEncryption=s3.BucketEncryption(
            ServerSideEncryptionConfiguration=[
                s3.ServerSideEncryptionRule(
                    ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                )
            ]
        ),
        PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        OwnershipControls=s3.OwnershipControls(Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]),
        VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
        LifecycleConfiguration=s3.LifecycleConfiguration(
            Rules=[
                s3.LifecycleRule(
                    Id="expire",
                    Status="Enabled",
                    ExpirationInDays=days,
                    NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=1),
                    AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
                )
            ]
        ),
        DeletionPolicy=deletion_policy,
        UpdateReplacePolicy="Retain",
    )
