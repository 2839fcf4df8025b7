"""ECS services as a set wires them: their task definitions, target groups and containers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scaleout_cfn.templates.facts import VARIABLE, sub_parts
from scaleout_cfn.templates.stacks import Place, Scope, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN, as_number

SERVICE = "AWS::ECS::Service"
TASKS = "AWS::ECS::TaskDefinition"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"


def tasks_of(service: Place) -> Place | None:
    symbol = resource_of(service.get("TaskDefinition"), TASKS)
    return symbol.place if symbol else None


def containers(tasks: Place) -> tuple[Place, ...]:
    """The containers of a task definition that can be read, each titled by its name."""
    several = tasks.each("ContainerDefinitions")
    for number, container in enumerate(several):
        name = container.get("Name")
        container.title = name if isinstance(name, str) else f"number {number}"
    return several


def names(tasks: Place | None) -> list[str] | None:
    found = [container.get("Name") for container in containers(tasks)] if tasks else []
    return found if found and all(isinstance(name, str) for name in found) else None


def mappings(tasks: Place | None, container: Any) -> list[Mapping[str, Any]] | None:
    """The port mappings of a container, ports as numbers (None where absent), Protocol; None if one is unknown."""
    named = (it for it in containers(tasks) if it.get("Name") == container) if tasks and container else ()
    definition = next(iter(named), None)
    if definition is None or not isinstance(container, str) or definition.items("PortMappings") is None:
        return None
    found: list[Mapping[str, Any]] = []
    for mapping in definition.each("PortMappings"):
        ports = {key: mapping.get(key) for key in ("ContainerPort", "HostPort", "ContainerPortRange")}
        if any(port is not None and as_number(port) is None for port in ports.values()):
            return None
        found.append({**{key: as_number(port) for key, port in ports.items()}, "Protocol": mapping.get("Protocol")})
    return found


def network_mode(tasks: Place | None) -> Any:
    """How the tasks of a definition reach the network; UNKNOWN where that cannot be told."""
    mode = tasks.get("NetworkMode") if tasks else UNKNOWN
    if mode is not None or tasks is None:
        return mode
    # Without a mode, tasks on Linux instances get bridge; what only Fargate or nobody names is left alone.
    return "bridge" if tasks.items("RequiresCompatibilities") in ([], ["EC2"]) else UNKNOWN


class Entry:
    """One entry of a service's LoadBalancers, with the task definition and target group it joins."""

    def __init__(self, service: Place, place: Place) -> None:
        self.service = service
        self.place = place
        self.tasks = tasks_of(service)
        self.container = place.get("ContainerName")
        self.port = place.number("ContainerPort")
        self.group = resource_of(place.get("TargetGroupArn"), TARGET_GROUP)

    @property
    def mapping(self) -> Mapping[str, Any] | None:
        """The port mapping of the task definition that this entry means, values evaluated."""
        for mapping in mappings(self.tasks, self.container) or []:
            if mapping["ContainerPort"] == self.port and self.port is not None:
                return mapping
        return None


def entries(service: Place) -> Iterator[Entry]:
    for place in service.each("LoadBalancers"):
        if isinstance(place.node, Mapping):
            yield Entry(service, place)


def handed_out(root: StackView, symbol: Symbol, *, outputs: bool) -> bool:
    """Whether a resource is told to something that the set does not show and that may act on it.

    That is a custom resource, a nested stack whose template is not in the set, a macro, and with `outputs`
    whoever reads an export or an output of the root.
    """
    told: set[Symbol] | None = root.remembered(("told", outputs), lambda: _told_by(root, outputs))
    return told is None or symbol in told


def _told_by(root: StackView, outputs: bool) -> set[Symbol] | None:
    """The resources that are told to somebody unseen; None where a macro may tell him any."""
    if not all(stack.facts.closed("Resources") for stack in root.tree()):
        return None
    return {
        symbol for stack in root.tree() for scope, value in _told(stack, outputs) for symbol in _resources(scope, value)
    }


def _told(stack: StackView, outputs: bool) -> Iterator[tuple[Scope, Any]]:
    unseen = {name for name, nested in stack.nestings.items() if nested.child is None}
    for logical_id, resource in stack.facts.resources.items():
        kind = resource["Type"]
        if logical_id in unseen or kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            place = stack.place(logical_id)
            yield place.scope, place.node
            yield from _code(place.get("ServiceToken"))
    for output in stack.facts.outputs.values() if outputs else ():
        if stack.parent is None or "Export" in output:
            yield stack.scope_of(output), output.get("Value")


def _code(token: Any) -> Iterator[tuple[Scope, Any]]:
    """The function behind a custom resource's token, whose code may name things, and what its role may do."""
    function = resource_of(token, "AWS::Lambda::Function", "AWS::Serverless::Function", "AWS::SNS::Topic")
    if function is None:
        return
    yield function.place.scope, function.place.node
    role = resource_of(function.place.get("Role"), "AWS::IAM::Role")
    if role is not None:
        yield role.place.scope, role.place.node
        for policy in role.stack.places("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            if role.bare in _resources(policy.scope, policy.node.get("Roles")):
                yield policy.scope, policy.node


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
