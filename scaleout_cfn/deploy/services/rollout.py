"""Whether ECS runs what the stack says. CloudFormation can be content while ECS went back to the old version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.aws.names import SERVICE, cluster_in, name_in
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Note, Rollout, Tell
from scaleout_cfn.errors import AccessError, ApiError

__all__ = ["DEPLOYMENTS", "Declared", "health_of", "rollout", "services_in", "verify"]

Verdict: TypeAlias = Literal["running", "done", "failed"]

DEPLOYMENTS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "PENDING": "running",
        "IN_PROGRESS": "running",
        "STOP_REQUESTED": "running",
        "ROLLBACK_REQUESTED": "running",
        "ROLLBACK_IN_PROGRESS": "running",
        "SUCCESSFUL": "done",
        "STOPPED": "failed",
        "ROLLBACK_SUCCESSFUL": "failed",
        "ROLLBACK_FAILED": "failed",
        # rolloutState of DescribeServices, where there are no service deployments to ask for
        "COMPLETED": "done",
        "FAILED": "failed",
    }
)


class Declared(NamedTuple):
    """A service as its stack has it: its name in the set, and the task definition beside it, empty where there is not
    exactly one."""

    name: str
    arn: str
    definition: str = ""


def services_in(resources: Iterable[Resource]) -> Iterator[Declared]:
    """The services among the resources of a set."""
    resources = list(resources)
    for service in resources:
        if service.is_made(SERVICE):
            definitions = [
                other.physical_id
                for other in resources
                if other.type == "AWS::ECS::TaskDefinition" and other.stack_id == service.stack_id
            ]
            definition = definitions[0] if len(definitions) == 1 else ""
            yield Declared(service_in(service.path), service.physical_id, definition)


def rollout(aws: Aws, name: str, service_arn: str) -> Rollout | None:
    """The newest deployment of a service, by what the set calls it and its ARN; None where there is no such service.

    Raises ApiError or AccessError.
    """
    place = {"cluster": cluster_in(service_arn), "service": service_arn}
    described = aws.once("ecs", "describe_services", cluster=place["cluster"], services=[service_arn])["services"]
    if not described:
        return None
    service = described[0]
    primary: dict[str, Any] = next((raw for raw in service["deployments"] if raw["status"] == "PRIMARY"), {})
    newest: dict[str, Any] = {}
    listed = aws.once("ecs", "list_service_deployments", **place).get("serviceDeployments", [])
    if listed:
        arn = max(listed, key=lambda raw: str(raw.get("createdAt", "")))["serviceDeploymentArn"]
        answer = aws.once("ecs", "describe_service_deployments", serviceDeploymentArns=[arn])
        newest = (answer.get("serviceDeployments") or [{}])[0]
    breaker = newest.get("deploymentCircuitBreaker", {})
    return Rollout(
        name=name,
        service=service_arn,
        state=newest.get("status") or primary.get("rolloutState", "IN_PROGRESS"),
        stage=newest.get("lifecycleStage", ""),
        running=primary.get("runningCount", 0),
        pending=primary.get("pendingCount", 0),
        desired=primary.get("desiredCount", 0),
        failed=breaker.get("failureCount", primary.get("failedTasks", 0)),
        threshold=breaker.get("threshold", 0),
        reason=newest.get("rollback", {}).get("reason")
        or newest.get("statusReason")
        or primary.get("rolloutStateReason", ""),
    )


def health_of(aws: Aws, group_arn: str, *words: str) -> Counter[str]:
    """Targets of a target group by their health: `State`, and whatever else it is to be told by."""
    answer = aws.read("elbv2", "describe_target_health", TargetGroupArn=group_arn)
    healths = (health["TargetHealth"] for health in answer["TargetHealthDescriptions"])
    return Counter(" ".join(health.get(word, "") for word in ("State", *words)).strip() for health in healths)


def verify(aws: Aws, services: Iterable[Declared], tell: Tell, *, end: float | None) -> str:
    """Why ECS does not run what the stack says; empty when it does, or when that cannot be read (which is told).

    Waits for deployments that are still going on, at most until the clock shows `end`.
    """
    reasons = ((service.name, _verify(aws, service, tell, end)) for service in services)
    return "; ".join(f"{name}: {reason}" for name, reason in reasons if reason)


def _verify(aws: Aws, service: Declared, tell: Tell, end: float | None) -> str:
    for _ in aws.pace.turns(end):
        try:
            newest = rollout(aws, service.name, service.arn)
            verdict = DEPLOYMENTS.get(newest.state) if newest else None
            runs = "" if verdict == "running" else _definition(aws, service.arn)
        except (ApiError, AccessError) as error:
            tell(Note(f"{service.name}: not verified that ECS runs the new version: {error}", "warning"))
            return ""
        if newest:
            tell(newest)
        if verdict == "running":
            continue
        if newest and verdict == "failed":
            return f"ECS {newest.state}: {newest.reason or 'no reason given'}"
        if service.definition and runs and runs != service.definition:
            return f"ECS runs {name_in(runs)}, the stack says {name_in(service.definition)}"
        return ""
    tell(Note(f"{service.name}: ECS is still at work on it; not waited for any longer", "warning"))
    return ""


def _definition(aws: Aws, service_arn: str) -> str:
    answer = aws.once("ecs", "describe_services", cluster=cluster_in(service_arn), services=[service_arn])
    return str(answer["services"][0]["taskDefinition"]) if answer["services"] else ""
