"""Sets to look at, composed once each, and a look at their parts."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec
from one_service import one_service

import scaleout_cfn as sc

Template = dict[str, Any]
Templates = dict[str, Template]

PINNED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/al2023-ami-ecs-hvm-2023.0.20260101/image_id"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/web/key"
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b2c3d-1234-1234-1234-0123456789ab"
DOMAIN = sc.Domain(domain_name="shop.example.com", hosted_zone_id="Z0123456789")
AWSVPC = one_service(sc.WebService(network_mode="awsvpc"), scaling=sc.Scaling(max_tasks=9))


@functools.cache
def _encoded(config: bytes) -> Templates:
    return sc.set_of(sc.compose(msgspec.msgpack.decode(config, type=sc.Config)))


def made(config: sc.Config | None = None, **parts: Any) -> Templates:
    """The templates of a config, or of one service with other parts. Not to be changed."""
    return _encoded(msgspec.msgpack.encode(config or one_service(**parts)))


def resource(templates: Templates, file: str, title: str) -> dict[str, Any]:
    found: dict[str, Any] = templates[f"{file}.yaml"]["Resources"][title]
    return found


def properties(templates: Templates, file: str, title: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(templates, file, title).get("Properties", {})
    return found


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Title to properties, but for tags, of the resources of a type without its `AWS::`."""
    return {
        title: {key: value for key, value in body.get("Properties", {}).items() if key != "Tags"}
        for title, body in template["Resources"].items()
        if body["Type"] == f"AWS::{kind}"
    }


def at(value: Any, path: str) -> Any:
    """What is at a dotted path: keys, indices of lists, and `[Name=x]` for the item of a list that says so."""
    for part in path.split("."):
        if part.startswith("["):
            key, _, wanted = part[1:-1].partition("=")
            (value,) = [item for item in value if str(item[key]).replace(".", "/") == wanted]
        else:
            value = value[int(part)] if part.isdigit() else value[part]
    return value


def references(value: Any) -> Iterator[str]:
    """Every resource or parameter that a piece of a template refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list):
            yield value["Fn::GetAtt"][0]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def ref(title: str) -> dict[str, str]:
    return {"Ref": title}


def att(title: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [title, attribute]}


def check_bucket(bucket: dict[str, Any], *, days: int) -> None:
    """Private, encrypted by S3's own keys, versioned, owned by the account, and emptied of what is old."""
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", days)
    # A day after it expired, or was given up, it is gone: versions would cost for ever.
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


#: A service's Ref is its ARN, arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME. Computed from it, a name is known to
#: CloudFormation where a GetAtt would not be.
RESOURCE_ID = {"Fn::Select": [5, {"Fn::Split": [":", ref("Service")]}]}
NAME_OF_SERVICE = {"Fn::Select": [2, {"Fn::Split": ["/", ref("Service")]}]}
