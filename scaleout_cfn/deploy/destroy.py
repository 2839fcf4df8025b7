"""Take a stack down: stock first, then drain, empty what was named, delete, and list what is retained.

Every step may be done again: a run that was broken off is finished by the same command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaleout_cfn.deploy.apply import Operation
from scaleout_cfn.deploy.aws import Aws
from scaleout_cfn.deploy.ecs import rollout
from scaleout_cfn.deploy.events import Event
from scaleout_cfn.deploy.follow import StoppedWaiting
from scaleout_cfn.deploy.live import NESTED, Live, Resource, find, inventory, template_body
from scaleout_cfn.deploy.messages import Fact, Note, Outcome, Tell
from scaleout_cfn.deploy.outcome import concluded
from scaleout_cfn.deploy.plan import is_stateful
from scaleout_cfn.deploy.recover import pick
from scaleout_cfn.deploy.watch import Patience, begin, unsure, watch
from scaleout_cfn.errors import AccessError, ApiError, BusyError, DeployError, RefusedError, ScaleoutError, UsageError

__all__ = ["Item", "Stock", "destroy", "stock", "take_stock"]

BUCKET = "AWS::S3::Bucket"
REPOSITORY = "AWS::ECR::Repository"
LOGS = "AWS::Logs::LogGroup"
GROUP = "AWS::AutoScaling::AutoScalingGroup"
SERVICE = "AWS::ECS::Service"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
#: What can be emptied without being deleted.
EMPTIED = (BUCKET, REPOSITORY)
#: DeleteStack takes these. An update has to be cancelled first.
DELETABLE = ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "REVIEW_IN_PROGRESS")
#: Neither a policy nor a schedule starts tasks again.
SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
BEGUN = "the service may be drained, and what was named may be emptied"
#: S3 and ECR delete so many at a time, SetInstanceProtection takes so many instances.
BATCH = {BUCKET: 1000, REPOSITORY: 100, GROUP: 50}


@dataclass(frozen=True)
class Item:
    """A resource of the stock. `policy` is its DeletionPolicy; `holds` what is in it, in words, empty for nothing."""

    resource: Resource
    policy: str = "Delete"
    holds: str = ""

    @property
    def kept(self) -> bool:
        """Whether it outlives the stack, or a snapshot of it does."""
        return self.policy != "Delete"

    @property
    def consent(self) -> bool:
        """Whether it goes with data in it, so that somebody has to agree by its name."""
        return bool(self.holds) and not self.kept


@dataclass(frozen=True)
class Stock:
    """All that a stack and those nested in it hold."""

    items: tuple[Item, ...]

    @property
    def retained(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.kept)

    @property
    def lost(self) -> tuple[Item, ...]:
        """What goes with data in it."""
        return tuple(item for item in self.items if item.consent)

    def of(self, kind: str) -> list[Resource]:
        return [item.resource for item in self.items if item.resource.type == kind and item.resource.physical_id]

    def message(self, stack: str) -> Fact:
        """The stock as it is told."""
        gone = [item for item in self.items if not item.kept and item.resource.type != NESTED]
        kinds = Counter(item.resource.type for item in gone)
        lines = [f"{stack} holds {len(gone)} resources to delete, and {len(self.retained)} that are retained"]
        lines += [f"  - {count:>3} {kind}" for kind, count in sorted(kinds.items())]
        lines += [f"  = {_place(item)}  {item.holds or 'empty, or unknown'}  {_policy(item)}" for item in self.retained]
        lines += [f"  ! {_place(item)}  holds {item.holds}  DELETED WITH IT" for item in self.lost]
        return Fact(
            "stock",
            tuple(lines),
            {
                "deleted": [{"path": item.resource.path, "type": item.resource.type} for item in gone],
                "retained": [_data(item) for item in self.retained],
                "lost": [_data(item) for item in self.lost],
            },
        )


def _place(item: Item) -> str:
    return f"{item.resource.path}  {item.resource.type}  {item.resource.physical_id}"


def _policy(item: Item) -> str:
    return "A SNAPSHOT IS KEPT" if item.policy == "Snapshot" else "RETAINED"


def _data(item: Item) -> dict[str, str]:
    one = item.resource
    return {"path": one.path, "type": one.type, "physical_id": one.physical_id, "holds": item.holds}


def stock(resources: Iterable[Resource], templates: Mapping[str, Mapping[str, Any]], held: Mapping[str, str]) -> Stock:
    """The stock, of the resources, the template of each stack by its ARN, and what is in each resource by its path.

    A resource that its template does not name goes with the stack, and so does all of a template that could not be
    read: nothing is taken for safe that may not be.
    """
    items = []
    for one in resources:
        declared = templates.get(one.stack_id, {}).get("Resources", {}).get(one.path.rpartition("/")[2], {})
        policy = str(declared.get("DeletionPolicy", "Delete")) if isinstance(declared, Mapping) else "Delete"
        items.append(Item(one, policy, held.get(one.path, "")))
    return Stock(tuple(items))


def held_back(taken: Stock, named: Collection[str], *, partly: bool = False) -> list[Item]:
    """What goes with data in it and was not named.

    Raises UsageError for a name that means nothing: consent to a slip of the pen is no consent. `partly`: an earlier
    run deleted some of the stack, so that a name may be of what is gone.
    """
    by_path = {item.resource.path: item for item in taken.items}
    able = [path for path, item in by_path.items() if _can_be_named(item)]
    for path in named:
        item = by_path.get(path)
        if path in able or (item is None and partly):
            continue
        if item is None:
            what = "is not in the stack"
        else:
            what = f"is {item.resource.type}, " + ("retained as it is" if item.kept else "which holds no data")
        raise UsageError(f"--empty {path}: {what}; give one of: {', '.join(able) or 'none, so leave it out'}")
    return [item for item in taken.lost if item.resource.path not in named]


def _can_be_named(item: Item) -> bool:
    return item.resource.type in EMPTIED or (is_stateful(item.resource.type) and not item.kept)


def take_stock(aws: Aws, live: Live, tell: Tell) -> Stock:
    """Read what a stack holds. What cannot be looked into counts as full."""
    resources = list(inventory(aws, live.stack_id))
    templates = {stack_id: _template(aws, stack_id, tell) for stack_id in {one.stack_id for one in resources}}
    held = {one.path: found for one in resources if is_stateful(one.type) and (found := _held(aws, one))}
    return stock(resources, templates, held)


def _template(aws: Aws, stack_id: str, tell: Tell) -> Mapping[str, Any]:
    try:
        return template_body(aws, stack_id)
    except ScaleoutError as error:
        tell(Note(f"template of {stack_id.split('/')[1]} not read, all in it counts as deleted: {error}", "warning"))
        return {}


def _held(aws: Aws, one: Resource) -> str:
    """What is in a resource, in words; empty when nothing is."""
    if not one.physical_id:
        return ""
    try:
        if one.type == BUCKET:
            page = aws.read("s3", "list_object_versions", Bucket=one.physical_id, MaxKeys=BATCH[BUCKET])
            count = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
            return f"{'more than ' if page.get('IsTruncated') else ''}{count} object versions" if count else ""
        if one.type == REPOSITORY:
            count = len(_images(aws, one.physical_id))
            return f"{count} images" if count else ""
        if one.type == LOGS:
            groups = aws.read("logs", "describe_log_groups", logGroupNamePrefix=one.physical_id)["logGroups"]
            size = next(
                (group.get("storedBytes", 0) for group in groups if group["logGroupName"] == one.physical_id), 0
            )
            return f"{size} bytes of logs" if size else ""
    except ApiError as error:
        if error.kind == "missing":
            return ""
        return f"what could not be looked at ({error.code})"
    except AccessError as error:
        if error.kind == "expired":
            raise
        return "what we may not look at"
    return "data"


def _images(aws: Aws, repository: str) -> list[str]:
    """The digests in a repository: an image of two tags is listed twice."""
    pages = aws.pages("ecr", "list_images", repositoryName=repository)
    return list(dict.fromkeys(one["imageDigest"] for page in pages for one in page.get("imageIds", [])))


def destroy(
    aws: Aws,
    stack: str,
    empty: Sequence[str],
    tell: Tell,
    confirm: Callable[[str], bool],
    patience: Patience,
    role_arn: str = "",
) -> Outcome:
    """Take a stack down. Finishes what an earlier run began; does nothing where there is no stack.

    `empty` are logical paths: consent that what is in these resources is lost. Raises DeployError or UsageError where
    nothing was changed.
    """
    live = find(aws, stack)
    if live is None or live.status == "DELETE_COMPLETE":
        return Outcome("no_change", 0, f"{stack}: there is no such stack, so there is nothing to do")
    if live.status == "DELETE_IN_PROGRESS":
        return watch(aws, Operation(live.stack_id, ""), stack, tell, _concluded(stack, Stock(())), patience)
    _deletable(live)
    taken = take_stock(aws, live, tell)
    tell(taken.message(stack))
    if held := held_back(taken, empty, partly=live.status == "DELETE_FAILED"):
        raise RefusedError(
            "; ".join(f"{item.resource.path} holds {item.holds} and would be deleted" for item in held),
            state="nothing was changed",
            next_command="the same command again, with" + "".join(f" --empty {item.resource.path}" for item in held),
        )
    sentence = f"{stack} is taken down" + (f", and {', '.join(empty)} emptied" if empty else "")
    if not confirm(sentence):
        raise RefusedError("not confirmed", state="nothing was changed", next_command="the same command, with --yes")
    try:
        _drain(aws, taken, tell, patience)
        _unprotect(aws, taken, tell)
        for item in taken.items:
            if item.resource.path in empty:
                _empty(aws, item.resource, tell)
        operation = begin(aws, live, "destroy", "delete_stack", **({"RoleARN": role_arn} if role_arn else {}))
    except KeyboardInterrupt as stop:
        return unsure(aws, live, stack, stop, BEGUN)
    except DeployError as error:
        error.state = error.state or f"{BEGUN}; the stack is not deleted"
        error.next_command = error.next_command or "the same command again: it goes on"
        raise
    return watch(aws, operation, stack, tell, _concluded(stack, taken), patience)


def _deletable(live: Live) -> None:
    if live.protected:
        raise RefusedError(
            f"stack {live.name}: termination protection is on, and is never switched off for you",
            state="nothing was changed",
            next_command="aws cloudformation update-termination-protection --no-enable-termination-protection"
            f" --stack-name {live.name}",
        )
    if live.meaning.end == "running" and live.status not in DELETABLE:
        raise BusyError(
            f"stack {live.name} is {live.status}, and CloudFormation deletes no stack that is at work",
            state="nothing was changed by this run",
            next_command=pick(live.status).next_command or "scaleout-cfn events --follow, then the same command again",
        )


def _drain(aws: Aws, taken: Stock, tell: Tell, patience: Patience) -> None:
    """No tasks: bounds of zero first, or scaling would start them again; then wait until they have ended."""
    for target in taken.of(TARGET):
        resource_id, dimension, namespace = target.physical_id.split("|")
        if namespace == "ecs":
            # A put of the whole target: to repeat it is safe, and it takes no token. So it is below.
            _step(
                aws,
                tell,
                f"{target.path}: no tasks, and no scaling",
                "application-autoscaling",
                "register_scalable_target",
                {
                    "ServiceNamespace": namespace,
                    "ResourceId": resource_id,
                    "ScalableDimension": dimension,
                    "MinCapacity": 0,
                    "MaxCapacity": 0,
                    "SuspendedState": SUSPENDED,
                },
            )
    services = [one for one in taken.of(SERVICE) if one.physical_id.startswith("arn:")]
    asked = [
        one
        for one in services
        if _step(
            aws,
            tell,
            f"{one.path}: desired count 0",
            "ecs",
            "update_service",
            {"cluster": one.physical_id.split("/")[-2], "service": one.physical_id, "desiredCount": 0},
        )
    ]
    end = None if patience.wait_s is None else aws.pace.clock() + patience.wait_s
    for one in asked:
        while running := _running(aws, one, tell):
            if end is not None and aws.pace.clock() >= end:
                raise StoppedWaiting(
                    f"stopped waiting: {running} tasks of {one.path} are still ending",
                    state="the service is drained, and nothing is deleted yet",
                    next_command="the same command again: it goes on",
                )
            aws.pace.wait()


def _running(aws: Aws, service: Resource, tell: Tell) -> int:
    """How many tasks a service still has. One that cannot be asked has none: CloudFormation drains it as well."""
    try:
        answer = aws.read(
            "ecs", "describe_services", cluster=service.physical_id.split("/")[-2], services=[service.physical_id]
        )
        running = sum(one.get("runningCount", 0) + one.get("pendingCount", 0) for one in answer.get("services", []))
        if running and (found := rollout(aws, service.physical_id)):
            tell(found)
        return int(running)
    except (ApiError, AccessError) as error:
        tell(Note(f"{service.path}: not known whether its tasks have ended: {error}", "warning"))
        return 0


def _unprotect(aws: Aws, taken: Stock, tell: Tell) -> None:
    """Instances that are protected from scale-in outlive the deletion of their group, which then fails.

    https://github.com/aws/containers-roadmap/issues/631
    """
    for group in taken.of(GROUP):
        try:
            answer = aws.read("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group.physical_id])
        except (ApiError, AccessError) as error:
            tell(Note(f"{group.path}: not known whether instances are protected: {error}", "warning"))
            continue
        for one in answer["AutoScalingGroups"]:
            if one.get("NewInstancesProtectedFromScaleIn"):
                what = f"{group.path}: new instances are not protected"
                _step(
                    aws,
                    tell,
                    what,
                    "autoscaling",
                    "update_auto_scaling_group",
                    {"AutoScalingGroupName": group.physical_id, "NewInstancesProtectedFromScaleIn": False},
                )
            guarded = [each["InstanceId"] for each in one.get("Instances", []) if each.get("ProtectedFromScaleIn")]
            for batch in _batches(guarded, BATCH[GROUP]):
                _step(
                    aws,
                    tell,
                    f"{group.path}: {len(batch)} instances are no longer protected from scale-in",
                    "autoscaling",
                    "set_instance_protection",
                    {
                        "AutoScalingGroupName": group.physical_id,
                        "InstanceIds": batch,
                        "ProtectedFromScaleIn": False,
                    },
                )


def _step(aws: Aws, tell: Tell, what: str, client: str, operation: str, arguments: Mapping[str, Any]) -> bool:
    """One step that makes the deletion smooth. One that fails is told and does not stop it: CloudFormation may do
    without, and says so if not."""
    try:
        aws.write(client, operation, **arguments)
    except AccessError as error:
        if error.kind == "expired":
            raise
        tell(Note(f"not done, {what}: {error}", "warning"))
        return False
    except ApiError as error:
        if error.kind != "missing":  # it went with an earlier run
            tell(Note(f"not done, {what}: {error}", "warning"))
        return False
    tell(Note(what))
    return True


def _empty(aws: Aws, one: Resource, tell: Tell) -> None:
    """Delete what is in a bucket or repository; anything else goes with its resource."""
    count = 0
    try:
        if one.type == BUCKET:
            count = _empty_bucket(aws, one.physical_id)
        elif one.type == REPOSITORY:
            count = _empty_repository(aws, one.physical_id)
        else:
            return
    except ApiError as error:
        if error.kind != "missing":
            raise
    tell(Note(f"{one.path}: emptied, {count} {'object versions' if one.type == BUCKET else 'images'}"))


def _empty_repository(aws: Aws, repository: str) -> int:
    """An image of several platforms goes before those that it names, so that some are left for a second round."""
    count = 0
    while digests := _images(aws, repository):
        failures = []
        for batch in _batches(digests, BATCH[REPOSITORY]):
            ids = [{"imageDigest": digest} for digest in batch]
            answer = _idempotent(aws, "ecr", "batch_delete_image", repositoryName=repository, imageIds=ids)
            failures += answer.get("failures", [])
        if len(failures) >= len(digests):
            first = failures[0]
            raise ApiError("batch_delete_image", "refused", first["failureCode"], first.get("failureReason", ""))
        count += len(digests) - len(failures)
    return count


def _empty_bucket(aws: Aws, bucket: str) -> int:
    count = 0
    while True:
        page = aws.read("s3", "list_object_versions", Bucket=bucket, MaxKeys=BATCH[BUCKET])
        found = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if not found:
            return count
        answer = _idempotent(aws, "s3", "delete_objects", Bucket=bucket, Delete={"Objects": found, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise ApiError("delete_objects", "refused", first["Code"], f"{first['Key']}: {first['Message']}")
        count += len(found)


def _idempotent(aws: Aws, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """A deletion by name, which takes no token: to repeat it after an unclear answer deletes nothing else."""
    return aws.read(service, operation, **arguments)


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _concluded(stack: str, taken: Stock) -> Callable[[Live | None, Sequence[Event]], Outcome]:
    def conclude(live: Live | None, events: Sequence[Event]) -> Outcome:
        if live is not None and live.status != "DELETE_COMPLETE":
            return _failed(concluded(live, stack, events), taken)
        # CloudFormation says what it left; the stock knows what lies in stacks whose events were not read.
        skipped = {event.path: event.physical_id for event in events if event.status == "DELETE_SKIPPED"}
        left = {item.resource.path: item.resource.physical_id for item in taken.retained} | skipped
        what = f"{stack}: deleted" + (f"; {len(left)} retained" if left else ", and nothing is left of it")
        kept = "; ".join(f"{path} {physical_id}" for path, physical_id in left.items())
        return Outcome(
            "destroyed",
            0,
            what,
            "DELETE_COMPLETE",
            live.stack_id if live else "",
            reason=f"retained: {kept}" if left else "",
            outputs={},
        )

    return conclude


def _failed(outcome: Outcome, taken: Stock) -> Outcome:
    """A deletion that failed, with the command that gets past what stopped it, where one does."""
    cause = outcome.cause
    blocker = next((item for item in taken.items if cause and item.resource.path == cause.path), None)
    if blocker is not None and blocker.resource.type in EMPTIED:
        return replace(outcome, next_command=f"scaleout-cfn destroy --empty {blocker.resource.path}")
    return replace(outcome, next_command="put right what the cause says, then scaleout-cfn destroy again")
