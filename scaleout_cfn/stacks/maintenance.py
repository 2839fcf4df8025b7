"""Maintenance: a page instead of all services, while this stack is there."""

from __future__ import annotations

from msgspec import Struct
from troposphere import elasticloadbalancingv2 as elb

from scaleout_cfn.config import Config
from scaleout_cfn.config.routing import MAINTENANCE
from scaleout_cfn.stack import Stack
from scaleout_cfn.values import ListenerArn

MAINTENANCE_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Maintenance</title>
<body style="font-family: sans-serif; margin: 20vh auto; max-width: 30em; text-align: center">
<h1>We are back soon</h1><p>This service is being worked on. Please try again in a few minutes.</p></body></html>"""


class Outputs(Struct, frozen=True):
    pass


def build(stack: Stack, config: Config, *, listener: ListenerArn) -> Outputs:
    # Health checks do not pass the listener: tasks stay as they are.
    page = elb.FixedResponseConfig(StatusCode="503", ContentType="text/html", MessageBody=MAINTENANCE_PAGE)
    stack.add(
        elb.ListenerRule(
            "Maintenance",
            ListenerArn=listener,
            Priority=MAINTENANCE,
            Conditions=[elb.Condition(Field="path-pattern", PathPatternConfig=elb.PathPatternConfig(Values=["/*"]))],
            Actions=[elb.ListenerRuleAction(Type="fixed-response", FixedResponseConfig=page)],
        )
    )
    return Outputs()
