"""Storage: the file systems of a service, each with an access point and a mount target in each zone.

In a stack of its own, which changes with nothing but the volumes: what mounts them lets itself in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Struct
from troposphere import ec2, efs

from scaleout_cfn.config.units import Unit, title_of
from scaleout_cfn.iam import mounted_by_tls
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import AccessPointId, FileSystemId, KeyArn, SecurityGroupId, SubnetId, VpcId


class Outputs(Struct, frozen=True):
    #: By volume.
    file_system: dict[str, FileSystemId]
    access_point: dict[str, AccessPointId]
    security_group: SecurityGroupId


def build(stack: Stack, unit: Unit, *, vpc_id: VpcId, subnet: Mapping[str, SubnetId], key: KeyArn | None) -> Outputs:
    group = stack.add(
        ec2.SecurityGroup(
            "SecurityGroup", GroupDescription="Mount targets; in only from services that mount.", VpcId=vpc_id
        )
    )
    systems: dict[str, FileSystemId] = {}
    points: dict[str, AccessPointId] = {}
    for name, volume in unit.file_systems.items():
        title = title_of(name)
        system = efs.FileSystem(
            f"{title}FileSystem",
            Encrypted=True,
            PerformanceMode="generalPurpose",
            ThroughputMode=volume.throughput,
            BackupPolicy=efs.BackupPolicy(Status="ENABLED" if volume.backup else "DISABLED"),
            # With a policy nobody mounts it without a role: without one, whoever reaches it does.
            # https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
            FileSystemPolicy=json.loads(mounted_by_tls().to_json()),
            # A file system that a failed first deployment made holds nothing.
            DeletionPolicy="RetainExceptOnCreate" if volume.keep else "Delete",
            UpdateReplacePolicy="Retain" if volume.keep else "Delete",
        )
        if key is not None:
            system.KmsKeyId = key
        stack.add(system)
        for zone, within in sorted(subnet.items()):
            stack.add(
                efs.MountTarget(
                    f"{title}MountTarget{title_of(zone)}",
                    FileSystemId=system.ref(),
                    SubnetId=within,
                    SecurityGroups=[group.ref()],
                )
            )
        owner = {"OwnerUid": str(volume.uid), "OwnerGid": str(volume.gid)}
        point = stack.add(
            efs.AccessPoint(
                f"{title}AccessPoint",
                FileSystemId=system.ref(),
                PosixUser=efs.PosixUser(Uid=str(volume.uid), Gid=str(volume.gid)),
                RootDirectory=efs.RootDirectory(
                    Path=f"/{name}", CreationInfo=efs.CreationInfo(**owner, Permissions="0750")
                ),
            )
        )
        systems[name], points[name] = FileSystemId(system.ref()), AccessPointId(point.ref())
    return Outputs(systems, points, SecurityGroupId(group.ref()))
