"""Tasks on nodes. Nodes that hold the same tasks are counted together, by zone: what takes time is how many different
ones there are, not how many tasks or nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from scaleout_cfn.simulator.model import NodePool, Size
from scaleout_cfn.simulator.rules import MOST_NODES, share_evenly, wanted_nodes, within, work_of_node

__all__ = ["Asked", "Nodes", "first_nodes", "places", "standing"]

_Zone = dict["_Held", int]
_Place = Literal["spread", "binpack"]


class _Held:
    """What a node holds: tasks by service, how many more of each it would take, and what is left of its memory."""

    __slots__ = ("counts", "cpu", "left", "space")

    def __init__(self, counts: tuple[int, ...], room: Size, sizes: Sequence[Size]) -> None:
        self.counts = counts
        free = room
        for count, size in zip(counts, sizes, strict=True):
            free = free.without(size, count) if count else free
        self.space = tuple(
            0 if size.apart and count else free.holds(size) for count, size in zip(counts, sizes, strict=True)
        )
        # What the others' reservations leave to each service.
        self.cpu = tuple(free.cpu_units + count * size.cpu_units for count, size in zip(counts, sizes, strict=True))
        # binpack(memory), as our templates have it; of nodes that have as much left, those with more tasks.
        self.left = (free.memory_mib, -sum(counts), counts)


class Nodes:
    """The registered nodes and what they hold: `zones` have a number of nodes for each way to fill one.

    Services are numbered in the order of `sizes`; `nodes_in` counts nodes by zone, `tasks_in` tasks by service, zone.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-strategies.html
    """

    def __init__(self, zones: int, room: Size, sizes: Sequence[Size], placements: Sequence[_Place]) -> None:
        self.room, self.sizes, self.placements = room, tuple(sizes), tuple(placements)
        self.known: dict[tuple[int, ...], _Held] = {}
        self.bare = self._held((0,) * len(self.sizes))
        self.zones: list[_Zone] = [{} for _ in range(zones)]
        self.nodes_in = [0] * zones
        self.lost_zones: set[int] = set()
        self.tasks_in = [[0] * zones for _ in self.sizes]
        self.works: dict[int, float] = {}  # by service, until a task moves: asked for much more often
        self.count = 0
        self.tasks = [0] * len(self.sizes)

    @property
    def empty(self) -> int:
        """Nodes without a task."""
        return sum(zone.get(self.bare, 0) for zone in self.zones)

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

    def add(self, count: int) -> None:
        """New nodes go to the zone that has the fewest, of those that are not lost."""
        open_ = [0 if zone in self.lost_zones else count for zone in range(len(self.zones))]
        for zone, share in enumerate(share_evenly(count, self.nodes_in, open_)):
            if share:
                _change(self.zones[zone], self.bare, share)
                self.nodes_in[zone] += share
        self.count += count

    def place(self, service: int, count: int) -> int:
        """Put tasks on nodes: even over zones, then the fullest node that has room. Returns how many fitted.

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
        """Take tasks away: from the fullest zone, and there from the node with the most room left."""
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
        zones = range(len(self.zones)) if zone is None else [zone]
        for held in sorted({held for each in zones for held in self.zones[each]}, key=lambda held: held.left):
            there = [known.get(held, 0) if each in zones else 0 for each, known in enumerate(self.zones)]
            taken = min(count, sum(there))
            for each, share in enumerate(_from_the_top(taken, self.nodes_in, there)):
                if share:
                    self._lose(each, held, share, lost)
            count -= taken
        return lost

    def _lose(self, zone: int, held: _Held, nodes: int, lost: list[int]) -> None:
        _change(self.zones[zone], held, -nodes)
        self.nodes_in[zone] -= nodes
        self.count -= nodes
        for service, each in enumerate(held.counts):
            lost[service] += nodes * each
            self.tasks_in[service][zone] -= nodes * each
            self.tasks[service] -= nodes * each

    def _held(self, counts: tuple[int, ...]) -> _Held:
        held = self.known.get(counts)
        if held is None:
            held = self.known[counts] = _Held(counts, self.room, self.sizes)
        return held

    def _with(self, held: _Held, service: int, more: int) -> _Held:
        counts = held.counts
        return self._held((*counts[:service], counts[service] + more, *counts[service + 1 :]))

    def _rooms(self, service: int) -> list[int]:
        return [sum(held.space[service] * many for held, many in zone.items()) for zone in self.zones]

    def _fill(self, zones: Iterable[int], service: int, count: int) -> None:
        found = [(held.left, zone, held) for zone in zones for held in self.zones[zone] if held.space[service]]
        for _, zone, held in sorted(found, key=_by_left):
            count -= self._move(zone, held, service, count, held.space[service], 1)
            if not count:
                return

    def _clear(self, zones: Iterable[int], service: int, count: int) -> None:
        found = [(held.left, zone, held) for zone in zones for held in self.zones[zone] if held.counts[service]]
        for _, zone, held in sorted(found, key=_by_left, reverse=True):
            count -= self._move(zone, held, service, count, held.counts[service], -1)
            if not count:
                return

    def _move(self, zone: int, held: _Held, service: int, count: int, each: int, sign: int) -> int:
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


def _by_left(found: tuple[tuple[int, int, tuple[int, ...]], int, _Held]) -> tuple[object, ...]:
    return found[:2]


def _change(zone: _Zone, held: _Held, nodes: int) -> None:
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
    placement: _Place
    tasks: int


def first_nodes(pool: NodePool, asked: Sequence[Asked]) -> Nodes:
    """As many nodes as some tasks settle at, with these on them."""
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


def _full(pool: NodePool, asked: Sequence[Asked], nodes: int) -> Nodes:
    """So many nodes with what fits on them."""
    made = Nodes(pool.zones, pool.room, [each.task for each in asked], [each.placement for each in asked])
    made.add(nodes)
    for number, each in enumerate(asked):
        made.place(number, each.tasks)
    return made
