"""status, events, outputs, alarms, drift and diagnose: what is there and what happened. They change nothing."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from scaleout_cfn.cli.draw import rollout_line
from scaleout_cfn.cli.options import environments_in, service_option
from scaleout_cfn.cli.several import in_turn
from scaleout_cfn.cli.work import Options, Work, aws_command, timeout_option
from scaleout_cfn.config.units import name_of, service_in, title_of
from scaleout_cfn.deploy import diagnose as causes
from scaleout_cfn.deploy import drift as differences
from scaleout_cfn.deploy.live import Live, require
from scaleout_cfn.deploy.messages import Fact, Outcome, Watched
from scaleout_cfn.deploy.outcome import code_of, outcome_of
from scaleout_cfn.deploy.services import halt, scale
from scaleout_cfn.deploy.services.alarms import alarms_of, tell_alarms
from scaleout_cfn.deploy.services.overview import Overview, overview_of
from scaleout_cfn.deploy.services.traffic import answers, waiting_lines
from scaleout_cfn.deploy.watch.events import History, Operation, first_cause
from scaleout_cfn.deploy.watch.follow import follow, read_events
from scaleout_cfn.errors import AGAIN, Next, UsageError


def _watchable(options: Options, service: str, watch: bool) -> None:
    if watch and len(environments_in(options.environment)) > 1:
        raise click.UsageError(f"--watch: watches one environment, and --env names {options.environment}; name one")


@click.command()
@aws_command(check=_watchable, several=in_turn(stops=False))
@service_option
@click.option("--watch", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
def status(work: Work, service: str, watch: bool) -> Outcome:
    """Show the stacks, and of each service its deployment, its targets and its URL, on one screen."""
    shown: Overview | None = None
    try:
        while True:
            state = overview_of(work.aws, work.stack_name)
            _require_service(state, service)
            if state != shown:
                work.view.tell(_screen(state, service, datetime.now(UTC) if watch else None))
                shown = state
            if not watch:
                return _outcome(state.live, service)
            work.aws.pace.wait()
    except KeyboardInterrupt as stop:
        # To stop is how it ends: only a signal that asks for it from outside has a code of its own.
        if shown is None or code_of(stop) != 128 + signal.SIGINT:
            raise
        return _outcome(shown.live, service)


@click.command()
@aws_command()
@service_option
@timeout_option
@click.option("--follow", "go_on", is_flag=True, help="Watch until the operation has ended.")
@click.option("--failed", is_flag=True, help="Only what failed.")
def events(work: Work, service: str, timeout_min: float | None, go_on: bool, failed: bool) -> Outcome:
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
    of_service = [event for event in fresh if service in ("", service_in(event.path))]
    if service and not of_service:
        there = {name for event in fresh if (name := service_in(event.path)) != event.path}
        raise UsageError(
            f"--service {service}: no event is of it; there are some of {', '.join(sorted(there)) or 'none'}"
        )
    shown = tuple(event for event in of_service if event.failed or not failed)
    work.view.tell(Watched(live.status, shown, history.progress, 0))
    cause = first_cause(history.events)
    what = f"{live.name}: {len(shown)} events" + (f" of {len(fresh)}" if failed or service else "")
    return Outcome("done", what, live.status, live.stack_id, cause=cause, reason=cause.reason if cause else "")


@click.command()
@aws_command()
@service_option
def outputs(work: Work, service: str) -> Outcome:
    """Print the outputs of the root stack, one a line."""
    live = require(work.aws, work.stack_name)
    outcome = _outcome(live, service)
    if service and not outcome.outputs:
        names = ", ".join(sorted(map(name_of, _titles(live)))) or "none"
        raise UsageError(f"--service {service}: stack {live.name} has no outputs of it; it has those of {names}")
    return outcome


def _require_service(state: Overview, service: str) -> None:
    """Raises UsageError where a set has no such service. One that is being made has no outputs yet."""
    names = {name for path in state.stacks if (name := service_in(path)) != path} | {*state.services, *state.targets}
    if service and service not in names:
        there = ", ".join(sorted(names)) or "none"
        raise UsageError(f"--service {service}: stack {state.live.name} has none of that name; there is {there}")


def _titles(live: Live) -> list[str]:
    """The services' titles, by the log group that each has, the shortest first."""
    return sorted((key.removesuffix("LogGroupName") for key in live.outputs if key.endswith("LogGroupName")), key=len)


def _outcome(live: Live, service: str = "") -> Outcome:
    outputs = live.outputs
    if service:
        # The outputs of `order` are none of those of `order-api`.
        titles = _titles(live)
        whose = {key: next((title for title in reversed(titles) if key.startswith(title)), "") for key in outputs}
        outputs = {key: value for key, value in outputs.items() if whose[key] == title_of(service)}
    return Outcome(
        "done",
        f"{live.name}: {live.status}",
        live.status,
        live.stack_id,
        outputs=outputs,
        next=live.meaning.next,
    )


def _screen(state: Overview, service: str = "", seen: datetime | None = None) -> Fact:
    """The screen of a state, of one service or of all; `seen` is when it was seen first, where it is watched."""
    names = [name for name in sorted({*state.services, *state.targets}) if service in ("", name)]
    stacks = {state.live.name: state.live.status}
    stacks |= {path: status for path, status in state.stacks.items() if service in ("", service_in(path))}
    lines = [f"{path:<16} {status}" for path, status in stacks.items()]
    data: dict[str, Any] = {}
    for name in names:
        newest, targets = state.services.get(name), state.targets.get(name)
        # Nothing answers before there is a service.
        url = state.live.outputs.get(f"{title_of(name)}Url", "") if newest else ""
        if newest:
            lines.append(rollout_line(newest))
            lines += [f"{name}  {line}" for line in waiting_lines(newest, datetime.now(UTC))]
        if targets is not None:
            lines.append(f"{name}  targets  {_counted(targets) or 'none registered'}")
        lines += [f"{name}  URL  {url}"] if url else []
        scaled, halted, now = state.scaled.get(name), state.halted.get(name), datetime.now(UTC)
        if scaled and scaled.until <= now:
            scaled = None  # its time has come
        if halted:
            lines.append(f"{name}  {halt.sentence(halted, now)}")
        if scaled:
            lines.append(f"{name}  drift  {scale.sentence(scaled)}; `scale {name} --reset` does it now")
        data[name] = {
            "deployment": dataclasses.asdict(newest) if newest else None,
            "targets": dict(targets or {}),
            "url": url,
            "scaled": scale.data(scaled) if scaled else None,
            "stopped": halt.data(halted, now) if halted else None,
        }
    if not service:
        lines += [f"{name}  nodes  {_counted(nodes) or 'none'}" for name, nodes in sorted(state.nodes.items())]
    lines += [f"not read: {line}" for line in state.unread]
    if seen:
        lines.append(f"seen  {seen:%Y-%m-%d %H:%M:%SZ}")
    whole = {
        **({"seen": seen.isoformat()} if seen else {}),
        "stacks": dict(state.stacks),
        "services": data,
        "nodes": {name: dict(nodes) for name, nodes in state.nodes.items()},
        "unread": list(state.unread),
    }
    paused = next((name for name in names if name in state.services and state.services[name].paused), None)
    return Fact("status", tuple(lines), whole, next=answers(paused) if paused else None)


def _counted(states: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(states.items()))


@click.command()
@aws_command()
@service_option
def alarms(work: Work, service: str) -> Outcome:
    """Say which alarm of the set fires, since when, what it watches and what to look at next. Changes nothing.

    Those that are OK are a number; with --json each is an object. An alarm that moves the number of tasks is at work
    when it is on, and told apart. Composite alarms are not asked for. Exits with 0 once it has looked, whatever fires:

    \b
      scaleout-cfn alarms
      scaleout-cfn alarms --service web --json
    """
    live = require(work.aws, work.stack_name)
    found = alarms_of(work.aws, live)
    return tell_alarms(found, live, service, datetime.now(UTC), work.view.tell)


@click.command()
@aws_command()
@timeout_option
def drift(work: Work, timeout_min: float | None) -> Outcome:
    """Show what was changed beside CloudFormation, in all stacks of the set. Changes nothing.

    What is expected to differ is told apart: bounds that `scale` set, counts that scaling moves, weights that ECS
    moves, tags that AWS adds. CloudFormation compares what a template sets, of the types that it can. Whoever asks has
    to be allowed to read every resource: drift.json of `policies`.

    \b
      scaleout-cfn drift
      scaleout-cfn drift --json --timeout 10

    Exits with 0 where nothing else differs, 3 where something does, 1 where something could not be compared.
    """
    try:
        return differences.drift(work.aws, work.stack_name, work.view.tell, work.patience(timeout_min))
    except KeyboardInterrupt as stop:
        what = f"{work.stack_name}: stopped; CloudFormation goes on looking, and nothing is changed"
        return Outcome("interrupted", what, next=Next(AGAIN), code=code_of(stop))


@click.command()
@aws_command()
@service_option
def diagnose(work: Work, service: str) -> Outcome:
    """Say what failed first and why, of the newest operation in which anything did. Changes nothing.

    Reads the events of all nested stacks, and what ECS, the logs and the load balancer still know: the deployment
    that was given up, why tasks stopped with the last lines they wrote, and which targets are unhealthy. ECS forgets
    a stopped task after an hour. Exits with 0 once it has looked; the stack's own state is in what it prints.
    """
    return causes.diagnose(work.aws, work.stack_name, work.view.tell, service=service)
