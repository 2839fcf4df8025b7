"""Where a deployment starts from: what is wished, what is there, and whether one can lead to the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from scaleout_cfn.aws import NESTED
from scaleout_cfn.aws.client import USUAL, Aws, Patience
from scaleout_cfn.deploy.changes.plan import MARK
from scaleout_cfn.deploy.desired import Desired, fingerprint_in, parameters_for, token
from scaleout_cfn.deploy.live import Live, resources_of, template_text
from scaleout_cfn.deploy.messages import Note, Tell
from scaleout_cfn.deploy.moves import Between
from scaleout_cfn.deploy.publish import Published
from scaleout_cfn.deploy.states import WATCH
from scaleout_cfn.deploy.watch.events import Event, History, Operation
from scaleout_cfn.deploy.watch.follow import follow, read_events
from scaleout_cfn.errors import ApiError, BusyError, NeedsHandError, Next, ScaleoutError


@dataclass(frozen=True)
class Release:
    """A job that runs before a service gets a new image: its name, the title of its stack, the root parameter of its
    image, and that of the service's."""

    name: str
    title: str
    parameter: str
    of: str


@dataclass(frozen=True)
class Wish:
    """What the user asks for.

    `images` are URIs by the root parameters that take them: one that is empty takes its service away, one that is not
    there leaves it as it is. `adopt` agrees to take over a stack that is not ours; `allowed` are the logical paths that
    may be replaced or deleted though they hold data; `recreate` agrees to delete a stack whose creation failed.
    `nested_plan` asks for the changes inside nested stacks; `revert_drift` sets back what was changed beside the
    templates. `imports` are what is taken in, by logical path, each in words; None takes in nothing. `patience` bounds
    the watching. `releases` are the jobs that run before services get their images; with `runs_jobs` false, for an
    emulator without containers, they do not.
    """

    stack_name: str
    published: Published
    images: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    adopt: bool = False
    allowed: tuple[str, ...] = ()
    recreate: bool = False
    nested_plan: bool = True
    revert_drift: bool = False
    imports: Mapping[str, str] | None = None
    releases: tuple[Release, ...] = ()
    runs_jobs: bool = True
    #: What has to come between the stack that is there and what is published, if anything.
    between: Callable[[Live], Between | None] | None = None
    #: Called before templates are uploaded that the stack does not have yet; raises SetError to refuse them.
    check: Callable[[], None] | None = None
    patience: Patience = USUAL

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that may be in no stream: those of parameters with NoEcho."""
        declared = self.published.parameters
        return tuple(
            value
            for name, value in self.parameters.items()
            if value and str(declared.get(name, {}).get("NoEcho", "")).lower() == "true"
        )

    @property
    def marked(self) -> bool:
        """Whether any template marks a resource as holding data."""
        return any(MARK in file.text for file in self.published.files)


def desired_of(wish: Wish, live: Live | None, role_arn: str) -> Desired:
    """The desired state of a wish, given what is there."""
    parameters = parameters_for(wish.published, live, wish.parameters, wish.images)
    parameters |= {release.parameter: parameters[release.of] for release in wish.releases}
    return Desired(
        wish.stack_name, wish.published, parameters, wish.tags, role_arn, wish.revert_drift, wish.imports is not None
    )


def phases_of(wish: Wish, live: Live | None, role: str) -> list[Desired]:
    # A first phase that is still being made belongs to a new stack, too.
    new = live is None or live.meaning.start in ("create", "recreate") or live.status == "CREATE_IN_PROGRESS"
    there = None if new and (live is None or live.status != "CREATE_IN_PROGRESS") else live
    whole = desired_of(wish, there, role)
    before = {name: live.parameters.get(name, "") if live and not new else "" for name in whole.images}
    changing = [release for release in wish.releases if whole.images[release.of] not in ("", before[release.of])]
    # Jobs have the new image before any service has: one that fails leaves all as they are.
    held = {**before, **{release.parameter: whole.images[release.of] for release in wish.releases}}
    releasing = [replace(whole, parameters={**whole.parameters, **held})] if changing else []
    between = wish.between(live) if wish.between and live and not new else None
    if between is not None:
        # With the images that run: new ones come by the new strategy.
        releasing.insert(0, desired_of(replace(wish, published=between.published, images={}), there, role))
    if not new or not any(whole.images.values()):
        return [*releasing, whole]
    return [replace(whole, parameters={**whole.parameters, **dict.fromkeys(whole.images, "")}), *releasing, whole]


def operation_at_work(aws: Aws, live: Live, fingerprints: Collection[str]) -> Operation:
    """The operation at work on a stack, where it is one of these. Raises BusyError when it is anybody else's."""
    begin, problems = _first_event(aws, live)
    mark = fingerprint_in(begin.token) if begin else ""
    if begin is None or live.status.startswith("DELETE_") or mark not in fingerprints:
        raise busy(live, begin, mark, problems)
    return Operation(live.stack_id, begin.token)


def _first_event(aws: Aws, live: Live) -> tuple[Event | None, list[Exception]]:
    """The event that began what is at work on a stack."""
    history = History(live.stack_id)
    problems: list[Exception] = []
    events = read_events(aws, history, on_error=problems.append)
    return next((event for event in events if event.of_stack and event.stack_id == live.stack_id), None), problems


def busy(live: Live, begin: Event | None, mark: str, problems: list[Exception]) -> BusyError:
    whose = "another deployment of ours, of another state" if mark else "somebody else"
    since = f", since {begin.time:%Y-%m-%d %H:%M:%SZ}, token {begin.token or 'none'}" if begin else ""
    unread = f"; its events cannot be read: {problems[0]}" if problems and not begin else ""
    return BusyError(
        f"stack {live.name} is {live.status}: {whose} is at work on it{since}{unread}",
        state="nothing was changed by this run",
        next=WATCH,
    )


def make_startable(aws: Aws, live: Live | None, *, recreate: bool, tell: Tell) -> Live | None:
    """The stack to start from. Raises where none can be started from; deletes an empty one if `recreate`."""
    if live is None or live.meaning.start in ("create", "update"):
        return live
    if live.meaning.start == "busy":
        begin, problems = _first_event(aws, live)
        if recreate and begin is not None and begin.token.startswith("scfn-recreate-"):
            _watch_deletion(
                aws, Operation(live.stack_id, begin.token), live, tell
            )  # an earlier run began to make it anew
            return None
        raise busy(live, begin, fingerprint_in(begin.token) if begin else "", problems)
    if live.meaning.start == "recreate" and recreate:
        held = [row for row in resources_of(aws, live.stack_id) if row.type != NESTED and "SKIPPED" not in row.status]
        if not held:
            _delete_to_recreate(aws, live, tell)
            return None
        raise NeedsHandError(
            f"stack {live.name} is {live.status} and still holds {', '.join(row.path for row in held[:5])}",
            state="nothing was changed by this run",
            next=Next("destroy"),
        )
    if live.meaning.start == "recreate":
        raise NeedsHandError(
            f"stack {live.name} is {live.status}: its creation failed and was rolled back. CloudFormation can only"
            " delete it and make it anew",
            state="nothing was changed by this run",
            next=live.meaning.next,
        )
    raise NeedsHandError(
        f"stack {live.name} is {live.status}: {live.reason or 'no reason given'}",
        state="nothing was changed by this run",
        next=live.meaning.next,
    )


def _delete_to_recreate(aws: Aws, live: Live, tell: Tell) -> None:
    tell(Note(f"deleting the empty stack {live.name}, {live.status}, to make it anew"))
    mark = token("recreate", "", f"{live.stack_id} {live.version}")
    try:
        aws.write("cloudformation", "delete_stack", StackName=live.stack_id, ClientRequestToken=mark)
    except ApiError as error:
        if error.kind != "unclear":
            raise
    _watch_deletion(aws, Operation(live.stack_id, mark, f"{live.status} {live.version}"), live, tell)


def _watch_deletion(aws: Aws, operation: Operation, live: Live, tell: Tell) -> None:
    left = follow(aws, operation, History(live.stack_id, operation.token), tell)
    if left is not None and left.meaning.end != "gone":
        raise NeedsHandError(f"stack {live.name} is {left.status}: {left.reason}", next=Next("destroy"))


def same(aws: Aws, desired: Desired, live: Live) -> bool:
    """Whether the stack is what is desired already, found without a change set."""
    # What DescribeStacks told is compared first: most changes need no second call.
    if not desired.matches(live, desired.published.root.text):
        return False
    if not desired.matches(live, template_text(aws, live.stack_id)):
        return False
    return not desired.looked_up or _still_resolved(aws, desired, live)


def _still_resolved(aws: Aws, desired: Desired, live: Live) -> bool:
    """Whether each SSM parameter stands for what it stood for when the stack was made: a new image is a change."""
    wanted = desired.looked_up
    try:
        answer = aws.read("ssm", "get_parameters", Names=sorted(set(wanted.values())))
    except ScaleoutError:
        return False  # a change set finds out, and needs no permission of ours for it
    now = {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
    return all(
        source in now
        and live.parameters[name] in (source, now[source])
        and live.resolved.get(name, now[source]) == now[source]
        for name, source in wanted.items()
    )
