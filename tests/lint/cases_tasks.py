"""Task definitions and services: S5xx and S6xx."""

from __future__ import annotations

from typing import Any

from .cases import Case, container, fargate, nothing, put, resources, role, service, sidecar, tasks
from .sets import Set, passed, properties

TASKS = "service Resources.Tasks.Properties"
WEB = f"{TASKS}.ContainerDefinitions.0"
SIDE = f"{TASKS}.ContainerDefinitions.1"
SERVICE = "service Resources.Service.Properties"


def with_sidecar(templates: Set) -> None:
    sidecar(templates)


def task_memory(templates: Set) -> None:
    sidecar(templates, Memory=512, MemoryReservation=128)
    tasks(templates)["Memory"] = "0.5 GB"


def waits(templates: Set) -> None:
    sidecar(templates)
    container(templates)["DependsOn"] = [{"ContainerName": "side", "Condition": "COMPLETE"}]


def waits_for_health(templates: Set) -> None:
    check = {"Command": ["CMD-SHELL", "curl -f http://localhost/"]}
    sidecar(templates, HealthCheck=check)
    container(templates)["DependsOn"] = [{"ContainerName": "side", "Condition": "HEALTHY"}]


def circle(templates: Set) -> None:
    container(templates, 1)["DependsOn"] = [{"ContainerName": "web", "Condition": "START"}]


def mounts(templates: Set) -> None:
    tasks(templates)["Volumes"] = [{"Name": "data"}]
    container(templates)["MountPoints"] = [{"SourceVolume": "data", "ContainerPath": "/data"}]


def volumes_from(templates: Set) -> None:
    sidecar(templates)
    container(templates)["VolumesFrom"] = [{"SourceContainer": "side"}]


def proxied(templates: Set) -> None:
    sidecar(templates)
    tasks(templates)["ProxyConfiguration"] = {"Type": "APPMESH", "ContainerName": "side"}


def other_port(templates: Set) -> None:
    sidecar(templates, PortMappings=[{"ContainerPort": 9090}])


def secrets(templates: Set) -> None:
    # A name of the SSM parameter store, which may lie outside of the set.
    container(templates)["Secrets"] = [{"Name": "KEY", "ValueFrom": "/shop/key"}]
    tasks(templates)["ExecutionRoleArn"] = {"Fn::ImportValue": "role"}


def no_execution_role(templates: Set) -> None:
    del tasks(templates)["ExecutionRoleArn"]


def log_secret(templates: Set) -> None:
    logs = {"LogDriver": "splunk", "SecretOptions": [{"Name": "splunk-token", "ValueFrom": "/shop/token"}]}
    container(templates)["LogConfiguration"] = logs
    tasks(templates)["ExecutionRoleArn"] = {"Fn::ImportValue": "role"}


def fargate_logs(templates: Set) -> None:
    fargate(templates)
    resources(templates, "service")["Logs"] = {"Type": "AWS::Logs::LogGroup"}
    container(templates)["LogConfiguration"] = {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": {"Ref": "Logs"},
            "awslogs-region": {"Ref": "AWS::Region"},
            "awslogs-stream-prefix": "web",
        },
    }
    policy = {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"}
    tasks(templates)["ExecutionRoleArn"] = role(templates, ManagedPolicyArns=[policy])


def fargate_image(templates: Set) -> None:
    fargate(templates)
    container(templates)["Image"] = {"Fn::Sub": "123456789012.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/web:1"}
    tasks(templates)["ExecutionRoleArn"] = {"Fn::ImportValue": "role"}


def log_options(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = container(templates)["LogConfiguration"]["Options"]
    return found


def routed(templates: Set) -> None:
    sidecar(templates, FirelensConfiguration={"Type": "fluentbit"})
    container(templates)["LogConfiguration"] = {"LogDriver": "awsfirelens"}


def files(templates: Set) -> None:
    volume = {
        "FilesystemId": "fs-0a1",
        "TransitEncryption": "ENABLED",
        "RootDirectory": "/",
        "AuthorizationConfig": {"AccessPointId": "fsap-0a1"},
    }
    tasks(templates)["Volumes"] = [{"Name": "data", "EFSVolumeConfiguration": volume}]


def files_by_role(templates: Set) -> None:
    files(templates)
    tasks(templates)["Volumes"][0]["EFSVolumeConfiguration"]["AuthorizationConfig"] = {"IAM": "ENABLED"}
    tasks(templates)["TaskRoleArn"] = {"Fn::ImportValue": "role"}


def timeouts(templates: Set) -> None:
    fargate(templates)
    container(templates).update(StartTimeout=120, StopTimeout="2")


def checked(templates: Set) -> None:
    container(templates)["HealthCheck"] = {"Command": ["CMD", "true"]}


def own_log_group(templates: Set) -> None:
    fargate_logs(templates)
    name = {"Fn::Sub": "/ecs/${AWS::StackName}"}
    resources(templates, "service")["Logs"]["Properties"] = {"LogGroupName": dict(name)}
    log_options(templates)["awslogs-group"] = dict(name)


def providers(templates: Set) -> None:
    """The service runs on the provider of the cluster's stack."""
    cluster = resources(templates, "cluster")
    cluster["Associations"] = {
        "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
        "Properties": {
            "Cluster": {"Ref": "Cluster"},
            "CapacityProviders": ["FARGATE", "FARGATE_SPOT", {"Ref": "Provider"}],
            "DefaultCapacityProviderStrategy": [{"CapacityProvider": {"Ref": "Provider"}, "Weight": 1}],
        },
    }
    templates["cluster.yaml"]["Outputs"]["Provider"] = {"Value": {"Ref": "Provider"}}
    templates["service.yaml"]["Parameters"]["Provider"] = {"Type": "String"}
    passed(templates, "Service")["Provider"] = {"Fn::GetAtt": ["Cluster", "Outputs.Provider"]}
    service(templates)["CapacityProviderStrategy"] = [{"CapacityProvider": {"Ref": "Provider"}, "Weight": 1, "Base": 1}]


def spot(templates: Set) -> None:
    """The service runs on both of Fargate's providers."""
    providers(templates)
    fargate(templates)
    del service(templates)["LaunchType"]
    strategy = [{"CapacityProvider": "FARGATE", "Weight": 1, "Base": 1}, {"CapacityProvider": "FARGATE_SPOT"}]
    service(templates)["CapacityProviderStrategy"] = strategy


def joining(templates: Set) -> None:
    providers(templates)
    text = "#!/bin/bash\necho ECS_CLUSTER=${Cluster} >> /etc/ecs/ecs.config\n"
    launched(templates)["UserData"] = {"Fn::Base64": {"Fn::Sub": text}}


def launched(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = resources(templates, "cluster")["Template"]["Properties"]["LaunchTemplateData"]
    return found


def warm(templates: Set) -> None:
    """The nodes have a warm pool, and know of it."""
    joining(templates)
    text = "#!/bin/bash\nprintf 'ECS_CLUSTER=${Cluster}\\nECS_WARM_POOLS_CHECK=true\\n' >> /etc/ecs/ecs.config\n"
    launched(templates)["UserData"] = {"Fn::Base64": {"Fn::Sub": text}}
    distribution = {"OnDemandPercentageAboveBaseCapacity": 100}
    nodes = resources(templates, "cluster")["Nodes"]["Properties"]
    specification = nodes.pop("LaunchTemplate")
    nodes["MixedInstancesPolicy"] = {
        "InstancesDistribution": distribution,
        "LaunchTemplate": {"LaunchTemplateSpecification": specification},
    }
    pool = {"AutoScalingGroupName": {"Ref": "Nodes"}, "PoolState": "Stopped"}
    resources(templates, "cluster")["Warm"] = {"Type": "AWS::AutoScaling::WarmPool", "Properties": pool}


def joining_only(templates: Set) -> None:
    text = "#!/bin/bash\necho ECS_CLUSTER=${Cluster} >> /etc/ecs/ecs.config\n"
    launched(templates)["UserData"] = {"Fn::Base64": {"Fn::Sub": text}}


def spot_in_the_pool(templates: Set) -> None:
    policy = resources(templates, "cluster")["Nodes"]["Properties"]["MixedInstancesPolicy"]
    policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] = "60"


def joins(name: str) -> Any:
    def change(templates: Set) -> None:
        resources(templates, "cluster")["Other"] = {"Type": "AWS::ECS::Cluster"}
        text = f"#!/bin/bash\necho ECS_CLUSTER={name} >> /etc/ecs/ecs.config\n"
        launched(templates)["UserData"] = {"Fn::Base64": {"Fn::Sub": text}}

    return change


def named_provider(templates: Set) -> None:
    """The service names its provider by the name that it is given, not by a reference."""
    providers(templates)
    properties(templates, "cluster", "Provider")["Name"] = "mine"
    service(templates)["CapacityProviderStrategy"] = [{"CapacityProvider": "mine", "Weight": 1}]


def add_to_strategy(provider: str, **more: Any) -> Any:
    def change(templates: Set) -> None:
        service(templates)["CapacityProviderStrategy"].append({"CapacityProvider": provider, **more})

    return change


def no_weight(templates: Set) -> None:
    service(templates)["CapacityProviderStrategy"][0]["Weight"] = 0


def mixed_default(templates: Set) -> None:
    properties = resources(templates, "cluster")["Associations"]["Properties"]
    properties["DefaultCapacityProviderStrategy"].append({"CapacityProvider": "FARGATE", "Weight": 1})


def managed(templates: Set) -> None:
    """The service runs on Managed Instances of its cluster, which no association has to name."""
    providers(templates)
    provider = properties(templates, "cluster", "Provider")
    del provider["AutoScalingGroupProvider"]
    launch = {
        "Ec2InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/instances",
        "NetworkConfiguration": {"Subnets": ["subnet-0123456789abcdef0"]},
    }
    role = "arn:aws:iam::123456789012:role/infrastructure"
    provider["ManagedInstancesProvider"] = {"InfrastructureRoleArn": role, "InstanceLaunchTemplate": launch}
    provider["ClusterName"] = {"Ref": "Cluster"}
    not_associated(templates)
    resources(templates, "cluster")["Associations"]["Properties"]["DefaultCapacityProviderStrategy"] = []


def managed_elsewhere(templates: Set) -> None:
    resources(templates, "cluster")["Other"] = {"Type": "AWS::ECS::Cluster"}
    properties(templates, "cluster", "Provider")["ClusterName"] = {"Ref": "Other"}


def not_associated(templates: Set) -> None:
    resources(templates, "cluster")["Associations"]["Properties"]["CapacityProviders"] = ["FARGATE", "FARGATE_SPOT"]


def spot_not_associated(templates: Set) -> None:
    properties = resources(templates, "cluster")["Associations"]["Properties"]
    properties["CapacityProviders"] = ["FARGATE", {"Ref": "Provider"}]


def bridge(templates: Set) -> None:
    """The good set with bridge networking."""
    passed(templates, "Balancer")["TargetType"] = "instance"
    del tasks(templates)["NetworkMode"]
    container(templates)["PortMappings"][0]["HostPort"] = 0
    del service(templates)["NetworkConfiguration"]


def subnets(templates: Set) -> None:
    service(templates)["NetworkConfiguration"] = {"AwsvpcConfiguration": {"Subnets": {"Ref": "Subnets"}}}


def any_launch_type(templates: Set) -> None:
    fargate(templates)
    del tasks(templates)["RequiresCompatibilities"]


def registered(templates: Set) -> None:
    registry = {
        "RegistryArn": {"Fn::ImportValue": "registry"},
        "ContainerName": "web",
        "ContainerPort": {"Ref": "Port"},
    }
    service(templates)["ServiceRegistries"] = [registry]


def connected(templates: Set) -> None:
    container(templates)["PortMappings"][0]["Name"] = "http"
    service(templates)["ServiceConnectConfiguration"] = {"Enabled": True, "Services": [{"PortName": "http"}]}


def breaker(templates: Set) -> None:
    configuration = service(templates)["DeploymentConfiguration"]
    configuration["DeploymentCircuitBreaker"] = {"Enable": True, "Rollback": True}


def graced(templates: Set) -> None:
    service(templates)["HealthCheckGracePeriodSeconds"] = 60


def unbalanced(templates: Set) -> None:
    del service(templates)["LoadBalancers"]


def public(templates: Set) -> None:
    fargate(templates)
    service(templates)["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] = "ENABLED"


def on_instances(templates: Set) -> None:
    tasks(templates)["RequiresCompatibilities"] = ["EC2"]
    service(templates)["LaunchType"] = "EC2"


def with_role(templates: Set) -> None:
    bridge(templates)
    service(templates)["Role"] = "arn:aws-cn:iam::123456789012:role/ecsServiceRole"


def six_groups(templates: Set) -> None:
    for number in range(1, 6):
        arn = f"arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:targetgroup/it/000000000000000{number}"
        entry = {"ContainerName": "web", "ContainerPort": {"Ref": "Port"}, "TargetGroupArn": arn}
        service(templates)["LoadBalancers"].append(entry)


def daemon(templates: Set) -> None:
    for name in ("Scaling", "Requests"):
        del resources(templates, "service")[name]
    for name in ("PlacementStrategies", "AvailabilityZoneRebalancing", "DeploymentConfiguration"):
        del service(templates)[name]
    service(templates)["SchedulingStrategy"] = "DAEMON"


def first_wait(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = container(templates)["DependsOn"][0]
    return found


def efs(templates: Set) -> dict[str, Any]:
    found: dict[str, Any] = tasks(templates)["Volumes"][0]["EFSVolumeConfiguration"]
    return found


def side(templates: Set) -> dict[str, Any]:
    return container(templates, 1)


CASES = (
    Case("S501", task_memory, put(container, Memory=1024), f"{WEB}.Memory", "may use 1024 MiB, its task Tasks has 512"),
    Case("S501", task_memory, put(side, MemoryReservation=300), f"{TASKS}.Memory", "reserve 556 MiB together"),
    Case("S502", fargate, put(container, Cpu=257), f"{TASKS}.Cpu", "reserve 257 CPU units, the task has 256"),
    Case("S503", bridge, put(container, Memory=None), WEB, "how much memory"),
    Case("S504", nothing, put(container, MemoryReservation=257), f"{WEB}.MemoryReservation", "killed at 256"),
    Case("S505", waits, put(first_wait, ContainerName="sid"), f"{WEB}.DependsOn.0.ContainerName", "mean side?"),
    Case("S505", waits, circle, f"{WEB}.DependsOn", "web -> side -> web"),
    Case("S506", waits_for_health, put(side, HealthCheck=None), f"{WEB}.DependsOn.0.Condition", "no HealthCheck"),
    Case("S507", waits, put(side, Essential=None), f"{WEB}.DependsOn.0.Condition", "is essential"),
    Case(
        "S508",
        mounts,
        put(lambda t: container(t)["MountPoints"][0], SourceVolume="dta"),
        f"{WEB}.MountPoints.0.SourceVolume",
        "Did you mean data?",
    ),
    Case(
        "S509",
        volumes_from,
        put(lambda t: container(t)["VolumesFrom"][0], SourceContainer="disk"),
        f"{WEB}.VolumesFrom.0.SourceContainer",
        "VolumesFrom names container disk",
    ),
    Case(
        "S509",
        proxied,
        put(lambda t: tasks(t)["ProxyConfiguration"], ContainerName="envoy"),
        f"{TASKS}.ProxyConfiguration.ContainerName",
        "Its containers are web, side.",
    ),
    Case("S510", with_sidecar, put(side, Name="web"), f"{SIDE}.Name", "two containers of the name web"),
    Case(
        "S511",
        other_port,
        put(lambda t: side(t)["PortMappings"][0], ContainerPort=8080),
        f"{SIDE}.PortMappings.0",
        "tcp port 8080 of Tasks, in awsvpc networking, is mapped already by container web",
    ),
    Case("S512", secrets, no_execution_role, f"{WEB}.Secrets", "no ExecutionRoleArn"),
    Case("S512", log_secret, no_execution_role, f"{WEB}.LogConfiguration.SecretOptions", "no ExecutionRoleArn"),
    Case("S513", fargate_logs, no_execution_role, f"{WEB}.LogConfiguration", "logs by awslogs"),
    Case("S513", fargate_image, no_execution_role, f"{WEB}.Image", "has an image in ECR"),
    Case(
        "S514",
        fargate_logs,
        put(log_options, **{"awslogs-stream-prefix": None}),
        f"{WEB}.LogConfiguration.Options",
        "Fargate requires",
    ),
    Case(
        "S515", routed, put(side, FirelensConfiguration=None), f"{WEB}.LogConfiguration.LogDriver", "Add a log router"
    ),
    Case(
        "S516",
        files,
        put(efs, TransitEncryption="DISABLED"),
        f"{TASKS}.Volumes.0.EFSVolumeConfiguration.TransitEncryption",
        "an access point",
    ),
    Case(
        "S516",
        files_by_role,
        put(efs, TransitEncryption=None),
        f"{TASKS}.Volumes.0.EFSVolumeConfiguration.TransitEncryption",
        "IAM",
    ),
    Case(
        "S516",
        files,
        put(efs, RootDirectory="/shop"),
        f"{TASKS}.Volumes.0.EFSVolumeConfiguration.RootDirectory",
        "RootDirectory /shop",
    ),
    Case("S517", timeouts, put(container, StopTimeout=121), f"{WEB}.StopTimeout", "is 121 s"),
    Case("S518", nothing, put(container, Hostname="web"), f"{WEB}.Hostname", "does not support"),
    Case(
        "S519",
        checked,
        put(container, HealthCheck={"Command": ["curl", "-f", "http://localhost/"]}),
        f"{WEB}.HealthCheck.Command",
        'starts with "curl"',
    ),
    Case(
        "S520",
        own_log_group,
        put(log_options, **{"awslogs-group": {"Fn::Sub": "/ecs/${AWS::StackName}/web"}}),
        f"{WEB}.LogConfiguration.Options.awslogs-group",
        "no such log group",
    ),
    Case(
        "S521",
        fargate_logs,
        put(log_options, **{"awslogs-region": "eu-central-1"}),
        f"{WEB}.LogConfiguration.Options.awslogs-region",
        "in eu-central-1",
    ),
    Case(
        "S309",
        joining,
        joins("${Other}"),
        "cluster Resources.Template.Properties.LaunchTemplateData.UserData",
        "join cluster Other",
    ),
    Case(
        "S309",
        joining,
        joins("default"),
        "cluster Resources.Template.Properties.LaunchTemplateData.UserData",
        "belongs to Cluster",
    ),
    Case(
        "S310",
        nothing,
        put(launched, IamInstanceProfile=None),
        "cluster Resources.Template.Properties.LaunchTemplateData",
        "no instance profile",
    ),
    Case(
        "S311",
        warm,
        spot_in_the_pool,
        "cluster Resources.Nodes.Properties.MixedInstancesPolicy.InstancesDistribution"
        ".OnDemandPercentageAboveBaseCapacity",
        "40 % of Nodes",
    ),
    Case(
        "S311",
        warm,
        put(lambda t: properties(t, "cluster", "Warm"), InstanceReusePolicy={"ReuseOnScaleIn": True}),
        "cluster Resources.Warm.Properties.InstanceReusePolicy.ReuseOnScaleIn",
        "which ECS does not allow",
    ),
    Case(
        "S311",
        warm,
        joining_only,
        "cluster Resources.Template.Properties.LaunchTemplateData.UserData",
        "while they are being prepared",
    ),
    Case("S601", providers, put(service, LaunchType="EC2"), f"{SERVICE}.LaunchType", "Leave LaunchType out"),
    Case("S602", providers, add_to_strategy("FARGATE"), f"{SERVICE}.CapacityProviderStrategy", "mixes Fargate"),
    Case(
        "S602",
        providers,
        mixed_default,
        "cluster Resources.Associations.Properties.DefaultCapacityProviderStrategy",
        "mixes Fargate",
    ),
    Case("S603", spot, add_to_strategy("FARGATE_SPOT", Base=1), f"{SERVICE}.CapacityProviderStrategy", "have a Base"),
    Case("S603", spot, no_weight, f"{SERVICE}.CapacityProviderStrategy", "no task is placed"),
    Case(
        "S604",
        providers,
        not_associated,
        f"{SERVICE}.CapacityProviderStrategy.0.CapacityProvider",
        "uses provider Provider, which its cluster Cluster does not have",
    ),
    Case(
        "S604",
        managed,
        managed_elsewhere,
        f"{SERVICE}.CapacityProviderStrategy.0.CapacityProvider",
        "runs in cluster Cluster, and its provider Provider in Other",
    ),
    Case(
        "S604",
        named_provider,
        not_associated,
        f"{SERVICE}.CapacityProviderStrategy.0.CapacityProvider",
        "uses provider Provider, which its cluster Cluster does not have",
    ),
    Case(
        "S604",
        spot,
        spot_not_associated,
        f"{SERVICE}.CapacityProviderStrategy.1.CapacityProvider",
        "uses provider FARGATE_SPOT",
    ),
    Case("S605", bridge, subnets, f"{SERVICE}.NetworkConfiguration", "Tasks uses bridge networking"),
    Case(
        "S605", nothing, put(service, NetworkConfiguration=None), f"{SERVICE}.NetworkConfiguration", "names no subnets"
    ),
    Case("S606", any_launch_type, put(tasks, Cpu=None), f"{SERVICE}.TaskDefinition", "has no Cpu"),
    Case(
        "S607",
        fargate,
        put(service, PlacementStrategies=[{"Type": "spread", "Field": "attribute:ecs.availability-zone"}]),
        f"{SERVICE}.PlacementStrategies",
        "no instances to place tasks on",
    ),
    Case("S608", daemon, put(service, DesiredCount=2), f"{SERVICE}.DesiredCount", "one task an instance"),
    Case("S609", nothing, six_groups, f"{SERVICE}.LoadBalancers", "has 6 target groups"),
    Case("S610", with_role, registered, f"{SERVICE}.Role", "has a service registry"),
    Case("S610", with_role, put(service, LoadBalancers=None), f"{SERVICE}.Role", "has no load balancer"),
    Case(
        "S611",
        connected,
        put(lambda t: service(t)["ServiceConnectConfiguration"]["Services"][0], PortName="htp"),
        f"{SERVICE}.ServiceConnectConfiguration.Services.0.PortName",
        "Did you mean http?",
    ),
    Case(
        "S612",
        registered,
        put(lambda t: service(t)["ServiceRegistries"][0], ContainerName="wbe"),
        f"{SERVICE}.ServiceRegistries.0.ContainerName",
        "Did you mean web?",
    ),
    Case(
        "S612",
        registered,
        put(lambda t: service(t)["ServiceRegistries"][0], ContainerPort=9090),
        f"{SERVICE}.ServiceRegistries.0.ContainerPort",
        "port 9090, which container web does not map",
    ),
    Case(
        "S613",
        breaker,
        put(service, DeploymentController={"Type": "CODE_DEPLOY"}),
        f"{SERVICE}.DeploymentConfiguration.DeploymentCircuitBreaker",
        "CODE_DEPLOY deploys it",
    ),
    Case("S614", graced, unbalanced, f"{SERVICE}.HealthCheckGracePeriodSeconds", "nothing checks"),
    Case(
        "S615",
        public,
        on_instances,
        f"{SERVICE}.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp",
        "NAT gateway",
    ),
)
