"""AWS as the rest sees it: clients, how often they ask, and what its errors mean; and what AWS calls things."""

from __future__ import annotations

NESTED = "AWS::CloudFormation::Stack"
SERVICE = "AWS::ECS::Service"


def name_in(arn: str) -> str:
    """The last part of an ARN: of a task its id, of a service its name."""
    return arn.rpartition("/")[2]


def cluster_in(arn: str) -> str:
    """The cluster in the ARN of an ECS service.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html#ecs-resource-ids
    """
    return arn.split("/")[-2]


def title_in(arn: str) -> str:
    """The name in the ARN of a stack, a change set or a target group, which ends in an id."""
    return arn.split("/")[1]
