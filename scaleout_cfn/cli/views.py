"""Three views of one model: lines for logs, JSON for programs, and a tree on a terminal (in `tree`).

Data goes to stdout, words to stderr.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import click

from scaleout_cfn.aws import title_in
from scaleout_cfn.cli.draw import command_line, event_line, outcome_lines, plan_lines, rollout_line
from scaleout_cfn.deploy.changes.plan import Change
from scaleout_cfn.deploy.messages import (
    Blocked,
    Fact,
    Message,
    Note,
    Outcome,
    Planned,
    Rollout,
    Started,
    Uploaded,
    Watched,
)
from scaleout_cfn.errors import Next

#: The first one comes after so many quiet seconds, each next one after twice as many, up to the most.
HEARTBEAT_S, MOST_HEARTBEAT_S = 30.0, 600.0
#: The commands that are there to show a plan, or events: every resource of a new stack, where others give numbers; and
#: what has begun, where others tell what has ended.
WHOLE = ("diff", "events", "plan")

Typed: TypeAlias = Callable[[Next | None], str]
"""How a next command is written: called as this one was, and sent to the same place."""


class View(Protocol):
    """Whoever shows what happens."""

    def tell(self, message: Message) -> None:
        """Show one message."""

    def close(self) -> None:
        """The last message was shown."""

    def ask(self, question: str) -> bool:
        """A yes or a no. Raises KeyboardInterrupt on Ctrl-C."""


def confirmed(question: str) -> bool:
    """A yes or a no from whoever sits there; the end of input is a no.

    Not click.confirm, which makes every interrupt one and the same: which signal it was is part of the exit code.
    """
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        try:
            answer = input().strip().lower()
        except EOFError:
            click.echo(err=True)
            return False
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False


class JsonView:
    """One object a line on stdout, with the version of the schema. The last line is always the result."""

    def __init__(self, typed: Typed = command_line) -> None:
        self._typed = typed

    def tell(self, message: Message) -> None:
        if isinstance(message, Watched):
            for event in message.events:
                fields = dataclasses.asdict(event)
                self._put("event", {"resource_type": fields.pop("type"), **fields})
            self._put("progress", {"status": message.status, **dataclasses.asdict(message.progress)})
        else:
            self._put(*_fields(message, self._typed))

    def close(self) -> None:
        sys.stdout.flush()

    def ask(self, question: str) -> bool:
        return False

    def line(self, message: Message) -> str:
        kind, fields = _fields(message, self._typed)
        return json.dumps({"v": 1, "type": kind, **fields}, default=_plain) + "\n"

    def _put(self, kind: str, fields: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps({"v": 1, "type": kind, **fields}, default=_plain) + "\n")
        sys.stdout.flush()


def _fields(message: Message, typed: Typed) -> tuple[str, dict[str, Any]]:
    fields = dataclasses.asdict(message)
    if isinstance(message, Outcome):
        cause = message.cause
        fields["cause"] = {"path": cause.path, "reason": cause.reason, "status": cause.status} if cause else None
        fields["next_command"] = typed(fields.pop("next"))
        del fields["code"]
        return "result", {"exit": message.exit_code, "outcome": fields.pop("end"), **fields}
    if isinstance(message, Planned):
        plan = message.plan
        changes = [_change_fields(change) for change in plan.changes]
        return "plan", {
            "change_set": plan.change_set,
            "summary": plan.counts,
            "changes": changes,
            "capabilities": plan.capabilities,
            "warnings": plan.warnings,
        }
    if isinstance(message, Fact):
        following = {"next_command": typed(message.next)} if message.next else {}
        return message.kind, {**message.data, **following, "level": message.level, "lines": message.lines}
    names = {Started: "start", Uploaded: "upload", Blocked: "blocked", Rollout: "rollout", Note: "note"}
    if isinstance(message, Blocked):
        fields = {"changes": dict(message.changes)}
    return names[type(message)], fields


def _change_fields(change: Change) -> dict[str, Any]:
    told = {"why": change.why, "unchanged": change.unchanged, "users_see": change.users_see}
    return {**dataclasses.asdict(change), **told}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class LinesView:
    """Lines with a time, and a heartbeat while nothing happens. No control codes.

    In GitHub Actions the plan and the events fold away, and warnings and the end of a failure are annotations:
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """

    def __init__(
        self,
        typed: Typed = command_line,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        width: int | None = None,
        verbose: bool = False,
    ) -> None:
        self._typed = typed
        self._verbose = verbose
        self._now = now
        self._width = width or shutil.get_terminal_size((120, 40)).columns
        self._stack = ""
        self._whole = True
        self._spoken_s, self._beat_s = 0.0, HEARTBEAT_S
        self._github = bool(os.environ.get("GITHUB_ACTIONS"))
        self._group = ""
        self._rollouts: dict[str, Rollout] = {}
        self.plans_to = sys.stderr

    def tell(self, message: Message) -> None:
        match message:
            case Started():
                self._stack, self._whole = message.stack, message.command in WHOLE
                role = f"  role {message.role_arn}" if message.role_arn else ""
                self.say(f"{message.command} {message.stack}  account {message.account_id}  {message.region}{role}")
            case Uploaded():
                self.say(f"uploaded {message.new} of {message.total} templates")
            case Planned():
                self.say(f"change set ready {title_in(message.plan.change_set)}")
                if self.plans_to is sys.stderr:
                    self._fold(f"changes to {message.plan.stack}")
                whole = self._whole or self._verbose
                for line in plan_lines(message.plan, self._width, message.allowed, whole=whole, verbose=self._verbose):
                    click.echo(printable(line), file=self.plans_to)
                self._fold("")
            case Blocked():
                for path, reason in message.changes.items():
                    self.say(f"BLOCKED {path} {reason}; to agree: --allow-replace {path}")
            case Watched():
                self._watched(message)
            case Rollout() if self._rollouts.get(message.service) == message:
                pass  # one that waits for hours says nothing new at each look
            case Rollout():
                self._rollouts[message.service] = message
                self.say(rollout_line(message))
            case Fact():
                for line in message.lines:
                    click.echo(printable(line))
                if message.next:
                    click.echo(printable(f"    {self._typed(message.next)}"))
            case Note(level="warning") if self._github:
                self._command("warning", message.text)
            case Note():
                self.say(f"{'warning: ' if message.level == 'warning' else ''}{message.text}")
            case Outcome():
                self.ended(message)

    def _fold(self, title: str) -> None:
        """Begin a group of lines that fold away; the one before ends. Empty: it only ends."""
        if not self._github or title == self._group:
            return
        if self._group:
            click.echo("::endgroup::", err=True)
        if title:
            self._command("group", title)
        self._group = title

    @staticmethod
    def _command(name: str, text: str) -> None:
        for character in "%\r\n":
            text = text.replace(character, f"%{ord(character):02X}")
        click.echo(f"::{name}::{printable(text)}", err=True)

    def close(self) -> None:
        """Nothing is held back."""

    def ask(self, question: str) -> bool:
        return confirmed(question)

    def say(self, text: str, time: datetime | None = None) -> None:
        click.echo(f"{(time or self._now()).astimezone(UTC):%H:%M:%SZ} {printable(text)}", err=True)

    def show(self, lines: list[str]) -> None:
        for line in lines:
            click.echo(printable(line), err=True)

    def _watched(self, message: Watched) -> None:
        if message.elapsed_s < self._spoken_s:
            self._spoken_s, self._beat_s = 0.0, HEARTBEAT_S  # the next operation began
        # Of a nested stack its parent says the same.
        events = [
            event
            for event in message.events
            if not (event.of_stack and event.path) and (self._whole or not event.running or not event.path)
        ]
        if events:
            self._fold(f"events of {self._stack}")
        for event in events:
            self.say(event_line(event, self._stack), event.time)
        if events:
            self._spoken_s, self._beat_s = message.elapsed_s, HEARTBEAT_S
        elif message.elapsed_s - self._spoken_s >= self._beat_s:
            self._spoken_s, self._beat_s = message.elapsed_s, min(2 * self._beat_s, MOST_HEARTBEAT_S)
            at_work = ", ".join(message.progress.current[:3]) or message.status
            self.say(f"{self._stack}  heartbeat {message.progress.done}/{message.progress.total}, at work: {at_work}")

    def ended(self, outcome: Outcome) -> None:
        self._fold("")
        lines = outcome_lines(outcome, self._width, self._typed)
        if self._github and outcome.exit_code not in (0, 3):
            self._command("error", "\n".join(lines))
        else:
            self.show(lines)
        show_outputs(outcome)


def show_outputs(outcome: Outcome) -> None:
    """The stack's outputs, for people and for `| grep`: on stdout."""
    width = max(map(len, outcome.outputs), default=0)
    for name, value in outcome.outputs.items():
        click.echo(f"{name:<{width}}  {printable(value)}")


def printable(text: str) -> str:
    """Text from AWS without control codes that a terminal would obey."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", text)
