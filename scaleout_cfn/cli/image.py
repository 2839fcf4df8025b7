"""image build, image push and image list: from a folder with a Dockerfile to an image in a service's repository."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from scaleout_cfn.cli.options import config_options, load_config, one_service_option
from scaleout_cfn.cli.several import in_turn
from scaleout_cfn.cli.work import Options, Work, aws_command, typed_for, view_for
from scaleout_cfn.config import Config
from scaleout_cfn.config.units import Unit, names_of, units
from scaleout_cfn.deploy.live import Live, find, require
from scaleout_cfn.deploy.messages import Fact, Outcome
from scaleout_cfn.deploy.outcome import interrupted, outcome_of_error
from scaleout_cfn.errors import Next, ScaleoutError, Stopped, UsageError
from scaleout_cfn.image import delivery
from scaleout_cfn.image.delivery import PLATFORMS, Built, Repository, Source

#: The folder that is built where none is given, and none is called like the service.
SAMPLE = "webapp"


def source_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """FOLDER, --tag, and what goes to the builder after --."""
    for option in (
        click.argument("arguments", nargs=-1, metavar="[-- ARGUMENTS]", type=click.UNPROCESSED),
        click.argument("folder", default="", metavar="[FOLDER]"),
        click.option("--tag", default="", help="The tag of the image.  [default: made of what it is built from]"),
    ):
        body = option(body)
    return one_service_option(body)


@click.group()
def image() -> None:
    """Build the image of a service, push it, and list what is there.

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
    service: str,
    folder: str,
    arguments: tuple[str, ...],
    tag: str,
    as_json: bool,
) -> None:
    """Build FOLDER with docker, podman, buildah or finch, whichever works first.

    FOLDER is by default the one that is called like the service, else webapp. No account is needed. The platform is
    that of what the service runs on, and an image of another one is refused. What
    comes after -- goes to the builder as it is: image build webapp -- --build-arg BASE_IMAGE=debian:trixie-slim
    """
    config = load_config(config_path, environment, overrides)
    typed = typed_for(Options(config_path, environment, overrides, as_json=as_json))
    view = view_for(as_json=as_json, typed=typed)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        unit = chosen(config, service, "--service")
        built = delivery.build(*_wanted(unit, config.stack_name, folder, arguments, tag), view.tell)
        words = "built" if built.new else "there already"
        outcome = Outcome(
            "done" if built.new else "no_change",
            f"{built.name}: {words}",
            outputs={"LocalImage": built.name},
            next=_push(unit, service, folder, arguments, tag),
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
@aws_command(several=in_turn())
@source_options
def push(work: Work, service: str, folder: str, arguments: tuple[str, ...], tag: str) -> Outcome:
    """Build FOLDER where it is not built, and push it to the service's repository, if it is not there.

    FOLDER is by default the one that is called like the service, else webapp. The password for the registry is fresh,
    goes to the builder's standard input, and is kept nowhere.
    """
    unit = chosen(work.config, service, "--service")
    place = _require_repository(work, unit, require(work.aws, work.stack_name))
    source, name, asked, tell = (
        *_wanted(unit, work.image_base or work.stack_name, folder, arguments, tag),
        work.view.tell,
    )
    there = delivery.image_of(work.aws, place, asked)
    kept = there or delivery.push(work.aws, place, delivery.build(source, name, asked, tell), tell)
    return Outcome(
        "no_change" if there else "done",
        f"{place.uri}:{asked} is {'there already' if there else 'pushed'}",
        outputs={unit.image_parameter: f"{place.uri}@{kept.digest}"},
        next=_deploy(unit, "--image", asked),
    )


@image.command("list")
@aws_command()
@one_service_option
def list_(work: Work, service: str) -> Outcome:
    """List the images of a service's repository, the newest first; the one that the stack runs has an asterisk.

    Each line has the time of the push, the size, the tags and the digest. `deploy --image` takes a tag or a digest.
    """
    unit = chosen(work.config, service, "--service")
    live = require(work.aws, work.stack_name)
    place = _require_repository(work, unit, live)
    images = delivery.images(work.aws, place)
    runs = live.parameters.get(unit.image_parameter, "")
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
    following = _deploy(unit, "--image", "DIGEST") if images else _deploy(unit, "--build")
    count = "1 image" if len(images) == 1 else f"{len(images)} images"
    return Outcome("done", f"{place.uri}: {count}", next=following)


def chosen(config: Config, name: str, what: str) -> Unit:
    """The service whose image is meant by an option; without a name the only one that has an image of its own.

    Raises UsageError where there are several, none of that name, or one that runs the image of another.
    """
    if name and name not in config.services:
        raise UsageError(f"{what}: no service is called {name}; there is {names_of(config.services)}")
    able = {unit.name: unit for unit in units(config) if not unit.settings.image_of}
    if name and name not in able:
        raise UsageError(f"{what}: {name} runs the image of {config.services[name].image_of}; name that one")
    if name:
        return able[name]
    own = [unit for unit in able.values() if unit.has_repository] or [*able.values()]
    if len(own) > 1:
        hint = "--service NAME" if what == "--service" else f"{what} NAME=..."
        raise UsageError(
            f"{what}: several services have an image of their own, {', '.join(unit.name for unit in own)}; say which by"
            f" {hint}"
        )
    return own[0]


def repository_in(work: Work, unit: Unit, live: Live | None) -> Repository | None:
    """The repository of a service; with --local it is the emulator's that takes pushes."""
    return delivery.repository_of(live, unit.name, work.aws.target.endpoint_url if work.local else "")


def image_uri(work: Work, unit: Unit, text: str) -> str:
    """What --image stands for: a URI as it is, a digest or a tag as the pinned URI in the service's repository."""
    if not delivery.is_short(text):
        return text
    live = find(work.aws, work.stack_name)
    place = _require_repository(work, unit, live, f"image {text}: it is no URI, and ")
    return delivery.pinned_uri(work.aws, place, text)


def build_source(work: Work, unit: Unit, folder: str, place: Repository | None) -> tuple[str, Built | None]:
    """The tag of a folder, and what was built of it; nothing where the repository has that tag already."""
    source, name, tag = _wanted(unit, work.image_base or work.stack_name, folder, (), "")
    if place is not None and delivery.image_of(work.aws, place, tag):
        return tag, None
    return tag, delivery.build(source, name, tag, work.view.tell)


def push_built(work: Work, unit: Unit, tag: str, built: Built | None) -> str:
    """The pinned URI of an image that is in the service's repository, or is pushed to it now."""
    place = _require_repository(work, unit, require(work.aws, work.stack_name))
    if built is None:
        return delivery.pinned_uri(work.aws, place, tag)
    return f"{place.uri}@{delivery.push(work.aws, place, built, work.view.tell).digest}"


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _wanted(unit: Unit, stack: str, folder: str, arguments: tuple[str, ...], tag: str) -> tuple[Source, str, str]:
    if not unit.has_repository:
        raise UsageError(
            f"{unit.key}.image_uri: got {unit.settings.image_uri}, so that no image of its own is built; leave it empty"
            " for one"
        )
    if folder.startswith("-"):  # then everything before -- was left out
        folder, arguments = "", (folder, *arguments)
    if tag and not delivery.is_tag(tag):
        raise UsageError(f"--tag: got {tag!r}; a tag has 1 to 128 letters, digits, dots, dashes and underscores")
    if not folder:
        folder = unit.name if (Path(unit.name) / "Dockerfile").is_file() else SAMPLE
    source = Source(Path(folder), PLATFORMS[unit.architecture], arguments)
    return source, f"{stack}-{unit.name}" if unit.name != stack else stack, tag or source.tag


def _push(unit: Unit, service: str, folder: str, arguments: tuple[str, ...], tag: str) -> Next:
    """The push of what was built by the same options, or its deployment, which takes neither a tag nor arguments."""
    if folder.startswith("-"):  # then everything before -- was left out
        folder, arguments = "", (folder, *arguments)
    named = [("--service", service), ("--tag", tag), (folder,), ("--", *arguments)]
    options = tuple(word for words in named if words[-1] not in ("", "--") for word in words)
    return Next("image push", options, instead=None if tag or arguments else _deploy(unit, "--build", folder))


def _deploy(unit: Unit, option: str, what: str = "") -> Next:
    """The deployment of a service's image, with its name where there are several."""
    several = sum(not other.settings.image_of for other in units(unit.config)) > 1
    words = [f"{unit.name}={what}" if several and what else unit.name if several else what]
    return Next("deploy", (option, *(word for word in words if word)))


def _require_repository(work: Work, unit: Unit, live: Live | None, what: str = "") -> Repository:
    place = repository_in(work, unit, live)
    if place is None:
        which = f"stack {work.stack_name} has no repository of {unit.name} yet"
        raise UsageError(f"{what}{which}", next=_deploy(unit, "--build"))
    return place
