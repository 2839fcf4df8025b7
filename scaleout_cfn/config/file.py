"""From a TOML file, its environment overlay and single overrides to a Config.

Every error of a config is told in one run, with its place: the file, the line where there is one, and the key.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta

from scaleout_cfn.config import Config
from scaleout_cfn.config.balancer_conflicts import between_environments
from scaleout_cfn.config.conflicts import conflicts
from scaleout_cfn.config.tunables import (
    Section,
    allowed_by,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_by_name,
    fields_of,
    general_key,
    named_sections,
    problem_with,
    section_items,
    sections_of,
    tag_field_of,
    unit_of,
)
from scaleout_cfn.errors import ConfigError, UsageError

Table = dict[str, Any]


def load(
    path: Path | str | None = None,
    *,
    environment: str | None = None,
    overrides: Sequence[str] = (),
    base: Config | None = None,
) -> Config:
    """The config of a file, under an overlay of its `[environments.NAME]`, under `KEY=VALUE` overrides.

    What none of them names is as in `base`, by default a Config as it is made without arguments. Services and pools
    are an exception where there is no `base`: a file that writes any of them has those that it writes, and no others.

    Raises UsageError when the file cannot be read, ConfigError with every reason when it cannot be meant.
    """
    own = base is not None
    base = Config() if base is None else checked(base)
    if path is None and environment is None and not overrides:
        return base
    import tomllib  # here, for most runs have nothing to read

    text = _read(Path(path)) if path else ""
    places = Places(str(path) if path else "the default config", text)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([places.not_toml(error)]) from None
    environments = tables.pop("environments", {})
    if not own:
        base = msgspec.structs.replace(base, **{key: {} for key in ("capacity", "services") if key in tables})
    if not isinstance(environments, dict) or not all(isinstance(overlay, dict) for overlay in environments.values()):
        raise ConfigError([places.say("environments", "holds one table a name, as in [environments.prod]")])
    if environment is not None and environment not in environments:
        known = ", ".join(map(one_line, sorted(environments))) or "none"
        raise ConfigError([f"{places.file}: environment {environment!r} is not there; it has {known}"])
    chosen = overlaid(tables, environments.get(environment, {}), environment, base)
    places.environment = environment
    for override in overrides:
        chosen = merged(chosen, places.override(override), base)
    config, problems = resolved(chosen, places, base)
    # A broken overlay of another environment is found now, not on the day it is deployed.
    each = {} if environment is None else {environment: config}
    for name, overlay in environments.items():
        if name != environment:
            each[name], others = resolved(overlaid(tables, overlay, name, base), Places(places.file, text, name), base)
            problems += [problem for problem in others if problem not in problems]
    if not problems:
        whole = {name: overlay for name in environments if (overlay := each[name]) is not None}
        problems = [
            Places(places.file, text, name).say(conflict.key, conflict.what)
            for name, conflict in between_environments(whole)
        ]
    if problems or config is None:
        raise ConfigError(problems)
    return config


def resolved(tables: Table, places: Places, base: Config) -> tuple[Config | None, list[str]]:
    """The config that tables mean over a base, and every reason why it cannot be meant."""
    problems: list[str] = []
    config: Config | None = convert(Config, tables, base, "", places, problems)
    if config is not None and not problems:
        problems += [places.say(conflict.key, conflict.what) for conflict in conflicts(config)]
    return config, problems


def checked(config: Config) -> Config:
    """The same config, once each tunable and each pair of them is known to be allowed; else ConfigError."""
    problems: list[str] = []
    base = Config(capacity={}, services={})
    try:
        tables = _told(config, base)
    except TypeError as error:
        raise ConfigError([f"config: {error}; use numbers, strings, tuples, dicts and sections"]) from None
    again: Config | None = convert(Config, tables, base, "", Places("config", ""), problems)
    if again is not None and not problems:
        problems = [f"config: {conflict}" for conflict in conflicts(again)]
    if problems or again is None:
        raise ConfigError(problems)
    return again


def _told(section: Section, usual: Section | None) -> Table:
    """What of a section is not as in `usual`, or as its type has it: a default is right, and most are defaults."""
    table: Table = {}
    for field in fields_of(type(section)):
        value = getattr(section, field.name)
        there = default_of(field) if usual is None else getattr(usual, field.name)
        if type(value) is type(there) and value == there:
            continue
        if isinstance(value, Mapping) and named_sections(bare(field.type)[0]):
            table[field.name] = {
                name: {**_kind_of(entry), **_told(entry, None)} if isinstance(entry, Section) else entry
                for name, entry in value.items()
            }
        elif isinstance(value, Section) and type(value) is type(there):
            table[field.name] = _told(value, there)
        else:
            table[field.name] = msgspec.to_builtins(value)
    return table


def _kind_of(section: Section) -> dict[str, Any]:
    tag = section.__struct_config__.tag
    return {tag_field_of(section): tag} if tag else {}


def merged(under: Table, over: Mapping[str, Any], default: object) -> Table:
    """Two tables as one: tables merge, all else is replaced, and so is a table of another kind.

    `default` is the section at their place: its kind is meant where none is written.
    """
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        there = default.get(key) if isinstance(default, dict) else getattr(default, key, None)
        kind = getattr(getattr(there, "__struct_config__", None), "tag", None)
        if isinstance(old, dict) and isinstance(value, dict):
            tag = tag_field_of(there)
            before = old.get(tag, kind)
            if value.get(tag, before) == before:
                result[key] = merged(old, value, there)
                continue
        result[key] = value
    return result


def overlaid(tables: Table, overlay: Mapping[str, Any], environment: str | None, base: Config) -> Table:
    """Tables under the overlay of an environment, which has a stack of its own: `web-prod`, unless it names one."""
    result = merged(tables, overlay, base)
    name = result.get("stack_name", base.stack_name)
    if environment is not None and "stack_name" not in overlay and isinstance(name, str):
        result["stack_name"] = f"{name}-{environment}"
    return result


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `init` writes one with every tunable in it") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file that can be read") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in raw[:2] and len(raw) > 1):
        raise UsageError(f"{path}: is UTF-16, which editors on Windows call Unicode; save it as UTF-8")
    try:
        # Editors on Windows put a byte order mark at the beginning.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8, which TOML files are; save it as UTF-8") from None


class Places:
    """Where a key stands: in which file, on which line, or in which override."""

    def __init__(self, file: str, text: str, environment: str | None = None) -> None:
        self.file = file
        self.environment = environment
        self.overridden: dict[str, str] = {}
        self._lines: dict[str, int] | None = None
        self._text = text

    def override(self, text: str) -> Table:
        """The table that `KEY=VALUE` stands for. A value that is not TOML is taken as a string."""
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key or not all(key.split(".")):
            raise ConfigError(
                [f"--set {one_line(text)}: give KEY=VALUE, as in --set services.web.scaling.max_tasks=40"]
            )
        import tomllib

        try:
            (parsed,) = tomllib.loads(f"value = {value}").values()
        except (ValueError, RecursionError):
            parsed = value
        self.overridden[key] = text
        for part in reversed(key.split(".")):
            parsed = {part: parsed}
        return parsed  # type: ignore[no-any-return]

    def say(self, key: str, what: str) -> str:
        """One line of an error message: place, key, what is wrong."""
        for part, text in self.overridden.items():
            if key == part or key.startswith((f"{part}.", f"{part}[")):
                return f"--set {one_line(text)}: {'' if key == part else f'{one_line(key)}: '}{what}"
        if self._lines is None:
            from scaleout_cfn.toml_lines import key_lines  # here and below: only an error needs a line

            self._lines = key_lines(self._text)
        prefixes = [f"environments.{self.environment}.", ""] if self.environment else [""]
        above = key
        while above:
            for prefix in prefixes:
                # A table that only a header below it names, [services.web], is first said there.
                inside = (line for below, line in self._lines.items() if below.startswith(f"{prefix}{above}."))
                if line := self._lines.get(prefix + above) or next(inside, None):
                    return f"{self.file}:{line}: {one_line(prefix + key)}: {what}"
            # What is not written has no line: the table that it belongs to has one.
            above = above[: max(above.rfind("."), above.rfind("["), 0)]
        return f"{self.file}: {one_line(key)}: {what}" if key else f"{self.file}: {what}"

    def not_toml(self, error: Exception) -> str:
        """One line of an error message: why tomllib cannot read the text."""
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        if place is None:
            return f"{self.file}: {error}; this is not TOML"
        what = str(error)[: place.start()]
        line = int(place[1] or self._text.count("\n") + 1)
        # "Cannot declare ... twice" of tables, "Cannot overwrite a value" and "Duplicate inline table key" of keys.
        if re.match("Cannot|Duplicate", what):
            from scaleout_cfn.toml_lines import statements

            written = [(key, at) for key, at in statements(self._text) if at <= line]
            for key in [key for key, at in reversed(written) if at == line]:
                first, *more = [at for other, at in written if other == key]
                if more:
                    twice = f"is there twice, first in line {first}; delete one of them"
                    return f"{self.file}:{line}: {one_line(key)}: {twice}"
                if above := [(other, at) for other, at in written if key.startswith(f"{other}.")]:
                    # Of all the tables that the key is in, the one that is as near as can be.
                    whole, first = max(above, key=lambda statement: len(statement[0]))
                    return (
                        f"{self.file}:{line}: {one_line(key)}: line {first} gives {one_line(whole)} already, in"
                        " another way; keep one of them"
                    )
        if what == "Invalid value":
            what += ": texts stand in quotes, and true and false are lower case"
        return f"{self.file}:{line}: {what}; this is not TOML"


def one_line(text: str) -> str:
    """Text from a file or an option with its line ends and control characters escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def convert(
    section: type[Section],
    given: object,
    default: Section | None,
    path: str,
    places: Places,
    problems: list[str],
) -> Any:
    """A section made of a table over the default of its place. Problems are added to the list; None on any.

    msgspec stops at the first error of a value, so each tunable is converted by itself.
    """
    if not isinstance(given, dict):
        problems.append(places.say(path, f"got {given!r}, which is not a table; write [{one_line(path)}]"))
        return None
    found_before = len(problems)
    fields = fields_by_name(section)
    values: Table = {}
    for key, value in given.items():
        here = f"{path}.{key}" if path else key
        if key == section.__struct_config__.tag_field:
            continue
        if key not in fields:
            if old := list(moved(here, value)):
                problems += [places.say(place, where) for place, where in old]
            else:
                problems.append(places.say(here, f"unknown; {_hint(key, path, section, list(fields))}"))
            continue
        usual = fields[key].default
        if type(value) is type(usual) and value == usual:
            values[key] = value  # most are, and a default is right; None is a section that is left out
            continue
        inner, meta = bare(fields[key].type)
        if sections := sections_of(inner):
            kept = getattr(default, key) if default is not None else default_of(fields[key])
            values[key] = _convert_section(sections, value, kept, here, places, problems)
        elif sections := named_sections(inner):
            kept = getattr(default, key) if default is not None else default_of(fields[key])
            values[key] = _convert_named(sections, fields[key].type, value, kept, here, places, problems)
        else:
            assert meta is not None, f"{here} has no tunable()"
            values[key] = _convert_value(fields[key].type, value, meta.description or "", here, places, problems)
    for name, field in fields.items():
        if name in values or name in given:
            continue
        if default is not None:
            values[name] = getattr(default, name)
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            here = f"{path}.{name}" if path else name
            problems.append(places.say(path, f"{here} is missing: {bare(field.type)[1].description}"))  # type: ignore[union-attr]
    return section(**values) if len(problems) == found_before else None


#: Where a table of old went, by its dotted key; the longest that fits is meant.
MOVED = {
    "service": "services.web",
    "scaling": "services.web.scaling",
    "scaling.nodes": "capacity.nodes.scaling",
    "pipeline": "services.web.pipeline",
    "load_balancer.health_check": "services.web.health_check",
    "load_balancer.deregistration_delay_s": "services.web.deregistration_delay_s",
    "registry.pull_from": "services.web.pull_from",
    "observability.error_percent": "services.web.alarms.error_percent",
    "observability.latency_s": "services.web.alarms.latency_s",
    "observability.utilization_percent": "services.web.alarms.utilization_percent",
    "cluster.node_image": "capacity.nodes.machine_image",
    **{
        f"cluster.{name}": f"capacity.nodes.{name}"
        for name in (
            *("architecture", "instance_types", "min_nodes", "max_nodes", "spot_percent", "on_demand_base", "disk_gib"),
            *("update_batch", "update_timeout_min"),
        )
    },
}

#: A key of old, and what it is called beside the others of its section.
RENAMED = {
    "services.NAME.scaling.step_policies[].minutes": "periods, each of period_s",
    "services.NAME.scaling.step_policies[].steps[].tasks": "adjustment",
}


def moved(key: str, value: object = None) -> Iterator[tuple[str, str]]:
    """Each old key with where it went; nothing of one that never was."""
    if isinstance(value, dict) and any(place == key or place.startswith(f"{key}.") for place in MOVED):
        for name, entry in value.items():
            yield from moved(f"{key}.{name}", entry)
        return
    for part in sorted(MOVED, key=len, reverse=True):
        if key == part or key.startswith(f"{part}."):
            yield key, f"is now {MOVED[part]}{key[len(part) :]}"
            return


def _hint(key: str, path: str, section: type[Section], fields: list[str]) -> str:
    import difflib

    place = general_key(f"{path}.{key}".lstrip("."), Config)
    if place in RENAMED:
        return f"did you mean {RENAMED[place]}?"
    same = [(where, kind) for where, kind in _keys(Config, "") if where.rpartition(".")[2] == key]
    if kinds := [kind for where, kind in same if where == place]:
        what = " ".join((section.__doc__ or "").split()).partition(". ")[0].rstrip(".")
        tag_field = tag_field_of(section)
        return f'it goes with {tag_field} = "{kinds[0]}", and not with "{section.__struct_config__.tag}": {what}'
    near = difflib.get_close_matches(key, [*fields, *([] if path else ["environments"])], n=1, cutoff=0.7)
    # A unit too many, as of a key of old, or one too few.
    near = near or [field for field in fields if key.startswith(f"{field}_") or field.startswith(f"{key}_")][:1]
    if not near and (elsewhere := [where for where, _ in same if "[]" not in where]):
        # Of the same service or pool, where it is one.
        room = path.split(".")[:2]
        if general_key(".".join(room), Config).endswith(".NAME"):
            elsewhere = [where.replace(f"{room[0]}.NAME", ".".join(room)) for where in elsewhere]
        return f"did you mean {' or '.join(dict.fromkeys(elsewhere))}?"
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(fields)}"


def _keys(section: type[Section], path: str) -> Iterator[tuple[str, str]]:
    """Every key of a section and of those in it, of whichever kind: dotted, with the kind of its section."""
    for field in fields_of(section):
        key = f"{path}.{field.name}".lstrip(".")
        inner, _ = bare(field.type)
        yield key, str(section.__struct_config__.tag or "")
        for choice in sections_of(inner):
            yield from _keys(choice, key)
        for choice in named_sections(inner):
            yield from _keys(choice, f"{key}.NAME")
        if item := section_items(inner):
            yield from _keys(item, f"{key}[]")


def _convert_section(
    sections: tuple[type[Section], ...],
    given: object,
    default: Any,
    path: str,
    places: Places,
    problems: list[str],
) -> Any:
    """A section, or one of several that exclude each other, chosen by its `kind` or what else tells them apart."""
    section: type[Section] = type(default) if default is not None else sections[0]
    tag_field = tag_field_of(section)
    if len(sections) > 1 and isinstance(given, dict) and tag_field in given:
        kinds = {str(choice.__struct_config__.tag): choice for choice in sections}
        if given[tag_field] not in list(kinds):
            allowed = ", ".join(f'"{kind}"' for kind in kinds)
            problems.append(places.say(f"{path}.{tag_field}", f"got {given[tag_field]!r}; allowed are {allowed}"))
            return None
        section = kinds[given[tag_field]]
    elif isinstance(given, dict):
        own = fields_by_name(section)
        for choice in sections:
            theirs = fields_by_name(choice)
            if foreign := [key for key in given if key not in own and key in theirs]:
                tag = choice.__struct_config__.tag
                problems.append(
                    places.say(f"{path}.{foreign[0]}", f'goes with {tag_field} = "{tag}"; write that beside it')
                )
                return None
    base = default if type(default) is section else None
    return convert(section, given, base, path, places, problems)


def _convert_named(
    sections: tuple[type[Section], ...],
    annotation: Any,
    given: object,
    default: Mapping[str, Any],
    path: str,
    places: Places,
    problems: list[str],
) -> Any:
    """Sections by name: those of the default, as they are but for what is written, and those that are new."""
    if not isinstance(given, dict):
        problems.append(
            places.say(path, f"got {_shown(given)}, which is not a table of tables; write [{one_line(path)}.NAME]")
        )
        return None
    inner, meta = bare(annotation)
    meaning = (meta and meta.description) or ""
    entries = dict(default)
    for name, table in given.items():
        here = f"{path}.{name}"
        _convert_value(get_args(inner)[0], name, "the name of one", here, places, problems)
        entries[name] = _convert_section(sections, table, default.get(name), here, places, problems)
    _count(entries, meta, meaning, path, places, problems)
    return entries


def _convert_value(annotation: Any, value: object, meaning: str, path: str, places: Places, problems: list[str]) -> Any:
    """The value of a tunable. Each entry of a list or a table is converted, and refused, by itself."""
    inner, meta = bare(annotation)
    arguments = get_args(inner)
    if get_origin(inner) is tuple and isinstance(value, (list, tuple)):
        item = section_items(inner)
        entries: Any = tuple(
            convert(item, entry, None, f"{path}[{index}]", places, problems)
            if item
            else _convert_value(arguments[0], entry, meaning, f"{path}[{index}]", places, problems)
            for index, entry in enumerate(value)
        )
    elif get_origin(inner) is dict and isinstance(value, dict):
        entries = {}
        for name, entry in value.items():
            here = f"{path}.{name}"
            _convert_value(arguments[0], name, meaning, here, places, problems)
            entries[name] = _convert_value(arguments[1], entry, meaning, here, places, problems)
    else:
        return _convert_scalar(annotation, value, meaning, path, places, problems)
    _count(entries, meta, meaning, path, places, problems)
    return entries


def _count(entries: Any, meta: Meta | None, meaning: str, path: str, places: Places, problems: list[str]) -> None:
    """Refuse a list or table of more or fewer entries than its bounds."""
    for bound, is_broken, words in (
        (meta and meta.max_length, int.__gt__, "at most"),
        (meta and meta.min_length, int.__lt__, "at least"),
    ):
        if bound is not None and is_broken(len(entries), bound):
            problems.append(places.say(path, f"got {len(entries)} of them; allowed are {words} {bound} ({meaning})"))


def _convert_scalar(
    annotation: Any, value: object, meaning: str, path: str, places: Places, problems: list[str]
) -> Any:
    inner, meta = bare(annotation)
    if inner is str and not isinstance(value, str) and path in places.overridden:
        value = places.overridden[path].partition("=")[2].strip()  # --set account_id=123456789012
    try:
        converted = msgspec.convert(value, annotation)
        what = problem_with(converted, meta) if meta and isinstance(converted, str) else ""
    except msgspec.ValidationError:
        what = refusal(value, inner, meta)
    if what:
        problems.append(places.say(path, f"got {_shown(value)}; {one_line(what)} ({meaning})"))
        return None
    # 60 and 60.0 mean the same and have to render the same.
    return int(converted) if isinstance(converted, float) and converted.is_integer() else converted


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if hasattr(value, "isoformat") else repr(value)


def refusal(value: object, inner: object, meta: Meta | None) -> str:
    """Why a value is none of a type, what is allowed, and the cure, in words."""
    if choices := choices_of(inner):
        import difflib

        names = [choice for choice in get_args(inner) if isinstance(choice, str)]
        # A screenful of names hides the one that is meant.
        if len(names) > 12 and (near := difflib.get_close_matches(str(value).upper(), names, n=3)):
            return f"allowed are {len(names)} names, of which the nearest: {', '.join(near)}"
        quotes = f'; write it in quotes: "{value}"' if not isinstance(value, str) and str(value) in names else ""
        return f"allowed are {choices}{quotes}"
    if inner is bool:
        return "allowed are true and false"
    if inner is int or inner is float:
        number = "a whole number" if inner is int else "a number"
        bounds, unit = (bounds_of(meta), unit_of(meta)) if meta else ("", None)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right_kind = is_number and (inner is float or isinstance(value, int))
        allowed = ", ".join(part for part in ("" if right_kind else number, bounds) if part)
        quotes = "; write it without quotes" if isinstance(value, str) and value.strip().lstrip("-").isdigit() else ""
        return f"allowed is {allowed}{f' {unit}' if unit else ''}{quotes}"
    if inner is str:
        if not isinstance(value, str):
            shown = f': "{_shown(value)}"' if isinstance(value, (int, float)) else ""
            return (
                f"allowed is a text; write it in quotes{shown}"
                if not isinstance(value, (list, dict))
                else "allowed is a text"
            )
        if meta and (what := problem_with(value, meta)):
            return what
        if meta and meta.max_length is not None and len(value) > meta.max_length:
            return f"it has {len(value)} characters; allowed are at most {meta.max_length}"
        return f"allowed is {allowed_by(meta)}" if meta else "allowed is a text"
    if isinstance(inner, types.UnionType):
        return "allowed is a text in quotes, or a list of such"
    return "allowed is a table of name = value" if get_origin(inner) is dict else "allowed is a list, as in [...]"
