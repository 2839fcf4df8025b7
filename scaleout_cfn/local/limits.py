"""What the emulator does not show, as data, so that a command can say it to the user.

No claim here or elsewhere in the package says that AWS behaves as the emulator does: it proves
wiring (parameters, outputs, order, the deployer's protocol) and nothing about quotas, IAM, images or time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GAP: Final = "The emulator does not know"
"""How the emulator begins to say that the template is good, and that it is the one who cannot follow."""

STUBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AWS::ARCZonalShift::ZonalAutoshiftConfiguration": "is kept in the stack, but no traffic is ever shifted",
        "AWS::ApplicationAutoScaling::ScalableTarget": "is kept and can be read back, but nothing scales",
        "AWS::ApplicationAutoScaling::ScalingPolicy": "is kept and can be read back, but makes no alarm",
        "AWS::CloudFront::VpcOrigin": "is kept in the stack, but has no API",
        "AWS::CodeConnections::Connection": "is kept in the stack, but has no API and stays PENDING",
        "AWS::CodePipeline::Pipeline": "is kept in the stack, but has no API and never runs",
        "AWS::EC2::SubnetCidrBlock": "is kept in the stack, but EC2 shows no IPv6 address",
        "AWS::EC2::VPCCidrBlock": "is kept in the stack, but EC2 shows no IPv6 address",
        "AWS::ElasticLoadBalancingV2::TrustStore": "is kept in the stack, but has no API and asks nobody",
        "AWS::WAFv2::LoggingConfiguration": "is kept in the stack, but nothing is logged",
    }
)
"""Resource type -> what becomes of it. Every other type is a real object of the emulator's own service API."""

_EITHER_WAY: Final[tuple[str, ...]] = (
    "An alarm on metric math exists, but is not evaluated.",
    "A pipeline and its connection exist in the stack only, and never run.",
    "IPv6 addresses exist in the stack only.",
    "A stack policy is kept but not enforced.",
)

NOT_SHOWN: Final[tuple[str, ...]] = (
    "No container runs: ECS reports tasks as RUNNING without an image, no target becomes healthy, and the names of"
    " Service Connect lead nowhere.",
    "No instance is launched: Auto Scaling groups, warm pools and Managed Instances stay empty, and no CreationPolicy"
    " or UpdatePolicy is awaited.",
    "A deployment that moves requests stands at a pause until it is answered, and at a step or a bake time until it was"
    " looked at once; no hook is called, and a first deployment is held by nothing.",
    "Nothing scales: a service runs the least tasks that its scaling allows, whatever alarms and schedules say.",
    "Property values, quotas, permissions and the existence of images, certificates, secrets and domains are not"
    " checked. The hosted zones, the VPC, the subnets and the client secrets that the config names are made for the"
    " rehearsal.",
    *_EITHER_WAY,
    "Time: what takes AWS minutes takes milliseconds.",
)
"""Sentences for the user about what a rehearsal leaves open."""

WITH_CONTAINERS: Final[tuple[str, ...]] = (
    "No network of AWS's: no security group, no TLS at the balancer, no test port, no sign-in before it, no web ACL."
    " Tasks reach each other and this machine.",
    "No permission is asked for, by the tasks either, and quotas, property values, certificates and domains are not"
    " checked.",
    "Tasks run on this machine: its CPU is shared by all, and its architecture is that of every image. Nodes are"
    " counted as they come and go, but none is launched, and no CreationPolicy or UpdatePolicy is awaited.",
    "A stack is complete before its tasks are: that they run, and that a deployment is rolled back, is ECS's word.",
    "Predictive scaling is not followed, no hook of a deployment is called, and no alarm ends one.",
    *_EITHER_WAY,
)
"""The same where tasks run as containers."""
