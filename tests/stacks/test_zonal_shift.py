"""Zonal shift: what may be led away from a zone, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

import scaleout_cfn as sc
from stacks.helpers import Templates, att, made, of_type, properties, ref

AUTOSHIFT = "ARCZonalShift::ZonalAutoshiftConfiguration"


def with_balancer(**settings: Any) -> Templates:
    return made(sc.Config(load_balancer=sc.NewLoadBalancer(**settings)))


def attributes(templates: Templates) -> dict[str, str]:
    balancer = properties(templates, "load-balancer", "LoadBalancer")
    return {item["Key"]: item["Value"] for item in balancer["LoadBalancerAttributes"]}


def test_nothing_is_shifted_unless_asked() -> None:
    assert "zonal_shift.config.enabled" not in attributes(made())
    assert "AvailabilityZoneImpairmentPolicy" not in properties(made(), "capacity", "NodesGroup")


@pytest.mark.parametrize("how", ["shift", "autoshift"])
def test_a_load_balancer_that_may_be_shifted_says_so(how: str) -> None:
    assert attributes(with_balancer(zonal_shift=how))["zonal_shift.config.enabled"] == "true"


def test_aws_shifts_by_itself_only_where_asked_and_practises_until_the_balancer_s_errors_fire() -> None:
    assert not of_type(with_balancer(zonal_shift="shift")["load-balancer.yaml"], AUTOSHIFT)
    templates = with_balancer(zonal_shift="autoshift")
    assert of_type(templates["load-balancer.yaml"], AUTOSHIFT) == {
        "Autoshift": {
            "ResourceIdentifier": ref("LoadBalancer"),
            "ZonalAutoshiftStatus": "ENABLED",
            "PracticeRunConfiguration": {
                "OutcomeAlarms": [{"Type": "CLOUDWATCH", "AlarmIdentifier": att("LoadBalancerErrors", "Arn")}]
            },
        }
    }
    # Without requests the alarm is OK, which a practice run begins by.
    assert properties(templates, "load-balancer", "LoadBalancerErrors")["TreatMissingData"] == "notBreaching"


def test_a_pool_that_may_be_shifted_launches_and_replaces_nothing_in_a_zone_that_fails() -> None:
    group = properties(made(nodes=sc.Ec2Capacity(zonal_shift=True)), "capacity", "NodesGroup")
    assert group["AvailabilityZoneImpairmentPolicy"] == {
        "ZonalShiftEnabled": True,
        "ImpairedZoneHealthCheckBehavior": "IgnoreUnhealthy",
    }
