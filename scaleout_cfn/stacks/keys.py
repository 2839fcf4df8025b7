"""What a resource is encrypted by: the key of the set, where it has one, and else AWS's."""

from __future__ import annotations

from typing import TypeVar

from troposphere import AWSObject

from scaleout_cfn.values import KeyArn

R = TypeVar("R", bound=AWSObject)

#: The property that takes the ARN of a key, by type.
TAKES_KEY = {
    "AWS::CodeBuild::Project": "EncryptionKey",
    "AWS::EC2::Volume": "KmsKeyId",
    "AWS::EFS::FileSystem": "KmsKeyId",
    "AWS::ElastiCache::ReplicationGroup": "KmsKeyId",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::RDS::DBInstance": "KmsKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
}


def under_key(resource: R, key: KeyArn | None) -> R:
    """The same resource, encrypted by a key where there is one.

    Types that name a key inside of another property, as a bucket does, say so where they are made.
    """
    if key is not None:
        setattr(resource, TAKES_KEY[str(resource.resource_type)], key)
    return resource
