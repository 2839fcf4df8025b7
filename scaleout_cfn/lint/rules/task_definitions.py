"""Task definitions: what their containers refer to, share out and leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import Faults, fault, nearest, rule
from scaleout_cfn.lint.rules.services import TASKS, containers, names, network_mode
from scaleout_cfn.templates.stacks import Place, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"


def _named(tasks: Place) -> dict[str, Place] | None:
    """The containers by name; None where one is not known, so that nobody can say that a name is missing."""
    return None if names(tasks) is None else {str(container): container for container in containers(tasks)}


def _spelt(name: str, known: Iterable[str], what: str) -> str:
    known = list(known)
    close = nearest(name, known)
    return f"Did you mean {close}?" if close else f"{what} are {', '.join(known) or 'none'}."


def _amount(value: Any, unit: str, factor: float) -> float | None:
    """A size of the whole task, as a number or as text with its unit ("2 GB", ".5 vCPU")."""
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*(\d*\.?\d+)\s*{unit}\s*", value, re.IGNORECASE)
        if match:
            return float(match[1]) * factor
    return as_number(value)


def _is_given(value: Any) -> bool:
    return value not in (None, UNKNOWN, [])


def on_fargate(tasks: Place) -> bool:
    return "FARGATE" in (tasks.items("RequiresCompatibilities") or ())


# "The 'memory' setting for container '...' is greater than for the task": pulumi-awsx issue 1220.
@rule("S501", _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-memory", TASKS)
def memory_of_task(tasks: Place) -> Faults:
    """The containers of a task need no more memory than the task has, each alone and all together."""
    whole = _amount(tasks.get("Memory"), "GB", 1024)
    if whole is None:
        return
    total = 0.0
    for container in containers(tasks):
        hard, soft = container.number("Memory"), container.number("MemoryReservation")
        # What is reserved is the soft limit where there is one; what is not known may be nothing.
        known = container.get("MemoryReservation") is not UNKNOWN
        total += soft if soft is not None else hard or 0.0 if known else 0.0
        if hard is not None and hard > whole:
            message = f"Container {container} may use {hard:g} MiB, its task {tasks} has {whole:g}."
            yield fault(container, "Memory", message, f"Raise Memory of {tasks} to {hard:g}, or lower the container's.")
            return
    if total > whole:
        yield fault(
            tasks,
            "Memory",
            f"The containers of {tasks} reserve {total:g} MiB together, the task has {whole:g}.",
            f"Raise Memory of the task to {total:g} or more, or lower the containers'.",
            # The page forbids it; whether ECS refuses it, or lets the task run short, no page says.
            "warning",
        )


@rule("S502", _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-cpu", TASKS)
def cpu_of_task(tasks: Place) -> Faults:
    """The containers of a task on Fargate reserve no more CPU units than the task has."""
    whole = _amount(tasks.get("Cpu"), "vCPU", 1024)
    total = sum(container.number("Cpu") or 0.0 for container in containers(tasks))
    if whole is not None and total > whole and on_fargate(tasks):
        yield fault(
            tasks,
            "Cpu",
            f"The containers of {tasks} reserve {total:g} CPU units, the task has {whole:g}.",
            f"Raise Cpu of the task to {total:g} or more, or lower the containers'.",
        )


@rule("S503", _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-memoryReservation", TASKS)
def no_memory(tasks: Place) -> Faults:
    """A container on instances has a memory limit, a reservation, or a task that has one."""
    if tasks.items("RequiresCompatibilities") not in ([], ["EC2"]) or tasks.get("Memory") is not None:
        return
    for container in containers(tasks):
        if container.get("Memory") is None and container.get("MemoryReservation") is None:
            yield fault(
                container,
                "",
                f"Nothing says how much memory container {container} of {tasks} needs; ECS refuses the task "
                "definition.",
                "Set MemoryReservation or Memory of the container, or Memory of the task.",
            )


@rule("S504", _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-memoryReservation", TASKS)
def reservation_above_limit(tasks: Place) -> Faults:
    """A container's memory reservation is at most its memory limit."""
    for container in containers(tasks):
        hard, soft = container.number("Memory"), container.number("MemoryReservation")
        if hard is not None and soft is not None and soft > hard:
            message = f"Container {container} reserves {soft:g} MiB and is killed at {hard:g}."
            cure = f"Raise Memory to {soft:g} or more, or lower MemoryReservation."
            yield fault(container, "MemoryReservation", message, cure)


@rule("S505", _API + "API_ContainerDependency.html", TASKS)
def depends_on_container(tasks: Place) -> Faults:
    """A container depends on containers of its task, and not on itself, directly or in a circle."""
    by_name = _named(tasks) or {}
    waits: dict[str, list[str]] = {}
    for name, container in by_name.items():
        for wait in container.each("DependsOn"):
            other = wait.get("ContainerName")
            if not isinstance(other, str):
                continue
            waits.setdefault(name, []).append(other)
            if other not in by_name:
                message = f"Container {name} depends on {other}, which {tasks} does not have."
                yield fault(wait, "ContainerName", message, _spelt(other, by_name.keys() - {name}, "The others"))
    if ring := _ring(waits):
        message = f"Containers wait for each other: {' -> '.join([*ring, ring[0]])}."
        yield fault(by_name[ring[0]], "DependsOn", message, "Take one of these dependencies out.")


def _ring(waits: dict[str, list[str]]) -> list[str]:
    """The first circle of containers that wait for each other; empty if there is none."""
    for start in waits:
        ways, seen = [[start]], set[str]()
        for way in ways:
            for name in waits.get(way[-1], ()):
                if name == start:
                    return way
                if name not in seen:
                    seen.add(name)
                    ways.append([*way, name])
    return []


def _dependencies(tasks: Place) -> Iterator[tuple[Place, Place, Place]]:
    """Each dependency between containers that are there: who waits, where it says so, for whom."""
    by_name = _named(tasks) or {}
    for container in by_name.values():
        for wait in container.each("DependsOn"):
            other = wait.get("ContainerName")
            if isinstance(other, str) and other in by_name:
                yield container, wait, by_name[other]


@rule("S506", _API + "API_ContainerDependency.html", TASKS)
def healthy_without_check(tasks: Place) -> Faults:
    """A container that others wait for to be HEALTHY has a health check in the task definition."""
    for container, wait, other in _dependencies(tasks):
        if wait.get("Condition") == "HEALTHY" and other.get("HealthCheck") is None:
            yield fault(
                wait,
                "Condition",
                f"Container {container} waits for {other} to be HEALTHY, but {other} has no HealthCheck "
                "(ECS does not see the one of an image).",
                f"Give {other} a HealthCheck, or wait for START.",
            )


@rule("S507", _API + "API_ContainerDependency.html", TASKS)
def complete_of_essential(tasks: Place) -> Faults:
    """A container that others wait for to end is not essential."""
    for container, wait, other in _dependencies(tasks):
        condition = wait.get("Condition")
        if condition in ("COMPLETE", "SUCCESS") and other.get("Essential") in (None, True, "true", "True"):
            message = (
                f"Container {container} waits for {condition} of {other}, which is essential: the task ends with it."
            )
            yield fault(wait, "Condition", message, f"Set Essential of {other} to false.")


@rule("S508", _API + "API_MountPoint.html", TASKS)
def mounted_volume(tasks: Place) -> Faults:
    """A container mounts volumes that its task definition has."""
    volumes = [volume.get("Name") for volume in tasks.each("Volumes")]
    if tasks.items("Volumes") is None or any(volume is UNKNOWN for volume in volumes):
        return
    for container in containers(tasks):
        for mount in container.each("MountPoints"):
            name = mount.get("SourceVolume")
            if isinstance(name, str) and name not in volumes and not any(_may_be(name, it) for it in volumes):
                message = f"Container {container} mounts {name}, a volume that {tasks} does not have."
                known = [volume for volume in volumes if isinstance(volume, str)]
                yield fault(mount, "SourceVolume", message, _spelt(name, known, "Its volumes"))


def _may_be(text: str, other: Any) -> bool:
    """Whether something that is known only in part may turn out to be this text."""
    if isinstance(other, Symbol):
        return True
    if isinstance(other, Text):
        return all(part in text for part in other.parts if isinstance(part, str))
    return False


@rule("S509", _API + "API_VolumeFrom.html", TASKS)
def named_container(tasks: Place) -> Faults:
    """VolumesFrom, Links and ProxyConfiguration name containers of the task definition."""
    by_name = _named(tasks)
    if by_name is None:
        return
    for place, at, what, name in _uses(tasks):
        if isinstance(name, str) and name not in by_name:
            message = f"{what} names container {name}, which {tasks} does not have."
            yield fault(place, at, message, _spelt(name, by_name, "Its containers"))


def _uses(tasks: Place) -> Iterator[tuple[Place, str, str, Any]]:
    """Each place that names a container, apart from DependsOn: where, the property, the name."""
    for container in containers(tasks):
        for source in container.each("VolumesFrom"):
            yield source, "SourceContainer", "VolumesFrom", source.get("SourceContainer")
        for link in container.each("Links"):
            if isinstance(link.node, str):
                yield link, "", "Links", link.node.partition(":")[0]
    at = "ProxyConfiguration.ContainerName"
    yield tasks, at, "ProxyConfiguration", tasks.get("ProxyConfiguration", "ContainerName")


@rule("S510", _GUIDE + "task_definition_parameters.html", TASKS)
def container_twice(tasks: Place) -> Faults:
    """Each container of a task has a name of its own."""
    seen: set[Any] = set()
    for container in containers(tasks):
        name = container.get("Name")
        if not isinstance(name, (str, Symbol, Text)):
            continue
        if name in seen:
            message = f"{tasks} has two containers of the name {container}."
            yield fault(container, "Name", message, "Give each container a name of its own.")
        seen.add(name)


@rule("S511", "https://github.com/aws/amazon-ecs-agent/issues/1220", TASKS)
def host_port_twice(tasks: Place) -> Faults:
    """A host port is mapped once in a task; with awsvpc and host networking all containers share them."""
    mode = network_mode(tasks)
    # With these, a container listens on the ports of the task itself.
    which = "ContainerPort" if mode in ("awsvpc", "host") else "HostPort"
    first: dict[tuple[float, str], Place] = {}
    for container in containers(tasks) if mode is not UNKNOWN else ():
        for mapping in container.each("PortMappings"):
            port, protocol = mapping.number(which), mapping.get("Protocol")
            protocol = "tcp" if protocol is None else protocol
            if not port or not isinstance(protocol, str):
                continue
            if before := first.get((port, protocol)):
                yield fault(
                    mapping,
                    "",
                    f"{protocol} port {port:g} of {tasks}, in {mode} networking, is mapped already by container "
                    f"{before}.",
                    "Let one of them listen on another port, or leave one mapping out.",
                )
            first.setdefault((port, protocol), container)


_SECRETS = ("Secrets", "LogConfiguration.SecretOptions", "RepositoryCredentials.CredentialsParameter")


@rule("S512", _GUIDE + "specifying-sensitive-data.html", TASKS)
def secret_without_role(tasks: Place) -> Faults:
    """A task with secrets has an execution role, which reads them."""
    for container in containers(tasks) if tasks.get("ExecutionRoleArn") is None else ():
        for at in _SECRETS:
            *_, name = path = at.split(".")
            if _is_given(container.get(*path)):
                yield fault(
                    container,
                    at,
                    f"Container {container} has {name}, but {tasks} has no ExecutionRoleArn that may read it.",
                    "Give the task definition an ExecutionRoleArn with the permission to read the secret.",
                )


@rule("S513", "https://github.com/nathanpeck/aws-cloudformation-fargate/issues/1", TASKS)
def fargate_without_role(tasks: Place) -> Faults:
    """A Fargate task that pulls from ECR or logs by awslogs has an execution role."""
    for container in containers(tasks) if on_fargate(tasks) and tasks.get("ExecutionRoleArn") is None else ():
        if container.get("LogConfiguration", "LogDriver") == "awslogs":
            at, what = "LogConfiguration", "logs by awslogs"
        elif is_private_ecr(container.get("Image")):
            at, what = "Image", "has an image in ECR"
        else:
            continue
        yield fault(
            container,
            at,
            f"Container {container} {what}, but {tasks}, which is for Fargate, has no ExecutionRoleArn; ECS refuses "
            "it.",
            "Give the task definition an ExecutionRoleArn with AmazonECSTaskExecutionRolePolicy.",
        )


def is_private_ecr(image: Any) -> bool:
    """Whether an image lies in a private registry of ECR, which wants credentials."""
    parts = image.parts if isinstance(image, Text) else (image,)
    return any(
        (isinstance(part, str) and ".dkr.ecr." in part)
        or (isinstance(part, Symbol) and part.type == "AWS::ECR::Repository")
        for part in parts
    )


@rule("S514", _API + "API_LogConfiguration.html", TASKS)
def stream_prefix(tasks: Place) -> Faults:
    """The awslogs driver has a stream prefix on Fargate."""
    for container in containers(tasks) if on_fargate(tasks) else ():
        log = container.inner("LogConfiguration")
        if log.get("LogDriver") != "awslogs" or log.get("Options") in (None, UNKNOWN):
            continue
        if log.get("Options", "awslogs-stream-prefix") is None:
            yield fault(
                log,
                "Options",
                f"Container {container} logs by awslogs without awslogs-stream-prefix, which Fargate requires.",
                "Add awslogs-stream-prefix, with the service's name for example.",
            )


@rule("S515", _GUIDE + "firelens-taskdef.html", TASKS)
def log_router(tasks: Place) -> Faults:
    """A task that logs by awsfirelens has a container with a FirelensConfiguration."""
    routed = any(container.get("FirelensConfiguration") is not None for container in containers(tasks))
    for container in containers(tasks) if names(tasks) and not routed else ():
        if container.get("LogConfiguration", "LogDriver") == "awsfirelens":
            yield fault(
                container,
                "LogConfiguration.LogDriver",
                f"Container {container} logs by awsfirelens, but no container of {tasks} has a FirelensConfiguration.",
                "Add a log router container, or log by awslogs.",
            )


@rule("S516", _API + "API_EFSVolumeConfiguration.html", TASKS)
def file_system_in_transit(tasks: Place) -> Faults:
    """An EFS volume with an access point or IAM is encrypted in transit, and begins where the point does."""
    for volume in tasks.each("Volumes"):
        files = volume.inner("EFSVolumeConfiguration")
        by_point = files.get("AuthorizationConfig", "AccessPointId") not in (None, UNKNOWN)
        by_iam = files.get("AuthorizationConfig", "IAM") == "ENABLED"
        root = files.get("RootDirectory")
        if (by_point or by_iam) and files.get("TransitEncryption") in (None, "DISABLED"):
            yield fault(
                files,
                "TransitEncryption",
                f"A volume of {tasks} uses {'an access point' if by_point else 'IAM'} of its file system without "
                "encryption in transit; ECS refuses that.",
                "Set TransitEncryption to ENABLED.",
            )
        if by_point and isinstance(root, str) and root not in ("", "/"):
            message = f"A volume of {tasks} has an access point and RootDirectory {root}; ECS takes one of them."
            cure = "Leave RootDirectory out: the access point says where the volume begins."
            yield fault(files, "RootDirectory", message, cure)


@rule("S517", _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-stopTimeout", TASKS)
def timeout_on_fargate(tasks: Place) -> Faults:
    """A container on Fargate has 2 to 120 seconds to start, and as many to stop."""
    # A definition that is for instances, too, may never run on Fargate.
    for container in containers(tasks) if tasks.items("RequiresCompatibilities") == ["FARGATE"] else ():
        for name in ("StartTimeout", "StopTimeout"):
            seconds = container.number(name)
            if seconds is not None and not 2 <= seconds <= 120:
                message = f"{name} of container {container} is {seconds:g} s; Fargate takes 2 to 120."
                yield fault(container, name, message, "Set it to a number of seconds between 2 and 120.")


@rule("S518", _API + "API_ContainerDefinition.html", TASKS)
def network_of_container(tasks: Place) -> Faults:
    """Containers with awsvpc networking have no Links, Hostname or ExtraHosts."""
    for container in containers(tasks) if network_mode(tasks) == "awsvpc" else ():
        for name in ("Links", "Hostname", "ExtraHosts"):
            if _is_given(container.get(name)):
                message = f"Container {container} has {name}, which awsvpc networking does not support."
                cure = "Leave it out: the containers of a task reach each other at 127.0.0.1."
                yield fault(container, name, message, cure)


@rule("S519", _API + "API_HealthCheck.html", TASKS)
def health_check_command(tasks: Place) -> Faults:
    """A container's health check starts with CMD or CMD-SHELL."""
    for container in containers(tasks):
        command = container.items("HealthCheck", "Command")
        if command and isinstance(command[0], str) and command[0] not in ("CMD", "CMD-SHELL", "NONE"):
            yield fault(
                container,
                "HealthCheck.Command",
                f'The health check of container {container} starts with "{command[0][:40]}", not with CMD or '
                "CMD-SHELL.",
                'Write [CMD-SHELL, "the command in one string"], or [CMD, program, argument, ...].',
            )


@rule("S520", _GUIDE + "using_awslogs.html", TASKS)
def missing_log_group(tasks: Place) -> Faults:
    """A log group that bears the stack's name is made by the set, or by the awslogs driver."""
    root = tasks.stack.root
    if not all(stack.facts.closed("Resources") for stack in root.tree()):
        return
    made = [group.get("LogGroupName") for group in root.below("AWS::Logs::LogGroup")]
    for container in containers(tasks):
        log = container.inner("LogConfiguration")
        group = log.get("Options", "awslogs-group")
        if (
            isinstance(group, Text)
            and any(isinstance(part, Symbol) and part.name == "AWS::StackName" for part in group.parts)
            and log.get("LogDriver") == "awslogs"
            and log.get("Options", "awslogs-create-group") in (None, False, "false")
            and group not in made
        ):
            shown = "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in group.parts)
            yield fault(
                log,
                "Options.awslogs-group",
                f"Container {container} logs to {shown}, but the set has no such log group; no task starts without it.",
                "Add an AWS::Logs::LogGroup and Ref it here.",
            )


@rule("S521", _API + "API_LogConfiguration.html", TASKS, severity="info")
def region_of_logs(tasks: Place) -> Faults:
    """A container logs to the set's log group in the region where that is made."""
    for container in containers(tasks):
        group = resource_of(container.get("LogConfiguration", "Options", "awslogs-group"), "AWS::Logs::LogGroup")
        # A fixed region as a parameter's default is a choice of whoever deploys.
        region = container.node
        for key in ("LogConfiguration", "Options", "awslogs-region"):
            region = region.get(key) if isinstance(region, Mapping) else None
        if group is not None and isinstance(region, str):
            yield fault(
                container,
                "LogConfiguration.Options.awslogs-region",
                f"Container {container} logs to {group.name} in {region}, but the stack makes it in the region "
                "where it is deployed.",
                "Write !Ref AWS::Region.",
            )
