"""ECS: what a template says, as its API takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ministack.services import ecs

from scaleout_cfn.local.types.registry import RefusedError, numbers

CALL: Final = ecs._ACTION_MAP

Record = dict[str, Any]

_SPELLED: Final = {
    "EFSVolumeConfiguration": "efsVolumeConfiguration",
    "FSxWindowsFileServerVolumeConfiguration": "fsxWindowsFileServerVolumeConfiguration",
    "FilesystemId": "fileSystemId",
    "IAM": "iam",
    "PlacementStrategies": "placementStrategy",
}
"""Properties whose names in the API are more than the same in camel case."""

_MAPS: Final = frozenset({"DockerLabels", "DriverOpts", "HookDetails", "Labels", "Options"})
"""Properties that hold names of the user's."""

_NUMBERS: Final = frozenset(
    {
        "bakeTimeInMinutes",
        "base",
        "canaryBakeTimeInMinutes",
        "canaryPercent",
        "containerPort",
        "cpu",
        "desiredCount",
        "hardLimit",
        "healthCheckGracePeriodSeconds",
        "healthyPercent",
        "hostPort",
        "idleTimeoutSeconds",
        "ingressPortOverride",
        "instanceWarmupPeriod",
        "interval",
        "iops",
        "max",
        "maxSpotPriceAsPercentageOfOptimalOnDemandPrice",
        "maxSwap",
        "maximumPercent",
        "maximumScalingStepSize",
        "memory",
        "memoryReservation",
        "min",
        "minimumHealthyPercent",
        "minimumScalingStepSize",
        "onDemandMaxPricePercentageOverLowestPrice",
        "perRequestTimeoutSeconds",
        "port",
        "resolutionSeconds",
        "restartAttemptPeriod",
        "retries",
        "scaleInAfter",
        "sharedMemorySize",
        "size",
        "sizeInGiB",
        "softLimit",
        "spotMaxPricePercentageOverLowestPrice",
        "startPeriod",
        "startTimeout",
        "stepBakeTimeInMinutes",
        "stepPercent",
        "stopTimeout",
        "storageSizeGiB",
        "swappiness",
        "targetCapacity",
        "throughput",
        "timeout",
        "timeoutInMinutes",
        "transitEncryptionPort",
        "volumeInitializationRate",
        "weight",
    }
)


def as_request(value: Any) -> Any:
    """Properties of a template as ECS's API takes them: in camel case, with numbers where a parameter gave text."""
    return numbers(_camel(value), _NUMBERS)


def _camel(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            _SPELLED.get(name, name[:1].lower() + name[1:]): member if name in _MAPS else _camel(member)
            for name, member in value.items()
        }
    return [_camel(member) for member in value] if isinstance(value, list) else value


def cluster_of(request: Mapping[str, Any]) -> Record:
    """The cluster that a request names. Raises `RefusedError` where it is not there."""
    cluster: Record | None = ecs._clusters.get(ecs._resolve_cluster_name(request.get("cluster")))
    if cluster is None:
        raise RefusedError("ClusterNotFoundException", "Cluster not found.")
    return cluster


def active_services(cluster: Mapping[str, Any]) -> list[Record]:
    """The services of a cluster that run tasks."""
    return [
        service
        for service in ecs._services.values()
        if service["clusterArn"] == cluster["clusterArn"] and service["status"] == "ACTIVE"
    ]
