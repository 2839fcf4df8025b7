"""What ran before: the deployments of a service, the image of each, how long it served, and why it ended. Reads only.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-revision.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from scaleout_cfn.aws import name_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.messages import Fact, Outcome, Tell, span
from scaleout_cfn.deploy.services.rollout import DEPLOYMENTS, ended_by
from scaleout_cfn.deploy.services.service import LiveService, own_image, revisions_of
from scaleout_cfn.errors import Next

#: What is shown of each service, the newest: as many as one call of each kind describes.
MOST = 20


@dataclass(frozen=True)
class Past:
    """A deployment of a service. `since` is when its version began to serve alone and `until` when another did; both
    None where it never did. `image` and `digest` are those of the service's own container, where ECS still knows, and
    `ended_by` is what gave it up."""

    name: str
    state: str
    begun: datetime | None
    ended: datetime | None
    definition: str
    image: str
    digest: str
    revision: str
    reason: str
    strategy: str = ""
    ended_by: str = ""
    since: datetime | None = None
    until: datetime | None = None


def history_of(aws: Aws, service: LiveService) -> tuple[list[Past], int]:
    """The newest deployments of a service, the newest first, and how many ECS lists."""
    listed: list[Mapping[str, Any]] = []
    for page in aws.pages("ecs", "list_service_deployments", cluster=service.cluster, service=service.arn):
        listed += page.get("serviceDeployments", [])
    if not listed:
        return [], 0
    newest = sorted(listed, key=lambda raw: str(raw.get("createdAt", "")), reverse=True)[:MOST]
    arns = [raw["serviceDeploymentArn"] for raw in newest]
    answer = aws.read("ecs", "describe_service_deployments", serviceDeploymentArns=arns)
    described = {raw["serviceDeploymentArn"]: raw for raw in answer.get("serviceDeployments", [])}
    shown = [{**raw, **described.get(raw["serviceDeploymentArn"], {})} for raw in newest]
    revisions = revisions_of(aws, map(_target, shown))
    return _with_spans([_past(service, raw, revisions) for raw in shown]), len(listed)


def _target(raw: Mapping[str, Any]) -> str:
    return str(raw.get("targetServiceRevision", {}).get("arn") or raw.get("targetServiceRevisionArn", ""))


def _past(service: LiveService, raw: Mapping[str, Any], revisions: Mapping[str, Mapping[str, Any]]) -> Past:
    revision = revisions.get(_target(raw), {})
    own = own_image(revision, service.name)
    return Past(
        name=service.name,
        state=raw.get("status", ""),
        begun=raw.get("startedAt") or raw.get("createdAt"),
        ended=raw.get("finishedAt") or raw.get("stoppedAt"),
        definition=name_in(revision.get("taskDefinition", "")),
        image=own.get("image", ""),
        digest=own.get("imageDigest", ""),
        revision=_target(raw),
        reason=raw.get("rollback", {}).get("reason") or raw.get("statusReason", ""),
        strategy=raw.get("deploymentConfiguration", {}).get("strategy", ""),
        ended_by=ended_by(raw),
    )


def _with_spans(pasts: list[Past]) -> list[Past]:
    """Deployments, the newest first, each with the time that its version served: until the next one that went well."""
    until: datetime | None = None
    spanned = []
    for past in pasts:
        if DEPLOYMENTS.get(past.state) == "done" and past.ended:
            spanned.append(Past(**{**vars(past), "since": past.ended, "until": until}))
            until = past.ended
        else:
            spanned.append(past)
    return spanned


def tell_history(pasts: Mapping[str, tuple[list[Past], int]], now: datetime, tell: Tell) -> Outcome:
    """Tell what ran of each service, the newest first. `now` is for how long it has served."""
    counts = []
    for name, (shown, listed) in pasts.items():
        for past in shown:
            tell(Fact("deployment", tuple(_lines(past, now)), asdict(past), _level(past)))
        counts.append(f"{name} {len(shown)}" + (f" of {listed}" if listed > len(shown) else ""))
    newest = [shown[0] for shown, _ in pasts.values() if shown]
    failed = any(DEPLOYMENTS.get(past.state) == "failed" for past in newest)
    return Outcome(
        "done", f"deployments that ECS knows: {', '.join(counts)}", next=Next("diagnose") if failed else None
    )


def _level(past: Past) -> Literal["info", "warning"]:
    return "warning" if DEPLOYMENTS.get(past.state) == "failed" else "info"


def _lines(past: Past, now: datetime) -> Iterator[str]:
    begun = f"{past.begun:%Y-%m-%d %H:%M:%SZ}" if past.begun else "(not begun)"
    image = past.digest[:19] or name_in(past.image) or "(image forgotten)"
    how = f"{past.strategy}  " if past.strategy not in ("", "ROLLING") else ""
    yield f"{past.name}  {begun}  {past.definition or '(version forgotten)'}  {image}  {how}{_ended(past, now)}"
    if past.reason and past.since is None:
        yield f"  {past.reason}"


def _ended(past: Past, now: datetime) -> str:
    """Until when a version served, or why it did not."""
    if past.since and past.until:
        return f"served {span(past.since, past.until)}, until {past.until:%Y-%m-%d %H:%M:%SZ}, when the next one did"
    if past.since:
        return f"serves since {past.since:%Y-%m-%d %H:%M:%SZ}, {span(past.since, now)}"
    tried = f" after {span(past.begun, past.ended)}" if past.begun and past.ended else ""
    words = {"running": "being deployed", "failed": f"given up{tried}"}.get(DEPLOYMENTS.get(past.state, ""), "ended")
    return f"{past.state}, {words}" + (f", by {past.ended_by}" if past.ended_by else "")
