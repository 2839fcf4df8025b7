"""Task definitions: what their containers refer to, share out and leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import Rule, nearest
from scaleout_cfn.lint.rules.services import Tasks, tasks_of
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

__all__ = ["Container", "is_private_ecr", "on_fargate", "task_definitions"]

_API = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"
_NONE: tuple[Any, ...] = ()


class Container:
    """One container of a task definition, read where that is made."""

    def __init__(self, tasks: Tasks, index: int) -> None:
        self.tasks = tasks
        self.definition = (tasks.containers or [])[index]
        self.path = f"Resources.{tasks.symbol.name}.Properties.ContainerDefinitions.{index}"
        self.name = self.get("Name")

    def get(self, *path: str) -> Any:
        return self.tasks.scope.get(self.definition, *path)

    def items(self, *path: str) -> list[Any] | None:
        return self.tasks.scope.items(self.definition, *path)

    def number(self, name: str) -> float | None:
        return as_number(self.get(name))

    @property
    def essential(self) -> bool | None:
        """Whether the task stops with this container; None if that cannot be told."""
        value = self.get("Essential")
        if value is None or value in (True, "true", "True"):
            return True
        return False if value in (False, "false", "False") else None

    def __str__(self) -> str:
        return self.name if isinstance(self.name, str) else f"number {self.path.rpartition('.')[2]}"


def task_definitions(stacks: StackSet) -> Iterator[tuple[Tasks, list[Container]]]:
    """Each task definition with those of its containers that can be read."""
    for stack in stacks.stacks:
        for logical_id, _, _ in stack.of_type("AWS::ECS::TaskDefinition"):
            tasks = tasks_of(stack.symbol(logical_id))
            yield tasks, [Container(tasks, index) for index in range(len(tasks.containers or []))]


def _named(tasks: Tasks, containers: Iterable[Container]) -> dict[str, Container] | None:
    """The containers by name; None where one is not known, so that nobody can say that a name is missing."""
    return None if tasks.names() is None else {str(container.name): container for container in containers}


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(str(name) for name in names) or "none"


def _spelt(name: str, known: Iterable[str], what: str) -> str:
    known = list(known)
    close = nearest(name, known)
    return f"Did you mean {close}?" if close else f"{what} are {_listed(known)}."


def _amount(value: Any, unit: str, factor: float) -> float | None:
    """A size of the whole task, as a number or as text with its unit ("2 GB", ".5 vCPU")."""
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*(\d*\.?\d+)\s*{unit}\s*", value, re.IGNORECASE)
        if match:
            return float(match[1]) * factor
    return as_number(value)


def _runs_on(tasks: Tasks) -> list[Any] | None:
    """RequiresCompatibilities; None where that is not known."""
    return tasks.scope.items(tasks.properties, "RequiresCompatibilities")


def on_fargate(tasks: Tasks) -> bool:
    """Whether a task definition says that it is for Fargate."""
    return "FARGATE" in (_runs_on(tasks) or _NONE)


class MemoryOfTask(Rule):
    id = "S501"
    sentence = "The containers of a task need no more memory than the task has, each alone and all together."
    # "The 'memory' setting for container '...' is greater than for the task": pulumi-awsx issue 1220.
    source = _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-memory"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            whole = _amount(tasks.scope.get(tasks.properties, "Memory"), "GB", 1024)
            if whole is None:
                continue
            total = 0.0
            for container in containers:
                hard, soft = container.number("Memory"), container.number("MemoryReservation")
                # What is reserved is the soft limit where there is one; what is not known may be nothing.
                known = container.get("MemoryReservation") is not UNKNOWN
                total += soft if soft is not None else hard or 0.0 if known else 0.0
                if hard is not None and hard > whole:
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.Memory",
                        f"Container {container} may use {hard:g} MiB, its task {tasks.symbol.name} has {whole:g}.",
                        f"Raise Memory of {tasks.symbol.name} to {hard:g}, or lower the container's.",
                    )
                    break
            else:
                if total > whole:
                    yield self.finding(
                        tasks.file,
                        f"Resources.{tasks.symbol.name}.Properties.Memory",
                        f"The containers of {tasks.symbol.name} reserve {total:g} MiB together, the task has "
                        f"{whole:g}.",
                        f"Raise Memory of the task to {total:g} or more, or lower the containers'.",
                        # The page forbids it; whether ECS refuses it, or lets the task run short, no page says.
                        "warning",
                    )


class CpuOfTask(Rule):
    id = "S502"
    sentence = "The containers of a task on Fargate reserve no more CPU units than the task has."
    source = _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-cpu"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            whole = _amount(tasks.scope.get(tasks.properties, "Cpu"), "vCPU", 1024)
            total = sum(container.number("Cpu") or 0.0 for container in containers)
            if whole is not None and total > whole and on_fargate(tasks):
                yield self.finding(
                    tasks.file,
                    f"Resources.{tasks.symbol.name}.Properties.Cpu",
                    f"The containers of {tasks.symbol.name} reserve {total:g} CPU units, the task has {whole:g}.",
                    f"Raise Cpu of the task to {total:g} or more, or lower the containers'.",
                )


class NoMemory(Rule):
    id = "S503"
    sentence = "A container on instances has a memory limit, a reservation, or a task that has one."
    source = _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-memoryReservation"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            if _runs_on(tasks) not in ([], ["EC2"]) or tasks.scope.get(tasks.properties, "Memory") is not None:
                continue
            for container in containers:
                if container.get("Memory") is None and container.get("MemoryReservation") is None:
                    yield self.finding(
                        tasks.file,
                        container.path,
                        f"Nothing says how much memory container {container} of {tasks.symbol.name} needs; ECS "
                        "refuses the task definition.",
                        "Set MemoryReservation or Memory of the container, or Memory of the task.",
                    )


class ReservationAboveLimit(Rule):
    id = "S504"
    sentence = "A container's memory reservation is at most its memory limit."
    source = _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-memoryReservation"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container in containers:
                hard, soft = container.number("Memory"), container.number("MemoryReservation")
                if hard is not None and soft is not None and soft > hard:
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.MemoryReservation",
                        f"Container {container} reserves {soft:g} MiB and is killed at {hard:g}.",
                        f"Raise Memory to {soft:g} or more, or lower MemoryReservation.",
                    )


class DependsOnContainer(Rule):
    id = "S505"
    sentence = "A container depends on containers of its task, and not on itself, directly or in a circle."
    source = _API + "API_ContainerDependency.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            by_name = _named(tasks, containers)
            if by_name is None:
                continue
            waits: dict[str, list[str]] = {}
            for name, container in by_name.items():
                for index, wait in enumerate(container.items("DependsOn") or []):
                    other = tasks.scope.get(wait, "ContainerName")
                    if not isinstance(other, str):
                        continue
                    waits.setdefault(name, []).append(other)
                    if other not in by_name:
                        yield self.finding(
                            tasks.file,
                            f"{container.path}.DependsOn.{index}.ContainerName",
                            f"Container {name} depends on {other}, which {tasks.symbol.name} does not have.",
                            _spelt(other, by_name.keys() - {name}, "The others"),
                        )
            ring = _ring(waits)
            if ring:
                yield self.finding(
                    tasks.file,
                    f"{by_name[ring[0]].path}.DependsOn",
                    f"Containers wait for each other: {' -> '.join([*ring, ring[0]])}.",
                    "Take one of these dependencies out.",
                )


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


def _dependencies(tasks: Tasks, containers: list[Container]) -> Iterator[tuple[Container, str, Any, Container]]:
    """Each dependency between containers that are there: who waits, the path, the condition, for whom."""
    by_name = _named(tasks, containers) or {}
    for container in by_name.values():
        for index, wait in enumerate(container.items("DependsOn") or []):
            other = tasks.scope.get(wait, "ContainerName")
            if isinstance(other, str) and other in by_name:
                path = f"{container.path}.DependsOn.{index}.Condition"
                yield container, path, tasks.scope.get(wait, "Condition"), by_name[other]


class HealthyWithoutCheck(Rule):
    id = "S506"
    sentence = "A container that others wait for to be HEALTHY has a health check in the task definition."
    source = _API + "API_ContainerDependency.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container, path, condition, other in _dependencies(tasks, containers):
                if condition == "HEALTHY" and other.get("HealthCheck") is None:
                    yield self.finding(
                        tasks.file,
                        path,
                        f"Container {container} waits for {other} to be HEALTHY, but {other} has no HealthCheck "
                        "(ECS does not see the one of an image).",
                        f"Give {other} a HealthCheck, or wait for START.",
                    )


class CompleteOfEssential(Rule):
    id = "S507"
    sentence = "A container that others wait for to end is not essential."
    source = _API + "API_ContainerDependency.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container, path, condition, other in _dependencies(tasks, containers):
                if condition in ("COMPLETE", "SUCCESS") and other.essential:
                    yield self.finding(
                        tasks.file,
                        path,
                        f"Container {container} waits for {condition} of {other}, which is essential: the task ends "
                        "with it.",
                        f"Set Essential of {other} to false.",
                    )


class MountedVolume(Rule):
    id = "S508"
    sentence = "A container mounts volumes that its task definition has."
    source = _API + "API_MountPoint.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            volumes = tasks.scope.items(tasks.properties, "Volumes")
            if volumes is None:
                continue
            names = [tasks.scope.get(volume, "Name") for volume in volumes]
            if any(name is UNKNOWN for name in names):
                continue
            for container in containers:
                for index, mount in enumerate(container.items("MountPoints") or []):
                    name = tasks.scope.get(mount, "SourceVolume")
                    if isinstance(name, str) and name not in names and not any(_may_be(name, it) for it in names):
                        yield self.finding(
                            tasks.file,
                            f"{container.path}.MountPoints.{index}.SourceVolume",
                            f"Container {container} mounts {name}, a volume that {tasks.symbol.name} does not have.",
                            _spelt(name, [it for it in names if isinstance(it, str)], "Its volumes"),
                        )


def _may_be(text: str, other: Any) -> bool:
    """Whether something that is known only in part may turn out to be this text."""
    if isinstance(other, Symbol):
        return True
    if isinstance(other, Text):
        return all(part in text for part in other.parts if isinstance(part, str))
    return False


class NamedContainer(Rule):
    id = "S509"
    sentence = "VolumesFrom, Links and ProxyConfiguration name containers of the task definition."
    source = _API + "API_VolumeFrom.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            by_name = _named(tasks, containers)
            if by_name is None:
                continue
            for path, what, name in _uses(tasks, containers):
                if isinstance(name, str) and name not in by_name:
                    yield self.finding(
                        tasks.file,
                        path,
                        f"{what} names container {name}, which {tasks.symbol.name} does not have.",
                        _spelt(name, by_name, "Its containers"),
                    )


def _uses(tasks: Tasks, containers: list[Container]) -> Iterator[tuple[str, str, Any]]:
    """Each place that names a container, apart from DependsOn: its path, the property, the name."""
    for container in containers:
        for index, source in enumerate(container.items("VolumesFrom") or []):
            path = f"{container.path}.VolumesFrom.{index}.SourceContainer"
            yield path, "VolumesFrom", tasks.scope.get(source, "SourceContainer")
        for index, link in enumerate(container.items("Links") or []):
            if isinstance(link, str):
                yield f"{container.path}.Links.{index}", "Links", link.partition(":")[0]
    proxy = tasks.scope.get(tasks.properties, "ProxyConfiguration", "ContainerName")
    path = f"Resources.{tasks.symbol.name}.Properties.ProxyConfiguration.ContainerName"
    yield path, "ProxyConfiguration", proxy


class ContainerTwice(Rule):
    id = "S510"
    sentence = "Each container of a task has a name of its own."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            seen: set[Any] = set()
            for container in containers:
                if isinstance(container.name, (str, Symbol, Text)) and container.name in seen:
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.Name",
                        f"{tasks.symbol.name} has two containers of the name {container}.",
                        "Give each container a name of its own.",
                    )
                seen.add(container.name if isinstance(container.name, (str, Symbol, Text)) else None)


class HostPortTwice(Rule):
    id = "S511"
    sentence = "A host port is mapped once in a task; with awsvpc and host networking all containers share them."
    source = "https://github.com/aws/amazon-ecs-agent/issues/1220"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            mode = tasks.network_mode
            # With these, a container listens on the ports of the task itself.
            which = "ContainerPort" if mode in ("awsvpc", "host") else "HostPort"
            first: dict[tuple[float, str], tuple[Container, int]] = {}
            for container in containers if mode is not UNKNOWN else _NONE:
                for index, mapping in enumerate(container.items("PortMappings") or []):
                    port, protocol = as_number(tasks.scope.get(mapping, which)), tasks.scope.get(mapping, "Protocol")
                    protocol = "tcp" if protocol is None else protocol
                    if not port or not isinstance(protocol, str):
                        continue
                    before = first.setdefault((port, protocol), (container, index))
                    if before != (container, index):
                        yield self.finding(
                            tasks.file,
                            f"{container.path}.PortMappings.{index}",
                            f"{protocol} port {port:g} of {tasks.symbol.name}, in {mode} networking, is mapped already "
                            f"by container {before[0]}.",
                            "Let one of them listen on another port, or leave one mapping out.",
                        )


class SecretWithoutRole(Rule):
    id = "S512"
    sentence = "A task with secrets has an execution role, which reads them."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data.html"

    _PLACES = (("Secrets",), ("LogConfiguration", "SecretOptions"), ("RepositoryCredentials", "CredentialsParameter"))

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            if tasks.scope.get(tasks.properties, "ExecutionRoleArn") is not None:
                continue
            for container in containers:
                for place in self._PLACES:
                    secret = container.get(*place)
                    if secret not in (None, UNKNOWN, []):
                        yield self.finding(
                            tasks.file,
                            ".".join((container.path, *place)),
                            f"Container {container} has {place[-1]}, but {tasks.symbol.name} has no ExecutionRoleArn "
                            "that may read it.",
                            "Give the task definition an ExecutionRoleArn with the permission to read the secret.",
                        )


class FargateWithoutRole(Rule):
    id = "S513"
    sentence = "A Fargate task that pulls from ECR or logs by awslogs has an execution role."
    source = "https://github.com/nathanpeck/aws-cloudformation-fargate/issues/1"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            if not on_fargate(tasks) or tasks.scope.get(tasks.properties, "ExecutionRoleArn") is not None:
                continue
            for container in containers:
                if container.get("LogConfiguration", "LogDriver") == "awslogs":
                    path, what = "LogConfiguration", "logs by awslogs"
                elif is_private_ecr(container.get("Image")):
                    path, what = "Image", "has an image in ECR"
                else:
                    continue
                yield self.finding(
                    tasks.file,
                    f"{container.path}.{path}",
                    f"Container {container} {what}, but {tasks.symbol.name}, which is for Fargate, has no "
                    "ExecutionRoleArn; ECS refuses it.",
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


class StreamPrefix(Rule):
    id = "S514"
    sentence = "The awslogs driver has a stream prefix on Fargate."
    source = _API + "API_LogConfiguration.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container in containers if on_fargate(tasks) else _NONE:
                options = container.get("LogConfiguration", "Options")
                if container.get("LogConfiguration", "LogDriver") != "awslogs" or options in (None, UNKNOWN):
                    continue
                if container.get("LogConfiguration", "Options", "awslogs-stream-prefix") is None:
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.LogConfiguration.Options",
                        f"Container {container} logs by awslogs without awslogs-stream-prefix, which Fargate requires.",
                        "Add awslogs-stream-prefix, with the service's name for example.",
                    )


class LogRouter(Rule):
    id = "S515"
    sentence = "A task that logs by awsfirelens has a container with a FirelensConfiguration."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/firelens-taskdef.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            if tasks.names() is None or any(c.get("FirelensConfiguration") is not None for c in containers):
                continue
            for container in containers:
                if container.get("LogConfiguration", "LogDriver") == "awsfirelens":
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.LogConfiguration.LogDriver",
                        f"Container {container} logs by awsfirelens, but no container of {tasks.symbol.name} has a "
                        "FirelensConfiguration.",
                        "Add a log router container, or log by awslogs.",
                    )


class FileSystemInTransit(Rule):
    id = "S516"
    sentence = "An EFS volume with an access point or IAM is encrypted in transit, and begins where the point does."
    source = _API + "API_EFSVolumeConfiguration.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, _ in task_definitions(stacks):
            for index, volume in enumerate(tasks.scope.items(tasks.properties, "Volumes") or []):
                place = f"Resources.{tasks.symbol.name}.Properties.Volumes.{index}.EFSVolumeConfiguration"
                key = "EFSVolumeConfiguration"
                point = tasks.scope.get(volume, key, "AuthorizationConfig", "AccessPointId")
                iam = tasks.scope.get(volume, key, "AuthorizationConfig", "IAM")
                root = tasks.scope.get(volume, key, "RootDirectory")
                what = "an access point" if point not in (None, UNKNOWN) else "IAM" if iam == "ENABLED" else ""
                if what and tasks.scope.get(volume, key, "TransitEncryption") in (None, "DISABLED"):
                    yield self.finding(
                        tasks.file,
                        f"{place}.TransitEncryption",
                        f"A volume of {tasks.symbol.name} uses {what} of its file system without encryption in "
                        "transit; ECS refuses that.",
                        "Set TransitEncryption to ENABLED.",
                    )
                if what == "an access point" and isinstance(root, str) and root not in ("", "/"):
                    yield self.finding(
                        tasks.file,
                        f"{place}.RootDirectory",
                        f"A volume of {tasks.symbol.name} has an access point and RootDirectory {root}; ECS takes one "
                        "of them.",
                        "Leave RootDirectory out: the access point says where the volume begins.",
                    )


class TimeoutOnFargate(Rule):
    id = "S517"
    sentence = "A container on Fargate has 2 to 120 seconds to start, and as many to stop."
    source = _API + "API_ContainerDefinition.html#ECS-Type-ContainerDefinition-stopTimeout"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            # A definition that is for instances, too, may never run on Fargate.
            for container in containers if _runs_on(tasks) == ["FARGATE"] else _NONE:
                for name in ("StartTimeout", "StopTimeout"):
                    seconds = container.number(name)
                    if seconds is not None and not 2 <= seconds <= 120:
                        yield self.finding(
                            tasks.file,
                            f"{container.path}.{name}",
                            f"{name} of container {container} is {seconds:g} s; Fargate takes 2 to 120.",
                            "Set it to a number of seconds between 2 and 120.",
                        )


class NetworkOfContainer(Rule):
    id = "S518"
    sentence = "Containers with awsvpc networking have no Links, Hostname or ExtraHosts."
    source = _API + "API_ContainerDefinition.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container in containers if tasks.network_mode == "awsvpc" else _NONE:
                for name in ("Links", "Hostname", "ExtraHosts"):
                    if container.get(name) not in (None, UNKNOWN, []):
                        yield self.finding(
                            tasks.file,
                            f"{container.path}.{name}",
                            f"Container {container} has {name}, which awsvpc networking does not support.",
                            "Leave it out: the containers of a task reach each other at 127.0.0.1.",
                        )


class HealthCheckCommand(Rule):
    id = "S519"
    sentence = "A container's health check starts with CMD or CMD-SHELL."
    source = _API + "API_HealthCheck.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container in containers:
                command = container.items("HealthCheck", "Command")
                if command and isinstance(command[0], str) and command[0] not in ("CMD", "CMD-SHELL", "NONE"):
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.HealthCheck.Command",
                        f'The health check of container {container} starts with "{command[0][:40]}", not with CMD or '
                        "CMD-SHELL.",
                        'Write [CMD-SHELL, "the command in one string"], or [CMD, program, argument, ...].',
                    )


class MissingLogGroup(Rule):
    id = "S520"
    sentence = "A log group that bears the stack's name is made by the set, or by the awslogs driver."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            root = tasks.symbol.stack.root
            if not all(stack.facts.closed("Resources") for stack in root.tree()):
                continue
            made = {
                scope.get(properties, "LogGroupName")
                for stack in root.tree()
                for _, properties, scope in stack.of_type("AWS::Logs::LogGroup")
                if _is_text(scope.get(properties, "LogGroupName"))
            }
            for container in containers:
                options = container.get("LogConfiguration", "Options")
                group = tasks.scope.get(options, "awslogs-group")
                if (
                    isinstance(group, Text)
                    and any(isinstance(part, Symbol) and part.name == "AWS::StackName" for part in group.parts)
                    and container.get("LogConfiguration", "LogDriver") == "awslogs"
                    and tasks.scope.get(options, "awslogs-create-group") in (None, False, "false")
                    and group not in made
                ):
                    shown = "".join(part if isinstance(part, str) else f"${{{part.name}}}" for part in group.parts)
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.LogConfiguration.Options.awslogs-group",
                        f"Container {container} logs to {shown}, but the set has no such log group; no task starts "
                        "without it.",
                        "Add an AWS::Logs::LogGroup and Ref it here.",
                    )


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, Symbol, Text))


class RegionOfLogs(Rule):
    id = "S521"
    sentence = "A container logs to the set's log group in the region where that is made."
    source = _API + "API_LogConfiguration.html"
    severity = "info"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            for container in containers:
                group = resource_of(
                    container.get("LogConfiguration", "Options", "awslogs-group"), "AWS::Logs::LogGroup"
                )
                # A fixed region as a parameter's default is a choice of whoever deploys.
                region = container.definition
                for key in ("LogConfiguration", "Options", "awslogs-region"):
                    region = region.get(key) if isinstance(region, Mapping) else None
                if group is not None and isinstance(region, str):
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.LogConfiguration.Options.awslogs-region",
                        f"Container {container} logs to {group.name} in {region}, but the stack makes it in the region "
                        "where it is deployed.",
                        "Write !Ref AWS::Region.",
                    )
