"""From a TOML file, its environment overlay and single overrides to a Config.

Every error of a config is told in one run, with its place: the file, the line where there is one, and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT, Meta

from scaleout_cfn.config import Config, conflicts
from scaleout_cfn.errors import ConfigError, UsageError
from scaleout_cfn.tunables import (
    Section,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_of,
    section_items,
    sections_of,
    unit_of,
)

__all__ = ["checked", "load"]

Table = dict[str, Any]


def load(
    path: Path | str | None = None,
    *,
    environment: str | None = None,
    overrides: Sequence[str] = (),
    base: Config | None = None,
) -> Config:
    """The config of a file, under an overlay of its `[environments.NAME]`, under `KEY=VALUE` overrides.

    What none of them names is as in `base`, by default a Config as it is made without arguments.

    Raises UsageError when the file cannot be read, ConfigError with every reason when it cannot be meant.
    """
    base = Config() if base is None else checked(base)
    if path is None and environment is None and not overrides:
        return base
    import tomllib  # here, for most runs have nothing to read

    text = _read(Path(path)) if path else ""
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {error}; this is not TOML"]) from None
    environments = tables.pop("environments", {})
    places = Places(str(path) if path else "the default config", text)
    if not isinstance(environments, dict) or not all(isinstance(overlay, dict) for overlay in environments.values()):
        raise ConfigError([f"{places.file}: environments: holds one table a name, as in [environments.prod]"])
    if environment is not None and environment not in environments:
        known = ", ".join(map(one_line, sorted(environments))) or "none"
        raise ConfigError([f"{places.file}: environment {environment!r} is not there; it has {known}"])
    chosen = overlaid(tables, environments.get(environment, {}), environment, base)
    places.environment = environment
    for override in overrides:
        chosen = merged(chosen, places.override(override), base)
    config, problems = resolved(chosen, places, base)
    # A broken overlay of another environment is found now, not on the day it is deployed.
    for name, overlay in environments.items():
        if name != environment:
            _, others = resolved(overlaid(tables, overlay, name, base), Places(places.file, text, name), base)
            problems += [problem for problem in others if problem not in problems]
    if problems or config is None:
        raise ConfigError(problems)
    return config


def resolved(tables: Table, places: Places, base: Config) -> tuple[Config | None, list[str]]:
    """The config that tables mean over a base, and every reason why it cannot be meant."""
    problems: list[str] = []
    config: Config | None = convert(Config, tables, base, "", places, problems)
    if config is not None and not problems:
        for line in conflicts(config):
            key, _, what = line.partition(": ")
            problems.append(places.say(key, what))
    return config, problems


def checked(config: Config) -> Config:
    """The same config, once each tunable and each pair of them is known to be allowed; else ConfigError."""
    problems: list[str] = []
    try:
        tables = msgspec.to_builtins(config)
    except TypeError as error:
        raise ConfigError([f"config: {error}; use numbers, strings, tuples, dicts and sections"]) from None
    again: Config | None = convert(Config, tables, Config(), "", Places("config", ""), problems)
    if again is not None and not problems:
        problems = [f"config: {line}" for line in conflicts(again)]
    if problems or again is None:
        raise ConfigError(problems)
    return again


def merged(under: Table, over: Mapping[str, Any], default: object) -> Table:
    """Two tables as one: tables merge, all else is replaced, and so is a table of another `kind`.

    `default` is the section at their place: its kind is meant where none is written.
    """
    result = dict(under)
    for key, value in over.items():
        old, there = result.get(key), getattr(default, key, None)
        kind = getattr(getattr(there, "__struct_config__", None), "tag", None)
        if isinstance(old, dict) and isinstance(value, dict):
            before = old.get("kind", kind)
            if value.get("kind", before) == before:
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
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `init` writes one with every tunable in it") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8, which TOML files are") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give a file that can be read") from None


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
            raise ConfigError([f"--set {one_line(text)}: give KEY=VALUE, as in --set scaling.max_tasks=40"])
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
            self._lines = key_lines(self._text)
        full = f"environments.{self.environment}.{key}" if self.environment else key
        for candidate in (full, key):
            if line := self._lines.get(re.sub(r"\[\d+\]", "", candidate)):
                return f"{self.file}:{line}: {candidate}: {what}"
        return f"{self.file}: {one_line(key)}: {what}" if key else f"{self.file}: {what}"


def one_line(text: str) -> str:
    """Text from a file or an option with its line ends and control characters escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def key_lines(text: str) -> dict[str, int]:
    """The line of each dotted key of a TOML file. tomllib keeps no places; of a key that is there twice (in an
    array of tables) the first is taken."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$", line):
            table = header[1].replace('"', "").replace(" ", "")
            lines.setdefault(table, number)
        elif assignment := re.match(r"\s*([A-Za-z0-9_.\"'/ -]+?)\s*=", line):
            key = assignment[1].replace('"', "").replace("'", "").replace(" ", "")
            lines.setdefault(f"{table}.{key}" if table else key, number)
    return lines


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
        problems.append(places.say(path, f"got {given!r}, which is not a table; write [{path}]"))
        return None
    found_before = len(problems)
    fields = {field.name: field for field in fields_of(section)}
    values: Table = {}
    for key, value in given.items():
        here = f"{path}.{key}" if path else key
        if key == "kind" and section.__struct_config__.tag_field == "kind":
            continue
        if key not in fields:
            import difflib

            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(fields)}"
            problems.append(places.say(here, f"unknown; {hint}"))
            continue
        inner, meta = bare(fields[key].type)
        sections = sections_of(inner)
        if sections:
            kept = getattr(default, key) if default is not None else default_of(fields[key])
            values[key] = _convert_section(sections, value, kept, here, places, problems)
        elif (item := section_items(inner)) and isinstance(value, (list, tuple)):
            values[key] = tuple(
                convert(item, one, None, f"{here}[{index}]", places, problems) for index, one in enumerate(value)
            )
            if meta and meta.max_length is not None and len(value) > meta.max_length:
                problems.append(places.say(here, f"got {len(value)} of them; at most {meta.max_length} are allowed"))
            if meta and meta.min_length is not None and len(value) < meta.min_length:
                problems.append(places.say(here, f"got {len(value)} of them; at least {meta.min_length} is needed"))
        else:
            if inner is str and not isinstance(value, str) and here in places.overridden:
                value = places.overridden[here].partition("=")[2].strip()  # --set account_id=123456789012
            try:
                converted = msgspec.convert(value, fields[key].type)
                # 60 and 60.0 mean the same and have to render the same.
                whole = isinstance(converted, float) and converted.is_integer()
                values[key] = int(converted) if whole else converted
            except msgspec.ValidationError as error:
                problems.append(places.say(here, refusal(value, error, inner, meta)))
    for name, field in fields.items():
        if name in values or name in given:
            continue
        if default is not None:
            values[name] = getattr(default, name)
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            here = f"{path}.{name}" if path else name
            problems.append(places.say(path, f"{here} is missing: {bare(field.type)[1].description}"))  # type: ignore[union-attr]
    return section(**values) if len(problems) == found_before else None


def _convert_section(
    sections: tuple[type[Section], ...],
    given: object,
    default: Any,
    path: str,
    places: Places,
    problems: list[str],
) -> Any:
    """A section, or one of several that exclude each other, chosen by its `kind`."""
    section: type[Section] = type(default) if default is not None else sections[0]
    if len(sections) > 1 and isinstance(given, dict) and "kind" in given:
        kinds = {str(choice.__struct_config__.tag): choice for choice in sections}
        if given["kind"] not in list(kinds):
            allowed = ", ".join(f'"{kind}"' for kind in kinds)
            problems.append(places.say(f"{path}.kind", f"got {given['kind']!r}; allowed are {allowed}"))
            return None
        section = kinds[given["kind"]]
    elif isinstance(given, dict):
        own = {field.name for field in fields_of(section)}
        for choice in sections:
            if foreign := [key for key in given if key not in own and key in {one.name for one in fields_of(choice)}]:
                tag = choice.__struct_config__.tag
                problems.append(places.say(f"{path}.{foreign[0]}", f'goes with kind = "{tag}"; write that beside it'))
                return None
    base = default if type(default) is section else None
    return convert(section, given, base, path, places, problems)


def refusal(value: object, error: msgspec.ValidationError, inner: object, meta: Meta | None) -> str:
    """What was given, what is allowed and what it means, in one line."""
    reason, _, place = str(error).partition(" - at ")
    reason = re.sub(r"\(\?:(.*)\)\(\?!\\+n\)", r"\1", reason)  # what `tunable` puts around a pattern
    place = re.sub(r"[`$]", "", place).removesuffix(" in ")
    unit = f" {unit_of(meta)}" if meta and unit_of(meta) else ""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if choices := choices_of(inner):
        reason = f"allowed are {choices}"
    elif meta and is_number and (bounds := bounds_of(meta)):
        wrong_type = f"{reason}; " if ", got" in reason else ""
        reason = f"{wrong_type}allowed is {bounds}{unit}"
    meaning = f" ({meta.description})" if meta and meta.description else ""
    return f"got {value!r}{' at ' + place if place else ''}; {reason[0].lower() + reason[1:]}{meaning}"
