"""The time of a run, and what is to come."""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

PHASES = 12
"""Alarm phases that a result is taken over."""


class Phase(NamedTuple):
    """Offsets in seconds of the grids that AWS runs on: metric periods, alarm looks, capacity looks, health checks."""

    metrics: int
    alarms: int
    capacity: int
    checks: int


def phases(count: int = PHASES) -> list[Phase]:
    """Evenly spread offsets of the metric periods; the other grids wander past them, so that no pair keeps step."""
    return [
        Phase(index * 60 // count, index * 37 % 60, (30 + index * 23) % 60, index * 7 % 60) for index in range(count)
    ]


class Clock:
    """Seconds from 0 to `end`, and what is to happen by time, in a second in the order in which it was asked for."""

    def __init__(self, end: int, phase: Phase) -> None:
        self.now, self.end, self.phase = 0, end, phase
        self.heap: list[tuple[int, int, Any, Any]] = []
        self.order = 0

    def at(self, time: int, what: Any, argument: Any = None) -> None:
        """Have `what` called with the time and the argument; never where that is after the end."""
        if time < self.end:
            self.order += 1
            heapq.heappush(self.heap, (time, self.order, what, argument))
