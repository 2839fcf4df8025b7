"""CloudFormation stack sets for auto-scaling HTTP services on Amazon ECS, from one config.

    import scaleout_cfn as sc

    top = sc.compose(sc.Config(services={"web": sc.WebService(scaling=sc.Scaling(max_tasks=12))}))
    sc.write(Path("templates_out"), sc.render(top))

`main` gives a set of your own all the commands: render, deploy, diff ...

The names below are the public ones. They are imported when they are first used, so that a command pays only for
what it needs.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaleout_cfn.cli import main
    from scaleout_cfn.composing import compose
    from scaleout_cfn.config import (
        Alarms,
        AnyClient,
        AwsKeys,
        BindVolume,
        BlueGreen,
        CaBundle,
        Canary,
        Certificate,
        CloudFront,
        Cluster,
        Cognito,
        Config,
        ContainerSidecar,
        Domain,
        EarlySuccess,
        EbsVolume,
        Ec2Capacity,
        EfsOfService,
        EfsVolume,
        ExistingEfs,
        ExistingLoadBalancer,
        ExistingVpc,
        ExistingWebAcl,
        FailoverRouting,
        FargateCapacity,
        FireLensSidecar,
        GitHubPipeline,
        GivenKey,
        GreenHeader,
        GreenPort,
        HealthCheck,
        Hook,
        Http,
        InitSidecar,
        InternalService,
        Job,
        LatencyRouting,
        Linear,
        ManagedCapacity,
        NewLoadBalancer,
        NewVpc,
        NewWebAcl,
        NodeScaling,
        NoPipeline,
        Observability,
        Oidc,
        OtelSidecar,
        OwnKey,
        Pause,
        Permissions,
        PolicyStatement,
        Predictive,
        ProxySidecar,
        Queue,
        Registry,
        RegistryPipeline,
        Roles,
        Rolling,
        Route,
        Scaling,
        Schedule,
        Section,
        SourcePipeline,
        StandIn,
        StepAdjustment,
        StepScaling,
        TargetTracking,
        TrustStore,
        WarmPool,
        WebAlarms,
        WebBlueGreen,
        WebCanary,
        WebLinear,
        WebRolling,
        WebService,
        WorkerService,
        tunable,
    )
    from scaleout_cfn.config.attachments import Bucket, Postgres, Table, Valkey
    from scaleout_cfn.config.file import load
    from scaleout_cfn.config.pulse import AddressPulse, LogPulse, NginxPulse
    from scaleout_cfn.config.text import json_schema, starter
    from scaleout_cfn.config.units import Unit, units
    from scaleout_cfn.errors import ConfigError, ScaleoutError, SetError, UsageError, WiringError
    from scaleout_cfn.files import write
    from scaleout_cfn.graph import mermaid
    from scaleout_cfn.lint import Finding, check_set
    from scaleout_cfn.lint.files import Report, lint_files
    from scaleout_cfn.profiles import PROFILES, Profile, hardened
    from scaleout_cfn.rendering import folder_url, local_url, render, set_of, texts_of
    from scaleout_cfn.stack import Stack
    from scaleout_cfn.stacks.attachments import Attached, attach, bucket, postgres, table, valkey
    from scaleout_cfn.stacks.root import Outputs, build
    from scaleout_cfn.values import (
        ClusterName,
        Flag,
        KeyArn,
        LogGroupName,
        Number,
        ResourceArn,
        RoleArn,
        SecretArn,
        SecurityGroupId,
        ServiceName,
        SubnetIds,
        Text,
        Value,
        Values,
        VpcId,
    )


def _late(name: str) -> None:
    """Put a stand-in in the place of a module, which makes way for it when something of it is used."""

    def load(attribute: str) -> Any:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    stand_in = ModuleType(name)
    vars(stand_in)["__getattr__"] = load  # https://peps.python.org/pep-0562/
    sys.modules.setdefault(name, stand_in)


# troposphere imports it, and with it PyYAML's Python side and logging, for Template.to_yaml, which nobody here calls.
_late("cfn_flip")

_HOMES = {
    "cli": "main",
    "composing": "compose",
    "config": (
        "Alarms AnyClient AwsKeys BindVolume BlueGreen CaBundle Canary Certificate CloudFront Cluster Cognito"
        " Config ContainerSidecar Domain EarlySuccess EbsVolume Ec2Capacity EfsOfService EfsVolume ExistingEfs"
        " ExistingLoadBalancer ExistingVpc ExistingWebAcl FailoverRouting FargateCapacity FireLensSidecar"
        " GitHubPipeline GivenKey GreenHeader GreenPort HealthCheck Hook Http InitSidecar InternalService Job"
        " LatencyRouting Linear ManagedCapacity NewLoadBalancer NewVpc NewWebAcl NodeScaling NoPipeline"
        " Observability Oidc OtelSidecar OwnKey Pause"
        " Permissions PolicyStatement Predictive ProxySidecar Queue Registry RegistryPipeline Roles Rolling Route"
        " Scaling Schedule Section SourcePipeline StandIn StepAdjustment StepScaling TargetTracking TrustStore"
        " WarmPool WebAlarms WebBlueGreen WebCanary WebLinear WebRolling WebService WorkerService tunable"
    ),
    "config.attachments": "Bucket Postgres Table Valkey",
    "config.file": "load",
    "config.pulse": "AddressPulse LogPulse NginxPulse",
    "config.text": "json_schema starter",
    "errors": "ConfigError ScaleoutError SetError UsageError WiringError",
    "files": "write",
    "graph": "mermaid",
    "lint": "Finding check_set",
    "lint.files": "Report lint_files",
    "profiles": "PROFILES Profile hardened",
    "rendering": "folder_url local_url render set_of texts_of",
    "stack": "Stack",
    "stacks.attachments": "Attached attach bucket postgres table valkey",
    "stacks.root": "Outputs build",
    "config.units": "Unit units",
    "values": (
        "ClusterName Flag KeyArn LogGroupName Number ResourceArn RoleArn SecretArn SecurityGroupId ServiceName"
        " SubnetIds Text Value Values VpcId"
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "PROFILES",
    "AddressPulse",
    "Alarms",
    "AnyClient",
    "Attached",
    "AwsKeys",
    "BindVolume",
    "BlueGreen",
    "Bucket",
    "CaBundle",
    "Canary",
    "Certificate",
    "CloudFront",
    "Cluster",
    "ClusterName",
    "Cognito",
    "Config",
    "ConfigError",
    "ContainerSidecar",
    "Domain",
    "EarlySuccess",
    "EbsVolume",
    "Ec2Capacity",
    "EfsOfService",
    "EfsVolume",
    "ExistingEfs",
    "ExistingLoadBalancer",
    "ExistingVpc",
    "ExistingWebAcl",
    "FailoverRouting",
    "FargateCapacity",
    "Finding",
    "FireLensSidecar",
    "Flag",
    "GitHubPipeline",
    "GivenKey",
    "GreenHeader",
    "GreenPort",
    "HealthCheck",
    "Hook",
    "Http",
    "InitSidecar",
    "InternalService",
    "Job",
    "KeyArn",
    "LatencyRouting",
    "Linear",
    "LogGroupName",
    "LogPulse",
    "ManagedCapacity",
    "NewLoadBalancer",
    "NewVpc",
    "NewWebAcl",
    "NginxPulse",
    "NoPipeline",
    "NodeScaling",
    "Number",
    "Observability",
    "Oidc",
    "OtelSidecar",
    "Outputs",
    "OwnKey",
    "Pause",
    "Permissions",
    "PolicyStatement",
    "Postgres",
    "Predictive",
    "Profile",
    "ProxySidecar",
    "Queue",
    "Registry",
    "RegistryPipeline",
    "Report",
    "ResourceArn",
    "RoleArn",
    "Roles",
    "Rolling",
    "Route",
    "ScaleoutError",
    "Scaling",
    "Schedule",
    "SecretArn",
    "Section",
    "SecurityGroupId",
    "ServiceName",
    "SetError",
    "SourcePipeline",
    "Stack",
    "StandIn",
    "StepAdjustment",
    "StepScaling",
    "SubnetIds",
    "Table",
    "TargetTracking",
    "Text",
    "TrustStore",
    "Unit",
    "UsageError",
    "Valkey",
    "Value",
    "Values",
    "VpcId",
    "WarmPool",
    "WebAlarms",
    "WebBlueGreen",
    "WebCanary",
    "WebLinear",
    "WebRolling",
    "WebService",
    "WiringError",
    "WorkerService",
    "attach",
    "bucket",
    "build",
    "check_set",
    "compose",
    "folder_url",
    "hardened",
    "json_schema",
    "lint_files",
    "load",
    "local_url",
    "main",
    "mermaid",
    "postgres",
    "render",
    "set_of",
    "starter",
    "table",
    "texts_of",
    "tunable",
    "units",
    "valkey",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
