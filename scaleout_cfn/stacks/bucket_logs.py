"""Bucket logs: a bucket for what is asked of the set's other buckets."""

from __future__ import annotations

from msgspec import Struct
from troposphere import s3

from scaleout_cfn.config import Config
from scaleout_cfn.iam import receive_bucket_logs
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.buckets import expiring_bucket
from scaleout_cfn.values import BucketName


class Outputs(Struct, frozen=True):
    bucket: BucketName


def build(stack: Stack, config: Config) -> Outputs:
    # Under no key: S3 delivers to buckets by its own keys only. Its own log would fill it for ever.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    bucket = stack.add(expiring_bucket("Logs", config.observability.log_retention_days, "RetainExceptOnCreate"))
    policy = receive_bucket_logs(bucket.get_att("Arn"))
    stack.add(s3.BucketPolicy("LogsPolicy", Bucket=bucket.ref(), PolicyDocument=policy))
    return Outputs(BucketName(bucket.ref()))
