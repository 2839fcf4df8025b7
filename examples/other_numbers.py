"""Other numbers: a config made in Python, on which a config file, overlays and --set may still build.

    python examples/other_numbers.py render -o FOLDER

Every command is there: lint, diff, deploy ...
"""

from __future__ import annotations

import scaleout_cfn as sc

CONFIG = sc.Config(
    stack_name="shop",
    network=sc.NewVpc(zones=3, egress="nat-per-zone"),
    capacity={
        "nodes": sc.Ec2Capacity(
            architecture="arm64", instance_types=("m7g.large", "m6g.large"), max_nodes=12, spot_percent=50
        )
    },
    services={
        "web": sc.WebService(
            cpu_units=512,
            memory_mib=768,
            environment={"MODE": "production"},
            scaling=sc.Scaling(
                min_tasks=3,
                max_tasks=30,
                cpu=sc.TargetTracking(enabled=True, target=55),
                schedules=(
                    sc.Schedule(
                        name="open", at="cron(30 8 ? * MON-FRI *)", timezone="Europe/Berlin", min_tasks=6, max_tasks=30
                    ),
                    sc.Schedule(
                        name="closed", at="cron(0 19 ? * * *)", timezone="Europe/Berlin", min_tasks=3, max_tasks=30
                    ),
                ),
            ),
        )
    },
    tags={"team": "shop"},
)


if __name__ == "__main__":
    sc.main(config=CONFIG)
