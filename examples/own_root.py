"""A root of one's own: ours with a queue beside it, whose address is an output of the set.

    python examples/own_root.py render -o FOLDER

Every command is there: lint, diff, deploy ... The parameters and outputs of our root need no repeating.
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import Output, sqs

import scaleout_cfn as sc


@dataclass(frozen=True)
class QueueOutputs:
    url: sc.Text


def queue(stack: sc.Stack, config: sc.Config) -> QueueOutputs:
    """Orders that wait."""
    orders = stack.add(
        sqs.Queue("Orders", SqsManagedSseEnabled=True, DeletionPolicy="Retain", UpdateReplacePolicy="Retain")
    )
    return QueueOutputs(sc.Text(orders.ref()))


def shop(stack: sc.Stack, config: sc.Config) -> sc.Outputs:
    """A shop: its services, and a queue beside them."""
    made = sc.build(stack, config)
    orders = stack.nest("Orders", queue, config)
    stack.template.add_output(Output("OrdersUrl", Description="Where orders wait.", Value=orders.url))
    return made


def composed(config: sc.Config) -> sc.Stack:
    return sc.compose(config, shop)


if __name__ == "__main__":
    sc.main(compose=composed)
