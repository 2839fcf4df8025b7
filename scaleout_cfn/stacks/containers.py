"""Containers and volumes: what a task definition says of each, and what the ECS agent and a task may do for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from awacs.aws import PolicyDocument
from troposphere import Ref, ecs, iam

from scaleout_cfn.config.containers import EFS, BindVolume, Container, EbsVolume, ExistingEfs
from scaleout_cfn.config.units import Unit
from scaleout_cfn.iam import assumed_by, aws_policy, in_any_partition, mount_file_system, use_key_for_volumes
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import AccessPointId, FileSystemId, KeyArn, LogGroupName, Text


def container(
    name: str,
    settings: Container,
    image: Text | str,
    log_group_name: LogGroupName,
    *,
    cpu_units: int,
    memory_mib: int,
    stream_prefix: str,
    registry_secret: str = "",
    ports: Sequence[ecs.PortMapping] = (),
    told: Mapping[str, object] = {},
) -> ecs.ContainerDefinition:
    """One container of a task: `cpu_units` and `memory_mib` are its own share, in 1/1024 of a vCPU and MiB.

    `told` are variables that the set adds to its environment.
    `stream_prefix` is the service's name, by which `logs` knows whose its lines are.
    """
    made = ecs.ContainerDefinition(
        Name=name,
        Image=image,
        Essential=True,
        # On EC2 nodes on the container only, not on the task: a task may then use idle CPU of its node, and the metric
        # that scaling follows is not capped at 100 percent.
        Cpu=cpu_units,
        Memory=memory_mib,
        ReadonlyRootFilesystem=settings.read_only,
        LinuxParameters=ecs.LinuxParameters(InitProcessEnabled=True),
        StopTimeout=settings.stop_timeout_s,
        LogConfiguration=_logs(stream_prefix, settings, log_group_name),
    )
    if ports:
        made.PortMappings = list(ports)
    if settings.command:
        made.Command = list(settings.command)
    if capabilities := _capabilities(settings.capabilities):
        made.LinuxParameters.Capabilities = capabilities
    if settings.entrypoint:
        made.EntryPoint = list(settings.entrypoint)
    if settings.user:
        made.User = settings.user
    if settings.working_directory:
        made.WorkingDirectory = settings.working_directory
    if settings.ulimits:
        made.Ulimits = [
            ecs.Ulimit(Name=limit, SoftLimit=number, HardLimit=number)
            for limit, number in sorted(settings.ulimits.items())
        ]
    if settings.labels:
        made.DockerLabels = dict(sorted(settings.labels.items()))
    if settings.tmpfs_mib:
        made.LinuxParameters.Tmpfs = [
            ecs.Tmpfs(ContainerPath=path, Size=size, MountOptions=["noexec", "nosuid", "nodev"])
            for path, size in sorted(settings.tmpfs_mib.items())
        ]
    if variables := {**settings.environment, **told}:
        made.Environment = [
            ecs.Environment(Name=variable, Value=value) for variable, value in sorted(variables.items())
        ]
    if settings.environment_files:
        made.EnvironmentFiles = [
            ecs.EnvironmentFile(Type="s3", Value=in_any_partition(arn)) for arn in settings.environment_files
        ]
    if settings.secrets:
        made.Secrets = secrets(settings.secrets)
    if registry_secret:
        made.RepositoryCredentials = ecs.RepositoryCredentials(CredentialsParameter=registry_secret)
    if settings.health_command:
        made.HealthCheck = ecs.HealthCheck(
            Command=["CMD", *settings.health_command],
            Interval=settings.health_interval_s,
            Timeout=settings.health_timeout_s,
            Retries=settings.health_retries,
            StartPeriod=settings.health_start_s,
        )
    return made


def secrets(arns: Mapping[str, str]) -> list[ecs.Secret]:
    return [ecs.Secret(Name=name, ValueFrom=arn) for name, arn in sorted(arns.items())]


def _logs(stream_prefix: str, settings: Container, log_group_name: LogGroupName) -> ecs.LogConfiguration:
    if settings.log_driver == "awslogs":
        options = {
            "awslogs-group": log_group_name,
            "awslogs-region": Ref("AWS::Region"),
            "awslogs-stream-prefix": stream_prefix,
            # Blocking logs stop the container when CloudWatch is slow; what does not fit the buffer is lost.
            "mode": "non-blocking",
            "max-buffer-size": "16m",
        }
        return ecs.LogConfiguration(LogDriver="awslogs", Options=options)
    logs = ecs.LogConfiguration(LogDriver=settings.log_driver)
    if settings.log_options:
        logs.Options = dict(sorted(settings.log_options.items()))
    if settings.log_secret_options:
        logs.SecretOptions = secrets(settings.log_secret_options)
    return logs


def _capabilities(added: tuple[str, ...]) -> ecs.KernelCapabilities | None:
    """Those that are named and no others; with DEFAULT those that Docker gives, and the others.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
    """
    named = sorted(set(added) - {"DEFAULT"})
    capabilities = ecs.KernelCapabilities()
    if "DEFAULT" not in added:
        capabilities.Drop = ["ALL"]
    if named:
        capabilities.Add = named
    return capabilities if capabilities.properties else None


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
