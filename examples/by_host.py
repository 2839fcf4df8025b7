"""Two services behind one load balancer, told apart by host, each name with a certificate of its own.

    python examples/by_host.py render -o FOLDER

Every command is there: lint, diff, deploy ...
"""

from __future__ import annotations

import scaleout_cfn as sc

ZONE = "Z0123456789ABCDEFGHIJ"

CONFIG = sc.Config(
    stack_name="shop",
    load_balancer=sc.NewLoadBalancer(listener=sc.Domain(domain_name="shop.example.com", hosted_zone_id=ZONE)),
    capacity={"nodes": sc.Ec2Capacity(max_nodes=12)},
    services={
        "web": sc.WebService(),
        "admin": sc.WebService(
            route=sc.Route(hosts=("admin.example.com",), hosted_zone_id=ZONE), scaling=sc.Scaling(max_tasks=4)
        ),
    },
)


if __name__ == "__main__":
    sc.main(config=CONFIG)
