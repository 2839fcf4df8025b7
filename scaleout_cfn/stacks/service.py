"""A service: its task definition, what it may do, how it scales, and how a new version takes over.

It changes with each image, and nobody takes an output of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awacs.aws import PolicyDocument
from msgspec import Struct
from troposphere import Ref, ec2, ecs, iam

from scaleout_cfn.config import (
    Ec2Capacity,
    FargateCapacity,
    InternalService,
    ManagedCapacity,
    NewVpc,
    Rolling,
    WebService,
)
from scaleout_cfn.config.pulse import VARIABLE, LogPulse
from scaleout_cfn.config.units import Unit, Work, queue_variable
from scaleout_cfn.grammars import ecr_repository
from scaleout_cfn.iam import (
    assumed_by,
    carry_exec_sessions,
    in_any_partition,
    log_group_arn,
    permit,
    pull_image,
    read_environment_files,
    read_secrets,
    receive_messages,
    send_messages,
    use_key,
    write_logs,
)
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.containers import container
from scaleout_cfn.stacks.scaling import scale
from scaleout_cfn.values import (
    AccessPointId,
    AlarmNames,
    CapacityProviderName,
    ClusterName,
    FileSystemId,
    KeyArn,
    ListenerRuleArn,
    LoadBalancerName,
    LogGroupName,
    NamespaceArn,
    Number,
    QueueArn,
    QueueName,
    QueueUrl,
    RepositoryArn,
    RoleArn,
    SecurityGroupId,
    SubnetIds,
    TargetGroupArn,
    TargetGroupName,
    Text,
    TopicArn,
)

#: What a task definition says it can run on, by kind of pool.
COMPATIBILITY = {Ec2Capacity: "EC2", FargateCapacity: "FARGATE", ManagedCapacity: "MANAGED_INSTANCES"}


class Outputs(Struct, frozen=True):
    pass


def build(
    stack: Stack,
    unit: Unit,
    *,
    image_uri: Text,
    repository_arn: RepositoryArn | None,
    cluster_name: ClusterName,
    capacity_provider: CapacityProviderName | None,
    target_group: TargetGroupArn | None,
    target_group_name: TargetGroupName | None,
    alternate_target_group: TargetGroupArn | None,
    alternate_targets: TargetGroupName | None,
    production_rule: ListenerRuleArn | None,
    test_rule: ListenerRuleArn | None,
    deployment_role: RoleArn | None,
    load_balancer_name: LoadBalancerName | None,
    log_group_name: LogGroupName,
    alarms: AlarmNames | None,
    subnets: SubnetIds | None,
    security_group: SecurityGroupId | None,
    reached_group: dict[str, SecurityGroupId],
    reached: Text | None,
    namespace: NamespaceArn | None,
    min_tasks: Number | None,
    max_tasks: Number | None,
    topic: TopicArn | None,
    key: KeyArn | None,
    exec_logs: LogGroupName | None,
    queue_url: QueueUrl | None,
    queue_arn: QueueArn | None,
    queue_name: QueueName | None,
    sent_url: dict[str, QueueUrl],
    sent_arn: dict[str, QueueArn],
    file_system: dict[str, FileSystemId],
    access_point: dict[str, AccessPointId],
) -> Outputs:
    settings = unit.settings
    agent = execution_role(stack, unit, repository_arn, log_group_name, key)
    allowed = {}
    if settings.volumes:
        from scaleout_cfn.stacks.containers import mount_policies  # here and below: most services have none

        allowed = mount_policies(unit, file_system, access_point)
    application = task_role(stack, unit, log_group_name, queue_arn, sent_arn, key, exec_logs, allowed)
    told: dict[str, object] = {queue_variable(name): url for name, url in sent_url.items()}
    if queue_url is not None:
        told["QUEUE_URL"] = queue_url
    if isinstance(unit.scaling.pulse, LogPulse):
        told[VARIABLE] = Ref("AWS::StackName")
    containers = [own_container(unit, image_uri, log_group_name, told)]
    if unit.sidecars:
        from scaleout_cfn.stacks.sidecars import put_beside  # here, for most services have none

        containers = put_beside(unit, containers[0], image_uri, log_group_name)
    definition = task_definition(unit, agent, application, containers)
    if settings.volumes:
        from scaleout_cfn.stacks.containers import mount

        mount(unit, definition, file_system, access_point)
    if settings.ephemeral_storage_gib:
        definition.EphemeralStorage = ecs.EphemeralStorage(SizeInGiB=settings.ephemeral_storage_gib)
    if reached is not None:
        # A task finds by name only what was there when it started: when one that is reached comes, tasks are new.
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html
        if isinstance(unit.pool, ManagedCapacity):
            # They take no labels.
            own = containers[0]
            own.Environment = [*own.properties.get("Environment", []), ecs.Environment(Name="REACHES", Value=reached)]
        else:
            containers[0].DockerLabels = {**settings.labels, "reaches": reached}
    stack.add(definition)
    service = ecs.Service(
        "Service",
        Cluster=cluster_name,
        TaskDefinition=definition.ref(),
        # No DesiredCount: scaling owns it, and an update would set it back. No Role: the service-linked one is used.
        CapacityProviderStrategy=strategy(unit, capacity_provider),
        DeploymentConfiguration=_deployment(unit, alarms, deployment_role),
        AvailabilityZoneRebalancing="ENABLED" if settings.zone_rebalancing else "DISABLED",
        EnableExecuteCommand=settings.exec,
        EnableECSManagedTags=True,
        PropagateTags="SERVICE",
    )
    if unit.has_disk:
        from scaleout_cfn.stacks.containers import configured_at_launch

        service.VolumeConfigurations = configured_at_launch(stack, unit, key)
    if settings.service_name:
        service.ServiceName = settings.service_name
    if isinstance(unit.pool, Ec2Capacity):
        service.PlacementStrategies = _placement(unit)
    if isinstance(settings, WebService):
        service.LoadBalancers = [
            ecs.LoadBalancer(
                ContainerName=unit.proxy[0] if unit.proxy else unit.name,
                ContainerPort=unit.port,
                TargetGroupArn=target_group,
            )
        ]
        if unit.has_alternate:
            from scaleout_cfn.stacks.shifting import configure

            advanced = configure(alternate_target_group, production_rule, test_rule, deployment_role)
            service.LoadBalancers[0].AdvancedConfiguration = advanced
        service.HealthCheckGracePeriodSeconds = settings.deployment.health_check_grace_s
    if unit.network_mode == "awsvpc":
        assert security_group is not None
        addresses = ecs.AwsvpcConfiguration(Subnets=subnets, SecurityGroups=[security_group])
        network = unit.config.network
        if isinstance(network, NewVpc) and network.egress == "public-subnets":
            addresses.AssignPublicIp = "ENABLED"
        service.NetworkConfiguration = ecs.NetworkConfiguration(AwsvpcConfiguration=addresses)
    if namespace is not None:
        service.ServiceConnectConfiguration = _service_connect(unit, namespace)
    _let_in(stack, unit, security_group, reached_group)
    if unit.fast_metrics:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-service-monitoringconfiguration.html
        service.Monitoring = ecs.MonitoringConfiguration(
            MetricConfigurations=[ecs.MetricConfiguration(MetricNames=unit.fast_metrics, ResolutionSeconds=20)]
        )
    stack.add(service)
    if min_tasks is None or max_tasks is None or topic is None:
        # What stands in for another is as many as it has to be, for as long as it is there.
        service.DesiredCount = settings.scaling.max_tasks
        return Outputs()
    scale(
        stack,
        unit,
        service,
        cluster_name=cluster_name,
        load_balancer_name=load_balancer_name,
        target_group_name=target_group_name,
        alternate_targets=alternate_targets,
        min_tasks=min_tasks,
        max_tasks=max_tasks,
        topic=topic,
        queue_name=queue_name,
    )
    return Outputs()


def task_definition(
    unit: Work, agent: iam.Role, application: iam.Role, containers: list[ecs.ContainerDefinition]
) -> ecs.TaskDefinition:
    settings = unit.settings
    definition = ecs.TaskDefinition(
        "TaskDefinition",
        # The stack's own name: unique, and the revisions of one service count up in one family.
        Family=Ref("AWS::StackName"),
        NetworkMode=unit.network_mode,
        RequiresCompatibilities=[COMPATIBILITY[type(unit.pool)]],
        ExecutionRoleArn=agent.get_att("Arn"),
        TaskRoleArn=application.get_att("Arn"),
        ContainerDefinitions=containers,
    )
    if not isinstance(unit.pool, Ec2Capacity):
        definition.Cpu, definition.Memory = str(settings.cpu_units), str(settings.memory_mib)
        architecture = "ARM64" if unit.architecture == "arm64" else "X86_64"
        definition.RuntimePlatform = ecs.RuntimePlatform(CpuArchitecture=architecture, OperatingSystemFamily="LINUX")
    elif isinstance(unit, Unit) and unit.settings.cpu_is == "quota":
        # A container's own CPU is shares, and only the task's is a limit.
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
        definition.Cpu = str(settings.cpu_units)
    return definition


def strategy(unit: Work, capacity_provider: CapacityProviderName | None) -> list[ecs.CapacityProviderStrategyItem]:
    """Where tasks go. On Fargate a base of On-Demand tasks first, and of the rest a share to Spot.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
    """
    pool = unit.pool
    if not isinstance(pool, FargateCapacity):
        return [ecs.CapacityProviderStrategyItem(CapacityProvider=capacity_provider, Weight=1)]
    items = []
    if pool.spot_percent < 100 or pool.on_demand_base:
        on_demand = ecs.CapacityProviderStrategyItem(CapacityProvider="FARGATE", Weight=100 - pool.spot_percent)
        if pool.on_demand_base:
            on_demand.Base = pool.on_demand_base
        items.append(on_demand)
    if pool.spot_percent:
        items.append(ecs.CapacityProviderStrategyItem(CapacityProvider="FARGATE_SPOT", Weight=pool.spot_percent))
    return items


def _service_connect(unit: Unit, namespace: NamespaceArn) -> ecs.ServiceConnectConfiguration:
    """Reach others by name, and, for an internal service, be reached: `http://api:8080`.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html
    """
    connect = ecs.ServiceConnectConfiguration(Enabled=True, Namespace=namespace)
    if unit.is_reached:
        assert isinstance(unit.settings, InternalService)
        # The container's port, also where a proxy is in front: who calls it need not know.
        alias = ecs.ServiceConnectClientAlias(Port=unit.settings.container_port, DnsName=unit.name)
        connect.Services = [ecs.ServiceConnectService(PortName=unit.name, ClientAliases=[alias])]
    return connect


def _let_in(
    stack: Stack, unit: Unit, own_group: SecurityGroupId | None, reached_group: dict[str, SecurityGroupId]
) -> None:
    """Let the tasks in to the services that this one names, and only to those.

    Made here, by who reaches: a service that is reached does not change when another one comes or goes.
    """
    for name, group in sorted(reached_group.items()):
        reached = Unit(name, unit.config.services[name], unit.config)
        stack.add(
            ec2.SecurityGroupIngress(
                f"Reach{reached.title}",
                Description=f"{unit.name} to the container's port",
                GroupId=group,
                IpProtocol="tcp",
                FromPort=reached.port,
                ToPort=reached.port,
                SourceSecurityGroupId=own_group,
            )
        )


def own_container(
    unit: Work, image_uri: Text, log_group_name: LogGroupName, told: Mapping[str, object]
) -> ecs.ContainerDefinition:
    ports = []
    if unit.port is not None and not unit.proxy:
        port = ecs.PortMapping(ContainerPort=unit.port, Protocol="tcp")
        if unit.network_mode == "bridge":
            port.HostPort = 0
        if unit.is_reached:
            # What Service Connect calls it by.
            port.Name = unit.name
        ports = [port]
    settings = unit.settings
    made = container(
        unit.name,
        settings,
        image_uri,
        log_group_name,
        cpu_units=unit.own_cpu_units,
        memory_mib=unit.own_memory_mib,
        stream_prefix=unit.name,
        registry_secret=unit.registry_secret,
        ports=ports,
        told=told,
    )
    if settings.gpus:
        made.ResourceRequirements = [ecs.ResourceRequirement(Type="GPU", Value=str(settings.gpus))]
    return made


def execution_role(
    stack: Stack,
    unit: Work,
    repository_arn: RepositoryArn | None,
    log_group_name: LogGroupName,
    key: KeyArn | None,
) -> iam.Role:
    """What the ECS agent does on a task's behalf."""
    owner = unit.of_image
    images = [owner.image_uri, *(sidecar.image_uri for sidecar in unit.sidecars.values())]
    others = {*owner.pull_from, *unit.settings.pull_from, *filter(None, map(ecr_repository, images))}
    policies = [iam.Policy(PolicyName="write-logs", PolicyDocument=write_logs(log_group_arn(log_group_name)))]
    if repository_arn is not None or others:
        pulling = pull_image(repository_arn, sorted(others))
        policies.insert(0, iam.Policy(PolicyName="pull-image", PolicyDocument=pulling))
    if secrets := list(unit.secrets.values()):
        named = dict.fromkeys(arn for container in unit.containers.values() for arn in container.secrets_keys)
        keys = [*named, *([key] if key is not None else [])]
        policies.append(iam.Policy(PolicyName="read-secrets", PolicyDocument=read_secrets(secrets, keys)))
    if files := list(unit.environment_files.values()):
        policies.append(iam.Policy(PolicyName="read-environment-files", PolicyDocument=read_environment_files(files)))
    return stack.add(iam.Role("ExecutionRole", AssumeRolePolicyDocument=assumed_by("ecs-tasks"), Policies=policies))


def task_role(
    stack: Stack,
    unit: Work,
    log_group_name: LogGroupName,
    queue_arn: QueueArn | None,
    sent_arn: Mapping[str, QueueArn],
    key: KeyArn | None,
    exec_logs: LogGroupName | None,
    allowed_mounts: Mapping[str, PolicyDocument],
) -> iam.Role:
    """What the application itself may do: nothing that its section does not say."""
    role = iam.Role("TaskRole", AssumeRolePolicyDocument=assumed_by("ecs-tasks"))
    permissions = unit.settings.permissions
    policies = dict(allowed_mounts)
    if isinstance(unit, Unit) and unit.settings.exec:
        policies["exec-sessions"] = carry_exec_sessions(exec_logs, key)
    if isinstance(unit, Unit) and unit.settings.sidecars:
        from scaleout_cfn.stacks.sidecars import task_policies

        policies |= task_policies(unit, log_group_name)
    if permissions is not None and (allowed := permit(permissions)).Statement:
        policies["permissions"] = allowed
    if queue_arn is not None:
        policies["receive-messages"] = receive_messages(queue_arn)
    if sent_arn:
        policies["send-messages"] = send_messages([arn for _, arn in sorted(sent_arn.items())])
    if key is not None and (queue_arn is not None or sent_arn):
        policies["use-key"] = use_key(key, "sqs")
    if policies:
        role.Policies = [iam.Policy(PolicyName=name, PolicyDocument=document) for name, document in policies.items()]
    if unit.managed_policies:
        role.ManagedPolicyArns = [in_any_partition(arn) for arn in sorted(unit.managed_policies)]
    return stack.add(role)


def _deployment(unit: Unit, alarms: AlarmNames | None, role: RoleArn | None) -> ecs.DeploymentConfiguration:
    settings = unit.settings.deployment
    rolling = settings if isinstance(settings, Rolling) else Rolling()
    deployment = ecs.DeploymentConfiguration(
        MinimumHealthyPercent=rolling.minimum_healthy_percent,
        MaximumPercent=rolling.maximum_percent,
        DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(
            Enable=True,
            Rollback=True,
            ResetOnHealthyTask=True,
            ThresholdConfiguration=ecs.ThresholdConfiguration(Type="COUNT", Value=settings.failure_threshold),
        ),
    )
    if alarms is not None:
        deployment.Alarms = ecs.DeploymentAlarms(AlarmNames=alarms, Enable=True, Rollback=True)
    if unit.shifting is not None:
        from scaleout_cfn.stacks.shifting import shift_by

        shift_by(deployment, unit.shifting, role)
    elif unit.has_alternate:
        # Said, on the way back from another strategy: what is left out might be left as it was.
        deployment.Strategy = "ROLLING"
    if rolling.early_success is not None:
        deployment.EarlySuccessCriteria = ecs.DeploymentEarlySuccessCriteria(
            Enable=True,
            HealthyPercent=rolling.early_success.healthy_percent,
            SourceServiceRevisionCleanup=rolling.early_success.cleanup.upper(),
        )
    return deployment


def _placement(unit: Unit) -> list[Any]:
    fill = ecs.PlacementStrategy(Type="binpack", Field="memory")
    if unit.settings.placement == "binpack":
        return [fill]
    # Zone rebalancing wants the spread over zones first.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    return [ecs.PlacementStrategy(Type="spread", Field="attribute:ecs.availability-zone"), fill]
