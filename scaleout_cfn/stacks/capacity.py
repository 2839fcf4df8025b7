"""Capacity: the pools that tasks run on, and the cluster's association with them.

Not in the cluster's stack: an output of a stack that changes counts as unknown, and no service is made anew because a
pool comes or goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pkgutil import get_data
from typing import Any

from msgspec import Struct
from troposphere import Base64, Sub, autoscaling, ec2, ecs, iam
from troposphere.policies import (
    AutoScalingRollingUpdate,
    AutoScalingScheduledAction,
    CreationPolicy,
    ResourceSignal,
    UpdatePolicy,
)
from troposphere.validators.autoscaling import Tags

from scaleout_cfn.capacity import RESERVED_MEMORY_MIB
from scaleout_cfn.config import Config, Ec2Capacity, FargateCapacity, ManagedCapacity, Night, WarmPool
from scaleout_cfn.config.units import Work, jobs_of, title_of, units, with_stand_ins
from scaleout_cfn.iam import (
    assumed_by,
    aws_policy,
    be_managed_by_session_manager,
    cluster_arn,
    join_cluster,
    pass_instance_role,
)
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import at_maximum, metric_of
from scaleout_cfn.values import (
    CapacityProviderName,
    ClusterName,
    GroupName,
    ImageId,
    KeyArn,
    SecurityGroupId,
    SubnetIds,
    TopicArn,
    VpcId,
)

# Linux's own ephemeral range; the agent is told to stay in it, and the security group opens just that.
FIRST_PORT, LAST_PORT = 32768, 60999
ROOT_DEVICE = "/dev/xvda"
#: What the agent of the ECS image has without being told.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
USUAL_LOG_DRIVERS = {"awslogs", "json-file", "none", "syslog"}


class Outputs(Struct, frozen=True):
    #: By pool. Fargate's two are AWS's own, and have no output.
    capacity_provider: dict[str, CapacityProviderName]
    #: By pool of EC2 nodes.
    group_name: dict[str, GroupName]


def build(
    stack: Stack,
    config: Config,
    *,
    cluster_name: ClusterName,
    vpc_id: VpcId | None,
    subnets: SubnetIds | None,
    machine_image: Mapping[str, ImageId],
    load_balancer_security_group: SecurityGroupId | None,
    topic: TopicArn | None,
    key: KeyArn | None,
) -> Outputs:
    providers: dict[str, CapacityProviderName] = {}
    groups: dict[str, GroupName] = {}
    for name, pool in sorted(config.capacity.items()):
        on_it = [unit for unit in with_stand_ins(units(config)) if unit.pool_name == name]
        work = [*on_it, *(job for job in jobs_of(config) if job.pool_name == name)]
        if isinstance(pool, Ec2Capacity):
            assert vpc_id is not None and subnets is not None
            # Under bridge a node's group is that of its tasks.
            from_balancer = any(unit.is_web and unit.network_mode == "bridge" for unit in on_it)
            providers[name], groups[name] = _nodes(
                stack,
                Pool(name, pool, work),
                cluster_name,
                vpc_id,
                subnets,
                machine_image[name],
                load_balancer_security_group if from_balancer else None,
                topic,
                key,
                config.night,
            )
        elif isinstance(pool, ManagedCapacity):
            assert vpc_id is not None and subnets is not None
            providers[name] = _managed_instances(stack, Pool(name, pool, work), cluster_name, vpc_id, subnets)
    # Managed Instances providers belong to the cluster by their ClusterName, and are refused in the list.
    # https://github.com/hashicorp/terraform-provider-aws/issues/44783
    listed: list[object] = [providers[name] for name in groups]
    if any(isinstance(pool, FargateCapacity) for pool in config.capacity.values()):
        listed += ["FARGATE", "FARGATE_SPOT"]
    # For a task that somebody runs by hand; each service says what it runs on.
    usual = next((provider for _, provider in sorted(providers.items())), "FARGATE")
    stack.add(
        ecs.ClusterCapacityProviderAssociations(
            "CapacityProviderAssociation",
            Cluster=cluster_name,
            CapacityProviders=listed,
            DefaultCapacityProviderStrategy=[ecs.CapacityProviderStrategy(CapacityProvider=usual, Weight=1)],
        )
    )
    return Outputs(providers, groups)


class Pool(Struct, frozen=True):
    """A pool by its name, of which the titles of its resources are made, with what runs on it."""

    name: str
    settings: Any
    work: Sequence[Work]

    def titled(self, what: str) -> str:
        return f"{title_of(self.name)}{what}"


def _nodes(
    stack: Stack,
    pool: Pool,
    cluster_name: ClusterName,
    vpc_id: VpcId,
    subnets: SubnetIds,
    machine_image: ImageId,
    load_balancer: SecurityGroupId | None,
    topic: TopicArn | None,
    key: KeyArn | None,
    night: Night | None,
) -> tuple[CapacityProviderName, GroupName]:
    """EC2 nodes: a group that the capacity provider keeps as large as the tasks need."""
    firewall = _security_group(stack, pool, vpc_id, load_balancer)
    template = _launch_template(stack, pool, cluster_name, firewall, machine_image, key)
    group = _group(stack, pool, template, subnets)
    if pool.settings.warm_pool is not None:
        _warm_pool(stack, pool, pool.settings.warm_pool, group)
    if night is not None and pool.settings.min_nodes:
        from scaleout_cfn.stacks.night import nodes  # here, for most sets run at all times

        nodes(stack, night, (pool.titled("Night"), pool.titled("Morning")), group, pool.settings.min_nodes)
    scaling = pool.settings.scaling
    provider = stack.add(
        ecs.CapacityProvider(
            pool.titled("CapacityProvider"),
            AutoScalingGroupProvider=ecs.AutoScalingGroupProvider(
                AutoScalingGroupArn=group.ref(),
                ManagedDraining="ENABLED",
                # Draining moves tasks off a node before it goes. Protection adds nothing to that, and a group
                # whose instances are protected cannot be deleted.
                ManagedTerminationProtection="DISABLED",
                ManagedScaling=ecs.ManagedScaling(
                    Status="ENABLED",
                    TargetCapacity=scaling.target_capacity_percent,
                    MinimumScalingStepSize=scaling.min_step,
                    MaximumScalingStepSize=scaling.max_step,
                    InstanceWarmupPeriod=scaling.warmup_s,
                ),
            ),
        )
    )
    if pool.settings.min_nodes < pool.settings.max_nodes:
        assert topic is not None
        at_maximum(
            stack,
            pool.titled("AtMaximum"),
            f"The pool {pool.name} has as many nodes as it may have: tasks may wait for room.",
            metric_of("AWS/AutoScaling", "GroupInServiceInstances", "Minimum", {"AutoScalingGroupName": group.ref()}),
            pool.settings.max_nodes,
            topic,
        )
    return CapacityProviderName(provider.ref()), GroupName(group.ref())


def _managed_instances(
    stack: Stack, pool: Pool, cluster_name: ClusterName, vpc_id: VpcId, subnets: SubnetIds
) -> CapacityProviderName:
    """Instances that ECS chooses and looks after.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ManagedInstances.html
    """
    settings: ManagedCapacity = pool.settings
    instance_role = stack.add(
        iam.Role(
            pool.titled("InstanceRole"),
            AssumeRolePolicyDocument=assumed_by("ec2"),
            ManagedPolicyArns=[aws_policy("AmazonECSInstanceRolePolicyForManagedInstances")],
        )
    )
    profile = stack.add(iam.InstanceProfile(pool.titled("InstanceProfile"), Roles=[instance_role.ref()]))
    infrastructure = stack.add(
        iam.Role(
            pool.titled("InfrastructureRole"),
            AssumeRolePolicyDocument=assumed_by("ecs"),
            ManagedPolicyArns=[aws_policy("AmazonECSInfrastructureRolePolicyForManagedInstances")],
            # AWS's policy passes roles of one fixed name on; ours has the name that CloudFormation gives it.
            Policies=[
                iam.Policy(
                    PolicyName="pass-instance-role", PolicyDocument=pass_instance_role(instance_role.get_att("Arn"))
                )
            ],
        )
    )
    firewall = stack.add(
        ec2.SecurityGroup(
            pool.titled("SecurityGroup"), GroupDescription="Managed instances; nobody is let in.", VpcId=vpc_id
        )
    )
    requirements = ecs.InstanceRequirementsRequest(
        VCpuCount=ecs.VCpuCountRangeRequest(Min=settings.min_vcpus, Max=settings.max_vcpus),
        MemoryMiB=ecs.MemoryMiBRequest(Min=settings.min_memory_mib, Max=settings.max_memory_mib),
        # An instance type's architecture is that of its CPUs' maker.
        CpuManufacturers=["amazon-web-services"] if settings.architecture == "arm64" else ["intel", "amd"],
        InstanceGenerations=["current"],
    )
    if gpus := max((unit.settings.gpus for unit in pool.work), default=0):
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-capacityprovider-instancerequirementsrequest.html
        requirements.AcceleratorTypes = ["gpu"]
        requirements.AcceleratorManufacturers = ["nvidia"]
        requirements.AcceleratorCount = ecs.AcceleratorCountRequest(Min=gpus)
    if settings.instance_types:
        requirements.AllowedInstanceTypes = list(settings.instance_types)
    provider = stack.add(
        ecs.CapacityProvider(
            pool.titled("CapacityProvider"),
            ClusterName=cluster_name,
            ManagedInstancesProvider=ecs.ManagedInstancesProvider(
                InfrastructureRoleArn=infrastructure.get_att("Arn"),
                PropagateTags="CAPACITY_PROVIDER",
                InfrastructureOptimization=ecs.InfrastructureOptimization(ScaleInAfter=settings.scale_in_after_s),
                AutoRepairConfiguration=ecs.AutoRepairConfiguration(
                    ActionsStatus="ENABLED" if settings.repair else "DISABLED"
                ),
                InstanceLaunchTemplate=ecs.InstanceLaunchTemplate(
                    Ec2InstanceProfileArn=profile.get_att("Arn"),
                    CapacityOptionType="SPOT" if settings.option == "spot" else "ON_DEMAND",
                    NetworkConfiguration=ecs.ManagedInstancesNetworkConfiguration(
                        Subnets=subnets, SecurityGroups=[firewall.ref()]
                    ),
                    StorageConfiguration=ecs.ManagedInstancesStorageConfiguration(StorageSizeGiB=settings.storage_gib),
                    InstanceRequirements=requirements,
                ),
            ),
        )
    )
    return CapacityProviderName(provider.ref())


def _security_group(
    stack: Stack, pool: Pool, vpc_id: VpcId, load_balancer: SecurityGroupId | None
) -> ec2.SecurityGroup:
    """The nodes' group. Under bridge the load balancer, and nobody else, reaches the tasks' dynamic ports."""
    group = ec2.SecurityGroup(
        pool.titled("SecurityGroup"),
        GroupDescription="Container instances; in only from the load balancer.",
        VpcId=vpc_id,
    )
    stack.add(group)
    if load_balancer is not None:
        group.SecurityGroupIngress = [
            ec2.SecurityGroupRule(
                Description="The load balancer to the tasks' dynamic ports",
                IpProtocol="tcp",
                FromPort=FIRST_PORT,
                ToPort=LAST_PORT,
                SourceSecurityGroupId=load_balancer,
            )
        ]
        # The other half is made here too, so that neither group's stack needs the other's.
        stack.add(
            ec2.SecurityGroupEgress(
                pool.titled("LoadBalancerEgress"),
                Description="To the tasks' dynamic ports",
                GroupId=load_balancer,
                IpProtocol="tcp",
                FromPort=FIRST_PORT,
                ToPort=LAST_PORT,
                DestinationSecurityGroupId=group.ref(),
            )
        )
    return group


def _launch_template(
    stack: Stack,
    pool: Pool,
    cluster_name: ClusterName,
    group: ec2.SecurityGroup,
    image: ImageId,
    key: KeyArn | None,
) -> ec2.LaunchTemplate:
    role = stack.add(
        iam.Role(
            pool.titled("Role"),
            AssumeRolePolicyDocument=assumed_by("ec2"),
            Policies=[
                iam.Policy(PolicyName="join-cluster", PolicyDocument=join_cluster(cluster_arn(cluster_name))),
                iam.Policy(PolicyName="session-manager", PolicyDocument=be_managed_by_session_manager()),
            ],
        )
    )
    profile = stack.add(iam.InstanceProfile(pool.titled("Profile"), Roles=[role.ref()]))
    settings = {
        "ClusterName": cluster_name,
        "ReservedMemory": str(RESERVED_MEMORY_MIB),
        "FirstPort": str(FIRST_PORT),
        "LastPort": str(LAST_PORT),
        "GroupTitle": pool.titled("Group"),
    }
    disk = ec2.EBSBlockDevice(
        VolumeType="gp3", VolumeSize=pool.settings.disk_gib, Encrypted=True, DeleteOnTermination=True
    )
    if key is not None:
        disk.KmsKeyId = key
    text = _text_of("node.sh")
    containers = [container for work in pool.work for container in work.containers.values()]
    if drivers := {container.log_driver for container in containers} - USUAL_LOG_DRIVERS:
        named = json.dumps(sorted({*USUAL_LOG_DRIVERS, *drivers}))
        text = text.replace("\nSETTINGS\n", f"\nECS_AVAILABLE_LOGGING_DRIVERS={named}\nSETTINGS\n", 1)
    if pool.settings.warm_pool is not None:
        text = _at_each_boot(text)
    return stack.add(
        ec2.LaunchTemplate(
            pool.titled("LaunchTemplate"),
            LaunchTemplateData=ec2.LaunchTemplateData(
                ImageId=image,
                # The one that is used where the group's own list of types is not.
                InstanceType=pool.settings.instance_types[0],
                IamInstanceProfile=ec2.IamInstanceProfile(Arn=profile.get_att("Arn")),
                SecurityGroupIds=[group.ref()],
                UserData=Base64(Sub(text, settings)),
                # With one hop, containers on the bridge cannot ask for the node's credentials.
                MetadataOptions=ec2.MetadataOptions(
                    HttpEndpoint="enabled", HttpTokens="required", HttpPutResponseHopLimit=1
                ),
                BlockDeviceMappings=[ec2.LaunchTemplateBlockDeviceMapping(DeviceName=ROOT_DEVICE, Ebs=disk)],
            ),
        )
    )


def _at_each_boot(script: str) -> str:
    """User data for nodes that stand by: they join the cluster only once they go in service, and run it at each boot.

    A group stops a node without waiting for its user data, and an update of the group waits for a signal that one
    from the warm pool sends at its second boot.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-warm-pool.html and
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html#warm-pool-prerequisites
    """
    settings = "cat >> /etc/ecs/ecs.config"
    once = script.replace(settings, f"grep -qs ^ECS_CLUSTER /etc/ecs/ecs.config || {settings}", 1)
    waiting = once.replace("\nSETTINGS\n", "\nECS_WARM_POOLS_CHECK=true\nSETTINGS\n", 1)
    waiting = waiting.replace("Run once at first boot", "Run at each boot", 1)
    return _text_of("node_each_boot.mime").replace("SCRIPT\n", waiting, 1)


def _text_of(name: str) -> str:
    # Not importlib.resources, which takes as long to import as everything in this module.
    data = get_data(__package__, name)
    assert data is not None
    return data.decode()


def _warm_pool(stack: Stack, pool: Pool, warm: WarmPool, group: autoscaling.AutoScalingGroup) -> None:
    standing_by = autoscaling.WarmPool(
        pool.titled("WarmPool"),
        AutoScalingGroupName=group.ref(),
        MinSize=warm.min_nodes,
        PoolState=warm.state.capitalize(),
        # No InstanceReusePolicy: ECS does not allow ReuseOnScaleIn.
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-warm-pool.html
    )
    if warm.max_prepared_nodes >= 0:
        standing_by.MaxGroupPreparedCapacity = warm.max_prepared_nodes
    stack.add(standing_by)


def _group(stack: Stack, pool: Pool, template: ec2.LaunchTemplate, subnets: SubnetIds) -> autoscaling.AutoScalingGroup:
    settings: Ec2Capacity = pool.settings
    timeout = f"PT{settings.update_timeout_min}M"
    group = autoscaling.AutoScalingGroup(
        pool.titled("Group"),
        # No DesiredCapacity: the capacity provider owns it, and an update would set it back.
        MinSize=str(settings.min_nodes),
        MaxSize=str(settings.max_nodes),
        VPCZoneIdentifier=subnets,
        MixedInstancesPolicy=autoscaling.MixedInstancesPolicy(
            InstancesDistribution=autoscaling.InstancesDistribution(
                OnDemandBaseCapacity=settings.on_demand_base,
                OnDemandPercentageAboveBaseCapacity=100 - settings.spot_percent,
                OnDemandAllocationStrategy="prioritized",
                SpotAllocationStrategy="price-capacity-optimized",
            ),
            LaunchTemplate=autoscaling.LaunchTemplate(
                LaunchTemplateSpecification=autoscaling.LaunchTemplateSpecification(
                    LaunchTemplateId=template.ref(), Version=template.get_att("LatestVersionNumber")
                ),
                Overrides=[autoscaling.LaunchTemplateOverrides(InstanceType=name) for name in settings.instance_types],
            ),
        ),
        CapacityRebalance=settings.spot_percent > 0,
        NewInstancesProtectedFromScaleIn=False,
        MetricsCollection=[
            autoscaling.MetricsCollection(
                Granularity="1Minute",
                Metrics=["GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity", "GroupInServiceInstances"],
            )
        ],
        # ECS sets this tag on a group that it scales; stated here, an update does not take it away.
        Tags=Tags(AmazonECSManaged="true"),
        UpdatePolicy=UpdatePolicy(
            AutoScalingRollingUpdate=AutoScalingRollingUpdate(
                # At the maximum there is no room for one more before one goes.
                MinInstancesInService=min(settings.min_nodes, settings.max_nodes - 1),
                MaxBatchSize=settings.update_batch,
                PauseTime=timeout,
                WaitOnResourceSignals=True,
                # What would add or remove nodes on its own account meanwhile.
                # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
                SuspendProcesses=[
                    "HealthCheck",
                    "ReplaceUnhealthy",
                    "AZRebalance",
                    "AlarmNotification",
                    "ScheduledActions",
                ],
            ),
            AutoScalingScheduledAction=AutoScalingScheduledAction(IgnoreUnmodifiedGroupSizeProperties=True),
        ),
    )
    if settings.zonal_shift:
        # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-zonal-shift.html
        group.AvailabilityZoneImpairmentPolicy = autoscaling.AvailabilityZoneImpairmentPolicy(
            ZonalShiftEnabled=True, ImpairedZoneHealthCheckBehavior="IgnoreUnhealthy"
        )
    if settings.min_nodes:
        group.CreationPolicy = CreationPolicy(ResourceSignal=ResourceSignal(Count=settings.min_nodes, Timeout=timeout))
    return stack.add(group)
