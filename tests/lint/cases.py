"""What a case of a rule is: a right set, and the one change that makes it wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .sets import Set, properties

Change = Callable[[Set], None]


class Case(NamedTuple):
    """`right` changes the good set and leaves it good; `wrong` then puts one mistake in.

    `place` is the file and the path of the finding, `words` some of its message or cure.
    """

    rule: str
    right: Change
    wrong: Change
    place: str
    words: str


def nothing(_: Set) -> None:
    """The good set as it is."""


def tasks(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Tasks")


def container(templates: Set, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = tasks(templates)["ContainerDefinitions"][index]
    return found


def service(templates: Set) -> dict[str, Any]:
    return properties(templates, "service", "Service")


def resources(templates: Set, file: str) -> dict[str, Any]:
    found: dict[str, Any] = templates[f"{file}.yaml"]["Resources"]
    return found


def sidecar(templates: Set, **more: Any) -> dict[str, Any]:
    """A second container that is not essential."""
    added = {"Name": "side", "Image": "side", "Memory": 64, "Essential": False, **more}
    tasks(templates)["ContainerDefinitions"].append(added)
    return added


def fargate(templates: Set) -> None:
    """The good set on Fargate."""
    tasks(templates).update(RequiresCompatibilities=["FARGATE"], Cpu="256", Memory="512")
    service(templates)["LaunchType"] = "FARGATE"
    del service(templates)["PlacementStrategies"]


def role(templates: Set, name: str = "Execution", **more: Any) -> dict[str, Any]:
    """The ARN of a role of the service's stack, made there."""
    resources(templates, "service")[name] = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            **more,
        },
    }
    return {"Fn::GetAtt": [name, "Arn"]}


def allowing(*actions: str, resource: Any = "*") -> list[dict[str, Any]]:
    """Policies of a role with one statement."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return [{"PolicyName": "it", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}]


def put(where: Any, **values: Any) -> Change:
    """A change that sets keys of what `where` finds; None takes one away."""

    def change(templates: Set) -> None:
        found = where(templates)
        for key, value in values.items():
            if value is None:
                del found[key]
            else:
                found[key] = value

    return change
