"""Plans, progress and outcomes as lines of text. Pure: all three views and the golden files are made of this."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scaleout_cfn.deploy.changes.plan import Change, Plan, Property, destroys, kind_of
from scaleout_cfn.deploy.messages import Outcome, Rollout, Watched
from scaleout_cfn.deploy.watch.events import NESTED, Event, Progress
from scaleout_cfn.errors import AGAIN, Next

__all__ = ["Screen", "command_line", "cut", "duration", "event_line", "outcome_lines", "plan_lines", "rollout_line"]

SIGNS = {"add": "+", "change": "~", "replace": "!", "delete": "-"}
MOST_PROPERTIES = 6


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


def plan_lines(plan: Plan, width: int, allowed: Iterable[str] = ()) -> list[str]:
    """A plan as a tree: every resource that changes, from what to what, and what it means."""
    counts = plan.counts
    lines = [
        f"{plan.stack}  {counts['add']} add, {counts['change']} change, {counts['replace']} replace,"
        f" {counts['delete']} delete"
    ]
    for change in plan.changes:
        depth = change.path.count("/")
        name = change.path.rpartition("/")[2]
        indent = "  " * (depth + 1)
        if change.nested:
            word = {"Add": "new nested stack", "Remove": "nested stack REMOVED"}.get(change.action, "")
            word = "changes not shown" if change.unseen else word
            lines.append(cut(f"{indent}{name}/  {word}".rstrip(), width) if word else f"{indent}{name}/")
            continue
        words = _words(change, change.path in set(allowed))
        lines.append(
            indent + cut(f"{SIGNS[kind_of(change)]} {name}  {change.type}  {words}".rstrip(), width - len(indent))
        )
        if change.action == "Modify":
            lines += _property_lines(change, indent + "    ", width)
    if plan.capabilities:
        lines.append(f"  acknowledges {', '.join(plan.capabilities)}")
    lines += [cut(f"warning: {warning}", width * 3) for warning in plan.warnings]
    return lines


def _words(change: Change, consented: bool) -> str:
    if change.routine and change.replacement != "none":
        return "new revision (routine)"
    said = []
    if change.action == "Remove":
        kept = {"Retain": "removed from the stack, but kept", "Snapshot": "deleted, with a snapshot kept"}
        said.append(kept.get(change.policy, "deleted"))
    elif change.replacement != "none":
        said.append("REPLACED" if change.replacement == "certain" else "may be REPLACED")
        if change.why:
            said.append(f"because of {change.why}")
        if "Retain" in change.policy or "Snapshot" in change.policy:
            said.append("the old one is kept" if "Retain" in change.policy else "a snapshot is kept")
    if destroys(change):
        said.append("HOLDS DATA" + (", allowed" if consented else ""))
    elif change.disruptive and (change.replacement != "none" or change.action == "Remove"):
        said.append("disruptive")
    return ", ".join(said)


def _property_lines(change: Change, indent: str, width: int) -> Iterator[str]:
    room = width - len(indent)
    shown = [line for one in change.properties for line in _differences(one)]
    for name, before, after in shown[:MOST_PROPERTIES]:
        if not before and not after:
            yield indent + cut(name, room)
            continue
        each = max(8, (room - len(name) - 6) // 2)
        yield indent + cut(f"{name}  {cut(before or '(none)', each)} -> {cut(after or '(none)', each)}", room)
    if len(shown) > MOST_PROPERTIES:
        yield f"{indent}and {len(shown) - MOST_PROPERTIES} more"


def _differences(one: Property) -> list[tuple[str, str, str]]:
    """A property's parts that differ, for who finds a new image in two whole container definitions?"""
    try:
        before, after = json.loads(one.before), json.loads(one.after)
    except ValueError:
        before = after = None
    if not isinstance(before, (dict, list)) or not isinstance(after, (dict, list)):
        return [(one.name, one.before, one.after)]
    was, will = dict(_leaves(one.name, before)), dict(_leaves(one.name, after))
    paths = [path for path in {**was, **will} if was.get(path) != will.get(path)]
    return [(path, was.get(path, ""), will.get(path, "")) for path in paths]


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def event_line(event: Event, stack: str) -> str:
    """One event on one line, without its time."""
    place = f"{stack}/{event.path}".rstrip("/")
    status, reason, failed = event.status, event.reason, event.failed
    if event.hook:
        status, reason = f"{event.status}  hook {event.hook.type} {event.hook.status}", event.hook.reason
        failed = event.hook.refuses
    words = f"  {' '.join(reason.split())}" if reason else ""
    return f"{'ERROR ' if failed else ''}{place}  {status}{words}"


def rollout_line(found: Rollout) -> str:
    """An ECS deployment on one line."""
    words = [f"ECS {found.state}"]
    if found.stage:
        words.append(found.stage)
    words.append(f"running {found.running}/{found.desired}, pending {found.pending}, failed {found.failed}")
    if found.threshold:
        words.append(f"breaker {found.failed}/{found.threshold}")
    if found.reason:
        words.append(found.reason)
    return "  ".join(words)


#: Commands that take no option that says where to.
_NOWHERE = ("ci", "graph", "init", "lint", "policies", "render", "schema")


def command_line(step: Next | None, program: str = "scaleout-cfn", where: str = "") -> str:
    """What to do next, as it can be typed: `where` are the options that say where to. Empty where there is nothing."""
    if step is None:
        return ""
    options = shlex.join(step.options)
    if step.verb == AGAIN:
        text = AGAIN + (f", with {options}" if options else "") + (f": {step.words}" if step.words else "")
    else:
        command = f"{program} {step.verb}{'' if step.verb in _NOWHERE else where} {options}".rstrip()
        text = ", ".join(part for part in (command if step.verb else "", step.words) if part)
    return f"{text}, or {command_line(step.instead, program, where)}" if step.instead else text


def outcome_lines(outcome: Outcome, width: int, typed: Callable[[Next | None], str] = command_line) -> list[str]:
    """How it ended: what happened, the first cause, the state, the next command and the exit code."""
    mark = "✓" if outcome.exit_code in (0, 3) else "✗"
    status = outcome.status if outcome.status not in outcome.what.split() else ""
    lines = [f"{mark} {outcome.what}" + (f"  [{status}]" if status else "")]
    if outcome.cause:
        cause = outcome.cause
        lines.append(f"  cause  {cause.path or 'the root'}  {cause.type}  {cause.status}  {cause.time:%H:%M:%SZ}")
    if outcome.reason:
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
            hidden = parent and not any(one.startswith(f"{parent}/") for one in open_)
            if not path or hidden or (event.type != NESTED and not parent and not event.running and not event.failed):
                continue
            indent = "  " * (path.count("/") + 1)
            mark = "✗" if event.failed else "…" if event.running else "✓"
            name = path.rpartition("/")[2] + ("/" if event.type == NESTED else "")
            reason = f"  {event.reason}" if event.failed and event.reason else ""
            lines.append(indent + cut(f"{mark} {name}  {event.status}{reason}", width - len(indent)))
            if event.physical_id in self.services and event.running:
                lines.append(
                    indent + "    " + cut(rollout_line(self.services[event.physical_id]), width - len(indent) - 4)
                )
        lines.append("Ctrl-C stops watching; the operation goes on.")
        return lines


def _bar(done: int, total: int, cells: int = 20) -> str:
    full = cells * done // total if total else 0
    return "█" * full + "░" * (cells - full)
