"""How often AWS is asked: one limiter that everything that polls shares."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long to watch, and to put up with expired credentials, in seconds. None is no bound."""

    wait_s: float | None = None
    access_s: float | None = 120.0

    def end(self, pace: Pace) -> float | None:
        """The time on the pace's clock at which to stop, when watching begins now."""
        return None if self.wait_s is None else pace.clock() + self.wait_s


USUAL = Patience()


class Pace:
    """Waits between polls, longer after a throttled answer and slowly shorter again.

    `base_s` is the usual distance, `most_s` the longest. `clock`, `sleep` and `jitter` (0 to 1) are arguments, so
    that tests run on a clock of their own.
    """

    def __init__(
        self,
        base_s: float = 3.0,
        most_s: float = 30.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.base_s = base_s
        self.most_s = max(most_s, base_s)
        self.clock = clock
        self.interval_s = base_s
        self._sleep = sleep
        self._jitter = jitter

    def wait(self) -> None:
        """Sleep for the present distance, 30 percent more or less: many deployers must not poll in step."""
        self._sleep(self.interval_s * (0.7 + 0.6 * self._jitter()))

    def turns(self, end: float | None) -> Iterator[None]:
        """A turn for each look, the usual distance apart, until the clock shows `end`; without an end for None."""
        while True:
            yield
            if end is not None and self.clock() >= end:
                return
            self.wait()

    def slower(self) -> None:
        """AWS asked for patience, or could not answer."""
        self.interval_s = min(self.most_s, self.interval_s * 2)

    def faster(self) -> None:
        """An answer came."""
        self.interval_s = max(self.base_s, self.interval_s * 0.9)
