"""The table of everything that is changed in MiniStack, and the only place that applies it.

Each patch stands alone and says in its docstring why it exists. They take private names of the one version of MiniStack
that is started, `MINISTACK`. `tests/local/test_patches.py` starts the emulator without each of them and fails when the
defect is gone: then the patch goes too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from scaleout_cfn.local import EmulatorError, changesets, differences, gaps, nested, standins
from scaleout_cfn.local.types import (
    application_autoscaling,
    ec2,
    ecs_capacity,
    ecs_deliveries,
    ecs_services,
    edge,
    elbv2,
    smaller,
)

PATCHES: Final[Mapping[str, Callable[[], None]]] = {
    "nested-stacks": nested.nested_stacks,
    "event-physical-ids": nested.event_physical_ids,
    "unchanged-resource-events": nested.unchanged_resource_events,
    "parent-ids": changesets.parent_ids,
    "review-stack-kept": changesets.review_stack_kept,
    "documented-changes": changesets.documented_changes,
    "no-echo-masked": changesets.no_echo_masked,
    "property-values": changesets.property_values,
    "scheduled-replacements": differences.scheduled_replacements,
    "gaps-told": gaps.gaps_told,
    "network-parameters": standins.network_parameters,
    "template-url-hosts": standins.template_url_hosts,
    "ami-parameters": standins.ami_parameters,
    "ec2-vpc-attributes": ec2.vpc_attributes,
    "ec2-elastic-ip": ec2.elastic_ip,
    "ec2-nat-gateway": ec2.nat_gateway,
    "ec2-security-group-rules": ec2.security_group_rules,
    "ec2-flow-log": ec2.flow_log,
    "ec2-egress-only-internet-gateway": ec2.egress_only_internet_gateway,
    "ec2-cidr-blocks": ec2.cidr_blocks,
    "ecs-clusters": ecs_capacity.clusters,
    "ecs-capacity-providers": ecs_capacity.capacity_providers,
    "ecs-managed-instances": ecs_capacity.managed_instances,
    "ecs-task-definitions": ecs_services.task_definitions,
    "ecs-services": ecs_services.services,
    "ecs-service-connect": ecs_services.service_connect,
    "ecs-deployment-strategies": ecs_deliveries.strategies,
    # Last of those for ECS: it looks at a request before the others change it.
    "ecs-capacity-strategies": ecs_capacity.capacity_strategies,
    "elbv2-rules": elbv2.listener_rules,
    "elbv2-listener-certificates": elbv2.listener_certificates,
    "application-autoscaling": application_autoscaling.application_autoscaling,
    "autoscaling-warm-pools": application_autoscaling.warm_pools,
    "route53-health-checks": edge.health_checks,
    "route53-record-policies": edge.record_policies,
    "zonal-autoshifts": edge.autoshifts,
    "iam-instance-profiles": smaller.instance_profiles,
    "iam-service-linked-role": smaller.service_linked_role,
    "iam-oidc-provider": smaller.oidc_provider,
    "cloudwatch-alarm-mute-rules": smaller.alarm_mute_rules,
    "cloudwatch-metric-math-alarms": smaller.metric_math_alarms,
    "deletion-protection": smaller.deletion_protection,
    "rds-master-user-secret": smaller.master_user_secret,
    "waf-association": edge.association,
    "waf-logging": edge.logging,
    "schedules": smaller.schedules,
    "trust-stores": elbv2.trust_stores,
    "vpc-origins": edge.vpc_origins,
    "given-secrets": standins.given_secrets,
    "codepipeline": smaller.pipeline,
    "codeconnections": smaller.connection,
}


def apply(*, without: Collection[str] = ()) -> tuple[str, ...]:
    """Apply every patch but those named, and return the names of the applied."""
    unknown = sorted(set(without) - set(PATCHES))
    if unknown:
        raise EmulatorError(f"there is no patch {unknown[0]!r} to leave out. The patches are {', '.join(PATCHES)}.")
    chosen = tuple(name for name in PATCHES if name not in without)
    for name in chosen:
        PATCHES[name]()
    return chosen
