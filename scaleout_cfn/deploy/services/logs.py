"""What the containers of a stack write, from CloudWatch Logs. Reads only."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scaleout_cfn.aws.client import Aws
from scaleout_cfn.deploy.messages import Fact
from scaleout_cfn.errors import ApiError, Next, UsageError
from scaleout_cfn.grammars import span_of

#: A line may come in this much later than its time says: so far back each poll reads again.
OVERLAP_MS = 30_000


@dataclass(frozen=True)
class Line:
    """A line of the log. `stream` is `PREFIX/CONTAINER/TASK` as the awslogs driver names it."""

    time: datetime
    stream: str
    text: str

    @property
    def service(self) -> str:
        """The service whose task wrote it: the prefix of its streams is its name."""
        return self.stream.partition("/")[0]

    @property
    def task(self) -> str:
        return self.stream.rpartition("/")[2]


def since(text: str, now: datetime) -> datetime:
    """The moment that `30s`, `10m`, `2h`, `1d` ago was, or that an ISO 8601 time is. Raises UsageError."""
    try:
        if (ago := span_of(text)) is not None:
            return now - ago
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(f"since {text}: give 30s, 10m, 2h or 1d, or a time like 2026-11-23T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def tail(aws: Aws, groups: Sequence[str], start: datetime, *, follow: bool) -> Iterator[Line]:
    """The lines of log groups from a moment on, each once, in the order of time; with `follow` those that come, too,
    without an end.

    By FilterLogEvents, page by page at the common pace, and not by StartLiveTail, which is billed by the minute, ends
    after three hours and drops lines of a busy service. Raises UsageError where there is no such group.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatchLogs_LiveTail.html
    """
    begin = max(0, int(start.timestamp() * 1000))
    newest = begin
    seen: dict[str, int] = {}
    for _ in aws.pace.turns(None):
        found = [_events(aws, group, begin) for group in groups]
        for event in heapq.merge(*found, key=lambda event: event["timestamp"]):
            if event["eventId"] in seen:
                continue
            seen[event["eventId"]] = event["timestamp"]
            newest = max(newest, event["timestamp"])
            yield _line(event["timestamp"], event["logStreamName"], event)
        if not follow:
            return
        begin = max(begin, newest - OVERLAP_MS)
        seen = {name: time for name, time in seen.items() if time >= begin}


def _events(aws: Aws, group: str, begin: int) -> Iterator[Mapping[str, Any]]:
    try:
        for page in aws.pages("logs", "filter_log_events", logGroupName=group, startTime=begin):
            yield from page.get("events", [])
    except ApiError as error:
        if error.kind != "missing":
            raise
        raise UsageError(f"log group {group}: there is none, though the stack names it", next=Next("deploy")) from None


def stream(aws: Aws, group: str, name: str, token: str) -> tuple[list[Line], str]:
    """The lines of a stream after those that led to the token, and the next token. A stream that is not there yet
    has none."""
    lines: list[Line] = []
    while True:
        arguments: dict[str, Any] = {"nextToken": token} if token else {}
        try:
            page = aws.read(
                "logs", "get_log_events", logGroupName=group, logStreamName=name, startFromHead=True, **arguments
            )
        except ApiError as error:
            if error.kind != "missing":
                raise
            return lines, token
        lines += [_line(event["timestamp"], name, event) for event in page.get("events", [])]
        following = page.get("nextForwardToken", "")
        # At the end of a stream the token is the one that was given.
        if following in ("", token):
            return lines, token
        token = following


def fact(line: Line) -> Fact:
    """A line to be shown: the time, the service, the beginning of the task's id, and the text."""
    shown = f"{line.time:%H:%M:%SZ} {line.service} {line.task[:8]} {line.text}"
    return Fact(
        "log",
        (shown,),
        {"time": line.time.isoformat(), "service": line.service, "stream": line.stream, "text": line.text},
    )


def _line(milliseconds: int, name: str, event: Mapping[str, Any]) -> Line:
    return Line(datetime.fromtimestamp(milliseconds / 1000, UTC), name, str(event["message"]).rstrip("\n"))
