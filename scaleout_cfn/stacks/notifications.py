"""Notifications: the topic of the alarms, and who is told."""

from __future__ import annotations

from msgspec import Struct
from troposphere import Equals, Not, sns

from scaleout_cfn.config import Config
from scaleout_cfn.stack import Stack
from scaleout_cfn.stacks.keys import under_key
from scaleout_cfn.values import EmailAddress, KeyArn, TopicArn


class Outputs(Struct, frozen=True):
    topic: TopicArn


def build(stack: Stack, config: Config, *, alarm_email: EmailAddress, key: KeyArn | None) -> Outputs:
    topic = stack.add(under_key(sns.Topic("Alarms"), key))
    # A parameter, not a Python if: who is told is often known only to whoever creates the stack.
    told = stack.condition("HasEmail", Not(Equals(alarm_email, "")))
    stack.add(
        sns.SubscriptionResource(
            "EmailSubscription", TopicArn=topic.ref(), Protocol="email", Endpoint=alarm_email, Condition=told
        )
    )
    return Outputs(TopicArn(topic.ref()))
