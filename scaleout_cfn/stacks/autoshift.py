"""Zonal autoshift: AWS leads requests away from a zone that fails, and practises it each week."""

from __future__ import annotations

from troposphere import arczonalshift, cloudwatch
from troposphere import elasticloadbalancingv2 as elb

from scaleout_cfn.stack import Stack


def shift_by_itself(stack: Stack, balancer: elb.LoadBalancer, errors: cloudwatch.Alarm) -> None:
    """Let AWS shift the load balancer away from a zone. A practice run ends, and has failed, once `errors` fires.

    https://docs.aws.amazon.com/r53recovery/latest/dg/arc-zonal-autoshift.html
    """
    stack.add(
        arczonalshift.ZonalAutoshiftConfiguration(
            "Autoshift",
            ResourceIdentifier=balancer.ref(),
            ZonalAutoshiftStatus="ENABLED",
            PracticeRunConfiguration=arczonalshift.PracticeRunConfiguration(
                OutcomeAlarms=[arczonalshift.ControlCondition(Type="CLOUDWATCH", AlarmIdentifier=errors.get_att("Arn"))]
            ),
        )
    )
