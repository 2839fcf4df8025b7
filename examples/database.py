"""A PostgreSQL database that `api` reaches and nobody else. Its address and its password are written down nowhere.

    python examples/database.py render -o FOLDER

Every command is there: lint, diff, deploy ... It has ORDERS_HOST, ORDERS_PORT, ORDERS_NAME, ORDERS_USERNAME
and ORDERS_PASSWORD. In TOML it is:  [attachments.orders] kind = "postgres" used_by = ["api"]
"""

from __future__ import annotations

import scaleout_cfn as sc

CONFIG = sc.Config(
    stack_name="shop",
    capacity={"fargate": sc.FargateCapacity()},
    services={
        "web": sc.WebService(memory_mib=512, reaches=("api",)),
        "api": sc.InternalService(memory_mib=512),
    },
)


def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
    """A shop: its services, and a database beside them."""
    made = sc.build(stack, config)
    settings = sc.Postgres(multi_az=True)
    orders = sc.postgres(stack, "orders", settings, vpc_id=made.vpc_id, subnets=made.node_subnets)
    sc.attach(stack, "api", "orders", orders)
    return made


def composed(config: sc.Config) -> sc.Stack:
    return sc.compose(config, shop)


if __name__ == "__main__":
    sc.main(config=CONFIG, compose=composed)
