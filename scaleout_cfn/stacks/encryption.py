"""Encryption: the key that what is at rest is encrypted by."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Sub, kms

from scaleout_cfn.config import Config
from scaleout_cfn.iam import key_policy
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import KeyArn, StackName


class Outputs(Struct, frozen=True):
    key: KeyArn


def build(stack: Stack, config: Config, *, root_stack: StackName) -> Outputs:
    key = stack.add(
        kms.Key(
            "Key",
            Description=Sub("What is at rest in ${Set}", Set=root_stack),
            EnableKeyRotation=True,
            KeyPolicy=key_policy(root_stack),
            # Logs, images and whatever else outlives the stack can be read for as long as the key is there.
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        )
    )
    stack.add(kms.Alias("Alias", AliasName=Sub("alias/${AWS::StackName}"), TargetKeyId=key.ref()))
    return Outputs(KeyArn(key.get_att("Arn")))
