"""status, events and outputs: what is there and what happened. They change nothing."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import click

from scaleout_cfn.aws.names import name_in
from scaleout_cfn.cli.draw import rollout_line
from scaleout_cfn.cli.work import Work, aws_command, timeout_option
from scaleout_cfn.deploy.live import Live, require
from scaleout_cfn.deploy.messages import Fact, Outcome, Watched
from scaleout_cfn.deploy.outcome import outcome_of
from scaleout_cfn.deploy.services.overview import Overview, overview_of
from scaleout_cfn.deploy.watch.events import History, Operation, first_cause
from scaleout_cfn.deploy.watch.follow import follow, read_events


@click.command()
@aws_command()
@click.option("--watch", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
def status(work: Work, watch: bool) -> Outcome:
    """Show the stacks, the deployment of the service, its targets and its URL on one screen."""
    shown: Overview | None = None
    while True:
        state = overview_of(work.aws, work.stack_name)
        if state != shown:
            work.view.tell(_screen(state, datetime.now(UTC) if watch else None))
            shown = state
        if not watch:
            return _outcome(state.live)
        work.aws.pace.wait()


@click.command()
@aws_command()
@timeout_option
@click.option("--follow", "go_on", is_flag=True, help="Watch until the operation has ended.")
@click.option("--failed", is_flag=True, help="Only what failed.")
def events(work: Work, timeout_min: float | None, go_on: bool, failed: bool) -> Outcome:
    """Show the newest operation on the stack and on all that is nested in it, oldest event first."""
    live = require(work.aws, work.stack_name)
    history = History(live.stack_id)
    if go_on:
        ended = follow(
            work.aws,
            Operation(live.stack_id, ""),
            history,
            work.view.tell,
            work.patience(timeout_min),
        )
        return outcome_of(ended, live.name, history.events)
    # Here events are what was asked for, so that not to be allowed to read them is an error.
    problems: list[Exception] = []
    fresh = read_events(work.aws, history, on_error=problems.append)
    if problems and not fresh:
        raise problems[0]
    shown = tuple(event for event in fresh if event.failed or not failed)
    work.view.tell(Watched(live.status, shown, history.progress, 0))
    cause = first_cause(history.events)
    what = f"{live.name}: {len(shown)} events" + (f" of {len(fresh)}" if failed else "")
    return Outcome("done", what, live.status, live.stack_id, cause=cause, reason=cause.reason if cause else "")


@click.command()
@aws_command()
def outputs(work: Work) -> Outcome:
    """Print the outputs of the root stack, one a line."""
    return _outcome(require(work.aws, work.stack_name))


def _outcome(live: Live) -> Outcome:
    return Outcome(
        "done",
        f"{live.name}: {live.status}",
        live.status,
        live.stack_id,
        outputs=live.outputs,
        next=live.meaning.next,
    )


def _screen(state: Overview, seen: datetime | None = None) -> Fact:
    """The screen of a state; `seen` is when it was seen first, where it is watched."""
    url = state.live.outputs.get("ServiceUrl", "")
    stacks = {state.live.name: state.live.status, **state.stacks}
    lines = [f"{path:<16} {status}" for path, status in stacks.items()]
    lines += [f"{name_in(newest.service)}  {rollout_line(newest)}" for newest in state.services]
    counts = ", ".join(f"{number} {word}" for word, number in sorted(state.targets.items())) or "none registered"
    lines.append(f"targets  {counts}")
    lines += [f"not read: {line}" for line in state.unread]
    if url:
        lines.append(f"URL  {url}")
    if seen:
        lines.append(f"seen  {seen:%Y-%m-%d %H:%M:%SZ}")
    data = {
        **({"seen": seen.isoformat()} if seen else {}),
        "stacks": dict(state.stacks),
        "services": [dataclasses.asdict(newest) for newest in state.services],
        "targets": dict(state.targets),
        "unread": list(state.unread),
        "url": url,
    }
    return Fact("status", tuple(lines), data)
