"""From a folder to an image in a service's repository. Every step looks first whether it is done already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.errors import AGAIN, DeployError, Next, UsageError
from scaleout_cfn.image.builder import Builder, BuilderError, find
from scaleout_cfn.image.context import Source
from scaleout_cfn.image.repository import Image, Repository, image_of, password

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
