"""What Copilot and Compose say of a container in nearly the same words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from scaleout_cfn.conversion.drafts import Draft, is_secret
from scaleout_cfn.conversion.sources import Item

SECRET = (
    "looks like a secret, and what is here everybody may read who may read the stack: put it into Secrets Manager or"
    " the Parameter Store, and its ARN into {key}.secrets.{name}"
)
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float | None:
    """A duration as 1m30s, in seconds; a bare number is of seconds; None for all else."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII):
        return float(text)
    if not re.fullmatch(r"([0-9]+(\.[0-9]+)?(us|µs|ms|s|m|h|d))+", text, re.ASCII | re.I):
        return None
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(us|µs|ms|s|m|h|d)", text.lower())
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def whole(number: float) -> float:
    """A number without its point, where nothing is behind it: 60 for 60.0."""
    return int(number) if number.is_integer() else number


def words_of(item: Item) -> list[str] | None:
    """A command as its words, whether it is a list or a line; None where the line has no end of a quote."""
    if isinstance(item.value, list):
        return [entry.text for entry in item.value]
    try:
        return shlex.split(item.text)
    except ValueError:
        return None


def as_docker_starts_it(draft: Draft, path: Sequence[str], said: str) -> None:
    """What a container may when nobody says anything: here less than there."""
    draft.put((*path, "read_only"), False, why=f"{said} the root file system can be written to")
    draft.put((*path, "tmpfs_mib"), {}, why=f"{said} there is no memory file system")
    draft.put((*path, "capabilities"), ["DEFAULT"], why=f"{said} a container has Docker's capabilities")


def command(draft: Draft, path: Sequence[str], item: Item | None) -> None:
    """A command or an entry point, as a list or as a line of a shell."""
    if item is None:
        return
    words = words_of(item)
    if words is None:
        item.mark("no place", "has a quote that does not end; write it as a list")
    elif not words:
        item.mark("taken", "the image's own")
    elif isinstance(item.value, list):
        for entry in item.value:
            entry.mark("taken", ".".join(path))
        draft.put(path, words, item)
    else:
        draft.put(path, words, item)


def environment(
    draft: Draft, path: Sequence[str], variables: Mapping[str, Item], told: Mapping[str, str] | None = None
) -> None:
    """Environment variables; `told` says of some why they are left out."""
    key = ".".join(path)
    for name, item in variables.items():
        if told and name in told:
            item.mark("changed", told[name])
        elif not isinstance(item.value, (str, type(None))):
            item.mark("no place", "is no text")
        elif is_secret(name, item.text):
            item.mark("no place", SECRET.format(key=key, name=name))
        else:
            draft.put((*path, "environment", name), item.text, item)


def health(
    draft: Draft,
    path: Sequence[str],
    item: Item,
    test: Item | None,
    defaults: tuple[int, int, int, int],
    said: str,
) -> None:
    """A health command with its times, `defaults` being interval, timeout, retries and start where none is written."""
    words = [entry.text for entry in test.value] if test is not None and isinstance(test.value, list) else []
    if test is not None and isinstance(test.value, str):
        words = ["CMD-SHELL", test.value]
    if not words or words[0] == "NONE":
        item.mark("taken", "none")
        return
    if words[0] == "CMD-SHELL":
        words = ["/bin/sh", "-c", " ".join(words[1:])]
    elif words[0] == "CMD":
        words = words[1:]
    assert test is not None
    draft.put((*path, "health_command"), words, test)
    bounds = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "start_period": (0, 300)}
    names = {"interval": "interval_s", "timeout": "timeout_s", "retries": "retries", "start_period": "start_s"}
    for default, (there, (low, high)) in zip(defaults, bounds.items(), strict=True):
        where, given = (*path, f"health_{names[there]}"), item.get(there)
        if given is None:
            draft.put(where, default, why=f"{said} it is {default}")
            continue
        value = seconds(given.text)
        if value is None:
            given.mark("no place", "is no time that can be read")
            continue
        near = round(min(max(value, low), high))
        draft.put(where, near, given, "" if near == value else f"ECS takes {low} to {high}")
