"""What ECS does for one service: start and stop tasks until there are as many as desired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple, Protocol

from scaleout_cfn.simulator import rules
from scaleout_cfn.simulator.model import Delays, Rollout
from scaleout_cfn.simulator.rules import Clock

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
class _Version:
    """A new version at its way in, beside `old` tasks of the one before: there were `first` of those, and `owed` more
    are to be placed. Its own tasks fail so long after their start, where not None. It has a `share` of the requests by
    the `step` it is at; `tell` is called when it is over, and how.
    """

    rollout: Rollout
    fails_after_s: int | None
    tell: Callable[[int, str], None]
    old: int
    first: int
    owed: int = 0
    share: float = 0.0
    step: int = 0
    failed: int = 0


@dataclass(eq=False)
class _Cohort:
    """Tasks that were placed together and do not serve yet, of a version that is on its way in, or `beside` it."""

    count: int
    version: _Version | None
    started: bool = False
    beside: bool = False


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
        self.version: _Version | None = None
        self.cold, self.cold_s, self.cold_share = 0, 0, 1.0  # tasks that serve at a share, for so long from their start
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
        have = self._have()
        if self.version:
            self._take_over(now, self.version, have)
        elif have < self.desired:
            self._start(now, self.desired - have)
        elif have > self.desired:
            self._stop(now, have - self.desired)
        self.note()

    def _have(self) -> int:
        """Those that wait, start and run, and have had no notice."""
        starting = sum(cohort.count for cohort in self.cohorts if not cohort.started)
        return self.running + self.waiting + starting - self.doomed

    def deploy(self, now: int, rollout: Rollout, fails_after_s: int | None, tell: Callable[[int, str], None]) -> None:
        """A new version begins to take over from all that there is."""
        self.version = _Version(rollout, fails_after_s, tell, self._have() - self.waiting, self.desired)
        self.reconcile(now)

    def _take_over(self, now: int, version: _Version, have: int) -> None:
        """Start what is missing of the new version; in place, stop as much of the old one as may go for it. Below the
        desired number that is where there is no room otherwise.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html: the minimum is
        rounded up, the maximum down.
        """
        version.old = min(version.old, have)
        coming = version.owed + sum(cohort.count for cohort in self.cohorts if cohort.beside)
        missing = self.desired - (have - version.old - coming)
        if missing < 0:
            self._stop(now, -missing)
        if version.rollout.steps:
            if version.share < 1:
                # How far the old version follows what policies want is published nowhere.
                follows = ceil(max(0, self.desired - version.first) * (1 - self.delays.old_version_stays))
                more = max(0, version.first + follows - version.old - coming)
                version.owed += more
                missing += more
            self._start(now, max(0, missing))
            if not version.step and self.ready >= self.desired + version.old:
                self._shift(now, version)
            return
        least = ceil(self.desired * version.rollout.minimum_healthy_percent / 100)
        room = floor(self.desired * version.rollout.maximum_percent / 100) - have
        kept = least if self.waiting or missing > room else max(least, self.desired)
        gone = min(version.old, max(0, self.ready - kept))
        if gone:
            version.old -= gone
            self._drain(now, gone)
        self._start(now, max(0, min(missing, room + gone)))
        if not version.old and self.ready >= self.desired:
            self.version = None
            version.tell(now, "over")

    def _shift(self, now: int, version: _Version) -> None:
        """Requests move to the new version, in steps; after the last the old one goes.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/canary-deployment.html
        """
        if version is not self.version:
            return
        if version.step < len(version.rollout.steps):
            version.share, stays_s = version.rollout.steps[version.step]
            version.step += 1
            self.clock.at(now + stays_s, self._shift, version)
        else:
            self.version = None
            self._drain(now, min(version.old, self.ready))
            version.tell(now, "over")
            self.reconcile(now)

    def _fail(self, now: int, cohort: _Cohort) -> None:
        """Tasks of a bad version have ended, or never got healthy: after so many the circuit breaker stops it."""
        self.cohorts.remove(cohort)
        self.running -= cohort.count
        self.placed -= cohort.count
        self.places.free(now, self, cohort.count)
        version = self.version
        if version and version is cohort.version:
            version.failed += cohort.count
            breaker = version.rollout.breaker
            if breaker and version.failed >= rules.failures_allowed(breaker, self.desired):
                self.version = None
                bad = sum(cohort.count for cohort in self.cohorts if cohort.version is version)
                self._stop(now, self.waiting + bad)
                version.tell(now, f"taken back after {version.failed} failed tasks")
        self.reconcile(now)

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
            beside = 0
            if version := self.version:
                beside = min(version.owed, placed)
                version.owed -= beside
            for cohort in (_Cohort(beside, None, beside=True), _Cohort(placed - beside, version)):
                if cohort.count:
                    self.cohorts.append(cohort)
                    self.clock.at(now + pull_s + self.places.start_s, self._run, cohort)

    def _run(self, now: int, cohort: _Cohort) -> None:
        cohort.started = True
        self.running += cohort.count
        every = self.health_check_s
        if cohort.version and cohort.version.fails_after_s is not None:
            self.clock.at(now + cohort.version.fails_after_s, self._fail, cohort)
        else:
            healthy = now if every is None else rules.first_check(now, every, self.clock.phase.checks)
            self.clock.at(healthy, self._serve, cohort)
        self.note()

    def _serve(self, now: int, cohort: _Cohort) -> None:
        self.cohorts.remove(cohort)
        if self.slow_start_s and self.ready > sum(fresh.count for fresh in self.fresh):
            self.fresh[cohort] = now
            self._warm(now, cohort)
        self.ready += cohort.count
        if self.cold_s:
            self.cold += cohort.count
            self.clock.at(now + self.cold_s, self._fill_cache, cohort.count)
        if self.version:
            self.version.old += cohort.count if cohort.beside else 0
            self.reconcile(now)
        self.note()

    def _fill_cache(self, now: int, count: int) -> None:
        self.cold -= count

    def _warm(self, now: int, cohort: _Cohort) -> None:
        """Look again soon at a cohort in slow start."""
        if now - self.fresh[cohort] >= self.slow_start_s:
            del self.fresh[cohort]
        else:
            self.clock.at(now + max(1, self.slow_start_s // _SLOW_STEPS), self._warm, cohort)

    def at_work(self) -> float:
        """The tasks that serve, in what they can take all together.

        Those in slow start count by the share of requests that each is sent, which rises evenly: the others are sent
        more than their part meanwhile, and are busy sooner. Of two versions beside each other each takes its share of
        the requests alone; those with a cold cache take a part of what the others do.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#slow-start-mode
        """
        ready, version = float(self.ready), self.version
        if version and version.rollout.steps:
            old, share = min(version.old, self.ready), version.share
            ready = min([*([old / (1 - share)] if share < 1 else []), *([(ready - old) / share] if share else [])])
        if self.fresh:
            now, length = self.clock.now, self.slow_start_s
            step = max(1, length // _SLOW_STEPS)
            ready -= sum(cohort.count * (1 - (now - since + step / 2) / length) for cohort, since in self.fresh.items())
        if self.cold and self.ready:
            ready *= 1 - min(1, self.cold / self.ready) * (1 - self.cold_share)
        return max(0.0, ready)

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
        self._drain(now, min(count, self.ready))

    def _drain(self, now: int, count: int) -> None:
        """Tasks that serve get no more requests, and stop once theirs are done."""
        if count:
            self.ready -= count
            self.running -= count
            self.draining += count
            self.clock.at(now + self.drain_s + self.delays.stop_s, self._drained, count)

    def _drained(self, now: int, count: int) -> None:
        gone = min(count, self.draining)
        self.draining -= gone
        self.placed -= gone
        self.places.free(now, self, gone)
        self.note()

    def doom(self, now: int, count: int) -> int:
        """So many tasks have had notice, and are replaced from now on. Such as drain go at once. Returns the others,
        which are `end`ed in time."""
        draining = max(0, count - (self.placed - self.draining - self.doomed))
        self.draining -= draining
        self.placed -= draining
        count -= draining
        self.doomed += count
        self.reconcile(now)
        return count

    def end(self, now: int, count: int) -> None:
        """So many that have had notice are gone."""
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
