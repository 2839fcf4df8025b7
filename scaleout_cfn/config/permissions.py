"""What the application in a task may do at AWS: by intent, by statement, or by a policy that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from scaleout_cfn.config.tunables import Conflict, Section, tunable
from scaleout_cfn.grammars import (
    is_of_everything,
    problem_of_action,
    problem_of_bucket_arn,
    problem_of_condition_key,
    problem_of_condition_value,
    problem_of_operator,
    problem_of_policy,
    problem_of_queue,
    problem_of_resource,
    problem_of_table,
    problem_of_topic,
    problem_of_used_key,
)

Action = Annotated[
    str,
    tunable(
        "An action, as in s3:GetObject, with * for any letters and ? for one.",
        pattern=r"^[a-z0-9-]+:[A-Za-z0-9*?]+$",
        problem_of=problem_of_action,
    ),
]
Resource = Annotated[
    str,
    tunable(
        "An ARN, with * for any characters and ? for one.", pattern=r"^(\*|arn:.+)$", problem_of=problem_of_resource
    ),
]
Operator = Annotated[str, tunable("An operator.", pattern="^[A-Za-z:]+$", problem_of=problem_of_operator)]
ConditionKey = Annotated[str, tunable("A key.", pattern="^[^:]+:.+$", problem_of=problem_of_condition_key)]
Bucket = Annotated[str, tunable("A bucket.", pattern="^arn:[a-z-]+:s3:::[^/]+$", problem_of=problem_of_bucket_arn)]
Table = Annotated[str, tunable("A table.", pattern="^arn:[a-z-]+:dynamodb:.+$", problem_of=problem_of_table)]
Queue = Annotated[str, tunable("A queue.", pattern="^arn:[a-z-]+:sqs:.+$", problem_of=problem_of_queue)]
Topic = Annotated[str, tunable("A topic.", pattern="^arn:[a-z-]+:sns:.+$", problem_of=problem_of_topic)]
Key = Annotated[str, tunable("A key.", pattern="^arn:[a-z-]+:kms:.+$", problem_of=problem_of_used_key)]
Policy = Annotated[str, tunable("A policy.", pattern="^arn:[a-z-]+:iam::.+$", problem_of=problem_of_policy)]


class PolicyStatement(Section, frozen=True, kw_only=True):
    """Actions that are allowed of resources. What is not allowed is refused: there is no Deny."""

    actions: Annotated[tuple[Action, ...], tunable("What may be done.", min_length=1, max_length=100)]
    resources: Annotated[tuple[Resource, ...], tunable("What it may be done to, by ARN.", max_length=100)] = ()
    conditions: Annotated[
        dict[Operator, dict[ConditionKey, str | tuple[str, ...]]],
        tunable('When it may be done: operator to key to value or values, as in {StringEquals = {"aws:x" = "y"}}.'),
    ] = {}
    any_resource: Annotated[
        bool, tunable("Whether it may be done to everything, for the actions take no resource, or need all.")
    ] = False
    reason: Annotated[
        str,
        tunable(
            "Why it is allowed: what the statement is called by; needed with any_resource.",
            pattern="^([ -~]*[A-Za-z][ -~]*)?$",
            allowed="a few words of printable ASCII characters, or nothing",
            max_length=100,
        ),
    ] = ""


class Permissions(Section, frozen=True, kw_only=True):
    """What the application in a task may do: its task role is allowed this, and nothing else."""

    reads_bucket: Annotated[
        tuple[Bucket, ...], tunable("Buckets whose objects it lists and reads, by ARN.", max_length=50)
    ] = ()
    writes_bucket: Annotated[
        tuple[Bucket, ...],
        tunable("Buckets that it puts objects in and deletes them from, by ARN; to read is another.", max_length=50),
    ] = ()
    uses_table: Annotated[
        tuple[Table, ...],
        tunable("DynamoDB tables whose items it reads and writes, also by their indexes, by ARN.", max_length=50),
    ] = ()
    sends_to_queue: Annotated[
        tuple[Queue, ...], tunable("SQS queues that it sends messages to, by ARN.", max_length=50)
    ] = ()
    publishes_to: Annotated[tuple[Topic, ...], tunable("SNS topics that it publishes to, by ARN.", max_length=50)] = ()
    uses_key: Annotated[
        tuple[Key, ...], tunable("KMS keys that it encrypts and decrypts with, by ARN.", max_length=50)
    ] = ()
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    managed_policies: Annotated[
        tuple[Policy, ...],
        tunable("IAM policies that are there already, AWS's or one's own, by ARN.", max_length=10),
    ] = ()
    statements: Annotated[
        tuple[PolicyStatement, ...],
        tunable("What no intent says: actions, and what they are allowed of.", max_length=50),
    ] = ()


#: The tunables that say what is to be done, and to what; iam.INTENTS has what each allows.
INTENTS = tuple(name for name in Permissions.__struct_fields__ if name not in ("managed_policies", "statements"))


def named_in(key: str, permissions: Permissions) -> Iterator[tuple[str, str, bool]]:
    """The ARNs of a section: the key of each, the ARN, and whether it has to be of the set's own account."""
    for name in INTENTS:
        yield from ((f"{key}.{name}[{number}]", arn, False) for number, arn in enumerate(getattr(permissions, name)))
    for number, arn in enumerate(permissions.managed_policies):
        yield f"{key}.managed_policies[{number}]", arn, True
    for index, statement in enumerate(permissions.statements):
        for number, arn in enumerate(statement.resources):
            yield f"{key}.statements[{index}].resources[{number}]", arn, False


def permission_conflicts(key: str, permissions: Permissions) -> Iterator[Conflict]:
    for name in (*INTENTS, "managed_policies"):
        arns = getattr(permissions, name)
        if len(set(arns)) < len(arns):
            yield Conflict(f"{key}.{name}", "one is named twice; name each once")
    for index, statement in enumerate(permissions.statements):
        where = f"{key}.statements[{index}]"
        for operator, keys in statement.conditions.items():
            if not keys:
                yield Conflict(f"{where}.conditions.{operator}", "names no key; leave it out")
            for name, given in keys.items():
                values = (given,) if isinstance(given, str) else given
                problems = (problem_of_condition_value(operator, value) for value in values)
                what = next(filter(None, problems), "") if values else "has no value, and is never so"
                if what:
                    yield Conflict(f"{where}.conditions.{operator}.{name}", f"got {given!r}; {what}")
        of_everything = next((arn for arn in statement.resources if is_of_everything(arn)), "")
        if statement.any_resource:
            if statement.resources and not of_everything:
                yield Conflict(
                    f"{where}.any_resource",
                    f"is true, and resources names {statement.resources[0]}; leave one of the two out",
                )
            if not statement.reason:
                yield Conflict(f"{where}.reason", "is empty, and any_resource = true needs one; say why it has to be")
        elif of_everything:
            yield Conflict(
                f"{where}.resources",
                f"{of_everything} is everything there is; name what is meant, or write any_resource = true with a"
                " reason",
            )
        elif not statement.resources:
            yield Conflict(
                f"{where}.resources",
                "is empty; name what it may be done to, or write any_resource = true with a reason",
            )
