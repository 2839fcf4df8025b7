"""A stack as it is now: its state, its template, and everything in it. Reads only."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from scaleout_cfn.aws import NESTED, title_in
from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.states import Status, meaning
from scaleout_cfn.errors import ApiError, Next, UsageError


@dataclass(frozen=True)
class Live:
    """A stack as DescribeStacks shows it. `version` is another one after every operation."""

    stack_id: str
    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    resolved: Mapping[str, str]
    tags: Mapping[str, str]
    outputs: Mapping[str, str]
    version: str
    protected: bool
    role_arn: str

    @property
    def meaning(self) -> Status:
        return meaning(self.status)


@dataclass(frozen=True)
class Resource:
    """A resource of a stack or of one nested in it. `path` is `Data/Table`; `stack_id` the stack that holds it, and
    `since` when it got its status."""

    path: str
    type: str
    physical_id: str
    status: str
    stack_id: str
    since: datetime | None = None

    def is_made(self, type: str) -> bool:
        """Whether it is of this type, and has the ARN that it gets once it is made."""
        return self.type == type and self.physical_id.startswith("arn:")


def find(aws: Aws, stack: str, *, once: bool = False) -> Live | None:
    """The stack of a name or ARN; None where there is none. A deleted stack is found only by its ARN.

    `once` leaves repeating to the caller.
    """
    try:
        answer = (aws.once if once else aws.read)("cloudformation", "describe_stacks", StackName=stack)
    except ApiError as error:
        if error.kind == "missing":
            return None
        raise
    return parsed(answer["Stacks"][0])


def require(aws: Aws, stack: str) -> Live:
    """The stack of a name or ARN. Raises UsageError where there is none."""
    live = find(aws, stack)
    if live is None:
        what = f"stack {stack}: there is none in {aws.region}; one that is deleted is found by its ARN"
        raise UsageError(what, next=Next("deploy", words="to make it", instead=Next(words="give another --stack")))
    return live


def parsed(raw: Mapping[str, Any]) -> Live:
    parameters = raw.get("Parameters", [])
    times = f"{raw.get('CreationTime')} {raw.get('LastUpdatedTime')} {raw.get('DeletionTime')}"
    return Live(
        stack_id=raw["StackId"],
        name=raw["StackName"],
        status=raw["StackStatus"],
        reason=raw.get("StackStatusReason", ""),
        parameters={parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in parameters},
        resolved={given["ParameterKey"]: given["ResolvedValue"] for given in parameters if "ResolvedValue" in given},
        tags=tags_of(raw),
        outputs={output["OutputKey"]: output.get("OutputValue", "") for output in raw.get("Outputs", [])},
        version=hashlib.sha256(times.encode()).hexdigest()[:8],
        protected=bool(raw.get("EnableTerminationProtection")),
        role_arn=raw.get("RoleARN", ""),
    )


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])}


def template_text(aws: Aws, stack_id: str) -> str:
    """The template of a stack as it was sent. Empty for one in JSON, which botocore reads before we do."""
    body = aws.read("cloudformation", "get_template", StackName=stack_id, TemplateStage="Original")["TemplateBody"]
    return body if isinstance(body, str) else ""


def template_body(aws: Aws, arn: str) -> Mapping[str, Any]:
    """The template of a stack or a change set, parsed. Raises ScaleoutError when it cannot be read."""
    name = {"ChangeSetName" if ":changeSet/" in arn else "StackName": arn}
    body = aws.read("cloudformation", "get_template", **name, TemplateStage="Original")["TemplateBody"]
    template: Mapping[str, Any] = body if isinstance(body, Mapping) else _read(body)
    if not isinstance(template.get("Resources"), Mapping):
        raise UsageError(f"template of {title_in(arn)}: no Resources can be read in it")
    return template


@lru_cache(maxsize=200)
def _read(text: str) -> Mapping[str, Any]:
    """A template. Most stacks have the same before and after a change: it is read once."""
    from scaleout_cfn.templates.reading import load

    return load(text, "template").body


def resources_of(
    aws: Aws, stack_id: str, path: str = "", *, inside: Collection[str] | None = None
) -> Iterator[Resource]:
    """Every resource that a stack and those nested in it hold now, nested stacks before what is in them.

    `inside` are the paths of the stack's nested stacks that are looked into; None is all of them.
    """
    for page in aws.pages("cloudformation", "list_stack_resources", StackName=stack_id):
        for raw in page.get("StackResourceSummaries", []):
            resource = Resource(
                path=f"{path}/{raw['LogicalResourceId']}".lstrip("/"),
                type=raw["ResourceType"],
                physical_id=raw.get("PhysicalResourceId", ""),
                status=raw["ResourceStatus"],
                stack_id=stack_id,
                since=raw.get("LastUpdatedTimestamp"),
            )
            if resource.status == "DELETE_COMPLETE":
                continue
            yield resource
            if resource.is_made(NESTED) and (inside is None or resource.path in inside):
                yield from resources_of(aws, resource.physical_id, resource.path)


def templates_of(aws: Aws, stack: str, given: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """The templates of a stack and of those nested in it by file name, transforms carried out, each nested one named
    where it is nested; the root with the values that the stack has, or that are `given` instead.

    Raises UsageError where there is no such stack, and for a value that a parameter does not allow.
    """
    from scaleout_cfn.templates.together import with_values  # only who reads stacks as templates

    live = require(aws, stack)
    values = {**live.parameters, **live.resolved}
    # What NoEcho hides is given as asterisks, and no number.
    shown = {name: value for name, value in values.items() if set(value) != {"*"}}
    found = dict(_with_nested(aws, live.stack_id, live.name))
    root = f"{live.name}.template"
    asked = {name: value for name, value in given.items() if name in live.parameters}
    return {**found, root: with_values(root, found[root], {**shown, **asked})}


def _with_nested(aws: Aws, stack_id: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The template of a stack and those of its nested stacks, whatever they are published as."""
    answer = aws.read("cloudformation", "get_template", StackName=stack_id, TemplateStage="Processed")["TemplateBody"]
    body: Mapping[str, Any] = answer if isinstance(answer, Mapping) else _read(answer)
    resources = dict(body.get("Resources", {}))
    inner = [each for each in resources_of(aws, stack_id, inside=()) if each.is_made(NESTED)]
    for nested in inner:
        if nested.path in resources:
            properties = {
                **resources[nested.path].get("Properties", {}),
                "TemplateURL": f"{name}-{nested.path}.template",
            }
            resources[nested.path] = {"Type": NESTED, "Properties": properties}
    yield f"{name}.template", {**body, "Resources": resources}
    for nested in inner:
        yield from _with_nested(aws, nested.physical_id, f"{name}-{nested.path}")
