"""EC2 nodes as slots: each has the size that the capacity arithmetic gives it, tasks take their places on them, and the
capacity provider brings and removes them by the simulator's rules.

The nodes of a group are its `Instances`, as DescribeAutoScalingGroups shows them. Times are those of the scheduler's
clock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from ministack.core.responses import get_region
from ministack.services import autoscaling, ecs
from ministack.services.cloudformation import _stacks

from scaleout_cfn.capacity import UnknownInstanceType, instance_type, room_beside
from scaleout_cfn.config.scaling import NodeScaling
from scaleout_cfn.local.containers.tasks import size_of
from scaleout_cfn.local.types.ecs_requests import Record
from scaleout_cfn.simulator.decide import CapacityProvider
from scaleout_cfn.simulator.model import Delays, NodePool, Size

_GROUP: Final = "AWS::AutoScaling::AutoScalingGroup"
_LAUNCH_TEMPLATE: Final = "AWS::EC2::LaunchTemplate"
_POOL: Final = "_pool"
"""Where a group's record keeps its pool, which goes with it."""
_LACKS: Final = (
    "has insufficient CPU units available",
    "has insufficient memory available",
    'encountered error "RESOURCE:ENI"',
    "is already using a port required by your task",
    'encountered error "RESOURCE:GPU"',
)
"""What a node may have too little of, in the order of the parts of a Size."""


@dataclass(frozen=True)
class _Tenant:
    """A task on a node: its group, what it takes, and the ports of the node that are its own."""

    group: str
    size: Size
    ports: frozenset[int]


@dataclass(eq=False)
class _Node:
    """A node: an instance of its group, which takes tasks once it is in service."""

    instance: Record
    room: Size
    ready_at: float
    tenants: dict[str, _Tenant] = field(default_factory=dict)

    @property
    def free(self) -> Size:
        left = self.room
        for tenant in self.tenants.values():
            left = left.without(tenant.size, 1)
        return left

    @property
    def in_service(self) -> bool:
        return bool(self.instance["LifecycleState"] == "InService")

    def lacks(self, tenant: _Tenant) -> str:
        """Why a task finds no room here, in ECS's words; empty where it does."""
        pairs = zip(self.free.parts, tenant.size.parts, _LACKS, strict=True)
        taken = any(other.ports & tenant.ports for other in self.tenants.values())
        return next((lack for have, asked, lack in pairs if asked > have), _LACKS[3] if taken else "")


class _Pool:
    """The nodes of a group, and what moves them."""

    def __init__(self, group: Record, facts: NodePool, now: float) -> None:
        self.group, self.facts = group, facts
        self.provider = CapacityProvider(facts, Delays())
        self.nodes: list[_Node] = []
        self.waiting: dict[str, _Tenant] = {}
        self.next_look, self.asked, self.act_at = now + 60, 0, float("inf")
        # A stack is complete once these have joined the cluster.
        self._launch(facts.min_nodes, now)
        self._join(now)

    @property
    def count(self) -> int:
        """Nodes that take tasks."""
        return sum(node.in_service for node in self.nodes)

    @property
    def empty(self) -> int:
        """Those of them that have none."""
        return sum(node.in_service and not node.tenants for node in self.nodes)

    def advance(self, facts: NodePool, now: float) -> None:
        """Up to a moment: nodes come, the provider looks once a minute, and what its alarms see is done."""
        if facts != self.facts:
            self.facts, self.provider = facts, CapacityProvider(facts, Delays())
            for node in self.nodes:
                node.room = facts.room
        delays = self.provider.delays
        self._launch(facts.min_nodes - len(self.nodes), now + delays.node_launch_s + delays.node_join_s)
        self._join(now)
        if now >= self.next_look:
            self.next_look = now + 60
            sizes = [tenant.size for tenant in self.waiting.values()]
            waiting = [(sizes.count(size), each) for size in set(sizes) if (each := facts.room.holds(size))]
            wanted = self.provider.look(self, waiting)
            if wanted is not None:
                self.asked, self.act_at = wanted, now + delays.reservation_lag_s
        if now >= self.act_at:
            change, again = self.provider.act(int(now), self.asked, self, len(self.nodes) - self.count)
            self.act_at = float("inf") if again is None else again
            self._launch(change, now + delays.node_launch_s + delays.node_join_s)
            for node in [node for node in self.nodes if node.in_service and not node.tenants][: max(0, -change)]:
                self.nodes.remove(node)
        self.group["Instances"][:] = [node.instance for node in self.nodes]
        self.group["DesiredCapacity"] = len(self.nodes)

    def _launch(self, count: int, ready_at: float) -> None:
        subnets = str(self.group["VPCZoneIdentifier"]).count(",") + 1
        zones = [f"{get_region()}{letter}" for letter in "abcdef"[:subnets]]
        for _ in range(count):
            there = [node.instance["AvailabilityZone"] for node in self.nodes]
            instance = {
                "InstanceId": f"i-{ecs.new_uuid().replace('-', '')[:17]}",
                "LifecycleState": "Pending",
                "HealthStatus": "Healthy",
                "AvailabilityZone": min(zones, key=there.count),
                "ProtectedFromScaleIn": False,
            }
            self.nodes.append(_Node(instance, self.facts.room, ready_at))

    def _join(self, now: float) -> None:
        for node in self.nodes:
            if now >= node.ready_at:
                node.instance["LifecycleState"] = "InService"

    def place(self, arn: str, tenant: _Tenant, strategy: Iterable[Mapping[str, Any]]) -> str:
        """Give a task its place, or say why it waits."""
        nodes = [node for node in self.nodes if node.in_service]
        able = [node for node in nodes if not node.lacks(tenant)]
        if able:
            self.waiting.pop(arn, None)
            min(able, key=lambda node: [self._rank(node, tenant, each) for each in strategy]).tenants[arn] = tenant
            return ""
        self.waiting[arn] = tenant
        if not nodes:
            return "No Container Instances were found in your capacity provider."
        lacks = nodes[-1].lacks(tenant)
        return f"The closest matching container-instance {nodes[-1].instance['InstanceId']} {lacks}."

    def _rank(self, node: _Node, tenant: _Tenant, strategy: Mapping[str, Any]) -> int:
        """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html"""
        by = str(strategy.get("field", ""))
        if strategy["type"] == "binpack":
            return node.free.cpu_units if by.lower() == "cpu" else node.free.memory_mib
        zone = node.instance["AvailabilityZone"]
        peers = (
            [other for other in self.nodes if other.instance["AvailabilityZone"] == zone] if "zone" in by else [node]
        )
        among = [other.group for peer in peers for other in peer.tenants.values()]
        return among.count(tenant.group) if strategy["type"] == "spread" else 0


def service_of(task: Mapping[str, Any]) -> Record | None:
    """The service that a task is of; None where it is of none, or that is gone."""
    found: Record | None = ecs._services.get(key_of(task))
    return found


def key_of(task: Mapping[str, Any]) -> str:
    """Where ECS keeps the service of a task."""
    return f"{ecs._cluster_name_from_arn(task['clusterArn'])}/{task.get('group', '').partition('service:')[2]}"


class Nodes:
    """The pools of all groups that a capacity provider moves."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0.0

    def look(self, now: float) -> None:
        """Bring all pools of this account and region to a moment of the clock."""
        self.now = now
        with self.lock:
            for provider in list(ecs._capacity_providers.values()):
                self._pool(provider)

    def place(self, task: Record, definition: Mapping[str, Any]) -> str:
        """Give a task of an EC2 pool its place; where there is none, why it waits for one. Other tasks need none."""
        provider = ecs._capacity_providers.get(task.get("capacityProviderName"))
        with self.lock:
            pool = self._pool(provider) if provider else None
            if pool is None:
                return ""
            key = f"{ecs._cluster_name_from_arn(task['clusterArn'])}/{task['group'].partition(':')[2]}"
            service = ecs._services.get(key) or {}
            return pool.place(
                task["taskArn"], _tenant(task["group"], definition), service.get("placementStrategy") or ()
            )

    def free(self, task: Record) -> None:
        """A task is gone, or waits no longer."""
        with self.lock:
            for group in list(autoscaling._asgs.values()):
                if pool := group.get(_POOL):
                    for places in (pool.waiting, *(node.tenants for node in pool.nodes)):
                        places.pop(task["taskArn"], None)

    def _pool(self, provider: Mapping[str, Any]) -> _Pool | None:
        """The nodes of a provider as they are now; None where it has no group, or its nodes are of no known size."""
        settings = provider.get("autoScalingGroupProvider") or {}
        name = str(settings.get("autoScalingGroupArn", "")).rpartition("/")[2]
        group = autoscaling._asgs.get(name)
        facts = _facts(group, settings.get("managedScaling") or {}) if group else None
        if group is None or facts is None:
            return None
        pool: _Pool = group.get(_POOL) or group.setdefault(_POOL, _Pool(group, facts, self.now))
        pool.advance(facts, self.now)
        return pool


def _tenant(group: str, definition: Mapping[str, Any]) -> _Tenant:
    cpu, memory = size_of(definition)
    own = definition.get("networkMode") == "awsvpc"
    raws = definition["containerDefinitions"]
    needs = [need for raw in raws for need in raw.get("resourceRequirements") or () if need["type"] == "GPU"]
    host = "containerPort" if definition.get("networkMode") == "host" else "hostPort"
    ports = [int(port.get(host) or 0) for raw in raws for port in raw.get("portMappings") or () if not own]
    size = Size(cpu, memory, int(own), int(not own), sum(int(need["value"]) for need in needs))
    return _Tenant(group, size, frozenset(filter(None, ports)))


def _facts(group: Mapping[str, Any], scaling: Mapping[str, Any]) -> NodePool | None:
    """What the simulator's rules ask of a group. Its first instance type counts."""
    properties = _properties(_GROUP, group["AutoScalingGroupName"])
    mixed = (properties.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    chosen = mixed.get("LaunchTemplateSpecification") or properties.get("LaunchTemplate") or {}
    template = _properties(_LAUNCH_TEMPLATE, chosen.get("LaunchTemplateId", ""))
    types = [each.get("InstanceType") for each in mixed.get("Overrides") or ()]
    name = next(filter(None, types), None) or (template.get("LaunchTemplateData") or {}).get("InstanceType", "")
    room = None
    with suppress(UnknownInstanceType):
        room = room_beside(instance_type(name), ())
    if room is None:
        return None
    cpu, memory, interfaces, ports, gpus = room.values()
    size = Size(cpu, memory, interfaces, ports, gpus)
    moves = NodeScaling(
        target_capacity_percent=int(scaling.get("targetCapacity") or 100),
        min_step=int(scaling.get("minimumScalingStepSize") or 1),
        max_step=int(scaling.get("maximumScalingStepSize") or 10000),
        warmup_s=int(scaling.get("instanceWarmupPeriod", 300)),
    )
    return NodePool(int(group["MinSize"]), int(group["MaxSize"]), name, size.cpu_units, size, moves)


def _properties(kind: str, physical_id: str) -> Mapping[str, Any]:
    """What the template of a resource says, as it was resolved."""
    resources = (found for stack in list(_stacks.values()) for found in list(stack.get("_resources", {}).values()))
    for resource in resources:
        if resource["ResourceType"] == kind and resource["PhysicalResourceId"] == physical_id:
            found: Mapping[str, Any] = resource["Properties"]
            return found
    return {}
