"""An auto-scaling HTTP service on Amazon ECS.

The wiring page: what whoever creates the set is asked for, in the form of the CloudFormation console, and which stack
gets what from whom, in the order in which they are made.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct
from troposphere import Equals, FindInMap, Not, Ref, Sub

from scaleout_cfn.capacity import fitting_tasks
from scaleout_cfn.config import Config, GitHubPipeline, NewVpc, NoPipeline
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks import autoscaling, cluster, load_balancer, network, observability, registry, service
from scaleout_cfn.values import (
    ClusterName,
    EmailAddress,
    Flag,
    LatestImage,
    LogGroupName,
    Number,
    RoleArn,
    ServiceName,
    StackName,
    SubnetIds,
    Text,
    VpcId,
)

__all__ = ["Outputs", "build"]


class Outputs(Struct, frozen=True):
    """What the set tells once it is there, and what a stack of one's own beside ours is wired to."""

    service_url: Annotated[Text, "Where the service answers, once it has an image."]
    repository_uri: Annotated[Text, "Where to push the image."]
    cluster_name: Annotated[ClusterName, "The ECS cluster."]
    service_name: Annotated[ServiceName, "The ECS service, once there is an image."]
    log_group_name: Annotated[LogGroupName, "The log group of the containers."]
    dashboard_url: Annotated[Text, "The dashboard."]
    # For a stack of one's own beside ours.
    vpc_id: Annotated[VpcId, "The VPC."]
    node_subnets: Annotated[SubnetIds, "The subnets of the nodes and tasks."]
    pipeline_name: Annotated[Text | None, "The pipeline, in CodePipeline."] = None
    github_build_role: Annotated[RoleArn | None, "The role of the workflow's build, in GitHub Actions."] = None
    github_deploy_role: Annotated[RoleArn | None, "The role of the workflow's deployment, in GitHub Actions."] = None


def build(stack: Stack, config: Config) -> Outputs:
    """An auto-scaling HTTP service on Amazon ECS.

    A root of your own calls it with its own stack and nests more beside what it made.
    """
    image_uri = stack.ask("service.image_uri", Text)
    min_tasks = stack.ask("scaling.min_tasks", Number)
    # No more than the nodes hold: their number is not asked for, so the arithmetic stays true.
    max_tasks = stack.ask("scaling.max_tasks", Number, most=fitting_tasks(config))
    node_image = stack.ask("cluster.node_image", LatestImage)
    alarm_email = stack.ask("observability.alarm_email", EmailAddress)
    create_service_linked_role = stack.ask("cluster.create_service_linked_role", Flag)

    bridge = config.service.network_mode == "bridge"
    internal = config.load_balancer.scheme == "internal"

    if isinstance(config.network, NewVpc):
        net = stack.nest("Network", network.build, config)
        balancer_subnets = net.node_subnets if internal else net.public_subnets
    else:
        vpc_id = stack.ask("network.vpc_id", VpcId)
        balancer_subnets = stack.ask("network.load_balancer_subnets", SubnetIds)
        net = network.Outputs(vpc_id, balancer_subnets, stack.ask("network.node_subnets", SubnetIds))

    images = stack.nest("Registry", registry.build, config)

    alb = stack.nest("LoadBalancer", load_balancer.build, config, vpc_id=net.vpc_id, subnets=balancer_subnets)

    nodes = stack.nest(
        "Cluster",
        cluster.build,
        config,
        vpc_id=net.vpc_id,
        subnets=net.node_subnets,
        node_image=node_image,
        load_balancer_security_group=alb.security_group if bridge else None,
        create_service_linked_role=create_service_linked_role,
    )

    watch = stack.nest(
        "Observability",
        observability.build,
        config,
        load_balancer_name=alb.load_balancer_name,
        target_group_name=alb.target_group_name,
        cluster_name=nodes.cluster_name,
        capacity_provider=nodes.capacity_provider,
        group_name=nodes.group_name,
        alarm_email=alarm_email,
    )

    # A first deployment has no image yet, for the repository to push it to is made by it. Until there is one, the
    # service and what hangs on it are left out.
    has_image = stack.condition("HasImage", Not(Equals(image_uri, "")))
    rollback = config.service.deployment.alarms
    web = stack.nest_if(
        has_image,
        "Service",
        service.build,
        config,
        image_uri=image_uri,
        repository_arn=images.repository_arn,
        cluster_name=nodes.cluster_name,
        capacity_provider=nodes.capacity_provider,
        target_group=alb.target_group,
        log_group_name=watch.log_group_name,
        log_group_arn=watch.log_group_arn,
        target_errors_alarm=watch.target_errors_alarm if rollback else None,
        unhealthy_targets_alarm=watch.unhealthy_targets_alarm if rollback else None,
        vpc_id=None if bridge else net.vpc_id,
        subnets=None if bridge else net.node_subnets,
        load_balancer_security_group=None if bridge else alb.security_group,
    )

    stack.nest_if(
        has_image,
        "Autoscaling",
        autoscaling.build,
        config,
        cluster_name=nodes.cluster_name,
        service_name=web.service_name,
        load_balancer_name=alb.load_balancer_name,
        target_group_name=alb.target_group_name,
        min_tasks=min_tasks,
        max_tasks=max_tasks,
        topic=watch.topic,
    )

    # No condition: it is what brings the first image. Nothing else needs it.
    delivery = None
    if not isinstance(config.pipeline, NoPipeline):
        from scaleout_cfn.stacks import pipeline  # here, for most sets have none and its import takes its time

        delivery = stack.nest(
            "Pipeline",
            pipeline.build,
            config,
            root_stack=StackName(Ref("AWS::StackName")),
            # A workflow is told it by a variable of its repository.
            repository_uri=None if isinstance(config.pipeline, GitHubPipeline) else images.repository_uri,
            repository_arn=images.repository_arn,
            repository_name=images.repository_name,
        )

    return Outputs(
        service_url=alb.url,
        repository_uri=images.repository_uri,
        cluster_name=nodes.cluster_name,
        service_name=web.service_name,
        log_group_name=watch.log_group_name,
        dashboard_url=_console_link(stack, watch.dashboard_name),
        vpc_id=net.vpc_id,
        node_subnets=net.node_subnets,
        pipeline_name=delivery.pipeline_name if delivery else None,
        github_build_role=delivery.github_build_role if delivery else None,
        github_deploy_role=delivery.github_deploy_role if delivery else None,
    )


def _console_link(stack: Stack, dashboard: Text) -> Text:
    stack.template.add_mapping(
        "Console",
        {
            "aws": {"Host": "console.aws.amazon.com"},
            "aws-cn": {"Host": "console.amazonaws.cn"},
            "aws-us-gov": {"Host": "console.amazonaws-us-gov.com"},
        },
    )
    return Text(
        Sub(
            "https://${Host}/cloudwatch/home?region=${AWS::Region}#dashboards/dashboard/${Dashboard}",
            Host=FindInMap("Console", Ref("AWS::Partition"), "Host"),
            Dashboard=dashboard,
        )
    )
