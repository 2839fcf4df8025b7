"""The table of everything that is changed in MiniStack, and the only place that applies it.

Each patch stands alone and says in its docstring why it exists. Before it is applied, every private name that
it touches is looked up. `tests/local/test_patches.py` starts the emulator without each of them and fails when
the defect is gone: then the patch goes too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from scaleout_cfn.local import MINISTACK, EmulatorError, changesets, differences, gaps, nested, standins
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


@dataclass(frozen=True)
class Patch:
    """One change. `touches` are names below `ministack`, as `module.name` or `module.table[key]`."""

    name: str
    change: Callable[[], None]
    touches: tuple[str, ...]


_CFN: Final = "services.cloudformation"
_ACTIONS: Final = f"{_CFN}.handlers._ACTION_HANDLERS"
_TYPES: Final = f"{_CFN}.provisioners._RESOURCE_HANDLERS"
_TAGS: Final = f"{_CFN}.provisioners._STACK_TAG_PROPERTY"
_EC2: Final = "services.ec2._ACTION_MAP"
_EC2_TAGS: Final = (_TYPES, _TAGS, f"{_CFN}.provisioners._ec2_apply_tags")
_ECS: Final = "services.ecs"
_ECS_ACTIONS: Final = f"{_ECS}._ACTION_MAP"
_ALB: Final = "services.alb"

PATCHES: Final = (
    Patch(
        "nested-stacks",
        nested.nested_stacks,
        (
            f"{_TYPES}[AWS::CloudFormation::Stack]",
            f"{_ACTIONS}[ExecuteChangeSet]",
            f"{_CFN}._stacks",
            f"{_CFN}._stack_events",
            f"{_CFN}.stacks._add_event",
            f"{_CFN}.stacks._continue_update_rollback_async",
            f"{_CFN}.stacks._delete_stack_async",
            f"{_CFN}.stacks._deploy_stack_async",
            f"{_CFN}.stacks._revert_update",
            f"{_CFN}.stacks._roll_back_operation",
            f"{_CFN}.stacks._update_resource",
            f"{_CFN}.changesets._find_change_set",
            f"{_CFN}.engine._evaluate_conditions",
            f"{_CFN}.engine._parse_template",
            f"{_CFN}.engine._resolve_parameters",
            f"{_CFN}.engine.validate_template_support",
            f"{_CFN}.helpers._p",
            f"{_CFN}.helpers._resolve_template",
            f"{_CFN}.provisioners._check_nested_stack_capabilities",
            f"{_CFN}.provisioners._inherited_capabilities",
            f"{_CFN}.provisioners._tag_map",
        ),
    ),
    Patch("event-physical-ids", nested.event_physical_ids, (f"{_CFN}.stacks._add_event", f"{_CFN}._stack_events")),
    Patch(
        "unchanged-resource-events",
        nested.unchanged_resource_events,
        (
            f"{_CFN}.stacks._add_event",
            f"{_CFN}.stacks._update_resource",
            f"{_CFN}._stacks",
            f"{_CFN}._stack_events",
        ),
    ),
    Patch("parent-ids", changesets.parent_ids, (f"{_ACTIONS}[DescribeStacks]", f"{_ACTIONS}[ListStacks]")),
    Patch("review-stack-kept", changesets.review_stack_kept, (f"{_ACTIONS}[CreateChangeSet]", f"{_CFN}._change_sets")),
    Patch(
        "documented-changes",
        changesets.documented_changes,
        (
            *(f"{_ACTIONS}[{verb}ChangeSet]" for verb in ("Create", "Describe", "Execute", "Delete")),
            f"{_ACTIONS}[DeleteStack]",
            f"{_CFN}._change_sets",
            f"{_CFN}.changesets._find_change_set",
            f"{_CFN}.changesets._track_change_set_execution",
            f"{_CFN}.engine._evaluate_conditions",
            f"{_CFN}.engine._intrinsic_references",
            f"{_CFN}.engine._NO_VALUE",
            f"{_CFN}.engine._resolve_refs",
            f"{_CFN}.engine._topological_sort",
            f"{_CFN}.helpers.CFN_NS",
            f"{_CFN}.helpers._error",
            f"{_CFN}.stacks._DIFFED_ATTRIBUTES",
            f"{_CFN}.stacks._UNTAGGED_TYPES",
            f"{_CFN}.stacks._policy_action",
            f"{_CFN}.stacks._replacement",
            f"{_CFN}.stacks._stack_tags_changed",
        ),
    ),
    Patch("no-echo-masked", changesets.no_echo_masked, (f"{_ACTIONS}[DescribeChangeSet]", f"{_CFN}._change_sets")),
    Patch(
        "property-values",
        changesets.property_values,
        (f"{_ACTIONS}[DescribeChangeSet]", f"{_CFN}._change_sets"),
    ),
    Patch(
        "scheduled-replacements",
        differences.scheduled_replacements,
        (
            *(f"{_CFN}.{module}._replacing_change" for module in ("provisioners", "stacks")),
            f"{_CFN}.stacks._update_resource",
        ),
    ),
    Patch(
        "gaps-told",
        gaps.gaps_told,
        (
            *(f"{_CFN}.{module}.validate_template_support" for module in ("engine", "changesets", "handlers")),
            f"{_CFN}.engine._unknown_attribute_message",
        ),
    ),
    Patch(
        "network-parameters",
        standins.network_parameters,
        (
            *(f"{_CFN}.{module}._resolve_parameters" for module in ("engine", "changesets", "handlers")),
            "services.ec2._vpcs",
            "services.ec2._subnets",
        ),
    ),
    Patch("template-url-hosts", standins.template_url_hosts, (f"{_CFN}.helpers._resolve_document",)),
    Patch("ami-parameters", standins.ami_parameters, ("services.ssm._PUBLIC_AMI_PARAMETERS",)),
    Patch("ec2-vpc-attributes", ec2.vpc_attributes, (f"{_TYPES}[AWS::EC2::VPC]", "services.ec2._vpcs")),
    Patch(
        "ec2-elastic-ip",
        ec2.elastic_ip,
        (*_EC2_TAGS, f"{_EC2}[AllocateAddress]", f"{_EC2}[ReleaseAddress]", "services.ec2._addresses"),
    ),
    Patch(
        "ec2-nat-gateway",
        ec2.nat_gateway,
        (
            *_EC2_TAGS,
            f"{_EC2}[CreateNatGateway]",
            f"{_EC2}[DeleteNatGateway]",
            "services.ec2._addresses",
            "services.ec2._nat_gateways",
        ),
    ),
    Patch(
        "ec2-security-group-rules",
        ec2.security_group_rules,
        (
            _TYPES,
            *(f"{_EC2}[{verb}SecurityGroup{way}]" for verb in ("Authorize", "Revoke") for way in ("Ingress", "Egress")),
            "services.ec2._security_groups",
        ),
    ),
    Patch("ec2-flow-log", ec2.flow_log, (*_EC2_TAGS, f"{_EC2}[CreateFlowLogs]", f"{_EC2}[DeleteFlowLogs]")),
    Patch(
        "ec2-egress-only-internet-gateway",
        ec2.egress_only_internet_gateway,
        (*_EC2_TAGS, *(f"{_EC2}[{verb}EgressOnlyInternetGateway]" for verb in ("Create", "Delete"))),
    ),
    Patch(
        "ec2-cidr-blocks", ec2.cidr_blocks, (_TYPES, f"{_CFN}._stacks", "services.ec2._vpcs", "services.ec2._subnets")
    ),
    Patch("ecs-clusters", ecs_capacity.clusters, (f"{_TYPES}[AWS::ECS::Cluster]", f"{_ECS}._delete_cluster")),
    Patch(
        "ecs-capacity-providers",
        ecs_capacity.capacity_providers,
        (
            _TYPES,
            _TAGS,
            f"{_CFN}.provisioners._physical_name",
            *(f"{_ECS_ACTIONS}[{verb}CapacityProvider]" for verb in ("Create", "Update", "Delete")),
            f"{_ECS_ACTIONS}[PutClusterCapacityProviders]",
        ),
    ),
    Patch(
        "ecs-managed-instances",
        ecs_capacity.managed_instances,
        (
            *(f"{_ECS}._{verb}_capacity_provider" for verb in ("create", "update", "delete")),
            f"{_ECS}._capacity_providers",
            f"{_ECS}._delete_cluster",
            f"{_ECS}._describe_capacity_providers",
            f"{_ECS}._put_cluster_capacity_providers",
            f"{_ECS}._task_capacity",
        ),
    ),
    Patch(
        "ecs-task-definitions",
        ecs_services.task_definitions,
        (
            f"{_TYPES}[AWS::ECS::TaskDefinition]",
            f"{_CFN}.provisioners._ecs_task_def_create",
            f"{_ECS}._register_task_definition",
            f"{_ECS}._resolve_td_key",
            f"{_ECS}._task_defs",
        ),
    ),
    Patch(
        "ecs-services",
        ecs_services.services,
        (
            f"{_TYPES}[AWS::ECS::Service]",
            f"{_ECS}._create_service",
            f"{_ECS}._launch_choice",
            f"{_ECS}._resolve_service_ref",
            f"{_ECS}._run_task",
            f"{_ECS}._sanitize",
            f"{_ECS}._services",
            f"{_ECS}._task_capacity",
            f"{_ECS}._tasks",
            f"{_ECS}._update_service",
            f"{_ALB}._rules",
            f"{_ALB}._tgs",
        ),
    ),
    Patch(
        "ecs-service-connect",
        ecs_services.service_connect,
        (
            *(f"{_ECS}._{verb}_service" for verb in ("create", "update", "delete")),
            *(f"services.servicediscovery._{verb}_service" for verb in ("create", "delete")),
            "services.servicediscovery._namespaces",
            "services.servicediscovery._services",
        ),
    ),
    Patch(
        "ecs-deployment-strategies",
        ecs_deliveries.strategies,
        (
            *(f"{_ECS}._{verb}_service" for verb in ("create", "update")),
            *(f"{_ECS}._{verb}_service_deployments" for verb in ("list", "describe")),
            f"{_ECS}._describe_service_revisions",
            f"{_ECS}._iso",
            f"{_ECS}._resolve_cluster_name",
            f"{_ECS}._resolve_td_key",
            f"{_ECS}._resolve_service_ref",
            f"{_ECS}._sanitize",
            f"{_ECS}._services",
            f"{_ECS}._sync_service_targets",
            f"{_ECS}._task_defs",
            f"{_ALB}._rules",
            f"{_ALB}.set_targets_for_group",
        ),
    ),
    # Last of those for ECS: it looks at a request before the others change it.
    Patch(
        "ecs-capacity-strategies",
        ecs_capacity.capacity_strategies,
        (
            *(f"{_ECS}._{verb}_capacity_provider" for verb in ("create", "delete")),
            *(f"{_ECS}._{verb}_service" for verb in ("create", "update")),
            f"{_ECS}._put_cluster_capacity_providers",
            f"{_ECS}._run_task",
        ),
    ),
    Patch(
        "elbv2-rules",
        elbv2.listener_rules,
        (
            *(f"{_TYPES}[AWS::ElasticLoadBalancingV2::{kind}]" for kind in ("ListenerRule", "TargetGroup")),
            f"{_CFN}.provisioners._elbv2_listener_actions",
            f"{_CFN}.provisioners._elbv2_target_group_delete",
            f"{_CFN}.provisioners._flatten_listener_rule_conditions",
            *(f"{_ALB}._{name}" for name in ("action_xml", "condition_xml", "tg_xml")),
            *(f"{_ALB}._{name}" for name in ("parse_actions", "parse_conditions", "match_condition")),
            *(f"{_ALB}._{name}" for name in ("create_rule", "modify_rule", "set_rule_priorities", "delete_tg")),
        ),
    ),
    Patch(
        "elbv2-listener-certificates",
        elbv2.listener_certificates,
        (_TYPES, f"{_ALB}._ACTION_MAP", f"{_ALB}._listeners", f"{_ALB}._parse_certificate_arns", f"{_ALB}._xml"),
    ),
    Patch(
        "application-autoscaling",
        application_autoscaling.application_autoscaling,
        (_TYPES, "app.SERVICE_HANDLERS", "core.router.SERVICE_PATTERNS", "services.ecs._services"),
    ),
    Patch(
        "autoscaling-warm-pools",
        application_autoscaling.warm_pools,
        (_TYPES, *(f"services.autoscaling.{name}" for name in ("_ACTION_MAP", "_asgs", "_error", "_p", "_xml"))),
    ),
    Patch("route53-health-checks", edge.health_checks, (_TYPES, "services.route53._health_checks")),
    Patch(
        "route53-record-policies",
        edge.record_policies,
        (
            f"{_TYPES}[AWS::Route53::RecordSet]",
            "services.route53._records",
            *(
                f"services.cloudformation.provisioners._r53_{name}"
                for name in ("record_set_create", "record_set_build_rs", "resolve_hosted_zone_id")
            ),
        ),
    ),
    Patch("zonal-autoshifts", edge.autoshifts, (_TYPES, f"{_ALB}._lb_attrs")),
    Patch(
        "iam-instance-profiles",
        smaller.instance_profiles,
        (f"{_TYPES}[AWS::IAM::InstanceProfile]", "services.iam._instance_profiles"),
    ),
    Patch(
        "iam-service-linked-role",
        smaller.service_linked_role,
        (_TYPES, "services.iam._create_service_linked_role", "services.iam._delete_service_linked_role"),
    ),
    Patch(
        "iam-oidc-provider",
        smaller.oidc_provider,
        (_TYPES, _TAGS, "services.iam._create_oidc_provider", "services.iam._delete_oidc_provider"),
    ),
    Patch("cloudwatch-alarm-mute-rules", smaller.alarm_mute_rules, (_TYPES, _TAGS)),
    Patch(
        "cloudwatch-metric-math-alarms",
        smaller.metric_math_alarms,
        (f"{_CFN}.provisioners._cw_metric_alarm_record",),
    ),
    Patch(
        "deletion-protection",
        smaller.deletion_protection,
        (
            f"{_TYPES}[AWS::ElasticLoadBalancingV2::LoadBalancer]",
            f"{_TYPES}[AWS::RDS::DBInstance]",
            f"{_TYPES}[AWS::RDS::DBCluster]",
            f"{_TYPES}[AWS::DynamoDB::Table]",
            "services.alb._lb_attrs",
            "services.rds._instances",
            "services.rds._clusters",
            "services.dynamodb._tables",
        ),
    ),
    Patch(
        "rds-master-user-secret",
        smaller.master_user_secret,
        (f"{_TYPES}[AWS::RDS::DBInstance]", f"{_TYPES}[AWS::RDS::DBCluster]"),
    ),
    Patch(
        "waf-association",
        edge.association,
        (_TYPES, "services.waf._associate_web_acl", "services.waf._disassociate_web_acl"),
    ),
    Patch("waf-logging", edge.logging, (_TYPES,)),
    Patch("schedules", smaller.schedules, (f"{_TYPES}[AWS::Scheduler::Schedule]",)),
    Patch("trust-stores", elbv2.trust_stores, (_TYPES, _TAGS, f"{_CFN}.provisioners._physical_name")),
    Patch("vpc-origins", edge.vpc_origins, (_TYPES, _TAGS, f"{_ALB}._lbs")),
    Patch("given-secrets", standins.given_secrets, (f"{_CFN}.engine._resolve_dynamic_reference",)),
    Patch("codepipeline", smaller.pipeline, (_TYPES, _TAGS, f"{_CFN}.provisioners._physical_name")),
    Patch("codeconnections", smaller.connection, (_TYPES, _TAGS)),
)


def apply(*, without: Collection[str] = ()) -> tuple[str, ...]:
    """Apply every patch but those named, and return the names of the applied.

    Raises `EmulatorError` where MiniStack is not what a patch expects.
    """
    unknown = sorted(set(without) - {patch.name for patch in PATCHES})
    if unknown:
        known = ", ".join(patch.name for patch in PATCHES)
        raise EmulatorError(f"there is no patch {unknown[0]!r} to leave out. The patches are {known}.")
    chosen = tuple(patch for patch in PATCHES if patch.name not in without)
    for patch in chosen:
        _check(patch)
        patch.change()
    return tuple(patch.name for patch in chosen)


def _check(patch: Patch) -> None:
    for name in patch.touches:
        if not _exists(name):
            raise EmulatorError(
                f"patch {patch.name} needs ministack.{name}, which ministack {metadata.version('ministack')} lacks."
                f" Install ministack=={MINISTACK}, or revise the patch."
            )


def _exists(name: str) -> bool:
    path, _, key = name.rstrip("]").partition("[")
    module, _, attribute = path.rpartition(".")
    owner = importlib.import_module(f"ministack.{module}")
    return hasattr(owner, attribute) and (not key or key in getattr(owner, attribute))
