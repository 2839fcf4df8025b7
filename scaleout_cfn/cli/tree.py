"""The view on a terminal: a plan in colour, and a tree that redraws itself. rich is loaded here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.text import Text

from scaleout_cfn.cli.draw import Screen, command_line, event_line, outcome_lines, plan_lines
from scaleout_cfn.cli.views import WHOLE, Typed, confirmed, printable, show_outputs
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

STYLES = (
    (re.compile(r"^\s*✗|BLOCKED|HOLDS DATA|REMOVED|^warning"), "bold red"),
    (re.compile(r"^\s*!"), "bold yellow"),
    (re.compile(r"^\s*\?"), "yellow"),
    (re.compile(r"^\s*\+"), "green"),
    (re.compile(r"^\s*-"), "red"),
    (re.compile(r"^\s*✓"), "green"),
    (re.compile(r"^\s+users: "), ""),
    (re.compile(r"routine|^\s*=|^\s{6,}|^Ctrl-C"), "dim"),
)


def styled(line: str) -> Text:
    """A line in the colour of what it says. rich honours NO_COLOR."""
    style = next((style for pattern, style in STYLES if pattern.search(line)), "")
    return Text(printable(line), style=style, no_wrap=True, overflow="ellipsis")


class TreeView:
    """Draws on stderr; what failed is printed above the tree, so that it stays."""

    def __init__(self, typed: Typed = command_line, console: Console | None = None, *, verbose: bool = False) -> None:
        self._typed = typed
        self._verbose = verbose
        self.console = console or Console(stderr=True, highlight=False)
        self._screen = Screen()
        self._live: Live | None = None
        self._status: Status | None = None
        self._whole = True

    def tell(self, message: Message) -> None:
        self._settle()
        match message:
            case Started():
                self._screen, self._whole = Screen(stack=message.stack), message.command in WHOLE
                role = f"  role {message.role_arn}" if message.role_arn else ""
                self._print(
                    [f"{message.command} {message.stack}  account {message.account_id}  {message.region}{role}"]
                )
                self._wait("asking AWS")
            case Uploaded():
                self._print([f"uploaded {message.new} of {message.total} templates"])
                self._wait("waiting for the change set")
            case Planned():
                self._stop()
                whole, width = self._whole or self._verbose, self.console.width
                self._print(plan_lines(message.plan, width, message.allowed, whole=whole, verbose=self._verbose))
            case Blocked():
                self._print([f"BLOCKED {path} {reason}" for path, reason in message.changes.items()])
            case Watched():
                self._screen = self._screen.take(message)
                self._draw()
                failed = [
                    event_line(event, self._screen.stack)
                    for event in message.events
                    if event.failed and not (event.of_stack and event.path)
                ]
                self._print([f"✗ {line}" for line in failed])
            case Rollout():
                self._screen = self._screen.take(message)
                if self._live:
                    self._draw()
            case Fact():
                self._stop()
                for line in message.lines:
                    click.echo(printable(line))
                if message.next:
                    click.echo(printable(f"    {self._typed(message.next)}"))
            case Note():
                self._print([f"{'warning: ' if message.level == 'warning' else ''}{message.text}"])
            case Outcome():
                self._stop()
                self._print(outcome_lines(message, self.console.width, self._typed), wrap=True)
                show_outputs(message)

    def close(self) -> None:
        self._settle()
        self._stop()

    def ask(self, question: str) -> bool:
        self._settle()
        self._stop()
        return confirmed(question)

    def _wait(self, words: str) -> None:
        """Until the next message something moves."""
        if self.console.is_terminal:
            self._status = self.console.status(words)
            self._status.start()

    def _settle(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _draw(self) -> None:
        if self._live is None:
            # Drawn when something was read, not by a thread of its own.
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        room = max(4, self.console.height - 1)
        lines = self._screen.lines(self.console.width)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"  and {len(lines) - room + 1} lines more"]
        self._live.update(_block(lines), refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._screen = Screen(stack=self._screen.stack)

    def _print(self, lines: Sequence[str], *, wrap: bool = False) -> None:
        for line in lines:
            text = styled(line)
            if wrap:
                text.no_wrap = False
                text.overflow = "fold"
            self.console.print(text)


def _block(lines: Sequence[str]) -> Any:
    block = Text(no_wrap=True, overflow="ellipsis")
    for number, line in enumerate(lines):
        block.append_text(styled(line))
        if number < len(lines) - 1:
            block.append("\n")
    return block
