"""Tasks on nodes. Nodes that hold the same tasks are counted together, by zone: what takes time is how many different
ones there are, not how many tasks or nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from scaleout_cfn.capacity import Demand, InstanceType, room_beside
from scaleout_cfn.simulator.model import PACKED, NodePool, Placement, Size
from scaleout_cfn.simulator.rules import MOST_NODES, share_evenly, wanted_nodes, within, work_of_node

_Zone = dict["Held", int]


class Held:
    """What a node of a kind holds: tasks by service, how many more of each it would take, and what is left of its
    memory."""

    __slots__ = ("counts", "cpu", "kind", "left", "space")

    def __init__(self, kind: int, counts: tuple[int, ...], room: Size, sizes: Sequence[Size]) -> None:
        self.kind, self.counts = kind, counts
        free = room
        for count, size in zip(counts, sizes, strict=True):
            free = free.without(size, count) if count else free
        self.space = tuple(
            0 if size.apart and count else free.holds(size) for count, size in zip(counts, sizes, strict=True)
        )
        # What the others' reservations leave to each service.
        self.cpu = tuple(free.cpu_units + count * size.cpu_units for count, size in zip(counts, sizes, strict=True))
        # binpack(memory), as our templates have it; of nodes that have as much left, those with more tasks.
        self.left = (free.memory_mib, -sum(counts), counts, kind)


class Nodes:
    """The registered nodes and what they hold: `zones` have a number of nodes for each way to fill one.

    Kinds of nodes are numbered in the order of `rooms`, services in that of `sizes`; `nodes_in` counts nodes by zone,
    `of_kind` by kind, `tasks_in` tasks by service and zone. What is random is so by `random`, the same each time.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html
    """

    def __init__(
        self, zones: int, rooms: Sequence[Size], sizes: Sequence[Size], placements: Sequence[Placement]
    ) -> None:
        self.rooms, self.sizes, self.placements = tuple(rooms), tuple(sizes), tuple(placements)
        self.random = Random(0)
        self.known: dict[tuple[int, tuple[int, ...]], Held] = {}
        self.bare = [self._held(kind, (0,) * len(self.sizes)) for kind in range(len(self.rooms))]
        self.zones: list[_Zone] = [{} for _ in range(zones)]
        self.nodes_in, self.of_kind = [0] * zones, [0] * len(self.rooms)
        self.lost_zones: set[int] = set()
        self.tasks_in = [[0] * zones for _ in self.sizes]
        self.works: dict[int, float] = {}  # by service, until a task moves: asked for much more often
        self.count = 0
        self.tasks = [0] * len(self.sizes)

    @property
    def empty(self) -> int:
        """Nodes without a task."""
        return sum(zone.get(bare, 0) for zone in self.zones for bare in self.bare)

    def room_for(self, service: int) -> int:
        """How many more tasks of a service have a place."""
        return sum(self._rooms(service))

    def work(self, service: int, own: float, most: float) -> float:
        """How many tasks' worth of work a service's tasks do on what they reserve and on what is idle beside it."""
        work = self.works.get(service)
        if work is None:
            work = self.works[service] = sum(
                many * work_of_node(held.counts[service], own, most, held.cpu[service])
                for zone in self.zones
                for held, many in zone.items()
                if held.counts[service]
            )
        return work

    def add(self, count: int, kind: int = 0, into: int | None = None) -> None:
        """New nodes go to the zone that has the fewest, of those that are not lost; or into one that is asked for."""
        open_ = [0 if zone in self.lost_zones else count for zone in range(len(self.zones))]
        if into is not None:
            open_ = [count if zone == into else 0 for zone in range(len(self.zones))]
        for zone, share in enumerate(share_evenly(count, self.nodes_in, open_)):
            if share:
                _change(self.zones[zone], self.bare[kind], share)
                self.nodes_in[zone] += share
        self.count += count
        self.of_kind[kind] += count

    def place(self, service: int, count: int) -> int:
        """Put tasks on nodes: even over zones, then the fullest node that has room, or any. Returns how many fitted.

        binpack alone looks at nodes only: for it, the whole cluster is one zone.
        """
        rooms = self._rooms(service)
        if self.placements[service] == "binpack":
            placed = min(count, sum(rooms))
            self._fill(range(len(self.zones)), service, placed)
        else:
            shares = share_evenly(count, self.tasks_in[service], rooms)
            for zone, share in enumerate(shares):
                if share:
                    self._fill((zone,), service, share)
            placed = sum(shares)
        self.tasks[service] += placed
        self.works.clear()
        return placed

    def free(self, service: int, count: int) -> None:
        """Take tasks away: from the fullest zone, and there from the node with the most room left, or any of them where
        they are not packed."""
        tasks_in = self.tasks_in[service]
        if self.placements[service] == "binpack":
            self._clear(range(len(self.zones)), service, count)
        else:
            for zone, share in enumerate(_from_the_top(count, tasks_in, tasks_in)):
                if share:
                    self._clear((zone,), service, share)
        self.tasks[service] -= count
        self.works.clear()

    def remove(self, count: int) -> list[int]:
        """Take nodes away, the emptiest first, evenly over zones. Returns how many tasks of each service went along."""
        lost = [0] * len(self.sizes)
        self.works.clear()
        for held in sorted({held for zone in self.zones for held in zone}, key=lambda held: held.left, reverse=True):
            there = [zone.get(held, 0) for zone in self.zones]
            taken = min(count, sum(there))
            for zone, share in enumerate(_from_the_top(taken, self.nodes_in, there)):
                if share:
                    self._lose(zone, held, share, lost)
            count -= taken
            if not count:
                break
        return lost

    def take(self, count: int, zone: int | None = None) -> list[int]:
        """Nodes go whatever is on them, of one zone or evenly of all, the fullest first. Returns how many tasks of each
        service went along."""
        lost = [0] * len(self.sizes)
        self.works.clear()
        zones = range(len(self.zones)) if zone is None else [zone]
        for held in sorted({held for each in zones for held in self.zones[each]}, key=lambda held: held.left):
            there = [known.get(held, 0) if each in zones else 0 for each, known in enumerate(self.zones)]
            taken = min(count, sum(there))
            for each, share in enumerate(_from_the_top(taken, self.nodes_in, there)):
                if share:
                    self._lose(each, held, share, lost)
            count -= taken
        return lost

    def _lose(self, zone: int, held: Held, nodes: int, lost: list[int]) -> None:
        _change(self.zones[zone], held, -nodes)
        self.nodes_in[zone] -= nodes
        self.count -= nodes
        self.of_kind[held.kind] -= nodes
        for service, each in enumerate(held.counts):
            lost[service] += nodes * each
            self.tasks_in[service][zone] -= nodes * each
            self.tasks[service] -= nodes * each

    def movable(self) -> tuple[int, Held, int] | None:
        """A node whose tasks fit on the others of its zone, or on those and a smaller one: its zone, what it holds, and
        the kind of the smaller one, -1 for none. Spread over zones comes before packing.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-infrastructure-optimization.html
        """
        for zone, known in enumerate(self.zones):
            for held in sorted(known, key=_left, reverse=True):
                if not any(held.counts):
                    continue
                for kind in (-1, *range(held.kind)):
                    others = Nodes(1, self.rooms, self.sizes, ["binpack"] * len(self.sizes))
                    others.zones[0] = {**known, held: known[held] - 1}
                    if not others.zones[0][held]:
                        del others.zones[0][held]
                    if kind >= 0:
                        others.add(1, kind)
                    if all(others.place(service, count) == count for service, count in enumerate(held.counts) if count):
                        return zone, held, kind
        return None

    def remove_empty(self, count: int) -> None:
        """So many nodes without a task go, of the largest kinds first, evenly over zones."""
        for bare in reversed(self.bare):
            there = [zone.get(bare, 0) for zone in self.zones]
            taken = min(count, sum(there))
            for zone, share in enumerate(_from_the_top(taken, self.nodes_in, there)):
                if share:
                    self._lose(zone, bare, share, [0] * len(self.sizes))
            count -= taken

    def take_one(self, zone: int, held: Held) -> list[int]:
        """One node that holds so much goes. Returns how many tasks of each service went along."""
        lost = [0] * len(self.sizes)
        self.works.clear()
        self._lose(zone, held, 1, lost)
        return lost

    def _held(self, kind: int, counts: tuple[int, ...]) -> Held:
        held = self.known.get((kind, counts))
        if held is None:
            held = self.known[kind, counts] = Held(kind, counts, self.rooms[kind], self.sizes)
        return held

    def _with(self, held: Held, service: int, more: int) -> Held:
        counts = held.counts
        return self._held(held.kind, (*counts[:service], counts[service] + more, *counts[service + 1 :]))

    def _rooms(self, service: int) -> list[int]:
        return [sum(held.space[service] * many for held, many in zone.items()) for zone in self.zones]

    def _fill(self, zones: Iterable[int], service: int, count: int) -> None:
        placement = self.placements[service]
        while count:
            there = [(held.left, zone, held) for zone in zones for held in self.zones[zone] if held.space[service]]
            if placement == "random":
                count -= self._any(there, service, [self.zones[zone][held] for _, zone, held in there], 1)
                continue
            if placement == "instances":
                _, zone, held = min(there, key=lambda node: (node[2].counts[service], *node[:2]))
                count -= self._move(zone, held, service, count, 1, 1)
                continue
            for _, zone, held in sorted(there, key=_by_left):
                count -= self._move(zone, held, service, count, held.space[service], 1)
                if not count:
                    return

    def _clear(self, zones: Iterable[int], service: int, count: int) -> None:
        packed = self.placements[service] in PACKED
        while count:
            there = [(held.left, zone, held) for zone in zones for held in self.zones[zone] if held.counts[service]]
            if not packed:
                weights = [self.zones[zone][held] * held.counts[service] for _, zone, held in there]
                count -= self._any(there, service, weights, -1)
                continue
            for _, zone, held in sorted(there, key=_by_left, reverse=True):
                count -= self._move(zone, held, service, count, held.counts[service], -1)
                if not count:
                    return

    def _any(self, there: Sequence[_Node], service: int, weights: Sequence[int], sign: int) -> int:
        """One task, on any node or of any."""
        _, zone, held = self.random.choices(there, weights)[0]
        return self._move(zone, held, service, 1, 1, sign)

    def _move(self, zone: int, held: Held, service: int, count: int, each: int, sign: int) -> int:
        """Put up to `each` tasks on every node that holds this, or take them away: whole nodes, and one in part."""
        there = self.zones[zone][held]
        whole = min(there, count // each)
        moved = whole * each
        if whole:
            _change(self.zones[zone], held, -whole)
            _change(self.zones[zone], self._with(held, service, sign * each), whole)
        if moved < count and whole < there:
            _change(self.zones[zone], held, -1)
            _change(self.zones[zone], self._with(held, service, sign * (count - moved)), 1)
            moved = count
        self.tasks_in[service][zone] += sign * moved
        return moved


_Node = tuple[tuple[int, int, tuple[int, ...], int], int, Held]


def _by_left(node: _Node) -> tuple[object, ...]:
    return node[:2]


def _left(held: Held) -> tuple[int, int, tuple[int, ...], int]:
    return held.left


def _change(zone: _Zone, held: Held, nodes: int) -> None:
    many = zone.get(held, 0) + nodes
    if many:
        zone[held] = many
    else:
        del zone[held]


def _from_the_top(count: int, have: Sequence[int], most: Sequence[int]) -> list[int]:
    """Taking from the fullest is giving to the emptiest, seen from above."""
    top = max(have)
    return share_evenly(count, [top - number for number in have], most)


class Asked(NamedTuple):
    """So many tasks of a size, to be placed so."""

    task: Size
    placement: Placement
    tasks: int


def first_nodes(pool: NodePool, asked: Sequence[Asked]) -> Nodes:
    """As many nodes as some tasks settle at, with these on them."""
    if pool.managed:
        nodes = _empty(pool, asked)
        for kind, count in enumerate(right_sized(nodes, [each.tasks for each in asked])):
            nodes.add(count, kind)
        for number, each in enumerate(asked):
            nodes.place(number, each.tasks)
        return nodes
    most = min(pool.max_nodes, MOST_NODES)
    needed = _nodes_for(pool, asked, [each.tasks for each in asked])
    while needed < most:
        nodes = _full(pool, asked, needed)
        more = _nodes_for(pool, asked, [each.tasks - on for each, on in zip(asked, nodes.tasks, strict=True)])
        if not more:
            break
        needed += more
    wanted = wanted_nodes(needed, pool.scaling.target_capacity_percent)
    return _full(pool, asked, within(pool.min_nodes, wanted, most))


def room_of(type: InstanceType, daemons: Sequence[Demand] = ()) -> Size:
    """What a node of a type has for tasks beside those that run on every node."""
    left = room_beside(type, daemons) or {}
    return Size(
        left.get("CPU", 0), left.get("memory", 0), left.get("network interfaces", 0), left.get("ports", 0),
        left.get("GPUs", 0),
    )  # fmt: skip


def places(pool: NodePool, task: Size) -> int:
    """The most tasks of a size that may be on the most nodes, beside those that stand there."""
    asked = [*standing(pool), Asked(task, "binpack", 0)]
    return _full(pool, asked, min(pool.max_nodes, MOST_NODES)).room_for(len(asked) - 1)


def standing(pool: NodePool) -> list[Asked]:
    """The tasks of services that have no traffic."""
    return [Asked(each.task, "spread", each.tasks) for each in pool.standing]


def _nodes_for(pool: NodePool, asked: Sequence[Asked], tasks: Sequence[int]) -> int:
    """The fewest nodes that hold so many tasks of the size that needs most of them; none for one that fits on none."""
    each = [pool.room.holds(one.task) for one in asked]
    return max((-(-count // fit) for count, fit in zip(tasks, each, strict=True) if fit), default=0)


def right_sized(nodes: Nodes, waiting: Sequence[int], booting: Sequence[int] = ()) -> list[int]:
    """How many nodes of each kind, of the kinds in order of size, ECS Managed Instances start for tasks that wait,
    beside those that boot: in each zone the smallest that holds its part of them all, several of the largest where none
    does. The size is not published; over zones is: at least three instances in different zones where it can be, before
    any packing. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instance-auto-scaling.html
    """
    ahead = Nodes(len(nodes.zones), nodes.rooms, nodes.sizes, nodes.placements)
    ahead.lost_zones = nodes.lost_zones
    for kind, count in enumerate(booting):
        ahead.add(count, kind)
    largest, zones = len(nodes.rooms) - 1, len(nodes.zones) - len(nodes.lost_zones)
    started = [0] * len(nodes.rooms)
    fits = [nodes.rooms[largest].holds(size) for size in nodes.sizes]
    left = [count - ahead.place(number, count) if fits[number] else 0 for number, count in enumerate(waiting)]
    while any(left) and zones:
        part = [-(-count // zones) for count in left]
        kind = next((kind for kind, room in enumerate(nodes.rooms) if _holds(room, nodes.sizes, part)), largest)
        count = min(zones, sum(left))
        if not _holds(nodes.rooms[kind], nodes.sizes, part):
            count = max(count, *(-(-tasks // fit) for tasks, fit in zip(left, fits, strict=True) if fit))
        ahead.add(count, kind)
        started[kind] += count
        left = [count - ahead.place(number, count) for number, count in enumerate(left)]
    return started


def _holds(room: Size, sizes: Sequence[Size], tasks: Sequence[int]) -> bool:
    """Whether tasks of some sizes fit on one node together."""
    for size, count in zip(sizes, tasks, strict=True):
        if count > room.holds(size):
            return False
        room = room.without(size, count)
    return True


def _empty(pool: NodePool, asked: Sequence[Asked]) -> Nodes:
    rooms = [kind.room for kind in pool.managed.kinds] if pool.managed else [pool.room]
    return Nodes(pool.zones, rooms, [each.task for each in asked], [each.placement for each in asked])


def _full(pool: NodePool, asked: Sequence[Asked], nodes: int) -> Nodes:
    """So many nodes with what fits on them."""
    made = _empty(pool, asked)
    made.add(nodes, len(made.rooms) - 1)
    for number, each in enumerate(asked):
        made.place(number, each.tasks)
    return made
