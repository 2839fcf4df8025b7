"""A root of one's own: ours with a queue beside it, which the service may send to.

    python examples/own_root.py render -o FOLDER

Every command is there: lint, diff, deploy ... The parameters and outputs of our root need no repeating. The application
finds the queue by ORDERS_URL.
"""

from __future__ import annotations

from troposphere import Output, sqs

import scaleout_cfn as sc


def queue(stack: sc.Stack, config: sc.Config) -> sc.Attached:
    """Orders that wait."""
    orders = stack.add(
        sqs.Queue("Orders", SqsManagedSseEnabled=True, DeletionPolicy="Retain", UpdateReplacePolicy="Retain")
    )
    return sc.Attached(
        environment={"url": sc.Text(orders.ref())},
        arn=sc.ResourceArn(orders.get_att("Arn")),
        intents=("sends_to_queue",),
    )


def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
    """A shop: its services, and a queue beside them."""
    made = sc.build(stack, config)
    orders = stack.nest("Orders", queue, config)
    sc.attach(stack, "web", "orders", orders)
    stack.template.add_output(Output("OrdersUrl", Description="Where orders wait.", Value=orders.environment["url"]))
    return made


def composed(config: sc.Config) -> sc.Stack:
    return sc.compose(config, shop)


if __name__ == "__main__":
    sc.main(compose=composed)
