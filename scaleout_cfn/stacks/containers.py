"""Containers: what a task definition says of each, and what the ECS agent may do on their behalf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from troposphere import Ref, ecs

from scaleout_cfn.config.containers import Container
from scaleout_cfn.iam import in_any_partition
from scaleout_cfn.values import LogGroupName, Text


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
