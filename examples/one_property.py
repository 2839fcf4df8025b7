"""A single property that no tunable has: set on the composed troposphere objects, before they are rendered.

python examples/one_property.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from troposphere.elasticloadbalancingv2 import LoadBalancerAttributes

import scaleout_cfn as sc


def main(folder: Path) -> None:
    top = sc.compose()
    balancer = top.children["LoadBalancer"].template.resources["LoadBalancer"]
    balancer.LoadBalancerAttributes.append(LoadBalancerAttributes(Key="zonal_shift.config.enabled", Value="true"))
    top.children["Cluster"].template.resources["Nodes"].MaxInstanceLifetime = 14 * 24 * 3600
    sc.write(folder, sc.render(top))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
