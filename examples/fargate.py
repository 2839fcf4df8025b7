"""A service on Fargate: arm64, two tasks On-Demand in any case, most of the others on Spot.

    python examples/fargate.py render -o FOLDER

Every command is there: lint, diff, deploy ...
"""

from __future__ import annotations

import scaleout_cfn as sc

CONFIG = sc.Config(
    stack_name="shop",
    capacity={"fargate": sc.FargateCapacity(spot_percent=80, on_demand_base=2)},
    services={"web": sc.WebService(architecture="arm64", cpu_units=256, memory_mib=512)},
)


if __name__ == "__main__":
    sc.main(config=CONFIG)
