"""What the config types say of themselves: a TOML file to start from, and a JSON Schema for editors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Meta

from scaleout_cfn.config import Config
from scaleout_cfn.config.tunables import (
    Section,
    bare,
    bounds_of,
    choices_of,
    default_of,
    fields_of,
    named_sections,
    section_items,
    sections_of,
    tunables,
    unit_of,
)

__all__ = ["json_schema", "starter"]

Table = dict[str, Any]


def json_schema() -> Table:
    """The JSON Schema of the TOML file, for editors."""
    schema = msgspec.json.schema(Config)
    definitions: Table = schema["$defs"]
    # An overlay gives a part of what its section needs, over the rest of the file. Items of lists are whole.
    partial = {name for name in definitions if name not in ("Schedule", "StepAdjustment", "StepScaling")}
    overlays = {}
    for name in partial - {"Config"}:
        overlay = _pointing_to(definitions[name], partial)
        overlay.pop("required", None)
        overlays[f"{name}Overlay"] = overlay
    for name in _meant_without_kind(Config):
        needed = definitions[name]["required"]
        definitions[name]["required"] = [key for key in needed if key != "kind"]
    config = definitions["Config"]
    environment = {
        "type": "object",
        "additionalProperties": False,
        "description": "Changes for one environment, chosen by --env.",
        "properties": _pointing_to(config["properties"], partial),
    }
    config["properties"]["environments"] = {"type": "object", "additionalProperties": environment}
    definitions |= dict(sorted(overlays.items()))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _meant_without_kind(section: type[Section]) -> set[str]:
    """Names of the sections that are meant where no `kind` is written: the first of those that exclude each other."""
    found = set()
    for field in fields_of(section):
        inner, _ = bare(field.type)
        choices = sections_of(inner) or named_sections(inner)
        if len(choices) > 1:
            found.add(choices[0].__name__)
        for choice in choices:
            found |= _meant_without_kind(choice)
    return found


def _pointing_to(node: Any, partial: set[str]) -> Any:
    """The same schema with references to sections replaced by references to their overlays."""
    if isinstance(node, dict):
        target = str(node.get("$ref", "")).rpartition("/")[2]
        changed = {
            key: _pointing_to(value, partial) for key, value in node.items() if key not in ("discriminator", "default")
        }
        return {**changed, "$ref": f"#/$defs/{target}Overlay"} if target in partial else changed
    return [_pointing_to(item, partial) for item in node] if isinstance(node, list) else node


#: What `starter` with `short` holds: what one set, pool or service rarely has in common with another.
SHORT = (
    *("stack_name", "region", "observability.alarm_email"),
    *("capacity.NAME.instance_types", "capacity.NAME.max_nodes", "capacity.NAME.spot_percent"),
    *("services.NAME.container_port", "services.NAME.cpu_units", "services.NAME.memory_mib"),
    *("services.NAME.health_check.path", "services.NAME.scaling.min_tasks", "services.NAME.scaling.max_tasks"),
)
#: What an example of a kind that the file does not have is called in it.
EXAMPLES = {
    "ec2": "nodes",
    "fargate": "fargate",
    "managed-instances": "managed",
    "web": "web",
    "internal": "api",
    "worker": "mailer",
}


def starter(
    config: Config | None = None, *, apply: str = "scaleout-cfn render -c scaleout.toml", short: bool = False
) -> str:
    """A TOML file that holds every tunable with its unit, bounds and meaning: commented out where it is the default.

    A value of `config` that is another than the default is a setting of the file. `apply` is the command that takes
    the file. Of several pools or services of one kind the first has every tunable, the others what they differ in. A
    short file has that alone, a line each.
    """
    config = config or Config()
    service = next(iter(config.services), "web")
    lines = [
        "#:schema ./scaleout.schema.json",
        "# Editors complete and check it (VS Code with Even Better TOML, taplo) once there is a schema:",
        f"#   {apply.partition(' ')[0]} schema > scaleout.schema.json",
        f"# What is behind a # is the default: take it away to change a line. Apply with:  {apply}",
    ]
    if short:
        lines += ["# Every tunable there is:  init without --short"]
        _write_short(lines, config, _usual(config), "")
        return "\n".join(lines) + "\n"
    lines += [
        f"# One key for one run:  --set services.{service}.scaling.max_tasks=40",
        "# An overlay per environment, chosen by --env prod:",
        f"#   [environments.prod.services.{service}.scaling]",
        "#   max_tasks = 40",
        "",
    ]
    _write_section(lines, config, _usual(config), "")
    return "\n".join(lines).rstrip() + "\n"


def _usual(config: Config) -> Config:
    """The defaults of a config's pools and services, each of its kind."""
    return Config(
        capacity={name: type(pool)() for name, pool in config.capacity.items()},
        services={name: type(service)() for name, service in config.services.items()},
    )


def _write_short(lines: list[str], given: Section, usual: Section, path: str) -> None:
    """What a section is told, and what belongs to SHORT: each table once, whatever the order of declaration."""
    default = {key: value for key, _, value, _ in tunables(usual, path)}
    tables: dict[str, list[str]] = {}
    for key, inner, value, meta in tunables(given, path):
        is_default = key in default and value == default[key]
        if is_default and re.sub(r"^(capacity|services)\.[^.]+", r"\1.NAME", key) not in SHORT:
            continue
        table, _, name = key.rpartition(".")
        (meaning,) = _comment(inner, meta)
        tables.setdefault(table, []).append(f"{'#' if is_default else ''}{name} = {toml(value)}  {meaning}")
    for table, settings in tables.items():
        lines += ["", *([f"[{table}]"] if table else []), *_kind_of_entry(given, table, path), *settings]


def _kind_of_entry(given: Section, table: str, path: str) -> list[str]:
    """The line that says of which kind the pool or service is that a table is."""
    room, _, name = table.partition(".")
    if not path and room in ("capacity", "services") and name and "." not in name:
        given, path = getattr(given, room)[name], table
    return [_kind(given, path)] if table == path and path else []


def _kind(entry: Section, path: str) -> str:
    """The line that says of which kind a pool or service is: a comment where that is meant without it."""
    room, _, name = path.partition(".")
    there = getattr(Config(), room)
    meant = type(there.get(name, next(iter(there.values()))))
    return f'{"#" if type(entry) is meant else ""}kind = "{entry.__struct_config__.tag}"'


def _write_section(lines: list[str], given: Section, usual: Section, path: str) -> None:
    fields = fields_of(type(given))
    for field in fields:
        inner, meta = bare(field.type)
        if not sections_of(inner) and not named_sections(inner):
            assert meta is not None
            key = f"{path}.{field.name}" if path else field.name
            value = getattr(given, field.name)
            _write_tunable(lines, key, field.name, inner, meta, value, value == getattr(usual, field.name))
    for field in fields:
        inner, meta = bare(field.type)
        assert meta is not None
        key = f"{path}.{field.name}" if path else field.name
        value = getattr(given, field.name)
        if (choices := sections_of(inner)) and value is None:
            _write_left_out(lines, choices[0], meta, key)
        elif choices:
            lines += [f"# {meta.description}", f"[{key}]"]
            if len(choices) > 1:
                kinds = ", ".join(f'"{choice.__struct_config__.tag}"' for choice in choices)
                lines += [f"# Which of {kinds}.", f'#kind = "{type(value).__struct_config__.tag}"', ""]
            for choice in choices:
                if choice is not type(value):
                    _write_choice(lines, choice, key, value)
            _write_section(lines, value, getattr(usual, field.name), key)
        elif choices := named_sections(inner):
            _write_named(lines, choices, meta, value, getattr(usual, field.name), key)
    if lines[-1]:
        lines.append("")


def _write_left_out(lines: list[str], section: type[Section], meta: Meta, key: str) -> None:
    """A section that is not there, as a comment."""
    lines += [f"# None unless written: {meta.description}", f"#[{key}]"]
    for field in fields_of(section):
        inner, about = bare(field.type)
        if not sections_of(inner) and not named_sections(inner):
            assert about is not None
            value = default_of(field)
            lines += [*_comment(inner, about), f"#{field.name} = " + ("..." if value is None else toml(value))]
    lines.append("")


def _write_named(
    lines: list[str],
    choices: tuple[type[Section], ...],
    meta: Meta,
    given: Mapping[str, Section],
    usual: Mapping[str, Section],
    path: str,
) -> None:
    """Sections by name: those that are there, and an example of each other kind as a comment."""
    whole: dict[type[Section], str] = {}
    first = next(iter(given.values()))
    for name, entry in given.items():
        key = f"{path}.{name}"
        if whole:
            above = next(iter(whole.values()))
            lines += _another(type(entry), f"{path}.{above}", type(first))
            _write_short(lines, entry, usual[name], key)
            lines.append("")
        else:
            kinds = ", ".join(f'"{choice.__struct_config__.tag}"' for choice in choices)
            lines += [f"# {meta.description}", f"[{key}]", f"# Which of {kinds}.", _kind(entry, key), ""]
            _write_section(lines, entry, usual[name], key)
        whole.setdefault(type(entry), name)
    for choice in choices:
        if choice not in whole:
            tag = str(choice.__struct_config__.tag)
            lines += _another(choice, f"{path}.{next(iter(given))}", type(first))
            lines += [f"#[{path}.{EXAMPLES[tag]}]", f'#kind = "{tag}"']
            known = {field.name: field.type for field in fields_of(type(first))}
            for field in fields_of(choice):
                inner, about = bare(field.type)
                assert about is not None
                if not sections_of(inner) and field.type != known.get(field.name):
                    lines += [*_comment(inner, about), f"#{field.name} = {toml(default_of(field))}"]
            lines.append("")


def _another(kind: type[Section], above: str, its_kind: type[Section]) -> list[str]:
    """What is said above a further pool or service."""
    lines = [f'# Another, of kind "{kind.__struct_config__.tag}": {" ".join((kind.__doc__ or "").split())}']
    own = {field.name for field in fields_of(kind)}
    missing = [field.name for field in fields_of(its_kind) if field.name not in own]
    if kind is its_kind:
        lines.append(f"# It has every tunable of [{above}].")
    elif len(missing) < len(own):
        lines.append(f"# It has the tunables of [{above}], but for {', '.join(missing)}.")
    return lines


def _write_choice(lines: list[str], choice: type[Section], key: str, instead_of: Section) -> None:
    """A section that is not the default, as a comment below the header that is there: TOML takes one only."""
    tag = choice.__struct_config__.tag
    lines += [f'# Instead, with kind = "{tag}": {" ".join((choice.__doc__ or "").split())}', f'#kind = "{tag}"']
    below = [f"[{key}.{field.name}]" for field in fields_of(type(instead_of)) if sections_of(bare(field.type)[0])]
    if below:
        lines.append(f"# Then delete {' and '.join(below)}.")
    for field in fields_of(choice):
        inner, meta = bare(field.type)
        assert meta is not None
        lines += _comment(inner, meta)
        value = default_of(field)
        lines.append(f"#{field.name} = " + ("..." if value is None else toml(value)))
    lines.append("")


def _write_tunable(lines: list[str], key: str, name: str, inner: Any, meta: Meta, value: Any, is_default: bool) -> None:
    lines += _comment(inner, meta)
    if item := section_items(inner):
        lines += [f"#[[{key}]]"]
        for one in fields_of(item):
            one_inner, one_meta = bare(one.type)
            assert one_meta is not None
            lines += [f"#  {line}" for line in _comment(one_inner, one_meta)]
            default_value = default_of(one)
            nested = section_items(one_inner)
            for part in fields_of(nested) if nested else ():
                part_inner, part_meta = bare(part.type)
                assert part_meta is not None
                lines += [f"#  #   {part.name}: {line.removeprefix('# ')}" for line in _comment(part_inner, part_meta)]
            example = (
                "[{" + ", ".join(f"{f.name} = {toml(default_of(f))}" for f in fields_of(nested)) + "}]"
                if nested
                else ("..." if default_value is None else toml(default_value))
            )
            lines.append(f"#{one.name} = {example}")
    else:
        lines.append(f"{'#' if is_default else ''}{name} = {toml(value)}")
    lines.append("")


def _comment(inner: Any, meta: Meta) -> list[str]:
    choices = choices_of(inner)
    allowed = f"one of {choices}" if choices else bounds_of(meta)
    inside = "; ".join(part for part in (unit_of(meta), allowed) if part)
    return [f"# {meta.description}" + (f" ({inside})" if inside else "")]


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        # TOML has no null: what is None is a section that is left out.
        there = {key: item for key, item in value.items() if item is not None}
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in there.items()) + "}"
    return "..." if value is None else str(value)
