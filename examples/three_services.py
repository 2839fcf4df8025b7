"""Three services: a web service, an API that it alone reaches by name, and a worker that runs the web service's image.

    python examples/three_services.py render -o FOLDER

Every command is there: lint, diff, deploy ...
"""

from __future__ import annotations

import scaleout_cfn as sc

CONFIG = sc.Config(
    stack_name="shop",
    capacity={"nodes": sc.Ec2Capacity(instance_types=("m7i.large",), max_nodes=12)},
    services={
        "web": sc.WebService(reaches=("api",), scaling=sc.Scaling(max_tasks=6)),
        "api": sc.InternalService(memory_mib=512, scaling=sc.Scaling(max_tasks=6)),
        "mailer": sc.WorkerService(
            image_of="web", command=("python", "-m", "mailer"), scaling=sc.Scaling(min_tasks=1, max_tasks=4)
        ),
    },
)


if __name__ == "__main__":
    sc.main(config=CONFIG)
