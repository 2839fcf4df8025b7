"""How long a task works on a request: a distribution around the mean that `workers` and `task_rps` imply."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from scaleout_cfn.errors import UsageError

_NORMAL = NormalDist()


@dataclass(frozen=True)
class ServiceTime:
    """The shape of the service time; `cv` is its coefficient of variation, the standard deviation over the mean."""

    kind: Literal["exponential", "lognormal", "constant"] = "exponential"
    cv: float = 1.0

    @property
    def variability(self) -> float:
        """How much longer a queue is than before exponential services, under arrivals at random.

        Pollaczek and Khinchine's (1 + cv²) / 2; for several workers an approximation of Lee and Longton, which Allen
        and Cunneen took up: https://en.wikipedia.org/wiki/M/G/k_queue
        """
        return (1 + self.cv * self.cv) / 2

    def share_over(self, multiple: float) -> float:
        """The share of requests that are worked on for longer than so many means."""
        if multiple <= 0:
            return 1.0
        if self.kind == "constant":
            return float(multiple < 1)
        if self.kind == "exponential":
            return math.exp(-multiple)
        middle, spread = self._logarithm()
        return 1 - _NORMAL.cdf((math.log(multiple) - middle) / spread)

    def within(self, multiple: float, count: int) -> list[float]:
        """So many service times, equally likely, that stand for all that are no longer than so many means."""
        share = 1 - self.share_over(multiple)
        if not share:
            return []
        if self.kind == "constant":
            return [1.0]
        chances = [share * (index + 0.5) / count for index in range(count)]
        if self.kind == "exponential":
            return [-math.log1p(-chance) for chance in chances]
        middle, spread = self._logarithm()
        return [math.exp(middle + spread * _NORMAL.inv_cdf(chance)) for chance in chances]

    def _logarithm(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm, for a mean of 1."""
        variance = math.log1p(self.cv * self.cv)
        return -variance / 2, math.sqrt(variance)


EXPONENTIAL = ServiceTime()
"""What is taken where nothing is known: a standard deviation as large as the mean."""


def service_time(text: str) -> ServiceTime:
    """Of exponential, constant, or lognormal:CV. Raises UsageError on anything else."""
    kind, colon, number = text.partition(":")
    if kind == "exponential" and not colon:
        return EXPONENTIAL
    if kind == "constant" and not colon:
        return ServiceTime("constant", 0.0)
    if kind == "lognormal":
        try:
            cv = float(number)
        except ValueError:
            cv = math.nan
        if 0.01 <= cv <= 10:
            return ServiceTime("lognormal", cv)
    raise UsageError(
        f"--service-time {text}: give exponential, constant, or lognormal:CV with the coefficient of variation, 0.01 to"
        " 10, as in lognormal:1.5"
    )
