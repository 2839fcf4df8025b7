"""The queue beside the request-level engine of the tests, over hundreds of seeds: `python tests/bench/oracle.py`.

Takes minutes. The tests do the same with 24 seeds, which near full load leaves noise of its own. Nothing here passes or
fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from scaleout_cfn.simulator.model import Load
from scaleout_cfn.simulator.queueing import waits

sys.path.insert(0, str(Path(__file__).parents[1]))
from simulator.oracle import shapes, share_over

CASES = ((1, 20.0, 0.25), (4, 40.0, 0.15), (4, 50.0, 0.25), (16, 160.0, 0.25))
MOST_SEEDS, MOST_REQUESTS = 400, 4_000_000


def main() -> None:
    print("workers  traffic          seeds     ours  requests  difference  standard error")
    worst = 0.0
    for workers, task_rps, wait_s in CASES:
        for name, rates in shapes(task_rps).items():
            seeds = range(min(MOST_SEEDS, int(MOST_REQUESTS / sum(rates))))
            runs = [share_over(rates, workers, task_rps, wait_s, 10.0, seed) for seed in seeds]
            shares = np.array([over / count for over, count in runs])
            found = waits(np.array(rates), np.ones(len(rates)), Load(task_rps, workers, timeout_s=10.0))
            ours, theirs = float((found.share_over(wait_s) * rates).sum() / sum(rates)), float(shares.mean())
            error = float(shares.std(ddof=1)) / len(seeds) ** 0.5
            worst = max(worst, abs(ours - theirs))
            print(
                f"{workers:7}  {name:<15} {len(seeds):6}   {ours:.4f}    {theirs:.4f}     {ours - theirs:+.4f}"
                f"          {error:.4f}"
            )
    print(f"worst difference {worst:.4f} of the requests")


if __name__ == "__main__":
    main()
