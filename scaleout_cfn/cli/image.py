"""image build, image push and image list: from a folder with a Dockerfile to an image in the stack's repository."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from scaleout_cfn.cli.options import config_options, load_config
from scaleout_cfn.cli.work import Work, aws_command, view_for
from scaleout_cfn.config import Config
from scaleout_cfn.deploy.live import Live, find, require
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.deploy.outcome import interrupted, outcome_of_error
from scaleout_cfn.errors import Next, ScaleoutError, Stopped, UsageError
from scaleout_cfn.image import delivery, repository
from scaleout_cfn.image.context import PLATFORMS, Source
from scaleout_cfn.image.delivery import Built
from scaleout_cfn.image.repository import Repository

__all__ = ["SAMPLE", "build_source", "image", "image_uri", "push_built", "repository_in"]

#: The folder that is built where none is given.
SAMPLE = "webapp"


def source_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """FOLDER, --tag, and what goes to the builder after --."""
    for option in (
        click.argument("arguments", nargs=-1, metavar="[-- ARGUMENTS]", type=click.UNPROCESSED),
        click.argument("folder", default=SAMPLE, metavar="[FOLDER]"),
        click.option("--tag", default="", help="The tag of the image.  [default: made of what it is built from]"),
    ):
        body = option(body)
    return body


@click.group()
def image() -> None:
    """Build the image of the service, push it, and list what is there.

    The tag is made of what the image is built from: the files of the folder (less what .dockerignore names), the
    platform, and the arguments of the builder. So the same sources are built and pushed once, on whichever machine,
    and the same command again does nothing. A newer base image is no other source: to build on it, give a --tag of
    your own. Deploy with `scaleout-cfn deploy --build`, or by tag or digest with `deploy --image`.
    """


@image.command()
@config_options
@source_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, the result last.")
def build(
    config_path: Path | None,
    environment: str | None,
    overrides: tuple[str, ...],
    folder: str,
    arguments: tuple[str, ...],
    tag: str,
    as_json: bool,
) -> None:
    """Build FOLDER (default: webapp) with docker, podman, buildah or finch, whichever works first.

    No account is needed. The platform is that of cluster.architecture, and an image of another one is refused. What
    comes after -- goes to the builder as it is: image build webapp -- --build-arg BASE_IMAGE=debian:trixie-slim
    """
    config = load_config(config_path, environment, overrides)
    view = view_for(as_json=as_json)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        built = delivery.build(*_wanted(config, config.stack_name, folder, arguments, tag), view.tell)
        words = "built" if built.new else "there already"
        outcome = Outcome(
            "done" if built.new else "no_change",
            f"{built.name}: {words}",
            outputs={"LocalImage": built.name},
            next=Next("image push", instead=Next("deploy", ("--build",))),
        )
    except KeyboardInterrupt as stop:
        outcome = interrupted(stop, "image build", running=False)
    except ScaleoutError as error:
        outcome = outcome_of_error(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    view.tell(outcome)
    view.close()
    raise SystemExit(outcome.exit_code)


@image.command()
@aws_command()
@source_options
def push(work: Work, folder: str, arguments: tuple[str, ...], tag: str) -> Outcome:
    """Build FOLDER (default: webapp) where it is not built, and push it to the stack's repository, if it is not there.

    The password for the registry is fresh, goes to the builder's standard input, and is kept nowhere.
    """
    place = repository_in(work, require(work.aws, work.stack_name))
    if place is None:
        raise _no_repository(work.stack_name)
    source, name, asked, tell = *_wanted(work.config, work.stack_name, folder, arguments, tag), work.view.tell
    there = repository.image_of(work.aws, place, asked)
    kept = there or delivery.push(work.aws, place, delivery.build(source, name, asked, tell), tell)
    return Outcome(
        "no_change" if there else "done",
        f"{place.uri}:{asked} is {'there already' if there else 'pushed'}",
        outputs={"ImageUri": f"{place.uri}@{kept.digest}"},
        next=Next("deploy", ("--image", asked)),
    )


@image.command("list")
@aws_command()
def list_(work: Work) -> Outcome:
    """List the images of the stack's repository, the newest first; the one that the stack runs has an asterisk.

    Each line has the time of the push, the size, the tags and the digest. `deploy --image` takes a tag or a digest.
    """
    live = require(work.aws, work.stack_name)
    place = repository_in(work, live)
    if place is None:
        raise _no_repository(work.stack_name)
    images = repository.images(work.aws, place)
    runs = live.parameters.get("ImageUri", "")
    for entry in images:
        current = runs == f"{place.uri}@{entry.digest}" or runs in {f"{place.uri}:{tag}" for tag in entry.tags}
        pushed = f"{entry.pushed:%Y-%m-%d %H:%MZ}" if entry.pushed else ""
        tags = ", ".join(entry.tags) or "(untagged)"
        line = f"{'*' if current else ' '} {pushed:17} {entry.size_bytes / 1e6:7.1f} MB  {tags}  {entry.digest}"
        data = {
            "digest": entry.digest,
            "tags": list(entry.tags),
            "pushed": entry.pushed.isoformat() if entry.pushed else "",
            "size_bytes": entry.size_bytes,
            "uri": f"{place.uri}@{entry.digest}",
            "current": current,
        }
        work.view.tell(Fact("image", (line,), data))
    following = ("--image", "DIGEST") if images else ("--build",)
    count = "1 image" if len(images) == 1 else f"{len(images)} images"
    return Outcome("done", f"{place.uri}: {count}", next=Next("deploy", following))


def repository_in(work: Work, live: Live | None) -> Repository | None:
    """The repository of the stack; with --local it is the emulator's that takes pushes."""
    return repository.repository_of(live, work.aws.target.endpoint_url if work.local else "")


def image_uri(work: Work, text: str | None) -> str | None:
    """What --image stands for: a URI as it is, a digest or a tag as the pinned URI in the stack's repository."""
    if not text or not repository.is_short(text):
        return text
    place = repository_in(work, find(work.aws, work.stack_name))
    if place is None:
        raise _no_repository(work.stack_name, f"image {text}: it is no URI, and ")
    return repository.pinned_uri(work.aws, place, text)


def build_source(work: Work, folder: str, place: Repository | None) -> tuple[str, Built | None]:
    """The tag of a folder, and what was built of it; nothing where the repository has that tag already."""
    source, name, tag = _wanted(work.config, work.stack_name, folder, (), "")
    if place is not None and repository.image_of(work.aws, place, tag):
        return tag, None
    return tag, delivery.build(source, name, tag, work.view.tell)


def push_built(work: Work, tag: str, built: Built | None) -> str:
    """The pinned URI of an image that is in the stack's repository, or is pushed to it now."""
    place = repository_in(work, require(work.aws, work.stack_name))
    if place is None:
        raise _no_repository(work.stack_name)
    if built is None:
        return repository.pinned_uri(work.aws, place, tag)
    return f"{place.uri}@{delivery.push(work.aws, place, built, work.view.tell).digest}"


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _wanted(config: Config, stack: str, folder: str, arguments: tuple[str, ...], tag: str) -> tuple[Source, str, str]:
    if folder.startswith("-"):  # then everything before -- was left out
        folder, arguments = SAMPLE, (folder, *arguments)
    if tag and not repository.is_tag(tag):
        raise UsageError(f"--tag: got {tag!r}; a tag has 1 to 128 letters, digits, dots, dashes and underscores")
    source = Source(Path(folder), PLATFORMS[config.cluster.architecture], arguments)
    return source, stack, tag or source.tag


def _no_repository(stack: str, what: str = "") -> UsageError:
    return UsageError(f"{what}stack {stack} has no repository yet", next=Next("deploy", ("--build",)))
