"""What tasks, services and schedules need to be allowed, where the set has the role.

A role is judged by its inline policies, by the policies of the set that name it, and by the AWS managed policies below;
with any other policy, or with somebody else told of it, nothing is said. Conditions are taken to hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from scaleout_cfn.lint.rules.base import Faults, fault, rule
from scaleout_cfn.lint.rules.services import SERVICE, TASKS, containers, handed_out, tasks_of
from scaleout_cfn.lint.rules.task_definitions import is_private_ecr, on_fargate
from scaleout_cfn.templates.stacks import Place, Scope, StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN

_ROLE = "AWS::IAM::Role"
_MANAGED = "AWS::IAM::ManagedPolicy"

# The AWS managed policies whose whole content matters here.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-awsmanpol.html
_KNOWN_POLICIES = {
    "service-role/AmazonECSTaskExecutionRolePolicy": (
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    ),
}

# A text in which what is not known yet stands as a symbol.
_Piece = str | Symbol
_Pieces = tuple[_Piece, ...]


class _Statement:
    """What one Allow statement grants, as far as it can be read; None for what could be anything."""

    def __init__(self, actions: list[str] | None, resources: list[_Pieces] | None) -> None:
        self.actions = actions
        self.resources = resources

    def allows(self, action: str, resource: _Pieces | None) -> bool:
        """Whether this may allow an action, on a resource or (None) on any at all."""
        if self.actions is not None and not any(_fits(pattern, action) for pattern in self.actions):
            return False
        return resource is None or self.resources is None or any(may_match(it, resource) for it in self.resources)


class Role:
    """A role of the set with everything that it is allowed."""

    def __init__(self, symbol: Symbol, statements: Sequence[_Statement]) -> None:
        self.symbol = symbol
        self.statements = statements

    def __str__(self) -> str:
        return self.symbol.name

    def may(self, action: str, resource: _Pieces | None = None) -> bool:
        """Whether the role may do something, or possibly may."""
        return any(statement.allows(action, resource) for statement in self.statements)

    def lacks(self, *actions: str) -> list[str]:
        """Those of the actions that no statement allows on anything."""
        return [action for action in actions if not self.may(action)]


def role_of(value: Any) -> Role | None:
    """The role that an ARN or a name means, with what it may do; None where that is not wholly known."""
    symbol = resource_of(value, _ROLE)
    if symbol is None:
        return None
    found: Role | None = symbol.stack.remembered(("role", symbol.name), lambda: _read(symbol.bare))
    return found


def _read(role: Symbol) -> Role | None:
    if handed_out(role.stack.root, role, outputs=True):
        return None
    statements: list[_Statement] = []
    for document in _documents(role):
        found = _statements(*document) if document else None
        if found is None:
            return None
        statements += found
    return Role(role, statements)


def _documents(role: Symbol) -> Iterator[tuple[Scope, Any] | None]:
    inline, managed = role.place.items("Policies"), role.place.items("ManagedPolicyArns")
    if inline is None or managed is None:
        yield None
        return
    for policy in role.place.each("Policies"):
        yield policy.scope, policy.get("PolicyDocument")
    for arn in managed:
        symbol = resource_of(arn, _MANAGED)
        yield _document_of(symbol.place) if symbol else _aws_managed(role.place.scope, arn)
    name = role.place.get("RoleName")
    for attached in role.stack.root.below("AWS::IAM::Policy", _MANAGED):
        yield from _attached(attached.items("Roles"), role, name, attached)
    for attached in role.stack.root.below("AWS::IAM::RolePolicy"):
        yield from _attached([attached.get("RoleName")], role, name, attached)


def _attached(names: list[Any] | None, role: Symbol, name: Any, policy: Place) -> Iterator[tuple[Scope, Any] | None]:
    """The document of a policy where it is attached to a role; None where that cannot be told."""
    if names is None or UNKNOWN in names:
        yield None
        return
    for holder in names:
        if holder == role or (holder == name and name is not None):
            yield _document_of(policy)
        elif isinstance(holder, Symbol) and not holder.is_resource and name is not None:
            # A parameter without a value may name this role, for that has a name of its own.
            yield None


def _document_of(policy: Place) -> tuple[Scope, Any]:
    return policy.scope, policy.get("PolicyDocument")


def _aws_managed(scope: Scope, arn: Any) -> tuple[Scope, Any] | None:
    last = arn.parts[-1] if isinstance(arn, Text) else arn
    known = isinstance(last, str) and _KNOWN_POLICIES.get(last.partition(":policy/")[2])
    if not known:
        return None
    return scope, {"Statement": [{"Effect": "Allow", "Action": list(known), "Resource": "*"}]}


def _statements(scope: Scope, document: Any) -> list[_Statement] | None:
    found = scope.get(document, "Statement")
    statements = found if isinstance(found, list) else [found]
    if document is UNKNOWN or UNKNOWN in statements:
        return None
    allowing = []
    for statement in statements:
        if isinstance(statement, Mapping) and scope.get(statement, "Effect") in ("Allow", UNKNOWN):
            actions, resources = _several(scope, statement, "Action"), _several(scope, statement, "Resource")
            names = None if actions is None else [action for action in actions if isinstance(action, str)]
            texts = None if resources is None else [pieces_of(resource) for resource in resources]
            whole = actions is not None and names is not None and len(actions) == len(names)
            allowing.append(
                _Statement(
                    names if whole else None,
                    None if texts is None or None in texts else [text for text in texts if text is not None],
                )
            )
    return allowing


def _several(scope: Scope, statement: Mapping[str, Any], key: str) -> list[Any] | None:
    """The actions or resources of a statement; None where it may be any, as with NotAction."""
    if key not in statement:
        return None
    value = scope.get(statement, key)
    items = value if isinstance(value, list) else [value]
    return None if UNKNOWN in items else items


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text.lower()).replace(r"\*", ".*").replace(r"\?", "."))


def _fits(pattern: str, action: str) -> bool:
    return _pattern(pattern).fullmatch(action.lower()) is not None


# Resources whose Ref is an ARN with their name in it: the parts around it. A secret's ends in six letters of AWS's.
_ARNS: dict[tuple[str, str], tuple[str, str, bool]] = {
    ("AWS::SecretsManager::Secret", ""): ("secretsmanager", "secret:", True),
    ("AWS::SecretsManager::Secret", "Id"): ("secretsmanager", "secret:", True),
}
_NAMES = {"AWS::SecretsManager::Secret": "Name", "AWS::SSM::Parameter": "Name"}


def pieces_of(value: Any) -> _Pieces | None:
    """A text as letters and symbols, resources taken apart as far as their ARN is known; None if not known."""
    if isinstance(value, (str, Symbol)):
        value = Text((value,))
    if not isinstance(value, Text):
        return None
    found: list[_Piece] = []
    for part in value.parts:
        if isinstance(part, Symbol) and (part.type, part.attribute) in _ARNS:
            service, prefix, suffixed = _ARNS[part.type, part.attribute]
            found += [*arn_of(part.stack, service, prefix), *_name_of(part.bare)]
            if suffixed:
                found += ["-", Symbol(part.stack, part.name, "suffix", part.type, True)]
        elif isinstance(part, Symbol) and part.type == "AWS::SSM::Parameter" and part.attribute == "":
            found += _name_of(part)
        else:
            found.append(part)
    return tuple(found)


def _name_of(resource: Symbol) -> _Pieces:
    """The physical name of a resource: what the template says, or one that CloudFormation makes."""
    name = resource.place.get(_NAMES[resource.type])
    if isinstance(name, (str, Symbol)) and name:
        return (name,)
    if isinstance(name, Text):
        return name.parts
    return (Symbol(resource.stack, resource.name, "" if name is None else "unknown", resource.type, True),)


def arn_of(stack: StackView, service: str, resource: str) -> _Pieces:
    partition, region, account = (
        Symbol(stack.root, f"AWS::{name}", "", "", False) for name in ("Partition", "Region", "AccountId")
    )
    return ("arn:", partition, f":{service}:", region, ":", account, f":{resource}")


_Token = str | Symbol | Literal["*any*"]
_ANY = "*any*"


def _tokens(pieces: _Pieces, *, wild: bool) -> list[_Token]:
    found: list[_Token] = []
    for piece in pieces:
        if isinstance(piece, Symbol):
            found.append(piece)
        else:
            found += [_ANY if wild and letter == "*" else letter for letter in piece]
    return found


def may_match(pattern: _Pieces, target: _Pieces) -> bool:
    """Whether the resource of a statement may be, or contain, a resource whose ARN is known in part."""
    left, right = _tokens(pattern, wild=True), _tokens(target, wild=False)

    # The row of what is reachable, as in any matching of wildcards: symbols are wildcards on either side, but two
    # that are the same go together, and two of different resources of one type never meet.
    reachable = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        i, j = waiting.pop()
        if i == len(left) and j == len(right):
            return True
        for step in _steps(left[i] if i < len(left) else None, right[j] if j < len(right) else None):
            place = (i + step[0], j + step[1])
            if place not in reachable:
                reachable.add(place)
                waiting.append(place)
    return False


def _steps(wanted: _Token | None, given: _Token | None) -> Iterator[tuple[int, int]]:
    """How far a pattern and a target can go on from two of their letters, symbols or stars."""
    if isinstance(wanted, Symbol) and isinstance(given, Symbol):
        if wanted == given:
            yield 1, 1
            return
        if wanted.is_resource and given.is_resource and wanted.type == given.type:
            return
    elif isinstance(given, Symbol):
        if isinstance(wanted, str) and (wanted in (_ANY, "?") or _may_hold(given, wanted)):
            yield 1, 0
    elif isinstance(wanted, Symbol):
        if isinstance(given, str) and _may_hold(wanted, given):
            yield 0, 1
    elif wanted == _ANY and given is not None:
        yield 0, 1
    elif wanted is not None and wanted in ("?", given):
        yield 1, 1
    # Each of these may also stand for nothing, or for no more.
    if wanted == _ANY or isinstance(wanted, Symbol):
        yield 1, 0
    if isinstance(given, Symbol):
        yield 0, 1


def _may_hold(symbol: Symbol, letter: str) -> bool:
    """Whether what a symbol stands for may have a letter in it: a name no colon, AWS's own words no slash either."""
    if not symbol.type or symbol.attribute == "suffix":
        return letter not in ":/"
    return letter != ":" or symbol.type not in _NAMES


_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_SECRET = "AWS::SecretsManager::Secret"
# What runs tasks at a time or on an event.
RUNNERS = ("AWS::Events::Rule", "AWS::Scheduler::Schedule")


def runs_of(runner: Place) -> tuple[Place, ...]:
    """The targets of a rule, or the one of a schedule."""
    return runner.each("Targets") if runner.type == RUNNERS[0] else (runner.inner("Target"),)


def _executed(tasks: Place) -> Iterator[tuple[Role, Place]]:
    """The containers of a task definition, each with the execution role, where that is wholly known."""
    role = role_of(tasks.get("ExecutionRoleArn"))
    return ((role, container) for container in containers(tasks)) if role else iter(())


def _secrets(container: Place) -> Iterator[tuple[str, Place, str]]:
    """Each secret that a container takes: what it is for, the place, and the property that says where it is."""
    for place in (("Secrets",), ("LogConfiguration", "SecretOptions")):
        for secret in container.each(*place):
            yield str(secret.get("Name")), secret, "ValueFrom"
    yield "registry", container.inner("RepositoryCredentials"), "CredentialsParameter"


def _needed(stack: StackView, place: Any) -> tuple[str, list[tuple[str | Symbol, ...]]] | None:
    """The action that reads a secret and the ARNs that it may have; None where its kind is not known."""
    whole = place.parts if isinstance(place, Text) else (place,)
    first = whole[0]
    if isinstance(first, Symbol):
        # "${Secret}:password::" is one key of a secret.
        if len(whole) > 1 and not (isinstance(whole[1], str) and whole[1].startswith(":")):
            return None
        pieces = pieces_of(first)
        if pieces is None or first.type not in (_SECRET, "AWS::SSM::Parameter"):
            return None
        return _reading(stack, pieces) if first.type == _SECRET else _parameter(stack, pieces)
    pieces = pieces_of(place)
    if pieces is None or not isinstance(first, str) or not first:
        return None
    return _reading(stack, pieces) if first.startswith("arn:") else _parameter(stack, pieces)


def _parameter(stack: StackView, name: tuple[str | Symbol, ...]) -> tuple[str, list[tuple[str | Symbol, ...]]]:
    slash = "" if isinstance(name[0], str) and name[0].startswith("/") else "/"
    return "ssm:GetParameters", [(*arn_of(stack, "ssm", f"parameter{slash}"), *name)]


def _reading(stack: StackView, pieces: tuple[str | Symbol, ...]) -> tuple[str, list[tuple[str | Symbol, ...]]] | None:
    text = "".join(piece if isinstance(piece, str) else "\0" for piece in pieces)
    if ":ssm:" in text:
        return "ssm:GetParameters", [pieces]
    if ":secretsmanager:" not in text:
        return None
    # After the name may follow a key, a stage and a version; the name may stand without its six letters.
    arn: list[str | Symbol] = []
    colons = 0
    for piece in pieces:
        fields = piece.split(":") if isinstance(piece, str) else [piece]
        if isinstance(piece, str) and colons + len(fields) - 1 > 6:
            arn.append(":".join(piece.split(":")[: 7 - colons]))
            break
        colons += len(fields) - 1
        arn.append(piece)
    suffix = Symbol(stack, "", "suffix", "", False)
    return "secretsmanager:GetSecretValue", [tuple(arn), (*arn, "-", suffix)]


@rule("S801", _GUIDE + "task_execution_IAM_role.html", TASKS)
def secret_out_of_reach(tasks: Place) -> Faults:
    """The execution role may read the secrets that its containers take."""
    for role, container in _executed(tasks):
        for name, place, at in _secrets(container):
            needed = _needed(tasks.stack, place.get(at))
            if needed and not any(role.may(needed[0], arn) for arn in needed[1]):
                yield fault(
                    place,
                    at,
                    f"Container {container} takes secret {name}, but nothing allows {role}, the execution role, "
                    f"{needed[0]} of it.",
                    f"Add a policy to {role} that allows {needed[0]} of this secret.",
                )


@rule("S802", _GUIDE + "secrets-envvar-secrets-manager.html", TASKS)
def secret_key(tasks: Place) -> Faults:
    """The execution role may decrypt by the set's own keys the secrets that its containers take."""
    for role, container in _executed(tasks):
        for name, place, at in _secrets(container):
            value = place.get(at)
            secret = resource_of(value.parts[0] if isinstance(value, Text) else value, _SECRET)
            key = resource_of(secret.place.get("KmsKeyId") if secret else None, "AWS::KMS::Key")
            if key is None or _key_admits(key, role.symbol):
                continue
            arns = [(key.bare,), (Symbol(key.stack, key.name, "Arn", key.type, True),)]
            if not any(role.may("kms:Decrypt", arn) for arn in arns):
                yield fault(
                    place,
                    at,
                    f"Secret {name} of container {container} is encrypted by {key.name}, but nothing allows {role}, "
                    "the execution role, kms:Decrypt.",
                    f"Allow {role} kms:Decrypt of {key.name}.",
                )


def _key_admits(key: Symbol, role: Symbol) -> bool:
    """Whether a key's own policy may let a role decrypt, rather than leave that to the account's policies."""
    scope = key.place.scope
    statements = key.place.get("KeyPolicy", "Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, Mapping):
            return True
        principal = scope.get(statement, "Principal")
        names = scope.get(principal, "AWS") if isinstance(principal, Mapping) else principal
        for name in names if isinstance(names, list) else [names]:
            text = "".join(part for part in name.parts if isinstance(part, str)) if isinstance(name, Text) else name
            if text is None or (isinstance(text, str) and text.endswith(":root")):
                continue
            if name is UNKNOWN or name == "*" or not isinstance(name, Symbol) or name.bare == role:
                return True
    return False


_PULLING = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


@rule("S803", _GUIDE + "task_execution_IAM_role.html", TASKS)
def image_out_of_reach(tasks: Place) -> Faults:
    """The execution role may pull the images in ECR that its containers run."""
    for role, container in _executed(tasks):
        image = container.get("Image")
        # The policy of a repository may let the role in; the token comes from the account alone.
        parts = image.parts if isinstance(image, Text) else (image,)
        own = any(isinstance(part, Symbol) and _has_policy(part) for part in parts)
        missing = role.lacks(*_PULLING[: 1 if own else 3]) if is_private_ecr(image) else []
        if missing:
            yield fault(
                container,
                "Image",
                f"The image of container {container} is in ECR, but nothing allows {role}, the execution role, "
                f"{', '.join(missing)}.",
                f"Attach AmazonECSTaskExecutionRolePolicy to {role}.",
            )


def _has_policy(symbol: Symbol) -> bool:
    return symbol.type == "AWS::ECR::Repository" and symbol.place.get("RepositoryPolicyText") is not None


@rule("S804", _GUIDE + "using_awslogs.html", TASKS)
def logs_out_of_reach(tasks: Place) -> Faults:
    """The execution role of a Fargate task may write to its logs, and make the log group that it asks for."""
    # On instances their own role may write the logs.
    for role, container in _executed(tasks) if on_fargate(tasks) else ():
        log = container.inner("LogConfiguration")
        if log.get("LogDriver") != "awslogs":
            continue
        actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
        if log.get("Options", "awslogs-create-group") in (True, "true"):
            actions.append("logs:CreateLogGroup")
        if missing := ", ".join(role.lacks(*actions)):
            message = (
                f"Container {container} logs by awslogs, but nothing allows {role}, the execution role, {missing}."
            )
            yield fault(log, "", message, f"Allow {role} {missing}.")


_CHANNELS = tuple(f"ssmmessages:{verb}{what}Channel" for verb in ("Create", "Open") for what in ("Control", "Data"))


@rule("S805", _GUIDE + "ecs-exec.html", SERVICE)
def execute_command(service: Place) -> Faults:
    """The tasks of a service with execute command have a task role that may open its channels."""
    tasks = tasks_of(service)
    if tasks is None or service.get("EnableExecuteCommand") not in (True, "true"):
        return
    arn = tasks.get("TaskRoleArn")
    role = role_of(arn)
    missing = role.lacks(*_CHANNELS) if role else []
    if arn is None or missing:
        who = f"nothing allows {role}, the task role, {', '.join(missing)}" if role else f"{tasks} has no TaskRoleArn"
        cure = f"Give the task definition a task role that allows {', '.join(_CHANNELS)}."
        yield fault(service, "EnableExecuteCommand", f"{service} enables execute command, but {who}.", cure)


@rule("S806", _GUIDE + "task-iam-roles.html", TASKS)
def trust_of_tasks(tasks: Place) -> Faults:
    """The roles of a task definition trust ecs-tasks.amazonaws.com."""
    for name in ("ExecutionRoleArn", "TaskRoleArn"):
        role = resource_of(tasks.get(name), "AWS::IAM::Role")
        if role is not None and not trusts(role, "ecs-tasks"):
            yield fault(
                tasks,
                name,
                f"{name} of {tasks} is {role.name} of {role.stack.file}, which does not trust "
                "ecs-tasks.amazonaws.com; no task starts.",
                f"Add the principal ecs-tasks.amazonaws.com to the AssumeRolePolicyDocument of {role.name}.",
            )


def trusts(role: Symbol, service: str) -> bool:
    """Whether a role may be assumed by a service of AWS; true where its trust policy is not wholly known."""
    scope = role.place.scope
    statements = role.place.get("AssumeRolePolicyDocument", "Statement")
    if statements in (None, UNKNOWN):
        return True
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = scope.get(statement, "Principal") if isinstance(statement, Mapping) else UNKNOWN
        if principal is UNKNOWN or not isinstance(principal, Mapping):
            return True
        names = scope.get(principal, "Service")
        for name in names if isinstance(names, list) else [names]:
            text = name.parts[0] if isinstance(name, Text) else name
            if text is UNKNOWN or isinstance(text, Symbol) or (isinstance(text, str) and text.startswith(service)):
                return True
    return False


@rule("S807", _GUIDE + "CWE_IAM_role.html", *RUNNERS)
def run_task(runner: Place) -> Faults:
    """The role of a rule or schedule that runs tasks may run them and pass on their roles."""
    for target in runs_of(runner):
        definition = resource_of(target.get("EcsParameters", "TaskDefinitionArn"), TASKS)
        role = role_of(target.get("RoleArn"))
        if definition is None or role is None:
            continue
        actions = ["ecs:RunTask"]
        if any(definition.place.get(name) is not None for name in ("ExecutionRoleArn", "TaskRoleArn")):
            actions.append("iam:PassRole")
        if missing := ", ".join(role.lacks(*actions)):
            yield fault(
                target,
                "RoleArn",
                f"{role} is to run {definition.name}, but nothing allows it {missing}.",
                f"Allow {role} ecs:RunTask of the task definition, and iam:PassRole of its roles.",
            )


@rule("S808", _GUIDE + "use-environment-file.html", TASKS)
def environment_file(tasks: Place) -> Faults:
    """The execution role may read the environment files that its containers take."""
    for role, container in _executed(tasks):
        if container.items("EnvironmentFiles") and role.lacks("s3:GetObject"):
            yield fault(
                container,
                "EnvironmentFiles",
                f"Container {container} takes environment files, but nothing allows {role}, the execution role, "
                "s3:GetObject.",
                f"Allow {role} s3:GetObject of the files.",
            )
