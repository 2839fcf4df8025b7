"""A config in the making, with what each tunable came from; in the end one that renders, and a page about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import groupby
from typing import Any

from msgspec import Struct

from scaleout_cfn.config import Config, Ec2Capacity
from scaleout_cfn.config.containers import NAME
from scaleout_cfn.config.file import Places, overlaid, resolved
from scaleout_cfn.config.pools import fargate_sizes_near
from scaleout_cfn.config.text import starter, toml
from scaleout_cfn.config.tunables import problem_with
from scaleout_cfn.conversion.sources import Item, cut
from scaleout_cfn.errors import ScaleoutError, UsageError

Table = dict[str, Any]


class Imported(Struct, frozen=True):
    """What an import makes: the config's text, the page's, and how many leaves of the source went which way."""

    config: str
    page: str
    counts: Mapping[str, int]


class _Refusals(Places):
    """Where a config that is being made is refused: the key, and in which words."""

    def __init__(self) -> None:
        super().__init__("", "")
        self.found: list[tuple[str, str]] = []

    def say(self, key: str, what: str) -> str:
        self.found.append((key, what))
        return what


class Draft:
    """A config in the making.

    `put` sets a tunable and says of the item that it came from that it was taken, or, with a reason, changed. What the
    config refuses in the end is taken out again, and its item told why: what is written renders.
    """

    def __init__(self, *documents: Item) -> None:
        self.documents = list(documents)
        self.tables: Table = {}
        self.added: list[tuple[str, str]] = []
        self._origins: dict[tuple[str, ...], list[Item]] = {}
        self._last = ""

    def put(self, path: Sequence[str], value: Any, item: Item | None = None, why: str = "") -> None:
        """Set a tunable, `item` being where it came from and `why` what is another about it; without an item, added."""
        path = tuple(path)
        table = self.tables
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = value
        key = ".".join(path)
        is_open = not isinstance(value, dict) and not _QUIET.intersection(path)
        shown = f"{key} = {cut(toml(value))}" if is_open else key
        if item is None:
            if why:
                self.added.append((shown, why))
            return
        self._origins.setdefault(path, []).append(item)
        item.mark("changed" if why else "taken", f"{shown}: {why}" if why else shown)

    def at(self, path: Sequence[str]) -> Any:
        value: Any = self.tables
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def origin(self, path: Sequence[str]) -> Item | None:
        """The item that a tunable came from last; None where it came from none."""
        return next(reversed(self._origins.get(tuple(path), [])), None)

    def make_room(self) -> None:
        """As many nodes in the pool `nodes` as the most tasks need, where there are fewer."""
        from scaleout_cfn.capacity import demand_of, instance_type, nodes_needed
        from scaleout_cfn.config.units import units

        config, _ = resolved(self.tables, Places("", ""), BASE)
        pool = config.capacity.get("nodes") if config else None
        if config is None or not isinstance(pool, Ec2Capacity):
            return
        demands = [demand_of(unit) for unit in units(config) if unit.pool_name == "nodes"]
        needed = max(nodes_needed(instance_type(name), demands) or 0 for name in pool.instance_types)
        if needed > pool.max_nodes:
            path = ("capacity", "nodes", "max_nodes")
            if item := self.origin(path):
                item.fate = None
            most = sum(unit.scaling.max_tasks for unit in units(config) if unit.pool_name == "nodes")
            self.put(path, needed, item, f"{pool.max_nodes} do not hold {most} tasks")

    def came_from(self, path: Sequence[str], item: Item) -> None:
        """Say that a section is of an item, which is told where the section has to go."""
        self._origins.setdefault(tuple(path), []).append(item)

    def finished(self, command: str, apply: str) -> Imported:
        """The config that renders, once what it refuses is taken out, and the page.

        Raises UsageError where the whole cannot be a set, as one with too many services for it.
        """
        from scaleout_cfn.composing import compose  # here: half a second, which a refusal need not wait for
        from scaleout_cfn.rendering import render

        if not self.tables.get("services"):
            marked = [leaf for document in self.documents for leaf in document.leaves() if leaf.fate]
            told = {leaf.words: f"; {leaf.path}: {leaf.words}" for leaf in marked}
            raise UsageError(
                f"{command}: nothing was written: there is no service in it that could be one of a set"
                + "".join([*told.values()][:3])
            )
        environments = self.tables.pop("environments", {})
        self.tables.setdefault("capacity", {"fargate": {"kind": "fargate"}})
        config = self._proven(self.tables, ())
        for name in environments:
            self._proven(environments, (name,))
        for name, tables in ((None, {}), *environments.items()):
            try:
                render(compose(self._resolved(overlaid(self.tables, tables, name, BASE), _Refusals())))
            except ScaleoutError as error:
                where = f" of the environment {name}" if name else ""
                raise UsageError(
                    f"{command}: the set{where} does not render, and nothing was written: {error}"
                ) from None
        text = starter(config, apply=apply, short=True)
        lines = text.splitlines()
        head = (
            f"# Written by `{command}`. The page beside it says what was taken, what was changed, and what is not here."
        )
        overlays = [line for name, tables in environments.items() for line in _overlay(f"environments.{name}", tables)]
        leaves = [leaf for document in self.documents for leaf in document.leaves()]
        for leaf in leaves:
            if leaf.value:
                leaf.mark("no place", "nothing here reads it")
            else:
                leaf.mark("taken", "says nothing")
        counts = {fate: sum(leaf.fate == fate for leaf in leaves) for fate in ("taken", "changed", "no place")}
        whole = "\n".join([lines[0], head, *lines[1:], *overlays]) + "\n"
        return Imported(whole, page(command, leaves, self.added, counts), counts)

    def _resolved(self, tables: Table, refusals: _Refusals) -> Config:
        config, problems = resolved(tables, refusals, BASE)
        del problems
        return config if config is not None else BASE

    def _proven(self, tables: Table, environment: tuple[str, ...]) -> Config:
        """The config of the tables, or of an environment's over the draft's, from which all refused is taken out."""
        while True:
            refusals = _Refusals()
            under = overlaid(self.tables, tables[environment[0]], environment[0], BASE) if environment else tables
            config = self._resolved(under, refusals)
            if not refusals.found:
                return config
            mine = tables[environment[0]] if environment else tables
            prefix = ("environments", *environment) if environment else ()
            key, what = refusals.found[0]
            if key == "services" and not environment:
                raise UsageError(f"nothing was written: no service is left: {self._last}")
            self._last = f"{key}: {what}"
            if not self._taken_out(mine, prefix, key, what):
                raise ScaleoutError(
                    f"the config that was made is refused, which is a fault of this program: {key}: {what}"
                )

    def _taken_out(self, tables: Table, prefix: tuple[str, ...], key: str, what: str) -> bool:
        """Take out what is refused: the tunable, or what is below it, or else the nearest table around it."""
        set_here = [
            path[len(prefix) :]
            for path in self._origins
            if path[: len(prefix)] == prefix and _is_set(tables, path[len(prefix) :])
        ]
        values = [path for path in set_here if not _holds(tables, path)]
        written = {".".join(path): path for path in (*values, *_paths(tables))}
        above = [name for name in written if key == name or key.startswith((f"{name}.", f"{name}["))]
        below = [name for name in written if name.startswith(f"{key}.")]
        exact = tuple(key.split("."))
        section = re.match(r"(services|jobs|attachments|capacity)\.[^.]+", key)
        around = [".".join(exact[:length]) for length in range(len(exact) - 1, 1, -1)]
        wider = next((name for name in around if _is_set(tables, tuple(name.split(".")))), "") if section else ""
        if len(exact) > 1 and _is_set(tables, exact):
            chosen = [key]
        elif above:
            chosen = [max(above, key=len)]
        elif below:
            chosen = below
        elif wider:
            # What is refused is a default: it goes if something of its section goes that does not go with it.
            inside = [name for name in written if name.startswith(f"{wider}.")]
            chosen = [self._at_odds(tables, {name: written[name] for name in inside}, key, prefix) or wider]
        else:
            return False
        written = {name: tuple(name.split(".")) for name in (key, wider)} | written
        for name in chosen:
            path = written[name]
            self._drop(tables, path)
            for origin, items in self._origins.items():
                if origin[len(prefix) : len(prefix) + len(path)] == path and origin[: len(prefix)] == prefix:
                    for item in items:
                        item.mark("no place", f"{key} would be refused: {what}", over=True)
            self.added = [
                entry for entry in self.added if not re.match(rf"{re.escape(name)}($|[.\s])", entry[0]) or prefix
            ]
        return True

    def _at_odds(self, tables: Table, written: Mapping[str, tuple[str, ...]], key: str, prefix: tuple[str, ...]) -> str:
        """The first of these without which a key is not refused any more; empty where there is none."""
        for name, path in written.items():
            tried = deepcopy(tables)
            self._drop(tried, path)
            refusals = _Refusals()
            self._resolved(overlaid(self.tables, tried, prefix[1], BASE) if prefix else tried, refusals)
            if key not in dict(refusals.found):
                return name
        return ""

    @staticmethod
    def _drop(tables: Table, path: Sequence[str]) -> None:
        table = tables
        for part in path[:-1]:
            table = table[part]
        table.pop(path[-1], None)


BASE = Config(capacity={}, services={})
#: Where secrets may be, which the page does not repeat.
_QUIET = frozenset({"command", "entrypoint", "environment", "health_command"})


def _is_set(tables: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(tables, dict) or part not in tables:
            return False
        tables = tables[part]
    return True


def _holds(tables: Any, path: Sequence[str]) -> bool:
    """Whether what is set at a path is a table that holds something."""
    for part in path:
        tables = tables[part]
    return isinstance(tables, dict) and bool(tables)


def _paths(tables: Table, above: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    """Each value of the tables by its path, but for what says of which kind a section is."""
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _paths(value, (*above, name))
        elif name not in ("kind", "strategy"):
            yield (*above, name)


def _overlay(path: str, table: Table) -> list[str]:
    """An environment's tables as TOML: a header for each that holds values, and these a line each."""
    values = {name: value for name, value in table.items() if not isinstance(value, dict)}
    lines = ["", f"[{path}]", *(f"{_key(name)} = {toml(value)}" for name, value in values.items())] if values else []
    for name, value in table.items():
        if isinstance(value, dict):
            lines += _overlay(f"{path}.{_key(name)}", value)
    return lines or ["", f"[{path}]"]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name, re.ASCII) else toml(name)


def name_of(text: str, others: Iterable[str] = ()) -> str:
    """A name of a service, pool or volume made of a text, and none of the others."""
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    name = "-".join(word if word[0].isalpha() else f"n{word}" for word in words)[:20].strip("-") or "app"
    taken, number, base = set(others), 1, name
    while name in taken or problem_with(name, NAME):
        number += 1
        name = f"{base[:17].strip('-')}-n{number}"
    return name


class Nearest(Struct, frozen=True):
    """A size that Fargate sells, and why it is another than was asked for; empty where it is not."""

    cpu_units: int
    memory_mib: int
    why: str = ""


def nearest(cpu_units: int, memory_mib: int) -> Nearest:
    """The least size that Fargate sells and that has no less; the largest where none has."""
    near = fargate_sizes_near(cpu_units, memory_mib)
    if not near:
        return Nearest(cpu_units, memory_mib)
    cpu, memory = next(((c, m) for c, m in near if c >= cpu_units and m >= memory_mib), near[-1])
    return Nearest(cpu, memory, f"Fargate sells no {cpu_units} CPU units with {memory_mib} MiB")


_SECRET = re.compile(
    r"PASS(WORD|WD|PHRASE)?($|_)|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIAL|_PWD$", re.I
)
_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks as if its value were a secret: by its name, or an address with a password in it."""
    named = bool(_SECRET.search(name)) and not re.search(r"_(FILE|URL|URI|HOST|TTL|EXPIR\w*|ALGORITHM)$", name, re.I)
    return bool(value) and (named or bool(_WITH_PASSWORD.search(value)))


def page(command: str, leaves: Iterable[Item], added: Sequence[tuple[str, str]], counts: Mapping[str, int]) -> str:
    """The page as Markdown. Values of variables are not on it, for some are secrets."""
    lines = [
        f"# What `{command}` made of it",
        "",
        f"{counts['taken']} taken, {counts['changed']} changed, {counts['no place']} with no place here. The config was"
        " written once it rendered.",
    ]
    if added:
        lines += ["", "## Added", "", "What the source does not say, and the config does.", ""]
        lines += ["| config | why |", "|---|---|"]
        lines += [f"| `{_cell(what)}` | {_cell(why)} |" for what, why in added]
    ordered = sorted(leaves, key=lambda leaf: leaf.file)  # stable: in a file, the order of its keys
    for file, own in groupby(ordered, key=lambda leaf: leaf.file):
        lines += ["", f"## {file}", "", "| line | key | | what became of it |", "|---|---|---|---|"]
        for leaf in sorted(own, key=lambda leaf: leaf.line):
            words = _cell(leaf.words)
            place = f"{file}:{leaf.line}" if leaf.line else file  # what AWS answers has no lines
            lines.append(f"| {place} | `{_cell(leaf.path)}` | {leaf.fate} | {words} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("`", "'").split())


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
