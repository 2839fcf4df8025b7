"""What was there before a set and is taken into it: named in its template, and kept whatever becomes of the set.

CloudFormation finds what a nested stack takes in by its name alone, in a change set of the root. The name is written in
the template, not made by a function; the resource is kept on deletion, and its identifier is nothing that AWS makes:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
A change set of the type IMPORT, which takes ids, is not for nested stacks (https://github.com/go-to-k/cdkd/pull/582).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from troposphere import AWSObject
from troposphere.cloudformation import Stack as NestedStack

from scaleout_cfn.errors import SetError
from scaleout_cfn.stack import Stack


class Named(NamedTuple):
    """A type that is found by its name: what it is, the property that holds it, what a name may be, in words, and the
    service and pattern of its ARN where that is made of the name."""

    what: str
    property: str
    pattern: str = r".+"
    words: str = ""
    arn: tuple[str, str] = ("", "")


NAMED: Mapping[str, Named] = {
    "AWS::DynamoDB::Table": Named(
        "table",
        "TableName",
        r"[\w.-]{3,255}",
        "3 to 255 letters, digits, dots, dashes and underscores",
        ("dynamodb", "arn:{{partition}}:dynamodb:{{region}}:{{account}}:table/{name}"),
    ),
    "AWS::ECR::Repository": Named(
        "repository",
        "RepositoryName",
        r"(?=.{2,256}$)[a-z0-9]+([._/-]+[a-z0-9]+)*",
        "2 to 256 small letters and digits, parted by dots, dashes, underscores and slashes",
        ("ecr", "arn:{{partition}}:ecr:{{region}}:{{account}}:repository/{name}"),
    ),
    "AWS::ECS::Cluster": Named("cluster", "ClusterName"),
    "AWS::Logs::LogGroup": Named(
        "log group",
        "LogGroupName",
        r"[\w./#-]{1,512}",
        "up to 512 letters, digits, dots, dashes, underscores, slashes and number signs",
        ("logs", "arn:{{partition}}:logs:{{region}}:{{account}}:log-group:{name}"),
    ),
    "AWS::Route53::RecordSet": Named("record", "Name"),
    "AWS::S3::Bucket": Named(
        "bucket",
        "BucketName",
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "3 to 63 small letters, digits, dots and dashes",
        ("s3", "arn:{{partition}}:s3:::{name}"),
    ),
}
"""Types that a set takes in: by their schemas their identifier is nothing that AWS makes."""

#: What the config names by itself, and by which key.
_BY_KEY = {"AWS::ECS::Cluster": "cluster.name", "AWS::Route53::RecordSet": "the domain of the listener or the route"}
#: How to use, without owning it, what cannot be taken in.
_INSTEAD = {
    "AWS::EC2::VPC": 'use it where it is: network.kind = "existing"',
    "AWS::EC2::Subnet": 'use it where it is: network.kind = "existing"',
    "AWS::ElasticLoadBalancingV2::LoadBalancer": 'use it where it is: load_balancer.kind = "existing"',
    "AWS::ElasticLoadBalancingV2::Listener": 'use it where it is: load_balancer.kind = "existing"',
    "AWS::EFS::FileSystem": 'use it where it is: a volume of kind = "existing-efs"',
    "AWS::KMS::Key": 'use it where it is: encryption.kind = "given"',
    "AWS::WAFv2::WebACL": 'use it where it is: load_balancer.waf.kind = "existing"',
}


class Import(NamedTuple):
    """A resource that is taken in: `properties` are those of the template that are plain values."""

    path: str
    type: str
    name: str
    properties: Mapping[str, Any]

    @property
    def what(self) -> str:
        return f"{NAMED[self.type].what} {self.name}"


def take_in(root: Stack, imports: Mapping[str, str]) -> None:
    """Name what is taken in, and keep it. Raises SetError for all that cannot be, each with the cure."""
    resources = dict(_resources(root))
    problems = [f"imports.{path}: {why}" for path, name in imports.items() if (why := _problem(resources, path, name))]
    if problems:
        raise SetError(problems)
    for path, name in imports.items():
        resource = resources[path]
        setattr(resource, NAMED[_kind(resource)].property, name)
        resource.DeletionPolicy = resource.UpdateReplacePolicy = "Retain"


def _problem(resources: Mapping[str, AWSObject], path: str, name: str) -> str:
    resource = resources.get(path)
    if resource is None:
        there = ", ".join(sorted(path for path in resources if _kind(resources[path]) in NAMED))
        return f"the set has no resource of that path; it can take in {there or 'none'}"
    kind = _kind(resource)
    if kind not in NAMED:
        cure = _INSTEAD.get(kind, "leave it out, and the set makes its own")
        return f"{kind} cannot be taken in, for CloudFormation finds it by no name that a template gives; {cure}"
    named = NAMED[kind]
    given = resource.properties.get(named.property)
    if kind in _BY_KEY:
        if given != name:
            said = f"by the config it is {given}" if given else "the config gives it no name"
            return f"got {name!r}, and {said}; a {named.what} is named by {_BY_KEY[kind]}: write the same there"
    elif not re.fullmatch(named.pattern, name, re.ASCII):
        return f"got {name!r}; the name of a {named.what} is {named.words}"
    return ""


def importable(root: Stack) -> dict[str, str]:
    return {path: NAMED[_kind(resource)].what for path, resource in _resources(root) if _kind(resource) in NAMED}


def imported(root: Stack, imports: Mapping[str, str]) -> tuple[Import, ...]:
    resources = dict(_resources(root)) if imports else {}
    return tuple(
        Import(
            path,
            _kind(resources[path]),
            name,
            {
                key: value
                for key, value in resources[path].to_dict().get("Properties", {}).items()
                if not _is_computed(value)
            },
        )
        for path, name in imports.items()
    )


def arns(wanted: tuple[Import, ...]) -> dict[str, tuple[str, ...]]:
    """The ARNs of what is taken in, by service: patterns as those of `permissions.grants.NAMES`."""
    found: dict[str, tuple[str, ...]] = {}
    for each in wanted:
        service, pattern = NAMED[each.type].arn
        if service:
            found[service] = (*found.get(service, ()), pattern.format(name=each.name))
    return found


def _kind(resource: AWSObject) -> str:
    return resource.resource_type or ""


def _is_computed(value: object) -> bool:
    """Whether anything of a value is known to CloudFormation only."""
    if isinstance(value, Mapping):
        return any(key == "Ref" or str(key).startswith("Fn::") or _is_computed(inner) for key, inner in value.items())
    return isinstance(value, list) and any(map(_is_computed, value))


def _resources(stack: Stack, path: str = "") -> Iterator[tuple[str, AWSObject]]:
    for title, resource in stack.template.resources.items():
        if not isinstance(resource, NestedStack):
            yield f"{path}{title}", resource
    for title, child in stack.children.items():
        yield from _resources(child, f"{path}{title}/")
