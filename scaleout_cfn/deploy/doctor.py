"""Whether a deployment could work from here: credentials, region, permissions, bucket, service-linked role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from scaleout_cfn.aws.client import Aws, Identity
from scaleout_cfn.deploy.bootstrap import exists
from scaleout_cfn.deploy.changes import quota
from scaleout_cfn.deploy.live import find
from scaleout_cfn.deploy.messages import Fact, Outcome, Tell
from scaleout_cfn.errors import AccessError, ApiError, Next

Level: TypeAlias = Literal["ok", "warning", "failed"]
LINKED_ROLE = "AWSServiceRoleForECS"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `access`: what it lacks is credentials or permissions."""

    name: str
    level: Level
    text: str
    cure: Next | None = None
    access: bool = False

    def message(self) -> Fact:
        sign = {"ok": "✓", "warning": "!", "failed": "✗"}[self.level]
        data = {"name": self.name, "result": self.level, "text": self.text}
        line = f"{sign} {self.name}: {self.text}"
        return Fact("check", (line,), data, "info" if self.level == "ok" else "warning", self.cure)


def doctor(
    aws: Aws, identity: Identity, stack: str, bucket: str, statements: Sequence[Mapping[str, Any]], tell: Tell
) -> Outcome:
    """Look at all that a deployment needs and tell of each. Changes nothing.

    `statements` are those of the deployer's policy, whose actions are asked for. Exit code 8 when credentials or
    permissions are missing, 5 when something else is.
    """
    checks = [Check("credentials", "ok", f"{identity.arn}, account {identity.account_id}")]
    checks.append(Check("region", "ok", f"{identity.region}, partition {identity.partition}"))
    tell(checks[0].message())
    tell(checks[1].message())
    looks: list[tuple[str, Callable[[], list[Check]]]] = [
        ("permissions", lambda: _permissions(aws, identity, statements)),
        ("bucket", lambda: _bucket(aws, identity, bucket)),
        ("service-linked role", lambda: _linked_role(aws)),
        ("stack", lambda: _stack(aws, stack)),
    ]
    for name, look in looks:
        for check in _look(name, look):
            tell(check.message())
            checks.append(check)
    return judged(checks)


def judged(checks: Iterable[Check]) -> Outcome:
    checks = list(checks)
    failed = [check for check in checks if check.level == "failed"]
    warned = [check for check in checks if check.level == "warning"]
    if failed:
        worst = next((check for check in failed if check.access), failed[0])
        what = f"{len(failed)} of {len(checks)} checks failed: {', '.join(check.name for check in failed)}"
        return Outcome("no_access" if worst.access else "failed", what, reason=worst.text, next=worst.cure)
    more = f", {len(warned)} with a warning" if warned else ""
    return Outcome("done", f"{len(checks)} checks passed{more}", next=None if warned else Next("deploy"))


def _look(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return look()
    except AccessError as error:
        if error.kind == "expired":
            return [Check(name, "failed", str(error), Next(words="renew the credentials"), access=True)]
        return [Check(name, "warning", f"not known: {error}")]
    except ApiError as error:
        return [Check(name, "warning", f"not known: {error}", Next(words="try again"))]


def principal(arn: str) -> str:
    """The IAM entity of a caller's ARN: for a session of a role the role, whose path the session does not tell.

    Empty for one that has no policies, as the root of an account.
    """
    head, _, rest = arn.partition(":sts:")
    if rest:
        account, _, session = rest.removeprefix(":").partition(":")
        kind, _, name = session.partition("/")
        return f"{head}:iam::{account}:role/{name.split('/')[0]}" if kind == "assumed-role" else ""
    return "" if arn.endswith(":root") else arn


def simulated(results: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({result["EvalActionName"] for result in results if result["EvalDecision"] != "allowed"})


def _permissions(aws: Aws, identity: Identity, statements: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Ask IAM, which does not count what an organisation's policies forbid."""
    entity = principal(identity.arn)
    if not entity:
        return [
            Check("permissions", "warning", "the credentials are the account's root", Next(words="use a role instead"))
        ]
    if ":role/" in entity:
        entity = aws.read("iam", "get_role", RoleName=entity.rpartition("/")[2])["Role"]["Arn"]
    denied: list[str] = []
    for grant in statements:
        context = [
            {"ContextKeyName": key, "ContextKeyValues": _list(value), "ContextKeyType": "string"}
            for test in grant.get("Condition", {}).values()
            for key, value in test.items()
        ]
        arguments = {
            "PolicySourceArn": entity,
            "ActionNames": _list(grant["Action"]),
            "ResourceArns": [resource.replace("*", "x") if resource != "*" else "*" for resource in grant["Resource"]],
            "ContextEntries": context,
        }
        while True:
            answer = aws.read("iam", "simulate_principal_policy", **arguments)
            denied += simulated(answer.get("EvaluationResults", []))
            if not answer.get("IsTruncated"):
                break
            arguments["Marker"] = answer["Marker"]
    if denied:
        what = f"IAM would deny {', '.join(denied[:6])}" + (f" and {len(denied) - 6} more" if len(denied) > 6 else "")
        cure = Next("policies", words=f"which writes what {entity.rpartition('/')[2]} needs")
        return [Check("permissions", "failed", what, cure, access=True)]
    return [Check("permissions", "ok", "IAM allows all that the deployer does")]


def _bucket(aws: Aws, identity: Identity, bucket: str) -> list[Check]:
    make = Next("bootstrap", ("--bucket", bucket))
    if not exists(aws, identity, bucket):
        return [Check("bucket", "failed", f"{bucket} is not there", make)]
    own = {"Bucket": bucket, "ExpectedBucketOwner": identity.account_id}
    checks = []
    if aws.read("s3", "get_bucket_versioning", **own).get("Status") != "Enabled":
        checks.append(Check("bucket", "warning", f"{bucket} is not versioned", make))
    try:
        blocks = aws.read("s3", "get_public_access_block", **own)["PublicAccessBlockConfiguration"]
    except ApiError as error:
        if error.code != "NoSuchPublicAccessBlockConfiguration":
            raise
        blocks = {}
    if not (blocks and all(blocks.values())):
        checks.append(Check("bucket", "warning", f"{bucket} does not block public access", make))
    return checks or [Check("bucket", "ok", f"{bucket} is there, versioned and private")]


def _linked_role(aws: Aws) -> list[Check]:
    """The role that ECS acts by: an account has it from its first cluster on."""
    try:
        aws.read("iam", "get_role", RoleName=LINKED_ROLE)
    except ApiError as error:
        if error.kind != "missing":
            raise
        cure = Next(words="aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com")
        text = f"the account has no {LINKED_ROLE}: a first cluster may fail for want of it"
        return [Check("service-linked role", "warning", text, cure)]
    return [Check("service-linked role", "ok", f"{LINKED_ROLE} is there")]


def _stack(aws: Aws, stack: str) -> list[Check]:
    live = find(aws, stack)
    if live is None:
        return [Check("stack", "ok", f"{stack} is not there yet")]
    ended = live.meaning.end
    level: Level = "ok" if ended in ("done", "rolled_back", "gone") else "warning"
    checks = [Check("stack", level, f"{stack} is {live.status}", None if level == "ok" else live.meaning.next)]
    most, path = quota.fullest(aws, live.stack_id)
    if not path:
        return checks
    text = f"{most} at most, in {path}, of {quota.MOST} that fit"
    if most >= quota.MANY:
        cure = Next(words=f"a change of {path} itself, of its Metadata for instance, removes them when it is deployed")
        return [*checks, Check("nested change sets", "warning", text, cure)]
    return [*checks, Check("nested change sets", "ok", text)]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
