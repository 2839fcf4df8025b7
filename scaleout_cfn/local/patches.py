"""The table of everything that is changed in MiniStack, and the only place that applies it.

Each patch stands alone and says in its docstring why it exists. They take private names of the one version of MiniStack
that is started, `MINISTACK`. `tests/local/test_patches.py` starts the emulator without each of them and fails when the
defect is gone: then the patch goes too.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from ministack.services.cloudformation import changesets as cloudformation_changes
from ministack.services.cloudformation import engine, handlers, stacks

from scaleout_cfn.aws import NESTED
from scaleout_cfn.local import GAP, EmulatorError, changesets, differences, nested, standins
from scaleout_cfn.local.types import (
    application_autoscaling,
    ec2,
    ecs_capacity,
    ecs_deliveries,
    ecs_services,
    elbv2,
    others,
)
from scaleout_cfn.templates import schemas

_UNRECOGNIZED: Final = re.compile(r"(?P<said>.*Unrecognized resource types: )\[(?P<kinds>.*)\]")


def gaps_told() -> None:
    """MiniStack says of a type or an attribute that it lacks what AWS says of one that does not exist."""
    validate, unknown_attribute = engine.validate_template_support, engine._unknown_attribute_message

    def validate_telling(*arguments: Any, **more: Any) -> None:
        try:
            validate(*arguments, **more)
        except ValueError as error:
            raise ValueError(_told(str(error))) from None

    def unknown_attribute_telling(resource: dict[str, Any], logical_id: str, attribute: str) -> str:
        kind = resource.get("ResourceType", "")
        if schemas.has_attribute(kind, attribute):
            return f"{GAP} the attribute {attribute} of {kind}; AWS does"
        return str(unknown_attribute(resource, logical_id, attribute))

    for module in (engine, cloudformation_changes, handlers):
        module.validate_template_support = validate_telling
    engine._unknown_attribute_message = unknown_attribute_telling


def _told(refusal: str) -> str:
    match = _UNRECOGNIZED.fullmatch(refusal)
    if match is None:
        return refusal
    kinds = match["kinds"].split(", ")
    nobodys = [kind for kind in kinds if not schemas.is_known(kind)]
    return f"{match['said']}[{', '.join(nobodys)}]" if nobodys else f"{GAP} {', '.join(kinds)}; AWS does"


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
    "gaps-told": gaps_told,
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
    "route53-health-checks": others.health_checks,
    "route53-record-policies": others.record_policies,
    "zonal-autoshifts": others.autoshifts,
    "iam-instance-profiles": others.instance_profiles,
    "iam-service-linked-role": others.service_linked_role,
    "iam-oidc-provider": others.oidc_provider,
    "cloudwatch-alarm-mute-rules": others.alarm_mute_rules,
    "cloudwatch-metric-math-alarms": others.metric_math_alarms,
    "deletion-protection": others.deletion_protection,
    "rds-master-user-secret": others.master_user_secret,
    "waf-association": others.association,
    "waf-logging": others.logging,
    "schedules": others.schedules,
    "trust-stores": elbv2.trust_stores,
    "vpc-origins": others.vpc_origins,
    "given-secrets": standins.given_secrets,
    "codepipeline": others.pipeline,
    "codeconnections": others.connection,
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


_OPERATIONS: Final = ("create", "update", "delete")
_REQUIRED: Final = {"stack", "resource", "operation", "message"}


def inject_faults(path: Path) -> None:
    """Delays and failures on purpose, from a JSON file that is read again at every resource:

        {"delay_s": 0.03,
         "fail": [{"stack": "-Service-", "resource": "Service", "operation": "update",
                   "message": "Unable to place a task", "times": 1}]}

    `delay_s` is waited before every resource is created, changed or deleted (nested stacks are not: their own resources
    are). `stack` is searched in the stack's name, `resource` must match the whole logical id; both are regular
    expressions. `operation` is create, update or delete. Without `times` a rule fails for ever, also during the
    rollback; with it, that often since the file was last written. No file means no faults.
    """
    plan = _Plan(path)
    create, update, delete = stacks._provision_resource, stacks._update_resource, stacks._delete_resource

    def create_or_fail(resource_type: str, logical_id: str, properties: Any, stack_name: str) -> Any:
        plan.meet(stack_name, logical_id, resource_type, "create")
        return create(resource_type, logical_id, properties, stack_name)

    def update_or_fail(
        resource_type: str, physical_id: str, old: Any, new: Any, stack_name: str, logical_id: str = "", *rest: Any
    ) -> Any:
        if old != new:
            plan.meet(stack_name, logical_id, resource_type, "update")
        return update(resource_type, physical_id, old, new, stack_name, logical_id, *rest)

    def delete_or_fail(
        resource_type: str, physical_id: str, properties: Any, stack_name: str = "", logical_id: str = ""
    ) -> Any:
        plan.meet(stack_name, logical_id, resource_type, "delete")
        return delete(resource_type, physical_id, properties, stack_name, logical_id)

    stacks._provision_resource = create_or_fail
    stacks._update_resource = update_or_fail
    stacks._delete_resource = delete_or_fail
    # A delay on the event loop would stop the whole server.
    stacks._runs_on_worker_thread = lambda resource_type: True


class _Plan:
    """The file's content, and how often each rule has failed since the file was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: int | None = None
        self._spent: Counter[int] = Counter()

    def meet(self, stack: str, resource: str, resource_type: str, operation: str) -> None:
        """Wait, and raise ValueError (which fails the resource) when a rule says so."""
        plan = self._read()
        if resource_type != NESTED:
            time.sleep(plan.get("delay_s", 0))
        for number, rule in enumerate(plan.get("fail", [])):
            if (
                rule["operation"] == operation
                and re.fullmatch(rule["resource"], resource)
                and re.search(rule["stack"], stack)
                and self._spent[number] < rule.get("times", float("inf"))
            ):
                self._spent[number] += 1
                raise ValueError(rule["message"])

    def _read(self) -> dict[str, Any]:
        try:
            written = self._path.stat().st_mtime_ns
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        if written != self._written:
            self._written = written
            self._spent.clear()
        try:
            plan = json.loads(text)
            _check(plan)
        except ValueError as error:
            raise ValueError(f"The faults file {self._path} is refused: {error}") from None
        return plan  # type: ignore[no-any-return]


def _check(plan: Any) -> None:
    if not isinstance(plan, dict) or plan.keys() - {"delay_s", "fail"}:
        raise ValueError('expected an object with "delay_s" and "fail"')
    if not isinstance(plan.get("delay_s", 0), (int, float)) or plan.get("delay_s", 0) < 0:
        raise ValueError('"delay_s" must be a number of seconds, 0 or more')
    for rule in plan.get("fail", []):
        if not _REQUIRED <= rule.keys() <= _REQUIRED | {"times"}:
            raise ValueError(f"a rule has the keys {sorted(_REQUIRED)} and perhaps times, got {sorted(rule)}")
        if rule["operation"] not in _OPERATIONS:
            raise ValueError(f"operation must be one of {_OPERATIONS}, got {rule['operation']!r}")
