"""Stack policies: what holds data says so to CloudFormation, too.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from scaleout_cfn.deploy.aws import Aws
from scaleout_cfn.deploy.live import Resource
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.deploy.plan import Change, is_stateful
from scaleout_cfn.errors import AccessError, ApiError

__all__ = ["lift", "policy", "protect"]


def policy(kept: Iterable[str]) -> str:
    """A stack policy that allows every update but the replacement and deletion of these logical ids."""
    statements: list[dict[str, object]] = [{"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}]
    if resources := [f"LogicalResourceId/{title}" for title in sorted(kept)]:
        statements.append(
            {
                "Effect": "Deny",
                "Action": ["Update:Replace", "Update:Delete"],
                "Principal": "*",
                "Resource": resources,
            }
        )
    return json.dumps({"Statement": statements})


def protect(aws: Aws, resources: Iterable[Resource], tell: Tell) -> None:
    """Set the policy of every stack that holds data. One that cannot be set is told, and changes nothing else."""
    kept: dict[str, set[str]] = {}
    for one in resources:
        if is_stateful(one.type):
            kept.setdefault(one.stack_id, set()).add(one.path.rpartition("/")[2])
    for stack_id, titles in kept.items():
        _set(aws, stack_id, policy(titles), tell)


def lift(aws: Aws, changes: Iterable[Change], allowed: Collection[str], tell: Tell) -> None:
    """Let through what was consented to, and only that. The policies are set again after the deployment."""
    changes = list(changes)
    for stack_id in {one.stack_id for one in changes if one.path in allowed and one.stack_id}:
        kept = [
            one.path.rpartition("/")[2]
            for one in changes
            if one.stack_id == stack_id and one.stateful and one.path not in allowed
        ]
        _set(aws, stack_id, policy(kept), tell)


def _set(aws: Aws, stack_id: str, body: str, tell: Tell) -> None:
    try:
        # A put of the whole policy: to repeat it is safe, and it takes no token.
        aws.write("cloudformation", "set_stack_policy", StackName=stack_id, StackPolicyBody=body)
    except (ApiError, AccessError) as error:
        tell(Note(f"stack policy of {stack_id.split('/')[1]} not set: {error}", "warning"))
