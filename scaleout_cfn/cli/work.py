"""What every command that talks to AWS shares: its options, its view, its signals, and how it ends."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from scaleout_cfn.aws.client import Aws, Identity, Patience, Target, pinned
from scaleout_cfn.cli.draw import command_line
from scaleout_cfn.cli.options import Finite, config_options, environments_in, load_config, project, stack_option
from scaleout_cfn.cli.views import JsonView, LinesView, Typed, View
from scaleout_cfn.config import Config
from scaleout_cfn.deploy.changes.plan import Plan
from scaleout_cfn.deploy.messages import Note, Outcome, Started
from scaleout_cfn.deploy.outcome import code_of, interrupted, outcome_of_error
from scaleout_cfn.errors import AGAIN, Next, ScaleoutError, Stopped, UsageError

if TYPE_CHECKING:
    from scaleout_cfn.local import Emulator

#: SIGTERM is answered within two seconds, whatever a call to AWS is doing.
TERM_S = 1.8


#: The commands with --local whose answer AWS may well not give: they say what the emulator does not show.
_REHEARSED = {"apply", "deploy", "destroy", "diff", "plan"}


@dataclass(frozen=True)
class Options:
    """The options that every such command has."""

    config_path: Any
    environment: str | None
    overrides: tuple[str, ...]
    stack: str | None = None
    profile: str = ""
    region: str = ""
    role_arn: str = ""
    endpoint_url: str = ""
    local: bool = False
    as_json: bool = False


@dataclass(frozen=True)
class Rehearsal:
    """What a command asks of an emulator that it starts: whether it is kept, and whether and how tasks run in it."""

    may_start: bool
    keep: bool = False
    containers: bool = False
    pace: float = 1.0
    secrets: Path | None = None


@dataclass(frozen=True)
class Work:
    """A command at work: its config, its clients, and whom it tells."""

    config: Config
    stack_name: str
    aws: Aws
    identity: Identity
    view: View
    local: bool
    environment: str = ""
    started: Started | None = None
    #: How plans are agreed to, where it is not for the command alone to ask.
    agree: Callable[[Plan], bool] | None = None
    #: What images that are built here are called by.
    image_base: str = ""
    #: The emulator of --local.
    emulator: Emulator | None = None

    @property
    def interactive(self) -> bool:
        """Whether somebody is there to be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not isinstance(self.view, JsonView)

    @property
    def runs_tasks(self) -> bool:
        """Whether tasks run: on AWS they do."""
        return self.emulator is None or bool(self.emulator.containers)

    def require_containers(self, name: str) -> None:
        """Raises UsageError where a command has nothing to show, for no task runs."""
        if not self.runs_tasks:
            what = f"--local: the emulator runs no container, so there is nothing for `{name}` to show"
            raise UsageError(what, next=Next("deploy", ("--containers", "--keep"), "in its place, after `destroy`"))

    def patience(self, timeout_min: float | None) -> Patience:
        """How long to watch, and to put up with expired credentials: in CI nobody logs in again."""
        return Patience(None if timeout_min is None else timeout_min * 60, None if self.interactive else 120.0)


Several: TypeAlias = Callable[[list[Work], Callable[..., Outcome], dict[str, Any]], Outcome]
"""How a command goes through several environments: of their works, its body, which takes other options beside a work,
and its own options."""


def aws_command(
    *, check: Callable[..., None] | None = None, may_start: bool = False, several: Several | None = None
) -> Callable[[Callable[..., Outcome]], Callable[..., None]]:
    """A command that talks to AWS: a function of its Work and its own options, whose outcome is told and exited with.

    It gets -c, --env, --set, and the options that say where to. `check` refuses options that do not go together, before
    anything is asked of AWS. `may_start`: with --local it starts an emulator of its own. `several`: how it goes through
    several environments; without, it is for one.
    """

    def decorated(body: Callable[..., Outcome]) -> Callable[..., None]:
        @functools.wraps(body)
        def called(**given: Any) -> None:
            options = Options(**{name: given.pop(name) for name in Options.__dataclass_fields__})
            if check:
                check(options, **given)
            verbose = given.pop("verbose", False)
            told = {name: given.pop(name) for name in ("containers", "pace", "secrets") if name in given}
            rehearsal = Rehearsal(may_start, keep=bool(given.get("keep")), **told)

            def act(work: Work, **changed: Any) -> Outcome:
                return body(work, **{**given, **changed})

            def go(works: list[Work]) -> Outcome:
                assert several
                return several(works, act, given)

            _carry_out(options, act, go if several else None, rehearsal, verbose=verbose)

        command: Callable[..., None] = called
        for option in (
            click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout, the result last."),
            click.option("--local", is_flag=True, help="The emulator of `deploy --local --keep`, not AWS."),
            click.option("--endpoint-url", default="", metavar="URL", help="Send every call there."),
            click.option("--role-arn", default="", metavar="ARN", help="The role that CloudFormation works with."),
            click.option("--region", default="", help="The region.  [default: config, AWS_REGION, profile]"),
            click.option("--profile", default="", help="The profile of the AWS configuration to use."),
            stack_option,
        ):
            command = option(command)
        return config_options(command)

    return decorated


adopt_option = click.option(
    "--adopt",
    is_flag=True,
    help="Take over a stack that scaleout-cfn did not make, or that is of another environment.",
)


#: A command with it shows a plan, and its view takes it.
verbose_option = click.option(
    "--verbose", is_flag=True, help="Show every row of the plan, also of a new stack, and what AWS cannot tell."
)


def timeout_option(body: Callable[..., Any]) -> Callable[..., Any]:
    """--timeout, in minutes."""
    return click.option(
        "--timeout",
        "timeout_min",
        type=Finite(min=0),
        metavar="MINUTES",
        help="Stop watching after this time and exit with 9; what runs goes on.",
    )(body)


Reach: TypeAlias = "Callable[[Config], tuple[Target, Emulator | None]]"
"""Where the calls for a config go, and the emulator behind it, if one is."""


def _carry_out(
    options: Options,
    body: Callable[[Work], Outcome],
    several: Callable[[list[Work]], Outcome] | None,
    rehearsal: Rehearsal,
    *,
    verbose: bool,
) -> None:
    """Run the body of a command and exit as its outcome says. Whatever happens, the outcome is told last."""
    name = _name()
    typed = typed_for(options)
    view = view_for(as_json=options.as_json, typed=typed, verbose=verbose)
    stack = options.stack or ""
    works: list[Work] = []

    def last_words(number: int) -> tuple[int, str]:
        what = f"{stack or name}: ended at once, before all was cleaned up; what had begun may go on"
        outcome = Outcome("still_running", what, next=Next(AGAIN), code=128 + number)
        return (1, JsonView(typed).line(outcome)) if options.as_json else (2, f"{outcome.what}\n")

    try:
        with ExitStack() as opened, _signals(last_words):
            try:
                reach = _reach(options, name, view, opened, rehearsal)
                if several and len(environments_in(options.environment)) > 1:
                    works += _begin_each(options, name, view, reach)
                    outcome = several(works)
                else:
                    works.append(work := _begin(options, name, view, reach))
                    stack = work.stack_name
                    assert work.started
                    view.tell(work.started)
                    outcome = body(work)
            except KeyboardInterrupt as stop:
                outcome = interrupted(stop, stack or name, running=False)
            except ScaleoutError as error:
                outcome = outcome_of_error(error)
            if options.local:
                outcome = _of_rehearsal(outcome, kept=rehearsal.keep or not rehearsal.may_start)
            view.tell(outcome)
            view.close()
            if works and works[0].emulator and works[0].emulator.ends_with_us and not outcome.exit_code:
                outcome = _until_stopped(outcome)
    except Exception as error:
        if options.as_json:
            view.tell(Outcome("error", f"internal error: {type(error).__name__}: {error}"))
        raise
    raise SystemExit(outcome.exit_code)


def _name() -> str:
    """The command at work, as it is typed: `image push`."""
    words: list[str] = []
    context: click.Context | None = click.get_current_context()
    while context and context.parent:
        words.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(words)


def _until_stopped(outcome: Outcome) -> Outcome:
    """Leave the tasks running until Ctrl-C, for they end with this command."""
    click.echo("the tasks run until Ctrl-C; the other commands reach them with --local", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt as stop:
        number = code_of(stop)
        return outcome if number == 128 + signal.SIGINT else replace(outcome, code=number)
    return outcome


def _of_rehearsal(outcome: Outcome, *, kept: bool) -> Outcome:
    """How a rehearsal ended: what is left running goes on in the emulator, or ends with it; what the emulator lacks is
    no fault of the templates."""
    from scaleout_cfn.cli import local

    if outcome.end != "still_running":
        return local.as_gap(outcome)
    if kept or local.kept():
        return outcome
    what = outcome.what.partition(":")[0] + ": stopped; the emulator ends with this command, and nothing is left"
    return replace(outcome, end="interrupted", what=what, next=Next(AGAIN))


def view_for(*, as_json: bool, typed: Typed = command_line, verbose: bool = False) -> View:
    """JSON where it is asked for; a tree on a terminal; else lines, as in CI."""
    if as_json:
        return JsonView(typed)
    if sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb":
        from scaleout_cfn.cli.tree import TreeView

        return TreeView(typed, verbose=verbose)
    return LinesView(typed, verbose=verbose)


def typed_for(options: Options) -> Typed:
    """How the next command is written: called as this one was, and sent to the same place."""
    own_environment = "" if "," in (options.environment or "") else options.environment  # of several each says its own
    given = [("-c", str(options.config_path or "")), ("--env", own_environment or "")]
    given += [("--set", value) for value in options.overrides]
    given += [("--stack", options.stack or ""), ("--profile", options.profile), ("--region", options.region)]
    given += [("--role-arn", options.role_arn), ("--endpoint-url", options.endpoint_url)]
    where = "".join(f" {name} {shlex.quote(value)}" for name, value in given if value)
    own = click.get_current_context().params
    carried = [("--image", image) for image in own.get("images") or ()]
    carried += [("--bucket", own["bucket"])] if own.get("bucket") else []
    flags = {"--adopt": own.get("adopt"), "--no-nested-plan": own.get("nested_plan") is False}
    flags["--revert-drift"] = own.get("revert_drift")
    carried += [(name, "") for name, given in flags.items() if given]
    return partial(
        command_line, program=project().program, carried=carried, where=where + (" --local" if options.local else "")
    )


def _reach(options: Options, name: str, view: View, opened: ExitStack, rehearsal: Rehearsal) -> Reach:
    """Where the calls for a config go: to AWS, or to the emulator of --local, which is started for the first."""
    if not options.local:
        profile, region = options.profile, options.region
        return lambda config: (
            Target(profile or config.profile, region or config.region, options.role_arn, options.endpoint_url),
            None,
        )
    for option, value in (
        ("--endpoint-url", options.endpoint_url),
        ("--profile", options.profile),
        ("--region", options.region),
    ):
        if value:
            raise UsageError(f"{option} {value}: goes without --local, which is an emulator on this machine")
    # Here, for without --local nothing of it is needed.
    from scaleout_cfn.cli import local
    from scaleout_cfn.local import NOT_SHOWN, WITH_CONTAINERS, Containers

    started: list[Emulator] = []

    def stood_in(config: Config) -> tuple[Target, Emulator]:
        if not started:
            containers = Containers(rehearsal.pace, rehearsal.secrets) if rehearsal.containers else None
            where = local.emulator(may_start=rehearsal.may_start, keep=rehearsal.keep, containers=containers)
            started.append(opened.enter_context(where))
            own = "an emulator on 127.0.0.1" if started[0].process else "the emulator that an earlier command kept"
            runs = f" and tasks under {started[0].containers}" if started[0].containers else ""
            if name in _REHEARSED:
                view.tell(Note(f"a rehearsal on {own}{runs}, not on AWS. What it does not show:"))
                for sentence in WITH_CONTAINERS if runs else NOT_SHOWN:
                    view.tell(Note(f"  {sentence}"))
        emulator = replace(started[0], region=config.region or started[0].region)
        local.stand_in(emulator, config)
        return local.target(emulator, options.role_arn), emulator

    return stood_in


def _begin(options: Options, name: str, view: View, reach: Reach) -> Work:
    config = load_config(options.config_path, options.environment, options.overrides)
    target, emulator = reach(config)
    aws = Aws(target)
    identity = aws.identity()
    if not options.local:
        pinned(identity, account_id=config.account_id, region=config.region)
    stack = options.stack or config.stack_name
    started = Started(name, stack, identity.account_id, identity.region, identity.arn, options.role_arn)
    environment = options.environment or ""
    return Work(config, stack, aws, identity, view, options.local, environment, started, emulator=emulator)


def _begin_each(options: Options, name: str, view: View, reach: Reach) -> list[Work]:
    """The works of several environments, with every reason why one of them cannot be begun."""
    for option, value in (("--stack", options.stack), ("--region", options.region)):
        if value:
            raise UsageError(f"{option} {value}: is for one environment; each has its own in [environments.NAME]")
    works: list[Work] = []
    errors: list[tuple[str, ScaleoutError]] = []
    for environment in environments_in(options.environment):
        try:
            works.append(_begin(replace(options, environment=environment), name, view, reach))
        except ScaleoutError as error:
            errors.append((environment, error))
    if errors:
        environment, first = errors[0]
        for other, problem in errors[1:]:
            view.tell(Note(f"{other}: {problem}", "warning"))
        first.args = (f"{environment}: {first}",)
        raise first
    places: dict[tuple[str, str, str], str] = {}
    for work in works:
        other = places.setdefault((work.identity.account_id, work.identity.region, work.stack_name), work.environment)
        if other != work.environment:
            raise UsageError(
                f"--env {options.environment}: {other} and {work.environment} are both stack {work.stack_name} in"
                f" {work.identity.region}; give each a region or a stack_name of its own"
            )
    return [replace(work, image_base=works[0].stack_name) for work in works]


@contextmanager
def _signals(last_words: Callable[[int], tuple[int, str]]) -> Iterator[None]:
    """Ctrl-C and SIGTERM as Stopped. A second Ctrl-C, or a call that does not end in time, ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def give_up(number: int) -> None:
        stream, words = last_words(number)
        os.write(stream, words.encode())
        os._exit(128 + number)

    def stop(number: int, frame: FrameType | None) -> None:
        if seen:
            give_up(number)
        seen.append(number)
        if number == signal.SIGTERM:
            timer = threading.Timer(TERM_S, give_up, (number,))
            timer.daemon = True
            timer.start()
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
