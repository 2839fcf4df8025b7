"""A single property that no tunable has: set on the composed troposphere objects, before they are rendered.

    python examples/one_property.py render -o FOLDER

Every command is there: lint, diff, deploy ...
"""

from __future__ import annotations

from troposphere.elasticloadbalancingv2 import LoadBalancerAttributes

import scaleout_cfn as sc


def tuned(config: sc.Config) -> sc.Stack:
    top = sc.compose(config)
    balancer = top.children["LoadBalancer"].template.resources["LoadBalancer"]
    balancer.LoadBalancerAttributes.append(LoadBalancerAttributes(Key="zonal_shift.config.enabled", Value="true"))
    top.children["Capacity"].template.resources["NodesGroup"].MaxInstanceLifetime = 14 * 24 * 3600
    return top


if __name__ == "__main__":
    sc.main(compose=tuned)
