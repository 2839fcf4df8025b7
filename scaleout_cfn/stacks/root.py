"""Auto-scaling HTTP services on Amazon ECS.

The wiring page: what whoever creates the set is asked for, in the form of the CloudFormation console, and which stack
gets what from whom, in the order in which they are made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeVar

from msgspec import Struct
from troposphere import Equals, FindInMap, If, Join, Not, Ref, Sub

from scaleout_cfn.capacity import fitting_tasks
from scaleout_cfn.config import (
    Config,
    Ec2Capacity,
    ExistingLoadBalancer,
    FargateCapacity,
    GitHubPipeline,
    GivenKey,
    GreenPort,
    Http,
    NewVpc,
    NewWebAcl,
    OwnKey,
    WebService,
)
from scaleout_cfn.config.units import Unit, jobs_of, title_of, units, with_queue, with_stand_ins
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks import (
    capacity,
    cluster,
    dashboard,
    foundation,
    load_balancer,
    namespace,
    network,
    notifications,
    service,
)
from scaleout_cfn.values import (
    BucketName,
    ClusterName,
    EmailAddress,
    Flag,
    ImageId,
    KeyArn,
    LatestImage,
    ListenerArn,
    LoadBalancerName,
    LogGroupName,
    Number,
    QueueUrl,
    RoleArn,
    SecurityGroupId,
    StackName,
    SubnetId,
    SubnetIds,
    Text,
    Value,
    VpcId,
)

if TYPE_CHECKING:
    from scaleout_cfn.stacks import storage
    from scaleout_cfn.stacks.attachments import Attached

V = TypeVar("V", bound=Value)


class Outputs(Struct, frozen=True):
    """What the set tells once it is there, and what a stack of one's own beside ours is wired to.

    What is there once a service is by its name.
    """

    url: Annotated[dict[str, Text], "Where the service answers, once it has an image."]
    repository_uri: Annotated[dict[str, Text], "Where to push the image."]
    cluster_name: Annotated[ClusterName, "The ECS cluster."]
    log_group_name: Annotated[dict[str, LogGroupName], "The log group of the containers."]
    queue_url: Annotated[dict[str, QueueUrl], "Where to send messages for the worker."]
    dashboard_url: Annotated[Text, "The dashboard."]
    # For a stack of one's own beside ours.
    vpc_id: Annotated[VpcId, "The VPC."]
    node_subnets: Annotated[SubnetIds, "The subnets of the nodes and tasks."]
    pipeline_name: Annotated[dict[str, Text], "The pipeline, in CodePipeline."]
    github_build_role: Annotated[dict[str, RoleArn], "The role of the workflow's build, in GitHub Actions."]
    github_deploy_role: Annotated[dict[str, RoleArn], "The role of the workflow's deployment, in GitHub Actions."]
    strategy: Annotated[dict[str, Text], "How a new version of the service takes over, where it has two target groups."]


def build(stack: Stack, config: Config) -> Outputs:
    """Auto-scaling HTTP services on Amazon ECS.

    A root of your own calls it with its own stack and nests more beside what it made.
    """
    services = units(config)
    running = with_stand_ins(services)
    jobs = jobs_of(config)
    # First, for it has no default.
    given_network = None if isinstance(config.network, NewVpc) else _given_network(stack)
    room = fitting_tasks(config)
    images, min_tasks, max_tasks = {}, {}, {}
    for unit in services:
        if unit.image_owner == unit.name:
            images[unit.name] = stack.ask(unit.image_key, Text)
        min_tasks[unit.name] = stack.ask(f"{unit.key}.scaling.min_tasks", Number)
        # No more than the nodes hold: their number is not asked for, so the arithmetic stays true.
        max_tasks[unit.name] = stack.ask(f"{unit.key}.scaling.max_tasks", Number, most=room[unit.name])
    for job in jobs:
        if job.has_own_image:
            images[job.name] = stack.ask(f"{job.key}.image_uri", Text)
    machine_image: dict[str, ImageId] = {
        name: stack.ask(f"capacity.{name}.machine_image", LatestImage)
        for name, pool in sorted(config.capacity.items())
        if isinstance(pool, Ec2Capacity)
    }
    alarm_email = stack.ask("observability.alarm_email", EmailAddress)
    create_service_linked_role = stack.ask("cluster.create_service_linked_role", Flag)

    key = _key(stack, config)

    told = stack.nest("Notifications", notifications.build, config, alarm_email=alarm_email, key=key)

    logged = isinstance(config.network, NewVpc) and config.network.flow_logs
    net = given_network or stack.nest("Network", network.build, config, key=key if logged else None)

    logged_to = _bucket_logs(stack, config)

    alb = _balancer(stack, config, net, told, key, logged_to) if any(unit.is_web for unit in services) else None

    ecs = stack.nest("Cluster", cluster.build, config, create_service_linked_role=create_service_linked_role, key=key)

    # On Fargate alone there are no nodes to place; and there is an alarm only where nodes may grow in number.
    nodes = [pool for pool in config.capacity.values() if not isinstance(pool, FargateCapacity)]
    grow = any(isinstance(pool, Ec2Capacity) and pool.min_nodes < pool.max_nodes for pool in nodes)
    pools = stack.nest(
        "Capacity",
        capacity.build,
        config,
        cluster_name=ecs.cluster_name,
        vpc_id=net.vpc_id if nodes else None,
        subnets=net.node_subnets if nodes else None,
        machine_image=machine_image,
        load_balancer_security_group=alb.security_group if alb and _any_bridge(running) else None,
        topic=told.topic if grow else None,
        key=key if machine_image else None,
    )

    names = stack.nest("Namespace", namespace.build, config) if any(unit.is_reached for unit in services) else None

    disks = {unit.name: _storage(stack, unit, net, key) for unit in services if unit.file_systems}

    ground: dict[str, foundation.Outputs] = {}
    for unit in running:
        web = alb if unit.is_web else None
        apart = unit.network_mode == "awsvpc"
        made_names = isinstance(unit.settings, WebService) and unit.settings.route.hosted_zone_id
        ground[unit.name] = stack.nest(
            unit.foundation,
            foundation.build,
            unit,
            vpc_id=net.vpc_id if web or apart else None,
            listener=web.listener if web and not unit.stands_in_for else None,
            test_listener=web.test_listener[f"port{unit.test.port}"]
            if web and isinstance(unit.test, GreenPort)
            else None,
            load_balancer_name=web.load_balancer_name if web else None,
            load_balancer_security_group=web.security_group if web and apart else None,
            load_balancer_dns_name=web.dns_name if web and made_names else None,
            load_balancer_zone=web.canonical_zone if web and made_names else None,
            health_check=web.health_check if web and made_names else None,
            stand_in=ground[unit.stand_in.name].target_group if unit.stand_in else None,
            topic=told.topic if web or unit.queue else None,
            key=key,
            storage_group={owner: disks[owner].security_group for _, owner in sorted(unit.mounted.items())},
        )
    queues = with_queue(config)

    attached = _attachments(stack, config, net, key)

    view = stack.nest(
        "Dashboard",
        dashboard.build,
        config,
        root_stack=StackName(Ref("AWS::StackName")),
        cluster_name=ecs.cluster_name,
        load_balancer_name=alb.load_balancer_name if alb else None,
        target_group_name={
            unit.name: name for unit in services if (name := ground[unit.name].target_group_name) is not None
        },
        alternate_targets={
            unit.name: name for unit in services if (name := ground[unit.name].alternate_targets) is not None
        },
        log_group_name={unit.name: ground[unit.name].log_group_name for unit in services},
        capacity_provider={name: pools.capacity_provider[name] for name in pools.group_name},
        group_name=pools.group_name,
        queue_name={name: _there_is(ground[name].queue_name) for name in queues},
    )

    # Last, for they change with each image, and nobody takes anything of them. A first deployment has no image yet:
    # the repository to push it to is made by it. Until there is one, the service is left out.
    has_image = {
        owner: stack.condition(f"Has{title_of(owner)}Image", Not(Equals(image, ""))) for owner, image in images.items()
    }
    for unit in running:
        base, web = ground[unit.name], alb if unit.is_web else None
        apart = unit.network_mode == "awsvpc"
        connected = unit.is_reached or unit.settings.reaches
        scaled = not unit.stands_in_for
        stack.nest_if(
            has_image[unit.image_owner],
            unit.service,
            service.build,
            unit,
            image_uri=images[unit.image_owner],
            repository_arn=ground[unit.image_owner].repository_arn,
            cluster_name=ecs.cluster_name,
            capacity_provider=pools.capacity_provider.get(unit.pool_name),
            target_group=base.target_group,
            target_group_name=base.target_group_name if scaled else None,
            alternate_target_group=base.alternate_target_group,
            alternate_targets=base.alternate_targets if scaled else None,
            production_rule=base.production_rule,
            test_rule=base.test_rule,
            deployment_role=base.deployment_role,
            load_balancer_name=web.load_balancer_name if web and scaled else None,
            log_group_name=base.log_group_name,
            alarms=base.alarms,
            subnets=net.node_subnets if apart else None,
            security_group=base.security_group,
            reached_group={name: _there_is(ground[name].security_group) for name in unit.settings.reaches},
            reached=_there(unit, has_image),
            namespace=names.namespace if names and connected else None,
            min_tasks=min_tasks.get(unit.name),
            max_tasks=max_tasks.get(unit.name),
            topic=told.topic if scaled else None,
            key=_key_of(unit, key),
            file_system={name: disks[owner].file_system[name] for name, owner in sorted(unit.mounted.items())},
            access_point={name: disks[owner].access_point[name] for name, owner in sorted(unit.mounted.items())},
            queue_url=base.queue_url,
            queue_arn=base.queue_arn,
            queue_name=base.queue_name,
            sent_url={name: _there_is(ground[name].queue_url) for name in unit.settings.sends_to},
            sent_arn={name: _there_is(ground[name].queue_arn) for name in unit.settings.sends_to},
            exec_logs=ecs.exec_logs if unit.settings.exec else None,
        )
    for unit in running:
        # A task finds by name only what was there when it started. A Ref is a dependency, here too; DependsOn may not
        # name a stack that a condition leaves out.
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html
        before: list[object] = [
            If(has_image[other.image_owner], Ref(other.service), "")
            for other in services
            if unit.comes_after(other.name)
        ]
        if unit.stands_in_for:
            # ECS registers tasks in no target group that no rule names.
            before.append(Ref(Unit(unit.stands_in_for, config.services[unit.stands_in_for], config).foundation))
        if before:
            stack.template.resources[unit.service].Metadata = {"After": before}

    for job in jobs:
        from scaleout_cfn.stacks.job import build as build_job  # here, for most sets have none

        owner, apart = job.settings.image_of, job.network_mode == "awsvpc"
        stack.nest_if(
            has_image[job.name if job.has_own_image else owner],
            job.job,
            build_job,
            job,
            image_uri=images[job.name if job.has_own_image else owner],
            repository_arn=ground[owner].repository_arn if owner else None,
            cluster_name=ecs.cluster_name,
            capacity_provider=pools.capacity_provider.get(job.pool_name),
            vpc_id=net.vpc_id if apart else None,
            subnets=net.node_subnets if apart else None,
            topic=told.topic,
            key=key,
            sent_url={name: _there_is(ground[name].queue_url) for name in job.settings.sends_to},
            sent_arn={name: _there_is(ground[name].queue_arn) for name in job.settings.sends_to},
        )

    for attachment, section in sorted(config.attachments.items()):
        from scaleout_cfn.stacks.attachments import attach  # here, as above

        for user in section.used_by:
            attach(stack, user, attachment, attached[attachment])

    pipelines = {}
    for unit in services:
        if not unit.has_pipeline:
            continue
        from scaleout_cfn.stacks import pipeline  # here, for most sets have none and its import takes its time

        # No condition: it is what brings the first image. Nothing else needs it.
        repository_arn = ground[unit.name].repository_arn
        assert repository_arn is not None
        pipelines[unit.name] = stack.nest(
            unit.pipeline,
            pipeline.build,
            unit,
            root_stack=StackName(Ref("AWS::StackName")),
            # A workflow is told it by a variable of its repository.
            repository_uri=None
            if isinstance(unit.settings.pipeline, GitHubPipeline)
            else ground[unit.name].repository_uri,
            repository_arn=repository_arn,
            repository_name=ground[unit.name].repository_name,
            key=None if isinstance(unit.settings.pipeline, GitHubPipeline) else key,
            bucket_logs=None if isinstance(unit.settings.pipeline, GitHubPipeline) else logged_to,
        )

    return Outputs(
        url={unit.name: _url(unit, alb) for unit in services if alb and unit.is_web},
        repository_uri={name: base.repository_uri for name, base in ground.items() if base.repository_uri},
        cluster_name=ecs.cluster_name,
        log_group_name={unit.name: ground[unit.name].log_group_name for unit in services},
        queue_url={name: _there_is(ground[name].queue_url) for name in queues},
        dashboard_url=_console_link(stack, view.dashboard_name),
        vpc_id=net.vpc_id,
        node_subnets=net.node_subnets,
        pipeline_name={name: made.pipeline_name for name, made in pipelines.items() if made.pipeline_name},
        github_build_role={name: made.github_build_role for name, made in pipelines.items() if made.github_build_role},
        github_deploy_role={
            name: made.github_deploy_role for name, made in pipelines.items() if made.github_deploy_role
        },
        strategy={
            unit.name: Text(str(unit.settings.deployment.__struct_config__.tag))
            for unit in services
            if unit.has_alternate
        },
    )


def _key(stack: Stack, config: Config) -> KeyArn | None:
    """What the set is encrypted by: its own key, or one that is there; None for AWS's."""
    if isinstance(config.encryption, GivenKey):
        return KeyArn(config.encryption.key_arn)
    if not isinstance(config.encryption, OwnKey):
        return None
    from scaleout_cfn.stacks import encryption  # here, for most sets have no key and its import takes its time

    return stack.nest("Encryption", encryption.build, config, root_stack=StackName(Ref("AWS::StackName"))).key


def _key_of(unit: Unit, key: KeyArn | None) -> KeyArn | None:
    needed = unit.secrets or unit.settings.exec or unit.queue or unit.settings.sends_to or unit.has_disk
    return key if needed else None


def _storage(stack: Stack, unit: Unit, net: network.Outputs, key: KeyArn | None) -> storage.Outputs:
    from scaleout_cfn.stacks import storage  # here, for most sets have none and its import takes its time

    there = unit.config.network
    subnet = (
        net.node_subnet
        if isinstance(there, NewVpc)
        else {f"zone{number}": SubnetId(name) for number, name in enumerate(there.node_subnets, 1)}
    )
    return stack.nest(unit.storage, storage.build, unit, vpc_id=net.vpc_id, subnet=subnet, key=key)


def _attachments(stack: Stack, config: Config, net: network.Outputs, key: KeyArn | None) -> dict[str, Attached]:
    if not config.attachments:
        return {}
    from scaleout_cfn.stacks import attachments  # here, for most sets have none and its import takes its time

    return {
        name: attachments.make(stack, name, section, net.vpc_id, net.node_subnets, key)
        for name, section in sorted(config.attachments.items())
    }


def _bucket_logs(stack: Stack, config: Config) -> BucketName | None:
    if not config.observability.bucket_logs:
        return None
    from scaleout_cfn.stacks import buckets  # here, for most sets have none

    return stack.nest("BucketLogs", buckets.build, config).bucket


def _given_network(stack: Stack) -> network.Outputs:
    vpc_id = stack.ask("network.vpc_id", VpcId)
    node_subnets = stack.ask("network.node_subnets", SubnetIds)
    return network.Outputs(vpc_id, node_subnets, node_subnets)


def _balancer(
    stack: Stack,
    config: Config,
    net: network.Outputs,
    told: notifications.Outputs,
    key: KeyArn | None,
    bucket_logs: BucketName | None,
) -> load_balancer.Outputs:
    settings = config.load_balancer
    if isinstance(settings, ExistingLoadBalancer):
        return load_balancer.Outputs(
            security_group=SecurityGroupId(settings.security_group_id),
            load_balancer_name=LoadBalancerName(settings.load_balancer_arn.partition(":loadbalancer/")[2]),
            listener=ListenerArn(settings.listener_arn),
            dns_name=None,
            canonical_zone=None,
            url=Text(settings.url),
        )
    if not isinstance(config.network, NewVpc):
        subnets = stack.ask("network.load_balancer_subnets", SubnetIds)
    else:
        subnets = net.node_subnets if settings.scheme == "internal" else net.public_subnets
    alb = stack.nest(
        "LoadBalancer",
        load_balancer.build,
        config,
        vpc_id=net.vpc_id,
        subnets=subnets,
        topic=told.topic,
        bucket_logs=bucket_logs if settings.access_logs else None,
    )
    if settings.maintenance:
        from scaleout_cfn.stacks import maintenance  # here, for it is there for an hour a year

        stack.nest("Maintenance", maintenance.build, config, listener=alb.listener)
    if settings.waf:
        from scaleout_cfn.stacks import firewall  # here, for most sets have none and its import takes its time

        logged = isinstance(settings.waf, NewWebAcl) and settings.waf.logs
        name = alb.load_balancer_name
        stack.nest("Firewall", firewall.build, config, load_balancer_name=name, key=key if logged else None)
    return alb


def _any_bridge(services: list[Unit]) -> bool:
    return any(unit.is_web and unit.network_mode == "bridge" for unit in services)


def _there(unit: Unit, has_image: dict[str, str]) -> Text | None:
    """Those of the services that it reaches that are there. None where it reaches none."""
    owners = {name: unit.config.services[name].image_of or name for name in sorted(unit.settings.reaches)}
    # One of the same image is there whenever it is itself.
    there = [name if owner == unit.image_owner else If(has_image[owner], name, "-") for name, owner in owners.items()]
    return Text(Join(",", there)) if there else None


def _there_is(value: V | None) -> V:
    """A value of a foundation that its section says is there."""
    assert value is not None
    return value


def _url(unit: Unit, alb: load_balancer.Outputs) -> Text:
    """Where a service answers: at its first whole host name, else at the balancer's, below its first path."""
    assert isinstance(unit.settings, WebService)
    route, settings = unit.settings.route, unit.config.load_balancer
    # `/api/` for `/api/*`: what stands for anything may be nothing.
    path = re.split("[*?]", route.paths[0])[0] if route.paths else "/"
    below = "" if path == "/" else path
    host = next((name for name in route.hosts if not set(name) & {"*", "?"}), None)
    if isinstance(settings, ExistingLoadBalancer):
        scheme, there = settings.url.partition(":")[0], Text(f"{settings.url}{below}")
    else:
        scheme = "http" if isinstance(settings.listener, Http) and not settings.cloudfront else "https"
        there = Text(Sub(f"${{LoadBalancer.Outputs.Url}}{below}")) if below else alb.url
    return Text(f"{scheme}://{host}{below}") if host else there


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
