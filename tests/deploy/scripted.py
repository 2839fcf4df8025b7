"""AWS as a test tells it, for what decides by an answer alone: no stack, no time, no botocore."""

from __future__ import annotations

from typing import Any

from scaleout_cfn.aws.client import Aws, Pace, Target
from scaleout_cfn.deploy.live import Live
from scaleout_cfn.errors import ApiError

ROOT = "arn:aws:cloudformation:eu-west-1:123456789012:stack/web/1"


def failed(kind: Any, code: str = "Code", message: str = "on purpose") -> ApiError:
    return ApiError("operation", kind, code, message)


def live(status: str = "UPDATE_COMPLETE", **more: Any) -> Live:
    """A stack as DescribeStacks shows it."""
    facts: dict[str, Any] = {name: {} for name in ("parameters", "resolved", "tags", "outputs")}
    facts |= {"reason": "", "version": "v1", "protected": False, "role_arn": ""}
    return Live(ROOT, "web", status, **facts | more)


class Scripted(Aws):
    """Each operation has its answer, a list of answers one after the other, or a function of what it is given; an
    error is raised. `calls` is what was sent."""

    def __init__(self, **answers: Any) -> None:
        self.seconds = 0.0
        super().__init__(Target(region="eu-west-1"), Pace(clock=lambda: self.seconds, sleep=self._sleep))
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def sent(self, operation: str) -> list[dict[str, Any]]:
        return [given for name, given in self.calls if name == operation]

    def client(self, service: str, *, once: bool = False) -> Any:
        return None

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def _call(self, client: Any, service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, dict(arguments)))
        answer = self.answers[operation]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if callable(answer):
            answer = answer(**arguments)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found
