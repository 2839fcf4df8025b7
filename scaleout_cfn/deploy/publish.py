"""Templates in a bucket, under keys that are made of their content.

An unchanged child keeps its key and so its URL, and CloudFormation leaves it alone. Children are uploaded before
whoever names them: nothing ever refers to a half set, and an upload that broke off is finished by the next one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from scaleout_cfn.aws.client import Aws, Identity
from scaleout_cfn.errors import AccessError, ApiError, Next, UsageError
from scaleout_cfn.rendering import Template, set_of, texts_of
from scaleout_cfn.stack import Stack
from scaleout_cfn.yaml_text import to_yaml

PREFIX = "templates"
#: Properties that give an IAM resource a name of its own.
NAMED = {"GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"}
CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


@dataclass(frozen=True)
class Bucket:
    """A bucket and the address that its objects are read at, without a slash at its end."""

    name: str
    url: str


@dataclass(frozen=True)
class File:
    """One template, where it lies and what is in it."""

    name: str
    key: str
    url: str
    text: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


@dataclass(frozen=True)
class Published:
    """A set with absolute TemplateURLs: its files, children before whoever names them, and what the root asks for."""

    bucket: Bucket
    files: tuple[File, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    capabilities: tuple[str, ...]

    @property
    def root(self) -> File:
        return self.files[-1]


def bucket_name(identity: Identity) -> str:
    """The bucket that `bootstrap` makes, one for each account and region."""
    return f"scaleout-{identity.account_id}-{identity.region}"


def bucket_at(aws: Aws, identity: Identity, bucket: str) -> Bucket:
    """Where the bucket's objects are read: as AWS writes it, or path-style where an endpoint of another kind is used.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    endpoint = aws.endpoint("s3").rstrip("/")
    if endpoint and not endpoint.endswith(identity.suffix):
        return Bucket(bucket, f"{endpoint}/{bucket}")
    host = f"s3.{identity.region}.{identity.suffix}"
    # A dot in the name does not fit the wildcard certificate.
    return Bucket(bucket, f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}")


def prepare(stack: Stack, bucket: Bucket) -> Published:
    """The texts of a set with absolute TemplateURLs. No network: the same set and bucket give the same files.

    Raises SetError when the set would fail on CloudFormation.
    """

    def key(text: str) -> str:
        return f"{PREFIX}/{hashlib.sha256(text.encode()).hexdigest()}.yaml"

    def url(name: str, template: Template) -> str:
        return f"{bucket.url}/{key(to_yaml(template))}"

    templates = set_of(stack, url=url)
    texts = texts_of(templates)
    files = [File(name, key(text), f"{bucket.url}/{key(text)}", text) for name, text in texts.items()]
    root = next(iter(templates.values()))
    # A set lists a parent before those that it nests, so the reverse is the order to upload in.
    return Published(bucket, tuple(reversed(files)), root.get("Parameters", {}), _capabilities(templates))


def _capabilities(templates: Mapping[str, Template]) -> tuple[str, ...]:
    """What whoever creates the set has to acknowledge, and no more.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
    """
    resources = [resource for template in templates.values() for resource in template["Resources"].values()]
    roles = [resource for resource in resources if resource["Type"].startswith("AWS::IAM::")]
    capabilities = ["CAPABILITY_IAM"] if roles else []
    if any(NAMED & set(role.get("Properties", {})) for role in roles):
        capabilities = ["CAPABILITY_NAMED_IAM"]
    if any("Transform" in template for template in templates.values()):
        capabilities.append("CAPABILITY_AUTO_EXPAND")
    return tuple(capabilities)


def unknown_to(root: str, published: Published) -> tuple[File, ...]:
    """The files of a set that a root's text does not name, nor any file that it does: it was made of those others."""
    files = []
    for file in reversed(published.files):  # parents first
        if file.url in root:
            root += file.text
        else:
            files.append(file)
    return tuple(reversed(files))


def upload(aws: Aws, published: Published, owner: str) -> int:
    """Put what is not there yet into the bucket, which must belong to `owner`. Returns how many files were new."""
    aws.client("s3")  # made here, for making a client is not safe in threads
    waiting, new = list(published.files), 0
    while waiting:
        ready = [file for file in waiting if not any(other.url in file.text for other in waiting)]
        with ThreadPoolExecutor(max_workers=4) as pool:
            new += sum(pool.map(lambda file: _put(aws, published.bucket.name, file, owner), ready))
        waiting = [file for file in waiting if file not in ready]
    return new


def _put(aws: Aws, bucket: str, file: File, owner: str) -> bool:
    """Upload one file unless its key is taken, which is to say that it is there."""
    try:
        # The key is made of the content and the write is conditional: to repeat it is safe.
        aws.read(
            "s3",
            "put_object",
            Bucket=bucket,
            Key=file.key,
            Body=file.text.encode(),
            ContentType="text/yaml",
            ChecksumSHA256=base64.b64encode(file.sha256).decode(),
            IfNoneMatch="*",
            ExpectedBucketOwner=owner,
        )
    except ApiError as error:
        if error.kind == "exists":
            return False
        if error.code == "ConditionalRequestConflict":  # another upload of the same content is on its way
            return _put(aws, bucket, file, owner)
        if error.code == "NoSuchBucket":
            raise UsageError(f"bucket {bucket}: not there", next=Next("bootstrap", ("--bucket", bucket))) from None
        if error.code in ("PermanentRedirect", "301", "AuthorizationHeaderMalformed"):
            raise UsageError(f"bucket {bucket}: is in another region; use one in the region of the stack") from None
        raise
    except AccessError as error:
        if error.kind != "denied":
            raise
        cure = f"; or it is of another account than {owner}: give one of yours by --bucket"
        raise AccessError(f"bucket {bucket}: {error}{cure}", next=error.next) from None
    return True


def quick_create(identity: Identity, published: Published, stack_name: str, parameters: Mapping[str, str]) -> str:
    """The console's page that creates the stack, filled in. NoEcho parameters are left out: the console ignores them.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-create-stacks-quick-create-links.html
    """
    query = {"templateURL": published.root.url, "stackName": stack_name}
    for name, value in parameters.items():
        if not published.parameters.get(name, {}).get("NoEcho"):
            query[f"param_{name}"] = value
    region = quote(identity.region)
    console = CONSOLES.get(identity.partition, "console.aws.amazon.com")
    host = console if identity.partition in CONSOLES else f"{region}.{console}"
    return (
        f"https://{host}/cloudformation/home?region={region}#/stacks/create/review?{urlencode(query, quote_via=quote)}"
    )
