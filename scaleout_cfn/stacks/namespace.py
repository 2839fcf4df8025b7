"""The namespace in which services find each other by name."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Ref, servicediscovery

from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import NamespaceArn


class Outputs(Struct, frozen=True):
    namespace: NamespaceArn


def build(stack: Stack, config: Config) -> Outputs:
    # Its name may not be that of another namespace of the account: a stack's name with its suffix is none.
    made = stack.add(servicediscovery.HttpNamespace("Namespace", Name=Ref("AWS::StackName")))
    return Outputs(NamespaceArn(made.get_att("Arn")))
