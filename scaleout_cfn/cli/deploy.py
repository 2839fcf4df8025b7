"""deploy, publish, diff, plan and apply: from a config to a running set."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from scaleout_cfn.cli import several
from scaleout_cfn.cli.options import Finite, bucket_option, composed
from scaleout_cfn.cli.views import LinesView
from scaleout_cfn.cli.work import Options, Work, adopt_option, aws_command, timeout_option, verbose_option
from scaleout_cfn.config import Config
from scaleout_cfn.config.container_conflicts import may_pull, unreachable
from scaleout_cfn.config.units import Unit, jobs_of, units
from scaleout_cfn.deploy import deployment
from scaleout_cfn.deploy.bootstrap import bootstrap, exists
from scaleout_cfn.deploy.desired import ENVIRONMENT, require_ours
from scaleout_cfn.deploy.live import Live, find
from scaleout_cfn.deploy.messages import Note, Outcome, Tell, Uploaded
from scaleout_cfn.deploy.moves import Between, move_of
from scaleout_cfn.deploy.publish import Bucket, Published, bucket_at, bucket_name, prepare, quick_create, upload
from scaleout_cfn.deploy.start import Release, Wish, desired_of
from scaleout_cfn.errors import AGAIN, Next, RefusedError, SetError, UsageError
from scaleout_cfn.grammars import ecr_repository, problem_of_image, problem_of_stack_name
from scaleout_cfn.image.delivery import image_of, is_short
from scaleout_cfn.rendering import local_url, set_of, texts_of
from scaleout_cfn.stack import Stack

image_option = click.option(
    "--image",
    "images",
    multiple=True,
    metavar="[NAME=]IMAGE",
    help="The image that a service runs: a URI, or a tag or digest of its repository. Repeatable; NAME may be left out"
    " where one service has an image of its own.  [default: image_uri of the service, else what runs already]",
)
allow_option = click.option(
    "--allow-replace",
    "allowed",
    multiple=True,
    metavar="PATH",
    help="Agree that this resource, which holds data, is replaced or deleted: Data/Table. Repeatable.",
)
nested_option = click.option(
    "--no-nested-plan",
    "nested_plan",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not ask for the changes inside nested stacks. What holds data in them then needs --allow-replace.",
)


drift_option = click.option(
    "--revert-drift",
    is_flag=True,
    help="Set back, too, what was changed beside CloudFormation, by a drift-aware change set.",
)


def _together(options: Options, keep: bool = False, revert_drift: bool = False, **others: object) -> None:
    if keep and not options.local:
        raise click.UsageError("--keep goes with --local: it keeps the emulator")
    if others.get("containers") and not options.local:
        raise click.UsageError("--containers goes with --local: it runs the emulator's tasks")
    if not others.get("containers") and (others.get("secrets") or others.get("pace") not in (None, 1.0)):
        raise click.UsageError("--pace and --secrets go with --local --containers")
    if revert_drift and options.local:
        raise click.UsageError("--revert-drift goes without --local: the emulator compares templates alone")
    if revert_drift and not others["nested_plan"]:
        raise click.UsageError("--revert-drift goes without --no-nested-plan: what drifts is in nested stacks")


def _arn(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if ":changeSet/" not in text:
        raise click.UsageError(f"got {text}, which is no ARN of a change set; `plan` prints one")
    return text


yes_option = click.option("--yes", is_flag=True, help="Do not ask. It is no consent to lose data: --allow-replace is.")


def _in_order(works: list[Work], body: Callable[..., Outcome], given: dict[str, Any]) -> Outcome:
    images = tuple(_of_all(works, text) for text in given["images"])
    return several.in_order(agreed)(works, partial(body, images=images), given)


def _of_all(works: Sequence[Work], text: str) -> str:
    """What --image asks for, where it is an image of one of their repositories: its digest, which all of them may have.

    A tag is that of the first repository which has it, so that all run one and the same.
    """
    unit, image = _named(works[0].config, text, "--image")
    if not image:
        return text
    from scaleout_cfn.cli.image import repository_in

    for work in works:
        place = repository_in(work, unit, find(work.aws, work.stack_name))
        if place is None or not (is_short(image) or image.startswith((f"{place.uri}@", f"{place.uri}:"))):
            continue
        if there := image_of(work.aws, place, image.removeprefix(place.uri).lstrip(":@")):
            return f"{unit.name}={there.digest}"
    return text


@click.command()
@aws_command(check=_together, may_start=True, several=_in_order)
@image_option
@click.option(
    "--build",
    "builds",
    is_flag=False,
    flag_value="",
    multiple=True,
    metavar="[[NAME=]FOLDER]",
    help="Build a service's image from a folder with a Dockerfile (by default the one of the service's name, else"
    " webapp), push it and run it, as `image push` does. Repeatable, and NAME as with --image; NAME alone will do.",
)
@bucket_option
@yes_option
@adopt_option
@allow_option
@nested_option
@drift_option
@verbose_option
@timeout_option
@click.option("--recreate", is_flag=True, help="Delete a stack whose creation failed (ROLLBACK_COMPLETE) and make it.")
@click.option("--keep", is_flag=True, help="With --local: leave the emulator running for the next commands.")
@click.option(
    "--containers",
    is_flag=True,
    help="With --local: run the tasks under docker or podman, behind a balancer on 127.0.0.1, until Ctrl-C or, with"
    " --keep, `destroy`.",
)
@click.option(
    "--pace",
    type=Finite(1, 1000),
    default=1.0,
    show_default=True,
    metavar="TIMES",
    help="With --containers: how much faster metrics, alarms, cooldowns, health checks and draining are than on AWS.",
)
@click.option(
    "--secrets",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --containers: the values of the containers' secrets, NAME=VALUE a line.",
)
def deploy(
    work: Work,
    images: tuple[str, ...],
    builds: tuple[str, ...],
    bucket: str,
    yes: bool,
    adopt: bool,
    allowed: tuple[str, ...],
    nested_plan: bool,
    revert_drift: bool,
    timeout_min: float | None,
    recreate: bool,
    keep: bool,
) -> Outcome:
    """Bring the stack to what the config says: upload, show the changes, ask, execute, follow, verify.

    A new stack is made in two phases: everything but the services, then those that have an image. A service whose image
    comes later is made then. With --build images are built first, and pushed between the phases. The same command again
    is always safe: it goes on with what an earlier one began, or does nothing. To go back to an older image: `image
    list`, then --image with its digest.

    Where a service's deployment waits at a pause, so does this, and says how to look at the new version; `rollout
    continue` and `rollout back` are the answers.

    With --revert-drift what differs from the templates is set back: the plan has what is there, what the template had,
    and what will be. Weights that ECS has moved are never set back, and what else is expected to differ is told.

    With --local it runs against an emulator on 127.0.0.1: no account is needed and none is touched. With --containers
    the tasks run there, under docker or podman, and answer at the address that is printed: docs/local.md.
    """

    def bring(images: Mapping[str, str], *, stand_in: bool = False) -> Outcome:
        wish = wish_of(
            work,
            images,
            bucket,
            adopt=adopt,
            allowed=allowed,
            nested_plan=nested_plan,
            revert_drift=revert_drift,
            timeout_min=timeout_min,
            recreate=recreate,
        )
        if stand_in and (lacking := _lacking(work, wish)):
            from scaleout_cfn.cli.local import PLACEHOLDER_IMAGE

            if work.runs_tasks:
                what = "no image is given for what is to run; --image names one, --build makes one"
                raise UsageError(f"--containers: {what}")
            work.view.tell(Note(f"no image is given: the emulator gets {PLACEHOLDER_IMAGE}, which it does not run"))
            wish = replace(wish, images=dict.fromkeys(lacking, PLACEHOLDER_IMAGE))
        outcome = deployment.deploy(work.aws, work.identity, wish, work.view.tell, consent(work, yes))
        return with_next_step(work, outcome, keep)

    if work.emulator and work.emulator.containers:
        for sentence in dict.fromkeys(_left_out(work)):
            work.view.tell(Note(f"not carried here: {sentence}"))
    folders = _folders(work.config, builds)
    given = images_of(work, images, taken=folders)
    if not folders:
        return bring(given, stand_in=work.local and not given)
    from scaleout_cfn.cli.image import build_source, push_built, repository_in

    live = find(work.aws, work.stack_name)
    require_ours(work.aws, live, work.environment, adopt=adopt)
    places = {name: repository_in(work, unit, live) for name, (unit, _) in folders.items()}
    # Before anything is made: a Dockerfile that does not build costs no infrastructure.
    built = {name: build_source(work, unit, folder, places[name]) for name, (unit, folder) in folders.items()}
    if None in places.values():
        work.view.tell(Note("phase 1 of 2: infrastructure"))
        there = live is not None and live.meaning.start == "update"
        first = bring({} if there else {unit.image_parameter: "" for unit in units(work.config)})
        if first.exit_code:
            return first
        work.view.tell(Note("phase 2 of 2: services"))
    pushed = {unit.image_parameter: push_built(work, unit, *built[name]) for name, (unit, _) in folders.items()}
    return bring({**given, **pushed})


@click.command()
@aws_command()
@image_option
@bucket_option
def publish(work: Work, images: tuple[str, ...], bucket: str) -> Outcome:
    """Upload the templates only, and print the root's URL and the console's quick-create link."""
    wish = wish_of(work, images_of(work, images), bucket)
    new = upload(work.aws, wish.published, work.identity.account_id)
    url = wish.published.root.url
    work.view.tell(Uploaded(new, len(wish.published.files), url))
    values = desired_of(wish, None, "").parameters
    given = {name: value for name, value in values.items() if value}
    links = {"TemplateUrl": url, "QuickCreate": quick_create(work.identity, wish.published, work.stack_name, given)}
    what = f"{len(wish.published.files)} templates are in {wish.published.bucket.name}"
    following = Next(words="open the QuickCreate link", instead=Next("deploy"))
    return Outcome("done", what, outputs=links, next=following)


@click.command()
@aws_command(check=_together)
@image_option
@bucket_option
@adopt_option
@nested_option
@drift_option
@verbose_option
@click.option("--exit-code", is_flag=True, help="Exit with 3 when there are changes.")
def diff(
    work: Work,
    images: tuple[str, ...],
    bucket: str,
    adopt: bool,
    nested_plan: bool,
    revert_drift: bool,
    exit_code: bool,
) -> Outcome:
    """Show what `deploy` would change, and change nothing: the change set is deleted again."""
    wish = wish_of(
        work, images_of(work, images), bucket, adopt=adopt, nested_plan=nested_plan, revert_drift=revert_drift
    )
    outcome = deployment.plan(work.aws, work.identity, wish, _on_stdout(work), keep=False)
    return replace(outcome, outputs={}, end="changes" if exit_code and outcome.end == "planned" else outcome.end)


@click.command()
@aws_command(check=_together)
@image_option
@bucket_option
@adopt_option
@nested_option
@drift_option
@verbose_option
def plan(
    work: Work, images: tuple[str, ...], bucket: str, adopt: bool, nested_plan: bool, revert_drift: bool
) -> Outcome:
    """Make a change set, show it, and leave it there: `apply` with its ARN executes it, and nothing else.

    Nothing is changed. On a new stack it plans the first phase, everything but the services.
    """
    wish = wish_of(
        work, images_of(work, images), bucket, adopt=adopt, nested_plan=nested_plan, revert_drift=revert_drift
    )
    outcome = deployment.plan(work.aws, work.identity, wish, _on_stdout(work), keep=True)
    return replace(outcome, outputs={"ChangeSet": outcome.change_set} if outcome.change_set else {})


@click.command()
@click.argument("change_set", metavar="ARN", callback=_arn)
@aws_command()
@adopt_option
@allow_option
@verbose_option
@timeout_option
def apply(work: Work, change_set: str, adopt: bool, allowed: tuple[str, ...], timeout_min: float | None) -> Outcome:
    """Execute the change set that `plan` made, by its ARN, and follow it. Approving the ARN is the consent.

    What holds data needs its path by --allow-replace all the same.
    """
    return deployment.apply(
        work.aws,
        work.identity,
        change_set,
        work.view.tell,
        adopt=adopt,
        allowed=allowed,
        patience=work.patience(timeout_min),
    )


def _named(config: Config, text: str, option: str) -> tuple[Unit, str]:
    """`NAME=WHAT`, or `WHAT` where it is clear whose it is: the service, and what is said of it."""
    from scaleout_cfn.cli.image import chosen

    name, _, what = text.rpartition("=")
    return chosen(config, name, option), what


def images_of(work: Work, texts: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """What --image asks for, by the root parameters: URIs, of short names the pinned ones."""
    found: dict[str, str] = {}
    for text in texts:
        unit, image = _named(work.config, text, "--image")
        if unit.name in taken:
            raise UsageError(f"--image {text}: {unit.name} is built, too; give one of the two")
        if unit.image_parameter in found:
            raise UsageError(f"--image {text}: {unit.name} has one already; give each service one")
        if not image:
            raise UsageError(f"--image {text}: no image is given; leave it out to keep what runs")
        if is_short(image):
            from scaleout_cfn.cli.image import image_uri

            image = image_uri(work, unit, image)
        if problem := problem_of_image(image) or unreachable(work.config, image, work.identity.region):
            words = problem if problem.startswith("got") else f"got {image!r}; {problem}"
            raise UsageError(f"--image: {words}")
        _warn_of_registry(work, unit, image)
        found[unit.image_parameter] = image
    return found


def _folders(config: Config, texts: Iterable[str]) -> dict[str, tuple[Unit, str]]:
    """What --build asks for, by the service's name: its unit, and the folder, empty where none is given."""
    found: dict[str, tuple[Unit, str]] = {}
    for text in texts:
        unit, folder = _named(config, f"{text}=" if text in config.services else text, "--build")
        if unit.name in found:
            raise UsageError(f"--build {text}: {unit.name} is built already; give each service one folder")
        found[unit.name] = unit, folder
    return found


def wish_of(
    work: Work,
    images: Mapping[str, str],
    bucket: str,
    *,
    adopt: bool = False,
    allowed: tuple[str, ...] = (),
    nested_plan: bool = True,
    revert_drift: bool = False,
    timeout_min: float | None = None,
    recreate: bool = False,
) -> Wish:
    """What the options ask for, with the templates of the config."""
    if not work.stack_name.startswith("arn:") and (problem := problem_of_stack_name(work.stack_name)):
        raise UsageError(f"--stack: got {work.stack_name!r}; {problem}")
    name = bucket or work.config.bucket or bucket_name(work.identity)
    if work.local and not exists(work.aws, work.identity, name):
        bootstrap(work.aws, work.identity, name)
    stack = composed(work.config)
    published: Published = prepare(stack, bucket_at(work.aws, work.identity, name))
    return Wish(
        work.stack_name,
        published,
        images=images,
        tags={**work.config.tags, **({ENVIRONMENT: work.environment} if work.environment else {})},
        adopt=adopt,
        allowed=allowed,
        recreate=recreate,
        nested_plan=nested_plan,
        revert_drift=revert_drift,
        releases=tuple(
            Release(
                job.name, job.job, job.image_parameter, Unit(of, work.config.services[of], work.config).image_parameter
            )
            for job in jobs_of(work.config)
            if (of := job.settings.before)
        ),
        runs_jobs=work.runs_tasks,
        between=lambda live: _between(work, live, published.bucket),
        check=lambda: _lint(stack),
        patience=work.patience(timeout_min),
    )


def _left_out(work: Work) -> Iterator[str]:
    """What the definitions of a config ask for, and containers on this machine do not get."""
    from scaleout_cfn.local.containers.tasks import left_out

    for template in set_of(composed(work.config)).values():
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::ECS::TaskDefinition":
                yield from left_out(resource["Properties"])


def _between(work: Work, live: Live, bucket: Bucket) -> Between | None:
    """What has to come between a stack that runs and the config, with its templates."""
    move = move_of(work.config, live)
    return Between(move, prepare(composed(move.config), bucket)) if move else None


def consent(work: Work, yes: bool) -> deployment.Confirm:
    """How a plan is agreed to: by --yes, or by whoever sits at the terminal."""
    return work.agree or (lambda plan: agreed(work, yes, plan.stack))


def agreed(work: Work, yes: bool, what: str) -> bool:
    """Whether the changes to a stack, or to several, are agreed to. Raises RefusedError where nobody can be asked."""
    if yes:
        return True
    if not work.interactive:
        raise RefusedError(
            "nobody is there to confirm the changes",
            state="nothing was changed",
            next=Next(AGAIN, ("--yes",), instead=Next("plan", words="and then apply")),
        )
    return work.view.ask(f"Apply this to {what}?")


def with_next_step(work: Work, outcome: Outcome, keep: bool) -> Outcome:
    """After success: the images that are still to come; after a rehearsal, how to go on with it."""
    if outcome.exit_code or outcome.next:
        return outcome
    waiting = [unit for unit in units(work.config) if unit.image_parameter in outcome.waiting]
    owners = [unit for unit in waiting if not unit.settings.image_of]
    if owners:
        work.view.tell(Note(f"waiting for an image: {', '.join(unit.name for unit in waiting)}"))
        several = sum(not unit.settings.image_of for unit in units(work.config)) > 1
        names = [f"{unit.name}=" if several else "" for unit in owners]
        places = [outcome.outputs.get(f"{unit.title}RepositoryUri", "") for unit in owners]
        pushed = Next(
            "deploy",
            tuple(word for name in names for word in ("--image", f"{name}TAG")),
            f"once an image is pushed to {' and '.join(place for place in places if place)}",
        )
        building = tuple(word for name in names for word in ("--build", f"{name}FOLDER"))
        return replace(outcome, next=Next("deploy", building, instead=pushed))
    if work.local and keep:
        return replace(outcome, next=Next("status", instead=Next("destroy", ("--yes",))))
    return outcome


def _lint(stack: Stack) -> None:
    """What `lint` finds in a set that is not deployed yet. Raises SetError for its errors; 2 s of CPU."""
    from scaleout_cfn.lint.files import lint_files

    with TemporaryDirectory() as folder:
        for name, text in texts_of(set_of(stack, url=local_url)).items():
            (Path(folder) / name).write_text(text, encoding="utf-8", newline="\n")
        try:
            errors = [finding for finding in lint_files(folder).findings if finding.severity == "error"]
        except ValueError as error:
            raise UsageError(f".cfnlintrc: {error}") from None
    if errors:
        raise SetError([f"{Path(one.file).name}: {one.path}: {one.message} [{one.rule}]" for one in errors])


def _warn_of_registry(work: Work, unit: Unit, image: str) -> None:
    """The role that pulls may pull from the service's repository and what the config names: say so before it fails."""
    if may_pull(unit, image):
        return
    live = find(work.aws, work.stack_name)
    own = live.outputs.get(f"{unit.title}RepositoryUri", "") if live else ""
    if not (own and image.removeprefix(own)[:1] in (":", "@")):
        words = (
            f"{image} is not of the repository of {unit.name}, so that its tasks may not pull it and stop with"
            f' CannotPullContainer; set {unit.key}.pull_from = ["{ecr_repository(image)}"], or push it by `image push`'
        )
        work.view.tell(Note(words, "warning"))


def _lacking(work: Work, wish: Wish) -> list[str]:
    """The parameters of images that are neither given nor there already."""
    live = find(work.aws, wish.stack_name)
    startable = live if live and live.meaning.start == "update" else None
    return [name for name, image in desired_of(wish, startable, "").images.items() if not image]


def _on_stdout(work: Work) -> Tell:
    """The plan is what `diff` and `plan` are for: on stdout where it is text."""
    view = work.view
    if isinstance(view, LinesView):
        view.plans_to = sys.stdout
    return view.tell
