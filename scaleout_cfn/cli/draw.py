"""Plans, progress and outcomes as lines of text. Pure: all three views and the golden files are made of this."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from scaleout_cfn.aws import NESTED
from scaleout_cfn.deploy.changes.plan import Change, Kind, Plan, destroys, kind_of
from scaleout_cfn.deploy.messages import Outcome, Rollout, Watched
from scaleout_cfn.deploy.watch.events import Event, Progress
from scaleout_cfn.errors import AGAIN, Next

SIGNS: dict[Kind, str] = {
    "add": "+",
    "import": "<",
    "change": "~",
    "replace": "!",
    "possible": "?",
    "follow": "=",
    "delete": "-",
}
#: The words of a kind in the first line of a plan, where there are some; the first four are always there.
COUNTED: dict[Kind, str] = {
    "add": "add",
    "change": "change",
    "replace": "replace",
    "delete": "delete",
    "import": "to take in",
    "possible": "whose replacement cannot be ruled out",
    "follow": "unchanged (AWS cannot tell)",
}
MOST_PROPERTIES = 6
#: A type that has fewer characters than this says nothing.
LEAST_TYPE = 16


def cut(text: str, width: int) -> str:
    """Text that fits: what is too long loses its middle, for both ends of an ARN tell something."""
    text = re.sub(r"\s*\n\s*", " ", text)
    if len(text) <= width:
        return text
    tail = max(0, (width - 1) // 2)
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def duration(seconds: float) -> str:
    """03:12, or 1:03:12."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def plan_lines(
    plan: Plan, width: int, allowed: Iterable[str] = (), *, whole: bool = True, verbose: bool = False
) -> list[str]:
    """A plan as trees: every resource that changes, from what to what, and what it means; first those that go, and of
    all the worse before the better.

    Unless `whole`, a new stack is told by the numbers of its nested stacks; unless `verbose`, what is unchanged by its
    number. Where a line is too narrow its type goes first, and what is said of the resource never does.
    """
    counts = plan.counts
    told = [f"{counts[kind]} {words}" for kind, words in COUNTED.items() if counts[kind] or " " not in words]
    lines = _wrapped(f"{plan.stack}  {', '.join(told)}", "", width)
    if short := _in_short(plan):
        lines += _wrapped(short, "  ", width)
    if plan.creates and not whole:
        lines += [cut(line, width) for line in _numbers(plan)]
    else:
        lines += _changes_lines(plan.changes if verbose else _folded(plan.changes), width, allowed)
        if counts["follow"] and not verbose:
            lines += _wrapped(f"{SIGNS['follow']} {counts['follow']} unchanged: each of them by --verbose", "  ", width)
    if plan.capabilities:
        lines += _wrapped(f"acknowledges {', '.join(plan.capabilities)}", "  ", width)
    lines += [cut(f"warning: {warning}", width * 3) for warning in plan.warnings]
    return lines


def _in_short(plan: Plan) -> str:
    """One sentence for a deployment that takes nothing away, as that of an image is."""
    counts = plan.counts
    if plan.creates or counts["replace"] or counts["possible"] or counts["delete"] or not counts["change"]:
        return ""
    own = [change for change in plan.changes if change.routine and not change.unchanged]
    revisions = [change.path for change in own if change.action == "Modify"]
    return f"new revision of {', '.join(revisions)}; nothing is replaced" if revisions else "nothing is replaced"


def _numbers(plan: Plan) -> Iterator[str]:
    numbers = Counter(change.path.rpartition("/")[0] for change in plan.changes if not change.nested)
    for path, number in sorted(numbers.items()):
        yield f"  + {number:>3} in {path + '/' if path else 'the root'}"
    yield "  each of them: by `diff`, or with --verbose"


def _folded(changes: Sequence[Change]) -> list[Change]:
    """Without what is unchanged, and the nested stacks in which nothing else was said to change."""
    quiet = {path for change in changes if change.unchanged for path in _above(change.path)}
    loud = {path for change in changes if not change.unchanged and not change.nested for path in _above(change.path)}
    loud |= {change.path for change in changes if change.unseen or change.action != "Modify"}
    return [change for change in changes if not change.unchanged and change.path not in quiet - loud]


def _above(path: str) -> Iterator[str]:
    return accumulate(path.split("/"), "{}/{}".format)


def _changes_lines(changes: Sequence[Change], width: int, allowed: Iterable[str]) -> Iterator[str]:
    """What goes, under a heading, before all else: among many additions nobody sees a deletion."""
    consented = set(allowed)
    going, staying = (list(_tree(changes, going=going)) for going in (True, False))
    for heading, tree in (("removed:", going), ("added, changed or replaced:", staying)):
        if going and tree:
            yield cut(heading, width)
        for change in tree:
            yield from _change_lines(change, width, consented=change.path in consented)


def _tree(changes: Sequence[Change], *, going: bool) -> Iterator[Change]:
    """What goes, or all else, with the nested stacks that it is in."""
    parents = {change.path.rpartition("/")[0] for change in changes}
    shown: set[str] = set()
    for change in changes:
        if (change.action == "Remove") is going and (going or change.path not in parents):
            shown.update(_above(change.path))
    return iter(sorted((change for change in changes if change.path in shown), key=_gravities(changes)))


def _gravities(changes: Sequence[Change]) -> Callable[[Change], Any]:
    """By how bad the worst is of each stack that a resource is in, and then it itself; equals as AWS has them."""
    worst: dict[str, tuple[int, int]] = {}
    place: dict[str, int] = {}
    for number, change in enumerate(changes):
        for path in _above(change.path):
            place.setdefault(path, number)
            if not change.nested or change.path == path:
                gravity = (9, 0) if change.nested else change.gravity
                worst[path] = min(gravity, worst.get(path, gravity))
    return lambda change: [(worst[path], place[path], path) for path in _above(change.path)]


def _change_lines(change: Change, width: int, *, consented: bool) -> Iterator[str]:
    indent = "  " * (change.path.count("/") + 1)
    name = change.path.rpartition("/")[2]
    if change.nested:
        words = {"Add": "new nested stack", "Remove": f"nested stack{FIRM}REMOVED"}.get(change.action, "")
        yield from _fitted(f"{name}/", "", "changes not shown" if change.unseen else words, indent, width)
        return
    yield from _fitted(f"{SIGNS[kind_of(change)]} {name}", change.type, _words(change, consented), indent, width)
    if change.users_see:
        yield from _wrapped(f"users: {change.users_see}", indent + "    ", width)
    if change.action == "Modify" and not change.unchanged:
        yield from _property_lines(change, indent + "    ", width)


#: A space at which no line ends: what is said of a resource is read as one, or it says something else.
FIRM = "\N{NO-BREAK SPACE}"


def _fitted(head: str, kind: str, words: str, indent: str, width: int) -> Iterator[str]:
    """A resource, its type and what is said of it: on one line, without the type, or on several."""
    room = max(8, width - len(indent))
    space = room - len(head) - len(words) - 4
    if len(kind) <= space or space >= LEAST_TYPE:
        line = "  ".join(part for part in (head, cut(kind, max(space, 0)), words) if part)
        yield indent + line.replace(FIRM, " ")
    elif len(head) + len(words) + 2 <= room:
        yield indent + f"{head}  {words}".rstrip().replace(FIRM, " ")
    else:
        yield indent + cut(head, room)
        yield from _wrapped(words, indent + "    ", width)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    """Text on as many lines as it takes, which end at spaces that are not firm."""
    room = max(8, width - len(indent))
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += [word[start : start + room] for start in range(0, max(1, len(word)), room)]
    return [indent + line.replace(FIRM, " ") for line in lines]


def _words(change: Change, consented: bool) -> str:
    if change.routine and change.replacement != "none":
        return "new revision (routine)"
    said = []
    if change.action == "Remove":
        kept = {"Retain": "removed from the stack, but kept", "Snapshot": "deleted, with a snapshot kept"}
        said.append(kept.get(change.policy, "deleted"))
    elif change.replacement != "none":
        said.append("REPLACED" if change.replacement == "certain" else f"may{FIRM}be{FIRM}REPLACED")
        if "Retain" in change.policy or "Snapshot" in change.policy:
            said.append("the old one is kept" if "Retain" in change.policy else "a snapshot is kept")
    elif change.action == "Import":
        said.append("taken in as it is")
    elif change.drift == "DELETED":
        said.append("it is gone, and made anew")
    elif change.action == "SyncWithActual":
        said.append("is already what the template says: CloudFormation takes note")
    elif change.unchanged:
        said.append("unchanged (AWS cannot tell)" + (f", follows {change.follows}" if change.follows else ""))
    if destroys(change):
        said.append(f"HOLDS{FIRM}DATA" + (", allowed" if consented else ""))
    if change.replacement != "none" and change.why:
        said.append(f"because of {change.why}")
    return ", ".join(said)


def _property_lines(change: Change, indent: str, width: int) -> Iterator[str]:
    room = width - len(indent)
    shown = [(entry.drifted, part) for entry in change.properties if not entry.unchanged for part in entry.parts]
    for drifted, (name, before, after, template) in shown[:MOST_PROPERTIES]:
        if not before and not after:
            yield indent + cut(name, room)
            continue
        words = (len("live , template ") if drifted else 0) + 6
        each = max(8, (room - len(name) - words) // (3 if drifted else 2))
        was, will, had = (cut(value or "(none)", each) for value in (before, after, template))
        yield indent + cut(f"{name}  {f'live {was}, template {had}' if drifted else was} -> {will}", room)
    if len(shown) > MOST_PROPERTIES:
        yield f"{indent}and {len(shown) - MOST_PROPERTIES} more"


def event_line(event: Event, stack: str) -> str:
    place = f"{stack}/{event.path}".rstrip("/")
    status, reason, failed = event.status, event.reason, event.failed
    if event.hook:
        status, reason = f"{event.status}  hook {event.hook.type} {event.hook.status}", event.hook.reason
        failed = event.hook.refuses
    words = f"  {' '.join(reason.split())}" if reason else ""
    return f"{'ERROR ' if failed else ''}{place}  {status}{words}"


def rollout_line(newest: Rollout) -> str:
    words = [f"{newest.name}  ECS {newest.state}"]
    if newest.stage:
        words.append(newest.stage)
    if newest.shifts and newest.new and newest.new.traffic is not None:
        words.append(f"{newest.new.traffic:g} % of traffic on the new version")
    if newest.paused:
        words.append("waits for an answer")
    if newest.until:
        words.append(f"until about {newest.until:%H:%M:%SZ}")
    words.append(f"running {newest.running}/{newest.desired}, pending {newest.pending}, failed {newest.failed}")
    if newest.threshold:
        words.append(f"breaker {newest.failed}/{newest.threshold}")
    if newest.ringing:
        words.append(f"alarm {', '.join(newest.ringing)}")
    if newest.reason:
        words.append(newest.reason)
    return "  ".join(words)


#: Commands that take no option that says where to.
_NOWHERE = ("ci", "graph", "init", "lint", "policies", "render", "schema")


#: The verbs that take an image and a bucket.
_DEPLOYING = {"deploy", "diff", "plan", "publish"}


def command_line(
    step: Next | None, program: str = "scaleout-cfn", where: str = "", carried: Sequence[tuple[str, str]] = ()
) -> str:
    """What to do next, as it can be typed: `where` are the options that say where to, and `carried` those that say what
    a deployment brings, with their names. Empty where there is nothing.
    """
    if step is None:
        return ""
    options = shlex.join(step.options)
    if step.verb in _DEPLOYING:
        other = {"--image", "--build"} if {"--image", "--build"} & {*step.options} else set()
        more = [word for name, value in carried if name not in other for word in (name, value) if word]
        options = shlex.join([*step.options, *more])
    if step.verb == AGAIN:
        text = AGAIN + (f", with {options}" if options else "") + (f": {step.words}" if step.words else "")
    else:
        command = f"{program} {step.verb}{'' if step.verb in _NOWHERE else where} {options}".rstrip()
        text = ", ".join(part for part in (command if step.verb else "", step.words) if part)
    return f"{text}, or {command_line(step.instead, program, where, carried)}" if step.instead else text


def outcome_lines(outcome: Outcome, width: int, typed: Callable[[Next | None], str] = command_line) -> list[str]:
    """How it ended: what happened, the first cause, the state, the next command and the exit code."""
    mark = "…" if outcome.end == "still_running" else "✓" if outcome.exit_code in (0, 3) else "✗"
    status = outcome.status if outcome.status not in outcome.what.split() else ""
    lines = [f"{mark} {outcome.what}" + (f"  [{status}]" if status else "")]
    # Of a diagnosis it is the headline.
    if outcome.cause and outcome.end != "diagnosed":
        cause = outcome.cause
        lines.append(f"  cause  {cause.path or 'the root'}  {cause.type}  {cause.status}  {cause.time:%H:%M:%SZ}")
    if outcome.reason and outcome.end != "diagnosed":
        lines.append(f"  {'why  ' if outcome.cause else 'state'}  {outcome.reason}")
    if outcome.next:
        lines.append(f"  next   {typed(outcome.next)}")
    if outcome.exit_code:
        lines.append(f"  exit   {outcome.exit_code}")
    return lines


@dataclass(frozen=True)
class Screen:
    """What the tree shows: the newest event of each resource. `take` gives the next screen."""

    stack: str = ""
    status: str = ""
    progress: Progress = field(default_factory=lambda: Progress(0, 0, ()))
    elapsed_s: float = 0.0
    last: Mapping[str, Event] = field(default_factory=dict)
    services: Mapping[str, Rollout] = field(default_factory=dict)

    def take(self, message: Watched | Rollout) -> Screen:
        if isinstance(message, Rollout):
            return replace(self, services={**self.services, message.service: message})
        last = {**self.last, **{event.path: event for event in message.events}}
        return replace(self, status=message.status, progress=message.progress, elapsed_s=message.elapsed_s, last=last)

    def lines(self, width: int) -> list[str]:
        """The tree: stacks that are done collapse to one line, what failed stays."""
        done, total = self.progress.done, self.progress.total
        lines = [
            cut(f"{self.stack}  {self.status}  {duration(self.elapsed_s)}  {_bar(done, total)}  {done}/{total}", width)
        ]
        open_ = {path for path, event in self.last.items() if event.running or event.failed}
        for path in sorted(self.last):
            event = self.last[path]
            parent = path.rpartition("/")[0]
            hidden = parent and not any(busy.startswith(f"{parent}/") for busy in open_)
            if not path or hidden or (event.type != NESTED and not parent and not event.running and not event.failed):
                continue
            indent = "  " * (path.count("/") + 1)
            mark = "✗" if event.failed else "…" if event.running else "✓"
            name = path.rpartition("/")[2] + ("/" if event.type == NESTED else "")
            reason = f"  {event.reason}" if event.failed and event.reason else ""
            lines.append(indent + cut(f"{mark} {name}  {event.status}{reason}", width - len(indent)))
            if event.physical_id in self.services and event.running:
                lines += _wrapped(rollout_line(self.services[event.physical_id]), indent + "    ", width)
        lines.append("Ctrl-C stops watching; the operation goes on.")
        return lines


def _bar(done: int, total: int) -> str:
    full = 20 * done // total if total else 0
    return "█" * full + "░" * (20 - full)
