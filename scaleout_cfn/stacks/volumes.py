"""Volumes in a task definition and a service: where they are mounted, and what a task may do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from awacs.aws import PolicyDocument
from troposphere import ecs, iam

from scaleout_cfn.config.storage import EFS, BindVolume, EbsVolume, ExistingEfs
from scaleout_cfn.config.units import Unit
from scaleout_cfn.iam import assumed_by, aws_policy, mount_file_system, use_key_for_volumes
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import AccessPointId, FileSystemId, KeyArn


def mount(
    unit: Unit,
    definition: ecs.TaskDefinition,
    file_system: Mapping[str, FileSystemId],
    access_point: Mapping[str, AccessPointId],
) -> None:
    """Put a service's volumes into its task definition, and into the containers that mount them."""
    definition.Volumes = [
        _volume(unit, name, file_system.get(name), access_point.get(name)) for name in sorted(unit.settings.volumes)
    ]
    containers = {container.Name: container for container in definition.ContainerDefinitions}
    for name, volume in sorted(unit.settings.volumes.items()):
        for place, path in sorted(volume.mounts.items()):
            container = containers[unit.name if place == unit.container else place]
            point = ecs.MountPoint(SourceVolume=name, ContainerPath=path, ReadOnly=place in volume.read_only_for)
            container.MountPoints = [*container.properties.get("MountPoints", []), point]


def _volume(unit: Unit, name: str, system: FileSystemId | None, point: AccessPointId | None) -> ecs.Volume:
    volume = unit.settings.volumes[name]
    if isinstance(volume, EbsVolume):
        return ecs.Volume(Name=name, ConfiguredAtLaunch=True)
    if isinstance(volume, BindVolume):
        made = ecs.Volume(Name=name)
        if volume.host_path:
            made.Host = ecs.Host(SourcePath=volume.host_path)
        return made
    by = ecs.AuthorizationConfig(IAM="ENABLED")
    if isinstance(volume, ExistingEfs):
        system = FileSystemId(volume.file_system_id)
        point = AccessPointId(volume.access_point_id) if volume.access_point_id else None
    if point is not None:
        by.AccessPointId = point
    # By the network interface of the task, on nodes as well:
    # https://github.com/aws/amazon-ecs-agent/blob/master/agent/taskresource/volume/dockervolume.go
    return ecs.Volume(
        Name=name,
        EFSVolumeConfiguration=ecs.EFSVolumeConfiguration(
            FilesystemId=system, TransitEncryption="ENABLED", AuthorizationConfig=by
        ),
    )


def mount_policies(
    unit: Unit, file_system: Mapping[str, FileSystemId], access_point: Mapping[str, AccessPointId]
) -> dict[str, PolicyDocument]:
    """What the role of a task may do with the file systems that it mounts, by the name of the policy."""
    allowed = {}
    for name, volume in sorted(unit.settings.volumes.items()):
        if isinstance(volume, EFS):
            given = isinstance(volume, ExistingEfs)
            system = volume.file_system_id if isinstance(volume, ExistingEfs) else file_system[name]
            point = (volume.access_point_id if isinstance(volume, ExistingEfs) else access_point[name]) or None
            writes = any(place not in volume.read_only_for for place in volume.mounts)
            # Files of somebody else's may be root's; the root of a file system of ours is behind its access point.
            allowed[f"mount-{name}"] = mount_file_system(system, point, writes=writes, as_root=given and point is None)
    return allowed


def configured_at_launch(stack: Stack, unit: Unit, key: KeyArn | None) -> Sequence[ecs.ServiceVolumeConfiguration]:
    """The volumes of EBS that ECS makes with each task, by a role of its own.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ebs-volumes.html
    """
    made = []
    for name, volume in sorted(unit.settings.volumes.items()):
        if not isinstance(volume, EbsVolume):
            continue
        role = iam.Role(
            "VolumeRole",
            AssumeRolePolicyDocument=assumed_by("ecs"),
            ManagedPolicyArns=[aws_policy("service-role/AmazonECSInfrastructureRolePolicyForVolumes")],
        )
        if key is not None:
            role.Policies = [iam.Policy(PolicyName="use-key", PolicyDocument=use_key_for_volumes(key))]
        stack.add(role)
        disk = ecs.ServiceManagedEBSVolumeConfiguration(
            RoleArn=role.get_att("Arn"),
            Encrypted=True,
            FilesystemType=volume.file_system,
            SizeInGiB=volume.size_gib,
            VolumeType=volume.volume_type,
            TagSpecifications=[ecs.EBSTagSpecification(ResourceType="volume", PropagateTags="SERVICE")],
        )
        if key is not None:
            disk.KmsKeyId = key
        if volume.iops:
            disk.Iops = volume.iops
        if volume.throughput_mib_s:
            disk.Throughput = volume.throughput_mib_s
        made.append(ecs.ServiceVolumeConfiguration(Name=name, ManagedEBSVolume=disk))
    return made
