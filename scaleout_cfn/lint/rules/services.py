"""ECS services as a set wires them: their task definitions, target groups and containers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scaleout_cfn.templates.facts import VARIABLE, sub_parts
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import Scope, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

__all__ = ["TARGET_GROUP", "Entry", "Tasks", "entries", "handed_out", "property_of", "services", "tasks_of"]

TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"


class Entry:
    """One entry of a service's LoadBalancers, with the task definition and target group it joins."""

    def __init__(
        self, stack: StackView, service: str, index: int, entry: Any, scope: Scope, tasks: Tasks | None
    ) -> None:
        self.stack = stack
        self.service = service
        self.entry = entry
        self.scope = scope
        self.tasks = tasks
        self.path = f"Resources.{service}.Properties.LoadBalancers.{index}"
        self.container = scope.get(entry, "ContainerName")
        self.port = as_number(scope.get(entry, "ContainerPort"))
        self.group = resource_of(scope.get(entry, "TargetGroupArn"), TARGET_GROUP)

    def group_property(self, name: str) -> Any:
        """A property of the target group, UNKNOWN where the group is not of this set."""
        return UNKNOWN if self.group is None else property_of(self.group, name)

    @property
    def mapping(self) -> Mapping[str, Any] | None:
        """The port mapping of the task definition that this entry means, values evaluated."""
        for mapping in (self.tasks.mappings(self.container) if self.tasks else None) or []:
            if mapping["ContainerPort"] == self.port and self.port is not None:
                return mapping
        return None


class Tasks:
    """A task definition, read in the stack that makes it."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.file = symbol.stack.file
        resource = symbol.stack.resource(symbol.name)
        self.scope = symbol.stack.scope_of(resource)
        self.properties = self.scope.value(resource.get("Properties", {}))
        self.containers = self.scope.items(self.properties, "ContainerDefinitions")

    def names(self) -> list[str] | None:
        """The containers' names; None where one is not known."""
        names = [self.scope.get(container, "Name") for container in self.containers or []]
        return [str(name) for name in names] if names and all(isinstance(name, str) for name in names) else None

    def mappings(self, container: Any) -> list[Mapping[str, Any]] | None:
        """The port mappings of a container, ports as numbers (None where absent), Protocol; None if one is unknown."""
        for definition in self.containers or []:
            if self.scope.get(definition, "Name") == container and isinstance(container, str):
                items = self.scope.items(definition, "PortMappings")
                if items is None:
                    return None
                found: list[Mapping[str, Any]] = []
                for item in items:
                    ports = {
                        key: self.scope.get(item, key) for key in ("ContainerPort", "HostPort", "ContainerPortRange")
                    }
                    if any(port is not None and as_number(port) is None for port in ports.values()):
                        return None
                    numbers = {key: as_number(port) for key, port in ports.items()}
                    found.append({**numbers, "Protocol": self.scope.get(item, "Protocol")})
                return found
        return None

    @property
    def network_mode(self) -> Any:
        mode = self.scope.get(self.properties, "NetworkMode")
        if mode is not None:
            return mode
        launch = self.scope.items(self.properties, "RequiresCompatibilities")
        # Without a mode, tasks on Linux instances get bridge; what only Fargate or nobody names is left alone.
        return "bridge" if launch == [] or launch == ["EC2"] else UNKNOWN


def tasks_of(symbol: Symbol) -> Tasks:
    """A task definition, read once for all rules."""
    found: Tasks = symbol.stack.remembered(("tasks", symbol.name), lambda: Tasks(symbol))
    return found


def property_of(symbol: Symbol, name: str) -> Any:
    """A property of a resource, read in the stack that makes it."""
    resource = symbol.stack.resource(symbol.name)
    return symbol.stack.scope_of(resource).get(resource.get("Properties"), name)


def services(stacks: StackSet) -> Iterator[tuple[StackView, str, Mapping[str, Any], Scope, Tasks | None]]:
    """Each service: its stack, logical id, properties, the scope to read them in, its task definition if known."""
    for stack in stacks.stacks:
        for logical_id, properties, scope in stack.of_type("AWS::ECS::Service"):
            definition = resource_of(scope.get(properties, "TaskDefinition"), "AWS::ECS::TaskDefinition")
            yield stack, logical_id, properties, scope, tasks_of(definition) if definition else None


def entries(stacks: StackSet) -> Iterator[Entry]:
    """Each entry of each service's LoadBalancers."""
    for stack, logical_id, properties, scope, tasks in services(stacks):
        for index, entry in enumerate(scope.items(properties, "LoadBalancers") or []):
            if isinstance(entry, Mapping):
                yield Entry(stack, logical_id, index, entry, scope, tasks)


def handed_out(root: StackView, symbol: Symbol, *, outputs: bool) -> bool:
    """Whether a resource is told to something that the set does not show and that may act on it.

    That is a custom resource, a nested stack whose template is not in the set, a macro, and with `outputs`
    whoever reads an export or an output of the root.
    """
    return any(
        symbol in _resources(scope, value) for stack in root.tree() for scope, value in _told(stack, outputs)
    ) or not all(stack.facts.closed("Resources") for stack in root.tree())


def _told(stack: StackView, outputs: bool) -> Iterator[tuple[Scope, Any]]:
    unseen = {name for name, nested in stack.nestings.items() if nested.child is None}
    for logical_id, resource in stack.facts.resources.items():
        kind = resource["Type"]
        if logical_id in unseen or kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            yield stack.scope_of(resource), resource.get("Properties")
            yield from _code(stack.scope_of(resource).get(resource.get("Properties"), "ServiceToken"))
    for output in stack.facts.outputs.values() if outputs else ():
        if stack.parent is None or "Export" in output:
            yield stack.scope_of(output), output.get("Value")


def _code(token: Any) -> Iterator[tuple[Scope, Any]]:
    """The function behind a custom resource's token, whose code may name things, and what its role may do."""
    function = resource_of(token, "AWS::Lambda::Function", "AWS::Serverless::Function", "AWS::SNS::Topic")
    if function is None:
        return
    stack = function.stack
    resource = stack.resource(function.name)
    yield stack.scope_of(resource), resource.get("Properties")
    role = resource_of(property_of(function, "Role"), "AWS::IAM::Role")
    if role is not None:
        resource = role.stack.resource(role.name)
        yield role.stack.scope_of(resource), resource.get("Properties")
        for _, properties, scope in role.stack.of_type("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            if role.bare in _resources(scope, properties.get("Roles")):
                yield scope, properties


def _resources(scope: Scope, node: Any) -> set[Symbol]:
    """The resources that a piece of a template names, followed across stacks."""
    value = scope.value(node)
    if isinstance(value, Symbol):
        return {value.bare}
    if isinstance(value, Text):
        return {part.bare for part in value.parts if isinstance(part, Symbol)}
    if isinstance(value, (Mapping, list)):
        return {found for item in _children(value) for found in _resources(scope, item)}
    if value is not UNKNOWN:
        return set()
    # A function whose value is unknown may still pass on what stands in it.
    if isinstance(node, Mapping) and "Fn::Sub" in node:
        text, given = sub_parts(node["Fn::Sub"])
        variables = {name for name in VARIABLE.findall(text) if not name.startswith("!")}
        parts = [*given.values(), *({"Fn::Sub": f"${{{name}}}"} for name in variables - given.keys())]
        return {found for part in parts if part != node for found in _resources(scope, part)}
    return {found for item in _children(node) for found in _resources(scope, item)}


def _children(node: Any) -> Iterable[Any]:
    return node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
