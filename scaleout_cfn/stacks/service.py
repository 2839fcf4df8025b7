"""The service: its task definition, what it may do, and how a new version takes over."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from troposphere import Ref, ec2, ecs, iam

from scaleout_cfn.config import Config
from scaleout_cfn.iam import assumed_by, carry_exec_sessions, pull_image, read_secrets, write_logs
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import (
    AlarmName,
    CapacityProviderName,
    ClusterName,
    LogGroupArn,
    LogGroupName,
    RepositoryArn,
    SecurityGroupId,
    ServiceName,
    SubnetIds,
    TargetGroupArn,
    Text,
    VpcId,
)

CONTAINER = "web"


class Outputs(Struct, frozen=True):
    service_name: ServiceName


def build(
    stack: Stack,
    config: Config,
    *,
    image_uri: Text,
    repository_arn: RepositoryArn,
    cluster_name: ClusterName,
    capacity_provider: CapacityProviderName,
    target_group: TargetGroupArn,
    log_group_name: LogGroupName,
    log_group_arn: LogGroupArn,
    target_errors_alarm: AlarmName | None,
    unhealthy_targets_alarm: AlarmName | None,
    vpc_id: VpcId | None,
    subnets: SubnetIds | None,
    load_balancer_security_group: SecurityGroupId | None,
) -> Outputs:
    settings = config.service
    definition = stack.add(
        ecs.TaskDefinition(
            "TaskDefinition",
            # The stack's own name: unique, and the revisions of one service count up in one family.
            Family=Ref("AWS::StackName"),
            NetworkMode=settings.network_mode,
            RequiresCompatibilities=["EC2"],
            ExecutionRoleArn=_execution_role(stack, config, repository_arn, log_group_arn).get_att("Arn"),
            TaskRoleArn=_task_role(stack, config).get_att("Arn"),
            ContainerDefinitions=[_container(config, image_uri, log_group_name)],
        )
    )
    service = ecs.Service(
        "Service",
        Cluster=cluster_name,
        TaskDefinition=definition.ref(),
        # No DesiredCount: scaling owns it, and an update would set it back. No Role: the service-linked one is used.
        CapacityProviderStrategy=[ecs.CapacityProviderStrategyItem(CapacityProvider=capacity_provider, Weight=1)],
        LoadBalancers=[
            ecs.LoadBalancer(
                ContainerName=CONTAINER, ContainerPort=settings.container_port, TargetGroupArn=target_group
            )
        ],
        HealthCheckGracePeriodSeconds=settings.deployment.health_check_grace_s,
        DeploymentConfiguration=_deployment(config, target_errors_alarm, unhealthy_targets_alarm),
        AvailabilityZoneRebalancing="ENABLED" if settings.zone_rebalancing else "DISABLED",
        PlacementStrategies=_placement(config),
        EnableExecuteCommand=settings.exec,
        EnableECSManagedTags=True,
        PropagateTags="SERVICE",
    )
    if settings.network_mode == "awsvpc":
        assert vpc_id is not None and load_balancer_security_group is not None
        group = _security_group(stack, settings.container_port, vpc_id, load_balancer_security_group)
        service.NetworkConfiguration = ecs.NetworkConfiguration(
            AwsvpcConfiguration=ecs.AwsvpcConfiguration(Subnets=subnets, SecurityGroups=[group.ref()])
        )
    if config.scaling.high_resolution:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-monitoringconfiguration.html
        service.Monitoring = ecs.MonitoringConfiguration(
            MetricConfigurations=[
                ecs.MetricConfiguration(MetricNames=["CPUUtilization", "MemoryUtilization"], ResolutionSeconds=20)
            ]
        )
    stack.add(service)
    return Outputs(ServiceName(service.get_att("Name")))


def _container(config: Config, image_uri: Text, log_group_name: LogGroupName) -> ecs.ContainerDefinition:
    settings = config.service
    port = ecs.PortMapping(ContainerPort=settings.container_port, Protocol="tcp")
    if settings.network_mode == "bridge":
        port.HostPort = 0
    container = ecs.ContainerDefinition(
        Name=CONTAINER,
        Image=image_uri,
        Essential=True,
        # On the container, not on the task: a task may then use idle CPU of its node, and the metric that scaling
        # follows is not capped at 100 percent.
        Cpu=settings.cpu_units,
        Memory=settings.memory_mib,
        PortMappings=[port],
        ReadonlyRootFilesystem=settings.read_only,
        LinuxParameters=ecs.LinuxParameters(InitProcessEnabled=True),
        StopTimeout=settings.stop_timeout_s,
        LogConfiguration=ecs.LogConfiguration(
            LogDriver="awslogs",
            Options={
                "awslogs-group": log_group_name,
                "awslogs-region": Ref("AWS::Region"),
                "awslogs-stream-prefix": CONTAINER,
                # Blocking logs stop the container when CloudWatch is slow; what does not fit the buffer is lost.
                "mode": "non-blocking",
                "max-buffer-size": "16m",
            },
        ),
    )
    if settings.tmpfs_mib:
        container.LinuxParameters.Tmpfs = [
            ecs.Tmpfs(ContainerPath=path, Size=size, MountOptions=["noexec", "nosuid", "nodev"])
            for path, size in sorted(settings.tmpfs_mib.items())
        ]
    if settings.environment:
        container.Environment = [
            ecs.Environment(Name=name, Value=value) for name, value in sorted(settings.environment.items())
        ]
    if settings.secrets:
        container.Secrets = [ecs.Secret(Name=name, ValueFrom=arn) for name, arn in sorted(settings.secrets.items())]
    if settings.health_command:
        container.HealthCheck = ecs.HealthCheck(
            Command=["CMD", *settings.health_command], Interval=10, Timeout=5, Retries=3, StartPeriod=30
        )
    return container


def _execution_role(
    stack: Stack, config: Config, repository_arn: RepositoryArn, log_group_arn: LogGroupArn
) -> iam.Role:
    """What the ECS agent does on a task's behalf."""
    policies = [
        iam.Policy(PolicyName="pull-image", PolicyDocument=pull_image(repository_arn, config.registry.pull_from)),
        iam.Policy(PolicyName="write-logs", PolicyDocument=write_logs(log_group_arn)),
    ]
    if config.service.secrets:
        policies.append(
            iam.Policy(PolicyName="read-secrets", PolicyDocument=read_secrets(list(config.service.secrets.values())))
        )
    return stack.add(iam.Role("ExecutionRole", AssumeRolePolicyDocument=assumed_by("ecs-tasks"), Policies=policies))


def _task_role(stack: Stack, config: Config) -> iam.Role:
    """What the application itself may do: nothing, until somebody adds to it."""
    role = iam.Role("TaskRole", AssumeRolePolicyDocument=assumed_by("ecs-tasks"))
    if config.service.exec:
        role.Policies = [iam.Policy(PolicyName="exec-sessions", PolicyDocument=carry_exec_sessions())]
    return stack.add(role)


def _deployment(config: Config, *alarms: AlarmName | None) -> ecs.DeploymentConfiguration:
    settings = config.service.deployment
    watched = [alarm for alarm in alarms if alarm is not None]
    deployment = ecs.DeploymentConfiguration(
        MinimumHealthyPercent=settings.minimum_healthy_percent,
        MaximumPercent=settings.maximum_percent,
        DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(
            Enable=True,
            Rollback=True,
            ResetOnHealthyTask=True,
            ThresholdConfiguration=ecs.ThresholdConfiguration(Type="COUNT", Value=settings.failure_threshold),
        ),
    )
    if watched:
        deployment.Alarms = ecs.DeploymentAlarms(AlarmNames=watched, Enable=True, Rollback=True)
    return deployment


def _placement(config: Config) -> list[Any]:
    fill = ecs.PlacementStrategy(Type="binpack", Field="memory")
    if config.service.placement == "binpack":
        return [fill]
    # Zone rebalancing wants the spread over zones first.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    return [ecs.PlacementStrategy(Type="spread", Field="attribute:ecs.availability-zone"), fill]


def _security_group(stack: Stack, port: int, vpc_id: VpcId, load_balancer: SecurityGroupId) -> ec2.SecurityGroup:
    """The tasks' own group under awsvpc: in only from the load balancer, on the container's port."""
    group = stack.add(
        ec2.SecurityGroup(
            "SecurityGroup",
            GroupDescription="Tasks; in only from the load balancer.",
            VpcId=vpc_id,
            SecurityGroupIngress=[
                ec2.SecurityGroupRule(
                    Description="The load balancer to the container's port",
                    IpProtocol="tcp",
                    FromPort=port,
                    ToPort=port,
                    SourceSecurityGroupId=load_balancer,
                )
            ],
        )
    )
    stack.add(
        ec2.SecurityGroupEgress(
            "LoadBalancerEgress",
            Description="To the tasks",
            GroupId=load_balancer,
            IpProtocol="tcp",
            FromPort=port,
            ToPort=port,
            DestinationSecurityGroupId=group.ref(),
        )
    )
    return group
