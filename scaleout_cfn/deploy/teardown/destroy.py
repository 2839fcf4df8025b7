"""Take a stack down: take stock, then drain, so that it does not hang, empty what was named, delete, and list what is
retained.

Every step may be done again: a run that was broken off is finished by the same command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from scaleout_cfn.aws import NESTED, SERVICE, cluster_in
from scaleout_cfn.aws.client import Aws, Patience
from scaleout_cfn.config.units import service_in
from scaleout_cfn.deploy.desired import require_ours
from scaleout_cfn.deploy.live import Live, Resource, find
from scaleout_cfn.deploy.messages import Note, Outcome, Tell
from scaleout_cfn.deploy.outcome import outcome_of
from scaleout_cfn.deploy.services.rollout import described, newest_of
from scaleout_cfn.deploy.states import WATCH
from scaleout_cfn.deploy.teardown.inventory import (
    BATCH,
    BUCKET,
    EMPTIED,
    REPOSITORY,
    Inventory,
    held_back,
    images_in,
    take_inventory,
)
from scaleout_cfn.deploy.watch.events import History, Operation, first_cause
from scaleout_cfn.deploy.watch.follow import StoppedWaiting, begin, follow, unsure, watch
from scaleout_cfn.errors import (
    AGAIN,
    AccessError,
    ApiError,
    BusyError,
    DeployError,
    NeedsHandError,
    Next,
    RefusedError,
    UsageError,
)

GROUP = "AWS::AutoScaling::AutoScalingGroup"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
#: Neither a policy nor a schedule starts tasks again.
SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
#: SetInstanceProtection takes so many instances.
INSTANCES = 50


def drain(aws: Aws, taken: Inventory, tell: Tell, patience: Patience) -> None:
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
                ServiceNamespace=namespace,
                ResourceId=resource_id,
                ScalableDimension=dimension,
                MinCapacity=0,
                MaxCapacity=0,
                SuspendedState=SUSPENDED,
            )
    services = [service for service in taken.of(SERVICE) if service.physical_id.startswith("arn:")]
    asked = [
        service
        for service in services
        if _step(
            aws,
            tell,
            f"{service.path}: desired count 0",
            "ecs",
            "update_service",
            cluster=cluster_in(service.physical_id),
            service=service.physical_id,
            desiredCount=0,
        )
    ]
    end = patience.end(aws.pace)
    for service in asked:
        for _ in aws.pace.turns(end):
            if not (running := _running(aws, service, tell)):
                break
        else:
            raise StoppedWaiting(
                f"stopped waiting: {running} tasks of {service.path} are still ending",
                state="the service is drained, and nothing is deleted yet",
                next=Next(AGAIN, words="it goes on"),
            )


def _running(aws: Aws, service: Resource, tell: Tell) -> int:
    """How many tasks a service still has. One that cannot be asked has none: CloudFormation drains it as well."""
    try:
        raw = described(aws.read, [service.physical_id]).get(service.physical_id, {})
        running = raw.get("runningCount", 0) + raw.get("pendingCount", 0)
        if running:
            tell(newest_of(aws, service_in(service.path), raw))
        return int(running)
    except (ApiError, AccessError) as error:
        tell(Note(f"{service.path}: not known whether its tasks have ended: {error}", "warning"))
        return 0


def release(aws: Aws, taken: Inventory, tell: Tell) -> None:
    """Instances that are protected from scale-in outlive the deletion of their group, which then fails.

    https://github.com/aws/containers-roadmap/issues/631
    """
    for group in taken.of(GROUP):
        try:
            answer = aws.read("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group.physical_id])
        except (ApiError, AccessError) as error:
            tell(Note(f"{group.path}: not known whether instances are protected: {error}", "warning"))
            continue
        for raw in answer["AutoScalingGroups"]:
            if raw.get("NewInstancesProtectedFromScaleIn"):
                what = f"{group.path}: new instances are not protected"
                _step(
                    aws,
                    tell,
                    what,
                    "autoscaling",
                    "update_auto_scaling_group",
                    AutoScalingGroupName=group.physical_id,
                    NewInstancesProtectedFromScaleIn=False,
                )
            guarded = [each["InstanceId"] for each in raw.get("Instances", []) if each.get("ProtectedFromScaleIn")]
            for batch in batches(guarded, INSTANCES):
                _step(
                    aws,
                    tell,
                    f"{group.path}: {len(batch)} instances are no longer protected from scale-in",
                    "autoscaling",
                    "set_instance_protection",
                    AutoScalingGroupName=group.physical_id,
                    InstanceIds=batch,
                    ProtectedFromScaleIn=False,
                )


def _step(aws: Aws, tell: Tell, what: str, client: str, operation: str, **arguments: Any) -> bool:
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


def delete_contents(aws: Aws, resource: Resource, tell: Tell) -> None:
    """Delete what is in a bucket or repository; anything else goes with its resource."""
    count = 0
    try:
        if resource.type == BUCKET:
            count = _empty_bucket(aws, resource.physical_id)
        elif resource.type == REPOSITORY:
            count = _empty_repository(aws, resource.physical_id)
        else:
            return
    except ApiError as error:
        if error.kind != "missing":
            raise
    tell(Note(f"{resource.path}: emptied, {count} {'object versions' if resource.type == BUCKET else 'images'}"))


def _empty_repository(aws: Aws, repository: str) -> int:
    """An image of several platforms goes before those that it names, so that some are left for a second round."""
    count = 0
    while digests := images_in(aws, repository):
        failures = []
        for batch in batches(digests, BATCH[REPOSITORY]):
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
        objects = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for version in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if not objects:
            return count
        answer = _idempotent(aws, "s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise ApiError("delete_objects", "refused", first["Code"], f"{first['Key']}: {first['Message']}")
        count += len(objects)


def _idempotent(aws: Aws, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """A deletion by name, which takes no token: to repeat it after an unclear answer deletes nothing else."""
    return aws.read(service, operation, **arguments)


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


BEGUN = "the service may be drained, and what was named may be emptied"


def destroy(
    aws: Aws,
    stack: str,
    empty: Sequence[str],
    tell: Tell,
    confirm: Callable[[str], bool],
    patience: Patience,
    role_arn: str = "",
    retain: Sequence[str] = (),
    *,
    environment: str = "",
    adopt: bool = False,
    rehearsal: bool = False,
) -> Outcome:
    """Take a stack down. Finishes what an earlier run began; does nothing where there is no stack.

    `empty` are logical paths: consent that what is in these resources is lost. `retain` are those of resources that
    could not be deleted, and are left behind. In a `rehearsal` nothing is worth a consent. Raises DeployError or
    UsageError where nothing was changed.
    """
    live = find(aws, stack)
    if live is None or live.status == "DELETE_COMPLETE":
        return Outcome("no_change", f"{stack}: there is no such stack, so there is nothing to do")
    if live.status == "DELETE_IN_PROGRESS":
        return watch(aws, Operation(live.stack_id, ""), stack, tell, _conclusion(stack, Inventory(())), patience)
    require_ours(aws, live, environment, adopt=adopt)
    _refuse_unless_deletable(live)
    taken = take_inventory(aws, live, tell)
    tell(taken.message(stack))
    left = _left(taken, retain, live, tell)
    if protected := [item for item in taken.items if item.protected and not item.kept]:
        raise RefusedError(
            "; ".join(f"{item.resource.path} is not to be deleted: {item.protected} is on" for item in protected),
            state="nothing was changed",
            next=Next("deploy", words="once the config or the template switches it off; then destroy"),
        )
    lost = held_back(taken, empty, partly=live.status == "DELETE_FAILED")
    if rehearsal:
        empty, lost = [*empty, *(item.resource.path for item in lost)], []
    if held := [item for item in lost if item.resource.path not in left]:
        raise RefusedError(
            "; ".join(f"{item.resource.path} holds {item.holds} and would be deleted" for item in held),
            state="nothing was changed",
            next=Next(AGAIN, tuple(word for item in held for word in ("--empty", item.resource.path))),
        )
    sentence = f"{stack} is taken down" + (f", and {', '.join(empty)} emptied" if empty else "")
    if not confirm(sentence + (f", and {', '.join(left)} left behind" if left else "")):
        raise RefusedError("not confirmed", state="nothing was changed", next=Next(AGAIN, ("--yes",)))
    role: dict[str, Any] = {"RoleARN": role_arn} if role_arn else {}
    try:
        drain(aws, taken, tell, patience)
        release(aws, taken, tell)
        for item in taken.items:
            if item.resource.path in empty:
                delete_contents(aws, item.resource, tell)
        own = [resource.path for resource in left.values() if resource.stack_id == live.stack_id]
        for nested in {resource.stack_id for resource in left.values()} - {live.stack_id}:
            titles = [resource.path.rpartition("/")[2] for resource in left.values() if resource.stack_id == nested]
            _delete_without(aws, nested, titles, tell, patience, role)
        operation = begin(aws, live, "destroy", "delete_stack", **({"RetainResources": own} if own else {}), **role)
    except KeyboardInterrupt as stop:
        return unsure(aws, live, stack, stop, BEGUN)
    except DeployError as error:
        error.state = error.state or f"{BEGUN}; the stack is not deleted"
        error.next = error.next or Next(AGAIN, words="it goes on")
        raise
    return watch(aws, operation, stack, tell, _conclusion(stack, taken, left), patience)


def _left(taken: Inventory, retain: Sequence[str], live: Live, tell: Tell) -> dict[str, Resource]:
    """What is to be left behind, by its path. DeleteStack takes only what it could not delete before.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
    """
    if retain and live.status != "DELETE_FAILED":
        raise UsageError(f"--retain: only a stack in DELETE_FAILED can leave something behind; it is {live.status}")
    there = {item.resource.path: item.resource for item in taken.items if item.resource.type != NESTED}
    able = [path for path, resource in there.items() if resource.status == "DELETE_FAILED"]
    nested = {item.resource.path for item in taken.items if item.resource.type == NESTED}
    allowed = ", ".join(able) or "none"
    for path in retain:
        if path in nested:
            raise UsageError(f"--retain {path}: it is a nested stack; give one of what is in it: {allowed}")
        if path in there and path not in able:
            raise UsageError(f"--retain {path}: it is {there[path].status}; give one of: {allowed}")
        if path not in there:  # as after an earlier run, which left it behind
            tell(Note(f"--retain {path}: the stack has nothing of that path, so it is passed over", "warning"))
    return {path: there[path] for path in retain if path in there}


def _delete_without(
    aws: Aws, nested_id: str, titles: list[str], tell: Tell, patience: Patience, role: Mapping[str, Any]
) -> None:
    """Delete a nested stack and leave these resources of it: the root can leave only its own."""
    live = find(aws, nested_id)
    if live is None or live.status != "DELETE_FAILED":
        return
    tell(Note(f"deleting nested stack {live.name} without {', '.join(titles)}"))
    operation = begin(aws, live, "destroy", "delete_stack", RetainResources=titles, **role)
    history = History(live.stack_id, operation.token)
    after = follow(aws, operation, history, tell, patience)
    if after is not None and after.status != "DELETE_COMPLETE":
        cause = first_cause(history.events)
        raise NeedsHandError(
            f"nested stack {live.name} is {after.status}: {cause.reason if cause else after.reason}",
            next=Next("diagnose"),
        )


def _refuse_unless_deletable(live: Live) -> None:
    if live.protected:
        raise RefusedError(
            f"stack {live.name}: termination protection is on, and is never switched off for you",
            state="nothing was changed",
            next=Next(
                words="aws cloudformation update-termination-protection --no-enable-termination-protection"
                f" --stack-name {live.name}"
            ),
        )
    if not live.meaning.deletable:
        raise BusyError(
            f"stack {live.name} is {live.status}, and CloudFormation deletes no stack that is at work",
            state="nothing was changed by this run",
            next=live.meaning.rollback.next or WATCH,
        )


def _conclusion(
    stack: str, taken: Inventory, retained: Mapping[str, Resource] = MappingProxyType({})
) -> Callable[[Live | None, History], Outcome]:
    def conclude(live: Live | None, history: History) -> Outcome:
        if live is not None and live.status != "DELETE_COMPLETE":
            return _outcome_of_failure(outcome_of(live, stack, history.events), taken)
        # CloudFormation says what it left; the inventory knows what lies in stacks whose events were not read.
        skipped = {event.path: event.physical_id for event in history.events if event.status == "DELETE_SKIPPED"}
        left = {
            item.resource.path: ("a snapshot of " if item.policy == "Snapshot" else "") + item.resource.physical_id
            for item in taken.retained
        } | skipped
        left |= {path: resource.physical_id for path, resource in retained.items()}
        what = f"{stack}: deleted" + (f"; {len(left)} retained" if left else ", and nothing is left of it")
        kept = "; ".join(f"{path} {physical_id}" for path, physical_id in left.items())
        return Outcome(
            "destroyed",
            what,
            "DELETE_COMPLETE",
            live.stack_id if live else "",
            reason=f"retained: {kept}" if left else "",
            outputs={},
        )

    return conclude


def _outcome_of_failure(outcome: Outcome, taken: Inventory) -> Outcome:
    """A deletion that failed, with the command that gets past what stopped it, where one does."""
    cause = outcome.cause
    blocker = next((item for item in taken.items if cause and item.resource.path == cause.path), None)
    if blocker is not None and blocker.resource.type in EMPTIED:
        return replace(outcome, next=Next("destroy", ("--empty", blocker.resource.path)))
    leave = Next("destroy", ("--retain", cause.path), "to leave it behind") if cause and cause.path else None
    return replace(outcome, next=Next("destroy", words="once what the cause says is put right", instead=leave))
