"""What tasks, services and schedules need to be allowed, where the set has the role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scaleout_cfn.lint.rules.base import Rule
from scaleout_cfn.lint.rules.roles import Role, arn_of, pieces_of, role_of
from scaleout_cfn.lint.rules.services import Tasks, property_of, services
from scaleout_cfn.lint.rules.task_definitions import Container, is_private_ecr, on_fargate, task_definitions
from scaleout_cfn.templates.findings import Finding
from scaleout_cfn.templates.sets import StackSet
from scaleout_cfn.templates.stacks import StackView, Symbol, Text, resource_of
from scaleout_cfn.templates.values import UNKNOWN

__all__ = ["trusts"]

_GUIDE = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
_SECRET = "AWS::SecretsManager::Secret"


def _role(tasks: Tasks, name: str) -> Role | None:
    return role_of(tasks.scope.get(tasks.properties, name))


def _secrets(container: Container) -> Iterator[tuple[str, str, Any]]:
    """Each secret that a container takes: what it is for, the path, where it is."""
    for place in (("Secrets",), ("LogConfiguration", "SecretOptions")):
        for index, secret in enumerate(container.items(*place) or []):
            path = ".".join((container.path, *place, str(index), "ValueFrom"))
            name = container.tasks.scope.get(secret, "Name")
            yield str(name), path, container.tasks.scope.get(secret, "ValueFrom")
    registry = container.get("RepositoryCredentials", "CredentialsParameter")
    yield "registry", f"{container.path}.RepositoryCredentials.CredentialsParameter", registry


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


class SecretOutOfReach(Rule):
    id = "S801"
    sentence = "The execution role may read the secrets that its containers take."
    source = _GUIDE + "task_execution_IAM_role.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            role = _role(tasks, "ExecutionRoleArn")
            for container in containers if role else ():
                for name, path, place in _secrets(container):
                    needed = _needed(tasks.symbol.stack, place)
                    if role and needed and not any(role.may(needed[0], arn) for arn in needed[1]):
                        yield self.finding(
                            tasks.file,
                            path,
                            f"Container {container} takes secret {name}, but nothing allows {role.symbol.name}, the "
                            f"execution role, {needed[0]} of it.",
                            f"Add a policy to {role.symbol.name} that allows {needed[0]} of this secret.",
                        )


class SecretKey(Rule):
    id = "S802"
    sentence = "The execution role may decrypt by the set's own keys the secrets that its containers take."
    source = _GUIDE + "secrets-envvar-secrets-manager.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            role = _role(tasks, "ExecutionRoleArn")
            for container in containers if role else ():
                for name, path, place in _secrets(container):
                    secret = resource_of(place.parts[0] if isinstance(place, Text) else place, _SECRET)
                    key = resource_of(property_of(secret, "KmsKeyId") if secret else None, "AWS::KMS::Key")
                    if role is None or key is None or _key_admits(key, role.symbol):
                        continue
                    arns = [(key.bare,), (Symbol(key.stack, key.name, "Arn", key.type, True),)]
                    if not any(role.may("kms:Decrypt", arn) for arn in arns):
                        yield self.finding(
                            tasks.file,
                            path,
                            f"Secret {name} of container {container} is encrypted by {key.name}, but nothing allows "
                            f"{role.symbol.name}, the execution role, kms:Decrypt.",
                            f"Allow {role.symbol.name} kms:Decrypt of {key.name}.",
                        )


def _key_admits(key: Symbol, role: Symbol) -> bool:
    """Whether a key's own policy may let a role decrypt, rather than leave that to the account's policies."""
    resource = key.stack.resource(key.name)
    scope = key.stack.scope_of(resource)
    statements = scope.get(resource.get("Properties"), "KeyPolicy", "Statement")
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


class ImageOutOfReach(Rule):
    id = "S803"
    sentence = "The execution role may pull the images in ECR that its containers run."
    source = _GUIDE + "task_execution_IAM_role.html"

    _ACTIONS = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            role = _role(tasks, "ExecutionRoleArn")
            for container in containers if role else ():
                image = container.get("Image")
                # The policy of a repository may let the role in; the token comes from the account alone.
                parts = image.parts if isinstance(image, Text) else (image,)
                own = any(isinstance(part, Symbol) and _has_policy(part) for part in parts)
                missing = role.lacks(*self._ACTIONS[: 1 if own else 3]) if role and is_private_ecr(image) else []
                if missing and role:
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.Image",
                        f"The image of container {container} is in ECR, but nothing allows {role.symbol.name}, the "
                        f"execution role, {', '.join(missing)}.",
                        f"Attach AmazonECSTaskExecutionRolePolicy to {role.symbol.name}.",
                    )


def _has_policy(symbol: Symbol) -> bool:
    return symbol.type == "AWS::ECR::Repository" and property_of(symbol, "RepositoryPolicyText") is not None


class LogsOutOfReach(Rule):
    id = "S804"
    sentence = "The execution role of a Fargate task may write to its logs, and make the log group that it asks for."
    source = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            # On instances their own role may write the logs.
            role = _role(tasks, "ExecutionRoleArn") if on_fargate(tasks) else None
            for container in containers if role else ():
                if container.get("LogConfiguration", "LogDriver") != "awslogs":
                    continue
                actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
                if container.get("LogConfiguration", "Options", "awslogs-create-group") in (True, "true"):
                    actions.append("logs:CreateLogGroup")
                missing = role.lacks(*actions) if role else []
                if missing and role:
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.LogConfiguration",
                        f"Container {container} logs by awslogs, but nothing allows {role.symbol.name}, the execution "
                        f"role, {', '.join(missing)}.",
                        f"Allow {role.symbol.name} {', '.join(missing)}.",
                    )


class ExecuteCommand(Rule):
    id = "S805"
    sentence = "The tasks of a service with execute command have a task role that may open its channels."
    source = _GUIDE + "ecs-exec.html"

    _ACTIONS = tuple(f"ssmmessages:{verb}{what}Channel" for verb in ("Create", "Open") for what in ("Control", "Data"))

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack, logical_id, properties, scope, tasks in services(stacks):
            if tasks is None or scope.get(properties, "EnableExecuteCommand") not in (True, "true"):
                continue
            arn = tasks.scope.get(tasks.properties, "TaskRoleArn")
            role = role_of(arn)
            missing = role.lacks(*self._ACTIONS) if role else []
            if arn is None or missing:
                who = f"nothing allows {role.symbol.name}, the task role, {', '.join(missing)}" if role else ""
                yield self.finding(
                    stack.file,
                    f"Resources.{logical_id}.Properties.EnableExecuteCommand",
                    f"{logical_id} enables execute command, but {who or f'{tasks.symbol.name} has no TaskRoleArn'}.",
                    f"Give the task definition a task role that allows {', '.join(self._ACTIONS)}.",
                )


class TrustOfTasks(Rule):
    id = "S806"
    sentence = "The roles of a task definition trust ecs-tasks.amazonaws.com."
    source = _GUIDE + "task-iam-roles.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, _ in task_definitions(stacks):
            for name in ("ExecutionRoleArn", "TaskRoleArn"):
                role = resource_of(tasks.scope.get(tasks.properties, name), "AWS::IAM::Role")
                if role is not None and not trusts(role, "ecs-tasks"):
                    yield self.finding(
                        tasks.file,
                        f"Resources.{tasks.symbol.name}.Properties.{name}",
                        f"{name} of {tasks.symbol.name} is {role.name} of {role.stack.file}, which does not trust "
                        "ecs-tasks.amazonaws.com; no task starts.",
                        f"Add the principal ecs-tasks.amazonaws.com to the AssumeRolePolicyDocument of {role.name}.",
                    )


def trusts(role: Symbol, service: str) -> bool:
    """Whether a role may be assumed by a service of AWS; true where its trust policy is not wholly known."""
    resource = role.stack.resource(role.name)
    scope = role.stack.scope_of(resource)
    statements = scope.get(resource.get("Properties"), "AssumeRolePolicyDocument", "Statement")
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


class RunTask(Rule):
    id = "S807"
    sentence = "The role of a rule or schedule that runs tasks may run them and pass on their roles."
    source = _GUIDE + "CWE_IAM_role.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for stack in stacks.stacks:
            for logical_id, properties, scope in stack.of_type("AWS::Events::Rule"):
                for index, target in enumerate(scope.items(properties, "Targets") or []):
                    yield from self._judge(stack, f"Resources.{logical_id}.Properties.Targets.{index}", scope, target)
            for logical_id, properties, scope in stack.of_type("AWS::Scheduler::Schedule"):
                target = scope.get(properties, "Target")
                yield from self._judge(stack, f"Resources.{logical_id}.Properties.Target", scope, target)

    def _judge(self, stack: StackView, path: str, scope: Any, target: Any) -> Iterator[Finding]:
        definition = resource_of(scope.get(target, "EcsParameters", "TaskDefinitionArn"), "AWS::ECS::TaskDefinition")
        role = role_of(scope.get(target, "RoleArn"))
        if definition is None or role is None:
            return
        actions = ["ecs:RunTask"]
        if any(property_of(definition, name) is not None for name in ("ExecutionRoleArn", "TaskRoleArn")):
            actions.append("iam:PassRole")
        missing = role.lacks(*actions)
        if missing:
            yield self.finding(
                stack.file,
                f"{path}.RoleArn",
                f"{role.symbol.name} is to run {definition.name}, but nothing allows it {', '.join(missing)}.",
                f"Allow {role.symbol.name} ecs:RunTask of the task definition, and iam:PassRole of its roles.",
            )


class EnvironmentFile(Rule):
    id = "S808"
    sentence = "The execution role may read the environment files that its containers take."
    source = _GUIDE + "use-environment-file.html"

    def check(self, stacks: StackSet) -> Iterator[Finding]:
        for tasks, containers in task_definitions(stacks):
            role = _role(tasks, "ExecutionRoleArn")
            for container in containers if role else ():
                if container.items("EnvironmentFiles") and role and role.lacks("s3:GetObject"):
                    yield self.finding(
                        tasks.file,
                        f"{container.path}.EnvironmentFiles",
                        f"Container {container} takes environment files, but nothing allows {role.symbol.name}, the "
                        "execution role, s3:GetObject.",
                        f"Allow {role.symbol.name} s3:GetObject of the files.",
                    )
