"""What the policies are written with: where they are for, the ARNs of what a stack makes, and documents that fit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from awacs.aws import Action, Allow, Condition, PolicyDocument, Statement

#: What a managed policy may have, white space not counted.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MOST_CHARACTERS = 6144

#: So much of a stack's name is in every name that CloudFormation makes. A role's may have 64 characters in all.
SURE = 20

#: Services whose resources' names begin with the stack's, and the ARNs of these. S3 and ECR names are in small letters.
#: Whatever is not here has names that CloudFormation does not choose, or cuts short, as a load balancer's.
NAMES: Mapping[str, tuple[str, ...]] = {
    # What is shifted is a load balancer.
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapplicationrecoverycontroller-zonalshift.html
    "arc-zonal-shift": ("arn:{partition}:elasticloadbalancing:{region}:{account}:loadbalancer/app/*",),
    "autoscaling": (
        "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{begins}*",
    ),
    "cloudformation": ("arn:{partition}:cloudformation:{region}:{account}:stack/{stack}-*",),
    "cloudwatch": (
        "arn:{partition}:cloudwatch:{region}:{account}:alarm:{begins}*",
        "arn:{partition}:cloudwatch:{region}:{account}:alarm-mute-rule:{begins}*",
        # What target tracking makes.
        "arn:{partition}:cloudwatch:{region}:{account}:alarm:TargetTracking-*",
        # Named after their logical id alone.
        "arn:{partition}:cloudwatch::{account}:dashboard/*",
    ),
    # Named after their logical id alone.
    "codebuild": ("arn:{partition}:codebuild:{region}:{account}:project/*",),
    "codepipeline": ("arn:{partition}:codepipeline:{region}:{account}:{begins}*",),
    "dynamodb": ("arn:{partition}:dynamodb:{region}:{account}:table/{begins}*",),
    "ecr": ("arn:{partition}:ecr:{region}:{account}:repository/{small}*",),
    "ecs": (
        "arn:{partition}:ecs:{region}:{account}:capacity-provider/{begins}*",
        "arn:{partition}:ecs:{region}:{account}:cluster/{cluster}*",
        "arn:{partition}:ecs:{region}:{account}:service/{cluster}*",
        "arn:{partition}:ecs:{region}:{account}:service-deployment/{cluster}*",
        "arn:{partition}:ecs:{region}:{account}:task-definition/{begins}*",
    ),
    "events": ("arn:{partition}:events:{region}:{account}:rule/{begins}*",),
    "iam": (
        "arn:{partition}:iam::{account}:instance-profile{path}{begins}*",
        "arn:{partition}:iam::{account}:policy{path}{begins}*",
        "arn:{partition}:iam::{account}:role{path}{roles}*",
    ),
    # A key has no name of ours, and one that is given may be another account's: its policy decides.
    "kms": (
        "arn:{partition}:kms:{region}:*:key/*",
        "arn:{partition}:kms:{region}:{account}:alias/{begins}*",
    ),
    "logs": (
        "arn:{partition}:logs:{region}:{account}:log-group:{begins}*",
        # As WAF wants its own to begin.
        "arn:{partition}:logs:{region}:{account}:log-group:aws-waf-logs-{begins}*",
    ),
    "rds": (
        *(
            f"arn:{{partition}}:rds:{{region}}:{{account}}:{kind}:{{small}}*"
            for kind in ("db", "pg", "snapshot", "subgrp")
        ),
        # A database is of the option group and the automated backups that RDS gives it.
        "arn:{partition}:rds:{region}:{account}:og:default*",
        "arn:{partition}:rds:{region}:{account}:auto-backup:*",
    ),
    "s3": ("arn:{partition}:s3:::{small}*",),
    # What RDS makes for a master user.
    "secretsmanager": ("arn:{partition}:secretsmanager:{region}:{account}:secret:rds!*",),
    "sns": ("arn:{partition}:sns:{region}:{account}:{begins}*",),
}


@dataclass(frozen=True)
class Scope:
    """Where the policies are for. An asterisk for what is not known.

    `boundary` bounds every role of the set; `path` and `prefix` are what their names begin with, and `cluster` is the
    cluster's, where that is not CloudFormation's choice. `imported` are the ARNs, by service, of what was there before.
    """

    stack: str
    bucket: str
    account: str = "*"
    region: str = "*"
    boundary: str = ""
    path: str = "/"
    prefix: str = ""
    cluster: str = ""
    imported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def partition(self) -> str:
        begins = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}
        return next((name for prefix, name in begins.items() if self.region.startswith(prefix)), "aws")

    @property
    def begins(self) -> str:
        """What the names that CloudFormation makes begin with: where a name may not be long, it cuts the stack's."""
        return f"{self.stack}-" if len(self.stack) <= SURE else self.stack[:SURE]

    def named(self, service: str) -> list[str]:
        return [self.arn(pattern) for pattern in (*NAMES[service], *self.imported.get(service, ()))]

    def arn(self, pattern: str) -> str:
        return pattern.format(
            partition=self.partition,
            region=self.region,
            account=self.account,
            stack=self.stack,
            begins=self.begins,
            path=self.path,
            roles=self.prefix or self.begins,
            cluster=self.cluster or self.begins,
            small=self.begins.lower(),
            bucket=self.bucket,
        )


def documents(name: str, statements: Iterable[Statement]) -> dict[str, str]:
    """Statements as policy documents in JSON, file name to text: as few as fit into managed policies."""
    whole = plain(statements)
    parts: list[list[Any]] = [[]]
    for statement in whole:
        if parts[-1] and characters(_text([*parts[-1], statement])) > MOST_CHARACTERS:
            parts.append([])
        parts[-1].append(statement)
    names = [name] if len(parts) == 1 else [f"{name}-{number}" for number in range(1, len(parts) + 1)]
    return {f"{one}.json": _text(part) for one, part in zip(names, parts, strict=True)}


def characters(text: str) -> int:
    """The size of a document as IAM counts it."""
    return len("".join(text.split()))


def _text(statements: Sequence[Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2) + "\n"


def plain(statements: Iterable[Statement]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(PolicyDocument(Statement=list(statements)).to_json())["Statement"]
    return found


def allow(sid: str, actions: Iterable[str], resources: Iterable[str], condition: Condition | None = None) -> Statement:
    more = {"Condition": condition} if condition else {}
    named = [Action(*action.split(":", 1)) for action in sorted(actions)]
    return Statement(Sid=sid, Effect=Allow, Action=named, Resource=list(resources), **more)


def public_parameters(templates: Mapping[str, Mapping[str, Any]], scope: Scope) -> list[Statement]:
    """The reading of AWS's public parameters, where a set has a parameter that stands for one: the machine image."""
    if not any("AWS::SSM::Parameter::Value" in str(one.get("Parameters")) for one in templates.values()):
        return []
    public = "arn:{partition}:ssm:{region}::parameter/aws/service/*"
    return [allow("ReadPublicParameters", ["ssm:GetParameters"], [scope.arn(public)])]
