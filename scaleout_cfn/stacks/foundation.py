"""The foundation of a service: what outlives a version of it, and what a deployment watches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from zlib import crc32

from msgspec import Struct
from troposphere import AWSObject, certificatemanager, cloudwatch, ec2, ecr, logs
from troposphere import elasticloadbalancingv2 as elb
from troposphere.validators.route53 import AliasTarget

from scaleout_cfn.config import Cognito, Oidc, RegistryPipeline, WebService
from scaleout_cfn.config.containers import ExistingEfs
from scaleout_cfn.config.routing import priority
from scaleout_cfn.config.units import Unit, title_of
from scaleout_cfn.grammars import arn_of
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.alarms import ALB, dimensions, error_share, highest
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.stacks.records import alias_records, of_host
from scaleout_cfn.values import (
    AlarmNames,
    DnsName,
    HealthCheckId,
    HostedZoneId,
    KeyArn,
    ListenerArn,
    ListenerRuleArn,
    LoadBalancerName,
    LogGroupName,
    QueueArn,
    QueueName,
    QueueUrl,
    RepositoryArn,
    RepositoryName,
    RoleArn,
    SecurityGroupId,
    TargetGroupArn,
    TargetGroupName,
    Text,
    TopicArn,
    VpcId,
)

#: https://docs.aws.amazon.com/efs/latest/ug/network-access.html
NFS = 2049


class Outputs(Struct, frozen=True):
    log_group_name: LogGroupName
    repository_uri: Text | None = None
    repository_arn: RepositoryArn | None = None
    #: For a pipeline that starts at a push, and nobody else.
    repository_name: RepositoryName | None = None
    security_group: SecurityGroupId | None = None
    target_group: TargetGroupArn | None = None
    target_group_name: TargetGroupName | None = None
    #: The second one, and what ECS moves requests between both by.
    alternate_target_group: TargetGroupArn | None = None
    alternate_targets: TargetGroupName | None = None
    production_rule: ListenerRuleArn | None = None
    test_rule: ListenerRuleArn | None = None
    deployment_role: RoleArn | None = None
    #: What a deployment watches.
    alarms: AlarmNames | None = None
    queue_url: QueueUrl | None = None
    queue_arn: QueueArn | None = None
    queue_name: QueueName | None = None


def build(
    stack: Stack,
    unit: Unit,
    *,
    vpc_id: VpcId | None,
    listener: ListenerArn | None,
    test_listener: ListenerArn | None,
    load_balancer_name: LoadBalancerName | None,
    load_balancer_security_group: SecurityGroupId | None,
    load_balancer_dns_name: DnsName | None,
    load_balancer_zone: HostedZoneId | None,
    health_check: HealthCheckId | None,
    stand_in: TargetGroupArn | None,
    topic: TopicArn | None,
    key: KeyArn | None,
    storage_group: dict[str, SecurityGroupId],
) -> Outputs:
    # Here and not beside the service, so that the logs of a first deployment that fails are there to be read.
    policy = "Retain" if unit.config.observability.keep_logs else "Delete"
    log_group = logs.LogGroup(
        "Logs",
        RetentionInDays=unit.config.observability.log_retention_days,
        DeletionPolicy=policy,
        UpdateReplacePolicy=policy,
    )
    stack.add(under_key(log_group, key))
    outputs: dict[str, Any] = {}
    if unit.has_repository:
        repository = _repository(stack, unit, key)
        watched = isinstance(unit.settings.pipeline, RegistryPipeline)
        outputs |= {
            "repository_uri": Text(repository.get_att("RepositoryUri")),
            "repository_arn": RepositoryArn(repository.get_att("Arn")),
            "repository_name": RepositoryName(repository.ref()) if watched else None,
        }
    if unit.network_mode == "awsvpc":
        assert vpc_id is not None
        outputs["security_group"] = _security_group(stack, unit, vpc_id, load_balancer_security_group)
        if unit.on_efs:
            _let_in_to_file_systems(stack, unit, outputs["security_group"], storage_group)
    if unit.queue is not None:
        from scaleout_cfn.stacks.queue import add_queue  # here, for most services have none

        assert topic is not None
        made = add_queue(stack, unit.queue, topic, key)
        outputs |= {"queue_url": made.url, "queue_arn": made.arn, "queue_name": made.name}
    if isinstance(unit.settings, WebService):
        assert vpc_id is not None and load_balancer_name is not None and topic is not None
        targets = _target_group(stack, "TargetGroup", unit, unit.settings, vpc_id)
        groups = [targets]
        if unit.has_alternate:
            groups.append(_target_group(stack, "AlternateTargetGroup", unit, unit.settings, vpc_id))
        if listener is not None:
            rule = _rule(stack, unit, unit.settings, listener, _forward(unit.settings, groups, stand_in))
            if unit.has_alternate:
                outputs |= _shiftable(stack, unit, groups, rule, test_listener)
        listeners = [each for each in (listener, test_listener) if each is not None]
        if unit.settings.route.certificate_arn:
            _serve_certificate(stack, listeners, unit.settings.route.certificate_arn)
        if listener is not None and (zone := unit.settings.route.hosted_zone_id):
            _serve_certificate(stack, listeners, _certificate(stack, unit.settings.route.hosts, zone).ref())
            assert load_balancer_dns_name is not None and load_balancer_zone is not None
            target = AliasTarget(HostedZoneId=load_balancer_zone, DNSName=load_balancer_dns_name)
            for host in unit.settings.route.hosts:
                alias_records(stack, unit.config, of_host("AliasRecord", host), host, zone, target, health_check)
        on_targets: list[dict[str, Any]] = [
            {"LoadBalancer": load_balancer_name, "TargetGroup": group.get_att("TargetGroupFullName")}
            for group in groups
        ]
        alarms = unit.settings.alarms
        errors = error_share(
            stack,
            "TargetErrors",
            "HTTPCode_Target_5XX_Count",
            "the targets",
            on_targets,
            alarms.error_percent,
            topic,
        )
        unhealthy = _unhealthy(stack, on_targets, topic)
        _latency(stack, on_targets, alarms.latency_s, topic)
        outputs |= {
            "target_group": TargetGroupArn(targets.ref()),
            "target_group_name": TargetGroupName(targets.get_att("TargetGroupFullName")),
        }
        if unit.settings.deployment.alarms:
            outputs["alarms"] = AlarmNames([errors.ref(), unhealthy.ref()])
    elif unit.shifting and unit.shifting.hooks:
        from scaleout_cfn.stacks.shifting import add_role  # here and below: most services have none

        outputs["deployment_role"] = add_role(stack, unit, [], [])
    if unit.config.night is not None:
        from scaleout_cfn.stacks.night import mute  # here, for most sets run at all times

        mute(stack, unit.config.night)
    return Outputs(LogGroupName(log_group.ref()), **outputs)


def _repository(stack: Stack, unit: Unit, key: KeyArn | None) -> ecr.Repository:
    registry = unit.config.registry
    if registry.encryption != "auto":
        encryption = ecr.EncryptionConfiguration(EncryptionType=registry.encryption)
    elif key is None:
        encryption = ecr.EncryptionConfiguration(EncryptionType="AES256")
    else:
        encryption = ecr.EncryptionConfiguration(EncryptionType="KMS", KmsKey=key)
    repository = ecr.Repository(
        "Repository",
        ImageTagMutability="IMMUTABLE_WITH_EXCLUSION" if registry.mutable_tags else "IMMUTABLE",
        EncryptionConfiguration=encryption,
        LifecyclePolicy=ecr.LifecyclePolicy(LifecyclePolicyText=_keep(registry.keep_images)),
        EmptyOnDelete=registry.empty_on_delete,
        # Images are what a rollback needs. A repository that a failed first deployment made holds none.
        DeletionPolicy="Delete" if registry.empty_on_delete else "RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
    )
    if registry.mutable_tags:
        repository.ImageTagMutabilityExclusionFilters = [
            ecr.ImageTagMutabilityExclusionFilter(
                ImageTagMutabilityExclusionFilterType="WILDCARD", ImageTagMutabilityExclusionFilterValue=tag
            )
            for tag in registry.mutable_tags
        ]
    return stack.add(repository)


@cache
def _keep(images: int) -> str:
    """By count of tagged images, never by age: the image that runs may be old.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
    """
    rule = {
        "rulePriority": 1,
        "description": f"Keep the newest {images} tagged images",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["*"],
            "countType": "imageCountMoreThan",
            "countNumber": images,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]}, indent=1)


def _security_group(stack: Stack, unit: Unit, vpc_id: VpcId, load_balancer: SecurityGroupId | None) -> SecurityGroupId:
    """The tasks' own group. It lets in the load balancer, where that sends requests, and whoever names the service."""
    if load_balancer is None:
        who = "in only from services that name it." if unit.is_reached else "nobody is let in."
        group = ec2.SecurityGroup("SecurityGroup", GroupDescription=f"Tasks; {who}", VpcId=vpc_id)
        return SecurityGroupId(stack.add(group).ref())
    ports = {unit.port: ("LoadBalancerEgress", "container's port")}
    if isinstance(unit.settings, WebService) and unit.settings.health_check.port:
        ports.setdefault(unit.settings.health_check.port, ("HealthCheckEgress", "port of the health check"))
    group = stack.add(
        ec2.SecurityGroup(
            "SecurityGroup",
            GroupDescription="Tasks; in only from the load balancer.",
            VpcId=vpc_id,
            SecurityGroupIngress=[
                ec2.SecurityGroupRule(
                    Description=f"The load balancer to the {what}",
                    IpProtocol="tcp",
                    FromPort=port,
                    ToPort=port,
                    SourceSecurityGroupId=load_balancer,
                )
                for port, (_, what) in ports.items()
            ],
        )
    )
    for port, (title, _) in ports.items():
        stack.add(
            ec2.SecurityGroupEgress(
                title,
                Description="To the tasks",
                GroupId=load_balancer,
                IpProtocol="tcp",
                FromPort=port,
                ToPort=port,
                DestinationSecurityGroupId=group.ref(),
            )
        )
    return SecurityGroupId(group.ref())


def _let_in_to_file_systems(
    stack: Stack, unit: Unit, own_group: SecurityGroupId, storage_group: dict[str, SecurityGroupId]
) -> None:
    """Let the tasks in to the file systems that they mount. Here, for it has to be before they start."""
    groups: dict[str, SecurityGroupId] = {
        f"Storage{title_of(owner)}": group for owner, group in sorted(storage_group.items())
    }
    given = {
        volume.security_group_id: name
        for name, volume in sorted(unit.settings.volumes.items(), reverse=True)
        if isinstance(volume, ExistingEfs) and volume.security_group_id
    }
    groups |= {f"Volume{title_of(name)}": SecurityGroupId(group) for group, name in sorted(given.items())}
    for title, group in groups.items():
        stack.add(
            ec2.SecurityGroupIngress(
                f"{title}Ingress",
                Description=f"{unit.name} to the mount targets",
                GroupId=group,
                IpProtocol="tcp",
                FromPort=NFS,
                ToPort=NFS,
                SourceSecurityGroupId=own_group,
            )
        )


def _shiftable(
    stack: Stack, unit: Unit, groups: list[elb.TargetGroup], rule: elb.ListenerRule, test_listener: ListenerArn | None
) -> dict[str, Any]:
    """What else ECS needs to move requests from one target group to the other."""
    from scaleout_cfn.stacks.shifting import add_role, add_test_rule

    rules: list[Any] = [rule.ref()]
    outputs: dict[str, Any] = {
        "alternate_target_group": TargetGroupArn(groups[1].ref()),
        "alternate_targets": TargetGroupName(groups[1].get_att("TargetGroupFullName")),
        "production_rule": ListenerRuleArn(rule.ref()),
    }
    if unit.test is not None:
        outputs["test_rule"] = add_test_rule(stack, unit, rule, test_listener)
        rules.append(outputs["test_rule"])
    return {**outputs, "deployment_role": add_role(stack, unit, [group.ref() for group in groups], rules)}


def _target_group(stack: Stack, title: str, unit: Unit, settings: WebService, vpc_id: VpcId) -> elb.TargetGroup:
    check = settings.health_check
    bridge = unit.network_mode == "bridge"
    attributes: dict[str, object] = {
        "deregistration_delay.timeout_seconds": settings.deregistration_delay_s,
        # A slow task is sent less, and a fresh one is not flooded.
        "load_balancing.algorithm.type": "least_outstanding_requests",
        "stickiness.enabled": "false",
    }
    if settings.slow_start_s:
        # Goes with round robin only.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
        attributes |= {
            "load_balancing.algorithm.type": "round_robin",
            "slow_start.duration_seconds": settings.slow_start_s,
        }
    if settings.stickiness_s:
        attributes |= {
            "stickiness.enabled": "true",
            "stickiness.type": "lb_cookie",
            "stickiness.lb_cookie.duration_seconds": settings.stickiness_s,
        }
    codes = {"GrpcCode": check.codes} if settings.protocol == "grpc" else {"HttpCode": check.codes}
    group = stack.add(
        elb.TargetGroup(
            title,
            VpcId=vpc_id,
            Protocol="HTTP",
            # Each task registers under a port of its own. This one is never used, and a change of it would replace.
            Port=80,
            TargetType="instance" if bridge else "ip",
            HealthCheckProtocol=check.protocol,
            HealthCheckPort=str(check.port or "traffic-port"),
            HealthCheckPath=check.path,
            HealthCheckIntervalSeconds=check.interval_s,
            HealthCheckTimeoutSeconds=check.timeout_s,
            HealthyThresholdCount=check.healthy_count,
            UnhealthyThresholdCount=check.unhealthy_count,
            Matcher=elb.Matcher(**codes),
            TargetGroupAttributes=[
                elb.TargetGroupAttribute(Key=key, Value=str(value)) for key, value in attributes.items()
            ],
        )
    )
    if settings.protocol != "http1":
        group.ProtocolVersion = settings.protocol.upper()
    return group


def _forward(
    settings: WebService, groups: Sequence[elb.TargetGroup], stand_in: TargetGroupArn | None
) -> elb.ListenerRuleAction:
    """To the tasks, or to those that stand in for them. Both are named: tasks register in no group that no rule names.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html
    """
    targets, *alternate = groups
    if alternate:
        from scaleout_cfn.stacks.shifting import forward_to_both

        return forward_to_both(targets.ref(), alternate[0].ref())
    if settings.stand_in is None:
        return elb.ListenerRuleAction(Type="forward", TargetGroupArn=targets.ref())
    serves = settings.stand_in.serves
    both = [
        elb.TargetGroupTuple(TargetGroupArn=targets.ref(), Weight=int(not serves)),
        elb.TargetGroupTuple(TargetGroupArn=stand_in, Weight=int(serves)),
    ]
    return elb.ListenerRuleAction(Type="forward", ForwardConfig=elb.ForwardConfig(TargetGroups=both))


def _rule(
    stack: Stack, unit: Unit, settings: WebService, listener: ListenerArn, forward: elb.ListenerRuleAction
) -> elb.ListenerRule:
    """The requests that the service gets. One that gets all that nobody claims has a rule too: the last.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
    """
    route = settings.route
    conditions = []
    if route.paths:
        conditions.append(
            elb.Condition(Field="path-pattern", PathPatternConfig=elb.PathPatternConfig(Values=list(route.paths)))
        )
    if route.hosts:
        conditions.append(
            elb.Condition(Field="host-header", HostHeaderConfig=elb.HostHeaderConfig(Values=list(route.hosts)))
        )
    for name, value in sorted(route.headers.items()):
        header = elb.HttpHeaderConfig(HttpHeaderName=name, Values=[value])
        conditions.append(elb.Condition(Field="http-header", HttpHeaderConfig=header))
    for key, value in sorted(route.query.items()):
        query = elb.QueryStringConfig(Values=[elb.QueryStringKeyValue(Key=key, Value=value)])
        conditions.append(elb.Condition(Field="query-string", QueryStringConfig=query))
    everything = elb.Condition(Field="path-pattern", PathPatternConfig=elb.PathPatternConfig(Values=["/*"]))
    return stack.add(
        elb.ListenerRule(
            "Rule",
            ListenerArn=listener,
            Priority=priority(unit.config, unit.name, route),
            Conditions=conditions or [everything],
            Actions=_actions(settings, forward),
        )
    )


def _actions(settings: WebService, forward: elb.ListenerRuleAction) -> list[elb.ListenerRuleAction]:
    if settings.sign_in is None:
        return [forward]

    forward.Order = 2
    return [sign_in(settings.sign_in), forward]


def _serve_certificate(stack: Stack, listeners: Sequence[ListenerArn], certificate: object) -> None:
    """Beside the listener's own: the client's SNI chooses.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html
    """
    for title, listener in zip(("HostCertificate", "TestHostCertificate"), listeners, strict=False):
        stack.add(
            elb.ListenerCertificate(
                title, ListenerArn=listener, Certificates=[elb.Certificate(CertificateArn=certificate)]
            )
        )


def _certificate(stack: Stack, hosts: Sequence[str], zone: str) -> certificatemanager.Certificate:
    certificate = certificatemanager.Certificate(
        "Certificate",
        DomainName=hosts[0],
        ValidationMethod="DNS",
        DomainValidationOptions=[
            certificatemanager.DomainValidationOption(DomainName=host, HostedZoneId=zone) for host in hosts
        ],
    )
    if len(hosts) > 1:
        certificate.SubjectAlternativeNames = list(hosts[1:])
    return stack.add(certificate)


def _latency(stack: Stack, watched: list[dict[str, Any]], latency_s: float, topic: TopicArn) -> AWSObject:
    if len(watched) == 1:
        times: dict[str, Any] = {
            "Namespace": ALB,
            "MetricName": "TargetResponseTime",
            "Dimensions": dimensions(watched[0]),
            "ExtendedStatistic": "p99",
            "Period": 60,
        }
    else:
        from scaleout_cfn.stacks.shifting import times_of_slowest

        times = times_of_slowest(watched)
    # With few requests a percentile is one request's time.
    few: dict[str, Any] = {"EvaluateLowSampleCountPercentile": "ignore"} if len(watched) == 1 else {}
    return stack.add(
        cloudwatch.Alarm(
            "Latency",
            AlarmDescription="p99 of the targets' response time is over its threshold.",
            **times,
            EvaluationPeriods=5,
            DatapointsToAlarm=5,
            Threshold=latency_s,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            **few,
            AlarmActions=[topic],
            OKActions=[topic],
        )
    )


def _unhealthy(stack: Stack, watched: list[dict[str, Any]], topic: TopicArn) -> cloudwatch.Alarm:
    return stack.add(
        cloudwatch.Alarm(
            "UnhealthyTargets",
            AlarmDescription="Targets fail their health checks.",
            **highest("UnHealthyHostCount", "Maximum", watched),
            EvaluationPeriods=5,
            DatapointsToAlarm=3,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
            OKActions=[topic],
        )
    )


def sign_in(settings: Oidc | Cognito) -> elb.ListenerRuleAction:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html"""
    where = settings.issuer if isinstance(settings, Oidc) else settings.user_pool_arn
    common = {
        "OnUnauthenticatedRequest": settings.otherwise,
        "Scope": settings.scope,
        "SessionTimeout": str(settings.session_s),
        # Services of one client share a session. Those of different ones would take it away from each other.
        "SessionCookieName": f"AWSELBAuthSessionCookie-{crc32(f'{where} {settings.client_id}'.encode()):08x}",
    }
    if isinstance(settings, Cognito):
        return elb.ListenerRuleAction(
            Type="authenticate-cognito",
            Order=1,
            AuthenticateCognitoConfig=elb.AuthenticateCognitoConfig(
                UserPoolArn=settings.user_pool_arn,
                UserPoolClientId=settings.client_id,
                UserPoolDomain=settings.domain,
                **common,
            ),
        )
    return elb.ListenerRuleAction(
        Type="authenticate-oidc",
        Order=1,
        AuthenticateOidcConfig=elb.ListenerRuleAuthenticateOidcConfig(
            Issuer=settings.issuer,
            AuthorizationEndpoint=settings.authorization_endpoint,
            TokenEndpoint=settings.token_endpoint,
            UserInfoEndpoint=settings.user_info_endpoint,
            ClientId=settings.client_id,
            ClientSecret=_dynamic_reference(settings.client_secret),
            **common,
        ),
    )


def _dynamic_reference(secret: str) -> str:
    """What CloudFormation puts the secret in the place of, which no template, change set or event shows.

    `secret` is an ARN with, perhaps, :json-key:version-stage:version-id behind it, as a container's is.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
    """
    arn = arn_of(secret)
    assert arn is not None
    kind, name, *parts = arn.resource.split(":")
    whole = ":".join(["arn", *arn[:4], kind, name])
    return f"{{{{resolve:secretsmanager:{':'.join([whole, 'SecretString', *parts]).rstrip(':')}}}}}"
