"""A fake AWS behind botocore: its parameter validation and its response shapes are real, time is virtual.

`World.answer` takes a call after botocore has validated its parameters, and gives what botocore's model says that
it gives. Pages are tiny, operations take scripted time, and a call can fail, be lost after it was carried out, or
kill whoever made it. What CloudFormation does is in `cloudformation.py`; `test_fake.py` says it in sentences.
"""

from __future__ import annotations

import copy
import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from botocore.validate import ParamValidator
from msgspec.structs import replace
from test_iam import EVERYTHING

from scaleout_cfn.aws.client import Aws, Pace, Target
from scaleout_cfn.composing import compose
from scaleout_cfn.config import Job
from scaleout_cfn.imports import Import
from scaleout_cfn.permissions.grants import Scope, plain
from scaleout_cfn.permissions.policies import commands, cost, deployer, drift, images, imports, moves
from scaleout_cfn.rendering import set_of

from .cloudformation import CloudFormation, Refused

ACCOUNT = "123456789012"
REGION = "eu-west-1"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


#: A set with all that a command of ours works on.
OPERATED = replace(
    EVERYTHING, jobs={"nightly": Job(image_of=next(iter(EVERYTHING.services)), capacity="nodes", at="rate(1 day)")}
)


class Killed(BaseException):
    """The deployer's process is gone: nothing of it runs any more, no handler and no clean-up."""


@dataclass
class Fault:
    """What happens to calls of an operation: an error code, or a lost answer, so many times."""

    operation: str
    code: str = ""
    message: str = "on purpose"
    status: int = 400
    times: int = 1
    carried_out: bool = False
    skip: int = 0


@dataclass
class World:
    """An account. `calls` is what was sent; `killed_at` counts calls from 1, before or during the call."""

    seconds: float = 0.0
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    killed_at: tuple[int, str] | None = None
    objects: dict[str, str] = field(default_factory=dict)
    buckets: dict[str, str] = field(default_factory=lambda: {"artifacts": ACCOUNT})
    ami: str = "ami-1"
    ecs: dict[str, Any] = field(default_factory=dict)
    at_call: Callable[[str], None] | None = None
    at_sleep: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        self.cfn = CloudFormation(self)
        self._lock = threading.RLock()
        _CURRENT[0] = self

    def copy(self) -> Self:
        """This account once more, at rest as it is, and from now on the one that calls go to."""
        other = copy.deepcopy(self, {id(self._lock): threading.RLock()})
        _CURRENT[0] = other
        return other

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        if self.at_sleep:
            self.at_sleep(seconds)
        self.seconds += seconds

    def aws(self, **target: Any) -> Aws:
        pace = Pace(clock=lambda: self.seconds, sleep=self.sleep, jitter=lambda: 0.5)
        return FakedAws(Target(region=REGION, keys=(ACCOUNT, "x"), **target), pace)

    def sent(self, *operations: str) -> list[str]:
        """The operations that were sent, of these or of all."""
        return [operation for _, operation, _ in self.calls if not operations or operation in operations]

    def executions(self) -> int:
        return self.cfn.executions

    def answer(self, service: str, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """What AWS answers. Raises what botocore raises."""
        with self._lock:  # uploads run side by side
            return self._answer(service, operation, given)

    def _answer(self, service: str, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        number = len(self.calls) + 1
        if self.killed_at == (number, "before"):
            raise Killed
        action = action_of(service, operation)
        assert action <= allowed(), f"{operation}: no policy that `policies` writes allows {action - allowed()}"
        self.calls.append((service, operation, given))
        if self.at_call:
            self.at_call(operation)
        self.cfn.advance()
        fault = next((one for one in self.faults if one.operation in (operation, "*") and one.times > 0), None)
        if fault and fault.skip:
            fault.skip -= 1
            fault = None
        if fault:
            fault.times -= 1
        if fault and fault.code and not fault.carried_out:
            raise Refused(fault.code, fault.message, fault.status)
        try:
            answer = self._handler(service, operation)(**given)
        finally:
            self.seconds += 0.05
            if self.killed_at == (number, "during"):
                raise Killed
        if fault:
            raise ConnectionClosedError(endpoint_url=f"https://{service}")
        return answer

    def _handler(self, service: str, operation: str) -> Callable[..., dict[str, Any]]:
        home = self.cfn if service == "cloudformation" else self
        return getattr(home, f"{service}_{operation}" if home is self else operation)  # type: ignore[no-any-return]

    def cloudcontrol_GetResource(self, TypeName: str, Identifier: str) -> dict[str, Any]:
        properties = self.cfn.existing.get((TypeName, Identifier))
        if properties is None:
            raise Refused("ResourceNotFoundException", f"{TypeName} {Identifier} was not found", 404)
        told = {"Identifier": Identifier, "Properties": json.dumps(properties)}
        return {"TypeName": TypeName, "ResourceDescription": told}

    def sts_GetCallerIdentity(self) -> dict[str, Any]:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/deployer", "UserId": "x"}

    def ssm_GetParameters(self, Names: list[str]) -> dict[str, Any]:
        return {"Parameters": [{"Name": name, "Value": self.ami} for name in Names]}

    def s3_PutObject(self, Bucket: str, Key: str, Body: Any, **rest: Any) -> dict[str, Any]:
        if Bucket not in self.buckets:
            raise Refused("NoSuchBucket", "The specified bucket does not exist", 404)
        if rest.get("ExpectedBucketOwner", ACCOUNT) != self.buckets[Bucket]:
            raise Refused("AccessDenied", "Access Denied", 403)
        if rest.get("IfNoneMatch") == "*" and Key in self.objects:
            raise Refused("PreconditionFailed", "At least one of the pre-conditions did not hold", 412)
        self.objects[Key] = (Body if isinstance(Body, bytes) else Body.read()).decode()
        return {}

    def ecs_DescribeServices(self, services: list[str], **_: Any) -> dict[str, Any]:
        primary = {"status": "PRIMARY", "rolloutState": "COMPLETED", "runningCount": 2, "desiredCount": 2}
        return {
            "services": [
                {
                    "serviceArn": arn,
                    "taskDefinition": self.ecs.get("definition") or self.cfn.definition_of(arn),
                    "deployments": [primary],
                }
                for arn in services
            ]
        }

    def ecs_ListTasks(self, **_: Any) -> dict[str, Any]:
        return {"taskArns": []}

    def ecs_ListServiceDeployments(self, **_: Any) -> dict[str, Any]:
        if "deployment" not in self.ecs:
            return {"serviceDeployments": []}
        return {"serviceDeployments": [{"serviceDeploymentArn": "arn:aws:ecs:x", "status": "SUCCESSFUL"}]}

    def ecs_DescribeServiceDeployments(self, **_: Any) -> dict[str, Any]:
        states = self.ecs["deployment"]
        return {"serviceDeployments": [states.pop(0) if len(states) > 1 else states[0]]}


#: Calls whose permission has another name, or that need none.
NAMED: dict[str, set[str]] = {
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "s3:GetPublicAccessBlock": {"s3:GetBucketPublicAccessBlock"},
    "s3:GetBucketEncryption": {"s3:GetEncryptionConfiguration"},
    "sts:GetCallerIdentity": set(),
    "cloudcontrol:GetResource": {"cloudformation:GetResource"},
    # Only `doctor` asks, and goes on without it.
    "iam:SimulatePrincipalPolicy": set(),
}
#: What `bootstrap` does, which an administrator runs.
BOOTSTRAP = {"s3:CreateBucket", "s3:PutBucketEncryption", "s3:PutBucketPolicy", "s3:PutBucketVersioning"}


def action_of(service: str, operation: str) -> set[str]:
    """The permissions that a call needs."""
    name = f"{'elasticloadbalancing' if service == 'elbv2' else service}:{operation}"
    return NAMED.get(name, {name})


@functools.cache
def allowed() -> set[str]:
    """What the policies of whoever deploys, pushes images, runs commands, asks for drift and takes in what is there
    allow, and what `bootstrap` needs."""
    scope = Scope("web", "artifacts", ACCOUNT, REGION)
    templates = set_of(compose(OPERATED))
    statements = [*deployer(templates, scope, "*"), *images(scope), *commands(templates, scope)]
    statements += [
        *cost(),
        *moves(),
        *drift(templates, scope),
        *imports([Import("Data/Table", "AWS::DynamoDB::Table", "t", {})], scope),
    ]
    actions = {action for one in plain(statements) for action in one["Action"]}
    return actions | BOOTSTRAP | {"s3:PutPublicAccessBlock"}


_CURRENT: list[World] = []
_CURRENT.append(None)  # type: ignore[arg-type]


class FakedAws(Aws):
    """Real clients, whose calls go to the current world."""

    renewed = 0

    def client(self, service: str, *, once: bool = False) -> Any:
        return _client(service)

    def renew(self) -> None:
        self.renewed += 1


@functools.cache
def _client(service: str) -> Any:
    client = boto3.Session().client(
        service,
        region_name=REGION,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="x",
        config=Config(user_agent="fake"),  # to make up one is a quarter of a call that goes nowhere
    )

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["given"] = dict(params)

    def answer(model: Any, context: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        try:
            parsed = _CURRENT[0].answer(service, model.name, context["given"])
        except Refused as refused:
            error = {"Error": {"Code": refused.code, "Message": refused.message}}
            meta = {"ResponseMetadata": {"HTTPStatusCode": refused.status}}
            return AWSResponse("", refused.status, {}, None), {**error, **meta}
        if model.output_shape is not None:
            report = ParamValidator().validate(parsed, model.output_shape)
            assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
        return AWSResponse("", 200, {}, None), parsed

    client.meta.events.register_first("before-parameter-build", remember)
    client.meta.events.register_first("before-call", answer)
    return client
