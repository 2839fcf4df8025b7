"""The ECR repository of a service: what is in it, what a digest or a tag stands for, and the password to push with."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import title_of
from scaleout_cfn.deploy.live import Live
from scaleout_cfn.errors import ApiError, Next, UsageError

LIST = Next("image list", words="which prints what is there")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Repository:
    """A repository by its URI. `host` is where it is pushed to: the registry, or an emulator with `plain` HTTP."""

    uri: str
    host: str
    plain: bool = False

    @property
    def name(self) -> str:
        return self.uri.partition("/")[2]

    @property
    def registry_id(self) -> str:
        return self.uri.partition(".")[0]


@dataclass(frozen=True)
class Image:
    """An image that is in the repository."""

    digest: str
    tags: tuple[str, ...]
    pushed: datetime | None
    size_bytes: int


def repository_of(live: Live | None, service: str, emulator_url: str = "") -> Repository | None:
    """The repository that a stack has for the images of a service; None where it has none yet."""
    uri = live.outputs.get(f"{title_of(service)}RepositoryUri", "") if live else ""
    if "/" not in uri:
        return None
    return Repository(uri, urlsplit(emulator_url).netloc or uri.partition("/")[0], plain=bool(emulator_url))


def images(aws: Aws, repository: Repository) -> list[Image]:
    """All images, the newest first. Raises UsageError where the repository is gone."""
    try:
        pages = list(aws.pages("ecr", "describe_images", **_place(repository)))
    except ApiError as error:
        raise _gone(repository, error) from None
    listed = [_image(raw) for page in pages for raw in page.get("imageDetails", [])]
    return sorted(listed, key=lambda image: (str(image.pushed), image.digest), reverse=True)


def image_of(aws: Aws, repository: Repository, name: str) -> Image | None:
    key = "imageDigest" if name.startswith("sha256:") else "imageTag"
    try:
        answer = aws.read("ecr", "describe_images", **_place(repository), imageIds=[{key: name}])
    except ApiError as error:
        if error.code == "ImageNotFoundException":
            return None
        raise _gone(repository, error) from None
    details = answer.get("imageDetails", [])
    return _image(details[0]) if details else None


def is_short(text: str) -> bool:
    """Whether an image is given by its digest or tag alone, and so is one of the service's repository.

    An image elsewhere has a slash or a colon in its URI: nginx:1.29 is one of Docker Hub, nginx is a tag.
    """
    return text.startswith("sha256:") or is_tag(text)


def is_tag(text: str) -> bool:
    """Whether a registry takes the text as a tag.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
    """
    return bool(_TAG.fullmatch(text))


def pinned_uri(aws: Aws, repository: Repository, name: str) -> str:
    """`REPOSITORY@sha256:...` of a tag or a digest. Raises UsageError for one that is not there."""
    if name.startswith("sha256:") and not _DIGEST.fullmatch(name):
        raise UsageError(f"image {name}: a digest is sha256: and 64 hex digits", next=LIST)
    image = image_of(aws, repository, name)
    if image is None:
        raise UsageError(f"image {name}: there is none in {repository.uri}", next=LIST)
    return f"{repository.uri}@{image.digest}"


def password(aws: Aws, repository: Repository) -> str:
    """A fresh password of the user AWS, good for twelve hours. Nothing keeps or prints it.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
    """
    answer = aws.read("ecr", "get_authorization_token")
    token = answer["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]


def _place(repository: Repository) -> dict[str, str]:
    return {"registryId": repository.registry_id, "repositoryName": repository.name}


def _image(raw: dict[str, Any]) -> Image:
    return Image(
        raw["imageDigest"],
        tuple(sorted(raw.get("imageTags", []))),
        raw.get("imagePushedAt"),
        int(raw.get("imageSizeInBytes", 0)),
    )


def _gone(repository: Repository, error: ApiError) -> Exception:
    if error.code != "RepositoryNotFoundException":
        return error
    return UsageError(f"repository {repository.uri}: it is gone, though the stack names it", next=Next("deploy"))
