"""The ECS cluster and its EC2 container instances, which grow and shrink with the tasks."""

from __future__ import annotations

from pkgutil import get_data

from msgspec import Struct
from troposphere import Base64, Equals, If, Sub, autoscaling, ec2, ecs, iam
from troposphere.policies import (
    AutoScalingRollingUpdate,
    AutoScalingScheduledAction,
    CreationPolicy,
    ResourceSignal,
    UpdatePolicy,
)
from troposphere.validators.autoscaling import Tags

from scaleout_cfn.capacity import RESERVED_MEMORY_MIB
from scaleout_cfn.config import Config
from scaleout_cfn.iam import assumed_by, be_managed_by_session_manager, join_cluster
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import (
    CapacityProviderName,
    ClusterName,
    Flag,
    GroupName,
    ImageId,
    SecurityGroupId,
    SubnetIds,
    VpcId,
)

# Linux's own ephemeral range; the agent is told to stay in it, and the security group opens just that.
FIRST_PORT, LAST_PORT = 32768, 60999
ROOT_DEVICE = "/dev/xvda"
GROUP_TITLE = "Nodes"


class Outputs(Struct, frozen=True):
    cluster_name: ClusterName
    capacity_provider: CapacityProviderName
    group_name: GroupName


def build(
    stack: Stack,
    config: Config,
    *,
    vpc_id: VpcId,
    subnets: SubnetIds,
    node_image: ImageId,
    load_balancer_security_group: SecurityGroupId | None,
    create_service_linked_role: Flag,
) -> Outputs:
    linked_role = _service_linked_role(stack, create_service_linked_role)
    cluster = stack.add(
        ecs.Cluster(
            "Cluster",
            ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value=config.cluster.container_insights)],
            # A Ref is a dependency, here too. DependsOn may not name a resource that a condition leaves out.
            Metadata={"ServiceLinkedRole": If(linked_role.Condition, linked_role.ref(), "the account has it")},
        )
    )
    firewall = _security_group(stack, vpc_id, load_balancer_security_group)
    template = _launch_template(stack, config, cluster, firewall, node_image)
    group = _group(stack, config, template, subnets)
    nodes = config.scaling.nodes
    provider = stack.add(
        ecs.CapacityProvider(
            "CapacityProvider",
            AutoScalingGroupProvider=ecs.AutoScalingGroupProvider(
                AutoScalingGroupArn=group.ref(),
                ManagedDraining="ENABLED",
                # Draining moves tasks off a node before it goes. Protection adds nothing to that, and a group
                # whose instances are protected cannot be deleted.
                ManagedTerminationProtection="DISABLED",
                ManagedScaling=ecs.ManagedScaling(
                    Status="ENABLED",
                    TargetCapacity=nodes.target_capacity_percent,
                    MinimumScalingStepSize=nodes.min_step,
                    MaximumScalingStepSize=nodes.max_step,
                    InstanceWarmupPeriod=nodes.warmup_s,
                ),
            ),
        )
    )
    stack.add(
        ecs.ClusterCapacityProviderAssociations(
            "CapacityProviderAssociation",
            Cluster=cluster.ref(),
            CapacityProviders=[provider.ref()],
            DefaultCapacityProviderStrategy=[ecs.CapacityProviderStrategy(CapacityProvider=provider.ref(), Weight=1)],
        )
    )
    return Outputs(ClusterName(cluster.ref()), CapacityProviderName(provider.ref()), GroupName(group.ref()))


def _service_linked_role(stack: Stack, wanted: Flag) -> iam.ServiceLinkedRole:
    """The role that ECS acts by. Every account that has used ECS has it, and it cannot be made twice.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
    """
    condition = stack.condition("AccountIsNewToEcs", Equals(wanted, "true"))
    return stack.add(
        iam.ServiceLinkedRole(
            "ServiceLinkedRole",
            AWSServiceName="ecs.amazonaws.com",
            Condition=condition,
            # It belongs to the account: other clusters need it once this one is gone.
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        )
    )


def _security_group(stack: Stack, vpc_id: VpcId, load_balancer: SecurityGroupId | None) -> ec2.SecurityGroup:
    """The nodes' group. Under bridge the load balancer, and nobody else, reaches the tasks' dynamic ports."""
    group = ec2.SecurityGroup(
        "SecurityGroup", GroupDescription="Container instances; in only from the load balancer.", VpcId=vpc_id
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
                "LoadBalancerEgress",
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
    stack: Stack, config: Config, cluster: ecs.Cluster, group: ec2.SecurityGroup, image: ImageId
) -> ec2.LaunchTemplate:
    role = stack.add(
        iam.Role(
            "NodeRole",
            AssumeRolePolicyDocument=assumed_by("ec2"),
            Policies=[
                iam.Policy(PolicyName="join-cluster", PolicyDocument=join_cluster(cluster.get_att("Arn"))),
                iam.Policy(PolicyName="session-manager", PolicyDocument=be_managed_by_session_manager()),
            ],
        )
    )
    profile = stack.add(iam.InstanceProfile("NodeProfile", Roles=[role.ref()]))
    settings = {
        "ClusterName": cluster.ref(),
        "ReservedMemory": str(RESERVED_MEMORY_MIB),
        "FirstPort": str(FIRST_PORT),
        "LastPort": str(LAST_PORT),
        "GroupTitle": GROUP_TITLE,
    }
    # Not importlib.resources, which takes as long to import as everything in this module.
    script = get_data(__package__, "node.sh")
    assert script is not None
    return stack.add(
        ec2.LaunchTemplate(
            "LaunchTemplate",
            LaunchTemplateData=ec2.LaunchTemplateData(
                ImageId=image,
                # The one that is used where the group's own list of types is not.
                InstanceType=config.cluster.instance_types[0],
                IamInstanceProfile=ec2.IamInstanceProfile(Arn=profile.get_att("Arn")),
                SecurityGroupIds=[group.ref()],
                UserData=Base64(Sub(script.decode(), settings)),
                # With one hop, containers on the bridge cannot ask for the node's credentials.
                MetadataOptions=ec2.MetadataOptions(
                    HttpEndpoint="enabled", HttpTokens="required", HttpPutResponseHopLimit=1
                ),
                BlockDeviceMappings=[
                    ec2.LaunchTemplateBlockDeviceMapping(
                        DeviceName=ROOT_DEVICE,
                        Ebs=ec2.EBSBlockDevice(
                            VolumeType="gp3",
                            VolumeSize=config.cluster.disk_gib,
                            Encrypted=True,
                            DeleteOnTermination=True,
                        ),
                    )
                ],
            ),
        )
    )


def _group(
    stack: Stack, config: Config, template: ec2.LaunchTemplate, subnets: SubnetIds
) -> autoscaling.AutoScalingGroup:
    settings = config.cluster
    timeout = f"PT{settings.update_timeout_min}M"
    group = autoscaling.AutoScalingGroup(
        GROUP_TITLE,
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
    if settings.min_nodes:
        group.CreationPolicy = CreationPolicy(ResourceSignal=ResourceSignal(Count=settings.min_nodes, Timeout=timeout))
    return stack.add(group)
