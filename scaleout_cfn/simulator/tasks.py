"""What ECS does for one service: start and stop tasks until there are as many as desired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.clock import Clock
from scaleout_cfn.simulator.model import Delays

__all__ = ["Places", "State", "Tasks"]

_SLOW_STEPS = 20  # in which the share of a target in slow start rises
_LAUNCH_BATCHES = 10  # a minute's launches come in so many batches


class State(NamedTuple):
    """Counts from `time` (s) on. `size` is of the group: the nodes and those that boot."""

    time: int
    desired: int
    running: int
    ready: int
    waiting: int
    nodes: int
    size: int


class Places(Protocol):
    """Where tasks run: a pool of nodes, or Fargate."""

    @property
    def registered(self) -> int:
        """Nodes that tasks may be on."""

    @property
    def size(self) -> int:
        """These and those that boot."""

    @property
    def start_s(self) -> int:
        """From a task's placement until it runs."""

    def admits(self, tasks: Tasks) -> int | None:
        """How many tasks more may run or wait; None where there is no limit."""

    def place(self, tasks: Tasks, count: int) -> int:
        """Take tasks in; returns how many have a place. The others wait for one, and are placed once there is."""

    def work(self, tasks: Tasks, own: float, most: float) -> float:
        """How many tasks' worth of work all that have a place could do, each by `own` CPU units and up to `most`."""

    def free(self, now: int, tasks: Tasks, count: int) -> None:
        """So many tasks have gone."""


@dataclass(eq=False)
class _Cohort:
    """Tasks that were placed together and do not serve yet."""

    count: int
    started: bool = False


class Tasks:
    """The tasks of a service: how many are desired, wait for a place, start, run, serve and drain.

    `placed` counts all that have a place: those that start, run and drain. Of these `doomed` have had their notice:
    they work on, and others are started in their stead. `health_check_s` is None where a task serves once it runs.
    `number` is the service's among those of its pool. All that changes is an attribute, and the policies look at it as
    it is.
    """

    def __init__(
        self,
        clock: Clock,
        delays: Delays,
        places: Places,
        health_check_s: int | None,
        drain_s: int,
        slow_start_s: int = 0,
    ) -> None:
        self.clock, self.delays, self.places = clock, delays, places
        self.health_check_s, self.drain_s, self.slow_start_s = health_check_s, drain_s, slow_start_s
        self.fresh: dict[_Cohort, int] = {}  # those in slow start, with when they began to serve
        self.number = self.least = self.most = 0
        self.desired = self.running = self.ready = self.waiting = self.placed = self.draining = self.doomed = 0
        self.cohorts: list[_Cohort] = []
        self.window = self.launched_in_window = 0
        self.launch_pending = False
        self.states: list[State] = []

    def settle(self, desired: int, placed: int) -> None:
        """As it has been for long: of so many desired tasks, so many have a place and serve."""
        self.desired, self.waiting = desired, desired - placed
        self.running = self.ready = self.placed = placed

    def reconcile(self, now: int) -> None:
        """Start or stop tasks until there are as many as desired."""
        starting = sum(cohort.count for cohort in self.cohorts if not cohort.started)
        have = self.running + self.waiting + starting - self.doomed
        if have < self.desired:
            self._start(now, self.desired - have)
        elif have > self.desired:
            self._stop(now, have - self.desired)
        self.note()

    def _start(self, now: int, count: int) -> None:
        batch = max(1, self.delays.launch_per_minute // _LAUNCH_BATCHES)
        window = now * _LAUNCH_BATCHES // 60
        if window != self.window:
            self.window, self.launched_in_window = window, 0
        allowed = min(count, batch - self.launched_in_window)
        admitted = self.places.admits(self)
        if admitted is not None:
            allowed = min(allowed, admitted)
        self.launched_in_window += max(0, allowed)
        if allowed > 0:
            self.waiting += allowed
            self.place(now)
        if count > allowed and not self.launch_pending:
            self.launch_pending = True
            self.clock.at(-(-(window + 1) * 60 // _LAUNCH_BATCHES), self._start_more)

    def _start_more(self, now: int, _: None) -> None:
        self.launch_pending = False
        self.reconcile(now)

    def place(self, now: int, pull_s: int = 0) -> None:
        """What waits goes where there is a place; on new nodes it pulls its image first."""
        placed = self.places.place(self, self.waiting) if self.waiting else 0
        if placed:
            self.waiting -= placed
            self.placed += placed
            cohort = _Cohort(placed)
            self.cohorts.append(cohort)
            self.clock.at(now + pull_s + self.places.start_s, self._run, cohort)

    def _run(self, now: int, cohort: _Cohort) -> None:
        cohort.started = True
        self.running += cohort.count
        every = self.health_check_s
        self.clock.at(
            now if every is None else rules.first_check(now, every, self.clock.phase.checks), self._serve, cohort
        )
        self.note()

    def _serve(self, now: int, cohort: _Cohort) -> None:
        self.cohorts.remove(cohort)
        if self.slow_start_s and self.ready > sum(fresh.count for fresh in self.fresh):
            self.fresh[cohort] = now
            self._warm(now, cohort)
        self.ready += cohort.count
        self.note()

    def _warm(self, now: int, cohort: _Cohort) -> None:
        """Look again soon at a cohort in slow start."""
        if now - self.fresh[cohort] >= self.slow_start_s:
            del self.fresh[cohort]
        else:
            self.clock.at(now + max(1, self.slow_start_s // _SLOW_STEPS), self._warm, cohort)

    def warmed(self) -> float:
        """The tasks that serve, those in slow start by the share of requests that each is sent, which rises evenly. The
        others are sent more than their part meanwhile, and are busy sooner.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#slow-start-mode
        """
        now, length = self.clock.now, self.slow_start_s
        step = max(1, length // _SLOW_STEPS)
        cold = sum(cohort.count * (1 - (now - since + step / 2) / length) for cohort, since in self.fresh.items())
        return max(0.0, self.ready - cold)

    def _stop(self, now: int, count: int) -> None:
        """Tasks that wait go first, then those that start, then those that serve: these drain before they stop."""
        gone = min(count, self.waiting)
        self.waiting -= gone
        count -= gone
        starting = 0
        for cohort in reversed(self.cohorts):
            gone = min(count, cohort.count)
            cohort.count -= gone
            count -= gone
            starting += gone
            if cohort.started:
                self.running -= gone
        if starting:
            self.placed -= starting
            self.places.free(now, self, starting)
        gone = min(count, self.ready)
        if gone:
            self.ready -= gone
            self.running -= gone
            self.draining += gone
            self.clock.at(now + self.drain_s + self.delays.stop_s, self._drained, gone)

    def _drained(self, now: int, count: int) -> None:
        gone = min(count, self.draining)
        self.draining -= gone
        self.placed -= gone
        self.places.free(now, self, gone)
        self.note()

    def doom(self, now: int, count: int, notice_s: int) -> None:
        """So many tasks will be gone after a notice, and are replaced from now on. Such as drain go at once."""
        draining = max(0, count - (self.placed - self.draining - self.doomed))
        self.draining -= draining
        self.placed -= draining
        count -= draining
        self.doomed += count
        self.clock.at(now + notice_s, self._end, count)
        self.reconcile(now)

    def _end(self, now: int, count: int) -> None:
        gone = min(count, self.doomed)
        self.doomed -= gone
        self.lose(gone)
        self.reconcile(now)

    def lose(self, count: int) -> None:
        """Tasks that went with their node: nobody drained it."""
        self.placed -= count
        gone = min(count, self.ready)
        self.ready -= gone
        self.running -= gone
        for cohort in self.cohorts:
            more = min(count - gone, cohort.count)
            cohort.count -= more
            gone += more
            if cohort.started:
                self.running -= more
        self.draining -= count - gone

    def note(self) -> None:
        """Write down the counts, where they have changed."""
        places, now = self.places, self.clock.now
        state = State(now, self.desired, self.running, self.ready, self.waiting, places.registered, places.size)
        states = self.states
        if states and states[-1].time == now:
            states[-1] = state
        elif not states or states[-1][1:] != state[1:]:
            states.append(state)
