"""The first cause of a failure, at any later time: nested events, and what ECS, the logs and the balancer still know.

What the events say is the diagnosis. All else is evidence, read as far as it can be: what may not be read, or is
gone, is told and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scaleout_cfn.aws import title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.changes.changeset import hook_words
from scaleout_cfn.deploy.live import Live, require
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.deploy.services.evidence import rows_of, tell_evidence
from scaleout_cfn.deploy.states import meaning
from scaleout_cfn.deploy.watch.events import Event, History, first_cause, refusing_hooks
from scaleout_cfn.errors import AccessError, ApiError, Next

#: How far back operations are looked at for one that failed.
MOST_OPERATIONS = 20


@dataclass(frozen=True)
class PastOperation:
    """One operation of the root: its raw events, newest first, and when the next one began."""

    events: tuple[Mapping[str, Any], ...]
    until: datetime | None = None

    @property
    def failed(self) -> bool:
        """Whether anything in it failed or was rolled back."""
        statuses = [str(event.get("ResourceStatus", "")) for event in self.events]
        return any(status.endswith("_FAILED") or "ROLLBACK" in status for status in statuses)


def past_operations(pages: Iterable[Mapping[str, Any]]) -> Iterator[PastOperation]:
    """The operations of a root stack, newest first, of pages of its events, newest first. Reads no more than needed.

    A rollback belongs to the operation that it takes back.
    """
    events: list[Mapping[str, Any]] = []
    until: datetime | None = None
    for page in pages:
        for raw in page.get("StackEvents", []):
            events.append(raw)
            own = raw.get("PhysicalResourceId") == raw["StackId"]
            if own and meaning(raw.get("ResourceStatus", "")).begins == "operation":
                yield PastOperation(tuple(events), until)
                until = raw["Timestamp"]
                events = []
    if events:  # AWS forgets events after 90 days
        yield PastOperation(tuple(events), until)


def newest_failure(pages: Iterable[Mapping[str, Any]]) -> tuple[PastOperation | None, int]:
    """The newest operation in which something failed, and how many have gone well since."""
    for number, past in enumerate(past_operations(pages)):
        if past.failed:
            return past, number
        if number + 1 >= MOST_OPERATIONS:
            break
    return None, 0


def diagnose(aws: Aws, stack: str, tell: Tell, *, service: str = "") -> Outcome:
    """Say what failed first and why, of the newest operation in which anything did. Changes nothing.

    What ECS, the logs and the load balancer know is told of all services, or of one. Raises UsageError when there is no
    such stack or service; one that is deleted is found by its ARN.
    """
    live = require(aws, stack)
    # The events are what was asked for: not to be allowed to read them is an error.
    pages = aws.pages("cloudformation", "describe_stack_events", StackName=live.stack_id)
    past, since = newest_failure(pages)
    events = _read(aws, live, past, tell) if past else []
    rows = rows_of(aws, live, events, tell, service)
    cause = first_cause(events)
    if cause is not None:
        hooks = {hook.type: hook_words(aws, hook.id, hook.reason) for hook in refusing_hooks(events, cause)}
        tell(_headline(cause, events, since, hooks))
    running = since == 0 and live.meaning.end == "running"
    reasons = tell_evidence(aws, rows, tell, service=service)
    # What ECS says comes first: CloudFormation's reason is often only that it waited in vain.
    said = [*reasons, *([(service_in(cause.path), cause.reason)] if cause else [])]
    cure = next((words for name, reason in said if (words := hint(reason, name))), "")
    if cure:
        tell(Fact("hint", (f"hint: {cure}",), {"text": cure}))
    if cause is None:
        what = "an operation is at work, and nothing has failed so far" if running else "nothing has failed"
        return Outcome("healthy", f"{live.name}: {what}", live.status, live.stack_id, reason=live.reason)
    ago = f", {since} operation{'s' if since > 1 else ''} ago; it went well since" if since else ""
    return Outcome(
        "diagnosed",
        f"{live.name}: {cause.path or 'the root'} failed first{ago}",
        live.status,
        live.stack_id,
        cause=cause,
        reason=cause.reason or live.reason,
        next=None if since else _after_diagnosis(live),
    )


def _after_diagnosis(live: Live) -> Next | None:
    """What leads on, but for what has just been done."""
    following = live.meaning.next
    if following and following.verb == "diagnose":
        return Next("deploy", words="once what the cause says is put right")
    return following


def _read(aws: Aws, live: Live, past: PastOperation, tell: Tell) -> list[Event]:
    """All events of an operation: those of the root, and of every stack nested in it, up to the next operation."""
    history = History(live.stack_id)
    # The oldest event begins the operation, or it has been forgotten: then what is left begins it.
    history.begun = past.events[-1]["Timestamp"]
    history.take(live.stack_id, [{"StackEvents": past.events}])
    read = {live.stack_id}
    while waiting := [stack_id for stack_id in history.active if stack_id not in read]:
        for stack_id in waiting:
            read.add(stack_id)
            pages = aws.pages("cloudformation", "describe_stack_events", StackName=stack_id)
            try:
                history.take(stack_id, _before(pages, past.until))
            except (ApiError, AccessError) as error:
                tell(Note(f"events of {title_in(stack_id)} not read: {error}", "warning"))
    return sorted(history.events, key=lambda event: event.time)


def _before(pages: Iterable[Mapping[str, Any]], until: datetime | None) -> Iterator[Mapping[str, Any]]:
    for page in pages:
        yield {"StackEvents": [raw for raw in page["StackEvents"] if until is None or raw["Timestamp"] < until]}


def _headline(cause: Event, events: Sequence[Event], since: int, hooks: Mapping[str, Sequence[str]]) -> Fact:
    failed = [event for event in events if event.failed and event is not cause]
    lines = [
        f"first cause  {cause.path or 'the root'}  {cause.type}  {cause.status}  {cause.time:%Y-%m-%d %H:%M:%SZ}",
        f"  {cause.reason or 'CloudFormation gives no reason'}",
    ]
    lines += [f"  hook {kind}: {line}" for kind, words in hooks.items() for line in words]
    if failed:
        paths = list(dict.fromkeys(event.path or "the root" for event in failed))
        more = f" and {len(paths) - 8} more" if len(paths) > 8 else ""
        lines.append(f"  after it failed: {', '.join(paths[:8])}{more}")
    data = {
        "path": cause.path,
        "resource_type": cause.type,
        "status": cause.status,
        "reason": cause.reason,
        "time": cause.time.isoformat(),
        "physical_id": cause.physical_id,
        "operations_since": since,
        "hooks": {kind: list(words) for kind, words in hooks.items()},
        "consequences": list(dict.fromkeys(event.path for event in failed)),
    }
    return Fact("cause", tuple(lines), data)


#: What is known of messages of AWS: a pattern, and what to do.
HINTS = (
    (
        r"CannotPull(Container|Image)|pull image|manifest unknown|not found: manifest",
        "the image is not there, or may not be pulled: check its tag or digest, the repository's region, and "
        "the way out of the nodes",
    ),
    (
        r"exec format error|no matching manifest|does not match the (specified )?platform",
        "the image is built for another CPU than the nodes have: build it for both, or for that of the pool, "
        "capacity.NAME.architecture",
    ),
    (
        r"OutOfMemory|OOM|exit(ed with)?( code)?:? ?137",
        "the container used more memory than it may: raise services.NAME.memory_mib, or make the application use less",
    ),
    (
        r"unable to place a task|MemberOf placement constraint|RESOURCE:(CPU|MEMORY|PORTS|ENI)",
        "no node has room: raise max_nodes of the pool [capacity.NAME], take larger instance_types, or smaller tasks",
    ),
    (
        r"No Container Instances were found|no container instances met",
        "no node has joined the cluster: look at the Auto Scaling group's activities and the nodes' way out to ECS",
    ),
    (
        r"ResourceInitializationError|unable to (pull|retrieve|fetch) secret|secrets manager|ssm parameter",
        "a secret could not be read before the start: check its ARN and region, and that the execution role "
        "may read it",
    ),
    (
        r"[Hh]ealth checks? failed|failed [A-Za-z ]*health checks|Target\.(Failed|Response|Timeout)",
        "the application does not answer the health check: check services.NAME.health_check.path, the "
        "port, and how long it takes to start (services.NAME.deployment.health_check_grace_s)",
    ),
    (
        r"[Ee]ssential container",
        "the application ended by itself: its last log lines say why",
    ),
    (
        r"circuit breaker",
        "tasks of the new version failed again and again: why they stopped is what counts",
    ),
    (
        r"service.linked role",
        "this account is new to the service: set cluster.create_service_linked_role to true once",
    ),
    (
        r"LimitExceeded|quota|maximum number of|limit has been (reached|exceeded)",
        "a quota is used up: ask for more in Service Quotas, or delete what is not needed",
    ),
    (
        r"not authorized|AccessDenied|is not allowed|UnauthorizedOperation",
        "a permission is missing: the command `policies` prints what CloudFormation's role needs",
    ),
    (
        r"already exists",
        "something of that name is there already: rename it, import it, or delete the old one",
    ),
    (
        r"not empty|contains images",
        "it still holds data: `destroy` empties it, given --empty and its path",
    ),
    (
        r"did not stabilize|failed to stabilize|Exceeded attempts to wait",
        "CloudFormation waited in vain; the reason is with the service itself: its events, tasks and targets",
    ),
    (
        r"Received \d+ (FAILURE|SUCCESS) signal|Failed to receive \d+ resource signal",
        "nodes did not report in time: see /var/log/cloud-init-output.log on one of them",
    ),
)


def hint(text: str, service: str = "NAME") -> str:
    """What to do about a message of AWS, with the keys of the service; empty where nothing is known."""
    cure = next((cure for pattern, cure in HINTS if re.search(pattern, text)), "")
    # What is no service of a set of ours is called by its path, in capital letters.
    return cure.replace("services.NAME", f"services.{service}") if service.islower() else cure
