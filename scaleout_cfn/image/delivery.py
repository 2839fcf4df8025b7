"""From a folder to an image in a service's repository. Every step looks first whether it is done already.

The tag is made of what the image is built from: files, platform and arguments. So it never says something else than
before, which an immutable tag demands; a run that was interrupted, or one on another machine, finds what is there; and
no repository of sources is needed. A newer base image does not change it: to build the same files on it, name a tag.
"""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.config.units import title_of
from scaleout_cfn.deploy.live import Live
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.errors import AGAIN, ApiError, DeployError, Next, UsageError
from scaleout_cfn.image.builder import Builder, BuilderError, find

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


#: An architecture of the config, as container tools call it.
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}

DOCKERFILE = "Dockerfile"
IGNORE = ".dockerignore"
#: What some builders read in its stead. Where there is one, nothing counts as ignored: a file too many in the tag
#: costs a build, one too few would hide a change.
OTHER_IGNORES = (".containerignore", f"{DOCKERFILE}.dockerignore")


@dataclass(frozen=True)
class Source:
    """What an image is built from: a folder with a Dockerfile, a platform, and arguments for the builder."""

    folder: Path
    platform: str
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: there is no such folder; give the one that has the {DOCKERFILE}")
        if not (self.folder / DOCKERFILE).is_file():
            raise UsageError(f"{self.folder}: there is no {DOCKERFILE} in it; give the folder that has one")

    @property
    def tag(self) -> str:
        """Sixteen hex digits that differ whenever a file, its executable bit, the platform or an argument does."""
        digest = hashlib.sha256()

        def add(*parts: bytes) -> None:
            for part in parts:
                digest.update(len(part).to_bytes(8, "big") + part)

        add(self.platform.encode(), *(argument.encode() for argument in self.arguments))
        for name in included(self.folder):
            path = self.folder / name
            if path.is_symlink():
                add(b"link", os.fsencode(name), os.fsencode(os.readlink(path)))
            else:
                kind = b"program" if os.access(path, os.X_OK) else b"file"
                add(kind, os.fsencode(name), path.read_bytes())
        return digest.hexdigest()[:16]


def included(folder: Path) -> list[str]:
    """The files and links that a builder gets, as sorted paths within the folder.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    patterns: list[tuple[re.Pattern[str], bool]] = []
    if (folder / IGNORE).is_file() and not any((folder / name).exists() for name in OTHER_IGNORES):
        patterns = list(_patterns((folder / IGNORE).read_text("utf-8-sig", "surrogateescape").splitlines()))
    # Where a later line takes something back, a folder that is ignored may hold it.
    prune = all(ignored for _, ignored in patterns)
    paths = []
    for root, folders, files in os.walk(folder):
        within = Path(root).relative_to(folder).as_posix()

        def path_of(name: str, within: str = within) -> str:
            return posixpath.normpath(posixpath.join(within, name))

        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        folders[:] = [name for name in folders if not (prune and _ignored(path_of(name), patterns))]
        for name in [*files, *links]:
            regular = os.path.isfile(os.path.join(root, name)) or os.path.islink(os.path.join(root, name))
            if regular and not _ignored(path_of(name), patterns):
                paths.append(path_of(name))
    # These reach the builder in any case.
    always = {name for name in (DOCKERFILE, IGNORE) if (folder / name).is_file()}
    return sorted({*paths, *always})


def _patterns(lines: Sequence[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    for line in lines:
        text = line.strip()
        if line.startswith("#") or not text:
            continue
        ignored = not text.startswith("!")
        text = posixpath.normpath(text.removeprefix("!").strip()).lstrip("/")
        yield re.compile(_expression(text)), ignored


def _expression(pattern: str) -> str:
    """Go's filepath.Match with ** for any number of folders, as a regular expression over a whole path."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    bits = re.findall(r"\*\*/|\*\*|\*|\?|\\.|\[\^?[^\]]+\]|.", pattern)
    return "".join(parts.get(bit) or (bit if bit[0] in "[\\" and len(bit) > 1 else re.escape(bit)) for bit in bits)


def _ignored(path: str, patterns: Sequence[tuple[re.Pattern[str], bool]]) -> bool:
    """Whether the last line that matches the path, or a folder that it is in, ignores it."""
    steps = path.split("/")
    places = ["/".join(steps[:number]) for number in range(1, len(steps) + 1)]
    ignored = False
    for pattern, says in patterns:
        if any(pattern.fullmatch(place) for place in places):
            ignored = says
    return ignored


#: Reads until the repository shows what was pushed to it.
READS = 5


@dataclass(frozen=True)
class Built:
    """An image that is on this machine, as `name` of a builder."""

    builder: Builder
    name: str
    tag: str
    new: bool


def build(source: Source, name: str, tag: str, tell: Tell, builder: Callable[[], Builder] = find) -> Built:
    """Build an image as `NAME:TAG`, unless it is there. Its platform is that of what it runs on, or it is refused.

    Raises BuilderError, or UsageError where nothing builds or the image is of another platform.
    """
    program = builder()
    name = f"{name.lower()}:{tag}"
    if program.platform_of(name) == source.platform:
        tell(Note(f"{name} is built already"))
        return Built(program, name, tag, new=False)
    tell(Note(f"building {source.folder} for {source.platform} with {program.name}, as {name}"))
    got = _make(program, source, name, source.arguments, tell)
    if got != source.platform:
        # Some builders take a layer from their cache that is for another platform: podman 4.3 does.
        tell(Note(f"the image is for {got or 'no known platform'}: building once more, without the builder's cache"))
        got = _make(program, source, name, (*source.arguments, "--no-cache"), tell)
    if got != source.platform:
        raise UsageError(
            f"image {name}: it is for {got or 'no known platform'}, and the service runs on {source.platform}. Its"
            " Dockerfile or its base fixes the platform: let it follow --platform, or set the architecture of the pool,"
            " capacity.NAME.architecture, on Fargate that of the service"
        )
    return Built(program, name, tag, new=True)


def _make(builder: Builder, source: Source, name: str, arguments: Sequence[str], tell: Tell) -> str:
    builder.build(source.folder, name, source.platform, arguments, _teller(tell))
    return builder.platform_of(name)


def push(aws: Aws, repository: Repository, built: Built, tell: Tell) -> Image:
    """Push a built image, unless its tag is there, and say what the repository holds by that tag now.

    Sending it again is harmless: a layer and a manifest are kept by their digest, and the tag cannot be moved. Raises
    DeployError where it cannot be pushed.
    """
    if image := image_of(aws, repository, built.tag):
        tell(Note(f"{repository.uri}:{built.tag} is there already"))
        return image
    tell(Note(f"pushing {repository.uri}:{built.tag}"))
    remote = f"{repository.host}/{repository.name}:{built.tag}"
    try:
        built.builder.push(built.name, remote, password(aws, repository), _teller(tell), plain=repository.plain)
    except BuilderError as error:
        # Somebody else may have pushed the same meanwhile, or the answer to ours was lost.
        if image := image_of(aws, repository, built.tag):
            tell(Note(f"{error}; but {repository.uri}:{built.tag} is there"))
            return image
        raise DeployError(
            str(error),
            state=f"the image is not in {repository.uri}; what runs is as it was",
            next=Next(AGAIN, words="it sends what is missing"),
        ) from None
    for _ in range(READS):
        if image := image_of(aws, repository, built.tag):
            return image
        aws.pace.wait()
    raise DeployError(
        f"{repository.uri}:{built.tag} was pushed, but ECR does not show it",
        state="what runs is as it was",
        next=Next("image list", words="then the same command again"),
    )


def _teller(tell: Tell) -> Callable[[str], None]:
    return lambda line: tell(Note(f"  {line}"))
